//! How the booths of a fleet stand, worst first: one judgement for the hub's pages and for `booth-gateway fleet`.
//!
//! Owns: what makes a booth silent, ready, or in want of a visit, the orders in which a fleet is shown, and the sentence above it. Never
//! does: find out what a booth said, or when; whoever asks has that ([`Seen`]).

use std::cmp::{Ordering, Reverse};

use super::{AlertId, Birth, Health, Presence, Severity};

/// The interval of a booth that never said its own, seconds.
pub const DEFAULT_INTERVAL_S: u64 = 60;
/// Health that is older than so many intervals says nothing about the present.
const STALE_AFTER: u64 = 3;

/// How often a booth promises to send health, in seconds: as its last health says, else as its birth does.
pub fn interval_s(health: Option<&Health>, birth: Option<&Birth>) -> u64 {
    let said = health.and_then(|health| whole(health, "health_interval_s"));
    said.or(birth.map(|birth| birth.health_interval_s))
        .filter(|seconds| (1..=86_400).contains(seconds))
        .unwrap_or(DEFAULT_INTERVAL_S)
}

/// Whether health of this age says nothing about the present; without an age nobody knows.
pub fn is_stale(age_s: Option<u64>, interval_s: u64) -> bool {
    age_s.is_none_or(|age| age > STALE_AFTER * interval_s)
}

/// A value of a health that is a count.
pub fn whole(health: &Health, name: &str) -> Option<u64> {
    let value = health.get(name)?;
    (0.0..9.0e15).contains(&value).then_some(value as u64)
}

/// What a booth is, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It says that nobody can speak there now.
    CannotSpeak,
    /// It was heard once, and what it said is of the past.
    Silent,
    /// It is expected, and nothing was ever heard of it.
    NeverHeard,
    /// Citizens can speak, and somebody has to go there.
    NeedsVisit,
    /// Citizens can speak, and something is worth watching.
    Watch,
    /// Nothing is raised.
    Fine,
}

impl Standing {
    /// All, worst first.
    pub const ALL: [Self; 6] = [
        Self::CannotSpeak,
        Self::Silent,
        Self::NeverHeard,
        Self::NeedsVisit,
        Self::Watch,
        Self::Fine,
    ];

    /// Its name in an address and in a table for machines.
    pub fn key(self) -> &'static str {
        match self {
            Self::CannotSpeak => "cannot",
            Self::Silent => "silent",
            Self::NeverHeard => "never-heard",
            Self::NeedsVisit => "visit",
            Self::Watch => "watch",
            Self::Fine => "fine",
        }
    }

    /// Its name for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::CannotSpeak => "cannot take messages",
            Self::Silent => "silent",
            Self::NeverHeard => "never heard",
            Self::NeedsVisit => "needs a visit",
            Self::Watch => "to be watched",
            Self::Fine => "fine",
        }
    }

    /// Whether citizens can speak there now.
    pub fn takes_messages(self) -> bool {
        matches!(self, Self::NeedsVisit | Self::Watch | Self::Fine)
    }
}

/// The orders in which a fleet is shown: the name in an address, and the one for people.
pub const SORTS: [(&str, &str); 7] = [
    ("worst", "the worst first"),
    ("unsent", "the oldest unsent message first"),
    ("health", "the oldest health first"),
    ("hot", "the hottest first"),
    ("card", "the fullest card first"),
    ("version", "by software"),
    ("name", "by name"),
];

/// One booth as somebody at the centre sees it.
pub trait Seen {
    /// Its id.
    fn booth_id(&self) -> &str;
    /// Its name; empty where nobody gave one.
    fn name(&self) -> &str;
    /// Where it stands; empty where nobody said so.
    fn place(&self) -> &str;
    /// Whether anything was ever heard from it.
    fn is_heard(&self) -> bool;
    /// Its retained state.
    fn presence(&self) -> Option<Presence>;
    /// Health's `ready`.
    fn ready(&self) -> Option<bool>;
    /// Whether its last health says nothing about the present ([`is_stale`]).
    fn is_stale(&self) -> bool;
    /// Whether two machines claim its id.
    fn has_two_machines(&self) -> bool;
    /// The ids of its alerts that are raised and how bad each is, worst first.
    fn raised(&self) -> impl Iterator<Item = (&str, Severity)>;
    /// Age of its last health, seconds.
    fn health_age_s(&self) -> Option<u64>;
    /// Age of its oldest message that is not confirmed, as of its last health, seconds.
    fn oldest_unsent_s(&self) -> Option<u64>;
    /// Its program's version.
    fn sw_version(&self) -> Option<&str>;
    /// A value of its last health.
    fn value(&self, name: &str) -> Option<f64>;

    /// Its name, or its id where it has none.
    fn called(&self) -> &str {
        match self.name() {
            "" => self.booth_id(),
            name => name,
        }
    }

