//! The prompts' way from FAT to the booth's own partition, where the gateway, which may not read FAT, finds them.
//!
//! Owns: `DATA/prompts/<language>/<file>`, and `DATA/prompts/<file>` for files that lie in no language's folder; the
//! sentence about each file that is passed over because of its name. The gateway judges the contents. Never does: remove the
//! last good prompts because FAT has none or cannot be read, or hold up the booth: every failure is a note.
//!
//! Files with equal length and time count as equal; only others are copied, each replaced in one step with the time that it
//! has on FAT. Files that FAT does not have are removed last, when everything from FAT is there.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::Places;
use super::guise::printable;
use crate::adapters::prompts::{MAX_FILE, folder};
use booth_spool::disk::{Disk, Listed, publish_dated, read_whole};

/// The folder's name in `DATA`.
pub(super) const FOLDER: &str = "prompts";
/// Largest file, bytes: the gateway reads no larger ones.
const LARGEST_FILE: u64 = MAX_FILE;
/// Most files that are named as passed over.
const MOST_NAMED: usize = 20;
/// Most files; a booth has some thirty, and a few hundred words where all are recorded anew.
const MOST_FILES: usize = 1_000;
/// Most of all together, bytes.
const MOST_BYTES: u64 = 64 << 20;
/// Longest name, bytes.
const LONGEST_NAME: usize = 100;

/// The folder on FAT that `[session] prompts` names, in any letter case.
pub(super) fn on_fat(
    disk: &dyn Disk,
    boot: &Path,
    named: &Path,
    listed: &[Listed],
) -> Option<PathBuf> {
    let mut folder = boot.to_owned();
    let mut listed = listed.to_vec();
    for component in named.components() {
        let name = match component {
            Component::Normal(name) => name.to_str()?.to_lowercase(),
            Component::CurDir => continue,
            _ => return None,
        };
        let same = |entry: &&Listed| entry.is_folder && entry.name.to_lowercase() == name;
        folder.push(&listed.iter().find(same)?.name);
        listed = disk.list(&folder).ok()?;
    }
    (folder != boot).then_some(folder)
}

/// Where prompts lie if FAT has none: those that a person has put there, or the last ones that FAT had.
pub(super) fn kept(disk: &dyn Disk, places: &Places, named: &Path) -> PathBuf {
    let own = places.spool.join(named);
    let last = places.spool.join(FOLDER);
    let is_there = |folder: &Path| disk.list(folder).is_ok_and(|listed| !listed.is_empty());
    match !is_there(&own) && is_there(&last) {
        true => last,
        false => own,
    }
}

/// Makes `to` equal to the folder `from` of FAT.
pub(super) fn bring(
    disk: &dyn Disk,
    from: &Path,
    to: &Path,
    names: &[String],
    notes: &mut Vec<String>,
) {
    let wanted = match look(disk, from, names, notes) {
        Ok(wanted) if wanted.is_empty() => return,
        Ok(wanted) => wanted,
        Err(error) => {
            notes.push(format!(
                "The prompts on the card cannot be read ({error}); the booth plays those it has. Copy them to the card again."
            ));
            return;
        }
    };
    let copied = copy(disk, &wanted, to, notes);
    let done = copied.and_then(|is_whole| match is_whole {
        true => tidy(disk, &wanted, to),
        false => Ok(()),
    });
    if let Err(error) = done {
        notes.push(format!(
            "The prompts on the card could not be copied to the booth's own partition ({error}); the booth plays those it has."
        ));
    }
}

/// One prompt on FAT.
struct Found {
    path: PathBuf,
    bytes: u64,
}

/// Prompts by language (none for files in no language's folder) and name, in small letters: the booth's own file system may
/// distinguish upper and lower case.
type Wanted = BTreeMap<(String, String), Found>;

/// The files that are passed over in the folder of prompts, and beside it.
struct Passed<'a> {
    names: &'a [String],
    sentences: Vec<String>,
}

impl Passed<'_> {
    fn name(&mut self, file: &str, why: &str, remedy: &str) {
        self.sentences
            .push(format!("The prompt {} {why}; {remedy}.", printable(file)));
    }

    /// Whether a file has to be copied; if not, it is reported where a person may have meant it as a prompt.
    fn takes(&mut self, place: &str, name: &str) -> bool {
        let is_prompt = |stem: &str| self.names.iter().any(|own| own.eq_ignore_ascii_case(stem));
        if let Some((why, remedy)) = folder::unreadable(name, &is_prompt) {
            self.name(
                &format!("{place}{name}"),
                &format!("is not used: it {why}"),
                &remedy,
            );
        }
        folder::is_sound(name) || folder::is_text_of(name, &is_prompt)
    }

    fn into_notes(mut self) -> Vec<String> {
        if self.sentences.len() > MOST_NAMED {
            let more = self.sentences.len() - MOST_NAMED;
            self.sentences.truncate(MOST_NAMED);
            self.sentences
                .push(format!("{more} more files among the prompts are not used."));
        }
        self.sentences
    }
}

/// Prompts that lie beside `booth.toml` instead of in their folder, and an archive of prompts that was not unpacked.
pub(super) fn beside(listed: &[Listed], named: &Path, names: &[String]) -> Vec<String> {
    let mut passed = Passed {
        names,
        sentences: Vec::new(),
    };
    let place = named.display();
    for file in listed.iter().filter(|entry| !entry.is_folder) {
        let name = file.name.to_lowercase();
        if folder::is_sound_of(&file.name, names) {
            let why = "lies beside booth.toml and is not used";
            passed.name(&file.name, why, &format!("put it into the folder {place}"));
        } else if name.starts_with("prompt") && name.ends_with(".zip") {
            let why = "is an archive";
            passed.name(
                &file.name,
                why,
                &format!("unpack it into the folder {place}"),
            );
        }
    }
    passed.into_notes()
}

