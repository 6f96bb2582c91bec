//! What was published, durably: the campaigns of every edition, and for each booth the version that was sent last.
//!
//! Owns: `campaigns/state.json` in the store's folder, and the lock that lets one command at a time change it. Never does: connect. The
//! state is written before anything leaves, so that no version is ever used twice, whatever happens in between. A failure leaves the state
//! before.
#![allow(clippy::disallowed_methods)] // reads and locks its own files

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use booth_city::sentence;
use booth_contract::MediaHash;
use booth_host::{clock, plain_file};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::CampaignError;
use super::children::Children;
use super::file::Booths;
use super::merge;
use super::parcel::Parcel;
use super::stops::Stops;

/// Version of the file.
const SCHEMA: u64 = 1;
/// Its name in the folder of campaigns.
const FILE: &str = "state.json";
/// Editions that can be gone back to.
const MOST_EDITIONS: usize = 20;
/// How long a change waits for whoever has the register.
const PATIENCE_MS: u64 = 5_000;
/// And how often it looks meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A campaign as it was published, with its prompts made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) title: String,
    pub(super) booths: Booths,
    /// The language in which its booths ask first.
    pub(super) language: String,
    /// What becomes of a child's message.
    #[serde(default)]
    pub(super) children: Children,
    /// The fields of a configuration with this campaign alone.
    pub(super) fields: Map<String, Value>,
    /// The file that it came from, word for word.
    pub(super) source: String,
    /// When it was published, RFC 3339 UTC.
    pub(super) at: String,
}

/// All campaigns that are published at a time, by their ids.
pub(super) type Campaigns = BTreeMap<String, Ready>;

/// What was published, or withdrawn, at one time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Edition {
    /// Its number, from 1 on.
    pub(super) no: u64,
    /// When, RFC 3339 UTC.
    pub(super) at: String,
    /// What was done: `publish square-2026`.
    pub(super) what: String,
    /// The edition whose campaigns it has: itself, or the one that an undo went back to; 0 for the time before the first.
    pub(super) same_as: u64,
    pub(super) campaigns: Campaigns,
}

/// What was sent to a booth last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Sent {
    pub(super) version: u64,
    /// When it was made, RFC 3339 UTC.
    pub(super) at: String,
    /// The campaigns in it.
    pub(super) campaigns: Vec<String>,
    /// The prompts in it.
    pub(super) media: BTreeSet<MediaHash>,
    /// The payload, word for word.
    pub(super) payload: String,
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    schema: u64,
    editions: Vec<Edition>,
    /// By booth.
    pub(super) booths: BTreeMap<String, Sent>,
    /// Prompts that may be retained at the broker.
    pub(super) at_broker: BTreeSet<MediaHash>,
    /// Booths for which something was noted that the broker does not have yet: new ones, and those of a question that was stopped.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) owed: BTreeSet<String>,
    /// Questions that are asked nowhere at the moment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) stopped: Stops,
    /// What was asked in every campaign that was ever published, by its id: its messages stay when it is over.
    #[serde(default)]
    pub(super) asked: BTreeMap<String, Asked>,
}

/// What has to be known of a campaign as long as its messages are here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// What may become of a child's message.
    pub children: Children,
    /// Seconds between two votes at a booth, by question, as the campaign was published last.
    pub min_pause_s: BTreeMap<String, u32>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            editions: Vec::new(),
            booths: BTreeMap::new(),
            at_broker: BTreeSet::new(),
            owed: BTreeSet::new(),
            stopped: Stops::new(),
            asked: BTreeMap::new(),
        }
    }
}

impl State {
    /// The campaigns that are published.
    pub(super) fn campaigns(&self) -> Campaigns {
        let latest = self.editions.last();
        latest
            .map(|edition| edition.campaigns.clone())
            .unwrap_or_default()
    }

    /// The latest edition.
    pub(super) fn latest(&self) -> Option<&Edition> {
        self.editions.last()
    }

