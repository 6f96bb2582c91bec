//! Receipts at the hub: a keyed hash of each, and nothing that leads back to its digits.
//!
//! Owns: the key of these hashes, made at the first start in a file of its own apart from the database, and the way from a sealed
//! receipt to its hash. Never does: keep or print a receipt. Eleven digits can be tried out by whoever has hash and key, so that the
//! key must not lie where the database or its backups lie.

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use booth_contract::receipt::{ClipSecret, WithdrawalSecret};
use booth_contract::{ClipId, OneTimeCode, Receipt, hex};
use booth_sealing::{EnvelopeError, KernelRandom, Random, Recipients, envelope};

use crate::keys::{self, Keyring, KeysError};

/// How a key's file begins, so that a person who finds it knows what it is.
const FIRST_LINE: &str = "# The key under which this hub hashes receipts. Lost, no message that was left before can be withdrawn.";

/// What a receipt has become: 64 hex digits that are the same for the same receipt at this hub, and at no other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReceiptMark(String);

impl ReceiptMark {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes a text that is such a hash.
    pub fn read(text: &str) -> Option<Self> {
        let is_one = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_one.then(|| Self(text.to_owned()))
    }
}

/// What a one-time code has become: the same for the same code of the same campaign at this hub, and at no other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CodeMark(String);

impl CodeMark {
    /// The text: 64 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes a text that is such a hash.
    pub fn read(text: &str) -> Option<Self> {
        ReceiptMark::read(text).map(|mark| Self(mark.0))
    }
}

/// The key of the hashes. Overwritten when it is dropped.
pub struct ReceiptKey(Box<Zeroizing<[u8; 32]>>);

impl std::fmt::Debug for ReceiptKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReceiptKey")
    }
}

impl ReceiptKey {
    /// Makes one that lives in memory alone.
    ///
    /// # Errors
    /// The kernel's generator gives nothing.
    pub fn make() -> Result<Self, KeysError> {
        let mut key = Box::new(Zeroizing::new([0; 32]));
        KernelRandom.fill(&mut **key)?;
        Ok(Self(key))
    }

    /// Reads the key of this file; makes it where there is none, readable for its owner alone.
    ///
    /// # Errors
    /// A file that cannot be read or made, that others can read, or that holds no key.
    pub fn read_or_make(path: &Path) -> Result<Self, KeysError> {
        let text = match keys::read_private(path) {
            Err(KeysError::File { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => {
                let key = Self::make()?;
                let digits = Zeroizing::new(hex(&**key.0));
                let text = Zeroizing::new(format!("{FIRST_LINE}\n{}\n", *digits));
                keys::write_new(path, text.as_bytes())?;
                return Ok(key);
            }
            read => read?,
        };
        let digits = String::from_utf8_lossy(&text);
        let line = digits.lines().find(|line| !line.starts_with('#'));
        let key = line.and_then(|line| from_hex(line.trim()));
        key.map(Self)
            .ok_or_else(|| KeysError::NoReceiptKey(path.to_owned()))
    }

    /// The hash of a receipt.
    pub fn mark(&self, receipt: &Receipt) -> ReceiptMark {
        ReceiptMark(hex(&self.hash(receipt.to_text().as_bytes())))
    }

    /// The hash of a one-time code of this campaign.
    pub fn code(&self, campaign: &str, code: &OneTimeCode) -> CodeMark {
        let text = Zeroizing::new(format!("code\n{campaign}\n{}", *code.to_text()));
        CodeMark(hex(&self.hash(text.as_bytes())))
    }

    /// What the id of the vote from home is made of that is cast with this code: the same whenever it is sent again, also after a restart.
    pub fn vote_from_home(&self, campaign: &str, question: &str, code: &OneTimeCode) -> [u8; 16] {
        let digits = code.to_text();
        let text = Zeroizing::new(format!(
            "vote from home\n{campaign}\n{question}\n{}",
            *digits
        ));
        let mut id = [0; 16];
        id.copy_from_slice(&self.hash(text.as_bytes())[..16]);
        id
    }

    /// What names this key, so that another one in its place is noticed.
    pub fn name(&self) -> String {
        hex(&self.hash(b"the name of this key"))[..16].to_owned()
    }

    fn hash(&self, text: &[u8]) -> [u8; 32] {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&**self.0)
            .expect("HMAC takes a key of any length");
        mac.update(text);
        mac.finalize().into_bytes().into()
    }
}

fn from_hex(text: &str) -> Option<Box<Zeroizing<[u8; 32]>>> {
    let mut key = Box::new(Zeroizing::new([0; 32]));
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(key)
}

/// Why a sealed receipt gives no hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unopened {
    /// It is sealed to keys that are not here; another run may have them.
    OtherKeys,
    /// It is none, and will never be one.
    Strange(String),
}

