//! What this booth finds wrong with a configuration beside the check that the hub makes, too.

use booth_contract::ConsentMode;
use booth_contract::time::rfc3339;
use booth_contract::wanted::{KeyFault, Kind, OWN_VOICE, Question};

use super::{Campaigns, Folder, Proof, Wanted};
use crate::prompt::Word;

impl Campaigns {
    /// Why it may not take the place of what is in force.
    pub(super) fn version_fault(&self, wanted: &Wanted, proof: Proof) -> Option<KeyFault> {
        let before = self.applied.as_ref()?;
        if let (Proof::Signed(issued), Some(latest)) = (proof, before.latest_signed)
            && issued <= latest
        {
            let why = format!(
                "is of {}, and one of {} was in force already; sign it anew",
                rfc3339(issued),
                rfc3339(latest)
            );
            return Some(KeyFault::new("issued_at", why));
        }
        let (version, applied) = (wanted.version, before.wanted.version);
        if version > applied || (wanted.force && proof != Proof::Nothing) {
            return None;
        }
        let why = match version == applied {
            true => format!(
                "is {version}, and another configuration with this number is in force; raise it"
            ),
            false => format!("is {version}, older than {applied}, which is in force; raise it"),
        };
        Some(KeyFault::new("version", why))
    }

    /// What this booth cannot do, whatever others can.
    pub(super) fn own_faults(&self, wanted: &Wanted) -> Vec<KeyFault> {
        let mut faults = Vec::new();
        let campaigns = wanted.campaigns.as_deref();
        if campaigns.is_none() {
            let questions = &self.own.offer.questions;
            for (digit, _) in wanted.other_languages() {
                if questions.iter().any(|question| question.digit == digit) {
                    let why = format!("is {digit}, which a [[question]] of booth.toml has");
                    faults.push(KeyFault::new(format!("languages.{digit}"), why));
                }
            }
        }
        if self.own.consent == ConsentMode::Digit {
            return faults;
        }
        let campaigns = campaigns.unwrap_or_default();
        for (n, campaign) in campaigns.iter().enumerate() {
            let earlier = campaigns.iter().take(n);
            let beside: usize = earlier
                .filter(|other| other.meets(campaign))
                .map(|other| other.questions.len())
                .sum();
            let is_vote = |question: &Question| question.kind == Kind::Choose;
            if campaign.questions.len() + beside > 1 || campaign.questions.iter().any(is_vote) {
                let why = "this booth's [session] consent asks without digits: exactly one question of the kind speak at a time";
                faults.push(KeyFault::new(format!("campaigns[{n}].questions"), why));
            }
        }
        faults
    }
}

/// Whether the booth itself says a prompt in a language: from its folder, or as a word of its own voice.
pub(super) fn booth_says(folder: &Folder, name: &str, lang: &str) -> bool {
    let primary = lang.split('-').next().unwrap_or(lang);
    let is_word = || Word::ALL.iter().any(|word| word.name() == name);
    let speaks = OWN_VOICE.contains(&primary) && is_word();
    speaks || folder.get(lang).is_some_and(|names| names.contains(name))
}
