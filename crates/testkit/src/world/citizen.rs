//! Whoever stands at the booth: one at a time, of every kind, hanging up at any moment.
//!
//! Owns: the handset as it really is, the voice, the keys pressed. Never does: know what the booth thinks; it only
//! hears roughly what a citizen would hear (the state's name).

#![allow(clippy::collapsible_match)] // a guard would fall through to another arm

use gateway_core::prompt::{Prompt, Word};
use gateway_core::session::{HandsetEvent, Key, KeySource};

use super::World;
use super::plan::{DAY, HOUR, MINUTE, SECOND, VOTE_OPTIONS};
use super::process::digit_of;
use crate::model_disk::Chance;

/// What somebody came for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Says something, perhaps several times.
    Speaker { answers: u64 },
    /// Chooses a question and says nothing.
    Silent,
    /// Speaks until the booth ends it.
    Long,
    /// Dials 112.
    Emergency,
    /// Presses anything.
    Child,
    /// Lays the handset beside the hook and goes.
    Careless,
    /// Votes, if there is a vote.
    Voter,
    /// Takes back what was said or voted earlier, with a receipt.
    Regretful,
}

pub struct Citizen {
    pub chance: Chance,
    pub is_off_hook: bool,
    /// Counts the lifts.
    pub visit: u64,
    pub speaking: bool,
    pub speaking_since: u64,
    /// Acts that can be a consent, made in this visit and not used up by a take.
    pub acts: u64,
    /// Whether the session of this visit is over although the handset is off its hook.
    pub is_written_off: bool,
    kind: Kind,
    hang_up_at: u64,
    speak_ms: u64,
    digits: u64,
    /// The digits pressed in this visit since the last vote.
    pub pressed: Vec<u8>,
    /// Keys pressed since the end of the last recording.
    after_keys: u64,
    /// What citizens have written down, and of which clip.
    receipts: Vec<(String, Vec<u8>)>,
    /// The receipt that is dialled; whether all of its digits went into a withdrawal, and how many zeros came before it.
    dialling: Option<(String, Vec<u8>)>,
    is_dialled: bool,
    zeros: u64,
    /// Pauses for up to a quarter of a minute before every digit.
    is_slow: bool,
}

/// Receipts that lie in drawers.
const MOST_RECEIPTS: usize = 30;

impl Citizen {
    pub fn new(chance: Chance) -> Self {
        Self {
            chance,
            is_off_hook: false,
            visit: 0,
            speaking: false,
            speaking_since: 0,
            acts: 0,
            is_written_off: false,
            kind: Kind::Silent,
            hang_up_at: 0,
            speak_ms: 0,
            digits: 0,
            pressed: Vec::new(),
            after_keys: 0,
            receipts: Vec::new(),
            dialling: None,
            is_dialled: false,
            zeros: 0,
            is_slow: false,
        }
    }

    /// How long slow hands take to the next digit.
    fn slow_pause(&mut self) -> u64 {
        6 * SECOND + self.chance.below(9 * SECOND)
    }
}

impl World {
    /// When the next one comes: by day, spread over the visits a day has.
    pub(super) fn next_arrival(&mut self) {
        let gap = 13 * HOUR / self.plan.visits_per_day;
        let c = &mut self.citizen.chance;
        let mut at = self.now
            + if c.percent(10) {
                200 + c.below(2 * SECOND)
            } else {
                c.below(2 * gap) + SECOND
            };
        let of_day = at % DAY;
        if !(7 * HOUR..23 * HOUR).contains(&of_day) && c.percent(95) {
            at += (DAY + 7 * HOUR - of_day) % DAY;
        }
        if at < self.plan.busy_ms {
            self.at(at, super::Event::Citizen);
        }
    }

