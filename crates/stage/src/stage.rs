//! The programs of the demonstration, and waiting for what they say.
//!
//! Owns: starting them with a log each, noticing that one has ended, and how long anything is waited for. Never does: give up because
//! the machine is busy. A wait ends by what it waits for, by the end of a program, or at a limit that no working machine reaches;
//! meanwhile it says every few seconds what it waits for.
#![allow(clippy::disallowed_methods)]

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::session::Leash;

/// How often a wait says that it still waits.
const REMIND: Duration = Duration::from_secs(5);
/// When a wait is given up although every program still runs.
const LAST_LIMIT: Duration = Duration::from_secs(30 * 60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Why the demonstration cannot go on, and whose log says more.
#[derive(Debug)]
pub struct Fault {
    pub why: String,
    pub program: Option<String>,
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self { why, program: None }
    }
}

/// What a wait does after so long a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Wait,
    Remind,
    GiveUp,
}

/// How long a wait lasts, and when it speaks. It is asked with the time waited, and reads no clock.
#[derive(Debug, Default)]
pub struct Patience {
    reminded: u32,
}

impl Patience {
    pub fn turn(&mut self, waited: Duration) -> Turn {
        if waited >= LAST_LIMIT {
            return Turn::GiveUp;
        }
        let due = u32::try_from(waited.as_secs() / REMIND.as_secs()).unwrap_or(u32::MAX);
        if due <= self.reminded {
            return Turn::Wait;
        }
        self.reminded = due;
        Turn::Remind
    }
}

/// What the reader of the demonstration sees.
#[derive(Debug, Clone)]
pub struct Steps {
    start: Instant,
    colour: bool,
}

impl Steps {
    pub fn begin() -> Self {
        Self {
            start: Instant::now(),
            colour: std::io::stdout().is_terminal(),
        }
    }

    fn say(&self, mark: &str, text: &str) {
        let at = self.start.elapsed().as_secs_f64();
        let mark = if self.colour {
            format!("\x1b[32m{mark}\x1b[0m")
        } else {
            mark.to_owned()
        };
        // A reader who has gone away is no reason to end. The terminal may be raw.
        let mut out = std::io::stdout().lock();
        let _ = write!(out, "{at:6.2} s  {mark} {text}\r\n").and_then(|()| out.flush());
    }

    pub fn done(&self, text: &str) {
        self.say("✓", text);
    }

    pub fn next(&self, text: &str) {
        self.say("·", text);
    }
}

/// A program on a leash: also what has a session of its own, and gets no Ctrl-C from the terminal, ends however this one ends.
struct Program {
    name: String,
    child: Child,
    _leash: Leash,
}

/// The folder of the demonstration and the programs that run in it.
pub struct Stage {
    pub folder: PathBuf,
    pub steps: Steps,
    programs: Mutex<Vec<Program>>,
}

impl Stage {
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            steps: Steps::begin(),
            programs: Mutex::default(),
        }
    }

    fn programs(&self) -> MutexGuard<'_, Vec<Program>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a program; what it says goes into `<name>.log`.
    pub fn start(&self, name: &str, mut command: Command) -> Result<(), Fault> {
        let log = File::create(self.log_file(name)).map_err(|error| error.to_string())?;
        let out = log.try_clone().map_err(|error| error.to_string())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(log)
            .spawn()
            .map_err(|error| {
                let program = command.get_program().to_string_lossy().into_owned();
                format!("the {name} does not start: {program}: {error}; `make run` installs and builds what is needed")
            })?;
        let _leash = Leash::on(child.id());
        self.programs().push(Program {
            name: name.to_owned(),
            child,
            _leash,
        });
        Ok(())
    }

    /// Everything that was started must still run.
    pub fn check(&self) -> Result<(), Fault> {
        for program in self.programs().iter_mut() {
            if let Ok(Some(status)) = program.child.try_wait() {
                return Err(Fault {
                    why: format!("the {} has ended by itself ({status})", program.name),
                    program: Some(program.name.clone()),
                });
            }
        }
        Ok(())
    }

    /// Forgets a program that has ended, so that it can be started again.
    pub fn forget(&self, name: &str) {
        self.programs().retain_mut(|program| {
            let stays = program.name != name;
            if !stays {
                let _ = program.child.kill();
                let _ = program.child.wait();
            }
            stays
        });
    }

    /// Ends every program, the latest first.
    pub fn end(&self) {
        let mut programs = self.programs();
        for program in programs.iter_mut().rev() {
            let _ = program.child.kill();
            let _ = program.child.wait();
        }
        programs.clear();
    }

    fn log_file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// What a program has said so far.
    pub fn log(&self, name: &str) -> String {
        let bytes = std::fs::read(self.log_file(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until `probe` finds what `program` has to do or say. `what` completes "waiting: ".
    pub fn wait_for<T>(
        &self,
        what: &str,
        program: &str,
        mut probe: impl FnMut() -> Result<Option<T>, Fault>,
    ) -> Result<T, Fault> {
        let (start, mut patience) = (Instant::now(), Patience::default());
        loop {
            if let Some(found) = probe()? {
                return Ok(found);
            }
            self.check()?;
            let waited = start.elapsed();
            match patience.turn(waited) {
                Turn::Wait => {}
                Turn::Remind => {
                    let log = self.log(program);
                    let said = log.lines().next_back().unwrap_or("nothing yet");
                    self.steps.next(&format!(
                        "waiting for {} s: {what}; the {program} said last: {said}",
                        waited.as_secs()
                    ));
                }
                Turn::GiveUp => {
                    return Err(Fault {
                        why: format!(
                            "given up after {} minutes, though every program runs: {what}",
                            LAST_LIMIT.as_secs() / 60
                        ),
                        program: Some(program.to_owned()),
                    });
                }
            }
            std::thread::park_timeout(PAUSE);
        }
    }

    /// The fault in sentences: why, the last words of the program that it is about, and fewer of the others.
    pub fn tell(&self, fault: &Fault) -> String {
        let mut told = format!("✗ {}\n", fault.why);
        let names: Vec<String> = self
            .programs()
            .iter()
            .map(|program| program.name.clone())
            .collect();
        let guilty = |name: &String| fault.program.as_ref() == Some(name);
        let (first, others): (Vec<_>, Vec<_>) = names.into_iter().partition(guilty);
        for (name, lines) in first
            .iter()
            .map(|name| (name, 20))
            .chain(others.iter().map(|name| (name, 4)))
        {
            let log = self.log(name);
            let last: Vec<&str> = log.lines().rev().take(lines).collect();
            told += &format!(
                "  the {name} said last{}\n",
                if last.is_empty() { ": nothing" } else { ":" }
            );
            for line in last.iter().rev() {
                told += &format!("    {line}\n");
            }
        }
        told + &format!("  everything is kept in {}\n", self.folder.display())
    }
}
