//! Update files as a city makes them, and the place in the network where they lie.
//!
//! Owns: a slot made of the image's own slot with another root, the signature with a throw-away key, and an HTTP server on
//! loopback. Never does: know how the booth takes one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::card::{Card, sha256};
use super::{run, text};

/// What becomes of the new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The same system with other bytes behind its root, which squashfs does not look at.
    None,
    /// Its root is cut in the middle: the kernel starts and finds none.
    HalfARoot,
    /// Everything runs but these services, as if their program could not be started.
    Without(&'static [&'static str]),
}

/// A slot FAT of the card's slot A with this fault and version; answers its bytes and what `image.json` says.
pub fn slot(card: &Card, folder: &Path, fault: Fault, version: &str) -> (Vec<u8>, Value) {
    let files = folder.join(format!("slot-{version}"));
    std::fs::create_dir_all(&files).expect("a folder");
    run(
        "mcopy",
        &["-s", "-n", "-i", &card.fat(2), "::*", text(&files)],
    );
    let path = files.join("root.sqfs");
    let mut bytes = std::fs::read(&path).expect("a root");
    match fault {
        Fault::HalfARoot => bytes.truncate(bytes.len() / 2),
        _ => bytes.extend_from_slice(format!("{version:>4096}").as_bytes()),
    }
    if let Fault::Without(services) = fault {
        let path = files.join("cmdline.txt");
        let mut line = std::fs::read_to_string(&path)
            .expect("a kernel's line")
            .trim()
            .to_owned();
        for service in services {
            line.push_str(&format!(" systemd.mask={service}.service"));
        }
        std::fs::write(&path, line + "\n").expect("written");
    }
    std::fs::write(&path, &bytes).expect("written");
    let mut facts: Value =
        serde_json::from_slice(&std::fs::read(files.join("image.json")).expect("image.json"))
            .expect("JSON");
    facts["image_id"] = json!(sha256(&bytes));
    facts["version"] = json!(version);
    // The same packages, another program: the counter alone says which is newer.
    let minor = version.split('.').nth(1).expect("a version");
    facts["counter"] = json!(minor.parse::<u64>().expect("a number"));
    std::fs::write(files.join("image.json"), facts.to_string()).expect("written");
    let fat = folder.join("slot.img");
    let _ = std::fs::remove_file(&fat);
    std::fs::File::create(&fat)
        .and_then(|file| file.set_len(320 << 20))
        .expect("a file");
    run(
        "mkfs.vfat",
        &[
            "--invariant",
            "-F",
            "32",
            "-s",
            "1",
            "-n",
            "SLOT_B",
            text(&fat),
        ],
    );
    for entry in std::fs::read_dir(&files).expect("a folder").flatten() {
        run(
            "mcopy",
            &["-s", "-i", text(&fat), text(&entry.path()), "::"],
        );
    }
    let mut image = std::fs::read(&fat).expect("a slot");
    image.truncate(used(&image));
    std::fs::remove_dir_all(&files).expect("removed");
    std::fs::remove_file(&fat).expect("removed");
    (image, facts)
}

/// Bytes up to the last cluster in use of a FAT32.
fn used(fat: &[u8]) -> usize {
    let two = |at: usize| usize::from(fat[at]) | usize::from(fat[at + 1]) << 8;
    let four = |at: usize| two(at) | two(at + 2) << 16;
    let (sector, cluster, reserved) = (two(11), usize::from(fat[13]), two(14));
    let (fats, table) = (usize::from(fat[16]), four(36));
    let mut in_use = (0..table * sector / 4)
        .filter(|number| four(reserved * sector + 4 * number) & 0x0fff_ffff != 0);
    (reserved + fats * table + (in_use.next_back().unwrap_or(2) - 1) * cluster) * sector
}

/// A city's key.
pub struct Key(minisign::KeyPair);

impl Key {
    pub fn new() -> Self {
        Self(minisign::KeyPair::generate_unencrypted_keypair().expect("a key"))
    }

    /// As `[update] keys` has it.
    pub fn public(&self) -> String {
        self.0.pk.to_base64()
    }

    /// The update file: manifest, signature, slot.
    pub fn update(&self, slot: &[u8], facts: &Value, to: &Path) {
        let letter = b"booth.slot=a";
        let at: Vec<usize> = slot
            .windows(letter.len())
            .enumerate()
            .filter(|(_, window)| window == letter)
            .map(|(at, _)| at + letter.len() - 1)
            .collect();
        let manifest = json!({"format": 1, "board": facts["board"], "version": facts["version"],
            "image_id": facts["image_id"], "released": facts["released"], "counter": facts["counter"], "kernel": facts["kernel"],
            "slot_bytes": slot.len(), "slot_sha256": sha256(slot), "slot_letter_at": at, "allow_older": false})
        .to_string();
        let signature =
            minisign::sign(None, &self.0.sk, manifest.as_bytes(), None, None).expect("signed");
        let folder = tempfile::tempdir_in(to.parent().expect("a folder")).expect("a folder");
        std::fs::write(folder.path().join("manifest.json"), manifest).expect("written");
        std::fs::write(
            folder.path().join("manifest.json.minisig"),
            signature.to_string(),
        )
        .expect("written");
        std::fs::write(folder.path().join("slot.img"), slot).expect("written");
        let names = ["manifest.json", "manifest.json.minisig", "slot.img"];
        let mut arguments = vec!["--format=ustar", "-C", text(folder.path()), "-cf", text(to)];
        arguments.extend(names);
        run("tar", &arguments);
    }
}

/// Serves the files of a folder, whole or from a byte on, until the test ends.
pub fn serve(folder: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let folder = Arc::new(folder);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let folder = folder.clone();
            std::thread::spawn(move || answer(stream, &folder));
        }
    });
    port
}

fn answer(mut stream: TcpStream, folder: &Path) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?)
        .lines()
        .map_while(Result::ok);
    let name = lines
        .next()?
        .split(' ')
        .nth(1)?
        .trim_start_matches('/')
        .to_owned();
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let from = head.iter().find_map(|line| {
        let range = line
            .to_ascii_lowercase()
            .strip_prefix("range: bytes=")?
            .to_owned();
        range.split('-').next()?.parse::<u64>().ok()
    });
    let mut file = std::fs::File::open(folder.join(name)).ok()?;
    let all = file.metadata().ok()?.len();
    let start = from.unwrap_or(0).min(all);
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(start)).ok()?;
    let (status, range) = match from {
        Some(_) => (
            "206 Partial Content",
            format!(
                "Content-Range: bytes {start}-{}/{all}\r\n",
                all.saturating_sub(1)
            ),
        ),
        None => ("200 OK", String::new()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nAccept-Ranges: bytes\r\n{range}Connection: close\r\n\r\n",
        all - start
    )
    .ok()?;
    std::io::copy(&mut file.take(all - start), &mut stream).ok()?;
    Some(())
}
