//! The hub against a real broker: a clip offered as a booth would is on disk before `stored` is heard,
//! whatever is repeated, lost or killed on the way.
#![allow(clippy::disallowed_methods)]

use booth_testkit::wait::{self, until};

use booth_contract::{AckStatus, AlertId, ByteRange};
use booth_testkit::hub::{Booth, Broker, Clip, Home, Hub, booth_hub, free_port};

const BOOTH: &str = "rundhoej-1";

#[test]
fn a_clip_is_on_disk_before_stored_is_heard_and_its_repeat_is_answered_at_once() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let booth = Booth::connect(broker.port, BOOTH);
    booth.hub_becomes("online");
    let clip = Clip::new(BOOTH, 1);
    booth.deliver(&clip);
    assert_eq!(
        std::fs::read(home.clip_file(&clip.id)).expect("on disk"),
        clip.body
    );
    booth.offer(&clip);
    let ack = booth.ack();
    assert_eq!(ack.status, AckStatus::Stored);
    assert_eq!(ack.sha256.as_deref(), clip.manifest["sha256"].as_str());
    assert_eq!(hub.stop().code(), Some(0));
    booth.hub_becomes("lost");
}

#[test]
fn a_hub_killed_mid_clip_asks_for_the_parts_again_and_stores_it() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let booth = Booth::connect(broker.port, BOOTH);
    booth.hub_becomes("online");
    let clip = Clip::new(BOOTH, 1);
    booth.offer(&clip);
    booth.send_parts(&clip, 0, 32_768);
    booth.offer(&clip);
    let ack = booth.ack();
    assert_eq!(
        (ack.status, ack.missing),
        (AckStatus::Partial, vec![ByteRange(32_768, 180_000)])
    );
    hub.kill();
    booth.hub_becomes("lost");

    let hub = Hub::start(&home);
    booth.hub_becomes("online");
    booth.offer(&clip);
    let ack = booth.ack();
    assert_eq!(
        (ack.status, ack.missing),
        (AckStatus::Partial, vec![ByteRange(0, 180_000)])
    );
    booth.send_parts(&clip, 0, clip.body.len());
    assert_eq!(booth.ack().status, AckStatus::Stored);
    assert_eq!(
        std::fs::read(home.clip_file(&clip.id)).expect("on disk"),
        clip.body
    );
    assert_eq!(hub.stop().code(), Some(0));
}

#[test]
fn a_hub_killed_at_any_moment_loses_no_clip_that_it_confirmed() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let booth = Booth::connect(broker.port, BOOTH);
    for clip_no in 1..=8 {
        let hub = Hub::start(&home);
        booth.hub_becomes("online");
        let clip = Clip::new(BOOTH, clip_no);
        booth.offer(&clip);
        // Killed with a growing share of the parts on their way.
        booth.send_parts(&clip, 0, clip.body.len() * clip_no as usize / 8);
        hub.kill();
        let confirmed = booth
            .hub_becomes("lost")
            .iter()
            .any(|ack| ack.status == AckStatus::Stored);
        if confirmed {
            // The booth may have deleted it by now.
            assert_eq!(
                std::fs::read(home.clip_file(&clip.id)).expect("on disk"),
                clip.body
            );
        }
        let hub = Hub::start(&home);
        booth.hub_becomes("online");
        booth.offer(&clip);
        if confirmed {
            assert_eq!(
                booth.ack().status,
                AckStatus::Stored,
                "confirmed before the kill"
            );
        } else {
            booth.send_parts(&clip, 0, clip.body.len());
            while booth.ack().status != AckStatus::Stored {}
        }
        assert_eq!(
            std::fs::read(home.clip_file(&clip.id)).expect("on disk"),
            clip.body
        );
        hub.kill();
        booth.hub_becomes("lost");
    }
}

#[test]
fn a_broker_that_goes_and_comes_back_finds_the_hub_again() {
    let mut broker = Broker::open();
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    hub.says("connected to");
    broker.stop();
    hub.says("trying again");
    broker.start_again();
    let booth = Booth::connect(broker.port, BOOTH);
    booth.hub_becomes("online");
    booth.deliver(&Clip::new(BOOTH, 1));
    assert_eq!(hub.stop().code(), Some(0));
}

