//! A whole update on a card of sectors: every bad input, and a power cut at every single write.
#![allow(clippy::disallowed_methods)]

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use booth_contract::hex;
use booth_contract::time::Mono;
use booth_gateway::trust::keys::Keys;
use booth_gateway::update::boot::{Slot, Tryboot};
use booth_gateway::update::container::{MANIFEST, PAYLOAD, SIGNATURE, pack};
use booth_gateway::update::delta::{self, Base, DELTA};
use booth_gateway::update::manifest::{AllowOlder, BOARD, HEAD, Image, Manifest};
use booth_gateway::update::slot::Device;
use booth_gateway::update::state::{Phase, State, Store, Trust};
use booth_gateway::update::{Hands, Start, arm, commit, install, settle};
use booth_testkit::model_card::{Card, Partition, Power};
use booth_testkit::model_disk::ModelDisk;
use minisign::KeyPair;
use sha2::{Digest, Sha256};

const LETTER_AT: usize = 6_011;

/// The used head of a slot, as it is in an update file.
fn payload(seed: u8, bytes: usize) -> Vec<u8> {
    let mut payload: Vec<u8> = (0..bytes)
        .map(|at| (at as u64 * 31 / 7) as u8 ^ seed)
        .collect();
    // What the firmware and the initrd would notice first.
    payload[..3].copy_from_slice(b"\xeb\x58\x90");
    payload[LETTER_AT - 11..=LETTER_AT].copy_from_slice(b"booth.slot=a");
    payload
}

/// The same as it stands in a slot.
fn in_slot(payload: &[u8], slot: Slot) -> Vec<u8> {
    let mut bytes = payload.to_vec();
    bytes[LETTER_AT] = slot.letter();
    bytes
}

fn image(number: u8, released: i64) -> Image {
    Image {
        image_id: format!("{number:02x}").repeat(32),
        version: format!("0.{number}.0"),
        released,
        counter: released.unsigned_abs(),
        board: BOARD.into(),
        kernel: "7.3.4".into(),
    }
}

fn manifest(image: &Image, payload: &[u8]) -> Manifest {
    Manifest {
        format: 1,
        board: image.board.clone(),
        version: image.version.clone(),
        image_id: image.image_id.clone(),
        released: image.released,
        counter: image.counter,
        kernel: image.kernel.clone(),
        slot_bytes: payload.len() as u64,
        slot_sha256: hex(&Sha256::digest(payload)),
        slot_letter_at: vec![LETTER_AT as u64],
        allow_older: AllowOlder::default(),
    }
}

fn update_file(manifest: &Manifest, payload: &[u8], pair: &KeyPair) -> Vec<u8> {
    update_file_of(manifest, (PAYLOAD, payload), pair)
}

fn update_file_of(manifest: &Manifest, last: (&str, &[u8]), pair: &KeyPair) -> Vec<u8> {
    let text = serde_json::to_vec(manifest).expect("JSON");
    let signature = minisign::sign(None, &pair.sk, &text[..], None, None).expect("signed");
    let signature = signature.into_string();
    pack(&[(MANIFEST, &text), (SIGNATURE, signature.as_bytes()), last])
}

/// The member that makes the payload `new` of `old`, which is that of this image.
fn difference(image: &Image, old: &[u8], new: &[u8]) -> Vec<u8> {
    let base = Base::of(&manifest(image, old)).expect("an image");
    let mut member = Vec::new();
    delta::make(&base, old, new, &mut member).expect("made");
    member
}

fn pair() -> (KeyPair, Keys) {
    let pair = KeyPair::generate_unencrypted_keypair().expect("a pair");
    let keys = Keys::parse(&[pair.pk.to_base64()]).expect("a key");
    (pair, keys)
}

fn store(disk: &ModelDisk) -> Store {
    Store {
        disk: Arc::new(disk.clone()),
        folder: PathBuf::from("/data/booth-update"),
    }
}

fn disk() -> ModelDisk {
    let disk = ModelDisk::new();
    use booth_spool::disk::Disk;
    disk.make_folder(Path::new("/data")).expect("a folder");
    disk.sync_folder(Path::new("/")).expect("durable");
    disk
}

/// One start of the machine: the slot that the firmware has chosen, and what is in it.
struct Boot<'a> {
    card: &'a Card,
    store: Store,
    slot: Slot,
    running: &'a Image,
    keys: &'a Keys,
    boot_id: String,
    bad_byte: Option<u64>,
}

