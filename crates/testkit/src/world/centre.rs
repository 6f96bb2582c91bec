//! The hub: the real store in some worlds, in the others a model of it that follows contract §3.4.
//!
//! Owns: the hub's process (batches, commits, presence, back-off), its restarts, its failing disk. Never does: answer
//! before the batch is committed. The model believes a manifest by the real `hub::ingest`, and keeps, like the real
//! store, clips and offers for good and half bodies in memory only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use booth_contract::ranges::RangeSet;
use booth_contract::receipt::{ClipSecret, Receipt, WithdrawalSecret};
use booth_contract::time::Mono;
use booth_contract::{
    Ack, AckStatus, BodyHash, BoothId, ByteRange, ClipId, ClipKind, Manifest, Topic, Topics,
    Withdrawal,
};
use booth_hub::ingest::{self, Answer};
use booth_hub::presence::About;
use booth_hub::store::{BrokerStatus, Message, Store, StoreRules, StoreViews};
use booth_hub::view::{GapView, Views};
use booth_sealing::envelope;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::plan::SECOND;
use super::process::{EPOCH_MS, city};
use super::wire::Kept;
use super::{Event, World};

const BATCH: usize = 128;
const PRESENCE_EVERY: u64 = 60 * SECOND;
/// Within so many seconds booths introduce themselves to a hub that has come.
const JITTER_S: u32 = 10;

/// What is kept of a body.
#[derive(Default)]
struct Staged {
    manifest: Option<Manifest>,
    ranges: RangeSet,
    body: Vec<u8>,
    mismatches: u32,
}

/// What the model keeps.
#[derive(Default)]
struct Model {
    stored: BTreeMap<ClipId, (Manifest, Vec<u8>)>,
    offers: BTreeMap<ClipId, Manifest>,
    withdrawn: Vec<ClipId>,
    /// What is raised at the booth, as far as it was heard.
    alerts: BTreeSet<String>,
    staged: BTreeMap<ClipId, Staged>,
    /// The receipts of the clips that were offered, and those that were dialled; the hub holds the key.
    receipts: BTreeMap<ClipId, Receipt>,
    taken_back: Vec<Receipt>,
}

enum Keeps {
    Model(Box<Model>),
    Real {
        store: Option<Box<Store>>,
        folder: tempfile::TempDir,
    },
}

pub struct Hub {
    keeps: Keeps,
    topics: Topics,
    pub max_clip_bytes: u64,
    poisoned: u64,
    /// Rises when the hub starts as another version.
    pub version: u64,
    pub is_up: bool,
    pub disk_is_bad: bool,
    is_online: bool,
    is_woken: bool,
    connection: u64,
    failures: u32,
    /// The number of the process.
    life: u64,
    dies_in_a_batch: Option<u64>,
}

fn wall(now: u64) -> Timestamp {
    Timestamp::from_millisecond(EPOCH_MS + now as i64).unwrap_or_default()
}

fn rules(folder: &Path, max_clip_bytes: u64) -> StoreRules {
    StoreRules {
        dir: folder.join("store"),
        max_clip_bytes,
        root: "booth/1".into(),
        database: None,
        bodies: None,
    }
}

/// A folder in memory where the machine has one: the store's fsyncs are real.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    }
    .expect("a folder for the hub's store")
}

impl Model {
    fn manifest(
        &mut self,
        sender: &BoothId,
        clip_id: &ClipId,
        payload: &[u8],
        max: u64,
        at: Timestamp,
    ) -> Option<Answer> {
        let manifest = match ingest::believe(clip_id, payload, max) {
            Ok(manifest) => manifest,
            Err(fault) => {
                return Some(ingest::reject(
                    sender,
                    clip_id,
                    fault.sha256.as_ref(),
                    &fault.reason,
                    at,
                ));
            }
        };
        let hash = manifest.sha256.clone();
        self.note_receipt(&manifest);
        if let Some((known, _)) = self.stored.get(clip_id) {
            return Some(match known.sha256 == hash {
                true => ingest::stored(sender, clip_id, hash.as_ref(), at),
                false => ingest::reject(sender, clip_id, hash.as_ref(), "another body", at),
            });
        }
        if self.withdrawn.iter().any(|id| id == clip_id) {
            self.staged.remove(clip_id);
            return Some(ingest::discard(sender, clip_id, hash.as_ref(), at));
        }
        let repeated = self
            .offers
            .insert(clip_id.clone(), manifest.clone())
            .is_some();
        let staged = self.staged.entry(clip_id.clone()).or_default();
        staged.manifest.get_or_insert(manifest.clone());
        if let Some(answer) = self.whole(sender, clip_id, at) {
            return Some(answer);
        }
        let missing = self.staged.get(clip_id).map_or_else(
            || vec![(0, manifest.bytes)],
            |staged| {
                staged
                    .ranges
                    .missing(0, manifest.bytes, ingest::MAX_MISSING_RANGES)
            },
        );
        repeated.then(|| ingest::partial(sender, clip_id, hash.as_ref(), &missing, at))
    }

