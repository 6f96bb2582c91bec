//! Sets of numbers kept as half-open ranges: bytes of a clip, clip numbers of a card.
//!
//! Owns: union, gaps and coverage. Never does: decide what a gap means.

/// Disjoint, sorted, non-adjacent ranges `[from, to)`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RangeSet(Vec<(u64, u64)>);

impl RangeSet {
    /// Adds `[from, to)`; an empty range adds nothing.
    pub fn insert(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        // Every range that overlaps or touches the new one is merged with it.
        let first = self.0.partition_point(|&(_, end)| end < from);
        let last = self.0.partition_point(|&(start, _)| start <= to);
        if first == last {
            self.0.insert(first, (from, to));
        } else {
            let melted = (from.min(self.0[first].0), to.max(self.0[last - 1].1));
            self.0.splice(first..last, [melted]);
        }
    }

    /// Whether the set has all of `[from, to)`.
    pub fn covers(&self, from: u64, to: u64) -> bool {
        if from >= to {
            return true;
        }
        let at = self.0.partition_point(|&(_, end)| end <= from);
        self.0
            .get(at)
            .is_some_and(|&(start, end)| start <= from && end >= to)
    }

    /// The ranges of `[from, to)` that the set does not have, at most `limit`, lowest first.
    pub fn missing(&self, from: u64, to: u64, limit: usize) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        let mut at = from;
        for &(start, end) in &self.0 {
            if at >= to || gaps.len() >= limit {
                break;
            }
            if start > at {
                gaps.push((at, start.min(to)));
            }
            at = at.max(end);
        }
        if at < to && gaps.len() < limit {
            gaps.push((at, to));
        }
        gaps
    }

    /// How many separate ranges the set has.
    pub fn pieces(&self) -> usize {
        self.0.len()
    }

    /// The end of the last range; 0 when empty.
    pub fn end(&self) -> u64 {
        self.0.last().map_or(0, |&(_, end)| end)
    }

    /// How many numbers are in the set.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|&(from, to)| to - from).sum()
    }

    /// Removes all ranges.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn touching_and_overlapping_ranges_become_one() {
        let mut set = RangeSet::default();
        set.insert(10, 20);
        set.insert(30, 40);
        set.insert(20, 30);
        assert_eq!(set, RangeSet(vec![(10, 40)]));
        assert_eq!(set.missing(0, 50, 9), [(0, 10), (40, 50)]);
        assert_eq!(set.missing(0, 50, 1), [(0, 10)]);
        assert!(set.covers(10, 40) && !set.covers(9, 11) && set.covers(5, 5));
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_list_of_flags(inserts in proptest::collection::vec((0u64..60, 0u64..20), 0..30)) {
            let mut set = RangeSet::default();
            let mut flags = [false; 80];
            for (from, len) in inserts {
                set.insert(from, from + len);
                for flag in &mut flags[from as usize..(from + len) as usize] { *flag = true; }
            }
            prop_assert_eq!(set.total(), flags.iter().filter(|f| **f).count() as u64);
            let mut seen = [true; 80];
            for (from, to) in set.missing(0, 80, usize::MAX) {
                prop_assert!(from < to);
                for flag in &mut seen[from as usize..to as usize] { *flag = false; }
            }
            prop_assert_eq!(seen, flags);
            for from in 0..80u64 { for to in from..80 {
                prop_assert_eq!(set.covers(from, to), flags[from as usize..to as usize].iter().all(|f| *f));
            } }
        }
    }
}
