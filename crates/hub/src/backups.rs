//! What `booth-hub backup` and `booth-hub restore` say.
//!
//! Owns: the sentences. Never does: copy anything (`store::backup`, `store::restore`).

use booth_host::say;

use crate::store::{BackedUp, Restored};

/// Ids that are named, of many.
const MOST_NAMED: usize = 10;

/// Says what a backup has, and what the store lacked.
pub fn tell_made(made: &BackedUp, json: bool) {
    if json {
        return say!("{}", serde_json::json!(made));
    }
    for (ids, what) in [
        (
            &made.incomplete,
            "clips whose body or manifest is not in the store",
        ),
        (
            &made.without_envelope,
            "sealed messages whose envelope is gone, so that nobody opens them",
        ),
    ] {
        if !ids.is_empty() {
            let named: Vec<&str> = ids.iter().take(MOST_NAMED).map(|id| id.as_str()).collect();
            let more = if ids.len() > MOST_NAMED {
                ", and more"
            } else {
                ""
            };
            say!(
                "{} {what}: {}{more}. What to do: run booth-hub check, which says it for each.",
                ids.len(),
                named.join(", ")
            );
        }
    }
    say!(
        "{} is the backup of {}: {} clips, {} bodies ({} bytes). {} files ({} bytes) were new in it.",
        made.folder.display(),
        made.at,
        made.clips,
        made.bodies,
        made.bytes,
        made.files_copied,
        made.bytes_copied
    );
    if made.overwritten > 0 {
        say!(
            "{} messages that were taken back since the backup before are overwritten in it. Copies that were made of it have them still.",
            made.overwritten
        );
    }
    if let Some(key) = &made.receipt_key {
        say!(
            "{} is not in it, and must not lie with it: keep one copy on paper or with the city's keys.",
            key.display()
        );
    }
    if made.is_on_the_same_disk {
        say!(
            "It lies on the store's own disk, and is lost with it: copy it elsewhere, or name a folder on another disk."
        );
    }
}

/// Says what was put back.
pub fn tell_restored(restored: &Restored, json: bool) {
    if json {
        return say!("{}", serde_json::json!(restored));
    }
    say!(
        "The store is as it was at {}: {} clips, {} envelopes. {} clips that citizens took back since are not in it.",
        restored.at,
        restored.clips,
        restored.envelopes,
        restored.taken_back
    );
    if let Some(key) = &restored.wants_receipt_key {
        say!(
            "Before you start the hub: put the key of receipts back as {}, from its own copy. With another key nobody takes back by a receipt \
             what was left before.",
            key.display()
        );
    }
}
