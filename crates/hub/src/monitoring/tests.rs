//! What machines see of a running hub: ready or why not, and figures that name every value and nobody.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use booth_city::City;
use booth_contract::Severity;
use booth_contract::time::Mono;
use booth_host::clock;
use serde_json::{Value, json};

use super::values::VALUES;
use super::{Meters, Monitoring, Token};
use crate::centre::HubCentre;
use crate::config::HubConfig;
use crate::http::{self, Names, Pages, guests};
use crate::store::{BrokerStatus, Message, Store, StoreRules, StoreViews};
use crate::view::Views;
use crate::withdrawing::{How, Withdrawing};

const TOKEN: &str = "a-token-of-a-test-0123456789";
const BOOTH: &str = "rundhoej-1";

/// A hub's pages and store, without the link: the test says what the broker does.
struct Running {
    folder: tempfile::TempDir,
    staff: SocketAddr,
    citizens: SocketAddr,
    meters: Arc<Meters>,
    broker: Arc<Mutex<BrokerStatus>>,
    /// It ends when this is dropped.
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Running {
    fn dir(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// With a token, on the store that `fill` has filled.
    fn filled(fill: impl FnOnce(&mut Bench)) -> Self {
        Self::with(true, fill)
    }

    fn with(has_token: bool, fill: impl FnOnce(&mut Bench)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("store");
        fill(&mut Bench::open(&dir));
        let token_file = folder.path().join("token");
        std::fs::write(&token_file, format!("{TOKEN}\n")).expect("written");
        let mut config = HubConfig::default();
        config.store.dir = dir.clone();
        config.store.reserve_bytes = 0;
        config.booths = serde_json::from_value(json!([
            {"id": BOOTH, "name": "Name-of-a-place", "place": "Place-of-a-place"},
            {"id": "new-1"},
        ]))
        .expect("booths");
        let token = has_token.then(|| Token::read(&token_file).expect("a token"));
        let meters = Arc::new(Meters::new(clock::mono()));
        let broker = Arc::new(Mutex::new(BrokerStatus {
            connected: true,
            detail: "connected".into(),
            rival: None,
        }));
        let views = StoreViews::open(&dir, config.booths.clone(), broker.clone()).expect("views");
        let views: Arc<dyn Views> = Arc::new(views);
        let centre = HubCentre::open(config.clone(), views.clone()).expect("a centre");
        let city = City::open(&dir, config.city.clone(), Arc::new(centre)).expect("a city");
        let monitoring = Monitoring::new(
            &config,
            token,
            meters.clone(),
            broker.clone(),
            views.clone(),
            city.clone(),
        )
        .expect("opens");
        let for_citizens = booth_city::web::for_citizens(&city);
        let (orders, _) = crate::orders::channel(broker.clone());
        let rollouts = crate::rollout::Rollouts::open(&dir, views.clone(), orders.clone());
        let rollouts = Arc::new(rollouts.expect("opens"));
        let for_staff = http::with_staff(Pages {
            views,
            names: Names::new([127, 0, 0, 1].into(), &[]),
            withdrawing: Arc::new(Withdrawing::new(&dir, How::NotHere)),
            city,
            monitoring,
            orders: orders.clone(),
            rollouts,
            update_files: None,
            hub: Arc::new(config.clone()),
        });
        let listen = || TcpListener::bind("127.0.0.1:0").expect("a port");
        let (staff, citizens) = (listen(), listen());
        let addresses = [&staff, &citizens].map(|one| one.local_addr().expect("an address"));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async {
                let on = |listener: TcpListener| {
                    listener.set_nonblocking(true).expect("set");
                    tokio::net::TcpListener::from_std(listener).expect("taken over")
                };
                let never = std::future::pending::<()>;
                tokio::select! {
                    () = guests::serve(on(staff), None, for_staff, never()) => {}
                    () = guests::serve(on(citizens), None, for_citizens, never()) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            folder,
            staff: addresses[0],
            citizens: addresses[1],
            meters,
            broker,
            _stop: stop,
        }
    }

    fn get(&self, path: &str, token: Option<&str>) -> (u16, String) {
        get(self.staff, path, token)
    }

    fn figures(&self) -> String {
        let (status, text) = self.get("/metrics", Some(TOKEN));
        assert_eq!(status, 200, "{text}");
        text
    }
}

fn get(address: SocketAddr, path: &str, token: Option<&str>) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("the pages");
    let shown = token.map_or(String::new(), |token| {
        format!("Authorization: Bearer {token}\r\n")
    });
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: {address}\r\n{shown}\r\n"
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (status.expect("a status"), body.to_owned())
}

/// A store that is told things.
struct Bench(Store);

impl Bench {
    fn open(dir: &Path) -> Self {
        let rules = StoreRules {
            dir: dir.to_owned(),
            max_clip_bytes: 1_000_000,
            root: "booth/1".into(),
            database: None,
            bodies: None,
        };
        Self(Store::open(&rules).expect("opens"))
    }

    fn say(&mut self, topic: &str, payload: &Value) {
        let message = Message {
            topic: format!("booth/1/up/{topic}"),
            payload: payload.to_string().into_bytes(),
            retained: false,
            expiry_s: None,
        };
        self.0
            .handle(clock::wall(), clock::mono(), &message)
            .expect("handled");
        self.0.commit().expect("durable");
    }

    /// A booth that is there, with every value that the contract knows and one alert.
    fn a_booth(&mut self) {
        let session = "1-1";
        self.say(
            &format!("{BOOTH}/birth"),
            &json!({"schema": 1, "booth_id": BOOTH, "card_id": "card-1", "session": session, "name": "Born-Name",
                "sw_version": "0.1.0", "hw_serial": "serial-1", "health_interval_s": 60}),
        );
        self.say(
            &format!("{BOOTH}/state"),
            &json!({"schema": 1, "state": "online", "card_id": "card-1", "session": session}),
        );
        let all: serde_json::Map<String, Value> = VALUES
            .iter()
            .map(|value| (value.said.to_owned(), json!(said(value.said))))
            .collect();
        self.say(&format!("{BOOTH}/health"), &Value::Object(all));
        self.say(
            &format!("{BOOTH}/alert/power"),
            &json!({"id": "power", "severity": "needs_visit", "text": "Alert-Text", "since": "2026-03-01T10:00:00.000Z",
                "card_id": "card-1", "session": session}),
        );
    }
}

/// What the booth says under this name: with a shorter interval its health would be old at once.
fn said(name: &str) -> u64 {
    match name {
        "health_interval_s" => 60,
        _ => 1,
    }
}

/// The names of the families of a text.
fn families(text: &str) -> BTreeSet<&str> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split(' ').next()).collect()
}

