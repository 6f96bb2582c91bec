//! The microphone, through cpal on ALSA.
//!
//! Owns: the capture stream, which stays open while the daemon runs, and its supervision: a card that
//! vanishes is noticed and looked for until it returns. Never does: keep a frame; they go into a ring
//! that the recorder empties. A failure leaves the ring abandoned; a new stream brings a new ring.
#![allow(clippy::disallowed_methods)] // measures when frames arrive

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, DeviceId, ErrorKind, HostId, InputCallbackInfo, StreamConfig};

use super::clock;
use super::sound_faults::{Fault, FaultJudge};
use crate::gateway::liveness::Beat;
use crate::gateway::time::Mono;

/// Sampling rate of everything, Hz.
pub const RATE: u32 = 48_000;
/// Seconds of sound the ring holds while the card is slow.
const RING_SECONDS: usize = 8;
/// Period of a kernel sound card: 30 ms. cpal's buffer is two of them, so the worker may run one period late before samples
/// are lost; a hang-up waits up to one for its last samples. The callback's size is never assumed.
const PERIOD: u32 = 1440;
/// Period of anything else, 20 ms: behind it is a sound server with a buffer of its own, and on PulseAudio's plug-in the
/// worker spins the more the longer the period is (a third of a core at 30 ms).
const SERVER_PERIOD: u32 = 960;

/// Kernel cards are `hw:`, `plughw:` and what ALSA derives of them; `default`, `pulse` and names of an asound.conf may be anything.
fn period_of(input: &str) -> u32 {
    match input.contains("hw:") || input.contains(":CARD=") {
        true => PERIOD,
        false => SERVER_PERIOD,
    }
}

/// No frames for this long means that the card is gone.
const STALLED: Duration = Duration::from_secs(3);
/// How often the supervisor looks.
const LOOK: Duration = Duration::from_millis(250);

/// What the microphone reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureState {
    /// Frames arrive, or why not.
    pub works: Result<(), String>,
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
    taken: u64,
    /// Boot-time clock of frame 0, µs.
    origin_us: Arc<AtomicI64>,
}

impl Tap {
    /// A tap and what feeds it. Public for tests of the recorder.
    pub fn pair() -> (Feed, Self) {
        let (producer, ring) = rtrb::RingBuffer::new(RATE as usize * RING_SECONDS);
        let origin_us = Arc::new(AtomicI64::new(0));
        (
            Feed {
                ring: producer,
                pushed: 0,
                origin_us: origin_us.clone(),
            },
            Self {
                ring,
                taken: 0,
                origin_us,
            },
        )
    }

    /// Moves what has arrived into `buffer`; answers the index of its first frame.
    pub fn take(&mut self, buffer: &mut Vec<i16>) -> u64 {
        let first = self.taken;
        buffer.resize(self.ring.slots(), 0);
        let (filled, _) = self.ring.pop_partial_slice(buffer);
        let filled = filled.len();
        buffer.truncate(filled);
        self.taken += filled as u64;
        first
    }

    /// Frames taken so far.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Which frame was captured at `at`.
    pub fn frame_at(&self, at: Mono) -> u64 {
        let us = i64::try_from(at.0).unwrap_or(i64::MAX / 1000) * 1000
            - self.origin_us.load(Ordering::Acquire);
        u64::try_from(us).unwrap_or(0).saturating_mul(48) / 1000
    }

    /// When a frame was captured.
    pub fn time_of(&self, frame: u64) -> Mono {
        let us = self.origin_us.load(Ordering::Acquire) + (frame * 1000 / 48) as i64;
        Mono(u64::try_from(us / 1000).unwrap_or(0))
    }

    /// Whether nothing more will come.
    pub fn is_over(&self) -> bool {
        self.ring.is_abandoned()
    }
}

/// The callback's end of a tap.
pub struct Feed {
    ring: rtrb::Producer<i16>,
    pushed: u64,
    origin_us: Arc<AtomicI64>,
}

impl Feed {
    /// Takes one callback's frames, the first of which was captured at `at_us`; answers how many found no room.
    pub fn push(&mut self, frames: impl ExactSizeIterator<Item = i16>, at_us: i64) -> u64 {
        let origin = at_us - (self.pushed * 1000 / 48) as i64;
        let before = self.origin_us.load(Ordering::Relaxed);
        // Callbacks come late, never early: follow an earlier estimate at once, a later one slowly.
        let follows = self.pushed > 0 && origin > before && origin - before < 500_000;
        let origin = if follows {
            before + (origin - before) / 64
        } else {
            origin
        };
        self.origin_us.store(origin, Ordering::Release);
        let wanted = frames.len();
        let room = self.ring.slots().min(wanted);
        let pushed = match self.ring.write_chunk_uninit(room) {
            Ok(chunk) => chunk.fill_from_iter(frames),
            Err(_) => 0,
        };
        self.pushed += pushed as u64;
        (wanted - pushed) as u64
    }
}

/// How long the supervisor may be silent. Each step of opening a card has it for itself: a USB card that does not answer
/// costs the kernel some 5 s per request.
pub const SILENT_AT_MOST: Duration = Duration::from_secs(30);

