//! How the centre's configuration stands at this booth: for the report, and for people.

use booth_contract::MediaHash;
use booth_contract::wanted::{KeyFault, MOST_FAULTS, Spoken};

use super::{Campaigns, Unfit, Wanted};

/// How things stand, for the centre and for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Version of the configuration that came last.
    pub wanted: Option<u64>,
    /// Version in force.
    pub applied: Option<u64>,
    /// Prompts that are not on the card yet.
    pub missing: Vec<MediaHash>,
    /// Why the wanted version is not in force.
    pub errors: Vec<KeyFault>,
}

impl Campaigns {
    /// How things stand.
    pub fn standing(&self) -> Standing {
        let mut errors = self.errors.clone();
        for (hash, unfit) in &self.unfit {
            let key = self.key_of(hash);
            let why = match unfit {
                Unfit::OtherHash => {
                    "what came on its topic has another SHA-256; publish the right sound there"
                        .to_owned()
                }
                Unfit::NoPrompt(why) => why.clone(),
                Unfit::Card(why) => format!("the card does not take it: {why}"),
            };
            errors.push(KeyFault::new(key, why));
        }
        errors.truncate(MOST_FAULTS);
        Standing {
            wanted: self.wanted,
            applied: self.applied.as_ref().map(|applied| applied.wanted.version),
            missing: self.missing(),
            errors,
        }
    }

    /// The first place of a configuration that names a prompt.
    fn key_of(&self, hash: &MediaHash) -> String {
        let pending = self.pending.iter().map(|pending| &pending.configuration);
        let mut all = pending.chain(&self.applied);
        let key = all.find_map(|configuration| key_of(&configuration.wanted, hash));
        key.unwrap_or_else(|| format!("media.{hash}"))
    }
}

fn key_of(wanted: &Wanted, hash: &MediaHash) -> Option<String> {
    let lang = |spoken: &Spoken| {
        let found = spoken.iter().find(|(_, own)| *own == hash);
        found.map(|(lang, _)| lang.clone())
    };
    for (name, spoken) in wanted.prompts.iter().flatten() {
        if let Some(lang) = lang(spoken) {
            return Some(format!("prompts.{name}.{lang}"));
        }
    }
    for (n, campaign) in wanted.campaigns.iter().flatten().enumerate() {
        for (q, question) in campaign.questions.iter().enumerate() {
            let path = format!("campaigns[{n}].questions[{q}]");
            if let Some(lang) = lang(&question.prompt) {
                return Some(format!("{path}.prompt.{lang}"));
            }
            for (o, option) in question.options.iter().enumerate() {
                if let Some(lang) = lang(&option.prompt) {
                    return Some(format!("{path}.options[{o}].prompt.{lang}"));
                }
            }
            let answer = question.answer.as_ref();
            if let Some(lang) = answer.and_then(|answer| lang(&answer.prompt)) {
                return Some(format!("{path}.answer.prompt.{lang}"));
            }
        }
    }
    None
}
