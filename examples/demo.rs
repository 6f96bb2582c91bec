//! `make run`: a booth, its broker and its hub on this machine, and a citizen who speaks.
//!
//! Starts everything on free loopback ports in a folder of its own, shows each step, and ends what it
//! started. With `--mic` the citizen is you: your microphone, and the keyboard as the handset.
#![allow(clippy::disallowed_methods)] // a demonstration: reads the clock, starts programs
#![allow(dead_code)] // of what it shares with the tests

#[path = "../tests/support/pulse.rs"]
mod pulse;
#[path = "../tests/support/wait.rs"]
mod wait;

use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use booth_gateway::adapters::handset_sim::send_line;
use booth_gateway::contract::{Ack, AckStatus, Topic, Topics};
use clap::Parser;
use pulse::{EAR, MIC, Pulse};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{Client, Event, MqttOptions};

const BOOTH: &str = "rundhoej-1";
const PATIENCE: Duration = Duration::from_secs(60);

/// Shows the main job: a citizen's words go from a handset to the centre over MQTT.
#[derive(Parser)]
struct Arguments {
    /// End after the hub's receipt: status 0, or 1 with the reason.
    #[arg(long)]
    once: bool,
    /// Your own microphone and speaker by an ALSA name (`arecord -L`), and the keyboard as the handset.
    #[arg(long, value_name = "ALSA NAME")]
    mic: Option<String>,
    /// The citizen's language.
    #[arg(long, default_value = "da", value_parser = ["da", "en"])]
    language: String,
}

type Children = Arc<Mutex<Vec<(String, Child)>>>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let folder = match make_folder() {
        Ok(folder) => folder,
        Err(error) => {
            eprintln!("no folder for the demonstration: {error}");
            return ExitCode::FAILURE;
        }
    };
    let children = Children::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let (work, path) = (children.clone(), folder.clone());
    let shown = runtime.block_on(async move {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok()?;
        let show = tokio::task::spawn_blocking(move || show(&arguments, &path, &work));
        tokio::select! {
            shown = show => Some(shown.unwrap_or_else(|_| Err("the demonstration failed; see above".into()))),
            _ = tokio::signal::ctrl_c() => None,
            _ = terminate.recv() => None,
        }
    });
    restore_terminal();
    for (_, child) in children.lock().expect("children").iter_mut().rev() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let code = match shown {
        Some(Err(why)) => {
            eprintln!("\n✗ {why}");
            for log in ["broker.log", "hub.log", "gateway.log"] {
                let text = std::fs::read_to_string(folder.join(log)).unwrap_or_default();
                let last: Vec<&str> = text.lines().rev().take(6).collect();
                if !last.is_empty() {
                    eprintln!("  the end of {log}:");
                    last.iter().rev().for_each(|line| eprintln!("    {line}"));
                }
            }
            eprintln!("  everything is kept in {}", folder.display());
            ExitCode::FAILURE
        }
        Some(Ok(())) | None => ExitCode::SUCCESS,
    };
    // A blocked reader of the keyboard must not hold the program.
    runtime.shutdown_background();
    code
}

/// `run/` beside this file's repository, made anew; git ignores it.
fn make_folder() -> std::io::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("run");
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::create_dir(&folder)?;
    Ok(folder)
}

struct Steps {
    start: Instant,
    colour: bool,
}

impl Steps {
    fn say(&self, mark: &str, text: &str) {
        let at = self.start.elapsed().as_secs_f64();
        let mark = if self.colour {
            format!("\x1b[32m{mark}\x1b[0m")
        } else {
            mark.to_owned()
        };
        print!("{at:6.2} s  {mark} {text}\r\n");
        let _ = std::io::stdout().flush();
    }

    fn done(&self, text: &str) {
        self.say("✓", text);
    }

    fn next(&self, text: &str) {
        self.say("·", text);
    }
}

fn free_port() -> Result<u16, String> {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    port.map(|address| address.port())
        .map_err(|error| format!("no free port: {error}"))
}

fn wait_for<T>(
    what: &str,
    mut probe: impl FnMut() -> Result<Option<T>, String>,
) -> Result<T, String> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(found) = probe()? {
            return Ok(found);
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    Err(format!("gave up waiting: {what}"))
}

struct Stage<'a> {
    folder: &'a Path,
    children: &'a Children,
    programs: PathBuf,
}

