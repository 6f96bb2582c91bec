//! Every promise of the store again, with its rows in a PostgreSQL of Debian's, and what differs there.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use booth_database::Connection;
use booth_database::postgres::{Address, Role};
use booth_stage::postgres::Server;

use super::*;

/// Names the server for the second run of these tests, in a process of its own.
const AT: &str = "BOOTH_STORE_TESTS_AT";

/// Tests that take away, copy or make anew the database's file, or open it beside the store.
const OF_FILES: [&str; 23] = [
    "store::tests::away::",
    "store::tests::workers::",
    "a_vote_counts_with_a_valid_unused_code_alone_and_the_first_one_wins",
    "a_code_counts_once_whether_it_is_used_at_a_booth_or_from_home",
    "what_is_lost_is_listed_before_what_is_on_its_way_however_many_booths_there_are",
    "a_database_that_is_removed_or_replaced_under_the_hub_ends_it_and_acknowledges_nothing",
    "a_database_that_breaks_under_the_hub_is_read_whole_before_the_next_start_promises_anything",
    "nothing_begins_anew_beside_clips",
    "a_database_that_is_made_anew_answers_as_the_one_before",
    "a_rebuild_that_was_cut_off_between_its_two_renames_loses_nothing_that_stands_only_in_a_database",
    "a_database_that_root_makes_anew_is_the_hubs_own",
    "a_hub_that_runs_keeps_its_database",
    "a_database_of_a_newer_hub_is_left_alone",
    "a_fleet_that_cannot_be_read_is_unknown_and_not_well",
    "whatever_befalls_the_store_an_acknowledged_clip_is_there_or_asked_for_or_named",
    "the_envelope_lies_apart_and_without_it_nobody_opens_the_body",
    "what_comes_open_is_sealed_before_it_is_kept_and_plays_as_it_was_said",
    "a_childs_mark_stays_with_the_clip",
    "a_receipt_becomes_a_hash_before_anything_is_written_and_is_forgotten",
    "a_rebuilt_database_has_every_answer_its_receipts_and_goes_on_with_the_numbers",
    "a_look_waits_for_the_batch_in_which_its_clip_makes_room_for_the_true_one",
    "a_restored_backup_brings_nothing_back_that_was_withdrawn_since",
    "a_hub_without_a_key_takes_withdrawals_at_once_and_the_desk_works_them_off",
];

/// Whether this is the second run.
pub(in crate::store) fn is_over_postgresql() -> bool {
    std::env::var_os(AT).is_some()
}

/// Where the rows of a folder's store are in this run.
pub(super) fn of(dir: &Path) -> Option<Elsewhere> {
    let server = std::env::var(AT).ok()?;
    let mut name = DefaultHasher::new();
    dir.hash(&mut name);
    let name = format!("b{:016x}", name.finish());
    let admin = Address::parse(&server).expect("an address");
    let admin = Connection::open_postgres(&admin, "public", Role::Writer).expect("connects");
    match admin.execute_batch(&format!("CREATE DATABASE {name} TEMPLATE template0")) {
        Ok(()) => {}
        Err(booth_database::Error::Postgres { code, .. }) if code == "42P04" => {}
        Err(error) => panic!("{error}"),
    }
    let (server, _) = server.rsplit_once('/').expect("a database");
    Some(Elsewhere {
        database: format!("{server}/{name}"),
        password_file: None,
        ca_file: None,
    })
}

/// Takes everything of a folder's store out of its database, where its rows are in one.
pub(super) fn lose_rows_of(dir: &Path) {
    if let Some(there) = of(dir) {
        let address = there.address().expect("an address");
        let db = Connection::open_postgres(&address, "public", Role::Writer).expect("connects");
        db.execute_batch("DROP SCHEMA hub CASCADE")
            .expect("dropped");
    }
}

pub(super) fn server(what: &str) -> Option<Server> {
    Server::start(what).expect("PostgreSQL starts")
}

#[test]
fn every_promise_of_the_store_holds_over_postgresql() {
    if is_over_postgresql() {
        return;
    }
    let Some(server) = server("the store's tests over PostgreSQL") else {
        return;
    };
    let program = std::env::current_exe().expect("this program");
    let mut again = Command::new(program);
    again.arg("store::tests::").args(["--test-threads", "4"]);
    for name in OF_FILES {
        again.arg("--skip").arg(name);
    }
    let done = again
        .env(AT, server.address("postgres"))
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let ran = said.matches(" ... ok").count();
    assert!(ran > 90, "{ran} tests: {said}");
}

