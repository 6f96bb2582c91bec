//! Visits, played in virtual time.
//!
//! A booth whose recordings last two seconds and whose own words take no time; its recorder is strict: it holds one take at most, and a
//! command for one that it does not have is a fault of the session.

mod after;
mod chance;
mod code;
mod languages;
mod patience;
mod service;
mod visit;
mod vote;
mod withdraw;

pub(super) use chance::key;

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::prompt::Word;
use booth_contract::time::Mono;

pub(super) const CODE: [u8; 6] = [0, 3, 7, 4, 1, 5];

pub(super) fn rules() -> SessionRules {
    SessionRules {
        consent: ConsentMode::Digit,
        emergency_numbers: vec![vec![1, 1, 2]],
        service_code: CODE.to_vec(),
        withdraw_code: vec![0, 0, 0],
        min: Duration::from_secs(1),
        seals: true,
    }
}

fn question(digit: u8) -> OpenQuestion {
    let id = format!("q{digit}");
    OpenQuestion {
        prompt: Prompt::Question(id.clone()),
        id,
        campaign_id: None,
        digit,
        kind: QuestionKind::Speak,
        publish: MayPublish::No,
        max: None,
    }
}

fn publishing(digit: u8, publish: MayPublish) -> OpenQuestion {
    OpenQuestion {
        publish,
        ..question(digit)
    }
}

fn option_of(digit: u8) -> Choice {
    let id = format!("o{digit}");
    Choice {
        prompt: Prompt::Question(id.clone()),
        id,
        digit,
    }
}

/// A vote with these options and half a minute between two.
fn vote(digit: u8, options: &[u8]) -> OpenQuestion {
    OpenQuestion {
        kind: QuestionKind::Choose {
            options: options.iter().map(|digit| option_of(*digit)).collect(),
            min_pause: Duration::from_secs(30),
            codes: false,
        },
        campaign_id: Some("spring".into()),
        ..question(digit)
    }
}

/// The same, where a vote counts with a one-time code alone.
fn vote_with_codes(digit: u8, options: &[u8]) -> OpenQuestion {
    let mut question = vote(digit, options);
    if let QuestionKind::Choose { codes, .. } = &mut question.kind {
        *codes = true;
    }
    question
}

fn offer_of(questions: Vec<OpenQuestion>) -> Offer {
    Offer {
        questions,
        lang: "da".into(),
        config_version: Some(7),
        ..Offer::default()
    }
}

/// The same receipt for the same take.
fn receipt_of(take: TakeId) -> Receipt {
    let mut at = take.0 as u8;
    let random = |bytes: &mut [u8]| {
        for byte in bytes {
            at = at.wrapping_mul(37).wrapping_add(11);
            *byte = at;
        }
    };
    Receipt::generate(random, &[vec![1, 1, 2]]).expect("a receipt")
}

const WORKS: Parts = Parts {
    capture: true,
    playback: true,
    spool: true,
};

/// How far the recorder is with a take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Armed,
    Held,
    Closed(Publish),
    Deleted,
    TooShort,
}

pub(super) struct Booth {
    pub(super) session: Session,
    pub(super) now: Mono,
    pub(super) said: Vec<Command>,
    playing: Option<(PlayId, Mono)>,
    recorder: Option<(Mono, TakeId)>,
    takes: BTreeMap<TakeId, Stage>,
    /// What a technician asked for.
    pub(super) asked: Vec<ServiceAsk>,
    /// The votes that were cast: question and digit.
    votes: Vec<(String, u8)>,
    /// The one-time codes with which they were cast.
    codes: Vec<OneTimeCode>,
    /// The receipts that were dialled.
    withdrawn: Vec<Receipt>,
    /// The card takes votes and withdrawals.
    card_works: bool,
}

impl Booth {
    pub(super) fn with(rules: SessionRules, digits: &[u8]) -> Self {
        let questions = digits.iter().map(|digit| question(*digit)).collect();
        Self::offering(rules, offer_of(questions))
    }

    fn offering(rules: SessionRules, offer: Offer) -> Self {
        let mut booth = Self {
            session: Session::new(rules),
            now: Mono(1_000),
            said: Vec::new(),
            playing: None,
            recorder: None,
            takes: BTreeMap::new(),
            asked: Vec::new(),
            votes: Vec::new(),
            codes: Vec::new(),
            withdrawn: Vec::new(),
            card_works: true,
        };
        booth.input(Input::HandsetAtStart { off_hook: false });
        booth.input(Input::CanSeal(true));
        booth.input(Input::Offer(offer));
        booth.input(Input::Parts(WORKS));
        booth
    }

    fn new() -> Self {
        Self::with(rules(), &[1])
    }

