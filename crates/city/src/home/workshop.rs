//! `/workshop`: a helper enters what people at a workshop have written on paper, one after the other.
//!
//! Owns: the two pages. Never does: give a receipt: what is entered belongs to people who are not here; the desk deletes on request. Each
//! entry is an act in the log.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use booth_contract::Publish;
use maud::{Markup, html};
use serde::Deserialize;

use super::answer::keep;
use super::draw::MOST_LETTERS;
use super::form::tidy;
use super::notice;
use crate::City;
use crate::centre::{Body, Campaign, CentreError, Question, Source, Submission};
use crate::pages::segment;
use crate::people::{Person, Right};
use crate::store::{Act, CityError};
use crate::web::{Fault, staff_page, token_field};

/// What a helper typed.
#[derive(Deserialize, Default)]
pub(super) struct Entered {
    #[serde(default)]
    text: String,
    #[serde(default)]
    choice: String,
    #[serde(default)]
    area: String,
    #[serde(default)]
    lang: String,
    #[serde(default)]
    may_publish: String,
    /// How many were entered in a row.
    #[serde(default)]
    count: u32,
}

/// `GET /workshop`: the questions.
pub(super) async fn list(State(city): State<Arc<City>>, person: Person) -> Result<Response, Fault> {
    person.must_somewhere(Right::Transcribe)?;
    let campaigns = city.aside(|city| Ok(city.centre.campaigns()?)).await?;
    let language = person.here.language.clone();
    let title = city.words.say(&language, "workshop-title");
    let body = html! {
        h1 { (title) }
        p { (city.words.say(&language, "workshop-lead")) }
        @for campaign in campaigns.iter().filter(|one| person.may(Right::Transcribe, Some(&one.id))) {
            h2 { (campaign.title) }
            ul {
                @for question in &campaign.questions {
                    li { a href=(person.here.to(&format!("workshop/{}/{}", segment(&campaign.id), segment(&question.id)))) { (text(question, &language)) } }
                }
            }
        }
    };
    Ok(Html(staff_page(&city, &person, &title, &body).into_string()).into_response())
}

/// `GET /workshop/{campaign}/{question}`
pub(super) async fn page(
    State(city): State<Arc<City>>,
    person: Person,
    Path((campaign, question)): Path<(String, String)>,
    Query(before): Query<Entered>,
) -> Result<Response, Fault> {
    let scene = scene(&city, &person, campaign, question).await?;
    let page = draw(&city, &person, &scene, &before, None);
    Ok(Html(page.into_string()).into_response())
}

/// `POST /workshop/{campaign}/{question}`: one answer, and the form for the next.
pub(super) async fn entered(
    State(city): State<Arc<City>>,
    person: Person,
    Path((campaign, question)): Path<(String, String)>,
    Form(mut entered): Form<Entered>,
) -> Result<Response, Fault> {
    let scene = scene(&city, &person, campaign, question).await?;
    let text = tidy(&entered.text);
    let refused = |name: &'static str, entered: &Entered| {
        let page = draw(&city, &person, &scene, entered, Some((name, false)));
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Ok((status, Html(page.into_string())).into_response())
    };
    let body = match (
        scene.question.options.is_empty(),
        entered.choice.parse::<u8>(),
    ) {
        (true, _) if text.is_empty() => return refused("workshop-nothing", &entered),
        (true, _) if text.chars().count() > MOST_LETTERS => {
            return refused("home-text-too-long", &entered);
        }
        (true, _) => Body::Written(text),
        (false, Ok(digit)) => Body::Vote(digit),
        (false, Err(_)) => return refused("home-no-choice", &entered),
    };
    let submission = Submission {
        source: Source::Workshop,
        campaign_id: scene.campaign.id.clone(),
        question_id: scene.question.id.clone(),
        body,
        lang: match city.words.has(&entered.lang) {
            true => entered.lang.clone(),
            false => person.here.language.clone(),
        },
        said_at: None,
        may_publish: match entered.may_publish.as_str() {
            "yes" => Publish::Text,
            _ => Publish::No,
        },
        notice_id: scene.notice_id.clone(),
        code: None,
    };
    let area = entered.area.clone();
    let area = scene
        .areas
        .iter()
        .any(|(id, _)| *id == area)
        .then_some(area);
    let actor = person.actor();
    let kept = city.aside(move |city| {
        let taken = keep(city, submission, area.as_deref())?;
        let act = Act::new(actor, "entered from a workshop", taken.id.as_str());
        city.store.change(act, |_| Ok(()))?;
        Ok(())
    });
    match kept.await {
        Ok(()) => {
            entered.count += 1;
            entered.text.clear();
            entered.choice.clear();
            let page = draw(
                &city,
                &person,
                &scene,
                &entered,
                Some(("workshop-kept", true)),
            );
            Ok(Html(page.into_string()).into_response())
        }
        Err(CityError::Centre(CentreError::Refused(why))) => {
            log::info!("a workshop's answer was refused: {why}");
            refused("home-refused", &entered)
        }
        Err(error) => Err(error.into()),
    }
}

