//! `kill -9` of the real programs, one case at a time.
//!
//! [`Street::gateway_kill`]: a citizen speaks, the gateway is killed at a random moment, started again, and everything
//! that its card held must be at the hub. [`broker_or_hub_kill`]: booths deliver what they have, and broker or hub
//! are killed meanwhile. Both may run on several threads at once: a street's cases with a booth each.
//!
//! What a card held is asked of the product's own recovery on a copy of the card, made after the kill. The moment of a
//! kill comes from the seed; what the programs had done by then does not, so a seed repeats the intent, not the state.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use booth_host::clock;
use booth_spool::real_disk::RealDisk;
use booth_spool::{KeptClip, OpenFacts, Spool};

use super::repository;

use super::backlog::Voice;
use super::centre::Centre;
use super::crash_states::MOST_LOST_MS;
use super::programs::{Booth, BoothHome, HubHome, Mosquitto, Program, Programs, Sound, wait_for};
use super::stalls::Stalls;
use booth_stage::pulse::{Citizen, Pulse, names_of};
use booth_stage::speech;

/// Numbers that look random and come again with the same seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        // splitmix64, so that neighbouring seeds are nothing alike.
        let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((z ^ (z >> 31)) | 1)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    pub fn ms_below(&mut self, bound: u64) -> Duration {
        Duration::from_millis(self.below(bound))
    }
}

/// Lets time pass: the moment of a kill is a time, not an event.
pub fn pass(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        if left.is_zero() {
            break;
        }
        std::thread::park_timeout(left);
    }
}

/// A visit that has not come to a recording by then is given up, and how many are tried.
const A_VISIT: Duration = Duration::from_secs(10);
const VISITS: usize = 6;
/// A first sample may have been captured so long before the state that tells of it.
const BEGAN_EARLIER_MS: u64 = 300;

/// In which part of a visit the gateway is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// While it starts, with an unfinished take on its card.
    Start,
    /// The citizen listens.
    Notice,
    /// A digit was dialled: the take is armed, the tone plays.
    Tone,
    Speaking,
    /// The citizen has hung up a moment ago.
    Finishing,
    /// Nobody is there; what was said is on its way.
    Delivering,
}

/// What one gateway kill came to.
#[derive(Debug, Clone)]
pub struct GatewayKill {
    pub phase: Phase,
    /// Clips that the gateway had reported as kept, in this case.
    pub kept: usize,
    /// Clips on the card at the kill, the unfinished one included.
    pub on_card: usize,
    /// Of the take of the citizen who was there, if somebody was recorded.
    pub cut: Option<Cut>,
}

/// Speech up to a kill or a hang-up, by the boot-time clock in ms.
struct Spoken {
    began_mono: u64,
    ended_mono: u64,
}

/// What became of a take that was cut while somebody spoke.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    /// From the last moment at which the booth was not yet recording, as its handset's state says, to the kill or to
    /// the hang-up before it.
    pub spoken_ms: u64,
    /// Of it at the hub; 0 if nothing had been written yet.
    pub arrived_ms: u64,
    /// Finished by recovery rather than by the citizen.
    pub is_recovered: bool,
    /// That end, less the end of the last sample at the hub by the clip's own clock (which counts from when a sample
    /// was captured). `None` if nothing arrived.
    pub lost_by_clock_ms: Option<i64>,
    /// How long the machine held up a writer meanwhile ([`Stalls`]).
    pub stalled_ms: u64,
}

impl Cut {
    /// Speech that did not arrive, seen from outside: includes the tone's last moments and up to 50 ms between
    /// the first kept sample and the state that tells of it.
    pub fn lost_ms(&self) -> u64 {
        self.spoken_ms.saturating_sub(self.arrived_ms)
    }
}

/// Booths with citizens, one hub, one broker.
pub struct Street {
    booths: Vec<Mutex<Place>>,
    wav: PathBuf,
    #[expect(dead_code, reason = "ends with the street")]
    hub: Program,
    hub_home: HubHome,
    pulse: Pulse,
    #[expect(dead_code, reason = "ends with the street")]
    broker: Mosquitto,
    _folder: tempfile::TempDir,
}

struct Place {
    number: usize,
    home: BoothHome,
    running: Option<Booth>,
}

