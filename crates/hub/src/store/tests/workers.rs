//! One store, its centre and its workers: whoever does what first, the promises of the store hold.

use booth_stage::postgres::Server;

use super::away::away_at;
use super::elsewhere::server;
use super::small_s3::SmallS3;
use super::withdrawals::{City, receipt, spoken};
use super::*;

/// A store that several processes share.
struct Shared {
    server: Server,
    rules: StoreRules,
    centre: Bench,
}

impl Shared {
    fn begin(what: &str) -> Option<Self> {
        Self::with(what, |_| None)
    }

    fn with(what: &str, bodies: impl FnOnce(&Path) -> Option<BodiesAway>) -> Option<Self> {
        let server = server(what)?;
        let folder = tempfile::tempdir().expect("a folder");
        let rules = StoreRules {
            database: Some(Elsewhere {
                database: server.database("city").expect("a database"),
                password_file: None,
                ca_file: None,
            }),
            bodies: bodies(folder.path()),
            ..rules(&folder.path().join("store"))
        };
        let store = Store::open_as(&rules, Share::Centre).expect("opens");
        let centre = bench(store, folder);
        Some(Self {
            server,
            rules,
            centre,
        })
    }

    fn worker(&self, number: u16) -> Bench {
        let store = Store::open_as(&self.rules, Share::Worker(number)).expect("opens");
        bench(store, tempfile::tempdir().expect("a folder"))
    }

    /// Every row and every file of the store is as it should be.
    fn checked(&self) -> Checked {
        let checked = check(&self.rules.dir, Progress::new("read")).expect("read");
        assert_eq!(checked.findings, Vec::new());
        checked
    }

    fn refuses(&self, share: Share) -> String {
        let fault = Store::open_as(&self.rules, share).expect_err("refused");
        fault.to_string()
    }
}

fn bench(store: Store, folder: tempfile::TempDir) -> Bench {
    Bench {
        store,
        folder,
        wall: "2026-03-02T10:00:00Z".parse().expect("a time"),
        mono: Mono(1000),
    }
}

/// What a worker does with a clip of this sender.
fn whole_from(worker: &mut Bench, sender: &str, clip: &Clip) -> Option<Ack> {
    let manifest = clip.manifest.to_string();
    let first = worker.send(&format!("{sender}/clip/{}", clip.id), manifest.as_bytes());
    let mut last = first;
    for from in (0..clip.body.len()).step_by(16_384) {
        let to = (from + 16_384).min(clip.body.len());
        let topic = format!("{sender}/part/{}/{from}", clip.id);
        last = worker.send(&topic, &clip.body[from..to]).or(last);
    }
    last
}

/// All parts of a clip but its last one.
fn all_but_the_last(worker: &mut Bench, clip: &Clip) {
    for from in [0, 16_384] {
        assert_eq!(worker.part(clip, from, from + 16_384), None);
    }
}

#[test]
fn workers_share_the_centres_store_and_nobody_else_does() {
    let Some(shared) = Shared::begin("who shares a store") else {
        return;
    };
    // Another folder, with this database or with none.
    for database in [shared.rules.database.clone(), None] {
        let other = tempfile::tempdir().expect("a folder");
        let rules = StoreRules {
            dir: other.path().join("store"),
            database,
            ..shared.rules.clone()
        };
        let fault = Store::open_as(&rules, Share::Worker(1)).expect_err("no store");
        assert!(matches!(fault, StoreError::NoCentre(_)), "{fault}");
        assert!(!rules.dir.exists(), "it made nothing");
    }
    let first = shared.worker(1);
    let second = shared.worker(2);
    for taken in [Share::Worker(1), Share::Centre, Share::All] {
        let fault = shared.refuses(taken);
        assert!(fault.ends_with("is in use by another booth-hub"), "{fault}");
    }
    let migrated = migrate(
        &shared.rules.dir,
        &Elsewhere {
            database: shared.server.database("elsewhere").expect("a database"),
            password_file: None,
            ca_file: None,
        },
        Progress::new("moved"),
    );
    assert!(migrated.is_err(), "they are at work");
    drop(first);
    shared.worker(1);
    // The centre goes and comes while a worker works.
    let Shared {
        server,
        rules,
        centre,
    } = shared;
    let Bench { store, folder, .. } = centre;
    drop(store);
    let alone = Store::open_as(&rules, Share::All).expect_err("a worker is there");
    assert!(matches!(alone, StoreError::InUse(_)), "{alone}");
    drop(Store::open_as(&rules, Share::Centre).expect("opens"));
    drop(second);
    let alone = Store::open_as(&rules, Share::All).expect("nobody is there");
    let fault = Store::open_as(&rules, Share::Worker(1)).expect_err("it does all itself");
    assert!(fault.to_string().contains("[ingest] workers"), "{fault}");
    drop((alone, folder, server));
}

