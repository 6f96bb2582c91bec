//! The supply voltage, from two sources: the kernel's alarm and the firmware's bits.
//!
//! Owns: how often it was too low, and the sentence about it. Never does: read a sensor.
//!
//! The Raspberry Pi firmware keeps what happened since it was asked last; the kernel's driver `rpi_volt` asks every 2 s and
//! its alarm says whether the voltage was too low in between, however short. A program that looks at the alarm at least
//! every 2 s therefore misses no dip. The firmware's own sticky bits say what was before this program started, unless that
//! driver has cleared them.

use std::time::Duration;

use booth_contract::time::Mono;

/// A supply that was too low this recently counts as too low now: a voltage that comes and goes is reported once, not at
/// every turn.
const NOW: Duration = Duration::from_secs(60);

/// Under-voltage now (bit 0 of the firmware's `get_throttled`).
const LOW_NOW: u32 = 1;
/// Under-voltage since the firmware was asked last, or since boot (bit 16).
const LOW_SINCE: u32 = 1 << 16;
/// Bits 0 to 3: under-voltage, frequency capped, throttled, soft temperature limit.
const ANY_NOW: u32 = 0xf;
/// The same since the firmware was asked last, or since boot.
const ANY_SINCE: u32 = 0xf_0000;

/// What one look at the supply finds; a source that this machine does not have is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Supply {
    /// The kernel's alarm: too low within the last two seconds.
    pub alarm: Option<bool>,
    /// The firmware's `get_throttled`.
    pub throttled: Option<u32>,
}

impl Supply {
    /// Whether this machine knows anything about its supply.
    pub fn is_known(self) -> bool {
        self != Self::default()
    }
}

/// What is known of the supply since the program's start.
#[derive(Debug, Clone, Default)]
pub struct Power {
    latest: Supply,
    /// Every bit of the firmware that was ever set.
    bits: u32,
    is_known: bool,
    dips: u64,
    /// Which source has seen it too low.
    by_kernel: bool,
    by_firmware: bool,
    last_low: Option<Mono>,
}

impl Power {
    /// One look, at `now`.
    pub fn look(&mut self, now: Mono, supply: Supply) {
        let is_low = |supply: Supply| {
            supply.alarm == Some(true) || supply.throttled.is_some_and(|bits| bits & LOW_NOW != 0)
        };
        let was = |supply: Supply| supply.throttled.is_some_and(|bits| bits & LOW_SINCE != 0);
        let before = std::mem::replace(&mut self.latest, supply);
        self.is_known |= supply.is_known();
        self.bits |= supply.throttled.unwrap_or(0);
        // The sticky bit alone counts a dip that no look saw; a dip that was seen is not counted a second time by it.
        let unseen = was(supply) && !was(before) && !is_low(supply) && !is_low(before);
        self.dips += u64::from(unseen || (is_low(supply) && !is_low(before)));
        self.by_kernel |= supply.alarm == Some(true);
        self.by_firmware |= self.bits & (LOW_NOW | LOW_SINCE) != 0;
        if is_low(supply) {
            self.last_low = Some(now);
        }
    }

    /// How often the supply fell too low since the program's start; everything that the firmware remembers from before
    /// counts as one.
    pub fn undervolt_count(&self) -> Option<u64> {
        self.is_known.then_some(self.dips)
    }

    /// Whether the firmware throttles now, for whatever reason.
    pub fn throttled_now(&self) -> Option<bool> {
        self.latest.throttled.map(|bits| bits & ANY_NOW != 0)
    }

    /// Whether it has throttled since boot.
    pub fn throttled_since_boot(&self) -> Option<bool> {
        let known = self.latest.throttled.is_some() || self.bits != 0;
        known.then_some(self.bits & (ANY_NOW | ANY_SINCE) != 0)
    }