    /// Opens the receipt of a clip, and gives the clip up if it was taken back already.
    fn note_receipt(&mut self, manifest: &Manifest) {
        let clip_id = &manifest.clip_id;
        let Some(sealed) = manifest.sealed.as_ref() else {
            return;
        };
        if self.receipts.contains_key(clip_id) {
            return;
        }
        let opened = envelope::open_text(sealed, std::slice::from_ref(city())).expect("opens");
        let secret: ClipSecret = serde_json::from_slice(&opened).expect("a secret");
        assert_eq!(secret.clip_id, *clip_id, "sealed for another clip");
        let receipt = Receipt::parse_text(secret.receipt.as_str()).expect("a receipt");
        if self.taken_back.contains(&receipt) {
            self.withdrawn.push(clip_id.clone());
        }
        self.receipts.insert(clip_id.clone(), receipt);
    }

    /// A citizen takes something back: it goes, whenever it came or comes.
    fn withdrawal(&mut self, sender: &BoothId, payload: &[u8], at: Timestamp) -> Option<Answer> {
        let withdrawal: Withdrawal = serde_json::from_slice(payload).ok()?;
        let sealed = &withdrawal.sealed;
        let opened = envelope::open_text(sealed, std::slice::from_ref(city())).expect("opens");
        let secret: WithdrawalSecret = serde_json::from_slice(&opened).expect("a secret");
        assert_eq!(secret.id, withdrawal.id, "sealed for another withdrawal");
        let receipt = Receipt::parse_text(secret.receipt.as_str()).expect("a receipt");
        for (clip_id, _) in self.receipts.iter().filter(|(_, own)| **own == receipt) {
            self.withdrawn.push(clip_id.clone());
            self.stored.remove(clip_id);
            self.offers.remove(clip_id);
            self.staged.remove(clip_id);
        }
        self.taken_back.push(receipt);
        let hash = BodyHash::of_digest(&Sha256::digest(sealed.as_bytes()));
        Some(ingest::stored(sender, &withdrawal.id, Some(&hash), at))
    }

    fn part(
        &mut self,
        sender: &BoothId,
        clip_id: &ClipId,
        offset: u64,
        bytes: &[u8],
        at: Timestamp,
    ) -> Option<Answer> {
        // A part that was under way while its citizen took the clip back completes nothing.
        if self.stored.contains_key(clip_id) || self.withdrawn.contains(clip_id) {
            return None;
        }
        let offered = self.offers.get(clip_id).cloned();
        let staged = self.staged.entry(clip_id.clone()).or_default();
        if staged.manifest.is_none() {
            staged.manifest = offered;
        }
        let (from, to) = (offset as usize, offset as usize + bytes.len());
        if staged.body.len() < to {
            staged.body.resize(to, 0);
        }
        if !staged.ranges.covers(offset, to as u64) {
            staged.body[from..to].copy_from_slice(bytes);
            staged.ranges.insert(offset, to as u64);
        }
        self.whole(sender, clip_id, at)
    }

    fn whole(&mut self, sender: &BoothId, clip_id: &ClipId, at: Timestamp) -> Option<Answer> {
        let staged = self.staged.get_mut(clip_id)?;
        let manifest = staged.manifest.clone()?;
        if matches!(manifest.kind, ClipKind::Choice | ClipKind::Void) {
            // A vote's hash was checked with its manifest; a void number has none.
            let hash = manifest.sha256.clone();
            self.staged.remove(clip_id);
            self.stored.insert(clip_id.clone(), (manifest, Vec::new()));
            return Some(ingest::stored(sender, clip_id, hash.as_ref(), at));
        }
        if !staged.ranges.covers(0, manifest.bytes) {
            return None;
        }
        staged.body.truncate(manifest.bytes as usize);
        let hash = manifest.sha256.clone();
        if Some(booth_contract::hex(&Sha256::digest(&staged.body)).into()) != hash {
            staged.ranges.clear();
            staged.mismatches += 1;
            return Some(ingest::partial(
                sender,
                clip_id,
                hash.as_ref(),
                &[(0, manifest.bytes)],
                at,
            ));
        }
        let body = std::mem::take(&mut staged.body);
        self.staged.remove(clip_id);
        self.stored.insert(clip_id.clone(), (manifest, body));
        Some(ingest::stored(sender, clip_id, hash.as_ref(), at))
    }
}

