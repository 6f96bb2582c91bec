//! What citizens take back, with the hub's and the desk's programs over a real broker.
#![allow(clippy::disallowed_methods)]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use booth_contract::{AckStatus, ClipId, FrameFacts, Receipt, Withdrawal};
use booth_host::plain_file::make_private;
use booth_sealing::{DataKey, Identity, KernelRandom, Recipients, Sealer, envelope};
use booth_testkit::hub::{Booth, Broker, Clip, Home, Hub, free_port};
use booth_testkit::hub_program::hub_program;
use booth_testkit::spool_rig::long_speech;
use serde_json::json;

const BOOTH: &str = "rundhoej-1";

/// Two seconds of speech as a booth seals them, with this receipt.
pub(crate) fn spoken(clip_no: u64, city: &Identity, receipt: &Receipt) -> Clip {
    let id = ClipId::from(Clip::with_body(BOOTH, clip_no, Vec::new()).id);
    let to = Recipients::new(vec![city.recipient()]).expect("one key");
    let key = DataKey::generate(&mut KernelRandom).expect("a key");
    let clip = uuid::Uuid::parse_str(&id).expect("an id");
    let (mut sealer, mut body) =
        Sealer::begin(clip, &key, &to, &mut KernelRandom).expect("it begins");
    let facts = FrameFacts {
        samples: 24_000,
        ..FrameFacts::default()
    };
    for frame in &long_speech()[..3] {
        body.extend(sealer.seal(facts, &frame.pages));
    }
    body.extend(sealer.seal_last(facts, &long_speech()[3].pages));
    let secret = envelope::seal(&receipt.text_for_clip(&id, None), &to, &mut KernelRandom);
    let mut clip = Clip::with_body(BOOTH, clip_no, body);
    clip.manifest["body"] = json!("sealed-ogg-opus/1");
    clip.manifest["key_ids"] = json!(to.ids());
    clip.manifest["sealed"] = json!(STANDARD.encode(secret.expect("sealed")));
    clip
}

/// Takes a message back at this booth, and waits for the hub's word.
fn takes_back(booth: &Booth, city: &Identity, receipt: &Receipt, n: u64) {
    let id = ClipId::from(format!("aaaaaaaa-8b86-4d01-b42d-{n:012x}"));
    let to = Recipients::new(vec![city.recipient()]).expect("one key");
    let secret = envelope::seal(&receipt.text_for_withdrawal(&id), &to, &mut KernelRandom);
    let withdrawal = Withdrawal {
        sealed: STANDARD.encode(secret.expect("sealed")),
        id: id.clone(),
        ts: String::new(),
    };
    booth.publish(&format!("withdraw/{id}"), false, withdrawal.to_json());
    let ack = booth.ack();
    assert_eq!((ack.status, ack.clip_id), (AckStatus::Stored, id));
}

/// Waits until a minute has gone by, or it is so.
fn within_a_minute(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Everything of these folders that has the clip's words or its envelope.
fn files_of(home: &Home, clip: &Clip) -> Vec<PathBuf> {
    let words = &clip.body[clip.body.len() - 200..];
    let envelope = home
        .path()
        .join("store-private/envelopes")
        .join(&clip.id[..2])
        .join(&clip.id);
    let mut found: Vec<PathBuf> = envelope.exists().then_some(envelope).into_iter().collect();
    let mut folders = vec![home.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read(&path)
                .is_ok_and(|bytes| bytes.windows(words.len()).any(|window| window == words))
            {
                found.push(path);
            }
        }
    }
    found
}

/// One answer over HTTP, as it stands on the wire.
fn asked(address: &str, request: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).expect("connected");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("read");
    String::from_utf8_lossy(&answer).into_owned()
}

fn typed(hub: &Hub, digits: &str) -> String {
    let address = hub.address();
    let address = address.trim_start_matches("http://").trim_end_matches('/');
    let form = format!("receipt={digits}");
    let length = form.len();
    let head = "POST /withdraw?lang=en HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    asked(
        address,
        &format!("{head}Content-Length: {length}\r\n\r\n{form}"),
    )
}

