//! The demonstration's citizen: lifts, listens, dials, speaks, hangs up, and tries again when a visit comes to nothing.
//!
//! Owns: one visit from the lift to the hub's receipt, by what the booth says of itself (its handset's socket, its log). Never does:
//! decide by the clock that a visit has failed. The booth does, by its own deadlines: then it is at another state than the one waited
//! for, and that visit counts as lost.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use booth_host::line_server::ask;

use super::pulse::Pulse;
use super::stage::{Fault, Stage};

/// After so many visits that came to nothing it is no bad luck.
const VISITS: u32 = 10;
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
pub struct Spoken {
    clip: String,
    hung_up: Instant,
}

/// How a visit ended, if nothing is broken.
enum Visit {
    Kept(Spoken),
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
    /// The words as a WAV file.
    pub speech: PathBuf,
}

impl Visitor<'_> {
    /// Visits until one of the visits is kept, and waits for the hub's receipt; the clip's id.
    pub fn speaks_and_is_heard(&self) -> Result<String, Fault> {
        for _ in 0..VISITS {
            match self.visit()? {
                Visit::Kept(spoken) => {
                    receipt(self.stage, &spoken)?;
                    return Ok(spoken.clip);
                }
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

    fn visit(&self) -> Result<Visit, Fault> {
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
        let hung_up = Instant::now();
        press(self.socket, "hang-up")?;
        steps.next("and hangs up");
        stage.wait_for("the words are kept", "gateway", || {
            let told = Told::so_far(&stage.log("gateway"));
            if let Some(clip) = told.kept.get(before.kept.len()) {
                let clip = clip.clone();
                return Ok(Some(Visit::Kept(Spoken { clip, hung_up })));
            }
            Ok((told.lost > before.lost)
                .then(|| Visit::Lost("nothing of the recording was kept".into())))
        })
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

/// Waits until the booth has the hub's receipt, and shows the clip at the hub.
fn receipt(stage: &Stage, spoken: &Spoken) -> Result<(), Fault> {
    let Spoken { clip, hung_up } = spoken;
    stage.wait_for("the hub's receipt is at the booth", "hub", || {
        Ok(clips(&stage.log("gateway"), "confirmed")
            .contains(clip)
            .then_some(()))
    })?;
    let took = hung_up.elapsed().as_millis();
    stage.steps.done(&format!(
        "the hub has it, by its hash; its receipt is at the booth {took} ms after hanging up"
    ));
    Ok(())
}
