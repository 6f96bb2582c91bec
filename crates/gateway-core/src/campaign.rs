//! The centre's configuration at the booth (contract §3.8): what is wanted, what is in force, what is missing.
//!
//! Owns: that a configuration is taken whole or not at all, and only when every prompt that it names is on the card; that the one
//! before stays in force until then and on any error; which versions are refused; which prompts are fetched; what is reported; and
//! what follows for a visit ([`offering`]). Pure. Never does: read a clock, touch the card or the network, check a signature or a
//! sound; whoever does says the result here.

mod fetching;
mod judging;
pub mod offering;
mod standing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use booth_contract::time::{Mono, Timestamp};
pub use booth_contract::wanted::Wanted;
use booth_contract::wanted::{Here, KeyFault, MOST_FAULTS, MOST_PROMPTS, check};
use booth_contract::{ConsentMode, MediaHash};

use crate::retry::Retry;
use crate::session::Offer;
use fetching::{Ended, Fetching};
use judging::booth_says;
use offering::{Clock, Offered};
pub use standing::Standing;

/// Pauses between tries of what the card refused.
const AGAIN: Duration = Duration::from_secs(10);
const AGAIN_LAST: Duration = Duration::from_secs(600);
/// Most prompts of configurations that were replaced during a visit that stay on the card for its sake. A handset that is left off
/// its hook is a visit, too, and must not fill the card.
const MOST_FOR_A_VISIT: usize = 2 * MOST_PROMPTS;

/// What booth.toml says, where the centre says nothing or has no say.
#[derive(Debug, Clone)]
pub struct Own {
    /// What it offers.
    pub offer: Offer,
    /// How consent is given; all but digits need exactly one question.
    pub consent: ConsentMode,
}

/// Which prompts lie in the booth's folder, by language and name.
pub type Folder = BTreeMap<String, BTreeSet<String>>;

/// A configuration, and whether it came signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// What it says.
    pub wanted: Wanted,
    /// It came signed by a key of `[control] keys`.
    pub is_signed: bool,
    /// When the latest signed one was issued that was ever in force here, this one included: nothing signed earlier is taken, so that
    /// nobody can bring one back that was replaced.
    pub latest_signed: Option<Timestamp>,
}

/// What speaks for a configuration that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Nothing: whoever owns the broker can have written it.
    Nothing,
    /// A signature by a key of `[control] keys`, which was found good, over a text that was issued then.
    Signed(Timestamp),
}

/// A configuration that was read: what it says, or its version, if it has one, and what is wrong with it.
pub type Read = Result<Wanted, (Option<u64>, Vec<KeyFault>)>;

/// What the card holds at the start.
#[derive(Debug, Clone, Default)]
pub struct OnCard {
    /// The configuration in force.
    pub applied: Option<Configuration>,
    /// Whole prompts.
    pub media: BTreeSet<MediaHash>,
    /// What could not be read, in words.
    pub trouble: Option<String>,
}

/// Why a prompt that came cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// It has another SHA-256 than its topic says; the right one may still come.
    OtherHash,
    /// It is what was named, and is no prompt: a sentence that follows the key.
    NoPrompt(String),
    /// The card does not take it.
    Card(String),
}

/// What became of putting a configuration into force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// It is durable. These prompts are on the card now.
    InForce(BTreeSet<MediaHash>),
    /// Prompts of it are not on the card; these are.
    Lacks(BTreeSet<MediaHash>),
    /// The card refuses it.
    Refused(String),
}

/// What has to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Be subscribed to exactly these prompts.
    Fetch(BTreeSet<MediaHash>),
    /// Make this durable on the card and drop all prompts but those to keep; then say [`Campaigns::put`].
    Put {
        /// The configuration.
        configuration: Box<Configuration>,
        /// Prompts that stay on the card.
        keep: BTreeSet<MediaHash>,
    },
    /// Drop all prompts but these.
    Tidy(BTreeSet<MediaHash>),
    /// The prompts of the configuration in force have changed on the card: use them anew.
    UsePrompts,
    /// Another configuration is in force: this version.
    Applied(u64),
    /// Report to the centre; it has changed.
    Report,
}

/// What is wanted and not in force yet.
#[derive(Debug)]
struct Pending {
    configuration: Configuration,
    /// The card is putting it into force.
    is_handed_over: bool,
}

/// What a message was that came before the card was read.
#[derive(Debug)]
struct Early {
    read: Read,
    proof: Proof,
}

