//! Lists of words, by language, by which a text is looked through for somebody who may be in danger.
//!
//! Owns: the lists that the program brings, those of the city's folder, and how a text is compared ([`WatchWords::found_in`]). Never does:
//! judge what somebody means; what is found calls a person.
#![allow(clippy::disallowed_methods)] // looks which lists the city has

use std::collections::BTreeMap;
use std::path::Path;

use booth_host::plain_file;

/// The lists that the program brings.
const OWN: [(&str, &str); 2] = [
    ("da", include_str!("../../watch_words/da.txt")),
    ("en", include_str!("../../watch_words/en.txt")),
];
/// Longest list, bytes, and most expressions in it.
const LONGEST_LIST: u64 = 256 * 1024;
const MOST_EXPRESSIONS: usize = 5_000;

/// All lists. An expression is kept as its words between blanks, the last of them open where a star ends it.
#[derive(Debug, Clone, Default)]
pub(crate) struct WatchWords(BTreeMap<String, Vec<String>>);

impl WatchWords {
    /// The program's own lists, and those of this folder (`<language>.txt`), each in the place of the program's own of that language.
    ///
    /// # Errors
    /// A sentence about a folder or a file that cannot be read.
    pub(crate) fn read(folder: Option<&Path>) -> Result<Self, String> {
        let own = OWN.map(|(language, text)| (language.to_owned(), expressions(text)));
        let mut lists = BTreeMap::from(own);
        let Some(folder) = folder else {
            return Ok(Self(lists));
        };
        let bad = |path: &Path, why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        let entries = std::fs::read_dir(folder).map_err(|why| bad(folder, &why))?;
        for entry in entries {
            let path = entry.map_err(|why| bad(folder, &why))?.path();
            let language = path.file_stem().and_then(|name| name.to_str());
            let (Some(language), Some("txt")) =
                (language, path.extension().and_then(|end| end.to_str()))
            else {
                continue;
            };
            let bytes = plain_file::read_at_most(&path, LONGEST_LIST);
            let bytes = bytes.map_err(|why| bad(&path, &why))?;
            if bytes.len() as u64 > LONGEST_LIST {
                return Err(bad(
                    &path,
                    &"is longer than 256 KiB; a list has some hundred lines",
                ));
            }
            let text = booth_host::text::text_of(&bytes).map_err(|why| bad(&path, &why))?;
            lists.insert(language.to_owned(), expressions(&text));
        }
        Ok(Self(lists))
    }

    /// The first expression that is found in a text of one of these languages; a text whose languages have no list is compared with all.
    pub(crate) fn found_in(&self, languages: &[&str], text: &str) -> Option<String> {
        let text = worded(text);
        let own: Vec<&Vec<String>> = languages
            .iter()
            .filter_map(|language| self.0.get(*language))
            .collect();
        let lists = match own.is_empty() {
            true => self.0.values().collect(),
            false => own,
        };
        let mut all = lists.into_iter().flatten();
        let found = all.find(|expression| text.contains(expression.as_str()));
        found.map(|expression| expression.trim().to_owned())
    }
}

fn expressions(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let all = lines.filter_map(|line| {
        let (line, is_open) = match line.strip_suffix('*') {
            Some(line) => (line, true),
            None => (line, false),
        };
        let mut words = worded(line);
        if words.trim().is_empty() {
            return None;
        }
        if is_open {
            words.truncate(words.trim_end().len());
        }
        Some(words)
    });
    all.take(MOST_EXPRESSIONS).collect()
}

/// Small letters and digits between single blanks, with a blank at either end.
fn worded(text: &str) -> String {
    let mut words = String::with_capacity(text.len() + 2);
    words.push(' ');
    for c in text.chars().flat_map(char::to_lowercase) {
        match c {
            c if c.is_alphanumeric() => words.push(c),
            // don't is one word, and so is dont.
            '\'' | '’' => {}
            _ if words.ends_with(' ') => {}
            _ => words.push(' '),
        }
    }
    if !words.ends_with(' ') {
        words.push(' ');
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_who_may_be_in_danger_is_found_whatever_the_letters_and_marks_around() {
        let lists = WatchWords::read(None).expect("own lists");
        let found = |language: &str, text: &str| lists.found_in(&[language], text);
        for text in [
            "Jeg tænker på selvmord.",
            "SELVMORDSTANKER hver dag",
            "og så … HAN SLÅR MIG, når",
            "hjælp\nmig",
        ] {
            assert!(found("da", text).is_some(), "{text}");
        }
        for text in [
            "I don’t want to live",
            "i dont want to live anymore",
            "Suicide?",
        ] {
            assert!(found("en", text).is_some(), "{text}");
        }
        for text in [
            "Der mangler bænke på torvet",
            "Vi drak en kop te",
            "slår migrænen til",
            "",
        ] {
            assert_eq!(found("da", text), None, "{text}");
        }
    }

    #[test]
    fn a_language_without_a_list_is_compared_with_all_and_one_with_a_list_with_its_own() {
        let lists = WatchWords::read(None).expect("own lists");
        assert!(lists.found_in(&["uk"], "he hits me").is_some());
        assert!(lists.found_in(&[], "selvmord").is_some());
        assert_eq!(lists.found_in(&["da"], "he hits me"), None);
        assert!(lists.found_in(&["da", "en"], "he hits me").is_some());
    }

    #[test]
    fn the_citys_own_list_stands_in_the_place_of_the_programs_and_a_bad_folder_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let list = "# own\n\n  Det Brænder* \n*\n";
        std::fs::write(folder.path().join("da.txt"), list).expect("written");
        std::fs::write(folder.path().join("README"), "no list").expect("written");
        let lists = WatchWords::read(Some(folder.path())).expect("lists");
        let found = lists.found_in(&["da"], "Åh, det brændere end før");
        assert_eq!(found.as_deref(), Some("det brænder"));
        assert_eq!(lists.found_in(&["da"], "selvmord og *"), None);
        assert!(lists.found_in(&["en"], "suicide").is_some());
        let missing = WatchWords::read(Some(&folder.path().join("not-there")));
        assert!(missing.is_err_and(|why| why.contains("not-there")));
    }
}
