//! Reason codes of MQTT 5 (§2.4) in words.

/// The code's name in the standard, in plain words, with the code itself.
pub(super) fn in_words(code: u8) -> String {
    let words = match code {
        0x00 => "no reason given",
        0x04 => "with will message",
        0x10 => "no matching subscribers",
        0x80 => "unspecified error",
        0x81 => "malformed packet",
        0x82 => "protocol error",
        0x83 => "implementation specific error",
        0x84 => "unsupported protocol version",
        0x85 => "client identifier not valid",
        0x86 => "bad user name or password",
        0x87 => "not authorized",
        0x88 => "server unavailable",
        0x89 => "server busy",
        0x8A => "banned",
        0x8B => "server shutting down",
        0x8C => "bad authentication method",
        0x8D => "keep alive timeout",
        0x8E => "session taken over",
        0x8F => "topic filter invalid",
        0x90 => "topic name invalid",
        0x91 => "packet identifier in use",
        0x92 => "packet identifier not found",
        0x93 => "receive maximum exceeded",
        0x94 => "topic alias invalid",
        0x95 => "packet too large",
        0x96 => "message rate too high",
        0x97 => "quota exceeded",
        0x98 => "administrative action",
        0x99 => "payload format invalid",
        0x9A => "retain not supported",
        0x9B => "QoS not supported",
        0x9C => "use another server",
        0x9D => "server moved",
        0x9E => "shared subscriptions not supported",
        0x9F => "connection rate exceeded",
        0xA0 => "maximum connect time",
        0xA1 => "subscription identifiers not supported",
        0xA2 => "wildcard subscriptions not supported",
        _ => "a code that MQTT 5 does not have",
    };
    format!("{words}, 0x{code:02X}")
}

/// What a person can do about it, where the code shows that.
pub(super) fn remedy(code: u8) -> &'static str {
    match code {
        0x81..=0x83 | 0x90 | 0x93 | 0x94 => {
            "see the broker's log: booth and broker understand MQTT 5 differently"
        }
        0x84 => "a broker that speaks MQTT 5 is needed",
        0x85 => "let the broker take the client id, which is the user's name",
        0x86 | 0x87 => "check the broker's access rules for this user",
        0x88 | 0x89 | 0x8B => "the broker is busy or stops; it is tried again",
        0x8A | 0x98 => "ask whoever runs the broker: it has shut this user out",
        0x8C => "let the broker take user name and password",
        0x8D => "the network lost what was sent; it is tried again",
        0x8E => "find the other device that uses this client id, and give it its own",
        0x8F | 0x9E | 0xA1 | 0xA2 => "let the broker take subscriptions with wildcards",
        0x95 => "let the broker take packets of 64 KiB (max_packet_size, message_size_limit)",
        0x96 | 0x97 | 0x9F => "raise the broker's limits for this user",
        0x99 => "see the broker's log: it looks into messages",
        0x9A => "let the broker keep retained messages",
        0x9B => "let the broker take messages of QoS 1",
        0x9C | 0x9D => "put the broker's new address into [mqtt] url",
        0xA0 => "it is tried again",
        _ => "see the broker's log",
    }
}
