//! What a citizen is offered at a time: the centre's configuration over booth.toml. Pure.
//!
//! Owns: which campaigns are open, the hours, what falls back to booth.toml. Never does: read a clock.

use std::time::Duration;

use booth_contract::wanted::{
    self, Campaign, DAY_MINUTES, Hours, Kind, LocalTime, Question, Quiet, Span, Spoken, Wanted,
};

use crate::prompt::Prompt;
use crate::session::{
    Choice, MayPublish, Offer, OpenAnswer, OpenQuestion, OtherLanguage, QuestionKind,
};

/// What the clocks show where the booth stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Clock {
    /// Local time; while the clock is not synchronised the last one that was kept, and what has gone by since. `None` if there is
    /// none: then campaigns are open whatever their dates.
    pub now: Option<LocalTime>,
    /// The clock is synchronised: hours count.
    pub is_synced: bool,
    /// Local time at which the configuration in question was made, where it says so.
    pub issued: Option<LocalTime>,
}

/// Why no question is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// Neither the centre nor booth.toml has any.
    Nothing,
    /// The next campaign begins then.
    Until(LocalTime),
    /// All campaigns are over.
    Over,
    /// The booth invites again at this minute of a day, in so many days.
    Hours {
        /// The minute of the day.
        minute: u16,
        /// 0: today.
        days: u8,
    },
}

impl Closed {
    /// A sentence for operations.
    pub fn sentence(&self) -> String {
        match self {
            Closed::Nothing => "No question is open at this booth.".into(),
            Closed::Until(from) => {
                format!("No question is open at this booth: the next campaign begins at {from}.")
            }
            Closed::Over => "No question is open at this booth: all campaigns are over.".into(),
            Closed::Hours { minute, days } => {
                let day = match days {
                    0 => "today".to_owned(),
                    1 => "tomorrow".to_owned(),
                    days => format!("in {days} days"),
                };
                let (hour, minute) = (minute / 60, minute % 60);
                format!(
                    "No question is open at this booth outside its hours: it invites again {day} at {hour:02}:{minute:02}."
                )
            }
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Closed::Nothing => "Publish a campaign, or add a [[question]] to booth.toml.",
            Closed::Over => "Publish a campaign that is still to be asked.",
            Closed::Until(_) | Closed::Hours { .. } => "Nothing: it is meant to be so.",
        }
    }
}

/// What is offered, and why it is no question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// For the visit.
    pub offer: Offer,
    /// Set where no question is open.
    pub closed: Option<Closed>,
}

/// What is offered at this time.
pub fn offered(own: &Offer, wanted: Option<&Wanted>, clock: &Clock) -> Offered {
    let Some(wanted) = wanted else {
        let closed = own.questions.is_empty().then_some(Closed::Nothing);
        return Offered {
            offer: own.clone(),
            closed,
        };
    };
    let mut offer = Offer {
        config_version: Some(wanted.version),
        ..own.clone()
    };
    if let Some(limits) = &wanted.limits {
        let seconds = |own: Duration, wanted: Option<u32>| {
            wanted.map_or(own, |seconds| Duration::from_secs(seconds.into()))
        };
        offer.limits.max = seconds(own.limits.max, limits.max_seconds);
        offer.limits.choose = seconds(own.limits.choose, limits.choose_seconds);
        offer.limits.silence = seconds(own.limits.silence, limits.silence_seconds);
    }
    let mut closed = None;
    if let Some(campaigns) = &wanted.campaigns {
        let is_open = |campaign: &&Campaign| clock.now.is_none_or(|now| campaign.is_open(now));
        let open: Vec<&Campaign> = campaigns.iter().filter(is_open).collect();
        offer.questions = open
            .iter()
            .flat_map(|campaign| {
                let questions = campaign.questions.iter();
                questions.map(|question| open_question(campaign, question))
            })
            .collect();
        offer.answers = open
            .iter()
            .flat_map(|campaign| campaign.questions.iter().filter_map(open_answer))
            .collect();
        if offer.questions.is_empty() {
            closed = Some(why_none(campaigns, clock));
        }
    } else if offer.questions.is_empty() {
        closed = Some(Closed::Nothing);
    }
    let hours = wanted.hours.as_deref();
    if let Some(now) = clock.now.filter(|_| clock.is_synced)
        && let Some(hours) = hours.filter(|hours| !invites(hours, now))
    {
        offer.questions.clear();
        offer.answers.clear();
        closed.get_or_insert_with(|| opens_again(hours, now));
    }
    let taken = |digit: u8| {
        offer
            .questions
            .iter()
            .any(|question| question.digit == digit)
    };
    offer.languages = wanted
        .other_languages()
        .filter(|(digit, lang)| *lang != own.lang && !taken(*digit))
        .map(|(digit, lang)| OtherLanguage {
            digit,
            lang: lang.to_owned(),
        })
        .collect();
    Offered { offer, closed }
}

