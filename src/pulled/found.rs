//! The spools on what was named, and what every file of them is.
//!
//! Owns: where a spool is looked for, and the sums over its clips. Never does: believe that a card has clips of one booth alone, or count a clip twice
//! that lies in two spools of one card.
#![allow(clippy::disallowed_methods)] // looks whether a folder was named

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use booth_contract::export::RECEIPT_FILE;
use booth_contract::{BoothId, ClipKind};
use booth_spool::inspect::{self, Contents, Looked, Source, SpoolFile, Unfinished};
use booth_spool::real_disk::RealDisk;
use booth_spool::{Card, CardFault, KeptClip};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use uuid::Uuid;

use super::PulledError;
use super::device::Device;
use super::file_system::{self, FileSystem};

/// Where a spool is usually: of the image's data partition, of a booth that was installed by packages, and of a spool's own folder.
const USUAL: [&str; 4] = [
    "",
    "spool",
    "booth-gateway/spool",
    "var/lib/booth-gateway/spool",
];
/// How many folders are looked into where it is in none of these, and how deep.
const MOST_FOLDERS: usize = 2_000;
const DEEPEST: usize = 5;

/// What was named, opened.
pub(super) struct Opened {
    pub(super) named: PathBuf,
    places: Vec<Place>,
    /// What else is to be known, in sentences.
    notes: Vec<String>,
}

/// One spool.
pub(super) struct Place {
    pub(super) source: Rc<dyn Source>,
    /// Its folder, for people.
    pub(super) shown: String,
    pub(super) contents: Contents,
}

impl Place {
    /// What a file of it is, with the times that this card can correct.
    pub(super) fn look(&self, file: &SpoolFile, proves: bool) -> Looked {
        let mut looked = inspect::look(&*self.source, file, proves);
        if let (Looked::Whole(whole), Ok(card)) = (&mut looked, &self.contents.card) {
            whole.correct(&card.clocks);
        }
        looked
    }
}

/// Opens a device, an image or a folder and finds the spools on it.
pub(super) fn open(named: &Path) -> Result<Opened, PulledError> {
    let facts = std::fs::metadata(named).map_err(|error| PulledError::opening(named, error))?;
    let mut notes = Vec::new();
    let mut sources: Vec<(Box<dyn Source>, PathBuf)> = Vec::new();
    if facts.is_dir() {
        if named.join(RECEIPT_FILE).exists() {
            return Err(PulledError::Export(named.to_owned()));
        }
        std::fs::read_dir(named).map_err(|error| PulledError::opening(named, error))?;
        sources.push((Box::new(RealDisk::new()), named.to_owned()));
    } else if !facts.is_file() && !facts.file_type().is_block_device() {
        return Err(PulledError::Strange(named.to_owned()));
    } else {
        let regions = Device::open(named)?.file_systems()?;
        let mut failed = None;
        for region in regions {
            match FileSystem::open(named, region) {
                Ok(file_system) => sources.push((Box::new(file_system), PathBuf::new())),
                Err(error) => {
                    notes.push(error.to_string());
                    failed = Some(error);
                }
            }
        }
        if let (true, Some(error)) = (sources.is_empty(), failed) {
            return Err(error);
        }
    }
    let mut places = Vec::new();
    for (source, top) in sources {
        let source: Rc<dyn Source> = source.into();
        for root in spools_below(&*source, &top)? {
            let contents =
                inspect::contents(&*source, &root).map_err(|source| PulledError::Unreadable {
                    path: named.to_owned(),
                    source,
                })?;
            let shown = match facts.is_dir() {
                true => root.display().to_string(),
                false => file_system::shown(&root).display().to_string(),
            };
            if facts.is_dir() && is_in_use(&root) {
                notes.push(format!(
                    "a gateway uses {shown} now: what is being said there looks unfinished. booth-gateway doctor tells more of a booth that runs"
                ));
            }
            places.push(Place {
                source: Rc::clone(&source),
                shown,
                contents,
            });
        }
    }
    match places.is_empty() {
        true => Err(PulledError::NoSpool(named.to_owned())),
        false => Ok(Opened {
            named: named.to_owned(),
            places,
            notes,
        }),
    }
}

