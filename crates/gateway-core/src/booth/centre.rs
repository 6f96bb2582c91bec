//! What the centre says to the booth.
//!
//! Owns: what each of its messages sets off. All of them are outside input: one that cannot be read changes nothing and is counted.

use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use booth_contract::time::Mono;
use booth_contract::{BootId, BoothId, HubState, Presence, Topics};
use serde_json::{Value, json};

use super::desk::{Asked, Asker};
use super::{Around, Booth, Command};
use crate::bell::Ringing;
use crate::inbox::{self, Inbound};
use crate::unreadable;

/// Over how many seconds a booth spreads its introduction where the hub names no time, and the most that it accepts
/// (contract §3, §3.6).
const DEFAULT_JITTER_S: u32 = 10;
const MAX_JITTER_S: u32 = 600;

/// Nothing, or the sentence that says what is wrong.
type Checked = Result<(), String>;
/// Checks a text and its signature.
type SignatureCheck = Box<dyn Fn(&str, &str) -> Checked + Send>;
/// Checks an address.
type AddressCheck = Box<dyn Fn(&str) -> Checked + Send>;
/// Checks recipients of sealing and the day of their end.
type RecipientsCheck = Box<dyn Fn(&[String], Option<&str>) -> Checked + Send>;

/// What the loop lends for checks.
pub struct Checks {
    /// The signature of a text by one of `[control] keys`.
    pub signature: SignatureCheck,
    /// An address of an update: its form, and whether the booth may ask there.
    pub update_address: AddressCheck,
    /// Recipients of sealing: each is a public key, and they can be used together; and the day of their end.
    pub recipients: RecipientsCheck,
}

impl std::fmt::Debug for Checks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Checks")
    }
}

impl Default for Checks {
    /// Nothing is believed.
    fn default() -> Self {
        let nothing = || Err("this booth believes no signature".to_owned());
        Self {
            signature: Box::new(move |_, _| nothing()),
            update_address: Box::new(move |_| nothing()),
            recipients: Box::new(move |_, _| nothing()),
        }
    }
}

/// What a booth is told once about its dealings with the centre.
#[derive(Debug)]
pub struct CentreRules {
    /// Its id.
    pub booth: BoothId,
    /// Its topics.
    pub topics: Topics,
    /// This boot of the machine.
    pub boot_id: BootId,
    /// How the bell rings if the centre names no number of rings.
    pub ringing: Ringing,
    /// Some key of updates is believed.
    pub takes_updates: bool,
    /// There is an updater.
    pub has_updater: bool,
    /// Whether the machine can be restarted from here, or why not.
    pub restarts: Result<(), String>,
    /// What is said is sealed, so that it can be sealed to others.
    pub seals: bool,
    /// Names the `[privacy]` of booth.toml: another text for each.
    pub privacy: String,
    /// Names the `[control]` of booth.toml: another text for each.
    pub control: String,
    /// What the core cannot check by itself.
    pub checks: Checks,
}

impl CentreRules {
    /// Of a booth that believes nobody and can do nothing for the centre.
    pub fn bare(booth: BoothId, topics: Topics, boot_id: BootId) -> Self {
        Self {
            booth,
            topics,
            boot_id,
            ringing: Ringing::chirp(),
            takes_updates: false,
            has_updater: false,
            restarts: Err("this machine cannot be restarted from here".into()),
            seals: false,
            privacy: String::new(),
            control: String::new(),
            checks: Checks::default(),
        }
    }
}

/// A pause of 0 to `jitter_s` seconds, computed from the booth's id and the time: the booths of a fleet get different
/// pauses.
fn spread(booth: &str, now: Mono, jitter_s: u32) -> Duration {
    // With its fixed keys this is the same number in every process.
    let mut hasher = DefaultHasher::new();
    hasher.write(format!("{booth} {}", now.0).as_bytes());
    let lot = hasher.finish() >> 32;
    let most_ms = u64::from(jitter_s) * 1_000;
    Duration::from_millis(lot * most_ms / u64::from(u32::MAX))
}