/// The names of the samples of a text.
fn samples(text: &str) -> BTreeSet<&str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect()
}

fn value_of<'a>(text: &'a str, sample: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))
}

#[test]
fn a_hub_that_has_lost_its_broker_says_so_and_is_ready_again_when_it_is_back() {
    let hub = Running::filled(|_| ());
    assert_eq!(hub.get("/readyz", None), (200, "ok\n".into()));
    *hub.broker.lock().expect("held") = BrokerStatus {
        connected: false,
        detail: "nobody listens\non that port".into(),
        rival: None,
    };
    let (status, why) = hub.get("/readyz", None);
    assert_eq!(status, 503);
    assert!(
        why.contains("not connected") && why.contains("nobody listens"),
        "{why}"
    );
    assert_eq!(why.lines().count(), 1, "one sentence a line: {why}");
    assert_eq!(
        hub.get("/healthz", None),
        (200, "ok\n".into()),
        "it lives all the same"
    );
    let text = hub.figures();
    assert_eq!(value_of(&text, "booth_hub_broker_connected"), Some("0"));
    assert_eq!(value_of(&text, "booth_hub_ready"), Some("0"));
    hub.broker.lock().expect("held").connected = true;
    assert_eq!(hub.get("/readyz", None).0, 200);
}

#[test]
fn a_store_that_takes_no_writes_is_said_until_it_does() {
    let hub = Running::filled(|_| ());
    hub.meters.failed("the disk is read-only");
    let (status, why) = hub.get("/readyz", None);
    assert_eq!(status, 503);
    assert!(why.contains("the disk is read-only"), "{why}");
    hub.meters.committed(1, 0.01);
    assert_eq!(hub.get("/readyz", None).0, 200);
    let text = hub.figures();
    assert_eq!(value_of(&text, "booth_hub_store_failures_total"), Some("1"));
    assert_eq!(value_of(&text, "booth_hub_commit_seconds_count"), Some("1"));
    assert_eq!(value_of(&text, "booth_hub_batch_jobs_sum"), Some("1.0"));
    // A bucket that is away keeps nobody from being heard.
    hub.meters.bodies(Some("the bucket is away".into()));
    assert_eq!(hub.get("/readyz", None).0, 200);
    let seen = crate::sightings::of_the_bodies(hub.meters.bodies_fault()).expect("a sighting");
    assert_eq!(
        (seen.kind.as_str(), seen.text.as_str()),
        ("bodies", "the bucket is away")
    );
    hub.meters.bodies(None);
    assert!(crate::sightings::of_the_bodies(hub.meters.bodies_fault()).is_none());
}