impl Street {
    /// Starts broker, hub and sound card for so many booths.
    pub fn open(programs: &Programs, booths: usize) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let wav = folder.path().join("speech.wav");
        let recording = repository().join("tests/fixtures/speech/da.opus");
        speech::decode(&recording, &wav)?;
        let broker = Mosquitto::open(false)?;
        let hub_home = HubHome::new(programs, broker.port, "")?;
        let hub = hub_home.start()?;
        let pulse = Pulse::for_booths(booths);
        let place = |number: usize| {
            let (microphone, ear) = names_of(number);
            let sound = Sound {
                microphone,
                ear,
                environment: pulse.environment(),
            };
            let id = format!("street-{number}");
            let home = BoothHome::new(programs, &id, broker.port, &sound, "")?;
            Ok(Mutex::new(Place {
                number,
                home,
                running: None,
            }))
        };
        let booths = (0..booths).map(place).collect::<Result<_, String>>()?;
        Ok(Self {
            booths,
            wav,
            hub,
            hub_home,
            pulse,
            broker,
            _folder: folder,
        })
    }

    /// One case at one booth; two cases at one booth wait for each other.
    pub fn gateway_kill(&self, booth: usize, seed: u64) -> Result<GatewayKill, String> {
        let place = self.booths.get(booth).ok_or("there is no such booth")?;
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.one(&mut place, &mut Dice::new(seed));
        done.map_err(|why| {
            let log = place.running.take().map(|booth| booth.program.tail());
            let copy = keep_evidence(&place.home.spool());
            format!(
                "seed {seed}, booth {}: {why}; the card is kept in {copy}; {}",
                place.home.id,
                log.unwrap_or_default()
            )
        })
    }

    /// Looks at the whole centre: nothing is stored twice, every number and every hash is there.
    pub fn check(&self) -> Result<usize, String> {
        let stored = Centre::open(&self.hub_home.store())?.check(None)?;
        Ok(stored.len())
    }

    fn one(&self, place: &mut Place, dice: &mut Dice) -> Result<GatewayKill, String> {
        let phase = match dice.below(10) {
            0 => Phase::Start,
            1 => Phase::Notice,
            2 => Phase::Tone,
            3..=6 => Phase::Speaking,
            7 | 8 => Phase::Finishing,
            _ => Phase::Delivering,
        };
        let mut booth = match place.running.take() {
            Some(running) => running,
            None => place.home.start()?,
        };
        booth.reaches("ready", 1)?;
        booth.reaches("session", "idle")?;
        let before = self.at_centre(&place.home.id)?;
        // Sometimes there is a clip of an earlier citizen that may still be on its way.
        if dice.below(2) == 0 {
            let (_, citizen) = self.until_recording(&booth, place.number)?;
            pass(Duration::from_millis(1_050 + dice.below(600)));
            drop(citizen);
            booth.handset("hang-up")?;
        }
        let stalls = Stalls::watch(&place.home.spool())?;
        let spoken = self.until_killed(&mut booth, place.number, phase, dice)?;
        let stalled_ms = stalls.total_ms();
        let kept = booth.program.values(" kept ", "clip_id");
        let card = Card::copy(&place.home.spool())?;

        if phase == Phase::Start {
            let mut starting = place.home.start()?;
            pass(dice.ms_below(500));
            starting.program.kill();
        }
        place.running = Some(place.home.start()?);
        let after = self.arrived(place, &before, &kept, &card.clips)?;
        // The take of the citizen who was there: the only one that began when that one did.
        let take = |spoken: &Spoken| {
            let new = after.values().filter(|clip| {
                !before.contains_key(&clip.clip_id)
                    && clip.started_mono_ms + BEGAN_EARLIER_MS >= spoken.began_mono
            });
            new.max_by_key(|clip| clip.started_mono_ms)
        };
        let cut = spoken.map(|spoken| {
            let arrived = take(&spoken);
            Cut {
                spoken_ms: spoken.ended_mono - spoken.began_mono,
                arrived_ms: arrived.map_or(0, |clip| clip.duration_ms),
                is_recovered: arrived.is_some_and(|clip| clip.recovered),
                lost_by_clock_ms: arrived.map(|clip| {
                    spoken.ended_mono as i64 - (clip.started_mono_ms + clip.duration_ms) as i64
                }),
                stalled_ms,
            }
        });
        if let Some(cut) = cut
            && cut.lost_ms() > MOST_LOST_MS + cut.stalled_ms
        {
            return Err(format!("{} ms of speech are lost: {cut:?}", cut.lost_ms()));
        }
        Ok(GatewayKill {
            phase,
            kept: kept.len(),
            on_card: card.clips.len(),
            cut,
        })
    }

    /// Lifts, consents, and speaks; answers the last moment at which the booth was not recording yet, by the boot-time
    /// clock in ms. A sound card without hardware fails now and then on a busy machine, and the booth is out of order
    /// then: the citizen hangs up and tries again.
    fn until_recording(&self, booth: &Booth, number: usize) -> Result<(u64, Citizen), String> {
        for _ in 0..VISITS {
            booth.reaches("ready", 1)?;
            let citizen = self.pulse.citizen(number, &self.wav);
            booth.handset("lift")?;
            booth.handset("dial 1")?;
            let gives_up = Instant::now() + A_VISIT;
            let mut not_yet = clock::mono().0;
            while Instant::now() < gives_up {
                let asked = clock::mono().0;
                let state = booth.state().ok_or("the handset does not answer")?;
                if state["session"] == "recording" {
                    return Ok((not_yet, citizen));
                }
                not_yet = asked;
                pass(Duration::from_millis(10));
            }
            booth.handset("hang-up")?;
        }
        Err(format!(
            "no visit comes to a recording; {}",
            booth.program.tail()
        ))
    }

    /// Uses the booth up to a random moment of that phase, and kills it. Answers what was spoken by then.
    fn until_killed(
        &self,
        booth: &mut Booth,
        number: usize,
        phase: Phase,
        dice: &mut Dice,
    ) -> Result<Option<Spoken>, String> {
        match phase {
            Phase::Notice => {
                booth.handset("lift")?;
                pass(dice.ms_below(700));
                booth.program.kill();
                Ok(None)
            }
            Phase::Tone => {
                booth.handset("lift")?;
                booth.handset("dial 1")?;
                pass(dice.ms_below(700));
                booth.program.kill();
                Ok(None)
            }
            Phase::Speaking | Phase::Start => {
                let (began_mono, citizen) = self.until_recording(booth, number)?;
                pass(dice.ms_below(3_000));
                let ended_mono = clock::mono().0;
                booth.program.kill();
                drop(citizen);
                Ok(Some(Spoken {
                    began_mono,
                    ended_mono,
                }))
            }
            Phase::Finishing | Phase::Delivering => {
                let (began_mono, citizen) = self.until_recording(booth, number)?;
                pass(Duration::from_millis(1_050 + dice.below(1_000)));
                let ended_mono = clock::mono().0;
                booth.handset("hang-up")?;
                let most = if phase == Phase::Finishing { 60 } else { 500 };
                pass(dice.ms_below(most));
                booth.program.kill();
                drop(citizen);
                Ok(Some(Spoken {
                    began_mono,
                    ended_mono,
                }))
            }
        }
    }

    /// What the centre has of this booth, by id.
    fn at_centre(&self, id: &str) -> Result<Clips, String> {
        Centre::open(&self.hub_home.store())?.check(Some(id))
    }

    /// Waits until the card is empty, and checks that the centre has got what it had to get, and nothing else.
    fn arrived(
        &self,
        place: &Place,
        before: &Clips,
        kept: &[String],
        card: &[KeptClip],
    ) -> Result<Clips, String> {
        let booth = place.running.as_ref().ok_or("it does not run")?;
        booth.reaches("connected", 1)?;
        booth.reaches("spool_clips", 0)?;
        wait_for("the card is clean", || {
            place.home.files("clips").is_empty().then_some(())
        })?;
        for folder in ["quarantine", "aside"] {
            let files = place.home.files(folder);
            if !files.is_empty() {
                return Err(format!("{folder} holds {files:?}"));
            }
        }
        let after = self.at_centre(&place.home.id)?;
        Centre::holds(&after, card)?;
        for id in kept {
            if !after.contains_key(id) {
                return Err(format!("clip {id} was kept and is lost"));
            }
        }
        let known = |id: &String| {
            before.contains_key(id)
                || kept.contains(id)
                || card.iter().any(|clip| &clip.clip_id == id)
        };
        if let Some(strange) = after.keys().find(|id| !known(id)) {
            return Err(format!("clip {strange} came from nowhere"));
        }
        let lost = before.keys().find(|id| !after.contains_key(*id));
        match lost {
            Some(id) => Err(format!("clip {id} has gone from the centre")),
            None => Ok(after),
        }
    }
}

