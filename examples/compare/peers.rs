//! The other store-and-forwards: a broker at the booth that hands everything on to a broker at the centre.

use std::path::{Path, PathBuf};
use std::process::Child;

use booth_testkit::fleet_watch::status_mib;
use booth_testkit::hub::free_port;
use booth_testkit::programs::Mosquitto;
use booth_testkit::zoo::{self, Kind, hashed};

/// One of them, in one way of setting it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    BridgeAsShipped,
    BridgeTuned,
    BridgeSavesEach,
    Shovel,
}

/// In the order of the table.
pub const PEERS: [Peer; 4] = [
    Peer::BridgeAsShipped,
    Peer::BridgeTuned,
    Peer::BridgeSavesEach,
    Peer::Shovel,
];

impl Peer {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Peer::BridgeAsShipped => "Mosquitto bridge, as shipped",
            Peer::BridgeTuned => "Mosquitto bridge, tuned",
            Peer::BridgeSavesEach => "Mosquitto bridge, each saved",
            Peer::Shovel => "RabbitMQ shovel",
        }
    }

    fn kind(self) -> Kind {
        match self {
            Peer::Shovel => Kind::RabbitMq,
            _ => Kind::Mosquitto13,
        }
    }

    /// Why it cannot run here, if it cannot.
    pub fn why_not(self) -> Option<String> {
        self.kind().why_not()
    }

    /// Its configuration, as it is published.
    fn configuration(self) -> &'static str {
        match self {
            Peer::BridgeAsShipped => {
                include_str!("../../docs/compare/mosquitto-bridge-as-shipped.conf")
            }
            Peer::BridgeTuned => include_str!("../../docs/compare/mosquitto-bridge-tuned.conf"),
            Peer::BridgeSavesEach => {
                include_str!("../../docs/compare/mosquitto-bridge-saves-each.conf")
            }
            Peer::Shovel => include_str!("../../docs/compare/rabbitmq-edge.conf"),
        }
    }
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

/// Starts it; a broker that does not come up is a sentence, and not the end of the comparison.
fn run(kind: Kind, work: &Path, port: u16) -> Result<Child, String> {
    let started = std::panic::catch_unwind(|| zoo::run(kind, work, port));
    started.map_err(|why| match why.downcast_ref::<String>() {
        Some(why) => why.clone(),
        None => format!("{} did not start", kind.name()),
    })
}

/// The broker at the booth.
pub struct Edge {
    peer: Peer,
    pub port: u16,
    child: Option<Child>,
    work: PathBuf,
}

impl Edge {
    /// Starts it with an empty store in `work`.
    pub fn start(peer: Peer, work: &Path, centre: &Centre) -> Result<Self, String> {
        let port = free_port();
        let put_in = |text: &str| {
            text.replace("EDGE", &port.to_string())
                .replace("CENTRE", &centre.port.to_string())
                .replace("AMQP", &centre.amqp.to_string())
                .replace("GUEST", &hashed("guest"))
        };
        if peer == Peer::Shovel {
            write(&work.join("rabbitmq.conf"), &put_in(peer.configuration()))?;
            write(
                &work.join("enabled_plugins"),
                "[rabbitmq_mqtt,rabbitmq_shovel].\n",
            )?;
            let shovel = put_in(include_str!("../../docs/compare/rabbitmq-shovel.json"));
            write(&work.join("definitions.json"), &shovel)?;
        } else {
            write(&work.join("mosquitto.conf"), &put_in(peer.configuration()))?;
        }
        let mut edge = Self {
            peer,
            port,
            child: None,
            work: work.to_owned(),
        };
        edge.start_again()?;
        Ok(edge)
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        end(&mut self.child);
    }

    /// The same again, with what its store has.
    pub fn start_again(&mut self) -> Result<(), String> {
        self.child = Some(run(self.peer.kind(), &self.work, self.port)?);
        Ok(())
    }

    /// The same again, with the store in this folder.
    pub fn start_at(&mut self, work: &Path) -> Result<(), String> {
        self.work = work.to_owned();
        self.start_again()
    }

