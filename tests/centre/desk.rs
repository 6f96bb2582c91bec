//! The moderator's desk on a real hub, in a real browser, by keyboard alone.
#![allow(clippy::disallowed_methods)]

use std::path::Path;
use std::time::Duration;

use booth_audio::{Band, OggOpus, RATE, SpeechEncoder, samples};
use booth_testkit::browser::Browser;
use booth_testkit::hub::{Booth, Broker, Clip, Home, Hub, free_port};
use booth_testkit::wait::until;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

const MESSAGES: u64 = 200;
pub(crate) const PASSWORD: &str = "en rød telefon på torvet";

/// Twenty seconds of speech as a booth records them.
fn twenty_seconds() -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/speech/da.opus");
    let speech = samples(&std::fs::read(file).expect("the fixture")).expect("it plays");
    let wanted = 20 * RATE as usize;
    let sound: Vec<i16> = speech.iter().copied().cycle().take(wanted).collect();
    let mut encoder = SpeechEncoder::new(24_000, 0, Band::Wide).expect("an encoder");
    let mut stream = OggOpus::new(7, encoder.pre_skip(), &[]);
    stream.push(&mut encoder, &sound).expect("encodes");
    let mut bytes = stream.take_page();
    bytes.extend(stream.finish(&mut encoder).expect("ends"));
    bytes
}

/// A recogniser of one sentence.
const HOOK: &str = r#"printf '{"language":"%s","segments":[{"start":0,"end":19,"text":"Der mangler baenke paa torvet"}],"model":"test"}\n' "$2""#;

fn count(db: &Connection, question: &str) -> u64 {
    db.query_row(question, [], |row| row.get(0)).unwrap_or(0)
}

#[test]
fn two_hundred_messages_are_decided_by_keyboard_with_three_keys_each_at_most() {
    let broker = Broker::open();
    let home = Home::new(
        broker.port,
        "[city.transcribe]\ncommand = [\"/bin/sh\", \"hook.sh\", \"{file}\", \"{language}\"]\n",
    );
    let hook = home.path().join("hook.sh");
    std::fs::write(&hook, HOOK).expect("written");
    let config = std::fs::read_to_string(home.config()).expect("a file");
    let config = config.replace("hook.sh", &hook.display().to_string());
    std::fs::write(home.config(), config).expect("written");
    let hub = Hub::start(&home);
    let roles = ["--role", "moderator", "--languages", "en,da"];
    home.has_person("anna", PASSWORD, &roles);
    let booth = Booth::connect(broker.port, "rundhoej-1");
    booth.hub_becomes("online");
    let body = twenty_seconds();
    for number in 1..=MESSAGES {
        let mut clip = Clip::with_body("rundhoej-1", number, body.clone());
        let (hour, minute, second) = (8 + number / 60, number % 60, number % 60);
        clip.manifest["started_at"] =
            json!(format!("2026-03-01T{hour:02}:{minute:02}:{second:02}.000Z"));
        clip.manifest["duration_ms"] = json!(20_000);
        clip.manifest["speech_ratio"] = json!(0.8);
        clip.manifest["consent"] =
            json!({"mode": "digit", "key": "1", "notice_id": null, "publish": "voice"});
        booth.deliver_patiently(&clip, Duration::from_secs(5));
    }
    let store = home.path().join("store").join("city.sqlite");
    let db = until("the city has a database", || {
        Connection::open_with_flags(&store, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()
    });
    until("every message has its draft", || {
        (count(&db, "SELECT count(*) FROM draft") == MESSAGES).then_some(())
    });

    let browser = Browser::open(free_port());
    let address = hub.address();
    browser.go(&format!("{address}login?next=desk"));
    browser.run(&format!(
        "document.querySelector('[name=name]').value = 'anna';\
         document.querySelector('[name=password]').value = '{PASSWORD}';\
         document.querySelector('main form').requestSubmit()"
    ));
    until("the queue is open", || {
        let there = browser.run("return !!document.querySelector('#next')");
        (there == true).then_some(())
    });
    browser.press("Enter");
    let mut before = String::new();
    let (mut keys, mut most) = (0, 0);
    for number in 0..MESSAGES {
        let opened = until("another message is open", || {
            let page = browser.run(
                "return document.readyState === 'complete' && document.querySelector('#decide') ? location.pathname : ''",
            );
            let page = page.as_str().unwrap_or_default().to_owned();
            (!page.is_empty() && page != before).then_some(page)
        });
        before = opened;
        let transcript = browser.run("return document.querySelector('#transcript').value");
        assert_eq!(transcript, "Der mangler baenke paa torvet");
        let used = match number % 10 {
            // A word is added in the box; what is typed is the text itself.
            0 => {
                browser.press("e");
                browser.types("!");
                browser.press("Control+Enter");
                2
            }
            // A theme, made in the first round and pressed later.
            1 if number == 1 => {
                browser.press("t");
                browser.types("Torvet");
                browser.press("Control+Enter");
                2
            }
            1 => {
                browser.press("1");
                browser.press("p");
                2
            }
            2 => {
                browser.press("r");
                browser.press("3");
                2
            }
            3 => {
                browser.press("h");
                1
            }
            4 => {
                browser.press("v");
                1
            }
            _ => {
                browser.press("p");
                1
            }
        };
        keys += used;
        most = most.max(used);
    }
    until("the last one is decided", || {
        (count(&db, "SELECT count(*) FROM message WHERE state = 'waiting'") == 0).then_some(())
    });
    println!("{MESSAGES} messages, {keys} keys, at most {most} each");
    assert!(most <= 3);
    let states = |state: &str| {
        count(
            &db,
            &format!("SELECT count(*) FROM message WHERE state = '{state}'"),
        )
    };
    assert_eq!(
        (states("rejected"), states("heard")),
        (MESSAGES / 10, MESSAGES / 10)
    );
    assert_eq!(states("published"), MESSAGES * 8 / 10);
    assert_eq!(
        count(&db, "SELECT count(*) FROM message WHERE with_voice = 1"),
        MESSAGES / 10
    );
    assert_eq!(
        count(&db, "SELECT count(*) FROM message_theme"),
        MESSAGES / 10
    );
    let corrected =
        "SELECT count(*) FROM message WHERE transcript LIKE '%!' OR transcript LIKE '!%'";
    assert_eq!(count(&db, corrected), MESSAGES / 10);
    let reason = "SELECT count(*) FROM message WHERE reason = 'off-topic'";
    assert_eq!(count(&db, reason), MESSAGES / 10);

    // The last decision is taken back by one more key.
    until("the queue says that nothing is left", || {
        let there = browser.run("return !!document.querySelector('#undo')");
        (there == true).then_some(())
    });
    browser.press("u");
    until("it waits again", || {
        (count(&db, "SELECT count(*) FROM message WHERE state = 'waiting'") == 1).then_some(())
    });
}
