//! A rollout over a fleet that behaves and one that does not, minute by minute; and its file.

use super::*;

const OLD: &str = "0.1.0";
const NEW: &str = "0.2.0";

/// A fleet in which each booth that is told obeys after some minutes.
struct Fleet {
    rollout: Rollout,
    facts: BTreeMap<String, Facts>,
    /// When each was told, and when its update ends.
    under_way: BTreeMap<String, i64>,
    minute: i64,
    /// Booths that go back.
    bad: Vec<&'static str>,
    /// Booths that no command reaches.
    deaf: Vec<&'static str>,
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + minute * 60).expect("a time")
}

impl Fleet {
    fn of(number: usize) -> Self {
        let ids: Vec<String> = (0..number).map(|n| format!("b-{n:03}")).collect();
        let fine = Facts {
            is_online: true,
            is_ready: true,
            version: Some(OLD.into()),
            said: None,
        };
        Self {
            rollout: Rollout::new(
                at(0),
                "olga",
                NEW,
                "https://x.example/a.update",
                ids.clone(),
            ),
            facts: ids.into_iter().map(|id| (id, fine.clone())).collect(),
            under_way: BTreeMap::new(),
            minute: 0,
            bad: Vec::new(),
            deaf: Vec::new(),
        }
    }

    /// Whether it was stopped, and the reason has these words.
    fn is_stopped_by(&self, words: &str) -> bool {
        let stopped = self.rollout.stopped.as_deref();
        stopped.is_some_and(|why| why.contains(words))
    }

    fn says(&mut self, id: &str, phase: &str) {
        let payload = format!("{{\"phase\":\"{phase}\",\"reason\":\"\"}}");
        let said = Said::read(&at(self.minute).to_string(), &payload);
        self.facts.get_mut(id).expect("a booth").said = said;
    }

    /// Lets time pass; answers who was told, with the minute.
    fn run(&mut self, minutes: i64) -> Vec<(i64, String)> {
        let mut told = Vec::new();
        for _ in 0..minutes {
            self.minute += 1;
            let over: Vec<String> = self
                .under_way
                .iter()
                .filter(|(_, end)| **end <= self.minute)
                .map(|(id, _)| id.clone())
                .collect();
            for id in over {
                self.under_way.remove(&id);
                match self.bad.contains(&id.as_str()) {
                    true => self.says(&id, "rolled_back"),
                    false => {
                        self.facts.get_mut(&id).expect("a booth").version = Some(NEW.into());
                        self.says(&id, "committed");
                    }
                }
            }
            if !self.rollout.is_under_way() {
                continue;
            }
            for id in self.rollout.step(at(self.minute), &self.facts) {
                if !self.deaf.contains(&id.as_str()) {
                    self.under_way.insert(id.clone(), self.minute + 5);
                }
                told.push((self.minute, id));
            }
        }
        told
    }
}

#[test]
fn one_booth_goes_first_then_a_tenth_then_the_rest_and_never_more_than_twenty_at_once() {
    let mut fleet = Fleet::of(100);
    // The first one is away: it does not hold the others up, and gets its turn when it is back.
    fleet.facts.get_mut("b-000").expect("a booth").is_online = false;
    let told = fleet.run(15);
    assert_eq!(
        told,
        [(1, "b-001".to_owned())],
        "nobody else before it was steady for ten minutes"
    );
    let told = fleet.run(10);
    assert_eq!(told.len(), 10, "{told:?}");
    let mut most = 0;
    for _ in 0..60 {
        fleet.run(1);
        most = most.max(fleet.under_way.len());
    }
    assert_eq!(most, 20);
    assert_eq!(fleet.rollout.done_at, None, "one is away still");
    fleet.facts.get_mut("b-000").expect("a booth").is_online = true;
    fleet.run(30);
    assert!(fleet.rollout.done_at.is_some() && fleet.rollout.stopped.is_none());
    assert!(
        fleet
            .facts
            .values()
            .all(|known| known.version.as_deref() == Some(NEW))
    );
}

#[test]
fn a_wave_that_finds_no_further_booth_does_not_wait_for_those_that_are_away() {
    let mut fleet = Fleet::of(40);
    for n in 3..40 {
        let known = fleet.facts.get_mut(&format!("b-{n:03}")).expect("a booth");
        known.is_online = n % 2 == 0;
        known.is_ready = false;
    }
    let told = fleet.run(120);
    assert!(
        told.len() > 15,
        "those that are there and not ready come in the last wave: {told:?}"
    );
    assert_eq!(fleet.rollout.wave, 3);
    assert!(fleet.rollout.is_under_way());
}

