//! Answers that come from no booth: kept like a booth's, taken back like a booth's, and nothing half kept.

use booth_city::centre::{Body, Source, Submission};
use booth_contract::written::text_of_body;
use booth_contract::{ClipId, Manifest, Publish, Receipt};

use super::withdrawals::{City, NOWHERE};
use super::*;
use crate::store::{Entry, Kept, Levels};
use crate::withdrawing::{How, Taken, Withdrawing};

const SOUND: &[u8] = include_bytes!("../../../../sealing/vectors/clip.opus");
const WORDS: &str = "Bænken ved åen er væltet; sæt den op 🪑";

fn written(text: &str) -> Body {
    Body::Written(text.into())
}

fn entry(source: Source, body: Body) -> Entry {
    Entry {
        clip_id: None,
        submission: Submission {
            source,
            campaign_id: "green".into(),
            question_id: "square".into(),
            body,
            lang: "da".into(),
            said_at: None,
            may_publish: Publish::Text,
            notice_id: "0123456789abcdef".into(),
            code: None,
        },
        levels: Levels::default(),
        code: None,
    }
}

fn id(n: u64) -> ClipId {
    format!("0a0a0a0a-8b86-4d01-b42d-{n:012x}").into()
}

impl Bench {
    fn takes(&mut self, n: u64, entry: &Entry) -> Option<Receipt> {
        let kept = self.store.submit(self.wall, self.mono, entry, &id(n));
        self.store.commit().expect("commits");
        match kept.expect("kept") {
            Kept::New(clip_id, receipt) => {
                assert_eq!(clip_id, id(n));
                receipt
            }
            other => panic!("{other:?}"),
        }
    }

    fn manifest(&self, n: u64) -> Manifest {
        let raw: Vec<u8> = self
            .store
            .db
            .query_row(
                "SELECT manifest FROM kept WHERE clip_id = ?1",
                [id(n).as_str()],
                |row| row.get(0),
            )
            .expect("a row");
        serde_json::from_slice(&raw).expect("a manifest")
    }

    fn findings(&self) -> Vec<&'static str> {
        let checked = check::look(&self.dir(), Progress::new("read"), false).expect("checks");
        checked.findings.iter().map(|found| found.what).collect()
    }

    fn has_row(&self, n: u64) -> bool {
        rows::known(&self.store.db, &id(n))
            .expect("asked")
            .is_some()
    }
}

/// The text that a hub with this key reads.
fn read(bench: &Bench, city: &City, n: u64) -> Option<String> {
    let file = bench.views().opening_with(city.keys()).clip_file(&id(n))?;
    assert!(file.is_text);
    crate::http::text_of(&file).ok()
}

