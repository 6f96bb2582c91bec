//! The gateway's process: the real loop, keeper and spool, and the stand-ins for its devices.
//!
//! Owns: starting it, ending it in every way, and carrying what one thread tells another with the time that takes.
//! Never does: decide what the gateway decides. Stand-ins: the microphone's supervisor and the earpiece (as
//! `adapters::capture` and `adapters::playback` report), the handset's lines.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use booth_contract::time::Mono;
use booth_gateway::adapters::capture::CaptureState;
use booth_gateway::adapters::handset::HandsetReport;
use booth_gateway::adapters::mqtt::MqttEvent;
use booth_gateway::adapters::playback::{PlaybackCommand, PlaybackEvent};
use booth_gateway::adapters::prompts::Prompts;
use booth_gateway::adapters::recorder::RecorderCommand;
use booth_gateway::adapters::sound_error::{Part, SoundError};
use booth_gateway::adapters::sound_faults::Dead;
use booth_gateway::config::{self, Config};
use booth_gateway::run::{
    About, Gateway, Happening, Keeper, KeeperCommand, LOOK, Machine, ReadCommand, Speaker,
};
use booth_sealing::{Identity, NoRandom, Random};
use booth_spool::{OpenFacts, OpenReport, Spool, SpoolError};
use gateway_core::prompt::{Prompt, Word};
use gateway_core::session::{HandsetEvent, PlayId};

use super::plan::{Death, HOUR, Plan, SECOND, VOTE_OPTIONS};
use super::recorder::Recorder;
use super::wire::Link;
use super::{Event, World};
use crate::idle::{self, Told};
use crate::model_disk::{Chance, Fault as DiskFault, ModelDisk, Verb};

/// 2026-03-02T00:00:00Z: where the true clock begins.
pub const EPOCH_MS: i64 = 1_772_409_600_000;
/// The gateway's process begins this long after the machine.
const BOOTING_MS: u64 = 8 * SECOND;
/// Turns of the loop without anything happening and without time going by: more is a loop that spins.
const MOST_IDLE_TURNS: u32 = 3;

/// Nobody hears more than that; more is a session that asks again and again.
const MOST_PLAYS_A_SECOND: usize = 40;

/// The machine as the gateway sees it; shared, so that the world can turn its clocks.
#[derive(Default)]
pub struct Facts {
    pub now: Cell<u64>,
    pub booted_at: Cell<u64>,
    pub wall_error_ms: Cell<i64>,
    pub clock_synced: Cell<bool>,
    pub boots: Cell<u64>,
    pub ids: RefCell<Option<Chance>>,
}

impl Facts {
    pub fn mono(&self) -> Mono {
        Mono(self.now.get() - self.booted_at.get() + BOOTING_MS)
    }

    pub fn wall_ms(&self) -> i64 {
        EPOCH_MS + self.now.get() as i64 + self.wall_error_ms.get()
    }

    /// True time of a reading of the boot-time clock.
    pub fn true_time(&self, mono: Mono) -> u64 {
        (mono.0 + self.booted_at.get()).saturating_sub(BOOTING_MS)
    }

    pub fn mono_of(&self, at: u64) -> Mono {
        Mono((at + BOOTING_MS).saturating_sub(self.booted_at.get()))
    }

    pub fn uuid(&self) -> String {
        let mut ids = self.ids.borrow_mut();
        let chance = ids.get_or_insert_with(|| Chance::new(1));
        let bits = (u128::from(chance.next()) << 64) | u128::from(chance.next());
        uuid::Builder::from_random_bytes(bits.to_be_bytes())
            .into_uuid()
            .to_string()
    }
}

struct Virtual(Rc<Facts>);

impl Machine for Virtual {
    fn wall(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0.wall_ms()).expect("a time within the calendar")
    }

    fn mono(&self) -> Mono {
        self.0.mono()
    }

    fn clock_synced(&self) -> bool {
        self.0.clock_synced.get()
    }

    fn new_id(&self) -> String {
        self.0.uuid()
    }

    fn random(&self, bytes: &mut [u8]) -> Result<(), NoRandom> {
        // The digits of these ids are drawn from the world's chance, but for two that name their version.
        let mut drawn = Vec::new();
        while drawn.len() < bytes.len() {
            let id = self.0.uuid();
            drawn.extend_from_slice(&uuid::Uuid::parse_str(&id).expect("an id").as_bytes()[..6]);
        }
        bytes.copy_from_slice(&drawn[..bytes.len()]);
        Ok(())
    }

    fn about(&self) -> About {
        About::default()
    }

    fn show(&self, _: &str) {}
}

