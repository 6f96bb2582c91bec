//! The attacker runs as the gateway: its folder is his, and he can put anything there before the next boot.
//!
//! What must hold: root's helpers come to their end, the technician's card is obeyed (the end of an update's key above all), and what is
//! root's stays root's.

use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use booth_host::clock;

const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
/// Whoever needs longer than this, ms, hangs.
const HANGS: u64 = 120_000;

struct Card(tempfile::TempDir);

impl Card {
    fn new() -> Self {
        let card = Self(tempfile::tempdir().expect("a folder"));
        for name in ["boot/prompts/da", "data", "root"] {
            std::fs::create_dir_all(card.at(name)).expect("a folder");
        }
        std::fs::write(card.at("boot/mqtt-password"), "hemmeligt").expect("written");
        let prompt = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/sounds/tone.ogg"
        );
        std::fs::copy(prompt, card.at("boot/prompts/da/notice.ogg")).expect("a prompt");
        std::fs::write(card.at("root/secret"), "of root").expect("written");
        if is_root() {
            std::os::unix::fs::chown(card.at("data"), Some(65_534), Some(65_534)).expect("given");
        }
        card
    }

    fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    /// The technician writes the card anew, with this name and these keys of updates.
    fn is_written(&self, name: &str, keys: &str) {
        let text = format!(
            "[booth]\nid = \"rundhoej-1\"\nname = \"{name}\"\n[privacy]\nseal = false\n[mqtt]\nurl = \"mqtt://127.0.0.1:1\"\n\
             password_file = \"mqtt-password\"\n[update]\nkeys = [{keys}]\n"
        );
        std::fs::write(self.at("boot/booth.toml"), text).expect("written");
    }

    /// `provision` with `more`, to its end.
    fn provisions(&self, more: &[&str]) -> (Option<i32>, String) {
        let log = self.at("root/log");
        let mut child = Command::new(env!("CARGO_BIN_EXE_booth-gateway"))
            .args(["provision", "--boot"])
            .arg(self.at("boot"))
            .arg("--data")
            .arg(self.at("data"))
            .arg("--secrets")
            .arg(self.at("root/network"))
            .args(more)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).expect("a log"))
            .spawn()
            .expect("it runs");
        let began = clock::mono().0;
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child") {
                break status.code();
            }
            if clock::mono().0 - began > HANGS {
                child.kill().expect("killed");
                child.wait().expect("ended");
                panic!("it hangs");
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        (status, std::fs::read_to_string(&log).unwrap_or_default())
    }

    fn boots(&self) -> (Option<i32>, String) {
        let keys = self.at("root/update");
        let keys = keys.to_str().expect("a name");
        self.provisions(&["--trust", keys])
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.at(name)).unwrap_or_default()
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn clear(place: &Path) {
    match std::fs::symlink_metadata(place) {
        Ok(facts) if facts.is_dir() => std::fs::remove_dir_all(place).expect("removed"),
        Ok(_) => std::fs::remove_file(place).expect("removed"),
        Err(_) => {}
    }
}

/// What he puts in place of a file or folder.
const KINDS: [&str; 7] = [
    "a pipe",
    "a link to root's",
    "a second name of root's",
    "a folder",
    "a socket",
    "a file without an end",
    "a device",
];

/// False if this machine does not let anybody make such a thing.
fn put(kind: &str, place: &Path, roots: &Path) -> bool {
    std::fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
    let node = |kind, device| {
        let mode = rustix::fs::Mode::from_raw_mode(0o666);
        rustix::fs::mknodat(rustix::fs::CWD, place, kind, mode, device).is_ok()
    };
    match kind {
        "a pipe" => node(rustix::fs::FileType::Fifo, 0),
        "a link to root's" => symlink(roots, place).is_ok(),
        "a second name of root's" => std::fs::hard_link(roots.join("secret"), place).is_ok(),
        "a folder" => std::fs::create_dir_all(place.join("in/it")).is_ok(),
        // Its name may be too long for a socket's.
        "a socket" => UnixListener::bind(place).is_ok(),
        "a file without an end" => {
            let file = std::fs::File::create(place).expect("a file");
            file.set_len(1 << 40).is_ok()
        }
        _ => node(
            rustix::fs::FileType::CharacterDevice,
            rustix::fs::makedev(1, 5),
        ),
    }
}

