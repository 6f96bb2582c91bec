//! How fast a pulled card is verified: every record's checksum and every body's hash, of a folder and of an ext4 that is read without mounting it.

use std::path::Path;
use std::process::Command;

use booth_contract::{BodyKind, EndedBy};
use booth_gateway::pulled;
use booth_spool::{FrameFacts, NewClip};
use booth_testkit::blockdev::scratch;
use booth_testkit::spool_rig::{new_clip, open};

use super::Table;
use super::sealing::used_s;

/// Messages on the card, and how many half seconds of sealed speech each has.
const MESSAGES: usize = 600;
const LOOKED_AT: usize = 6;
const FRAMES: u64 = 120;
const FRAME_BYTES: u64 = 1_600;
/// A card of this size holds them.
const CARD_BYTES: u64 = 256 << 20;

/// The rows of a pulled card.
pub(super) fn figures(table: &mut Table, is_look: bool) {
    let messages = if is_look { LOOKED_AT } else { MESSAGES };
    eprintln!("a pulled card of {messages} messages …");
    let folder = scratch();
    let tree = folder.path().join("tree");
    fill(&tree.join("booth-gateway/spool"), messages);
    let times = if is_look { 1 } else { 5 };
    row(
        table,
        "spool verify of a folder, MB for a second of CPU",
        &tree,
        times,
    );
    let card = folder.path().join("card.img");
    let file = std::fs::File::create(&card).and_then(|file| file.set_len(CARD_BYTES));
    file.expect("a card");
    let made = Command::new("mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-b", "4096", "-d"])
        .args([&tree, &card])
        .status();
    match made {
        Ok(status) if status.success() => row(
            table,
            "spool verify of a card that is not mounted, MB for a second of CPU",
            &card,
            times,
        ),
        _ => eprintln!("NOT MEASURED: a card that is not mounted; there is no mke2fs"),
    }
}

fn fill(spool: &Path, messages: usize) {
    let (spool, _) = open(spool);
    for message in 0..messages as u64 {
        let clip = NewClip {
            body: BodyKind::SealedOggOpus,
            ..new_clip()
        };
        let mut writer = spool.begin(clip).expect("a take");
        let frame = |number: u64| -> Vec<u8> {
            let seed = (message * FRAMES + number).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            (0..FRAME_BYTES)
                .map(|at| (seed.wrapping_mul(at + 1) >> 32) as u8)
                .collect()
        };
        let facts = FrameFacts {
            samples: 24_000,
            ..FrameFacts::NONE
        };
        for number in 1..FRAMES {
            writer.append(&frame(number), facts).expect("kept");
        }
        writer
            .finish(&frame(FRAMES), facts, EndedBy::HangUp)
            .expect("finished");
    }
}

/// The median of some runs over bytes that are in memory: what the work costs, and not how slow a card or how busy the machine is.
fn row(table: &mut Table, what: &str, named: &Path, times: usize) {
    let mut speeds: Vec<f64> = (0..times)
        .map(|_| {
            let began = used_s();
            let spools = pulled::look(named, true, &mut |_, _| {}).expect("a card");
            assert!(spools.is_whole() && !spools.by_booth().is_empty());
            spools.bytes as f64 / 1e6 / (used_s() - began)
        })
        .collect();
    table.row(what, super::median(&mut speeds), "≥ 200", times);
}
