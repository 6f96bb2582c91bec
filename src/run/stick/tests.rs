//! The thread that copies, against a helper that only plays it, and against sticks that fail.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use booth_contract::Withdrawal;
use booth_contract::export::{CLIPS, ExportReceipt, RECEIPT_FILE, json_name};
use booth_spool::{KeptClip, Spool};
use booth_testkit::mounting;
use booth_testkit::spool_rig::{clip_file, long_speech, new_clip, open, receipt, record};
use booth_testkit::usb_stick::{Plays, plays};
use sha2::{Digest, Sha256};

use super::*;

/// A booth with messages, a stick as a folder, and the socket of its helper.
struct Rig {
    folder: tempfile::TempDir,
    spool: Spool,
    clips: Vec<KeptClip>,
}

impl Rig {
    fn new(messages: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("stick")).expect("a folder");
        let (spool, _) = open(&folder.path().join("spool"));
        let clips = (0..messages).map(|_| record(&spool, 2)).collect();
        Self {
            folder,
            spool,
            clips,
        }
    }

    fn stick(&self) -> PathBuf {
        self.folder.path().join("stick")
    }

    fn places(&self) -> Places {
        Places {
            spool: self.folder.path().join("spool"),
            helper: self.folder.path().join("helper.sock"),
        }
    }

    fn own(&self) -> Own {
        Own {
            booth: booth(),
            spool: self.spool.clone(),
            deleted: Vec::new(),
        }
    }

    /// What a helper that does this makes of an export; `hears` is told how far it is, at every file.
    fn copy(&self, turn: Plays, signals: Signals, hears: &dyn Fn(StickEvent)) -> Outcome {
        let helper = plays(&self.places().helper, vec![turn]);
        let mut watch = Watch {
            pace: Pace {
                signals,
                // So that it tells at once, and at every file.
                told_at: Mono(0),
            },
            report: hears,
        };
        let outcome = copy(&self.places(), &self.own(), &mut watch);
        helper.join().expect("the helper");
        std::fs::remove_file(self.places().helper).expect("its socket");
        outcome
    }

    /// The folders on the stick, and their receipts.
    fn exports(&self) -> Vec<(PathBuf, Option<ExportReceipt>)> {
        let entries = std::fs::read_dir(self.stick()).expect("the stick");
        let folders = entries.map(|entry| entry.expect("an entry").path());
        folders
            .map(|folder| {
                let text = std::fs::read(folder.join(RECEIPT_FILE)).ok();
                let receipt = text.and_then(|text| ExportReceipt::read(&text).ok());
                (folder, receipt)
            })
            .collect()
    }

    /// Every file of the card, by its bytes.
    fn card(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        let mut folders = vec![self.places().spool];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => {
                        let bytes = std::fs::read(&path).expect("a file");
                        files.push((path, Sha256::digest(bytes).to_vec()));
                    }
                }
            }
        }
        files.sort();
        files
    }
}

type Outcome = (Result<Copied, StickFault>, bool);

fn booth() -> BoothId {
    BoothId::parse("rundhoej-1").expect("an id")
}

fn said(outcome: &Outcome) -> (String, Word, bool) {
    let fault = outcome.0.as_ref().expect_err("a fault");
    (fault.to_string(), fault.word(), outcome.1)
}

fn withdrawal() -> Withdrawal {
    Withdrawal {
        id: uuid::Uuid::new_v4().to_string().into(),
        sealed: "YWdlLWVuY3J5cHRpb24ub3JnL3YxCg==".into(),
        ts: "2026-11-29T10:00:00.000Z".into(),
    }
}

#[test]
fn an_export_onto_a_stick_is_whole_and_safe_when_the_helper_says_so_and_the_card_stays_as_it_was() {
    let rig = Rig::new(3);
    rig.spool.keep_withdrawal(&withdrawal()).expect("kept");
    let before = rig.card();
    let turn = || Plays::Hands(rig.stick(), "released");
    let (copied, is_out) = rig.copy(turn(), Signals::default(), &|_| {});
    let copied = copied.expect("copied");
    assert!(is_out);
    assert_eq!((copied.clips, copied.withdrawals, copied.left), (3, 1, 0));
    assert!(copied.folder.starts_with("booth-rundhoej-1-"), "{copied:?}");
    let [(folder, Some(receipt))] = &rig.exports()[..] else {
        panic!("one export with its receipt");
    };
    assert_eq!(*folder, rig.stick().join(&copied.folder));
    for clip in &rig.clips {
        assert!(
            receipt
                .clips
                .iter()
                .any(|copied| copied.clip_id == clip.clip_id)
        );
        assert!(folder.join(CLIPS).join(json_name(&clip.clip_id)).exists());
    }
    assert_eq!(receipt.withdrawals[0].booth_id, Some(booth()));
    assert!(rig.card() == before, "nothing on the card has changed");
    // A second one has a folder of its own, also within the same second.
    let (again, _) = rig.copy(turn(), Signals::default(), &|_| {});
    assert_ne!(again.expect("copied").folder, copied.folder);
    assert_eq!(rig.exports().len(), 2);
}

