//! Backups: whole or recognisably not, never with a key, and without what was taken back.

use super::codes::{vote, with_codes};
use super::sealed::{heard, sealed};
use super::withdrawals::{City, NOWHERE, found, is_gone, receipt, spoken};
use super::*;

/// Days that envelopes are kept.
const DAYS: u16 = 14;

/// The folder is gone, and the rows, wherever they were.
fn lost(dir: &Path) {
    fs::remove_dir_all(dir).expect("lost");
    elsewhere::lose_rows_of(dir);
}

impl Bench {
    fn backup_dir(&self) -> PathBuf {
        self.folder.path().join("backup")
    }

    /// Makes a backup while the store is open, as a hub has it.
    fn backs_up(&self) -> BackedUp {
        self.tries_to_back_up().expect("a backup")
    }

    fn tries_to_back_up(&self) -> Result<BackedUp, BackupError> {
        let progress = Progress::new("copied");
        backup(
            &rules(&self.dir()),
            &self.backup_dir(),
            DAYS,
            self.wall,
            progress,
        )
    }

    /// The store is lost, with the folder beside it or without, and put back.
    fn restored(self, with_private: bool) -> (Self, Restored) {
        let Self {
            folder,
            store,
            wall,
            mono,
        } = self;
        drop(store);
        let dir = folder.path().join("store");
        lost(&dir);
        if with_private {
            let _ = fs::remove_dir_all(Private::beside(&dir).dir());
        }
        let restored = restore(&folder.path().join("backup"), &rules(&dir), Progress::new);
        let restored = restored.expect("restored");
        let store = Store::open(&rules(&dir)).expect("opens");
        let bench = Self {
            folder,
            store,
            wall,
            mono,
        };
        (bench, restored)
    }

    fn note(&self) -> Value {
        let text = fs::read(self.backup_dir().join("backup.json")).expect("a note");
        serde_json::from_slice(&text).expect("JSON")
    }

    /// Files of the backup's folder, by their paths in it.
    fn of_backup(&self) -> Vec<String> {
        let dir = self.backup_dir();
        let mut folders = vec![dir.clone()];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => {
                        found.extend(path.strip_prefix(&dir).map(|own| own.display().to_string()))
                    }
                }
            }
        }
        found
    }
}

#[test]
fn a_backup_of_an_open_store_is_put_back_whole_and_copies_each_clip_once() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let open = spoken(1);
    let closed = sealed(&city, 2);
    for clip in [&open, &closed] {
        assert_eq!(status(bench.whole(clip)), Some(AckStatus::Stored));
    }
    let codes = with_codes(&bench, &city, 2);
    let cast = vote(3, &city, Some(&codes[0]));
    assert_eq!(status(bench.offer(&cast)), Some(AckStatus::Stored));
    fs::create_dir_all(bench.dir().join("campaigns/media")).expect("a folder");
    for (name, text) in [
        ("state.json", "published"),
        ("media/abc", "a prompt"),
        ("lock", ""),
    ] {
        fs::write(bench.dir().join("campaigns").join(name), text).expect("written");
    }
    let made = bench.backs_up();
    assert_eq!((made.clips, made.bodies), (3, 2));
    assert_eq!((made.incomplete, made.without_envelope), (vec![], vec![]));
    assert!(!bench.backup_dir().join("unfinished").exists());
    // What is there is not copied again; what came since is.
    let new = spoken(4);
    assert_eq!(status(bench.whole(&new)), Some(AckStatus::Stored));
    let again = bench.backs_up();
    let noted = bench.dir().join("bodies.toml").exists();
    assert_eq!(
        (again.clips, again.files_copied),
        (4, 2 + 1 + u64::from(noted)),
        "and state.json, and the note of a bucket"
    );
    assert_eq!(bench.note()["clips"], 4);

    let (mut bench, restored) = bench.restored(true);
    assert_eq!(
        (restored.clips, restored.envelopes, restored.taken_back),
        (4, 1, 0)
    );
    assert_eq!(restored.checked.findings, []);
    assert_eq!(restored.wants_receipt_key, None, "it had none");
    bench = bench.with_key(&city);
    for clip in [&open, &new] {
        assert_eq!(bench.file(clip).as_ref(), Some(&clip.body));
        assert_eq!(status(bench.offer(clip)), Some(AckStatus::Stored));
    }
    assert!(heard(&bench, &city, &closed).is_some());
    for (name, text) in [("state.json", "published"), ("media/abc", "a prompt")] {
        let path = bench.dir().join("campaigns").join(name);
        assert_eq!(fs::read_to_string(path).expect("back"), text);
    }
    // A code that was used is used.
    let second = vote(5, &city, Some(&codes[0]));
    assert_eq!(status(bench.offer(&second)), Some(AckStatus::Stored));
    assert_eq!(
        bench.number("SELECT count(*) FROM kept WHERE code = 'counted'"),
        1
    );
    assert_eq!(found(&bench), []);
}

