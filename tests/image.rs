//! The image of `make image`, booted as it is: the card that a technician writes, `booth.toml` put on it, the hook moved from
//! outside, speech from the kernel's simulated sound card, broker and hub outside. The test plays the firmware: it reads the card
//! as the Raspberry Pi's does and starts what it names. What is done inside comes from outside, by the kernel's command line and
//! a second disk. `make image-test` runs it; in software emulation, where times say nothing of a Raspberry Pi.
#![allow(clippy::disallowed_methods)]

#[path = "support/blockdev.rs"]
mod blockdev;
#[path = "support/card_reader.rs"]
mod card_reader;
#[path = "support/crash_image.rs"]
mod crash_image;
#[path = "support/hub.rs"]
#[allow(dead_code)]
mod hub;
#[path = "image/mod.rs"]
#[allow(dead_code)]
mod image;
#[path = "support/wait.rs"]
#[allow(dead_code)]
mod wait;
#[path = "support/words.rs"]
mod words;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hub::{Broker, Home, Hub};
use image::card::{BOOTH, DATA, SECTOR};
use image::machine::{Board, Build, HOOK, LAMP, Machine, OFF_NORMAL, PULSE};
use words::{check, clips, decode, samples};

/// The card is larger than the image, as every real one is.
const CARD_BYTES: u64 = 2 << 30;

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a name")
}

/// What a program writes, if it ends well.
fn tried(program: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; `make image-test` installs it"));
    output.status.success().then_some(output.stdout)
}

fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    tried(program, arguments).unwrap_or_else(|| panic!("{program} {arguments:?} failed"))
}

/// The image that was built last.
fn built() -> PathBuf {
    let folder = repository().join("target/image/work/card");
    let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    files
        .map(|file| file.path())
        .find(|path| path.extension().is_some_and(|kind| kind == "img"))
        .expect("an image; run `make image` first")
}

fn configuration(broker_port: u16) -> String {
    // 10.0.2.2 is the host of QEMU's user network.
    format!(
        "[booth]\nid = \"rundhoej-1\"\n[mqtt]\nurl = \"mqtt://10.0.2.2:{broker_port}\"\n\
         [handset]\nchip = \"/dev/gpiochip0\"\nhook = {{ line = {HOOK}, off_hook = \"low\" }}\n\
         dial_pulse = {{ line = {PULSE} }}\ndial_off_normal = {{ line = {OFF_NORMAL} }}\nlamp = {{ line = {LAMP} }}\n\
         [audio]\ninput = \"plughw:CARD=mic,DEV=1\"\noutput = \"plughw:CARD=ear,DEV=0\"\n\
         [privacy]\nseal = false\n[selftest]\ntone = \"off\"\n[session]\nprompts = \"prompts\"\n\
         [[question]]\nid = \"square\"\ndigit = 1\nkind = \"speak\"\n\
         [[question]]\nid = \"bus\"\ndigit = 2\nkind = \"speak\"\n"
    )
}

/// A board with a new card and the citizen's words.
fn board() -> Board {
    let board = Board::new(&built(), CARD_BYTES);
    std::fs::create_dir_all(board.path("rig")).expect("a folder");
    decode(
        &repository().join("tests/fixtures/speech/da.opus"),
        &board.path("rig/speech.wav"),
    );
    board
}

/// Until a citizen could speak.
fn until_ready(machine: &mut Machine) {
    machine.wait_for("the handset works", 1);
    for _ in 0..60 {
        if machine.has_steady_lamp() {
            return;
        }
    }
    machine.sh("journalctl -b -u booth-gateway -o cat | tail -n 40; exit 1");
}

/// Lifts, dials 2, speaks; the handset is still lifted afterwards.
fn speak(machine: &mut Machine, visit: u32) {
    machine.lift();
    machine.wait_for("first sample in the earpiece", visit);
    machine.dial(2);
    // The notice must be heard first; consent, the tone, and recording follow.
    machine.sh(
        "sleep 14; before=$(busy); aplay -q -D plughw:CARD=mic,DEV=0 /run/rig/speech.wav || exit 1
         echo \"[$(uptime) s] spoken, the processor was busy for $(busy $before)\"",
    );
}

#[test]
#[ignore = "make image-test: it needs the image and some minutes"]
fn the_image_as_it_is_grows_to_its_card_and_delivers_what_was_said() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let board = board();
    let shipped = board.card.partition(DATA);
    assert_eq!(shipped.kind, 0xda, "nothing was ever kept on a new card");
    // All that a technician does.
    board
        .card
        .write_text("booth.toml", configuration(broker.port));
    board.card.put(
        BOOTH,
        &repository().join("tests/fixtures/prompts"),
        "prompts",
    );

    let mut machine = board.start(false, &Build::default());
    until_ready(&mut machine);
    machine.sh(
        "echo \"ready at $(uptime)\"; systemd-analyze; systemd-analyze blame --no-pager | head -n 12; cat /run/booth/data; systemctl --failed --no-legend",
    );
    speak(&mut machine, 1);
    machine.ask("sleep 1");
    machine.hang_up();
    machine.wait_for("MESSAGE=kept", 1);
    machine.sh("journalctl -b -u booth-gateway -o short-monotonic --no-pager | tail -n 40");
    machine.wait_for("MESSAGE=confirmed", 1);
    machine.cut();
    let grown = board.card.partition(DATA);
    assert_eq!((grown.kind, grown.start), (0x83, shipped.start));
    assert_eq!((grown.start + grown.length) * SECTOR, CARD_BYTES);
    let stored = clips(&home);
    assert_eq!(stored.len(), 1, "{stored:?}");
    check(&stored[0], &samples(&board.path("rig/speech.wav")));
    drop(hub);
}
