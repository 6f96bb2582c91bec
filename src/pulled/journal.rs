//! What a power cut left in an ext4's journal, looked up in memory as a mount would have written it to its place.
//!
//! Owns: which block of the journal stands for which block of the file system (kernel documentation, "Journal (jbd2)"): committed transactions in their
//! order, around the end of the ring, without what a later one has revoked. `ext4-view`'s own replay knows neither the ring nor a revocation in another
//! transaction, so that it is given a file system that needs none. Never does: write, or believe a block whose checksum is wrong.

use std::collections::HashMap;
use std::io;

use super::device::Region;

/// Where the superblock lies, how long it is, and where in it its checksum stands.
const SUPER_AT: u64 = 1024;
const SUPER_BYTES: usize = 1024;
const SUPER_SUM_AT: usize = 0x3fc;
/// Its fields: features with the bits that matter here, the copy of the journal's inode and its kind.
const INCOMPATIBLE_AT: usize = 0x60;
const NEEDS_RECOVERY: u32 = 0x4;
const READ_ONLY_AT: usize = 0x64;
const HAS_SUMS: u32 = 0x400;
const COPY_KIND_AT: usize = 0xfd;
const COPY_AT: usize = 0x10c;
const COPY_BYTES: usize = 60;
/// An extent's node: its magic number, and how long its head and its entries are. A tree is at most five deep.
const NODE: u16 = 0xf30a;
const ENTRY: usize = 12;
const DEEPEST: u16 = 5;
/// What a journal has at most: an intact one has a few nodes and pieces and, of 4 KiB each, at most a quarter of a million blocks. One that is damaged
/// may name a node or a block again and again, and must not take all memory.
const MOST_NODES: usize = 1 << 10;
const MOST_PIECES: usize = 1 << 12;
const MOST_BLOCKS: u64 = 1 << 18;
const MOST_REVOKED: usize = 1 << 20;
/// The journal's blocks: the magic number of their heads, the kinds, the length of a head.
const MAGIC: u32 = 0xc03b_3998;
const DESCRIPTOR: u32 = 1;
const COMMIT: u32 = 2;
const REVOKED: u32 = 5;
const HEAD: usize = 12;
/// Its features.
const REVOKES: u32 = 0x1;
const IS_64BIT: u32 = 0x2;
const ASYNC: u32 = 0x4;
const SUMS_2: u32 = 0x8;
const SUMS_3: u32 = 0x10;
/// A tag's flags.
const ESCAPED: u32 = 0x1;
const SAME_UUID: u32 = 0x2;
const LAST: u32 = 0x8;

/// Why a journal cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub(super) enum JournalFault {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("its journal has no head")]
    NoHead,
    #[error("its journal's head has a wrong checksum")]
    Sum,
    #[error("its journal lies where this program cannot follow")]
    Place,
    #[error(
        "its journal names more than {MOST_NODES} nodes or {MOST_PIECES} pieces: it is damaged"
    )]
    Pieces,
    #[error("its journal has {0} blocks, and this program follows at most {MOST_BLOCKS}")]
    Long(u64),
    #[error("its journal revokes more than {MOST_REVOKED} blocks: it is damaged")]
    Revoked,
    #[error("its journal has features that this program does not know ({0:#x})")]
    Features(u32),
}

/// A file system's bytes after the replay.
pub(super) struct Replayed {
    region: Region,
    block_bytes: u64,
    superblock: Vec<u8>,
    /// For each block whose latest content is in the journal: where, and whether its first word is the magic number that a journal may not have.
    blocks: HashMap<u64, (u64, bool)>,
}

impl Replayed {
    pub(super) fn of(region: Region) -> Result<Self, JournalFault> {
        let mut superblock = vec![0; SUPER_BYTES];
        region.read(SUPER_AT, &mut superblock)?;
        let block_bytes = 1024 << little(&superblock, 0x18).min(6);
        let mut replayed = Self {
            region,
            block_bytes,
            superblock: Vec::new(),
            blocks: HashMap::new(),
        };
        if little(&superblock, INCOMPATIBLE_AT) & NEEDS_RECOVERY != 0 {
            let journal = Journal::read(&replayed.region, &superblock, block_bytes)?;
            replayed.blocks = journal.latest()?;
            replayed.read(SUPER_AT, &mut superblock)?;
            let features = little(&superblock, INCOMPATIBLE_AT) & !NEEDS_RECOVERY;
            superblock[INCOMPATIBLE_AT..][..4].copy_from_slice(&features.to_le_bytes());
            if little(&superblock, READ_ONLY_AT) & HAS_SUMS != 0 {
                let sum = !crc32c::crc32c(&superblock[..SUPER_SUM_AT]);
                superblock[SUPER_SUM_AT..].copy_from_slice(&sum.to_le_bytes());
            }
            replayed.superblock = superblock;
        }
        Ok(replayed)
    }

