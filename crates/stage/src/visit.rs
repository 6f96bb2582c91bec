//! The demonstration's citizen: lifts, listens, dials, speaks, hangs up, and tries again when a visit comes to nothing.
//!
//! Owns: one visit from the lift to the hub's answer, by what the booth says of itself (its handset's socket, its screen, its log). Never does:
//! decide by the clock that a visit has failed. The booth does, by its own deadlines: then it is at another state than the one waited
//! for, and that visit counts as lost.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use booth_host::line_server::ask;

use super::pulse::Pulse;
use super::screen::Screen;
use super::stage::{Fault, Stage};

/// After so many visits that came to nothing it is no bad luck.
const VISITS: u32 = 10;
/// What the booth's log says when a withdrawal is on its card.
const WITHDRAWAL_KEPT: &str = "a withdrawal is kept";
/// Samples a second at the ear.
const RATE: u64 = 48_000;

/// What is said at the handset's socket when asked for its state.
pub fn state(socket: &Path) -> Option<serde_json::Value> {
    serde_json::from_str(&ask(socket, "state").ok()?).ok()
}

/// Moves the simulated handset.
pub fn press(socket: &Path, line: &str) -> Result<(), Fault> {
    let gateway = |why: String| Fault {
        why,
        program: Some("gateway".into()),
    };
    match ask(socket, line)
        .map_err(|error| gateway(format!("{}: {error}", socket.display())))?
        .as_str()
    {
        "ok" => Ok(()),
        other => Err(gateway(format!(
            "the handset answers {line:?} with {other:?}"
        ))),
    }
}

/// The ids of the clips that the gateway's log has with this word, in their order.
pub fn clips(log: &str, word: &str) -> Vec<String> {
    log.lines()
        .filter(|line| line.split_whitespace().nth(2) == Some(word))
        .filter_map(|line| Some(line.split_once("clip_id=")?.1.split(' ').next()?.to_owned()))
        .collect()
}

/// A clip on its way: its id, and when its citizen hung up.
struct Left {
    clip: String,
    hung_up: Instant,
}

/// A message that a citizen has left, and the receipt that the screen showed.
pub struct Spoken {
    pub clip: String,
    /// Twelve digits in groups.
    pub receipt: String,
}

/// How a visit ended, if nothing is broken.
enum Visit<T> {
    Good(T),
    /// It came to nothing, for this reason.
    Lost(String),
}

/// Leaves the visit with its reason if the booth is elsewhere.
macro_rules! or_lost {
    ($reached:expr) => {
        if let Err(why) = $reached {
            return Ok(Visit::Lost(why));
        }
    };
}

/// A citizen with something to say.
pub struct Visitor<'a> {
    pub stage: &'a Stage,
    pub pulse: &'a Pulse,
    pub socket: &'a Path,
    pub screen: &'a Screen,
    /// The words as a WAV file.
    pub speech: PathBuf,
}

impl<T> Visit<T> {
    fn with<U>(self, more: U) -> Visit<(T, U)> {
        match self {
            Self::Good(good) => Visit::Good((good, more)),
            Self::Lost(why) => Visit::Lost(why),
        }
    }
}