#[test]
fn what_leaves_the_card_or_is_being_said_during_an_export_is_no_fault_of_it() {
    let rig = Rig::new(4);
    rig.spool.keep_withdrawal(&withdrawal()).expect("kept");
    let mut writer = rig.spool.begin(new_clip()).expect("a take");
    let first = &long_speech()[0];
    writer.append(&first.pages, first.facts).expect("kept");
    let own = rig.own();
    let running = Running::open(&rig.places().spool, &own).expect("a spool");
    // Listed, and gone before they are read: the hub has confirmed two, and has the withdrawal.
    for clip in &rig.clips[..2] {
        rig.spool.release(receipt(clip)).expect("released");
    }
    let withdrawals = rig.places().spool.join("withdrawals");
    for entry in std::fs::read_dir(withdrawals).expect("a folder").flatten() {
        std::fs::remove_file(entry.path()).expect("gone");
    }
    let to = rig.stick().join("export");
    let exported = running.export(&to, &mut |_| true).expect("an export");
    let receipt = exported.receipt;
    assert_eq!((receipt.clips.len(), receipt.withdrawals.len()), (2, 0));
    assert_eq!(receipt.left, [], "nothing is called damaged");
    // Its end is not on the card yet: it is named as left, and not copied: its citizen may delete it yet.
    drop(writer);
    let owed = running
        .export(&rig.stick().join("owed"), &mut |_| true)
        .expect("an export")
        .receipt;
    assert_eq!((owed.clips.len(), owed.left.len()), (2, 1), "{owed:?}");
    assert!(owed.left[0].why.contains("a later export"), "{owed:?}");
    assert_eq!(owed.left[0].file, None);
    // Finished: it is copied. Deleted by its citizen: not any more.
    let late = rig.spool.mend().kept.remove(0);
    let own = Own {
        deleted: vec![rig.clips[3].clip_id.clone()],
        ..rig.own()
    };
    let running = Running::open(&rig.places().spool, &own).expect("a spool");
    let done = running
        .export(&rig.stick().join("late"), &mut |_| true)
        .expect("an export")
        .receipt;
    let ids: Vec<_> = done.clips.iter().map(|clip| clip.clip_id.clone()).collect();
    assert!(ids.contains(&late.clip_id) && !ids.contains(&rig.clips[3].clip_id));
    assert_eq!((ids.len(), done.left.len()), (2, 0), "{done:?}");
    for folder in ["export", "owed", "late"] {
        std::fs::remove_dir_all(rig.stick().join(folder)).expect("gone");
    }
    rig.spool
        .release(booth_testkit::spool_rig::receipt(&late))
        .expect("released");
    // What is damaged and stays is.
    let hurt = clip_file(&rig.places().spool, &rig.clips[2].clip_id);
    let mut words = std::fs::read(&hurt).expect("a message");
    let middle = words.len() / 3;
    words[middle] ^= 0x40;
    std::fs::write(&hurt, words).expect("written");
    let turn = Plays::Hands(rig.stick(), "released");
    let (copied, _) = rig.copy(turn, Signals::default(), &|_| {});
    let copied = copied.expect("copied");
    assert_eq!((copied.clips, copied.left), (1, 1));
}