/// Runs the supervisor on this thread until `stop`, touching `alive` at every turn.
pub fn supervise(
    input: &str,
    taps: &Sender<Tap>,
    figures: &Arc<CaptureFigures>,
    stop: &AtomicBool,
    alive: &Beat,
    report: impl Fn(CaptureState),
) {
    let mut pause = Duration::from_millis(500);
    while !stop.load(Ordering::Relaxed) {
        let heard = listen(input, taps, figures, stop, alive, &report);
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let (worked, why) = heard;
        if worked {
            pause = Duration::from_millis(500);
        }
        report(CaptureState { works: Err(why) });
        wait(pause, stop, alive);
        pause = (pause * 2).min(Duration::from_secs(10));
    }
}

fn wait(pause: Duration, stop: &AtomicBool, alive: &Beat) {
    let end = Instant::now() + pause;
    while Instant::now() < end && !stop.load(Ordering::Relaxed) {
        alive.touch();
        std::thread::park_timeout(LOOK);
    }
}

/// One stream from opening to its end; answers whether it ever worked and why it ended.
fn listen(
    input: &str,
    taps: &Sender<Tap>,
    figures: &Arc<CaptureFigures>,
    stop: &AtomicBool,
    alive: &Beat,
    report: &impl Fn(CaptureState),
) -> (bool, String) {
    let (errors, trouble) = mpsc::sync_channel(16);
    let beat = Arc::new(AtomicU64::new(0));
    let stream = match open(input, taps, figures, alive, &beat, errors) {
        Ok(stream) => stream,
        Err(why) => return (false, why),
    };
    let mut seen = 0;
    let mut last = Instant::now();
    let mut judge = FaultJudge::default();
    loop {
        alive.touch();
        match trouble.recv_timeout(LOOK) {
            Ok((kind, text)) => match judge.judge(kind) {
                Fault::Xrun => {
                    figures.xruns.fetch_add(1, Ordering::Relaxed);
                }
                Fault::Passing => {}
                Fault::Fatal => {
                    drop(stream);
                    return (
                        seen > 0,
                        format!("the microphone {input:?} has gone: {text}"),
                    );
                }
            },
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        if stop.load(Ordering::Relaxed) {
            return (seen > 0, String::new());
        }
        let frames = beat.load(Ordering::Relaxed);
        if frames > seen {
            if seen == 0 {
                report(CaptureState { works: Ok(()) });
            }
            seen = frames;
            last = Instant::now();
        } else if last.elapsed() >= STALLED {
            drop(stream);
            return (
                seen > 0,
                format!("no frames come from the microphone {input:?}"),
            );
        }
    }
}

fn open(
    input: &str,
    taps: &Sender<Tap>,
    figures: &Arc<CaptureFigures>,
    alive: &Beat,
    beat: &Arc<AtomicU64>,
    errors: mpsc::SyncSender<(ErrorKind, String)>,
) -> Result<cpal::Stream, String> {
    alive.touch();
    // A new host each time: ALSA forgets a card that went only with the last handle (cpal's own cache).
    let host = cpal::host_from_id(HostId::Alsa).map_err(|error| format!("ALSA: {error}"))?;
    let device = host.device_by_id(&DeviceId::new(HostId::Alsa, input)).ok_or_else(|| {
        format!("no microphone {input:?}; plug the sound card in, or set [audio] input to a name that `arecord -L` lists")
    })?;
    let mut refusal = String::new();
    for channels in [1u16, 2] {
        alive.touch();
        let (mut feed, tap) = Tap::pair();
        let config = StreamConfig {
            channels,
            sample_rate: RATE,
            buffer_size: BufferSize::Fixed(period_of(input)),
        };
        let (beat, figures, errors) = (beat.clone(), figures.clone(), errors.clone());
        let built = device.build_input_stream::<i16, _, _>(
            config,
            move |frames: &[i16], info: &InputCallbackInfo| {
                let stamp = info.timestamp();
                let age = stamp
                    .callback
                    .duration_since(stamp.capture)
                    .min(Duration::from_secs(1));
                let age_us = i64::try_from(age.as_micros()).unwrap_or(0);
                let at_us = i64::try_from(clock::mono_us()).unwrap_or(0) - age_us;
                let lost = feed.push(
                    frames
                        .chunks_exact(usize::from(channels))
                        .map(|frame| frame[0]),
                    at_us,
                );
                figures.dropped.fetch_add(lost, Ordering::Relaxed);
                beat.fetch_add(frames.len() as u64, Ordering::Relaxed);
            },
            move |error: cpal::Error| {
                // Full means that the supervisor knows already.
                let _ = errors.try_send((error.kind(), error.to_string()));
            },
            Some(Duration::from_secs(2)),
        );
        match built {
            Ok(stream) => {
                stream
                    .play()
                    .map_err(|error| format!("the microphone {input:?} does not start: {error}"))?;
                let _ = taps.send(tap); // a recorder that is gone ends the daemon anyway
                return Ok(stream);
            }
            Err(error) => refusal = error.to_string(),
        }
    }
    Err(format!(
        "the microphone {input:?} cannot be opened at 48 kHz: {refusal}; use a plughw: name"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_card_gets_the_longer_period() {
        for card in [
            "hw:0",
            "plughw:CARD=handset,DEV=0",
            "sysdefault:CARD=handset",
        ] {
            assert_eq!(period_of(card), PERIOD, "{card}");
        }
        for server in ["default", "pulse", "booth_mic"] {
            assert_eq!(period_of(server), SERVER_PERIOD, "{server}");
        }
    }
}