/// The centre's configuration at this booth.
#[derive(Debug)]
pub struct Campaigns {
    own: Own,
    folder: Folder,
    /// The card was read.
    is_loaded: bool,
    early: Option<Early>,
    applied: Option<Configuration>,
    pending: Option<Pending>,
    /// What the card is putting into force; it may have been replaced meanwhile.
    handed_over: Option<Configuration>,
    /// Version of the message that came last.
    wanted: Option<u64>,
    /// Why that is not in force.
    errors: Vec<KeyFault>,
    /// Prompts that came and cannot be used.
    unfit: BTreeMap<MediaHash, Unfit>,
    /// Whole prompts on the card.
    have: BTreeSet<MediaHash>,
    /// Somebody is at the handset.
    is_visited: bool,
    /// Prompts of configurations that were replaced since: the visit goes on with what it has heard of.
    of_the_visit: BTreeSet<MediaHash>,
    fetching: Fetching,
    /// The pause between tries of what the card refused, and when the next one is due.
    retry: Retry,
    retry_due: Option<Mono>,
    /// Prompts that came unasked, or were not what their topic says.
    dropped: u64,
    /// What was reported last.
    reported: Option<Standing>,
    commands: Vec<Command>,
}

impl Campaigns {
    /// A booth that has not read its card yet.
    pub fn new(own: Own) -> Self {
        Self {
            own,
            folder: Folder::new(),
            is_loaded: false,
            early: None,
            applied: None,
            pending: None,
            handed_over: None,
            wanted: None,
            errors: Vec::new(),
            unfit: BTreeMap::new(),
            have: BTreeSet::new(),
            is_visited: false,
            of_the_visit: BTreeSet::new(),
            fetching: Fetching::default(),
            retry: Retry::new(AGAIN, AGAIN_LAST),
            retry_due: None,
            dropped: 0,
            reported: None,
            commands: Vec::new(),
        }
    }

    /// What has to be done since this was asked last.
    pub fn take_commands(&mut self) -> Vec<Command> {
        let standing = self.standing();
        if self.is_loaded && self.reported.as_ref() != Some(&standing) {
            let is_first = self.reported.is_none();
            self.reported = Some(standing.clone());
            // Before the first connection nobody is told: the introduction says it.
            if !is_first || standing != Standing::default() {
                self.commands.push(Command::Report);
            }
        }
        std::mem::take(&mut self.commands)
    }

    /// booth.toml was read again.
    pub fn own_is(&mut self, own: Own) {
        self.own = own;
    }

    /// The booth's folder of prompts was looked through again.
    pub fn folder_has(&mut self, folder: Folder) {
        self.folder = folder;
    }

    /// The card was read, or could not be.
    pub fn loaded(&mut self, now: Mono, clock: &Clock, found: OnCard, folder: Folder) {
        self.folder = folder;
        self.have = found.media;
        self.applied = found.applied;
        self.is_loaded = true;
        if let Some(why) = found.trouble {
            self.errors = vec![KeyFault::new("card", why)];
        }
        if let Some(early) = self.early.take() {
            self.judge(now, clock, early.read, early.proof);
        }
        self.fetch(now);
    }

    /// Whether the card was read.
    pub fn is_loaded(&self) -> bool {
        self.is_loaded
    }

    /// A configuration came.
    pub fn came(&mut self, now: Mono, clock: &Clock, read: Read, proof: Proof) {
        if !self.is_loaded {
            self.early = Some(Early { read, proof });
            return;
        }
        self.judge(now, clock, read, proof);
        self.fetch(now);
    }

    /// Whether this is what is in force already: then nothing of it needs to be judged.
    pub fn is_in_force(&self, wanted: &Wanted) -> bool {
        let applied = self.applied.as_ref();
        applied.is_some_and(|applied| applied.wanted == *wanted)
    }

    fn judge(&mut self, now: Mono, clock: &Clock, read: Read, proof: Proof) {
        self.errors.clear();
        let wanted = match read {
            Ok(wanted) => wanted,
            Err((version, faults)) => {
                self.wanted = version;
                return self.refuse(faults);
            }
        };
        self.wanted = Some(wanted.version);
        if self.is_in_force(&wanted) {
            return self.forget_pending();
        }
        let is_same = |pending: &Pending| pending.configuration.wanted == wanted;
        if self.pending.as_ref().is_some_and(is_same) {
            return;
        }
        let mut faults: Vec<KeyFault> = self.version_fault(&wanted, proof).into_iter().collect();
        faults.extend(check(
            &wanted,
            &Here {
                language: &self.own.offer.lang,
                is_signed: proof != Proof::Nothing,
                now: clock.now,
                issued: clock.issued,
                says: &|name, lang| booth_says(&self.folder, name, lang),
            },
        ));
        faults.extend(self.own_faults(&wanted));
        if !faults.is_empty() {
            return self.refuse(faults);
        }
        let media = wanted.media();
        self.unfit.retain(|hash, _| media.contains(hash));
        self.pending = Some(Pending {
            configuration: self.proved(wanted, proof),
            is_handed_over: false,
        });
        self.retry_due = None;
        self.commands.push(Command::Tidy(self.kept()));
        self.put_if_whole(now);
    }

