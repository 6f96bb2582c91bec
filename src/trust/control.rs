//! Whose signed commands this booth obeys (contract §3.7): minisign's public keys of `[control] keys`, and the check of a signature
//! by them. Pure.

use super::EntryError;
use super::signer::{BadKeys, Doubt, PublicKeys};

/// Why a signature is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the sentences say it
pub enum ControlError {
    #[error(
        "this booth obeys no signed commands: no key is configured; put the city's minisign key into [control] keys of booth.toml"
    )]
    NoneConfigured,
    #[error("minisig is no minisign signature; send the four lines that `minisign -S` wrote")]
    Unsigned,
    #[error(
        "it is signed with a key that this booth does not know; sign it with a key of [control] keys"
    )]
    Unknown,
    #[error("body was changed after it was signed; send the very bytes that were signed")]
    Wrong,
}

impl From<Doubt> for ControlError {
    fn from(doubt: Doubt) -> Self {
        match doubt {
            Doubt::NoKeys => Self::NoneConfigured,
            Doubt::Unsigned => Self::Unsigned,
            Doubt::Unknown => Self::Unknown,
            Doubt::Wrong => Self::Wrong,
        }
    }
}

/// The keys whose commands are obeyed.
#[derive(Debug, Clone, Default)]
pub struct ControlKeys(PublicKeys);

impl ControlKeys {
    /// Takes the keys of `[control] keys`, each the second line of a `minisign.pub`. A secret key is refused and not repeated.
    ///
    /// # Errors
    /// The first entry that is no public key.
    pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Self, EntryError> {
        let keys = PublicKeys::parse(texts).map_err(|why| match why {
            BadKeys::TooMany => EntryError::TooManyControlKeys,
            BadKeys::Secret => EntryError::SecretControlKey,
            BadKeys::NoKey(shown) => EntryError::NoControlKey(shown),
        });
        keys.map(Self)
    }

    /// Whether one of the keys has signed `body`, byte by byte.
    ///
    /// # Errors
    /// Why that is not believed.
    pub fn verify(&self, body: &str, minisig: &str) -> Result<(), ControlError> {
        Ok(self.0.verify(body.as_bytes(), minisig)?)
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

    fn signed(pair: &KeyPair, text: &str) -> String {
        sign(None, &pair.sk, text.as_bytes(), Some("x"), Some("y"))
            .expect("signed")
            .into_string()
    }

    #[test]
    fn only_a_known_key_over_these_very_bytes_is_obeyed() {
        let ((city, city_key), (other, other_key)) = (pair(), pair());
        let keys = ControlKeys::parse(&[other_key, city_key.clone()]).expect("keys");
        let only = ControlKeys::parse(&[city_key]).expect("a key");
        let good = signed(&city, "{}");
        assert_eq!(keys.verify("{}", &good), Ok(()));
        assert_eq!(only.verify("{} ", &good), Err(ControlError::Wrong));
        assert_eq!(
            only.verify("{}", &signed(&other, "{}")),
            Err(ControlError::Unknown)
        );
        assert_eq!(
            ControlKeys::default().verify("{}", &good),
            Err(ControlError::NoneConfigured)
        );
        for unsigned in ["", "RW", "untrusted comment: x\nRWQ=\n"] {
            assert_eq!(only.verify("{}", unsigned), Err(ControlError::Unsigned));
        }
        // Every character of the two signatures and of the trusted comment counts.
        let mut refused = 0;
        let begins = good.find('\n').expect("a line") + 1;
        for at in begins..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).expect("text");
            refused += usize::from(only.verify("{}", &changed).is_err());
        }
        // The last characters before `=` have bits that stand for nothing.
        assert!(refused + 6 >= good.len() - begins, "{refused}");
    }

    #[test]
    fn what_is_no_public_key_is_named_and_a_secret_one_is_not_repeated() {
        for text in [
            "",
            "RW",
            "untrusted comment: minisign public key",
            "AAAAAAAA",
        ] {
            let said = ControlKeys::parse(&[text])
                .expect_err("refused")
                .to_string();
            assert!(
                said.contains("[control] keys") && said.contains("minisign.pub"),
                "{said}"
            );
        }
        let (pair, key) = pair();
        let secret = pair.sk.to_box(None).expect("a box").to_string();
        let secret = secret.lines().nth(1).expect("the second line");
        let said = ControlKeys::parse(&[secret])
            .expect_err("refused")
            .to_string();
        assert!(
            said.contains("SECRET") && !said.contains(&secret[20..40]),
            "{said}"
        );
        assert!(ControlKeys::parse(&vec![key.clone(); MOST]).is_ok());
        assert_eq!(
            ControlKeys::parse(&vec![key; MOST + 1]).err(),
            Some(EntryError::TooManyControlKeys)
        );
    }
}