#[test]
fn a_clip_that_goes_from_one_worker_to_another_is_stored_once_and_whole() {
    let Some(shared) = Shared::begin("a clip that goes from one worker to another") else {
        return;
    };
    let (mut first, mut second) = (shared.worker(1), shared.worker(2));
    let clip = spoken(1);
    assert_eq!(first.offer(&clip), None);
    first.part(&clip, 0, 16_384);
    // The first stands still; the second has the booth, and the booth offers its clip again.
    let ack = second.offer(&clip).expect("it was offered before");
    assert_eq!(
        (ack.status, ack.missing),
        (AckStatus::Partial, vec![ByteRange(0, 40_000)])
    );
    second.part(&clip, 0, 16_384);
    second.part(&clip, 16_384, 32_768);
    let last = second.part(&clip, 32_768, 40_000);
    assert_eq!(status(last), Some(AckStatus::Stored));
    // The first goes on with what it has, and finds the clip.
    first.part(&clip, 16_384, 32_768);
    let late = first.part(&clip, 32_768, 40_000);
    assert_eq!(status(late), Some(AckStatus::Stored));
    assert_eq!(status(first.offer(&clip)), Some(AckStatus::Stored));
    assert_eq!(shared.centre.file(&clip), Some(clip.body));
    assert_eq!(shared.checked().clips, 1);
}

#[test]
fn of_two_versions_at_two_workers_the_one_that_is_whole_first_is_stored_and_the_other_is_kept_apart()
 {
    let Some(shared) = Shared::begin("two versions of a clip at two workers") else {
        return;
    };
    let (mut first, mut second) = (shared.worker(1), shared.worker(2));
    let clip = spoken(1);
    let other = in_other_words(&clip, 7);
    // Both are on their way; the first one's batch is not committed while the second one comes.
    first.whole_uncommitted(&clip);
    let waiting = std::thread::spawn({
        let other = in_other_words(&clip, 7);
        move || {
            let ack = whole_from(&mut second, "somebody-2", &other);
            (second, ack)
        }
    });
    // It cannot judge before the first one has committed.
    std::thread::park_timeout(Duration::from_millis(200));
    assert!(!waiting.is_finished());
    first.store.commit().expect("commits");
    let (mut second, ack) = waiting.join().expect("it ends");
    assert_eq!(status(ack), Some(AckStatus::Reject));
    assert_eq!(shared.centre.file(&clip), Some(clip.body.clone()));
    let again = whole_from(&mut second, "somebody-2", &other);
    assert_eq!(status(again), Some(AckStatus::Reject));
    assert_eq!(status(first.offer(&clip)), Some(AckStatus::Stored));
    let checked = check(&shared.rules.dir, Progress::new("read")).expect("read");
    assert_eq!(checked.clips, 1);
}

