//! What each broker of `make brokers` does with wills, retained messages, limits and quotas, asked one by one and held against the table of
//! docs/brokers.md. A broker that is not there is named by a line `!! … NOT RUN: …`.
#![allow(clippy::disallowed_methods)]

use std::io::{self, Write};
use std::time::{Duration, Instant};

use booth_testkit::raw_mqtt::{Message, RawMqtt, Will, Wishes};
use booth_testkit::repository;
use booth_testkit::wait::until;
use booth_testkit::zoo::{Kind, Rules, Running, password};

const BOOTH: &str = "rundhoej-1";
const HUB: &str = "hub";
/// What a broker that has something to say says within this time, also on a busy machine.
const SPEAKS: Duration = Duration::from_secs(20);
/// Silence of this length is an answer.
const SILENCE: Duration = Duration::from_secs(9);
/// Of a will that waits.
const DELAY_S: u32 = 6;
/// Sent to a session whose owner is away: more than Mosquitto keeps by itself.
const TO_THE_ABSENT: usize = 1_500;

fn topic(tail: &str) -> String {
    format!("booth/1/up/{BOOTH}/{tail}")
}

/// A broker and who connects to it.
struct Asked {
    kind: Kind,
    broker: Running,
}

impl Asked {
    fn start(kind: Kind, rules: Rules) -> Self {
        Self {
            kind,
            broker: Running::start(kind, rules, &[BOOTH, HUB]),
        }
    }

    fn connect(&self, user: &str, wishes: Wishes) -> RawMqtt {
        let password = password(user);
        let wishes = Wishes {
            client_id: user,
            // Paho's broker knows no users.
            login: (self.kind != Kind::Paho).then_some((user, password.as_str())),
            ..wishes
        };
        // RabbitMQ listens before it takes anybody.
        until("the broker takes a connection", || {
            RawMqtt::connect(self.broker.port, &wishes).ok()
        })
    }

    fn anew(&self, user: &str) -> RawMqtt {
        let wishes = Wishes {
            is_clean: true,
            ..Wishes::default()
        };
        self.connect(user, wishes)
    }

    /// A hub that hears this.
    fn hears(&self, filter: &str) -> RawMqtt {
        until("the hub subscribes", || {
            let mut hub = self.anew(HUB);
            hub.subscribe(filter).ok().map(|_| hub)
        })
    }

    /// What somebody who comes now is told of this filter. Whoever comes under a name that has just gone may be thrown out once.
    fn is_told(&self, filter: &str) -> Option<Message> {
        until("somebody is told, or nothing comes", || {
            self.hears(filter).next_message(SILENCE).ok()
        })
    }

    /// A booth whose connection breaks, and which has left this will.
    fn breaks_with(&self, tail: &str, delay_s: u32, session_s: u32) {
        let topic = topic(tail);
        let will = Will {
            topic: &topic,
            payload: "gone",
            is_retained: true,
            delay_s,
        };
        drop(self.connect(
            BOOTH,
            Wishes {
                is_clean: true,
                session_s,
                will: Some(will),
                ..Wishes::default()
            },
        ));
    }
}

fn passes(time: Duration) {
    let began = Instant::now();
    until("time has passed", || {
        (began.elapsed() >= time).then_some(())
    });
}

fn yes(is_so: bool, yes: &str, no: &str) -> String {
    if is_so { yes } else { no }.to_owned()
}

/// How a connection ended that the broker did not like, or what it answered instead.
fn answer(link: &mut RawMqtt, asked: io::Result<u8>) -> String {
    match (asked, link.farewell) {
        (Ok(reason), _) => format!("PUBACK {reason:#04x}"),
        (Err(_), Some(reason)) => format!("DISCONNECT {reason:#04x}"),
        (Err(_), None) => "closes without a word".into(),
    }
}

fn limits(asked: &Asked) -> String {
    let announced = asked.anew(BOOTH).announced;
    let packets = announced.maximum_packet.map_or_else(
        || "no limit of packets".into(),
        |most| format!("packets of {most} bytes"),
    );
    format!(
        "QoS {}, {} messages on the way, {} topic aliases, {packets}",
        announced.maximum_qos, announced.receive_maximum, announced.topic_aliases
    )
}