    pub(super) fn citizen_acts(&mut self) {
        if !self.citizen.is_off_hook {
            if !self.is_quiet() {
                self.comes();
            }
            return;
        }
        if self.now >= self.citizen.hang_up_at || self.now >= self.plan.busy_ms {
            return self.hangs_up();
        }
        let heard = self.session_name();
        let vote_digit = self.plan.vote_digit();
        let c = &mut self.citizen;
        if heard != "after" {
            c.after_keys = 0;
        }
        let mut pause = 300 + c.chance.below(2 * SECOND);
        match (c.kind, heard) {
            (Kind::Careless, _) => pause = c.hang_up_at - self.now,
            (Kind::Child, _) => {
                let key = match c.chance.below(13) {
                    10 => Key::Star,
                    11 => Key::Hash,
                    12 => Key::Button,
                    digit => Key::Digit(digit as u8),
                };
                if c.chance.percent(70) {
                    self.press(key);
                } else {
                    let speaking = !self.citizen.speaking;
                    self.speak(speaking);
                }
                pause = 50 + self.citizen.chance.below(4 * SECOND);
            }
            (Kind::Emergency, "notice" | "question" | "recording" | "after") => {
                if c.chance.percent(60) {
                    let digit = [1, 1, 2][c.digits as usize % 3];
                    c.digits += 1;
                    pause = 200 + c.chance.below(3 * SECOND);
                    self.press(Key::Digit(digit));
                }
            }
            (Kind::Regretful, _) => {
                let is_in = heard == "withdrawal";
                // Whoever dials slowly goes on until the booth has opened it.
                let is_code = match c.is_slow {
                    true => c.digits == 0 && c.zeros < 12 && !is_in,
                    false => c.zeros < 3,
                };
                let dialled = c.digits as usize;
                let next = match &c.dialling {
                    Some(_) if is_code => Some(0),
                    Some((_, receipt)) => receipt.get(dialled).copied(),
                    None => None,
                };
                pause = match (is_code, c.is_slow) {
                    (_, true) => c.slow_pause(),
                    (true, false) => 300 + c.chance.below(3 * SECOND),
                    (false, false) => 300 + c.chance.below(15 * SECOND),
                };
                if is_code && next.is_some() {
                    c.zeros += 1;
                    self.press(Key::Digit(0));
                } else if let Some(digit) = next {
                    // What the booth does not take for digits of a receipt is none.
                    c.is_dialled = dialled == 0 || c.is_dialled && is_in;
                    c.digits += 1;
                    let is_last = dialled == 11;
                    let asks_back = (is_last && c.is_dialled)
                        .then(|| c.dialling.as_ref().map(|(clip_id, _)| clip_id.clone()))
                        .flatten();
                    if let Some(clip_id) = asks_back {
                        self.asks_back(&clip_id);
                    }
                    self.press(Key::Digit(digit));
                } else if c.chance.percent(40) {
                    return self.hangs_up();
                }
            }
            (Kind::Voter, "question") if vote_digit.is_some() => {
                if c.chance.percent(60) {
                    let options = VOTE_OPTIONS.len() as u64;
                    let option = VOTE_OPTIONS[c.chance.below(options) as usize];
                    let digit = match c.digits {
                        0 => vote_digit.unwrap_or(1),
                        _ => [option, option, 1][c.chance.below(3) as usize],
                    };
                    c.digits += 1;
                    self.press(Key::Digit(digit));
                } else if c.digits > 1 && c.chance.percent(20) {
                    return self.hangs_up();
                }
            }
            (Kind::Speaker { .. } | Kind::Voter, "after") if c.chance.percent(40) => {
                // The digits of the menu after speaking, some of them more often than others.
                let keys = [3, 3, 4, 5, 6, 6, 6, 7, 8, 8, 9, 0, 1, 2];
                let digit = keys[c.chance.below(keys.len() as u64) as usize];
                pause = 300 + c.chance.below(8 * SECOND);
                self.press(Key::Digit(digit));
            }
            (_, "notice" | "question") => {
                if c.chance.percent(30) {
                    let is_wrong = c.chance.percent(10);
                    let digit = 1 + c.chance.below(u64::from(self.plan.questions)) as u8;
                    let hash = self.plan.questions == 1 && c.chance.percent(20);
                    let key = match (is_wrong, hash) {
                        (true, _) => Key::Digit(c.chance.below(10) as u8),
                        (_, true) => Key::Hash,
                        _ => Key::Digit(digit),
                    };
                    self.press(key);
                }
            }
            (Kind::Speaker { answers }, "recording") if !c.speaking => {
                if c.speak_ms > 0 {
                    pause = 400 + c.chance.below(c.speak_ms.min(20 * SECOND));
                    c.speak_ms = c.speak_ms.saturating_sub(pause);
                    self.speak(true);
                } else if answers > 1 {
                    c.kind = Kind::Speaker {
                        answers: answers - 1,
                    };
                    c.speak_ms = c.chance.below(40 * SECOND);
                    let key = if self.plan.is_dial {
                        Key::Digit(5)
                    } else {
                        Key::Hash
                    };
                    self.press(key);
                } else if c.chance.percent(70) {
                    return self.hangs_up();
                }
            }
            (Kind::Speaker { .. }, "recording") => {
                if c.chance.percent(60) {
                    self.speak(false);
                    pause = 200 + self.citizen.chance.below(1_500);
                } else {
                    pause = 200 + c.chance.below(3 * SECOND);
                    c.speak_ms = c.speak_ms.saturating_sub(pause);
                }
            }
            (Kind::Long, "recording") if !c.speaking => self.speak(true),
            (_, "after" | "goodbye" | "out_of_order" | "off_hook") if c.chance.percent(30) => {
                return self.hangs_up();
            }
            _ => {}
        }
        let c = &mut self.citizen;
        if c.is_slow && matches!(heard, "notice" | "question" | "after") {
            pause = c.slow_pause();
        }
        let next = (self.now + pause).min(self.citizen.hang_up_at.max(self.now + 1));
        self.at(next, super::Event::Citizen);
    }

