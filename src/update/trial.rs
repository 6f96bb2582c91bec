//! Whether a new version has proven itself. Pure: the gateway's answers go in, a verdict comes out.

use std::time::Duration;

use super::state::Kept;
use crate::status::Status;
use booth_contract::time::Mono;
use booth_contract::{AlertId, Severity};

/// A gateway that is ready without a break for this long is the proof.
pub const STEADY: Duration = Duration::from_secs(30);
/// Without proof after this time the old version returns.
pub const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// A citizen who is in the booth when the trial has failed may stay this much longer.
pub const COURTESY: Duration = Duration::from_secs(5 * 60);

/// A gateway that is silent for less than this may be busy with a citizen; one that is silent for longer serves nobody.
pub const SILENCE: Duration = Duration::from_secs(60);

/// Whether the booth is empty, over several questions to its gateway.
#[derive(Debug, Default)]
pub struct Emptiness {
    silent_since: Option<Mono>,
}

impl Emptiness {
    /// Takes the gateway's answer at `now`, `None` where it is silent. `silence` is how long that counts as a citizen.
    pub fn look(&mut self, now: Mono, is_in_use: Option<bool>, silence: Duration) -> bool {
        match is_in_use {
            Some(is_in_use) => {
                self.silent_since = None;
                !is_in_use
            }
            None => now.since(*self.silent_since.get_or_insert(now)) >= silence,
        }
    }
}

/// What has to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Ask again.
    Wait,
    /// The new version has proven itself.
    Commit,
    /// The new version has not: the reason, as a sentence.
    GiveUp(String),
}

/// What keeps a version from having proven itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Missing {
    #[error("the gateway has not answered")]
    Answer,
    /// Why the gateway does not answer.
    #[error("{0}")]
    Silent(String),
    /// The texts of its alerts.
    #[error("the gateway is not ready{}", because(.0))]
    NotReady(Vec<String>),
    #[error("the spool is another one: card_id {now:?}, before {before:?}")]
    OtherSpool { now: String, before: String },
    #[error("the spool is not whole: its last clip is {now}, before {before}")]
    LessSpool { now: u64, before: u64 },
    #[error(
        "the gateway did not connect to the broker, and the version before had; see the network and the \
         broker, and send the update again"
    )]
    Broker,
    #[error("the gateway was not ready for long enough")]
    Time,
}

fn because(why: &[String]) -> String {
    match why {
        [] => String::new(),
        _ => format!(": {}", why.join(" ")),
    }
}

/// A version on trial.
#[derive(Debug)]
pub struct Trial {
    began: Mono,
    patience: Duration,
    steady: Duration,
    kept: Option<Kept>,
    ready_since: Option<Mono>,
    has_connected: bool,
    /// When a citizen was in the booth, according to the latest answer that said so.
    busy_at: Option<Mono>,
    /// What is missing, according to the latest answer.
    missing: Missing,
}

impl Trial {
    /// Begins a trial; `kept` is the spool's state before.
    pub fn new(began: Mono, patience: Duration, steady: Duration, kept: Option<Kept>) -> Self {
        Self {
            began,
            patience,
            steady,
            kept,
            ready_since: None,
            has_connected: false,
            busy_at: None,
            missing: Missing::Answer,
        }
    }

    /// Takes the gateway's answer at `now`, or the reason why there is none.
    pub fn look(&mut self, now: Mono, answer: Result<&Status, &str>) -> Verdict {
        if answer.is_ok_and(is_in_use) {
            self.busy_at = Some(now);
        }
        self.has_connected |=
            answer.is_ok_and(|status| status.connected == 1 || status.was_connected == 1);
        let lacks_broker =
            !self.has_connected && self.kept.as_ref().is_some_and(|kept| kept.was_connected);
        let mut is_steady = false;
        match self.missing_of(answer) {
            Ok(()) => {
                let since = *self.ready_since.get_or_insert(now);
                is_steady = now.since(since) >= self.steady;
                if is_steady && !lacks_broker {
                    return Verdict::Commit;
                }
                self.missing = match lacks_broker {
                    true => Missing::Broker,
                    false => Missing::Time,
                };
            }
            Err(why) => {
                self.ready_since = None;
                self.missing = why;
            }
        }
        let is_late = now.since(self.began) >= self.patience;
        // Half a minute of readiness that began in time may end late.
        if !is_late
            || !is_steady
                && self
                    .ready_since
                    .is_some_and(|since| since < self.began + self.patience)
        {
            return Verdict::Wait;
        }
        let is_busy = match answer {
            Ok(_) => self.busy_at == Some(now),
            Err(_) => self.busy_at.is_some_and(|at| now.since(at) < SILENCE),
        };
        if is_busy && now.since(self.began) < self.patience + COURTESY {
            return Verdict::Wait;
        }
        Verdict::GiveUp(format!(
            "the new version did not prove itself within {} minutes: {}",
            self.patience.as_secs().div_ceil(60),
            self.missing
        ))
    }

