//! An outage of the centre, a kill of the booth's program, a power cut of its card, and a kill in the drain: the same for everybody.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use booth_testkit::blockdev::{BlockDevice, Mounted, Trace, What, run as run_program, scratch};
use booth_testkit::crash_image::{Cut, Dice, Later};
use booth_testkit::programs::{Programs, wait_for};
use booth_testkit::temporary;

use super::ours::{Keeping, Kept, OurBooth, OurCentre, out_of_order};
use super::peers::{Centre, Edge, Peer};
use super::work::{
    Accepted, Arrivals, CLIP_BYTES, Collector, MESSAGES_OF_A_CLIP, pause_until, publish,
};

/// How long the centre waits for a first message, and for another one. Mosquitto's bridge may pause for 30 s between two tries.
const FIRST: Duration = Duration::from_secs(35);
const QUIET: Duration = Duration::from_secs(8);

/// What came of it; what was not looked at is `None`.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Clips that the store had confirmed.
    pub accepted: usize,
    pub lost: usize,
    /// Messages (of a bridge) or clips (at the hub) that are there twice.
    pub doubled: usize,
    pub out_of_order: usize,
    /// From the centre's return to the first message, s.
    pub first_s: Option<f64>,
    /// From the first message to the last, s.
    pub drain_s: Option<f64>,
    pub mb_s: Option<f64>,
    pub memory_mib: Option<f64>,
    /// Bytes that went to the disk for each byte of a clip: as the kernel counts the process's.
    pub written: Option<f64>,
    /// The same on the recorded card, with the file system's own.
    pub on_card: Option<f64>,
}

/// How a store is ended while clips come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Kill,
    PowerCut,
}

/// So many clips, one each `pace`, and the end comes at a moment of the last third.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub clips: u32,
    pub pace: Duration,
}

impl Pace {
    fn end(&self, seed: u64) -> Duration {
        let mut dice = Dice(seed);
        let ms = self.pace.as_millis() as u64 * u64::from(self.clips);
        Duration::from_millis(ms * 2 / 3 + dice.below(ms / 3))
    }
}

fn per_byte(bytes: u64, clips: usize) -> Option<f64> {
    (clips > 0).then(|| bytes as f64 / (clips as u64 * CLIP_BYTES) as f64)
}

fn folder() -> Result<tempfile::TempDir, String> {
    // On a real disk, so that the kernel counts what is written.
    tempfile::tempdir_in(temporary()).map_err(|error| error.to_string())
}

/// Fills in what the collector saw.
fn judged(
    outcome: Outcome,
    accepted: &BTreeSet<u32>,
    arrivals: &Arrivals,
    back: Instant,
) -> Outcome {
    let seconds = |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64();
    let span = arrivals.span();
    Outcome {
        accepted: accepted.len(),
        lost: arrivals.lost(accepted),
        doubled: arrivals.doubled(),
        out_of_order: arrivals.out_of_order(),
        first_s: span.map(|(_, first, _)| seconds(back, first)),
        drain_s: span.map(|(_, first, last)| seconds(first, last)),
        mb_s: span.map(|(bytes, first, last)| bytes as f64 / 1e6 / seconds(first, last).max(0.001)),
        ..outcome
    }
}

/// A centre that knows its collector, and is away.
fn centre_away(peer: Peer) -> Result<Centre, String> {
    let mut centre = Centre::of(peer)?;
    Collector::connect(centre.port)?;
    centre.goes_away()?;
    Ok(centre)
}

fn collect(centre: &mut Centre, accepted: &BTreeSet<u32>) -> Result<(Arrivals, Instant), String> {
    let back = Instant::now();
    centre.comes_back()?;
    let mut collector = Collector::connect(centre.port)?;
    let wanted = accepted.len() * MESSAGES_OF_A_CLIP as usize;
    // Looked at only when enough have come: it is long work for many.
    let has_all = |arrivals: &Arrivals| arrivals.len() >= wanted && arrivals.lost(accepted) == 0;
    collector.collect(FIRST, QUIET, has_all)?;
    Ok((collector.arrivals().clone(), back))
}

/// The centre is away while `clips` clips come in as fast as they are taken; then it is back.
pub fn outage(peer: Peer, clips: u32) -> Result<Outcome, String> {
    let (mut centre, work) = (centre_away(peer)?, scratch());
    let edge = Edge::start(peer, work.path(), &centre)?;
    let accepted = Accepted::default();
    publish(edge.port, clips, Duration::ZERO, &accepted)?;
    let accepted = accepted.clips();
    let (arrivals, back) = collect(&mut centre, &accepted)?;
    let outcome = Outcome {
        memory_mib: Some(edge.memory_mib()),
        ..Outcome::default()
    };
    Ok(judged(outcome, &accepted, &arrivals, back))
}

