//! The running gateway's answers to the doctor.
//!
//! Owns: the daemon's evidence as findings and as one JSON line. Never does: change anything, or reveal a secret.

use std::sync::atomic::Ordering;

use super::Gateway;
use crate::adapters::prompts::folder::Weight;
use crate::config::Backend;
use crate::status::{Contact, Finding, LastKey, Raised, Status, contacts, key_name};
use booth_contract::AlertId;
use booth_contract::time::Mono;
use gateway_core::booth::Event;
use gateway_core::unreadable::Kind;

/// Most unused files among the prompts that are named.
const MOST_UNUSED: usize = 20;

impl Gateway {
    /// Everything that the daemon knows of itself, as findings: what works, and each raised alert with its remedy.
    pub fn findings(&self, now: Mono) -> Vec<Finding> {
        let mut all = Vec::new();
        if let Some(why) = &self.not_set_up {
            let remedy = "Correct booth.toml, then start the gateway again or send it SIGHUP.";
            let sentence = format!("This booth is not set up: {why}");
            all.push(Finding::fault(
                "configuration",
                "booth.toml",
                sentence,
                remedy,
            ));
        }
        all.extend(self.what_works());
        all.extend(self.unsent_finding(now));
        all.extend(self.centre_findings());
        all.extend(self.update_finding());
        for note in &self.mixer_notes {
            let remedy = "Write a value in that range into booth.toml.";
            all.push(Finding::warning("mixer", "range", note.to_string(), remedy));
        }
        all.extend(self.young_trouble());
        all.extend(self.unreadable_findings(now));
        all.extend(self.clock_finding());
        let raised = self.booth.faults().iter();
        all.extend(raised.map(|(id, text)| Finding::of_alert(*id, text)));
        all
    }

    /// What works, a finding each.
    fn what_works(&self) -> impl Iterator<Item = Finding> {
        let evidence = &self.booth.evidence;
        [
            (
                evidence.capture.is_ok(),
                ("sound", "microphone"),
                "Frames arrive from the microphone.",
            ),
            (
                evidence.playback.is_ok(),
                ("sound", "earpiece"),
                "The earpiece takes samples.",
            ),
            (
                evidence.spool.is_ok(),
                ("card", "spool"),
                "The spool takes another clip.",
            ),
            (
                evidence.handset.is_ok(),
                ("contacts", "hook"),
                "The hook switch can be read.",
            ),
            (
                self.booth.is_connected(),
                ("broker", "connection"),
                "The gateway is connected to the broker.",
            ),
            (
                self.booth.delivery.is_hub_online(),
                ("hub", "state"),
                "The hub is online.",
            ),
            (
                evidence.clock_synced,
                ("clock", "synchronised"),
                "The clock is synchronised.",
            ),
        ]
        .into_iter()
        .filter(|(works, ..)| *works)
        .map(|(_, (area, subject), sentence)| Finding::ok(area, subject, sentence))
    }

    fn unsent_finding(&self, now: Mono) -> Option<Finding> {
        let unsent = self.booth.delivery.unsent();
        let oldest = self.booth.delivery.oldest_unsent(now);
        let hours = oldest.map_or(0, |age| age.as_secs() / 3600);
        (unsent > 0).then(|| {
            let sentence = format!(
                "{unsent} messages are only on this card, the oldest for {hours} hours; do not throw it away."
            );
            Finding::ok("card", "unsent", sentence)
        })
    }

    /// Trouble that is too young for an alert is a warning already.
    fn young_trouble(&self) -> Option<Finding> {
        if let Err((_, why)) = &self.booth.evidence.broker
            && !self.booth.faults().contains_key(&AlertId::NotConnected)
        {
            let remedy = AlertId::NotConnected.remedy();
            return Some(Finding::warning("broker", "connection", why, remedy));
        }
        let is_alone = self.booth.is_connected() && !self.booth.delivery.is_hub_online();
        is_alone.then(|| {
            let remedy = AlertId::HubNotListening.remedy();
            let sentence = "The hub has not said that it is online; clips stay on the card.";
            Finding::warning("hub", "state", sentence, remedy)
        })
    }