    fn missing_of(&self, answer: Result<&Status, &str>) -> Result<(), Missing> {
        let status = answer.map_err(|why| Missing::Silent(why.to_owned()))?;
        if status.ready != 1 && !is_closed_by_the_centre(status) {
            let why = status.faults.iter().map(|fault| fault.text.clone());
            return Err(Missing::NotReady(why.collect()));
        }
        let Some(kept) = &self.kept else {
            return Ok(());
        };
        if status.card_id != kept.card_id {
            let (now, before) = (status.card_id.clone(), kept.card_id.clone());
            return Err(Missing::OtherSpool { now, before });
        }
        if status.last_clip_no < kept.last_clip_no {
            let (now, before) = (status.last_clip_no, kept.last_clip_no);
            return Err(Missing::LessSpool { now, before });
        }
        Ok(())
    }
}

/// Whether nobody can speak only because no question is open now by the centre's configuration: a version that is tried at night,
/// outside the hours, is no worse for that.
fn is_closed_by_the_centre(status: &Status) -> bool {
    let mut closing = status
        .faults
        .iter()
        .filter(|fault| fault.severity == Severity::CitizenCannotSpeak)
        .peekable();
    status.config.applied.is_some()
        && closing.peek().is_some()
        && closing.all(|fault| fault.id == AlertId::NoQuestion.as_str())
}