    /// Fills `into` with the bytes from `offset` on.
    pub(super) fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < into.len() {
            let at = offset + done as u64;
            let inside = at % self.block_bytes;
            let rest = usize::try_from(self.block_bytes - inside).unwrap_or(usize::MAX);
            let piece = &mut into[done..];
            let mut bytes = rest.min(piece.len());
            match self.blocks.get(&(at / self.block_bytes)) {
                Some((place, is_escaped)) => {
                    let piece = &mut piece[..bytes];
                    self.region.read(place * self.block_bytes + inside, piece)?;
                    if *is_escaped {
                        let word = MAGIC.to_be_bytes();
                        let word = word.iter().skip(usize::try_from(inside).unwrap_or(4));
                        piece
                            .iter_mut()
                            .zip(word)
                            .for_each(|(byte, of)| *byte = *of);
                    }
                }
                None => {
                    // Up to the next block that the journal has, in one read.
                    while bytes < piece.len()
                        && !self
                            .blocks
                            .contains_key(&((at + bytes as u64) / self.block_bytes))
                    {
                        bytes = piece
                            .len()
                            .min(bytes + usize::try_from(self.block_bytes).unwrap_or(1));
                    }
                    self.region.read(at, &mut piece[..bytes])?;
                }
            }
            done += bytes;
        }
        self.lay_superblock(offset, into);
        Ok(())
    }

    /// Lays the superblock that needs no recovery over what was read.
    fn lay_superblock(&self, offset: u64, into: &mut [u8]) {
        if offset >= SUPER_AT + SUPER_BYTES as u64 {
            return;
        }
        for (number, byte) in self.superblock.iter().enumerate() {
            let at = (SUPER_AT + number as u64).checked_sub(offset);
            let at = at.and_then(|at| usize::try_from(at).ok());
            if let Some(place) = at.and_then(|at| into.get_mut(at)) {
                *place = *byte;
            }
        }
    }
}

fn little(bytes: &[u8], at: usize) -> u32 {
    let word = bytes
        .get(at..at + 4)
        .and_then(|bytes| bytes.try_into().ok());
    u32::from_le_bytes(word.unwrap_or_default())
}

fn big(bytes: &[u8], at: usize) -> u32 {
    little(bytes, at).swap_bytes()
}

fn short(bytes: &[u8], at: usize) -> u16 {
    let word = bytes
        .get(at..at + 2)
        .and_then(|bytes| bytes.try_into().ok());
    u16::from_le_bytes(word.unwrap_or_default())
}

/// A block that a transaction has written.
struct Tag {
    block: u64,
    flags: u32,
    sum: u32,
    /// Where its content lies, as a block of the file system.
    place: u64,
}

/// One committed transaction.
#[derive(Default)]
struct Transaction {
    sequence: u32,
    tags: Vec<Tag>,
    revoked: Vec<u64>,
}

/// The journal: a ring of blocks.
struct Journal<'a> {
    region: &'a Region,
    block_bytes: u64,
    /// First block in the journal, number of blocks, and the first one in the file system.
    pieces: Vec<(u64, u64, u64)>,
    /// How many nodes were followed.
    nodes: usize,
    first: u64,
    end: u64,
    start: u64,
    sequence: u32,
    features: u32,
    /// The checksum of its id, with which every other one begins.
    seed: u32,
}

