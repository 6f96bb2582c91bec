//! Wakes a thread that waits for lines, so that a command is obeyed at once.
//!
//! Owns: an eventfd that stands in the thread's poll beside its lines. Never does: carry the command; a queue does.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

/// Both ends: who calls, and who waits.
#[derive(Debug, Clone)]
pub struct Wake(Arc<OwnedFd>);

impl Wake {
    /// One that nobody has called yet.
    pub fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self(Arc::new(fd)))
    }

    /// Ends the wait that goes on, or the next one.
    pub fn call(&self) {
        // It fails only when it has been called so often that its counter is full; then the wait ends anyway.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }

    /// Waits until there is something to read from `lines`, somebody calls, or `patience` is over. Returns whether there is
    /// something to read; a call that was heard is forgotten.
    pub fn wait(&self, lines: impl AsFd, patience: Duration) -> io::Result<bool> {
        self.poll(Some(&lines), Some(patience))
    }

    /// Waits for a call and nothing else.
    #[cfg(test)]
    pub(super) fn wait_for_a_call(&self) -> io::Result<()> {
        self.poll(None::<&OwnedFd>, None).map(drop)
    }

    fn poll(&self, lines: Option<&impl AsFd>, patience: Option<Duration>) -> io::Result<bool> {
        let patience = patience.map(Timespec::try_from).transpose();
        // A time that has no room in the kernel's type is waited for without an end.
        let patience = patience.ok().flatten();
        let mut fds: Vec<PollFd<'_>> = lines
            .map(|lines| PollFd::new(lines, PollFlags::IN))
            .into_iter()
            .collect();
        fds.push(PollFd::new(&*self.0, PollFlags::IN));
        match poll(&mut fds, patience.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_called = fds.pop().is_some_and(|own| !own.revents().is_empty());
        if is_called {
            let _ = rustix::io::read(&*self.0, &mut [0; 8]);
        }
        Ok(fds.first().is_some_and(|lines| !lines.revents().is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_ends_one_wait_whether_it_comes_before_or_during_it() {
        let wake = Wake::new().expect("an eventfd");
        let (silent, _other) = std::os::unix::net::UnixStream::pair().expect("a pair");
        for _ in 0..3 {
            wake.call();
        }
        wake.wait_for_a_call().expect("waited");
        // All calls before the wait were one.
        assert!(!wake.wait(&silent, Duration::ZERO).expect("waited"));
        let caller = wake.clone();
        std::thread::scope(|scope| {
            scope.spawn(move || caller.call());
            wake.wait_for_a_call().expect("waited");
        });
    }

    #[test]
    fn what_is_there_to_read_is_told_from_a_call() {
        let wake = Wake::new().expect("an eventfd");
        let (ours, mut other) = std::os::unix::net::UnixStream::pair().expect("a pair");
        wake.call();
        assert!(!wake.wait(&ours, Duration::MAX).expect("waited"));
        std::io::Write::write_all(&mut other, b"x").expect("written");
        assert!(wake.wait(&ours, Duration::MAX).expect("waited"));
    }
}
