//! From a draft to the booths, and what else changes a published campaign in one step.
//!
//! Owns: the order of the steps: prompts, then the booths, then the notes here. A failure leaves the draft as it was and what was in force
//! in force. Never does: publish over a file that somebody else has published since the draft was begun.

use std::collections::BTreeMap;

use serde_json::json;

use super::drafts::{self, Work};
use super::sheet::{Sheet, Turn};
use crate::City;
use crate::centre::{Checked, Remark, Tell};
use crate::ideas::{self, VotePlace};
use crate::people::Person;
use crate::sentence;
use crate::store::CityError;
use crate::words::{Gap, Sentence};

type Texts = BTreeMap<String, String>;

/// The first of what is wrong, one after the other.
fn listed(faults: &[Remark]) -> Gap {
    let each = faults.iter().take(5).map(|fault| {
        let (key, why) = (&fault.key, &fault.why);
        match fault.line {
            Some(line) => sentence!("editor-fault-at", line = line, key = key, why = why),
            None => sentence!("editor-fault", key = key, why = why),
        }
    });
    Gap::from((each.collect::<Vec<_>>(), "; "))
}

/// That something is wrong in the file, and what.
pub(crate) fn to_mend(faults: &[Remark]) -> Sentence {
    sentence!("editor-to-mend", faults = listed(faults))
}

fn right(checked: &Checked) -> Result<(), CityError> {
    match checked.faults.is_empty() {
        true => Ok(()),
        false => Err(sentence!("editor-not-yet", faults = listed(&checked.faults)).into()),
    }
}

