//! What brokers may lawfully send (MQTT 5), packet by packet, in its shortest and its longest form, and some of what they
//! send besides.
//!
//! Owns: the byte strings. Never does: judge them.

/// When it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Instead of an ordinary CONNACK.
    Connecting,
    /// In answer to SUBSCRIBE with packet id 1 and `filters` filters.
    Subscribing,
    /// In answer to UNSUBSCRIBE.
    Unsubscribing,
    /// In answer to a message.
    Publishing,
    /// When everything is done.
    AtRest,
}

/// One byte string.
#[derive(Debug, Clone)]
pub struct Case {
    pub packet: &'static str,
    pub name: String,
    pub when: When,
    /// From the first byte on; [`ID`] stands for the packet id.
    pub body: Vec<u8>,
    pub kind: u8,
    /// The reason code, where there is one.
    pub code: Option<u8>,
    /// The standard allows it here.
    pub is_lawful: bool,
}

impl Case {
    /// As it goes over the wire, in answer to the packet with this id.
    pub fn bytes(&self, id: [u8; 2]) -> Vec<u8> {
        let mut body = self.body.clone();
        if matches!(
            self.when,
            When::Subscribing | When::Unsubscribing | When::Publishing
        ) {
            body[..2].copy_from_slice(&id);
        }
        frame(self.kind, &body)
    }
}

/// Puts the fixed header before a body.
pub fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut whole = vec![kind];
    whole.extend(number(body.len()));
    whole.extend(body);
    whole
}

/// A Variable Byte Integer (§1.5.5).
pub fn number(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        bytes.push(if value > 0 { byte | 0x80 } else { byte });
        if value == 0 {
            return bytes;
        }
    }
}

pub(crate) fn text(value: &str) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("at most 65,535 bytes");
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend(value.as_bytes());
    bytes
}

pub(crate) fn with_length(properties: &[u8]) -> Vec<u8> {
    let mut all = number(properties.len());
    all.extend(properties);
    all
}

pub(crate) fn property(id: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![id];
    bytes.extend(value);
    bytes
}

/// Reason codes of the standard, by packet (§2.4).
pub mod codes {
    pub const CONNACK: &[u8] = &[
        0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97,
        0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
    ];
    pub const PUBACK: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    pub const SUBACK: &[u8] = &[
        0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2,
    ];
    pub const UNSUBACK: &[u8] = &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91];
    /// Those that a server may send.
    pub const DISCONNECT: &[u8] = &[
        0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95,
        0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
    ];
    /// Those that the standard does not have for that packet: brokers send some, and later standards may.
    pub const BEYOND: &[u8] = &[0x7F, 0x8B, 0x95, 0xA3, 0xC0, 0xF0, 0xFF];
}

/// A text as long as a text may be.
fn longest() -> String {
    "æ".repeat(32_767)
}

/// Properties that every acknowledgement may have: a Reason String and User Properties, at their longest within a packet of
/// 128 KiB.
fn long_reason() -> Vec<u8> {
    let mut all = property(0x1F, &text(&longest()));
    for value in ["", "x", "a value of some length"] {
        all.extend(property(0x26, &[text("name"), text(value)].concat()));
    }
    all
}

/// Every property of CONNACK at its extremes.
fn connack_properties() -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut add = |name: &str, id: u8, values: &[(&str, Vec<u8>)]| {
        for (value, bytes) in values {
            all.push((format!("{name} {value}"), property(id, bytes)));
        }
    };
    let two = |value: u16| value.to_be_bytes().to_vec();
    let four = |value: u32| value.to_be_bytes().to_vec();
    let flag = [("0", vec![0]), ("1", vec![1])];
    let texts = |short: &str| [("short", text(short)), ("longest", text(&longest()))];
    add(
        "Session Expiry Interval",
        0x11,
        &[("0", four(0)), ("for ever", four(u32::MAX))],
    );
    add(
        "Receive Maximum",
        0x21,
        &[("1", two(1)), ("65,535", two(u16::MAX))],
    );
    add("Maximum QoS", 0x24, &flag);
    add("Retain Available", 0x25, &flag);
    add(
        "Maximum Packet Size",
        0x27,
        &[("300", four(300)), ("largest", four(u32::MAX))],
    );
    add("Assigned Client Identifier", 0x12, &texts("another"));
    add(
        "Topic Alias Maximum",
        0x22,
        &[("0", two(0)), ("65,535", two(u16::MAX))],
    );
    add("Reason String", 0x1F, &texts(""));
    add(
        "User Property",
        0x26,
        &[
            ("empty", [text(""), text("")].concat()),
            ("longest", [text("name"), text(&longest())].concat()),
        ],
    );
    add("Wildcard Subscription Available", 0x28, &flag);
    add("Subscription Identifier Available", 0x29, &flag);
    add("Shared Subscription Available", 0x2A, &flag);
    add(
        "Server Keep Alive",
        0x13,
        &[
            ("0", two(0)),
            ("1", two(1)),
            ("120", two(120)),
            ("65,535", two(u16::MAX)),
        ],
    );
    add("Response Information", 0x1A, &texts("replies/"));
    add("Server Reference", 0x1C, &texts("other.example"));
    add("Authentication Method", 0x15, &texts("SCRAM-SHA-1"));
    add(
        "Authentication Data",
        0x16,
        &[("empty", text("")), ("longest", text(&longest()))],
    );
    let many = property(0x26, &[text("n"), text("v")].concat()).repeat(1_000);
    all.push(("User Property a thousand times".into(), many));
    all
}

