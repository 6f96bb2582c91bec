#![allow(clippy::disallowed_methods)] // workers that begin at once are threads here

use super::*;

use booth_database::elsewhere::Elsewhere;
use booth_stage::postgres::Server;

use crate::store::{Share, Store, StoreRules};

/// A city's database with so many booths, and the folder of its hub.
struct City {
    server: Server,
    folder: tempfile::TempDir,
    _store: Store,
}

impl City {
    fn begin(what: &str) -> Option<Self> {
        let server = Server::start(what).expect("PostgreSQL starts")?;
        let folder = tempfile::tempdir().expect("a folder");
        let rules = StoreRules {
            dir: folder.path().join("store"),
            max_clip_bytes: 1_000_000,
            root: "booth/1".into(),
            database: Some(Elsewhere {
                database: server.database("city").expect("a database"),
                password_file: None,
                ca_file: None,
            }),
            bodies: None,
        };
        let store = Store::open_as(&rules, Share::Centre).expect("opens");
        Some(Self {
            server,
            folder,
            _store: store,
        })
    }

    fn booths(&self, number: usize) {
        let sql = format!(
            "DELETE FROM hub.booth; INSERT INTO hub.booth (booth_id, first_heard, health_live)
             SELECT 'booth-' || n, 'then', 0 FROM generate_series(1, {number}) n"
        );
        self.server.psql("city", &sql).expect("done");
    }

    fn worker(&self) -> Connection {
        open(&self.folder.path().join("store")).expect("connects")
    }

    /// The life of every worker is over, as after a long time.
    fn wait(&self) {
        let sql = "UPDATE ingest.worker SET until = clock_timestamp() - interval '1 second'";
        self.server.psql("city", sql).expect("done");
    }
}

fn sizes(all: &[BTreeSet<String>]) -> Vec<usize> {
    all.iter().map(BTreeSet::len).collect()
}

/// The workers beat one after the other; what each has at the end. No booth is two workers'.
fn round(workers: &[(&Connection, &str)]) -> Vec<BTreeSet<String>> {
    // Whoever has too much gives it up in one round, and whoever has too little takes it in the next.
    for _ in 0..2 {
        for (db, name) in workers {
            beat(db, name).expect("beats");
        }
    }
    let all: Vec<BTreeSet<String>> = workers
        .iter()
        .map(|(db, name)| beat(db, name).expect("beats"))
        .collect();
    let together: BTreeSet<&String> = all.iter().flatten().collect();
    assert_eq!(together.len(), all.iter().map(BTreeSet::len).sum::<usize>());
    all
}

#[test]
fn booths_are_shared_out_evenly_and_taken_over_from_a_worker_that_died_or_left() {
    let Some(city) = City::begin("leases of workers") else {
        return;
    };
    city.booths(10);
    let (one, two, three) = (city.worker(), city.worker(), city.worker());
    assert_eq!(living(&one).expect("asked"), 0);
    assert_eq!(beat(&one, "1").expect("beats").len(), 10);
    // A second and a third come, and nobody has more than an equal part.
    assert_eq!(sizes(&round(&[(&one, "1"), (&two, "2")])), [5, 5]);
    let all = [(&one, "1"), (&two, "2"), (&three, "3")];
    let shared = round(&all);
    assert_eq!(sizes(&shared).iter().sum::<usize>(), 10);
    assert!(sizes(&shared).iter().all(|size| *size <= 4), "{shared:?}");
    assert_eq!(round(&all), shared, "and it stays so");
    assert_eq!(living(&one).expect("asked"), 3);
    // The third dies: until its leases have run out its booths are nobody's, and then the others'.
    let left = &all[..2];
    assert!(sizes(&round(left)).iter().sum::<usize>() < 10);
    city.wait();
    assert_eq!(sizes(&round(left)), [5, 5]);
    // One that stood still finds that it has nothing any more, and takes nothing away from anybody.
    let late = beat(&three, "3").expect("beats");
    assert!(late.is_empty(), "{late:?}");
    leave(&three, "3").expect("left");
    // One that leaves is replaced at once.
    leave(&two, "2").expect("left");
    assert_eq!(beat(&one, "1").expect("beats").len(), 10);
    // Booths that are new, and booths that were forgotten.
    city.booths(12);
    assert_eq!(beat(&one, "1").expect("beats").len(), 12);
    city.booths(3);
    assert_eq!(beat(&one, "1").expect("beats").len(), 3);
    let kept = city
        .server
        .psql("city", "SELECT count(*) FROM ingest.lease");
    assert_eq!(kept.expect("asked").trim(), "3");
}

