//! Minisign's public keys as they stand in booth.toml, and the check of a signature by them. Pure. What a key may sign, and what is
//! said of a fault, are `keys` and `control`.

use minisign_verify::{Error, PublicKey, Signature};

use super::MOST_KEYS;

/// A public key has 42 bytes, which are 56 characters in base64; a secret one begins with `RW`, too, and has 158.
const LONGEST_PUBLIC: usize = 56;
/// Characters of an entry that are shown when it is no key.
const SHOWN_CHARS: usize = 70;

/// Why a list of keys cannot be used.
pub(super) enum BadKeys {
    /// There are more than [`MOST_KEYS`].
    TooMany,
    /// One is a secret key, which is not repeated.
    Secret,
    /// One is no key; its beginning.
    NoKey(String),
}

/// Why a signature is not believed.
pub(super) enum Doubt {
    /// There is no key.
    NoKeys,
    /// It is no signature.
    Unsigned,
    /// It is another key's.
    Unknown,
    /// It is one of the keys' over something else.
    Wrong,
}

/// Public keys.
#[derive(Debug, Clone, Default)]
pub(super) struct PublicKeys(Vec<PublicKey>);

impl PublicKeys {
    /// Takes keys, each the second line of a `minisign.pub`.
    pub(super) fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Self, BadKeys> {
        if texts.len() > MOST_KEYS {
            return Err(BadKeys::TooMany);
        }
        let keys = texts.iter().map(|text| {
            let text = text.as_ref().trim();
            if text.starts_with("RW") && text.len() > LONGEST_PUBLIC {
                return Err(BadKeys::Secret);
            }
            let shown = || text.chars().take(SHOWN_CHARS).collect();
            PublicKey::from_base64(text).map_err(|_| BadKeys::NoKey(shown()))
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of the keys has signed `signed`, byte by byte.
    pub(super) fn verify(&self, signed: &[u8], signature: &str) -> Result<(), Doubt> {
        if self.0.is_empty() {
            return Err(Doubt::NoKeys);
        }
        let signature = Signature::decode(signature).map_err(|_| Doubt::Unsigned)?;
        let mut answer = Doubt::Unknown;
        for key in &self.0 {
            // The old form of signature (minisign before 0.10), over the bytes themselves instead of their hash, is as good for
            // what is in memory anyway.
            match key.verify(signed, &signature, true) {
                Ok(()) => return Ok(()),
                Err(Error::UnexpectedKeyId) => {}
                Err(_) => answer = Doubt::Wrong,
            }
        }
        Err(answer)
    }
}
