//! What the hub believes of a manifest, and what it answers.
//!
//! Owns: the checks that a manifest must pass before its body is taken in, and the shape of every
//! answer. Pure: never touches the store, a file or a clock. A manifest that is not believed is
//! answered `reject` with a sentence; nothing else is kept of it here.

use booth_contract::hex;
use booth_contract::time::rfc3339;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use booth_contract::{
    Ack, AckStatus, BodyHash, BodyKind, BootId, BoothId, ByteRange, ClipId, ClipKind,
    MAX_JSON_BYTES, Manifest, SCHEMA, reading,
};

/// Longest text accepted in a manifest's short fields, in bytes.
const MAX_TEXT_BYTES: usize = 128;
/// No recording lasts longer than a day.
const MAX_DURATION_MS: u64 = 86_400_000;
/// Opus ends at 510 kbit/s (RFC 6716 §2.1.1); twice that leaves room for Ogg and sealing.
const MAX_BYTES_PER_MS: u64 = 128;
/// Longest sentence of an answer in characters, because a quotation from outside could make it longer than booths read.
const MAX_REASON_CHARS: usize = 300;
/// Allowance for headers, comments and a first page, whatever the duration.
const HEADROOM_BYTES: u64 = 65_536;
/// Longest written message, bytes of its body.
pub const MAX_WRITTEN_BYTES: u64 = 32_768;
/// Even digital silence in the longest frames (120 ms) costs more than this.
const MIN_BYTES_PER_S: u64 = 8;
/// Most ranges in one `partial`: the answer stays well below 16 KiB, and the other ranges come with the next answer.
pub const MAX_MISSING_RANGES: usize = 256;

/// Why a manifest is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disbelief {
    /// One sentence for the booth's quarantine and the operator.
    pub reason: String,
    /// The hash as the manifest gave it, so that the booth knows its clip is meant.
    pub sha256: Option<BodyHash>,
}

/// Whether `text` can be a clip id: a UUID as its 36 lower-case characters, which is also a safe file name.
pub fn is_clip_id(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok_and(|uuid| uuid.hyphenated().to_string() == text)
}

/// Checks a manifest that came on the topic of `clip_id` from `sender`.
///
/// Whether the manifest's booth may differ from the sender depends on what is known of the card, which the store decides.
pub fn believe(
    clip_id: &ClipId,
    payload: &[u8],
    max_clip_bytes: u64,
) -> Result<Manifest, Disbelief> {
    let fail = |reason: String, sha256: Option<BodyHash>| {
        let reason = reason.chars().take(MAX_REASON_CHARS).collect();
        Err(Disbelief { reason, sha256 })
    };
    if payload.len() > MAX_JSON_BYTES {
        return fail(
            format!(
                "the manifest has {} bytes, more than {MAX_JSON_BYTES}",
                payload.len()
            ),
            None,
        );
    }
    let fields = match reading::fields(payload) {
        Ok(fields) => fields,
        Err(error) => return fail(format!("the manifest is no JSON object: {error}"), None),
    };
    let sha256 = fields
        .get("sha256")
        .and_then(|hash| hash.as_str())
        .filter(|hash| hash.len() <= MAX_TEXT_BYTES)
        .map(BodyHash::from);
    // In another version of the manifest every other field may have another meaning.
    if let Some(schema) = fields.get("schema").and_then(serde_json::Value::as_u64)
        && schema != u64::from(SCHEMA)
    {
        return fail(format!("schema {schema} is not known to this hub"), sha256);
    }
    let manifest: Manifest = match serde_json::from_value(fields.into()) {
        Ok(manifest) => manifest,
        Err(error) => return fail(format!("the manifest is not understood: {error}"), sha256),
    };
    match fault(clip_id, &manifest, max_clip_bytes) {
        None => Ok(tidied(manifest)),
        Some(reason) => fail(reason, sha256),
    }
}

/// Optional values that cannot be true count as absent: a citizen's answer is not refused because of them.
fn tidied(mut manifest: Manifest) -> Manifest {
    let fits = |text: &str| text.len() <= MAX_TEXT_BYTES && !text.chars().any(char::is_control);
    if !fits(&manifest.boot_id) {
        manifest.boot_id = BootId::default();
    }
    if !fits(&manifest.source) {
        manifest.source.clear();
    }
    for text in [
        &mut manifest.campaign_id,
        &mut manifest.question_id,
        &mut manifest.lang,
    ] {
        text.take_if(|text| !fits(text));
    }
    let is_time = |text: &String| text.parse::<Timestamp>().is_ok();
    manifest.started_at.take_if(|text| !is_time(text));
    manifest.started_mono_ms.take_if(|ms| *ms > 1 << 53);
    manifest
        .config_version
        .take_if(|version| *version > 1 << 53);
    if let Some(consent) = &mut manifest.consent {
        consent.notice_id.take_if(|text| !fits(text));
    }
    manifest
}

