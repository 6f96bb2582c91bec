//! Campaigns from their file to the booths: a real Mosquitto, a real hub beside the commands, and booths that fetch and report as the
//! contract says.
#![allow(clippy::disallowed_methods)] // writes campaigns' files as people do

use std::path::{Path, PathBuf};
use std::process::Output;

use booth_contract::wanted::Wanted;
use booth_testkit::hub::{Booth, Broker, Home, Hub, booth_hub};
use booth_testkit::wait::until;
use rumqttc::mqttbytes::v5::Publish;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A file of two questions at one booth; `more` stands before its questions.
fn file(home: &Home, name: &str, more: &str) -> PathBuf {
    let sounds = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sounds");
    let sound = |name: &str| sounds.join(name).display().to_string();
    let text = format!(
        "id = {name:?}\ntitle = \"A square\"\n{more}\n[[question]]\nid = \"{name}-q\"\ndigit = 1\nkind = \"speak\"\ntext.da = \"Hvad?\"\nsound.da = {:?}\n\
         [[question]]\nid = \"{name}-v\"\ndigit = 2\nkind = \"choose\"\ntext.da = \"Vælg\"\nsound.da = {:?}\n\
         [[question.option]]\nid = \"yes\"\ndigit = 2\ntext.da = \"Ja\"\nsound.da = {:?}\n\
         [[question.option]]\nid = \"no\"\ndigit = 3\ntext.da = \"Nej\"\nsound.da = {:?}\n",
        sound("tone.mp3"),
        sound("tone.flac"),
        sound("tone.ogg"),
        sound("tone.m4a")
    );
    let path = home.path().join(format!("{name}.toml"));
    std::fs::write(&path, text).expect("written");
    path
}

fn campaign(home: &Home, arguments: &[&str]) -> Output {
    let config = home.config();
    let config = ["--config", config.to_str().expect("a path")];
    booth_hub(&[&["campaign"], arguments, &config].concat())
}

/// What a command that works has printed.
fn done(home: &Home, arguments: &[&str]) -> String {
    let ran = campaign(home, arguments);
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let complained = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{arguments:?}: {said}{complained}");
    said
}

