//! The desk's pages: the queue, one message, and what its forms do.
//!
//! Owns: the addresses below `/desk`. Never does: decide; `act` does. Every page works without its script.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, Path, Query, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use booth_audio::Portrait;
use booth_contract::ClipId;
use booth_host::clock;
use jiff::Timestamp;

use super::act::{self, Decision, Outcome, Overtaken};
use super::complaints::{self, Complaint};
use super::decide::{Refusal, State, Wish};
use super::form::{self, Fields, Typed, filter_of, items_of, query_of, value};
use super::queue::{self, Entry, Filter, MOST_SHOWN, Place};
use super::rows::{self, Message};
use super::themes::{self, Theme};
use super::{sound, view_message, view_queue};
use crate::City;
use crate::alarm;
use crate::centre::{Campaign, CentreError, Kind};
use crate::ideas::{self, Idea};
use crate::people::{Person, Right};
use crate::sentence;
use crate::store::CityError;
use crate::transcribe;
use crate::web::{Fault, get, post, sound as sound_over_http};
use crate::words::Sentence;

/// The pages for staff.
pub(crate) fn routes() -> Router<Arc<City>> {
    let file = |kind: &'static str, text: &'static str| {
        get(move || async move {
            let headers = [
                (header::CONTENT_TYPE, kind),
                (header::CACHE_CONTROL, "private, max-age=300"),
            ];
            (headers, text).into_response()
        })
    };
    let script = include_str!("desk.js");
    let style = include_str!("desk.css");
    Router::new()
        .route("/desk", get(show_queue))
        .route("/desk/next", get(go_on))
        .route("/desk/reject", post(reject_many))
        .route("/desk/undo", post(undo))
        .route("/desk/message/{id}", get(show_message).merge(post(decide)))
        .route("/desk/message/{id}/sound.opus", get(hear))
        .route("/desk/message/{id}/written.txt", get(read))
        .route(
            "/desk/desk.js",
            file("text/javascript; charset=utf-8", script),
        )
        .route("/desk/desk.css", file("text/css; charset=utf-8", style))
}

/// What the queue's page shows.
pub(super) struct QueuePage {
    pub(super) filter: Filter,
    pub(super) groups: Vec<queue::Group>,
    pub(super) waiting: u64,
    pub(super) campaigns: Vec<Campaign>,
    pub(super) next: Option<String>,
    /// Where the next page begins; `None` on the last one.
    pub(super) further: Option<Place>,
    pub(super) is_first: bool,
    pub(super) recogniser_fault: Option<String>,
    pub(super) may_publish: bool,
    pub(super) is_empty_behind: bool,
    pub(super) complaints: Vec<Complaint>,
}

/// What the page of one message shows.
pub(super) struct MessagePage {
    pub(super) message: Message,
    pub(super) typed: Typed,
    /// What is in the box comes from a machine.
    pub(super) is_draft: bool,
    /// The words of a written message as they came.
    pub(super) written: Option<String>,
    pub(super) portrait: Option<Arc<Portrait>>,
    /// Why it cannot be heard or read.
    pub(super) fault: Option<Sentence>,
    /// It can be, where the key is.
    pub(super) is_sealed: bool,
    pub(super) why_no_draft: Option<String>,
    pub(super) campaigns: Vec<Campaign>,
    pub(super) themes: Vec<Theme>,
    pub(super) ideas: Vec<Idea>,
    pub(super) own_ideas: Vec<Idea>,
    pub(super) claimed_by: Option<(String, Timestamp)>,
    pub(super) proposed_by: Option<String>,
    pub(super) open_alarm: Option<i64>,
    pub(super) complaints: Vec<Complaint>,
    pub(super) filter: Filter,
    pub(super) behind: String,
    pub(super) done: Option<Done>,
    pub(super) notice: Option<Notice>,
    pub(super) waiting: u64,
}

/// What was decided a moment ago, and can be undone.
pub(super) struct Done {
    pub(super) id: String,
    pub(super) version: i64,
    /// The name of the text that says what was done.
    pub(super) said: &'static str,
}