/// The same for the booth's gateway.
pub fn our_outage(programs: &Programs, clips: u32) -> Result<Outcome, String> {
    let (mut centre, card) = (OurCentre::away(programs)?, scratch());
    let mut booth = OurBooth::new(programs, card.path(), &centre)?;
    let kept = booth.fill(u64::from(clips))?;
    booth.start()?;
    booth.says("broker")?;
    let back = Instant::now();
    centre.comes_back()?;
    let all: BTreeSet<String> = kept.iter().map(|clip| clip.clip_id.to_string()).collect();
    wait_for("every clip is confirmed", || {
        (booth.confirmed().len() >= all.len()).then_some(())
    })?;
    let confirmed = booth.confirmed();
    let (first, last) = (confirmed[0].1, confirmed[confirmed.len() - 1].1);
    let seconds = |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64();
    let bytes: u64 = kept.iter().map(|clip| clip.bytes).sum();
    Ok(Outcome {
        accepted: all.len(),
        lost: centre.gets(&all)?,
        out_of_order: out_of_order(&kept, &confirmed),
        first_s: Some(seconds(back, first)),
        drain_s: Some(seconds(first, last)),
        mb_s: Some(bytes as f64 / 1e6 / seconds(first, last).max(0.001)),
        memory_mib: Some(booth.memory_mib()?),
        ..Outcome::default()
    })
}

/// The store is killed when a third has arrived, and started again.
pub fn kill_in_drain(peer: Peer, clips: u32) -> Result<Outcome, String> {
    let (mut centre, work) = (centre_away(peer)?, scratch());
    let mut edge = Edge::start(peer, work.path(), &centre)?;
    let accepted = Accepted::default();
    publish(edge.port, clips, Duration::ZERO, &accepted)?;
    let accepted = accepted.clips();
    // A store that saves at intervals has had one.
    pause_until(Instant::now() + Duration::from_secs(3));
    let back = Instant::now();
    centre.comes_back()?;
    let mut collector = Collector::connect(centre.port)?;
    let third = accepted.len() * MESSAGES_OF_A_CLIP as usize / 3;
    collector.collect(FIRST, QUIET, |arrivals| arrivals.len() >= third)?;
    edge.kill();
    edge.start_again()?;
    collector.collect(FIRST, FIRST, |arrivals| arrivals.lost(&accepted) == 0)?;
    // What comes twice comes now.
    collector.collect(QUIET, QUIET, |_| false)?;
    Ok(judged(
        Outcome::default(),
        &accepted,
        collector.arrivals(),
        back,
    ))
}

/// The same for the booth's gateway.
pub fn our_kill_in_drain(programs: &Programs, clips: u32) -> Result<Outcome, String> {
    let (mut centre, card) = (OurCentre::away(programs)?, scratch());
    let mut booth = OurBooth::new(programs, card.path(), &centre)?;
    let kept = booth.fill(u64::from(clips))?;
    booth.start()?;
    centre.comes_back()?;
    let third = clips as usize / 3;
    wait_for("a third is confirmed", || {
        (booth.confirmed().len() >= third).then_some(())
    })?;
    let mut confirmed = booth.confirmed();
    booth.kill();
    booth.start()?;
    let all: BTreeSet<String> = kept.iter().map(|clip| clip.clip_id.to_string()).collect();
    let lost = centre.gets(&all)?;
    confirmed.extend(booth.confirmed());
    Ok(Outcome {
        accepted: all.len(),
        lost,
        out_of_order: out_of_order(&kept, &confirmed),
        ..Outcome::default()
    })
}

/// What a power cut leaves of the card, mounted. Nothing that was written behind the last flush is there.
pub struct Left {
    card: Mounted,
    _folder: tempfile::TempDir,
}

impl Left {
    pub fn path(&self) -> &Path {
        self.card.path()
    }
}

/// Cuts the power behind the last of these happenings.
pub fn power_cut(trace: &Trace) -> Result<Left, String> {
    let folder = scratch();
    let (image, place) = (folder.path().join("image"), folder.path().join("card"));
    std::fs::create_dir(&place).map_err(|error| error.to_string())?;
    let cut = Cut {
        point: trace.events.len(),
        later: Later::Nothing,
        lies: 0,
    };
    cut.leave(trace, &mut Dice(1), &image)
        .map_err(|error| error.to_string())?;
    Ok(Left {
        card: Mounted::mount(&image, &place)?,
        _folder: folder,
    })
}