/// What a command that does not work has said, and its status.
fn refused(home: &Home, arguments: &[&str]) -> (String, i32) {
    let ran = campaign(home, arguments);
    let said = [&ran.stdout[..], &ran.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(!ran.status.success(), "{arguments:?}: {said}");
    (said, ran.status.code().expect("a status"))
}

/// The next configuration that the booth gets; before it, what came on `media/`.
fn configuration(booth: &Booth) -> Wanted {
    let publish = booth.hear("/config");
    Wanted::read(&publish.payload).unwrap_or_else(|bad| panic!("{:?}", bad.faults))
}

/// Reports as a booth does.
fn report(booth: &Booth, wanted: u64, applied: Option<u64>, missing: &[&str], errors: Value) {
    let report = json!({"wanted": wanted, "applied": applied, "missing": missing, "errors": errors, "ts": "2026-05-01T10:00:00.000Z"});
    booth.publish("config", true, report.to_string());
}

/// Everything that the broker has retained under this filter, by topic.
fn retained(port: u16, filter: &str) -> Vec<(String, Vec<u8>)> {
    let booth = Booth::listening(port, "looker-1", &[filter.to_owned()]);
    booth.is_judged();
    let mut found = Vec::new();
    while let Some(Publish {
        topic,
        payload,
        retain,
        ..
    }) = booth.try_hear(std::time::Duration::from_millis(300))
    {
        assert!(retain);
        found.push((
            String::from_utf8_lossy(&topic).into_owned(),
            payload.to_vec(),
        ));
    }
    found.sort();
    found
}

const ALL: &str = "booths = [\"rundhoej-1\"]";

#[test]
fn a_campaign_goes_from_its_file_to_a_booth_that_says_how_far_it_is() {
    let broker = Broker::open();
    let home = Home::new(
        broker.port,
        "[[booth]]\nid = \"rundhoej-1\"\nname = \"Torv\"\n",
    );
    let hub = Hub::start(&home);
    let path = file(&home, "square", ALL);
    let path = path.to_str().expect("a path");
    let said = done(&home, &["check", path]);
    assert!(
        said.contains("to make in \"da\": question \"square-q\""),
        "{said}"
    );
    let (said, status) = refused(&home, &["publish", path]);
    assert!(status == 1 && said.contains("not made yet"), "{said}");
    let said = done(&home, &["prompts", path, "--json"]);
    let made: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(made["prompts"].as_array().expect("a list").len(), 4);
    assert!(done(&home, &["check", path]).contains("Publish it"));

    let booth = Booth::listening(
        broker.port,
        "rundhoej-1",
        &["booth/1/dn/rundhoej-1/#".into(), "booth/1/media/#".into()],
    );
    let dry = done(&home, &["publish", path, "--dry-run"]);
    assert!(
        dry.contains("rundhoej-1: square") && dry.contains("4 prompts"),
        "{dry}"
    );
    let teller = std::thread::scope(|scope| {
        let publishing = scope.spawn(|| done(&home, &["publish", path, "--wait", "60"]));
        // The prompts come before the configuration that names them.
        let mut media = Vec::new();
        let wanted = loop {
            let publish = booth
                .try_hear(std::time::Duration::from_secs(60))
                .expect("it comes");
            let topic = String::from_utf8_lossy(&publish.topic).into_owned();
            if topic.ends_with("/config") {
                break Wanted::read(&publish.payload).expect("a configuration");
            }
            let hash = booth_contract::hex(&Sha256::digest(&publish.payload));
            assert_eq!(topic, format!("booth/1/media/{hash}"));
            assert!(publish.payload.len() <= 100 * 1024);
            media.push(hash);
        };
        for hash in wanted.media() {
            assert!(media.iter().any(|came| came == hash.as_str()), "{hash}");
        }
        assert_eq!(media.len(), 4);
        let hash = media[0].as_str();
        report(&booth, wanted.version, None, &[hash], json!([]));
        report(&booth, wanted.version, Some(wanted.version), &[], json!([]));
        publishing.join().expect("published")
    });
    assert!(
        teller.contains("In force at 1 of 1 booths")
            && teller.contains("in force since 2026-05-01"),
        "{teller}"
    );
    // The command hears the booth itself; the running hub writes the same report down at its own pace.
    let list = until("the hub has the booth's report", || {
        let list = done(&home, &["list"]);
        list.contains("has it in force").then_some(list)
    });
    assert!(list.contains("square (A square)"), "{list}");
    let shown = done(&home, &["show", "square"]);
    assert!(shown.contains("digit 2: square-v: 2 yes, 3 no"), "{shown}");
    let page = hub.shows("operations", "✓ nothing");
    assert!(page.contains("What is asked"), "{page}");
}

#[test]
fn versions_rise_through_publish_undo_and_withdraw_and_what_nobody_wants_is_cleared() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let booth = Booth::listening(
        broker.port,
        "rundhoej-1",
        &["booth/1/dn/rundhoej-1/#".into()],
    );
    let one = file(&home, "one", ALL);
    let two = file(&home, "two", ALL);
    // Another digit for each question, and another sound for one: its prompt is its own.
    let text = std::fs::read_to_string(&two).expect("read");
    let text = text
        .replace("digit = 1\n", "digit = 4\n")
        .replacen("digit = 2\nkind", "digit = 5\nkind", 1)
        .replacen("tone.mp3", "tone.aiff", 1);
    std::fs::write(&two, text).expect("written");
    let (one, two) = (one.to_str().expect("a path"), two.to_str().expect("a path"));
    for path in [one, two] {
        done(&home, &["prompts", path]);
    }
    let now = |arguments: &[&str]| {
        done(&home, &[arguments, &["--wait", "0"]].concat());
        let wanted = configuration(&booth);
        let ids = wanted
            .campaigns
            .iter()
            .flatten()
            .map(|campaign| campaign.id.clone());
        (
            wanted.version,
            ids.collect::<Vec<_>>(),
            retained(broker.port, "booth/1/media/+").len(),
        )
    };
    let (first, ids, media) = now(&["publish", one]);
    assert_eq!((ids, media), (vec!["one".to_owned()], 4));
    let (second, ids, media) = now(&["publish", two]);
    assert_eq!((ids.len(), media), (2, 5));
    let (third, ids, media) = now(&["undo"]);
    assert_eq!((ids, media), (vec!["one".to_owned()], 4));
    let (fourth, ids, media) = now(&["withdraw", "one"]);
    assert_eq!((ids.len(), media), (0, 0));
    let (fifth, ids, media) = now(&["undo"]);
    assert_eq!((ids, media), (vec!["one".to_owned()], 4));
    // To a broker that has lost everything.
    let (sixth, ids, _) = now(&["publish"]);
    assert_eq!(ids, ["one"]);
    let versions = [first, second, third, fourth, fifth, sixth];
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
    let (said, _) = refused(&home, &["withdraw", "two"]);
    assert!(said.contains("there are one"), "{said}");
    // A retired booth gets nothing more.
    let config = home.config();
    let forgotten = booth_hub(&[
        "forget",
        "rundhoej-1",
        "--config",
        config.to_str().expect("a path"),
    ]);
    assert!(forgotten.status.success());
    let list: Value = serde_json::from_str(&done(&home, &["list", "--json"])).expect("JSON");
    assert_eq!(list["booths"], json!([]));
    assert!(retained(broker.port, "booth/1/dn/+/config").is_empty());
}

