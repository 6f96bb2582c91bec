//! A broker, a hub and a booth for the hub's tests: real programs on free ports, ended with the test.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};

use booth_contract::{Ack, AckStatus};
use booth_stage::files::hub_file;
use booth_stage::mosquitto::{self, Mosquitto};
use booth_stage::program::Program;
use booth_stage::wait::{PATIENCE, until};
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v5::{Packet, Publish};
use rumqttc::{Client, Event, MqttOptions, PublishOptions};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::hub_program::hub_program;

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    mosquitto::free_port().unwrap_or_else(|why| panic!("{why}"))
}

/// A Mosquitto of its own.
pub struct Broker {
    mosquitto: Mosquitto,
    pub port: u16,
}

impl Broker {
    /// Everybody may do everything.
    pub fn open() -> Self {
        Self::start("allow_anonymous true\n", |_| ())
    }

    /// Only users `hub` and `rundhoej-1` with password `right`, whose client id is the user name whatever it says.
    pub fn with_password() -> Self {
        let rules =
            "allow_anonymous false\npassword_file passwords\nuse_username_as_clientid true\n";
        Self::start(rules, |folder| {
            std::fs::write(folder.join("passwords"), "").expect("a file");
            for user in ["hub", "rundhoej-1"] {
                let made = Command::new("mosquitto_passwd")
                    .args(["-b", "passwords", user, "right"])
                    .current_dir(folder)
                    .status()
                    .expect("mosquitto_passwd runs");
                assert!(made.success());
            }
        })
    }

    /// TLS on its only listener, with a certificate for `name` from a throw-away authority whose
    /// certificate is then `ca.pem` in [`Self::folder`].
    pub fn with_tls(name: &str) -> Self {
        let rules = "allow_anonymous true\ncertfile cert.pem\nkeyfile key.pem\n";
        Self::start(rules, |folder| {
            let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
            authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let ca_key = rcgen::KeyPair::generate().expect("a key");
            let ca = authority.self_signed(&ca_key).expect("signed");
            let issuer = rcgen::Issuer::new(authority, ca_key);
            let key = rcgen::KeyPair::generate().expect("a key");
            let cert = rcgen::CertificateParams::new(vec![name.to_owned()])
                .expect("parameters")
                .signed_by(&key, &issuer)
                .expect("signed");
            for (file, text) in [
                ("ca.pem", ca.pem()),
                ("cert.pem", cert.pem()),
                ("key.pem", key.serialize_pem()),
            ] {
                std::fs::write(folder.join(file), text).expect("a file");
            }
        })
    }

    pub fn folder(&self) -> &Path {
        self.mosquitto.folder()
    }

    /// With these rules; `prepare` makes the files they name in the broker's folder.
    pub fn start(rules: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        prepare(folder.path());
        let rules = format!("persistence false\n{rules}");
        let mosquitto = Mosquitto::start_in(folder, |folder, port| {
            mosquitto::configure(folder, port, &rules)
        })
        .unwrap_or_else(|why| panic!("{why}"));
        Self {
            port: mosquitto.port,
            mosquitto,
        }
    }

    /// Killed: everything that it kept is gone.
    pub fn stop(&mut self) {
        self.mosquitto.kill();
    }

    /// The same again, after [`Self::stop`].
    pub fn start_again(&mut self) {
        let started = self.mosquitto.start_again();
        started.unwrap_or_else(|why| panic!("{why}"));
    }
}