/// Makes the prompts of a campaign's file and publishes it.
pub(crate) fn publish(
    city: &City,
    person: &Person,
    work: &Work,
    signed: &[(String, String)],
    tell: Tell<'_>,
    more: impl FnOnce(&booth_database::Transaction<'_>) -> booth_database::Result<()>,
) -> Result<(), CityError> {
    if work.is_overtaken {
        return Err(sentence!("editor-published-meanwhile").into());
    }
    let checked = city.centre.check_campaign(&work.toml)?;
    right(&checked)?;
    if checked.id != work.id {
        let (said, id) = (format!("{:?}", checked.id), format!("{:?}", work.id));
        return Err(sentence!("editor-other-id", said = said, id = id).into());
    }
    let checked = city.centre.make_prompts(&work.toml, tell)?;
    right(&checked)?;
    city.centre.publish_campaign(&work.toml, signed, tell)?;
    drafts::noted(city, person, work, &checked.title, &checked.language, more)
}

/// The published file as an editor may change it in one step; a draft that somebody works on is not passed over.
fn published_alone(city: &City, id: &str) -> Result<(Work, Sheet), CityError> {
    let work = drafts::open(city, id)?
        .ok_or_else(|| sentence!("editor-no-such-campaign", id = format!("{id:?}")))?;
    if work.version > 0 {
        return Err(sentence!("editor-is-being-drafted").into());
    }
    let sheet = Sheet::opened(&work.toml)?;
    Ok((work, sheet))
}

/// Where an idea is put to the vote.
#[derive(Debug, Clone)]
pub(crate) struct Ballot {
    pub(crate) campaign: String,
    /// The vote that gets another option; a new one where there is none.
    pub(crate) question: Option<String>,
    /// What a new vote asks, by language.
    pub(crate) asks: Vec<(String, String)>,
    /// What the option says, by language.
    pub(crate) option: Vec<(String, String)>,
}

/// The campaign's file with the idea as an option: the file, the question and the digit.
pub(crate) fn with_option(
    mut sheet: Sheet,
    idea: i64,
    ballot: &Ballot,
) -> Result<(Sheet, String, u8), CityError> {
    // A text in a language that the campaign does not speak is said nowhere.
    let spoken = sheet.languages();
    let is_spoken =
        |(language, text): &&(String, String)| spoken.contains(language) && !text.is_empty();
    let n = match &ballot.question {
        Some(question) => {
            let n = sheet
                .question_of(question)
                .ok_or_else(|| sentence!("editor-no-such-vote"))?;
            if sheet.get(&format!("q.{n}.kind")) != "choose" {
                return Err(sentence!("editor-is-spoken").into());
            }
            n
        }
        None => {
            if sheet.free_digit().is_none() {
                return Err(sentence!("editor-no-digit-left").into());
            }
            sheet.turn(&Turn::AddQuestion("choose".into()));
            let n = sheet.questions() - 1;
            // A new vote begins with the one idea and with "none of these", so that there is something to choose.
            sheet.turn(&Turn::RemoveOption(n, 1));
            sheet.turn(&Turn::RemoveOption(n, 0));
            let id = (1..)
                .map(|k| format!("vote-{k}"))
                .find(|id| sheet.question_of(id).is_none());
            sheet.set(&format!("q.{n}.id"), &id.unwrap_or_default());
            for (language, text) in ballot.asks.iter().filter(is_spoken) {
                sheet.set(&format!("q.{n}.text.{language}"), text);
            }
            n
        }
    };
    let before = sheet.options(n);
    sheet.turn(&Turn::AddOption(n));
    if sheet.options(n) == before {
        return Err(sentence!("editor-vote-is-full").into());
    }
    let option = format!("q.{n}.o.{before}");
    sheet.set(&format!("{option}.id"), &format!("idea-{idea}"));
    for (language, text) in ballot.option.iter().filter(is_spoken) {
        sheet.set(&format!("{option}.text.{language}"), text);
    }
    let digit = sheet.get(&format!("{option}.digit")).parse();
    let digit = digit.map_err(|_| sentence!("editor-no-digit-left-in-vote"))?;
    if ballot.question.is_none() {
        sheet.turn(&Turn::AddOption(n));
        let none = format!("q.{n}.o.{}", before + 1);
        sheet.set(&format!("{none}.id"), "none");
        for language in sheet.languages() {
            let text = match language.as_str() {
                "da" => "Ingen af dem",
                _ => "None of these",
            };
            sheet.set(&format!("{none}.text.{language}"), text);
        }
    }
    let question = sheet.get(&format!("q.{n}.id"));
    Ok((sheet, question, digit))
}

/// An idea becomes an option of a vote: with its spoken prompt at the booths, and noted at the idea, so that each message of it leads there.
pub(crate) fn idea_to_vote(
    city: &City,
    person: &Person,
    idea: i64,
    ballot: &Ballot,
    tell: Tell<'_>,
) -> Result<(), CityError> {
    let known: Option<Option<String>> = city.store.read(|db| {
        use booth_database::OptionalExtension as _;
        db.query_row(
            "SELECT vote_question FROM idea WHERE id = ?1",
            [idea],
            |row| row.get(0),
        )
        .optional()
    })?;
    match known {
        None => return Err(sentence!("editor-idea-gone").into()),
        Some(Some(question)) => {
            let question = format!("{question:?}");
            return Err(sentence!("editor-idea-is-option", question = question).into());
        }
        Some(None) => {}
    }
    let (mut work, sheet) = published_alone(city, &ballot.campaign)?;
    let (sheet, question, digit) = with_option(sheet, idea, ballot)?;
    work.toml = sheet.text();
    let campaign = ballot.campaign.clone();
    publish(city, person, &work, &[], tell, |db| {
        let place = VotePlace {
            campaign,
            question,
            digit,
        };
        ideas::set_vote(db, idea, Some(&place))
    })
}

/// A reply to a question: on the page, and, if it is to be spoken, as the question's answer at the booth, in one step.
pub(crate) fn reply_at_booth(
    city: &City,
    person: &Person,
    campaign: &str,
    question: &str,
    texts: &[(String, String)],
    tell: Tell<'_>,
) -> Result<(), CityError> {
    let (mut work, mut sheet) = published_alone(city, campaign)?;
    let n = sheet
        .question_of(question)
        .ok_or_else(|| sentence!("editor-no-such-question"))?;
    sheet.turn(&Turn::AddAnswer(n));
    let spoken = sheet.languages();
    let texts = texts
        .iter()
        .filter(|(language, text)| spoken.contains(language) && !text.is_empty());
    for (language, text) in texts {
        sheet.set(&format!("q.{n}.answer.text.{language}"), text);
        sheet.set(&format!("q.{n}.answer.sound.{language}"), "");
    }
    work.toml = sheet.text();
    publish(city, person, &work, &[], tell, |_| Ok(()))
}

/// Notes each wording of each question, so that a page can say that a question was asked in other words before.
pub(crate) fn note_wordings(city: &City) -> Result<(), CityError> {
    let campaigns = city.centre.campaigns()?;
    let now = booth_contract::time::rfc3339(booth_host::clock::wall());
    let mut new = Vec::new();
    for campaign in &campaigns {
        for question in &campaign.questions {
            let options = question.options.iter();
            let options: serde_json::Map<String, serde_json::Value> = options
                .map(|option| (option.digit.to_string(), json!(option.text)))
                .collect();
            let wording = json!({"text": question.text, "options": options}).to_string();
            let latest = city
                .store
                .read(|db| latest_wording(db, &campaign.id, &question.id))?;
            if latest.as_ref() != Some(&wording) {
                new.push((campaign.id.clone(), question.id.clone(), wording));
            }
        }
    }
    if new.is_empty() {
        return Ok(());
    }
    city.store.change_quietly(|db| {
        for (campaign, question, wording) in &new {
            db.prepare_cached("INSERT OR REPLACE INTO question_version VALUES (?1, ?2, ?3, ?4)")?
                .execute([campaign, question, &now, wording])?;
        }
        Ok(())
    })
}

fn latest_wording(
    db: &booth_database::Connection,
    campaign: &str,
    question: &str,
) -> booth_database::Result<Option<String>> {
    use booth_database::OptionalExtension as _;
    db.prepare_cached(
        "SELECT wording FROM question_version WHERE campaign_id = ?1 AND question_id = ?2 ORDER BY since DESC LIMIT 1",
    )?
    .query_row([campaign, question], |row| row.get(0))
    .optional()
}

/// A question as it was asked from a moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Since when, RFC 3339 UTC.
    pub(crate) since: String,
    /// The question by language.
    pub(crate) text: Texts,
    /// The options of a vote by digit, each by language.
    pub(crate) options: BTreeMap<u8, Texts>,
}

