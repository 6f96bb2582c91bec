//! The editor's page of a running hub publishes to a real Mosquitto, beside the hub's own connection, what a booth then fetches.
#![allow(clippy::disallowed_methods)] // reads sounds, and writes what an editor would

use std::path::Path;
use std::sync::Mutex;

use booth_contract::wanted::Wanted;
use booth_hub::centre::{Centre, CentreError, HubCentre};
use booth_hub::config::HubConfig;
use booth_hub::store::{BrokerStatus, StoreViews};
use booth_testkit::hub::{Booth, Broker, Home, Hub};
use booth_testkit::wait::until;
use serde_json::json;

/// What the pages of a hub have: the same type, beside the running program.
fn centre(home: &Home) -> HubCentre {
    let config = HubConfig::load(&home.config()).expect("a configuration");
    let status = BrokerStatus {
        connected: true,
        detail: String::new(),
        rival: None,
    };
    let views = StoreViews::open(
        &config.store.dir,
        config.booths.clone(),
        std::sync::Arc::new(Mutex::new(status)),
    );
    HubCentre::open(config, std::sync::Arc::new(views.expect("views"))).expect("a centre")
}

fn sound(name: &str) -> Vec<u8> {
    let sounds = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sounds");
    std::fs::read(sounds.join(name)).expect("a sound")
}