    fn refuse(&mut self, mut faults: Vec<KeyFault>) {
        faults.truncate(MOST_FAULTS);
        self.forget_pending();
        self.errors = faults;
    }

    /// Nothing is wanted but what is in force.
    fn forget_pending(&mut self) {
        if self.pending.take().is_some() {
            self.commands.push(Command::Tidy(self.kept()));
        }
        self.unfit.clear();
        self.retry_due = None;
    }

    fn proved(&self, wanted: Wanted, proof: Proof) -> Configuration {
        let before = self
            .applied
            .as_ref()
            .and_then(|applied| applied.latest_signed);
        let own = match proof {
            Proof::Nothing => None,
            Proof::Signed(issued) => Some(issued),
        };
        Configuration {
            wanted,
            is_signed: own.is_some(),
            latest_signed: before.max(own),
        }
    }

    /// The prompts that stay on the card.
    fn kept(&self) -> BTreeSet<MediaHash> {
        let pending = self.pending.iter().map(|pending| &pending.configuration);
        let all = pending.chain(&self.applied).chain(&self.handed_over);
        all.flat_map(|configuration| configuration.wanted.media())
            .chain(self.of_the_visit.iter().cloned())
            .collect()
    }

    /// Whether somebody is at the handset. What a visit may still play stays on the card until it is over. Returns whether anything
    /// has to be done now.
    pub fn visited(&mut self, is_visited: bool) -> bool {
        self.is_visited = is_visited;
        if is_visited || self.of_the_visit.is_empty() {
            return false;
        }
        self.of_the_visit.clear();
        self.commands.push(Command::Tidy(self.kept()));
        true
    }

    /// This configuration was replaced.
    fn replaced(&mut self, before: Option<Configuration>) {
        let before = before.filter(|_| self.is_visited);
        for hash in before.iter().flat_map(|before| before.wanted.media()) {
            if self.of_the_visit.len() < MOST_FOR_A_VISIT {
                self.of_the_visit.insert(hash);
            }
        }
    }

    /// The prompts that are needed and not on the card, of what is wanted before what is in force.
    fn missing(&self) -> Vec<MediaHash> {
        let pending = self.pending.iter().map(|pending| &pending.configuration);
        let mut missing = Vec::new();
        for configuration in pending.chain(&self.applied) {
            for hash in configuration.wanted.media() {
                if !self.have.contains(&hash) && !missing.contains(&hash) {
                    missing.push(hash);
                }
            }
        }
        missing
    }

    /// The same without those that are known to be no prompts: they never become any.
    fn fetchable(&self) -> Vec<MediaHash> {
        let is_hopeless =
            |hash: &MediaHash| matches!(self.unfit.get(hash), Some(Unfit::NoPrompt(_)));
        let mut missing = self.missing();
        missing.retain(|hash| !is_hopeless(hash));
        missing
    }

    fn fetch(&mut self, now: Mono) {
        let missing = self.fetchable();
        if let Some(asked) = self.fetching.look(now, &missing) {
            self.commands.push(Command::Fetch(asked));
        }
    }

    /// The connection stands; nothing is subscribed to yet.
    pub fn connected(&mut self, now: Mono) {
        self.fetching.connected();
        self.fetch(now);
    }

    /// The connection is gone.
    pub fn disconnected(&mut self) {
        self.fetching.disconnected();
    }

    /// A prompt came. Returns whether the card is to keep it; one that nobody asked for is dropped and counted.
    pub fn media_came(&mut self, now: Mono, hash: &MediaHash) -> bool {
        let is_asked = self.fetching.came(hash);
        self.dropped += u64::from(!is_asked);
        self.fetch(now);
        is_asked
    }

