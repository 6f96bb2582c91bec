//! The image of `make image`, booted as it is: the card that a technician writes, `booth.toml` put on it, hook and speech from
//! the kernel's simulated lines and sound card, broker and hub outside. The test plays the firmware: it reads the card as the
//! Raspberry Pi's does and starts what it names. What is done inside comes from outside, by the kernel's command line and a
//! second disk. `make image-test` runs it; in software emulation, where times say nothing of a Raspberry Pi.
#![allow(clippy::disallowed_methods)]

#[path = "support/hub.rs"]
#[allow(dead_code)]
mod hub;
#[path = "support/wait.rs"]
#[allow(dead_code)]
mod wait;
#[path = "support/words.rs"]
mod words;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hub::{Broker, Home, Hub};
use words::{check, clips, decode, samples};

/// Longest that one boot may take with all it does.
const PATIENCE: Duration = Duration::from_secs(900);
const SECTOR: u64 = 512;

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a name")
}

fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; `make image-test` installs it"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        output.status
    );
    output.stdout
}

/// The image that was built last.
fn image() -> PathBuf {
    let folder = repository().join("target/image/work/card");
    let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    files
        .map(|file| file.path())
        .find(|path| path.extension().is_some_and(|kind| kind == "img"))
        .expect("an image; run `make image` first")
}

/// A card with the image on it.
struct Card {
    file: PathBuf,
}

impl Card {
    fn write(folder: &Path, bytes: u64) -> Self {
        let file = folder.join("card.img");
        run("cp", &["--sparse=always", text(&image()), text(&file)]);
        let card = std::fs::File::options()
            .write(true)
            .open(&file)
            .expect("a card");
        card.set_len(bytes).expect("its size");
        Self { file }
    }

    /// Type, first sector and sectors of a primary partition, 1 to 4, as the boot ROM reads them.
    fn partition(&self, number: usize) -> (u8, u64, u64) {
        use std::os::unix::fs::FileExt;
        let mut record = [0; 512];
        let card = std::fs::File::open(&self.file).expect("a card");
        card.read_exact_at(&mut record, 0).expect("an MBR");
        assert_eq!(&record[510..], [0x55, 0xaa], "no MBR");
        let entry = &record[446 + 16 * (number - 1)..][..16];
        let word =
            |at: usize| u64::from(u32::from_le_bytes(entry[at..at + 4].try_into().expect("4")));
        (entry[4], word(8), word(12))
    }

    /// The partition as mtools names it.
    fn fat(&self, number: usize) -> String {
        let (_, start, _) = self.partition(number);
        format!("{}@@{}", text(&self.file), start * SECTOR)
    }

    fn read(&self, number: usize, name: &str) -> String {
        let bytes = run("mtype", &["-i", &self.fat(number), &format!("::{name}")]);
        String::from_utf8(bytes).expect("text")
    }

    fn put(&self, number: usize, file: &Path, name: &str) {
        run(
            "mcopy",
            &[
                "-s",
                "-o",
                "-i",
                &self.fat(number),
                text(file),
                &format!("::{name}"),
            ],
        );
    }

    /// Which partition the firmware starts: `boot_partition` of `[all]` in `autoboot.txt`.
    fn slot(&self) -> usize {
        let choice = self.read(1, "autoboot.txt");
        let (_, all) = choice.split_once("[all]").expect("[all]");
        let all = all.split("\n[").next().expect("a section");
        let line = all
            .lines()
            .find_map(|line| line.strip_prefix("boot_partition="));
        line.and_then(|number| number.parse().ok())
            .expect("a partition")
    }
}

/// A machine without a firmware of its own.
struct Machine {
    folder: tempfile::TempDir,
    card: Card,
    qemu: Option<Child>,
    began: Instant,
    told: usize,
}

