//! What a booth has counted since its midnight, by its last health.
//!
//! Owns: which counters can be. Pure.

use std::collections::BTreeMap;

use booth_contract::Health;
use jiff::Timestamp;

/// The counters of health that the city adds up (contract §3.2).
const COUNTERS: [&str; 5] = ["lifts", "clips", "refused", "left_early", "discarded"];
/// A greater counter of a day is none: nobody lifts a handset each second, and sums of such numbers hold up the count of all booths.
const MOST_A_DAY: f64 = 86_400.0;

/// A booth's counters of today, and when it said them.
pub(super) type CountedToday = (BTreeMap<String, u64>, Option<Timestamp>);

/// Reads a health and when it was heard.
pub(super) fn counted(health: &str, heard_at: Option<&str>) -> CountedToday {
    let Ok(health) = Health::from_json(health.as_bytes()) else {
        return Default::default();
    };
    // The booth's own time is that of its midnight, as far as its clock is right.
    let own = health
        .said_by_its_clock()
        .and_then(|seconds| Timestamp::from_second(seconds as i64).ok());
    let said_at = own.or_else(|| heard_at.and_then(|at| at.parse().ok()));
    let each = COUNTERS.into_iter().filter_map(|name| {
        let value = health.get(&format!("{name}_today"))?;
        (0.0..=MOST_A_DAY)
            .contains(&value)
            .then_some((name.to_owned(), value as u64))
    });
    (each.collect(), said_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_that_cannot_be_are_none() {
        let heard = Some("2026-03-01T10:00:00.000Z");
        let lifts = |health: &str| counted(health, heard).0.get("lifts").copied();
        assert_eq!(lifts(r#"{"ready":1,"lifts_today":7}"#), Some(7));
        assert_eq!(lifts(r#"{"ready":1,"lifts_today":86400}"#), Some(86_400));
        for number in ["9e18", "1e300", "-1", "86401"] {
            let health = format!("{{\"ready\":1,\"lifts_today\":{number}}}");
            assert_eq!(lifts(&health), None, "{number}");
        }
    }
}
