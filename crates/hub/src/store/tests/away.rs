//! Bodies in a bucket: every promise of the store again over a real S3 server, and what a bucket can do to a hub.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::Command;
use std::sync::OnceLock;

use booth_stage::s3::Server;

use super::sealed::sealed;
use super::small_s3::{Mood, SmallS3};
use super::withdrawals::City;
use super::*;

/// Names the server for the second run of these tests, in a process of its own.
pub(in crate::store) const AT: &str = "BOOTH_STORE_TESTS_BODIES_AT";
/// What no line of a log and no sentence may hold.
const SECRET: &str = "geheimes-wort";

/// Tests that take away or look at a body's file, copy the folder, or have a server of their own.
const OF_FILES: [&str; 19] = [
    "store::tests::away::",
    "store::tests::elsewhere::",
    "a_restart_between_rename_and_commit_is_harmless",
    "a_batch_whose_sync_fails_is_promised_to_nobody_and_comes_again_whole",
    "a_failing_disk_promises_nothing_and_the_clip_is_stored_once_it_is_mended",
    "a_file_that_is_gone_is_missed_by_the_sync_of_many_too",
    "a_folder_whose_sync_failed_is_synced_with_the_next_batch_unless_it_is_gone",
    "a_sync_that_fails_takes_no_manifest_or_mark_from_before_its_batch",
    "files_that_are_found_without_their_row_are_synced_with_their_folders",
    "a_check_names_everything_that_is_not_as_it_should_be",
    "a_database_that_is_made_anew_answers_as_the_one_before",
    "a_store_of_the_version_before_gets_a_manifest_beside_every_clip",
    "a_stored_clip_whose_body_is_gone_or_cut_is_asked_for_again_and_named",
    "whatever_befalls_the_store_an_acknowledged_clip_is_there_or_asked_for_or_named",
    "the_envelope_lies_apart_and_without_it_nobody_opens_the_body",
    "what_comes_open_is_sealed_before_it_is_kept_and_plays_as_it_was_said",
    "a_hub_without_the_citys_key_seals_words_and_receipt_for_the_desk_and_one_without_any_key_gives_none",
    "a_restored_backup_brings_nothing_back_that_was_withdrawn_since",
    "a_hub_without_a_key_takes_withdrawals_at_once_and_the_desk_works_them_off",
];

/// How long these tests wait for an answer, and for a body.
pub(in crate::store) fn deadlines() -> (Duration, Duration) {
    let is_over_a_real_server = std::env::var_os(AT).is_some();
    let each = Duration::from_secs(if is_over_a_real_server { 300 } else { 15 });
    (each, each)
}

/// Where the bodies of a folder's store are in this run.
pub(super) fn of(dir: &Path) -> Option<BodiesAway> {
    let endpoint = std::env::var(AT).ok()?;
    let mut name = DefaultHasher::new();
    dir.hash(&mut name);
    static OF_ALL: OnceLock<tempfile::TempDir> = OnceLock::new();
    let secret_file = OF_ALL.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("secret"), SECRET).expect("written");
        folder
    });
    let secret_file = secret_file.path().join("secret");
    Some(BodiesAway {
        bodies: format!("s3://bucket/b{:016x}", name.finish()),
        endpoint: Some(endpoint),
        region: None,
        key_id: "hub".into(),
        secret_file,
        in_clear: false,
    })
}

#[test]
fn every_promise_of_the_store_holds_over_bodies_in_a_bucket() {
    if std::env::var_os(AT).is_some() {
        return;
    }
    let started = Server::start("the store's tests over bodies in S3").expect("moto starts");
    let Some(server) = started else {
        return;
    };
    server.make_bucket("bucket").expect("a bucket");
    let program = std::env::current_exe().expect("this program");
    let mut again = Command::new(program);
    again.arg("store::tests::").args(["--test-threads", "2"]);
    for name in OF_FILES {
        again.arg("--skip").arg(name);
    }
    let done = again.env(AT, server.endpoint()).output().expect("runs");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let ran = said.matches(" ... ok").count();
    assert!(ran > 100, "{ran} tests: {said}");
}

/// A store whose bodies are in a small bucket.
struct Away {
    server: SmallS3,
    bench: Bench,
}

pub(super) fn away_at(server: &SmallS3, dir: &Path) -> BodiesAway {
    let secret_file = dir.join("secret");
    fs::write(&secret_file, format!("{SECRET}\n")).expect("written");
    BodiesAway {
        bodies: "s3://bucket/city/".into(),
        endpoint: Some(server.endpoint()),
        region: None,
        key_id: "hub".into(),
        secret_file,
        in_clear: false,
    }
}