type Clips = std::collections::HashMap<String, super::centre::Stored>;

/// A card as recovery finds it, looked at on a copy.
struct Card {
    clips: Vec<KeptClip>,
}

impl Card {
    fn copy(spool: &Path) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let copy = folder.path().join("spool");
        copy_tree(spool, &copy)?;
        let facts = OpenFacts {
            boot_id: clock::boot_id().into(),
            fresh_card_id: uuid::Uuid::new_v4().to_string().into(),
            wall_ms: clock::wall().as_millisecond(),
            max_bytes: 1 << 40,
            reserve_bytes: 0,
            ledger: false,
            card_cid: None,
            hw_serial: None,
            ballast_bytes: 0,
            failed_before: 0,
        };
        let (spool, report) = Spool::open(Arc::new(RealDisk::new()), &copy, facts)
            .map_err(|error| format!("a copy of the card: {error}"))?;
        if report.is_new_card || !report.set_aside.is_empty() || !report.damaged.is_empty() {
            return Err(format!("the card was left damaged: {report:?}"));
        }
        Ok(Self {
            clips: spool.clips(),
        })
    }
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), String> {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    match copied {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!("copying {}: {other:?}", from.display())),
    }
}

/// A card that broke a promise outlives its test.
fn keep_evidence(spool: &Path) -> String {
    let kept = std::env::temp_dir().join(format!("broken-promise-{}", uuid::Uuid::new_v4()));
    match copy_tree(spool, &kept) {
        Ok(()) => kept.display().to_string(),
        Err(why) => format!("nowhere ({why})"),
    }
}

