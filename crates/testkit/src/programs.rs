//! The product's programs and Mosquitto as processes, for the campaigns: nothing here panics, every fault
//! is a sentence, and every process ends with its value.
#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use booth_gateway::adapters::handset_sim::send_line;
use serde_json::Value;

use booth_stage::session::{Leash, in_own_session};

/// How long a single step may take before it counts as never happening. No figure is made of it.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Asks `probe` until it answers; an error is the sentence `what`.
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> Result<T, String> {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return Ok(found);
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("never happened: {what}"));
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

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

/// A port of loopback that nobody listens on, outside of the range that outgoing connections take theirs
/// from, so that a stopped broker's port is still free when it starts again.
pub fn quiet_port() -> Result<u16, String> {
    for _ in 0..1_000 {
        let port = 10_000 + (uuid::Uuid::new_v4().as_u128() % 22_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("there is no free port".into())
}

type Lines = Arc<Mutex<Vec<(Instant, String)>>>;

/// A running program whose log is kept in memory.
pub struct Program {
    name: String,
    child: Child,
    lines: Lines,
    reader: Option<std::thread::JoinHandle<()>>,
    _leash: Leash,
}

impl Program {
    /// Starts it; its standard error is its log.
    pub fn start(name: &str, command: &mut Command) -> Result<Self, String> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{name} does not start: {error}"))?;
        let _leash = Leash::on(child.id());
        let lines = Lines::default();
        let told = lines.clone();
        let read = |stderr| {
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                    told.push((Instant::now(), line));
                }
            })
        };
        let reader = child.stderr.take().map(read);
        Ok(Self {
            name: name.to_owned(),
            child,
            lines,
            reader,
            _leash,
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What `look` finds in its log.
    pub fn log<T>(&self, look: impl FnOnce(&[(Instant, String)]) -> T) -> T {
        look(&self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The last lines of its log.
    pub fn tail(&self) -> String {
        self.log(|lines| {
            let last = lines[lines.len().saturating_sub(12)..].iter();
            let last: Vec<&str> = last.map(|(_, line)| line.as_str()).collect();
            format!("{} said at last:\n  {}", self.name, last.join("\n  "))
        })
    }

    /// Waits for a line with this in it; answers when it came, and the line.
    pub fn says(&self, text: &str) -> Result<(Instant, String), String> {
        let found = wait_for(&format!("{} says {text:?}", self.name), || {
            self.log(|lines| lines.iter().find(|(_, line)| line.contains(text)).cloned())
        });
        found.map_err(|why| format!("{why}; {}", self.tail()))
    }

    /// Every value of `key=` in the lines that contain `text`.
    pub fn values(&self, text: &str, key: &str) -> Vec<String> {
        let mark = format!("{key}=");
        let value = |line: &str| {
            let (_, rest) = line.split_once(&mark)?;
            Some(rest.split([' ', ';']).next()?.trim_matches('"').to_owned())
        };
        self.log(|lines| {
            let lines = lines.iter().filter(|(_, line)| line.contains(text));
            lines.filter_map(|(_, line)| value(line)).collect()
        })
    }

    /// SIGKILL; afterwards its log is whole.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }

    /// SIGTERM, and whether it ended well.
    pub fn stop(&mut self) -> Result<(), String> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .map_err(|error| format!("{} cannot be told to stop: {error}", self.name))?;
        let name = self.name.clone();
        let child = &mut self.child;
        let status = wait_for(&format!("{name} stops"), || child.try_wait().ok()?)?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("{name} ended with {status}; {}", self.tail()))
        }
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// A line of `/proc/<pid>/status` in KiB.
    pub fn memory_kib(&self, key: &str) -> Result<u64, String> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .map_err(|error| format!("{}: {error}", self.name))?;
        let line = status.lines().find(|line| line.starts_with(key));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
            .ok_or_else(|| format!("{key} of {} is not known", self.name))
    }

    /// CPU seconds that it has used.
    pub fn cpu_s(&self) -> f64 {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map_or("", |(_, rest)| rest)
            .split_whitespace()
            .collect();
        let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok());
        (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A Mosquitto of its own, that can be killed and started again on the same port and store.
pub struct Mosquitto {
    program: Option<Program>,
    folder: tempfile::TempDir,
    pub port: u16,
}

impl Mosquitto {
    /// Starts it with these lines in its configuration; `files` are put beside it.
    pub fn start(rules: &str, files: &[(&str, &str)]) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).map_err(|error| error.to_string())?;
        }
        let port = quiet_port()?;
        let mut broker = Self {
            program: None,
            folder,
            port,
        };
        broker.configure(rules)?;
        broker.start_again()?;
        Ok(broker)
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
        let config = format!("listener {} 127.0.0.1\nuser root\n{rules}", self.port);
        std::fs::write(self.folder.path().join("mosquitto.conf"), config)
            .map_err(|error| error.to_string())
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits for a line of its log.
    pub fn says(&self, text: &str) -> Result<(Instant, String), String> {
        let program = self.program.as_ref().ok_or("mosquitto does not run")?;
        program.says(text)
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
        let mut command = Command::new("mosquitto");
        command
            .args(["-c", "mosquitto.conf"])
            .current_dir(self.folder.path());
        let mut program = Program::start("mosquitto", &mut command)?;
        wait_for("mosquitto listens", || {
            let listens = TcpStream::connect(("127.0.0.1", self.port)).is_ok();
            (listens || !program.is_running()).then_some(())
        })?;
        if !program.is_running() {
            return Err(format!("mosquitto ended at once; {}", program.tail()));
        }
        self.program = Some(program);
        Ok(())
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
        let text = format!(
            "[store]\ndir = \"store\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [mqtt]\nurl = \"mqtt://127.0.0.1:{broker_port}\"\nusername = \"hub\"\nclient_id = \"hub\"\n{more}"
        );
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
        let text = format!(
            "[booth]\nid = {id:?}\n[mqtt]\nurl = \"mqtt://127.0.0.1:{broker_port}\"\n{mqtt}\n\
             [handset]\nbackend = \"sim\"\ncontrol_socket = {socket:?}\n\
             [audio]\ninput = {mic:?}\noutput = {ear:?}\n\
             [spool]\ndir = {spool:?}\nreserve_bytes = 1_000_000\n\
             [privacy]\nseal = false\n[health]\ninterval_s = 5\n\
             [session]\nprompts = {prompts:?}\nlanguage = \"da\"\n\
             [[question]]\nid = \"square\"\ndigit = 1\nkind = \"speak\"\n",
            mic = sound.microphone,
            ear = sound.ear,
            socket = home.socket(),
            spool = home.spool(),
        );
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
