//! A booth's card lives, and its power is cut; whatever is left must keep every promise.
//!
//! Owns: the random life, where it is cut, how often the recovery is cut too. Never does: judge; `promises` does.
//! [`one`], [`one_with_faults`] and [`one_with_ledger`] run one life from its seed, may run in many threads at once, and
//! give the same with the same seed. (The ledger is sled's own, with threads of its own: there the same seed gives the
//! same life, but the bytes in sled's file may differ.)
//!
//! A life has stages. In each the spool is opened on what the cut before has left, is used, and is cut in the middle of
//! a random operation, which may be one of the recovery. Of that moment several states are drawn, by power cut or by
//! `kill -9`; each is opened (its recovery cut up to twice more), checked, and one of them goes on to the next stage.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use booth_contract::{BodyKind, ClipId, EndedBy, Publish, Withdrawal};
use booth_sealing::{DataKey, Identity, NoRandom, Random, Recipients, Sealer};
use booth_spool::disk::Disk;
use booth_spool::{
    ClipWriter, FrameFacts, KeptClip, NewClip, OpenFacts, OpenReport, Spool, SpoolError,
};
use gateway_core::quarantine::{Moment, Note};
use uuid::Uuid;

use super::ledger_card::LedgerCard;
use super::model_disk::{Chance, EIO, ENOSPC, Fault, Left, ModelDisk};
use super::promises::{Promises, Wish};
use super::spool_rig::{facts, long_speech, new_clip, open_when_free, receipt, receipt_for};

/// What happened in one life, or in many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Power cuts: states that were drawn, opened and checked. Those within a recovery are counted, too.
    pub cuts: u64,
    /// Of these, cuts within a recovery.
    pub cuts_of_recovery: u64,
    /// Processes killed without a power cut.
    pub kills: u64,
    /// Changing operations of the disk.
    pub operations: u64,
    /// Frames acknowledged.
    pub frames: u64,
    /// Clips closed after hanging up.
    pub finished: u64,
    /// Takes that were sealed, votes, and withdrawals.
    pub sealed: u64,
    pub votes: u64,
    pub withdrawals: u64,
    /// Clips finished by recovery or by mending.
    pub recovered: u64,
    pub discarded: u64,
    pub released: u64,
    pub quarantined: u64,
    /// Clips that came out of quarantine.
    pub returned: u64,
    /// Faults injected.
    pub faults: u64,
    /// Ledgers that could not be read after a cut and were made again.
    pub ledgers_rebuilt: u64,
}

impl Outcome {
    /// Adds another.
    pub fn add(&mut self, other: Outcome) {
        self.cuts += other.cuts;
        self.cuts_of_recovery += other.cuts_of_recovery;
        self.kills += other.kills;
        self.operations += other.operations;
        self.frames += other.frames;
        self.finished += other.finished;
        self.sealed += other.sealed;
        self.votes += other.votes;
        self.withdrawals += other.withdrawals;
        self.recovered += other.recovered;
        self.discarded += other.discarded;
        self.released += other.released;
        self.quarantined += other.quarantined;
        self.returned += other.returned;
        self.faults += other.faults;
        self.ledgers_rebuilt += other.ledgers_rebuilt;
    }
}

/// How a life is lived.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub stages: u64,
    /// States drawn of each moment.
    pub states: u64,
    /// The power goes within so many operations.
    pub operations: u64,
    /// One operation in so many fails; 0: none.
    pub one_fault_in: u64,
}

const PLAN: Plan = Plan {
    stages: 4,
    states: 5,
    operations: 160,
    one_fault_in: 0,
};

/// What a spool can be on.
pub trait Card: Sized {
    /// What the spool is given.
    fn disk(&self) -> Arc<dyn Disk>;
    /// Where on it the spool lies.
    fn root(&self) -> &Path;
    /// Whether it can hold a ledger.
    fn has_ledger(&self) -> bool;
    /// The disk that can be cut.
    fn model(&self) -> &ModelDisk;
    /// Another card as a power cut may leave this one.
    fn after_power_cut(&self, seed: u64) -> Self;
    /// Another card as a killed process leaves this one: nothing lost, nothing more durable.
    fn after_kill(&self) -> Self;
}

