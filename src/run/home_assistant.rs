//! The booth as a device of Home Assistant: one retained message of its MQTT discovery, which names topics that are published anyway.
//!
//! Owns: what Home Assistant is told to show. Never does: publish anything else for it, take anything from it, or say whether somebody is
//! in the booth.

use serde_json::{Map, Value, json};

use super::Gateway;
use crate::adapters::mqtt::Kind;
use crate::config::Config;
use booth_contract::{Topic, Topics};

/// The first level under which Home Assistant looks for devices, unless somebody has changed it there.
const PREFIX: &str = "homeassistant";
/// Health is stale after so many intervals (contract §3).
const STALE_INTERVALS: u64 = 3;

/// A number of health that is shown: its name there, its name for people, and what Home Assistant should know of it besides.
type Shown = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

const MEASURED: (&str, &str) = ("state_class", "measurement");
const DIAGNOSTIC: (&str, &str) = ("entity_category", "diagnostic");

const NUMBERS: &[Shown] = &[
    ("faults", "Alerts", &[MEASURED]),
    ("spool_clips", "Messages on the card", &[MEASURED]),
    (
        "oldest_unsent_s",
        "Oldest unsent message",
        &[
            ("device_class", "duration"),
            ("unit_of_measurement", "s"),
            MEASURED,
        ],
    ),
    ("quarantined_clips", "Messages in quarantine", &[MEASURED]),
    (
        "clips_today",
        "Messages today",
        &[("state_class", "total_increasing")],
    ),
    (
        "lifts_today",
        "Visits today",
        &[("state_class", "total_increasing")],
    ),
    (
        "cpu_temp_c",
        "Processor",
        &[
            ("device_class", "temperature"),
            ("unit_of_measurement", "°C"),
            MEASURED,
            DIAGNOSTIC,
        ],
    ),
    (
        "data_used_pct",
        "Card used",
        &[("unit_of_measurement", "%"), MEASURED, DIAGNOSTIC],
    ),
    (
        "mem_free_mb",
        "Free memory",
        &[
            ("device_class", "data_size"),
            ("unit_of_measurement", "MiB"),
            MEASURED,
            DIAGNOSTIC,
        ],
    ),
    (
        "wifi_rssi_dbm",
        "Wi-Fi",
        &[
            ("device_class", "signal_strength"),
            ("unit_of_measurement", "dBm"),
            MEASURED,
            DIAGNOSTIC,
        ],
    ),
    (
        "up_s",
        "Running for",
        &[
            ("device_class", "duration"),
            ("unit_of_measurement", "s"),
            MEASURED,
            DIAGNOSTIC,
        ],
    ),
    (
        "cert_days_left",
        "Certificate",
        &[("unit_of_measurement", "d"), MEASURED, DIAGNOSTIC],
    ),
];

