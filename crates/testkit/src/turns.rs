//! Tests that would disturb each other take turns, by name.
//!
//! Owns: one file for each name below cargo's target folder, locked while the value lives, so that the turn counts between
//! the threads of a program and between programs. Never does: give up; whoever holds a turn ends by itself.
#![allow(clippy::disallowed_methods)] // it opens its files

use std::fs::File;

use rustix::fs::{FlockOperation, flock};

use super::temporary;

/// What only one test at a time may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The processor, which a flood of a broker takes whole. Each flood lasts until somebody has come through beside it, so that two at
    /// a time cost more than one after the other.
    Flood,
}

/// A turn that is held until the value is dropped.
pub struct Held {
    _file: File,
}

/// Waits for the turn.
pub fn take(turn: Turn) -> Held {
    let name = match turn {
        Turn::Flood => "turn-flood",
    };
    let file = File::create(temporary().join(name)).expect("a file");
    flock(&file, FlockOperation::LockExclusive).expect("a turn");
    Held { _file: file }
}