impl Stage<'_> {
    fn start(&self, name: &str, mut command: Command) -> Result<(), String> {
        let log = File::create(self.folder.join(format!("{name}.log")))
            .map_err(|error| error.to_string())?;
        let out = log.try_clone().map_err(|error| error.to_string())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{name} does not start ({error}); run `make packages`"))?;
        self.children
            .lock()
            .expect("children")
            .push((name.to_owned(), child));
        Ok(())
    }

    /// Everything must still run.
    fn check(&self) -> Result<(), String> {
        for (name, child) in self.children.lock().expect("children").iter_mut() {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(format!("{name} has ended with {status}"));
            }
        }
        Ok(())
    }

    fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(format!("{name}.log"))).unwrap_or_default()
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let path = self.folder.join(name);
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }
}

fn show(arguments: &Arguments, folder: &Path, children: &Children) -> Result<(), String> {
    let steps = Steps {
        start: Instant::now(),
        colour: std::io::stdout().is_terminal(),
    };
    let programs = std::env::current_exe()
        .ok()
        .and_then(|path| Some(path.parent()?.parent()?.to_owned()))
        .ok_or("the programs cannot be found; run `make run`")?;
    let stage = Stage {
        folder,
        children,
        programs,
    };
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let pulse = arguments.mic.is_none().then(Pulse::start);
    if pulse.is_some() {
        steps.done("a sound card without hardware (PulseAudio)");
    }

    let broker = free_port()?;
    let pages = start_hub(&stage, broker)?;
    steps.done(&format!(
        "the hub, with its MQTT 5 broker on port {broker}; pages on {pages}"
    ));
    let acks = watch_acks(broker)?;

    let (input, output) = match &arguments.mic {
        Some(name) => (name.as_str(), name.as_str()),
        None => (MIC, EAR),
    };
    // A socket's path must be short (unix(7)), so it has a folder of its own.
    let sockets = tempfile::tempdir().map_err(|error| error.to_string())?;
    let socket = sockets.path().join("handset.sock");
    let config = stage.write(
        "booth.toml",
        &format!(
            "[booth]\nid = \"{BOOTH}\"\nname = \"Rundhøj Torv\"\n\
             [mqtt]\nurl = \"mqtt://127.0.0.1:{broker}\"\n\
             [handset]\nbackend = \"sim\"\ncontrol_socket = {socket:?}\n\
             [audio]\ninput = {input:?}\noutput = {output:?}\n\
             [spool]\ndir = {:?}\nreserve_bytes = 1_000_000\n\
             [privacy]\nseal = false\n[health]\ninterval_s = 5\n\
             [session]\nprompts = {:?}\nlanguage = {:?}\n\
             [[question]]\nid = \"square\"\ndigit = 1\nkind = \"speak\"\n\
             [[question]]\nid = \"bus\"\ndigit = 2\nkind = \"speak\"\n",
            folder.join("spool"),
            fixtures.join("prompts"),
            arguments.language
        ),
    )?;
    let mut gateway = Command::new(stage.programs.join("booth-gateway"));
    gateway.arg("run").arg("--config").arg(&config);
    if let Some(pulse) = &pulse {
        gateway.envs(pulse.environment());
    }
    stage.start("gateway", gateway)?;
    wait_for("the booth is ready; is the sound card there?", || {
        stage.check()?;
        let state = state(&socket);
        Ok(state
            .filter(|state| state["ready"] == 1 && state["hub_online"] == 1)
            .map(drop))
    })?;
    steps.done("the booth is ready: microphone, earpiece, spool and handset work");

    match &pulse {
        Some(pulse) => {
            citizen(&steps, &stage, pulse, &socket, &acks, &fixtures, arguments)?;
            steps.done(&format!(
                "listen to it on {pages}; the booths are on {pages}operations"
            ));
            if arguments.once {
                return Ok(());
            }
            steps.next("everything stays up; Ctrl-C ends it");
            loop {
                stage.check()?;
                std::thread::park_timeout(Duration::from_secs(1));
            }
        }
        None => keyboard(&steps, &stage, &socket, &acks, &pages),
    }
}