#[test]
fn workers_that_begin_at_once_share_everything_out_and_none_is_two_workers() {
    let Some(city) = City::begin("leases of workers that begin at once") else {
        return;
    };
    city.booths(101);
    let dir = city.folder.path().join("store");
    let workers: Vec<_> = (1..=4)
        .map(|number| {
            let dir = dir.clone();
            std::thread::spawn(move || {
                let db = open(&dir).expect("connects");
                for _ in 0..20 {
                    beat_at_last(&db, &number.to_string()).expect("beats");
                }
                (db, number.to_string())
            })
        })
        .collect();
    let workers: Vec<(Connection, String)> = workers
        .into_iter()
        .map(|worker| worker.join().expect("it ends"))
        .collect();
    let workers: Vec<(&Connection, &str)> = workers
        .iter()
        .map(|(db, name)| (db, name.as_str()))
        .collect();
    let shared = round(&workers);
    assert_eq!(sizes(&shared).iter().sum::<usize>(), 101);
    assert!(sizes(&shared).iter().all(|size| *size <= 26), "{shared:?}");
}

#[test]
fn a_worker_without_its_database_takes_nothing_in_once_its_leases_have_run_out() {
    let leases = Leases::default();
    let booths = || BTreeSet::from(["a-1".to_owned()]);
    assert!(!leases.has(Mono(0), "a-1") && leases.held(Mono(0)).is_empty());
    leases.renew(booths(), Mono(5_000));
    assert!(leases.has(Mono(4_999), "a-1") && !leases.has(Mono(4_999), "b-1"));
    assert_eq!(leases.held(Mono(4_999)), booths());
    assert!(!leases.has(Mono(5_000), "a-1") && leases.held(Mono(5_000)).is_empty());
}

#[test]
fn a_worker_ends_when_the_hub_beside_it_is_another_one() {
    let Some(city) = City::begin("a hub that changes beside its worker") else {
        return;
    };
    city.booths(2);
    let dir = city.folder.path().join("store");
    for change in [
        "UPDATE hub.version SET number = number + 1",
        "UPDATE hub.store SET opened_with = 'another-key'",
        "UPDATE hub.store SET receipt_key = 'another-key'",
    ] {
        let mut keeping = Keeping::default();
        for _ in 0..2 {
            assert_eq!(keeping.turn(&dir, "1", true).expect("turns").len(), 2);
        }
        city.server.psql("city", change).expect("done");
        let ended = keeping.turn(&dir, "1", true).expect_err("another hub");
        assert!(matches!(ended, KeepError::Changed), "{ended}");
        keeping.leave("1").expect("left");
    }
}

#[test]
fn a_keeper_gives_its_booths_back_when_it_ends_and_goes_on_when_the_database_is_back() {
    let Some(mut city) = City::begin("the keeper of leases") else {
        return;
    };
    city.booths(4);
    let leases = Arc::new(Leases::default());
    let dir = city.folder.path().join("store");
    let keeper = Keeper::start(dir, "1".into(), Arc::clone(&leases)).expect("starts");
    leases.online(true);
    let has = |number: usize| {
        booth_stage::wait::wait_for("it has its booths", || {
            (leases.held(clock::mono()).len() == number).then_some(())
        })
        .expect("it has");
    };
    has(4);
    city.server.stop().expect("stopped");
    city.server.start_again().expect("starts");
    city.booths(6);
    has(6);
    // Without the broker it leaves its booths to others.
    leases.online(false);
    let number = |table: &str| {
        let asked = city
            .server
            .psql("city", &format!("SELECT count(*) FROM ingest.{table}"));
        asked.expect("asked").trim().to_owned()
    };
    booth_stage::wait::wait_for("it has left", || (number("worker") == "0").then_some(()))
        .expect("it has");
    assert_eq!(number("lease"), "0");
    leases.online(true);
    has(6);
    keeper.end();
    assert!(leases.held(clock::mono()).is_empty());
    let left = city
        .server
        .psql("city", "SELECT count(*) FROM ingest.lease");
    assert_eq!(left.expect("asked").trim(), "0");
}

#[test]
fn a_clock_that_would_date_messages_wrongly_is_off_and_one_that_is_a_minute_off_is_not() {
    let now = 1_795_975_200_000;
    assert_eq!(off_s(now, now + 60_000), None);
    assert_eq!(off_s(now, now - 110_000), None);
    assert_eq!(off_s(now - 2 * 86_400_000, now), Some(-172_800));
    assert_eq!(off_s(now + 130_000, now), Some(130));
    assert_eq!(off_s(i64::MIN, i64::MAX), Some(i64::MIN / 1_000));
}
