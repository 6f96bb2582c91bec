//! Power cuts of the real gateway's card: any moment, any part of the writes after the last flush.
//!
//! Owns: building a crash state, starting the real gateway on it, and the verdict. Never does: repair anything by
//! hand. [`Rig::one`] may be called from several threads at once. One state is reproducible from trace and seed.
//!
//! A word counts as said when the gateway's sound card captured it (the take's `start` record and the marks are on
//! the same clock), so what is lost includes every delay from the microphone to the card.
#![allow(clippy::disallowed_methods)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::blockdev::{Mounted, Trace, run, scratch};
use super::card_reader::{self, ClipFile};
use super::crash_booth::{CrashBooth, configure};
use super::crash_image::{Cut, Dice, Later};
use super::crash_record::{Promise, long_evening, record};
use super::programs::{Programs, wait_for};
use booth_stage::pulse::Pulse;

/// At most so much speech may be lost at a power cut.
pub const MOST_LOST_MS: u64 = 1000;
/// Waiting for a processor so long before a cut may have delayed what the cut finds.
const BUSY_WINDOW_US: u64 = 1_500_000;
/// In every so-manieth state somebody speaks to the gateway after its start.
const SPEAK_EVERY: u64 = 50;

/// Evenings that are recorded at the same time.
const AT_A_TIME: usize = 2;

/// What one crash state showed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Writes of which the power cut left any part.
    pub in_doubt: usize,
    /// From the gateway's start to `ready` = 1.
    pub ready_ms: u64,
    /// Promised clips that were compared.
    pub kept: usize,
    /// Clips that were there no more because the centre has them.
    pub gone: usize,
    /// Takes that this start finished.
    pub recovered: usize,
    /// Most speech that an unfinished take has lost; none if none was unfinished.
    pub lost_ms: Option<u64>,
    /// It was more than a second, within what the recording machine was too busy.
    pub was_busy: bool,
    /// The ledger was made again.
    pub ledger_rebuilt: bool,
    /// Files that were moved aside.
    pub aside: usize,
    /// It could be mounted only after the check that a boot makes by itself.
    pub by_fsck: bool,
    /// A new clip was recorded there.
    pub has_spoken: bool,
    /// It was to be, but the earpiece failed again and again.
    pub was_deaf: bool,
}

/// Recorded cards, the programs, and a sound card for all.
pub struct Rig {
    programs: Programs,
    traces: Vec<Trace>,
    pulse: Pulse,
    /// Flushes that the device only pretends to do: the control that must fail.
    lies: usize,
}

impl Rig {
    /// For these traces.
    pub fn new(programs: Programs, traces: Vec<Trace>) -> Self {
        Self {
            programs,
            traces,
            pulse: Pulse::start(),
            lies: 0,
        }
    }

    /// Records so many long evenings, every second one with a centre, or takes up those that an earlier call with
    /// this seed has left in `folder`. Several are recorded at a time, each in real time.
    pub fn prepare(
        programs: &Programs,
        folder: &Path,
        evenings: u64,
        seed: u64,
    ) -> Result<Self, String> {
        let numbers: Vec<u64> = (0..evenings).collect();
        let mut traces = Vec::new();
        for few in numbers.chunks(AT_A_TIME) {
            let recorded: Vec<Result<Trace, String>> = std::thread::scope(|scope| {
                let record = |number: u64| {
                    scope.spawn(move || recorded(programs, folder, seed + number, number % 2 == 1))
                };
                let threads: Vec<_> = few.iter().map(|number| record(*number)).collect();
                let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
                joined
                    .map(|done| done.unwrap_or_else(|_| Err("a recording panicked".into())))
                    .collect()
            });
            for trace in recorded {
                traces.push(trace?);
            }
        }
        Ok(Self::new(programs.clone(), traces))
    }

    /// The same with a device that did not do its last flushes, and of what came after them has nothing.
    pub fn lying(mut self, lies: usize) -> Self {
        self.lies = lies;
        self
    }

    /// One crash state: Err is a broken promise, or a gateway that does not start by itself.
    pub fn one(&self, seed: u64) -> Result<Outcome, String> {
        let number = (seed % self.traces.len().max(1) as u64) as usize;
        let trace = self.traces.get(number).ok_or("there is no trace")?;
        let mut dice = Dice(seed);
        let promised = Promised::of(trace)?;
        let mut cut = Cut::choose(trace, promised.starts..trace.events.len(), &mut dice);
        if self.lies > 0 {
            cut.lies = self.lies;
            cut.later = Later::Nothing;
        }
        self.state(
            trace,
            &promised,
            &cut,
            &mut dice,
            seed.is_multiple_of(SPEAK_EVERY),
        )
        .map_err(|why| format!("seed {seed}, trace {number}, {cut:?}: {why}"))
    }

