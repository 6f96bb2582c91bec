//! `booth-hub open`: one sealed clip, opened with nothing but a private key.
//!
//! Never does: read a configuration, or anything of the store but the clip and its envelope.

use std::io;
use std::path::{Path, PathBuf};

use booth_host::plain_file;
use booth_sealing::{Ending, OpenError};

use crate::ingest::is_clip_id;
use crate::keys::{Keyring, KeysError};
use crate::store::private::Private;
use booth_contract::ClipId;
use booth_contract::written::text_of_body;
use booth_sealing::envelope::MAX_BYTES;
use booth_sealing::open::{BEFORE_ENVELOPE, envelope_length};

/// Longest clip that is read, in bytes: ten minutes of speech have two megabytes.
const MOST_BYTES: u64 = 256 << 20;

/// Why a clip was not opened.
#[derive(Debug, thiserror::Error)]
pub enum UnsealError {
    /// A private key cannot be read.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is not a sealed clip, or not sealed to these keys.
    #[error("{}: {error}", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: OpenError,
    },
    /// Longer than any clip.
    #[error("{}: it has more than 256 MiB; no clip is so long", .0.display())]
    TooLong(PathBuf),
    /// Its envelope is not in it and not where it should be.
    #[error(
        "{}: its envelope is kept apart from it and was not found. Open the file where it lies in the hub's store, with the folder beside \
         the store that ends in -private; if its citizen has taken it back, nobody opens it any more",
        .0.display()
    )]
    Apart(PathBuf),
    /// Something would be overwritten.
    #[error("{}: this file is there already; name another with --output", .0.display())]
    Exists(PathBuf),
}

/// A clip that was opened.
#[derive(Debug)]
pub struct Unsealed {
    /// Its id.
    pub clip: String,
    /// Where it lies now: an Ogg Opus file, or a text.
    pub output: PathBuf,
    /// It was written, and not spoken.
    pub is_text: bool,
    /// How long it is, in ms.
    pub duration_ms: u64,
    /// How it ended.
    pub ending: Ending,
}

/// Opens the clip at `path` with the private keys in the files `identities`, and writes it to `output`, or to `<clip id>.opus` (a written message to
/// `<clip id>.txt`) in the working folder. What is not whole is written as far as it is.
pub fn unseal(
    path: &Path,
    identities: &[PathBuf],
    output: Option<PathBuf>,
) -> Result<Unsealed, UnsealError> {
    let keys = Keyring::read(identities)?;
    let fault = |path: &Path| {
        let path = path.to_owned();
        move |error| UnsealError::File { path, error }
    };
    let mut body = plain_file::read_at_most(path, MOST_BYTES).map_err(fault(path))?;
    if body.len() as u64 > MOST_BYTES {
        return Err(UnsealError::TooLong(path.to_owned()));
    }
    complete(&mut body, path)?;
    let opened = keys.open(&body).map_err(|error| UnsealError::Open {
        path: path.to_owned(),
        error,
    })?;
    let (content, suffix) = match &opened.text {
        Some(body) => (text_of_body(body).map_or(&body[..], str::as_bytes), "txt"),
        None => (&opened.ogg[..], "opus"),
    };
    let output = output.unwrap_or_else(|| PathBuf::from(format!("{}.{suffix}", opened.clip)));
    plain_file::make_private(&output, content).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => UnsealError::Exists(output.clone()),
        _ => fault(&output)(error),
    })?;
    Ok(Unsealed {
        clip: opened.clip.to_string(),
        output,
        is_text: opened.text.is_some(),
        duration_ms: opened.samples() / 48,
        ending: opened.ending,
    })
}

