//! Messages from the broker, read.
//!
//! Owns: which topics a booth reads and what their payloads mean. Pure. Never does: act on any of it, or check an ack
//! against a clip: the delivery machine does that. All of it is outside input: rubbish has a reading too.

use super::quarantine::Wanted;
use booth_contract::{
    Ack, AckStatus, BoothId, HubState, MAX_JSON_BYTES, Presence, Topic, Topics, reading,
};

/// Longest command name that is answered.
const MAX_COMMAND_CHARS: usize = 32;
/// How much of a topic, and of what is wrong, is shown in a sentence, in characters.
const SHOWN_CHARS: usize = 100;

/// One message from the centre.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound {
    /// What the hub says of itself; an empty payload clears the retained message, and is read as `lost`.
    Hub(HubState),
    /// The hub said something of itself that cannot be read: what is known of the hub stays as before. Why, in words.
    HubUnreadable(String),
    /// The hub's answer to a clip.
    Ack(Ack),
    /// An answer to a clip that cannot be read: it counts as no answer. Why, in words.
    AckUnreadable(String),
    /// The configuration that the centre wants: its payload, whatever it is. `campaign` reads it.
    Config(Vec<u8>),
    /// `cmd/rebirth`: say everything again.
    Rebirth(BoothId),
    /// `cmd/selftest`: test yourself and reply.
    SelfTest(BoothId),
    /// `cmd/ring`: ring the bell, this many times if a number is given.
    Ring(BoothId, Option<u64>),
    /// `cmd/update`: fetch an update from this address, if one is given.
    Update(BoothId, Option<String>),
    /// `cmd/update` with `cancel`: the update that was asked for is not wanted.
    CancelUpdate(BoothId),
    /// `cmd/resend`: offer these clips again; or the reason why the message does not say which.
    Resend(BoothId, Result<Wanted, &'static str>),
    /// `cmd/reload`: read the configuration again.
    Reload(BoothId),
    /// `cmd/drain`: send everything and invite nobody for so many minutes; or what is wrong with their number.
    Drain(BoothId, Result<u64, &'static str>),
    /// A command that must be signed. Whether it is, the booth decides.
    Signed(BoothId, SignedCommand),
    /// A command that this version does not know, cut to what may be in the reply's topic.
    UnknownCommand(BoothId, String),
    /// The state that stands in the topic of a booth: its payload, whatever it is. `rival` reads it.
    State(BoothId, Vec<u8>),
    /// A message that no booth reads; one sentence about it.
    Odd(String),
}

/// A command that only a signature makes valid (contract §3.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignedCommand {
    /// Restart the machine.
    Reboot,
    /// Give up a clip in quarantine.
    Purge,
    /// Seal to other recipients.
    Recipients,
}

impl SignedCommand {
    const ALL: [SignedCommand; 3] = [Self::Reboot, Self::Purge, Self::Recipients];

    /// Its name in the topic and in the signed text.
    pub fn word(self) -> &'static str {
        match self {
            Self::Reboot => "reboot",
            Self::Purge => "purge",
            Self::Recipients => "recipients",
        }
    }

    /// The command of this name, if it must be signed.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|command| command.word() == text)
    }
}

/// How long a booth is emptied if the command names no time, and at most, in minutes.
const DRAIN_MINUTES: u64 = 30;
const MOST_DRAIN_MINUTES: u64 = 120;

