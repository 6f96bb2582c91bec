//! The centre's commands while they wait (contract §3.7).
//!
//! Owns: which askers are answered when a command is done. Never does: carry a command out, or decide when that is due;
//! `gateway_core::booth` does.

use booth_contract::time::rfc3339;

use serde_json::{Value, json};

use super::{Gateway, ReplyTo};
use crate::adapters::mqtt::Kind;
use booth_contract::Topic;
use booth_contract::time::Mono;
use gateway_core::booth::Event;
use gateway_core::commands::{Place, Waiting};
use gateway_core::quarantine::Wanted;

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

/// The commands that wait.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) waiting: Waiting<Asked, ReplyTo>,
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
            self.decide(now, Event::AskedToIntroduce);
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
            self.decide(now, Event::AskedToTest);
        }
    }
}
