//! A whole booth in virtual time, from a seed: citizens, handset, card, network, broker and hub, with faults injected.
//!
//! Owns: the clock and the order of events, the injection of faults, the quiet end. Never does: wait, read a clock,
//! open a file (but for the real hub's store), start a thread. [`one`] runs a seed, [`replay`] says all of it; the same
//! seed is the same world. No global state: many may run at once.
//!
//! **Real:** the loop with all it decides (`run::Gateway`: session, delivery, health, alerts, counters, reports), the
//! keeper (`run::Keeper`), the spool on the model disk (without its ledger, a cache that needs real files), the hub's
//! judgement of manifests; in one seed of fifty the hub's whole store (SQLite and files).
//! **Stand-ins:** recorder (no sound is encoded), earpiece, microphone, handset, the MQTT link, network, broker; in the
//! other seeds a hub that keeps to contract §3.4. Each says in its header what it stands for.
//!
//! **The fault budget**, most per virtual day; each kind is left out of 2 days in 5 (`plan.rs` draws it):
//!
//! | fault | most a day | how long, how |
//! | --- | --- | --- |
//! | power cut | 5 | off 5 s to 2 h; half while recording, 3 of 5 in the middle of a disk operation; the model disk drops, tears, zeroes, reorders |
//! | kill of the gateway, restart by the service manager | 5 | down 1 to 20 s; as above, the card keeps what was written |
//! | clean stop | 1 | 1 to 60 s |
//! | connection reset | 20 | |
//! | black hole | 5 | 5 s to 30 min |
//! | slow link | 3 | 1 min to 2 h, 0.1 to 5 s late, 1 to 16 kB/s |
//! | broker restart, half of them without persistence | 4 | 1 s to 10 min |
//! | broker says quota exceeded | 2 | 10 s to 1 h |
//! | broker says not authorised | 1 | 10 s to 1 h |
//! | session taken over by another device | 2 | 1 s to 10 min; by the seed the broker says so, or closes without a word and lets the booth read its own state, or not |
//! | commands: the booth is emptied, and what takes a signature without one | 4 in a life | closed for 1 to 10 min, or opened again at once |
//! | hub killed, losing half bodies; 3 of 5 between handling and commit | 5 | 1 s to 1 h; one seed in 25 is away for 12 h to 4 days, one in 250 for a week |
//! | hub's disk fails | 2 | 10 s to 1 h |
//! | card filled by others | 2 | 2 s to 4 h, down to 0 to 1.1 MB free |
//! | card read-only | 1 | 2 s to 2 h |
//! | one operation of the card fails (EIO, ENOSPC), done not, half or wholly | 10 | |
//! | burst of failing operations, 10, 30 or 100 % | 1 | 1 s to 5 min |
//! | burst of failing reads (EIO), 10, 30 or 100 % | 3 | 1 s to 5 min |
//! | microphone lost | 3 | 2 s to 1 h |
//! | earpiece lost | 1 | 2 s to 1 h |
//! | clock step, and a wrong clock at half of the boots | 2 | 1 s to 48 h either way |
//! | messages doubled, dropped by the broker | up to 5 % each | all day, by the seed |
//! | broker's queue for the hub | 4, 30 or 1000 messages | full: dropped in silence or with quota exceeded, by the seed |
//! | retained messages for who subscribes with a wildcard | in one seed of three | RabbitMQ 4 gives none |
//! | acks that lie (other hash, no hash, other clip, absurd ranges, half JSON) | up to 10 % | all day, by the seed |
//! | hub that starts again as another version, which takes what it rejected | 3 of 10 starts of the hub | |
//! | clips that the hub rejects, that were withdrawn | up to 3 % each | and in one seed of seven all long ones |
//!
//! **The quiet end:** no citizen, no fault, everything repaired; within [`QUIET`] all kept clips must be at the centre
//! with the right bytes, the card empty but for what that very hub rejects, and `ready = 1`, without a restart; and the hub,
//! which has come anew, must know the alerts that are raised and no others.
#![allow(clippy::disallowed_methods)]

pub mod centre;
pub mod citizen;
pub mod plan;
pub mod process;
pub mod recorder;
pub mod truth;
pub mod wire;

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use booth_gateway::run::Happening;
use gateway_core::session::PlayId;

use crate::model_disk::{Chance, Fault as DiskFault, ModelDisk};
use plan::{DAY, Death, Fault, HOUR, Plan, SECOND};
use process::{CardFaults, Facts, Process};
use wire::{Broker, Down, Net, Temper, Up};