fn of_nobody(asked: &Asked) -> String {
    let mut booth = asked.anew(BOOTH);
    let answered = booth.publish(&topic("event/nobody"), b"{}", false, None);
    answer(&mut booth, answered)
}

fn refused(asked: &Asked) -> String {
    let mut booth = asked.anew(BOOTH);
    let answered = booth.publish("booth/1/up/another/event/x", b"{}", false, None);
    answer(&mut booth, answered)
}

fn will(asked: &Asked) -> String {
    let mut hub = asked.hears(&topic("will/now"));
    asked.breaks_with("will/now", 0, 0);
    let came = hub.next_message(SPEAKS).expect("a connection").is_some();
    drop(hub);
    let is_kept = asked.is_told(&topic("will/now")).is_some();
    format!(
        "{}, {}",
        yes(came, "sent", "not sent"),
        yes(is_kept, "and kept as retained", "and not kept")
    )
}

fn late_will(asked: &Asked) -> String {
    let mut hub = asked.hears(&topic("will/late"));
    asked.breaks_with("will/late", DELAY_S, 600);
    let came = hub.next_message(SPEAKS).expect("a connection").is_some();
    drop(hub);
    let is_kept = asked.is_told(&topic("will/late")).is_some();
    format!(
        "{}, {}",
        yes(came, "sent", "not sent"),
        yes(is_kept, "and kept as retained", "and not kept")
    )
}

fn will_of_who_returns(asked: &Asked) -> String {
    let mut hub = asked.hears(&topic("will/back"));
    asked.breaks_with("will/back", DELAY_S, 600);
    // Who returns before the broker has noticed the end is another question.
    passes(Duration::from_secs(1));
    let wishes = Wishes {
        session_s: 600,
        ..Wishes::default()
    };
    let _booth = asked.connect(BOOTH, wishes);
    let came = hub.next_message(SILENCE).expect("a connection").is_some();
    yes(came, "sent all the same", "not sent")
}

fn retained(asked: &Asked) -> String {
    let mut booth = asked.anew(BOOTH);
    booth
        .publish(&topic("state"), b"{}", true, None)
        .expect("answered");
    let exact = asked.is_told(&topic("state")).is_some();
    let wildcard = asked.is_told("booth/1/up/+/state").is_some();
    format!(
        "{}; {}",
        yes(exact, "to its topic", "not even to its topic"),
        yes(wildcard, "to a wildcard", "not to a wildcard")
    )
}

fn expiry(asked: &Asked) -> String {
    let mut booth = asked.anew(BOOTH);
    booth
        .publish(&topic("long"), b"{}", true, Some(600))
        .expect("answered");
    booth
        .publish(&topic("short"), b"{}", true, Some(1))
        .expect("answered");
    passes(Duration::from_secs(3));
    let counts = match asked.is_told(&topic("long")) {
        None => "is not sent at all",
        Some(message) => match message.expires_s {
            None => "is not passed on",
            Some(600) => "is passed on as it was",
            Some(_) => "counts down",
        },
    };
    let is_there = asked.is_told(&topic("short")).is_some();
    format!(
        "{counts}; {}",
        yes(
            is_there,
            "still sent when it is over",
            "gone when it is over"
        )
    )
}

fn absent(asked: &Asked) -> String {
    let wishes = || Wishes {
        session_s: 600,
        ..Wishes::default()
    };
    drop(asked.anew(HUB));
    let mut hub = asked.connect(HUB, wishes());
    hub.subscribe(&topic("event/queued")).expect("answered");
    drop(hub);
    let mut booth = asked.anew(BOOTH);
    for _ in 0..TO_THE_ABSENT {
        booth
            .publish(&topic("event/queued"), b"{}", false, None)
            .expect("answered");
    }
    let mut hub = asked.connect(HUB, wishes());
    let mut kept = 0;
    while kept < TO_THE_ABSENT && hub.next_message(SILENCE).expect("a connection").is_some() {
        kept += 1;
    }
    match kept {
        TO_THE_ABSENT => "all".into(),
        kept => format!("{kept}"),
    }
}

