//! The centre's configuration in the loop (contract §3.8).
//!
//! Owns: the way from a message to `campaigns`, from there to the keeper, the earpiece, the visit and the centre. Never does:
//! decide what counts, or touch the card.

use std::collections::BTreeSet;
use std::sync::Arc;

use booth_contract::time::{Mono, Timestamp, rfc3339};
use booth_contract::wanted::{KeyFault, LocalTime, Wanted};
use booth_contract::{ConfigReport, MediaHash, Topic};
use gateway_core::booth::Came;
use gateway_core::campaign::offering::{self, Clock};
use gateway_core::campaign::{Campaigns, Command, Own, Proof, Unfit};
use gateway_core::session::{Input, Offer};
use serde_json::json;

use super::centre_card::{CentreCommand, CentreEvent, OwnPrompts};
use super::{Gateway, KeeperCommand};
use crate::adapters::mqtt::Kind;
use crate::adapters::playback::PlaybackCommand;
use crate::adapters::prompts::centre::Centre;
use crate::config::Config;
use crate::settings::offer;
use crate::status::Finding;

/// Most errors that the log and the doctor name one by one.
const MOST_NAMED: usize = 5;

/// What the loop holds of it.
pub(super) struct Desk {
    pub(super) campaigns: Campaigns,
    pub(super) prompts: Arc<Centre>,
    /// First 16 hex digits of the SHA-256 of the notice that was played in this visit; `None` while a tone stood in for it. What the
    /// prompts are later in the visit may be others.
    pub(super) notice_heard: Option<String>,
    /// What the visit was shown last, and what the clocks showed then.
    offered: Option<Offer>,
    offered_at: Option<Clock>,
    /// A signed configuration that is judged when the clock is synchronised.
    waits_for_clock: Option<Vec<u8>>,
    /// The clock was synchronised at the last look.
    was_synced: bool,
    /// The last time that was kept when it was not any more, and when that was.
    kept: Option<(Timestamp, Mono)>,
}

impl Desk {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            campaigns: Campaigns::new(own(config)),
            prompts: Arc::default(),
            notice_heard: None,
            offered: None,
            offered_at: None,
            waits_for_clock: None,
            was_synced: false,
            kept: None,
        }
    }

    /// Notes when the clock ceases to be synchronised. `latest` is the last time that is kept; where that is of an earlier boot,
    /// at least the time since this one began has gone by.
    fn look_at_clock(&mut self, now: Mono, is_synced: bool, latest: Option<Timestamp>) {
        match (is_synced, self.kept) {
            (true, _) => self.kept = None,
            (false, None) => {
                let at = if self.was_synced { now } else { Mono(0) };
                self.kept = latest.map(|latest| (latest, at));
            }
            (false, Some(_)) => {}
        }
        self.was_synced |= is_synced;
    }

    /// That time, carried on.
    fn kept_time(&self, now: Mono) -> Option<Timestamp> {
        let (latest, at) = self.kept?;
        latest.checked_add(now.since(at)).ok()
    }
}

fn own(config: &Config) -> Own {
    Own {
        offer: offer(config),
        consent: config.session.consent,
    }
}

/// Why this booth, at its bitrate, cannot take recordings as long as the centre wants them: a power cut would leave what nobody reads.
fn too_long(wanted: &Wanted, config: &Config) -> Option<KeyFault> {
    let (bitrate, longest) = (config.audio.bitrate, config.audio.longest_take_s());
    let limits = wanted.limits.as_ref().and_then(|limits| limits.max_seconds);
    let limits = limits.map(|seconds| ("limits.max_seconds".to_owned(), seconds));
    let campaigns = wanted.campaigns.iter().flatten().enumerate();
    let questions = campaigns.flat_map(|(n, campaign)| {
        let questions = campaign.questions.iter().enumerate();
        questions.filter_map(move |(m, question)| {
            let key = format!("campaigns[{n}].questions[{m}].max_seconds");
            question.max_seconds.map(|seconds| (key, seconds))
        })
    });
    let (key, seconds) = limits
        .into_iter()
        .chain(questions)
        .find(|(_, seconds)| u64::from(*seconds) > longest)?;
    let why = format!(
        "is {seconds}, and at this booth's [audio] bitrate {bitrate} a recording may have {longest} s, or it could not be read again after a power cut"
    );
    Some(KeyFault::new(key, why))
}

impl Gateway {
    /// What the clocks show where the booth stands. While the clock is not synchronised that is the last time that was kept, and
    /// what has gone by since; on a card that has never seen a synchronised one, the wall clock.
    fn clock(&self, now: Mono) -> Clock {
        let wall = self.machine.wall();
        let is_synced = self.machine.clock_synced();
        let kept = self.centre.kept_time(now).filter(|_| !is_synced);
        Clock {
            now: Some(self.local_time(kept.unwrap_or(wall))),
            is_synced,
            issued: None,
        }
    }

    fn local_time(&self, at: Timestamp) -> LocalTime {
        LocalTime::of(self.zone.to_datetime(at))
    }