#[test]
fn rubbish_on_every_topic_leaves_the_hub_alive_and_storing() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let mut hub = Hub::start(&home);
    let booth = Booth::connect(broker.port, BOOTH);
    booth.hub_becomes("online");
    let clip = Clip::new(BOOTH, 1);
    let part = format!("part/{}/0", clip.id);
    let offer = format!("clip/{}", clip.id);
    for tail in [
        "state",
        "birth",
        "health",
        "alert/x",
        "event/boot",
        "reply/ring",
        "config",
        "clip/x",
        "part/x/0",
        "part/x/y",
        &offer,
        &part,
        "withdraw/1",
        "unknown",
        "a/b/c/d/e/f/g",
    ] {
        for size in [1, 100, 20_000, 200_000] {
            let rubbish: Vec<u8> = (0..size).map(|n| (n * 37 % 256) as u8).collect();
            booth.publish(tail, tail == "state", rubbish);
        }
        booth.publish(tail, false, "{\"schema\":1}");
    }
    // The rubbish on the clip's own topics was refused, or spoilt its first bytes.
    booth.offer(&clip);
    loop {
        booth.send_parts(&clip, 0, clip.body.len());
        if booth.ack().status == AckStatus::Stored {
            break;
        }
    }
    assert_eq!(
        std::fs::read(home.clip_file(&clip.id)).expect("on disk"),
        clip.body
    );
    assert!(hub.is_running());
    let warnings = hub
        .lines()
        .iter()
        .filter(|line| line.contains("ignored"))
        .count();
    assert!(
        (1..20).contains(&warnings),
        "{warnings} lines: {:#?}",
        hub.lines()
    );
    assert_eq!(hub.stop().code(), Some(0));
}

#[test]
fn forget_clears_every_retained_topic_of_the_booth_and_of_no_other() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let booth = Booth::connect(broker.port, BOOTH);
    let other = Booth::connect(broker.port, "other-1");
    booth.hub_becomes("online");
    for tail in [
        "state",
        "birth",
        "health",
        "config",
        "alert/spool_full",
        "alert/of_a_later_table",
    ] {
        booth.publish(tail, true, "{}");
        other.publish(tail, true, "{}");
    }
    let clip = Clip::new(BOOTH, 1);
    booth.deliver(&clip); // so that everything before it has reached the broker
    let config = home.config();
    let config = config.to_str().expect("a path");
    for _ in 0..2 {
        let done = booth_hub(&["forget", BOOTH, "--config", config]);
        assert_eq!(
            done.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
    // The marker comes after everything that is retained.
    let late = Booth::listening(broker.port, "late", &["booth/1/up/+/#".into()]);
    late.publish("marker", false, "");
    let mut retained = Vec::new();
    loop {
        let publish = late.hear("");
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        if topic.ends_with("marker") {
            break;
        }
        retained.push(topic);
    }
    assert_eq!(retained.len(), 6, "{retained:?}");
    assert!(
        retained.iter().all(|topic| topic.contains("other-1")),
        "{retained:?}"
    );
    assert!(home.clip_file(&clip.id).exists());
    assert!(AlertId::ALL.len() > 10, "forget clears the whole table");
    assert_eq!(hub.stop().code(), Some(0));
}

#[test]
fn a_wrong_password_is_one_sentence_and_the_pages_stay_up() {
    let broker = Broker::with_password();
    let home = Home::new(
        broker.port,
        "username = \"hub\"\npassword_file = \"password\"\n",
    );
    std::fs::write(home.path().join("password"), "wrong\n").expect("a file");
    let mut hub = Hub::start(&home);
    let line = hub.says("password");
    assert!(
        line.contains("check [mqtt] username and password_file"),
        "{line}"
    );
    let config = home.config();
    let config = config.to_str().expect("a path");
    let forget = booth_hub(&["forget", BOOTH, "--config", config]);
    assert_eq!(forget.status.code(), Some(1));
    let said = String::from_utf8_lossy(&forget.stderr).into_owned();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("refuses the user name or password"), "{said}");
    assert!(hub.is_running());
    assert_eq!(
        hub.lines()
            .iter()
            .filter(|line| line.contains("password"))
            .count(),
        1
    );
    assert!(
        !hub.lines().iter().any(|line| line.contains("wrong")),
        "a password in the log"
    );
    assert_eq!(hub.stop().code(), Some(0));
    std::fs::write(home.path().join("password"), "right\n").expect("a file");
    Hub::start(&home).says("connected to");
}