impl Card for ModelDisk {
    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    fn root(&self) -> &Path {
        Path::new("/var/lib/spool")
    }

    fn has_ledger(&self) -> bool {
        false
    }

    fn model(&self) -> &ModelDisk {
        self
    }

    fn after_power_cut(&self, seed: u64) -> Self {
        self.power_cut(seed)
    }

    fn after_kill(&self) -> Self {
        self.snapshot()
    }
}

fn new_model() -> ModelDisk {
    let disk = ModelDisk::new();
    // The file system that the spool is on was there before.
    disk.make_folder(Path::new("/var/lib"))
        .and_then(|_| disk.sync_everything(Path::new("/")))
        .expect("nothing fails yet");
    disk
}

/// One life on the model disk, without a ledger.
pub fn one(seed: u64) -> Result<Outcome, String> {
    life(seed, new_model(), PLAN)
}

/// The same where operations fail besides: ENOSPC and EIO, done in part or wholly or not at all.
pub fn one_with_faults(seed: u64) -> Result<Outcome, String> {
    let plan = Plan {
        one_fault_in: 25,
        ..PLAN
    };
    life(seed, new_model(), plan)
}

/// The same with sled's own ledger, on files in `folder`, which is best in memory.
pub fn one_with_ledger(seed: u64, folder: &Path) -> Result<Outcome, String> {
    let plan = Plan {
        stages: 3,
        states: 3,
        ..PLAN
    };
    life(seed, LedgerCard::new(folder, true), plan)
}

/// The control: the fdatasync after sled's flush does nothing. This must break a promise before long.
pub fn one_without_ledger_sync(seed: u64, folder: &Path) -> Result<Outcome, String> {
    let plan = Plan {
        stages: 3,
        states: 3,
        ..PLAN
    };
    life(seed, LedgerCard::new(folder, false), plan)
}

/// A whole life.
pub fn life<C: Card>(seed: u64, card: C, plan: Plan) -> Result<Outcome, String> {
    let mut booth = Booth {
        chance: Chance::new(seed),
        promises: Promises {
            has_faults: plan.one_fault_in > 0,
            counters: vec![BTreeMap::new()],
            ..Promises::default()
        },
        outcome: Outcome::default(),
        boot: 1,
    };
    booth
        .live(card, plan)
        .map_err(|broken| format!("seed {seed}: {broken}"))?;
    Ok(booth.outcome)
}

/// A take that is being written.
struct Writing {
    writer: ClipWriter,
    /// What seals it, and the head of its body until the first frame.
    sealer: Option<(Sealer, Vec<u8>)>,
    is_held: bool,
}

/// Keys from the life's own chance.
struct Drawn<'a>(&'a mut Chance);

impl Random for Drawn<'_> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandom> {
        for byte in bytes {
            *byte = self.0.next() as u8;
        }
        Ok(())
    }
}

struct Booth {
    chance: Chance,
    promises: Promises,
    outcome: Outcome,
    boot: u64,
}

impl Booth {
    fn live<C: Card>(&mut self, mut card: C, plan: Plan) -> Result<(), String> {
        for stage in 0..plan.stages {
            let at = |broken: String| format!("stage {stage}: {broken}");
            let operations = self.chance.below(plan.operations);
            card.model().cut_power_after(operations);
            let faults_before = self.inject(card.model(), plan.one_fault_in);
            match self.open(&card) {
                _ if card.model().is_off() => {}
                Ok((spool, report)) => {
                    if plan.one_fault_in == 0 {
                        self.check(&spool, &report).map_err(at)?;
                    }
                    self.use_it(&card, &spool).map_err(at)?;
                }
                Err(_) if plan.one_fault_in > 0 => {}
                Err(error) => return Err(at(format!("the spool does not open: {error}"))),
            }
            self.outcome.faults += faults_before();
            card.model().heal();
            self.outcome.operations += card.model().operations();
            let goes_on = self.chance.below(plan.states);
            let mut next = None;
            for state in 0..plan.states {
                let at = |broken: String| format!("stage {stage} state {state}: {broken}");
                let (before, boot) = (self.promises.clone(), self.boot);
                let left = self.reopened(&card).map_err(at)?;
                if state == goes_on {
                    next = Some((left, self.promises.clone(), self.boot));
                }
                self.outcome.ledgers_rebuilt +=
                    self.promises.ledgers_rebuilt - before.ledgers_rebuilt;
                (self.promises, self.boot) = (before, boot);
            }
            (card, self.promises, self.boot) = next.expect("one of the states goes on");
        }
        Ok(())
    }