/// A folder with a `hub.toml` and a store.
pub struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    pub fn new(broker_port: u16, more: &str) -> Self {
        Self::with_url(&format!("mqtt://127.0.0.1:{broker_port}"), more)
    }

    pub fn with_url(url: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("hub.toml"), hub_file(url, more)).expect("written");
        Self { folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn config(&self) -> PathBuf {
        self.path().join("hub.toml")
    }

    /// Gives somebody an account with these arguments of `booth-hub people add`.
    pub fn has_person(&self, name: &str, password: &str, arguments: &[&str]) {
        let mut added = Command::new(hub_program())
            .args(["people", "add", name])
            .args(arguments)
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("booth-hub runs");
        let mut typed = added.stdin.take().expect("a pipe");
        writeln!(typed, "{password}").expect("typed");
        drop(typed);
        assert!(added.wait().expect("it ends").success());
    }

    /// Makes a campaign's prompts and publishes it, without waiting for booths.
    pub fn publishes(&self, campaign: &str) {
        let file = self.path().join("campaign.toml");
        std::fs::write(&file, campaign).expect("written");
        let (file, config) = (file.display().to_string(), self.config());
        let config = config.display().to_string();
        for verb in [&["prompts"][..], &["publish", "--wait", "0"]] {
            let more = [file.as_str(), "--config", config.as_str()];
            let done = booth_hub(&[&["campaign"], verb, &more].concat());
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            assert!(done.status.success(), "{verb:?}: {said}");
        }
    }

    pub fn clip_file(&self, clip_id: &str) -> PathBuf {
        self.path()
            .join("store/clips")
            .join(&clip_id[..2])
            .join(format!("{clip_id}.opus"))
    }
}

/// Runs `booth-hub` to its end.
pub fn booth_hub(arguments: &[&str]) -> Output {
    Command::new(hub_program())
        .args(arguments)
        .output()
        .expect("booth-hub runs")
}

/// A running `booth-hub serve`.
pub struct Hub {
    program: Program,
}

impl Hub {
    pub fn start(home: &Home) -> Self {
        Self::start_with(home, |_| ())
    }

    pub fn start_with(home: &Home, prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(hub_program());
        prepare(&mut command);
        command.args(["serve", "--config"]).arg(home.config());
        let program = Program::start("booth-hub", &mut command);
        let hub = Self {
            program: program.unwrap_or_else(|why| panic!("{why}")),
        };
        hub.says("booth-hub is up");
        hub
    }

    pub fn lines(&self) -> Vec<String> {
        self.program.lines()
    }

    /// Waits for a line with `text` in it.
    pub fn says(&self, text: &str) -> String {
        let (_, line) = self
            .program
            .says(text)
            .unwrap_or_else(|why| panic!("{why}"));
        line
    }

    /// Where its pages are, with a slash at the end.
    pub fn address(&self) -> String {
        let line = self.says("pages on ");
        let rest = line.split("pages on ").nth(1).expect("an address");
        let address = rest.split([',', '\n']).next().expect("an address");
        address.to_owned()
    }

    /// Where the citizens' pages are, with a slash at the end; its `hub.toml` needs `[city] listen`.
    pub fn citizens(&self) -> String {
        let line = self.says("pages for citizens on ");
        let (_, rest) = line
            .split_once("pages for citizens on ")
            .expect("an address");
        let address = rest.split([',', ' ', '\n']).next().expect("an address");
        format!("{}/", address.trim_end_matches('/'))
    }

    /// What one of its pages shows now.
    pub fn page(&self, name: &str) -> String {
        String::from_utf8(self.answer(name, "")).expect("text")
    }

    /// Waits until a page has this text, because a page may show what it showed a moment before; the page.
    pub fn shows(&self, name: &str, text: &str) -> String {
        until(&format!("the page {name:?} shows {text:?}"), || {
            let page = self.page(name);
            page.contains(text).then_some(page)
        })
    }

    /// The status and the body of an answer; each line of `fields` ends in CR LF.
    pub fn fetch(&self, name: &str, fields: &str) -> (u16, Vec<u8>) {
        let answer = self.answer(name, fields);
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
        let (head, body) = answer.split_at(end.expect("a head") + 4);
        let head = String::from_utf8_lossy(head);
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        (status.expect("a status"), body.to_owned())
    }

    fn answer(&self, name: &str, fields: &str) -> Vec<u8> {
        let address = self.address();
        let host = address.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = std::net::TcpStream::connect(host).expect("the pages");
        write!(
            stream,
            "GET /{name} HTTP/1.0\r\nHost: {host}\r\n{fields}\r\n"
        )
        .expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        answer
    }

    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// As a power cut would end it.
    pub fn kill(mut self) {
        self.program.kill();
    }

