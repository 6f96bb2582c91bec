//! Clips that leave quarantine: because another hub is present, or because the centre asks (contract §3.6, §3.7).
//!
//! Owns: which asker asked for which clips, and the answers. Never does: decide which clip may leave;
//! `gateway_core::quarantine` does, and the keeper moves it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::desk::Asked;
use super::{Gateway, KeeperCommand};
use booth_contract::time::Mono;
use booth_contract::{BoothId, ClipId};
use booth_spool::{KeptClip, SpoolError};
use gateway_core::quarantine::{BATCH, Cause, Wanted};

/// Most sentences of one answer.
const MOST_ERRORS: usize = 5;

/// The commands that wait for their answer.
#[derive(Default)]
pub(super) struct Desk {
    asked: Vec<Resend>,
}

/// One asker's command, and its results so far.
struct Resend {
    wanted: Wanted,
    /// Clips without a result yet.
    left: BTreeSet<ClipId>,
    /// Clips that the broker had refused, and that are offered again at once.
    retried: usize,
    returned: usize,
    /// Clips that stay because they are damaged, if the command asked for all.
    damaged: usize,
    errors: Vec<String>,
    failed: usize,
}

impl Resend {
    fn answer(&self) -> Value {
        let (returned, retried) = (self.returned, self.retried);
        if self.failed > 0 && returned + retried == 0 {
            return json!({ "ok": 0, "error": self.errors.join("; ") });
        }
        let mut answer = json!({ "ok": 1, "returned": returned, "retried": retried });
        if self.damaged > 0 {
            answer["damaged"] = self.damaged.into();
        }
        if self.failed > 0 {
            answer["failed"] = self.failed.into();
            answer["errors"] = json!(self.errors);
        }
        answer
    }

    fn failed(&mut self, why: String) {
        self.failed += 1;
        if self.errors.len() < MOST_ERRORS {
            self.errors.push(why);
        }
    }
}

impl Gateway {
    /// Lets the clips out that the present hub may take.
    pub(super) fn bring_back_what_is_due(&mut self, now: Mono) {
        if !self.booth.delivery.is_open() {
            return;
        }
        let clips = self.booth.quarantine.due(now);
        if !clips.is_empty() {
            let by_itself = Some(self.booth.quarantine.moment(now));
            let command = KeeperCommand::BringBack { clips, by_itself };
            self.keeper.send(command);
        }
    }

    /// `cmd/resend`.
    pub(super) fn asked_to_resend(
        &mut self,
        now: Mono,
        booth: BoothId,
        wanted: Result<Wanted, &'static str>,
    ) {
        let to = self.reply_to(booth);
        let wanted = match wanted {
            Ok(wanted) => wanted,
            Err(why) => return self.refuse(to, "resend", why),
        };
        if self.spool.is_none() {
            return self.refuse(to, "resend", &SpoolError::NotOpen.to_string());
        }
        if !self.takes_place(Asked::Resend(wanted.clone()), to) {
            return;
        }
        let (clips, retried) = match &wanted {
            Wanted::All => (
                self.booth.quarantine.all(),
                self.booth.delivery.offer_refused(),
            ),
            Wanted::One(clip_id) if self.booth.quarantine.note(clip_id).is_some() => {
                (vec![clip_id.clone()], 0)
            }
            Wanted::One(clip_id) if self.booth.delivery.offer_now(clip_id) => (Vec::new(), 1),
            Wanted::One(clip_id) => {
                let why = format!(
                    "there is no clip {clip_id} on this card; it may have been confirmed, or be on another one"
                );
                let answer = json!({ "ok": 0, "error": why });
                return self.answer(&Asked::Resend(wanted), &answer);
            }
        };
        log::info!(returns = clips.len() as u64, retried = retried as u64; "the centre asks for clips again");
        let damaged = match wanted {
            Wanted::All => self.booth.quarantine.len() - clips.len(),
            Wanted::One(_) => 0,
        };
        self.booth.quarantine.leave(&clips);
        for batch in clips.chunks(BATCH) {
            let command = KeeperCommand::BringBack {
                clips: batch.to_vec(),
                by_itself: None,
            };
            self.keeper.send(command);
        }
        self.resends.asked.push(Resend {
            wanted,
            left: clips.into_iter().collect(),
            retried,
            returned: 0,
            damaged,
            errors: Vec::new(),
            failed: 0,
        });
        self.answer_resends();
        self.deliver(now);
    }

    /// Offers the clips that the keeper let out of quarantine, like any others.
    pub(super) fn brought_back(
        &mut self,
        now: Mono,
        clips: Vec<(ClipId, Result<KeptClip, SpoolError>)>,
    ) {
        for (clip_id, result) in clips {
            let was_damaged = self
                .booth
                .quarantine
                .note(&clip_id)
                .is_some_and(|note| note.cause == Cause::Damage);
            let why = match result {
                Ok(clip) => {
                    log::info!(clip_id = clip_id.as_str(); "out of quarantine");
                    self.booth.quarantine.came_back(&clip_id);
                    let wall_ms = self.machine.wall().as_millisecond();
                    let age = u64::try_from(wall_ms.saturating_sub(clip.kept_at_ms)).unwrap_or(0);
                    // The clip was offered before, so its citizen has gone.
                    self.offer(now, &clip, Duration::from_millis(age), false);
                    None
                }
                // The clip came out before, and was confirmed meanwhile.
                Err(SpoolError::UnknownClip { .. }) => {
                    self.booth.quarantine.came_back(&clip_id);
                    None
                }
                Err(error) => {
                    log::warn!("{error}");
                    let why = error.to_string();
                    let damage = error.is_damage().then_some(why.as_str());
                    self.booth.quarantine.stays(now, &clip_id, damage);
                    Some(match error.is_damage() {
                        true => format!(
                            "{why}; it was {} for that and stays there: import it from the card at the centre",
                            if was_damaged {
                                "quarantined"
                            } else {
                                "found in quarantine"
                            }
                        ),
                        false => why,
                    })
                }
            };
            for asked in &mut self.resends.asked {
                if !asked.left.remove(&clip_id) {
                    continue;
                }
                match &why {
                    None => asked.returned += 1,
                    Some(why) => asked.failed(why.clone()),
                }
            }
        }
        self.answer_resends();
    }

    fn answer_resends(&mut self) {
        let (done, waiting) = std::mem::take(&mut self.resends.asked)
            .into_iter()
            .partition(|asked| asked.left.is_empty());
        self.resends.asked = waiting;

        for asked in done {
            let answer = asked.answer();
            self.answer(&Asked::Resend(asked.wanted), &answer);
        }
    }
}