#[test]
fn every_way_in_which_a_stick_is_not_written_has_its_sentence_and_none_is_called_safe() {
    let empty = Rig::new(0);
    let watch = |signals: Signals| Watch::begin(signals, &|_| {});
    // A take that is armed, or being said, is no message yet.
    let is_nothing = || {
        let nothing = copy(
            &empty.places(),
            &empty.own(),
            &mut watch(Signals::default()),
        );
        let (text, word, is_out) = said(&nothing);
        assert_eq!((word, is_out), (Word::NoMessages, false), "{text}");
    };
    is_nothing();
    let take = empty.spool.begin(new_clip()).expect("a take");
    is_nothing();
    drop(take);

    let rig = Rig::new(2);
    let nobody = copy(&rig.places(), &rig.own(), &mut watch(Signals::default()));
    let (text, word, is_out) = said(&nobody);
    assert_eq!((word, is_out), (Word::StickNoHelper, false));
    assert!(text.contains("booth-stick.socket"), "{text}");

    let turns = [
        (
            Plays::Says("none nothing is plugged in"),
            Word::StickNone,
            "FAT or exFAT",
        ),
        (
            Plays::Says("unusable sda1: broken"),
            Word::StickNone,
            "sda1: broken",
        ),
        (
            Plays::Says("locked sda1"),
            Word::StickLocked,
            "slide its lock",
        ),
        (Plays::Says("hello"), Word::StickGone, "journalctl"),
        (Plays::Says(""), Word::StickGone, "journalctl"),
        (Plays::Says("mounted sda1"), Word::StickGone, "journalctl"),
        (
            Plays::Hands(rig.stick(), "held sda1: somebody still uses it"),
            Word::StickGone,
            "Do not rely",
        ),
        (Plays::Hands(rig.stick(), ""), Word::StickGone, "journalctl"),
    ];
    for (turn, expected, part) in turns {
        let outcome = rig.copy(turn, Signals::default(), &|_| {});
        let (text, word, is_out) = said(&outcome);
        assert_eq!((word, is_out), (expected, false), "{text}");
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn an_export_ends_when_the_booths_card_is_to_be_closed_and_waits_while_a_citizen_is_there() {
    let rig = Rig::new(5);
    let signals = Signals::default();
    let stops = signals.stops.clone();
    let count = RefCell::new(0);
    let turn = Plays::Hands(rig.stick(), "released");
    let outcome = rig.copy(turn, signals, &|_| {
        *count.borrow_mut() += 1;
        stops.store(true, Ordering::Relaxed);
    });
    let (text, word, is_out) = said(&outcome);
    assert_eq!(word, Word::PressNine, "{text}");
    assert!(count.into_inner() == 1, "it ended at once");
    assert!(
        !is_out && rig.exports().is_empty(),
        "it was not mounted yet"
    );

    // In the middle: what was begun goes, and the stick is safe.
    let helper = plays(
        &rig.places().helper,
        vec![Plays::Hands(rig.stick(), "released")],
    );
    let stick = stick::ask(&rig.places().helper, &mut || true).expect("a stick");
    let signals = Signals::default();
    signals.stops.store(true, Ordering::Relaxed);
    let mut watch = Watch::begin(signals, &|_| {});
    let stopped = onto(&stick, &rig.places(), &rig.own(), &mut watch).expect_err("stopped");
    assert_eq!(stopped.word(), Word::PressNine, "{stopped}");
    assert!(stick.release().is_ok() && rig.exports().is_empty());
    helper.join().expect("the helper");
    std::fs::remove_file(rig.places().helper).expect("its socket");

    // Held: nothing is copied until the citizen has gone.
    let signals = Signals::default();
    signals.holds.store(true, Ordering::Relaxed);
    let holds = signals.holds.clone();
    std::thread::scope(|scope| {
        let copying = scope.spawn(|| {
            let turn = Plays::Hands(rig.stick(), "released");
            rig.copy(turn, signals, &|_| {})
        });
        for _ in 0..20 {
            std::thread::park_timeout(Duration::from_millis(20));
            assert!(rig.exports().is_empty(), "it waits");
        }
        holds.store(false, Ordering::Relaxed);
        let (copied, is_out) = copying.join().expect("it ends");
        assert_eq!((copied.expect("copied").clips, is_out), (5, true));
    });
}

#[test]
fn a_helper_that_dies_in_the_middle_ends_the_export_and_the_stick_is_not_called_safe() {
    let rig = Rig::new(6);
    let dies = Arc::new(AtomicBool::new(false));
    let turn = Plays::HandsAndDies(rig.stick(), dies.clone());
    let helper = plays(&rig.places().helper, vec![turn]);
    let stick = stick::ask(&rig.places().helper, &mut || true).expect("a stick");
    assert!(stick.is_held());
    dies.store(true, Ordering::SeqCst);
    helper.join().expect("the helper");
    assert!(!stick.is_held());
    let mut watch = Watch::begin(Signals::default(), &|_| {});
    let failed = onto(&stick, &rig.places(), &rig.own(), &mut watch).expect_err("it is lost");
    assert_eq!(failed.word(), Word::StickGone, "{failed}");
    assert!(rig.exports().is_empty(), "what was begun is deleted");
    assert!(stick.release().is_err());
}

#[test]
fn a_stick_that_is_too_small_or_becomes_full_says_so_and_keeps_nothing_that_was_begun() {
    if !mounting::is_possible("exports of a booth onto a stick that is full") {
        return;
    }
    let rig = Rig::new(3);
    let mounts = |kib: u32| {
        let size = format!("size={kib}k");
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "stick"])
            .arg(rig.stick())
            .status();
        assert!(mount.is_ok_and(|status| status.success()));
        booth_testkit::blockdev::Mounted::at(&rig.stick())
    };
    let small = mounts(16);
    let turn = || Plays::Hands(rig.stick(), "released");
    let outcome = rig.copy(turn(), Signals::default(), &|_| {});
    let (text, word, is_out) = said(&outcome);
    assert_eq!((word, is_out), (Word::StickFull, true), "{text}");
    let told = outcome.0.expect_err("no room").told();
    assert!(told["needs_mb"].as_u64() > Some(0), "{told}");
    assert!(rig.exports().is_empty());
    drop(small);
    // Somebody else fills it meanwhile.
    let larger = mounts(4 << 10);
    let own = rig.own();
    let running = Running::open(&rig.places().spool, &own).expect("a spool");
    let to: &Path = &rig.stick().join("export");
    let failed = running.export(to, &mut |_| {
        let _ = std::fs::write(rig.stick().join("filler"), vec![1; 5 << 20]);
        true
    });
    let fault = StickFault::from(failed.expect_err("it is full"));
    assert_eq!(fault.word(), Word::StickFull, "{fault}");
    drop(larger);
}
