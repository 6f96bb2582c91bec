//! The self-test: does the microphone hear, are hook and dial in their resting position, does the card take a write, is the
//! clock right, is the broker there.
//!
//! Owns: running it at the start, by night, by command and on suspicion. `gateway_core::microphone` judges what was heard.

use booth_contract::time::rfc3339;
use serde_json::json;

use super::Gateway;
use super::desk;
use super::keeper::KeeperCommand;
use crate::adapters::playback::PlaybackCommand;
use crate::adapters::recorder::RecorderCommand;
use crate::status::{Finding, Verdict as Found};
use booth_contract::AlertId;
use booth_contract::time::Mono;
use gateway_core::health::SpoolFault;
use gateway_core::microphone::{Heard, TestStep, Verdict};
use gateway_core::session::{PlayId, Prompt};

/// The area of the self-test's findings among the doctor's.
const AREA: &str = "selftest";
/// Why nothing is known of the card.
const KEEPER_IS_BUSY: &str =
    "the card keeps the gateway waiting; look for disk errors with booth-gateway doctor";
/// The id under which the self-test's tone is played; the ids of visits never reach it.
const TEST_TONE: PlayId = PlayId(u64::MAX);

/// Parts of a test that were asked for and are not answered yet.
#[derive(Default)]
pub(super) struct Asked {
    /// Questions to the recorder that it has not answered.
    hearings: u32,
    /// A whole self-test runs, not only the microphone's test.
    is_whole: bool,
    /// Whether the card took a write, once that is known.
    card: Option<Result<(), String>>,
    /// The local day of the latest nightly test.
    night: Option<i64>,
    /// The card remembers that the tone was heard.
    pub(super) was_heard: bool,
    /// The latest self-test: when, and whether all was well.
    pub(super) last: Option<(Mono, bool)>,
}

impl Gateway {
    /// Asks for a whole self-test, for the centre if `is_asking`.
    pub(super) fn ask_for_selftest(&mut self, now: Mono, is_asking: bool) {
        self.asked.is_whole = true;
        let is_taken = self.keeper.offer(KeeperCommand::Probe);
        self.asked.card = (!is_taken).then(|| Err(KEEPER_IS_BUSY.to_owned()));
        self.microphone.test_now(now);
        if is_asking && self.session.is_off_hook() {
            // The tone may have to wait for long; the asker is answered at once, without it.
            self.selftest_done(now, Verdict::NotMade);
        }
    }

    /// Takes the keeper's report about the card.
    pub(super) fn card_probed(&mut self, result: Result<(), String>) {
        self.asked.card = Some(result);
    }

    fn is_at_rest(&self) -> bool {
        !self.session.is_off_hook()
            && self.session.state_name() == "idle"
            && self.evidence.capture.is_ok()
            && self.evidence.playback.is_ok()
    }

    /// Lets the microphone's judge do its due work.
    pub(super) fn watch_microphone(&mut self, now: Mono) {
        let levels = self.mic_levels.get();
        if self.evidence.capture.is_ok() && levels.samples > 0 {
            self.microphone.floor(now, levels.floor_dbfs);
        }
        self.watch_night(now);
        let at_rest = self.is_at_rest();
        let was_testing = self.microphone.is_testing();
        let step = self.microphone.tick(now, at_rest);
        self.take_step(now, step);
        if was_testing && at_rest && !self.microphone.is_testing() {
            log::warn!("self-test: {}", Verdict::NotMade.sentence());
            self.selftest_done(now, Verdict::NotMade);
        }
        self.evidence.microphone_suspect = self.microphone.suspicion(now);
        // A verdict interrupts no citizen who is speaking.
        if at_rest {
            self.evidence.microphone_dead = self.microphone.closes(now);
        }
        // Without sound the other results are reported all the same.
        let is_deaf = self.evidence.capture.is_err() || self.evidence.playback.is_err();
        let is_answered = self.asked.card.is_some() || self.spool.is_none();
        if self.asked.is_whole && is_answered && is_deaf {
            self.selftest_done(now, Verdict::NotMade);
        }
    }

    /// When the microphone's judge has something to do; a test that is due waits for a booth at rest.
    pub(super) fn microphone_deadline(&self) -> Option<Mono> {
        let due = self.microphone.deadline();
        due.filter(|_| self.microphone.is_testing() || self.is_at_rest())
    }

    fn watch_night(&mut self, now: Mono) {
        let Some(minute) = self.local_minute() else {
            return;
        };
        let today = self.local_day();
        let is_due = self.config.selftest.minute() == Some(minute);
        if is_due && self.asked.night != Some(today) {
            self.asked.night = Some(today);
            self.ask_for_selftest(now, false);
        }
    }

