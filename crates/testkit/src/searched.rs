//! Files and the memory of a process are searched for what was said.
//!
//! Owns: the search. It is compiled with an optimiser, as this crate is: one that takes long outlasts what is said.
#![allow(clippy::disallowed_methods)] // reads the memory of a process

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Whether these bytes hold that piece.
pub fn holds(bytes: &[u8], piece: &[u8]) -> bool {
    memchr::memmem::find(bytes, piece).is_some()
}

/// Whether the memory of a process holds these bytes.
pub fn memory_holds(pid: u32, piece: &[u8]) -> bool {
    !memory_has(pid, &[("it", piece.to_vec())]).is_empty()
}

/// Which of these pieces are in the memory of a process.
pub fn memory_has<'a>(pid: u32, wanted: &[(&'a str, Vec<u8>)]) -> Vec<&'a str> {
    let mut by_begin: HashMap<[u8; 8], Vec<usize>> = HashMap::new();
    // Most places are seen to be none by their first two bytes.
    let mut may_begin = vec![false; 1 << 16];
    for (at, (_, piece)) in wanted.iter().enumerate() {
        let begin: [u8; 8] = *piece.first_chunk().expect("eight bytes");
        may_begin[usize::from(u16::from_le_bytes([begin[0], begin[1]]))] = true;
        by_begin.entry(begin).or_default().push(at);
    }
    let mut found = Vec::new();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("its maps");
    let memory = File::open(format!("/proc/{pid}/mem")).expect("its memory");
    let writable = maps.lines().filter(|line| {
        line.split(' ')
            .nth(1)
            .is_some_and(|may| may.starts_with("rw"))
    });
    let mut looked_at = 0;
    for line in writable {
        let (from, to) = line
            .split(' ')
            .next()
            .and_then(|range| range.split_once('-'))
            .expect("a range");
        let from = u64::from_str_radix(from, 16).expect("hex");
        let to = u64::from_str_radix(to, 16).expect("hex");
        let mut bytes = vec![0; (to - from) as usize];
        // Some pages (vvar) cannot be read.
        if memory.read_exact_at(&mut bytes, from).is_ok() {
            looked_at += bytes.len();
            for (at, begin) in bytes.windows(8).enumerate() {
                if !may_begin[usize::from(u16::from_le_bytes([begin[0], begin[1]]))] {
                    continue;
                }
                let begin: [u8; 8] = begin.try_into().expect("eight bytes");
                for which in by_begin.get(&begin).into_iter().flatten() {
                    let (what, piece) = &wanted[*which];
                    if bytes[at..].starts_with(piece) {
                        found.push(*what);
                    }
                }
            }
        }
    }
    assert!(
        looked_at > 1 << 20,
        "only {looked_at} bytes of its memory could be read"
    );
    found
}
