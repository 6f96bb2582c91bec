//! What pages say, in each language: files in the Fluent format (projectfluent.org), so that a language is added without compiling.
//!
//! Owns: finding a text, with its plural rules, and the direction of a language; [`Sentence`] is a text that is said later. Never does: decide
//! which language a citizen wants.

mod sentence;
#[cfg(test)]
mod tests;

pub use sentence::{Gap, Sentence};

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use unic_langid::LanguageIdentifier;

/// The languages that the program brings.
const OWN: [(&str, &str); 2] = [
    ("da", include_str!("../../languages/da.ftl")),
    ("en", include_str!("../../languages/en.ftl")),
];

/// Why a language cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {why}")]
pub struct BadWords {
    /// Which file.
    pub file: String,
    /// What is wrong with it.
    pub why: String,
}

/// All languages.
#[derive(Clone)]
pub struct Words(Arc<BTreeMap<String, Tongue>>);

struct Tongue {
    bundle: FluentBundle<FluentResource>,
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Words {
    /// The program's own languages, and those of the files `<language>.ftl` in this folder, which also change single texts.
    pub fn read(folder: Option<&Path>) -> Result<Self, BadWords> {
        let mut tongues = BTreeMap::new();
        for (language, text) in OWN {
            add(&mut tongues, language, text, language)?;
        }
        if let Some(folder) = folder {
            read_folder(&mut tongues, folder)?;
        }
        Ok(Self(Arc::new(tongues)))
    }

    /// Whether there is this language.
    pub fn has(&self, language: &str) -> bool {
        self.0.contains_key(language)
    }

    /// A text without gaps.
    pub fn say(&self, language: &str, name: &str) -> String {
        self.say_with(language, name, &[])
    }

    /// A text whose gaps are filled. A text that a language lacks is said in English, and one that nobody has by its name.
    pub fn say_with(&self, language: &str, name: &str, gaps: &[(&str, FluentValue<'_>)]) -> String {
        let mut arguments = FluentArgs::new();
        for (gap, value) in gaps {
            arguments.set(*gap, value.clone());
        }
        for language in [language, "en"] {
            let Some(tongue) = self.0.get(language) else {
                continue;
            };
            let message = tongue.bundle.get_message(name);
            if let Some(pattern) = message.and_then(|message| message.value()) {
                let mut faults = Vec::new();
                let said = tongue
                    .bundle
                    .format_pattern(pattern, Some(&arguments), &mut faults);
                return said.into_owned();
            }
        }
        name.to_owned()
    }
}

#[allow(clippy::disallowed_methods)] // reads the city's own texts
fn read_folder(tongues: &mut BTreeMap<String, Tongue>, folder: &Path) -> Result<(), BadWords> {
    let bad = |file: &Path, why: std::io::Error| BadWords {
        file: file.display().to_string(),
        why: why.to_string(),
    };
    let entries = std::fs::read_dir(folder).map_err(|why| bad(folder, why))?;
    for entry in entries {
        let path = entry.map_err(|why| bad(folder, why))?.path();
        if path.extension().is_some_and(|end| end == "ftl")
            && let Some(language) = path.file_stem().and_then(|name| name.to_str())
        {
            let text = std::fs::read_to_string(&path).map_err(|why| bad(&path, why))?;
            add(tongues, language, &text, &path.display().to_string())?;
        }
    }
    Ok(())
}

fn add(
    tongues: &mut BTreeMap<String, Tongue>,
    language: &str,
    text: &str,
    file: &str,
) -> Result<(), BadWords> {
    let bad = |why: String| BadWords {
        file: file.to_owned(),
        why,
    };
    let id: LanguageIdentifier = language.parse().map_err(|_| {
        bad(format!(
            "\"{language}\" is no language; name the file like da.ftl"
        ))
    })?;
    let resource = FluentResource::try_new(text.to_owned())
        .map_err(|(_, faults)| bad(format!("{:?}", faults.first())))?;
    let tongue = tongues.entry(language.to_owned()).or_insert_with(|| {
        let mut bundle = FluentBundle::new_concurrent(vec![id]);
        // The marks around filled gaps show as boxes on old telephones; a gap with another direction is marked by the page.
        bundle.set_use_isolating(false);
        Tongue { bundle }
    });
    tongue.bundle.add_resource_overriding(resource);
    Ok(())
}
