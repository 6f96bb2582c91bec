//! What citizens read of a campaign beside its questions: title, summary, phases with their dates, and what came of it.
//!
//! Owns: the tables `campaign`, `phase` and `question_reply`, and their form. Never does: change what booths ask, but for an answer that is to be
//! spoken, which goes the way of every publication.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use booth_contract::time::rfc3339;
use booth_database::{Connection, OptionalExtension, params};
use booth_host::clock;
use maud::{Markup, PreEscaped, html};

use super::fields::Fields;
use super::pages::{Say, id_of, page, see};
use super::publish::{self, Ballot};
use super::{drafts, jobs};
use crate::City;
use crate::people::{Person, Right};
use crate::places::placement;
use crate::sentence;
use crate::store::{Act, CityError};
use crate::web::{Fault, SEEN, get, is_as_seen, post, seen_field, token_field};

/// The phases of a campaign, in their order.
const PHASES: [&str; 4] = ["open", "processing", "vote", "decided"];
/// Longest text, characters.
const LONGEST: usize = 5_000;

type Texts = BTreeMap<String, String>;

pub(super) fn routes() -> Router<Arc<City>> {
    Router::new()
        .route("/editor/{id}/public", get(form).merge(post(save)))
        .route(
            "/editor/{id}/public/{question}",
            get(question).merge(post(reply)),
        )
        .route("/editor/idea/{idea}", get(idea).merge(post(to_vote)))
}

/// What is known of a campaign.
#[derive(Debug, Default)]
struct Known {
    title: Texts,
    summary: Texts,
    reply: Texts,
    limits: Texts,
    is_public: bool,
    /// Since and until, as a form shows them.
    phases: BTreeMap<String, (String, String)>,
}

fn texts(json: Option<String>) -> Texts {
    json.and_then(|json| serde_json::from_str(&json).ok())
        .unwrap_or_default()
}

fn known(city: &City, db: &Connection, id: &str) -> booth_database::Result<Known> {
    let mut known = db
        .prepare_cached(
            "SELECT title, summary, reply, limits, is_public FROM campaign WHERE id = ?1",
        )?
        .query_row([id], |row| {
            Ok(Known {
                title: texts(row.get(0)?),
                summary: texts(row.get(1)?),
                reply: texts(row.get(2)?),
                limits: texts(row.get(3)?),
                is_public: row.get(4)?,
                phases: BTreeMap::new(),
            })
        })
        .optional()?
        .unwrap_or(Known {
            is_public: true,
            ..Known::default()
        });
    let mut statement =
        db.prepare_cached("SELECT phase, since, until FROM phase WHERE campaign_id = ?1")?;
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        let local = |at: Option<String>| {
            at.map(|at| placement::shown(&city.zone, &at).replace(' ', "T"))
                .unwrap_or_default()
        };
        known
            .phases
            .insert(row.get(0)?, (local(row.get(1)?), local(row.get(2)?)));
    }
    Ok(known)
}

/// The languages in which texts are written: those of the pages.
fn in_languages(
    city: &City,
    name: &str,
    label: &str,
    words: &Say<'_>,
    texts: &Texts,
    rows: usize,
) -> Markup {
    html! {
        @for language in &city.config.offers {
            @let field = format!("{name}.{language}");
            label for=(field) { (words.with(label, "language", language)) }
            textarea name=(field) id=(field) rows=(rows) lang=(language) dir="auto" maxlength=(LONGEST) {
                (PreEscaped("\n")) (texts.get(language).map_or("", String::as_str))
            }
        }
    }
}

/// The texts of a form by language.
fn sent(city: &City, fields: &Fields, name: &str) -> Result<Texts, CityError> {
    let mut texts = Texts::new();
    for language in &city.config.offers {
        let text = fields
            .get(&format!("{name}.{language}"))
            .replace("\r\n", "\n");
        if text.chars().count() > LONGEST {
            return Err(sentence!("editor-text-too-long", n = LONGEST).into());
        }
        if !text.is_empty() {
            texts.insert(language.clone(), text);
        }
    }
    Ok(texts)
}

