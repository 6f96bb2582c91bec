//! A question that is stopped: gone from every booth and from the citizens' pages until it is given back.
//!
//! Owns: what is stopped, since when, by whom and why, and at which booths that is in force. Never does: change a campaign: what is stopped
//! is left out where configurations are put together, so that an undo, a new edition and a withdrawal know nothing of it. What is stopped is
//! durable before anything leaves, and hidden from then on; the running hub sends it to the booths ([`super::welcome`]) until the broker
//! has it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use booth_city::centre::Stopped;
use booth_city::people::{QuestionAct, Roll};
use booth_contract::time::rfc3339;
use booth_host::clock;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::CampaignError;
use super::change::{Change, Desk};
use super::file::Booths;
use super::progress::Stand;
use super::register::{self, Ready, State};
use super::verbs::{General, Sending};
use crate::config::HubConfig;
use crate::view::FleetView;

/// Longest reason, in characters.
const LONGEST_WHY: usize = 300;

/// A question that nobody is asked at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stop {
    /// Since when, RFC 3339 UTC.
    pub(crate) at: String,
    /// Who has stopped it.
    pub(crate) by: String,
    /// Why.
    pub(crate) why: String,
    /// The version without it, by booth: it is in force there with this one or a later one.
    #[serde(default)]
    pub(super) versions: BTreeMap<String, u64>,
}

/// Everything that is stopped, by campaign and question.
pub(super) type Stops = BTreeMap<String, BTreeMap<String, Stop>>;

/// The campaign without what is stopped of it; `None` where nothing is left to be asked.
pub(super) fn left<'a>(
    ready: &'a Ready,
    stopped: Option<&BTreeMap<String, Stop>>,
) -> Option<Cow<'a, Ready>> {
    let Some(stopped) = stopped.filter(|stopped| !stopped.is_empty()) else {
        return Some(Cow::Borrowed(ready));
    };
    let mut ready = ready.clone();
    let campaigns = ready
        .fields
        .get_mut("campaigns")
        .and_then(Value::as_array_mut);
    let mut number = 0;
    for campaign in campaigns.into_iter().flatten() {
        let questions = campaign.get_mut("questions").and_then(Value::as_array_mut);
        if let Some(questions) = questions {
            let id = |question: &Value| question["id"].as_str().unwrap_or_default().to_owned();
            questions.retain(|question| !stopped.contains_key(&id(question)));
            number += questions.len();
        }
    }
    (number > 0).then_some(Cow::Owned(ready))
}

/// What the city hides.
pub(super) fn hidden(state: &State) -> Stopped {
    let campaigns = state.stopped.iter();
    Stopped(
        campaigns
            .map(|(campaign, questions)| (campaign.clone(), questions.keys().cloned().collect()))
            .collect(),
    )
}

/// What has to be stopped or given back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish<'a> {
    /// The campaign's id.
    pub(crate) campaign: &'a str,
    /// The question's.
    pub(crate) question: &'a str,
    /// Who wishes it.
    pub(crate) by: &'a str,
    /// Why it is to be stopped; `None` gives it back.
    pub(crate) why: Option<&'a str>,
}

impl Wish<'_> {
    /// The same for the log of acts.
    pub(crate) fn act(&self) -> QuestionAct<'_> {
        QuestionAct {
            campaign: self.campaign,
            question: self.question,
            why: self.why,
        }
    }

    /// What becomes of what is published.
    fn change(&self, state: &State) -> Result<Change, CampaignError> {
        let (campaign, question) = (self.campaign, self.question);
        let campaigns = state.campaigns();
        let mut stops = state.stopped.clone();
        let of_campaign = stops.entry(campaign.to_owned()).or_default();
        let what = match self.why {
            Some(why) => {
                if of_campaign.contains_key(question) {
                    return Err(CampaignError::refused(format!(
                        "{campaign}/{question} is stopped already; give it back first to stop it for another reason"
                    )));
                }
                is_asked(&campaigns, campaign, question)?;
                let why: String = why.trim().chars().take(LONGEST_WHY).collect();
                if why.is_empty() {
                    return Err(CampaignError::refused(
                        "a question is stopped for a reason: say why, in one sentence",
                    ));
                }
                let stop = Stop {
                    at: rfc3339(clock::wall()),
                    by: self.by.to_owned(),
                    why,
                    versions: BTreeMap::new(),
                };
                of_campaign.insert(question.to_owned(), stop);
                format!("stop {campaign}/{question}")
            }
            None => {
                if of_campaign.remove(question).is_none() {
                    return Err(CampaignError::refused(format!(
                        "{campaign}/{question} is not stopped; booth-hub campaign list says what is"
                    )));
                }
                format!("resume {campaign}/{question}")
            }
        };
        stops.retain(|_, questions| !questions.is_empty());
        let booths = campaigns.get(campaign).map(|ready| ready.booths.clone());
        Ok(Change {
            what,
            always: Some(booths.unwrap_or(Booths::Named(Vec::new()))),
            campaigns,
            same_as: None,
            stops: Some(stops),
        })
    }
}