    /// A booth with one question, after which this is asked.
    fn asking(publish: MayPublish) -> Self {
        Self::offering(rules(), offer_of(vec![publishing(1, publish)]))
    }

    fn stage(&self, take: TakeId) -> Stage {
        *self.takes.get(&take).expect("a take that was armed")
    }

    pub(super) fn input(&mut self, input: Input) {
        let commands = self.session.handle(self.now, input);
        for command in commands {
            self.said.push(command.clone());
            self.obey(command);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Play { id, prompts, .. } => {
                let recordings = prompts.iter().filter(|prompt| {
                    !matches!(
                        prompt,
                        Prompt::Word(_) | Prompt::Pause | Prompt::InLanguage(..)
                    )
                });
                let length = Duration::from_secs(2 * recordings.count() as u64);
                self.playing = Some((id, self.now + length));
            }
            Command::PlayBack { id, take, .. } => {
                assert_eq!(self.stage(take), Stage::Held);
                self.playing = Some((id, self.now + Duration::from_secs(3)));
            }
            Command::StopPlay => self.playing = None,
            Command::Arm { take, .. } => {
                self.armed_now(take);
                let receipt = Some(receipt_of(take));
                self.input(Input::Receipt { take, receipt });
            }
            Command::ArmTest { take } => self.armed_now(take),
            Command::Keep { take, from } => {
                assert_eq!(self.stage(take), Stage::Armed);
                self.recorder = Some((from, take));
                self.input(Input::Recorder(RecorderNews::Started(take)));
            }
            Command::Finish { take, at, min, .. } => {
                assert_eq!(self.stage(take), Stage::Armed);
                let began = self
                    .recorder
                    .filter(|(_, kept)| *kept == take)
                    .map_or(at, |(began, _)| began);
                let (stage, news) = if at.since(began) < min {
                    (Stage::TooShort, RecorderNews::Discarded(take))
                } else {
                    (Stage::Held, RecorderNews::Held(take))
                };
                self.takes.insert(take, stage);
                self.input(Input::Recorder(news));
            }
            Command::Discard { take } => {
                assert!(matches!(self.stage(take), Stage::Armed | Stage::Held));
                self.takes.insert(take, Stage::Deleted);
                self.input(Input::Recorder(RecorderNews::Discarded(take)));
            }
            Command::Close { take, publish } => {
                assert_eq!(self.stage(take), Stage::Held);
                self.takes.insert(take, Stage::Closed(publish));
                self.input(Input::Recorder(RecorderNews::Kept(take)));
            }
            Command::Cast {
                take,
                asked,
                choice,
                code,
            } => {
                assert!(!self.takes.contains_key(&take));
                assert_eq!(asked.choice, Some(choice));
                let receipt = Some(receipt_of(take));
                self.input(Input::Receipt { take, receipt });
                let news = match self.card_works {
                    true => RecorderNews::Kept(take),
                    false => RecorderNews::Failed(take),
                };
                if self.card_works {
                    self.votes.push((asked.question_id, choice));
                    self.codes.extend(code);
                }
                self.input(Input::Recorder(news));
            }
            Command::Withdraw { receipt } => {
                if self.card_works {
                    self.withdrawn.push(receipt);
                }
                self.input(Input::WithdrawalKept(self.card_works));
            }
            Command::Service(ask) => {
                self.asked.push(ask);
                let said = vec![Prompt::Repeat];
                match ask {
                    ServiceAsk::Report => self.input(Input::Service(ServiceNews::Report(said))),
                    ServiceAsk::Unconfirmed | ServiceAsk::Failed => {
                        self.input(Input::Service(ServiceNews::Outcome(said)));
                    }
                    ServiceAsk::OfferNine
                    | ServiceAsk::CloseCard
                    | ServiceAsk::MayNotClose
                    | ServiceAsk::TakeOver
                    | ServiceAsk::Export
                    | ServiceAsk::MayNotExport
                    | ServiceAsk::Place(_) => self.input(Input::Service(ServiceNews::Card(said))),
                    ServiceAsk::Sent | ServiceAsk::Left => {}
                }
            }
            _ => {}
        }
    }

    fn armed_now(&mut self, take: TakeId) {
        let is_busy = |stage: &Stage| matches!(stage, Stage::Armed | Stage::Held);
        assert!(!self.takes.values().any(is_busy), "{:?}", self.takes);
        assert_eq!(self.takes.insert(take, Stage::Armed), None);
    }

    pub(super) fn lift(&mut self) {
        self.input(Input::Handset(HandsetEvent::Lifted));
    }

    pub(super) fn hang_up(&mut self) {
        self.input(Input::Handset(HandsetEvent::HungUp));
    }