/// Why nothing was decided.
pub(super) enum Notice {
    Refused(Refusal),
    Overtaken(Box<Overtaken>),
    /// The database took nothing.
    Failed,
}

/// What a decision was, in the query of the next page.
fn done_of(fields: &Fields) -> Option<Done> {
    let mut parts = value(fields, "done")?.split(':');
    let (id, version, said) = (parts.next()?, parts.next()?, parts.next()?);
    let said = match said {
        "published" => "desk-done-published",
        "proposed" => "desk-done-proposed",
        "heard" => "desk-done-heard",
        "rejected" => "desk-done-rejected",
        _ => return None,
    };
    Some(Done {
        id: id.to_owned(),
        version: version.parse().ok()?,
        said,
    })
}

async fn show_queue(
    Shared(city): Shared<Arc<City>>,
    person: Person,
    Query(fields): Query<Fields>,
) -> Result<Response, Fault> {
    person.must_somewhere(Right::Listen)?;
    let filter = filter_of(&fields);
    let is_empty_behind = value(&fields, "empty").is_some();
    let done = done_of(&fields);
    let behind = value(&fields, "from").and_then(Place::of);
    let asker = person.clone();
    let page = city
        .aside(move |city| {
            let now = clock::wall();
            let (mut entries, next, waiting, complaints) = city.store.read(|db| {
                // One more than is shown: there is a further page.
                let most = MOST_SHOWN + 1;
                let entries = queue::entries(db, now, &asker, &filter, behind.as_ref(), most)?;
                // Only what waits is worked off.
                let next = match filter.state {
                    None | Some(State::Waiting) => queue::next(db, now, &asker, &filter, None)?,
                    Some(_) => None,
                };
                let waiting = queue::number(db, &asker)?;
                Ok((entries, next, waiting, complaints::open(db, &asker)?))
            })?;
            let has_more = entries.len() > MOST_SHOWN;
            entries.truncate(MOST_SHOWN);
            let last = entries.last().filter(|_| has_more);
            Ok(QueuePage {
                further: last.map(|entry| entry.place.clone()),
                is_first: behind.is_none(),
                groups: queue::grouped(entries),
                waiting,
                campaigns: city.centre.campaigns()?,
                next: next.map(|entry| entry.id),
                recogniser_fault: city.recogniser.fault(),
                may_publish: asker.may_somewhere(Right::Publish),
                filter,
                is_empty_behind,
                complaints,
            })
        })
        .await?;
    Ok(Html(view_queue::page(&city, &person, &page, done.as_ref()).into_string()).into_response())
}

/// The next message of the queue, or the queue where there is none.
async fn go_on(
    Shared(city): Shared<Arc<City>>,
    person: Person,
    Query(fields): Query<Fields>,
) -> Result<Response, Fault> {
    person.must_somewhere(Right::Listen)?;
    let filter = filter_of(&fields);
    let behind = value(&fields, "behind").unwrap_or_default().to_owned();
    let (wanted, behind_) = (filter.clone(), behind.clone());
    let asker = person.clone();
    let next: Option<Entry> = city
        .aside(move |city| {
            let behind = Some(behind_.as_str()).filter(|id| !id.is_empty());
            city.store
                .read(|db| queue::next(db, clock::wall(), &asker, &wanted, behind))
        })
        .await?;
    let done = value(&fields, "done").unwrap_or_default();
    let address = match next {
        Some(entry) => {
            let query = query_of(&filter, &[("behind", &behind), ("done", done)]);
            person.here.to(&format!("desk/message/{}{query}", entry.id))
        }
        None => {
            let query = query_of(&filter, &[("empty", "1"), ("done", done)]);
            person.here.to(&format!("desk{query}"))
        }
    };
    Ok(Redirect::to(&address).into_response())
}

