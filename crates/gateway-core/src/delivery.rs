//! What is sent, kept and released (contract §3.4).
//!
//! Owns: which clip is offered when, what of it is missing at the hub, and the only way to a
//! [`Receipt`]. Never does: touch a socket or a file, or let go of a clip on anything but a verified
//! confirmation. A lost connection or a lost message costs a repetition, never a clip.
//!
//! Longer than 500 lines: the machine's state and everything that may happen to a clip; which message leaves next, what the broker
//! answers, the pace and the alerts have files of their own.

mod alerts;
mod answers;
mod pace;
mod sending;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use self::pace::Pace;
use super::retry::Retry;
use booth_contract::time::Mono;
use booth_contract::{Ack, AckStatus, BodyHash, ByteRange, ClipId, MAX_PART_BYTES};

/// Clips that may await their ack at a time; a clip that gets no answer gives up its place.
const WINDOW_CLIPS: usize = 8;
/// Messages without PUBACK at a time, at most; few, so that health gets through between them.
const WINDOW_MESSAGES: usize = 6;
/// First wait for an ack; doubled each time.
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// Most ranges that are taken from one `partial`; the next manifest asks for the rest.
const MAX_RANGES: usize = 1024;
/// First and last pause after the broker says that it takes nothing for now.
const BUSY_FIRST: Duration = Duration::from_secs(30);
const BUSY_LAST: Duration = Duration::from_secs(600);
/// A broker that has not said for this long that it takes nothing counts as taking again.
const BUSY_STALE: Duration = Duration::from_secs(900);
/// Pause of a withdrawal that the hub answers with anything but `stored`.
const WITHDRAWAL_RETRY: Duration = Duration::from_secs(3600);
/// First and last pause of one clip that the card fails to read or fix.
const CARD_FIRST: Duration = Duration::from_secs(30);
const CARD_LAST: Duration = Duration::from_secs(1800);
/// First and last pause of all reading after the card failed to read something: a failing card may take seconds for each
/// failure.
const READING_FIRST: Duration = Duration::from_secs(5);
const READING_LAST: Duration = Duration::from_secs(60);
/// First and last pause of all fixing after the card refused a manifest.
const FIXING_FIRST: Duration = Duration::from_secs(30);
const FIXING_LAST: Duration = Duration::from_secs(600);

/// Proof that the centre has a clip, or wants it gone: made only here, from a confirmation whose hash
/// is the clip's own, and used up by the deletion it allows.
#[derive(Debug, PartialEq, Eq)]
pub struct Receipt {
    clip_id: ClipId,
    sha256: BodyHash,
}

impl Receipt {
    /// The clip.
    pub fn clip_id(&self) -> &ClipId {
        &self.clip_id
    }

    /// SHA-256 of the body that was confirmed, hex.
    pub fn sha256(&self) -> &BodyHash {
        &self.sha256
    }

    #[cfg(test)]
    pub(crate) fn for_test(clip_id: &str, sha256: &str) -> Self {
        Self {
            clip_id: clip_id.into(),
            sha256: sha256.into(),
        }
    }
}

/// Whose confirmation releases a clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// The hub, by hash.
    Hub,
    /// The broker, by PUBACK Success for every message of the clip.
    Broker,
}

/// A clip or a withdrawal to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// UUID.
    pub clip_id: ClipId,
    /// Size of its body, bytes.
    pub bytes: u64,
    /// SHA-256 of its body, hex; empty for a void number.
    pub sha256: BodyHash,
    /// When it was kept, ms on the boot-time clock; negative for a clip of an earlier boot.
    pub kept_at_ms: i64,
    /// Whether its manifest is final. If not, [`Delivery::to_fix`] asks for it to be fixed before the clip is offered.
    pub fixed: bool,
    /// It is a citizen's withdrawal and no clip: one message, whose `sha256` is that of its `sealed` text.
    pub is_withdrawal: bool,
}

/// What to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The manifest.
    Manifest,
    /// A withdrawal, whole.
    Withdrawal,
    /// Body bytes `[from, to)`.
    Part {
        /// First byte.
        from: u64,
        /// One past the last.
        to: u64,
    },
}

/// One message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Send {
    /// Returned with its PUBACK.
    pub token: u64,
    /// The clip.
    pub clip_id: ClipId,
    /// Which piece of it.
    pub what: What,
}

