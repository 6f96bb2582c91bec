//! A folder of recordings comes into a hub that runs, and into one that is stopped.
#![allow(clippy::disallowed_methods)] // makes the folder

use std::path::Path;

use booth_testkit::hub::{Broker, Home, Hub, booth_hub};

/// Publishes a campaign with the question that the recordings answer.
fn publishes(home: &Home) {
    let sound = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sounds/tone.mp3");
    let text = format!(
        "id = \"green\"\ntitle = \"Green\"\nbooths = [\"rundhoej-1\"]\n\n[[question]]\nid = \"square\"\ndigit = 1\nkind = \"speak\"\n\
         text.da = \"Hvad?\"\nsound.da = {:?}\n",
        sound.display().to_string()
    );
    let path = home.path().join("green.toml");
    std::fs::write(&path, text).expect("written");
    let (path, config) = (path.display().to_string(), home.config());
    let config = config.to_str().expect("a path");
    for verb in [vec!["prompts"], vec!["publish", "--wait", "0"]] {
        let ran = booth_hub(&[&["campaign"], &verb[..], &[&path, "--config", config]].concat());
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.success(), "{verb:?}: {said}");
    }
}

fn imports(home: &Home) -> String {
    let (config, calls) = (home.config(), home.path().join("calls"));
    let arguments = [
        "import-recordings",
        calls.to_str().expect("a path"),
        "--campaign",
        "green",
        "--question",
        "square",
        "--notice",
        "You are recorded for the city.",
        "--config",
        config.to_str().expect("a path"),
    ];
    let ran = booth_hub(&arguments);
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let complained = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}{complained}");
    said
}

#[test]
fn recordings_are_imported_beside_a_running_hub_and_into_a_stopped_one_each_once() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "[[booth]]\nid = \"rundhoej-1\"\n");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/home");
    let calls = home.path().join("calls");
    std::fs::create_dir(&calls).expect("a folder");
    let copy = |name: &str| {
        std::fs::copy(fixtures.join(name), calls.join(name)).expect("copied");
    };
    copy("phone.wav");
    copy("plain.m4a");
    std::fs::write(calls.join("list.txt"), "no sound").expect("written");
    let hub = Hub::start(&home);
    publishes(&home);
    let said = imports(&home);
    assert!(said.contains("2 new, 0 here before, 1 left out"), "{said}");
    assert!(said.contains("list.txt: left out"), "{said}");
    assert!(hub.page("").contains("2 answers"), "{}", hub.page(""));
    let said = imports(&home);
    assert!(said.contains("0 new, 2 here before, 1 left out"), "{said}");
    assert!(hub.stop().success());
    copy("firefox.ogg");
    let said = imports(&home);
    assert!(said.contains("1 new, 2 here before, 1 left out"), "{said}");
    // A hub that was killed has left its socket behind.
    let hub = Hub::start(&home);
    hub.kill();
    copy("opus.mp4");
    let hub = Hub::start(&home);
    let said = imports(&home);
    assert!(said.contains("1 new, 3 here before, 1 left out"), "{said}");
    assert!(hub.page("").contains("4 answers"), "{}", hub.page(""));
    assert!(hub.stop().success());
}
