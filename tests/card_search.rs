//! What a card, a core file and the memory of a booth give away after fifty sealed messages: no word, no receipt, no key.
//!
//! The booth is this program once more, as a process of its own with the real recorder, packing and spool on a real ext4. The city, which
//! has the private key, opens each take while it is there and remembers its packets, its keys and its receipt; then it looks for
//! every one of them.
#![allow(clippy::disallowed_methods)]

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use booth_audio::{Band, SpeechEncoder};
use booth_contract::receipt::{ClipSecret, Receipt, WithdrawalSecret};
use booth_contract::{ClipId, EndedBy, Publish, Withdrawal, ogg_page};
use booth_gateway::adapters::capture::{Feed, Tap};
use booth_gateway::adapters::recorder::{Recorder, RecorderCommand, RecorderEvent};
use booth_host::{clock, private};
use booth_sealing::open::Head;
use booth_sealing::{
    Identity, KernelRandom, Random, Recipient, Recipients, SealTo, envelope, open as unseal,
    wash_stack,
};
use booth_spool::{KeptClip, NewClip, Spool};
use booth_testkit::mounting;
use booth_testkit::spool_rig::{new_clip, open, receipt, receipt_for};
use gateway_core::liveness::Beat;
use gateway_core::session::TakeId;
use hkdf::Hkdf;
use sha2::Sha256;

/// How many messages are recorded.
const MESSAGES: u64 = 50;
/// Where the booth's process finds its spool, and the city's public key.
const PLACE: &str = "CARD_SEARCH_PLACE";
const KEY: &str = "CARD_SEARCH_KEY";
/// Its memory may go into a core file: the control.
const OPEN: &str = "CARD_SEARCH_OPEN";
/// Of a packet so many bytes are looked for.
const PIECE: usize = 20;

// ------------------------------------------------------------------------------------------------------------------ the booth

/// One booth, without its threads.
struct Booth {
    spool: Spool,
    feed: Feed,
    recorder: Recorder<Box<dyn Fn(RecorderEvent)>>,
    orders: Sender<RecorderCommand>,
    ordered: Receiver<RecorderCommand>,
    told: Receiver<RecorderEvent>,
    keys: Arc<Recipients>,
}

impl Booth {
    fn open(place: &Path, keys: &Arc<Recipients>) -> Self {
        let (spool, _) = open(place);
        let (feed, tap) = Tap::pair();
        let (taps, tapped) = channel();
        taps.send(tap).expect("a recorder");
        let (events, told) = channel();
        let encoder = SpeechEncoder::new(24_000, 5, Band::Wide).expect("an encoder");
        let report: Box<dyn Fn(RecorderEvent)> = Box::new(move |event| {
            let _ = events.send(event);
        });
        let recorder = Recorder::new(encoder, tapped, Arc::default(), Beat::default(), report);
        let (orders, ordered) = channel();
        let mut booth = Self {
            spool: spool.clone(),
            feed,
            recorder,
            orders,
            ordered,
            told,
            keys: keys.clone(),
        };
        booth.order(RecorderCommand::UseSpool(spool));
        booth
    }

    fn order(&mut self, command: RecorderCommand) {
        self.orders.send(command).expect("a recorder");
        self.recorder.turn(&self.ordered, Duration::ZERO);
    }

    /// A clip with its receipt, as `run::visit` makes them.
    fn clip(&self) -> NewClip {
        let clip = new_clip();
        let chance = |bytes: &mut [u8]| KernelRandom.fill(bytes).expect("chance");
        let receipt = Receipt::generate(chance, &[]).expect("a code");
        let text = receipt.text_for_clip(&clip.clip_id, None);
        let sealed = envelope::seal_to_text(&text, &self.keys, &mut KernelRandom);
        wash_stack();
        NewClip {
            sealed: Some(sealed.expect("it is sealed")),
            key_ids: self.keys.ids(),
            ..clip
        }
    }