    /// How it stands.
    fn standing(&self) -> Standing {
        if !self.is_heard() {
            return Standing::NeverHeard;
        }
        // A stale health, or the health of a booth that is gone, says nothing about the present.
        if self.is_stale() || !matches!(self.presence(), Some(Presence::Online)) {
            return Standing::Silent;
        }
        if self.ready() == Some(false) {
            return Standing::CannotSpeak;
        }
        match self.raised().map(|(_, severity)| severity).min() {
            Some(Severity::CitizenCannotSpeak | Severity::NeedsVisit) => Standing::NeedsVisit,
            Some(Severity::Watch) => Standing::Watch,
            None if self.has_two_machines() => Standing::NeedsVisit,
            None if self.ready().is_none() => Standing::Silent,
            None => Standing::Fine,
        }
    }

    /// Whether its id, name or place has this text in it, which is in small letters.
    fn has(&self, text: &str) -> bool {
        text.is_empty()
            || [self.booth_id(), self.name(), self.place()]
                .iter()
                .any(|own| own.to_lowercase().contains(text))
    }
}

/// Which of two booths comes first in the order at this place of [`SORTS`].
pub fn order<B: Seen>(sort: usize, a: &B, b: &B) -> Ordering {
    let worst = |booth: &B| (booth.standing(), Reverse(booth.oldest_unsent_s()));
    let most = |value: &str| {
        let of = |booth: &B| booth.value(value).unwrap_or(f64::MIN);
        of(b).total_cmp(&of(a))
    };
    // A booth that never said health comes first.
    let age = |booth: &B| Reverse(booth.health_age_s().unwrap_or(u64::MAX));
    let first = match SORTS.get(sort).map_or("", |(key, _)| *key) {
        "unsent" => b.oldest_unsent_s().cmp(&a.oldest_unsent_s()),
        "health" => age(a).cmp(&age(b)),
        "hot" => most("cpu_temp_c"),
        "card" => most("data_used_pct"),
        "version" => a.sw_version().cmp(&b.sw_version()),
        "name" => a.called().cmp(b.called()),
        _ => worst(a).cmp(&worst(b)),
    };
    first.then_with(|| a.booth_id().cmp(b.booth_id()))
}

/// The fleet in one sentence.
pub fn sentence<B: Seen>(booths: &[B]) -> String {
    if booths.is_empty() {
        return "No booth is expected and none has been heard.".into();
    }
    let standings: Vec<(Standing, &B)> = booths.iter().map(|b| (b.standing(), b)).collect();
    let of = |wanted: Standing| {
        let of = standings.iter().filter(move |(is, _)| *is == wanted);
        of.map(|(_, booth)| *booth)
    };
    let can = standings
        .iter()
        .filter(|(is, _)| is.takes_messages())
        .count();
    let all = booths.len();
    let mut parts = vec![if can == all && all == 1 {
        "The booth can take messages".to_owned()
    } else if can == all {
        format!("All {all} booths can take messages")
    } else {
        format!("{can} of {all} can take messages")
    }];
    let mut reasons: Vec<String> = of(Standing::CannotSpeak).map(reason).collect();
    if !reasons.is_empty() {
        let cannot = reasons.len();
        reasons.sort();
        reasons.dedup();
        parts.push(format!(
            "{cannot} cannot, because {}",
            reasons.join(", or ")
        ));
    }
    let silent = of(Standing::Silent).count();
    if silent > 0 {
        let longest = of(Standing::Silent).filter_map(Seen::health_age_s).max();
        let since = longest.map_or_else(String::new, |age| format!(" for {}", span(age)));
        parts.push(format!("{silent} silent{since}"));
    }
    let never = of(Standing::NeverHeard).count();
    if never > 0 {
        parts.push(format!("{never} never heard"));
    }
    let unsent = booths.iter();
    let unsent = unsent.filter_map(|booth| Some((booth.oldest_unsent_s()?, booth)));
    if let Some((age, booth)) = unsent
        .max_by_key(|(age, _)| *age)
        .filter(|(age, _)| *age > 0)
    {
        parts.push(format!("oldest unsent {} at {}", span(age), booth.called()));
    }
    parts.join("; ") + "."
}

/// Why nobody can speak at a booth, as a part of a sentence.
fn reason<B: Seen>(booth: &B) -> String {
    let preventing = booth
        .raised()
        .find(|(_, severity)| *severity == Severity::CitizenCannotSpeak);
    match preventing.and_then(|(id, _)| AlertId::parse(id)) {
        Some(id) => {
            let text = id.meaning().trim_end_matches('.');
            let mut letters = text.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_lowercase().collect::<String>() + letters.as_str()
            })
        }
        None => "it does not say why".into(),
    }
}

