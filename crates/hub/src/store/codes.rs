//! One-time codes for votes: which questions count votes with a code alone, the list of each campaign, and which codes are used.
//!
//! | file in `<store>-private/codes/<campaign>/` | what it is |
//! | --- | --- |
//! | `campaign.json` | the campaign's id, and its questions whose votes need a code |
//! | `list` | the codes of the campaign, as hashes, a line each |
//! | `used/<question>/<hash>` | a code that was used on this question; in it, by which vote |
//!
//! Owns: these names, and that the first vote with a code is the one that counts, whoever asks: a booth's vote in the store's thread, and
//! a page of the hub, may ask at once. Never does: keep a code, or free one: a vote that is taken back stays the vote of its code. A failure
//! leaves a code unused, or used by the vote that is offered again.
#![allow(clippy::disallowed_methods)] // the hub's own file work; each step names its fsync

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::apart::rename_new;
use super::backup_files::Copier;
use super::private::{self, Private};
use super::{StoreError, VoteCode, fsync};
use crate::door::clip_id_of;
use crate::keys::KeysError;
use crate::receipts::{CodeMark, ReceiptKey};
use booth_contract::{ClipId, OneTimeCode, hex};

/// Most codes of one campaign.
pub const MOST_CODES: usize = 200_000;

/// What a code comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// This vote counts; so does the same vote when it is offered again.
    Counted,
    /// Another vote on this question has used it.
    Used,
    /// It is on no list of this campaign.
    Unknown,
}

/// What became of a vote on a question whose votes need a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// It counts.
    Counted,
    /// Its code was used before.
    Used,
    /// Its code is on no list.
    Unknown,
    /// It came without a code.
    Missing,
    /// Its code is sealed to a key that is not here.
    Sealed,
}

impl Verdict {
    /// Its name in the database.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Used => "used",
            Self::Unknown => "unknown",
            Self::Missing => "missing",
            Self::Sealed => "sealed",
        }
    }

    /// The verdict of this name.
    pub(super) fn read(text: &str) -> Option<Self> {
        let all = [
            Self::Counted,
            Self::Used,
            Self::Unknown,
            Self::Missing,
            Self::Sealed,
        ];
        all.into_iter().find(|verdict| verdict.as_str() == text)
    }
}

impl From<Taken> for Verdict {
    fn from(taken: Taken) -> Self {
        match taken {
            Taken::Counted => Self::Counted,
            Taken::Used => Self::Used,
            Taken::Unknown => Self::Unknown,
        }
    }
}

/// Which questions of a campaign need codes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Needs {
    campaign: String,
    questions: BTreeSet<String>,
}

/// How many codes a campaign has, and how many of them are used, by question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// On the list.
    pub codes: usize,
    /// Questions whose votes need a code, each with the number of codes that were used on it.
    pub used: BTreeMap<String, usize>,
}

/// A campaign's list as it was read, with the length of its file then.
type List = (u64, Arc<HashSet<CodeMark>>);

/// The folder. Cheap to make: what was read is read again only when it has changed.
#[derive(Debug)]
pub(crate) struct Codes {
    dir: PathBuf,
    lists: Mutex<HashMap<PathBuf, List>>,
}

/// A name that is a file's name, whatever people call their campaign.
fn file_name(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))[..32].to_owned()
}

impl Codes {
    /// The folder that belongs to the store in this folder.
    pub(crate) fn beside(store: &Path) -> Self {
        Self {
            dir: Private::beside(store).codes(),
            lists: Mutex::default(),
        }
    }

    fn campaign(&self, campaign: &str) -> PathBuf {
        self.dir.join(file_name(campaign))
    }

