//! Rewrites what a broker sends so that the MQTT library can read all of it. Pure: bytes in, bytes out.
//!
//! Owns: writing short packets out in full, replacing reason codes that the library does not know, and leaving out properties that
//! nobody here needs; and the broker's answers word for word ([`Heard`]), of which the library passes on only a part. Never does:
//! hold back or change a message, or judge an answer. Bytes that are no MQTT go through as they are: the library refuses them.

/// Largest packet that is gathered whole, bytes; a message (PUBLISH) never is.
const MOST_GATHERED: usize = 1 << 20;
/// Longest text of a broker that is kept, bytes.
const LONGEST_TEXT: usize = 200;
/// The longest time between two packets of this end that the broker can set, s: a dead broker must be noticed within minutes.
pub const LONGEST_KEEP_ALIVE_S: u16 = 300;
/// The time between two packets of this end if the broker sets none, s.
pub const KEEP_ALIVE_S: u16 = 30;

/// Packet types (MQTT 5 §2.1.2) that the filter reads.
mod packet {
    pub(super) const CONNACK: u8 = 0x20;
    pub(super) const PUBACK: u8 = 0x40;
    pub(super) const SUBACK: u8 = 0x90;
    pub(super) const UNSUBACK: u8 = 0xB0;
    pub(super) const DISCONNECT: u8 = 0xE0;
    pub(super) const AUTH: u8 = 0xF0;
}

/// Properties (MQTT 5 §2.2.2.2) that the filter reads.
mod property {
    pub(super) const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub(super) const SERVER_REFERENCE: u8 = 0x1C;
    pub(super) const REASON_STRING: u8 = 0x1F;
    pub(super) const RECEIVE_MAXIMUM: u8 = 0x21;
    pub(super) const MAXIMUM_QOS: u8 = 0x24;
    pub(super) const RETAIN_AVAILABLE: u8 = 0x25;
    pub(super) const MAXIMUM_PACKET_SIZE: u8 = 0x27;
}

/// The reason codes that the library knows, by packet.
mod known {
    pub(super) const CONNACK: &[u8] = &[
        0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95,
        0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
    ];
    pub(super) const PUBACK: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    pub(super) const SUBACK: &[u8] = &[
        0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2,
    ];
    pub(super) const UNSUBACK: &[u8] = &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91];
    pub(super) const DISCONNECT: &[u8] = &[
        0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94,
        0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
    ];
}

/// An answer of the broker, word for word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Its answer to CONNECT.
    Connack(Connack),
    /// Its answer to a message.
    Puback {
        /// Packet id.
        packet: u16,
        /// Reason code as it came.
        code: u8,
        /// Reason String, if it gave one.
        reason: Option<String>,
    },
    /// Its answer to a subscription, one code for each filter.
    Suback {
        /// Packet id.
        packet: u16,
        /// Reason codes as they came.
        codes: Vec<u8>,
        /// Reason String, if it gave one.
        reason: Option<String>,
    },
    /// Its reason for ending the connection.
    Disconnect(Parting),
}

/// CONNACK (MQTT 5 §3.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Connack {
    /// Reason code as it came; in MQTT 3.1.1 the return code.
    pub code: u8,
    /// Whether it was written in MQTT 3.1.1 (§3.2 there): two bytes.
    pub is_3_1_1: bool,
    /// Reason String.
    pub reason: Option<String>,
    /// Server Reference: the broker that this client should use instead.
    pub reference: Option<String>,
    /// Server Keep Alive as it came, s.
    pub keep_alive_s: Option<u16>,
    /// Receive Maximum.
    pub receive_maximum: Option<u16>,
    /// Maximum Packet Size, bytes.
    pub max_packet: Option<u32>,
    /// Whether the broker takes messages of QoS 1.
    pub takes_qos_1: bool,
    /// Whether the broker keeps retained messages.
    pub retains: bool,
}

