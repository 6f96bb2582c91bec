//! Alarms over the database, a scripted mail server and a webhook's listener.
#![allow(clippy::field_reassign_with_default)] // each test says what differs
#![allow(clippy::disallowed_methods)] // plays the other side

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use booth_host::clock;

use super::*;
use crate::config::CityConfig;
use crate::people::Role;
use crate::testing::{city_with, person, spoken};

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A mail server that speaks RFC 5321 and hands over each mail's recipient and text.
pub(crate) fn mail_server() -> (String, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("smtp://{}", listener.local_addr().expect("an address"));
    let (mails_in, mails) = sync_channel(10);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
            let (mut to, mut line) = (String::new(), String::new());
            stream.write_all(b"220 mail.example\r\n").expect("sent");
            while reader.read_line(&mut line).is_ok_and(|length| length > 0) {
                let word = line.trim_end().to_owned();
                line.clear();
                let answer = match word.get(..4).unwrap_or(&word) {
                    "EHLO" => "250 mail.example",
                    "RCPT" => {
                        to.clone_from(&word);
                        "250 ok"
                    }
                    "DATA" => {
                        stream.write_all(b"354 go on\r\n").expect("sent");
                        let mut text = String::new();
                        while !text.ends_with("\r\n.\r\n") {
                            reader.read_line(&mut text).expect("a line");
                        }
                        mails_in.send((to.clone(), text)).expect("read");
                        "250 taken"
                    }
                    _ => "250 ok",
                };
                stream
                    .write_all(format!("{answer}\r\n").as_bytes())
                    .expect("sent");
                if word == "QUIT" {
                    break;
                }
            }
        }
    });
    (address, mails)
}

/// A webhook's other side, which answers with these statuses, the last one for ever: head and body of each request.
fn webhook_server(statuses: &'static [&'static str]) -> (String, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!(
        "http://{}/alarm",
        listener.local_addr().expect("an address")
    );
    let (requests_in, requests) = sync_channel(10);
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.expect("a connection");
            let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                reader.read_line(&mut head).expect("a line");
            }
            let lower = head.to_lowercase();
            let length = lower.split("content-length: ").nth(1);
            let length = length.and_then(|rest| rest.lines().next()?.trim().parse().ok());
            let mut body = vec![0; length.expect("a length")];
            reader.read_exact(&mut body).expect("a body");
            requests_in
                .send((head, String::from_utf8(body).expect("UTF-8")))
                .expect("read");
            let status = statuses[number.min(statuses.len() - 1)];
            let answer = format!(
                "HTTP/1.1 {status}\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).expect("sent");
        }
    });
    (address, requests)
}

fn key_file(folder: &tempfile::TempDir) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let file = folder.path().join("webhook.key");
    std::fs::write(&file, "hemmelig\n").expect("written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("private");
    file
}

/// What was noted of each notice: contact, way, sent or not, tries.
fn notices(city: &City) -> Vec<(String, String, bool, i64)> {
    let found = city.store.read(|db| {
        let mut statement = db.prepare(
            "SELECT contact, way, sent_at IS NOT NULL, tries FROM alarm_notice ORDER BY contact, way",
        )?;
        let rows = statement.query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        rows.collect()
    });
    found.expect("notices")
}

/// A city in which a moderator has raised an alarm about the one message.
fn alarmed(config: CityConfig) -> (Arc<City>, tempfile::TempDir) {
    let (city, centre, folder) = city_with(config);
    centre.have().arrived.push(spoken("a"));
    city.follow(false).expect("taken over");
    raised_by(&city, &person(1, &[Role::Moderator]), "a", "").expect("raised");
    (city, folder)
}

