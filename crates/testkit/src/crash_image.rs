//! What a power cut leaves of a recorded device.
//!
//! Owns: the choice of the moment and of the writes that made it, from a seed. Never does: judge. The rule: what was
//! written before the last flush is there; of what was written after it, any part may be, sector by sector.
#![allow(clippy::disallowed_methods)]

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::blockdev::{SECTOR, Trace, What};

/// Numbers that look random and come again with the same seed (SplitMix64).
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One from 0 to below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound.max(1)
    }
}

/// Which of the writes after the last flush are on the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Later {
    /// None.
    Nothing,
    /// All.
    Everything,
    /// Each with this chance in a hundred, whole.
    Writes(u64),
    /// Each sector with this chance in a hundred.
    Sectors(u64),
}

/// A power cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// It comes just before this event.
    pub point: usize,
    /// Which of the later writes are there.
    pub later: Later,
    /// Flushes that the device only pretended to do. 0 for an honest device.
    pub lies: usize,
}

impl Cut {
    /// One before an event of this range. Every second one is moved to a moment with writes in doubt, if eight
    /// tries find one: most moments of a card that is flushed after every write have none.
    pub fn choose(trace: &Trace, events: std::ops::Range<usize>, dice: &mut Dice) -> Cut {
        let mut roll = || events.start + dice.below(events.len() as u64) as usize;
        let mut point = roll();
        if roll() % 2 == 0 {
            let is_settled = |point: usize| {
                let mut before = trace.events[..point].iter().rev();
                let last = before.find(|event| !matches!(event.what, What::Mark(_)));
                last.is_none_or(|event| event.what == What::Flush)
            };
            for _ in 0..8 {
                if is_settled(point) {
                    point = roll();
                }
            }
        }
        let chance = 10 + dice.below(81);
        let later = match dice.below(4) {
            0 => Later::Nothing,
            1 => Later::Everything,
            2 => Later::Writes(chance),
            _ => Later::Sectors(chance),
        };
        Cut {
            point,
            later,
            lies: 0,
        }
    }

    /// The place of the flush that is the last one to count; everything before it is on the card.
    fn last_flush(&self, trace: &Trace) -> usize {
        let flushes = trace.events[..self.point].iter().enumerate().rev();
        flushes
            .filter(|(_, event)| event.what == What::Flush)
            .nth(self.lies)
            .map_or(0, |(place, _)| place)
    }

    /// Writes the device as the cut leaves it; answers how many writes were in doubt.
    pub fn leave(&self, trace: &Trace, dice: &mut Dice, file: &Path) -> io::Result<usize> {
        let image = File::create(file)?;
        image.set_len(trace.bytes)?;
        let safe = self.last_flush(trace);
        let mut in_doubt = 0;
        for (place, event) in trace.events[..self.point].iter().enumerate() {
            let What::Write(offset, bytes) = &event.what else {
                continue;
            };
            if place < safe {
                image.write_all_at(bytes, *offset)?;
                continue;
            }
            in_doubt += 1;
            match self.later {
                Later::Nothing => {}
                Later::Everything => image.write_all_at(bytes, *offset)?,
                Later::Writes(chance) => {
                    if dice.below(100) < chance {
                        image.write_all_at(bytes, *offset)?;
                    }
                }
                Later::Sectors(chance) => {
                    for (at, sector) in (*offset..).step_by(SECTOR).zip(bytes.chunks(SECTOR)) {
                        if dice.below(100) < chance {
                            image.write_all_at(sector, at)?;
                        }
                    }
                }
            }
        }
        Ok(in_doubt)
    }
}