#[test]
fn a_hub_that_died_before_the_broker_had_it_goes_on_with_a_higher_version() {
    let mut broker = Broker::open();
    let home = Home::new(broker.port, "");
    let path = file(&home, "square", ALL);
    let path = path.to_str().expect("a path");
    done(&home, &["prompts", path]);
    broker.stop();
    let (said, status) = refused(&home, &["publish", path]);
    assert!(status == 1 && said.contains("sends it again"), "{said}");
    let kept: Value = serde_json::from_str(&done(&home, &["list", "--json"])).expect("JSON");
    let kept = kept["booths"][0]["version"].as_u64().expect("a version");
    broker.start_again();
    let booth = Booth::listening(
        broker.port,
        "rundhoej-1",
        &["booth/1/dn/rundhoej-1/#".into()],
    );
    done(&home, &["publish", "--wait", "0"]);
    assert!(configuration(&booth).version > kept);
    // A booth that knows a higher version than the hub, whose state was lost: the next one is higher still.
    std::fs::remove_dir_all(home.path().join("store/campaigns")).expect("removed");
    let hub = Hub::start(&home);
    let high = 4_000_000_000;
    report(&booth, high, Some(high), &[], json!([]));
    booth.is_judged();
    hub.shows("operations", "version 4000000000");
    done(&home, &["prompts", path]);
    done(&home, &["publish", path, "--wait", "0"]);
    assert_eq!(configuration(&booth).version, high + 1);
}

#[test]
fn a_booth_that_refuses_is_told_with_its_reasons_and_the_command_fails() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let path = file(&home, "square", ALL);
    let path = path.to_str().expect("a path");
    done(&home, &["prompts", path]);
    let booth = Booth::listening(
        broker.port,
        "rundhoej-1",
        &["booth/1/dn/rundhoej-1/#".into()],
    );
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| refused(&home, &["publish", path, "--wait", "60"]));
        let wanted = configuration(&booth);
        let errors = json!([{"key": "prompts.notice.en", "error": "is missing"}]);
        report(&booth, wanted.version, None, &[], errors);
        let (said, status) = publishing.join().expect("ended");
        assert!(
            status == 1 && said.contains("prompts.notice.en: is missing"),
            "{said}"
        );
        assert!(said.contains("keeps what was in force"), "{said}");
    });
}

#[test]
fn a_broker_that_takes_no_large_message_is_named_with_the_remedy() {
    let broker = Broker::start("allow_anonymous true\nmax_packet_size 1000\n", |_| ());
    let home = Home::new(broker.port, "");
    let path = file(&home, "square", ALL);
    let path = path.to_str().expect("a path");
    done(&home, &["prompts", path]);
    let (said, _) = refused(&home, &["publish", path]);
    assert!(
        said.contains("at most 1000 bytes") && said.contains("max_packet_size 131072"),
        "{said}"
    );
}