impl<'a> Journal<'a> {
    fn read(region: &'a Region, superblock: &[u8], block_bytes: u64) -> Result<Self, JournalFault> {
        let mut journal = Self {
            region,
            block_bytes,
            pieces: Vec::new(),
            nodes: 0,
            first: 0,
            end: 0,
            start: 0,
            sequence: 0,
            features: 0,
            seed: 0,
        };
        // 1: the copy of the inode is there (e2fsprogs, ext2_fs.h).
        if superblock[COPY_KIND_AT] != 1 {
            return Err(JournalFault::Place);
        }
        journal.follow(&superblock[COPY_AT..][..COPY_BYTES], DEEPEST)?;
        let head = journal.block(0)?;
        if big(&head, 0) != MAGIC || !(3..=4).contains(&big(&head, 4)) {
            return Err(JournalFault::NoHead);
        }
        journal.features = match big(&head, 4) {
            4 => big(&head, 0x28),
            _ => 0,
        };
        let strange = journal.features & !(REVOKES | IS_64BIT | ASYNC | SUMS_2 | SUMS_3);
        if strange != 0 || u64::from(big(&head, 0xc)) != block_bytes {
            return Err(JournalFault::Features(strange));
        }
        journal.seed = crc32c::crc32c(&head[0x30..0x40]);
        if journal.has_sums() {
            let mut summed = head[..SUPER_BYTES].to_vec();
            summed[0xfc..0x100].fill(0);
            if !crc32c::crc32c(&summed) != big(&head, 0xfc) {
                return Err(JournalFault::Sum);
            }
        }
        journal.end = big(&head, 0x10).into();
        if journal.end > MOST_BLOCKS {
            return Err(JournalFault::Long(journal.end));
        }
        journal.first = big(&head, 0x14).into();
        journal.sequence = big(&head, 0x18);
        journal.start = big(&head, 0x1c).into();
        Ok(journal)
    }

    fn has_sums(&self) -> bool {
        self.features & (SUMS_2 | SUMS_3) != 0
    }

    /// Notes the pieces of the journal that a node of its extents names.
    fn follow(&mut self, node: &[u8], depth: u16) -> Result<(), JournalFault> {
        let (entries, below) = (usize::from(short(node, 2)), short(node, 6));
        if short(node, 0) != NODE || below >= depth || ENTRY * (entries + 1) > node.len() {
            return Err(JournalFault::Place);
        }
        self.nodes += 1;
        for entry in node[ENTRY..].chunks(ENTRY).take(entries) {
            if self.nodes >= MOST_NODES || self.pieces.len() >= MOST_PIECES {
                return Err(JournalFault::Pieces);
            }
            if below == 0 {
                // A length above this is one of blocks that were never written.
                let blocks = match short(entry, 4) {
                    blocks @ 0x8001.. => blocks - 0x8000,
                    blocks => blocks,
                };
                let place = u64::from(short(entry, 6)) << 32 | u64::from(little(entry, 8));
                self.pieces
                    .push((little(entry, 0).into(), blocks.into(), place));
            } else {
                let place = u64::from(short(entry, 8)) << 32 | u64::from(little(entry, 4));
                let node = self.at(place)?;
                self.follow(&node, below)?;
            }
        }
        Ok(())
    }

    /// Where a block of the journal lies.
    fn place(&self, number: u64) -> Result<u64, JournalFault> {
        let piece = self
            .pieces
            .iter()
            .find(|(first, blocks, _)| (*first..first + blocks).contains(&number));
        let (first, _, place) = piece.ok_or(JournalFault::Place)?;
        Ok(place + (number - first))
    }

    fn at(&self, place: u64) -> Result<Vec<u8>, JournalFault> {
        let mut block = vec![0; usize::try_from(self.block_bytes).unwrap_or(SUPER_BYTES)];
        let at = place.checked_mul(self.block_bytes);
        self.region
            .read(at.ok_or(JournalFault::Place)?, &mut block)?;
        Ok(block)
    }

    fn block(&self, number: u64) -> Result<Vec<u8>, JournalFault> {
        self.at(self.place(number)?)
    }

    /// The block after this one, around the ring.
    fn after(&self, number: u64) -> u64 {
        if number + 1 >= self.end {
            self.first
        } else {
            number + 1
        }
    }

