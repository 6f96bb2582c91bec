//! Values of the ledger and `card.json`, with the files that they speak of on the disk.
//!
//! A line is one value; its first byte says which: `c` an entry of a clip, `n` the counters, `i` the card's
//! id, `j` the line of `card.json`; checksums are made right. `r` is the bytes of a value as they are,
//! `k` those of `card.json`.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use booth_contract::Health;
use booth_hub::ingest::is_clip_id;
use booth_spool::Spool;
use gateway_core::counters::{Counter, Counters};

use super::memory_disk::MemoryDisk;
use super::spool_state::{
    CLIPS, DIR, begun, check_goes_on, check_readable, clip_path, facts, open, receipt, recorded,
};

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

pub fn run(data: &[u8]) {
    let disk = card();
    let mut values = Pairs::new();
    for (number, line) in data.split(|&byte| byte == b'\n').take(32).enumerate() {
        let Some((kind, value)) = line.split_first() else {
            continue;
        };
        let mut summed = crc32c::crc32c(value).to_le_bytes().to_vec();
        summed.extend_from_slice(value);
        let clip_key = [b"#0123456789abcde", &[number as u8][..]].concat();
        match kind {
            b'c' => values.push((clip_key, summed)),
            b'n' => values.push((b"counters".to_vec(), summed)),
            b'i' => values.push((b"!card".to_vec(), summed)),
            b'r' => values.push((clip_key, value.to_vec())),
            b'j' => {
                let mut text = [value, b"\n"].concat();
                let sum = crc32c::crc32c(&text);
                text.extend_from_slice(format!("crc32c:{sum:08x}\n").as_bytes());
                disk.put(format!("{DIR}/card.json"), text);
            }
            b'k' => disk.put(format!("{DIR}/card.json"), value.to_vec()),
            _ => {}
        }
    }

    let (spool, _) = Spool::open_with_values(
        Arc::new(disk.clone()),
        Path::new(DIR),
        facts("boot-2"),
        &values,
    )
    .unwrap_or_else(|error| panic!("the gateway does not start by itself: {error}"));
    for clip in spool.clips() {
        assert!(is_clip_id(&clip.clip_id), "a topic that the hub ignores");
        // An entry may be wrong; then reading errs.
        let _ = spool.manifest(&clip.clip_id);
        for offset in [0, clip.bytes / 2, clip.bytes, u64::MAX] {
            if let Ok(part) = spool.read_body(&clip.clip_id, offset, 1 << 16) {
                assert!(part.len() <= 1 << 16);
            }
        }
    }
    let mut counters = Counters::restored(&spool.counters());
    for counter in Counter::ALL {
        counters.count(counter, 20_000);
    }
    counters.report(&mut Health::default());
    spool.save_counters(&counters.saved()).expect("a good disk");
    check_goes_on(&spool);
    drop(spool);

    // The ledger is a cache: without it every clip is there, whatever it said.
    let (spool, report) = open(&disk, "boot-3");
    check_readable(&spool, &report);
    for clip_id in CLIPS {
        let clips = spool.clips();
        let clip = clips.iter().find(|clip| clip.clip_id == clip_id);
        let clip = clip.unwrap_or_else(|| panic!("the ledger made clip {clip_id} disappear"));
        spool
            .release(receipt(clip))
            .expect("the receipt is its own");
    }
}

/// A card with two whole clips and one that was cut off.
fn card() -> MemoryDisk {
    static MADE: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    let files = MADE.get_or_init(|| {
        let disk = MemoryDisk::default();
        let (spool, _) = open(&disk, "boot-1");
        recorded(&spool, CLIPS[0]);
        recorded(&spool, CLIPS[1]);
        let _writer = begun(&spool, CLIPS[2]);
        let mut names: Vec<String> = CLIPS.iter().map(|id| clip_path(id)).collect();
        names.push(format!("{DIR}/card.json"));
        let read = |name: &String| disk.get(Path::new(name)).expect("the file");
        names
            .iter()
            .map(|name| (name.clone(), read(name)))
            .collect()
    });
    let disk = MemoryDisk::default();
    for (name, bytes) in files {
        disk.put(name, bytes.clone());
    }
    disk
}

pub fn seeds() -> Vec<Vec<u8>> {
    let disk = card();
    let (spool, _) = open(&disk, "boot-1");
    let mut entries = Vec::new();
    for clip in spool.clips() {
        let bytes = disk.get(Path::new(&clip_path(&clip.clip_id)));
        let file_bytes = bytes.map_or(0, |bytes| bytes.len());
        let entry = serde_json::json!({
            "clip": clip, "file_bytes": file_bytes, "closing_at": file_bytes - 700, "quarantine": null,
        });
        entries.push(format!("c{entry}"));
    }
    let counters = serde_json::json!({
        "card_id": super::spool_state::CARD, "saves": 7,
        "values": { "lifts_total": 5, "lifts_today": 1, "day": 20_000 },
    });
    let card = disk.get(Path::new(&format!("{DIR}/card.json")));
    let card = String::from_utf8(card.expect("card.json")).expect("text");
    let line = card.lines().next().unwrap_or_default();
    let all = format!(
        "{}\nn{counters}\ni\"{}\"\nj{line}",
        entries.join("\n"),
        super::spool_state::CARD
    );
    let gone = entries[0].replace(CLIPS[0], "6f9619ff-8b86-4d01-b42d-00cf4fc964ff");
    let mut seeds = vec![
        all.clone().into_bytes(),
        format!("{gone}\ni\"other\"").into_bytes(),
        format!("j{line}\nn{counters}").into_bytes(),
        format!("k{line}").into_bytes(),
        b"rnothing".to_vec(),
    ];
    seeds.extend(entries.into_iter().map(String::into_bytes));
    seeds
}
