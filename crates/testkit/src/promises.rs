//! What a booth's spool has promised, and whether a reopened one keeps it.
//!
//! Owns: for every take what was asked for and what was acknowledged, the numbers, the counters. Never does: look into
//! a file; only what the spool says of itself is compared, and a clip's bytes with the words that were spoken.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use booth_contract::{ClipKind, EndedBy, Manifest, Publish};
use booth_spool::{KeptClip, LedgerNews, OpenReport, Spool, SpoolError};
use sha2::{Digest, Sha256};

use super::spool_rig::long_speech;

/// Longest page that closes a stream.
const CLOSING_PAGE_BYTES: usize = 40;

/// Whether something was wanted and whether it was acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wish {
    #[default]
    No,
    Asked,
    Done,
}

/// One take.
#[derive(Debug, Clone, Default)]
pub struct Take {
    /// Its begin is acknowledged.
    pub is_begun: bool,
    /// Frames that are acknowledged.
    pub acked: usize,
    /// Frames that were handed over.
    pub asked: usize,
    /// Frames it has if the end of its words that was asked for came about.
    pub finish: Option<usize>,
    /// What its citizen allowed, once closing it was asked for.
    pub publish: Option<Publish>,
    /// Closing it is acknowledged.
    pub is_closed: bool,
    /// The bytes of its sealed frames, the first with the head; none if it is not sealed.
    pub sealed: Option<Vec<Vec<u8>>>,
    /// It is a vote for this digit.
    pub vote: Option<u8>,
    pub discard: Wish,
    pub release: Wish,
    pub quarantine: Wish,
    /// Its file refused for good: only where operations fail.
    pub is_set_aside: bool,
    /// Once it is finished: the clip and its manifest.
    pub kept: Option<(KeptClip, Vec<u8>)>,
}

/// Everything.
#[derive(Debug, Clone, Default)]
pub struct Promises {
    pub takes: BTreeMap<String, Take>,
    /// Which clip has a number.
    pub numbers: BTreeMap<u64, String>,
    /// Counters that may be found: the acknowledged ones first, then what was asked for later.
    pub counters: Vec<BTreeMap<String, u64>>,
    pub card_id: Option<String>,
    /// The boot that was seen last, and its number.
    pub boot: (String, u64),
    /// How often the ledger could not be read and was made again.
    pub ledgers_rebuilt: u64,
    /// Withdrawals that are acknowledged, with their payloads, until their release is asked for.
    pub withdrawals: BTreeMap<String, Vec<u8>>,
    /// Operations fail, so that files may be set aside and a boot may go uncounted.
    pub has_faults: bool,
}

/// The bytes of the first `frames` frames of the long speech.
pub fn spoken(frames: usize) -> &'static [u8] {
    static MADE: OnceLock<(Vec<u8>, Vec<usize>)> = OnceLock::new();
    let (bytes, ends) = MADE.get_or_init(|| {
        let (mut bytes, mut ends) = (Vec::new(), vec![0]);
        for frame in long_speech() {
            bytes.extend_from_slice(&frame.pages);
            ends.push(bytes.len());
        }
        (bytes, ends)
    });
    &bytes[..ends[frames]]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn ensure(is_kept: bool, broken: impl FnOnce() -> String) -> Result<(), String> {
    if is_kept { Ok(()) } else { Err(broken()) }
}

