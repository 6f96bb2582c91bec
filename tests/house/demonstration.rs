//! The demonstration (`make run`): its broker is the one that the documents show a city, its waits end by what programs say, and a
//! failure names its cause.
#![allow(clippy::disallowed_methods)]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use booth_testkit::city;
use booth_testkit::stage::{Patience, Stage, Turn};
use booth_testkit::visit::{Told, arrived, clips};
use booth_testkit::wait::until;
use rumqttc::mqttbytes::v5::ConnectReturnCode;
use rumqttc::{Client, ConnectionError, Event, MqttOptions};

/// A program that is ended with the value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the broker answers to this login; none when it lets it in.
fn refusal(port: u16, login: Option<(&str, &str)>) -> Option<ConnectReturnCode> {
    let mut options = MqttOptions::new("somebody", ("127.0.0.1", port));
    if let Some((user, password)) = login {
        options.set_credentials(user, password.to_owned());
    }
    let (_client, mut connection) = Client::builder(options).capacity(8).build();
    until("the broker answers", || {
        match connection.recv_timeout(Duration::from_millis(100)) {
            Ok(Ok(Event::Incoming(_))) => Some(None),
            Ok(Err(ConnectionError::ConnectionRefused(code))) => Some(Some(code)),
            _ => None,
        }
    })
}

#[test]
fn the_broker_of_the_demonstration_has_the_shipped_settings_and_lets_nobody_in_without_his_password()
 {
    let settings = city::settings(city::RULES);
    for wanted in [
        ("allow_anonymous", "false"),
        ("use_username_as_clientid", "true"),
        ("max_packet_size", "131072"),
        ("set_tcp_nodelay", "true"),
    ] {
        assert!(
            settings.contains(&wanted),
            "{wanted:?} is not in {settings:?}"
        );
    }
    // Debian's two releases: as root, and as anybody else.
    let as_root = city::configuration(&settings, 1883, true);
    let as_user = city::configuration(&settings, 1883, false);
    assert!(as_root.contains("\nuser root\n") && !as_user.contains("user root"));
    assert!(as_user.contains("\nlistener 1883 127.0.0.1\n") && !as_user.contains("certfile"));

    let folder = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    city::write_files(
        folder.path(),
        port,
        &[("hub", "right"), ("rundhoej-1", "another")],
    )
    .expect("written");
    let passwords = std::fs::read_to_string(folder.path().join("passwords")).expect("passwords");
    assert!(
        !passwords.contains("right") && !passwords.contains("another"),
        "{passwords}"
    );
    let log = std::fs::File::create(folder.path().join("log")).expect("a log");
    let broker = city::broker(folder.path())
        .stdin(Stdio::null())
        .stderr(log)
        .spawn();
    let _broker = Running(broker.expect("mosquitto is installed"));
    until("mosquitto listens", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    for login in [("hub", "right"), ("rundhoej-1", "another")] {
        assert_eq!(refusal(port, Some(login)), None, "{login:?}");
    }
    for login in [
        None,
        Some(("hub", "another")),
        Some(("nobody", "right")),
        Some(("hub", "")),
    ] {
        assert!(refusal(port, login).is_some(), "{login:?} was let in");
    }
    let said = std::fs::read_to_string(folder.path().join("log")).expect("a log");
    assert!(
        !said.contains("readable") && !said.contains("owner") && !said.contains("group"),
        "its files are not as it wants them: {said}"
    );
}

#[test]
fn settings_are_read_as_they_stand_in_the_head_and_nothing_of_the_rules() {
    let rules = "# Rules.\n#   not this\n# In mosquitto.conf:\n#   listener 8883\n#   password_file   secret words   # a comment\n\
                 #   a_word_alone\n#\n#   later no\ntopic read a/#\n";
    assert_eq!(
        city::settings(rules),
        [("listener", "8883"), ("password_file", "secret words")]
    );
}

#[test]
fn a_program_that_dies_ends_the_wait_at_once_with_its_name_and_its_last_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let stage = Stage::new(folder.path());
    let script = |text: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", text]);
        command
    };
    stage
        .start("broker", script("echo listens; exec sleep 600"))
        .expect("starts");
    until("the broker has spoken", || {
        stage.log("broker").contains("listens").then_some(())
    });
    stage
        .start(
            "gateway",
            script("echo first; echo no such card >&2; exit 3"),
        )
        .expect("starts");
    let fault = stage
        .wait_for::<()>("the booth is ready", "gateway", || Ok(None))
        .expect_err("it cannot get ready");
    let told = stage.tell(&fault);
    stage.end();
    for part in [
        "the gateway has ended by itself",
        "3",
        "first\n",
        "no such card",
        "listens",
        "is kept in",
    ] {
        assert!(told.contains(part), "{part:?} is not in\n{told}");
    }
    assert!(
        told.find("no such card") < told.find("listens"),
        "the guilty one comes first:\n{told}"
    );

    let fault = stage
        .start("hub", Command::new("/no/such/program"))
        .expect_err("is not there");
    assert!(
        fault
            .why
            .contains("the hub does not start: /no/such/program"),
        "{}",
        fault.why
    );
}

#[test]
fn a_wait_speaks_every_few_seconds_and_a_slow_machine_does_not_end_it() {
    let mut patience = Patience::default();
    let turns: Vec<(u64, Turn)> = (0..1_800)
        .map(|second| (second, patience.turn(Duration::from_secs(second))))
        .filter(|(_, turn)| *turn != Turn::Wait)
        .collect();
    let expected: Vec<(u64, Turn)> = (1..360).map(|n| (5 * n, Turn::Remind)).collect();
    assert_eq!(turns, expected);
    assert_eq!(patience.turn(Duration::from_secs(1_800)), Turn::GiveUp);
    // A process that stood still itself speaks once, and not for all that it missed.
    let mut patience = Patience::default();
    assert_eq!(patience.turn(Duration::from_secs(60)), Turn::Remind);
    assert_eq!(patience.turn(Duration::from_secs(64)), Turn::Wait);
}

#[test]
fn a_visit_is_lost_when_the_booth_says_so_and_what_was_kept_is_told_by_its_log() {
    assert_eq!(arrived("question", "question", &["notice"]), Some(Ok(())));
    assert_eq!(arrived("notice", "question", &["notice"]), None);
    for elsewhere in [
        "goodbye",
        "out_of_order",
        "idle",
        "after",
        "off_hook",
        "service",
    ] {
        let lost = arrived(elsewhere, "question", &["notice"]);
        assert!(lost.is_some_and(|lost| lost.is_err_and(|why| why.contains(elsewhere))));
    }
    let log = "10:00:01.000 info  kept clip_id=a-1 clip_no=1 ms=6640 bytes=17000\n\
               10:00:02.000 info  confirmed clip_id=a-1\n\
               10:00:03.000 info  discarded take=2 too_short=true\n\
               10:00:04.000 error a recording failed: the card is full take=3\n\
               10:00:05.000 info  kept clip_id=b-2 clip_no=2 ms=1 bytes=1\n";
    assert_eq!(clips(log, "kept"), ["a-1", "b-2"]);
    assert_eq!(clips(log, "confirmed"), ["a-1"]);
    assert_eq!(Told::so_far(log).lost, 2);
}
