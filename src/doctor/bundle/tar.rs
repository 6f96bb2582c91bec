//! A tar archive of small files, packed with gzip (POSIX.1-1988 ustar, RFC 1952). Pure.
//!
//! Owns: the bytes of the archive. Never does: read or write a file. A crate for tar brings owners, links and sparse files; a bundle has
//! none of them, and its headers are one block each.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

/// A block of tar.
const BLOCK: usize = 512;
/// Longest name of a file in the archive.
const LONGEST_NAME: usize = 100;

/// An archive that is being made.
pub(super) struct Archive {
    packed: GzEncoder<Vec<u8>>,
    made_at_s: i64,
}

impl Archive {
    /// An empty one; its files carry this time, in seconds since 1970.
    pub(super) fn new(made_at_s: i64) -> Self {
        Self {
            packed: GzEncoder::new(Vec::new(), Compression::default()),
            made_at_s: made_at_s.max(0),
        }
    }

    /// Adds a file that its owner alone may read.
    ///
    /// # Errors
    /// The encoder's.
    pub(super) fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.packed
            .write_all(&header(name, content.len(), self.made_at_s))?;
        self.packed.write_all(content)?;
        let rest = content.len().next_multiple_of(BLOCK) - content.len();
        self.packed.write_all(&[0; BLOCK][..rest])
    }

    /// The whole archive: two empty blocks are its end.
    ///
    /// # Errors
    /// The encoder's.
    pub(super) fn finish(mut self) -> io::Result<Vec<u8>> {
        self.packed.write_all(&[0; 2 * BLOCK])?;
        self.packed.finish()
    }
}

/// The block before a file's content. Numbers are octal text; the sum is made while its own field holds blanks.
fn header(name: &str, length: usize, made_at_s: i64) -> [u8; BLOCK] {
    assert!(
        name.len() < LONGEST_NAME,
        "a bundle's names are short, and our own"
    );
    let mut block = [0; BLOCK];
    let mut put =
        |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000600");
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{length:011o}"));
    put(136, &format!("{made_at_s:011o}"));
    put(148, "        ");
    put(156, "0");
    put(257, "ustar");
    put(263, "00");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}