#[test]
fn an_answer_from_home_is_durable_numbered_without_gaps_and_its_receipt_takes_it_back() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    bench.store = bench.store.sealing_to(Some(city.to.clone()));
    let receipts: Vec<Receipt> = [
        entry(Source::Web, written(WORDS)),
        entry(Source::Phone, Body::Spoken(SOUND.to_vec(), 1_000)),
        entry(Source::Workshop, Body::Vote(3)),
    ]
    .iter()
    .zip(1..)
    .map(|(entry, n)| bench.takes(n, entry).expect("a receipt"))
    .collect();
    for (n, (kind, source, sender)) in (1..).zip([
        ("text", "web", "hub-web"),
        ("audio", "phone", "hub-phone"),
        ("choice", "workshop", "hub-workshop"),
    ]) {
        let manifest = bench.manifest(n);
        let said = serde_json::to_value(manifest.kind).expect("a word");
        assert_eq!((said.as_str(), &*manifest.source), (Some(kind), source));
        assert_eq!(manifest.booth_id.as_str(), sender);
        assert_eq!(manifest.clip_no, n);
        let consent = manifest.consent.expect("consent");
        assert_eq!(consent.notice_id.as_deref(), Some("0123456789abcdef"));
        assert_eq!(consent.publish, Publish::Text);
    }
    assert_eq!(read(&bench, &city, 1).as_deref(), Some(WORDS));
    assert_eq!(bench.findings(), Vec::<&str>::new());
    // Neither words nor receipts lie open anywhere.
    assert_eq!(bench.files_with("Bænken".as_bytes()), NOWHERE);
    assert_eq!(bench.files_with(&SOUND[..64]), NOWHERE);
    for receipt in &receipts {
        assert_eq!(bench.files_with(receipt.to_text().as_bytes()), NOWHERE);
    }
    assert_eq!(
        bench.number("SELECT count(*) FROM booth"),
        0,
        "no booth is made up"
    );
    // The page takes each back, as it takes a booth's.
    let page = Withdrawing::new(&bench.dir(), How::Matched(city.receipt_key()));
    for (n, receipt) in (1..).zip(&receipts) {
        let taken = page.take(
            bench.wall,
            bench.mono,
            [127, 0, 0, 1].into(),
            &receipt.to_text(),
        );
        assert_eq!(taken, Taken::Noted);
        bench.works_off(2);
        assert!(!bench.has_row(n), "{n}");
    }
    assert_eq!(bench.waiting(), 0);
    let left: Vec<_> = record::all(&bench.dir().join("clips"))
        .map(|path| path.expect("a path"))
        .filter(|path| !matches!(record::named(path), Some((_, Part::Withdrawn))))
        .collect();
    assert_eq!(left, NOWHERE);
    assert_eq!(bench.findings(), Vec::<&str>::new());
    // The numbers of what is gone are not given again.
    bench.takes(4, &entry(Source::Web, written("igen")));
    assert_eq!(bench.manifest(4).clip_no, 4);
}

#[test]
fn a_hub_without_the_citys_key_seals_words_and_receipt_for_the_desk_and_one_without_any_key_gives_none()
 {
    let city = City::new();
    let mut bench = Bench::new();
    bench.store = bench.store.sealing_to(Some(city.to.clone()));
    let receipt = bench
        .takes(1, &entry(Source::Web, written(WORDS)))
        .expect("a receipt");
    let sealed = bench.manifest(1).sealed.expect("sealed for the desk");
    assert_eq!(
        city.opener()
            .of_clip(&id(1), None, &sealed)
            .map(|opened| opened.receipt),
        Ok(city.opener().of_receipt(&receipt))
    );
    assert!(
        bench.views().clip_file(&id(1)).is_none(),
        "the hub opens nothing"
    );
    assert_eq!(
        read(&bench, &city, 1).as_deref(),
        Some(WORDS),
        "the desk does"
    );
    // The desk sees the receipt, and has the hub delete it.
    let page = Withdrawing::new(&bench.dir(), How::Sealed(city.to.clone()));
    let taken = page.take(
        bench.wall,
        bench.mono,
        [127, 0, 0, 1].into(),
        &receipt.to_text(),
    );
    assert_eq!(taken, Taken::Noted);
    let scratch = bench.folder.path().join("desk.sqlite");
    let mut copy = copy::StoreCopy::begin(&scratch, &bench.dir(), city.opener()).expect("begins");
    assert_eq!(copy.look().expect("looks"), 1);
    let looked = copy
        .match_withdrawals(bench.wall, bench.mono)
        .expect("matches");
    assert_eq!(looked.deletes, [(id(1), true)]);
    // The desk's verdict takes the withdrawal away while the hub goes through the list; it looks again a second later.
    for _ in 0..2 {
        let _ = bench.store.work_off(bench.wall, bench.mono);
    }
    assert!(!bench.has_row(1));

    let mut open = Bench::new();
    assert!(open.takes(1, &entry(Source::Web, written(WORDS))).is_none());
    let body = fs::read(record::path(
        &open.dir().join("clips"),
        &id(1),
        Part::Body(BodyKind::Text),
    ));
    assert_eq!(text_of_body(&body.expect("a body")), Some(WORDS));
    assert_eq!(open.findings(), Vec::<&str>::new());
}