    /// Somebody says something that nobody else says, and the words are held; or, `interrupted`, they are not.
    fn speak(&mut self, take: TakeId, interrupted: bool) -> ClipId {
        let now = || i64::try_from(clock::mono_us()).expect("a time");
        self.feed.push(&[0; 960], 1, now() - 20_000);
        let clip = Box::new(self.clip());
        let clip_id = clip.clip_id.clone();
        let seal_to = SealTo::Keys(self.keys.clone());
        self.order(RecorderCommand::Arm {
            take,
            clip,
            seal_to,
        });
        let from = clock::mono();
        self.order(RecorderCommand::Keep { take, from });
        let mut noise = take.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let speech: Vec<i16> = (0..96_000_u64)
            .map(|at| {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                let t = at as f64 / 48_000.0;
                let pitch = 150.0 + 10.0 * take.0 as f64 + 60.0 * (t * 5.0).sin();
                let voice = (t * pitch * std::f64::consts::TAU).sin() * 7_000.0;
                (voice + (noise % 1_500) as f64) as i16
            })
            .collect();
        for half in speech.chunks(24_000) {
            self.feed.push(half, 1, now());
            self.recorder.turn(&self.ordered, Duration::ZERO);
        }
        if !interrupted {
            self.order(RecorderCommand::Finish {
                take,
                ended_by: EndedBy::Key,
                at: clock::mono() - Duration::from_millis(100),
                min: Duration::ZERO,
            });
            let held = |event| matches!(event, RecorderEvent::Held { .. });
            assert!(self.told.try_iter().any(held), "the words are held");
        }
        clip_id
    }

    fn kept(&self) -> KeptClip {
        let mut told = self.told.try_iter();
        told.find_map(|event| match event {
            RecorderEvent::Kept { clip, .. } => Some(*clip),
            _ => None,
        })
        .expect("it is kept")
    }
}

/// Tells the city what is there now, and goes on when it has looked.
fn show(what: &str) {
    println!("LOOK {what}");
    std::io::stdout().flush().expect("the city listens");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).expect("an answer");
    assert!(!answer.is_empty(), "the city has gone");
}

/// The booth's process. Only [`nothing_is_found_after_fifty_messages`] starts it.
#[test]
fn the_booth() {
    let (Some(place), Ok(key)) = (std::env::var_os(PLACE), std::env::var(KEY)) else {
        return;
    };
    if std::env::var_os(OPEN).is_none() {
        private::keep_to_itself().expect("it can");
    }
    let place = PathBuf::from(place);
    let recipient = Recipient::parse(&key).expect("a key");
    let keys = Arc::new(Recipients::new(vec![recipient]).expect("one key"));
    let mut booth = Booth::open(&place, &keys);
    let mut take = 0;
    let mut kept: Vec<KeptClip> = Vec::new();
    for message in 0..MESSAGES {
        take += 1;
        let id = TakeId(take);
        let is_interrupted = message % 5 == 4;
        let clip_id = booth.speak(id, is_interrupted);
        show(&format!("clip {clip_id}"));
        if message == 0 {
            show("held");
        }
        match message % 5 {
            0 | 1 => {
                let publish = Publish::Text;
                booth.order(RecorderCommand::Close { take: id, publish });
                kept.push(booth.kept());
            }
            2 => booth.order(RecorderCommand::Discard { take: id }),
            3 => {
                booth.order(RecorderCommand::Discard { take: id });
                take += 1;
                let clip_id = booth.speak(TakeId(take), false);
                show(&format!("clip {clip_id}"));
                booth.order(RecorderCommand::Close {
                    take: TakeId(take),
                    publish: Publish::No,
                });
                kept.push(booth.kept());
            }
            // The power fails, as far as a process can tell.
            _ => {
                drop(booth);
                booth = Booth::open(&place, &keys);
            }
        }
        if message % 5 == 0 {
            take += 1;
            let clip = Box::new(booth.clip());
            show(&format!(
                "vote {}",
                clip.sealed.as_deref().unwrap_or_default()
            ));
            booth.order(RecorderCommand::Cast {
                take: TakeId(take),
                clip,
                choice: 3,
            });
            kept.push(booth.kept());
            let id = ClipId::from(new_clip().clip_id.as_str());
            let chance = |bytes: &mut [u8]| KernelRandom.fill(bytes).expect("chance");
            let receipt = Receipt::generate(chance, &[]).expect("a code");
            let text = receipt.text_for_withdrawal(&id);
            let sealed = envelope::seal_to_text(&text, &keys, &mut KernelRandom);
            wash_stack();
            let withdrawal = Withdrawal {
                id,
                sealed: sealed.expect("it is sealed"),
                ts: "2026-11-29T10:00:00.000Z".into(),
            };
            show(&format!("withdrawal {}", withdrawal.sealed));
            let stays = booth.spool.keep_withdrawal(&withdrawal).expect("kept");
            if message % 2 == 0 {
                let hub_has_it = receipt_for(&stays.id, 0, &stays.sha256);
                booth.spool.release(hub_has_it).expect("released");
            }
        }
        if kept.len() > 6 {
            booth
                .spool
                .release(receipt(&kept.remove(0)))
                .expect("released");
        }
    }
    show("end");
    // Ended by the city.
    std::thread::park();
}

