//! What comes from the desk's forms, read with suspicion.
//!
//! Owns: the fields' names and limits, and how times are typed. Pure. Never does: decide.

use super::decide::{Content, Refusal, State, Text, Wish};
use super::queue::Filter;
use super::rows::{LONGEST_TEXT, MOST_SILENCED, plain};
use super::themes::Chosen;
use crate::centre::Source;
use crate::transcribe::is_language;

/// Fields of a form or a query, in their order; a name may come twice.
pub(super) type Fields = Vec<(String, String)>;

/// The first value of a field.
pub(super) fn value<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    let found = fields.iter().find(|(own, _)| own == name);
    found.map(|(_, value)| value.as_str())
}

fn filled<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    value(fields, name)
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

/// What somebody typed about a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Typed {
    pub(super) version: i64,
    pub(super) transcript: String,
    pub(super) transcript_lang: String,
    pub(super) translation: String,
    pub(super) translation_lang: String,
    pub(super) trim_from: String,
    pub(super) trim_to: String,
    pub(super) silenced: String,
    pub(super) is_child: bool,
    pub(super) themes: Vec<i64>,
    pub(super) new_theme: String,
    pub(super) idea: Option<i64>,
    /// What the button says.
    pub(super) doing: String,
    pub(super) remark: String,
}

impl Typed {
    /// Reads the form.
    pub(super) fn of(fields: &Fields) -> Self {
        let text = |name: &str| filled(fields, name).unwrap_or_default().to_owned();
        let themes = fields.iter().filter(|(name, _)| name == "theme");
        Self {
            version: filled(fields, "version")
                .and_then(|text| text.parse().ok())
                .unwrap_or(-1),
            transcript: plain(&text("transcript"), LONGEST_TEXT),
            transcript_lang: text("transcript_lang"),
            translation: plain(&text("translation"), LONGEST_TEXT),
            translation_lang: text("translation_lang"),
            trim_from: plain(&text("trim_from"), 20),
            trim_to: plain(&text("trim_to"), 20),
            silenced: plain(&text("silenced"), 4_000),
            is_child: value(fields, "child").is_some(),
            themes: themes.filter_map(|(_, value)| value.parse().ok()).collect(),
            new_theme: text("new_theme"),
            idea: filled(fields, "idea").and_then(|text| text.parse().ok()),
            doing: text("do"),
            remark: text("remark"),
        }
    }

    /// What was made of the message.
    pub(super) fn content(&self) -> Result<Content, Refusal> {
        let text = |words: &str, lang: &str| {
            let lang = is_language(lang).unwrap_or_default();
            (!words.is_empty()).then(|| Text {
                words: words.to_owned(),
                lang,
            })
        };
        let time = |typed: &str| match typed {
            "" => Ok(None),
            typed => ms_of(typed).map(Some).ok_or(Refusal::BadCut),
        };
        Ok(Content {
            transcript: text(&self.transcript, &self.transcript_lang),
            translation: text(&self.translation, &self.translation_lang),
            trim_from_ms: time(&self.trim_from)?,
            trim_to_ms: time(&self.trim_to)?,
            silenced: spans_of(&self.silenced).ok_or(Refusal::BadCut)?,
            is_child: self.is_child,
        })
    }

    /// The themes that were chosen; several new ones are parted by commas.
    pub(super) fn chosen(&self, language: &str) -> Chosen {
        let new = self.new_theme.split(',').map(str::trim);
        Chosen {
            ids: self.themes.clone(),
            new: new
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            language: language.to_owned(),
        }
    }

    /// What the button wants.
    pub(super) fn wish(&self) -> Option<Wish> {
        match self.doing.as_str() {
            "keep" => Some(Wish::Keep),
            "text" => Some(Wish::PublishText),
            "voice" => Some(Wish::PublishVoice),
            "heard" => Some(Wish::Heard),
            other => other
                .strip_prefix("reject:")
                .map(|reason| Wish::Reject(reason.to_owned())),
        }
    }
}

/// A time as it is typed, `12.5` or `1:02.5`, in ms.
pub(super) fn ms_of(typed: &str) -> Option<u64> {
    let typed = typed.trim().replace(',', ".");
    let (minutes, seconds) = match typed.split_once(':') {
        Some((minutes, seconds)) => (minutes.parse::<u64>().ok()?, seconds.to_owned()),
        None => (0, typed),
    };
    let is_number = seconds.bytes().all(|b| b.is_ascii_digit() || b == b'.') && seconds.len() <= 12;
    let seconds: f64 = seconds.parse().ok().filter(|_| is_number)?;
    let ms = (seconds * 1_000.0).round();
    (minutes < 1_000 && ms < 1e9).then(|| minutes * 60_000 + ms as u64)
}

/// A time as it is shown and typed.
pub(super) fn typed_time(ms: u64) -> String {
    let (seconds, rest) = (ms / 1_000, ms % 1_000);
    match rest {
        0 => format!("{seconds}"),
        rest => format!("{seconds}.{rest:03}")
            .trim_end_matches('0')
            .to_owned(),
    }
}