impl Boot<'_> {
    fn with<T>(&self, work: impl FnOnce(&Hands) -> T) -> T {
        let open = |slot| -> std::io::Result<Box<dyn Device>> {
            assert_ne!(slot, self.slot, "the running slot is never opened");
            let mut partition = Partition::of(self.card, slot);
            partition.bad_byte = self.bad_byte;
            Ok(Box::new(partition))
        };
        work(&Hands {
            store: &self.store,
            boot: &Tryboot {
                file: self.card.clone(),
                flag: self.card.clone(),
                running: self.slot,
            },
            slots: &open,
            running_slot: &|| Ok(Box::new(Partition::of(self.card, self.slot))),
            running: self.running,
            keys: self.keys,
            wall: &|| "2026-11-25T12:00:00Z".parse().expect("a time"),
            boot_id: &self.boot_id,
            is_clock_set: true,
            tell: &|_| {},
            has_fetch_failed: &Cell::new(false),
        })
    }
}

/// The world of a test: two versions of the image.
struct World {
    pair: KeyPair,
    keys: Keys,
    old: (Image, Vec<u8>),
    new: (Image, Vec<u8>),
    file: Vec<u8>,
}

impl World {
    fn new(bytes: usize) -> Self {
        let (pair, keys) = pair();
        let old = (image(1, 1_000), payload(1, bytes));
        let new = (image(2, 2_000), payload(2, bytes));
        let file = update_file(&manifest(&new.0, &new.1), &new.1, &pair);
        Self {
            pair,
            keys,
            old,
            new,
            file,
        }
    }

    /// A new version of which only the middle differs and the rest has moved, as an update that holds only that.
    fn with_a_small_update(bytes: usize) -> Self {
        let mut world = Self::new(bytes);
        let mut new = world.old.1.clone();
        new.splice(
            bytes / 2..bytes / 2 + 2_000,
            payload(9, 6_600)[..2_512].to_vec(),
        );
        new.truncate(bytes);
        world.new.1 = new;
        let member = difference(&world.old.0, &world.old.1, &world.new.1);
        assert!(member.len() < bytes / 4, "{}", member.len());
        let whole = manifest(&world.new.0, &world.new.1);
        world.file = update_file_of(&whole, (DELTA, &member), &world.pair);
        world
    }

    fn card(&self) -> Card {
        let room = self.old.1.len() + 64 * 1024;
        Card::shipped(&in_slot(&self.old.1, Slot::A), room)
    }

    /// What is in a slot: one of the two versions, whole and for this slot; or neither.
    fn in_slot(&self, card: &Card, slot: Slot) -> Result<&Image, String> {
        let found = card.slot(slot, self.old.1.len());
        for (image, payload) in [&self.old, &self.new] {
            if found == in_slot(payload, slot) {
                return Ok(image);
            }
        }
        Err(format!("slot {slot:?} holds no whole version"))
    }

    /// A card whose first version has written the other one and asked for its trial.
    fn armed(&self) -> (Card, ModelDisk) {
        let (card, disk) = (self.card(), disk());
        self.boot(&card, &disk, 1)
            .expect("it starts")
            .with(|hands| {
                let verified = install(hands, &self.file[..], "x").expect("written");
                arm(hands, &verified, None).expect("armed");
            });
        (card, disk)
    }

    fn boot<'a>(
        &'a self,
        card: &'a Card,
        disk: &ModelDisk,
        number: u32,
    ) -> Result<Boot<'a>, String> {
        let slot = card.firmware();
        Ok(Boot {
            card,
            store: store(disk),
            slot,
            running: self.in_slot(card, slot)?,
            keys: &self.keys,
            boot_id: format!("boot-{number}"),
            bad_byte: None,
        })
    }

    /// From the old version to the new one and its commitment, as long as the power lasts.
    fn live(&self, card: &Card, disk: &ModelDisk) -> Result<(), String> {
        let said = |error: booth_gateway::update::UpdateError| error.to_string();
        let boot = self.boot(card, disk, 1)?;
        boot.with(|hands| {
            let verified = install(hands, &self.file[..], "x.update").map_err(said)?;
            arm(hands, &verified, None).map_err(said)
        })?;
        let boot = self.boot(card, disk, 2)?;
        assert_eq!(boot.running, &self.new.0, "the trial is of the new version");
        boot.with(|hands| {
            let start = settle(hands, Mono(5), false).map_err(said)?;
            assert!(matches!(start, Start::Trial(state) if state.phase == Phase::Trial));
            commit(hands).map_err(said)
        })
    }
}

