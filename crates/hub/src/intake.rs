//! Messages that came from the broker and have not gone to the store yet: a queue for each sender, served in turns.
//!
//! Owns: whose message is next, which messages are refused because their sender's budget ([`super::budget`]) is used up, and which
//! senders are reported for it. Pure: time is an input. Never does: acknowledge or store anything.
//!
//! A sender at line rate costs the others nothing: messages within its budget go to the store in turns with theirs, at a pace;
//! messages beyond it are dropped here, before anything is looked up. Each queue has a limit, and so has their sum; when the sum is
//! reached ([`Intake::is_full`]) the link stops reading, and the broker has to wait.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::budget::{Account, Asks, Kind, Named, Spent};
use super::store::Message;
use booth_contract::time::Mono;
use booth_contract::{AlertId, COMMANDS, EVENT_KINDS, MAX_JSON_BYTES, Topics, reading};

/// The most that one sender may have waiting. A booth has 8 clips or 4 MiB under way (contract §3.4), and its messages about
/// itself.
const OWN: Room = Room {
    messages: 640,
    bytes: 5 << 20,
};
/// The same for a sender that was refused something within [`QUIET`], while the intake is more than half full.
const TOLD_OF: Room = Room {
    messages: 64,
    bytes: 256 << 10,
};
/// The most that may wait in all.
const ALL: Room = Room {
    messages: 8_192,
    bytes: 64 << 20,
};
/// Senders that have an account of their own; those beyond this number share one.
pub const MOST_SENDERS: usize = 20_000;
/// So many messages refused to one sender within a second make a flood; each 4 KiB of a message count as another message. Beyond
/// that no other sender can be heard, because the broker's queue for the hub is full.
const FLOOD: usize = 2_000;
const FLOOD_SPAN: Duration = Duration::from_secs(1);
/// A sender that has kept within its budget for this long is no longer reported.
pub const QUIET: Duration = Duration::from_secs(24 * 3600);
/// Most senders that are reported at a time.
const MOST_TOLD: usize = 32;
/// How often the same sender is reported.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// How often accounts that are no longer needed are removed.
const TIDY_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
struct Room {
    messages: usize,
    bytes: usize,
}

/// A message as it came.
#[derive(Debug, Clone, Copy)]
pub struct Came<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its payload.
    pub payload: &'a [u8],
    /// Whether it is a message that the broker had retained.
    pub retained: bool,
    /// What is left of its expiry, in seconds.
    pub expiry_s: Option<u32>,
    /// QoS 0: its sender was promised nothing.
    pub is_unpromised: bool,
}

/// One sender that sent more than its budget, for a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Over {
    /// Its name, by its topics.
    pub sender: String,
    /// How many of its messages were refused since the last report.
    pub times: u64,
    /// What it sent too much of, as part of a sentence.
    pub why: String,
}

/// What the intake reports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tell {
    /// Senders beyond their budgets.
    pub over: Vec<Over>,
    /// Messages of QoS 0 that were dropped since the last report because too much was waiting.
    pub dropped: u64,
}

#[derive(Debug)]
struct Sender {
    account: Account,
    waiting: VecDeque<(Kind, Message)>,
    bytes: usize,
    /// It stands in one of the intake's two lists, `turns` or `held`.
    is_listed: bool,
    /// How many messages were refused since the last report; below, the last reason and when, and when the last report was.
    refused: u64,
    spent: Option<(Spent, Mono)>,
    told_at: Option<Mono>,
    /// Since when, and how much was refused in that second, to be compared with [`FLOOD`].
    flood: (Mono, usize),
}

impl Sender {
    fn new(now: Mono) -> Self {
        Self {
            account: Account::new(now),
            waiting: VecDeque::new(),
            bytes: 0,
            is_listed: false,
            refused: 0,
            spent: None,
            told_at: None,
            flood: (now, 0),
        }
    }

    fn is_told_of(&self, now: Mono) -> bool {
        self.spent.is_some_and(|(_, at)| now.since(at) < QUIET)
    }

    /// Counts a refused message; answers whether the sender begins to flood the hub with it.
    fn refuse(&mut self, now: Mono, spent: Spent, bytes: usize) -> bool {
        self.refused += 1;
        let (since, refused) = &mut self.flood;
        if now.since(*since) >= FLOOD_SPAN {
            (*since, *refused) = (now, 0);
        }
        let before = *refused;
        *refused += 1 + bytes / 4096;
        let is_flood = *refused >= FLOOD;
        self.spent = Some((if is_flood { Spent::Flood } else { spent }, now));
        before < FLOOD && is_flood
    }

