//! Broker and hub of a recorded evening, by the paths of their programs. Ended with the values.
#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::card_reader;
use super::programs::{Programs, wait_for};

/// A process that ends with the value.
pub struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program that says nothing.
pub fn spawn(command: &mut Command) -> Result<Ended, String> {
    command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(Ended)
        .map_err(|error| format!("{command:?}: {error}"))
}

/// Broker, hub and somebody who listens to its answers.
pub struct Centre {
    /// The broker's.
    pub port: u16,
    programs: Programs,
    folder: PathBuf,
    hub: Option<Ended>,
    _ear: Ended,
    _broker: Ended,
}

impl Centre {
    /// Starts the broker; `answered` gets every answer that the hub gives from then on.
    pub fn start(
        programs: &Programs,
        folder: &Path,
        answered: impl Fn(&str) + Send + 'static,
    ) -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let port = listener
            .local_addr()
            .map_err(|error| error.to_string())?
            .port();
        drop(listener);
        let rules = format!(
            "listener {port} 127.0.0.1\nuser root\npersistence false\nallow_anonymous true\n"
        );
        let hub = format!(
            "[store]\ndir = \"store\"\n[http]\nlisten = \"127.0.0.1:0\"\n[mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\n"
        );
        for (name, text) in [("mosquitto.conf", rules), ("hub.toml", hub)] {
            std::fs::write(folder.join(name), text).map_err(|error| format!("{name}: {error}"))?;
        }
        let broker = spawn(
            Command::new("mosquitto")
                .args(["-c", "mosquitto.conf"])
                .current_dir(folder)
                .stdout(Stdio::null()),
        )?;
        wait_for("mosquitto listens", || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        })?;
        let mut ear = spawn(
            Command::new("mosquitto_sub")
                .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1"])
                .args(["-t", "booth/1/dn/+/ack/+"])
                .stdout(Stdio::piped()),
        )?;
        let answers = ear.0.stdout.take().ok_or("no pipe")?;
        std::thread::spawn(move || {
            for line in BufReader::new(answers).lines().map_while(Result::ok) {
                answered(&line);
            }
        });
        Ok(Self {
            port,
            programs: programs.clone(),
            folder: folder.to_owned(),
            hub: None,
            _ear: ear,
            _broker: broker,
        })
    }

    /// Its word is good: a clip that it confirmed lies in its store, with this body.
    pub fn has(&self, clip_id: &str, sha256: &str) -> Result<(), String> {
        let name = format!("store/clips/{}/{clip_id}.opus", &clip_id[..2]);
        let body = std::fs::read(self.folder.join(&name))
            .map_err(|error| format!("the hub confirmed clip {clip_id}: {name}: {error}"))?;
        match card_reader::sha256(&body) == sha256 {
            true => Ok(()),
            false => Err(format!("the hub has another body of clip {clip_id}")),
        }
    }

    /// Starts the hub.
    pub fn open_hub(&mut self) -> Result<(), String> {
        self.hub = Some(spawn(
            Command::new(&self.programs.hub)
                .args(["serve", "--config"])
                .arg(self.folder.join("hub.toml"))
                .stdout(Stdio::null()),
        )?);
        Ok(())
    }
}
