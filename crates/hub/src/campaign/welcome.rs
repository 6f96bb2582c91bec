//! A booth that is new gets the campaigns that are at all booths, without anybody's command.
//!
//! Owns: the running hub's look for booths that have introduced themselves and were never sent anything, and what they are sent; it also
//! sends what a stopped question has left owing ([`super::stops`]). Never does: begin an edition, so that an undo takes back what people
//! did; publish what needs a signature. What is sent is noted first, under the same lock as the commands: a hub that dies in between sends it
//! after its next start.
#![allow(clippy::disallowed_methods)] // waits between two looks

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use booth_contract::time::rfc3339;
use booth_contract::{BoothId, MediaHash, Topics};
use booth_host::{clock, crew};

use super::CampaignError;
use super::broker::{self, Load};
use super::file::Booths;
use super::merge::{is_over, merged};
use super::parcel::parcels;
use super::register::{self, Register, Sent, State};
use super::verbs::local_now;
use super::workshop::Workshop;
use crate::config::HubConfig;
use crate::{login, store};

/// How often the hub looks for new booths.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The longest pause after the broker did not take what a booth is to get: a question that is stopped is gone within a minute of its return.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What a look has found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// Booths for which something is noted and was not sent yet.
    owed: BTreeSet<String>,
    /// Booths that need a signature.
    unsigned: BTreeSet<String>,
}

/// Looks for new booths for as long as the hub runs.
pub(crate) async fn welcome(hub: HubConfig) {
    let (mut told, mut pause) = (BTreeSet::new(), LOOK_EVERY);
    loop {
        tokio::time::sleep(pause).await;
        let store = hub.store.dir.clone();
        let looked = crew::aside("campaigns", move || look(&store)).await;
        let found = match looked {
            Ok(Ok(found)) => found,
            // The register cannot be read, which commands and pages say: the next look finds out.
            Ok(Err(why)) => {
                log::debug!("new booths were not looked for: {why}");
                continue;
            }
            Err(death) => {
                log::error!("{death}");
                continue;
            }
        };
        for booth in found.unsigned.difference(&told) {
            log::warn!(
                "{booth} is new, and a campaign of all booths needs a signature: run booth-hub campaign publish --to-sign FILE"
            );
        }
        told.extend(found.unsigned);
        pause = match found.owed.is_empty() {
            true => LOOK_EVERY,
            false => match send(&hub, &found.owed).await {
                Ok(()) => LOOK_EVERY,
                Err(why) => {
                    log::warn!(about = "campaigns"; "booths did not get what they are to ask yet: {why}");
                    (pause * 2).min(LONGEST_PAUSE)
                }
            },
        };
    }
}

/// Notes what booths are to get that are new.
fn look(store: &Path) -> Result<Found, CampaignError> {
    let state = register::look(&register::folder_in(store))?;
    let nothing_new = Found {
        owed: state.owed.clone(),
        unsigned: BTreeSet::new(),
    };
    if newcomers(&state, store)?.is_empty() {
        return Ok(nothing_new);
    }
    let Some(mut register) = Register::open_if_free(store)? else {
        // Whoever has it may publish to the new booths: the next look finds out.
        return Ok(nothing_new);
    };
    let before = register.state.owed.clone();
    let now = clock::wall();
    let new = newcomers(&register.state, store)?;
    let found = note(&mut register.state, &new, &rfc3339(now), now.as_second())?;
    if register.state.owed != before {
        register.save()?;
        let names: Vec<&str> = found.owed.difference(&before).map(String::as_str).collect();
        log::info!(
            "new booths get the campaigns of all booths: {}",
            names.join(", ")
        );
    }
    Ok(found)
}

/// Booths that have introduced themselves and were never sent anything, with the version that each knows of.
fn newcomers(state: &State, store: &Path) -> Result<BTreeMap<String, Option<u64>>, CampaignError> {
    let now = local_now();
    let campaigns = state.campaigns();
    let is_at_all = |ready: &register::Ready| ready.booths == Booths::All && !is_over(ready, now);
    if !campaigns.values().any(is_at_all) {
        return Ok(BTreeMap::new());
    }
    let reports = store::config_reports(store)?;
    let introduced = store::introduced(store)?;
    let new = introduced
        .into_iter()
        .filter(|booth| !state.booths.contains_key(booth.as_str()));
    let known = |booth: &BoothId| reports.get(booth)?.as_ref()?.applied;
    Ok(new
        .map(|booth| (booth.as_str().to_owned(), known(&booth)))
        .collect())
}

