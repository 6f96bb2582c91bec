//! Logging: the systemd journal with structured fields, or readable lines on stderr.
//!
//! Owns: the process's one logger. Never does: log a voice, a password or a receipt code; callers
//! hand over ids as key-values (`log::info!(clip_id = id; "kept")`), which become journal fields.
#![allow(clippy::disallowed_methods)] // stamps lines with the wall clock

use std::io::Write;

use log::kv::{self, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};

/// Installs the logger: the journal when stderr is connected to it, stderr otherwise. Third-party
/// crates speak from `warn` up.
pub fn init(identifier: &str, level: LevelFilter) {
    log::set_max_level(level);
    if systemd_journal_logger::connected_to_journal() {
        let journal = systemd_journal_logger::JournalLog::new()
            .map(|journal| journal.with_syslog_identifier(identifier.to_owned()));
        if let Ok(journal) = journal
            && log::set_boxed_logger(Box::new(Quieted(journal))).is_ok()
        {
            return;
        }
    }
    // A second call in one process keeps the first logger.
    let _ = log::set_boxed_logger(Box::new(Quieted(StderrLines)));
}

/// Lets our own lines through and third-party lines from `warn` up.
struct Quieted<L>(L);

impl<L: Log> Log for Quieted<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn || metadata.target().starts_with("booth")
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
        let _ = record.key_values().visit(&mut Fields(&mut line));
        line.push('\n');
        // A closed stderr must not stop the booth.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

struct Fields<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: kv::Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        self.0.push_str(&format!(" {key}={value}"));
        Ok(())
    }
}
