//! The store against a model: random clips, power cuts between any two steps, files that go or rot, databases that are restored
//! from a backup, removed or made anew.
//!
//! The promise: a clip that was ever acknowledged is there, byte for byte, or `check` names it; and if its booth still has it and
//! offers it, it is there again or `check` still names it. A clip never has another clip's body. A vote counts once. What was
//! withdrawn is gone, whatever database comes back, and stays gone when its booth offers it. A failure names its seed.
//! More seeds: `STORE_SEEDS=1-500 cargo test --lib whatever_befalls_the_store -- --nocapture`.

use std::collections::BTreeSet;

use super::*;

const SEEDS: (u64, u64) = (1, 60);
const STEPS: usize = 40;
const CLIPS: u64 = 5;
/// The number of a clip that is a vote.
const VOTE: u64 = 5;
const BODY_BYTES: usize = 3_000;

/// xorshift64*: the same seed gives the same numbers.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }
}

/// A clip in one of its versions: the booth's own, or that of a sender that disputes it.
fn version(n: u64, which: u64) -> Clip {
    if n == VOTE {
        return choice(n + 1);
    }
    let mut clip = numbered(n + 1);
    clip.body.truncate(BODY_BYTES);
    clip.body[0] = which as u8;
    clip.manifest["duration_ms"] = json!(1_000);
    clip.manifest["bytes"] = json!(BODY_BYTES);
    clip.manifest["sha256"] = json!(booth_contract::hex(&Sha256::digest(&clip.body)));
    clip
}

/// What was done, for the table of docs/reliability.md.
#[derive(Debug, Default)]
struct Done {
    acknowledged: usize,
    cuts: u64,
    kills: u64,
    files_damaged: u64,
    databases_lost: u64,
    withdrawn: u64,
}

struct Model {
    folder: tempfile::TempDir,
    store: Option<Store>,
    chance: Chance,
    wall: Timestamp,
    /// Which versions of which clips were acknowledged.
    acknowledged: BTreeSet<(u64, u64)>,
    /// Versions that were answered `stored`, for which the commit is still to come.
    waiting: BTreeSet<(u64, u64)>,
    /// Files that survive a power cut.
    durable: BTreeSet<PathBuf>,
    /// Clips that were withdrawn: their mark is durable.
    withdrawn: BTreeSet<u64>,
    backup: Option<Vec<u8>>,
    done: Done,
    trace: Vec<String>,
}