fn start_hub(stage: &Stage<'_>, broker: u16) -> Result<String, String> {
    let config = stage.write(
        "hub.toml",
        &format!(
            "[mqtt]\nurl = \"mqtt://127.0.0.1:{broker}\"\n[store]\ndir = {:?}\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [embedded_broker]\nlisten = \"127.0.0.1:{broker}\"\n\
             [[booth]]\nid = \"{BOOTH}\"\nname = \"Rundhøj Torv\"\nplace = \"Rundhøj\"\n",
            stage.folder.join("hub")
        ),
    )?;
    let mut hub = Command::new(stage.programs.join("booth-hub"));
    hub.args(["serve", "--embedded-broker", "--config"])
        .arg(config);
    stage.start("hub", hub)?;
    wait_for("the hub is up", || {
        stage.check()?;
        let log = stage.log("hub");
        let address = log
            .split("pages on ")
            .nth(1)
            .and_then(|rest| rest.split([',', '\n']).next());
        Ok(address.map(str::to_owned))
    })
}

/// Tells each clip that the hub has stored, at the moment its ack passes the broker.
fn watch_acks(broker: u16) -> Result<Receiver<(Instant, String)>, String> {
    let (sender, acks) = channel();
    let mut options = MqttOptions::new("demo-watcher", "127.0.0.1", broker);
    options
        .set_keep_alive(Duration::from_secs(10))
        .set_outgoing_inflight_upper_limit(8);
    let (client, mut connection) = Client::new(options, 8);
    let topics = Topics::new("booth/1");
    client
        .subscribe("booth/1/dn/+/ack/+", QoS::AtLeastOnce)
        .map_err(|error| error.to_string())?;
    let (ready, subscribed) = channel();
    std::thread::spawn(move || {
        let _client = client;
        for event in connection.iter() {
            match event {
                Ok(Event::Incoming(Packet::SubAck(_))) => drop(ready.send(())),
                Ok(Event::Incoming(Packet::Publish(message))) => {
                    let topic = String::from_utf8_lossy(&message.topic).into_owned();
                    if let (Some(Topic::Ack(_, clip)), Ok(ack)) = (
                        topics.parse(&topic),
                        serde_json::from_slice::<Ack>(&message.payload),
                    ) && ack.status == AckStatus::Stored
                    {
                        let _ = sender.send((Instant::now(), clip));
                    }
                }
                Ok(_) => {}
                Err(_) => std::thread::park_timeout(Duration::from_millis(200)),
            }
        }
    });
    subscribed
        .recv_timeout(PATIENCE)
        .map_err(|_| "the broker does not answer".to_owned())?;
    Ok(acks)
}

fn state(socket: &Path) -> Option<serde_json::Value> {
    serde_json::from_str(&send_line(socket, "state").ok()?).ok()
}

fn press(socket: &Path, line: &str) -> Result<(), String> {
    match send_line(socket, line)?.as_str() {
        "ok" => Ok(()),
        other => Err(format!("the handset answers {line:?} with {other:?}")),
    }
}

fn reach(stage: &Stage<'_>, socket: &Path, session: &str) -> Result<(), String> {
    wait_for(&format!("the session is at {session:?}"), || {
        stage.check()?;
        Ok(state(socket)
            .filter(|state| state["session"] == session)
            .map(drop))
    })
}

fn citizen(
    steps: &Steps,
    stage: &Stage<'_>,
    pulse: &Pulse,
    socket: &Path,
    acks: &Receiver<(Instant, String)>,
    fixtures: &Path,
    arguments: &Arguments,
) -> Result<(), String> {
    let ear = stage.folder.join("ear.raw");
    let listener = pulse.listen(&ear);
    press(socket, "lift")?;
    steps.next("a citizen lifts the handset and hears who records and why …");
    reach(stage, socket, "question")?;
    steps.next("… and the questions");
    let before = heard(&ear);
    wait_for("the question is heard in the earpiece", || {
        stage.check()?;
        Ok((heard(&ear) > before + 2 * 48_000 && loudest(&ear, 48_000) > 1000).then_some(()))
    })?;
    drop(listener);
    steps.done("the earpiece speaks");
    press(socket, "dial 1")?;
    steps.next("the citizen dials 1: consent, and the choice of a question");
    reach(stage, socket, "recording")?;
    steps.done("the tone has sounded; what is said now is kept");
    let speech = fixtures.join(format!("speech/{}.opus", arguments.language));
    let wav = stage.folder.join("speech.wav");
    let decoded = Command::new("opusdec")
        .arg("--quiet")
        .args([&speech, &wav])
        .status();
    if !decoded.is_ok_and(|status| status.success()) {
        return Err("opusdec cannot decode the citizen's recording; run `make packages`".into());
    }
    pulse.speak(&wav);
    steps.next("the citizen has spoken");
    let hung_up = Instant::now();
    press(socket, "hang-up")?;
    steps.next("and hangs up");
    receipt(steps, stage, acks, hung_up)
}