impl Connack {
    /// The longest time between two packets of this end, s: what the broker has set, within this end's own limit; this end's own
    /// where the broker sets none or asks for none.
    pub fn effective_keep_alive_s(&self) -> u16 {
        match self.keep_alive_s {
            None | Some(0) => KEEP_ALIVE_S,
            Some(set) => set.min(LONGEST_KEEP_ALIVE_S),
        }
    }
}

/// DISCONNECT (MQTT 5 §3.14).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parting {
    /// Reason code as it came.
    pub code: u8,
    /// Reason String.
    pub reason: Option<String>,
    /// Server Reference: the broker that this client should use instead.
    pub reference: Option<String>,
}

/// The filter of one connection.
#[derive(Debug, Default)]
pub struct Filter {
    /// The beginning of a packet that is not whole yet.
    held: Vec<u8>,
    /// How many bytes of the current packet still go through as they are.
    passing: usize,
    /// What came is no MQTT: everything goes through from now on.
    is_lost: bool,
}

impl Filter {
    /// How many bytes are missing from a message whose beginning the library has read.
    pub fn missing(&self) -> usize {
        match self.is_lost {
            true => usize::MAX,
            false => self.passing,
        }
    }

    /// Takes the bytes that came; appends to `out` the bytes for the library, and to `heard` the broker's answers.
    pub fn push(&mut self, mut came: &[u8], out: &mut Vec<u8>, heard: &mut Vec<Heard>) {
        while !came.is_empty() {
            if self.is_lost {
                return out.extend_from_slice(came);
            }
            if self.passing > 0 {
                let (through, rest) = came.split_at(self.passing.min(came.len()));
                out.extend_from_slice(through);
                self.passing -= through.len();
                came = rest;
                continue;
            }
            // Byte by byte to the end of the fixed header, then to the end of the packet at once.
            let wanted = match header(&self.held) {
                Header::Whole { start, body, .. } => start + body - self.held.len(),
                Header::Short | Header::Bad => 1,
            };
            let (gathered, rest) = came.split_at(wanted.min(came.len()));
            self.held.extend_from_slice(gathered);
            came = rest;
            match header(&self.held) {
                Header::Short => {}
                Header::Bad => {
                    self.is_lost = true;
                    out.append(&mut self.held);
                }
                Header::Whole { kind, start, body } if is_to_pass(kind, start + body) => {
                    self.passing = start + body - self.held.len();
                    out.append(&mut self.held);
                }
                Header::Whole { kind, start, body } if self.held.len() == start + body => {
                    match write_out(kind, &self.held[start..], out) {
                        Some(said) => {
                            heard.extend(said);
                            self.held.clear();
                        }
                        None => out.append(&mut self.held),
                    }
                }
                Header::Whole { .. } => {}
            }
        }
    }
}

enum Header {
    Short,
    Bad,
    /// The first byte, where the body begins, and how long it is.
    Whole {
        kind: u8,
        start: usize,
        body: usize,
    },
}

/// Reads the fixed header (MQTT 5 §2.1).
fn header(bytes: &[u8]) -> Header {
    let Some((&kind, rest)) = bytes.split_first() else {
        return Header::Short;
    };
    match number(rest) {
        Number::Short => Header::Short,
        Number::Bad => Header::Bad,
        Number::Whole { value, bytes } => Header::Whole {
            kind,
            start: 1 + bytes,
            body: value,
        },
    }
}

enum Number {
    Short,
    Bad,
    Whole { value: usize, bytes: usize },
}

/// Reads a Variable Byte Integer (MQTT 5 §1.5.5).
fn number(bytes: &[u8]) -> Number {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Number::Whole {
                value,
                bytes: at + 1,
            };
        }
    }
    match bytes.len() {
        0..4 => Number::Short,
        _ => Number::Bad,
    }
}

fn is_to_pass(kind: u8, size: usize) -> bool {
    let is_looked_at = matches!(
        kind,
        packet::CONNACK
            | packet::PUBACK
            | packet::SUBACK
            | packet::UNSUBACK
            | packet::DISCONNECT
            | packet::AUTH
    );
    !is_looked_at || size > MOST_GATHERED
}