    /// The transactions that were committed and not written to their places, in their order. The first block that does not go on ends them.
    fn transactions(&self) -> Result<Vec<Transaction>, JournalFault> {
        let mut committed = Vec::new();
        let mut open = Transaction::default();
        let (mut at, mut sequence) = (self.start, self.sequence);
        let mut revoked = 0;
        let mut left = self.end.saturating_sub(self.first);
        // 0: everything is in its place.
        while at != 0 && left > 0 {
            let block = self.block(at)?;
            if big(&block, 0) != MAGIC || big(&block, 8) != sequence {
                break;
            }
            at = self.after(at);
            left -= 1;
            match big(&block, 4) {
                DESCRIPTOR if self.is_whole(&block) => {
                    for mut tag in self.tags(&block) {
                        tag.place = self.place(at)?;
                        open.tags.push(tag);
                        at = self.after(at);
                        left = left.saturating_sub(1);
                    }
                }
                REVOKED if self.is_whole(&block) => {
                    let list = self.revoked(&block);
                    revoked += list.len();
                    if revoked > MOST_REVOKED {
                        return Err(JournalFault::Revoked);
                    }
                    open.revoked.extend(list);
                }
                COMMIT if self.is_committed(&block) => {
                    open.sequence = sequence;
                    committed.push(std::mem::take(&mut open));
                    sequence = sequence.wrapping_add(1);
                }
                _ => break,
            }
        }
        Ok(committed)
    }

    /// Whether the checksum at the end of a descriptor or of a list of revoked blocks is right.
    fn is_whole(&self, block: &[u8]) -> bool {
        let Some((content, sum)) = block.split_last_chunk::<4>() else {
            return false;
        };
        let computed = crc32c::crc32c_append(crc32c::crc32c_append(self.seed, content), &[0; 4]);
        !self.has_sums() || !computed == u32::from_be_bytes(*sum)
    }

    fn is_committed(&self, block: &[u8]) -> bool {
        let mut summed = block.to_vec();
        summed[16..20].fill(0);
        !self.has_sums() || !crc32c::crc32c_append(self.seed, &summed) == big(block, 16)
    }

    /// How long a tag is, without the id that may follow it.
    fn tag_bytes(&self) -> usize {
        if self.features & SUMS_3 != 0 {
            return 16;
        }
        let high = if self.features & IS_64BIT != 0 { 4 } else { 0 };
        let sum = if self.features & SUMS_2 != 0 { 2 } else { 0 };
        8 + high + sum
    }

    fn tags(&self, block: &[u8]) -> Vec<Tag> {
        let mut tags = Vec::new();
        let end = block.len() - if self.has_sums() { 4 } else { 0 };
        let mut at = HEAD;
        while at + self.tag_bytes() <= end {
            let (flags, sum, high) = match self.features & SUMS_3 != 0 {
                true => (big(block, at + 4), big(block, at + 12), big(block, at + 8)),
                false => (
                    short(block, at + 6).swap_bytes().into(),
                    short(block, at + 4).swap_bytes().into(),
                    big(block, at + 8),
                ),
            };
            let high = if self.features & IS_64BIT != 0 {
                high
            } else {
                0
            };
            tags.push(Tag {
                block: u64::from(high) << 32 | u64::from(big(block, at)),
                flags,
                sum,
                place: 0,
            });
            if flags & LAST != 0 {
                break;
            }
            let id = if flags & SAME_UUID == 0 { 16 } else { 0 };
            at += self.tag_bytes() + id;
        }
        tags
    }

    fn revoked(&self, block: &[u8]) -> Vec<u64> {
        let end = usize::try_from(big(block, 12))
            .unwrap_or(0)
            .min(block.len());
        let list = block.get(16..end).unwrap_or_default();
        match self.features & IS_64BIT != 0 {
            true => list
                .chunks_exact(8)
                .map(|number| u64::from(big(number, 0)) << 32 | u64::from(big(number, 4)))
                .collect(),
            false => list
                .chunks_exact(4)
                .map(|number| big(number, 0).into())
                .collect(),
        }
    }

    /// For each block the place of its latest content that is not revoked.
    fn latest(&self) -> Result<HashMap<u64, (u64, bool)>, JournalFault> {
        let transactions = self.transactions()?;
        let mut revoked: HashMap<u64, usize> = HashMap::new();
        for (number, transaction) in transactions.iter().enumerate() {
            for block in &transaction.revoked {
                revoked.insert(*block, number);
            }
        }
        let mut latest = HashMap::new();
        for (number, transaction) in transactions.iter().enumerate() {
            for tag in &transaction.tags {
                let is_revoked = revoked.get(&tag.block).is_some_and(|last| *last >= number);
                if !is_revoked && self.has_its_sum(transaction.sequence, tag)? {
                    latest.insert(tag.block, (tag.place, tag.flags & ESCAPED != 0));
                }
            }
        }
        Ok(latest)
    }

