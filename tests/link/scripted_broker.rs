//! A broker that plays byte strings: whatever MQTT 5 allows a broker to say, in its shortest and its longest form, and what brokers say
//! besides, must be understood by the booth's link, or told with a remedy. No socket waits longer than it must: the link's own
//! clocks run in virtual time.
#![allow(clippy::disallowed_methods)]

use std::time::Duration;

use booth_contract::BrokerState;
use booth_contract::BrokerUrl;
use booth_contract::Topics;
use booth_gateway::adapters::mqtt::{self, Kind, MqttEvent, MqttSettings, Outbound, Will};
use booth_gateway::adapters::outbox::{self, Outbox};
use booth_host::link::login::Login;
use booth_testkit::lawful::{Case, When, cases, frame};
use gateway_core::delivery::Puback;
use gateway_core::rival::Loss;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const STATE: &str = "booth/1/up/rundhoej-1/state";

/// One connection from the broker's side.
struct Peer {
    stream: TcpStream,
}

impl Peer {
    /// The next packet: its first byte and its body; none when the booth has gone.
    async fn hear(&mut self) -> Option<(u8, Vec<u8>)> {
        let kind = self.stream.read_u8().await.ok()?;
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = self.stream.read_u8().await.ok()?;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.ok()?;
        Some((kind, body))
    }

    async fn say(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Hears one packet and answers it as any broker would; tells what it was.
    async fn serve(&mut self) -> Option<Heard> {
        let heard = Heard::of(self.hear().await?);
        match &heard {
            Heard::Connect => self.say(&[0x20, 3, 0, 0, 0]).await,
            Heard::Subscribe { id, filters } => {
                let codes = vec![1; filters.len()];
                let body = [&id[..], &[0], &codes].concat();
                self.say(&frame(0x90, &body)).await;
            }
            Heard::Publish { id, .. } => self.say(&frame(0x40, id)).await,
            Heard::Ping => self.say(&[0xD0, 0]).await,
            Heard::Disconnect | Heard::Other(_) => {}
        }
        Some(heard)
    }
}

/// What the booth said.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Heard {
    Connect,
    Subscribe {
        id: [u8; 2],
        filters: Vec<String>,
    },
    Publish {
        id: [u8; 2],
        topic: String,
        retain: bool,
    },
    Ping,
    Disconnect,
    Other(u8),
}

impl Heard {
    fn of((kind, body): (u8, Vec<u8>)) -> Self {
        match kind & 0xF0 {
            0x10 => Self::Connect,
            0x80 => {
                // No properties: the library writes their length as one byte.
                let mut rest = &body[3..];
                let mut filters = Vec::new();
                while !rest.is_empty() {
                    let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
                    filters.push(String::from_utf8(rest[2..2 + length].to_vec()).expect("text"));
                    rest = &rest[2 + length + 1..];
                }
                Self::Subscribe {
                    id: [body[0], body[1]],
                    filters,
                }
            }
            0x30 => {
                let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
                Self::Publish {
                    topic: String::from_utf8(body[2..2 + length].to_vec()).expect("text"),
                    id: [body[2 + length], body[3 + length]],
                    retain: kind & 1 == 1,
                }
            }
            0xC0 => Self::Ping,
            0xE0 => Self::Disconnect,
            _ => Self::Other(kind),
        }
    }
}

/// The booth's link, and what it reports.
struct Booth {
    outbox: Outbox,
    events: mpsc::Receiver<MqttEvent>,
    running: JoinHandle<()>,
    listener: TcpListener,
}

