//! The prompts of the centre, and those of the booth's folder in the other languages that it offers.
//!
//! Owns: which sound is played for a prompt in the language of a visit: the centre's, else the folder's in that language, else the
//! booth's own voice in that language, else what the booth plays in its own language. A few sounds stay in memory, the notice and
//! what is asked first; the others are read from the card when they are played, and proved again. Never does: fail; a tone stands in
//! for a prompt that the card does not give.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use booth_audio::{Coded, Player};
use booth_contract::MediaHash;
use booth_contract::wanted::Wanted;
use gateway_core::prompt::{Prompt, PromptByHash};

use super::{Prompts, file_name, folder};
use crate::adapters::media::Media;
use crate::adapters::tones;

/// Most bytes of sounds that stay in memory.
const MOST_IN_MEMORY: usize = 512 * 1024;

/// What the centre and the other languages bring.
#[derive(Default)]
pub struct Centre {
    media: Option<Media>,
    /// The sounds that stay in memory.
    sounds: HashMap<MediaHash, Coded>,
    /// What the centre's prompts say in letters.
    texts: HashMap<MediaHash, String>,
    /// The centre's prompts by name and language.
    named: BTreeMap<String, PromptByHash>,
    /// What the booth plays by itself in the languages beside its own.
    others: BTreeMap<String, Prompts>,
}

impl Centre {
    /// Reads what the configuration in force names, for a booth whose folder of prompts is `dir`.
    pub fn load(
        media: &Media,
        wanted: &Wanted,
        dir: &Path,
        own: &str,
        questions: &[String],
    ) -> Self {
        let mut centre = Self {
            media: Some(media.clone()),
            sounds: HashMap::new(),
            texts: HashMap::new(),
            named: wanted.prompts.clone().unwrap_or_default(),
            others: BTreeMap::new(),
        };
        for (_, lang) in wanted.other_languages().filter(|(_, lang)| *lang != own) {
            let (prompts, _) = Prompts::load(dir, lang, questions);
            centre.others.insert(lang.to_owned(), prompts);
        }
        let (mut bytes, mut seen) = (0, BTreeSet::new());
        // What a visit still plays of the configuration before lies beside it; a screen shows its text.
        for hash in in_order(wanted, own).into_iter().chain(media.listed()) {
            if !seen.insert(hash.clone()) {
                continue;
            }
            let Ok(read) = media.sound(&hash) else {
                continue;
            };
            if let Some(text) = booth_audio::text(&read) {
                centre.texts.insert(hash.clone(), text);
            }
            bytes += read.len();
            if bytes <= MOST_IN_MEMORY
                && let Ok(coded) = booth_audio::coded(&read)
            {
                centre.sounds.insert(hash, coded);
            }
        }
        centre
    }

