//! What was heard of the fleet.
//!
//! Owns: which word of a booth counts (contract §3: sessions are compared within one card, another takes over by its birth), what is raised
//! there, and the log of what happened. Pure. Never does: judge how a booth stands; [`super::row`] asks [`booth_contract::fleet`]. Every
//! list has a limit.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use booth_contract::time::Timestamp;
use booth_contract::{
    Alert, AlertId, Birth, BoothId, BoothState, CardId, Health, HubState, MAX_JSON_BYTES, Presence,
    SCHEMA, Session, Severity, Topic, Topics, reading,
};
use booth_host::text::one_line;
use jiff::SignedDuration;

use super::link::Message;
use super::row::Row;

/// Most booths: as many as a hub keeps.
const MOST_BOOTHS: usize = 10_000;
/// Most alerts of one booth.
const MOST_ALERTS: usize = 64;
/// Most cards of one booth whose sessions are remembered.
const MOST_CARDS: usize = 8;
/// Most lines of the log; the oldest gives way.
const MOST_LINES: usize = 500;
/// Most other roots that are named.
const MOST_ROOTS: usize = 4;
/// Longest text of a booth that is kept, in characters.
const LONGEST: usize = 300;
/// Longest name of a booth, and of its version.
const LONGEST_NAME: usize = 64;
/// So long after a connection was made again the broker has repeated everything that it keeps, seconds.
const REPEATED_AFTER_S: i64 = 10;
/// Two machines under one id count for this long after the second was heard.
pub(super) const TWO_MACHINES_HOURS: i64 = 24;

/// What a line of the log is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The connection of this program.
    Broker,
    /// The hub came or went.
    Hub,
    /// A booth came or went, or can or cannot take messages.
    Booth,
    /// An alert was raised or is over.
    Alert,
    /// Something happened at a booth, as it says.
    Event,
    /// A booth answered a command.
    Reply,
}

impl Kind {
    /// Its name for programs.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Hub => "hub",
            Self::Booth => "booth",
            Self::Alert => "alert",
            Self::Event => "event",
            Self::Reply => "reply",
        }
    }
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) at: Timestamp,
    pub(super) booth: Option<String>,
    pub(super) kind: Kind,
    pub(super) text: String,
}

/// An alert that is raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raised {
    pub(super) severity: Severity,
    pub(super) text: String,
    pub(super) since: String,
}

/// One booth.
#[derive(Debug, Default)]
pub(super) struct Booth {
    pub(super) id: String,
    pub(super) birth: Option<Birth>,
    /// The card that is in it.
    pub(super) card: Option<CardId>,
    /// The latest state of each of its cards.
    pub(super) states: BTreeMap<CardId, (Session, Presence)>,
    pub(super) health: Option<Health>,
    /// When that was said, as far as is known, and whether it was heard as it was said.
    pub(super) health_at: Option<Timestamp>,
    pub(super) is_live: bool,
    pub(super) alerts: BTreeMap<String, Raised>,
    /// The alerts that were heard since the connection was made; whether the broker has repeated anything of this booth since then, and whether
    /// anything at all was heard of it.
    heard: BTreeSet<String>,
    is_repeated: bool,
    is_heard: bool,
    /// The machines that said a birth here, and when.
    pub(super) machines: BTreeMap<String, Timestamp>,
}

/// The fleet.
#[derive(Debug)]
pub(super) struct Book {
    topics: Topics,
    booths: BTreeMap<String, Booth>,
    pub(super) log: VecDeque<Entry>,
    /// What the hub said last.
    pub(super) hub: Option<Presence>,
    /// Since when the broker is connected, or what failed.
    pub(super) broker: Result<Timestamp, String>,
    /// When a message below the root was heard last.
    pub(super) heard_at: Option<Timestamp>,
    /// Messages that could not be read, and the last one in a sentence.
    pub(super) unreadable: (u64, String),
    /// Roots beside ours where booths are.
    pub(super) other_roots: BTreeSet<String>,
    /// Since when the broker repeats what it keeps, until all of it was heard. What was cleared while there was no connection is not in it.
    repeats_since: Option<Timestamp>,
    has_hub_said: bool,
}

impl Book {
    pub(super) fn new(topics: Topics) -> Self {
        Self {
            topics,
            booths: BTreeMap::new(),
            log: VecDeque::new(),
            hub: None,
            broker: Err("not connected yet".into()),
            heard_at: None,
            unreadable: (0, String::new()),
            other_roots: BTreeSet::new(),
            repeats_since: None,
            has_hub_said: false,
        }
    }

