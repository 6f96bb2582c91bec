//! What the image is made of is told exactly, and fetched or refused by name.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest, Sha256};

fn image(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("image")
        .join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(image(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The lines of a lock: hash, size, name, version, architecture, where, path.
fn locked(lock: &str) -> Vec<Vec<String>> {
    let lines = lock.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.split(' ').map(str::to_owned).collect())
        .collect()
}

#[test]
fn the_locks_name_every_wanted_package_once_with_size_hash_and_no_mirror() {
    for (list, lock) in [
        ("packages.list", "image.lock"),
        ("builder.list", "builder-amd64.lock"),
        ("builder.list", "builder-arm64.lock"),
    ] {
        let (lock_name, list, lock) = (lock, read(list), read(lock));
        let first = lock.lines().next().expect("a first line");
        let kernel = first
            .split(" kernel ")
            .nth(1)
            .expect("the kernel's version");
        assert!(first.contains(" epoch "), "{first}");
        let packages = locked(&lock);
        for package in &packages {
            assert_eq!(package.len(), 7, "{package:?}");
            assert!(package[0].len() == 64 && package[0].bytes().all(|b| b.is_ascii_hexdigit()));
            assert!(package[1].parse::<u64>().expect("a size") > 0);
            assert!(package[6].starts_with("debian/") || package[6].starts_with("security/"));
            let same = packages
                .iter()
                .filter(|p| p[2] == package[2] && p[4] == package[4]);
            assert_eq!(same.count(), 1, "{package:?}");
        }
        for line in list.lines().filter(|line| !line.starts_with('#')) {
            let cells: Vec<&str> = line.split(" | ").collect();
            assert_eq!(cells.len(), 3, "{line}: package, where, why");
            if cells[1] == "amd64" && lock_name != "builder-amd64.lock" {
                continue;
            }
            let name = cells[0].split('/').next().expect("a name");
            let name = name.replace("@KERNEL@", kernel);
            assert!(packages.iter().any(|package| package[2] == name), "{name}");
        }
    }
}

/// `fetch.sh` on a mirror that has one package, `good`, with what the lock says of it and of another.
fn fetch(folder: &Path, size: usize, sha256: &str, path: &str) -> Output {
    let mirror = folder.join("mirror/pool");
    std::fs::create_dir_all(&mirror).expect("a folder");
    std::fs::write(mirror.join("good_1_all.deb"), b"good").expect("a file");
    let hash: String = Sha256::digest(b"good")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let lock = format!(
        "# epoch 1 kernel -\n{hash} 4 good 1 all root debian/pool/good_1_all.deb\n\
         {sha256} {size} other 1 all root {path}\n"
    );
    std::fs::write(folder.join("image.lock"), lock).expect("a lock");
    let mirror = format!("file://{}", folder.join("mirror").display());
    Command::new(image("fetch.sh"))
        .args([folder.join("image.lock"), folder.join("pool")])
        .envs([("DEBIAN_MIRROR", &mirror), ("SECURITY_MIRROR", &mirror)])
        .output()
        .expect("fetch.sh runs")
}

#[test]
fn a_package_that_the_mirror_no_longer_has_is_named_with_the_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = fetch(
        folder.path(),
        4,
        &"0".repeat(64),
        "debian/pool/gone_1_all.deb",
    );
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("debian/pool/gone_1_all.deb"), "{said}");
    assert!(said.contains("make image-lock"), "{said}");
    assert!(!said.contains("good_1_all.deb"), "{said}");
}

#[test]
fn a_package_of_another_content_than_locked_is_refused_and_not_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = "security/pool/good_1_all.deb";
    let output = fetch(folder.path(), 4, &"1".repeat(64), path);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains(path));
    // What was right is there for the next try, what was not is gone.
    let kept = std::fs::read_dir(folder.path().join("pool")).expect("a folder");
    assert_eq!(kept.count(), 1);
}

#[test]
fn the_program_of_the_image_is_built_from_all_that_its_manifest_names() {
    let stages = read("build.sh");
    let copied = stages
        .split_once("\nprogram_is_made_of=\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .expect("what the program is made of")
        .0;
    let key = "stage program \"$builder $(content $program_is_made_of ";
    assert!(stages.contains(key), "built again when any of it changes");
    assert!(stages.contains("program.sh $program_is_made_of"));
    assert!(read("program.sh").contains("cp -r --parents \"$@\""));
    let place = tempfile::tempdir().expect("a folder");
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new("cp")
        .args(["-r", "--parents", "--"])
        .args(copied.split(' '))
        .arg(place.path())
        .current_dir(repository)
        .status()
        .expect("cp");
    assert!(status.success(), "{copied}");
    let told = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--offline",
            "--no-deps",
            "--format-version",
            "1",
        ])
        .current_dir(place.path())
        .output()
        .expect("cargo");
    let why = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success(), "cargo reads the manifest: {why}");
}
