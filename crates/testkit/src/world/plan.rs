//! What goes wrong when: the fault budget of `world.rs` drawn into a list of moments.
//!
//! Owns: how many of each fault a virtual day may have, how long each lasts, and the quiet end. Never does: cause one.

use crate::model_disk::{Chance, EIO, ENOSPC, Left};

pub const SECOND: u64 = 1_000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
pub const DAY: u64 = 24 * HOUR;

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// The card keeps what was durable, and of the rest what it likes; the machine boots anew.
    PowerCut,
    /// The card keeps what was written; the process starts again on the same boot.
    Kill,
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// The end of the process, in the middle of a disk operation if `after` says how many come before.
    Death {
        how: Death,
        after: Option<u64>,
        down_ms: u64,
        /// Wait for a recording, so that it is one that is cut.
        while_recording: bool,
    },
    CleanStop {
        down_ms: u64,
    },
    LinkLost,
    BlackHole {
        ms: u64,
    },
    SlowLink {
        ms: u64,
        latency_ms: u64,
        bytes_per_s: u64,
    },
    BrokerRestart {
        ms: u64,
        is_persistent: bool,
    },
    BrokerQuota {
        ms: u64,
    },
    BrokerDenies {
        ms: u64,
    },
    TakenOver {
        ms: u64,
    },
    /// Whoever owns the broker empties the booth for so long, and sends what he has not signed.
    Commands {
        minutes: u64,
    },
    HubRestart {
        ms: u64,
        in_a_batch: bool,
    },
    HubDiskBad {
        ms: u64,
    },
    FilledByOthers {
        ms: u64,
        left: u64,
    },
    ReadOnly {
        ms: u64,
    },
    IoOnce {
        errno: i32,
        left: Left,
    },
    IoBurst {
        ms: u64,
        percent: u64,
        errno: i32,
    },
    ReadBurst {
        ms: u64,
        percent: u64,
    },
    MicrophoneLost {
        ms: u64,
    },
    EarpieceLost {
        ms: u64,
    },
    ClockStep {
        by_ms: i64,
    },
}

/// What a seed is: its length, its world's constants, its faults.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Until when citizens come and things fail.
    pub busy_ms: u64,
    /// In order of time.
    pub faults: Vec<(u64, Fault)>,
    pub visits_per_day: u64,
    pub is_dial: bool,
    pub questions: u8,
    /// Bytes of body per half second of speech.
    pub page_bytes: u64,
    pub max_seconds: u64,
    pub silence_seconds: u64,
    pub health_interval_s: u64,
    pub capacity: u64,
    pub reserve: u64,
    pub max_bytes: u64,
    /// What CONNACK announces.
    pub max_packet: Option<u32>,
    pub latency_ms: u64,
    /// Messages that the broker keeps for the hub.
    pub queue_limit: usize,
    /// Whether retained messages reach who subscribes with a wildcard; RabbitMQ 4 gives none.
    pub keeps_for_wildcards: bool,
    /// Whether a client whose session another has taken over hears of it; Mosquitto 2.0.11 closes without a word.
    pub tells_of_take_overs: bool,
    /// Whether a booth may read what is retained in its own state.
    pub lets_read_own_state: bool,
    /// Whether a full queue is told.
    pub tells_quota: bool,
    /// Of 1000 messages on their way to hub and booth.
    pub doubled: u64,
    pub dropped: u64,
    /// Of 1000 clips.
    pub poisoned: u64,
    pub withdrawn: u64,
    /// Of 1000 acks, followed by a wrong one.
    pub lies: u64,
    pub max_clip_bytes: u64,
    pub is_real_hub: bool,
    /// One of the questions is a vote, with so many seconds from one to the next.
    pub has_vote: bool,
    pub min_pause_s: u64,
    /// Many citizens pause for long before every digit. Not drawn, so that every other world stays as it was.
    pub slow_hands: bool,
    /// The city's key is known: there are receipts, and messages are taken back with them. The real hub has no key here.
    pub has_receipts: bool,
}

fn one_of<T: Copy>(chance: &mut Chance, of: &[T]) -> T {
    of[chance.below(of.len() as u64) as usize]
}

/// Any length between the two, short ones as likely as long ones.
fn between(chance: &mut Chance, least: u64, most: u64) -> u64 {
    let spread = (most / least).max(1).ilog2() + 1;
    let scale = 1 << chance.below(u64::from(spread));
    (least * scale + chance.below(least * scale)).min(most)
}