/// What was sealed in the manifest of a clip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The hash of its receipt.
    pub receipt: ReceiptMark,
    /// The hash of the one-time code with which a vote was cast; `None` without one, or where it is none.
    pub code: Option<CodeMark>,
}

/// The private keys and the key of the hashes: from a sealed receipt to its hash.
#[derive(Debug, Clone)]
pub struct Opener {
    keys: Arc<Keyring>,
    key: Arc<ReceiptKey>,
}

impl Opener {
    /// An opener; `keys` must have one at least.
    pub fn new(keys: Arc<Keyring>, key: Arc<ReceiptKey>) -> Self {
        Self { keys, key }
    }

    /// The names of the private keys, sorted.
    pub fn key_ids(&self) -> Vec<String> {
        let mut ids = self.keys.ids();
        ids.sort();
        ids
    }

    /// The name of the key of the hashes.
    pub fn receipt_key(&self) -> String {
        self.key.name()
    }

    /// The hashes of what is sealed in the manifest of this clip, which answers a question of this campaign.
    ///
    /// # Errors
    /// See [`Unopened`].
    pub fn of_clip(
        &self,
        clip_id: &ClipId,
        campaign: Option<&str>,
        sealed: &str,
    ) -> Result<Opened, Unopened> {
        let text = self.open(sealed)?;
        let secret: ClipSecret = read(&text)?;
        if secret.clip_id != *clip_id {
            return strange("it is another clip's");
        }
        let code = secret.code.as_ref().zip(campaign);
        let code = code.and_then(|(code, campaign)| {
            let code = OneTimeCode::parse_text(code.as_str()).ok()?;
            Some(self.key.code(campaign, &code))
        });
        Ok(Opened {
            receipt: self.mark(secret.receipt.as_str())?,
            code,
        })
    }

    /// The hash of the receipt that is sealed in this withdrawal.
    ///
    /// # Errors
    /// See [`Unopened`].
    pub fn of_withdrawal(&self, id: &ClipId, sealed: &str) -> Result<ReceiptMark, Unopened> {
        let text = self.open(sealed)?;
        let secret: WithdrawalSecret = read(&text)?;
        if secret.id != *id {
            return strange("it is another withdrawal's");
        }
        self.mark(secret.receipt.as_str())
    }

    /// The hash of a receipt that this hub has made itself.
    pub fn of_receipt(&self, receipt: &Receipt) -> ReceiptMark {
        self.key.mark(receipt)
    }

    fn mark(&self, digits: &str) -> Result<ReceiptMark, Unopened> {
        match Receipt::parse_text(digits) {
            Ok(receipt) => Ok(self.key.mark(&receipt)),
            Err(error) => strange(&error.to_string()),
        }
    }

    fn open(&self, sealed: &str) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let envelope = decode(sealed)?;
        self.keys
            .open_envelope(&envelope)
            .map_err(|error| match error {
                EnvelopeError::NotForUs => Unopened::OtherKeys,
                other => Unopened::Strange(other.to_string()),
            })
    }
}