#[test]
fn forget_works_beside_a_hub_whose_client_id_the_broker_gives_to_both() {
    let broker = Broker::with_password();
    let home = Home::new(
        broker.port,
        "username = \"hub\"\npassword_file = \"password\"\n",
    );
    std::fs::write(home.path().join("password"), "right\n").expect("a file");
    let hub = Hub::start(&home);
    hub.says("connected to");
    let config = home.config();
    let done = booth_hub(&[
        "forget",
        BOOTH,
        "--config",
        config.to_str().expect("a path"),
    ]);
    assert_eq!(
        done.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    until("the hub is back", || {
        (hub.lines()
            .iter()
            .filter(|line| line.contains("connected to"))
            .count()
            > 1)
        .then_some(())
    });
    assert_eq!(hub.stop().code(), Some(0));
}

#[test]
fn two_hubs_of_one_client_id_step_back_and_say_so_on_their_page() {
    // Mosquitto 2.0.11 closes without a word, a later one says that the session was taken over.
    let broker = Broker::open();
    let homes = [Home::new(broker.port, ""), Home::new(broker.port, "")];
    let hubs = homes.each_ref().map(Hub::start);
    let told = until("one of them steps back", || {
        hubs.iter().position(|hub| {
            hub.lines()
                .iter()
                .any(|line| line.contains("steps back for 180 s"))
        })
    });
    // The other is left in peace, or has stepped back as well: the fight was a few take-overs long.
    for hub in &hubs {
        let takes = hub
            .lines()
            .iter()
            .filter(|line| line.contains("connected to"))
            .count();
        assert!(takes < 12, "{:?}", hub.lines());
    }
    // Each names the other, by its machine.
    let machine = rustix::system::uname();
    let machine = machine.nodename().to_string_lossy();
    for hub in &hubs {
        let page = until("the page tells of two hubs", || {
            Some(hub.page("operations")).filter(|page| page.contains("Two hubs."))
        });
        let other = format!(", {machine}-");
        assert!(
            page.contains("booth-hub") && page.contains(&other),
            "{page}"
        );
        let told = hub.says("another hub uses this one's client id");
        assert!(told.contains(&format!("{machine}-")), "{told}");
    }
    hubs[told].shows("operations", "took the broker");
}

#[test]
fn over_tls_the_brokers_certificate_must_be_the_citys_and_carry_its_name() {
    let broker = Broker::with_tls("127.0.0.1");
    let ca = broker.folder().join("ca.pem");
    let url = format!("mqtts://127.0.0.1:{}", broker.port);
    let home = Home::with_url(&url, &format!("ca_file = {ca:?}\n"));
    Hub::start(&home).says("connected to");

    let strangers = Broker::with_tls("127.0.0.1");
    let other_ca = strangers.folder().join("ca.pem");
    let home = Home::with_url(&url, &format!("ca_file = {other_ca:?}\n"));
    Hub::start(&home).says("certificate that cannot be trusted");

    let misnamed = Broker::with_tls("elsewhere.example");
    let ca = misnamed.folder().join("ca.pem");
    let url = format!("mqtts://127.0.0.1:{}", misnamed.port);
    let home = Home::with_url(&url, &format!("ca_file = {ca:?}\n"));
    Hub::start(&home).says("certificate that cannot be trusted");
}

#[test]
fn systemd_hears_of_readiness_of_life_without_a_broker_and_of_the_stop() {
    let home = Home::new(free_port(), "");
    let socket = home.path().join("notify");
    let systemd = std::os::unix::net::UnixDatagram::bind(&socket).expect("a socket");
    systemd.set_read_timeout(Some(wait::PATIENCE)).expect("set");
    let hear = |what: &str| {
        let mut block = [0; 200];
        loop {
            let n = systemd.recv(&mut block).expect(what);
            if String::from_utf8_lossy(&block[..n]).contains(what) {
                return;
            }
        }
    };
    let hub = Hub::start_with(&home, |command| {
        command.env("NOTIFY_SOCKET", &socket);
    });
    hear("READY=1");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    hub.says("cannot be reached");
    assert_eq!(hub.stop().code(), Some(0));
    hear("STOPPING=1");
}

#[test]
fn each_bad_start_is_one_sentence_and_its_exit_status() {
    let sentence = |arguments: &[&str], status: i32, says: &str| {
        let done = booth_hub(arguments);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(status), "{said}");
        assert!(said.contains(says), "{said}");
        assert!(status == 2 || said.lines().count() == 1, "{said}");
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let home = Home::new(free_port(), "");
    let config = home.config();
    let file = config.to_str().expect("a path");
    let write = |text: &str| std::fs::write(&config, text).expect("written");

    sentence(
        &["serve", "--config", "/nowhere/hub.toml"],
        78,
        "cannot be read",
    );
    write("[mqtt]\nurl = \"http://x\"\n");
    sentence(&["serve", "--config", file], 78, "mqtts://");
    write("[mqtt]\nusername = \"hub\"\n[htp]\n");
    sentence(&["serve", "--config", file], 78, "did you mean `http`");
    write("[store]\ndir = \"s\"\n");
    sentence(&["serve", "--config", file], 78, "url is missing");
    write("[mqtt]\nurl = \"mqtt://h\"\nusername = \"u\"\npassword_file = \"none\"\n");
    sentence(&["serve", "--config", file], 78, "password_file");
    write("[mqtt]\nurl = \"mqtts://h\"\nca_file = \"none\"\n");
    sentence(&["serve", "--config", file], 78, "none");
    write(&format!(
        "[mqtt]\nurl=\"mqtt://h\"\n[store]\ndir=\"s\"\n[http]\nlisten=\"{address}\"\n"
    ));
    sentence(&["serve", "--config", file], 1, "cannot listen on");
    sentence(&["forget", "NO ID"], 2, "booth id");
    sentence(&["nonsense"], 2, "nonsense");
    for arguments in [&["--help"][..], &["serve", "--help"], &["forget", "--help"]] {
        let done = booth_hub(arguments);
        assert_eq!(done.status.code(), Some(0));
        assert!(done.stdout.len() > 300, "help that teaches");
    }
}
