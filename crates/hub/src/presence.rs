//! What the hub says of itself in `{root}/hub/state` (contract §3.6).
//!
//! Owns: the content of the hub's presence. Pure. Never does: publish it.

use jiff::Timestamp;

use super::config::HubConfig;
use booth_contract::time::rfc3339;
use booth_contract::{HubState, Presence, SCHEMA};
use booth_host::clock;

/// Which hub this is and what it takes: when one of these values changes, booths offer again what the hub refused before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Which program, and which version of it.
    pub version: String,
    /// Largest clip body that it takes, bytes.
    pub max_clip_bytes: u64,
    /// Booths spread their introductions over so many seconds.
    pub jitter_s: u32,
    /// Which process this is: the machine, the store on that machine, the process and its start time.
    pub instance: Option<String>,
}

/// What a retained hub state shows about the hub that published it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kin {
    /// This process published it.
    Own,
    /// An earlier process with the same store published it.
    Earlier,
    /// The hub that published it has left, and said so.
    Left,
    /// Another hub published it, which is connected or has lost its connection.
    Another,
}

impl About {
    /// The presence of this program with this configuration.
    pub fn new(config: &HubConfig) -> Self {
        Self {
            version: concat!("booth-hub ", env!("CARGO_PKG_VERSION")).into(),
            max_clip_bytes: config.store.max_clip_bytes,
            jitter_s: config.mqtt.jitter_s,
            instance: Some(format!(
                "{}-{}-{}",
                installation(config),
                std::process::id(),
                clock::wall().as_millisecond()
            )),
        }
    }

    /// The state of a hub that is connected.
    pub fn online(&self, now: Timestamp) -> Vec<u8> {
        said(&HubState {
            ts: Some(rfc3339(now)),
            version: Some(self.version.clone()),
            max_clip_bytes: Some(self.max_clip_bytes),
            schemas: Some(vec![SCHEMA]),
            jitter_s: Some(self.jitter_s),
            instance: self.instance.clone(),
            ..HubState::bare(Presence::Online)
        })
    }

    /// The state of a hub that is gone: its will, which has no time, or its last message.
    pub fn lost(&self, now: Option<Timestamp>) -> Vec<u8> {
        said(&HubState {
            ts: now.map(rfc3339),
            instance: self.instance.clone(),
            ..HubState::bare(Presence::Lost)
        })
    }

    /// Whether the retained hub state is another hub's message, or the will of another hub that lost its connection.
    pub fn is_anothers(&self, state: &HubState) -> bool {
        match &state.instance {
            Some(instance) => self.instance.as_ref() != Some(instance),
            None => state.state == Presence::Online,
        }
    }

    /// Which hub published the state, and whether that hub may still want to be connected.
    pub fn kin(&self, state: &HubState) -> Kin {
        let own = self.instance.as_deref().and_then(installation_of);
        let theirs = state.instance.as_deref().and_then(installation_of);
        match state.state {
            _ if !self.is_anothers(state) => Kin::Own,
            _ if own.is_some() && own == theirs => Kin::Earlier,
            // A will has no time: that hub lost its connection or its power.
            Presence::Online => Kin::Another,
            _ if state.ts.is_none() => Kin::Another,
            _ => Kin::Left,
        }
    }
}

/// The machine's name, by which a person finds it, and a hash of the store's path: two hubs on one machine have two stores.
fn installation(config: &HubConfig) -> String {
    let machine = rustix::system::uname();
    let machine: String = machine
        .nodename()
        .to_string_lossy()
        .chars()
        .filter(|sign| sign.is_ascii_alphanumeric() || matches!(sign, '-' | '.'))
        .take(64)
        .collect();
    let dir = &config.store.dir;
    let place = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
    let place = crc32c::crc32c(place.as_os_str().as_encoded_bytes());
    format!("{machine}-{place:08x}")
}

/// The part of an instance that names the installation, without the process and its start time.
fn installation_of(instance: &str) -> Option<&str> {
    instance.rsplitn(3, '-').nth(2)
}

fn said(state: &HubState) -> Vec<u8> {
    serde_json::to_vec(state).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_online_hub_says_its_version_and_limits_and_a_lost_one_only_that() {
        let about = About {
            version: "booth-hub 1.2.3".into(),
            max_clip_bytes: 16_000_000,
            jitter_s: 10,
            instance: None,
        };
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        assert_eq!(
            text(about.online(Timestamp::UNIX_EPOCH)),
            r#"{"state":"online","ts":"1970-01-01T00:00:00.000Z","version":"booth-hub 1.2.3","max_clip_bytes":16000000,"schemas":[1],"jitter_s":10}"#
        );
        assert_eq!(text(about.lost(None)), r#"{"state":"lost"}"#);
    }

    #[test]
    fn a_hub_on_another_machine_is_told_from_ones_own_earlier_process_and_from_one_that_left() {
        let about = |instance: &str| About {
            version: "booth-hub 1.2.3".into(),
            max_clip_bytes: 1,
            jitter_s: 10,
            instance: Some(instance.into()),
        };
        let own = about("centre-1.example-00c0ffee-77-1700000000000");
        let kin = |said: Vec<u8>| own.kin(&serde_json::from_slice(&said).expect("a state"));
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(kin(own.online(now)), Kin::Own);
        let earlier = about("centre-1.example-00c0ffee-12-1600000000000");
        assert_eq!(kin(earlier.online(now)), Kin::Earlier);
        assert_eq!(kin(earlier.lost(None)), Kin::Earlier);
        for other in [
            "centre-2-00c0ffee-77-1700000000001",
            "centre-1.example-0badcafe-78-1700000000001",
        ] {
            let other = about(other);
            assert_eq!(kin(other.online(now)), Kin::Another);
            assert_eq!(kin(other.lost(None)), Kin::Another);
            assert_eq!(kin(other.lost(Some(now))), Kin::Left);
        }
    }

    #[test]
    fn another_hubs_word_and_its_will_are_told_from_ones_own() {
        let about = |instance: Option<&str>| About {
            version: "booth-hub 1.2.3".into(),
            max_clip_bytes: 1,
            jitter_s: 10,
            instance: instance.map(str::to_owned),
        };
        let own = about(Some("1"));
        let is_anothers =
            |said: Vec<u8>| own.is_anothers(&serde_json::from_slice(&said).expect("a state"));
        let now = Timestamp::UNIX_EPOCH;
        assert!(!is_anothers(own.online(now)) && !is_anothers(own.lost(None)));
        let other = about(Some("2"));
        assert!(is_anothers(other.online(now)) && is_anothers(other.lost(None)));
        // A hub that does not say which it is: its will may be any hub's, and its `online` counts as another hub's.
        let old = about(None);
        assert!(is_anothers(old.online(now)) && !is_anothers(old.lost(None)));
    }
}
