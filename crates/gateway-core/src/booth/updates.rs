//! The centre's requests for updates (docs/updates.md).
//!
//! Owns: whether one may be asked for now, and its answer. Never does: fetch or write an update; the updater does, as root.

use serde_json::json;

use super::desk::{Asked, Asker, refusal};
use super::{Around, Booth, Command};
use crate::session::Input;
use booth_contract::time::Mono;

/// How far an update is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UpdateStage {
    /// There is none, or it has ended.
    #[default]
    None,
    /// It is being fetched and written; it can be taken back.
    Writing(&'static str),
    /// The new version is about to start, or on trial.
    Trial(&'static str),
}

impl UpdateStage {
    fn word(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Writing(word) | Self::Trial(word) => Some(word),
        }
    }
}

/// What is known of updates.
#[derive(Debug, Default)]
pub(super) struct Updates {
    stage: UpdateStage,
    /// Nobody works on the update any longer: another request may take its place.
    is_left: bool,
    /// What the centre asked for, until the request has been written.
    asked: Option<String>,
}

impl Updates {
    /// Whether a restart of the machine would disturb one.
    pub(super) fn is_under_way(&self) -> bool {
        self.stage.word().is_some() && !self.is_left
    }
}

impl Booth {
    /// `cmd/update`.
    pub(super) fn asked_for_update(&mut self, to: Asker, url: Option<String>) {
        let url = match url {
            None => Err("no \"url\" is given; send {\"url\": \"https://…\"}".to_owned()),
            Some(url) => (self.rules.centre.checks.update_address)(&url).map(|()| url),
        };
        let url = match url {
            Ok(url) => url,
            Err(why) => return self.refuse(to, "update", &why),
        };
        let is_the_same = self.updates.asked.as_ref() == Some(&url);
        if let Some(why) = self.no_update_because().filter(|_| !is_the_same) {
            return self.refuse(to, "update", &why);
        }
        if self.takes_place(Asked::Update(url.clone()), to) {
            self.commands.push(Command::RequestUpdate(url.clone()));
            self.updates.asked = Some(url);
        }
    }

    /// Why an update may not be asked for now, if so.
    fn no_update_because(&self) -> Option<String> {
        if !self.rules.centre.takes_updates {
            return Some(
                "this booth takes no updates: [update] keys of booth.toml is empty".into(),
            );
        }
        if let Some(word) = self.updates.stage.word()
            && !self.updates.is_left
        {
            return Some(format!(
                "an update is under way ({word}); wait for its event/update"
            ));
        }
        if self.updates.asked.is_some() {
            return Some("another update was asked for just now".into());
        }
        match self.rules.centre.has_updater {
            true => None,
            false => Some("this booth has no updater: it does not run the SD image".into()),
        }
    }

    /// `cmd/update` with `cancel`: an update whose trial has not begun ends.
    pub(super) fn asked_to_cancel_update(&mut self, to: Asker) {
        let is_wanted =
            matches!(self.updates.stage, UpdateStage::Writing(_)) || self.updates.asked.is_some();
        if matches!(self.updates.stage, UpdateStage::Trial(_)) {
            let why = "the new version is about to start or on trial; wait for its event/update";
            return self.refuse(to, "update", why);
        }
        if !is_wanted || !self.rules.centre.has_updater {
            return self.refuse(to, "update", "no update is being fetched");
        }
        self.commands.push(Command::CancelUpdate);
        self.reply(to, "update", json!({ "ok": 1, "cancelled": 1 }));
    }

    /// The request has been written, or could not be.
    pub(super) fn update_requested(&mut self, result: Result<(), String>) {
        let answer = match result {
            Ok(()) => json!({ "ok": 1, "accepted": 1 }),
            Err(error) => refusal(&error),
        };
        if let Some(url) = self.updates.asked.take() {
            self.answer(&Asked::Update(url), &answer);
        }
    }

    /// An update has moved on.
    pub(super) fn update_is(&mut self, now: Mono, around: &Around, stage: UpdateStage) {
        self.updates.stage = stage;
        self.visit(now, around, Input::Update(stage.word().is_some()));
    }

    /// Nobody works on the update any longer, or somebody does again.
    pub(super) fn update_is_left(&mut self, is_left: bool) {
        self.updates.is_left = is_left;
    }
}
