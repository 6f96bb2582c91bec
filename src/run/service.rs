//! A technician at the handset: what the booth says of itself, the test message, the card made safe to take out.
//!
//! Owns: which words are said. The session decides when they are said, and the gateway plays them.

use booth_contract::ClipId;
use std::time::Duration;

use serde_json::json;

use super::Gateway;
use super::keeper::{KeeperCommand, NotClosed};
use crate::adapters::recorder::RecorderCommand;
use crate::config::Confirm;
use booth_contract::time::Mono;
use gateway_core::booth::Event;
use gateway_core::prompt::{Language, Prompt, Word};
use gateway_core::session::{Input, ServiceAsk, ServiceNews};
use gateway_core::spoken::{self, ServiceFacts};

/// A card that was not taken out is opened again after this.
const CARD_CLOSED: Duration = Duration::from_secs(600);

impl Gateway {
    /// Carries out a technician's request.
    pub(super) fn serve(&mut self, now: Mono, ask: ServiceAsk) {
        match ask {
            ServiceAsk::Report => {
                self.last_test = None;
                self.event("service", json!({ "begins": 1 }));
                self.decide(now, Event::Weigh);
                let report = self.spoken_report(now);
                self.say(now, ServiceNews::Report(report));
            }
            ServiceAsk::Sent => {
                let clip = self.last_test.as_ref();
                self.awaited_test = clip.map(|clip| clip.clip_id.clone());
            }
            ServiceAsk::Unconfirmed => {
                self.awaited_test = None;
                let why = if !self.booth.is_connected() {
                    Word::TestNoBroker
                } else if !self.booth.delivery.is_hub_online() {
                    Word::TestNoHub
                } else {
                    Word::TestUnanswered
                };
                self.say_outcome(now, why);
            }
            ServiceAsk::Failed => self.say_outcome(now, Word::TestFailed),
            ServiceAsk::OfferNine => {
                self.say(now, ServiceNews::Card(words(&[Word::PressNine])));
            }
            ServiceAsk::MayNotClose => {
                self.say(now, ServiceNews::Card(words(&[Word::CloseNeedsCase])));
            }
            ServiceAsk::Place(number) => {
                self.event("placed", json!({ "place": number }));
                let mut said = words(&[Word::PlaceNoted]);
                said.extend(
                    spoken::spelled(&number.to_string())
                        .into_iter()
                        .map(Prompt::Word),
                );
                self.say(now, ServiceNews::Card(said));
            }
            ServiceAsk::TakeOver => self.take_over(now),
            ServiceAsk::Export => self.export(now),
            ServiceAsk::MayNotExport => {
                self.say(now, ServiceNews::Card(words(&[Word::StickNeedsCase])));
            }
            // What reads an old card has the spool, and what copies onto a stick reads it.
            ServiceAsk::CloseCard if self.stop_errands() => {
                self.say(now, ServiceNews::Card(words(&[Word::NotSafe])));
            }
            ServiceAsk::CloseCard => {
                self.awaited_test = None;
                self.booth.not_saved();
                self.save();
                self.is_closing = true;
                if !self.keeper.offer(KeeperCommand::Close(CARD_CLOSED)) {
                    self.card_was_closed(now, Err(NotClosed::Stalls));
                }
            }
            ServiceAsk::Left => {
                self.awaited_test = None;
                self.event("service", json!({ "begins": 0 }));
            }
        }
    }

    pub(super) fn say(&mut self, now: Mono, news: ServiceNews) {
        let (ServiceNews::Report(said) | ServiceNews::Outcome(said) | ServiceNews::Card(said)) =
            &news;
        let language = Language::of(&self.config.session.language);
        log::info!("a technician hears: {}", spoken::text(said, language));
        self.hand_to_visit(now, Input::Service(news));
    }

    fn say_outcome(&mut self, now: Mono, outcome: Word) {
        let is_silent = self
            .last_test
            .as_ref()
            .is_some_and(|clip| clip.speech_ratio == Some(0.0));
        let mut said = vec![outcome];
        if is_silent && outcome != Word::TestFailed {
            said.push(Word::TestSilent);
        }
        said.push(Word::PressFive);
        if self.booth.session().may_close_card() {
            said.push(Word::PressNine);
        }
        self.say(now, ServiceNews::Outcome(words(&said)));
    }

    /// Notes that the centre has this clip.
    pub(super) fn confirmed(&mut self, now: Mono, clip_id: &ClipId) {
        if self
            .awaited_test
            .take_if(|awaited| awaited == clip_id)
            .is_some()
        {
            self.say_outcome(now, Word::TestConfirmed);
        }
    }

    /// Takes the keeper's report: the spool is closed, or could not be closed.
    pub(super) fn card_was_closed(&mut self, now: Mono, result: Result<(), NotClosed>) {
        self.is_closing = false;
        let said = match result {
            Ok(()) => {
                log::warn!(
                    "the card is closed for a technician, for {} s",
                    CARD_CLOSED.as_secs()
                );
                self.recorder.send(RecorderCommand::DropSpool);
                self.spool = None;
                self.booth.evidence.card_closed = true;
                self.event("card_closed", json!({ "for_s": CARD_CLOSED.as_secs() }));
                Word::SafeToRemove
            }
            Err(why) => {
                log::error!("the card could not be closed: {why}");
                Word::NotSafe
            }
        };
        self.decide(now, Event::Weigh);
        self.say(now, ServiceNews::Card(words(&[said])));
    }

    fn spoken_report(&self, now: Mono) -> Vec<Prompt> {
        let facts = ServiceFacts {
            booth_id: self.config.booth.id.to_string(),
            has_name_recording: self.prompts.has_booth_name(),
            ip: self.machine.ip(),
            broker: self.broker_state,
            // Where the broker's answer is enough, the hub is not needed.
            hub_online: self.booth.delivery.is_hub_online()
                || self.config.mqtt.confirm == Confirm::Broker,
            unsent: self.booth.delivery.unsent() as u64,
            oldest_unsent: self.booth.delivery.oldest_unsent(now),
            faults: self.booth.faults().keys().copied().collect(),
            card_moved: self.booth.evidence.hardware_changed.is_some(),
            clock_synced: self.booth.evidence.clock_synced,
        };
        let language = Language::of(&self.config.session.language);
        let mut report = spoken::report(&facts, language);
        if !self.is_set_up() {
            report.insert(0, Prompt::Word(Word::NotSetUp));
        }
        report.extend(words(&[Word::SpeakTest]));
        report
    }
}

pub(super) fn words(list: &[Word]) -> Vec<Prompt> {
    list.iter().copied().map(Prompt::Word).collect()
}
