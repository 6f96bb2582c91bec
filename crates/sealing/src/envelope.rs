//! Envelopes: short secrets, sealed to public keys as a binary age file (the format is c2sp.org/age, `age-encryption.org/v1`).
//!
//! Written for what a booth needs of it: X25519 recipients and one chunk of payload. What other tools put into a header beside
//! that (stanzas of other kinds, grease) is skipped when it is read. The crate `age` does the same with some 130 crates more,
//! among them a framework for translations, for which a booth's image has no room.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::key::{Identity, Recipients};
use crate::random::{NoRandom, Random};

const FIRST_LINE: &str = "age-encryption.org/v1";
/// Most stanzas that are looked at: each costs a key exchange before anything of the header can be believed.
const MAX_STANZAS: usize = 128;
/// Longest envelope, in bytes.
pub const MAX_BYTES: usize = 16_384;
/// Longest content of an envelope, in bytes.
pub const MAX_CONTENT: usize = 4_096;
/// Bytes of the nonce before the payload.
const NONCE: usize = 16;
/// Bytes that sealing adds to a text (RFC 8439 §2.8).
pub(crate) const TAG: usize = 16;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// How an envelope is written in JSON: base64 with padding (RFC 4648 §4).
const TEXT: GeneralPurpose = base64::engine::general_purpose::STANDARD;

/// Why an envelope cannot be made or opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EnvelopeError {
    /// More than an envelope takes.
    #[error("{0} bytes are more than an envelope takes")]
    TooLong(usize),
    /// Not of the form.
    #[error("this is no age file ({0})")]
    Malformed(&'static str),
    /// Sealed to others.
    #[error("it is sealed to other keys; none of the given private keys opens it")]
    NotForUs,
    /// It was changed.
    #[error("it was changed after it was sealed")]
    Changed,
    /// No chance to be had.
    #[error(transparent)]
    Random(#[from] NoRandom),
}

/// HKDF-SHA256 (RFC 5869) to 32 bytes.
pub(crate) fn derive(secret: &[u8], salt: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(salt), secret)
        .expand(info, &mut *key)
        .expect("32 bytes are no more than HKDF gives");
    key
}

fn cipher(key: &[u8; 32]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(key.into())
}

/// The nonce of the only chunk of a payload: chunk 0, the last one.
fn only_chunk() -> Nonce {
    let mut nonce = Nonce::default();
    nonce[11] = 1;
    nonce
}

fn header_mac(file_key: &[u8], header: &[u8]) -> Hmac<Sha256> {
    let key = derive(file_key, &[], b"header");
    let mut mac =
        <Hmac<Sha256> as KeyInit>::new_from_slice(&*key).expect("HMAC takes a key of any length");
    mac.update(header);
    mac
}

/// The key that wraps a file key for one recipient.
fn wrap_key(
    secret: &StaticSecret,
    other: &PublicKey,
    share: &[u8; 32],
    recipient: &[u8; 32],
) -> Option<Zeroizing<[u8; 32]>> {
    let shared = secret.diffie_hellman(other);
    let salt = [*share, *recipient].concat();
    shared
        .was_contributory()
        .then(|| derive(shared.as_bytes(), &salt, b"age-encryption.org/v1/X25519"))
}

/// Seals `content`, at most [`MAX_CONTENT`] bytes, to every recipient.
pub fn seal(
    content: &[u8],
    recipients: &Recipients,
    random: &mut impl Random,
) -> Result<Vec<u8>, EnvelopeError> {
    if content.len() > MAX_CONTENT {
        return Err(EnvelopeError::TooLong(content.len()));
    }
    let mut file_key = Zeroizing::new([0; 16]);
    random.fill(&mut *file_key)?;
    let mut header = format!("{FIRST_LINE}\n");
    for recipient in recipients.iter() {
        let mut once = Zeroizing::new([0; 32]);
        random.fill(&mut *once)?;
        let once = StaticSecret::from(*once);
        let share = PublicKey::from(&once).to_bytes();
        let key = wrap_key(&once, &recipient.0, &share, recipient.0.as_bytes());
        let key = key.expect("a recipient of small order is never parsed");
        let wrapped = cipher(&key)
            .encrypt(&Nonce::default(), &file_key[..])
            .expect("16 bytes can be sealed");
        let (share, wrapped) = (BASE64.encode(share), BASE64.encode(wrapped));
        header += &format!("-> X25519 {share}\n{wrapped}\n");
    }
    header += "---";
    let mac = header_mac(&*file_key, header.as_bytes())
        .finalize()
        .into_bytes();
    let mut nonce = [0; NONCE];
    random.fill(&mut nonce)?;
    let payload = cipher(&derive(&*file_key, &nonce, b"payload"))
        .encrypt(&only_chunk(), content)
        .expect("a few kilobytes can be sealed");
    let mut file = format!("{header} {}\n", BASE64.encode(mac)).into_bytes();
    file.extend_from_slice(&nonce);
    file.extend_from_slice(&payload);
    if file.len() > MAX_BYTES {
        return Err(EnvelopeError::TooLong(file.len()));
    }
    Ok(file)
}

