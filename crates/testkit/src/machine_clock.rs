//! Waiting for a virtual machine: until it has done something, has ended, or its own clock has passed a limit.
//!
//! Owns: that rule, and reading a machine's clock from outside, by a timer of the emulated board (QEMU's qtest). Never does: end a wait
//! for a machine by this machine's clock. Time inside is counted in instructions (`-icount`), so a machine that gets little of a busy
//! processor is slow and not late. Only QEMU itself, when it answers nothing at all, is given up by the clock outside.
#![allow(clippy::print_stderr)] // words of a test, which its harness keeps until it fails
#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long QEMU itself may take to answer. It answers while the machine inside computes.
pub const EMULATOR: Duration = Duration::from_secs(30 * 60);
/// How often a wait tells that it waits, seconds of the machine's clock.
const REMIND_S: f64 = 60.0;

/// A machine as its host sees it.
pub trait Guest {
    /// Its own clock, s; none once it has ended.
    fn clock_s(&mut self) -> Option<f64>;
    fn has_ended(&mut self) -> bool;
}

/// Why a wait ended without what was waited for.
#[derive(Debug, Clone, PartialEq)]
pub enum Over {
    /// The machine has ended.
    Ended,
    /// So many seconds have passed by its own clock.
    TooLate(f64),
}

/// Waits until `probe` finds something. `probe` looks, and rests a moment if it has found nothing.
pub fn wait<G: Guest, T>(
    guest: &mut G,
    what: &str,
    limit_s: f64,
    mut probe: impl FnMut(&mut G) -> Option<T>,
) -> Result<T, Over> {
    let began = guest.clock_s();
    let mut told = 0.0;
    loop {
        // Before the look, so that what it said before its end is found.
        let now = guest.clock_s();
        let has_ended = guest.has_ended();
        if let Some(found) = probe(guest) {
            return Ok(found);
        }
        let (Some(now), Some(began), false) = (now, began, has_ended) else {
            return Err(Over::Ended);
        };
        let passed = now - began;
        if passed > limit_s {
            return Err(Over::TooLate(passed));
        }
        if passed - told >= REMIND_S {
            told = passed;
            eprintln!("         waiting: {what}; {passed:.0} s of the machine's time");
        }
    }
}

/// This QEMU, before all else that runs here where that is allowed. While its machine rests, the machine's clock is the clock of this one:
/// whoever keeps QEMU waiting for 30 ms makes all its timers late at once, and its sound card loses what it could not hand over.
pub fn emulator(program: &str) -> Command {
    const FIRST: [&str; 2] = ["--rr", "1"];
    let tried = Command::new("chrt").args(FIRST).arg("true").status();
    match tried.is_ok_and(|status| status.success()) {
        true => {
            let mut first = Command::new("chrt");
            first.args(FIRST).arg(program);
            first
        }
        false => Command::new(program),
    }
}

/// Asks again and again until QEMU has made ready; it ends with QEMU.
pub fn patiently<T>(qemu: &mut Child, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        if let Ok(Some(status)) = qemu.try_wait() {
            panic!("QEMU does not start: {status}");
        }
        assert!(start.elapsed() < EMULATOR, "QEMU does not answer");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A board's timer that counts the machine's own time from its start, whatever its system does.
#[derive(Debug, Clone, Copy)]
pub enum Timer {
    /// The real-time clock of `virt` (PL031), which follows the machine with `-rtc clock=vm`: whole seconds.
    Virt,
    /// The system timer of a Raspberry Pi 3 (BCM2835): µs in two words.
    RaspberryPi3,
    /// The HPET of `q35`: 10 ns. Linux sets it to nought once, early in its start.
    Q35,
}

impl Timer {
    /// What QEMU is started with for it, besides `-qtest`.
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Virt => &["-rtc", "clock=vm"],
            Self::RaspberryPi3 | Self::Q35 => &[],
        }
    }
}

/// QEMU's qtest: the machine's memory and contacts from outside.
pub struct Qtest {
    socket: UnixStream,
    answers: Receiver<String>,
}

impl Qtest {
    /// What QEMU is started with.
    pub fn arguments(path: &Path) -> [String; 4] {
        let socket = format!("unix:{},server=on,wait=off", path.display());
        ["-qtest".into(), socket, "-qtest-log".into(), "none".into()]
    }

    /// `happens` gets what comes unasked between the answers.
    pub fn connect(
        path: &Path,
        qemu: &mut Child,
        mut happens: impl FnMut(&str) + Send + 'static,
    ) -> Self {
        let socket = patiently(qemu, || UnixStream::connect(path).ok());
        let lines = BufReader::new(socket.try_clone().expect("a socket"));
        let (tell, answers) = channel();
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if line.starts_with("IRQ ") {
                    happens(&line);
                } else if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Self { socket, answers }
    }

    /// The words behind OK; none once QEMU has ended.
    pub fn ask(&mut self, what: &str) -> Option<String> {
        writeln!(self.socket, "{what}").ok()?;
        let answer = match self.answers.recv_timeout(EMULATOR) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => panic!("QEMU does not answer {what:?}"),
        };
        let words = answer.strip_prefix("OK");
        Some(
            words
                .unwrap_or_else(|| panic!("{what}: {answer}"))
                .trim()
                .to_owned(),
        )
    }

    fn read(&mut self, what: &str) -> Option<u64> {
        let answer = self.ask(what)?;
        let digits = answer.trim_start_matches("0x");
        Some(u64::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("{what}: {answer}")))
    }

    /// Sets a timer going that the board's firmware or system would start; before the machine's first instruction.
    pub fn begin(&mut self, timer: Timer) {
        if let Timer::Q35 = timer {
            self.ask("writel 0xfed00010 1").expect("QEMU runs");
        }
    }

    /// The machine's own time, s; none once QEMU has ended.
    pub fn clock_s(&mut self, timer: Timer) -> Option<f64> {
        Some(match timer {
            Timer::Virt => self.read("readl 0x9010000")? as f64,
            Timer::RaspberryPi3 => loop {
                let high = self.read("readl 0x3f003008")?;
                let low = self.read("readl 0x3f003004")?;
                if self.read("readl 0x3f003008")? == high {
                    break (high << 32 | low) as f64 / 1e6;
                }
            },
            Timer::Q35 => self.read("readq 0xfed000f0")? as f64 / 1e8,
        })
    }
}
