//! What the machine's sensors say, on its way through the loop into health and alerts.
#![allow(clippy::disallowed_methods)]

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use booth_contract::Health;
use booth_contract::time::Mono;
use booth_gateway::adapters::capture::{CaptureFigures, CaptureState};
use booth_gateway::adapters::handset::{HandsetCommand, HandsetReport};
use booth_gateway::adapters::mqtt::{MqttCommand, MqttEvent};
use booth_gateway::adapters::playback::PlaybackEvent;
use booth_gateway::adapters::prompts::Prompts;
use booth_gateway::adapters::sensors::{Sensors, SupplyFiles};
use booth_gateway::config::{self, Config};
use booth_gateway::run::{
    About, Gateway, Happening, KeeperCommand, KeeperEvent, Machine, Measured, ReadCommand,
    ReadEvent, Speaker, Workers, certificate_file, post, read_message,
};
use booth_spool::Spool;
use booth_testkit::spool_rig::*;
use gateway_core::partition::Partition;
use gateway_core::session::HandsetEvent;
use gateway_core::sign::Sign;

/// Noon in Copenhagen.
const NOON: i64 = 1_796_122_800;
const HOUR: u64 = 3600;

/// A machine whose `/proc` and `/sys` lie in a folder and whose clocks are the test's.
struct Fake {
    sensors: Sensors,
    seconds: Rc<Cell<u64>>,
    clock_synced: bool,
}

impl Machine for Fake {
    fn wall(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_second(NOON + self.seconds.get() as i64).unwrap()
    }

    fn mono(&self) -> Mono {
        Mono(self.seconds.get() * 1000)
    }

    fn clock_synced(&self) -> bool {
        self.clock_synced
    }

    fn new_id(&self) -> String {
        uuid::Uuid::from_u128(1).to_string()
    }

    fn random(&self, bytes: &mut [u8]) -> Result<(), booth_sealing::NoRandom> {
        bytes.fill(7);
        Ok(())
    }

    fn supply_files(&self) -> SupplyFiles {
        self.sensors.supply_files()
    }

    fn watchdog_reset(&self) -> Option<bool> {
        self.sensors.watchdog_reset()
    }

    fn partition(&self, note: &Path) -> Option<Partition> {
        self.sensors.partition(note)
    }

    fn about(&self) -> About {
        About {
            image_id: self.sensors.image().map(|image| image.image_id),
            os_version: self.sensors.os_version(),
            ..About::default()
        }
    }

    fn show(&self, _: &str) {}
}

/// A connected booth on such a machine.
struct Booth {
    folder: tempfile::TempDir,
    seconds: Rc<Cell<u64>>,
    gateway: Gateway,
    published: booth_gateway::adapters::outbox::Outlet,
    kept: Receiver<KeeperCommand>,
    asked: Receiver<ReadCommand>,
    /// The certificate's file, and when it and the sensors are read next.
    certificate: Option<std::path::PathBuf>,
    measure_due: Mono,
    shown: Receiver<HandsetCommand>,
    spool: Spool,
    /// Events published so far, and the latest birth.
    events: Vec<String>,
    birth: serde_json::Value,
    /// Bytes of topics and payloads published so far.
    sent: u64,
}