    fn processes(&self) -> Vec<u32> {
        self.child
            .as_ref()
            .map_or_else(Vec::new, |child| family(child.id()))
    }

    /// The most resident memory that its largest process had, MiB.
    pub fn memory_mib(&self) -> f64 {
        let all = self.processes().into_iter();
        all.map(|pid| status_mib(pid, "VmHWM:")).fold(0.0, f64::max)
    }

    /// Bytes that its processes have written to the disk.
    pub fn bytes_written(&self) -> u64 {
        self.processes().into_iter().map(super::bytes_written).sum()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.kill();
    }
}

fn end(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A process and all below it.
fn family(first: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let parents: Vec<(u32, u32)> = processes
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
            Some((pid, parent.parse().ok()?))
        })
        .collect();
    let mut found = vec![first];
    let mut at = 0;
    while let Some(pid) = found.get(at).copied() {
        let children = parents.iter().filter(|(_, parent)| *parent == pid);
        found.extend(children.map(|(child, _)| *child));
        at += 1;
    }
    found
}

/// The broker at the centre, which may be away.
pub struct Centre {
    at: At,
    pub port: u16,
    /// Where RabbitMQ's shovel brings its messages.
    amqp: u16,
}

enum At {
    Mosquitto(Mosquitto),
    RabbitMq(Option<Child>, tempfile::TempDir),
}

/// The same for everybody whose messages come by MQTT, ours included.
pub const CENTRE_RULES: &str = "persistence true\npersistence_location ./\nallow_anonymous true\nmax_queued_messages 0\n\
     max_inflight_messages 100\nset_tcp_nodelay true\n";

impl Centre {
    /// The one that this peer delivers to.
    pub fn of(peer: Peer) -> Result<Self, String> {
        if peer != Peer::Shovel {
            let mosquitto = Mosquitto::start(CENTRE_RULES, &[])?;
            return Ok(Self {
                port: mosquitto.port,
                at: At::Mosquitto(mosquitto),
                amqp: 0,
            });
        }
        let work = tempfile::tempdir().map_err(|error| error.to_string())?;
        let (port, amqp) = (free_port(), free_port());
        let configuration = include_str!("../../docs/compare/rabbitmq-centre.conf");
        let configuration = configuration.replace("CENTRE", &port.to_string());
        let configuration = configuration.replace("AMQP", &amqp.to_string());
        write(&work.path().join("rabbitmq.conf"), &configuration)?;
        write(&work.path().join("enabled_plugins"), "[rabbitmq_mqtt].\n")?;
        write(
            &work.path().join("definitions.json"),
            &definitions_of_a_centre(),
        )?;
        let child = run(Kind::RabbitMq, work.path(), port)?;
        Ok(Self {
            at: At::RabbitMq(Some(child), work),
            port,
            amqp,
        })
    }

    /// It goes away, and remembers its sessions.
    pub fn goes_away(&mut self) -> Result<(), String> {
        match &mut self.at {
            At::Mosquitto(mosquitto) => mosquitto.stop(),
            At::RabbitMq(child, _) => {
                end(child);
                Ok(())
            }
        }
    }

    /// It is back.
    pub fn comes_back(&mut self) -> Result<(), String> {
        match &mut self.at {
            At::Mosquitto(mosquitto) => mosquitto.start_again(),
            At::RabbitMq(child, work) => {
                *child = Some(run(Kind::RabbitMq, work.path(), self.port)?);
                Ok(())
            }
        }
    }
}

impl Drop for Centre {
    fn drop(&mut self) {
        if let At::RabbitMq(child, _) = &mut self.at {
            end(child);
        }
    }
}

/// The users and rights of the shovel's file, and nothing else of it.
fn definitions_of_a_centre() -> String {
    let whole =
        include_str!("../../docs/compare/rabbitmq-shovel.json").replace("GUEST", &hashed("guest"));
    let mut whole: serde_json::Value =
        serde_json::from_str(&whole).expect("a file of the repository");
    for part in ["queues", "bindings", "parameters"] {
        whole.as_object_mut().expect("an object").remove(part);
    }
    whole.to_string()
}