    /// Begins an edition with these campaigns.
    pub(super) fn begin(
        &mut self,
        at: &str,
        what: String,
        campaigns: Campaigns,
        same_as: Option<u64>,
    ) {
        let no = self.latest().map_or(0, |edition| edition.no) + 1;
        self.editions.push(Edition {
            no,
            at: at.to_owned(),
            what,
            same_as: same_as.unwrap_or(no),
            campaigns,
        });
        let published = self.editions.last().map(|edition| &edition.campaigns);
        for (id, ready) in published.into_iter().flatten() {
            let questions = merge::campaign_of(ready).map(|campaign| campaign.questions);
            let pauses = questions.into_iter().flatten();
            let pauses = pauses.filter_map(|question| Some((question.id, question.min_pause_s?)));
            let asked = Asked {
                children: ready.children,
                min_pause_s: pauses.collect(),
            };
            self.asked.insert(id.clone(), asked);
        }
        let over = self.editions.len().saturating_sub(MOST_EDITIONS);
        self.editions.drain(..over);
    }

    /// What is stopped from now on; a stop that is new learns with which version it is at each booth.
    pub(super) fn stop<'p>(
        &mut self,
        stops: &Stops,
        parcels: impl Iterator<Item = &'p Parcel> + Clone,
    ) {
        let mut stops = stops.clone();
        for (campaign, questions) in &mut stops {
            let before = self.stopped.get(campaign);
            for (question, stop) in questions {
                if before.is_some_and(|before| before.contains_key(question)) {
                    continue;
                }
                for parcel in parcels.clone() {
                    let booths = parcel.booths.iter();
                    stop.versions
                        .extend(booths.map(|booth| (booth.clone(), parcel.version)));
                }
            }
        }
        self.stopped = stops;
    }

    /// The edition that an undo goes back to: the number of its campaigns' own edition, and the campaigns. Undone twice, the one before
    /// that. `None` if there is nothing to take back, or it is not kept any more.
    pub(super) fn before(&self) -> Option<(u64, Campaigns)> {
        let latest = self.latest()?;
        // Editions that were undone count as if they had never been.
        let mut wanted = latest.same_as.checked_sub(1)?;
        loop {
            if wanted == 0 {
                return Some((0, Campaigns::new()));
            }
            let found = self.editions.iter().find(|edition| edition.no == wanted)?;
            if found.same_as == wanted {
                return Some((wanted, found.campaigns.clone()));
            }
            wanted = found.same_as;
        }
    }

    /// The version that may be sent to these booths: higher than each was sent, or has said that it knows, and not below the time, in seconds
    /// since 1970, so that it rises even where the state was lost.
    pub(super) fn next_version<'a>(
        &self,
        booths: impl IntoIterator<Item = &'a str>,
        known: &BTreeMap<String, u64>,
        now_s: i64,
    ) -> u64 {
        let of_booth = |booth: &str| {
            let sent = self.booths.get(booth).map(|sent| sent.version);
            sent.max(known.get(booth).copied())
                .map_or(0, |version| version.saturating_add(1))
        };
        let highest = booths.into_iter().map(of_booth).max().unwrap_or(0);
        highest.max(u64::try_from(now_s).unwrap_or(0)).max(1)
    }

    /// Every prompt that some booth has, that may be at the broker, or that an undo may bring back; `None` if a campaign that is kept
    /// cannot be read, so that it is not known.
    pub(super) fn all_media(&self) -> Option<BTreeSet<MediaHash>> {
        let mut all = self.wanted_media();
        all.extend(self.at_broker.iter().cloned());
        for ready in self
            .editions
            .iter()
            .flat_map(|edition| edition.campaigns.values())
        {
            all.extend(merge::configuration_of(ready)?.media());
        }
        Some(all)
    }

    /// Every prompt that the latest configuration of some booth names.
    pub(super) fn wanted_media(&self) -> BTreeSet<MediaHash> {
        self.booths
            .values()
            .flat_map(|sent| sent.media.clone())
            .collect()
    }
}

/// The folder of campaigns within the store's.
pub(super) fn folder_in(store: &Path) -> PathBuf {
    store.join("campaigns")
}

