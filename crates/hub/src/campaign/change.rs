//! What is published becomes something else: `publish`, `withdraw`, `undo`.
//!
//! Owns: the order of the steps, and what is said meanwhile. Never does: send what is not durable.
#![allow(clippy::disallowed_methods)] // waits for booths

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use booth_city::sentence;
use booth_contract::time::rfc3339;
use booth_contract::{BoothId, ConfigReport, MAX_JSON_BYTES, MediaHash, Topics};
use booth_host::{clock, complain, say};
use serde_json::json;

use super::CampaignError;
use super::author::{ready_file, right};
use super::broker::{self, Load};
use super::file::Booths;
use super::merge::{self, Merged, merged};
use super::parcel::{Parcel, is_same, parcels, sign, to_sign};
use super::progress::{Progress, Stand};
use super::register::{self, Campaigns, Ready, Register, Sent, State};
use super::signing::{self, Returned};
use super::stops::{self, Stops};
use super::verbs::{General, Sending, local_now};
use super::workshop::Workshop;
use crate::config::HubConfig;
use crate::store::codes::Codes;
use crate::{login, store};

/// How often the database is asked while booths are waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What a change works on: the hub's configuration, what is published, and the prompts that are made.
pub(super) struct Desk {
    pub(super) hub: HubConfig,
    pub(super) register: Register,
    workshop: Workshop,
    /// One at a time publishes; who stops a question waits for nobody.
    turn: Option<File>,
}

impl Desk {
    pub(super) fn open(general: &General) -> Result<Self, CampaignError> {
        Self::of(HubConfig::load(&general.config)?)
    }

    pub(super) fn of(hub: HubConfig) -> Result<Self, CampaignError> {
        let turn = register::turn_to_publish(&hub.store.dir)?;
        let desk = Self::for_a_stop(hub)?;
        Ok(Self {
            turn: Some(turn),
            ..desk
        })
    }

    /// Beside whoever publishes.
    pub(super) fn for_a_stop(hub: HubConfig) -> Result<Self, CampaignError> {
        let register = Register::open(&hub.store.dir)?;
        let workshop = Workshop::open(register.folder())?;
        Ok(Self {
            hub,
            register,
            workshop,
            turn: None,
        })
    }
}

pub(super) async fn publish(
    file: Option<&Path>,
    only: Vec<String>,
    sending: &Sending,
    general: &General,
) -> Result<(), CampaignError> {
    let desk = Desk::open(general)?;
    let register = &desk.register;
    let campaigns = register.state.campaigns();
    let Some(file) = file else {
        if campaigns.is_empty() && register.state.booths.is_empty() {
            return Err(CampaignError::refused(
                "nothing is published yet; name a campaign's file (booth-hub campaign new FILE writes an example)",
            ));
        }
        let change = Change {
            what: "publish again".into(),
            campaigns,
            same_as: None,
            always: None,
            stops: None,
        };
        return change.carry_out(desk, sending, general).await;
    };
    let mut draft = right(file, &desk.hub)?;
    if !only.is_empty() {
        if let Some(stranger) = only.iter().find(|booth| !draft.booths.has(booth)) {
            return Err(CampaignError::Refused(format!(
                "{stranger:?} is none of the booths that {} names; write it into `booths` there",
                file.display()
            )));
        }
        for booth in &only {
            BoothId::parse(booth).map_err(|why| CampaignError::refused(why.to_string()))?;
        }
        draft.booths = Booths::Named(only);
    }
    let ready = ready_file(&draft, file, &desk.workshop, &rfc3339(clock::wall()))?;
    put(&desk, &draft.id, ready)
        .carry_out(desk, sending, general)
        .await
}

/// Puts a campaign beside, or in the place of, what a hub has published.
fn put(desk: &Desk, id: &str, ready: Ready) -> Change {
    let mut campaigns = desk.register.state.campaigns();
    let always = Some(ready.booths.clone());
    campaigns.insert(id.to_owned(), ready);
    Change {
        what: format!("publish {id}"),
        campaigns,
        same_as: None,
        always,
        stops: None,
    }
}