/// One X25519 stanza: what a recipient's identity finds the file key with.
struct Stanza {
    share: [u8; 32],
    wrapped: [u8; 32],
}

/// An age file, taken apart.
struct File<'a> {
    stanzas: Vec<Stanza>,
    /// What the header's MAC covers.
    covered: &'a [u8],
    mac: Vec<u8>,
    nonce: &'a [u8],
    payload: &'a [u8],
}

/// The next line of `rest`, without its end.
fn line<'a>(rest: &mut &'a [u8]) -> Result<&'a str, EnvelopeError> {
    let end = rest.iter().position(|&byte| byte == b'\n');
    let end = end.ok_or(EnvelopeError::Malformed("its header has no end"))?;
    let (line, after) = rest.split_at(end);
    *rest = &after[1..];
    std::str::from_utf8(line).map_err(|_| EnvelopeError::Malformed("its header is no text"))
}

fn decoded(text: &str) -> Result<Vec<u8>, EnvelopeError> {
    BASE64
        .decode(text)
        .map_err(|_| EnvelopeError::Malformed("a part of its header is no base64"))
}

impl<'a> File<'a> {
    fn read(file: &'a [u8]) -> Result<Self, EnvelopeError> {
        if file.len() > MAX_BYTES {
            return Err(EnvelopeError::TooLong(file.len()));
        }
        let mut rest = file;
        if line(&mut rest)? != FIRST_LINE {
            return Err(EnvelopeError::Malformed("it does not begin like one"));
        }
        let (mut stanzas, mut seen) = (Vec::new(), 0);
        loop {
            let before = file.len() - rest.len();
            let first = line(&mut rest)?;
            if let Some(mac) = first.strip_prefix("--- ") {
                let mac = decoded(mac)?;
                let (nonce, payload) = rest
                    .split_at_checked(NONCE)
                    .ok_or(EnvelopeError::Malformed("it has no content"))?;
                return Ok(Self {
                    stanzas,
                    covered: &file[..before + 3],
                    mac,
                    nonce,
                    payload,
                });
            }
            seen += 1;
            if seen > MAX_STANZAS {
                return Err(EnvelopeError::Malformed("it is sealed to too many"));
            }
            let kind = first
                .strip_prefix("-> ")
                .ok_or(EnvelopeError::Malformed("its header ends too early"))?;
            let mut body = String::new();
            loop {
                let piece = line(&mut rest)?;
                if piece.len() > 64 {
                    return Err(EnvelopeError::Malformed("a line of its header is too long"));
                }
                body += piece;
                if piece.len() < 64 {
                    break;
                }
            }
            let body = decoded(&body)?;
            let mut words = kind.split(' ');
            if let (Some("X25519"), Some(share), None) = (words.next(), words.next(), words.next())
            {
                let wrong =
                    |_| EnvelopeError::Malformed("a recipient of its header has the wrong length");
                stanzas.push(Stanza {
                    share: decoded(share)?.try_into().map_err(wrong)?,
                    wrapped: body.try_into().map_err(wrong)?,
                });
            }
        }
    }

    fn file_key(&self, identity: &Identity) -> Option<Zeroizing<Vec<u8>>> {
        let recipient = PublicKey::from(&identity.0).to_bytes();
        self.stanzas.iter().find_map(|stanza| {
            let key = wrap_key(&identity.0, &stanza.share.into(), &stanza.share, &recipient)?;
            let found = cipher(&key).decrypt(&Nonce::default(), &stanza.wrapped[..]);
            found.ok().map(Zeroizing::new)
        })
    }
}

/// Opens an envelope with the first identity that fits.
pub fn open(file: &[u8], identities: &[Identity]) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
    let file = File::read(file)?;
    let file_key = identities
        .iter()
        .find_map(|identity| file.file_key(identity));
    let file_key = file_key.ok_or(EnvelopeError::NotForUs)?;
    header_mac(&file_key, file.covered)
        .verify_slice(&file.mac)
        .map_err(|_| EnvelopeError::Changed)?;
    cipher(&derive(&file_key, file.nonce, b"payload"))
        .decrypt(&only_chunk(), file.payload)
        .map(Zeroizing::new)
        .map_err(|_| EnvelopeError::Changed)
}

/// Seals `content` like [`seal`], as base64: the `sealed` of a manifest or a withdrawal.
pub fn seal_to_text(
    content: &[u8],
    recipients: &Recipients,
    random: &mut impl Random,
) -> Result<String, EnvelopeError> {
    Ok(TEXT.encode(seal(content, recipients, random)?))
}

/// Opens what [`seal_to_text`] made, with the first identity that fits.
pub fn open_text(text: &str, identities: &[Identity]) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
    let file = TEXT.decode(text.trim());
    let file = file.map_err(|_| EnvelopeError::Malformed("it is no base64"))?;
    open(&file, identities)
}
