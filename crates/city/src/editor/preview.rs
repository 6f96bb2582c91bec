//! A visit played in the browser exactly as the booth will play it: the booth's own core decides, from the draft's prompts.
//!
//! Owns: the visits that are being played, each for as long as somebody plays it. In place of a microphone and a card it answers as those
//! of a booth that works: a citizen speaks until the key that ends it, and everything is kept at once. Never does: decide anything of a
//! visit; send anything to a booth; keep a message.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use booth_contract::receipt::Receipt;
use booth_contract::time::Mono;
use booth_contract::wanted::Wanted;
use booth_contract::{ConsentMode, MediaHash};
use gateway_core::campaign::offering::{Clock, offered};
use gateway_core::health::Parts;
use gateway_core::prompt::{Language, Prompt};
use gateway_core::session::{
    Command, HandsetEvent, Input, Key, KeySource, Lamp, Offer, PlayId, RecorderNews, Scene,
    Session, SessionRules, TakeId,
};

/// Visits at a time; the one that was used longest ago goes first.
const MOST: usize = 50;
/// A visit that nobody has touched for this long is over.
const IDLE: Duration = Duration::from_secs(15 * 60);
/// Entries of what happened that a page shows.
const MOST_NEWS: usize = 40;

/// Something that is heard, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    /// What it is.
    pub(crate) sound: Sound,
    /// The silence after it, ms.
    pub(crate) pause_ms: u32,
}

/// Where a sound comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sound {
    /// A prompt of the campaign.
    Prompt(MediaHash),
    /// A word of the booth's own voice, by its name, with what it says.
    Word(&'static str, &'static str, &'static str),
    /// A tone, or a recording of the booth's own folder, by its name.
    Own(String),
    /// What the citizen has just said.
    OwnWords,
    /// Nothing.
    Silence,
}

/// Something that the booth did, for whoever looks on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// A citizen is here.
    Begins,
    /// Somebody's words are kept from now on.
    Records,
    /// They end.
    Ends,
    /// A message is kept.
    Kept,
    /// A message is deleted.
    Deleted,
    /// A vote for this digit is cast.
    Cast(u8),
    /// A withdrawal is noted.
    Withdrawn,
    /// The visit is over.
    Over,
}

/// One visit.
pub(crate) struct Visit {
    session: Session,
    wanted: Wanted,
    /// The language in which the booth asks first.
    first_language: String,
    used_at: Mono,
    recording_since: Option<Mono>,
    /// What plays.
    pub(crate) playing: Option<(PlayId, Vec<Heard>)>,
    pub(crate) lamp: Lamp,
    pub(crate) news: VecDeque<News>,
}

impl Visit {
    /// A booth at rest with this campaign.
    fn new(wanted: Wanted, language: &str, now: Mono) -> Self {
        // The defaults of a booth's [session].
        let rules = SessionRules {
            consent: ConsentMode::Digit,
            emergency_numbers: vec![vec![1, 1, 2]],
            service_code: Vec::new(),
            withdraw_code: vec![0, 0, 0],
            min: Duration::from_secs(1),
            seals: true,
        };
        let mut visit = Self {
            session: Session::new(rules),
            first_language: language.to_owned(),
            used_at: now,
            recording_since: None,
            playing: None,
            lamp: Lamp::Starting,
            news: VecDeque::new(),
            wanted,
        };
        let own = Offer {
            lang: language.to_owned(),
            ..Offer::default()
        };
        // Without a clock every campaign is open, whatever its dates and hours: it is to be heard before it begins.
        let offer = offered(&own, Some(&visit.wanted), &Clock::default()).offer;
        let works = Parts {
            capture: true,
            playback: true,
            spool: true,
        };
        for input in [
            Input::HandsetAtStart { off_hook: false },
            Input::Parts(works),
            Input::CanSeal(true),
            Input::Offer(offer),
        ] {
            visit.take(now, input);
        }
        visit
    }