    /// One state that the moment leaves, recovered and checked.
    fn reopened<C: Card>(&mut self, card: &C) -> Result<C, String> {
        let mut left = self.after(card);
        for _ in 0..self.chance.below(3) {
            left.model().cut_power_after(self.chance.below(14));
            match self.open(&left) {
                // Whatever it says, nobody lives to hear it.
                _ if left.model().is_off() => self.outcome.cuts_of_recovery += 1,
                Ok((spool, report)) => self.check(&spool, &report)?,
                Err(error) => return Err(format!("the spool does not open: {error}")),
            }
            left = self.after(&left);
        }
        match self.open(&left) {
            Ok((spool, report)) => {
                self.outcome.recovered += report.recovered.len() as u64;
                self.check(&spool, &report)?;
                let mended = spool.mend();
                if mended.trouble.is_some() || !mended.kept.is_empty() {
                    return Err(format!("something was left to be mended: {mended:?}"));
                }
            }
            Err(error) => return Err(format!("the spool does not open: {error}")),
        }
        Ok(left)
    }

    fn after<C: Card>(&mut self, card: &C) -> C {
        if self.chance.percent(20) {
            self.outcome.kills += 1;
            card.after_kill()
        } else {
            self.boot += 1;
            self.outcome.cuts += 1;
            card.after_power_cut(self.chance.next())
        }
    }

    fn uuid(&mut self) -> String {
        let (high, low) = (self.chance.next(), self.chance.next());
        let bits = (u128::from(high) << 64) | u128::from(low);
        uuid::Builder::from_random_bytes(bits.to_be_bytes())
            .into_uuid()
            .to_string()
    }

    fn boot_id(&self) -> String {
        format!("boot-{}", self.boot)
    }

    fn open<C: Card>(&mut self, card: &C) -> Result<(Spool, OpenReport), SpoolError> {
        let facts = OpenFacts {
            fresh_card_id: self.uuid().into(),
            ledger: card.has_ledger(),
            // A small one, so that it is laid, cut and given up as well.
            ballast_bytes: 8_192,
            ..facts(&self.boot_id())
        };
        open_when_free(card.disk(), card.root(), facts)
    }

    fn check(&mut self, spool: &Spool, report: &OpenReport) -> Result<(), String> {
        let boot = self.boot_id();
        self.promises.check(spool, report, &boot)
    }

