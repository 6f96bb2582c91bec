//! What repeats in the log: news once, then a summary each hour.
//!
//! Owns: the current stories, which sentence of a story is news, and the summary of the rest. Never does: read a clock or write a
//! line; `booth_host::journal` does both, and every line of a daemon goes through it. Why: without this a broker that was away for
//! a day made 13,000 lines, and the last 500, which the card keeps, did not say how it began.
//!
//! A *story* is everything that is logged about one key. A sentence is news when its words are new; numbers, times, addresses and
//! ids may differ. A sentence that is no news is counted, and the hourly summary reports the count; an hour without a sentence ends
//! the story.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use booth_contract::time::Mono;

/// The time between two summaries.
pub const HOUR: Duration = Duration::from_secs(3600);
/// Most stories at a time; further keys share one story.
const MOST_STORIES: usize = 200;
/// So many returns of a fault are logged at once, further ones only in the summaries.
const MOST_RETURNS: u32 = 4;
/// Longest sentence that is kept for a summary, characters.
const LONGEST: usize = 600;

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject<'a> {
    /// A fault that stands until a line says that it is over.
    Fault(&'a str),
    /// The fault, or the trouble, is over.
    Over(&'a str),
    /// Trouble that may come again, and whose end no line reports.
    Trouble(&'a str),
    /// The same without a name in the program: the line's place in the program's text. Here a handful of sentences that differ only
    /// in a number count as different news, because they may be about different things.
    Place(&'a str),
}

impl Subject<'_> {
    fn key(&self) -> &str {
        match self {
            Self::Fault(key) | Self::Over(key) | Self::Trouble(key) | Self::Place(key) => key,
        }
    }

    /// How many sentences with different words are news; one place in the program may log a list, such as the files that cannot be
    /// used.
    fn most_sentences(&self) -> usize {
        match self {
            Self::Place(_) => 32,
            Self::Fault(_) | Self::Over(_) | Self::Trouble(_) => 5,
        }
    }

    /// How many sentences with the same words are news.
    fn most_alike(&self) -> usize {
        match self {
            Self::Place(_) => 5,
            Self::Fault(_) | Self::Over(_) | Self::Trouble(_) => 1,
        }
    }
}

/// What is done with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It is logged as it is.
    AsItIs,
    /// It is logged with this text after it.
    With(String),
    /// It is only counted.
    Counted,
}

/// One line that sums up a story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The story's key; empty for the story that many keys share, and for a place in the program.
    pub key: String,
    /// The gravest level of the story's lines.
    pub level: log::Level,
    /// The sentence.
    pub text: String,
}

/// Everything said about one key.
#[derive(Debug)]
struct Story {
    level: log::Level,
    is_place: bool,
    /// It is about a fault, whose end will be logged.
    is_fault: bool,
    since: Mono,
    summary_due: Mono,
    /// The sentences that were logged, by their words.
    said: BTreeMap<u64, Vec<u64>>,
    first: String,
    latest: String,
    /// How many lines were counted since the last one that was logged; below, how many came in all.
    counted: u64,
    times: u64,
    /// Since when it is over.
    over: Option<Mono>,
    /// The end of the fault was counted but not logged.
    is_end_untold: bool,
    /// How many endings were logged; below, how often the fault came back since the last line that was logged.
    endings: u32,
    returns: u64,
}

/// All current stories.
#[derive(Debug, Default)]
pub struct News {
    stories: BTreeMap<String, Story>,
}

impl News {
    /// Takes a line that comes at `now`; answers what is done with it. Summaries that are due by then come first: call
    /// [`News::due`] before.
    pub fn take(&mut self, now: Mono, subject: Subject<'_>, level: log::Level, text: &str) -> Said {
        let is_known = self.stories.contains_key(subject.key());
        let key = match is_known || self.stories.len() < MOST_STORIES {
            true => subject.key(),
            false => "",
        };
        let story = self
            .stories
            .entry(key.to_owned())
            .or_insert_with(|| Story::begun(now, level, subject));
        match subject {
            Subject::Over(_) => story.ends(now),
            _ => story.goes_on(now, subject, level, text),
        }
    }