#[test]
fn a_booth_that_goes_back_stops_it_and_what_had_it_before_is_told_nothing() {
    let mut fleet = Fleet::of(40);
    fleet.bad = vec!["b-003"];
    fleet.facts.get_mut("b-000").expect("a booth").version = Some(NEW.into());
    let told = fleet.run(300);
    let ids: Vec<&str> = told.iter().map(|(_, id)| id.as_str()).collect();
    assert_eq!(
        ids,
        ["b-001", "b-002", "b-003", "b-004", "b-005"],
        "one, then a tenth"
    );
    assert!(fleet.is_stopped_by("b-003: rolled_back"));
    // Somebody has mended what was wrong: it goes on where it was.
    fleet.bad.clear();
    fleet.rollout.go_on();
    let told = fleet.run(300);
    assert_eq!(told.first().map(|(_, id)| id.as_str()), Some("b-003"));
    assert!(
        fleet.rollout.done_at.is_some(),
        "{:?}",
        fleet.rollout.stopped
    );
}

#[test]
fn a_booth_that_is_less_ready_than_before_or_says_nothing_stops_it() {
    let mut fleet = Fleet::of(10);
    fleet.run(8);
    fleet.facts.get_mut("b-000").expect("a booth").is_ready = false;
    fleet.run(5);
    fleet.facts.get_mut("b-000").expect("a booth").is_ready = true;
    assert_eq!(fleet.rollout.stopped, None, "a restart takes some minutes");
    fleet.run(2);
    fleet.facts.get_mut("b-000").expect("a booth").is_ready = false;
    let told = fleet.run(60);
    assert_eq!(told, [], "no further wave begins");
    assert!(fleet.is_stopped_by("citizens could speak"));

    let mut fleet = Fleet::of(10);
    fleet.deaf = vec!["b-000"];
    fleet.run(5 * 60);
    fleet.says("b-000", "writing");
    fleet.run(5 * 60);
    assert_eq!(fleet.rollout.stopped, None, "a slow link is no fault");
    fleet.run(2 * 60);
    assert!(fleet.is_stopped_by("six hours"));
}

#[test]
fn what_the_hub_did_not_hear_while_it_was_away_is_no_silence_and_no_booth_that_cannot_speak() {
    let mut fleet = Fleet::of(3);
    fleet.run(1);
    // It updates while nobody listens; the hub is back after seven hours.
    fleet.under_way.clear();
    fleet.facts.get_mut("b-000").expect("a booth").version = Some(NEW.into());
    fleet.minute += 7 * 60;
    fleet.rollout.hub_was_away(at(fleet.minute));
    fleet.run(90);
    assert_eq!((&fleet.rollout.stopped, fleet.rollout.wave), (&None, 1));
    assert_eq!(
        fleet.rollout.booths[0].standing,
        Standing::Told,
        "it may be on trial"
    );
    fleet.run(60);
    assert_eq!(fleet.rollout.booths[0].standing, Standing::Done);
    fleet.run(60);
    assert!(fleet.rollout.done_at.is_some());

    // A booth restarts, and the hub goes away: what was before that counts for nothing.
    let mut fleet = Fleet::of(10);
    fleet.run(8);
    fleet.facts.get_mut("b-000").expect("a booth").is_ready = false;
    fleet.run(5);
    fleet.minute += 60;
    fleet.rollout.hub_was_away(at(fleet.minute));
    fleet.run(1);
    assert_eq!(fleet.rollout.stopped, None);
    fleet.facts.get_mut("b-000").expect("a booth").is_ready = true;
    assert_eq!(fleet.run(9), [], "it must be steady for ten minutes anew");
    assert_eq!(fleet.run(3).len(), 1);
}