/// Publishes what the editor's page has made ready.
pub(super) async fn publish_ready(
    hub: HubConfig,
    id: &str,
    ready: impl FnOnce(&Workshop) -> Result<Ready, CampaignError>,
    sending: &Sending,
    general: &General,
) -> Result<(), CampaignError> {
    let desk = Desk::of(hub)?;
    let ready = ready(&desk.workshop)?;
    let change = put(&desk, id, ready);
    change.carry_out(desk, sending, general).await
}

/// What the city must sign before this can be published: none where no signature is needed.
pub(super) fn to_be_signed(
    hub: HubConfig,
    id: &str,
    ready: impl FnOnce(&Workshop) -> Result<Ready, CampaignError>,
) -> Result<Vec<String>, CampaignError> {
    let desk = Desk::of(hub)?;
    let ready = ready(&desk.workshop)?;
    let now = clock::wall();
    let parcels = put(&desk, id, ready).parcels(&desk.hub, &desk.register, false, now)?;
    let needing = parcels
        .iter()
        .filter(|parcel| parcel.merged.needs_signature());
    Ok(needing
        .map(|parcel| signing::text(&parcel.booths, &parcel.merged.wanted, now))
        .collect())
}

pub(super) async fn withdraw(
    id: &str,
    sending: &Sending,
    general: &General,
) -> Result<(), CampaignError> {
    let desk = Desk::open(general)?;
    let register = &desk.register;
    let mut campaigns = register.state.campaigns();
    let Some(taken) = campaigns.remove(id) else {
        return Err(unknown(id, &campaigns));
    };
    let what = format!("withdraw {id}");
    let change = Change {
        what,
        campaigns,
        same_as: None,
        always: Some(taken.booths),
        stops: None,
    };
    change.carry_out(desk, sending, general).await
}

pub(super) fn unknown(id: &str, campaigns: &Campaigns) -> CampaignError {
    let names: Vec<&str> = campaigns.keys().map(String::as_str).collect();
    CampaignError::Refused(match names.is_empty() {
        true => format!("{id:?} is not published; no campaign is"),
        false => format!("{id:?} is not published; there are {}", names.join(", ")),
    })
}

pub(super) async fn undo(sending: &Sending, general: &General) -> Result<(), CampaignError> {
    let desk = Desk::open(general)?;
    let register = &desk.register;
    let Some((same_as, campaigns)) = register.state.before() else {
        return Err(CampaignError::refused(
            "there is nothing to take back: nothing was published, or the one before is not kept any more",
        ));
    };
    let taken = register
        .state
        .latest()
        .map(|edition| edition.what.clone())
        .unwrap_or_default();
    let change = Change {
        what: format!("undo ({taken})"),
        campaigns,
        same_as: Some(same_as),
        always: None,
        stops: None,
    };
    change.carry_out(desk, sending, general).await
}

/// What is to be published instead of what is.
pub(super) struct Change {
    pub(super) what: String,
    pub(super) campaigns: Campaigns,
    /// For an undo, the edition that it goes back to.
    pub(super) same_as: Option<u64>,
    /// Booths that get it even if nothing changes for them; without it, all that have ever had anything.
    pub(super) always: Option<Booths>,
    /// What is stopped from now on, where nothing else changes: then no edition begins, and an undo knows nothing of it.
    pub(super) stops: Option<Stops>,
}

impl Change {
    /// The booths that the change concerns, each with its new configuration.
    fn merge(
        &self,
        state: &State,
        everybody: &BTreeSet<String>,
        force: bool,
    ) -> Result<Vec<(String, Merged)>, CampaignError> {
        let now = local_now();
        let stopped = self.stops.as_ref().unwrap_or(&state.stopped);
        let named = |campaigns: &Campaigns| -> BTreeSet<String> {
            let named = campaigns.values().filter_map(|ready| match &ready.booths {
                Booths::All => None,
                Booths::Named(named) => Some(named.clone()),
            });
            named.flatten().collect()
        };
        let mut booths: BTreeSet<String> = everybody.clone();
        booths.extend(named(&self.campaigns));
        booths.extend(state.booths.keys().cloned());
        let (mut merged_all, mut conflicts) = (Vec::new(), BTreeSet::new());
        for booth in booths {
            let mut new = match merged(&self.campaigns, stopped, &booth, now) {
                Ok(new) => new,
                Err(why) => {
                    conflicts.extend(why);
                    continue;
                }
            };
            new.wanted.force = force;
            let sent = state.booths.get(&booth);
            let is_same = sent.is_some_and(|sent| is_same(sent, &new.wanted));
            // A booth that the centre never said anything to, and has nothing to say to, is left alone.
            let is_nothing = new.wanted.campaigns.is_none() && sent.is_none();
            let is_asked_for = self.always.as_ref().is_none_or(|booths| booths.has(&booth));
            // A stop is for its own booths alone: what is due elsewhere may need a signature, and waits for whoever publishes.
            let has_news = !is_same && self.stops.is_none();
            if !is_nothing && (is_asked_for || has_news) {
                merged_all.push((booth, new));
            }
        }
        match conflicts.is_empty() {
            true => Ok(merged_all),
            false => {
                let conflicts: Vec<String> = conflicts.into_iter().collect();
                Err(CampaignError::Refused(conflicts.join("\n")))
            }
        }
    }

