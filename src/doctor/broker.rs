//! The broker and the hub behind it: name, TCP, TLS, CONNECT, subscriptions, the hub's state.
//!
//! Owns: the verdicts, step by step, so that the first failing step shows where the fault is. Never does: connect while a
//! gateway runs: it has the same identity, and the broker would disconnect it.

use std::time::Duration;

use jiff::Timestamp;

use super::credentials;
use crate::adapters::mqtt::{self, Trial};
use crate::config::Config;
use crate::settings;
use crate::status::Finding;
use booth_contract::BrokerUrl;
use booth_contract::{AlertId, Presence, Topic, Topics};
use booth_host::link::route::{self, Step, Unlucky};
use booth_host::link::trouble::{Trouble, What};
use booth_host::link::wire::Line;
use booth_host::tls;
use gateway_core::inbox::{self, Inbound};

const AREA: &str = "broker";
/// How long the subscriptions and the hub's retained state may take together.
const PATIENCE: Duration = Duration::from_secs(12);

/// Tries every step.
pub(super) fn look(config: &Config, now: Timestamp) -> Vec<Finding> {
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
    let broker = BrokerUrl::parse(url).map_err(|why| {
        let remedy = "Correct [mqtt] url.";
        all.push(Finding::fault(AREA, "url", why.to_string(), remedy));
        "url"
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|_| "runtime")?;
    // A file that cannot be read is reported among the credentials; how far the broker can be reached is reported all the
    // same.
    let settings = settings::mqtt_settings(config).ok().flatten();
    let Some(settings) = settings else {
        let steps = runtime.block_on(reach(&broker));
        walked(&broker, &steps, now, all);
        return Err("files");
    };
    let topics = Topics::new(&config.mqtt.root);
    let hub = topics.name(&Topic::HubState);
    let trial = runtime.block_on(mqtt::try_once(&settings, &hub, PATIENCE));
    walked(&broker, &trial.steps, now, all);
    all.extend(tried(&trial, &settings.login.client_id));
    if let Err(trouble) = &trial.connected {
        return Err(step_of(trouble));
    }
    all.push(hub_said(&topics, &hub, trial.heard.as_deref()));
    Ok(())
}

/// The steps up to TCP.
async fn reach(broker: &BrokerUrl) -> Vec<Step> {
    let line = Line::default();
    let told = |step| line.step(step);
    let _ = route::open(broker, None, &Unlucky::default(), told).await;
    line.steps()
}

/// The findings of the steps that were tried, one by one.
fn walked(broker: &BrokerUrl, steps: &[Step], now: Timestamp, all: &mut Vec<Finding>) {
    let (host, port) = (&broker.host, broker.port);
    let stands = steps.iter().any(|step| matches!(step, Step::Tcp(_)));
    for step in steps {
        match step {
            Step::Resolved(addresses) => {
                let list: Vec<String> = addresses.iter().map(|a| a.ip().to_string()).collect();
                let sentence = format!("{host} is {}.", list.join(", "));
                all.push(Finding::ok(AREA, "name", sentence));
            }
            // Where no address answers, the fault names them all.
            Step::Failed(address, why) if stands => all.push(Finding::warning(
                AREA,
                "tcp",
                format!("{host} does not answer at {address}: {why}; another address does."),
                "Correct the name server's entry, or the network's route to this address.",
            )),
            Step::Failed(..) => {}
            Step::Tcp(address) => {
                let sentence = format!("{host} answers at {} on port {port}.", address.ip());
                all.push(Finding::ok(AREA, "tcp", sentence));
            }
            Step::Tls(certificate) => {
                all.push(Finding::ok(
                    AREA,
                    "tls",
                    format!("{host} proves who it is."),
                ));
                let dates = certificate.as_deref().and_then(tls::validity);
                all.push(credentials::dated(AREA, "certificate", dates, now));
            }
        }
    }
}

/// The step at which this trouble occurs.
fn step_of(trouble: &Trouble) -> &'static str {
    match trouble.what {
        What::NoAddress(_) => "name",
        What::Unreached(_) => "tcp",
        What::Tls(_) | What::TlsEnded(_) | What::NoCertificateName(_) => "tls",
        _ => "connect",
    }
}

fn tried(trial: &Trial, client: &str) -> Vec<Finding> {
    if let Err(trouble) = &trial.connected {
        let (sentence, remedy) = (trouble.sentence(), trouble.remedy());
        return vec![Finding::fault(
            AREA,
            step_of(trouble),
            as_sentence(&sentence),
            as_sentence(&remedy),
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
    for (filter, granted) in &trial.granted {
        all.push(match granted {
            Ok(()) => Finding::ok(AREA, "subscribe", format!("{filter} may be read.")),
            Err(why) => Finding::fault(
                AREA,
                "subscribe",
                format!("The broker refuses to let {filter} be read: {why}."),
                "Give the booth's user the rules of the example (docs/mosquitto.acl).",
            ),
        });
    }
    all
}

/// The text with a capital letter and a full stop.
fn as_sentence(text: &str) -> String {
    let mut signs = text.chars();
    let first = signs.next().map(char::to_uppercase);
    format!(
        "{}{}.",
        first.into_iter().flatten().collect::<String>(),
        signs.as_str()
    )
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
        Some(Inbound::HubUnreadable(why)) => Finding::of_alert(
            AlertId::HubUnreadable,
            &format!("What the hub says of itself on {topic} cannot be read: {why}."),
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
    use crate::status::Verdict;

    #[test]
    fn a_refused_subscription_and_a_silent_hub_are_named() {
        let trial = Trial {
            steps: Vec::new(),
            connected: Ok(()),
            granted: vec![
                ("a/#".into(), Ok(())),
                ("b".into(), Err("not authorized, 0x87".into())),
            ],
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
        assert_eq!(
            said(Some(b"{\"state\":\"online\",\"ts\":1796000000}")),
            Verdict::Ok
        );
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
