//! Configurations and the booths that get them: which share one, and which are sent as the city signed them.
//!
//! Owns: the comparison of what is to be sent with what was sent, and with what was signed. Never does: send.

use std::path::{Path, PathBuf};

use booth_city::sentence;
use booth_contract::wanted::Wanted;
use booth_contract::{Signed, SignedBody};
use booth_host::say;
use serde_json::json;

use super::CampaignError;
use super::merge::Merged;
use super::register::{Sent, State};
use super::signing::{self, Returned};
use super::verbs::{General, Sending};

/// One configuration, and the booths that get it.
pub(super) struct Parcel {
    pub(super) booths: Vec<String>,
    pub(super) merged: Merged,
    /// What is sent.
    pub(super) payload: Vec<u8>,
    pub(super) version: u64,
}

/// Whether a booth was sent these very things before, whatever the version.
pub(super) fn is_same(sent: &Sent, new: &Wanted) -> bool {
    let payload = sent.payload.as_bytes();
    let before = match Signed::read(payload) {
        Some(signed) => SignedBody::read(&signed.body)
            .ok()
            .and_then(|body| Wanted::of_fields(&body.own).ok()),
        None => Wanted::read(payload).ok(),
    };
    before.is_some_and(|before| same_but_version(&before, new))
}

fn same_but_version(one: &Wanted, other: &Wanted) -> bool {
    let bare = |wanted: &Wanted| Wanted {
        version: 1,
        issued_at: None,
        ..wanted.clone()
    };
    bare(one) == bare(other)
}

/// Booths with the same configuration share a parcel.
pub(super) fn parcels(new: Vec<(String, Merged)>, version: u64, issued_at: &str) -> Vec<Parcel> {
    let mut parcels: Vec<Parcel> = Vec::new();
    for (booth, mut merged) in new {
        merged.wanted.version = version;
        merged.wanted.issued_at = Some(issued_at.to_owned());
        match parcels.iter_mut().find(|parcel| parcel.merged == merged) {
            Some(parcel) => parcel.booths.push(booth),
            None => parcels.push(Parcel {
                booths: vec![booth],
                payload: merged.wanted.to_json(),
                merged,
                version,
            }),
        }
    }
    parcels
}

/// Writes the texts that are to be signed.
pub(super) fn to_sign(
    path: &Path,
    parcels: &[Parcel],
    now: jiff::Timestamp,
    general: &General,
) -> Result<(), CampaignError> {
    let needing: Vec<&Parcel> = parcels
        .iter()
        .filter(|parcel| parcel.merged.needs_signature())
        .collect();
    if needing.is_empty() {
        return Err(CampaignError::refused(
            "nothing in it needs a signature: publish it without --to-sign",
        ));
    }
    let mut files = Vec::new();
    for (n, parcel) in needing.into_iter().enumerate() {
        let file = match n {
            0 => path.to_owned(),
            n => PathBuf::from(format!("{}.{}", path.display(), n + 1)),
        };
        signing::write(
            &file,
            &signing::text(&parcel.booths, &parcel.merged.wanted, now),
        )?;
        files.push(file.display().to_string());
    }
    if general.json {
        say!("{}", json!({"to_sign": files}));
        return Ok(());
    }
    let signed: Vec<String> = files
        .iter()
        .map(|file| format!("--signed {file}.minisig"))
        .collect();
    say!(
        "Sign within a week, where the city's secret key is: minisign -S -s KEY -m {}",
        files.join(" ")
    );
    say!(
        "Then give the same command again with {} instead of --to-sign.",
        signed.join(" ")
    );
    Ok(())
}

/// Puts the signed texts into the parcels that they are of; what needs a signature and has none is refused.
pub(super) fn sign(
    parcels: &mut [Parcel],
    returned: &[Returned],
    state: &State,
    sending: &Sending,
) -> Result<(), CampaignError> {
    for Returned {
        signed,
        booths,
        wanted,
    } in returned
    {
        let its = parcels.iter_mut().find(|parcel| {
            let mut own = parcel.booths.clone();
            let mut named = booths.clone();
            own.sort();
            named.sort();
            own == named && same_but_version(&parcel.merged.wanted, wanted)
        });
        let Some(parcel) = its else {
            return Err(CampaignError::refused(
                "a signed text says something else than what is to be published now, or names other booths: write it anew with --to-sign, and sign that",
            ));
        };
        let is_old = booths
            .iter()
            .filter_map(|booth| state.booths.get(booth))
            .any(|sent| sent.version >= wanted.version);
        if is_old && !sending.force {
            return Err(CampaignError::refused(
                "something was published since this text was written, so that its version is too low: write it anew with --to-sign",
            ));
        }
        parcel.version = wanted.version;
        parcel.payload = signed.to_json();
        parcel.merged.wanted.version = wanted.version;
    }
    let unsigned = parcels
        .iter()
        .find(|parcel| parcel.merged.needs_signature() && Signed::read(&parcel.payload).is_none());
    match unsigned {
        None => Ok(()),
        Some(parcel) => {
            let booths = parcel.booths.join(", ");
            Err(CampaignError::Told(sentence!(
                "hub-not-signed",
                booths = booths
            )))
        }
    }
}
