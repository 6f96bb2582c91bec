//! Signed commands (contract §3.7): believed, noted on the card, and then carried out.
//!
//! Owns: the order of these steps. A nonce is on the card before its command acts. A command that waits for the clock or for a
//! citizen's end of visit lies on the card too, and a restart goes on with it. Never does: write the card; the keeper does, one
//! memory at a time, and says how that ended.

use std::time::Duration;

use booth_contract::signed::SignedBody;
use booth_contract::time::{Mono, Timestamp};
use booth_contract::{BoothId, ClipId, Signed};
use serde_json::{Value, json};

use super::desk::{Asked, Asker, refusal};
use super::resend::CARD_NOT_OPEN;
use super::{Around, Booth, Command};
use crate::delivery::Offer;
use crate::inbox::SignedCommand;
use crate::orders::{KeptAsker, KeptOrder, KeptRecipients, Remembered};
use crate::retry::Retry;
use crate::signed::{self, Due, Refusal, Standing};

/// The latest synchronised time is written this often.
const LATEST_EVERY: Duration = Duration::from_secs(3600);
/// First and last pause before what the card did not take is written again.
const WRITE_AGAIN: Duration = Duration::from_secs(60);
const WRITE_AGAIN_LAST: Duration = Duration::from_secs(3600);
/// Longest id of a clip, and longest reason, in characters.
const LONGEST_TEXT: usize = 100;
/// Most recipients that are looked at; the library of sealing has a limit of its own.
const MOST_RECIPIENTS: usize = 64;

/// What a signed text wants.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Order {
    Reboot,
    Purge { clip_id: ClipId, reason: String },
    Recipients(KeptRecipients),
}

/// What goes on when a memory is on the card.
#[derive(Debug)]
enum Then {
    /// The command waits for the clock.
    Waits(Asked),
    /// The nonce is taken: the command acts.
    Acts(Asked, Order),
}

/// The signed commands of a booth, and what its card remembers of them.
#[derive(Debug)]
pub(super) struct Orders {
    pub(super) memory: Remembered,
    /// The recipients of the memory that the card has.
    written_recipients: Option<KeptRecipients>,
    /// The latest time of the memory that the keeper got.
    written_latest: Option<Timestamp>,
    /// When this card was first seen, as far as that can be believed.
    first_seen: Option<Timestamp>,
    /// This is the first boot of a machine with this card: a clock that became right says when that was, whatever it said before.
    is_first_boot: bool,
    /// The keeper writes a memory, and these go on when it has.
    writing: Option<Vec<Then>>,
    /// These go on with the next one.
    next: Vec<Then>,
    /// The memory has changed since the keeper got it.
    is_unwritten: bool,
    /// When the memory is written again that the card did not take.
    again_at: Option<Mono>,
    again: Retry,
    /// Restarts of the machine that wait for the end of a visit.
    restarts: Vec<Asked>,
    /// The machine was asked to restart.
    is_restarting: bool,
    /// Clips that the keeper gives up.
    purges: Vec<(ClipId, Asked)>,
}

impl Default for Orders {
    fn default() -> Self {
        Self {
            memory: Remembered::default(),
            written_recipients: None,
            written_latest: None,
            first_seen: None,
            is_first_boot: false,
            writing: None,
            next: Vec::new(),
            is_unwritten: false,
            again_at: None,
            again: Retry::new(WRITE_AGAIN, WRITE_AGAIN_LAST),
            restarts: Vec::new(),
            is_restarting: false,
            purges: Vec::new(),
        }
    }
}

impl Booth {
    /// A command came that must be signed.
    pub(super) fn asked_by_signature(
        &mut self,
        around: &Around,
        to: Asker,
        command: SignedCommand,
        payload: &[u8],
    ) {
        let word = command.word();
        if !around.has_spool {
            return self.refuse(to, word, CARD_NOT_OPEN);
        }
        let judged = {
            let verify = &*self.rules.centre.checks.signature;
            signed::judge(word, payload, verify, &self.standing(around))
        };
        let (signed, body, due) = match judged {
            Ok(judged) => judged,
            Err(why) => return self.refuse(to, word, &why.to_string()),
        };
        let asked = Asked::Signed(command, signed.body.clone());
        if self.desk.waiting.waits(&asked) {
            return self.asked_again(asked, to);
        }
        let wanted = self
            .is_new(&body)
            .map_err(|why| why.to_string())
            .and_then(|()| self.understand(command, &body));
        let order = match wanted {
            Ok(order) => order,
            Err(why) => return self.refuse(to, word, &why),
        };
        if !self.takes_place(asked.clone(), to) {
            return;
        }
        match due {
            Due::Now => self.take(asked, order, &signed, &body),
            Due::WithTheClock => {
                let kept = self.kept(&asked, &signed, false);
                self.orders.memory.waiting.push(kept);
                self.remember_then(Then::Waits(asked));
            }
        }
    }

