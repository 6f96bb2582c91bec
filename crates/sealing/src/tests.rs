//! What a sealed clip promises, and each attack on it.

use booth_contract::FrameFacts;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::body::{BEFORE_ENVELOPE, FINAL, FRAME_COST};
use crate::envelope::{self, EnvelopeError};
use crate::open::{Ending, Head, OpenError, Opened, open, open_with};
use crate::{
    DataKey, Identity, KernelRandom, KeyError, NoRandom, Random, Recipient, Recipients, Sealer,
};

/// The same bytes each time: SHA-256 of a name and a count.
struct Fixed(&'static str, u64);

impl Random for Fixed {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandom> {
        for chunk in bytes.chunks_mut(32) {
            let block = Sha256::digest(format!("{} {}", self.0, self.1));
            chunk.copy_from_slice(&block[..chunk.len()]);
            self.1 += 1;
        }
        Ok(())
    }
}

const CLIP: Uuid = Uuid::from_u128(0x1b4e_28ba_2fa1_4d13_a3ae_6f1f_2c1d_9e01);
const OTHER_CLIP: Uuid = Uuid::from_u128(0x1b4e_28ba_2fa1_4d13_a3ae_6f1f_2c1d_9e02);

fn identity(name: &'static str) -> Identity {
    Identity::generate(&mut Fixed(name, 0)).unwrap()
}

fn city() -> Recipients {
    Recipients::new(vec![
        identity("city").recipient(),
        identity("archive").recipient(),
    ])
    .unwrap()
}

/// One Ogg page with a single packet; the last one of a stream has its flag.
fn page(number: u32, granule: u64, is_last: bool, packet: &[u8]) -> Vec<u8> {
    let mut page = b"OggS\x00".to_vec();
    page.push(if is_last { 4 } else { 0 });
    page.extend_from_slice(&granule.to_le_bytes());
    page.extend_from_slice(&7_u32.to_le_bytes());
    page.extend_from_slice(&number.to_le_bytes());
    page.extend_from_slice(&[0; 4]);
    let segments: Vec<u8> = packet.chunks(255).map(|part| part.len() as u8).collect();
    page.push(segments.len() as u8);
    page.extend_from_slice(&segments);
    page.extend_from_slice(packet);
    page
}

fn facts(frame: u32) -> FrameFacts {
    FrameFacts {
        samples: 24_000,
        mean_square: 0.25 / (1 + frame) as f32,
        peak: 1_000 + frame as u16,
        speech: frame.is_multiple_of(2),
    }
}

/// The pages of a clip of so many frames.
fn spoken(frames: u32) -> Vec<Vec<u8>> {
    let pages = (0..frames).map(|n| {
        let packet = vec![n as u8 + 1; 100 + 7 * n as usize];
        page(n, 24_000 * u64::from(n + 1), n + 1 == frames, &packet)
    });
    pages.collect()
}

/// A sealed body: its head, and each of its frames.
struct Body {
    head: Vec<u8>,
    frames: Vec<Vec<u8>>,
    key: DataKey,
}

impl Body {
    fn of(clip: Uuid, name: &'static str, frames: u32) -> Self {
        let mut random = Fixed(name, 0);
        let key = DataKey::generate(&mut random).unwrap();
        let (mut sealer, head) = Sealer::begin(clip, &key, &city(), &mut random).unwrap();
        let pages = spoken(frames);
        let mut sealed = Vec::new();
        let (last, before) = pages.split_last().unwrap();
        for (n, pages) in (0..).zip(before) {
            sealed.push(sealer.seal(facts(n), pages));
        }
        sealed.push(sealer.seal_last(facts(frames - 1), last));
        Self {
            head,
            frames: sealed,
            key,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        [self.head.clone(), self.frames.concat()].concat()
    }

    /// Where frame `n` begins.
    fn at(&self, n: usize) -> usize {
        self.head.len() + self.frames[..n].iter().map(Vec::len).sum::<usize>()
    }
}

fn opened(body: &[u8]) -> Result<Opened, OpenError> {
    open(body, &[identity("archive")])
}

/// What is opened of a body of which the first `frames` frames are believed, and no more.
fn assert_first(opened: &Opened, frames: usize, of: u32) {
    let spoken = spoken(of)[..frames].concat();
    assert!(opened.ogg.starts_with(&spoken));
    assert_eq!(
        opened.facts,
        (0..frames as u32).map(facts).collect::<Vec<_>>()
    );
    assert!(!opened.ending.has_all());
    // What follows is the closing page alone: silence for the encoder's delay.
    let rest = &opened.ogg[spoken.len()..];
    match frames {
        0 => assert!(rest.is_empty()),
        _ => assert!(
            rest.starts_with(b"OggS") && rest[5] == 4 && rest.len() < 40,
            "{rest:?}"
        ),
    }
}

#[test]
fn each_recipient_alone_opens_what_was_said_and_nobody_else_does() {
    let body = Body::of(CLIP, "clip", 4);
    for name in ["city", "archive"] {
        let opened = open(&body.bytes(), &[identity("stranger"), identity(name)]).unwrap();
        assert_eq!(*opened.ogg, spoken(4).concat());
        assert_eq!(opened.facts, (0..4).map(facts).collect::<Vec<_>>());
        assert_eq!(
            (opened.clip, opened.ending.clone(), opened.samples()),
            (CLIP, Ending::Whole, 96_000)
        );
    }
    let refused = open(&body.bytes(), &[identity("stranger")]).unwrap_err();
    assert!(
        matches!(refused, OpenError::Envelope(EnvelopeError::NotForUs)),
        "{refused}"
    );
    assert_eq!(
        *open_with(&body.bytes(), &body.key).unwrap().ogg,
        spoken(4).concat()
    );
}

#[test]
fn nothing_of_what_was_said_lies_open() {
    let body = Body::of(CLIP, "clip", 4).bytes();
    for spoken in spoken(4) {
        let piece = &spoken[40..56];
        assert!(!body.windows(piece.len()).any(|window| window == piece));
    }
    assert!(!body.windows(4).any(|window| window == b"OggS"));
}

#[test]
fn a_cut_anywhere_gives_the_whole_frames_before_it_and_is_told_from_a_clean_end() {
    let body = Body::of(CLIP, "clip", 4);
    let bytes = body.bytes();
    for cut in 0..bytes.len() {
        let found = opened(&bytes[..cut]);
        if cut < body.head.len() {
            assert!(matches!(found, Err(OpenError::NoHead)), "{cut}: {found:?}");
            continue;
        }
        let whole = (0..=4).rev().find(|&n| body.at(n) <= cut).unwrap();
        let found = found.unwrap();
        assert_first(&found, whole, 4);
        let ending = match body.at(whole) {
            at if at == cut => Ending::Cut,
            at => Ending::CutWithin(at as u64),
        };
        assert_eq!(found.ending, ending, "cut at {cut}");
    }
}

#[test]
fn a_flipped_bit_anywhere_is_refused_or_ends_the_clip_right_before_it() {
    let body = Body::of(CLIP, "clip", 4);
    let mut bytes = body.bytes();
    for at in 0..body.head.len() {
        bytes[at] ^= 1 << (at % 8);
        let found = opened(&bytes);
        assert!(found.is_err(), "byte {at} of the head: {found:?}");
        bytes[at] ^= 1 << (at % 8);
    }
    for at in body.head.len()..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            let whole = (0..4).rev().find(|&n| body.at(n) <= at).unwrap();
            let found = open_with(&bytes, &body.key).unwrap();
            assert_first(&found, whole, 4);
            // A changed length may reach beyond the end.
            let place = body.at(whole) as u64;
            assert!([Ending::Damaged(place), Ending::CutWithin(place)].contains(&found.ending));
            bytes[at] ^= 1 << bit;
        }
    }
}