    fn needs_of(&self, campaign: &str) -> Result<Needs, StoreError> {
        let path = self.campaign(campaign).join("campaign.json");
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|error| StoreError::file("reading", &path, error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Needs {
                campaign: campaign.to_owned(),
                questions: BTreeSet::new(),
            }),
            Err(error) => Err(StoreError::file("reading", &path, error)),
        }
    }

    /// Whether votes on this question count with a code alone.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(crate) fn needs(&self, campaign: &str, question: &str) -> Result<bool, StoreError> {
        Ok(self.needs_of(campaign)?.questions.contains(question))
    }

    /// Has votes on these questions count with a code alone, from now on and for good; durable when this returns.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(crate) fn ask_for(
        &self,
        campaign: &str,
        questions: impl IntoIterator<Item = String>,
    ) -> Result<(), StoreError> {
        let mut needs = self.needs_of(campaign)?;
        let before = needs.questions.len();
        needs.questions.extend(questions);
        if needs.questions.len() == before {
            return Ok(());
        }
        let path = self.campaign(campaign).join("campaign.json");
        let text = serde_json::to_vec(&needs)
            .map_err(|error| StoreError::file("writing", &path, error.into()))?;
        private::write(&path, &text)
    }

    fn list(&self, campaign: &str) -> Result<Arc<HashSet<CodeMark>>, StoreError> {
        let path = self.campaign(campaign).join("list");
        let length = match fs::metadata(&path) {
            Ok(file) => file.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Arc::default()),
            Err(error) => return Err(StoreError::file("reading", &path, error)),
        };
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, list)) = lists.get(&path)
            && *known == length
        {
            return Ok(list.clone());
        }
        let text = fs::read_to_string(&path).map_err(|e| StoreError::file("reading", &path, e))?;
        let list: Arc<HashSet<CodeMark>> =
            Arc::new(text.lines().filter_map(CodeMark::read).collect());
        lists.insert(path, (length, list.clone()));
        Ok(list)
    }

    /// Adds codes to the list of a campaign; durable when this returns.
    fn add(&self, campaign: &str, marks: &HashSet<CodeMark>) -> Result<(), StoreError> {
        let list = self.list(campaign)?;
        let all: BTreeSet<&CodeMark> = list.iter().chain(marks).collect();
        let text: String = all
            .iter()
            .map(|mark| format!("{}\n", mark.as_str()))
            .collect();
        private::write(&self.campaign(campaign).join("list"), text.as_bytes())
    }

    /// Uses a code for this vote, durably, if no other vote on this question has used it.
    ///
    /// # Errors
    /// Every error of the file system; the vote may be offered again.
    pub(crate) fn take(
        &self,
        campaign: &str,
        question: &str,
        mark: &CodeMark,
        by: &str,
    ) -> Result<Taken, StoreError> {
        if !self.list(campaign)?.contains(mark) {
            return Ok(Taken::Unknown);
        }
        let folder = self
            .campaign(campaign)
            .join("used")
            .join(file_name(question));
        private::make_folder(&folder)?;
        let place = folder.join(mark.as_str());
        if !place.exists() {
            // Whole before it has its name: of two that come at once the one whose file is named first has the code.
            let unfinished = folder.join(format!(".{}.{}", mark.as_str(), file_name(by)));
            fs::write(&unfinished, by).map_err(|e| StoreError::file("writing", &unfinished, e))?;
            fsync(&unfinished)?;
            match rename_new(&unfinished, &place) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    private::wipe(&unfinished)?;
                }
                Err(error) => return Err(StoreError::file("renaming to", &place, error)),
            }
        }
        fsync(&folder)?;
        let first = fs::read(&place).map_err(|e| StoreError::file("reading", &place, e))?;
        Ok(match first == by.as_bytes() {
            true => Taken::Counted,
            false => Taken::Used,
        })
    }

    fn counts(&self, campaign: &str) -> Result<Counts, StoreError> {
        let mut used = BTreeMap::new();
        for question in self.needs_of(campaign)?.questions {
            let folder = self
                .campaign(campaign)
                .join("used")
                .join(file_name(&question));
            used.insert(question, private::files_in(&folder)?.len());
        }
        Ok(Counts {
            codes: self.list(campaign)?.len(),
            used,
        })
    }
}

/// Adds the codes of a folder to another one, as it is done for a backup and when it is put back: a code that was used in either is used, a
/// code on the list of either is on it, and a question that needs codes in either needs them.
///
/// # Errors
/// Every error of the file system.
pub(super) fn add_all(from: &Path, to: &Path, copier: &mut Copier) -> Result<(), StoreError> {
    for campaign in private::files_in(from)? {
        let there = to.join(campaign.file_name().unwrap_or_default());
        for question in private::files_in(&campaign.join("used"))? {
            let used = there
                .join("used")
                .join(question.file_name().unwrap_or_default());
            for code in private::files_in(&question)? {
                let place = used.join(code.file_name().unwrap_or_default());
                if !place.exists() {
                    copier.copy(&code, &place)?;
                }
            }
        }
        let lists = [&campaign, &there].map(|folder| private::lines_of(&folder.join("list")));
        let [here, before] = lists;
        let before: BTreeSet<String> = before?.into_iter().collect();
        let mut all = before.clone();
        all.extend(here?);
        if all.len() > before.len() {
            let text: String = all.iter().map(|mark| format!("{mark}\n")).collect();
            copier.put(text.as_bytes(), &there.join("list"))?;
        }
        let [here, before] = [&campaign, &there].map(|folder| -> Result<Needs, StoreError> {
            let path = folder.join("campaign.json");
            match fs::read(&path) {
                Ok(text) => serde_json::from_slice(&text)
                    .map_err(|error| StoreError::file("reading", &path, error.into())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Needs::default()),
                Err(error) => Err(StoreError::file("reading", &path, error)),
            }
        });
        let (mut needs, before) = (here?, before?);
        if needs.campaign.is_empty() {
            continue;
        }
        needs.questions.extend(before.questions.iter().cloned());
        if needs != before {
            let path = there.join("campaign.json");
            let text = serde_json::to_vec(&needs)
                .map_err(|error| StoreError::file("writing", &path, error.into()))?;
            copier.put(&text, &path)?;
        }
    }
    Ok(())
}