    /// Lets the booth have this, and everything that a working microphone and card answer to what it does.
    fn take(&mut self, now: Mono, input: Input) {
        self.used_at = now;
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for command in self.session.handle(now, input) {
                self.obey(now, command, &mut inputs);
            }
        }
    }

    fn obey(&mut self, now: Mono, command: Command, answers: &mut VecDeque<Input>) {
        match command {
            Command::Play {
                id, prompts, lang, ..
            } => {
                let heard = prompts.iter().map(|prompt| self.heard(prompt, &lang));
                self.playing = Some((id, heard.collect()));
            }
            Command::PlayBack { id, .. } => {
                let words = Heard {
                    sound: Sound::OwnWords,
                    pause_ms: 0,
                };
                self.playing = Some((id, vec![words]));
            }
            Command::StopPlay => self.playing = None,
            Command::Arm { take, .. } | Command::ArmTest { take } => {
                answers.push_back(self.receipt(take));
            }
            Command::Keep { take, from } => {
                self.recording_since = Some(from);
                self.tell(News::Records);
                answers.push_back(Input::Recorder(RecorderNews::Started(take)));
                answers.push_back(Input::Recorder(RecorderNews::Voice {
                    take,
                    active: true,
                    at: now,
                }));
            }
            Command::Finish { take, at, min, .. } => {
                let since = self.recording_since.take().unwrap_or(at);
                self.tell(News::Ends);
                answers.push_back(Input::Recorder(match since + min <= at {
                    true => RecorderNews::Held(take),
                    false => RecorderNews::Discarded(take),
                }));
            }
            Command::Discard { take } => {
                self.recording_since = None;
                self.tell(News::Deleted);
                answers.push_back(Input::Recorder(RecorderNews::Discarded(take)));
            }
            Command::Close { take, .. } => {
                self.tell(News::Kept);
                answers.push_back(Input::Recorder(RecorderNews::Kept(take)));
            }
            Command::Cast { take, choice, .. } => {
                self.tell(News::Cast(choice));
                answers.push_back(self.receipt(take));
                answers.push_back(Input::Recorder(RecorderNews::Kept(take)));
            }
            Command::Withdraw { .. } => {
                self.tell(News::Withdrawn);
                answers.push_back(Input::WithdrawalKept(true));
            }
            Command::Lamp(lamp) => self.lamp = lamp,
            Command::SessionOpened { .. } => {
                self.news.clear();
                self.tell(News::Begins);
            }
            Command::SessionClosed => self.tell(News::Over),
            // No technician comes, and nobody counts.
            Command::Service(_)
            | Command::Recording(_)
            | Command::Count(_)
            | Command::Event(_)
            | Command::HandsetLeftOff(_) => {}
        }
    }

    fn tell(&mut self, news: News) {
        self.news.push_back(news);
        while self.news.len() > MOST_NEWS {
            self.news.pop_front();
        }
    }

    /// The receipt of a take: always the same, because nobody can take anything back with it.
    fn receipt(&self, take: TakeId) -> Input {
        let mut next = 0u8;
        let digits = |bytes: &mut [u8]| {
            for byte in bytes {
                next = next.wrapping_add(7);
                *byte = next;
            }
        };
        Input::Receipt {
            take,
            receipt: Receipt::generate(digits, &[]),
        }
    }

    /// What a booth plays for a prompt: the campaign's, else its own voice, else what lies in its folder.
    fn heard(&self, prompt: &Prompt, lang: &str) -> Heard {
        let named = |name: &str| {
            let spoken = self.wanted.prompts.iter().flatten();
            let mut found = spoken.filter(|(own, _)| *own == name);
            found.next().and_then(|(_, spoken)| spoken.get(lang))
        };
        let mut pause_ms = 0;
        let sound = match prompt {
            Prompt::InLanguage(lang, prompt) => return self.heard(prompt, lang),
            Prompt::Pause => {
                pause_ms = 350;
                Sound::Silence
            }
            Prompt::Wanted(spoken) => {
                let first = || spoken.get(&self.first_language);
                let any = || spoken.values().next();
                match spoken.get(lang).or_else(first).or_else(any) {
                    Some(hash) => Sound::Prompt(hash.clone()),
                    None => Sound::Own(prompt.name().to_owned()),
                }
            }
            Prompt::Word(word) => match named(word.name()) {
                Some(hash) => Sound::Prompt(hash.clone()),
                None => {
                    pause_ms = word.pause_ms();
                    let language = Language::of(lang);
                    let tag = match language {
                        Language::Danish => "da",
                        Language::English => "en",
                    };
                    Sound::Word(word.name(), tag, word.text(language))
                }
            },
            other => match named(other.name()) {
                Some(hash) => Sound::Prompt(hash.clone()),
                None => Sound::Own(other.name().to_owned()),
            },
        };
        Heard { sound, pause_ms }
    }

    /// What a person before the booth's screen would see.
    pub(crate) fn scene(&self) -> Scene {
        self.session.scene()
    }

    /// Whether the handset is off its hook.
    pub(crate) fn is_off_hook(&self) -> bool {
        self.session.is_off_hook()
    }

    /// In how many ms the booth goes on by itself.
    pub(crate) fn due_in_ms(&self, now: Mono) -> Option<u64> {
        let due = self.session.deadline()?;
        let left = due.since(now);
        u64::try_from(left.as_millis()).ok()
    }
}

