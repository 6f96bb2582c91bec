//! When the booth tests itself: at the start, by night, by command and on suspicion.
//!
//! Owns: which parts of a test are asked for and not answered yet. Never does: judge what was heard; [`crate::microphone`] does.

use booth_contract::time::Mono;

use super::{Around, Booth, Command, Listened, paced};
use crate::microphone::{Heard, TestStep, Verdict};
use crate::session::PlayId;

/// Why nothing is known of the card.
const KEEPER_IS_BUSY: &str =
    "the card keeps the gateway waiting; look for disk errors with booth-gateway doctor";
/// The id under which the self-test's tone is played; the ids of visits never reach it.
pub const TEST_TONE: PlayId = PlayId(u64::MAX);

/// Parts of a test that were asked for and are not answered yet.
#[derive(Debug, Default)]
pub(super) struct SelfTest {
    /// The local minute of the nightly test.
    at_night: Option<u16>,
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
    latest: Option<(Mono, bool)>,
    /// When the latest self-test that was asked for began, and when the next one is due.
    asked: Option<Mono>,
    due: Option<Mono>,
}

impl SelfTest {
    /// One for a booth that tests itself at this local minute.
    pub(super) fn at_night(minute: Option<u16>) -> Self {
        Self {
            at_night: minute,
            ..Self::default()
        }
    }

    /// When the next self-test that was asked for begins.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.due
    }

    /// The centre asks for a self-test.
    pub(super) fn asked(&mut self, now: Mono) {
        self.due = Some(paced(now, self.asked));
    }

    /// The card's answer, or why there is none.
    pub(super) fn card_answered(&mut self, result: Result<(), String>) {
        self.card = Some(result);
    }

    /// The keeper has no room for the question.
    pub(super) fn card_not_asked(&mut self) {
        self.card = Some(Err(KEEPER_IS_BUSY.to_owned()));
    }

    /// The recorder has no room for the question.
    pub(super) fn not_heard(&mut self) {
        self.hearings = self.hearings.saturating_sub(1);
    }
}

impl Booth {
    /// The latest self-test: when, and whether all was well.
    pub fn latest_selftest(&self) -> Option<(Mono, bool)> {
        self.selftest.latest
    }

    /// Notes what a self-test found.
    pub fn selftest_found(&mut self, now: Mono, ok: bool) {
        self.selftest.latest = Some((now, ok));
    }

    /// Whether the card took the self-test's write, once that is known.
    pub fn tested_card(&self) -> Option<&Result<(), String>> {
        self.selftest.card.as_ref()
    }

    /// Begins the self-test that was asked for, if it is due.
    pub(super) fn test_if_due(&mut self, now: Mono, around: &Around) {
        if self.selftest.due.is_some_and(|due| due <= now) {
            self.selftest.due = None;
            self.selftest.asked = Some(now);
            self.begin_selftest(now, around, true);
        }
    }

    /// Begins a whole self-test, for the centre if `is_asking`.
    fn begin_selftest(&mut self, now: Mono, around: &Around, is_asking: bool) {
        self.selftest.is_whole = true;
        self.selftest.card = None;
        self.commands.push(Command::Probe);
        self.microphone.test_now(now);
        if is_asking && self.session.is_off_hook() {
            // The tone may have to wait for long; the asker is answered at once, without it.
            self.selftest_done(now, around, Verdict::NotMade, Listened::NotNow);
        }
    }

    fn is_at_rest(&self) -> bool {
        !self.session.is_off_hook()
            && self.session.state_name() == "idle"
            && self.evidence.capture.is_ok()
            && self.evidence.playback.is_ok()
    }

    /// Lets the microphone's judge do its due work.
    pub(super) fn watch_microphone(&mut self, now: Mono, around: &Around) {
        if self.evidence.capture.is_ok()
            && let Some(floor_dbfs) = around.microphone_floor_dbfs
        {
            self.microphone.floor(now, floor_dbfs);
        }
        self.watch_night(now, around);
        let at_rest = self.is_at_rest();
        let was_testing = self.microphone.is_testing();
        let step = self.microphone.tick(now, at_rest);
        self.take_step(step);
        if was_testing && at_rest && !self.microphone.is_testing() {
            self.selftest_done(now, around, Verdict::NotMade, Listened::InVain);
        }
        self.evidence.microphone_suspect = self.microphone.suspicion(now);
        // A verdict interrupts no citizen who is speaking.
        if at_rest {
            self.evidence.microphone_dead = self.microphone.closes(now);
        }
        // Without sound the other results are reported all the same.
        let is_deaf = self.evidence.capture.is_err() || self.evidence.playback.is_err();
        let is_answered = self.selftest.card.is_some() || !around.has_spool;
        if self.selftest.is_whole && is_answered && is_deaf {
            self.selftest_done(now, around, Verdict::NotMade, Listened::NotNow);
        }
    }

    /// When the microphone's judge has something to do; a test that is due waits for a booth at rest.
    pub(super) fn microphone_deadline(&self) -> Option<Mono> {
        let due = self.microphone.deadline();
        due.filter(|_| self.microphone.is_testing() || self.is_at_rest())
    }

    fn watch_night(&mut self, now: Mono, around: &Around) {
        let Some(minute) = self.local_minute(around) else {
            return;
        };
        let is_due = self.selftest.at_night == Some(minute);
        if is_due && self.selftest.night != Some(around.local_day) {
            self.selftest.night = Some(around.local_day);
            self.begin_selftest(now, around, false);
        }
    }

    fn take_step(&mut self, step: Option<TestStep>) {
        match step {
            None => {}
            Some(TestStep::Listen | TestStep::Ask) => self.hear(),
            Some(TestStep::PlayTone) => {
                self.hear();
                self.commands.push(Command::PlayTone);
            }
        }
    }

    fn hear(&mut self) {
        self.selftest.hearings += 1;
        self.commands.push(Command::Hear);
    }

    /// A play ended in the earpiece; it may have been the test's tone.
    pub(super) fn tone_played(&mut self, now: Mono, id: PlayId) {
        if id == TEST_TONE {
            let step = self.microphone.tone_played(now);
            self.take_step(step);
        }
    }

    /// The recorder's answer: what the microphone heard.
    pub(super) fn heard(&mut self, now: Mono, around: &Around, heard: Heard) {
        self.selftest.hearings = self.selftest.hearings.saturating_sub(1);
        if self.selftest.hearings > 0 {
            return; // an earlier question's, from a recorder that was busy
        }
        let was_testing = self.microphone.is_testing();
        // Somebody may have lifted the handset this very moment: then no tone is played.
        let step = match self.is_at_rest() {
            true => self.microphone.heard(now, heard),
            false => self.microphone.tick(now, false),
        };
        self.take_step(step);
        if was_testing && !self.microphone.is_testing() && self.is_at_rest() {
            let made = self.microphone.last().filter(|(at, _)| *at == now);
            let verdict = made.map_or(Verdict::NotMade, |(_, verdict)| verdict);
            self.selftest_done(now, around, verdict, Listened::Heard(heard.tone_dbfs));
        }
    }

    fn selftest_done(&mut self, now: Mono, around: &Around, verdict: Verdict, listened: Listened) {
        // This comes first, because weighing the evidence calls this function again.
        self.selftest.is_whole = false;
        if !self.microphone.is_testing() && self.microphone.heard_before() {
            self.is_unsaved |= !self.selftest.was_heard;
            self.selftest.was_heard = true;
        }
        self.weigh(now, around);
        self.commands
            .push(Command::SelfTested { verdict, listened });
    }
}
