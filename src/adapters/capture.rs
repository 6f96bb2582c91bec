//! The microphone, through cpal on ALSA.
//!
//! Owns: the capture stream, which stays open while the daemon runs, and its supervision: a card that vanishes is noticed
//! and looked for until it returns. Never does: keep a frame; frames go into a ring that the recorder empties. After a
//! failure the ring gets no more frames; a new stream brings a new ring.
#![allow(clippy::disallowed_methods)] // measures when frames arrive; cpal's worker rests between periods

mod frame_clock;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use cpal::traits::DeviceTrait;
use cpal::{BufferSize, InputCallbackInfo, StreamConfig};

use self::frame_clock::FrameClock;
use super::sound_cards::is_kernel_card;
use super::sound_error::{Part, SoundError};
use super::sound_faults::{Dead, Fault, Signs, StreamJudge};
use super::sound_pace::Pace;
use super::sound_stream::{self, Opening, StreamThread, StreamThreads};
use booth_audio::{RATE, Samples};
use booth_contract::time::Mono;
use booth_host::clock;
use booth_host::crew;
use gateway_core::liveness::Beat;
use zeroize::Zeroize;

/// The sound that the ring holds while the card is slow.
pub(super) const RING: Samples = Samples::in_s(8);
/// Period of a kernel sound card: 30 ms. cpal's buffer is two of them, so the worker may run one period late before samples
/// are lost; a hang-up waits up to one for its last samples. The callback's size is never assumed.
const PERIOD: Samples = Samples::in_ms(30);
/// Period of any other PCM, 20 ms: behind it is a sound server with a buffer of its own, and on PulseAudio's plug-in the
/// worker spins the more the longer the period is (a third of a core at 30 ms).
const SERVER_PERIOD: Samples = Samples::in_ms(20);

fn period_of(input: &str) -> Samples {
    match is_kernel_card(input) {
        true => PERIOD,
        false => SERVER_PERIOD,
    }
}

/// How often the supervisor looks at the stream.
const LOOK: Duration = Duration::from_millis(250);

/// What the microphone reports.
#[derive(Debug)]
pub struct CaptureState {
    /// Frames arrive, or why not.
    pub works: Result<(), SoundError>,
}

/// Figures shared with the callback.
#[derive(Debug, Default)]
pub struct CaptureFigures {
    /// Overruns since the start.
    pub xruns: AtomicU64,
    /// Frames that found the ring full.
    pub dropped: AtomicU64,
}

/// One stream's frames, for the recorder.
pub struct Tap {
    ring: rtrb::Consumer<i16>,
    taken: Samples,
    clock: Arc<FrameClock>,
}

impl Tap {
    /// A tap and what feeds it. Public for tests of the recorder.
    pub fn pair() -> (Feed, Self) {
        let (producer, ring) = rtrb::RingBuffer::new(RING.as_len());
        let clock = Arc::new(FrameClock::default());
        (
            Feed {
                ring: producer,
                pushed: Samples::ZERO,
                has_lost: false,
                clock: clock.clone(),
            },
            Self {
                ring,
                taken: Samples::ZERO,
                clock,
            },
        )
    }

    /// Moves what has arrived into `buffer`. Returns the position of its first frame.
    pub fn take(&mut self, buffer: &mut Vec<i16>) -> Samples {
        let first = self.taken;
        buffer.clear();
        let waiting = self.ring.slots();
        if let Ok(mut chunk) = self.ring.read_chunk(waiting) {
            let (one, two) = chunk.as_mut_slices();
            for samples in [one, two] {
                buffer.extend_from_slice(samples);
                // The ring keeps nothing of what was taken out of it.
                samples.zeroize();
            }
            chunk.commit_all();
        }
        self.taken += Samples::of(buffer);
        first
    }

    /// Frames taken so far.
    pub fn taken(&self) -> Samples {
        self.taken
    }

    /// Which frame was captured at `at`.
    pub fn frame_at(&self, at: Mono) -> Samples {
        self.clock.frame_at(at)
    }

    /// When a frame was captured.
    pub fn time_of(&self, frame: Samples) -> Mono {
        self.clock.time_of(frame)
    }

    /// Whether nothing more will come.
    pub fn is_over(&self) -> bool {
        self.ring.is_abandoned()
    }
}

/// The callback's end of a tap.
pub struct Feed {
    ring: rtrb::Producer<i16>,
    pushed: Samples,
    /// Frames were lost after the last one that was pushed.
    has_lost: bool,
    clock: Arc<FrameClock>,
}