impl Visitor<'_> {
    /// Leaves a message, allows its text to be published, asks for its receipt, and waits until the hub has it.
    pub fn speaks_and_is_heard(&self) -> Result<Spoken, Fault> {
        let (left, receipt) = self.until_it_works(|| self.speak())?;
        let clip = self.is_at_the_hub(left)?;
        Ok(Spoken { clip, receipt })
    }

    /// Votes, and waits until the hub has the vote; its clip.
    pub fn votes(&self) -> Result<String, Fault> {
        let left = self.until_it_works(|| self.vote())?;
        self.is_at_the_hub(left)
    }

    /// Takes a message back by its receipt.
    pub fn takes_back(&self, receipt: &str) -> Result<(), Fault> {
        self.until_it_works(|| self.take_back(receipt))
    }

    /// Visits until one of the visits comes to something.
    fn until_it_works<T>(&self, visit: impl Fn() -> Result<Visit<T>, Fault>) -> Result<T, Fault> {
        for _ in 0..VISITS {
            match visit()? {
                Visit::Good(good) => return Ok(good),
                Visit::Lost(why) => {
                    self.stage.steps.next(&format!(
                        "this visit came to nothing: {why}; the citizen tries again"
                    ));
                    if self.pulse.pactl(&["info"]).is_none() {
                        return Err("the sound card without hardware (PulseAudio) has gone"
                            .to_owned()
                            .into());
                    }
                    press(self.socket, "hang-up")?;
                    ready(self.stage, self.socket)?;
                }
            }
        }
        Err(Fault {
            why: format!("{VISITS} visits came to nothing"),
            program: Some("gateway".into()),
        })
    }

    fn speak(&self) -> Result<Visit<(Left, String)>, Fault> {
        let (stage, steps) = (self.stage, &self.stage.steps);
        let before = Told::so_far(&stage.log("gateway"));
        let ear = stage.folder.join("ear.raw");
        let listener = self.pulse.listen(&ear);
        press(self.socket, "lift")?;
        steps.next("a citizen lifts the handset and hears who records and why …");
        or_lost!(self.reaches("question", &["notice"])?);
        steps.next("… and the questions");
        let from = heard(&ear);
        or_lost!(
            self.until("the question is heard in the earpiece", "question", || {
                heard(&ear) > from + 2 * RATE && loudest(&ear) > 1000
            })?
        );
        drop(listener);
        steps.done("the earpiece speaks");
        press(self.socket, "dial 1")?;
        steps.next("the citizen dials 1: consent, and the choice of a question");
        or_lost!(self.reaches("recording", &["question"])?);
        steps.done("the tone has sounded; what is said now is kept");
        steps.next("the citizen speaks");
        self.pulse.speak(&self.speech);
        or_lost!(self.reaches("recording", &[])?);
        press(self.socket, "dial #")?;
        steps.next("and ends the message with #");
        or_lost!(self.reaches("after", &["recording"])?);
        or_lost!(self.until("the booth says what can be done", "after", || {
            self.screen.offers("6") && self.screen.offers("8")
        })?);
        press(self.socket, "dial 8")?;
        steps.next("the citizen allows the text to be published, not the voice: 8");
        press(self.socket, "dial 6")?;
        let what = "the screen shows the receipt";
        or_lost!(self.until(what, "after", || self.screen.receipt().is_some())?);
        let receipt = self.screen.receipt().unwrap_or_default();
        steps.done(&format!(
            "asks for a receipt, 6, and writes it down: {receipt}"
        ));
        let left = self.hang_up(&before)?;
        Ok(left.with(receipt))
    }

    fn vote(&self) -> Result<Visit<Left>, Fault> {
        let steps = &self.stage.steps;
        let before = Told::so_far(&self.stage.log("gateway"));
        press(self.socket, "lift")?;
        or_lost!(self.reaches("question", &["notice"])?);
        press(self.socket, "dial 2")?;
        let what = "the booth offers the options";
        or_lost!(self.until(what, "question", || self.screen.offers("3"))?);
        press(self.socket, "dial 3")?;
        let what = "the choice is on the screen";
        or_lost!(self.until(what, "question", || self.screen.chosen().is_some())?);
        let chosen = self.screen.chosen().unwrap_or_default();
        steps.next(&format!(
            "another citizen dials 2, a vote, and chooses 3, {chosen:?}"
        ));
        self.hang_up(&before)
    }

    fn take_back(&self, receipt: &str) -> Result<Visit<()>, Fault> {
        press(self.socket, "lift")?;
        or_lost!(self.reaches("question", &["notice"])?);
        for _ in 0..3 {
            press(self.socket, "dial 0")?;
        }
        or_lost!(self.reaches("withdrawal", &["question"])?);
        let before = self.screen.headline();
        for digit in receipt.chars().filter(char::is_ascii_digit) {
            press(self.socket, &format!("dial {digit}"))?;
        }
        self.stage
            .steps
            .next("the first citizen comes back, dials 000 and the receipt");
        let kept = || self.stage.log("gateway").contains(WITHDRAWAL_KEPT);
        self.stage
            .wait_for("the booth has taken note", "gateway", || {
                Ok(kept().then_some(()))
            })?;
        // What the booth says to it is on its screen.
        let said = self.screen.headline();
        let said = if said == before { String::new() } else { said };
        press(self.socket, "hang-up")?;
        self.stage
            .steps
            .done(format!("the booth has taken note. {said}").trim());
        Ok(Visit::Good(()))
    }

    /// Hangs up, and waits until what the citizen left is kept.
    fn hang_up(&self, before: &Told) -> Result<Visit<Left>, Fault> {
        let hung_up = Instant::now();
        press(self.socket, "hang-up")?;
        self.stage.steps.next("and hangs up");
        self.stage.wait_for("what was left is kept", "gateway", || {
            let told = Told::so_far(&self.stage.log("gateway"));
            if let Some(clip) = told.kept.get(before.kept.len()) {
                let clip = clip.clone();
                return Ok(Some(Visit::Good(Left { clip, hung_up })));
            }
            Ok((told.lost > before.lost)
                .then(|| Visit::Lost("nothing of the visit was kept".into())))
        })
    }

    /// Waits until the booth has the hub's receipt for a clip.
    fn is_at_the_hub(&self, left: Left) -> Result<String, Fault> {
        let Left { clip, hung_up } = left;
        self.stage
            .wait_for("the hub's receipt is at the booth", "hub", || {
                Ok(clips(&self.stage.log("gateway"), "confirmed")
                    .contains(&clip)
                    .then_some(()))
            })?;
        let took = hung_up.elapsed().as_millis();
        self.stage.steps.done(&format!(
            "the hub has it, by its hash; its answer is at the booth {took} ms after hanging up"
        ));
        ready(self.stage, self.socket)?;
        Ok(clip)
    }

    /// Waits for a state of the session behind some others; a sentence if it is at none of them.
    fn reaches(&self, wanted: &str, before: &[&str]) -> Result<Result<(), String>, Fault> {
        let what = format!("the booth is at {wanted:?}");
        self.stage.wait_for(&what, "gateway", || {
            Ok(session(self.socket).and_then(|at| arrived(&at, wanted, before)))
        })
    }

    /// Waits until this is true; a sentence if the session leaves that state before.
    fn until(
        &self,
        what: &str,
        at: &str,
        is_so: impl Fn() -> bool,
    ) -> Result<Result<(), String>, Fault> {
        self.stage.wait_for(what, "gateway", || {
            if is_so() {
                return Ok(Some(Ok(())));
            }
            let left = session(self.socket).filter(|session| session != at);
            Ok(left.map(|left| Err(format!("the booth went on to {left:?} before {what}"))))
        })
    }
}