// ------------------------------------------------------------------------------------------------------------------- the city

/// What is looked for, by its first eight bytes.
#[derive(Default)]
struct Wanted {
    pieces: HashMap<[u8; 8], Vec<(Vec<u8>, &'static str)>>,
    count: usize,
}

impl Wanted {
    fn add(&mut self, what: &'static str, piece: &[u8]) {
        let first = *piece.first_chunk::<8>().expect("a piece of eight bytes");
        let same = self.pieces.entry(first).or_default();
        if !same.iter().any(|(known, _)| known == piece) {
            same.push((piece.to_vec(), what));
            self.count += 1;
        }
    }

    /// What of it is in these bytes.
    fn found_in(&self, bytes: &[u8]) -> Vec<&'static str> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(first) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            // Most of a card, and much of a memory, was never written to.
            if *first == [0; 8] {
                at += bytes[at..]
                    .iter()
                    .take_while(|byte| **byte == 0)
                    .count()
                    .max(8)
                    - 7;
                continue;
            }
            for (piece, what) in self.pieces.get(first).into_iter().flatten() {
                if bytes[at..].starts_with(piece) {
                    found.push(*what);
                }
            }
            at += 1;
        }
        found
    }

    /// Adds what a key is derived from and to, and the blocks in which HMAC has it (RFC 2104, RFC 5869).
    fn add_keys(&mut self, salt: &[u8], data_key: &[u8]) {
        let (extracted, derived) = Hkdf::<Sha256>::extract(Some(salt), data_key);
        let mut frame_key = [0; 32];
        derived
            .expand(b"booth sealed clip 1 frames", &mut frame_key)
            .expect("32 bytes");
        self.add("a data key", data_key);
        self.add("a frame key", &frame_key);
        self.add("an extracted key", &extracted);
        for pad in [0x36, 0x5c] {
            let block: Vec<u8> = extracted.iter().map(|byte| byte ^ pad).collect();
            self.add("a block of a key", &block);
        }
    }

    fn add_receipt(&mut self, text: &str) {
        self.add("a receipt", text.as_bytes());
        let digits: Vec<u8> = text.bytes().map(|byte| byte - b'0').collect();
        self.add("a receipt's digits", &digits);
    }
}

/// The packets of an Ogg Opus file behind its headers.
fn packets(ogg: &[u8]) -> Vec<&[u8]> {
    let (mut packets, mut rest) = (Vec::new(), ogg);
    while let Some(length) = ogg_page::length(rest) {
        let (page, later) = rest.split_at(length);
        rest = later;
        let (table, mut body) = page[27..].split_at(usize::from(page[26]));
        let mut length = 0;
        for &segment in table {
            length += usize::from(segment);
            if segment < 255 {
                let (packet, after) = body.split_at(length);
                packets.push(packet);
                (body, length) = (after, 0);
            }
        }
    }
    packets.split_off(2)
}

/// The payloads of a clip file's records, with their kinds (docs/spool-format.md §1).
fn records(file: &[u8]) -> Vec<(u8, &[u8])> {
    let (mut records, mut at) = (Vec::new(), 24);
    while let Some(head) = file.get(at..at + 16) {
        let length = u32::from_le_bytes(head[..4].try_into().expect("four")) as usize;
        let Some(payload) = file.get(at + 16..at + 16 + length) else {
            break;
        };
        records.push((head[4], payload));
        at += 16 + length;
    }
    records
}

