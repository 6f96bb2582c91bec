//! A USB stick at a booth receives an export: root's helper on real file systems, and a technician's eight with real gateway, broker and hub.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};

use booth_contract::BoothId;
use booth_contract::export::{ExportReceipt, RECEIPT_FILE};
use booth_gateway::pulled::{ExportError, Own, Running};
use booth_gateway::stick::{self, Refusal, Stick, StickError};
use booth_testkit::centre::Centre;
use booth_testkit::gateway::{BoothHome, Gateway};
use booth_testkit::hub::{Booth, Broker, Home, Hub, booth_hub};
use booth_testkit::pulse::Pulse;
use booth_testkit::spool_rig::{open, record};
use booth_testkit::usb_stick::{Plays, StickHelper, UsbStick, kinds, plays};
use booth_testkit::wait::until;
use serde_json::Value;

/// A folder of readers, and the socket of their helper.
struct Readers(tempfile::TempDir);

impl Readers {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("usb")).expect("a folder");
        Self(folder)
    }

    fn usb(&self) -> PathBuf {
        self.0.path().join("usb")
    }

    fn socket(&self) -> PathBuf {
        self.0.path().join("helper.sock")
    }

    fn helper(&self) -> StickHelper {
        StickHelper::start(&self.usb(), &self.socket())
    }

    fn ask(&self) -> Result<Stick, StickError> {
        stick::ask(&self.socket(), &mut || true)
    }
}

/// A spool with so many messages.
/// A card with so many messages, as its booth knows it.
fn spool(folder: &Path, messages: usize) -> Own {
    let (spool, _) = open(folder);
    for _ in 0..messages {
        record(&spool, 2);
    }
    Own {
        booth: booth(),
        spool,
        deleted: Vec::new(),
    }
}

fn booth() -> BoothId {
    BoothId::parse("rundhoej-1").expect("an id")
}

fn receipt(folder: &Path) -> Option<ExportReceipt> {
    let text = std::fs::read(folder.join(RECEIPT_FILE)).ok()?;
    ExportReceipt::read(&text).ok()
}

#[test]
fn a_stick_is_mounted_for_the_gateway_alone_written_and_released_with_everything_on_it() {
    for kind in kinds("a stick that is mounted and released") {
        let readers = Readers::new();
        let card = readers.0.path().join("spool");
        let own = spool(&card, 3);
        let stick = UsbStick::new(kind, 16);
        stick.plug(&readers.usb(), "sda");
        let helper = readers.helper();
        let mounted = readers.ask().expect("a stick");
        assert!(!stick.is_free() && mounted.is_held());
        assert!(!stick.is_in_a_folder());
        let running = Running::open(&card, &own).expect("a spool");
        let to = mounted.folder().join("export");
        running.export(&to, &mut |_| true).expect("an export");
        mounted.release().expect("safe to remove");
        assert!(stick.is_free(), "nobody has it mounted when that is said");
        assert!(helper.ends().success());
        let elsewhere = stick.elsewhere();
        let receipt = receipt(&elsewhere.path().join("export")).expect("a receipt");
        assert_eq!(receipt.clips.len(), 3, "{kind}");
    }
}

#[test]
fn a_stick_that_is_locked_is_told_and_one_that_is_no_stick_is_not_touched() {
    for kind in kinds("a stick whose lock is on") {
        let readers = Readers::new();
        let stick = UsbStick::locked(kind, 16);
        stick.plug(&readers.usb(), "sda");
        let helper = readers.helper();
        match readers.ask().err() {
            Some(StickError::Refused(Refusal::Locked(name))) => assert!(name.starts_with("loop")),
            other => panic!("{kind}: {other:?}"),
        }
        assert!(helper.ends().success() && stick.is_free());
    }
}

#[test]
fn a_gateway_or_a_helper_that_is_killed_leaves_no_stick_mounted_and_none_is_called_safe() {
    for kind in kinds("a stick whose gateway or helper is killed") {
        let readers = Readers::new();
        let stick = UsbStick::new(kind, 16);
        stick.plug(&readers.usb(), "sda");
        // The gateway's end closes what it has, without a word.
        let helper = readers.helper();
        drop(readers.ask().expect("a stick"));
        stick.is_let_go();
        assert!(
            !helper.ends().success(),
            "it says that the gateway has gone"
        );
        // The helper's end: the gateway hears it, and the stick is its own until it lets go.
        let helper = readers.helper();
        let mounted = readers.ask().expect("a stick");
        helper.kill();
        until("the end is heard", || (!mounted.is_held()).then_some(()));
        assert!(!stick.is_free());
        let error = mounted
            .release()
            .expect_err("nobody has said that it is safe");
        assert!(matches!(error, StickError::Silent(_)), "{error}");
        stick.is_let_go();
    }
}

