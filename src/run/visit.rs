//! A citizen's visit: what handset, recorder and earpiece report, and what the session wants of them.
//!
//! Owns: the clip that begins now with its receipt, and where each of the session's commands goes. Never does: keep a receipt, or decide;
//! `gateway_core::session` does.

use std::time::Duration;

use super::keeper::KeeperCommand;
use super::{Gateway, Machine, log_works, logged};
use crate::adapters::handset::{HandsetCommand, HandsetReport};
use crate::adapters::playback::PlaybackCommand;
use crate::adapters::recorder::{RecorderCommand, RecorderEvent};
use crate::settings::session_rules;
use booth_contract::receipt::Receipt;
use booth_contract::time::{Mono, rfc3339};
use booth_contract::{ClipId, ClipKind, Consent, OneTimeCode, Publish, Withdrawal};
use booth_sealing::{EnvelopeError, NoRandom, Random, Recipients, SealTo, envelope, wash_stack};
use booth_spool::{NewClip, StartFacts};
use gateway_core::booth::Event;
use gateway_core::counters::Counter;
use gateway_core::health::SpoolFault;
use gateway_core::prompt::Prompt;
use gateway_core::session::{Asked, Command, HandsetEvent, Input, PlayId, RecorderNews, TakeId};
use serde_json::json;

/// The machine's chance, for what is sealed here.
struct Chance<'a>(&'a dyn Machine);

impl Random for Chance<'_> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandom> {
        self.0.random(bytes)
    }
}

