//! `[city]` of hub.toml and the tables below it: typed, with their defaults and the check of their values.
//!
//! Owns: the shape of this part of the configuration. Each room adds its own table here. Never does: open a file.

use std::net::SocketAddr;
use std::path::PathBuf;

use booth_host::config_file::Faults;
use serde::Deserialize;

pub use crate::alarm::{AlarmConfig, Contact};
pub use crate::desk::DeskConfig;
pub use crate::transcribe::TranscribeConfig;
pub use crate::watch::{Duty, WatchConfig};

/// `[city]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CityConfig {
    /// The city's name, as pages say it.
    pub name: String,
    /// Where the citizens' pages listen; without it there are none.
    pub listen: Option<SocketAddr>,
    /// The address under which citizens reach them, e.g. `https://booths.example`: it stands in feeds, files and posters.
    pub address: String,
    /// A folder with further languages, or changed texts (docs/languages.md).
    pub languages: Option<PathBuf>,
    /// The languages that pages offer; the first one is asked first.
    pub offers: Vec<String>,
    /// The city's time zone, for days and hours.
    pub time_zone: String,
    /// Who answers questions of citizens: shown on the pages.
    pub contact: String,
    /// The licence of open data, an SPDX identifier.
    pub licence: String,
    /// The city's own login, beside passwords.
    pub login: crate::people::LoginConfig,
    /// How long messages are kept.
    pub retention: RetentionConfig,
    /// `[city.home]`: answers from home.
    pub home: HomeConfig,
    /// Whether the pages for staff are reached over TLS alone: the session's cookie then goes nowhere else. The hub says it.
    #[serde(skip)]
    pub is_behind_tls: bool,
    /// The moderator's desk.
    pub desk: DeskConfig,
    /// Drafts of transcripts by a command.
    pub transcribe: TranscribeConfig,
    /// Whom to tell that somebody may be in danger.
    pub alarm: AlarmConfig,
    /// Whom to tell what is wrong with the booths and the hub.
    pub watch: WatchConfig,
}

impl Default for CityConfig {
    fn default() -> Self {
        Self {
            name: "Aarhus".into(),
            listen: None,
            address: "http://127.0.0.1:8081".into(),
            languages: None,
            offers: vec!["da".into(), "en".into()],
            time_zone: "Europe/Copenhagen".into(),
            contact: String::new(),
            licence: "CC-BY-4.0".into(),
            login: Default::default(),
            retention: RetentionConfig::default(),
            home: HomeConfig::default(),
            is_behind_tls: false,
            desk: DeskConfig::default(),
            transcribe: TranscribeConfig::default(),
            alarm: AlarmConfig::default(),
            watch: WatchConfig::default(),
        }
    }
}

/// `[city.retention]`: days, whole ones of 24 hours.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// From its arrival on a message waits so long for a decision.
    pub waiting_days: u32,
    /// A rejected message is kept so long from that decision on, so that it can be taken back.
    pub rejected_days: u32,
    /// One that is counted and not shown, from that decision on.
    pub heard_days: u32,
    /// A published one, from the end of its campaign on.
    pub published_days_after_campaign: u32,
    /// A warning stands so long before anything is deleted.
    pub warn_days: u32,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            waiting_days: 90,
            rejected_days: 14,
            heard_days: 365,
            published_days_after_campaign: 365,
            warn_days: 14,
        }
    }
}

/// Most days of a retention.
const LONGEST_RETENTION: u32 = 3_650;
/// Most days of its warning.
const LONGEST_WARNING: u32 = 365;

impl RetentionConfig {
    fn check(&self, faults: &mut Faults) {
        for (key, days, most) in [
            ("waiting_days", self.waiting_days, LONGEST_RETENTION),
            ("rejected_days", self.rejected_days, LONGEST_RETENTION),
            ("heard_days", self.heard_days, LONGEST_RETENTION),
            (
                "published_days_after_campaign",
                self.published_days_after_campaign,
                LONGEST_RETENTION,
            ),
            ("warn_days", self.warn_days, LONGEST_WARNING),
        ] {
            if !(1..=most).contains(&days) {
                let why = format!("= {days} must lie between 1 and {most} days");
                faults.that(format!("[city.retention] {key}"), why);
            }
        }
    }
}

/// `[city.home]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HomeConfig {
    /// Whether citizens may answer on the pages.
    pub is_open: bool,
    /// How much a browser's script works for a form: so many zero bits (16 are a fraction of a second on an old telephone).
    pub work_bits: u32,
    /// How long answers are kept, in words for the notice: "two years". Empty: the notice says whom to ask.
    pub kept: String,
}

impl Default for HomeConfig {
    fn default() -> Self {
        Self {
            is_open: true,
            work_bits: 16,
            kept: String::new(),
        }
    }
}

impl CityConfig {
    /// The city's time zone; the machine's where the name is none, which [`CityConfig::check`] refuses.
    pub fn zone(&self) -> jiff::tz::TimeZone {
        jiff::tz::TimeZone::get(&self.time_zone).unwrap_or_else(|_| jiff::tz::TimeZone::system())
    }

    /// Refuses values that cannot work.
    pub fn check(&self, faults: &mut Faults) {
        self.login.check(faults);
        self.retention.check(faults);
        if self.home.work_bits > 22 {
            faults.that(
                "[city.home] work_bits",
                "is more than 22, for which an old telephone works minutes; 16 is usual",
            );
        }
        if self.offers.is_empty() {
            faults.that(
                "[city] offers",
                "names no language; write offers = [\"da\", \"en\"]",
            );
        }
        if jiff::tz::TimeZone::get(&self.time_zone).is_err() {
            let zone = &self.time_zone;
            let why = format!("= \"{zone}\" is no time zone; write one like \"Europe/Copenhagen\"");
            faults.that("[city] time_zone", why);
        }
        if !self.address.starts_with("https://") && !self.address.starts_with("http://") {
            faults.that(
                "[city] address",
                "must begin with https:// (or http:// on this machine alone)",
            );
        }
        self.desk.check(faults);
        self.transcribe.check(faults);
        self.alarm.check(faults);
        self.watch.check(&self.alarm, faults);
    }
}
