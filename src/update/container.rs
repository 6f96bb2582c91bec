//! The update file: a ustar archive (POSIX.1-1988) of three members in their order, read once from its start to its end.
//!
//! Owns: finding the members in a stream, and noticing a file that was cut short or that continues after its end. Never
//! does: seek, keep a payload in memory, or accept what another tar might: names of several meanings, links, sparse files.

use std::io::{self, Read};

/// The members, in their order.
pub const MANIFEST: &str = "manifest.json";
/// minisign's signature of the manifest.
pub const SIGNATURE: &str = "manifest.json.minisig";
/// The used beginning of the slot's partition.
pub const PAYLOAD: &str = "slot.img";

const BLOCK: usize = 512;
/// Most zeros after the last member: tar fills up to 10 KiB, and may have been asked for more.
const MOST_FILLING: u64 = 1 << 20;

/// What is wrong with an update file.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The file, or the connection, refuses.
    #[error("the update cannot be read: {0}")]
    Read(#[source] io::Error),
    /// It ends too early.
    #[error("the update file is cut short ({0}); copy or download it again")]
    Cut(String),
    /// It is something else.
    #[error("this is no update file: {0}; take the .update file of a release")]
    Foreign(String),
    /// Something follows its end.
    #[error("something follows the end of the update file; copy or download it again")]
    Trailing,
}

/// An update file that is being read.
pub struct Container<R> {
    input: R,
    /// Bytes of the current member that are not read yet.
    left: u64,
    /// Zeros up to the next block.
    filling: u64,
}

impl<R: Read> Container<R> {
    /// Reads from the file's first byte on.
    pub fn new(input: R) -> Self {
        Self {
            input,
            left: 0,
            filling: 0,
        }
    }

    /// Goes to the next member, which must be `name`; the current one must have been read to its end. Returns its length in
    /// bytes.
    pub fn next(&mut self, name: &str) -> Result<u64, ContainerError> {
        Ok(self.next_of(&[name])?.1)
    }

    /// The same where any of these names may come; answers which one it is, and its length in bytes.
    pub fn next_of<'n>(&mut self, names: &[&'n str]) -> Result<(&'n str, u64), ContainerError> {
        let name = names.first().copied().unwrap_or_default();
        assert_eq!(self.left, 0, "the member before is read to its end");
        let mut filling = [0; BLOCK];
        let filling = &mut filling[..usize::try_from(self.filling).unwrap_or(0)];
        fill(&mut self.input, filling, name)?;
        let mut header = [0; BLOCK];
        fill(&mut self.input, &mut header, name)?;
        let (name, bytes) = read_header(&header, names)?;
        self.left = bytes;
        self.filling = bytes.next_multiple_of(BLOCK as u64) - bytes;
        Ok((name, bytes))
    }

    /// The whole of the current member, which is no longer than `limit`.
    pub fn whole(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, ContainerError> {
        if self.left > limit {
            let why = format!("{name} has {} bytes, more than {limit}", self.left);
            return Err(ContainerError::Foreign(why));
        }
        let mut bytes = vec![0; usize::try_from(self.left).unwrap_or(0)];
        fill(&mut self.input, &mut bytes, name)?;
        self.left = 0;
        Ok(bytes)
    }

    /// The next bytes of the current member; as many as fit, fewer only at its end.
    pub fn some(&mut self, name: &str, buffer: &mut [u8]) -> Result<usize, ContainerError> {
        let wanted = u64::min(self.left, buffer.len() as u64);
        let buffer = &mut buffer[..usize::try_from(wanted).unwrap_or(0)];
        fill(&mut self.input, buffer, name)?;
        self.left -= wanted;
        Ok(buffer.len())
    }

    /// Reads on to the file's end, which must be two blocks of zeros at least, and nothing but zeros.
    pub fn finish(mut self) -> Result<(), ContainerError> {
        let least = self.filling + 2 * BLOCK as u64;
        let mut zeros = 0;
        let mut buffer = [0; 4096];
        loop {
            let read = match self.input.read(&mut buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ContainerError::Read(error)),
            };
            if read == 0 {
                break;
            }
            zeros += read as u64;
            if zeros > MOST_FILLING || buffer[..read].iter().any(|byte| *byte != 0) {
                return Err(ContainerError::Trailing);
            }
        }
        if zeros < least {
            return Err(ContainerError::Cut("its end is missing".into()));
        }
        Ok(())
    }
}

fn fill(input: &mut impl Read, buffer: &mut [u8], name: &str) -> Result<(), ContainerError> {
    input
        .read_exact(buffer)
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ContainerError::Cut(format!("within {name}")),
            _ => ContainerError::Read(error),
        })
}

/// Name and length of the member that a header announces, if it is a plain file of one of these names.
fn read_header<'n>(
    header: &[u8; BLOCK],
    names: &[&'n str],
) -> Result<(&'n str, u64), ContainerError> {
    let wanted = names.join(" or ");
    let foreign = |why: String| ContainerError::Foreign(why);
    let sum: u64 = header
        .iter()
        .enumerate()
        // In the sum, its own field counts as blanks.
        .map(|(at, byte)| {
            if (148..156).contains(&at) {
                32
            } else {
                u64::from(*byte)
            }
        })
        .sum();
    if &header[257..262] != b"ustar" || octal(&header[148..156]) != Some(sum) {
        return Err(foreign(format!(
            "there is no tar member where {wanted} should begin"
        )));
    }
    let end = |field: &[u8]| {
        field
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(field.len())
    };
    let name = String::from_utf8_lossy(&header[..end(&header[..100])]).into_owned();
    let has_prefix = header[345] != 0;
    let found = names.iter().copied().find(|wanted| *wanted == name);
    let Some(found) = found.filter(|_| !has_prefix) else {
        let name: String = name.chars().filter(|c| !c.is_control()).collect();
        return Err(foreign(format!("{name:?} is where {wanted} should be")));
    };
    if !matches!(header[156], b'0' | 0) {
        return Err(foreign(format!("{wanted} is no plain file in it")));
    }
    let bytes = octal(&header[124..136]);
    bytes
        .map(|bytes| (found, bytes))
        .ok_or_else(|| foreign(format!("{wanted} has no length that can be read")))
}