#[test]
fn what_a_citizen_took_back_before_it_was_whole_at_a_worker_is_not_kept() {
    let Some(mut shared) = Shared::begin("what is taken back while a worker has it") else {
        return;
    };
    let city = City::new();
    shared.centre = shared.centre.with_key(&city);
    let mut worker = shared.worker(1);
    worker.store = worker.store.opening_new_receipts(city.opener());
    let (one, two, three) = (receipt(1), receipt(2), receipt(3));
    let first = city.seals(spoken(1), &one);
    let second = city.seals(spoken(2), &two);
    let third = city.seals(spoken(3), &three);
    // The first is half at the worker when its receipt comes by another worker.
    assert_eq!(worker.offer(&first), None);
    all_but_the_last(&mut worker, &first);
    let mut other = shared.worker(2);
    let ack = other.takes_back("somebody-2", &city.takes_back(&one, 1));
    assert_eq!(status(ack), Some(AckStatus::Stored), "it is kept");
    shared.centre.works_off(2);
    assert_eq!(shared.centre.waiting(), 0);
    let last = worker.part(&first, 32_768, 40_000);
    assert_eq!(status(last), Some(AckStatus::Discard));
    // The second is stored by the worker, and taken back then.
    assert_eq!(status(worker.whole(&second)), Some(AckStatus::Stored));
    other.takes_back("somebody-2", &city.takes_back(&two, 2));
    shared.centre.works_off(2);
    assert_eq!(status(worker.offer(&second)), Some(AckStatus::Discard));
    // The third is deleted by an operator while the worker has all of it but its last part.
    assert_eq!(worker.offer(&third), None);
    all_but_the_last(&mut worker, &third);
    let wall = shared.centre.wall;
    shared.centre.store.withdraw(wall, &third.id).expect("done");
    let staged = |clip: &Clip| {
        let name = format!("staging-1/{}.{BOOTH}", clip.id);
        shared.rules.dir.join(name).exists()
    };
    assert!(staged(&third));
    worker.store.expire(worker.mono).expect("done");
    assert!(!staged(&third), "within a minute it is gone here, too");
    all_but_the_last(&mut worker, &third);
    let last = worker.part(&third, 32_768, 40_000);
    assert_eq!(last, None, "nobody asks for it");
    assert_eq!(status(worker.offer(&third)), Some(AckStatus::Discard));
    // The fourth becomes whole at the worker a moment after that.
    let fourth = city.seals(spoken(4), &receipt(4));
    assert_eq!(worker.offer(&fourth), None);
    all_but_the_last(&mut worker, &fourth);
    shared
        .centre
        .store
        .withdraw(wall, &fourth.id)
        .expect("done");
    let last = worker.part(&fourth, 32_768, 40_000);
    assert_eq!(status(last), Some(AckStatus::Discard));
    for clip in [&first, &second, &third, &fourth] {
        assert_eq!(shared.centre.file(clip), None);
        assert!(!staged(clip), "{}", clip.id);
        assert!(
            shared
                .centre
                .files_with(&clip.body[20_000..20_100])
                .is_empty()
        );
    }
    assert_eq!(shared.checked().clips, 0);
}

#[test]
fn a_clip_of_a_card_that_the_centre_has_not_heard_of_yet_is_left_for_a_moment_and_not_held() {
    let Some(mut shared) = Shared::begin("a card that was announced a moment later") else {
        return;
    };
    let mut worker = shared.worker(1);
    let hears = |centre: &mut Bench, booth: &str, session: &str| {
        let payload = json!({"session": session, "card_id": "card-1", "booth_id": booth});
        centre.send(&format!("{booth}/birth"), payload.to_string().as_bytes());
    };
    // The card was at another booth, and comes with its messages.
    hears(&mut shared.centre, "somebody-2", "1-1");
    let (first, second) = (choice(1), choice(2));
    assert_eq!(worker.offer(&first), None, "it is left once");
    hears(&mut shared.centre, BOOTH, "2-1");
    assert_eq!(status(worker.offer(&first)), Some(AckStatus::Stored));
    assert_eq!(status(worker.offer(&second)), Some(AckStatus::Stored));
    let held = |store: &Bench| store.number("SELECT count(*) FROM kept WHERE held = 1");
    assert_eq!(held(&shared.centre), 0);
    // Whoever never announces the card is answered the second time, and held.
    let topic = format!("stranger-3/clip/{}", choice(3).id);
    let manifest = choice(3).manifest.to_string();
    assert_eq!(worker.send(&topic, manifest.as_bytes()), None);
    let again = worker.send(&topic, manifest.as_bytes());
    assert_eq!(status(again), Some(AckStatus::Stored));
    assert_eq!(held(&shared.centre), 1);
}