/// A bench whose rows are in a database of this server.
fn bench(server: &Server, name: &str) -> Bench {
    let folder = tempfile::tempdir().expect("a folder");
    let mut rules = rules(&folder.path().join("store"));
    rules.database = Some(Elsewhere {
        database: server.database(name).expect("a database"),
        password_file: None,
        ca_file: None,
    });
    Bench {
        store: Store::open(&rules).expect("opens"),
        folder,
        wall: "2026-03-02T10:00:00Z".parse().expect("a time"),
        mono: Mono(1000),
    }
}

fn rules_of(bench: &Bench) -> StoreRules {
    let dir = bench.dir();
    let database = booth_database::elsewhere::of(&dir).expect("a note");
    StoreRules {
        database,
        ..rules(&dir)
    }
}

#[test]
fn a_database_that_goes_away_costs_no_acknowledged_clip_and_is_found_again() {
    let Some(mut server) = server("a store whose PostgreSQL goes away") else {
        return;
    };
    let mut bench = bench(&server, "away");
    assert_eq!(status(bench.whole(&numbered(1))), Some(AckStatus::Stored));
    // It goes away between two statements of one batch.
    let clip = numbered(2);
    bench.offer(&clip);
    bench.whole_uncommitted(&numbered(3));
    server.stop().expect("stopped");
    let fault = bench.store.commit().expect_err("nothing is kept");
    assert!(!fault.is_fatal() && !fault.needs_an_operator(), "{fault}");
    bench.store.roll_back();
    let message = Message {
        topic: format!("booth/1/up/{BOOTH}/clip/{}", clip.id),
        payload: clip.manifest.to_string().into_bytes(),
        retained: false,
        expiry_s: None,
    };
    let fault = bench.store.handle(bench.wall, bench.mono, &message);
    let fault = fault.expect_err("it is away").to_string();
    assert!(fault.contains("PostgreSQL does not answer"), "{fault}");
    bench.store.roll_back();
    server.start_again().expect("starts");
    bench.store.probe(bench.wall).expect("it is found again");
    for n in [2, 3] {
        bench.whole_uncommitted(&numbered(n));
        bench.store.commit().expect("commits");
        let known = bench.offer(&numbered(n));
        assert_eq!(status(known), Some(AckStatus::Stored), "{n}");
    }
    assert_eq!(status(bench.offer(&numbered(1))), Some(AckStatus::Stored));
    let checked = check(&bench.dir(), Progress::new("read")).expect("read");
    assert_eq!((checked.clips, checked.findings), (3, Vec::new()));
}

#[test]
fn a_newer_program_was_there_or_another_hub_is_and_both_are_refused() {
    let Some(server) = server("two hubs on one PostgreSQL") else {
        return;
    };
    let bench = bench(&server, "taken");
    let rules = rules_of(&bench);
    let other = tempfile::tempdir().expect("a folder");
    let second = StoreRules {
        dir: other.path().join("store"),
        ..rules.clone()
    };
    let fault = Store::open(&second).expect_err("taken").to_string();
    assert!(fault.ends_with("is in use by another booth-hub"), "{fault}");
    drop(bench.store);
    // Other clips with these rows.
    fs::write(second.dir.join("clips/.store"), "another").expect("written");
    fs::create_dir(second.dir.join("clips/aa")).expect("made");
    fs::write(
        second.dir.join(format!("clips/aa/aa{}.json", &CLIP[2..])),
        "{}",
    )
    .expect("written");
    let fault = Store::open(&second).expect_err("of other clips");
    assert!(fault.needs_an_operator(), "{fault}");
    let newer = "UPDATE hub.version SET number = number + 1";
    server.psql("taken", newer).expect("done");
    let fault = Store::open(&rules).expect_err("newer");
    assert!(matches!(fault, StoreError::Version { .. }), "{fault}");
    assert!(fault.to_string().contains("start the newer hub"), "{fault}");
}

