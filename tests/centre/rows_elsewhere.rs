//! The hub with its rows in a real PostgreSQL, on a real broker: the same delivery and the same pages, also when that server goes away.
#![allow(clippy::disallowed_methods)] // writes a configuration

use std::time::Duration;

use booth_contract::AckStatus;
use booth_stage::postgres::Server;
use booth_testkit::hub::{Booth, Broker, Clip, Home, Hub, booth_hub};

const BOOTH: &str = "rundhoej-1";

/// A hub whose configuration names this database.
fn home(broker: &Broker, database: &str) -> Home {
    let home = Home::new(broker.port, "");
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    let with_database = text.replace("[store]\n", &format!("[store]\ndatabase = {database:?}\n"));
    assert_ne!(with_database, text);
    std::fs::write(home.config(), with_database).expect("written");
    home
}

#[test]
fn a_hub_with_its_rows_in_postgresql_keeps_and_shows_clips_and_outlives_a_server_that_goes_away() {
    let server = Server::start("a hub with its rows in PostgreSQL");
    let Some(mut server) = server.expect("it starts") else {
        return;
    };
    let broker = Broker::open();
    let home = home(&broker, &server.database("booth").expect("a database"));
    let rows = |server: &Server| server.psql("booth", "SELECT count(*) FROM hub.kept");
    let mut hub = Hub::start(&home);
    let booth = Booth::connect(broker.port, BOOTH);
    booth.hub_becomes("online");
    let (first, second) = (Clip::new(BOOTH, 1), Clip::new(BOOTH, 2));
    booth.deliver(&first);
    assert_eq!(rows(&server).expect("asked").trim(), "1");
    assert!(!home.path().join("store/hub.sqlite").exists());
    for page in ["operations", &format!("booth/{BOOTH}")] {
        hub.shows(page, BOOTH);
    }

    server.stop().expect("it ends");
    booth.offer(&second);
    booth.send_parts(&second, 0, second.body.len());
    let ack = booth.ack_within(Duration::from_secs(3));
    let is_stored = ack.is_some_and(|ack| ack.status == AckStatus::Stored);
    assert!(!is_stored && hub.is_running());
    server.start_again().expect("it starts");
    booth.deliver_patiently(&second, Duration::from_secs(5));
    assert_eq!(rows(&server).expect("asked").trim(), "2");
    for clip in [&first, &second] {
        let body = std::fs::read(home.clip_file(&clip.id)).expect("on disk");
        assert_eq!(body, clip.body);
    }
    assert_eq!(hub.stop().code(), Some(0));
    let config = home.config().display().to_string();
    let checked = booth_hub(&["check", "--config", &config]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success(), "{said}");
}
