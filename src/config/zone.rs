//! `[booth] timezone`: the same names on every machine.
//!
//! Owns: which names are zones, and whose tables say when their clocks change: the machine's, because those are updated, or
//! the program's own where the machine has none or lacks the name. Never does: let the machine decide whether a file is
//! right.

use std::path::Path;
use std::sync::LazyLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::warning::ConfigWarning;

/// Former names that are still in use, each with today's name (the IANA database's file `backward`).
const FORMER: [(&str, &str); 18] = [
    ("US/Eastern", "America/New_York"),
    ("US/Central", "America/Chicago"),
    ("US/Mountain", "America/Denver"),
    ("US/Pacific", "America/Los_Angeles"),
    ("US/Alaska", "America/Anchorage"),
    ("US/Hawaii", "Pacific/Honolulu"),
    ("US/Arizona", "America/Phoenix"),
    ("Canada/Eastern", "America/Toronto"),
    ("Canada/Pacific", "America/Vancouver"),
    ("GB", "Europe/London"),
    ("Eire", "Europe/Dublin"),
    ("Poland", "Europe/Warsaw"),
    ("Portugal", "Europe/Lisbon"),
    ("Turkey", "Europe/Istanbul"),
    ("Iceland", "Atlantic/Reykjavik"),
    ("Europe/Kiev", "Europe/Kyiv"),
    ("Asia/Calcutta", "Asia/Kolkata"),
    ("Japan", "Asia/Tokyo"),
];

/// The machine's tables, if it has any: Debian's package `tzdata`.
static OF_MACHINE: LazyLock<Option<TimeZoneDatabase>> = LazyLock::new(|| {
    let named = std::env::var_os("TZDIR");
    let folder = named
        .as_deref()
        .map_or(Path::new("/usr/share/zoneinfo"), Path::new);
    let tables = TimeZoneDatabase::from_dir(folder).ok()?;
    (!tables.is_definitively_empty()).then_some(tables)
});

fn of_program(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok()
}

fn of_machine(name: &str) -> Option<TimeZone> {
    OF_MACHINE.as_ref()?.get(name).ok()
}

/// The zone of a name that passed [`check`]; UTC for any other.
pub fn zone(name: &str) -> TimeZone {
    let found = of_program(name).map(|own| of_machine(name).unwrap_or(own));
    found.unwrap_or(TimeZone::UTC)
}

/// A name of no zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is unknown; use an IANA name such as \"Europe/Copenhagen\"{}", meant(.near))]
pub(super) struct UnknownZone {
    name: String,
    /// A zone whose name is spelled almost the same.
    near: Option<String>,
}

fn meant(near: &Option<String>) -> String {
    let hint = near.as_ref().map(|own| format!("; did you mean {own:?}?"));
    hint.unwrap_or_default()
}

/// Whether a name is a zone's; the same on every machine.
pub(super) fn check(name: &str) -> Result<(), UnknownZone> {
    if of_program(name).is_some() {
        return Ok(());
    }
    let known = TimeZoneDatabase::bundled();
    let folded = name.to_lowercase();
    let near = known
        .available()
        .map(|own| {
            (
                strsim::damerau_levenshtein(&folded, &own.as_str().to_lowercase()),
                own,
            )
        })
        .filter(|(distance, own)| *distance <= 1 + own.as_str().len() / 6)
        .min_by_key(|(distance, _)| *distance);
    Err(UnknownZone {
        name: name.to_owned(),
        near: near.map(|(_, own)| own.as_str().to_owned()),
    })
}

/// What this machine's tables lack for a name that passed [`check`]: the booth uses the program's own tables meanwhile.
pub(super) fn lacking(name: &str) -> Option<ConfigWarning> {
    if of_program(name).is_none() || of_machine(name).is_some() {
        return None;
    }
    let meanwhile = "The booth goes by the program's own tables, which know no change of law that came after it";
    if OF_MACHINE.is_none() {
        let what = "[booth] timezone: this machine has no tables of time zones";
        let what = format!("{what}. {meanwhile}");
        return Some(ConfigWarning::new(what, "install Debian's package tzdata"));
    }
    let today = FORMER
        .iter()
        .find(|(former, _)| former.eq_ignore_ascii_case(name));
    let remedy = today.map_or_else(
        || {
            "write the name that is used today, or install Debian's package tzdata-legacy"
                .to_owned()
        },
        |(_, today)| format!("write {today:?}"),
    );
    let what = format!("[booth] timezone: this machine's tables have no {name:?}. {meanwhile}");
    Some(ConfigWarning::new(what, remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn former_names_of_zones_are_known_on_every_machine_and_lead_to_todays() {
        for (former, today) in FORMER {
            assert_eq!((check(former), check(today)), (Ok(()), Ok(())), "{former}");
            let noon = jiff::civil::date(2026, 7, 1).at(12, 0, 0, 0);
            let of = |name: &str| of_program(name).and_then(|zone| zone.to_timestamp(noon).ok());
            assert_eq!(of(former), of(today), "{former}");
        }
        assert_eq!(check("europe/copenhagen"), Ok(()));
    }

    #[test]
    fn a_name_that_is_none_is_refused_with_a_suggestion_and_is_utc() {
        for (name, part) in [
            ("Europe/Copenhagn", "did you mean \"Europe/Copenhagen\"?"),
            ("Mars/Olympus", "is unknown; use an IANA name"),
            ("", "is unknown"),
            ("../../etc/passwd", "is unknown"),
        ] {
            let why = check(name).expect_err("no zone").to_string();
            assert!(why.contains(part), "{name}: {why}");
            assert_eq!((zone(name), lacking(name)), (TimeZone::UTC, None));
        }
    }
}