fn phase(disk: &ModelDisk) -> State {
    store(disk).load().expect("a state")
}

#[test]
fn an_update_is_written_tried_and_kept() {
    let world = World::new(40 * 1024);
    let (card, disk) = (world.card(), disk());
    assert_eq!(world.live(&card, &disk), Ok(()));
    assert_eq!(card.firmware(), Slot::B);
    assert_eq!(world.in_slot(&card, Slot::B), Ok(&world.new.0));
    assert_eq!(world.in_slot(&card, Slot::A), Ok(&world.old.0));
    let state = phase(&disk);
    assert_eq!((state.phase, state.slot), (Phase::Committed, Some(Slot::B)));
    assert_eq!(
        state.to.map(|to| to.image_id),
        Some(world.new.0.image_id.clone())
    );
    // And the next one goes the other way.
    let third = (image(3, 3_000), payload(3, 40 * 1024));
    let file = update_file(&manifest(&third.0, &third.1), &third.1, &world.pair);
    let boot = world.boot(&card, &disk, 3).expect("it starts");
    boot.with(|hands| {
        let verified = install(hands, &file[..], "y").expect("written");
        arm(hands, &verified, None).expect("armed");
    });
    assert_eq!(card.firmware(), Slot::A);
    assert_eq!(
        card.slot(Slot::A, third.1.len()),
        in_slot(&third.1, Slot::A)
    );
    // A trial that nobody commits ends with the next start.
    assert_eq!(card.firmware(), Slot::B);
}

/// Every cut of a whole life, `seeds` crash states each. The number of states, of those that started the new version, and
/// what was broken.
fn sweep(world: &World, seeds: u64, every: u64, lies: bool) -> (u64, u64, Vec<String>) {
    let whole = Power::until(u64::MAX);
    {
        let (card, disk) = (world.card(), disk());
        card.powered_by(&whole);
        whole.watch(&disk);
        world.live(&card, &disk).expect("a life without a cut");
    }
    let (mut states, mut new, mut broken) = (0, 0, Vec::new());
    for cut in (0..whole.operations()).step_by(every as usize) {
        let (card, disk) = (world.card(), disk());
        if lies {
            card.lies_about_flushes();
        }
        let power = Power::until(cut);
        card.powered_by(&power);
        power.watch(&disk);
        assert!(
            world.live(&card, &disk).is_err(),
            "the power ends before operation {cut} of {}",
            whole.operations()
        );
        for seed in 0..seeds {
            // The power is cut, or the machine is reset: then the firmware's flag is still what it was.
            for is_reset in [false, true] {
                let chance = cut * 1_000 + seed;
                let (card, disk) = (card.power_cut(chance), disk.power_cut(chance));
                if !is_reset {
                    card.flag.set(false);
                }
                states += 1;
                match after(world, &card, &disk) {
                    Ok(is_new) => new += u64::from(is_new),
                    Err(why) => {
                        broken.push(format!("cut {cut}, seed {seed}, reset {is_reset}: {why}"))
                    }
                }
            }
        }
    }
    (states, new, broken)
}

/// After a cut: what starts is whole, knows what happened, and an update from there comes to its end. Whether it was the
/// new version.
fn after(world: &World, card: &Card, disk: &ModelDisk) -> Result<bool, String> {
    let boot = world.boot(card, disk, 3)?;
    let is_new = boot.running == &world.new.0;
    let said = |error: booth_gateway::update::UpdateError| error.to_string();
    let start = boot
        .with(|hands| settle(hands, Mono(5), false))
        .map_err(said)?;
    let state = phase(disk);
    match (is_new, start != Start::Usual, state.phase) {
        // Never begun, or nobody knows; or it is known that it did not come about.
        (false, false, Phase::Idle | Phase::Failed | Phase::RolledBack) => {}
        (true, true, Phase::Trial) => boot.with(commit).map_err(said)?,
        (true, false, Phase::Committed) => {}
        other => return Err(format!("{other:?}: {}", state.reason)),
    }
    if matches!(state.phase, Phase::Failed | Phase::RolledBack)
        && !state.reason.contains("send the update again")
    {
        return Err(format!("no remedy in {:?}", state.reason));
    }
    // What was committed stays so, and what was not can be done again.
    if is_new {
        let boot = world.boot(card, disk, 4)?;
        if boot.running != &world.new.0 {
            return Err("what was committed is not what starts".into());
        }
    } else {
        world.live(card, disk)?;
        if world.in_slot(card, card.firmware())? != &world.new.0 {
            return Err("the update could not be done again".into());
        }
    }
    Ok(is_new)
}