#[test]
fn an_editor_sends_recordings_in_hears_them_and_publishes_while_the_hub_runs() {
    let broker = Broker::open();
    let home = Home::new(
        broker.port,
        "[[booth]]\nid = \"rundhoej-1\"\nname = \"Torv\"\n",
    );
    let hub = Hub::start(&home);
    let booth = Booth::listening(
        broker.port,
        "rundhoej-1",
        &["booth/1/dn/rundhoej-1/#".into(), "booth/1/media/#".into()],
    );
    let health = json!({"ready": 1, "lifts_today": 4, "clips_today": 2, "refused_today": 1, "left_early_today": 1, "discarded_today": 0,
        "clock_synced": 1, "ts": 1_780_000_000});
    booth.publish("health", true, health.to_string());
    let centre = centre(&home);

    // A recording is kept under a name of its own; what is none, and what lies elsewhere on this machine, is refused.
    let name = centre.keep_sound(&sound("tone.mp3")).expect("kept");
    assert_eq!(centre.keep_sound(&sound("tone.mp3")), Ok(name.clone()));
    assert!(matches!(
        centre.keep_sound(b"no sound"),
        Err(CentreError::Refused(_))
    ));
    let file = |sound: &str| {
        format!(
            "id = \"torv\"\ntitle = \"Torvet\"\nbooths = [\"rundhoej-1\"]\n\n[[question]]\nid = \"plads\"\ndigit = 1\nkind = \"speak\"\ntext.da = \"Hvad?\"\nsound.da = {sound:?}\n"
        )
    };
    for elsewhere in [
        "/etc/passwd",
        "../state.json",
        "state.json",
        &format!("../sounds/{name}"),
    ] {
        let checked = centre.check_campaign(&file(elsewhere)).expect("checked");
        assert!(
            checked
                .faults
                .iter()
                .any(|fault| fault.line == Some(10) && fault.why.contains("not sent in here")),
            "{elsewhere}: {:?}",
            checked.faults
        );
        assert!(checked.wanted.is_none());
    }
    let checked = centre
        .check_campaign("id = \"torv\"\nbooths = \n")
        .expect("checked");
    assert_eq!(checked.faults[0].line, Some(2), "{:?}", checked.faults);

    let toml = file(&name);
    let checked = centre.check_campaign(&toml).expect("checked");
    assert!(
        checked.faults.is_empty() && checked.sayings[0].made.is_none(),
        "{checked:?}"
    );
    let lines = Mutex::new(Vec::new());
    let tell = |line: &str| lines.lock().expect("lines").push(line.to_owned());
    assert!(
        matches!(centre.publish_campaign(&toml, &[], &tell), Err(CentreError::Refused(why)) if why.to_string().contains("on the editor's page"))
    );
    let checked = centre.make_prompts(&toml, &tell).expect("made");
    let (hash, _) = checked.sayings[0].made.clone().expect("a prompt");
    assert!(
        centre
            .prompt(&hash)
            .expect("its sound")
            .starts_with(b"OggS")
    );
    // What the preview plays is what the booth gets.
    assert!(checked.wanted.expect("right").media().contains(&hash));
    assert_eq!(centre.texts_to_sign(&toml), Ok(Vec::new()));

    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| centre.publish_campaign(&toml, &[], &tell));
        let wanted = loop {
            let publish = booth
                .try_hear(std::time::Duration::from_secs(60))
                .expect("it comes");
            if String::from_utf8_lossy(&publish.topic).ends_with("/config") {
                break Wanted::read(&publish.payload).expect("a configuration");
            }
        };
        assert!(wanted.media().contains(&hash));
        let report = json!({"wanted": wanted.version, "applied": wanted.version, "missing": [], "errors": [], "ts": "2026-05-01T10:00:00.000Z"});
        booth.publish("config", true, report.to_string());
        publishing.join().expect("no panic").expect("published");
    });
    let lines = lines.into_inner().expect("lines");
    assert!(
        lines
            .iter()
            .any(|line| line.contains("rundhoej-1: has it in force")),
        "{lines:?}"
    );
    assert_eq!(centre.campaign_file("torv"), Ok(toml));
    assert_eq!(centre.campaign_file("none"), Err(CentreError::NotThere));
    let campaigns = centre.campaigns().expect("campaigns");
    assert_eq!(campaigns[0].questions[0].text["da"], "Hvad?");

    // A notice needs the city's signature: the text to sign is made, and nothing is published without it.
    let signed = format!(
        "{}\n[prompt.notice]\ntext.da = \"Vi optager.\"\nsound.da = {name:?}\n",
        file(&name)
    );
    centre.make_prompts(&signed, &|_: &str| {}).expect("made");
    let texts = centre.texts_to_sign(&signed).expect("texts");
    assert!(
        texts.len() == 1
            && texts[0].contains("\"command\":\"config\"")
            && texts[0].contains("notice"),
        "{texts:?}"
    );
    let refused = centre.publish_campaign(&signed, &[], &|_: &str| {});
    assert!(
        matches!(refused, Err(CentreError::Refused(why)) if why.to_string().contains("signature"))
    );

    // What the booth counts today comes with the day that it is of.
    let now = until("the hub has the booth's health", || {
        let booths = centre.booths().expect("booths");
        booths.into_iter().find(|booth| !booth.today.is_empty())
    });
    assert_eq!(
        (
            now.today["lifts"],
            now.today["clips"],
            now.today["left_early"]
        ),
        (4, 2, 1)
    );
    assert_eq!(now.said_at.map(|at| at.as_second()), Some(1_780_000_000));
    drop(hub);
}

#[test]
fn one_at_a_time_changes_what_is_published_and_the_other_is_told() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "[[booth]]\nid = \"rundhoej-1\"\n");
    let _hub = Hub::start(&home);
    let centre = centre(&home);
    let name = centre.keep_sound(&sound("tone.mp3")).expect("kept");
    let toml = format!(
        "id = \"torv\"\nbooths = \"all\"\n[[question]]\nid = \"plads\"\ndigit = 1\nkind = \"speak\"\nsound.da = {name:?}\n"
    );
    let folder = HubConfig::load(&home.config())
        .expect("a configuration")
        .store
        .dir
        .join("campaigns");
    let busy = std::fs::File::create(folder.join("publishing")).expect("the lock");
    rustix::fs::flock(&busy, rustix::fs::FlockOperation::NonBlockingLockExclusive).expect("free");
    let refused = centre.make_prompts(&toml, &|_: &str| {});
    assert!(
        matches!(refused, Err(CentreError::Refused(why)) if why.to_string().contains("at work"))
    );
    drop(busy);
    assert!(centre.make_prompts(&toml, &|_: &str| {}).is_ok());
}