/// The broker's answer to a message (MQTT 5 §3.4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Puback {
    /// Taken.
    Success,
    /// Taken, but nobody subscribes.
    NoSubscriber,
    /// Not now, and no reason given.
    Later,
    /// Not now: the broker's quota is used up (0x97).
    Quota,
    /// Larger than the broker takes (0x95), even where its CONNACK announced more.
    TooLarge,
    /// Not allowed.
    Refused,
}

/// What has to be done about a clip.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Confirmed: delete it.
    Release(Receipt),
    /// Withdrawn: delete it.
    Delete(Receipt),
    /// Rejected: keep it, and send it no more.
    Quarantine {
        /// The clip.
        clip_id: ClipId,
        /// The hub's reason.
        reason: String,
    },
    /// An ack that fits no clip, or names another body: reported once, and nothing is done.
    Odd(String),
}

/// Figures for health.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryFigures {
    /// Parts published.
    pub parts_sent: u64,
    /// How many of these were sent again.
    pub parts_resent: u64,
}

#[derive(Debug)]
struct Item {
    offer: Offer,
    /// It was offered before, since the daemon started.
    offered: bool,
    /// The end of its pause; until then it is among `resting`.
    rests_until: Option<Mono>,
    /// Fixing its manifest was asked for, and is not done yet.
    fixing: bool,
    /// Why the card failed for it; forgotten when the clip has left.
    trouble: Option<String>,
    card: Retry,
    active: Option<Active>,
}

#[derive(Debug)]
struct Active {
    /// The next message to send is the manifest.
    manifest_due: bool,
    /// Body ranges still to be sent.
    ranges: VecDeque<(u64, u64)>,
    /// The manifest is sent again after the ranges.
    manifest_after: bool,
    /// Messages without PUBACK.
    unacked: usize,
    /// Since when an answer is awaited.
    asked: Option<Mono>,
    wait: Duration,
    unanswered: u32,
    resending: bool,
}

/// A message without PUBACK.
#[derive(Debug, Clone, Copy)]
struct Sent {
    /// Number of its clip in `items`.
    number: u64,
    what: What,
    at: Mono,
    /// Length of its payload, once [`Delivery::sized`] has given it.
    bytes: Option<usize>,
}

/// A broker that takes nothing for now.
#[derive(Debug)]
struct Busy {
    /// When it first said so, or when the last clip got through, whichever is later.
    since: Mono,
    /// When it said so last.
    last: Mono,
    why: String,
}

/// The delivery machine.
#[derive(Debug)]
pub struct Delivery {
    confirmation: Confirmation,
    items: BTreeMap<u64, Item>,
    numbers: HashMap<ClipId, u64>,
    /// Numbers in `items` that are being delivered.
    active: Vec<u64>,
    /// Numbers of clips that wait, oldest first.
    waiting: BTreeSet<u64>,
    /// Numbers of clips that pause by themselves, each with the end of its pause.
    resting: BTreeSet<(Mono, u64)>,
    /// Clips of a citizen who is still at the booth.
    held: HashSet<ClipId>,
    /// How many of `items` are withdrawals.
    withdrawals: usize,
    /// Clips that their citizens are deleting: whatever the card has of them, nothing of them is sent.
    taken_back: HashSet<ClipId>,
    /// Clips in quarantine, with their hashes: they are not sent, and a citizen can still take them back.
    aside: HashMap<ClipId, BodyHash>,
    next_number: u64,
    next_token: u64,
    tokens: HashMap<u64, Sent>,
    /// How many messages may be without PUBACK now.
    window: usize,
    /// The next clip taken up from a backlog is the newest.
    newest_next: bool,
    pace: Pace,
    connected: bool,
    hub_online: bool,
    max_part: u64,
    /// Largest part that the CONNACK allows.
    room: u64,
    /// Largest part known to pass, or next to be tried, after the broker has refused larger ones.
    learned: Option<u64>,
    paused_until: Option<Mono>,
    nobody_listens: bool,
    busy: Option<Busy>,
    busy_retry: Retry,
    /// The pause of all reading, after the card failed.
    reading: Retry,
    fixing: Retry,
    /// Numbers of the clips that the broker refuses, and why.
    refused: BTreeMap<u64, String>,
    figures: DeliveryFigures,
}

