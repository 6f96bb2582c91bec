//! Does the microphone hear anything? "Looks healthy but records nothing" is the worst fault of this field. Pure.
//!
//! Owns: the suspicion (recordings without speech, a dead noise floor), when the self-test's tone is played, and the
//! verdict. Never does: close a booth because of a few silent recordings. Only a self-test that hears nothing closes it, and
//! a later one that hears opens it again. Where the tone was never heard no test can open it: there it is closed for ten minutes, and
//! then tried again.

use std::time::Duration;

use booth_contract::time::Mono;

/// This many recordings without speech in a row are suspicious.
pub const SILENT_RECORDINGS: u64 = 3;
/// No working microphone has a noise floor below this, dBFS: the quietest handset's own noise is some 20 dB higher.
const DEAD_FLOOR_DBFS: f64 = -95.0;
/// A floor that stays so low for this long is dead.
const DEAD_AFTER: Duration = Duration::from_secs(60);
/// A failed test is repeated after this pause.
const AGAIN: Duration = Duration::from_secs(600);
/// A failed test without a suspicion is first repeated after this short pause, so that a passing lorry does not close the
/// booth.
const AGAIN_SOON: Duration = Duration::from_secs(20);
/// After the start the test waits until the parts had time to come up.
const SETTLES: Duration = Duration::from_secs(10);
/// How long the room is listened to before the tone.
const BASELINE: Duration = Duration::from_millis(600);
/// How long the tone is waited for at most.
const TONE_LIMIT: Duration = Duration::from_secs(5);
/// The tone has to be this much louder than the room, dB.
const ABOVE_ROOM_DB: f64 = 10.0;
/// The tone has to be at least this loud, dBFS.
const LEAST_TONE_DBFS: f64 = -80.0;

/// What was heard over a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heard {
    /// For how long, ms.
    pub ms: u64,
    /// The test tone's level, loudest 200 ms, dBFS.
    pub tone_dbfs: f64,
    /// Some sample differed from the one before it.
    pub moved: bool,
}

impl Heard {
    /// Nothing was heard.
    pub fn nothing() -> Self {
        Self {
            ms: 0,
            tone_dbfs: -120.0,
            moved: false,
        }
    }
}

/// How far the self-test may close the booth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToneTest {
    /// The earpiece is near the microphone: its tone has to be heard.
    Judges,
    /// The microphone does not hear the earpiece: only samples that never change close the booth.
    ConstantOnly,
    /// A simulated handset: the test is made and reported, and closes nothing.
    TellsOnly,
}

/// What a self-test of the microphone found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The tone was heard.
    Heard,
    /// Sound arrives, but the tone is not in it.
    ToneNotHeard,
    /// Every sample is the same.
    Constant,
    /// No samples came while the test ran, or the tone was not played.
    NotMade,
}

impl Verdict {
    /// A sentence for operations.
    pub fn sentence(self) -> &'static str {
        match self {
            Verdict::Heard => "the microphone hears the test tone",
            Verdict::ToneNotHeard => "the microphone does not hear the test tone from the earpiece",
            Verdict::Constant => {
                "the microphone gives the same sample for ever: nothing is connected to the sound card"
            }
            Verdict::NotMade => {
                "the microphone could not be tested: no sound was recorded or played"
            }
        }
    }
}

/// The next step of the test, for the caller to carry out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestStep {
    /// Begin to listen anew; no answer is expected.
    Listen,
    /// Play the tone in the earpiece, and listen anew.
    PlayTone,
    /// Report what was heard since the last step.
    Ask,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    Room { until: Mono },
    AskedRoom { until: Mono },
    Tone { room: Heard, until: Mono },
    AskedTone { room: Heard, until: Mono },
}

/// The microphone's judge.
#[derive(Debug, Clone)]
pub struct Microphone {
    test: ToneTest,
    silent_in_row: u64,
    /// When the latest of so many silent recordings was kept that they are suspicious; forgotten after [`AGAIN`].
    silent_at: Option<Mono>,
    floor_dead_since: Option<Mono>,
    stage: Option<Stage>,
    next_test: Mono,
    last: Option<(Mono, Verdict)>,
    failures: u32,
    /// The tone was heard on this card before: the microphone can hear the earpiece of this handset.
    heard_before: bool,
}