#[test]
fn a_campaign_leaves_beside_a_hub_whose_name_at_the_broker_it_shares() {
    let broker = Broker::with_password();
    let home = Home::new(
        broker.port,
        "username = \"hub\"\npassword_file = \"password\"\n",
    );
    std::fs::write(home.path().join("password"), "right").expect("written");
    let hub = Hub::start(&home);
    let path = file(&home, "square", ALL);
    let path = path.to_str().expect("a path");
    done(&home, &["prompts", path]);
    let booth = Booth::logged_in(
        broker.port,
        "rundhoej-1",
        Some("right"),
        &["booth/1/dn/rundhoej-1/#".into()],
    );
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| done(&home, &["publish", path, "--wait", "60"]));
        let wanted = configuration(&booth);
        // By now the hub may have its connection back; it tells the command by its database.
        report(&booth, wanted.version, Some(wanted.version), &[], json!([]));
        let said = publishing.join().expect("published");
        assert!(said.contains("In force at 1 of 1 booths"), "{said}");
    });
    assert!(
        hub.lines().iter().all(|line| !line.contains("another hub")),
        "{:?}",
        hub.lines()
    );
}

#[test]
fn a_notice_is_published_with_the_citys_signature_alone() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let sounds = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sounds/tone.aiff");
    let path = file(&home, "square", ALL);
    let mut text = std::fs::read_to_string(&path).expect("read");
    text += &format!(
        "[prompt.notice]\ntext.da = \"Vi optager.\"\nsound.da = {:?}\n",
        sounds.display().to_string()
    );
    std::fs::write(&path, text).expect("written");
    let path = path.to_str().expect("a path");
    done(&home, &["prompts", path]);
    let (said, _) = refused(&home, &["publish", path]);
    assert!(
        said.contains("only with a signature") && said.contains("--to-sign"),
        "{said}"
    );
    let to_sign = home.path().join("square.txt");
    let to_sign = to_sign.to_str().expect("a path");
    assert!(done(&home, &["publish", path, "--to-sign", to_sign]).contains("minisign -S"));
    let keys = minisign::KeyPair::generate_unencrypted_keypair().expect("keys");
    let signature = |text: &[u8]| {
        let signed = minisign::sign(None, &keys.sk, text, None, None).expect("signed");
        signed.into_string()
    };
    let body = std::fs::read(to_sign).expect("the text");
    let minisig = format!("{to_sign}.minisig");
    std::fs::write(&minisig, signature(&body)).expect("written");
    let booth = Booth::listening(
        broker.port,
        "rundhoej-1",
        &["booth/1/dn/rundhoej-1/#".into()],
    );
    done(
        &home,
        &["publish", path, "--signed", &minisig, "--wait", "0"],
    );
    let publish = booth.hear("/config");
    let sent: Value = serde_json::from_slice(&publish.payload).expect("JSON");
    assert_eq!(sent["body"].as_str().expect("a text").as_bytes(), body);
    let inner: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(
        (&inner["command"], &inner["booth"][0]),
        (&json!("config"), &json!("rundhoej-1"))
    );
    assert!(inner["prompts"]["notice"]["da"].is_string());
    // Once is enough: the version has been used.
    let (said, _) = refused(
        &home,
        &["publish", path, "--signed", &minisig, "--wait", "0"],
    );
    assert!(said.contains("version is too low"), "{said}");
    // Another text than the one that is to be published.
    std::fs::write(
        to_sign,
        String::from_utf8_lossy(&body).replace("square-q", "other-q"),
    )
    .expect("written");
    let (said, _) = refused(
        &home,
        &["publish", path, "--signed", &minisig, "--wait", "0"],
    );
    assert!(said.contains("says something else"), "{said}");
}

#[test]
fn a_text_is_spoken_in_its_language_and_what_is_wrong_with_a_file_ends_with_78() {
    let home = Home::new(1, "");
    let path = home.path().join("new.toml");
    let path = path.to_str().expect("a path");
    assert!(done_without_config(&["campaign", "new", path]).contains("campaign check"));
    assert!(
        !booth_hub(&["campaign", "new", path]).status.success(),
        "no file is overwritten"
    );
    let said = done(&home, &["prompts", path, "--json"]);
    let made: Value = serde_json::from_str(&said).expect("JSON");
    for prompt in made["prompts"].as_array().expect("a list") {
        assert!(prompt["ms"].as_u64().is_some_and(|ms| ms > 200), "{prompt}");
        let lufs = prompt["lufs"].as_f64().expect("a number");
        assert!((lufs - -21.9).abs() < 1.0, "{prompt}");
    }
    let text = std::fs::read_to_string(path).expect("read");
    std::fs::write(
        path,
        text.replace("text.en = \"Green\"", "text.tlh = \"SuD\""),
    )
    .expect("written");
    let (said, status) = refused(&home, &["check", path]);
    assert!(
        status == 78 && said.contains("option \"green\" text.en: is missing"),
        "{said}"
    );
    let (said, status) = refused(&home, &["prompts", path]);
    assert!(status == 1 && said.contains("espeak-ng --voices"), "{said}");
    let (said, status) = refused(&home, &["publish", path]);
    assert!(status == 78 && said.contains("new.toml:"), "{said}");
}