impl Booth {
    /// With these files in its folder; `mqtt` are lines of booth.toml, where DIR is that folder.
    fn new(mqtt: &str, clock_synced: bool, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            put(folder.path(), path, text);
        }
        Self::on_card(folder, mqtt, clock_synced)
    }

    /// Starts on what is in the folder.
    fn on_card(folder: tempfile::TempDir, mqtt: &str, clock_synced: bool) -> Self {
        let card = folder.path().join("card");
        std::fs::create_dir_all(&card).unwrap();
        let (spool, report) = open(&card);
        let mqtt = mqtt.replace("DIR", folder.path().to_str().unwrap());
        let text = format!(
            "[booth]\nid = \"rundhoej-1\"\n[mqtt]\n{mqtt}\n[spool]\ndir = {card:?}\n[privacy]\nseal = false\n\
             [[question]]\nid = \"q\"\ndigit = 1\nkind = \"speak\"\n"
        );
        let config: Config = config::parse(&text, "booth.toml").unwrap();
        let seconds = Rc::new(Cell::new(1000));
        let machine = Fake {
            sensors: Sensors::under(folder.path()),
            seconds: seconds.clone(),
            clock_synced,
        };
        let (mqtt, published) = booth_gateway::adapters::outbox::pair();
        let (recorder, _) = post(64);
        let (earpiece, _) = post(64);
        let (keeper, kept) = post(64);
        let (reads, asked) = post(64);
        let certificate = certificate_file(&config).map(Path::to_owned);
        let (handset, shown) = post(64);
        let workers = Workers {
            recorder,
            earpiece,
            keeper,
            reader: reads,
            old_cards: None,
            sticks: None,
            handset: Some(handset),
            mic_levels: Arc::default(),
            view: Arc::default(),
            mqtt: Some(mqtt),
            speaker: Arc::new(std::sync::Mutex::new(Speaker::default())),
            mixer: None,
            update: None,
            capture_figures: Arc::new(CaptureFigures::default()),
            prompts: Arc::new(Prompts::load(folder.path(), "da", &[]).0),
            backend: "sim",
        };
        let mut gateway = Gateway::new(config, Path::new("none"), Box::new(machine), workers);
        gateway.begin(Some((spool.clone(), report)));
        let mut booth = Self {
            folder,
            seconds,
            gateway,
            published,
            kept,
            asked,
            certificate,
            measure_due: Mono(1_000_000),
            shown,
            spool,
            events: Vec::new(),
            birth: serde_json::Value::Null,
            sent: 0,
        };
        let connected = MqttEvent::Connected { max_packet: None };
        let now = Mono(1_000_000);
        booth.reads(now);
        booth.gateway.happen(now, Happening::Mqtt(connected));
        booth
    }

    /// What the reader does at this time: it measures the machine each minute, and reads what the loop asked for.
    fn reads(&mut self, now: Mono) {
        if self.measure_due <= now {
            self.measure_due = now + std::time::Duration::from_secs(60);
            let sensors = Sensors::under(self.folder.path());
            let card = self.folder.path().join("card");
            let measured = Measured::now(&sensors, &card, self.certificate.as_deref());
            let measured = ReadEvent::Measured(Box::new(measured));
            self.gateway.happen(now, Happening::Reader(measured));
        }
        while let Ok(ReadCommand::Message { spool, send }) = self.asked.try_recv() {
            let read = read_message(&spool, send);
            self.gateway.happen(now, Happening::Reader(read));
        }
    }

    /// Microphone, earpiece and hook switch work, and the handset is on its hook.
    fn works(&mut self) {
        let now = Mono(self.seconds.get() * 1000);
        for happening in [
            Happening::Capture(CaptureState { works: Ok(()) }),
            Happening::Playback(PlaybackEvent::State { works: Ok(()) }),
            Happening::Handset(HandsetReport::Works(Ok(()))),
            Happening::Handset(HandsetReport::AtStart { off_hook: false }),
        ] {
            self.gateway.happen(now, happening);
        }
    }

    /// The program starts again on the same boot, with what the keeper had saved.
    fn starts_again(mut self, saved: &std::collections::BTreeMap<String, u64>) -> Self {
        let card = self.folder.path().join("card");
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        drop(self);
        let (spool, _) = open(&card);
        spool.save_counters(saved).unwrap();
        drop(spool);
        Self::on_card(folder, PLAIN, true)
    }

    fn put(&self, path: &str, text: &str) {
        put(self.folder.path(), path, text);
    }

    /// The loop for so long, woken when it wants to be; answers the latest health and what alerts were published, the
    /// sentence or nothing.
    fn runs(&mut self, seconds: u64) -> (Option<Health>, Vec<(String, Option<String>)>) {
        let end = Mono((self.seconds.get() + seconds) * 1000);
        let (mut health, mut alerts) = (None, Vec::new());
        loop {
            let now = Mono(self.seconds.get() * 1000);
            self.reads(now);
            self.gateway.turn(now);
            self.reads(now);
            while let Ok(command) = self.published.try_recv() {
                let MqttCommand::Publish(message) = command else {
                    continue;
                };
                self.sent += (message.topic.len() + message.payload.len()) as u64;
                if message.topic.ends_with("/health") {
                    health = Some(Health::from_json(&message.payload).unwrap());
                } else if let Some((_, kind)) = message.topic.split_once("/event/") {
                    self.events.push(kind.to_owned());
                } else if message.topic.ends_with("/birth") {
                    self.birth = serde_json::from_slice(&message.payload).unwrap();
                } else if let Some((_, id)) = message.topic.split_once("/alert/") {
                    let alert: Option<serde_json::Value> =
                        serde_json::from_slice(&message.payload).ok();
                    let text = alert.map(|alert| alert["text"].as_str().unwrap().to_owned());
                    alerts.push((id.to_owned(), text));
                }
            }
            if now >= end {
                return (health, alerts);
            }
            // Whole seconds, never before the loop wants its turn.
            let wake = self
                .gateway
                .wake_at(now)
                .0
                .div_ceil(1000)
                .max(now.0 / 1000 + 1);
            self.seconds.set(wake.min(end.0 / 1000));
        }
    }

    fn counters(&self) -> Option<std::collections::BTreeMap<String, u64>> {
        let commands = self.kept.try_iter();
        let saved = commands.filter_map(|command| match command {
            KeeperCommand::Counters(counters) => Some(counters),
            _ => None,
        });
        saved.last()
    }
}

