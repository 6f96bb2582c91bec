//! Sealed bodies at rest: the envelope apart from the body, open bodies sealed before they are kept.

use super::withdrawals::{City, NOWHERE};
use super::*;
use crate::view::ClipFile;
use booth_contract::FrameFacts;
use booth_sealing::open::BEFORE_ENVELOPE;
use booth_sealing::{DataKey, Ending, KernelRandom, Sealer};

const WORDS: &[u8] = include_bytes!("../../../../sealing/vectors/clip.opus");

/// A clip as a booth seals it.
pub(super) fn sealed(city: &City, n: u64) -> Clip {
    let mut clip = numbered(n);
    let id = uuid::Uuid::try_parse(&clip.id).expect("a UUID");
    let key = DataKey::generate(&mut KernelRandom).expect("a key");
    let (sealer, mut body) = Sealer::begin(id, &key, &city.to, &mut KernelRandom).expect("begins");
    body.extend(sealer.seal_last(FrameFacts::NONE, WORDS));
    clip.manifest["body"] = json!("sealed-ogg-opus/1");
    clip.manifest["duration_ms"] = json!(1_000);
    clip.manifest["key_ids"] = json!(city.to.ids());
    clip.manifest["bytes"] = json!(body.len());
    clip.manifest["sha256"] = json!(booth_contract::hex(&Sha256::digest(&body)));
    clip.body = body;
    clip
}

/// The same words, from a booth that does not seal.
fn open(n: u64) -> Clip {
    let mut clip = numbered(n);
    clip.body = WORDS.to_vec();
    clip.manifest["duration_ms"] = json!(1_000);
    clip.manifest["bytes"] = json!(WORDS.len());
    clip.manifest["sha256"] = json!(booth_contract::hex(&Sha256::digest(WORDS)));
    clip
}

fn body_of(bench: &Bench, clip: &Clip) -> PathBuf {
    let part = Part::Body(BodyKind::SealedOggOpus);
    record::path(&bench.dir().join("clips"), &clip.id, part)
}

fn envelope_of(bench: &Bench, clip: &Clip) -> PathBuf {
    Private::beside(&bench.dir()).envelope(&clip.id)
}

/// The words, as the pages play them.
pub(super) fn heard(bench: &Bench, city: &City, clip: &Clip) -> Option<Vec<u8>> {
    let views = bench.views().opening_with(city.keys());
    let ClipFile { files, sealed, .. } = views.clip_file(&clip.id)?;
    assert!(sealed.is_some());
    let opened = city.keys().open(&files.read().ok()?).ok()?;
    assert_eq!(opened.ending, Ending::Whole);
    Some(opened.ogg.to_vec())
}

fn found(bench: &Bench) -> Vec<&'static str> {
    let findings = check::look(&bench.dir(), Progress::new("read"), false)
        .expect("checks")
        .findings;
    findings.iter().map(|finding| finding.what).collect()
}

#[test]
fn the_envelope_lies_apart_and_without_it_nobody_opens_the_body() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let clip = sealed(&city, 1);
    assert_eq!(status(bench.whole(&clip)), Some(AckStatus::Stored));
    let kept = fs::read(body_of(&bench, &clip)).expect("a body");
    let envelope = fs::read(envelope_of(&bench, &clip)).expect("an envelope");
    assert_eq!(kept.len(), clip.body.len());
    let (at, to) = (BEFORE_ENVELOPE, BEFORE_ENVELOPE + envelope.len());
    assert_eq!(envelope, &clip.body[at..to]);
    assert!(kept[at..to].iter().all(|byte| *byte == 0));
    assert!(
        city.keys().open(&kept).is_err(),
        "the body alone is nothing"
    );
    assert_eq!(heard(&bench, &city, &clip).as_deref(), Some(WORDS));
    assert_eq!(found(&bench), [""; 0]);
    // After a restart, and from files alone.
    bench = bench.restart();
    assert_eq!(status(bench.offer(&clip)), Some(AckStatus::Stored));
    let (bench, rebuilt) = bench.rebuilt();
    assert_eq!((rebuilt.clips, rebuilt.lost.len()), (1, 0));
    let mut bench = bench.with_key(&city);
    assert_eq!(heard(&bench, &city, &clip).as_deref(), Some(WORDS));
    // A lost envelope is a lost body: it is named, and asked for again.
    fs::remove_file(envelope_of(&bench, &clip)).expect("removed");
    assert_eq!(found(&bench), ["missing_envelope"]);
    assert_eq!(status(bench.offer(&clip)), Some(AckStatus::Partial));
    for from in (0..clip.body.len()).step_by(PART) {
        bench.part(&clip, from, (from + PART).min(clip.body.len()));
    }
    assert_eq!(heard(&bench, &city, &clip).as_deref(), Some(WORDS));
    assert_eq!(status(bench.offer(&clip)), Some(AckStatus::Stored));
    assert_eq!(found(&bench), [""; 0]);
}

