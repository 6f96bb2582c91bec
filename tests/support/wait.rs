//! Waiting for something to become true, with a bound.

use std::time::{Duration, Instant};

/// How long anything in a test may take before the test gives up, also on a machine that is busy with other things. Never
/// asserted as a figure.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Asks `probe` until it answers, or panics with `what` after [`PATIENCE`].
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "gave up waiting: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