/// The state's file in the store's folder.
pub(super) fn file_in(store: &Path) -> PathBuf {
    folder_in(store).join(FILE)
}

/// The state, for whoever only looks; nothing was published where there is none.
///
/// # Errors
/// A state that cannot be read.
pub(super) fn look(folder: &Path) -> Result<State, CampaignError> {
    let path = folder.join(FILE);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(State::default()),
        Err(error) => return Err(CampaignError::file(&path, error)),
    };
    let broken = |why: String| {
        CampaignError::refused(format!(
            "{} cannot be read ({why}): restore it from the store's backup, or move it away and publish every campaign again; versions go on \
             rising all the same",
            path.display()
        ))
    };
    let state: State = serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))?;
    match state.schema {
        SCHEMA => Ok(state),
        schema => Err(broken(format!(
            "it has schema {schema}, this program knows {SCHEMA}"
        ))),
    }
}

/// The turn to make prompts, or to publish: one at a time does, and may take minutes over it. Whoever stops a question needs no such turn. Blocks.
///
/// # Errors
/// Somebody else has it for longer than a moment.
pub(super) fn turn_to_publish(store: &Path) -> Result<File, CampaignError> {
    in_its_turn(|| lock(&folder_in(store), "publishing"))
}

/// What is waited for a little, because somebody else has it.
fn in_its_turn<T>(
    mut take: impl FnMut() -> Result<Option<T>, CampaignError>,
) -> Result<T, CampaignError> {
    let begun = clock::mono();
    loop {
        match take()? {
            Some(taken) => return Ok(taken),
            None if clock::mono().0.saturating_sub(begun.0) > PATIENCE_MS => {
                return Err(CampaignError::Told(sentence!("hub-at-work")));
            }
            None => std::thread::sleep(LOOK_AGAIN),
        }
    }
}

/// Locks a file of this name in the folder, for as long as the answer lives; `None` while somebody else has it.
fn lock(folder: &Path, name: &str) -> Result<Option<File>, CampaignError> {
    plain_file::make_private_folder(folder).map_err(|error| CampaignError::file(folder, error))?;
    let path = folder.join(name);
    let lock = File::create(&path).map_err(|error| CampaignError::file(&path, error))?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(lock)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(why) => Err(CampaignError::file(&path, why.into())),
    }
}

/// The state, for the one who changes it.
#[derive(Debug)]
pub(super) struct Register {
    folder: PathBuf,
    pub(super) state: State,
    /// Held until the end.
    _lock: File,
}

impl Register {
    /// Opens the state of this store's campaigns; waits a little for whoever has it: a running hub has it for a moment now and then. Blocks.
    ///
    /// # Errors
    /// Another command is at work for longer than that; a state that cannot be read.
    pub(super) fn open(store: &Path) -> Result<Self, CampaignError> {
        in_its_turn(|| Self::open_if_free(store))
    }

    /// Opens the state of this store's campaigns; `None` while somebody else has it.
    ///
    /// # Errors
    /// A state that cannot be read.
    pub(super) fn open_if_free(store: &Path) -> Result<Option<Self>, CampaignError> {
        let folder = folder_in(store);
        let Some(lock) = lock(&folder, "lock")? else {
            return Ok(None);
        };
        let state = look(&folder)?;
        Ok(Some(Self {
            folder,
            state,
            _lock: lock,
        }))
    }

