//! The earpiece, through cpal on ALSA.
//!
//! Owns: the output stream and what it plays. The stream is open while a citizen may hear something and a little longer;
//! while it is closed the card is probed at intervals. Never does: hold up a visit; a prompt that cannot be played ends at
//! once, and the fault is reported.
#![allow(clippy::disallowed_methods)] // measures how long the stream is silent

mod output;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::handset::HandsetView;
use super::prompts::Prompts;
use super::prompts::centre::Centre;
use super::sound_error::{Part, SoundError};
use super::sound_faults::StreamJudge;
use super::sound_stream::{self, Opening, StreamThreads};
use super::spoken_take::SpokenTake;
use booth_audio::{PagePlayer, Player, Samples};
use booth_contract::time::Mono;
use booth_host::clock;
use gateway_core::liveness::Beat;
use gateway_core::prompt::Prompt;
use gateway_core::session::PlayId;
use zeroize::Zeroizing;

use output::{Line, Output};

/// The stream stays open this long after the last prompt.
const LINGER: Duration = Duration::from_secs(10);
/// How often a closed card is probed.
const PROBE: Duration = Duration::from_secs(30);
/// How often a lost card is looked for.
const RETRY: Duration = Duration::from_secs(2);
/// How often an idle stream is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// A play without sound for this long is given up when its stream ends; before that the stream is opened again.
const GIVES_UP_AFTER: Duration = Duration::from_secs(6);
/// How often a stream that dies during a prompt is opened again before the play is given up.
const REOPENINGS: u32 = 6;
/// The same as [`GIVES_UP_AFTER`] for an earpiece that was known not to work before: the citizen need not wait for a repair
/// that is unlikely.
const HOPES_FOR: Duration = Duration::from_secs(1);
/// Pause before a stream is opened again: a card or its server that stumbled needs a moment.
const REST: Duration = Duration::from_millis(250);
/// How much louder one step is, dB.
const STEP_DB: f64 = 9.0;

/// How long the earpiece's thread may be silent; see [`super::capture::SILENT_AT_MOST`].
pub const SILENT_AT_MOST: Duration = Duration::from_secs(30);

/// What the earpiece is instructed to do.
pub enum PlaybackCommand {
    /// Play these in place of anything that plays.
    Play {
        /// Named in the events.
        id: PlayId,
        /// What.
        prompts: Vec<Prompt>,
        /// In which language.
        lang: String,
        /// Steps of 9 dB, two at most.
        gain_steps: u8,
        /// With longer gaps between the words.
        slow: bool,
    },
    /// Let the citizen hear what was just said, in place of anything that plays.
    PlayTake {
        /// Named in the events.
        id: PlayId,
        /// What was said.
        sound: SpokenTake,
        /// Steps of 9 dB, two at most.
        gain_steps: u8,
    },
    /// Silence, at once.
    Stop,
    /// Use other prompts from now on.
    UsePrompts(Arc<Prompts>),
    /// Use other prompts of the centre from now on.
    UseCentre(Arc<Centre>),
}

/// What the earpiece reports.
#[derive(Debug)]
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
    /// The card can be played to, or the reason why not.
    State {
        /// It takes samples, or why not.
        works: Result<(), SoundError>,
    },
}

/// The earpiece; [`Earpiece::run`] is its thread.
pub struct Earpiece<R> {
    output: String,
    prompts: Arc<Prompts>,
    centre: Arc<Centre>,
    handset: Arc<HandsetView>,
    commands: Receiver<PlaybackCommand>,
    alive: Beat,
    report: R,
    threads: StreamThreads,
    open: Option<Output>,
    works: Option<bool>,
    idle_since: Instant,
    /// When the stream was last closed.
    closed: Instant,
    /// What a citizen said has gone through the stream's buffer.
    was_spoken: bool,
}

/// What a play consists of.
enum Sounds {
    /// Prompts in a language.
    Prompts(Vec<Prompt>, String),
    Take(SpokenTake),
}

/// One sound of a play.
enum Source<'a> {
    Prompt(Player<'a>),
    /// What was said, and its next group of pages.
    Take(Box<PagePlayer>, &'a SpokenTake, usize),
}

impl Sounds {
    /// The sound with this number.
    fn source<'a>(&'a self, own: &'a Prompts, centre: &'a Centre, at: usize) -> Option<Source<'a>> {
        match self {
            Self::Prompts(list, lang) => list
                .get(at)
                .map(|prompt| Source::Prompt(centre.player(own, prompt, lang))),
            Self::Take(sound) => (at == 0).then(|| Source::Take(Box::default(), sound, 0)),
        }
    }
}

