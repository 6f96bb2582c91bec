//! From the ring to the card: encodes and keeps one take at a time.
//!
//! Owns: the audio path between capture and spool, and the take whose words have ended while its citizen may still hear, repeat or
//! delete it. Never does: decide when to record; commands do. Sound that was captured
//! before consent is dropped here. A failing card ends the take and leaves its file to recovery.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::capture::{RING, Tap};
use super::ear::{Ear, MicLevels};
use super::packing::Packing;
use super::spoken_take::SpokenTake;
use booth_audio::{
    LevelMeter, OggOpus, OpusError, PAGE_SAMPLES, RATE, Samples, SpeechEncoder, take_off,
};
use booth_contract::time::Mono;
use booth_contract::{ClipId, EndedBy, Publish};
use booth_host::clock;
use booth_host::crew;
use booth_sealing::{SealTo, wash_stack};
use booth_spool::{ClipWriter, KeptClip, NewClip, Spool, SpoolError, StartFacts};
use gateway_core::liveness::Beat;
use gateway_core::microphone::Heard;
use gateway_core::session::TakeId;
use zeroize::{Zeroize, Zeroizing};

/// How long the end of a take waits for frames that were captured before it but have not arrived.
const LATE_FRAMES: Duration = Duration::from_millis(250);

/// How long the recorder may be silent: longer than any card that still works takes for a write. Sound that gathers
/// meanwhile is lost after 8 s, but a restart would lose more.
pub const SILENT_AT_MOST: Duration = Duration::from_secs(120);

/// Longest sleep while somebody is recorded: each one costs the processor's cache, and half a second, one page, is slept through in
/// three parts. Voice and levels are told as late as that.
const SLEEP: Duration = Duration::from_millis(180);
/// The start of a take that keeps no more.
const NEVER: Mono = Mono(u64::MAX);
/// What a sound card brings at once, at most: a page is whole when its last piece is there.
const PIECE: Duration = Duration::from_millis(30);

/// What the recorder is instructed to do.
pub enum RecorderCommand {
    /// Consent was given: open a clip.
    Arm {
        /// The take.
        take: TakeId,
        /// Its header.
        clip: Box<NewClip>,
        /// What becomes of what is said.
        seal_to: SealTo,
    },
    /// Keep frames captured from then on.
    Keep {
        /// The take.
        take: TakeId,
        /// From when.
        from: Mono,
    },
    /// Cut at `at` and hold: the words are durable, and the take is open.
    Finish {
        /// The take.
        take: TakeId,
        /// Why.
        ended_by: EndedBy,
        /// When.
        at: Mono,
        /// Shorter takes are discarded.
        min: Duration,
    },
    /// Close the held take; one that is not held is ignored.
    Close {
        /// The take.
        take: TakeId,
        /// What its citizen allowed.
        publish: Publish,
    },
    /// Delete the take, also one that is held.
    Discard {
        /// The take.
        take: TakeId,
    },
    /// Keep a vote.
    Cast {
        /// Its number among the takes.
        take: TakeId,
        /// Its facts.
        clip: Box<NewClip>,
        /// The digit that was chosen.
        choice: u8,
    },
    /// The spool is there (again).
    UseSpool(Spool),
    /// The spool will be closed: no take begins until it is there again.
    DropSpool,
    /// Report what was heard since the last such command.
    Hear,
}

/// What the recorder reports.
#[derive(Debug, Clone, PartialEq)]
pub enum RecorderEvent {
    /// First kept frame.
    Started {
        /// The take.
        take: TakeId,
        /// When it was captured.
        at: Mono,
    },
    /// Somebody began or ceased to speak.
    Voice {
        /// The take.
        take: TakeId,
        /// Speaking.
        active: bool,
        /// Since when.
        at: Mono,
    },
    /// The words are durable, and the take is open.
    Held {
        /// The take.
        take: TakeId,
        /// What its citizen can hear of it.
        sound: SpokenTake,
    },
    /// Durable, with its number.
    Kept {
        /// The take.
        take: TakeId,
        /// The clip.
        clip: Box<KeptClip>,
        /// How much of it was clipped, per cent of its samples.
        clipped_pct: f64,
    },
    /// The answer to [`RecorderCommand::Hear`].
    Heard(Heard),
    /// The take is gone: it was too short, or the session asked for that.
    Discarded {
        /// The take.
        take: TakeId,
        /// It was too short.
        too_short: bool,
    },
    /// The card refused it.
    Failed {
        /// The take.
        take: TakeId,
        /// The sentence for operations.
        why: String,
    },
    /// It was to be deleted, and the card has not let go of it, or the keeper's look has finished it before.
    Undeleted {
        /// The take.
        take: TakeId,
        /// What the card may have of it.
        clip_id: ClipId,
        /// The sentence for operations.
        why: String,
    },
}

