//! What went wrong on the way to the broker, in one sentence with its remedy.
//!
//! Owns: every sentence about a broker that booth, doctor and hub say. Never does: show a password.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use rumqttc::{ConnectionError, StateError};

use super::filter::{Connack, Parting};
use super::login::Login;
use super::reason::{in_words, remedy};
use super::wire::{Answer, LOGIN_PATIENCE, Line};
use crate::tls::refusal;
use booth_contract::BrokerState;

/// Session taken over (MQTT 5 §3.14.2.1).
const TAKEN_OVER: u8 = 0x8E;
/// Packet too large.
const TOO_LARGE: u8 = 0x95;

/// What went wrong with which broker, under which name.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    /// The broker, as `host:port`.
    pub broker: String,
    /// The client id.
    pub client_id: String,
    /// The user's name, or the client id where there is none.
    pub user: String,
    /// What to check when the broker refuses the login.
    pub check: &'static str,
    /// What went wrong.
    pub what: What,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// The name leads to no address.
    NoAddress(String),
    /// No address takes a connection.
    Unreached(Vec<(SocketAddr, String)>),
    /// TLS was begun and failed with this error.
    Tls(rustls::Error),
    /// The connection ended during the TLS handshake.
    TlsEnded(String),
    /// No certificate can be issued for this host's name.
    NoCertificateName(String),
    /// The broker takes the connection and does not answer CONNECT.
    Silent,
    /// The broker ended the connection without a reason.
    Ended,
    /// The connection broke.
    Broken(String),
    /// The broker answered CONNECT with a refusal.
    Refused(Connack),
    /// The broker takes no messages of QoS 1.
    NoQos1,
    /// The broker ended the connection with a DISCONNECT.
    Parted(Parting),
    /// The broker is no longer heard.
    Dead,
    /// The broker answers pings, and for so long nothing else that it owes.
    OnlyPings(Duration),
    /// The broker refuses a subscription.
    NotSubscribed {
        /// The filter.
        filter: String,
        /// Its answer.
        answer: Answer,
    },
    /// The broker sends something that makes no sense to the library.
    Odd(String),
    /// Another client has published something in this client's name.
    Rival(String),
    /// The broker ended the connection without a reason after a message.
    EndedAfter {
        /// How it ended.
        how: Box<What>,
        /// The oldest message that the broker had not answered.
        oldest: Unanswered,
        /// The largest message that it had not answered.
        largest: Unanswered,
        /// How many messages it had not answered.
        count: usize,
        /// How often in a row this happened with this message as the largest.
        times: u32,
    },
}

impl What {
    /// Whether another attempt with the same settings most likely ends the same way: the address, the certificates or the login
    /// are wrong, or nothing answers there.
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            What::NoAddress(_)
                | What::Unreached(_)
                | What::Tls(_)
                | What::TlsEnded(_)
                | What::NoCertificateName(_)
                | What::Silent
                | What::Refused(_)
        )
    }
}

/// A message that was sent to the broker and not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// Its topic.
    pub topic: String,
    /// Length of its payload.
    pub bytes: usize,
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes on {}", self.bytes, self.topic)
    }
}

impl What {
    /// Of two failures the one that got further; two failures of the same kind become one.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unreached(mut one), Self::Unreached(other)) => {
                one.extend(other);
                Self::Unreached(one)
            }
            (Self::Unreached(_), other) => other,
            (Self::TlsEnded(_), other @ Self::Tls(_)) => other,
            (one, _) => one,
        }
    }

    /// A sentence about one address, without the remedy.
    pub(super) fn of_one_address(&self) -> String {
        match self {
            Self::Unreached(all) => all
                .iter()
                .map(|(_, why)| why.as_str())
                .collect::<Vec<_>>()
                .join(", "),
            Self::Tls(error) => refusal::what_and_remedy(error).0,
            Self::TlsEnded(why) => format!("TLS: {why}"),
            other => format!("{other:?}"),
        }
    }
}