/// A body of a hub's store has its envelope apart: puts it in from the folder beside the store.
fn complete(body: &mut [u8], path: &Path) -> Result<(), UnsealError> {
    let is_apart = is_sealed(body) && body.get(BEFORE_ENVELOPE) == Some(&0);
    if !is_apart {
        return Ok(());
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let store = path.parent().and_then(Path::parent).and_then(Path::parent);
    let envelope = store
        .filter(|_| is_clip_id(&name))
        .map(|store| Private::beside(store).envelope(&ClipId::from(&*name)));
    let envelope = envelope.ok_or_else(|| UnsealError::Apart(path.to_owned()))?;
    let content = plain_file::read_at_most(&envelope, MAX_BYTES as u64)
        .map_err(|_| UnsealError::Apart(path.to_owned()))?;
    if let Some(place) = body.get_mut(BEFORE_ENVELOPE..BEFORE_ENVELOPE + content.len()) {
        place.copy_from_slice(&content);
    }
    Ok(())
}

/// Whether a file begins like a sealed clip.
fn is_sealed(body: &[u8]) -> bool {
    let begins = body.first_chunk::<BEFORE_ENVELOPE>();
    begins.is_some_and(|begins| envelope_length(begins).is_some())
}

/// What a person should know of how a clip ended.
pub fn sentence(ending: &Ending) -> String {
    match ending {
        Ending::Whole => "it is whole".into(),
        Ending::Cut => "its end is missing: the power failed, or somebody cut it off. If its manifest says recovered = 1, the booth finished it after a power cut"
            .into(),
        Ending::CutWithin(at) => {
            format!("the file ends in the middle of a frame, at byte {at}: it was not copied whole")
        }
        Ending::Damaged(at) => format!(
            "it was changed after it was sealed, from byte {at} on: what follows was not opened"
        ),
        Ending::Followed(at) => {
            format!("it is whole; something that is no part of it follows at byte {at}")
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)] // the vectors are files
    use super::*;

    const CLIP: &str = "1b4e28ba-2fa1-4d13-a3ae-6f1f2c1d9e01";

    /// The vectors of docs/sealed-clip.md: the city's key, and each body in a file.
    fn vectors(folder: &Path) -> (PathBuf, serde_json::Value) {
        let text = include_str!("../../sealing/vectors/vectors.json");
        let vectors: serde_json::Value = serde_json::from_str(text).unwrap();
        let key = folder.join("city.key");
        let city = vectors["identities"][0].as_str().unwrap();
        plain_file::make_private(&key, city.as_bytes()).unwrap();
        (key, vectors)
    }

    #[test]
    fn each_vector_is_opened_as_far_as_it_is_whole_and_nothing_is_overwritten() {
        use base64::Engine;
        let folder = tempfile::tempdir().unwrap();
        let (key, vectors) = vectors(folder.path());
        for (n, case) in vectors["cases"].as_array().unwrap().iter().enumerate() {
            let body =
                base64::engine::general_purpose::STANDARD.decode(case["body"].as_str().unwrap());
            let (sealed, output) = (
                folder.path().join("sealed"),
                folder.path().join(format!("{n}.opus")),
            );
            std::fs::write(&sealed, body.unwrap()).unwrap();
            let open = || unseal(&sealed, std::slice::from_ref(&key), Some(output.clone()));
            let unsealed = open().unwrap();
            assert_eq!(unsealed.clip, CLIP);
            assert_eq!(unsealed.duration_ms, case["samples"].as_u64().unwrap() / 48);
            let is_whole = sentence(&unsealed.ending).contains("it is whole");
            assert_eq!(
                is_whole,
                ["whole", "followed"].contains(&case["ending"].as_str().unwrap())
            );
            assert!(matches!(open(), Err(UnsealError::Exists(_))));
        }
    }

    #[test]
    fn a_written_message_is_opened_as_its_text() {
        use booth_contract::FrameFacts;
        use booth_sealing::{DataKey, KernelRandom, Recipients, Sealer};
        let folder = tempfile::tempdir().unwrap();
        let (key, _) = vectors(folder.path());
        let city = crate::keys::read(&key).unwrap().recipient();
        let city = Recipients::new(vec![city]).unwrap();
        let data_key = DataKey::generate(&mut KernelRandom).unwrap();
        let clip = uuid::Uuid::from_u128(7);
        let (sealer, mut body) = Sealer::begin(clip, &data_key, &city, &mut KernelRandom).unwrap();
        let text = booth_contract::written::text_body("Bænken ved åen", [7; 16]);
        body.extend_from_slice(&sealer.seal_last(FrameFacts::NONE, &text));
        let sealed = folder.path().join("clip.sealed");
        std::fs::write(&sealed, body).unwrap();
        let output = folder.path().join("clip.txt");
        let unsealed = unseal(&sealed, &[key], Some(output.clone())).unwrap();
        assert!(unsealed.is_text && unsealed.ending.has_all());
        assert_eq!(std::fs::read_to_string(output).unwrap(), "Bænken ved åen");
    }

    #[test]
    fn the_wrong_key_and_the_wrong_file_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (key, vectors) = vectors(folder.path());
        let file = folder.path().join("clip.opus");
        std::fs::write(&file, include_bytes!("../../sealing/vectors/clip.opus")).unwrap();
        let refused = unseal(&file, std::slice::from_ref(&key), None)
            .unwrap_err()
            .to_string();
        assert!(
            refused.ends_with("this is no sealed clip: it does not begin like one"),
            "{refused}"
        );
        let other = folder.path().join("other.key");
        crate::keys::make(&other, None, jiff::Timestamp::UNIX_EPOCH).unwrap();
        let (sealed, output) = (folder.path().join("sealed"), folder.path().join("out"));
        use base64::Engine;
        let body = base64::engine::general_purpose::STANDARD
            .decode(vectors["cases"][0]["body"].as_str().unwrap());
        std::fs::write(&sealed, body.unwrap()).unwrap();
        let refused = unseal(&sealed, &[other], Some(output))
            .unwrap_err()
            .to_string();
        assert!(refused.contains("sealed to other keys"), "{refused}");
    }
}