impl Hub {
    pub fn new(is_real: bool, max_clip_bytes: u64, poisoned: u64) -> Self {
        let keeps = if is_real {
            let folder = folder();
            let store =
                Store::open(&rules(folder.path(), max_clip_bytes)).expect("a new store opens");
            Keeps::Real {
                store: Some(Box::new(store)),
                folder,
            }
        } else {
            Keeps::Model(Box::default())
        };
        Self {
            keeps,
            topics: Topics::new("booth/1"),
            max_clip_bytes,
            poisoned: if is_real { 0 } else { poisoned },
            version: 1,
            is_up: true,
            disk_is_bad: false,
            is_online: false,
            is_woken: false,
            connection: 0,
            failures: 0,
            life: 0,
            dies_in_a_batch: None,
        }
    }

    fn handle(&mut self, now: u64, message: &Kept) -> Option<Answer> {
        let at = wall(now);
        match &mut self.keeps {
            Keeps::Real { store, .. } => {
                let message = Message {
                    topic: message.topic.clone(),
                    payload: message.payload.clone(),
                    retained: message.retained,
                    expiry_s: None,
                };
                let store = store.as_mut()?;
                store
                    .handle(at, Mono(now), &message)
                    .expect("the store works")
            }
            Keeps::Model(model) => match self.topics.parse(&message.topic)? {
                Topic::Clip(booth, clip_id) => {
                    let lot = u64::from(crc32c::crc32c(clip_id.as_bytes())) % 1_000;
                    if lot < self.poisoned && !model.stored.contains_key(clip_id.as_str()) {
                        let sha256 = serde_json::from_slice::<Manifest>(&message.payload)
                            .ok()?
                            .sha256;
                        let why = "a clip that this hub cannot take";
                        return Some(ingest::reject(&booth, &clip_id, sha256.as_ref(), why, at));
                    }
                    model.manifest(&booth, &clip_id, &message.payload, self.max_clip_bytes, at)
                }
                Topic::Part(booth, clip_id, offset) => {
                    model.part(&booth, &clip_id, offset, &message.payload, at)
                }
                Topic::Withdraw(booth, _) => model.withdrawal(&booth, &message.payload, at),
                Topic::Alert(_, id) => {
                    match message.payload.is_empty() {
                        true => model.alerts.remove(&id),
                        false => model.alerts.insert(id),
                    };
                    None
                }
                _ => None,
            },
        }
    }

    fn commit(&mut self) {
        if let Keeps::Real {
            store: Some(store), ..
        } = &mut self.keeps
        {
            store.commit().expect("the store commits");
        }
    }

    /// What a kill leaves: nothing of a batch that was not committed, no half bodies.
    fn reopen(&mut self) {
        match &mut self.keeps {
            Keeps::Model(model) => model.staged.clear(),
            Keeps::Real { store, folder } => {
                if let Some(mut old) = store.take() {
                    old.roll_back();
                }
                let opened = Store::open(&rules(folder.path(), self.max_clip_bytes));
                *store = Some(Box::new(opened.expect("the store opens again")));
            }
        }
    }

    /// The manifest and body of a clip that is stored.
    pub fn stored(&self, clip_id: &str) -> Option<(Option<Manifest>, Vec<u8>)> {
        match &self.keeps {
            Keeps::Model(model) => {
                let (manifest, body) = model.stored.get(clip_id)?;
                Some((Some(manifest.clone()), body.clone()))
            }
            Keeps::Real { folder, .. } => {
                let place = folder.path().join("store/clips").join(&clip_id[..2]);
                // A vote has facts and no body.
                let body = std::fs::read(place.join(format!("{clip_id}.opus")));
                let has_facts = place.join(format!("{clip_id}.json")).is_file();
                Some((None, body.or(has_facts.then(Vec::new).ok_or(())).ok()?))
            }
        }
    }

    /// Bodies that were checked need not be kept.
    pub fn forget_body(&mut self, clip_id: &str) {
        if let Keeps::Model(model) = &mut self.keeps
            && let Some((_, body)) = model.stored.get_mut(clip_id)
        {
            *body = Vec::new();
        }
    }

