//! The prompts of one language, from `prompts/<language>/<name>.opus`, `.wav`, `.mp3` and the like.
//!
//! Owns: reading them, and what stands in for a missing or broken one: a tone, or for a word the booth's own voice. Opus
//! stays encoded in memory until it is played; everything else is encoded when it is read. Words are rarely said: none of
//! them stays in memory, and their files are read again when they are played. Never does: fail; every file that is not used
//! is reported with its reason and what to do.
#![allow(clippy::disallowed_methods)] // reads prompt files

pub mod centre;
pub mod folder;

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{tones, voice};
use booth_audio::{Coded, Player, Remedy, Samples, Unplayable};
use booth_contract::hex;
use folder::{Placed, Unused, Weight};
use gateway_core::prompt::{Language, Prompt, Word};

/// Largest prompt file that is read, bytes.
pub const MAX_FILE: u64 = 8_000_000;
/// Largest text beside a prompt, bytes; longer ones are cut.
const MAX_TEXT_FILE: u64 = 16_000;
/// Most files and folders of the prompts' folder that are looked at.
const MOST_ENTRIES: usize = 2_000;
/// Most files that are reported as unused.
const MOST_UNUSED: usize = 100;
/// The self-test's tone is played 16 dB below the others, some −30 dBFS: nobody in the street hears it.
const TEST_TONE_GAIN: f64 = 0.16;
/// Parts of a prompt below this level are its pauses, root mean square of samples: some −50 dBFS.
const PAUSE_LEVEL: f64 = 100.0;

enum Sound {
    Coded(Coded),
    Tone(&'static [tones::Stretch]),
}

/// All prompts that can be played.
pub struct Prompts {
    sounds: HashMap<Prompt, Sound>,
    notice_id: Option<String>,
    language: Language,
    /// The same as its tag.
    language_tag: String,
    /// What the city's own prompts say in letters.
    texts: HashMap<Prompt, String>,
    /// The off-hook tone is played at this share of its level: never louder than the notice.
    off_hook_gain: f64,
    /// The folder's files that are played instead of the booth's own voice.
    words: HashMap<Word, PathBuf>,
    unused: Vec<Unused>,
}

/// The file name of a prompt, without extension.
pub fn file_name(prompt: &Prompt) -> &str {
    prompt.name()
}

const NAMED: [Prompt; 13] = [
    Prompt::Notice,
    Prompt::Menu,
    Prompt::Tone,
    Prompt::Repeat,
    Prompt::NoSuchQuestion,
    Prompt::LimitSoon,
    Prompt::Thanks,
    Prompt::Goodbye,
    Prompt::TooShort,
    Prompt::OffHook,
    Prompt::OutOfOrder,
    Prompt::Emergency,
    Prompt::BoothName,
];

impl Prompts {
    /// Reads the named prompts and those of the questions; also returns each file that is not used.
    pub fn load(dir: &Path, language: &str, questions: &[String]) -> (Self, Vec<Unused>) {
        let mut prompts = Self {
            sounds: HashMap::new(),
            notice_id: None,
            language: Language::of(language),
            language_tag: language.to_owned(),
            texts: HashMap::new(),
            off_hook_gain: 1.0,
            words: HashMap::new(),
            unused: Vec::new(),
        };
        // Two options may share a prompt; its file is read once.
        let own: std::collections::BTreeSet<&String> = questions.iter().collect();
        let own = own.into_iter().map(|name| Prompt::Question(name.clone()));
        let all: Vec<Prompt> = NAMED.into_iter().chain(own).collect();
        let mut listed = Vec::new();
        prompts.unused.extend(list(dir, &mut listed));
        let names = Self::names(questions);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let arranged = folder::arranged(&listed, language, &names);
        prompts.unused.extend(arranged.unused);
        let mut shelf = Shelf {
            dir,
            files: arranged.files,
            unused: &mut prompts.unused,
        };
        for prompt in all {
            let name = file_name(&prompt);
            let found = shelf.first(name, "a tone stands in for it", |file| {
                let own = booth_audio::text(&file.bytes);
                Ok((booth_audio::coded(&file.bytes)?, file.hash(), own))
            });
            let sound = match found {
                Some((coded, hash, own)) => {
                    // A file beside the sound is the later word: whoever writes it need not make the sound anew.
                    let beside = arranged.texts.get(name);
                    let beside = beside.and_then(|file| text_of(dir, file, shelf.unused));
                    let text = beside.or(own).map(|text| (prompt.clone(), text));
                    prompts.texts.extend(text);
                    if prompt == Prompt::Notice {
                        prompts.notice_id = Some(hash);
                    }
                    Sound::Coded(coded)
                }
                None => Sound::Tone(tones::tone_for(&prompt)),
            };
            prompts.sounds.insert(prompt, sound);
        }
        for word in Word::ALL {
            let own = "the booth's own voice stands in for it";
            // Checks that the file can be played, without the work of encoding it.
            let found = shelf.first(word.name(), own, |file| {
                booth_audio::check(&file.bytes).map(|()| file.path)
            });
            prompts.words.extend(found.map(|path| (*word, path)));
        }
        prompts.unused.truncate(MOST_UNUSED);
        let level = |prompt| level(prompts.player(prompt));
        let (notice, off_hook) = (level(&Prompt::Notice), level(&Prompt::OffHook));
        prompts.off_hook_gain = (notice / off_hook.max(1.0)).min(1.0);
        let unused = prompts.unused.clone();
        (prompts, unused)
    }

