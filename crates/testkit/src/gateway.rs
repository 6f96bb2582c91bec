//! The real gateway binary, driven through its control socket.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Instant;

use booth_gateway::adapters::handset_sim::send_line;
use booth_stage::files::BoothFile;
use booth_stage::program::Program;
use booth_stage::pulse::{EAR, MIC, Pulse};
use booth_stage::session::in_own_session;
use booth_stage::speech::decode;
use booth_stage::wait::wait_for;
use rustix::process::Signal;
use serde_json::Value;

use super::{gateway_program, repository};

/// Where a gateway lives: configuration, spool, socket.
pub struct BoothHome {
    folder: tempfile::TempDir,
}

/// The repository's own prompts.
pub fn fixtures() -> PathBuf {
    repository().join("tests/fixtures")
}

impl BoothHome {
    /// A booth of two questions that speaks to the broker on this port; `more` is appended to booth.toml.
    pub fn new(broker_port: u16, more: &str) -> Self {
        Self::with_mqtt(&format!("url = \"mqtt://127.0.0.1:{broker_port}\""), more)
    }

    /// The same with its own `[mqtt]` lines.
    pub fn with_mqtt(mqtt: &str, more: &str) -> Self {
        Self::with(mqtt, "seal = false", more)
    }

    /// A booth that seals to this public key, or has none.
    pub fn sealed(broker_port: u16, recipient: Option<&str>, more: &str) -> Self {
        let mqtt = format!("url = \"mqtt://127.0.0.1:{broker_port}\"");
        let recipients = recipient.map(|key| format!("recipients = [{key:?}]"));
        Self::with(&mqtt, &recipients.unwrap_or_default(), more)
    }

    fn with(mqtt: &str, privacy: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Self { folder };
        let text = BoothFile {
            id: "rundhoej-1",
            name: "Rundhøj Torv",
            mqtt,
            privacy,
            socket: &home.socket(),
            sound: (MIC, EAR),
            spool: &home.spool(),
            prompts: &fixtures().join("prompts"),
            language: "da",
            health_s: 1,
            more,
        }
        .text();
        std::fs::write(home.config(), text).expect("a file");
        home
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// `booth.toml`.
    pub fn config(&self) -> PathBuf {
        self.path().join("booth.toml")
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.path().join("handset.sock")
    }

    /// The spool's folder.
    pub fn spool(&self) -> PathBuf {
        self.path().join("spool")
    }

    /// Files of one folder of the spool.
    pub fn files(&self, folder: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.spool().join(folder))
            .into_iter()
            .flatten()
            .flatten();
        entries.map(|entry| entry.path()).collect()
    }
}

/// A running gateway.
pub struct Gateway {
    program: Program,
    socket: PathBuf,
}

impl Gateway {
    /// Starts it on this card.
    pub fn start(home: &BoothHome, pulse: &Pulse) -> Self {
        Self::start_in(home, pulse.environment())
    }

    /// Starts it where there is no sound card.
    pub fn start_deaf(home: &BoothHome) -> Self {
        Self::start_in(
            home,
            [("ALSA_CONFIG_PATH", "/usr/share/alsa/alsa.conf".into())],
        )
    }

    /// Starts it in this environment.
    pub fn start_in(
        home: &BoothHome,
        environment: impl IntoIterator<Item = (&'static str, PathBuf)>,
    ) -> Self {
        Self::start_at(&home.config(), home.socket(), &[], environment)
    }

    /// Starts it with this configuration and more arguments; `socket` is where its handset listens.
    pub fn start_at(
        config: &Path,
        socket: PathBuf,
        arguments: &[&str],
        environment: impl IntoIterator<Item = (&'static str, PathBuf)>,
    ) -> Self {
        let mut command = in_own_session(gateway_program());
        command.arg("run").args(arguments);
        command.arg("--config").arg(config).envs(environment);
        let program = Program::start("the gateway", &mut command);
        Self {
            program: program.unwrap_or_else(|why| panic!("{why}")),
            socket,
        }
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        self.program.lines().join("\n")
    }

    /// Forgets what it has logged so far.
    pub fn clear_log(&self) {
        self.program.clear_log();
    }

    /// Waits until it has logged a line with this; answers when, and the line.
    pub fn says(&self, text: &str) -> (Instant, String) {
        let said = self.program.says(text);
        said.unwrap_or_else(|why| panic!("{why}; all of it:\n{}", self.log()))
    }

    /// One line to the handset, which must be answered with `ok`.
    pub fn handset(&self, line: &str) {
        assert_eq!(
            send_line(&self.socket, line).as_deref(),
            Ok("ok"),
            "{line}\n{}",
            self.log()
        );
    }

    /// The booth's state.
    pub fn state(&self) -> Option<Value> {
        serde_json::from_str(&send_line(&self.socket, "state").ok()?).ok()
    }

    /// Waits until the state has this.
    pub fn reaches(&self, key: &str, value: impl Into<Value>) -> Value {
        let value = value.into();
        let mut last = None;
        let reached = wait_for(&format!("{key} = {value}"), || {
            last = self.state().or(last.take());
            last.clone().filter(|state| state[key] == value)
        });
        reached
            .unwrap_or_else(|why| panic!("{why}; last {last:?}; the gateway said:\n{}", self.log()))
    }

    /// Somebody lifts the handset, dials 1 and is recorded.
    pub fn records(&self) {
        self.handset("lift");
        self.reaches("session", "question");
        self.handset("dial 1");
        self.reaches("session", "recording");
    }

    /// Somebody is recorded, says a sentence into this sound card and hangs up.
    pub fn takes_a_message(&self, booth: &BoothHome, pulse: &Pulse) {
        let wav = booth.path().join("speech.wav");
        decode(&fixtures().join("speech/da.opus"), &wav).expect("decoded");
        self.records();
        pulse.speak(&wav);
        self.handset("hang-up");
    }

    /// Power cut, as far as a process can have one.
    pub fn kill(mut self) {
        self.program.kill();
    }

    /// SIGHUP.
    pub fn hang_up_signal(&self) {
        self.program
            .signal(Signal::HUP)
            .unwrap_or_else(|why| panic!("{why}"));
    }

    /// SIGTERM, and its exit status.
    pub fn stop(mut self) -> ExitStatus {
        self.program
            .terminate()
            .unwrap_or_else(|why| panic!("{why}"))
    }

    /// Waits until it ends by itself.
    pub fn ends(mut self) -> (ExitStatus, String) {
        let status = self.program.ends();
        (status.unwrap_or_else(|why| panic!("{why}")), self.log())
    }
}