struct Scene {
    campaign: Campaign,
    question: Question,
    areas: Vec<(String, String)>,
    notice_id: String,
}

async fn scene(
    city: &Arc<City>,
    person: &Person,
    campaign: String,
    question: String,
) -> Result<Scene, Fault> {
    person.must(Right::Transcribe, Some(&campaign))?;
    let language = person.here.language.clone();
    let found = city.aside(move |city| {
        let Some((campaign, question)) = city.question(&campaign, &question)? else {
            return Ok(None);
        };
        let notice_id = notice::of(city, &campaign, &language)?.id;
        let areas = city.store.read(crate::places::areas::names)?;
        Ok(Some(Scene {
            campaign,
            question,
            areas,
            notice_id,
        }))
    });
    found.await?.ok_or_else(Fault::not_here)
}

fn text(question: &Question, language: &str) -> String {
    let text = question.text.get(language);
    let text = text.or_else(|| question.text.values().next());
    text.cloned().unwrap_or_else(|| question.id.clone())
}

fn draw(
    city: &City,
    person: &Person,
    scene: &Scene,
    before: &Entered,
    told: Option<(&str, bool)>,
) -> Markup {
    let language = &person.here.language;
    let say = |name: &str| {
        let gaps = [("n", i64::from(before.count).into())];
        city.words.say_with(language, name, &gaps)
    };
    let title = say("workshop-title");
    let is_vote = !scene.question.options.is_empty();
    let body = html! {
        p { a href=(person.here.to("workshop")) { (title) } }
        h1 { (text(&scene.question, language)) }
        @if let Some((told, is_good)) = told {
            p role=(if is_good { "status" } else { "alert" }) { strong { (say(told)) } }
        }
        form method="post" action=(segment(&scene.question.id)) {
            (token_field(person))
            input type="hidden" name="count" value=(before.count);
            @if is_vote {
                fieldset {
                    legend { (say("home-choose")) }
                    @for (place, option) in scene.question.options.iter().enumerate() {
                        @let id = format!("option-{}", option.digit);
                        @let shown = option.text.get(language).or_else(|| option.text.values().next());
                        p {
                            input type="radio" id=(id) name="choice" value=(option.digit) required autofocus[place == 0];
                            label for=(id) { (shown.unwrap_or(&option.id)) }
                        }
                    }
                }
            } @else {
                p {
                    label for="text" { (say("workshop-text")) }
                    textarea id="text" name="text" rows="6" maxlength=(MOST_LETTERS) required autofocus dir="auto" { (before.text) }
                }
            }
            @if !scene.areas.is_empty() {
                p {
                    label for="area" { (say("home-area")) }
                    select id="area" name="area" {
                        option value="" { (say("home-area-none")) }
                        @for (id, name) in &scene.areas { option value=(id) selected[*id == before.area] { (name) } }
                    }
                }
            }
            p {
                label for="lang" { (say("workshop-language")) }
                select id="lang" name="lang" {
                    @for offer in &city.config.offers {
                        @let is_it = *offer == before.lang || (before.lang.is_empty() && offer == language);
                        option value=(offer) selected[is_it] { (city.words.say(offer, "language-name")) }
                    }
                }
            }
            @if !is_vote && scene.question.may_publish != Publish::No {
                p {
                    input type="checkbox" id="may_publish" name="may_publish" value="yes" checked[before.may_publish == "yes"];
                    label for="may_publish" { (say("workshop-publish")) }
                }
            }
            p { button { (say("workshop-next")) } }
        }
        p { (say("workshop-how")) }
    };
    staff_page(city, person, &title, &body)
}
