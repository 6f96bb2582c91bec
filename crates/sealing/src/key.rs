//! Keys: whom a clip is sealed to, who opens it, and the key of one clip.

use std::fmt;
use std::sync::Arc;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};
use booth_contract::hex;
use sha2::{Digest, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::random::{NoRandom, Random};

/// How an age recipient begins.
const RECIPIENT: Hrp = Hrp::parse_unchecked("age");
/// How an age identity begins.
const IDENTITY: Hrp = Hrp::parse_unchecked("age-secret-key-");
/// Most recipients of a clip. Each costs a citizen's booth one key exchange, and 98 bytes of every clip.
pub const MAX_RECIPIENTS: usize = 32;

/// Why a text is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A private key stands where a public one belongs.
    #[error(
        "this is a PRIVATE key; whoever has read it can open what was sealed to it. Take it out here, make a new key with \
         `booth-hub keys new`, and write its public key (age1…) here"
    )]
    Private,
    /// A public key stands where a private one belongs.
    #[error(
        "this is a public key; opening needs the private one, which begins with AGE-SECRET-KEY-1"
    )]
    Public,
    /// Not of the form of a key.
    #[error("this is no key: a public key begins with age1, a private one with AGE-SECRET-KEY-1")]
    Strange,
    /// The checksum does not fit.
    #[error("the key has a typing error: its checksum does not fit; copy it once more")]
    Mistyped,
    /// A key of another kind of recipient.
    #[error(
        "this is a key of a kind that this version cannot use; it takes age's X25519 keys (age1 and 58 characters)"
    )]
    Unknown,
    /// A point at which every exchange gives the same secret (RFC 7748 §6.1).
    #[error("this is a public key that protects nothing: everybody knows the secret to it")]
    Weak,
    /// Nobody to seal to.
    #[error("no public key is named")]
    None,
    /// The same key twice.
    #[error("the key {0} is named twice")]
    Twice(String),
    /// Too many keys.
    #[error("{0} public keys are named; at most {MAX_RECIPIENTS} are taken")]
    TooMany(usize),
}

/// Reads a key of one kind: 32 bytes behind the human-readable part `wanted`.
fn read(text: &str, wanted: Hrp, other: Hrp, is_other: KeyError) -> Result<[u8; 32], KeyError> {
    let begins = |hrp: Hrp| {
        let prefix = text.get(..hrp.len() + 1).unwrap_or_default();
        prefix.eq_ignore_ascii_case(&format!("{hrp}1"))
    };
    if begins(other) {
        return Err(is_other);
    }
    if !begins(wanted) {
        let foreign = ["age1", "age-plugin-", "ssh-", "AGE-PLUGIN-"];
        let is_foreign = foreign.iter().any(|prefix| text.starts_with(prefix));
        return Err(if is_foreign {
            KeyError::Unknown
        } else {
            KeyError::Strange
        });
    }
    let checked = CheckedHrpstring::new::<Bech32>(text).map_err(|_| KeyError::Mistyped)?;
    let bytes = Zeroizing::new(checked.byte_iter().collect::<Vec<u8>>());
    <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| KeyError::Unknown)
}

fn write(hrp: Hrp, bytes: &[u8]) -> String {
    bech32::encode::<Bech32>(hrp, bytes).expect("32 bytes are shorter than a bech32 text may be")
}

/// A public key of age (X25519): whom a clip is sealed to. Its text begins with `age1`.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient(pub(crate) PublicKey);

impl Recipient {
    /// Reads the text of a public key. A private key is refused loudly.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = read(text.trim(), RECIPIENT, IDENTITY, KeyError::Private)?;
        let key = PublicKey::from(bytes);
        // Whatever the secret, the exchange with a point of small order gives zero.
        let probe = StaticSecret::from([0x40; 32]);
        if !probe.diffie_hellman(&key).was_contributory() {
            return Err(KeyError::Weak);
        }
        Ok(Self(key))
    }

    /// What names this key in birth, health and manifests: the first 16 hex digits of the SHA-256 of its 32 bytes.
    pub fn id(&self) -> String {
        hex(&Sha256::digest(self.0.as_bytes()))[..16].to_owned()
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write(RECIPIENT, self.0.as_bytes()))
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({self})")
    }
}

/// All public keys that a clip is sealed to: 1 to [`MAX_RECIPIENTS`], none twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipients(Vec<Recipient>);

impl Recipients {
    /// Checks how many there are, and that none is there twice.
    pub fn new(keys: Vec<Recipient>) -> Result<Self, KeyError> {
        if keys.is_empty() {
            return Err(KeyError::None);
        }
        if keys.len() > MAX_RECIPIENTS {
            return Err(KeyError::TooMany(keys.len()));
        }
        let twice = (1..keys.len()).find(|&at| keys[..at].contains(&keys[at]));
        match twice {
            Some(at) => Err(KeyError::Twice(keys[at].to_string())),
            None => Ok(Self(keys)),
        }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Recipient> {
        self.0.iter()
    }

    /// Their names ([`Recipient::id`]), in order.
    pub fn ids(&self) -> Vec<String> {
        self.0.iter().map(Recipient::id).collect()
    }
}

/// What becomes of what is said at a booth. That a booth lacks a key is a case of its own, so that nothing can take it for leave to keep words open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealTo {
    /// It must be sealed and there is no key: nothing may be kept.
    Nobody,
    /// The booth was told not to seal.
    Open,
    /// It is sealed to these keys.
    Keys(Arc<Recipients>),
}

impl SealTo {
    /// The keys' names, for birth and manifest.
    pub fn ids(&self) -> Vec<String> {
        match self {
            Self::Nobody | Self::Open => Vec::new(),
            Self::Keys(keys) => keys.ids(),
        }
    }
}

/// A private key of age (X25519): who opens a clip. Its text begins with `AGE-SECRET-KEY-1`. Overwritten when it is dropped.
#[derive(Clone)]
pub struct Identity(pub(crate) StaticSecret);

impl Identity {
    /// Makes a new one.
    pub fn generate(random: &mut impl Random) -> Result<Self, NoRandom> {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(&mut *bytes)?;
        Ok(Self(StaticSecret::from(*bytes)))
    }

    /// Reads the text of a private key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(read(text.trim(), IDENTITY, RECIPIENT, KeyError::Public)?);
        Ok(Self(StaticSecret::from(*bytes)))
    }

    /// The public key to it.
    pub fn recipient(&self) -> Recipient {
        Recipient(PublicKey::from(&self.0))
    }

    /// Its text, for the file or the paper that keeps it.
    pub fn to_text(&self) -> Zeroizing<String> {
        let lower = Zeroizing::new(write(IDENTITY, self.0.as_bytes()));
        Zeroizing::new(lower.to_ascii_uppercase())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity(of {})", self.recipient())
    }
}

/// The key of one clip: 32 random bytes. It has one place in memory, wherever its owner is moved to, and is overwritten there when it is dropped.
#[derive(Clone)]
pub struct DataKey(pub(crate) Box<Zeroizing<[u8; 32]>>);

impl DataKey {
    /// Makes a new one.
    pub fn generate(random: &mut impl Random) -> Result<Self, NoRandom> {
        let mut key = Box::new(Zeroizing::new([0; 32]));
        random.fill(&mut **key)?;
        Ok(Self(key))
    }

    /// The key of these bytes; `None` if they are not 32.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut key = Box::new(Zeroizing::new([0; 32]));
        (bytes.len() == key.len()).then(|| key.copy_from_slice(bytes))?;
        Some(Self(key))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &**self.0
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey")
    }
}