impl Away {
    fn new() -> Self {
        let server = SmallS3::start();
        let folder = tempfile::tempdir().expect("a folder");
        let rules = Self::rules(&server, folder.path());
        let bench = Bench {
            store: Store::open(&rules).expect("opens"),
            folder,
            wall: "2026-03-02T10:00:00Z".parse().expect("a time"),
            mono: Mono(1000),
        };
        Self { server, bench }
    }

    fn rules(server: &SmallS3, folder: &Path) -> StoreRules {
        StoreRules {
            bodies: Some(away_at(server, folder)),
            ..rules(&folder.join("store"))
        }
    }

    fn restart(self) -> Self {
        let Self { server, bench } = self;
        let Bench {
            folder,
            mut store,
            wall,
            mono,
        } = bench;
        store.roll_back();
        drop(store);
        let store = Store::open(&Self::rules(&server, folder.path())).expect("opens again");
        let bench = Bench {
            folder,
            store,
            wall,
            mono,
        };
        Self { server, bench }
    }

    /// Lets time go by until this is so.
    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        self.until_at_each(100, what, is_so);
    }

    /// The same, looking each time so many ms have gone by.
    #[track_caller]
    fn until_at_each(&mut self, ms: u64, what: &str, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..6_000 {
            self.bench.mono.0 += ms;
            let carried = self.bench.store.carry(self.bench.mono);
            carried.expect("the store works");
            if is_so(self) {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        panic!("it never comes to this: {what}");
    }

    #[track_caller]
    fn has_objects(&mut self, number: usize) {
        self.until("as many objects", |this| {
            this.server.objects().len() == number
        });
    }

    /// Stores a clip, and waits until its body is in the bucket alone.
    #[track_caller]
    fn carries(&mut self, clip: &Clip) {
        assert_eq!(status(self.bench.whole(clip)), Some(AckStatus::Stored));
        self.carries_now(clip);
    }

    #[track_caller]
    fn carries_now(&mut self, clip: &Clip) {
        let (body, note) = (self.body(clip), self.file(clip, Part::Away));
        self.until("it is carried away", |_| !body.exists() && note.exists());
    }

    fn file(&self, clip: &Clip, part: Part) -> PathBuf {
        record::path(&self.bench.dir().join("clips"), &clip.id, part)
    }

    /// Where a clip's body is in the folder.
    fn body(&self, clip: &Clip) -> PathBuf {
        let kind = match clip.manifest["body"].as_str() {
            Some("sealed-ogg-opus/1") => BodyKind::SealedOggOpus,
            _ => BodyKind::OggOpus,
        };
        self.file(clip, Part::Body(kind))
    }

    fn rows(&self) -> u64 {
        let db = &self.bench.store.db;
        db.query_row("SELECT count(*) FROM kept", [], |row| row.get(0))
            .expect("read")
    }

    /// Names and contents in the bucket.
    fn objects(&self) -> Vec<(String, Vec<u8>)> {
        self.server.objects().into_iter().collect()
    }

    fn found(&self) -> Vec<&'static str> {
        let checked = check::look(&self.bench.dir(), Progress::new("read"), false);
        let findings = checked.expect("checks").findings;
        findings.iter().map(|finding| finding.what).collect()
    }
}

fn object_of(clip: &Clip, suffix: &str) -> String {
    let hash = clip.manifest["sha256"].as_str().expect("a hash");
    format!("city/{}/{}/{hash}.{suffix}", &clip.id[..2], clip.id)
}

#[test]
fn a_clip_is_stored_whatever_its_bucket_does_and_then_carried_there() {
    let mut away = Away::new();
    let clip = numbered(1);
    away.server.is(Mood::Hangs);
    assert_eq!(status(away.bench.whole(&clip)), Some(AckStatus::Stored));
    away.bench.store.carry(away.bench.mono).expect("begun");
    // Whatever else comes is kept meanwhile.
    away.bench.health(json!({"schema": 1, "ready": 1}));
    assert_eq!(away.bench.fleet().booths.len(), 1);
    assert_eq!(status(away.bench.offer(&clip)), Some(AckStatus::Stored));
    assert!(away.objects().is_empty() && away.body(&clip).exists());
    away.server.is(Mood::Well);
    let body = away.body(&clip);
    away.until("it is carried away", |_| !body.exists());
    assert_eq!(
        away.objects(),
        [(object_of(&clip, "opus"), clip.body.clone())]
    );
    let file = away.bench.views().clip_file(&clip.id).expect("a clip");
    assert_eq!(file.files.read().expect("read"), clip.body);
    assert_eq!(crate::http::sound_of(&file).ok(), Some(clip.body.clone()));
    assert_eq!(status(away.bench.offer(&clip)), Some(AckStatus::Stored));
    assert_eq!(away.found(), [""; 0]);
    // Its offer asks nothing of the bucket, not even after a restart.
    let mut away = away.restart();
    away.server.is(Mood::Hangs);
    assert_eq!(status(away.bench.offer(&clip)), Some(AckStatus::Stored));
}

