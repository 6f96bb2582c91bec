//! The page of the pilot, docs/pilot.md, followed by its reader on one machine: from nothing to a message that somebody has heard at the desk.
#![allow(clippy::disallowed_methods)]

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use booth_gateway::status::{QUESTION, Status};
use booth_host::line_server;
use booth_stage::program::Program;
use booth_stage::session::in_own_session;
use booth_testkit::gateway::fixtures;
use booth_testkit::hub::free_port;
use booth_testkit::hub_program::hub_program;
use booth_testkit::pulse::{EAR, MIC, Pulse};
use booth_testkit::repository;
use booth_testkit::speech::decode;
use booth_testkit::staff::{Staff, between};
use booth_testkit::wait::until;
use rusqlite::{Connection, OpenFlags};

/// What the page's reader does to a machine of his own, and what asks for parts that are not here.
const NOT_HERE: [&str; 6] = [
    "sudo apt install ",
    "sudo systemctl ",
    "sudo usermod ",
    "sudo cp ",
    "ls -l /dev/input/by-id",
    "arecord -L",
];
/// Keys of a numeric pad (linux/input-event-codes.h).
const PLUS: u16 = 78;
const ONE: u16 = 79;
const ENTER: u16 = 96;

/// The command lines of the page, in their order, and whether each goes on running.
fn lines() -> Vec<(String, bool)> {
    let page = std::fs::read_to_string(repository().join("docs/pilot.md")).expect("the page");
    let mut blocks = page.split("```").skip(1).step_by(2);
    let mut lines = Vec::new();
    for block in &mut blocks {
        let (info, text) = block.split_once('\n').expect("a block");
        if info == "sh" || info == "sh stays" {
            lines.extend(
                text.lines()
                    .map(|line| (line.to_owned(), info == "sh stays")),
            );
        }
    }
    lines
}

/// The machine: a home folder, a pad, a sound card, and what stands for the page's names.
struct Machine {
    pulse: Pulse,
    home: tempfile::TempDir,
    pad: File,
    pages: u16,
    broker: u16,
    running: Vec<Program>,
}

impl Machine {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("pad");
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, 0o600.into(), 0).expect("a FIFO");
        let pad = File::options()
            .read(true)
            .write(true)
            .open(&path)
            .expect("its other end");
        Self {
            pulse: Pulse::start(),
            home,
            pad,
            pages: free_port(),
            broker: free_port(),
            running: Vec::new(),
        }
    }

    fn pilot(&self, name: &str) -> PathBuf {
        self.home.path().join("pilot").join(name)
    }

    /// A line with what this machine has instead of the page's parts.
    fn shell(&self, line: &str) -> Command {
        let pad = self.home.path().join("pad");
        let line = line
            .replace(
                "/dev/input/by-id/usb-Numeric_Pad-event-kbd",
                &pad.display().to_string(),
            )
            .replace(
                "plughw:CARD=Device,DEV=0",
                &format!("{MIC} --earpiece {EAR}"),
            );
        let line = match line.starts_with("booth-hub pilot") {
            true => format!("{line} --port {} --pages {}", self.broker, self.pages),
            false => line,
        };
        let mut command = in_own_session(Path::new("/bin/sh"));
        let own = [
            Path::new(env!("CARGO_BIN_EXE_booth-gateway")),
            hub_program(),
        ];
        let own = own.map(|program| program.parent().expect("a folder").to_owned());
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = own
            .into_iter()
            .chain(std::env::split_paths(&path))
            .chain(["/usr/sbin".into()]);
        command
            .args(["-c", &format!("exec {line}")])
            .current_dir(self.home.path())
            .env("PATH", std::env::join_paths(path).expect("a path"))
            .envs(self.pulse.environment())
            .env("HOME", self.home.path());
        command
    }

    fn runs(&self, line: &str) -> String {
        let ran = self.shell(line).output().expect("it runs");
        let said = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
        // The doctor finds a machine without a clock that is synchronised, for example; that is a finding and no failure to run.
        let is_doctor = line.contains(" doctor ") && ran.status.code() == Some(1);
        assert!(ran.status.success() || is_doctor, "{line}: {said}");
        said.into_owned()
    }

    fn status(&self) -> Option<Status> {
        let reply = line_server::ask(&self.pilot("run/doctor.sock"), QUESTION).ok()?;
        serde_json::from_str(&reply).ok()
    }

    fn reaches(&self, session: &str) {
        until(&format!("the booth is at {session}"), || {
            self.status().filter(|status| status.session == session)
        });
    }

    /// A key of the pad, down and up, as the kernel writes it.
    fn press(&mut self, code: u16) {
        for value in [1i32, 0] {
            for (kind, code, value) in [(1u16, code, value), (0, 0, 0)] {
                let mut event = vec![0; 2 * size_of::<usize>()];
                event.extend_from_slice(&kind.to_ne_bytes());
                event.extend_from_slice(&code.to_ne_bytes());
                event.extend_from_slice(&value.to_ne_bytes());
                self.pad.write_all(&event).expect("written");
            }
        }
    }

    /// The id of the message that waits at the desk.
    fn message(&self) -> String {
        let store = self.pilot("store/city.sqlite");
        until("the message is at the desk", || {
            let db = Connection::open_with_flags(&store, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
            let wanted = "SELECT id FROM message WHERE kind = 'audio'";
            db.query_row(wanted, [], |row| row.get(0)).ok()
        })
    }
}