#[test]
fn frames_that_are_dropped_repeated_swapped_moved_or_marked_as_last_end_the_clip_before_them() {
    let body = Body::of(CLIP, "clip", 5);
    let same_key_other_clip = Body::of(OTHER_CLIP, "clip", 5);
    let other = Body::of(CLIP, "another take", 5);
    let frames = &body.frames;
    let mut marked = frames[2].clone();
    let mark = u32::from_le_bytes(marked[..4].try_into().unwrap()) | FINAL;
    marked[..4].copy_from_slice(&mark.to_le_bytes());
    let mut unmarked = frames[4].clone();
    let mark = u32::from_le_bytes(unmarked[..4].try_into().unwrap()) & !FINAL;
    unmarked[..4].copy_from_slice(&mark.to_le_bytes());
    let f = |n: usize| &frames[n];
    let arranged: Vec<(&str, Vec<&Vec<u8>>, usize)> = vec![
        ("dropped", vec![f(0), f(2), f(3), f(4)], 1),
        ("first dropped", vec![f(1), f(2), f(3), f(4)], 0),
        ("repeated", vec![f(0), f(1), f(1), f(2), f(3), f(4)], 2),
        ("swapped", vec![f(0), f(2), f(1), f(3), f(4)], 1),
        ("early end", vec![f(0), f(1), &marked], 2),
        (
            "end that is none",
            vec![f(0), f(1), f(2), f(3), &unmarked],
            4,
        ),
        ("the last one early", vec![f(0), f(1), f(4)], 2),
        (
            "of another clip under the same key",
            vec![f(0), f(1), &same_key_other_clip.frames[2]],
            2,
        ),
        (
            "of another take",
            vec![f(0), f(1), &other.frames[2], f(3), f(4)],
            2,
        ),
    ];
    for (what, order, whole) in arranged {
        let bytes = [&body.head]
            .into_iter()
            .chain(order)
            .flatten()
            .copied()
            .collect::<Vec<u8>>();
        let found = opened(&bytes).unwrap();
        assert_first(&found, whole, 5);
        assert_eq!(
            found.ending,
            Ending::Damaged(body.at(whole) as u64),
            "{what}"
        );
    }
}

