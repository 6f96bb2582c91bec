//! The centre's signed commands, as far as they touch what the core does not know: keys, the card, the machine.
//!
//! Owns: the checks that the core borrows, sealing to other recipients, the request for a restart. Never does: decide; the core does
//! (`gateway_core::booth`).

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Gateway, Machine};
use crate::config::{Config, NO_DAY, Privacy, day};
use crate::trust::whence::Whence;
use crate::update::http::{AddressError, check_url, check_whence};
use booth_contract::time::Mono;
use booth_contract::{BootId, ClipId, Topics, hex};
use booth_sealing::SealTo;
use booth_spool::{KeptClip, SpoolError};
use gateway_core::booth::{Back, CentreRules, Checks, Event};
use gateway_core::health::KeyLife;

/// What the configuration and the machine say of the booth's dealings with the centre.
pub(super) fn centre_rules(
    config: &Config,
    boot_id: BootId,
    has_updater: bool,
    machine: &dyn Machine,
) -> CentreRules {
    CentreRules {
        booth: config.booth.id.clone(),
        topics: Topics::new(&config.mqtt.root),
        boot_id,
        ringing: config.bell.ringing(None),
        takes_updates: !config.update.keys.is_empty(),
        has_updater,
        restarts: machine.may_restart().map_err(|why| why.to_string()),
        seals: config.privacy.seal,
        privacy: name_of(&config.privacy),
        control: named(&config.control.keys.join("\n")),
        checks: checks(config),
    }
}

fn checks(config: &Config) -> Checks {
    let (keys, allow) = (config.control.keys(), config.update.allow.clone());
    let admits = move |url: &str| {
        check_url(url).map_err(AddressError::from)?;
        check_whence(url, &Whence::parse(&allow)?)
    };
    Checks {
        signature: Box::new(move |body, minisig| {
            keys.verify(body, minisig).map_err(|why| why.to_string())
        }),
        update_address: Box::new(move |url| admits(url).map_err(|why| why.to_string())),
        recipients: Box::new(|keys, key_until| {
            seal_to(keys)?;
            match key_until.filter(|text| day(text).is_none()) {
                None => Ok(()),
                Some(_) => Err(format!("key_until {NO_DAY}")),
            }
        }),
    }
}

/// Another name for each `[privacy]`, however it is written.
fn name_of(privacy: &Privacy) -> String {
    let text = format!(
        "{}\n{}\n{}",
        privacy.seal,
        privacy.key_until.as_deref().unwrap_or_default(),
        privacy.recipients.join("\n")
    );
    named(&text)
}

/// A short name for a text.
fn named(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))[..16].to_owned()
}

/// The recipients that these texts name. What stands there is not repeated: it may be a private key.
fn seal_to(keys: &[String]) -> Result<SealTo, String> {
    let named = Privacy {
        recipients: keys.to_vec(),
        seal: true,
        key_until: None,
    };
    named.seal_to().map_err(|wrong| {
        let wrong: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        format!("recipients: {}", wrong.join("; "))
    })
}

impl Gateway {
    /// Seals to these keys from the next recording on, and introduces them.
    pub(super) fn seal_to_others(&mut self, now: Mono, keys: &[String]) {
        match seal_to(keys) {
            Ok(seal_to) => {
                self.seal_to = seal_to;
                log::warn!(
                    "what is said from now on is sealed to the keys that the centre has named by a signed command: {}",
                    self.seal_to.ids().join(", ")
                );
                self.show_can_seal(now);
                self.publish_birth();
            }
            // They were checked before they were noted.
            Err(why) => log::error!("the recipients on the card cannot be used: {why}"),
        }
    }

    /// How long the city's key is to be in use. Without a synchronised clock, or where nobody has named the day, it is not known.
    pub(super) fn key_life(&self) -> Option<KeyLife> {
        let named = match self.booth.recipients() {
            Some(kept) => kept.key_until.as_deref(),
            None => self.config.privacy.key_until.as_deref(),
        };
        let until = day(named?).filter(|_| self.machine.clock_synced())?;
        let midnight = until.tomorrow().ok()?.at(0, 0, 0, 0);
        let ends = self.zone.to_zoned_datetime(midnight).ok()?;
        let left_s = ends.timestamp().as_second() - self.machine.wall().as_second();
        Some(KeyLife {
            until: until.to_string(),
            days_left: left_s.div_euclid(super::A_DAY_S),
        })
    }

    /// Asks for a restart of the machine.
    pub(super) fn restart(&mut self, now: Mono) {
        let asked = self.machine.restart().map_err(|why| why.to_string());
        match &asked {
            Ok(()) => {
                log::warn!("the machine is restarted, as a signed command of the centre asks")
            }
            Err(why) => log::error!("the machine is not restarted: {why}"),
        }
        self.decide(now, Event::RestartAsked(asked));
    }

    /// What became of clips that were to leave quarantine.
    pub(super) fn brought_back(
        &mut self,
        now: Mono,
        clips: Vec<(ClipId, Result<KeptClip, SpoolError>)>,
    ) {
        let mut back = Vec::new();
        for (clip_id, result) in clips {
            let came = match result {
                Ok(clip) => {
                    log::info!(clip_id = clip_id.as_str(); "out of quarantine");
                    let age = self.age_of(now, &clip);
                    Back::Out(self.offer_of(now, &clip, age))
                }
                Err(SpoolError::UnknownClip { .. }) => Back::Gone,
                Err(error) => {
                    log::warn!("{error}");
                    Back::Stays {
                        why: error.to_string(),
                        is_damage: error.is_damage(),
                    }
                }
            };
            back.push((clip_id, came));
        }
        self.decide(now, Event::BroughtBack(back));
    }

    /// A clip was given up, or not.
    pub(super) fn purged(
        &mut self,
        now: Mono,
        clip_id: ClipId,
        result: Result<KeptClip, SpoolError>,
    ) {
        let result = match result {
            Ok(void) => {
                log::warn!(clip_id = clip_id.as_str(); "given up; its number {} is declared void", void.clip_no);
                let offer = self.offer_of(now, &void, Duration::ZERO);
                Ok((void.clip_no, offer))
            }
            Err(error) => {
                log::error!("{error}");
                Err(error.to_string())
            }
        };
        self.decide(now, Event::Purged { clip_id, result });
    }
}