/// Reads one message.
pub fn read(topics: &Topics, topic: &str, payload: &[u8]) -> Inbound {
    let shown = |text: &str| text.chars().take(SHOWN_CHARS).collect::<String>();
    let odd = |why: &str| Inbound::Odd(format!("a message on {}: {}", shown(topic), shown(why)));
    let known = topics.parse(topic);
    if let Some(Topic::ConfigWanted(_)) = known {
        return Inbound::Config(payload.to_vec());
    }
    if let Some(Topic::State(booth)) = known {
        return Inbound::State(booth, payload.to_vec());
    }
    if payload.len() > MAX_JSON_BYTES {
        let why = format!(
            "it has {} bytes, the contract knows {MAX_JSON_BYTES}",
            payload.len()
        );
        return match known {
            Some(Topic::HubState) => Inbound::HubUnreadable(why),
            Some(Topic::Ack(..)) => Inbound::AckUnreadable(why),
            _ => odd(&why),
        };
    }
    match known {
        Some(Topic::HubState) => {
            if payload.is_empty() {
                return Inbound::Hub(HubState::bare(Presence::Lost));
            }
            match reading::object(payload) {
                Ok(hub) => Inbound::Hub(hub),
                Err(error) => Inbound::HubUnreadable(shown(&error.to_string())),
            }
        }
        Some(Topic::Ack(_, clip_id)) => match reading::object::<Ack>(payload) {
            Ok(ack) if ack.clip_id != clip_id => {
                Inbound::AckUnreadable("it answers another clip than its topic says".into())
            }
            // A `partial` without ranges would make the booth ask the same again and again.
            Ok(ack) if ack.status == AckStatus::Partial && ack.missing.is_empty() => {
                Inbound::AckUnreadable("a partial that does not say which bytes are missing".into())
            }
            Ok(ack) => Inbound::Ack(ack),
            Err(error) => Inbound::AckUnreadable(shown(&error.to_string())),
        },
        Some(Topic::Cmd(booth, command)) if command == "rebirth" => Inbound::Rebirth(booth),
        Some(Topic::Cmd(booth, command)) if command == "selftest" => Inbound::SelfTest(booth),
        Some(Topic::Cmd(booth, command)) if command == "ring" => {
            let wanted = reading::fields(payload).ok();
            let rings = wanted
                .as_ref()
                .and_then(|wanted| wanted.get("rings")?.as_u64());
            Inbound::Ring(booth, rings)
        }
        Some(Topic::Cmd(booth, command)) if command == "update" => {
            let wanted = reading::fields(payload).ok();
            let field = |name: &str| wanted.as_ref().and_then(|wanted| wanted.get(name));
            let is_cancelled = field("cancel").is_some_and(|cancel| cancel == 1 || cancel == true);
            if is_cancelled {
                return Inbound::CancelUpdate(booth);
            }
            let url = field("url").and_then(|url| url.as_str());
            Inbound::Update(booth, url.map(str::to_owned))
        }
        Some(Topic::Cmd(booth, command)) if command == "resend" => {
            Inbound::Resend(booth, wanted(payload))
        }
        Some(Topic::Cmd(booth, command)) if command == "reload" => Inbound::Reload(booth),
        Some(Topic::Cmd(booth, command)) if command == "drain" => {
            Inbound::Drain(booth, minutes(payload))
        }
        Some(Topic::Cmd(booth, command)) => {
            if let Some(signed) = SignedCommand::parse(&command) {
                return Inbound::Signed(booth, signed);
            }
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

/// Which clips `resend` means: one that is named, or all.
fn wanted(payload: &[u8]) -> Result<Wanted, &'static str> {
    if payload.is_empty() {
        return Ok(Wanted::All);
    }
    match reading::fields(payload) {
        Ok(asked) => match asked.get("clip_id") {
            None | Some(serde_json::Value::Null) => Ok(Wanted::All),
            Some(serde_json::Value::String(clip_id)) => {
                let clip_id: String = clip_id.chars().take(SHOWN_CHARS).collect();
                Ok(Wanted::One(clip_id.into()))
            }
            Some(_) => Err("clip_id is no text; name one clip by its id, or leave it out for all"),
        },
        Err(_) => Err("the payload is no JSON object; {} asks for all clips"),
    }
}

/// How long `drain` empties the booth, in minutes; 0 ends it.
fn minutes(payload: &[u8]) -> Result<u64, &'static str> {
    if payload.is_empty() {
        return Ok(DRAIN_MINUTES);
    }
    let Ok(asked) = reading::fields(payload) else {
        return Err("the payload is no JSON object; write {\"minutes\": 30}");
    };
    match asked.get("minutes") {
        None | Some(serde_json::Value::Null) => Ok(DRAIN_MINUTES),
        Some(minutes) => minutes
            .as_u64()
            .filter(|minutes| *minutes <= MOST_DRAIN_MINUTES)
            .ok_or("minutes is no whole number from 0 to 120; 0 ends the emptying"),
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
            (r#"{"url":7,"cancel":0}"#, None),
            ("[[[", None),
        ] {
            assert_eq!(
                said("booth/1/dn/rundhoej-1/cmd/update", payload),
                Inbound::Update(booth.clone(), url)
            );
        }
        for payload in [r#"{"cancel":1}"#, r#"{"cancel":true,"url":"http://x/y"}"#] {
            assert_eq!(
                said("booth/1/dn/rundhoej-1/cmd/update", payload),
                Inbound::CancelUpdate(booth.clone())
            );
        }
        for (payload, wanted) in [
            (r#"{"clip_id":"c","more":1}"#, Some(Wanted::One("c".into()))),
            (r#"{"clip_id":null}"#, Some(Wanted::All)),
            ("{}", Some(Wanted::All)),
            ("", Some(Wanted::All)),
            (r#"{"clip_id":7}"#, None),
            ("[]", None),
            ("{", None),
        ] {
            let asked = said("booth/1/dn/rundhoej-1/cmd/resend", payload);
            let Inbound::Resend(of, asked) = asked else {
                panic!("{asked:?}")
            };
            assert_eq!((of, asked.ok()), (booth.clone(), wanted), "{payload}");
        }
        assert_eq!(
            said("booth/1/dn/rundhoej-1/cmd/reload", ""),
            Inbound::Reload(booth.clone())
        );
        for (payload, minutes) in [
            (r#"{"minutes":5}"#, Some(5)),
            (r#"{"minutes":0}"#, Some(0)),
            (r#"{"minutes":120}"#, Some(120)),
            (r#"{"minutes":null}"#, Some(30)),
            ("{}", Some(30)),
            ("", Some(30)),
            (r#"{"minutes":121}"#, None),
            (r#"{"minutes":-1}"#, None),
            (r#"{"minutes":1.5}"#, None),
            (r#"{"minutes":"5"}"#, None),
            ("[]", None),
        ] {
            let asked = said("booth/1/dn/rundhoej-1/cmd/drain", payload);
            let Inbound::Drain(of, asked) = asked else {
                panic!("{asked:?}")
            };
            assert_eq!((of, asked.ok()), (booth.clone(), minutes), "{payload}");
        }
        for command in SignedCommand::ALL {
            let topic = format!("booth/1/dn/rundhoej-1/cmd/{}", command.word());
            assert_eq!(said(&topic, "[[["), Inbound::Signed(booth.clone(), command));
        }
        assert_eq!(
            said("booth/1/dn/rundhoej-1/cmd/dance+#", "{}"),
            Inbound::UnknownCommand(booth, "dance".into())
        );
        // A configuration is handed on whatever it is: `campaign` says what is wrong with it.
        let long = "x".repeat(MAX_JSON_BYTES + 1);
        for payload in ["{}", "", "rubbish", &long] {
            assert_eq!(
                said("booth/1/dn/rundhoej-1/config", payload),
                Inbound::Config(payload.as_bytes().to_vec())
            );
        }
        let ack = r#"{"clip_id":"c","status":"stored","sha256":"00"}"#;
        assert!(
            matches!(said("booth/1/dn/rundhoej-1/ack/c", ack), Inbound::Ack(ack) if ack.clip_id == "c")
        );
    }

    #[test]
    fn what_the_hub_or_an_ack_need_not_say_may_be_anything() {
        for state in [
            r#"{"state":"online","ts":1796000000}"#,
            r#"{"state":"online","ts":null,"version":null,"max_clip_bytes":null,"schemas":null,"jitter_s":null}"#,
            r#"{"state":"online","ts":{},"version":2,"max_clip_bytes":"much","schemas":"1","jitter_s":-1}"#,
            r#"{"state":"online","new":[1,{}]}"#,
        ] {
            assert_eq!(
                said("booth/1/hub/state", state),
                Inbound::Hub(HubState::bare(Presence::Online)),
                "{state}"
            );
        }
        for ack in [
            r#"{"clip_id":"c","status":"stored","sha256":"00","missing":null,"reason":null,"ts":null}"#,
            r#"{"clip_id":"c","status":"stored","sha256":"00","missing":"none","reason":7,"ts":1796000000.5}"#,
            r#"{"clip_id":"c","status":"stored","sha256":"00"}"#,
        ] {
            let expected = Ack {
                clip_id: "c".into(),
                status: AckStatus::Stored,
                sha256: Some("00".into()),
                missing: Vec::new(),
                reason: None,
                ts: None,
            };
            assert_eq!(
                said("booth/1/dn/rundhoej-1/ack/c", ack),
                Inbound::Ack(expected),
                "{ack}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_by_what_it_should_have_been() {
        let long = "x".repeat(MAX_JSON_BYTES + 1);
        for state in [
            r#"{"state":"onl"#,
            r#"{"state":"starting"}"#,
            r#"{"state":null}"#,
            r#"{"ts":"2026-01-01T00:00:00.000Z"}"#,
            "online",
            "[[[",
            &long,
        ] {
            assert!(
                matches!(said("booth/1/hub/state", state), Inbound::HubUnreadable(why) if why.len() < 200),
                "{state}"
            );
        }
        let wordy = format!(r#"{{"clip_id":"c","status":"{}"}}"#, "ø".repeat(5_000));
        for ack in [
            r#"{"clip_id":"c"}"#,
            r#"{"clip_id":"other","status":"stored","sha256":"00"}"#,
            r#"{"clip_id":"c","status":"partial","missing":null}"#,
            r#"{"clip_id":"c","status":"partial","missing":[[0,"all"]]}"#,
            "",
            &wordy,
            &long,
        ] {
            let read = said("booth/1/dn/rundhoej-1/ack/c", ack);
            assert!(
                matches!(&read, Inbound::AckUnreadable(why) if why.chars().count() < 200),
                "{ack}: {read:?}"
            );
        }
    }

    #[test]
    fn rubbish_is_one_short_sentence() {
        for (topic, payload) in [
            (
                "booth/1/dn/rundhoej-1/cmd/ring",
                &*"x".repeat(MAX_JSON_BYTES + 1),
            ),
            // Its reply would go to a topic with an empty level.
            ("booth/1/dn/rundhoej-1/cmd/+++", "{}"),
            ("booth/1/dn/rundhoej-1/configs", "{}"),
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
