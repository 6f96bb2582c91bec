//! The booth's credentials on its own partition: numbered sets, of which one has connected.
//!
//! Owns: the folder `credentials` and its protocol: a new password never ends the connection that the old one had. Never
//! does: change a set once it has its name, or remove the set that connected last.
//!
//! ```text
//! credentials/set-7/password, ca.pem, cert.pem, key.pem, set.json   what provisioning gave, whole and durable, for ever unchanged
//! credentials/confirmed                                            "7": this set has connected; written by the gateway
//! ```
//!
//! The newest set is the *candidate* until it is confirmed. The gateway tries the newest first, then the one before
//! ([`order`]), and confirms the set with which the broker has accepted it. Power cuts: a set gets its name when everything
//! in it is durable, and `confirmed` is replaced in one step, so every set and `confirmed` are always whole.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use booth_contract::hex;
use booth_host::plain_file::{is_no_answer, patiently};
use booth_spool::disk::{Disk, Open, publish, read_whole};

/// Longest credential, bytes: four times the size of a whole system's root certificates.
pub const LONGEST_CREDENTIAL: u64 = 1 << 20;
const CONFIRMED: &str = "confirmed";
const FACTS: &str = "set.json";
const LONGEST_FACTS: u64 = 16 * 1024;

/// What a credential is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// `password_file`
    Password,
    /// `ca_file`
    Authority,
    /// `cert_file`
    Certificate,
    /// `key_file`
    Key,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 4] = [
        Role::Password,
        Role::Authority,
        Role::Certificate,
        Role::Key,
    ];

    /// The key of `[mqtt]` that names it.
    pub fn key(self) -> &'static str {
        match self {
            Role::Password => "password_file",
            Role::Authority => "ca_file",
            Role::Certificate => "cert_file",
            Role::Key => "key_file",
        }
    }

    /// Its file in a set.
    pub fn file(self) -> &'static str {
        match self {
            Role::Password => "password",
            Role::Authority => "ca.pem",
            Role::Certificate => "cert.pem",
            Role::Key => "key.pem",
        }
    }
}

/// What is known of one credential of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The name it had beside `booth.toml`.
    pub name: String,
    /// When it came, RFC 3339.
    pub since: String,
    /// The hash of its bytes.
    pub sha256: String,
}

#[derive(Serialize, Deserialize)]
struct Facts {
    schema: u32,
    files: BTreeMap<Role, Kept>,
}

/// A whole set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its number; newer ones are higher.
    pub number: u64,
    /// The credentials in it.
    pub files: BTreeMap<Role, Kept>,
}

/// The folder of sets.
#[derive(Clone, Copy)]
pub struct Vault<'a> {
    /// The disk it is on.
    pub disk: &'a dyn Disk,
    /// `credentials`.
    pub folder: &'a Path,
}

/// The name of a set's folder.
pub fn folder_name(number: u64) -> String {
    format!("set-{number}")
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("set-")?;
    let number = digits.parse().ok()?;
    (folder_name(number) == name).then_some(number)
}

/// A credential's hash.
pub fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The order in which sets are tried: the newest, then the set that connected last or, if none has, the newest but one.
pub fn order(numbers: &[u64], confirmed: Option<u64>) -> Vec<u64> {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    numbers.dedup();
    let newest = numbers.first().copied();
    let confirmed = confirmed.filter(|number| numbers.contains(number));
    let before = confirmed.or_else(|| numbers.get(1).copied());
    newest
        .into_iter()
        .chain(before.filter(|before| Some(*before) != newest))
        .collect()
}