    fn has_room(&self, room: Room, bytes: usize) -> bool {
        self.waiting.len() < room.messages && self.bytes + bytes <= room.bytes
    }
}

/// See the module's comment.
#[derive(Debug)]
pub struct Intake {
    topics: Topics,
    senders: HashMap<Arc<str>, Sender>,
    /// Senders whose next message may go, in turns.
    turns: VecDeque<Arc<str>>,
    /// Senders whose next message has to wait for their pace.
    held: Vec<Arc<str>>,
    messages: usize,
    bytes: usize,
    dropped: u64,
    tidied_at: Mono,
    /// Senders that have begun to flood the hub.
    floods: BTreeSet<Arc<str>>,
    /// The store's disk is short of room: senders that have used much of it get no more.
    is_tight: bool,
}

impl Intake {
    /// An empty intake.
    pub fn new(topics: Topics) -> Self {
        Self {
            topics,
            senders: HashMap::new(),
            turns: VecDeque::new(),
            held: Vec::new(),
            messages: 0,
            bytes: 0,
            dropped: 0,
            tidied_at: Mono(0),
            floods: BTreeSet::new(),
            is_tight: false,
        }
    }

    /// Takes a message in; answers whether it had a place. A message without a place is forgotten.
    pub fn push(&mut self, now: Mono, came: Came<'_>) -> bool {
        let (sender, levels) = self.topics.came_up(came.topic).unwrap_or_default();
        let key = match self.senders.get_key_value(sender) {
            Some((key, _)) => Arc::clone(key),
            None if self.senders.len() < MOST_SENDERS => Arc::from(sender),
            None => Arc::from(""),
        };
        let is_half_full = self.messages > ALL.messages / 2 || self.bytes > ALL.bytes / 2;
        let sender = self
            .senders
            .entry(Arc::clone(&key))
            .or_insert_with(|| Sender::new(now));
        let room = match is_half_full && sender.is_told_of(now) {
            true => TOLD_OF,
            false => OWN,
        };
        let bytes = came.topic.len() + came.payload.len();
        if !sender.has_room(room, bytes) {
            if sender.refuse(now, Spent::Waiting, bytes) {
                self.floods.insert(key);
            }
            return false;
        }
        // Where much waits for the store, messages of QoS 0 are dropped first, because nothing was promised for them.
        if came.is_unpromised && is_half_full {
            self.dropped += 1;
            return false;
        }
        let (kind, name) = read(levels, came.payload);
        let asks = Asks {
            kind,
            bytes: bytes as u64,
            name: name.as_ref().map(Name::parts),
            is_tight: self.is_tight,
        };
        if let Err(spent) = sender.account.admit(now, asks) {
            if sender.refuse(now, spent, bytes) {
                self.floods.insert(key);
            }
            return false;
        }
        let message = Message {
            topic: came.topic.to_owned(),
            payload: came.payload.to_vec(),
            retained: came.retained,
            expiry_s: came.expiry_s,
        };
        sender.waiting.push_back((kind, message));
        sender.bytes += bytes;
        self.messages += 1;
        self.bytes += bytes;
        if !std::mem::replace(&mut sender.is_listed, true) {
            self.turns.push_back(key);
        }
        true
    }

    /// The next message for the store.
    pub fn pop(&mut self, now: Mono) -> Option<Message> {
        while let Some(key) = self.turns.pop_front() {
            let Some(sender) = self.senders.get_mut(&key) else {
                continue;
            };
            let Some((kind, message)) = sender.waiting.front() else {
                sender.is_listed = false;
                continue;
            };
            if !sender.account.go(now, *kind, message.payload.len()) {
                self.held.push(key);
                continue;
            }
            let Some((_, message)) = sender.waiting.pop_front() else {
                continue;
            };
            let bytes = message.topic.len() + message.payload.len();
            sender.bytes -= bytes;
            self.messages -= 1;
            self.bytes -= bytes;
            match sender.waiting.is_empty() {
                true => sender.is_listed = false,
                false => self.turns.push_back(key),
            }
            return Some(message);
        }
        None
    }

