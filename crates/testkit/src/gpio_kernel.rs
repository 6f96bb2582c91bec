//! The handset's real backends on a kernel that a test steers: a process that watches lines, over `gpio_kernel.c`.
//!
//! Owns: building the library, the process and its socket. The process is this program once more, loaded with the library;
//! it runs `adapters::handset::watch` and prints what that reports. x86-64 Linux with a C compiler.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use booth_gateway::adapters::handset::{self, HandsetCommand, HandsetLinks, HandsetReport};
use booth_gateway::adapters::wake::Wake;
use booth_gateway::config::Handset;
use gateway_core::liveness::Beat;
use gateway_core::session::Lamp;

use super::{repository, temporary};

/// Longest wait for anything; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// Begins the lines of the watching process that are for the test.
const TOLD: &str = "told: ";
/// Configuration of the process that watches.
const CONFIGURED: &str = "WATCHED_HANDSET";
/// Where it keeps what it was taught.
const TAUGHT: &str = "WATCHED_HANDSET_TAUGHT";

/// A backend over the chip that it is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// gpiocdev, on any kernel.
    Cdev,
    /// rppal, on a Raspberry Pi 3, 4 or 5.
    Rppal(u8),
}

/// All of them: three kinds of registers.
pub const KINDS: [Kind; 4] = [Kind::Cdev, Kind::Rppal(3), Kind::Rppal(4), Kind::Rppal(5)];

impl Kind {
    fn key(self) -> &'static str {
        match self {
            Kind::Cdev => "cdev",
            Kind::Rppal(_) => "rppal",
        }
    }
}

/// What the kernel is like before the process begins.
#[derive(Debug, Clone, Default)]
pub struct Kernel {
    /// Levels of contacts, `line:level`.
    pub levels: &'static str,
    /// Lines that another driver holds.
    pub held: &'static str,
    /// `chip` or `memory`: what is missing.
    pub without: &'static str,
}

/// The library, built once.
pub fn library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let source = repository().join("crates/testkit/gpio_kernel.c");
        let folder = &temporary();
        // Another run may be using the one that is there: its file lives on without a name.
        let fresh = folder.join(format!("gpio_kernel.{}.so", std::process::id()));
        let status = Command::new("cc")
            .args([
                "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread", "-o",
            ])
            .args([&fresh, &source])
            .status()
            .expect("a C compiler: build-essential");
        assert!(status.success(), "gpio_kernel.c");
        let library = folder.join("gpio_kernel.so");
        std::fs::rename(&fresh, &library).expect("renamed");
        library
    })
}

/// A process that watches a handset's lines.
pub struct Watched {
    process: Child,
    told: mpsc::Receiver<String>,
    kernel: BufReader<UnixStream>,
    /// The socket is in it.
    _folder: tempfile::TempDir,
}

impl Watched {
    /// Starts it; `this` is how this program is told to call [`watch_as_configured`].
    pub fn start(kind: Kind, handset: &str, kernel: &Kernel, this: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("kernel");
        let chip = match kind {
            Kind::Cdev => "chip = \"/dev/gpiochip0\"\n",
            Kind::Rppal(_) => "",
        };
        let chip = if handset.contains("chip =") { "" } else { chip };
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command
            .args(this)
            .env(
                CONFIGURED,
                format!("backend = \"{}\"\n{chip}{handset}", kind.key()),
            )
            .env(TAUGHT, folder.path().join("taught"))
            .env("LD_PRELOAD", library())
            .env("GPIO_KERNEL", &socket)
            .env("GPIO_KERNEL_LEVELS", kernel.levels)
            .env("GPIO_KERNEL_HELD", kernel.held)
            .env("GPIO_KERNEL_WITHOUT", kernel.without)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Kind::Rppal(model) = kind {
            command.env("GPIO_KERNEL_MODEL", model.to_string());
        }
        let mut process = command.spawn().expect("this program once more");
        let told = lines_of(process.stdout.take().expect("a pipe"));
        let began = Instant::now();
        let kernel = loop {
            match UnixStream::connect(&socket) {
                Ok(stream) => break stream,
                Err(why) => assert!(began.elapsed() < PATIENCE, "the kernel's socket: {why}"),
            }
            std::thread::yield_now();
        };
        kernel.set_read_timeout(Some(PATIENCE)).expect("set");
        Self {
            process,
            told,
            kernel: BufReader::new(kernel),
            _folder: folder,
        }
    }