/// Puts what these booths get into the register's state.
fn note(
    state: &mut State,
    new: &BTreeMap<String, Option<u64>>,
    at: &str,
    now_s: i64,
) -> Result<Found, CampaignError> {
    let campaigns = state.campaigns();
    let mut found = Found::default();
    let known: BTreeMap<String, u64> = new
        .iter()
        .filter_map(|(booth, version)| Some((booth.clone(), (*version)?)))
        .collect();
    for booth in new.keys() {
        let merged = merged(&campaigns, &state.stopped, booth, local_now())
            .map_err(|why| CampaignError::Refused(why.join("\n")))?;
        if merged.wanted.campaigns.is_none() {
            continue;
        }
        if merged.needs_signature() {
            found.unsigned.insert(booth.clone());
            continue;
        }
        let version = state.next_version([booth.as_str()], &known, now_s);
        for parcel in parcels(vec![(booth.clone(), merged)], version, at) {
            let media = parcel.merged.wanted.media();
            state.at_broker.extend(media.iter().cloned());
            let sent = Sent {
                version,
                at: at.to_owned(),
                campaigns: parcel.merged.campaigns.clone(),
                media,
                payload: String::from_utf8_lossy(&parcel.payload).into_owned(),
            };
            state.booths.insert(booth.clone(), sent);
            state.owed.insert(booth.clone());
        }
    }
    found.owed.clone_from(&state.owed);
    Ok(found)
}

/// Sends what the register says of these booths.
async fn send(hub: &HubConfig, booths: &BTreeSet<String>) -> Result<(), CampaignError> {
    let dir = &hub.store.dir;
    let folder = register::folder_in(dir);
    let state = register::look(&folder)?;
    let workshop = Workshop::open(&folder)?;
    let mut load = Load::default();
    let mut media: BTreeSet<MediaHash> = BTreeSet::new();
    for booth in booths {
        // A command may have forgotten it meanwhile.
        let (Some(sent), Ok(id)) = (state.booths.get(booth), BoothId::parse(booth)) else {
            continue;
        };
        media.extend(sent.media.iter().cloned());
        load.configurations
            .push((id, sent.payload.clone().into_bytes()));
    }
    for hash in media {
        let bytes = workshop.bytes(&hash)?;
        load.media.push((hash, bytes));
    }
    let login = login::login(hub)?;
    let topics = Topics::new(hub.mqtt.root.clone());
    let ear = broker::deliver(&login, &topics, dir, &load, &mut |_, _| {}).await?;
    ear.leave().await;
    let Some(mut register) = Register::open_if_free(dir)? else {
        // They are sent the same once more.
        return Ok(());
    };
    forgive(&mut register.state, booths, &state);
    register.save()
}

/// These booths are owed nothing more, as far as nothing newer was noted for them since `then`.
fn forgive(state: &mut State, booths: &BTreeSet<String>, then: &State) {
    let version = |state: &State, booth: &str| state.booths.get(booth).map(|sent| sent.version);
    let is_newer = |booth: &String| version(state, booth) != version(then, booth);
    let newer: BTreeSet<String> = booths.iter().filter(|one| is_newer(one)).cloned().collect();
    state
        .owed
        .retain(|booth| newer.contains(booth) || !booths.contains(booth));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::tests::published;

    #[test]
    fn a_new_booth_is_noted_once_with_what_is_at_all_booths_and_an_undo_knows_nothing_of_it() {
        let mut state = published("square", Booths::All);
        let before = state.latest().map(|edition| edition.no);
        let new = BTreeMap::from([("new-1".to_owned(), Some(1_900_000_000))]);
        let found = note(&mut state, &new, "then", 1_800_000_000).expect("noted");
        assert_eq!(found.owed, BTreeSet::from(["new-1".to_owned()]));
        assert_eq!(state.owed, found.owed);
        let sent = &state.booths["new-1"];
        assert_eq!(sent.campaigns, ["c0"]);
        assert_eq!(sent.version, 1_900_000_001, "above what it knows");
        assert!(!sent.media.is_empty() && sent.media.is_subset(&state.at_broker));
        assert_eq!(state.latest().map(|edition| edition.no), before);
    }

    #[test]
    fn what_was_noted_while_a_booth_was_sent_something_is_still_owed() {
        let mut state = published("square", Booths::All);
        let new = BTreeMap::from([("new-1".to_owned(), None), ("new-2".to_owned(), None)]);
        let found = note(&mut state, &new, "then", 1_800_000_000).expect("noted");
        let then = state.clone();
        let newer = state.booths.get_mut("new-2").expect("noted");
        newer.version += 1;
        forgive(&mut state, &found.owed, &then);
        assert_eq!(state.owed, BTreeSet::from(["new-2".to_owned()]));
    }

    #[test]
    fn a_campaign_at_named_booths_is_not_a_new_booths_affair() {
        let mut state = published("square", Booths::Named(vec!["old-1".into()]));
        let new = BTreeMap::from([("new-1".to_owned(), None)]);
        let found = note(&mut state, &new, "then", 1_800_000_000).expect("noted");
        assert_eq!(found, Found::default());
        assert!(state.booths.is_empty());
    }
}
