//! Clips that leave quarantine: because another hub is present, or because the centre asks (contract §3.6, §3.7).
//!
//! Owns: which asker asked for which clips, and the answers. Which clip may leave [`crate::quarantine`] decides, and the keeper
//! moves it.

use std::collections::BTreeSet;

use booth_contract::ClipId;
use booth_contract::time::Mono;
use serde_json::{Value, json};

use super::desk::{Asked, Asker, refusal};
use super::{Around, Booth, Command};
use crate::delivery::Offer;
use crate::quarantine::{BATCH, Cause, Wanted};

/// Most sentences of one answer.
const MOST_ERRORS: usize = 5;
/// Why nothing of the card can be asked for.
pub(super) const CARD_NOT_OPEN: &str =
    "the spool is not open: the card is closed for a technician, or cannot be opened";

/// What became of a clip that was to leave quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Back {
    /// It is out, and is offered.
    Out(Offer),
    /// It came out before, and was confirmed meanwhile.
    Gone,
    /// It stays.
    Stays {
        /// Why.
        why: String,
        /// Its file is not what was written.
        is_damage: bool,
    },
}

/// One asker's command, and its results so far.
#[derive(Debug)]
pub(super) struct Resend {
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
            return refusal(&self.errors.join("; "));
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

impl Booth {
    /// Lets the clips out that the present hub may take.
    pub(super) fn bring_back_what_is_due(&mut self, now: Mono, around: &Around) {
        if !around.has_spool || !self.delivery.is_open() {
            return;
        }
        let clips = self.quarantine.due(now);
        if !clips.is_empty() {
            let by_itself = Some(self.quarantine.moment(now));
            self.commands.push(Command::BringBack { clips, by_itself });
        }
    }

    /// `cmd/resend`.
    pub(super) fn asked_to_resend(
        &mut self,
        around: &Around,
        to: Asker,
        wanted: Result<Wanted, &'static str>,
    ) {
        let wanted = match wanted {
            Ok(wanted) => wanted,
            Err(why) => return self.refuse(to, "resend", why),
        };
        if !around.has_spool {
            return self.refuse(to, "resend", CARD_NOT_OPEN);
        }
        if !self.takes_place(Asked::Resend(wanted.clone()), to) {
            return;
        }
        let (clips, retried) = match &wanted {
            Wanted::All => (self.quarantine.all(), self.delivery.offer_refused()),
            Wanted::One(clip_id) if self.quarantine.note(clip_id).is_some() => {
                (vec![clip_id.clone()], 0)
            }
            Wanted::One(clip_id) if self.delivery.offer_now(clip_id) => (Vec::new(), 1),
            Wanted::One(clip_id) => {
                let why = format!(
                    "there is no clip {clip_id} on this card; it may have been confirmed, or be on another one"
                );
                return self.answer(&Asked::Resend(wanted), &refusal(&why));
            }
        };
        let returns = clips.len();
        self.commands.push(Command::SayResend { returns, retried });
        let damaged = match wanted {
            Wanted::All => self.quarantine.len() - clips.len(),
            Wanted::One(_) => 0,
        };
        self.quarantine.leave(&clips);
        for batch in clips.chunks(BATCH) {
            self.commands.push(Command::BringBack {
                clips: batch.to_vec(),
                by_itself: None,
            });
        }
        self.resends.push(Resend {
            wanted,
            left: clips.into_iter().collect(),
            retried,
            returned: 0,
            damaged,
            errors: Vec::new(),
            failed: 0,
        });
        self.answer_resends();
    }

    /// Offers the clips that the keeper let out of quarantine, like any others. Their citizens have gone: they were offered before.
    pub(super) fn brought_back(&mut self, now: Mono, clips: Vec<(ClipId, Back)>) {
        for (clip_id, back) in clips {
            let note = self.quarantine.note(&clip_id);
            let was_damaged = note.is_some_and(|note| note.cause == Cause::Damage);
            let why = match back {
                Back::Out(offer) => {
                    self.quarantine.came_back(&clip_id);
                    self.delivery.keep(offer, false);
                    None
                }
                Back::Gone => {
                    self.quarantine.came_back(&clip_id);
                    None
                }
                Back::Stays { why, is_damage } => {
                    let damage = is_damage.then_some(why.as_str());
                    self.quarantine.stays(now, &clip_id, damage);
                    Some(match is_damage {
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
            for asked in &mut self.resends {
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
        let (done, waiting) = std::mem::take(&mut self.resends)
            .into_iter()
            .partition(|asked| asked.left.is_empty());
        self.resends = waiting;
        for asked in done {
            let answer = asked.answer();
            self.answer(&Asked::Resend(asked.wanted), &answer);
        }
    }
}
