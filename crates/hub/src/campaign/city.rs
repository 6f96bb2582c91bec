//! The published campaigns as the city's pages show them: what is asked, in which words, until when.
//!
//! Owns: putting a campaign's texts (which stand in its file) beside its prompts' hashes (which stand in its configuration). Never does:
//! change anything.

use std::collections::BTreeMap;
use std::path::Path;

use booth_city::centre::{Campaign, Choice, Question};
use booth_contract::wanted::{self, MayPublish};
use booth_contract::{MediaHash, Publish};

use super::CampaignError;
use super::children::Children;
use super::file::{Booths, Draft};
use super::merge;
use super::register::{self, Ready};

/// Every published campaign.
///
/// # Errors
/// A register that cannot be read.
pub(crate) fn for_city(store: &Path) -> Result<Vec<Campaign>, CampaignError> {
    let state = register::look(&register::folder_in(store))?;
    let campaigns = state.campaigns();
    let each = campaigns.iter();
    Ok(each.filter_map(|(id, ready)| of(id, ready)).collect())
}

/// The file of a published campaign, word for word.
///
/// # Errors
/// A register that cannot be read.
pub(crate) fn source_of(store: &Path, id: &str) -> Result<Option<String>, CampaignError> {
    let state = register::look(&register::folder_in(store))?;
    Ok(state.campaigns().get(id).map(|ready| ready.source.clone()))
}

/// A prompt that was made.
///
/// # Errors
/// A file that cannot be read.
#[allow(clippy::disallowed_methods)] // reads a prompt
pub(crate) fn media_of(store: &Path, hash: &MediaHash) -> Result<Option<Vec<u8>>, CampaignError> {
    let path = register::folder_in(store)
        .join("media")
        .join(format!("{hash}.opus"));
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CampaignError::file(&path, error)),
    }
}

/// The texts of a file, by what they are and their language.
type Texts = BTreeMap<String, BTreeMap<String, String>>;

fn of(id: &str, ready: &Ready) -> Option<Campaign> {
    let campaign = merge::campaign_of(ready)?;
    let (draft, _) = Draft::of(&ready.source, "", Path::new(""));
    let mut texts = Texts::new();
    for saying in &draft.sayings {
        if let Some(text) = &saying.text {
            let of_what = texts.entry(saying.what.clone()).or_default();
            of_what.insert(saying.lang.clone(), text.clone());
        }
    }
    let mut languages = vec![ready.language.clone()];
    for question in &campaign.questions {
        for language in question.prompt.keys() {
            if !languages.contains(language) {
                languages.push(language.clone());
            }
        }
    }
    let moment = |time: Option<wanted::LocalTime>| time.map(|time| time.to_string());
    Some(Campaign {
        id: id.to_owned(),
        title: ready.title.clone(),
        from: moment(campaign.from),
        until: moment(campaign.until),
        booths: match &ready.booths {
            Booths::All => None,
            Booths::Named(named) => Some(named.clone()),
        },
        languages,
        questions: campaign
            .questions
            .iter()
            .map(|question| question_of(question, &texts))
            .collect(),
        notice: said(&texts, "prompt \"notice\""),
        children: match ready.children {
            Children::Text => "text",
            Children::Voice => "voice",
            Children::NotPublished => "not_published",
        }
        .into(),
    })
}

fn said(texts: &Texts, what: &str) -> BTreeMap<String, String> {
    texts.get(what).cloned().unwrap_or_default()
}

fn question_of(question: &wanted::Question, texts: &Texts) -> Question {
    let what = format!("question {:?}", question.id);
    let option = |option: &wanted::Choice| Choice {
        digit: option.digit,
        id: option.id.clone(),
        text: said(texts, &format!("{what} option {:?}", option.id)),
        prompt: option.prompt.clone(),
    };
    let answer = question.answer.as_ref();
    Question {
        id: question.id.clone(),
        digit: question.digit,
        text: said(texts, &what),
        prompt: question.prompt.clone(),
        options: question.options.iter().map(option).collect(),
        may_publish: match question.publish {
            MayPublish::No => Publish::No,
            MayPublish::AskText => Publish::Text,
            MayPublish::AskVoice => Publish::Voice,
        },
        max_seconds: question.max_seconds.map(u64::from),
        needs_code: question.codes,
        answer: said(texts, &format!("{what} answer")),
        answer_prompt: answer
            .map(|answer| answer.prompt.clone())
            .unwrap_or_default(),
    }
}
