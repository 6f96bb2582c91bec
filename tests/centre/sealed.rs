//! Sealed clips at a hub that has the city's key.
#![allow(clippy::disallowed_methods)]

use booth_contract::AckStatus;
use booth_contract::FrameFacts;
use booth_host::plain_file::make_private;
use booth_sealing::{DataKey, Identity, KernelRandom, Recipients, Sealer};
use booth_testkit::hub::{Booth, Broker, Clip, Home, Hub};
use booth_testkit::spool_rig::long_speech;
use serde_json::json;

const BOOTH: &str = "rundhoej-1";

/// Two seconds of speech, sealed as the clip of this id: the whole body, and the body without its last frame.
fn sealed(id: &str, city: &Identity) -> [Vec<u8>; 2] {
    let recipients = Recipients::new(vec![city.recipient()]).expect("one key");
    let key = DataKey::generate(&mut KernelRandom).expect("a key");
    let clip = uuid::Uuid::parse_str(id).expect("an id");
    let (mut sealer, mut body) =
        Sealer::begin(clip, &key, &recipients, &mut KernelRandom).expect("it begins");
    let facts = FrameFacts {
        samples: 24_000,
        ..FrameFacts::default()
    };
    for frame in &long_speech()[..3] {
        body.extend(sealer.seal(facts, &frame.pages));
    }
    let cut = body.clone();
    body.extend(sealer.seal_last(facts, &long_speech()[3].pages));
    [body, cut]
}

/// A clip with this sealed body.
fn clip(clip_no: u64, body: Vec<u8>, recovered: u8) -> Clip {
    let mut clip = Clip::with_body(BOOTH, clip_no, body);
    clip.manifest["body"] = json!("sealed-ogg-opus/1");
    clip.manifest["recovered"] = json!(recovered);
    clip
}

fn id(clip_no: u64) -> String {
    Clip::with_body(BOOTH, clip_no, Vec::new()).id
}

#[test]
fn a_sealed_body_of_another_clip_is_refused_and_one_that_is_not_whole_is_not_played() {
    let city = Identity::generate(&mut KernelRandom).expect("a key");
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("city.key");
    make_private(&key, city.to_text().as_bytes()).expect("a key");
    let home = Home::new(broker.port, &format!("[privacy]\nidentities = [{key:?}]\n"));
    let hub = Hub::start(&home);
    let booth = Booth::connect(broker.port, BOOTH);
    booth.hub_becomes("online");
    let played = |clip: &Clip| hub.fetch(&format!("clips/{}", clip.id), "").0;

    let [whole, _] = sealed(&id(1), &city);
    let first = clip(1, whole.clone(), 0);
    booth.deliver(&first);
    assert_eq!(played(&first), 200);
    // The same words under another name.
    let again = clip(2, whole, 0);
    booth.offer(&again);
    booth.send_parts(&again, 0, again.body.len());
    let ack = booth.ack();
    assert_eq!(ack.status, AckStatus::Reject);
    assert!(
        ack.reason
            .as_deref()
            .is_some_and(|why| why.contains("another clip's"))
    );
    assert_eq!(played(&again), 404);

    // A clip whose end is missing is played only if a power cut ended it.
    let [_, cut] = sealed(&id(3), &city);
    let shortened = clip(3, cut, 0);
    booth.deliver(&shortened);
    assert_eq!(played(&shortened), 404);
    let [_, cut] = sealed(&id(4), &city);
    let recovered = clip(4, cut, 1);
    booth.deliver(&recovered);
    assert_eq!(played(&recovered), 200);

    // One that was changed is not played.
    let [whole, _] = sealed(&id(5), &city);
    let flipped: Vec<u8> = whole
        .iter()
        .enumerate()
        .map(|(at, byte)| byte ^ u8::from(at == 700))
        .collect();
    let changed = clip(5, flipped, 0);
    booth.deliver(&changed);
    assert_eq!(played(&changed), 404);
    hub.kill();
}