impl Vault<'_> {
    /// Numbers of all sets, whole or not; none where there is no folder.
    pub fn numbers(&self) -> io::Result<Vec<u64>> {
        match self.disk.list(self.folder) {
            Ok(listed) => Ok(listed
                .iter()
                .filter_map(|entry| number_of(&entry.name))
                .collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The set that has connected.
    pub fn confirmed(&self) -> Option<u64> {
        self.read_confirmed().ok().flatten()
    }

    /// The same, where it matters that the card does not say.
    fn read_confirmed(&self) -> io::Result<Option<u64>> {
        let path = self.folder.join(CONFIRMED);
        let bytes = match patiently(|| read_whole(self.disk, &path, 64)) {
            Err(error) if is_no_answer(&error) => return Err(error),
            read => read.unwrap_or_default(),
        };
        let text = std::str::from_utf8(&bytes).ok();
        Ok(text.and_then(|text| text.trim().parse().ok()))
    }

    /// Every set that is whole, oldest first, and a sentence for each that is not.
    ///
    /// # Errors
    /// A card that does not answer: what it has is not known then, and nothing may be removed.
    pub fn sets(&self) -> io::Result<(Vec<Set>, Vec<String>)> {
        let mut numbers = self.numbers()?;
        numbers.sort_unstable();
        let (mut sets, mut damaged) = (Vec::new(), Vec::new());
        for number in numbers {
            match self.read(number) {
                Ok(set) => sets.push(set),
                Err(error) if is_no_answer(&error) => return Err(error),
                Err(error) => damaged.push(format!("credentials/{}: {error}", folder_name(number))),
            }
        }
        Ok((sets, damaged))
    }

    fn read(&self, number: u64) -> io::Result<Set> {
        let folder = self.folder.join(folder_name(number));
        let facts = folder.join(FACTS);
        let bytes = patiently(|| read_whole(self.disk, &facts, LONGEST_FACTS))?;
        let facts: Facts = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
        let set = Set {
            number,
            files: facts.files,
        };
        for (role, kept) in &set.files {
            if hash(&self.content(&set, *role)?) != kept.sha256 {
                return Err(io::Error::other(format!("{} is damaged", role.file())));
            }
        }
        Ok(set)
    }

    /// Where a credential of a set lies.
    pub fn path(&self, number: u64, role: Role) -> PathBuf {
        self.folder.join(folder_name(number)).join(role.file())
    }

    /// A credential's bytes.
    pub fn content(&self, set: &Set, role: Role) -> io::Result<Vec<u8>> {
        let path = self.path(set.number, role);
        patiently(|| read_whole(self.disk, &path, LONGEST_CREDENTIAL))
    }

    /// A new set under the next number, durable and read back. A failure leaves what was there.
    pub fn add(&self, contents: &BTreeMap<Role, (Kept, Vec<u8>)>) -> io::Result<Set> {
        self.disk.make_folder(self.folder)?;
        let number = self.numbers()?.into_iter().max().unwrap_or(0) + 1;
        let growing = self.folder.join("growing");
        match self.disk.remove_tree(&growing) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.disk.make_folder(&growing)?;
        let facts = Facts {
            schema: 1,
            files: contents
                .iter()
                .map(|(role, (kept, _))| (*role, kept.clone()))
                .collect(),
        };
        let facts_bytes = serde_json::to_vec(&facts).map_err(io::Error::other)?;
        let files = contents
            .iter()
            .map(|(role, (_, bytes))| (role.file(), bytes.as_slice()));
        for (name, bytes) in files.chain([(FACTS, facts_bytes.as_slice())]) {
            let file = self.disk.open(&growing.join(name), Open::New)?;
            file.write_at(bytes, 0)?;
            file.sync_all()?;
        }
        self.disk.sync_folder(&growing)?;
        let folder = self.folder.join(folder_name(number));
        self.disk.rename(&growing, &folder)?;
        self.disk.sync_folder(self.folder)?;
        if let Some(above) = self.folder.parent() {
            self.disk.sync_folder(above)?;
        }
        self.read(number)
    }

    /// Removes every set except these and the one that has connected.
    pub fn prune(&self, keep: &[u64]) -> io::Result<()> {
        let confirmed = self.read_confirmed()?;
        let mut is_gone = false;
        for number in self.numbers()? {
            if !keep.contains(&number) && Some(number) != confirmed {
                self.disk
                    .remove_tree(&self.folder.join(folder_name(number)))?;
                is_gone = true;
            }
        }
        if is_gone {
            self.disk.sync_folder(self.folder)?;
        }
        Ok(())
    }

    /// Notes that the broker has accepted this set; nothing is written if that was known.
    pub fn confirm(&self, number: u64) -> io::Result<()> {
        if self.confirmed() == Some(number) {
            return Ok(());
        }
        publish(
            self.disk,
            self.folder,
            CONFIRMED,
            format!("{number}\n").as_bytes(),
        )
    }
}

/// The set to which a credential's path belongs: the vault's folder and the number.
pub fn set_of(path: &Path) -> Option<(&Path, u64)> {
    let set = path.parent()?;
    let number = number_of(set.file_name()?.to_str()?)?;
    Some((set.parent()?, number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use booth_spool::real_disk::RealDisk;

    fn password(text: &str) -> BTreeMap<Role, (Kept, Vec<u8>)> {
        let kept = Kept {
            name: "mqtt-password".into(),
            since: "2026-11-25T10:00:00Z".into(),
            sha256: hash(text.as_bytes()),
        };
        BTreeMap::from([(Role::Password, (kept, text.as_bytes().to_vec()))])
    }

    #[test]
    fn the_newest_set_is_tried_first_and_the_one_that_connected_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("credentials");
        let disk = RealDisk::new();
        let vault = Vault {
            disk: &disk,
            folder: &place,
        };
        assert_eq!(vault.sets().expect("read").0, []);
        for text in ["one", "two", "three", "four"] {
            let set = vault.add(&password(text)).expect("added");
            if text == "two" {
                vault.confirm(set.number).expect("noted");
            }
        }
        assert_eq!(vault.confirmed(), Some(2));
        let mut numbers = vault.numbers().expect("read");
        assert_eq!(order(&numbers, vault.confirmed()), [4, 2]);
        vault.prune(&[4]).expect("pruned");
        numbers = vault.numbers().expect("read");
        numbers.sort_unstable();
        assert_eq!(numbers, [2, 4]);
        let path = vault.path(4, Role::Password);
        assert_eq!(set_of(&path), Some((place.as_path(), 4)));
        assert_eq!(set_of(Path::new("/etc/booth/mqtt-password")), None);
        use std::os::unix::fs::PermissionsExt;
        let mode = path.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_set_whose_bytes_have_changed_is_named_and_not_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("credentials");
        let disk = RealDisk::new();
        let vault = Vault {
            disk: &disk,
            folder: &place,
        };
        vault.add(&password("one")).expect("added");
        let set = vault.add(&password("two")).expect("added");
        let file = disk.open(&vault.path(set.number, Role::Password), Open::Write);
        file.and_then(|file| file.write_at(b"x", 0))
            .expect("written");
        let (sets, damaged) = vault.sets().expect("read");
        assert_eq!(sets.iter().map(|set| set.number).collect::<Vec<_>>(), [1]);
        assert!(damaged[0].contains("set-2"), "{damaged:?}");
    }

    #[test]
    fn without_a_confirmed_set_the_two_newest_are_tried() {
        assert_eq!(order(&[1, 3, 2], None), [3, 2]);
        assert_eq!(order(&[3], None), [3]);
        assert_eq!(order(&[1, 3], Some(3)), [3]);
        assert_eq!(order(&[1, 2, 3], Some(9)), [3, 2]);
        assert!(order(&[], Some(1)).is_empty());
    }
}