/// What one case of [`broker_or_hub_kill`] came to.
#[derive(Debug, Clone, Default)]
pub struct CentreKill {
    pub broker_kills: u32,
    pub hub_kills: u32,
    pub is_persistent: bool,
    pub clips: usize,
    /// Clips at the centre at each kill: whether the kills met the load.
    pub stored_at_kills: Vec<u64>,
}

/// Three booths deliver a backlog each while broker and hub are killed one to three times. Nothing may be lost, nothing
/// stored twice, and every card must be empty at the end. `voice` says what the clips are made of.
pub fn broker_or_hub_kill(
    programs: &Programs,
    voice: &Voice,
    seed: u64,
) -> Result<CentreKill, String> {
    let mut dice = Dice::new(seed);
    kill_the_centre(programs, voice, &mut dice).map_err(|why| format!("seed {seed}: {why}"))
}

fn kill_the_centre(
    programs: &Programs,
    voice: &Voice,
    dice: &mut Dice,
) -> Result<CentreKill, String> {
    let mut done = CentreKill {
        is_persistent: dice.below(2) == 0,
        ..CentreKill::default()
    };
    let mut broker = Mosquitto::open(done.is_persistent)?;
    let hub_home = HubHome::new(programs, broker.port, "")?;
    let mut hub = hub_home.start()?;
    let rates = [
        "",
        "upload_kbit_s = 4000",
        "upload_kbit_s = 8000",
        "upload_kbit_s = 20000",
    ];
    let rate = rates[dice.below(4) as usize];
    let mut homes = Vec::new();
    for number in 0..3 {
        let id = format!("load-{number}");
        let home = BoothHome::new(programs, &id, broker.port, &Sound::none(), rate)?;
        let clips = voice.fill(&home.spool(), &id, 1, 20 + dice.below(30))?;
        done.clips += clips.len();
        homes.push((home, clips));
    }
    let booths = homes
        .iter()
        .map(|(home, _)| home.start())
        .collect::<Result<Vec<_>, _>>()?;
    for booth in &booths {
        booth.program.says("the hub is online")?;
    }
    let centre = Centre::open(&hub_home.store())?;
    for _ in 0..=dice.below(3) {
        pass(dice.ms_below(500));
        done.stored_at_kills.push(centre.clips(None)?.len() as u64);
        if dice.below(2) == 0 {
            done.broker_kills += 1;
            broker.kill();
            pass(dice.ms_below(400));
            broker.start_again()?;
        } else {
            done.hub_kills += 1;
            hub.kill();
            pass(dice.ms_below(400));
            hub = hub_home.start()?;
        }
    }
    for ((home, _), booth) in homes.iter().zip(&booths) {
        wait_until_empty(home, booth).map_err(|why| format!("{why}; {}", hub.tail()))?;
    }
    let stored = centre.check(None)?;
    for (_, clips) in &homes {
        Centre::holds(&stored, clips)?;
    }
    if stored.len() != done.clips {
        return Err(format!(
            "{} clips at the centre, {} were made",
            stored.len(),
            done.clips
        ));
    }
    Ok(done)
}

/// Waits until a booth has nothing left to deliver, as long as it gets on.
pub fn wait_until_empty(home: &BoothHome, booth: &Booth) -> Result<(), String> {
    let mut left = u64::MAX;
    loop {
        let now = wait_for(&format!("{} delivers another clip", home.id), || {
            let now = booth.state()?["spool_clips"].as_u64()?;
            (now < left).then_some(now)
        })
        .map_err(|why| format!("{why} of {left}; {}", booth.program.tail()))?;
        left = now;
        if left == 0 {
            break;
        }
    }
    wait_for("the card is clean", || {
        home.files("clips").is_empty().then_some(())
    })
}
