//! One output stream of the earpiece.
//!
//! Owns: its opening, its callback, and what the callback shares with the earpiece's thread. Never does: decide what plays.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cpal::traits::DeviceTrait;
use cpal::{BufferSize, OutputCallbackInfo, StreamConfig};

use crate::adapters::handset::HandsetView;
use crate::adapters::sound_cards::is_kernel_card;
use crate::adapters::sound_error::{Part, SoundError};
use crate::adapters::sound_faults::{Signs, StreamJudge};
use crate::adapters::sound_stream::{self, StreamThread};
use booth_audio::{RATE, Samples};
use booth_host::{clock, crew};
use gateway_core::liveness::Beat;

/// Period on a kernel sound card.
const PERIOD: Samples = Samples::in_ms(20);
/// Period of any other PCM: a sound server is late more often than a card. PulseAudio's plug-in ran dry 24 times in
/// 168 s of play at 20 ms on a busy machine, and never at 50 ms.
const SERVER_PERIOD: Samples = Samples::in_ms(50);
/// How much is decoded ahead: two buffers of the longer period, so that this thread may be late, too. A stop throws
/// this much away.
const AHEAD: Samples = Samples::in_ms(200);
/// What one stream's callbacks and its owner share.
#[derive(Default)]
pub(super) struct Line {
    pub(super) signs: Signs,
    /// Samples up to this one, counted from the stream's first, are thrown away.
    pub(super) discard_to: AtomicU64,
    /// Boot-time ms of the first sample since it was last set to 0.
    pub(super) first_at: AtomicU64,
    /// Delay between a callback and the ear, µs.
    pub(super) latency_us: AtomicU64,
}

/// A stream that is being opened, or is open.
pub(super) struct Output {
    pub(super) thread: StreamThread<rtrb::Producer<i16>>,
    pub(super) line: Arc<Line>,
    /// Once it is open.
    pub(super) ring: Option<rtrb::Producer<i16>>,
    /// Samples pushed into the ring.
    pub(super) pushed: Samples,
    pub(super) judge: StreamJudge,
}

impl Output {
    /// Hands over as many of these samples as there is room for.
    pub(super) fn push(&mut self, waiting: &mut Vec<i16>) {
        if let Some(ring) = &mut self.ring {
            let (pushed, _) = ring.push_partial_slice(waiting);
            let pushed = Samples::of(pushed);
            waiting.drain(..pushed.as_len());
            self.pushed += pushed;
        }
    }

    /// Overwrites the part of the ring that waits for nothing: what was played stays in it otherwise.
    pub(super) fn forget(&mut self) {
        if let Some(ring) = &mut self.ring {
            let free = ring.slots();
            // A chunk is filled with zeros when it is asked for; this one is not handed over.
            drop(ring.write_chunk(free));
        }
    }

    pub(super) fn has_played_all(&self) -> bool {
        let ring = self.ring.as_ref();
        ring.is_none_or(|ring| ring.slots() == ring.buffer().capacity())
    }
}

fn period_of(output: &str) -> Samples {
    match is_kernel_card(output) {
        true => PERIOD,
        false => SERVER_PERIOD,
    }
}

/// Opens the earpiece and starts it. On its own thread: any of these calls may wait for a sound server.
pub(super) fn open(
    output: &str,
    handset: &Arc<HandsetView>,
    alive: &Beat,
    line: &Arc<Line>,
) -> Result<(cpal::Stream, rtrb::Producer<i16>), SoundError> {
    alive.touch();
    let device = sound_stream::device(Part::Earpiece, output)?;
    sound_stream::started((Part::Earpiece, output), alive, |channels| {
        build(&device, output, channels, handset, line)
    })
}

/// The stream with so many channels, and its owner's end of it.
fn build(
    device: &cpal::Device,
    output: &str,
    channels: u16,
    handset: &Arc<HandsetView>,
    line: &Arc<Line>,
) -> Result<(cpal::Stream, rtrb::Producer<i16>), cpal::Error> {
    let (ring, waiting) = rtrb::RingBuffer::<i16>::new(AHEAD.as_len());
    let config = StreamConfig {
        channels,
        sample_rate: RATE,
        buffer_size: BufferSize::Fixed(period_of(output).count() as u32),
    };
    let errors = line.clone();
    let mut mouth = Mouth {
        line: line.clone(),
        handset: handset.clone(),
        waiting,
        popped: Samples::ZERO,
        channels,
        _worker: crew::Callback::new("earpiece"),
    };
    let stream = device.build_output_stream::<i16, _, _>(
        config,
        move |out: &mut [i16], info: &OutputCallbackInfo| mouth.fill(out, info),
        move |error: cpal::Error| {
            errors.signs.failed(&error);
        },
        Some(Duration::from_secs(2)),
    )?;
    Ok((stream, ring))
}

/// What the stream's callback has.
struct Mouth {
    line: Arc<Line>,
    handset: Arc<HandsetView>,
    waiting: rtrb::Consumer<i16>,
    /// Samples taken out of the ring.
    popped: Samples,
    channels: u16,
    _worker: crew::Callback,
}

impl Mouth {
    /// Fills one period.
    fn fill(&mut self, out: &mut [i16], info: &OutputCallbackInfo) {
        const ONE: Samples = Samples::new(1);
        let line = &self.line;
        let stamp = info.timestamp();
        let latency = stamp.playback.duration_since(stamp.callback).as_micros();
        let latency = u64::try_from(latency).unwrap_or(0);
        line.latency_us.store(latency, Ordering::Relaxed);
        line.signs.asked();
        let discard_to = Samples::new(line.discard_to.load(Ordering::Acquire));
        while self.popped < discard_to && self.waiting.pop().is_ok() {
            self.popped += ONE;
        }
        let has_sound = !self.waiting.is_empty();
        // Samples that play while somebody may be hanging up are silent, and do not wait.
        let loudness = i16::from(!self.handset.hush.load(Ordering::Relaxed));
        for frame in out.chunks_exact_mut(usize::from(self.channels)) {
            let sample = self.waiting.pop().ok();
            if sample.is_some() {
                self.popped += ONE;
            }
            frame.fill(sample.unwrap_or(0) * loudness);
        }
        if has_sound && line.first_at.load(Ordering::Relaxed) == 0 {
            let now = clock::mono().0.max(1);
            line.first_at.store(now, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sound_server_gets_the_longer_period() {
        assert_eq!(period_of("plughw:CARD=handset,DEV=0"), PERIOD);
        assert_eq!(period_of("default"), SERVER_PERIOD);
    }
}