    /// What became of a prompt that the card was to keep. A worker that had no room for it counts as the card.
    pub fn media_kept(&mut self, now: Mono, hash: &MediaHash, kept: Result<(), Unfit>) {
        let ended = match &kept {
            Ok(()) | Err(Unfit::NoPrompt(_)) => Ended::Done,
            Err(Unfit::OtherHash) => Ended::Other,
            Err(Unfit::Card(_)) => Ended::Later,
        };
        self.fetching.ended(hash, ended);
        match kept {
            Ok(()) => {
                self.unfit.remove(hash);
                self.have.insert(hash.clone());
                self.retry.worked();
                let applied = self.applied.as_ref();
                if applied.is_some_and(|applied| applied.wanted.media().contains(hash)) {
                    self.commands.push(Command::UsePrompts);
                }
                self.put_if_whole(now);
            }
            Err(unfit) => {
                self.dropped += u64::from(unfit == Unfit::OtherHash);
                if matches!(unfit, Unfit::Card(_)) {
                    self.try_again_later(now);
                }
                if self.kept().contains(hash) {
                    self.unfit.insert(hash.clone(), unfit);
                }
            }
        }
        self.fetch(now);
    }

    fn try_again_later(&mut self, now: Mono) {
        self.retry_due = Some(self.retry.failed(now));
    }

    fn put_if_whole(&mut self, now: Mono) {
        let have = &self.have;
        let Some(pending) = self.pending.as_mut() else {
            return;
        };
        let is_whole = pending.configuration.wanted.media().is_subset(have);
        let waits = self.retry_due.is_some_and(|due| now < due);
        if !is_whole || waits || self.handed_over.is_some() {
            return;
        }
        pending.is_handed_over = true;
        let configuration = pending.configuration.clone();
        self.handed_over = Some(configuration.clone());
        self.commands.push(Command::Put {
            // What was in force is dropped when this one is: until then the earpiece plays from it.
            keep: self.kept(),
            configuration: Box::new(configuration),
        });
    }

    /// What became of [`Command::Put`].
    pub fn put(&mut self, now: Mono, put: Put) {
        let Some(handed_over) = self.handed_over.take() else {
            return;
        };
        let is_current = self
            .pending
            .as_ref()
            .is_some_and(|pending| pending.is_handed_over && pending.configuration == handed_over);
        match put {
            Put::InForce(have) => {
                self.have = have;
                self.retry.worked();
                self.retry_due = None;
                let version = handed_over.wanted.version;
                let before = self.applied.replace(handed_over);
                self.replaced(before);
                if is_current {
                    self.pending = None;
                    self.errors.clear();
                    self.unfit.clear();
                } else if let Some(pending) = self.pending.take() {
                    // Another one came meanwhile: it is judged against what is in force now.
                    let Configuration {
                        wanted,
                        is_signed,
                        latest_signed,
                    } = pending.configuration;
                    let proof = latest_signed.filter(|_| is_signed);
                    let proof = proof.map_or(Proof::Nothing, Proof::Signed);
                    match self.version_fault(&wanted, proof) {
                        Some(fault) => self.refuse(vec![fault]),
                        None => {
                            self.pending = Some(Pending {
                                configuration: self.proved(wanted, proof),
                                is_handed_over: false,
                            });
                        }
                    }
                }
                self.commands.push(Command::Tidy(self.kept()));
                self.commands.push(Command::Applied(version));
            }
            Put::Lacks(have) => self.have = have,
            Put::Refused(why) => {
                self.try_again_later(now);
                if is_current {
                    self.errors = vec![KeyFault::new("card", why)];
                }
            }
        }
        if let Some(pending) = self.pending.as_mut() {
            pending.is_handed_over = false;
        }
        self.put_if_whole(now);
        self.fetch(now);
    }

    /// Does what is due. Returns whether anything was.
    pub fn turn(&mut self, now: Mono) -> bool {
        if self.deadline().is_none_or(|due| now < due) {
            return false;
        }
        if self.retry_due.is_some_and(|due| due <= now) {
            self.retry_due = None;
            self.unfit
                .retain(|_, unfit| !matches!(unfit, Unfit::Card(_)));
            self.fetching.hurry();
            self.put_if_whole(now);
        }
        self.fetch(now);
        true
    }

    /// When [`Campaigns::turn`] is due although nothing happens.
    pub fn deadline(&self) -> Option<Mono> {
        let fetching = self.fetching.deadline();
        fetching.into_iter().chain(self.retry_due).min()
    }

    /// The configuration in force.
    pub fn applied(&self) -> Option<&Configuration> {
        self.applied.as_ref()
    }

    /// Prompts that were dropped: unasked, or not what their topic says.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// What a citizen is offered at this time.
    pub fn offered(&self, clock: &Clock) -> Offered {
        let wanted = self.applied.as_ref().map(|applied| &applied.wanted);
        offering::offered(&self.own.offer, wanted, clock)
    }
}
