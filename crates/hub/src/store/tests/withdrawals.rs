//! What citizens take back: receipts become hashes, withdrawals are never dropped, and what is withdrawn is gone and stays gone.
//! Longer than 500 lines: one test per promise.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::keys::Keyring;
use crate::receipts::{self, Opener, ReceiptKey};
use crate::store::copy::StoreCopy;
use booth_city::centre::Deletion;
use booth_contract::{BoothId, Receipt, Withdrawal};
use booth_sealing::{Identity, KernelRandom, Recipients, envelope};

/// No file has it.
pub(super) const NOWHERE: [PathBuf; 0] = [];

/// The city's key, and what this hub makes of receipts.
pub(super) struct City {
    keys: Arc<Keyring>,
    key: Arc<ReceiptKey>,
    pub(super) to: Recipients,
}

impl City {
    pub(super) fn new() -> Self {
        let identity = Identity::generate(&mut KernelRandom).expect("a key");
        let to = Recipients::new(vec![identity.recipient()]).expect("one");
        Self {
            keys: Arc::new(Keyring::of(vec![identity])),
            key: Arc::new(ReceiptKey::make().expect("a key")),
            to,
        }
    }

    pub(super) fn keys(&self) -> Arc<Keyring> {
        self.keys.clone()
    }

    pub(super) fn receipt_key(&self) -> Arc<ReceiptKey> {
        self.key.clone()
    }

    pub(super) fn codes(&self, store: &Path) -> VoteCodes {
        VoteCodes::under(store, self.key.clone())
    }

    pub(super) fn opener(&self) -> Opener {
        Opener::new(self.keys.clone(), self.key.clone())
    }

    /// A clip in whose manifest this receipt is sealed.
    pub(super) fn seals(&self, mut clip: Clip, receipt: &Receipt) -> Clip {
        let text = receipt.text_for_clip(&clip.id, None);
        let sealed = envelope::seal(&text, &self.to, &mut KernelRandom).expect("sealed");
        clip.manifest["sealed"] = json!(STANDARD.encode(sealed));
        // By which its manifest is found.
        clip.manifest["lang"] = json!(format!("tongue-{}", clip.id));
        clip
    }

    /// A withdrawal as a booth sends it, and its id.
    pub(super) fn takes_back(&self, receipt: &Receipt, n: u64) -> Withdrawal {
        let id = ClipId::from(format!("aaaaaaaa-8b86-4d01-b42d-{n:012x}"));
        Withdrawal {
            sealed: receipts::seal(&id, receipt, &self.to).expect("sealed"),
            id,
            ts: String::new(),
        }
    }
}

/// The nth clip, in words of its own.
pub(super) fn spoken(n: u64) -> Clip {
    let mut clip = numbered(n);
    let own = 31 + 2 * n as u32;
    clip.body = (0..40_000_u32)
        .map(|at| (at.wrapping_mul(own) >> 3) as u8)
        .collect();
    clip.manifest["sha256"] = json!(booth_contract::hex(&Sha256::digest(&clip.body)));
    clip
}

/// The nth receipt.
pub(super) fn receipt(n: u64) -> Receipt {
    let mut state = n;
    Receipt::generate(
        |bytes| {
            for byte in bytes {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(n | 1);
                *byte = (state >> 40) as u8;
            }
        },
        &[],
    )
    .expect("a receipt")
}

impl Bench {
    pub(super) fn standard(city: &City) -> Self {
        Self::new().with_key(city)
    }

    pub(super) fn with_key(self, city: &City) -> Self {
        let store = self.store.opening_receipts(city.opener()).expect("opens");
        Self { store, ..self }
    }

    pub(super) fn takes_back(&mut self, booth: &str, withdrawal: &Withdrawal) -> Option<Ack> {
        let topic = format!("{booth}/withdraw/{}", withdrawal.id);
        self.send(&topic, &withdrawal.to_json())
    }

