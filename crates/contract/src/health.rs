//! Health: one flat JSON object of numbers (contract §3.2).

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::{Serialize, Serializer};

use super::reading::fields;
use super::time::Timestamp;

/// Whether a citizen can speak now.
const READY: &str = "ready";

/// A value that health writes as a number.
trait Number: Copy {
    fn written(self) -> f64;
    /// The value that this number stands for, if it stands for one.
    fn read(number: f64) -> Option<Self>;
}

impl Number for bool {
    fn written(self) -> f64 {
        f64::from(u8::from(self))
    }

    fn read(number: f64) -> Option<Self> {
        match number {
            0.0 => Some(false),
            1.0 => Some(true),
            _ => None,
        }
    }
}

impl Number for u64 {
    fn written(self) -> f64 {
        self as f64
    }

    fn read(number: f64) -> Option<Self> {
        (is_whole(number) && number >= 0.0).then_some(number as u64)
    }
}

impl Number for f64 {
    fn written(self) -> f64 {
        self
    }

    fn read(number: f64) -> Option<Self> {
        Some(number)
    }
}

/// Whether a number is written without a fraction.
fn is_whole(number: f64) -> bool {
    number.fract() == 0.0 && number.abs() < 9.0e15
}

/// A measured value, unless it is no number.
pub fn finite(measured: f64) -> Option<f64> {
    measured.is_finite().then_some(measured)
}

