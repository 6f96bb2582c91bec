//! A recorded evening at the booth: citizens speak, hang up, are cut off, while every write of the card is kept.
//!
//! Owns: the script of visits and the marks that say what the gateway has promised by then. Never does: look at a
//! crash state. The promises are taken from what the gateway says and shows, not from its inside.
#![allow(clippy::disallowed_methods)]

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use booth_contract::{Ack, AckStatus};
use booth_host::clock;
use serde::{Deserialize, Serialize};

use super::blockdev::{BlockDevice, Marker, Trace};
use super::card_reader::{self, ClipFile};
use super::crash_booth::{CrashBooth, configure};
use super::crash_centre::Centre;
use super::crash_image::Dice;
use super::programs::{Programs, wait_for};
use super::speaking::speak;
use booth_stage::pulse::Pulse;

/// A gateway that waits longer than this for a processor cannot be held to a second: nothing is learnt of its card.
const MOST_STARVED_PERCENT: u64 = 30;

/// What the gateway has promised. A mark of the trace, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Promise {
    /// The gateway's first start begins.
    Starts,
    /// The device is recorded no further.
    Ends,
    /// Since the mark before, some thread of this machine waited so long for a processor.
    Starved { ms: u64 },
    /// It is ready, with this card.
    Ready { card_id: String },
    /// A take's first sample was captured then.
    Began { clip_id: String, mono_ms: u64 },
    /// The citizen ends it so that it is to be deleted.
    Discarding { clip_id: String },
    /// The gateway says that it is deleted.
    Discarded { clip_id: String },
    /// The gateway says that it is kept, with this closing record over this body.
    Kept {
        clip_id: String,
        manifest: String,
        sha256: String,
    },
    /// The centre has said, not before this time, that it has this very clip.
    Confirmed { clip_id: String, at_us: u64 },
}

impl Promise {
    /// As a mark.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("a promise is JSON")
    }
}

/// How a visit ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Hung up.
    HangUp,
    /// Hung up before a word was said.
    TooShort,
    /// 112, which keeps nothing.
    Emergency,
    /// `kill -9` while speaking; the gateway starts again.
    Kill,
    /// The recording of the device ends while the citizen speaks.
    PowerOff,
}

/// One citizen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// At least so much is on the card before the end.
    pub speak_ms: u64,
    /// The end.
    pub end: End,
}

/// A short evening, for `make test`: some 20 s, 10 of them speech.
pub fn short_evening() -> Vec<Visit> {
    let visit = |speak_ms, end| Visit { speak_ms, end };
    vec![
        visit(1500, End::HangUp),
        visit(0, End::TooShort),
        visit(1000, End::Kill),
        visit(5500, End::HangUp),
        visit(1500, End::PowerOff),
    ]
}

/// A longer one: every end, in an order and with lengths from the seed.
pub fn long_evening(seed: u64) -> Vec<Visit> {
    let mut dice = Dice(seed);
    let mut ends = vec![
        End::HangUp,
        End::TooShort,
        End::Kill,
        End::HangUp,
        End::Emergency,
        End::HangUp,
        End::Kill,
        End::HangUp,
        End::TooShort,
        End::HangUp,
    ];
    for place in (1..ends.len()).rev() {
        ends.swap(place, dice.below(place as u64 + 1) as usize);
    }
    ends.push(End::PowerOff);
    let visit = |end| Visit {
        speak_ms: 500 + dice.below(6000),
        end,
    };
    ends.into_iter().map(visit).collect()
}