#[test]
fn what_of_the_stores_own_work_fails_is_seen_until_it_goes_well() {
    let hub = Running::filled(|_| ());
    hub.meters
        .works("withdrawals", Some("the disk is full".into()));
    let seen = crate::sightings::of_the_work(hub.meters.failing());
    let seen: Vec<(&str, &str)> = seen
        .iter()
        .map(|one| (one.kind.as_str(), one.text.as_str()))
        .collect();
    assert_eq!(seen, [("withdrawals", "the disk is full")]);
    assert!(booth_city::watch::KINDS.contains(&"withdrawals"));
    hub.meters.works("withdrawals", None);
    assert!(crate::sightings::of_the_work(hub.meters.failing()).is_empty());
}

#[test]
fn a_hub_whose_workers_are_all_gone_is_not_ready_and_fewer_than_wanted_are_told() {
    let hub = Running::filled(|_| ());
    let told = |wanted: u16| {
        let seen = crate::sightings::of_the_workers(hub.meters.living_workers(), wanted);
        seen.map(|seen| (seen.kind, seen.number, seen.text, seen.severity))
    };
    assert_eq!(told(0), None, "it does all the work itself");
    for (living, severity) in [
        (0, Some(Severity::CitizenCannotSpeak)),
        (1, Some(Severity::Watch)),
        (2, None),
    ] {
        hub.meters.workers(Some(living));
        let wanted = severity.map(|severity| {
            let number = i64::try_from(living).expect("a number");
            ("workers".to_owned(), number, "2".to_owned(), severity)
        });
        assert_eq!(told(2), wanted);
        let (status, why) = hub.get("/readyz", None);
        assert_eq!(status == 503, living == 0, "{why}");
        assert_eq!(why.contains("booth-hub-ingest@1"), living == 0, "{why}");
    }
}

#[test]
fn a_loop_that_does_not_turn_is_not_healthy() {
    let hub = Running::filled(|_| ());
    let long_ago = clock::mono().0.saturating_sub(3_600_000);
    hub.meters.alive(Mono(long_ago));
    if clock::mono().0 - long_ago > 61_000 {
        assert_eq!(hub.get("/healthz", None).0, 503);
    }
    hub.meters.alive(clock::mono());
    assert_eq!(hub.get("/healthz", None).0, 200);
}

#[test]
fn figures_need_the_token_and_are_nowhere_for_citizens() {
    let hub = Running::filled(Bench::a_booth);
    for bad in [None, Some("a-token-of-a-test-012345678"), Some("")] {
        let (status, text) = hub.get("/metrics", bad);
        assert_eq!(status, 401, "{bad:?}");
        assert!(!text.contains("booth_up"), "{text}");
    }
    let text = hub.figures();
    assert!(text.ends_with("# EOF\n"));
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(get(hub.citizens, path, Some(TOKEN)).0, 404, "{path}");
    }
    let without = Running::with(false, |_| ());
    let (status, why) = without.get("/metrics", Some(TOKEN));
    assert_eq!(status, 404);
    assert!(why.contains("metrics_token_file"), "{why}");
}