fn prompt(spoken: &Spoken) -> Prompt {
    Prompt::Wanted(spoken.clone())
}

fn open_question(campaign: &Campaign, question: &Question) -> OpenQuestion {
    let kind = match question.kind {
        Kind::Speak => QuestionKind::Speak,
        Kind::Choose => QuestionKind::Choose {
            options: question.options.iter().map(choice).collect(),
            min_pause: Duration::from_secs(question.min_pause_s.unwrap_or(0).into()),
            codes: question.codes,
        },
    };
    OpenQuestion {
        id: question.id.clone(),
        campaign_id: Some(campaign.id.clone()),
        digit: question.digit,
        prompt: prompt(&question.prompt),
        kind,
        publish: match question.publish {
            wanted::MayPublish::No => MayPublish::No,
            wanted::MayPublish::AskText => MayPublish::AskText,
            wanted::MayPublish::AskVoice => MayPublish::AskVoice,
        },
        max: question
            .max_seconds
            .map(|seconds| Duration::from_secs(seconds.into())),
    }
}

fn choice(option: &wanted::Choice) -> Choice {
    Choice {
        digit: option.digit,
        id: option.id.clone(),
        prompt: prompt(&option.prompt),
    }
}

fn open_answer(question: &Question) -> Option<OpenAnswer> {
    question.answer.as_ref().map(|answer| OpenAnswer {
        question_id: question.id.clone(),
        digit: answer.digit,
        prompt: prompt(&answer.prompt),
    })
}

fn why_none(campaigns: &[Campaign], clock: &Clock) -> Closed {
    if campaigns.is_empty() {
        return Closed::Nothing;
    }
    let to_come = campaigns.iter().filter_map(|campaign| campaign.from);
    let to_come = to_come.filter(|from| clock.now.is_some_and(|now| now < *from));
    to_come.min().map_or(Closed::Over, Closed::Until)
}

/// Whether one of the spans covers this time. The part of a span after midnight belongs to the day on which it began.
fn invites(hours: &[Hours], now: LocalTime) -> bool {
    let (minute, day) = (now.minute(), now.weekday());
    let yesterday = (day + 6) % 7;
    hours.iter().any(|Hours { days, span }| {
        let Span { from, to } = *span;
        match span.passes_midnight() {
            true => (days.has(day) && minute >= from) || (days.has(yesterday) && minute < to),
            false => days.has(day) && (from..to).contains(&minute),
        }
    })
}

/// When the booth invites again, from a time at which it does not.
fn opens_again(hours: &[Hours], now: LocalTime) -> Closed {
    let beginnings = (0..=7u8).flat_map(|days| {
        let day = (now.weekday() + days) % 7;
        let on_it = hours.iter().filter(move |hours| hours.days.has(day));
        on_it.map(move |hours| (days, hours.span.from))
    });
    let to_come = beginnings.filter(|(days, minute)| *days > 0 || *minute > now.minute());
    match to_come.min() {
        Some((days, minute)) => Closed::Hours { minute, days },
        // No day at all: the check refuses such hours.
        None => Closed::Nothing,
    }
}

/// When the bell is silent, where the centre says so: `Some(None)` is never.
pub fn quiet(wanted: Option<&Wanted>) -> Option<Option<(u16, u16)>> {
    match wanted?.quiet? {
        Quiet::Never => Some(None),
        Quiet::In(span) => Some(Some((span.from, span.to % DAY_MINUTES))),
    }
}
