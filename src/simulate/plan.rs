//! When simulated citizens lift, and what goes wrong.
//!
//! Owns: the file of faults, and chance: the same seed gives the same lifts. Pure but for [`Faults::read`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use booth_host::config_file::{self, ConfigError};
use serde::Deserialize;

/// What goes wrong at each booth, as the file of `--faults` says it (TOML). Every key may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// The connection ends without a word so often in an hour.
    pub disconnects_per_hour: f64,
    /// The power fails so often in an hour: another session, and everything on the card is offered again.
    pub power_cuts_per_hour: f64,
    /// A mobile link: bodies leave at most so fast, bytes in a second.
    pub bytes_per_second: Option<u64>,
}

/// The file of faults cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("--faults {}: {why}", .file.display())]
pub struct PlanError {
    file: PathBuf,
    why: String,
}

impl Faults {
    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read, has another key, or a rate that cannot be.
    pub fn read(file: &Path) -> Result<Self, PlanError> {
        let no = |why: String| PlanError {
            file: file.to_owned(),
            why,
        };
        let read: Result<Self, ConfigError> = config_file::read(file);
        let faults = read.map_err(|why| no(why.to_string()))?;
        for (key, rate) in [
            ("disconnects_per_hour", faults.disconnects_per_hour),
            ("power_cuts_per_hour", faults.power_cuts_per_hour),
        ] {
            if !(0.0..=3_600.0).contains(&rate) {
                return Err(no(format!("{key} = {rate} must lie between 0 and 3600")));
            }
        }
        if faults.bytes_per_second == Some(0) {
            return Err(no(
                "bytes_per_second = 0: nothing would ever leave; leave it out for a fast link"
                    .into(),
            ));
        }
        Ok(faults)
    }
}

/// What each booth does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) lifts_per_hour: f64,
    pub(super) health: Duration,
    pub(super) faults: Faults,
    /// Within this time all booths connect.
    pub(super) ramp: Duration,
}

/// Numbers that look like chance (SplitMix64, Steele and others 2014).
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Another sequence of its own.
    pub(super) fn branch(&mut self) -> Self {
        Self(self.next())
    }

    /// From 0 up to, but not including, 1.
    pub(super) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// How long until something comes that comes so often in an hour; `None` if it never does.
    pub(super) fn until(&mut self, per_hour: f64) -> Option<Duration> {
        if per_hour <= 0.0 {
            return None;
        }
        let hours = -(1.0 - self.share()).ln() / per_hour;
        Some(Duration::from_secs_f64((hours * 3_600.0).min(1e9)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifts_come_as_often_as_they_should_and_the_same_for_the_same_seed() {
        let mut chance = Chance::new(7);
        let mean = (0..20_000)
            .filter_map(|_| chance.until(6.0))
            .map(|wait| wait.as_secs_f64())
            .sum::<f64>()
            / 20_000.0;
        assert!((570.0..630.0).contains(&mean), "{mean}");
        let waits = |seed| -> Vec<_> {
            let mut chance = Chance::new(seed).branch();
            (0..5).map(|_| chance.until(1.0)).collect()
        };
        assert_eq!(waits(3), waits(3));
        assert_ne!(waits(3), waits(4));
        assert_eq!(chance.until(0.0), None);
    }

    #[test]
    fn a_file_of_faults_that_cannot_be_is_refused_with_its_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let read = |text: &str| {
            let file = folder.path().join("faults.toml");
            std::fs::write(&file, text).expect("written");
            Faults::read(&file).map_err(|why| why.to_string())
        };
        let good = read("disconnects_per_hour = 2.5\nbytes_per_second = 20000\n").expect("good");
        assert_eq!(
            (good.disconnects_per_hour, good.bytes_per_second),
            (2.5, Some(20_000))
        );
        for (bad, says) in [
            ("disconnects_per_hour = -1.0", "disconnects_per_hour"),
            ("power_cuts_per_hour = 1e9", "power_cuts_per_hour"),
            ("bytes_per_second = 0", "bytes_per_second"),
            ("lightning = 1", "lightning"),
            ("=", "faults.toml"),
        ] {
            let why = read(bad).expect_err(bad);
            assert!(why.contains(says), "{why}");
        }
        assert!(Faults::read(&folder.path().join("none")).is_err());
    }
}
