//! Every topic, built and taken apart in one place.

use std::fmt;

use super::{ClipId, MediaHash};

/// The user that sends a pulled card's messages from a laptop, each in the branch of the booth where it was spoken.
pub const COURIER: &str = "courier";

/// Names under which clients other than booths log in at the broker: the hub (its user name and its client ids), operations, a [`COURIER`] and Home
/// Assistant. No booth may have one of them: the broker's access rules go by a client's name, so that such a client could publish in the booth's
/// branch.
pub const RESERVED_IDS: [&str; 7] = [
    "hub",
    "operations",
    COURIER,
    "homeassistant",
    "booth-hub",
    "booth-hub-campaign",
    "booth-hub-forget",
];

/// Kinds of `event/{kind}` that booths publish, including those of earlier and later versions (contract §3).
pub const EVENT_KINDS: [&str; 24] = [
    "boot",
    "card_cloned",
    "card_closed",
    "case_closed",
    "case_opened",
    "clock_step",
    "config_applied",
    "data_partition_repaired",
    "device_lost",
    "hardware_changed",
    "hook_taught",
    "hung_up",
    "lifted",
    "old_card",
    "placed",
    "selftest",
    "service",
    "service_code_wrong",
    "stick",
    "tamper",
    "thread_hangs",
    "thread_moves",
    "update",
    "worker_died",
];

/// Commands of `cmd/{command}` and `reply/{command}` (contract §3.7).
pub const COMMANDS: [&str; 10] = [
    "drain",
    "purge",
    "reboot",
    "rebirth",
    "recipients",
    "reload",
    "resend",
    "ring",
    "selftest",
    "update",
];

/// A booth's name in topics: `[a-z0-9-]{3,32}` and none of [`RESERVED_IDS`]; also its MQTT client id and user name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct BoothId(String);

impl BoothId {
    /// Takes `text` as a booth id, or says what is wrong with it.
    ///
    /// # Errors
    /// A text that no booth may have as its id.
    pub fn parse(text: &str) -> Result<Self, BadBoothId> {
        let fits = (3..=32).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !fits {
            return Err(BadBoothId::Form(text.to_owned()));
        }
        if RESERVED_IDS.contains(&text) {
            return Err(BadBoothId::Reserved(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that cannot be a booth's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadBoothId {
    /// It is too short or too long, or has other characters.
    Form(String),
    /// Clients other than booths log in under it.
    Reserved(String),
}

impl fmt::Display for BadBoothId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(text) => write!(
                f,
                "{text:?} is no booth id: use 3 to 32 of the characters a-z, 0-9 and -"
            ),
            Self::Reserved(text) => write!(
                f,
                "{text:?} is no booth id: the hub or operations log in under it; choose another"
            ),
        }
    }
}

impl std::error::Error for BadBoothId {}

impl fmt::Display for BoothId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for BoothId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A topic taken apart. Text from outside is not checked here: a clip id may be any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// `{root}/up/{booth}/state`
    State(BoothId),
    /// `{root}/up/{booth}/birth`
    Birth(BoothId),
    /// `{root}/up/{booth}/health`
    Health(BoothId),
    /// `{root}/up/{booth}/alert/{id}`
    Alert(BoothId, String),
    /// `{root}/up/{booth}/event/{kind}`
    Event(BoothId, String),
    /// `{root}/up/{booth}/clip/{clip_id}`
    Clip(BoothId, ClipId),
    /// `{root}/up/{booth}/part/{clip_id}/{offset}`
    Part(BoothId, ClipId, u64),
    /// `{root}/up/{booth}/withdraw/{id}`
    Withdraw(BoothId, ClipId),
    /// `{root}/up/{booth}/reply/{command}`
    Reply(BoothId, String),
    /// `{root}/up/{booth}/config`
    ConfigReport(BoothId),
    /// `{root}/dn/{booth}/ack/{clip_id}`
    Ack(BoothId, ClipId),
    /// `{root}/dn/{booth}/config`
    ConfigWanted(BoothId),
    /// `{root}/dn/{booth}/cmd/{command}`
    Cmd(BoothId, String),
    /// `{root}/media/{sha256}`
    Media(MediaHash),
    /// `{root}/hub/state`
    HubState,
}