/// The options of the vote, by their digits.
pub const VOTE_OPTIONS: [u8; 3] = [2, 3, 7];

impl Plan {
    /// The digit that opens the vote.
    pub fn vote_digit(&self) -> Option<u8> {
        self.has_vote.then_some(self.questions + 1)
    }

    pub fn of(seed: u64) -> Plan {
        let mut chance = Chance::new(seed ^ 0x0001_B00F);
        let c = &mut chance;
        let long_absence = c.percent(4);
        let is_week = long_absence && c.percent(10);
        let days = match (is_week, long_absence) {
            (true, _) => 8,
            (_, true) => 2 + c.below(3),
            _ => 1,
        };
        let page_bytes = one_of(c, &[60, 150, 400, 1_500]);
        let is_small_card = c.percent(30);
        let mut plan = Plan {
            busy_ms: days * DAY,
            faults: Vec::new(),
            visits_per_day: between(c, 5, if days > 1 { 30 } else { 80 }),
            is_dial: c.percent(50),
            questions: one_of(c, &[1, 1, 2, 3]),
            page_bytes,
            max_seconds: one_of(c, &[10, 60, 180]),
            silence_seconds: one_of(c, &[0, 3, 10]),
            health_interval_s: one_of(c, &[60, 300, 900]),
            capacity: if is_small_card { 6 << 20 } else { 64 << 20 },
            reserve: 1 << 20,
            max_bytes: if c.percent(20) { 3 << 20 } else { 1 << 30 },
            max_packet: one_of(c, &[None, None, Some(4_096), Some(900)]),
            latency_ms: one_of(c, &[1, 20, 150]),
            queue_limit: one_of(c, &[4, 30, 1_000]),
            tells_quota: c.percent(50),
            doubled: one_of(c, &[0, 5, 50]),
            dropped: one_of(c, &[0, 0, 5, 50]),
            poisoned: one_of(c, &[0, 0, 30]),
            withdrawn: one_of(c, &[0, 0, 30]),
            lies: one_of(c, &[0, 20, 100]),
            max_clip_bytes: if c.percent(15) {
                page_bytes * 60
            } else {
                8 << 20
            },
            is_real_hub: seed % 50 == 7,
            keeps_for_wildcards: seed.is_multiple_of(3),
            tells_of_take_overs: seed.is_multiple_of(2),
            lets_read_own_state: seed % 4 < 2,
            has_vote: false,
            slow_hands: seed % 4 == 1,
            min_pause_s: 0,
            has_receipts: false,
        };
        // Quarantine counts as used: where there is little room, what the hub rejects would fill it for good.
        if is_small_card || plan.max_bytes < plan.capacity {
            plan.poisoned = 0;
            plan.max_clip_bytes = 8 << 20;
        }
        // A slow link and small parts: a long clip must still get through in the quiet end.
        if plan.page_bytes == 1_500 && plan.max_packet == Some(900) {
            plan.max_packet = Some(4_096);
        }
        for day in 0..days {
            plan.draw_day(day * DAY, c);
        }
        if long_absence {
            let ms = match is_week {
                true => 7 * DAY,
                false => HOUR * (12 + c.below(days * 24 - 18)),
            };
            plan.faults.push((
                c.below(4 * HOUR),
                Fault::HubRestart {
                    ms,
                    in_a_batch: false,
                },
            ));
        }
        plan.faults.sort_by_key(|(at, _)| *at);
        // Drawn apart, so that a seed keeps the faults that it always had.
        let c = &mut Chance::new(seed ^ 0x0014_B00F);
        plan.has_vote = c.percent(60);
        plan.min_pause_s = one_of(c, &[0, 20, 120]);
        plan.has_receipts = !plan.is_real_hub && c.percent(70);
        let c = &mut Chance::new(seed ^ 0x000C_0DE5);
        for _ in 0..c.below(5) {
            let minutes = c.below(11);
            let at = c.below(days * DAY);
            plan.faults.push((at, Fault::Commands { minutes }));
        }
        plan.faults.sort_by_key(|(at, _)| *at);
        plan
    }