    fn take_step(&mut self, now: Mono, step: Option<TestStep>) {
        match step {
            None => {}
            Some(TestStep::Listen | TestStep::Ask) => self.hear(),
            Some(TestStep::PlayTone) => {
                self.hear();
                self.earpiece.send(PlaybackCommand::Play {
                    id: TEST_TONE,
                    prompts: vec![Prompt::TestTone],
                    gain_steps: 0,
                });
            }
        }
        if step.is_some() {
            log::debug!(at_ms = now.0; "self-test: {step:?}");
        }
    }

    fn hear(&mut self) {
        if self.recorder.offer(RecorderCommand::Hear) {
            self.asked.hearings += 1;
        }
    }

    /// A play ended in the earpiece; it may have been the test's tone.
    pub(super) fn tone_played(&mut self, now: Mono, id: PlayId) {
        if id == TEST_TONE {
            let step = self.microphone.tone_played(now);
            self.take_step(now, step);
        }
    }

    /// The recorder's answer: what the microphone heard.
    pub(super) fn heard(&mut self, now: Mono, heard: Heard) {
        self.asked.hearings = self.asked.hearings.saturating_sub(1);
        if self.asked.hearings > 0 {
            return; // an earlier question's, from a recorder that was busy
        }
        let was_testing = self.microphone.is_testing();
        // Somebody may have lifted the handset this very moment: then no tone is played.
        let step = match self.is_at_rest() {
            true => self.microphone.heard(now, heard),
            false => self.microphone.tick(now, false),
        };
        self.take_step(now, step);
        if was_testing && !self.microphone.is_testing() && self.is_at_rest() {
            let made = self.microphone.last().filter(|(at, _)| *at == now);
            let verdict = made.map_or(Verdict::NotMade, |(_, verdict)| verdict);
            log::info!(tone_dbfs = heard.tone_dbfs; "self-test: {}", verdict.sentence());
            self.selftest_done(now, verdict);
        }
    }

    fn selftest_done(&mut self, now: Mono, microphone: Verdict) {
        // This comes first, because weighing the evidence calls this function again.
        self.asked.is_whole = false;
        if !self.microphone.is_testing() && self.microphone.heard_before() {
            self.counters_changed |= !self.asked.was_heard;
            self.asked.was_heard = true;
        }
        self.weigh(now);
        let found = self.selftest_findings(microphone);
        let ok = found.iter().all(|finding| finding.verdict == Found::Ok);
        self.asked.last = Some((now, ok));
        let ok = u8::from(ok);
        self.event("selftest", json!({ "ok": ok, "findings": found }));
        // The asker also gets what the doctor would report.
        let all: Vec<Finding> = found.into_iter().chain(self.findings(now)).collect();
        if self.desk.waiting.waits(&desk::Asked::SelfTest) {
            let ts = rfc3339(self.machine.wall());
            let reply = json!({ "ok": ok, "findings": all, "ts": ts });
            self.answer(&desk::Asked::SelfTest, &reply);
        }
    }

    fn selftest_findings(&self, microphone: Verdict) -> Vec<Finding> {
        let found = |subject, works: Result<String, String>, otherwise: AlertId| match works {
            Ok(sentence) => Finding::ok(AREA, subject, sentence),
            Err(why) => Finding::fault(AREA, subject, why, otherwise.remedy()),
        };
        let heard = match microphone {
            Verdict::Heard => Ok(microphone.sentence().to_owned()),
            Verdict::ToneNotHeard | Verdict::Constant | Verdict::NotMade => {
                Err(microphone.sentence().to_owned())
            }
        };
        let hook = match &self.evidence.handset {
            Err(why) => Err(why.clone()),
            Ok(()) if self.session.is_off_hook() => Err("the handset is off its hook".into()),
            Ok(()) => Ok("the handset is on its hook".into()),
        };
        let controls = match self.evidence.controls.as_slice() {
            [] => Ok("dial, keys, lamp and bell are at rest".to_owned()),
            faults => Err(faults.join("; ")),
        };
        let card = match (&self.asked.card, &self.evidence.spool) {
            (Some(Err(why)), _) => Err(why.clone()),
            (_, Err(SpoolFault::Full(why) | SpoolFault::Unwritable(why))) => Err(why.clone()),
            (Some(Ok(())) | None, Ok(())) => Ok("the card takes a write".into()),
        };
        let clock = match self.evidence.clock_synced {
            true => Ok("the clock is synchronised".to_owned()),
            false => Err("the clock is not synchronised".to_owned()),
        };
        let broker = match &self.evidence.broker {
            Ok(()) if self.delivery.is_hub_online() => {
                Ok("the broker and the hub are there".to_owned())
            }
            Ok(()) => Err("the broker is there, the hub is not".into()),
            Err((_, why)) => Err(why.clone()),
        };
        vec![
            found("microphone", heard, AlertId::MicrophoneDead),
            found("hook", hook, AlertId::HookNeverOn),
            found("controls", controls, AlertId::ControlsFaulty),
            found("card", card, AlertId::SpoolUnwritable),
            found("clock", clock, AlertId::ClockUnset),
            found("centre", broker, AlertId::NotConnected),
        ]
    }
}