thread_local! {
    /// The boot-time clock of the world that this thread runs, ms, for whoever listens to what its gateway logs.
    pub static MONO: Cell<u64> = const { Cell::new(0) };
}

/// The quiet end lasts at most this long.
pub const QUIET: u64 = 2 * HOUR;
/// Events of one seed: more is a world that does not come to rest.
const MOST_EVENTS: u64 = 20_000_000;

/// What a seed came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    pub virtual_ms: u64,
    pub events: u64,
    pub faults: u64,
    pub deaths: u64,
    pub visits: u64,
    pub plays: u64,
    pub kept: u64,
    pub recovered: u64,
    pub discarded: u64,
    /// Takes that were deleted after they had their number.
    pub voided: u64,
    pub stored: u64,
    pub rejected: u64,
    /// Clips that came back out of quarantine.
    pub returned: u64,
    pub real_hub: u64,
    pub votes: u64,
    /// Withdrawals of which a citizen heard that the booth has taken note.
    pub noted: u64,
    /// Those of citizens who dial slowly.
    pub slow_noted: u64,
    /// Times that a booth connected again after it had stepped back from another device of its name.
    pub stepped_back: u64,
}

impl Outcome {
    /// Both together.
    pub fn add(&mut self, other: &Outcome) {
        self.virtual_ms += other.virtual_ms;
        self.events += other.events;
        self.faults += other.faults;
        self.deaths += other.deaths;
        self.visits += other.visits;
        self.plays += other.plays;
        self.kept += other.kept;
        self.recovered += other.recovered;
        self.discarded += other.discarded;
        self.voided += other.voided;
        self.stored += other.stored;
        self.rejected += other.rejected;
        self.returned += other.returned;
        self.real_hub += other.real_hub;
        self.votes += other.votes;
        self.noted += other.noted;
        self.slow_noted += other.slow_noted;
        self.stepped_back += other.stepped_back;
    }
}

/// Runs one seed. `Err`: a broken promise, with the seed.
pub fn one(seed: u64) -> Result<Outcome, String> {
    run(seed, None)
}

/// Runs a world of one's own making.
pub fn planned(plan: Plan) -> Result<Outcome, String> {
    World::new(plan, 0, None).run()
}

/// Runs one seed and says everything that happens.
pub fn replay(seed: u64, say: impl FnMut(String) + 'static) -> Result<Outcome, String> {
    run(seed, Some(Box::new(say)))
}

type Say = Box<dyn FnMut(String)>;

fn run(seed: u64, say: Option<Say>) -> Result<Outcome, String> {
    let ran = std::panic::catch_unwind(AssertUnwindSafe(|| {
        World::new(Plan::of(seed), seed, say).run()
    }));
    match ran {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(why)) => Err(format!("seed {seed}: {why}")),
        Err(panic) => {
            let why = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_default();
            Err(format!("seed {seed}: a panic: {why}"))
        }
    }
}

/// Something that will happen.
enum Event {
    Fault(Fault),
    /// A fault is over.
    Over(Over),
    Start {
        with_power: bool,
    },
    /// A death that waited for a disk operation does not wait any longer.
    DeathAtLast {
        life: u64,
    },
    ClockSynced(u64),
    Citizen,
    ToLoop {
        life: u64,
        happening: Box<Happening>,
    },
    Turn {
        life: u64,
        due: u64,
    },
    Recorder {
        life: u64,
        due: u64,
    },
    Keeper {
        life: u64,
        due: u64,
    },
    Reader {
        life: u64,
        due: u64,
    },
    PlayEnds {
        life: u64,
        id: PlayId,
    },
    EarpieceLooks(u64),
    MicrophoneTold {
        life: u64,
        works: bool,
    },
    LinkTries {
        life: u64,
        connection: u64,
    },
    LinkPatience {
        life: u64,
        connection: u64,
    },
    LinkStalled {
        life: u64,
        connection: u64,
    },
    Up {
        connection: u64,
        what: Box<Up>,
    },
    Down {
        connection: u64,
        what: Box<Down>,
    },
    BrokerGivesUp {
        connection: u64,
    },
    BrokerStarts,
    Will,
    HubTries {
        life: u64,
    },
    HubStarts,
    HubWorks {
        connection: u64,
    },
    HubSays {
        connection: u64,
    },
}

/// The end of what lasted.
#[derive(Debug, Clone, Copy)]
enum Over {
    Temper,
    HubDisk,
    Others,
    ReadOnly,
    IoBurst,
    ReadBurst,
    Microphone,
    Earpiece,
}

