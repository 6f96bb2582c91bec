//! A folder of recordings, and the messages of a pulled card, come into a hub that runs, and into one that is stopped.
#![allow(clippy::disallowed_methods)] // makes the folders

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use booth_contract::export::{CLIPS, ExportReceipt, RECEIPT_FILE, body_name, json_name};
use booth_contract::{AckStatus, Withdrawal};
use booth_gateway::pulled;
use booth_testkit::hub::{Booth as Client, Broker, Home, Hub, booth_hub};
use booth_testkit::spool_rig::{open, record};
use booth_testkit::wait::until;

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

// ----------------------------------------------------------------------------------------------------------------------- pulled cards

/// A pulled card of `rundhoej-1` with four messages and a withdrawal that nobody can open, exported.
fn exported(home: &Home) -> (PathBuf, ExportReceipt) {
    let card = home.path().join("card");
    let (spool, _) = open(&card);
    for _ in 0..4 {
        record(&spool, 3);
    }
    let withdrawal = Withdrawal {
        id: uuid::Uuid::new_v4().to_string().into(),
        // As it begins; nobody here has the key.
        sealed: STANDARD.encode("age-encryption.org/v1\n"),
        ts: "2026-11-29T10:00:00.000Z".into(),
    };
    spool.keep_withdrawal(&withdrawal).expect("kept");
    drop(spool);
    let to = home.path().join("stick");
    let exported = pulled::export(&card, &to, &mut |_, _, _| {}).expect("an export");
    (to, exported.receipt)
}

fn import_of(home: &Home, folder: &Path, more: &[&str]) -> (bool, String) {
    let config = home.config();
    let arguments = [
        &["import", folder.to_str().expect("a path")],
        more,
        &["--config", config.to_str().expect("a path")],
    ];
    let ran = booth_hub(&arguments.concat());
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let complained = String::from_utf8_lossy(&ran.stderr).into_owned();
    (ran.status.success(), said + &complained)
}

#[test]
fn a_pulled_card_is_taken_in_once_beside_a_running_hub_and_its_booth_is_confirmed_afterwards() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "[[booth]]\nid = \"rundhoej-1\"\n");
    let (folder, receipt) = exported(&home);
    let hub = Hub::start(&home);
    let (all, said) = import_of(&home, &folder, &[]);
    assert!(
        all && said.contains("rundhoej-1: 4 taken, 0 here before"),
        "{said}"
    );
    let (all, said) = import_of(&home, &folder, &[]);
    assert!(all && said.contains("0 taken, 4 here before"), "{said}");
    for clip in &receipt.clips {
        let kept = std::fs::read(home.clip_file(&clip.clip_id)).expect("the hub's file");
        let body = std::fs::read(folder.join(CLIPS).join(body_name(&clip.clip_id)));
        assert!(kept == body.expect("a body"), "byte for byte");
    }
    // The card goes back into its booth, which offers the same clip and is told at once that it is stored.
    let booth = Client::connect(broker.port, "rundhoej-1");
    let id = &receipt.clips[0].clip_id;
    let manifest = std::fs::read(folder.join(CLIPS).join(json_name(id))).expect("a manifest");
    booth.publish(&format!("clip/{id}"), false, manifest);
    let ack = booth.ack();
    assert_eq!((ack.status, &ack.clip_id), (AckStatus::Stored, id));
    // What its citizen takes back stays gone, whatever is imported again.
    let withdrawn = receipt.clips[1].clip_id.as_str();
    let config = home.config();
    let ran = booth_hub(&[
        "withdraw",
        withdrawn,
        "--config",
        config.to_str().expect("a path"),
    ]);
    assert!(ran.status.success());
    until("it is gone", || {
        (!home.clip_file(withdrawn).exists()).then_some(())
    });
    let (all, said) = import_of(&home, &folder, &[]);
    assert!(
        all && said.contains("0 taken, 3 here before, 1 taken back"),
        "{said}"
    );
    assert!(!home.clip_file(withdrawn).exists());
    assert!(hub.stop().success());
    // The same of a hub that is stopped, told to a script.
    let (all, said) = import_of(&home, &folder, &["--json"]);
    assert!(all, "{said}");
    let told: serde_json::Value =
        serde_json::from_str(said.lines().next().expect("a line")).expect("JSON");
    let fates: Vec<&str> = told["clips"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|clip| clip["fate"].as_str())
        .collect();
    assert_eq!(fates, ["before", "taken_back", "before", "before"]);
}

#[test]
fn what_is_not_whole_in_an_export_is_named_and_left_and_the_rest_is_taken() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "[[booth]]\nid = \"rundhoej-1\"\n");
    let (folder, receipt) = exported(&home);
    let file = |name: String| folder.join(CLIPS).join(name);
    let [torn, altered, gone] = [0, 1, 2].map(|number| &receipt.clips[number].clip_id);
    let body = std::fs::read(file(body_name(torn))).expect("a body");
    std::fs::write(file(body_name(torn)), &body[..body.len() / 2]).expect("written");
    let manifest = std::fs::read_to_string(file(json_name(altered))).expect("a manifest");
    let manifest = manifest.replace("\"square\"", "\"circle\"");
    std::fs::write(file(json_name(altered)), manifest).expect("written");
    std::fs::remove_file(file(json_name(gone))).expect("gone");
    let (all, said) = import_of(&home, &folder, &[]);
    assert!(
        !all && said
            .contains("1 taken, 0 here before, 0 taken back by their citizens, 3 not taken"),
        "{said}"
    );
    for id in [torn, altered, gone] {
        assert!(said.contains(&format!("clip {id} (number ")), "{said}");
        assert!(!home.clip_file(id).exists());
    }
    assert!(said.contains("Export again from the card"), "{said}");
    // A stick that comes once more, whole, brings the rest.
    std::fs::remove_dir_all(&folder).expect("removed");
    pulled::export(&home.path().join("card"), &folder, &mut |_, _, _| {}).expect("an export");
    let (all, said) = import_of(&home, &folder, &[]);
    assert!(all && said.contains("3 taken, 1 here before"), "{said}");
}

#[test]
fn a_folder_that_is_no_export_is_refused_with_the_way_to_one() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "[[booth]]\nid = \"rundhoej-1\"\n");
    let (folder, _) = exported(&home);
    let receipt = folder.join(RECEIPT_FILE);
    let text = std::fs::read_to_string(&receipt).expect("a receipt");
    let newer = text.replace("\"schema\": 1", "\"schema\": 2");
    for (content, remedy) in [
        (&newer[..], "update the hub"),
        (&text[..text.len() / 2], "export again from the card"),
    ] {
        std::fs::write(&receipt, content).expect("written");
        let (all, said) = import_of(&home, &folder, &[]);
        assert!(!all && said.contains(remedy), "{said}");
    }
    std::fs::remove_file(&receipt).expect("removed");
    for (place, remedy) in [
        (folder, "Export again from the card"),
        (home.path().join("card/card.json"), "was not exported"),
    ] {
        let (all, said) = import_of(&home, &place, &[]);
        assert!(!all && said.contains(remedy), "{said}");
    }
    // A spool's folder is exported first.
    let (all, said) = import_of(&home, &home.path().join("card"), &[]);
    assert!(all && said.contains("4 taken"), "{said}");
}