impl Booth {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let url = format!("mqtt://127.0.0.1:{port}");
        let settings = MqttSettings {
            login: Login {
                broker: BrokerUrl::parse(&url).expect("an address"),
                tls: None,
                client_id: "rundhoej-1".into(),
                user: Some(("rundhoej-1".into(), "secret".into())),
                check: "check the password file",
            },
            filters: vec!["booth/1/dn/rundhoej-1/#".into()],
            topics: Topics::new("booth/1"),
        };
        let (outbox, outgoing) = outbox::pair();
        let (told, events) = mpsc::channel(MOST_REPORTS);
        let connecting = || {
            Some(Will {
                topic: STATE.into(),
                payload: b"mine".to_vec(),
            })
        };
        let running = tokio::spawn(mqtt::run(
            vec![settings],
            connecting,
            outgoing,
            told,
            |event| event,
            |_| {},
        ));
        Self {
            outbox,
            events,
            running,
            listener,
        }
    }

    async fn peer(&self) -> Peer {
        let (stream, _) = self.listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("set");
        Peer { stream }
    }

    /// A connection up to the granted subscription.
    async fn connected(&mut self) -> Peer {
        let mut peer = self.peer().await;
        assert_eq!(peer.serve().await, Some(Heard::Connect));
        assert!(matches!(peer.serve().await, Some(Heard::Subscribe { .. })));
        let event = self.event().await;
        assert!(matches!(event, MqttEvent::Connected { .. }), "{event:?}");
        peer
    }

    /// The next report. What the booth's core decides is decided here: whose state that is, and how to connect again.
    async fn event(&mut self) -> MqttEvent {
        loop {
            let event = self.events.recv().await.expect("the link lives");
            match &event {
                MqttEvent::Incoming { topic, payload, .. } if topic == STATE => {
                    if payload != b"mine" {
                        self.outbox.step_back("its session 9-9".into());
                    }
                    continue;
                }
                MqttEvent::Disconnected { loss, .. } => {
                    self.outbox.connect_again(*loss != Loss::Other);
                }
                _ => {}
            }
            return event;
        }
    }

    /// Waits for the end of the connection: its sentence, kind of trouble, and whether it tells of a rival.
    async fn end(&mut self) -> (String, BrokerState, bool) {
        loop {
            if let MqttEvent::Disconnected { why, state, loss } = self.event().await {
                return (why, state, loss != Loss::Other);
            }
        }
    }

    fn publish(&self, token: u64, topic: &str, bytes: usize) {
        let message = Outbound {
            token,
            topic: topic.into(),
            payload: vec![b'x'; bytes],
            retain: topic == STATE,
            expiry_s: None,
            correlation: None,
            kind: Kind::Clip,
        };
        assert_eq!(self.outbox.put(message), None, "there is room");
    }
}

