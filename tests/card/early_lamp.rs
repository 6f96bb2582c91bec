//! The lamp's first sign (`image/early-lamp.sh`, `image/early-lamp.c`): what the shell takes from a card's booth.toml, under every
//! shell that is here, and the program on a GPIO chip that the test steers.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("image")
        .join(name)
}

/// Debian's own shell, and that of the initrd.
fn shells() -> [Vec<&'static str>; 2] {
    [vec!["sh"], vec!["busybox", "ash"]]
}

/// What the shell makes of this folder.
fn words(shell: &[&str], folder: &Path) -> String {
    let script = format!(
        ". {} && early_lamp_words {}",
        source("early-lamp.sh").display(),
        folder.display()
    );
    let output = Command::new(shell[0])
        .args(&shell[1..])
        .args(["-euc", &script])
        .stderr(Stdio::inherit())
        .output()
        .expect("a shell: is the package busybox installed?");
    String::from_utf8(output.stdout)
        .expect("text")
        .trim_end_matches('\n')
        .to_owned()
}

fn utf16(text: &str) -> Vec<u8> {
    let text = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn the_lamps_line_is_found_in_every_guise_of_a_good_file() {
    let inline = "[booth]\nid = \"æ-1\" # lamp = { line = 3 }\n[handset]\nhook = { line = 17, pull = \"up\" }\nlamp    = { line = 27, on = \"high\" }\n";
    let crlf = inline.replace('\n', "\r\n");
    let guises: [(&str, Vec<u8>, &str); 11] = [
        ("booth.toml", inline.into(), "- 27"),
        ("BOOTH.TOML", crlf.clone().into(), "- 27"),
        ("Booth.toml.TXT", format!("\u{feff}{crlf}").into(), "- 27"),
        ("booth.toml", utf16(inline), "- 27"),
        ("booth.toml", b"[handset]\nlamp={on='low',line=5}#x".to_vec(), "- 5 active-low"),
        ("booth.toml", b"[handset]\nlamp.line = 22\nlamp.on = \"low\"\n".to_vec(), "- 22 active-low"),
        ("booth.toml", b"[handset.lamp]\nline = 22 # 23\n[bell]\nline = 9\n".to_vec(), "- 22"),
        ("booth.toml", b"handset.lamp = { line = 6 }\n".to_vec(), "- 6"),
        ("booth.toml", b"[ handset ]\n  chip = \"/dev/gpiochip4\"\n  lamp = { line = 27 }\n".to_vec(), "/dev/gpiochip4 27"),
        // The hook is elsewhere, so that its usual line is free.
        ("booth.toml", b"[handset]\nhook = { line = 4 }\nlamp = { line = 17 }\n".to_vec(), "- 17"),
        ("booth.toml", b"[handset]\nkeypad = { rows = [5, 6, 12, 13], columns = [16, 20, 21] }\nlamp = { line = 27 }\n".to_vec(), "- 27"),
    ];
    for shell in shells() {
        for (name, bytes, wanted) in &guises {
            let folder = tempfile::tempdir().expect("a folder");
            std::fs::write(folder.path().join(name), bytes).expect("a file");
            let text = String::from_utf8_lossy(bytes);
            assert_eq!(
                words(&shell, folder.path()),
                *wanted,
                "{shell:?}: {name}: {text}"
            );
        }
    }
}

#[test]
fn the_two_readers_of_a_booth_toml_agree_on_the_documented_example() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let page = std::fs::read_to_string(page).expect("there");
    let (_, rest) = page.split_once("```toml\n").expect("an example");
    let (text, _) = rest.split_once("```").expect("its end");
    let config: booth_gateway::config::Config =
        booth_gateway::config::parse(text, "docs/configuration.md").expect("a configuration");
    let lamp = config.handset.lamp.expect("a lamp");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("booth.toml"), text).expect("a file");
    for shell in shells() {
        assert_eq!(words(&shell, folder.path()), format!("- {}", lamp.line));
    }
}

