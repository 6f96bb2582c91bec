//! The earpiece, through cpal on ALSA.
//!
//! Owns: the output stream and what it plays. The stream is open while a citizen may hear something
//! and a little longer; while it is closed the card is probed now and then. Never does: hang a visit;
//! a prompt that cannot be played ends at once, and the fault is reported.
#![allow(clippy::disallowed_methods)] // measures how long the stream is silent

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, DeviceId, HostId, OutputCallbackInfo, StreamConfig};

use super::capture::RATE;
use super::clock;
use super::handset::HandsetView;
use super::prompts::Prompts;
use super::sound_faults::{Fault, FaultJudge};
use crate::gateway::liveness::Beat;
use crate::gateway::session::{PlayId, Prompt};
use crate::gateway::time::Mono;

/// Period of the stream: 20 ms.
const PERIOD: u32 = 960;
/// How much is decoded ahead, samples; also how much a stop throws away.
const AHEAD: usize = 4800;
/// The stream stays open this long after the last prompt.
const LINGER: Duration = Duration::from_secs(10);
/// How often a closed card is probed.
const PROBE: Duration = Duration::from_secs(30);
/// A lost card is looked for this often.
const RETRY: Duration = Duration::from_secs(2);
/// A stream that takes no samples for this long is dead.
const STALLED: Duration = Duration::from_secs(2);
/// A stream that dies under a prompt is opened again this often before the citizen hears nothing more.
const REOPENINGS: u32 = 6;
/// How much louder one step is, dB.
const STEP_DB: f64 = 9.0;
/// Pause before the first of these; longer before each further one.
const REST: Duration = Duration::from_millis(150);

/// How long the earpiece's thread may be silent; see [`super::capture::SILENT_AT_MOST`].
pub const SILENT_AT_MOST: Duration = Duration::from_secs(30);

/// What the earpiece is told.
pub enum PlaybackCommand {
    /// Play these instead of whatever plays.
    Play {
        /// Named in the events.
        id: PlayId,
        /// What.
        prompts: Vec<Prompt>,
        /// Steps of 9 dB, two at most.
        gain_steps: u8,
    },
    /// Silence, at once.
    Stop,
    /// Other prompts from now on.
    UsePrompts(Arc<Prompts>),
}

/// What the earpiece reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaybackEvent {
    /// The first sample was handed to ALSA.
    Started {
        /// Which play.
        id: PlayId,
        /// When.
        at: Mono,
    },
    /// The last sample was heard, or the play was given up.
    Ended {
        /// Which play.
        id: PlayId,
    },
    /// The card can be played to, or why not.
    State {
        /// Works, or the sentence for operations.
        works: Result<(), String>,
    },
}

#[derive(Default)]
struct Line {
    /// Throw away what waits in the ring.
    flush: AtomicBool,
    /// Callbacks so far.
    beats: AtomicU64,
    /// Boot-time ms of the first sample since it was last set to 0.
    first_at: AtomicU64,
    /// Delay between a callback and the ear, µs.
    latency_us: AtomicU64,
    /// Why the stream is dead, once it is.
    dead: Mutex<Option<String>>,
}