struct City {
    identity: Identity,
    wanted: Wanted,
    place: PathBuf,
}

impl City {
    fn own(&self) -> &[Identity] {
        std::slice::from_ref(&self.identity)
    }

    fn looks_at(&mut self, what: &str) {
        match what.split_once(' ') {
            Some(("clip", id)) => self.looks_at_clip(id),
            Some(("vote", sealed)) => self.looks_at_receipt(sealed),
            Some(("withdrawal", sealed)) => {
                let secret = envelope::open_text(sealed, self.own()).expect("the city's");
                let secret: WithdrawalSecret = serde_json::from_slice(&secret).expect("a secret");
                self.wanted.add_receipt(secret.receipt.as_str());
            }
            _ => panic!("{what:?} is looked at"),
        }
    }

    fn looks_at_receipt(&mut self, sealed: &str) {
        let secret = envelope::open_text(sealed, self.own()).expect("the city's");
        let secret: ClipSecret = serde_json::from_slice(&secret).expect("a secret");
        self.wanted.add_receipt(secret.receipt.as_str());
    }

    fn looks_at_clip(&mut self, id: &str) {
        let file = std::fs::read(self.place.join(format!("clips/{id}.clip"))).expect("a clip");
        let records = records(&file);
        let header: serde_json::Value = serde_json::from_slice(records[0].1).expect("a header");
        self.looks_at_receipt(header["sealed"].as_str().expect("a receipt"));
        let frames = records.iter().filter(|(kind, _)| *kind == 3);
        let body: Vec<u8> = frames
            .flat_map(|(_, frame)| &frame[12..])
            .copied()
            .collect();
        let opened = unseal(&body, self.own()).expect("the city opens it");
        let telling = packets(&opened.ogg)
            .into_iter()
            .filter(|packet| packet.len() > PIECE);
        for packet in telling {
            self.wanted.add("a packet", &packet[..PIECE]);
        }
        let head = Head::read(&body).expect("a head");
        let content = envelope::open(head.envelope, self.own()).expect("the city's");
        self.wanted.add_keys(&body[..24], &content[16..]);
    }
}

/// The process of a booth.
struct Running {
    child: Child,
    says: BufReader<ChildStdout>,
    hears: ChildStdin,
}

impl Running {
    fn start(place: &Path, city: &Identity, is_open: bool) -> Self {
        let own = std::env::current_exe().expect("this program");
        // Whatever the machine's limit is, this process may leave a core file.
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                "ulimit -c unlimited; exec \"$0\" --exact the_booth --nocapture",
            ])
            .arg(own)
            .env(PLACE, place)
            .env(KEY, city.recipient().to_string())
            .current_dir(place.parent().expect("a folder"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if is_open {
            command.env(OPEN, "1");
        }
        let mut child = command.spawn().expect("a booth");
        Self {
            says: BufReader::new(child.stdout.take().expect("its words")),
            hears: child.stdin.take().expect("its ear"),
            child,
        }
    }

    /// What it shows next.
    fn shows(&mut self) -> String {
        loop {
            let mut line = String::new();
            let read = self.says.read_line(&mut line).expect("a line");
            assert!(read > 0, "the booth has ended");
            if let Some((_, what)) = line.trim_end().split_once("LOOK ") {
                return what.to_owned();
            }
        }
    }

    fn goes_on(&mut self) {
        self.hears.write_all(b"seen\n").expect("it hears");
    }

    /// What of it is in the memory of the process; none if the kernel does not give it.
    fn memory_gives(&self, wanted: &Wanted) -> Option<Vec<&'static str>> {
        let pid = self.child.id();
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
        let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
        let (mut found, mut looked_at) = (Vec::new(), 0);
        for line in maps.lines() {
            let mut words = line.split_whitespace();
            let range = words.next()?;
            if !words.next()?.starts_with("rw") {
                continue;
            }
            let (from, to) = range.split_once('-')?;
            let from = u64::from_str_radix(from, 16).ok()?;
            let to = u64::from_str_radix(to, 16).ok()?;
            let mut bytes = vec![0; (to - from) as usize];
            if memory.read_exact_at(&mut bytes, from).is_ok() {
                looked_at += bytes.len();
                found.extend(wanted.found_in(&bytes));
            }
        }
        assert!(looked_at > 1 << 20, "only {looked_at} bytes could be read");
        Some(found)
    }

    /// Ends it as a fault would; whether the kernel wrote a core file.
    fn leaves_a_core_file(mut self) -> bool {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
        // A shell that starts programs in the background lets them ignore SIGQUIT.
        rustix::process::kill_process(pid, rustix::process::Signal::ABORT).expect("it is told");
        self.child.wait().expect("it ends").core_dumped()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A card that is a file, with an ext4 on it.
struct Card(tempfile::TempDir);

fn runs(program: &str, arguments: &[&Path]) {
    let status = Command::new(program).args(arguments).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "{program} {arguments:?}"
    );
}