async fn form(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let id = id_of(&id)?;
    let own = id.clone();
    let (known, asked) = city
        .aside(move |city| {
            Ok((
                city.store.read(|db| known(city, db, &own))?,
                city.campaign(&own)?,
            ))
        })
        .await?;
    let words = Say(&city, &person);
    let to = |what: &str| person.here.to(&format!("editor/{id}{what}"));
    let body = html! {
        p { a href=(to("")) { (words.say("editor-back-to-form")) } }
        h1 { (words.say("editor-public")) ": " (id) }
        p.soft { (words.say("editor-public-hint")) }
        form method="post" action=(to("/public")) {
            (token_field(&person))
            (seen_field(&known))
            (in_languages(&city, "title", "editor-public-title", &words, &known.title, 1))
            (in_languages(&city, "summary", "editor-public-summary", &words, &known.summary, 3))
            p { label { input type="checkbox" name="is_public" value="yes" checked[known.is_public]; (words.say("editor-public-shown")) } }
            h2 { (words.say("editor-phases")) }
            p.soft { (words.say("editor-phases-hint")) }
            div.wide { table {
                thead { tr { th scope="col" { (words.say("editor-phase")) } th scope="col" { (words.say("editor-since")) } th scope="col" { (words.say("editor-until")) } } }
                tbody { @for phase in PHASES {
                    @let (since, until) = known.phases.get(phase).cloned().unwrap_or_default();
                    tr {
                        th scope="row" { (words.say(&format!("phase-{phase}"))) }
                        td { input type="datetime-local" name=(format!("since.{phase}")) value=(since) aria-label=(words.say("editor-since")); }
                        td { input type="datetime-local" name=(format!("until.{phase}")) value=(until) aria-label=(words.say("editor-until")); }
                    }
                } }
            } }
            h2 { (words.say("editor-reply")) }
            p.soft { (words.say("editor-reply-hint")) }
            (in_languages(&city, "reply", "editor-reply-in", &words, &known.reply, 5))
            h2 { (words.say("editor-limits")) }
            p.soft { (words.say("editor-limits-hint")) }
            (in_languages(&city, "limits", "editor-limits-in", &words, &known.limits, 3))
            div.actions { button.main { (words.say("editor-save-public")) } }
        }
        @if let Some(asked) = &asked {
            h2 { (words.say("editor-question-replies")) }
            ul { @for question in &asked.questions {
                li { a href=(to(&format!("/public/{}", question.id))) {
                    @match question.text.values().next() { Some(text) => (text), None => (question.id) }
                } }
            } }
        }
    };
    Ok(page(&city, &person, &id, &body))
}

async fn save(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let id = id_of(&id)?;
    let (own, who) = (id.clone(), person.clone());
    city.aside(move |city| {
        let json = |name: &str| -> Result<String, CityError> {
            Ok(serde_json::to_string(&sent(city, &fields, name)?).unwrap_or_default())
        };
        let (title, summary, reply, limits) = (json("title")?, json("summary")?, json("reply")?, json("limits")?);
        let mut phases = Vec::new();
        for phase in PHASES {
            let moment = |end: &str| fields.some(&format!("{end}.{phase}")).map(|text| placement::local(&city.zone, text)).transpose();
            let (since, until) = (moment("since")?, moment("until")?);
            match (since, until) {
                (Some(since), Some(until)) if until <= since => {
                    return Err(sentence!("editor-phase-backwards").into());
                }
                (None, Some(_)) => return Err(sentence!("editor-phase-without-since").into()),
                (Some(since), until) => phases.push((phase, rfc3339(since), until.map(rfc3339))),
                (None, None) => {}
            }
        }
        let now = rfc3339(clock::wall());
        let is_public = fields.get("is_public") == "yes";
        let act = Act::new(who.actor(), "campaign's page edited", own.as_str());
        city.store.change(act, |db| {
            is_as_seen(fields.get(SEEN), &known(city, db, &own)?)?;
            // What was said stays of the day when it was said; a reply that changes is of today.
            db.execute(
                "INSERT INTO campaign (id, title, summary, reply, reply_at, limits, is_public)
                 VALUES (?1, ?2, ?3, ?4, CASE WHEN ?4 = '{}' THEN NULL ELSE ?5 END, ?6, ?7)
                 ON CONFLICT (id) DO UPDATE SET title = ?2, summary = ?3, limits = ?6, is_public = ?7,
                   reply_at = CASE WHEN ?4 = '{}' THEN NULL WHEN reply = ?4 THEN reply_at ELSE ?5 END, reply = ?4",
                params![own, title, summary, reply, now, limits, is_public],
            )?;
            db.execute("DELETE FROM phase WHERE campaign_id = ?1", [&own])?;
            for (phase, since, until) in &phases {
                db.execute(
                    "INSERT INTO phase (campaign_id, phase, since, until) VALUES (?1, ?2, ?3, ?4)",
                    params![own, phase, since, until],
                )?;
            }
            Ok(())
        })
    })
    .await?;
    Ok(see(&person.here.to(&format!("editor/{id}/public"))))
}

