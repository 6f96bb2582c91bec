//! A booth that seals: real gateway, real sound card stand-in, real broker, real hub; the city opens what was said, and nobody else
//! finds a word of it.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use booth_contract::ogg_page;
use booth_contract::receipt::ClipSecret;
use booth_host::plain_file::make_private;
use booth_sealing::open::Head;
use booth_sealing::{Ending, Identity, KernelRandom, Opened, envelope, open};
use booth_testkit::centre::body_of;
use booth_testkit::gateway::{BoothHome, Gateway, fixtures};
use booth_testkit::hub::{Booth as Listener, Broker, Home, Hub};
use booth_testkit::pulse::Pulse;
use booth_testkit::searched::{holds, memory_has, memory_holds};
use booth_testkit::speech::decode;
use booth_testkit::wait::until;

fn city() -> Identity {
    Identity::generate(&mut KernelRandom).expect("a key")
}

/// All files below a folder.
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

/// The bodies of the sealed clips that the hub has whole, each with its envelope, which lies apart.
fn sealed_clips(home: &Home) -> Vec<Vec<u8>> {
    let store = home.path().join("store");
    let is_sealed = |path: &PathBuf| path.extension().is_some_and(|end| end == "sealed");
    let paths = files(&store.join("clips")).into_iter().filter(is_sealed);
    let ids = paths.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()));
    ids.filter_map(|id| body_of(&store, &id).ok()).collect()
}

/// The sealed body in a clip file of the booth's card (docs/spool-format.md §1).
fn body_on_the_card(file: &[u8]) -> Vec<u8> {
    let (mut body, mut at) = (Vec::new(), 24);
    while let Some(head) = file.get(at..at + 16) {
        let length = u32::from_le_bytes(head[..4].try_into().expect("four")) as usize;
        let Some(payload) = file.get(at + 16..at + 16 + length) else {
            break;
        };
        if head[4] == 3 {
            body.extend_from_slice(&payload[12..]);
        }
        at += 16 + length;
    }
    body
}

/// The receipt that is sealed into the header of a clip file, as its citizen hears it.
fn receipt_of(file: &[u8], city: &Identity) -> String {
    let text = String::from_utf8_lossy(file);
    let sealed = text.split("\"sealed\":\"").nth(1).expect("a receipt");
    let sealed = sealed.split('"').next().expect("its end");
    let secret = envelope::open_text(sealed, std::slice::from_ref(city)).expect("the city's");
    let secret: ClipSecret = serde_json::from_slice(&secret).expect("a secret");
    secret.receipt.as_str().to_owned()
}

/// Nothing of a message is in the memory of the process after its visit: no packet, no receipt, no key, nothing that a key is made of.
fn assert_memory_has_forgotten(pid: u32, file: &[u8], city: &Identity) {
    let body = body_on_the_card(file);
    let opened = open(&body, std::slice::from_ref(city)).expect("the city opens it");
    let mut wanted: Vec<(&str, Vec<u8>)> = packets(&opened.ogg)
        .into_iter()
        .filter(|packet| packet.len() > 20)
        .map(|packet| ("a packet", packet[..20].to_vec()))
        .collect();
    assert!(wanted.len() > 50, "only {} packets", wanted.len());
    let receipt = receipt_of(file, city);
    let digits = receipt.bytes().map(|byte| byte - b'0').collect();
    wanted.push(("a receipt", receipt.into_bytes()));
    wanted.push(("a receipt's digits", digits));
    let [data_key, frame_key] = keys(&body, city);
    let (extracted, _) = hkdf::Hkdf::<sha2::Sha256>::extract(Some(&body[..24]), &data_key);
    for pad in [0, 0x36, 0x5c] {
        let block = extracted.iter().map(|byte| byte ^ pad).collect();
        wanted.push(("a block of HKDF", block));
    }
    wanted.push(("a data key", data_key));
    wanted.push(("a frame key", frame_key));
    let found = memory_has(pid, &wanted);
    assert!(found.is_empty(), "{found:?} outlives the visit");
}