#[test]
fn a_power_cut_at_any_write_of_an_update_starts_a_whole_version_never_a_mix() {
    let world = World::new(24 * 1024);
    let (states, new, broken) = sweep(&world, 12, 1, false);
    assert!(
        broken.is_empty(),
        "{} of {states}: {broken:#?}",
        broken.len()
    );
    println!("{states} crash states, {new} of them start the new version");
    assert!(states > 1_000 && new > 20, "{states} states, {new} new");
}

#[test]
fn a_power_cut_at_any_write_of_an_update_of_differences_starts_a_whole_version() {
    let world = World::with_a_small_update(24 * 1024);
    let (states, new, broken) = sweep(&world, 12, 1, false);
    assert!(
        broken.is_empty(),
        "{} of {states}: {broken:#?}",
        broken.len()
    );
    assert!(states > 1_000 && new > 20, "{states} states, {new} new");
}

#[test]
fn differences_from_another_image_or_of_a_slot_that_was_changed_are_refused_with_the_way_out() {
    let world = World::with_a_small_update(24 * 1024);
    let whole = manifest(&world.new.0, &world.new.1);
    let file = |image: &Image, old: &[u8]| {
        let member = difference(image, old, &world.new.1);
        update_file_of(&whole, (DELTA, &member), &world.pair)
    };
    let said = refused(&world, |_| {}, &file(&image(7, 500), &world.old.1), false);
    assert!(said.contains("send the whole update"), "{said}");
    // The slot that runs is not as it was delivered: its bytes at 22,000 were others.
    let mut delivered = world.old.1.clone();
    delivered[22_000..22_100].fill(0x55);
    let mut new = world.new.1.clone();
    new[22_512..22_612].fill(0x55);
    let member = difference(&world.old.0, &delivered, &new);
    let whole = manifest(&world.new.0, &new);
    let file = update_file_of(&whole, (DELTA, &member), &world.pair);
    let said = refused(&world, |_| {}, &file, true);
    assert!(
        said.contains("is not as it was delivered; send the whole update"),
        "{said}"
    );
    // A signature is asked for first, whatever the rest is.
    let (stranger, _) = pair();
    let member = difference(&world.old.0, &world.old.1, &world.new.1);
    let unknown = update_file_of(
        &manifest(&world.new.0, &world.new.1),
        (DELTA, &member),
        &stranger,
    );
    refused(&world, |_| {}, &unknown, false);
}

#[test]
fn a_power_cut_within_a_long_slot_starts_the_old_version() {
    // Long enough for several writes and a flush among them.
    let world = World::new(4 * 1024 * 1024 + 3 * 512 * 1024);
    let (states, _, broken) = sweep(&world, 1, 7, false);
    assert!(
        broken.is_empty(),
        "{} of {states}: {broken:#?}",
        broken.len()
    );
    assert!(states > 20);
}

#[test]
fn on_a_card_that_ignores_flushes_the_same_check_finds_mixed_versions() {
    let world = World::new(24 * 1024);
    let (states, _, broken) = sweep(&world, 6, 1, true);
    println!("{} of {states} broken", broken.len());
    let mixed = broken
        .iter()
        .filter(|why| why.contains("no whole version"))
        .count();
    assert!(mixed > 5, "{mixed} of {states}: {broken:?}");
}

/// Tries to install; what it says, having looked that the old version starts and the other slot does not.
fn refused(world: &World, change: impl FnOnce(&mut Boot), file: &[u8], writes: bool) -> String {
    let (card, disk) = (world.card(), disk());
    let before = card.slot(Slot::B, world.new.1.len());
    let mut boot = world.boot(&card, &disk, 1).expect("it starts");
    change(&mut boot);
    let said = boot
        .with(|hands| install(hands, file, "x"))
        .expect_err("refused")
        .to_string();
    let after = card.slot(Slot::B, world.new.1.len());
    assert!(
        after[..512] == [0; 512],
        "a FAT without its first sector starts nowhere"
    );
    assert_eq!(after != before, writes, "{said}");
    assert_eq!((card.firmware(), card.flag.get()), (Slot::A, false));
    let state = phase(&disk);
    assert_eq!((state.phase, &state.reason), (Phase::Failed, &said));
    said
}