const PART: usize = 10_000;

#[test]
fn the_envelopes_of_a_store_of_the_version_before_are_taken_out_at_the_start() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let clip = sealed(&city, 1);
    bench.whole(&clip);
    fs::write(body_of(&bench, &clip), &clip.body).expect("as before");
    fs::remove_file(envelope_of(&bench, &clip)).expect("as before");
    assert_eq!(
        heard(&bench, &city, &clip).as_deref(),
        Some(WORDS),
        "read on"
    );
    assert_eq!(found(&bench), [""; 0]);
    bench
        .store
        .db
        .execute("UPDATE store SET has_envelopes_apart = 0", [])
        .expect("as before");
    bench = bench.restart();
    assert!(envelope_of(&bench, &clip).exists());
    let kept = fs::read(body_of(&bench, &clip)).expect("a body");
    assert!(city.keys().open(&kept).is_err());
    assert_eq!(heard(&bench, &city, &clip).as_deref(), Some(WORDS));
    assert_eq!(found(&bench), [""; 0]);
}

#[test]
fn a_cut_anywhere_in_a_commit_loses_no_sealed_clip_that_was_stored() {
    let city = City::new();
    for left in 0..8 {
        for is_open in [false, true] {
            let mut bench = Bench::standard(&city);
            bench.store.seals_to = Some(city.to.clone());
            let clip = match is_open {
                true => open(1),
                false => sealed(&city, 1),
            };
            bench.store.cut = Some(Cut { left, at: None });
            let mut send = |topic: String, payload: &[u8]| {
                let message = Message {
                    topic: format!("booth/1/up/{BOOTH}/{topic}"),
                    payload: payload.to_vec(),
                    retained: false,
                    expiry_s: None,
                };
                bench.store.handle(bench.wall, bench.mono, &message)
            };
            let offered = send(
                format!("clip/{}", clip.id),
                clip.manifest.to_string().as_bytes(),
            );
            let sent = offered.and_then(|_| {
                let mut last = None;
                for from in (0..clip.body.len()).step_by(PART) {
                    let to = (from + PART).min(clip.body.len());
                    last = send(format!("part/{}/{from}", clip.id), &clip.body[from..to])?;
                }
                Ok(last)
            });
            let _ = sent.and_then(|last| bench.store.commit().map(|()| last));
            bench.store.cut = None;
            let mut bench = bench.restart().with_key(&city);
            bench.store.seals_to = Some(city.to.clone());
            let mut last = bench.offer(&clip);
            for _ in 0..2 {
                for from in (0..clip.body.len()).step_by(PART) {
                    let to = (from + PART).min(clip.body.len());
                    last = bench.part(&clip, from, to).or(last);
                }
                last = bench.offer(&clip).or(last);
            }
            assert_eq!(status(last), Some(AckStatus::Stored), "{left} {is_open}");
            assert_eq!(
                heard(&bench, &city, &clip).as_deref(),
                Some(WORDS),
                "{left} {is_open}"
            );
            let named = found(&bench);
            assert!(
                named.iter().all(|what| *what == "set_aside"),
                "{left} {is_open} {named:?}"
            );
        }
    }
}

