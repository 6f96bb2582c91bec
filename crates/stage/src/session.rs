//! Programs in sessions of their own, which end with whoever started them.
//!
//! The kernel shares the processor out between sessions first (sched(7), autogroups), so that a sound server or a gateway in a
//! session of its own gets its part beside a compiler's many processes. The price: Ctrl-C at the terminal does not reach it,
//! and nothing ends it when its starter is killed. A [`Leash`] does.

use std::ffi::OsStr;
use std::process::{Child, Command, Stdio};

/// A program that will run in a session of its own, under its own process id.
pub fn in_own_session(program: impl AsRef<OsStr>) -> Command {
    // A program that is no leader of its process group keeps its process id (setsid(1)), and what `Command` starts is none.
    let mut command = Command::new("setsid");
    command.arg(program);
    command
}

/// Ends a program when this process ends, in whatever way: a shell in a session of its own waits for the end of a pipe that
/// this process holds open. Drop it after the program has ended.
pub struct Leash(Child);

impl Leash {
    /// Watches the program with this process id.
    pub fn on(pid: u32) -> Self {
        let watcher = in_own_session("sh")
            .args(["-c", "read -r _; kill -KILL \"$1\"", "leash"])
            .arg(pid.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(watcher.expect("setsid and sh run: they are in every Debian"))
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        // Killed before its pipe is closed: it has nobody left to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