impl Trouble {
    /// Why a connection ended: what the broker said, else how the stream ended, else what the library says.
    pub fn of(login: &Login, line: &Line, error: &ConnectionError) -> Self {
        login.trouble(Self::what(line, error))
    }

    fn what(line: &Line, error: &ConnectionError) -> What {
        if let Some(parting) = line.parting() {
            return What::Parted(parting);
        }
        let refused = matches!(
            error,
            ConnectionError::ConnectionRefused(_)
                | ConnectionError::MqttState(StateError::ConnFail { .. })
        );
        if let Some(connack) = line.connack()
            && (refused || connack.is_3_1_1)
        {
            return What::Refused(connack);
        }
        if let ConnectionError::Io(error) = error
            && let Some(trouble) = error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<Self>())
        {
            return trouble.what.clone();
        }
        if let Some(broken) = line.broken() {
            return broken;
        }
        match error {
            ConnectionError::Timeout(_) => What::Silent,
            ConnectionError::MqttState(StateError::AwaitPingResp) => What::Dead,
            other => What::Odd(odd(other)),
        }
    }

    /// The kind of trouble, for a technician who hears it at the handset.
    pub fn state(&self) -> BrokerState {
        match &self.what {
            What::NoAddress(_) => BrokerState::NameNotFound,
            What::Tls(_) | What::TlsEnded(_) | What::NoCertificateName(_) => BrokerState::TlsFailed,
            What::Refused(connack) if connack.is_login_refused() => BrokerState::LoginRefused,
            _ => BrokerState::NotReached,
        }
    }

    /// Whether there is evidence that another client uses this client's id.
    pub fn is_rival(&self) -> bool {
        match &self.what {
            What::Parted(parting) => parting.code == TAKEN_OVER,
            What::Rival(_) => true,
            _ => false,
        }
    }

    /// Whether the broker said that a packet was too large for it.
    pub fn is_too_large(&self) -> bool {
        matches!(&self.what, What::Parted(parting) if parting.code == TOO_LARGE)
    }

    /// Whether a connection that stood ended without a reason from the broker, so that the cause must be found out in another way.
    pub fn is_wordless(&self) -> bool {
        match &self.what {
            What::Ended | What::Broken(_) | What::EndedAfter { .. } => true,
            // A DISCONNECT that gives no reason.
            What::Parted(parting) => parting.code == 0,
            _ => false,
        }
    }
}

impl std::error::Error for Trouble {}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.sentence(), self.remedy())
    }
}