#[test]
fn a_bucket_that_fails_in_any_way_leaves_the_body_in_the_folder_and_gets_it_later() {
    for mood in [
        Mood::Fails,
        Mood::Hangs,
        Mood::Cuts,
        Mood::Refuses,
        Mood::IsGone,
        Mood::KeepsHalf,
        Mood::TakesNot("6f9619ff"),
    ] {
        let mut away = Away::new();
        let clip = numbered(1);
        away.server.is(mood);
        assert_eq!(
            status(away.bench.whole(&clip)),
            Some(AckStatus::Stored),
            "{mood:?}"
        );
        away.until("a fault", |this| this.bench.store.bodies_fault().is_some());
        let fault = away.bench.store.bodies_fault().expect("a fault");
        let remedy = match mood {
            Mood::Refuses => "bodies_key_id and bodies_secret_file",
            Mood::IsGone => "make the bucket",
            Mood::KeepsHalf => "look at that server",
            _ => "the hub goes on by itself",
        };
        assert!(fault.contains(remedy), "{mood:?}: {fault}");
        assert!(!fault.contains(SECRET) && !fault.contains('\n'), "{fault}");
        let kept = fs::read(away.body(&clip)).expect("in the folder");
        assert_eq!(kept, clip.body, "{mood:?}");
        assert!(!away.file(&clip, Part::Away).exists(), "{mood:?}");
        // It may be there by now: the bucket is not exchanged any more.
        let mut other = away_at(&away.server, away.bench.folder.path());
        other.bodies = "s3://bucket/other".into();
        let agree = |wanted| bodies_agree(&away.bench.dir(), wanted);
        assert!(
            agree(Some(&other)).is_err() && agree(None).is_err(),
            "{mood:?}"
        );
        away.server.is(Mood::Well);
        let body = away.body(&clip);
        away.until("it is carried away", |_| !body.exists());
        assert_eq!(away.objects()[0].1, clip.body, "{mood:?}");
        assert_eq!(away.found(), [""; 0], "{mood:?}");
        assert_eq!(away.bench.store.bodies_fault(), None, "{mood:?}");
    }
}

#[test]
fn a_clip_that_may_make_room_for_another_stays_in_the_folder_until_it_counts() {
    let mut away = Away::new();
    let held = numbered(1);
    // Somebody else sends it in the booth's name.
    away.bench.birth("card-1", "1-1", "s1");
    let answer = away.bench.whole_from("rundhoej-2", &held);
    assert_eq!(status(answer), Some(AckStatus::Stored));
    let clip = numbered(2);
    away.carries(&clip);
    assert!(away.body(&held).exists());
    assert_eq!(away.objects().len(), 1);
    let what = Accepted::Clip(held.id.clone());
    assert_eq!(
        accept(&away.bench.dir(), away.bench.wall, &what).expect("works"),
        1
    );
    // Nobody tells the hub that runs: it looks through all of them each hour.
    let body = away.body(&held);
    away.until_at_each(1_000, "it is carried away", |_| !body.exists());
}