    /// The names of all prompts: the booth's own, its words, and those of the questions.
    pub fn names(questions: &[String]) -> Vec<String> {
        let own = NAMED.iter().map(file_name);
        let words = Word::ALL.iter().map(|word| word.name());
        let all = own.chain(words).map(str::to_owned);
        all.chain(questions.iter().cloned()).collect()
    }

    /// First 16 hex digits of the notice's SHA-256; `None` while a tone stands in for it.
    pub fn notice_id(&self) -> Option<&str> {
        self.notice_id.as_deref()
    }

    /// The tag of the language that these prompts are in.
    pub fn language_tag(&self) -> &str {
        &self.language_tag
    }

    /// Whether the folder has a recording of it that can be played.
    pub fn has(&self, prompt: &Prompt) -> bool {
        matches!(self.sounds.get(prompt), Some(Sound::Coded(_)))
    }

    /// What a prompt says, in letters: a word's from the booth's own table, a city's prompt's from the comment `TEXT=` of its
    /// sound or the `.txt` beside it. `lang` is the language of the visit. `None` for a tone, and for a prompt that came without
    /// its text.
    pub fn text(&self, prompt: &Prompt, lang: &str) -> Option<&str> {
        match prompt {
            Prompt::Word(word) => Some(word.text(Language::of(lang))),
            Prompt::InLanguage(lang, prompt) => self.text(prompt, lang),
            prompt => self.texts.get(prompt).map(String::as_str),
        }
    }

    /// The prompts that are played and came without their text, by their names, in order, where the screen has no sentence of
    /// its own for them: the notice and the questions.
    pub fn without_text(&self) -> Vec<&str> {
        let spoken = self.sounds.iter().filter(|(prompt, sound)| {
            let is_citys = matches!(prompt, Prompt::Notice | Prompt::Question(_));
            is_citys && matches!(sound, Sound::Coded(_)) && !self.texts.contains_key(prompt)
        });
        let mut names: Vec<&str> = spoken.map(|(prompt, _)| file_name(prompt)).collect();
        names.sort_unstable();
        names
    }

    /// Whether the folder has the booth's spoken name.
    pub fn has_booth_name(&self) -> bool {
        self.has(&Prompt::BoothName)
    }

    /// The folder's files that are not used, and why.
    pub fn unused(&self) -> &[Unused] {
        &self.unused
    }

    /// Begins to play a prompt.
    pub fn player(&self, prompt: &Prompt) -> Player<'_> {
        if let Prompt::Word(word) = prompt {
            return self.saying(*word);
        }
        let gain = match prompt {
            Prompt::TestTone => TEST_TONE_GAIN,
            Prompt::OffHook => self.off_hook_gain,
            _ => 1.0,
        };
        let player = match self.sounds.get(prompt) {
            Some(Sound::Coded(coded)) => coded.player(),
            Some(Sound::Tone(tone)) => Player::of_samples(tones::samples(tone)),
            None => Player::of_samples(tones::samples(tones::tone_for(prompt))),
        };
        player.softer(gain)
    }