impl Promises {
    /// A clip that the spool says it has: it must be what it was, or what its take can have become.
    pub fn see(&mut self, spool: &Spool, clip: &KeptClip) -> Result<(), String> {
        let id = &clip.clip_id;
        let take = self
            .takes
            .get_mut(id.as_str())
            .ok_or_else(|| format!("clip {id} was never begun"))?;
        ensure(take.discard != Wish::Done, || {
            format!("discarded take {id} is back")
        })?;
        // Its number is given, whether or not the card gives its words back just now.
        let owner = self.numbers.entry(clip.clip_no).or_insert(id.to_string());
        ensure(owner == id, || {
            format!("number {} was given to {owner} and to {id}", clip.clip_no)
        })?;
        let manifest = spool.manifest(id);
        let is_leaving = take.release != Wish::No || take.quarantine != Wish::No;
        if manifest.is_err() && self.has_faults && is_leaving {
            // Its removal failed and was done all the same.
            return Ok(());
        }
        let body = spool.read_body(id, 0, 1 << 24);
        // A card that does not answer says nothing about the clip.
        let is_not_now = |error: Option<&SpoolError>| error.is_some_and(|e| !e.is_damage());
        if self.has_faults
            && (is_not_now(manifest.as_ref().err()) || is_not_now(body.as_ref().err()))
        {
            return Ok(());
        }
        let manifest = manifest
            .map_err(|error| format!("the manifest of clip {id} cannot be read: {error}"))?;
        let body = body.map_err(|error| format!("clip {id} cannot be read: {error}"))?;
        ensure(body.len() as u64 == clip.bytes, || {
            format!("clip {id} has another length")
        })?;
        if let Some(choice) = take.vote {
            let text = booth_contract::manifest::text_of_choice(id, "square", choice);
            let is_vote = clip.kind == ClipKind::Choice && clip.bytes == 0;
            let has_hash = hex(&Sha256::digest(text.as_bytes())) == clip.sha256;
            ensure(is_vote && has_hash, || format!("vote {id} is {clip:?}"))?;
        } else {
            ensure(hex(&Sha256::digest(&body)) == clip.sha256, || {
                format!("clip {id} does not have its hash")
            })?;
        }
        if let Some((kept, same)) = &take.kept {
            ensure(kept == clip, || format!("{kept:?} has become {clip:?}"))?;
            ensure(same == &manifest, || {
                format!("the manifest of clip {id} has changed")
            })?;
        } else if take.vote.is_some() {
            take.kept = Some((clip.clone(), manifest));
        } else {
            let frames = (clip.duration_ms / 500) as usize;
            let said = match &take.sealed {
                None => spoken(frames.min(24)).to_vec(),
                Some(sealed) => sealed[..frames.min(sealed.len())].concat(),
            };
            let rest = body.strip_prefix(said.as_slice());
            let longest = match take.sealed {
                None => CLOSING_PAGE_BYTES,
                Some(_) => 0,
            };
            ensure(
                frames > 0 && frames >= take.acked && frames <= take.asked,
                || {
                    format!(
                        "clip {id} has {frames} frames, {} are acknowledged, {} were spoken",
                        take.acked, take.asked
                    )
                },
            )?;
            ensure(rest.is_some_and(|rest| rest.len() <= longest), || {
                format!("clip {id} does not hold what was spoken")
            })?;
            // Of a take whose words had ended, recovery knows how.
            let had_ended = clip.ended_by == EndedBy::HangUp && take.finish == Some(frames);
            let is_as_cut = clip.recovered && (clip.ended_by == EndedBy::Power || had_ended);
            let is_as_asked =
                !clip.recovered && clip.ended_by == EndedBy::HangUp && take.finish == Some(frames);
            ensure(is_as_cut || is_as_asked, || {
                format!("clip {id} ended as nobody ended it: {clip:?}, {take:?}")
            })?;
            let read: Manifest = serde_json::from_slice(&manifest)
                .map_err(|error| format!("clip {id} has no manifest: {error}"))?;
            let publish = read.consent.map(|consent| consent.publish);
            let may_be = match (clip.recovered, take.publish) {
                (true, _) | (false, None) => publish == Some(Publish::No),
                (false, Some(asked)) if take.is_closed => publish == Some(asked),
                (false, Some(asked)) => [Some(Publish::No), Some(asked)].contains(&publish),
            };
            ensure(may_be, || {
                format!("clip {id} may be published as {publish:?}: {take:?}")
            })?;
            take.kept = Some((clip.clone(), manifest));
            take.discard = Wish::No;
        }
        Ok(())
    }