    /// Whether the content of a tag is what was written.
    fn has_its_sum(&self, sequence: u32, tag: &Tag) -> Result<bool, JournalFault> {
        if !self.has_sums() {
            return Ok(true);
        }
        let content = self.at(tag.place)?;
        let sum = crc32c::crc32c_append(self.seed, &sequence.to_be_bytes());
        let sum = !crc32c::crc32c_append(sum, &content);
        Ok(match self.features & SUMS_3 != 0 {
            true => sum == tag.sum,
            // The other form has room for half of it.
            false => sum & 0xffff == tag.sum,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const BLOCK: usize = 4096;

    /// A node with these entries of twelve bytes.
    fn node(below: u16, entries: &[[u8; ENTRY]]) -> Vec<u8> {
        let count = u16::try_from(entries.len()).expect("few");
        let mut bytes: Vec<u8> = [NODE, count, count, below]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        bytes.extend([0; 4]);
        bytes.extend(entries.concat());
        bytes
    }

    /// An entry that leads to a node in this block.
    fn leads_to(block: u8) -> [u8; ENTRY] {
        let mut entry = [0; ENTRY];
        entry[4] = block;
        entry
    }

    /// An entry for one block of the journal that lies in this one.
    fn lies_in(number: u32, block: u8) -> [u8; ENTRY] {
        let mut entry = [0; ENTRY];
        entry[..4].copy_from_slice(&number.to_le_bytes());
        entry[4] = 1;
        entry[8] = block;
        entry
    }

    /// What is said of a file system whose journal has this root, and these blocks from the second one on.
    fn said(root: &[u8], blocks: &[Vec<u8>]) -> String {
        let mut image = vec![0; BLOCK];
        let superblock = &mut image[SUPER_AT as usize..];
        superblock[0x18] = 2;
        superblock[INCOMPATIBLE_AT] = NEEDS_RECOVERY as u8;
        superblock[COPY_KIND_AT] = 1;
        superblock[COPY_AT..][..root.len()].copy_from_slice(root);
        for block in blocks {
            image.extend(block);
            image.resize(image.len().next_multiple_of(BLOCK), 0);
        }
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&image).expect("written");
        match Replayed::of(Region::whole(file)) {
            Ok(_) => "replayed".into(),
            Err(fault) => fault.to_string(),
        }
    }

    /// The head of a journal of so many blocks.
    fn head(blocks: u32) -> Vec<u8> {
        let words = [MAGIC, 4, 0, BLOCK as u32, blocks, 1, 7, 1];
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn a_journal_that_names_a_node_or_a_block_again_and_again_ends_with_a_sentence() {
        // Every entry of every node leads to the same node below.
        let again = |below, block| node(below, &[leads_to(block); 340]);
        let blocks = [again(2, 2), again(1, 3), node(0, &[lies_in(0, 1); 340])];
        let why = said(&node(3, &[leads_to(1); 4]), &blocks);
        assert!(why.contains("pieces"), "{why}");
        // One extent, and a head that says so many blocks.
        let root = node(0, &[lies_in(0, 1)]);
        let why = said(&root, &[head(1 << 18 | 1)]);
        assert!(why.contains("262145 blocks"), "{why}");
        // The same list of revoked blocks, from one end of the journal to the other.
        let lists: Vec<Vec<u8>> = (0..4u32)
            .map(|leaf| {
                let of =
                    |number| lies_in(leaf * 340 + number, if leaf + number == 0 { 1 } else { 2 });
                node(0, &(0..340u32).map(of).collect::<Vec<_>>())
            })
            .collect();
        let mut revoked: Vec<u8> = [MAGIC, REVOKED, 7, BLOCK as u32]
            .iter()
            .flat_map(|word| word.to_be_bytes())
            .collect();
        revoked.resize(BLOCK, 1);
        let mut blocks = vec![head(1_360), revoked];
        blocks.extend(lists);
        let root = node(1, &[leads_to(3), leads_to(4), leads_to(5), leads_to(6)]);
        let why = said(&root, &blocks);
        assert!(why.contains("revokes more than"), "{why}");
    }
}