impl Gateway {
    pub(super) fn handset(&mut self, now: Mono, report: HandsetReport) {
        match report {
            HandsetReport::AtStart { off_hook } => {
                self.hand_to_visit(now, Input::HandsetAtStart { off_hook })
            }
            HandsetReport::Works(works) => {
                self.booth.evidence.handset = log_works("handset", works);
            }
            HandsetReport::Controls(controls) => {
                self.booth.evidence.controls = logged(&controls);
            }
            HandsetReport::Keys(keys) => {
                let sentence = (!keys.is_empty()).then(|| keys.to_string());
                match &sentence {
                    Some(sentence) => log::warn!("{sentence}"),
                    None => log::info!("every key counts again"),
                }
                self.booth.evidence.stuck_keys = sentence;
                self.booth.evidence.no_digit_counts = keys.leaves_no_digit();
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
                self.hand_to_visit(now, Input::CaseOpen(is_open));
            }
            HandsetReport::Event { at, event, done } => {
                if let HandsetEvent::Key(key, _) = event {
                    // The doctor shows it. What somebody chooses, allows or takes back is shown to nobody.
                    let is_private = self.booth.session().keys_are_private();
                    self.last_key = (!is_private).then_some((at, key));
                }
                if event == HandsetEvent::Lifted {
                    self.lifted_at = Some(at);
                    self.centre.notice_heard = None;
                    self.unheard_lift = Some(at);
                    self.decide(now, Event::Weigh);
                }
                self.hand_to_visit(at, Input::Handset(event));
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
                    "config_version": self.config_report().applied,
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
                lang,
                gain_steps,
                slow,
            } => {
                self.say_on_screen(&prompts);
                if prompts.contains(&Prompt::Tone) {
                    self.unheard_tone = Some((id, now));
                }
                if prompts.contains(&Prompt::Notice) {
                    self.centre.notice_heard = self.notice_id(&lang);
                }
                self.earpiece.send(PlaybackCommand::Play {
                    id,
                    prompts,
                    lang,
                    gain_steps,
                    slow,
                });
            }
            Command::StopPlay => {
                self.earpiece.send(PlaybackCommand::Stop);
            }
            Command::PlayBack {
                id,
                take,
                gain_steps,
            } => self.play_back(now, id, take, gain_steps),
            Command::Arm { take, asked, key } => {
                let (clip, receipt) = self.asked_clip(asked, key, None);
                self.arm(now, take, Box::new(clip));
                self.hand_to_visit(now, Input::Receipt { take, receipt });
            }
            Command::Cast {
                take,
                asked,
                choice,
                code,
            } => {
                let key = Some(choice.to_string());
                let (clip, receipt) = self.asked_clip(asked, key, code.as_ref());
                if code.is_some() && receipt.is_none() {
                    // It would not count without its code, and nobody would know.
                    self.hand_to_visit(now, Input::Recorder(RecorderNews::Failed(take)));
                    return;
                }
                self.hand_to_visit(now, Input::Receipt { take, receipt });
                let clip = Box::new(clip);
                let command = RecorderCommand::Cast { take, clip, choice };
                self.offer_to_recorder(now, take, command);
            }
            Command::Close { take, publish } => {
                self.recorder.send(RecorderCommand::Close { take, publish });
            }
            Command::Withdraw { receipt } => self.withdraw(now, &receipt),
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
                if let Some((armed, clip_id)) = &self.armed
                    && *armed == take
                {
                    self.booth.delivery.take_back(clip_id);
                    self.deleting.push((take, clip_id.clone()));
                }
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

    /// The citizen hears what was just said.
    fn play_back(&mut self, now: Mono, id: PlayId, take: TakeId, gain_steps: u8) {
        let sound = self.spoken.as_ref().filter(|(held, _)| *held == take);
        match sound.map(|(_, sound)| sound.clone()) {
            Some(sound) => self.earpiece.send(PlaybackCommand::PlayTake {
                id,
                sound,
                gain_steps,
            }),
            // There is nothing to hear: that is its end.
            None => self.decide(now, Event::PlayEnded(id)),
        }
    }

    /// A clip that begins now.
    pub(super) fn new_clip(&self, key: Option<String>) -> NewClip {
        let consent = Consent {
            mode: self.config.session.consent,
            key,
            notice_id: self.centre.notice_heard.clone(),
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

    /// A clip that answers a question, and its receipt, which is sealed into it with a vote's code; none where no key of the city is
    /// known.
    fn asked_clip(
        &self,
        asked: Asked,
        key: Option<String>,
        code: Option<&OneTimeCode>,
    ) -> (NewClip, Option<Receipt>) {
        let mut clip = NewClip {
            question_id: Some(asked.question_id),
            campaign_id: asked.campaign_id,
            lang: Some(asked.lang),
            config_version: asked.config_version,
            key_ids: self.seal_to.ids(),
            ..self.new_clip(key)
        };
        let SealTo::Keys(keys) = &self.seal_to else {
            return (clip, None);
        };
        match self.sealed_receipt(&clip.clip_id, keys, code) {
            Ok((receipt, sealed)) => {
                clip.sealed = Some(sealed);
                (clip, Some(receipt))
            }
            Err(why) => {
                log::error!(about = "receipt"; "a message gets no receipt: {why}");
                (clip, None)
            }
        }
    }

    /// A receipt of this clip's own, and sealed.
    fn sealed_receipt(
        &self,
        clip_id: &ClipId,
        keys: &Recipients,
        code: Option<&OneTimeCode>,
    ) -> Result<(Receipt, String), EnvelopeError> {
        let rules = session_rules(&self.config);
        let mut failed = None;
        let receipt = Receipt::generate_after(
            &rules.withdraw_code,
            |bytes| {
                if let Err(error) = self.machine.random(bytes) {
                    bytes.fill(u8::MAX);
                    failed = Some(error);
                }
            },
            &rules.emergency_numbers,
        );
        if let Some(error) = failed {
            return Err(error.into());
        }
        let receipt = receipt.ok_or(EnvelopeError::Malformed(
            "the emergency numbers leave no code",
        ))?;
        let code = code.map(OneTimeCode::to_text);
        let text = receipt.text_for_clip(clip_id, code.as_ref().map(|text| text.as_str()));
        let mut random = Chance(&*self.machine);
        let sealed = envelope::seal_to_text(&text, keys, &mut random);
        drop((text, code));
        wash_stack();
        Ok((receipt, sealed?))
    }

    /// Seals a receipt that was dialled and has it kept on the card.
    fn withdraw(&mut self, now: Mono, receipt: &Receipt) {
        let SealTo::Keys(keys) = &self.seal_to else {
            return self.hand_to_visit(now, Input::WithdrawalKept(false));
        };
        let id = ClipId::from(self.machine.new_id());
        let text = receipt.text_for_withdrawal(&id);
        let mut random = Chance(&*self.machine);
        let sealed = envelope::seal_to_text(&text, keys, &mut random);
        drop(text);
        wash_stack();
        let is_asked = match sealed {
            Ok(sealed) => {
                let ts = rfc3339(self.machine.wall());
                let withdrawal = Box::new(Withdrawal { id, sealed, ts });
                self.keeper.offer(KeeperCommand::Withdraw(withdrawal))
            }
            Err(error) => {
                log::error!(about = "withdrawal"; "a withdrawal is not kept: {error}");
                false
            }
        };
        if !is_asked {
            self.hand_to_visit(now, Input::WithdrawalKept(false));
        }
    }

    /// Shows the visit whether receipts can be sealed. To be called when the city's keys change.
    pub(super) fn show_can_seal(&mut self, now: Mono) {
        let can_seal = matches!(self.seal_to, SealTo::Keys(_));
        self.hand_to_visit(now, Input::CanSeal(can_seal));
    }

    /// Asks the recorder for a take.
    pub(super) fn arm(&mut self, now: Mono, take: TakeId, clip: Box<NewClip>) {
        self.armed = Some((take, clip.clip_id.clone()));
        let command = RecorderCommand::Arm {
            take,
            clip,
            seal_to: self.seal_to.clone(),
        };
        self.offer_to_recorder(now, take, command);
    }

    /// A recorder whose queue is full cannot record this take either.
    fn offer_to_recorder(&mut self, now: Mono, take: TakeId, command: RecorderCommand) {
        if !self.recorder.offer(command) {
            log::error!(about = "recording"; "the recorder takes no more commands; the card keeps it waiting");
            self.hand_to_visit(now, Input::Recorder(RecorderNews::Failed(take)));
        }
    }

    /// The recorder has overwritten what could be heard of this take.
    fn forget_spoken(&mut self, take: TakeId) {
        self.spoken.take_if(|(held, _)| *held == take);
    }

    pub(super) fn recorded(&mut self, now: Mono, event: RecorderEvent) {
        match event {
            RecorderEvent::Started { take, .. } => {
                self.hand_to_visit(now, Input::Recorder(RecorderNews::Started(take)))
            }
            RecorderEvent::Voice { take, active, at } => {
                self.hand_to_visit(
                    now,
                    Input::Recorder(RecorderNews::Voice { take, active, at }),
                );
            }
            RecorderEvent::Heard(heard) => self.decide(now, Event::Heard(heard)),
            RecorderEvent::Held { take, sound } => {
                self.spoken = Some((take, sound));
                self.hand_to_visit(now, Input::Recorder(RecorderNews::Held(take)));
            }
            RecorderEvent::Kept {
                take,
                clip,
                clipped_pct,
            } => {
                log::info!(
                    clip_id = clip.clip_id.as_str(), clip_no = clip.clip_no, ms = clip.duration_ms,
                    bytes = clip.bytes; "kept"
                );
                self.forget_spoken(take);
                let is_speech = clip.kind == ClipKind::Audio;
                if !clip.test && is_speech {
                    let has_speech = clip.speech_ratio != Some(0.0);
                    self.decide(now, Event::Recorded { has_speech });
                }
                if clip.test {
                    self.last_test = Some((*clip).clone());
                } else if is_speech {
                    self.last_clip = Some((now, (*clip).clone()));
                    self.last_clipped_pct = Some(clipped_pct);
                }
                // No clip of a citizen leaves before they have hung up; a technician's test leaves at once, because the
                // technician waits for the centre.
                let held = !clip.test && self.booth.holds(take);
                self.offer(now, &clip, Duration::ZERO, held);
                self.hand_to_visit(now, Input::Recorder(RecorderNews::Kept(take)));
                if !self.booth.has_visitor() {
                    self.save();
                }
            }
            RecorderEvent::Discarded { take, too_short } => {
                log::info!(take = take.0, too_short; "discarded");
                self.forget_spoken(take);
                for (_, clip_id) in self.deleting.extract_if(.., |(id, _)| *id == take) {
                    self.booth.delivery.let_go(&clip_id);
                }
                self.hand_to_visit(now, Input::Recorder(RecorderNews::Discarded(take)));
                if !self.booth.has_visitor() {
                    self.save();
                }
            }
            RecorderEvent::Undeleted { take, clip_id, why } => {
                self.deleting.retain(|(id, _)| *id != take);
                self.booth.delivery.take_back(&clip_id);
                self.keeper.send(KeeperCommand::TakeBack(clip_id));
                self.failed(
                    now,
                    take,
                    format!("what its citizen deleted is not off the card: {why}"),
                );
            }
            RecorderEvent::Failed { take, why } => self.failed(now, take, why),
        }
    }

    /// The card refused something of a take.
    fn failed(&mut self, now: Mono, take: TakeId, why: String) {
        log::error!(about = "recording", take = take.0; "a recording failed: {why}");
        self.forget_spoken(take);
        self.booth.evidence.spool = Err(SpoolFault::Unwritable(why));
        // The keeper's next look shows whether that is still so.
        let _ = self.keeper.offer(KeeperCommand::Look);
        self.hand_to_visit(now, Input::Recorder(RecorderNews::Failed(take)));
    }
}