    /// Somebody else asks for a command that waits, or the same one again.
    fn asked_again(&mut self, asked: Asked, to: Asker) {
        let correlation = KeptAsker::of(to.correlation.as_deref());
        let again = to.clone();
        if self.takes_place(asked.clone(), to) || !self.desk.waiting.waits(&asked) {
            return;
        }
        let Asked::Signed(command, body) = &asked else {
            return;
        };
        let waiting = &mut self.orders.memory.waiting;
        if let Some(kept) = waiting.iter_mut().find(|kept| kept.body == *body) {
            let waits_for_clock = !kept.is_taken;
            if kept.askers.len() < crate::commands::MOST_ASKERS {
                kept.askers.push(correlation);
                self.remember();
                if waits_for_clock {
                    self.reply(again, command.word(), waits());
                }
            }
        }
    }

    /// What this booth knows of itself and of the time.
    fn standing<'a>(&'a self, around: &Around) -> Standing<'a> {
        let mut standing = Standing {
            booth: &self.rules.centre.booth,
            wall: around.wall,
            clock_synced: around.clock_synced,
            latest: self.orders.memory.latest,
            first_seen: None,
        };
        let first_seen = self.orders.first_seen;
        let first_seen = first_seen.filter(|seen| standing.believes(*seen));
        standing.first_seen = first_seen.max(self.orders.memory.since);
        standing
    }

    /// Whether this nonce was not taken, and does not wait.
    fn is_new(&self, body: &SignedBody) -> Result<(), Refusal> {
        let waiting = self.orders.memory.waiting.iter();
        let waits = waiting
            .filter_map(|kept| SignedBody::read(&kept.body).ok())
            .any(|waiting| waiting.nonce == body.nonce);
        match waits {
            true => Err(Refusal::Replayed),
            false => self.orders.memory.nonces.is_free(&body.nonce),
        }
    }

    /// Reads the command's own keys, and checks that it can be carried out.
    fn understand(&self, command: SignedCommand, body: &SignedBody) -> Result<Order, String> {
        match command {
            SignedCommand::Reboot => {
                self.rules.centre.restarts.clone()?;
                Ok(Order::Reboot)
            }
            SignedCommand::Purge => {
                let clip_id = text(body, "clip_id")
                    .ok_or("clip_id is missing; write the id of one clip in quarantine")?;
                if self.quarantine.note(&clip_id.as_str().into()).is_none() {
                    return Err(format!(
                        "there is no clip {clip_id} in quarantine on this card; only what waits there can be given up"
                    ));
                }
                let reason = text(body, "reason").unwrap_or_default();
                let clip_id = clip_id.into();
                Ok(Order::Purge { clip_id, reason })
            }
            SignedCommand::Recipients => self.understand_recipients(body).map(Order::Recipients),
        }
    }

    fn understand_recipients(&self, body: &SignedBody) -> Result<KeptRecipients, String> {
        let rules = &self.rules.centre;
        if !rules.seals {
            return Err(
                "this booth does not seal: [privacy] seal = false stands in its booth.toml".into(),
            );
        }
        let keys = body.own.get("recipients").and_then(Value::as_array);
        let keys = keys.filter(|keys| (1..=MOST_RECIPIENTS).contains(&keys.len()));
        let keys = keys.and_then(|keys| {
            let text = |key: &Value| key.as_str().map(str::to_owned);
            keys.iter().map(text).collect::<Option<Vec<String>>>()
        });
        let keys = keys.ok_or("recipients is no list of public keys (age1…)")?;
        let key_until = match body.own.get("key_until") {
            None | Some(Value::Null) => None,
            Some(Value::String(day)) => Some(day.clone()),
            Some(_) => return Err("key_until is no day like \"2027-03-31\"".into()),
        };
        (rules.checks.recipients)(&keys, key_until.as_deref())?;
        let version = body.own.get("version").and_then(Value::as_u64);
        let version = version.ok_or("version is missing; write a whole number that rises")?;
        let before = self.orders.memory.recipients.as_ref();
        if let Some(before) = before.filter(|before| before.version >= version) {
            return Err(format!(
                "version {version} is not higher than {}, which this booth has",
                before.version
            ));
        }
        Ok(KeptRecipients {
            version,
            keys,
            key_until,
            instead_of: rules.privacy.clone(),
        })
    }

    /// A command that waits, in the form that the card keeps.
    fn kept(&self, asked: &Asked, signed: &Signed, is_taken: bool) -> KeptOrder {
        let command = match asked {
            Asked::Signed(command, _) => command.word(),
            _ => "",
        };
        let askers = self.desk.waiting.askers(asked).iter();
        KeptOrder {
            command: command.to_owned(),
            body: signed.body.clone(),
            minisig: signed.minisig.clone(),
            is_taken,
            boot_id: self.rules.centre.boot_id.clone(),
            askers: askers
                .map(|to| KeptAsker::of(to.correlation.as_deref()))
                .collect(),
        }
    }

    /// Takes the nonce. The command acts when the card has that.
    fn take(&mut self, asked: Asked, order: Order, signed: &Signed, body: &SignedBody) {
        let kept = self.kept(&asked, signed, true);
        let memory = &mut self.orders.memory;
        memory.nonces.take(&body.nonce, body.expires_at);
        memory.waiting.retain(|waiting| waiting.body != kept.body);
        match &order {
            // Written together with the nonce: nothing is left to do after a restart.
            Order::Recipients(recipients) => memory.recipients = Some(recipients.clone()),
            Order::Reboot | Order::Purge { .. } => memory.waiting.push(kept),
        }
        self.remember_then(Then::Acts(asked, order));
    }

    /// Has the memory written; `then` goes on when the card has it.
    fn remember_then(&mut self, then: Then) {
        self.orders.next.push(then);
        self.orders.is_unwritten = true;
        self.write_memory();
    }

    /// Has the memory written; on a card that has just refused that, after a pause.
    pub(super) fn remember(&mut self) {
        self.orders.is_unwritten = true;
        if self.orders.again_at.is_none() {
            self.write_memory();
        }
    }

    fn write_memory(&mut self) {
        let orders = &mut self.orders;
        if orders.writing.is_none() && orders.is_unwritten {
            orders.writing = Some(std::mem::take(&mut orders.next));
            orders.is_unwritten = false;
            orders.again_at = None;
            orders.written_latest = orders.memory.latest;
            let memory = Box::new(orders.memory.clone());
            self.commands.push(Command::Remember(memory));
        }
    }

    /// The card has the memory, or why not. What the card did not take is written again later; the commands of it are refused, and
    /// their nonces stay taken.
    pub(super) fn remembered(&mut self, now: Mono, written: Result<Remembered, String>) {
        let mut then = self.orders.writing.take().unwrap_or_default();
        match written {
            Ok(memory) => {
                self.orders.written_recipients = memory.recipients;
                self.orders.again.worked();
                for then in then {
                    match then {
                        Then::Waits(asked) => self.say_meanwhile(&asked, &waits()),
                        Then::Acts(asked, order) => self.act(asked, order),
                    }
                }
                self.write_memory();
            }
            Err(why) => {
                then.append(&mut self.orders.next);
                self.orders.memory.recipients = self.orders.written_recipients.clone();
                self.orders.is_unwritten = true;
                self.orders.again_at = Some(self.orders.again.failed(now));
                let answer = refusal(&format!(
                    "the card does not take the note of it, so that nothing was done: {why}; sign it anew and send it later"
                ));
                for then in then {
                    let (Then::Waits(asked) | Then::Acts(asked, _)) = then;
                    self.is_done(&asked, &answer);
                }
            }
        }
    }

    /// The card has the nonce: the command acts.
    fn act(&mut self, asked: Asked, order: Order) {
        match order {
            Order::Reboot => self.orders.restarts.push(asked),
            Order::Purge { clip_id, reason } => self.purge(clip_id, reason, asked),
            Order::Recipients(kept) => {
                self.commands.push(Command::SealTo(kept.keys));
                self.evidence.no_recipient = false;
                self.is_done(&asked, &json!({ "ok": 1, "version": kept.version }));
            }
        }
    }

    fn purge(&mut self, clip_id: ClipId, reason: String, asked: Asked) {
        self.orders.purges.push((clip_id.clone(), asked));
        self.commands.push(Command::Purge { clip_id, reason });
    }

    /// A clip was given up: what declares its number void is delivered in its place; or why it is there still.
    pub(super) fn purged(&mut self, clip_id: &ClipId, result: Result<(u64, Offer), String>) {
        let answer = match result {
            Ok((clip_no, void)) => {
                self.quarantine.came_back(clip_id);
                self.delivery.keep(void, false);
                json!({ "ok": 1, "clip_id": clip_id, "clip_no": clip_no })
            }
            Err(why) => refusal(&why),
        };
        let purges = std::mem::take(&mut self.orders.purges);
        let (done, others) = purges.into_iter().partition(|(of, _)| of == clip_id);
        self.orders.purges = others;
        for (_, asked) in done {
            self.is_done(&asked, &answer);
        }
    }

    /// A signed command has come to its end.
    fn is_done(&mut self, asked: &Asked, answer: &Value) {
        if let Asked::Signed(_, body) = asked {
            let waiting = &mut self.orders.memory.waiting;
            let before = waiting.len();
            waiting.retain(|kept| kept.body != *body);
            if waiting.len() != before {
                self.remember();
            }
        }
        self.answer(asked, answer);
    }

    /// Keeps the time, decides what waited for the clock, and restarts the machine when nobody is there.
    pub(super) fn watch_orders(&mut self, now: Mono, around: &Around) {
        if around.has_spool && around.clock_synced {
            self.keep_time(now, around.wall);
            self.decide_what_waited(around);
        }
        if self.orders.again_at.is_some_and(|at| at <= now) {
            self.write_memory();
        }
        let is_alone = !self.has_visitor() && !self.session.is_in_service();
        let may_restart = is_alone && !self.updates.is_under_way() && !self.orders.is_restarting;
        if may_restart && !self.orders.restarts.is_empty() {
            self.orders.is_restarting = true;
            self.commands.push(Command::Restart);
        }
    }

    /// The machine was asked to restart, or why not.
    pub(super) fn restart_asked(&mut self, result: Result<(), String>) {
        self.orders.is_restarting = result.is_ok();
        let answer = match result {
            Ok(()) => json!({ "ok": 1, "restarting": 1 }),
            Err(why) => refusal(&why),
        };
        for asked in std::mem::take(&mut self.orders.restarts) {
            self.is_done(&asked, &answer);
        }
    }

    fn keep_time(&mut self, now: Mono, wall: Timestamp) {
        let orders = &mut self.orders;
        if std::mem::take(&mut orders.is_first_boot)
            && let Ok(booted) = wall.checked_sub(Duration::from_millis(now.0))
        {
            orders.memory.since = orders.memory.since.max(Some(booted));
            orders.written_latest = None;
        }
        let is_old = orders.written_latest.is_none_or(|written| {
            wall > written && wall.duration_since(written).unsigned_abs() >= LATEST_EVERY
        });
        if is_old || orders.memory.is_anew {
            orders.memory.is_at_least(wall);
            orders.written_latest = orders.memory.latest;
            self.remember();
        } else {
            orders.memory.latest = orders.memory.latest.max(Some(wall));
        }
    }

    /// The clock is synchronised: each command that waited for it is obeyed or refused.
    fn decide_what_waited(&mut self, around: &Around) {
        let waiting = self.orders.memory.waiting.iter();
        let waited: Vec<KeptOrder> = waiting.filter(|kept| !kept.is_taken).cloned().collect();
        for kept in waited {
            let Some(command) = SignedCommand::parse(&kept.command) else {
                continue;
            };
            let asked = Asked::Signed(command, kept.body.clone());
            let signed = kept.signed();
            let judged = {
                let verify = &*self.rules.centre.checks.signature;
                signed::judge_again(command.word(), &signed, verify, &self.standing(around))
            };
            let judged = judged.and_then(|(body, _)| {
                self.orders.memory.nonces.is_free(&body.nonce)?;
                Ok(body)
            });
            let understood = judged.map_err(|why| why.to_string()).and_then(|body| {
                let order = self.understand(command, &body)?;
                Ok((body, order))
            });
            match understood {
                Ok((body, order)) => self.take(asked, order, &signed, &body),
                Err(why) => self.is_done(&asked, &refusal(&why)),
            }
        }
    }

    /// The spool was opened: what its card remembers goes on. With `is_known` it was only closed, and this process knows more.
    pub(super) fn orders_found(
        &mut self,
        memory: Remembered,
        first_seen: Option<Timestamp>,
        is_first_boot: bool,
        is_known: bool,
    ) {
        if is_known {
            return self.remember();
        }
        let of_another_card: Vec<Asked> = self
            .desk
            .waiting
            .commands()
            .filter(|asked| matches!(asked, Asked::Signed(..) | Asked::Drain))
            .cloned()
            .collect();
        for asked in of_another_card {
            let why = "the booth has another card since; send it anew";
            self.answer(&asked, &refusal(why));
        }
        self.drain = None;
        self.orders = Orders {
            written_recipients: memory.recipients.clone(),
            written_latest: memory.latest,
            // Once a right clock was seen, this is known.
            is_first_boot: is_first_boot && memory.latest.is_none(),
            memory,
            first_seen,
            ..Orders::default()
        };
        if self.orders.memory.control != self.rules.centre.control {
            // The technician's way out where a wrong time was once believed.
            let memory = &mut self.orders.memory;
            (memory.latest, memory.since) = (None, None);
            memory.control = self.rules.centre.control.clone();
            self.orders.written_latest = None;
            self.remember();
        }
        if let Some(kept) = self.recipients() {
            let keys = kept.keys.clone();
            self.commands.push(Command::SealTo(keys));
            self.evidence.no_recipient = false;
        }
        for kept in self.orders.memory.waiting.clone() {
            self.resume(&kept);
        }
        self.resume_drain();
    }

    /// Goes on with a command that an earlier process began.
    fn resume(&mut self, kept: &KeptOrder) {
        let signed = kept.signed();
        let command = SignedCommand::parse(&kept.command);
        let verified = (self.rules.centre.checks.signature)(&signed.body, &signed.minisig);
        let body =
            verified.and_then(|()| SignedBody::read(&signed.body).map_err(|e| e.to_string()));
        let Some(command) = command else {
            let waiting = &mut self.orders.memory.waiting;
            waiting.retain(|other| other.body != kept.body);
            return self.remember();
        };
        let asked = Asked::Signed(command, kept.body.clone());
        let booth: BoothId = self.rules.centre.booth.clone();
        for asker in &kept.askers {
            let correlation = asker.correlation();
            let booth = booth.clone();
            // More than have a place were never remembered.
            let _ = self
                .desk
                .waiting
                .ask(asked.clone(), Asker { booth, correlation });
        }
        let body = match body {
            Ok(body) => body,
            Err(why) => return self.is_done(&asked, &refusal(&why)),
        };
        match command {
            _ if !kept.is_taken => {}
            SignedCommand::Reboot if kept.boot_id == self.rules.centre.boot_id => {
                self.orders.restarts.push(asked);
            }
            SignedCommand::Reboot => self.is_done(&asked, &json!({ "ok": 1, "restarted": 1 })),
            SignedCommand::Purge => {
                let clip_id = text(&body, "clip_id").unwrap_or_default();
                let reason = text(&body, "reason").unwrap_or_default();
                self.purge(clip_id.into(), reason, asked);
            }
            // They were written together with the nonce.
            SignedCommand::Recipients => self.is_done(&asked, &json!({ "ok": 1 })),
        }
    }

    /// The recipients of sealing that the centre named, if they replace those of the present booth.toml.
    pub fn recipients(&self) -> Option<&KeptRecipients> {
        let kept = self.orders.memory.recipients.as_ref()?;
        let rules = &self.rules.centre;
        (rules.seals && kept.instead_of == rules.privacy).then_some(kept)
    }

    /// The latest synchronised time that was seen with this card.
    pub fn latest_time(&self) -> Option<Timestamp> {
        self.orders.memory.latest
    }

    /// What a signed message is judged by, for those that are no commands.
    pub fn signed_standing(&self, around: &Around) -> Standing<'_> {
        self.standing(around)
    }
}

/// What is said of a command that waits for the clock.
fn waits() -> Value {
    json!({ "ok": 0, "waiting": "clock" })
}

/// A short text among a command's own keys.
fn text(body: &SignedBody, key: &str) -> Option<String> {
    let text = body.own.get(key)?.as_str()?;
    Some(text.chars().take(LONGEST_TEXT).collect())
}
