//! The desk of a hub without the key: a moderator decides on the workstation where the key is, and the decision is the hub's.
#![allow(clippy::disallowed_methods)] // writes the desk's configuration, reads the hub's database

use std::io::{Read, Write};

use booth_contract::Receipt;
use booth_host::plain_file::make_private;
use booth_sealing::{Identity, KernelRandom};
use booth_testkit::hub::{Booth, Broker, Home, Hub, free_port};
use booth_testkit::wait::until;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use crate::desk::PASSWORD;
use crate::withdrawals::{Desk, spoken};

const BOOTH: &str = "rundhoej-1";

/// A browser at one address.
struct Browser {
    host: String,
    cookie: String,
}

impl Browser {
    fn sends(&self, method: &str, path: &str, form: &str) -> Vec<u8> {
        let (host, cookie) = (&self.host, &self.cookie);
        let mut request = format!(
            "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nCookie: {cookie}\r\n"
        );
        if method == "POST" {
            let length = form.len();
            request += &format!(
                "Origin: http://{host}\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n"
            );
        }
        let mut stream = std::net::TcpStream::connect(host).expect("connected");
        stream
            .write_all(format!("{request}\r\n{form}").as_bytes())
            .expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("read");
        answer
    }

    fn get(&self, path: &str) -> String {
        String::from_utf8_lossy(&self.sends("GET", path, "")).into_owned()
    }

    fn post(&self, path: &str, form: &str) -> String {
        String::from_utf8_lossy(&self.sends("POST", path, form)).into_owned()
    }
}

fn field(page: &str, name: &str) -> String {
    let rest = page.split_once(&format!("name=\"{name}\" value=\""));
    let value = rest.and_then(|(_, rest)| rest.split('"').next());
    value
        .unwrap_or_else(|| panic!("{name} in {page}"))
        .to_owned()
}

#[test]
fn a_moderator_decides_at_the_desk_with_the_key_and_the_hub_without_it_publishes() {
    let city = Identity::generate(&mut KernelRandom).expect("a key");
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("city.key");
    make_private(&key, city.to_text().as_bytes()).expect("a key");
    let public = city.recipient();
    let home = Home::new(
        broker.port,
        &format!("[privacy]\nrecipients = [\"{public}\"]\n"),
    );
    let hub = Hub::start(&home);
    let roles = ["--role", "moderator", "--languages", "en,da"];
    home.has_person("anna", PASSWORD, &roles);
    let booth = Booth::connect(broker.port, BOOTH);
    booth.hub_becomes("online");
    let receipt = Receipt::parse_text("002006673085").expect("a receipt");
    let clips = ["text", "voice"].map(|allowed| {
        let number = 1 + u64::from(allowed == "voice");
        let mut clip = spoken(number, &city, &receipt);
        clip.manifest["consent"] =
            json!({"mode": "digit", "key": "1", "notice_id": null, "publish": allowed});
        booth.deliver(&clip);
        clip
    });
    let address = hub.address();
    let address = address.trim_end_matches('/');
    let port = free_port();
    let config = folder.path().join("desk.toml");
    let store = home.path().join("store");
    let text = format!(
        "[store]\ndir = {store:?}\n[privacy]\nidentities = [{key:?}]\n[http]\nlisten = \"127.0.0.1:{port}\"\n[desk]\nhub = {address:?}\n"
    );
    std::fs::write(&config, text).expect("written");
    let desk = Desk::start(&config);
    let host = format!("127.0.0.1:{port}");
    until("the desk is up", || {
        std::net::TcpStream::connect(&host).ok()
    });
    let mut browser = Browser {
        host,
        cookie: String::new(),
    };
    // Nobody comes in without the hub's login, and a form of another site goes nowhere.
    let stranger = browser.get(&format!("desk/message/{}/sound.opus", clips[0].id));
    assert!(stranger.starts_with("HTTP/1.1 303"), "{stranger}");
    let password = PASSWORD
        .replace(' ', "+")
        .replace('ø', "%C3%B8")
        .replace('å', "%C3%A5");
    let entered = browser.post("login", &format!("name=anna&password={password}&next=desk"));
    let cookie = entered
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .and_then(|cookie| cookie.split(';').next());
    browser.cookie = cookie.unwrap_or_else(|| panic!("{entered}")).to_owned();
    let message = |n: usize| format!("desk/message/{}", clips[n].id);
    let page = until("the city has seen the messages", || {
        let page = browser.get(&message(1));
        browser
            .get(&message(0))
            .starts_with("HTTP/1.1 200")
            .then_some(())?;
        page.starts_with("HTTP/1.1 200").then_some(page)
    });
    assert!(page.contains("This hub has no key of the city"), "{page}");
    // Heard here; at the hub itself it stays sealed.
    let sound = format!("{}/sound.opus", message(0));
    let heard = browser.sends("GET", &sound, "");
    assert!(heard.windows(8).any(|bytes| bytes == b"OpusHead"));
    assert!(heard.starts_with(b"HTTP/1.1 200"));
    let at_the_hub = Browser {
        host: address.trim_start_matches("http://").to_owned(),
        cookie: browser.cookie.clone(),
    };
    assert!(at_the_hub.get(&sound).starts_with("HTTP/1.1 423"));
    let db =
        Connection::open_with_flags(store.join("city.sqlite"), OpenFlags::SQLITE_OPEN_READ_ONLY);
    let db = db.expect("the hub's decisions");
    let number =
        |question: &str| -> u64 { db.query_row(question, [], |row| row.get(0)).expect("asked") };
    assert_eq!(
        number("SELECT count(DISTINCT about) FROM act WHERE what = 'listened'"),
        1
    );
    // What is decided here is in the hub's own store, in the name of who decided.
    let page = browser.get(&message(0));
    let form = |page: &str, wish: &str| {
        format!(
            "form_token={}&version={}&transcript=Der+mangler+en+b%C3%A6nk&transcript_lang=da&do={wish}",
            field(page, "form_token"),
            field(page, "version")
        )
    };
    let decided = browser.post(&message(0), &form(&page, "text"));
    assert!(decided.starts_with("HTTP/1.1 303"), "{decided}");
    let published = "SELECT count(*) FROM message WHERE state = 'published' AND transcript = 'Der mangler en bænk'";
    assert_eq!(number(published), 1);
    // Its citizen allows the voice, and nobody could hear it from this hub's pages.
    let page = browser.get(&message(1));
    let refused = browser.post(&message(1), &form(&page, "voice"));
    assert!(refused.contains("Publish the text"), "{refused}");
    assert_eq!(number(published), 1);
    // No word of it lies open at the hub.
    assert!(hub.stop().success());
    let away = browser.get("desk");
    assert!(
        away.starts_with("HTTP/1.1 502") && away.contains("does not answer"),
        "{away}"
    );
    drop(desk);
}