#[test]
fn a_message_is_gone_within_a_minute_wherever_it_is_taken_back_and_its_booth_is_told() {
    let city = Identity::generate(&mut KernelRandom).expect("a key");
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("city.key");
    make_private(&key, city.to_text().as_bytes()).expect("a key");
    let home = Home::new(broker.port, &format!("[privacy]\nidentities = [{key:?}]\n"));
    let hub = Hub::start(&home);
    let booth = Booth::connect(broker.port, BOOTH);
    booth.hub_becomes("online");
    let other = Booth::connect(broker.port, "another-2");
    let receipts = ["002006673085", "860957427194"].map(made);
    let clips = [1, 2].map(|n| spoken(n, &city, &receipts[n as usize - 1]));
    for clip in &clips {
        booth.deliver(clip);
        assert_eq!(hub.fetch(&format!("clips/{}", clip.id), "").0, 200);
        assert!(!files_of(&home, clip).is_empty());
    }
    takes_back(&other, &city, &receipts[0], 1);
    within_a_minute("taken back at a booth", || {
        files_of(&home, &clips[0]).is_empty()
    });
    assert_eq!(hub.fetch(&format!("clips/{}", clips[0].id), "").0, 404);
    let wrong = typed(&hub, "002006673084");
    assert!(wrong.contains("One of the digits is wrong"), "{wrong}");
    let noted = typed(&hub, &receipts[1].to_text());
    assert!(noted.contains("We have taken note"), "{noted}");
    within_a_minute("taken back on the page", || {
        files_of(&home, &clips[1]).is_empty()
    });
    // A receipt of nothing gets the very same answer.
    let nothing = typed(&hub, "002006673085");
    let body = |answer: &str| answer.split("\r\n\r\n").nth(1).map(str::to_owned);
    assert_eq!(body(&noted), body(&nothing));
    // The booth still has both; the hub was away meanwhile.
    hub.kill();
    let hub = Hub::start(&home);
    booth.hub_becomes("online");
    for clip in &clips {
        booth.offer(clip);
        assert_eq!(booth.ack().status, AckStatus::Discard);
    }
    assert!(clips.iter().all(|clip| files_of(&home, clip).is_empty()));
    assert!(hub.stop().success());
}

/// A receipt from eleven digits of a text.
fn made(text: &str) -> Receipt {
    let with = |check: u32| Receipt::parse_text(&format!("{}{check}", &text[..11])).ok();
    (0..10).find_map(with).expect("one check digit fits")
}

/// The desk's program, ended with the test.
pub(crate) struct Desk(Child);

impl Desk {
    pub(crate) fn start(config: &Path) -> Self {
        let mut command = Command::new(hub_program());
        let started = command.args(["serve", "--sealed", "--config"]).arg(config);
        Self(started.spawn().expect("it starts"))
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_hub_without_the_key_keeps_withdrawals_until_the_desk_has_run_and_the_desk_plays_what_it_cannot()
 {
    let city = Identity::generate(&mut KernelRandom).expect("a key");
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("city.key");
    make_private(&key, city.to_text().as_bytes()).expect("a key");
    let public = city.recipient();
    let home = Home::new(
        broker.port,
        &format!("[privacy]\nrecipients = [\"{public}\"]\n"),
    );
    let hub = Hub::start(&home);
    let booth = Booth::connect(broker.port, BOOTH);
    booth.hub_becomes("online");
    let receipts = ["002006673085", "860957427194", "470368928165"].map(made);
    let clips = [1, 2, 3].map(|n| spoken(n, &city, &receipts[n as usize - 1]));
    for clip in &clips {
        booth.deliver(clip);
        assert_eq!(
            hub.fetch(&format!("clips/{}", clip.id), "").0,
            404,
            "sealed"
        );
    }
    takes_back(&booth, &city, &receipts[0], 1);
    let page = typed(&hub, &receipts[1].to_text());
    assert!(
        page.contains("We have taken note") && page.contains("the city's key"),
        "{page}"
    );
    within_a_minute("shown to operations", || {
        hub.page("operations").contains("2 withdrawals wait")
    });
    assert!(clips.iter().all(|clip| !files_of(&home, clip).is_empty()));

    let port = free_port();
    let config = folder.path().join("desk.toml");
    let store = home.path().join("store");
    let text = format!(
        "[store]\ndir = {store:?}\n[privacy]\nidentities = [{key:?}]\n[http]\nlisten = \"127.0.0.1:{port}\"\n"
    );
    std::fs::write(&config, text).expect("written");
    let desk = Desk::start(&config);
    for clip in &clips[..2] {
        within_a_minute("the desk has run", || files_of(&home, clip).is_empty());
    }
    let address = format!("127.0.0.1:{port}");
    let of = |path: &str| {
        let head = "HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        asked(&address, &format!("GET {path} {head}"))
    };
    let played = of(&format!("/clips/{}", clips[2].id));
    assert!(played.starts_with("HTTP/1.1 200") && played.contains("OpusHead"));
    assert!(of("/").contains(&clips[2].id));
    drop(desk);
    booth.offer(&clips[0]);
    assert_eq!(booth.ack().status, AckStatus::Discard);
    hub.kill();
}
