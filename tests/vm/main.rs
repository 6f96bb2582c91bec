//! The product as it is installed, on real kernel interfaces: a virtual machine with the kernel's simulated GPIO lines and
//! sound card, systemd and the real unit; broker and hub outside. `make vm-test` runs it; some minutes, in software
//! emulation, where times say nothing of a Raspberry Pi.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use booth_contract::Signed;
use booth_testkit::hub::{Booth as Login, Broker, Home, Hub};
use booth_testkit::machine_clock::{self, Guest, Qtest, Timer};
use booth_testkit::words::{check, clips, decode, samples};
use gateway_core::session::{HandsetEvent, Key, KeySource};
use gateway_core::trace::Trace;
use jiff::Timestamp;
use minisign::KeyPair;
use serde_json::{Value, json};

/// Longest that one thing may take that the test waits for, s of the machine's own clock.
const LIMIT_S: f64 = 900.0;

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .status()
        .unwrap_or_else(|error| panic!("{program}: {error}; `make vm-test` installs it"));
    assert!(status.success(), "{program} {arguments:?}: {status}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a name")
}

/// The machine with its disks and what it has said.
struct Machine {
    folder: tempfile::TempDir,
    base: PathBuf,
    /// Signs what the booth does only by a signature.
    city: KeyPair,
    qemu: Option<(Child, Qtest)>,
    began: Instant,
    told: usize,
}

impl Guest for Machine {
    fn clock_s(&mut self) -> Option<f64> {
        let (_, qtest) = self.qemu.as_mut()?;
        qtest.clock_s(Timer::Q35)
    }

    fn has_ended(&mut self) -> bool {
        let qemu = self.qemu.as_mut();
        qemu.is_none_or(|(qemu, _)| qemu.try_wait().is_ok_and(|status| status.is_some()))
    }
}