/// The Opus packets of an Ogg file, without its two headers.
fn packets(ogg: &[u8]) -> Vec<&[u8]> {
    let (mut packets, mut rest) = (Vec::new(), ogg);
    while !rest.is_empty() {
        let (page, later) = rest.split_at(ogg_page::length(rest).expect("a page"));
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

/// No packet of the opened clip lies open in any of these folders.
fn assert_no_word_lies_open(opened: &Opened, folders: &[&Path]) {
    let packets = packets(&opened.ogg);
    // Silence is the same three bytes everywhere.
    let telling: Vec<&[u8]> = packets
        .into_iter()
        .filter(|packet| packet.len() > 20)
        .collect();
    assert!(telling.len() > 50, "only {} packets", telling.len());
    for path in folders.iter().flat_map(|folder| files(folder)) {
        let Ok(bytes) = std::fs::read(&path) else {
            continue;
        };
        for packet in &telling {
            assert!(
                !holds(&bytes, &packet[..20]),
                "{} holds a word",
                path.display()
            );
        }
    }
}

/// The key of a clip as the city finds it, and the one that its frames are sealed with (docs/sealed-clip.md).
fn keys(body: &[u8], city: &Identity) -> [Vec<u8>; 2] {
    let head = Head::read(body).expect("a head");
    let content = envelope::open(head.envelope, std::slice::from_ref(city)).expect("the city's");
    let data_key = content[16..].to_vec();
    let mut frame_key = vec![0; 32];
    hkdf::Hkdf::<sha2::Sha256>::new(Some(&body[..24]), &data_key)
        .expand(b"booth sealed clip 1 frames", &mut frame_key)
        .expect("32 bytes");
    [data_key, frame_key]
}

/// The next message of the booth below this topic that is not empty.
fn hear(centre: &Listener, tail: &str) -> rumqttc::mqttbytes::v5::Publish {
    let wanted = format!("booth/1/up/rundhoej-1/{tail}");
    until("the booth says it", || {
        let heard = centre.try_hear(std::time::Duration::from_secs(1))?;
        (heard.topic == wanted.as_bytes() && !heard.payload.is_empty()).then_some(heard)
    })
}

fn speech(booth: &BoothHome) -> PathBuf {
    let wav = booth.path().join("speech.wav");
    decode(&fixtures().join("speech/da.opus"), &wav).expect("decoded");
    wav
}

#[test]
fn what_a_citizen_says_is_sealed_before_it_touches_the_card_and_the_city_alone_opens_it() {
    let (broker, pulse, city) = (Broker::open(), Pulse::start(), city());
    let home = Home::new(broker.port, "");
    let recipient = city.recipient();
    let booth = BoothHome::sealed(broker.port, Some(&recipient.to_string()), "");
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("ready", 1);
    let wav = speech(&booth);
    gateway.records();
    pulse.speak(&wav);
    gateway.handset("hang-up");
    gateway.reaches("spool_clips", 1);
    let kept: Vec<Vec<u8>> = booth
        .files("clips")
        .iter()
        .map(|path| std::fs::read(path).expect("a clip"))
        .collect();

    let hub = Hub::start(&home);
    let body = until("the clip is at the hub", || sealed_clips(&home).pop());
    gateway.reaches("spool_clips", 0);
    let opened = open(&body, std::slice::from_ref(&city)).expect("the city opens it");
    assert_eq!(opened.ending, Ending::Whole);
    assert!(opened.samples() > 5 * 48_000, "{}", opened.samples());
    let ogg = booth.path().join("opened.opus");
    std::fs::write(&ogg, &*opened.ogg).expect("written");
    let info = std::process::Command::new("opusinfo")
        .arg(&ogg)
        .output()
        .expect("opusinfo runs");
    let said =
        String::from_utf8_lossy(&info.stdout).into_owned() + &String::from_utf8_lossy(&info.stderr);
    assert!(
        !said.contains("WARNING") && !said.contains("ERROR"),
        "{said}"
    );
    std::fs::remove_file(&ogg).expect("removed");

    assert!(
        open(&body, &[self::city()]).is_err(),
        "another key opens it"
    );
    for kept in &kept {
        assert!(
            packets(&opened.ogg)
                .iter()
                .filter(|packet| packet.len() > 20)
                .all(|packet| !holds(kept, &packet[..20]))
        );
    }
    assert_no_word_lies_open(&opened, &[&booth.spool(), home.path(), broker.folder()]);

    assert_memory_has_forgotten(gateway.pid(), &kept[0], &city);

    // Another citizen hears what was said, and deletes it.
    gateway.records();
    pulse.speak(&wav);
    gateway.handset("dial #");
    gateway.reaches("session", "after");
    let held = until("the words have ended", || {
        let file = booth.files("clips").pop()?;
        let held = std::fs::read(file).ok()?;
        holds(&held, b"\"ended_by\":\"key\"").then_some(held)
    });
    let said = open(&body_on_the_card(&held), std::slice::from_ref(&city)).expect("the city's");
    let packet = packets(&said.ogg)
        .into_iter()
        .find(|packet| packet.len() > 20)
        .expect("a packet")[..20]
        .to_vec();
    assert!(
        memory_holds(gateway.pid(), &packet),
        "the search finds nothing, although its citizen may hear it"
    );
    gateway.handset("dial 3");
    until("it plays for a while", || {
        std::thread::park_timeout(std::time::Duration::from_millis(1_500));
        Some(())
    });
    gateway.handset("dial 5");
    gateway.says("discarded take=");
    gateway.handset("hang-up");
    gateway.reaches("session", "idle");
    assert!(booth.files("clips").is_empty());
    assert_memory_has_forgotten(gateway.pid(), &held, &city);
    let centre = Listener::listening(
        broker.port,
        "operations",
        &["booth/1/up/rundhoej-1/#".into()],
    );
    let birth: serde_json::Value =
        serde_json::from_slice(&hear(&centre, "birth").payload).expect("a birth");
    assert_eq!(birth["sealed"], true);
    assert_eq!(
        birth["recipient_key_ids"],
        serde_json::json!([recipient.id()])
    );
    assert!(gateway.stop().success());

    // A hub without a key keeps what it cannot hear; with the key it plays the clip, which stays sealed in its store.
    let page = hub.page("");
    assert!(
        page.contains("Sealed: it is opened where") && !page.contains("<audio"),
        "{page}"
    );
    let address = format!("clips/{}", opened.clip);
    let (status, _) = hub.fetch(&address, "");
    assert_eq!(status, 404);
    hub.stop();
    let key = home.path().with_extension("key");
    make_private(&key, city.to_text().as_bytes()).expect("a key");
    let config = std::fs::read_to_string(home.config()).expect("a configuration");
    let with_key = format!("{config}\n[privacy]\nidentities = [{key:?}]\n");
    std::fs::write(home.config(), with_key).expect("a configuration");
    let hub = Hub::start(&home);
    let page = hub.page("");
    assert!(
        page.contains("<audio") && !page.contains("Sealed:"),
        "{page}"
    );
    let (status, played) = hub.fetch(&address, "");
    assert_eq!((status, &played), (200, &*opened.ogg));
    let (status, part) = hub.fetch(&address, "Range: bytes=100-299\r\n");
    assert_eq!((status, &part[..]), (206, &opened.ogg[100..300]));
    assert_no_word_lies_open(&opened, &[home.path()]);
    let other = self::city();
    std::fs::write(&key, other.to_text().as_bytes()).expect("a key");
    hub.stop();
    let hub = Hub::start(&home);
    let (status, said) = hub.fetch(&address, "");
    assert_eq!(status, 404);
    assert!(String::from_utf8_lossy(&said).contains("sealed to a key that this hub does not have"));
    std::fs::remove_file(&key).expect("removed");
    hub.kill();
}

#[test]
fn a_sealed_take_that_a_kill_cut_off_is_finished_and_the_city_hears_it_to_its_last_second() {
    let (broker, pulse, city) = (Broker::open(), Pulse::start(), city());
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let booth = BoothHome::sealed(broker.port, Some(&city.recipient().to_string()), "");
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("ready", 1);
    let wav = speech(&booth);
    gateway.records();
    // A pause would end the take, so somebody speaks for as long as the search needs.
    let is_found = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let speaking = scope.spawn(|| {
            for _ in 0..20 {
                pulse.speak(&wav);
                if is_found.load(Ordering::SeqCst) {
                    break;
                }
            }
        });
        until("the search finds the key while somebody speaks", || {
            let file = booth.files("clips").pop()?;
            let taken = std::fs::read(&file).ok()?;
            let mut windows = taken.windows(8);
            let head = windows.position(|window| window == b"BOOTHSC\x01")?;
            let length = taken[head - 28..head - 24].try_into().expect("a length");
            let length = u32::from_le_bytes(length) as usize;
            // The record's facts stand before the body; its first frame opens alone.
            let [_, frame_key] = keys(taken.get(head..head + length - 12)?, &city);
            memory_holds(gateway.pid(), &frame_key).then_some(())
        });
        is_found.store(true, Ordering::SeqCst);
        speaking.join().expect("it is said");
    });
    gateway.kill();
    let gateway = Gateway::start(&booth, &pulse);
    gateway.says("finished what a power cut had left");
    let body = until("the clip is at the hub", || sealed_clips(&home).pop());
    let opened = open(&body, std::slice::from_ref(&city)).expect("the city opens it");
    assert_eq!(opened.ending, Ending::Cut);
    assert!(opened.samples() > 5 * 48_000, "{}", opened.samples());
    gateway.reaches("spool_clips", 0);
    assert_no_word_lies_open(&opened, &[&booth.spool(), home.path()]);
    assert!(gateway.stop().success());
    hub.kill();
}

#[test]
fn a_booth_without_a_key_takes_no_message_and_says_so() {
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let booth = BoothHome::sealed(broker.port, None, "");
    let gateway = Gateway::start(&booth, &pulse);
    let centre = Listener::listening(
        broker.port,
        "operations",
        &["booth/1/up/rundhoej-1/#".into()],
    );
    let alert = hear(&centre, "alert/no_recipient");
    let alert: serde_json::Value = serde_json::from_slice(&alert.payload).expect("an alert");
    assert_eq!(alert["severity"], "citizen_cannot_speak");
    gateway.reaches("ready", 0);
    gateway.handset("lift");
    gateway.reaches("session", "out_of_order");
    gateway.handset("dial 1");
    gateway.handset("hang-up");
    gateway.reaches("session", "idle");
    assert!(booth.files("clips").is_empty());
    assert!(gateway.stop().success());
}
