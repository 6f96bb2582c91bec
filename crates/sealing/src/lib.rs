//! Sealing: what was said is readable for the city's keys alone (docs/sealed-clip.md).
//!
//! A booth seals with public keys ([`Recipients`]) and has no private one. A [`Sealer`] packs a clip frame by frame, so that a
//! power cut costs the frame that was being written and no earlier one. Whoever holds an [`Identity`] opens the body with
//! [`open`], which says where a body that is not whole ends. [`envelope`] is an age file (age-encryption.org/v1) and opens with any age tool.
//!
//! Never does: input or output. Chance comes in through [`Random`].

pub mod body;
pub mod envelope;
pub mod key;
pub mod open;
pub mod random;
mod stack;

pub use body::Sealer;
pub use envelope::EnvelopeError;
pub use key::{DataKey, Identity, KeyError, Recipient, Recipients, SealTo};
pub use open::{Ending, OpenError, Opened, open, open_with};
pub use random::{KernelRandom, NoRandom, Random};
pub use stack::wash_stack;

#[cfg(test)]
mod tests;