#[test]
fn a_rebuilt_database_has_every_answer_its_receipts_and_goes_on_with_the_numbers() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    bench.store = bench.store.sealing_to(Some(city.to.clone()));
    bench.takes(1, &entry(Source::Web, written(WORDS)));
    bench.takes(
        2,
        &entry(Source::Phone, Body::Spoken(SOUND.to_vec(), 1_000)),
    );
    bench.takes(3, &entry(Source::Web, Body::Vote(2)));
    let dir = bench.dir();
    let Bench {
        folder,
        store,
        wall,
        mono,
    } = bench;
    drop(store);
    fs::remove_file(database_in(&dir)).expect("removed");
    let rebuilt = rebuild(&dir, Progress::new("read")).expect("rebuilds");
    assert_eq!((rebuilt.clips, rebuilt.held), (3, 0));
    assert_eq!(rebuilt.lost, Vec::<ClipId>::new());
    let store = Store::open(&rules(&dir)).expect("opens");
    let mut bench = Bench {
        folder,
        store,
        wall,
        mono,
    }
    .with_key(&city);
    bench.store = bench.store.sealing_to(Some(city.to.clone()));
    assert_eq!(read(&bench, &city, 1).as_deref(), Some(WORDS));
    assert_eq!(bench.number("SELECT count(*) FROM booth"), 0);
    bench.takes(4, &entry(Source::Web, written("igen")));
    assert_eq!(bench.manifest(4).clip_no, 4);
    assert_eq!(bench.findings(), Vec::<&str>::new());
}

#[test]
fn wherever_keeping_fails_nothing_of_the_answer_stays_and_the_next_one_is_kept() {
    let city = City::new();
    for fails_after in 0..8 {
        let mut bench = Bench::standard(&city);
        bench.store = bench.store.sealing_to(Some(city.to.clone()));
        bench.store.cut = Some(Cut {
            left: fails_after,
            at: None,
        });
        let kept = bench
            .store
            .submit(
                bench.wall,
                bench.mono,
                &entry(Source::Web, written(WORDS)),
                &id(1),
            )
            .and_then(|kept| bench.store.commit().map(|()| kept));
        bench.store.cut = None;
        if kept.is_ok() {
            assert!(fails_after >= 4, "{fails_after}: every point was passed");
            continue;
        }
        bench
            .store
            .drop_submission(bench.wall, &id(1), false)
            .expect("dropped");
        assert!(!bench.has_row(1), "{fails_after}");
        let left: Vec<_> = record::all(&bench.dir().join("clips"))
            .map(|path| path.expect("a path"))
            .filter(|path| !matches!(record::named(path), Some((_, Part::Withdrawn))))
            .collect();
        assert_eq!(left, NOWHERE, "{fails_after}");
        assert!(!Private::beside(&bench.dir()).envelope(&id(1)).exists());
        let staged = fs::read_dir(bench.dir().join("staging")).expect("a folder");
        assert_eq!(staged.count(), 0, "{fails_after}");
        bench.takes(2, &entry(Source::Web, written(WORDS)));
        assert_eq!(bench.findings(), Vec::<&str>::new(), "{fails_after}");
    }
}

#[test]
fn a_store_without_room_takes_no_answer() {
    let mut bench = Bench::new();
    bench.store = bench.store.keeping_free(u64::MAX / 4);
    let kept = bench.store.submit(
        bench.wall,
        bench.mono,
        &entry(Source::Web, written(WORDS)),
        &id(1),
    );
    assert!(matches!(kept, Err(StoreError::NoRoom { .. })), "{kept:?}");
    bench
        .store
        .drop_submission(bench.wall, &id(1), false)
        .expect("dropped");
    assert!(!bench.has_row(1));
}

