//! Local times, days of the week and spans of a day, as people write them. Pure.

use std::fmt;

use jiff::civil::DateTime;
use serde::{Serialize, Serializer};

/// Minutes of a day.
pub const DAY_MINUTES: u16 = 24 * 60;

/// A moment on the clocks of the place where a booth stands, to the minute. Written `YYYY-MM-DDTHH:MM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalTime(DateTime);

impl LocalTime {
    /// What a clock shows, without its seconds.
    pub fn of(shown: DateTime) -> Self {
        let time = shown.time();
        Self(shown.date().at(time.hour(), time.minute(), 0, 0))
    }

    /// Reads `YYYY-MM-DDTHH:MM`; seconds may follow, and a space may stand for the T. A date alone is its first minute.
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain =
            |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'T' | b' ');
        if !text.bytes().all(is_plain) || text.starts_with('-') {
            return None;
        }
        text.parse().ok().map(Self::of)
    }

    /// The same for the end of something: a date alone is its whole day, so that the next day's first minute is the end.
    pub fn parse_end(text: &str) -> Option<Self> {
        let moment = Self::parse(text)?;
        match text.contains(':') {
            true => Some(moment),
            false => moment.next_day(),
        }
    }

    /// The minute of its day.
    pub fn minute(self) -> u16 {
        let time = self.0.time();
        u16::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).unwrap_or(0)
    }

    /// Its day of the week, 0 for Monday.
    pub fn weekday(self) -> u8 {
        u8::try_from(self.0.date().weekday().to_monday_zero_offset()).unwrap_or(0)
    }

    fn next_day(self) -> Option<Self> {
        let date = self.0.date().tomorrow().ok()?;
        Some(Self(date.at(0, 0, 0, 0)))
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.strftime("%Y-%m-%dT%H:%M").to_string())
    }
}

impl Serialize for LocalTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Days of the week as they are written.
const DAYS: [&str; 7] = ["mo", "tu", "we", "th", "fr", "sa", "su"];

/// Some days of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days([bool; 7]);

impl Days {
    /// All of them.
    pub const ALL: Days = Days([true; 7]);

    /// Reads `mo`, `mo-fr`, `sa-mo`, `mo,we,fr-su`.
    pub fn parse(text: &str) -> Option<Self> {
        let day = |name: &str| {
            DAYS.iter()
                .position(|day| name.trim().eq_ignore_ascii_case(day))
        };
        let mut days = [false; 7];
        for part in text.split(',') {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (day(first)?, day(last)?),
                None => (day(part)?, day(part)?),
            };
            let count = (last + 7 - first) % 7;
            for n in first..=first + count {
                days[n % 7] = true;
            }
        }
        Some(Self(days))
    }

    /// Whether a day of the week, 0 for Monday, is among them.
    pub fn has(self, weekday: u8) -> bool {
        self.0.get(usize::from(weekday)).is_some_and(|has| *has)
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = DAYS.iter().zip(self.0).filter(|(_, has)| *has);
        let names: Vec<&str> = all.map(|(name, _)| *name).collect();
        f.write_str(&names.join(","))
    }
}

/// A part of every day: two minutes of the day, that differ. It passes midnight where the end is the smaller one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first minute of the day.
    pub from: u16,
    /// The first minute after it; [`DAY_MINUTES`] for midnight.
    pub to: u16,
}

impl Span {
    /// A span between two times of the day, `HH:MM` each, of which the end may be `24:00`.
    pub fn parse(from: &str, to: &str) -> Option<Self> {
        let to = match to {
            "24:00" => DAY_MINUTES,
            to => minute_of(to)?,
        };
        let from = minute_of(from)?;
        (from != to).then_some(Self { from, to })
    }

    /// Whether it goes on into the next day.
    pub fn passes_midnight(self) -> bool {
        self.to < self.from
    }

    /// When it begins, as text.
    pub fn from_text(self) -> String {
        clock_text(self.from)
    }

    /// When it ends, as text.
    pub fn to_text(self) -> String {
        clock_text(self.to)
    }
}

fn clock_text(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// `HH:MM` as a minute of the day.
pub fn minute_of(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let is_pair = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_pair(hours) || !is_pair(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

/// `HH:MM-HH:MM` as two minutes of the day.
pub fn span_of(text: &str) -> Option<(u16, u16)> {
    let (from, to) = text.split_once('-')?;
    Some((minute_of(from)?, minute_of(to)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_times_are_read_as_people_write_them_and_shown_one_way() {
        for (text, shown) in [
            ("2026-06-01T08:00", "2026-06-01T08:00"),
            ("2026-06-01 08:00", "2026-06-01T08:00"),
            ("2026-06-01T08:00:59", "2026-06-01T08:00"),
            ("2026-06-01", "2026-06-01T00:00"),
        ] {
            let read = LocalTime::parse(text).expect(text);
            assert_eq!(read.to_string(), shown, "{text}");
            assert_eq!(LocalTime::parse(shown), Some(read));
        }
        for bad in [
            "",
            "june",
            "2026-06-31",
            "2026-06-01T25:00",
            "2026-06-01T08:00Z",
            "2026-06-01T08:00+02:00",
            "-002026-01-01",
            "08:00",
        ] {
            assert_eq!(LocalTime::parse(bad), None, "{bad:?}");
        }
        let end = |text: &str| LocalTime::parse_end(text).expect(text).to_string();
        assert_eq!(end("2026-06-30"), "2026-07-01T00:00");
        assert_eq!(end("2026-06-30T12:00"), "2026-06-30T12:00");
        let monday = LocalTime::parse("2026-06-01T08:30").expect("a time");
        assert_eq!((monday.weekday(), monday.minute()), (0, 510));
        assert_eq!(monday.0.date().weekday(), jiff::civil::Weekday::Monday);
    }

    #[test]
    fn days_and_spans_are_read_and_rubbish_is_none() {
        let shown = |text: &str| Days::parse(text).map(|days| days.to_string());
        for (text, days) in [
            ("mo", "mo"),
            ("mo-fr", "mo,tu,we,th,fr"),
            ("SA-mo", "mo,sa,su"),
            ("mo, we ,fr-sa", "mo,we,fr,sa"),
            ("mo-su", "mo,tu,we,th,fr,sa,su"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(days), "{text}");
        }
        for bad in ["", "monday", "mo-", "-", "mo-fr-su", "xx", "mo,,tu"] {
            assert_eq!(shown(bad), None, "{bad:?}");
        }
        assert_eq!(
            Span::parse("07:00", "24:00"),
            Some(Span {
                from: 420,
                to: 1_440
            })
        );
        assert!(Span::parse("22:00", "02:00").is_some_and(Span::passes_midnight));
        for (from, to) in [
            ("07:00", "07:00"),
            ("24:00", "07:00"),
            ("7:00", "08:00"),
            ("", ""),
        ] {
            assert_eq!(Span::parse(from, to), None, "{from} {to}");
        }
    }
}