impl Trouble {
    /// What went wrong; no stop ends it.
    pub fn sentence(&self) -> String {
        let Self {
            broker, client_id, ..
        } = self;
        match &self.what {
            What::NoAddress(why) => {
                format!(
                    "the broker {broker} cannot be reached: its name leads to no address ({why})"
                )
            }
            What::Unreached(all) => {
                let each = |(address, why): &(SocketAddr, String)| format!("{address}: {why}");
                let all: Vec<String> = all.iter().map(each).collect();
                format!("the broker {broker} cannot be reached: {}", all.join(", "))
            }
            What::Tls(error) => tls_failed(broker, &refusal::what_and_remedy(error).0),
            What::TlsEnded(why) => {
                tls_failed(broker, &format!("it was begun and not ended ({why})"))
            }
            What::NoCertificateName(host) => {
                tls_failed(broker, &format!("no certificate can be for {host:?}"))
            }
            What::Silent => format!(
                "the broker {broker} accepts the connection and says nothing: no answer to the login in {} s",
                LOGIN_PATIENCE.as_secs()
            ),
            What::Ended => format!("the broker {broker} closed the connection without a word"),
            What::Broken(why) => {
                format!(
                    "the connection to the broker {broker} broke without a word of the broker: {why}"
                )
            }
            What::EndedAfter {
                how,
                oldest,
                largest,
                count,
                times,
            } => {
                let how = match &**how {
                    What::Broken(why) => format!("broke the connection without a word ({why})"),
                    _ => "closed the connection without a word".to_owned(),
                };
                format!(
                    "the broker {broker} {how} after it had been sent {} it did not answer{}",
                    unanswered(oldest, largest, *count),
                    again(*times)
                )
            }
            What::Refused(connack) => self.refused(connack),
            What::NoQos1 => format!("the broker {broker} takes no messages of QoS 1"),
            What::Parted(parting) => format!(
                "the broker {broker} ended the connection of {client_id:?}: {}{}{}",
                in_words(parting.code),
                said(parting.reason.as_deref()),
                referred(parting.reference.as_deref())
            ),
            What::Dead => format!("the broker {broker} no longer answers"),
            What::OnlyPings(patience) => format!(
                "the broker {broker} answers pings and nothing else: for {} s it has acknowledged nothing that it was sent",
                patience.as_secs()
            ),
            What::NotSubscribed { filter, answer } => format!(
                "the broker {broker} refuses the subscription to {filter} of {client_id:?} ({}){}",
                in_words(refusing_code(answer)),
                said(answer.reason.as_deref())
            ),
            What::Odd(why) => format!("the connection to the broker {broker} was lost: {why}"),
            What::Rival(evidence) => format!(
                "another device uses the client id {client_id:?} at the broker {broker}: {evidence}"
            ),
        }
    }

    fn refused(&self, connack: &Connack) -> String {
        let Self { broker, user, .. } = self;
        if connack.is_older_protocol() {
            return format!("the broker {broker} speaks MQTT 3.1.1 and not MQTT 5");
        }
        if connack.is_login_refused() {
            return format!(
                "the broker {broker} refuses user {user:?}: it refuses the user name or password ({}){}",
                connack.code_in_words(),
                said(connack.reason.as_deref())
            );
        }
        format!(
            "the broker {broker} refuses the connection: {}{}{}",
            connack.code_in_words(),
            said(connack.reason.as_deref()),
            referred(connack.reference.as_deref())
        )
    }

    /// What to do about it; no stop ends it.
    pub fn remedy(&self) -> String {
        let log = || format!("see the broker's log for {:?}", self.client_id);
        match &self.what {
            What::NoAddress(_) => {
                "check the spelling of [mqtt] url, the network's cable or Wi-Fi, and its name server (`resolvectl status`)"
                    .into()
            }
            What::Unreached(_) => {
                "check that the broker runs, that the port in [mqtt] url is right, and that no firewall is between"
                    .into()
            }
            What::Tls(error) => refusal::what_and_remedy(error).1.into(),
            What::TlsEnded(_) => {
                "check that the port in [mqtt] url is the one with TLS (8883 as a rule), and see the broker's log"
                    .into()
            }
            What::NoCertificateName(_) => {
                "write the name of the broker's certificate into [mqtt] url".into()
            }
            What::Silent => {
                "check that an MQTT broker has this port, and whether it is one with TLS (mqtts://) or without (mqtt://)"
                    .into()
            }
            What::Ended | What::EndedAfter { .. } | What::Odd(_) => log(),
            What::OnlyPings(_) => format!("{}, and restart it if it hangs; it is connected to again", log()),
            What::Broken(_) => format!("{}, and look after the network", log()),
            What::Refused(connack) if connack.is_older_protocol() => remedy(0x84).into(),
            What::Refused(connack) if connack.is_login_refused() => format!(
                "{}, and that the broker knows the user and lets it have this client id",
                self.check
            ),
            What::Refused(connack) => remedy(connack.code_of_mqtt_5()).into(),
            What::NoQos1 => remedy(0x9B).into(),
            What::Parted(parting) => remedy(parting.code).into(),
            What::Dead => "the network or the broker has died; it is tried again".into(),
            What::NotSubscribed { answer, .. } => match refusing_code(answer) {
                code @ (0x8F | 0x97 | 0x9E | 0xA1 | 0xA2) => remedy(code).into(),
                _ => "check its access rules; give the user the role of docs/mosquitto.acl".into(),
            },
            What::Rival(_) => remedy(TAKEN_OVER).into(),
        }
    }
}