#[test]
fn a_stick_of_which_something_is_still_open_is_not_called_safe() {
    for kind in kinds("a stick of which something is still open") {
        let readers = Readers::new();
        let stick = UsbStick::new(kind, 16);
        stick.plug(&readers.usb(), "sda");
        let _helper = readers.helper();
        let mounted = readers.ask().expect("a stick");
        let forgotten = std::fs::File::create(mounted.folder().join("file")).expect("a file");
        let error = mounted.release().expect_err("it is held");
        assert!(error.to_string().contains("still uses it"), "{error}");
        drop(forgotten);
        stick.is_let_go();
    }
}

#[test]
fn a_stick_that_is_pulled_out_while_it_is_written_ends_the_export_and_is_not_called_safe() {
    for kind in kinds("a stick that is pulled out while it is written") {
        let readers = Readers::new();
        let card = readers.0.path().join("spool");
        let own = spool(&card, 4);
        let stick = UsbStick::loose(kind, 16);
        stick.plug(&readers.usb(), "sda");
        let _helper = readers.helper();
        let mounted = readers.ask().expect("a stick");
        let running = Running::open(&card, &own).expect("a spool");
        let to = mounted.folder().join("export");
        let failed = running.export(&to, &mut |progress| {
            if progress.messages == 2 {
                stick.pull_out();
            }
            true
        });
        let error = failed.expect_err("it is gone");
        assert!(
            matches!(
                error,
                ExportError::Gone { .. } | ExportError::WriteProtected(_)
            ),
            "{kind}: {error}"
        );
        assert!(mounted.release().is_err(), "{kind}: it is not safe");
    }
}

/// A booth with messages that no hub has, and somebody at operations.
struct Street {
    readers: Readers,
    booth: BoothHome,
    gateway: Gateway,
    operations: Booth,
    _pulse: Pulse,
}

impl Street {
    fn new(broker: &Broker, messages: usize) -> Self {
        let readers = Readers::new();
        let pulse = Pulse::start();
        let more = format!("[service]\nusb_stick = {:?}\n", readers.socket());
        let booth = BoothHome::new(broker.port, &more);
        spool(&booth.spool(), messages);
        let gateway = Gateway::start(&booth, &pulse);
        gateway.reaches("ready", 1);
        gateway.reaches("connected", 1);
        let up = "booth/1/up/rundhoej-1/event/#".to_owned();
        let operations = Booth::listening(broker.port, "operations", &[up]);
        Self {
            readers,
            booth,
            gateway,
            operations,
            _pulse: pulse,
        }
    }

    /// A technician lifts and is heard.
    fn serve(&self) {
        self.gateway.handset("lift");
        self.gateway.handset("service");
        self.gateway.reaches("session", "service");
        self.gateway.says("a technician hears");
        self.gateway.clear_log();
    }

    fn begins(&self) {
        self.gateway.handset("dial 8");
        let begins = self.event();
        assert_eq!(begins["begins"], 1, "{begins}");
    }

    fn ends(&self) -> Value {
        let ended = self.event();
        assert_eq!(ended["begins"], 0, "{ended}");
        ended
    }

    fn event(&self) -> Value {
        let event = self.operations.hear("event/stick");
        serde_json::from_slice(&event.payload).expect("JSON")
    }
}

/// What `booth-hub import` says of a folder, with a hub that is stopped.
fn import(home: &Home, folder: &Path) -> Value {
    let (folder, config) = (folder.to_str().expect("a path"), home.config());
    let config = config.to_str().expect("a path");
    let ran = booth_hub(&["import", folder, "--json", "--config", config]);
    let complained = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{complained}");
    serde_json::from_slice(&ran.stdout).expect("JSON")
}

#[test]
fn a_technicians_eight_copies_every_message_for_the_hub_and_none_is_stored_twice() {
    let broker = Broker::open();
    let street = Street::new(&broker, 3);
    let stick = street.readers.0.path().join("stick");
    std::fs::create_dir(&stick).expect("a folder");
    let helper = plays(
        &street.readers.socket(),
        vec![Plays::Hands(stick.clone(), "released")],
    );
    street.serve();
    street.begins();
    let ended = street.ends();
    assert_eq!(
        (&ended["ok"], &ended["clips"]),
        (&1.into(), &3.into()),
        "{ended}"
    );
    street
        .gateway
        .says("Beskeder kopieret til USB-stikket: tre");
    street.gateway.says("USB-stikket kan tages ud");
    helper.join().expect("the helper");
    assert_eq!(
        street.booth.files("clips").len(),
        3,
        "they stay on the card"
    );
    let folder = stick.join(ended["folder"].as_str().expect("a name"));
    let home = Home::new(broker.port, "");
    import(&home, &folder);
    let centre = || Centre::open(&home.path().join("store")).expect("a store");
    assert_eq!(centre().clips(None).expect("clips").len(), 3);
    // The booth is on line again: what the stick brought is confirmed at once.
    street.gateway.handset("hang-up");
    let hub = Hub::start(&home);
    street.gateway.reaches("spool_clips", 0);
    assert_eq!(centre().clips(None).expect("clips").len(), 3);
    hub.kill();
    // Nothing waits any more, and no stick is asked for.
    until("the card has let go of them", || {
        street.booth.files("clips").is_empty().then_some(())
    });
    street.serve();
    street.begins();
    let nothing = street.ends();
    assert_eq!(nothing["ok"], 0, "{nothing}");
    street.gateway.says("Ingen beskeder venter på dette kort");
    assert!(street.gateway.stop().success());
}