fn put(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// The last that was said of this alert.
fn last<'a>(alerts: &'a [(String, Option<String>)], id: &str) -> Option<&'a str> {
    let mut of_it = alerts.iter().filter(|(raised, _)| raised == id);
    of_it.next_back().and_then(|(_, text)| text.as_deref())
}

const PLAIN: &str = "url = \"mqtt://broker:1883\"";
const ALARM: &str = "sys/class/hwmon/hwmon1/in0_lcrit_alarm";

#[test]
fn a_dip_of_the_supply_between_two_health_messages_is_counted_and_told() {
    let name = ("sys/class/hwmon/hwmon1/name", "rpi_volt\n");
    let mut booth = Booth::new(PLAIN, true, &[name, (ALARM, "0\n")]);
    let (health, alerts) = booth.runs(120);
    assert_eq!(health.unwrap().get("undervolt_count"), Some(0.0));
    assert_eq!(last(&alerts, "power"), None);
    // The kernel's alarm holds for its period of two seconds; health is told every 60.
    booth.runs(5);
    booth.put(ALARM, "1\n");
    let (_, alerts) = booth.runs(2);
    booth.put(ALARM, "0\n");
    assert_eq!(
        last(&alerts, "power"),
        Some("The supply voltage is too low now: the kernel's alarm says so.")
    );
    let (health, alerts) = booth.runs(120);
    assert_eq!(health.unwrap().get("undervolt_count"), Some(1.0));
    assert_eq!(
        last(&alerts, "power"),
        Some(
            "The supply voltage was too low earlier since boot, it is right now: the kernel's alarm says so."
        )
    );
    // Told when it changes, not at every turn.
    assert_eq!(booth.runs(600).1, []);
}

#[test]
fn an_alarm_whose_driver_comes_late_is_found() {
    let mut booth = Booth::new(PLAIN, true, &[]);
    assert_eq!(booth.runs(120).0.unwrap().get("undervolt_count"), None);
    booth.put("sys/class/hwmon/hwmon1/name", "rpi_volt\n");
    booth.put(ALARM, "1\n");
    assert_eq!(booth.runs(120).0.unwrap().get("undervolt_count"), Some(1.0));
}

#[test]
fn what_a_machine_without_sensors_cannot_know_is_not_in_its_health() {
    let mut booth = Booth::new(PLAIN, true, &[]);
    let health = booth.runs(60).0.unwrap();
    for name in [
        "cpu_temp_c",
        "throttled_now",
        "throttled_since_boot",
        "undervolt_count",
        "root_ro",
        "wifi_rssi_dbm",
        "link_up",
        "watchdog_resets",
        "cert_days_left",
    ] {
        assert_eq!(health.get(name), None, "{name}");
    }
    // What the card itself says needs no kernel.
    assert_eq!(health.get("sd_io_errors"), Some(0.0));
    assert!(health.get("data_used_pct").is_some());
}