    fn comes(&mut self) {
        let c = &mut self.citizen;
        c.kind = match c.chance.below(100) {
            0..42 => Kind::Speaker {
                answers: 1 + c.chance.below(3),
            },
            42..54 => Kind::Voter,
            54..62 => Kind::Regretful,
            62..68 => Kind::Silent,
            68..76 => Kind::Long,
            76..84 => Kind::Emergency,
            84..96 => Kind::Child,
            _ => Kind::Careless,
        };
        c.speak_ms = c.chance.below(60 * SECOND);
        c.digits = 0;
        c.pressed.clear();
        c.after_keys = 0;
        c.is_dialled = true;
        c.zeros = 0;
        c.is_slow = self.plan.slow_hands
            && matches!(c.kind, Kind::Speaker { .. } | Kind::Voter | Kind::Regretful)
            && c.chance.percent(50);
        c.dialling = None;
        if c.kind == Kind::Regretful && !c.receipts.is_empty() {
            let one = c.chance.below(c.receipts.len() as u64) as usize;
            c.dialling = Some(c.receipts.swap_remove(one));
        }
        let longest = match c.kind {
            Kind::Careless => 5 * HOUR,
            Kind::Child => MINUTE,
            _ => 8 * MINUTE,
        };
        c.hang_up_at = self.now
            + match c.chance.percent(25) {
                true => 50 + c.chance.below(20 * SECOND),
                false => longest / 4 + c.chance.below(longest),
            };
        c.is_off_hook = true;
        c.is_written_off = false;
        c.visit += 1;
        c.acts = 0;
        self.outcome.visits += 1;
        let kind = self.citizen.kind;
        self.say(|| format!("a citizen lifts the handset ({kind:?})"));
        self.handset(HandsetEvent::Lifted);
        let pause = 300 + self.citizen.chance.below(3 * SECOND);
        self.at(self.now + pause, super::Event::Citizen);
    }

    pub(super) fn hangs_up(&mut self) {
        self.say(|| "the citizen hangs up".into());
        self.speak(false);
        self.citizen.is_off_hook = false;
        self.citizen.is_written_off = true;
        self.handset(HandsetEvent::HungUp);
        self.next_arrival();
    }

    fn press(&mut self, key: Key) {
        let source = match (key, self.plan.is_dial) {
            (Key::Digit(_), true) => KeySource::Dial,
            _ => KeySource::Keypad,
        };
        self.say(|| format!("the citizen presses {key:?}"));
        self.citizen.acts += 1;
        let is_after = self.session_name() == "after";
        let is_first = self.citizen.after_keys == 0;
        self.citizen.after_keys += u64::from(is_after);
        if let Key::Digit(digit) = key {
            // Of somebody who presses very many, the latest.
            if self.citizen.pressed.len() == 64 {
                self.citizen.pressed.remove(0);
            }
            self.citizen.pressed.push(digit);
            if is_after {
                self.pressed_after(digit, is_first);
            }
        }
        self.handset(HandsetEvent::Key(key, source));
    }

    /// What is heard in the earpiece: a receipt is written down, and that the booth has taken note is remembered.
    pub(super) fn hears(&mut self, prompts: &[Prompt]) {
        let has = |wanted: Word| prompts.contains(&Prompt::Word(wanted));
        if has(Word::ReceiptIntro)
            && let Some(clip_id) = self.latest_of_this_visit()
        {
            let digits = prompts.iter().filter_map(|prompt| match prompt {
                Prompt::Word(word) => digit_of(*word),
                _ => None,
            });
            let receipt: Vec<u8> = digits.take(12).collect();
            let c = &mut self.citizen;
            if c.receipts.len() < MOST_RECEIPTS {
                c.receipts.push((clip_id, receipt));
            }
        }
        if has(Word::WithdrawNoted) && self.citizen.is_dialled && self.citizen.digits == 12 {
            self.outcome.slow_noted += u64::from(self.citizen.is_slow);
            let dialled = self.citizen.dialling.take();
            if let Some((clip_id, _)) = dialled {
                self.is_noted(&clip_id);
            }
        }
    }

    fn speak(&mut self, speaking: bool) {
        if self.citizen.speaking != speaking {
            self.citizen.speaking = speaking;
            self.citizen.speaking_since = self.now;
            self.wake_recorder(self.now + 60);
        }
    }
}
