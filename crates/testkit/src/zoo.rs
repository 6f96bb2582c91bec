//! Brokers that nobody here wrote, as `tests/zoo/get.sh` fetches them: each runs in a folder of its own, with the city's
//! users and rules in its own notation, and ends with its value.
#![allow(clippy::disallowed_methods)]

use std::io::Read;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::repository;

use super::hub::free_port;

/// How long a broker may take to listen. A broker that ends instead is told at once.
const COMES_UP: Duration = Duration::from_secs(300);

/// Which broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Mosquitto 2.0.11.
    Mosquitto12,
    /// Mosquitto 2.0.21.
    Mosquitto13,
    /// RabbitMQ 4 with its MQTT plug-in.
    RabbitMq,
    /// Paho's interoperability broker.
    Paho,
}

/// How a broker differs from one that lets everybody do what the contract says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// Not at all.
    City,
    /// Booths may publish everything but parts of clips.
    NoParts,
    /// Packets of so many bytes at most, which it announces.
    Packets(u32),
    /// Messages of so many bytes at most, which it does not announce.
    Messages(u32),
}

impl Kind {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Mosquitto12 => "Mosquitto of Debian 12",
            Kind::Mosquitto13 => "Mosquitto of Debian 13",
            Kind::RabbitMq => "RabbitMQ of Debian 13",
            Kind::Paho => "Paho's interoperability broker",
        }
    }

    /// The Debian that it runs in.
    fn debian(self) -> &'static str {
        match self {
            Kind::Mosquitto12 => "debian-12",
            Kind::Mosquitto13 | Kind::RabbitMq | Kind::Paho => "debian-13",
        }
    }

    /// Why it cannot run here, if it cannot.
    pub fn why_not(self) -> Option<String> {
        let missing = |name: &&str| !folder().join(name).join("complete").exists();
        let needed: &[&str] = match self {
            Kind::Paho => &["debian-13", "paho"],
            _ => &[self.debian()],
        };
        if let Some(name) = needed.iter().find(|name| missing(name)) {
            return Some(format!(
                "target/brokers/{name} is not there; `make brokers` fetches it, or says why not"
            ));
        }
        // What run.sh does: a namespace of its own, in which it mounts.
        let mounts = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--propagation", "private"])
            .args(["mount", "-t", "tmpfs", "none", "/mnt"])
            .stderr(Stdio::null())
            .status();
        match mounts.is_ok_and(|status| status.success()) {
            true => None,
            false => Some("a broker in a Debian of its own needs root and namespaces".into()),
        }
    }

    /// Whether it says why it closes a connection whose identity somebody else has taken.
    pub fn tells_of_take_overs(self) -> bool {
        self != Kind::Mosquitto12
    }

    /// Whether it answers a message that its rules refuse, or closes the connection without a word.
    pub fn answers_what_it_refuses(self) -> bool {
        self != Kind::RabbitMq
    }

    /// Whether it can be told to do this.
    pub fn can(self, rules: Rules) -> bool {
        match rules {
            Rules::City | Rules::Packets(_) => true,
            Rules::NoParts => self != Kind::Paho,
            Rules::Messages(_) => matches!(self, Kind::Mosquitto12 | Kind::Mosquitto13),
        }
    }
}

fn folder() -> PathBuf {
    repository().join("target/brokers")
}

/// The password of a user.
pub fn password(user: &str) -> String {
    format!("{user}-secret")
}

/// A broker.
pub struct Running {
    kind: Kind,
    rules: Rules,
    users: Vec<String>,
    pub port: u16,
    work: tempfile::TempDir,
    child: Child,
}