struct Entry {
    at: u64,
    sequence: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

struct World {
    plan: Plan,
    now: u64,
    sequence: u64,
    queue: BinaryHeap<Reverse<Entry>>,
    facts: Rc<Facts>,
    chance: Chance,
    /// Counts the processes, and the gaps between them.
    life: u64,
    process: Option<Process>,
    disk: ModelDisk,
    card: Arc<Mutex<CardFaults>>,
    pending_death: Option<(Death, u64)>,
    /// Deaths that wait for the next recording.
    deaths_in_wait: Vec<Fault>,
    microphone_works: bool,
    earpiece_works: bool,
    citizen: citizen::Citizen,
    net: Net,
    broker: Broker,
    hub: centre::Hub,
    truth: truth::Truth,
    last_ready: Option<f64>,
    /// The life in which another device last took the booth's name.
    rival_in_life: Option<u64>,
    /// When the earpiece was told to play, within the last second.
    plays: Vec<u64>,
    outcome: Outcome,
    broken: Option<String>,
    trace: Option<Say>,
}

impl World {
    fn new(plan: Plan, seed: u64, trace: Option<Say>) -> Self {
        let mut chance = Chance::new(seed ^ 0x0002_B00F);
        let disk = ModelDisk::new();
        disk.set_capacity(plan.capacity);
        let card = Arc::new(Mutex::new(CardFaults {
            read_only: false,
            percent: 0,
            read_percent: 0,
            errno: crate::model_disk::EIO,
            once: None,
            chance: Chance::new(chance.next()),
        }));
        process::fault_the_card(&disk, &card);
        let facts = Rc::new(Facts::default());
        facts.clock_synced.set(true);
        *facts.ids.borrow_mut() = Some(Chance::new(chance.next()));
        let hub = centre::Hub::new(plan.is_real_hub, plan.max_clip_bytes, plan.poisoned);
        Self {
            now: 0,
            sequence: 0,
            queue: BinaryHeap::new(),
            facts,
            life: 0,
            process: None,
            disk,
            card,
            pending_death: None,
            deaths_in_wait: Vec::new(),
            microphone_works: true,
            earpiece_works: true,
            citizen: citizen::Citizen::new(Chance::new(chance.next())),
            net: Net::default(),
            broker: Broker::new(),
            hub,
            truth: truth::Truth::default(),
            last_ready: None,
            rival_in_life: None,
            plays: Vec::new(),
            outcome: Outcome::default(),
            broken: None,
            trace,
            plan,
            chance,
        }
    }

    fn at(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        let sequence = self.sequence;
        self.queue.push(Reverse(Entry {
            at: at.max(self.now),
            sequence,
            event,
        }));
    }

    fn say(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace(format!(
                "{} {}",
                truth::shown(self.now, self.facts.mono()),
                what()
            ));
        }
    }

    /// A promise is broken: the world ends with this event.
    fn broken(&mut self, why: String) {
        if self.broken.is_none() {
            let at = truth::shown(self.now, self.facts.mono());
            self.broken = Some(format!("{why} ({at})"));
        }
    }

    fn card(&self) -> std::sync::MutexGuard<'_, CardFaults> {
        self.card.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the quiet end has begun.
    fn is_quiet(&self) -> bool {
        self.now >= self.plan.busy_ms
    }

    fn run(mut self) -> Result<Outcome, String> {
        for (at, fault) in std::mem::take(&mut self.plan.faults) {
            self.at(at, Event::Fault(fault));
        }
        self.outcome.real_hub = u64::from(self.hub.is_real());
        self.facts.boots.set(1);
        self.at(0, Event::HubTries { life: 0 });
        self.at(10, Event::Start { with_power: true });
        self.next_arrival();
        let busy = self.plan.busy_ms;
        self.go_on_until(busy);
        self.calm_down();
        let last = busy + QUIET;
        let mut look_at = busy;
        while self.broken.is_none() && !self.is_settled() {
            if look_at >= last {
                let why = format!("two quiet hours were not enough: {}", self.unsettled());
                self.broken(why);
                break;
            }
            look_at += 20 * SECOND;
            self.go_on_until(look_at);
        }
        if self.broken.is_none() {
            self.check_end();
        }
        self.outcome.virtual_ms = self.now;
        match self.broken {
            None => Ok(self.outcome),
            Some(why) => Err(why),
        }
    }