/// Every row of every table, as text.
fn everything(db: &Connection, tables: &[String]) -> Vec<Vec<String>> {
    let of_table = |table: &String| {
        let mut read = db
            .prepare(&format!("SELECT * FROM {table}"))
            .expect("a table");
        let rows = read.query_map([], |row| {
            let values = (0..).map_while(|at| row.get::<_, booth_database::Value>(at).ok());
            Ok(format!("{table} {:?}", values.collect::<Vec<_>>()))
        });
        let mut rows: Vec<String> = rows.expect("rows").map(|row| row.expect("a row")).collect();
        rows.sort();
        rows
    };
    tables.iter().map(of_table).collect()
}

#[test]
fn a_store_is_moved_with_every_row_and_its_hub_goes_on_where_it_was() {
    if is_over_postgresql() {
        return;
    }
    let Some(server) = server("moving a store to PostgreSQL") else {
        return;
    };
    let to = |name: &str| Elsewhere {
        database: server.database(name).expect("a database"),
        password_file: None,
        ca_file: None,
    };
    let go = |dir: &Path, to: &Elsewhere| migrate(dir, to, Progress::new("moved"));
    let mut bench = Bench::new();
    bench.state("card-1", "s", "online");
    bench.birth("card-1", "s", "serial");
    bench.health(json!({"schema": 1, "text": "a \u{0} in it"}));
    for n in 1..=3 {
        assert_eq!(status(bench.whole(&numbered(n))), Some(AckStatus::Stored));
    }
    let (wall, withdrawn) = (bench.wall, numbered(2).id);
    bench.store.withdraw(wall, &withdrawn).expect("withdrawn");
    bench.store.commit().expect("commits");
    bench.offer(&numbered(4));
    let (dir, moved) = (bench.dir(), to("moved"));
    let running = go(&dir, &moved).expect_err("the hub runs").to_string();
    assert!(
        running.ends_with("is in use by another booth-hub"),
        "{running}"
    );
    let Bench { folder, store, .. } = bench;
    drop(store);

    // Others' rows are left alone.
    let occupied = to("occupied");
    let other = tempfile::tempdir().expect("a folder");
    drop(
        Store::open(&StoreRules {
            database: Some(occupied.clone()),
            ..rules(&other.path().join("store"))
        })
        .expect("opens"),
    );
    let fault = go(&dir, &occupied).expect_err("occupied");
    assert!(
        fault.needs_an_operator() && fault.to_string().contains("createdb"),
        "{fault}"
    );
    // A server that is not there, and an empty folder.
    let away = Elsewhere {
        database: "postgres://hub@127.0.0.1:1/booth".into(),
        password_file: None,
        ca_file: None,
    };
    go(&dir, &away).expect_err("not there");
    let nothing = go(&other.path().join("nothing"), &moved).expect_err("nothing");
    assert!(matches!(nothing, StoreError::NothingToMove(_)), "{nothing}");

    let was = schema::open(&database_in(&dir)).expect("opens");
    let tables = booth_database::shape::tables_of(&was).expect("tables");
    let here = everything(&was, &tables);
    drop(was);
    let migrated = go(&dir, &moved).expect("moved");
    let rows: usize = here.iter().map(Vec::len).sum();
    assert_eq!(migrated.rows, rows as u64);
    let there = schema::open_in(&dir).expect("opens");
    for (here, there) in here.iter().zip(everything(&there, &tables)) {
        assert_eq!(here.len(), there.len());
        // A table without a number of its own has one more column there.
        for (here, there) in here.iter().zip(there) {
            let bare = here.trim_end_matches(']').replace("\\0", "\u{fffd}");
            assert!(there.starts_with(&bare), "{here} became {there}");
        }
    }
    drop(there);
    assert!(!database_in(&dir).exists() && migrated.before.exists());
    assert!(
        migrated.advice().contains("hub.sqlite.moved"),
        "{}",
        migrated.advice()
    );
    let again = go(&dir, &moved).expect_err("they are there");
    assert!(matches!(again, StoreError::MovedAway { .. }), "{again}");

    // Cut off before the note: the copy is whole, and is taken. Cut off after it: the next start gives the file its other name.
    fs::rename(&migrated.before, database_in(&dir)).expect("renamed");
    fs::remove_file(dir.join("database.toml")).expect("removed");
    assert_eq!(go(&dir, &moved).expect("ended"), migrated);
    fs::rename(&migrated.before, database_in(&dir)).expect("renamed");

    let unchanged = Store::open(&rules(&dir)).expect_err("the configuration says otherwise");
    assert!(
        unchanged.to_string().contains("[store] database"),
        "{unchanged}"
    );
    let with = StoreRules {
        database: Some(moved),
        ..rules(&dir)
    };
    let mut bench = Bench {
        store: Store::open(&with).expect("opens"),
        folder,
        wall,
        mono: Mono(1000),
    };
    assert!(!database_in(&dir).exists() && migrated.before.exists());
    assert_eq!(status(bench.offer(&numbered(1))), Some(AckStatus::Stored));
    assert_eq!(status(bench.offer(&numbered(2))), Some(AckStatus::Discard));
    for n in [4, 5] {
        bench.whole_uncommitted(&numbered(n));
        bench.store.commit().expect("commits");
        assert_eq!(
            status(bench.offer(&numbered(n))),
            Some(AckStatus::Stored),
            "{n}"
        );
    }
    let checked = check(&dir, Progress::new("read")).expect("read");
    assert_eq!((checked.clips, checked.findings), (4, Vec::new()));
}