#[test]
fn whatever_lies_in_the_gateways_folder_root_comes_to_its_end_and_the_card_is_obeyed() {
    let card = Card::new();
    card.is_written("First", &format!("{KEY:?}"));
    assert_eq!(card.boots().0, Some(0));
    assert!(card.read("root/update/keys").contains(KEY));
    let secret = card.at("root/secret");
    let before = std::fs::metadata(&secret).expect("root's file");
    let places = [
        "config",
        "config/good.toml",
        "config/good.toml.tmp",
        "config/booth.toml",
        "config/booth.toml.tmp",
        "config/booth.faults",
        "config/outcome.json",
        "config/moved-aside",
        "credentials",
        "credentials/confirmed",
        "credentials/growing",
        "credentials/set-1",
        "credentials/set-1/set.json",
        "credentials/set-1/password",
        "credentials/set-9",
        "prompts",
        "prompts/da",
        "prompts/da/notice.ogg",
        "card.json",
        "clips",
        "set-aside",
    ];
    let (mut rounds, mut told) = (0, 0);
    for place in places {
        for kind in KINDS {
            let at = card.at("data").join(place);
            clear(&at);
            if !put(kind, &at, &card.at("root")) {
                continue;
            }
            rounds += 1;
            // The technician answers with a new card, by which no key counts any more, or one again.
            let keys = if rounds % 2 == 0 {
                format!("{KEY:?}")
            } else {
                String::new()
            };
            let name = format!("Round {rounds}");
            card.is_written(&name, &keys);
            let (status, log) = card.boots();
            let what = format!("{kind} at {place}: {log}");
            assert_eq!(
                card.read("root/update/keys").contains(KEY),
                rounds % 2 == 0,
                "{what}"
            );
            assert_eq!(status, Some(0), "{what}");
            assert!(
                card.read("data/config/booth.toml").contains(&name),
                "{what}"
            );
            told += usize::from(
                card.read("boot/BOOTH-STATUS.TXT")
                    .contains("lies in set-aside"),
            );
            let (status, log) = card.provisions(&["--status"]);
            assert_eq!(status, Some(0), "{what}, then {log}");
            let after = std::fs::metadata(&secret).expect("root's file");
            assert_eq!(card.read("root/secret"), "of root", "{what}");
            assert_eq!(
                (after.uid(), after.gid(), after.mode()),
                (before.uid(), before.gid(), before.mode()),
                "{what}"
            );
            let root = std::fs::metadata(card.at("root")).expect("root's folder");
            assert_eq!(root.uid(), before.uid(), "{what}");
            let network: Vec<_> = std::fs::read_dir(card.at("root"))
                .expect("a folder")
                .map(|entry| entry.expect("an entry").file_name())
                .collect();
            assert!(
                network.len() <= 4,
                "nothing is made in root's folder: {network:?}, {what}"
            );
        }
    }
    assert!(rounds > 100, "{rounds}");
    assert!(told > 80, "a technician reads of it: {told} of {rounds}");
}

#[test]
fn more_files_than_anybody_would_look_at_go_aside_as_a_whole() {
    let card = Card::new();
    card.is_written("First", "");
    assert_eq!(card.boots().0, Some(0));
    for number in 0..10_100 {
        std::fs::write(card.at(format!("data/credentials/{number}")), "").expect("written");
    }
    card.is_written("Second", "");
    let (status, log) = card.boots();
    assert_eq!(status, Some(0), "{log}");
    assert!(card.read("data/config/booth.toml").contains("Second"));
    let told = card.read("boot/BOOTH-STATUS.TXT");
    assert!(told.contains("too many files"), "{told}");
    // The password went with it: who owns the folder could have removed it, too.
    assert!(
        log.contains("put it beside booth.toml on the card"),
        "{log}"
    );
}

#[test]
fn a_gateway_that_answers_nobody_or_without_an_end_is_given_up() {
    use std::io::Write;
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("doctor.sock");
    let listener = UnixListener::bind(&place).expect("a socket");
    // One byte at a time, and never a line's end.
    let drips = std::thread::spawn(move || {
        let (mut asked, _) = listener.accept().expect("a question");
        while asked.write_all(b"x").is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    });
    let answer = booth_host::line_server::ask(&place, "state");
    assert!(answer.is_err(), "{answer:?}");
    drips.join().expect("it saw the end");
}
