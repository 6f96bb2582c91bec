//! The moderators' pages of ideas: all of them, and one with its messages and what came of it.
//!
//! Owns: the addresses below `/ideas`. Never does: make an option of a vote of an idea; the editor does.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use booth_database::{Connection, params};
use booth_host::clock;
use maud::{Markup, html};

use super::{Idea, LONGEST_BODY, LONGEST_TITLE, Texts};
use crate::City;
use crate::centre::CentreError;
use crate::people::{Person, Right};
use crate::store::{Act, CityError};
use crate::web::{Fault, SEEN, get, is_as_seen, post, seen_field, staff_page, token_field, value};

/// Messages that an idea's page offers to take in.
const MOST_OFFERED: usize = 100;

type Fields = Vec<(String, String)>;

/// The pages for staff.
pub(crate) fn routes() -> Router<Arc<City>> {
    Router::new()
        .route("/ideas", get(show_all).merge(post(make)))
        .route("/ideas/{id}", get(show).merge(post(change)))
        .route("/ideas/{id}/messages", post(take_in))
        .route("/ideas/{id}/out", post(take_out))
}

/// The texts of the fields `<name>_<language>`.
fn texts(fields: &Fields, name: &str) -> Texts {
    let own = fields.iter().filter_map(|(field, value)| {
        let language = field.strip_prefix(name)?.strip_prefix('_')?;
        let language = crate::transcribe::is_language(language)?;
        Some((language, value.clone()))
    });
    own.collect()
}

/// A field for each language that pages offer.
fn fields_of(
    city: &City,
    person: &Person,
    name: &str,
    label: &str,
    texts: &Texts,
    is_long: bool,
) -> Markup {
    let label = city.words.say(&person.here.language, label);
    let mut languages = city.config.offers.clone();
    languages.extend(
        texts
            .keys()
            .filter(|own| !city.config.offers.contains(own))
            .cloned(),
    );
    html! {
        @for language in &languages {
            @let text = texts.get(language).map_or("", String::as_str);
            @let id = format!("{name}_{language}");
            label for=(id) { (label) " (" (language) ")" }
            @match is_long {
                true => { textarea id=(id) name=(id) rows="4" maxlength=(LONGEST_BODY) lang=(language) dir="auto" { (text) } }
                false => { input type="text" id=(id) name=(id) maxlength=(LONGEST_TITLE) lang=(language) dir="auto" value=(text); }
            }
        }
    }
}

async fn show_all(
    State(city): State<Arc<City>>,
    person: Person,
    Query(query): Query<Fields>,
) -> Result<Response, Fault> {
    person.must_somewhere(Right::Publish)?;
    let campaign = value(&query, "campaign").to_owned();
    let wanted = campaign.clone();
    let (all, campaigns) = city
        .aside(move |city| {
            let wanted = Some(wanted.as_str()).filter(|wanted| !wanted.is_empty());
            let all = city.store.read(|db| super::of_campaign(db, wanted))?;
            Ok((all, city.centre.campaigns()?))
        })
        .await?;
    let is_own = |campaign: &str| person.may(Right::Publish, Some(campaign));
    let all: Vec<Idea> = all
        .into_iter()
        .filter(|idea| is_own(&idea.campaign_id))
        .collect();
    let language = person.here.language.as_str();
    let say = |name: &str| city.words.say(language, name);
    let title_of = |id: &str| {
        let found = campaigns.iter().find(|campaign| campaign.id == id);
        found.map_or_else(|| id.to_owned(), |campaign| campaign.title.clone())
    };
    let title = say("ideas-title");
    let nothing = Texts::new();
    let body = html! {
        h1 { (title) }
        p { (say("ideas-explained")) }
        @if all.is_empty() { p { (say("ideas-none")) } }
        @else {
            div.wide { table.ideas {
                thead { tr { th { (say("ideas-idea")) } th { (say("desk-campaign")) } th { (say("ideas-messages")) } th { (say("ideas-vote")) } th { (say("ideas-outcome")) } } }
                tbody {
                    @for idea in &all {
                        tr {
                            td { a href=(person.here.to(&format!("ideas/{}", idea.id))) { bdi { (Idea::in_language(&idea.title, language)) } } }
                            td { (title_of(&idea.campaign_id)) }
                            td { (idea.messages) }
                            td { @if let Some(vote) = &idea.vote { (vote.question) " · " (vote.digit) } @else { "–" } }
                            td { @if idea.outcome.is_some() { (say("ideas-yes")) } @else { "–" } }
                        }
                    }
                }
            } }
        }
        h2 { (say("ideas-new")) }
        form method="post" action=(person.here.to("ideas")) {
            (token_field(&person))
            label for="campaign" { (say("desk-campaign")) }
            select #campaign name="campaign" {
                @for own in campaigns.iter().filter(|own| is_own(&own.id)) { option value=(own.id) selected[own.id == campaign] { (own.title) } }
            }
            (fields_of(&city, &person, "title", "ideas-name", &nothing, false))
            (fields_of(&city, &person, "body", "ideas-body", &nothing, true))
            p { button.main { (say("ideas-make")) } }
        }
    };
    Ok(Html(staff_page(&city, &person, &title, &body).into_string()).into_response())
}