    fn state(
        &self,
        trace: &Trace,
        promised: &Promised,
        cut: &Cut,
        dice: &mut Dice,
        speak: bool,
    ) -> Result<Outcome, String> {
        let place = scratch();
        let (image, card) = (place.path().join("card.img"), place.path().join("card"));
        std::fs::create_dir(&card).map_err(|error| error.to_string())?;
        configure(place.path(), &card, "")?;
        let mut outcome = Outcome {
            in_doubt: cut
                .leave(trace, dice, &image)
                .map_err(|error| error.to_string())?,
            ..Outcome::default()
        };
        let mounted = match Mounted::mount(&image, &card) {
            Ok(mounted) => mounted,
            // What a boot does before it mounts; nobody has to log in for it.
            Err(why) => {
                outcome.by_fsck = true;
                check_as_at_boot(&image).map_err(|error| format!("{why}; {error}"))?;
                Mounted::mount(&image, &card)?
            }
        };
        let start = Instant::now();
        let mut booth = CrashBooth::start(&self.programs, place.path(), &self.pulse, |_| ())?;
        booth.reaches("ready", 1)?;
        outcome.ready_ms = start.elapsed().as_millis() as u64;
        if speak {
            match speak_and_hang_up(&mut booth) {
                Ok(()) => outcome.has_spoken = true,
                // The stand-in for a sound card has such hours; the card is looked at all the same.
                Err(_) if booth.count("has gone") > 1 => outcome.was_deaf = true,
                Err(why) => return Err(why),
            }
        }
        outcome.recovered = booth.count("finished what a power cut had left");
        outcome.ledger_rebuilt = booth.count("the ledger: ") > 0;
        let log = booth.log().join("\n");
        let status = booth.stop()?;
        if !status.success() {
            return Err(format!("it ended with {status}; it said:\n{log}"));
        }
        let now = At {
            place: cut.point,
            us: trace.events[cut.point].at_us,
        };
        promised
            .check(now, &card.join("spool"), &mut outcome)
            .map_err(|why| format!("{why}; it said:\n{log}"))?;
        drop(mounted);
        run("e2fsck", &["-f".as_ref(), "-n".as_ref(), image.as_ref()])?;
        Ok(outcome)
    }
}

/// An evening that was recorded before, or now.
fn recorded(
    programs: &Programs,
    folder: &Path,
    seed: u64,
    with_centre: bool,
) -> Result<Trace, String> {
    let kept = folder.join(format!("evening-{seed}.trace"));
    if let Ok(trace) = Trace::load(&kept) {
        return Ok(trace);
    }
    let trace = record(programs, &long_evening(seed), with_centre)
        .map_err(|why| format!("evening {seed}: {why}"))?;
    // A half-written file would be taken for a whole one.
    let new = folder.join(format!("evening-{seed}.new"));
    trace
        .save(&new)
        .and_then(|()| std::fs::rename(&new, &kept))
        .map_err(|error| format!("{}: {error}", kept.display()))?;
    Ok(trace)
}

/// `e2fsck -y`, as systemd-fsck runs it with `fsck.repair=yes`. Its milder `-p` is not enough: the superblock is two
/// sectors long, and when only one of them has been written `-p` asks for a person instead of taking a backup.
fn check_as_at_boot(image: &Path) -> Result<(), String> {
    let output = Command::new("e2fsck")
        .arg("-y")
        .arg(image)
        .output()
        .map_err(|error| format!("e2fsck: {error}"))?;
    // Bits of e2fsck(8): 1 = errors were corrected; 4 and above = some were not.
    match output.status.code() {
        Some(0 | 1) => Ok(()),
        code => Err(format!(
            "e2fsck cannot repair it ({code:?}): {}",
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
        )),
    }
}

/// A citizen of a second and a half.
fn speak_and_hang_up(booth: &mut CrashBooth) -> Result<(), String> {
    let kept = booth.count(" kept clip_id=");
    booth.lift_and_choose()?;
    let start = Instant::now();
    wait_for("a second and a half", || {
        (start.elapsed().as_millis() > 1500).then_some(())
    })?;
    booth.handset("hang-up")?;
    wait_for("the new clip is kept", || {
        (booth.count(" kept clip_id=") > kept).then_some(())
    })
}