/// The first thing in a manifest that cannot be true, as a sentence.
fn fault(clip_id: &ClipId, manifest: &Manifest, max_clip_bytes: u64) -> Option<String> {
    if manifest.clip_id != *clip_id {
        return Some("the manifest's clip_id is not that of its topic".into());
    }
    if manifest.clip_no == 0 || manifest.clip_no > 1 << 53 {
        return Some(format!("clip_no {} cannot be", manifest.clip_no));
    }
    if !is_token(&manifest.card_id) {
        return Some("card_id is empty, too long or no plain name".into());
    }
    if manifest
        .duration_ms
        .is_some_and(|duration_ms| duration_ms > MAX_DURATION_MS)
    {
        return Some("it is longer than a day".into());
    }
    if manifest
        .sha256
        .as_deref()
        .is_some_and(|text| !is_sha256(text))
    {
        return Some("sha256 is not 64 lower-case hex digits".into());
    }
    match manifest.kind {
        ClipKind::Audio => audio_fault(manifest, max_clip_bytes),
        ClipKind::Choice => choice_fault(manifest),
        ClipKind::Text => text_fault(manifest),
        ClipKind::Void if manifest.bytes != 0 => Some("a void number has no body".into()),
        ClipKind::Void
            if manifest
                .reason
                .as_ref()
                .is_some_and(|text| text.len() > 1024) =>
        {
            Some("the reason is too long".into())
        }
        ClipKind::Void => None,
    }
}

fn audio_fault(manifest: &Manifest, max_clip_bytes: u64) -> Option<String> {
    if !matches!(
        manifest.body,
        Some(BodyKind::OggOpus | BodyKind::SealedOggOpus)
    ) {
        return Some("a spoken clip needs a body kind".into());
    }
    if manifest.sha256.is_none() {
        return Some("a spoken clip needs its sha256".into());
    }
    if manifest.bytes == 0 {
        return Some("a spoken clip cannot be empty".into());
    }
    if manifest.bytes > max_clip_bytes {
        return Some(format!(
            "{} bytes are more than this hub takes ({max_clip_bytes})",
            manifest.bytes
        ));
    }
    let Some(duration_ms) = manifest.duration_ms else {
        return Some("a spoken clip needs a duration".into());
    };
    let most = HEADROOM_BYTES + duration_ms * MAX_BYTES_PER_MS;
    let least = duration_ms / 1000 * MIN_BYTES_PER_S;
    if manifest.bytes > most || manifest.bytes < least {
        return Some(format!(
            "{} bytes cannot hold {duration_ms} ms of speech",
            manifest.bytes
        ));
    }
    None
}

fn text_fault(manifest: &Manifest) -> Option<String> {
    if manifest.body != Some(BodyKind::Text) {
        return Some("a written message needs its body kind".into());
    }
    if manifest.sha256.is_none() {
        return Some("a written message needs its sha256".into());
    }
    if manifest.bytes == 0 || manifest.bytes > MAX_WRITTEN_BYTES {
        return Some(format!(
            "a written message has 1 to {MAX_WRITTEN_BYTES} bytes, and not {}",
            manifest.bytes
        ));
    }
    None
}

fn choice_fault(manifest: &Manifest) -> Option<String> {
    let (Some(question), Some(choice)) = (&manifest.question_id, manifest.choice) else {
        return Some("a choice needs question_id and choice".into());
    };
    if question.len() > MAX_TEXT_BYTES || question.chars().any(char::is_control) {
        return Some("its question_id is too long or holds control characters".into());
    }
    if manifest.bytes != 0 {
        return Some("a choice has no body".into());
    }
    let text = format!("{}:{question}:{choice}", manifest.clip_id);
    if manifest.sha256.as_deref() != Some(hex(&Sha256::digest(text.as_bytes())).as_str()) {
        return Some("sha256 is not that of <clip_id>:<question_id>:<choice>".into());
    }
    None
}

/// A short name of letters, digits, `-`, `_`, `.` and `:`.
pub fn is_token(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// At most 64 characters of a text from outside, for a sentence.
pub fn shortened(text: &str) -> String {
    if text.chars().count() <= 64 {
        text.to_owned()
    } else {
        text.chars().take(63).chain(['…']).collect()
    }
}

/// An answer, ready to be published to the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The booth that it goes to: the one in the topic.
    pub booth: BoothId,
    /// What it says.
    pub ack: Ack,
}

