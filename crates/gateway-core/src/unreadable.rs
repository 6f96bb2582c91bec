//! Messages from the centre that could not be read (contract §3, "Reading").
//!
//! Owns: the count of each kind, and its sentence. Pure. Never does: decide what can be read (`inbox` does), decide how
//! often it is logged (`news` does), or change anything else: an unreadable message leaves all as it was.

use std::collections::BTreeMap;

use booth_contract::time::Mono;

/// What a message should have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `{root}/hub/state`.
    HubState,
    /// An answer to a clip.
    Ack,
    /// A message on a topic, or of a size, that this version does not read.
    Other,
}

impl Kind {
    /// Its name in a table.
    pub fn word(self) -> &'static str {
        match self {
            Kind::HubState => "state",
            Kind::Ack => "ack",
            Kind::Other => "other",
        }
    }

    fn one(self) -> &'static str {
        match self {
            Kind::HubState => "What the hub says of itself cannot be read",
            Kind::Ack => "An answer of the hub to a clip cannot be read",
            Kind::Other => "A message from the centre cannot be read",
        }
    }

    /// The noun for this many of them.
    fn noun(self, times: u64) -> &'static str {
        match (self, times) {
            (Kind::HubState, 1) => "message of the hub about itself",
            (Kind::HubState, _) => "messages of the hub about itself",
            (Kind::Ack, 1) => "answer of the hub to a clip",
            (Kind::Ack, _) => "answers of the hub to clips",
            (Kind::Other, 1) => "message from the centre",
            (Kind::Other, _) => "messages from the centre",
        }
    }
}

#[derive(Debug, Clone)]
struct Count {
    times: u64,
    last_at: Mono,
    why: String,
}

/// The messages that could not be read since the start.
#[derive(Debug, Clone, Default)]
pub struct Unreadable {
    kinds: BTreeMap<Kind, Count>,
}

impl Unreadable {
    /// Counts one message, `why` being what is wrong with it. Returns the sentence for the log, which writes it once and
    /// then sums up (`booth_host::news`).
    pub fn note(&mut self, now: Mono, kind: Kind, why: String) -> String {
        let sentence = format!("{}: {why}; it changes nothing", kind.one());
        let count = self.kinds.entry(kind).or_insert(Count {
            times: 0,
            last_at: now,
            why: String::new(),
        });
        count.times += 1;
        count.last_at = now;
        count.why = why;
        sentence
    }

    /// Each kind that came, with a sentence for a person who looks at the booth.
    pub fn sentences(&self, now: Mono) -> impl Iterator<Item = (Kind, String)> + '_ {
        self.kinds.iter().map(move |(kind, count)| {
            let minutes = now.since(count.last_at).as_secs() / 60;
            let sentence = format!(
                "{} {} could not be read since the start, the last {minutes} min ago: {}.",
                count.times,
                kind.noun(count.times),
                count.why
            );
            (*kind, sentence)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted_and_told_to_whoever_looks() {
        let mut book = Unreadable::default();
        for step in 0..8_640_u64 {
            let told = book.note(Mono(step * 10_000), Kind::Ack, "no JSON".into());
            assert_eq!(
                told,
                "An answer of the hub to a clip cannot be read: no JSON; it changes nothing"
            );
        }
        book.note(Mono(1_000), Kind::HubState, "no state".into());
        let sentences: Vec<(Kind, String)> = book.sentences(Mono(86_400_000)).collect();
        assert_eq!(
            sentences[1],
            (
                Kind::Ack,
                "8640 answers of the hub to clips could not be read since the start, the last 0 min ago: no JSON."
                    .into()
            )
        );
        assert_eq!(sentences.len(), 2);
    }
}
