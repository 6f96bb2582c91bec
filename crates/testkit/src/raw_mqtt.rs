//! A client of MQTT 5 that hides nothing: what a broker announces, which reason code it gives for which message, when a message comes.
//!
//! Owns: one connection and its reading. Never does: connect again, or wait for an answer that nobody asked it to wait for. It is also quick
//! in a development build, so that it is never the slower side of a measurement.
#![allow(clippy::disallowed_methods)]

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::lawful::{frame, property, text, with_length};

/// Types of packets, with their flags where the standard fixes them.
const CONNECT: u8 = 0x10;
const PUBLISH_QOS_1: u8 = 0x32;
const PUBACK: u8 = 0x40;
const SUBSCRIBE: u8 = 0x82;
/// A message is refused from this reason code on.
const REFUSED: u8 = 0x80;
/// How long an answer may take that the standard promises.
const ANSWERS: Duration = Duration::from_secs(60);
/// The reason code of a message that nobody has subscribed to.
pub const NO_MATCHING_SUBSCRIBERS: u8 = 0x10;

/// What a connection asks for.
#[derive(Debug, Clone, Default)]
pub struct Wishes<'a> {
    pub client_id: &'a str,
    /// User name and password.
    pub login: Option<(&'a str, &'a str)>,
    /// Begins anew, without what an earlier connection has left.
    pub is_clean: bool,
    /// How long the session outlives the connection, s.
    pub session_s: u32,
    pub will: Option<Will<'a>>,
}

/// What the broker publishes when the connection has broken.
#[derive(Debug, Clone, Copy)]
pub struct Will<'a> {
    pub topic: &'a str,
    pub payload: &'a str,
    pub is_retained: bool,
    /// How long it waits before it does, s.
    pub delay_s: u32,
}

/// A message that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub is_retained: bool,
    /// What is left of its life, s.
    pub expires_s: Option<u32>,
}

/// What the broker announces of itself in CONNACK; what it does not mention is what the standard says then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    pub reason: u8,
    pub has_session: bool,
    pub receive_maximum: u16,
    pub maximum_qos: u8,
    pub maximum_packet: Option<u32>,
    pub topic_aliases: u16,
    pub shared_subscriptions: bool,
}

/// A connection.
pub struct RawMqtt {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    pub announced: Announced,
    next_id: u16,
    inbox: VecDeque<Message>,
    acks: VecDeque<(u16, u8)>,
    /// The reason code of the broker's DISCONNECT, if it has sent one.
    pub farewell: Option<u8>,
}

fn connect_packet(wishes: &Wishes) -> Vec<u8> {
    let mut flags = if wishes.is_clean { 0x02 } else { 0 };
    if let Some(will) = &wishes.will {
        flags |= 0x04 | 0x08 | if will.is_retained { 0x20 } else { 0 };
    }
    if wishes.login.is_some() {
        flags |= 0xC0;
    }
    let mut body = text("MQTT");
    body.extend([5, flags, 0, 0]); // MQTT 5, and no keep-alive
    body.extend(with_length(&property(
        0x11,
        &wishes.session_s.to_be_bytes(),
    )));
    body.extend(text(wishes.client_id));
    if let Some(will) = &wishes.will {
        let delay = property(0x18, &will.delay_s.to_be_bytes());
        // Without a delay the property is left out, as the hub does: RabbitMQ 4.0 ends the connection of whoever gets a retained will with it.
        let properties = if will.delay_s == 0 { Vec::new() } else { delay };
        body.extend(with_length(&properties));
        body.extend(text(will.topic));
        body.extend(text(will.payload));
    }
    if let Some((user, password)) = wishes.login {
        body.extend(text(user));
        body.extend(text(password));
    }
    frame(CONNECT, &body)
}

/// Reads a body from its beginning; what is not there is zero, so that a short packet is read as the standard reads it.
struct Reading<'a>(&'a [u8]);

impl<'a> Reading<'a> {
    fn take(&mut self, bytes: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(bytes.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn big(&mut self, bytes: usize) -> u32 {
        let taken = self.take(bytes).iter();
        taken.fold(0, |number, byte| number << 8 | u32::from(*byte))
    }

    fn varying(&mut self) -> usize {
        let mut value = 0;
        for place in 0..4 {
            let byte = self.big(1) as usize;
            value |= (byte & 0x7F) << (7 * place);
            if byte < 0x80 {
                break;
            }
        }
        value
    }

    fn text(&mut self) -> &'a [u8] {
        let bytes = self.big(2) as usize;
        self.take(bytes)
    }

    /// Every property with its value as a number; texts are passed over.
    fn properties(&mut self) -> Vec<(u8, u32)> {
        let bytes = self.varying();
        let mut all = Reading(self.take(bytes));
        let mut found = Vec::new();
        while !all.0.is_empty() {
            let id = all.big(1) as u8;
            let value = match id {
                0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => all.big(1),
                0x13 | 0x21 | 0x22 | 0x23 => all.big(2),
                0x02 | 0x11 | 0x18 | 0x27 => all.big(4),
                0x0B => all.varying() as u32,
                0x26 => {
                    all.text();
                    all.text();
                    0
                }
                _ => {
                    all.text();
                    0
                }
            };
            found.push((id, value));
        }
        found
    }
}

fn announced(body: &[u8]) -> Announced {
    let mut reading = Reading(body);
    let has_session = reading.big(1) & 1 == 1;
    let reason = reading.big(1) as u8;
    let properties = reading.properties();
    let property = |wanted: u8| {
        let found = properties.iter().find(|(id, _)| *id == wanted);
        found.map(|(_, value)| *value)
    };
    Announced {
        reason,
        has_session,
        receive_maximum: property(0x21).unwrap_or(65_535) as u16,
        maximum_qos: property(0x24).unwrap_or(2) as u8,
        maximum_packet: property(0x27),
        topic_aliases: property(0x22).unwrap_or(0) as u16,
        shared_subscriptions: property(0x2A).unwrap_or(1) == 1,
    }
}

impl RawMqtt {
    /// Connects to the broker on this port of loopback. One that refuses is an error with its reason code: some refuse everybody just after they
    /// have begun to listen.
    pub fn connect(port: u16, wishes: &Wishes) -> io::Result<Self> {
        let mut writer = TcpStream::connect(("127.0.0.1", port))?;
        writer.set_nodelay(true)?;
        writer.set_read_timeout(Some(ANSWERS))?;
        writer.write_all(&connect_packet(wishes))?;
        let mut reader = BufReader::with_capacity(1 << 18, writer.try_clone()?);
        let (_, body) = read_packet(&mut reader)?;
        let announced = announced(&body);
        if announced.reason >= REFUSED {
            return Err(io::Error::other(format!(
                "CONNACK {:#04x}",
                announced.reason
            )));
        }
        Ok(Self {
            reader,
            writer,
            announced,
            next_id: 0,
            inbox: VecDeque::new(),
            acks: VecDeque::new(),
            farewell: None,
        })
    }