/// Writes promises down at the moment they are made.
#[derive(Clone)]
struct Scribe {
    marker: Marker,
    clips: PathBuf,
    /// Files of takes that have begun: a released one can still be read here.
    open: Arc<Mutex<HashMap<String, File>>>,
    kept: Arc<Mutex<HashMap<String, ClipFile>>>,
    confirmed: Arc<Mutex<HashSet<String>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scribe {
    fn promise(&self, promise: &Promise) {
        self.marker.mark(promise.text());
    }

    /// A line of the gateway's log.
    fn heard(&self, line: &str) {
        let says_kept =
            line.contains(" kept clip_id=") || line.contains("finished what a power cut had left");
        let clip_id = line.split("clip_id=").nth(1).filter(|_| says_kept);
        let Some(clip_id) = clip_id.and_then(|rest| rest.split(' ').next()) else {
            return;
        };
        let file = locked(&self.open).remove(clip_id);
        let path = self.clips.join(format!("{clip_id}.clip"));
        let Some(mut file) = file.or_else(|| File::open(path).ok()) else {
            return;
        };
        let mut bytes = Vec::new();
        if file
            .rewind()
            .and_then(|()| file.read_to_end(&mut bytes))
            .is_err()
        {
            return;
        }
        let clip = card_reader::parse(&bytes);
        let promise = Promise::Kept {
            clip_id: clip_id.to_owned(),
            manifest: clip.manifest.clone().unwrap_or_default(),
            sha256: clip.sha256.clone(),
        };
        self.promise(&promise);
        locked(&self.kept).insert(clip_id.to_owned(), clip);
    }

    /// An answer of the hub.
    fn answered(&self, payload: &str) {
        let Ok(ack) = serde_json::from_str::<Ack>(payload) else {
            return;
        };
        let age = ack
            .ts
            .and_then(|text| text.parse::<jiff::Timestamp>().ok())
            .map_or(0, |ts| clock::wall().as_microsecond() - ts.as_microsecond());
        let at_us = clock::mono_us().saturating_sub(u64::try_from(age).unwrap_or(0));
        if ack.status == AckStatus::Stored {
            self.promise(&Promise::Confirmed {
                clip_id: ack.clip_id.to_string(),
                at_us,
            });
            locked(&self.confirmed).insert(ack.clip_id.to_string());
        }
    }
}

/// Records an evening; with a centre, its hub opens after the second visit and clips leave from then on. A machine
/// that is too busy is tried ten times: other tests end meanwhile.
pub fn record(programs: &Programs, visits: &[Visit], with_centre: bool) -> Result<Trace, String> {
    let mut last = String::new();
    for _ in 0..10 {
        match record_once(programs, visits, with_centre) {
            Err(Failed::TooBusy(percent)) => {
                last = format!(
                    "this machine is too busy to record: for {percent} % of the time the gateway waited for a processor"
                );
            }
            Err(Failed::Broken(why)) => return Err(why),
            Ok(trace) => return Ok(trace),
        }
    }
    Err(last)
}

enum Failed {
    TooBusy(u64),
    Broken(String),
}

impl From<String> for Failed {
    fn from(why: String) -> Self {
        Failed::Broken(why)
    }
}

fn record_once(programs: &Programs, visits: &[Visit], with_centre: bool) -> Result<Trace, Failed> {
    let device = BlockDevice::start()?;
    let pulse = Pulse::start();
    let home = tempfile::tempdir().map_err(|error| error.to_string())?;
    let scribe = Scribe {
        marker: device.marker(),
        clips: device.card().join("spool/clips"),
        open: Arc::default(),
        kept: Arc::default(),
        confirmed: Arc::default(),
    };
    let mut centre = match with_centre {
        true => {
            let scribe = scribe.clone();
            let answered = move |payload: &str| scribe.answered(payload);
            Some(Centre::start(programs, home.path(), answered)?)
        }
        false => None,
    };
    let mqtt = centre.as_ref().map_or(String::new(), |centre| {
        format!("url = \"mqtt://127.0.0.1:{}\"", centre.port)
    });
    configure(home.path(), &device.card(), &mqtt)?;
    let _speech = speak(&pulse, home.path())?;
    let mut evening = Evening {
        programs,
        pulse: &pulse,
        home: home.path(),
        device: &device,
        scribe,
        seen: HashSet::new(),
        starved_ms: 0,
    };
    let began_ms = clock::mono().0;
    let pressure = Pressure::watch(evening.scribe.clone());
    evening.scribe.promise(&Promise::Starts);
    let mut booth = evening.start()?;
    for (number, visit) in visits.iter().enumerate() {
        if number == 2
            && let Some(centre) = &mut centre
        {
            centre.open_hub()?;
        }
        booth = match evening.visit(booth, *visit)? {
            Some(booth) => booth,
            None => break,
        };
        if number > 2 && centre.is_some() && visit.end == End::HangUp {
            evening.wait_until_confirmed()?;
        }
    }
    drop(pressure);
    let took_ms = clock::mono().0 - began_ms;
    let starved_percent = 100 * evening.starved_ms / took_ms.max(1);
    if starved_percent > MOST_STARVED_PERCENT {
        return Err(Failed::TooBusy(starved_percent));
    }
    if let Some(centre) = &centre {
        let kept = locked(&evening.scribe.kept);
        for clip_id in locked(&evening.scribe.confirmed).iter() {
            let clip = kept.get(clip_id);
            centre.has(clip_id, clip.map_or("", |clip| &clip.sha256))?;
        }
    }
    let mut trace = device.trace();
    let end = Promise::Ends.text();
    let end = trace.marks().find(|(.., text)| *text == end);
    if let Some((end, ..)) = end {
        trace.events.truncate(end);
    }
    Ok(trace)
}

/// Notes while it lives how long threads wait for a processor (the kernel's pressure stall information): words that a
/// busy machine kept from the card are not the gateway's.
struct Pressure(Arc<AtomicBool>, Option<std::thread::JoinHandle<()>>);

impl Pressure {
    fn watch(scribe: Scribe) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let total_us = || {
            let text = std::fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
            let total = text
                .lines()
                .next()
                .and_then(|line| line.split("total=").nth(1));
            total
                .and_then(|total| total.parse::<u64>().ok())
                .unwrap_or(0)
        };
        let thread = std::thread::spawn(move || {
            let mut known = total_us();
            while !over.load(Ordering::Relaxed) {
                std::thread::park_timeout(Duration::from_millis(100));
                let ms = total_us().saturating_sub(known) / 1000;
                if ms > 0 {
                    scribe.promise(&Promise::Starved { ms });
                    known += ms * 1000;
                }
            }
        });
        Self(is_over, Some(thread))
    }
}