impl Source<'_> {
    fn next_piece(&mut self) -> Option<Zeroizing<Vec<i16>>> {
        match self {
            Self::Prompt(player) => player.next_piece().map(Zeroizing::new),
            Self::Take(player, sound, next) => player.next_piece(|| {
                *next += 1;
                sound.group(*next - 1)
            }),
        }
    }
}

/// How one stream's part of a play went.
enum Played {
    /// To its end; a command may have come while the last samples were on their way.
    Whole(Option<PlaybackCommand>),
    /// A command came first.
    Interrupted(PlaybackCommand),
    /// The stream died.
    Broken(SoundError),
}

enum Next {
    Command(PlaybackCommand),
    Over,
    Nothing,
}

/// What came of waiting for an open stream.
enum Awaited {
    Open,
    /// A command came first.
    Interrupted(PlaybackCommand),
    /// The stream does not open, and why.
    GivenUp(SoundError),
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
            centre: Arc::default(),
            handset,
            commands,
            alive,
            report,
            threads: StreamThreads::new("earpiece-stream"),
            open: None,
            works: None,
            idle_since: Instant::now(),
            closed: Instant::now(),
            was_spoken: false,
        }
    }

    fn named(&self) -> (Part, String) {
        (Part::Earpiece, self.output.clone())
    }

    /// Works until the commands end.
    pub fn run(mut self) {
        self.probe();
        let mut pending = None;
        loop {
            self.touch();
            let next = match pending.take() {
                Some(command) => Next::Command(command),
                None => self.wait(),
            };
            match next {
                Next::Over => return,
                Next::Nothing => self.look_after(),
                Next::Command(PlaybackCommand::UsePrompts(prompts)) => self.prompts = prompts,
                Next::Command(PlaybackCommand::UseCentre(centre)) => self.centre = centre,
                Next::Command(PlaybackCommand::Stop) => self.silence(),
                Next::Command(PlaybackCommand::Play {
                    id,
                    prompts,
                    lang,
                    gain_steps,
                    ..
                }) => match self.play_anew(id, &Sounds::Prompts(prompts, lang), gain_steps) {
                    Ok(interrupted) => pending = interrupted,
                    Err(()) => return,
                },
                Next::Command(PlaybackCommand::PlayTake {
                    id,
                    sound,
                    gain_steps,
                }) => {
                    self.was_spoken = true;
                    match self.play_anew(id, &Sounds::Take(sound), gain_steps) {
                        Ok(interrupted) => pending = interrupted,
                        Err(()) => return,
                    }
                }
            }
        }
    }

    /// Plays in place of what plays.
    fn play_anew(
        &mut self,
        id: PlayId,
        sounds: &Sounds,
        gain_steps: u8,
    ) -> Result<Option<PlaybackCommand>, ()> {
        self.silence();
        // The lift came after the last hang-up, so the earpiece may sound again.
        self.handset.hush.store(false, Ordering::Relaxed);
        let played = self.play(id, sounds, gain_steps);
        self.idle_since = Instant::now();
        played
    }

    /// The next command that has to do with what plays, if one comes within `patience`. Other prompts are taken up meanwhile: they cut
    /// nothing off, and what plays goes on as it was begun.
    fn hear(&mut self, patience: Duration) -> Result<Option<PlaybackCommand>, ()> {
        loop {
            match self.commands.recv_timeout(patience) {
                Ok(PlaybackCommand::UsePrompts(prompts)) => self.prompts = prompts,
                Ok(PlaybackCommand::UseCentre(centre)) => self.centre = centre,
                Ok(command) => return Ok(Some(command)),
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => return Err(()),
            }
        }
    }

    fn wait(&self) -> Next {
        let patience = match self.open {
            Some(_) => LOOK,
            None => Duration::from_secs(1),
        };
        match self.commands.recv_timeout(patience) {
            Ok(command) => Next::Command(command),
            Err(RecvTimeoutError::Timeout) => Next::Nothing,
            Err(RecvTimeoutError::Disconnected) => Next::Over,
        }
    }

    /// Shows that this thread moves, unless it waits for an opening that will never end; see [`super::capture::SILENT_AT_MOST`].
    fn touch(&self) {
        let moves = match &self.open {
            Some(open) if open.ring.is_some() => true,
            Some(opening) => sound_stream::may_wait(&self.output, opening.thread.age()),
            None => !self.threads.are_too_many(),
        };
        if moves {
            self.alive.touch();
        }
    }

    /// Closes an idle stream, probes a closed card, looks for a lost one.
    fn look_after(&mut self) {
        if self.was_spoken && self.open.as_ref().is_none_or(Output::has_played_all) {
            self.forget();
        }
        let had_moved = self.has_moved();
        match self.look(Duration::ZERO) {
            Some(why) if had_moved => {
                log::warn!("{why}; nobody listened; opening it again");
                self.probe();
            }
            Some(why) => self.state(Err(why)),
            None => {}
        }
        if let Some(open) = &self.open
            && open.ring.is_none()
            && open.thread.age() >= sound_stream::REPORTED_AFTER
        {
            let (part, pcm) = self.named();
            let after = sound_stream::REPORTED_AFTER;
            self.state(Err(SoundError::Slow { part, pcm, after }));
        }
        if self.has_moved() {
            self.state(Ok(()));
            if self.idle_since.elapsed() > LINGER {
                self.close();
            }
        }
        let every = if self.works == Some(true) {
            PROBE
        } else {
            RETRY
        };
        if self.open.is_none() && self.closed.elapsed() >= every {
            self.probe();
        }
    }

    /// Opens the stream to see whether it takes samples; it is closed again when it has.
    fn probe(&mut self) {
        self.idle_since = Instant::now() - LINGER;
        if let Err(why) = self.begin() {
            self.state(Err(why));
        }
    }

    /// Whether the stream is open and has taken samples.
    fn has_moved(&self) -> bool {
        let open = self.open.as_ref();
        open.is_some_and(|open| open.ring.is_some() && open.line.signs.have_moved())
    }

    fn state(&mut self, works: Result<(), SoundError>) {
        let flag = works.is_ok();
        if self.works != Some(flag) {
            self.works = Some(flag);
            (self.report)(PlaybackEvent::State { works });
        }
    }

    /// Begins to open a stream where there is none.
    fn begin(&mut self) -> Result<(), SoundError> {
        if self.open.is_some() {
            return Ok(());
        }
        let line = Arc::new(Line::default());
        let (pcm, handset) = (self.output.clone(), self.handset.clone());
        let (alive, callbacks) = (self.alive.clone(), line.clone());
        let thread = self
            .threads
            .open(move || output::open(&pcm, &handset, &alive, &callbacks));
        self.closed = Instant::now();
        let (part, pcm) = self.named();
        let thread = thread.map_err(|error| SoundError::NotOpened { part, pcm, error })?;
        self.open = Some(Output {
            thread,
            line,
            ring: None,
            pushed: Samples::ZERO,
            judge: StreamJudge::default(),
        });
        Ok(())
    }

    /// Looks at the stream, and waits this long for one that is being opened. Returns why there is none any more.
    fn look(&mut self, patience: Duration) -> Option<SoundError> {
        let (part, pcm) = self.named();
        let open = self.open.as_mut()?;
        let why = if open.ring.is_some() {
            let why = open.judge.look(clock::mono(), &open.line.signs)?;
            SoundError::Gone { part, pcm, why }
        } else {
            match open.thread.opened(patience) {
                Opening::Open(ring) => {
                    open.ring = Some(ring);
                    return None;
                }
                Opening::Pending => return None,
                Opening::Refused(why) => why,
            }
        };
        self.close();
        Some(why)
    }

    /// Overwrites what the stream's buffer has played of a citizen's words.
    fn forget(&mut self) {
        self.was_spoken = false;
        if let Some(open) = &mut self.open {
            open.forget();
        }
    }

    fn close(&mut self) {
        if self.was_spoken {
            self.forget();
        }
        let Some(open) = self.open.take() else {
            return;
        };
        self.threads
            .close(open.thread, Part::Earpiece, &self.output);
        self.closed = Instant::now();
    }

    /// Discards the samples that still wait.
    fn silence(&self) {
        if let Some(open) = &self.open {
            let pushed = open.pushed.count();
            open.line.discard_to.store(pushed, Ordering::Release);
        }
    }

    /// Plays to the end or to the next command, which is returned. `Err` when the daemon ends. A stream that dies is opened
    /// again, and the interrupted prompt begins anew.
    fn play(
        &mut self,
        id: PlayId,
        sounds: &Sounds,
        gain_steps: u8,
    ) -> Result<Option<PlaybackCommand>, ()> {
        let mut at = 0;
        let patience = match self.works {
            Some(false) => HOPES_FOR,
            Some(true) | None => GIVES_UP_AFTER,
        };
        let mut moved = Instant::now();
        for opening in 0..=REOPENINGS {
            match self.await_open(moved, patience)? {
                Awaited::Open => {}
                Awaited::Interrupted(command) => return Ok(Some(command)),
                Awaited::GivenUp(why) => {
                    self.state(Err(why));
                    break;
                }
            }
            match self.play_on(id, sounds, &mut at, gain_steps, &mut moved)? {
                Played::Whole(interrupted) => {
                    self.state(Ok(()));
                    (self.report)(PlaybackEvent::Ended { id });
                    return Ok(interrupted);
                }
                Played::Interrupted(command) => return Ok(Some(command)),
                Played::Broken(why) if opening == REOPENINGS => self.state(Err(why)),
                Played::Broken(why) => {
                    log::warn!("{why}; opening it again");
                    if let Some(command) = self.hear(REST)? {
                        return Ok(Some(command));
                    }
                }
            }
        }
        (self.report)(PlaybackEvent::Ended { id });
        Ok(None)
    }

    /// Waits for an open stream, until there has been no sound since `moved` for longer than `patience`.
    fn await_open(&mut self, moved: Instant, patience: Duration) -> Result<Awaited, ()> {
        loop {
            self.touch();
            if self.open.as_ref().is_some_and(|open| open.ring.is_some()) {
                return Ok(Awaited::Open);
            }
            let refused = match self.begin() {
                Ok(()) => self.look(Duration::from_millis(10)),
                Err(why) => Some(why),
            };
            if moved.elapsed() >= patience {
                let (part, pcm) = self.named();
                let why = refused.unwrap_or(SoundError::GivenUp { part, pcm });
                return Ok(Awaited::GivenUp(why));
            }
            let pause = refused.map_or(Duration::ZERO, |_| REST);
            if let Some(command) = self.hear(pause)? {
                return Ok(Awaited::Interrupted(command));
            }
        }
    }

    /// Plays a list in a language on the open stream, from prompt `at` on; notes in `moved` when there was sound last.
    fn play_on(
        &mut self,
        id: PlayId,
        sounds: &Sounds,
        at: &mut usize,
        gain_steps: u8,
        moved: &mut Instant,
    ) -> Result<Played, ()> {
        let (own, centre) = (self.prompts.clone(), self.centre.clone());
        let mut player = sounds.source(&own, &centre, *at);
        let mut waiting = Zeroizing::new(Vec::new());
        let mut started = false;
        if let Some(open) = &self.open {
            open.line.first_at.store(0, Ordering::Release);
        }
        let mut moves = 0;
        let latency_us = loop {
            self.touch();
            if let Some(why) = self.look(Duration::ZERO) {
                return Ok(Played::Broken(why));
            }
            let Some(open) = self.open.as_mut() else {
                return Ok(Played::Broken(SoundError::Closed(Part::Earpiece)));
            };
            let moves_now = open.line.signs.moves();
            if moves_now != moves {
                (moves, *moved) = (moves_now, Instant::now());
            }
            while let Some(current) = player.as_mut() {
                if waiting.is_empty() {
                    match current.next_piece() {
                        Some(piece) => {
                            waiting = piece;
                            amplify(&mut waiting, gain_steps);
                        }
                        None => {
                            *at += 1;
                            player = sounds.source(&own, &centre, *at);
                        }
                    }
                    continue;
                }
                open.push(&mut waiting);
                if !waiting.is_empty() {
                    break;
                }
            }
            let first_at = open.line.first_at.load(Ordering::Acquire);
            if !started && first_at > 0 {
                started = true;
                (self.report)(PlaybackEvent::Started {
                    id,
                    at: Mono(first_at),
                });
            }
            if player.is_none() && waiting.is_empty() && open.has_played_all() {
                break open.line.latency_us.load(Ordering::Relaxed);
            }
            if let Some(command) = self.hear(Duration::from_millis(10))? {
                return Ok(Played::Interrupted(command));
            }
        };
        // The last samples are still on their way to the ear.
        let latency = Duration::from_micros(latency_us).min(Duration::from_millis(300));
        self.hear(latency).map(Played::Whole)
    }
}

/// Makes samples louder by steps of 9 dB, +18 dB at most; what would clip bends softly towards full scale.
fn amplify(samples: &mut [i16], gain_steps: u8) {
    if gain_steps > 0 {
        let factor = 10f64.powf(f64::from(gain_steps.min(2)) * STEP_DB / 20.0);
        for sample in samples {
            *sample = soft(f64::from(*sample) / 32_768.0 * factor);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn louder_is_louder_and_never_wraps() {
        let samples = || vec![1000, -1000, 30_000, i16::MIN];
        let amplified = |steps| {
            let mut samples = samples();
            amplify(&mut samples, steps);
            samples
        };
        let louder = amplified(1);
        assert!((2810..=2830).contains(&louder[0]), "{louder:?}");
        // The gain is +18 dB, a factor of 7.94, at most, even if more steps are asked for.
        for steps in [2, 3, u8::MAX] {
            let loud = amplified(steps);
            assert!(
                (7_930..=7_950).contains(&loud[0]) && loud[1] == -loud[0],
                "{loud:?}"
            );
            assert!(loud[2] > 30_000 && loud[3] < -30_000);
        }
        assert_eq!(amplified(0), samples());
    }
}