    fn go_on_until(&mut self, end: u64) {
        while self.broken.is_none() {
            match self.queue.peek() {
                Some(Reverse(entry)) if entry.at < end => {}
                _ => break,
            }
            let Some(Reverse(entry)) = self.queue.pop() else {
                break;
            };
            self.now = entry.at;
            self.facts.now.set(self.now);
            MONO.set(self.facts.mono().0);
            self.outcome.events += 1;
            if self.outcome.events > MOST_EVENTS {
                return self.broken("the world does not come to rest".into());
            }
            self.happen(entry.event);
            if self.disk.is_off()
                && let Some((how, down_ms)) = self.pending_death
            {
                self.dies(how, down_ms);
            }
        }
        if self.broken.is_none() {
            self.now = self.now.max(end);
            self.facts.now.set(self.now);
        }
    }

    fn happen(&mut self, event: Event) {
        let alive = self.life;
        match event {
            Event::Fault(fault) => self.fault(fault),
            Event::Over(over) => self.over(over),
            Event::Start { with_power } => {
                if with_power {
                    self.power_on();
                }
                self.start();
            }
            Event::DeathAtLast { life } => {
                if let Some((how, down_ms)) = self.pending_death.filter(|_| life == alive) {
                    self.dies(how, down_ms);
                }
            }
            Event::ClockSynced(boot) => {
                if boot == self.facts.boots.get() {
                    self.facts.wall_error_ms.set(0);
                    self.facts.clock_synced.set(true);
                }
            }
            Event::Citizen => self.citizen_acts(),
            Event::ToLoop { life, happening } if life == alive => self.happens(*happening),
            Event::Turn { life, due } if life == alive => self.turn(due),
            Event::Recorder { life, due } if life == alive => self.recorder_works(due),
            Event::Keeper { life, due } if life == alive => {
                self.note_room();
                self.keeper_works(due);
                // What it let go has made room at once.
                self.note_room();
            }
            Event::Reader { life, due } if life == alive => self.reader_works(due),
            Event::PlayEnds { life, id } if life == alive => self.play_ends(id),
            Event::EarpieceLooks(life) if life == alive => self.earpiece_looks(),
            Event::MicrophoneTold { life, works } if life == alive => self.microphone_told(works),
            Event::LinkTries { life, connection } if life == alive => self.link_tries(connection),
            Event::LinkPatience { life, connection } if life == alive => {
                self.link_patience(connection)
            }
            Event::LinkStalled { life, connection } if life == alive => {
                self.link_stalled(connection)
            }
            Event::Up { connection, what } => self.arrives_at_broker(connection, *what),
            Event::Down { connection, what } => self.arrives_at_booth(connection, *what),
            Event::BrokerGivesUp { connection } => self.broker_gives_up(connection),
            Event::BrokerStarts => self.broker.is_up = true,
            Event::Will => self.will_is_due(),
            Event::HubTries { life } => self.hub_tries(life),
            Event::HubStarts => self.hub_starts(),
            Event::HubWorks { connection } => self.hub_works(connection),
            Event::HubSays { connection } => self.hub_says_again(connection),
            // Of a process that is gone.
            Event::ToLoop { .. }
            | Event::Turn { .. }
            | Event::Recorder { .. }
            | Event::Keeper { .. }
            | Event::Reader { .. }
            | Event::PlayEnds { .. }
            | Event::EarpieceLooks(_)
            | Event::MicrophoneTold { .. }
            | Event::LinkTries { .. }
            | Event::LinkPatience { .. }
            | Event::LinkStalled { .. } => {}
        }
    }