#[test]
fn a_bucket_that_cannot_be_used_at_the_start_says_what_to_do() {
    let server = SmallS3::start();
    for (mood, says) in [
        (Mood::Refuses, "bodies_secret_file"),
        (Mood::IsGone, "make the bucket"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        server.is(mood);
        let fault = Store::open(&Away::rules(&server, folder.path())).expect_err("no bucket");
        assert!(fault.needs_an_operator(), "{fault}");
        assert!(fault.to_string().contains(says), "{fault}");
        assert!(!format!("{fault:?}{fault}").contains(SECRET), "{fault}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut nobody = Away::rules(&server, folder.path());
    let bodies = nobody.bodies.as_mut().expect("a bucket");
    bodies.endpoint = Some("http://127.0.0.1:1".into());
    // One that does not answer is waited for.
    let store = Store::open(&nobody).expect("opens");
    let fault = store.bodies_fault().expect("nobody listens");
    assert!(
        fault.contains("s3://bucket/city does not answer"),
        "{fault}"
    );
    drop(store);
    let bodies = nobody.bodies.as_mut().expect("a bucket");
    bodies.secret_file = folder.path().join("nowhere");
    let fault = Store::open(&nobody).expect_err("no secret");
    assert!(fault.needs_an_operator(), "{fault}");
    assert!(fault.to_string().contains("bodies_secret_file"), "{fault}");
}

#[test]
fn an_object_that_is_missing_or_altered_is_named_and_not_played() {
    let mut away = Away::new();
    let clip = numbered(1);
    away.carries(&clip);
    let name = object_of(&clip, "opus");
    away.server.change(|objects| {
        objects.get_mut(&name).expect("an object")[7] ^= 1;
    });
    assert_eq!(away.found(), ["different_body"]);
    let file = away.bench.views().clip_file(&clip.id).expect("a clip");
    let fault = file.files.read().expect_err("altered").to_string();
    assert!(fault.contains("is not what was put there"), "{fault}");
    away.server.change(|objects| {
        objects.remove(&name);
    });
    assert_eq!(away.found(), ["missing_body"]);
    file.files.read().expect_err("missing");
    // Without its note its booth is asked for it, if it has it still.
    fs::remove_file(away.file(&clip, Part::Away)).expect("removed");
    assert_eq!(status(away.bench.offer(&clip)), Some(AckStatus::Partial));
    for from in (0..clip.body.len()).step_by(16_384) {
        let to = (from + 16_384).min(clip.body.len());
        away.bench.part(&clip, from, to);
    }
    assert_eq!(status(away.bench.offer(&clip)), Some(AckStatus::Stored));
    away.has_objects(1);
    let body = away.body(&clip);
    away.until("it is carried away", |_| !body.exists());
    assert_eq!(away.found(), [""; 0]);
    // An object that no entry names is no clip.
    let stray = format!("city/{}/{}/{}.opus", &CLIP[..2], CLIP, "0".repeat(64));
    away.server.change(|objects| {
        objects.insert(stray, b"words".to_vec());
    });
    assert_eq!(away.found(), ["extra_body"]);
}

#[test]
fn a_body_that_was_there_before_a_crash_is_put_there_once_more() {
    let mut away = Away::new();
    let clip = numbered(1);
    // The hub was killed between the bucket's answer and the note; of another clip the bucket has something else under this name.
    let (same, other) = (object_of(&clip, "opus"), object_of(&numbered(2), "opus"));
    away.server.change(|objects| {
        objects.insert(same, clip.body.clone());
        objects.insert(other, b"half".to_vec());
    });
    away.carries(&clip);
    away.carries(&numbered(2));
    assert_eq!(away.found(), [""; 0]);
    // It was killed between the note and the end of the file.
    fs::write(away.body(&clip), &clip.body).expect("written");
    let mut away = away.restart();
    let body = away.body(&clip);
    away.until("it is carried away", |_| !body.exists());
    assert_eq!((away.objects().len(), away.found()), (2, Vec::new()));
}

#[test]
fn a_body_whose_file_is_damaged_is_not_carried() {
    let mut away = Away::new();
    let clip = numbered(1);
    assert_eq!(status(away.bench.whole(&clip)), Some(AckStatus::Stored));
    let mut damaged = clip.body.clone();
    damaged[9] ^= 1;
    fs::write(away.body(&clip), &damaged).expect("written");
    away.carries(&numbered(2));
    assert_eq!(away.objects().len(), 1);
    assert_eq!(fs::read(away.body(&clip)).expect("there"), damaged);
    assert_eq!(away.found(), ["different_body"]);
}

#[test]
fn a_message_that_is_taken_back_goes_from_the_bucket_too_and_no_kill_forgets_that() {
    let city = City::new();
    let mut away = Away::new();
    let clip = sealed(&city, 1);
    away.carries(&clip);
    let envelope = Private::beside(&away.bench.dir()).envelope(&clip.id);
    let kept = fs::read(&envelope).expect("an envelope");
    let [(name, object)] = &away.objects()[..] else {
        panic!("one object");
    };
    assert_eq!(*name, object_of(&clip, "sealed"));
    assert_eq!(object.len(), clip.body.len());
    let at = booth_sealing::open::BEFORE_ENVELOPE;
    assert!(object[at..at + kept.len()].iter().all(|byte| *byte == 0));
    // The bucket is away: everything else goes at once, and the object when it can.
    away.server.is(Mood::Fails);
    ask_to_withdraw(&away.bench.dir(), away.bench.wall, &clip.id).expect("asked");
    let done = away.bench.store.work_off(away.bench.wall, away.bench.mono);
    done.expect("worked off");
    assert!(!envelope.exists() && !away.file(&clip, Part::Away).exists());
    away.until("a fault", |this| this.bench.store.bodies_fault().is_some());
    assert_eq!((away.rows(), away.objects().len()), (0, 1));
    let mut away = away.restart();
    away.server.is(Mood::Well);
    away.has_objects(0);
    // What arrives late is deleted, too.
    let late = object_of(&clip, "sealed");
    away.server.change(|objects| {
        objects.insert(late, b"late".to_vec());
    });
    // The second time is a quarter of an hour after the store has heard of the first.
    away.until_at_each(1_000, "it is gone once more", |this| {
        this.server.objects().is_empty()
    });
    let leaving = |this: &Away| Private::beside(&this.bench.dir()).leaving().expect("read");
    away.until_at_each(1_000, "its mark is gone", |this| leaving(this).is_empty());
    away.until("all is well", |this| {
        this.bench.store.bodies_fault().is_none()
    });
    assert_eq!(status(away.bench.offer(&clip)), Some(AckStatus::Discard));
}

#[test]
fn what_is_taken_back_while_it_is_on_its_way_does_not_stay_in_the_bucket() {
    let mut away = Away::new();
    let clip = numbered(1);
    away.server.is(Mood::Hangs);
    assert_eq!(status(away.bench.whole(&clip)), Some(AckStatus::Stored));
    let before = away.server.puts();
    away.until("it is on its way", |this| this.server.puts() > before);
    away.bench
        .store
        .withdraw(away.bench.wall, &clip.id)
        .expect("taken back");
    assert!(!away.body(&clip).exists());
    away.server.is(Mood::Well);
    let leaving = |this: &Away| Private::beside(&this.bench.dir()).leaving().expect("read");
    // The second time is a quarter of an hour later.
    away.until_at_each(1_000, "everything is done", |this| leaving(this).is_empty());
    assert_eq!((away.rows(), away.objects()), (0, Vec::new()));
    assert!(!away.file(&clip, Part::Away).exists());
}

#[test]
fn what_a_bucket_does_not_do_for_one_clip_it_does_for_the_others() {
    let mut away = Away::new();
    let (refused, clip) = (numbered(1), numbered(2));
    away.server.is(Mood::TakesNot("000000000001"));
    for clip in [&refused, &clip] {
        assert_eq!(status(away.bench.whole(clip)), Some(AckStatus::Stored));
    }
    away.carries_now(&clip);
    // The search of the start meets the refused one first, too.
    let found = numbered(3);
    assert_eq!(status(away.bench.whole(&found)), Some(AckStatus::Stored));
    let mut away = away.restart();
    away.carries_now(&found);
    assert!(away.body(&refused).exists());
    let fault = away.bench.store.bodies_fault().expect("a fault");
    assert!(fault.contains("413"), "{fault}");
    // A deletion that fails keeps neither another deletion nor a body back.
    away.server.is(Mood::DeletesNot("000000000002"));
    let wall = away.bench.wall;
    for clip in [&clip, &found] {
        away.bench
            .store
            .withdraw(wall, &clip.id)
            .expect("taken back");
    }
    away.has_objects(1);
    assert_eq!(away.objects()[0].0, object_of(&clip, "opus"));
    away.carries(&numbered(4));
    let body = away.body(&refused);
    away.until("it is carried away", |_| !body.exists());
    let fault = away.bench.store.bodies_fault().expect("a fault");
    assert!(
        fault.contains("may list, read, write and delete"),
        "{fault}"
    );
    away.server.is(Mood::KnowsNoConditions);
    away.carries(&numbered(5));
    away.has_objects(3);
    away.until("all is well", |this| {
        this.bench.store.bodies_fault().is_none()
    });
}

#[test]
fn who_listens_while_a_body_is_carried_away_hears_it_and_no_cut_leaves_zeros_in_its_place() {
    use std::io::Read;
    let mut away = Away::new();
    let clip = numbered(1);
    assert_eq!(status(away.bench.whole(&clip)), Some(AckStatus::Stored));
    let mut heard = fs::File::open(away.body(&clip)).expect("there");
    away.carries_now(&clip);
    let mut body = Vec::new();
    heard.read_to_end(&mut body).expect("read");
    assert_eq!(body, clip.body);
    let folder = away.body(&clip).parent().expect("a folder").to_owned();
    let hidden = |folder: &Path| {
        let names = fs::read_dir(folder).expect("a folder").flatten();
        names
            .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"."))
            .count()
    };
    assert_eq!(hidden(&folder), 1);
    // It is overwritten a minute later, or at the next start.
    away.until("it is gone", |_| hidden(&folder) == 0);
    away.carries(&numbered(2));
    let away = away.restart();
    assert_eq!(hidden(&folder), 0);
    assert_eq!(away.found(), [""; 0]);
}

#[test]
fn an_envelope_that_a_cut_left_in_its_body_does_not_go_into_the_bucket() {
    let city = City::new();
    let mut away = Away::new();
    let clip = sealed(&city, 1);
    assert_eq!(status(away.bench.whole(&clip)), Some(AckStatus::Stored));
    fs::write(away.body(&clip), &clip.body).expect("as it came");
    away.carries_now(&clip);
    let envelope = Private::beside(&away.bench.dir()).envelope(&clip.id);
    let length = fs::read(&envelope).expect("an envelope").len();
    let at = booth_sealing::open::BEFORE_ENVELOPE;
    let object = away.objects().remove(0).1;
    assert!(object[at..at + length].iter().all(|byte| *byte == 0));
    // With it the body has its hash.
    assert_eq!(away.found(), [""; 0]);
    // A body without its envelope is not carried, whatever its file says.
    let other = sealed(&city, 2);
    assert_eq!(status(away.bench.whole(&other)), Some(AckStatus::Stored));
    fs::write(Private::beside(&away.bench.dir()).envelope(&other.id), b"").expect("cut");
    away.carries(&numbered(3));
    assert!(away.body(&other).exists());
    assert_eq!(away.objects().len(), 2);
}

#[test]
fn no_other_bucket_is_taken_for_a_stores_own() {
    let mut away = Away::new();
    let (there, waits) = (numbered(1), numbered(2));
    away.carries(&there);
    let fault_of = |rules: &StoreRules| {
        let fault = Store::open(rules).expect_err("not its own");
        assert!(fault.needs_an_operator(), "{fault}");
        fault.to_string()
    };
    // Another store's, at the start. As long as nothing is there it may be corrected.
    let (server, other) = (away.server.clone(), tempfile::tempdir().expect("a folder"));
    let mut wanted = Away::rules(&server, other.path());
    let says = fault_of(&wanted);
    assert!(says.contains("of another hub's store"), "{says}");
    let checked = check::look(&wanted.dir, Progress::new("read"), false).expect("checks");
    let findings = checked.findings.iter().map(|finding| finding.what);
    assert_eq!(findings.collect::<Vec<_>>(), ["another_bucket", "database"]);
    wanted.bodies.as_mut().expect("a bucket").bodies = "s3://bucket/mine".into();
    drop(Store::open(&wanted).expect("corrected"));
    drop(Store::open(&rules(&wanted.dir)).expect("without one"));
    drop(Store::open(&wanted).expect("its own again"));
    // Another store's while the hub runs: what was put in the place of its own after an outage.
    away.server.is(Mood::Fails);
    assert_eq!(status(away.bench.whole(&waits)), Some(AckStatus::Stored));
    away.until("a fault", |this| this.bench.store.bodies_fault().is_some());
    let (mut objects, mut own) = (Default::default(), Vec::new());
    away.server.change(|all| {
        own = all["city/.hub"].clone();
        std::mem::swap(all, &mut objects);
        all.insert("city/.hub".into(), b"others".to_vec());
    });
    away.server.is(Mood::Well);
    let is_anothers = |this: &Away| {
        let fault = this.bench.store.bodies_fault();
        fault.is_some_and(|fault| fault.contains("of another hub's store"))
    };
    away.until("another one's", is_anothers);
    away.bench.mono.0 += 600_000;
    away.until("looked at again", is_anothers);
    assert!(away.objects().is_empty() && away.body(&waits).exists());
    assert_eq!(away.found(), ["another_bucket"]);
    // A mark that somebody put back by hand has a line end.
    own.push(b'\n');
    objects.insert("city/.hub".into(), own);
    away.server.change(|all| *all = objects);
    let body = away.body(&waits);
    away.until("it is carried away", |_| !body.exists());
    assert_eq!(away.found(), [""; 0]);
    // The same name at another server.
    let Away { bench, .. } = away;
    let Bench { folder, store, .. } = bench;
    drop(store);
    let says = fault_of(&Away::rules(&SmallS3::start(), folder.path()));
    assert!(says.contains("bodies_endpoint"), "{says}");
    // What this store has carried away is deleted, also by a hub that has lost its bucket's name meanwhile.
    let dir = folder.path().join("store");
    fs::remove_file(dir.join("bodies.toml")).expect("removed");
    let mut store = Store::open(&rules(&dir)).expect("opens");
    let wall = "2026-03-02T10:00:00Z".parse().expect("a time");
    store.withdraw(wall, &there.id).expect("taken back");
    assert_eq!(Private::beside(&dir).leaving().expect("read").len(), 1);
}

#[test]
fn only_who_asks_the_bucket_needs_its_secret_and_the_desk_has_its_own() {
    let mut away = Away::new();
    let clip = numbered(1);
    away.carries(&clip);
    let secret = away.bench.folder.path().join("secret");
    let own = away.bench.folder.path().join("own");
    fs::rename(&secret, &own).expect("renamed");
    let views = away.bench.views();
    let file = views.clip_file(&clip.id).expect("a clip");
    let fault = file.files.read().expect_err("no secret").to_string();
    assert!(fault.contains("bodies_secret_file"), "{fault}");
    let mut reached = away_at(&away.server, away.bench.folder.path());
    reached.secret_file = own;
    fs::remove_file(&secret).expect("removed");
    let views = views.reaching(Some(&reached)).expect("reaches");
    reached.secret_file = "nowhere".into();
    let Err(fault) = away.bench.views().reaching(Some(&reached)) else {
        panic!("it has no secret");
    };
    assert!(fault.needs_an_operator(), "{fault}");
    let file = views.clip_file(&clip.id).expect("a clip");
    assert_eq!(file.files.read().expect("read"), clip.body);
    let Away { bench, .. } = away;
    let Bench { folder, store, .. } = bench;
    drop(store);
    let dir = folder.path().join("store");
    let rebuilt = rebuild(&dir, Progress::new("read")).expect("rebuilt");
    assert_eq!(rebuilt.clips, 1);
}

#[test]
fn a_bucket_that_keeps_versions_is_noticed() {
    let server = SmallS3::start();
    server.is(Mood::KeepsVersions);
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&Away::rules(&server, folder.path())).expect("opens");
    assert!(store.bodies.bucket().expect("a bucket").keeps_versions());
    let away = Away::new();
    let bucket = away.bench.store.bodies.bucket().expect("a bucket");
    assert!(!bucket.keeps_versions());
}

