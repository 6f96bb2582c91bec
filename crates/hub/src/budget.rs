//! What one sender may ask of the hub, in a second and in a day.
//!
//! Owns: the limits, and one sender's account. Pure: time is an input. Never does: queue, store or answer anything.
//!
//! The *pace* decides when a message may go to the store; a message that comes faster waits in its sender's own queue. The *day*
//! decides whether a message is taken at all. Both allow far more than a booth sends, even one that comes back with a full card: a
//! booth has at most 8 clips or 4 MiB under way (contract §3.4).

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use booth_contract::time::Mono;

/// How fast a bucket fills.
#[derive(Debug, Clone, Copy)]
struct Rule {
    /// The most that the bucket holds.
    most: u64,
    /// How much is added at a time; messages that waited for it then share a commit.
    gain: u64,
    /// How often that is added, in ms.
    every_ms: u64,
}

const SECOND_MS: u64 = 1000;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Messages other than parts: each may cost a row and its share of a commit. A booth sends some 60 when it connects, and one for
/// each clip.
const MESSAGES: Rule = Rule {
    most: 1_000,
    gain: 40,
    every_ms: SECOND_MS,
};
/// Bytes of parts; 4 MiB/s empty a card of 8 GB in 34 minutes.
const PART_BYTES: Rule = Rule {
    most: 64 << 20,
    gain: 4 << 20,
    every_ms: SECOND_MS,
};
/// A part counts as at least this many bytes, because even a small part costs a write.
const LEAST_PART_BYTES: u64 = 8 << 10;
/// Manifests in a day: each may become a row that stays for ever. A full card of 32 GB has some 160,000 clips.
const MANIFESTS: Rule = Rule {
    most: 240_000,
    gain: 10_000,
    every_ms: HOUR_MS,
};
/// Bytes in a day of messages other than parts, which may become rows. A booth sends some 5 MB, and 1 kB for each clip.
const ROW_BYTES: Rule = Rule {
    most: 240 << 20,
    gain: 10 << 20,
    every_ms: HOUR_MS,
};
/// Bytes of parts in a day: a full card of 32 GB at once, then three quarters of one each day.
const BODY_BYTES: Rule = Rule {
    most: 32 << 30,
    gain: 1 << 30,
    every_ms: HOUR_MS,
};
/// Disk space that a clip's three files (body, envelope, manifest) take besides the bytes of the body, because the last block of a
/// file is not full. It is charged with the clip's manifest.
const FILES_BYTES: u64 = 3 * (4 << 10);
/// This much of [`ROW_BYTES`] is reserved for what a booth must always be able to say: whether it is there, how it is, and the
/// table's alerts.
const KEPT_ROW_BYTES: u64 = 8 << 20;
/// How much of [`BODY_BYTES`] and [`ROW_BYTES`] one sender may use while the store's disk is short of room: enough for a booth's
/// day, not for a full card.
const TIGHT_BODY_BYTES: u64 = 512 << 20;
const TIGHT_ROW_BYTES: u64 = 16 << 20;
/// Names that a sender may introduce in a day: questions, alerts, kinds of events and replies. The table of alerts has some 30, a
/// campaign a handful of questions.
const MOST_NAMES: usize = 300;

/// What a message takes from its sender's budget of a day.
#[derive(Debug, Clone, Copy)]
pub struct Asks<'a> {
    /// What kind of message it is.
    pub kind: Kind,
    /// How many bytes it has.
    pub bytes: u64,
    /// The name that it introduces, if that is not one of the contract's own names.
    pub name: Option<(Named, &'a str)>,
    /// The store's disk is short of room.
    pub is_tight: bool,
}

/// What a message is; its price depends on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A piece of a clip's body.
    Part,
    /// A clip's manifest.
    Manifest,
    /// Whether a booth is there, how it is, and an alert of the table.
    Vital,
    /// Anything else.
    Word,
}