#[test]
fn a_booth_that_sends_clips_alone_is_heard_of_by_the_centre_so_that_a_worker_takes_it() {
    let Some(mut shared) = Shared::begin("a booth that sends clips alone") else {
        return;
    };
    let booths = |centre: &Bench| centre.number("SELECT count(*) FROM booth");
    assert_eq!(booths(&shared.centre), 0);
    assert_eq!(shared.centre.offer(&spoken(1)), None, "workers answer");
    assert_eq!(booths(&shared.centre), 1);
    assert_eq!(shared.checked().clips, 0);
}

#[test]
fn what_a_killed_worker_has_left_goes_with_the_clip_that_its_citizen_takes_back() {
    let Some(mut shared) = Shared::begin("what a killed worker has left") else {
        return;
    };
    let city = City::new();
    shared.centre = shared.centre.with_key(&city);
    let mut second = shared.worker(2);
    second.store = second.store.opening_new_receipts(city.opener());
    // Killed after the body was in its place, after its record, and after its row, which was not committed.
    for left in 1..=3 {
        let n = u64::from(left);
        let clip = city.seals(spoken(n), &receipt(n));
        let words = &clip.body[20_000..20_100];
        let mut first = shared.worker(1);
        first.store = first.store.opening_new_receipts(city.opener());
        assert_eq!(first.offer(&clip), None);
        all_but_the_last(&mut first, &clip);
        first.store.cut = Some(Cut { left, at: None });
        let message = Message {
            topic: format!("booth/1/up/{BOOTH}/part/{}/32768", clip.id),
            payload: clip.body[32_768..].to_vec(),
            retained: false,
            expiry_s: None,
        };
        let cut = first.store.handle(first.wall, first.mono, &message);
        assert!(cut.is_err());
        drop(first);
        assert!(!shared.centre.files_with(words).is_empty());
        // Its citizen takes it back, and the booth offers it again.
        second.takes_back("somebody-2", &city.takes_back(&receipt(n), n));
        shared.centre.works_off(2);
        assert_eq!(status(second.offer(&clip)), Some(AckStatus::Discard));
        assert!(shared.centre.files_with(words).is_empty(), "{left}");
    }
    assert_eq!(shared.checked().clips, 0);
}

#[test]
fn what_a_worker_that_runs_no_more_had_half_is_overwritten_and_deleted() {
    let Some(shared) = Shared::begin("what a worker had half") else {
        return;
    };
    let mut worker = shared.worker(3);
    let mut other = shared.worker(4);
    let clip = spoken(1);
    for worker in [&mut worker, &mut other] {
        worker.offer(&clip);
        all_but_the_last(worker, &clip);
    }
    let staging = |number: u16| shared.rules.dir.join(format!("staging-{number}"));
    drop(worker);
    assert!(staging(3).exists() && staging(4).exists());
    share::tidy_staging(&shared.rules.dir).expect("tidied");
    assert!(!staging(3).exists());
    assert_eq!(fs::read_dir(staging(4)).expect("it runs").count(), 1);
}