/// The first code of an answer that refuses (MQTT 5 §3.9.3), or the one without a reason.
fn refusing_code(answer: &Answer) -> u8 {
    let code = answer.codes.iter().copied().find(|code| *code >= 0x80);
    code.unwrap_or(0x80)
}

/// What the broker had not answered, as the beginning of a clause.
fn unanswered(oldest: &Unanswered, largest: &Unanswered, count: usize) -> String {
    match count {
        ..=1 => format!("{oldest}, which"),
        2 if oldest != largest => format!("{oldest} and {largest}, which"),
        _ if oldest == largest => format!("{oldest} and {} more messages, which", count - 1),
        _ => format!("{count} messages from {oldest} on, the largest {largest}, which"),
    }
}

fn again(times: u32) -> String {
    match times {
        ..=1 => String::new(),
        times => format!(
            ": {times} times in a row; perhaps it takes no packets of this size (max_packet_size, \
             message_size_limit)"
        ),
    }
}

fn tls_failed(broker: &str, why: &str) -> String {
    format!("TLS with the broker {broker} failed: {why}")
}

/// The library's error, in better words where there are any.
fn odd(error: &ConnectionError) -> String {
    match error {
        ConnectionError::MqttState(StateError::Deserialization(why)) => {
            format!("what it sent is no MQTT 5 ({why})")
        }
        ConnectionError::MqttState(StateError::Unsolicited(packet)) => {
            format!("it answered packet {packet}, which it had not been sent")
        }
        ConnectionError::MqttState(why) => why.to_string(),
        other => other.to_string(),
    }
}

/// The broker's answer to a message, in words.
pub fn answered(answer: &Answer) -> String {
    answered_with(answer.codes.first().copied().unwrap_or(0), answer)
}

/// One code of an answer, in words.
pub fn answered_with(code: u8, answer: &Answer) -> String {
    format!("{}{}", in_words(code), said(answer.reason.as_deref()))
}

fn said(reason: Option<&str>) -> String {
    match reason {
        Some(reason) if !reason.is_empty() => format!(" (it says {reason:?})"),
        _ => String::new(),
    }
}

fn referred(reference: Option<&str>) -> String {
    match reference {
        Some(reference) if !reference.is_empty() => format!(" (it names {reference:?})"),
        _ => String::new(),
    }
}

impl Connack {
    /// The broker knows no MQTT 5: it accepts in MQTT 3.1.1, or refuses the version.
    fn is_older_protocol(&self) -> bool {
        self.is_3_1_1 && self.code <= 1
    }

    fn is_login_refused(&self) -> bool {
        match self.is_3_1_1 {
            true => matches!(self.code, 4 | 5),
            false => matches!(self.code, 0x86 | 0x87),
        }
    }

    /// The same reason as a code of MQTT 5.
    fn code_of_mqtt_5(&self) -> u8 {
        match (self.is_3_1_1, self.code) {
            (true, 2) => 0x85,
            (true, 3) => 0x88,
            (true, 4) => 0x86,
            (true, 5) => 0x87,
            (true, _) => 0x84,
            (false, code) => code,
        }
    }

