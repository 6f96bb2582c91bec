//! Whatever a program prints to: a reader that has gone, a device that is full, a stream that is closed. No panic, and the
//! right status: what the work has earned, or 1 where the device refuses.
#![allow(clippy::disallowed_methods)]

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use booth_testkit::hub_program::hub_program;
use booth_testkit::wait::until;

const GATEWAY: &str = env!("CARGO_BIN_EXE_booth-gateway");

fn hub_program_name() -> &'static str {
    hub_program().to_str().expect("a name")
}

/// Something that prints, and the status that it earns when all is well with its output.
struct Call {
    program: &'static str,
    arguments: Vec<String>,
    earns: i32,
    /// Whether it is standard output that it prints to.
    is_out: bool,
}

/// Where a stream goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Taken,
    ReaderGone,
    Full,
    Closed,
}

impl Stream {
    fn open(self) -> Stdio {
        match self {
            Self::Taken => Stdio::piped(),
            Self::ReaderGone => {
                let (reader, writer) = std::io::pipe().expect("a pipe");
                drop(reader);
                writer.into()
            }
            Self::Full => File::options()
                .write(true)
                .open("/dev/full")
                .expect("a device")
                .into(),
            // The shell of `run` closes it.
            Self::Closed => Stdio::null(),
        }
    }
}

/// Its status, and what it said on a standard error that was taken.
fn run(call: &Call, out: Stream, err: Stream) -> (ExitStatus, String) {
    let shut = |stream, number| match stream {
        Stream::Closed => format!(" {number}>&-"),
        _ => String::new(),
    };
    let script = format!("exec \"$0\" \"$@\"{}{}", shut(out, 1), shut(err, 2));
    let done = Command::new("sh")
        .args(["-c", &script, call.program])
        .args(&call.arguments)
        .env("ALSA_CONFIG_PATH", "/usr/share/alsa/alsa.conf")
        .stdin(Stdio::null())
        .stdout(out.open())
        .stderr(err.open())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .expect("it runs");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    (done.status, said)
}

/// A gateway's socket that answers every line with this, so long as the test runs.
fn answering(path: &Path, answer: &'static str) {
    let listener = UnixListener::bind(path).expect("a socket");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut line = String::new();
            let read = stream.try_clone().map(BufReader::new);
            let _ = read.and_then(|mut read| read.read_line(&mut line));
            let _ = stream.write_all(format!("{answer}\n").as_bytes());
        }
    });
}

/// The sub-commands that a program's help lists.
fn listed(program: &str) -> Vec<String> {
    let help = Command::new(program).arg("--help").output().expect("runs");
    let help = String::from_utf8(help.stdout).expect("text");
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect()
}