/// Whether this disk is a booth's card, or may be one: a file system that cannot be read may have messages.
///
/// # Errors
/// A disk that is not given.
pub fn may_be_a_booths_card(disk: &Path) -> Result<bool, PulledError> {
    let unreadable = |source| PulledError::opening(disk, source);
    let device = Device::open(disk)?;
    if device.is_marked().map_err(unreadable)? {
        return Ok(true);
    }
    for region in device.early_file_systems().map_err(unreadable)? {
        let Ok(file_system) = FileSystem::open(disk, region) else {
            return Ok(true);
        };
        if !spools_below(&file_system, Path::new(""))?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a gateway holds the spool's lock; asking writes nothing.
fn is_in_use(spool: &Path) -> bool {
    // A pipe in its place is not waited for.
    let how = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(lock) = rustix::fs::open(spool.join("lock"), how, Mode::empty()) else {
        return false;
    };
    flock(&lock, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
}

/// The folders of spools at the usual places below `top`, or else those of its folders that are one.
fn spools_below(source: &dyn Source, top: &Path) -> Result<Vec<PathBuf>, PulledError> {
    let mut found = Vec::new();
    for place in USUAL {
        let folder = match place.is_empty() {
            true => top.to_owned(),
            false => top.join(place),
        };
        if inspect::is_spool(source, &folder) {
            found.push(folder);
            continue;
        }
        let listed = source
            .list(&folder)
            .and_then(|_| source.list(&folder.join("clips")));
        if listed.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
            return Err(PulledError::Forbidden(folder));
        }
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let mut folders = vec![top.to_owned()];
    let mut next = 0;
    while let Some(folder) = folders.get(next).cloned() {
        next += 1;
        if inspect::is_spool(source, &folder) {
            found.push(folder);
            continue;
        }
        let depth = folder.components().count() - top.components().count();
        if depth < DEEPEST {
            let listed = source.list(&folder).unwrap_or_default();
            let inside = listed.into_iter().filter(|entry| entry.is_folder);
            let room = MOST_FOLDERS.saturating_sub(folders.len());
            folders.extend(inside.take(room).map(|entry| folder.join(entry.name)));
        }
    }
    Ok(found)
}

/// A file that is no whole clip, and what that means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where it lies on the card.
    pub path: String,
    /// What is wrong, and what to do.
    pub why: String,
}

/// A whole clip, and why it waits in quarantine if it does.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// The clip.
    pub clip: KeptClip,
    /// The reason of its quarantine.
    pub quarantine: Option<String>,
}

/// One spool, looked at.
#[derive(Debug)]
pub struct Found {
    /// Its folder.
    pub place: String,
    /// The card, or why it is not known.
    pub card: Result<Card, CardFault>,
    /// Clips that wait for the hub.
    pub clips: Vec<Waiting>,
    /// Takes that a power cut ended.
    pub unfinished: Vec<Unfinished>,
    /// How many withdrawals wait.
    pub withdrawals: usize,
    /// What is not whole.
    pub findings: Vec<Finding>,
    /// How many files the booth itself has set aside.
    pub aside: usize,
}

/// The sums of one booth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Spoken messages.
    pub messages: usize,
    /// Votes.
    pub votes: usize,
    /// Numbers that were given up.
    pub voids: usize,
    /// How many of all of them are tests.
    pub tests: usize,
    /// How many of all of them wait in quarantine.
    pub quarantined: usize,
    /// Takes that a power cut ended.
    pub unfinished: usize,
    /// Bytes of the bodies.
    pub bytes: u64,
    /// Length of the messages.
    pub duration_ms: u64,
    /// When the first and the last one were said, ms since 1970, by clocks that were right.
    pub span: Option<(i64, i64)>,
    /// How many were said while the booth's clock was not right yet.
    pub undated: usize,
}

impl Totals {
    fn add(&mut self, waiting: &Waiting) {
        let clip = &waiting.clip;
        match clip.kind {
            ClipKind::Choice => self.votes += 1,
            ClipKind::Void => self.voids += 1,
            ClipKind::Audio | ClipKind::Text => self.messages += 1,
        }
        self.tests += usize::from(clip.test);
        self.quarantined += usize::from(waiting.quarantine.is_some());
        self.bytes += clip.bytes;
        self.duration_ms += clip.duration_ms;
        if clip.kind == ClipKind::Void {
            return;
        }
        match clip.clock_synced {
            false => self.undated += 1,
            true => {
                let at = clip.kept_at_ms;
                let (first, last) = self.span.unwrap_or((at, at));
                self.span = Some((first.min(at), last.max(at)));
            }
        }
    }
}

/// Everything that was found.
#[derive(Debug)]
pub struct Spools {
    /// What was named.
    pub named: PathBuf,
    /// The spools.
    pub spools: Vec<Found>,
    /// What else is to be known, in sentences.
    pub notes: Vec<String>,
    /// Bytes of the files that were looked at.
    pub bytes: u64,
}

impl Spools {
    /// The sums of each booth.
    pub fn by_booth(&self) -> BTreeMap<BoothId, Totals> {
        let mut booths: BTreeMap<BoothId, Totals> = BTreeMap::new();
        for found in &self.spools {
            for waiting in &found.clips {
                let booth = waiting.clip.booth_id.clone();
                booths.entry(booth).or_default().add(waiting);
            }
            for take in &found.unfinished {
                booths.entry(take.booth_id.clone()).or_default().unfinished += 1;
            }
        }
        booths
    }

    /// Whether the hub has everything, as far as the card says: no message and no withdrawal waits, and nothing was found that may be a message.
    pub fn are_sent(&self) -> bool {
        self.spools.iter().all(|found| {
            found.clips.is_empty()
                && found.unfinished.is_empty()
                && found.findings.is_empty()
                && found.withdrawals == 0
                && found.aside == 0
        })
    }

    /// Whether every file is whole: a take that a power cut ended is, as far as it goes.
    pub fn is_whole(&self) -> bool {
        self.spools.iter().all(|found| found.findings.is_empty())
    }
}

