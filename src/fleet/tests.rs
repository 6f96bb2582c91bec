//! The book judges as the contract says, and the screen shows what the book knows.

use booth_contract::fleet::{self, Seen, Standing};
use booth_contract::time::Timestamp;
use booth_contract::{AlertId, Topics};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::json;

use super::book::Book;
use super::choice::{Choice, Done};
use super::link::Message;
use super::{screen, table};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_975_200 + second).expect("a time")
}

/// A fleet that speaks.
struct City {
    book: Book,
    now: Timestamp,
}

impl City {
    fn new() -> Self {
        let mut book = Book::new(Topics::new("booth/1"));
        book.connected(at(0));
        Self { book, now: at(0) }
    }

    fn says(&mut self, tail: &str, payload: impl Into<Vec<u8>>) {
        self.hears(tail, payload, false, None);
    }

    fn hears(
        &mut self,
        tail: &str,
        payload: impl Into<Vec<u8>>,
        is_retained: bool,
        left_s: Option<u32>,
    ) {
        let message = Message {
            topic: format!("booth/1/{tail}"),
            payload: payload.into(),
            is_retained,
            left_s,
        };
        self.book.hear(self.now, &message);
    }

    fn state(&mut self, booth: &str, state: &str, session: &str, card: &str) {
        let said = json!({"state": state, "session": session, "card_id": card});
        self.says(&format!("up/{booth}/state"), said.to_string());
    }

    fn birth(&mut self, booth: &str, name: &str, session: &str, card: &str) {
        let said = json!({"schema": 1, "name": name, "session": session, "card_id": card, "sw_version": "0.1.0",
            "hw_model": "Raspberry Pi 4", "ip": "192.0.2.7", "health_interval_s": 60});
        self.says(&format!("up/{booth}/birth"), said.to_string());
    }

    fn health(&mut self, booth: &str, ready: u8, more: &str) {
        let said = format!("{{\"ready\":{ready},\"health_interval_s\":60{more}}}");
        self.says(&format!("up/{booth}/health"), said);
    }

    fn alert(&mut self, booth: &str, id: AlertId, text: &str) {
        let said = json!({"id": id.as_str(), "severity": id.severity(), "text": text, "since": "2026-11-29T18:00:00.000Z"});
        self.says(
            &format!("up/{booth}/alert/{}", id.as_str()),
            said.to_string(),
        );
    }

    /// A booth that is fine.
    fn fine(&mut self, booth: &str, name: &str) {
        self.state(booth, "online", "3-1000", "card-1");
        self.birth(booth, name, "3-1000", "card-1");
        self.health(
            booth,
            1,
            ",\"cpu_temp_c\":48,\"data_used_pct\":4,\"oldest_unsent_s\":0",
        );
    }

    fn standing(&self, booth: &str) -> Option<Standing> {
        let rows = self.book.rows(self.now);
        let row = rows.iter().find(|row| row.booth_id() == booth)?;
        Some(row.standing())
    }

    fn shows(&self, choice: &Choice, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal
            .draw(|frame| screen::draw(frame, &self.book, choice, self.now))
            .expect("drawn");
        let cells = terminal.backend().buffer().content();
        let lines = cells.chunks(usize::from(width)).map(|line| {
            let line: String = line.iter().map(ratatui::buffer::Cell::symbol).collect();
            line.trim_end().to_owned() + "\n"
        });
        lines.collect()
    }
}

#[test]
fn presence_goes_by_the_session_within_a_card_and_another_card_takes_over_by_its_birth() {
    let mut city = City::new();
    city.fine("rundhoej-1", "Rundhøj");
    assert_eq!(city.standing("rundhoej-1"), Some(Standing::Fine));
    // A will of the connection before comes late.
    city.state("rundhoej-1", "lost", "3-999", "card-1");
    assert_eq!(city.standing("rundhoej-1"), Some(Standing::Fine));
    city.state("rundhoej-1", "lost", "3-1000", "card-1");
    assert_eq!(city.standing("rundhoej-1"), Some(Standing::Silent));
    // Within one session `online` comes first, so this is a repeat.
    city.state("rundhoej-1", "online", "3-1000", "card-1");
    assert_eq!(city.standing("rundhoej-1"), Some(Standing::Silent));
    // Another card, and then the old one's will.
    city.state("rundhoej-1", "online", "1-5", "card-2");
    city.birth("rundhoej-1", "Rundhøj", "1-5", "card-2");
    city.state("rundhoej-1", "lost", "4-1", "card-1");
    assert_eq!(city.standing("rundhoej-1"), Some(Standing::Fine));
    city.now = at(181);
    assert_eq!(
        city.standing("rundhoej-1"),
        Some(Standing::Silent),
        "its health is stale"
    );
}

