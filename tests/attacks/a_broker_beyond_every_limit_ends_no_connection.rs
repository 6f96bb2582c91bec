//! A broker that sends more than the hub has announced to take, the same packet id again before it was answered, or nothing but
//! messages while it reads nothing: the hub goes on, answers each once, and stores. Of one sender's flood it asks for no more.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use booth_contract::{Ack, AckStatus};

use crate::flood::{packet, publish};
use booth_testkit::hub::{Clip, Home, Hub};
use booth_testkit::turns::{self, Turn};
use booth_testkit::wait::PATIENCE;

/// What the hub said, besides pings.
enum Said {
    Ack(u16),
    Message(String, Vec<u8>),
    Subscribes(Vec<String>),
    Unsubscribes(Vec<String>),
    End,
}

/// One connection of the hub, from the broker's side.
struct Peer {
    stream: Arc<Mutex<TcpStream>>,
    said: Receiver<Said>,
    /// Whether what the hub says is read.
    reads: Arc<AtomicBool>,
}

/// What every sender's messages match.
const EVERYBODY: &str = "booth/1/up/+/#";

impl Peer {
    /// Lets the hub in, until it says that it listens. Subscriptions to a booth by its name are answered with this code.
    fn accept(listener: &TcpListener, by_name: u8) -> Self {
        let (stream, _) = listener.accept().expect("the hub");
        stream.set_nodelay(true).expect("set");
        let mut reading = stream.try_clone().expect("the same");
        let stream = Arc::new(Mutex::new(stream));
        let answering = Arc::clone(&stream);
        let reads = Arc::new(AtomicBool::new(true));
        let is_reading = Arc::clone(&reads);
        let (tell, said) = channel();
        std::thread::spawn(move || {
            while let Some((kind, body)) = hear(&mut reading) {
                let answer = |bytes: &[u8]| {
                    let _ = answering.lock().expect("whole").write_all(bytes);
                };
                let told = match kind & 0xF0 {
                    0x10 => {
                        answer(&[0x20, 3, 0, 0, 0]);
                        continue;
                    }
                    0x80 => {
                        let filters = filters(&body[3..], 1);
                        let code = |filter: &String| match filter.starts_with("booth/1/up/") {
                            true if filter != EVERYBODY => by_name,
                            _ => 1,
                        };
                        let codes: Vec<u8> = filters.iter().map(code).collect();
                        answer(&packet(
                            0x90,
                            &[&[body[0], body[1], 0], &codes[..]].concat(),
                        ));
                        Said::Subscribes(filters)
                    }
                    0xA0 => {
                        let filters = filters(&body[3..], 0);
                        let codes = vec![0; filters.len()];
                        answer(&packet(
                            0xB0,
                            &[&[body[0], body[1], 0], &codes[..]].concat(),
                        ));
                        Said::Unsubscribes(filters)
                    }
                    0xC0 => {
                        answer(&[0xD0, 0]);
                        continue;
                    }
                    0x40 => Said::Ack(u16::from_be_bytes([body[0], body[1]])),
                    0x30 => {
                        let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
                        let topic = String::from_utf8(body[2..2 + length].to_vec()).expect("text");
                        let id = &body[2 + length..4 + length];
                        answer(&packet(0x40, id));
                        let properties = usize::from(body[4 + length]);
                        Said::Message(topic, body[5 + length + properties..].to_vec())
                    }
                    _ => break,
                };
                if tell.send(told).is_err() {
                    return;
                }
                while !is_reading.load(SeqCst) {
                    std::thread::park_timeout(std::time::Duration::from_millis(5));
                }
            }
            let _ = tell.send(Said::End);
        });
        let peer = Self {
            stream,
            said,
            reads,
        };
        peer.hear_message("hub/state");
        peer
    }

    /// The way to the hub.
    fn line(&self) -> TcpStream {
        let stream = self.stream.lock().expect("whole");
        stream.try_clone().expect("the same")
    }

    fn say(&self, bytes: &[u8]) {
        self.line().write_all(bytes).expect("the hub reads");
    }

    fn next(&self) -> Said {
        self.said
            .recv_timeout(PATIENCE)
            .expect("the hub says something")
    }

