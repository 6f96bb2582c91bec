//! What is published and how far each booth is: `list`, `show`.
//!
//! Owns: what these verbs say. Never does: change anything.

use booth_contract::BoothId;
use booth_contract::wanted::LocalTime;
use booth_host::say;
use serde_json::json;

use super::CampaignError;
use super::change::unknown;
use super::file::Booths;
use super::merge;
use super::progress::Stand;
use super::register::{self, Ready, Sent, State};
use super::stops;
use super::verbs::{General, local_now};
use crate::config::HubConfig;
use crate::store;

/// Each booth that was sent something, with where it stands.
fn stands(state: &State, hub: &HubConfig) -> Result<Vec<(String, Sent, Stand)>, CampaignError> {
    let reports = store::config_reports(&hub.store.dir)?;
    let report = |booth: &str| {
        let id = BoothId::parse(booth).ok()?;
        reports.get(&id)?.as_ref()
    };
    let each = state.booths.iter();
    Ok(each
        .map(|(booth, sent)| {
            (
                booth.clone(),
                sent.clone(),
                Stand::of(sent.version, report(booth)),
            )
        })
        .collect())
}

pub(super) fn list(general: &General) -> Result<(), CampaignError> {
    let hub = HubConfig::load(&general.config)?;
    let state = register::look(&register::folder_in(&hub.store.dir))?;
    let campaigns = state.campaigns();
    let stands = stands(&state, &hub)?;
    let now = local_now();
    if general.json {
        let each = campaigns.iter().map(|(id, ready)| {
            json!({"id": id, "title": ready.title, "booths": ready.booths, "children": ready.children,
            "published_at": ready.at, "over": merge::is_over(ready, now)})
        });
        let booths = stands.iter().map(|(booth, sent, stand)| {
            json!({"booth": booth, "campaigns": sent.campaigns, "version": sent.version,
            "published_at": sent.at, "report": stand})
        });
        say!(
            "{}",
            json!({"campaigns": each.collect::<Vec<_>>(), "booths": booths.collect::<Vec<_>>(), "stopped": state.stopped})
        );
        return Ok(());
    }
    if campaigns.is_empty() {
        say!("No campaign is published. booth-hub campaign new FILE writes an example.");
    }
    for (id, ready) in &campaigns {
        say!("{}", line_of(id, ready, now));
    }
    for line in stops::lines(&state, None) {
        say!("{line}");
    }
    for (booth, sent, stand) in &stands {
        let campaigns = match sent.campaigns.is_empty() {
            true => "no campaign".to_owned(),
            false => sent.campaigns.join(", "),
        };
        say!(
            "{booth}: {campaigns}, version {}: {}",
            sent.version,
            stand.sentence()
        );
    }
    Ok(())
}

fn line_of(id: &str, ready: &Ready, now: LocalTime) -> String {
    let campaign = merge::campaign_of(ready);
    let moment = |moment: Option<LocalTime>| moment.map(|moment| moment.to_string());
    let from = campaign
        .as_ref()
        .and_then(|campaign| moment(campaign.from))
        .unwrap_or_else(|| "at once".into());
    let until = campaign
        .as_ref()
        .and_then(|campaign| moment(campaign.until))
        .unwrap_or_else(|| "it is withdrawn".into());
    let booths = match &ready.booths {
        Booths::All => "all booths".to_owned(),
        Booths::Named(named) => named.join(", "),
    };
    let over = if merge::is_over(ready, now) {
        "; it is over"
    } else {
        ""
    };
    format!(
        "{id} ({}): from {from} until {until}, at {booths}{over}",
        ready.title
    )
}

pub(super) fn show(id: &str, general: &General) -> Result<(), CampaignError> {
    let hub = HubConfig::load(&general.config)?;
    let state = register::look(&register::folder_in(&hub.store.dir))?;
    let campaigns = state.campaigns();
    let stands = stands(&state, &hub)?;
    let its = |(booth, sent, _): &&(String, Sent, Stand)| {
        booth == id || sent.campaigns.iter().any(|own| own == id)
    };
    let its: Vec<&(String, Sent, Stand)> = stands.iter().filter(its).collect();
    let ready = campaigns.get(id);
    if ready.is_none() && its.is_empty() {
        return Err(unknown(id, &campaigns));
    }
    if general.json {
        let booths = its.iter().map(|(booth, sent, stand)| {
            json!({"booth": booth, "campaigns": sent.campaigns, "version": sent.version,
            "published_at": sent.at, "report": stand})
        });
        let campaign = ready.map(|ready| {
            json!({"id": id, "title": ready.title, "booths": ready.booths, "children": ready.children, "published_at": ready.at,
            "configuration": ready.fields})
        });
        say!(
            "{}",
            json!({"campaign": campaign, "booths": booths.collect::<Vec<_>>()})
        );
        return Ok(());
    }
    if let Some(ready) = ready {
        say!("{}", line_of(id, ready, local_now()));
        say!("published {}", ready.at);
        say!("children: {}", ready.children.told());
        for line in stops::lines(&state, Some(id)) {
            say!("{line}");
        }
        for question in merge::campaign_of(ready)
            .into_iter()
            .flat_map(|campaign| campaign.questions)
        {
            let options: Vec<String> = question
                .options
                .iter()
                .map(|option| format!("{} {}", option.digit, option.id))
                .collect();
            let options = match options.is_empty() {
                true => String::new(),
                false => format!(": {}", options.join(", ")),
            };
            let answer = question
                .answer
                .map(|answer| format!("; its answer on digit {}", answer.digit))
                .unwrap_or_default();
            say!(
                "  digit {}: {}{options}{answer}",
                question.digit,
                question.id
            );
        }
    }
    for (booth, sent, stand) in its {
        say!(
            "{booth}: version {} of {}: {}",
            sent.version,
            sent.at,
            stand.sentence()
        );
    }
    Ok(())
}