    fn saying(&self, word: Word) -> Player<'_> {
        let own = self.words.get(&word).and_then(|path| {
            let read = File::open(path.clone()).and_then(|file| booth_audio::coded(&file.bytes));
            // The file was whole when the prompts were loaded; without it now, the booth uses its own voice.
            read.inspect_err(|why| {
                let (path, why) = (path.display(), &why.what);
                log::warn!("{path} {why}; the booth's own voice stands in for it");
            })
            .ok()
        });
        let coded = match own {
            Some(coded) => Ok(coded),
            None => booth_audio::coded(voice::recording(word, self.language)),
        };
        match coded {
            Ok(coded) => {
                let pause = Samples::in_ms(u64::from(word.pause_ms()));
                coded.into_player().followed_by(pause)
            }
            Err(_) => Player::of_samples(tones::samples(tones::tone_for(&Prompt::Word(word)))),
        }
    }
}

/// What to do about the file of this name; the commands contain the name.
fn remedy_for(remedy: Remedy, name: &str) -> String {
    match remedy {
        Remedy::Convert => format!("convert it: {}", folder::conversion(name, "")),
        Remedy::Again => "copy it to the card again, or make it anew".to_owned(),
        Remedy::Shorten => format!("shorten it: {}", folder::conversion(name, "-t 90 ")),
        Remedy::Unpack => "unpack it, and copy what is in it to the card".to_owned(),
    }
}

/// What a text beside a prompt says. One that cannot be read, or not every letter of it, is reported as unused.
fn text_of(dir: &Path, placed: &Placed, unused: &mut Vec<Unused>) -> Option<String> {
    let path = dir
        .join(placed.folder.as_deref().unwrap_or(""))
        .join(&placed.name);
    let mut bytes = Vec::new();
    let read = std::fs::metadata(&path).and_then(|facts| match facts.is_file() {
        true => std::fs::File::open(&path)?
            .take(MAX_TEXT_FILE)
            .read_to_end(&mut bytes),
        false => Err(std::io::Error::other("is no file")),
    });
    let mut report = |why: String, remedy: &str| {
        unused.push(Unused {
            file: path.display().to_string(),
            why,
            remedy: remedy.into(),
            weight: Weight::Spare,
            prompt: None,
        });
    };
    if let Err(error) = read {
        let why = format!("cannot be read: {error}; the screen shows the prompt without its text");
        report(why, "copy it to the card again");
        return None;
    }
    let is_cut = bytes.len() as u64 == MAX_TEXT_FILE;
    match booth_host::text::text_of(&bytes) {
        Ok(text) => booth_audio::readable(&text),
        // What is no letter is shown as such.
        Err(why) => {
            if !is_cut {
                report(why.to_string(), "");
            }
            booth_audio::readable(&String::from_utf8_lossy(&bytes))
        }
    }
}

/// The level of a prompt without its pauses: root mean square of its samples.
fn level(mut player: Player<'_>) -> f64 {
    let block = Samples::in_ms(20).as_len();
    let (mut squares, mut count) = (0.0, 0usize);
    while let Some(piece) = player.next_piece() {
        for block in piece.chunks(block) {
            let sum: f64 = block.iter().map(|s| f64::from(*s).powi(2)).sum();
            if sum > PAUSE_LEVEL.powi(2) * block.len() as f64 {
                squares += sum;
                count += block.len();
            }
        }
    }
    (squares / count.max(1) as f64).sqrt()
}

/// The files of the folder while they are read.
struct Shelf<'a> {
    dir: &'a Path,
    files: std::collections::BTreeMap<String, Vec<Placed>>,
    unused: &'a mut Vec<Unused>,
}

