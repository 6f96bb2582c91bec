//! The broker and the hub behind it: name, TCP, TLS, CONNECT, subscriptions, the hub's word.
//!
//! Owns: the verdicts, step by step, so that the first that fails says where it hangs. Never does: connect while a gateway
//! runs: it has the same identity, and the broker would throw it off.

use std::time::Duration;

use jiff::Timestamp;

use super::{Finding, credentials};
use crate::adapters::mqtt::{self, MqttSettings, Trial};
use crate::adapters::{reach, tls};
use crate::config::{BrokerUrl, Config};
use crate::contract::{Presence, Topic, Topics};
use crate::gateway::inbox::{self, Inbound};

const AREA: &str = "broker";
/// How long CONNECT, the subscriptions and the hub's retained word may take together.
const PATIENCE: Duration = Duration::from_secs(12);

/// Goes every step.
pub fn look(config: &Config, now: Timestamp) -> Vec<Finding> {
    let Some(url) = &config.mqtt.url else {
        return vec![Finding::warning(
            AREA,
            "url",
            "No broker is configured: the booth records and keeps.",
            "Set [mqtt] url.",
        )];
    };
    let mut all = Vec::new();
    if let Err(rest) = steps(config, url, now, &mut all) {
        let sentence = format!("Not looked at, because of the fault at {rest:?}.");
        all.push(Finding::not_checked("hub", "state", sentence));
    }
    all
}

fn steps(
    config: &Config,
    url: &str,
    now: Timestamp,
    all: &mut Vec<Finding>,
) -> Result<(), &'static str> {
    let url = BrokerUrl::parse(url).map_err(|why| {
        let remedy = "Correct [mqtt] url.";
        all.push(Finding::fault(AREA, "url", why, remedy));
        "url"
    })?;
    let (host, port) = (&url.host, url.port);
    let addresses = reach::resolve(host, port).map_err(|why| {
        all.push(Finding::fault(
            AREA,
            "name",
            format!("{host} cannot be resolved: {why}."),
            "Check the spelling in [mqtt] url, the network's cable or Wi-Fi, and its name server (`resolvectl status`).",
        ));
        "name"
    })?;
    let list: Vec<String> = addresses.iter().map(|a| a.ip().to_string()).collect();
    all.push(Finding::ok(
        AREA,
        "name",
        format!("{host} is {}.", list.join(", ")),
    ));
    let stream = reach::connect(&addresses).map_err(|why| {
        all.push(Finding::fault(
            AREA,
            "tcp",
            format!("{host} cannot be reached on port {port}: {why}."),
            "Check that the broker runs, that the port in [mqtt] url is right, and that no firewall is between.",
        ));
        "tcp"
    })?;
    all.push(Finding::ok(
        AREA,
        "tcp",
        format!("{host} answers on port {port}."),
    ));
    let mqtt = &config.mqtt;
    let mut tls = None;
    if url.tls {
        let identity = mqtt.cert_file.as_deref().zip(mqtt.key_file.as_deref());
        // A file that cannot be read is told among the credentials.
        let client = tls::client_config(mqtt.ca_file.as_deref(), identity).map_err(|_| "files")?;
        let certificate = reach::shake_hands(stream, host, &client).map_err(|why| {
            all.push(Finding::fault(
                AREA,
                "tls",
                format!("TLS with {host} fails: {why}."),
                "Check [mqtt] ca_file against the broker's certificate, the host name in [mqtt] url, and this machine's clock.",
            ));
            "tls"
        })?;
        all.push(Finding::ok(
            AREA,
            "tls",
            format!("{host} proves who it is."),
        ));
        let dates = certificate.and_then(|der| tls::validity(&der));
        all.push(credentials::dated(AREA, "certificate", dates, now));
        tls = Some(client);
    }
    let password = match &mqtt.password_file {
        Some(path) => Some(tls::read_password(path).map_err(|_| "password_file")?),
        None => None,
    };
    let topics = Topics::new(&mqtt.root);
    let settings = MqttSettings {
        host: url.host.clone(),
        port,
        tls,
        client_id: config.booth.id.to_string(),
        password,
        filters: topics.booth_filters(&config.booth.id),
    };
    let hub = topics.name(&Topic::HubState);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|_| "runtime")?;
    let trial = runtime.block_on(mqtt::try_once(&settings, &hub, PATIENCE));
    all.extend(tried(&trial, &settings.client_id));
    if trial.connected.is_err() {
        return Err("connect");
    }
    all.push(hub_said(&topics, &hub, trial.heard.as_deref()));
    Ok(())
}