impl Machine {
    /// Its root disk, and the product on a second one.
    fn new(broker_port: u16) -> Self {
        let base = repository().join("target/vm");
        run(
            text(&repository().join("tests/vm/build.sh")),
            &[text(&base)],
        );
        let folder = tempfile::tempdir_in(&base).expect("a folder");
        let machine = Self {
            folder,
            base,
            city: KeyPair::generate_unencrypted_keypair().expect("a pair"),
            qemu: None,
            began: Instant::now(),
            told: 0,
        };
        run(
            "cp",
            &[
                "--sparse=always",
                text(&machine.base.join("root.img")),
                text(&machine.path("root.img")),
            ],
        );
        let rig = machine.path("rig");
        std::fs::create_dir(&rig).expect("a folder");
        let gateway = Path::new(env!("CARGO_BIN_EXE_booth-gateway"));
        let encoder = gateway.with_file_name("examples/encode");
        for (from, to) in [
            (text(gateway), "booth-gateway"),
            (text(&encoder), "encode"),
            ("systemd/booth-gateway.service", "booth-gateway.service"),
            ("systemd/booth.sysusers.conf", "booth.sysusers.conf"),
            ("systemd/booth-restart.path", "booth-restart.path"),
            ("systemd/booth-restart.service", "booth-restart.service"),
            ("image/system/usr/lib/booth/restart", "restart"),
            ("tests/vm/run.sh", "run.sh"),
        ] {
            std::fs::copy(repository().join(from), rig.join(to))
                .unwrap_or_else(|error| panic!("{from}: {error}; `make vm-test` builds it"));
        }
        run(
            "cp",
            &[
                "-r",
                text(&repository().join("tests/fixtures/prompts")),
                text(&rig),
            ],
        );
        std::fs::copy(machine.speech(), rig.join("speech.wav")).expect("copied");
        let control = format!("[control]\nkeys = [\"{}\"]\n", machine.city.pk.to_base64());
        let configuration = control + &configuration(broker_port);
        std::fs::write(rig.join("booth.toml"), configuration).expect("written");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The citizen's words as a WAV file.
    fn speech(&self) -> PathBuf {
        let wav = self.path("speech.wav");
        if !wav.exists() {
            decode(&repository().join("tests/fixtures/speech/da.opus"), &wav);
        }
        wav
    }

    /// Starts it for the first or the second time.
    fn boot(&mut self, phase: &str) {
        std::fs::write(self.path("rig/phase"), phase).expect("written");
        let _ = std::fs::remove_file(self.path("rig.img"));
        run(
            "mke2fs",
            &[
                "-q",
                "-t",
                "ext4",
                "-d",
                text(&self.path("rig")),
                text(&self.path("rig.img")),
                "200M",
            ],
        );
        (self.told, self.began) = (0, Instant::now());
        let _ = std::fs::remove_file(self.path("told"));
        let serial = |name: &str| format!("file:{}", text(&self.path(name)));
        let disk = |name: &str| format!("file={},if=virtio,format=raw", text(&self.path(name)));
        let socket = self.path("qtest.sock");
        let mut qemu = machine_clock::emulator("qemu-system-x86_64")
            .args([
                "-M",
                "q35",
                "-accel",
                "tcg,thread=single",
                "-cpu",
                "max",
                "-m",
                "1024",
                "-icount",
                "shift=1,sleep=on",
            ])
            .args(["-display", "none", "-no-reboot", "-nodefaults"])
            .arg("-kernel")
            .arg(self.base.join("vmlinuz"))
            .arg("-initrd")
            .arg(self.base.join("initrd"))
            .args(["-append", "root=/dev/vda rw console=ttyS0 quiet"])
            .args(["-drive", &disk("root.img"), "-drive", &disk("rig.img")])
            .args([
                "-netdev",
                "user,id=net",
                "-device",
                // No boot from the network: its ROM is in a package of its own.
                "virtio-net-pci,netdev=net,romfile=",
            ])
            .args(Qtest::arguments(&socket))
            .args(Timer::Q35.arguments())
            .args(["-serial", &serial("console"), "-serial", &serial("told")])
            .stdin(Stdio::null())
            .spawn()
            .expect("qemu-system-x86_64 is installed by `make vm-test`");
        let mut qtest = Qtest::connect(&socket, &mut qemu, |_| ());
        qtest.begin(Timer::Q35);
        self.qemu = Some((qemu, qtest));
    }

    /// Waits until the script inside says this.
    fn says(&mut self, wanted: &str) {
        let what = format!("the machine says {wanted:?}");
        let said = machine_clock::wait(self, &what, LIMIT_S, |machine| {
            let is_said = machine.has_said(wanted);
            if !is_said {
                std::thread::park_timeout(Duration::from_millis(200));
            }
            is_said.then_some(())
        });
        if let Err(over) = said {
            let console = std::fs::read(self.path("console")).unwrap_or_default();
            let console = String::from_utf8_lossy(&console);
            let tail: Vec<&str> = console.lines().rev().take(30).collect();
            panic!(
                "the machine never said {wanted:?} ({over:?}):\n{}\nconsole, newest first:\n{}",
                self.all(),
                tail.join("\n")
            );
        }
    }

    fn all(&self) -> String {
        let all = std::fs::read(self.path("told")).unwrap_or_default();
        String::from_utf8_lossy(&all).replace('\r', "")
    }

    /// Whether the script inside has said this; what is new is shown.
    fn has_said(&mut self, wanted: &str) -> bool {
        let all = self.all();
        let lines: Vec<&str> = all.lines().collect();
        for line in lines
            .iter()
            .skip(self.told)
            .filter(|line| line.starts_with("vm:"))
        {
            eprintln!("{:>5.0} s  {line}", self.began.elapsed().as_secs_f64());
        }
        self.told = lines.len();
        lines
            .iter()
            .any(|line| line.starts_with("vm:") && line.contains(wanted))
    }

    /// The trace of the contacts that it printed.
    fn trace(&self) -> String {
        let all = std::fs::read(self.path("told")).expect("it has said something");
        let all = String::from_utf8_lossy(&all).replace('\r', "");
        let lines = all.lines().filter_map(|line| line.strip_prefix("trace: "));
        lines.map(|line| format!("{line}\n")).collect()
    }

    /// The figures that it told: what, value, bar, how many.
    fn figures(&self) -> Vec<Vec<String>> {
        let all = std::fs::read(self.path("told")).expect("it has said something");
        let all = String::from_utf8_lossy(&all).replace('\r', "");
        let lines = all
            .lines()
            .filter_map(|line| line.strip_prefix("vm: figure: "));
        lines
            .map(|line| line.split('|').map(str::to_owned).collect())
            .collect()
    }

    /// The centre tells the booth to restart its machine, which does so in good order.
    fn is_told_to_restart(&mut self, broker_port: u16) {
        let now = Timestamp::now();
        let body = json!({
            "booth": "rundhoej-1",
            "command": "reboot",
            "issued_at": now.to_string(),
            "expires_at": (now + Duration::from_secs(24 * 3_600)).to_string(),
            "nonce": "once",
        });
        let body = body.to_string();
        let signature = minisign::sign(None, &self.city.sk, body.as_bytes(), None, None);
        let minisig = signature.expect("signed").into_string();
        let replies = "booth/1/up/rundhoej-1/reply/reboot".to_owned();
        let centre = Login::listening(broker_port, "centre", &[replies]);
        let topic = "booth/1/dn/rundhoej-1/cmd/reboot";
        centre.publish_at(topic, false, Signed { body, minisig }.to_json());
        let answer = machine_clock::wait(self, "the booth answers", LIMIT_S, |_| {
            centre.try_hear(Duration::from_millis(200))
        });
        let answer = answer.unwrap_or_else(|over| panic!("{over:?}:\n{}", self.all()));
        let answer: Value = serde_json::from_slice(&answer.payload).expect("JSON");
        assert_eq!(answer, json!({ "ok": 1, "restarting": 1 }));
        // A machine that restarts ends here, because QEMU was told so.
        let on = machine_clock::wait(self, "the machine restarts", LIMIT_S, |_| {
            std::thread::park_timeout(Duration::from_millis(200));
            None::<()>
        });
        assert_eq!(on, Err(machine_clock::Over::Ended), "{}", self.all());
        let (mut qemu, _) = self.qemu.take().expect("it ran");
        assert!(qemu.wait().expect("an end").success());
        let console = std::fs::read(self.path("console")).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        assert!(console.contains("reboot: Restarting system"), "{console}");
    }

    /// The power goes.
    fn kill(&mut self) {
        if let Some((mut qemu, _)) = self.qemu.take() {
            let _ = qemu.kill();
            let _ = qemu.wait();
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
    }
}

fn configuration(broker_port: u16) -> String {
    // 10.0.2.2 is the host of QEMU's user network.
    format!(
        "[booth]\nid = \"rundhoej-1\"\n[mqtt]\nurl = \"mqtt://10.0.2.2:{broker_port}\"\n\
         [handset]\nhook = {{ line = 17, off_hook = \"low\" }}\ndial_pulse = {{ line = 22 }}\n\
         dial_off_normal = {{ line = 23 }}\ntamper = {{ line = 25 }}\nlamp = {{ line = 27 }}\n\
         [audio]\ninput = \"plughw:CARD=mic,DEV=1\"\noutput = \"plughw:CARD=ear,DEV=0\"\n\
         [spool]\nreserve_bytes = 1_000_000\n[privacy]\nseal = false\n[selftest]\ntone = \"tell\"\n[session]\nprompts = \"prompts\"\n\
         [[question]]\nid = \"square\"\ndigit = 1\nkind = \"speak\"\n\
         [[question]]\nid = \"bus\"\ndigit = 2\nkind = \"speak\"\n"
    )
}

#[test]
#[ignore = "make vm-test: it needs a machine of its own and some minutes"]
fn a_booth_on_real_kernel_interfaces_delivers_what_was_said_and_survives_its_power() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let mut machine = Machine::new(broker.port);
    machine.boot("first");
    for step in [
        "lines on gpiochip",
        "started as booth-gateway",
        "ready",
        "kept",
        "confirmed",
        "the card's loss was noticed",
        "the card is back",
        "stopped",
        "started again",
        "CUT THE POWER",
    ] {
        machine.says(step);
    }
    let said = samples(&machine.speech());
    let stored = clips(&home);
    assert_eq!(stored.len(), 1, "{stored:?}");
    check(&stored[0], &said);
    // What the kernel stamped, decoded once more.
    let trace = machine.trace();
    if let Ok(path) = std::env::var("KEEP_TRACE") {
        std::fs::write(path, &trace).expect("written");
    }
    let events = Trace::parse(&trace).expect("a trace").replay();
    let dialled = HandsetEvent::Key(Key::Digit(2), KeySource::Dial);
    assert_eq!(
        events,
        [HandsetEvent::Lifted, dialled, HandsetEvent::HungUp]
    );
    machine.kill();

    machine.boot("second");
    for step in ["ready", "confirmed after the power cut", "DONE"] {
        machine.says(step);
    }
    let after = clips(&home);
    assert_eq!(after.len(), 2, "{after:?}");
    for clip in &after {
        check(clip, &said);
    }
    // What was dialled is what was asked, and both citizens hung up.
    let store = rusqlite::Connection::open(home.path().join("store/hub.sqlite")).expect("a store");
    let mut query = store
        .prepare("SELECT question_id, ended_by, recovered FROM clip")
        .expect("a query");
    let rows: Vec<(String, String, u8)> = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .expect("rows")
        .map(|row| row.expect("a row"))
        .collect();
    assert_eq!(rows, vec![("bus".into(), "hang_up".into(), 0); 2]);

    machine.is_told_to_restart(broker.port);
    machine.boot("third");
    for step in ["ready", "restarted once", "DONE"] {
        machine.says(step);
    }
    drop(hub);
}

#[test]
#[ignore = "make vm-test, make bench: it needs a machine of its own and some minutes"]
fn the_figures_of_a_booth_on_a_kernel_sound_card() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let _hub = Hub::start(&home);
    let mut machine = Machine::new(broker.port);
    machine.boot("figures");
    machine.says("DONE");
    let figures = machine.figures();
    println!("in the virtual machine, in software emulation:");
    println!("{:<62} {:>8}  {:<6} n", "figure", "value", "bar");
    for figure in &figures {
        let [what, value, bar, n] = &figure[..] else {
            panic!("no figure: {figure:?}");
        };
        println!("{what:<62} {value:>8}  {bar:<6} {n}");
    }
    let of = |what: &str| -> Vec<f64> {
        let of = figures.iter().filter(|figure| figure[0].starts_with(what));
        of.map(|figure| figure[1].parse().expect("a number"))
            .collect()
    };
    assert_eq!(of("edges lost"), [0.0]);
    assert_eq!(of("edges out of order"), [0.0]);
    assert_eq!(of("ratio").len(), 2);
    assert_eq!(of("a card that is pulled").len(), 1);
    assert_eq!(of("the contacts' thread").len(), 1);
}