    /// The sentence for operations, once the supply was too low. It changes only between *now* and *earlier*, and when the
    /// other source reports it too.
    pub fn fault(&self, now: Mono) -> Option<String> {
        let by = match (self.by_kernel, self.by_firmware) {
            (false, false) => return None,
            (true, false) => "the kernel's alarm says so",
            (false, true) => "the firmware's bits say so",
            (true, true) => "the kernel's alarm and the firmware's bits say so",
        };
        Some(match self.last_low {
            Some(low) if now.since(low) < NOW => {
                format!("The supply voltage is too low now: {by}.")
            }
            _ => {
                format!("The supply voltage was too low earlier since boot, it is right now: {by}.")
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarm(is_low: bool) -> Supply {
        Supply {
            alarm: Some(is_low),
            throttled: None,
        }
    }

    fn bits(bits: u32) -> Supply {
        Supply {
            alarm: None,
            throttled: Some(bits),
        }
    }

    fn after(looks: &[Supply]) -> Power {
        let mut power = Power::default();
        for (second, supply) in looks.iter().enumerate() {
            power.look(Mono(second as u64 * 1000), *supply);
        }
        power
    }

    #[test]
    fn a_machine_without_such_sensors_claims_nothing() {
        let power = after(&[Supply::default(); 3]);
        assert_eq!(power.undervolt_count(), None);
        assert_eq!(power.throttled_now(), None);
        assert_eq!(power.throttled_since_boot(), None);
        assert_eq!(power.fault(Mono(0)), None);
    }

    #[test]
    fn each_dip_is_counted_once_however_long_it_lasts() {
        let looks = [false, true, true, false, true, false, false];
        let power = after(&looks.map(alarm));
        assert_eq!(power.undervolt_count(), Some(2));
        assert_eq!(after(&[alarm(false)]).undervolt_count(), Some(0));
        assert_eq!(after(&[alarm(true)]).undervolt_count(), Some(1));
    }

    #[test]
    fn what_the_sticky_bit_alone_remembers_is_one_dip_earlier() {
        let power = after(&[bits(0x5_0000), bits(0x5_0000)]);
        assert_eq!(power.undervolt_count(), Some(1));
        assert_eq!(
            power.fault(Mono(1000)).as_deref(),
            Some(
                "The supply voltage was too low earlier since boot, it is right now: the firmware's bits say so."
            )
        );
        assert_eq!(power.throttled_now(), Some(false));
        assert_eq!(power.throttled_since_boot(), Some(true));
    }

    #[test]
    fn a_dip_that_both_witnesses_see_is_one() {
        let both = |is_low: bool, bits: u32| Supply {
            alarm: Some(is_low),
            throttled: Some(bits),
        };
        let power = after(&[
            both(false, 0),
            both(true, 0x5_0005),
            both(false, 0x5_0000),
            both(false, 0),
        ]);
        assert_eq!(power.undervolt_count(), Some(1));
        let fault = power.fault(Mono(3000)).expect("a fault");
        assert!(
            fault.contains("too low now: the kernel's alarm and the firmware's bits say so"),
            "{fault}"
        );
    }

    #[test]
    fn a_supply_that_comes_and_goes_is_told_once_and_later_as_earlier() {
        let mut power = Power::default();
        let mut sentences = Vec::new();
        for second in 0..300 {
            power.look(Mono(second * 1000), alarm(second % 7 == 0 && second < 200));
            sentences.push(power.fault(Mono(second * 1000)).expect("a fault"));
        }
        sentences.dedup();
        assert_eq!(
            sentences,
            [
                "The supply voltage is too low now: the kernel's alarm says so.",
                "The supply voltage was too low earlier since boot, it is right now: the kernel's alarm says so."
            ]
        );
        assert_eq!(power.undervolt_count(), Some(29));
    }

    #[test]
    fn heat_is_no_fault_of_the_supply() {
        let power = after(&[bits(0xe_000e)]);
        assert_eq!(power.fault(Mono(0)), None);
        assert_eq!(power.undervolt_count(), Some(0));
        assert_eq!(power.throttled_now(), Some(true));
    }

    #[test]
    fn what_the_driver_clears_stays_known() {
        let power = after(&[bits(0x4_0000), bits(0), Supply::default()]);
        assert_eq!(power.throttled_since_boot(), Some(true));
        assert_eq!(power.throttled_now(), None);
    }
}
