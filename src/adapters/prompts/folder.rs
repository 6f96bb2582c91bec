//! Which file of the folder of prompts is which prompt, by names alone. Pure.
//!
//! Owns: letter case, endings, the languages' folders, which of several files comes first, the texts beside them, and the
//! sentences about every file that is not used. Never does: open a file; `booth_audio` reads the contents.

use std::collections::BTreeMap;
use std::fmt;

use booth_host::text::quoted;

/// Endings of sound that the booth may be able to read, the preferred ones first.
const SOUND: [&str; 13] = [
    "opus", "ogg", "oga", "wav", "wave", "flac", "mp3", "m4a", "mp4", "aac", "aif", "aiff", "aifc",
];
/// Ending of what a prompt says in letters, for the booth's screen.
const TEXT: &str = "txt";
/// Endings of sound that the booth does not read.
const FOREIGN: [&str; 24] = [
    "wma", "amr", "3gp", "3g2", "webm", "mka", "mkv", "mov", "caf", "au", "snd", "spx", "gsm",
    "raw", "pcm", "w64", "ape", "wv", "voc", "ra", "ac3", "mp2", "weba", "qta",
];
/// For files of a folder inside a language's folder: why they are not used, and what to do.
pub const NESTED: (&str, &str) = (
    "is not looked at: prompts lie directly in their language's folder",
    "move its files one folder up",
);
/// Most files of another language that are named one by one.
const MOST_NAMED: usize = 5;
/// Letters that some systems write as a letter and a mark behind it (Unicode's NFD), and the single character that others
/// write.
const COMPOSED: [(&str, &str); 16] = [
    ("a\u{30a}", "å"),
    ("a\u{308}", "ä"),
    ("o\u{308}", "ö"),
    ("u\u{308}", "ü"),
    ("e\u{301}", "é"),
    ("e\u{300}", "è"),
    ("a\u{301}", "á"),
    ("a\u{300}", "à"),
    ("o\u{301}", "ó"),
    ("u\u{301}", "ú"),
    ("i\u{301}", "í"),
    ("y\u{301}", "ý"),
    ("n\u{303}", "ñ"),
    ("c\u{327}", "ç"),
    ("e\u{302}", "ê"),
    ("o\u{302}", "ô"),
];

/// How much a file that is not used matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// A prompt is missing because of it.
    Lacking,
    /// No prompt is missing because of it.
    Spare,
    /// It is for citizens of another language; cities keep several languages side by side.
    Elsewhere,
}

/// A file that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unused {
    /// The file's name as a person finds it.
    pub file: String,
    /// The reason; it follows the file's name in a sentence.
    pub why: String,
    /// What to do.
    pub remedy: String,
    /// How much it matters.
    pub weight: Weight,
    /// The prompt that is missing because of it.
    pub prompt: Option<String>,
}

impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.file, self.why)?;
        match self.remedy.as_str() {
            "" => Ok(()),
            remedy => write!(f, "; {remedy}"),
        }
    }
}

/// The preference among several files for one prompt: by folder, then by coding; the smallest is taken.
type Rank = (u8, usize);

/// A file in the folder, or in a folder in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Placed {
    /// The language's folder; `None` lies flat.
    pub folder: Option<String>,
    /// Its own name.
    pub name: String,
}

