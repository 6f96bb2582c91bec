//! Whoever has the hub's password sends a booth whatever it hears, as fast as the broker takes it: every command, its
//! configuration, answers to clips, the hub's state, prompts, and topics that nobody knows.

use rumqttc::PublishOptions;
use rumqttc::mqttbytes::v5::PublishProperties;
use serde_json::{Value, json};

use booth_testkit::city_broker::CityBroker;
use booth_testkit::gateway::{BoothHome, Gateway};
use booth_testkit::hub::Booth as Login;
use booth_testkit::pulse::Pulse;
use booth_testkit::turns::{self, Turn};
use booth_testkit::wait::until;

const BOOTH: &str = "rundhoej-1";
/// Messages of each kind. Mosquitto keeps 1,000 for a booth that does not keep up, so that no flood is larger for the booth than
/// what it takes meanwhile.
const FLOOD: usize = 3_000;
/// Of the command that cost most.
const REBIRTHS: usize = 30_000;
/// What a booth may have more at the height of a flood than before it, KiB: what waits in its queues, the largest packets that are
/// being read, and what an allocator does not give back.
const MOST_MORE_KIB: u64 = 8 * 1024;

/// And in all: a Zero 2 W has 512 MiB for everything.
const MOST_KIB: u64 = 40 * 1024;

/// A figure of a process's memory, KiB.
fn kib(pid: u32, figure: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix(figure));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.expect("a figure").parse().expect("a number")
}

/// The most that it had since it began, KiB.
fn peak(gateway: &Gateway) -> u64 {
    kib(gateway.pid(), "VmHWM:")
}

/// A booth of a city with a sound card, and whoever has the hub's password.
struct Scene {
    _broker: CityBroker,
    _pulse: Pulse,
    _home: BoothHome,
    gateway: Gateway,
    attacker: Login,
    asked: u32,
}

impl Scene {
    fn set() -> Self {
        let broker = CityBroker::start(&[("hub", "of the hub"), (BOOTH, "of the booth")]);
        let pulse = Pulse::start();
        let home = BoothHome::with_mqtt(
            &format!(
                "url = \"mqtt://127.0.0.1:{}\"\npassword_file = \"mqtt-password\"",
                broker.port
            ),
            "[update]\nkeys = [\"RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\"]\n",
        );
        std::fs::write(home.path().join("mqtt-password"), "of the booth").expect("written");
        let gateway = Gateway::start(&home, &pulse);
        gateway.says("a citizen can speak");
        gateway.says("connected to the broker");
        let replies = [format!("booth/1/up/{BOOTH}/#")];
        let attacker = Login::logged_in(broker.port, "hub", Some("of the hub"), &replies);
        let mut scene = Self {
            _broker: broker,
            _pulse: pulse,
            _home: home,
            gateway,
            attacker,
            asked: 0,
        };
        scene.answers();
        scene
    }

    fn send(&self, tail: &str, payload: impl Into<Vec<u8>>, correlation: Option<String>) {
        let properties = PublishProperties {
            correlation_data: correlation.map(|text| text.into_bytes().into()),
            ..PublishProperties::default()
        };
        let options = PublishOptions::at_least_once().properties(properties);
        let topic = format!("booth/1/{tail}");
        self.attacker.publish_with(&topic, payload, options);
    }

    fn commands(&self, name: &str, payload: impl Fn(usize) -> Value, times: usize) {
        for time in 0..times {
            let tail = format!("dn/{BOOTH}/cmd/{name}");
            self.send(
                &tail,
                payload(time).to_string(),
                Some(format!("{name} {time}")),
            );
        }
    }

    /// Asks for an introduction and waits for the answer to this very question. What the flood has left is before it.
    fn answers(&mut self) {
        self.asked += 1;
        let asked = format!("asked {}", self.asked);
        until("the booth answers a command", || {
            self.send(
                &format!("dn/{BOOTH}/cmd/rebirth"),
                "{}",
                Some(asked.clone()),
            );
            for _ in 0..200 {
                let heard = self.attacker.try_hear(std::time::Duration::from_millis(10));
                let correlation = heard
                    .and_then(|message| message.properties)
                    .and_then(|properties| properties.correlation_data);
                if correlation.as_deref() == Some(asked.as_bytes()) {
                    return Some(());
                }
            }
            None
        });
    }

    /// A citizen comes in the middle of it and hears the notice.
    fn serves_a_citizen(&self) {
        self.gateway.handset("lift");
        let state = self.gateway.state().expect("a state");
        assert!(
            ["notice", "question"].contains(&state["session"].as_str().unwrap_or_default()),
            "{state}"
        );
        self.gateway.handset("hang-up");
    }
}

/// A flood and its name.
type Flood<'a> = (&'static str, Box<dyn Fn() + 'a>);