/// Everything that either program prints.
fn calls(home: &Path) -> Vec<Call> {
    let file = |name: &str, text: &str| -> String {
        let path = home.join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let socket = |name: &str| -> PathBuf { home.join(name) };
    let mut good = format!(
        "[booth]\nid = \"rundhoej-1\"\n[handset]\nbackend = \"sim\"\ncontrol_socket = {:?}\n[spool]\ndir = {:?}\n[privacy]\nseal = false\n",
        socket("handset.sock"),
        socket("spool")
    );
    good += &format!("[update]\nstate = {:?}\n", socket("update"));
    let good = file("booth.toml", &good);
    let bad = file("bad.toml", "[booth]\nid = 7\n");
    let hub = file(
        "hub.toml",
        "[mqtt]\nurl = \"mqtt://127.0.0.1:1\"\n[store]\ndir = \"store\"\n",
    );
    answering(&socket("handset.sock"), "ok");
    let mut calls = Vec::new();
    let mut call = |program, arguments: &[&str], earns, is_out| {
        calls.push(Call {
            program,
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
            earns,
            is_out,
        });
    };
    for program in [GATEWAY, hub_program_name()] {
        call(program, &["--help"], 0, true);
        call(program, &["--version"], 0, true);
        call(program, &["help"], 0, true);
        call(program, &["--no-such"], 2, false);
        call(program, &[], 2, false);
        for verb in listed(program).iter().filter(|verb| *verb != "help") {
            call(program, &[verb, "--help"], 0, true);
            call(program, &[verb, "--no-such"], 2, false);
        }
    }
    call(GATEWAY, &["check-config", "--config", &good], 0, true);
    call(
        GATEWAY,
        &["check-config", "--json", "--config", &good],
        0,
        true,
    );
    call(
        GATEWAY,
        &["check-config", "--json", "--config", &bad],
        78,
        true,
    );
    call(GATEWAY, &["check-config", "--config", &bad], 78, false);
    call(GATEWAY, &["doctor", "--config", &good], 1, true);
    call(GATEWAY, &["doctor", "--json", "--config", &good], 1, true);
    call(GATEWAY, &["doctor", "--json", "--config", &bad], 78, true);
    call(
        GATEWAY,
        &["doctor", "--live", "--seconds", "1", "--config", &good],
        0,
        true,
    );
    call(
        GATEWAY,
        &["doctor", "--console", "--seconds", "1", "--config", &good],
        0,
        true,
    );
    call(
        GATEWAY,
        &["doctor", "--console", "--seconds", "1", "--config", &bad],
        78,
        true,
    );
    call(GATEWAY, &["handset", "--config", &good, "lift"], 0, true);
    let nowhere = socket("nobody.sock").display().to_string();
    call(
        GATEWAY,
        &["handset", "--socket", &nowhere, "lift"],
        1,
        false,
    );
    let root = home.display().to_string();
    call(
        GATEWAY,
        &["update", "--status", "--root", &root, "--config", &good],
        0,
        true,
    );
    call(
        GATEWAY,
        &[
            "update", "--status", "--json", "--root", &root, "--config", &good,
        ],
        0,
        true,
    );
    call(
        GATEWAY,
        &[
            "update",
            "--describe",
            &bad,
            "--root",
            &root,
            "--config",
            &good,
        ],
        1,
        false,
    );
    call(GATEWAY, &["update"], 2, false);
    call(
        GATEWAY,
        &["provision", "--boot", &nowhere, "--data", &nowhere],
        78,
        false,
    );
    call(GATEWAY, &["run", "--config", &bad], 78, false);
    call(hub_program_name(), &["serve", "--config", &bad], 78, false);
    call(
        hub_program_name(),
        &["forget", "rundhoej-1", "--config", &hub],
        1,
        false,
    );
    calls
}

#[test]
fn whatever_is_printed_to_what_takes_nothing_no_program_panics_and_each_ends_with_the_right_status()
{
    let folder = tempfile::tempdir().expect("a folder");
    let calls = calls(folder.path());
    for verb in listed(GATEWAY).iter().chain(&listed(hub_program_name())) {
        let has = |call: &&Call| call.arguments.first() == Some(verb);
        assert!(
            calls.iter().filter(has).count() >= 2 || verb == "help",
            "{verb}"
        );
    }
    assert!(calls.len() > 40, "only {} calls", calls.len());
    for call in &calls {
        for (out, err) in [
            (Stream::Taken, Stream::Taken),
            (Stream::ReaderGone, Stream::Taken),
            (Stream::Full, Stream::Taken),
            (Stream::Closed, Stream::Taken),
            (Stream::Taken, Stream::ReaderGone),
            (Stream::Taken, Stream::Full),
            (Stream::Taken, Stream::Closed),
            (Stream::ReaderGone, Stream::ReaderGone),
            (Stream::Full, Stream::Full),
            (Stream::Closed, Stream::Closed),
        ] {
            let (status, said) = run(call, out, err);
            let words = call.arguments.join(" ");
            let shown = format!("{words} with output {out:?} and error {err:?}: {status}\n{said}");
            assert!(!said.contains("panicked"), "{shown}");
            let is_refused = call.is_out && out == Stream::Full;
            let wanted = if is_refused { 1 } else { call.earns };
            assert_eq!(status.code(), Some(wanted), "{shown}");
            if err == Stream::Taken && call.is_out {
                let tells = said.contains("standard output takes nothing more");
                assert_eq!(tells, is_refused, "{shown}");
                // Who went away is nobody's news.
                assert!(
                    is_refused || out == Stream::Taken || !said.contains("pipe"),
                    "{shown}"
                );
            }
        }
    }
}

#[test]
fn a_live_view_ends_when_whoever_looked_has_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("handset.sock");
    let text = format!(
        "[booth]\nid = \"rundhoej-1\"\n[handset]\nbackend = \"sim\"\ncontrol_socket = {socket:?}\n[privacy]\nseal = false\n"
    );
    let config = folder.path().join("booth.toml");
    std::fs::write(&config, text).expect("a file");
    let mut view = Command::new(GATEWAY)
        .args(["doctor", "--console", "--config"])
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    // One line, and then no reader any more.
    let mut line = String::new();
    let mut reader = BufReader::new(view.stdout.take().expect("a pipe"));
    reader.read_line(&mut line).expect("a line");
    drop(reader);
    // What changes is another line: a gateway begins to answer, in another way each time.
    let listener = UnixListener::bind(folder.path().join("doctor.sock")).expect("a socket");
    std::thread::spawn(move || {
        for (n, mut stream) in listener.incoming().flatten().enumerate() {
            let _ = stream.write_all(format!("rubbish {}\n", "x".repeat(n)).as_bytes());
        }
    });
    let status = until("it ends", || view.try_wait().expect("a child"));
    assert_eq!(status.code(), Some(0));
}