    /// The summaries that are due at `now`. A story without a line for an hour ends without a summary, unless it is about a fault
    /// that stands.
    pub fn due(&mut self, now: Mono) -> Vec<Summary> {
        let mut summaries = Vec::new();
        self.stories.retain(|key, story| {
            if story.summary_due > now {
                return true;
            }
            let Some(text) = story.summary(now) else {
                return false;
            };
            summaries.push(Summary {
                key: match story.is_place {
                    true => String::new(),
                    false => key.clone(),
                },
                level: story.level,
                text,
            });
            true
        });
        summaries
    }

    /// When the next summary may be due.
    pub fn deadline(&self) -> Option<Mono> {
        self.stories.values().map(|story| story.summary_due).min()
    }
}

impl Story {
    fn begun(now: Mono, level: log::Level, subject: Subject<'_>) -> Self {
        Self {
            level,
            is_place: matches!(subject, Subject::Place(_)),
            is_fault: false,
            since: now,
            summary_due: now + HOUR,
            said: BTreeMap::new(),
            first: String::new(),
            latest: String::new(),
            counted: 0,
            times: 0,
            over: None,
            is_end_untold: false,
            endings: 0,
            returns: 0,
        }
    }

    fn goes_on(&mut self, now: Mono, subject: Subject<'_>, level: log::Level, text: &str) -> Said {
        if self.times == 0 {
            self.since = now;
            self.summary_due = now + HOUR;
        }
        let is_back = self.over.take().is_some();
        self.is_fault = matches!(subject, Subject::Fault(_));
        // `log::Level` has `Error` as its smallest value.
        self.level = self.level.min(level);
        self.times += 1;
        self.latest = text.chars().take(LONGEST).collect();
        if self.first.is_empty() {
            self.first.clone_from(&self.latest);
        }
        let is_news = self.is_news(subject, text);
        let is_told_again = is_back && self.endings <= MOST_RETURNS;
        self.is_end_untold = false;
        if is_news || is_told_again {
            return Said::AsItIs;
        }
        self.returns += u64::from(is_back);
        self.counted += 1;
        Said::Counted
    }

    /// Whether this sentence is news: its words, or the sentence among the few alike that are allowed, were not logged yet. News is
    /// noted as logged.
    fn is_news(&mut self, subject: Subject<'_>, text: &str) -> bool {
        let words = hash(&words_of(text));
        if !self.said.contains_key(&words) && self.said.len() >= subject.most_sentences() {
            return false;
        }
        let alike = self.said.entry(words).or_default();
        let sentence = hash(&text);
        if alike.len() >= subject.most_alike() || alike.contains(&sentence) {
            return false;
        }
        alike.push(sentence);
        true
    }

    fn ends(&mut self, now: Mono) -> Said {
        if self.over.is_some() {
            return Said::Counted;
        }
        self.over = Some(now);
        if self.times == 0 {
            // Something works for the first time, and no trouble was logged about it.
            return Said::AsItIs;
        }
        self.endings += 1;
        if self.endings > MOST_RETURNS + 1 {
            self.is_end_untold = true;
            return Said::Counted;
        }
        let lasted = now.since(self.since);
        let is_worth_a_word = self.times > 1 || lasted >= Duration::from_secs(60);
        match is_worth_a_word && self.endings == 1 {
            true => Said::With(format!(
                "; before that, for {}, {}: {}",
                span(lasted),
                times(self.times),
                self.first
            )),
            false => Said::AsItIs,
        }
    }

