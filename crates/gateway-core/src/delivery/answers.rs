//! What the broker's answer to a message means for its clip, for the size of parts and for the pace (MQTT 5 §3.4.2.1).

use std::time::Duration;

use super::{
    BUSY_STALE, Busy, Confirmation, Delivery, Puback, Sent, Verdict, WINDOW_MESSAGES, What,
};
use booth_contract::time::Mono;

/// A PUBACK that takes longer than this shows a slow link: one message less at a time is sent, down to one, so that health
/// waits behind one part at most.
const SLOW_ANSWER: Duration = Duration::from_secs(1);
/// A PUBACK that comes within this shows a quick link: one message more at a time is sent.
const QUICK_ANSWER: Duration = Duration::from_millis(250);
/// Pause after the broker says that nobody subscribes.
const SLOW_RETRY: Duration = Duration::from_secs(30);
/// Pause of a clip that the broker refuses.
const REFUSED_RETRY: Duration = Duration::from_secs(600);
/// Parts are not made smaller than this, bytes.
const SMALLEST_PART: u64 = 256;

impl Delivery {
    /// The broker answered a message.
    pub fn puback(&mut self, now: Mono, token: u64, answer: Puback, why: &str) -> Vec<Verdict> {
        let Some(sent) = self.tokens.remove(&token) else {
            return Vec::new();
        };
        let number = sent.number;
        let took = now.since(sent.at);
        if took > SLOW_ANSWER {
            self.window = (self.window - 1).max(1);
        } else if took <= QUICK_ANSWER {
            self.window = (self.window + 1).min(WINDOW_MESSAGES);
        }
        let Some(item) = self.items.get_mut(&number) else {
            return Vec::new();
        };
        // The card could be read, no matter what the broker answered.
        self.reading.worked();
        match answer {
            Puback::Success => return self.accepted(now, sent),
            Puback::NoSubscriber => {
                self.nobody_listens = true;
                self.paused_until = Some(now + SLOW_RETRY);
                // Where nobody subscribed, the hub got nothing.
                item.offered = false;
                self.put_back(number, now);
            }
            Puback::Later | Puback::Quota => {
                // Where a broker takes only some messages at a time, asking what is missing makes progress; sending the same
                // first parts again and again would not.
                item.offered = true;
                self.put_off(now, why);
                self.put_back(number, now);
            }
            Puback::TooLarge => self.too_large(now, sent),
            Puback::Refused => {
                self.refused.insert(number, why.to_owned());
                item.offered = false;
                self.put_back(number, now + REFUSED_RETRY);
            }
        }
        Vec::new()
    }

    /// The broker took a message. With its last message a clip is confirmed where the broker confirms; else its answer is awaited.
    fn accepted(&mut self, now: Mono, sent: Sent) -> Vec<Verdict> {
        self.nobody_listens = false;
        self.paused_until = None;
        self.busy_retry.hurry();
        self.refused.remove(&sent.number);
        if let What::Part { from, to } = sent.what {
            // A broker that takes manifests and no parts lets nothing through.
            self.busy_retry.worked();
            let size = to - from;
            if self.learned.is_some_and(|learned| size > learned) {
                self.learned = (size < self.room).then_some(size);
            }
        }
        let Some(item) = self.items.get_mut(&sent.number) else {
            return Vec::new();
        };
        // A withdrawal ends by the hub's word alone, whoever confirms clips (contract §3.9).
        let by_broker = self.confirmation == Confirmation::Broker && !item.offer.is_withdrawal;
        let Some(active) = item.active.as_mut() else {
            return Vec::new();
        };
        active.unacked = active.unacked.saturating_sub(1);
        let all_sent = active.unacked == 0 && !active.manifest_due && active.ranges.is_empty();
        if all_sent && by_broker {
            return self.settle(now, sent.number, Verdict::Release);
        }
        if all_sent {
            active.asked = Some(now);
        }
        Vec::new()
    }

    /// The broker takes nothing for now.
    fn put_off(&mut self, now: Mono, why: &str) {
        self.busy_retry.failed(now);
        let busy = self.busy.get_or_insert(Busy {
            since: now,
            last: now,
            why: String::new(),
        });
        if now.since(busy.last) >= BUSY_STALE {
            busy.since = now;
        }
        busy.last = now;
        busy.why = why.to_owned();
    }

    /// The broker takes no message of this size: parts are made smaller; a manifest or a smallest part counts as refused.
    fn too_large(&mut self, now: Mono, sent: Sent) {
        let Sent { number, what, .. } = sent;
        let Some(item) = self.items.get_mut(&number) else {
            return;
        };
        let what_is = match what {
            What::Part { from, to } if to - from > SMALLEST_PART => {
                let size = ((to - from) / 2).max(SMALLEST_PART);
                self.max_part = self.max_part.min(size);
                self.learned = Some(self.max_part);
                if let Some(active) = item.active.as_mut() {
                    active.unacked = active.unacked.saturating_sub(1);
                    active.ranges.push_front((from, to));
                    active.resending = true;
                }
                return;
            }
            What::Part { .. } => "even a part",
            What::Manifest => "its manifest",
            What::Withdrawal => "a withdrawal",
        };
        let bytes = match (sent.bytes, what) {
            (Some(bytes), _) => format!(" of {bytes} bytes"),
            (None, What::Part { from, to }) => format!(" of {} bytes", to - from),
            (None, What::Manifest | What::Withdrawal) => String::new(),
        };
        let why = format!("{what_is}{bytes} is larger than the broker takes");
        self.refused.insert(number, why);
        item.offered = false;
        self.put_back(number, now + REFUSED_RETRY);
    }
}