#[test]
fn whatever_is_wrong_with_an_update_is_told_with_its_remedy_and_nothing_starts_it() {
    let world = World::new(3 * 1024 * 1024);
    let payload = &world.new.1;
    let whole = &world.file;
    let made = |change: fn(&mut Manifest)| {
        let mut manifest = manifest(&world.new.0, payload);
        change(&mut manifest);
        update_file(&manifest, payload, &world.pair)
    };
    let text = serde_json::to_vec(&manifest(&world.new.0, payload)).expect("JSON");
    let unsigned = pack(&[(MANIFEST, &text), (SIGNATURE, b""), (PAYLOAD, payload)]);
    let (stranger, _) = pair();
    let foreign = update_file(&manifest(&world.new.0, payload), payload, &stranger);
    let mut forged = whole.clone();
    let at = forged
        .windows(8)
        .position(|bytes| bytes == b"released")
        .expect("the key")
        + 10;
    forged[at] = b'9';
    // Before a byte of the slot is touched.
    let none: &'static Keys = Box::leak(Box::default());
    for (file, remedy) in [
        (&unsigned, "minisign -Sm"),
        (&foreign, "the city's key"),
        (&forged, "changed after it was signed"),
        (&made(|m| m.board = "pc".into()), "for this board"),
        (&made(|m| m.counter = 999), "allow_older"),
        (&made(|m| m.image_id = "01".repeat(32)), "nothing to do"),
        (&made(|m| m.format = 2), "a version in between"),
        (&made(|m| m.slot_bytes = 1 << 40), "write a new card"),
        (&made(|m| m.slot_bytes -= 512), "download the file again"),
        (&whole[..700].to_vec(), "download it again"),
        (&b"#!/bin/sh\n".repeat(200), "take the .update file"),
    ] {
        let said = refused(&world, |_| {}, file, false);
        assert!(said.contains(remedy), "{said}");
    }
    let said = refused(&world, |boot| boot.keys = none, whole, false);
    assert!(said.contains("[update] keys"), "{said}");
    // While the slot is written: it is none then.
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let mut trailing = whole.clone();
    trailing.push(b'x');
    let mut wrong_letter = payload.clone();
    wrong_letter[LETTER_AT] = b'c';
    let wrong_letter = update_file(
        &manifest(&world.new.0, &wrong_letter),
        &wrong_letter,
        &world.pair,
    );
    for (file, remedy) in [
        (&whole[..middle].to_vec(), "cut short"),
        (&whole[..whole.len() - 10 * 1024].to_vec(), "cut short"),
        (&damaged, "not the one that was signed"),
        (&trailing, "something follows"),
    ] {
        let said = refused(&world, |_| {}, file, true);
        assert!(said.contains(remedy), "{said}");
    }
    // Seen in the first chunk: the slot is wiped by then, and has nothing else.
    for file in [
        &wrong_letter,
        &made(|m| m.slot_letter_at = vec![LETTER_AT as u64 + 1]),
    ] {
        let said = refused(&world, |_| {}, file, false);
        assert!(said.contains("no slot's letter"), "{said}");
    }
    // An `a` that is none of a command line's.
    let other = payload
        .iter()
        .skip(LETTER_AT + 1)
        .position(|byte| *byte == b'a')
        .expect("one")
        + LETTER_AT
        + 1;
    let mut elsewhere = manifest(&world.new.0, payload);
    elsewhere.slot_letter_at = vec![other as u64];
    let said = refused(
        &world,
        |_| {},
        &update_file(&elsewhere, payload, &world.pair),
        true,
    );
    assert!(said.contains("no booth.slot="), "{said}");
    // A card that forgets a bit, in the first writes and in the last.
    for bad in [HEAD + 5, 2 * 1024 * 1024, payload.len() as u64 - 1, 700] {
        let said = refused(&world, |boot| boot.bad_byte = Some(bad), whole, true);
        assert!(said.contains("worn out"), "byte {bad}: {said}");
    }
}