#[test]
fn a_certificate_that_ends_within_three_weeks_is_told_with_its_file_and_day() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = |year, month, day| {
        let mut wanted = rcgen::CertificateParams::new(vec!["x".into()]).unwrap();
        wanted.not_after = rcgen::date_time_ymd(year, month, day);
        wanted.self_signed(&key).unwrap().pem()
    };
    // NOON is on 2026-12-01.
    let (ca, client) = (certificate(2026, 12, 10), certificate(2026, 12, 23));
    let files = [("ca.pem", ca.as_str()), ("booth.pem", client.as_str())];
    let folder = |booth: &Booth| booth.folder.path().display().to_string();
    let booth = |lines: &str, clock_synced| Booth::new(lines, clock_synced, &files);
    let both =
        "ca_file = \"DIR/ca.pem\"\ncert_file = \"DIR/booth.pem\"\nkey_file = \"DIR/booth.key\"";
    let tls = "url = \"mqtts://broker:8883\"";

    let mut with_client = booth(&format!("{tls}\n{both}"), true);
    let (health, alerts) = with_client.runs(2);
    assert_eq!(health.unwrap().get("cert_days_left"), Some(21.0));
    assert_eq!(last(&alerts, "cert_expiring"), None);
    let (health, alerts) = with_client.runs(24 * HOUR);
    assert_eq!(health.unwrap().get("cert_days_left"), Some(20.0));
    let sentence = format!(
        "The certificate in {}/booth.pem ends on 2026-12-23.",
        folder(&with_client)
    );
    assert_eq!(last(&alerts, "cert_expiring"), Some(sentence.as_str()));
    // A new one ends the alarm.
    with_client.put("booth.pem", &certificate(2027, 12, 23));
    let (health, alerts) = with_client.runs(120);
    assert_eq!(health.unwrap().get("cert_days_left"), Some(385.0));
    assert_eq!(alerts, [("cert_expiring".to_owned(), None)]);

    let mut with_ca = booth(&format!("{tls}\nca_file = \"DIR/ca.pem\""), true);
    let (health, _) = with_ca.runs(62);
    assert_eq!(health.unwrap().get("cert_days_left"), Some(8.0));
    let (health, alerts) = with_ca.runs(9 * 24 * HOUR);
    assert_eq!(health.unwrap().get("cert_days_left"), Some(-1.0));
    let sentence = format!(
        "The certificate in {}/ca.pem ended on 2026-12-10.",
        folder(&with_ca)
    );
    assert_eq!(last(&alerts, "cert_expiring"), Some(sentence.as_str()));

    // With a clock that may be wrong, without TLS, on the system's roots and without the file nobody knows.
    for (lines, clock_synced) in [
        (format!("{tls}\n{both}"), false),
        (format!("{PLAIN}\n{both}"), true),
        (tls.to_owned(), true),
        (format!("{tls}\nca_file = \"DIR/none.pem\""), true),
    ] {
        let (health, alerts) = booth(&lines, clock_synced).runs(62);
        assert_eq!(health.unwrap().get("cert_days_left"), None, "{lines}");
        assert_eq!(last(&alerts, "cert_expiring"), None, "{lines}");
    }
}

#[test]
fn a_reset_by_the_watchdog_is_counted_per_card_and_once_for_its_boot() {
    let status = "sys/class/watchdog/watchdog0/bootstatus";
    let options = "sys/class/watchdog/watchdog0/options";
    let mut booth = Booth::new(PLAIN, true, &[(status, "0\n"), (options, "0x81a0\n")]);
    assert_eq!(booth.runs(60).0.unwrap().get("watchdog_resets"), Some(0.0));
    let mut booth = Booth::new(PLAIN, true, &[(status, "32\n"), (options, "0x81a0\n")]);
    assert_eq!(booth.runs(60).0.unwrap().get("watchdog_resets"), Some(1.0));
    let saved = booth.counters().expect("saved");
    assert_eq!(saved["watchdog_resets"], 1);
    let mut again = booth.starts_again(&saved);
    assert_eq!(again.runs(60).0.unwrap().get("watchdog_resets"), Some(1.0));
    assert_eq!(again.counters(), None);
}

