//! What is wrong with the booths and with this hub at a moment, for whoever is on duty ([`booth_city::watch`]).
//!
//! Owns: what the centre sees alone: silence, missing numbers, clocks, its own broker, disk and backup. Pure but for [`of_the_machine`]. Never
//! does: judge a booth's alert anew, or remember anything; what comes and goes by itself is left to the city's watch.
#![allow(clippy::disallowed_methods)] // looks at the disk and at the backup

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use booth_city::watch::{KINDS, Sighting};
use booth_contract::{Presence, Severity};
use jiff::{SignedDuration, Timestamp};

use crate::store::gaps::MISSING;
use crate::store::measures::free_at;
use crate::view::{BoothView, FleetView};

/// A fleet of so many booths is told as one when most of them fall silent: something that they share is broken.
const FLEET: usize = 3;
/// Booths whose silence began within this time of each other fell silent together, seconds: a booth says its health once in a minute, and at most once
/// in a quarter of an hour.
const TOGETHER_S: u64 = 1_800;
/// A clock that is off by more than this is told, seconds: messages would count for another hour.
const CLOCK_OFF_S: f64 = 120.0;
/// A backup that is older than this has failed; one is made each night.
const OLDEST_BACKUP: Duration = Duration::from_secs(26 * 3600);

/// What is wrong with the fleet, to which booths that are paused do not belong.
pub(crate) fn of_the_fleet(view: &FleetView, paused: &BTreeSet<String>) -> Vec<Sighting> {
    if !view.broker_connected {
        // Without the broker every booth would be silent: one alert, not forty.
        let mut broker = of_the_hub("broker", Severity::CitizenCannotSpeak);
        broker.text.clone_from(&view.broker_detail);
        return vec![broker];
    }
    let mut seen = Vec::new();
    let booths = view.booths.iter();
    let heard: Vec<&BoothView> = booths
        .filter(|booth| booth.heard && !paused.contains(&booth.booth_id))
        .collect();
    let (together, fell) = fell_silent_together(&heard);
    let alone = heard.iter().filter(|booth| is_silent(booth)).count() - together;
    let is_all = is_most(together, heard.len() - alone);
    if is_all {
        let mut fleet = of_the_hub("fleet_silent", Severity::CitizenCannotSpeak);
        fleet.number = together as i64;
        seen.push(fleet);
    }
    let clocks = heard.iter().filter(|booth| !is_silent(booth));
    let clocks: Vec<f64> = clocks
        .filter_map(|booth| off_s(view.generated_at, booth))
        .collect();
    let off = clocks.iter().filter(|off| is_off(off)).count();
    // If most booths are right about their clocks, the hub's is wrong: one alert, not forty.
    let is_hubs_clock = is_most(off, clocks.len());
    if is_hubs_clock {
        let mut clock = of_the_hub("hub_clock", Severity::NeedsVisit);
        clock.number = off as i64;
        seen.push(clock);
    }
    for booth in &heard {
        if is_silent(booth) {
            if !(is_all && fell.contains(&silent_for_s(booth))) {
                seen.push(Sighting {
                    since: booth
                        .health_age_s
                        .and_then(|age| before(view.generated_at, age)),
                    ..of(booth, "silent", Severity::CitizenCannotSpeak)
                });
            }
            // What a silent booth said before says nothing of now.
            continue;
        }
        // No booth says what the centre alone can see.
        let own = booth.alerts.iter();
        let own = own.filter(|alert| !KINDS.contains(&alert.id.as_str()));
        seen.extend(own.map(|alert| Sighting {
            text: alert.text.clone(),
            since: alert.since.parse().ok(),
            ..of(booth, &alert.id, alert.severity)
        }));
        if booth.two_serials {
            seen.push(of(booth, "two_machines", Severity::NeedsVisit));
        }
        if let Some(off) = off_s(view.generated_at, booth).filter(is_off)
            && !is_hubs_clock
        {
            seen.push(Sighting {
                number: off as i64,
                ..of(booth, "clock_off", Severity::NeedsVisit)
            });
        }
    }
    for booth in heard.iter().filter(|booth| !is_silent(booth)) {
        let gaps = view
            .gaps
            .iter()
            .filter(|gap| gap.booth_id == booth.booth_id && gap.kind == MISSING);
        let number: u64 = gaps.map(|gap| gap.numbers).sum();
        if number > 0 {
            seen.push(Sighting {
                number: i64::try_from(number).unwrap_or(i64::MAX),
                ..of(booth, "gaps", Severity::NeedsVisit)
            });
        }
    }
    seen
}