    fn fault(&mut self, fault: Fault) {
        if self.is_quiet() {
            return;
        }
        self.say(|| format!("fault: {fault:?}"));
        self.outcome.faults += 1;
        let until = |world: &mut World, ms: u64, over: Over| {
            let at = (world.now + ms).min(world.plan.busy_ms);
            world.at(at, Event::Over(over));
        };
        match fault {
            Fault::Death {
                how,
                after,
                down_ms,
                while_recording,
            } => {
                if self.process.is_none() || self.pending_death.is_some() {
                    return;
                }
                if while_recording {
                    self.outcome.faults -= 1;
                    return self.deaths_in_wait.push(fault);
                }
                match after {
                    None => self.dies(how, down_ms),
                    Some(operations) => {
                        self.pending_death = Some((how, down_ms));
                        self.disk.cut_power_after(operations);
                        let life = self.life;
                        self.at(self.now + 60 * SECOND, Event::DeathAtLast { life });
                    }
                }
            }
            Fault::CleanStop { down_ms } => {
                if self.process.is_some() {
                    self.stops_cleanly(down_ms);
                }
            }
            Fault::LinkLost => self.connection_reset(),
            Fault::BlackHole { ms } => self.black_hole(ms),
            Fault::SlowLink {
                ms,
                latency_ms,
                bytes_per_s,
            } => {
                self.net.slow_until = self.now + ms;
                self.net.slow_latency = latency_ms;
                self.net.bytes_per_s = bytes_per_s;
            }
            Fault::BrokerRestart { ms, is_persistent } => {
                if self.broker.is_up {
                    self.broker_stops(ms, is_persistent);
                }
            }
            Fault::BrokerQuota { ms } => {
                self.broker.temper = Temper::Quota;
                until(self, ms, Over::Temper);
            }
            Fault::BrokerDenies { ms } => {
                self.broker.temper = Temper::Denies;
                until(self, ms, Over::Temper);
            }
            Fault::TakenOver { ms } => self.taken_over(ms),
            Fault::Commands { minutes } => self.commanded(minutes),
            Fault::HubRestart { ms, in_a_batch } => self.hub_stops(ms, in_a_batch),
            Fault::HubDiskBad { ms } => {
                if !self.hub.is_real() {
                    self.hub.disk_is_bad = true;
                    until(self, ms, Over::HubDisk);
                }
            }
            Fault::FilledByOthers { ms, left } => {
                use booth_spool::disk::Disk;
                self.disk.set_used_by_others(0);
                let free = self.disk.free_bytes(std::path::Path::new("/")).unwrap_or(0);
                self.disk.set_used_by_others(free.saturating_sub(left));
                self.note_room();
                until(self, ms, Over::Others);
            }
            Fault::ReadOnly { ms } => {
                self.card().read_only = true;
                until(self, ms, Over::ReadOnly);
            }
            Fault::IoOnce { errno, left } => self.card().once = Some(DiskFault { errno, left }),
            Fault::IoBurst { ms, percent, errno } => {
                {
                    let mut card = self.card();
                    card.percent = percent;
                    card.errno = errno;
                }
                until(self, ms, Over::IoBurst);
            }
            Fault::ReadBurst { ms, percent } => {
                self.card().read_percent = percent;
                until(self, ms, Over::ReadBurst);
            }
            Fault::MicrophoneLost { ms } => {
                self.microphone(false);
                until(self, ms, Over::Microphone);
            }
            Fault::EarpieceLost { ms } => {
                self.earpiece_works = false;
                until(self, ms, Over::Earpiece);
            }
            Fault::ClockStep { by_ms } => {
                let error = self.facts.wall_error_ms.get() + by_ms;
                self.facts
                    .wall_error_ms
                    .set(error.clamp(-(30 * DAY as i64), 30 * DAY as i64));
            }
        }
    }

    fn over(&mut self, over: Over) {
        self.say(|| format!("over: {over:?}"));
        match over {
            Over::Temper => self.broker.temper = Temper::Takes,
            Over::HubDisk => self.hub.disk_is_bad = false,
            Over::Others => {
                self.disk.set_used_by_others(0);
                self.note_room();
            }
            Over::ReadOnly => self.card().read_only = false,
            Over::IoBurst => self.card().percent = 0,
            Over::ReadBurst => self.card().read_percent = 0,
            Over::Microphone => self.microphone(true),
            Over::Earpiece => self.earpiece_works = true,
        }
    }

    /// Everything is repaired, and nobody comes any more.
    fn calm_down(&mut self) {
        if self.broken.is_some() {
            return;
        }
        self.say(|| "the quiet end begins".into());
        for over in [
            Over::Temper,
            Over::HubDisk,
            Over::Others,
            Over::ReadOnly,
            Over::IoBurst,
            Over::ReadBurst,
            Over::Earpiece,
        ] {
            self.over(over);
        }
        if !self.microphone_works {
            self.over(Over::Microphone);
        }
        if self.citizen.is_off_hook {
            self.hangs_up();
        }
        self.card().once = None;
        self.hub.calm();
        // However much it missed: once it has come anew, it learns how the booth is.
        if self.hub.is_online() {
            self.hub_fails("it begins anew");
        }
        self.net.slow_until = 0;
        self.net.hole_until = self.net.hole_until.min(self.now);
        self.facts.wall_error_ms.set(0);
        self.facts.clock_synced.set(true);
        if let Some((how, _)) = self.pending_death {
            self.dies(how, 5 * SECOND);
        }
    }
}
