//! Configurations that a city signs (contract §3.7): the exact text to be signed, and what comes back with its signature.
//!
//! Owns: the shape of the text, and that what comes back is what is to be published now. Never does: have a key, or check a signature: the
//! booths do, with the keys in their `[control] keys`.
#![allow(clippy::disallowed_methods)] // reads and writes the files for the signer; a text that is signed is unique

use std::path::{Path, PathBuf};

use booth_contract::time::{Timestamp, rfc3339};
use booth_contract::wanted::Wanted;
use booth_contract::{MAX_JSON_BYTES, Signed, SignedBody};
use booth_host::plain_file;
use serde_json::{Value, json};

use super::CampaignError;

/// How long booths may take such a text: the longest that they accept (contract §3.7).
const VALID_HOURS: i64 = 7 * 24;
/// Longest signature's file, bytes.
const MOST_SIGNATURE: u64 = 4_096;

/// The text that says this configuration to these booths.
pub(super) fn text(booths: &[String], wanted: &Wanted, now: Timestamp) -> String {
    let expires_at = now + jiff::SignedDuration::from_hours(VALID_HOURS);
    let mut text = json!({
        "booth": booths,
        "command": "config",
        "issued_at": rfc3339(now),
        "expires_at": rfc3339(expires_at),
        "nonce": uuid::Uuid::new_v4().simple().to_string(),
    });
    let own = serde_json::from_slice::<Value>(&wanted.to_json()).unwrap_or_default();
    for (key, value) in own
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| *key != "issued_at")
    {
        text[key.as_str()] = value.clone();
    }
    text.to_string()
}

/// Writes a text to be signed into a file of its own.
///
/// # Errors
/// The errors of writing.
pub(super) fn write(path: &Path, text: &str) -> Result<(), CampaignError> {
    plain_file::replace_private(path, text.as_bytes())
        .map_err(|error| CampaignError::file(path, error))
}

/// A signed text that came back.
#[derive(Debug, Clone)]
pub(super) struct Returned {
    pub(super) signed: Signed,
    pub(super) booths: Vec<String>,
    pub(super) wanted: Wanted,
}

/// Reads a signature's file, `TEXT.minisig`, and the text beside it.
///
/// # Errors
/// Files that cannot be read, and a text that is no configuration, or is too long by now.
pub(super) fn read(minisig: &Path, now: Timestamp) -> Result<Returned, CampaignError> {
    let refused = |why: &str| CampaignError::refused(format!("{}: {why}", minisig.display()));
    let name = minisig.to_string_lossy();
    let text = name.strip_suffix(".minisig").map(PathBuf::from).ok_or_else(|| {
        refused("name the file that minisign made: its name ends in .minisig, and the signed text lies beside it")
    })?;
    let bytes = |path: &Path, most: u64| {
        let bytes = plain_file::read_at_most(path, most)
            .map_err(|error| CampaignError::file(path, error))?;
        String::from_utf8(bytes).map_err(|_| refused("is no text"))
    };
    let signed = Signed {
        minisig: bytes(minisig, MOST_SIGNATURE)?,
        body: bytes(&text, MAX_JSON_BYTES as u64)?,
    };
    judged(signed, now, &refused)
}

/// The same of a text and its signature.
///
/// # Errors
/// See [`read`].
pub(super) fn returned(
    text: &str,
    minisig: &str,
    now: Timestamp,
) -> Result<Returned, CampaignError> {
    let signed = Signed {
        minisig: minisig.to_owned(),
        body: text.to_owned(),
    };
    judged(signed, now, &|why| {
        CampaignError::refused(format!("the signed text: {why}"))
    })
}

fn judged(
    signed: Signed,
    now: Timestamp,
    refused: &dyn Fn(&str) -> CampaignError,
) -> Result<Returned, CampaignError> {
    let body = SignedBody::read(&signed.body).map_err(|why| refused(&why.to_string()))?;
    if body.command != "config" {
        return Err(refused("the signed text is no configuration"));
    }
    if body.expires_at <= now {
        return Err(refused(
            "the signed text has expired: write it anew with --to-sign, and sign that",
        ));
    }
    let wanted = Wanted::of_fields(&body.own).map_err(|bad| {
        let faults: Vec<String> = bad.faults.iter().map(ToString::to_string).collect();
        refused(&faults.join("; "))
    })?;
    if signed.to_json().len() > MAX_JSON_BYTES {
        return Err(refused(
            "with its signature the text is longer than a booth reads",
        ));
    }
    Ok(Returned {
        signed,
        booths: body.booths,
        wanted,
    })
}