async fn show_message(
    Shared(city): Shared<Arc<City>>,
    person: Person,
    Path(id): Path<String>,
    Query(fields): Query<Fields>,
) -> Result<Response, Fault> {
    let page = message_page(&city, &person, id, fields, None, None).await?;
    Ok(Html(view_message::page(&city, &person, &page).into_string()).into_response())
}

/// Everything that the page of a message shows. Whoever opens it has it for some minutes; what the person had before is free again.
async fn message_page(
    city: &Arc<City>,
    person: &Person,
    id: String,
    fields: Fields,
    typed: Option<Typed>,
    notice: Option<Notice>,
) -> Result<MessagePage, Fault> {
    let asker = person.clone();
    let page = city.aside(move |city| {
        let now = clock::wall();
        let message = city.store.read(|db| rows::message(db, &id))?;
        let message = message.filter(|message| {
            message.kind != Kind::Vote && asker.may(Right::Listen, message.campaign_id.as_deref())
        });
        let message = message.ok_or(CentreError::NotThere)?;
        let minutes = city.config.desk.claim_minutes;
        let claimed = city.store.change_quietly(|tx| {
            queue::let_go_of_others(tx, asker.account, &message.id)?;
            Ok(queue::claim(tx, now, minutes, asker.account, &message.id)?)
        });
        // A claim is a hint: a database that takes nothing does not keep anybody from what they typed.
        let claimed_by = claimed.unwrap_or_else(|error| {
            log::warn!(about = "claims"; "a message was opened without a claim: {error}");
            None
        });
        let campaign = message.campaign_id.clone();
        let (
            themes,
            chosen,
            all_ideas,
            own_ideas,
            why_no_draft,
            open_alarm,
            proposed_by,
            waiting,
            complaints,
        ) = city.store.read(|db| {
            let proposer = message.standing.decided_by;
            let proposer = proposer.filter(|_| message.standing.state == State::Waiting);
            let proposer = proposer
                .map(|account| act::shown_name(db, account))
                .transpose()?;
            Ok((
                themes::of_campaign(db, campaign.as_deref())?,
                themes::of_message(db, &message.id)?,
                ideas::of_campaign(db, Some(campaign.as_deref().unwrap_or_default()))?,
                ideas::of_message(db, &message.id)?,
                transcribe::why_none(db, &message.id)?,
                alarm::open_of(db, &message.id)?,
                proposer.flatten(),
                queue::number(db, &asker)?,
                complaints::about(db, &message.id)?,
            ))
        })?;
        let (mut fault, mut is_sealed) = (None, false);
        let clip = ClipId::from(message.id.clone());
        let written = match message.kind {
            Kind::Written => match city.centre.text(&clip) {
                Ok(text) => Some(rows::plain(&text, rows::LONGEST_TEXT)),
                Err(CentreError::Sealed) => {
                    is_sealed = true;
                    None
                }
                Err(why) => {
                    fault = Some(Fault::from(CityError::from(why)).into_sentence());
                    None
                }
            },
            _ => None,
        };
        // What cannot be written down as read is not shown.
        let written = match written {
            Some(text) => match act::note_hearing(city, &asker, "read", &message.id) {
                Ok(()) => Some(text),
                Err(error) => {
                    log::error!(fault = "city"; "{error}");
                    fault = Some(sentence!("desk-failed-read"));
                    None
                }
            },
            None => None,
        };
        let portrait = match message.kind {
            Kind::Spoken => match sound::portrait_of(city, &message.id) {
                Ok(portrait) => Some(portrait),
                Err(CityError::Database(why)) => return Err(why.into()),
                Err(CityError::Centre(CentreError::Sealed)) => {
                    is_sealed = true;
                    None
                }
                Err(why) => {
                    fault = Some(Fault::from(why).into_sentence());
                    None
                }
            },
            _ => None,
        };
        let (typed, is_draft) = match typed {
            Some(typed) => (typed, false),
            None => first_typed(&message, chosen, written.as_deref(), &city.config.offers),
        };
        Ok(MessagePage {
            filter: filter_of(&fields),
            behind: value(&fields, "behind").unwrap_or_default().to_owned(),
            done: done_of(&fields),
            campaigns: city.centre.campaigns()?,
            ideas: all_ideas,
            message,
            typed,
            is_draft,
            written,
            portrait,
            fault,
            is_sealed,
            why_no_draft,
            themes,
            own_ideas,
            claimed_by,
            proposed_by,
            open_alarm,
            complaints,
            notice,
            waiting,
        })
    });
    Ok(page.await?)
}