/// What is wrong with the hub's machine: its disk, and the backup, where one is expected.
pub(crate) fn of_the_machine(
    store: &Path,
    reserve_bytes: u64,
    backup: Option<&Path>,
    now: std::time::SystemTime,
) -> Vec<Sighting> {
    let mut seen = Vec::new();
    match free_at(store, reserve_bytes) {
        Ok(free) if free.is_enough => {}
        Ok(free) => {
            let mut disk = of_the_hub("disk", Severity::CitizenCannotSpeak);
            disk.number = i64::try_from(free.bytes >> 20).unwrap_or(i64::MAX);
            seen.push(disk);
        }
        Err(error) => {
            let mut disk = of_the_hub("disk", Severity::CitizenCannotSpeak);
            disk.text = error.to_string();
            seen.push(disk);
        }
    }
    if let Some(folder) = backup {
        let made = std::fs::metadata(folder.join("backup.json")).and_then(|file| file.modified());
        let is_fresh = |at: &std::time::SystemTime| {
            now.duration_since(*at)
                .is_ok_and(|age| age <= OLDEST_BACKUP)
                || *at > now
        };
        if !made.as_ref().is_ok_and(is_fresh) {
            let mut missing = of_the_hub("backup", Severity::NeedsVisit);
            missing.since = made.ok().and_then(|at| Timestamp::try_from(at).ok());
            seen.push(missing);
        }
    }
    seen
}

/// What is wrong with the bucket that has the bodies of clips, as the store's thread has found it.
pub(crate) fn of_the_bodies(fault: Option<String>) -> Option<Sighting> {
    let text = fault?;
    Some(Sighting {
        text,
        ..of_the_hub("bodies", Severity::Watch)
    })
}