impl Machine {
    fn new() -> Self {
        let base = repository().join("target/image");
        std::fs::create_dir_all(&base).expect("a folder");
        let folder = tempfile::tempdir_in(&base).expect("a folder");
        let card = Card::write(folder.path(), 2 << 30);
        let machine = Self {
            folder,
            card,
            qemu: None,
            began: Instant::now(),
            told: 0,
        };
        let rig = machine.path("rig");
        std::fs::create_dir(&rig).expect("a folder");
        std::fs::copy(repository().join("tests/image/run.sh"), rig.join("run.sh")).expect("copied");
        std::fs::copy(machine.speech(), rig.join("speech.wav")).expect("copied");
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
                "64M",
            ],
        );
        // What the firmware does.
        let slot = self.card.slot();
        for name in ["kernel8.img", "initrd.zst"] {
            let _ = std::fs::remove_file(self.path(name));
            run(
                "mcopy",
                &[
                    "-n",
                    "-i",
                    &self.card.fat(slot),
                    &format!("::{name}"),
                    text(&self.path(name)),
                ],
            );
        }
        let unit = "[Unit]\nBefore=booth-gateway.service\nAfter=systemd-udevd.service\n[Service]\nType=oneshot\n\
                    RemainAfterExit=yes\nExecStart=/bin/sh -c \"modprobe virtio_console; udevadm settle; \
                    mkdir -p /run/rig && mount -o ro /dev/vdb /run/rig && sh /run/rig/run.sh prepare\"\n\
                    ExecStartPost=systemd-run --no-block sh /run/rig/run.sh visit\n";
        std::fs::write(self.path("unit"), unit).expect("written");
        let unit =
            String::from_utf8(run("base64", &["-w0", text(&self.path("unit"))])).expect("text");
        let line = format!(
            "{} console=ttyAMA0 systemd.set_credential_binary=systemd.extra-unit.rig.service:{unit} \
             systemd.wants=rig.service",
            self.card.read(slot, "cmdline.txt").trim()
        );
        (self.told, self.began) = (0, Instant::now());
        let _ = std::fs::remove_file(self.path("told"));
        let disk = |name: &str, id: &str, more: &str| {
            format!(
                "file={},format=raw,if=none,id={id}{more}",
                text(&self.path(name))
            )
        };
        let qemu = Command::new("qemu-system-aarch64")
            .args([
                "-M",
                "virt,gic-version=3",
                "-cpu",
                "cortex-a53",
                "-m",
                "512",
            ])
            .args(["-accel", "tcg,thread=single", "-icount", "shift=1,sleep=on"])
            .args(["-display", "none", "-no-reboot", "-nodefaults"])
            .arg("-kernel")
            .arg(self.path("kernel8.img"))
            .arg("-initrd")
            .arg(self.path("initrd.zst"))
            .args(["-append", &line])
            .args(["-drive", &disk("card.img", "card", "")])
            .args(["-device", "virtio-blk-pci,drive=card"])
            .args(["-drive", &disk("rig.img", "rig", ",readonly=on")])
            .args(["-device", "virtio-blk-pci,drive=rig"])
            .args([
                "-netdev",
                "user,id=net",
                "-device",
                "virtio-net-pci,netdev=net",
            ])
            .args(["-device", "virtio-serial-pci"])
            .args([
                "-chardev",
                &format!("file,id=told,path={}", text(&self.path("told"))),
            ])
            .args(["-device", "virtserialport,chardev=told,name=rig.out"])
            .args(["-serial", &format!("file:{}", text(&self.path("console")))])
            .stdin(Stdio::null())
            .spawn()
            .expect("qemu-system-aarch64 is installed by `make image-test`");
        self.qemu = Some(qemu);
    }

    fn has_ended(&mut self) -> bool {
        self.qemu
            .as_mut()
            .is_none_or(|qemu| qemu.try_wait().is_ok_and(|status| status.is_some()))
    }

    /// Waits until the script inside says this.
    fn says(&mut self, wanted: &str) {
        loop {
            let has_ended = self.has_ended();
            let all = std::fs::read(self.path("told")).unwrap_or_default();
            let all = String::from_utf8_lossy(&all).replace('\r', "");
            let lines: Vec<&str> = all.lines().collect();
            for line in lines.iter().skip(self.told) {
                eprintln!("{:>5.0} s  {line}", self.began.elapsed().as_secs_f64());
            }
            self.told = lines.len();
            if lines
                .iter()
                .any(|line| line.starts_with("vm:") && line.contains(wanted))
            {
                return;
            }
            if has_ended || self.began.elapsed() > PATIENCE {
                let console = std::fs::read(self.path("console")).unwrap_or_default();
                panic!(
                    "the machine never said {wanted:?}; its console:\n{}",
                    String::from_utf8_lossy(&console)
                );
            }
            std::thread::park_timeout(Duration::from_millis(200));
        }
    }

    /// The power goes.
    fn kill(&mut self) {
        if let Some(mut qemu) = self.qemu.take() {
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
    // 10.0.2.2 is the host of QEMU's user network; the machine has a GPIO chip of its own before the simulated one.
    format!(
        "[booth]\nid = \"rundhoej-1\"\n[mqtt]\nurl = \"mqtt://10.0.2.2:{broker_port}\"\n\
         [handset]\nchip = \"/dev/gpiochip1\"\nhook = {{ line = 17, off_hook = \"low\" }}\n\
         dial_pulse = {{ line = 22 }}\ndial_off_normal = {{ line = 23 }}\nlamp = {{ line = 27 }}\n\
         [audio]\ninput = \"plughw:CARD=mic,DEV=1\"\noutput = \"plughw:CARD=ear,DEV=0\"\n\
         [privacy]\nseal = false\n[selftest]\ntone = \"tell\"\n[session]\nprompts = \"prompts\"\n\
         [[question]]\nid = \"square\"\ndigit = 1\nkind = \"speak\"\n\
         [[question]]\nid = \"bus\"\ndigit = 2\nkind = \"speak\"\n"
    )
}

#[test]
#[ignore = "make image-test: it needs the image and some minutes"]
fn the_image_as_it_is_grows_to_its_card_and_delivers_what_was_said() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let mut machine = Machine::new();
    let (kind, first, shipped) = machine.card.partition(4);
    assert_eq!(kind, 0xda, "nothing was ever kept on a new card");
    // All that a technician does.
    std::fs::write(machine.path("booth.toml"), configuration(broker.port)).expect("written");
    machine
        .card
        .put(1, &machine.path("booth.toml"), "booth.toml");
    machine
        .card
        .put(1, &repository().join("tests/fixtures/prompts"), "prompts");

    machine.boot("first");
    for step in [
        "data: made",
        "started as booth-gateway",
        "ready",
        "failed units: none",
        "inbound: 1",
        "logins: 0",
        "kept",
        "confirmed",
        "CUT THE POWER",
    ] {
        machine.says(step);
    }
    machine.kill();
    let (kind, start, grown) = machine.card.partition(4);
    assert_eq!((kind, start), (0x83, first));
    assert!(
        grown > shipped && (start + grown) * SECTOR == 2 << 30,
        "{grown} sectors"
    );
    let stored = clips(&home);
    assert_eq!(stored.len(), 1, "{stored:?}");

    machine.boot("second");
    for step in ["data: ", "ready", "DONE"] {
        machine.says(step);
    }
    assert_eq!(machine.card.partition(4), (kind, start, grown));
    // Last, because it is the strictest: no gap over 20 ms.
    check(&stored[0], &samples(&machine.speech()));
    drop(hub);
}
