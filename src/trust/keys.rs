//! Whose updates this booth takes: minisign's public keys of `[update] keys`. Pure.

use super::EntryError;
use super::signer::{BadKeys, Doubt, PublicKeys};

/// Why a signature is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the sentences say it
pub enum KeyError {
    #[error(
        "this booth takes no updates: no key is configured; put the city's minisign key into [update] keys of booth.toml"
    )]
    NoneConfigured,
    #[error(
        "manifest.json.minisig is no minisign signature; sign with `minisign -Sm manifest.json`"
    )]
    Unsigned,
    #[error(
        "the update is signed with a key that this booth does not know; sign it with the city's key, or add that key to [update] keys"
    )]
    Unknown,
    #[error(
        "the manifest was changed after it was signed; take the update file from where it was released"
    )]
    Wrong,
}

impl From<Doubt> for KeyError {
    fn from(doubt: Doubt) -> Self {
        match doubt {
            Doubt::NoKeys => Self::NoneConfigured,
            Doubt::Unsigned => Self::Unsigned,
            Doubt::Unknown => Self::Unknown,
            Doubt::Wrong => Self::Wrong,
        }
    }
}

/// The trusted keys.
#[derive(Debug, Clone, Default)]
pub struct Keys(PublicKeys);

impl Keys {
    /// Takes the keys of `[update] keys`, each the second line of a `minisign.pub`. A secret key is refused and not repeated.
    pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Self, EntryError> {
        let keys = PublicKeys::parse(texts).map_err(|why| match why {
            BadKeys::TooMany => EntryError::TooManyKeys,
            BadKeys::Secret => EntryError::SecretKey,
            BadKeys::NoKey(shown) => EntryError::NoKey(shown),
        });
        keys.map(Self)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of the keys has signed `manifest`.
    pub fn verify(&self, manifest: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        let text = std::str::from_utf8(signature);
        match (text, self.is_empty()) {
            (Ok(text), _) => Ok(self.0.verify(manifest, text)?),
            (Err(_), true) => Err(KeyError::NoneConfigured),
            (Err(_), false) => Err(KeyError::Unsigned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::MOST_KEYS as MOST;
    use super::*;
    use minisign::{KeyPair, sign};

    fn pair() -> (KeyPair, String) {
        let pair = KeyPair::generate_unencrypted_keypair().expect("a pair");
        let public = pair.pk.to_base64();
        (pair, public)
    }

    fn signed(pair: &KeyPair, bytes: &[u8]) -> Vec<u8> {
        let boxed = sign(None, &pair.sk, bytes, Some("x"), Some("y")).expect("signed");
        boxed.into_string().into_bytes()
    }

    #[test]
    fn only_a_known_key_over_these_very_bytes_is_believed() {
        let ((city, city_key), (other, other_key)) = (pair(), pair());
        let keys = Keys::parse(&[other_key, city_key.clone()]).expect("keys");
        let only = Keys::parse(&[city_key]).expect("a key");
        let signature = signed(&city, b"manifest");
        assert_eq!(keys.verify(b"manifest", &signature), Ok(()));
        assert_eq!(only.verify(b"manifesT", &signature), Err(KeyError::Wrong));
        assert_eq!(
            only.verify(b"manifest", &signed(&other, b"manifest")),
            Err(KeyError::Unknown)
        );
        assert_eq!(
            Keys::default().verify(b"manifest", &signature),
            Err(KeyError::NoneConfigured)
        );
        for unsigned in ["", "RW", "untrusted comment: x\nRWQ=\n"] {
            assert_eq!(
                only.verify(b"manifest", unsigned.as_bytes()),
                Err(KeyError::Unsigned)
            );
        }
        let mut changed = signature.clone();
        let place = changed.len() / 2;
        changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
        assert!(only.verify(b"manifest", &changed).is_err());
    }

    #[test]
    fn what_is_no_key_is_named() {
        for text in [
            "",
            "RW",
            "untrusted comment: minisign public key",
            "AAAAAAAA",
        ] {
            let said = Keys::parse(&[text]).expect_err("refused").to_string();
            assert!(said.contains("minisign.pub"), "{said}");
        }
        let (pair, key) = pair();
        let secret = pair.sk.to_box(None).expect("a box").to_string();
        let secret = secret.lines().nth(1).expect("the second line");
        let said = Keys::parse(&[secret]).expect_err("refused").to_string();
        assert!(
            said.contains("SECRET") && !said.contains(&secret[20..40]),
            "a secret key is not repeated: {said}"
        );
        assert!(Keys::parse(&vec![key.clone(); MOST]).is_ok());
        assert_eq!(
            Keys::parse(&vec![key; MOST + 1]).err(),
            Some(EntryError::TooManyKeys)
        );
    }
}