    /// A configuration came.
    pub(super) fn config_came(&mut self, now: Mono, came: Came) {
        let clock = Clock {
            issued: came.issued.map(|issued| self.local_time(issued)),
            ..self.clock(now)
        };
        let version = came.version();
        let refused = |key: &str, why: String| Err((version, vec![KeyFault::new(key, why)]));
        self.centre.waits_for_clock = None;
        let is_in_force = |wanted: &Wanted| self.centre.campaigns.is_in_force(wanted);
        let (read, proof) = match (came.read, came.proof) {
            // What is in force already needs no proof: a signature may have expired since.
            (Ok(wanted), _) if is_in_force(&wanted) => (Ok(wanted), Proof::Nothing),
            (_, Err(refusal)) => (refused("minisig", refusal.to_string()), Proof::Nothing),
            _ if came.waits.is_some() => {
                self.centre.waits_for_clock = came.waits;
                let why = "cannot be compared with the clock yet, which is not synchronised";
                (refused("expires_at", why.to_owned()), Proof::Nothing)
            }
            (Ok(wanted), Ok(proof)) => match too_long(&wanted, &self.config) {
                Some(fault) => (Err((version, vec![fault])), proof),
                None => (Ok(wanted), proof),
            },
            (read, Ok(proof)) => (read, proof),
        };
        self.centre.campaigns.came(now, &clock, read, proof);
        self.follow_campaigns(now);
    }

    /// A prompt came.
    pub(super) fn media_came(&mut self, now: Mono, hash: MediaHash, bytes: Vec<u8>) {
        if self.centre.campaigns.media_came(now, &hash) {
            let keep = CentreCommand::Keep {
                hash: hash.clone(),
                bytes,
            };
            if !self.keeper.offer(KeeperCommand::Centre(keep)) {
                let why = "it keeps the booth waiting".to_owned();
                let campaigns = &mut self.centre.campaigns;
                campaigns.media_kept(now, &hash, Err(Unfit::Card(why)));
            }
        }
        self.follow_campaigns(now);
    }

    /// The keeper reports something about it.
    pub(super) fn centre_event(&mut self, now: Mono, event: CentreEvent) {
        let is_visited = self.booth.has_visitor();
        self.centre.campaigns.visited(is_visited);
        match event {
            CentreEvent::Read {
                found,
                folder,
                centre,
            } => {
                if let Some(why) = &found.trouble {
                    log::error!("the card {why}");
                }
                self.use_centre(centre);
                let clock = self.clock(now);
                let campaigns = &mut self.centre.campaigns;
                campaigns.loaded(now, &clock, found, folder);
                self.offer_anew(now);
            }
            CentreEvent::Kept(hash, kept) => {
                if let Err(why) = &kept {
                    log::warn!(about = "media"; "the prompt {hash} of the centre is not used: {why:?}");
                }
                self.centre.campaigns.media_kept(now, &hash, kept);
            }
            CentreEvent::Put(put) => self.centre.campaigns.put(now, put),
            CentreEvent::Prompts(centre) => self.use_centre(centre),
            CentreEvent::Folder(folder) => {
                self.centre.campaigns.folder_has(folder);
            }
        }
        self.follow_campaigns(now);
    }

    fn use_centre(&mut self, centre: Arc<Centre>) {
        self.earpiece
            .send(PlaybackCommand::UseCentre(centre.clone()));
        self.centre.prompts = centre;
        self.booth.evidence.notice_missing =
            self.notice_id(&self.config.session.language).is_none();
    }

    /// First 16 hex digits of the SHA-256 of the notice that is heard in a language; `None` while a tone stands in for it.
    pub(super) fn notice_id(&self, lang: &str) -> Option<String> {
        self.centre.prompts.notice_id(&self.prompts, lang)
    }

    /// booth.toml was read again.
    pub(super) fn own_has_changed(&mut self, now: Mono) {
        let own = own(&self.config);
        self.centre.campaigns.own_is(own);
        let prompts = OwnPrompts::of(&self.config);
        let command = KeeperCommand::Centre(CentreCommand::Own(prompts));
        self.keeper.send(command);
        self.offer_anew(now);
    }

    /// The connection stands.
    pub(super) fn campaigns_connected(&mut self, now: Mono) {
        self.centre.campaigns.connected(now);
        self.follow_campaigns(now);
    }

    /// Does what is due; campaigns and hours begin and end by the minute.
    pub(super) fn look_at_campaigns(&mut self, now: Mono) {
        let is_synced = self.machine.clock_synced();
        self.centre
            .look_at_clock(now, is_synced, self.booth.latest_time());
        if is_synced && let Some(payload) = self.centre.waits_for_clock.take() {
            let came = self.booth.configuration(&self.around(), payload);
            self.config_came(now, came);
        }
        let is_visited = self.booth.has_visitor();
        let campaigns = &mut self.centre.campaigns;
        if campaigns.visited(is_visited) | campaigns.turn(now) {
            self.follow_campaigns(now);
        }
        if self.centre.offered_at != Some(self.clock(now)) {
            self.offer_anew(now);
        }
    }

