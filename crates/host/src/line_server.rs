//! One line in, one line out, on a Unix socket: used by the simulated handset and by the doctor's questions.
//!
//! Owns: the socket file, its connections and their limits. Never does: know what a line means. A stale socket file is replaced; a
//! socket on which a program listens is not. A file that is no socket is never removed.
#![allow(clippy::disallowed_methods)] // owns a socket file

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::crew;

/// Longest line of a question, bytes.
const MAX_LINE: u64 = 256;
/// Longest line of an answer, bytes.
const MAX_ANSWER: u64 = 256 * 1024;
/// Most connections at a time.
const MAX_CONNECTIONS: usize = 16;
/// The server answers within this time; otherwise the client gets an error.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The socket, removed when dropped.
pub struct LineSocket {
    path: PathBuf,
}

impl Drop for LineSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Why a socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A step failed.
    #[error("the {what} socket {}: {doing}: {source}", path.display())]
    Io {
        /// Which socket.
        what: &'static str,
        /// Its file.
        path: PathBuf,
        /// The step.
        doing: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// Another program listens on it.
    #[error("the {what} socket {} is in use by another gateway", path.display())]
    InUse {
        /// Which socket.
        what: &'static str,
        /// Its file.
        path: PathBuf,
    },
    /// Its file is something else, which is not removed.
    #[error("the {what} socket {}: a file that is no socket is there; move it away", path.display())]
    NoSocket {
        /// Which socket.
        what: &'static str,
        /// Its file.
        path: PathBuf,
    },
}

/// Listens on `path`, mode 0660, and answers each line; `what` names the socket in errors and threads.
///
/// # Errors
/// Every error of the file system, and a file in the socket's place.
pub fn listen(
    path: &Path,
    what: &'static str,
    answer: impl Fn(&str) -> String + Send + Sync + 'static,
) -> Result<LineSocket, SocketError> {
    let fault = |doing, source| SocketError::Io {
        what,
        path: path.to_owned(),
        doing,
        source,
    };
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        std::fs::create_dir_all(dir).map_err(|error| fault("its folder cannot be made", error))?;
    }
    match std::fs::symlink_metadata(path) {
        Err(_) => {}
        Ok(_) if UnixStream::connect(path).is_ok() => {
            let path = path.to_owned();
            return Err(SocketError::InUse { what, path });
        }
        Ok(facts) if facts.file_type().is_socket() => std::fs::remove_file(path)
            .map_err(|error| fault("the stale file cannot be removed", error))?,
        Ok(_) => {
            let path = path.to_owned();
            return Err(SocketError::NoSocket { what, path });
        }
    }
    let listener = UnixListener::bind(path).map_err(|error| fault("cannot listen", error))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))
        .map_err(|error| fault("its mode cannot be set", error))?;
    let answer: Arc<dyn Fn(&str) -> String + Send + Sync> = Arc::new(answer);
    let count = Arc::new(AtomicUsize::new(0));
    let accept = move || {
        for stream in listener.incoming().flatten() {
            if count.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
                count.fetch_sub(1, Ordering::Relaxed);
                let _ = (&stream).write_all(b"error: too many connections\n");
                continue;
            }
            let (answer, counted) = (answer.clone(), count.clone());
            let started = crew::lend(what, move || {
                // A client that goes away in the middle is no fault.
                let _ = converse(&stream, &stream, &*answer);
                counted.fetch_sub(1, Ordering::Relaxed);
            });
            if started.is_err() {
                count.fetch_sub(1, Ordering::Relaxed);
            }
        }
    };
    crew::start(what, accept).map_err(|error| fault("no thread", error))?;
    Ok(LineSocket {
        path: path.to_owned(),
    })
}

/// Answers line after line until the client goes away, or sends a line that is too long.
pub fn converse(
    input: impl Read,
    mut out: impl Write,
    answer: &dyn Fn(&str) -> String,
) -> io::Result<()> {
    let mut reader = BufReader::new(input);
    loop {
        let mut line = Vec::new();
        let read = reader
            .by_ref()
            .take(MAX_LINE)
            .read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        let whole = line.ends_with(b"\n") || (read as u64) < MAX_LINE;
        let answer = match std::str::from_utf8(&line) {
            Ok(text) if whole => answer(text.trim()),
            _ => "error: a line is text of at most 255 bytes".to_owned(),
        };
        out.write_all(format!("{answer}\n").as_bytes())?;
        if !whole {
            return Ok(());
        }
    }
}

/// Sends one line to the program that listens on `path` and returns its answer, without the line end. The program is given up if it
/// takes no connection, or takes more than [`PATIENCE`] and two seconds for its whole answer.
pub fn ask(path: &Path, line: &str) -> io::Result<String> {
    let until = Instant::now() + PATIENCE + Duration::from_secs(2);
    let left = || {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        Ok(left)
    };
    let kind = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, kind, None)?;
    // Without a limit this end would wait for ever if the queue of connections is full and nobody takes them.
    set_socket_timeout(&socket, Timeout::Send, Some(left()?))?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    let mut stream = UnixStream::from(socket);
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut reply = Vec::new();
    let mut block = [0; 4096];
    while reply.len() as u64 <= MAX_ANSWER && !reply.contains(&b'\n') {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut block)? {
            0 => break,
            read => reply.extend_from_slice(&block[..read]),
        }
    }
    let whole = reply
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let text = std::str::from_utf8(whole).map_err(io::Error::other)?;
    Ok(text.trim_end().to_owned())
}