/// The bytes of a sealed receipt, if it can be one.
///
/// # Errors
/// [`Unopened::Strange`].
pub fn decode(sealed: &str) -> Result<Vec<u8>, Unopened> {
    let envelope = STANDARD
        .decode(sealed)
        .map_err(|_| Unopened::Strange("what is sealed is no base64".into()))?;
    match envelope.starts_with(b"age-encryption.org/v1\n") {
        true => Ok(envelope),
        false => strange("what is sealed is no age file"),
    }
}

/// Seals a receipt that was given to this hub as a withdrawal, for whoever has the city's key.
///
/// # Errors
/// The kernel's generator gives nothing.
pub fn seal(id: &ClipId, receipt: &Receipt, to: &Recipients) -> Result<String, EnvelopeError> {
    let text = receipt.text_for_withdrawal(id);
    Ok(STANDARD.encode(envelope::seal(&text, to, &mut KernelRandom)?))
}

/// Seals the receipt of a clip that this hub keeps, as a booth does: into its manifest. `code` is the one-time code of a vote.
///
/// # Errors
/// The kernel's generator gives nothing.
pub fn seal_for_clip(
    clip_id: &ClipId,
    receipt: &Receipt,
    code: Option<&OneTimeCode>,
    to: &Recipients,
) -> Result<String, EnvelopeError> {
    let code = code.map(OneTimeCode::to_text);
    let text = receipt.text_for_clip(clip_id, code.as_ref().map(|text| text.as_str()));
    Ok(STANDARD.encode(envelope::seal(&text, to, &mut KernelRandom)?))
}

fn read<T: serde::de::DeserializeOwned>(text: &[u8]) -> Result<T, Unopened> {
    // What serde says could quote what is sealed.
    serde_json::from_slice(text)
        .map_err(|_| Unopened::Strange("its text is not of the form".into()))
}

fn strange<T>(why: &str) -> Result<T, Unopened> {
    Err(Unopened::Strange(why.to_owned()))
}