    /// When that has to be done although nothing happens.
    pub(super) fn campaigns_deadline(&self) -> Option<Mono> {
        self.centre.campaigns.deadline()
    }

    /// Shows the visit what is offered now, if that has changed.
    pub(super) fn offer_anew(&mut self, now: Mono) {
        let clock = self.clock(now);
        self.centre.offered_at = Some(clock);
        let offered = self.centre.campaigns.offered(&clock);
        let why = offered.closed.map(|closed| closed.sentence());
        self.booth.evidence.questions = offered.offer.questions.len();
        self.booth.evidence.why_no_question = why;
        let applied = self.centre.campaigns.applied();
        let quiet = offering::quiet(applied.map(|applied| &applied.wanted));
        self.booth.bell_is_quiet(quiet);
        if self.centre.offered.as_ref() != Some(&offered.offer) {
            self.centre.offered = Some(offered.offer.clone());
            self.hand_to_visit(now, Input::Offer(offered.offer));
        }
    }

    /// Carries out what `campaigns` command.
    fn follow_campaigns(&mut self, now: Mono) {
        for command in self.centre.campaigns.take_commands() {
            let command = match command {
                Command::Fetch(media) => {
                    self.fetch(media);
                    continue;
                }
                Command::Report => {
                    self.log_config();
                    self.say_config();
                    continue;
                }
                Command::Applied(version) => {
                    log::info!(over = "configuration of the centre"; "the centre's configuration {version} is in force");
                    self.event("config_applied", json!({ "version": version }));
                    self.offer_anew(now);
                    continue;
                }
                Command::Put {
                    configuration,
                    keep,
                } => CentreCommand::Put {
                    configuration,
                    keep,
                },
                Command::Tidy(keep) => CentreCommand::Tidy(keep),
                Command::UsePrompts => CentreCommand::Load,
            };
            self.keeper.send(KeeperCommand::Centre(command));
        }
    }

    fn fetch(&self, media: BTreeSet<MediaHash>) {
        if let Some(outbox) = &self.mqtt {
            let topics = media.into_iter().map(Topic::Media);
            outbox.fetch(topics.map(|topic| self.topics.name(&topic)).collect());
        }
    }

    /// How things stand.
    pub(super) fn config_report(&self) -> ConfigReport {
        let standing = self.centre.campaigns.standing();
        ConfigReport {
            wanted: standing.wanted,
            applied: standing.applied,
            missing: standing.missing,
            errors: standing.errors,
            ts: Some(rfc3339(self.machine.wall())),
        }
    }

    /// Says that to the centre.
    pub(super) fn say_config(&mut self) {
        let report = self.config_report();
        let topic = Topic::ConfigReport(self.config.booth.id.clone());
        self.publish(&topic, report.to_json(), Kind::Statement, None);
    }

    /// Writes into the log why the configuration that came is not in force.
    fn log_config(&self) {
        let standing = self.centre.campaigns.standing();
        if standing.errors.is_empty() {
            return;
        }
        let named = standing.errors.iter().take(MOST_NAMED);
        let named: Vec<String> = named.map(ToString::to_string).collect();
        log::warn!(
            fault = "configuration of the centre";
            "the centre's configuration {} is not taken, and what was in force stays: {}",
            standing.wanted.map_or("without a version".into(), |version| version.to_string()),
            named.join("; ")
        );
    }

    /// The same for whoever looks at the booth.
    pub(super) fn centre_findings(&self) -> Vec<Finding> {
        let (area, subject) = ("centre", "configuration");
        let campaigns = &self.centre.campaigns;
        let standing = campaigns.standing();
        let in_force = match standing.applied {
            Some(version) => format!("The centre's configuration {version} is in force."),
            None => "booth.toml alone says what is asked; the centre has said nothing that counts."
                .into(),
        };
        let mut all = vec![Finding::ok(area, subject, in_force)];
        let wanted = standing.wanted;
        let wanted = wanted.map_or("a configuration without a version".into(), |version| {
            format!("the configuration {version}")
        });
        for fault in standing.errors.iter().take(MOST_NAMED) {
            let remedy = "Correct it at the centre and publish it with a higher version.";
            let sentence = format!("{wanted} is not taken: {fault}");
            all.push(Finding::warning(area, "error", sentence, remedy));
        }
        if !standing.missing.is_empty() {
            let missing = standing.missing.len();
            let remedy = "Nothing, while they are on their way; else publish them again (`booth-hub campaign`).";
            let sentence = format!("{missing} prompts of {wanted} have not come yet.");
            all.push(Finding::warning(area, "missing", sentence, remedy));
        }
        let dropped = campaigns.dropped();
        if dropped > 0 {
            let remedy = "See what else publishes on media/# of the root.";
            let sentence = format!(
                "{dropped} prompts came that nobody asked for, or that are not what their topic says; they were dropped."
            );
            all.push(Finding::warning(area, "dropped", sentence, remedy));
        }
        all
    }
}