async fn make(
    State(city): State<Arc<City>>,
    person: Person,
    Form(fields): Form<Fields>,
) -> Result<Response, Fault> {
    let campaign = value(&fields, "campaign").to_owned();
    person.must(Right::Publish, Some(&campaign))?;
    let (title, body) = (texts(&fields, "title"), texts(&fields, "body"));
    let asker = person.clone();
    let id = city
        .aside(move |city| {
            let now = clock::wall();
            city.store.change_telling(|tx| {
                let id = super::make(tx, now, asker.account, &campaign, &title, &body)?;
                let act = Act::new(asker.actor(), "made an idea", format!("idea {id}"));
                Ok((id, vec![act]))
            })
        })
        .await?;
    let address = person.here.to(&format!("ideas/{id}"));
    Ok(Redirect::to(&address).into_response())
}

/// A message beside an idea.
struct Beside {
    id: String,
    state: String,
    said_at: String,
    words: String,
    lang: String,
}

fn beside(row: &booth_database::Row<'_>) -> booth_database::Result<Beside> {
    Ok(Beside {
        id: row.get(0)?,
        state: row.get(1)?,
        said_at: row.get(2)?,
        words: row.get(3)?,
        lang: row.get(4)?,
    })
}

const BESIDE: &str =
    "m.id, m.state, m.said_at, coalesce(m.transcript, ''), coalesce(m.transcript_lang, '')";

fn messages_in(db: &Connection, idea: i64) -> booth_database::Result<Vec<Beside>> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT {BESIDE} FROM message_idea l JOIN message m ON m.id = l.message_id WHERE l.idea_id = ?1 ORDER BY m.said_at LIMIT 1000"
    ))?;
    statement.query_map([idea], beside)?.collect()
}

/// Decided messages of the campaign that are in no idea and hold these words.
fn offered(db: &Connection, campaign: &str, words: &str) -> booth_database::Result<Vec<Beside>> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT {BESIDE} FROM message m WHERE m.campaign_id = ?1 AND m.state IN ('published', 'heard') AND m.kind <> 'choice'
           AND NOT EXISTS (SELECT 1 FROM message_idea l WHERE l.message_id = m.id) AND instr(lower(coalesce(m.transcript, '')), lower(?2)) > 0
         ORDER BY m.said_at LIMIT {MOST_OFFERED}"
    ))?;
    statement
        .query_map(params![campaign, words], beside)?
        .collect()
}

