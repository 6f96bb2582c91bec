//! Votes with one-time codes as a city runs them: the hub's own commands make the campaign and the codes, a citizen votes at a real gateway,
//! another one from home.
#![allow(clippy::disallowed_methods)] // writes what a city writes

use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use booth_contract::OneTimeCode;
use booth_host::plain_file::make_private;
use booth_hub::centre::{Centre as _, HubCentre};
use booth_hub::config::HubConfig;
use booth_hub::store::{BrokerStatus, StoreViews};
use booth_sealing::{Identity, KernelRandom, Random};
use booth_testkit::centre::Centre;
use booth_testkit::gateway::{BoothHome, Gateway};
use booth_testkit::hub::{Broker, Home, Hub, booth_hub, free_port};
use booth_testkit::pulse::Pulse;
use booth_testkit::wait::until;
use serde_json::Value;

const BOOTH: &str = "rundhoej-1";

/// A campaign with one vote whose votes need a code.
fn campaign(home: &Home) -> String {
    let sounds = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sounds");
    let sound = |name: &str| sounds.join(name).display().to_string();
    let text = format!(
        "id = \"tree\"\ntitle = \"A tree\"\nbooths = [{BOOTH:?}]\n\n[[question]]\nid = \"which\"\ndigit = 1\nkind = \"choose\"\ncodes = true\n\
         text.da = \"Hvilket træ?\"\nsound.da = {:?}\n\
         [[question.option]]\nid = \"lime\"\ndigit = 2\ntext.da = \"Lind\"\nsound.da = {:?}\n\
         [[question.option]]\nid = \"oak\"\ndigit = 3\ntext.da = \"Eg\"\nsound.da = {:?}\n",
        sound("tone.flac"),
        sound("tone.ogg"),
        sound("tone.m4a")
    );
    let path = home.path().join("tree.toml");
    std::fs::write(&path, text).expect("written");
    path.display().to_string()
}

/// What `booth-hub campaign` prints.
fn done(home: &Home, arguments: &[&str]) -> String {
    let config = home.config();
    let config = ["--config", config.to_str().expect("a path")];
    let ran = booth_hub(&[&["campaign"], arguments, &config].concat());
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let complained = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{arguments:?}: {said}{complained}");
    said
}

/// Lifts the handset, chooses an option, dials these digits, and hangs up.
fn votes(gateway: &Gateway, option: u8, digits: &str) {
    gateway.handset("lift");
    gateway.reaches("session", "question");
    gateway.handset(&format!("dial {option}"));
    for digit in digits.chars() {
        gateway.handset(&format!("dial {digit}"));
    }
    gateway.handset("hang-up");
    gateway.reaches("session", "idle");
}

/// A browser without a script.
struct Browser(u16);

impl Browser {
    fn asks(&self, request: &str) -> String {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.0)).expect("connected");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("read");
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn page(&self) -> String {
        let port = self.0;
        self.asks(&format!(
            "GET {PAGE} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
        ))
    }

    fn sends(&self, fields: &[(&str, &str)]) -> String {
        let part = |(name, value): &(&str, &str)| {
            format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let form = fields.iter().map(part).collect::<String>() + "--xyz--\r\n";
        let (port, length) = (self.0, form.len());
        self.asks(&format!(
            "POST {PAGE} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
             Content-Type: multipart/form-data; boundary=xyz\r\nContent-Length: {length}\r\n\r\n{form}"
        ))
    }

    /// Both steps; the last page.
    fn votes(&self, option: &str, code: &str) -> String {
        let ticket = value_of(&self.page(), "ticket");
        let first = [
            ("ticket", &*ticket),
            ("consent", "yes"),
            ("choice", option),
            ("code", code),
            ("do", "look"),
        ];
        let looked = self.sends(&first);
        assert!(looked.starts_with("HTTP/1.1 200"), "{looked}");
        let of = |name: &str| value_of(&looked, name);
        let (ticket, notice, code) = (of("ticket"), of("notice"), of("code"));
        self.sends(&[
            ("ticket", &*ticket),
            ("notice", &*notice),
            ("consent", "yes"),
            ("choice", option),
            ("code", &*code),
            ("do", "send"),
        ])
    }
}