    /// So many seconds go by.
    pub(super) fn works_off(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.mono = Mono(self.mono.0 + 1_000);
            self.store.work_off(self.wall, self.mono).expect("works");
        }
    }

    pub(super) fn waiting(&self) -> u64 {
        Private::beside(&self.dir()).waiting_number()
    }

    pub(super) fn number(&self, query: &str) -> u64 {
        let number = self.store.db.query_row(query, [], |row| row.get(0));
        number.expect("a number")
    }

    /// Every file of the store and beside it that has these bytes.
    pub(super) fn files_with(&self, bytes: &[u8]) -> Vec<PathBuf> {
        let mut folders = vec![self.folder.path().to_owned()];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a folder") {
                let path = entry.expect("a file").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let content = fs::read(&path).expect("reads");
                if content.windows(bytes.len()).any(|window| window == bytes) {
                    found.push(path);
                }
            }
        }
        found
    }
}

pub(super) fn found(bench: &Bench) -> Vec<Finding> {
    check::look(&bench.dir(), Progress::new("read"), false)
        .expect("checks")
        .findings
}

pub(super) fn is_gone(bench: &Bench, clip: &Clip) {
    assert_eq!(bench.file(clip), None);
    let kept = rows::known(&bench.store.db, &clip.id).expect("reads");
    assert!(kept.is_none());
    let words = clip.manifest["lang"].as_str().expect("a text");
    assert_eq!(bench.files_with(words.as_bytes()), NOWHERE, "the manifest");
    if clip.body.len() > 5_000 {
        let words = &clip.body[4_000..4_100];
        assert_eq!(bench.files_with(words), NOWHERE, "the words");
    }
    assert_eq!(found(bench), []);
}

#[test]
fn a_receipt_becomes_a_hash_before_anything_is_written_and_is_forgotten() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let clip = city.seals(spoken(1), &receipt(1));
    assert_eq!(status(bench.whole(&clip)), Some(AckStatus::Stored));
    let vote = city.seals(choice(2), &receipt(2));
    assert_eq!(status(bench.offer(&vote)), Some(AckStatus::Stored));
    for (n, clip) in [(1, &clip), (2, &vote)] {
        let sealed = clip.manifest["sealed"].as_str().expect("sealed");
        assert_eq!(bench.files_with(sealed.as_bytes()), NOWHERE);
        let digits = receipt(n).to_text();
        assert_eq!(bench.files_with(digits.as_bytes()), NOWHERE);
        let kept = record::path(&bench.dir().join("clips"), &clip.id, Part::Record);
        let kept = record::read(&kept).expect("reads").expect("a record");
        assert_eq!(kept.receipt, Some(city.key.mark(&receipt(n))));
        assert_eq!(kept.believed(&clip.id).expect("believed").sealed, None);
    }
    assert_eq!(found(&bench), []);
    // The same clip offered again is the same clip, and a database that is made anew knows the receipts.
    assert_eq!(status(bench.offer(&clip)), Some(AckStatus::Stored));
    let (bench, _) = bench.rebuilt();
    assert_eq!(
        bench.number("SELECT count(*) FROM kept WHERE receipt IS NOT NULL"),
        2
    );
}