#[test]
fn an_older_version_is_taken_where_its_signature_says_so() {
    let world = World::new(40 * 1024);
    let (card, disk) = (world.card(), disk());
    let mut back = manifest(&image(9, 1), &world.new.1);
    let boot = world.boot(&card, &disk, 1).expect("it starts");
    let mut is_taken = |allow: AllowOlder| {
        back.allow_older = allow;
        let file = update_file(&back, &world.new.1, &world.pair);
        boot.with(|hands| install(hands, &file[..], "x").map(drop))
    };
    let until = |day: &str| AllowOlder::For {
        booths: vec!["rundhoej-1".into()],
        until: day.parse().expect("a day"),
    };
    // This card's technician has named no booth yet.
    assert!(is_taken(until("2026-11-25")).is_err());
    boot.with(|hands| {
        hands.store.trust(&Trust {
            booth: "rundhoej-1".into(),
            ..Trust::default()
        })
    })
    .expect("noted");
    assert!(is_taken(AllowOlder::Flag(true)).is_err());
    let over = is_taken(until("2026-11-24")).expect_err("over");
    assert!(over.to_string().contains("a later day"), "{over}");
    is_taken(until("2026-11-25")).expect("taken");
}

#[test]
fn a_clock_that_is_set_back_makes_no_step_back_valid_again_and_one_that_ran_ahead_keeps_no_update_out()
 {
    let world = World::new(40 * 1024);
    let (card, disk) = (world.card(), disk());
    let boot = world.boot(&card, &disk, 1).expect("it starts");
    let day = |text: &str| -> jiff::civil::Date { text.parse().expect("a day") };
    let takes = |until: &str| {
        let mut back = manifest(&image(9, 1), &world.new.1);
        back.allow_older = AllowOlder::For {
            booths: vec!["rundhoej-1".into()],
            until: day(until),
        };
        let file = update_file(&back, &world.new.1, &world.pair);
        boot.with(|hands| install(hands, &file[..], "x").map(drop))
    };
    let store = &boot.store;
    let trust = Trust {
        booth: "rundhoej-1".into(),
        ..Trust::default()
    };
    store.trust(&trust).expect("noted");
    // Today is 2026-11-25, as whoever answers for the time says.
    assert_eq!(store.latest_day().expect("read"), None);
    takes("2026-11-30").expect("taken");
    store.see_day(day("2026-12-01")).expect("noted");
    store.see_day(day("2026-11-26")).expect("nothing to note");
    let over = takes("2026-11-30").expect_err("over").to_string();
    assert!(
        over.contains("2026-12-01") && over.contains("a later day"),
        "{over}"
    );
    takes("2026-12-01").expect("taken");
    // Wrong, and for good: a step back has to be signed for later, and what is newer comes as ever.
    store.see_day(day("2099-01-01")).expect("noted");
    assert!(takes("2098-12-31").is_err());
    takes("2099-01-01").expect("taken");
    boot.with(|hands| install(hands, &world.file[..], "x").map(drop))
        .expect("taken");
    // A file that nobody can read is none.
    disk.put(&store.folder.join("day"), b"soon");
    assert_eq!(store.latest_day().expect("read"), None);
    takes("2026-11-25").expect("taken");
}

#[test]
fn what_was_kept_once_is_the_least_for_ever_and_what_came_back_is_not() {
    let world = World::new(40 * 1024);
    let (card, disk) = (world.card(), disk());
    let of = |number: u8, counter: i64| {
        let manifest = manifest(&image(number, counter), &world.new.1);
        update_file(&manifest, &world.new.1, &world.pair)
    };
    let takes = |boot: &Boot, file: &[u8]| boot.with(|hands| install(hands, file, "x").is_ok());
    let boot = world.boot(&card, &disk, 1).expect("it starts");
    let running = boot.running.counter;
    assert!(takes(&boot, &of(9, 5_000)));
    // It was never on trial: a lower one than that, and a higher one than what runs, is an update.
    let between = i64::try_from(running).expect("small") + 1;
    assert!(takes(&boot, &of(8, between)));
    boot.with(|hands| {
        let kept = image(7, 3_000);
        hands.store.raise_floor(&kept).expect("noted");
        hands
            .store
            .raise_floor(&image(6, 2_000))
            .expect("nothing to note");
    });
    assert!(!takes(&boot, &of(8, 2_999)) && !takes(&boot, &of(8, 3_000)));
    assert!(takes(&boot, &of(7, 3_000)), "the kept one itself");
    assert!(takes(&boot, &of(8, 3_001)));
}