#[test]
fn a_booth_whose_stick_cannot_be_written_says_what_to_do_and_goes_on() {
    let broker = Broker::open();
    let street = Street::new(&broker, 2);
    let card = || {
        let mut files = street.booth.files("clips");
        files.sort();
        let hashes = files.iter().map(|file| super::pulled::hash(file));
        hashes.collect::<Vec<_>>()
    };
    let before = card();
    street.serve();
    street.begins();
    assert_eq!(street.ends()["ok"], 0, "no helper");
    street
        .gateway
        .says("Denne boks kan ikke skrive på et USB-stik");
    let turns = [
        ("locked sdz1", "USB-stikket er skrivebeskyttet"),
        ("none nothing is plugged in", "Der er ikke noget USB-stik"),
    ];
    let lines = turns.iter().map(|(line, _)| Plays::Says(line)).collect();
    let helper = plays(&street.readers.socket(), lines);
    for (_, heard) in turns {
        street.gateway.clear_log();
        street.begins();
        let ended = street.ends();
        assert_eq!(ended["ok"], 0, "{ended}");
        street.gateway.says(heard);
    }
    helper.join().expect("the helper");
    assert_eq!(card(), before, "nothing on the card has changed");
    street.gateway.handset("hang-up");
    street.gateway.handset("lift");
    street.gateway.reaches("session", "question");
    assert!(street.gateway.stop().success());
}

#[test]
fn a_real_stick_at_a_booth_is_taken_by_the_hub_and_waits_for_a_citizen_also_when_it_is_pulled_out_or_the_gateway_dies()
 {
    for kind in kinds("a real stick at a booth") {
        let broker = Broker::open();
        let street = Street::new(&broker, 3);
        let usb = street.readers.usb();
        let stick = UsbStick::new(kind, 16);
        stick.plug(&usb, "sda");
        let helper = street.readers.helper();
        street.serve();
        street.begins();
        let ended = street.ends();
        assert_eq!(ended["ok"], 1, "{kind}: {ended}");
        street.gateway.says("USB-stikket kan tages ud");
        assert!(stick.is_free() && helper.ends().success());
        let home = Home::new(broker.port, "");
        let elsewhere = stick.elsewhere();
        let folder = elsewhere
            .path()
            .join(ended["folder"].as_str().expect("a name"));
        import(&home, &folder);
        let centre = Centre::open(&home.path().join("store")).expect("a store");
        assert_eq!(centre.clips(None).expect("clips").len(), 3);
        drop(elsewhere);
        std::fs::remove_file(usb.join("sda")).expect("taken out");

        // A citizen comes before the helper has answered: the stick is mounted, and nothing is copied.
        let loose = UsbStick::loose(kind, 16);
        loose.plug(&usb, "sdb");
        let waits = |stick: &UsbStick| {
            let socket = StickHelper::socket(&street.readers.socket());
            street.begins();
            street.gateway.handset("hang-up");
            street.gateway.handset("lift");
            street.gateway.reaches("session", "question");
            let helper = StickHelper::on(socket, &usb, &street.readers.socket());
            stick.is_mounted();
            helper
        };
        let _helper = waits(&loose);
        loose.pull_out();
        street.gateway.clear_log();
        street.gateway.handset("hang-up");
        street.gateway.handset("lift");
        street.gateway.handset("service");
        let ended = street.ends();
        assert_eq!(ended["ok"], 0, "{kind}: {ended}");
        assert!(!street.gateway.log().contains("kan tages ud"));
        assert_eq!(street.booth.files("clips").len(), 3);
        std::fs::remove_file(usb.join("sdb")).expect("taken out");
        drop(loose);

        // The gateway dies while the stick is mounted.
        street.gateway.reaches("session", "service");
        stick.plug(&usb, "sda");
        let helper = waits(&stick);
        let Street { gateway, .. } = street;
        gateway.kill();
        stick.is_let_go();
        helper.ends();
    }
}