    fn id(&mut self) -> u16 {
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        self.next_id
    }

    /// Subscribes with QoS 1; the broker's reason code.
    pub fn subscribe(&mut self, filter: &str) -> io::Result<u8> {
        let id = self.id();
        let mut body = id.to_be_bytes().to_vec();
        body.push(0);
        body.extend(text(filter));
        body.push(1);
        self.writer.write_all(&frame(SUBSCRIBE, &body))?;
        self.answer_to(id)
    }

    /// Sends a message with QoS 1 and waits for no answer; its id.
    pub fn send(
        &mut self,
        topic: &str,
        payload: &[u8],
        retain: bool,
        expires_s: Option<u32>,
    ) -> io::Result<u16> {
        let id = self.id();
        let properties = expires_s.map(|seconds| property(0x02, &seconds.to_be_bytes()));
        let mut body = text(topic);
        body.extend(id.to_be_bytes());
        body.extend(with_length(&properties.unwrap_or_default()));
        body.extend(payload);
        let kind = PUBLISH_QOS_1 | u8::from(retain);
        self.writer.write_all(&frame(kind, &body))?;
        Ok(id)
    }

    /// The same, and waits for the reason code of its PUBACK.
    pub fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        retain: bool,
        expires_s: Option<u32>,
    ) -> io::Result<u8> {
        let id = self.send(topic, payload, retain, expires_s)?;
        self.answer_to(id)
    }

    /// The next answer to a message: its id, and whether the broker has taken it for somebody.
    pub fn next_ack(&mut self) -> io::Result<(u16, bool)> {
        loop {
            if let Some((id, reason)) = self.acks.pop_front() {
                return Ok((id, reason < REFUSED && reason != NO_MATCHING_SUBSCRIBERS));
            }
            self.turn()?;
        }
    }

    /// The next message; `None` if none comes within `patience`. It is answered at once.
    pub fn next_message(&mut self, patience: Duration) -> io::Result<Option<Message>> {
        loop {
            if let Some(message) = self.inbox.pop_front() {
                return Ok(Some(message));
            }
            // A packet that has begun is read whole.
            if self.reader.buffer().is_empty() && !self.hears_within(patience)? {
                return Ok(None);
            }
            self.turn()?;
        }
    }

    fn hears_within(&mut self, patience: Duration) -> io::Result<bool> {
        self.writer.set_read_timeout(Some(patience))?;
        let heard = match self.reader.fill_buf() {
            Ok([]) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(false)
            }
            Err(error) => Err(error),
        };
        self.writer.set_read_timeout(Some(ANSWERS))?;
        heard
    }

    fn answer_to(&mut self, id: u16) -> io::Result<u8> {
        loop {
            let place = self.acks.iter().position(|(known, _)| *known == id);
            if let Some((_, reason)) = place.and_then(|place| self.acks.remove(place)) {
                return Ok(reason);
            }
            self.turn()?;
        }
    }

    /// Reads one packet.
    fn turn(&mut self) -> io::Result<()> {
        let (kind, body) = read_packet(&mut self.reader)?;
        let mut reading = Reading(&body);
        match kind & 0xF0 {
            0x30 => self.take_message(kind, reading)?,
            PUBACK => {
                let id = reading.big(2) as u16;
                self.acks.push_back((id, reading.big(1) as u8));
            }
            0x90 => {
                let id = reading.big(2) as u16;
                reading.properties();
                self.acks.push_back((id, reading.big(1) as u8));
            }
            0xE0 => self.farewell = Some(reading.big(1) as u8),
            _ => {}
        }
        Ok(())
    }

    fn take_message(&mut self, kind: u8, mut reading: Reading) -> io::Result<()> {
        let topic = String::from_utf8_lossy(reading.text()).into_owned();
        if kind & 0x06 != 0 {
            let id = reading.take(2);
            self.writer.write_all(&frame(PUBACK, id))?;
        }
        let properties = reading.properties();
        self.inbox.push_back(Message {
            topic,
            payload: reading.0.to_vec(),
            is_retained: kind & 1 == 1,
            expires_s: properties
                .iter()
                .find(|(id, _)| *id == 0x02)
                .map(|(_, seconds)| *seconds),
        });
        Ok(())
    }
}

fn read_packet(reader: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut byte = [0];
    reader.read_exact(&mut byte)?;
    let kind = byte[0];
    let mut length = 0;
    for place in 0..4 {
        reader.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 0x7F) << (7 * place);
        if byte[0] < 0x80 {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((kind, body))
}