#[test]
fn bodies_of_before_the_bucket_are_carried_there_and_the_bucket_is_never_exchanged() {
    if std::env::var_os(AT).is_some() {
        return;
    }
    let server = SmallS3::start();
    let mut bench = Bench::new();
    let before = numbered(1);
    assert_eq!(status(bench.whole(&before)), Some(AckStatus::Stored));
    let wanted = Away::rules(&server, bench.folder.path());
    let Bench {
        folder,
        store,
        wall,
        mono,
    } = bench;
    drop(store);
    let mut away = Away {
        server,
        bench: Bench {
            store: Store::open(&wanted).expect("opens"),
            folder,
            wall,
            mono,
        },
    };
    away.carries(&numbered(2));
    // Those of before are carried there, too.
    away.has_objects(2);
    assert_eq!(status(away.bench.offer(&before)), Some(AckStatus::Stored));
    let file = away.bench.views().clip_file(&before.id).expect("a clip");
    assert_eq!(file.files.read().expect("read"), before.body);
    assert_eq!(away.found(), [""; 0]);
    let dir = away.bench.dir();
    let note = fs::read_to_string(dir.join("bodies.toml")).expect("a note");
    assert!(!note.contains(SECRET), "{note}");
    drop(away.bench.store);
    let mut other = wanted.clone();
    other.bodies.as_mut().expect("a bucket").bodies = "s3://other".into();
    for rules in [&other, &rules(&dir)] {
        let fault = Store::open(rules).expect_err("not its own");
        assert!(fault.needs_an_operator(), "{fault}");
        assert!(fault.to_string().contains("s3://bucket/city"), "{fault}");
    }
}

