//! A stand-in for `adapters::recorder`: the same commands, reports and order, with half seconds of made-up Ogg pages
//! instead of sound.
//!
//! Owns: what of the voice is kept, when each page goes to the spool, and the note of what the spool said was safe.
//! Never does: encode. It begins, appends, holds, closes and discards through the real `spool::ClipWriter`.

use std::collections::VecDeque;
use std::time::Duration;

use booth_contract::{EndedBy, Publish};
use booth_gateway::adapters::recorder::{RecorderCommand, RecorderEvent};
use booth_gateway::adapters::spoken_take::SpokenTake;
use booth_gateway::run::Happening;
use booth_spool::{ClipWriter, FrameFacts, NewClip, Spool, StartFacts};
use gateway_core::microphone::Heard;
use gateway_core::session::TakeId;

use super::plan::Fault;
use super::{Event, World};
use crate::model_disk::Chance;

/// Kept sound reaches the recorder this much later.
const CAPTURE_MS: u64 = 25;
const LATE_FRAMES_MS: u64 = 250;
const PAGE_MS: u64 = 500;

pub struct Recorder {
    pub queue: VecDeque<(u64, RecorderCommand)>,
    pub take: Option<Take>,
    held: Option<Held>,
    /// The take that the card refused last.
    refused: Option<(TakeId, String)>,
    spool: Option<Spool>,
    due: Option<u64>,
    /// Frames arrive from then on, and until then.
    stream_from: Option<u64>,
    stream_to: Option<u64>,
}

pub struct Take {
    id: TakeId,
    writer: ClipWriter,
    pub clip_id: String,
    /// Keep from then on.
    from: Option<u64>,
    /// The stream that it was kept from is over: nothing more is kept.
    is_cut_off: bool,
    is_started: bool,
    /// Sound up to then is in pages that were handed to the spool.
    paged_to: u64,
    voice: bool,
    pages: Pages,
    end: Option<End>,
}

/// A take whose words have ended.
struct Held {
    id: TakeId,
    clip_id: String,
    writer: ClipWriter,
    kept_ms: u64,
}

struct End {
    at: u64,
    ended_by: EndedBy,
    min: Duration,
    give_up: u64,
}

/// Whole Ogg pages with chance in them; nobody decodes them here.
struct Pages {
    serial: u32,
    sequence: u32,
    granule: u64,
    chance: Chance,
}

impl Pages {
    fn push(&mut self, body: &mut Vec<u8>, payload: usize, flags: u8) {
        let segments = payload.div_ceil(255).max(1);
        let last = payload - 255 * (segments - 1);
        body.extend_from_slice(b"OggS\0");
        body.push(flags);
        body.extend_from_slice(&self.granule.to_le_bytes());
        body.extend_from_slice(&self.serial.to_le_bytes());
        body.extend_from_slice(&self.sequence.to_le_bytes());
        body.extend_from_slice(&[0; 4]);
        body.push(segments as u8);
        body.extend(std::iter::repeat_n(255, segments - 1));
        body.push(last as u8);
        self.sequence += 1;
        let end = body.len() + payload;
        while body.len() < end {
            let bytes = self.chance.next().to_le_bytes();
            let room = (end - body.len()).min(8);
            body.extend_from_slice(&bytes[..room]);
        }
    }

    /// The pages of `ms` of sound.
    fn of(&mut self, ms: u64, bytes: u64, is_last: bool) -> Vec<u8> {
        let mut body = Vec::with_capacity(bytes as usize + 200);
        if self.sequence == 0 {
            self.push(&mut body, 19, 2);
            self.push(&mut body, 60, 0);
        }
        self.granule += ms * 48;
        let bytes = bytes * ms.max(20) / PAGE_MS;
        self.push(
            &mut body,
            bytes.max(1) as usize,
            if is_last { 4 } else { 0 },
        );
        body
    }
}