#[test]
fn a_contact_is_told_at_once_by_mail_and_webhook_and_a_second_one_after_half_an_hour_also_after_a_restart()
 {
    let keys = tempfile::tempdir().expect("a folder");
    let (smtp, mails) = mail_server();
    let (webhook, requests) = webhook_server(&["204 No Content"]);
    let mut config = CityConfig::default();
    config.alarm = AlarmConfig {
        first: Contact {
            name: "Vagten".into(),
            mail: Some("Vagten <vagt@city.example>".into()),
            webhook: Some(webhook),
        },
        second: Contact {
            name: "Chefen".into(),
            mail: Some("chef@city.example".into()),
            webhook: None,
        },
        smtp: Some(smtp),
        from: "Telefonbokse <booths@city.example>".into(),
        webhook_key_file: Some(key_file(&keys)),
        desk: "https://desk.example/".into(),
        ..AlarmConfig::default()
    };
    let (city, centre, folder) = city_with(config.clone());
    centre.have().arrived.push(spoken("a"));
    city.follow(false).expect("taken over");
    let alarm = raised_by(
        &city,
        &person(1, &[Role::Moderator]),
        "a",
        "græder\u{202e} meget",
    );
    let alarm = alarm.expect("raised");
    let now = clock::wall();
    tell_all(&city, now).expect("told");
    let (to, mail) = mails.recv_timeout(PATIENCE).expect("a mail");
    assert!(to.contains("<vagt@city.example>"), "{to}");
    assert!(
        mail.contains("Subject: ") && mail.contains("charset=utf-8"),
        "{mail}"
    );
    assert!(mail.contains("https://desk.example/desk/alarm/1"), "{mail}");
    let (head, body) = requests.recv_timeout(PATIENCE).expect("a request");
    let mut mac =
        <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(b"hemmelig").expect("a key");
    hmac::Mac::update(&mut mac, body.as_bytes());
    let wanted = booth_contract::hex(&hmac::Mac::finalize(mac).into_bytes());
    assert!(
        head.to_lowercase()
            .contains(&format!("x-booth-signature: sha256={wanted}")),
        "{head}"
    );
    let said: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        (&said["kind"], &said["message"], &said["remark"]),
        (&"danger".into(), &"a".into(), &"græder meget".into())
    );
    // Once each.
    tell_all(&city, now).expect("told");
    assert!(mails.try_recv().is_err() && requests.try_recv().is_err());
    drop(city);
    let city = City::open(folder.path(), config, centre).expect("the same city again");
    let minutes = |minutes| now + SignedDuration::from_mins(minutes);
    tell_all(&city, minutes(29)).expect("told");
    assert!(mails.try_recv().is_err());
    tell_all(&city, minutes(31)).expect("told");
    let (to, _) = mails.recv_timeout(PATIENCE).expect("a mail");
    assert!(to.contains("<chef@city.example>"), "{to}");
    assert_eq!(notices(&city).len(), 3);
    assert!(answer(&city, &person(2, &[Role::Moderator]), alarm).expect("a store"));
    assert!(!answer(&city, &person(3, &[Role::Moderator]), alarm).expect("a store"));
    tell_all(&city, minutes(90)).expect("told");
    assert!(mails.try_recv().is_err() && requests.try_recv().is_err());
}

/// One look by each way.
fn tell_all(city: &City, now: Timestamp) -> Result<(), CityError> {
    let mailed = tell_due(city, now, Way::Mail);
    tell_due(city, now, Way::Webhook).and(mailed)
}

#[test]
fn an_answer_within_half_an_hour_leaves_the_second_contact_alone() {
    let (smtp, mails) = mail_server();
    let mut config = CityConfig::default();
    config.alarm = AlarmConfig {
        first: Contact {
            mail: Some("vagt@city.example".into()),
            ..Contact::default()
        },
        second: Contact {
            mail: Some("chef@city.example".into()),
            ..Contact::default()
        },
        smtp: Some(smtp),
        from: "booths@city.example".into(),
        ..AlarmConfig::default()
    };
    let (city, centre, _folder) = city_with(config);
    centre.have().arrived.push(spoken("a"));
    city.follow(false).expect("taken over");
    let who = person(1, &[Role::Moderator]);
    let alarm = raised_by(&city, &who, "a", "").expect("raised");
    // The same message again is the same alarm.
    assert_eq!(raised_by(&city, &who, "a", "").expect("raised"), alarm);
    let now = clock::wall();
    tell_all(&city, now).expect("told");
    mails.recv_timeout(PATIENCE).expect("a mail");
    answer(&city, &who, alarm).expect("a store");
    tell_all(&city, now + SignedDuration::from_hours(2)).expect("told");
    assert!(mails.try_recv().is_err());
    assert_eq!(notices(&city), [("first".into(), "mail".into(), true, 1)]);
    // Later in danger again is a new alarm.
    assert_ne!(raised_by(&city, &who, "a", "").expect("raised"), alarm);
}

/// One contact, who is told by this mail server and by this webhook.
fn by_both_ways(mail_server: &str, webhook: String, key: std::path::PathBuf) -> CityConfig {
    let mut config = CityConfig::default();
    config.alarm = AlarmConfig {
        first: Contact {
            mail: Some("vagt@city.example".into()),
            webhook: Some(webhook),
            ..Contact::default()
        },
        smtp: Some(format!("smtp://{mail_server}")),
        from: "booths@city.example".into(),
        webhook_key_file: Some(key),
        ..AlarmConfig::default()
    };
    config
}

#[test]
fn what_fails_is_tried_again_with_growing_pauses_and_a_redirect_is_not_followed() {
    let keys = tempfile::tempdir().expect("a folder");
    let (webhook, requests) = webhook_server(&["302 Found", "500 Internal Server Error", "200 OK"]);
    // Nobody listens there.
    let config = by_both_ways("127.0.0.1:1", webhook, key_file(&keys));
    let (city, _folder) = alarmed(config);
    let mut now = clock::wall();
    let pauses = [0, 10, 30];
    for (tries, pause) in (1..).zip(pauses) {
        now += SignedDuration::from_secs(pause);
        tell_all(&city, now).expect("told");
        requests.recv_timeout(PATIENCE).expect("a try");
        let all = notices(&city);
        assert_eq!(
            all[0],
            ("first".into(), "mail".into(), false, tries),
            "the other way does not wait"
        );
        assert_eq!(
            all[1],
            ("first".into(), "webhook".into(), tries == 3, tries)
        );
        tell_all(&city, now).expect("told");
        assert!(requests.try_recv().is_err(), "not before its pause");
    }
    assert_eq!(pause(0), SignedDuration::from_secs(10));
    assert_eq!(pause(100), SignedDuration::from_mins(5));
}