#[test]
fn what_follows_the_last_frame_is_no_part_of_the_clip() {
    let body = Body::of(CLIP, "clip", 3);
    for more in [vec![0], body.frames[2].clone(), vec![0xAA; 5_000]] {
        let found = opened(&[body.bytes(), more].concat()).unwrap();
        assert_eq!(*found.ogg, spoken(3).concat());
        assert_eq!(found.ending, Ending::Followed(body.bytes().len() as u64));
    }
}

#[test]
fn a_head_that_is_not_this_clips_own_opens_nothing() {
    let body = Body::of(CLIP, "clip", 3);
    let other = Body::of(OTHER_CLIP, "another take", 3);
    let with = |envelope: &[u8], commitment: &[u8]| {
        let mut bytes = body.head[..24].to_vec();
        bytes.extend_from_slice(&(envelope.len() as u32).to_le_bytes());
        bytes.extend_from_slice(commitment);
        bytes.extend_from_slice(envelope);
        bytes.extend_from_slice(&body.frames.concat());
        bytes
    };
    let (ours, theirs) = (
        Head::read(&body.head).unwrap(),
        Head::read(&other.head).unwrap(),
    );
    let commitment = &body.head[28..BEFORE_ENVELOPE];
    assert_eq!(
        opened(&with(ours.envelope, commitment)).unwrap().ending,
        Ending::Whole
    );

    let moved = opened(&with(theirs.envelope, &other.head[28..BEFORE_ENVELOPE]));
    assert!(matches!(moved, Err(OpenError::OtherClip)), "{moved:?}");
    let uncommitted = opened(&with(ours.envelope, &other.head[28..BEFORE_ENVELOPE]));
    assert!(
        matches!(uncommitted, Err(OpenError::OtherKey)),
        "{uncommitted:?}"
    );

    // An envelope of this clip with another key, for which the frames were not sealed.
    let content = [CLIP.as_bytes(), &[9; 32][..]].concat();
    let envelope = envelope::seal(&content, &city(), &mut Fixed("liar", 0)).unwrap();
    let foreign = opened(&with(&envelope, commitment));
    assert!(matches!(foreign, Err(OpenError::OtherKey)), "{foreign:?}");
    for short in [0, 15, 16, 47] {
        let envelope = envelope::seal(&content[..short], &city(), &mut Fixed("liar", 0)).unwrap();
        let found = opened(&with(&envelope, commitment));
        assert!(
            matches!(found, Err(OpenError::OtherClip | OpenError::OtherKey)),
            "{short}: {found:?}"
        );
    }
    for garbage in [
        vec![0x5A; 16_384],
        vec![],
        b"age-encryption.org/v1\n".to_vec(),
    ] {
        let found = opened(&with(&garbage, commitment));
        assert!(matches!(found, Err(OpenError::Envelope(_))), "{found:?}");
    }
    let mut longer = with(ours.envelope, commitment);
    longer[24..28].copy_from_slice(&16_385_u32.to_le_bytes());
    assert!(matches!(
        opened(&longer),
        Err(OpenError::Envelope(EnvelopeError::TooLong(16_385)))
    ));
}