impl fmt::Display for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.folder {
            Some(folder) => write!(f, "{folder}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// Which files are played, and which are not.
#[derive(Debug, Default)]
pub(super) struct Arranged {
    /// For each prompt that has any, its files in the order in which they are tried.
    pub files: BTreeMap<String, Vec<Placed>>,
    /// The text beside a prompt's sound.
    pub texts: BTreeMap<String, Placed>,
    pub unused: Vec<Unused>,
}

/// Whether a name ends like sound that the booth may be able to read.
pub fn is_sound(name: &str) -> bool {
    !is_debris(name) && SOUND.contains(&ending(&folded(name)))
}

/// Whether a name is that of the text of one of these prompts.
pub fn is_text_of(name: &str, is_prompt: &dyn Fn(&str) -> bool) -> bool {
    let folded = folded(name);
    let stem = folded
        .strip_suffix(TEXT)
        .and_then(|stem| stem.strip_suffix('.'));
    !is_debris(name) && stem.is_some_and(is_prompt)
}

/// What is reported of a file that is passed over because of its name alone; `None` if the file is not meant as a prompt.
pub fn unreadable(name: &str, is_prompt: &dyn Fn(&str) -> bool) -> Option<(String, String)> {
    let folded = folded(name);
    let own = ending(&folded);
    if is_debris(name) || SOUND.contains(&own) || is_text_of(name, is_prompt) {
        return None;
    }
    if matches!(own, "zip" | "rar" | "7z" | "gz") {
        let remedy = "unpack it, and copy what is in it to the card";
        return Some(("is an archive".into(), remedy.into()));
    }
    let is_foreign = FOREIGN.contains(&own);
    let stem = folded.split('.').next().unwrap_or_default();
    (is_foreign || is_prompt(stem)).then(|| {
        let why = match own {
            "" => "has no ending that says that it is sound".to_owned(),
            own => format!("ends in .{own}, which the booth does not read"),
        };
        (why, format!("convert it: {}", conversion(name, "")))
    })
}

/// Whether a name is that of a sound file for one of these prompts.
pub fn is_sound_of(name: &str, prompts: &[String]) -> bool {
    let folded_name = folded(name);
    let stem = folded_name.rsplit_once('.').map_or("", |(stem, _)| stem);
    is_sound(name) && prompts.iter().any(|prompt| folded(prompt) == stem)
}

/// The folder's files for the prompts of these names in this language.
pub(super) fn arranged(files: &[Placed], language: &str, names: &[&str]) -> Arranged {
    let mut all = Arranged::default();
    let names: BTreeMap<String, &str> = names.iter().map(|name| (folded(name), *name)).collect();
    let mut elsewhere: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut ranked: BTreeMap<&str, Vec<(Rank, &Placed)>> = BTreeMap::new();
    let mut texts: BTreeMap<&str, Vec<(u8, &Placed)>> = BTreeMap::new();
    for file in files.iter().filter(|file| !is_debris(&file.name)) {
        let name = folded(&file.name);
        let known = name.rsplit_once('.').and_then(|(stem, _)| names.get(stem));
        let Some(rank) = rank(file.folder.as_deref(), language) else {
            let folder = file.folder.as_deref().unwrap_or_default();
            if SOUND.contains(&ending(&name)) {
                elsewhere.entry(folder).or_default().push(&file.name);
            }
            continue;
        };
        let place = SOUND.iter().position(|sound| *sound == ending(&name));
        match (place, known) {
            (Some(place), Some(prompt)) => ranked
                .entry(prompt)
                .or_default()
                .push(((rank, place), file)),
            (Some(_), None) => all.unused.push(unknown(file, &name, &names)),
            (None, Some(prompt)) if ending(&name) == TEXT => {
                texts.entry(prompt).or_default().push((rank, file));
            }
            (None, _) => {
                let is_prompt = |stem: &str| names.contains_key(stem);
                if let Some((why, remedy)) = unreadable(&file.name, &is_prompt) {
                    all.unused.push(Unused {
                        file: file.to_string(),
                        why: format!("is not used: it {why}"),
                        remedy,
                        weight: Weight::Spare,
                        prompt: None,
                    });
                }
            }
        }
    }
    for (prompt, mut files) in ranked {
        files.sort();
        let files = files.into_iter().map(|(_, file)| file.clone());
        all.files.insert(prompt.to_owned(), files.collect());
    }
    for (prompt, mut files) in texts {
        files.sort();
        let first = files.first().map(|(_, file)| (*file).clone());
        if all.files.contains_key(prompt) {
            all.texts
                .extend(first.map(|file| (prompt.to_owned(), file)));
        } else {
            all.unused.extend(first.map(|file| lonely(prompt, &file)));
        }
    }
    let has_own = !all.files.is_empty();
    all.unused.extend(
        elsewhere
            .into_iter()
            .map(|(folder, files)| of_another(folder, &files, language, has_own)),
    );
    all
}

/// The preference of a folder for prompts of this language; `None` if the folder is of another language.
fn rank(folder: Option<&str>, language: &str) -> Option<u8> {
    let Some(folder) = folder else {
        return Some(3);
    };
    let tag = |name: &str| folded(name).replace('_', "-");
    let primary = |name: &str| tag(name).split('-').next().map(str::to_owned);
    if folder == language {
        Some(0)
    } else if tag(folder) == tag(language) {
        Some(1)
    } else {
        (primary(folder) == primary(language)).then_some(2)
    }
}

/// A text whose prompt has no sound.
fn lonely(prompt: &str, file: &Placed) -> Unused {
    Unused {
        file: file.to_string(),
        why: "is not used: it is the text of a prompt that has no sound here".into(),
        remedy: format!("put {prompt}.opus beside it"),
        weight: Weight::Spare,
        prompt: None,
    }
}

fn unknown(file: &Placed, folded: &str, names: &BTreeMap<String, &str>) -> Unused {
    let (stem, ending) = folded.rsplit_once('.').unwrap_or((folded, ""));
    let begins = names.keys().filter(|name| stem.starts_with(name.as_str()));
    let near = begins.max_by_key(|name| name.len()).or_else(|| {
        let distances = names
            .keys()
            .map(|name| (strsim::damerau_levenshtein(stem, name), name));
        let near = distances.filter(|(distance, name)| *distance <= 1 + name.len() / 4);
        near.min().map(|(_, name)| name)
    });
    let remedy = match near.and_then(|name| names.get(name)) {
        Some(name) => format!("if it is that prompt, call it {name}.{ending}"),
        None => "call it notice, menu, … as docs/configuration.md lists them, or as a [[question]]'s prompt; or take it away".to_owned(),
    };
    Unused {
        file: file.to_string(),
        why: format!("is not used: no prompt is called {stem:?}"),
        remedy,
        weight: Weight::Spare,
        prompt: None,
    }
}

fn of_another(folder: &str, files: &[&str], language: &str, has_own: bool) -> Unused {
    let mut named: Vec<&str> = files.iter().take(MOST_NAMED).copied().collect();
    if files.len() > MOST_NAMED {
        named.push("…");
    }
    Unused {
        file: format!("{folder}/"),
        why: format!(
            "is not used ({}): [session] language is {language:?}",
            named.join(", ")
        ),
        remedy: match has_own {
            true => String::new(),
            false => format!(
                "call the folder {language}, or set [session] language to what is spoken in it"
            ),
        },
        weight: match has_own {
            true => Weight::Elsewhere,
            false => Weight::Spare,
        },
        prompt: None,
    }
}

/// A name without differences that people do not see: letter case, and how accents are written.
fn folded(name: &str) -> String {
    let mut folded = name.to_lowercase();
    if !folded.is_ascii() {
        for (apart, composed) in COMPOSED {
            folded = folded.replace(apart, composed);
        }
    }
    folded
}

/// The command that makes Opus of a file, beside it under another name.
pub(super) fn conversion(name: &str, option: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let mut made = format!("{stem}.opus");
    if made.eq_ignore_ascii_case(name) {
        made = format!("{stem}.wav");
    }
    format!("ffmpeg -i {} {option}-ac 1 {}", quoted(name), quoted(&made))
}

fn ending(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, ending)| ending)
}

