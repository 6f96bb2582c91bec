//! What the broker brought, taken apart.
//!
//! Owns: which topics a booth reads and what their payloads mean. Pure. Never does: act on any of it, or
//! believe an ack: the delivery machine does that. Outside input: rubbish is an answer too.

use crate::contract::{Ack, BoothId, HubState, MAX_JSON_BYTES, Presence, Topic, Topics};

/// Longest command name that is answered.
const MAX_COMMAND_CHARS: usize = 32;
/// How much of a topic, and of what is wrong, is shown in a sentence, in characters.
const SHOWN_CHARS: usize = 100;

/// One message from the centre.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound {
    /// What the hub says of itself; an empty payload clears the retained one, and is read as `lost`.
    Hub(HubState),
    /// The hub said something of itself that cannot be read: it counts as before. Why, in words.
    HubUnreadable(String),
    /// The hub's answer to a clip.
    Ack(Ack),
    /// `cmd/rebirth`: say everything again.
    Rebirth(BoothId),
    /// `cmd/selftest`: test yourself and reply.
    SelfTest(BoothId),
    /// `cmd/ring`: ring the bell, so many times if that is said.
    Ring(BoothId, Option<u64>),
    /// `cmd/update`: fetch an update from this address, if one is given.
    Update(BoothId, Option<String>),
    /// A command that this version does not know, cut to what may be in the reply's topic.
    UnknownCommand(BoothId, String),
    /// Nothing that a booth reads; one sentence.
    Odd(String),
}

/// Reads one message.
pub fn read(topics: &Topics, topic: &str, payload: &[u8]) -> Inbound {
    let odd = |why: &str| {
        let shown = |text: &str| text.chars().take(SHOWN_CHARS).collect::<String>();
        Inbound::Odd(format!("a message on {}: {}", shown(topic), shown(why)))
    };
    if payload.len() > MAX_JSON_BYTES {
        return odd("longer than any the contract knows");
    }
    match topics.parse(topic) {
        Some(Topic::HubState) => {
            if payload.is_empty() {
                return Inbound::Hub(HubState::bare(Presence::Lost));
            }
            match serde_json::from_slice(payload) {
                Ok(hub) => Inbound::Hub(hub),
                Err(error) => {
                    Inbound::HubUnreadable(error.to_string().chars().take(SHOWN_CHARS).collect())
                }
            }
        }
        Some(Topic::Ack(_, clip_id)) => match serde_json::from_slice::<Ack>(payload) {
            Ok(ack) if ack.clip_id == clip_id => Inbound::Ack(ack),
            Ok(_) => odd("it answers another clip than its topic says"),
            Err(error) => odd(&format!("no ack: {error}")),
        },
        Some(Topic::Cmd(booth, command)) if command == "rebirth" => Inbound::Rebirth(booth),
        Some(Topic::Cmd(booth, command)) if command == "selftest" => Inbound::SelfTest(booth),
        Some(Topic::Cmd(booth, command)) if command == "ring" => {
            let wanted = serde_json::from_slice::<serde_json::Value>(payload).ok();
            let rings = wanted
                .as_ref()
                .and_then(|wanted| wanted.get("rings")?.as_u64());
            Inbound::Ring(booth, rings)
        }
        Some(Topic::Cmd(booth, command)) if command == "update" => {
            let wanted = serde_json::from_slice::<serde_json::Value>(payload).ok();
            let url = wanted
                .as_ref()
                .and_then(|wanted| wanted.get("url")?.as_str());
            Inbound::Update(booth, url.map(str::to_owned))
        }
        Some(Topic::Cmd(booth, command)) => {
            let command: String = command
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .take(MAX_COMMAND_CHARS)
                .collect();
            if command.is_empty() {
                return odd("a command without a name");
            }
            Inbound::UnknownCommand(booth, command)
        }
        Some(_) | None => odd("not one that a booth reads"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(topic: &str, payload: &str) -> Inbound {
        read(&Topics::new("booth/1"), topic, payload.as_bytes())
    }

    #[test]
    fn what_is_understood_is_handed_on() {
        let online = r#"{"state":"online","ts":"2026-01-01T00:00:00.000Z"}"#;
        assert!(matches!(
            said("booth/1/hub/state", online),
            Inbound::Hub(hub) if hub.state == Presence::Online
        ));
        assert_eq!(
            said("booth/1/hub/state", ""),
            Inbound::Hub(HubState::bare(Presence::Lost))
        );
        assert!(matches!(
            said("booth/1/hub/state", r#"{"state":"onl"#),
            Inbound::HubUnreadable(_)
        ));
        let booth = BoothId::parse("rundhoej-1").expect("an id");
        assert_eq!(
            said("booth/1/dn/rundhoej-1/cmd/rebirth", "{}"),
            Inbound::Rebirth(booth.clone())
        );
        assert_eq!(
            said("booth/1/dn/rundhoej-1/cmd/selftest", ""),
            Inbound::SelfTest(booth.clone())
        );
        for (payload, rings) in [
            (r#"{"rings":2}"#, Some(2)),
            (r#"{"rings":-1}"#, None),
            ("[[[", None),
            ("", None),
        ] {
            assert_eq!(
                said("booth/1/dn/rundhoej-1/cmd/ring", payload),
                Inbound::Ring(booth.clone(), rings)
            );
        }
        for (payload, url) in [
            (
                r#"{"url":"http://x/y","more":1}"#,
                Some("http://x/y".to_owned()),
            ),
            (r#"{"url":7}"#, None),
            ("[[[", None),
        ] {
            assert_eq!(
                said("booth/1/dn/rundhoej-1/cmd/update", payload),
                Inbound::Update(booth.clone(), url)
            );
        }
        assert_eq!(
            said("booth/1/dn/rundhoej-1/cmd/dance+#", "{}"),
            Inbound::UnknownCommand(booth, "dance".into())
        );
        let ack = r#"{"clip_id":"c","status":"stored","sha256":"00"}"#;
        assert!(
            matches!(said("booth/1/dn/rundhoej-1/ack/c", ack), Inbound::Ack(ack) if ack.clip_id == "c")
        );
    }

    #[test]
    fn rubbish_is_one_short_sentence() {
        let long = format!(r#"{{"clip_id":"c","status":"{}"}}"#, "ø".repeat(5_000));
        for (topic, payload) in [
            ("booth/1/dn/rundhoej-1/ack/c", long.as_str()),
            (
                "booth/1/dn/rundhoej-1/ack/other",
                r#"{"clip_id":"c","status":"stored"}"#,
            ),
            (
                "booth/1/dn/rundhoej-1/ack/c",
                &"x".repeat(MAX_JSON_BYTES + 1),
            ),
            // Its reply would go to a topic with an empty level.
            ("booth/1/dn/rundhoej-1/cmd/+++", "{}"),
            ("booth/1/dn/rundhoej-1/config", "{}"),
            (&"ø".repeat(10_000), ""),
        ] {
            let said = said(topic, payload);
            assert!(
                matches!(&said, Inbound::Odd(what) if what.chars().count() < 300),
                "{said:?}"
            );
        }
    }
}
