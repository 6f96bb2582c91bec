//! Logging: the systemd journal with structured fields, or readable lines on stderr.
//!
//! Owns: the process's one logger, and with it the one way that all lines of a daemon take: a repeated line is news once and then
//! part of a summary each hour (`booth_host::news` decides). Never does: log a voice, a password or a receipt code; callers hand
//! over ids as key-values (`log::info!(clip_id = id; "kept")`), which become journal fields.
//!
//! A line says by a key-value what it is about, at any level: `fault = "broker"` stands until `over = "broker"`; `about = sender`
//! may come again. A warning or an error without such a key-value is known by its place in the program's text, so that no repeated
//! line, not even a library's, can fill the log. Other lines without one report no trouble and are written as they are.
#![allow(clippy::disallowed_methods)] // stamps lines with the wall clock

use std::cell::Cell;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use log::kv::{self, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};

use super::clock;
use crate::news::{News, Said, Subject, Summary};
use booth_contract::time::Mono;

/// The logger of a program that does one thing and ends: the journal if stderr is connected to it, else stderr. Lines of
/// third-party crates are logged from `warn` up.
pub fn init(identifier: &str, level: LevelFilter) {
    match journald(identifier) {
        Some(journal) => install(Quieted(journal), level),
        None => install(Quieted(StderrLines), level),
    }
}

/// The logger of a daemon: repeated lines are held back and summed up each hour. The daemon has to call [`tell_due`] now and then.
pub fn init_daemon(identifier: &str, level: LevelFilter) {
    match journald(identifier) {
        Some(journal) => install(Quieted(Digest::new(journal, clock::mono)), level),
        None => install(Quieted(Digest::new(StderrLines, clock::mono)), level),
    }
}

fn journald(identifier: &str) -> Option<impl Log + use<>> {
    systemd_journal_logger::connected_to_journal()
        .then(systemd_journal_logger::JournalLog::new)?
        .ok()
        .map(|journal| journal.with_syslog_identifier(identifier.to_owned()))
}

fn install(logger: impl Log + 'static, level: LevelFilter) {
    log::set_max_level(level);
    // A second call in one process keeps the first logger.
    let _ = log::set_boxed_logger(Box::new(logger));
}

/// Logs the summaries that are due.
pub fn tell_due() {
    log::logger().flush();
}

/// Lets this program's own lines through, and third-party lines from `warn` up.
struct Quieted<L>(L);

impl<L: Log> Log for Quieted<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        // The reader of sound files speaks to programmers; what a person can do about a file is said by whoever reads it.
        let is_for_people = !target.starts_with("symphonia");
        is_for_people && (metadata.level() <= Level::Warn || target.starts_with("booth"))
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

thread_local! {
    /// Whether this thread is using the stories at this moment.
    static IS_ASKING: Cell<bool> = const { Cell::new(false) };
}

/// Holds back lines that are no news.
pub struct Digest<L, C> {
    inner: L,
    clock: C,
    news: Mutex<News>,
}

impl<L: Log, C: Fn() -> Mono + Send + Sync> Digest<L, C> {
    /// A digest that has logged nothing yet. `clock` is the boot-time clock.
    pub fn new(inner: L, clock: C) -> Self {
        let news = Mutex::default();
        Self { inner, clock, news }
    }

    /// Locks the stories while `ask` runs. No line is formatted or written meanwhile, because that may run a caller's code. A
    /// thread that panics in `ask` logs its panic without locking again, so that it never waits for itself.
    fn ask<T>(&self, ask: impl FnOnce(&mut News) -> T) -> Option<T> {
        if IS_ASKING.replace(true) {
            return None;
        }
        let answer = ask(&mut self.news.lock().unwrap_or_else(PoisonError::into_inner));
        IS_ASKING.set(false);
        Some(answer)
    }

    fn tell(&self, summaries: Vec<Summary>) {
        for Summary { key, level, text } in summaries {
            let fields = [("about", key.as_str())];
            let mut record = Record::builder();
            record.level(level).target("booth::summary");
            if !key.is_empty() {
                record.key_values(&fields);
            }
            self.inner.log(&record.args(format_args!("{text}")).build());
        }
    }
}

impl<L: Log, C: Fn() -> Mono + Send + Sync> Log for Digest<L, C> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let mut marks = Marks::default();
        let _ = record.key_values().visit(&mut marks);
        let place = format!(
            "{}:{}",
            record.file().unwrap_or(record.target()),
            record.line().unwrap_or(0)
        );
        let subject = match (&marks.subject, record.level()) {
            (Some((Mark::Fault, key)), _) => Some(Subject::Fault(key)),
            (Some((Mark::Over, key)), _) => Some(Subject::Over(key)),
            (Some((Mark::About, key)), _) => Some(Subject::Trouble(key)),
            (None, Level::Error | Level::Warn) => Some(Subject::Place(&place)),
            (None, _) => None,
        };
        let Some(subject) = subject else {
            return self.inner.log(record);
        };
        let text = format!("{}{}", record.args(), marks.others);
        let now = (self.clock)();
        let answer = self.ask(|news| {
            let due = news.due(now);
            (due, news.take(now, subject, record.level(), &text))
        });
        let (due, said) = answer.unwrap_or((Vec::new(), Said::AsItIs));
        self.tell(due);
        match said {
            Said::AsItIs => self.inner.log(record),
            Said::With(more) => {
                let args = record.args();
                let mut longer = record.to_builder();
                self.inner
                    .log(&longer.args(format_args!("{args}{more}")).build());
            }
            Said::Counted => {}
        }
    }

    fn flush(&self) {
        let now = (self.clock)();
        let due = self.ask(|news| news.due(now));
        self.tell(due.unwrap_or_default());
        self.inner.flush();
    }
}

enum Mark {
    Fault,
    Over,
    About,
}

/// The key-value that says what a line is about, and the line's other key-values.
#[derive(Default)]
struct Marks {
    subject: Option<(Mark, String)>,
    others: String,
}

impl<'kvs> VisitSource<'kvs> for Marks {
    fn visit_pair(&mut self, key: kv::Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        let mark = match key.as_str() {
            "fault" => Mark::Fault,
            "over" => Mark::Over,
            "about" => Mark::About,
            _ => {
                self.others.push_str(&format!(" {key}={value}"));
                return Ok(());
            }
        };
        self.subject = Some((mark, value.to_string()));
        Ok(())
    }
}

/// `12:34:56 warn  message key=value`
struct StderrLines;

impl Log for StderrLines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let now = jiff::Timestamp::now().strftime("%H:%M:%S%.3f");
        let level = record.level().as_str().to_ascii_lowercase();
        let mut line = format!("{now} {level:5} {}", record.args());
        let mut marks = Marks::default();
        let _ = record.key_values().visit(&mut marks);
        line.push_str(&marks.others);
        line.push('\n');
        // A closed stderr must not stop the booth.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}