/// Builds and parses topics under one root (`booth/1` by default).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    root: String,
}

impl Topics {
    /// Topics under `root`, given without a slash at either end.
    pub fn new(root: impl Into<String>) -> Self {
        Self { root: root.into() }
    }

    /// The topic as text.
    pub fn name(&self, topic: &Topic) -> String {
        let root = &self.root;
        match topic {
            Topic::State(booth) => format!("{root}/up/{booth}/state"),
            Topic::Birth(booth) => format!("{root}/up/{booth}/birth"),
            Topic::Health(booth) => format!("{root}/up/{booth}/health"),
            Topic::Alert(booth, id) => format!("{root}/up/{booth}/alert/{id}"),
            Topic::Event(booth, kind) => format!("{root}/up/{booth}/event/{kind}"),
            Topic::Clip(booth, clip) => format!("{root}/up/{booth}/clip/{clip}"),
            Topic::Part(booth, clip, offset) => format!("{root}/up/{booth}/part/{clip}/{offset}"),
            Topic::Withdraw(booth, id) => format!("{root}/up/{booth}/withdraw/{id}"),
            Topic::Reply(booth, command) => format!("{root}/up/{booth}/reply/{command}"),
            Topic::ConfigReport(booth) => format!("{root}/up/{booth}/config"),
            Topic::Ack(booth, clip) => format!("{root}/dn/{booth}/ack/{clip}"),
            Topic::ConfigWanted(booth) => format!("{root}/dn/{booth}/config"),
            Topic::Cmd(booth, command) => format!("{root}/dn/{booth}/cmd/{command}"),
            Topic::Media(hash) => format!("{root}/media/{hash}"),
            Topic::HubState => format!("{root}/hub/state"),
        }
    }

    /// Takes a topic apart; `None` for one that this contract does not know.
    pub fn parse(&self, name: &str) -> Option<Topic> {
        let rest = name.strip_prefix(&self.root)?.strip_prefix('/')?;
        let levels: Vec<&str> = rest.split('/').collect();
        if levels == ["hub", "state"] {
            return Some(Topic::HubState);
        }
        if let ["media", hash] = levels.as_slice() {
            return MediaHash::parse(hash).map(Topic::Media);
        }
        let (direction, booth, tail) = match levels.as_slice() {
            [direction, booth, tail @ ..] => (*direction, BoothId::parse(booth).ok()?, tail),
            _ => return None,
        };
        let own = |text: &&str| (*text).to_owned();
        match (direction, tail) {
            ("up", ["state"]) => Some(Topic::State(booth)),
            ("up", ["birth"]) => Some(Topic::Birth(booth)),
            ("up", ["health"]) => Some(Topic::Health(booth)),
            ("up", ["alert", id]) => Some(Topic::Alert(booth, own(id))),
            ("up", ["event", kind]) => Some(Topic::Event(booth, own(kind))),
            ("up", ["clip", clip]) => Some(Topic::Clip(booth, (*clip).into())),
            ("up", ["part", clip, offset]) => {
                Some(Topic::Part(booth, (*clip).into(), offset.parse().ok()?))
            }
            ("up", ["withdraw", id]) => Some(Topic::Withdraw(booth, (*id).into())),
            ("up", ["reply", command]) => Some(Topic::Reply(booth, own(command))),
            ("up", ["config"]) => Some(Topic::ConfigReport(booth)),
            ("dn", ["ack", clip]) => Some(Topic::Ack(booth, (*clip).into())),
            ("dn", ["config"]) => Some(Topic::ConfigWanted(booth)),
            ("dn", ["cmd", command]) => Some(Topic::Cmd(booth, own(command))),
            _ => None,
        }
    }

