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
use gateway_core::unreadable::Kind;

/// Most unused files among the prompts that are named.
const MOST_UNUSED: usize = 20;

impl Gateway {
    /// Everything that the daemon knows of itself, as findings: what works, and each raised alert with its remedy.
    pub fn findings(&self, now: Mono) -> Vec<Finding> {
        let evidence = &self.evidence;
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
        let mut works = |area, subject, is_ok: bool, sentence: &str| {
            if is_ok {
                all.push(Finding::ok(area, subject, sentence));
            }
        };
        works(
            "sound",
            "microphone",
            evidence.capture.is_ok(),
            "Frames arrive from the microphone.",
        );
        works(
            "sound",
            "earpiece",
            evidence.playback.is_ok(),
            "The earpiece takes samples.",
        );
        works(
            "card",
            "spool",
            evidence.spool.is_ok(),
            "The spool takes another clip.",
        );
        works(
            "contacts",
            "hook",
            evidence.handset.is_ok(),
            "The hook switch can be read.",
        );
        works(
            "broker",
            "connection",
            self.is_connected,
            "The gateway is connected to the broker.",
        );
        works(
            "hub",
            "state",
            self.delivery.is_hub_online(),
            "The hub is online.",
        );
        works(
            "clock",
            "synchronised",
            evidence.clock_synced,
            "The clock is synchronised.",
        );
        let unsent = self.delivery.unsent();
        if unsent > 0 {
            let hours = self
                .delivery
                .oldest_unsent(now)
                .map_or(0, |age| age.as_secs() / 3600);
            all.push(Finding::ok(
                "card",
                "unsent",
                format!(
                    "{unsent} messages are only on this card, the oldest for {hours} hours; do not throw it away."
                ),
            ));
        }
        all.extend(self.update_finding());
        for note in &self.mixer_notes {
            let remedy = "Write a value in that range into booth.toml.";
            all.push(Finding::warning("mixer", "range", note, remedy));
        }
        // Trouble that is too young for an alert is a warning already.
        if let Err((_, why)) = &evidence.broker
            && !self.faults.contains_key(&AlertId::NotConnected)
        {
            let remedy = AlertId::NotConnected.remedy();
            all.push(Finding::warning("broker", "connection", why, remedy));
        } else if self.is_connected && !self.delivery.is_hub_online() {
            let remedy = AlertId::HubNotListening.remedy();
            let sentence = "The hub has not said that it is online; clips stay on the card.";
            all.push(Finding::warning("hub", "state", sentence, remedy));
        }
        for (kind, sentence) in self.unreadable.sentences(now) {
            // A hub's state that cannot be read now is an alert, below.
            if kind == Kind::HubState && evidence.hub_unreadable.is_some() {
                continue;
            }
            let remedy = "Compare the versions of booth and hub; see what else may publish on this booth's topics.";
            let subject = format!("unreadable {}", kind.word());
            all.push(Finding::warning("hub", &subject, sentence, remedy));
        }
        if !evidence.clock_synced && !self.faults.contains_key(&AlertId::ClockUnset) {
            let remedy = AlertId::ClockUnset.remedy();
            let sentence = "The clock is not synchronised yet.";
            all.push(Finding::warning("clock", "synchronised", sentence, remedy));
        }
        let raised = self.faults.iter();
        all.extend(raised.map(|(id, text)| Finding::of_alert(*id, text)));
        all
    }

    /// The daemon's evidence, for the doctor's socket.
    pub(super) fn diagnosis(&mut self, now: Mono) -> Status {
        self.weigh(now);
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
            up_s: now.since(self.evidence.started).as_secs(),
            session: self.session.state_name().into(),
            ready: u8::from(self.is_ready()),
            faults: self.faults.iter().map(raised).collect(),
            findings: self.findings(now),
            unused_prompts: self.unused_prompts(),
            contacts: self.seen_contacts(),
            last_key: self.last_key.map(|(at, key)| LastKey {
                key: key_name(key),
                age_ms: now.0.saturating_sub(at.0),
            }),
            microphone: self.mic_levels.get().into(),
            capture_ok: u8::from(self.evidence.capture.is_ok()),
            playback_ok: u8::from(self.evidence.playback.is_ok()),
            connected: u8::from(self.is_connected),
            was_connected: u8::from(self.was_connected),
            hub_online: u8::from(self.delivery.is_hub_online()),
            clock_synced: u8::from(self.evidence.clock_synced),
            spool_clips: self.delivery.unsent() as u64,
            oldest_unsent_s: self
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
        }
    }

    /// Files that are not used; prompts of other languages are left out.
    fn unused_prompts(&self) -> Vec<String> {
        let unused = self.prompts.unused().iter();
        let told = unused.filter(|file| file.weight != Weight::Elsewhere);
        told.take(MOST_UNUSED).map(ToString::to_string).collect()
    }

    fn seen_contacts(&self) -> Vec<Contact> {
        if self.config.handset.backend == Backend::Sim {
            return vec![Contact {
                name: "hook".into(),
                line: None,
                level: None,
                active: Some(u8::from(self.session.is_off_hook())),
            }];
        }
        let is_inverted = self.view.is_inverted.load(Ordering::Relaxed);
        contacts(&self.config.handset, &self.view.contacts(), is_inverted)
    }
}