#[test]
fn no_key_lies_in_a_backup_and_no_envelope_outside_its_short_lived_folder() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let clip = sealed(&city, 1);
    assert_eq!(status(bench.whole(&clip)), Some(AckStatus::Stored));
    let private = Private::beside(&bench.dir());
    let key = private.receipt_key().expect("a folder");
    fs::write(&key, b"the key of the receipts").expect("written");
    let made = bench.backs_up();
    assert_eq!(made.receipt_key.as_ref(), Some(&key));
    assert_eq!(
        bench.files_with(b"the key of the receipts"),
        std::slice::from_ref(&key)
    );
    let envelope = fs::read(private.envelope(&clip.id)).expect("an envelope");
    let with = bench.files_with(&envelope);
    let short_lived = bench.backup_dir().join("short-lived");
    assert_eq!(with.len(), 2, "{with:?}");
    assert!(with.iter().any(|path| path.starts_with(&short_lived)));
    assert!(
        bench
            .of_backup()
            .iter()
            .any(|path| path.ends_with(".sealed"))
    );
    let (_, restored) = bench.restored(true);
    assert_eq!(restored.wants_receipt_key, Some(key));
}

#[test]
fn what_was_taken_back_is_overwritten_in_the_backup_and_comes_back_with_none() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let kept = city.seals(spoken(1), &receipt(1));
    let early = city.seals(spoken(2), &receipt(2));
    let late = city.seals(spoken(3), &receipt(3));
    let closed = city.seals(sealed(&city, 4), &receipt(4));
    for clip in [&kept, &early, &late, &closed] {
        assert_eq!(status(bench.whole(clip)), Some(AckStatus::Stored));
    }
    let envelope = Private::beside(&bench.dir()).envelope(&closed.id);
    let envelope = fs::read(envelope).expect("an envelope");
    bench.backs_up();
    for n in [2, 4] {
        bench.takes_back(BOOTH, &city.takes_back(&receipt(n), n));
    }
    bench.works_off(1);
    let words = &early.body[4_000..4_100];
    assert!(!bench.files_with(words).is_empty(), "in the backup still");
    let made = bench.backs_up();
    assert_eq!((made.clips, made.overwritten), (2, 2));
    is_gone(&bench, &early);
    is_gone(&bench, &closed);
    assert_eq!(bench.files_with(&envelope), NOWHERE);

    // Taken back after the last backup: the folder beside the store has its mark.
    bench.takes_back(BOOTH, &city.takes_back(&receipt(3), 3));
    bench.works_off(1);
    let (bench, restored) = bench.restored(false);
    let mut bench = bench.with_key(&city);
    assert_eq!((restored.clips, restored.taken_back), (1, 1));
    assert_eq!(restored.checked.findings, []);
    assert_eq!(bench.file(&late), None);
    for clip in [&early, &late, &closed] {
        assert_eq!(status(bench.offer(clip)), Some(AckStatus::Discard));
    }
    bench.backs_up();
    is_gone(&bench, &late);
    assert_eq!(bench.file(&kept).as_ref(), Some(&kept.body));
}

#[test]
fn a_withdrawal_that_waits_or_came_before_its_clip_is_known_after_a_restore_and_a_newer_one_stays()
{
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let [first, second] = [1, 2].map(|n| city.seals(spoken(n), &receipt(n)));
    bench.takes_back(BOOTH, &city.takes_back(&receipt(1), 1));
    bench.works_off(1);
    bench.takes_back(BOOTH, &city.takes_back(&receipt(9), 9));
    bench.backs_up();
    assert_eq!(bench.waiting(), 1);
    // Worked off since, and one more is known.
    bench.takes_back(BOOTH, &city.takes_back(&receipt(2), 2));
    bench.works_off(2);
    let (bench, _) = bench.restored(false);
    let mut bench = bench.with_key(&city);
    for clip in [&first, &second] {
        assert_eq!(status(bench.offer(clip)), Some(AckStatus::Discard));
    }
    bench.works_off(2);
    bench.backs_up();
    let waiting = bench.of_backup();
    let waiting = waiting
        .iter()
        .filter(|path| path.starts_with("beside/waiting"));
    assert_eq!(waiting.count(), 0, "what was worked off waits nowhere");
    // With everything beside the store lost, too.
    let (bench, _) = bench.restored(true);
    let mut bench = bench.with_key(&city);
    for clip in [&first, &second] {
        assert_eq!(status(bench.offer(clip)), Some(AckStatus::Discard));
    }
}

