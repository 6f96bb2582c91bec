//! The answer of the command: one JSON line, read with suspicion.
//!
//! Owns: its shape ([`Draft`]) and what speaks for nobody having spoken. Pure. Never does: believe that it is what was said.

use serde::{Deserialize, Serialize};

use crate::desk::{EMPTY_BELOW, plain};

/// Longest draft, characters.
const LONGEST_TEXT: usize = 60_000;
/// Most segments that are kept.
const MOST_SEGMENTS: usize = 5_000;
/// From this on a segment is rather no speech.
const NO_SPEECH: f64 = 0.6;

/// One piece of a draft.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub(crate) struct Segment {
    /// Seconds.
    start: f64,
    end: f64,
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    avg_logprob: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    no_speech_prob: Option<f64>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    language: Option<String>,
    segments: Vec<Segment>,
    #[serde(default)]
    model: Option<String>,
}

/// A draft that was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draft {
    pub(crate) text: String,
    pub(crate) lang: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) likely_empty: bool,
}

/// Reads the line; `speech_ratio` is what the booth measured.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(answer: &str, speech_ratio: Option<f64>) -> Result<Draft, String> {
    let mut lines = answer
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let line = match (lines.next(), lines.next()) {
        (Some(line), None) => line,
        (None, _) => return Err("nothing".into()),
        (Some(_), Some(_)) => return Err("more than one line".into()),
    };
    let read: Answer = serde_json::from_str(line).map_err(|why| why.to_string())?;
    if read.segments.len() > MOST_SEGMENTS {
        return Err(format!("more than {MOST_SEGMENTS} segments"));
    }
    let mut segments = read.segments;
    for segment in &mut segments {
        let is_span = 0.0 <= segment.start && segment.start <= segment.end && segment.end < 1e6;
        if !is_span {
            let (start, end) = (segment.start, segment.end);
            return Err(format!("a segment from {start} to {end}"));
        }
        segment.text = plain(&segment.text, LONGEST_TEXT).replace('\n', " ");
    }
    segments.retain(|segment| !segment.text.is_empty());
    let texts: Vec<&str> = segments
        .iter()
        .map(|segment| segment.text.as_str())
        .collect();
    let text = plain(&texts.join(" "), LONGEST_TEXT);
    let is_silent = |segment: &Segment| segment.no_speech_prob.is_some_and(|p| p > NO_SPEECH);
    let likely_empty = text.is_empty()
        || segments.iter().all(is_silent)
        || speech_ratio.is_some_and(|ratio| ratio < EMPTY_BELOW);
    Ok(Draft {
        text,
        lang: read.language.as_deref().and_then(language),
        model: read.model.map(|model| plain(&model, 100)),
        segments,
        likely_empty,
    })
}

/// A language as files are named by it (`da`, `pt-BR`); `None` for anything else, so that it is no argument of its own for a command.
pub(crate) fn language(text: &str) -> Option<String> {
    let mut parts = text.split('-');
    let first = parts.next()?;
    let is_first = (2..=3).contains(&first.len()) && first.bytes().all(|b| b.is_ascii_lowercase());
    let is_part = |part: &str| {
        (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    (is_first && text.len() <= 20 && parts.all(is_part)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_of_the_agreed_shape_becomes_a_draft() {
        let line = r#"{"language":"da","duration_s":4.2,"segments":[{"start":0.0,"end":2.0,"text":" Flere bænke,","avg_logprob":-0.3,"no_speech_prob":0.01},{"start":2.0,"end":4.0,"text":" tak. "}],"model":"base"}"#;
        let draft = read(&format!("\n{line}\n"), Some(0.7)).expect("a draft");
        assert_eq!(draft.text, "Flere bænke, tak.");
        assert_eq!(
            (draft.lang.as_deref(), draft.model.as_deref()),
            (Some("da"), Some("base"))
        );
        assert!(!draft.likely_empty && draft.segments.len() == 2);
    }

    #[test]
    fn nobody_spoke_where_there_is_no_segment_only_doubtful_ones_or_hardly_speech() {
        let empty = |line: &str, ratio| read(line, ratio).expect("a draft").likely_empty;
        assert!(empty(r#"{"segments":[]}"#, Some(0.9)));
        assert!(empty(
            r#"{"segments":[{"start":0,"end":1,"text":"  "}]}"#,
            None
        ));
        let doubtful = r#"{"segments":[{"start":0,"end":1,"text":"Tak","no_speech_prob":0.9}]}"#;
        assert!(empty(doubtful, Some(0.5)));
        let sure = r#"{"segments":[{"start":0,"end":1,"text":"Tak","no_speech_prob":0.1}]}"#;
        assert!(!empty(sure, None) && empty(sure, Some(0.01)));
    }

    #[test]
    fn rubbish_is_told_and_never_a_draft() {
        for line in [
            "",
            "\n\n",
            "Hello",
            "{}",
            "{\"segments\":[]}\n{\"segments\":[]}",
            "[1,2]",
            "{\"segments\":[{\"start\":2,\"end\":1,\"text\":\"x\"}]}",
            "{\"segments\":[{\"start\":-1,\"end\":1,\"text\":\"x\"}]}",
            "{\"segments\":[{\"start\":0,\"end\":1e300,\"text\":\"x\"}]}",
            "{\"segments\":[{\"start\":0,\"end\":1}]}",
        ] {
            assert!(read(line, None).is_err(), "{line}");
        }
    }

    #[test]
    fn a_draft_cannot_turn_the_page_around_and_a_language_is_no_argument() {
        let line = r#"{"segments":[{"start":0,"end":1,"text":"a\u202eb\u0000<script>\n"}],"language":"--help","model":"x\u001b[1m"}"#;
        let draft = read(line, None).expect("a draft");
        assert_eq!(draft.text, "ab<script>");
        assert_eq!((draft.lang, draft.model.as_deref()), (None, Some("x[1m")));
        for good in ["da", "ckb", "pt-BR", "zh-Hans-CN"] {
            assert_eq!(language(good).as_deref(), Some(good));
        }
        for bad in ["", "d", "DA", "-da", "da/../x", "da ", "da-", "english"] {
            assert_eq!(language(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_of_a_command_brings_it_down(answer in ".{0,200}", ratio in proptest::option::of(0.0..1.0f64)) {
            let _ = read(&answer, ratio);
        }
    }
}