/// Every wording of a question, the first one first. What was published again in the same words is one wording.
pub(crate) fn asked_as(
    db: &booth_database::Connection,
    campaign: &str,
    question: &str,
) -> booth_database::Result<Vec<Asked>> {
    let mut statement = db.prepare_cached(
        "SELECT since, wording FROM question_version WHERE campaign_id = ?1 AND question_id = ?2 ORDER BY since",
    )?;
    let rows = statement.query_map([campaign, question], |row| {
        let wording: String = row.get(1)?;
        let wording: serde_json::Value = serde_json::from_str(&wording).unwrap_or_default();
        Ok(Asked {
            since: row.get(0)?,
            text: serde_json::from_value(wording["text"].clone()).unwrap_or_default(),
            options: serde_json::from_value(wording["options"].clone()).unwrap_or_default(),
        })
    })?;
    let mut asked: Vec<Asked> = rows.collect::<Result<_, _>>()?;
    asked.dedup_by(|next, one| (&next.text, &next.options) == (&one.text, &one.options));
    Ok(asked)
}

/// One wording of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wording {
    /// Since when, RFC 3339 UTC.
    pub(crate) since: String,
    /// The question by language.
    pub(crate) text: Texts,
    /// Messages that were spoken while it was asked so.
    pub(crate) messages: u64,
}

/// Every wording of a question, the first one first, each with how many answered it. One alone means that it was never changed.
pub(crate) fn wordings(
    db: &booth_database::Connection,
    campaign: &str,
    question: &str,
) -> booth_database::Result<Vec<Wording>> {
    let mut statement = db.prepare_cached(
        "SELECT since, wording, (SELECT count(*) FROM message WHERE campaign_id = ?1 AND question_id = ?2
             AND (said_at >= version.since OR version.since = (SELECT min(since) FROM question_version
               WHERE campaign_id = ?1 AND question_id = ?2))
             AND said_at < coalesce((SELECT min(since) FROM question_version
               WHERE campaign_id = ?1 AND question_id = ?2 AND since > version.since), '9999'))
         FROM question_version AS version WHERE campaign_id = ?1 AND question_id = ?2 ORDER BY since",
    )?;
    let rows = statement.query_map([campaign, question], |row| {
        let wording: serde_json::Value =
            serde_json::from_str(&row.get::<_, String>(1)?).unwrap_or_default();
        Ok(Wording {
            since: row.get(0)?,
            text: serde_json::from_value(wording["text"].clone()).unwrap_or_default(),
            messages: row.get(2)?,
        })
    })?;
    rows.collect()
}
