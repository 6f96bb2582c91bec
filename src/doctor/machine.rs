//! The machine under the booth: clock, temperature, power, watchdog.
//!
//! Owns: the verdicts on the kernel's figures. Never does: invent a figure; what this machine does not report is not
//! checked.
#![allow(clippy::disallowed_methods)] // reads sysfs

use booth_contract::time::rfc3339;
use std::path::Path;

use crate::adapters::sensors::{self, Readings, Sensors};
use crate::status::Finding;
use booth_contract::AlertId;
use booth_host::clock;
use gateway_core::partition::{self, Partition};
use gateway_core::power::Supply;

const AREA: &str = "machine";

/// The clock, as this machine knows it.
pub(super) fn look_at_clock() -> Finding {
    match clock::clock_synced() {
        true => Finding::ok(
            "clock",
            "synchronised",
            format!("The clock is synchronised: {}.", rfc3339(clock::wall())),
        ),
        false => Finding::warning(
            "clock",
            "synchronised",
            format!("The clock is not synchronised: {}.", rfc3339(clock::wall())),
            AlertId::ClockUnset.remedy(),
        ),
    }
}

/// The kernel's figures; `place` is the spool's, `note` the file of earlier boots about the data partition. The supply is
/// left to a gateway that runs: a second question to the firmware could take a dip away from the gateway.
pub(super) fn look(place: &Path, note: &Path, is_run: bool) -> Vec<Finding> {
    let sensors = Sensors::default();
    let mut all = judge(&sensors.readings(place));
    if !is_run {
        all.push(judge_supply(sensors.supply_files().look()));
        all.extend(
            sensors
                .partition(note)
                .and_then(|found| judge_partition(&found)),
        );
    }
    all.push(watchdog());
    all.push(match sensors.image() {
        Some(image) => Finding::ok(
            AREA,
            "image",
            format!("The image is {} {}.", image.version, image.image_id),
        ),
        None => Finding::not_checked(AREA, "image", "This machine runs no image of ours."),
    });
    all
}

/// Only without a gateway: a running one reports this as an alert.
fn judge_partition(found: &Partition) -> Option<Finding> {
    let (text, id) = match found {
        Partition::Sound => return None,
        Partition::Repaired(why) => {
            let sentence = format!("The card's data partition was repaired at this boot: {why}.");
            return Some(Finding::ok("card", "data partition", sentence));
        }
        Partition::MovedAside(why) => (
            partition::moved_aside(why, ""),
            AlertId::DataPartitionMovedAside,
        ),
        Partition::Missing(why) => (partition::missing(why), AlertId::DataPartitionMissing),
    };
    Some(Finding::fault("card", "data partition", text, id.remedy()))
}

fn judge(readings: &Readings) -> Vec<Finding> {
    let mut all = Vec::new();
    all.push(match readings.cpu_temp_c {
        None => Finding::not_checked(AREA, "temperature", "This machine has no thermometer."),
        Some(celsius) if celsius >= 80.0 => Finding::warning(
            AREA,
            "temperature",
            format!("The processor is at {celsius:.0} °C."),
            AlertId::Temperature.remedy(),
        ),
        Some(celsius) => Finding::ok(
            AREA,
            "temperature",
            format!("The processor is at {celsius:.0} °C."),
        ),
    });
    all.push(match readings.link_up {
        Some(true) => Finding::ok(
            AREA,
            "network",
            match sensors::ip() {
                Some(ip) => format!("The network is up; this machine is {ip}."),
                None => "The network is up.".into(),
            },
        ),
        Some(false) => Finding::warning(
            AREA,
            "network",
            "No network interface has a link.",
            "Plug the cable in, or check the Wi-Fi's name and password.",
        ),
        None => Finding::not_checked(AREA, "network", "The kernel does not list its interfaces."),
    });
    if let Some(errors) = readings.ext4_errors.filter(|errors| *errors > 0) {
        all.push(Finding::fault(
            AREA,
            "file system",
            format!("The spool's file system has noted {errors} errors."),
            AlertId::DiskErrors.remedy(),
        ));
    }
    all
}

fn judge_supply(supply: Supply) -> Finding {
    let bits = supply.throttled.unwrap_or(0);
    if !supply.is_known() {
        Finding::not_checked(AREA, "power", "This machine does not tell of its supply.")
    } else if supply.alarm == Some(true) || bits & 0xf != 0 {
        Finding::fault(
            AREA,
            "power",
            format!("The supply is too weak or the processor is held back now (bits {bits:#x})."),
            AlertId::Power.remedy(),
        )
    } else if bits & 0xf_0000 != 0 {
        Finding::fault(
            AREA,
            "power",
            format!("The supply was too weak or the processor held back earlier (bits {bits:#x})."),
            AlertId::Power.remedy(),
        )
    } else {
        Finding::ok(AREA, "power", "The supply is strong enough.")
    }
}

fn watchdog() -> Finding {
    let folder = std::path::Path::new("/sys/class/watchdog/watchdog0");
    let read = |name: &str| {
        let text = std::fs::read_to_string(folder.join(name)).ok()?;
        Some(text.trim().to_owned())
    };
    match read("state").as_deref() {
        None => Finding::not_checked(AREA, "watchdog", "This machine has no hardware watchdog."),
        Some("active") => Finding::ok(
            AREA,
            "watchdog",
            format!(
                "The hardware watchdog is armed, {} s.",
                read("timeout").unwrap_or_else(|| "?".into())
            ),
        ),
        Some(state) => Finding::warning(
            AREA,
            "watchdog",
            format!("The hardware watchdog is {state}: a machine that hangs stays so."),
            "Set RuntimeWatchdogSec=15 in /etc/systemd/system.conf.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Verdict;

    #[test]
    fn what_the_machine_does_not_tell_is_not_checked_and_never_ok() {
        let mut found = judge(&Readings::default());
        found.push(judge_supply(Supply::default()));
        let is_open = |finding: &Finding| finding.verdict == Verdict::NotChecked;
        assert!(found.len() == 3 && found.iter().all(is_open), "{found:?}");
    }

    #[test]
    fn heat_is_worth_an_eye_and_a_weak_supply_or_a_bad_file_system_a_fault() {
        let found = judge(&Readings {
            cpu_temp_c: Some(81.4),
            link_up: Some(true),
            ext4_errors: Some(2),
            ..Readings::default()
        });
        let verdicts: Vec<Verdict> = found.iter().map(|finding| finding.verdict).collect();
        assert_eq!(verdicts, [Verdict::Warning, Verdict::Ok, Verdict::Fault]);
        let supply = |alarm, throttled| judge_supply(Supply { alarm, throttled }).verdict;
        assert_eq!(supply(Some(false), Some(0)), Verdict::Ok);
        assert_eq!(supply(Some(true), None), Verdict::Fault);
        assert_eq!(supply(Some(false), Some(0x5_0000)), Verdict::Fault);
    }
}