#[test]
fn a_backup_fetches_each_body_once_and_a_restored_hub_has_its_bucket_again() {
    let city = City::new();
    let mut away = Away::new();
    let (open, closed) = (numbered(1), sealed(&city, 2));
    for clip in [&open, &closed] {
        away.carries(clip);
    }
    let in_folder = numbered(3);
    assert_eq!(
        status(away.bench.whole(&in_folder)),
        Some(AckStatus::Stored)
    );
    let rules = Away::rules(&away.server, away.bench.folder.path());
    let folder = away.bench.folder.path().join("backup");
    let wall = away.bench.wall;
    let go = || backup(&rules, &folder, 14, wall, Progress::new("copied"));
    let copy = |clip: &Clip, suffix: &str| {
        let place = format!("store/clips/{}/{}.{suffix}", &clip.id[..2], clip.id);
        fs::read(folder.join(place)).expect("in the backup")
    };
    let made = go().expect("a backup");
    assert_eq!((made.clips, made.bodies, made.incomplete), (3, 3, vec![]));
    assert_eq!(copy(&open, "opus"), open.body);
    // The envelope lies apart, in the bucket and here.
    let object = &away.server.objects()[&object_of(&closed, "sealed")];
    assert_eq!(&copy(&closed, "sealed"), object);
    assert_ne!(object, &closed.body);

    // What was copied from the folder is not fetched from the bucket later: nothing is asked of it.
    away.carries_now(&in_folder);
    away.server.is(Mood::Refuses);
    let made = go().expect("it has everything");
    assert_eq!((made.bodies, made.incomplete), (3, vec![]));
    away.server.is(Mood::Well);
    let late = numbered(4);
    away.carries(&late);
    let note = fs::read(folder.join("backup.json")).expect("a note");
    away.server.is(Mood::Refuses);
    let fault = go().expect_err("it is refused").to_string();
    assert!(fault.contains("bodies_key_id"), "{fault}");
    assert!(fault.contains("The backup before is as it was"), "{fault}");
    assert_eq!(fs::read(folder.join("backup.json")).expect("a note"), note);
    away.server.is(Mood::Well);
    // An object that was changed is none.
    let name = object_of(&late, "opus");
    let altered = |objects: &mut std::collections::BTreeMap<String, Vec<u8>>| {
        objects.get_mut(&name).expect("an object")[100] ^= 1;
    };
    away.server.change(altered);
    assert_eq!(
        go().expect("a backup").incomplete,
        std::slice::from_ref(&late.id)
    );
    away.server.change(altered);
    assert_eq!(go().expect("a backup").incomplete, [""; 0]);

    // One is taken back after the backup, and its object is not deleted any more before the folder is lost.
    away.bench.store.withdraw(wall, &open.id).expect("gone");
    away.bench.store.commit().expect("commits");
    assert_eq!(away.objects().len(), 4);
    let Away { server, bench } = away;
    let Bench {
        folder: kept,
        store,
        mono,
        ..
    } = bench;
    drop(store);
    let dir = kept.path().join("store");
    fs::remove_dir_all(&dir).expect("lost");
    let private = Private::beside(&dir);
    fs::remove_dir_all(private.dir().join("leaving")).expect("lost");
    // Restoring asks nothing of the bucket.
    server.is(Mood::Hangs);
    let restored = restore(&folder, &rules, Progress::new).expect("restored");
    assert_eq!((restored.clips, restored.taken_back), (3, 1));
    assert_eq!(restored.checked.findings, []);
    server.is(Mood::Well);
    let bench = Bench {
        store: Store::open(&rules).expect("it is this store's bucket"),
        folder: kept,
        wall,
        mono,
    };
    let mut away = Away { server, bench };
    for clip in [&closed, &in_folder, &late] {
        away.carries_now(clip);
    }
    away.has_objects(3);
    assert!(
        !away
            .server
            .objects()
            .contains_key(&object_of(&open, "opus"))
    );
    assert_eq!(away.found(), [""; 0]);
}