    fn code_in_words(&self) -> String {
        match self.is_3_1_1 {
            true => format!("{}, in MQTT 3.1.1", in_words(self.code_of_mqtt_5())),
            false => in_words(self.code),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::CertificateError;

    use super::*;

    fn with(what: What) -> (String, Trouble) {
        let trouble = Trouble {
            broker: "broker.example:8883".into(),
            client_id: "rundhoej-1".into(),
            user: "rundhoej-1".into(),
            check: "check the password file",
            what,
        };
        (trouble.to_string(), trouble)
    }

    #[test]
    fn every_reason_of_the_broker_is_told_with_a_remedy() {
        for code in 0x00..=0xFF {
            let parting = Parting {
                code,
                reason: Some("maintenance".into()),
                reference: None,
            };
            let (sentence, trouble) = with(What::Parted(parting));
            assert!(sentence.contains(&format!("0x{code:02X}")), "{sentence}");
            assert!(sentence.contains("it says \"maintenance\""), "{sentence}");
            assert!(!sentence.ends_with("; "), "{sentence}");
            assert_eq!(trouble.is_rival(), code == 0x8E);
            let connack = Connack {
                code,
                ..Connack::default()
            };
            let (sentence, trouble) = with(What::Refused(connack));
            assert!(sentence.contains(&format!("0x{code:02X}")), "{sentence}");
            let is_login = matches!(code, 0x86 | 0x87);
            assert_eq!(trouble.state() == BrokerState::LoginRefused, is_login);
            assert_eq!(sentence.contains("check the password file"), is_login);
        }
    }

    #[test]
    fn a_broker_of_mqtt_3_1_1_is_told_by_its_version_and_its_refusals_by_their_reason() {
        for (code, says) in [
            (0, "MQTT 3.1.1 and not MQTT 5"),
            (1, "MQTT 3.1.1 and not MQTT 5"),
            (2, "client identifier"),
            (3, "server unavailable"),
            (4, "check the password file"),
            (5, "check the password file"),
            (9, "MQTT 5"),
        ] {
            let (sentence, _) = with(What::Refused(Connack {
                code,
                is_3_1_1: true,
                ..Connack::default()
            }));
            assert!(sentence.contains(says), "{code}: {sentence}");
        }
    }

    #[test]
    fn a_broker_that_closes_after_a_message_is_told_with_that_message() {
        let part = Unanswered {
            topic: "booth/1/up/rundhoej-1/part/x/0".into(),
            bytes: 16_384,
        };
        let alert = Unanswered {
            topic: "booth/1/up/rundhoej-1/alert/hub_not_listening".into(),
            bytes: 0,
        };
        let after = |oldest: &Unanswered, count, times| {
            with(What::EndedAfter {
                how: Box::new(What::Ended),
                oldest: oldest.clone(),
                largest: part.clone(),
                count,
                times,
            })
            .0
        };
        let ended = |times| after(&part, 1, times);
        for count in [2, 7] {
            let sentence = after(&alert, count, 1);
            assert!(
                sentence.contains("0 bytes on booth/1/up/rundhoej-1/alert/hub_not_listening")
                    && sentence.contains("16384 bytes on booth/1/up/rundhoej-1/part/x/0"),
                "a broker answers several at once; any of them can be the cause: {sentence}"
            );
        }
        let once = ended(1);
        assert!(
            once.contains("16384 bytes on booth/1/up/rundhoej-1/part/x/0")
                && once.contains("without a word")
                && !once.contains("in a row"),
            "{once}"
        );
        assert!(ended(3).contains("3 times in a row"));
    }

    #[test]
    fn of_several_addresses_the_failure_that_got_furthest_is_told() {
        let refused = |address: &str| {
            What::Unreached(vec![(
                address.parse().expect("an address"),
                "refused".into(),
            )])
        };
        let both = refused("192.0.2.1:1").and(refused("192.0.2.2:1"));
        assert!(
            with(both.clone())
                .0
                .contains("192.0.2.1:1: refused, 192.0.2.2:1: refused")
        );
        let expired = What::Tls(rustls::Error::InvalidCertificate(CertificateError::Expired));
        assert_eq!(both.clone().and(expired.clone()), expired);
        assert_eq!(expired.clone().and(both), expired);
        assert!(with(expired).0.contains("clock"));
    }
}
