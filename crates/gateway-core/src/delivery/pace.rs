//! How fast bodies may leave.

use std::time::Duration;

use booth_contract::MAX_PART_BYTES;
use booth_contract::time::Mono;

/// How fast bodies may leave: a bucket of bytes, filled at the configured rate.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// `None`: as fast as the link goes.
    pub(super) bytes_per_s: Option<u64>,
    /// Thousandths of bytes that may leave; negative after a message that cost more than there was.
    credit: i64,
    filled: Mono,
}

impl Pace {
    /// Most that is saved up: a part and its manifest, so that a pause causes no burst.
    const MOST: i64 = (MAX_PART_BYTES as i64 + 2048) * 1000;

    pub(super) fn fill(&mut self, now: Mono) {
        let Some(rate) = self.bytes_per_s else { return };
        let ms = i64::try_from(now.since(self.filled).as_millis()).unwrap_or(i64::MAX);
        let earned = ms.saturating_mul(i64::try_from(rate).unwrap_or(i64::MAX));
        self.credit = self.credit.saturating_add(earned).min(Self::MOST);
        self.filled = now;
    }

    pub(super) fn allows(&self) -> bool {
        self.bytes_per_s.is_none() || self.credit > 0
    }

    pub(super) fn spend(&mut self, bytes: u64) {
        let cost = i64::try_from(bytes)
            .unwrap_or(i64::MAX)
            .saturating_mul(1000);
        self.credit = self.credit.saturating_sub(cost);
    }

    /// When the next message may leave, if it has to wait.
    pub(super) fn due(&self) -> Option<Mono> {
        let rate = i64::try_from(self.bytes_per_s?).unwrap_or(i64::MAX).max(1);
        let missing = (1 - self.credit).max(0);
        let ms = u64::try_from(missing / rate + 1).unwrap_or(0);
        (missing > 0).then(|| self.filled + Duration::from_millis(ms))
    }
}