#[test]
fn the_page_of_the_pilot_leads_from_nothing_to_a_message_that_was_heard() {
    let begun = Instant::now();
    let step = |what: &str| println!("{:6.1} s  {what}", begun.elapsed().as_secs_f64());
    let mut machine = Machine::new();
    let (mut password, mut not_here) = (String::new(), 0);
    let lines = lines();
    for (line, stays) in &lines {
        if NOT_HERE.iter().any(|prefix| line.starts_with(prefix)) {
            not_here += 1;
            units_exist(&machine, line);
            continue;
        }
        match stays {
            true => {
                let name = line.split(' ').next().unwrap_or_default().to_owned();
                let program = Program::start(&name, &mut machine.shell(line));
                machine
                    .running
                    .push(program.unwrap_or_else(|why| panic!("{why}")));
            }
            false => {
                if line.starts_with("booth-hub campaign prompts") {
                    until("the booth is ready to be asked", || {
                        machine.status().filter(|status| status.hub_online == 1)
                    });
                }
                let said = machine.runs(line);
                if line.starts_with("booth-hub pilot") {
                    let shown = said
                        .split("shown this once: ")
                        .nth(1)
                        .and_then(|rest| rest.split_whitespace().next());
                    password = shown.expect("a password").to_owned();
                    is_for_nobody_elses_eyes(&machine);
                    begins_nothing_anew(&machine, line);
                }
            }
        }
        step(line.split(" --").next().unwrap_or(line));
    }
    assert_eq!(
        (lines.len(), not_here),
        (14, 7),
        "a command of the page is not looked at"
    );
    until("the booth asks and is ready", || {
        machine
            .status()
            .filter(|status| status.ready == 1 && status.config.applied.is_some())
    });
    step("ready");

    let wav = machine.home.path().join("speech.wav");
    decode(&fixtures().join("speech/en.opus"), &wav).expect("decoded");
    machine.press(PLUS);
    machine.reaches("question");
    machine.press(ONE);
    machine.reaches("recording");
    machine.pulse.speak(&wav);
    machine.press(ENTER);
    machine.reaches("after");
    machine.press(PLUS);
    machine.reaches("idle");
    step("spoken");
    let id = machine.message();
    let base = format!("http://127.0.0.1:{}", machine.pages);
    let admin = Staff::log_in(&base, "admin", &password).expect("logged in");
    let page = admin
        .get(&format!("desk/message/{id}"))
        .expect("the message");
    assert!(page.contains("What should happen on the pier?"), "{page}");
    let sound = between(&page, "src=\"", "\"").expect("a player");
    step("at the desk");
    assert!(!sound.is_empty());
    let wish = [
        ("version", "0"),
        ("transcript", "A bench."),
        ("transcript_lang", "en"),
        ("new_theme", "Benches"),
        ("do", "heard"),
    ];
    admin
        .post(&format!("desk/message/{id}"), &wish)
        .expect("decided");
    let db = Connection::open_with_flags(
        machine.pilot("store/city.sqlite"),
        OpenFlags::SQLITE_OPEN_READ_ONLY,
    );
    let state: String = db
        .expect("a database")
        .query_row("SELECT state FROM message WHERE id = ?1", [&id], |row| {
            row.get(0)
        })
        .expect("a message");
    assert_eq!(state, "heard");
    step("moderated");
}

/// The units that a line copies or enables were made.
fn units_exist(machine: &Machine, line: &str) {
    for word in line.split(' ').filter(|word| word.contains("booth-pilot-")) {
        let name = Path::new(word)
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let unit = name.trim_end_matches(".service").to_owned() + ".service";
        let text = std::fs::read_to_string(machine.pilot("systemd").join(unit)).expect("a unit");
        assert!(text.contains("ExecStart=/usr/"), "{text}");
    }
}

/// Everything with a secret in it is its owner's alone.
fn is_for_nobody_elses_eyes(machine: &Machine) {
    use std::os::unix::fs::PermissionsExt;
    for name in [
        "",
        "city.key",
        "city-key.html",
        "hub-password",
        "booth-1-password",
        "courier-password",
        "broker/passwords",
        "booth.toml",
    ] {
        let about = std::fs::metadata(machine.pilot(name)).expect(name);
        assert_eq!(about.permissions().mode() & 0o077, 0, "{name}");
    }
}

/// Run again, it changes no file; another language is refused.
fn begins_nothing_anew(machine: &Machine, line: &str) {
    let content = |name: &str| std::fs::read(machine.pilot(name)).expect(name);
    let names = [
        "city.key",
        "hub.toml",
        "booth.toml",
        "campaign.toml",
        "broker/passwords",
        "broker/mosquitto.conf",
        "hub-password",
        "prompts/en/notice.opus",
    ];
    let before = names.map(content);
    let said = machine.runs(line);
    assert!(
        said.contains("is there: city.key") && !said.contains("made:"),
        "{said}"
    );
    let said = machine.runs("booth-hub pilot ~/pilot");
    assert!(
        !said.contains("made:") && !said.contains("shown this once"),
        "{said}"
    );
    assert!(names.map(content) == before);
    let other = machine
        .shell("booth-hub pilot ~/pilot --language da")
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(
        other.status.code() == Some(1) && said.contains("nothing is written over"),
        "{said}"
    );
    assert!(names.map(content) == before);
}