#[test]
fn every_value_of_a_booth_is_told_in_its_base_unit() {
    let hub = Running::filled(Bench::a_booth);
    let text = hub.figures();
    for value in VALUES {
        assert!(families(&text).contains(value.family), "{}", value.family);
        let total = match value.kind {
            prometheus_client::metrics::MetricType::Counter => "_total",
            _ => "",
        };
        let sample = format!("{}{total}{{booth=\"{BOOTH}\"}}", value.family);
        let told: f64 = value_of(&text, &sample)
            .expect(&sample)
            .parse()
            .expect("a number");
        let wanted = said(value.said) as f64 * value.factor;
        assert!((told - wanted).abs() <= wanted * 1e-9, "{sample} {told}");
    }
    assert_eq!(
        value_of(&text, &format!("booth_up{{booth=\"{BOOTH}\"}}")),
        Some("1")
    );
    assert_eq!(value_of(&text, "booth_up{booth=\"new-1\"}"), Some("0"));
    let never = "booth_state{booth=\"new-1\",state=\"never_heard\"}";
    assert_eq!(value_of(&text, never), Some("1"));
    let power =
        format!("booth_alert_raised{{booth=\"{BOOTH}\",alert=\"power\",severity=\"needs_visit\"}}");
    assert_eq!(value_of(&text, &power), Some("1"), "{text}");
}

#[test]
fn no_name_no_place_and_no_word_is_in_the_figures() {
    let hub = Running::filled(|bench| {
        bench.a_booth();
        bench.say(
            &format!("{BOOTH}/clip/6f9619ff-8b86-4d01-b42d-00cf4fc964ff"),
            &json!({"schema": 1, "note": "Word-of-a-citizen"}),
        );
    });
    let text = hub.figures();
    for secret in [
        "Name-of-a-place",
        "Place-of-a-place",
        "Born-Name",
        "Alert-Text",
        "Word-of-a-citizen",
        "6f9619ff",
        "serial-1",
        "card-1",
        TOKEN,
    ] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[test]
fn a_liars_names_make_no_family_and_no_label_of_their_own() {
    let plain = Running::filled(Bench::a_booth).figures();
    let hub = Running::filled(|bench| {
        bench.a_booth();
        for nth in 0..60 {
            let health = json!({"ready": 1, (format!("x{nth}\"}}\n# EOF")): 7, (format!("booth_up{nth}")): 1, "spool_bytes": 1e308,
                "load1": -1e308, "lifts_total": -5, "faults": "many"});
            bench.say(&format!("{BOOTH}/health"), &health);
            bench.say(
                &format!("{BOOTH}/alert/invented-{nth}"),
                &json!({"text": "x"}),
            );
        }
    });
    let text = hub.figures();
    assert_eq!(families(&plain), families(&text));
    assert!(
        !text.contains("invented") && !text.contains("booth_up1"),
        "{text}"
    );
    assert_eq!(text.matches("# EOF").count(), 1);
    let other =
        format!("booth_alert_raised{{booth=\"{BOOTH}\",alert=\"other\",severity=\"watch\"}}");
    assert_eq!(value_of(&text, &other), Some("60"));
    let booths: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split("booth=\"").nth(1)?.split('"').next())
        .collect();
    assert_eq!(booths, BTreeSet::from([BOOTH, "new-1"]));
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let value = line.rsplit(' ').next().unwrap_or_default();
        assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
    }
}