impl Delivery {
    /// A machine with nothing to deliver, before any connection.
    pub fn new(confirmation: Confirmation) -> Self {
        Self {
            confirmation,
            items: BTreeMap::new(),
            numbers: HashMap::new(),
            active: Vec::new(),
            waiting: BTreeSet::new(),
            resting: BTreeSet::new(),
            held: HashSet::new(),
            withdrawals: 0,
            taken_back: HashSet::new(),
            aside: HashMap::new(),
            next_number: 0,
            next_token: 0,
            tokens: HashMap::new(),
            window: WINDOW_MESSAGES,
            newest_next: false,
            pace: Pace::default(),
            connected: false,
            hub_online: false,
            max_part: MAX_PART_BYTES as u64,
            room: MAX_PART_BYTES as u64,
            learned: None,
            paused_until: None,
            nobody_listens: false,
            busy: None,
            busy_retry: Retry::new(BUSY_FIRST, BUSY_LAST),
            reading: Retry::new(READING_FIRST, READING_LAST),
            fixing: Retry::new(FIXING_FIRST, FIXING_LAST),
            refused: BTreeMap::new(),
            figures: DeliveryFigures::default(),
        }
    }

    /// Bodies leave at most this fast; `None` is as fast as the link goes.
    #[must_use]
    pub fn paced(mut self, bytes_per_s: Option<u64>) -> Self {
        self.pace.bytes_per_s = bytes_per_s;
        self
    }

    /// A clip was kept. With `held` its citizen is still at the booth, and the clip does not leave yet.
    pub fn keep(&mut self, offer: Offer, held: bool) {
        if self.numbers.contains_key(&offer.clip_id) || self.taken_back.contains(&offer.clip_id) {
            return;
        }
        let number = self.next_number;
        self.next_number += 1;
        self.aside.remove(&offer.clip_id);
        self.withdrawals += usize::from(offer.is_withdrawal);
        if held {
            self.held.insert(offer.clip_id.clone());
        } else {
            self.waiting.insert(number);
        }
        self.numbers.insert(offer.clip_id.clone(), number);
        self.items.insert(
            number,
            Item {
                offer,
                offered: false,
                rests_until: None,
                fixing: false,
                trouble: None,
                card: Retry::new(CARD_FIRST, CARD_LAST),
                active: None,
            },
        );
    }

    /// A citizen deletes a clip: it is neither sent nor taken up, until it is let go.
    pub fn take_back(&mut self, clip_id: &ClipId) {
        self.give_up(clip_id);
        self.taken_back.insert(clip_id.clone());
    }

    /// Nothing is left of a clip that its citizen has deleted but what may be sent.
    pub fn let_go(&mut self, clip_id: &ClipId) {
        self.taken_back.remove(clip_id);
    }

    /// The clips that their citizens are deleting.
    pub fn being_taken_back(&self) -> Vec<ClipId> {
        self.taken_back.iter().cloned().collect()
    }

    /// Whether its citizen is deleting this clip.
    pub fn is_taken_back(&self, clip_id: &ClipId) -> bool {
        self.taken_back.contains(clip_id)
    }

    /// A clip lies in quarantine: it is not sent, but a `discard` for this very body still deletes it.
    pub fn lies_aside(&mut self, clip_id: ClipId, sha256: BodyHash) {
        self.aside.insert(clip_id, sha256);
    }

    /// A clip went to quarantine: it is sent no more.
    pub fn sent_aside(&mut self, clip_id: &ClipId) {
        if let Some(number) = self.numbers.get(clip_id).copied()
            && let Some(item) = self.forget(number)
        {
            self.lies_aside(item.offer.clip_id, item.offer.sha256);
        }
    }

    /// Whether clips may leave: connected, and the confirming side is there.
    pub fn is_open(&self) -> bool {
        self.connected && (self.confirmation == Confirmation::Broker || self.hub_online)
    }

    /// Clips that may leave soon and whose manifest is not fixed.
    fn unfixed(&self) -> Vec<u64> {
        let ends = self
            .waiting
            .iter()
            .take(WINDOW_CLIPS)
            .chain(self.waiting.iter().rev().take(WINDOW_CLIPS));
        ends.copied()
            .filter(|number| {
                self.items
                    .get(number)
                    .is_some_and(|item| !item.offer.fixed && !item.fixing)
            })
            .collect()
    }

    /// Clips that may leave soon but whose manifest must be fixed first; each is named once until [`Delivery::fixed`],
    /// [`Delivery::not_fixed`] or [`Delivery::not_tried`]. Fixing comes as late as possible: a clock that is set before then
    /// still corrects the times in the manifest.
    pub fn to_fix(&mut self, now: Mono) -> Vec<ClipId> {
        self.wake(now);
        if !self.is_open() || !self.fixing.is_due(now) {
            return Vec::new();
        }
        self.unfixed()
            .iter()
            .filter_map(|number| {
                let item = self.items.get_mut(number)?;
                (!std::mem::replace(&mut item.fixing, true)).then(|| item.offer.clip_id.clone())
            })
            .collect()
    }

