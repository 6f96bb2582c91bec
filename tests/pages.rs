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
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{LastWill, LastWillProperties, Packet};
use rumqttc::v5::{Client, Connection, Event, MqttOptions};
use support::browser::Browser;
use support::hub::{Booth, Broker, Clip, Home, Hub, free_port};
use support::wait::until;

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

fn client(port: u16, id: &str, will: bool) -> (Client, Connection) {
    let mut options = MqttOptions::new(id, "127.0.0.1", port);
    options
        .set_keep_alive(Duration::from_secs(5))
        .set_clean_start(true);
    options
        .set_max_packet_size(Some(131_072))
        .set_outgoing_inflight_upper_limit(64);
    if will {
        let properties = LastWillProperties {
            delay_interval: Some(1),
            payload_format_indicator: None,
            message_expiry_interval: None,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        };
        options.set_session_expiry_interval(Some(120));
        let topic = "booth/1/up/b-1/state";
        options.set_last_will(LastWill::new(
            topic,
            "lost",
            QoS::AtLeastOnce,
            true,
            Some(properties),
        ));
    }
    Client::new(options, 64)
}

fn hear(connection: &mut Connection, what: &str, mut wanted: impl FnMut(&Packet) -> bool) {
    until(what, || {
        match connection.recv_timeout(Duration::from_millis(100)) {
            Ok(Ok(Event::Incoming(packet))) => wanted(&packet).then_some(()),
            Ok(Ok(Event::Outgoing(_))) | Err(_) => None,
            Ok(Err(error)) => panic!("{what}: {error}"),
        }
    });
}

#[test]
fn the_embedded_broker_has_wills_retained_messages_and_takes_large_parts() {
    let port = free_port();
    booth_gateway::hub::broker::start(([127, 0, 0, 1], port).into()).expect("starts");
    let again = booth_gateway::hub::broker::start(([127, 0, 0, 1], port).into());
    assert!(again.is_err_and(|error| error.to_string().contains("cannot listen")));
    let open = booth_gateway::hub::broker::start(([0, 0, 0, 0], free_port()).into());
    assert!(open.is_err_and(|error| error.to_string().contains("loopback")));

    let (hub, mut hub_connection) = client(port, "hub", false);
    hub.subscribe("booth/1/up/+/#", QoS::AtLeastOnce)
        .expect("asked");
    hear(&mut hub_connection, "SUBACK", |packet| {
        matches!(packet, Packet::SubAck(_))
    });
    let (booth, mut booth_connection) = client(port, "b-1", true);
    let sender = booth.clone();
    let parts = std::thread::spawn(move || {
        for part in 0..100u32 {
            let topic = format!("booth/1/up/b-1/part/x/{part}");
            sender
                .publish(topic, QoS::AtLeastOnce, false, vec![1; 16_384])
                .expect("sent");
        }
    });
    let mut acked = 0;
    hear(&mut booth_connection, "100 PUBACKs", |packet| {
        acked += u32::from(matches!(packet, Packet::PubAck(_)));
        acked == 100
    });
    parts.join().expect("sent");
    let mut heard = 0;
    hear(&mut hub_connection, "100 parts", |packet| {
        heard += u32::from(matches!(packet, Packet::Publish(part) if part.payload.len() == 16_384));
        heard == 100
    });
    drop((booth, booth_connection)); // without a DISCONNECT
    hear(
        &mut hub_connection,
        "the will",
        |packet| matches!(packet, Packet::Publish(will) if will.payload == "lost"),
    );
    let (late, mut late_connection) = client(port, "late", false);
    late.subscribe("booth/1/up/+/state", QoS::AtLeastOnce)
        .expect("asked");
    hear(
        &mut late_connection,
        "the retained will",
        |packet| matches!(packet, Packet::Publish(will) if will.payload == "lost" && will.retain),
    );
}
