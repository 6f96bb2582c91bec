//! Which message leaves next: the windows, and the repetition of what is not answered.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Active, Confirmation, Delivery, FIRST_WAIT, Send, Sent, WINDOW_CLIPS, What};
use booth_contract::time::Mono;

/// Most bytes that the bodies of these clips have together.
const WINDOW_BYTES: u64 = 4 << 20;
/// With more clips waiting than this there is a backlog: then every second clip taken up is the newest, so that a message
/// spoken today does not wait behind those of last week.
const BACKLOG_CLIPS: usize = WINDOW_CLIPS;
/// What a message costs beside its body, bytes: topic, header, PUBACK. A manifest is about this long too.
const MESSAGE_OVERHEAD: u64 = 256;
const MANIFEST_COST: u64 = 1024;
/// The longest wait for an ack.
const LAST_WAIT: Duration = Duration::from_secs(600);
/// After this many unanswered manifests, all parts are sent again.
const MANIFESTS_UNANSWERED: u32 = 3;

impl Delivery {
    fn may_send(&self, now: Mono) -> bool {
        self.is_open()
            && self.paused_until.is_none_or(|until| until <= now)
            && self.busy_retry.is_due(now)
            && self.reading.is_due(now)
            && self.tokens.len() < self.window
            && self.pace.allows()
    }

    /// The next message, if one may be sent now.
    pub fn next(&mut self, now: Mono) -> Option<Send> {
        self.pace.fill(now);
        self.wake(now);
        if !self.may_send(now) {
            return None;
        }
        self.repeat_unanswered(now);
        let due = self.active.iter().copied().find(|number| {
            let active = self.items.get(number).and_then(|item| item.active.as_ref());
            active.is_some_and(|active| active.manifest_due || !active.ranges.is_empty())
        });
        let number = match due {
            Some(number) => number,
            None => self.activate()?,
        };
        let item = self.items.get_mut(&number)?;
        let active = item.active.as_mut()?;
        let what = if active.manifest_due {
            active.manifest_due = false;
            match item.offer.is_withdrawal {
                true => What::Withdrawal,
                false => What::Manifest,
            }
        } else {
            let (from, to) = active.ranges.pop_front()?;
            let end = to.min(from.saturating_add(self.max_part));
            if end < to {
                active.ranges.push_front((end, to));
            } else if active.ranges.is_empty() && active.manifest_after {
                active.manifest_after = false;
                active.manifest_due = true;
            }
            self.figures.parts_sent += 1;
            self.figures.parts_resent += u64::from(active.resending);
            What::Part { from, to: end }
        };
        active.unacked += 1;
        active.asked = None;
        let token = self.next_token;
        self.next_token += 1;
        let sent = Sent {
            number,
            what,
            at: now,
            bytes: None,
        };
        self.tokens.insert(token, sent);
        self.pace.spend(match what {
            What::Manifest | What::Withdrawal => MANIFEST_COST,
            What::Part { from, to } => to - from + MESSAGE_OVERHEAD,
        });
        Some(Send {
            token,
            clip_id: item.offer.clip_id.clone(),
            what,
        })
    }

    /// Takes up the oldest waiting clip, if the window has room; of a backlog, the newest every other time.
    fn activate(&mut self) -> Option<u64> {
        let answered = |number: &&u64| {
            self.items
                .get(number)
                .and_then(|item| item.active.as_ref())
                .is_some_and(|active| active.unanswered == 0)
        };
        let (mut clips, mut bytes) = (0, 0);
        for number in self.active.iter().filter(answered) {
            clips += 1;
            let body = self.items.get(number).map_or(0, |item| item.offer.bytes);
            bytes = u64::saturating_add(bytes, body);
        }
        if clips >= WINDOW_CLIPS || bytes >= WINDOW_BYTES {
            return None;
        }
        let ready = |number: &&u64| self.items.get(number).is_some_and(|item| item.offer.fixed);
        let is_backlog = self.waiting.len() > BACKLOG_CLIPS;
        let number = if is_backlog && self.newest_next {
            *self.waiting.iter().rev().find(ready)?
        } else {
            *self.waiting.iter().find(ready)?
        };
        self.newest_next = is_backlog && !self.newest_next;
        self.waiting.remove(&number);
        let item = self.items.get_mut(&number)?;
        let first = !item.offered;
        item.offered = true;
        let whole = VecDeque::from_iter((item.offer.bytes > 0).then_some((0, item.offer.bytes)));
        item.active = Some(Active {
            manifest_due: true,
            // For a clip that was offered before, the manifest first asks what is missing.
            ranges: if first || self.confirmation == Confirmation::Broker {
                whole
            } else {
                VecDeque::new()
            },
            manifest_after: false,
            unacked: 0,
            asked: None,
            wait: FIRST_WAIT,
            unanswered: if first { 0 } else { MANIFESTS_UNANSWERED - 1 },
            resending: !first,
        });
        self.active.push(number);
        Some(number)
    }

    /// Repeats the manifest of clips whose answer is overdue.
    fn repeat_unanswered(&mut self, now: Mono) {
        for number in &self.active {
            let Some(item) = self.items.get_mut(number) else {
                continue;
            };
            if self.confirmation == Confirmation::Broker && !item.offer.is_withdrawal {
                continue;
            }
            let Some(active) = item.active.as_mut() else {
                continue;
            };
            let overdue = active.asked.is_some_and(|asked| asked + active.wait <= now);
            if !overdue {
                continue;
            }
            active.asked = None;
            active.unanswered += 1;
            active.manifest_due = true;
            if active.unanswered.is_multiple_of(MANIFESTS_UNANSWERED) {
                active.ranges =
                    VecDeque::from_iter((item.offer.bytes > 0).then_some((0, item.offer.bytes)));
                active.resending = true;
            }
            active.wait = (active.wait * 2).min(LAST_WAIT);
        }
    }
}