/// What the card refuses now.
pub struct CardFaults {
    pub read_only: bool,
    pub percent: u64,
    /// Of 100 reads.
    pub read_percent: u64,
    pub errno: i32,
    pub once: Option<DiskFault>,
    pub chance: Chance,
}

pub fn fault_the_card(disk: &ModelDisk, faults: &Arc<Mutex<CardFaults>>) {
    let faults = Arc::clone(faults);
    disk.set_faults(move |operation| {
        let mut faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
        let is_sync = matches!(
            operation.verb,
            Verb::Sync | Verb::SyncFolder | Verb::SyncEverything
        );
        if !operation.verb.is_change() {
            // Reading fails while the burst of failing operations lasts, and says nothing about what is there.
            let percent = faults.read_percent;
            return (percent > 0 && faults.chance.percent(percent)).then_some(DiskFault {
                errno: crate::model_disk::EIO,
                left: crate::model_disk::Left::Nothing,
            });
        }
        let (errno, left) = if faults.read_only && !is_sync {
            (crate::model_disk::EROFS, crate::model_disk::Left::Nothing)
        } else if let Some(once) = faults.once.take() {
            (once.errno, once.left)
        } else if faults.percent > 0 {
            let percent = faults.percent;
            if !faults.chance.percent(percent) {
                return None;
            }
            (faults.errno, crate::model_disk::Left::Nothing)
        } else {
            return None;
        };
        // Room is asked for when something is written, not when it is synced.
        let errno = if is_sync {
            crate::model_disk::EIO
        } else {
            errno
        };
        Some(DiskFault { errno, left })
    });
}

/// The process.
pub struct Process {
    pub gateway: Gateway,
    pub keeper: Keeper,
    pub recorder: Recorder,
    pub link: Link,
    pub speaker: Arc<Mutex<Speaker>>,
    told: Told,
    keeper_queue: VecDeque<KeeperCommand>,
    keeper_due: u64,
    reader_queue: VecDeque<ReadCommand>,
    reader_due: Option<u64>,
    playing: Option<(PlayId, u64)>,
    /// When the self-test's tone was played last.
    pub tone_at: Option<u64>,
    earpiece_told: Option<bool>,
    turn_due: u64,
    idle_turns: (u64, u32),
}

/// The key of the city of every world.
pub fn city() -> &'static Identity {
    static CITY: OnceLock<Identity> = OnceLock::new();
    struct Same(Chance);
    impl Random for Same {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandom> {
            bytes.fill_with(|| self.0.next() as u8);
            Ok(())
        }
    }
    CITY.get_or_init(|| Identity::generate(&mut Same(Chance::new(14))).expect("chance"))
}

pub fn config_of(plan: &Plan) -> Config {
    let privacy = match plan.has_receipts {
        true => format!("recipients = [\"{}\"]", city().recipient()),
        false => "seal = false".to_owned(),
    };
    let mut text = format!(
        "[booth]\nid = \"rundhoej-1\"\n[mqtt]\nurl = \"mqtt://broker:1883\"\n\
         [session]\nmax_seconds = {}\nsilence_seconds = {}\n[privacy]\n{privacy}\n[health]\ninterval_s = {}\n",
        plan.max_seconds, plan.silence_seconds, plan.health_interval_s
    );
    for digit in 1..=plan.questions {
        let publish = ["ask_voice", "ask_text", "no"][usize::from(digit % 3)];
        text += &format!(
            "[[question]]\nid = \"q{digit}\"\ndigit = {digit}\nkind = \"speak\"\npublish = {publish:?}\n"
        );
    }
    if let Some(digit) = plan.vote_digit() {
        let pause = plan.min_pause_s;
        text += &format!(
            "[[question]]\nid = \"vote\"\ndigit = {digit}\nkind = \"choose\"\nmin_pause_s = {pause}\noptions = ["
        );
        for option in VOTE_OPTIONS {
            text += &format!("{{ digit = {option}, id = \"o{option}\" }},");
        }
        text += "]\n";
    }
    let config: Config = config::parse(&text, "booth.toml").expect("a good configuration");
    config
        .check("booth.toml")
        .expect("a configuration that can work");
    config
}

