//! An old card in a USB reader of a booth: a technician's seven brings its messages to the hub. Real gateway, broker, hub and sound card stand-in.
#![allow(clippy::disallowed_methods)]

use std::os::unix::fs::symlink;
use std::path::Path;

use booth_testkit::centre::Centre;
use booth_testkit::gateway::{BoothHome, Gateway};
use booth_testkit::hub::{Booth, Broker, Home, Hub};
use booth_testkit::pulse::Pulse;
use booth_testkit::wait::until;
use serde_json::Value;

use super::pulled::{Pulled, hash};

/// A booth with readers, its sound card, and somebody at operations.
struct Street {
    readers: tempfile::TempDir,
    booth: BoothHome,
    gateway: Gateway,
    operations: Booth,
    _pulse: Pulse,
}

impl Street {
    fn new(broker: &Broker) -> Self {
        let readers = tempfile::tempdir().expect("a folder");
        let pulse = Pulse::start();
        let more = format!("[service]\nusb_disks = {:?}\n", readers.path());
        let booth = BoothHome::new(broker.port, &more);
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

    fn plug(&self, name: &str, card: &Path) {
        symlink(card, self.readers.path().join(name)).expect("a link");
    }

    fn unplug(&self, name: &str) {
        std::fs::remove_file(self.readers.path().join(name)).expect("a link");
    }

    /// A technician lifts and is heard.
    fn serve(&self) {
        self.gateway.handset("lift");
        self.gateway.handset("service");
        self.gateway.reaches("session", "service");
        self.gateway.says("a technician hears");
        self.gateway.clear_log();
    }

    /// What the technician's seven comes to.
    fn seven(&self) -> Value {
        self.gateway.handset("dial 7");
        let begins = self.event();
        assert_eq!(begins["begins"], 1, "{begins}");
        let ended = self.event();
        assert_eq!(ended["begins"], 0, "{ended}");
        ended
    }

    fn event(&self) -> Value {
        let event = self.operations.hear("event/old_card");
        serde_json::from_slice(&event.payload).expect("JSON")
    }
}

#[test]
fn a_technicians_seven_brings_every_message_of_an_old_card_to_the_hub_and_changes_no_byte_of_it() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let street = Street::new(&broker);
    street.gateway.reaches("hub_online", 1);
    let pulled = Pulled::new();
    let card = pulled.card(true);
    let before = hash(&card);
    street.plug("sda", &card);
    street.serve();
    let ended = street.seven();
    assert_eq!(ended["ok"], 1, "{ended}");
    // Three whole ones, and the one that a power cut ended.
    assert_eq!((&ended["clips"], &ended["left"]), (&4.into(), &0.into()));
    assert_eq!(ended["withdrawals"], 1, "{ended}");
    street.gateway.says("Beskeder overtaget: fire");
    street.gateway.says("Læseren kan tages ud");
    street.gateway.reaches("spool_clips", 0);
    until("the hub has them", || {
        let centre = Centre::open(&home.path().join("store")).expect("a store");
        let here = centre.clips(None).expect("clips");
        let has = |id: &String| here.iter().any(|clip| clip.clip_id == *id);
        (here.len() == 4 && pulled.ids.iter().all(has)).then_some(())
    });
    assert_eq!(hash(&card), before, "nothing on the old card has changed");
    // Once more: what the hub has confirmed is offered again, and is no second message.
    street.gateway.clear_log();
    let again = street.seven();
    assert_eq!(again["ok"], 1, "{again}");
    street.gateway.reaches("spool_clips", 0);
    let centre = Centre::open(&home.path().join("store")).expect("a store");
    assert_eq!(centre.clips(None).expect("clips").len(), 4);
    street.gateway.handset("hang-up");
    // Citizens are served as before.
    street.gateway.handset("lift");
    street.gateway.reaches("session", "question");
    assert!(street.gateway.stop().success());
    hub.kill();
}

#[test]
fn what_is_no_old_card_or_is_broken_is_told_with_what_to_do_and_the_booth_goes_on() {
    let broker = Broker::open();
    let street = Street::new(&broker);
    street.serve();
    let nothing = street.seven();
    assert_eq!(nothing["ok"], 0, "{nothing}");
    street.gateway.says("ikke noget gammelt kort");
    // A stick with something else on it.
    let stick = street.booth.path().join("stick.img");
    std::fs::write(&stick, vec![0x55; 4 << 20]).expect("a stick");
    street.plug("sda", &stick);
    street.gateway.clear_log();
    assert_eq!(street.seven()["ok"], 0);
    street.gateway.says("ikke noget gammelt kort");
    street.unplug("sda");
    // An old card whose file system is damaged.
    let pulled = Pulled::new();
    let card = pulled.card(false);
    let mut bytes = std::fs::read(&card).expect("a card");
    let from = (16 << 20) + 4_096;
    bytes[from..from + (64 << 10)].fill(0xff);
    std::fs::write(&card, &bytes).expect("written");
    street.plug("sda", &card);
    street.gateway.clear_log();
    let broken = street.seven();
    assert_eq!(broken["ok"], 0, "{broken}");
    street.gateway.says("Formatér det ikke");
    street.unplug("sda");
    // One whose messages are damaged is read as far as it goes, and the rest is said to stay.
    let pulled = Pulled::new();
    let hurt = booth_testkit::spool_rig::clip_file(&pulled.spool(), &pulled.ids[1]);
    let mut words = std::fs::read(&hurt).expect("a message");
    let middle = words.len() / 3;
    words[middle] ^= 0x40;
    std::fs::write(&hurt, &words).expect("written");
    street.plug("sdb", pulled.folder.path());
    street.gateway.clear_log();
    let partly = street.seven();
    assert_eq!(
        (&partly["ok"], &partly["left"]),
        (&1.into(), &1.into()),
        "{partly}"
    );
    street.gateway.says("Behold det gamle kort");
    assert!(street.booth.files("clips").len() >= 3);
    street.gateway.handset("hang-up");
    street.gateway.handset("lift");
    street.gateway.reaches("session", "question");
    assert!(street.gateway.stop().success());
}
