//! The image's data partition, seen to by the initrd's own script on a card that is a file: made, grown, found whole, repaired,
//! moved aside, or told to be missing. The script runs unchanged in a root of its own, on the kernel's partitions and file systems.
#![allow(clippy::disallowed_methods)]

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use booth_testkit::mounting;

/// First sector of the data partition; what is before it belongs to others.
const FIRST: u64 = 2048;
const SECTOR: u64 = 512;

/// A card, in a machine that is started again for every look at it.
struct Card {
    folder: tempfile::TempDir,
}

/// What the script said, what `state` then is, and what was found.
#[derive(Debug)]
struct Boot {
    word: String,
    reason: String,
    /// Of what the shell said after the script: `state` can be written to or not, and what `words` has.
    told: String,
    /// Of the script and what it calls; shown where something fails.
    #[allow(dead_code)]
    said: String,
    sectors: u64,
    kind: u8,
}

impl Card {
    fn new(mib: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let card = Self { folder };
        let file = std::fs::File::create(card.file()).expect("a card");
        file.set_len(mib << 20).expect("its size");
        // An MBR as image/card.sh writes it, as far as its fourth entry: 8 MiB of type da.
        let mut record = [0; SECTOR as usize];
        record[440..444].copy_from_slice(&0x4b1b_00f5_u32.to_le_bytes());
        let entry = &mut record[446 + 3 * 16..][..16];
        entry[4] = 0xda;
        entry[8..12].copy_from_slice(&u32::try_from(FIRST).expect("small").to_le_bytes());
        entry[12..16].copy_from_slice(&16384_u32.to_le_bytes());
        record[510..].copy_from_slice(&[0x55, 0xaa]);
        file.write_all_at(&record, 0).expect("written");
        card
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("card.img")
    }

    fn open(&self) -> std::fs::File {
        std::fs::File::options()
            .read(true)
            .write(true)
            .open(self.file())
            .expect("a card")
    }

    /// Kind, first sector and sectors of the data partition.
    fn entry(&self) -> (u8, u64, u64) {
        let mut record = [0; SECTOR as usize];
        self.open().read_exact_at(&mut record, 0).expect("an MBR");
        let entry = &record[446 + 3 * 16..][..16];
        let word = |at: usize| u32::from_le_bytes(entry[at..at + 4].try_into().expect("four"));
        (entry[4], word(8).into(), word(12).into())
    }

    /// Starts the machine, runs `after` in it once the script has ended, and switches off.
    fn boot(&self, read_only: bool, after: &str) -> Boot {
        self.boot_as(false, read_only, after)
    }

    /// The same, perhaps by a version on trial.
    fn boot_as(&self, on_trial: bool, read_only: bool, after: &str) -> Boot {
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("image/system/usr/lib/booth/data-partition");
        let machine = format!(
            r#"set -eu
            cd "$1"
            mkdir -p layer
            mount -t tmpfs none layer
            mkdir layer/upper layer/work layer/root
            mount -t overlay -o lowerdir=/,upperdir=layer/upper,workdir=layer/work none layer/root
            root=$PWD/layer/root
            mount -t proc none "$root/proc"
            mount --rbind /sys "$root/sys"
            mount -t devtmpfs none "$root/dev"
            mount -t tmpfs none "$root/run"
            : >"$1/console"
            mount --bind "$1/console" "$root/dev/console"
            getent passwd booth-gateway >/dev/null || {{
                echo 'booth-gateway:x:990:990::/:/bin/false' >>"$root/etc/passwd"
                echo 'booth-gateway:x:990:' >>"$root/etc/group"
            }}
            card=$(losetup --find --show {read_only} card.img)
            end() {{
                umount "$root/var/lib/booth-gateway" "$root/var/lib/booth-restart" "$root/var/lib/systemd/timesync" "$root/data" 2>/dev/null || true
                partx --delete "$card" 2>/dev/null || true
                losetup --detach "$card"
            }}
            trap end EXIT
            partx --add "$card" 2>/dev/null || true
            name=$(basename "$card")
            cp "$2" "$root/run/data-partition"
            mkdir "$root/run/booth"
            [ -z "$4" ] || : >"$root/run/booth/on-trial"
            chroot "$root" /run/data-partition "/dev/$name" "/dev/${{name}}p4" >"$1/said" 2>&1
            cat "$root/run/booth/data"
            echo "$3" >"$root/run/after"
            chroot "$root" /bin/sh /run/after || true
            cat "/sys/class/block/${{name}}p4/size" >sectors
            "#,
            read_only = if read_only { "--read-only" } else { "" },
        );
        let output = Command::new("unshare")
            .args([
                "--mount",
                "--propagation",
                "private",
                "bash",
                "-c",
                &machine,
                "machine",
            ])
            .arg(self.folder.path())
            .arg(script)
            .arg(after)
            .arg(if on_trial { "yes" } else { "" })
            .output()
            .expect("unshare");
        let said = std::fs::read_to_string(self.folder.path().join("said")).unwrap_or_default();
        assert!(output.status.success(), "{output:?}\n{said}");
        let text = String::from_utf8(output.stdout).expect("text");
        let mut lines = text.lines();
        let mut line = || lines.next().unwrap_or_default().to_owned();
        let (word, reason) = (line(), line());
        let told = lines.collect::<Vec<_>>().join(" ");
        let sectors = std::fs::read_to_string(self.folder.path().join("sectors")).expect("a size");
        let sectors = sectors.trim().parse().expect("a number");
        Boot {
            word,
            reason,
            told,
            said,
            sectors,
            kind: self.entry().0,
        }
    }