/// Whether this is a question of a published campaign.
fn is_asked(
    campaigns: &register::Campaigns,
    campaign: &str,
    question: &str,
) -> Result<(), CampaignError> {
    let Some(ready) = campaigns.get(campaign) else {
        return Err(super::change::unknown(campaign, campaigns));
    };
    let questions = super::merge::campaign_of(ready).map(|one| one.questions);
    let questions: Vec<String> = questions
        .into_iter()
        .flatten()
        .map(|question| question.id)
        .collect();
    match questions.iter().any(|id| id == question) {
        true => Ok(()),
        false => Err(CampaignError::refused(format!(
            "{campaign} has no question {question:?}; it has {}",
            questions.join(", ")
        ))),
    }
}

/// Stops a question, or gives it back, at a hub that runs: it is durable and hidden when this returns, and the hub sends it to the booths
/// within seconds. Answers at which booths it is in force only once it was signed. Blocks.
///
/// # Errors
/// A sentence that says why not; then nothing has changed.
pub(crate) fn press(hub: &HubConfig, wish: Wish<'_>) -> Result<Vec<String>, CampaignError> {
    let desk = Desk::for_a_stop(hub.clone())?;
    let change = wish.change(&desk.register.state)?;
    change.leave_to_the_hub(desk)
}

/// The same on the command line, which sends it itself and shows how far the booths are.
pub(super) async fn command(
    wish: Wish<'_>,
    sending: &Sending,
    general: &General,
) -> Result<(), CampaignError> {
    let desk = Desk::open(general)?;
    let dir = desk.hub.store.dir.clone();
    let change = wish.change(&desk.register.state)?;
    let is_tried = sending.dry_run || sending.to_sign.is_some();
    let before = desk.register.state.stopped.clone();
    let done = change.carry_out(desk, sending, general).await;
    // What is durable is noted, even where the broker did not take it.
    if !is_tried && register::look(&register::folder_in(&dir))?.stopped != before {
        let noted = Roll::open(&dir).and_then(|roll| roll.note_stop(wish.act()));
        noted.map_err(|why| {
            CampaignError::Refused(format!(
                "it is done, and the log of acts does not say so: {why}"
            ))
        })?;
    }
    done
}

/// What can be stopped and what is, for a page.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    /// The campaign's id.
    pub(crate) campaign: String,
    /// Its title; its id, where it is not published any more.
    pub(crate) title: String,
    /// The question's id.
    pub(crate) question: String,
    /// Its digit; `None` where it is not published any more.
    pub(crate) digit: Option<u8>,
    /// What is asked, in the campaign's first language.
    pub(crate) text: String,
    /// Where it is stopped.
    pub(crate) stop: Option<Seen>,
}

/// A stop, and how far the booths are with it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    /// The stop.
    pub(crate) stop: Stop,
    /// Connected booths where it is in force.
    pub(crate) in_force: u64,
    /// Connected booths that it concerns.
    pub(crate) connected: u64,
    /// Connected booths where it is not in force yet, with what each says.
    pub(crate) behind: Vec<(String, String)>,
    /// Booths that it concerns and that are not connected; they take it when they are.
    pub(crate) away: u64,
    /// Booths for which the broker has not taken it yet.
    pub(crate) owed: u64,
}