    /// The connection stands.
    pub(super) fn connected(&mut self, now: Timestamp) {
        self.broker = Ok(now);
        self.note(now, None, Kind::Broker, "connected to the broker".into());
        self.repeats_since = Some(now);
        self.has_hub_said = false;
        for booth in self.booths.values_mut() {
            booth.heard.clear();
            (booth.is_repeated, booth.is_heard) = (false, false);
        }
    }

    /// Once the broker has repeated everything: what it has not repeated was cleared while there was no connection. A broker that repeats nothing
    /// (MQTT lets it) says nothing by that.
    pub(super) fn settle(&mut self, now: Timestamp) {
        let until = SignedDuration::from_secs(REPEATED_AFTER_S);
        let is_over = self
            .repeats_since
            .is_some_and(|since| now.duration_since(since) >= until);
        if !is_over || self.broker.is_err() {
            return;
        }
        self.repeats_since = None;
        if !self.booths.values().any(|booth| booth.is_repeated) {
            return;
        }
        if !self.has_hub_said {
            self.hub = None;
        }
        let mut over = Vec::new();
        self.booths.retain(|id, booth| {
            let heard = std::mem::take(&mut booth.heard);
            if !booth.is_heard {
                let text = "the broker keeps nothing of it any more".to_owned();
                over.push((id.clone(), Kind::Booth, text));
                return false;
            }
            if !booth.is_repeated {
                return true;
            }
            booth.alerts.retain(|name, _| {
                let is_raised = heard.contains(name);
                if !is_raised {
                    over.push((id.clone(), Kind::Alert, format!("{name} is over")));
                }
                is_raised
            });
            true
        });
        for (id, kind, text) in over {
            self.note(now, Some(&id), kind, text);
        }
    }

    /// There is no connection.
    pub(super) fn lost(&mut self, now: Timestamp, why: &str) {
        let why = one_line(why, 2 * LONGEST);
        // The same failure of one attempt after another is one line.
        if self.broker.as_ref().err() != Some(&why) {
            self.note(now, None, Kind::Broker, why.clone());
        }
        self.broker = Err(why);
    }

    fn note(&mut self, at: Timestamp, booth: Option<&str>, kind: Kind, text: String) {
        if self.log.len() >= MOST_LINES {
            self.log.pop_front();
        }
        self.log.push_back(Entry {
            at,
            booth: booth.map(str::to_owned),
            kind,
            text: one_line(&text, 2 * LONGEST),
        });
    }

    /// A message has come.
    pub(super) fn hear(&mut self, now: Timestamp, message: &Message) {
        let Some(topic) = self.topics.parse(&message.topic) else {
            self.strange(message);
            return;
        };
        self.heard_at = Some(now);
        let heard = match topic {
            Topic::HubState => self.hub_said(now, message),
            Topic::State(booth) => self.state(now, &booth, message),
            Topic::Birth(booth) => self.birth(now, &booth, message),
            Topic::Health(booth) => self.health(now, &booth, message),
            Topic::Alert(booth, id) => self.alert(now, &booth, &id, message),
            Topic::Event(booth, kind) => self.happened(now, &booth, Kind::Event, &kind, message),
            Topic::Reply(booth, command) => {
                self.happened(now, &booth, Kind::Reply, &command, message)
            }
            _ => Ok(()),
        };
        if let Err(why) = heard {
            let (times, last) = &mut self.unreadable;
            *times += 1;
            *last = one_line(&format!("{}: {why}", message.topic), LONGEST);
        }
    }

    /// A topic below no root of ours: of booths of another version, or of a sender that is no booth.
    fn strange(&mut self, message: &Message) {
        let root = message.topic.split_once("/up/").map(|(root, _)| root);
        let own = self.topics.name(&Topic::HubState);
        if let Some(root) = root
            && !own.starts_with(&format!("{root}/"))
            && self.other_roots.len() < MOST_ROOTS
        {
            self.other_roots.insert(one_line(root, 40));
        }
    }

    fn hub_said(&mut self, now: Timestamp, message: &Message) -> Result<(), String> {
        self.has_hub_said = true;
        let state = match message.payload.is_empty() {
            true => None,
            false => Some(parsed::<HubState>(&message.payload)?.state),
        };
        if state != self.hub && !message.is_retained {
            let text = match state {
                Some(Presence::Online) => "the hub is online",
                Some(Presence::Offline | Presence::Lost) => "the hub is lost",
                None => "what the hub said was cleared at the broker",
            };
            self.note(now, None, Kind::Hub, text.into());
        }
        self.hub = state;
        Ok(())
    }