#[test]
fn whoever_takes_a_message_back_at_any_booth_has_it_deleted_everywhere() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    bench.birth("card-1", "1-1", "s1");
    bench.health(json!({"ts": 1, "last_clip_no": 3, "oldest_clip_no_kept": 0, "spool_clips": 0}));
    let kept = city.seals(spoken(1), &receipt(1));
    let gone = city.seals(spoken(2), &receipt(2));
    let vote = city.seals(choice(3), &receipt(3));
    for clip in [&kept, &gone] {
        assert_eq!(status(bench.whole(clip)), Some(AckStatus::Stored));
    }
    assert_eq!(status(bench.offer(&vote)), Some(AckStatus::Stored));
    // Another version is in dispute, and a third is on its way.
    let other = in_other_words(&gone, 9);
    bench.send(
        &format!("rundhoej-2/clip/{}", gone.id),
        other.manifest.to_string().as_bytes(),
    );
    for from in (0..other.body.len()).step_by(10_000) {
        let topic = format!("rundhoej-2/part/{}/{from}", gone.id);
        bench.send(&topic, &other.body[from..from + 10_000]);
    }
    let third = in_other_words(&gone, 11);
    bench.send(
        &format!("rundhoej-3/clip/{}", gone.id),
        third.manifest.to_string().as_bytes(),
    );
    bench.send(
        &format!("rundhoej-3/part/{}/0", gone.id),
        &third.body[..10_000],
    );
    for (n, clip) in [(2, &gone), (3, &vote)] {
        let withdrawal = city.takes_back(&receipt(n), n);
        let ack = bench
            .takes_back("another-booth", &withdrawal)
            .expect("an answer");
        assert_eq!(
            (ack.status, &ack.clip_id),
            (AckStatus::Stored, &withdrawal.id)
        );
        let hash = booth_contract::hex(&Sha256::digest(withdrawal.sealed.as_bytes()));
        assert_eq!(ack.sha256.as_deref(), Some(hash.as_str()));
        bench.works_off(2);
        is_gone(&bench, clip);
        assert_eq!(bench.waiting(), 0);
        // Said again, because the answer was lost.
        assert_eq!(
            status(bench.takes_back("another-booth", &withdrawal)),
            Some(AckStatus::Stored)
        );
        bench.works_off(2);
    }
    assert_eq!(bench.file(&kept).as_ref(), Some(&kept.body));
    let answers = bench.views().answers(9);
    assert_eq!((answers.total, answers.votes), (1, 0));
    assert_eq!(bench.fleet().gaps, [], "a withdrawn number is not missing");
    // The booth that still has them, and one that comes back after a month.
    assert_eq!(status(bench.offer(&gone)), Some(AckStatus::Discard));
    assert_eq!(bench.part(&gone, 0, 10_000), None);
    bench = bench.restart().with_key(&city);
    assert_eq!(status(bench.offer(&vote)), Some(AckStatus::Discard));
    assert_eq!(status(bench.offer(&gone)), Some(AckStatus::Discard));
    is_gone(&bench, &gone);
}

#[test]
fn a_message_that_is_taken_back_before_it_came_is_discarded_when_it_comes() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let clip = city.seals(spoken(1), &receipt(1));
    let withdrawal = city.takes_back(&receipt(1), 1);
    assert_eq!(
        status(bench.takes_back(BOOTH, &withdrawal)),
        Some(AckStatus::Stored)
    );
    bench.works_off(1);
    assert_eq!(bench.waiting(), 0);
    bench = bench.restart().with_key(&city);
    assert_eq!(status(bench.offer(&clip)), Some(AckStatus::Discard));
    assert_eq!(
        status(bench.offer(&clip)),
        Some(AckStatus::Discard),
        "and again"
    );
    is_gone(&bench, &clip);
    // One that is on its way.
    let clip = city.seals(spoken(2), &receipt(2));
    assert_eq!(bench.offer(&clip), None);
    bench.part(&clip, 0, 20_000);
    bench.takes_back(BOOTH, &city.takes_back(&receipt(2), 2));
    bench.works_off(1);
    assert_eq!(bench.part(&clip, 20_000, 40_000), None);
    assert_eq!(status(bench.offer(&clip)), Some(AckStatus::Discard));
    is_gone(&bench, &clip);
}