#[test]
fn what_the_broker_kept_has_its_age_and_what_is_cleared_is_over() {
    let mut city = City::new();
    city.state("torvet-2", "online", "1-1", "card-1");
    let week = 7 * 86_400;
    city.hears(
        "up/torvet-2/health",
        r#"{"ready":1}"#,
        true,
        Some(week - 100),
    );
    assert_eq!(city.standing("torvet-2"), Some(Standing::Fine));
    assert_eq!(city.book.rows(city.now)[0].health_age_s(), Some(100));
    city.hears(
        "up/torvet-2/health",
        r#"{"ready":1}"#,
        true,
        Some(week - 200),
    );
    assert_eq!(city.standing("torvet-2"), Some(Standing::Silent));
    city.health("torvet-2", 1, "");
    // After a lost connection the broker repeats it: it is as old as it was.
    city.now = at(50);
    city.hears(
        "up/torvet-2/health",
        r#"{"ready":1,"health_interval_s":60}"#,
        true,
        Some(week - 900),
    );
    assert_eq!(city.book.rows(city.now)[0].health_age_s(), Some(50));
    city.alert("torvet-2", AlertId::KeyStuck, "key 5 repeats by itself");
    assert_eq!(city.standing("torvet-2"), Some(Standing::NeedsVisit));
    city.says("up/torvet-2/alert/key_stuck", "");
    assert_eq!(city.standing("torvet-2"), Some(Standing::Fine));
    let told: Vec<&str> = city
        .book
        .log
        .iter()
        .map(|entry| entry.text.as_str())
        .collect();
    assert!(
        told.contains(&"key_stuck: key 5 repeats by itself") && told.contains(&"key_stuck is over"),
        "{told:?}"
    );
}

