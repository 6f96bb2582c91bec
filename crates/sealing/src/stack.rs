//! Overwriting what keys have left on a thread's stack.
//!
//! A key that a function has used lies on the stack until something else does: blocks of HKDF and HMAC, the scalars of an exchange, the
//! state of a cipher. The crates of these overwrite what they own, and the compiler copies what they move.

use std::hint::black_box;

use zeroize::Zeroize;

/// How deep the stack is overwritten, in bytes: sealing and opening need less, also without an optimiser.
const DEPTH: usize = 64 * 1024;

/// Overwrites what functions that were called from here have left on the stack. To be called where the functions were called that
/// used a key, or above that, on the same thread.
#[inline(never)]
pub fn wash_stack() {
    let mut below = [0_u8; DEPTH];
    black_box(&mut below).zeroize();
}