#[test]
fn a_receipt_that_fits_two_messages_deletes_neither_and_goes_to_an_operator() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let both = [1, 2].map(|n| city.seals(spoken(n), &receipt(1)));
    for clip in &both {
        assert_eq!(status(bench.whole(clip)), Some(AckStatus::Stored));
    }
    bench.takes_back(BOOTH, &city.takes_back(&receipt(1), 1));
    bench.works_off(3);
    for clip in &both {
        assert_eq!(bench.file(clip).as_ref(), Some(&clip.body));
    }
    let shown = bench.fleet();
    assert_eq!(shown.refused.len(), 2);
    assert!(shown.refused[0].reason.contains("neither was deleted"));
    assert_eq!(shown.withdrawals_waiting, 1);
    // The operator decides.
    ask_to_withdraw(&bench.dir(), bench.wall, &both[1].id).expect("asks");
    bench.works_off(1);
    is_gone(&bench, &both[1]);
    assert_eq!(bench.file(&both[0]).as_ref(), Some(&both[0].body));
    assert_eq!(bench.waiting(), 0, "the operator has decided");
}

#[test]
fn a_kill_anywhere_in_a_deletion_leaves_nothing_that_the_next_start_does_not_delete() {
    for left in 0..12 {
        for of_process in [true, false] {
            let city = City::new();
            let mut bench = Bench::standard(&city);
            let clip = city.seals(spoken(1), &receipt(1));
            assert_eq!(status(bench.whole(&clip)), Some(AckStatus::Stored));
            bench.takes_back(BOOTH, &city.takes_back(&receipt(1), 1));
            bench.store.cut = Some(Cut { left, at: None });
            bench.mono = Mono(9_000);
            let cut_off = bench.store.work_off(bench.wall, bench.mono).is_err();
            bench.store.roll_back();
            bench.store.cut = None;
            match of_process {
                true => bench = bench.restart().with_key(&city),
                false => assert!(cut_off || bench.waiting() == 0),
            }
            bench.works_off(2);
            is_gone(&bench, &clip);
            assert_eq!(bench.waiting(), 0, "cut after {left}");
            assert_eq!(status(bench.offer(&clip)), Some(AckStatus::Discard));
        }
    }
}

/// Copies a folder with everything in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("a file").path();
        let to = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy(&path, &to),
            false => drop(fs::copy(&path, &to).expect("copied")),
        }
    }
}

#[test]
fn a_restored_backup_brings_nothing_back_that_was_withdrawn_since() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let [kept, gone] = [1, 2].map(|n| city.seals(spoken(n), &receipt(n)));
    for clip in [&kept, &gone] {
        assert_eq!(status(bench.whole(clip)), Some(AckStatus::Stored));
    }
    let elsewhere = tempfile::tempdir().expect("a folder");
    let backup = elsewhere.path().join("backup");
    let mut bench = bench.while_closed(|dir| copy(dir, &backup)).with_key(&city);
    bench.takes_back(BOOTH, &city.takes_back(&receipt(2), 2));
    bench.works_off(1);
    for whole in [true, false] {
        // Before it serves.
        let restored = bench.while_closed(|dir| match whole {
            true => {
                fs::remove_dir_all(dir).expect("removed");
                copy(&backup, dir);
            }
            // The database alone.
            false => {
                for suffix in identity::SQLITE_FILES {
                    let _ = fs::remove_file(identity::beside(&database_in(dir), suffix));
                }
                fs::copy(database_in(&backup), database_in(dir)).expect("restored");
            }
        });
        bench = restored.with_key(&city);
        is_gone(&bench, &gone);
        assert_eq!(bench.file(&kept).as_ref(), Some(&kept.body));
        assert_eq!(status(bench.offer(&gone)), Some(AckStatus::Discard));
    }
}