    fn item(&mut self, clip_id: &ClipId) -> Option<(u64, &mut Item)> {
        let number = *self.numbers.get(clip_id)?;
        Some((number, self.items.get_mut(&number)?))
    }

    /// The manifest of a clip is fixed.
    pub fn fixed(&mut self, clip_id: &ClipId) {
        if let Some((_, item)) = self.item(clip_id) {
            item.fixing = false;
            item.offer.fixed = true;
            item.trouble = None;
            item.card.worked();
            self.fixing.worked();
        }
    }

    /// The card did not take the manifest of a clip: this clip, and all others too, are asked for again after a pause that
    /// grows, because a card that refuses one manifest most likely refuses them all.
    pub fn not_fixed(&mut self, now: Mono, clip_id: &ClipId, why: &str) {
        let Some((number, item)) = self.item(clip_id) else {
            return;
        };
        item.fixing = false;
        item.trouble = Some(why.to_owned());
        let until = item.card.failed(now);
        self.fixing.failed(now);
        if self.waiting.contains(&number) {
            self.rest(number, until);
        }
    }

    /// Fixing the manifest of a clip was not tried: it is asked for again.
    pub fn not_tried(&mut self, clip_id: &ClipId) {
        if let Some((_, item)) = self.item(clip_id) {
            item.fixing = false;
        }
    }

    /// The spool was opened anew: what was being fixed is asked for again, and what the card refused is tried again.
    pub fn spool_opened(&mut self) {
        for item in self.items.values_mut() {
            item.fixing = false;
        }
        self.reading.worked();
        self.fixing.worked();
        self.wake_all(|item| item.trouble.is_some());
    }

    /// Lets a waiting clip pause until then.
    fn rest(&mut self, number: u64, until: Mono) {
        if let Some(item) = self.items.get_mut(&number) {
            self.waiting.remove(&number);
            if let Some(before) = item.rests_until.replace(until) {
                self.resting.remove(&(before, number));
            }
            self.resting.insert((until, number));
        }
    }

    /// Lets clips whose pause is over wait like any other.
    fn wake(&mut self, now: Mono) {
        while let Some((until, number)) = self.resting.first().copied() {
            if until > now {
                return;
            }
            self.wake_one(number);
        }
    }

    fn wake_one(&mut self, number: u64) {
        if let Some(item) = self.items.get_mut(&number)
            && let Some(until) = item.rests_until.take()
        {
            self.resting.remove(&(until, number));
            self.waiting.insert(number);
        }
    }

    fn wake_all(&mut self, which: impl Fn(&Item) -> bool) {
        let resting: Vec<u64> = self.resting.iter().map(|(_, number)| *number).collect();
        for number in resting {
            if self.items.get(&number).is_some_and(&which) {
                self.wake_one(number);
            }
        }
    }

    /// Offers the clips that the broker refused again at once. Returns how many they are.
    pub fn offer_refused(&mut self) -> usize {
        let refused: Vec<u64> = self.refused.keys().copied().collect();
        for number in &refused {
            self.wake_one(*number);
        }
        refused.len()
    }

    /// Offers a pausing clip again at once. False if there is no such clip to deliver.
    pub fn offer_now(&mut self, clip_id: &ClipId) -> bool {
        let Some(number) = self.numbers.get(clip_id).copied() else {
            return false;
        };
        self.wake_one(number);
        self.reading.hurry();
        self.fixing.hurry();
        true
    }

    /// The citizen has gone: everything may leave.
    pub fn session_closed(&mut self) {
        for clip_id in std::mem::take(&mut self.held) {
            self.waiting.extend(self.numbers.get(&clip_id));
        }
    }

    /// A connection stands. `max_packet` is the broker's Maximum Packet Size (MQTT 5 §3.2.2.3.6).
    pub fn connected(&mut self, max_packet: Option<u32>) {
        self.disconnected();
        self.connected = true;
        // A broker that refused may have other rules by now.
        self.offer_refused();
        // Topic, properties and fixed header of a part need less than 256 bytes.
        let room = max_packet.map_or(MAX_PART_BYTES, |max| {
            (max as usize).saturating_sub(256).max(64)
        });
        self.room = room.min(MAX_PART_BYTES) as u64;
        // A broker that refused large parts may take larger ones by now: parts twice as large are tried, so that a
        // connection costs one refusal at most.
        let learned = self
            .learned
            .map_or(self.room, |size| size.saturating_mul(2));
        self.max_part = self.room.min(learned);
    }