macro_rules! health {
    ($($(#[$meaning:meta])* $name:ident: $kind:ty,)*) => {
        /// A health message: a value for each name of the contract, absent where a machine cannot know it. A flag is written as
        /// 0 or 1.
        ///
        /// Serialises as one flat object in order of name; whole numbers are written without a fraction.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct Health {
            $($(#[$meaning])* pub $name: Option<$kind>,)*
            /// Numbers under other names, and those that make no sense under theirs: what another version said.
            pub others: BTreeMap<String, f64>,
        }

        impl Health {
            /// The contract's names of all values (§3.2).
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// All values in order of name.
            fn values(&self) -> BTreeMap<&str, f64> {
                let others = self.others.iter().map(|(name, value)| (name.as_str(), *value));
                let mut values: BTreeMap<&str, f64> = others.collect();
                $(if let Some(value) = self.$name {
                    values.insert(stringify!($name), value.written());
                })*
                values.retain(|_, value| value.is_finite());
                values
            }

            /// One value as the number that is written.
            pub fn get(&self, name: &str) -> Option<f64> {
                let known = match name {
                    $(stringify!($name) => self.$name.map(Number::written),)*
                    _ => None,
                };
                known.or_else(|| self.others.get(name).copied())
            }

            fn take(&mut self, name: String, number: f64) {
                let taken = match name.as_str() {
                    $(stringify!($name) => {
                        self.$name = Number::read(number);
                        self.$name.is_some()
                    })*
                    _ => false,
                };
                if !taken {
                    self.others.insert(name, number);
                }
            }
        }
    };
}

health! {
    /// Whether a citizen can speak now.
    ready: bool,
    /// How long after the kernel's start a citizen could speak for the first time in this boot.
    ready_after_s: f64,
    /// When this was said, seconds since 1970.
    ts: f64,
    /// How often health is said.
    health_interval_s: u64,
    /// Time since the program's start.
    up_s: u64,
    /// How often the machine has started with this card.
    boot_count: u64,
    /// Whether the wall clock is synchronised.
    clock_synced: bool,
    /// The hottest sensor of the processor, °C.
    cpu_temp_c: f64,
    /// Load average over one minute.
    load1: f64,
    /// Available memory, MiB.
    mem_free_mb: f64,
    /// Resident memory of the gateway, MiB.
    rss_mb: f64,
    /// Whether the firmware limits the processor now.
    throttled_now: bool,
    /// Whether it has done so since the boot.
    throttled_since_boot: bool,
    /// How often the supply voltage was too low.
    undervolt_count: u64,
    /// Room beside the spool, MB.
    data_free_mb: f64,
    /// How full the spool's file system is, per cent.
    data_used_pct: f64,
    /// Whether the root file system is read-only.
    root_ro: bool,
    /// What the gateway has written since its start, MB.
    sd_written_mb: f64,
    /// The same since local midnight, MB.
    sd_written_mb_today: f64,
    /// Operations that the card refused, and errors that the kernel has noted about its file system.
    sd_io_errors: u64,
    /// Nineteen of twenty syncs took no longer than this, ms.
    fsync_p95_ms: f64,
    /// Finished clips on the card, quarantine not counted.
    spool_clips: u64,
    /// What they take, with recordings that run.
    spool_bytes: u64,
    /// Age of the oldest clip that is not confirmed.
    oldest_unsent_s: u64,
    /// The highest clip number of this card.
    last_clip_no: u64,
    /// The lowest that is still on it.
    oldest_clip_no_kept: u64,
    /// Clips in quarantine.
    quarantined_clips: u64,
    /// Parts handed to the connection since the start.
    parts_sent: u64,
    /// Those among them that had been sent before.
    parts_resent: u64,
    /// Bytes of topics and payloads handed to the connection since local midnight.
    tx_bytes_today: u64,
    /// Connections since the start that followed a lost one.
    reconnects: u64,
    /// Signal of the wireless interface, dBm.
    wifi_rssi_dbm: f64,
    /// Whether any interface has a link.
    link_up: bool,
    /// Frames arrive from the microphone.
    capture_ok: bool,
    /// The earpiece takes samples.
    playback_ok: bool,
    /// The handset is off its hook.
    offhook: bool,
    /// For how long it has been.
    offhook_s: f64,
    /// A message is being recorded.
    recording: bool,
    /// A technician is at the booth, or has closed the card.
    in_service: bool,
    /// Edges of the hook switch within the last hour.
    hook_toggles_1h: u64,
    /// Time since the handset was lifted last.
    last_lift_age_s: f64,
    /// Time since a clip was kept last.
    last_clip_age_s: f64,
    /// Loudness of that clip, dB below full scale.
    mic_rms_dbfs: f64,
    /// How much of it was clipped, per cent.
    mic_clip_pct: f64,
    /// How much of it was silence, per cent.
    mic_silence_pct: f64,
    /// Clips in a row in which nobody was heard.
    silent_clips_in_row: u64,
    /// Whether the latest self-test found everything well.
    selftest_ok: bool,
    /// Its age.
    selftest_age_s: f64,
    /// Overruns and underruns of the sound card since the start.
    xruns: u64,
    /// Boots of this card that a watchdog's reset caused.
    watchdog_resets: u64,
    /// Whole days until the first certificate ends; negative once it has ended.
    cert_days_left: f64,
    /// Whole days until the end of the city's present key; negative once it is over.
    key_days_left: f64,
    /// Alerts that are raised.
    faults: u64,
    /// Lifts of the handset since the card's first start.
    lifts_total: u64,
    /// The same since local midnight.
    lifts_today: u64,
    /// Recordings that were kept since the card's first start.
    clips_total: u64,
    /// The same since local midnight.
    clips_today: u64,
    /// Choices by digit since the card's first start.
    choices_total: u64,
    /// The same since local midnight.
    choices_today: u64,
    /// Goodbyes without a choice since the card's first start.
    refused_total: u64,
    /// The same since local midnight.
    refused_today: u64,
    /// Visits that ended before a choice since the card's first start.
    left_early_total: u64,
    /// The same since local midnight.
    left_early_today: u64,
    /// Takes that were too short since the card's first start.
    discarded_total: u64,
    /// The same since local midnight.
    discarded_today: u64,
    /// Emergency numbers that were dialled since the card's first start.
    emergency_dialled_total: u64,
    /// The same since local midnight.
    emergency_dialled_today: u64,
    /// Wrong service codes since the card's first start.
    wrong_codes_total: u64,
    /// The same since local midnight.
    wrong_codes_today: u64,
}

impl Health {
    /// Retained health expires after seven days (contract §3): what is left of them gives its age.
    pub const EXPIRY_S: u32 = 7 * 86_400;

    /// Reads a payload. A value that is no number counts as absent; only `ready`, which every reader needs, makes the payload
    /// unreadable if it is no number.
    ///
    /// # Errors
    /// Where the payload is no JSON object, or `ready` is no number.
    pub fn from_json(payload: &[u8]) -> Result<Self, serde_json::Error> {
        let mut health = Self::default();
        for (name, value) in fields(payload)? {
            match value.as_f64() {
                Some(number) => health.take(name, number),
                None if name == READY && !value.is_null() => {
                    return Err(serde::de::Error::custom("ready is no number"));
                }
                None => {}
            }
        }
        Ok(health)
    }

    /// When this was said by the booth's own clock, in seconds since 1970, where the booth says that its clock is right.
    pub fn said_by_its_clock(&self) -> Option<f64> {
        let ts = self.get("ts")?;
        // Seconds or milliseconds: a time in ms lies beyond the year 5000 when read as seconds.
        let seconds = if ts > 1e11 { ts / 1_000.0 } else { ts };
        (self.get("clock_synced") == Some(1.0)).then_some(seconds)
    }

    /// When a retained health was said: computed from what is left of its expiry, which the broker gives with it, else its own time if the
    /// booth's clock was set, else unknown.
    pub fn retained_since(&self, now: Timestamp, left_s: Option<u32>) -> Option<Timestamp> {
        if let Some(left) = left_s {
            let age = i64::from(Self::EXPIRY_S.saturating_sub(left));
            return now.checked_sub(SignedDuration::from_secs(age)).ok();
        }
        let seconds = self.said_by_its_clock()?;
        let said = Timestamp::from_second(seconds as i64).ok();
        said.map(|at| at.min(now))
    }

    /// The payload.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("health holds only numbers")
    }
}

impl Serialize for Health {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let values = self.values().into_iter().map(|(name, value)| {
            let number = match is_whole(value) {
                true => serde_json::Value::from(value as i64),
                false => serde_json::Value::from(value),
            };
            (name, number)
        });
        serializer.collect_map(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_flat_numbers_and_leaves_out_the_unknown() {
        let health = Health {
            ready: Some(true),
            load1: Some(0.25),
            cpu_temp_c: None,
            mic_rms_dbfs: finite(f64::NEG_INFINITY),
            ..Health::default()
        };
        assert_eq!(health.to_json(), br#"{"load1":0.25,"ready":1}"#);
        assert_eq!(
            Health::from_json(&health.to_json()).expect("own payload"),
            health
        );
    }

    #[test]
    fn what_is_no_number_counts_as_absent_but_for_the_one_that_everybody_needs() {
        let known = Health {
            ready: Some(true),
            ..Health::default()
        };
        let said = br#"{"ready":1,"load1":null,"note":"x","ts":"2026-01-01T00:00:00Z","a":[1],"b":{},"root_ro":false}"#;
        assert_eq!(Health::from_json(said).expect("read"), known);
        assert_eq!(
            Health::from_json(br#"{"ready":null}"#).expect("read"),
            Health::default()
        );
        for refused in [
            &br#"{"ready":true}"#[..],
            br#"{"ready":"1"}"#,
            b"[1]",
            b"1",
            b"",
            b"{",
        ] {
            assert!(Health::from_json(refused).is_err());
        }
    }

    #[test]
    fn what_another_version_says_is_read_under_its_name_and_written_again() {
        let said = br#"{"boot_count":1.5,"faults":-1,"humidity_pct":40,"ready":2,"up_s":7}"#;
        let health = Health::from_json(said).expect("read");
        assert_eq!((health.up_s, health.boot_count), (Some(7), None));
        assert_eq!(health.get("humidity_pct"), Some(40.0));
        assert_eq!(health.get("boot_count"), Some(1.5));
        assert_eq!(health.get("ready"), Some(2.0));
        assert_eq!(health.to_json(), said);
    }
}
