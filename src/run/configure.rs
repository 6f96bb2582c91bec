//! A gateway from its configuration, and the configuration read again.
//!
//! Owns: what the configuration says of the booth's decisions, and what of it may change while the booth runs. Never does: read a
//! file once the loop turns; the reader does.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use super::reader::{Measured, NotGood, ReadAgain, ReadCommand, hash_of};
use super::{Gateway, Machine, Workers, centre, orders, update};
use crate::adapters::playback::PlaybackCommand;
use crate::adapters::prompts::Prompts;
use crate::adapters::sensors::SupplyFiles;
use crate::config::{Backend, Config, Confirm, zone};
use crate::provision;
use crate::settings::{mqtt_settings, session_rules};
use booth_contract::time::{Mono, rfc3339};
use booth_contract::{BrokerState, Topics};
use booth_host::config_file::ConfigError;
use booth_sealing::SealTo;
use booth_spool::{OpenReport, Spool};
use gateway_core::booth::{Booth, CentreRules, Event, Rules};
use gateway_core::delivery::{Confirmation, Delivery};
use gateway_core::health::Evidence;
use gateway_core::partition::{MOVED_ASIDE, Partition};
use gateway_core::quarantine::Quarantine;
use gateway_core::session::Session;

/// Checks a configuration on a machine that need not be the booth, and returns warnings too. If the file lies on a card that
/// was in a booth, credentials that are missing beside it are taken to be in the booth: a booth moves them off the card.
pub fn check_anywhere(path: &Path) -> Result<(Config, Vec<String>), ConfigError> {
    let config = Config::load(path)?;
    if let Some(why) = config.service_fault() {
        return Err(why.in_file(path.display()).into());
    }
    let warnings = config.warnings_here();
    let mut warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    let mut here = config.clone();
    if exists(&path.with_file_name(provision::STATUS)) {
        let mqtt = &mut here.mqtt;
        let files = [
            ("password_file", &mut mqtt.password_file),
            ("ca_file", &mut mqtt.ca_file),
            ("cert_file", &mut mqtt.cert_file),
            ("key_file", &mut mqtt.key_file),
        ];
        for (key, file) in files {
            if let Some(path) = file.take_if(|path| !exists(path)) {
                let place = path.display();
                warnings.push(format!(
                    "[mqtt] {key}: {place} is not here; put it there, unless {} says that the booth has it",
                    provision::STATUS
                ));
            }
        }
        if here.mqtt.cert_file.is_none() || here.mqtt.key_file.is_none() {
            here.mqtt.cert_file = None;
            here.mqtt.key_file = None;
        }
    }
    mqtt_settings(&here)?;
    Ok((config, warnings))
}