/// `stored`: the booth may release it.
pub fn stored(
    booth: &BoothId,
    clip_id: &ClipId,
    sha256: Option<&BodyHash>,
    now: Timestamp,
) -> Answer {
    answer(booth, clip_id, sha256, AckStatus::Stored, now)
}

/// `partial`: what is still missing, at most [`MAX_MISSING_RANGES`].
pub fn partial(
    booth: &BoothId,
    clip_id: &ClipId,
    sha256: Option<&BodyHash>,
    missing: &[(u64, u64)],
    now: Timestamp,
) -> Answer {
    let mut answer = answer(booth, clip_id, sha256, AckStatus::Partial, now);
    answer.ack.missing = missing
        .iter()
        .take(MAX_MISSING_RANGES)
        .map(|&(from, to)| ByteRange(from, to))
        .collect();
    answer
}

/// `reject`: the booth quarantines it.
pub fn reject(
    booth: &BoothId,
    clip_id: &ClipId,
    sha256: Option<&BodyHash>,
    reason: &str,
    now: Timestamp,
) -> Answer {
    let mut answer = answer(booth, clip_id, sha256, AckStatus::Reject, now);
    answer.ack.reason = Some(reason.to_owned());
    answer
}

/// `discard`: withdrawn; the booth deletes it.
pub fn discard(
    booth: &BoothId,
    clip_id: &ClipId,
    sha256: Option<&BodyHash>,
    now: Timestamp,
) -> Answer {
    let mut answer = answer(booth, clip_id, sha256, AckStatus::Discard, now);
    answer.ack.reason = Some("withdrawn".into());
    answer
}

