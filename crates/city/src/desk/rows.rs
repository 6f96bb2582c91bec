//! One message as the desk sees it, read from the database and written back.
//!
//! Owns: the columns of a decision in the table `message`, and the texts that people type ([`plain`]). Never does: decide.

use booth_database::{Connection, OptionalExtension, Row, Transaction, params};

use booth_contract::Publish;

use super::decide::{Content, Known, Standing, State, Text};
use crate::centre::{Kind, Source};

/// Longest transcript or translation, characters: an hour of speech has some 50 000.
pub(crate) const LONGEST_TEXT: usize = 60_000;
/// Most passages that are silenced.
pub(crate) const MOST_SILENCED: usize = 200;

/// A message at the desk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    pub(crate) source: Source,
    pub(crate) booth_id: Option<String>,
    pub(crate) place: Option<String>,
    pub(crate) campaign_id: Option<String>,
    pub(crate) question_id: Option<String>,
    pub(crate) lang: Option<String>,
    pub(crate) said_at: String,
    pub(crate) duration_ms: u64,
    pub(crate) recovered: bool,
    pub(crate) may_publish: Publish,
    pub(crate) content: Content,
    pub(crate) standing: Standing,
    pub(crate) decided_at: Option<String>,
    pub(crate) published_at: Option<String>,
    pub(crate) version: i64,
    /// Whoever runs the hub has marked it as a child's, which nobody at the desk takes back.
    pub(crate) is_childs_at_hub: bool,
    pub(crate) draft: Option<Draft>,
}

/// A machine's draft.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draft {
    pub(crate) text: String,
    pub(crate) lang: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) likely_empty: bool,
    pub(crate) flagged: Option<String>,
}

impl Message {
    /// What the rules need to know.
    pub(crate) fn known(&self, child_text_is_allowed: bool) -> Known {
        Known {
            kind: self.kind,
            may_publish: self.may_publish,
            child_text_is_allowed,
            content: self.content.clone(),
            standing: self.standing.clone(),
        }
    }
}

const COLUMNS: &str = "m.id, m.kind, m.source, m.booth_id, p.place, m.campaign_id, m.question_id, m.lang, m.said_at, m.duration_ms,
  m.recovered, m.may_publish, m.transcript, m.transcript_lang, m.translation, m.translation_lang, m.trim_from_ms, m.trim_to_ms,
  m.silenced, m.child, m.state, m.reason, m.with_voice, m.decided_by, m.second_by, m.decided_at, m.published_at, m.version,
  d.text, d.lang, d.model, d.likely_empty, d.flagged,
  m.child_at_hub";

/// A message by its id; `None` where there is none, or it was withdrawn.
pub(crate) fn message(db: &Connection, id: &str) -> booth_database::Result<Option<Message>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM message m LEFT JOIN placement p ON p.id = m.placement LEFT JOIN draft d ON d.message_id = m.id
         WHERE m.id = ?1"
    ))?
    .query_row([id], from_row)
    .optional()
}

fn text(words: Option<String>, lang: Option<String>, spoken: Option<&str>) -> Option<Text> {
    let words = words.filter(|words| !words.is_empty())?;
    let lang = lang.or_else(|| spoken.map(str::to_owned));
    Some(Text {
        words,
        lang: lang.unwrap_or_default(),
    })
}

