//! `/{lang}/answer/{campaign}/{question}`: the notice, an answer in words, by voice or by choice, a second look, and the receipt.
//!
//! Owns: the order of the steps. Each is one form that carries what it needs, so that no cookie is set and everything works without a
//! script. Never does: keep anything before the citizen has sent it. What fails shows the form again with what was typed.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use booth_audio::MadeAnswer;
use booth_contract::{BadCode, OneTimeCode, Publish};
use booth_database::params;
use booth_host::clock;

use super::draw::{self, Filled, Looked, Said, Scene};
use super::form::{Form, Unread, tidy};
use super::ticket::{self, Bad, Step};
use super::{notice, sound};
use crate::City;
use crate::centre::{Body, Campaign, CentreError, Question, Source, Submission, Taken};
use crate::pages::{LeftOut, at_this_moment};
use crate::sentence;
use crate::store::CityError;
use crate::web::peer::visitor;
use crate::web::{Citizen, Fault};

/// The longest answer where its question names no limit, seconds: a booth's.
pub(super) const LONGEST: u64 = 180;
/// Bytes that a recording may have for each second: more than any browser records, and WAV of one channel and 48 kHz.
const BYTES_PER_SECOND: u64 = 100_000;

type Where = Path<(String, String, String)>;

/// Why a step was not taken: the status and the sentence.
type Told = (StatusCode, &'static str);

/// `GET …`: the form.
pub(super) async fn page(
    State(city): State<Arc<City>>,
    citizen: Citizen,
    Path((_, campaign, question)): Where,
) -> Result<Response, Fault> {
    let scene = scene(&city, &citizen, campaign, question).await?;
    Ok(form_page(&city, &scene, &Filled::default(), None))
}

/// `GET …/draft/{name}`: the recording as it would be kept.
pub(super) async fn draft(
    State(city): State<Arc<City>>,
    Path((_, campaign, question, name)): Path<(String, String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let about = format!("{campaign}/{question}");
    let sound = city.home.drafts.get(clock::mono(), &about, &name);
    let sound = sound.ok_or_else(Fault::not_here)?;
    let now = clock::wall();
    Ok(crate::web::sound::answer(
        sound.bytes.clone(),
        now,
        &method,
        &headers,
    ))
}

/// `POST …`: every step.
pub(super) async fn sent(
    State(city): State<Arc<City>>,
    citizen: Citizen,
    Path((_, campaign, question)): Where,
    request: Request,
) -> Result<Response, Fault> {
    let scene = scene(&city, &citizen, campaign, question).await?;
    let from = visitor(request.extensions(), request.headers());
    let most = scene.most_seconds * BYTES_PER_SECOND;
    let form = match Form::read(request, most).await {
        Ok(form) => form,
        Err(unread) => {
            let told = match unread {
                Unread::Broken => (StatusCode::BAD_REQUEST, "home-unread"),
                Unread::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "home-too-large"),
                Unread::Busy => (StatusCode::SERVICE_UNAVAILABLE, "home-busy"),
            };
            return Ok(form_page(&city, &scene, &Filled::default(), Some(told)));
        }
    };
    // A field that no person sees. Whoever fills it hears that all is well, and nothing is kept.
    if form.is_ticked("website") {
        return Ok(page_of(StatusCode::OK, draw::discarded(&city, &scene)));
    }
    let filled = Filled::of(&form);
    let done = match form.get("do") {
        "discard" => {
            city.home.drafts.forget(form.get("draft"));
            return Ok(page_of(StatusCode::OK, draw::discarded(&city, &scene)));
        }
        "change" => {
            city.home.drafts.forget(form.get("draft"));
            return Ok(form_page(&city, &scene, &filled, None));
        }
        "send" => send(&city, &scene, &form, from).await,
        _ => look(&city, &scene, form, from)
            .await
            .map(|page| (StatusCode::OK, page)),
    };
    Ok(match done {
        Ok((status, page)) => page_of(status, page),
        Err(told) => form_page(&city, &scene, &filled, Some(told)),
    })
}

/// What the page is about, if it may be answered.
async fn scene(
    city: &Arc<City>,
    citizen: &Citizen,
    campaign: String,
    question: String,
) -> Result<Scene, Fault> {
    if !city.config.home.is_open {
        return Err(Fault::not_here());
    }
    let (of, id) = (campaign.clone(), question.clone());
    if city.aside(move |city| city.is_stopped(&of, &id)).await? {
        return Err(Fault::new(StatusCode::GONE, sentence!("home-stopped")));
    }
    let citizen = citizen.clone();
    let found = city.aside(move |city| {
        if LeftOut::of(city)?.has_campaign(&campaign) {
            return Ok(None);
        }
        let Some((campaign, question)) = city.question(&campaign, &question)? else {
            return Ok(None);
        };
        let notice = notice::of(city, &campaign, &citizen.language)?;
        let areas = city.store.read(crate::places::areas::names)?;
        let is_open = is_open(city, &campaign)?;
        Ok(Some(Scene {
            most_seconds: question.max_seconds.unwrap_or(LONGEST).min(600),
            campaign,
            question,
            notice,
            areas,
            is_open,
            citizen,
        }))
    });
    found.await?.ok_or_else(Fault::not_here)
}

/// Whether the campaign takes answers at this moment: by its own dates, and by the phase that an editor has given it and the pages show.
fn is_open(city: &City, campaign: &Campaign) -> Result<bool, CityError> {
    let now = clock::wall();
    let local = now.to_zoned_datetime(city.zone.clone()).datetime();
    let moment = |text: &Option<String>| {
        let text = text.as_deref()?;
        text.parse::<jiff::civil::DateTime>().ok()
    };
    let has_begun = moment(&campaign.from).is_none_or(|from| from <= local);
    let is_over = moment(&campaign.until).is_some_and(|until| until <= local);
    let shown = city.store.read(|db| at_this_moment(city, db, campaign))?;
    Ok(has_begun && !is_over && shown.is_open())
}

/// The first step: what came is looked at, and shown to its citizen.
async fn look(
    city: &Arc<City>,
    scene: &Scene,
    form: Form,
    from: IpAddr,
) -> Result<maud::Markup, Told> {
    let refused = |name| Err((StatusCode::UNPROCESSABLE_ENTITY, name));
    if !scene.is_open {
        return refused("home-closed");
    }
    if form.get("consent") != "yes" {
        return refused("home-no-consent");
    }
    let said = said_in(scene, &form)?;
    let code = code_in(scene, &form)?;
    let now = clock::mono();
    let ticket = form.get("ticket").to_owned();
    let has_worked = ticket::is_worked(&ticket, form.get("work"), city.config.home.work_bits);
    let about = scene.about();
    city.home
        .tickets
        .take(now, &ticket, Step::Look, &about)
        .map_err(told_of)?;
    if !city.home.may(now, from, has_worked) {
        city.home.tickets.give_back(&ticket, Step::Look, &about);
        let name = match has_worked {
            true => "home-too-many",
            false => "home-too-many-bare",
        };
        return Err((StatusCode::TOO_MANY_REQUESTS, name));
    }
    let area = form.get("area").to_owned();
    let said = match said {
        Heard::Text(text) => Said::Text(text),
        Heard::Vote(digit) => Said::Vote(digit),
        Heard::Sound => {
            let Some(bytes) = form.sound else {
                return refused("home-nothing");
            };
            let made: MadeAnswer = sound::made(bytes, scene.most_seconds + 2)
                .await
                .map_err(|name| (StatusCode::UNPROCESSABLE_ENTITY, name))?;
            let seconds = made.levels.length.ms().div_ceil(1_000);
            let name = city.home.drafts.keep(now, &about, made);
            let name = name.ok_or((StatusCode::SERVICE_UNAVAILABLE, "home-busy"))?;
            Said::Sound { name, seconds }
        }
    };
    let looked = Looked {
        ticket: city.home.tickets.make(now, Step::Send, &about),
        said,
        area,
        code,
    };
    Ok(draw::review(city, scene, &looked, None))
}

/// What a form says, in one of three ways.
enum Heard {
    Text(String),
    Sound,
    Vote(u8),
}

fn said_in(scene: &Scene, form: &Form) -> Result<Heard, Told> {
    let refused = |name| Err((StatusCode::UNPROCESSABLE_ENTITY, name));
    if !scene.question.options.is_empty() {
        let digit = form.get("choice").parse::<u8>().ok();
        let offered = |digit: &u8| scene.question.options.iter().any(|one| one.digit == *digit);
        return match digit.filter(offered) {
            Some(digit) => Ok(Heard::Vote(digit)),
            None => refused("home-no-choice"),
        };
    }
    let text = tidy(form.get("text"));
    let has_sound = form.sound.is_some() || !form.get("draft").is_empty();
    match (text.is_empty(), has_sound) {
        (true, false) => refused("home-nothing"),
        (false, true) => refused("home-both"),
        (true, true) => Ok(Heard::Sound),
        (false, false) if text.chars().count() > draw::MOST_LETTERS => {
            refused("home-text-too-long")
        }
        (false, false) => Ok(Heard::Text(text)),
    }
}

/// The one-time code of a vote that needs one, as its ten digits. Whether it is on the list is for the hub to say, when the vote is sent.
fn code_in(scene: &Scene, form: &Form) -> Result<Option<String>, Told> {
    if !scene.question.needs_code {
        return Ok(None);
    }
    match OneTimeCode::parse_text(form.get("code")) {
        Ok(code) => Ok(Some(code.to_text().to_string())),
        Err(BadCode::Check) => Err((StatusCode::UNPROCESSABLE_ENTITY, "home-code-wrong")),
        Err(BadCode::Length(_) | BadCode::NoDigit) => {
            Err((StatusCode::UNPROCESSABLE_ENTITY, "home-code-missing"))
        }
    }
}

/// The last step: it is kept, and its receipt is shown once.
async fn send(
    city: &Arc<City>,
    scene: &Scene,
    form: &Form,
    from: IpAddr,
) -> Result<(StatusCode, maud::Markup), Told> {
    if !scene.is_open {
        return Err((StatusCode::UNPROCESSABLE_ENTITY, "home-closed"));
    }
    // The notice that was read is the one in force: if it has changed meanwhile, it is read again.
    if form.get("notice") != scene.notice.id {
        return Err((StatusCode::CONFLICT, "home-notice-changed"));
    }
    let now = clock::mono();
    let about = scene.about();
    let ticket = form.get("ticket").to_owned();
    let draft = form.get("draft").to_owned();
    let body = match said_in(scene, form)? {
        Heard::Text(text) => Body::Written(text),
        Heard::Vote(digit) => Body::Vote(digit),
        Heard::Sound => {
            let sound = city.home.drafts.get(now, &about, &draft);
            let sound = sound.ok_or((StatusCode::GONE, "home-waited"))?;
            Body::Spoken(sound.bytes.clone(), sound.levels.length.ms())
        }
    };
    let code = code_in(scene, form)?;
    city.home
        .tickets
        .take(now, &ticket, Step::Send, &about)
        .map_err(told_of)?;
    if code.is_some() && !city.home.may_try_a_code(now, from) {
        city.home.tickets.give_back(&ticket, Step::Send, &about);
        return Err((StatusCode::TOO_MANY_REQUESTS, "home-code-too-many"));
    }
    let may_publish = may_publish(&scene.question, form, &body);
    let area = form.get("area").to_owned();
    let area = scene
        .areas
        .iter()
        .any(|(id, _)| *id == area)
        .then_some(area);
    let submission = Submission {
        source: Source::Web,
        campaign_id: scene.campaign.id.clone(),
        question_id: scene.question.id.clone(),
        body,
        lang: scene.citizen.language.clone(),
        said_at: None,
        may_publish,
        notice_id: scene.notice.id.clone(),
        code: code.clone(),
    };
    let kept = city
        .aside(move |city| keep(city, submission, area.as_deref()))
        .await;
    match kept {
        Ok(taken) => {
            city.home.drafts.forget(&draft);
            if code.is_some() {
                city.home.was_a_code(from);
            }
            let page = draw::receipt(city, scene, taken.receipt.as_deref());
            Ok((StatusCode::OK, page))
        }
        Err(CityError::Centre(CentreError::CodeUsed)) => {
            Err((StatusCode::CONFLICT, "home-code-used"))
        }
        Err(CityError::Centre(CentreError::CodeUnknown)) => {
            Err((StatusCode::UNPROCESSABLE_ENTITY, "home-code-unknown"))
        }
        Err(error) => {
            // Nothing was kept: the same may be sent again, and no code was tried.
            city.home.tickets.give_back(&ticket, Step::Send, &about);
            if code.is_some() {
                city.home.was_a_code(from);
            }
            let (status, name) = match error {
                CityError::Centre(CentreError::Busy) => {
                    (StatusCode::SERVICE_UNAVAILABLE, "home-busy")
                }
                CityError::Centre(CentreError::Refused(why)) => {
                    log::info!("an answer from home was refused: {why}");
                    (StatusCode::UNPROCESSABLE_ENTITY, "home-refused")
                }
                error => {
                    log::error!(fault = "home"; "an answer from home was not kept: {error}");
                    (StatusCode::SERVICE_UNAVAILABLE, "home-away")
                }
            };
            let said = match said_in(scene, form)? {
                Heard::Text(text) => Said::Text(text),
                Heard::Vote(digit) => Said::Vote(digit),
                Heard::Sound => Said::Sound {
                    seconds: 0,
                    name: draft,
                },
            };
            let looked = Looked {
                ticket,
                said,
                area: form.get("area").to_owned(),
                code,
            };
            Ok((status, draw::review(city, scene, &looked, Some(name))))
        }
    }
}

/// Has the hub keep it, and notes the area that was named.
pub(super) fn keep(
    city: &City,
    submission: Submission,
    area: Option<&str>,
) -> Result<Taken, CityError> {
    let taken = city.centre.submit(submission)?;
    if let Some(area) = area {
        let noted = city.store.change_quietly(|db| {
            let changed = db.execute(
                "UPDATE message SET area_id = ?2 WHERE id = ?1",
                params![taken.id.as_str(), area],
            )?;
            if changed == 0 {
                db.execute(
                    "INSERT OR REPLACE INTO named_area (message_id, area_id) VALUES (?1, ?2)",
                    params![taken.id.as_str(), area],
                )?;
            }
            Ok(())
        });
        // The answer is kept; only where it counts is not known.
        if let Err(error) = noted {
            log::warn!("the area of an answer could not be noted: {error}");
        }
    }
    Ok(taken)
}

/// What its boxes allow: silence means no.
fn may_publish(question: &Question, form: &Form, body: &Body) -> Publish {
    let (text, voice) = (
        form.is_ticked("publish_text"),
        form.is_ticked("publish_voice"),
    );
    match (question.may_publish, body) {
        (_, Body::Vote(_)) | (Publish::No, _) => Publish::No,
        (Publish::Voice, Body::Spoken(..)) if voice => Publish::Voice,
        _ if text => Publish::Text,
        _ => Publish::No,
    }
}

fn told_of(bad: Bad) -> Told {
    match bad {
        Bad::Old => (StatusCode::CONFLICT, "home-old"),
        Bad::Used => (StatusCode::CONFLICT, "home-used"),
        Bad::Full => (StatusCode::SERVICE_UNAVAILABLE, "home-busy"),
    }
}

/// The form, empty or as it was filled in, with why it is shown again.
fn form_page(city: &City, scene: &Scene, filled: &Filled, told: Option<Told>) -> Response {
    let ticket = city
        .home
        .tickets
        .make(clock::mono(), Step::Look, &scene.about());
    let (status, name) = told.map_or((StatusCode::OK, None), |(status, name)| {
        (status, Some(name))
    });
    page_of(status, draw::form(city, scene, &ticket, filled, name))
}

fn page_of(status: StatusCode, page: maud::Markup) -> Response {
    (status, Html(page.into_string())).into_response()
}