    /// About once a second: senders that waited for their pace get their turn again. Answers what is to be reported.
    pub fn tick(&mut self, now: Mono) -> Tell {
        self.turns.extend(self.held.drain(..));
        let mut tell = Tell {
            over: Vec::new(),
            dropped: std::mem::take(&mut self.dropped),
        };
        for (name, sender) in &mut self.senders {
            let is_due = sender
                .told_at
                .is_none_or(|told_at| now.since(told_at) >= TOLD_EVERY);
            if let (1.., true, Some((spent, _))) = (sender.refused, is_due, sender.spent)
                && tell.over.len() < MOST_TOLD
            {
                tell.over.push(Over {
                    sender: name.to_string(),
                    times: std::mem::take(&mut sender.refused),
                    why: spent.what(),
                });
                sender.told_at = Some(now);
            }
        }
        if now.since(self.tidied_at) >= TIDY_EVERY {
            self.tidied_at = now;
            self.senders.retain(|_, sender| {
                sender.is_listed || sender.is_told_of(now) || !sender.account.is_untouched(now)
            });
        }
        tell
    }

    /// Whether [`Self::floods`] would name anybody.
    pub fn has_floods(&self) -> bool {
        !self.floods.is_empty()
    }

    /// Senders that have begun to flood the hub since the last call.
    pub fn floods(&mut self) -> BTreeSet<Arc<str>> {
        std::mem::take(&mut self.floods)
    }

    /// Notes whether the store's disk is short of room.
    pub fn note_room(&mut self, is_tight: bool) {
        self.is_tight = is_tight;
    }

    /// How many messages wait.
    pub fn waiting(&self) -> usize {
        self.messages
    }

    /// Whether so much waits that nothing more should be read.
    pub fn is_full(&self) -> bool {
        self.messages >= ALL.messages || self.bytes >= ALL.bytes
    }

    /// Whether so little waits that reading may go on after [`Self::is_full`].
    pub fn has_drained(&self) -> bool {
        self.messages <= ALL.messages / 2 && self.bytes <= ALL.bytes / 2
    }

    /// Whether no message waits that may go to the store now.
    pub fn is_done(&self) -> bool {
        self.turns.is_empty()
    }
}

enum Name {
    Question(String),
    Level(String),
}

impl Name {
    fn parts(&self) -> (Named, &str) {
        match self {
            Self::Question(name) => (Named::Question, name),
            Self::Level(name) => (Named::Level, name),
        }
    }
}

/// The kind of a message, by the topic's levels after its sender, and the name that it introduces if that is not a name of the
/// contract.
fn read(levels: &str, payload: &[u8]) -> (Kind, Option<Name>) {
    match levels.split_once('/') {
        Some(("part", _)) => (Kind::Part, None),
        Some(("clip", _)) => (Kind::Manifest, question(payload).map(Name::Question)),
        // It becomes a file until it is worked off.
        Some(("withdraw", _)) => (Kind::Manifest, None),
        Some(("alert", id)) if AlertId::parse(id).is_some() => (Kind::Vital, None),
        Some(("event", kind)) if EVENT_KINDS.contains(&kind) => (Kind::Word, None),
        Some(("reply", command)) if COMMANDS.contains(&command) => (Kind::Word, None),
        Some((_, level)) => (Kind::Word, Some(Name::Level(level.to_owned()))),
        None if matches!(levels, "state" | "birth" | "health") => (Kind::Vital, None),
        None => (Kind::Word, None),
    }
}

