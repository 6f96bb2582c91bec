//! A Mosquitto of its own, that can be killed and started again on the same port and store.
#![allow(clippy::disallowed_methods)]

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Instant;

use tempfile::TempDir;

use super::city;
use super::program::Program;
use super::wait::wait_for;

/// A free port may be taken by another program before Mosquitto has it.
const PORTS: u32 = 5;

/// A port of loopback that nobody listens on, outside of the range that outgoing connections take theirs from, so that a
/// stopped broker's port is still free when it starts again.
pub fn free_port() -> Result<u16, String> {
    for _ in 0..1_000 {
        let port = 10_000 + (uuid::Uuid::new_v4().as_u128() % 22_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("there is no free port".into())
}

/// Writes the configuration of a broker that listens there, by these rules.
pub fn configure(folder: &Path, port: u16, rules: &str) -> Result<(), String> {
    let config = format!("listener {port} 127.0.0.1\nuser root\n{rules}");
    std::fs::write(folder.join("mosquitto.conf"), config).map_err(|error| error.to_string())
}

/// A Mosquitto of its own, that can be killed and started again on the same port and store.
pub struct Mosquitto {
    program: Option<Program>,
    folder: TempDir,
    pub port: u16,
}

impl Mosquitto {
    /// Starts it with these lines in its configuration; `files` are put beside it.
    pub fn start(rules: &str, files: &[(&str, &str)]) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).map_err(|error| error.to_string())?;
        }
        Self::start_in(folder, |folder, port| configure(folder, port, rules))
    }

    /// Starts it in this folder; `configure` writes its configuration for a port. Another program may be quicker at a port:
    /// then it is another one.
    pub fn start_in(
        folder: TempDir,
        configure: impl Fn(&Path, u16) -> Result<(), String>,
    ) -> Result<Self, String> {
        let mut broker = Self {
            program: None,
            folder,
            port: 0,
        };
        for attempt in 1.. {
            broker.port = free_port()?;
            configure(broker.folder(), broker.port)?;
            match broker.start_again() {
                Err(why) if attempt < PORTS && why.contains("Address already in use") => {}
                Err(why) => return Err(why),
                Ok(()) => break,
            }
        }
        Ok(broker)
    }

    /// Of a city, as docs/mosquitto.acl describes it, with these users and their passwords.
    pub fn of_a_city(users: &[(&str, &str)]) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        Self::start_in(folder, |folder, port| {
            city::write_files(folder, port, users)
        })
    }

    /// Everybody may do everything; with `persistence` it saves its sessions and messages every second.
    pub fn open(persistence: bool) -> Result<Self, String> {
        Self::start(
            &format!("{}allow_anonymous true\n", Self::persistent(persistence)),
            &[],
        )
    }

    /// The lines about persistence.
    pub fn persistent(persistence: bool) -> &'static str {
        if persistence {
            "persistence true\npersistence_location ./\nautosave_interval 1\n"
        } else {
            "persistence false\n"
        }
    }

    /// Other lines from the next start on.
    pub fn configure(&self, rules: &str) -> Result<(), String> {
        configure(self.folder(), self.port, rules)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits for a line of its log.
    pub fn says(&self, text: &str) -> Result<(Instant, String), String> {
        let program = self.program.as_ref().ok_or("mosquitto does not run")?;
        program.says(text)
    }

    /// Every line of its log since it was started.
    pub fn lines(&self) -> Vec<String> {
        self.program.as_ref().map_or_else(Vec::new, Program::lines)
    }

    /// SIGKILL: what it had not saved is gone.
    pub fn kill(&mut self) {
        self.program = None;
    }

    /// SIGTERM: with persistence it saves everything first.
    pub fn stop(&mut self) -> Result<(), String> {
        self.program
            .take()
            .map_or(Ok(()), |mut program| program.stop())
    }

    pub fn start_again(&mut self) -> Result<(), String> {
        let mut command = city::broker(self.folder());
        let mut program = Program::start("mosquitto", &mut command)?;
        wait_for("mosquitto listens", || {
            let has_ended = !program.is_running();
            (has_ended || TcpStream::connect(("127.0.0.1", self.port)).is_ok()).then_some(())
        })?;
        if program.ended().is_some() {
            program.kill();
            return Err(format!("mosquitto ended at once; {}", program.tail()));
        }
        self.program = Some(program);
        Ok(())
    }
}
