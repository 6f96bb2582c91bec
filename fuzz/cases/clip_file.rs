//! A clip file: any bytes under a clip's name, then a start, then another.
//!
//! Four bytes say what is done to the rest: bit 0 of the first makes every record's length, zero bytes,
//! sequence and checksum right, so that payloads are reached; bit 1 cuts the tail after that; bit 2
//! flips a bit. The other three say where.

use std::path::Path;

use booth_contract::Manifest;
use booth_spool::{ClipWriter, Spool};

use super::memory_disk::MemoryDisk;
use super::spool_state::{
    CLIPS, begun, check_goes_on, check_readable, clip_path, manifest, new_clip, open, recorded,
};

const PREAMBLE_BYTES: usize = 24;
const HEAD_BYTES: usize = 16;

pub fn run(data: &[u8]) {
    let Some(([how, at @ ..], bytes)) = data.split_first_chunk::<4>() else {
        return;
    };
    let place = u32::from_le_bytes([at[0], at[1], at[2], 0]) as usize;
    let mut image = bytes.to_vec();
    if how & 1 != 0 {
        reseal(&mut image);
    }
    if how & 2 != 0 && !image.is_empty() {
        let length = image.len();
        image.truncate(place % length);
    }
    if how & 4 != 0 && !image.is_empty() {
        let length = image.len();
        image[place % length] ^= 1 << (how >> 5);
    }

    let disk = MemoryDisk::default();
    disk.put(clip_path(CLIPS[0]), image.clone());
    let (spool, report) = open(&disk, "boot-1");
    check_readable(&spool, &report);
    // What is not a clip has no audio, or was deleted on purpose, or still lies there.
    let is_somewhere = disk
        .paths()
        .iter()
        .any(|path| path.to_string_lossy().contains(CLIPS[0]));
    assert!(is_somewhere || report.removed_empty + report.removed_discarded == 1);
    let clips = spool.clips();
    let manifests: Vec<_> = clips.iter().map(|clip| manifest(&spool, clip)).collect();
    drop(spool);

    let (again, second) = open(&disk, "boot-2");
    check_readable(&again, &second);
    assert_eq!(again.clips(), clips, "the second start sees other clips");
    let after: Vec<_> = clips.iter().map(|clip| manifest(&again, clip)).collect();
    assert!(same(&manifests, &after), "a manifest has changed");
    assert!(second.recovered.is_empty() && second.damaged.is_empty());
    assert!(second.set_aside.is_empty(), "{:?}", second.set_aside);
    check_goes_on(&again);
}

/// Compares as they are sent: a level that is not a number equals itself there.
fn same(a: &[Manifest], b: &[Manifest]) -> bool {
    let sent = |all: &[Manifest]| all.iter().map(Manifest::to_json).collect::<Vec<_>>();
    sent(a) == sent(b)
}

/// Makes the preamble and the framing of every record right; payloads and kinds stay.
fn reseal(image: &mut [u8]) {
    if image.len() < PREAMBLE_BYTES {
        return;
    }
    let id: uuid::Uuid = CLIPS[0].parse().expect("a UUID");
    image[..8].copy_from_slice(b"BOOTHCL\x01");
    image[8..24].copy_from_slice(id.as_bytes());
    let salt = crc32c::crc32c(&image[..PREAMBLE_BYTES]);
    let mut at = PREAMBLE_BYTES;
    let mut sequence = 0u32;
    while at + HEAD_BYTES <= image.len() {
        let room = image.len() - at - HEAD_BYTES;
        let record = &mut image[at..];
        let claimed = u32::from_le_bytes([record[0], record[1], record[2], record[3]]) as usize;
        let length = claimed.min(room).min(1 << 20);
        record[..4].copy_from_slice(&(length as u32).to_le_bytes());
        record[5..8].copy_from_slice(&[0; 3]);
        record[8..12].copy_from_slice(&sequence.to_le_bytes());
        let sum = crc32c::crc32c_append(salt, &record[..12]);
        let sum = crc32c::crc32c_append(sum, &record[HEAD_BYTES..HEAD_BYTES + length]);
        record[12..16].copy_from_slice(&sum.to_le_bytes());
        at += HEAD_BYTES + length;
        sequence += 1;
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    // Copied while the writer lives: what a process leaves that ends there.
    let image = |make: &dyn Fn(&Spool) -> Option<ClipWriter>| {
        let disk = MemoryDisk::default();
        let (spool, _) = open(&disk, "boot-1");
        let _writer = make(&spool);
        disk.get(Path::new(&clip_path(CLIPS[0])))
            .expect("a clip file")
    };
    let finished = image(&|spool| {
        recorded(spool, CLIPS[0]);
        None
    });
    let cut_off = image(&|spool| Some(begun(spool, CLIPS[0])));
    let armed = image(&|spool| Some(spool.begin(new_clip(CLIPS[0])).expect("room")));
    let mut seeds = Vec::new();
    for (how, file) in [
        ([0, 0, 0, 0], &finished),
        ([1, 0, 0, 0], &finished),
        ([0, 0, 0, 0], &cut_off),
        ([1, 0, 0, 0], &cut_off),
        ([0, 0, 0, 0], &armed),
        ([0, 0, 0, 0], &Vec::new()),
        ([2, 0xB0, 4, 0], &finished),
        ([4, 0xB0, 4, 0], &finished),
    ] {
        seeds.push([&how[..], file].concat());
    }
    // Discarded: the record with its kind, made right.
    let mut discarded = [&[1, 0, 0, 0], &cut_off[..]].concat();
    discarded.extend_from_slice(&[0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    seeds.push(discarded);
    seeds
}