    /// The booth of this id, unless it would be one too many.
    fn of(&mut self, id: &BoothId) -> Result<&mut Booth, String> {
        let has_room = self.booths.len() < MOST_BOOTHS;
        match self.booths.contains_key(id.as_str()) || has_room {
            true => Ok(self
                .booths
                .entry(id.as_str().to_owned())
                .or_insert_with(|| Booth {
                    id: id.as_str().to_owned(),
                    ..Booth::default()
                })),
            false => Err(format!("more than {MOST_BOOTHS} booths")),
        }
    }

    fn state(&mut self, now: Timestamp, id: &BoothId, message: &Message) -> Result<(), String> {
        if message.payload.is_empty() {
            if self.booths.remove(id.as_str()).is_some() {
                let text = "what it said was cleared at the broker".into();
                self.note(now, Some(id.as_str()), Kind::Booth, text);
            }
            return Ok(());
        }
        let said: BoothState = parsed(&message.payload)?;
        let booth = self.of(id)?;
        booth.is_heard = true;
        booth.is_repeated |= message.is_retained;
        let known = booth.states.get(&said.card_id);
        if said.is_late(known.map(|(session, state)| (*session, *state == Presence::Online))) {
            return Ok(());
        }
        let before = known.map(|(_, state)| *state);
        let has_room = booth.states.len() < MOST_CARDS;
        if before.is_none() && !has_room {
            let current = booth.card.clone();
            booth
                .states
                .retain(|card, _| Some(card) == current.as_ref());
        }
        let card = booth.card.get_or_insert_with(|| said.card_id.clone());
        let is_current = *card == said.card_id;
        booth
            .states
            .insert(said.card_id, (said.session, said.state));
        if is_current && !message.is_retained && before != Some(said.state) {
            let text = match said.state {
                Presence::Online => "connected",
                Presence::Offline => "stopped cleanly",
                Presence::Lost => "lost its connection",
            };
            self.note(now, Some(id.as_str()), Kind::Booth, text.into());
        }
        Ok(())
    }

    fn birth(&mut self, now: Timestamp, id: &BoothId, message: &Message) -> Result<(), String> {
        if message.payload.is_empty() {
            return Ok(());
        }
        let mut birth: Birth = parsed(&message.payload)?;
        if let Some(other) = birth.booth_id.as_ref().filter(|named| *named != id) {
            return Err(format!("the birth names {other}"));
        }
        let booth = self.of(id)?;
        booth.is_heard = true;
        booth.is_repeated |= message.is_retained;
        // A repeat of an old birth must not bring an old card back.
        let is_old = booth
            .birth
            .as_ref()
            .is_some_and(|known| known.card_id == birth.card_id && birth.session < known.session);
        if is_old {
            return Ok(());
        }
        if let Some(serial) = &birth.hw_serial
            && !message.is_retained
        {
            let is_recent = |at: &Timestamp| {
                now.duration_since(*at) < SignedDuration::from_hours(TWO_MACHINES_HOURS)
            };
            booth.machines.retain(|_, at| is_recent(at));
            if booth.machines.len() < MOST_CARDS {
                booth.machines.insert(one_line(serial, 64), now);
            }
        }
        birth.name = one_line(&birth.name, LONGEST_NAME);
        birth.sw_version = one_line(&birth.sw_version, LONGEST_NAME);
        booth.card = Some(birth.card_id.clone());
        booth.birth = Some(birth);
        Ok(())
    }

    fn health(&mut self, now: Timestamp, id: &BoothId, message: &Message) -> Result<(), String> {
        if message.payload.is_empty() {
            return Ok(());
        }
        if message.payload.len() > MAX_JSON_BYTES {
            return Err(format!("{} bytes", message.payload.len()));
        }
        let health = Health::from_json(&message.payload).map_err(|why| why.to_string())?;
        let booth = self.of(id)?;
        booth.is_heard = true;
        let ready = (booth.ready(), health.ready);
        // After a lost connection the broker repeats what was heard before it, at its time.
        let is_known = booth.is_live && booth.health.as_ref() == Some(&health);
        if !(message.is_retained && is_known) {
            booth.health_at = match message.is_retained {
                true => health.retained_since(now, message.left_s),
                false => Some(now),
            };
            booth.is_live = !message.is_retained;
        }
        booth.health = Some(health);
        if message.is_retained {
            return Ok(());
        }
        match ready {
            (Some(true) | None, Some(false)) => {
                let text = "cannot take messages".into();
                self.note(now, Some(id.as_str()), Kind::Booth, text);
            }
            (Some(false), Some(true)) => {
                let text = "can take messages again".into();
                self.note(now, Some(id.as_str()), Kind::Booth, text);
            }
            _ => {}
        }
        Ok(())
    }

