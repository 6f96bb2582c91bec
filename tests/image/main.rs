//! The image of `make image`, booted as it is: the card that a technician writes, `booth.toml` put on it, the hook moved from
//! outside, speech from the kernel's simulated sound card, broker and hub outside. The test plays the firmware: it reads the card
//! as the Raspberry Pi's does and starts what it names. What is done inside comes from outside, by the kernel's command line and
//! a second disk. `make image-test` runs it; in software emulation, where times say nothing of a Raspberry Pi.
#![allow(clippy::disallowed_methods)]

mod card;
mod centre;
mod crash;
mod machine;
mod update;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use booth_testkit::blockdev::What;
use booth_testkit::crash_image::Later;
use booth_testkit::hub::{Broker, Home, Hub};
use booth_testkit::machine_clock::{self, Over, Timer};
use booth_testkit::words::{check, clips, decode, samples};
use card::{BOOTH, DATA, SECTOR};
use centre::Centre;
use crash::Crashes;
use machine::{Bare, Board, Build, HOOK, LAMP, Machine, OFF_NORMAL, PULSE};
use update::Fault;

const BOOTH_ID: &str = "rundhoej-1";
const PASSWORD: &str = "geheim";
/// MiB that are not available.
const MEMORY: &str = "awk '/^MemTotal/ { all = $2 } /^MemAvailable/ { free = $2 } END { printf \"%d\\n\", (all - free) / 1024 }' /proc/meminfo";
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

/// Mosquitto with a password for the hub and one for the booth.
fn broker() -> Broker {
    Broker::start(
        "allow_anonymous false\npassword_file passwords\n",
        |folder| {
            for (number, (user, password)) in [
                ("hub", "right"),
                ("operations", "right"),
                (BOOTH_ID, PASSWORD),
            ]
            .iter()
            .enumerate()
            {
                let mut command = Command::new("mosquitto_passwd");
                if number == 0 {
                    command.arg("-c");
                }
                let made = command
                    .args(["-b", "passwords", user, password])
                    .current_dir(folder)
                    .status();
                assert!(
                    made.is_ok_and(|status| status.success()),
                    "mosquitto_passwd"
                );
            }
        },
    )
}

/// A hub for that broker.
fn home(broker: &Broker) -> Home {
    let home = Home::new(
        broker.port,
        "username = \"hub\"\npassword_file = \"password\"\n",
    );
    std::fs::write(home.path().join("password"), "right").expect("written");
    home
}