/// Bytes that went to the card after so many happenings.
fn bytes_since(trace: &Trace, events: usize) -> u64 {
    let written = trace.events[events..]
        .iter()
        .map(|event| match &event.what {
            What::Write(_, bytes) => bytes.len() as u64,
            _ => 0,
        });
    written.sum()
}

/// Where the store works: on a disk, or on a recorded card.
enum Place {
    Disk(tempfile::TempDir),
    Card(Box<BlockDevice>),
}

impl Place {
    fn for_end(end: End) -> Result<Self, String> {
        Ok(match end {
            End::Kill => Place::Disk(folder()?),
            End::PowerCut => Place::Card(Box::new(BlockDevice::start()?)),
        })
    }

    fn path(&self) -> std::path::PathBuf {
        match self {
            Place::Disk(folder) => folder.path().to_owned(),
            Place::Card(device) => device.card(),
        }
    }

    /// Everything that was written so far is on the card.
    fn settles(&self) -> Result<(), String> {
        match self {
            Place::Disk(_) => Ok(()),
            Place::Card(device) => run_program("sync", &["-f".as_ref(), device.card().as_ref()]),
        }
    }

    fn events(&self) -> usize {
        match self {
            Place::Disk(_) => 0,
            Place::Card(device) => device.trace().events.len(),
        }
    }

    fn trace(&self) -> Option<Trace> {
        match self {
            Place::Disk(_) => None,
            Place::Card(device) => Some(device.trace()),
        }
    }
}

/// Clips come in at a pace, the store ends at a moment from the seed, is started again, and the centre comes back.
pub fn ended(peer: Peer, end: End, pace: Pace, seed: u64) -> Result<Outcome, String> {
    // The centre goes first: a broker in a Debian of its own holds every mount of this machine.
    let (place, mut centre) = (Place::for_end(end)?, centre_away(peer)?);
    let mut edge = Edge::start(peer, &place.path(), &centre)?;
    place.settles()?;
    let before = (edge.bytes_written(), place.events());
    let accepted = Accepted::default();
    let (told, port) = (accepted.clone(), edge.port);
    let producer = std::thread::spawn(move || publish(port, pace.clips, pace.pace, &told));
    pause_until(Instant::now() + pace.end(seed));
    let written = edge.bytes_written() - before.0;
    let accepted = accepted.clips();
    let trace = place.trace();
    edge.kill();
    producer.join().map_err(|_| "the producer panicked")??;
    let left = trace.as_ref().map(power_cut).transpose()?;
    match &left {
        Some(left) => edge.start_at(left.path())?,
        None => edge.start_again()?,
    }
    let (arrivals, back) = collect(&mut centre, &accepted)?;
    edge.kill();
    let outcome = Outcome {
        written: per_byte(written, accepted.len()),
        on_card: trace.and_then(|trace| per_byte(bytes_since(&trace, before.1), accepted.len())),
        ..Outcome::default()
    };
    Ok(judged(outcome, &accepted, &arrivals, back))
}

/// The same for the booth's gateway: the process that keeps clips is killed, and the gateway starts on what is there.
pub fn our_end(programs: &Programs, end: End, pace: Pace, seed: u64) -> Result<Outcome, String> {
    let (mut centre, place) = (OurCentre::away(programs)?, Place::for_end(end)?);
    let mut booth = OurBooth::new(programs, &place.path(), &centre)?;
    place.settles()?;
    let before = place.events();
    let kept = Kept::default();
    let mut keeping = Keeping::start(&booth.spool(), pace.clips, pace.pace, &kept)?;
    pause_until(Instant::now() + pace.end(seed));
    let (accepted, written) = (kept.clips(), kept.bytes_written());
    let trace = place.trace();
    keeping.kill();
    let left = trace.as_ref().map(power_cut).transpose()?;
    if let Some(left) = &left {
        booth.moves_to(left.path());
    }
    booth.start()?;
    centre.comes_back()?;
    let lost = centre.gets(&accepted)?;
    booth.kill();
    Ok(Outcome {
        accepted: accepted.len(),
        lost,
        written: per_byte(written, accepted.len()),
        on_card: trace.and_then(|trace| per_byte(bytes_since(&trace, before), accepted.len())),
        ..Outcome::default()
    })
}
