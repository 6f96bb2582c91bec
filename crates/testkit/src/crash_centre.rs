//! Broker and hub of a recorded evening, by the paths of their programs. Ended with the values.
#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use booth_stage::files::hub_file;
use booth_stage::mosquitto::Mosquitto;
use booth_stage::program::Program;

use super::card_reader;
use super::centre::body_of;
use super::programs::Programs;

/// Broker, hub and somebody who listens to its answers.
pub struct Centre {
    /// The broker's.
    pub port: u16,
    programs: Programs,
    folder: PathBuf,
    hub: Option<Program>,
    _ear: Ear,
    _broker: Mosquitto,
}

impl Centre {
    /// Starts the broker; `answered` gets every answer that the hub gives from then on.
    pub fn start(
        programs: &Programs,
        folder: &Path,
        answered: impl Fn(&str) + Send + 'static,
    ) -> Result<Self, String> {
        let broker = Mosquitto::open(false)?;
        let port = broker.port;
        let hub = hub_file(&format!("mqtt://127.0.0.1:{port}"), "");
        std::fs::write(folder.join("hub.toml"), hub)
            .map_err(|error| format!("hub.toml: {error}"))?;
        let ear = Ear::on(port, answered)?;
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
        let body = body_of(&self.folder.join("store"), clip_id)
            .map_err(|error| format!("the hub confirmed clip {clip_id}: {error}"))?;
        match card_reader::sha256(&body) == sha256 {
            true => Ok(()),
            false => Err(format!("the hub has another body of clip {clip_id}")),
        }
    }

    /// Starts the hub.
    pub fn open_hub(&mut self) -> Result<(), String> {
        let mut command = Command::new(&self.programs.hub);
        command
            .args(["serve", "--config"])
            .arg(self.folder.join("hub.toml"));
        self.hub = Some(Program::start("the hub", &mut command)?);
        Ok(())
    }
}

/// Somebody who listens to the hub's answers, by Mosquitto's own client.
struct Ear(Child);

impl Ear {
    fn on(port: u16, answered: impl Fn(&str) + Send + 'static) -> Result<Self, String> {
        let mut child = Command::new("mosquitto_sub")
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1"])
            .args(["-t", "booth/1/dn/+/ack/+"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("mosquitto_sub: {error}"))?;
        let answers = child.stdout.take().ok_or("no pipe")?;
        std::thread::spawn(move || {
            for line in BufReader::new(answers).lines().map_while(Result::ok) {
                answered(&line);
            }
        });
        Ok(Self(child))
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