/// Why codes could not be made or taken.
#[derive(Debug, thiserror::Error)]
pub enum CodesError {
    /// A file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key of the hashes.
    #[error(transparent)]
    Key(#[from] KeysError),
    /// The list would be too long.
    #[error("a campaign has at most {MOST_CODES} codes, and {0} are there already")]
    TooMany(usize),
    /// The emergency numbers leave no code.
    #[error("these emergency numbers leave no codes that contain none of them")]
    NoneLeft,
}

/// The codes of a hub, for whoever takes votes: the booths' are taken by the store, and a page that takes votes from home asks here, on the
/// same lists.
#[derive(Debug)]
pub struct VoteCodes {
    codes: Codes,
    key: Arc<ReceiptKey>,
}

impl VoteCodes {
    /// The codes that belong to the store in this folder. The key of the hashes is made where there is none.
    ///
    /// # Errors
    /// A key that cannot be read or made.
    pub fn open(store: &Path) -> Result<Self, CodesError> {
        let key = ReceiptKey::read_or_make(&Private::beside(store).receipt_key()?)?;
        Ok(Self::under(store, Arc::new(key)))
    }

    /// The same under a key that is in memory already.
    pub(crate) fn under(store: &Path, key: Arc<ReceiptKey>) -> Self {
        let codes = Codes::beside(store);
        Self { codes, key }
    }

    /// Makes so many codes and adds their hashes to the campaign's list, durably, before it answers with the codes: nothing else holds
    /// them. None contains `112` or one of these numbers.
    ///
    /// # Errors
    /// Every error of the file system; too many codes; emergency numbers that leave none.
    pub fn make(
        &self,
        campaign: &str,
        count: usize,
        emergency: &[Vec<u8>],
        mut random: impl FnMut(&mut [u8]),
    ) -> Result<Vec<OneTimeCode>, CodesError> {
        let list = self.codes.list(campaign)?;
        if list.len() + count > MOST_CODES {
            return Err(CodesError::TooMany(list.len()));
        }
        let (mut codes, mut marks) = (Vec::with_capacity(count), HashSet::new());
        while codes.len() < count {
            let code = OneTimeCode::generate(&mut random, emergency).ok_or(CodesError::NoneLeft)?;
            let mark = self.key.code(campaign, &code);
            if !list.contains(&mark) && marks.insert(mark) {
                codes.push(code);
            }
        }
        self.codes.add(campaign, &marks)?;
        Ok(codes)
    }

    /// Whether votes on this question count with a code alone.
    ///
    /// # Errors
    /// Every error of the file system.
    pub fn needs_code(&self, campaign: &str, question: &str) -> Result<bool, CodesError> {
        Ok(self.codes.needs(campaign, question)?)
    }

    /// Uses a code for the vote of this id, durably: the first one wins. The same vote may be offered again.
    ///
    /// # Errors
    /// Every error of the file system.
    pub fn take_code(
        &self,
        campaign: &str,
        question: &str,
        code: &OneTimeCode,
        vote: &ClipId,
    ) -> Result<Taken, CodesError> {
        let mark = self.key.code(campaign, code);
        Ok(self.codes.take(campaign, question, &mark, vote.as_str())?)
    }

    /// A code that was typed for a vote from home, and the id of that vote: nothing is used yet.
    pub(crate) fn vote_from_home(
        &self,
        campaign: &str,
        question: &str,
        code: OneTimeCode,
    ) -> (ClipId, VoteCode) {
        let id = clip_id_of(self.key.vote_from_home(campaign, question, &code));
        let mark = self.key.code(campaign, &code);
        (id, VoteCode { code, mark })
    }