fn tried(trial: &Trial, client: &str) -> Vec<Finding> {
    if let Err(why) = &trial.connected {
        return vec![Finding::fault(
            AREA,
            "connect",
            why,
            "Check the password file, and that the broker knows the user and lets the client id be the same.",
        )];
    }
    let mut all = vec![Finding::ok(
        AREA,
        "connect",
        format!("The broker accepts {client:?} (MQTT 5, reason 0x00)."),
    )];
    if trial.granted.is_empty() {
        all.push(Finding::fault(
            AREA,
            "subscribe",
            "The broker does not answer the subscriptions.",
            "See the broker's log.",
        ));
    }
    for (filter, is_granted) in &trial.granted {
        all.push(match is_granted {
            true => Finding::ok(AREA, "subscribe", format!("{filter} may be read.")),
            false => Finding::fault(
                AREA,
                "subscribe",
                format!("The broker refuses to let {filter} be read."),
                "Give the booth's user the rules of the example (docs/mosquitto.acl).",
            ),
        });
    }
    all
}

fn hub_said(topics: &Topics, topic: &str, heard: Option<&[u8]>) -> Finding {
    let remedy = "Start booth-hub, and check its broker login and its root topic; clips wait on the card meanwhile.";
    match heard.map(|payload| inbox::read(topics, topic, payload)) {
        Some(Inbound::Hub(hub)) if hub.state == Presence::Online => {
            Finding::ok("hub", "state", "The hub is online.")
        }
        Some(Inbound::Hub(_)) => Finding::warning(
            "hub",
            "state",
            "The hub says that it is not online.",
            remedy,
        ),
        Some(_) => Finding::warning("hub", "state", "What the hub says makes no sense.", remedy),
        None => Finding::warning(
            "hub",
            "state",
            format!(
                "The hub has said nothing on {topic} within {} s.",
                PATIENCE.as_secs()
            ),
            remedy,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_refused_subscription_and_a_silent_hub_are_named() {
        let trial = Trial {
            connected: Ok(()),
            granted: vec![("a/#".into(), true), ("b".into(), false)],
            heard: None,
        };
        let found = tried(&trial, "booth");
        let verdicts: Vec<Verdict> = found.iter().map(|finding| finding.verdict).collect();
        assert_eq!(verdicts, [Verdict::Ok, Verdict::Ok, Verdict::Fault]);
        assert!(found[2].sentence.contains(" b "), "{found:?}");
        let topics = Topics::new("booth/1");
        let said = |payload: Option<&[u8]>| hub_said(&topics, "booth/1/hub/state", payload).verdict;
        assert_eq!(said(None), Verdict::Warning);
        assert_eq!(said(Some(b"rubbish")), Verdict::Warning);
        assert_eq!(said(Some(b"{\"state\":\"online\"}")), Verdict::Ok);
    }

    #[test]
    fn a_host_that_does_not_exist_and_a_port_that_nobody_has_stop_the_steps() {
        let looked = |url: &str| {
            let mut config: Config =
                toml::from_str("[booth]\nid = \"rundhoej-1\"\n").expect("a configuration");
            config.mqtt.url = Some(url.into());
            look(&config, Timestamp::UNIX_EPOCH)
        };
        let found = looked("mqtt://127.0.0.1:1");
        assert_eq!(found[1].subject, "tcp");
        assert_eq!(found[1].verdict, Verdict::Fault);
        assert_eq!(found[2].verdict, Verdict::NotChecked);
        let found = looked("mqtt://no-such-host.invalid");
        assert_eq!(
            (found[0].subject.as_str(), found[0].verdict),
            ("name", Verdict::Fault)
        );
    }
}