#[test]
fn withdrawals_above_the_rate_wait_and_none_is_dropped() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let clips: Vec<Clip> = (1..=30)
        .map(|n| city.seals(choice(n), &receipt(n)))
        .collect();
    for clip in &clips {
        assert_eq!(status(bench.offer(clip)), Some(AckStatus::Stored));
    }
    for n in 1..=30 {
        let ack = bench.takes_back(BOOTH, &city.takes_back(&receipt(n), n));
        assert_eq!(status(ack), Some(AckStatus::Stored));
    }
    bench.works_off(5);
    assert_eq!(bench.waiting(), 10, "twenty at once");
    assert_eq!(bench.views().answers(9).votes, 10);
    // Another booth is not held up by this one.
    bench.takes_back("calm-1", &city.takes_back(&receipt(99), 99));
    bench.works_off(1);
    assert_eq!(bench.waiting(), 10);
    bench = bench.restart().with_key(&city);
    for _ in 0..40 {
        bench.mono = Mono(bench.mono.0 + 60_000);
        bench.works_off(1);
    }
    assert_eq!(bench.waiting(), 0);
    assert_eq!(bench.views().answers(9).votes, 0);
}

#[test]
fn a_hub_without_a_key_takes_withdrawals_at_once_and_the_desk_works_them_off() {
    let city = City::new();
    let mut bench = Bench::new();
    let [kept, gone] = [1, 2].map(|n| city.seals(spoken(n), &receipt(n)));
    for clip in [&kept, &gone] {
        assert_eq!(status(bench.whole(clip)), Some(AckStatus::Stored));
    }
    let withdrawals = [(2, 2), (7, 7)].map(|(n, id)| city.takes_back(&receipt(n), id));
    for withdrawal in &withdrawals {
        let ack = bench.takes_back(BOOTH, withdrawal);
        assert_eq!(status(ack), Some(AckStatus::Stored));
    }
    bench.works_off(5);
    bench = bench.restart();
    bench.works_off(5);
    assert_eq!(bench.fleet().withdrawals_waiting, 2);
    assert_eq!(bench.file(&gone).as_ref(), Some(&gone.body));
    // The desk, with a key of receipts of its own.
    let scratch = bench.folder.path().join("scratch.sqlite");
    let opener = Opener::new(
        city.keys.clone(),
        Arc::new(ReceiptKey::make().expect("a key")),
    );
    let mut desk = StoreCopy::begin(&scratch, &bench.dir(), opener).expect("begins");
    assert_eq!(desk.look().expect("looks"), 2);
    let looked = desk
        .match_withdrawals(bench.wall, Mono(1))
        .expect("matches");
    assert_eq!(looked.deletes, [(gone.id.clone(), true)]);
    assert_eq!(looked.waiting, 1);
    bench.works_off(1);
    assert_eq!(
        desk.look().expect("looks"),
        1,
        "what is deleted is forgotten"
    );
    drop(desk);
    fs::remove_file(&scratch).expect("removed");
    let _ = fs::remove_file(identity::beside(&scratch, "-wal"));
    is_gone(&bench, &gone);
    assert_eq!(bench.file(&kept).as_ref(), Some(&kept.body));
    // The other one's clip may still come. Until then it takes nobody's place.
    let of_none = |bench: &Bench| Private::beside(&bench.dir()).of_none().expect("read").len();
    assert_eq!((bench.waiting(), of_none(&bench)), (0, 1));
    assert_eq!(status(bench.offer(&gone)), Some(AckStatus::Discard));
    let late = city.seals(spoken(7), &receipt(7));
    assert_eq!(status(bench.whole(&late)), Some(AckStatus::Stored));
    let opener = Opener::new(
        city.keys.clone(),
        Arc::new(ReceiptKey::make().expect("a key")),
    );
    let mut desk = StoreCopy::begin(&scratch, &bench.dir(), opener).expect("begins");
    let ack = bench.takes_back(BOOTH, &city.takes_back(&receipt(8), 8));
    assert_eq!(status(ack), Some(AckStatus::Stored));
    assert_eq!(desk.look().expect("looks"), 2);
    let looked = desk
        .match_withdrawals(bench.wall, Mono(1))
        .expect("matches");
    assert_eq!(looked.deletes, [(late.id.clone(), true)]);
    bench.works_off(1);
    assert_eq!((bench.waiting(), of_none(&bench)), (0, 1), "the last one");
    drop(desk);
    fs::remove_file(&scratch).expect("removed");
    let _ = fs::remove_file(identity::beside(&scratch, "-wal"));
    is_gone(&bench, &late);
    // The hub is given the key: what is sealed becomes hashes.
    bench = bench.restart().with_key(&city);
    bench.works_off(1);
    assert_eq!((bench.waiting(), of_none(&bench)), (0, 0));
    assert_eq!(
        bench.number("SELECT count(*) FROM kept WHERE receipt IS NOT NULL"),
        1
    );
    let sealed = kept.manifest["sealed"].as_str().expect("sealed");
    assert_eq!(bench.files_with(sealed.as_bytes()), NOWHERE);
    assert_eq!(found(&bench), []);
}

