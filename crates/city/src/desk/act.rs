//! Carries out what somebody decided about a message: the rules, the row, the themes and the log, in one transaction.
//!
//! Owns: that a decision meets the message that its person saw. Two people who decide at once both did their work: the second one is told
//! what the first decided, and keeps what was typed. Never does: publish anything that [`judge`] refused. A failure leaves the message as
//! it was.

use std::collections::BTreeMap;

use booth_contract::time::rfc3339;
use booth_database::{OptionalExtension, Transaction, params};
use booth_host::clock;
use serde_json::json;

use super::decide::{Content, Decider, Refusal, Rules, State, Wish, judge};
use super::rows::{self, Message};
use super::themes;
use crate::City;
use crate::follow::MARKED_AS_A_CHILDS;
use crate::ideas;
use crate::people::{Person, Right};
use crate::sentence;
use crate::store::{Act, Actor, CityError};

/// Longest list of a bulk rejection.
pub(super) const MOST_AT_ONCE: usize = 500;

/// What somebody decided about one message.
#[derive(Debug, Clone)]
pub(crate) struct Decision {
    pub(crate) id: String,
    /// The version that the person saw.
    pub(crate) version: i64,
    /// What the person made of it; `None` leaves it as it is.
    pub(crate) content: Option<Content>,
    /// The themes it has from now on; `None` leaves them.
    pub(crate) themes: Option<themes::Chosen>,
    /// An idea that it belongs to from now on.
    pub(crate) idea: Option<i64>,
    pub(crate) wish: Wish,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// It is done; the message's version from now on.
    Done {
        /// What has become of the message.
        state: State,
        /// Citizens saw it until now.
        was_shown: bool,
        /// A second person has to agree.
        waits_for_a_second: bool,
        /// Its version.
        version: i64,
    },
    /// Somebody else was first. Nothing was changed.
    Overtaken(Box<Overtaken>),
    /// The rules say no. Nothing was changed.
    Refused(Refusal),
    /// It was withdrawn, or never there.
    Gone,
}

/// What somebody else has made of a message meanwhile.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Overtaken {
    /// The message as it is.
    pub(crate) message: Message,
    /// Who, as colleagues see the name; `None` where no account did it.
    pub(crate) by: Option<String>,
}

/// Decides about one message.
pub(crate) fn decide(
    city: &City,
    person: &Person,
    decision: &Decision,
) -> Result<Outcome, CityError> {
    let children = children_of(city)?;
    let outcome = city
        .store
        .change_telling(|tx| decided(city, tx, person, decision, &children))?;
    forget_pages_of(city, std::slice::from_ref(&outcome));
    Ok(outcome)
}

/// Where what was shown is shown no more, or otherwise, no page that was drawn before is sent again.
fn forget_pages_of(city: &City, outcomes: &[Outcome]) {
    let was_shown = |outcome: &Outcome| {
        matches!(
            outcome,
            Outcome::Done {
                was_shown: true,
                ..
            }
        )
    };
    if outcomes.iter().any(was_shown) {
        city.forget_pages();
    }
}

/// Rejects or counts many messages for one reason, each on its own: what of them came of it.
pub(crate) fn decide_all(
    city: &City,
    person: &Person,
    decisions: &[Decision],
) -> Result<Vec<Outcome>, CityError> {
    if decisions.len() > MOST_AT_ONCE {
        return Err(sentence!("desk-too-many-at-once", n = MOST_AT_ONCE).into());
    }
    let children = children_of(city)?;
    let outcomes = city.store.change_telling(|tx| {
        let (mut outcomes, mut acts) = (Vec::new(), Vec::new());
        for decision in decisions {
            let (outcome, act) = decided(city, tx, person, decision, &children)?;
            outcomes.push(outcome);
            acts.extend(act);
        }
        Ok((outcomes, acts))
    })?;
    forget_pages_of(city, &outcomes);
    Ok(outcomes)
}

/// Which campaigns publish nothing of children.
fn children_of(city: &City) -> Result<BTreeMap<String, String>, CityError> {
    let campaigns = city.centre.campaigns()?;
    let rules = campaigns.into_iter().map(|one| (one.id, one.children));
    Ok(rules.collect())
}

