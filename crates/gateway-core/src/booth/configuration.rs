//! A configuration of the centre as it comes (contract §3.8): what it says, and what speaks for it.
//!
//! Owns: telling a signed one from one that anybody can have written. Never does: judge what it says; `campaign` does.

use booth_contract::time::Timestamp;
use booth_contract::wanted::Wanted;
use booth_contract::{MAX_JSON_BYTES, Signed, SignedBody};
use serde_json::Value;

use super::{Around, Booth};
use crate::campaign::{Proof, Read};
use crate::signed::{Due, Refusal, judge};

/// A configuration that came.
#[derive(Debug, PartialEq)]
pub struct Came {
    /// What it says. Nothing of it is believed yet.
    pub read: Read,
    /// What speaks for it, or why its signature is not believed.
    pub proof: Result<Proof, Refusal>,
    /// It was issued then, as far as it says.
    pub issued: Option<Timestamp>,
    /// It has to be looked at again when the clock is synchronised: only then is it known whether it has expired. The payload.
    pub waits: Option<Vec<u8>>,
}

impl Came {
    /// Its version, as far as it has one.
    pub fn version(&self) -> Option<u64> {
        match &self.read {
            Ok(wanted) => Some(wanted.version),
            Err((version, _)) => *version,
        }
    }
}

impl Booth {
    /// What a configuration says, and what speaks for it.
    pub fn configuration(&self, around: &Around, payload: Vec<u8>) -> Came {
        let signed = Signed::read(&payload).filter(|_| payload.len() <= MAX_JSON_BYTES);
        let Some(signed) = signed else {
            let read = Wanted::read(&payload).map_err(|bad| (bad.version, bad.faults));
            let issued = read.as_ref().ok().and_then(|wanted| {
                let issued = wanted.issued_at.as_deref()?;
                issued.parse().ok()
            });
            return Came {
                read,
                proof: Ok(Proof::Nothing),
                issued,
                waits: None,
            };
        };
        let said = SignedBody::read(&signed.body);
        let (read, issued) = match &said {
            Ok(body) => {
                let read = Wanted::of_fields(&body.own).map_err(|bad| (bad.version, bad.faults));
                (read, Some(body.issued_at))
            }
            Err(_) => (Err((version_of(&signed.body), Vec::new())), None),
        };
        let signature = &*self.rules.centre.checks.signature;
        let judged = judge("config", &payload, signature, &self.signed_standing(around));
        let (proof, waits) = match judged {
            Ok((_, body, due)) => (
                Ok(Proof::Signed(body.issued_at)),
                (due == Due::WithTheClock).then_some(payload),
            ),
            Err(refusal) => (Err(refusal), None),
        };
        Came {
            read,
            proof,
            issued,
            waits,
        }
    }
}

/// The version of a text that cannot be obeyed, for the report.
fn version_of(body: &str) -> Option<u64> {
    let value: Value = serde_json::from_str(body).ok()?;
    value.get("version")?.as_u64()
}