    pub fn withdraw(&mut self, now: u64, clip_id: &str) {
        match &mut self.keeps {
            Keeps::Model(model) => model.withdrawn.push(clip_id.into()),
            Keeps::Real {
                store: Some(store), ..
            } => {
                store
                    .withdraw(wall(now), &clip_id.into())
                    .expect("the store works");
            }
            Keeps::Real { store: None, .. } => {}
        }
    }

    /// What it says of itself, in the real hub's words.
    pub fn presence(&self, online: bool, now: u64) -> Vec<u8> {
        let about = About {
            version: format!("booth-hub {} of the simulation", self.version),
            max_clip_bytes: self.max_clip_bytes,
            jitter_s: JITTER_S,
            instance: None,
        };
        match online {
            true => about.online(wall(now)),
            false => about.lost(None),
        }
    }

    /// What its page shows as raised at the booth.
    pub fn alerts(&self) -> BTreeSet<String> {
        match &self.keeps {
            Keeps::Model(model) => model.alerts.clone(),
            Keeps::Real { folder, .. } => {
                let booths = views(folder).fleet().booths;
                let alerts = booths.into_iter().flat_map(|booth| booth.alerts);
                alerts.map(|alert| alert.id).collect()
            }
        }
    }

    /// The first thing on a connection: what is known is of before.
    fn comes(&mut self, now: u64) {
        if let Keeps::Real {
            store: Some(store), ..
        } = &mut self.keeps
        {
            store.probe(wall(now)).expect("the store works");
        }
    }

    /// The real store's audit of numbers, and how many clips it has.
    pub fn audit(&self) -> Option<(Vec<GapView>, u64)> {
        let Keeps::Real { folder, .. } = &self.keeps else {
            return None;
        };
        let views = views(folder);
        Some((views.fleet().gaps, views.answers(1).total))
    }
}

fn views(folder: &tempfile::TempDir) -> StoreViews {
    let status = BrokerStatus {
        connected: true,
        detail: String::new(),
        rival: None,
    };
    let dir = folder.path().join("store");
    let status = std::sync::Arc::new(std::sync::Mutex::new(status));
    StoreViews::open(&dir, Vec::new(), status).expect("the store can be read")
}

impl World {
    pub(super) fn wake_hub(&mut self, ms: u64) {
        if self.hub.is_online_at_broker() && !self.hub.is_woken {
            self.hub.is_woken = true;
            let connection = self.hub.connection;
            self.at(self.now + ms, Event::HubWorks { connection });
        }
    }

    /// The hub tries to connect.
    pub(super) fn hub_tries(&mut self, life: u64) {
        let hub = &mut self.hub;
        if life != hub.life || !hub.is_up || hub.is_online {
            return;
        }
        let bound = (500 << hub.failures.min(10)).min(15_000);
        hub.failures += 1;
        if !self.broker.is_up {
            let wait = self.chance.below(bound + 1);
            return self.at(self.now + wait + 1, Event::HubTries { life });
        }
        // Clean start: what was queued for the last connection is gone.
        self.broker.hub_queue.clear();
        self.broker.hub_is_there = true;
        if self.hub.disk_is_bad {
            // The probe fails.
            return self.hub_fails("it cannot write");
        }
        self.hub.is_online = true;
        self.hub.failures = 0;
        self.hub.connection += 1;
        self.hub.is_woken = false;
        self.say(|| "the hub is online".into());
        self.hub.comes(self.now);
        self.retained_for_hub();
        self.hub_says(true);
        let connection = self.hub.connection;
        self.at(self.now + PRESENCE_EVERY, Event::HubSays { connection });
        self.wake_hub(5);
    }

    pub(super) fn hub_says_again(&mut self, connection: u64) {
        if self.hub.is_online && self.hub.connection == connection {
            self.hub_says(true);
            self.at(self.now + PRESENCE_EVERY, Event::HubSays { connection });
        }
    }

    /// The connection ends by the hub's own fault: the broker publishes its will.
    pub(super) fn hub_fails(&mut self, why: &str) {
        self.say(|| format!("the hub leaves: {why}"));
        self.broker.hub_is_there = false;
        self.broker.hub_queue.clear();
        self.hub.is_online = false;
        if self.broker.is_up {
            self.hub_says(false);
        }
        let life = self.hub.life;
        let wait = 500 + self.chance.below(14_500);
        self.at(self.now + wait, Event::HubTries { life });
    }

    pub(super) fn hub_loses_broker(&mut self) {
        self.hub.is_online = false;
        let life = self.hub.life;
        let wait = self.chance.below(500) + 1;
        self.at(self.now + wait, Event::HubTries { life });
    }