    /// Makes operations fail from here on. What is returned counts them.
    fn inject(&mut self, disk: &ModelDisk, one_in: u64) -> impl FnOnce() -> u64 + use<> {
        let count = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let counted = Arc::clone(&count);
        let mut chance = Chance::new(self.chance.next());
        if one_in > 0 {
            disk.set_faults(move |operation| {
                // Reading fails as well, and says nothing about what is there.
                if !operation.verb.is_change() {
                    return (chance.below(2 * one_in) == 0).then(|| {
                        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        Fault {
                            errno: EIO,
                            left: Left::Nothing,
                        }
                    });
                }
                (chance.below(one_in) == 0).then(|| {
                    counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    Fault {
                        errno: [ENOSPC, EIO][chance.below(2) as usize],
                        left: [Left::Nothing, Left::Half, Left::All][chance.below(3) as usize],
                    }
                })
            });
        }
        move || count.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Uses the spool until the power goes.
    fn use_it<C: Card>(&mut self, card: &C, spool: &Spool) -> Result<(), String> {
        let mut writers: Vec<Writing> = Vec::new();
        let mut steps = 0;
        while !card.model().is_off() && steps < 200 {
            steps += 1;
            let open = writers.len() as u64;
            match self.chance.below(100) {
                0..15 if open < 3 => writers.extend(self.begin(spool)),
                0..58 if open > 0 => {
                    let at = self.chance.below(open) as usize;
                    self.append(&mut writers[at]);
                }
                58..64 if open > 0 => {
                    let at = self.chance.below(open) as usize;
                    self.hold(&mut writers[at]);
                }
                64..75 if open > 0 => {
                    let writing = writers.swap_remove(self.chance.below(open) as usize);
                    self.finish(spool, writing)?;
                }
                75..76 => self.cast(spool)?,
                76..80 if open > 0 => {
                    let at = self.chance.below(open) as usize;
                    self.discard(writers.swap_remove(at).writer);
                }
                80..82 if open > 0 => {
                    drop(writers.swap_remove(self.chance.below(open) as usize));
                }
                82..88 => self.release(spool, card.model())?,
                88..90 => self.quarantine(spool, card.model())?,
                90..92 => self.bring_back(spool, card.model())?,
                92..94 => self.save_counters(spool),
                94..95 => self.withdraw(spool),
                95..99 => self.mend(spool, card.model())?,
                _ => {
                    let _ = spool.checkpoint();
                }
            }
            if card.model().is_off() {
                break;
            }
            // What it says meanwhile must be true as well.
            if self.chance.percent(10) {
                for clip in spool.clips() {
                    self.promises.see(spool, &clip)?;
                }
            }
        }
        Ok(())
    }

    /// Every second take is sealed, with its receipt in the header.
    fn begin(&mut self, spool: &Spool) -> Option<Writing> {
        let mut clip = NewClip {
            clip_id: self.uuid().into(),
            ..new_clip()
        };
        let id = clip.clip_id.clone();
        let mut take = super::promises::Take::default();
        let mut sealer = None;
        if self.chance.percent(50) {
            let uuid = Uuid::parse_str(&id).expect("an id");
            let random = &mut Drawn(&mut self.chance);
            let city = Identity::generate(random).expect("chance");
            let keys = Recipients::new(vec![city.recipient()]).expect("one key");
            let key = DataKey::generate(random).expect("chance");
            let begun = Sealer::begin(uuid, &key, &keys, random).expect("it begins");
            clip.body = BodyKind::SealedOggOpus;
            clip.key_ids = keys.ids();
            clip.sealed = Some("c2VhbGVk".repeat(60));
            take.sealed = Some(Vec::new());
            sealer = Some(begun);
            self.outcome.sealed += 1;
        }
        self.promises.takes.insert(id.to_string(), take);
        let writer = spool.begin(clip).ok();
        self.take(&id).is_begun = writer.is_some();
        Some(Writing {
            writer: writer?,
            sealer,
            is_held: false,
        })
    }

    /// The bytes of the next frame of a take; whatever becomes of its write, no other bytes follow under its number.
    fn body(&mut self, writing: &mut Writing, number: usize, is_last: bool) -> Vec<u8> {
        let frame = &long_speech()[number];
        let Some((mut sealer, mut body)) = writing.sealer.take() else {
            return frame.pages.clone();
        };
        match is_last {
            true => body.extend(sealer.seal_last(frame.facts, &frame.pages)),
            false => {
                body.extend(sealer.seal(frame.facts, &frame.pages));
                writing.sealer = Some((sealer, Vec::new()));
            }
        }
        let take = self.take(writing.writer.clip_id());
        take.sealed.get_or_insert_default().push(body.clone());
        body
    }

    fn take(&mut self, id: &str) -> &mut super::promises::Take {
        self.promises.takes.entry(id.to_owned()).or_default()
    }

    fn append(&mut self, writing: &mut Writing) {
        let id = writing.writer.clip_id().to_owned();
        let number = self.take(&id).acked;
        // The last frame of the speech ends its stream. After a refused frame a booth writes no other.
        let is_refused = self.take(&id).asked > number;
        let Some(frame) = long_speech().get(number).filter(|_| !is_refused) else {
            return;
        };
        if writing.is_held {
            return;
        }
        let body = self.body(writing, number, false);
        self.take(&id).asked = number + 1;
        if writing.writer.append(&body, frame.facts).is_ok() {
            self.take(&id).acked = number + 1;
            self.outcome.frames += 1;
        }
    }

    /// The words end; true if that is durable.
    fn hold(&mut self, writing: &mut Writing) -> bool {
        let id = writing.writer.clip_id().to_owned();
        // A take whose end was refused is the spool's.
        if self.take(&id).finish.is_some() {
            return writing.is_held;
        }
        let has_last = self.chance.percent(70);
        let (acked, asked) = (self.take(&id).acked, self.take(&id).asked);
        let last = long_speech()
            .get(acked)
            .filter(|_| has_last && asked == acked);
        let body = last.map(|_| self.body(writing, acked, true));
        let frames = acked + usize::from(last.is_some());
        let take = self.take(&id);
        take.asked = asked.max(frames);
        take.finish = Some(frames);
        let facts = last.map_or(FrameFacts::default(), |frame| frame.facts);
        let held = writing
            .writer
            .hold(&body.unwrap_or_default(), facts, EndedBy::HangUp);
        if held.is_ok() {
            self.take(&id).acked = frames;
            writing.is_held = true;
        }
        held.is_ok()
    }

    fn finish(&mut self, spool: &Spool, mut writing: Writing) -> Result<(), String> {
        if !self.hold(&mut writing) {
            return Ok(());
        }
        let all = [Publish::No, Publish::Text, Publish::Voice];
        let publish = all[self.chance.below(3) as usize];
        let id = writing.writer.clip_id().to_owned();
        self.take(&id).publish = Some(publish);
        if let Ok(clip) = writing.writer.close(publish) {
            self.take(&id).is_closed = true;
            self.outcome.finished += 1;
            self.promises.see(spool, &clip)?;
        }
        Ok(())
    }

    fn cast(&mut self, spool: &Spool) -> Result<(), String> {
        let clip = NewClip {
            clip_id: self.uuid().into(),
            sealed: Some("c2VhbGVk".repeat(60)),
            ..new_clip()
        };
        let choice = 2 + self.chance.below(8) as u8;
        let id = clip.clip_id.clone();
        self.take(&id).vote = Some(choice);
        if let Ok(clip) = spool.cast(clip, choice) {
            let take = self.take(&id);
            (take.is_begun, take.asked, take.acked) = (true, 1, 1);
            self.outcome.votes += 1;
            self.promises.see(spool, &clip)?;
        }
        Ok(())
    }

    /// A withdrawal is dialled, or the hub has one.
    fn withdraw(&mut self, spool: &Spool) {
        if let Some(kept) = spool.withdrawals().first()
            && self.chance.percent(40)
        {
            self.promises.withdrawals.remove(kept.id.as_str());
            let _ = spool.release(receipt_for(&kept.id, 0, &kept.sha256));
            return;
        }
        let withdrawal = Withdrawal {
            id: self.uuid().into(),
            sealed: format!("c2VhbGVk{}", self.chance.next()),
            ts: "2026-11-29T10:00:00.000Z".into(),
        };
        if spool.keep_withdrawal(&withdrawal).is_ok() {
            let (id, payload) = (withdrawal.id.to_string(), withdrawal.to_json());
            self.promises.withdrawals.insert(id, payload);
            self.outcome.withdrawals += 1;
        }
    }

    fn discard(&mut self, writer: ClipWriter) {
        let id = writer.clip_id().to_owned();
        self.take(&id).discard = Wish::Asked;
        if writer.discard().is_ok() {
            self.take(&id).discard = Wish::Done;
            self.outcome.discarded += 1;
        }
    }

    fn some_clip(&mut self, spool: &Spool) -> Option<KeptClip> {
        let clips = spool.clips();
        let at = self.chance.below(clips.len().max(1) as u64) as usize;
        clips.get(at).cloned()
    }

    fn release(&mut self, spool: &Spool, disk: &ModelDisk) -> Result<(), String> {
        let clips = spool.clips();
        let many = match clips.len() {
            0 => return Ok(()),
            len if len > 6 => len - 2,
            _ => 1,
        };
        let receipts = clips[..many].iter().map(receipt).collect();
        for clip in &clips[..many] {
            self.promises.see(spool, clip)?;
            self.take(&clip.clip_id).release = Wish::Asked;
        }
        if let Ok(released) = spool.release_all(receipts) {
            for id in released.clips {
                self.outcome.released += 1;
                // It is gone for good only where the folder could be synced; the hub has it in any case.
                if !disk.is_off() {
                    self.take(&id).release = Wish::Done;
                }
            }
        }
        Ok(())
    }

    fn quarantine(&mut self, spool: &Spool, disk: &ModelDisk) -> Result<(), String> {
        let Some(clip) = self.some_clip(spool) else {
            return Ok(());
        };
        self.promises.see(spool, &clip)?;
        self.take(&clip.clip_id).quarantine = Wish::Asked;
        let is_moved = spool
            .quarantine(&clip.clip_id, &Note::refused("rejected", None))
            .is_ok();
        self.outcome.quarantined += u64::from(is_moved);
        // A move whose sync failed may come undone.
        if is_moved && !disk.is_off() && !self.promises.has_faults {
            self.take(&clip.clip_id).quarantine = Wish::Done;
        }
        Ok(())
    }

    fn bring_back(&mut self, spool: &Spool, disk: &ModelDisk) -> Result<(), String> {
        let some = self.chance.below(3) as usize;
        let there = spool.quarantined_clips().into_iter().take(1 + some);
        let clips: Vec<ClipId> = there.map(|(clip, _)| clip.clip_id).collect();
        for clip_id in &clips {
            let take = self.take(clip_id);
            if take.quarantine == Wish::Done {
                take.quarantine = Wish::Asked;
            }
        }
        let by_itself = self.chance.percent(50).then(|| Moment {
            boot_id: self.boot_id().into(),
            mono_ms: self.chance.below(1 << 40),
        });
        for (clip_id, result) in spool.bring_back(&clips, by_itself.as_ref()) {
            let Ok(clip) = result else { continue };
            // Without power nothing of it can be read.
            if disk.is_off() {
                continue;
            }
            self.promises.see(spool, &clip)?;
            self.outcome.returned += 1;
            // A move whose sync failed may come undone.
            if !self.promises.has_faults {
                self.take(&clip_id).quarantine = Wish::No;
            }
        }
        Ok(())
    }

    fn save_counters(&mut self, spool: &Spool) {
        let lifts = self.chance.below(1_000_000);
        let counters = BTreeMap::from([("lifts_total".to_owned(), lifts)]);
        self.promises.counters.push(counters.clone());
        if spool.save_counters(&counters).is_ok() {
            self.promises.counters = vec![counters];
        }
    }

    fn mend(&mut self, spool: &Spool, disk: &ModelDisk) -> Result<(), String> {
        let mended = spool.mend();
        // Without power nothing of it can be read.
        for clip in mended.kept.iter().filter(|_| !disk.is_off()) {
            // It was among the clips since it was settled, and may have been released since.
            if self.take(&clip.clip_id).release != Wish::No {
                continue;
            }
            self.outcome.recovered += 1;
            self.promises.see(spool, clip)?;
        }
        for (name, why) in &mended.set_aside {
            let id = Uuid::parse_str(name.split(".clip-").next().unwrap_or(""))
                .map_err(|_| format!("{name} is set aside: {why}"))?;
            if !self.promises.has_faults {
                return Err(format!("{name} is set aside: {why}"));
            }
            self.take(&id.to_string()).is_set_aside = true;
        }
        Ok(())
    }
}
