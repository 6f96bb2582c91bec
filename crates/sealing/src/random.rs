//! Where keys and nonces come from.

/// The kernel's generator gives nothing. Whoever needs a key makes none then.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the kernel's random generator gives nothing: {0}")]
pub struct NoRandom(String);

/// A source of bytes that nobody can foresee.
pub trait Random {
    /// Fills `bytes`, all of them.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandom>;
}

/// The kernel's generator (`getrandom(2)`), which waits at a machine's start until it has gathered enough.
#[derive(Debug, Clone, Copy, Default)]
pub struct KernelRandom;

impl Random for KernelRandom {
    #[allow(clippy::disallowed_methods)] // keys need chance
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandom> {
        getrandom::fill(bytes).map_err(|error| NoRandom(error.to_string()))
    }
}