/// Which budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// Clips offered in a day.
    Manifests,
    /// Bytes in a day that may become rows.
    RowBytes,
    /// Bytes of bodies in a day.
    BodyBytes,
    /// Names invented in a day.
    Names,
    /// More than its share of a disk that is short of room.
    Tight,
    /// The sender has more messages waiting for the store than a booth may have under way.
    Waiting,
    /// The sender floods the hub: so much of it is refused that other senders can no longer be heard.
    Flood,
}

impl Spent {
    /// What the sender sent too much of, as part of a sentence.
    pub fn what(self) -> String {
        match self {
            Self::Manifests => format!("it offered more than {} clips in a day", MANIFESTS.most),
            Self::RowBytes => format!(
                "it said more than {} MiB in a day besides the clips themselves",
                ROW_BYTES.most >> 20
            ),
            Self::BodyBytes => format!(
                "it sent more than {} GiB of clips in a day",
                BODY_BYTES.most >> 30
            ),
            Self::Names => format!(
                "it gave more than {MOST_NAMES} names of questions, alerts and events in a day"
            ),
            Self::Tight => format!(
                "the disk is short of room, and it has sent more than {} MiB of clips or {} MiB besides in a day; make room",
                TIGHT_BODY_BYTES >> 20,
                TIGHT_ROW_BYTES >> 20
            ),
            Self::Waiting => {
                "it sends faster than any booth: more waited here than the contract lets a booth have under way".into()
            }
            Self::Flood => {
                "it floods the hub, which does not listen to it for one to ten minutes each time".into()
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: u64,
    filled_at: u64,
}

impl Bucket {
    fn new(rule: Rule, now: Mono) -> Self {
        Self {
            left: rule.most,
            filled_at: now.0,
        }
    }

    fn fill(&mut self, rule: Rule, now: Mono) {
        let times = now.0.saturating_sub(self.filled_at) / rule.every_ms;
        self.left = times
            .saturating_mul(rule.gain)
            .saturating_add(self.left)
            .min(rule.most);
        self.filled_at += times * rule.every_ms;
    }

    fn has(&mut self, rule: Rule, now: Mono, price: u64) -> bool {
        self.fill(rule, now);
        self.left >= price
    }

    fn taken(&mut self, rule: Rule, now: Mono) -> u64 {
        self.fill(rule, now);
        rule.most - self.left
    }

    fn pay(&mut self, price: u64) {
        self.left = self.left.saturating_sub(price);
    }

    fn is_full(&mut self, rule: Rule, now: Mono) -> bool {
        self.fill(rule, now);
        self.left == rule.most
    }
}

/// One sender's account.
#[derive(Debug)]
pub struct Account {
    messages: Bucket,
    part_bytes: Bucket,
    manifests: Bucket,
    row_bytes: Bucket,
    body_bytes: Bucket,
    /// Hashes of the names given since the day began.
    names: HashSet<u64>,
    names_since: Mono,
}

impl Account {
    /// The account of a sender that has not been heard yet.
    pub fn new(now: Mono) -> Self {
        Self {
            messages: Bucket::new(MESSAGES, now),
            part_bytes: Bucket::new(PART_BYTES, now),
            manifests: Bucket::new(MANIFESTS, now),
            row_bytes: Bucket::new(ROW_BYTES, now),
            body_bytes: Bucket::new(BODY_BYTES, now),
            names: HashSet::new(),
            names_since: now,
        }
    }

    /// Charges a message to the day's budget. A refused message costs nothing.
    ///
    /// # Errors
    /// Says which budget is used up.
    pub fn admit(&mut self, now: Mono, asks: Asks<'_>) -> Result<(), Spent> {
        let Asks {
            kind,
            bytes,
            name,
            is_tight,
        } = asks;
        let (bodies, rows) = match kind {
            Kind::Part => (bytes, 0),
            Kind::Manifest => (FILES_BYTES, bytes),
            Kind::Vital | Kind::Word => (0, bytes),
        };
        let kept = match kind {
            Kind::Vital => 0,
            Kind::Part | Kind::Manifest | Kind::Word => KEPT_ROW_BYTES,
        };
        if kind == Kind::Manifest && !self.manifests.has(MANIFESTS, now, 1) {
            return Err(Spent::Manifests);
        }
        if bodies > 0 && !self.body_bytes.has(BODY_BYTES, now, bodies) {
            return Err(Spent::BodyBytes);
        }
        if rows > 0 && !self.row_bytes.has(ROW_BYTES, now, rows + kept) {
            return Err(Spent::RowBytes);
        }
        if is_tight
            && kind != Kind::Vital
            && (self.body_bytes.taken(BODY_BYTES, now) + bodies > TIGHT_BODY_BYTES
                || self.row_bytes.taken(ROW_BYTES, now) + rows > TIGHT_ROW_BYTES)
        {
            return Err(Spent::Tight);
        }
        if let Some(name) = name {
            self.know(now, name)?;
        }
        if kind == Kind::Manifest {
            self.manifests.pay(1);
        }
        self.body_bytes.pay(bodies);
        self.row_bytes.pay(rows);
        Ok(())
    }

    fn know(&mut self, now: Mono, name: (Named, &str)) -> Result<(), Spent> {
        if now.0.saturating_sub(self.names_since.0) >= DAY_MS {
            self.names.clear();
            self.names_since = now;
        }
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let hash = hasher.finish();
        if self.names.contains(&hash) {
            return Ok(());
        }
        if self.names.len() >= MOST_NAMES {
            return Err(Spent::Names);
        }
        self.names.insert(hash);
        Ok(())
    }

    /// Charges a message to the pace; answers whether the message may go to the store now.
    pub fn go(&mut self, now: Mono, kind: Kind, bytes: usize) -> bool {
        let (bucket, rule, price) = match kind {
            Kind::Part => (
                &mut self.part_bytes,
                PART_BYTES,
                (bytes as u64).max(LEAST_PART_BYTES),
            ),
            Kind::Manifest | Kind::Vital | Kind::Word => (&mut self.messages, MESSAGES, 1),
        };
        let may = bucket.has(rule, now, price);
        if may {
            bucket.pay(price);
        }
        may
    }

    /// Whether a new account would be in the same state.
    pub fn is_untouched(&mut self, now: Mono) -> bool {
        let is_of_today =
            !self.names.is_empty() && now.0.saturating_sub(self.names_since.0) < DAY_MS;
        !is_of_today
            && self.messages.is_full(MESSAGES, now)
            && self.part_bytes.is_full(PART_BYTES, now)
            && self.manifests.is_full(MANIFESTS, now)
            && self.row_bytes.is_full(ROW_BYTES, now)
            && self.body_bytes.is_full(BODY_BYTES, now)
    }
}

/// Where a name stands in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Named {
    /// `question_id` of a manifest.
    Question,
    /// The level of the topic after its kind: an alert's id, an event's kind, a reply's command.
    Level,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = SECOND_MS;

    fn asks(kind: Kind, bytes: u64, name: Option<(Named, &str)>) -> Asks<'_> {
        Asks {
            kind,
            bytes,
            name,
            is_tight: false,
        }
    }

    fn taken(account: &mut Account, now: Mono, kind: Kind, bytes: usize) -> u64 {
        (0..1_000_000)
            .take_while(|_| account.go(now, kind, bytes))
            .count() as u64
    }

    #[test]
    fn a_booth_that_comes_back_with_a_full_card_is_never_refused_and_drains_it_within_hours() {
        let mut account = Account::new(Mono(0));
        // 30 GB in clips of 180 kB, 8 at a time, each 11 parts and a manifest.
        let (mut now, mut left) = (Mono(0), 160_000_u64);
        while left > 0 {
            for _ in 0..8.min(left) {
                let asked = Some((Named::Question, "square"));
                account
                    .admit(now, asks(Kind::Manifest, 1_000, asked))
                    .expect("taken");
                while !account.go(now, Kind::Manifest, 1_000) {
                    now.0 += SECOND;
                }
                for _ in 0..11 {
                    account
                        .admit(now, asks(Kind::Part, 16_384, None))
                        .expect("taken");
                    while !account.go(now, Kind::Part, 16_384) {
                        now.0 += SECOND;
                    }
                }
                left -= 1;
            }
        }
        assert!(now.0 < 3 * HOUR_MS, "{} s", now.0 / SECOND);
    }

    #[test]
    fn whoever_is_faster_than_the_pace_waits_and_comes_in_once_a_second() {
        let mut account = Account::new(Mono(5));
        assert_eq!(taken(&mut account, Mono(5), Kind::Word, 10), MESSAGES.most);
        assert_eq!(taken(&mut account, Mono(5 + 999), Kind::Manifest, 10), 0);
        let later = Mono(5 + SECOND);
        assert_eq!(taken(&mut account, later, Kind::Word, 10), MESSAGES.gain);
        let long_after = Mono(5 + 3_600 * SECOND);
        assert_eq!(
            taken(&mut account, long_after, Kind::Word, 10),
            MESSAGES.most
        );
        // Small parts cost as much as larger ones.
        let parts = taken(&mut account, long_after, Kind::Part, 1);
        assert_eq!(parts, PART_BYTES.most / LEAST_PART_BYTES);
    }

    #[test]
    fn each_budget_of_a_day_is_used_up_by_its_own_kind_and_comes_back() {
        type Ask = fn(&mut Account, Mono, u64) -> Result<(), Spent>;
        let asks: [(Spent, Ask); 4] = [
            (Spent::Manifests, |account, now, _| {
                account.admit(now, asks(Kind::Manifest, 1, None))
            }),
            (Spent::RowBytes, |account, now, _| {
                account.admit(now, asks(Kind::Word, 16_384, None))
            }),
            (Spent::BodyBytes, |account, now, _| {
                account.admit(now, asks(Kind::Part, 60_000, None))
            }),
            (Spent::Names, |account, now, nth| {
                let name = nth.to_string();
                account.admit(now, asks(Kind::Word, 1, Some((Named::Level, &name))))
            }),
        ];
        for (spent, ask) in asks {
            let mut account = Account::new(Mono(0));
            let refused = (0..10_000_000).find_map(|nth| ask(&mut account, Mono(0), nth).err());
            assert_eq!(refused, Some(spent));
            assert_eq!(ask(&mut account, Mono(DAY_MS), 77_777_777), Ok(()));
        }
    }

    #[test]
    fn a_name_that_is_known_costs_nothing_however_often_it_is_given() {
        let mut account = Account::new(Mono(0));
        for nth in 0..10 * MOST_NAMES {
            let name = (nth % MOST_NAMES).to_string();
            assert_eq!(
                account.admit(Mono(0), asks(Kind::Word, 1, Some((Named::Level, &name)))),
                Ok(())
            );
        }
        let one_more = account.admit(Mono(0), asks(Kind::Word, 1, Some((Named::Question, "0"))));
        assert_eq!(one_more, Err(Spent::Names), "a question is no alert");
    }

    #[test]
    fn after_a_quiet_day_an_account_is_as_new() {
        let mut account = Account::new(Mono(0));
        assert!(account.is_untouched(Mono(0)));
        account
            .admit(
                Mono(0),
                asks(Kind::Manifest, 900, Some((Named::Question, "q"))),
            )
            .expect("taken");
        assert!(account.go(Mono(0), Kind::Manifest, 900));
        assert!(
            !account.is_untouched(Mono(HOUR_MS)),
            "its names are of today"
        );
        assert!(account.is_untouched(Mono(DAY_MS)));
    }

    #[test]
    fn a_clip_of_one_byte_costs_a_day_what_its_three_files_take_of_the_disk() {
        let mut account = Account::new(Mono(0));
        let before = account.body_bytes.left;
        account
            .admit(Mono(0), asks(Kind::Manifest, 900, None))
            .expect("taken");
        account
            .admit(Mono(0), asks(Kind::Part, 1, None))
            .expect("taken");
        assert_eq!(before - account.body_bytes.left, 3 * 4096 + 1);
    }
}