/// The topic and the payload of the discovery.
fn discovery(
    config: &Config,
    topics: &Topics,
    model: Option<&str>,
    serial: Option<&str>,
) -> (String, Value) {
    let booth = &config.booth.id;
    let health = topics.name(&Topic::Health(booth.clone()));
    let stale_s = config.health.interval_s.saturating_mul(STALE_INTERVALS);
    let entity = |key: &str, platform: &str, name: &str| {
        json!({
            "platform": platform,
            "name": name,
            "unique_id": format!("booth-gateway_{booth}_{key}"),
            "state_topic": health,
            "expire_after": stale_s,
        })
    };
    let mut components = Map::new();
    let mut ready = entity("ready", "binary_sensor", "Ready");
    ready["value_template"] = "{{ value_json.ready }}".into();
    ready["payload_on"] = "1".into();
    ready["payload_off"] = "0".into();
    components.insert("ready".into(), ready);
    let mut problem = entity("problem", "binary_sensor", "Alert");
    problem["device_class"] = "problem".into();
    problem["value_template"] =
        "{{ 'ON' if value_json.faults | default(0) > 0 else 'OFF' }}".into();
    components.insert("problem".into(), problem);
    for (key, name, more) in NUMBERS {
        let mut number = entity(key, "sensor", name);
        // What this machine cannot know is absent from health, and unknown there.
        number["value_template"] = format!("{{{{ value_json.{key} | default('None') }}}}").into();
        for (what, value) in *more {
            number[*what] = (*value).into();
        }
        components.insert((*key).into(), number);
    }
    let name = match config.booth.name.as_str() {
        "" => booth.as_str(),
        name => name,
    };
    let mut device = json!({
        "identifiers": [format!("booth-gateway_{booth}")],
        "name": name,
        "sw_version": env!("CARGO_PKG_VERSION"),
    });
    for (what, value) in [("model", model), ("serial_number", serial)] {
        if let Some(value) = value {
            device[what] = value.into();
        }
    }
    let payload = json!({
        "device": device,
        "origin": { "name": "booth-gateway", "sw_version": env!("CARGO_PKG_VERSION") },
        "availability": [{
            "topic": topics.name(&Topic::State(booth.clone())),
            "value_template": "{{ 'online' if value_json.state == 'online' else 'offline' }}",
        }],
        "components": components,
        "qos": 1,
    });
    (format!("{PREFIX}/device/{booth}/config"), payload)
}

impl Gateway {
    /// Describes the booth to Home Assistant, where booth.toml wants it.
    pub(super) fn publish_to_home_assistant(&mut self) {
        if !self.config.mqtt.home_assistant {
            return;
        }
        let (model, serial) = (
            self.about.hw_model.as_deref(),
            self.about.hw_serial.as_deref(),
        );
        let (topic, payload) = discovery(&self.config, &self.topics, model, serial);
        self.telegram_at(
            topic,
            payload.to_string().into_bytes(),
            Kind::Statement,
            None,
            None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use booth_contract::Health;

    fn described(more: &str) -> (String, Value) {
        let text = format!("[booth]\nid = \"rundhoej-1\"\n{more}");
        let config: Config = crate::config::parse(&text, "booth.toml").expect("a configuration");
        discovery(
            &config,
            &Topics::new("booth/1"),
            Some("Raspberry Pi 4"),
            None,
        )
    }

    #[test]
    fn every_number_that_home_assistant_is_told_of_is_one_of_health() {
        let (topic, payload) = described("name = \"Rundhøj Torv\"\n[health]\ninterval_s = 30\n");
        assert_eq!(topic, "homeassistant/device/rundhoej-1/config");
        let components = payload["components"].as_object().expect("components");
        assert_eq!(components.len(), NUMBERS.len() + 2);
        for (key, component) in components {
            assert_eq!(component["state_topic"], "booth/1/up/rundhoej-1/health");
            assert_eq!(component["expire_after"], 90);
            let template = component["value_template"].as_str().expect("a template");
            let (_, named) = template
                .split_once("value_json.")
                .expect("a number of health");
            let named = named.split([' ', '}']).next().expect("a name");
            assert!(Health::NAMES.contains(&named), "{key}: {named}");
        }
        let ids: std::collections::BTreeSet<&str> = components
            .values()
            .filter_map(|component| component["unique_id"].as_str())
            .collect();
        assert_eq!(ids.len(), components.len());
        assert_eq!(payload["device"]["name"], "Rundhøj Torv");
        assert_eq!(
            payload["availability"][0]["topic"],
            "booth/1/up/rundhoej-1/state"
        );
    }

    #[test]
    fn home_assistant_is_not_told_whether_somebody_is_in_the_booth() {
        let (_, payload) = described("");
        let text = payload.to_string();
        for said in ["offhook", "recording", "last_lift_age_s", "last_clip_age_s"] {
            assert!(!text.contains(said), "{said}");
        }
        assert_eq!(
            payload["device"]["name"], "rundhoej-1",
            "without a name its id"
        );
        assert_eq!(payload["device"].get("serial_number"), None);
    }
}