impl Shelf<'_> {
    /// What `read` makes of the first file of a prompt that it can read; the other files are reported as unused.
    fn first<T>(
        &mut self,
        name: &str,
        instead: &str,
        read: impl Fn(File) -> Result<T, Unplayable>,
    ) -> Option<T> {
        let mut found: Option<(T, String)> = None;
        let mut broken = Vec::new();
        for placed in self.files.remove(name).unwrap_or_default() {
            let path = match &placed.folder {
                Some(folder) => self.dir.join(folder).join(&placed.name),
                None => self.dir.join(&placed.name),
            };
            let file = path.display().to_string();
            if let Some((_, played)) = &found {
                self.unused.push(Unused {
                    file,
                    why: format!("is not used: {played} is played"),
                    remedy: "take one of them away".into(),
                    weight: Weight::Spare,
                    prompt: None,
                });
                continue;
            }
            match File::open(path).and_then(&read) {
                Ok(read) => found = Some((read, placed.to_string())),
                Err(why) => broken.push((file, why, placed.name)),
            }
        }
        for (file, why, placed) in broken {
            let (instead, weight) = match &found {
                Some((_, played)) => (format!("{played} is played"), Weight::Spare),
                None => (instead.to_owned(), Weight::Lacking),
            };
            self.unused.push(Unused {
                file,
                why: format!("{}; {instead}", why.what),
                remedy: remedy_for(why.remedy, &placed),
                weight,
                prompt: (weight == Weight::Lacking).then(|| name.to_owned()),
            });
        }
        found.map(|(read, _)| read)
    }
}

/// Lists every file of the folder and of the folders in it. Returns what is not looked at. A missing folder is no fault:
/// tones stand in.
fn list(dir: &Path, files: &mut Vec<Placed>) -> Vec<Unused> {
    let mut unused = Vec::new();
    let mut left = vec![None];
    let mut seen = 0;
    while let Some(folder) = left.pop() {
        let path = match &folder {
            Some(folder) => dir.join(folder),
            None => dir.to_owned(),
        };
        let mut pass_over = |path: &Path, why: String, remedy: &str, weight| {
            unused.push(Unused {
                file: path.display().to_string(),
                why,
                remedy: remedy.into(),
                weight,
                prompt: None,
            });
        };
        let entries = match std::fs::read_dir(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                let remedy = "let the user booth-gateway read it: chmod -R a+rX";
                let why = format!("cannot be read: {error}");
                pass_over(&path, why, remedy, Weight::Lacking);
                continue;
            }
            Ok(entries) => entries,
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let why = format!("cannot be listed to its end: {error}");
                    pass_over(&path, why, "look at the card", Weight::Lacking);
                    break;
                }
            };
            seen += 1;
            if seen > MOST_ENTRIES {
                let why = format!(
                    "has more than {MOST_ENTRIES} files, of which the rest is not looked at"
                );
                pass_over(dir, why, "leave prompts alone in it", Weight::Lacking);
                left.clear();
                break;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_folder = std::fs::metadata(entry.path()).is_ok_and(|facts| facts.is_dir());
            match (is_folder, &folder) {
                (true, _) if folder::is_debris(&name) => {}
                (true, None) => left.push(Some(name)),
                (true, Some(_)) => {
                    let (why, remedy) = folder::NESTED;
                    pass_over(&entry.path(), why.into(), remedy, Weight::Spare);
                }
                (false, folder) => files.push(Placed {
                    folder: folder.clone(),
                    name,
                }),
            }
        }
    }
    files.sort();
    unused
}

/// A file of the prompt folder.
struct File {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl File {
    fn open(path: PathBuf) -> Result<Self, Unplayable> {
        let unreadable = |error: std::io::Error| {
            Unplayable::new(format!("cannot be read: {error}"), Remedy::Again)
        };
        let facts = std::fs::metadata(&path).map_err(unreadable)?;
        if !facts.is_file() {
            return Err(Unplayable::new("is no file", Remedy::Again));
        }
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&path).map_err(unreadable)?;
        file.take(MAX_FILE + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > MAX_FILE {
            let what = format!("is larger than {MAX_FILE} bytes");
            return Err(Unplayable::new(what, Remedy::Convert));
        }
        Ok(Self { path, bytes })
    }

    /// First 16 hex digits of its SHA-256.
    fn hash(&self) -> String {
        hex(&Sha256::digest(&self.bytes))[..16].to_owned()
    }
}

#[cfg(test)]
mod tests;
