//! A running program whose log is kept in memory. Nothing here panics: every fault is a sentence, and the program ends with the
//! value, or with this process.
#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::session::Leash;
use super::wait::wait_for;

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
        Self::start_heard(name, command, |_| ())
    }

    /// The same; `heard` gets each line of its log, in the thread that reads them.
    pub fn start_heard(
        name: &str,
        command: &mut Command,
        heard: impl Fn(&str) + Send + 'static,
    ) -> Result<Self, String> {
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
                    heard(&line);
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

    /// Every line of its log.
    pub fn lines(&self) -> Vec<String> {
        self.log(|lines| lines.iter().map(|(_, line)| line.clone()).collect())
    }

    /// Forgets what it has said so far.
    pub fn clear_log(&self) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.clear();
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<(), String> {
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(|error| format!("{} cannot be told {signal:?}: {error}", self.name))
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until it ends by itself; afterwards its log is whole.
    pub fn ends(&mut self) -> Result<ExitStatus, String> {
        let status = self.child.wait();
        if let Some(reader) = self.reader.take() {
            // Its last words may still be in the pipe.
            let _ = reader.join();
        }
        status.map_err(|error| format!("{}: {error}", self.name))
    }

    /// SIGTERM, and its exit status.
    pub fn terminate(&mut self) -> Result<ExitStatus, String> {
        self.signal(Signal::TERM)?;
        let what = format!("{} stops", self.name);
        wait_for(&what, || self.ended()).map_err(|why| format!("{why}; {}", self.tail()))
    }

    /// SIGTERM, and whether it ended well.
    pub fn stop(&mut self) -> Result<(), String> {
        let status = self.terminate()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!(
                "{} ended with {status}; {}",
                self.name,
                self.tail()
            ))
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