    /// The connection is gone, and with it everything that had no PUBACK.
    pub fn disconnected(&mut self) {
        self.connected = false;
        self.start_over();
    }

    /// Every clip under way begins again with its manifest.
    fn start_over(&mut self) {
        self.tokens.clear();
        for number in std::mem::take(&mut self.active) {
            if let Some(item) = self.items.get_mut(&number) {
                item.active = None;
                self.waiting.insert(number);
            }
        }
    }

    /// The hub announced itself, or it was announced that the hub is away.
    pub fn hub_online(&mut self, online: bool) {
        if online {
            // If nobody subscribed before, the hub does now.
            self.paused_until = None;
        }
        if online && !self.hub_online {
            // A hub that was away has forgotten which parts it was waiting for.
            self.start_over();
        }
        self.hub_online = online;
    }

    /// Whether the hub is there.
    pub fn is_hub_online(&self) -> bool {
        self.hub_online
    }

    /// How many clips are not confirmed.
    pub fn unsent(&self) -> usize {
        self.items.len() - self.withdrawals
    }

    /// How many withdrawals are not confirmed.
    pub fn unsent_withdrawals(&self) -> usize {
        self.withdrawals
    }

    /// Age of the oldest unconfirmed clip.
    pub fn oldest_unsent(&self, now: Mono) -> Option<Duration> {
        let mut clips = self.items.values().filter(|item| !item.offer.is_withdrawal);
        let kept_at_ms = clips.next()?.offer.kept_at_ms;
        let age = i64::try_from(now.0)
            .unwrap_or(i64::MAX)
            .saturating_sub(kept_at_ms);
        Some(Duration::from_millis(u64::try_from(age).unwrap_or(0)))
    }

    /// Figures for health.
    pub fn figures(&self) -> DeliveryFigures {
        self.figures
    }

    /// When, after now, [`Delivery::next`] and [`Delivery::to_fix`] should be asked again although nothing happened.
    pub fn deadline(&self, now: Mono) -> Option<Mono> {
        // A machine that may not send waits for no time: what opens it again is an event, and the caller passes every event
        // on.
        if !self.is_open() {
            return None;
        }
        let answers = self
            .active
            .iter()
            .filter_map(|number| self.items.get(number)?.active.as_ref())
            .filter_map(|active| Some(active.asked? + active.wait));
        let later = self.resting.range((now, u64::MAX)..).next();
        let retries = [&self.busy_retry, &self.reading].map(Retry::due);
        let fixing = (!self.unfixed().is_empty()).then(|| self.fixing.due());
        answers
            .chain(later.map(|(until, _)| *until))
            .chain(retries)
            .chain(fixing)
            .chain(self.paused_until)
            .chain(self.pace.due())
            // What was due earlier waits for an event instead: a place in a window, or the end of a pause.
            .filter(|at| *at > now)
            .min()
    }

    /// Whether the message with this token is still to be sent or answered: not after its clip was given up, and not after the
    /// connection was lost.
    pub fn awaits(&self, token: u64) -> bool {
        self.tokens.contains_key(&token)
    }

    /// Notes how long the message with this token is, for sentences that people read.
    pub fn sized(&mut self, token: u64, bytes: usize) {
        if let Some(sent) = self.tokens.get_mut(&token) {
            sent.bytes = Some(bytes);
        }
    }

    /// A clip or part cannot be read from the card now. It may be readable later: the clip is tried again after a pause that
    /// grows, and nothing at all is read for a short while.
    pub fn unreadable(&mut self, now: Mono, token: u64, why: &str) {
        let Some(Sent { number, .. }) = self.tokens.remove(&token) else {
            return;
        };
        self.reading.failed(now);
        let Some(item) = self.items.get_mut(&number) else {
            return;
        };
        item.trouble = Some(why.to_owned());
        let until = item.card.failed(now);
        self.put_back(number, until);
    }

    /// Stops offering a clip until then.
    fn put_back(&mut self, number: u64, until: Mono) {
        self.active.retain(|active| *active != number);
        self.tokens.retain(|_, sent| sent.number != number);
        if let Some(item) = self.items.get_mut(&number) {
            item.active = None;
            self.rest(number, until);
        }
    }

    /// A clip that cannot be read any more is offered no more.
    pub fn give_up(&mut self, clip_id: &ClipId) {
        if let Some(number) = self.numbers.get(clip_id).copied() {
            self.forget(number);
        }
    }