impl Feed {
    /// Takes one callback's frames of this many channels, the first of which was captured at `at_us`, and keeps the first
    /// channel. Returns how many frames found no room.
    pub fn push(&mut self, samples: &[i16], channels: u16, at_us: i64) -> u64 {
        let channels = usize::from(channels);
        let wanted = samples.len() / channels;
        // Once frames are lost, a callback goes in as a whole: so there is one gap.
        let least = if self.has_lost { wanted } else { 1 };
        if self.ring.slots() < least.max(1) {
            self.has_lost |= wanted > 0;
            return wanted as u64;
        }
        // Known before the frames can be taken.
        self.clock.captured(self.pushed, at_us, self.has_lost);
        let pushed = if channels == 1 {
            self.ring.push_partial_slice(samples).0.len()
        } else {
            let room = self.ring.slots().min(wanted);
            let first = samples.chunks_exact(channels).map(|frame| frame[0]);
            let chunk = self.ring.write_chunk_uninit(room);
            chunk.map_or(0, |chunk| chunk.fill_from_iter(first))
        };
        self.pushed += Samples::new(pushed as u64);
        self.has_lost = pushed < wanted;
        (wanted - pushed) as u64
    }
}

/// How long the supervisor may be silent. Each step of opening a kernel's card may take this long by itself: a USB card that
/// does not answer costs the kernel some 5 s per request.
pub const SILENT_AT_MOST: Duration = Duration::from_secs(30);
/// The supervisor of the microphone.
struct Supervisor<'a, R> {
    input: &'a str,
    taps: &'a SyncSender<Tap>,
    figures: &'a Arc<CaptureFigures>,
    stop: &'a AtomicBool,
    alive: &'a Beat,
    report: R,
    threads: StreamThreads,
}

/// Runs the supervisor on this thread until `stop`, touching `alive` at every turn.
pub fn supervise(
    input: &str,
    taps: &SyncSender<Tap>,
    figures: &Arc<CaptureFigures>,
    stop: &AtomicBool,
    alive: &Beat,
    report: impl Fn(CaptureState),
) {
    Supervisor {
        input,
        taps,
        figures,
        stop,
        alive,
        report,
        threads: StreamThreads::new("microphone"),
    }
    .run();
}

impl<R: Fn(CaptureState)> Supervisor<'_, R> {
    fn run(&self) {
        let mut pause = Duration::from_millis(500);
        while !self.is_over() {
            if self.listen() {
                pause = Duration::from_millis(500);
            }
            self.wait(pause);
            pause = (pause * 2).min(Duration::from_secs(10));
        }
    }

    fn named(&self) -> (Part, String) {
        (Part::Microphone, self.input.to_owned())
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Reports why there is no microphone; while the daemon ends nobody needs the report.
    fn report_fault(&self, why: SoundError) {
        if !self.is_over() {
            (self.report)(CaptureState { works: Err(why) });
        }
    }

    fn wait(&self, pause: Duration) {
        let end = Instant::now() + pause;
        while Instant::now() < end && !self.is_over() {
            if !self.threads.are_too_many() {
                self.alive.touch();
            }
            std::thread::park_timeout(LOOK);
        }
    }

    /// One stream from its opening to its end, which is reported. Returns whether it ever worked.
    fn listen(&self) -> bool {
        let signs = Arc::new(Signs::default());
        let (input, figures) = (self.input.to_owned(), self.figures.clone());
        let (alive, callbacks) = (self.alive.clone(), signs.clone());
        let opening = self
            .threads
            .open(move || open(&input, &figures, &alive, &callbacks));
        let stream = match opening {
            Ok(stream) => stream,
            Err(error) => {
                let (part, pcm) = self.named();
                self.report_fault(SoundError::NotOpened { part, pcm, error });
                return false;
            }
        };
        let tap = match self.await_opening(&stream) {
            Some(Ok(tap)) => tap,
            Some(Err(why)) => {
                self.report_fault(why);
                return false;
            }
            None => return false,
        };
        let _ = self.taps.send(tap); // a recorder that is gone ends the daemon anyway
        let (worked, dead) = self.watch(&signs);
        // Reported before the stream is closed, which may take its time.
        if let Some(why) = dead {
            let (part, pcm) = self.named();
            self.report_fault(SoundError::Gone { part, pcm, why });
        }
        self.threads.close(stream, Part::Microphone, self.input);
        worked
    }

    /// Watches an open stream until it is dead or the daemon ends. Returns whether it ever worked, and why it is dead if it is.
    fn watch(&self, signs: &Signs) -> (bool, Option<Dead>) {
        let mut judge = StreamJudge::default();
        let mut works = false;
        loop {
            self.alive.touch();
            if self.is_over() {
                return (works, None);
            }
            if signs.have_moved() && !works {
                works = true;
                (self.report)(CaptureState { works: Ok(()) });
            }
            if let Some(why) = judge.look(clock::mono(), signs) {
                return (works, Some(why));
            }
            std::thread::park_timeout(LOOK);
        }
    }

    /// Waits for the stream to be open; `None` when the daemon ends.
    fn await_opening(&self, stream: &StreamThread<Tap>) -> Option<Result<Tap, SoundError>> {
        let mut is_reported = false;
        while !self.is_over() {
            match stream.opened(LOOK) {
                Opening::Open(tap) => return Some(Ok(tap)),
                Opening::Refused(why) => return Some(Err(why)),
                Opening::Pending => {}
            }
            if sound_stream::may_wait(self.input, stream.age()) {
                self.alive.touch();
            }
            if !is_reported && stream.age() >= sound_stream::REPORTED_AFTER {
                is_reported = true;
                let (part, pcm) = self.named();
                self.report_fault(SoundError::Slow {
                    part,
                    pcm,
                    after: sound_stream::REPORTED_AFTER,
                });
            }
        }
        None
    }
}

