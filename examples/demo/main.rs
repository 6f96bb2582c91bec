//! `make run`: a booth, its broker and its hub on this machine, and a citizen who speaks.
//!
//! Starts everything on free loopback ports in a folder of its own, shows each step, and ends what it
//! started. With `--mic` the citizen is you: your microphone, and the keyboard as the handset.
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![allow(clippy::disallowed_methods)] // a demonstration: reads the clock, starts programs

mod campaign;
mod sealed;
mod watch;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use booth_host::complain;
use booth_stage::city;
use booth_stage::files::{BoothFile, hub_file};
use booth_stage::mosquitto::free_port;
use booth_stage::pulse::{EAR, MIC, Pulse};
use booth_stage::screen::Screen;
use booth_stage::session::in_own_session;
use booth_stage::speech;
use booth_stage::stage::{Fault, Stage};
use booth_stage::visit;
use booth_stage::visit::Visitor;
use clap::Parser;
use watch::Operations;

const BOOTH: &str = "rundhoej-1";
/// The file of the city's private key.
const KEY: &str = "city.key";

/// Shows the main job: a city asks, a citizen's sealed words and another's vote go from a handset to the centre over MQTT, and a message is taken back.
#[derive(Parser)]
struct Arguments {
    /// End after the last visit: status 0, or 1 with the reason.
    #[arg(long)]
    once: bool,
    /// Your own microphone and speaker by an ALSA name (`arecord -L`), and the keyboard as the handset.
    #[arg(long, value_name = "ALSA NAME")]
    mic: Option<String>,
    /// The citizen's language.
    #[arg(long, default_value = "da", value_parser = ["da", "en"])]
    language: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let stage = match make_folder() {
        Ok(folder) => Arc::new(Stage::new(&folder)),
        Err(error) => {
            complain!("no folder for the demonstration: {error}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            complain!("the system refuses: {error}");
            return ExitCode::FAILURE;
        }
    };
    // The sound card is ended after the gateway, which would report its loss.
    let card: Arc<Mutex<Option<Pulse>>> = Arc::default();
    let (work, sound) = (stage.clone(), card.clone());
    let shown = runtime.block_on(async move {
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok()?;
        let show = tokio::task::spawn_blocking(move || show(&arguments, &work, &sound));
        tokio::select! {
            shown = show => Some(shown.unwrap_or_else(|panic| Err(sentence(panic)))),
            _ = tokio::signal::ctrl_c() => None,
            _ = terminate.recv() => None,
        }
    });
    restore_terminal();
    let told = match shown {
        Some(Err(fault)) => Some(stage.tell(&fault)),
        Some(Ok(())) | None => None,
    };
    stage.end();
    // A blocked reader of the keyboard must not hold the program.
    runtime.shutdown_background();
    match told {
        Some(told) => {
            complain!("\n{}", told.trim_end());
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

/// What the sound card's support panics with is a sentence.
fn sentence(panic: tokio::task::JoinError) -> Fault {
    let said = panic.try_into_panic().ok();
    let said = said.and_then(|said| said.downcast::<String>().ok());
    said.map_or_else(
        || "the demonstration failed; see above".to_owned(),
        |said| *said,
    )
    .into()
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

fn write(stage: &Stage, name: &str, text: &str) -> Result<PathBuf, Fault> {
    let path = stage.folder.join(name);
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

fn show(arguments: &Arguments, stage: &Stage, card: &Mutex<Option<Pulse>>) -> Result<(), Fault> {
    let programs = std::env::current_exe()
        .ok()
        .and_then(|path| Some(path.parent()?.to_owned()))
        .ok_or_else(|| "the programs cannot be found; run `make run`".to_owned())?;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let steps = &stage.steps;
    let mut card = card.lock().expect("the sound card");
    let pulse = match &arguments.mic {
        None => {
            let pulse = &*card.insert(Pulse::start_patiently());
            steps.done("a sound card without hardware (PulseAudio)");
            Some(pulse)
        }
        Some(name) => {
            if let Some(advice) = advice(name) {
                steps.next(advice);
            }
            None
        }
    };

    let broker = start_broker(stage)?;
    steps.done(&format!(
        "the broker: Mosquitto {} on port {}, with docs/mosquitto.acl and a password for each role",
        broker.version, broker.port
    ));
    let operations = Operations::connect(stage, broker.port, &broker.operations)?;
    let recipient = make_key(stage, &programs)?;
    steps.done(&format!(
        "the city's key: {}, and {} to be printed",
        shown(&stage.folder.join(KEY)),
        shown(&stage.folder.join("city.html"))
    ));
    let Pages { staff: pages, city } = start_hub(stage, &programs, broker.port)?;
    steps.done(&format!(
        "the hub; pages for staff on {pages}, for citizens on {city}"
    ));

    let (input, output) = match &arguments.mic {
        Some(name) => (name.as_str(), name.as_str()),
        None => (MIC, EAR),
    };
    // A socket's path must be short (unix(7)), so it has a folder of its own.
    let sockets = tempfile::tempdir().map_err(|error| error.to_string())?;
    let socket = sockets.path().join("handset.sock");
    let screen_port = free_port()?;
    let config = write(
        stage,
        "booth.toml",
        &BoothFile {
            id: BOOTH,
            name: "Rundhøj Torv",
            mqtt: &format!(
                "url = \"mqtt://127.0.0.1:{}\"\npassword_file = \"{BOOTH}.password\"",
                broker.port
            ),
            privacy: &format!("recipients = [{recipient:?}]"),
            socket: &socket,
            sound: (input, output),
            spool: &stage.folder.join("spool"),
            prompts: &fixtures.join("prompts"),
            language: &arguments.language,
            health_s: 5,
            more: &format!("[screen]\nenabled = true\nlisten = \"127.0.0.1:{screen_port}\"\n"),
        }
        .text(),
    )?;
    let mut gateway = in_own_session(programs.join("booth-gateway"));
    gateway.arg("run").arg("--config").arg(&config);
    if let Some(pulse) = pulse {
        gateway.envs(pulse.environment());
    }
    stage.start("gateway", gateway)?;
    visit::ready(stage, &socket)?;
    steps.done("the booth is ready: microphone, earpiece, spool and handset work");
    operations.see_the_booth(stage)?;
    steps.done("operations see it online");
    campaign::ask(
        stage,
        &programs,
        &fixtures.join("prompts"),
        &arguments.language,
    )?;
    visit::ready(stage, &socket)?;
    let citizens_read = || -> Result<(), Fault> {
        let page = format!("{city}{}/", arguments.language);
        shows(stage, &page, campaign::square(&arguments.language))?;
        steps.done(&format!(
            "citizens read the question, and can answer it from home, on {page}"
        ));
        Ok(())
    };
    steps.next(&format!(
        "what the booth's screen shows: http://127.0.0.1:{screen_port}/"
    ));

    let Some(pulse) = pulse else {
        citizens_read()?;
        return keyboard(stage, &socket, &pages);
    };
    let screen = Screen::watch(screen_port).map_err(|error| format!("the screen: {error}"))?;
    let visitor = Visitor {
        stage,
        pulse,
        socket: &socket,
        screen: &screen,
        speech: decoded(
            stage,
            &fixtures.join(format!("speech/{}.opus", arguments.language)),
        )?,
    };
    let said = visitor.speaks_and_is_heard()?;
    sealed::open(stage, &programs, &said.clip)?;
    // The page may be up to a quarter of a minute behind, and whoever looks at this for the first time waits for a clip.
    citizens_read()?;
    visitor.votes()?;
    steps.done(&format!(
        "listen, and look at the vote, on {pages}; the booths are on {pages}operations"
    ));
    visitor.takes_back(&said.receipt)?;
    sealed::is_gone(stage, &said.clip)?;
    sealed::card_tells_nothing(stage, &said.receipt)?;
    if arguments.once {
        return Ok(());
    }
    steps.next("everything stays up; Ctrl-C ends it");
    loop {
        stage.check()?;
        std::thread::park_timeout(Duration::from_secs(1));
    }
}

/// What is worth knowing about somebody's own sound before it is used.
fn advice(name: &str) -> Option<&'static str> {
    let is_card = booth_gateway::adapters::sound_cards::is_kernel_card(name);
    if is_card || name == "pulse" || name.starts_with("pulse:") {
        return None;
    }
    // A server that stands still would keep pactl waiting for half a minute.
    let asked = Command::new("timeout")
        .args(["5", "pactl", "info"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success()).then_some(
        "your sound server also answers as MIC=pulse: that takes 1 to 2 % of a core, where ALSA's PipeWire plug-in takes a quarter and more",
    )
}

/// A Mosquitto that runs, with what its users need.
struct Broker {
    port: u16,
    version: String,
    /// The password of operations.
    operations: String,
}

/// A free port may be taken by another program before Mosquitto has it.
const PORTS: u32 = 5;

/// Starts the broker, and writes the passwords of booth and hub into files beside their configurations.
fn start_broker(stage: &Stage) -> Result<Broker, Fault> {
    let users = [BOOTH, "hub", "operations"];
    let passwords = users.map(|_| uuid::Uuid::new_v4().simple().to_string());
    for (user, password) in users.iter().zip(&passwords).take(2) {
        city::write_private(&stage.folder.join(format!("{user}.password")), password)?;
    }
    let logins: Vec<(&str, &str)> = users
        .iter()
        .copied()
        .zip(passwords.iter().map(String::as_str))
        .collect();
    for attempt in 1.. {
        let port = free_port()?;
        city::write_files(&stage.folder, port, &logins)?;
        stage.start("broker", city::broker(&stage.folder))?;
        let listens = stage.wait_for("the broker listens", "broker", || {
            Ok(std::net::TcpStream::connect(("127.0.0.1", port))
                .ok()
                .map(drop))
        });
        match listens {
            Err(_) if attempt < PORTS && stage.log("broker").contains("Address already in use") => {
                stage.forget("broker")
            }
            Err(fault) => return Err(fault),
            Ok(()) => {
                let log = stage.log("broker");
                let version = log
                    .split("mosquitto version ")
                    .nth(1)
                    .and_then(|rest| rest.split(' ').next());
                let [_, _, operations] = passwords;
                return Ok(Broker {
                    port,
                    version: version.unwrap_or_default().to_owned(),
                    operations,
                });
            }
        }
    }
    unreachable!("the loop ends by a return")
}

/// Where the hub's pages are, each with a slash at its end.
struct Pages {
    staff: String,
    city: String,
}

fn start_hub(stage: &Stage, programs: &Path, broker: u16) -> Result<Pages, Fault> {
    let citizens = free_port()?;
    let city = format!("http://127.0.0.1:{citizens}/");
    let config = write(
        stage,
        "hub.toml",
        &hub_file(
            &format!("mqtt://127.0.0.1:{broker}"),
            &format!(
                "username = \"hub\"\npassword_file = \"hub.password\"\n\
                 [privacy]\nidentities = [{KEY:?}]\n\
                 [city]\nlisten = \"127.0.0.1:{citizens}\"\naddress = \"http://127.0.0.1:{citizens}\"\n\
                 [[booth]]\nid = \"{BOOTH}\"\nname = \"Rundhøj Torv\"\nplace = \"Rundhøj\"\n"
            ),
        ),
    )?;
    let mut hub = Command::new(programs.join("booth-hub"));
    hub.args(["serve", "--config"]).arg(config);
    stage.start("hub", hub)?;
    stage.wait_for("the hub is up", "hub", || {
        let log = stage.log("hub");
        let address = log
            .split("pages on ")
            .nth(1)
            .and_then(|rest| rest.split([',', '\n']).next());
        Ok(address.map(|staff| Pages {
            staff: staff.to_owned(),
            city: city.clone(),
        }))
    })
}

/// Waits until a page for citizens shows this text.
fn shows(stage: &Stage, page: &str, text: &str) -> Result<(), Fault> {
    let agent = ureq::Agent::new_with_defaults();
    stage.wait_for("the question is on the citizens' page", "hub", || {
        let asked = agent.get(page).call();
        let shown = asked.and_then(|mut said| said.body_mut().read_to_string());
        Ok(shown.is_ok_and(|shown| shown.contains(text)).then_some(()))
    })
}

/// A path as it is written from the repository's folder.
fn shown(path: &Path) -> String {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    path.strip_prefix(repository)
        .unwrap_or(path)
        .display()
        .to_string()
}

/// Runs `booth-hub` to its end; what it printed.
fn booth_hub(programs: &Path, arguments: &[&std::ffi::OsStr]) -> Result<String, Fault> {
    let ran = Command::new(programs.join("booth-hub"))
        .args(arguments)
        .output();
    let ran = ran.map_err(|error| format!("booth-hub: {error}"))?;
    if !ran.status.success() {
        return Err(String::from_utf8_lossy(&ran.stderr)
            .trim()
            .to_owned()
            .into());
    }
    Ok(String::from_utf8_lossy(&ran.stdout).into_owned())
}

/// The city makes its key; the public half, for the booth.
fn make_key(stage: &Stage, programs: &Path) -> Result<String, Fault> {
    let (key, paper) = (stage.folder.join(KEY), stage.folder.join("city.html"));
    let arguments = ["keys", "new", "--identity"].map(AsRef::as_ref);
    let arguments = [
        &arguments[..],
        &[key.as_ref(), "--paper".as_ref(), paper.as_ref()],
    ]
    .concat();
    let said = booth_hub(programs, &arguments)?;
    let public = said
        .split_whitespace()
        .find(|word| word.starts_with("age1"));
    public
        .map(str::to_owned)
        .ok_or_else(|| format!("booth-hub keys new says no public key: {said}").into())
}

/// The citizen's words as a WAV file.
fn decoded(stage: &Stage, recording: &Path) -> Result<PathBuf, Fault> {
    let wav = stage.folder.join("speech.wav");
    speech::decode(recording, &wav)?;
    Ok(wav)
}

/// The citizen is whoever sits here.
fn keyboard(stage: &Stage, socket: &Path, pages: &str) -> Result<(), Fault> {
    let steps = &stage.steps;
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
    let (mut lifted, mut shown, mut confirmed) = (false, String::new(), 0);
    let mut hung_up = Instant::now();
    loop {
        stage.check()?;
        if let Some(now) =
            visit::state(socket).and_then(|state| Some(state["session"].as_str()?.to_owned()))
            && now != shown
        {
            steps.next(&now);
            shown = now;
        }
        let clips = visit::clips(&stage.log("gateway"), "confirmed");
        for clip in clips.iter().skip(confirmed) {
            let took = hung_up.elapsed().as_millis();
            steps.done(&format!(
                "the hub has clip {clip}, {took} ms after hanging up; listen on {pages}"
            ));
        }
        confirmed = clips.len();
        match keys.recv_timeout(Duration::from_millis(100)) {
            Ok(b' ') => {
                lifted = !lifted;
                if !lifted {
                    hung_up = Instant::now();
                }
                visit::press(socket, if lifted { "lift" } else { "hang-up" })?;
            }
            Ok(key @ (b'0'..=b'9' | b'*' | b'#')) => {
                visit::press(socket, &format!("dial {}", char::from(key)))?
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
