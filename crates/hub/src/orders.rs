//! What an operator tells a booth to do (contract §3.7), on its way from a page to the link.
//!
//! Owns: which commands there are, what each carries, and that none waits for a connection: who is told that it was sent was told the truth.
//! Never does: sign anything; a signed command comes with its signature from elsewhere.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use booth_city::web;
use booth_contract::time::Mono;
use booth_contract::{BoothId, Signed};
use booth_host::clock;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::store::BrokerStatus;

/// Commands that may wait for the link at a time.
const MOST_WAITING: usize = 64;
/// A command that a booth does not get within this time is not obeyed later.
pub(crate) const EXPIRES_AFTER: Duration = Duration::from_secs(60);
/// The commands that need no signature.
pub(crate) const PLAIN: [&str; 7] = [
    "rebirth", "selftest", "ring", "reload", "resend", "drain", "update",
];
/// The commands that need one.
pub(crate) const SIGNED: [&str; 3] = ["reboot", "purge", "recipients"];
/// Longest payload: a broker may refuse a longer one, and end the connection for it.
const MOST_BYTES: usize = 16 << 10;
/// Most rings (contract §3.7), and most minutes of a booth that is emptied.
const MOST_RINGS: u64 = 5;
const MOST_MINUTES: u64 = 120;
/// How long a text that is to be signed is valid.
const VALID: SignedDuration = SignedDuration::from_hours(48);

/// A command for one booth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Who is to obey.
    pub(crate) booth: BoothId,
    /// One of [`PLAIN`] or [`SIGNED`].
    pub(crate) command: &'static str,
    /// Its JSON.
    pub(crate) payload: Vec<u8>,
    /// When it was given.
    pub(crate) given_at: Mono,
}

/// Why a command was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotSent {
    /// What was typed is no such command; the sentence says what would be.
    #[error("{0}")]
    Typed(String),
    /// The hub has no connection.
    #[error(
        "The hub is not connected to its broker ({0}), so nothing was sent. Try again when it is."
    )]
    NotConnected(String),
    /// Too many wait.
    #[error("Too many commands are on their way. Try again in a moment.")]
    TooMany,
}

/// The way in for commands.
#[derive(Debug, Clone)]
pub struct Orders {
    sender: mpsc::Sender<Order>,
    status: Arc<Mutex<BrokerStatus>>,
}

/// The way in, and the end that the link takes them from.
pub(crate) fn channel(status: Arc<Mutex<BrokerStatus>>) -> (Orders, mpsc::Receiver<Order>) {
    let (sender, receiver) = mpsc::channel(MOST_WAITING);
    (Orders { sender, status }, receiver)
}

impl Orders {
    /// Whether a command would be sent now.
    pub(crate) fn are_taken(&self) -> Result<(), NotSent> {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        match status.connected {
            true => Ok(()),
            false => Err(NotSent::NotConnected(status.detail.clone())),
        }
    }

    /// Hands a command to the link.
    pub(crate) fn give(&self, order: Order) -> Result<(), NotSent> {
        self.are_taken()?;
        self.sender.try_send(order).map_err(|_| NotSent::TooMany)
    }
}

/// The command that a form asks for.
pub(crate) fn order_of(booth: &BoothId, fields: &[(String, String)]) -> Result<Order, NotSent> {
    let value = |name: &str| web::value(fields, name);
    let no = |why: String| Err(NotSent::Typed(why));
    let asked = value("command");
    let Some(command) = PLAIN
        .into_iter()
        .chain(SIGNED)
        .find(|known| *known == asked)
    else {
        return no(format!("There is no command {asked:?}."));
    };
    let number = |name: &str, most: u64| match value(name).parse::<u64>() {
        Ok(number) if number <= most => Ok(number),
        _ => Err(NotSent::Typed(format!(
            "{command}: {name} must be a whole number up to {most}."
        ))),
    };
    let payload = match command {
        "ring" => json!({ "rings": number("rings", MOST_RINGS)?.max(1) }),
        "drain" => json!({ "minutes": number("minutes", MOST_MINUTES)? }),
        "resend" if !value("clip_id").is_empty() => json!({ "clip_id": value("clip_id") }),
        "update" if value("url").is_empty() => json!({ "cancel": 1 }),
        "update" => {
            let url = value("url");
            if !url.starts_with("https://") && !url.starts_with("http://") {
                return no(format!(
                    "update: {url:?} is no address; write https://…, or nothing to cancel one."
                ));
            }
            json!({ "url": url })
        }
        command if SIGNED.contains(&command) => {
            return signed(booth, command, value("body"), value("minisig"));
        }
        _ => json!({}),
    };
    order(booth, command, payload.to_string().into_bytes())
}

fn order(booth: &BoothId, command: &'static str, payload: Vec<u8>) -> Result<Order, NotSent> {
    if payload.len() > MOST_BYTES {
        return Err(NotSent::Typed(format!(
            "{command}: {} bytes are too long for a command; at most {MOST_BYTES} are sent.",
            payload.len()
        )));
    }
    Ok(Order {
        booth: booth.clone(),
        command,
        payload,
        given_at: clock::mono(),
    })
}