const PAGE: &str = "/en/answer/tree/which";

fn value_of(page: &str, name: &str) -> String {
    let field = format!("name=\"{name}\" value=\"");
    let rest = page.split_once(&field).map(|(_, rest)| rest);
    let value = rest.and_then(|rest| rest.split('"').next());
    value.unwrap_or_default().to_owned()
}

#[test]
fn a_code_counts_once_at_a_booth_or_from_home_and_without_one_nothing_is_cast() {
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let city = Identity::generate(&mut KernelRandom).expect("a key");
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("city.key");
    make_private(&key, city.to_text().as_bytes()).expect("a key");
    let browser = Browser(free_port());
    let home = Home::new(
        broker.port,
        &format!(
            "[privacy]\nidentities = [{key:?}]\n[city]\nlisten = \"127.0.0.1:{}\"\n[[booth]]\nid = {BOOTH:?}\n",
            browser.0
        ),
    );
    let booth = BoothHome::sealed(broker.port, Some(&city.recipient().to_string()), "");
    let hub = Hub::start(&home);
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("ready", 1);
    let file = campaign(&home);
    done(&home, &["prompts", &file]);
    let made = done(&home, &["codes", "tree", "--count", "2", "--json"]);
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let codes: Vec<&str> = made["codes"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let said = done(&home, &["publish", &file, "--wait", "60"]);
    assert!(said.contains("In force at 1 of 1"), "{said}");

    let stored = Centre::open(&home.path().join("store")).expect("the hub's database");
    let arrived = |number: u64| {
        until("the vote is at the hub", || {
            (stored.count(BOOTH).ok()? == number).then_some(())
        });
    };
    // No code, half a code, a slip: nothing is cast, although an option was chosen.
    votes(&gateway, 2, "");
    votes(&gateway, 2, &codes[0][..9]);
    let slip = if codes[0].ends_with('0') { "1" } else { "0" };
    votes(&gateway, 2, &format!("{}{slip}", &codes[0][..9]));
    // The right one; once more; and one that is on no list.
    votes(&gateway, 2, codes[0]);
    arrived(1);
    votes(&gateway, 3, codes[0]);
    arrived(2);
    let chance = |bytes: &mut [u8]| KernelRandom.fill(bytes).expect("chance");
    let stranger = OneTimeCode::generate(chance, &[]).expect("a code");
    votes(&gateway, 3, &stranger.to_text());
    arrived(3);
    let used = browser.votes("3", codes[0]);
    assert!(
        used.starts_with("HTTP/1.1 409") && used.contains("This code was used before"),
        "{used}"
    );
    let unknown = browser.votes("3", &stranger.to_text());
    assert!(unknown.contains("There is no such code"), "{unknown}");
    // From home first, then at the booth.
    let kept = browser.votes("3", codes[1]);
    assert!(
        kept.starts_with("HTTP/1.1 200") && kept.contains("data-receipt="),
        "{kept}"
    );
    votes(&gateway, 2, codes[1]);
    arrived(4);
    let page = hub.page("");
    for says in [
        "2 votes were cast",
        "2 votes not counted: their code had been used before",
        "1 vote not counted",
    ] {
        assert!(page.contains(says), "{says}: {page}");
    }
    let counts = done(&home, &["codes", "tree", "--json"]);
    let counts: Value = serde_json::from_str(&counts).expect("JSON");
    assert_eq!(
        (&counts["codes"], &counts["used"]["which"]),
        (&2.into(), &2.into())
    );
    // What the city's pages are made of has the same two.
    let config = HubConfig::load(&home.config()).expect("a configuration");
    let status = BrokerStatus {
        connected: true,
        detail: String::new(),
        rival: None,
    };
    let views = StoreViews::open(&config.store.dir, Vec::new(), Arc::new(Mutex::new(status)));
    let centre = HubCentre::open(config, Arc::new(views.expect("views"))).expect("a centre");
    let arrived = centre.arrived(0, 100).expect("asked");
    let sources: Vec<&str> = arrived.iter().map(|(_, vote)| vote.source.word()).collect();
    assert_eq!(sources, ["booth", "web"]);
    assert_eq!(centre.number(), Ok(2));
    assert!(gateway.stop().success());
    assert!(hub.stop().success());
}