    /// The sender in the topic of a message to the hub, whether it is a booth or not; `None` for a topic of another shape.
    pub fn sender<'a>(&self, name: &'a str) -> Option<&'a str> {
        self.came_up(name).map(|(sender, _)| sender)
    }

    /// The sender, and the topic's levels after it.
    pub fn came_up<'a>(&self, name: &'a str) -> Option<(&'a str, &'a str)> {
        let rest = name.strip_prefix(&self.root)?.strip_prefix("/up/")?;
        rest.split_once('/')
    }

    /// The filters a booth subscribes to: its own `dn` branch and the hub's presence.
    pub fn booth_filters(&self, booth: &BoothId) -> Vec<String> {
        let root = &self.root;
        vec![format!("{root}/dn/{booth}/#"), format!("{root}/hub/state")]
    }

    /// The filters of whoever sends a pulled card's messages: the hub's answers in the branch of this booth, or of every booth, and the hub's
    /// presence.
    pub fn courier_filters(&self, booth: Option<&BoothId>) -> Vec<String> {
        let root = &self.root;
        let booth = booth.map_or("+", BoothId::as_str);
        vec![
            format!("{root}/dn/{booth}/ack/+"),
            format!("{root}/hub/state"),
        ]
    }

    /// The filters of somebody who watches the fleet, of those that the role *operations* may read (contract §3): never a citizen's words.
    pub fn watcher_filters(&self) -> Vec<String> {
        let below = ["state", "birth", "health", "alert/#", "event/#", "reply/#"];
        let mut filters = self.below("+", &below);
        filters.push(format!("{}/hub/state", self.root));
        filters
    }

    /// The filter for the states of booths under every root that differs from this one in its last level alone, the contract's version.
    pub fn versions_filter(&self) -> String {
        match self.root.rsplit_once('/') {
            Some((city, _)) => format!("{city}/+/up/+/state"),
            None => "+/up/+/state".to_owned(),
        }
    }

    /// The filter for every message from one sender, `+` for all of them.
    pub fn sender_filter(&self, sender: &str) -> String {
        format!("{}/up/{sender}/#", self.root)
    }

    /// The filters for what citizens said at this sender, `+` for all of them: clips, their parts, and withdrawals.
    pub fn word_filters(&self, sender: &str) -> Vec<String> {
        self.below(sender, &["clip/+", "part/+/+", "withdraw/+"])
    }

    /// The filter for the manifests of this sender's clips, `+` for those of all of them.
    pub fn clip_filter(&self, sender: &str) -> String {
        format!("{}/up/{sender}/clip/+", self.root)
    }

    /// The filters for everything else that this sender says, `+` for all of them: what it says of itself.
    pub fn report_filters(&self, sender: &str) -> Vec<String> {
        let below = [
            "state", "birth", "health", "config", "alert/+", "event/+", "reply/+",
        ];
        self.below(sender, &below)
    }

    fn below(&self, sender: &str, levels: &[&str]) -> Vec<String> {
        let root = &self.root;
        let filters = levels
            .iter()
            .map(|tail| format!("{root}/up/{sender}/{tail}"));
        filters.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_survives_a_round_trip() {
        let booth = BoothId::parse("rundhoej-1").expect("a good id");
        let topics = Topics::new("booth/1");
        let all = [
            Topic::State(booth.clone()),
            Topic::Birth(booth.clone()),
            Topic::Health(booth.clone()),
            Topic::Alert(booth.clone(), "spool_full".into()),
            Topic::Event(booth.clone(), "boot".into()),
            Topic::Clip(booth.clone(), "c".into()),
            Topic::Part(booth.clone(), "c".into(), 16_384),
            Topic::Withdraw(booth.clone(), "w".into()),
            Topic::Reply(booth.clone(), "rebirth".into()),
            Topic::ConfigReport(booth.clone()),
            Topic::Ack(booth.clone(), "c".into()),
            Topic::ConfigWanted(booth.clone()),
            Topic::Cmd(booth, "ring".into()),
            Topic::Media(MediaHash::parse(&"0a".repeat(32)).expect("a hash")),
            Topic::HubState,
        ];
        for topic in all {
            assert_eq!(topics.parse(&topics.name(&topic)), Some(topic));
        }
    }

    #[test]
    fn strange_topics_are_unknown_not_fatal() {
        let topics = Topics::new("booth/1");
        for name in [
            "",
            "/",
            "booth/1",
            "booth/1/up",
            "booth/1/up/AB/state",
            "booth/1/up/abc/part/x/-1",
            "booth/1/up/abc/part/x/99999999999999999999",
            "booth/2/up/abc/state",
            "booth/1/up/abc/state/more",
            "booth/1/hub/state/x",
            "booth/1/media",
            "booth/1/media/0A",
            "booth/1/media/../media",
        ] {
            assert_eq!(topics.parse(name), None, "{name}");
        }
    }

    #[test]
    fn who_watches_reads_no_word_of_a_citizen() {
        let topics = Topics::new("booth/1");
        let filters = topics.watcher_filters();
        assert_eq!(
            (filters.len(), filters[0].as_str()),
            (7, "booth/1/up/+/state")
        );
        for words in ["clip", "part", "withdraw", "up/#", "+/#"] {
            assert!(
                !filters.iter().any(|filter| filter.contains(words)),
                "{words}"
            );
        }
        assert_eq!(topics.versions_filter(), "booth/+/up/+/state");
        assert_eq!(Topics::new("city").versions_filter(), "+/up/+/state");
    }

    /// Whether a filter fits a topic (MQTT 5 §4.7).
    fn fits(filter: &str, topic: &str) -> bool {
        let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
        loop {
            match (filter.next(), topic.next()) {
                (Some("#"), _) => return true,
                (Some(level), Some(found)) if level == "+" || level == found => {}
                (None, None) => return true,
                _ => return false,
            }
        }
    }

    #[test]
    fn words_and_reports_are_everything_that_a_booth_says_and_each_topic_is_one_of_them() {
        let topics = Topics::new("booth/1");
        let booth = BoothId::parse("rundhoej-1").expect("a good id");
        let words = [
            Topic::Clip(booth.clone(), "c".into()),
            Topic::Part(booth.clone(), "c".into(), 0),
            Topic::Withdraw(booth.clone(), "w".into()),
        ];
        let reports = [
            Topic::State(booth.clone()),
            Topic::Birth(booth.clone()),
            Topic::Health(booth.clone()),
            Topic::ConfigReport(booth.clone()),
            Topic::Alert(booth.clone(), "power".into()),
            Topic::Event(booth.clone(), "boot".into()),
            Topic::Reply(booth, "ring".into()),
        ];
        for sender in ["+", "rundhoej-1"] {
            for (all, own, other) in [
                (
                    &words[..],
                    topics.word_filters(sender),
                    topics.report_filters(sender),
                ),
                (
                    &reports,
                    topics.report_filters(sender),
                    topics.word_filters(sender),
                ),
            ] {
                for topic in all {
                    let name = topics.name(topic);
                    let hits =
                        |filters: &[String]| filters.iter().filter(|f| fits(f, &name)).count();
                    assert_eq!((hits(&own), hits(&other)), (1, 0), "{name}");
                }
            }
        }
        let of_another = topics.word_filters("rundhoej-2");
        assert!(!of_another.iter().any(|f| fits(f, &topics.name(&words[0]))));
    }

    #[test]
    fn the_hub_and_operations_are_no_booths_on_any_topic() {
        let topics = Topics::new("booth/1");
        for id in RESERVED_IDS {
            let refused = BoothId::parse(id).expect_err(id).to_string();
            assert!(refused.contains("log in under it"), "{refused}");
            for tail in ["state", "clip/x", "part/x/0", "alert/power"] {
                let name = format!("booth/1/up/{id}/{tail}");
                assert_eq!(topics.parse(&name), None);
                assert_eq!(topics.sender(&name), Some(id));
            }
        }
        assert!(BoothId::parse("hub-1").is_ok() && BoothId::parse("operations-2").is_ok());
        for other in ["booth/1/dn/hub/state", "booth/1/up/hub", "hub/state", ""] {
            assert_eq!(topics.sender(other), None);
        }
    }
}