impl Running {
    /// Starts it for these users.
    pub fn start(kind: Kind, rules: Rules, users: &[&str]) -> Self {
        assert!(kind.can(rules), "{} has no such rules", kind.name());
        let work = tempfile::tempdir().expect("a folder");
        let (port, users) = (free_port(), users.iter().map(|&user| user.to_owned()));
        let users: Vec<String> = users.collect();
        prepare(kind, rules, &users, work.path(), port);
        let child = run(kind, work.path(), port);
        Self {
            kind,
            rules,
            users,
            port,
            work,
            child,
        }
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// The same again, with the same memory, after [`Self::kill`].
    pub fn start_again(&mut self) {
        self.child = run(self.kind, self.work.path(), self.port);
    }

    /// The same again under other rules, after [`Self::kill`].
    pub fn start_again_with(&mut self, rules: Rules) {
        self.rules = rules;
        prepare(self.kind, rules, &self.users, self.work.path(), self.port);
        self.start_again();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command in the broker's Debian.
fn inside(kind: Kind, work: &Path) -> Command {
    let run = repository().join("tests/zoo/run.sh");
    let mut command = Command::new(run);
    command
        .arg(folder().join(kind.debian()))
        .arg(work)
        .env_clear()
        .envs([
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            ("LANG", "C.UTF-8"),
            ("HOME", "/mnt"),
        ])
        .stdin(Stdio::null());
    command
}

fn write(file: &Path, text: &str) {
    std::fs::write(file, text).expect("a file of the broker");
}

/// Writes its configuration into its folder.
fn prepare(kind: Kind, rules: Rules, users: &[String], work: &Path, port: u16) {
    match kind {
        Kind::Mosquitto12 | Kind::Mosquitto13 => mosquitto(kind, rules, users, work, port),
        Kind::RabbitMq => rabbitmq(rules, users, work, port),
        Kind::Paho => paho(rules, work, port),
    }
}

fn mosquitto(kind: Kind, rules: Rules, users: &[String], work: &Path, port: u16) {
    let limit = match rules {
        Rules::Packets(bytes) => format!("max_packet_size {bytes}\n"),
        Rules::Messages(bytes) => format!("message_size_limit {bytes}\n"),
        Rules::City | Rules::NoParts => String::new(),
    };
    write(
        &work.join("mosquitto.conf"),
        &format!(
            "listener {port} 127.0.0.1\nuser root\nallow_anonymous false\npassword_file /mnt/passwords\n\
             acl_file /mnt/acl\nuse_username_as_clientid true\npersistence true\npersistence_location /mnt/\n{limit}"
        ),
    );
    let shipped = repository().join("docs/mosquitto.acl");
    let mut acl = std::fs::read_to_string(shipped).expect("the rules that are shipped");
    if rules == Rules::NoParts {
        acl = format!("pattern deny booth/1/up/%u/part/#\n{acl}");
    }
    write(&work.join("acl"), &acl);
    write(&work.join("passwords"), "");
    for user in users {
        let made = inside(kind, work)
            .args(["/usr/bin/mosquitto_passwd", "-b", "/mnt/passwords", user])
            .arg(password(user))
            .stderr(Stdio::null())
            .status()
            .expect("run.sh runs");
        assert!(made.success(), "mosquitto_passwd: {made}");
    }
}

fn rabbitmq(rules: Rules, users: &[String], work: &Path, port: u16) {
    let limit = match rules {
        Rules::Packets(bytes) => format!("mqtt.max_packet_size_authenticated = {bytes}\n"),
        _ => String::new(),
    };
    write(
        &work.join("rabbitmq.conf"),
        &format!(
            "listeners.tcp = none\nmqtt.listeners.tcp.1 = 127.0.0.1:{port}\nanonymous_login_user = none\n\
             log.console = true\nlog.file = false\nload_definitions = /mnt/definitions.json\n{limit}"
        ),
    );
    write(&work.join("enabled_plugins"), "[rabbitmq_mqtt].\n");
    // Topics are routing keys: dots for slashes. What a booth may write is its own branch.
    let may_write = |user: &str| match (user, rules) {
        ("hub", _) => "^booth\\.1\\.".to_owned(),
        (booth, Rules::NoParts) => format!("^booth\\.1\\.up\\.{booth}\\.(?!part\\.)"),
        (booth, _) => format!("^booth\\.1\\.up\\.{booth}\\."),
    };
    let may_read = |user: &str| match user {
        "hub" => "^booth\\.1\\.".to_owned(),
        booth => format!("^booth\\.1\\.(dn\\.{booth}\\.|hub\\.state$|media\\.)"),
    };
    let each = |of: &dyn Fn(&str) -> Value| users.iter().map(|user| of(user)).collect::<Vec<_>>();
    let definitions = json!({
        "rabbitmq_version": "4.0.5",
        "vhosts": [{"name": "/"}],
        "users": each(&|user| json!({"name": user, "password_hash": hashed(&password(user)),
            "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": []})),
        "permissions": each(&|user| json!({"user": user, "vhost": "/",
            "configure": ".*", "write": ".*", "read": ".*"})),
        "topic_permissions": each(&|user| json!({"user": user, "vhost": "/", "exchange": "amq.topic",
            "write": may_write(user), "read": may_read(user)})),
    });
    write(&work.join("definitions.json"), &definitions.to_string());
}

/// A password as RabbitMQ's definitions keep it: base64 of a salt of four bytes and the SHA-256 of salt and password.
pub fn hashed(password: &str) -> String {
    let salt = *b"salt";
    let hash = Sha256::new().chain_update(salt).chain_update(password);
    base64(&[&salt[..], &hash.finalize()].concat())
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let at = |place: usize| u32::from(three.get(place).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    text
}

fn paho(rules: Rules, work: &Path, port: u16) {
    let limit = match rules {
        Rules::Packets(bytes) => bytes,
        _ => 65_536,
    };
    write(
        &work.join("paho.conf"),
        &format!("receive_maximum 20\nmaximum_packet_size {limit}\nlistener {port} 127.0.0.1\n"),
    );
    let copied = Command::new("cp")
        .arg("-r")
        .arg(folder().join("paho/interoperability"))
        .arg(work)
        .status()
        .expect("cp runs");
    assert!(copied.success());
}

/// Runs it until it listens on this port, by the configuration in `work`, which it has at `/mnt`: `mosquitto.conf`; `rabbitmq.conf` with
/// `enabled_plugins`; `paho.conf`. With the child everything ends that it has started.
pub fn run(kind: Kind, work: &Path, port: u16) -> Child {
    let mut command = inside(kind, work);
    match kind {
        Kind::Mosquitto12 | Kind::Mosquitto13 => {
            command.args(["/usr/sbin/mosquitto", "-c", "/mnt/mosquitto.conf"]);
        }
        Kind::RabbitMq => {
            // Erlang's own ports are on loopback, and not those of another broker that runs beside it.
            let (epmd, distribution) = (free_port().to_string(), free_port().to_string());
            command
                .envs([
                    ("RABBITMQ_MNESIA_BASE", "/mnt/mnesia"),
                    ("RABBITMQ_LOG_BASE", "/mnt/log"),
                    ("RABBITMQ_CONFIG_FILE", "/mnt/rabbitmq.conf"),
                    ("RABBITMQ_ENABLED_PLUGINS_FILE", "/mnt/enabled_plugins"),
                    ("RABBITMQ_NODENAME", "booth@localhost"),
                    ("ERL_EPMD_ADDRESS", "127.0.0.1"),
                    ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1:1 +sbwt none"),
                ])
                .env("ERL_EPMD_PORT", epmd)
                .env("RABBITMQ_DIST_PORT", distribution)
                .arg("/usr/lib/rabbitmq/bin/rabbitmq-server");
        }
        Kind::Paho => {
            let start = "/mnt/interoperability/startbroker.py";
            command.args(["/usr/bin/python3", start, "-c", "/mnt/paho.conf"]);
        }
    }
    let log = work.join("log.txt");
    let file = std::fs::File::create(&log).expect("a log");
    let also = file.try_clone().expect("a log");
    let mut child = command
        .stdout(file)
        .stderr(also)
        .spawn()
        .expect("run.sh runs");
    let began = Instant::now();
    loop {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return child;
        }
        let ended = child.try_wait().expect("asked");
        if ended.is_some() || began.elapsed() > COMES_UP {
            let _ = child.kill();
            let mut said = String::new();
            let read = std::fs::File::open(&log).and_then(|mut log| log.read_to_string(&mut said));
            panic!(
                "{} does not listen ({ended:?}, {read:?}):\n{said}",
                kind.name()
            );
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