/// `booth.toml`; `more` goes behind it.
fn configuration(broker_port: u16, name: &str, more: &str) -> String {
    // 10.0.2.2 is the host of QEMU's user network.
    format!(
        "[booth]\nid = \"{BOOTH_ID}\"\nname = \"{name}\"\ncontact = \"Borgerservice\"\n\
         [mqtt]\nurl = \"mqtt://10.0.2.2:{broker_port}\"\npassword_file = \"mqtt-password\"\n\
         [handset]\nchip = \"/dev/gpiochip0\"\nhook = {{ line = {HOOK}, off_hook = \"low\" }}\n\
         dial_pulse = {{ line = {PULSE} }}\ndial_off_normal = {{ line = {OFF_NORMAL} }}\nlamp = {{ line = {LAMP} }}\n\
         [audio]\ninput = \"plughw:CARD=mic,DEV=1\"\noutput = \"plughw:CARD=ear,DEV=0\"\n\
         [privacy]\nseal = false\n[selftest]\ntone = \"tell\"\n[session]\nprompts = \"prompts\"\n\
         [[question]]\nid = \"square\"\ndigit = 1\nkind = \"speak\"\n\
         [[question]]\nid = \"bus\"\ndigit = 2\nkind = \"speak\"\n{more}"
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

/// Until a citizen could speak; seconds since the kernel's start.
fn until_ready(machine: &mut Machine) -> f64 {
    let console = machine.console();
    assert!(
        !console.contains("Ordering cycle"),
        "units wait for each other: {console}"
    );
    machine.wait_for("the handset works", 1);
    for _ in 0..60 {
        if machine.has_steady_lamp() {
            return machine.uptime();
        }
    }
    machine.sh("journalctl -b -u booth-gateway -o cat | tail -n 40; exit 1");
    unreachable!()
}

/// Lifts and dials 2, until words would be recorded.
fn begin(machine: &mut Machine, visit: u32) {
    machine.lift();
    machine.wait_for("first sample in the earpiece", visit);
    machine.dial(2);
    // The notice must be heard first; consent, the tone, and recording follow.
    machine.ask("sleep 14");
}

/// A whole visit; the id of what was kept.
fn visit(machine: &mut Machine, visit: u32) -> String {
    begin(machine, visit);
    let said = machine.sh(
        "before=$(busy); aplay -D plughw:CARD=mic,DEV=0 /run/rig/speech.wav || exit 1
         echo \"[$(uptime) s] spoken, the processor was busy for $(busy $before)\"; sleep 1",
    );
    // A gap of the rig's own would be taken for one of the booth's.
    assert!(
        !said.contains("underrun"),
        "the player of the citizen's words ran dry; try again"
    );
    machine.hang_up();
    machine.wait_for("MESSAGE=kept", visit);
    let clip_id = machine.ask("clip_of MESSAGE=kept");
    assert_eq!(clip_id.len(), 36, "{clip_id:?} is the id of a clip");
    machine.ask(&format!("mark kept {clip_id}"));
    clip_id
}

/// `BOOTH-STATUS.TXT` has all this.
fn status_says(board: &Board, parts: &[&str]) {
    let status = board
        .card
        .read(BOOTH, "BOOTH-STATUS.TXT")
        .unwrap_or_default();
    for part in parts {
        assert!(status.contains(part), "{part:?} is not in\n{status}");
    }
}

/// A figure for the reader of the run.
fn figure(what: &str, value: impl std::fmt::Display) {
    eprintln!("figure: {what}: {value}");
}

#[test]
#[ignore = "make image-test: it needs the image and some minutes"]
fn a_card_sets_itself_up_keeps_words_through_power_cuts_and_mends_at_every_write() {
    let broker = broker();
    let home = home(&broker);
    let hub = Hub::start(&home);
    let mut board = board();
    let shipped = board.card.partition(DATA);
    assert_eq!(shipped.kind, 0xda, "nothing was ever kept on a new card");
    let logged = Build {
        log_writes: true,
        ..Build::default()
    };

    // Nobody has written anything on it yet.
    let mut machine = board.start(false, &logged);
    machine.sh("wait_for 'not set up' && cat /run/booth/data && sync && sleep 2");
    machine.cut();
    board.collect();
    let grown = board.card.partition(DATA);
    assert_eq!((grown.kind, grown.start), (0x83, shipped.start));
    assert_eq!((grown.start + grown.length) * SECTOR, CARD_BYTES);
    status_says(&board, &["There is no booth.toml"]);

    // Windows, and a file name with its hidden ending; a password.
    board.technician("writes BOOTH.TOML.TXT with CRLF, and a password", |card| {
        let text = configuration(broker.port, "Rundhøj Torv", "").replace('\n', "\r\n");
        card.write_text("BOOTH.TOML.TXT", format!("\u{feff}{text}"));
        card.write_text("mqtt-password", PASSWORD);
        card.put(
            BOOTH,
            &repository().join("tests/fixtures/prompts"),
            "prompts",
        );
    });
    let mut machine = board.start(false, &logged);
    machine.plug_network(false);
    let initrd = machine.console_says(" s after the kernel's start");
    assert!(
        machine.lamp_changes() > 0,
        "the lamp is dark until the system starts"
    );
    figure(
        "the lamp's first sign comes before the initrd ends",
        initrd.trim(),
    );
    let ready = until_ready(&mut machine);
    let startup =
        machine.sh("systemd-analyze | head -n 1; systemd-analyze blame --no-pager | head -n 12");
    figure(
        "power to ready on a 512 MiB machine, s of guest time",
        ready,
    );
    figure("of which", startup.lines().next().unwrap_or_default());
    figure("memory in use when ready, MiB", machine.ask(MEMORY));
    for (what, wanted, ask) in [
        (
            "failed units",
            "",
            "systemctl --failed --no-legend --plain | awk '{ printf \"%s \", $1 }'",
        ),
        (
            "a firewall that drops",
            "1",
            "nft list chain inet booth input | grep -c 'policy drop'",
        ),
        (
            "a firewall that lets a switch ask for IPv6's listeners",
            "1",
            "nft list chain inet booth input | grep 'mld-listener-query' | grep -c accept",
        ),
        (
            "logins",
            "0",
            "cat /proc/[0-9]*/comm | grep -c 'getty\\|sshd\\|login$' || true",
        ),
        (
            "who runs the gateway",
            "booth-gateway",
            "stat -c %U /proc/$(systemctl show -P MainPID booth-gateway)",
        ),
    ] {
        assert_eq!(machine.ask(ask), wanted, "{what}");
    }

    // Without a network; the cable comes later.
    machine.ask("mark the centre is away");
    let first = visit(&mut machine, 1);
    assert!(clips(&home).is_empty(), "there was no network");
    machine.ask("mark the centre listens");
    machine.plug_network(true);
    machine.wait_for("MESSAGE=confirmed", 1);
    machine.ask(&format!("mark confirmed {first}"));
    assert!(
        clips(&home)
            .iter()
            .any(|clip| clip.to_string_lossy().contains(&first))
    );

    // A unit that fails and is started again for ever is in no list of failed units.
    let again = "systemctl show -P NRestarts $(systemctl list-units --plain --no-legend 'booth-*.service' | awk '{ print $1 }') | awk 'NF { all += $1 } END { print all + 0 }'";
    assert_eq!(
        machine.ask(again),
        "0",
        "units of the booth that had to be started again"
    );

    // The power goes in the middle of a sentence.
    begin(&mut machine, 2);
    machine.sh(
        "aplay -q -D plughw:CARD=mic,DEV=0 /run/rig/speech.wav &
         for second in 1 2 3 4 5; do sleep 1; mark spoken $second; done; echo \"[$(uptime) s] in the middle\"",
    );
    board.note("the power goes");
    machine.cut();
    board.collect();
    assert!(
        board.card.read(BOOTH, "mqtt-password").is_none(),
        "the password is still on FAT"
    );

    board.technician("writes typographic quotes", |card| {
        let text =
            configuration(broker.port, "Another", "").replacen("\"rundhoej-1\"", "“rundhoej-1”", 1);
        card.write_text("BOOTH.TOML.TXT", text);
    });
    let mut machine = board.start(false, &logged);
    // What was recovered is on the card until the cable is in.
    machine.plug_network(false);
    machine.ask("mark the centre is away");
    until_ready(&mut machine);
    machine.wait_for("finished what a power cut had left", 1);
    let second = machine.ask("clip_of 'finished what a power cut had left'");
    machine.ask(&format!("mark kept {second}"));
    machine.ask("mark the centre listens");
    machine.plug_network(true);
    machine.wait_for("MESSAGE=confirmed", 1);
    machine.ask(&format!("mark confirmed {second}"));
    machine.sh("head -n 2 /run/booth/data; systemctl start booth-status; sync; sleep 3");
    machine.cut();
    board.collect();
    status_says(
        &board,
        &[
            "BOOTH.TOML.TXT:2: “ is a typographic quotation mark",
            "kept since",
        ],
    );
    let stored = clips(&home);
    assert_eq!(stored.len(), 2, "{stored:?}");
    let said = samples(&board.path("rig/speech.wav"));
    let whole = stored
        .iter()
        .find(|clip| clip.to_string_lossy().contains(&first));
    check(whole.expect("the first one"), &said);
    let store = rusqlite::Connection::open(home.path().join("store/hub.sqlite")).expect("a store");
    let recovered: (String, u8, i64) = store
        .query_row(
            "SELECT ended_by, recovered, duration_ms FROM clip WHERE clip_id = ?1",
            [&second],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .expect("the recovered one");
    board.note(&format!("the recovered message: {recovered:?}"));
    assert_eq!((recovered.0.as_str(), recovered.1), ("power", 1));
    assert!(
        recovered.2 >= 4_000,
        "{recovered:?}: five seconds were spoken"
    );

    // And a good one again.
    board.technician("mends it", |card| {
        card.write_text(
            "BOOTH.TOML.TXT",
            configuration(broker.port, "Rundhøj Torv 2", ""),
        );
    });
    let mut machine = board.start(false, &logged);
    until_ready(&mut machine);
    machine.sh("systemctl start booth-status; sync; sleep 2");
    machine.cut();
    board.collect();
    status_says(
        &board,
        &[
            "It is set up with the booth.toml of this card.",
            "kept since",
        ],
    );
    drop(hub);
    mends_at_every_write(&board);
}

/// How many power cuts are looked at; CRASH_STATES=1000 for more.
fn crash_states(usual: usize) -> usize {
    let asked = std::env::var("CRASH_STATES");
    asked
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(usual)
}

/// Power cuts between any two writes of all that.
fn mends_at_every_write(board: &Board) {
    let mut crashes = Crashes::new(&built(), &board.trace);
    let count = crash_states(300);
    let cuts = crashes.choose(count, 20_260_101);
    let flushes = board
        .trace
        .events
        .iter()
        .filter(|event| event.what == What::Flush)
        .count();
    board.note(&format!(
        "{} writes, flushes and marks, {flushes} of them flushes; {count} power cuts",
        board.trace.events.len()
    ));
    let verdicts = crashes.look(cuts, 1, |done| {
        if done % 50 == 0 {
            board.note(&format!("{done} power cuts"));
        }
    });
    board.note(&format!("{verdicts:#?}"));
    assert_eq!(verdicts.states, count);
    assert_eq!(
        verdicts.slot_b_states, 0,
        "nothing writes to a slot but an update"
    );
    assert!(verdicts.broken.is_empty(), "{:#?}", verdicts.broken);
    // They were no easy ones.
    assert!(
        verdicts.in_doubt * 4 > count
            && verdicts.kept > 0
            && verdicts.recovered > 0
            && verdicts.in_the_middle > 0
    );
    // A card that only pretends to flush is found out.
    let mut crashes = Crashes::new(&built(), &board.trace);
    let mut lying = crashes.choose(40, 7);
    lying.retain(|cut| cut.point > board.trace.events.len() / 2);
    for cut in &mut lying {
        (cut.lies, cut.later) = (40, Later::Writes(50));
    }
    let damaged = crashes.look(lying, 2, |_| ());
    board.note(&format!(
        "with a card that lies: {} of {} broken, for example {:?}",
        damaged.broken.len(),
        damaged.states,
        damaged.broken.first()
    ));
    assert!(
        damaged.broken.len() >= 2,
        "only {} of {} were found out",
        damaged.broken.len(),
        damaged.states
    );
}

/// What the updater says of itself, by its state file.
fn until_phase(machine: &mut Machine, wanted: &str) {
    machine.sh(&format!(
        "for n in $(seq 900); do
             grep -q '\"phase\": *\"{wanted}\"' /data/booth-update/state.json 2>/dev/null && {{ echo \"[$(uptime) s] the update: {wanted}\"; exit 0; }}
             sleep 0.5
         done
         cat /data/booth-update/state.json; journalctl -b -u booth-update -u booth-trial --no-pager | tail -n 40; exit 1"
    ));
}

#[test]
#[ignore = "make image-test: it needs the image and some minutes"]
fn an_update_is_tried_and_committed_a_broken_one_returns_by_itself_and_a_dead_card_says_so() {
    let broker = broker();
    let home = home(&broker);
    let hub = Hub::start(&home);
    let mut board = board();
    let key = update::Key::new();
    let served = board.path("updates");
    std::fs::create_dir(&served).expect("a folder");
    let port = update::serve(served.clone());
    let make = |fault, version: &str| {
        let (slot, facts) = update::slot(&board.card, &served, fault, version);
        key.update(&slot, &facts, &served.join(format!("{version}.update")));
        facts["image_id"].as_str().expect("an id").to_owned()
    };
    let good = make(Fault::None, "0.2.0");
    make(Fault::HalfARoot, "0.3.0");
    make(Fault::Without(&["booth-gateway"]), "0.4.0");
    make(Fault::Without(&["booth-gateway", "booth-trial"]), "0.5.0");
    board.note("four updates are made and signed");
    let shipped = board.card.slot(2).expect("slot A is whole")["root.sqfs"].clone();
    let more = format!(
        "[update]\nkeys = [\"{}\"]\nallow = [\"10.0.2.2\"]\n",
        key.public()
    );
    board.technician("writes booth.toml with the city's key", |card| {
        card.write_text(
            "booth.toml",
            configuration(broker.port, "Rundhøj Torv", &more),
        );
        card.write_text("mqtt-password", PASSWORD);
        card.put(
            BOOTH,
            &repository().join("tests/fixtures/prompts"),
            "prompts",
        );
    });
    let mut centre = Centre::listen(
        broker.port,
        BOOTH_ID,
        "operations",
        "right",
        board.path("heard"),
    );
    let update_to = |centre: &Centre, version: &str| {
        let url = format!("http://10.0.2.2:{port}/{version}.update");
        centre.command("update", &serde_json::json!({"url": url}).to_string());
    };
    // Of the image that has come up now: the retained birth of the one before may be heard first.
    let born = |centre: &mut Centre, machine: &mut Machine, image_id: &str| {
        centre.hear(machine, "birth", |birth| birth["image_id"] == image_id);
    };
    let has_phase = |wanted: &'static str, version: &'static str| {
        move |event: &serde_json::Value| event["phase"] == wanted && event["version"] == version
    };
    let logged = Build {
        log_writes: true,
        ..Build::default()
    };
    // The power goes while it is written.
    let mut machine = board.start(false, &logged);
    until_ready(&mut machine);
    born(&mut centre, &mut machine, &shipped);
    update_to(&centre, "0.2.0");
    until_phase(&mut machine, "writing");
    machine.sh(
        "in_b() { awk '{ print int($7 / 2048) }' /sys/class/block/vda3/stat; }
         for n in $(seq 300); do [ \"$(in_b)\" -ge 20 ] && break; sleep 0.2; done; echo \"$(in_b) MiB are in slot B\"",
    );
    machine.cut();
    board.collect();
    assert_eq!(board.card.due(false), 2);

    // The request outlives the power: it is written as a whole now, and tried once.
    let machine = board.start(false, &logged);
    let is_trial = machine.ends();
    board.collect();
    assert!(is_trial, "it has started again without asking for a trial");
    assert_eq!(
        (board.card.due(false), board.card.due(true)),
        (2, 3),
        "nothing is committed before it was tried"
    );
    let mut machine = board.start(is_trial, &logged);
    until_ready(&mut machine);
    until_phase(&mut machine, "committed");
    born(&mut centre, &mut machine, &good);
    centre.hear(
        &mut machine,
        "event/update",
        has_phase("committed", "0.2.0"),
    );
    machine.sh("cat /data/booth-update/state.json; sync; sleep 1; mark committed");
    assert_eq!((board.card.due(false), board.card.due(true)), (3, 2));

    // A broken one, into the slot that was the old one.
    update_to(&centre, "0.3.0");
    let is_trial = machine.ends();
    board.collect();
    assert!(is_trial);
    let mut machine = board.start(is_trial, &Build::default());
    machine.console_says("on trial, has no root that can be read");
    assert!(
        !machine.ends(),
        "a slot that cannot be started asks for nothing"
    );
    let mut machine = board.start(false, &Build::default());
    until_ready(&mut machine);
    born(&mut centre, &mut machine, &good);
    until_phase(&mut machine, "rolled_back");
    let event = centre.hear(
        &mut machine,
        "event/update",
        has_phase("rolled_back", "0.3.0"),
    );
    board.note(&format!("it says why: {event}"));

    // A gateway that never starts: given up by the program that watches the trial, and where that does not start either, by the limit.
    let limit = "was not kept in time";
    for (version, by_limit) in [("0.4.0", false), ("0.5.0", true)] {
        update_to(&centre, version);
        let is_trial = machine.ends();
        assert!(is_trial);
        let skips = Build {
            skips_idle: true,
            ..Build::default()
        };
        let trial = board.start(is_trial, &skips);
        assert!(!trial.ends(), "it asks for another trial");
        let console = board.console();
        assert_eq!(console.contains(limit), by_limit, "{console}");
        machine = board.start(false, &Build::default());
        until_ready(&mut machine);
        let event = centre.hear(
            &mut machine,
            "event/update",
            has_phase("rolled_back", version),
        );
        board.note(&format!("it says why: {event}"));
    }
    machine.cut();

    // Nothing is left to start.
    board.card.write_text_to(2, "root.sqfs", "nothing");
    board.card.write_text_to(3, "root.sqfs", "nothing");
    let mut machine = board.start(false, &Build::default());
    machine.console_says("NEITHER SLOT OF THIS CARD CAN BE STARTED");
    machine.console_says("Do not format it");
    let before = machine.lamp_changes();
    machine.until("the lamp goes on blinking", |machine| {
        std::thread::park_timeout(std::time::Duration::from_millis(200));
        (machine.lamp_changes() > before + 2).then_some(())
    });
    machine.cut();
    drop(hub);

    let mut crashes = Crashes::new(&built(), &board.trace);
    crashes.knows([shipped, good]);
    let count = crash_states(100);
    let cuts = crashes.choose(count, 20_260_102);
    let verdicts = crashes.look(cuts, 1, |done| {
        if done % 25 == 0 {
            board.note(&format!("{done} power cuts of the update"));
        }
    });
    board.note(&format!("{verdicts:#?}"));
    assert!(verdicts.broken.is_empty(), "{:#?}", verdicts.broken);
    assert!(verdicts.slot_b_states > 0);
}

#[test]
#[ignore = "make image-test: it needs the image and some minutes"]
fn a_slot_that_is_damaged_in_its_middle_gives_way_to_the_other() {
    let board = Board::new(&built(), CARD_BYTES);
    board.card.fill_slot_b();
    let came_up = "wait_for 'not set up' && for n in $(seq 60); do systemctl is-active -q booth-started && break; sleep 0.5; done
        systemctl is-active booth-started && sync";
    let mut machine = board.start(false, &Build::default());
    machine.sh(came_up);
    machine.cut();
    assert_eq!(board.card.starts(), "booth-starts 0", "the gateway came up");

    // A gateway that never starts, of a slot that is whole: given up until the third time, and then left alone.
    let line = board.card.read(2, "cmdline.txt").expect("a kernel's line");
    let without = format!("{} systemd.mask=booth-gateway.service\n", line.trim());
    board.card.write_text_to(2, "cmdline.txt", without);
    let skips = Build {
        skips_idle: true,
        ..Build::default()
    };
    let (careful, given_up) = (
        "looking at every byte of slot a",
        "the gateway has not come up",
    );
    for before in [0, 2] {
        board.card.set_starts(before);
        assert!(!board.start(false, &skips).ends());
        assert_eq!(board.card.starts(), format!("booth-starts {}", before + 1));
        let console = board.console();
        assert!(!console.contains(careful), "{console}");
        assert!(console.contains(given_up), "{console}");
    }
    let mut machine = board.start(false, &skips);
    machine.console_says(careful);
    assert!(
        machine
            .ask("sleep 1500; uptime")
            .parse::<f64>()
            .expect("seconds")
            > 1_500.0
    );
    assert!(!machine.console().contains(given_up));
    machine.cut();

    board.card.wear_out(2);
    let mut machine = board.start(false, &Build::default());
    machine.console_says(careful);
    machine.console_says("the other one is whole and is started from now on");
    assert!(!machine.ends());
    assert_eq!(board.card.due(false), 3);
    let mut machine = board.start(false, &Build::default());
    machine.console_says("looking at every byte of slot b");
    let initrd = machine.console_says(" s after the kernel's start");
    figure("the initrd that compares every byte", initrd.trim());
    machine.sh(came_up);
    machine.cut();
    assert_eq!(board.card.starts(), "booth-starts 0");
}

#[test]
#[ignore = "make image-test: it needs the image and some minutes"]
fn a_raspberry_pi_3_starts_from_its_card_slot_with_its_own_device_tree() {
    // The model of the card slot takes powers of two only; no booth.toml, so that the gateway says that it is not set up.
    let board = Board::new(&built(), 1 << 30);
    let script = "echo rig: $(tr -d '\\0' </proc/device-tree/model)
        echo rig: root $(findmnt -no FSTYPE / | head -n 1), card $(readlink -f /dev/disk/by-partuuid/4b1b00f5-02)
        mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
        echo rig: $(grep -o 'gpiochip[0-9]*.*pinctrl-bcm[0-9]*' /sys/kernel/debug/gpio)
        echo rig: data $(head -n 1 /run/booth/data)
        for n in $(seq 120); do [ \"$(systemctl is-active booth-gateway)\" = active ] && break; sleep 1; done
        echo rig: gateway $(systemctl is-active booth-gateway), $(cut -d' ' -f1 /proc/uptime) s
        journalctl -b -u booth-gateway -o cat --no-pager | tail -n 5
        echo rig: over";
    let console = machine::raspberry_pi(&board, script, "rig: over");
    for line in console.lines().filter(|line| line.contains("rig: ")) {
        board.note(line);
    }
    for wanted in [
        "rig: Raspberry Pi 3 Model B",
        "rig: root overlay, card /dev/mmcblk",
        "pinctrl-bcm2835",
        "rig: data made",
        "rig: gateway active",
    ] {
        assert!(console.contains(wanted), "no {wanted:?} in\n{console}");
    }
}

/// Minutes in which nobody comes, told now and then.
fn idle(machine: &mut Machine, minutes: u32) {
    for _ in 0..minutes / 10 {
        for _ in 0..10 {
            machine.ask("sleep 60");
        }
        machine.sh("echo \"[$(uptime) s] idle, $(written) bytes to data since the boot\"");
    }
}

#[test]
#[ignore = "make image-test: it needs the image and some minutes"]
fn an_idle_booth_writes_almost_nothing() {
    let broker = broker();
    let home = home(&broker);
    let _hub = Hub::start(&home);
    let mut board = board();
    board.technician("writes booth.toml", |card| {
        card.write_text("booth.toml", configuration(broker.port, "Rundhøj Torv", ""));
        card.write_text("mqtt-password", PASSWORD);
        card.put(
            BOOTH,
            &repository().join("tests/fixtures/prompts"),
            "prompts",
        );
    });
    let build = Build {
        skips_idle: true,
        ..Build::default()
    };
    let mut machine = board.start(false, &build);
    until_ready(&mut machine);
    // What a first boot still has to write (tables of the new file system) is done.
    idle(&mut machine, 10);
    let from = machine.uptime();
    let busy = machine.ask("busy");
    let before: f64 = machine.ask("sync; written").parse().expect("bytes");
    let elsewhere = machine.ask("written_elsewhere");
    idle(&mut machine, 60);
    let after: f64 = machine.ask("sync; written").parse().expect("bytes");
    let elsewhere_after = machine.ask("written_elsewhere");
    figure(
        "the processor was busy for",
        machine.ask(&format!("busy {busy}")),
    );
    let passed = (machine.uptime() - from) / 3600.0;
    let hourly = (after - before) / passed;
    figure("bytes written to data in an idle hour", hourly as u64);
    let memory: u32 = machine.ask(MEMORY).parse().expect("MiB");
    figure("memory in use after more than an idle hour, MiB", memory);
    machine.sh(
        "journalctl -b -p warning -o short-monotonic --no-pager | tail -n 20; heard 'the hub is online'",
    );
    assert!(passed >= 1.0, "{passed} h");
    assert!(hourly <= 1_000_000.0, "{hourly} bytes an hour");
    assert_eq!(
        elsewhere_after, elsewhere,
        "bytes outside the data partition: BOOTH-STATUS.TXT has no news in that hour"
    );
    assert!(memory <= 110, "{memory} MiB");
}

#[test]
#[ignore = "make image-test: it needs QEMU for arm64"]
fn an_emulated_board_that_never_speaks_is_given_up_by_its_own_clock() {
    let folder = tempfile::tempdir().expect("a folder");
    for (board, timer, shift) in [
        ("virt,gic-version=3", Timer::Virt, 10),
        ("raspi3b", Timer::RaspberryPi3, 0),
    ] {
        let mut machine = Bare::that_computes(board, timer, folder.path(), shift);
        let limit = if shift == 0 { 0.1 } else { 3.0 };
        let silent = machine_clock::wait(&mut machine, "it speaks", limit, |_| None::<()>);
        assert!(
            matches!(silent, Err(Over::TooLate(passed)) if passed > limit),
            "{board}: {silent:?}"
        );
        machine.cut();
        let gone = machine_clock::wait(&mut machine, "it speaks", limit, |_| None::<()>);
        assert_eq!(gone, Err(Over::Ended), "{board}");
    }
}