/// Every byte string.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |packet, name: String, when, kind, body: Vec<u8>, code, is_lawful| {
        all.push(Case {
            packet,
            name,
            when,
            body,
            kind,
            code,
            is_lawful,
        });
    };

    // CONNACK (§3.2).
    let connack = |code: u8, properties: &[u8]| [vec![0, code], with_length(properties)].concat();
    let at = When::Connecting;
    add(
        "CONNACK",
        "shortest".into(),
        at,
        0x20,
        connack(0, &[]),
        Some(0),
        true,
    );
    add(
        "CONNACK",
        "session present".into(),
        at,
        0x20,
        vec![1, 0, 0],
        Some(0),
        false,
    );
    for (name, bytes) in connack_properties() {
        // Lawful only for a client that has asked for it: an id of the server's, Response Information, authentication.
        let is_asked_for = ![0x12, 0x1A, 0x15, 0x16].contains(&bytes[0]);
        add(
            "CONNACK",
            name,
            at,
            0x20,
            connack(0, &bytes),
            Some(0),
            is_asked_for,
        );
    }
    let every: Vec<u8> = connack_properties()
        .into_iter()
        .filter(|(name, bytes)| {
            let is_large = bytes.len() > 300;
            let is_first = !["65,535", "largest", "for ever", " 0", " 120", "QoS 1"]
                .iter()
                .any(|end| name.ends_with(end));
            !is_large && (is_first || bytes[0] == 0x22 && name.ends_with(" 0"))
        })
        .flat_map(|(_, bytes)| bytes)
        .collect();
    add(
        "CONNACK",
        "every property at once".into(),
        at,
        0x20,
        connack(0, &every),
        Some(0),
        false,
    );
    for code in codes::CONNACK {
        let name = format!("{code:02X}");
        add(
            "CONNACK",
            format!("{name} shortest"),
            at,
            0x20,
            connack(*code, &[]),
            Some(*code),
            true,
        );
        add(
            "CONNACK",
            format!("{name} longest"),
            at,
            0x20,
            connack(*code, &long_reason()),
            Some(*code),
            true,
        );
    }
    for code in [0x01, 0x7F, 0x8D, 0xA3, 0xF0, 0xFF] {
        add(
            "CONNACK",
            format!("{code:02X} (unknown)"),
            at,
            0x20,
            connack(code, &[]),
            Some(code),
            false,
        );
    }
    for code in 0..=5 {
        add(
            "CONNACK",
            format!("of MQTT 3.1.1, {code}"),
            at,
            0x20,
            vec![0, code],
            Some(code),
            false,
        );
    }

    // PUBACK (§3.4).
    let at = When::Publishing;
    add(
        "PUBACK",
        "shortest".into(),
        at,
        0x40,
        vec![0, 0],
        Some(0),
        true,
    );
    let forms = |add: &mut dyn FnMut(String, Vec<u8>), code: u8, first: &[u8]| {
        let name = format!("{code:02X}");
        add(
            format!("{name} without a property length"),
            [first, &[code]].concat(),
        );
        add(
            format!("{name} without properties"),
            [first, &[code, 0]].concat(),
        );
        add(
            format!("{name} longest"),
            [first, &[code], &with_length(&long_reason())].concat(),
        );
    };
    for (list, is_lawful) in [(codes::PUBACK, true), (codes::BEYOND, false)] {
        for code in list {
            forms(
                &mut |name, body| add("PUBACK", name, at, 0x40, body, Some(*code), is_lawful),
                *code,
                &[0, 0],
            );
        }
    }

    // SUBACK (§3.9) and UNSUBACK (§3.11).
    for (packet, at, kind, lawful) in [
        ("SUBACK", When::Subscribing, 0x90, codes::SUBACK),
        ("UNSUBACK", When::Unsubscribing, 0xB0, codes::UNSUBACK),
    ] {
        for (list, is_lawful) in [(lawful, true), (codes::BEYOND, false)] {
            for code in list {
                let name = format!("{code:02X}");
                add(
                    packet,
                    format!("{name} shortest"),
                    at,
                    kind,
                    vec![0, 0, 0, *code],
                    Some(*code),
                    is_lawful,
                );
                let long = [vec![0, 0], with_length(&long_reason()), vec![*code]].concat();
                add(
                    packet,
                    format!("{name} longest"),
                    at,
                    kind,
                    long,
                    Some(*code),
                    is_lawful,
                );
            }
        }
    }

    // PUBLISH (§3.3).
    let at = When::AtRest;
    let message = |topic: &str, id: Option<u16>, properties: &[u8], payload: &[u8]| {
        let mut body = text(topic);
        body.extend(id.into_iter().flat_map(u16::to_be_bytes));
        body.extend(with_length(properties));
        body.extend(payload);
        body
    };
    add(
        "PUBLISH",
        "QoS 0, shortest".into(),
        at,
        0x30,
        message("a", None, &[], b""),
        None,
        true,
    );
    add(
        "PUBLISH",
        "QoS 1, shortest".into(),
        at,
        0x32,
        message("a", Some(1), &[], b""),
        None,
        true,
    );
    add(
        "PUBLISH",
        "QoS 1, id 65,535".into(),
        at,
        0x32,
        message("a", Some(65_535), &[], b""),
        None,
        true,
    );
    add(
        "PUBLISH",
        "QoS 1, again, retained".into(),
        at,
        0x3B,
        message("a", Some(1), &[], b"x"),
        None,
        true,
    );
    add(
        "PUBLISH",
        "longest topic".into(),
        at,
        0x30,
        message(&longest(), None, &[], b"x"),
        None,
        true,
    );
    add(
        "PUBLISH",
        "longest payload".into(),
        at,
        0x32,
        message("a", Some(2), &[], &[7; 131_000]),
        None,
        true,
    );
    let every = [
        property(0x01, &[1]),
        property(0x02, &u32::MAX.to_be_bytes()),
        property(0x03, &text("application/json")),
        property(0x08, &text("reply/here")),
        property(0x09, &text("correlation")),
        property(0x26, &[text("a"), text("b")].concat()),
        property(0x26, &[text("a"), text("c")].concat()),
    ]
    .concat();
    add(
        "PUBLISH",
        "every property".into(),
        at,
        0x32,
        message("a", Some(3), &every, b"x"),
        None,
        true,
    );
    let long = property(0x26, &[text("a"), text(&longest())].concat());
    add(
        "PUBLISH",
        "longest property".into(),
        at,
        0x32,
        message("a", Some(4), &long, b"x"),
        None,
        true,
    );

    add(
        "PINGRESP",
        "shortest".into(),
        at,
        0xD0,
        Vec::new(),
        None,
        true,
    );

    // DISCONNECT (§3.14).
    add(
        "DISCONNECT",
        "shortest".into(),
        at,
        0xE0,
        Vec::new(),
        Some(0),
        true,
    );
    for (list, is_lawful) in [(codes::DISCONNECT, true), (codes::BEYOND, false)] {
        let news = |code: &&u8| is_lawful || !codes::DISCONNECT.contains(code);
        for code in list.iter().filter(news) {
            forms(
                &mut |name, body| add("DISCONNECT", name, at, 0xE0, body, Some(*code), is_lawful),
                *code,
                &[],
            );
        }
    }
    let moved = with_length(&property(0x1C, &text("other.example")));
    add(
        "DISCONNECT",
        "9D with a Server Reference".into(),
        at,
        0xE0,
        [vec![0x9D], moved].concat(),
        Some(0x9D),
        true,
    );

    // AUTH (§3.15): never lawful for who has not asked for it.
    add("AUTH", "shortest".into(), at, 0xF0, Vec::new(), None, false);
    add("AUTH", "18".into(), at, 0xF0, vec![0x18, 0], None, false);
    all
}
