//! A technician's visit: what the booth says of itself, a test message, the card made safe to take out.

use super::machine::{CONFIRMED_WITHIN, OFF_HOOK_AFTER, RECORDER_LIMIT, Session, TEST_MESSAGE};
use super::state::{Service, State};
use super::{Command, Key, Prompt, RecorderNews, ServiceAsk, ServiceNews, TakeId};
use crate::prompt::Word;
use booth_contract::time::Mono;
use booth_contract::{EndedBy, Publish};
use std::time::Duration;

/// The first digit of a place is waited for so long from the request on.
const PLACE_FIRST: Duration = Duration::from_secs(12);
/// A place's number ends when nothing was dialled for so long; a rotary dial takes two seconds for a 0.
const PLACE_NEXT: Duration = Duration::from_secs(5);
/// Largest number of a place.
const LAST_PLACE: u32 = 999_999;

impl Session {
    /// A technician has made himself known. What a citizen was saying is kept.
    pub(super) fn serve(&mut self, now: Mono, out: &mut Vec<Command>) {
        self.leave(now, out);
        self.state = State::Service(Service::Report);
        self.quiet_since = now;
        out.push(Command::Service(ServiceAsk::Report));
    }

    /// The technician hangs up, or dials for help.
    pub(super) fn leave_service(&mut self, service: Service, out: &mut Vec<Command>) {
        out.extend(service.open_take().map(|take| Command::Discard { take }));
        out.push(Command::Service(ServiceAsk::Left));
    }

    /// What the loop lets the technician hear.
    pub(super) fn service_news(&mut self, now: Mono, news: ServiceNews, out: &mut Vec<Command>) {
        let State::Service(service) = self.state else {
            return;
        };
        let (next, prompts) = match (service, news) {
            (Service::Report, ServiceNews::Report(prompts)) => (Service::Report, prompts),
            (
                Service::Report | Service::Confirming { .. } | Service::Waiting,
                ServiceNews::Outcome(prompts) | ServiceNews::Card(prompts),
            ) => (Service::Waiting, prompts),
            // It came too late, or belongs to an earlier visit.
            (_, ServiceNews::Report(_) | ServiceNews::Outcome(_) | ServiceNews::Card(_)) => return,
        };
        self.stop_play(out);
        self.state = State::Service(next);
        self.play(now, prompts, out);
    }

    /// The report was heard: three seconds of test message, if they can be recorded.
    pub(super) fn test_message(&mut self, now: Mono, out: &mut Vec<Command>) {
        if !self.parts.capture || !self.parts.spool {
            self.state = State::Service(Service::Waiting);
            out.push(Command::Service(ServiceAsk::Failed));
            return;
        }
        let take = self.next_take();
        self.test_take = Some(take);
        self.state = State::Service(Service::Tone { take });
        out.push(Command::ArmTest { take });
        self.play(now, vec![Prompt::Tone], out);
    }

    /// What the recorder says of the test message.
    pub(super) fn service_take(
        &mut self,
        now: Mono,
        service: Service,
        take: TakeId,
        news: RecorderNews,
        out: &mut Vec<Command>,
    ) {
        match (service, news) {
            (Service::Starting { .. }, RecorderNews::Started(_)) => {
                let until = now + TEST_MESSAGE;
                self.state = State::Service(Service::Speaking { take, until });
            }
            // Nobody has second thoughts about a test.
            (_, RecorderNews::Held(_)) => out.push(Command::Close {
                take,
                publish: Publish::No,
            }),
            (_, RecorderNews::Kept(_)) => {
                let until = now + CONFIRMED_WITHIN;
                self.state = State::Service(Service::Confirming { until });
                out.push(Command::Service(ServiceAsk::Sent));
            }
            (_, RecorderNews::Discarded(_) | RecorderNews::Failed(_)) => {
                self.stop_play(out);
                self.state = State::Service(Service::Waiting);
                out.push(Command::Service(ServiceAsk::Failed));
            }
            (_, RecorderNews::Started(_) | RecorderNews::Voice { .. }) => {}
        }
    }

    /// The test message cannot go on.
    pub(super) fn test_failed(&mut self, now: Mono, service: Service, out: &mut Vec<Command>) {
        self.stop_play(out);
        out.extend(service.open_take().map(|take| Command::Discard { take }));
        self.quiet_since = now;
        self.state = State::Service(Service::Waiting);
        out.push(Command::Service(ServiceAsk::Failed));
    }

