//! A machine without a firmware of its own: QEMU's `virt` with the card, and the test in the firmware's place.
//!
//! Owns: what the firmware decides (slot, one-shot flag, kernel, command line), QEMU, the handset's contacts and lamp from outside
//! (its PL061 chip by qtest), the cable of the network (QMP), and the rig inside (`rig.sh`). Never does: change the image.
//! Time inside is counted in instructions, so that sound and scheduling do not depend on how busy this machine is, and whatever is
//! waited for is waited for by that time (`machine_clock`).

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::card::{BOOTH, Card, SECTOR};
use super::crash;
use super::{repository, run, text};
use booth_testkit::blockdev::{Event, Trace, What};
use booth_testkit::machine_clock::{
    EMULATOR, Guest, Over, Qtest, Timer, emulator, patiently, wait,
};

/// Longest that one thing may take that the test waits for, s of the machine's own clock.
const LIMIT_S: f64 = 900.0;
/// The same for a machine whose idle time passes at once.
const LIMIT_SKIPPING_S: f64 = 4.0 * 3600.0;
/// Between two looks at what a machine does.
const REST: Duration = Duration::from_millis(200);
/// The lines of the handset on the machine's own GPIO chip; 3 is its power button.
pub const HOOK: u8 = 0;
pub const PULSE: u8 = 1;
pub const OFF_NORMAL: u8 = 2;
pub const LAMP: u8 = 5;
/// The one-shot flag of the Raspberry Pi's firmware arrives here.
const FLAG: &str = "rig.tryboot";

/// A line that a machine said, or the end of it.
type Lines = Receiver<String>;

/// How a machine is built.
#[derive(Debug, Clone)]
pub struct Build {
    pub memory_mib: u32,
    /// Every write of the card is kept, for [`Board::collect`].
    pub log_writes: bool,
    /// Idle time passes at once instead of as on a clock.
    pub skips_idle: bool,
    pub has_network: bool,
}

impl Default for Build {
    fn default() -> Self {
        Self {
            memory_mib: 512,
            log_writes: false,
            skips_idle: false,
            has_network: true,
        }
    }
}

/// A board with its card: what stays when the power goes.
pub struct Board {
    folder: tempfile::TempDir,
    pub card: Card,
    began: Instant,
    /// Every write of the card since it was new, as far as it was asked for.
    pub trace: Trace,
}

impl Board {
    pub fn new(image: &Path, bytes: u64) -> Self {
        let base = repository().join("target/image");
        std::fs::create_dir_all(&base).expect("a folder");
        let folder = tempfile::tempdir_in(&base).expect("a folder");
        let card = Card::write(image, folder.path().join("card.img"), bytes);
        Self {
            folder,
            card,
            began: Instant::now(),
            trace: Trace {
                events: Vec::new(),
                bytes,
            },
        }
    }

    /// What the machine that ran last has written, if it was started with [`Build::log_writes`].
    pub fn collect(&mut self) {
        let log = self.path("writes");
        let more = crash::read_log(&log, self.trace.bytes);
        self.trace.events.extend(more.events);
        std::fs::remove_file(log).expect("removed");
    }

