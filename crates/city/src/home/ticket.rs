//! What a form carries so that it counts once: a signed ticket, and a little work that the browser's script did for it.
//!
//! Owns: making, checking and using up of tickets. Never does: know who has one. A ticket is good for one question, for a while, once; it
//! is signed under a key that ends with this process, so that none outlives a restart.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use booth_contract::time::Mono;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// How long a form may lie open: people think.
const OPEN_MS: u64 = 2 * 3_600_000;
/// Most tickets that are remembered as used; with more, nothing is taken until some have run out.
const MOST_USED: usize = 50_000;
const ID: usize = 16;
const BODY: usize = ID + 8 + 1;
const SIGNATURE: usize = 16;

/// What a ticket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// An answer is looked at for the first time.
    Look = 1,
    /// It has been looked at and may be sent.
    Send = 2,
}

/// Why a ticket does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bad {
    /// Too old, of another run of the hub, or no ticket of ours for this.
    Old,
    /// It was used before.
    Used,
    /// Too many are remembered.
    Full,
}

/// See the module's comment.
pub(super) struct Tickets {
    key: [u8; 32],
    used: Mutex<HashMap<[u8; ID], Mono>>,
}

impl Default for Tickets {
    fn default() -> Self {
        Self {
            key: super::random(),
            used: Mutex::default(),
        }
    }
}

impl Tickets {
    /// A new ticket for a step of this question's form.
    pub(super) fn make(&self, now: Mono, step: Step, about: &str) -> String {
        let mut body = Vec::with_capacity(BODY + SIGNATURE);
        body.extend(super::random::<ID>());
        body.extend(now.0.to_be_bytes());
        body.push(step as u8);
        let signature = self.signature(&body, about);
        body.extend(signature);
        URL_SAFE_NO_PAD.encode(body)
    }

    /// Uses a ticket up.
    ///
    /// # Errors
    /// See [`Bad`]; it is as it was then.
    pub(super) fn take(&self, now: Mono, ticket: &str, step: Step, about: &str) -> Result<(), Bad> {
        let (id, made) = self.read(ticket, step, about).ok_or(Bad::Old)?;
        let ends = Mono(made.0 + OPEN_MS);
        if now > ends || made > now {
            return Err(Bad::Old);
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.contains_key(&id) {
            return Err(Bad::Used);
        }
        if used.len() >= MOST_USED {
            used.retain(|_, ends| *ends >= now);
            if used.len() >= MOST_USED {
                return Err(Bad::Full);
            }
        }
        used.insert(id, ends);
        Ok(())
    }

    /// Makes a used ticket good again: what it was used for did not happen.
    pub(super) fn give_back(&self, ticket: &str, step: Step, about: &str) {
        if let Some((id, _)) = self.read(ticket, step, about) {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            used.remove(&id);
        }
    }

    fn read(&self, ticket: &str, step: Step, about: &str) -> Option<([u8; ID], Mono)> {
        let bytes = URL_SAFE_NO_PAD.decode(ticket).ok()?;
        let (body, signature) = bytes.split_at_checked(BODY)?;
        let mut mac = self.mac(body, about);
        mac.update(&[]);
        mac.verify_truncated_left(signature)
            .ok()
            .filter(|()| signature.len() == SIGNATURE && body[BODY - 1] == step as u8)?;
        let made = u64::from_be_bytes(body[ID..ID + 8].try_into().ok()?);
        Some((body[..ID].try_into().ok()?, Mono(made)))
    }

    fn signature(&self, body: &[u8], about: &str) -> [u8; SIGNATURE] {
        let whole = self.mac(body, about).finalize().into_bytes();
        let mut signature = [0; SIGNATURE];
        signature.copy_from_slice(&whole[..SIGNATURE]);
        signature
    }

    fn mac(&self, body: &[u8], about: &str) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.key)
            .expect("HMAC takes a key of any length");
        mac.update(body);
        mac.update(about.as_bytes());
        mac
    }
}

/// Whether a number is the work for a ticket: SHA-256 of `<ticket>:<number>` begins with so many zero bits.
pub(super) fn is_worked(ticket: &str, number: &str, bits: u32) -> bool {
    if number.is_empty() || number.len() > 20 || !number.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let hash = Sha256::digest(format!("{ticket}:{number}"));
    let first = u64::from_be_bytes(hash[..8].try_into().unwrap_or_default());
    first.leading_zeros() >= bits
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Mono = Mono(1_000_000);

    #[test]
    fn a_ticket_counts_once_for_its_own_question_and_step_and_for_a_while() {
        let tickets = Tickets::default();
        let ticket = tickets.make(NOW, Step::Look, "green/square");
        let take = |now, ticket: &str, step, about| tickets.take(now, ticket, step, about);
        assert_eq!(
            take(NOW, &ticket, Step::Send, "green/square"),
            Err(Bad::Old)
        );
        assert_eq!(take(NOW, &ticket, Step::Look, "green/bus"), Err(Bad::Old));
        let late = Mono(NOW.0 + OPEN_MS + 1);
        assert_eq!(
            take(late, &ticket, Step::Look, "green/square"),
            Err(Bad::Old)
        );
        assert_eq!(take(NOW, &ticket, Step::Look, "green/square"), Ok(()));
        assert_eq!(
            take(NOW, &ticket, Step::Look, "green/square"),
            Err(Bad::Used)
        );
        tickets.give_back(&ticket, Step::Look, "green/square");
        assert_eq!(take(NOW, &ticket, Step::Look, "green/square"), Ok(()));
        let other = Tickets::default();
        let of_other = other.make(NOW, Step::Look, "green/square");
        assert_eq!(
            take(NOW, &of_other, Step::Look, "green/square"),
            Err(Bad::Old)
        );
    }

    #[test]
    fn no_changed_ticket_counts() {
        let tickets = Tickets::default();
        let ticket = tickets.make(NOW, Step::Look, "q");
        let bytes = URL_SAFE_NO_PAD.decode(&ticket).expect("base64");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let changed = URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(
                tickets.take(NOW, &changed, Step::Look, "q"),
                Err(Bad::Old),
                "{at}"
            );
        }
        for cut in 0..bytes.len() {
            let short = URL_SAFE_NO_PAD.encode(&bytes[..cut]);
            assert_eq!(
                tickets.take(NOW, &short, Step::Look, "q"),
                Err(Bad::Old),
                "{cut}"
            );
        }
        for rubbish in ["", "%", "ø", "AAAA"] {
            assert_eq!(tickets.take(NOW, rubbish, Step::Look, "q"), Err(Bad::Old));
        }
    }

    #[test]
    fn work_is_seen_and_nothing_else_is_taken_for_it() {
        let found = (0..1_000_000_u64)
            .map(|n| n.to_string())
            .find(|n| is_worked("ticket", n, 12))
            .expect("one in four thousand");
        assert!(!is_worked("ticket2", &found, 12) || !is_worked("ticket3", &found, 12));
        for number in ["", "-1", "1e3", "a", &"9".repeat(21)] {
            assert!(!is_worked("ticket", number, 0), "{number}");
        }
        assert!(is_worked("anything", "1", 0));
    }
}
