//! The centre's commands while they wait, and where their answers go (contract §3.7).
//!
//! Owns: which askers are answered when a command is done. An asker who finds no place is refused.

use std::collections::VecDeque;

use booth_contract::BoothId;
use serde_json::{Value, json};

use super::{Booth, Command};
use crate::commands::{Place, Waiting};
use crate::inbox::SignedCommand;
use crate::quarantine::Wanted;

/// Most answers that are kept for the next connection: those of commands that outlast one.
const MOST_UNSAID: usize = 32;

/// Where the answer to a command goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// The booth in the command's topic.
    pub booth: BoothId,
    /// Its Correlation Data (MQTT 5 §3.3.2.3.6).
    pub correlation: Option<Vec<u8>>,
}

/// An answer to a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// To whom.
    pub to: Asker,
    /// The command's name.
    pub command: String,
    /// The payload.
    pub payload: Value,
    /// The command is not carried out: such answers give way first where too many wait.
    pub is_refusal: bool,
}

/// A command that may have to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    Rebirth,
    SelfTest,
    Update(String),
    Resend(Wanted),
    Reload,
    /// One place for all: a later number of minutes counts in place of the one before.
    Drain,
    /// The command and the text that was signed.
    Signed(SignedCommand, String),
}

impl Asked {
    fn word(&self) -> &'static str {
        match self {
            Asked::Rebirth => "rebirth",
            Asked::SelfTest => "selftest",
            Asked::Update(_) => "update",
            Asked::Resend(_) => "resend",
            Asked::Reload => "reload",
            Asked::Drain => "drain",
            Asked::Signed(command, _) => command.word(),
        }
    }

    /// Whether its answer is kept for the next connection.
    fn outlasts_a_connection(&self) -> bool {
        matches!(self, Asked::Drain | Asked::Signed(..))
    }
}

/// The commands that wait.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) waiting: Waiting<Asked, Asker>,
    /// Answers that nobody would hear now.
    unsaid: VecDeque<Reply>,
}

/// The answer to a command that is not carried out.
pub(super) fn refusal(why: &str) -> Value {
    json!({ "ok": 0, "error": why })
}

impl Booth {
    /// A command asks for a place. Returns whether it has to be carried out.
    pub(super) fn takes_place(&mut self, asked: Asked, to: Asker) -> bool {
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
    pub(super) fn refuse(&mut self, to: Asker, command: &str, why: &str) {
        self.commands.push(Command::Reply(Reply {
            to,
            command: command.to_owned(),
            payload: refusal(why),
            is_refusal: true,
        }));
    }

    pub(super) fn reply(&mut self, to: Asker, command: &str, payload: Value) {
        self.commands.push(Command::Reply(Reply {
            to,
            command: command.to_owned(),
            payload,
            is_refusal: false,
        }));
    }

    /// A command is done: everybody who asked for it gets the same answer.
    pub(super) fn answer(&mut self, asked: &Asked, payload: &Value) {
        for to in self.desk.waiting.done(asked) {
            self.say(asked, to, payload);
        }
    }

    /// Says something to everybody who waits for a command, which goes on waiting.
    pub(super) fn say_meanwhile(&mut self, asked: &Asked, payload: &Value) {
        let askers: Vec<Asker> = self.desk.waiting.askers(asked).to_vec();
        for to in askers {
            self.say(asked, to, payload);
        }
    }

    fn say(&mut self, asked: &Asked, to: Asker, payload: &Value) {
        let reply = Reply {
            to,
            command: asked.word().to_owned(),
            payload: payload.clone(),
            is_refusal: false,
        };
        if self.is_connected || !asked.outlasts_a_connection() {
            self.commands.push(Command::Reply(reply));
            return;
        }
        if self.desk.unsaid.len() >= MOST_UNSAID {
            self.desk.unsaid.pop_front();
        }
        self.desk.unsaid.push_back(reply);
    }

    /// The connection stands: what nobody would have heard before is said.
    pub(super) fn say_unsaid(&mut self) {
        let unsaid = std::mem::take(&mut self.desk.unsaid);
        self.commands.extend(unsaid.into_iter().map(Command::Reply));
    }

    /// The booth introduces itself, once for everybody who has asked by then.
    pub(super) fn introduce(&mut self, around: &super::Around) {
        self.commands.push(Command::Introduce);
        let ts = booth_contract::time::rfc3339(around.wall);
        self.answer(&Asked::Rebirth, &json!({ "ok": 1, "ts": ts }));
    }
}
