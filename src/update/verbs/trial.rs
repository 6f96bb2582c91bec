//! `booth-gateway update --trial`: the start of the machine, where a version on trial gets its verdict.
#![allow(clippy::disallowed_methods)] // waits between its looks

use std::time::Duration;

use super::{ASK_EVERY, LOCK_BRIEFLY, RESTART_WITHIN, Updater, VerbError};
use crate::trust::keys::Keys;
use crate::update::boot::BootControl;
use crate::update::here::Booth;
use crate::update::state::{Phase, Store, Version};
use crate::update::trial::{COURTESY, Trial, Verdict};
use crate::update::{Hands, REQUEST, Start, UpdateError, commit, give_up, settle};
use booth_contract::time::Mono;
use booth_host::clock;

impl Updater {
    /// At the start of the machine: finds out what became of an update, and watches over a version on trial. True if the
    /// version was committed, false if there is nothing on trial or the trial was given up. If it cannot be found out
    /// whether the version is on trial, this asks again until the time of a trial is over; then the machine restarts.
    pub fn trial(&self, patience: Duration, steady: Duration) -> Result<bool, VerbError> {
        self.places.need_root()?;
        let store = self.places.store();
        let pause = ASK_EVERY.min(steady.max(Duration::from_millis(50)));
        let mut complaint = String::new();
        loop {
            let why = match self.looked(&store) {
                Ok((_, Start::Usual)) => return Ok(false),
                Ok((_, Start::Lost(why))) => {
                    log::error!("{why}");
                    self.is_empty_within(COURTESY);
                    return self.go_back();
                }
                Ok((booth, Start::Trial(state))) => {
                    let began = self.places.trial_began(clock::mono());
                    let trial = Trial::new(began, patience, steady, state.kept);
                    return self.with(&booth, &store, &Keys::default(), |hands| {
                        self.watch(hands, trial, began + patience, pause)
                    });
                }
                Err(why) => why,
            };
            if !self.may_be_on_trial(&store) {
                if self.places.at("/run/booth").exists() {
                    log::error!("{why}");
                    return Ok(false);
                }
                return Err(why);
            }
            let said = why.to_string();
            if said != complaint {
                log::warn!("this version may be on trial, and that cannot be found out: {said}");
                complaint = said;
            }
            if clock::mono().since(self.places.trial_began(clock::mono())) >= patience {
                log::error!("{why}");
                return self.go_back();
            }
            std::thread::sleep(pause);
        }
    }

    /// The booth, and what became of its update.
    fn looked(&self, store: &Store) -> Result<(Booth, Start), VerbError> {
        let booth = Booth::find(&self.places)?;
        let start = self.with(&booth, store, &Keys::default(), |hands| self.look(hands))?;
        Ok((booth, start))
    }

    /// Settles under the lock. A trial gets its verdict even if the lock cannot be had.
    fn look(&self, hands: &Hands) -> Result<Start, VerbError> {
        let _lock = match self.lock_within(hands.store, LOCK_BRIEFLY) {
            Ok(lock) => Some(lock),
            Err(why) if hands.boot.is_on_trial().unwrap_or(true) => {
                log::warn!("{why}");
                None
            }
            // The holder of the lock writes an update and knows its state.
            Err(why) => {
                log::warn!("{why}");
                return Ok(Start::Usual);
            }
        };
        let has_request = self
            .config()
            .is_ok_and(|config| config.spool.dir.join(REQUEST).exists());
        Ok(settle(hands, clock::mono(), has_request)?)
    }

    /// Waits for a trial to be over; true if it is still on after `limit`.
    pub(super) fn is_on_trial_for(&self, limit: Duration) -> bool {
        let is_marked = || self.places.is_marked_on_trial();
        let mut is_known = true;
        let is_over = self.wait(limit, || match Booth::find(&self.places) {
            Ok(booth) => !booth
                .firmware()
                .is_on_trial()
                .unwrap_or_else(|_| is_marked()),
            Err(_) => {
                is_known = false;
                true
            }
        });
        // A machine that is no booth, or that cannot be examined, is not on trial unless the initrd has marked it.
        match is_known {
            true => !is_over,
            false => is_marked(),
        }
    }

    /// Whether this may be a trial; for the case that neither the firmware's file nor the image's can be read.
    fn may_be_on_trial(&self, store: &Store) -> bool {
        let booth = Booth::find(&self.places);
        if let Ok(booth) = &booth
            && let Ok(is_on_trial) = booth.firmware().is_on_trial()
        {
            return is_on_trial;
        }
        let is_noted = || {
            let state = store.load().unwrap_or_default();
            let is_begun = matches!(state.phase, Phase::Armed | Phase::Trial | Phase::Unknown);
            let is_running = |to: &Version| {
                let running = booth.as_ref().map(|booth| &booth.running.image_id);
                running.is_ok_and(|running| *running == to.image_id)
            };
            is_begun && state.to.as_ref().is_some_and(is_running)
        };
        self.places.is_marked_on_trial() || is_noted()
    }

    fn watch(
        &self,
        hands: &Hands,
        mut trial: Trial,
        over: Mono,
        pause: Duration,
    ) -> Result<bool, VerbError> {
        log::warn!(version = hands.running.version.as_str(); "this version is on trial");
        let mut complaint = String::new();
        loop {
            let answer = self.ask().map_err(|why| why.to_string());
            let verdict = trial.look(clock::mono(), answer.as_ref().map_err(String::as_str));
            let verdict = match verdict {
                Verdict::Commit => self.keep(hands, over, &mut complaint),
                other => other,
            };
            match verdict {
                Verdict::Wait => std::thread::sleep(pause),
                Verdict::Commit => {
                    log::warn!(version = hands.running.version.as_str(); "this version is kept");
                    return Ok(true);
                }
                Verdict::GiveUp(why) => {
                    log::error!("{why}");
                    // The restart counts, not its note.
                    if let Err(error) = give_up(hands, &why) {
                        log::error!("{error}");
                    }
                    return self.go_back();
                }
            }
        }
    }

    /// Commits a version that has proven itself; says what has to be done if that fails, and complains once of each reason.
    fn keep(&self, hands: &Hands, over: Mono, complaint: &mut String) -> Verdict {
        let _lock = self.lock_within(hands.store, LOCK_BRIEFLY);
        match commit(hands) {
            Ok(()) => Verdict::Commit,
            // The commitment counts; only its note failed.
            Err(error @ UpdateError::State(_)) => {
                log::warn!("{error}");
                Verdict::Commit
            }
            Err(error) if clock::mono() < over => {
                let why = error.to_string();
                if why != *complaint {
                    log::warn!("this version cannot be kept yet: {why}");
                    *complaint = why;
                }
                Verdict::Wait
            }
            Err(error) => Verdict::GiveUp(format!(
                "the new version proved itself, but could not be kept: {error}"
            )),
        }
    }

    /// Restarts, which brings back the version from before.
    fn go_back(&self) -> Result<bool, VerbError> {
        self.places.restart(RESTART_WITHIN)?;
        Ok(false)
    }
}