/// What somebody at the preview does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Lift,
    HangUp,
    Press(Key),
    /// What plays was heard to its end.
    HeardOut(PlayId),
    /// Time has passed.
    Wait,
}

impl Deed {
    /// Reads what a form or the page's script sends.
    pub(crate) fn of(text: &str) -> Option<Self> {
        Some(match text.split_once(':') {
            Some(("key", "*")) => Self::Press(Key::Star),
            Some(("key", "#")) => Self::Press(Key::Hash),
            Some(("key", digit)) => {
                let digit = digit.parse().ok().filter(|digit| *digit <= 9)?;
                Self::Press(Key::Digit(digit))
            }
            Some(("heard", id)) => Self::HeardOut(PlayId(id.parse().ok()?)),
            _ => match text {
                "lift" => Self::Lift,
                "hang-up" => Self::HangUp,
                "wait" => Self::Wait,
                _ => return None,
            },
        })
    }
}

/// All visits that are being played, by a key that only their page knows.
#[derive(Default)]
pub(crate) struct Visits(Mutex<HashMap<String, Visit>>);

impl std::fmt::Debug for Visits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("visits")
    }
}

impl Visits {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Visit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a visit under a key.
    pub(crate) fn begin(&self, key: &str, wanted: Wanted, language: &str, now: Mono) {
        let mut all = self.all();
        all.retain(|_, visit| visit.used_at + IDLE > now);
        while all.len() >= MOST {
            let oldest = all.iter().min_by_key(|(_, visit)| visit.used_at);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
                break;
            };
            all.remove(&oldest);
        }
        all.insert(key.to_owned(), Visit::new(wanted, language, now));
    }

    /// Does something in a visit, and looks at it then; `None` when it is over.
    pub(crate) fn with<T>(
        &self,
        key: &str,
        deed: Deed,
        now: Mono,
        look: impl FnOnce(&Visit) -> T,
    ) -> Option<T> {
        let mut all = self.all();
        all.retain(|_, visit| visit.used_at + IDLE > now);
        let visit = all.get_mut(key)?;
        // What fell due meanwhile comes first, as at a booth. It is little: each state has one deadline, and each is later.
        for _ in 0..MOST_NEWS {
            match visit.session.deadline() {
                Some(due) if due <= now => visit.take(now, Input::Tick),
                _ => break,
            }
        }
        match deed {
            Deed::Lift => visit.take(now, Input::Handset(HandsetEvent::Lifted)),
            Deed::HangUp => visit.take(now, Input::Handset(HandsetEvent::HungUp)),
            Deed::Press(key) => {
                let key = HandsetEvent::Key(key, KeySource::Keypad);
                visit.take(now, Input::Handset(key));
            }
            Deed::HeardOut(id) => {
                if visit.playing.as_ref().is_some_and(|(own, _)| *own == id) {
                    visit.playing = None;
                }
                visit.take(now, Input::PlayEnded(id));
            }
            Deed::Wait => {}
        }
        Some(look(visit))
    }
}

/// The texts of a campaign's prompts by their hashes, for whoever reads along.
pub(crate) fn texts(checked: &crate::centre::Checked) -> BTreeMap<MediaHash, String> {
    let said = checked.sayings.iter();
    said.filter_map(|saying| {
        let (hash, _) = saying.made.as_ref()?;
        let text = saying.text.clone().unwrap_or_else(|| saying.what.clone());
        Some((hash.clone(), text))
    })
    .collect()
}

#[cfg(test)]
mod tests;