/// The moment of the cut.
#[derive(Clone, Copy)]
struct At {
    place: usize,
    us: u64,
}

struct KeptMark {
    place: usize,
    manifest: String,
    sha256: String,
}

/// All promises of a trace.
struct Promised {
    starts: usize,
    ready: Vec<(usize, String)>,
    began: HashMap<String, u64>,
    discarding: HashMap<String, usize>,
    discarded: HashMap<String, usize>,
    kept: HashMap<String, KeptMark>,
    confirmed: HashMap<String, u64>,
    /// When, and for how many ms, the machine that recorded was too busy.
    starved: Vec<(u64, u64)>,
}

/// A number of the manifest.
fn number(manifest: &str, name: &str) -> u64 {
    let manifest: serde_json::Value = serde_json::from_str(manifest).unwrap_or_default();
    manifest[name].as_u64().unwrap_or(0)
}

impl Promised {
    fn of(trace: &Trace) -> Result<Self, String> {
        let mut promised = Self {
            starts: 0,
            ready: Vec::new(),
            began: HashMap::new(),
            discarding: HashMap::new(),
            discarded: HashMap::new(),
            kept: HashMap::new(),
            confirmed: HashMap::new(),
            starved: Vec::new(),
        };
        for (place, at_us, text) in trace.marks() {
            match serde_json::from_str(text).map_err(|error| format!("{text}: {error}"))? {
                Promise::Starts => promised.starts = place,
                Promise::Ends => {}
                Promise::Starved { ms } => promised.starved.push((at_us, ms)),
                Promise::Ready { card_id } => promised.ready.push((place, card_id)),
                Promise::Began { clip_id, mono_ms } => {
                    promised.began.insert(clip_id, mono_ms);
                }
                Promise::Discarding { clip_id } => {
                    promised.discarding.insert(clip_id, place);
                }
                Promise::Discarded { clip_id } => {
                    promised.discarded.insert(clip_id, place);
                }
                Promise::Kept {
                    clip_id,
                    manifest,
                    sha256,
                } => {
                    let mark = KeptMark {
                        place,
                        manifest,
                        sha256,
                    };
                    promised.kept.insert(clip_id, mark);
                }
                Promise::Confirmed { clip_id, at_us } => {
                    promised.confirmed.entry(clip_id).or_insert(at_us);
                }
            }
        }
        Ok(promised)
    }

    fn check(&self, now: At, spool: &Path, outcome: &mut Outcome) -> Result<(), String> {
        let clips: BTreeMap<String, ClipFile> = card_reader::read_folder(&spool.join("clips"))
            .into_iter()
            .collect();
        let quarantined = card_reader::read_folder(&spool.join("quarantine"));
        if let Some((clip_id, _)) = quarantined.first() {
            return Err(format!("clip {clip_id} is in quarantine"));
        }
        outcome.aside =
            std::fs::read_dir(spool.join("aside")).map_or(0, |entries| entries.flatten().count());
        self.check_card(now, spool)?;
        for (clip_id, clip) in &clips {
            self.check_whole(now, clip_id, clip)?;
        }
        for (clip_id, kept) in &self.kept {
            self.check_kept(now, clip_id, kept, clips.get(clip_id), outcome)?;
        }
        for (clip_id, began_ms) in &self.began {
            self.check_words(now, clip_id, *began_ms, clips.get(clip_id), outcome)?;
        }
        self.check_numbers(now, &clips)
    }

    fn is_confirmed(&self, now: At, clip_id: &str) -> bool {
        self.confirmed.get(clip_id).is_some_and(|at| *at <= now.us)
    }

    /// The card stays the card.
    fn check_card(&self, now: At, spool: &Path) -> Result<(), String> {
        let mut known = self.ready.iter().filter(|(place, _)| *place < now.place);
        let card_id = card_reader::card_id(spool);
        match known.next_back() {
            Some((_, known)) if card_id.as_ref() != Some(known) => {
                Err(format!("the card was {known} and is now {card_id:?}"))
            }
            _ => Ok(()),
        }
    }

    /// Every file in `clips/` is a finished clip with its own body, and none was deleted on purpose.
    fn check_whole(&self, now: At, clip_id: &str, clip: &ClipFile) -> Result<(), String> {
        if clip.has_torn_tail || clip.manifest.is_none() || clip.is_discarded {
            return Err(format!("clip {clip_id} was left unfinished: {clip:?}"));
        }
        let is_own = clip.manifest_field("sha256") == clip.sha256.as_str()
            && clip.manifest_field("bytes") == clip.bytes
            && clip.manifest_field("clip_id") == clip_id;
        if !is_own {
            return Err(format!(
                "clip {clip_id} has another body than its manifest says"
            ));
        }
        match self.discarded.get(clip_id) {
            Some(place) if *place < now.place => Err(format!("deleted take {clip_id} is back")),
            _ => Ok(()),
        }
    }