/// Writes one packet out in full. `None`: the packet is broken, and goes through as it came.
fn write_out(kind: u8, body: &[u8], out: &mut Vec<u8>) -> Option<Option<Heard>> {
    let mut body = body;
    match kind {
        packet::CONNACK => {
            let connack = connack(&mut body)?;
            let packet = write_connack(&connack);
            frame(kind, &packet, out);
            Some(Some(Heard::Connack(connack)))
        }
        packet::PUBACK => {
            let [high, low] = *take(&mut body)?;
            // Reason code and properties may be left out (§3.4.2.1).
            let code = take_byte(&mut body).unwrap_or(0);
            let reason = properties(&mut body).reason;
            let known = known_or_general(code, known::PUBACK);
            frame(kind, &[high, low, known, 0], out);
            Some(Some(Heard::Puback {
                packet: u16::from_be_bytes([high, low]),
                code,
                reason,
            }))
        }
        packet::SUBACK | packet::UNSUBACK => {
            let [high, low] = *take(&mut body)?;
            let reason = properties(&mut body).reason;
            let codes = body.to_vec();
            let library_knows = match kind {
                packet::SUBACK => known::SUBACK,
                _ => known::UNSUBACK,
            };
            let known = codes
                .iter()
                .map(|code| known_or_general(*code, library_knows));
            let packet: Vec<u8> = [high, low, 0].into_iter().chain(known).collect();
            frame(kind, &packet, out);
            let packet = u16::from_be_bytes([high, low]);
            Some((kind == packet::SUBACK).then_some(Heard::Suback {
                packet,
                codes,
                reason,
            }))
        }
        packet::DISCONNECT => {
            // Reason code and properties may be left out (§3.14.2.1).
            let code = take_byte(&mut body).unwrap_or(0);
            let properties = properties(&mut body);
            frame(kind, &[known_or_general(code, known::DISCONNECT), 0], out);
            Some(Some(Heard::Disconnect(Parting {
                code,
                reason: properties.reason,
                reference: properties.reference,
            })))
        }
        // AUTH without a reason code (§3.15.2.1).
        _ if body.is_empty() => {
            frame(kind, &[0, 0], out);
            Some(None)
        }
        _ => None,
    }
}

/// A reason code below 0x80 means success, whatever else it says (MQTT 5 §2.4).
fn known_or_general(code: u8, known: &[u8]) -> u8 {
    if known.contains(&code) {
        code
    } else {
        code & 0x80
    }
}

fn frame(kind: u8, body: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    let mut rest = body.len();
    loop {
        let byte = (rest & 0x7f) as u8;
        rest >>= 7;
        if rest == 0 {
            out.push(byte);
            break;
        }
        out.push(byte | 0x80);
    }
    out.extend_from_slice(body);
}

fn connack(body: &mut &[u8]) -> Option<Connack> {
    let is_two_bytes = body.len() == 2;
    let [_flags, code] = *take(body)?;
    if is_two_bytes && code < 0x80 {
        return Some(Connack {
            code,
            is_3_1_1: true,
            ..Connack::default()
        });
    }
    let properties = properties(body);
    Some(Connack {
        code,
        is_3_1_1: false,
        reason: properties.reason,
        reference: properties.reference,
        keep_alive_s: properties.keep_alive_s,
        receive_maximum: properties.receive_maximum,
        max_packet: properties.max_packet,
        takes_qos_1: properties.maximum_qos != Some(0),
        retains: properties.retain_available != Some(0),
    })
}

