use proptest::prelude::*;

use super::*;
use crate::update::container::pack;

/// The running slot: the old payload with its own letter, and what lies behind it in the partition.
struct Slot(Vec<u8>);

impl Device for Slot {
    fn bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn write_at(&mut self, _: &[u8], _: u64) -> io::Result<()> {
        panic!("the running slot is never written");
    }

    fn flush(&mut self) -> io::Result<()> {
        panic!("the running slot is never written");
    }

    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        assert!(offset.is_multiple_of(SECTOR) && buffer.len().is_multiple_of(SECTOR as usize));
        buffer.copy_from_slice(&self.0[offset as usize..offset as usize + buffer.len()]);
        Ok(())
    }
}

const ID: [u8; 32] = [0xab; 32];

fn base(old: &[u8], letters: &[u64]) -> Base {
    Base {
        image_id: ID,
        bytes: old.len() as u64,
        letters: letters.to_vec(),
    }
}

fn in_slot_b(old: &[u8], letters: &[u64]) -> Slot {
    let mut slot = old.to_vec();
    for letter in letters {
        slot[*letter as usize] = b'b';
    }
    slot.resize((old.len() + 3 * 4096).next_multiple_of(512), 0xee);
    Slot(slot)
}

/// What comes out of a member, read `at_once` bytes at a time.
fn rebuilt(member: &[u8], slot: Slot, runs: &str, at_once: usize) -> Result<Vec<u8>, SlotError> {
    let file = pack(&[(DELTA, member)]);
    let mut container = Container::new(&file[..]);
    container.next(DELTA)?;
    let mut delta = Delta::begin(container, Box::new(slot), runs)?;
    let (mut out, mut buffer) = (Vec::new(), vec![0; at_once]);
    loop {
        let read = delta.some(&mut buffer)?;
        out.extend_from_slice(&buffer[..read]);
        if read < at_once || out.len() > 10_000_000 {
            break;
        }
    }
    delta.finish()?;
    Ok(out)
}

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..bytes).map(|_| next()).collect()
}

#[test]
fn a_program_that_changed_and_moved_all_that_follows_costs_little_more_than_itself() {
    let letters = [20_000, 300_001];
    let mut old = noise(1, 900_000);
    for letter in letters {
        old[letter as usize] = b'a';
    }
    // The program in the middle is another one, and seven bytes longer; a number in the head changed.
    let mut new = old.clone();
    new[100] ^= 0xff;
    new.splice(400_000..450_000, noise(2, 50_007));
    let mut member = Vec::new();
    make(&base(&old, &letters), &old, &new, &mut member).expect("made");
    assert!(member.len() < 50_007 + 1_000, "{}", member.len());
    for at_once in [1 << 20, 4096, 777] {
        let slot = in_slot_b(&old, &letters);
        let out = rebuilt(&member, slot, &hex(&ID), at_once).expect("rebuilt");
        assert!(out == new, "{at_once}");
    }
    // An image that is another one, and a slot that is shorter than its base.
    let other = rebuilt(&member, in_slot_b(&old, &letters), &"cd".repeat(32), 4096);
    let said = other.expect_err("refused").to_string();
    assert!(said.contains("send the whole update"), "{said}");
    let short = rebuilt(&member, Slot(vec![0; 4096]), &hex(&ID), 4096);
    assert!(short.is_err());
}

#[test]
fn a_member_that_was_cut_or_changed_is_refused_or_makes_something_else_and_never_more_than_it_says()
{
    let old = noise(3, 20_000);
    let mut new = old.clone();
    new.splice(9_000..9_100, noise(4, 300));
    let mut member = Vec::new();
    make(&base(&old, &[]), &old, &new, &mut member).expect("made");
    for end in 0..member.len() {
        let out = rebuilt(&member[..end], in_slot_b(&old, &[]), &hex(&ID), 4096);
        assert!(!out.is_ok_and(|out| out == new), "{end}");
    }
    // The base's length and letters say only what may be read.
    let said_of_the_base = 40..50;
    for at in (0..member.len()).filter(|at| !said_of_the_base.contains(at)) {
        let mut changed = member.clone();
        changed[at] ^= 0x41;
        let out = rebuilt(&changed, in_slot_b(&old, &[]), &hex(&ID), 4096);
        assert!(!out.is_ok_and(|out| out == new), "{at}");
    }
}

/// A payload made of pieces of another one, of noise, and of zeros.
fn edited() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let piece = (0..3_u8, 0..30_000_usize, 1..6_000_usize);
    (any::<u64>(), prop::collection::vec(piece, 1..12)).prop_map(|(seed, pieces)| {
        let mut old = noise(seed, 40_000);
        old[10_000..14_000].fill(0);
        let mut new = Vec::new();
        for (kind, at, length) in pieces {
            match kind {
                0 => new.extend_from_slice(&old[at..at + length]),
                1 => new.extend(noise(seed ^ at as u64, length)),
                _ => new.extend(std::iter::repeat_n(0, length)),
            }
        }
        (old, new)
    })
}

proptest! {
    #[test]
    fn whatever_was_edited_comes_out_again((old, new) in edited(), at_once in 1..9_000_usize) {
        let mut member = Vec::new();
        make(&base(&old, &[]), &old, &new, &mut member).expect("made");
        let out = rebuilt(&member, in_slot_b(&old, &[]), &hex(&ID), at_once).expect("rebuilt");
        prop_assert!(out == new);
    }

    #[test]
    fn rubbish_never_panics(rubbish in prop::collection::vec(any::<u8>(), 0..300)) {
        let old = noise(5, 8_192);
        let mut member = base(&old, &[7]).write();
        member.extend(&rubbish);
        let _ = rebuilt(&member, in_slot_b(&old, &[7]), &hex(&ID), 512);
        let _ = rebuilt(&rubbish, in_slot_b(&old, &[7]), &hex(&ID), 512);
    }
}