/// What is in the boxes before anybody types: what was kept, else what was written, else the draft.
fn first_typed(
    message: &Message,
    themes: Vec<i64>,
    written: Option<&str>,
    offers: &[String],
) -> (Typed, bool) {
    let content = &message.content;
    let lang = message.lang.clone();
    let usual = lang.or_else(|| offers.first().cloned()).unwrap_or_default();
    let draft = message
        .draft
        .as_ref()
        .filter(|draft| !draft.text.is_empty());
    let (words, lang, is_draft) = match (&content.transcript, written, draft) {
        (Some(text), _, _) => (text.words.clone(), text.lang.clone(), false),
        (None, Some(written), _) => (written.to_owned(), usual, false),
        (None, None, Some(draft)) => {
            let lang = draft.lang.clone().unwrap_or(usual);
            (draft.text.clone(), lang, true)
        }
        (None, None, None) => (String::new(), usual, false),
    };
    let translation = content.translation.as_ref();
    let typed = Typed {
        version: message.version,
        transcript: words,
        transcript_lang: lang,
        translation: translation
            .map(|text| text.words.clone())
            .unwrap_or_default(),
        translation_lang: translation
            .map(|text| text.lang.clone())
            .unwrap_or_default(),
        trim_from: content
            .trim_from_ms
            .map(form::typed_time)
            .unwrap_or_default(),
        trim_to: content.trim_to_ms.map(form::typed_time).unwrap_or_default(),
        silenced: form::typed_spans(&content.silenced),
        is_child: content.is_child,
        themes,
        ..Typed::default()
    };
    (typed, is_draft)
}