fn from_row(row: &Row<'_>) -> booth_database::Result<Message> {
    let lang: Option<String> = row.get(7)?;
    let silenced: Option<String> = row.get(18)?;
    let silenced = silenced.and_then(|json| serde_json::from_str(&json).ok());
    let draft: Option<String> = row.get(28)?;
    let draft = match draft {
        None => None,
        Some(text) => Some(Draft {
            text,
            lang: row.get(29)?,
            model: row.get(30)?,
            likely_empty: row.get(31)?,
            flagged: row.get(32)?,
        }),
    };
    Ok(Message {
        id: row.get(0)?,
        kind: Kind::of(&row.get::<_, String>(1)?).unwrap_or(Kind::Vote),
        source: Source::of(&row.get::<_, String>(2)?).unwrap_or(Source::Booth),
        booth_id: row.get(3)?,
        place: row.get(4)?,
        campaign_id: row.get(5)?,
        question_id: row.get(6)?,
        said_at: row.get(8)?,
        duration_ms: row.get(9)?,
        recovered: row.get(10)?,
        may_publish: match row.get::<_, String>(11)?.as_str() {
            "text" => Publish::Text,
            "voice" => Publish::Voice,
            _ => Publish::No,
        },
        content: Content {
            transcript: text(row.get(12)?, row.get(13)?, lang.as_deref()),
            translation: text(row.get(14)?, row.get(15)?, None),
            trim_from_ms: row.get(16)?,
            trim_to_ms: row.get(17)?,
            silenced: silenced.unwrap_or_default(),
            is_child: row.get(19)?,
        },
        standing: Standing {
            state: State::of(&row.get::<_, String>(20)?).unwrap_or(State::Waiting),
            reason: row.get(21)?,
            with_voice: row.get(22)?,
            decided_by: row.get(23)?,
            second_by: row.get(24)?,
        },
        decided_at: row.get(25)?,
        published_at: row.get(26)?,
        version: row.get(27)?,
        is_childs_at_hub: row.get(33)?,
        draft,
        lang,
    })
}

/// Writes what follows; the version rises.
pub(super) fn write(
    tx: &Transaction<'_>,
    before: &Message,
    content: &Content,
    standing: &Standing,
    now: &str,
) -> booth_database::Result<()> {
    let published_at = match standing.state {
        // A corrected word does not make a message a new one.
        State::Published => Some(before.published_at.as_deref().unwrap_or(now)),
        _ => None,
    };
    let is_corrected = before.published_at.is_some() && *content != before.content;
    let changed_at = Some(now).filter(|_| is_corrected);
    let decided_at = match standing {
        standing if standing.decided_by.is_none() => None,
        standing if *standing == before.standing => before.decided_at.as_deref().or(Some(now)),
        _ => Some(now),
    };
    let silenced = match content.silenced.as_slice() {
        [] => None,
        spans => Some(serde_json::json!(spans).to_string()),
    };
    let words = |text: &Option<Text>| text.as_ref().map(|text| text.words.clone());
    let lang = |text: &Option<Text>| text.as_ref().map(|text| text.lang.clone());
    tx.prepare_cached(
        "UPDATE message SET state = ?2, reason = ?3, with_voice = ?4, decided_by = ?5, second_by = ?6, decided_at = ?7, published_at = ?8,
           transcript = ?9, transcript_lang = ?10, translation = ?11, translation_lang = ?12, trim_from_ms = ?13, trim_to_ms = ?14,
           silenced = ?15, child = ?16, changed_at = CASE WHEN ?8 IS NOT NULL THEN coalesce(?17, changed_at) END, version = version + 1
         WHERE id = ?1",
    )?
    .execute(params![
        before.id,
        standing.state.word(),
        standing.reason,
        standing.with_voice,
        standing.decided_by,
        standing.second_by,
        decided_at,
        published_at,
        words(&content.transcript),
        lang(&content.transcript),
        words(&content.translation),
        lang(&content.translation),
        content.trim_from_ms,
        content.trim_to_ms,
        silenced,
        content.is_child,
        changed_at,
    ])?;
    Ok(())
}

/// What somebody typed, as it is kept: no control characters but line ends, none that turn the direction of what follows on the page,
/// no blanks around it, and no longer than `most` characters.
pub(crate) fn plain(typed: &str, most: usize) -> String {
    let is_kept = |c: &char| match c {
        '\n' => true,
        // Embeddings, overrides and isolates; the marks of a single direction (U+200E, U+200F) stay.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        c => !c.is_control(),
    };
    let typed = typed.replace("\r\n", "\n").replace(['\r', '\t'], " ");
    let kept: String = typed.chars().filter(is_kept).take(most).collect();
    kept.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_words_stay_as_they_are_but_for_what_turns_a_page_around() {
        let kept = [
            "Flere bænke, tak",
            "<b>fed</b> & \"citat\"",
            "مقاعد أكثر \u{200f}",
            "👍🏽 en familie 👨‍👩‍👧",
            "linje\nlinje",
        ];
        for words in kept {
            assert_eq!(plain(words, 100), words.trim());
        }
        assert_eq!(
            plain("  a\u{202e}b\u{0}c\u{1b}[1m\r\nd\te  ", 100),
            "abc[1m\nd e"
        );
        assert_eq!(plain("ææææ", 3), "æææ");
    }
}