#[test]
fn what_comes_open_is_sealed_before_it_is_kept_and_plays_as_it_was_said() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    bench.store.seals_to = Some(city.to.clone());
    let clip = open(1);
    assert_eq!(status(bench.whole(&clip)), Some(AckStatus::Stored));
    let words = &WORDS[WORDS.len() / 2..][..64];
    assert_eq!(bench.files_with(words), NOWHERE, "nowhere open");
    assert_eq!(heard(&bench, &city, &clip).as_deref(), Some(WORDS));
    let views = bench.views().opening_with(city.keys());
    assert!(views.answers(9).clips[0].can_be_heard);
    assert!(
        !bench.views().answers(9).clips[0].can_be_heard,
        "without the key"
    );
    assert_eq!(
        status(bench.offer(&clip)),
        Some(AckStatus::Stored),
        "the same clip"
    );
    assert_eq!(found(&bench), [""; 0]);
    // Another version is sealed too, where it waits for an operator.
    let mut other = open(1);
    other.manifest["bytes"] = json!(WORDS.len());
    let last = other.body.len() - 1;
    other.body[last] ^= 1;
    other.manifest["sha256"] = json!(booth_contract::hex(&Sha256::digest(&other.body)));
    bench.send(
        &format!("rundhoej-2/clip/{}", other.id),
        other.manifest.to_string().as_bytes(),
    );
    for from in (0..other.body.len()).step_by(PART) {
        let to = (from + PART).min(other.body.len());
        bench.send(
            &format!("rundhoej-2/part/{}/{from}", other.id),
            &other.body[from..to],
        );
    }
    let dir = bench.dir();
    assert_eq!(
        fs::read_dir(dir.join("disputed"))
            .expect("a folder")
            .count(),
        2
    );
    assert_eq!(bench.files_with(words), NOWHERE);
    let (mut bench, rebuilt) = bench.rebuilt();
    assert_eq!((rebuilt.clips, rebuilt.lost.len()), (1, 0));
    bench.store.seals_to = Some(city.to.clone());
    assert_eq!(heard(&bench, &city, &clip).as_deref(), Some(WORDS));
    // Rotten, and sent again by its booth: sealed anew.
    fs::write(body_of(&bench, &clip), b"rotten").expect("written");
    assert_eq!(status(bench.offer(&clip)), Some(AckStatus::Partial));
    for from in (0..WORDS.len()).step_by(PART) {
        bench.part(&clip, from, (from + PART).min(WORDS.len()));
    }
    assert_eq!(status(bench.offer(&clip)), Some(AckStatus::Stored));
    assert_eq!(heard(&bench, &city, &clip).as_deref(), Some(WORDS));
    assert_eq!(found(&bench), [""; 0]);
}

#[test]
fn a_held_clip_that_gives_way_takes_its_envelope_along() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    bench.birth("card-1", "1-1", "s1");
    let [theirs, true_one] = [sealed(&city, 1), sealed(&city, 1)];
    let from = |bench: &mut Bench, sender: &str, clip: &Clip| {
        let manifest = clip.manifest.to_string();
        let mut last = bench.send(&format!("{sender}/clip/{}", clip.id), manifest.as_bytes());
        for at in (0..clip.body.len()).step_by(PART) {
            let to = (at + PART).min(clip.body.len());
            let topic = format!("{sender}/part/{}/{at}", clip.id);
            last = bench.send(&topic, &clip.body[at..to]).or(last);
        }
        last
    };
    assert_eq!(
        status(from(&mut bench, "rundhoej-2", &theirs)),
        Some(AckStatus::Stored)
    );
    assert_eq!(
        status(from(&mut bench, BOOTH, &true_one)),
        Some(AckStatus::Stored)
    );
    assert_eq!(heard(&bench, &city, &true_one).as_deref(), Some(WORDS));
    let aside = fs::read_dir(bench.dir().join("disputed")).expect("a folder");
    let bodies: Vec<Vec<u8>> = aside
        .map(|entry| fs::read(entry.expect("a file").path()).expect("reads"))
        .collect();
    assert!(
        bodies.contains(&theirs.body),
        "whole, to be opened by whoever looks"
    );
    assert_eq!(found(&bench), [""; 0]);
    // Its words are gone with its envelope.
    bench
        .store
        .withdraw(bench.wall, &true_one.id)
        .expect("withdraws");
    assert!(!envelope_of(&bench, &true_one).exists() && !body_of(&bench, &true_one).exists());
    assert_eq!(
        fs::read_dir(bench.dir().join("disputed"))
            .expect("a folder")
            .count(),
        0
    );
}