#[test]
#[ignore = "make vm-test: it needs QEMU"]
fn an_emulated_computer_that_never_speaks_is_given_up_by_its_own_clock() {
    struct Computer(Child, Qtest);
    impl Guest for Computer {
        fn clock_s(&mut self) -> Option<f64> {
            self.1.clock_s(Timer::Q35)
        }

        fn has_ended(&mut self) -> bool {
            self.0.try_wait().is_ok_and(|status| status.is_some())
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("qtest.sock");
    let mut qemu = Command::new("qemu-system-x86_64")
        .args(["-M", "q35", "-display", "none", "-nodefaults"])
        .args(["-accel", "tcg,thread=single", "-icount", "shift=1,sleep=on"])
        .args(Qtest::arguments(&socket))
        .stdin(Stdio::null())
        .spawn()
        .expect("qemu-system-x86_64 is installed by `make vm-test`");
    let mut qtest = Qtest::connect(&socket, &mut qemu, |_| ());
    qtest.begin(Timer::Q35);
    let mut computer = Computer(qemu, qtest);
    let silent = machine_clock::wait(&mut computer, "it speaks", 2.0, |_| None::<()>);
    let _ = computer.0.kill();
    let _ = computer.0.wait();
    assert!(
        matches!(silent, Err(machine_clock::Over::TooLate(passed)) if passed > 2.0),
        "{silent:?}"
    );
    let gone = machine_clock::wait(&mut computer, "it speaks", 2.0, |_| None::<()>);
    assert_eq!(gone, Err(machine_clock::Over::Ended));
}