#[test]
fn a_storm_of_scrapes_keeps_no_message_from_being_kept() {
    let hub = Running::filled(Bench::a_booth);
    let mut bench = Bench::open(&hub.dir());
    let address = hub.staff;
    let storm: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(move || {
                for _ in 0..10 {
                    let (status, text) = get(address, "/metrics", Some(TOKEN));
                    assert!(status == 200 && text.ends_with("# EOF\n"), "{status}");
                }
            })
        })
        .collect();
    // A store that were locked out would fail here.
    for nth in 1..=20 {
        bench.say(
            &format!("{BOOTH}/health"),
            &json!({"ready": 1, "up_s": nth}),
        );
    }
    for one in storm {
        one.join().expect("answered");
    }
}

fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/monitoring")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(files().join(name)).expect(name)
}

/// The names of figures in a text: words that begin with `booth_`, without the names of files.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let words = words.filter(|word| word.starts_with("booth_") && !word.ends_with('_'));
    words.map(str::to_owned).collect()
}

#[test]
fn every_figure_that_rules_dashboard_and_page_name_is_printed_by_a_hub_with_one_booth() {
    let hub = Running::filled(Bench::a_booth);
    hub.meters.committed(1, 0.01);
    let text = hub.figures();
    let mut printed: BTreeSet<&str> = samples(&text);
    // A family without a sample yet: no gap, no alert.
    printed.extend(families(&text));
    // Absent on a disk without a limit of files.
    printed.insert("booth_hub_disk_free_files");
    let page = std::fs::read_to_string(files().join("../monitoring.md")).expect("the page");
    for (name, text) in [
        ("booth-hub.rules.yml", read("booth-hub.rules.yml")),
        ("booth-hub.rules.test.yml", read("booth-hub.rules.test.yml")),
        ("grafana-dashboard.json", read("grafana-dashboard.json")),
        ("monitoring.md", page.clone()),
    ] {
        for figure in named(&text) {
            assert!(printed.contains(figure.as_str()), "{name} names {figure}");
        }
    }
    let known = named(&page);
    for family in families(&text) {
        let is_there = known.iter().any(|name| {
            name == family
                || *name == format!("{family}_total")
                || *name == format!("{family}_info")
        });
        assert!(is_there, "monitoring.md does not name {family}");
    }
    let rules = read("booth-hub.rules.yml");
    for rule in rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        assert!(page.contains(rule), "monitoring.md does not name {rule}");
        assert!(
            read("booth-hub.rules.test.yml").contains(rule),
            "no test of {rule}"
        );
    }
}

#[test]
fn the_dashboard_is_one_that_grafana_takes() {
    let board: Value = serde_json::from_str(&read("grafana-dashboard.json")).expect("JSON");
    assert_eq!(
        board["id"],
        Value::Null,
        "an id is the importing Grafana's own"
    );
    assert!(
        board["schemaVersion"]
            .as_u64()
            .is_some_and(|version| version >= 36)
    );
    assert!(board["title"].is_string() && board["uid"].is_string());
    let panels = board["panels"].as_array().expect("panels");
    let ids: BTreeSet<u64> = panels
        .iter()
        .filter_map(|panel| panel["id"].as_u64())
        .collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    for panel in panels {
        assert!(
            panel["type"].is_string() && panel["gridPos"]["w"].is_u64(),
            "{panel}"
        );
        let targets = panel["targets"].as_array().expect("targets");
        assert!(
            targets.iter().all(|target| target["expr"].is_string()),
            "{panel}"
        );
    }
}

#[test]
fn telegraf_listens_to_the_contracts_topic() {
    let config: toml::Table = read("telegraf.conf").parse().expect("TOML");
    let consumer = &config["inputs"]["mqtt_consumer"][0];
    let topics = booth_contract::Topics::new("booth/1");
    let health = booth_contract::BoothId::parse("a-1").map(booth_contract::Topic::Health);
    let health = topics.name(&health.expect("an id")).replace("/a-1/", "/+/");
    assert_eq!(consumer["topics"][0].as_str(), Some(health.as_str()));
    assert_eq!(
        consumer["topic_parsing"][0]["topic"].as_str(),
        Some(health.as_str())
    );
    let tags = consumer["topic_parsing"][0]["tags"].as_str().expect("tags");
    assert_eq!(
        tags.split('/').position(|tag| tag == "booth"),
        health.split('/').position(|level| level == "+")
    );
    let scrape = &config["inputs"]["prometheus"][0];
    assert!(
        scrape["urls"][0]
            .as_str()
            .is_some_and(|url| url.ends_with("/metrics"))
    );
}

