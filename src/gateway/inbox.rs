//! What the broker brought, taken apart.
//!
//! Owns: which topics a booth reads and what their payloads mean. Pure. Never does: act on any of it, or
//! believe an ack: the delivery machine does that. Outside input: rubbish is an answer too.

use crate::contract::{Ack, BoothId, HubState, MAX_JSON_BYTES, Presence, Topic, Topics};

/// Longest command name that is answered.
const MAX_COMMAND_CHARS: usize = 32;
/// How much of a topic is shown in a sentence, in characters.
const SHOWN_CHARS: usize = 100;

/// One message from the centre.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound {
    /// Whether the hub is there.
    Hub {
        /// It listens.
        online: bool,
    },
    /// The hub's answer to a clip.
    Ack(Ack),
    /// `cmd/rebirth`: say everything again.
    Rebirth(BoothId),
    /// A command that this version does not know, cut to what may be in the reply's topic.
    UnknownCommand(BoothId, String),
    /// Nothing that a booth reads; one sentence.
    Odd(String),
}

/// Reads one message.
pub fn read(topics: &Topics, topic: &str, payload: &[u8]) -> Inbound {
    let odd = |why: &str| {
        let shown: String = topic.chars().take(SHOWN_CHARS).collect();
        Inbound::Odd(format!("a message on {shown}: {why}"))
    };
    if payload.len() > MAX_JSON_BYTES {
        return odd("longer than any the contract knows");
    }
    match topics.parse(topic) {
        Some(Topic::HubState) => {
            // An empty payload clears a retained state: nobody is there.
            let online = serde_json::from_slice::<HubState>(payload)
                .is_ok_and(|hub| hub.state == Presence::Online);
            Inbound::Hub { online }
        }
        Some(Topic::Ack(_, clip_id)) => match serde_json::from_slice::<Ack>(payload) {
            Ok(ack) if ack.clip_id == clip_id => Inbound::Ack(ack),
            Ok(_) => odd("it answers another clip than its topic says"),
            Err(error) => odd(&format!("no ack: {error}")),
        },
        Some(Topic::Cmd(booth, command)) if command == "rebirth" => Inbound::Rebirth(booth),
        Some(Topic::Cmd(booth, command)) => {
            let command = command
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .take(MAX_COMMAND_CHARS)
                .collect();
            Inbound::UnknownCommand(booth, command)
        }
        Some(_) | None => odd("not one that a booth reads"),
    }
}