/// What the adapters report of a card that was pulled out.
fn gone(part: Part) -> SoundError {
    SoundError::Gone {
        part,
        pcm: "world".into(),
        why: Dead::Lost(format!("the {part} has gone")),
    }
}

/// Tones stand in for every prompt; how long one lasts is the world's business.
fn prompts() -> Arc<Prompts> {
    static TONES: OnceLock<Arc<Prompts>> = OnceLock::new();
    TONES
        .get_or_init(|| Arc::new(Prompts::load(Path::new("no-such-folder"), "da", &[]).0))
        .clone()
}

fn length_ms(prompt: &Prompt) -> u64 {
    match prompt {
        Prompt::Tone | Prompt::LimitSoon => 400,
        Prompt::TestTone => 700,
        Prompt::Notice => 7_000,
        Prompt::OffHook => 2_000,
        Prompt::Question(_) | Prompt::Menu | Prompt::Emergency => 4_000,
        Prompt::Pause => 350,
        Prompt::Word(word) if digit_of(*word).is_some() => 400,
        Prompt::Word(_) | Prompt::InLanguage(..) => 1_500,
        _ => 2_500,
    }
}

/// The digit that a word says.
pub fn digit_of(word: Word) -> Option<u8> {
    (0..10).find(|digit| Word::of_char(char::from(b'0' + digit)) == Some(word))
}

fn invites(prompt: &Prompt) -> bool {
    matches!(
        prompt,
        Prompt::Notice | Prompt::Menu | Prompt::Question(_) | Prompt::Tone | Prompt::Repeat
    )
}

impl World {
    fn open_spool(&self, failed_before: u32) -> Result<(Spool, OpenReport), SpoolError> {
        let facts = OpenFacts {
            boot_id: format!("boot-{}", self.facts.boots.get()).into(),
            fresh_card_id: self.facts.uuid().into(),
            wall_ms: self.facts.wall_ms(),
            max_bytes: self.plan.max_bytes,
            reserve_bytes: self.plan.reserve,
            card_cid: Some("the-card".into()),
            hw_serial: Some("the-machine".into()),
            ledger: false,
            // Small, like everything on a card in memory.
            ballast_bytes: 64 << 10,
            failed_before,
        };
        Spool::open(Arc::new(self.disk.clone()), Path::new("/spool"), facts)
    }

    /// The machine has power again.
    pub(super) fn power_on(&mut self) {
        let facts = &self.facts;
        facts.booted_at.set(self.now);
        facts.boots.set(facts.boots.get() + 1);
        if self.chance.percent(50) {
            // No real-time clock: the time of some earlier write.
            let error = self.chance.below(48 * HOUR) as i64;
            facts.wall_error_ms.set(-error);
            facts.clock_synced.set(false);
            let wait = 5 * SECOND + self.chance.below(10 * 60 * SECOND);
            self.at(self.now + wait, Event::ClockSynced(self.facts.boots.get()));
        }
    }

    pub(super) fn start(&mut self) {
        if self.process.is_some() {
            return;
        }
        self.life += 1;
        self.say(|| "the gateway starts".into());
        let opened = match self.open_spool(0) {
            Ok(opened) => Some(opened),
            Err(error) => {
                self.say(|| format!("the spool does not open: {error}"));
                None
            }
        };
        if self.disk.is_off() {
            return;
        }
        let speaker = Arc::new(Mutex::new(Speaker {
            boot_id: format!("boot-{}", self.facts.boots.get()).into(),
            ..Speaker::default()
        }));
        let (workers, told) = idle::workers(prompts(), speaker.clone());
        let machine = Box::new(Virtual(self.facts.clone()));
        let mut gateway = Gateway::new(config_of(&self.plan), Path::new("none"), machine, workers);
        let spool = opened.as_ref().map(|(spool, _)| spool.clone());
        if let Some((spool, report)) = &opened {
            self.spool_opened(spool, report);
        }
        gateway.begin(opened);
        self.process = Some(Process {
            gateway,
            keeper: Keeper::new(spool),
            recorder: Recorder::new(self.microphone_works.then_some(self.now + 100)),
            link: Link::new(),
            speaker,
            told,
            keeper_queue: VecDeque::new(),
            keeper_due: 0,
            reader_queue: VecDeque::new(),
            reader_due: None,
            playing: None,
            tone_at: None,
            earpiece_told: None,
            turn_due: 0,
            idle_turns: (0, 0),
        });
        let off_hook = self.citizen.is_off_hook;
        self.tell_loop(5, Happening::Handset(HandsetReport::Works(Ok(()))));
        self.tell_loop(5, Happening::Handset(HandsetReport::AtStart { off_hook }));
        let works = self.microphone_says();
        self.tell_loop(300, Happening::Capture(CaptureState { works }));
        self.at(self.now + 400, Event::EarpieceLooks(self.life));
        self.wake_keeper(self.now + 1);
        self.link_after(10);
        self.loop_turned();
    }