/// A manifest without what is sealed in it: the same bytes otherwise, where the text has it word for word.
pub fn without_sealed(raw: &[u8], sealed: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(raw);
    let quoted = format!("\"{sealed}\"");
    if text.matches(&quoted).count() == 1 {
        return text.replace(&quoted, "null").into_bytes();
    }
    let mut fields: serde_json::Value = serde_json::from_slice(raw).unwrap_or_default();
    if let Some(sealed) = fields.get_mut("sealed") {
        *sealed = serde_json::Value::Null;
    }
    serde_json::to_vec(&fields).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)] // looks at the key's file
    use super::*;
    use booth_sealing::Identity;
    use std::os::unix::fs::PermissionsExt;

    const CLIP: &str = "1b4e28ba-2fa1-4d13-a3ae-6f1f2c1d9e01";

    fn receipt() -> Receipt {
        Receipt::parse_text("002006673085").expect("a receipt")
    }

    #[test]
    fn the_key_is_made_once_for_its_owner_alone_and_another_one_gives_other_hashes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("receipt-key");
        let key = ReceiptKey::read_or_make(&path).expect("made");
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = ReceiptKey::read_or_make(&path).expect("read");
        assert_eq!(again.mark(&receipt()), key.mark(&receipt()));
        assert_eq!(again.name(), key.name());
        let other = ReceiptKey::read_or_make(&folder.path().join("other")).expect("made");
        assert_ne!(other.mark(&receipt()), key.mark(&receipt()));
        assert_ne!(other.name(), key.name());
        assert!(ReceiptMark::read(key.mark(&receipt()).as_str()).is_some());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("set");
        assert!(
            ReceiptKey::read_or_make(&path).is_err(),
            "others can read it"
        );
        std::fs::remove_file(&path).expect("removed");
        keys::write_new(&path, b"# nothing\n").expect("written");
        let refused = ReceiptKey::read_or_make(&path).expect_err("none");
        assert!(refused.to_string().contains("restore"), "{refused}");
    }

    #[test]
    fn a_sealed_receipt_gives_its_hash_for_its_own_clip_and_its_own_key_alone() {
        let city = Identity::generate(&mut KernelRandom).expect("a key");
        let to = Recipients::new(vec![city.recipient()]).expect("one");
        let key = Arc::new(ReceiptKey::make().expect("a key"));
        let opener = Opener::new(Arc::new(Keyring::of(vec![city])), key.clone());
        let text = receipt().text_for_clip(&CLIP.into(), None);
        let sealed = envelope::seal(&text, &to, &mut KernelRandom).expect("sealed");
        let sealed = STANDARD.encode(sealed);
        assert_eq!(
            opener.of_clip(&CLIP.into(), None, &sealed),
            Ok(Opened {
                receipt: key.mark(&receipt()),
                code: None
            })
        );
        let moved = opener.of_clip(
            &"1b4e28ba-2fa1-4d13-a3ae-6f1f2c1d9e02".into(),
            None,
            &sealed,
        );
        assert!(matches!(moved, Err(Unopened::Strange(_))));
        assert!(
            matches!(
                opener.of_withdrawal(&CLIP.into(), &sealed),
                Err(Unopened::Strange(_))
            ),
            "a clip's receipt is no withdrawal"
        );
        let withdrawal = seal(&CLIP.into(), &receipt(), &to).expect("sealed");
        assert_eq!(
            opener.of_withdrawal(&CLIP.into(), &withdrawal),
            Ok(key.mark(&receipt()))
        );
        let stranger = Identity::generate(&mut KernelRandom).expect("a key");
        let stranger = Opener::new(Arc::new(Keyring::of(vec![stranger])), key);
        assert_eq!(
            stranger.of_clip(&CLIP.into(), None, &sealed),
            Err(Unopened::OtherKeys)
        );
        for rubbish in ["", "%", "YWdl", "bm90IGFnZQ=="] {
            let opened = opener.of_clip(&CLIP.into(), None, rubbish);
            assert!(matches!(opened, Err(Unopened::Strange(_))), "{rubbish}");
        }
    }

    #[test]
    fn the_code_of_a_vote_becomes_the_hash_of_its_campaigns_list() {
        let city = Identity::generate(&mut KernelRandom).expect("a key");
        let to = Recipients::new(vec![city.recipient()]).expect("one");
        let key = Arc::new(ReceiptKey::make().expect("a key"));
        let opener = Opener::new(Arc::new(Keyring::of(vec![city])), key.clone());
        let random = |bytes: &mut [u8]| KernelRandom.fill(bytes).expect("chance");
        let code = OneTimeCode::generate(random, &[]).expect("a code");
        let sealed = |code: Option<&str>| {
            let text = receipt().text_for_clip(&CLIP.into(), code);
            STANDARD.encode(envelope::seal(&text, &to, &mut KernelRandom).expect("sealed"))
        };
        let of = |campaign: Option<&str>, code: Option<&str>| {
            let opened = opener.of_clip(&CLIP.into(), campaign, &sealed(code));
            opened.expect("opened").code
        };
        let text = code.to_text();
        assert_eq!(of(Some("tree"), Some(&text)), Some(key.code("tree", &code)));
        assert_ne!(
            of(Some("tree"), Some(&text)),
            of(Some("square"), Some(&text))
        );
        assert_eq!(of(None, Some(&text)), None);
        assert_eq!(of(Some("tree"), None), None);
        assert_eq!(of(Some("tree"), Some("4711")), None);
    }

    #[test]
    fn a_manifest_loses_what_is_sealed_in_it_and_no_other_byte() {
        let raw = br#"{"a":1, "sealed":"YWdl+/=","b":"x"}"#;
        assert_eq!(
            without_sealed(raw, "YWdl+/="),
            br#"{"a":1, "sealed":null,"b":"x"}"#
        );
        let escaped = br#"{"sealed":"YWdl+\/=","b":"x"}"#;
        let kept = without_sealed(escaped, "YWdl+/=");
        assert_eq!(kept, br#"{"b":"x","sealed":null}"#);
    }
}
