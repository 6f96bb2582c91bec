//! The machine under the booth: clock, temperature, power, watchdog.
//!
//! Owns: the verdicts over the kernel's figures. Never does: invent one; what this machine does not tell is not checked.
#![allow(clippy::disallowed_methods)] // reads sysfs

use super::Finding;
use crate::adapters::clock;
use crate::adapters::sensors::{self, Readings};
use crate::contract::AlertId;

const AREA: &str = "machine";

/// The clock, as this machine knows it.
pub fn look_at_clock() -> Finding {
    match clock::clock_synced() {
        true => Finding::ok(
            "clock",
            "synchronised",
            format!(
                "The clock is synchronised: {}.",
                clock::rfc3339_ms(clock::wall())
            ),
        ),
        false => Finding::warning(
            "clock",
            "synchronised",
            format!(
                "The clock is not synchronised: {}.",
                clock::rfc3339_ms(clock::wall())
            ),
            AlertId::ClockUnset.remedy(),
        ),
    }
}

/// The kernel's figures.
pub fn look() -> Vec<Finding> {
    let mut all = judge(&sensors::read());
    all.push(watchdog());
    all
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
    all.push(match (readings.throttled_now, readings.throttled_since_boot) {
        (Some(true), _) => Finding::fault(
            AREA,
            "power",
            "The firmware throttles the processor now: the supply is too weak, or it is too hot.",
            AlertId::Power.remedy(),
        ),
        (_, Some(true)) => Finding::fault(
            AREA,
            "power",
            "The firmware has throttled the processor since the start.",
            AlertId::Power.remedy(),
        ),
        (Some(false), _) | (_, Some(false)) => {
            Finding::ok(AREA, "power", "The supply was strong enough since the start.")
        }
        (None, None) => {
            Finding::not_checked(AREA, "power", "This machine's firmware does not tell.")
        }
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
            "No network interface is up.",
            "Plug the cable in, or check the Wi-Fi's name and password.",
        ),
        None => Finding::not_checked(AREA, "network", "The kernel does not list its interfaces."),
    });
    all
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
    use crate::doctor::Verdict;

    #[test]
    fn what_the_machine_does_not_tell_is_not_checked_and_never_ok() {
        let found = judge(&Readings::default());
        assert!(
            found
                .iter()
                .all(|finding| finding.verdict == Verdict::NotChecked),
            "{found:?}"
        );
    }

    #[test]
    fn heat_is_worth_an_eye_and_a_weak_supply_a_fault_even_when_it_has_passed() {
        let found = judge(&Readings {
            cpu_temp_c: Some(81.4),
            throttled_now: Some(false),
            throttled_since_boot: Some(true),
            ..Readings::default()
        });
        assert_eq!(found[0].verdict, Verdict::Warning);
        assert_eq!(found[1].verdict, Verdict::Fault);
    }
}
