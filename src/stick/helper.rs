//! Root's side: one gateway is served to its end.
//!
//! Owns: how long a stick is waited for, and that the gateway's end is the stick's. Never does: listen to what the gateway says, or serve two at a time.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::disks::{self, Choice, Kind};
use super::mounted::{self, Mounted};
use super::{Refusal, Said};

/// How often it is looked for a stick, and the pause after each look: ten seconds together.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// What root's helper looks for.
#[derive(Debug, Clone)]
pub struct Helper {
    /// The folder in which the disks of USB readers appear.
    pub disks: PathBuf,
    /// The file systems that are mounted.
    pub kinds: Vec<Kind>,
}

/// Why nobody was served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// There is no connection.
    #[error(
        "standard input is no socket that listens ({0}): booth-stick.socket starts this, nobody else"
    )]
    NoSocket(io::Error),
    /// The gateway is not there any more.
    #[error("the gateway has gone: {0}")]
    Gone(io::Error),
}

/// Serves the next gateway that connects, until it ends its half of the connection or itself.
///
/// # Errors
/// See [`ServeError`]. What is wrong with a stick is told to the gateway, and is no error.
pub fn serve(listener: &UnixListener, helper: &Helper) -> Result<(), ServeError> {
    // The service manager's own sockets do not wait.
    listener
        .set_nonblocking(false)
        .map_err(ServeError::NoSocket)?;
    let (mut gateway, _) = listener.accept().map_err(ServeError::NoSocket)?;
    let who = socket_peercred(&gateway).map_err(|error| ServeError::Gone(error.into()))?;
    let (user, group) = (who.uid.as_raw(), who.gid.as_raw());
    let mounted = helper.find().and_then(|choice| {
        let mounted = mounted::mount(&choice, user, group)?;
        Ok((choice, mounted))
    });
    let (choice, mounted) = match mounted {
        Ok(mounted) => mounted,
        Err(refusal) => {
            log::warn!("{refusal}");
            return tell(&gateway, &Said::Refused(refusal), None);
        }
    };
    let name = choice.name();
    log::info!("{name} ({}) is mounted for the gateway", choice.kind.name());
    let told = tell(
        &gateway,
        &Said::Mounted(name.clone()),
        Some(mounted.root().as_fd()),
    );
    if told.is_ok() {
        wait_for_the_end(&mut gateway);
    }
    let said = release(&name, mounted);
    told.and_then(|()| tell(&gateway, &said, None))
}

/// Nothing is said but by the end: of the gateway's half, or of the gateway.
fn wait_for_the_end(gateway: &mut UnixStream) {
    // What was read of it does not matter, nor by which error it is not there any more.
    let _ = io::copy(gateway, &mut io::sink());
}

fn release(name: &str, mounted: Mounted) -> Said {
    match mounted.release() {
        Ok(()) => {
            log::info!("{name} may be taken out");
            Said::Released
        }
        Err(error) => {
            log::error!("{name} was not let go: {error}");
            Said::NotReleased(format!("{name}: {error}"))
        }
    }
}

fn tell(
    gateway: &UnixStream,
    said: &Said,
    folder: Option<BorrowedFd<'_>>,
) -> Result<(), ServeError> {
    let line = format!("{said}\n");
    let handed: Vec<BorrowedFd<'_>> = folder.into_iter().collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !handed.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&handed));
    }
    let bytes = [IoSlice::new(line.as_bytes())];
    sendmsg(gateway, &bytes, &mut control, SendFlags::NOSIGNAL)
        .map(drop)
        .map_err(|error| ServeError::Gone(error.into()))
}

impl Helper {
    /// The stick, which may be plugged in a moment late.
    fn find(&self) -> Result<Choice, Refusal> {
        let (mut seen, mut refused) = (None, Refusal::None("nothing is plugged in".into()));
        for _ in 0..LOOKS {
            let plugged = disks::plugged(&self.disks);
            // What was looked at is not read again until something changes.
            if seen.as_ref() != Some(&plugged) {
                match disks::choose(&plugged, &self.kinds) {
                    Ok(choice) => return Ok(choice),
                    Err(refusal) => refused = refusal,
                }
                seen = Some(plugged);
            }
            std::thread::park_timeout(PAUSE);
        }
        Err(refused)
    }
}