impl Seen {
    fn of(stop: &Stop, state: &State, fleet: &FleetView) -> Self {
        let mut seen = Self {
            stop: stop.clone(),
            in_force: 0,
            connected: 0,
            behind: Vec::new(),
            away: 0,
            owed: 0,
        };
        let booths: BTreeMap<&str, _> = fleet
            .booths
            .iter()
            .map(|booth| (booth.booth_id.as_str(), booth))
            .collect();
        for (booth, version) in &stop.versions {
            seen.owed += u64::from(state.owed.contains(booth));
            let view = booths.get(booth.as_str());
            let online = Some(booth_contract::Presence::Online);
            let Some(view) = view.filter(|view| view.presence == online) else {
                seen.away += 1;
                continue;
            };
            seen.connected += 1;
            match Stand::of(*version, view.config.as_ref()) {
                Stand::Applied { .. } => seen.in_force += 1,
                stand => seen.behind.push((booth.clone(), stand.sentence())),
            }
        }
        seen
    }
}

/// Every question that is published or stopped, in the order of campaigns and digits.
///
/// # Errors
/// A register that cannot be read.
pub(crate) fn all(store: &Path, fleet: &FleetView) -> Result<Vec<Asked>, CampaignError> {
    let state = register::look(&register::folder_in(store))?;
    let campaigns = super::city::for_city(store)?;
    let mut all = Vec::new();
    let mut known = BTreeSet::new();
    for campaign in campaigns {
        let language = campaign.languages.first();
        for question in campaign.questions {
            let text = language.and_then(|language| question.text.get(language));
            let stop = state.stopped.get(&campaign.id);
            let stop = stop.and_then(|questions| questions.get(&question.id));
            known.insert((campaign.id.clone(), question.id.clone()));
            all.push(Asked {
                campaign: campaign.id.clone(),
                title: campaign.title.clone(),
                text: text.cloned().unwrap_or_default(),
                question: question.id,
                digit: Some(question.digit),
                stop: stop.map(|stop| Seen::of(stop, &state, fleet)),
            });
        }
    }
    for (campaign, questions) in &state.stopped {
        for (question, stop) in questions {
            if !known.contains(&(campaign.clone(), question.clone())) {
                all.push(Asked {
                    campaign: campaign.clone(),
                    title: campaign.clone(),
                    question: question.clone(),
                    digit: None,
                    text: String::new(),
                    stop: Some(Seen::of(stop, &state, fleet)),
                });
            }
        }
    }
    Ok(all)
}

