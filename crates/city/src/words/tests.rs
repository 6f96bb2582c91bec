#![allow(clippy::disallowed_methods)] // reads the sources

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::*;
use crate::sentence;

/// Texts whose English is nothing but its gaps, and the one source that may use each: what fills them was written elsewhere.
const FRAMES: [(&str, &str); 6] = [
    ("editor-fault", "city/src/editor/publish.rs"),
    ("editor-to-mend", "city/src/editor/publish.rs"),
    ("editor-unread", "city/src/editor/sheet.rs"),
    ("areas-lacking-one", "city/src/places/areas.rs"),
    ("hub-bad-code", "hub/src/centre.rs"),
    ("hub-says", "hub/src/campaign/editor.rs"),
];

/// The sources of this crate and of the hub without their tests and their comments, by their paths below `crates`.
fn sources() -> BTreeMap<String, String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders: Vec<PathBuf> = ["city/src", "hub/src"].map(|one| crates.join(one)).into();
    let mut found = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                // What is in a folder `tests` is a module of `tests.rs`.
                if name != "tests" {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") && name != "testing.rs" && name != "tests.rs" {
                let text = std::fs::read_to_string(&path).expect("a source");
                let own = text.split("#[cfg(test)]\nmod tests {").next();
                let lines = own.into_iter().flat_map(str::lines);
                let lines = lines.filter(|line| !line.trim_start().starts_with("//"));
                let place = path.strip_prefix(&crates).expect("below crates");
                let place = place.to_string_lossy().into_owned();
                found.insert(place, lines.collect::<Vec<_>>().join("\n"));
            }
        }
    }
    found
}

/// One `sentence!(…)` of a source.
#[derive(Debug)]
struct Use {
    file: String,
    name: String,
    gaps: BTreeSet<String>,
    /// The texts in quotes that fill its gaps.
    literals: Vec<String>,
}

/// Reads a call from behind its opening bracket: its parts between commas, and its texts in quotes.
fn call(text: &str) -> (Vec<String>, Vec<String>) {
    let (mut parts, mut literals) = (vec![String::new()], Vec::new());
    let (mut depth, mut literal) = (1, None::<String>);
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if let Some(open) = &mut literal {
            match c {
                '\\' => open.extend(characters.next()),
                '"' => literals.extend(literal.take()),
                c => open.push(c),
            }
            continue;
        }
        match c {
            '"' => literal = Some(String::new()),
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 1 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
        parts.last_mut().expect("one at least").push(c);
    }
    (parts, literals)
}

fn uses() -> Vec<Use> {
    let mut found = Vec::new();
    for (file, text) in sources() {
        for rest in text.split("sentence!(").skip(1) {
            let (parts, literals) = call(rest);
            // The macro itself and its way through the modules name nothing.
            let Some((name, literals)) = literals.split_first() else {
                continue;
            };
            let gaps = parts.iter().skip(1).filter_map(|part| part.split_once('='));
            found.push(Use {
                file: file.clone(),
                name: name.clone(),
                gaps: gaps.map(|(gap, _)| gap.trim().to_owned()).collect(),
                literals: literals.to_vec(),
            });
        }
    }
    found
}

/// The texts of one of the program's own languages with their gaps.
fn texts(language: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let (_, file) = OWN.iter().find(|(own, _)| *own == language).expect("own");
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut name = String::new();
    for line in file.lines().filter(|line| !line.starts_with('#')) {
        match line.split_once(" =") {
            Some((new, text)) if !line.starts_with(' ') => {
                name = new.to_owned();
                let before = found.insert(name.clone(), text.trim().to_owned());
                assert!(before.is_none(), "{language}: {name} is there twice");
            }
            _ => found.entry(name.clone()).or_default().push_str(line),
        }
    }
    let with_gaps = found.into_iter().map(|(name, text)| {
        let gaps = text.split('$').skip(1).map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            rest[..end.unwrap_or(rest.len())].to_owned()
        });
        let gaps = gaps.collect();
        (name, (text, gaps))
    });
    with_gaps.collect()
}

/// Whether there is a word outside the gaps in braces.
fn has_words(text: &str) -> bool {
    let mut depth = 0;
    text.chars().any(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0 && c.is_alphabetic()
    })
}

#[test]
fn every_sentence_of_the_sources_is_in_danish_and_english_with_its_gaps() {
    let uses = uses();
    assert!(uses.len() > 120, "{} are found", uses.len());
    for language in ["da", "en"] {
        let texts = texts(language);
        for one in &uses {
            let Some((text, gaps)) = texts.get(&one.name) else {
                panic!("{language}.ftl has no {:?} of {}", one.name, one.file);
            };
            assert_eq!(gaps, &one.gaps, "{language}: {text} of {}", one.file);
        }
    }
}

#[test]
fn danish_and_english_have_the_same_texts_with_the_same_gaps() {
    let (danish, english) = (texts("da"), texts("en"));
    for (name, (_, gaps)) in &english {
        let other = danish.get(name).map(|(_, gaps)| gaps);
        assert_eq!(other, Some(gaps), "{name}");
    }
    assert_eq!(danish.len(), english.len());
}

#[test]
fn no_refusal_is_worded_outside_the_files_of_languages() {
    let english = texts("en");
    for one in uses() {
        for literal in &one.literals {
            assert!(
                !has_words(literal),
                "{literal:?} in {one:?}: name a text instead"
            );
        }
        let (text, _) = &english[&one.name];
        let may = FRAMES.contains(&(one.name.as_str(), one.file.as_str()));
        assert!(
            has_words(text) || may,
            "{one:?} says whatever fills its gaps"
        );
    }
    for (file, text) in sources() {
        // The type lets nothing but a sentence into a refusal; this lets nobody make one but by the macro.
        let made = text.contains("Sentence::of(");
        let may = file == "city/src/words/sentence.rs";
        assert!(!made || may, "{file} makes one without sentence!(…)");
    }
}

#[test]
fn a_sentence_is_said_in_the_readers_language_and_in_english_where_that_lacks_it() {
    let words = Words::read(None).expect("own");
    let lacking = vec![
        sentence!("areas-lacking-one", name = "Risskov", booth = "torv-1"),
        sentence!("areas-lacking-one", name = "Vejlby", booth = "torv-2"),
    ];
    let sentence = sentence!("areas-lacking", areas = (lacking, ", "));
    let danish = words.tell("da", &sentence);
    assert!(
        danish.starts_with("Filen mangler områder")
            && danish.contains(": Risskov (boks torv-1), Vejlby (boks torv-2). "),
        "{danish}"
    );
    let english = sentence.to_string();
    assert!(
        english.contains(": Risskov (booth torv-1), Vejlby (booth torv-2). "),
        "{english}"
    );
    assert_eq!(words.tell("uk", &sentence), english);
    // Numbers stand as they are, and what somebody typed is no text of the files.
    let number = sentence!("people-password-long", n = 1024_usize);
    assert_eq!(number.to_string(), "a password has at most 1024 bytes");
    let typed = sentence!("editor-id-taken", id = "{ $id } { -x }");
    assert_eq!(
        typed.to_string(),
        "There is a campaign { $id } { -x } already: choose another short name."
    );
}