impl Card {
    fn mounted() -> Self {
        let card = Self(tempfile::tempdir().expect("a folder"));
        let file = File::create(card.device()).expect("a card");
        file.set_len(64 << 20).expect("its size");
        runs("mkfs.ext4", &[Path::new("-q"), &card.device()]);
        std::fs::create_dir(card.place()).expect("a folder");
        let how = [Path::new("-o"), Path::new("loop")];
        runs(
            "mount",
            &[&how[..], &[&card.device(), &card.place()]].concat(),
        );
        card
    }

    fn device(&self) -> PathBuf {
        self.0.path().join("card.img")
    }

    fn place(&self) -> PathBuf {
        self.0.path().join("mounted")
    }

    fn raw(&self) -> Vec<u8> {
        runs("sync", &[Path::new("-f"), &self.place()]);
        std::fs::read(self.device()).expect("the card")
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.place()).output();
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

#[test]
fn nothing_is_found_after_fifty_messages() {
    if std::env::var_os(PLACE).is_some() || !mounting::is_possible("what a card gives away") {
        return;
    }
    let card = Card::mounted();
    let place = card.place().join("spool");
    let mut city = City {
        identity: Identity::generate(&mut KernelRandom).expect("a key"),
        wanted: Wanted::default(),
        place: place.clone(),
    };
    let mut booth = Running::start(&place, &city.identity, false);
    let mut shown = 0;
    loop {
        match booth.shows().as_str() {
            "end" => break,
            // The control: while its citizen can hear it, the take's packets are in memory, and nowhere else.
            "held" => {
                let Some(found) = booth.memory_gives(&city.wanted) else {
                    panic!("the memory of another process is not given, although this is root");
                };
                assert!(
                    found.contains(&"a packet"),
                    "the search finds nothing: {found:?}"
                );
                assert_eq!(city.wanted.found_in(&card.raw()), [""; 0]);
            }
            what => city.looks_at(what),
        }
        shown += 1;
        booth.goes_on();
    }
    assert!(shown > 80, "{shown}");
    println!(
        "{} pieces of {MESSAGES} messages are looked for",
        city.wanted.count
    );
    assert!(city.wanted.count > 4_000, "{}", city.wanted.count);
    for path in files(&card.place()) {
        let found = city.wanted.found_in(&std::fs::read(&path).expect("a file"));
        assert_eq!(found, [""; 0], "{}", path.display());
    }
    assert_eq!(
        city.wanted.found_in(&card.raw()),
        [""; 0],
        "on the raw card"
    );
    if let Some(found) = booth.memory_gives(&city.wanted) {
        assert_eq!(found, [""; 0], "in the booth's memory");
    }
    assert!(!booth.leaves_a_core_file());
    assert!(
        !files(card.0.path())
            .iter()
            .any(|path| path.to_string_lossy().contains("core")),
        "a core file"
    );
    // The same process without its protection, where the kernel writes core files at all.
    let other = tempfile::tempdir().expect("a folder");
    let mut open = Running::start(&other.path().join("spool"), &city.identity, true);
    open.shows();
    println!(
        "control: an unprotected booth leaves a core file: {}",
        open.leaves_a_core_file()
    );
}