/// Octal digits, ended by a blank or zero.
fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_matches([' ', '\0']);
    u64::from_str_radix(digits, 8).ok()
}

/// Packs members as `tar --format=ustar` does.
pub fn pack(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = Vec::new();
    for (name, bytes) in members {
        let mut header = [0u8; BLOCK];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..108].copy_from_slice(b"0000644\0");
        header[108..116].copy_from_slice(b"0000000\0");
        header[116..124].copy_from_slice(b"0000000\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
        header[136..148].copy_from_slice(b"00000000000\0");
        header[148..156].copy_from_slice(b"        ");
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        file.extend_from_slice(&header);
        file.extend_from_slice(bytes);
        file.resize(file.len().next_multiple_of(BLOCK), 0);
    }
    file.resize((file.len() + 2 * BLOCK).next_multiple_of(10 * 1024), 0);
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &[u8]); 3] = [
        (MANIFEST, b"{}"),
        (SIGNATURE, b"untrusted comment: x"),
        (PAYLOAD, &[7; 1300]),
    ];

    type Read3 = (Vec<u8>, Vec<u8>, Vec<u8>);

    fn read(file: &[u8]) -> Result<Read3, ContainerError> {
        let mut container = Container::new(file);
        container.next(MANIFEST)?;
        let manifest = container.whole(MANIFEST, 100)?;
        container.next(SIGNATURE)?;
        let signature = container.whole(SIGNATURE, 100)?;
        let bytes = container.next(PAYLOAD)?;
        let mut payload = Vec::new();
        let mut buffer = [0; 500];
        while payload.len() < bytes as usize {
            let read = container.some(PAYLOAD, &mut buffer)?;
            payload.extend_from_slice(&buffer[..read]);
        }
        container.finish()?;
        Ok((manifest, signature, payload))
    }

    #[test]
    fn what_was_packed_is_read_again() {
        let (manifest, signature, payload) = read(&pack(&GOOD)).expect("good");
        assert_eq!((&manifest[..], &signature[..]), (GOOD[0].1, GOOD[1].1));
        assert_eq!(payload, GOOD[2].1);
    }

    #[test]
    #[allow(clippy::disallowed_methods)] // files for tar
    fn what_tar_packs_as_the_documents_say_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, bytes) in GOOD {
            std::fs::write(folder.path().join(name), bytes).expect("written");
        }
        let status = std::process::Command::new("tar")
            .current_dir(folder.path())
            .args([
                "--format=ustar",
                "-cf",
                "x.update",
                MANIFEST,
                SIGNATURE,
                PAYLOAD,
            ])
            .status()
            .expect("tar runs");
        assert!(status.success());
        let file = std::fs::read(folder.path().join("x.update")).expect("read");
        assert_eq!(read(&file).expect("good").2, GOOD[2].1);
    }

    #[test]
    fn a_file_that_is_cut_anywhere_is_refused() {
        let whole = pack(&GOOD);
        // After the two blocks of zeros there is only tar's filling.
        let least = 3 * BLOCK + 2 * BLOCK + 1300usize.next_multiple_of(BLOCK) + 2 * BLOCK;
        for end in 0..whole.len() {
            let said = read(&whole[..end]);
            if end < least {
                assert!(
                    matches!(said, Err(ContainerError::Cut(_))),
                    "{end}: {said:?}"
                );
            } else {
                assert!(said.is_ok(), "{end}: {said:?}");
            }
        }
    }

    #[test]
    fn rubbish_before_between_and_behind_is_refused() {
        let said = |file: &[u8]| read(file).expect_err("refused").to_string();
        let mut behind = pack(&GOOD);
        behind.push(1);
        assert!(said(&behind).contains("something follows"));
        let mut second = pack(&GOOD);
        second.extend(pack(&[("evil", b"x")]));
        assert!(said(&second).contains("something follows"));
        let endless = [pack(&GOOD), vec![0; 2 << 20]].concat();
        assert!(said(&endless).contains("something follows"));
        for wrong in [
            vec![0; 4096],
            vec![b'x'; 4096],
            pack(&[GOOD[1], GOOD[0], GOOD[2]]),
            pack(&[GOOD[0], GOOD[2], GOOD[1]]),
            pack(&[GOOD[0], ("manifest.json.minisiG", b"x"), GOOD[2]]),
            pack(&[(MANIFEST, &[b' '; 200]), GOOD[1], GOOD[2]]),
        ] {
            assert!(said(&wrong).contains("no update file"), "{}", said(&wrong));
        }
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut file = pack(&GOOD);
            change(&mut file);
            let sum: u32 = file[..BLOCK]
                .iter()
                .enumerate()
                .map(|(at, byte)| {
                    if (148..156).contains(&at) {
                        32
                    } else {
                        u32::from(*byte)
                    }
                })
                .sum();
            file[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            said(&file)
        };
        // A link, a prefix before the name, a length in another notation.
        assert!(with(&|file| file[156] = b'2').contains("no plain file"));
        assert!(with(&|file| file[345] = b'x').contains("should be"));
        assert!(with(&|file| file[124] = 0x80).contains("no length"));
        let mut bit = pack(&GOOD);
        bit[3] ^= 1;
        assert!(said(&bit).contains("no tar member"));
    }
}
