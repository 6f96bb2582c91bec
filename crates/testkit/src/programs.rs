//! The product's programs and Mosquitto as processes, for the campaigns: nothing here panics, every fault
//! is a sentence, and every process ends with its value.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::process::Command;

use booth_gateway::adapters::handset_sim::send_line;
use serde_json::Value;

use super::crash_booth::some_city;
use booth_stage::files::{BoothFile, hub_file};
pub use booth_stage::mosquitto::Mosquitto;
pub use booth_stage::program::Program;
use booth_stage::session::in_own_session;
pub use booth_stage::wait::{PATIENCE, wait_for};

/// The binaries under test.
#[derive(Debug, Clone)]
pub struct Programs {
    pub gateway: PathBuf,
    pub hub: PathBuf,
}

impl Programs {
    /// Those in `folder`, for example `target/release`.
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            gateway: folder.join("booth-gateway"),
            hub: folder.join("booth-hub"),
        }
    }
}

/// The hub's folder: configuration and store, kept across its kills.
pub struct HubHome {
    folder: tempfile::TempDir,
    programs: Programs,
}

impl HubHome {
    pub fn new(programs: &Programs, broker_port: u16, more: &str) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let url = format!("mqtt://127.0.0.1:{broker_port}");
        let login = format!("username = \"hub\"\nclient_id = \"hub\"\n{more}");
        let text = hub_file(&url, &login);
        std::fs::write(folder.path().join("hub.toml"), text).map_err(|error| error.to_string())?;
        Ok(Self {
            folder,
            programs: programs.clone(),
        })
    }

    /// Starts it and waits until it says that it is up.
    pub fn start(&self) -> Result<Program, String> {
        let mut command = Command::new(&self.programs.hub);
        command
            .args(["serve", "--config"])
            .arg(self.folder.path().join("hub.toml"));
        let hub = Program::start("the hub", &mut command)?;
        hub.says("booth-hub is up")?;
        Ok(hub)
    }

    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }
}

/// Where the microphone and the ear of a booth are.
#[derive(Debug, Clone)]
pub struct Sound {
    /// ALSA names.
    pub microphone: String,
    pub ear: String,
    /// What the program needs in its environment for them.
    pub environment: Vec<(&'static str, PathBuf)>,
}

impl Sound {
    /// A booth that has no sound card: it delivers, but invites nobody to speak.
    pub fn none() -> Self {
        Self {
            microphone: "plughw:CARD=none,DEV=0".into(),
            ear: "plughw:CARD=none,DEV=0".into(),
            environment: Vec::new(),
        }
    }
}

/// A booth's folder: configuration, spool and socket, kept across its kills.
pub struct BoothHome {
    pub id: String,
    folder: tempfile::TempDir,
    programs: Programs,
    sound: Sound,
}

impl BoothHome {
    /// A booth of one question (digit 1) that speaks to the broker on this port; `mqtt` is appended to `[mqtt]`.
    pub fn new(
        programs: &Programs,
        id: &str,
        broker_port: u16,
        sound: &Sound,
        mqtt: &str,
    ) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let home = Self {
            id: id.to_owned(),
            folder,
            programs: programs.clone(),
            sound: sound.clone(),
        };
        let prompts = home.folder.path().join("prompts");
        short_prompts(&prompts.join("da"))?;
        // Booths with an odd number seal.
        let seals = id.ends_with(['1', '3', '5', '7', '9']);
        let privacy = match seals {
            true => format!("recipients = [\"{}\"]", some_city()),
            false => "seal = false".to_owned(),
        };
        let text = BoothFile {
            id,
            name: "",
            mqtt: &format!("url = \"mqtt://127.0.0.1:{broker_port}\"\n{mqtt}"),
            privacy: &privacy,
            socket: &home.socket(),
            sound: (&sound.microphone, &sound.ear),
            spool: &home.spool(),
            prompts: &prompts,
            language: "da",
            health_s: 5,
            more: "",
        }
        .text();
        std::fs::write(home.folder.path().join("booth.toml"), text)
            .map_err(|error| error.to_string())?;
        Ok(home)
    }

    pub fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("handset.sock")
    }

    /// Names of the files in a folder of the spool.
    pub fn files(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.spool().join(folder));
        let entries = entries.into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    }

    /// Starts the gateway; it is not waited for.
    pub fn start(&self) -> Result<Booth, String> {
        let mut command = in_own_session(&self.programs.gateway);
        command
            .args(["run", "--config"])
            .arg(self.folder.path().join("booth.toml"))
            .envs(self.sound.environment.clone());
        Ok(Booth {
            program: Program::start(&self.id, &mut command)?,
            socket: self.socket(),
        })
    }
}

/// Prompts of a fifth of a second, so that a visit takes no longer than its citizen.
fn short_prompts(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    for name in ["notice", "square", "tone", "thanks", "goodbye"] {
        let path = folder.join(format!("{name}.wav"));
        let written = (|| {
            let mut wav = hound::WavWriter::create(path, spec)?;
            for n in 0..9_600 {
                let t = f64::from(n) / 48_000.0;
                let sample = (t * 440.0 * std::f64::consts::TAU).sin() * 4_000.0;
                wav.write_sample(sample as i16)?;
            }
            wav.finalize()
        })();
        written.map_err(|error| format!("a prompt: {error}"))?;
    }
    Ok(())
}

/// A running gateway.
pub struct Booth {
    pub program: Program,
    socket: PathBuf,
}

impl Booth {
    /// One line to the handset; an error if it is not answered with `ok`.
    pub fn handset(&self, line: &str) -> Result<(), String> {
        match send_line(&self.socket, line).as_deref() {
            Ok("ok") => Ok(()),
            other => Err(format!(
                "the handset answers {other:?} to {line:?}; {}",
                self.program.tail()
            )),
        }
    }

    /// The booth's state, if it answers.
    pub fn state(&self) -> Option<Value> {
        serde_json::from_str(&send_line(&self.socket, "state").ok()?).ok()
    }

    /// Waits until its state has this.
    pub fn reaches(&self, key: &str, value: impl Into<Value>) -> Result<Value, String> {
        let value = value.into();
        let mut last = None;
        let reached = wait_for(&format!("{key} becomes {value}"), || {
            last = self.state().or(last.take());
            last.clone().filter(|state| state[key] == value)
        });
        reached.map_err(|why| format!("{why}; last {last:?}; {}", self.program.tail()))
    }
}
