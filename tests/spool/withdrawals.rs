//! Withdrawals: kept until the hub knows, none dropped, none twice.

use std::path::Path;
use std::sync::Arc;

use booth_contract::Withdrawal;
use booth_spool::{KeptWithdrawal, MOST_WITHDRAWALS, OpenFacts, OpenReport, Spool, SpoolError};
use booth_testkit::model_disk::{EIO, Fault, Left, ModelDisk, Verb};
use booth_testkit::spool_rig::{facts, receipt_for, record};
use sha2::{Digest, Sha256};

fn open_as(disk: &ModelDisk, boot: &str) -> (Spool, OpenReport) {
    let facts = OpenFacts {
        ledger: false,
        ..facts(boot)
    };
    Spool::open(Arc::new(disk.clone()), Path::new("/spool"), facts).unwrap()
}

fn open(disk: &ModelDisk) -> Spool {
    open_as(disk, "boot-1").0
}

fn withdrawal(number: u128) -> Withdrawal {
    Withdrawal {
        id: uuid::Builder::from_random_bytes(number.to_be_bytes())
            .into_uuid()
            .to_string()
            .into(),
        sealed: format!("c2VhbGVk{number}"),
        ts: format!("2026-11-29T10:00:{:02}.000Z", number % 60),
    }
}

fn ids(spool: &Spool) -> Vec<String> {
    let kept = spool.withdrawals().into_iter();
    kept.map(|kept| kept.id.to_string()).collect()
}

fn receipt(kept: &KeptWithdrawal) -> gateway_core::delivery::Receipt {
    receipt_for(&kept.id, 0, &kept.sha256)
}

#[test]
fn a_withdrawal_stays_as_it_is_until_the_hub_has_it_and_is_then_gone() {
    let disk = ModelDisk::new();
    let spool = open(&disk);
    let [first, second] = [withdrawal(1), withdrawal(2)];
    let kept = spool.keep_withdrawal(&second).unwrap();
    spool.keep_withdrawal(&first).unwrap();
    let hash: String = Sha256::digest(second.sealed.as_bytes())
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(kept.sha256, hash);
    drop(spool);
    let (spool, report) = open_as(&disk, "boot-2");
    assert!(report.set_aside.is_empty());
    assert_eq!(
        ids(&spool),
        [first.id.to_string(), second.id.to_string()],
        "oldest first"
    );
    assert_eq!(spool.withdrawal(&second.id).unwrap(), second.to_json());
    // Another hash lets nothing go.
    let wrong = receipt_for(&kept.id, 0, &"0".repeat(64));
    assert!(matches!(
        spool.release(wrong),
        Err(SpoolError::WrongReceipt { .. })
    ));
    spool.release(receipt(&kept)).unwrap();
    assert_eq!(ids(&spool), [first.id.to_string()]);
    assert!(matches!(
        spool.withdrawal(&kept.id),
        Err(SpoolError::UnknownClip { .. })
    ));
    drop(spool);
    assert_eq!(ids(&open(&disk)), [first.id.to_string()]);
}

#[test]
fn withdrawals_and_clips_leave_together() {
    let disk = ModelDisk::new();
    let spool = open(&disk);
    let clip = record(&spool, 1);
    let kept = spool.keep_withdrawal(&withdrawal(1)).unwrap();
    let clip_receipt = receipt_for(&clip.clip_id, clip.bytes, &clip.sha256);
    let released = spool.release_many(vec![receipt(&kept), clip_receipt]);
    assert_eq!(released.clips.len(), 2);
    assert!(released.refused.is_empty() && spool.clips().is_empty());
    assert!(spool.withdrawals().is_empty());
}