#[test]
fn a_message_whose_receipt_can_be_read_only_later_is_deleted_when_it_can() {
    let [city, next] = [City::new(), City::new()];
    let mut bench = Bench::standard(&city);
    // What is remembered is compared with the machine's own clock at the start.
    bench.wall = booth_host::clock::wall();
    let clip = next.seals(spoken(1), &receipt(1));
    assert_eq!(status(bench.whole(&clip)), Some(AckStatus::Stored));
    bench.takes_back(BOOTH, &city.takes_back(&receipt(1), 1));
    bench.works_off(1);
    assert_eq!(bench.waiting(), 0);
    assert_eq!(
        bench.file(&clip).as_ref(),
        Some(&clip.body),
        "nobody can know"
    );
    // The hub is given the new key, with the key of the hashes that it has.
    let next = City {
        key: city.key.clone(),
        ..next
    };
    bench = bench.restart().with_key(&next);
    bench.works_off(1);
    is_gone(&bench, &clip);
    assert_eq!(status(bench.offer(&clip)), Some(AckStatus::Discard));
}

#[test]
fn a_forged_version_under_a_clips_id_and_its_withdrawal_delete_nothing_of_the_true_one() {
    for is_first in [false, true] {
        let city = City::new();
        let mut bench = Bench::standard(&city);
        let clip = city.seals(spoken(1), &receipt(1));
        assert_eq!(status(bench.whole(&clip)), Some(AckStatus::Stored));
        // Somebody knows its id, and invents a receipt.
        let mut forged = choice(1);
        forged.manifest["choice"] = json!(2);
        let text = format!("{}:square:2", forged.id);
        forged.manifest["sha256"] = json!(booth_contract::hex(&Sha256::digest(text.as_bytes())));
        let forged = city.seals(forged, &receipt(66));
        let withdrawal = city.takes_back(&receipt(66), 66);
        let topic = format!("evil-1/clip/{}", clip.id);
        let manifest = forged.manifest.to_string();
        if is_first {
            bench.takes_back("evil-1", &withdrawal);
            bench.works_off(2);
        }
        bench.send(&topic, manifest.as_bytes());
        bench.takes_back("evil-1", &withdrawal);
        bench.works_off(2);
        bench.send(&topic, manifest.as_bytes());
        assert_eq!(bench.file(&clip).as_ref(), Some(&clip.body));
        assert_eq!(status(bench.offer(&clip)), Some(AckStatus::Stored));
        // The true one's own receipt deletes it.
        bench.takes_back(BOOTH, &city.takes_back(&receipt(1), 1));
        bench.works_off(2);
        is_gone(&bench, &clip);
    }
}