    /// Compares a spool that was just opened, before anything else is done with it.
    pub fn check(&mut self, spool: &Spool, report: &OpenReport, boot: &str) -> Result<(), String> {
        self.check_report(report)?;
        self.ledgers_rebuilt += u64::from(matches!(report.ledger, LedgerNews::Rebuilt(_)));
        // Of the only write of a take the closing record came through and the start did not: that cannot be told
        // from damage, and nothing of it was acknowledged.
        for (id, _) in &report.damaged {
            if let Some(take) = self.takes.get_mut(id.as_str()) {
                take.is_set_aside = true;
            }
        }
        self.check_card(spool, report, boot)?;
        let clips = spool.clips();
        ensure(clips.len() == report.clips, || {
            format!("{} clips are {} in the report", clips.len(), report.clips)
        })?;
        for clip in &clips {
            self.see(spool, clip)?;
            let take = self.takes.entry(clip.clip_id.to_string()).or_default();
            ensure(take.quarantine != Wish::Done, || {
                format!("clip {} has left quarantine", clip.clip_id)
            })?;
            // It is there for good again, until somebody asks once more.
            take.quarantine = Wish::No;
            take.release = Wish::No;
        }
        let quarantined = spool.quarantined_clips();
        for (clip, _) in &quarantined {
            let take = self.takes.get(clip.clip_id.as_str());
            if take.is_some_and(|take| take.is_set_aside)
                || self.has_nothing_acknowledged(&clip.clip_id)
            {
                self.numbers
                    .entry(clip.clip_no)
                    .or_insert(clip.clip_id.to_string());
                continue;
            }
            self.see(spool, clip)?;
            let take = self.takes.entry(clip.clip_id.to_string()).or_default();
            ensure(take.quarantine != Wish::No, || {
                format!("clip {} is in quarantine", clip.clip_id)
            })?;
            take.quarantine = Wish::Done;
        }
        let there: Vec<&str> = clips
            .iter()
            .chain(quarantined.iter().map(|(clip, _)| clip))
            .map(|clip| clip.clip_id.as_str())
            .collect();
        for (id, take) in &self.takes {
            let may_be_gone = take.discard != Wish::No
                || take.release != Wish::No
                || take.is_set_aside
                || (take.kept.is_none() && take.acked == 0);
            ensure(may_be_gone || there.contains(&id.as_str()), || {
                format!("clip {id} is gone: {take:?}")
            })?;
        }
        let found: BTreeMap<String, Vec<u8>> = spool
            .withdrawals()
            .into_iter()
            .filter_map(|kept| Some((kept.id.to_string(), spool.withdrawal(&kept.id).ok()?)))
            .collect();
        for (id, payload) in &self.withdrawals {
            ensure(found.get(id) == Some(payload) || self.has_faults, || {
                format!("withdrawal {id} is gone or has changed")
            })?;
        }
        let last = spool.last_clip_no();
        ensure(self.numbers.keys().copied().eq(1..=last), || {
            format!("the numbers up to {last} are {:?}", self.numbers.keys())
        })
    }

    fn check_report(&self, report: &OpenReport) -> Result<(), String> {
        // Of a begin that nobody heard of, an old block of another file may be left: that cannot be told from damage.
        let was_never_begun = |name: &str| {
            let take = name.split_once(".clip-").map(|(id, _)| self.takes.get(id));
            take.flatten().is_some_and(|take| !take.is_begun)
        };
        let mut set_aside = report.set_aside.iter();
        let is_quiet = (self.has_faults
            || set_aside.all(|(name, _)| was_never_begun(name) || name.starts_with("ledger-")))
            && report
                .damaged
                .iter()
                .all(|(id, _)| self.has_nothing_acknowledged(id))
            && report.missing.is_empty()
            && report.card_unreadable.is_none()
            && report.card_unsaved.is_none()
            && report.left_unsettled == 0;
        ensure(is_quiet, || {
            format!("a power cut was taken for damage: {report:?}")
        })
    }

    fn has_nothing_acknowledged(&self, id: &str) -> bool {
        let take = self.takes.get(id);
        take.is_some_and(|take| take.acked == 0 && take.kept.is_none())
    }

    fn check_card(&mut self, spool: &Spool, report: &OpenReport, boot: &str) -> Result<(), String> {
        let card = spool.card();
        let known = self.card_id.get_or_insert(card.card_id.to_string());
        ensure(*known == card.card_id, || {
            format!("card {known} has become {}: {report:?}", card.card_id)
        })?;
        let (seen, count) = &self.boot;
        let least = count + u64::from(seen != boot);
        ensure(card.boot_count >= least || self.has_faults, || {
            format!("boot {boot} is number {}, not {least}", card.boot_count)
        })?;
        self.boot = (boot.to_owned(), card.boot_count);
        let found = spool.counters();
        // A ledger that is lost costs the counters since the last checkpoint; no word and no number.
        let is_rebuilt = matches!(report.ledger, LedgerNews::Rebuilt(_));
        ensure(is_rebuilt || self.counters.contains(&found), || {
            format!("the counters are {found:?}, not one of {:?}", self.counters)
        })?;
        self.counters = vec![found];
        Ok(())
    }
}
