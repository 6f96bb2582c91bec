//! Warnings about what comes in malformed: said once, then counted.
//!
//! Owns: how often the log hears of one sender's rubbish. Never does: decide what is rubbish.

use std::collections::HashMap;

/// Most senders told apart; past it they share one count.
const MAX_KEYS: usize = 1000;

/// Counts per key; the first of each, and then the 10th, 100th, … are logged.
#[derive(Debug, Default)]
pub struct Complaints {
    counts: HashMap<String, u64>,
}

impl Complaints {
    /// Notes one malformed message from `key`; `sentence` says what was wrong with it.
    pub fn note(&mut self, key: &str, sentence: &str) {
        if let Some(times) = self.count(key) {
            if times == 1 {
                log::warn!("{sentence}");
            } else {
                log::warn!("{sentence} ({times} of the kind so far)");
            }
        }
    }

    /// Counts; answers the count when it is worth a line.
    fn count(&mut self, key: &str) -> Option<u64> {
        let key = if self.counts.contains_key(key) || self.counts.len() < MAX_KEYS {
            key
        } else {
            ""
        };
        let count = self.counts.entry(key.to_owned()).or_default();
        *count += 1;
        let power = count.ilog10();
        (*count == 10_u64.pow(power)).then_some(*count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_bad_messages_are_four_lines() {
        let mut complaints = Complaints::default();
        let said: Vec<u64> = (0..1000).filter_map(|_| complaints.count("abc")).collect();
        assert_eq!(said, [1, 10, 100, 1000]);
        assert_eq!(complaints.count("def"), Some(1));
    }

    #[test]
    fn endless_senders_do_not_fill_the_memory() {
        let mut complaints = Complaints::default();
        for n in 0..5000 {
            complaints.count(&n.to_string());
        }
        assert!(complaints.counts.len() <= MAX_KEYS + 1);
    }
}