impl Recorder {
    pub fn new(stream_from: Option<u64>) -> Self {
        Self {
            queue: VecDeque::new(),
            take: None,
            held: None,
            refused: None,
            spool: None,
            due: None,
            stream_from,
            stream_to: None,
        }
    }

    pub fn stream_ends(&mut self, now: u64) {
        self.stream_to.get_or_insert(now);
    }

    pub fn stream_begins(&mut self, now: u64) {
        if self.stream_to.take().is_some() || self.stream_from.is_none() {
            self.stream_from = Some(now);
            if let Some(take) = &mut self.take
                && take.end.is_none()
            {
                take.is_cut_off = true;
            }
        }
    }

    /// Up to when sound has been heard.
    pub fn heard_to(&self, now: u64) -> u64 {
        let to = now.saturating_sub(CAPTURE_MS);
        match (self.stream_from, self.stream_to) {
            (None, _) => 0,
            (Some(_), Some(end)) => to.min(end),
            (Some(_), None) => to,
        }
    }

    fn is_stream_over(&self) -> bool {
        self.stream_from.is_none() || self.stream_to.is_some()
    }
}

impl Take {
    /// From when to when sound was spoken into this take until `heard_to`.
    pub fn spoken(&self, heard_to: u64) -> Option<(u64, u64)> {
        let from = self.from.filter(|_| self.is_started)?;
        let to = self
            .end
            .as_ref()
            .map_or(heard_to, |end| end.at.min(heard_to));
        Some((
            from,
            if self.is_cut_off {
                self.paged_to
            } else {
                to.max(from)
            },
        ))
    }
}

fn facts(ms: u64, speech: bool) -> FrameFacts {
    FrameFacts {
        samples: (ms * 48) as u32,
        mean_square: if speech { 0.02 } else { 0.000_01 },
        peak: if speech { 9_000 } else { 50 },
        speech,
    }
}

impl World {
    pub(super) fn wake_recorder(&mut self, at: u64) {
        let life = self.life;
        if let Some(process) = &mut self.process
            && process.recorder.due.is_none_or(|due| due > at)
        {
            process.recorder.due = Some(at);
            self.at(at, Event::Recorder { life, due: at });
        }
    }

    fn report(&mut self, event: RecorderEvent) {
        self.say(|| format!("recorder: {event:?}").chars().take(160).collect());
        self.tell_loop(2, Happening::Recorder(event));
    }

    pub(super) fn recorder_works(&mut self, due: u64) {
        match &mut self.process {
            Some(process) if process.recorder.due == Some(due) => process.recorder.due = None,
            _ => return,
        }
        self.pump();
        loop {
            let now = self.now;
            let Some(process) = &mut self.process else {
                return;
            };
            let recorder = &mut process.recorder;
            // A take that ends is waited for before the next command is looked at.
            let is_ending = recorder
                .take
                .as_ref()
                .is_some_and(|take| take.end.is_some());
            if is_ending
                || recorder.queue.front().is_none_or(|(at, _)| *at > now)
                || self.disk.is_off()
            {
                break;
            }
            let Some((_, command)) = recorder.queue.pop_front() else {
                break;
            };
            self.command(command);
            self.pump();
        }
        let now = self.now;
        let Some(process) = &self.process else { return };
        let recorder = &process.recorder;
        let mut next = recorder.queue.front().map(|(at, _)| *at);
        if let Some(take) = &recorder.take {
            let page = match (take.from, take.is_started) {
                (Some(from), false) => from.max(now) + 40,
                (Some(_), true) => take.paged_to + PAGE_MS + CAPTURE_MS + 5,
                (None, _) => now + 1_000,
            };
            let due = match &take.end {
                Some(end) => (end.at + CAPTURE_MS)
                    .max(now + 1)
                    .min(end.give_up.max(now + 1)),
                None => page.max(now + 5),
            };
            next = Some(next.map_or(due, |at| at.min(due)).max(now + 1));
        }
        if let Some(at) = next {
            self.wake_recorder(at.max(now + 1));
        }
    }