/// The files of one spool, by what they are.
#[derive(Default)]
struct Sorted {
    clips: Vec<Waiting>,
    unfinished: Vec<Unfinished>,
    findings: Vec<Finding>,
}

/// Who is handed each file: its spool, that one's number, the file, and what it is.
type Take<'a, E> = &'a mut dyn FnMut(&Place, usize, &SpoolFile, Looked) -> Result<(), E>;

impl Opened {
    /// Bytes of all clips' files.
    pub(super) fn bytes(&self) -> u64 {
        let files = self.places.iter().flat_map(|place| &place.contents.clips);
        files.map(|file| file.bytes).sum()
    }

    /// Takes the files out that are longer than this, so that they are not read.
    pub(super) fn leave_larger(&mut self, most: u64) -> Vec<SpoolFile> {
        let mut larger = Vec::new();
        for place in &mut self.places {
            let clips = std::mem::take(&mut place.contents.clips);
            let (left, kept) = clips.into_iter().partition(|file| file.bytes > most);
            place.contents.clips = kept;
            larger.extend::<Vec<SpoolFile>>(left);
        }
        larger
    }

    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }

    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Hands over every clip's file with what it is; one that is whole in an earlier spool is left out. Ends with the first error of `take`.
    pub(super) fn walk<E>(
        &self,
        proves: bool,
        tell: &mut dyn FnMut(u64, u64),
        take: Take<'_, E>,
    ) -> Result<(), E> {
        let all = self.bytes();
        let mut done = 0;
        let mut known: HashSet<Uuid> = HashSet::new();
        for (number, place) in self.places.iter().enumerate() {
            for file in &place.contents.clips {
                if !file.id.is_some_and(|id| known.contains(&id)) {
                    let looked = place.look(file, proves);
                    if let (Looked::Whole(_), Some(id)) = (&looked, file.id) {
                        known.insert(id);
                    }
                    take(place, number, file, looked)?;
                }
                done += file.bytes;
                tell(done, all);
            }
        }
        Ok(())
    }

    pub(super) fn look(
        self,
        proves: bool,
        tell: &mut dyn FnMut(u64, u64),
    ) -> Result<Spools, PulledError> {
        let places = self.places.iter();
        let mut sorted: Vec<Sorted> = places.map(|_| Sorted::default()).collect();
        self.walk::<PulledError>(proves, tell, &mut |_, number, file, looked| {
            let sorted = &mut sorted[number];
            if let Some(why) = fault(&looked) {
                sorted.findings.push(finding(file, why));
            }
            match looked {
                Looked::Whole(whole) => sorted.clips.push(Waiting {
                    clip: whole.clip,
                    quarantine: whole.quarantine,
                }),
                Looked::Unfinished(take) => sorted.unfinished.push(*take),
                _ => {}
            }
            Ok(())
        })?;
        let bytes = self.bytes();
        let spools = self.places.into_iter().zip(sorted);
        let spools = spools.map(|(place, sorted)| {
            let Sorted {
                clips,
                unfinished,
                mut findings,
            } = sorted;
            let mut withdrawals = 0;
            for file in &place.contents.withdrawals {
                match inspect::withdrawal(&*place.source, file) {
                    Ok(_) => withdrawals += 1,
                    Err(why) => findings.push(finding(file, why)),
                }
            }
            Found {
                place: place.shown,
                card: place.contents.card,
                clips,
                unfinished,
                withdrawals,
                findings,
                aside: place.contents.aside,
            }
        });
        Ok(Spools {
            named: self.named,
            spools: spools.collect(),
            notes: self.notes,
            bytes,
        })
    }
}

fn finding(file: &SpoolFile, why: String) -> Finding {
    Finding {
        path: file.path.display().to_string(),
        why,
    }
}

/// What is to be done about files that the booth has set aside.
pub(super) const OF_ASIDE: &str =
    "which the booth itself could not read, and may be messages: keep the card";

/// Why a file is not handed on as a message, as a sentence with what to do.
pub(super) fn left(looked: &Looked) -> String {
    match looked {
        Looked::Unfinished(_) => {
            "a power cut ended it: the card's next start in a booth finishes it and sends it"
                .to_owned()
        }
        looked => fault(looked).unwrap_or_default(),
    }
}

/// What is wrong with a file, as a sentence with what to do; `None` if nothing is.
pub(super) fn fault(looked: &Looked) -> Option<String> {
    match looked {
        Looked::Whole(_) | Looked::Unfinished(_) | Looked::Nothing => None,
        Looked::Damaged(clip, why) => Some(format!(
            "message {} of booth {} is not whole: {why}. An export keeps the file as it is",
            clip.clip_no, clip.booth_id
        )),
        Looked::OtherVersion(version) => Some(format!(
            "it is written in version {version} of the format, which this program does not know: use the booth-gateway of the booth that \
             wrote it, or a newer one"
        )),
        Looked::NoClip(why) => Some(format!("{why}. An export keeps the file as it is")),
        Looked::NotGiven(error) => Some(format!(
            "the card does not give it: {error}. Try another reader, then a copy of the card (sudo dd if=CARD of=card.img bs=4M conv=noerror,sync)"
        )),
    }
}