/// What was answered to a question, by language.
fn reply_of(db: &Connection, campaign: &str, question: &str) -> booth_database::Result<Texts> {
    let reply: Option<String> = db
        .prepare_cached(
            "SELECT text FROM question_reply WHERE campaign_id = ?1 AND question_id = ?2",
        )?
        .query_row([campaign, question], |row| row.get(0))
        .optional()?;
    Ok(texts(reply))
}

async fn question(
    State(city): State<Arc<City>>,
    person: Person,
    Path((id, question)): Path<(String, String)>,
) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let (id, question) = (id_of(&id)?, id_of(&question)?);
    let (own, of) = (id.clone(), question.clone());
    let (asked, reply, wordings) = city
        .aside(move |city| {
            let asked = city.campaign(&own)?;
            let asked =
                asked.and_then(|campaign| campaign.questions.into_iter().find(|one| one.id == of));
            let (reply, wordings) = city
                .store
                .read(|db| Ok((reply_of(db, &own, &of)?, publish::wordings(db, &own, &of)?)))?;
            Ok((asked, reply, wordings))
        })
        .await?;
    let asked = asked.ok_or_else(Fault::not_here)?;
    let words = Say(&city, &person);
    let body = html! {
        p { a href=(person.here.to(&format!("editor/{id}/public"))) { (words.say("editor-public")) } }
        h1 { (words.say("editor-reply-to")) }
        blockquote { (asked.text.values().next().map_or("", String::as_str)) }
        @if wordings.len() > 1 {
            h2 { (words.say("editor-wordings")) }
            p.soft { (words.say("editor-wordings-hint")) }
            ul { @for one in &wordings {
                li {
                    (one.text.values().next().map_or("", String::as_str)) " – " (words.say("editor-since")) " "
                    (placement::shown(&city.zone, &one.since)) ": " (words.with("editor-wordings-n", "n", &one.messages.to_string()))
                }
            } }
        }
        form method="post" action=(person.here.to(&format!("editor/{id}/public/{question}"))) {
            (token_field(&person))
            (seen_field(&reply))
            (in_languages(&city, "reply", "editor-reply-in", &words, &reply, 4))
            p { label { input type="checkbox" name="speak" value="yes"; (words.say("editor-reply-speak")) } }
            p.soft { (words.say("editor-reply-speak-hint")) }
            div.actions { button.main { (words.say("editor-save-reply")) } }
        }
    };
    Ok(page(&city, &person, &id, &body))
}

async fn reply(
    State(city): State<Arc<City>>,
    person: Person,
    Path((id, question)): Path<(String, String)>,
    fields: Fields,
) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let (id, question) = (id_of(&id)?, id_of(&question)?);
    let speaks = fields.get("speak") == "yes";
    let (own, of, who) = (id.clone(), question.clone(), person.clone());
    let texts = city
        .aside(move |city| {
            let texts = sent(city, &fields, "reply")?;
            let json = serde_json::to_string(&texts).unwrap_or_default();
            let act = Act::new(who.actor(), "reply written", format!("{own}/{of}"));
            city.store.change(act, |db| {
                is_as_seen(fields.get(SEEN), &reply_of(db, &own, &of)?)?;
                if texts.is_empty() {
                    db.execute("DELETE FROM question_reply WHERE campaign_id = ?1 AND question_id = ?2", [&own, &of])?;
                } else {
                    db.execute(
                        "INSERT INTO question_reply (campaign_id, question_id, text, at) VALUES (?1, ?2, ?3, ?4)
                         ON CONFLICT (campaign_id, question_id) DO UPDATE SET text = ?3, at = CASE WHEN text = ?3 THEN at ELSE ?4 END",
                        params![own, of, json, rfc3339(clock::wall())],
                    )?;
                }
                Ok(())
            })?;
            Ok(texts)
        })
        .await?;
    if !speaks {
        return Ok(see(&person.here.to(&format!("editor/{id}/public"))));
    }
    let (own, who) = (id.clone(), person.clone());
    let texts: Vec<(String, String)> = texts.into_iter().collect();
    jobs::start(&city, &id, "editor-job-publish", move |city, tell| {
        publish::reply_at_booth(city, &who, &own, &question, &texts, tell)
    })?;
    Ok(see(&person.here.to(&format!("editor/{id}/progress"))))
}