#[test]
fn a_centre_that_starts_beside_workers_leaves_alone_what_they_are_writing() {
    let Some(shared) = Shared::begin("what workers are writing") else {
        return;
    };
    let worker = shared.worker(1);
    let Shared {
        server,
        rules,
        centre,
    } = shared;
    let Bench { store, folder, .. } = centre;
    drop(store);
    // No program of this number can be seen, as from within another unit.
    let shelf = rules.dir.join("clips/6f");
    fs::create_dir_all(&shelf).expect("a folder");
    let written = |name: &str| {
        let path = shelf.join(name);
        fs::write(&path, "half").expect("written");
        path
    };
    let young = written(".young.json.4194304");
    let old = written(".old.json.4194304");
    let an_hour_ago = std::time::SystemTime::now() - Duration::from_secs(3_600);
    let file = File::options().write(true).open(&old).expect("opened");
    file.set_modified(an_hour_ago).expect("dated");
    drop(Store::open_as(&rules, Share::Centre).expect("opens"));
    assert!(young.exists() && !old.exists());
    drop(worker);
    drop(Store::open_as(&rules, Share::All).expect("opens"));
    assert!(!young.exists(), "nobody else is there");
    drop((folder, server));
}

#[test]
fn the_centre_carries_what_workers_have_stored_into_the_bucket() {
    let s3 = SmallS3::start();
    let shared = Shared::with("bodies that workers have stored", |folder| {
        Some(away_at(&s3, folder))
    });
    let Some(mut shared) = shared else {
        return;
    };
    let mut worker = shared.worker(1);
    let clip = spoken(1);
    assert_eq!(status(worker.whole(&clip)), Some(AckStatus::Stored));
    let body = record::path(
        &shared.rules.dir.join("clips"),
        &clip.id,
        record::Part::Body(BodyKind::OggOpus),
    );
    assert!(body.exists());
    let mut is_carried = false;
    for _ in 0..2_000 {
        shared.centre.mono.0 += 100;
        let mono = shared.centre.mono;
        let living = shared.centre.store.follow_workers().expect("asked");
        assert_eq!(living, Some(0), "no leases were taken");
        shared.centre.store.carry(mono).expect("carries");
        is_carried = !body.exists();
        if is_carried {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    assert!(is_carried);
    assert_eq!(shared.centre.file(&clip), Some(clip.body.clone()));
    assert_eq!(status(worker.offer(&clip)), Some(AckStatus::Stored));
    assert_eq!(shared.checked().clips, 1);
}

#[test]
fn while_a_worker_that_has_lost_its_transaction_works_on_nobody_else_writes() {
    let Some(shared) = Shared::begin("a worker that stands still") else {
        return;
    };
    let (mut still, mut other) = (shared.worker(1), shared.worker(2));
    still.whole_uncommitted(&spoken(1));
    // As if its time were over: the server ends what stands still within a transaction.
    let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE state = 'idle in transaction' AND pid <> pg_backend_pid()";
    assert_eq!(shared.server.psql("city", ended).expect("done").trim(), "1");
    // It has lost its transaction and does not know it yet: nobody else writes until its files and rows are done with.
    let waiting = std::thread::spawn(move || {
        let ack = other.whole(&spoken(2));
        (other, ack)
    });
    std::thread::park_timeout(Duration::from_millis(200));
    assert!(!waiting.is_finished());
    let fault = still.store.commit().expect_err("nothing of it is kept");
    assert!(!fault.is_fatal(), "{fault}");
    still.store.roll_back();
    let (other, ack) = waiting.join().expect("it ends");
    assert_eq!(status(ack), Some(AckStatus::Stored));
    let limit = |bench: &Bench| {
        let setting = "SELECT current_setting('idle_in_transaction_session_timeout')";
        let limit: String = bench
            .store
            .db
            .query_row(setting, [], |row| row.get(0))
            .expect("a setting");
        limit
    };
    // Its new connection has the same limit.
    assert_eq!((limit(&still), limit(&other)), ("20s".into(), "20s".into()));
    assert_eq!(status(still.whole(&spoken(3))), Some(AckStatus::Stored));
    still.whole_uncommitted(&spoken(1));
    still.store.commit().expect("commits");
    assert_eq!(shared.checked().clips, 3);
}