fn done_without_config(arguments: &[&str]) -> String {
    let ran = booth_hub(arguments);
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

#[test]
fn a_new_booth_gets_the_campaigns_of_all_booths_without_a_command() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "[[booth]]\nid = \"rundhoej-1\"\n");
    let hub = Hub::start(&home);
    let path = file(&home, "square", "booths = \"all\"");
    let path = path.to_str().expect("a path");
    done(&home, &["prompts", path]);
    done(&home, &["publish", path, "--wait", "0"]);
    let filters = |booth: &str| vec![format!("booth/1/dn/{booth}/#"), "booth/1/media/#".into()];
    let booth = Booth::listening(broker.port, "torvet-2", &filters("torvet-2"));
    let birth = json!({"schema": 1, "booth_id": "torvet-2", "session": "1-1", "boot_id": "b", "boot_count": 1, "card_id": "card-2",
        "sealed": true, "consent_mode": "digit", "health_interval_s": 60});
    booth.publish("birth", true, birth.to_string());
    let wanted = configuration(&booth);
    assert_eq!(wanted.campaigns.expect("campaigns")[0].id, "square");
    // Nothing that an undo would take back, and nothing that is sent twice.
    let list: Value = serde_json::from_str(&done(&home, &["list", "--json"])).expect("JSON");
    let booths = list["booths"].as_array().expect("a list");
    assert_eq!(booths.len(), 2, "{list}");
    let undone = done(&home, &["undo", "--wait", "0"]);
    assert!(undone.contains("undo (publish square)"), "{undone}");
    assert!(configuration(&booth).campaigns.is_none());
    assert!(hub.stop().success());
}

#[test]
fn codes_are_made_once_and_printed_on_paper_and_counted() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "[[booth]]\nid = \"rundhoej-1\"\n");
    let path = file(&home, "square", ALL);
    let text = std::fs::read_to_string(&path).expect("reads");
    let text = text.replacen("kind = \"choose\"", "kind = \"choose\"\ncodes = true", 1);
    std::fs::write(&path, text).expect("written");
    let path = path.to_str().expect("a path");
    let paper = home.path().join("codes.html");
    let paper = paper.to_str().expect("a path");
    let said = done(
        &home,
        &["codes", "square", "--count", "20", "--paper", paper],
    );
    assert!(
        said.contains("20 codes are made") && said.contains("no campaign"),
        "{said}"
    );
    let page = std::fs::read_to_string(paper).expect("the page");
    assert_eq!(page.matches("class=\"code\"").count(), 20);
    let (said, _) = refused(
        &home,
        &["codes", "square", "--count", "3", "--paper", paper],
    );
    assert!(said.contains("exists"), "{said}");
    let printed = done(
        &home,
        &["codes", "square", "--count", "3", "--emergency", "911"],
    );
    assert_eq!(printed.lines().count(), 3, "{printed}");
    let (said, _) = refused(
        &home,
        &["codes", "square", "--count", "3", "--emergency", "9x"],
    );
    assert!(said.contains("no emergency number"), "{said}");
    done(&home, &["prompts", path]);
    done(&home, &["publish", path, "--wait", "0"]);
    let sent = retained(broker.port, "booth/1/dn/rundhoej-1/config");
    let wanted = Wanted::read(&sent[0].1).expect("a configuration");
    let questions = &wanted.campaigns.expect("one")[0].questions;
    assert_eq!(
        questions.iter().map(|q| q.codes).collect::<Vec<_>>(),
        [false, true]
    );
    let counts: Value =
        serde_json::from_str(&done(&home, &["codes", "square", "--json"])).expect("JSON");
    assert_eq!(
        counts,
        json!({"campaign": "square", "codes": 23, "used": {"square-v": 0}})
    );
}