/// An idea, as its page shows it.
struct Idea {
    campaign: String,
    title: Texts,
    body: Texts,
    /// The vote that it is an option of.
    vote: Option<String>,
}

fn idea_of(db: &Connection, idea: i64) -> booth_database::Result<Option<Idea>> {
    db.query_row(
        "SELECT campaign_id, title, body, vote_question FROM idea WHERE id = ?1",
        [idea],
        |row| {
            Ok(Idea {
                campaign: row.get(0)?,
                title: texts(row.get(1)?),
                body: texts(row.get(2)?),
                vote: row.get(3)?,
            })
        },
    )
    .optional()
}

async fn idea(
    State(city): State<Arc<City>>,
    person: Person,
    Path(idea): Path<i64>,
) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let (found, campaigns) = city
        .aside(move |city| {
            Ok((
                city.store.read(|db| idea_of(db, idea))?,
                city.centre.campaigns()?,
            ))
        })
        .await?;
    let Idea {
        campaign,
        title,
        body,
        vote,
    } = found.ok_or_else(Fault::not_here)?;
    let words = Say(&city, &person);
    let votes = campaigns.iter().flat_map(|campaign| {
        let votes = campaign
            .questions
            .iter()
            .filter(|question| !question.options.is_empty());
        votes.map(move |question| (campaign, question))
    });
    let votes: Vec<_> = votes.collect();
    let markup = html! {
        p { a href=(person.here.to(&format!("ideas/{idea}"))) { (words.say("editor-idea-back")) } }
        h1 { (words.say("editor-idea")) }
        blockquote { strong { (title.values().next().map_or("", String::as_str)) } br; (body.values().next().map_or("", String::as_str)) }
        @if let Some(vote) = &vote { p.note { (words.with("editor-idea-is-vote", "question", vote)) } }
        @else {
            p.soft { (words.say("editor-idea-hint")) }
            form method="post" action=(person.here.to(&format!("editor/idea/{idea}"))) {
                (token_field(&person))
                label for="where" { (words.say("editor-idea-where")) }
                select name="where" id="where" {
                    @for (of, question) in &votes {
                        option value=(format!("{}/{}", of.id, question.id)) {
                            (of.title) ": " (question.text.values().next().map_or(question.id.as_str(), String::as_str))
                        }
                    }
                    @for of in &campaigns {
                        option value=(format!("{}/", of.id)) selected[votes.is_empty() && of.id == campaign] {
                            (of.title) ": " (words.say("editor-idea-new-vote"))
                        }
                    }
                }
                (in_languages(&city, "option", "editor-idea-option", &words, &title, 2))
                (in_languages(&city, "asks", "editor-idea-asks", &words, &Texts::new(), 2))
                div.actions { button.main { (words.say("editor-idea-publish")) } }
            }
        }
    };
    Ok(page(&city, &person, &words.say("editor-idea"), &markup))
}

async fn to_vote(
    State(city): State<Arc<City>>,
    person: Person,
    Path(idea): Path<i64>,
    fields: Fields,
) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let (campaign, question) = fields
        .get("where")
        .split_once('/')
        .ok_or_else(Fault::not_here)?;
    let campaign = id_of(campaign)?;
    let question = Some(question)
        .filter(|question| !question.is_empty())
        .map(str::to_owned);
    let ballot = Ballot {
        campaign: campaign.clone(),
        question,
        option: sent(&city, &fields, "option")?.into_iter().collect(),
        asks: sent(&city, &fields, "asks")?.into_iter().collect(),
    };
    // What can be refused at once is refused here, before anything is begun.
    let own = campaign.clone();
    let is_published = city
        .aside(move |city| Ok(drafts::open(city, &own)?.is_some_and(|work| work.is_published)))
        .await?;
    if !is_published {
        return Err(Fault::not_here());
    }
    let who = person.clone();
    jobs::start(&city, &campaign, "editor-job-publish", move |city, tell| {
        publish::idea_to_vote(city, &who, idea, &ballot, tell)
    })?;
    Ok(see(&person.here.to(&format!("editor/{campaign}/progress"))))
}