#[test]
fn who_stores_other_words_under_a_clips_id_and_takes_them_back_has_the_true_ones_kept_by_their_booth()
 {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let forged = city.seals(choice(1), &receipt(66));
    let ack = bench.send(
        &format!("evil-1/clip/{}", forged.id),
        forged.manifest.to_string().as_bytes(),
    );
    assert_eq!(status(ack), Some(AckStatus::Stored));
    bench.takes_back("evil-1", &city.takes_back(&receipt(66), 66));
    bench.works_off(2);
    let true_one = city.seals(spoken(1), &receipt(1));
    assert_eq!(true_one.id, forged.id);
    assert_eq!(
        status(bench.offer(&true_one)),
        Some(AckStatus::Reject),
        "never discarded"
    );
    let ack = bench.send(
        &format!("evil-1/clip/{}", forged.id),
        forged.manifest.to_string().as_bytes(),
    );
    assert_eq!(status(ack), Some(AckStatus::Discard));
}

#[test]
fn a_file_that_cannot_be_read_holds_up_no_other_withdrawal() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let clip = city.seals(spoken(1), &receipt(1));
    assert_eq!(status(bench.whole(&clip)), Some(AckStatus::Stored));
    let waiting = bench.folder.path().join("store-private/waiting");
    fs::create_dir_all(waiting.join("aaaaaaaa.x.from-rundhoej-1.json")).expect("made");
    bench.takes_back(BOOTH, &city.takes_back(&receipt(1), 1));
    bench.mono = Mono(bench.mono.0 + 1_000);
    assert!(
        bench.store.work_off(bench.wall, bench.mono).is_err(),
        "it is told"
    );
    is_gone(&bench, &clip);
    assert!(
        bench.store.work_off(bench.wall, bench.mono).is_ok(),
        "and left alone for a while"
    );
}

#[test]
fn whoever_fills_the_page_with_receipts_keeps_no_booth_waiting() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let clip = city.seals(spoken(1), &receipt(1));
    assert_eq!(status(bench.whole(&clip)), Some(AckStatus::Stored));
    let private = Private::beside(&bench.dir());
    for n in 0..500 {
        let waiting = private::Waiting {
            id: format!("bbbbbbbb-8b86-4d01-b42d-{n:012x}").into(),
            mark: Some(city.key.mark(&receipt(1_000 + n))),
            ..private::Waiting::default()
        };
        let kept = private.keep_waiting(&private::Source::Page, "-", &waiting);
        kept.expect("kept");
    }
    bench.works_off(10);
    assert_eq!(bench.waiting(), 400, "a hundred at once");
    bench.takes_back(BOOTH, &city.takes_back(&receipt(1), 1));
    bench.works_off(1);
    is_gone(&bench, &clip);
    assert_eq!(bench.waiting(), 400);
}

#[test]
fn what_is_over_its_time_keeps_no_citizen_waiting() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let clip = city.seals(spoken(1), &receipt(1));
    assert_eq!(status(bench.whole(&clip)), Some(AckStatus::Stored));
    let over = |n: u64| ClipId::from(format!("cccccccc-8b86-4d01-b42d-{n:012x}"));
    for n in 0..100 {
        ask_to_delete(&bench.dir(), bench.wall, &over(n), Deletion::Retention).expect("asked");
    }
    assert_eq!(bench.waiting(), 0, "nobody's withdrawal");
    bench.takes_back(BOOTH, &city.takes_back(&receipt(1), 1));
    bench.works_off(1);
    is_gone(&bench, &clip);
    let left = Private::beside(&bench.dir()).waiting().expect("reads");
    assert!(left.len() > 60, "{} are left", left.len());
    bench.works_off(5);
    let left = Private::beside(&bench.dir()).waiting().expect("reads");
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(bench.number("SELECT count(*) FROM withdrawn"), 101);
}

#[test]
fn below_its_reserve_the_hub_still_takes_what_a_citizen_takes_back_and_deletes_it() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let clip = city.seals(spoken(1), &receipt(1));
    assert_eq!(status(bench.whole(&clip)), Some(AckStatus::Stored));
    bench.store = bench.store.keeping_free(u64::MAX / 4);
    assert!(bench.store.probe(bench.wall).is_err(), "there is no room");
    bench.store.roll_back();
    let taken = bench.takes_back(BOOTH, &city.takes_back(&receipt(1), 1));
    assert_eq!(status(taken), Some(AckStatus::Stored));
    bench.works_off(1);
    is_gone(&bench, &clip);
    assert_eq!(bench.waiting(), 0);
}