    pub(super) fn hub_works(&mut self, connection: u64) {
        if !self.hub.is_online || self.hub.connection != connection {
            return;
        }
        self.hub.is_woken = false;
        if self.hub.disk_is_bad {
            return self.hub_fails("its disk fails");
        }
        let many = self.broker.hub_queue.len().min(BATCH);
        if many == 0 {
            return;
        }
        let batch: Vec<Kept> = self.broker.hub_queue.drain(..many).collect();
        if let (Some(ms), Keeps::Real { .. }) = (self.hub.dies_in_a_batch, &self.hub.keeps) {
            // Handled and not committed.
            for message in &batch {
                self.hub.handle(self.now, message);
            }
            return self.hub_ends(ms);
        }
        if let Some(ms) = self.hub.dies_in_a_batch {
            return self.hub_ends(ms);
        }
        let mut answers = Vec::new();
        for message in &batch {
            let answer = self.hub.handle(self.now, message);
            // Looked at before the next message of the batch, which may take the clip back.
            if let Some(answer) = &answer {
                self.answered(&answer.ack);
            }
            answers.extend(answer);
        }
        self.hub.commit();
        for answer in answers {
            self.hub_answers(&answer);
        }
        self.wake_hub(2 + many as u64 / 8);
    }

    fn hub_answers(&mut self, answer: &Answer) {
        let ack = &answer.ack;
        self.say(|| format!("the hub answers {:?} for {}", ack.status, ack.clip_id));
        let send = |world: &mut World, ack: &Ack| {
            let topic = format!("booth/1/dn/{}/ack/{}", answer.booth, ack.clip_id);
            world.hub_publishes(topic, serde_json::to_vec(ack).expect("an ack"));
        };
        send(self, ack);
        if self.chance.below(1_000) < self.plan.lies {
            let mut lie = ack.clone();
            match self.chance.below(5) {
                0 => lie.sha256 = Some("0".repeat(64).into()),
                1 => lie.sha256 = None,
                2 => lie.clip_id = self.facts.uuid().into(),
                3 => {
                    lie.status = AckStatus::Partial;
                    lie.missing = vec![ByteRange(5, 2), ByteRange(0, u64::MAX), ByteRange(7, 9)];
                }
                _ => {
                    let topic = format!("booth/1/dn/{}/ack/{}", answer.booth, ack.clip_id);
                    return self.hub_publishes(topic, b"{\"clip_id\":".to_vec());
                }
            }
            if lie.status != AckStatus::Partial && lie.clip_id == ack.clip_id {
                lie.status = match self.chance.percent(50) {
                    true => AckStatus::Stored,
                    false => AckStatus::Discard,
                };
            }
            send(self, &lie);
        }
    }

    pub(super) fn hub_stops(&mut self, ms: u64, in_a_batch: bool) {
        if !self.hub.is_up {
            return;
        }
        if in_a_batch {
            self.hub.dies_in_a_batch = Some(ms);
        } else {
            self.hub_ends(ms);
        }
    }

    fn hub_ends(&mut self, ms: u64) {
        self.say(|| format!("the hub dies, away for {ms} ms"));
        let hub = &mut self.hub;
        hub.dies_in_a_batch = None;
        hub.is_up = false;
        hub.is_online = false;
        hub.life += 1;
        self.broker.hub_is_there = false;
        self.broker.hub_queue.clear();
        if self.broker.is_up {
            self.hub_says(false);
        }
        self.at(self.now + ms, Event::HubStarts);
    }

    pub(super) fn hub_starts(&mut self) {
        self.say(|| "the hub starts".into());
        if self.chance.percent(30) {
            self.hub.is_newer();
        }
        self.hub.reopen();
        self.hub.is_up = true;
        self.hub.failures = 0;
        let life = self.hub.life;
        self.at(self.now + 1_000, Event::HubTries { life });
    }
}

impl Hub {
    /// Another version, which takes every clip.
    fn is_newer(&mut self) {
        self.version += 1;
        self.poisoned = 0;
        self.max_clip_bytes = 8 << 20;
    }

    fn is_online_at_broker(&self) -> bool {
        self.is_up && self.is_online
    }

    pub fn is_real(&self) -> bool {
        matches!(self.keeps, Keeps::Real { .. })
    }

    pub fn is_online(&self) -> bool {
        self.is_online
    }

    /// Ends every wish to die.
    pub fn calm(&mut self) {
        self.dies_in_a_batch = None;
        self.disk_is_bad = false;
    }
}