    fn zero(&self, from: u64, bytes: usize) {
        self.open()
            .write_all_at(&vec![0; bytes], from)
            .expect("written");
    }
}

const SPEAK: &str = "cd /var/lib/booth-gateway && echo spoken >words && sync && echo kept";
const LISTEN: &str = "cat /var/lib/booth-gateway/words 2>/dev/null || echo nothing";
const MUTE: &str = "touch /var/lib/booth-gateway/words 2>/dev/null && echo RAM || echo refused";

#[test]
fn the_data_partition_grows_to_its_card_and_is_whole_at_the_next_boot() {
    if !mounting::is_possible("the data partition") {
        return;
    }
    let card = Card::new(2048);
    let first = card.boot(false, SPEAK);
    assert_eq!(
        (first.word.as_str(), first.kind, first.told.as_str()),
        ("made", 0x83, "kept"),
        "{first:?}"
    );
    assert_eq!(first.sectors, (2048 << 11) - FIRST, "as large as the card");
    let second = card.boot(false, LISTEN);
    assert_eq!(
        (second.word.as_str(), second.told.as_str()),
        ("whole", "spoken"),
        "{second:?}"
    );
}

#[test]
fn a_first_boot_that_was_cut_short_begins_again() {
    if !mounting::is_possible("a first boot cut short") {
        return;
    }
    let card = Card::new(1024);
    card.boot(false, SPEAK);
    // The type is the last that is written: a file system without it is one that was being made.
    card.open()
        .write_all_at(&[0xda], 446 + 3 * 16 + 4)
        .expect("written");
    let again = card.boot(false, LISTEN);
    assert_eq!(
        (again.word.as_str(), again.kind, again.told.as_str()),
        ("made", 0x83, "nothing"),
        "{again:?}"
    );
}

#[test]
fn a_lost_superblock_costs_no_word() {
    if !mounting::is_possible("a lost superblock") {
        return;
    }
    let card = Card::new(1024);
    card.boot(false, SPEAK);
    card.zero(FIRST * SECTOR, 4096);
    let mended = card.boot(false, LISTEN);
    assert_eq!(
        (mended.word.as_str(), mended.told.as_str()),
        ("repaired", "spoken"),
        "{mended:?}"
    );
    let after = card.boot(false, LISTEN);
    assert_eq!(
        (after.word.as_str(), after.told.as_str()),
        ("whole", "spoken"),
        "{after:?}"
    );
}

#[test]
fn what_cannot_be_repaired_stays_as_it_is_beside_a_new_one() {
    if !mounting::is_possible("a partition beyond repair") {
        return;
    }
    let card = Card::new(2048);
    card.boot(false, SPEAK);
    let (_, start, sectors) = card.entry();
    let bytes = usize::try_from(sectors * SECTOR).expect("fits");
    // Every copy of the superblock, and all that describes files: noise as a dying card gives it.
    for group in 0..(bytes as u64 >> 27) {
        let noise: Vec<u8> = (0..1 << 20)
            .map(|at: u64| ((at * 2_654_435_761) >> 13) as u8)
            .collect();
        card.open()
            .write_all_at(&noise, start * SECTOR + (group << 27))
            .expect("written");
    }
    let half = sectors / 2 / 2048 * 2048;
    let before = hash(&card, start, half);
    // A version on trial leaves it for the one from before.
    let trial = card.boot_as(true, false, MUTE);
    assert_eq!(
        (trial.word.as_str(), trial.kind, trial.told.as_str()),
        ("none", 0x83, "refused"),
        "{trial:?}"
    );
    assert_eq!(card.entry(), (0x83, start, sectors));
    let aside = card.boot(false, SPEAK);
    assert_eq!(
        (aside.word.as_str(), aside.kind, aside.told.as_str()),
        ("moved-aside", 0x83, "kept"),
        "{aside:?}"
    );
    assert!(
        aside
            .reason
            .contains(&format!("before sector {}", start + half)),
        "{aside:?}"
    );
    assert_eq!(
        hash(&card, start, half),
        before,
        "what was there is untouched"
    );
    let next = card.boot(false, LISTEN);
    assert_eq!(
        (next.word.as_str(), next.told.as_str()),
        ("whole", "spoken"),
        "{next:?}"
    );
}

#[test]
fn a_card_that_is_too_small_or_takes_no_writes_keeps_no_words_in_ram() {
    if !mounting::is_possible("a card without a data partition") {
        return;
    }
    let small = Card::new(128).boot(false, MUTE);
    assert_eq!(
        (small.word.as_str(), small.told.as_str()),
        ("none", "refused"),
        "{small:?}"
    );
    assert!(small.reason.contains("too small"), "{small:?}");
    let locked = Card::new(1024).boot(true, MUTE);
    assert_eq!(
        (locked.word.as_str(), locked.told.as_str()),
        ("none", "refused"),
        "{locked:?}"
    );
    // One that has worn out with words on it: read, not written.
    let worn = Card::new(1024);
    worn.boot(false, SPEAK);
    let worn = worn.boot(true, MUTE);
    assert_eq!(worn.told, "refused", "{worn:?}");
}

fn hash(card: &Card, start: u64, sectors: u64) -> String {
    use sha2::Digest;
    let mut bytes = vec![0; usize::try_from(sectors * SECTOR).expect("fits")];
    card.open()
        .read_exact_at(&mut bytes, start * SECTOR)
        .expect("read");
    format!("{:x?}", sha2::Sha256::digest(&bytes))
}
