//! A citizen's visit: what handset, recorder and earpiece report, and what the session wants of them.
//!
//! Owns: the clip that begins now, and where each of the session's commands goes. Never does: decide;
//! `gateway_core::session` does.

use std::time::Duration;

use super::keeper::KeeperCommand;
use super::{Gateway, log_works};
use crate::adapters::handset::{HandsetCommand, HandsetReport};
use crate::adapters::playback::PlaybackCommand;
use crate::adapters::recorder::{RecorderCommand, RecorderEvent};
use booth_contract::time::Mono;
use booth_contract::{Consent, Publish};
use booth_spool::{NewClip, StartFacts};
use gateway_core::booth::Event;
use gateway_core::counters::Counter;
use gateway_core::health::SpoolFault;
use gateway_core::session::{Command, HandsetEvent, Input, RecorderNews, TakeId};
use serde_json::json;

impl Gateway {
    pub(super) fn handset(&mut self, now: Mono, report: HandsetReport) {
        match report {
            HandsetReport::AtStart { off_hook } => {
                self.tell(now, Input::HandsetAtStart { off_hook })
            }
            HandsetReport::Works(works) => {
                log_works("handset", &works);
                self.booth.evidence.handset = works;
            }
            HandsetReport::Controls(controls) => {
                for sentence in &controls {
                    log::warn!("{sentence}");
                }
                self.booth.evidence.controls = controls;
            }
            HandsetReport::HookTaught => {
                log::warn!("the hook's resting level was taught with the service button");
                self.event("hook_taught", json!({}));
            }
            HandsetReport::CaseOpen(is_open) => {
                self.event(
                    if is_open {
                        "case_opened"
                    } else {
                        "case_closed"
                    },
                    json!({}),
                );
                self.booth.evidence.case_open = is_open;
                self.tell(now, Input::CaseOpen(is_open));
            }
            HandsetReport::Event { at, event, done } => {
                if let HandsetEvent::Key(key, _) = event {
                    self.last_key = Some((at, key));
                }
                if event == HandsetEvent::Lifted {
                    self.lifted_at = Some(at);
                    self.unheard_lift = Some(at);
                    self.decide(now, Event::Weigh);
                }
                self.tell(at, Input::Handset(event));
                if let Some(done) = done {
                    let _ = done.send(());
                }
            }
            HandsetReport::State { answer } => {
                self.decide(now, Event::Weigh);
                let state = json!({
                    "session": self.booth.session().state_name(),
                    "ready": u8::from(self.booth.is_ready()),
                    "spool_clips": self.booth.delivery.unsent(),
                    "oldest_unsent_s": self.booth.delivery.oldest_unsent(now).map_or(0, |age| age.as_secs()),
                    "connected": u8::from(self.booth.is_connected()),
                    "hub_online": u8::from(self.booth.delivery.is_hub_online()),
                    "faults": self.booth.faults().keys().map(|id| id.as_str()).collect::<Vec<_>>(),
                });
                let _ = answer.send(state.to_string());
            }
        }
    }

    pub(super) fn obey(&mut self, now: Mono, command: Command) {
        match command {
            Command::Play {
                id,
                prompts,
                gain_steps,
            } => {
                self.earpiece.send(PlaybackCommand::Play {
                    id,
                    prompts,
                    gain_steps,
                });
            }
            Command::StopPlay => {
                self.earpiece.send(PlaybackCommand::Stop);
            }
            Command::Arm {
                take,
                question_id,
                key,
            } => {
                let clip = NewClip {
                    question_id: Some(question_id),
                    ..self.new_clip(key)
                };
                let clip = Box::new(clip);
                self.arm(now, take, clip);
            }
            Command::ArmTest { take } => {
                let mut clip = Box::new(NewClip {
                    test: true,
                    ..self.new_clip(None)
                });
                // No notice was heard, so the manifest names none.
                clip.consent.notice_id = None;
                self.arm(now, take, clip);
            }
            Command::Service(ask) => self.serve(now, ask),
            Command::Keep { take, from } => {
                self.recorder.send(RecorderCommand::Keep { take, from });
            }
            Command::Finish {
                take,
                ended_by,
                at,
                min,
            } => {
                self.recorder.send(RecorderCommand::Finish {
                    take,
                    ended_by,
                    at,
                    min,
                });
            }
            Command::Discard { take } => {
                self.recorder.send(RecorderCommand::Discard { take });
            }
            Command::Recording(is_recording) => {
                self.to_handset(HandsetCommand::Recording(is_recording));
            }
            Command::Lamp(lamp) => self.to_handset(HandsetCommand::Lamp(lamp)),
            Command::Count(counter) => {
                if counter == Counter::WrongCodes {
                    log::warn!(about = "service code"; "somebody dialled a wrong service code");
                }
            }
            Command::Event(kind) => self.event(kind, json!({})),
            // The booth takes these up itself.
            Command::HandsetLeftOff(_) | Command::SessionOpened { .. } | Command::SessionClosed => {
            }
        }
    }