/// The part of a CONNACK that the library needs, and no more: it refuses lawful answers because of properties that this program has
/// not asked for. "Session present" is left out, because every connection starts clean.
fn write_connack(connack: &Connack) -> Vec<u8> {
    let code = match (connack.is_3_1_1, connack.code) {
        // A broker that answers a CONNECT of MQTT 5 in MQTT 3.1.1 could not read the packets that follow.
        (true, 0 | 1) => 0x84,
        (true, 2) => 0x85,
        (true, 3) => 0x88,
        (true, 4) => 0x86,
        (true, 5) => 0x87,
        (false, 0) => 0,
        (false, code) if known::CONNACK.contains(&code) => code,
        _ => 0x80,
    };
    let mut properties = vec![property::SERVER_KEEP_ALIVE];
    properties.extend(connack.effective_keep_alive_s().to_be_bytes());
    if let Some(most) = connack.receive_maximum {
        properties.push(property::RECEIVE_MAXIMUM);
        properties.extend(most.to_be_bytes());
    }
    if let Some(most) = connack.max_packet {
        properties.push(property::MAXIMUM_PACKET_SIZE);
        properties.extend(most.to_be_bytes());
    }
    let length = properties.len() as u8;
    [0, code, length].into_iter().chain(properties).collect()
}

/// The properties that the filter reads.
#[derive(Default)]
struct Properties {
    reason: Option<String>,
    reference: Option<String>,
    keep_alive_s: Option<u16>,
    receive_maximum: Option<u16>,
    max_packet: Option<u32>,
    maximum_qos: Option<u8>,
    retain_available: Option<u8>,
}

/// Takes the properties off the front of the body, as far as they can be understood.
fn properties(body: &mut &[u8]) -> Properties {
    let mut found = Properties::default();
    let Number::Whole { value, bytes } = number(body) else {
        *body = &[];
        return found;
    };
    let length = value.min(body.len() - bytes);
    let mut all = &body[bytes..bytes + length];
    *body = &body[bytes + length..];
    while let Some(id) = take_byte(&mut all) {
        if one_property(id, &mut all, &mut found).is_none() {
            break;
        }
    }
    found
}

/// Reads one property by its type (§2.2.2.2). A Receive Maximum or Maximum Packet Size of 0 is unlawful and counts as absent.
fn one_property(id: u8, all: &mut &[u8], found: &mut Properties) -> Option<()> {
    match id {
        property::SERVER_KEEP_ALIVE => found.keep_alive_s = Some(u16::from_be_bytes(*take(all)?)),
        property::RECEIVE_MAXIMUM => {
            let most = u16::from_be_bytes(*take(all)?);
            found.receive_maximum = (most > 0).then_some(most);
        }
        property::MAXIMUM_PACKET_SIZE => {
            let most = u32::from_be_bytes(*take(all)?);
            found.max_packet = (most > 0).then_some(most);
        }
        property::MAXIMUM_QOS => found.maximum_qos = Some(take_byte(all)?),
        property::RETAIN_AVAILABLE => found.retain_available = Some(take_byte(all)?),
        property::REASON_STRING => found.reason = Some(text(all)?),
        property::SERVER_REFERENCE => found.reference = Some(text(all)?),
        // One byte.
        0x01 | 0x17 | 0x19 | 0x28 | 0x29 | 0x2A => {
            take_byte(all)?;
        }
        // Two bytes.
        0x22 | 0x23 => {
            take::<2>(all)?;
        }
        // Four bytes.
        0x02 | 0x11 | 0x18 => {
            take::<4>(all)?;
        }
        // A Variable Byte Integer.
        0x0B => match number(all) {
            Number::Whole { bytes, .. } => *all = &all[bytes..],
            Number::Short | Number::Bad => return None,
        },
        // Text or bytes.
        0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1A => {
            bytes(all)?;
        }
        // A pair of texts.
        0x26 => {
            bytes(all)?;
            bytes(all)?;
        }
        _ => return None,
    }
    Some(())
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(taken)
}

fn take_byte(bytes: &mut &[u8]) -> Option<u8> {
    take::<1>(bytes).map(|[byte]| *byte)
}

/// Two bytes of length, then so many bytes (§1.5.4, §1.5.6).
fn bytes<'a>(all: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::from(u16::from_be_bytes(*take(all)?));
    let (taken, rest) = all.split_at_checked(length)?;
    *all = rest;
    Some(taken)
}

