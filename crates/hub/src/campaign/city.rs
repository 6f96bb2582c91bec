//! The published campaigns as the city's pages show them: what is asked, in which words, until when.
//!
//! Owns: putting a campaign's texts (which stand in its file) beside its prompts' hashes (which stand in its configuration). Never does:
//! change anything.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use booth_city::centre::{Campaign, Choice, Question, Stopped};
use booth_contract::wanted::{self, MayPublish};
use booth_contract::{MediaHash, Publish};

use super::CampaignError;
use super::children::Children;
use super::file::{Booths, Draft};
use super::merge;
use super::register::{self, Ready, State};
use super::stops;
use crate::store::codes::Codes;

/// Which file the register is: its number, when it was written, and its size. A register that is saved is another file each time.
type Mark = (u64, i64, i64, u64);

fn mark_of(about: &Metadata) -> Mark {
    (about.ino(), about.mtime(), about.mtime_nsec(), about.len())
}

/// The published campaigns as they were read last: every page of the desk and every decision asks for them, and the register holds all
/// editions.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<Option<(Mark, Arc<Published>)>>);

/// What the city knows of the register.
#[derive(Debug)]
pub(crate) struct Published {
    /// Every published campaign.
    pub(crate) campaigns: Vec<Campaign>,
    /// What is stopped of them, and of campaigns that were published before.
    pub(crate) stopped: Stopped,
}

impl Known {
    /// What is published and what is stopped; read again only where the register is another file.
    ///
    /// # Errors
    /// A register that cannot be read.
    #[allow(clippy::disallowed_methods)] // looks which file the register is
    pub(crate) fn published(&self, store: &Path) -> Result<Arc<Published>, CampaignError> {
        // Looked at before it is read: what is saved in between is read at the next time.
        let about = std::fs::metadata(register::file_in(store));
        let mark = about.ok().map(|about| mark_of(&about));
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some((read, published)), Some(mark)) = (&*known, mark)
            && *read == mark
        {
            return Ok(Arc::clone(published));
        }
        let state = register::look(&register::folder_in(store))?;
        let published = Arc::new(Published {
            campaigns: campaigns_in(&state, store)?,
            stopped: stops::hidden(&state),
        });
        *known = mark.map(|mark| (mark, Arc::clone(&published)));
        Ok(published)
    }
}

/// Every published campaign.
///
/// # Errors
/// A register that cannot be read.
pub(crate) fn for_city(store: &Path) -> Result<Vec<Campaign>, CampaignError> {
    campaigns_in(&register::look(&register::folder_in(store))?, store)
}

fn campaigns_in(state: &State, store: &Path) -> Result<Vec<Campaign>, CampaignError> {
    let codes = Codes::beside(store);
    let mut all = Vec::new();
    for (id, ready) in state.campaigns() {
        let Some(mut campaign) = of(&id, &ready) else {
            continue;
        };
        for question in &mut campaign.questions {
            // For good, once it was published so.
            let needs = codes.needs(&id, &question.id);
            question.needs_code |= needs.map_err(|why| CampaignError::Refused(why.to_string()))?;
        }
        all.push(campaign);
    }
    Ok(all)
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

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // breaks a register
mod tests {
    use super::*;
    use crate::campaign::register::{Campaigns, Register};

    #[test]
    fn what_is_published_is_seen_at_once_and_a_register_that_cannot_be_read_is_said_each_time() {
        let store = tempfile::tempdir().expect("a folder");
        let known = Known::default();
        let titles = || {
            let seen = known.published(store.path())?;
            let seen = seen.campaigns.iter();
            Ok::<_, CampaignError>(seen.map(|one| one.title.clone()).collect::<Vec<_>>())
        };
        assert_eq!(titles().expect("none"), Vec::<String>::new());
        let publish = |title: &str| {
            let mut register = Register::open(store.path()).expect("opens");
            let hash = "ab".repeat(32);
            let question =
                serde_json::json!({"id": "q", "digit": 1, "kind": "speak", "prompt": {"da": hash}});
            let fields = serde_json::json!({
                "campaigns": [{"id": "a", "questions": [question]}],
                "prompts": {"notice": {"da": hash}},
            });
            let ready = Ready {
                title: title.into(),
                booths: Booths::All,
                language: "da".into(),
                children: Children::Text,
                fields: fields.as_object().cloned().unwrap_or_default(),
                source: String::new(),
                at: String::new(),
            };
            let campaigns = Campaigns::from([("a".to_owned(), ready)]);
            register
                .state
                .begin("now", "publish a".into(), campaigns, None);
            register.save().expect("saved");
        };
        // Titles of one length, within the same moment: the file's size and time may be the same, its number is not.
        for title in ["first", "other", "third"] {
            publish(title);
            assert_eq!(titles().expect("read"), [title]);
            assert_eq!(titles().expect("known"), [title]);
        }
        let file = register::file_in(store.path());
        std::fs::write(&file, "{").expect("broken");
        for _ in 0..2 {
            let why = titles().expect_err("it is broken").to_string();
            assert!(why.contains("restore it"), "{why}");
        }
        publish_over(&file, store.path());
        assert_eq!(titles().expect("none again"), Vec::<String>::new());
    }

    /// A register that was moved away is made anew.
    fn publish_over(file: &Path, store: &Path) {
        std::fs::remove_file(file).expect("moved away");
        let register = Register::open(store).expect("opens");
        register.save().expect("saved");
    }
}