/// Every kind of flood.
fn floods(scene: &Scene) -> Vec<Flood<'_>> {
    let uuid = |n: usize| format!("{n:08x}-0000-4000-8000-000000000000");
    let sha = "ab".repeat(32);
    let big = vec![b'{'; 60_000];
    let empty = |_| json!({});
    let mut all: Vec<Flood<'_>> = vec![
        (
            "rebirth",
            Box::new(move || scene.commands("rebirth", empty, REBIRTHS)),
        ),
        (
            "selftest",
            Box::new(move || scene.commands("selftest", empty, FLOOD)),
        ),
        (
            "ring",
            Box::new(move || scene.commands("ring", |n| json!({ "rings": n }), FLOOD)),
        ),
        (
            "reload",
            Box::new(move || scene.commands("reload", empty, FLOOD)),
        ),
        (
            "resend",
            Box::new(move || scene.commands("resend", empty, FLOOD)),
        ),
        (
            "resend of one",
            Box::new(move || scene.commands("resend", |n| json!({ "clip_id": uuid(n) }), FLOOD)),
        ),
        (
            "drain",
            Box::new(move || scene.commands("drain", |n| json!({ "minutes": n }), FLOOD)),
        ),
        (
            "update",
            Box::new(move || {
                let url = |n| json!({ "url": format!("https://127.0.0.1:9/{n}") });
                scene.commands("update", url, FLOOD);
            }),
        ),
        (
            "commands that nobody knows",
            Box::new(move || {
                for n in 0..FLOOD {
                    let tail = format!("dn/{BOOTH}/cmd/c{n}");
                    scene.send(&tail, "{}", Some("x".repeat(250)));
                }
            }),
        ),
        (
            "the hub comes and goes",
            Box::new(move || {
                for n in 0..FLOOD {
                    let state = ["online", "lost"][n % 2];
                    let said = json!({ "state": state, "jitter_s": 0, "max_clip_bytes": n });
                    scene.send("hub/state", said.to_string(), None);
                }
            }),
        ),
        (
            "answers to clips",
            Box::new(move || {
                for n in 0..FLOOD {
                    let clip_id = uuid(n);
                    let status = ["stored", "partial", "discard", "reject"][n % 4];
                    let missing: Vec<_> = (0..40).map(|at| [at * 10, at * 10 + 5]).collect();
                    let ack = json!({ "clip_id": clip_id, "status": status, "missing": missing });
                    scene.send(&format!("dn/{BOOTH}/ack/{clip_id}"), ack.to_string(), None);
                }
            }),
        ),
        (
            "topics that nobody knows",
            Box::new(move || {
                for n in 0..FLOOD {
                    scene.send(&format!("dn/{BOOTH}/topic/{n}"), format!("{n}"), None);
                }
            }),
        ),
    ];
    for (name, tail) in [
        ("large configurations", format!("dn/{BOOTH}/config")),
        ("large commands", format!("dn/{BOOTH}/cmd/purge")),
        ("large states of the hub", "hub/state".to_owned()),
        ("large answers", format!("dn/{BOOTH}/ack/{}", uuid(1))),
        ("large prompts", format!("media/{sha}")),
    ] {
        let big = big.clone();
        let flood = move || (0..FLOOD / 5).for_each(|_| scene.send(&tail, big.clone(), None));
        all.push((name, Box::new(flood)));
    }
    all
}

/// Answers the memory before, and at the height of each flood, KiB.
fn flooded() -> (u64, Vec<(&'static str, u64)>) {
    let mut scene = Scene::set();
    let before = kib(scene.gateway.pid(), "VmRSS:").max(peak(&scene.gateway));
    let mut peaks = Vec::new();
    let names: Vec<&str> = floods(&scene).iter().map(|(name, _)| *name).collect();
    for (at, name) in names.into_iter().enumerate() {
        (floods(&scene)[at].1)();
        if name == "drain" {
            // Whoever owns the broker can close a booth; no minutes open it again, once there is room for a command.
            until("the booth is open again", || {
                scene.commands("drain", |_| json!({ "minutes": 0 }), 1);
                scene.answers();
                let state = scene.gateway.state()?;
                let faults = state["faults"].as_array()?;
                faults.iter().all(|fault| fault != "draining").then_some(())
            });
        }
        scene.serves_a_citizen();
        // The hub is not online, whatever was said.
        scene.send("hub/state", json!({ "state": "lost" }).to_string(), None);
        scene.answers();
        peaks.push((name, peak(&scene.gateway)));
    }
    println!("before {before} KiB; {peaks:?}");
    (before, peaks)
}

#[test]
fn a_flood_of_each_kind_costs_a_booth_a_few_mib_and_it_answers_afterwards() {
    let _turn = turns::take(Turn::Flood);
    let (before, peaks) = flooded();
    for (flood, peak) in &peaks {
        let more = peak.saturating_sub(before);
        assert!(
            more <= MOST_MORE_KIB,
            "{flood}: {more} KiB more than {before}; {peaks:?}"
        );
        assert!(*peak <= MOST_KIB, "{flood}: {peak} KiB; {peaks:?}");
    }
}