/// Whether somebody is at the handset; a restart would cut them off.
pub fn is_in_use(status: &Status) -> bool {
    !matches!(
        status.session.as_str(),
        "idle" | "off_hook" | "out_of_order"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Raised;
    use booth_contract::ConfigReport;

    fn status(ready: u8) -> Status {
        Status {
            ready,
            session: "idle".into(),
            card_id: "card".into(),
            last_clip_no: 7,
            ..Status::default()
        }
    }

    fn kept() -> Option<Kept> {
        Some(Kept {
            card_id: "card".into(),
            last_clip_no: 7,
            was_connected: false,
        })
    }

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1000)
    }

    fn trial() -> Trial {
        Trial::new(at(10), PATIENCE, STEADY, kept())
    }

    #[test]
    fn a_booth_that_the_centre_has_closed_for_the_night_proves_itself_all_the_same() {
        let raised = |id: AlertId| Raised {
            id: id.as_str().into(),
            severity: id.severity(),
            text: String::new(),
            remedy: String::new(),
        };
        let closed = |faults: &[AlertId], applied| Status {
            faults: faults.iter().map(|id| raised(*id)).collect(),
            config: ConfigReport {
                applied,
                ..ConfigReport::default()
            },
            ..status(0)
        };
        let commits = |status: &Status| {
            let mut trial = trial();
            trial.look(at(20), Ok(status));
            trial.look(at(50), Ok(status)) == Verdict::Commit
        };
        let (none, clock) = (AlertId::NoQuestion, AlertId::ClockUnset);
        assert!(commits(&closed(&[none, clock], Some(3))));
        assert!(
            !commits(&closed(&[none], None)),
            "the version may have lost its questions"
        );
        assert!(!commits(&closed(&[none, AlertId::CaptureLost], Some(3))));
        assert!(!commits(&closed(&[clock], Some(3))));
    }

    #[test]
    fn half_a_minute_of_readiness_without_a_break_commits() {
        let mut trial = trial();
        assert_eq!(trial.look(at(12), Err("no answer")), Verdict::Wait);
        assert_eq!(trial.look(at(20), Ok(&status(1))), Verdict::Wait);
        assert_eq!(trial.look(at(49), Ok(&status(1))), Verdict::Wait);
        assert_eq!(trial.look(at(49), Ok(&status(0))), Verdict::Wait);
        assert_eq!(trial.look(at(60), Ok(&status(1))), Verdict::Wait);
        assert_eq!(trial.look(at(89), Ok(&status(1))), Verdict::Wait);
        assert_eq!(trial.look(at(90), Ok(&status(1))), Verdict::Commit);
    }

    #[test]
    fn without_it_the_old_version_returns_and_the_reason_is_the_gateways() {
        let mut broken = status(0);
        broken.faults.push(crate::status::Raised {
            id: "capture_lost".into(),
            severity: booth_contract::Severity::CitizenCannotSpeak,
            text: "No sound arrives.".into(),
            remedy: String::new(),
        });
        let mut trial = trial();
        assert_eq!(trial.look(at(909), Ok(&broken)), Verdict::Wait);
        let Verdict::GiveUp(why) = trial.look(at(910), Ok(&broken)) else {
            panic!("it gives up");
        };
        assert!(
            why.contains("15 minutes") && why.contains("No sound arrives."),
            "{why}"
        );
    }

    #[test]
    fn readiness_that_began_in_time_is_waited_for() {
        let mut trial = trial();
        assert_eq!(trial.look(at(900), Ok(&status(1))), Verdict::Wait);
        assert_eq!(trial.look(at(920), Ok(&status(1))), Verdict::Wait);
        assert_eq!(trial.look(at(930), Ok(&status(1))), Verdict::Commit);
        // Readiness that began too late does not count, or a booth that comes and goes would never get a verdict.
        let mut late = self::trial();
        assert!(matches!(
            late.look(at(911), Ok(&status(1))),
            Verdict::GiveUp(_)
        ));
    }

    #[test]
    fn a_version_that_has_lost_the_spool_never_commits() {
        for change in [
            |status: &mut Status| status.card_id = "another".into(),
            |status: &mut Status| status.last_clip_no = 6,
            |status: &mut Status| status.card_id = String::new(),
        ] {
            let mut status = status(1);
            change(&mut status);
            let mut trial = trial();
            for second in 10..910 {
                assert_eq!(trial.look(at(second), Ok(&status)), Verdict::Wait);
            }
            let Verdict::GiveUp(why) = trial.look(at(910), Ok(&status)) else {
                panic!("it gives up");
            };
            assert!(why.contains("spool"), "{why}");
        }
    }

    #[test]
    fn a_version_that_cannot_reach_the_broker_that_the_one_before_reached_never_commits() {
        let connected = || {
            let mut kept = kept().expect("a spool");
            kept.was_connected = true;
            Trial::new(at(10), PATIENCE, STEADY, Some(kept))
        };
        let mut trial = connected();
        for second in 10..910 {
            assert_eq!(trial.look(at(second), Ok(&status(1))), Verdict::Wait);
        }
        let Verdict::GiveUp(why) = trial.look(at(910), Ok(&status(1))) else {
            panic!("it gives up");
        };
        assert!(why.contains("did not connect to the broker"), "{why}");
        // One connection is enough: networks come and go.
        let mut trial = connected();
        let mut met = status(1);
        met.connected = 1;
        assert_eq!(trial.look(at(10), Ok(&met)), Verdict::Wait);
        assert_eq!(trial.look(at(40), Ok(&status(1))), Verdict::Commit);
    }

    #[test]
    fn a_gateway_that_is_silent_is_no_empty_booth_until_it_has_been_so_for_a_minute() {
        let mut booth = Emptiness::default();
        let mut is_empty = |second, is_in_use| booth.look(at(second), is_in_use, SILENCE);
        assert!(!is_empty(0, Some(true)));
        assert!(!is_empty(2, None));
        assert!(!is_empty(61, None));
        // An answer begins the minute anew.
        assert!(!is_empty(62, Some(true)));
        assert!(!is_empty(64, None));
        assert!(!is_empty(123, None));
        assert!(is_empty(124, None));
        assert!(is_empty(125, Some(false)));
        assert!(!is_empty(126, None));
        // The end of a trial waits for a citizen over a silence, too.
        let mut busy = status(0);
        busy.session = "recording".into();
        let mut trial = trial();
        assert_eq!(trial.look(at(909), Ok(&busy)), Verdict::Wait);
        assert_eq!(trial.look(at(910), Err("no answer")), Verdict::Wait);
        assert_eq!(trial.look(at(968), Err("no answer")), Verdict::Wait);
        let mut silent = trial.look(at(969), Err("no answer"));
        assert!(matches!(silent, Verdict::GiveUp(_)));
        silent = trial.look(at(970), Ok(&status(0)));
        assert!(matches!(silent, Verdict::GiveUp(_)));
    }

    #[test]
    fn a_citizen_in_the_booth_is_waited_for_but_not_for_ever() {
        let mut busy = status(0);
        busy.session = "recording".into();
        let mut trial = trial();
        assert_eq!(trial.look(at(910), Ok(&busy)), Verdict::Wait);
        assert_eq!(trial.look(at(1209), Ok(&busy)), Verdict::Wait);
        assert!(matches!(
            trial.look(at(1210), Ok(&busy)),
            Verdict::GiveUp(_)
        ));
    }
}