/// Passages as they are typed: `3.2-4.8, 9-10.5`.
fn spans_of(typed: &str) -> Option<Vec<(u64, u64)>> {
    let spans = typed.split([',', ';', '\n']).map(str::trim);
    let spans = spans.filter(|span| !span.is_empty()).map(|span| {
        let (from, to) = span.split_once(['-', '–'])?;
        Some((ms_of(from)?, ms_of(to)?))
    });
    let spans: Vec<(u64, u64)> = spans.collect::<Option<_>>()?;
    (spans.len() <= MOST_SILENCED).then_some(spans)
}

/// Passages as they are shown and typed.
pub(super) fn typed_spans(spans: &[(u64, u64)]) -> String {
    let spans = spans.iter();
    let spans = spans.map(|(from, to)| format!("{}-{}", typed_time(*from), typed_time(*to)));
    spans.collect::<Vec<_>>().join("; ")
}

/// The filter of a query.
pub(super) fn filter_of(fields: &Fields) -> Filter {
    let text = |name: &str, most: usize| {
        let found = filled(fields, name).filter(|text| text.len() <= most);
        found.map(str::to_owned)
    };
    Filter {
        lang: text("lang", 20),
        campaign: text("campaign", 100),
        source: filled(fields, "source").and_then(Source::of),
        state: filled(fields, "state").and_then(State::of),
    }
}

/// The filter as a query, with what else is to be carried along.
pub(super) fn query_of(filter: &Filter, more: &[(&str, &str)]) -> String {
    let own = [
        ("lang", filter.lang.as_deref()),
        ("campaign", filter.campaign.as_deref()),
        ("source", filter.source.map(Source::word)),
        ("state", filter.state.map(State::word)),
    ];
    let own = own
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let all = own
        .chain(more.iter().copied())
        .filter(|(_, value)| !value.is_empty());
    let parts: Vec<String> = all
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    match parts.is_empty() {
        true => String::new(),
        false => format!("?{}", parts.join("&")),
    }
}

fn encoded(value: &str) -> String {
    let bytes = value.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    });
    bytes.collect()
}

/// Messages with the versions that were seen: `id:version`.
pub(super) fn items_of(fields: &Fields) -> Vec<(String, i64)> {
    let items = fields.iter().filter(|(name, _)| name == "item");
    let items = items.filter_map(|(_, value)| {
        let (id, version) = value.rsplit_once(':')?;
        Some((id.to_owned(), version.parse().ok()?))
    });
    items.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_typed_as_people_write_them() {
        for (typed, ms) in [
            ("0", 0),
            ("12", 12_000),
            (" 12.5 ", 12_500),
            ("12,25", 12_250),
            ("1:02.5", 62_500),
        ] {
            assert_eq!(ms_of(typed), Some(ms), "{typed}");
        }
        for typed in ["", "-1", "x", "1:2:3", "1e9", "nan", "inf", "99999999999"] {
            assert_eq!(ms_of(typed), None, "{typed}");
        }
        for ms in [0, 1, 500, 12_345, 62_500, 3_600_000] {
            assert_eq!(ms_of(&typed_time(ms)), Some(ms));
        }
    }

    #[test]
    fn passages_are_typed_and_shown_in_one_way() {
        let spans = vec![(3_200, 4_800), (9_000, 10_500)];
        assert_eq!(spans_of("3.2-4.8; 9–10.5"), Some(spans.clone()));
        assert_eq!(spans_of(&typed_spans(&spans)), Some(spans));
        assert_eq!(spans_of(""), Some(Vec::new()));
        for bad in ["3", "3-", "a-b", "3.2 4.8"] {
            assert_eq!(spans_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_filter_survives_its_own_query() {
        let filter = Filter {
            lang: Some("da".into()),
            campaign: Some("plads & æøå".into()),
            source: Some(Source::Web),
            state: None,
        };
        let query = query_of(&filter, &[("behind", "x"), ("done", "")]);
        assert_eq!(
            query,
            "?lang=da&campaign=plads%20%26%20%C3%A6%C3%B8%C3%A5&source=web&behind=x"
        );
        assert_eq!(query_of(&Filter::default(), &[]), "");
    }

    #[test]
    fn a_form_becomes_what_somebody_made_of_a_message() {
        let fields: Fields = [
            ("version", "3"),
            ("transcript", " Flere\r\nbænke "),
            ("transcript_lang", "da"),
            ("translation", ""),
            ("trim_from", "1,5"),
            ("silenced", "3-4"),
            ("child", "1"),
            ("theme", "4"),
            ("theme", "x"),
            ("theme", "7"),
            ("new_theme", "Trafik, , Støj"),
            ("do", "reject:insult"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let typed = Typed::of(&fields);
        let content = typed.content().expect("good");
        assert_eq!(
            content.transcript.map(|text| text.words).as_deref(),
            Some("Flere\nbænke")
        );
        assert_eq!(
            (content.trim_from_ms, content.trim_to_ms),
            (Some(1_500), None)
        );
        assert_eq!(content.silenced, [(3_000, 4_000)]);
        assert!(content.is_child && content.translation.is_none());
        let chosen = typed.chosen("da");
        assert_eq!(
            (chosen.ids, chosen.new),
            (vec![4, 7], vec!["Trafik".to_owned(), "Støj".into()])
        );
        assert_eq!(typed.wish(), Some(Wish::Reject("insult".into())));
        let broken = Typed {
            silenced: "3".into(),
            ..typed
        };
        assert_eq!(broken.content(), Err(Refusal::BadCut));
    }
}