/// A span of time in words: `12 s`, `3 min`, `5 h`, `2 days`.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A booth that is fine but for what a test changes.
    #[derive(Clone)]
    struct One {
        id: &'static str,
        is_heard: bool,
        presence: Option<Presence>,
        ready: Option<bool>,
        is_stale: bool,
        has_two_machines: bool,
        raised: Vec<(&'static str, Severity)>,
        unsent_s: Option<u64>,
    }

    const FINE: One = One {
        id: "a-1",
        is_heard: true,
        presence: Some(Presence::Online),
        ready: Some(true),
        is_stale: false,
        has_two_machines: false,
        raised: Vec::new(),
        unsent_s: Some(0),
    };

    impl Seen for One {
        fn booth_id(&self) -> &str {
            self.id
        }

        fn name(&self) -> &str {
            ""
        }

        fn place(&self) -> &str {
            "Torv"
        }

        fn is_heard(&self) -> bool {
            self.is_heard
        }

        fn presence(&self) -> Option<Presence> {
            self.presence
        }

        fn ready(&self) -> Option<bool> {
            self.ready
        }

        fn is_stale(&self) -> bool {
            self.is_stale
        }

        fn has_two_machines(&self) -> bool {
            self.has_two_machines
        }

        fn raised(&self) -> impl Iterator<Item = (&str, Severity)> {
            self.raised.iter().copied()
        }

        fn health_age_s(&self) -> Option<u64> {
            Some(30)
        }

        fn oldest_unsent_s(&self) -> Option<u64> {
            self.unsent_s
        }

        fn sw_version(&self) -> Option<&str> {
            None
        }

        fn value(&self, _: &str) -> Option<f64> {
            None
        }
    }

    #[test]
    fn a_booth_stands_as_what_is_worst_of_it_and_what_is_past_says_nothing() {
        type Change = fn(&mut One);
        let cases: [(Change, Standing); 11] = [
            (|_| {}, Standing::Fine),
            (|one| one.is_heard = false, Standing::NeverHeard),
            (|one| one.presence = None, Standing::Silent),
            (
                |one| one.presence = Some(Presence::Offline),
                Standing::Silent,
            ),
            (
                |one| (one.is_stale, one.ready) = (true, Some(false)),
                Standing::Silent,
            ),
            (|one| one.ready = Some(false), Standing::CannotSpeak),
            (|one| one.ready = None, Standing::Silent),
            (
                |one| one.raised = vec![("x", Severity::CitizenCannotSpeak)],
                Standing::NeedsVisit,
            ),
            (
                |one| one.raised = vec![("x", Severity::Watch), ("y", Severity::NeedsVisit)],
                Standing::NeedsVisit,
            ),
            (
                |one| one.raised = vec![("x", Severity::Watch)],
                Standing::Watch,
            ),
            (|one| one.has_two_machines = true, Standing::NeedsVisit),
        ];
        for (n, (change, wanted)) in cases.into_iter().enumerate() {
            let mut one = FINE;
            change(&mut one);
            assert_eq!(one.standing(), wanted, "case {n}");
            assert_eq!(
                one.standing().takes_messages(),
                wanted >= Standing::NeedsVisit
            );
        }
        assert!(Standing::ALL.is_sorted());
    }

    #[test]
    fn health_is_stale_after_three_of_its_intervals_and_an_interval_that_cannot_be_is_a_minute() {
        assert!(is_stale(None, 60) && is_stale(Some(181), 60) && !is_stale(Some(180), 60));
        for (said, interval) in [("5", 5), ("0", 60), ("-1", 60), ("1e9", 60), ("null", 60)] {
            let health = format!("{{\"health_interval_s\":{said}}}");
            let health = Health::from_json(health.as_bytes()).expect("health");
            assert_eq!(interval_s(Some(&health), None), interval, "{said}");
        }
    }

    #[test]
    fn the_sentence_counts_everybody_and_the_worst_comes_first() {
        let full = One {
            id: "b-2",
            ready: Some(false),
            raised: vec![("spool_full", Severity::CitizenCannotSpeak)],
            unsent_s: Some(7_200),
            ..FINE
        };
        let silent = One {
            id: "c-3",
            presence: Some(Presence::Lost),
            ..FINE
        };
        let mut fleet = vec![FINE, silent, full];
        fleet.sort_by(|a, b| order(0, a, b));
        let ids: Vec<&str> = fleet.iter().map(Seen::booth_id).collect();
        assert_eq!(ids, ["b-2", "c-3", "a-1"]);
        assert_eq!(
            sentence(&fleet),
            "1 of 3 can take messages; 1 cannot, because the card has no room for another message; 1 silent for 30 s; oldest unsent 2 h at b-2."
        );
        assert_eq!(sentence(&[FINE]), "The booth can take messages.");
        assert!(FINE.has("torv") && FINE.has("") && !FINE.has("b-2"));
    }
}