impl Model {
    fn new(seed: u64) -> Self {
        // In memory where the system offers it: a seed costs hundreds of syncs.
        let shm = Path::new("/dev/shm");
        let folder = match shm.is_dir() {
            true => tempfile::tempdir_in(shm),
            false => tempfile::tempdir(),
        };
        let mut model = Self {
            folder: folder.expect("a folder"),
            store: None,
            chance: Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            wall: "2026-03-02T10:00:00Z".parse().expect("a time"),
            acknowledged: BTreeSet::new(),
            waiting: BTreeSet::new(),
            durable: BTreeSet::new(),
            withdrawn: BTreeSet::new(),
            backup: None,
            done: Done::default(),
            trace: vec![format!("seed {seed}")],
        };
        model.open();
        model
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn file(&self, n: u64, part: Part) -> PathBuf {
        record::path(&self.dir().join("clips"), &version(n, 0).id, part)
    }

    fn body(&self, n: u64) -> PathBuf {
        self.file(n, Part::Body(BodyKind::OggOpus))
    }

    /// Whether the clip's manifest is there, and not only on its way.
    fn has_record(&self, n: u64) -> bool {
        let path = self.file(n, Part::Record);
        let is_new = |store: &Store| store.unsynced_files.contains(&path);
        !self.store.as_ref().is_some_and(is_new)
            && record::read(&path).is_ok_and(|record| record.is_some())
    }

    /// Whether what was acknowledged is there.
    fn has(&self, n: u64, which: u64) -> bool {
        match n {
            VOTE => self.has_record(n),
            _ => fs::read(self.body(n)).is_ok_and(|body| body == version(n, which).body),
        }
    }

    fn has_whole_body(&self, n: u64) -> bool {
        let body = fs::read(self.body(n)).unwrap_or_default();
        (0..2).any(|which| version(n, which).body == body)
    }

    fn open(&mut self) {
        let store = match Store::open(&rules(&self.dir())) {
            Ok(store) => store,
            Err(error) => {
                assert!(error.needs_an_operator(), "{error}: {:#?}", self.trace);
                rebuild(&self.dir(), Progress::new("read")).expect("rebuilds");
                Store::open(&rules(&self.dir())).expect("opens")
            }
        };
        self.store = Some(store);
    }

    /// As after `kill -9`, or after a power cut: files that were not synced may be gone or empty.
    fn dies(&mut self, of_power: bool) {
        self.waiting.clear();
        let Some(store) = self.store.take() else {
            return;
        };
        match of_power {
            true => self.done.cuts += 1,
            false => self.done.kills += 1,
        }
        let unsynced = store.unsynced_files.clone();
        drop(store);
        if of_power {
            for file in unsynced.difference(&self.durable) {
                match self.chance.below(3) {
                    0 => drop(fs::remove_file(file)),
                    1 if file.exists() => fs::write(file, b"").expect("emptied"),
                    _ => {}
                }
            }
        }
    }

    fn send(&mut self, tail: &str, payload: &[u8]) -> Result<Option<Ack>, StoreError> {
        let message = Message {
            topic: format!("booth/1/up/{BOOTH}/{tail}"),
            payload: payload.to_vec(),
            retained: false,
            expiry_s: None,
        };
        let store = self.store.as_mut().expect("open");
        let answer = store.handle(self.wall, Mono(1), &message)?;
        Ok(answer.map(|answer| answer.ack))
    }

    fn deliver(&mut self, n: u64, which: u64) -> Result<(), StoreError> {
        let clip = version(n, which);
        let mut acks = Vec::new();
        acks.extend(self.send(
            &format!("clip/{}", clip.id),
            clip.manifest.to_string().as_bytes(),
        )?);
        for from in (0..clip.body.len()).step_by(1_000) {
            let to = from + 1_000;
            // Now and then a part is lost.
            if self.chance.below(12) > 0 {
                acks.extend(self.send(&format!("part/{}/{from}", clip.id), &clip.body[from..to])?);
            }
        }
        for ack in acks {
            let is_gone = self.withdrawn.contains(&n);
            let is_discard = ack.status == AckStatus::Discard;
            // Other words under the id of withdrawn ones stay with their booth.
            let is_refused = ack.status == AckStatus::Reject;
            assert!(
                !is_gone || is_discard || is_refused,
                "{ack:?}: {:#?}",
                self.trace
            );
            assert!(is_gone || !is_discard, "{ack:?}: {:#?}", self.trace);
            if ack.status == AckStatus::Stored
                && ack.sha256.as_deref() == clip.manifest["sha256"].as_str()
            {
                self.waiting.insert((n, which));
            }
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let store = self.store.as_mut().expect("open");
        let files = store.unsynced_files.clone();
        store.commit()?;
        self.durable.extend(files);
        self.done.acknowledged += self.waiting.difference(&self.acknowledged).count();
        self.acknowledged.append(&mut self.waiting);
        Ok(())
    }

    /// A citizen takes a clip back, and the power may fail within.
    fn withdraw(&mut self, n: u64) -> Result<(), StoreError> {
        let left = self.chance.below(12) as u32;
        let (wall, id) = (self.wall, version(n, 0).id);
        let store = self.store.as_mut().expect("open");
        store.cut = Some(Cut { left, at: None });
        let done = store.withdraw(wall, &id);
        // Once the mark is there, it is withdrawn, whatever comes.
        if store.private.is_buried(&id) {
            self.withdrawn.insert(n);
            self.acknowledged.retain(|(of, _)| *of != n);
        }
        self.waiting.clear();
        done
    }

    fn step(&mut self) {
        let n = self.chance.below(CLIPS + 1);
        let what = self.chance.below(32);
        self.trace.push(format!("{what} on {n}"));
        match what {
            23..=25 => self.done.files_damaged += 1,
            27..=29 => self.done.databases_lost += 1,
            30 => self.done.withdrawn += 1,
            _ => {}
        }
        let done = match what {
            0..=11 => {
                let which = u64::from(self.chance.below(4) == 0);
                self.deliver(n, which)
            }
            12..=17 => self.commit(),
            18..=21 => {
                let left = self.chance.below(9) as u32;
                self.store.as_mut().expect("open").cut = Some(Cut { left, at: None });
                self.deliver(n, 0).and_then(|()| self.commit())
            }
            22 => {
                let of_power = self.chance.below(2) == 0;
                self.dies(of_power);
                self.open();
                Ok(())
            }
            // A body is removed only while its record is there: of a clip without files and row nothing can be known.
            23 if self.has_record(n) => {
                let _ = fs::remove_file(self.body(n));
                Ok(())
            }
            24 if self.has_record(n) => {
                let path = self.body(n);
                if let Ok(mut bytes) = fs::read(&path) {
                    match self.chance.below(2) {
                        0 => bytes.truncate(7),
                        _ => bytes.iter_mut().take(2_000).for_each(|byte| *byte ^= 0x55),
                    }
                    fs::write(path, bytes).expect("damaged");
                }
                Ok(())
            }
            25 if n != VOTE && self.has_whole_body(n) => {
                let path = self.file(n, Part::Record);
                match self.chance.below(2) {
                    0 => drop(fs::remove_file(path)),
                    _ if path.exists() => fs::write(path, b"{\"schema\":1").expect("torn"),
                    _ => {}
                }
                Ok(())
            }
            26 => {
                self.dies(false);
                self.backup = fs::read(database_in(&self.dir())).ok();
                self.open();
                Ok(())
            }
            27 | 28 => {
                self.dies(false);
                let database = database_in(&self.dir());
                for suffix in identity::SQLITE_FILES {
                    let _ = fs::remove_file(identity::beside(&database, suffix));
                }
                if what == 27
                    && let Some(backup) = &self.backup
                {
                    fs::write(&database, backup).expect("restored");
                }
                self.open();
                Ok(())
            }
            23..=25 | 31 => Ok(()),
            30 => self.withdraw(n),
            _ => {
                self.dies(false);
                rebuild(&self.dir(), Progress::new("read")).expect("rebuilds");
                self.open();
                Ok(())
            }
        };
        if let Err(error) = done {
            let cut = self.store.as_ref().and_then(|store| store.cut.as_ref()?.at);
            self.trace.push(format!("{error} at {cut:?}"));
            // A file that was to be synced is missing.
            let is_file = matches!(error, StoreError::File { .. });
            assert!(cut.is_some() || is_file, "{error}: {:#?}", self.trace);
            // The process may also survive a fault: then its batch is given up.
            match self.chance.below(3) {
                0 => {
                    self.waiting.clear();
                    let store = self.store.as_mut().expect("open");
                    store.roll_back();
                    store.cut = None;
                    // The next second.
                    store.work_off(self.wall, Mono(1)).expect("works");
                }
                1 => {
                    self.dies(false);
                    self.open();
                }
                _ => {
                    self.dies(true);
                    self.open();
                }
            }
        }
        if let Some(store) = &mut self.store {
            store.cut = None;
        }
    }

    /// Every acknowledged clip is there, or `check` names it.
    fn holds(&self) {
        let named: BTreeSet<ClipId> = check::look(&self.dir(), Progress::new("read"), false)
            .expect("checks")
            .findings
            .into_iter()
            .filter_map(|found| found.clip_id)
            .collect();
        for &(n, which) in &self.acknowledged {
            assert!(
                self.has(n, which) || named.contains(&version(n, which).id),
                "clip {n} is neither there nor named: {:#?}",
                self.trace
            );
        }
        for &n in &self.withdrawn {
            let parts = [Part::Body(BodyKind::OggOpus), Part::Record, Part::Void];
            for part in parts {
                assert!(
                    !self.file(n, part).exists(),
                    "{part:?} of {n}: {:#?}",
                    self.trace
                );
            }
            let store = self.store.as_ref().expect("open");
            let known = rows::known(&store.db, &version(n, 0).id).expect("reads");
            assert!(known.is_none(), "clip {n} has a row: {:#?}", self.trace);
        }
    }

    /// The booths offer everything again.
    fn ends(mut self) -> Done {
        // A file that was removed before it was synced makes the commit fail; it was promised to nobody.
        if self.commit().is_err() {
            self.waiting.clear();
            self.store.as_mut().expect("open").roll_back();
        }
        self.holds();
        for (n, which) in self.acknowledged.clone() {
            for _ in 0..6 {
                self.deliver(n, which).expect("the store works");
                self.commit().expect("commits");
            }
        }
        self.holds();
        let named = check::look(&self.dir(), Progress::new("read"), false)
            .expect("checks")
            .findings;
        for &(n, which) in &self.acknowledged {
            let clip = version(n, which);
            let is_there = self.has(n, which);
            // The body is rotten at its full length, or was moved out of its place, which another version has.
            let is_named = named.iter().any(|found| {
                ["different_body", "set_aside"].contains(&found.what)
                    && found.clip_id.as_ref() == Some(&clip.id)
            });
            assert!(
                is_there || is_named,
                "clip {n} was offered in vain: {:#?}",
                self.trace
            );
        }
        self.done
    }
}

#[test]
fn whatever_befalls_the_store_an_acknowledged_clip_is_there_or_asked_for_or_named() {
    let wanted = std::env::var("STORE_SEEDS").unwrap_or_default();
    let (first, last) = wanted
        .split_once('-')
        .and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)))
        .unwrap_or(SEEDS);
    let mut all = Done::default();
    for seed in first..=last {
        let mut model = Model::new(seed);
        for _ in 0..STEPS {
            model.step();
            model.holds();
        }
        let done = model.ends();
        all.acknowledged += done.acknowledged;
        all.cuts += done.cuts;
        all.kills += done.kills;
        all.files_damaged += done.files_damaged;
        all.databases_lost += done.databases_lost;
        all.withdrawn += done.withdrawn;
    }
    booth_host::complain!("seeds {first}-{last}: {all:?}");
}
