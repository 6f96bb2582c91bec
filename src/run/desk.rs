//! The centre's commands while they wait (contract §3.7).
//!
//! Owns: which askers are answered when a command is done, and the pace of commands that cost much. Never does: carry a
//! command out.

use booth_contract::time::rfc3339;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Gateway, ReplyTo};
use crate::adapters::mqtt::Kind;
use booth_contract::Topic;
use booth_contract::time::Mono;
use gateway_core::commands::{Place, Waiting};
use gateway_core::quarantine::Wanted;

/// An introduction and a self-test that were asked for begin at most this often; an asker in between is answered with the
/// next one.
pub(super) const PACE: Duration = Duration::from_secs(2);

/// A command that may have to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    Rebirth,
    SelfTest,
    Update(String),
    Resend(Wanted),
}

impl Asked {
    fn word(&self) -> &'static str {
        match self {
            Asked::Rebirth => "rebirth",
            Asked::SelfTest => "selftest",
            Asked::Update(_) => "update",
            Asked::Resend(_) => "resend",
        }
    }
}

/// The commands that wait, and when the introduction and the self-test among them may begin.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) waiting: Waiting<Asked, ReplyTo>,
    /// When the booth last introduced itself because somebody asked or because the hub had come.
    pub(super) introduced: Option<Mono>,
    /// When the latest self-test that was asked for began, and when the next one is due.
    tested: Option<Mono>,
    test_due: Option<Mono>,
}

/// The earliest time that the pace allows.
pub(super) fn paced(now: Mono, last: Option<Mono>) -> Mono {
    last.map_or(now, |last| now.max(last + PACE))
}

impl Gateway {
    /// A command asks for a place. Returns whether it has to be carried out.
    pub(super) fn takes_place(&mut self, asked: Asked, to: ReplyTo) -> bool {
        let word = asked.word();
        match self.desk.waiting.ask(asked, to) {
            Ok(place) => place == Place::First,
            Err((why, to)) => {
                self.refuse(to, word, why.sentence());
                false
            }
        }
    }

    /// Answers that a command is not carried out, and why.
    pub(super) fn refuse(&mut self, to: ReplyTo, command: &str, why: &str) {
        log::warn!(about = "refused command"; "cmd/{command} of the centre is refused: {why}");
        let payload = json!({ "ok": 0, "error": why }).to_string().into_bytes();
        let topic = Topic::Reply(to.booth, command.to_owned());
        self.telegram(&topic, payload, Kind::Refusal, None, to.correlation);
    }

    /// A command is done: everybody who asked for it gets the same answer.
    pub(super) fn answer(&mut self, asked: &Asked, reply: &Value) {
        for to in self.desk.waiting.done(asked) {
            self.reply(to, asked.word().into(), reply);
        }
    }

    /// `cmd/rebirth`: the booth introduces itself, once for everybody who has asked by then.
    pub(super) fn asked_to_introduce(&mut self, now: Mono, to: ReplyTo) {
        if self.takes_place(Asked::Rebirth, to) {
            let due = paced(now, self.desk.introduced);
            self.introduction_due = Some(self.introduction_due.map_or(due, |at| at.min(due)));
        }
    }

    /// The booth has introduced itself.
    pub(super) fn introduced(&mut self) {
        if self.desk.waiting.waits(&Asked::Rebirth) {
            let reply = json!({ "ok": 1, "ts": rfc3339(self.machine.wall()) });
            self.answer(&Asked::Rebirth, &reply);
        }
    }

    /// `cmd/selftest`.
    pub(super) fn asked_to_test(&mut self, now: Mono, to: ReplyTo) {
        if self.takes_place(Asked::SelfTest, to) {
            self.desk.test_due = Some(paced(now, self.desk.tested));
        }
    }

    /// When the next self-test that was asked for begins.
    pub(super) fn test_deadline(&self) -> Option<Mono> {
        self.desk.test_due
    }

    /// Begins the self-test that was asked for, if it is due.
    pub(super) fn test_if_due(&mut self, now: Mono) {
        if self.desk.test_due.is_some_and(|due| due <= now) {
            self.desk.test_due = None;
            self.desk.tested = Some(now);
            self.ask_for_selftest(now, true);
        }
    }
}