#[test]
fn what_is_not_plainly_a_lamp_is_not_driven() {
    let no: [&[u8]; 16] = [
        b"",
        b"[handset]\nhook = { line = 17 }\n",
        b"# [handset]\n# lamp = { line = 27 }\n",
        b"[bell]\nlamp = { line = 27 }\n",
        b"[handset]\nbackend = \"sim\"\nlamp = { line = 27 }\n",
        b"[handset]\nlamp = { line = -1 }\n",
        b"[handset]\nlamp = { line = 99999 }\n",
        b"[handset]\nlamp = { line = \"27\" }\n",
        b"[handset]\nlamp = { line = 27, on = \"lit\" }\n",
        b"[handset]\nchip = \"/dev/../etc/passwd; reboot\"\nlamp = { line = 27 }\n",
        // A contact's line would be driven against whatever closes it.
        b"[handset]\nlamp = { line = 17 }\n",
        b"[handset]\nhook = { line = 27 }\nlamp = { line = 27 }\n",
        b"[handset]\nlamp = { line = 27 }\ntamper.line = 27\n",
        b"[handset]\nlamp = { line = 5 }\nkeypad = { rows = [5, 6, 12, 13], columns = [16, 20, 21] }\n",
        b"[handset]\nlamp = { line = 27 }\n[handset.button]\nline = 27\n",
        b"{\\rtf1 lamp = { line = 27 }",
    ];
    for shell in shells() {
        for text in no {
            let folder = tempfile::tempdir().expect("a folder");
            std::fs::write(folder.path().join("booth.toml"), text).expect("a file");
            let said = words(&shell, folder.path());
            assert_eq!(said, "", "{shell:?}: {}", String::from_utf8_lossy(text));
        }
        // No file, a folder of that name, debris, no partition at all.
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(words(&shell, folder.path()), "");
        std::fs::create_dir(folder.path().join("booth.toml")).expect("a folder");
        std::fs::write(
            folder.path().join("._booth.toml"),
            "[handset]\nlamp = { line = 27 }\n",
        )
        .expect("a file");
        assert_eq!(words(&shell, folder.path()), "");
        assert_eq!(words(&shell, &folder.path().join("nothing")), "");
    }
}

#[cfg(target_arch = "x86_64")] // the kernel that a test steers is
mod program {
    use booth_testkit::gpio_kernel;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::os::unix::net::UnixStream;
    use std::process::{Child, ExitStatus};
    use std::sync::OnceLock;
    use std::time::{Duration, Instant};

    use super::*;