async fn show(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
    Query(query): Query<Fields>,
) -> Result<Response, Fault> {
    let words = value(&query, "words").to_owned();
    let asked = words.clone();
    let found = city
        .aside(move |city| {
            city.store.read(|db| {
                let Some(idea) = super::idea(db, id)? else {
                    return Ok(None);
                };
                let own = messages_in(db, id)?;
                let others = offered(db, &idea.campaign_id, &asked)?;
                Ok(Some((idea, own, others)))
            })
        })
        .await?;
    let (idea, own, others) = found.ok_or_else(Fault::not_here)?;
    person.must(Right::Publish, Some(&idea.campaign_id))?;
    let language = person.here.language.as_str();
    let say = |name: &str| city.words.say(language, name);
    let title = Idea::in_language(&idea.title, language).to_owned();
    let here = format!("ideas/{id}");
    let nothing = Texts::new();
    let text = |message: &Beside| {
        html! {
            a href=(person.here.to(&format!("desk/message/{}", message.id))) { (message.said_at.get(..10).unwrap_or_default()) }
            " · " (say(&format!("desk-state-{}", message.state))) " · "
            bdi lang=[Some(&message.lang).filter(|lang| !lang.is_empty())] { (message.words) }
        }
    };
    let body = html! {
        h1 { bdi { (title) } }
        @if let Some(vote) = &idea.vote { p.note { (say("ideas-is-option")) " " (vote.campaign) " · " (vote.question) " · " (vote.digit) } }
        @else if person.may(Right::Edit, None) { p { a href=(person.here.to(&format!("editor/idea/{id}"))) { (say("ideas-to-vote")) } } }
        form method="post" action=(person.here.to(&here)) {
            (token_field(&person))
            (seen_field(&idea.written()))
            (fields_of(&city, &person, "title", "ideas-name", &idea.title, false))
            (fields_of(&city, &person, "body", "ideas-body", &idea.body, true))
            (fields_of(&city, &person, "outcome", "ideas-outcome", idea.outcome.as_ref().unwrap_or(&nothing), true))
            p { button.main { (say("ideas-keep")) } }
        }
        h2 { (city.words.say_with(language, "ideas-own", &[("n", own.len().into())])) }
        ul {
            @for message in &own {
                li {
                    (text(message)) " "
                    form.inline method="post" action=(person.here.to(&format!("{here}/out"))) {
                        (token_field(&person))
                        button name="message" value=(message.id) { (say("ideas-take-out")) }
                    }
                }
            }
        }
        h2 { (say("ideas-others")) }
        form method="get" action=(person.here.to(&here)) {
            label for="words" { (say("ideas-words")) }
            input #words type="search" name="words" value=(words) maxlength="100"; " "
            button { (say("ideas-search")) }
        }
        form method="post" action=(person.here.to(&format!("{here}/messages"))) {
            (token_field(&person))
            ul {
                @for message in &others {
                    li { label { input type="checkbox" name="message" value=(message.id); " " (text(message)) } }
                }
            }
            @if others.is_empty() { p { (say("ideas-no-others")) } }
            @else { button { (say("ideas-take-in")) } }
        }
        p { a href=(person.here.to("ideas")) { (say("ideas-title")) } }
    };
    Ok(Html(staff_page(&city, &person, &title, &body).into_string()).into_response())
}

/// Does something to an idea of a campaign in which the person may publish.
async fn with_idea(
    city: &Arc<City>,
    person: &Person,
    id: i64,
    what: &'static str,
    work: impl FnOnce(&booth_database::Transaction<'_>) -> Result<(), CityError> + Send + 'static,
) -> Result<Response, Fault> {
    let idea = city
        .aside(move |city| city.store.read(|db| super::idea(db, id)))
        .await?;
    let idea = idea.ok_or_else(Fault::not_here)?;
    person.must(Right::Publish, Some(&idea.campaign_id))?;
    let actor = person.actor();
    city.aside(move |city| {
        let act = Act::new(actor, what, format!("idea {id}"));
        city.store.change(act, work)
    })
    .await?;
    let address = person.here.to(&format!("ideas/{id}"));
    Ok(Redirect::to(&address).into_response())
}

async fn change(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
    Form(fields): Form<Fields>,
) -> Result<Response, Fault> {
    let [title, body, outcome] = ["title", "body", "outcome"].map(|name| texts(&fields, name));
    let now = clock::wall();
    let seen = value(&fields, SEEN).to_owned();
    with_idea(&city, &person, id, "changed an idea", move |tx| {
        let known = super::idea(tx, id)?.ok_or(CentreError::NotThere)?;
        is_as_seen(&seen, &known.written())?;
        super::write(tx, now, id, &title, &body, &outcome)
    })
    .await
}

async fn take_in(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
    Form(fields): Form<Fields>,
) -> Result<Response, Fault> {
    let messages = fields.into_iter().filter(|(name, _)| name == "message");
    let messages: Vec<String> = messages.map(|(_, value)| value).collect();
    with_idea(&city, &person, id, "put messages into an idea", move |tx| {
        super::add(tx, id, &messages)?;
        Ok(())
    })
    .await
}

async fn take_out(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
    Form(fields): Form<Fields>,
) -> Result<Response, Fault> {
    let message = value(&fields, "message").to_owned();
    with_idea(
        &city,
        &person,
        id,
        "took a message out of an idea",
        move |tx| Ok(super::take_out(tx, id, &message)?),
    )
    .await
}