#[test]
fn an_acknowledged_withdrawal_survives_a_power_cut_at_every_step_and_half_a_one_is_none() {
    let mut steps = 0;
    for step in 0.. {
        let disk = ModelDisk::new();
        let spool = open(&disk);
        spool.keep_withdrawal(&withdrawal(1)).unwrap();
        disk.cut_power_after(step);
        let is_kept = spool.keep_withdrawal(&withdrawal(2)).is_ok() && !disk.is_off();
        for seed in 0..40 {
            let left = disk.power_cut(seed);
            let (spool, report) = open_as(&left, "boot-2");
            assert!(report.set_aside.is_empty(), "{report:?}");
            let found = ids(&spool);
            assert!(found.contains(&withdrawal(1).id.to_string()));
            assert!(!is_kept || found.len() == 2, "step {step}: {found:?}");
            for id in &found {
                assert!(spool.withdrawal(&id.as_str().into()).is_ok());
            }
        }
        if is_kept {
            steps = step;
            break;
        }
    }
    assert!(steps >= 4, "{steps} steps");
}

#[test]
fn where_there_is_no_room_for_another_one_that_is_said_and_none_is_dropped() {
    let disk = ModelDisk::new();
    let spool = open(&disk);
    for number in 0..MOST_WITHDRAWALS as u128 {
        spool.keep_withdrawal(&withdrawal(number)).unwrap();
    }
    let refused = spool.keep_withdrawal(&withdrawal(1 << 20)).unwrap_err();
    assert!(
        matches!(refused, SpoolError::TooManyWithdrawals),
        "{refused}"
    );
    assert_eq!(spool.withdrawals().len(), MOST_WITHDRAWALS);
    spool.release(receipt(&spool.withdrawals()[0])).unwrap();
    spool.keep_withdrawal(&withdrawal(1 << 20)).unwrap();
}

#[test]
fn what_is_no_withdrawal_is_set_aside_and_a_file_that_the_card_does_not_give_is_read_again() {
    let disk = ModelDisk::new();
    let spool = open(&disk);
    let kept = spool.keep_withdrawal(&withdrawal(1)).unwrap();
    spool.keep_withdrawal(&withdrawal(2)).unwrap();
    drop(spool);
    let folder = Path::new("/spool/withdrawals");
    let hurt = folder.join(format!("{}.json", kept.id));
    let mut content = disk.content(&hurt).unwrap();
    content[20] ^= 1;
    assert!(disk.take_away(&hurt));
    disk.put(&hurt, &content);
    disk.put(&folder.join("notes.txt"), b"?");
    disk.put(&folder.join("x.json.tmp"), b"{");
    // The card does not answer: nothing is known, and nothing is lost.
    let file = folder.join(format!("{}.json", withdrawal(2).id));
    let unread = disk.snapshot();
    unread.set_faults(move |operation| {
        (operation.verb == Verb::Read && operation.path == file).then_some(Fault {
            errno: EIO,
            left: Left::Nothing,
        })
    });
    let (spool, _) = open_as(&unread, "boot-2");
    assert!(ids(&spool).is_empty());
    let mended = spool.mend();
    assert!(mended.withdrawals.is_empty() && mended.is_unfinished);
    unread.heal();
    // Without a start, and once.
    let mended = spool.mend();
    let found = mended.withdrawals.iter().map(|kept| kept.id.to_string());
    assert!(found.eq([withdrawal(2).id.to_string()]) && !mended.is_unfinished);
    assert!(spool.mend().withdrawals.is_empty());
    assert_eq!(ids(&spool), [withdrawal(2).id.to_string()]);
    drop(spool);
    assert_eq!(ids(&open(&unread)), [withdrawal(2).id.to_string()]);
    let unlisted = disk.snapshot();
    unlisted.set_faults(|operation| {
        let is_it = operation.verb == Verb::List && operation.path.ends_with("withdrawals");
        is_it.then_some(Fault {
            errno: EIO,
            left: Left::Nothing,
        })
    });
    let (spool, _) = open_as(&unlisted, "boot-2");
    assert!(ids(&spool).is_empty());
    unlisted.heal();
    assert_eq!(spool.mend().withdrawals.len(), 1);
    drop(spool);
    let (spool, report) = open_as(&disk, "boot-2");
    assert_eq!(report.set_aside.len(), 2, "{report:?}");
    assert_eq!(ids(&spool), [withdrawal(2).id.to_string()]);
    assert!(!disk.files().iter().any(|path| path.ends_with("x.json.tmp")));
}
