//! The control of the crash states: sled with and without an fdatasync after its `flush()`.
//!
//! Owns: a small workload that says what it believes to be safe. If `flush()` alone did not lose here, this rig
//! would not see a lost write at all.
#![allow(clippy::disallowed_methods)]

use std::fs::File;
use std::path::Path;

use super::blockdev::{BlockDevice, Mounted, Trace, scratch};
use super::crash_image::{Cut, Dice};

/// Entries, one after the other, each believed to be safe before the next.
const ENTRIES: u64 = 300;

/// What is done before an entry is believed to be safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// `sled::Db::flush`.
    FlushAlone,
    /// That, and fdatasync of sled's file.
    FlushAndSync,
}

fn open(folder: &Path) -> Result<sled::Db, String> {
    let config = sled::Config::new().path(folder).flush_every_ms(None);
    config.open().map_err(|error| format!("sled: {error}"))
}

fn sync(path: &Path) -> Result<(), String> {
    let done = File::open(path).and_then(|file| file.sync_all());
    done.map_err(|error| format!("{}: {error}", path.display()))
}

/// Runs the workload on a device of its own.
pub fn record(store: Store) -> Result<Trace, String> {
    let device = BlockDevice::start()?;
    let folder = device.card().join("sled");
    let db = open(&folder)?;
    // What sled makes when it opens is safe in both cases: only the entries are compared.
    for name in ["conf", "db", "blobs", "", ".."] {
        sync(&folder.join(name))?;
    }
    device.mark("open");
    let file = folder.join("db");
    for number in 0..ENTRIES {
        let mut dice = Dice(number);
        let value: Vec<u8> = (0..40).flat_map(|_| dice.roll().to_be_bytes()).collect();
        db.insert(number.to_be_bytes(), value)
            .and_then(|_| db.flush())
            .map_err(|error| format!("sled: {error}"))?;
        if store == Store::FlushAndSync {
            sync(&file)?;
        }
        device.mark(number.to_string());
    }
    let trace = device.trace();
    drop(db);
    Ok(trace)
}

/// One power cut; answers how many entries that were believed to be safe are gone, of how many.
pub fn one(trace: &Trace, seed: u64) -> Result<(u64, u64), String> {
    let mut dice = Dice(seed);
    let opened = trace
        .marks()
        .find(|(_, _, text)| *text == "open")
        .ok_or("the workload was never ready")?
        .0;
    let fiftieth = trace.marks().map(|(place, ..)| place).nth(50);
    let from = fiftieth.unwrap_or(opened);
    let cut = Cut::choose(trace, from..trace.events.len(), &mut dice);
    let believed = trace
        .marks()
        .take_while(|(place, ..)| *place < cut.point)
        .filter_map(|(.., text)| text.parse::<u64>().ok())
        .max()
        .map_or(0, |last| last + 1);
    let place = scratch();
    let (file, folder) = (place.path().join("card.img"), place.path().join("card"));
    std::fs::create_dir(&folder).map_err(|error| error.to_string())?;
    cut.leave(trace, &mut dice, &file)
        .map_err(|error| error.to_string())?;
    let card = Mounted::mount(&file, &folder).map_err(|why| format!("seed {seed}: {why}"))?;
    let db = open(&card.path().join("sled")).map_err(|why| format!("seed {seed}: {why}"))?;
    let there = (0..believed)
        .filter(|number| matches!(db.get(number.to_be_bytes()), Ok(Some(_))))
        .count() as u64;
    drop(db);
    Ok((believed - there, believed))
}