    fn hear_message(&self, tail: &str) -> Vec<u8> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match self.next() {
                Said::Message(topic, payload) if topic.contains(tail) => return payload,
                Said::End => panic!("the hub has gone"),
                _ => {}
            }
        }
        panic!("the hub says nothing on {tail}");
    }

    /// How often each of so many packet ids was answered.
    fn acks(&self, most: usize) -> HashMap<u16, usize> {
        let mut acks = HashMap::new();
        while acks.len() < most {
            match self.next() {
                Said::Ack(id) => *acks.entry(id).or_default() += 1,
                Said::End => panic!("the hub has gone after {} answers", acks.len()),
                _ => {}
            }
        }
        acks
    }

    /// A whole clip, and the hub's word that it is stored.
    fn delivers(&self, booth: &str, clip_no: u64) {
        let clip = Clip::new(booth, clip_no);
        let topic = |tail: String| format!("booth/1/up/{booth}/{tail}");
        let mut id = 60_000;
        let mut all = publish(
            &topic(format!("clip/{}", clip.id)),
            Some(id),
            clip.manifest.to_string().as_bytes(),
        );
        for (nth, part) in clip.body.chunks(16_384).enumerate() {
            id += 1;
            let topic = topic(format!("part/{}/{}", clip.id, nth * 16_384));
            all.extend(publish(&topic, Some(id), part));
        }
        self.say(&all);
        let ack = self.hear_message(&clip.id);
        let ack: Ack = serde_json::from_slice(&ack).expect("an ack");
        assert_eq!(ack.status, AckStatus::Stored);
    }
}

/// Filters of a SUBSCRIBE, each with an octet of options behind it, or of an UNSUBSCRIBE.
fn filters(mut body: &[u8], options: usize) -> Vec<String> {
    let mut filters = Vec::new();
    while let [high, low, rest @ ..] = body {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        filters.push(String::from_utf8(rest[..length].to_vec()).expect("text"));
        body = &rest[length + options..];
    }
    filters
}

fn hear(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte).ok()?;
    let kind = byte[0];
    let (mut length, mut shift) = (0, 0);
    loop {
        stream.read_exact(&mut byte).ok()?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((kind, body))
}

fn hub_at_a_script() -> (Home, Hub, Peer, TcpListener) {
    hub_at_a_script_that_answers(1)
}

fn hub_at_a_script_that_answers(by_name: u8) -> (Home, Hub, Peer, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let home = Home::new(listener.local_addr().expect("an address").port(), "");
    let hub = Hub::start(&home);
    let peer = Peer::accept(&listener, by_name);
    (home, hub, peer, listener)
}

/// So many messages of as many booths as a fleet has, each with an id of its own.
fn burst(messages: u16) -> Vec<u8> {
    (1..=messages)
        .flat_map(|id| {
            let topic = format!(
                "booth/1/up/booth-{}/part/6f9619ff-8b86-4d01-b42d-00cf4fc964ff/{}",
                id % 60,
                1_000 * u64::from(id)
            );
            publish(&topic, Some(id), &[7; 1_000])
        })
        .collect()
}

fn stands(hub: &Hub, listener: &TcpListener) {
    listener.set_nonblocking(true).expect("set");
    assert!(listener.accept().is_err(), "the hub came a second time");
    let lines = hub.lines();
    assert!(
        !lines.iter().any(|line| line.contains("trying again")),
        "{lines:#?}"
    );
}

#[test]
fn ten_times_the_announced_receive_maximum_is_answered_each_once() {
    let (_home, hub, peer, listener) = hub_at_a_script();
    peer.say(&burst(20_480));
    let acks = peer.acks(20_480);
    assert!(acks.values().all(|times| *times == 1));
    peer.delivers("rundhoej-1", 1);
    stands(&hub, &listener);
}

#[test]
fn a_packet_id_that_comes_again_before_it_was_answered_is_no_fault() {
    let (_home, hub, peer, listener) = hub_at_a_script();
    let again: Vec<u8> = (0..500)
        .flat_map(|_| publish("booth/1/up/rundhoej-1/health", Some(7), b"{\"ready\":1}"))
        .collect();
    peer.say(&again);
    peer.delivers("rundhoej-1", 1);
    stands(&hub, &listener);
}