fn answer(
    booth: &BoothId,
    clip_id: &ClipId,
    sha256: Option<&BodyHash>,
    status: AckStatus,
    now: Timestamp,
) -> Answer {
    Answer {
        booth: booth.clone(),
        ack: Ack {
            clip_id: clip_id.clone(),
            status,
            sha256: sha256.cloned(),
            missing: Vec::new(),
            reason: None,
            ts: Some(rfc3339(now)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const CLIP: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";

    fn good() -> Value {
        json!({"schema":1,"clip_id":CLIP,"clip_no":1,"card_id":"c1","booth_id":"abc","boot_id":"b",
            "kind":"audio","source":"booth","test":0,"campaign_id":null,"question_id":"q","choice":null,
            "lang":"da","started_at":"2026-03-01T10:00:00.000Z","started_mono_ms":5,"clock_synced":1,
            "duration_ms":1000,"ended_by":"hang_up","recovered":0,"body":"ogg-opus","bytes":3000,
            "sha256":"0".repeat(64),"bitrate":24000,"sample_rate":48000,"channels":1,"consent":null,
            "key_ids":[],"sealed":null,"rms_dbfs":null,"peak_dbfs":null,"speech_ratio":null})
    }

    fn judged(change: impl FnOnce(&mut Value)) -> Result<Manifest, Disbelief> {
        let mut manifest = good();
        change(&mut manifest);
        believe(&CLIP.into(), manifest.to_string().as_bytes(), 1_000_000)
    }

    #[test]
    fn a_good_manifest_is_believed() {
        assert!(judged(|_| ()).is_ok());
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_clips_hash() {
        let changes: [(&str, Value, &str); 16] = [
            ("schema", json!(2), "schema"),
            ("clip_id", json!("other"), "topic"),
            ("clip_no", json!(0), "clip_no"),
            ("clip_no", json!(-1), "understood"),
            ("card_id", json!("../x"), "card_id"),
            ("kind", json!("text"), "written message needs its body kind"),
            ("kind", json!("picture"), "unknown variant"),
            ("bytes", json!(0), "empty"),
            ("bytes", json!(1_000_001), "more than"),
            ("bytes", json!(500_000), "cannot hold"),
            ("duration_ms", json!(4_000_000), "cannot hold"),
            ("duration_ms", json!(u64::MAX), "longer"),
            ("test", json!("yes"), "understood"),
            ("booth_id", json!("operations"), "log in under it"),
            ("booth_id", Value::Null, "understood"),
            ("body", Value::Null, "body"),
        ];
        for (field, value, says) in changes {
            let fault = judged(|m| m[field] = value.clone()).expect_err(field);
            assert!(
                fault.reason.contains(says),
                "{field} = {value}: {}",
                fault.reason
            );
            assert_eq!(
                fault.sha256.as_deref(),
                Some("0".repeat(64).as_str()),
                "{field}"
            );
        }
        let newer =
            believe(&CLIP.into(), br#"{"schema":2,"clip":{}}"#, 1_000_000).expect_err("newer");
        assert_eq!(newer.reason, "schema 2 is not known to this hub");
        for hash in [json!(null), json!("xyz"), json!("A".repeat(64))] {
            let fault = judged(|m| m["sha256"] = hash.clone()).expect_err("bad hash");
            assert!(fault.reason.contains("sha256"), "{}", fault.reason);
        }
    }

    #[test]
    fn nobodys_words_are_refused_for_a_field_that_is_not_needed() {
        let plain = judged(|_| ()).expect("good");
        let odd = [
            Value::Null,
            json!(-1),
            json!(1.5),
            json!(true),
            json!("a\nb"),
            json!("x".repeat(200)),
            json!([{}]),
            json!({"mode": 1}),
            json!(u64::MAX),
        ];
        for field in [
            "boot_id",
            "source",
            "campaign_id",
            "question_id",
            "choice",
            "lang",
            "started_at",
            "started_mono_ms",
            "clock_synced",
            "ended_by",
            "recovered",
            "bitrate",
            "sample_rate",
            "channels",
            "consent",
            "key_ids",
            "sealed",
            "rms_dbfs",
            "peak_dbfs",
            "speech_ratio",
            "reason",
            "of_version_2",
        ] {
            for value in &odd {
                let read = judged(|m| m[field] = value.clone())
                    .unwrap_or_else(|fault| panic!("{field} = {value}: {}", fault.reason));
                assert_eq!(
                    (read.clip_no, &read.sha256, read.bytes, read.duration_ms),
                    (plain.clip_no, &plain.sha256, plain.bytes, plain.duration_ms),
                );
                let shown = [&read.question_id, &read.lang, &read.started_at];
                let mut shown = shown.into_iter().flatten();
                assert!(shown.all(|text| text.len() < 130 && !text.contains('\n')));
            }
        }
        for absent in ["test", "key_ids", "choice"] {
            assert!(judged(|m| m[absent] = Value::Null).is_ok(), "{absent}");
        }
    }

    #[test]
    fn rubbish_is_refused_without_a_panic() {
        for payload in [
            &b""[..],
            b"{",
            b"[]",
            b"null",
            b"\xff\xfe",
            b"{\"clip_id\":5}",
        ] {
            assert!(believe(&CLIP.into(), payload, 1_000_000).is_err());
        }
        assert!(believe(&CLIP.into(), &vec![b' '; MAX_JSON_BYTES + 1], 1_000_000).is_err());
    }

    #[test]
    fn a_choice_is_known_by_the_hash_of_its_text() {
        let text = format!("{CLIP}:q:3");
        let choice = |hash: String| {
            judged(|m| {
                m["kind"] = json!("choice");
                m["choice"] = json!(3);
                m["bytes"] = json!(0);
                m["body"] = Value::Null;
                m["sha256"] = json!(hash);
            })
        };
        assert!(choice(hex(&Sha256::digest(text.as_bytes()))).is_ok());
        assert!(choice("0".repeat(64)).is_err());
    }

    #[test]
    fn a_number_given_up_with_values_that_cannot_be_is_refused_not_stored() {
        let void = |field: &str, value: Value| {
            judged(|m| {
                m["kind"] = json!("void");
                m["bytes"] = json!(0);
                m["sha256"] = Value::Null;
                m[field] = value;
            })
        };
        assert!(void("reason", json!("purged")).is_ok());
        // Neither number fits the database, or an answer.
        assert!(void("duration_ms", json!(u64::MAX)).is_err_and(|e| e.reason.contains("longer")));
        assert!(void("sha256", json!("x".repeat(15_000))).is_err_and(|e| e.reason.contains("hex")));
    }

    #[test]
    fn a_refusal_stays_short_whatever_it_quotes() {
        let fault = judged(|m| m["schema"] = json!("\u{200b}".repeat(4_000))).expect_err("text");
        let booth = BoothId::parse("abc").expect("an id");
        let answer = reject(
            &booth,
            &CLIP.into(),
            None,
            &fault.reason,
            Timestamp::UNIX_EPOCH,
        );
        let bytes = serde_json::to_vec(&answer.ack).expect("text");
        assert!(bytes.len() < MAX_JSON_BYTES / 4, "{} bytes", bytes.len());
    }

    #[test]
    fn only_a_plain_lower_case_uuid_is_a_clip_id() {
        assert!(is_clip_id(CLIP));
        for bad in [
            "",
            "..",
            &CLIP.to_uppercase(),
            &CLIP.replace('-', ""),
            &format!("{{{CLIP}}}"),
        ] {
            assert!(!is_clip_id(bad), "{bad}");
        }
    }
}