    /// What was kept is there as it was, until the centre has it.
    fn check_kept(
        &self,
        now: At,
        clip_id: &str,
        kept: &KeptMark,
        clip: Option<&ClipFile>,
        outcome: &mut Outcome,
    ) -> Result<(), String> {
        if kept.place >= now.place {
            return Ok(());
        }
        let Some(clip) = clip else {
            outcome.gone += 1;
            return match self.is_confirmed(now, clip_id) {
                true => Ok(()),
                false => Err(format!("kept clip {clip_id} is gone: {}", kept.manifest)),
            };
        };
        outcome.kept += 1;
        match clip.manifest.as_ref() == Some(&kept.manifest) && clip.sha256 == kept.sha256 {
            true => Ok(()),
            false => Err(format!(
                "kept clip {clip_id} changed from {} to {clip:?}",
                kept.manifest
            )),
        }
    }

    /// Of a take that was not kept by then, at most the last second is lost.
    fn check_words(
        &self,
        now: At,
        clip_id: &str,
        began_ms: u64,
        clip: Option<&ClipFile>,
        outcome: &mut Outcome,
    ) -> Result<(), String> {
        let kept = self.kept.get(clip_id);
        let is_kept = kept.is_some_and(|kept| kept.place < now.place);
        let may_go = self
            .discarding
            .get(clip_id)
            .is_some_and(|place| *place < now.place);
        if is_kept || may_go || self.is_confirmed(now, clip_id) {
            return Ok(());
        }
        let whole_ms = kept.map_or(u64::MAX, |kept| number(&kept.manifest, "duration_ms"));
        let said_ms = (now.us / 1000).saturating_sub(began_ms).min(whole_ms);
        let there_ms = clip.map_or(0, |clip| clip.kept_ms);
        let lost_ms = said_ms.saturating_sub(there_ms);
        let starved_ms = self.starved_ms(now);
        if lost_ms > MOST_LOST_MS + starved_ms {
            return Err(format!(
                "of {said_ms} ms of speech {there_ms} ms are there, clip {clip_id} (the machine was busy for {starved_ms} ms)"
            ));
        }
        outcome.was_busy |= lost_ms > MOST_LOST_MS;
        if said_ms > 0 {
            outcome.lost_ms = outcome.lost_ms.max(Some(lost_ms));
        }
        Ok(())
    }

    /// How long, in the time before the cut that matters, the recording machine had no processor for somebody.
    fn starved_ms(&self, now: At) -> u64 {
        let window = now.us.saturating_sub(BUSY_WINDOW_US)..=now.us + 200_000;
        let in_window = self.starved.iter().filter(|(at, _)| window.contains(at));
        in_window.map(|(_, ms)| ms).sum()
    }

    /// No number twice, none left out.
    fn check_numbers(&self, now: At, clips: &BTreeMap<String, ClipFile>) -> Result<(), String> {
        let was_kept = self
            .kept
            .iter()
            .filter(|(clip_id, kept)| kept.place < now.place || self.is_confirmed(now, clip_id));
        let mut numbers: BTreeMap<u64, &str> = BTreeMap::new();
        let there = clips
            .iter()
            .map(|(clip_id, clip)| (clip_id, clip.manifest.as_deref().unwrap_or_default()));
        let all = was_kept.map(|(clip_id, kept)| (clip_id, kept.manifest.as_str()));
        for (clip_id, manifest) in all.chain(there) {
            let clip_no = number(manifest, "clip_no");
            match numbers.insert(clip_no, clip_id) {
                Some(other) if other != clip_id => {
                    return Err(format!("{clip_id} and {other} have number {clip_no}"));
                }
                _ => {}
            }
        }
        let cards: HashSet<String> = clips
            .values()
            .map(|clip| clip.manifest_field("card_id").to_string())
            .collect();
        if cards.len() > 1 {
            return Err(format!("there are clips of several cards: {cards:?}"));
        }
        match numbers.keys().copied().eq(1..=numbers.len() as u64) {
            true => Ok(()),
            false => Err(format!("numbers have gaps: {numbers:?}")),
        }
    }
}