/// A line for each stopped question of this campaign, or of all.
pub(super) fn lines(state: &State, of: Option<&str>) -> Vec<String> {
    let campaigns = state.stopped.iter();
    let campaigns = campaigns.filter(|(campaign, _)| of.is_none_or(|of| of == *campaign));
    let each = campaigns.flat_map(|(campaign, questions)| {
        questions.iter().map(move |(question, stop)| {
            format!(
                "{campaign}/{question} is stopped since {} by {}: {}. It is asked at no booth until booth-hub campaign resume {campaign} {question}",
                stop.at,
                stop.by,
                stop.why.trim_end_matches('.')
            )
        })
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::merge::merged;
    use crate::campaign::register::Campaigns;
    use crate::campaign::tests;
    use crate::campaign::verbs::local_now;
    use crate::view::BoothView;
    use booth_contract::{ConfigReport, Presence};

    fn ready(questions: &[&str]) -> Ready {
        let asked = questions.iter().zip(1..).map(|(id, digit)| {
            format!("[[question]]\nid = {id:?}\ndigit = {digit}\nkind = \"speak\"\ntext.da = \"Hvad?\"\n")
        });
        let head = "id = \"c\"\nbooths = \"all\"\n".to_owned();
        tests::ready(&(head + &asked.collect::<String>()))
    }

    fn state(questions: &[&str]) -> State {
        let mut state = State::default();
        let campaigns = Campaigns::from([("c".to_owned(), ready(questions))]);
        state.begin("now", "publish c".into(), campaigns, None);
        state
    }

    fn wish(question: &'static str, why: Option<&'static str>) -> Wish<'static> {
        Wish {
            campaign: "c",
            question,
            by: "olga",
            why,
        }
    }

    fn asked_with(state: &State, stops: &Stops) -> Option<Vec<String>> {
        let merged = merged(&state.campaigns(), stops, "a-1", local_now()).expect("merged");
        let campaigns = merged.wanted.campaigns?;
        let questions = campaigns.into_iter().flat_map(|one| one.questions);
        Some(questions.map(|question| question.id).collect())
    }

    #[test]
    fn what_is_stopped_is_left_out_and_a_booth_with_nothing_else_asks_nothing_of_its_own() {
        let mut state = state(&["one", "two"]);
        let stop = wish("one", Some("a name in it"))
            .change(&state)
            .expect("stopped");
        let stops = stop.stops.expect("stops");
        assert_eq!(asked_with(&state, &stops), Some(vec!["two".into()]));
        state.stopped = stops;
        let both = wish("two", Some("too")).change(&state).expect("stopped");
        let both = both.stops.expect("stops");
        // An empty list, and not no list: that would let the booth ask what its own booth.toml says.
        assert_eq!(asked_with(&state, &both), Some(Vec::new()));
        state.stopped = both;
        let back = wish("one", None).change(&state).expect("given back");
        state.stopped = back.stops.expect("stops");
        assert_eq!(asked_with(&state, &state.stopped), Some(vec!["one".into()]));
        let hidden = hidden(&state);
        assert!(hidden.has("c", "two") && !hidden.has("c", "one"));
        assert_eq!(lines(&state, Some("c")).len(), 1);
        assert!(lines(&state, Some("other")).is_empty());
    }

    #[test]
    fn what_cannot_be_stopped_or_given_back_is_refused_with_a_sentence() {
        let mut state = state(&["one"]);
        let refused = |state: &State, wish: Wish<'_>| match wish.change(state) {
            Ok(change) => panic!("{}", change.what),
            Err(why) => why.to_string(),
        };
        for (wish, says) in [
            (wish("two", Some("x")), "it has one"),
            (wish("one", Some("  ")), "for a reason"),
            (wish("one", None), "is not stopped"),
            (
                Wish {
                    campaign: "d",
                    ..wish("one", Some("x"))
                },
                "there are c",
            ),
        ] {
            let why = refused(&state, wish);
            assert!(why.contains(says), "{why}");
        }
        let stop = wish("one", Some("x")).change(&state).expect("stopped");
        state.stopped = stop.stops.expect("stops");
        let why = refused(&state, wish("one", Some("y")));
        assert!(why.contains("stopped already"), "{why}");
        // A campaign that was taken back meanwhile leaves its stop, which can be taken back, too.
        state.begin("now", "withdraw c".into(), Campaigns::new(), None);
        let back = wish("one", None).change(&state).expect("given back");
        assert!(back.stops.expect("stops").is_empty());
    }

    #[test]
    fn a_page_says_at_how_many_connected_booths_a_stop_is_in_force() {
        let mut state = state(&["one"]);
        state.owed.insert("c-3".into());
        let versions = ["a-1", "b-2", "c-3", "d-4"].map(|booth| (booth.to_owned(), 7));
        let stop = Stop {
            at: "now".into(),
            by: "olga".into(),
            why: "x".into(),
            versions: versions.into(),
        };
        let booth = |id: &str, presence, applied| BoothView {
            presence: Some(presence),
            config: Some(ConfigReport {
                wanted: Some(applied),
                applied: Some(applied),
                ..ConfigReport::default()
            }),
            ..BoothView::never_heard(id)
        };
        let fleet = FleetView {
            booths: vec![
                booth("a-1", Presence::Online, 7),
                booth("b-2", Presence::Online, 8),
                booth("c-3", Presence::Online, 6),
                booth("d-4", Presence::Lost, 7),
            ],
            ..FleetView::empty(jiff::Timestamp::UNIX_EPOCH)
        };
        let seen = Seen::of(&stop, &state, &fleet);
        assert_eq!((seen.in_force, seen.connected), (2, 3));
        assert_eq!((seen.away, seen.owed), (1, 1));
        assert_eq!(seen.behind.len(), 1);
        assert!(seen.behind[0].1.contains("version 6"), "{seen:?}");
    }
}
