//! What a card still gives away of messages that have left it: the raw device under a real ext4, searched for every piece.
#![allow(clippy::disallowed_methods)]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use booth_contract::{BodyKind, EndedBy};
use booth_sealing::{DataKey, Identity, KernelRandom, Recipients, Sealer};
use booth_spool::{KeptClip, NewClip, Spool};
use booth_testkit::mounting;
use booth_testkit::spool_rig::{body, long_speech, new_clip, open, receipt, record};

/// Bytes of a piece that is looked for: some 20 ms of speech.
const PIECE: usize = 64;
/// Of the file system, bytes.
const BLOCK: usize = 4096;

/// A card that is a file, with an ext4 on it.
struct Card {
    folder: tempfile::TempDir,
}

fn runs(program: &str, arguments: &[&Path]) {
    let status = Command::new(program).args(arguments).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "{program} {arguments:?}"
    );
}

impl Card {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let card = Self { folder };
        let file = std::fs::File::create(card.device()).expect("a card");
        file.set_len(48 << 20).expect("its size");
        runs("mkfs.ext4", &[Path::new("-q"), &card.device()]);
        std::fs::create_dir(card.place()).expect("a folder");
        card
    }

    fn device(&self) -> PathBuf {
        self.folder.path().join("card.img")
    }

    fn place(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    fn mount(&self) {
        let how = [Path::new("-o"), Path::new("loop")];
        runs(
            "mount",
            &[&how[..], &[&self.device(), &self.place()]].concat(),
        );
    }

    /// Nothing is left in memory alone.
    fn is_written(&self) {
        runs("sync", &[Path::new("-f"), &self.place()]);
    }

    /// The card is taken out.
    fn unmount(&self) {
        runs("umount", &[&self.place()]);
    }

    /// How many of these pieces whoever has the card finds on it.
    fn gives_away(&self, said: &[u8]) -> usize {
        let raw = std::fs::read(self.device()).expect("the card");
        let wanted: HashSet<&[u8]> = pieces(said).collect();
        let mut found = HashSet::new();
        let mut at = 0;
        while let Some(window) = raw.get(at..at + PIECE) {
            // Most of a card was never written to.
            if at % BLOCK == 0 && raw[at..].iter().take(BLOCK + PIECE).all(|byte| *byte == 0) {
                at += BLOCK;
                continue;
            }
            if let Some(piece) = wanted.get(window) {
                found.insert(*piece);
            }
            at += 1;
        }
        found.len()
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.place()).output();
    }
}

/// The pieces of what was said that stand for nothing else.
fn pieces(said: &[u8]) -> impl Iterator<Item = &[u8]> {
    said.chunks_exact(PIECE)
        .filter(|piece| piece.iter().collect::<HashSet<_>>().len() > PIECE / 4)
}

#[test]
fn nothing_of_a_message_that_was_released_or_discarded_is_found_on_the_raw_card() {
    if !mounting::is_possible("what a card gives away") {
        return;
    }
    let card = Card::new();
    card.mount();
    let (spool, _) = open(&card.place().join("spool"));
    let stays = record(&spool, 5);
    let leaves = record(&spool, 20);
    // The speech that every clip of these tests begins with is also in the one that stays.
    let kept = body(&spool, &stays);
    let said = body(&spool, &leaves).split_off(kept.len());
    // The same amount in a file that is only removed, as it would be without more: what the test can find.
    let only_removed: Vec<u8> = said.iter().map(|byte| byte ^ 0x5a).collect();
    let plain = card.place().join("plain");
    std::fs::write(&plain, &only_removed).expect("written");
    // And a take whose citizen dialled for help.
    let mut writer = spool.begin(new_clip()).expect("begun");
    let helpless: Vec<u8> = long_speech()[20..]
        .iter()
        .flat_map(|frame| frame.pages.clone())
        .collect();
    for frame in &long_speech()[20..] {
        writer.append(&frame.pages, frame.facts).expect("kept");
    }
    card.is_written();
    let all = pieces(&said).count();
    assert!(all > 50, "{all} pieces are too few to say anything");
    // A piece that a record's head parts is none of the card's.
    let most_of = |found: usize, all: usize| found * 10 > all * 9;
    let found = card.gives_away(&said);
    assert!(
        most_of(found, all),
        "what is on the card is found: {found} of {all}"
    );
    assert!(card.gives_away(&helpless) > 0);

    spool.release(receipt(&leaves)).expect("released");
    writer.discard().expect("discarded");
    std::fs::remove_file(&plain).expect("removed");
    drop(spool);
    card.unmount();
    let removed = card.gives_away(&only_removed);
    let (released, discarded) = (card.gives_away(&said), card.gives_away(&helpless));
    println!("of {all} pieces: {removed} after a removal, {released} after a release");
    assert!(
        most_of(removed, all),
        "{removed} of {all}: the test finds nothing"
    );
    assert_eq!((released, discarded), (0, 0), "of {all} pieces");
    assert!(most_of(card.gives_away(&kept), pieces(&kept).count()));
}