#[test]
fn a_note_that_root_leaves_is_the_hubs_own() {
    if std::env::var_os(AT).is_some() || !rustix::process::geteuid().is_root() {
        return;
    }
    let Some(server) = server("moving a store as root") else {
        return;
    };
    let Bench { folder, store, .. } = Bench::new();
    drop(store);
    let dir = folder.path().join("store");
    std::os::unix::fs::chown(&dir, Some(65_534), Some(65_534)).expect("given away");
    let to = Elsewhere {
        database: server.database("given").expect("a database"),
        password_file: None,
        ca_file: None,
    };
    migrate(&dir, &to, Progress::new("moved")).expect("moved");
    let note = fs::metadata(dir.join("database.toml")).expect("there");
    assert_eq!((note.uid(), note.gid()), (65_534, 65_534));
}

#[test]
fn a_folder_is_never_opened_with_other_rows_than_its_own() {
    if is_over_postgresql() {
        return;
    }
    let elsewhere = |name: &str| Elsewhere {
        database: format!("postgres://hub@127.0.0.1:1/{name}"),
        password_file: None,
        ca_file: None,
    };
    let bench = Bench::new();
    let (dir, wanted) = (bench.dir(), elsewhere("booth"));
    let in_use = agrees(&dir, Some(&wanted)).expect_err("it has a file");
    assert!(in_use.needs_an_operator(), "{in_use}");
    assert!(in_use.to_string().contains("booth-hub migrate"), "{in_use}");
    agrees(&dir, None).expect("as it is");
    let new = tempfile::tempdir().expect("a folder");
    agrees(new.path(), Some(&wanted)).expect("a new folder");
    wanted.note(new.path()).expect("noted");
    agrees(new.path(), Some(&wanted)).expect("the same");
    for other in [None, Some(&elsewhere("other"))] {
        let moved = agrees(new.path(), other).expect_err("not its own");
        assert!(moved.to_string().contains("/booth: name that"), "{moved}");
    }
    let rules = rules(new.path());
    assert!(matches!(
        Store::open(&rules),
        Err(StoreError::MovedAway { .. })
    ));
    let backup = backup(&rules, &dir, 14, bench.wall, Progress::new("copied"));
    let said = backup.expect_err("not its own").to_string();
    assert!(said.contains("/booth: name that"), "{said}");
    let said = rebuild(new.path(), Progress::new("read")).expect_err("no file");
    assert!(said.to_string().contains("booth-hub restore"), "{said}");
}