#[test]
fn what_a_cut_off_backup_left_is_overwritten_by_the_next_and_the_one_before_is_used_meanwhile() {
    let mut bench = Bench::new();
    let [before, since] = [1, 2].map(spoken);
    assert_eq!(status(bench.whole(&before)), Some(AckStatus::Stored));
    bench.backs_up();
    let stamp = bench.note()["stamp"].as_str().map(str::to_owned);
    assert_eq!(status(bench.whole(&since)), Some(AckStatus::Stored));
    // As a kill leaves it.
    let left = bench
        .backup_dir()
        .join("store/databases/2026-03-02T11-00-00-000Z");
    fs::create_dir_all(&left).expect("a folder");
    fs::write(left.join("hub.sqlite"), b"half a database").expect("written");
    let half = bench
        .backup_dir()
        .join("short-lived/2026-03-02T11-00-00-000Z");
    fs::create_dir_all(&half).expect("a folder");
    fs::write(half.join(".envelopes.copy"), b"half of the envelopes").expect("written");
    fs::write(bench.backup_dir().join("unfinished"), b"").expect("written");
    let (mut bench, restored) = bench.restored(true);
    assert_eq!(
        (restored.clips, &restored.checked.findings[..]),
        (1, &[][..])
    );
    assert_eq!(bench.file(&before).as_ref(), Some(&before.body));
    // What came since is asked for again.
    assert_eq!(status(bench.whole(&since)), Some(AckStatus::Stored));
    bench.backs_up();
    assert!(!left.exists() && !half.exists());
    assert_ne!(bench.note()["stamp"].as_str(), stamp.as_deref());
    let databases = bench.of_backup();
    let databases = databases.iter().filter(|path| path.ends_with("hub.sqlite"));
    assert_eq!(databases.count(), 1);
}

#[test]
fn envelopes_stay_for_some_days_one_set_a_day_and_are_then_overwritten() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    assert_eq!(
        status(bench.whole(&sealed(&city, 1))),
        Some(AckStatus::Stored)
    );
    let sets = |bench: &Bench| {
        let of_backup = bench.of_backup();
        of_backup
            .iter()
            .filter(|path| path.ends_with("/envelopes"))
            .count()
    };
    for (hours, expected) in [(0, 1), (1, 1), (24, 2), (24, 3), (24 * 20, 1)] {
        bench.wall += jiff::SignedDuration::from_hours(hours);
        bench.backs_up();
        assert_eq!(sets(&bench), expected, "{hours} h later");
    }
    // A clock that is years behind takes nothing away that a restore needs.
    bench.wall -= jiff::SignedDuration::from_hours(24 * 3_000);
    bench.backs_up();
    let (_, restored) = bench.restored(true);
    assert_eq!(restored.envelopes, 1);
}

#[test]
fn a_store_that_has_fewer_clips_does_not_take_the_place_of_the_backup() {
    // A hub that began anew takes no bucket of another one.
    if std::env::var_os(away::AT).is_some() {
        return;
    }
    let mut bench = Bench::new();
    let clip = spoken(1);
    assert_eq!(status(bench.whole(&clip)), Some(AckStatus::Stored));
    bench.backs_up();
    let note = bench.note();
    // A new disk, and a hub that began anew.
    let bench = bench.while_closed(lost);
    let refused = bench.tries_to_back_up().expect_err("refused");
    assert!(
        matches!(refused, BackupError::Fewer { missing: 1, .. }),
        "{refused}"
    );
    assert_eq!(bench.note(), note);
    let (bench, restored) = bench.restored(false);
    assert_eq!(restored.checked.findings, []);
    assert_eq!(bench.file(&clip).as_ref(), Some(&clip.body));
}