    /// The card in a technician's laptop: what changes on BOOTH counts as one write that was finished.
    pub fn technician(&mut self, what: &str, changes: impl FnOnce(&Card)) {
        self.note(&format!("the technician {what}"));
        let before = self.card.partition_bytes(BOOTH);
        changes(&self.card);
        let after = self.card.partition_bytes(BOOTH);
        let differs = |at: &usize| before[*at] != after[*at];
        let Some(first) = (0..after.len()).find(differs) else {
            return;
        };
        let last = (0..after.len()).rfind(differs).unwrap_or(first);
        let (first, end) = (first / 512 * 512, (last / 512 + 1) * 512);
        let offset = self.card.partition(BOOTH).start * SECTOR + first as u64;
        let write = What::Write(offset, after[first..end].to_vec());
        for what in [
            What::Flush,
            write,
            What::Flush,
            What::Mark(crash::TECHNICIAN.into()),
        ] {
            self.trace.events.push(Event { at_us: 0, what });
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the machine that ran last has said; one that said nothing never ran.
    pub fn console(&self) -> String {
        let said = read_console(&self.path("console"));
        assert!(!said.is_empty(), "the machine has said nothing");
        said
    }

    /// Something the test has done or seen, with the time.
    pub fn note(&self, what: &str) {
        eprintln!("{:>5.0} s  ## {what}", self.began.elapsed().as_secs_f64());
    }

    /// The disk with the test's own things: what lies in `rig/`, and the script.
    fn make_rig(&self) {
        let (rig, image) = (self.path("rig"), self.path("rig.img"));
        std::fs::create_dir_all(&rig).expect("a folder");
        std::fs::copy(repository().join("tests/image/rig.sh"), rig.join("rig.sh")).expect("copied");
        let _ = std::fs::remove_file(&image);
        run(
            "mke2fs",
            &["-q", "-t", "ext4", "-d", text(&rig), text(&image), "32M"],
        );
    }

    /// Power on, or started again with the flag that was left.
    pub fn start(&self, is_trial: bool, build: &Build) -> Machine {
        let due = self.card.due(is_trial);
        self.note(&format!(
            "the firmware starts partition {due}, trial: {is_trial}"
        ));
        let line = self.card.read(due, "cmdline.txt").unwrap_or_default();
        for name in ["kernel8.img", "initrd.zst"] {
            let is_there = self.card.copy_out(due, name, &self.path(name));
            assert!(
                is_there,
                "partition {due} has no {name}: the firmware stops"
            );
        }
        self.make_rig();
        let unit = "[Unit]\nAfter=systemd-udevd.service\n[Service]\nType=exec\nTimeoutStopSec=1\n\
                    ExecStart=/bin/sh -c \"modprobe virtio_console; udevadm settle; \
                    mkdir -p /run/rig && mount -o ro /dev/vdb /run/rig && exec sh /run/rig/rig.sh serve\"\n";
        std::fs::write(self.path("unit"), unit).expect("written");
        let unit =
            String::from_utf8(run("base64", &["-w0", text(&self.path("unit"))])).expect("text");
        // The sound card and the ports are there as those of a board are: before anything asks for them.
        let line = format!(
            "{} console=ttyAMA0 booth.tryboot=/dev/virtio-ports/{FLAG} modules_load=snd_aloop,virtio_console \
             snd_aloop.enable=1,1 snd_aloop.index=0,1 snd_aloop.id=mic,ear \
             systemd.set_credential_binary=systemd.extra-unit.rig.service:{unit} systemd.wants=rig.service",
            line.trim()
        );
        Machine::start(self, &line, build)
    }
}

/// Nothing before the machine has begun to speak.
fn read_console(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A Raspberry Pi 3B as QEMU knows it, with the card in its slot and the device tree of the card; its console from the beginning
/// until `wanted` stands there. QEMU has no firmware here either; its serial port is the one that Bluetooth has on the board.
pub fn raspberry_pi(board: &Board, script: &str, wanted: &str) -> String {
    let slot = board.card.due(false);
    let tree = board.path("tree.dtb");
    for (name, to) in [
        ("kernel8.img", "kernel8.img"),
        ("initrd.zst", "initrd.zst"),
        ("bcm2837-rpi-3-b.dtb", "tree.dtb"),
    ] {
        assert!(board.card.copy_out(slot, name, &board.path(to)), "{name}");
    }
    run(
        "fdtput",
        &["-r", text(&tree), "/soc/serial@7e201000/bluetooth"],
    );
    let unit = format!(
        "[Unit]\nAfter=booth-gateway.service\n[Service]\nType=oneshot\nStandardOutput=tty\nStandardError=tty\nTTYPath=/dev/console\n\
         ExecStart=/bin/sh -c \"echo {} | base64 -d | sh\"\n",
        base64(script)
    );
    let line = board.card.read(slot, "cmdline.txt").unwrap_or_default();
    // QEMU's watchdog of this board bites the moment it is switched on.
    let line = format!(
        "{} console=ttyAMA0,115200 systemd.watchdog_sec=0 systemd.set_credential_binary=systemd.extra-unit.rig.service:{} systemd.wants=rig.service",
        line.trim(),
        base64(&unit)
    );
    let console = board.path("console");
    let socket = board.path("qtest.sock");
    let qemu = emulator("qemu-system-aarch64")
        .args([
            "-M",
            "raspi3b",
            "-display",
            "none",
            "-no-reboot",
            "-nodefaults",
        ])
        .args(counted(true))
        .args(Qtest::arguments(&socket))
        .args(["-kernel", text(&board.path("kernel8.img"))])
        .args(["-initrd", text(&board.path("initrd.zst"))])
        .args(["-dtb", text(&tree), "-append", &line])
        .args([
            "-drive",
            &format!("file={},format=raw,if=sd", text(&board.card.file)),
        ])
        .args([
            "-serial",
            &format!("file:{}", text(&console)),
            "-serial",
            "null",
        ])
        .stdin(Stdio::null())
        .spawn()
        .expect("qemu-system-aarch64 is installed by `make image-test`");
    let mut machine = Bare::new(qemu, &socket, Timer::RaspberryPi3);
    let said = wait(&mut machine, wanted, LIMIT_S, |_| {
        let said = read_console(&console);
        let is_there = said.contains(wanted);
        if !is_there {
            std::thread::park_timeout(REST);
        }
        is_there.then_some(said)
    });
    said.unwrap_or_else(|over| {
        panic!(
            "it never said {wanted:?} ({over:?}); its console:\n{}",
            read_console(&console)
        )
    })
}

/// A machine of which nothing is known but its timer. Ended with the value.
pub struct Bare {
    qemu: Child,
    qtest: Qtest,
    timer: Timer,
}

impl Bare {
    fn new(mut qemu: Child, socket: &Path, timer: Timer) -> Self {
        let qtest = Qtest::connect(socket, &mut qemu, |_| ());
        Self { qemu, qtest, timer }
    }

    /// A board that computes and never says anything: its only instruction jumps to itself. Each counts as so many ns.
    pub fn that_computes(board: &str, timer: Timer, folder: &Path, shift: u32) -> Self {
        let (kernel, socket) = (folder.join("kernel"), folder.join("qtest.sock"));
        // Of the board before; a name made of the board's would have a comma, which ends an option of QEMU's.
        let _ = std::fs::remove_file(&socket);
        std::fs::write(&kernel, 0x1400_0000_u32.to_le_bytes()).expect("a file");
        let count = format!("shift={shift},sleep=on");
        let qemu = emulator("qemu-system-aarch64")
            .args(["-M", board, "-display", "none", "-nodefaults"])
            .args(["-accel", "tcg,thread=single", "-icount", &count])
            .args(timer.arguments())
            .args(Qtest::arguments(&socket))
            .args(["-kernel", text(&kernel)])
            .stdin(Stdio::null())
            .spawn()
            .expect("qemu-system-aarch64 is installed by `make image-test`");
        Self::new(qemu, &socket, timer)
    }

    /// Its power goes.
    pub fn cut(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

impl Guest for Bare {
    fn clock_s(&mut self) -> Option<f64> {
        self.qtest.clock_s(self.timer)
    }

    fn has_ended(&mut self) -> bool {
        self.qemu.try_wait().is_ok_and(|status| status.is_some())
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.cut();
    }
}

/// How a machine computes: one instruction after the other, its time by their number; `is_idle_slow` says that idle time passes as on
/// a clock outside.
fn counted(is_idle_slow: bool) -> [String; 4] {
    let sleep = if is_idle_slow { "on" } else { "off" };
    [
        "-accel".into(),
        "tcg,thread=single".into(),
        "-icount".into(),
        format!("{},sleep={sleep}", speed()),
    ]
}

/// The contacts and the lamp from outside, by QEMU's qtest; what their chip does comes unasked between the answers.
struct Contacts {
    qtest: Qtest,
    chip: String,
    /// Every change: is it on?
    lamp: Arc<Mutex<Vec<bool>>>,
}

impl Contacts {
    fn connect(path: &Path, qemu: &mut Child, chip: String) -> Self {
        let lamp: Arc<Mutex<Vec<bool>>> = Arc::default();
        let seen = lamp.clone();
        let of_lamp = [format!("IRQ raise {LAMP}"), format!("IRQ lower {LAMP}")];
        let mut qtest = Qtest::connect(path, qemu, move |line| {
            if of_lamp.iter().any(|change| change == line) {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.push(line == of_lamp[0]);
            }
        });
        let ask = format!("irq_intercept_out {chip}");
        qtest.ask(&ask).expect("QEMU runs");
        Self { qtest, chip, lamp }
    }

    fn set(&mut self, line: u8, level: u8) {
        let ask = format!("set_irq_in {} unnamed-gpio-in {line} {level}", self.chip);
        self.qtest.ask(&ask).expect("QEMU runs");
    }
}

/// QEMU's own monitor.
struct Monitor {
    qmp: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Monitor {
    fn connect(path: &Path, qemu: &mut Child) -> Self {
        let qmp = patiently(qemu, || UnixStream::connect(path).ok());
        qmp.set_read_timeout(Some(EMULATOR)).expect("set");
        let lines = BufReader::new(qmp.try_clone().expect("a socket"));
        let mut monitor = Self { qmp, lines };
        monitor.line();
        monitor.ask(r#"{"execute":"qmp_capabilities"}"#);
        monitor
    }

    fn line(&mut self) -> serde_json::Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("QEMU answers");
        serde_json::from_str(&line).expect("JSON")
    }

    fn ask(&mut self, what: &str) -> serde_json::Value {
        writeln!(self.qmp, "{what}").expect("asked");
        loop {
            let mut answer = self.line();
            assert!(answer.get("error").is_none(), "{what}: {answer}");
            if answer.get("return").is_some() {
                return answer["return"].take();
            }
        }
    }

    /// Where the machine's GPIO chip is in QEMU's tree.
    fn chip(&mut self) -> String {
        let all = self.ask(r#"{"execute":"qom-list","arguments":{"path":"/machine/unattached"}}"#);
        let all = all.as_array().expect("a list");
        let chip = all
            .iter()
            .find(|node| node["type"] == "child<pl061>")
            .expect("a PL061");
        format!(
            "/machine/unattached/{}",
            chip["name"].as_str().expect("a name")
        )
    }
}

/// A machine that runs. Dropped, its power goes.
pub struct Machine {
    qemu: Child,
    began: Instant,
    contacts: Contacts,
    monitor: Monitor,
    agent: UnixStream,
    said: Lines,
    is_up: bool,
    console: PathBuf,
    flag: PathBuf,
    /// Longest that it is waited for, s of its own clock.
    limit_s: f64,
}

impl Guest for Machine {
    fn clock_s(&mut self) -> Option<f64> {
        self.contacts.qtest.clock_s(Timer::Virt)
    }

    fn has_ended(&mut self) -> bool {
        self.qemu.try_wait().is_ok_and(|status| status.is_some())
    }
}

impl Machine {
    fn start(board: &Board, line: &str, build: &Build) -> Self {
        let (console, flag) = (board.path("console"), board.path("flag"));
        for name in ["console", "flag", "agent.sock", "qtest.sock", "qmp.sock"] {
            let _ = std::fs::remove_file(board.path(name));
        }
        let socket = |name: &str| format!("unix:{},server=on,wait=off", text(&board.path(name)));
        let mut command = emulator("qemu-system-aarch64");
        command
            .args(["-M", "virt,gic-version=3", "-cpu", "cortex-a53"])
            .args(["-m", &build.memory_mib.to_string()])
            .args(counted(!build.skips_idle))
            .args(Timer::Virt.arguments())
            .args(["-display", "none", "-no-reboot", "-nodefaults", "-S"])
            .args(Qtest::arguments(&board.path("qtest.sock")))
            .args(["-qmp", &socket("qmp.sock")])
            .args(["-kernel", text(&board.path("kernel8.img"))])
            .args(["-initrd", text(&board.path("initrd.zst"))])
            .args(["-append", line]);
        // The power cut is made of the log of writes, so that no flush has to reach this machine's disk.
        let file = format!(
            "driver=file,filename={},node-name=file,cache.no-flush=on",
            text(&board.card.file)
        );
        command.args([
            "-blockdev",
            &file,
            "-blockdev",
            "driver=raw,file=file,node-name=raw",
        ]);
        let mut node = "raw";
        if build.log_writes {
            let log = board.path("writes");
            std::fs::write(&log, "").expect("a log");
            let file = format!(
                "driver=file,filename={},node-name=log,cache.no-flush=on",
                text(&log)
            );
            node = "logged";
            let log = "driver=blklogwrites,file=raw,log=log,log-sector-size=512,node-name=logged";
            command.args(["-blockdev", &file, "-blockdev", log]);
        }
        command.args(["-device", &format!("virtio-blk-pci,drive={node}")]);
        let rig = format!(
            "file={},format=raw,if=none,id=rig,readonly=on",
            text(&board.path("rig.img"))
        );
        command.args(["-drive", &rig, "-device", "virtio-blk-pci,drive=rig"]);
        if build.has_network {
            command.args([
                "-netdev",
                "user,id=net",
                "-device",
                // No boot from the network: its ROM is in a package of its own.
                "virtio-net-pci,netdev=net,id=cable,romfile=",
            ]);
        }
        let mut qemu = command
            .args(["-device", "virtio-serial-pci"])
            .args([
                "-chardev",
                &format!(
                    "socket,id=agent,path={},server=on,wait=off",
                    text(&board.path("agent.sock"))
                ),
            ])
            .args(["-device", "virtserialport,chardev=agent,name=rig.agent"])
            .args(["-chardev", &format!("file,id=flag,path={}", text(&flag))])
            .args([
                "-device",
                &format!("virtserialport,chardev=flag,name={FLAG}"),
            ])
            .args(["-serial", &format!("file:{}", text(&console))])
            .stdin(Stdio::null())
            .spawn()
            .expect("qemu-system-aarch64 is installed by `make image-test`");
        let mut monitor = Monitor::connect(&board.path("qmp.sock"), &mut qemu);
        let mut contacts = Contacts::connect(&board.path("qtest.sock"), &mut qemu, monitor.chip());
        // At rest: on its hook, the dial's pulse contact closed.
        for (line, level) in [(HOOK, 1), (PULSE, 0), (OFF_NORMAL, 1)] {
            contacts.set(line, level);
        }
        let agent = patiently(&mut qemu, || {
            UnixStream::connect(board.path("agent.sock")).ok()
        });
        let lines = BufReader::new(agent.try_clone().expect("a socket"));
        let (tell, said) = channel();
        std::thread::spawn(move || {
            for line in lines.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).replace('\r', "");
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        monitor.ask(r#"{"execute":"cont"}"#);
        Self {
            qemu,
            began: board.began,
            contacts,
            monitor,
            agent,
            said,
            is_up: false,
            console,
            flag,
            limit_s: if build.skips_idle {
                LIMIT_SKIPPING_S
            } else {
                LIMIT_S
            },
        }
    }

    /// Since the test began, s outside; for the reader of the run.
    fn clock(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// What the kernel and the initrd have written on the console.
    pub fn console(&self) -> String {
        read_console(&self.console)
    }

    /// Waits by the machine's own clock; what was not found in time fails with the console.
    pub fn until<T>(&mut self, what: &str, probe: impl FnMut(&mut Self) -> Option<T>) -> T {
        let found = wait(self, what, self.limit_s, probe);
        found.unwrap_or_else(|over| {
            panic!(
                "not seen: {what} ({over:?}); its console:\n{}",
                self.console()
            )
        })
    }

    /// The rig's next line; none once the machine has ended.
    fn next(&mut self) -> Option<String> {
        let limit = self.limit_s;
        let line = wait(
            self,
            "the machine says something",
            limit,
            |machine| match machine.said.recv_timeout(REST) {
                Ok(line) => Some(Some(line)),
                Err(RecvTimeoutError::Disconnected) => Some(None),
                Err(RecvTimeoutError::Timeout) => None,
            },
        );
        match line {
            Ok(line) => line,
            Err(Over::Ended) => None,
            Err(late) => panic!(
                "the machine says nothing ({late:?}); its console:\n{}",
                self.console()
            ),
        }
    }

    /// Runs a script inside, gives each line to `each` when it comes; the status, or none when the machine ended meanwhile.
    pub fn script(&mut self, script: &str, mut each: impl FnMut(&mut Self, &str)) -> Option<i32> {
        while !self.is_up {
            let line = self.next()?;
            self.is_up = line == "rig-up";
        }
        let encoded = base64(script);
        writeln!(self.agent, "{encoded}").ok()?;
        loop {
            let line = self.next()?;
            match line.strip_prefix("rig-end ") {
                Some(status) => return status.parse().ok(),
                None if line.is_empty() => {}
                None => each(self, &line),
            }
        }
    }

    /// The same; everything it writes is shown, and it has to end well.
    pub fn sh(&mut self, script: &str) -> String {
        let mut said = String::new();
        let status = self.script(script, |machine, line| {
            eprintln!("{:>5.0} s  {line}", machine.clock());
            said.push_str(line);
            said.push('\n');
        });
        if status != Some(0) {
            let log = "journalctl -b --no-pager -o short-monotonic | tail -n 120";
            let _ = self.script(log, |_, line| eprintln!("         {line}"));
            panic!(
                "{script}\nended with {status:?}; console:\n{}",
                self.console()
            );
        }
        said
    }

    /// The first line that it writes, without showing it.
    pub fn ask(&mut self, script: &str) -> String {
        let mut said = Vec::new();
        let status = self.script(script, |_, line| said.push(line.to_owned()));
        assert_eq!(
            status,
            Some(0),
            "{script}: {said:?}; console:\n{}",
            self.console()
        );
        said.into_iter().next().unwrap_or_default()
    }

    /// Seconds since the kernel's start.
    pub fn uptime(&mut self) -> f64 {
        self.ask("uptime").parse().expect("seconds")
    }

    pub fn wait_for(&mut self, what: &str, times: u32) {
        self.sh(&format!(
            "wait_for '{what}' {times} && echo \"[$(uptime) s] heard: {what}\""
        ));
    }

    /// Is the lamp steady? It is while a citizen can speak; every other language of it is dark within a second.
    pub fn has_steady_lamp(&mut self) -> bool {
        let changes = |machine: &Self| {
            machine
                .contacts
                .lamp
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        };
        let before = changes(self);
        self.ask("sleep 1.2");
        let after = changes(self);
        after.len() == before.len() && after.last().is_some_and(|is_on| *is_on)
    }

    /// How often the lamp has changed.
    pub fn lamp_changes(&self) -> usize {
        self.contacts
            .lamp
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    pub fn lift(&mut self) {
        self.contacts.set(HOOK, 0);
    }

    pub fn hang_up(&mut self) {
        self.contacts.set(HOOK, 1);
    }

    /// A rotary dial: ten pulses a second, 60 % break. The machine's own clock says when.
    pub fn dial(&mut self, digit: u8) {
        let mut steps = vec![(0.0, OFF_NORMAL, 0), (0.3, PULSE, 0)];
        for _ in 0..digit {
            steps.extend([(0.0, PULSE, 1), (0.06, PULSE, 0), (0.04, PULSE, 0)]);
        }
        steps.push((0.05, OFF_NORMAL, 1));
        let rests: Vec<String> = steps.iter().map(|(rest, ..)| rest.to_string()).collect();
        let ticks = format!(
            "perl -e '$| = 1; for (@ARGV) {{ select undef, undef, undef, $_; print \"tick\\n\" }}' {}",
            rests.join(" ")
        );
        let mut steps = steps.into_iter();
        let status = self.script(&ticks, |machine, line| {
            if let Some((_, line, level)) = steps.next().filter(|_| line == "tick") {
                machine.contacts.set(line, level);
            }
        });
        assert!(status == Some(0) && steps.next().is_none());
    }

    pub fn plug_network(&mut self, is_in: bool) {
        let ask =
            format!(r#"{{"execute":"set_link","arguments":{{"name":"cable","up":{is_in}}}}}"#);
        self.monitor.ask(&ask);
    }

    /// Waits until the console has this; the line.
    pub fn console_says(&mut self, wanted: &str) -> String {
        self.until(&format!("the console has {wanted:?}"), |machine| {
            let console = machine.console();
            let line = console.lines().find(|line| line.contains(wanted));
            if line.is_none() {
                std::thread::park_timeout(REST);
            }
            line.map(str::to_owned)
        })
    }

    /// Waits until it has ended by itself (power off, or a restart); the one-shot flag that it left.
    pub fn ends(mut self) -> bool {
        let limit = self.limit_s;
        let ended = wait(&mut self, "it ends by itself", limit, |machine| {
            let _ = machine.said.recv_timeout(REST);
            machine.has_ended().then_some(())
        });
        // Its clock may be gone a moment before its process.
        if let Err(over @ Over::TooLate(_)) = ended {
            panic!(
                "it does not end ({over:?}); its console:\n{}",
                self.console()
            );
        }
        let _ = self.qemu.wait();
        let written = std::fs::read_to_string(&self.flag).unwrap_or_default();
        written.trim_end().ends_with('1')
    }

    /// The power goes: at once, with nothing of the guest's own memory on the card.
    pub fn cut(mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// Instructions a second, as QEMU counts them: `shift=0` is 1,000 M. A Raspberry Pi 3B+ does about as many on one of its four cores.
fn speed() -> String {
    std::env::var("BOOTH_ICOUNT").unwrap_or_else(|_| "shift=0".into())
}

fn base64(script: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for three in script.as_bytes().chunks(3) {
        let bits = three
            .iter()
            .fold(0u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            encoded.push(if place <= three.len() {
                digit as char
            } else {
                '='
            });
        }
    }
    encoded
}