    /// SIGTERM, and its exit status.
    pub fn stop(mut self) -> ExitStatus {
        self.program
            .terminate()
            .unwrap_or_else(|why| panic!("{why}"))
    }

    pub fn is_running(&mut self) -> bool {
        self.program.is_running()
    }
}

/// A client that publishes as a booth does and hears what comes down.
pub struct Booth {
    pub id: String,
    client: Client,
    heard: Receiver<Publish>,
    subscribed: Receiver<()>,
}

impl Booth {
    /// Connected, subscribed to its own `dn` branch and the hub's presence.
    pub fn connect(port: u16, id: &str) -> Self {
        Self::listening(
            port,
            id,
            &[format!("booth/1/dn/{id}/#"), "booth/1/hub/state".into()],
        )
    }

    pub fn listening(port: u16, id: &str, filters: &[String]) -> Self {
        Self::logged_in(port, id, None, filters)
    }

    /// The same with a password, its id as user name.
    pub fn logged_in(port: u16, id: &str, password: Option<&str>, filters: &[String]) -> Self {
        let mut options = MqttOptions::new(id, ("127.0.0.1", port));
        options
            .set_clean_start(true)
            .set_max_packet_size(Some(4_000_000))
            .set_outgoing_inflight_upper_limit(20);
        if let Some(password) = password {
            options.set_credentials(id, password.to_owned());
        }
        let (client, mut connection) = Client::builder(options).capacity(100).build();
        for filter in filters {
            client.subscribe(filter, QoS::AtLeastOnce).expect("asked");
        }
        let (hear, heard) = channel();
        let (subscribed, is_subscribed) = channel();
        std::thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::SubAck(_))) => {
                        let _ = subscribed.send(());
                    }
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        if hear.send(publish).is_err() {
                            return;
                        }
                    }
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        });
        for _ in filters {
            is_subscribed.recv_timeout(PATIENCE).expect("subscribed");
        }
        Self {
            id: id.to_owned(),
            client,
            heard,
            subscribed: is_subscribed,
        }
    }

    /// Waits until the broker has judged everything that was published so far: it answers in order.
    pub fn is_judged(&self) {
        let nothing = format!("nothing/{}", self.id);
        self.client
            .subscribe(nothing, QoS::AtLeastOnce)
            .expect("asked");
        self.subscribed.recv_timeout(PATIENCE).expect("answered");
    }

    pub fn publish(&self, tail: &str, retain: bool, payload: impl Into<Vec<u8>>) {
        let topic = format!("booth/1/up/{}/{tail}", self.id);
        self.publish_at(&topic, retain, payload);
    }

    /// Publishes on any topic.
    pub fn publish_at(&self, topic: &str, retain: bool, payload: impl Into<Vec<u8>>) {
        let options = PublishOptions::at_least_once().retain(retain);
        self.publish_with(topic, payload, options);
    }

    /// The same with options of its own.
    pub fn publish_with(&self, topic: &str, payload: impl Into<Vec<u8>>, options: PublishOptions) {
        self.client
            .publish(topic, payload.into(), options)
            .expect("taken");
    }

    /// The next message, if one comes within `patience`.
    pub fn try_hear(&self, patience: std::time::Duration) -> Option<Publish> {
        self.heard.recv_timeout(patience).ok()
    }

    /// The next message on a topic that ends in `tail`, within the patience of a test.
    pub fn hear(&self, tail: &str) -> Publish {
        loop {
            let publish = self.heard.recv_timeout(PATIENCE).expect(tail);
            if String::from_utf8_lossy(&publish.topic).ends_with(tail) {
                return publish;
            }
        }
    }

    /// Waits for the hub's presence; answers the acks that were heard before it.
    pub fn hub_becomes(&self, state: &str) -> Vec<Ack> {
        let mut acks = Vec::new();
        loop {
            let publish = self.heard.recv_timeout(PATIENCE).expect(state);
            if publish.topic.ends_with(b"hub/state") {
                let said: Value = serde_json::from_slice(&publish.payload).expect("JSON");
                if said["state"] == state {
                    return acks;
                }
            } else {
                acks.push(serde_json::from_slice(&publish.payload).expect("an ack"));
            }
        }
    }

    pub fn ack(&self) -> Ack {
        loop {
            let publish = self.heard.recv_timeout(PATIENCE).expect("an ack");
            if String::from_utf8_lossy(&publish.topic).contains("/ack/") {
                return serde_json::from_slice(&publish.payload).expect("an ack");
            }
        }
    }

    /// The next ack, if one comes in that time.
    pub fn ack_within(&self, patience: std::time::Duration) -> Option<Ack> {
        let until = std::time::Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(std::time::Instant::now());
            let publish = self.heard.recv_timeout(left).ok()?;
            if String::from_utf8_lossy(&publish.topic).contains("/ack/") {
                return Some(serde_json::from_slice(&publish.payload).expect("an ack"));
            }
        }
    }

    pub fn offer(&self, clip: &Clip) {
        self.publish(
            &format!("clip/{}", clip.id),
            false,
            clip.manifest.to_string(),
        );
    }

    pub fn send_parts(&self, clip: &Clip, from: usize, to: usize) {
        for at in (from..to).step_by(16_384) {
            let end = (at + 16_384).min(to);
            self.publish(
                &format!("part/{}/{at}", clip.id),
                false,
                &clip.body[at..end],
            );
        }
    }

    /// Manifest and all parts, until the hub says `stored`.
    pub fn deliver(&self, clip: &Clip) {
        self.offer(clip);
        self.send_parts(clip, 0, clip.body.len());
        let ack = self.ack();
        assert_eq!(
            (ack.clip_id.as_str(), ack.status),
            (clip.id.as_str(), AckStatus::Stored)
        );
    }
}