#[test]
fn an_address_that_cannot_work_is_refused_with_what_to_write() {
    let right = BodiesAway {
        bodies: "s3://clips/city".into(),
        endpoint: Some("https://s3.example:9000".into()),
        region: None,
        key_id: "hub".into(),
        secret_file: "secret".into(),
        in_clear: false,
    };
    let faults = |bodies: &str, endpoint: &str, in_clear: bool| {
        let away = BodiesAway {
            bodies: bodies.into(),
            endpoint: Some(endpoint.into()),
            in_clear,
            ..right.clone()
        };
        let faults = away.faults();
        faults.into_iter().map(|(_, why)| why).collect::<String>()
    };
    let (bodies, endpoint) = ("s3://clips/city", "https://s3.example:9000");
    for (is_right, local) in [
        (bodies, endpoint),
        ("s3://clips", "http://127.0.0.1:9000"),
        ("s3://clips/", "http://[::1]:9000/"),
    ] {
        assert_eq!(faults(is_right, local, false), "");
    }
    assert_eq!(faults(bodies, "http://s3.example", true), "");
    for (bodies, endpoint, says) in [
        ("clips", endpoint, "s3://bucket/prefix"),
        ("s3://c", endpoint, "s3://bucket/prefix"),
        ("s3://clips/../x", endpoint, "letters, digits"),
        ("s3://clips/a b", endpoint, "letters, digits"),
        (bodies, "s3.example", "https://"),
        (
            bodies,
            "https://user:word@s3.example",
            "a server and a port",
        ),
        (bodies, "http://s3.example", "bodies_in_clear"),
    ] {
        let said = faults(bodies, endpoint, false);
        assert!(said.contains(says), "{bodies} {endpoint}: {said}");
    }
}
