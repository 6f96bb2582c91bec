//! Is another device connected with this booth's id? A state that it left in our retained topic is evidence; a lost
//! connection is none.
//!
//! Owns: distinguishing a state of another device from one of our own. Never does: subscribe, or step back; the connection
//! does.

use serde_json::Value;

use booth_contract::Session;

/// The identity of this gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own<'a> {
    /// The card's id.
    pub card_id: &'a str,
    /// The kernel's boot id.
    pub boot_id: &'a str,
    /// The session of the latest CONNECT.
    pub session: Session,
}

/// Describes the other device that published this state in our name. `None`: we published it, in this start or an earlier
/// one, or it cannot be decided.
///
/// To be asked only of a state that stays retained although this process has published its own and got the answer.
pub fn said_by_another(payload: &[u8], own: Own<'_>) -> Option<String> {
    let state: Value = serde_json::from_slice(payload).ok()?;
    let text = |field: &str| state.get(field).and_then(Value::as_str);
    let said = text("session")?;
    if text("boot_id").is_some_and(|boot_id| boot_id == own.boot_id) {
        return None;
    }
    let session: Session = said.parse().ok()?;
    let card = text("card_id");
    let is_our_card = card.is_none_or(|card| card == own.card_id);
    // The state is of an earlier start of this machine; the will of an earlier start may be published late.
    if is_our_card && session.boot_count < own.session.boot_count {
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

    fn told(payload: &str) -> Option<String> {
        let own = Own {
            card_id: "card-1",
            boot_id: "boot-7",
            session: Session {
                boot_count: 7,
                connect_ms: 5_000,
            },
        };
        said_by_another(payload.as_bytes(), own)
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
            assert_eq!(told(payload), None, "{payload}");
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
            let evidence = told(payload).unwrap_or_default();
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
            assert_eq!(told(payload), None, "{payload}");
        }
    }
}