/// Why a take ends before its end.
#[derive(Debug, thiserror::Error)]
enum NotKept {
    #[error(transparent)]
    Encoder(#[from] OpusError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

struct Take {
    id: TakeId,
    writer: ClipWriter,
    packing: Packing,
    stream: OggOpus,
    sound: SpokenTake,
    meter: LevelMeter,
    /// From when to keep, once the tone is over. Times become frames when frames have come: only then is a gap between them known.
    from: Option<Mono>,
    /// Until then as much as the ring has room for is held here, so that no word is lost if this thread is late: opening the clip may
    /// have taken it seconds.
    held: Zeroizing<Vec<i16>>,
    /// Index of the first held frame.
    held_first: Samples,
    /// Set with the first kept frame.
    start: Option<StartFacts>,
    kept: Samples,
    /// How many of them are at full scale.
    clipped: Samples,
    /// The end: time, reason, least length, and how long late frames are waited for.
    end: Option<End>,
}

/// A take whose words have ended. Its key is gone: no frame can follow.
struct Held {
    id: TakeId,
    writer: ClipWriter,
    sound: SpokenTake,
    clipped_pct: f64,
}

struct End {
    at: Mono,
    ended_by: EndedBy,
    min: Duration,
    give_up: Mono,
}

/// The recorder; [`Recorder::run`] is its thread.
pub struct Recorder<R> {
    spool: Option<Spool>,
    encoder: SpeechEncoder,
    taps: Receiver<Tap>,
    tap: Option<Tap>,
    take: Option<Take>,
    held: Option<Held>,
    /// The take that the card refused last: the spool has what was said, until it is deleted or finished.
    refused: Option<(TakeId, ClipId)>,
    buffer: Zeroizing<Vec<i16>>,
    ear: Ear,
    levels: Arc<MicLevels>,
    alive: Beat,
    report: R,
}

impl<R: Fn(RecorderEvent)> Recorder<R> {
    /// A recorder that gets its frames from the newest tap and touches `alive` at every turn.
    pub fn new(
        encoder: SpeechEncoder,
        taps: Receiver<Tap>,
        levels: Arc<MicLevels>,
        alive: Beat,
        report: R,
    ) -> Self {
        Self {
            spool: None,
            encoder,
            taps,
            tap: None,
            take: None,
            held: None,
            refused: None,
            buffer: spacious(),
            ear: Ear::default(),
            levels,
            alive,
            report,
        }
    }

    /// Works until the commands end.
    pub fn run(mut self, commands: &Receiver<RecorderCommand>) {
        while self.turn(commands, self.patience()) {}
    }

    fn patience(&self) -> Duration {
        match &self.take {
            Some(Take { end: Some(_), .. }) => Duration::from_millis(4),
            // A whole page goes to the card at once.
            Some(Take {
                start: Some(_),
                stream,
                ..
            }) => (stream.page_room().duration() + PIECE).min(SLEEP),
            Some(_) => Duration::from_millis(40),
            None => Duration::from_millis(200),
        }
    }

    /// Handles a command, if one comes within `patience`, and the sound that the microphone has brought. `false` when no
    /// command can come any more. Public for `make bench`, which takes the clock out of it.
    pub fn turn(&mut self, commands: &Receiver<RecorderCommand>, patience: Duration) -> bool {
        match commands.recv_timeout(patience) {
            Ok(command) => self.command(command),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        self.pump();
        true
    }

    fn command(&mut self, command: RecorderCommand) {
        match command {
            RecorderCommand::UseSpool(spool) => self.spool = Some(spool),
            RecorderCommand::DropSpool => self.spool = None,
            RecorderCommand::Hear => {
                self.pump();
                (self.report)(RecorderEvent::Heard(self.ear.heard()));
            }
            RecorderCommand::Arm {
                take,
                clip,
                seal_to,
            } => self.arm(take, *clip, &seal_to),
            RecorderCommand::Keep { take, from } => {
                self.pump();
                let Some(current) = self.take.as_mut().filter(|current| current.id == take) else {
                    return;
                };
                current.from = Some(from);
                let held = std::mem::take(&mut current.held);
                let first = current.held_first;
                self.keep_or_fail(first, &held);
            }
            RecorderCommand::Finish {
                take,
                ended_by,
                at,
                min,
            } => {
                let give_up = clock::mono() + LATE_FRAMES;
                match self.take.as_mut().filter(|current| current.id == take) {
                    Some(current) => {
                        current.end = Some(End {
                            at,
                            ended_by,
                            min,
                            give_up,
                        })
                    }
                    // Arming failed; that was reported.
                    None => (self.report)(RecorderEvent::Discarded {
                        take,
                        too_short: true,
                    }),
                }
                self.await_end(take);
            }
            RecorderCommand::Close { take, publish } => {
                if let Some(held) = self.held.take_if(|held| held.id == take) {
                    self.close(held, publish);
                }
            }
            RecorderCommand::Discard { take } => {
                if let Some(current) = self.take.take_if(|current| current.id == take) {
                    self.discard(current, false);
                } else if let Some(held) = self.held.take_if(|held| held.id == take) {
                    held.sound.wipe();
                    self.delete(take, held.writer, false);
                } else if let Some((_, clip_id)) = self.refused.take_if(|(id, _)| *id == take) {
                    self.delete_refused(take, &clip_id);
                } else {
                    (self.report)(RecorderEvent::Discarded {
                        take,
                        too_short: false,
                    });
                }
            }
            RecorderCommand::Cast { take, clip, choice } => {
                let cast = match &self.spool {
                    None => Err("there is no spool".to_owned()),
                    Some(spool) => spool.cast(*clip, choice).map_err(|error| error.to_string()),
                };
                (self.report)(match cast {
                    Ok(clip) => RecorderEvent::Kept {
                        take,
                        clip: Box::new(clip),
                        clipped_pct: 0.0,
                    },
                    Err(why) => RecorderEvent::Failed { take, why },
                });
            }
        }
    }

    /// Waits for a take that is ending, so that the next command finds it closed.
    fn await_end(&mut self, take: TakeId) {
        while self.take.as_ref().is_some_and(|current| current.id == take) {
            self.pump();
            if self.take.as_ref().is_some_and(|current| current.id == take) {
                std::thread::park_timeout(Duration::from_millis(3));
            }
        }
    }

    fn arm(&mut self, take: TakeId, mut clip: NewClip, seal_to: &SealTo) {
        self.pump(); // what was captured before consent goes
        // The visit closes or deletes a take before the next one.
        if let Some(held) = self.held.take() {
            self.close(held, Publish::No);
        }
        let failed = |why: String| (self.report)(RecorderEvent::Failed { take, why });
        let Some(spool) = &self.spool else {
            return failed("there is no spool".into());
        };
        let packing = match Packing::begin(&clip.clip_id, seal_to) {
            Ok(packing) => packing,
            Err(error) => return failed(error.to_string()),
        };
        clip.body = packing.kind();
        clip.key_ids = seal_to.ids();
        let serial = crc32c::crc32c(clip.clip_id.as_bytes());
        let comments = [
            ("BOOTH_ID", clip.booth_id.as_str().to_owned()),
            ("CLIP_ID", clip.clip_id.to_string()),
            ("QUESTION_ID", clip.question_id.clone().unwrap_or_default()),
            ("LANGUAGE", clip.lang.clone().unwrap_or_default()),
        ];
        let comments: Vec<(&str, &str)> = comments
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        if let Err(error) = self.encoder.reset() {
            return failed(error.to_string());
        }
        let pre_skip = self.encoder.pre_skip();
        let stream = OggOpus::new(serial, pre_skip, &comments);
        match spool.begin(clip) {
            Ok(writer) => {
                self.take = Some(Take {
                    id: take,
                    writer,
                    packing,
                    stream,
                    sound: SpokenTake::default(),
                    meter: LevelMeter::default(),
                    from: None,
                    held: spacious(),
                    held_first: Samples::ZERO,
                    start: None,
                    kept: Samples::ZERO,
                    clipped: Samples::ZERO,
                    end: None,
                });
            }
            Err(error) => failed(error.to_string()),
        }
    }

    /// Moves frames from the ring to the take, or drops them.
    fn pump(&mut self) {
        self.alive.touch();
        while let Ok(tap) = self.taps.try_recv() {
            self.tap = Some(tap);
            // Frames of another stream are counted anew: a take does not continue after its card was lost.
            if let Some(take) = &mut self.take
                && take.end.is_none()
            {
                take.from = Some(NEVER);
            }
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut taken = Samples::ZERO;
        if let Some(tap) = &mut self.tap {
            let first = tap.take(&mut buffer);
            taken = tap.taken();
            if !buffer.is_empty() {
                self.ear.push(&buffer);
                self.levels.set(self.ear.levels());
            }
            self.keep_or_fail(first, &buffer);
        }
        // After a long pause of this thread the buffer is large; it is made small again.
        if buffer.capacity() > 64 * 1024 {
            buffer = spacious();
        }
        self.buffer = buffer;
        let tap = self.tap.as_ref();
        let over = tap.is_none_or(Tap::is_over);
        let has_all = |at| tap.is_none_or(|tap| taken >= tap.frame_at(at));
        let ends = |take: &mut Take| {
            take.end
                .as_ref()
                .is_some_and(|end| has_all(end.at) || over || clock::mono() >= end.give_up)
        };
        if let Some(take) = self.take.take_if(ends) {
            self.hold(take);
        }
    }

    fn keep_or_fail(&mut self, first: Samples, frames: &[i16]) {
        if let Err(why) = self.keep(first, frames)
            && let Some(take) = self.take.take()
        {
            take.sound.wipe();
            self.forget();
            let id = take.id;
            self.refused = Some((id, take.writer.clip_id().into()));
            drop(take);
            (self.report)(RecorderEvent::Failed {
                take: id,
                why: why.to_string(),
            });
        }
    }

    fn keep(&mut self, first: Samples, frames: &[i16]) -> Result<(), NotKept> {
        let Some(take) = &mut self.take else {
            return Ok(());
        };
        let Some(from) = take.from else {
            if take.held_first + Samples::of(&take.held) != first {
                take.held.clear();
                take.held_first = first;
            }
            take.held_first += hold_on(&mut take.held, frames);
            return Ok(());
        };
        let last = first + Samples::of(frames);
        let tap = self.tap.as_ref();
        let frame_at = |at| tap.map_or(first, |tap| tap.frame_at(at)).clamp(first, last);
        let to = take.end.as_ref().map_or(last, |end| frame_at(end.at));
        let from = frame_at(from).min(to);
        let mut samples = &frames[(from - first).as_len()..(to - first).as_len()];
        if samples.is_empty() {
            return Ok(());
        }
        if take.start.is_none() {
            let at = tap.map_or_else(clock::mono, |tap| tap.time_of(from));
            let start = start_at(at);
            take.writer.set_start(start);
            take.start = Some(start);
            (self.report)(RecorderEvent::Started { take: take.id, at });
        }
        let Some(start) = take.start else {
            return Ok(());
        };
        while !samples.is_empty() {
            let room = take.stream.page_room().as_len();
            let (page, later) = samples.split_at(room.min(samples.len()));
            samples = later;
            take.kept += Samples::of(page);
            let clipped = page.iter().filter(|sample| sample.unsigned_abs() >= 32_767);
            take.clipped += Samples::new(clipped.count() as u64);
            let (id, began) = (take.id, start.mono);
            let report = &self.report;
            take.meter.push(page, |change| {
                let at = began + Duration::from_millis(change.at_ms);
                report(RecorderEvent::Voice {
                    take: id,
                    active: change.active,
                    at,
                });
            });
            take.stream.push(&mut self.encoder, page)?;
            // Sound that gathered while the card was slow goes to it in one write: one sync per page would never catch up.
            if take.stream.page_room() == PAGE_SAMPLES && Samples::of(samples) < PAGE_SAMPLES {
                let facts = take.meter.take_page();
                let pages = take.stream.take_page();
                take.sound.push(&pages);
                let body = take.packing.pack(facts, pages);
                take.writer.append(&body, facts)?;
            }
        }
        Ok(())
    }

    /// The words have ended: they are made durable, and the key goes.
    fn hold(&mut self, mut take: Take) {
        let Some(end) = take.end.take() else { return };
        let length = take.kept.duration();
        if take.start.is_none() || length < end.min {
            return self.discard(take, true);
        }
        let Take {
            id,
            mut writer,
            packing,
            stream,
            sound,
            mut meter,
            clipped,
            kept,
            ..
        } = take;
        let facts = meter.take_page();
        let held = stream
            .finish(&mut self.encoder)
            .map_err(|error| error.to_string())
            .and_then(|pages| {
                sound.push(&pages);
                let body = packing.pack_last(facts, pages);
                writer
                    .hold(&body, facts, end.ended_by)
                    .map_err(|error| error.to_string())
            });
        self.forget();
        match held {
            Ok(()) => {
                let clipped_pct = clipped.count() as f64 / kept.count().max(1) as f64 * 100.0;
                self.held = Some(Held {
                    id,
                    writer,
                    sound: sound.clone(),
                    clipped_pct,
                });
                (self.report)(RecorderEvent::Held { take: id, sound });
            }
            Err(why) => {
                sound.wipe();
                self.refused = Some((id, writer.clip_id().into()));
                drop(writer);
                (self.report)(RecorderEvent::Failed { take: id, why });
            }
        }
    }

    /// Deletes what the spool has of a take that the card refused.
    fn delete_refused(&self, take: TakeId, clip_id: &ClipId) {
        let deleted = match &self.spool {
            None => Err("there is no spool".to_owned()),
            Some(spool) => spool
                .discard_unfinished(clip_id)
                .map_err(|error| error.to_string()),
        };
        (self.report)(match deleted {
            Ok(true) => RecorderEvent::Discarded {
                take,
                too_short: false,
            },
            Ok(false) => RecorderEvent::Undeleted {
                take,
                clip_id: clip_id.clone(),
                why: "it was finished before it could be deleted".into(),
            },
            Err(why) => RecorderEvent::Undeleted {
                take,
                clip_id: clip_id.clone(),
                why,
            },
        });
    }

    /// The citizen has decided, or has gone.
    fn close(&mut self, held: Held, publish: Publish) {
        held.sound.wipe();
        let take = held.id;
        (self.report)(match held.writer.close(publish) {
            Ok(clip) => RecorderEvent::Kept {
                take,
                clip: Box::new(clip),
                clipped_pct: held.clipped_pct,
            },
            Err(error) => RecorderEvent::Failed {
                take,
                why: error.to_string(),
            },
        });
    }

    /// The encoder holds the last half second of what was said, and the buffer what came last.
    fn forget(&mut self) {
        if let Err(error) = self.encoder.reset() {
            log::warn!("the encoder does not forget the last message: {error}");
        }
        self.buffer.zeroize();
        wash_stack();
    }

    fn discard(&mut self, take: Take, too_short: bool) {
        let Take {
            id, writer, sound, ..
        } = take;
        sound.wipe();
        self.forget();
        self.delete(id, writer, too_short);
    }

    fn delete(&self, id: TakeId, writer: ClipWriter, too_short: bool) {
        let clip_id = writer.clip_id().into();
        (self.report)(match writer.discard() {
            Ok(()) => RecorderEvent::Discarded {
                take: id,
                too_short,
            },
            Err(error) => RecorderEvent::Undeleted {
                take: id,
                clip_id,
                why: error.to_string(),
            },
        });
    }
}

/// Appends frames, and takes off at the front what is more than the ring holds: how much. Nothing stays where there was too little room.
fn hold_on(held: &mut Zeroizing<Vec<i16>>, frames: &[i16]) -> Samples {
    let extra = (held.len() + frames.len()).saturating_sub(RING.as_len());
    let old = extra.min(held.len());
    take_off(held, old);
    let frames = &frames[extra - old..];
    if held.len() + frames.len() > held.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(RING.as_len()));
        larger.extend_from_slice(held);
        *held = larger;
    }
    held.extend_from_slice(frames);
    Samples::new(extra as u64)
}

/// Room for a second, so that a buffer of sound seldom grows; it is overwritten when it is dropped.
fn spacious() -> Zeroizing<Vec<i16>> {
    Zeroizing::new(Vec::with_capacity(RATE as usize))
}

fn start_at(at: Mono) -> StartFacts {
    let age = i64::try_from(clock::mono().since(at).as_millis()).unwrap_or(0);
    StartFacts {
        wall_ms: clock::wall().as_millisecond() - age,
        mono: at,
        clock_synced: clock::clock_synced(),
    }
}

/// Starts the recorder's thread as one of the crew.
pub fn spawn<R: Fn(RecorderEvent) + Send + 'static>(
    encoder: SpeechEncoder,
    taps: Receiver<Tap>,
    commands: Receiver<RecorderCommand>,
    levels: Arc<MicLevels>,
    alive: Beat,
    report: R,
) -> std::io::Result<()> {
    let work = move || Recorder::new(encoder, taps, levels, alive, report).run(&commands);
    crew::start("recorder", work).map(drop)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // reads the clip file back
mod tests;