#[test]
fn a_booth_that_does_not_take_the_update_stops_it_at_once_with_its_reason() {
    let mut fleet = Fleet::of(3);
    fleet.run(1);
    fleet.under_way.clear();
    let says = |fleet: &mut Fleet, payload: &str| {
        let said = Said::reply(&at(fleet.minute).to_string(), payload);
        fleet.facts.get_mut("b-000").expect("a booth").said = said;
        fleet.run(1);
    };
    says(&mut fleet, "{\"ok\":1,\"accepted\":1}");
    assert_eq!(fleet.rollout.stopped, None);
    assert_eq!(fleet.rollout.booths[0].phase.as_deref(), Some("accepted"));
    says(
        &mut fleet,
        "{\"ok\":0,\"error\":\"the address is not public\"}",
    );
    assert!(fleet.is_stopped_by("the address is not public"));
    for nothing in ["", "[]", "{}", "{\"ok\":\"no\"}"] {
        assert_eq!(Said::reply("2026-03-01T10:00:00Z", nothing), None);
    }
}

#[test]
fn a_booth_that_a_command_did_not_reach_is_told_again_and_not_for_ever() {
    let mut fleet = Fleet::of(3);
    fleet.deaf = vec!["b-000"];
    let told = fleet.run(100);
    let minutes: Vec<i64> = told.iter().map(|(minute, _)| *minute).collect();
    assert_eq!(minutes, [1, 22, 43], "{told:?}");
    assert!(told.iter().all(|(_, id)| id == "b-000"));
    fleet.run(6 * 60);
    assert!(fleet.is_stopped_by("six hours"));
    // It was at work all the time, and says so.
    fleet.rollout.go_on();
    fleet.run(1);
    let busy =
        "{\"ok\":0,\"error\":\"an update is under way (writing); wait for its event/update\"}";
    let said = Said::reply(&at(fleet.minute).to_string(), busy);
    fleet.facts.get_mut("b-000").expect("a booth").said = said;
    fleet.run(60);
    assert_eq!(fleet.rollout.stopped, None);
    assert_eq!(fleet.rollout.booths[0].times_told, 1);
}

#[test]
fn an_outcome_that_a_booth_says_twice_counts_once() {
    let mut fleet = Fleet::of(3);
    let says = |fleet: &mut Fleet, phase: &str, at_booth: &str| {
        let payload = format!("{{\"phase\":\"{phase}\",\"phase_at\":\"{at_booth}\"}}");
        let said = Said::read(&at(fleet.minute).to_string(), &payload);
        fleet.facts.get_mut("b-000").expect("a booth").said = said;
        fleet.run(1);
    };
    fleet.run(1);
    fleet.under_way.clear();
    says(&mut fleet, "rolled_back", "10:00");
    assert!(fleet.rollout.stopped.is_some());
    fleet.rollout.go_on();
    assert_eq!(fleet.run(1).len(), 1);
    fleet.under_way.clear();
    says(&mut fleet, "rolled_back", "10:00");
    assert_eq!(fleet.rollout.stopped, None, "that was said before");
    says(&mut fleet, "rolled_back", "11:00");
    assert!(fleet.rollout.stopped.is_some());
}

#[test]
fn a_version_that_was_written_otherwise_than_booths_say_it_is_found_out_within_minutes() {
    let mut fleet = Fleet::of(3);
    fleet.run(1);
    fleet.under_way.clear();
    fleet.says("b-000", "committed");
    fleet.facts.get_mut("b-000").expect("a booth").version = Some("0.2.0-1".into());
    fleet.run(9);
    assert_eq!(fleet.rollout.stopped, None, "its birth may come late");
    fleet.run(3);
    assert!(fleet.is_stopped_by("runs 0.2.0-1"));
}

#[test]
fn a_rollout_that_was_begun_by_a_clock_far_ahead_goes_on_when_it_is_right() {
    let mut fleet = Fleet::of(3);
    fleet.minute = 5_000_000;
    fleet.run(1);
    fleet.under_way.clear();
    fleet.minute = 100;
    fleet.run(1);
    fleet.facts.get_mut("b-000").expect("a booth").version = Some(NEW.into());
    fleet.says("b-000", "committed");
    fleet.run(1);
    assert_eq!(fleet.rollout.booths[0].standing, Standing::Done);
}

#[test]
fn what_a_booth_said_of_an_earlier_update_counts_for_nothing() {
    let mut fleet = Fleet::of(3);
    fleet.says("b-000", "rolled_back");
    let told = fleet.run(2);
    assert_eq!(told.len(), 1);
    assert_eq!(fleet.rollout.stopped, None);
    for (payload, phase) in [
        ("{\"phase\":\"trial\"}", Some(Phase::UnderWay)),
        ("{\"phase\":\"committed\"}", Some(Phase::Committed)),
        (
            "{\"phase\":\"failed\",\"reason\":\"no room\"}",
            Some(Phase::GaveUp),
        ),
        ("{\"phase\":7}", None),
        ("[]", None),
        ("", None),
    ] {
        let said = Said::read("2026-03-01T10:00:00Z", payload);
        assert_eq!(said.as_ref().map(|said| said.phase), phase, "{payload}");
    }
    assert_eq!(Said::read("yesterday", "{\"phase\":\"trial\"}"), None);
}