/// Opens the microphone and starts it. On its own thread: any of these calls may wait for a sound server.
fn open(
    input: &str,
    figures: &Arc<CaptureFigures>,
    alive: &Beat,
    signs: &Arc<Signs>,
) -> Result<(cpal::Stream, Tap), SoundError> {
    alive.touch();
    let device = sound_stream::device(Part::Microphone, input)?;
    sound_stream::started((Part::Microphone, input), alive, |channels| {
        build(&device, input, channels, figures, signs)
    })
}

/// The stream with so many channels, and the recorder's end of it.
fn build(
    device: &cpal::Device,
    input: &str,
    channels: u16,
    figures: &Arc<CaptureFigures>,
    signs: &Arc<Signs>,
) -> Result<(cpal::Stream, Tap), cpal::Error> {
    let (mut feed, tap) = Tap::pair();
    let config = StreamConfig {
        channels,
        sample_rate: RATE,
        buffer_size: BufferSize::Fixed(period_of(input).count() as u32),
    };
    let (moved, failed) = (signs.clone(), signs.clone());
    let mut pace = Pace::new(is_kernel_card(input), period_of(input));
    let (dropped, xruns) = (figures.clone(), figures.clone());
    let worker = crew::Callback::new("microphone");
    let stream = device.build_input_stream::<i16, _, _>(
        config,
        move |frames: &[i16], info: &InputCallbackInfo| {
            let _ = &worker;
            let stamp = info.timestamp();
            let age = stamp.callback.duration_since(stamp.capture);
            let age = age.min(Duration::from_secs(1));
            let age_us = i64::try_from(age.as_micros()).unwrap_or(0);
            let now_us = clock::mono_us();
            let at_us = i64::try_from(now_us).unwrap_or(0) - age_us;
            let lost = feed.push(frames, channels, at_us);
            dropped.dropped.fetch_add(lost, Ordering::Relaxed);
            moved.arrived();
            std::thread::sleep(pace.rest(now_us));
        },
        move |error: cpal::Error| {
            if failed.failed(&error) == Fault::Xrun {
                xruns.xruns.fetch_add(1, Ordering::Relaxed);
            }
        },
        Some(Duration::from_secs(2)),
    )?;
    Ok((stream, tap))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_channel_is_kept_in_order_and_what_finds_no_room_is_counted() {
        let whole = RING.as_len();
        for channels in [1u16, 2] {
            let (mut feed, mut tap) = Tap::pair();
            let of = |from: usize, frames: usize| -> Vec<i16> {
                (from * usize::from(channels)..(from + frames) * usize::from(channels))
                    .map(|at| {
                        (at / usize::from(channels) % 30_000) as i16
                            - (at % usize::from(channels)) as i16
                    })
                    .collect()
            };
            let mut buffer = Vec::new();
            assert_eq!(feed.push(&of(0, 1_000), channels, 0), 0);
            assert_eq!(
                (tap.take(&mut buffer), buffer.len()),
                (Samples::ZERO, 1_000)
            );
            assert_eq!(feed.push(&of(1_000, whole - 1), channels, 0), 0);
            assert_eq!(feed.push(&of(0, 5), channels, 0), 4);
            assert_eq!(
                (tap.take(&mut buffer), buffer.len()),
                (Samples::new(1_000), whole)
            );
            let kept = buffer[..whole - 1].iter().enumerate();
            assert!(
                kept.into_iter()
                    .all(|(at, sample)| *sample == ((at + 1_000) % 30_000) as i16)
            );
        }
    }

    #[test]
    fn a_kernel_card_gets_the_longer_period() {
        assert_eq!(period_of("plughw:CARD=handset,DEV=0"), PERIOD);
        assert_eq!(period_of("default"), SERVER_PERIOD);
    }
}