    /// Begins to play a prompt in the language of a visit. `own` is what the booth plays in its own language.
    pub fn player<'a>(&'a self, own: &'a Prompts, prompt: &'a Prompt, lang: &str) -> Player<'a> {
        match self.found(own, prompt, lang) {
            Found::Hash(hash) => self
                .sound(hash)
                .unwrap_or_else(|| Player::of_samples(tones::samples(tones::tone_for(prompt)))),
            Found::Other(other, prompt) => other.player(prompt),
            Found::Own(prompt) => own.player(prompt),
        }
    }

    /// What a prompt says in a language, in letters; `None` for a tone, and for a sound that came without its text.
    pub fn text<'a>(&'a self, own: &'a Prompts, prompt: &'a Prompt, lang: &str) -> Option<&'a str> {
        if let Prompt::InLanguage(lang, prompt) = prompt {
            return self.text(own, prompt, lang);
        }
        match self.found(own, prompt, lang) {
            Found::Hash(hash) => self.texts.get(hash).map(String::as_str),
            Found::Other(other, prompt) => other.text(prompt, lang),
            Found::Own(prompt) => own.text(prompt, lang),
        }
    }

    fn sound(&self, hash: &MediaHash) -> Option<Player<'_>> {
        if let Some(coded) = self.sounds.get(hash) {
            return Some(coded.player());
        }
        let read = self.media.as_ref()?.sound(hash);
        let read = read.map_err(|error| error.to_string());
        let coded = read.and_then(|bytes| booth_audio::coded(&bytes).map_err(|why| why.what));
        coded
            .map(Coded::into_player)
            .inspect_err(|why| {
                log::error!(about = "media"; "the prompt {hash} cannot be played: {why}; a tone stands in for it");
            })
            .ok()
    }

    /// What is played for a prompt.
    fn found<'a>(&'a self, own: &'a Prompts, prompt: &'a Prompt, lang: &str) -> Found<'a> {
        let by_name = self.named.get(file_name(prompt));
        match prompt {
            Prompt::InLanguage(lang, prompt) => return self.found(own, prompt, lang),
            Prompt::Wanted(spoken) => {
                let own_lang = || spoken.get(own.language_tag());
                let any = || spoken.values().next();
                return match spoken.get(lang).or_else(own_lang).or_else(any) {
                    Some(hash) => Found::Hash(hash),
                    None => Found::Own(prompt),
                };
            }
            // The names of questions of booth.toml are no names of the contract; the self-test's tone is nobody's.
            Prompt::Question(_) | Prompt::TestTone | Prompt::Pause => {}
            _ => {
                if let Some(hash) = by_name.and_then(|spoken| spoken.get(lang)) {
                    return Found::Hash(hash);
                }
            }
        }
        let other = self.others.get(lang);
        match (other, prompt) {
            (Some(other), Prompt::Word(_)) => Found::Other(other, prompt),
            (Some(other), prompt) if other.has(prompt) || !own.has(prompt) => {
                Found::Other(other, prompt)
            }
            _ => Found::Own(prompt),
        }
    }

    /// First 16 hex digits of the SHA-256 of the notice that is heard in a language; `None` while a tone stands in for it.
    pub fn notice_id(&self, own: &Prompts, lang: &str) -> Option<String> {
        match self.found(own, &Prompt::Notice, lang) {
            Found::Hash(hash) => Some(hash.as_str().chars().take(16).collect()),
            Found::Other(other, _) => other.notice_id().map(str::to_owned),
            Found::Own(_) => own.notice_id().map(str::to_owned),
        }
    }
}

/// Where a prompt's sound is.
enum Found<'a> {
    Hash(&'a MediaHash),
    Other(&'a Prompts, &'a Prompt),
    Own(&'a Prompt),
}

/// Every prompt of a configuration, those first that a citizen hears first.
fn in_order(wanted: &Wanted, own: &str) -> Vec<MediaHash> {
    let named = |name: &str| {
        let spoken = wanted.prompts.iter().flatten();
        let found = spoken.filter(move |(own, _)| *own == name);
        found.map(|(_, spoken)| spoken).next()
    };
    let first = ["notice", "menu"].into_iter().filter_map(named);
    let questions = wanted.campaigns.iter().flatten();
    let questions = questions.flat_map(|campaign| &campaign.questions);
    let questions = questions.map(|question| &question.prompt);
    let first: Vec<&PromptByHash> = first.chain(questions).collect();
    let in_own = first.iter().filter_map(|spoken| spoken.get(own));
    let in_others = first.iter().flat_map(|spoken| spoken.values());
    in_own
        .chain(in_others)
        .cloned()
        .chain(wanted.media())
        .collect()
}

/// Which prompts lie in a booth's folder, by language and name: for whoever has to know what the booth can say.
#[allow(clippy::disallowed_methods)] // lists the folder of prompts
pub fn shelf(dir: &Path) -> gateway_core::campaign::Folder {
    let names = |folder: &Path| -> std::collections::BTreeSet<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().to_lowercase());
        let sounds = names.filter(|name| folder::is_sound(name));
        let stem = |name: String| name.rsplit_once('.').map(|(stem, _)| stem.to_owned());
        sounds.filter_map(stem).take(super::MOST_ENTRIES).collect()
    };
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.path().is_dir())
        .take(super::MOST_ENTRIES)
        .map(|entry| {
            let lang = entry.file_name().to_string_lossy().into_owned();
            (lang, names(&entry.path()))
        })
        .collect()
}

#[cfg(test)]
mod tests;