impl Drop for Booth {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// Plays one byte string to the link and answers what the link makes of it.
async fn played(case: &Case) -> String {
    let mut booth = Booth::start().await;
    let mut peer = booth.peer().await;
    assert_eq!(
        Heard::of(peer.hear().await.expect("CONNECT")),
        Heard::Connect
    );
    if case.when == When::Connecting {
        peer.say(&case.bytes([0, 0])).await;
        return match peer.serve().await {
            Some(Heard::Subscribe { .. }) => match booth.event().await {
                MqttEvent::Connected { .. } => "connected".into(),
                event => format!("{event:?}"),
            },
            heard => {
                let (why, _, taken_over) = booth.end().await;
                assert!(!taken_over);
                format!(
                    "{} {why}",
                    if heard.is_none() { "closed:" } else { "left:" }
                )
            }
        };
    }
    peer.say(&[0x20, 3, 0, 0, 0]).await;
    let Heard::Subscribe { id, .. } = Heard::of(peer.hear().await.expect("SUBSCRIBE")) else {
        panic!("no SUBSCRIBE")
    };
    if case.when == When::Subscribing {
        peer.say(&case.bytes(id)).await;
        return match booth.event().await {
            MqttEvent::Connected { .. } => "granted".into(),
            MqttEvent::Disconnected { why, .. } => why,
            event => format!("{event:?}"),
        };
    }
    peer.say(&[0x90, 4, id[0], id[1], 0, 1]).await;
    assert!(matches!(booth.event().await, MqttEvent::Connected { .. }));
    if case.when == When::Publishing {
        booth.publish(7, "a", 10);
        let Heard::Publish { id, .. } = Heard::of(peer.hear().await.expect("PUBLISH")) else {
            panic!("no PUBLISH")
        };
        peer.say(&case.bytes(id)).await;
        return match booth.event().await {
            MqttEvent::Answered {
                token: 7,
                answer,
                why,
            } => format!("{answer:?}: {why}"),
            event => format!("{event:?}"),
        };
    }
    peer.say(&case.bytes([0, 0])).await;
    // Whatever it was, the connection must take this afterwards.
    peer.say(&[0x30, 5, 0, 1, b'z', 0, b'!']).await;
    let mut made = String::new();
    loop {
        match booth.event().await {
            MqttEvent::Incoming { topic, .. } if topic == "z" => return format!("{made}goes on"),
            MqttEvent::Incoming {
                topic,
                payload,
                correlation,
            } => {
                made = format!(
                    "topic of {} bytes, payload of {} bytes{}; ",
                    topic.len(),
                    payload.len(),
                    if correlation.is_some() {
                        ", correlated"
                    } else {
                        ""
                    }
                );
            }
            MqttEvent::Disconnected { why, loss, .. } => {
                let is_rival = loss != Loss::Other;
                return format!("{}{why}", if is_rival { "a rival: " } else { "" });
            }
            event => return format!("{event:?}"),
        }
    }
}

/// Reports that a loop may leave unread.
const MOST_REPORTS: usize = 64;

#[tokio::test]
async fn what_a_broker_sends_waits_with_the_broker_while_the_loop_is_busy() {
    let mut booth = Booth::start().await;
    let mut peer = booth.connected().await;
    // From here on an hour passes as soon as nobody has anything to do.
    tokio::time::pause();
    let message = frame(0x30, &[&[0, 1, b'z', 0][..], &[b'x'; 100_000]].concat());
    let sent = std::cell::Cell::new(0);
    let mut sending = std::pin::pin!(async {
        loop {
            peer.say(&message).await;
            sent.set(sent.get() + 1);
        }
    });
    let mut before = None;
    for _ in 0..1_000 {
        let _ = tokio::time::timeout(std::time::Duration::from_millis(1), &mut sending).await;
        let stands = before.replace(sent.get()) == Some(sent.get());
        if stands && booth.events.len() == MOST_REPORTS {
            break;
        }
    }
    assert_eq!(booth.events.len(), MOST_REPORTS);
    // What the loop has not taken, what the library reads at a time, and the kernel's buffers.
    assert!(
        sent.get() < 400,
        "{} messages of 100 kB were taken",
        sent.get()
    );
    assert!(matches!(booth.event().await, MqttEvent::Incoming { .. }));
}

/// What the link must make of it, in a part of what it says.
fn expected(case: &Case) -> String {
    let told = |code: u8| format!("0x{code:02X}");
    match (case.packet, case.code) {
        ("CONNACK", _) if case.name.starts_with("of MQTT 3.1.1") => match case.code {
            Some(0 | 1) => "speaks MQTT 3.1.1 and not MQTT 5".into(),
            Some(2) => told(0x85),
            Some(3) => told(0x88),
            _ => "check the password file".into(),
        },
        ("CONNACK", _) if case.name == "Maximum QoS 0" => "takes no messages of QoS 1".into(),
        ("CONNACK", Some(0)) => "connected".into(),
        ("PUBACK", Some(code)) => {
            let answer = match code {
                0x10 => "NoSubscriber",
                0..0x80 => "Success",
                0x95 => "TooLarge",
                0x97 => "Quota",
                0x87 | 0x90 | 0x99 => "Refused",
                _ => "Later",
            };
            format!("{answer}: ")
        }
        ("SUBACK", Some(0..0x80)) => "granted".into(),
        ("DISCONNECT", Some(0x8E)) => "a rival: the broker".into(),
        ("PUBLISH", _) => match case.name.as_str() {
            "longest topic" => "topic of 65534 bytes, payload of 1 bytes; goes on".into(),
            "longest payload" => "topic of 1 bytes, payload of 131000 bytes; goes on".into(),
            "every property" => "topic of 1 bytes, payload of 1 bytes, correlated; goes on".into(),
            _ => "; goes on".into(),
        },
        ("PINGRESP", _) => "goes on".into(),
        // Nobody has asked for it: the rules of MQTT end the connection.
        ("AUTH", _) => "was lost".into(),
        (_, Some(code)) => told(code),
        (packet, None) => panic!("nothing is expected of {packet}"),
    }
}

#[tokio::test]
async fn whatever_a_broker_may_lawfully_say_is_understood_in_every_form() {
    println!("packet     | case | bytes | what the link makes of it");
    let mut wrong = Vec::new();
    let mut count = 0;
    // The booth never unsubscribes.
    let all = cases()
        .into_iter()
        .filter(|case| case.when != When::Unsubscribing);
    for case in all {
        let made = played(&case).await;
        let bytes = case.bytes([0, 1]);
        let first: Vec<String> = bytes
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02X}"))
            .collect();
        let more = if bytes.len() > 8 { " …" } else { "" };
        println!(
            "{:10} | {}{} | {}{more} | {}",
            case.packet,
            case.name,
            if case.is_lawful { "" } else { " (besides)" },
            first.join(" "),
            made.chars().take(160).collect::<String>()
        );
        count += 1;
        if !made.contains(&expected(&case)) {
            wrong.push(format!("{} {}: {made}", case.packet, case.name));
        }
    }
    assert!(count > 250, "{count} byte strings");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_packet_that_comes_byte_by_byte_is_the_same() {
    for name in [
        "8E without a property length",
        "F0 without a property length",
    ] {
        let case = cases()
            .into_iter()
            .find(|case| case.packet == "DISCONNECT" && case.name == name)
            .expect("a case");
        let mut booth = Booth::start().await;
        let mut peer = booth.connected().await;
        for byte in case.bytes([0, 0]) {
            peer.say(&[byte]).await;
            tokio::task::yield_now().await;
        }
        let (why, _, taken_over) = booth.end().await;
        assert_eq!(taken_over, case.code == Some(0x8E), "{why}");
        assert!(why.contains("0x"), "{why}");
    }
}

#[tokio::test]
async fn many_answers_in_one_go_reach_the_messages_they_are_for() {
    let mut booth = Booth::start().await;
    let mut peer = booth.connected().await;
    for token in 0..6 {
        booth.publish(token, &format!("t/{token}"), 10);
    }
    let mut ids = Vec::new();
    for token in 0..6 {
        let Heard::Publish { id, topic, .. } = Heard::of(peer.hear().await.expect("PUBLISH"))
        else {
            panic!("no PUBLISH")
        };
        assert_eq!(topic, format!("t/{token}"));
        ids.push(id);
    }
    // Backwards, with a code that the standard does not have, and one in its shortest form between.
    let mut all = Vec::new();
    for (at, [high, low]) in ids.into_iter().enumerate().rev() {
        match at {
            3 => all.extend([0x40, 2, high, low]),
            _ => all.extend([0x40, 3, high, low, [0xF0, 0x95, 0x97, 0, 0x10, 0x87][at]]),
        }
    }
    peer.say(&all).await;
    let wanted = [
        (5, Puback::Refused),
        (4, Puback::NoSubscriber),
        (3, Puback::Success),
        (2, Puback::Quota),
        (1, Puback::TooLarge),
        (0, Puback::Later),
    ];
    for (wanted_token, wanted_answer) in wanted {
        let MqttEvent::Answered { token, answer, .. } = booth.event().await else {
            panic!("no answer")
        };
        assert_eq!((token, answer), (wanted_token, wanted_answer));
    }
}

/// Whole seconds since then, rounded: a little real time passes before the clock stands.
fn seconds_since(begun: tokio::time::Instant) -> u64 {
    begun.elapsed().as_secs_f64().round() as u64
}

/// How long the link is silent in virtual time before it speaks, with this CONNACK; and how long it then waits for a broker that
/// says nothing more, until it gives the connection up. Seconds.
async fn rests(connack: &[u8]) -> (u64, u64) {
    let mut booth = Booth::start().await;
    let mut peer = booth.peer().await;
    assert_eq!(
        Heard::of(peer.hear().await.expect("CONNECT")),
        Heard::Connect
    );
    peer.say(connack).await;
    assert!(matches!(peer.serve().await, Some(Heard::Subscribe { .. })));
    assert!(matches!(booth.event().await, MqttEvent::Connected { .. }));
    // From here on nothing is owed to anybody: the clock may run.
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    assert_eq!(Heard::of(peer.hear().await.expect("PINGREQ")), Heard::Ping);
    let spoke = seconds_since(begun);
    let (why, ..) = booth.end().await;
    let gave_up = seconds_since(begun);
    tokio::time::resume();
    assert!(why.contains("no longer answers"), "{why}");
    (spoke, gave_up)
}

#[tokio::test]
async fn the_links_own_clocks_follow_what_the_broker_has_set() {
    let with = |seconds: u16| {
        let [high, low] = seconds.to_be_bytes();
        [0x20, 6, 0, 0, 3, 0x13, high, low]
    };
    // (set, speaks after, counts as dead after)
    for (set, speaks, dead) in [(5, 5, 10), (30, 30, 60), (120, 120, 200), (300, 300, 470)] {
        let (spoke, gave_up) = rests(&with(set)).await;
        assert_eq!((spoke, gave_up), (speaks, dead), "keep alive {set} s");
    }
    // None asked for, none set, or one of eighteen hours: a peer that died is noticed within minutes all the same.
    assert_eq!(rests(&with(0)).await, (30, 60));
    assert_eq!(rests(&[0x20, 3, 0, 0, 0]).await, (30, 60));
    assert_eq!(rests(&with(u16::MAX)).await, (300, 470));
}

#[tokio::test]
async fn a_keep_alive_of_two_minutes_at_rest_is_no_broker_that_has_died() {
    let mut booth = Booth::start().await;
    let mut peer = booth.peer().await;
    peer.hear().await.expect("CONNECT");
    peer.say(&[0x20, 6, 0, 0, 3, 0x13, 0, 120]).await;
    assert!(matches!(peer.serve().await, Some(Heard::Subscribe { .. })));
    assert!(matches!(booth.event().await, MqttEvent::Connected { .. }));
    tokio::time::pause();
    for _ in 0..10 {
        assert_eq!(peer.serve().await, Some(Heard::Ping));
    }
    tokio::time::resume();
    booth.publish(1, "a", 1);
    assert!(matches!(peer.serve().await, Some(Heard::Publish { .. })));
    assert!(matches!(
        booth.event().await,
        MqttEvent::Answered { token: 1, .. }
    ));
}

#[tokio::test]
async fn a_broker_that_accepts_and_says_nothing_is_given_up_and_told() {
    let mut booth = Booth::start().await;
    let mut peer = booth.peer().await;
    peer.hear().await.expect("CONNECT");
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let (why, state, _) = booth.end().await;
    assert_eq!(seconds_since(begun), 20);
    tokio::time::resume();
    assert!(why.contains("says nothing"), "{why}");
    assert_eq!(state, BrokerState::NotReached);
}

/// Answers pings alone, until the link gives the connection up; tells how long that was, in virtual seconds.
async fn only_pings(booth: &mut Booth, peer: &mut Peer) -> u64 {
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let pings = async {
        while let Some((kind, _)) = peer.hear().await {
            if kind == 0xC0 {
                peer.say(&[0xD0, 0]).await;
            }
        }
        std::future::pending::<()>().await;
    };
    let (why, state, _) = tokio::select! {
        end = booth.end() => end,
        () = pings => unreachable!("it never ends"),
    };
    let seconds = seconds_since(begun);
    tokio::time::resume();
    assert!(why.contains("answers pings and nothing else"), "{why}");
    assert_eq!(state, BrokerState::NotReached);
    seconds
}

#[tokio::test]
async fn a_broker_that_answers_pings_and_nothing_else_is_left_and_connected_to_again() {
    let mut booth = Booth::start().await;
    let mut peer = booth.connected().await;
    // While nothing is owed, pings are enough.
    tokio::time::pause();
    for _ in 0..50 {
        assert_eq!(peer.serve().await, Some(Heard::Ping));
    }
    tokio::time::resume();
    booth.publish(1, "a", 1);
    booth.publish(2, "a", 1);
    // One answer begins the wait anew, and does not end it.
    assert!(matches!(peer.serve().await, Some(Heard::Publish { .. })));
    assert!(matches!(
        booth.event().await,
        MqttEvent::Answered { token: 1, .. }
    ));
    assert!((60..=300).contains(&only_pings(&mut booth, &mut peer).await));
    // Nor does it help to take the login and grant nothing.
    let mut peer = booth.peer().await;
    assert_eq!(peer.serve().await, Some(Heard::Connect));
    assert!(matches!(peer.hear().await, Some((0x82, _))));
    assert!((60..=300).contains(&only_pings(&mut booth, &mut peer).await));
    booth.connected().await;
}

#[tokio::test]
async fn a_connection_lost_again_and_again_is_no_rival() {
    let mut booth = Booth::start().await;
    for _ in 0..7 {
        let peer = booth.connected().await;
        drop(peer);
        let (why, _, taken_over) = booth.end().await;
        assert!(!taken_over, "{why}");
        assert!(why.contains("without a word"), "{why}");
    }
}

#[tokio::test]
async fn another_session_in_our_own_state_is_a_rival_and_is_looked_for_only_after_a_wordless_end() {
    let mut booth = Booth::start().await;
    let mut peer = booth.connected().await;
    booth.publish(1, STATE, 4);
    assert!(matches!(
        peer.serve().await,
        Some(Heard::Publish { retain: true, .. })
    ));
    booth.event().await;
    drop(peer);
    assert!(!booth.end().await.2);
    // Asked for by itself, before anything is said.
    let mut peer = booth.peer().await;
    assert_eq!(peer.serve().await, Some(Heard::Connect));
    assert!(matches!(peer.serve().await, Some(Heard::Subscribe { .. })));
    let Some(Heard::Subscribe { filters, .. }) = peer.serve().await else {
        panic!("it does not ask")
    };
    assert_eq!(filters, [STATE]);
    // Its own word is none of a rival's.
    let retained = |payload: &[u8]| {
        let mut body = vec![0, STATE.len() as u8];
        body.extend(STATE.as_bytes());
        body.push(0);
        body.extend(payload);
        frame(0x31, &body)
    };
    peer.say(&retained(b"mine")).await;
    assert!(matches!(booth.event().await, MqttEvent::Connected { .. }));
    peer.say(&retained(b"theirs")).await;
    let (why, _, taken_over) = booth.end().await;
    assert!(taken_over && why.contains("its session 9-9"), "{why}");
    // It leaves politely, so that its will is not published over the other's word.
    assert_eq!(peer.serve().await, Some(Heard::Disconnect));
    // And steps back.
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let mut peer = booth.peer().await;
    assert_eq!(seconds_since(begun), 180);
    tokio::time::resume();
    // It does not ask again: this end had its reason.
    assert_eq!(peer.serve().await, Some(Heard::Connect));
    assert!(matches!(peer.serve().await, Some(Heard::Subscribe { .. })));
    assert!(matches!(booth.event().await, MqttEvent::Connected { .. }));
}

#[tokio::test]
async fn a_broker_that_does_not_let_a_booth_read_its_own_state_keeps_it_connected() {
    // It refuses by its SUBACK, or by ending the connection.
    for ends_the_connection in [false, true] {
        let mut booth = Booth::start().await;
        let mut peer = booth.connected().await;
        booth.publish(1, STATE, 4);
        peer.serve().await.expect("PUBLISH");
        booth.event().await;
        drop(peer);
        booth.end().await;
        let mut asked = 0;
        for _ in 0..5 {
            let mut peer = booth.peer().await;
            assert_eq!(peer.serve().await, Some(Heard::Connect));
            assert!(matches!(peer.serve().await, Some(Heard::Subscribe { .. })));
            let event = tokio::select! {
                event = booth.events.recv() => event.expect("the link lives"),
                heard = peer.hear() => {
                    let Heard::Subscribe { id, .. } = Heard::of(heard.expect("SUBSCRIBE")) else {
                        panic!("no SUBSCRIBE")
                    };
                    asked += 1;
                    if ends_the_connection {
                        peer.say(&[0xE0, 1, 0x87]).await;
                        drop(peer);
                        assert!(!booth.end().await.2);
                        continue;
                    }
                    peer.say(&[0x90, 4, id[0], id[1], 0, 0x87]).await;
                    booth.event().await
                }
            };
            assert!(matches!(event, MqttEvent::Connected { .. }), "{event:?}");
            drop(peer);
            booth.end().await;
        }
        assert!((1..=2).contains(&asked), "asked {asked} times");
    }
}

#[tokio::test]
async fn a_broker_that_closes_after_a_message_is_told_with_it_and_gets_smaller_packets_in_the_end()
{
    let mut booth = Booth::start().await;
    let topic = "booth/1/up/rundhoej-1/part/x/0";
    for time in 1..=3 {
        let mut peer = booth.connected().await;
        booth.publish(1, "booth/1/up/rundhoej-1/clip/x", 700);
        assert!(matches!(peer.serve().await, Some(Heard::Publish { .. })));
        booth.event().await;
        booth.publish(2, topic, 16_384);
        peer.hear().await.expect("PUBLISH");
        drop(peer);
        let (why, _, taken_over) = booth.end().await;
        assert!(!taken_over, "{why}");
        assert!(
            why.contains(&format!("16384 bytes on {topic}")) && why.contains("without a word"),
            "{why}"
        );
        assert_eq!(why.contains("in a row"), time > 1, "{why}");
        assert_eq!(why.contains("message_size_limit"), time > 1, "{why}");
    }
    let peer = booth.peer().await;
    let mut peer = peer;
    peer.serve().await.expect("CONNECT");
    peer.serve().await.expect("SUBSCRIBE");
    let MqttEvent::Connected {
        max_packet: Some(most),
    } = booth.event().await
    else {
        panic!("no limit was found out")
    };
    assert!((8_000..8_300).contains(&most), "{most}");
    // What is larger does not even leave.
    booth.publish(3, topic, 16_384);
    let MqttEvent::Answered { answer, .. } = booth.event().await else {
        panic!("no answer")
    };
    assert_eq!(answer, Puback::TooLarge);
}

#[tokio::test]
async fn a_broker_that_dies_again_and_again_after_a_birth_is_not_taken_for_one_of_small_packets() {
    let mut booth = Booth::start().await;
    // A booth may have the name of a branch.
    let birth = "booth/1/up/part/birth";
    for _ in 1..=4 {
        let mut peer = booth.connected().await;
        booth.publish(1, birth, 1_800);
        peer.hear().await.expect("PUBLISH");
        drop(peer);
        booth.end().await;
    }
    let mut peer = booth.peer().await;
    peer.serve().await.expect("CONNECT");
    peer.serve().await.expect("SUBSCRIBE");
    let event = booth.event().await;
    assert!(
        matches!(event, MqttEvent::Connected { max_packet: None }),
        "{event:?}"
    );
    booth.publish(2, birth, 2_500);
    assert!(matches!(peer.serve().await, Some(Heard::Publish { .. })));
}

#[tokio::test]
async fn a_broker_that_says_packet_too_large_gets_smaller_ones_at_once() {
    let mut booth = Booth::start().await;
    let mut peer = booth.connected().await;
    booth.publish(2, "part", 16_384);
    peer.hear().await.expect("PUBLISH");
    // As Mosquitto 2.0.11 does with max_packet_size.
    peer.say(&[0xE0, 1, 0x95]).await;
    drop(peer);
    let (why, ..) = booth.end().await;
    assert!(why.contains("packet too large, 0x95"), "{why}");
    let mut peer = booth.peer().await;
    peer.serve().await.expect("CONNECT");
    peer.serve().await.expect("SUBSCRIBE");
    let event = booth.event().await;
    assert!(
        matches!(event, MqttEvent::Connected { max_packet: Some(most) } if most < 8_300),
        "{event:?}"
    );
}

#[tokio::test]
async fn a_broker_that_keeps_no_retained_messages_gets_none() {
    let mut booth = Booth::start().await;
    let mut peer = booth.peer().await;
    peer.hear().await.expect("CONNECT");
    peer.say(&[0x20, 5, 0, 0, 2, 0x25, 0]).await;
    peer.serve().await.expect("SUBSCRIBE");
    booth.event().await;
    booth.publish(1, STATE, 4);
    let Some(Heard::Publish { retain, .. }) = peer.serve().await else {
        panic!("no PUBLISH")
    };
    assert!(!retain);
    assert!(matches!(
        booth.event().await,
        MqttEvent::Answered { token: 1, .. }
    ));
}

#[tokio::test]
async fn a_broker_that_takes_one_message_at_a_time_gets_one_at_a_time() {
    let mut booth = Booth::start().await;
    let mut peer = booth.peer().await;
    peer.hear().await.expect("CONNECT");
    peer.say(&[0x20, 6, 0, 0, 3, 0x21, 0, 1]).await;
    peer.serve().await.expect("SUBSCRIBE");
    booth.event().await;
    for token in 0..4 {
        booth.publish(token, "a", 10);
    }
    for wanted in 0..4 {
        let Heard::Publish { id, .. } = Heard::of(peer.hear().await.expect("PUBLISH")) else {
            panic!("no PUBLISH")
        };
        // The next one does not come before the answer.
        let early =
            tokio::time::timeout(Duration::from_millis(20), peer.stream.peek(&mut [0])).await;
        assert!(early.is_err(), "{early:?}");
        peer.say(&frame(0x40, &id)).await;
        let MqttEvent::Answered { token, .. } = booth.event().await else {
            panic!("no answer")
        };
        assert_eq!(token, wanted);
    }
}
