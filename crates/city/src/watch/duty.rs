//! Who is on duty, and when somebody is told: `[city.watch]` of hub.toml.
//!
//! Owns: its shape, its check, and the order in which people are told. Pure. Mail server, sender and the key of webhooks are those of
//! `[city.alarm]`.

use booth_contract::Severity;
use booth_host::config_file::Faults;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::alarm::{AlarmConfig, is_address};

/// `[city.watch]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchConfig {
    /// Who is told, in this order: the first who is on duty at once, the next one when nobody has taken the alert on.
    pub duty: Vec<Duty>,
    /// So long nobody else is told, minutes.
    pub wait_minutes: i64,
    /// In this time of the day only what keeps citizens from speaking is told at once, e.g. `22:00-07:00`; the rest waits for its end.
    pub quiet: Option<String>,
    /// An address that is asked for (GET) each minute while the hub takes messages: whoever is behind it notices a dead hub.
    pub heartbeat: Option<String>,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self {
            duty: Vec::new(),
            wait_minutes: 30,
            quiet: None,
            heartbeat: None,
        }
    }
}

/// Somebody who is on duty at certain times.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Duty {
    /// Who it is; no two have the same name.
    pub name: String,
    /// A mail address.
    pub mail: Option<String>,
    /// An address that takes a POST.
    pub webhook: Option<String>,
    /// The days, e.g. `["mon", "tue"]`; none means all. A time over midnight belongs to the day on which it begins.
    pub days: Vec<String>,
    /// The time of the day, e.g. `08:00-16:00`; without it all day.
    pub hours: Option<String>,
}

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// A time of the day, from and until; it may go over midnight.
fn span(text: &str) -> Option<(Time, Time)> {
    let (from, until) = text.split_once('-')?;
    let time = |text: &str| -> Option<Time> {
        let (hour, minute) = text.trim().split_once(':')?;
        if hour.len() != 2 || minute.len() != 2 {
            return None;
        }
        Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
    };
    let (from, until) = (time(from)?, time(until)?);
    (from != until).then_some((from, until))
}

/// Whether a time lies in a span, and in that case whether the span began the day before.
fn within(time: Time, (from, until): (Time, Time)) -> Option<bool> {
    match from < until {
        true => (from..until).contains(&time).then_some(false),
        false if time >= from => Some(false),
        false => (time < until).then_some(true),
    }
}

impl Duty {
    fn is_on(&self, zone: &TimeZone, now: Timestamp) -> bool {
        let local = now.to_zoned_datetime(zone.clone());
        let began_before = match self.hours.as_deref().and_then(span) {
            None => false,
            Some(span) => match within(local.time(), span) {
                None => return false,
                Some(began_before) => began_before,
            },
        };
        let day = match began_before {
            true => local.weekday().previous(),
            false => local.weekday(),
        };
        self.days.is_empty()
            || DAYS
                .iter()
                .any(|(name, own)| *own == day && self.days.iter().any(|wanted| wanted == name))
    }
}

impl WatchConfig {
    /// Who is to be told of an alert that nobody has taken on since this time, at which the first was told.
    pub(super) fn called(
        &self,
        zone: &TimeZone,
        now: Timestamp,
        severity: Severity,
        since: Timestamp,
    ) -> Vec<&Duty> {
        if severity == Severity::Watch
            || (severity != Severity::CitizenCannotSpeak && self.is_quiet(zone, now))
        {
            return Vec::new();
        }
        let waited = now.duration_since(since).max(SignedDuration::ZERO);
        let wait_s = (self.wait_minutes * 60).max(1);
        let turns = usize::try_from(waited.as_secs() / wait_s).unwrap_or(0);
        let on_duty = self.duty.iter().filter(|duty| duty.is_on(zone, now));
        on_duty.take(turns.saturating_add(1)).collect()
    }

    fn is_quiet(&self, zone: &TimeZone, now: Timestamp) -> bool {
        let time = now.to_zoned_datetime(zone.clone()).time();
        let quiet = self.quiet.as_deref().and_then(span);
        quiet.is_some_and(|quiet| within(time, quiet).is_some())
    }