/// The signature is the booth's to judge; what was mixed up is seen here.
fn signed(
    booth: &BoothId,
    command: &'static str,
    body: &str,
    minisig: &str,
) -> Result<Order, NotSent> {
    let no = |why: String| Err(NotSent::Typed(why));
    let Ok(Value::Object(text)) = serde_json::from_str(body) else {
        return no(format!(
            "{command}: the signed text is no JSON object. Put in the file that was signed, byte for byte."
        ));
    };
    if text.get("command").and_then(Value::as_str) != Some(command) {
        return no(format!(
            "{command}: the signed text is for another command."
        ));
    }
    let is_named = match text.get("booth") {
        Some(Value::String(one)) => one == booth.as_str(),
        Some(Value::Array(several)) => several.iter().any(|one| one == booth.as_str()),
        _ => false,
    };
    if !is_named {
        return no(format!("{command}: the signed text does not name {booth}."));
    }
    if !minisig.starts_with("untrusted comment:") {
        return no(format!(
            "{command}: the signature is missing. Put in the whole file that `minisign -S` wrote, with its comments."
        ));
    }
    let signed = Signed {
        body: body.to_owned(),
        minisig: minisig.to_owned(),
    };
    order(booth, command, signed.to_json())
}

/// The text that the city signs so that this booth obeys.
pub(crate) fn text_to_sign(
    booth: &BoothId,
    command: &str,
    nonce: &str,
    clip_id: &str,
    now: Timestamp,
) -> Value {
    let mut text = json!({
        "booth": booth.as_str(), "command": command, "issued_at": now.to_string(), "expires_at": (now + VALID).to_string(), "nonce": nonce,
    });
    if command == "purge" {
        text["clip_id"] = json!(clip_id);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn booth(id: &str) -> BoothId {
        BoothId::parse(id).expect("an id")
    }

    fn fields(text: &str) -> Vec<(String, String)> {
        form_urlencoded::parse(text.as_bytes())
            .into_owned()
            .collect()
    }

    fn payload(text: &str) -> Result<Value, String> {
        let order = order_of(&booth("a-1"), &fields(text)).map_err(|why| why.to_string())?;
        Ok(serde_json::from_slice(&order.payload).expect("JSON"))
    }

    #[test]
    fn each_command_carries_what_the_contract_says_and_nothing_else_is_one() {
        for (form, wanted) in [
            ("command=rebirth", json!({})),
            ("command=selftest&rings=9", json!({})),
            ("command=ring&rings=3", json!({"rings": 3})),
            ("command=ring&rings=0", json!({"rings": 1})),
            ("command=drain&minutes=0", json!({"minutes": 0})),
            ("command=resend&clip_id=", json!({})),
            ("command=resend&clip_id=x-1", json!({"clip_id": "x-1"})),
            ("command=update&url=", json!({"cancel": 1})),
            (
                "command=update&url=https%3A%2F%2Fx%2Fa.update",
                json!({"url": "https://x/a.update"}),
            ),
        ] {
            assert_eq!(payload(form), Ok(wanted), "{form}");
        }
        for (form, says) in [
            ("", "no command"),
            ("command=format", "no command"),
            ("command=ring&rings=many", "rings must be"),
            ("command=ring&rings=6", "up to 5"),
            ("command=drain&minutes=121", "up to 120"),
            ("command=drain", "minutes must be"),
            ("command=update&url=ftp%3A%2F%2Fx", "no address"),
        ] {
            let why = payload(form).expect_err(form);
            assert!(why.contains(says), "{form}: {why}");
        }
    }

    #[test]
    fn a_signed_command_that_was_mixed_up_is_seen_before_it_is_sent() {
        let now = Timestamp::UNIX_EPOCH;
        let text = text_to_sign(&booth("a-1"), "purge", "n-1", "clip-1", now).to_string();
        assert!(
            text.contains("\"clip_id\":\"clip-1\"") && text.contains("1970-01-03"),
            "{text}"
        );
        let send = |name: &str, command: &str, body: &str, minisig: &str| {
            let pairs = [("command", command), ("body", body), ("minisig", minisig)];
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect();
            order_of(&booth(name), &pairs).map_err(|why| why.to_string())
        };
        let sig = "untrusted comment: x\nRW";
        let order = send("a-1", "purge", &text, sig).expect("right");
        let sent: Value = serde_json::from_slice(&order.payload).expect("JSON");
        assert_eq!(sent["body"], text);
        for (name, command, body, minisig, says) in [
            ("b-2", "purge", text.as_str(), sig, "does not name b-2"),
            ("a-1", "reboot", text.as_str(), sig, "another command"),
            ("a-1", "purge", "{", sig, "no JSON object"),
            ("a-1", "purge", text.as_str(), "RW", "signature is missing"),
        ] {
            let why = send(name, command, body, minisig).expect_err(says);
            assert!(why.contains(says), "{why}");
        }
        let long = format!(
            r#"{{"booth":"a-1","command":"purge","x":"{}"}}"#,
            "y".repeat(MOST_BYTES)
        );
        let why = send("a-1", "purge", &long, sig).expect_err("too long");
        assert!(why.contains("too long"), "{why}");
        let several = r#"{"booth":["x","b-2"],"command":"reboot"}"#;
        assert!(send("b-2", "reboot", several, sig).is_ok());
    }

    #[test]
    fn nothing_waits_for_a_connection_and_what_waits_is_bounded() {
        let status = |connected| {
            Arc::new(Mutex::new(BrokerStatus {
                connected,
                detail: "refused".into(),
                rival: None,
            }))
        };
        let order = || order_of(&booth("a-1"), &fields("command=rebirth")).expect("an order");
        let (orders, _link) = channel(status(false));
        assert_eq!(
            orders.give(order()),
            Err(NotSent::NotConnected("refused".into()))
        );
        let (orders, mut link) = channel(status(true));
        for _ in 0..MOST_WAITING {
            assert_eq!(orders.give(order()), Ok(()));
        }
        assert_eq!(orders.give(order()), Err(NotSent::TooMany));
        assert_eq!(link.try_recv().expect("one").command, "rebirth");
    }
}