    /// A clip that begins now.
    pub(super) fn new_clip(&self, key: Option<String>) -> NewClip {
        let consent = Consent {
            mode: self.config.session.consent,
            key,
            notice_id: self.prompts.notice_id().map(str::to_owned),
            publish: Publish::No,
        };
        let armed = StartFacts {
            wall_ms: self.machine.wall().as_millisecond(),
            mono: self.machine.mono(),
            clock_synced: self.machine.clock_synced(),
        };
        let (id, booth_id) = (self.machine.new_id(), self.config.booth.id.clone());
        NewClip {
            lang: Some(self.config.session.language.clone()),
            bitrate: self.config.audio.bitrate,
            ..NewClip::speech(id.into(), booth_id, consent, armed)
        }
    }

    /// Asks the recorder for a take. A recorder whose queue is full cannot record this one either.
    pub(super) fn arm(&mut self, now: Mono, take: TakeId, clip: Box<NewClip>) {
        let command = RecorderCommand::Arm {
            take,
            clip,
            seal_to: self.seal_to.clone(),
        };
        if !self.recorder.offer(command) {
            log::error!(about = "recording"; "the recorder takes no more commands; the card keeps it waiting");
            self.tell(now, Input::Recorder(RecorderNews::Failed(take)));
        }
    }

    pub(super) fn recorded(&mut self, now: Mono, event: RecorderEvent) {
        match event {
            RecorderEvent::Started { take, .. } => {
                self.tell(now, Input::Recorder(RecorderNews::Started(take)))
            }
            RecorderEvent::Voice { take, active, at } => {
                self.tell(
                    now,
                    Input::Recorder(RecorderNews::Voice { take, active, at }),
                );
            }
            RecorderEvent::Heard(heard) => self.decide(now, Event::Heard(heard)),
            RecorderEvent::Kept {
                take,
                clip,
                clipped_pct,
            } => {
                log::info!(
                    clip_id = clip.clip_id.as_str(), clip_no = clip.clip_no, ms = clip.duration_ms,
                    bytes = clip.bytes; "kept"
                );
                if !clip.test {
                    let has_speech = clip.speech_ratio != Some(0.0);
                    self.decide(now, Event::Recorded { has_speech });
                }
                if clip.test {
                    self.last_test = Some((*clip).clone());
                } else {
                    self.last_clip = Some((now, (*clip).clone()));
                    self.last_clipped_pct = Some(clipped_pct);
                }
                // No clip of a citizen leaves before they have hung up; a technician's test leaves at once, because the
                // technician waits for the centre.
                let held = !clip.test && self.booth.holds(take);
                self.offer(now, &clip, Duration::ZERO, held);
                self.tell(now, Input::Recorder(RecorderNews::Kept(take)));
                if !self.booth.has_visitor() {
                    self.save();
                }
            }
            RecorderEvent::Discarded { take, too_short } => {
                log::info!(take = take.0, too_short; "discarded");
                self.tell(now, Input::Recorder(RecorderNews::Discarded(take)));
                if !self.booth.has_visitor() {
                    self.save();
                }
            }
            RecorderEvent::Failed { take, why } => {
                log::error!(about = "recording", take = take.0; "a recording failed: {why}");
                self.booth.evidence.spool = Err(SpoolFault::Unwritable(why));
                // The keeper's next look shows whether that is still so.
                let _ = self.keeper.offer(KeeperCommand::Look);
                self.tell(now, Input::Recorder(RecorderNews::Failed(take)));
            }
        }
    }
}