/// What of the store's own work fails, as the store's thread has found it.
pub(crate) fn of_the_work(failing: Vec<(&'static str, String)>) -> Vec<Sighting> {
    let seen = failing.into_iter().map(|(kind, text)| Sighting {
        text,
        ..of_the_hub(kind, Severity::NeedsVisit)
    });
    seen.collect()
}

/// How many of the workers live, where fewer do than are wanted.
pub(crate) fn of_the_workers(living: Option<u64>, wanted: u16) -> Option<Sighting> {
    let living = living.filter(|living| *living < u64::from(wanted))?;
    let severity = match living {
        0 => Severity::CitizenCannotSpeak,
        _ => Severity::Watch,
    };
    Some(Sighting {
        number: i64::try_from(living).unwrap_or(i64::MAX),
        text: wanted.to_string(),
        ..of_the_hub("workers", severity)
    })
}

fn of(booth: &BoothView, kind: &str, severity: Severity) -> Sighting {
    Sighting {
        subject: booth.booth_id.clone(),
        ..of_the_hub(kind, severity)
    }
}

fn of_the_hub(kind: &str, severity: Severity) -> Sighting {
    Sighting {
        subject: String::new(),
        kind: kind.to_owned(),
        severity,
        text: String::new(),
        since: None,
        number: 0,
    }
}

/// A booth that stopped cleanly is silent, too: nobody can speak there.
fn is_silent(booth: &BoothView) -> bool {
    booth.heard && (booth.stale || booth.presence != Some(Presence::Online))
}

/// Since when nothing was heard of a booth, as far as that is known.
fn silent_for_s(booth: &BoothView) -> u64 {
    booth.health_age_s.unwrap_or(u64::MAX)
}

/// How many booths fell silent within [`TOGETHER_S`] of each other, the most that did, and for how long they have been. Booths that were put away
/// one after the other, or failed so, are no fleet that fell silent.
fn fell_silent_together(heard: &[&BoothView]) -> (usize, RangeInclusive<u64>) {
    let silent = heard.iter().filter(|booth| is_silent(booth));
    let mut ages: Vec<u64> = silent.map(|booth| silent_for_s(booth)).collect();
    ages.sort_unstable();
    let groups = ages.iter().enumerate().map(|(at, first)| {
        let last = first.saturating_add(TOGETHER_S);
        let number = ages[at..].partition_point(|age| *age <= last);
        (number, *first..=last)
    });
    let most = groups.rev().max_by_key(|(number, _)| *number);
    most.unwrap_or((0, 0..=0))
}

fn before(now: Timestamp, seconds: u64) -> Option<Timestamp> {
    let seconds = i64::try_from(seconds).ok()?;
    now.checked_sub(SignedDuration::from_secs(seconds)).ok()
}

/// Whether so many of these are most of a fleet.
fn is_most(some: usize, of: usize) -> bool {
    some >= FLEET && some * 2 > of
}

/// By how many seconds a booth's clock is ahead (behind, where negative) of the hub's, where it says that its clock is right.
fn off_s(now: Timestamp, booth: &BoothView) -> Option<f64> {
    let health = booth.health.as_ref()?;
    let said = health.said_by_its_clock()?;
    let heard = now.as_second() as f64 - booth.health_age_s? as f64;
    Some(said - heard)
}

fn is_off(off_s: &f64) -> bool {
    off_s.abs() > CLOCK_OFF_S
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use booth_contract::{AlertId, Health};

    use super::*;
    use crate::view::{AlertView, GapView};

    fn booth(id: &str) -> BoothView {
        BoothView {
            heard: true,
            presence: Some(Presence::Online),
            ready: Some(true),
            health_age_s: Some(10),
            ..BoothView::never_heard(id)
        }
    }

    fn fleet(booths: Vec<BoothView>) -> FleetView {
        FleetView {
            broker_connected: true,
            broker_detail: "connection refused".into(),
            booths,
            ..FleetView::empty("2026-03-01T10:00:00Z".parse().expect("a time"))
        }
    }

    fn kinds(view: &FleetView) -> Vec<(String, String)> {
        let seen = of_the_fleet(view, &BTreeSet::new());
        seen.into_iter()
            .map(|one| (one.subject, one.kind))
            .collect()
    }

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    }

    #[test]
    fn a_fleet_without_its_broker_and_one_that_falls_silent_at_once_are_one_alert() {
        let mut view = fleet((0..40).map(|n| booth(&format!("b-{n:02}"))).collect());
        assert!(kinds(&view).is_empty());
        for silent in &mut view.booths[..2] {
            silent.presence = Some(Presence::Lost);
        }
        assert_eq!(
            kinds(&view),
            pairs(&[("b-00", "silent"), ("b-01", "silent")])
        );
        for silent in &mut view.booths[..30] {
            silent.stale = true;
        }
        assert_eq!(kinds(&view), pairs(&[("", "fleet_silent")]));
        view.broker_connected = false;
        assert_eq!(kinds(&view), pairs(&[("", "broker")]));
        // Two booths of a fleet of two are two booths.
        let mut few = fleet(vec![booth("a"), booth("b")]);
        for silent in &mut few.booths {
            silent.stale = true;
        }
        assert_eq!(kinds(&few).len(), 2);
        // One that was never heard is expected, and not silent.
        assert!(kinds(&fleet(vec![BoothView::never_heard("new")])).is_empty());
    }

    #[test]
    fn what_a_booth_raised_counts_while_it_is_heard_and_what_the_centre_sees_stands_beside_it() {
        let mut one = booth("a-1");
        one.alerts = vec![AlertView {
            id: AlertId::Power.as_str().into(),
            severity: Severity::NeedsVisit,
            text: "too low".into(),
            since: "2026-03-01T09:00:00Z".into(),
            confirmed: true,
        }];
        one.two_serials = true;
        // Heard ten seconds ago, and five minutes ahead.
        let ahead = br#"{"clock_synced":1,"ts":1772359490}"#;
        one.health = Health::from_json(ahead).ok().map(Into::into);
        let mut view = fleet(vec![one]);
        let gap = |kind: &str| GapView {
            card_id: "c".into(),
            booth_id: "a-1".into(),
            missing: vec![(3, 4)],
            numbers: 2,
            kind: kind.into(),
            last_seen: String::new(),
        };
        view.gaps = vec![gap("missing_between"), gap("still_on_booth")];
        let seen = of_the_fleet(&view, &BTreeSet::new());
        let numbers: Vec<(&str, i64)> = seen
            .iter()
            .map(|one| (one.kind.as_str(), one.number))
            .collect();
        let of_clock = seen
            .iter()
            .find(|one| one.kind == "clock_off")
            .map(|one| one.number);
        assert_eq!(
            numbers,
            [
                ("power", 0),
                ("two_machines", 0),
                ("clock_off", of_clock.unwrap_or(0)),
                ("gaps", 2)
            ]
        );
        assert_eq!(of_clock, Some(300));
        view.booths[0].stale = true;
        assert_eq!(kinds(&view), pairs(&[("a-1", "silent")]));
    }

    #[test]
    fn booths_that_fell_silent_one_after_the_other_hide_no_other_one() {
        let mut view = fleet((0..5).map(|n| booth(&format!("b-{n}"))).collect());
        // Three were put away for the winter, on three days; then a fourth one dies.
        for (day, put_away) in (1..).zip(&mut view.booths[..3]) {
            put_away.stale = true;
            put_away.health_age_s = Some(day * 86_400);
        }
        view.booths[3].stale = true;
        view.booths[3].health_age_s = Some(200);
        let alone = ["b-0", "b-1", "b-2", "b-3"].map(|booth| (booth, "silent"));
        assert_eq!(kinds(&view), pairs(&alone));
        // What most of the others share breaks: that is one alert beside the old ones.
        let mut view = fleet((0..8).map(|n| booth(&format!("b-{n}"))).collect());
        for (age, silent) in [86_400, 300, 310, 1_000, 1_200]
            .into_iter()
            .zip(&mut view.booths)
        {
            silent.stale = true;
            silent.health_age_s = Some(age);
        }
        let mut seen = kinds(&view);
        seen.sort();
        assert_eq!(seen, pairs(&[("", "fleet_silent"), ("b-0", "silent")]));
    }

    #[test]
    fn booths_that_are_being_moved_are_no_fleet_that_fell_silent_and_hide_no_other_booth() {
        let mut view = fleet((0..5).map(|n| booth(&format!("b-{n}"))).collect());
        for moved in &mut view.booths[..4] {
            moved.stale = true;
        }
        assert_eq!(kinds(&view), pairs(&[("", "fleet_silent")]));
        let paused: BTreeSet<String> = ["b-0", "b-1", "b-2"].map(str::to_owned).into();
        let seen = of_the_fleet(&view, &paused);
        let seen: Vec<(&str, &str)> = seen
            .iter()
            .map(|one| (one.subject.as_str(), one.kind.as_str()))
            .collect();
        assert_eq!(seen, [("b-3", "silent")]);
    }

    #[test]
    fn a_hub_whose_clock_is_wrong_accuses_itself_and_not_every_booth() {
        // The hub believes that it is ten o'clock, and the booths said five minutes past ten, ten seconds ago.
        let says = |ts: i64| {
            let health = format!("{{\"clock_synced\":1,\"ts\":{ts}}}");
            Health::from_json(health.as_bytes()).ok().map(Into::into)
        };
        let mut view = fleet((0..4).map(|n| booth(&format!("b-{n}"))).collect());
        for booth in &mut view.booths {
            booth.health = says(1_772_359_490);
        }
        assert_eq!(kinds(&view), pairs(&[("", "hub_clock")]));
        // Two of four are not most.
        for booth in &mut view.booths[..2] {
            booth.health = says(1_772_359_190);
        }
        assert_eq!(
            kinds(&view),
            pairs(&[("b-2", "clock_off"), ("b-3", "clock_off")])
        );
    }

    #[test]
    fn no_booth_says_that_the_hub_has_lost_its_broker() {
        let invented = |id: &str| AlertView {
            id: id.into(),
            severity: Severity::Watch,
            text: "believe me".into(),
            since: String::new(),
            confirmed: true,
        };
        let mut liar = booth("a-1");
        liar.alerts = KINDS.map(invented).to_vec();
        liar.alerts.push(invented("of-a-later-version"));
        assert_eq!(
            kinds(&fleet(vec![liar])),
            pairs(&[("a-1", "of-a-later-version")])
        );
        for id in AlertId::ALL {
            assert!(!KINDS.contains(&id.as_str()), "{id:?}");
        }
    }

    #[test]
    fn a_backup_that_is_missing_or_old_and_a_full_disk_are_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let now = SystemTime::now();
        let seen = |backup, reserve, now| -> Vec<String> {
            let seen = of_the_machine(folder.path(), reserve, backup, now);
            seen.into_iter().map(|one| one.kind).collect()
        };
        assert!(seen(None, 0, now).is_empty());
        assert_eq!(seen(Some(folder.path()), 0, now), ["backup"]);
        std::fs::write(folder.path().join("backup.json"), "{}").expect("written");
        assert!(seen(Some(folder.path()), 0, now).is_empty());
        assert_eq!(
            seen(Some(folder.path()), 0, now + OLDEST_BACKUP * 2),
            ["backup"]
        );
        assert_eq!(seen(None, u64::MAX / 4, now), ["disk"]);
        let gone = folder.path().join("gone");
        let found = of_the_machine(&gone, 0, None, now);
        assert!(found.len() == 1 && !found[0].text.is_empty(), "{found:?}");
    }
}
