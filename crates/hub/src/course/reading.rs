//! Reads how a booth's values went.
//!
//! Owns: which table answers for which span, and how many points a picture has. Never does: write, or make a database that is not there.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use booth_database::{Connection, OpenFlags, OptionalExtension};
use jiff::Timestamp;

use super::file_in;

/// How far back a picture looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// 24 hours, by five minutes.
    Day,
    /// 7 days, by the hour.
    Week,
    /// 90 days, by eight hours.
    Quarter,
}

impl Span {
    /// All, the shortest first.
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Quarter];

    /// How long it is, in seconds.
    pub fn seconds(self) -> i64 {
        match self {
            Self::Day => 86_400,
            Self::Week => 7 * 86_400,
            Self::Quarter => 90 * 86_400,
        }
    }

    /// How long a point stands for, in seconds.
    pub fn step(self) -> i64 {
        match self {
            Self::Day => 300,
            Self::Week => 3_600,
            Self::Quarter => 8 * 3_600,
        }
    }
}

/// What a value was within a point's time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// The least.
    pub least: f64,
    /// The greatest.
    pub most: f64,
    /// The mean over what was said.
    pub mean: f64,
}

/// The values within one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// When the step began, in seconds since 1970.
    pub at: i64,
    /// In the order of the names that were asked for; `None` where the booth did not say it.
    pub values: Vec<Option<Range>>,
}

/// The database as the pages read it.
#[derive(Debug)]
pub struct Course {
    file: PathBuf,
    db: Mutex<Option<Connection>>,
}

impl Course {
    /// Of the store in this folder.
    pub fn of(dir: &Path) -> Self {
        Self {
            file: file_in(dir),
            db: Mutex::default(),
        }
    }

    /// How these values of a booth went, the oldest point first. Nothing where nothing was noted yet. Names that are no values of health
    /// are answered with nothing.
    ///
    /// # Errors
    /// A database that does not answer.
    pub fn points(
        &self,
        now: Timestamp,
        booth: &str,
        names: &[&str],
        span: Span,
    ) -> booth_database::Result<Vec<Point>> {
        let mut db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        let db = match &mut *db {
            Some(db) => db,
            None if !matches!(self.file.try_exists(), Ok(true)) => return Ok(Vec::new()),
            None => db.insert(Connection::open_with_flags(
                &self.file,
                OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            )?),
        };
        let number: Option<i64> = db
            .prepare_cached("SELECT number FROM booth WHERE booth_id = ?1")?
            .query_row([booth], |row| row.get(0))
            .optional()?;
        let Some(number) = number else {
            return Ok(Vec::new());
        };
        let columns: String = names.iter().map(|name| columns(name, span)).collect();
        let table = match span {
            Span::Day => "said",
            Span::Week | Span::Quarter => "hour",
        };
        let step = span.step();
        let from = (now.as_second() - span.seconds()).div_euclid(step) * step;
        let mut statement = db.prepare_cached(&format!(
            "SELECT at / {step} * {step}{columns} FROM {table} WHERE booth = ?1 AND at >= ?2 AND at <= ?3
             GROUP BY at / {step} ORDER BY 1"
        ))?;
        statement
            .query_map([number, from, now.as_second()], |row| {
                let values = (0..names.len()).map(|n| {
                    let part = |k: usize| row.get::<_, Option<f64>>(1 + 3 * n + k);
                    let (least, most, mean) = (part(0)?, part(1)?, part(2)?);
                    let range = least.zip(most).zip(mean);
                    Ok(range.map(|((least, most), mean)| Range { least, most, mean }))
                });
                Ok(Point {
                    at: row.get(0)?,
                    values: values.collect::<booth_database::Result<_>>()?,
                })
            })?
            .collect()
    }
}

/// The three columns of one value.
fn columns(name: &str, span: Span) -> String {
    let is_plain = |name: &str| booth_contract::Health::NAMES.contains(&name);
    match span {
        _ if !is_plain(name) => ", NULL, NULL, NULL".to_owned(),
        Span::Day => format!(", min(v_{name}), max(v_{name}), avg(v_{name})"),
        // Hours in which more was said weigh more.
        Span::Week | Span::Quarter => format!(
            ", min(v_{name}_least), max(v_{name}_most), sum(v_{name}_mean * times) / sum(CASE WHEN v_{name}_mean IS NULL THEN 0 ELSE times END)"
        ),
    }
}