    /// A recording begins: one of the deaths that wait for that comes within it, if it lasts.
    fn death_comes(&mut self) {
        if let Some(Fault::Death {
            how,
            after,
            down_ms,
            ..
        }) = self.deaths_in_wait.pop()
        {
            let at = self.now + self.chance.below(12_000);
            let while_recording = false;
            let death = Fault::Death {
                how,
                after,
                down_ms,
                while_recording,
            };
            self.at(at, Event::Fault(death));
        }
    }

    fn command(&mut self, command: RecorderCommand) {
        let now = self.now;
        let facts = self.facts.clone();
        let Some(process) = &mut self.process else {
            return;
        };
        let recorder = &mut process.recorder;
        match command {
            RecorderCommand::UseSpool(spool) => recorder.spool = Some(spool),
            RecorderCommand::DropSpool => recorder.spool = None,
            RecorderCommand::Hear => {
                // The microphone hears the earpiece beside it.
                let is_tone = process.tone_at.is_some_and(|at| now - at < 2_000);
                self.report(RecorderEvent::Heard(Heard {
                    ms: 600,
                    tone_dbfs: if is_tone { -50.0 } else { -70.0 },
                    moved: true,
                }));
            }
            RecorderCommand::Arm { take, clip, .. } => self.arm(take, *clip),
            RecorderCommand::Keep { take, from } => {
                let from = facts.true_time(from);
                let clip_id = recorder
                    .take
                    .as_mut()
                    .filter(|current| current.id == take)
                    .map(|current| {
                        current.from = Some(from);
                        current.paged_to = from;
                        current.clip_id.clone()
                    });
                if let Some(clip_id) = clip_id {
                    self.kept_from(&clip_id, from);
                }
            }
            RecorderCommand::Finish {
                take,
                ended_by,
                at,
                min,
            } => {
                let at = facts.true_time(at);
                match recorder.take.as_mut().filter(|current| current.id == take) {
                    Some(current) => {
                        let give_up = now + LATE_FRAMES_MS;
                        current.end = Some(End {
                            at,
                            ended_by,
                            min,
                            give_up,
                        });
                    }
                    None => self.report(RecorderEvent::Discarded {
                        take,
                        too_short: true,
                    }),
                }
            }
            RecorderCommand::Close { take, publish } => {
                if let Some(held) = recorder.held.take_if(|held| held.id == take) {
                    self.close(held, publish);
                }
            }
            RecorderCommand::Discard { take } => {
                let current = recorder.take.take_if(|current| current.id == take);
                let held = recorder.held.take_if(|held| held.id == take);
                let refused = recorder.refused.take_if(|(id, _)| *id == take);
                match (current, held, refused) {
                    (Some(current), ..) => self.discard(current, false),
                    (None, Some(held), _) => {
                        self.delete(held.id, &held.clip_id, held.writer, false);
                    }
                    (None, None, Some((id, clip_id))) => self.delete_refused(id, &clip_id),
                    (None, None, None) => self.report(RecorderEvent::Discarded {
                        take,
                        too_short: false,
                    }),
                }
            }
            RecorderCommand::Cast { take, clip, choice } => {
                let cast = match &recorder.spool {
                    None => Err("there is no spool".to_owned()),
                    Some(spool) => spool.cast(*clip, choice).map_err(|error| error.to_string()),
                };
                if self.disk.is_off() {
                    return;
                }
                match &cast {
                    Ok(clip) => self.take_finished(clip, &[]),
                    Err(_) => self.vote_failed(),
                }
                self.report(match cast {
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

    fn arm(&mut self, id: TakeId, clip: NewClip) {
        let held = self
            .process
            .as_mut()
            .and_then(|process| process.recorder.held.take());
        if let Some(held) = held {
            self.close(held, Publish::No);
        }
        let Some(process) = &mut self.process else {
            return;
        };
        let clip_id = clip.clip_id.clone();
        let spool = process.recorder.spool.clone();
        let begun = match spool {
            None => Err("there is no spool".to_owned()),
            Some(spool) => spool.begin(clip).map_err(|error| error.to_string()),
        };
        if self.disk.is_off() {
            return;
        }
        match begun {
            Ok(writer) => {
                let serial = crc32c::crc32c(clip_id.as_bytes());
                let take = Take {
                    id,
                    writer,
                    clip_id: clip_id.to_string(),
                    from: None,
                    is_cut_off: false,
                    is_started: false,
                    paged_to: 0,
                    voice: false,
                    pages: Pages {
                        serial,
                        sequence: 0,
                        granule: 312,
                        chance: Chance::new(u64::from(serial)),
                    },
                    end: None,
                };
                // A take that was still open is left to the spool, as dropping its writer does.
                let old = process.recorder.take.replace(take);
                if let Some(old) = old {
                    self.take_failed(&old.clip_id, self.now);
                }
                self.take_begun(&clip_id);
            }
            Err(why) => self.report(RecorderEvent::Failed { take: id, why }),
        }
    }

    /// Moves sound to where it belongs, and closes a take whose end has come.
    fn pump(&mut self) {
        let now = self.now;
        let facts_of = self.facts.clone();
        let speaks = self.citizen.speaking;
        let since = self.citizen.speaking_since;
        let page_bytes = self.plan.page_bytes;
        let Some(process) = &mut self.process else {
            return;
        };
        let heard_to = process.recorder.heard_to(now);
        let is_over = process.recorder.is_stream_over();
        let Some(mut take) = process.recorder.take.take() else {
            return;
        };
        let limit = take
            .end
            .as_ref()
            .map_or(heard_to, |end| end.at.min(heard_to));
        let mut failure = None;
        if let Some(from) = take.from
            && !take.is_cut_off
            && limit > from
        {
            if !take.is_started {
                take.is_started = true;
                let mono = facts_of.mono_of(from);
                take.writer.set_start(StartFacts {
                    wall_ms: facts_of.wall_ms() - (now - from) as i64,
                    mono,
                    clock_synced: facts_of.clock_synced.get(),
                });
                self.death_comes();
                self.report(RecorderEvent::Started {
                    take: take.id,
                    at: mono,
                });
            }
            if take.voice != speaks && take.end.is_none() {
                take.voice = speaks;
                let at = facts_of.mono_of(since.max(from));
                self.report(RecorderEvent::Voice {
                    take: take.id,
                    active: speaks,
                    at,
                });
            }
            while take.paged_to + PAGE_MS <= limit && failure.is_none() {
                let body = take.pages.of(PAGE_MS, page_bytes, false);
                match take.writer.append(&body, facts(PAGE_MS, speaks)) {
                    Ok(()) => {
                        take.paged_to += PAGE_MS;
                        self.page_is_safe(&take.clip_id, &body, PAGE_MS);
                    }
                    Err(error) => failure = Some(error.to_string()),
                }
                if self.disk.is_off() {
                    break;
                }
            }
        }
        let ends = take.end.as_ref().is_some_and(|end| {
            heard_to >= end.at || is_over || take.is_cut_off || now >= end.give_up
        });
        if self.disk.is_off() {
            // Dying: what this take has come to is noted when the process is gone.
        } else if let Some(why) = failure {
            self.take_failed(&take.clip_id, limit);
            if let Some(process) = &mut self.process {
                process.recorder.refused = Some((take.id, take.clip_id));
            }
            self.report(RecorderEvent::Failed { take: take.id, why });
            return;
        } else if ends {
            return self.hold(take, limit);
        }
        if let Some(process) = &mut self.process {
            process.recorder.take = Some(take);
        }
    }

    fn hold(&mut self, mut take: Take, limit: u64) {
        let Some(end) = take.end.take() else { return };
        let kept_ms = if take.is_started {
            let to = if take.is_cut_off {
                take.paged_to
            } else {
                limit
            };
            to.saturating_sub(take.from.unwrap_or(to))
        } else {
            0
        };
        if !take.is_started || Duration::from_millis(kept_ms) < end.min {
            return self.discard(take, true);
        }
        let rest = kept_ms % PAGE_MS;
        let body = take.pages.of(rest, self.plan.page_bytes, true);
        let (id, clip_id, mut writer) = (take.id, take.clip_id, take.writer);
        let held = writer.hold(&body, facts(rest, take.voice), end.ended_by);
        if self.disk.is_off() {
            self.take_unsure(&clip_id, &body, kept_ms);
            return;
        }
        match held {
            Ok(()) => {
                self.page_is_safe(&clip_id, &body, rest);
                if let Some(process) = &mut self.process {
                    process.recorder.held = Some(Held {
                        id,
                        clip_id,
                        writer,
                        kept_ms,
                    });
                }
                self.report(RecorderEvent::Held {
                    take: id,
                    sound: SpokenTake::default(),
                });
            }
            Err(error) => {
                self.take_unsure(&clip_id, &body, kept_ms);
                if let Some(process) = &mut self.process {
                    process.recorder.refused = Some((id, clip_id));
                }
                self.report(RecorderEvent::Failed {
                    take: id,
                    why: error.to_string(),
                });
            }
        }
    }

    /// Deletes what the spool has of a take that the card refused.
    fn delete_refused(&mut self, take: TakeId, clip_id: &str) {
        let spool = self
            .process
            .as_ref()
            .and_then(|process| process.recorder.spool.clone());
        let deleted = match spool {
            None => Err("there is no spool".to_owned()),
            Some(spool) => spool
                .discard_unfinished(&clip_id.into())
                .map_err(|error| error.to_string()),
        };
        match deleted {
            Ok(true) => {
                self.take_discarded(clip_id, !self.disk.is_off());
                self.report(RecorderEvent::Discarded {
                    take,
                    too_short: false,
                });
            }
            Ok(false) => {
                self.is_taken_back(clip_id);
                self.report(RecorderEvent::Undeleted {
                    take,
                    clip_id: clip_id.into(),
                    why: "it was finished before it could be deleted".into(),
                });
            }
            Err(why) => {
                self.take_discarded(clip_id, false);
                self.is_taken_back(clip_id);
                self.report(RecorderEvent::Undeleted {
                    take,
                    clip_id: clip_id.into(),
                    why,
                });
            }
        }
    }

    fn close(&mut self, held: Held, publish: Publish) {
        let closed = held.writer.close(publish);
        if self.disk.is_off() {
            self.take_unsure(&held.clip_id, &[], held.kept_ms);
            return;
        }
        match closed {
            Ok(clip) => {
                self.take_finished(&clip, &[]);
                self.report(RecorderEvent::Kept {
                    take: held.id,
                    clip: Box::new(clip),
                    clipped_pct: 0.0,
                });
            }
            Err(error) => {
                self.take_unsure(&held.clip_id, &[], held.kept_ms);
                self.report(RecorderEvent::Failed {
                    take: held.id,
                    why: error.to_string(),
                });
            }
        }
    }

    fn discard(&mut self, take: Take, too_short: bool) {
        self.delete(take.id, &take.clip_id, take.writer, too_short);
    }

    fn delete(&mut self, id: TakeId, clip_id: &str, writer: ClipWriter, too_short: bool) {
        let discarded = writer.discard();
        self.take_discarded(clip_id, discarded.is_ok() && !self.disk.is_off());
        match discarded {
            Ok(()) => self.report(RecorderEvent::Discarded {
                take: id,
                too_short,
            }),
            Err(error) => {
                self.is_taken_back(clip_id);
                self.report(RecorderEvent::Undeleted {
                    take: id,
                    clip_id: clip_id.into(),
                    why: error.to_string(),
                });
            }
        }
    }
}