    fn alert(
        &mut self,
        now: Timestamp,
        id: &BoothId,
        alert: &str,
        message: &Message,
    ) -> Result<(), String> {
        let name = one_line(alert, 64);
        if message.payload.is_empty() {
            // A booth that was forgotten does not come back by it.
            let booth = self.booths.get_mut(id.as_str());
            if booth.is_some_and(|booth| booth.alerts.remove(&name).is_some()) {
                let text = format!("{name} is over");
                self.note(now, Some(id.as_str()), Kind::Alert, text);
            }
            return Ok(());
        }
        let booth = self.of(id)?;
        let said: Alert = parsed(&message.payload)?;
        if booth.heard.len() < MOST_ALERTS {
            booth.heard.insert(name.clone());
        }
        let is_of_the_table = AlertId::parse(&name).is_some();
        if !is_of_the_table && booth.alerts.len() >= MOST_ALERTS {
            return Err(format!("more than {MOST_ALERTS} alerts"));
        }
        let raised = Raised {
            severity: said.severity_of(&name),
            text: one_line(&said.sentence(&name), LONGEST),
            since: one_line(&said.since, 40),
        };
        let before = booth.alerts.insert(name.clone(), raised.clone());
        let is_news = before.is_none_or(|before| before.text != raised.text);
        if is_news && !message.is_retained {
            let text = format!("{name}: {}", raised.text);
            self.note(now, Some(id.as_str()), Kind::Alert, text);
        }
        Ok(())
    }

    fn happened(
        &mut self,
        now: Timestamp,
        id: &BoothId,
        kind: Kind,
        name: &str,
        message: &Message,
    ) -> Result<(), String> {
        self.of(id)?;
        if message.payload.len() > MAX_JSON_BYTES {
            return Err(format!("{} bytes", message.payload.len()));
        }
        let said = String::from_utf8_lossy(&message.payload);
        let text = match said.as_ref() {
            "" | "{}" => name.to_owned(),
            said => format!("{name} {said}"),
        };
        self.note(now, Some(id.as_str()), kind, text);
        Ok(())
    }

    /// Every booth as it stands now, in order of id.
    pub(super) fn rows(&self, now: Timestamp) -> Vec<Row<'_>> {
        self.booths
            .values()
            .map(|booth| Row::new(booth, now))
            .collect()
    }

    /// What whoever watches should know beside the booths, with the remedy.
    pub(super) fn notes(&self, now: Timestamp) -> Vec<String> {
        let mut notes = Vec::new();
        let own = self.topics.name(&Topic::HubState);
        let root = own.trim_end_matches("/hub/state");
        match &self.broker {
            Err(why) => notes.push(format!("No connection to the broker: {why}")),
            Ok(since) if self.heard_at.is_none() => {
                let waits = now.duration_since(*since) >= SignedDuration::from_secs(10);
                if let Some(other) = self.other_roots.first() {
                    notes.push(format!(
                        "No booth below {root}; there are booths below {other}: name it with --root, or take the booth-gateway of their version."
                    ));
                } else if waits {
                    notes.push(format!(
                        "Nothing was heard below {root} yet. Check --root, and that the broker lets this user read {root}/up/+/health as docs/mosquitto.acl \
                         lets operations; a broker that repeats nothing shows each booth with its next health."
                    ));
                }
            }
            Ok(_) => {
                if let Some(Presence::Offline | Presence::Lost) = self.hub {
                    notes.push("The hub is not online: messages stay on the booths' cards. Start booth-hub, or look at its log.".into());
                }
            }
        }
        if let (times @ 1.., last) = &self.unreadable {
            notes.push(format!(
                "{times} messages could not be read, the last one {last}. A booth of another version, or somebody else's topic: take the booth-gateway of their version."
            ));
        }
        let newer = self.booths.values().filter(|booth| {
            let schema = booth.birth.as_ref().map(|birth| birth.schema);
            schema.is_some_and(|schema| schema > SCHEMA)
        });
        if let count @ 1.. = newer.count() {
            notes.push(format!(
                "{count} booths speak a newer version than this program: take the booth-gateway of their version."
            ));
        }
        notes
    }
}

fn parsed<T: serde::de::DeserializeOwned>(payload: &[u8]) -> Result<T, String> {
    if payload.len() > MAX_JSON_BYTES {
        return Err(format!("{} bytes", payload.len()));
    }
    reading::object(payload).map_err(|why| why.to_string())
}

impl Booth {
    /// Whether citizens can speak there, as its last health says.
    pub(super) fn ready(&self) -> Option<bool> {
        let ready = self.health.as_ref()?.get("ready")?;
        Some(ready == 1.0)
    }
}