    /// Ends the process without a word.
    pub(super) fn dies(&mut self, how: Death, down_ms: u64) {
        self.say(|| format!("{how:?}; away for {down_ms} ms"));
        self.outcome.deaths += 1;
        self.takes_cut_off();
        self.process = None;
        self.life += 1;
        self.pending_death = None;
        self.disk = match how {
            Death::PowerCut => self.disk.power_cut(self.chance.next()),
            Death::Kill => self.disk.snapshot(),
        };
        fault_the_card(&self.disk, &self.card);
        self.network_gone(how == Death::PowerCut);
        self.at(
            self.now + down_ms,
            Event::Start {
                with_power: how == Death::PowerCut,
            },
        );
        self.nothing_is_lost();
    }

    /// SIGTERM: the loop ends, the keeper saves, the link says goodbye; a take stays for recovery.
    pub(super) fn stops_cleanly(&mut self, down_ms: u64) {
        self.say(|| "the gateway is told to stop".into());
        if let Some(process) = &mut self.process {
            let queued: Vec<_> = process.keeper_queue.drain(..).collect();
            let queued = queued.into_iter().chain(process.told.keeper.try_iter());
            process.keeper.work(self.facts.mono(), queued, |_| {});
            process.keeper.finish(|_| {});
            self.says_goodbye();
        }
        if !self.disk.is_off() {
            self.dies(Death::Kill, down_ms);
        }
    }