#[test]
fn bytes_that_were_sent_are_counted_from_local_midnight_on() {
    let mut booth = Booth::new(PLAIN, true, &[]);
    booth.runs(HOUR);
    let telegrams = booth.sent;
    let hub = MqttEvent::Incoming {
        topic: "booth/1/hub/state".into(),
        payload: b"{\"state\":\"online\",\"ts\":null}".to_vec(),
        correlation: None,
    };
    let clip = record(&booth.spool, 4);
    let bytes = clip.bytes;
    let now = Mono(booth.seconds.get() * 1000);
    booth.gateway.happen(now, Happening::Mqtt(hub));
    let mended = KeeperEvent::Mended(vec![clip], Vec::new());
    booth.gateway.happen(now, Happening::Keeper(mended));
    booth.runs(1);
    let before = booth.sent;
    assert!(before > telegrams + bytes, "the clip was not offered");
    let (health, _) = booth.runs(60);
    // The message itself is not in it yet.
    let told = health.unwrap().get("tx_bytes_today").unwrap();
    assert!(
        told >= before as f64 && told < booth.sent as f64,
        "{before} {told} {}",
        booth.sent
    );
    // Noon and twelve hours, in Copenhagen.
    booth.runs(12 * HOUR - HOUR);
    let (health, _) = booth.runs(120);
    let today = health.unwrap().get("tx_bytes_today").unwrap();
    assert!(today > 0.0 && today < told, "{today}");
}

#[test]
fn errors_that_ext4_has_noted_count_as_the_cards_and_are_told() {
    use std::os::unix::fs::MetadataExt;
    let mut booth = Booth::new(
        PLAIN,
        true,
        &[("sys/fs/ext4/mmcblk0p3/errors_count", "3\n")],
    );
    let device = std::fs::metadata(booth.folder.path()).unwrap().dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    booth.put("sys/devices/mmcblk0/mmcblk0p3/partition", "3");
    let block = booth.folder.path().join("sys/dev/block");
    std::fs::create_dir_all(&block).unwrap();
    let partition = booth.folder.path().join("sys/devices/mmcblk0/mmcblk0p3");
    std::os::unix::fs::symlink(partition, block.join(format!("{major}:{minor}"))).unwrap();
    let (health, alerts) = booth.runs(62);
    assert_eq!(health.unwrap().get("sd_io_errors"), Some(3.0));
    assert_eq!(
        last(&alerts, "disk_errors"),
        Some("The card reports errors.")
    );
}

const PARTITION: &str = "run/booth/data";

#[test]
fn without_a_data_partition_nobody_is_invited_to_speak_and_the_centre_hears_why() {
    let told = (
        PARTITION,
        "none\nthe card is too small, or takes no writes\n",
    );
    let mut booth = Booth::new(PLAIN, true, &[told]);
    // The spool opens all the same, in RAM: that is the trap.
    booth.works();
    let (health, alerts) = booth.runs(5);
    assert_eq!(health.unwrap().get("ready"), Some(0.0));
    let text = last(&alerts, "data_partition_missing").expect("raised");
    assert!(text.contains("the card is too small"), "{text}");
    assert_eq!(last(&alerts, "spool_unwritable"), None);
    let now = Mono(booth.seconds.get() * 1000);
    let lifted = HandsetReport::Event {
        at: now,
        event: HandsetEvent::Lifted,
        done: None,
    };
    booth.gateway.happen(now, Happening::Handset(lifted));
    assert_eq!(booth.gateway.session().state_name(), "out_of_order");
}

#[test]
fn what_was_moved_aside_is_told_with_its_sector_and_what_was_repaired_is_an_event() {
    let reason = "it cannot be repaired; it lies untouched before sector 1234944 of the card";
    let told = format!("moved-aside\n{reason}\n");
    let mut booth = Booth::new(PLAIN, true, &[(PARTITION, &told)]);
    booth.works();
    let (health, alerts) = booth.runs(5);
    assert_eq!(health.unwrap().get("ready"), Some(1.0));
    let text = last(&alerts, "data_partition_moved_aside").expect("raised");
    assert!(
        text.contains("before sector 1234944: do not format it"),
        "{text}"
    );
    let told = (PARTITION, "repaired\nit was damaged\n");
    let mut booth = Booth::new(PLAIN, true, &[told]);
    let (_, alerts) = booth.runs(5);
    assert!(booth.events.contains(&"data_partition_repaired".to_owned()));
    assert_eq!(last(&alerts, "data_partition_moved_aside"), None);
    let mut booth = Booth::new(PLAIN, true, &[]);
    booth.runs(5);
    assert!(!booth.events.contains(&"data_partition_repaired".to_owned()));
}

