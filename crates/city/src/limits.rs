//! How often somebody may do something: a number at once, and one more after each while.
//!
//! Owns: what was done of late, by whom, in memory alone; who has rested is forgotten. Never does: keep an address longer than the limit
//! needs it, read a clock. When too many are remembered, nobody new is let in until some have rested.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use booth_contract::time::Mono;

/// Most keys that are remembered.
const MOST: usize = 10_000;

/// Limits by a key, e.g. by visitor.
#[derive(Debug)]
pub(crate) struct Limits<K> {
    at_once: u32,
    every_ms: u64,
    /// For each key the moment from which on it is as if nothing had been done (the generic cell rate algorithm, ITU-T I.371).
    rested_at: Mutex<HashMap<K, Mono>>,
}

impl<K: Eq + Hash> Limits<K> {
    /// `at_once`, and one more every `every_ms`.
    pub(crate) fn new(at_once: u32, every_ms: u64) -> Self {
        Self {
            at_once,
            every_ms,
            rested_at: Mutex::default(),
        }
    }

    /// Whether it may be done once more; if so, it counts.
    pub(crate) fn take(&self, now: Mono, key: K) -> bool {
        let mut rested = self
            .rested_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if rested.len() >= MOST && !rested.contains_key(&key) {
            rested.retain(|_, at| at.0 > now.0);
            if rested.len() >= MOST {
                return false;
            }
        }
        let at = rested.entry(key).or_insert(now);
        let from = at.0.max(now.0);
        let most = now.0 + self.every_ms * u64::from(self.at_once.saturating_sub(1));
        let may = from <= most;
        if may {
            *at = Mono(from + self.every_ms);
        }
        may
    }

    /// Takes back what [`Limits::take`] counted: it was no try after all.
    pub(crate) fn give_back(&self, key: &K) {
        let mut rested = self
            .rested_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = rested.get_mut(key) {
            at.0 = at.0.saturating_sub(self.every_ms);
        }
    }

    /// Forgets who has rested. To be called now and then, so that no address is kept for longer than it counts.
    pub(crate) fn forget(&self, now: Mono) {
        let mut rested = self
            .rested_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        rested.retain(|_, at| at.0 > now.0);
    }
}

/// Addresses that one visitor has at will count as one: a network of IPv6 that is given to one household.
pub fn one_visitor(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_then_one_more_each_while_and_each_key_for_itself() {
        let limits = Limits::new(3, 1_000);
        let taken = (0..10).filter(|_| limits.take(Mono(5), "a")).count();
        assert_eq!(taken, 3);
        assert!(limits.take(Mono(5), "b"));
        let taken = (0..10_000)
            .filter(|n| limits.take(Mono(5 + n), "a"))
            .count();
        assert_eq!(taken, 9, "one each second");
        limits.give_back(&"a");
        assert!(limits.take(Mono(10_005), "a"));
    }

    #[test]
    fn nobody_is_remembered_who_has_rested_and_a_crowd_takes_no_memory() {
        let limits = Limits::new(2, 1_000);
        for n in 0..20_000 {
            limits.take(Mono(0), n);
        }
        let number = |limits: &Limits<i32>| limits.rested_at.lock().expect("whole").len();
        assert_eq!(number(&limits), MOST);
        assert!(!limits.take(Mono(999), 30_000));
        assert!(limits.take(Mono(1_000), 30_000));
        assert_eq!(number(&limits), 1);
        limits.forget(Mono(2_000));
        assert_eq!(number(&limits), 0);
    }

    #[test]
    fn a_household_with_a_network_of_addresses_is_one_visitor() {
        let of = |text: &str| one_visitor(text.parse().expect("an address"));
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