async fn decide(
    Shared(city): Shared<Arc<City>>,
    person: Person,
    Path(id): Path<String>,
    Query(query): Query<Fields>,
    Form(fields): Form<Fields>,
) -> Result<Response, Fault> {
    let typed = Typed::of(&fields);
    let filter = filter_of(&query);
    let behind = value(&query, "behind").unwrap_or_default();
    let here = query_of(&filter, &[("behind", behind)]);
    if typed.doing == "danger" {
        let (asker, message, remark) = (person.clone(), id.clone(), typed.remark.clone());
        let raised = city.aside(move |city| {
            let known = city.store.read(|db| rows::message(db, &message))?;
            let known = known.ok_or(CentreError::NotThere)?;
            match asker.may(Right::Listen, known.campaign_id.as_deref()) {
                true => alarm::raised_by(city, &asker, &message, &remark),
                false => Err(CentreError::NotThere.into()),
            }
        });
        raised.await?;
        let page = message_page(&city, &person, id, query, Some(typed), None).await?;
        return Ok(Html(view_message::page(&city, &person, &page).into_string()).into_response());
    }
    if typed.doing == "looked" {
        let newest = value(&fields, "newest_report").and_then(|id| id.parse().ok());
        let newest: i64 = newest.ok_or_else(Fault::not_here)?;
        let (asker, message) = (person.clone(), id.clone());
        let looked = city.aside(move |city| {
            let known = city.store.read(|db| rows::message(db, &message))?;
            let known = known.ok_or(CentreError::NotThere)?;
            match asker.may(Right::Publish, known.campaign_id.as_deref()) {
                true => complaints::done(city, &asker, &message, newest),
                false => Err(CentreError::NotThere.into()),
            }
        });
        looked.await?;
        let address = person.here.to(&format!("desk/message/{id}{here}"));
        return Ok(Redirect::to(&address).into_response());
    }
    let Some(wish) = typed.wish() else {
        return Err(Fault::not_here());
    };
    let content = match typed.content() {
        Ok(content) => content,
        Err(refusal) => {
            return again(&city, &person, id, query, typed, Notice::Refused(refusal)).await;
        }
    };
    if wish == Wish::PublishVoice {
        let clip = ClipId::from(id.clone());
        let is_sealed = city
            .aside(move |city| Ok(matches!(city.centre.sound(&clip), Err(CentreError::Sealed))));
        if is_sealed.await? {
            let notice = Notice::Refused(Refusal::SealedHere);
            return again(&city, &person, id, query, typed, notice).await;
        }
    }
    let is_kept = wish == Wish::Keep;
    let decision = Decision {
        id: id.clone(),
        version: typed.version,
        content: Some(content),
        themes: Some(typed.chosen(&person.here.language)),
        idea: typed.idea,
        wish,
    };
    let asker = person.clone();
    let outcome = city.aside(move |city| act::decide(city, &asker, &decision));
    let outcome = match outcome.await {
        Err(CityError::Database(error)) => {
            log::error!(fault = "city"; "a decision was not taken: {error}");
            return again(&city, &person, id, query, typed, Notice::Failed).await;
        }
        outcome => outcome?,
    };
    match outcome {
        Outcome::Done { .. } if is_kept => {
            let address = person.here.to(&format!("desk/message/{id}{here}"));
            Ok(Redirect::to(&address).into_response())
        }
        Outcome::Done {
            state,
            waits_for_a_second,
            version,
            ..
        } => {
            let said = match (waits_for_a_second, state) {
                (true, _) => "proposed",
                (_, state) => state.word(),
            };
            let done = format!("{id}:{version}:{said}");
            let query = query_of(&filter, &[("behind", behind), ("done", &done)]);
            let address = person.here.to(&format!("desk/next{query}"));
            Ok(Redirect::to(&address).into_response())
        }
        Outcome::Refused(refusal) => {
            again(&city, &person, id, query, typed, Notice::Refused(refusal)).await
        }
        Outcome::Overtaken(overtaken) => {
            // The next try meets the message as it is now.
            let typed = Typed {
                version: overtaken.message.version,
                ..typed
            };
            again(
                &city,
                &person,
                id,
                query,
                typed,
                Notice::Overtaken(overtaken),
            )
            .await
        }
        Outcome::Gone => Err(CityError::from(CentreError::NotThere).into()),
    }
}

/// The same page with what was typed, and why nothing was decided.
async fn again(
    city: &Arc<City>,
    person: &Person,
    id: String,
    query: Fields,
    typed: Typed,
    notice: Notice,
) -> Result<Response, Fault> {
    let status = match &notice {
        Notice::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Notice::Overtaken(_) => StatusCode::CONFLICT,
        Notice::Failed => StatusCode::SERVICE_UNAVAILABLE,
    };
    let page = message_page(city, person, id, query, Some(typed), Some(notice)).await?;
    let shown = view_message::page(city, person, &page);
    Ok((status, Html(shown.into_string())).into_response())
}

async fn reject_many(
    Shared(city): Shared<Arc<City>>,
    person: Person,
    Query(query): Query<Fields>,
    Form(fields): Form<Fields>,
) -> Result<Response, Fault> {
    let reason = value(&fields, "reason").unwrap_or_default().to_owned();
    let wish = |reason: &str| match reason {
        "heard" => Wish::Heard,
        reason => Wish::Reject(reason.to_owned()),
    };
    let decisions: Vec<Decision> = items_of(&fields)
        .into_iter()
        .map(|(id, version)| Decision {
            id,
            version,
            content: None,
            themes: None,
            idea: None,
            wish: wish(&reason),
        })
        .collect();
    let ids: Vec<String> = decisions.iter().map(|one| one.id.clone()).collect();
    let asker = person.clone();
    let outcomes = city
        .aside(move |city| act::decide_all(city, &asker, &decisions))
        .await?;
    let filter = filter_of(&query);
    let pairs: Vec<(String, Outcome)> = ids.into_iter().zip(outcomes).collect();
    Ok(Html(view_queue::many_done(&city, &person, &filter, &pairs).into_string()).into_response())
}