#[test]
fn at_the_desk_what_fits_nothing_keeps_nothing_else_waiting() {
    let city = City::new();
    let mut bench = Bench::new();
    for n in 100..130 {
        bench.takes_back(BOOTH, &city.takes_back(&receipt(n), n));
    }
    let scratch = bench.folder.path().join("scratch.sqlite");
    let mut desk = StoreCopy::begin(&scratch, &bench.dir(), city.opener()).expect("begins");
    let mut mono = Mono(1);
    for _ in 0..12 {
        let looked = desk.match_withdrawals(bench.wall, mono).expect("matches");
        assert_eq!((looked.deletes.len(), looked.waiting), (0, 30));
        mono.0 += 180_000;
    }
    let clip = city.seals(spoken(1), &receipt(1));
    assert_eq!(status(bench.whole(&clip)), Some(AckStatus::Stored));
    bench.takes_back(BOOTH, &city.takes_back(&receipt(1), 1));
    assert_eq!(desk.look().expect("looks"), 1);
    let looked = desk.match_withdrawals(bench.wall, mono).expect("matches");
    assert_eq!(looked.deletes, [(clip.id.clone(), true)]);
    // One whose clip comes long after it was tried.
    let late = city.seals(spoken(2), &receipt(105));
    assert_eq!(status(bench.whole(&late)), Some(AckStatus::Stored));
    assert_eq!(desk.look().expect("looks"), 2);
    let looked = desk.match_withdrawals(bench.wall, mono).expect("matches");
    assert_eq!(looked.deletes, [(late.id.clone(), true)]);
}

#[test]
fn rubbish_and_foreign_withdrawals_change_nothing_and_are_not_answered() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let clip = city.seals(spoken(1), &receipt(1));
    bench.whole(&clip);
    let good = city.takes_back(&receipt(1), 1);
    let mut moved = good.clone();
    moved.id = "aaaaaaaa-8b86-4d01-b42d-0000000000ff".into();
    for (id, payload) in [
        (good.id.as_str(), b"".to_vec()),
        (good.id.as_str(), b"{}".to_vec()),
        (good.id.as_str(), br#"{"id":7,"sealed":"YWdl"}"#.to_vec()),
        (moved.id.as_str(), good.to_json()),
        ("..", good.to_json()),
        (
            good.id.as_str(),
            serde_json::to_vec(&json!({"id": good.id, "sealed": "YWdl"})).expect("text"),
        ),
        (
            good.id.as_str(),
            serde_json::to_vec(&json!({"id": good.id, "sealed": "A".repeat(9_000)})).expect("text"),
        ),
    ] {
        let ack = bench.send(&format!("{BOOTH}/withdraw/{id}"), &payload);
        assert_eq!(ack, None, "{id} {}", String::from_utf8_lossy(&payload));
    }
    // Of the right form, and another withdrawal's: it is taken, and fits nothing.
    let ack = bench.takes_back(BOOTH, &moved);
    assert_eq!(status(ack), Some(AckStatus::Stored));
    bench.works_off(2);
    assert_eq!(bench.waiting(), 0);
    // Sealed to somebody else: it waits, as long as it takes.
    let stranger = City::new();
    bench.takes_back(BOOTH, &stranger.takes_back(&receipt(1), 3));
    bench.works_off(2);
    assert_eq!(bench.waiting(), 1);
    assert_eq!(bench.file(&clip).as_ref(), Some(&clip.body));
    let booth = BoothId::parse(BOOTH).expect("an id");
    let kept = Private::beside(&bench.dir())
        .waiting_of(&booth)
        .expect("reads");
    assert_eq!(kept, 1);
}
