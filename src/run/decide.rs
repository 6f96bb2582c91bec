//! What happens becomes events of the core, and the core's commands become deeds.
//!
//! Owns: what is true around the booth at an event, and where each command goes. Never does: decide;
//! `gateway_core::booth` does.

use booth_contract::AlertId;
use booth_contract::time::Mono;
use gateway_core::booth::{Around, Command, Event};
use gateway_core::health::AlertChange;
use gateway_core::prompt::Prompt;
use gateway_core::session::Input;
use gateway_core::sign::Sign;
use serde_json::json;

use super::{A_DAY_S, Gateway, KeeperCommand};
use crate::adapters::handset::HandsetCommand;
use crate::adapters::outbox::Outbox;
use crate::adapters::playback::PlaybackCommand;
use crate::adapters::recorder::RecorderCommand;

impl Gateway {
    /// What is true around the booth now.
    pub(super) fn around(&self) -> Around {
        let wall = self.machine.wall();
        let local_s = self.local_seconds(wall);
        let minute = local_s.rem_euclid(A_DAY_S) / 60;
        let levels = self.mic_levels.get();
        Around {
            wall,
            clock_synced: self.machine.clock_synced(),
            local_day: local_s.div_euclid(A_DAY_S),
            local_minute: u16::try_from(minute).unwrap_or(0),
            microphone_floor_dbfs: (levels.samples > 0).then_some(levels.floor_dbfs),
            has_spool: self.spool.is_some(),
            is_all_sent: self.mqtt.as_ref().is_none_or(Outbox::is_all_sent),
        }
    }

    /// Hands an event to the booth and carries out its commands.
    pub(super) fn decide(&mut self, now: Mono, event: Event) {
        let around = self.around();
        for command in self.booth.handle(now, &around, event) {
            self.perform(now, command);
        }
    }

    /// Hands an input to the visit and carries out the commands.
    pub(super) fn hand_to_visit(&mut self, now: Mono, input: Input) {
        self.decide(now, Event::Visit(input));
    }

    fn perform(&mut self, now: Mono, command: Command) {
        match command {
            Command::Visit(command) => self.obey(now, command),
            Command::Hear => {
                if !self.recorder.offer(RecorderCommand::Hear) {
                    self.decide(now, Event::NotHeard);
                }
            }
            Command::PlayTone => self.earpiece.send(PlaybackCommand::Play {
                id: gateway_core::booth::TEST_TONE,
                prompts: vec![Prompt::TestTone],
                lang: self.config.session.language.clone(),
                gain_steps: 0,
                slow: false,
            }),
            Command::Probe => {
                if !self.keeper.offer(KeeperCommand::Probe) {
                    self.decide(now, Event::NotProbed);
                }
            }
            Command::SelfTested { verdict, listened } => self.selftested(now, verdict, listened),
            Command::NoteClock(wall_minus_mono_ms) => {
                self.keeper.send(KeeperCommand::Clock(wall_minus_mono_ms));
            }
            Command::SayClock {
                wall_minus_mono_ms,
                is_right,
            } => self.event(
                "clock_step",
                json!({ "wall_minus_mono_ms": wall_minus_mono_ms, "clock_synced": u8::from(is_right) }),
            ),
            Command::Introduce => self.introduce(now),
            Command::SayAlert {
                change,
                is_starting,
            } => self.say_alert(&change, is_starting),
            Command::SayHealth => self.publish_health(now),
            Command::FirstReady(at) => log::info!(
                "a citizen can speak, {:.1} s after the kernel's start",
                at.0 as f64 / 1_000.0
            ),
            Command::ShowReady(is_ready) => {
                let word = if is_ready { "ready" } else { "out of order" };
                self.machine.show(word);
            }
            Command::ShowSign(sign) => {
                match sign {
                    Sign::Good => log::info!("the end of a first boot: good"),
                    Sign::NotGood => log::warn!("the end of a first boot: not good"),
                }
                self.to_handset(HandsetCommand::Sign(sign));
            }
            Command::Ring(ringing) => self.to_handset(HandsetCommand::Ring(ringing)),
            Command::RingBySchedule(ringing) => {
                log::info!("the bell rings by its schedule");
                self.to_handset(HandsetCommand::Ring(ringing));
            }
            Command::StepBack(evidence) => self.step_back(evidence),
            Command::ConnectAgain { steps_back } => self.connect_again(steps_back),
            Command::Reply(reply) => self.reply(reply),
            Command::Settle(verdicts) => self.settle(now, verdicts),
            Command::SayHub(true) => {
                log::info!(over = "hub"; "the hub is online");
                self.report_update();
            }
            Command::SayHub(false) => {
                log::info!(fault = "hub"; "the hub is not online; clips stay on the card");
            }
            Command::Configure(came) => self.config_came(now, *came),
            Command::SayUnreadable(kind, sentence) => {
                let about = format!("unreadable {}", kind.word());
                log::warn!(about = about.as_str(); "{sentence}");
            }
            Command::SayResend { returns, retried } => {
                log::info!(returns = returns as u64, retried = retried as u64; "the centre asks for clips again");
            }
            Command::BringBack { clips, by_itself } => {
                self.keeper.send(KeeperCommand::BringBack { clips, by_itself });
            }
            Command::RequestUpdate(url) => self.request_update(url),
            Command::CancelUpdate => self.cancel_update(),
            Command::Reload => self.read_again(),
            Command::Remember(memory) => self.keeper.send(KeeperCommand::Remember(memory)),
            Command::Purge { clip_id, reason } => {
                log::warn!(clip_id = clip_id.as_str(); "the centre gives up a clip in quarantine, by a signed command");
                self.keeper.send(KeeperCommand::Purge { clip_id, reason });
            }
            Command::SealTo(keys) => self.seal_to_others(now, &keys),
            Command::Restart => self.restart(now),
            Command::Save => self.save(),
            Command::ResetByWatchdog => log::warn!("the machine was reset by its watchdog"),
        }
    }

    fn say_alert(&mut self, change: &AlertChange, is_starting: bool) {
        let text = |id: &AlertId| self.booth.faults().get(id).map_or("", String::as_str);
        match change {
            AlertChange::Raise(id) if !is_starting => {
                log::warn!(about = id.as_str(), alert = id.as_str(); "{}", text(id));
            }
            AlertChange::Raise(_) => {}
            AlertChange::Clear(id) => {
                log::info!(over = id.as_str(), alert = id.as_str(); "cleared");
            }
        }
        let (AlertChange::Raise(id) | AlertChange::Clear(id)) = change;
        self.publish_alert(*id);
    }

    /// Saves what is counted and known of this card, if it has changed. If the keeper is busy, it gets later values.
    pub(super) fn save(&mut self) {
        if let Some(saved) = self.booth.unsaved()
            && !self.keeper.offer(KeeperCommand::Counters(saved))
        {
            self.booth.not_saved();
        }
    }

    /// A look at the supply voltage, if it is due.
    pub(super) fn look_at_supply(&mut self, now: Mono) {
        let Some(is_searched) = self.booth.looks_at_supply(now) else {
            return;
        };
        if is_searched {
            self.supply_files = self.machine.supply_files();
        }
        let supply = self.supply_files.look();
        self.decide(now, Event::Supply(supply));
    }
}