    pub(super) fn press(&mut self, key: Key) {
        self.input(Input::Handset(HandsetEvent::Key(key, KeySource::Keypad)));
    }

    fn digit(&mut self, digit: u8) {
        self.press(Key::Digit(digit));
    }

    fn dial(&mut self, digit: u8) {
        self.input(Input::Handset(HandsetEvent::Key(
            Key::Digit(digit),
            KeySource::Dial,
        )));
    }

    pub(super) fn voice(&mut self, active: bool) {
        let take = TakeId(self.session_take());
        self.input(Input::Recorder(RecorderNews::Voice {
            take,
            active,
            at: self.now,
        }));
    }

    fn session_take(&self) -> u64 {
        self.recorder.map_or(0, |(_, take)| take.0)
    }

    /// Lets time pass, with every deadline and every end of a prompt at its moment.
    pub(super) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        for _ in 0..100_000 {
            let play = self.playing.map(|(_, at)| at);
            let next = play.into_iter().chain(self.session.deadline()).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            if let Some((id, _)) = self.playing.filter(|(_, at)| *at <= self.now) {
                self.playing = None;
                self.input(Input::PlayEnded(id));
            } else {
                self.input(Input::Tick);
            }
        }
        self.now = end;
    }

    pub(super) fn seconds(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    /// To the end of notice and question of one open question.
    fn reach_the_choice(&mut self) {
        self.lift();
        self.seconds(4);
        assert_eq!(self.state(), "question");
    }

    pub(super) fn reach_the_recording(&mut self) {
        self.reach_the_choice();
        self.press(Key::Digit(1));
        self.seconds(2);
        assert_eq!(self.state(), "recording");
    }

    /// To the menu after five seconds of speech.
    fn reach_the_menu(&mut self) {
        self.reach_the_recording();
        self.seconds(5);
        self.press(Key::Hash);
        assert_eq!(self.state(), "after");
    }

    fn dial_all(&mut self, digits: &[u8]) {
        for digit in digits {
            self.dial(*digit);
            self.pass(Duration::from_millis(1_500));
        }
    }

    fn tests_begun(&self) -> usize {
        let armed = |command: &&Command| matches!(command, Command::ArmTest { .. });
        self.said.iter().filter(armed).count()
    }

    pub(super) fn state(&self) -> &'static str {
        self.session.state_name()
    }

    fn count(&self, counter: Counter) -> usize {
        self.said
            .iter()
            .filter(|command| **command == Command::Count(counter))
            .count()
    }

    fn played(&self, prompt: &Prompt) -> usize {
        self.said
            .iter()
            .filter(|command| matches!(command, Command::Play { prompts, .. } if prompts.contains(prompt)))
            .count()
    }

    fn worded(&self, word: Word) -> usize {
        self.played(&Prompt::Word(word))
    }

    /// What was played last.
    fn last_play(&self) -> &[Prompt] {
        let play = |command: &'_ Command| matches!(command, Command::Play { .. });
        match self.said.iter().rev().find(|command| play(command)) {
            Some(Command::Play { prompts, .. }) => prompts,
            _ => &[],
        }
    }

    fn says(&self, word: Word) -> bool {
        self.last_play().contains(&Prompt::Word(word))
    }

    fn ends(&self) -> Vec<EndedBy> {
        let end = |command: &Command| match command {
            Command::Finish { ended_by, .. } => Some(*ended_by),
            _ => None,
        };
        self.said.iter().filter_map(end).collect()
    }

    fn armed(&self) -> Vec<String> {
        let armed = |command: &Command| match command {
            Command::Arm { asked, .. } => Some(asked.question_id.clone()),
            _ => None,
        };
        self.said.iter().filter_map(armed).collect()
    }

    /// What became of the takes, in their order.
    fn stages(&self) -> Vec<Stage> {
        self.takes.values().copied().collect()
    }
}

/// The digits of the receipt that the last play says, each time it says one.
fn receipts_said(prompts: &[Prompt]) -> Vec<Vec<u8>> {
    let mut said = vec![Vec::new()];
    for prompt in prompts {
        match prompt {
            Prompt::Word(Word::ReceiptAgain | Word::ReceiptHow | Word::ReceiptSlower) => {
                said.push(Vec::new());
            }
            Prompt::Word(word) => {
                let digit = (b'0'..=b'9').find(|c| Word::of_char(char::from(*c)) == Some(*word));
                if let (Some(digit), Some(last)) = (digit, said.last_mut()) {
                    last.push(digit - b'0');
                }
            }
            _ => {}
        }
    }
    said.retain(|digits| digits.len() == 12);
    said
}