    /// Lets a clip go, with the receipt that permits its deletion.
    fn settle(&mut self, now: Mono, number: u64, verdict: fn(Receipt) -> Verdict) -> Vec<Verdict> {
        let Some(item) = self.forget(number) else {
            return Vec::new();
        };
        // A clip got through.
        self.busy_retry.worked();
        if let Some(busy) = &mut self.busy {
            busy.since = now;
        }
        vec![verdict(Receipt {
            clip_id: item.offer.clip_id,
            sha256: item.offer.sha256,
        })]
    }

    fn forget(&mut self, number: u64) -> Option<Item> {
        let item = self.items.remove(&number)?;
        self.numbers.remove(&item.offer.clip_id);
        self.withdrawals -= usize::from(item.offer.is_withdrawal);
        self.held.remove(&item.offer.clip_id);
        self.refused.remove(&number);
        self.waiting.remove(&number);
        if let Some(until) = item.rests_until {
            self.resting.remove(&(until, number));
        }
        self.active.retain(|active| *active != number);
        self.tokens.retain(|_, sent| sent.number != number);
        Some(item)
    }

    /// The hub answered. This is outside input: nothing in it is believed before it fits a clip.
    pub fn ack(&mut self, now: Mono, ack: &Ack) -> Vec<Verdict> {
        let odd = |why: &str| {
            vec![Verdict::Odd(format!(
                "an ack for clip {}: {why}",
                ack.clip_id
            ))]
        };
        let Some(number) = self.numbers.get(&ack.clip_id).copied() else {
            if ack.status == AckStatus::Discard
                && let Some(sha256) = self.aside.get(&ack.clip_id)
                && ack.sha256.as_ref() == Some(sha256)
            {
                let receipt = Receipt {
                    clip_id: ack.clip_id.clone(),
                    sha256: sha256.clone(),
                };
                self.aside.remove(&ack.clip_id);
                return vec![Verdict::Delete(receipt)];
            }
            // A clip that was released a moment ago is often answered twice.
            return odd("no such clip here");
        };
        let Some(item) = self.items.get_mut(&number) else {
            return Vec::new();
        };
        // A void number has no body and no hash; no other clip's hash is empty.
        let same_body = item.offer.sha256 == ack.sha256.as_deref().unwrap_or_default();
        if item.offer.is_withdrawal && !(ack.status == AckStatus::Stored && same_body) {
            // Nothing else lets go of a withdrawal, whatever the hub makes of it.
            self.put_back(number, now + WITHDRAWAL_RETRY);
            return odd(
                "it is a withdrawal, which only `stored` with its hash ends; it is sent again in an hour",
            );
        }
        match ack.status {
            AckStatus::Stored if same_body => self.settle(now, number, Verdict::Release),
            AckStatus::Discard if same_body => self.settle(now, number, Verdict::Delete),
            AckStatus::Stored | AckStatus::Discard => odd("it names another body; the clip stays"),
            AckStatus::Reject => {
                let reason = ack
                    .reason
                    .clone()
                    .unwrap_or_else(|| "no reason given".into());
                let reason: String = reason.chars().take(200).collect();
                self.sent_aside(&ack.clip_id);
                vec![Verdict::Quarantine {
                    clip_id: ack.clip_id.clone(),
                    reason,
                }]
            }
            AckStatus::Partial => {
                let ranges = believable(&ack.missing, item.offer.bytes);
                let Some(active) = item.active.as_mut() else {
                    return Vec::new();
                };
                active.unanswered = 0;
                active.wait = FIRST_WAIT;
                // While parts are on their way already, the answer is out of date.
                if active.ranges.is_empty() && !active.manifest_due && !ranges.is_empty() {
                    active.ranges = ranges;
                    active.manifest_after = true;
                    active.resending = true;
                    active.asked = None;
                }
                Vec::new()
            }
        }
    }
}

/// The ranges that lie inside the body, in order and without overlap.
fn believable(missing: &[ByteRange], bytes: u64) -> VecDeque<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = missing
        .iter()
        .take(MAX_RANGES)
        .map(|ByteRange(from, to)| (*from, (*to).min(bytes)))
        .filter(|(from, to)| from < to)
        .collect();
    ranges.sort_unstable();
    let mut merged: VecDeque<(u64, u64)> = VecDeque::new();
    for (from, to) in ranges {
        match merged.back_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push_back((from, to)),
        }
    }
    merged
}

#[cfg(test)]
mod tests;