impl Booth {
    /// A message of the centre.
    pub(super) fn incoming(
        &mut self,
        now: Mono,
        around: &Around,
        topic: &str,
        payload: &[u8],
        correlation: Option<Vec<u8>>,
    ) {
        let asker = |booth| Asker { booth, correlation };
        match inbox::read(&self.rules.centre.topics, topic, payload) {
            Inbound::Hub(hub) => self.hub_is(now, &hub),
            Inbound::HubUnreadable(why) => {
                // The first reason stays in the alert, so that the alert is reported once.
                self.evidence
                    .hub_unreadable
                    .get_or_insert_with(|| why.clone());
                self.cannot_read(now, unreadable::Kind::HubState, why);
            }
            Inbound::AckUnreadable(why) => self.cannot_read(now, unreadable::Kind::Ack, why),
            Inbound::Ack(ack) => {
                let verdicts = self.delivery.ack(now, &ack);
                self.commands.push(Command::Settle(verdicts));
            }
            // An empty payload clears what the broker keeps, and changes nothing here.
            Inbound::Config(payload) if payload.is_empty() => {}
            Inbound::Config(payload) => {
                let came = Box::new(self.configuration(around, payload));
                self.commands.push(Command::Configure(came));
            }
            Inbound::Rebirth(booth) => {
                if self.takes_place(Asked::Rebirth, asker(booth)) {
                    self.introduction.asked(now);
                }
            }
            Inbound::SelfTest(booth) => {
                if self.takes_place(Asked::SelfTest, asker(booth)) {
                    self.selftest.asked(now);
                }
            }
            Inbound::Ring(booth, rings) => self.asked_to_ring(around, asker(booth), rings),
            Inbound::Update(booth, url) => self.asked_for_update(asker(booth), url),
            Inbound::CancelUpdate(booth) => self.asked_to_cancel_update(asker(booth)),
            Inbound::Resend(booth, wanted) => self.asked_to_resend(around, asker(booth), wanted),
            Inbound::Reload(booth) => {
                if self.takes_place(Asked::Reload, asker(booth)) {
                    self.commands.push(Command::Reload);
                }
            }
            Inbound::Drain(booth, minutes) => {
                self.asked_to_drain(now, around, asker(booth), minutes);
            }
            Inbound::Signed(booth, command) => {
                self.asked_by_signature(around, asker(booth), command, payload);
            }
            Inbound::UnknownCommand(booth, command) => {
                let why = "this version does not know the command";
                self.refuse(asker(booth), &command, why);
            }
            Inbound::State(booth, payload) if booth == self.rules.centre.booth => {
                self.own_state(&payload);
            }
            Inbound::State(booth, _) => {
                let what = format!("a state of another booth, {booth}");
                self.cannot_read(now, unreadable::Kind::Other, what);
            }
            Inbound::Odd(what) => self.cannot_read(now, unreadable::Kind::Other, what),
        }
    }

    /// Counts a message that cannot be read; it changes nothing else.
    fn cannot_read(&mut self, now: Mono, kind: unreadable::Kind, why: String) {
        let sentence = self.unreadable.note(now, kind, why);
        self.commands.push(Command::SayUnreadable(kind, sentence));
    }

    fn hub_is(&mut self, now: Mono, hub: &HubState) {
        self.quarantine.hub_says(hub);
        let is_online = hub.state == Presence::Online;
        let is_news = !is_online || !self.delivery.is_hub_online();
        if is_news {
            self.commands.push(Command::SayHub(is_online));
        }
        let jitter = hub.jitter_s.unwrap_or(DEFAULT_JITTER_S).min(MAX_JITTER_S);
        let wait = spread(self.rules.centre.booth.as_str(), now, jitter);
        self.hub_says(now, is_online, wait);
    }

    fn asked_to_ring(&mut self, around: &Around, to: Asker, rings: Option<u64>) {
        match self.may_ring(around) {
            Ok(()) => {
                let ringing = self.rules.centre.ringing.times(rings);
                let rings = ringing.rings;
                self.commands.push(Command::Ring(ringing));
                self.reply(to, "ring", json!({ "ok": 1, "rings": rings }));
            }
            Err(silent) => self.refuse(to, "ring", silent.sentence()),
        }
    }

    /// The findings of a self-test that was asked for.
    pub(super) fn tested(&mut self, findings: Value) {
        self.answer(&Asked::SelfTest, &findings);
    }

    /// The configuration was read again, or why it stays as it was.
    pub(super) fn reloaded(&mut self, result: Result<(), String>) {
        let answer = match result {
            Ok(()) => json!({ "ok": 1 }),
            Err(why) => super::desk::refusal(&why),
        };
        self.answer(&Asked::Reload, &answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_spreads_its_introductions_over_the_jitter_and_never_beyond() {
        for jitter_s in [0, 1, 10, MAX_JITTER_S] {
            let most = Duration::from_secs(jitter_s.into());
            let waits: Vec<Duration> = (0..1_000)
                .map(|booth| spread(&format!("booth-{booth}"), Mono(60_000), jitter_s))
                .collect();
            assert!(waits.iter().all(|wait| *wait <= most));
            // Each tenth of the time gets about a tenth of the fleet.
            for tenth in 0..10_u32 {
                let (from, to) = (most * tenth / 10, most * (tenth + 1) / 10);
                let inside = waits.iter().filter(|wait| (from..to).contains(*wait));
                let inside = inside.count();
                assert!(jitter_s == 0 || (60..140).contains(&inside), "{inside}");
            }
        }
        let at = |ms| spread("rundhoej-1", Mono(ms), MAX_JITTER_S);
        assert_ne!(at(1), at(2), "not always the same booth waits longest");
    }
}