/// Whether a session at `at` has arrived where it is wanted, can still get there from `before`, or has gone elsewhere.
pub fn arrived(at: &str, wanted: &str, before: &[&str]) -> Option<Result<(), String>> {
    if at == wanted {
        Some(Ok(()))
    } else if before.contains(&at) {
        None
    } else {
        Some(Err(format!("the booth is at {at:?} and not at {wanted:?}")))
    }
}

/// What the gateway's log tells about recordings.
pub struct Told {
    pub kept: Vec<String>,
    /// How many came to nothing.
    pub lost: usize,
}

impl Told {
    pub fn so_far(log: &str) -> Self {
        let lost = |line: &&str| line.contains("a recording failed") || line.contains("discarded");
        Self {
            kept: clips(log, "kept"),
            lost: log.lines().filter(lost).count(),
        }
    }
}

fn session(socket: &Path) -> Option<String> {
    Some(state(socket)?["session"].as_str()?.to_owned())
}

/// Waits until the booth invites people to speak and the hub listens.
pub fn ready(stage: &Stage, socket: &Path) -> Result<(), Fault> {
    stage.wait_for("the booth is ready", "gateway", || {
        let state = state(socket);
        Ok(state
            .filter(|state| {
                state["ready"] == 1 && state["hub_online"] == 1 && state["session"] == "idle"
            })
            .map(drop))
    })
}

/// Samples at the ear so far.
fn heard(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len() / 2)
}

/// Largest magnitude in the last second of the ear.
fn loudest(path: &Path) -> i32 {
    let bytes = std::fs::read(path).unwrap_or_default();
    let from = bytes.len().saturating_sub(2 * RATE as usize) / 2 * 2;
    bytes[from..]
        .chunks_exact(2)
        .map(|pair| i32::from(i16::from_le_bytes([pair[0], pair[1]])).abs())
        .max()
        .unwrap_or(0)
}
