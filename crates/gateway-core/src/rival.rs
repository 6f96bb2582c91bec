//! Is another device connected with this booth's id? The broker's word is evidence, and so is a state that it left in our
//! retained topic; a lost connection is none.
//!
//! Owns: what counts as evidence, and the sentence about it. Never does: subscribe, or step back; the connection does when the
//! booth wants it.

use serde_json::Value;

use booth_contract::{BootId, CardId, Session, reading};

/// The identity of this gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Own<'a> {
    /// The card's id.
    pub(crate) card_id: &'a CardId,
    /// The kernel's boot id.
    pub(crate) boot_id: &'a BootId,
    /// How often the machine has started with this card.
    pub(crate) boot_count: u64,
}

/// How a connection was lost, as far as it says something of another device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The broker says that another client has taken the session over (MQTT 5 §3.14.2.1, 0x8E).
    TakenOver,
    /// This booth left because it had to step back (`booth::Command::StepBack`).
    SteppedBack,
    /// In any other way.
    Other,
}

/// What the connection that stands, or the latest one, has brought to light.
#[derive(Debug, Default)]
pub(crate) struct Rival {
    evidence: Option<String>,
}

impl Rival {
    /// A state stands in our retained topic. Returns the evidence if it is another device's, once for each connection.
    ///
    /// To be asked only of a state that stays retained although this process has published its own and got the answer.
    pub(crate) fn state_came(&mut self, payload: &[u8], own: Own<'_>) -> Option<String> {
        if self.evidence.is_some() {
            return None;
        }
        self.evidence = said_by_another(payload, own);
        self.evidence.clone()
    }

    /// The connection is lost. Returns what is to be said of another device, if there is one: `why`, or the evidence if `why`
    /// cannot have it.
    pub(crate) fn lost(&mut self, loss: Loss, why: &str) -> Option<String> {
        let evidence = self.evidence.take();
        match loss {
            Loss::TakenOver | Loss::SteppedBack => Some(why.to_owned()),
            // It ended by itself before the booth could leave.
            Loss::Other => evidence,
        }
    }
}

/// Describes the other device that published this state in our name. `None`: we published it, in this start or an earlier
/// one, or it cannot be decided.
fn said_by_another(payload: &[u8], own: Own<'_>) -> Option<String> {
    let state = reading::fields(payload).ok()?;
    let text = |field: &str| state.get(field).and_then(Value::as_str);
    let said = text("session")?;
    if text("boot_id").is_some_and(|boot_id| boot_id == own.boot_id.as_str()) {
        return None;
    }
    let session: Session = said.parse().ok()?;
    let card = text("card_id");
    let is_our_card = card.is_none_or(|card| card == own.card_id.as_str());
    // The state is of an earlier start of this machine; the will of an earlier start may be published late.
    if is_our_card && session.boot_count < own.boot_count {
        return None;
    }
    Some(match card {
        Some(card) if !is_our_card => {
            format!("its session {session} with the card {card:?} stands in this booth's state")
        }
        _ => format!("its session {session} stands in this booth's state, and it is none of ours"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(payload: &str) -> Option<String> {
        let own = Own {
            card_id: &"card-1".into(),
            boot_id: &"boot-7".into(),
            boot_count: 7,
        };
        Rival::default().state_came(payload.as_bytes(), own)
    }

    #[test]
    fn our_own_words_of_this_start_and_of_earlier_ones_are_no_rivals() {
        for payload in [
            r#"{"state":"online","session":"7-5000","card_id":"card-1","boot_id":"boot-7"}"#,
            // States of another process in this start, and of a process whose card was changed meanwhile.
            r#"{"state":"lost","session":"7-100","card_id":"card-1","boot_id":"boot-7"}"#,
            r#"{"state":"online","session":"9-9","card_id":"card-0","boot_id":"boot-7"}"#,
            r#"{"state":"lost","session":"6-900000","card_id":"card-1","boot_id":"boot-6"}"#,
        ] {
            assert_eq!(found(payload), None, "{payload}");
        }
    }

    #[test]
    fn another_card_or_a_start_that_was_not_ours_is_a_rival_by_name() {
        for (payload, names) in [
            (
                r#"{"state":"online","session":"3-1","card_id":"card-2","boot_id":"boot-x"}"#,
                "card-2",
            ),
            // A copy of our card: it started as often as we did, or more often.
            (
                r#"{"state":"online","session":"7-77","card_id":"card-1","boot_id":"boot-x"}"#,
                "7-77",
            ),
            (
                r#"{"state":"lost","session":"8-1","card_id":null,"ts":5}"#,
                "8-1",
            ),
        ] {
            let evidence = found(payload).unwrap_or_default();
            assert!(evidence.contains(names), "{payload}: {evidence}");
        }
    }

    #[test]
    fn what_nobody_can_read_is_no_evidence() {
        for payload in [
            "",
            "null",
            "[]",
            "{",
            r#"{"state":"online"}"#,
            r#"{"session":5,"card_id":"card-2"}"#,
            r#"{"session":"once","card_id":"card-2"}"#,
        ] {
            assert_eq!(found(payload), None, "{payload}");
        }
    }
}