    /// Only a failing test waits so long.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn program() -> &'static Path {
        static BUILT: OnceLock<PathBuf> = OnceLock::new();
        BUILT.get_or_init(|| {
            let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("early-lamp");
            let status = Command::new("cc")
                .args(["-O2", "-Wall", "-Wextra", "-Werror", "-o"])
                .args([&place, &source("early-lamp.c")])
                .status();
            assert!(status.expect("a C compiler: build-essential").success());
            place
        })
    }

    /// The program on a chip of its own.
    struct Lamp {
        process: Child,
        folder: tempfile::TempDir,
        /// It serves one connection, and ends with it.
        kernel: Option<BufReader<UnixStream>>,
    }

    impl Lamp {
        fn start(words: &[&str], kernel: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let process = Command::new(program())
                .args(words)
                .env("LD_PRELOAD", gpio_kernel::library())
                .env("GPIO_KERNEL", folder.path().join("kernel"))
                .envs(kernel.iter().copied())
                .stderr(Stdio::piped())
                .spawn()
                .expect("it starts");
            Self {
                process,
                folder,
                kernel: None,
            }
        }

        /// What its chip says of a line.
        fn line(&mut self, line: u32) -> Option<String> {
            if self.kernel.is_none() {
                let stream = UnixStream::connect(self.folder.path().join("kernel")).ok()?;
                stream.set_read_timeout(Some(PATIENCE)).expect("set");
                self.kernel = Some(BufReader::new(stream));
            }
            let kernel = self.kernel.as_mut()?;
            let asked = format!("line {line}\n");
            kernel.get_mut().write_all(asked.as_bytes()).ok()?;
            let mut answer = String::new();
            kernel.read_line(&mut answer).ok()?;
            Some(answer)
        }

        fn reaches(&mut self, line: u32, wanted: &str) {
            let began = Instant::now();
            let mut last = None;
            while !last
                .as_ref()
                .is_some_and(|said: &String| said.starts_with(wanted))
            {
                assert!(began.elapsed() < PATIENCE, "never {wanted:?}, but {last:?}");
                std::thread::yield_now();
                last = self.line(line);
            }
        }

        /// Its chip answers before it has come to `main`.
        fn minds_signals(&self) {
            let place = format!("/proc/{}/status", self.process.id());
            let minds = || {
                let status = std::fs::read_to_string(&place).expect("it runs");
                let line = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
                let caught = u64::from_str_radix(line.expect("a line").trim(), 16).expect("a mask");
                caught >> (rustix::process::Signal::TERM.as_raw() - 1) & 1 == 1
            };
            let began = Instant::now();
            while !minds() {
                assert!(began.elapsed() < PATIENCE, "SIGTERM is never caught");
                std::thread::yield_now();
            }
        }

        fn ends(mut self, is_told_to: bool) -> (ExitStatus, String) {
            if is_told_to {
                let pid = rustix::process::Pid::from_child(&self.process);
                rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("told");
            }
            let status = self.process.wait().expect("it ends");
            let mut said = String::new();
            let mut stderr = self.process.stderr.take().expect("piped");
            stderr.read_to_string(&mut said).expect("text");
            (status, said)
        }
    }

    impl Drop for Lamp {
        fn drop(&mut self) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }

    #[test]
    fn the_lamp_blinks_on_the_headers_chip_until_the_program_is_told_to_end() {
        for (words, lit, dark) in [
            (
                &["-", "27", "starting"][..],
                "output level=1",
                "output level=0",
            ),
            (
                &["/dev/gpiochip0", "27", "active-low", "dead"],
                "output level=0",
                "output level=1",
            ),
        ] {
            let mut lamp = Lamp::start(words, &[("GPIO_KERNEL_MODEL", "4")]);
            for level in [lit, dark, lit, dark] {
                lamp.reaches(27, level);
            }
            assert_eq!(lamp.ends(true), (ExitStatus::default(), String::new()));
        }
    }

    #[test]
    fn a_line_that_another_driver_holds_is_left_alone_and_wrong_words_are_named() {
        let lamp = Lamp::start(&["-", "27", "starting"], &[("GPIO_KERNEL_HELD", "27")]);
        let (status, said) = lamp.ends(false);
        assert_eq!(status.code(), Some(1));
        assert!(
            said.contains("line 27 of - cannot be had: Device or resource busy"),
            "{said}"
        );
        for words in [
            &["-", "27"][..],
            &["-", "27x", "starting"],
            &["-", "-1", "starting"],
            &["-", "1024", "starting"],
            &["-", "27", "low", "starting"],
            &["-", "27", "blinking"],
            &[],
        ] {
            let (status, said) = Lamp::start(words, &[]).ends(false);
            assert_eq!(
                (status.code(), said.starts_with("use: ")),
                (Some(2), true),
                "{words:?}"
            );
        }
    }

    #[test]
    fn who_waits_for_a_chip_that_never_comes_ends_when_told() {
        let mut lamp = Lamp::start(&["-", "27", "starting"], &[("GPIO_KERNEL_WITHOUT", "chip")]);
        lamp.reaches(27, "input");
        lamp.minds_signals();
        let (status, _) = lamp.ends(true);
        assert!(status.success());
    }
}
