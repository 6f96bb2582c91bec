//! Reads clip files by docs/spool-format.md alone, so that the spool's own reader is not its own judge.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

const PREAMBLE_BYTES: usize = 24;
const HEAD_BYTES: usize = 16;
const FACTS_BYTES: usize = 12;

/// What a clip file holds, up to the first record that is not whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClipFile {
    /// Boot-time clock of the first kept sample, in ms.
    pub began_mono_ms: Option<u64>,
    /// Kept speech.
    pub kept_ms: u64,
    /// SHA-256 of the body, in hex.
    pub sha256: String,
    /// Bytes of the body.
    pub bytes: u64,
    /// The closing record.
    pub manifest: Option<String>,
    /// Deleted on purpose.
    pub is_discarded: bool,
    /// There are bytes after the last whole record.
    pub has_torn_tail: bool,
}

impl ClipFile {
    /// A field of the manifest.
    pub fn manifest_field(&self, name: &str) -> serde_json::Value {
        let manifest = self.manifest.as_deref().unwrap_or("null");
        let manifest: serde_json::Value = serde_json::from_str(manifest).unwrap_or_default();
        manifest[name].clone()
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// Reads the bytes of a clip file.
pub fn parse(file: &[u8]) -> ClipFile {
    let mut clip = ClipFile::default();
    let mut samples = 0u64;
    let mut body = Sha256::new();
    let preamble = &file[..file.len().min(PREAMBLE_BYTES)];
    let mut rest = &file[preamble.len()..];
    let mut sequence = 0;
    while rest.len() >= HEAD_BYTES {
        let (head, after) = rest.split_at(HEAD_BYTES);
        let Some(payload) = after.get(..number(&head[..4]) as usize) else {
            break;
        };
        let sum = crc32c::crc32c_append(crc32c::crc32c(preamble), &head[..12]);
        let sum = crc32c::crc32c_append(sum, payload);
        if sum != number(&head[12..16]) || number(&head[8..12]) != sequence {
            break;
        }
        match head[4] {
            2 => {
                let start: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
                clip.began_mono_ms = start["mono"].as_u64();
            }
            3 if payload.len() >= FACTS_BYTES => {
                samples += u64::from(number(&payload[..4]));
                clip.bytes += (payload.len() - FACTS_BYTES) as u64;
                body.update(&payload[FACTS_BYTES..]);
            }
            4 => clip.manifest = Some(String::from_utf8_lossy(payload).into_owned()),
            5 => clip.is_discarded = true,
            _ => {}
        }
        sequence += 1;
        rest = &after[payload.len()..];
    }
    clip.kept_ms = samples / 48;
    clip.has_torn_tail = !rest.is_empty();
    clip.sha256 = hex(&body.finalize());
    clip
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Names and contents of the clip files of a folder; none if there is no such folder.
pub fn read_folder(folder: &Path) -> Vec<(String, ClipFile)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let clip = |path: PathBuf| {
        let name = path
            .file_name()?
            .to_str()?
            .strip_suffix(".clip")?
            .to_owned();
        Some((name, parse(&std::fs::read(&path).ok()?)))
    };
    entries.filter_map(|entry| clip(entry.path())).collect()
}

/// `card_id` in `card.json`.
pub fn card_id(spool: &Path) -> Option<String> {
    let text = std::fs::read_to_string(spool.join("card.json")).ok()?;
    let card: serde_json::Value = serde_json::from_str(text.lines().next()?).ok()?;
    Some(card["card_id"].as_str()?.to_owned())
}
