//! What comes into the store out of an export of a pulled card, on the path of what comes over MQTT.
//!
//! Owns: the messages that a booth would send for a clip, and what their answers say. Never does: judge, verify or keep anything itself:
//! [`Store::handle`] does, so that withdrawals, tombstones, held clips, sealing and the reserve are what they are for a booth. A failure leaves what a
//! lost connection leaves.

use jiff::Timestamp;

use super::{Message, Store, StoreError, rows};
use crate::ingest::Answer;
use booth_contract::time::Mono;
use booth_contract::{AckStatus, BoothId, ByteRange, ClipId, MAX_PART_BYTES, Topic};

/// How often a body is sent anew before it is given up: the hub itself refuses one that never has its hash.
const MOST_ROUNDS: usize = 4;

/// A clip or a withdrawal that is brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// The booth where it was spoken or dialled.
    pub booth_id: BoothId,
    /// Its id.
    pub id: ClipId,
    /// Its manifest, or the withdrawal itself.
    pub json: Vec<u8>,
    /// The clip's body; `None` for a withdrawal.
    pub body: Option<Vec<u8>>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Took {
    /// It is kept from now on.
    New,
    /// It was kept before.
    Before,
    /// Its citizen has taken it back: nothing of it is kept.
    TakenBack,
    /// The hub does not take it, and why.
    Refused(String),
}

impl Store {
    /// Takes it in; durable after [`Store::commit`].
    ///
    /// # Errors
    /// Those of [`Store::handle`]; the batch must be given up then.
    pub fn take_in(
        &mut self,
        wall: Timestamp,
        mono: Mono,
        brought: &Brought,
    ) -> Result<Took, StoreError> {
        let Brought {
            booth_id, id, json, ..
        } = brought;
        let Some(body) = &brought.body else {
            let topic = Topic::Withdraw(booth_id.clone(), id.clone());
            let answer = self.send(wall, mono, &topic, json)?;
            return Ok(match answer {
                Some(_) => Took::New,
                None => Took::Refused(
                    "the hub does not read it as a withdrawal, or too many of this booth wait"
                        .into(),
                ),
            });
        };
        let known = rows::known(&self.db, id)?;
        let was_here =
            known.is_some_and(|known| !known.is_lost && (known.has_words() || body.is_empty()));
        let manifest = Topic::Clip(booth_id.clone(), id.clone());
        let mut answer = self.send(wall, mono, &manifest, json)?;
        for _ in 0..MOST_ROUNDS {
            let missing = match answer.map(|answer| answer.ack) {
                Some(ack) if ack.status == AckStatus::Partial => ack.missing,
                Some(ack) => return Ok(took(ack.status, ack.reason, was_here)),
                None => vec![ByteRange(0, body.len() as u64)],
            };
            answer = self.parts(wall, mono, brought, body, &missing)?;
            if answer.is_none() {
                answer = self.send(wall, mono, &manifest, json)?;
            }
        }
        Ok(Took::Refused(
            "its body does not become whole at the hub".into(),
        ))
    }

    /// Sends these ranges of the body; the answer to the last part that had one.
    fn parts(
        &mut self,
        wall: Timestamp,
        mono: Mono,
        brought: &Brought,
        body: &[u8],
        missing: &[ByteRange],
    ) -> Result<Option<Answer>, StoreError> {
        let mut answer = None;
        for ByteRange(from, to) in missing {
            let at = |offset: u64| {
                usize::try_from(offset)
                    .unwrap_or(usize::MAX)
                    .min(body.len())
            };
            let range = &body[at(*from)..at(*to).max(at(*from))];
            let mut offset = *from;
            for part in range.chunks(MAX_PART_BYTES) {
                let topic = Topic::Part(brought.booth_id.clone(), brought.id.clone(), offset);
                answer = self.send(wall, mono, &topic, part)?;
                offset += part.len() as u64;
            }
        }
        Ok(answer)
    }

    fn send(
        &mut self,
        wall: Timestamp,
        mono: Mono,
        topic: &Topic,
        payload: &[u8],
    ) -> Result<Option<Answer>, StoreError> {
        let message = Message {
            topic: self.topics.name(topic),
            payload: payload.to_vec(),
            retained: false,
            expiry_s: None,
        };
        self.handle(wall, mono, &message)
    }
}

fn took(status: AckStatus, reason: Option<String>, was_here: bool) -> Took {
    match status {
        AckStatus::Stored if was_here => Took::Before,
        AckStatus::Stored => Took::New,
        AckStatus::Discard => Took::TakenBack,
        AckStatus::Reject | AckStatus::Partial => {
            Took::Refused(reason.unwrap_or_else(|| "the hub gives no reason".into()))
        }
    }
}