#[test]
fn a_broker_that_reads_nothing_for_a_while_gets_every_answer_afterwards() {
    let (_home, hub, peer, listener) = hub_at_a_script();
    peer.reads.store(false, SeqCst);
    let bytes = burst(40_000);
    // Whoever reads nothing may be read from no more: the rest goes once it reads again.
    std::thread::scope(|scope| {
        let mut line = peer.line();
        let sending = scope.spawn(move || line.write_all(&bytes).expect("the hub reads"));
        for _ in 0..200 {
            if sending.is_finished() {
                break;
            }
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
        peer.reads.store(true, SeqCst);
        sending.join().expect("taken");
    });
    let acks = peer.acks(40_000);
    assert!(acks.values().all(|times| *times == 1));
    peer.delivers("rundhoej-1", 1);
    stands(&hub, &listener);
}

#[test]
fn a_full_hub_stops_reading_and_drops_nothing_of_an_honest_crowd() {
    let (_home, hub, peer, listener) = hub_at_a_script();
    // Twenty booths say more than the pace of each lets through at once, and less than each may have waiting: together they fill the hub.
    // Read on, and each would have more waiting than it may.
    let (booths, each) = (20_u16, 1_700_u16);
    let crowd: Vec<u8> = (0..booths * each)
        .flat_map(|nth| {
            let topic = format!("booth/1/up/booth-{}/health", nth % booths);
            publish(&topic, Some(nth + 1), b"{\"ready\":1}")
        })
        .collect();
    peer.say(&crowd);
    let acks = peer.acks(usize::from(booths * each));
    assert!(acks.values().all(|times| *times == 1));
    let lines = hub.lines();
    assert!(
        !lines.iter().any(|line| line.contains("dropped")),
        "{lines:#?}"
    );
    peer.delivers("rundhoej-1", 1);
    stands(&hub, &listener);
}

/// One booth floods the hub until it changes its subscriptions; answers with what it asked for in their order, up to this.
fn flooded_until(peer: &Peer, end: impl Fn(&Said) -> bool) -> Vec<Said> {
    let _turn = turns::take(Turn::Flood);
    let flood: Vec<u8> = (1..=50)
        .flat_map(|id| publish("booth/1/up/loud-1/health", Some(id), b"{\"ready\":1}"))
        .collect();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Answers to the hub go in between, and never into a packet.
        let stream = &peer.stream;
        let say = move || stream.lock().expect("whole").write_all(&flood);
        let is_over = &is_over;
        scope.spawn(move || while !is_over.load(SeqCst) && say().is_ok() {});
        let (mut asked, until) = (Vec::new(), Instant::now() + PATIENCE);
        while Instant::now() < until {
            let said = peer.next();
            let is_end = end(&said);
            assert!(!matches!(said, Said::End), "the hub has gone");
            if matches!(said, Said::Subscribes(_) | Said::Unsubscribes(_)) {
                asked.push(said);
            }
            if is_end {
                break;
            }
        }
        is_over.store(true, SeqCst);
        asked
    })
}

#[test]
fn whoever_floods_the_hub_is_not_subscribed_to_and_the_others_are_by_their_names() {
    let (_home, hub, peer, listener) = hub_at_a_script();
    peer.delivers("rundhoej-1", 1);
    let asked = flooded_until(&peer, |said| matches!(said, Said::Unsubscribes(_)));
    let [Said::Subscribes(to), Said::Unsubscribes(from)] = &asked[..] else {
        panic!("first the others, then nobody else");
    };
    assert_eq!(to, &["booth/1/up/rundhoej-1/#"]);
    assert_eq!(from, &[EVERYBODY]);
    hub.says("loud-1 floods the hub, which does not listen to it for 60 s");
    hub.shows("operations", "<code>loud-1</code>");
    peer.delivers("rundhoej-1", 2);
    stands(&hub, &listener);
}

#[test]
fn where_no_booth_can_be_subscribed_to_by_its_name_everybody_is_heard_again_and_why_is_told() {
    let (_home, hub, peer, listener) = hub_at_a_script_that_answers(0x87);
    peer.delivers("rundhoej-1", 1);
    let is_everybody = |said: &Said| matches!(said, Said::Subscribes(to) if to == &[EVERYBODY]);
    let asked = flooded_until(&peer, is_everybody);
    assert!(asked.last().is_some_and(is_everybody));
    hub.says("the broker lets the hub subscribe to no booth by its name");
    peer.delivers("rundhoej-1", 2);
    stands(&hub, &listener);
}