    /// How many codes there are, and how many are used.
    ///
    /// # Errors
    /// Every error of the file system.
    pub fn counts(&self, campaign: &str) -> Result<Counts, CodesError> {
        Ok(self.codes.counts(campaign)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use booth_sealing::{KernelRandom, Random};

    fn random(bytes: &mut [u8]) {
        KernelRandom.fill(bytes).expect("the kernel's chance");
    }

    fn open(folder: &Path) -> VoteCodes {
        VoteCodes::open(&folder.join("store")).expect("opens")
    }

    #[test]
    fn the_first_vote_with_a_code_counts_once_a_question_also_when_it_is_offered_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let codes = open(folder.path());
        let made = codes.make("tree", 3, &[], random).expect("made");
        let take = |code: &OneTimeCode, question: &str, vote: &str| {
            // A hub that started again, each time.
            let taken = open(folder.path()).take_code("tree", question, code, &vote.into());
            taken.expect("taken")
        };
        assert_eq!(take(&made[0], "which", "v1"), Taken::Counted);
        assert_eq!(take(&made[0], "which", "v1"), Taken::Counted);
        assert_eq!(take(&made[0], "which", "v2"), Taken::Used);
        assert_eq!(take(&made[0], "where", "v3"), Taken::Counted);
        assert_eq!(take(&made[1], "which", "v2"), Taken::Counted);
        let stranger = OneTimeCode::generate(random, &[]).expect("a code");
        assert_eq!(take(&stranger, "which", "v4"), Taken::Unknown);
        // The codes of one campaign count in no other.
        let other = codes.take_code("square", "which", &made[2], &"v5".into());
        assert_eq!(other.expect("taken"), Taken::Unknown);
        codes
            .codes
            .ask_for("tree", ["which".to_owned(), "where".to_owned()])
            .expect("kept");
        let counts = codes.counts("tree").expect("counted");
        let used = BTreeMap::from([("where".to_owned(), 1), ("which".to_owned(), 2)]);
        assert_eq!(counts, Counts { codes: 3, used });
    }

    #[test]
    fn of_many_who_use_one_code_at_once_one_vote_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let made = open(folder.path()).make("tree", 1, &[], random);
        let code = &made.expect("made")[0];
        let taken: Vec<Taken> = std::thread::scope(|scope| {
            let voters: Vec<_> = (0..8)
                .map(|n| {
                    let folder = folder.path();
                    scope.spawn(move || {
                        let vote = format!("vote-{n}");
                        let taken =
                            open(folder).take_code("tree", "which", code, &vote.as_str().into());
                        taken.expect("taken")
                    })
                })
                .collect();
            voters
                .into_iter()
                .map(|voter| voter.join().expect("no panic"))
                .collect()
        });
        let counted = taken.iter().filter(|taken| **taken == Taken::Counted);
        assert_eq!(counted.count(), 1, "{taken:?}");
    }

    #[test]
    fn no_file_holds_a_code_and_a_list_grows_without_forgetting_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let codes = open(folder.path());
        let first = codes
            .make("tree", 20, &[vec![9, 1, 1]], random)
            .expect("made");
        let second = codes.make("tree", 20, &[], random).expect("made");
        for code in first.iter().chain(&second) {
            let taken = codes.take_code("tree", "q", code, &"v".into());
            assert_eq!(taken.expect("taken"), Taken::Counted);
        }
        let mut folders = vec![folder.path().to_owned()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = String::from_utf8_lossy(&fs::read(&path).expect("reads")).into_owned();
                for code in first.iter().chain(&second) {
                    let name = path.to_string_lossy();
                    assert!(!text.contains(&**code.to_text()) && !name.contains(&**code.to_text()));
                }
            }
        }
        assert!(matches!(
            codes.make("tree", MOST_CODES, &[], random),
            Err(CodesError::TooMany(40))
        ));
        let all: Vec<Vec<u8>> = (0..10).map(|digit| vec![digit]).collect();
        assert!(matches!(
            codes.make("tree", 1, &all, random),
            Err(CodesError::NoneLeft)
        ));
    }

    #[test]
    fn a_question_that_needs_codes_needs_them_for_good() {
        let folder = tempfile::tempdir().expect("a folder");
        let codes = Codes::beside(&folder.path().join("store"));
        assert!(!codes.needs("tree", "which").expect("reads"));
        codes.ask_for("tree", ["which".to_owned()]).expect("kept");
        codes.ask_for("tree", []).expect("kept");
        let again = Codes::beside(&folder.path().join("store"));
        assert!(again.needs("tree", "which").expect("reads"));
        assert!(!again.needs("tree", "where").expect("reads"));
        assert!(!again.needs("square", "which").expect("reads"));
    }
}
