//! Counts as the public sees them: no number from which one can tell what fewer than five people did.
//!
//! Owns: the one rule for every page, chart and file. A count is shown rounded down to a multiple of five, and what is below five is merged
//! with the others of its table that are below five. So whatever somebody subtracts (a row from a total, one table from another, yesterday's
//! file from today's), the result is a multiple of five and never says that it was one, two, three or four. Votes are shown exactly once
//! their question is over, because a vote is decided by single votes; until then they follow the rule. Never does: count.

/// The smallest number that is shown.
pub(crate) const LEAST: u64 = 5;

/// A count as it is shown.
pub(crate) fn shown(count: u64) -> u64 {
    count - count % LEAST
}

/// A table whose small cells are merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Merged<K> {
    /// The cells that are large enough, each as it is shown, in the order in which they came.
    pub(crate) rows: Vec<(K, u64)>,
    /// All others together, as it is shown; 0 where they are fewer than five even so.
    pub(crate) other: u64,
    /// How many cells were merged; cells without anything do not count.
    pub(crate) merged: usize,
}

/// Merges the cells below [`LEAST`].
pub(crate) fn merged<K>(cells: impl IntoIterator<Item = (K, u64)>) -> Merged<K> {
    let mut table = Merged {
        rows: Vec::new(),
        other: 0,
        merged: 0,
    };
    let mut small = 0;
    for (key, count) in cells {
        match count {
            0 => {}
            1..LEAST => {
                small += count;
                table.merged += 1;
            }
            _ => table.rows.push((key, shown(count))),
        }
    }
    table.other = shown(small);
    table
}

/// The votes of a question as they are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Votes {
    /// Of each option, in the order of the options.
    pub(crate) each: Vec<u64>,
    /// Whether they are as they were cast; else 0 means fewer than [`LEAST`].
    pub(crate) are_exact: bool,
}

/// The votes of a question: exactly where it is over and no option has one to four votes, else by the rule.
pub(crate) fn votes(options: &[u64], is_over: bool) -> Votes {
    let is_small = options.iter().any(|votes| (1..LEAST).contains(votes));
    let are_exact = is_over && !is_small;
    let as_shown = |votes: &u64| if are_exact { *votes } else { shown(*votes) };
    Votes {
        each: options.iter().map(as_shown).collect(),
        are_exact,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_below_five_is_merged_and_the_rest_keeps_its_place() {
        let table = merged([("a", 12), ("b", 4), ("c", 0), ("d", 5), ("e", 3)]);
        assert_eq!(table.rows, [("a", 10), ("d", 5)]);
        assert_eq!((table.other, table.merged), (5, 2));
        let small = merged([("a", 1), ("b", 2)]);
        assert_eq!((small.rows.len(), small.other, small.merged), (0, 0, 2));
    }

    #[test]
    fn a_vote_that_is_over_is_exact_unless_that_would_show_a_few() {
        let shown = |cast: [u64; 2], is_over| {
            let shown = votes(&cast, is_over);
            (shown.each, shown.are_exact)
        };
        assert_eq!(shown([52, 54], false), (vec![50, 50], false));
        assert_eq!(shown([52, 54], true), (vec![52, 54], true));
        assert_eq!(shown([52, 3], true), (vec![50, 0], false));
        assert_eq!(shown([52, 0], true), (vec![52, 0], true));
    }

    proptest! {
        /// Today's and yesterday's cells, their totals and any other grouping of the same messages: no difference of any two sums of what is
        /// shown lies between one and four.
        #[test]
        fn nothing_below_five_can_be_had_by_subtraction(
            yesterday in prop::collection::vec(0u64..40, 1..12),
            more in prop::collection::vec(0u64..9, 12),
            split in 1usize..6,
        ) {
            let today: Vec<u64> = yesterday.iter().zip(&more).map(|(one, more)| one + more).collect();
            let mut numbers = Vec::new();
            for day in [&yesterday, &today] {
                let table = merged(day.iter().enumerate().map(|(at, count)| (at, *count)));
                numbers.extend(table.rows.iter().map(|(_, count)| *count));
                numbers.push(table.other);
                numbers.push(shown(day.iter().sum()));
                let groups = day.chunks(split).map(|group| group.iter().sum::<u64>());
                numbers.extend(merged(groups.enumerate()).rows.iter().map(|(_, count)| *count));
            }
            for (at, one) in numbers.iter().enumerate() {
                for another in &numbers[at..] {
                    let difference = one.abs_diff(*another);
                    prop_assert!(!(1..LEAST).contains(&difference), "{one} and {another}");
                }
            }
            let all: u64 = numbers.iter().sum();
            prop_assert_eq!(all % LEAST, 0, "nor by adding them up");
        }
    }
}
