//! The gateway's side: a stick is asked for, written and let go.
//!
//! Owns: the open folder of the stick, and how long the helper is waited for. Never does: call a stick safe of which the helper has not said so.

use std::io::{IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recv, recvmsg,
};

use super::{LONGEST, Refusal, Said};

/// How long one look for the helper's word lasts, and how many looks a mount may take: the helper itself waits ten seconds for a stick.
const LOOK: Duration = Duration::from_millis(200);
const LOOKS_FOR_A_MOUNT: u32 = 300;
/// How long writing the last bytes to a slow stick may take.
const RELEASED_WITHIN: Duration = Duration::from_secs(120);

/// Why there is no stick, or why it is not safe to take out.
#[derive(Debug, thiserror::Error)]
pub enum StickError {
    /// Nobody is there to mount it.
    #[error("this machine mounts no stick: nobody listens at {} ({why}). Start booth-stick.socket, which the package and the SD image bring", socket.display())]
    NoHelper {
        /// Where it was asked.
        socket: PathBuf,
        /// The system's words.
        why: String,
    },
    /// The helper has none.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The helper ended, or says what is not understood.
    #[error(
        "the helper that mounts the stick says nothing more ({0}): journalctl -u booth-stick says why. Dial 8 again"
    )]
    Silent(String),
    /// What was written may not be on it.
    #[error(
        "the stick could not be let go: {0}. Do not rely on what is on it; use another one, and dial 8 again"
    )]
    NotReleased(String),
    /// It was told to stop.
    #[error("it was stopped")]
    Stopped,
}

/// A stick that is mounted for this process.
pub struct Stick {
    connection: UnixStream,
    folder: OwnedFd,
    name: String,
}

/// Asks the helper at `socket` for a stick. `goes_on` is asked while it is waited for.
///
/// # Errors
/// See [`StickError`].
pub fn ask(socket: &Path, goes_on: &mut dyn FnMut() -> bool) -> Result<Stick, StickError> {
    let nobody = |error: std::io::Error| StickError::NoHelper {
        socket: socket.to_owned(),
        why: error.to_string(),
    };
    let connection = UnixStream::connect(socket).map_err(nobody)?;
    connection
        .set_read_timeout(Some(LOOK))
        .map_err(|error| StickError::Silent(error.to_string()))?;
    for _ in 0..LOOKS_FOR_A_MOUNT {
        if !goes_on() {
            return Err(StickError::Stopped);
        }
        let (line, folder) = match first_word(&connection) {
            Ok(heard) => heard,
            Err(Errno::AGAIN | Errno::INTR) => continue,
            Err(error) => return Err(StickError::Silent(error.to_string())),
        };
        return match (Said::read(&line), folder) {
            (Some(Said::Mounted(name)), Some(folder)) => Ok(Stick {
                connection,
                folder,
                name,
            }),
            (Some(Said::Refused(refusal)), _) => Err(refusal.into()),
            _ if line.is_empty() => Err(StickError::Silent("it ended".into())),
            _ => Err(StickError::Silent(format!("{line:?} is not understood"))),
        };
    }
    Err(StickError::Silent("it does not answer".into()))
}

/// The helper's first line, and the open folder that comes with it.
fn first_word(connection: &UnixStream) -> Result<(String, Option<OwnedFd>), Errno> {
    let mut bytes = [0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let heard = recvmsg(
        connection,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut folder = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(handed) = message {
            folder = handed.into_iter().next();
        }
    }
    if heard.flags.contains(ReturnFlags::CTRUNC) {
        folder = None;
    }
    let line = String::from_utf8_lossy(&bytes[..heard.bytes]);
    Ok((line.trim_end().to_owned(), folder))
}

impl Stick {
    /// Its folder, as this process alone can reach it.
    pub fn folder(&self) -> PathBuf {
        // The kernel's name for an open folder.
        PathBuf::from(format!("/proc/self/fd/{}", self.folder.as_raw_fd()))
    }

    /// What the helper calls it, e.g. `sda1`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the helper is still there. It says nothing before the stick is let go.
    pub fn is_held(&self) -> bool {
        let mut byte = [0; 1];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        recv(&self.connection, &mut byte[..], flags) == Err(Errno::AGAIN)
    }

    /// Lets the stick go and waits until it may be taken out. Nothing of it may be open any more.
    ///
    /// # Errors
    /// It may not: see [`StickError`].
    pub fn release(self) -> Result<(), StickError> {
        let Self {
            mut connection,
            folder,
            ..
        } = self;
        drop(folder);
        let silent = |error: std::io::Error| StickError::Silent(error.to_string());
        connection.shutdown(Shutdown::Write).map_err(silent)?;
        connection
            .set_read_timeout(Some(RELEASED_WITHIN))
            .map_err(silent)?;
        let mut bytes = [0; LONGEST];
        let heard = connection.read(&mut bytes).map_err(silent)?;
        let line = String::from_utf8_lossy(&bytes[..heard]);
        match Said::read(&line) {
            Some(Said::Released) => Ok(()),
            Some(Said::NotReleased(why)) => Err(StickError::NotReleased(why)),
            _ => Err(StickError::Silent(format!("it said {line:?}"))),
        }
    }
}