async fn undo(
    Shared(city): Shared<Arc<City>>,
    person: Person,
    Query(query): Query<Fields>,
    Form(fields): Form<Fields>,
) -> Result<Response, Fault> {
    let decisions: Vec<Decision> = items_of(&fields)
        .into_iter()
        .map(|(id, version)| Decision {
            id,
            version,
            content: None,
            themes: None,
            idea: None,
            wish: Wish::Undo,
        })
        .collect();
    let only = match decisions.as_slice() {
        [only] => Some(only.id.clone()),
        _ => None,
    };
    let asker = person.clone();
    let outcomes = city
        .aside(move |city| act::decide_all(city, &asker, &decisions))
        .await?;
    let filter = filter_of(&query);
    let here = query_of(&filter, &[]);
    match (only, outcomes.as_slice()) {
        (Some(id), [Outcome::Overtaken(overtaken)]) => {
            let notice = Notice::Overtaken(overtaken.clone());
            let page = message_page(&city, &person, id, query, None, Some(notice)).await?;
            let shown = view_message::page(&city, &person, &page);
            Ok((StatusCode::CONFLICT, Html(shown.into_string())).into_response())
        }
        (Some(_), [Outcome::Refused(refusal)]) => {
            Err(Fault::new(StatusCode::FORBIDDEN, refusal.sentence()))
        }
        (Some(id), [Outcome::Done { .. }]) => {
            let address = person.here.to(&format!("desk/message/{id}{here}"));
            Ok(Redirect::to(&address).into_response())
        }
        _ => {
            let address = person.here.to(&format!("desk{here}"));
            Ok(Redirect::to(&address).into_response())
        }
    }
}

/// The sound, whole or in a range. That somebody hears it is written down first.
async fn hear(
    Shared(city): Shared<Arc<City>>,
    person: Person,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let (sound, received) = city
        .aside(move |city| {
            let message = city.store.read(|db| rows::message(db, &id))?;
            let message = message.filter(|message| {
                let campaign = message.campaign_id.as_deref();
                message.kind == Kind::Spoken && person.may(Right::Listen, campaign)
            });
            let message = message.ok_or(CentreError::NotThere)?;
            let sound = sound::for_desk(city, &message.id);
            // Where the key is elsewhere it is heard there, and written down here.
            if matches!(sound, Ok(_) | Err(CityError::Centre(CentreError::Sealed))) {
                act::note_hearing(city, &person, "listened", &message.id)?;
            }
            let sound = sound?;
            let said_at: Option<Timestamp> = message.said_at.parse().ok();
            Ok((sound, said_at.unwrap_or(Timestamp::UNIX_EPOCH)))
        })
        .await?;
    Ok(sound_over_http::answer(sound, received, &method, &headers))
}

/// The words of a written message alone: what is asked for where the page cannot have them, because the key is elsewhere.
async fn read(
    Shared(city): Shared<Arc<City>>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let text = city.aside(move |city| {
        let message = city.store.read(|db| rows::message(db, &id))?;
        let message = message.filter(|message| {
            let campaign = message.campaign_id.as_deref();
            message.kind == Kind::Written && person.may(Right::Listen, campaign)
        });
        let message = message.ok_or(CentreError::NotThere)?;
        let text = city.centre.text(&ClipId::from(message.id.clone()));
        if matches!(text, Ok(_) | Err(CentreError::Sealed)) {
            act::note_hearing(city, &person, "read", &message.id)?;
        }
        Ok(text?)
    });
    let plain = [(
        axum::http::header::CONTENT_TYPE,
        "text/plain; charset=utf-8",
    )];
    Ok((plain, text.await?).into_response())
}