fn decided(
    city: &City,
    tx: &Transaction<'_>,
    person: &Person,
    decision: &Decision,
    children: &BTreeMap<String, String>,
) -> Result<(Outcome, Vec<Act>), CityError> {
    let Some(message) = rows::message(tx, &decision.id)? else {
        return Ok((Outcome::Gone, Vec::new()));
    };
    let campaign = message.campaign_id.as_deref();
    if !person.may(Right::Listen, campaign) {
        // Whoever may not hear it is not told that it is there.
        return Ok((Outcome::Gone, Vec::new()));
    }
    if message.version != decision.version {
        let by = last_of(tx, &message)?;
        let overtaken = Overtaken { message, by };
        return Ok((Outcome::Overtaken(Box::new(overtaken)), Vec::new()));
    }
    let allows = campaign.and_then(|id| children.get(id));
    let known = message.known(allows.is_none_or(|word| word != "not_published"));
    let content = decision.content.as_ref().unwrap_or(&message.content);
    let content = Content {
        is_child: content.is_child || message.is_childs_at_hub,
        ..content.clone()
    };
    let content = &content;
    let decider = Decider {
        account: person.account,
        understands: &person.languages,
        may_publish: person.may(Right::Publish, campaign),
        may_transcribe: person.may(Right::Transcribe, campaign),
    };
    let desk = &city.config.desk;
    let rules = Rules {
        second_listener: desk.second_listener,
        reasons: &desk.reasons,
    };
    let standing = match judge(&known, content, &decision.wish, decider, rules) {
        Ok(standing) => standing,
        Err(refusal) => return Ok((Outcome::Refused(refusal), Vec::new())),
    };
    let now = clock::wall();
    rows::write(tx, &message, content, &standing, &rfc3339(now))?;
    if let Some(chosen) = &decision.themes {
        themes::set(tx, &message, chosen)?;
    }
    if let Some(idea) = decision.idea {
        ideas::add(tx, idea, std::slice::from_ref(&message.id))?;
    }
    if decision.wish != Wish::Keep {
        tx.prepare_cached("DELETE FROM claim WHERE message_id = ?1")?
            .execute([&message.id])?;
    }
    let waits_for_a_second = standing.state == State::Waiting && standing.decided_by.is_some();
    let what = match (&decision.wish, standing.state) {
        (Wish::Undo, _) => "undone",
        (Wish::Keep, State::Waiting) => "transcribed",
        (_, State::Waiting) => "proposed",
        (Wish::Keep, _) => "corrected",
        (_, State::Published) => "published",
        (_, State::Heard) => "heard",
        (_, State::Rejected) => "rejected",
    };
    let version = message.version + 1;
    let detail = json!({
        "version": version, "before": message.standing.state.word(), "reason": standing.reason,
        "voice": standing.with_voice, "child": content.is_child, "words_changed": *content != message.content,
        "second": standing.second_by.is_some(),
    });
    let before = message.standing.state;
    let act = Act::new(person.actor(), what, message.id).with(detail);
    let done = Outcome::Done {
        state: standing.state,
        was_shown: before == State::Published,
        waits_for_a_second,
        version,
    };
    Ok((done, vec![act]))
}

/// Who changed this message last: the log knows.
fn last_of(tx: &Transaction<'_>, message: &Message) -> booth_database::Result<Option<String>> {
    let who: Option<String> = tx
        .prepare_cached(
            "SELECT who FROM act WHERE about = ?1
               AND what IN ('undone', 'transcribed', 'proposed', 'corrected', 'published', 'heard', 'rejected', ?2)
             ORDER BY seq DESC LIMIT 1",
        )?
        .query_row([&message.id, MARKED_AS_A_CHILDS], |row| row.get(0))
        .optional()?;
    let account = who.as_deref().and_then(Actor::account_in);
    let Some(account) = account else {
        return Ok(None);
    };
    shown_name(tx, account)
}

/// The name of an account as colleagues see it.
pub(super) fn shown_name(
    db: &booth_database::Connection,
    account: i64,
) -> booth_database::Result<Option<String>> {
    db.prepare_cached("SELECT shown_name FROM account WHERE id = ?1")?
        .query_row([account], |row| row.get(0))
        .optional()
}

/// How long an act of hearing or reading counts as the same one.
const SAME_HEARING: jiff::SignedDuration = jiff::SignedDuration::from_mins(15);

/// Writes down that somebody hears or reads a message, once in a quarter of an hour.
pub(crate) fn note_hearing(
    city: &City,
    person: &Person,
    what: &'static str,
    id: &str,
) -> Result<(), CityError> {
    let who = person.actor();
    let name = who.text();
    let since = rfc3339(clock::wall() - SAME_HEARING);
    let is_noted: bool = city.store.read(|db| {
        db.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM act WHERE about = ?1 AND what = ?2 AND who = ?3 AND at > ?4)",
        )?
        .query_row(params![id, what, name, since], |row| row.get(0))
    })?;
    match is_noted {
        true => Ok(()),
        false => city.store.change(Act::new(who, what, id), |_| Ok(())),
    }
}