    pub(super) fn service_key(
        &mut self,
        now: Mono,
        service: Service,
        key: Key,
        out: &mut Vec<Command>,
    ) {
        match (service, key) {
            // While something is recorded, keys are ignored.
            (
                Service::Tone { .. }
                | Service::Starting { .. }
                | Service::Speaking { .. }
                | Service::Finishing { .. },
                _,
            ) => {}
            (Service::Place { number, .. }, Key::Digit(digit)) => {
                self.stop_play(out);
                let longer = number * 10 + u32::from(digit);
                let number = if longer > LAST_PLACE { number } else { longer };
                let until = now + self.patient(PLACE_NEXT);
                self.state = State::Service(Service::Place { number, until });
            }
            (Service::Place { number, .. }, Key::Hash | Key::Button) => {
                self.place_dialled(now, number, out);
            }
            (Service::Place { .. }, Key::Star) => self.place_dialled(now, 0, out),
            (Service::Report | Service::Waiting, Key::Digit(5)) => {
                self.quiet_since = now;
                let until = now + self.patient(PLACE_FIRST);
                self.state = State::Service(Service::Place { number: 0, until });
                self.play(now, vec![Prompt::Word(Word::PlaceIntro)], out);
            }
            (Service::Report | Service::Waiting, Key::Digit(7)) => {
                self.stop_play(out);
                self.quiet_since = now;
                self.state = State::Service(Service::Waiting);
                out.push(Command::Service(ServiceAsk::TakeOver));
            }
            (Service::Report | Service::Waiting, Key::Digit(8)) => {
                self.stop_play(out);
                self.quiet_since = now;
                self.state = State::Service(Service::Waiting);
                out.push(Command::Service(match self.may_export() {
                    true => ServiceAsk::Export,
                    false => ServiceAsk::MayNotExport,
                }));
            }
            (_, Key::Digit(9)) => {
                self.stop_play(out);
                self.quiet_since = now;
                self.state = State::Service(Service::Waiting);
                // While the report still plays the key may have been pressed by a child: it has to be pressed once more,
                // after the booth has offered it.
                out.push(Command::Service(match service {
                    _ if !self.may_close_card() => ServiceAsk::MayNotClose,
                    Service::Report => ServiceAsk::OfferNine,
                    _ => ServiceAsk::CloseCard,
                }));
            }
            (_, Key::Star | Key::Digit(0)) => {
                self.louder();
                self.serve(now, out);
            }
            (_, Key::Digit(_) | Key::Hash | Key::Button) => {}
        }
    }

    /// The number of the place is whole; 0 for none.
    fn place_dialled(&mut self, now: Mono, number: u32, out: &mut Vec<Command>) {
        self.stop_play(out);
        self.quiet_since = now;
        self.state = State::Service(Service::Waiting);
        if number > 0 {
            out.push(Command::Service(ServiceAsk::Place(number)));
        }
    }

    pub(super) fn tick_service(&mut self, now: Mono, service: Service, out: &mut Vec<Command>) {
        match service {
            Service::Starting { until, .. } | Service::Finishing { until, .. } if until <= now => {
                self.test_failed(now, service, out);
            }
            Service::Speaking { take, until } if until <= now => {
                out.push(Command::Finish {
                    take,
                    ended_by: EndedBy::Limit,
                    at: until,
                    min: Duration::ZERO,
                });
                let until = now + RECORDER_LIMIT;
                self.state = State::Service(Service::Finishing { take, until });
            }
            Service::Confirming { until } if until <= now => {
                self.quiet_since = now;
                self.state = State::Service(Service::Waiting);
                out.push(Command::Service(ServiceAsk::Unconfirmed));
            }
            Service::Place { number, until } if until <= now => {
                self.place_dialled(now, number, out);
            }
            Service::Report | Service::Waiting
                if self.playing.is_none()
                    && self.quiet_since + self.patient(OFF_HOOK_AFTER) <= now =>
            {
                self.leave_service(service, out);
                self.left_lying(now, out);
            }
            Service::Report
            | Service::Tone { .. }
            | Service::Starting { .. }
            | Service::Speaking { .. }
            | Service::Finishing { .. }
            | Service::Confirming { .. }
            | Service::Waiting
            | Service::Place { .. } => {}
        }
    }
}