#[test]
fn the_same_recording_is_kept_once_and_stays_away_when_it_was_taken_back() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let recording = || entry(Source::Phone, Body::Spoken(SOUND.to_vec(), 1_000));
    bench.takes(1, &recording());
    let again = bench
        .store
        .submit(bench.wall, bench.mono, &recording(), &id(1));
    assert!(matches!(again, Ok(Kept::Before(_))), "{again:?}");
    // The batch in which it came again fails: what was kept before stays.
    let dropped = bench.store.drop_submission(bench.wall, &id(1), true);
    dropped.expect("dropped");
    assert!(bench.has_row(1) && bench.findings().is_empty());
    bench.store.withdraw(bench.wall, &id(1)).expect("withdrawn");
    let again = bench
        .store
        .submit(bench.wall, bench.mono, &recording(), &id(1));
    assert!(matches!(again, Ok(Kept::Before(_))), "{again:?}");
    assert!(!bench.has_row(1));
}

#[test]
fn a_booth_brings_neither_written_messages_nor_anything_under_the_hubs_own_names() {
    let mut bench = Bench::new();
    let mut clip = numbered(1);
    clip.manifest["kind"] = json!("text");
    clip.manifest["body"] = json!("text/1");
    assert_eq!(status(bench.offer(&clip)), Some(AckStatus::Reject));
    let mut clip = numbered(2);
    clip.manifest["booth_id"] = json!("hub-web");
    let ack = bench.send(
        &format!("hub-web/clip/{}", clip.id),
        clip.manifest.to_string().as_bytes(),
    );
    assert!(ack.is_none(), "{ack:?}");
    assert_eq!(bench.number("SELECT count(*) FROM kept"), 0);
}

#[test]
fn a_folder_of_recordings_is_imported_once_and_what_was_taken_back_stays_away() {
    use crate::recordings::{Import, Keeper, import};
    let city = City::new();
    let mut bench = Bench::standard(&city);
    bench.store = bench.store.sealing_to(Some(city.to.clone()));
    let folder = bench.folder.path().join("calls");
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("1.opus"), SOUND).expect("written");
    fs::write(folder.join("2.txt"), "no sound").expect("written");
    let what = Import {
        folder,
        campaign: "green".into(),
        question: "square".into(),
        language: "da".into(),
        notice: "Din besked optages.".into(),
        may_publish: Publish::No,
    };
    let mut told = Vec::new();
    let first = import(
        &mut Keeper::Stopped(&mut bench.store),
        &what,
        |n, of, _, what| told.push((n, of, what.to_owned())),
    );
    let first = first.expect("imports");
    assert_eq!((first.new, first.before, first.left_out.len()), (1, 0, 1));
    assert_eq!(told.len(), 2);
    assert!(told[1].2.starts_with("left out"), "{told:?}");
    let again = import(
        &mut Keeper::Stopped(&mut bench.store),
        &what,
        |_, _, _, _| (),
    )
    .expect("imports");
    assert_eq!((again.new, again.before), (0, 1));
    let id: String = bench
        .store
        .db
        .query_row(
            "SELECT clip_id FROM kept WHERE sender = 'hub-phone'",
            [],
            |row| row.get(0),
        )
        .expect("one");
    bench
        .store
        .withdraw(bench.wall, &id.as_str().into())
        .expect("withdrawn");
    let again = import(
        &mut Keeper::Stopped(&mut bench.store),
        &what,
        |_, _, _, _| (),
    )
    .expect("imports");
    assert_eq!((again.new, again.before), (0, 1));
    assert_eq!(bench.number("SELECT count(*) FROM kept"), 0);
}

#[test]
fn no_receipt_of_an_answer_contains_an_emergency_number_of_the_citys_booths() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    // Half of all receipts would have one of these.
    let numbers: Vec<Vec<u8>> = (0..5).map(|digit| vec![digit, 9 - digit]).collect();
    bench.store = bench.store.avoiding(numbers.clone());
    for n in 1..60 {
        let receipt = bench.takes(n, &entry(Source::Workshop, Body::Vote(3)));
        let digits = receipt.expect("a receipt").digits();
        let dialled = [&[0, 0, 0][..], &digits].concat();
        for number in &numbers {
            let has = dialled.windows(2).any(|two| two == number.as_slice());
            assert!(!has, "{dialled:?} has {number:?}");
        }
    }
}