    /// Makes the state durable.
    ///
    /// # Errors
    /// The errors of writing.
    pub(super) fn save(&self) -> Result<(), CampaignError> {
        let path = self.folder.join(FILE);
        let bytes = serde_json::to_vec(&self.state)
            .map_err(|error| CampaignError::refused(error.to_string()))?;
        plain_file::replace_private(&path, &bytes)
            .map_err(|error| CampaignError::file(&path, error))
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(title: &str) -> Ready {
        Ready {
            title: title.into(),
            booths: Booths::All,
            language: "da".into(),
            children: Children::Text,
            fields: Map::new(),
            source: String::new(),
            at: String::new(),
        }
    }

    fn of(names: &[&str]) -> Campaigns {
        names
            .iter()
            .map(|name| ((*name).to_owned(), ready(name)))
            .collect()
    }

    fn names(campaigns: &Campaigns) -> Vec<&str> {
        campaigns.keys().map(String::as_str).collect()
    }

    /// What an undo does.
    fn undo(state: &mut State) -> Option<Vec<String>> {
        let (same_as, campaigns) = state.before()?;
        state.begin("now", "undo".into(), campaigns.clone(), Some(same_as));
        Some(campaigns.into_keys().collect())
    }

    #[test]
    fn undo_goes_back_step_by_step_and_what_was_undone_counts_as_never_done() {
        let mut state = State::default();
        assert_eq!(undo(&mut state), None);
        state.begin("now", "publish a".into(), of(&["a"]), None);
        state.begin("now", "publish b".into(), of(&["a", "b"]), None);
        assert_eq!(undo(&mut state), Some(vec!["a".into()]));
        state.begin("now", "publish c".into(), of(&["a", "c"]), None);
        assert_eq!(names(&state.campaigns()), ["a", "c"]);
        // Not back to what was undone before.
        assert_eq!(undo(&mut state), Some(vec!["a".into()]));
        assert_eq!(undo(&mut state), Some(Vec::new()));
        assert_eq!(undo(&mut state), None);
        assert!(state.campaigns().is_empty());
    }

    #[test]
    fn editions_that_are_not_kept_cannot_be_gone_back_to() {
        let mut state = State::default();
        for n in 0..30 {
            state.begin("now", String::new(), of(&[&format!("c{n}")]), None);
        }
        for n in (10..29).rev() {
            assert_eq!(
                undo(&mut state).map(|names| names[0].clone()),
                Some(format!("c{n}")),
                "{n}"
            );
            if state.before().is_none() {
                return;
            }
        }
        panic!("what is not kept was gone back to");
    }

    #[test]
    fn versions_rise_whatever_the_clock_and_whatever_was_lost() {
        let mut state = State::default();
        let none = BTreeMap::new();
        assert_eq!(
            state.next_version(["a-1"], &none, 1_700_000_000),
            1_700_000_000
        );
        let sent = Sent {
            version: 1_700_000_000,
            at: String::new(),
            campaigns: Vec::new(),
            media: BTreeSet::new(),
            payload: String::new(),
        };
        state.booths.insert("a-1".into(), sent);
        // In the same second, and with a clock that went back.
        assert_eq!(
            state.next_version(["a-1"], &none, 1_700_000_000),
            1_700_000_001
        );
        assert_eq!(state.next_version(["a-1", "b-2"], &none, 5), 1_700_000_001);
        let known = BTreeMap::from([("b-2".to_owned(), 1_800_000_000)]);
        assert_eq!(state.next_version(["a-1", "b-2"], &known, 5), 1_800_000_001);
        assert_eq!(state.next_version(["c-3"], &known, -5), 1);
    }

    #[test]
    fn the_state_is_read_as_it_was_saved_and_one_command_at_a_time_has_it() {
        let store = tempfile::tempdir().expect("a folder");
        let mut register = Register::open(store.path()).expect("opens");
        let other = Register::open_if_free(store.path()).expect("looks");
        assert!(other.is_none());
        let refused = Register::open(store.path()).expect_err("it is held");
        assert!(refused.to_string().contains("at work"), "{refused}");
        register
            .state
            .begin("now", "publish a".into(), of(&["a"]), None);
        register.save().expect("saved");
        let saved = register.state.clone();
        drop(register);
        assert_eq!(
            Register::open(store.path()).expect("opens again").state,
            saved
        );
        let folder = folder_in(store.path());
        for broken in [
            "",
            "{}",
            "{\"schema\":2,\"editions\":[],\"booths\":{},\"at_broker\":[]}",
        ] {
            std::fs::write(folder.join("state.json"), broken).expect("written");
            let refused = look(&folder).expect_err(broken).to_string();
            assert!(
                refused.contains("publish every campaign again"),
                "{refused}"
            );
        }
    }
}