#[test]
fn a_rollout_survives_its_file_and_a_file_that_is_none_is_set_aside() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rollout.json");
    assert!(read(&file).expect("nothing").is_none());
    let mut fleet = Fleet::of(30);
    fleet.run(40);
    fleet.rollout.stop("by olga".into());
    fs::write(
        &file,
        serde_json::to_vec_pretty(&fleet.rollout).expect("JSON"),
    )
    .expect("written");
    assert_eq!(read(&file).expect("read"), Some(fleet.rollout));
    fs::write(&file, "{").expect("written");
    assert!(read(&file).is_err());
}

/// The rollouts of a store that expects two booths and has heard none, and its broker's status.
fn rollouts_in(dir: &Path) -> (Rollouts, Arc<Mutex<store::BrokerStatus>>) {
    let rules = store::StoreRules {
        dir: dir.to_owned(),
        max_clip_bytes: 1_000_000,
        root: "booth/1".into(),
        database: None,
        bodies: None,
    };
    drop(store::Store::open(&rules).expect("opens"));
    let status = Arc::new(Mutex::new(store::BrokerStatus {
        connected: false,
        detail: "away".into(),
        rival: None,
    }));
    let expected = serde_json::json!([{"id": "a-1"}, {"id": "b-2"}]);
    let expected = serde_json::from_value(expected).expect("booths");
    let views = store::StoreViews::open(dir, expected, status.clone()).expect("opens");
    let (orders, _) = crate::orders::channel(status.clone());
    let rollouts = Rollouts::open(dir, Arc::new(views), orders).expect("opens");
    (rollouts, status)
}

#[test]
fn a_booth_that_is_named_twice_has_one_turn_and_what_is_over_is_not_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("store");
    let (rollouts, _status) = rollouts_in(&dir);
    let named = ["a-1", "b-2", "a-1"].map(str::to_owned);
    let url = "https://x.example/a.update";
    rollouts
        .begin(at(0), "olga", NEW, url, &named)
        .expect("begun");
    let mut rollout = rollouts.now().expect("a rollout");
    let booths: Vec<&str> = rollout
        .booths
        .iter()
        .map(|one| one.booth.as_str())
        .collect();
    assert_eq!(booths, ["a-1", "b-2"]);
    rollout.done_at = Some(at(1));
    let text = serde_json::to_vec(&rollout).expect("JSON");
    fs::write(dir.join("rollout.json"), text).expect("written");
    drop(rollouts);
    let (rollouts, _status) = rollouts_in(&dir);
    for why in [Some("by olga".to_owned()), None] {
        assert!(matches!(rollouts.stop(why), Err(RolloutError::Not(_))));
    }
    assert_eq!(rollouts.now().expect("a rollout").stopped, None);
}

#[test]
fn a_hub_without_its_broker_judges_no_booth() {
    let folder = tempfile::tempdir().expect("a folder");
    let booths = ["a-1", "b-2"].map(str::to_owned).to_vec();
    let mut told = Rollout::new(at(0), "olga", NEW, "https://x.example/a.update", booths);
    told.booths[0].standing = Standing::Told;
    (told.booths[0].since, told.booths[0].wave) = (Some(at(0)), 1);
    let text = serde_json::to_vec(&told).expect("JSON");
    let dir = folder.path().join("store");
    fs::create_dir(&dir).expect("a folder");
    fs::write(dir.join("rollout.json"), text).expect("written");
    let (rollouts, status) = rollouts_in(&dir);
    let look = |minute: i64| {
        rollouts.look(at(minute)).expect("looked");
        rollouts.now().expect("a rollout").stopped
    };
    assert_eq!(look(600), None, "nobody is heard");
    status.lock().expect("a status").connected = true;
    assert_eq!(look(601), None, "it may speak now");
    let stopped = look(601 + 361);
    assert!(stopped.is_some_and(|why| why.contains("six hours")));
}