/// The question of a manifest, if it has one; a manifest that cannot be read is for the store to judge.
fn question(payload: &[u8]) -> Option<String> {
    if payload.len() > MAX_JSON_BYTES {
        return None;
    }
    let fields = reading::fields(payload).ok()?;
    fields.get("question_id")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intake() -> Intake {
        Intake::new(Topics::new("booth/1"))
    }

    fn came<'a>(topic: &'a str, payload: &'a [u8]) -> Came<'a> {
        Came {
            topic,
            payload,
            retained: false,
            expiry_s: None,
            is_unpromised: false,
        }
    }

    fn drain(intake: &mut Intake, now: Mono) -> Vec<String> {
        std::iter::from_fn(|| intake.pop(now))
            .map(|message| message.topic)
            .collect()
    }

    #[test]
    fn a_flood_leaves_every_other_sender_its_turn() {
        let mut intake = intake();
        let now = Mono(0);
        let flood = (0..100_000)
            .filter(|nth| {
                intake.push(
                    now,
                    came("booth/1/up/loud/state", format!("{nth}").as_bytes()),
                )
            })
            .count();
        assert_eq!(flood, OWN.messages, "the rest was refused");
        for nth in 0..3 {
            assert!(intake.push(
                now,
                came(&format!("booth/1/up/calm/part/x/{nth}"), b"words")
            ));
        }
        let order = drain(&mut intake, now);
        let places: Vec<usize> = (0..order.len())
            .filter(|at| order[*at].contains("calm"))
            .collect();
        assert_eq!(places, [1, 3, 5], "in turns, and each sender's in order");
        let Tell { over, dropped } = intake.tick(now);
        assert_eq!((over.len(), dropped), (1, 0));
        assert_eq!(
            (over[0].sender.as_str(), over[0].times),
            ("loud", 100_000 - 640)
        );
    }

    #[test]
    fn whoever_has_used_the_pace_up_waits_for_the_next_second_and_holds_nobody_up() {
        let mut intake = intake();
        let mut now = Mono(0);
        let mut stored = 0;
        for _ in 0..100 {
            for nth in 0..500 {
                intake.push(
                    now,
                    came("booth/1/up/loud/state", format!("{nth}").as_bytes()),
                );
            }
            assert!(intake.push(now, came("booth/1/up/calm/state", b"{}")));
            let order = drain(&mut intake, now);
            assert_eq!(
                order.iter().filter(|topic| topic.contains("calm")).count(),
                1
            );
            stored += order.len() - 1;
            assert!(intake.is_done());
            now.0 += 1_000;
            intake.tick(now);
        }
        assert_eq!(stored, 1_000 + 40 * 99, "the burst, then the pace");
    }

    #[test]
    fn a_flood_is_told_apart_from_a_sender_who_goes_somewhat_too_far() {
        let mut intake = intake();
        let mut now = Mono(0);
        let send = |intake: &mut Intake, now, times: usize, payload: &[u8]| {
            for _ in 0..times {
                intake.push(now, came("booth/1/up/loud/state", payload));
            }
            intake.floods().len()
        };
        assert_eq!(send(&mut intake, now, OWN.messages, b"{}"), 0);
        for _ in 0..100 {
            assert_eq!(send(&mut intake, now, FLOOD - 1, b"{}"), 0, "too many");
            now.0 += 1_000;
        }
        assert_eq!(send(&mut intake, now, 10 * FLOOD, b"{}"), 1, "told once");
        now.0 += 1_000;
        assert_eq!(send(&mut intake, now, FLOOD / 10, &[0; 60_000]), 1, "large");
        assert_eq!(send(&mut intake, now, FLOOD, b"{}"), 0, "the same one");
    }

    #[test]
    fn what_waits_is_bounded_whoever_sends_and_however_many() {
        let mut intake = intake();
        let body = vec![0; 16_384];
        for nth in 0..200_000_u32 {
            let topic = format!("booth/1/up/booth-{}/part/x/{nth}", nth % 25_000);
            // As the link does: it stops reading.
            if !intake.is_full() {
                intake.push(Mono(0), came(&topic, &body));
            }
        }
        assert!(intake.is_full() && intake.bytes <= ALL.bytes + 17_000);
        let mut now = Mono(0);
        while !intake.has_drained() {
            assert!(intake.pop(now).is_some());
        }
        for nth in 0..30_000 {
            let topic = format!("booth/1/up/other-{nth}/state");
            intake.push(now, came(&topic, b"{}"));
            while intake.pop(now).is_some() {}
        }
        assert!(intake.senders.len() <= MOST_SENDERS + 1);
        intake.tick(now);
        now.0 += QUIET.as_millis() as u64 + 1;
        intake.tick(now);
        while intake.pop(now).is_some() {}
        now.0 += QUIET.as_millis() as u64 + 1;
        intake.tick(now);
        assert_eq!(
            intake.senders.len(),
            0,
            "who is quiet for a day is forgotten"
        );
    }

    #[test]
    fn nobodys_promised_message_is_lost_while_unpromised_ones_fill_the_intake() {
        let mut intake = intake();
        let body = vec![0; 60_000];
        let mut unpromised = 0;
        for nth in 0..1_000 {
            let topic = format!("booth/1/up/booth-{nth}/part/x/0");
            let one = Came {
                is_unpromised: true,
                ..came(&topic, &body)
            };
            unpromised += u64::from(intake.push(Mono(0), one));
        }
        assert!(unpromised < 1_000 && !intake.is_full());
        assert!(intake.push(Mono(0), came("booth/1/up/calm/part/x/0", &body)));
        let Tell { over, dropped } = intake.tick(Mono(0));
        assert_eq!((over.len(), dropped), (0, 1_000 - unpromised));
    }

    #[test]
    fn a_sender_beyond_its_budget_is_told_of_at_once_then_once_a_minute_until_it_has_been_quiet_for_a_day()
     {
        let mut intake = intake();
        let vote = |intake: &mut Intake, now, nth: usize| {
            let manifest = format!("{{\"question_id\":\"invented-{nth}\"}}");
            let taken = intake.push(now, came("booth/1/up/loud/clip/x", manifest.as_bytes()));
            while intake.pop(now).is_some() {}
            taken
        };
        let mut now = Mono(7);
        let mut told = 0;
        let mut taken = 0;
        for nth in 0..17_000 {
            taken += usize::from(vote(&mut intake, now, nth));
            if nth % 100 == 99 {
                now.0 += 1_000;
                let Tell { over, .. } = intake.tick(now);
                told += over.len();
                assert!(
                    over.iter()
                        .all(|over| over.why.contains("names of questions"))
                );
            }
        }
        assert_eq!((taken, told), (300, 3), "170 seconds");
        assert!(intake.senders["loud"].is_told_of(now));
        now.0 += QUIET.as_millis() as u64;
        assert!(!intake.senders["loud"].is_told_of(now));
        assert!(vote(&mut intake, now, 99_999));
    }

    #[test]
    fn one_who_was_told_of_cannot_fill_the_intake_for_the_others() {
        let mut intake = intake();
        let body = vec![0; 16_384];
        let flood = |intake: &mut Intake, now| {
            for loud in 0..64 {
                let topic = format!("booth/1/up/loud-{loud}/part/x/0");
                for _ in 0..400 {
                    if !intake.is_full() {
                        intake.push(now, came(&topic, &body));
                    }
                }
            }
        };
        let mut now = Mono(0);
        flood(&mut intake, now);
        assert!(intake.is_full());
        for _ in 0..60 {
            now.0 += 1_000;
            intake.tick(now);
            while intake.pop(now).is_some() {}
            flood(&mut intake, now);
        }
        let calm = "booth/1/up/calm/part/x/0";
        assert!(!intake.is_full() && intake.push(now, came(calm, &body)));
    }

    #[test]
    fn a_booths_own_alarms_are_heard_whatever_else_was_said_in_its_name() {
        let mut intake = intake();
        let mut now = Mono(0);
        let mut say = |tail: &str, payload: &[u8]| {
            let topic = format!("booth/1/up/loud/{tail}");
            let taken = intake.push(now, came(&topic, payload));
            while intake.pop(now).is_some() {}
            now.0 += 25;
            intake.tick(now);
            taken
        };
        let taken = |say: &mut dyn FnMut(&str, &[u8]) -> bool, kind: &str| {
            (0..400)
                .filter(|n| say(&format!("{kind}/{kind}-{n}"), b"{}"))
                .count()
        };
        assert_eq!(taken(&mut say, "event"), 300);
        assert_eq!(taken(&mut say, "alert"), 0);
        for known in ["event/case_opened", "event/card_cloned", "reply/ring"] {
            assert!(say(known, b"{}"), "{known}");
        }
        for id in AlertId::ALL {
            assert!(say(&format!("alert/{}", id.as_str()), b"{}"));
        }
        // The same when the bytes of its day are used up.
        let body = vec![b'x'; 16_000];
        while say("event/boot", &body) {}
        for vital in ["state", "birth", "health", "alert/power"] {
            assert!(say(vital, &body), "{vital}");
        }
        assert!(!say("event/boot", &body));
    }

    #[test]
    fn who_floods_is_named_once_however_long_nobody_asks() {
        let mut intake = intake();
        for second in 0..100 {
            for _ in 0..OWN.messages + FLOOD {
                intake.push(Mono(second * 1_000), came("booth/1/up/loud/state", b"{}"));
            }
        }
        assert_eq!(intake.floods().len(), 1);
        assert_eq!(intake.floods().len(), 0);
    }

    #[test]
    fn on_a_disk_that_is_short_of_room_whoever_has_sent_most_is_refused_first() {
        let mut intake = intake();
        let mut now = Mono(0);
        let body = [0; 16_384];
        let part =
            |sender: &str, nth: usize| format!("booth/1/up/{sender}/part/x/{}", nth * body.len());
        let most = (512 << 20) / body.len();
        for nth in 0..most {
            now.0 += 5;
            intake.tick(now);
            assert!(intake.push(now, came(&part("loud", nth), &body)));
            while intake.pop(now).is_some() {}
        }
        intake.note_room(true);
        assert!(!intake.push(now, came(&part("loud", most), &body)));
        assert!(intake.push(now, came("booth/1/up/loud/alert/power", b"{}")));
        assert!((0..100).all(|nth| intake.push(now, came(&part("calm", nth), &body))));
        let Tell { over, .. } = intake.tick(now);
        assert!(over[0].sender == "loud" && over[0].why.contains("short of room"));
        intake.note_room(false);
        assert!(intake.push(now, came(&part("loud", most), &body)));
    }
}