/// A text for people: one line, not too long.
fn text(all: &mut &[u8]) -> Option<String> {
    let whole = String::from_utf8_lossy(bytes(all)?);
    let mut kept = String::new();
    for sign in whole.chars() {
        if kept.len() + sign.len_utf8() > LONGEST_TEXT {
            break;
        }
        kept.push(if sign.is_control() { ' ' } else { sign });
    }
    Some(kept)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filtered(chunks: &[&[u8]]) -> (Vec<u8>, Vec<Heard>) {
        let (mut filter, mut out, mut heard) = (Filter::default(), Vec::new(), Vec::new());
        for chunk in chunks {
            filter.push(chunk, &mut out, &mut heard);
        }
        (out, heard)
    }

    #[test]
    fn a_last_word_in_its_shortest_form_is_written_out_and_told_as_it_came() {
        let (out, heard) = filtered(&[&[0xE0, 1, 0x8E], &[0xE0, 0], &[0xE0, 1, 0xF0]]);
        assert_eq!(out, [0xE0, 2, 0x8E, 0, 0xE0, 2, 0, 0, 0xE0, 2, 0x80, 0]);
        let codes: Vec<u8> = heard
            .iter()
            .map(|heard| match heard {
                Heard::Disconnect(parting) => parting.code,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(codes, [0x8E, 0, 0xF0]);
    }

    #[test]
    fn answers_to_messages_keep_their_packet_id_and_their_code_is_told() {
        let (out, heard) = filtered(&[&[0x40, 2, 0, 7, 0x40, 3, 0, 8, 0x95]]);
        assert_eq!(out, [0x40, 4, 0, 7, 0, 0, 0x40, 4, 0, 8, 0x80, 0]);
        let puback = |packet, code| Heard::Puback {
            packet,
            code,
            reason: None,
        };
        assert_eq!(heard, [puback(7, 0), puback(8, 0x95)]);
    }

    #[test]
    fn an_answer_to_a_ping_passes_at_once_and_as_it_is() {
        assert_eq!(filtered(&[&[0xD0], &[0]]), (vec![0xD0, 0], Vec::new()));
    }

    #[test]
    fn messages_pass_as_they_are_however_large() {
        let mut message = vec![0x32];
        message.extend([0x80, 0x80, 0x08]); // 131,072 bytes
        message.extend((0..131_072).map(|n| (n % 251) as u8));
        let mut all = message.clone();
        all.extend([0x40, 2, 0, 1]);
        let chunks: Vec<&[u8]> = all.chunks(1_000).collect();
        let (out, heard) = filtered(&chunks);
        assert_eq!(out[..message.len()], message);
        assert_eq!(out[message.len()..], [0x40, 4, 0, 1, 0, 0]);
        assert_eq!(heard.len(), 1);
    }

    #[test]
    fn what_is_no_mqtt_goes_through_for_the_library_to_refuse() {
        let bytes = *b"\x20\xff\xff\xff\xff\x01 HTTP/1.1 400 Bad Request";
        assert_eq!(filtered(&[&bytes]), (bytes.to_vec(), Vec::new()));
    }

    proptest! {
        /// Bytes of any kind give the same result, however the network cuts them into pieces.
        #[test]
        fn the_same_bytes_give_the_same_whatever_pieces_they_come_in(
            packets in prop::collection::vec(
                (prop::sample::select(vec![0x20u8, 0x30, 0x40, 0x90, 0xB0, 0xD0, 0xE0, 0xF0]), prop::collection::vec(any::<u8>(), 0..40)),
                0..8,
            ),
            rubbish in prop::collection::vec(any::<u8>(), 0..20),
            pieces in prop::collection::vec(1usize..7, 1..40),
        ) {
            let mut bytes = Vec::new();
            for (kind, body) in packets {
                bytes.extend([kind, body.len() as u8]);
                bytes.extend(body);
            }
            bytes.extend(rubbish);
            let whole = filtered(&[&bytes]);
            let (mut chunks, mut rest) = (Vec::new(), &bytes[..]);
            for piece in pieces.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (chunk, left) = rest.split_at((*piece).min(rest.len()));
                chunks.push(chunk);
                rest = left;
            }
            prop_assert_eq!(filtered(&chunks), whole);
        }
    }
}