    /// Refuses values that cannot work.
    pub(crate) fn check(&self, alarm: &AlarmConfig, faults: &mut Faults<'_>) {
        for (n, duty) in self.duty.iter().enumerate() {
            let key = format!("[[city.watch.duty]] {}", n + 1);
            let name = duty.name.as_str();
            if name.is_empty() || self.duty[..n].iter().any(|other| other.name == name) {
                faults.that(
                    &key,
                    format!("name = {name:?}: give each a name of its own"),
                );
            }
            let (mail, webhook) = (duty.mail.as_deref(), duty.webhook.as_deref());
            if mail.is_none() && webhook.is_none() {
                faults.that(&key, "has neither mail nor webhook: nobody would be told");
            }
            alarm.check_ways(mail, webhook, &key, faults);
            if let Some(day) = duty
                .days
                .iter()
                .find(|day| !DAYS.iter().any(|(name, _)| name == day))
            {
                faults.that(
                    &key,
                    format!("days: {day:?} is no day; write mon, tue, wed, thu, fri, sat or sun"),
                );
            }
            check_span(duty.hours.as_deref(), &format!("{key} hours"), faults);
        }
        check_span(self.quiet.as_deref(), "[city.watch] quiet", faults);
        if !(1..=1_440).contains(&self.wait_minutes) {
            let why = format!("= {} must lie between 1 and 1440", self.wait_minutes);
            faults.that("[city.watch] wait_minutes", why);
        }
        if let Some(address) = &self.heartbeat
            && !is_address(address)
        {
            faults.that(
                "[city.watch] heartbeat",
                format!("= {address:?} is no address; write https://…"),
            );
        }
    }
}

fn check_span(text: Option<&str>, key: &str, faults: &mut Faults<'_>) {
    if let Some(text) = text
        && span(text).is_none()
    {
        faults.that(
            key,
            format!("= {text:?} is no time of the day; write it like 22:00-07:00"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> WatchConfig {
        toml::from_str(
            "quiet = \"22:00-07:00\"\nwait_minutes = 30\n\
             [[duty]]\nname = \"day\"\nmail = \"d@x.example\"\ndays = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\"]\nhours = \"08:00-16:00\"\n\
             [[duty]]\nname = \"night\"\nmail = \"n@x.example\"\ndays = [\"fri\"]\nhours = \"20:00-06:00\"\n\
             [[duty]]\nname = \"always\"\nmail = \"a@x.example\"\n",
        )
        .expect("a configuration")
    }

    /// Who is told at a local time of an alert that was raised so many minutes before.
    fn told(local: &str, minutes: i64, severity: Severity) -> Vec<String> {
        let zone = TimeZone::get("Europe/Copenhagen").expect("a zone");
        let at: jiff::civil::DateTime = local.parse().expect("a time");
        let now = at
            .to_zoned_datetime(zone.clone())
            .expect("is there")
            .timestamp();
        let raised = now - SignedDuration::from_mins(minutes);
        let config = config();
        let called = config.called(&zone, now, severity, raised);
        called.iter().map(|duty| duty.name.clone()).collect()
    }

    #[test]
    fn the_first_on_duty_is_told_at_once_and_the_next_when_nobody_took_it_on() {
        let urgent = Severity::CitizenCannotSpeak;
        // 2026-03-06 is a Friday.
        assert_eq!(told("2026-03-06T10:00", 0, urgent), ["day"]);
        assert_eq!(told("2026-03-06T10:00", 29, urgent), ["day"]);
        assert_eq!(told("2026-03-06T10:00", 30, urgent), ["day", "always"]);
        assert_eq!(told("2026-03-06T10:00", 500, urgent), ["day", "always"]);
        assert_eq!(told("2026-03-06T16:00", 0, urgent), ["always"]);
        assert_eq!(told("2026-03-06T20:00", 0, urgent), ["night"]);
        // The night that began on Friday.
        assert_eq!(told("2026-03-07T05:59", 0, urgent), ["night"]);
        assert_eq!(told("2026-03-07T06:00", 0, urgent), ["always"]);
        assert_eq!(told("2026-03-08T05:00", 0, urgent), ["always"]);
    }

    #[test]
    fn in_the_quiet_hours_only_what_keeps_citizens_from_speaking_is_told_and_a_watch_never() {
        assert_eq!(
            told("2026-03-05T23:00", 0, Severity::CitizenCannotSpeak),
            ["always"]
        );
        assert!(told("2026-03-05T23:00", 0, Severity::NeedsVisit).is_empty());
        assert_eq!(
            told("2026-03-06T07:00", 480, Severity::NeedsVisit),
            ["always"]
        );
        assert!(told("2026-03-06T10:00", 0, Severity::Watch).is_empty());
    }

    #[test]
    fn what_is_no_time_of_the_day_is_none() {
        for bad in [
            "",
            "22-7",
            "22:00",
            "22:00-24:00",
            "7:00-8:00",
            "08:00-08:00",
            "ab:cd-ef:gh",
        ] {
            assert_eq!(span(bad), None, "{bad}");
        }
        assert!(span("22:00-07:00").is_some());
    }
}