#[test]
fn a_backup_of_rows_in_postgresql_is_as_of_one_moment_and_is_put_back_into_either_database() {
    if is_over_postgresql() {
        return;
    }
    let Some(mut server) = server("a backup of rows in PostgreSQL") else {
        return;
    };
    let mut bench = bench(&server, "saved");
    bench.state("card-1", "s", "online");
    bench.birth("card-1", "s", "serial");
    // More than are fetched at once.
    let many = "INSERT INTO alert_history (booth_id, id, severity, text, since, said_at, cleared_at, rank)
      SELECT 'rundhoej-1', 'a' || n, 'warning', '', '', '', '', 0 FROM generate_series(1, 2500) AS n";
    bench.store.db.execute(many, []).expect("written");
    for n in 1..=3 {
        assert_eq!(status(bench.whole(&numbered(n))), Some(AckStatus::Stored));
    }
    let withdrawn = numbered(2).id;
    bench.store.withdraw(bench.wall, &withdrawn).expect("gone");
    bench.store.commit().expect("commits");
    let (rules, folder) = (rules_of(&bench), bench.folder.path().join("backup"));
    let wall = bench.wall;
    let go = || backup(&rules, &folder, 14, wall, Progress::new("copied"));
    // A batch that is under way is not in it.
    bench.whole_uncommitted(&numbered(4));
    let made = go().expect("a backup");
    assert_eq!((made.clips, made.bodies, made.incomplete), (2, 2, vec![]));
    bench.store.commit().expect("commits");
    let note = fs::read(folder.join("backup.json")).expect("a note");
    server.stop().expect("stopped");
    let fault = go().expect_err("it is away").to_string();
    assert!(fault.contains("PostgreSQL does not answer"), "{fault}");
    assert_eq!(fs::read(folder.join("backup.json")).expect("a note"), note);
    server.start_again().expect("starts");
    assert_eq!(go().expect("a backup").clips, 3);
    let tables = |db: &Connection| booth_database::shape::tables_of(db).expect("tables");
    let databases = fs::read_dir(folder.join("store/databases")).expect("a folder");
    let newest = databases.flatten().map(|entry| entry.path()).max();
    let copy = newest.expect("a database").join("hub.sqlite");
    let copy = schema::open_for_reading(&copy).expect("opens");
    let saved = everything(&copy, &tables(&copy));
    assert!(
        saved.iter().any(|rows| rows.len() == 2_500),
        "alerts of before"
    );
    drop(bench.store);

    // Into a folder of its own, without PostgreSQL.
    let other = tempfile::tempdir().expect("a folder");
    let alone = StoreRules {
        dir: other.path().join("store"),
        database: None,
        ..rules.clone()
    };
    let restored = restore(&folder, &alone, Progress::new).expect("restored");
    assert_eq!((restored.clips, restored.checked.findings), (3, vec![]));
    let db = schema::open(&database_in(&alone.dir)).expect("opens");
    let back = everything(&db, &tables(&db));
    drop(db);
    assert_eq!(back, saved);
    // Into PostgreSQL: not over rows that are there.
    let there = |name: &str, dir: &str| StoreRules {
        dir: other.path().join(dir),
        database: Some(Elsewhere {
            database: server.database(name).expect("a database"),
            password_file: None,
            ca_file: None,
        }),
        ..rules.clone()
    };
    let occupied = StoreRules {
        database: rules.database.clone(),
        ..alone.clone()
    };
    let occupied = StoreRules {
        dir: other.path().join("occupied"),
        ..occupied
    };
    let fault = restore(&folder, &occupied, Progress::new).expect_err("occupied");
    assert!(fault.to_string().contains("createdb"), "{fault}");
    assert_eq!(fs::read_dir(&occupied.dir).map_or(0, Iterator::count), 0);
    let new = there("new", "new");
    let restored = restore(&folder, &new, Progress::new).expect("restored");
    assert_eq!((restored.clips, restored.checked.findings), (3, vec![]));
    let files = fs::read_dir(&new.dir).expect("a folder").flatten();
    let files: Vec<_> = files.map(|entry| entry.file_name()).collect();
    assert!(
        !files
            .iter()
            .any(|name| name.to_string_lossy().contains("sqlite")),
        "{files:?}"
    );
    let mut store = Store::open(&new).expect("opens");
    let message = Message {
        topic: format!("booth/1/up/{BOOTH}/clip/{}", numbered(1).id),
        payload: numbered(1).manifest.to_string().into_bytes(),
        retained: false,
        expiry_s: None,
    };
    let answer = store.handle(wall, Mono(1), &message).expect("handled");
    store.commit().expect("commits");
    let status = answer.map(|answer| answer.ack.status);
    assert_eq!(status, Some(AckStatus::Stored));
}