#[test]
fn an_envelope_for_others_replaces_the_first_one_and_the_body_stays() {
    let body = Body::of(CLIP, "clip", 3);
    let head = Head::read(&body.head).unwrap();
    let content = envelope::open(head.envelope, &[identity("city")]).unwrap();
    let new = Recipients::new(vec![identity("next year").recipient()]).unwrap();
    let envelope = envelope::seal(&content, &new, &mut KernelRandom).unwrap();
    let mut bytes = body.head[..24].to_vec();
    bytes.extend_from_slice(&(envelope.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&body.head[28..BEFORE_ENVELOPE]);
    bytes.extend_from_slice(&envelope);
    bytes.extend_from_slice(&body.frames.concat());
    assert!(
        opened(&bytes).is_err(),
        "the old key has no envelope any more"
    );
    let found = open(&bytes, &[identity("next year")]).unwrap();
    assert_eq!((*found.ogg).clone(), spoken(3).concat());
}

#[test]
fn a_later_version_and_other_files_are_named_as_such() {
    let mut bytes = Body::of(CLIP, "clip", 1).bytes();
    bytes[7] = 2;
    assert!(matches!(opened(&bytes), Err(OpenError::Version(2))));
    assert!(matches!(
        opened(b"OggS\0\x02 and so on"),
        Err(OpenError::NotSealed)
    ));
    assert!(matches!(opened(b""), Err(OpenError::NoHead)));
    assert!(matches!(opened(b"BOOTH"), Err(OpenError::NoHead)));
}

#[test]
fn no_two_clips_and_no_two_frames_look_alike_although_the_same_was_said() {
    let take = |clip| {
        let key = DataKey::generate(&mut KernelRandom).unwrap();
        let (mut sealer, head) = Sealer::begin(clip, &key, &city(), &mut KernelRandom).unwrap();
        let said = page(0, 960, false, &[1; 200]);
        [
            head,
            sealer.seal(facts(0), &said),
            sealer.seal(facts(0), &said),
            sealer.seal_last(facts(0), &said),
        ]
    };
    let (one, again) = (take(CLIP), take(CLIP));
    let [_, a, b, c] = &one;
    let [_, d, e, f] = &again;
    let all = [a, b, c, d, e, f];
    for (n, frame) in all.iter().enumerate() {
        assert!(all[..n].iter().all(|other| other[4..] != frame[4..]));
    }
    assert_ne!(one[0], again[0]);
}

#[test]
fn texts_that_are_no_public_key_are_refused_with_what_they_are() {
    let secret = identity("city").to_text();
    let public = identity("city").recipient().to_string();
    assert_eq!(Recipient::parse(&public).unwrap().to_string(), public);
    assert_eq!(
        Recipient::parse(&format!("  {public}\n"))
            .unwrap()
            .to_string(),
        public
    );
    assert_eq!(
        Recipient::parse(&public.to_ascii_uppercase())
            .unwrap()
            .to_string(),
        public
    );
    assert_eq!(
        Identity::parse(&secret).unwrap().recipient().to_string(),
        public
    );
    assert_eq!(Recipient::parse(&secret), Err(KeyError::Private));
    assert_eq!(
        Recipient::parse(&secret.to_ascii_lowercase()),
        Err(KeyError::Private)
    );
    assert_eq!(Identity::parse(&public).unwrap_err(), KeyError::Public);
    for (text, why) in [
        ("", KeyError::Strange),
        ("åge1", KeyError::Strange),
        ("hello", KeyError::Strange),
        ("ssh-ed25519 AAAA", KeyError::Unknown),
        ("age1pq1qqqq", KeyError::Mistyped),
        ("AGE-PLUGIN-YUBIKEY-1QQQQ", KeyError::Unknown),
    ] {
        assert_eq!(Recipient::parse(text), Err(why), "{text}");
    }
    // One wrong letter anywhere behind the first four.
    for at in 4..public.len() {
        let mut letters = public.clone().into_bytes();
        letters[at] = if letters[at] == b'q' { b'p' } else { b'q' };
        let text = String::from_utf8(letters).unwrap();
        assert_eq!(Recipient::parse(&text), Err(KeyError::Mistyped), "{text}");
    }
    // Points of small order: the exchange with them has a secret that everybody knows (RFC 7748 §6.1).
    let hrp = bech32::Hrp::parse("age").unwrap();
    for weak in [[0; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        let text = bech32::encode::<bech32::Bech32>(hrp, &weak).unwrap();
        assert_eq!(Recipient::parse(&text), Err(KeyError::Weak));
    }
    let short = bech32::encode::<bech32::Bech32>(hrp, &[7; 31]).unwrap();
    assert_eq!(Recipient::parse(&short), Err(KeyError::Unknown));
}

#[test]
fn a_list_of_recipients_has_one_to_thirty_two_different_keys() {
    let key = || Identity::generate(&mut KernelRandom).unwrap().recipient();
    assert_eq!(Recipients::new(vec![]), Err(KeyError::None));
    let one = key();
    assert!(matches!(
        Recipients::new(vec![one.clone(), key(), one]),
        Err(KeyError::Twice(_))
    ));
    let many: Vec<Recipient> = (0..300).map(|_| key()).collect();
    assert_eq!(Recipients::new(many.clone()), Err(KeyError::TooMany(300)));
    // As many as there may be fit into an envelope.
    let most = Recipients::new(many[..32].to_vec()).unwrap();
    let data_key = DataKey::generate(&mut KernelRandom).unwrap();
    let (_, head) = Sealer::begin(CLIP, &data_key, &most, &mut KernelRandom).unwrap();
    assert!(head.len() < 4_096, "{}", head.len());
}

#[test]
fn a_secret_is_not_in_what_is_printed() {
    let identity = identity("city");
    let key = DataKey::generate(&mut Fixed("clip", 0)).unwrap();
    let printed = format!("{identity:?} {key:?}");
    let secret = identity.to_text().to_string();
    assert!(
        !printed.contains(&secret[16..40]) && !printed.contains("SECRET"),
        "{printed}"
    );
    assert!(printed.ends_with("DataKey"), "{printed}");
}

#[test]
fn what_sealing_costs_is_twenty_bytes_a_frame_and_a_short_head() {
    let body = Body::of(CLIP, "clip", 120);
    let pages = spoken(120).concat().len();
    assert_eq!(
        body.frames.concat().len(),
        pages + 120 * (FRAME_COST + FrameFacts::BYTES)
    );
    assert!(body.head.len() <= 544, "{}", body.head.len());
}

/// Other tools write more into a header than we do.
#[test]
fn stanzas_of_other_kinds_are_skipped_and_a_header_of_thousands_is_refused() {
    let content = b"words";
    let file = envelope::seal(content, &city(), &mut Fixed("envelope", 0)).unwrap();
    assert_eq!(
        *envelope::open(&file, &[identity("city")]).unwrap(),
        content
    );
    let at = file.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let with = |stanzas: &str| [&file[..at], stanzas.as_bytes(), &file[at..]].concat();
    // The MAC covers them: a stanza that was put in afterwards is noticed.
    let greased = with("-> grease-x 1 2\nAAAA\n");
    let found = envelope::open(&greased, &[identity("city")]);
    assert!(matches!(found, Err(EnvelopeError::Changed)), "{found:?}");
    let thousands = with(&"-> x\n\n".repeat(200));
    let found = envelope::open(&thousands, &[identity("city")]);
    assert!(
        matches!(found, Err(EnvelopeError::Malformed(_))),
        "{found:?}"
    );
}

proptest! {
    #[test]
    fn rubbish_is_refused_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000), from in 0_usize..700) {
        let _ = opened(&bytes);
        let _ = envelope::open(&bytes, &[identity("city")]);
        // Behind a beginning that is right.
        let body = Body::of(CLIP, "clip", 2).bytes();
        let start = &body[..from.min(body.len())];
        if let Ok(found) = opened(&[start, &bytes].concat()) {
            prop_assert!(found.facts.len() <= 2);
        }
        let _ = Recipient::parse(&String::from_utf8_lossy(&bytes));
        let _ = Identity::parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_text_of_any_length_comes_back_from_an_envelope(content in proptest::collection::vec(any::<u8>(), 0..4_096)) {
        let file = envelope::seal(&content, &city(), &mut KernelRandom).unwrap();
        let back = envelope::open(&file, &[identity("archive")]).unwrap();
        prop_assert_eq!(&*back, &content);
    }
}