impl Microphone {
    /// A microphone that nothing is known about.
    pub fn new(test: ToneTest, now: Mono) -> Self {
        Self {
            test,
            silent_in_row: 0,
            silent_at: None,
            floor_dead_since: None,
            stage: None,
            next_test: now + SETTLES,
            last: None,
            failures: 0,
            heard_before: false,
        }
    }

    /// The tone was heard on this card before.
    pub fn was_heard_before(&mut self, heard: bool) {
        self.heard_before |= heard;
    }

    /// Whether the tone was heard on this card.
    pub fn heard_before(&self) -> bool {
        self.heard_before
    }

    /// A recording was kept, with speech or without.
    pub fn recorded(&mut self, now: Mono, has_speech: bool) {
        if has_speech {
            self.silent_in_row = 0;
            self.silent_at = None;
            return;
        }
        self.silent_in_row += 1;
        if self.silent_in_row >= SILENT_RECORDINGS {
            self.silent_at = Some(now);
        }
        if self.silent_in_row == SILENT_RECORDINGS {
            self.test_now(now);
        }
    }

    /// The noise floor at this moment, dBFS.
    pub fn floor(&mut self, now: Mono, floor_dbfs: f64) {
        if floor_dbfs >= DEAD_FLOOR_DBFS {
            self.floor_dead_since = None;
        } else if self.floor_dead_since.is_none() {
            self.floor_dead_since = Some(now);
            self.next_test = self.next_test.min(now + DEAD_AFTER);
        }
    }

    /// A test is wanted: by command, by night, by suspicion.
    pub fn test_now(&mut self, now: Mono) {
        self.next_test = self.next_test.min(now);
    }

    /// Recordings without speech in a row.
    pub fn silent_in_row(&self) -> u64 {
        self.silent_in_row
    }

    /// Whether a test runs.
    pub fn is_testing(&self) -> bool {
        self.stage.is_some()
    }

    /// The latest finding of a test that was made, and when.
    pub fn last(&self) -> Option<(Mono, Verdict)> {
        self.last
    }

    fn is_floor_dead(&self, now: Mono) -> bool {
        self.floor_dead_since
            .is_some_and(|since| now.since(since) >= DEAD_AFTER)
    }

    /// Why operations should look at the microphone.
    pub fn suspicion(&self, now: Mono) -> Option<String> {
        if self.silent_in_row >= SILENT_RECORDINGS {
            return Some("The last recordings hold no speech.".into());
        }
        if self.test == ToneTest::TellsOnly {
            return None;
        }
        if self.is_floor_dead(now) {
            return Some(
                "The microphone's noise floor is dead: nothing may be connected to the sound card."
                    .into(),
            );
        }
        let (_, verdict) = self.last?;
        let failed = match (self.test, verdict) {
            (_, Verdict::Heard | Verdict::NotMade) => false,
            (ToneTest::Judges, Verdict::ToneNotHeard | Verdict::Constant) => true,
            (ToneTest::ConstantOnly, Verdict::Constant) => true,
            (ToneTest::ConstantOnly, Verdict::ToneNotHeard) | (ToneTest::TellsOnly, _) => false,
        };
        failed.then(|| format!("In the self-test {}.", verdict.sentence()))
    }

    /// Why nobody may be invited to speak, if that is so.
    pub fn closes(&self, now: Mono) -> Option<String> {
        let (_, verdict) = self.last?;
        // One failure without a suspicion is tried again first.
        let is_sure = self.failures >= 2
            || self.silent_in_row >= SILENT_RECORDINGS
            || self.is_floor_dead(now);
        let closes = match (self.test, verdict) {
            (ToneTest::TellsOnly, _) | (_, Verdict::Heard | Verdict::NotMade) => false,
            (ToneTest::Judges | ToneTest::ConstantOnly, Verdict::Constant) => true,
            (ToneTest::ConstantOnly, Verdict::ToneNotHeard) => false,
            // Where the tone was never heard, the handset may be built so; silent recordings are then needed as well.
            (ToneTest::Judges, Verdict::ToneNotHeard) => {
                self.heard_before || self.silent_until().is_some_and(|until| now < until)
            }
        };
        (closes && is_sure).then(|| format!("In the self-test {}.", verdict.sentence()))
    }