#[test]
fn what_cannot_be_a_backup_or_be_put_back_is_refused_in_a_sentence() {
    let bench = Bench::new();
    let tries = |folder: &Path| {
        let progress = Progress::new("copied");
        let refused =
            backup(&rules(&bench.dir()), folder, DAYS, bench.wall, progress).expect_err("refused");
        refused.to_string()
    };
    let inside = bench.dir().join("clips/backup");
    assert!(tries(&inside).contains("lie within each other"));
    assert!(!inside.exists());
    assert!(tries(bench.folder.path()).contains("lie within each other"));
    assert!(tries(&bench.folder.path().join("store-private")).contains("lie within each other"));
    let other = bench.folder.path().join("other");
    fs::create_dir(&other).expect("a folder");
    fs::write(other.join("letter"), b"").expect("written");
    assert!(tries(&other).contains("is no backup: name an empty folder"));
    assert_eq!(fs::read_dir(&other).expect("a folder").count(), 1);

    let restores = |folder: &Path| {
        let refused = restore(folder, &rules(&bench.dir()), Progress::new).expect_err("refused");
        refused.to_string()
    };
    assert!(restores(&other).contains("holds no whole backup"));
    bench.backs_up();
    assert!(restores(&bench.backup_dir()).contains("is not empty"));
    let database = bench.backup_dir().join("store/databases");
    let stamp = bench.note()["stamp"].as_str().expect("a stamp").to_owned();
    let mut bytes = fs::read(database.join(&stamp).join("hub.sqlite")).expect("reads");
    bytes[100] ^= 1;
    fs::write(database.join(&stamp).join("hub.sqlite"), bytes).expect("written");
    let nowhere = rules(&bench.folder.path().join("new"));
    let refused = restore(&bench.backup_dir(), &nowhere, Progress::new).expect_err("refused");
    assert!(
        refused.to_string().contains("not as it was written"),
        "{refused}"
    );
    assert!(!nowhere.dir.exists());
}

#[test]
fn a_backup_of_an_earlier_hub_is_put_back_and_brought_up_to_date() {
    let mut bench = Bench::new();
    let clip = spoken(1);
    assert_eq!(status(bench.whole(&clip)), Some(AckStatus::Stored));
    bench.backs_up();
    let mut note = bench.note();
    let stamp = note["stamp"].as_str().expect("a stamp").to_owned();
    let databases = bench.backup_dir().join("store/databases");
    let copy = databases.join(stamp).join("hub.sqlite");
    // As version 5 left it.
    let db = Connection::open(&copy).expect("opens");
    db.pragma_update(None, "journal_mode", "DELETE")
        .expect("set");
    db.execute_batch(
        "DROP INDEX kept_child; DROP VIEW clip; ALTER TABLE kept DROP COLUMN code;
         CREATE VIEW clip AS SELECT * FROM kept WHERE held = 0; PRAGMA user_version = 5;",
    )
    .expect("changed");
    drop(db);
    let hash = backup_files::hash(&copy).expect("hashed");
    note["hub_sqlite"] = serde_json::to_value(hash).expect("JSON");
    let text = note.to_string();
    fs::write(bench.backup_dir().join("backup.json"), text).expect("written");
    let (bench, restored) = bench.restored(true);
    assert_eq!((restored.clips, restored.checked.findings), (1, vec![]));
    assert_eq!(bench.file(&clip).as_ref(), Some(&clip.body));
    assert!(!bench.dir().join("hub.sqlite.restoring").exists());
}

#[test]
fn a_restore_that_was_cut_off_is_run_again() {
    let mut bench = Bench::new();
    let clip = spoken(1);
    assert_eq!(status(bench.whole(&clip)), Some(AckStatus::Stored));
    bench.backs_up();
    let Bench { folder, store, .. } = bench;
    drop(store);
    let dir = folder.path().join("store");
    fs::remove_dir_all(&dir).expect("lost");
    let place = record::path(&dir.join("clips"), &clip.id, Part::Body(BodyKind::OggOpus));
    fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
    fs::write(&place, b"half").expect("written");
    fs::write(dir.join("restoring"), b"").expect("written");
    // No hub begins anew with it.
    assert!(
        Store::open(&rules(&dir))
            .expect_err("refused")
            .needs_an_operator()
    );
    elsewhere::lose_rows_of(&dir);
    let restored = restore(&folder.path().join("backup"), &rules(&dir), Progress::new);
    assert_eq!(restored.expect("restored").checked.findings, []);
    assert_eq!(fs::read(&place).expect("back"), clip.body);
}

#[test]
fn withdrawals_are_deleted_beside_a_reader_without_waiting_for_it() {
    if is_over_postgresql() {
        return;
    }
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let clip = city.seals(spoken(1), &receipt(1));
    assert_eq!(status(bench.whole(&clip)), Some(AckStatus::Stored));
    let reader = open_for_reading(&bench.dir()).expect("opens");
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM kept;")
        .expect("reads");
    bench.takes_back(BOOTH, &city.takes_back(&receipt(1), 1));
    bench.works_off(1);
    assert!(bench.store.log_is_to_be_emptied, "later");
    drop(reader);
    bench.works_off(1);
    assert!(!bench.store.log_is_to_be_emptied);
    is_gone(&bench, &clip);
}