/// Samples at the ear so far.
fn heard(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len() / 2)
}

/// Largest magnitude in the last samples of a raw recording.
fn loudest(path: &Path, samples: usize) -> i32 {
    let bytes = std::fs::read(path).unwrap_or_default();
    let from = bytes.len().saturating_sub(2 * samples) / 2 * 2;
    bytes[from..]
        .chunks_exact(2)
        .map(|pair| i32::from(i16::from_le_bytes([pair[0], pair[1]])).abs())
        .max()
        .unwrap_or(0)
}

fn receipt(
    steps: &Steps,
    stage: &Stage<'_>,
    acks: &Receiver<(Instant, String)>,
    hung_up: Instant,
) -> Result<(), String> {
    let (at, clip) = acks
        .recv_timeout(PATIENCE)
        .map_err(|_| "the hub has not confirmed the clip".to_owned())?;
    let path = stage
        .folder
        .join("hub/clips")
        .join(&clip[..2.min(clip.len())])
        .join(format!("{clip}.opus"));
    let took = at.saturating_duration_since(hung_up).as_millis();
    steps.done(&format!(
        "the hub has it, by its hash, {took} ms after hanging up"
    ));
    let info = Command::new("opusinfo")
        .arg(&path)
        .output()
        .map_err(|error| error.to_string())?;
    let info = String::from_utf8_lossy(&info.stdout).into_owned();
    let length = info
        .lines()
        .find_map(|line| line.trim().strip_prefix("Playback length: "));
    steps.done(&format!(
        "the clip: {} ({})",
        path.display(),
        length.unwrap_or("length unknown")
    ));
    Ok(())
}

fn keyboard(
    steps: &Steps,
    stage: &Stage<'_>,
    socket: &Path,
    acks: &Receiver<(Instant, String)>,
    pages: &str,
) -> Result<(), String> {
    steps.next(&format!(
        "space lifts and hangs up, 0-9 * # dial, q quits; the hub's page: {pages}"
    ));
    let input = std::io::stdin();
    if let Ok(mut raw) = rustix::termios::tcgetattr(&input) {
        SAVED_TERMINAL
            .lock()
            .expect("terminal")
            .replace(raw.clone());
        raw.make_raw();
        let _ = rustix::termios::tcsetattr(&input, rustix::termios::OptionalActions::Now, &raw);
    }
    let (sender, keys) = channel();
    std::thread::spawn(move || {
        for byte in std::io::stdin().lock().bytes().map_while(Result::ok) {
            if sender.send(byte).is_err() {
                return;
            }
        }
    });
    let (mut lifted, mut shown) = (false, String::new());
    let mut hung_up = Instant::now();
    loop {
        stage.check()?;
        if let Some(now) =
            state(socket).and_then(|state| Some(state["session"].as_str()?.to_owned()))
            && now != shown
        {
            steps.next(&now);
            shown = now;
        }
        while let Ok((at, clip)) = acks.try_recv() {
            let took = at.saturating_duration_since(hung_up).as_millis();
            steps.done(&format!(
                "the hub has clip {clip}, {took} ms after hanging up; listen on {pages}"
            ));
        }
        match keys.recv_timeout(Duration::from_millis(100)) {
            Ok(b' ') => {
                lifted = !lifted;
                if !lifted {
                    hung_up = Instant::now();
                }
                press(socket, if lifted { "lift" } else { "hang-up" })?;
            }
            Ok(key @ (b'0'..=b'9' | b'*' | b'#')) => {
                press(socket, &format!("dial {}", char::from(key)))?
            }
            Ok(b'q' | 3 | 4) => return Ok(()),
            Ok(_) | Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
                std::thread::park_timeout(Duration::from_secs(1));
            }
        }
    }
}

static SAVED_TERMINAL: Mutex<Option<rustix::termios::Termios>> = Mutex::new(None);

fn restore_terminal() {
    if let Some(saved) = SAVED_TERMINAL.lock().expect("terminal").take() {
        let _ = rustix::termios::tcsetattr(
            std::io::stdin(),
            rustix::termios::OptionalActions::Now,
            &saved,
        );
    }
}