/// Whether anything of that name exists, be it readable or not.
#[allow(clippy::disallowed_methods)] // looks for it
fn exists(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

/// A different number for each configuration, for the card to remember.
fn configuration_number(config_hash: &str) -> u64 {
    u64::from_str_radix(config_hash, 16).unwrap_or(0)
}

/// What the configuration says of the booth's own decisions.
fn booth_rules(config: &Config, config_hash: &str, has_lamp: bool, centre: CentreRules) -> Rules {
    let is_simulated = config.handset.backend == Backend::Sim;
    let has_schedule = !config.bell.at.is_empty();
    Rules {
        health_every: Duration::from_secs(config.health.interval_s),
        tone_test: config.selftest.tone_test(is_simulated),
        selftest_at: config.selftest.minute(),
        bell: config.bell.ringer(config.handset.ringer.is_some()),
        scheduled_ringing: has_schedule.then(|| config.bell.ringing(None)),
        configuration: configuration_number(config_hash),
        has_lamp,
        centre,
    }
}

/// What is known before any part has reported.
fn evidence_at_start(config: &Config, machine: &dyn Machine, prompts: &Prompts) -> Evidence {
    let now = machine.mono();
    let why_unconnected = match config.mqtt.url {
        Some(_) => "not connected yet",
        None => "no broker is configured; set [mqtt] url",
    };
    Evidence {
        questions: config.questions.len(),
        broker: Err((now, why_unconnected.into())),
        notice_missing: prompts.notice_id().is_none(),
        clock_synced: machine.clock_synced(),
        contact: config.booth.contact.clone(),
        ..Evidence::at_start(now)
    }
}

/// The core of a booth that begins now.
fn core_at_start(
    config: &Config,
    config_hash: &str,
    machine: &dyn Machine,
    workers: &Workers,
    evidence: Evidence,
) -> Booth {
    let boot_id = {
        let speaker = workers.speaker.lock();
        let speaker = speaker.unwrap_or_else(PoisonError::into_inner);
        speaker.boot_id.clone()
    };
    let has_updater = workers.update.is_some();
    let centre = orders::centre_rules(config, boot_id.clone(), has_updater, machine);
    let confirmation = match config.mqtt.confirm {
        Confirm::Hub => Confirmation::Hub,
        Confirm::Broker => Confirmation::Broker,
    };
    Booth::new(
        evidence.started,
        booth_rules(config, config_hash, workers.handset.is_some(), centre),
        Session::new(session_rules(config)),
        Delivery::new(confirmation).paced(config.mqtt.upload_bytes_per_s()),
        Quarantine::new(boot_id),
        evidence,
    )
}

impl Gateway {
    /// A gateway that knows nothing of its parts yet. `config_path` is where SIGHUP reads again.
    pub fn new(
        config: Config,
        config_path: &Path,
        machine: Box<dyn Machine>,
        workers: Workers,
    ) -> Self {
        let config_hash = hash_of(config_path);
        // A configuration whose keys are wrong is refused before; if one came here, nothing would be kept.
        let seal_to = config.privacy.seal_to().unwrap_or(SealTo::Nobody);
        let evidence = Evidence {
            no_recipient: seal_to == SealTo::Nobody,
            partition: machine.partition(&config_path.with_file_name(MOVED_ASIDE)),
            ..evidence_at_start(&config, machine.as_ref(), &workers.prompts)
        };
        let booth = core_at_start(&config, &config_hash, machine.as_ref(), &workers, evidence);
        Self {
            about: machine.about(),
            booth,
            centre: centre::Desk::new(&config),
            not_set_up: None,
            starts_again: false,
            config_hash,
            seal_to,
            topics: Topics::new(&config.mqtt.root),
            zone: zone::zone(&config.booth.timezone),
            spool: None,
            prompts: workers.prompts,
            speaker: workers.speaker,
            backend: workers.backend,
            started_at: rfc3339(machine.wall()),
            recorder: workers.recorder,
            earpiece: workers.earpiece,
            keeper: workers.keeper,
            reader: workers.reader,
            reading: None,
            old_cards: workers.old_cards,
            old_card: None,
            sticks: workers.sticks,
            copying: None,
            is_closing: false,
            measured: Measured::default(),
            handset: workers.handset,
            view: workers.view,
            mqtt: workers.mqtt,
            mixer: workers.mixer,
            mixer_notes: Vec::new(),
            last_key: None,
            capture_figures: workers.capture_figures,
            was_connected: false,
            broker_state: match config.mqtt.url {
                Some(_) => BrokerState::NotReached,
                None => BrokerState::NotConfigured,
            },
            next_telegram: 0,
            waiting_events: VecDeque::new(),
            lifted_at: None,
            unheard_lift: None,
            unheard_tone: None,
            spoken: None,
            armed: None,
            deleting: Vec::new(),
            last_clip: None,
            last_clipped_pct: None,
            last_test: None,
            awaited_test: None,
            mic_levels: workers.mic_levels,
            update: update::Desk::new(workers.update),
            written: super::health::Written::default(),
            supply_files: SupplyFiles::default(),
            screen: None,
            machine,
            config,
        }
    }

    /// The first happening: the spool, if it could be opened.
    pub fn begin(&mut self, opened: Option<(Spool, OpenReport)>) {
        let now = self.machine.mono();
        if let Some((spool, report)) = opened {
            self.use_spool(now, spool, &report);
        }
        self.offer_anew(now);
        self.show_can_seal(now);
        self.event(
            "boot",
            serde_json::json!({ "sw_version": env!("CARGO_PKG_VERSION") }),
        );
        if let Some(Partition::Repaired(why)) = &self.booth.evidence.partition {
            log::warn!("the card's data partition was repaired: {why}");
            let more = serde_json::json!({ "text": why });
            self.event("data_partition_repaired", more);
        }
    }

    /// SIGHUP: questions, prompts and the health interval are read again; the rest needs a restart.
    pub(super) fn read_again(&mut self) {
        if !self.reader.offer(ReadCommand::Configuration) {
            let why = "the card keeps the gateway waiting; the configuration is not read again now";
            log::error!("{why}");
            self.decide(self.machine.mono(), Event::Reloaded(Err(why.into())));
        }
    }

    /// There is a good configuration. A booth that is not set up starts again with it.
    pub(super) fn configured(&mut self, now: Mono, read: ReadAgain) {
        if !self.is_set_up() {
            return self.set_up_at_last();
        }
        let ReadAgain {
            config,
            hash,
            prompts,
        } = read;
        self.config.questions = config.questions;
        self.config.health = config.health;
        self.config.session.prompts = config.session.prompts;
        self.config.session.language = config.session.language;
        self.config_hash = hash;
        self.prompts = prompts;
        self.earpiece
            .send(PlaybackCommand::UsePrompts(self.prompts.clone()));
        self.own_has_changed(now);
        self.publish_birth();
        self.event(
            "config_applied",
            serde_json::json!({ "config_hash": self.config_hash }),
        );
        self.decide(
            now,
            Event::Configured {
                health_every: Duration::from_secs(self.config.health.interval_s),
                questions: self.booth.evidence.questions,
                notice_missing: self.notice_id(&self.config.session.language).is_none(),
            },
        );
        log::info!(
            "questions, prompts and health interval were read again; other changes need a restart"
        );
        self.decide(now, Event::Reloaded(Ok(())));
    }

    /// The configuration cannot be used: the one from before stays, if there is one.
    pub(super) fn not_configured(&mut self, now: Mono, NotGood { error, why }: NotGood) {
        let stays = format!("the configuration stays as it was: {error}");
        match self.is_set_up() {
            true => log::error!("{stays}"),
            false => self.still_not_set_up(why),
        }
        self.decide(now, Event::Reloaded(Err(stays)));
    }
}