/// Whether this program of Debian's package `prometheus` is here; says so where it is not.
fn is_here(program: &str) -> bool {
    let is_here = Command::new(program).arg("--version").output().is_ok();
    if !is_here {
        booth_host::complain!(
            "!! {program}: NOT RUN: it is not in the PATH; docs/testing.md says how to get it"
        );
    }
    is_here
}

fn promtool(arguments: &[&str], folder: &Path) {
    let done = Command::new("promtool")
        .args(arguments)
        .current_dir(folder)
        .output();
    let done = done.expect("promtool");
    let told = [done.stdout, done.stderr].concat();
    assert!(
        done.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&told)
    );
}

#[test]
fn prometheus_own_tool_takes_the_rules_their_tests_and_the_configuration() {
    if !is_here("promtool") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for name in [
        "booth-hub.rules.yml",
        "booth-hub.rules.test.yml",
        "prometheus.yml",
    ] {
        std::fs::write(folder.path().join(name), read(name)).expect("written");
    }
    std::fs::write(folder.path().join("booth-hub.token"), TOKEN).expect("written");
    promtool(&["check", "rules", "booth-hub.rules.yml"], folder.path());
    promtool(
        &["test", "rules", "booth-hub.rules.test.yml"],
        folder.path(),
    );
    promtool(&["check", "config", "prometheus.yml"], folder.path());
}

/// A Prometheus that ends with the test.
struct Prometheus(std::process::Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_real_prometheus_scrapes_the_hub_with_its_token() {
    if !is_here("prometheus") {
        return;
    }
    let hub = Running::filled(Bench::a_booth);
    let folder = hub.folder.path();
    let config = read("prometheus.yml")
        .replace("127.0.0.1:8080", &hub.staff.to_string())
        .replace("scrape_interval: 60s", "scrape_interval: 1s");
    std::fs::write(folder.join("prometheus.yml"), config).expect("written");
    std::fs::write(
        folder.join("booth-hub.rules.yml"),
        read("booth-hub.rules.yml"),
    )
    .expect("written");
    std::fs::write(folder.join("booth-hub.token"), TOKEN).expect("written");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let log = std::fs::File::create(folder.join("prometheus.log")).expect("a log");
    let started = Command::new("prometheus")
        .arg("--config.file=prometheus.yml")
        .arg("--storage.tsdb.path=tsdb")
        .arg(format!("--web.listen-address={address}"))
        .current_dir(folder)
        .stderr(log)
        .spawn();
    let mut prometheus = Prometheus(started.expect("starts"));
    let query = format!("/api/v1/query?query=booth_up%7Bbooth%3D%22{BOOTH}%22%7D");
    loop {
        let ended = prometheus.0.try_wait().expect("asked");
        let log = std::fs::read_to_string(folder.join("prometheus.log")).unwrap_or_default();
        assert!(ended.is_none(), "{log}");
        if TcpStream::connect(address).is_ok() {
            let (_, targets) = get(address, "/api/v1/targets", None);
            assert!(!targets.contains("\"health\":\"down\""), "{targets}");
            let (_, found) = get(address, &query, None);
            if found.contains("\"booth\":\"rundhoej-1\"") && found.contains(",\"1\"]") {
                break;
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[test]
fn a_fleet_that_cannot_be_read_is_told_as_such_and_not_as_one_without_booths() {
    let hub = Running::filled(|_| {});
    let database = crate::store::database_in(&hub.dir());
    let db = booth_database::Connection::open(database).expect("opens");
    db.execute_batch("DROP TABLE card_at_booth")
        .expect("dropped");
    for path in ["/metrics", "/operations", "/operations.csv", "/updates"] {
        let (status, text) = hub.get(path, Some(TOKEN));
        assert_eq!(status, 500, "{path}: {text}");
    }
}