/// A sealed clip of so many frames, and its body.
fn record_sealed(spool: &Spool, frames: usize) -> (KeptClip, Vec<u8>) {
    let city = Identity::generate(&mut KernelRandom).expect("a key");
    let keys = Recipients::new(vec![city.recipient()]).expect("one key");
    let clip = NewClip {
        body: BodyKind::SealedOggOpus,
        key_ids: keys.ids(),
        ..new_clip()
    };
    let id = uuid::Uuid::parse_str(&clip.clip_id).expect("an id");
    let key = DataKey::generate(&mut KernelRandom).expect("a key");
    let begun = Sealer::begin(id, &key, &keys, &mut KernelRandom);
    let (mut sealer, mut sealed) = begun.expect("it begins");
    let mut writer = spool.begin(clip).expect("begun");
    let (last, first) = long_speech()[..frames].split_last().expect("a frame");
    for frame in first {
        sealed.extend(sealer.seal(frame.facts, &frame.pages));
        writer.append(&sealed, frame.facts).expect("kept");
        sealed.clear();
    }
    let end = sealer.seal_last(last.facts, &last.pages);
    let clip = writer.finish(&end, last.facts, EndedBy::HangUp);
    let clip = clip.expect("kept");
    let body = body(spool, &clip);
    (clip, body)
}

#[test]
fn of_a_sealed_message_that_was_released_the_envelope_is_gone_and_the_rest_opens_to_nobody() {
    if !mounting::is_possible("what a card gives away") {
        return;
    }
    let card = Card::new();
    card.mount();
    let (spool, _) = open(&card.place().join("spool"));
    let (stays, _) = record_sealed(&spool, 5);
    let (leaves, sealed) = record_sealed(&spool, 20);
    let (quarantined, other) = record_sealed(&spool, 10);
    let note = gateway_core::quarantine::Note::refused("too long", None);
    spool
        .quarantine(&quarantined.clip_id, &note)
        .expect("moved");
    let envelope_of = |body: &[u8]| {
        let length = u32::from_le_bytes(body[24..28].try_into().expect("four"));
        body[60..60 + length as usize].to_vec()
    };
    let (envelope, second) = (envelope_of(&sealed), envelope_of(&other));
    card.is_written();
    for envelope in [&envelope, &second] {
        assert!(card.gives_away(envelope) >= 3, "the search finds nothing");
    }
    let before = spool.disk_stats().bytes_written;
    for clip in [&leaves, &quarantined] {
        spool.release(receipt(clip)).expect("released");
    }
    // Two heads and the card's identity, and not two clips.
    let written = spool.disk_stats().bytes_written - before;
    assert!(written < 3 * 8_192, "{written} bytes");
    assert_eq!(spool.clips(), [stays]);
    drop(spool);
    card.unmount();
    for envelope in [&envelope, &second] {
        assert_eq!(card.gives_away(envelope), 0, "of an envelope");
    }
    let rest = &sealed[sealed.len() / 2..];
    assert!(card.gives_away(rest) > 0, "sealed frames need not go");
}