    pub(super) fn session_name(&self) -> &'static str {
        self.process
            .as_ref()
            .map_or("", |process| process.gateway.session().state_name())
    }

    pub(super) fn handset(&mut self, event: HandsetEvent) {
        if self.process.is_some() {
            let at = self.facts.mono();
            let report = HandsetReport::Event {
                at,
                event,
                done: None,
            };
            // An edge is told at once or after its debouncing.
            let wait = if event == HandsetEvent::HungUp { 20 } else { 1 };
            self.tell_loop(wait, Happening::Handset(report));
        }
    }

    fn microphone_says(&self) -> Result<(), SoundError> {
        match self.microphone_works {
            true => Ok(()),
            false => Err(gone(Part::Microphone)),
        }
    }

    /// The sound card goes or comes back; its supervisor tells a little later.
    pub(super) fn microphone(&mut self, works: bool) {
        self.microphone_works = works;
        self.say(|| format!("the microphone {}", if works { "is back" } else { "goes" }));
        let wait = 300 + self.chance.below(4_700);
        self.at(
            self.now + wait,
            Event::MicrophoneTold {
                life: self.life,
                works,
            },
        );
        if !works && let Some(process) = &mut self.process {
            process.recorder.stream_ends(self.now);
        }
    }

    pub(super) fn microphone_told(&mut self, works: bool) {
        if works != self.microphone_works {
            return;
        }
        if works && let Some(process) = &mut self.process {
            process.recorder.stream_begins(self.now);
        }
        let works = self.microphone_says();
        self.tell_loop(1, Happening::Capture(CaptureState { works }));
        self.wake_recorder(self.now + 1);
    }

    pub(super) fn earpiece_looks(&mut self) {
        let works = self.earpiece_works;
        let Some(process) = &mut self.process else {
            return;
        };
        let every = if works { 30 * SECOND } else { 2 * SECOND };
        if process.earpiece_told != Some(works) {
            process.earpiece_told = Some(works);
            let works = works.then_some(()).ok_or_else(|| gone(Part::Earpiece));
            self.tell_loop(1, Happening::Playback(PlaybackEvent::State { works }));
        }
        self.at(self.now + every, Event::EarpieceLooks(self.life));
    }

    pub(super) fn play_ends(&mut self, id: PlayId) {
        let Some(process) = &mut self.process else {
            return;
        };
        if process.playing.is_some_and(|(playing, _)| playing == id) {
            process.playing = None;
            self.tell_loop(1, Happening::Playback(PlaybackEvent::Ended { id }));
        }
    }

    fn earpiece(&mut self, command: PlaybackCommand) {
        let life = self.life;
        match command {
            PlaybackCommand::UsePrompts(_) | PlaybackCommand::UseCentre(_) => {}
            PlaybackCommand::Stop => {
                if let Some(process) = &mut self.process {
                    process.playing = None;
                }
            }
            PlaybackCommand::PlayTake { id, .. } => {
                self.outcome.plays += 1;
                self.say(|| "the earpiece plays what was said".into());
                let length = if self.earpiece_works { 4_000 } else { 5 };
                if let Some(process) = &mut self.process {
                    process.playing = Some((id, self.now));
                }
                self.at(self.now + length, Event::PlayEnds { life, id });
            }
            PlaybackCommand::Play { id, prompts, .. } => {
                self.outcome.plays += 1;
                self.plays.retain(|at| at + SECOND > self.now);
                self.plays.push(self.now);
                if self.plays.len() > MOST_PLAYS_A_SECOND {
                    self.broken("the earpiece is told to play again and again".into());
                }
                self.say(|| format!("the earpiece plays {prompts:?}"));
                if prompts.iter().any(invites) {
                    self.check_invitation();
                }
                self.hears(&prompts);
                let length: u64 = prompts.iter().map(length_ms).sum();
                let works = self.earpiece_works;
                if let Some(process) = &mut self.process {
                    process.playing = Some((id, self.now));
                    if works && prompts.contains(&Prompt::TestTone) {
                        process.tone_at = Some(self.now);
                    }
                }
                if works {
                    self.at(self.now + length, Event::PlayEnds { life, id });
                } else {
                    self.earpiece_looks();
                    self.at(self.now + 5, Event::PlayEnds { life, id });
                }
            }
        }
    }

    /// Commands that nobody has signed, and the one that needs no signature and closes a booth.
    pub(super) fn commanded(&mut self, minutes: u64) {
        let is_connected = |process: &Process| process.link.is_ready();
        if !self.process.as_ref().is_some_and(is_connected) {
            return;
        }
        let forged = r#"{"body":"{}","minisig":"x"}"#;
        let drain = format!(r#"{{"minutes":{minutes}}}"#);
        for (command, payload) in [
            ("drain", drain.as_str()),
            ("recipients", forged),
            ("purge", "{}"),
            ("reboot", forged),
            ("rebirth", "{}"),
        ] {
            let event = MqttEvent::Incoming {
                topic: format!("booth/1/dn/rundhoej-1/cmd/{command}"),
                payload: payload.as_bytes().to_vec(),
                correlation: None,
            };
            self.tell_loop(1, Happening::Mqtt(event));
        }
    }

    /// One thing for the loop, as another thread or a device tells it.
    pub(super) fn tell_loop(&mut self, after_ms: u64, happening: Happening) {
        let happening = Box::new(happening);
        self.at(
            self.now + after_ms,
            Event::ToLoop {
                life: self.life,
                happening,
            },
        );
    }

    pub(super) fn happens(&mut self, happening: Happening) {
        let Some(process) = &mut self.process else {
            return;
        };
        let now = self.facts.mono();
        process.gateway.happen(now, happening);
        process.gateway.turn(now);
        process.idle_turns = (self.now, 0);
        self.loop_turned();
    }

    pub(super) fn turn(&mut self, due: u64) {
        let now = self.facts.mono();
        let Some(process) = &mut self.process else {
            return;
        };
        if process.turn_due != due {
            return;
        }
        process.gateway.turn(now);
        if process.idle_turns.0 == self.now {
            process.idle_turns.1 += 1;
        } else {
            process.idle_turns = (self.now, 0);
        }
        if process.idle_turns.1 > MOST_IDLE_TURNS {
            return self.broken("the loop spins: it turns again and again at one moment".into());
        }
        self.loop_turned();
    }

    /// Carries away what the loop told its workers, and sees when it wants to turn again.
    fn loop_turned(&mut self) {
        let mut played = Vec::new();
        let mut recorder_woken = false;
        let mut keeper_woken = false;
        let mut for_link = Vec::new();
        let mut arms = Vec::new();
        let mut casts = Vec::new();
        let now = self.now;
        let Some(process) = &mut self.process else {
            return;
        };
        while let Ok(command) = process.told.recorder.try_recv() {
            if let RecorderCommand::Arm { take, clip, .. } = &command {
                arms.push((*take, clip.clip_id.clone()));
            }
            if let RecorderCommand::Cast { clip, choice, .. } = &command {
                casts.push((clip.clip_id.clone(), *choice));
            }
            process.recorder.queue.push_back((now + 2, command));
            recorder_woken = true;
        }
        played.extend(process.told.earpiece.try_iter());
        process.reader_queue.extend(process.told.reader.try_iter());
        let reader_woken = !process.reader_queue.is_empty();
        for command in process.told.keeper.try_iter() {
            process.keeper_queue.push_back(command);
            keeper_woken = true;
        }
        while let Ok(command) = process.told.mqtt.try_recv() {
            for_link.push(command);
        }
        let name = process.gateway.session().state_name();
        let deadline = process.gateway.session().deadline();
        // Mono time to wait from now on; at least to the next tick of the clock.
        let mono = self.facts.mono();
        let wait = process.gateway.wake_at(mono).0 - mono.0;
        let due = now + wait;
        if std::mem::replace(&mut process.turn_due, due) != due || wait == 0 {
            self.at(
                due,
                Event::Turn {
                    life: self.life,
                    due,
                },
            );
        }
        for (take, clip_id) in arms {
            self.armed(take, &clip_id);
        }
        for (clip_id, choice) in casts {
            self.voted(&clip_id, choice);
        }
        for command in played {
            self.earpiece(command);
        }
        for command in for_link {
            self.link_obeys(command);
        }
        if recorder_woken {
            self.wake_recorder(now + 2);
        }
        if keeper_woken {
            let wait = 1 + self.chance.below(20);
            self.wake_keeper(now + wait);
        }
        if reader_woken {
            self.wake_reader();
        }
        if name == "off_hook" {
            self.citizen.is_written_off = true;
        }
        if name != "idle" && deadline.is_none() {
            self.broken(format!("the session is {name} without a deadline"));
        }
        if let Some(due) = deadline
            && due.0 + 1_000 < mono.0
        {
            self.broken(format!(
                "the deadline of {name} went by at {due:?}, it is {mono:?}"
            ));
        }
        self.bounds_hold();
        self.believes_evidence();
    }

    /// A card takes a while to read, and meanwhile everything else goes on.
    fn wake_reader(&mut self) {
        let (now, life) = (self.now, self.life);
        let wait = 1 + self.chance.below(20);
        if let Some(process) = &mut self.process
            && process.reader_due.is_none()
        {
            let due = now + wait;
            process.reader_due = Some(due);
            self.at(due, Event::Reader { life, due });
        }
    }

    pub(super) fn reader_works(&mut self, due: u64) {
        let Some(process) = &mut self.process else {
            return;
        };
        if process.reader_due != Some(due) {
            return;
        }
        process.reader_due = None;
        let commands: Vec<_> = process.reader_queue.drain(..).collect();
        for command in commands {
            self.tell_loop(1, Happening::Reader(idle::read(command)));
        }
    }

    pub(super) fn wake_keeper(&mut self, at: u64) {
        let (now, life) = (self.now, self.life);
        if let Some(process) = &mut self.process
            && !(now + 1..=at).contains(&process.keeper_due)
        {
            process.keeper_due = at;
            self.at(at, Event::Keeper { life, due: at });
        }
    }

    pub(super) fn keeper_works(&mut self, due: u64) {
        let Some(mut process) = self.process.take_if(|process| process.keeper_due == due) else {
            return;
        };
        let told = RefCell::new(Vec::new());
        let tell = |event| told.borrow_mut().push(event);
        let mono = self.facts.mono();
        let operations = self.disk.operations();
        let has_work = !process.keeper_queue.is_empty();
        if has_work {
            for command in &process.keeper_queue {
                if let KeeperCommand::Release(receipt) = command {
                    self.check_receipt(receipt.clip_id(), receipt.sha256());
                }
            }
            let batch: Vec<_> = process.keeper_queue.drain(..).collect();
            process.keeper.work(mono, batch.into_iter(), tell);
        } else if !process.keeper.is_open() {
            let open = |failed_before| self.open_spool(failed_before);
            process.keeper.try_open(mono, open, tell);
        }
        process.keeper.look(mono, tell);
        self.process = Some(process);
        let told = told.into_inner();
        if self.disk.is_off() {
            return;
        }
        for event in told {
            self.keeper_told(&event);
            self.tell_loop(1, Happening::Keeper(event));
        }
        if self.disk.operations() != operations {
            self.nothing_is_lost();
        }
        self.wake_keeper(self.now + LOOK.as_millis() as u64);
    }
}