    /// The configurations that are to be sent.
    fn parcels(
        &self,
        hub: &HubConfig,
        register: &Register,
        force: bool,
        now: jiff::Timestamp,
    ) -> Result<Vec<Parcel>, CampaignError> {
        let reports = store::config_reports(&hub.store.dir)?;
        let everybody: BTreeSet<String> = hub
            .booths
            .iter()
            .map(|booth| &booth.id)
            .chain(reports.keys())
            .map(|booth| booth.as_str().to_owned())
            .collect();
        let new = self.merge(&register.state, &everybody, force)?;
        // A question can be hidden, too, where no booth asks it.
        if new.is_empty() && self.stops.is_none() {
            return Err(CampaignError::Told(sentence!("hub-no-booth")));
        }
        let mut known = BTreeMap::new();
        for (booth, report) in reports.iter().filter(|_| !force) {
            let version = report.as_ref().and_then(|report| report.applied);
            known.extend(version.map(|version| (booth.as_str().to_owned(), version)));
        }
        let names = new.iter().map(|(booth, _)| booth.as_str());
        let version = register.state.next_version(names, &known, now.as_second());
        Ok(parcels(new, version, &rfc3339(now)))
    }

    pub(super) async fn carry_out(
        self,
        desk: Desk,
        sending: &Sending,
        general: &General,
    ) -> Result<(), CampaignError> {
        let Desk {
            hub,
            mut register,
            mut workshop,
            turn,
        } = desk;
        let now = clock::wall();
        let mut parcels = self.parcels(&hub, &register, sending.force, now)?;
        let version = parcels.iter().map(|parcel| parcel.version).max();
        let version = version.unwrap_or_default();
        if let Some(path) = &sending.to_sign {
            return to_sign(path, &parcels, now, general);
        }
        let files = sending.signed.iter().map(|file| signing::read(file, now));
        let texts = sending.signed_texts.iter();
        let texts = texts.map(|(text, minisig)| signing::returned(text, minisig, now));
        let returned: Vec<Returned> = files.chain(texts).collect::<Result<_, _>>()?;
        sign(&mut parcels, &returned, &register.state, sending)?;
        fit(&parcels)?;
        if sending.dry_run {
            tell_dry(&parcels, general);
            return Ok(());
        }
        let login = login::login(&hub)?;
        let load = self.note(&hub.store.dir, &mut register, &workshop, &parcels, &[], now)?;
        // A question can be stopped while the broker keeps this one waiting.
        drop(register);
        let topics = Topics::new(hub.mqtt.root.clone());
        let versions = parcels.iter().flat_map(|parcel| {
            parcel
                .booths
                .iter()
                .map(|booth| (booth.clone(), parcel.version))
        });
        let versions: BTreeMap<String, u64> = versions.collect();
        let mut progress = Progress::new(versions.clone());
        let tell = |booth: &BoothId, report: &ConfigReport, progress: &mut Progress| {
            if let Some(line) = progress.heard(booth.as_str(), report)
                && !general.json
            {
                general.tell(&line);
            }
        };
        let mut heard = |booth: &BoothId, report: &ConfigReport| tell(booth, report, &mut progress);
        let mut ear = match load.is_empty() {
            true => None,
            false => {
                Some(broker::deliver(&login, &topics, &hub.store.dir, &load, &mut heard).await?)
            }
        };
        let mut register = Register::open(&hub.store.dir)?;
        let wanted = register.state.wanted_media();
        for hash in load.unwanted.iter().filter(|hash| !wanted.contains(*hash)) {
            register.state.at_broker.remove(hash);
        }
        for (booth, _) in &load.configurations {
            let noted = register.state.booths.get(booth.as_str());
            let is_newest =
                noted.is_none_or(|sent| versions.get(booth.as_str()) == Some(&sent.version));
            // What was noted meanwhile may have left before this, and leaves once more.
            match is_newest {
                true => register.state.owed.remove(booth.as_str()),
                false => register.state.owed.insert(booth.as_str().to_owned()),
            };
        }
        register.save()?;
        let stopped = stops::lines(&register.state, None);
        if let Some(wanted) = register.state.all_media()
            && let Err(error) = workshop.sweep(&wanted, now)
        {
            complain!("prompts that nobody wants any more were not deleted: {error}");
        }
        // Another command may work while this one waits.
        drop(register);
        drop(turn);
        if !general.json {
            let what = &self.what;
            general.tell(&match load.configurations.len() {
                0 => format!("{what}: no booth has it."),
                booths => format!(
                    "{what}: version {version} is published for {}, with {} prompts.",
                    count(booths),
                    load.media.len()
                ),
            });
            for line in &stopped {
                general.tell(line);
            }
        }
        let until = tokio::time::Instant::now() + Duration::from_secs(sending.wait);
        while !progress.is_over() && tokio::time::Instant::now() < until {
            for (booth, report) in store::config_reports(&hub.store.dir).unwrap_or_default() {
                if let Some(report) = report {
                    tell(&booth, &report, &mut progress);
                }
            }
            let heard = async {
                match &mut ear {
                    Some(ear) => ear.hear().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                heard = heard => match heard {
                    Some((booth, report)) => tell(&booth, &report, &mut progress),
                    // The running hub has its connection back; its database tells the rest.
                    None => ear = None,
                },
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
        if let Some(ear) = ear {
            ear.leave().await;
        }
        tell_end(&self.what, version, &progress, general)
    }

    /// Makes durable what is about to leave, and leaves it to the running hub to send it. Answers at which booths this needs the city's signature
    /// first; everywhere else, and for citizens' pages, it is done.
    ///
    /// # Errors
    /// What does not fit; then nothing has changed.
    pub(super) fn leave_to_the_hub(self, desk: Desk) -> Result<Vec<String>, CampaignError> {
        let Desk {
            hub,
            mut register,
            workshop,
            ..
        } = desk;
        let now = clock::wall();
        let parcels = self.parcels(&hub, &register, false, now)?.into_iter();
        let (unsigned, parcels): (Vec<Parcel>, Vec<Parcel>) =
            parcels.partition(|parcel| parcel.merged.needs_signature());
        fit(&parcels)?;
        self.note(
            &hub.store.dir,
            &mut register,
            &workshop,
            &parcels,
            &unsigned,
            now,
        )?;
        Ok(unsigned.into_iter().flat_map(|one| one.booths).collect())
    }

    /// Makes durable what is about to leave, and gathers it; `unsigned` does not leave.
    fn note(
        &self,
        store: &Path,
        register: &mut Register,
        workshop: &Workshop,
        parcels: &[Parcel],
        unsigned: &[Parcel],
        now: jiff::Timestamp,
    ) -> Result<Load, CampaignError> {
        let at = rfc3339(now);
        let mut load = Load::default();
        let mut wanted: BTreeSet<MediaHash> = BTreeSet::new();
        for parcel in parcels {
            let media = parcel.merged.wanted.media();
            wanted.extend(media.iter().cloned());
            for booth in &parcel.booths {
                let id =
                    BoothId::parse(booth).map_err(|why| CampaignError::refused(why.to_string()))?;
                load.configurations.push((id, parcel.payload.clone()));
                let sent = Sent {
                    version: parcel.version,
                    at: at.clone(),
                    campaigns: parcel.merged.campaigns.clone(),
                    media: media.clone(),
                    payload: String::from_utf8_lossy(&parcel.payload).into_owned(),
                };
                register.state.booths.insert(booth.clone(), sent);
            }
        }
        // Before anybody can vote: a vote without its code must not count for a moment.
        let codes = Codes::beside(store);
        for (id, ready) in &self.campaigns {
            let questions = merge::campaign_of(ready).map(|campaign| campaign.questions);
            let questions = questions.into_iter().flatten();
            codes.ask_for(
                id,
                questions
                    .filter(|question| question.codes)
                    .map(|question| question.id),
            )?;
        }
        for hash in &wanted {
            load.media.push((hash.clone(), workshop.bytes(hash)?));
        }
        match &self.stops {
            None => {
                let campaigns = self.campaigns.clone();
                let what = self.what.clone();
                register.state.begin(&at, what, campaigns, self.same_as);
            }
            Some(stops) => {
                let of_booths = load.configurations.iter().map(|(booth, _)| booth.as_str());
                register.state.owed.extend(of_booths.map(str::to_owned));
                register.state.stop(stops, parcels.iter().chain(unsigned));
            }
        }
        register.state.at_broker.extend(wanted);
        let still = register.state.wanted_media();
        load.unwanted = register
            .state
            .at_broker
            .difference(&still)
            .cloned()
            .collect();
        register.save()?;
        Ok(load)
    }
}

/// Whether a booth reads each of them.
fn fit(parcels: &[Parcel]) -> Result<(), CampaignError> {
    let long = |parcel: &&Parcel| parcel.payload.len() > MAX_JSON_BYTES;
    match parcels.iter().find(long) {
        None => Ok(()),
        Some(long) => Err(CampaignError::Refused(format!(
            "the configuration of {} has {} bytes, and a booth reads {MAX_JSON_BYTES}: fewer campaigns, questions or languages at a time",
            long.booths.join(", "),
            long.payload.len()
        ))),
    }
}

fn count(booths: usize) -> String {
    match booths {
        1 => "one booth".into(),
        n => format!("{n} booths"),
    }
}

fn tell_dry(parcels: &[Parcel], general: &General) {
    if general.json {
        let each = parcels.iter().map(|parcel| {
            json!({"booths": parcel.booths, "campaigns": parcel.merged.campaigns, "version": parcel.version, "bytes": parcel.payload.len(),
                "prompts": parcel.merged.wanted.media().len(), "payload": String::from_utf8_lossy(&parcel.payload)})
        });
        return say!("{}", json!({"would_publish": each.collect::<Vec<_>>()}));
    }
    for parcel in parcels {
        let campaigns = match parcel.merged.campaigns.is_empty() {
            true => "no campaign: what the booth's own booth.toml asks".to_owned(),
            false => parcel.merged.campaigns.join(", "),
        };
        let prompts = parcel.merged.wanted.media().len();
        say!(
            "{}: {campaigns} ({} bytes, {prompts} prompts)",
            parcel.booths.join(", "),
            parcel.payload.len()
        );
    }
    say!("Nothing was published.");
}

fn tell_end(
    what: &str,
    version: u64,
    progress: &Progress,
    general: &General,
) -> Result<(), CampaignError> {
    let refused = progress
        .stands()
        .filter(|(_, _, stand)| matches!(stand, Stand::Refused { .. }))
        .count();
    let applied = progress
        .stands()
        .filter(|(_, _, stand)| matches!(stand, Stand::Applied { .. }))
        .count();
    let all = progress.stands().count();
    if general.json {
        let each = progress.stands().map(
            |(booth, version, stand)| json!({"booth": booth, "version": version, "report": stand}),
        );
        say!(
            "{}",
            json!({"done": what, "version": version, "booths": each.collect::<Vec<_>>()})
        );
    } else {
        for (booth, _, stand) in progress.stands().filter(|(_, _, stand)| !stand.is_final()) {
            general.tell(&format!("{booth}: {}", stand.sentence()));
        }
        general.tell(&format!(
            "In force at {applied} of {all} booths. See later: booth-hub campaign list"
        ));
    }
    match refused {
        0 => Ok(()),
        n => Err(CampaignError::Refused(format!(
            "{} not taken by {}; each keeps what was in force. Mend what it names, and publish again",
            what,
            count(n)
        ))),
    }
}