#[test]
fn a_webhook_does_not_wait_for_a_mail_server() {
    let keys = tempfile::tempdir().expect("a folder");
    let (webhook, requests) = webhook_server(&["500 Internal Server Error", "200 OK"]);
    // It takes the connection and never says a word.
    let hangs = TcpListener::bind("127.0.0.1:0").expect("a port");
    let server = hangs.local_addr().expect("an address").to_string();
    let config = by_both_ways(&server, webhook, key_file(&keys));
    let (city, _folder) = alarmed(config);
    let now = clock::wall();
    std::thread::scope(|threads| {
        threads.spawn(|| tell_due(&city, now, Way::Mail).expect("told"));
        let (held, _) = hangs.accept().expect("the mail's connection");
        for later in [0, 10] {
            let now = now + SignedDuration::from_secs(later);
            tell_due(&city, now, Way::Webhook).expect("told");
            requests.recv_timeout(PATIENCE).expect("a try");
        }
        let all = notices(&city);
        assert_eq!(all[1], ("first".into(), "webhook".into(), true, 2));
        drop(held);
    });
    assert_eq!(notices(&city)[0], ("first".into(), "mail".into(), false, 1));
}

#[test]
fn a_remark_goes_with_its_message_and_the_alarm_stays() {
    let (city, centre, _folder) = city_with(CityConfig::default());
    centre.have().arrived.push(spoken("a"));
    city.follow(false).expect("taken over");
    raised_by(&city, &person(1, &[Role::Moderator]), "a", "words about it").expect("raised");
    centre.have().gone.push("a".to_owned().into());
    city.follow(false).expect("let go");
    let kept: (String, String) = city
        .store
        .read(|db| {
            db.query_row("SELECT message_id, why FROM alarm", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
        })
        .expect("the alarm");
    assert_eq!(kept, ("a".into(), String::new()));
}

#[test]
fn a_contact_that_cannot_be_told_is_refused_at_the_start() {
    let faults = |text: &str| {
        let config: AlarmConfig = toml::from_str(text).expect("TOML");
        let mut faults = booth_host::config_file::Faults::new("hub.toml");
        config.check(&mut faults);
        match faults.verdict() {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        }
    };
    assert_eq!(faults(""), "");
    let good = "smtp='smtp://localhost:25'\nfrom='a@b.example'\nwebhook_key_file='k'\n[first]\nmail='c@d.example'\nwebhook='https://e.example/x'";
    assert_eq!(faults(good), "");
    for (bad, word) in [
        ("[first]\nmail='c@d.example'", "smtp"),
        ("[first]\nwebhook='https://e.example'", "webhook_key_file"),
        (
            "webhook_key_file='k'\n[first]\nwebhook='e.example'",
            "https://",
        ),
        ("[first]\nname='Vagten'", "nobody would be told"),
        ("smtp='mail'\nfrom='a@b.example'", "smtp://"),
        ("smtp='smtp://x'\nfrom='a'", "from"),
        ("wait_minutes=0", "wait_minutes"),
        (
            "smtp='smtp://x'\nfrom='a@b.example'\n[first]\nmail='no address'",
            "no mail address",
        ),
    ] {
        assert!(faults(bad).contains(word), "{bad}: {}", faults(bad));
    }
}

#[test]
fn what_was_told_and_cannot_be_written_down_is_not_told_at_each_look() {
    let keys = tempfile::tempdir().expect("a folder");
    let (webhook, requests) = webhook_server(&["204 No Content"]);
    let mut config = CityConfig::default();
    config.alarm = AlarmConfig {
        first: Contact {
            webhook: Some(webhook),
            ..Contact::default()
        },
        webhook_key_file: Some(key_file(&keys)),
        ..AlarmConfig::default()
    };
    let (city, _folder) = alarmed(config);
    let changes = |sql: &str| {
        let changed = city.store.change_quietly(|tx| Ok(tx.execute_batch(sql)?));
        changed.expect("changed");
    };
    changes(
        "CREATE TRIGGER no_room BEFORE UPDATE ON alarm_notice BEGIN SELECT RAISE(ABORT, 'the disk is full'); END;",
    );
    let now = clock::wall();
    assert!(tell_all(&city, now).is_err());
    requests.recv_timeout(PATIENCE).expect("told");
    for _ in 0..3 {
        tell_all(&city, now).expect("nothing is to be told");
    }
    assert!(requests.try_recv().is_err(), "once, and not each time");
    // Once the database takes it again, it is told as it should be.
    changes("DROP TRIGGER no_room;");
    let later = clock::mono() + UNNOTED;
    let what = "alarm 1 first webhook";
    assert!(!city.unnoted.may_tell(clock::mono(), what));
    assert!(city.unnoted.may_tell(later, what));
    city.unnoted
        .noted(later, what, true, Ok(()))
        .expect("noted");
    tell_all(&city, now).expect("told");
    requests.recv_timeout(PATIENCE).expect("told");
    assert!(notices(&city)[0].2);
}