impl Line {
    fn dead(&self) -> Option<String> {
        self.dead
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

struct Output {
    _stream: cpal::Stream,
    ring: rtrb::Producer<i16>,
    line: Arc<Line>,
}

/// The earpiece; [`Earpiece::run`] is its thread.
pub struct Earpiece<R> {
    output: String,
    prompts: Arc<Prompts>,
    handset: Arc<HandsetView>,
    commands: Receiver<PlaybackCommand>,
    alive: Beat,
    report: R,
    open: Option<Output>,
    works: Option<bool>,
    idle_since: Instant,
    looked: Option<Instant>,
}

/// How one stream's part of a play went.
enum Played {
    /// To its end; perhaps a command came while the last samples were on their way.
    Whole(Option<PlaybackCommand>),
    /// Something else is to be done.
    Interrupted(PlaybackCommand),
    /// The stream died.
    Broken(String),
}

enum Next {
    Command(PlaybackCommand),
    Over,
    Nothing,
}

impl<R: Fn(PlaybackEvent)> Earpiece<R> {
    /// An earpiece on the ALSA PCM `output`, whose thread touches `alive` at every turn.
    pub fn new(
        output: &str,
        prompts: Arc<Prompts>,
        handset: Arc<HandsetView>,
        commands: Receiver<PlaybackCommand>,
        alive: Beat,
        report: R,
    ) -> Self {
        let output = output.to_owned();
        Self {
            output,
            prompts,
            handset,
            commands,
            alive,
            report,
            open: None,
            works: None,
            idle_since: Instant::now(),
            looked: None,
        }
    }

    /// Works until the commands end.
    pub fn run(mut self) {
        self.probe();
        let mut pending = None;
        loop {
            self.alive.touch();
            let next = match pending.take() {
                Some(command) => Next::Command(command),
                None => self.wait(Duration::from_secs(1)),
            };
            match next {
                Next::Over => return,
                Next::Nothing => self.look_after(),
                Next::Command(PlaybackCommand::UsePrompts(prompts)) => self.prompts = prompts,
                Next::Command(PlaybackCommand::Stop) => self.silence(),
                Next::Command(PlaybackCommand::Play {
                    id,
                    prompts,
                    gain_steps,
                }) => {
                    self.silence();
                    // Whoever wants to be heard now speaks after the last hang-up.
                    self.handset.hush.store(false, Ordering::Relaxed);
                    match self.play(id, &prompts, gain_steps) {
                        Ok(interrupted) => pending = interrupted,
                        Err(()) => return,
                    }
                    self.idle_since = Instant::now();
                }
            }
        }
    }

    fn wait(&self, patience: Duration) -> Next {
        match self.commands.recv_timeout(patience) {
            Ok(command) => Next::Command(command),
            Err(RecvTimeoutError::Timeout) => Next::Nothing,
            Err(RecvTimeoutError::Disconnected) => Next::Over,
        }
    }

    /// Closes an idle stream, probes a closed card, looks for a lost one.
    fn look_after(&mut self) {
        if let Some(why) = self.open.as_ref().and_then(|open| open.line.dead()) {
            log::warn!("the earpiece {:?} ended while idle: {why}", self.output);
            self.open = None;
            self.probe();
        } else if self.open.is_some() && self.idle_since.elapsed() > LINGER {
            self.open = None;
            self.looked = Some(Instant::now());
        }
        let every = if self.works == Some(true) {
            PROBE
        } else {
            RETRY
        };
        if self.open.is_none() && self.looked.is_none_or(|looked| looked.elapsed() >= every) {
            self.probe();
        }
    }

    /// Opens the stream and closes it again once it takes samples.
    fn probe(&mut self) {
        if self.ensure_open().is_ok() {
            let line = self.open.as_ref().map(|open| open.line.clone());
            let start = Instant::now();
            let alive = |line: &Arc<Line>| line.beats.load(Ordering::Relaxed) > 0;
            while start.elapsed() < STALLED && !line.as_ref().is_some_and(alive) {
                std::thread::park_timeout(Duration::from_millis(10));
            }
            let works = if line.as_ref().is_some_and(alive) {
                Ok(())
            } else {
                self.open = None;
                Err(format!("the earpiece {:?} takes no samples", self.output))
            };
            self.state(works);
        }
        self.idle_since = Instant::now() - LINGER;
        self.looked = Some(Instant::now());
    }

    fn state(&mut self, works: Result<(), String>) {
        let flag = works.is_ok();
        if self.works != Some(flag) {
            self.works = Some(flag);
            (self.report)(PlaybackEvent::State { works });
        }
    }

    fn ensure_open(&mut self) -> Result<(), ()> {
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.line.dead().is_none())
        {
            return Ok(());
        }
        self.open = None;
        match open(&self.output, &self.handset, &self.alive) {
            Ok(output) => {
                self.open = Some(output);
                Ok(())
            }
            Err(why) => {
                self.state(Err(why));
                Err(())
            }
        }
    }

    /// What still waits is not heard any more.
    fn silence(&mut self) {
        if let Some(open) = &self.open
            && open.ring.slots() < open.ring.buffer().capacity()
        {
            open.line.flush.store(true, Ordering::Release);
            let start = Instant::now();
            while open.line.flush.load(Ordering::Acquire)
                && start.elapsed() < Duration::from_millis(200)
            {
                std::thread::park_timeout(Duration::from_millis(2));
            }
        }
    }

    /// Plays to the end or to the next command, which is answered. `Err` when the daemon ends. A stream that dies is
    /// opened again, and the prompt that was cut begins anew.
    fn play(
        &mut self,
        id: PlayId,
        list: &[Prompt],
        gain_steps: u8,
    ) -> Result<Option<PlaybackCommand>, ()> {
        let mut at = 0;
        for opening in 0..=REOPENINGS {
            self.alive.touch();
            if self.ensure_open().is_err() {
                break;
            }
            match self.play_on(id, list, &mut at, gain_steps)? {
                Played::Whole(interrupted) => {
                    self.state(Ok(()));
                    (self.report)(PlaybackEvent::Ended { id });
                    return Ok(interrupted);
                }
                Played::Interrupted(command) => return Ok(Some(command)),
                Played::Broken(why) => {
                    self.open = None;
                    let why = format!("the earpiece {:?} has gone: {why}", self.output);
                    if opening == REOPENINGS {
                        self.state(Err(why));
                        break;
                    }
                    log::warn!("{why}; opening it again");
                    // A card or its server that stumbled needs a moment.
                    match self.commands.recv_timeout(REST * (opening + 1)) {
                        Ok(command) => return Ok(Some(command)),
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => return Err(()),
                    }
                }
            }
        }
        (self.report)(PlaybackEvent::Ended { id });
        Ok(None)
    }

    /// Plays on the open stream, from prompt `at` on.
    fn play_on(
        &mut self,
        id: PlayId,
        list: &[Prompt],
        at: &mut usize,
        gain_steps: u8,
    ) -> Result<Played, ()> {
        let prompts = self.prompts.clone();
        let Some(open) = self.open.as_mut() else {
            return Ok(Played::Broken("it is closed".into()));
        };
        let line = open.line.clone();
        line.first_at.store(0, Ordering::Release);
        let mut player = list.get(*at).map(|prompt| prompts.player(prompt));
        let mut waiting: Vec<i16> = Vec::new();
        let mut started = false;
        let mut beat = (line.beats.load(Ordering::Relaxed), Instant::now());
        loop {
            self.alive.touch();
            while let Some(current) = player.as_mut() {
                if waiting.is_empty() {
                    match current.next_piece() {
                        Some(piece) => waiting = amplify(piece, gain_steps),
                        None => {
                            *at += 1;
                            player = list.get(*at).map(|prompt| prompts.player(prompt));
                        }
                    }
                    continue;
                }
                let (_, rest) = open.ring.push_partial_slice(&waiting);
                let rest = rest.len();
                waiting.drain(..waiting.len() - rest);
                if rest > 0 {
                    break;
                }
            }
            let first_at = line.first_at.load(Ordering::Acquire);
            if !started && first_at > 0 {
                started = true;
                (self.report)(PlaybackEvent::Started {
                    id,
                    at: Mono(first_at),
                });
            }
            let beats = line.beats.load(Ordering::Relaxed);
            if beats != beat.0 {
                beat = (beats, Instant::now());
            }
            if let Some(why) = line.dead() {
                return Ok(Played::Broken(why));
            }
            if beat.1.elapsed() > STALLED {
                return Ok(Played::Broken("it takes no more samples".into()));
            }
            let empty = open.ring.slots() == open.ring.buffer().capacity();
            if player.is_none() && waiting.is_empty() && empty {
                break;
            }
            match self.commands.recv_timeout(Duration::from_millis(10)) {
                Ok(command) => return Ok(Played::Interrupted(command)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(()),
            }
        }
        // The last samples are still on their way to the ear.
        let latency = Duration::from_micros(line.latency_us.load(Ordering::Relaxed))
            .min(Duration::from_millis(300));
        match self.commands.recv_timeout(latency) {
            Ok(command) => Ok(Played::Whole(Some(command))),
            Err(RecvTimeoutError::Timeout) => Ok(Played::Whole(None)),
            Err(RecvTimeoutError::Disconnected) => Err(()),
        }
    }
}

/// Louder by steps of 9 dB, +18 dB at most; what would clip bends softly towards full scale.
fn amplify(mut samples: Vec<i16>, gain_steps: u8) -> Vec<i16> {
    if gain_steps > 0 {
        let factor = 10f64.powf(f64::from(gain_steps.min(2)) * STEP_DB / 20.0);
        for sample in &mut samples {
            *sample = soft(f64::from(*sample) / 32_768.0 * factor);
        }
    }
    samples
}

/// Straight up to half of full scale, then a curve that never reaches it.
fn soft(value: f64) -> i16 {
    let size = value.abs();
    let bent = if size <= 0.5 {
        size
    } else {
        0.5 + 0.5 * ((size - 0.5) / 0.5).tanh()
    };
    (bent.copysign(value) * 32_767.0) as i16
}

fn open(output: &str, handset: &Arc<HandsetView>, alive: &Beat) -> Result<Output, String> {
    let host = cpal::host_from_id(HostId::Alsa).map_err(|error| format!("ALSA: {error}"))?;
    let device = host.device_by_id(&DeviceId::new(HostId::Alsa, output)).ok_or_else(|| {
        format!("no earpiece {output:?}; plug the sound card in, or set [audio] output to a name that `aplay -L` lists")
    })?;
    let mut refusal = String::new();
    for channels in [1u16, 2] {
        alive.touch();
        let (ring, mut waiting) = rtrb::RingBuffer::<i16>::new(AHEAD);
        let line = Arc::new(Line::default());
        let (callback, errors, handset) = (line.clone(), line.clone(), handset.clone());
        let mut judge = FaultJudge::default();
        let config = StreamConfig {
            channels,
            sample_rate: RATE,
            buffer_size: BufferSize::Fixed(PERIOD),
        };
        let built = device.build_output_stream::<i16, _, _>(
            config,
            move |out: &mut [i16], info: &OutputCallbackInfo| {
                let stamp = info.timestamp();
                let latency = stamp.playback.duration_since(stamp.callback).as_micros();
                callback
                    .latency_us
                    .store(u64::try_from(latency).unwrap_or(0), Ordering::Relaxed);
                callback.beats.fetch_add(1, Ordering::Relaxed);
                if callback.flush.load(Ordering::Acquire) {
                    while waiting.pop().is_ok() {}
                    callback.flush.store(false, Ordering::Release);
                }
                let has_sound = !waiting.is_empty();
                // What is played while somebody may be hanging up is not heard, and does not wait.
                let loudness = i16::from(!handset.hush.load(Ordering::Relaxed));
                for frame in out.chunks_exact_mut(usize::from(channels)) {
                    frame.fill(waiting.pop().unwrap_or(0) * loudness);
                }
                if has_sound && callback.first_at.load(Ordering::Relaxed) == 0 {
                    callback
                        .first_at
                        .store(clock::mono().0.max(1), Ordering::Release);
                }
            },
            move |error: cpal::Error| match judge.judge(error.kind()) {
                Fault::Xrun | Fault::Passing => {}
                Fault::Fatal => {
                    *errors.dead.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some(error.to_string());
                }
            },
            Some(Duration::from_secs(2)),
        );
        match built {
            Ok(stream) => {
                stream
                    .play()
                    .map_err(|error| format!("the earpiece {output:?} does not start: {error}"))?;
                return Ok(Output {
                    _stream: stream,
                    ring,
                    line,
                });
            }
            Err(error) => refusal = error.to_string(),
        }
    }
    Err(format!(
        "the earpiece {output:?} cannot be opened at 48 kHz: {refusal}; use a plughw: name"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn louder_is_louder_and_never_wraps() {
        let samples = || vec![1000, -1000, 30_000, i16::MIN];
        let louder = amplify(samples(), 1);
        assert!((2810..=2830).contains(&louder[0]), "{louder:?}");
        // +18 dB, a factor of 7.94, and no more however often it is asked for.
        for steps in [2, 3, u8::MAX] {
            let loud = amplify(samples(), steps);
            assert!(
                (7_930..=7_950).contains(&loud[0]) && loud[1] == -loud[0],
                "{loud:?}"
            );
            assert!(loud[2] > 30_000 && loud[3] < -30_000);
        }
        assert_eq!(amplify(samples(), 0), samples());
    }
}