#[test]
fn how_long_a_boot_took_until_a_citizen_could_speak_is_told_and_survives_a_restart_in_that_boot() {
    let mut booth = Booth::new(PLAIN, true, &[]);
    let (health, _) = booth.runs(5);
    assert_eq!(health.unwrap().get("ready_after_s"), None);
    booth.works();
    let (health, _) = booth.runs(1);
    // The boot-time clock, not the program's: it began at 1000 s.
    assert_eq!(health.unwrap().get("ready_after_s"), Some(1005.0));
    booth.runs(60);
    let saved = booth.counters().expect("saved");
    let mut again = booth.starts_again(&saved);
    again.seconds.set(5000);
    again.works();
    let (health, _) = again.runs(70);
    assert_eq!(health.unwrap().get("ready_after_s"), Some(1005.0));
    // In another boot it is another figure.
    let mut other = saved;
    *other.get_mut("ready_in_boot").unwrap() += 7;
    let mut next = again.starts_again(&other);
    next.works();
    let (health, _) = next.runs(2);
    assert_eq!(health.unwrap().get("ready_after_s"), Some(1000.0));
}

#[test]
fn birth_names_the_image_that_the_initrd_has_told_of() {
    let id = "3fb4".repeat(16);
    let image = format!(
        "{{\"image_id\":\"{id}\",\"version\":\"0.1.0\",\"released\":1,\"board\":\"raspberry-pi-arm64\"}}\n"
    );
    let release = "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n";
    let files = [
        ("run/booth/image.json", image.as_str()),
        ("etc/os-release", release),
    ];
    let mut booth = Booth::new(PLAIN, true, &files);
    booth.runs(1);
    assert_eq!(booth.birth["image_id"], id);
    assert_eq!(booth.birth["os_version"], "Debian GNU/Linux 13 (trixie)");
    // One that is no hash is left out, as one that is not there.
    for text in ["{\"image_id\":\"an image\"}", "{", ""] {
        let mut booth = Booth::new(PLAIN, true, &[("run/booth/image.json", text)]);
        booth.runs(1);
        assert_eq!(booth.birth["booth_id"], "rundhoej-1");
        assert_eq!(booth.birth.get("image_id"), None);
    }
}

/// What lamp and bell were told beside the lamp's usual language.
fn signs(booth: &Booth) -> Vec<HandsetCommand> {
    let shown = booth.shown.try_iter();
    let is_sign = |command: &HandsetCommand| {
        matches!(command, HandsetCommand::Sign(_) | HandsetCommand::Ring(_))
    };
    shown.filter(is_sign).collect()
}

#[test]
fn the_end_of_a_first_boot_is_shown_and_rung_once_and_not_in_quiet_hours() {
    let bell = format!("{PLAIN}\n[handset]\nringer = {{ line = 26 }}\n");
    let good = [
        HandsetCommand::Sign(Sign::Good),
        HandsetCommand::Ring(Sign::Good.ringing()),
    ];
    // NOON is no quiet hour.
    let mut booth = Booth::new(&bell, true, &[]);
    booth.works();
    booth.runs(20);
    assert_eq!(signs(&booth), good);
    booth.runs(HOUR);
    assert_eq!(signs(&booth), []);
    let saved = booth.counters().expect("saved");
    let mut again = booth.starts_again(&saved);
    again.works();
    again.runs(300);
    assert_eq!(signs(&again), []);
    // Quiet: the lamp alone. Without a clock: both.
    let always = format!("{bell}[bell]\nquiet = \"00:00-23:59\"\n");
    for (clock_synced, wanted) in [(true, &good[..1]), (false, &good[..])] {
        let mut booth = Booth::new(&always, clock_synced, &[]);
        booth.works();
        booth.runs(20);
        assert_eq!(signs(&booth), wanted, "{clock_synced}");
    }
    // No sound card: not good, once, and good when it is mended.
    let mut broken = Booth::new(&bell, true, &[]);
    let on_hook = HandsetReport::AtStart { off_hook: false };
    broken
        .gateway
        .happen(Mono(1_000_000), Happening::Handset(on_hook));
    broken.runs(89);
    assert_eq!(signs(&broken), []);
    broken.runs(300);
    let not_good = [
        HandsetCommand::Sign(Sign::NotGood),
        HandsetCommand::Ring(Sign::NotGood.ringing()),
    ];
    assert_eq!(signs(&broken), not_good);
    broken.works();
    broken.runs(20);
    assert_eq!(signs(&broken), good);
}