    /// The summary at the end of an hour, which begins the next hour; `None` ends the story.
    fn summary(&mut self, now: Mono) -> Option<String> {
        let stands = self.is_fault && self.over.is_none();
        let (counted, returns) = (
            std::mem::take(&mut self.counted),
            std::mem::take(&mut self.returns),
        );
        if counted == 0 && !self.is_end_untold && !stands {
            return None;
        }
        self.summary_due = now + HOUR;
        let lasts = span(now.since(self.since));
        let more = match counted {
            0 => String::new(),
            _ => format!(" ({} more, {} in all)", times(counted), self.times),
        };
        let began = match words_of(&self.first) == words_of(&self.latest) {
            true => String::new(),
            false => format!("; it began with: {}", self.first),
        };
        let latest = &self.latest;
        self.is_end_untold = false;
        let over = match self.over {
            None => String::new(),
            Some(at) => format!("; over for {}", span(now.since(at))),
        };
        let course = match stands && returns == 0 {
            true => "still",
            false => "again and again",
        };
        Some(format!(
            "{course}, for {lasts}: {latest}{more}{over}{began}"
        ))
    }
}

fn hash(text: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// A sentence without the words that may differ from time to time: those with a digit, such as numbers, times, addresses and ids.
fn words_of(text: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let mut words = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match is_word(first) {
            true => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (word, after) = rest.split_at(length);
        // Punctuation after an address is not part of it.
        let trimmed = word.trim_end_matches(['.', ':', '-']);
        match trimmed.contains(|c: char| c.is_ascii_digit()) {
            true => {
                words.push('#');
                words += &word[trimmed.len()..];
            }
            false => words += word,
        }
        rest = after;
    }
    words
}

fn times(count: u64) -> String {
    match count {
        1 => "once".into(),
        _ => format!("{count} times"),
    }
}

/// A span in its largest units.
fn span(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds @ 3600..172_800 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        seconds => format!("{} days {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use log::Level::{Error, Info, Warn};

    use super::*;

    const MINUTE: u64 = 60_000;

    /// The journal, as far as it decides what is logged.
    #[derive(Default)]
    struct Log {
        news: News,
        lines: Vec<(u64, String)>,
    }

    impl Log {
        fn tell(&mut self, at_ms: u64, subject: Subject<'_>, text: &str) {
            self.look(at_ms);
            let level = match subject {
                Subject::Over(_) => Info,
                _ => Warn,
            };
            match self.news.take(Mono(at_ms), subject, level, text) {
                Said::AsItIs => self.lines.push((at_ms, text.to_owned())),
                Said::With(more) => self.lines.push((at_ms, format!("{text}{more}"))),
                Said::Counted => {}
            }
        }

        fn look(&mut self, at_ms: u64) {
            let due = self.news.due(Mono(at_ms));
            self.lines
                .extend(due.into_iter().map(|summary| (at_ms, summary.text)));
        }

        fn texts(&self) -> Vec<&str> {
            self.lines.iter().map(|(_, text)| text.as_str()).collect()
        }
    }

    #[test]
    fn a_fault_of_a_day_is_its_cause_a_line_an_hour_and_its_end() {
        let mut log = Log::default();
        for attempt in 0..24 * 360 {
            let text = format!("the broker 10.0.0.7:1883 did not answer (attempt {attempt})");
            log.tell(attempt * 10_000, Subject::Fault("broker"), &text);
        }
        log.tell(24 * 60 * MINUTE, Subject::Over("broker"), "connected");
        let texts = log.texts();
        assert_eq!(texts.len(), 1 + 24 + 1);
        assert_eq!(
            texts[0],
            "the broker 10.0.0.7:1883 did not answer (attempt 0)"
        );
        assert_eq!(
            texts[2],
            "still, for 2 h 0 min: the broker 10.0.0.7:1883 did not answer (attempt 719) \
             (360 times more, 720 in all)"
        );
        assert_eq!(
            texts[25],
            "connected; before that, for 24 h 0 min, 8640 times: \
             the broker 10.0.0.7:1883 did not answer (attempt 0)"
        );
    }

    #[test]
    fn another_cause_is_news_and_the_summary_knows_the_first() {
        let mut log = Log::default();
        let causes = [
            "the name broker.example is not known",
            "connection refused",
            "the name broker.example is not known",
            "connection refused",
        ];
        for (n, cause) in causes.iter().enumerate() {
            log.tell(n as u64 * MINUTE, Subject::Fault("broker"), cause);
        }
        assert_eq!(log.texts(), &causes[..2]);
        log.look(60 * MINUTE);
        assert_eq!(
            log.texts()[2],
            "still, for 1 h 0 min: connection refused (2 times more, 4 in all); it began with: \
             the name broker.example is not known"
        );
    }

    #[test]
    fn a_fault_that_comes_and_goes_is_told_five_times_and_then_by_the_hour() {
        let mut log = Log::default();
        for minute in 0..24 * 60 {
            let subject = match minute % 2 {
                0 => Subject::Fault("microphone"),
                _ => Subject::Over("microphone"),
            };
            let text = ["no frames come", "it works"][minute as usize % 2];
            log.tell(minute * MINUTE, subject, text);
        }
        (24 * 60..=26 * 60).for_each(|minute| log.look(minute * MINUTE));
        let hourly: Vec<_> = log
            .lines
            .iter()
            .filter(|(at, _)| *at > 10 * MINUTE)
            .collect();
        assert_eq!(log.lines.len() - hourly.len(), 10, "{:?}", log.texts());
        assert_eq!(hourly.len(), 24);
        assert_eq!(
            log.texts()[11],
            "again and again, for 2 h 0 min: no frames come (30 times more, 60 in all); over for 1 min"
        );
        assert!(log.news.stories.is_empty(), "it rests");
    }

    #[test]
    fn what_is_over_for_an_hour_is_news_when_it_comes_back() {
        let mut log = Log::default();
        for hours in [0, 3, 6] {
            let at = hours * 60 * MINUTE;
            log.look(at);
            log.tell(at, Subject::Fault("hub"), "the hub is away");
            log.tell(at + MINUTE, Subject::Over("hub"), "the hub is back");
            log.look(at + 61 * MINUTE);
        }
        let wanted = [
            "the hub is away",
            "the hub is back; before that, for 1 min, once: the hub is away",
        ];
        assert_eq!(log.texts(), wanted.repeat(3));
    }

    #[test]
    fn a_fault_that_stands_in_silence_is_still_there_in_every_hour() {
        let mut log = Log::default();
        log.tell(0, Subject::Fault("spool"), "the card is read-only");
        for minute in 1..=180 {
            log.look(minute * MINUTE);
        }
        assert_eq!(
            log.texts(),
            [
                "the card is read-only",
                "still, for 1 h 0 min: the card is read-only",
                "still, for 2 h 0 min: the card is read-only",
                "still, for 3 h 0 min: the card is read-only"
            ]
        );
        // Mere trouble has no line that reports its end.
        let mut log = Log::default();
        log.tell(0, Subject::Trouble("odd"), "a message that makes no sense");
        log.look(60 * MINUTE);
        assert_eq!(log.lines.len(), 1);
        assert_eq!(log.news.deadline(), None);
    }

    #[test]
    fn what_works_from_the_first_is_said_once() {
        let mut log = Log::default();
        for minute in 0..30 {
            log.tell(minute * MINUTE, Subject::Over("hub"), "the hub is online");
        }
        log.tell(30 * MINUTE, Subject::Fault("hub"), "the hub is away");
        log.tell(31 * MINUTE, Subject::Over("hub"), "the hub is online");
        log.look(24 * 60 * MINUTE);
        let end = "the hub is online; before that, for 1 min, once: the hub is away";
        assert_eq!(log.texts(), ["the hub is online", "the hub is away", end]);
    }

    #[test]
    fn an_end_that_was_not_told_is_in_the_summary() {
        let mut log = Log::default();
        for n in 0..7 {
            log.tell(
                n * 2 * MINUTE,
                Subject::Fault("ear"),
                "the earpiece is gone",
            );
            log.tell(
                (n * 2 + 1) * MINUTE,
                Subject::Over("ear"),
                "the earpiece works",
            );
        }
        let before = log.lines.len();
        log.look(60 * MINUTE);
        assert_eq!(
            log.texts()[before],
            "again and again, for 1 h 0 min: the earpiece is gone (2 times more, 7 in all); over for 47 min"
        );
    }

    #[test]
    fn facts_of_one_place_are_told_apart_up_to_a_handful() {
        let mut log = Log::default();
        for n in 0..300 {
            let text = format!("{n:08x}-ecc3-460b.clip was moved aside: a damaged frame");
            log.tell(n, Subject::Place("recovery.rs:7"), &text);
            log.tell(n, Subject::Place("recovery.rs:7"), &text);
        }
        assert_eq!(log.lines.len(), 5);
        log.look(60 * MINUTE);
        let text = log.texts()[5];
        assert!(text.ends_with("(595 times more, 600 in all)"), "{text}");
        assert!(text.starts_with("again and again, for 1 h 0 min: 0000012b-"));
    }

    #[test]
    fn who_invents_sentences_and_keys_fills_neither_log_nor_memory() {
        let mut log = Log::default();
        let letters = |mut n: u64| {
            let mut text = String::new();
            while n > 0 {
                text.push(char::from(b'a' + (n % 26) as u8));
                n /= 26;
            }
            text
        };
        for n in 1..5_000 {
            let nonsense = format!("a topic of no booth: {}", letters(n));
            log.tell(n, Subject::Trouble("odd"), &nonsense);
        }
        assert_eq!(log.lines.len(), 5);
        for n in 1..5_000 {
            log.tell(n, Subject::Trouble(&letters(n)), "rubbish");
        }
        assert!(log.news.stories.len() <= MOST_STORIES + 1);
        assert!(log.lines.len() <= 5 + MOST_STORIES + 1);
        let long = "x".repeat(100_000);
        log.tell(6_000, Subject::Fault("long"), &long);
        let story = &log.news.stories[""];
        assert!(story.latest.len() <= LONGEST && story.first.len() <= LONGEST);
    }

    #[test]
    fn numbers_times_addresses_and_ids_are_no_words() {
        for (one, other) in [
            ("did not answer in 20 s", "did not answer in 21 s"),
            (
                "since 2026-03-01T10:00:00Z: away",
                "since 2026-03-02T11:22:33.5Z: away",
            ),
            ("tcp [::1]:1883 refused", "tcp [fe80::1]:1884 refused"),
            (
                "clip 6945247f-ecc3-460b-99ac-3aa84442408a is gone.",
                "clip ed8ff051-60c9-44b4-9fd8-c257070f5b59 is gone.",
            ),
            ("10.0.0.1:1883: refused", "10.0.0.2:1883: refused"),
            ("attempt 9", "attempt 10"),
        ] {
            assert_eq!(words_of(one), words_of(other));
        }
        for (one, other) in [
            ("connection refused", "connection reset"),
            (
                "no such file (os error 2)",
                "input/output error (os error 5)",
            ),
            ("the thread capture hangs", "the thread recorder hangs"),
        ] {
            assert_ne!(words_of(one), words_of(other));
        }
        assert_eq!(words_of("blåbær 5 å: 7."), "blåbær # å: #.");
    }

    #[test]
    fn a_summary_has_the_gravest_level_of_its_story() {
        let mut news = News::default();
        let subject = Subject::Fault("spool");
        for level in [Warn, Error, Warn] {
            news.take(Mono(0), subject, level, "the spool");
        }
        assert_eq!(news.due(Mono(0) + HOUR)[0].level, Error);
    }
}
