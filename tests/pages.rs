//! The hub's pages in a real browser, and the broker of the demonstration.
#![allow(clippy::disallowed_methods)]

#[allow(dead_code)]
mod support {
    pub mod browser;
    pub mod hub;
    pub mod wait;
}

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use support::browser::Browser;
use support::hub::{Booth, Broker, Clip, Home, Hub, free_port};

fn address_of(hub: &Hub) -> String {
    let line = hub.says("pages on ");
    let rest = line.split("pages on ").nth(1).expect("an address");
    rest.split([',', '\n'])
        .next()
        .expect("an address")
        .to_owned()
}

fn get(address: &str, path: &str, range: &str) -> (String, Vec<u8>) {
    let host = address.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(host).expect("the pages");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\n{range}Connection: close\r\n\r\n"
    )
    .expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let split = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a head");
    (
        String::from_utf8_lossy(&answer[..split]).into_owned(),
        answer[split + 4..].to_vec(),
    )
}

#[test]
fn people_and_operations_open_in_a_browser_and_a_clip_plays_to_its_end() {
    let broker = Broker::open();
    let home = Home::new(
        broker.port,
        "[[booth]]\nid = \"skejby-1\"\nname = \"Skejby <b>\"\n",
    );
    let hub = Hub::start(&home);
    let address = address_of(&hub);
    let booth = Booth::connect(broker.port, "rundhoej-1");
    booth.hub_becomes("online");
    let speech = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/speech/en.opus");
    let clip = Clip::with_body("rundhoej-1", 1, std::fs::read(speech).expect("the fixture"));
    booth.deliver(&clip);

    let path = format!("/clips/{}", clip.id);
    let (head, body) = get(&address, &path, "Range: bytes=10-19\r\n");
    assert!(
        head.starts_with("HTTP/1.1 206") && head.contains("audio/ogg"),
        "{head}"
    );
    assert_eq!(body, clip.body[10..20]);
    let (head, _) = get(&address, "/clips/..%2f..%2fhub.toml", "");
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    let (head, page) = get(&address, "/", "");
    assert!(
        head.contains("content-security-policy: default-src 'none'"),
        "{head}"
    );
    assert!(!String::from_utf8_lossy(&page).contains("<script"));

    let browser = Browser::open(free_port());
    browser.go(&address);
    assert_eq!(
        browser.run("return document.querySelector('h1').innerText"),
        "1 answer from 1 booth"
    );
    let played = browser.wait_for(
        "const a = document.querySelector('audio');\
         a.addEventListener('ended', () => done({ time: a.currentTime, length: a.duration }));\
         a.addEventListener('error', () => done({ error: a.error && a.error.message }));\
         a.addEventListener('playing', () => { if (a.currentTime < 1) a.currentTime = a.duration - 1; });\
         a.muted = true; a.play().catch(e => done({ error: String(e) }));",
    );
    let length = played["length"]
        .as_f64()
        .unwrap_or_else(|| panic!("it did not play: {played}"));
    assert!(
        length > 5.0
            && played["time"]
                .as_f64()
                .is_some_and(|time| time >= length - 0.2),
        "{played}"
    );
    browser.go(&format!("{address}operations"));
    let sentence = browser.run("return document.querySelector('h1').innerText");
    assert!(
        sentence
            .as_str()
            .is_some_and(|text| text.contains("1 never heard")),
        "{sentence}"
    );
    assert_eq!(
        browser.run("return document.querySelectorAll('td b').length"),
        0,
        "a name broke out"
    );
    let foreign = browser.run("return performance.getEntriesByType('resource').filter(r => !r.name.startsWith(location.origin) && !r.name.startsWith('data:')).length");
    assert_eq!(foreign, 0);
}