    /// How long silent recordings close a booth in which the tone was never heard.
    fn silent_until(&self) -> Option<Mono> {
        self.silent_at.map(|at| at + AGAIN)
    }

    /// Begins or goes on with a test. `at_rest`: the handset is on its hook, nobody is recorded, microphone and earpiece
    /// work.
    pub fn tick(&mut self, now: Mono, at_rest: bool) -> Option<TestStep> {
        if self.silent_until().is_some_and(|until| until <= now) {
            self.silent_at = None;
        }
        match self.stage {
            None if at_rest && self.next_test <= now => {
                self.next_test = Mono(u64::MAX);
                self.stage = Some(Stage::Room {
                    until: now + BASELINE,
                });
                Some(TestStep::Listen)
            }
            None => None,
            // Somebody came: the test begins again when they have gone.
            Some(_) if !at_rest => {
                self.stage = None;
                self.next_test = now;
                None
            }
            Some(Stage::Room { until }) if until <= now => {
                self.stage = Some(Stage::AskedRoom {
                    until: now + TONE_LIMIT,
                });
                Some(TestStep::Ask)
            }
            Some(
                Stage::AskedRoom { until }
                | Stage::Tone { until, .. }
                | Stage::AskedTone { until, .. },
            ) if until <= now => {
                self.found(now, Verdict::NotMade);
                None
            }
            Some(_) => None,
        }
    }

    /// The tone was played to its end.
    pub fn tone_played(&mut self, now: Mono) -> Option<TestStep> {
        let Some(Stage::Tone { room, .. }) = self.stage else {
            return None;
        };
        self.stage = Some(Stage::AskedTone {
            room,
            until: now + TONE_LIMIT,
        });
        Some(TestStep::Ask)
    }

    /// The answer to [`TestStep::Ask`].
    pub fn heard(&mut self, now: Mono, heard: Heard) -> Option<TestStep> {
        match self.stage {
            Some(Stage::AskedRoom { .. }) => {
                self.stage = Some(Stage::Tone {
                    room: heard,
                    until: now + TONE_LIMIT,
                });
                Some(TestStep::PlayTone)
            }
            Some(Stage::AskedTone { room, .. }) => {
                let verdict = if heard.ms < 300 {
                    Verdict::NotMade
                } else if !heard.moved && !room.moved {
                    Verdict::Constant
                } else if heard.tone_dbfs >= LEAST_TONE_DBFS
                    && heard.tone_dbfs >= room.tone_dbfs + ABOVE_ROOM_DB
                {
                    Verdict::Heard
                } else {
                    Verdict::ToneNotHeard
                };
                self.found(now, verdict);
                None
            }
            None | Some(Stage::Room { .. } | Stage::Tone { .. }) => None,
        }
    }

    fn found(&mut self, now: Mono, verdict: Verdict) {
        self.stage = None;
        if verdict == Verdict::NotMade {
            // This test found nothing out; what was known before stays.
            self.next_test = now + AGAIN;
            return;
        }
        self.last = Some((now, verdict));
        match verdict {
            Verdict::Heard => {
                self.failures = 0;
                self.heard_before = true;
                self.next_test = Mono(u64::MAX);
                // The microphone works: people kept silent.
                self.silent_in_row = 0;
                self.silent_at = None;
            }
            Verdict::NotMade => {}
            Verdict::ToneNotHeard | Verdict::Constant => {
                self.failures += 1;
                let soon = self.failures == 1;
                self.next_test = now + if soon { AGAIN_SOON } else { AGAIN };
            }
        }
    }

