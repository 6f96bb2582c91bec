//! The real gateway on a card of its own, by the path of its program.
//!
//! Owns: the process and its folder beside the card. Never does: touch the card. Ended with the value.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use booth_gateway::adapters::handset_sim::send_line;
use booth_sealing::{Identity, KernelRandom};
use booth_stage::program::Program;
use booth_stage::pulse::{EAR, MIC, Pulse};
use booth_stage::session::in_own_session;
use booth_stage::wait::{PATIENCE, wait_for};
use serde_json::Value;

use super::programs::Programs;

/// Writes `booth.toml` for a spool in `card`; `mqtt` are the lines of that table.
pub fn configure(home: &Path, card: &Path, mqtt: &str) -> Result<(), String> {
    let text = format!(
        "[booth]\nid = \"rundhoej-1\"\n[mqtt]\n{mqtt}\n\
         [handset]\nbackend = \"sim\"\ncontrol_socket = {socket:?}\n\
         [audio]\ninput = \"{MIC}\"\noutput = \"{EAR}\"\n\
         [spool]\ndir = {spool:?}\nreserve_bytes = 1_000_000\n\
         [privacy]\nrecipients = [\"{city}\"]\n\
         [session]\nprompts = {prompts:?}\n\
         [[question]]\nid = \"square\"\ndigit = 1\nkind = \"speak\"\n",
        city = some_city(),
        socket = home.join("handset.sock"),
        spool = card.join("spool"),
        prompts = home.join("tones-will-do"),
    );
    std::fs::write(home.join("booth.toml"), text).map_err(|error| format!("booth.toml: {error}"))
}

/// The public key of a city that opens nothing: what becomes of a sealed clip is asked of its bytes.
pub fn some_city() -> String {
    let city = Identity::generate(&mut KernelRandom).expect("the kernel gives chance");
    city.recipient().to_string()
}

/// A running gateway.
pub struct CrashBooth {
    program: Program,
    socket: PathBuf,
}

impl CrashBooth {
    /// Starts it in `home`; `heard` gets each line that it logs, in the thread that reads them.
    pub fn start(
        programs: &Programs,
        home: &Path,
        pulse: &Pulse,
        heard: impl Fn(&str) + Send + 'static,
    ) -> Result<Self, String> {
        let mut command = in_own_session(&programs.gateway);
        command
            .args(["run", "--config"])
            .arg(home.join("booth.toml"))
            .envs(pulse.environment());
        Ok(Self {
            program: Program::start_heard("the gateway", &mut command, heard)?,
            socket: home.join("handset.sock"),
        })
    }

    /// How long its threads have waited for a processor, in ms (proc_pid_schedstat(5)).
    pub fn starved_ms(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.program.pid()));
        let waited = |task: std::fs::DirEntry| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split(' ').nth(1)?.parse::<u64>().ok()
        };
        let all = tasks.into_iter().flatten().flatten().filter_map(waited);
        all.sum::<u64>() / 1_000_000
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Waits until it has logged a line with this; when that was.
    pub fn says(&self, text: &str) -> Result<Instant, String> {
        self.program.says(text).map(|(at, _)| at)
    }

    /// Forgets what it has logged so far.
    pub fn clear_log(&self) {
        self.program.clear_log();
    }

    /// Everything that it has logged.
    pub fn log(&self) -> Vec<String> {
        self.program.lines()
    }

    /// How many lines say this.
    pub fn count(&self, text: &str) -> usize {
        let says = |(_, line): &&(Instant, String)| line.contains(text);
        self.program.log(|lines| lines.iter().filter(says).count())
    }

    /// One line to the handset, answered with `ok`.
    pub fn handset(&self, line: &str) -> Result<(), String> {
        match send_line(&self.socket, line)?.as_str() {
            "ok" => Ok(()),
            other => Err(format!("the handset's {line:?} is answered {other:?}")),
        }
    }

    /// Waits until its state has this; a gateway that ends does not get there.
    pub fn reaches(&mut self, key: &str, value: impl Into<Value>) -> Result<(), String> {
        let value = value.into();
        let start = Instant::now();
        let mut last = String::new();
        loop {
            if let Ok(state) = send_line(&self.socket, "state") {
                let known: Value = serde_json::from_str(&state).unwrap_or_default();
                if known[key] == value {
                    return Ok(());
                }
                last = state;
            }
            let ended = self.program.ended();
            if ended.is_some() || start.elapsed() > PATIENCE {
                let log = self.log().join("\n");
                return Err(format!(
                    "never {key} = {value} (ended: {ended:?}, last {last}); it said:\n{log}"
                ));
            }
            std::thread::park_timeout(Duration::from_millis(3));
        }
    }

    /// Lifts and dials until a recording runs. A citizen who is told *out of order* hangs up and comes back.
    pub fn lift_and_choose(&mut self) -> Result<(), String> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            self.reaches("ready", 1)?;
            self.handset("lift")?;
            self.handset("dial 1")?;
            let state = wait_for("a recording runs", || {
                let state = send_line(&self.socket, "state").ok()?;
                let state: Value = serde_json::from_str(&state).ok()?;
                let session = state["session"].as_str()?.to_owned();
                matches!(session.as_str(), "recording" | "out_of_order").then_some(session)
            })?;
            if state == "recording" {
                return Ok(());
            }
            self.handset("hang-up")?;
        }
        Err(format!("it stays out of order:\n{}", self.log().join("\n")))
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.program.kill();
    }

    /// SIGTERM, and its exit status.
    pub fn stop(mut self) -> Result<ExitStatus, String> {
        self.program.terminate()
    }
}
