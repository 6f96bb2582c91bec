//! A card full of what is none of the spool's: the booth opens with a handful of operations, and tidies up beside itself.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use booth_spool::disk::Disk;
use booth_spool::{OpenFacts, Spool};
use booth_testkit::model_disk::{Fault, Left, ModelDisk, Verb};
use booth_testkit::spool_rig::{body, facts, record};

const ROOT: &str = "/spool";
/// May not be read (Linux errno).
const EACCES: i32 = 13;
/// Of each kind but the costly ones.
const OF_EACH: usize = 1_700;
/// Changes of the card that an opening may make, whatever lies there: what is done at once, with its syncs.
const MOST_CHANGES: u64 = 250;

fn opening() -> OpenFacts {
    OpenFacts {
        ledger: false,
        ..facts("boot-1")
    }
}

fn open(disk: &ModelDisk) -> (Spool, booth_spool::OpenReport) {
    Spool::open(Arc::new(disk.clone()), Path::new(ROOT), opening()).expect("it opens")
}

fn clips() -> PathBuf {
    Path::new(ROOT).join("clips")
}

fn name(kind: usize, n: usize) -> PathBuf {
    clips().join(format!("{kind:08x}-{n:04x}-4000-8000-000000000000.clip"))
}

fn contents(disk: &ModelDisk, folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(ROOT).join(folder);
    let files = disk.files().into_iter();
    let inside = files.filter(|path| path.starts_with(&folder));
    inside.filter_map(|path| disk.content(&path)).collect()
}

/// A card with a message on it and 12,000 things that are none; answers also what of them may never be deleted.
fn a_card_of_junk() -> (ModelDisk, String, BTreeSet<Vec<u8>>) {
    let disk = ModelDisk::new();
    disk.make_folder(Path::new(ROOT)).expect("a folder");
    let (spool, _) = open(&disk);
    let clip = record(&spool, 4);
    let mut torn = Vec::new();
    for _ in 0..40 {
        let one = record(&spool, 3);
        let path = clips().join(format!("{}.clip", one.clip_id));
        torn.push((path.clone(), disk.content(&path).expect("a file")));
    }
    let whole = disk
        .content(&clips().join(format!("{}.clip", clip.clip_id)))
        .expect("a file");
    drop(spool);
    let mut precious = BTreeSet::new();
    // Finished messages whose words were hurt.
    for (path, mut bytes) in torn {
        let at = bytes.len() / 2;
        bytes[at] ^= 0xff;
        disk.put(&path, &bytes);
        precious.insert(bytes);
    }
    for n in 0..OF_EACH {
        let mark = (n as u32).to_le_bytes();
        for (kind, bytes) in [
            (1, [b"garbage".as_slice(), &mark].concat()),
            (2, [b"BOOTHCL\x09".as_slice(), &[7; 40], &mark].concat()),
            (4, [b"may not be read".as_slice(), &mark].concat()),
        ] {
            disk.put(&name(kind, n), &bytes);
            precious.insert(bytes);
        }
        let foreign = [b"a holiday".as_slice(), &mark].concat();
        disk.put(&clips().join(format!("IMG_{n}.JPG")), &foreign);
        precious.insert(foreign);
        // Another's header, cut off.
        disk.put(&name(3, n), &whole[..200]);
        precious.insert(whole[..200].to_vec());
        // Nothing was ever said into it.
        disk.put(&name(5, n), b"");
        disk.make_folder(&name(6, n)).expect("a folder");
    }
    disk.sync_everything(Path::new(ROOT)).expect("synced");
    disk.set_faults(|operation| {
        let is_closed = operation.path.to_string_lossy().contains("/00000004-");
        (operation.verb == Verb::OpenOld && is_closed).then_some(Fault {
            errno: EACCES,
            left: Left::Nothing,
        })
    });
    (disk, clip.clip_id.to_string(), precious)
}

/// Everything that lies anywhere.
fn kept(disk: &ModelDisk) -> BTreeSet<Vec<u8>> {
    ["clips", "aside", "quarantine"]
        .into_iter()
        .flat_map(|folder| contents(disk, folder))
        .collect()
}

#[test]
fn a_card_of_12_000_things_that_are_none_opens_with_a_handful_of_operations_and_is_tidied_beside_the_booth()
 {
    let (disk, clip_id, precious) = a_card_of_junk();
    const { assert!(OF_EACH * 7 + 40 > 11_900) };
    let before = disk.operations();
    let (spool, report) = open(&disk);
    let changes = disk.operations() - before;
    assert!(
        changes < MOST_CHANGES,
        "{changes} changes before the booth is ready"
    );
    assert!(report.left_over > 11_000, "{}", report.left_over);
    assert!(report.set_aside.len() >= 16 && report.damaged.len() >= 16);
    // A citizen speaks at once, and what was said before is there.
    let fresh = record(&spool, 4);
    let earlier = spool
        .clips()
        .into_iter()
        .find(|clip| clip.clip_id == clip_id);
    assert_eq!(
        body(&spool, &earlier.expect("kept")).len() as u64,
        fresh.bytes
    );
    let mut damaged = report.damaged.len();
    let mut slices = 0;
    let is_tidy = |disk: &ModelDisk| {
        let listed = disk.list(&clips()).expect("listed");
        listed.len() == 2
    };
    while !is_tidy(&disk) {
        let before = disk.operations();
        let mended = spool.mend();
        assert_eq!(mended.trouble, None);
        assert!(disk.operations() - before < MOST_CHANGES);
        damaged += mended.quarantined.len();
        slices += 1;
        assert!(slices < 1_000, "it is never tidy");
    }
    assert_eq!(damaged, 40);
    let lost: Vec<_> = precious.difference(&kept(&disk)).cloned().collect();
    assert!(lost.is_empty(), "{} files are gone", lost.len());
    assert_eq!(
        disk.list(&Path::new(ROOT).join("aside"))
            .expect("listed")
            .len(),
        OF_EACH * 6
    );
    drop(spool);
    let (spool, report) = open(&disk);
    assert_eq!((report.left_over, report.set_aside.len()), (0, 0));
    assert_eq!(spool.clips().len(), 2);
}

#[test]
fn a_power_cut_while_the_card_is_tidied_loses_nothing_and_the_next_start_goes_on() {
    let (disk, _, precious) = a_card_of_junk();
    let (spool, _) = open(&disk);
    for _ in 0..20 {
        spool.mend();
    }
    disk.cut_power_after(70);
    spool.mend();
    spool.mend();
    drop(spool);
    let disk = disk.power_cut(7);
    let lost: Vec<_> = precious.difference(&kept(&disk)).cloned().collect();
    assert!(lost.is_empty(), "{} files are gone", lost.len());
    let (_, report) = open(&disk);
    assert!(report.left_over > 1_000, "{}", report.left_over);
}

#[test]
fn what_is_no_file_in_the_place_of_the_cards_identity_keeps_the_spool_closed_not_once() {
    for is_folder in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let identity = dir.path().join("card.json");
        match is_folder {
            true => std::fs::create_dir(&identity).unwrap(),
            false => {
                rustix::fs::mkfifoat(rustix::fs::CWD, &identity, rustix::fs::Mode::RWXU).unwrap()
            }
        }
        let (spool, report) = booth_testkit::spool_rig::open(dir.path());
        assert!(report.is_new_card && report.card_unreadable.is_some());
        record(&spool, 2);
        assert!(identity.is_file());
    }
}