fn look(
    disk: &dyn Disk,
    from: &Path,
    names: &[String],
    notes: &mut Vec<String>,
) -> io::Result<Wanted> {
    let mut wanted = Wanted::new();
    let (mut total, mut left_out) = (0, Vec::new());
    let mut passed = Passed {
        names,
        sentences: Vec::new(),
    };
    let mut places = vec![(String::new(), from.to_owned(), disk.list(from)?)];
    let mut languages = places[0].2.clone();
    languages.retain(|entry| entry.is_folder && !folder::is_debris(&entry.name));
    languages.sort_by(|a, b| a.name.cmp(&b.name));
    for language in languages {
        let path = from.join(&language.name);
        let files = disk.list(&path)?;
        places.push((language.name, path, files));
    }
    for (language, path, mut files) in places {
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let place = match language.as_str() {
            "" => String::new(),
            language => format!("{language}/"),
        };
        for file in files {
            if file.is_folder {
                if !language.is_empty() && !folder::is_debris(&file.name) {
                    let (why, remedy) = folder::NESTED;
                    passed.name(&format!("{place}{}/", file.name), why, remedy);
                }
                continue;
            }
            if !passed.takes(&place, &file.name) {
                continue;
            }
            let name = file.name.to_lowercase();
            let fits = file.bytes <= LARGEST_FILE
                && total + file.bytes <= MOST_BYTES
                && wanted.len() < MOST_FILES
                && name.len() <= LONGEST_NAME;
            if !fits {
                left_out.push(printable(&format!("{place}{}", file.name)));
                continue;
            }
            total += file.bytes;
            let found = Found {
                path: path.join(&file.name),
                bytes: file.bytes,
            };
            let key = (language.to_lowercase(), name);
            if let Some(other) = wanted.insert(key, found) {
                let why = "is not used: another one has its name in other letters";
                let file = other.path.strip_prefix(from).unwrap_or(&other.path);
                passed.name(&file.to_string_lossy(), why, "take one of them away");
            }
        }
    }
    notes.extend(passed.into_notes());
    if let Some(first) = left_out.first() {
        notes.push(format!(
            "{} prompts on the card are not used, {first} first: {MOST_FILES} of {LARGEST_FILE} bytes each and {MOST_BYTES} together are taken; make them smaller: ffmpeg -i FILE -ac 1 FILE.opus.",
            left_out.len()
        ));
    }
    Ok(wanted)
}

/// True if all of them are there; a prompt that FAT does not give is a note. An error means that the booth's own partition
/// failed.
fn copy(disk: &dyn Disk, wanted: &Wanted, to: &Path, notes: &mut Vec<String>) -> io::Result<bool> {
    let mut is_whole = true;
    for ((language, name), found) in wanted {
        let folder = match language.as_str() {
            "" => to.to_owned(),
            language => to.join(language),
        };
        let modified = disk.modified(&found.path).ok().flatten();
        if is_same(disk, found, modified, &folder.join(name)) {
            continue;
        }
        let bytes = match read_whole(disk, &found.path, LARGEST_FILE) {
            Ok(bytes) => bytes,
            Err(error) => {
                is_whole = false;
                let file = found.path.file_name().unwrap_or_default().to_string_lossy();
                notes.push(format!(
                    "The prompt {} cannot be read ({error}); copy it to the card again.",
                    printable(&file)
                ));
                continue;
            }
        };
        if disk.make_folder(&folder)? {
            if folder != to {
                disk.sync_folder(to)?;
            }
            to.parent()
                .map_or(Ok(()), |above| disk.sync_folder(above))?;
        }
        publish_dated(disk, &folder, name, &bytes, modified)?;
    }
    Ok(is_whole)
}

fn is_same(disk: &dyn Disk, found: &Found, modified: Option<i64>, there: &Path) -> bool {
    if modified.is_some() {
        let dated = disk.modified(there).ok().flatten() == modified;
        return dated
            && disk
                .open(there, booth_spool::disk::Open::Read)
                .and_then(|file| file.len())
                .is_ok_and(|bytes| bytes == found.bytes);
    }
    let read = |path: &Path| read_whole(disk, path, LARGEST_FILE).ok();
    read(there).is_some_and(|there| Some(there) == read(&found.path))
}

/// Removes what FAT does not have.
fn tidy(disk: &dyn Disk, wanted: &Wanted, to: &Path) -> io::Result<()> {
    let mut is_gone = false;
    for entry in disk.list(to)? {
        let path = to.join(&entry.name);
        let is_language = wanted.keys().any(|(language, _)| *language == entry.name);
        match (entry.is_folder, is_language) {
            (true, true) => {
                let mut is_less = false;
                for file in disk.list(&path)? {
                    if wanted.contains_key(&(entry.name.clone(), file.name.clone())) {
                        continue;
                    }
                    let other = path.join(&file.name);
                    match file.is_folder {
                        true => disk.remove_tree(&other)?,
                        false => disk.unlink(&other)?,
                    }
                    is_less = true;
                }
                if is_less {
                    disk.sync_folder(&path)?;
                }
            }
            (true, false) => {
                disk.remove_tree(&path)?;
                is_gone = true;
            }
            (false, _) if wanted.contains_key(&(String::new(), entry.name.clone())) => {}
            (false, _) => {
                disk.unlink(&path)?;
                is_gone = true;
            }
        }
    }
    match is_gone {
        true => disk.sync_folder(to),
        false => Ok(()),
    }
}
