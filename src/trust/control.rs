//! Whose signed commands this booth obeys (contract §3.7): minisign's public keys of `[control] keys`, and the check of a signature
//! by them. Pure.

use minisign_verify::{Error, PublicKey, Signature};

use super::EntryError;
use super::keys::MOST;

/// A public key has 42 bytes, which are 56 characters in base64; a secret one begins with `RW`, too, and has 158.
const LONGEST_PUBLIC: usize = 56;

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

/// The keys whose commands are obeyed.
#[derive(Debug, Clone, Default)]
pub struct ControlKeys(Vec<PublicKey>);

impl ControlKeys {
    /// Takes the keys of `[control] keys`, each the second line of a `minisign.pub`. A secret key is refused and not repeated.
    ///
    /// # Errors
    /// The first entry that is no public key.
    pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Self, EntryError> {
        if texts.len() > MOST {
            return Err(EntryError::TooManyControlKeys);
        }
        let keys = texts.iter().map(|text| {
            let text = text.as_ref().trim();
            if text.starts_with("RW") && text.len() > LONGEST_PUBLIC {
                return Err(EntryError::SecretControlKey);
            }
            let shown = || text.chars().take(70).collect();
            PublicKey::from_base64(text).map_err(|_| EntryError::NoControlKey(shown()))
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    /// Whether one of the keys has signed `body`, byte by byte.
    ///
    /// # Errors
    /// Why that is not believed.
    pub fn verify(&self, body: &str, minisig: &str) -> Result<(), ControlError> {
        if self.0.is_empty() {
            return Err(ControlError::NoneConfigured);
        }
        let signature = Signature::decode(minisig).map_err(|_| ControlError::Unsigned)?;
        let mut answer = ControlError::Unknown;
        for key in &self.0 {
            // The old form of signature, over the text itself, is as good for a text that is in memory anyway.
            match key.verify(body.as_bytes(), &signature, true) {
                Ok(()) => return Ok(()),
                Err(Error::UnexpectedKeyId) => {}
                Err(_) => answer = ControlError::Wrong,
            }
        }
        Err(answer)
    }
}

#[cfg(test)]
mod tests {
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