    /// When [`Microphone::tick`] is due.
    pub fn deadline(&self) -> Option<Mono> {
        let test = match self.stage {
            None => Some(self.next_test).filter(|at| *at < Mono(u64::MAX)),
            Some(
                Stage::Room { until }
                | Stage::AskedRoom { until }
                | Stage::Tone { until, .. }
                | Stage::AskedTone { until, .. },
            ) => Some(until),
        };
        test.into_iter().chain(self.silent_until()).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A booth whose microphone hears this much of the tone, above a room of −70 dBFS.
    struct Booth {
        microphone: Microphone,
        now: Mono,
        tone_dbfs: f64,
        constant: bool,
        tests: u32,
    }

    impl Booth {
        fn new(test: ToneTest) -> Self {
            Self {
                microphone: Microphone::new(test, Mono(0)),
                now: Mono(0),
                tone_dbfs: -50.0,
                constant: false,
                tests: 0,
            }
        }

        fn pass(&mut self, span: Duration) {
            let end = self.now + span;
            while self.now < end {
                let mut step = self.microphone.tick(self.now, true);
                while let Some(done) = step {
                    let moved = !self.constant;
                    let heard = |tone_dbfs| Heard {
                        ms: 600,
                        tone_dbfs,
                        moved,
                    };
                    step = match done {
                        TestStep::Listen => None,
                        TestStep::Ask
                            if self
                                .microphone
                                .stage
                                .is_some_and(|stage| matches!(stage, Stage::AskedRoom { .. })) =>
                        {
                            self.microphone.heard(self.now, heard(-70.0))
                        }
                        TestStep::Ask => self.microphone.heard(self.now, heard(self.tone_dbfs)),
                        TestStep::PlayTone => {
                            self.tests += 1;
                            self.microphone
                                .tone_played(self.now + Duration::from_millis(700))
                        }
                    };
                }
                self.now = self.now + Duration::from_millis(200);
            }
        }

        fn closed(&self) -> bool {
            self.microphone.closes(self.now).is_some()
        }
    }

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_sound_booth_is_tested_once_after_the_start_and_stays_open() {
        let mut booth = Booth::new(ToneTest::Judges);
        booth.pass(HOUR);
        assert_eq!(booth.tests, 1);
        assert!(!booth.closed() && booth.microphone.suspicion(booth.now).is_none());
        assert!(booth.microphone.heard_before());
    }

    #[test]
    fn three_pranks_alarm_and_test_at_once_and_do_not_close_the_booth() {
        let mut booth = Booth::new(ToneTest::Judges);
        booth.pass(HOUR);
        for _ in 0..SILENT_RECORDINGS {
            assert!(booth.microphone.suspicion(booth.now).is_none());
            booth.microphone.recorded(booth.now, false);
        }
        assert!(booth.microphone.suspicion(booth.now).is_some());
        booth.pass(Duration::from_secs(5));
        assert_eq!(booth.tests, 2);
        // The tone was heard: nobody had spoken.
        assert!(!booth.closed() && booth.microphone.suspicion(booth.now).is_none());
    }

    #[test]
    fn a_dead_microphone_closes_the_booth_is_tested_every_ten_minutes_and_opens_it_again() {
        let mut booth = Booth::new(ToneTest::Judges);
        booth.pass(HOUR);
        booth.tone_dbfs = -120.0;
        for _ in 0..SILENT_RECORDINGS {
            booth.microphone.recorded(booth.now, false);
        }
        booth.pass(Duration::from_secs(5));
        assert!(booth.closed());
        let before = booth.tests;
        booth.pass(HOUR);
        assert!(
            (5..=8).contains(&(booth.tests - before)),
            "{}",
            booth.tests - before
        );
        assert!(booth.closed());
        booth.tone_dbfs = -50.0;
        booth.pass(AGAIN + Duration::from_secs(5));
        assert!(!booth.closed() && booth.microphone.suspicion(booth.now).is_none());
    }

    #[test]
    fn a_handset_that_never_heard_its_earpiece_is_told_and_stays_open_until_recordings_are_silent_too()
     {
        let mut booth = Booth::new(ToneTest::Judges);
        booth.tone_dbfs = -120.0;
        booth.pass(HOUR);
        assert!(booth.microphone.suspicion(booth.now).is_some() && !booth.closed());
        for _ in 0..SILENT_RECORDINGS {
            booth.microphone.recorded(booth.now, false);
        }
        assert!(booth.closed());
        // No test can open it, so it is tried again; the alert stays.
        booth.pass(AGAIN - Duration::from_secs(5));
        assert!(booth.closed());
        booth.pass(Duration::from_secs(6));
        assert!(!booth.closed() && booth.microphone.suspicion(booth.now).is_some());
        booth.pass(HOUR);
        assert!(!booth.closed());
        booth.microphone.recorded(booth.now, false);
        assert!(booth.closed());
        // A recording with speech was kept after all.
        booth.microphone.recorded(booth.now, true);
        assert!(!booth.closed());
    }

    #[test]
    fn samples_that_never_change_close_every_real_booth_after_two_tests_and_no_simulated_one() {
        for (test, closes) in [
            (ToneTest::Judges, true),
            (ToneTest::ConstantOnly, true),
            (ToneTest::TellsOnly, false),
        ] {
            let mut booth = Booth::new(test);
            booth.constant = true;
            booth.tone_dbfs = -120.0;
            booth.pass(SETTLES + Duration::from_secs(3));
            assert!(!booth.closed(), "{test:?}: one test is none");
            booth.pass(AGAIN_SOON + Duration::from_secs(3));
            assert_eq!(booth.closed(), closes, "{test:?}");
        }
        let mut booth = Booth::new(ToneTest::ConstantOnly);
        booth.tone_dbfs = -120.0;
        booth.pass(HOUR);
        assert!(!booth.closed() && booth.microphone.suspicion(booth.now).is_none());
    }

    #[test]
    fn a_dead_noise_floor_is_told_and_tested_and_closes_only_with_a_failed_test() {
        let mut booth = Booth::new(ToneTest::Judges);
        booth.pass(HOUR);
        booth.microphone.floor(booth.now, -110.0);
        booth.pass(DEAD_AFTER + Duration::from_secs(5));
        assert_eq!(booth.tests, 2);
        assert!(booth.microphone.suspicion(booth.now).is_some() && !booth.closed());
        booth.tone_dbfs = -120.0;
        booth.microphone.test_now(booth.now);
        booth.pass(Duration::from_secs(5));
        assert!(booth.closed());
        booth.microphone.floor(booth.now, -60.0);
        booth.tone_dbfs = -50.0;
        booth.pass(AGAIN);
        assert!(!booth.closed());
    }

    #[test]
    fn a_test_that_cannot_be_made_opens_no_booth_whose_microphone_is_known_to_be_dead() {
        let mut booth = Booth::new(ToneTest::Judges);
        booth.constant = true;
        booth.pass(SETTLES + AGAIN_SOON + Duration::from_secs(6));
        assert!(booth.closed());
        // From here on nobody answers, for an hour.
        let mut now = booth.now;
        let end = now + HOUR;
        while now < end {
            booth.microphone.tick(now, true);
            assert!(booth.microphone.closes(now).is_some());
            now = booth
                .microphone
                .deadline()
                .expect("a deadline")
                .max(Mono(now.0 + 1));
        }
    }

    #[test]
    fn a_citizen_who_comes_during_a_test_ends_it_and_it_is_made_when_he_has_gone() {
        let mut microphone = Microphone::new(ToneTest::Judges, Mono(0));
        let start = Mono(0) + SETTLES;
        assert_eq!(microphone.tick(start, true), Some(TestStep::Listen));
        assert_eq!(microphone.tick(Mono(start.0 + 100), false), None);
        assert!(!microphone.is_testing());
        // A late answer belongs to no test.
        assert_eq!(
            microphone.heard(Mono(start.0 + 200), Heard::nothing()),
            None
        );
        assert_eq!(microphone.last(), None);
        let later = Mono(start.0 + 60_000);
        assert_eq!(microphone.tick(later, true), Some(TestStep::Listen));
    }

    #[test]
    fn a_test_that_nobody_answers_ends_and_is_made_again() {
        let mut microphone = Microphone::new(ToneTest::Judges, Mono(0));
        let mut now = Mono(0);
        let mut asked = 0;
        while now < Mono(3_600_000) {
            if microphone.tick(now, true) == Some(TestStep::Ask) {
                asked += 1;
            }
            now = microphone
                .deadline()
                .expect("a deadline")
                .max(Mono(now.0 + 1));
        }
        assert!((5..=8).contains(&asked), "{asked}");
        assert_eq!(microphone.last(), None);
        assert!(microphone.closes(now).is_none());
    }
}