#[test]
fn votes_are_counted_once_and_those_in_bursts_are_marked() {
    let mut bench = Bench::new();
    let vote = |n: u64, booth: &str, at: &str| {
        let mut vote = choice(n);
        vote.manifest["booth_id"] = json!(booth);
        vote.manifest["card_id"] = json!(format!("card-{booth}"));
        vote.manifest["campaign_id"] = json!("spring");
        vote.manifest["config_version"] = json!(7);
        vote.manifest["started_at"] = json!(format!("2026-03-01T{at}.000Z"));
        vote
    };
    // Four within a minute, and a fifth a moment later than that.
    let calm = ["10:00:00", "10:00:15", "10:00:30", "10:00:45", "10:01:01"];
    // Six within a minute, among others.
    let burst = [
        "12:00:00", "13:00:00", "13:00:10", "13:00:20", "13:00:30", "13:00:40", "13:01:00",
        "14:00:00",
    ];
    let mut n = 0;
    for (booth, times) in [(BOOTH, &calm[..]), ("rundhoej-2", &burst[..])] {
        for at in times {
            n += 1;
            let vote = vote(n, booth, at);
            for _ in 0..3 {
                let topic = format!("{booth}/clip/{}", vote.id);
                let ack = bench.send(&topic, vote.manifest.to_string().as_bytes());
                assert_eq!(status(ack), Some(AckStatus::Stored));
            }
        }
    }
    let mut other = choice(99);
    other.manifest["choice"] = json!(2);
    let text = format!("{}:square:2", other.id);
    other.manifest["sha256"] = json!(booth_contract::hex(&Sha256::digest(text.as_bytes())));
    bench.offer(&other);
    let view = bench.views().answers(9);
    assert_eq!((view.total, view.votes, view.polls_total), (14, 14, 2));
    let poll = &view.polls[0];
    assert_eq!(poll.campaign_id.as_deref(), Some("spring"));
    assert_eq!((poll.votes, poll.in_bursts), (13, 6));
    assert_eq!(poll.options, [(3, 13)]);
    assert_eq!(view.polls[1].options, [(2, 1)]);
    let page = crate::pages::answers(&crate::pages::Head::Own, &view, None).into_string();
    for said in [
        "14 votes were cast",
        "Votes cast",
        "6 votes in bursts",
        "<td>100.0 %</td>",
        "Campaign spring",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    // With a changed choice the hash does not fit.
    let mut forged = choice(100);
    forged.manifest["choice"] = json!(4);
    assert_eq!(status(bench.offer(&forged)), Some(AckStatus::Reject));
}

#[test]
fn operations_names_keys_that_it_does_not_know_and_booths_that_record_without_asking() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let mut introduce = |booth: &str, keys: &[String], consent: &str| {
        let birth = json!({"schema": 1, "booth_id": booth, "session": "1-1", "boot_id": "b",
            "boot_count": 1, "card_id": format!("card-{booth}"), "sealed": true, "consent_mode": consent,
            "recipient_key_ids": keys, "health_interval_s": 60});
        bench.send(&format!("{booth}/birth"), birth.to_string().as_bytes());
    };
    introduce("good-1", &city.to.ids(), "digit");
    let strange = "0123456789abcdef".to_owned();
    introduce(
        "strange-1",
        &[city.to.ids()[0].clone(), strange.clone()],
        "implied",
    );
    let shown = |views: StoreViews, bench: &Bench| {
        let fleet = views.read_fleet(bench.wall).expect("reads");
        let page =
            crate::pages::operations(&crate::pages::Head::Own, &fleet, None, &Default::default())
                .into_string();
        (fleet, page)
    };
    let (fleet, page) = shown(bench.views().opening_with(city.keys()), &bench);
    let of = |id: &str| {
        fleet
            .booths
            .iter()
            .find(|booth| booth.booth_id == id)
            .expect("there")
            .clone()
    };
    assert_eq!(of("good-1").unknown_keys, [""; 0]);
    assert_eq!(of("strange-1").unknown_keys, std::slice::from_ref(&strange));
    assert!(of("strange-1").consent_is_implied && !of("good-1").consent_is_implied);
    assert!(page.contains("1 booth seals to a key that this hub does not know"));
    assert!(page.contains("1 booth records without asking"));
    // Named in hub.toml it is known; a hub that knows no key at all judges none.
    let named = bench
        .views()
        .opening_with(city.keys())
        .expecting_keys(vec![strange]);
    assert!(!shown(named, &bench).1.contains("does not know"));
    assert!(!shown(bench.views(), &bench).1.contains("does not know"));
}

#[test]
fn a_childs_mark_stays_with_the_clip() {
    let mut bench = Bench::new();
    let clip = numbered(1);
    bench.whole(&clip);
    assert!(mark_child(&bench.dir(), &clip.id, true).expect("marks"));
    assert!(!mark_child(&bench.dir(), &numbered(2).id, true).expect("finds none"));
    let is_child = |bench: &Bench| {
        // The hub's own page and the city say the same.
        let on_page = bench.views().answers(9).clips[0].child;
        let mut config = crate::config::HubConfig::default();
        config.store.dir = bench.dir();
        let centre = crate::centre::HubCentre::open(config, Arc::new(bench.views()));
        let centre = centre.expect("opens");
        let arrived = booth_city::centre::Centre::arrived(&centre, 0, 10).expect("read");
        let marked = booth_city::centre::Centre::children(&centre).expect("read");
        assert_eq!(arrived[0].1.is_child, on_page);
        assert_eq!(marked.contains(&clip.id), on_page);
        assert_eq!(marked.len(), usize::from(on_page));
        on_page
    };
    assert!(is_child(&bench));
    (bench, _) = bench.rebuilt();
    assert!(is_child(&bench), "it is in the clip's own file");
    assert!(mark_child(&bench.dir(), &clip.id, false).expect("takes it away"));
    assert!(!is_child(&bench));
    assert_eq!(found(&bench), [""; 0]);
}