fn shared(asked: &Asked) -> String {
    let mut hub = asked.anew(HUB);
    let announced = yes(
        hub.announced.shared_subscriptions,
        "announced",
        "announced as missing",
    );
    let subscribed = hub.subscribe(&format!("$share/hubs/{}", topic("event/shared")));
    let Ok(reason) = subscribed else {
        return format!("{announced}; {}", answer(&mut hub, subscribed));
    };
    let mut booth = asked.anew(BOOTH);
    booth
        .publish(&topic("event/shared"), b"{}", false, None)
        .expect("answered");
    let came = match hub.next_message(SILENCE) {
        Ok(Some(_)) => "works",
        Ok(None) => "nothing comes",
        Err(_) => "the connection is closed",
    };
    format!("{announced}; SUBACK {reason:#04x}; {came}")
}

fn take_over(asked: &Asked) -> String {
    let mut first = asked.anew(BOOTH);
    let _second = asked.anew(BOOTH);
    let ended = until("the first connection ends", || {
        first.next_message(SPEAKS).err()
    });
    let asked: io::Result<u8> = Err(ended);
    answer(&mut first, asked)
}

fn too_large(kind: Kind) -> String {
    let asked = Asked::start(kind, Rules::Packets(5_000));
    let mut booth = asked.anew(BOOTH);
    let announced = match booth.announced.maximum_packet {
        Some(5_000) => "announced".to_owned(),
        other => format!("announced as {other:?}"),
    };
    let answered = booth.publish(&topic("part/x/0"), &[0; 6_000], false, None);
    format!("{announced}; {}", answer(&mut booth, answered))
}

/// A question, and how it is asked.
type Question = (&'static str, fn(&Asked) -> String);

/// In the order of the page; the last one needs a broker of its own.
const QUESTIONS: [Question; 11] = [
    ("limits that it announces", limits),
    ("a message that nobody has subscribed to", of_nobody),
    ("a message that its rules refuse", refused),
    ("a will, when the connection breaks", will),
    ("a will with a delay", late_will),
    (
        "a will with a delay, of who returns in time",
        will_of_who_returns,
    ),
    ("a retained message, to who subscribes later", retained),
    ("expiry of a retained message", expiry),
    (
        "of 1,500 messages to a session whose owner is away, it keeps",
        absent,
    ),
    ("shared subscriptions", shared),
    (
        "another device with the same client id: the first",
        take_over,
    ),
];
const TOO_LARGE: &str = "a packet larger than the 5,000 bytes that it takes";

/// The cell of the page.
fn written(question: &str, kind: Kind) -> Option<String> {
    let page = std::fs::read_to_string(repository().join("docs/brokers.md")).expect("the page");
    let cells = |line: &str| -> Vec<String> {
        line.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let head = page
        .lines()
        .find(|line| line.starts_with("| asked |"))
        .map(cells)?;
    let row = page
        .lines()
        .map(cells)
        .find(|row| row.get(1).is_some_and(|first| first == question))?;
    let column = head.iter().position(|name| name == kind.name())?;
    row.get(column).cloned()
}

fn is_as_written(kind: Kind) {
    if let Some(why) = kind.why_not() {
        let line = format!("!! {}, what it does: NOT RUN: {why}\n", kind.name());
        io::stderr().write_all(line.as_bytes()).expect("told");
        return;
    }
    let asked = Asked::start(kind, Rules::City);
    let mut found: Vec<(&str, String)> = QUESTIONS
        .iter()
        .map(|(question, ask)| (*question, ask(&asked)))
        .collect();
    drop(asked);
    found.push((TOO_LARGE, too_large(kind)));
    let differs = found
        .iter()
        .filter(|(question, answer)| written(question, kind).as_ref() != Some(answer));
    let differs: Vec<String> = differs
        .map(|(question, answer)| format!("| {question} | {answer} |"))
        .collect();
    assert!(
        differs.is_empty(),
        "docs/brokers.md says otherwise of {}:\n{}",
        kind.name(),
        differs.join("\n")
    );
}

#[test]
fn mosquitto_of_debian_12_does_what_the_page_says() {
    is_as_written(Kind::Mosquitto12);
}

#[test]
fn mosquitto_of_debian_13_does_what_the_page_says() {
    is_as_written(Kind::Mosquitto13);
}

#[test]
fn rabbitmq_of_debian_13_does_what_the_page_says() {
    is_as_written(Kind::RabbitMq);
}

#[test]
fn pahos_broker_does_what_the_page_says() {
    is_as_written(Kind::Paho);
}