    /// The table of `world.rs`, as code.
    fn draw_day(&mut self, from: u64, c: &mut Chance) {
        // Some days are calm in some respects, so that faults meet in every combination.
        let times = |c: &mut Chance, most: u64| match c.percent(40) {
            true => 0,
            false => c.below(most + 1),
        };
        let mut drawn = Vec::new();
        for _ in 0..times(c, 5) {
            let how = Death::PowerCut;
            let down_ms = between(c, 5 * SECOND, 2 * HOUR);
            drawn.push(death(c, how, down_ms));
        }
        for _ in 0..times(c, 5) {
            let down_ms = between(c, SECOND, 20 * SECOND);
            drawn.push(death(c, Death::Kill, down_ms));
        }
        for _ in 0..times(c, 1) {
            drawn.push(Fault::CleanStop {
                down_ms: between(c, SECOND, 60 * SECOND),
            });
        }
        for _ in 0..times(c, 20) {
            drawn.push(Fault::LinkLost);
        }
        for _ in 0..times(c, 5) {
            drawn.push(Fault::BlackHole {
                ms: between(c, 5 * SECOND, 30 * MINUTE),
            });
        }
        for _ in 0..times(c, 3) {
            drawn.push(Fault::SlowLink {
                ms: between(c, MINUTE, 2 * HOUR),
                latency_ms: between(c, 100, 5 * SECOND),
                bytes_per_s: between(c, 1_000, 16_000),
            });
        }
        for _ in 0..times(c, 4) {
            let is_persistent = c.percent(50);
            drawn.push(Fault::BrokerRestart {
                ms: between(c, SECOND, 10 * MINUTE),
                is_persistent,
            });
        }
        for _ in 0..times(c, 2) {
            drawn.push(Fault::BrokerQuota {
                ms: between(c, 10 * SECOND, HOUR),
            });
        }
        for _ in 0..times(c, 1) {
            drawn.push(Fault::BrokerDenies {
                ms: between(c, 10 * SECOND, HOUR),
            });
        }
        for _ in 0..times(c, 2) {
            drawn.push(Fault::TakenOver {
                ms: between(c, SECOND, 10 * MINUTE),
            });
        }
        for _ in 0..times(c, 5) {
            let in_a_batch = c.percent(60);
            drawn.push(Fault::HubRestart {
                ms: between(c, SECOND, HOUR),
                in_a_batch,
            });
        }
        for _ in 0..times(c, 2) {
            drawn.push(Fault::HubDiskBad {
                ms: between(c, 10 * SECOND, HOUR),
            });
        }
        for _ in 0..times(c, 2) {
            let left = one_of(c, &[0, 1_000, 20_000, 900_000, 1_100_000]);
            drawn.push(Fault::FilledByOthers {
                ms: between(c, 2 * SECOND, 4 * HOUR),
                left,
            });
        }
        for _ in 0..times(c, 1) {
            drawn.push(Fault::ReadOnly {
                ms: between(c, 2 * SECOND, 2 * HOUR),
            });
        }
        for _ in 0..times(c, 10) {
            let errno = one_of(c, &[EIO, ENOSPC]);
            let left = one_of(c, &[Left::Nothing, Left::Half, Left::All]);
            drawn.push(Fault::IoOnce { errno, left });
        }
        for _ in 0..times(c, 1) {
            let (percent, errno) = (one_of(c, &[10, 30, 100]), one_of(c, &[EIO, ENOSPC]));
            drawn.push(Fault::IoBurst {
                ms: between(c, SECOND, 5 * MINUTE),
                percent,
                errno,
            });
        }
        for _ in 0..times(c, 3) {
            let percent = one_of(c, &[10, 30, 100]);
            drawn.push(Fault::ReadBurst {
                ms: between(c, SECOND, 5 * MINUTE),
                percent,
            });
        }
        for _ in 0..times(c, 3) {
            drawn.push(Fault::MicrophoneLost {
                ms: between(c, 2 * SECOND, HOUR),
            });
        }
        for _ in 0..times(c, 1) {
            drawn.push(Fault::EarpieceLost {
                ms: between(c, 2 * SECOND, HOUR),
            });
        }
        for _ in 0..times(c, 2) {
            let by_ms = i64::try_from(between(c, SECOND, 48 * HOUR)).unwrap_or(0);
            drawn.push(Fault::ClockStep {
                by_ms: if c.percent(50) { by_ms } else { -by_ms },
            });
        }
        for fault in drawn {
            // Where the citizens are: by day, mostly.
            let at = if c.percent(80) {
                7 * HOUR + c.below(15 * HOUR)
            } else {
                c.below(DAY)
            };
            self.faults.push((from + at, fault));
        }
    }
}

fn death(c: &mut Chance, how: Death, down_ms: u64) -> Fault {
    let after = c.percent(60).then(|| c.below(12));
    Fault::Death {
        how,
        after,
        down_ms,
        while_recording: c.percent(50),
    }
}