impl Booth {
    /// The same as a booth does where a broker drops messages: without an answer it repeats its manifest after `patience`
    /// (contract §3.4), and sends what is missing. Answers how often it had to.
    pub fn deliver_patiently(&self, clip: &Clip, patience: std::time::Duration) -> usize {
        self.offer(clip);
        self.send_parts(clip, 0, clip.body.len());
        for repeats in 0..100 {
            match self.ack_within(patience) {
                Some(ack) if ack.clip_id != clip.id => {}
                Some(ack) if ack.status == AckStatus::Stored => return repeats,
                Some(ack) => {
                    assert_eq!(ack.status, AckStatus::Partial);
                    for range in ack.missing {
                        self.send_parts(clip, range.0 as usize, range.1 as usize);
                    }
                }
                None => self.offer(clip),
            }
        }
        panic!("{} never came in", clip.id);
    }
}

impl Drop for Booth {
    fn drop(&mut self) {
        let _ = self.client.disconnect();
    }
}

/// A clip as a booth would offer it.
pub struct Clip {
    pub id: String,
    pub body: Vec<u8>,
    pub manifest: Value,
}

impl Clip {
    pub fn new(booth: &str, clip_no: u64) -> Self {
        let body: Vec<u8> = (0..180_000_u64)
            .map(|n| (n.wrapping_mul(31 + clip_no) >> 3) as u8)
            .collect();
        Self::with_body(booth, clip_no, body)
    }

    /// A clip with this body.
    pub fn with_body(booth: &str, clip_no: u64, body: Vec<u8>) -> Self {
        let id = format!("6f9619ff-8b86-4d01-b42d-{clip_no:012x}");
        let sha256: String = Sha256::digest(&body)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let manifest = json!({"schema": 1, "clip_id": id, "clip_no": clip_no, "card_id": "card-1",
            "booth_id": booth, "boot_id": "b", "kind": "audio", "source": "booth", "test": 0,
            "campaign_id": null, "question_id": "square", "choice": null, "lang": "da",
            "started_at": "2026-03-01T10:00:00.000Z", "started_mono_ms": 5, "clock_synced": 1,
            "duration_ms": 60_000, "ended_by": "hang_up", "recovered": 0, "body": "ogg-opus",
            "bytes": body.len(), "sha256": sha256, "bitrate": 24000, "sample_rate": 48000,
            "channels": 1, "consent": null, "key_ids": [], "sealed": null, "rms_dbfs": null,
            "peak_dbfs": null, "speech_ratio": null});
        Self { id, body, manifest }
    }
}