#[test]
fn what_was_cleared_while_there_was_no_connection_is_over_once_the_broker_has_repeated_the_rest() {
    let mut city = City::new();
    for booth in ["torvet-2", "havn-1", "gone-1"] {
        city.fine(booth, booth);
    }
    city.says("hub/state", r#"{"state":"online"}"#);
    for id in [AlertId::KeyStuck, AlertId::SpoolFull] {
        city.alert("torvet-2", id, "so it is");
    }
    city.alert("havn-1", AlertId::KeyStuck, "so it is");
    let alerts = |city: &City, booth: &str| -> usize {
        let rows = city.book.rows(city.now);
        let row = rows.iter().find(|row| row.booth_id() == booth);
        row.map_or(0, |row| row.booth.alerts.len())
    };
    let again = |city: &mut City| {
        city.book.lost(city.now, "the broker is restarted");
        city.now += jiff::SignedDuration::from_secs(60);
        city.book.connected(city.now);
    };
    // A broker that repeats nothing says nothing by that.
    again(&mut city);
    city.now += jiff::SignedDuration::from_secs(20);
    city.book.settle(city.now);
    assert_eq!((alerts(&city, "torvet-2"), alerts(&city, "havn-1")), (2, 1));
    // This one does; meanwhile an alert was cleared, the hub's word has gone, and a booth was forgotten.
    again(&mut city);
    let state = json!({"state": "online", "session": "3-1000", "card_id": "card-1"}).to_string();
    for booth in ["torvet-2", "havn-1"] {
        city.hears(&format!("up/{booth}/state"), state.clone(), true, None);
    }
    let id = AlertId::SpoolFull;
    let raised = json!({"id": id.as_str(), "severity": id.severity(), "text": "so it is", "since": "2026-11-29T18:00:00.000Z"});
    city.hears(
        "up/torvet-2/alert/spool_full",
        raised.to_string(),
        true,
        None,
    );
    city.book.settle(city.now);
    assert_eq!(alerts(&city, "torvet-2"), 2, "it may repeat more");
    city.now += jiff::SignedDuration::from_secs(20);
    city.book.settle(city.now);
    assert_eq!((alerts(&city, "torvet-2"), alerts(&city, "havn-1")), (1, 0));
    assert_eq!(city.book.hub, None);
    assert_eq!(city.standing("gone-1"), None);
    // A booth that is forgotten while somebody watches.
    city.says("up/havn-1/state", "");
    assert_eq!(city.standing("havn-1"), None);
}

#[test]
fn rubbish_of_any_length_is_counted_with_a_remedy_and_nothing_grows_without_end() {
    let mut city = City::new();
    for n in 0..2_000 {
        city.says(&format!("up/torvet-2/alert/x{n}"), r#"{"text":"x"}"#);
        city.says("up/torvet-2/event/boot", "x".repeat(20_000));
        city.says("up/torvet-2/event/boot", format!("{{\"n\":{n}}}"));
        let strange = Message {
            // Of none of our own root, where it would have the booth forgotten.
            topic: format!("booth/{}/up/torvet-2/state", n + 2),
            payload: Vec::new(),
            is_retained: true,
            left_s: None,
        };
        city.book.hear(city.now, &strange);
        city.state("torvet-2", "online", "1-1", &format!("card-{n}"));
    }
    assert_eq!(city.book.log.len(), 500);
    assert_eq!(city.book.rows(city.now)[0].alerts().len(), 64);
    assert_eq!(city.book.other_roots.len(), 4);
    assert_eq!(city.book.unreadable.0, 2_000 + 2_000 - 64);
    let notes = city.book.notes(city.now).join("\n");
    assert!(
        notes.contains("could not be read") && notes.contains("booth-gateway of their version"),
        "{notes}"
    );
    // A terminal is not driven by what a booth says.
    city.birth("torvet-2", "\u{1b}[2Jx", "1-2", "card-1");
    let screen = city.shows(&Choice::default(), 100, 20);
    assert!(!screen.contains('\u{1b}'), "{screen}");
    for n in 0..10_100 {
        city.says(&format!("up/booth-{n}/health"), r#"{"ready":1}"#);
    }
    assert_eq!(city.book.rows(city.now).len(), 10_000);
}

#[test]
fn a_tree_of_another_version_and_one_where_nothing_is_heard_are_told_with_the_remedy() {
    let mut city = City::new();
    assert!(city.book.notes(at(5)).is_empty(), "it may still come");
    let nothing = city.book.notes(at(10)).join("\n");
    assert!(
        nothing.contains("--root") && nothing.contains("docs/mosquitto.acl"),
        "{nothing}"
    );
    let other = Message {
        topic: "booth/2/up/torvet-2/state".into(),
        payload: b"{}".to_vec(),
        is_retained: true,
        left_s: None,
    };
    city.book.hear(city.now, &other);
    let other = city.book.notes(at(1)).join("\n");
    assert!(
        other.contains("below booth/2") && other.contains("--root"),
        "{other}"
    );
    city.book.lost(at(2), "the broker is away");
    assert!(
        city.book
            .notes(at(3))
            .join("\n")
            .contains("the broker is away")
    );
}

/// The fleet of docs/fleet.md.
fn example() -> City {
    let mut city = City::new();
    city.says("hub/state", r#"{"state":"online"}"#);
    for (id, name) in [
        ("rundhoej-1", "Rundhøj Torv"),
        ("trojborg-2", "Trøjborgvej"),
        ("gellerup-1", "Gellerup Bibliotek"),
        ("dokk1-1", "Dokk1"),
        ("hasle-1", "Hasle Bakker"),
    ] {
        city.fine(id, name);
    }
    city.now = at(20);
    city.alert(
        "gellerup-1",
        AlertId::SpoolFull,
        "the card has room for 0 more messages",
    );
    city.health(
        "gellerup-1",
        0,
        ",\"cpu_temp_c\":51,\"data_used_pct\":97,\"oldest_unsent_s\":90000,\"spool_clips\":412",
    );
    city.alert(
        "trojborg-2",
        AlertId::KeyStuck,
        "key 5 repeats by itself; such presses do not count",
    );
    city.alert(
        "dokk1-1",
        AlertId::Temperature,
        AlertId::Temperature.meaning(),
    );
    city.health(
        "dokk1-1",
        1,
        ",\"cpu_temp_c\":81,\"data_used_pct\":4,\"oldest_unsent_s\":0",
    );
    city.now = at(45);
    city.state("hasle-1", "lost", "3-1000", "card-1");
    city.says("up/rundhoej-1/event/lifted", "{}");
    city.now = at(50);
    city
}

#[test]
fn the_picture_in_the_docs_is_what_the_screen_shows() {
    let shown = example().shows(&Choice::default(), 118, 20);
    let page = include_str!("../../docs/fleet.md");
    let picture = page.split("```text\n").nth(1).expect("a picture");
    let (picture, _) = picture.split_once("```").expect("its end");
    assert_eq!(
        picture.trim_end(),
        shown.trim_end(),
        "docs/fleet.md shows another screen than this:\n{shown}"
    );
}

#[test]
fn the_screen_has_the_worst_first_and_the_hubs_sentence_and_keys_change_what_is_shown() {
    let city = example();
    let rows = city.book.rows(city.now);
    let mut choice = Choice::default();
    let ids = |choice: &Choice| -> Vec<String> {
        let wanted = choice.of(&rows);
        wanted.iter().map(|row| row.booth_id().to_owned()).collect()
    };
    let worst_first = [
        "gellerup-1",
        "hasle-1",
        "trojborg-2",
        "dokk1-1",
        "rundhoej-1",
    ];
    assert_eq!(ids(&choice), worst_first);
    assert!(
        city.shows(&choice, 200, 20)
            .contains(&fleet::sentence(&rows))
    );
    let press = |choice: &mut Choice, code| {
        let wanted = choice.of(&rows);
        choice.key(
            KeyEvent::new(code, KeyModifiers::NONE),
            &wanted,
            city.book.log.len(),
        )
    };
    // The details of the second booth from above, with its remedy.
    assert_eq!(press(&mut choice, KeyCode::Down), Done::Changed);
    assert_eq!(press(&mut choice, KeyCode::Down), Done::Changed);
    assert_eq!(press(&mut choice, KeyCode::Enter), Done::Changed);
    let details = city.shows(&choice, 160, 40);
    assert!(
        details.contains("Trøjborgvej (trojborg-2)")
            && details.contains("Dry and clean the keypad"),
        "{details}"
    );
    assert!(
        details.contains("cpu_temp_c 48") && details.contains("Raspberry Pi 4"),
        "{details}"
    );
    press(&mut choice, KeyCode::Enter);
    // Another order keeps the booth that is chosen.
    for _ in 0..3 {
        press(&mut choice, KeyCode::Char('s'));
    }
    assert_eq!(ids(&choice)[0], "dokk1-1", "the hottest");
    assert_eq!(
        choice.of(&rows)[choice.place(&choice.of(&rows))].booth_id(),
        "trojborg-2"
    );
    press(&mut choice, KeyCode::Esc);
    press(&mut choice, KeyCode::Char('f'));
    assert_eq!(ids(&choice), ["gellerup-1"]);
    press(&mut choice, KeyCode::Char('f'));
    assert_eq!(ids(&choice), ["hasle-1"]);
    for _ in 0..4 {
        press(&mut choice, KeyCode::Char('f'));
    }
    assert_eq!(ids(&choice).len(), 5, "after the last standing all");
    press(&mut choice, KeyCode::Char('/'));
    for sign in "TORvx".chars() {
        press(&mut choice, KeyCode::Char(sign));
    }
    press(&mut choice, KeyCode::Backspace);
    assert!(
        city.shows(&choice, 118, 20)
            .contains("whose id or name has: torv")
    );
    press(&mut choice, KeyCode::Enter);
    assert_eq!(ids(&choice), ["rundhoej-1"]);
    press(&mut choice, KeyCode::Esc);
    press(&mut choice, KeyCode::Char('l'));
    let log = city.shows(&choice, 118, 20);
    assert!(
        log.contains("rundhoej-1: lifted") && !log.contains("Standing"),
        "{log}"
    );
    press(&mut choice, KeyCode::Char('?'));
    assert!(city.shows(&choice, 118, 20).contains("another order"));
    assert_eq!(press(&mut choice, KeyCode::Char('q')), Done::Ends);
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(choice.key(interrupt, &[], 0), Done::Ends);
}

#[test]
fn a_window_of_any_size_shows_something_and_the_chosen_booth_is_in_it() {
    let mut city = City::new();
    for n in 0..300 {
        city.fine(&format!("booth-{n:03}"), "");
    }
    let mut choice = Choice::default();
    for (width, height) in [(1, 1), (3, 2), (20, 5), (80, 24), (300, 100)] {
        city.shows(&choice, width, height);
    }
    choice.chosen = Some("booth-222".into());
    assert!(city.shows(&choice, 80, 24).contains("booth-222"));
    // A booth that has gone from the list leaves the first one chosen.
    choice.find = "booth-00".into();
    assert_eq!(choice.place(&choice.of(&city.book.rows(city.now))), 0);
}

#[test]
fn scripts_get_the_same_judgement_and_the_remedy_of_each_alert() {
    let city = example();
    let choice = Choice::default();
    let text = table::text(&city.book, &choice, city.now);
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with("3 of 5 can take messages; 1 cannot, because the card has no room"),
        "{text}"
    );
    assert!(
        lines[1].starts_with("gellerup-1")
            && lines[1].ends_with("the card has room for 0 more messages"),
        "{text}"
    );
    assert!(lines[2].contains("silent"), "{text}");
    let said = table::json(&city.book, &choice, city.now);
    assert_eq!(said["ok"], 0);
    let first = &said["booths"][0];
    assert_eq!(
        (&first["standing"], &first["takes_messages"]),
        (&json!("cannot"), &json!(0))
    );
    assert_eq!(first["alerts"][0]["remedy"], AlertId::SpoolFull.remedy());
    assert_eq!(first["health"]["spool_clips"], 412);
    let rows = city.book.rows(city.now);
    assert!(!table::is_ready(&rows) && !table::is_ready(&[]));
    let fine = rows
        .into_iter()
        .filter(|row| row.booth_id() == "rundhoej-1");
    assert!(table::is_ready(&fine.collect::<Vec<_>>()));
}