#[test]
fn an_armed_trial_is_disarmed_before_its_slot_is_written_anew() {
    let world = World::new(40 * 1024);
    let (card, disk) = (world.card(), disk());
    let boot = world.boot(&card, &disk, 1).expect("it starts");
    boot.with(|hands| {
        let verified = install(hands, &world.file[..], "x").expect("written");
        arm(hands, &verified, None).expect("armed");
        assert!(card.flag.get());
        let half = &world.file[..world.file.len() / 2];
        assert!(install(hands, half, "x").is_err());
    });
    assert!(!card.flag.get(), "nothing starts half a version");
}

#[test]
fn a_version_on_trial_takes_no_update_and_loses_no_state_by_one() {
    let world = World::new(40 * 1024);
    let (card, disk) = world.armed();
    let boot = world.boot(&card, &disk, 2).expect("it starts");
    boot.with(|hands| {
        settle(hands, Mono(5), false).expect("on trial");
        let said = install(hands, &world.file[..], "x")
            .expect_err("refused")
            .to_string();
        assert!(said.contains("on trial itself"), "{said}");
    });
    assert_eq!(phase(&disk).phase, Phase::Trial);
    assert_eq!(world.in_slot(&card, Slot::A), Ok(&world.old.0));
}

/// A booth that has just been started on trial; `change` is what happened to its state meanwhile.
fn on_trial(world: &World, change: impl FnOnce(&mut State)) -> (Start, State) {
    let (card, disk) = world.armed();
    let boot = world.boot(&card, &disk, 2).expect("it starts");
    let mut state = phase(&disk);
    change(&mut state);
    store(&disk).save(&state).expect("saved");
    let start = boot.with(|hands| settle(hands, Mono(5), false).expect("settled"));
    (start, phase(&disk))
}

#[test]
fn a_trial_that_the_state_does_not_know_goes_back_and_stays_given_up() {
    let world = World::new(40 * 1024);
    let (start, _) = on_trial(&world, |_| {});
    assert!(matches!(start, Start::Trial(_)));
    // A newer version's word for the phase is a trial.
    let (start, _) = on_trial(&world, |state| state.phase = Phase::Unknown);
    assert!(matches!(start, Start::Trial(_)));
    let (start, state) = on_trial(&world, |state| *state = State::default());
    let Start::Lost(why) = start else {
        panic!("{start:?}");
    };
    assert!(why.contains("does not know of this trial"), "{why}");
    assert_eq!((state.phase, &state.reason), (Phase::RolledBack, &why));
    let (start, _) = on_trial(&world, |state| {
        state.phase = Phase::RolledBack;
        state.reason = "why".into();
        state.boot_id = "boot-2".into();
    });
    assert_eq!(
        start,
        Start::Lost("why".into()),
        "asked again after a crash"
    );
}

#[test]
fn a_phase_of_a_newer_version_does_not_lose_the_state() {
    let text = r#"{"schema":1,"phase":"rehearsed","at":"x","reason":"kept"}"#;
    let state: State = serde_json::from_str(text).expect("understood");
    assert_eq!(
        (state.phase, state.reason.as_str()),
        (Phase::Unknown, "kept")
    );
}

#[test]
fn the_start_notes_what_the_old_version_can_know_and_leaves_a_waiting_request_alone() {
    let world = World::new(40 * 1024);
    let settled = |change: fn(&mut State), has_request| {
        let (card, disk) = (world.card(), disk());
        let mut state = State {
            to: Some(booth_gateway::update::state::Version {
                image_id: world.new.0.image_id.clone(),
                version: "0.2.0".into(),
            }),
            boot_id: "boot-1".into(),
            request: "1".into(),
            ..State::default()
        };
        change(&mut state);
        store(&disk).save(&state).expect("saved");
        let boot = world.boot(&card, &disk, 2).expect("it starts");
        let start = boot.with(|hands| settle(hands, Mono(5), has_request).expect("settled"));
        assert_eq!(start, Start::Usual);
        phase(&disk)
    };
    let state = settled(|state| state.phase = Phase::Committed, false);
    assert_eq!(state.phase, Phase::RolledBack);
    assert!(state.reason.contains("the other slot was started"));
    let state = settled(|state| state.phase = Phase::Unknown, false);
    assert_eq!(state.phase, Phase::RolledBack);
    for (has_request, after) in [(true, Phase::Writing), (false, Phase::Failed)] {
        let state = settled(|state| state.phase = Phase::Writing, has_request);
        assert_eq!(state.phase, after);
    }
}