    /// The kernel's answer to one line of what `gpio_kernel.c` understands.
    pub fn kernel(&mut self, line: &str) -> String {
        let stream = self.kernel.get_mut();
        stream
            .write_all(format!("{line}\n").as_bytes())
            .expect("sent");
        let mut answer = String::new();
        self.kernel.read_line(&mut answer).expect("an answer");
        assert_ne!(answer, "not understood\n", "{line}");
        answer.trim_end().to_owned()
    }

    /// Edges that the process sees at once, as a thread does that runs late: ms after the moment that is returned (CLOCK_MONOTONIC,
    /// ms), line and level.
    pub fn edges(&mut self, edges: &[(u64, u32, char)]) -> u64 {
        let words = edges
            .iter()
            .map(|(at, line, level)| format!(" {}:{line}:{level}", at * 1000));
        let began = self.kernel(&format!("burst{}", words.collect::<String>()));
        began.parse::<u64>().expect("ns") / 1_000_000
    }

    /// The next thing that is told.
    pub fn next(&self) -> String {
        self.told
            .recv_timeout(PATIENCE)
            .expect("the process tells something")
    }

    /// All that is told up to and with a line that has this in it.
    pub fn until(&self, part: &str) -> Vec<String> {
        let mut all = Vec::new();
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            match self
                .told
                .recv_timeout(PATIENCE.saturating_sub(began.elapsed()))
            {
                Ok(line) => all.push(line),
                Err(_) => break,
            }
            if all.last().is_some_and(|line| line.contains(part)) {
                return all;
            }
        }
        panic!("{part:?} was never told: {all:?}");
    }

    /// Lights the lamp: `ready`, `dark`.
    pub fn lamp(&mut self, how: &str) {
        let stdin = self.process.stdin.as_mut().expect("a pipe");
        writeln!(stdin, "{how}").expect("sent");
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn lines_of(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // The test harness writes on the same line.
            if let Some((_, line)) = line.split_once(TOLD)
                && tell.send(line.to_owned()).is_err()
            {
                return;
            }
        }
    });
    told
}

fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "\n{TOLD}{line}").and_then(|()| out.flush());
}

/// Warnings are told, too.
struct Warnings;

impl log::Log for Warnings {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }
    fn log(&self, record: &log::Record) {
        tell(&format!("log: {}", record.args()));
    }
    fn flush(&self) {}
}

/// What the process does: watches until its input ends. Does nothing in a process that is not one.
pub fn watch_as_configured() {
    let Ok(config) = std::env::var(CONFIGURED) else {
        return;
    };
    let config: Handset = toml::from_str(&config).expect("a configuration");
    log::set_logger(&Warnings).expect("the only logger");
    log::set_max_level(log::LevelFilter::Warn);
    let (command, commands) = mpsc::channel();
    let wake = Wake::new().expect("an eventfd");
    let called = wake.clone();
    let links = HandsetLinks {
        commands,
        wake,
        view: Arc::default(),
        stop: Arc::default(),
        alive: Beat::default(),
        taught: PathBuf::from(std::env::var(TAUGHT).expect("a path")),
    };
    let watch = move || {
        let first = handset::open(&config, None);
        handset::watch(&config, None, first, &links, |report| {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
            match report {
                HandsetReport::Event { at, event, .. } => tell(&format!(
                    "{event:?} at={} told_ns={}",
                    at.0,
                    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
                )),
                HandsetReport::Works(works) => {
                    let works = works.map_err(|why| why.to_string());
                    tell(&format!("Works({works:?})"));
                }
                HandsetReport::Controls(faults) => {
                    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                    tell(&format!("Controls({faults:?})"));
                }
                other => tell(&format!("{other:?}")),
            }
        });
    };
    let thread = std::thread::Builder::new()
        .name("handset".into())
        .spawn(watch);
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let how = match line.as_str() {
            "ready" => Lamp::Ready,
            _ => Lamp::OutOfOrder,
        };
        if command.send(HandsetCommand::Lamp(how)).is_err() {
            break;
        }
        called.call();
    }
    drop(command);
    called.call();
    thread.expect("a thread").join().expect("it ends well");
}