impl Drop for Pressure {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        if let Some(thread) = self.1.take() {
            let _ = thread.join();
        }
    }
}

struct Evening<'a> {
    programs: &'a Programs,
    pulse: &'a Pulse,
    home: &'a Path,
    device: &'a BlockDevice,
    scribe: Scribe,
    seen: HashSet<String>,
    starved_ms: u64,
}

impl Drop for Evening<'_> {
    fn drop(&mut self) {
        // An open file would hold the card's unmount up.
        locked(&self.scribe.open).clear();
    }
}

impl Evening<'_> {
    fn start(&self) -> Result<CrashBooth, String> {
        let scribe = self.scribe.clone();
        let mut booth = CrashBooth::start(self.programs, self.home, self.pulse, move |line| {
            scribe.heard(line);
        })?;
        booth.reaches("ready", 1)?;
        let card_id = card_reader::card_id(&self.device.card().join("spool"));
        let card_id = card_id.ok_or("card.json cannot be read")?;
        self.scribe.promise(&Promise::Ready { card_id });
        Ok(booth)
    }

    /// One citizen; the gateway that is there afterwards.
    fn visit(&mut self, mut booth: CrashBooth, visit: Visit) -> Result<Option<CrashBooth>, String> {
        booth.reaches("session", "idle")?;
        booth.lift_and_choose()?;
        let discarded = booth.count("discarded take=");
        let clip_id = self.new_clip()?;
        let path = self.scribe.clips.join(format!("{clip_id}.clip"));
        let is_deleted = || (booth.count("discarded take=") > discarded).then_some(());
        let about = || clip_id.clone();
        if visit.end == End::TooShort {
            self.scribe
                .promise(&Promise::Discarding { clip_id: about() });
            booth.handset("hang-up")?;
            wait_for("a short take is deleted", is_deleted)?;
            self.scribe
                .promise(&Promise::Discarded { clip_id: about() });
            return Ok(Some(booth));
        }
        let file = File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        locked(&self.scribe.open).insert(clip_id.clone(), file);
        let so_far = || Some(card_reader::parse(&std::fs::read(&path).ok()?));
        let mono_ms = wait_for("the first words are on the card", || {
            so_far()?.began_mono_ms
        })?;
        self.scribe.promise(&Promise::Began {
            clip_id: about(),
            mono_ms,
        });
        wait_for("the citizen has spoken", || {
            (so_far()?.kept_ms >= visit.speak_ms).then_some(())
        })?;
        let kept = || locked(&self.scribe.kept).get(&clip_id).cloned();
        match visit.end {
            End::HangUp | End::TooShort => {
                booth.handset("hang-up")?;
                wait_for("the clip is kept", kept)?;
            }
            End::Emergency => {
                booth.handset("dial 1")?;
                booth.handset("dial 1")?;
                self.scribe
                    .promise(&Promise::Discarding { clip_id: about() });
                booth.handset("dial 2")?;
                wait_for("112 deletes the take", is_deleted)?;
                self.scribe
                    .promise(&Promise::Discarded { clip_id: about() });
                locked(&self.scribe.open).remove(&clip_id);
                booth.handset("hang-up")?;
            }
            End::Kill => {
                let said_ms = clock::mono().0 - mono_ms;
                self.starved_ms += booth.starved_ms();
                booth.kill();
                booth = self.start()?;
                let clip = wait_for("the cut take is finished", kept)?;
                if clip.kept_ms + 1000 < said_ms {
                    return Err(format!(
                        "kill -9 after {said_ms} ms of speech left {} ms of clip {clip_id}",
                        clip.kept_ms
                    ));
                }
            }
            End::PowerOff => {
                self.scribe.promise(&Promise::Ends);
                self.starved_ms += booth.starved_ms();
                booth.kill();
                return Ok(None);
            }
        }
        Ok(Some(booth))
    }

    /// The clip file that was not there before.
    fn new_clip(&mut self) -> Result<String, String> {
        let entries = std::fs::read_dir(&self.scribe.clips).map_err(|error| error.to_string())?;
        let names = entries.flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some(name.strip_suffix(".clip")?.to_owned())
        });
        let known = locked(&self.scribe.kept);
        let new = names.filter(|name| !self.seen.contains(name) && !known.contains_key(name));
        let found: Vec<String> = new.collect();
        drop(known);
        self.seen.extend(found.iter().cloned());
        match found.as_slice() {
            [clip_id] => Ok(clip_id.clone()),
            _ => Err(format!("one new clip file was expected, not {found:?}")),
        }
    }

    fn wait_until_confirmed(&self) -> Result<(), String> {
        wait_for("the centre confirms", || {
            let kept = locked(&self.scribe.kept);
            let confirmed = locked(&self.scribe.confirmed);
            kept.keys().all(|id| confirmed.contains(id)).then_some(())
        })
    }
}