/// Files that systems and editors leave behind.
pub fn is_debris(name: &str) -> bool {
    name.starts_with(['.', '~']) || name.ends_with('~') || name == "__MACOSX"
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["notice", "menu", "spørgsmål", "Torvet"];

    fn placed(path: &str) -> Placed {
        match path.split_once('/') {
            Some((folder, name)) => Placed {
                folder: Some(folder.into()),
                name: name.into(),
            },
            None => Placed {
                folder: None,
                name: path.into(),
            },
        }
    }

    fn of(paths: &[&str], language: &str) -> Arranged {
        let files: Vec<Placed> = paths.iter().map(|path| placed(path)).collect();
        arranged(&files, language, &NAMES)
    }

    fn files(arranged: &Arranged, prompt: &str) -> Vec<String> {
        let files = arranged.files.get(prompt);
        files.into_iter().flatten().map(Placed::to_string).collect()
    }

    #[test]
    fn letter_case_endings_and_accents_make_no_difference() {
        for path in [
            "da/NOTICE.OPUS",
            "DA/notice.Mp3",
            "da_DK/notice.flac",
            "da-DK/notice.m4a",
            "notice.ogg",
            "da/notice.AIFF",
        ] {
            assert_eq!(files(&of(&[path], "da"), "notice"), [path]);
        }
        assert_eq!(
            files(&of(&["da/torvet.wav"], "da-DK"), "Torvet"),
            ["da/torvet.wav"]
        );
        let apart = "da/sp\u{f8}rgsma\u{30a}l.wav";
        assert_eq!(files(&of(&[apart], "DA"), "spørgsmål"), [apart]);
    }

    #[test]
    fn of_several_files_the_own_folder_and_opus_come_first_and_the_others_behind_it() {
        let arranged = of(
            &[
                "notice.opus",
                "da/notice.wav",
                "da/notice.opus",
                "da-DK/notice.opus",
                "da/Notice.mp3",
            ],
            "da",
        );
        assert_eq!(
            files(&arranged, "notice"),
            [
                "da/notice.opus",
                "da/notice.wav",
                "da/Notice.mp3",
                "da-DK/notice.opus",
                "notice.opus"
            ]
        );
        assert_eq!(arranged.unused, []);
    }

    #[test]
    fn every_file_that_is_not_used_is_named_with_what_to_do_about_it() {
        for (path, parts) in [
            (
                "da/notice.wma",
                &[".wma", "ffmpeg -i notice.wma -ac 1 notice.opus"][..],
            ),
            ("da/notice", &["no ending"]),
            (
                "da/notice.txt",
                &[".txt", "no sound", "put notice.opus beside it"],
            ),
            (
                "da/min optagelse.amr",
                &["ffmpeg -i './min optagelse.amr' -ac 1 './min optagelse.opus'"],
            ),
            (
                "notise.mp3",
                &["no prompt is called \"notise\"", "call it notice.mp3"],
            ),
            ("da/notice (1).wav", &["call it notice.wav"]),
            ("da/notice.wav.wav", &["call it notice.wav"]),
            (
                "da/welcome.opus",
                &["no prompt is called", "configuration.md"],
            ),
            ("prompts.zip", &["archive", "unpack"]),
            (
                "en/notice.opus",
                &[
                    "en/",
                    "notice.opus",
                    "language is \"da\"",
                    "call the folder da",
                ],
            ),
        ] {
            let arranged = of(&[path], "da");
            let sentences: Vec<String> = arranged.unused.iter().map(Unused::to_string).collect();
            assert_eq!(
                (arranged.files.len(), sentences.len()),
                (0, 1),
                "{path}: {sentences:?}"
            );
            for part in parts {
                assert!(
                    sentences[0].contains(part),
                    "{path}: {part} missing in {sentences:?}"
                );
            }
        }
    }

    #[test]
    fn the_text_beside_a_prompts_sound_is_taken_and_is_no_unused_file() {
        let arranged = of(
            &[
                "notice.txt",
                "da/notice.opus",
                "da/Notice.TXT",
                "da/menu.opus",
                "en/menu.txt",
                "da/torvet.mp3",
                "Torvet.txt",
            ],
            "da",
        );
        let texts: Vec<(&str, String)> = arranged
            .texts
            .iter()
            .map(|(prompt, file)| (prompt.as_str(), file.to_string()))
            .collect();
        assert_eq!(
            texts,
            [
                ("Torvet", "Torvet.txt".to_owned()),
                ("notice", "da/Notice.TXT".to_owned())
            ]
        );
        assert_eq!(arranged.unused, []);
        let is_prompt = |stem: &str| stem == "notice";
        assert!(is_text_of("NOTICE.txt", &is_prompt) && !is_text_of("README.txt", &is_prompt));
        assert_eq!(unreadable("notice.txt", &is_prompt), None);
    }

    #[test]
    fn another_language_beside_the_own_one_is_no_fault_and_debris_is_passed_over() {
        let arranged = of(
            &[
                "da/notice.opus",
                "en/notice.opus",
                "da/._notice.opus",
                "da/.DS_Store",
                "da/Thumbs.db",
                "README.txt",
                "da/menu.opus~",
            ],
            "da",
        );
        assert_eq!(files(&arranged, "notice"), ["da/notice.opus"]);
        assert_eq!(arranged.unused.len(), 1, "{:?}", arranged.unused);
        assert_eq!(arranged.unused[0].weight, Weight::Elsewhere);
    }
}