    fn unreadable_findings(&self, now: Mono) -> impl Iterator<Item = Finding> {
        // A hub's state that cannot be read now is an alert already.
        let is_alert = self.booth.evidence.hub_unreadable.is_some();
        let sentences = self.booth.unreadable.sentences(now);
        let sentences = sentences.filter(move |(kind, _)| *kind != Kind::HubState || !is_alert);
        sentences.map(|(kind, sentence)| {
            let remedy = "Compare the versions of booth and hub; see what else may publish on this booth's topics.";
            let subject = format!("unreadable {}", kind.word());
            Finding::warning("hub", &subject, sentence, remedy)
        })
    }

    fn clock_finding(&self) -> Option<Finding> {
        let is_alert = self.booth.faults().contains_key(&AlertId::ClockUnset);
        (!self.booth.evidence.clock_synced && !is_alert).then(|| {
            let remedy = AlertId::ClockUnset.remedy();
            let sentence = "The clock is not synchronised yet.";
            Finding::warning("clock", "synchronised", sentence, remedy)
        })
    }

    /// The daemon's evidence, for the doctor's socket.
    pub(super) fn diagnosis(&mut self, now: Mono) -> Status {
        self.decide(now, Event::Weigh);
        let raised = |(id, text): (&AlertId, &String)| Raised {
            id: id.as_str().into(),
            severity: id.severity(),
            text: text.clone(),
            remedy: id.remedy().into(),
        };
        Status {
            schema: 1,
            booth_id: self.config.booth.id.to_string(),
            name: self.config.booth.name.clone(),
            sw_version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            up_s: now.since(self.booth.evidence.started).as_secs(),
            session: self.booth.session().state_name().into(),
            ready: u8::from(self.is_ready()),
            faults: self.booth.faults().iter().map(raised).collect(),
            findings: self.findings(now),
            unused_prompts: self.unused_prompts(),
            contacts: self.seen_contacts(),
            last_key: self.last_key.map(|(at, key)| LastKey {
                key: key_name(key),
                age_ms: now.0.saturating_sub(at.0),
            }),
            microphone: self.mic_levels.get().into(),
            capture_ok: u8::from(self.booth.evidence.capture.is_ok()),
            playback_ok: u8::from(self.booth.evidence.playback.is_ok()),
            connected: u8::from(self.booth.is_connected()),
            was_connected: u8::from(self.was_connected),
            hub_online: u8::from(self.booth.delivery.is_hub_online()),
            clock_synced: u8::from(self.booth.evidence.clock_synced),
            spool_clips: self.booth.delivery.unsent() as u64,
            oldest_unsent_s: self
                .booth
                .delivery
                .oldest_unsent(now)
                .map_or(0, |age| age.as_secs()),
            card_id: self
                .spool
                .as_ref()
                .map(|spool| spool.identity().card_id.clone())
                .unwrap_or_default()
                .to_string(),
            last_clip_no: self
                .spool
                .as_ref()
                .map_or(0, booth_spool::Spool::last_clip_no),
            config: self.config_report(),
        }
    }

    /// Files that are not used; prompts of other languages are left out.
    fn unused_prompts(&self) -> Vec<String> {
        let unused = self.prompts.unused().iter();
        let named = unused.filter(|file| file.weight != Weight::Elsewhere);
        named.take(MOST_UNUSED).map(ToString::to_string).collect()
    }

    fn seen_contacts(&self) -> Vec<Contact> {
        if self.config.handset.backend == Backend::Sim {
            return vec![Contact {
                name: "hook".into(),
                line: None,
                level: None,
                active: Some(u8::from(self.booth.session().is_off_hook())),
            }];
        }
        let is_inverted = self.view.is_inverted.load(Ordering::Relaxed);
        contacts(&self.config.handset, &self.view.contacts(), is_inverted)
    }
}
