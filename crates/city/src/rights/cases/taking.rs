//! One message as its citizen gets it: a ZIP with the sound, the words and the facts (GDPR Art. 15(3)).
//!
//! Owns: what is in it. Never does: put in what belongs to somebody else, such as who decided about it.

use std::io::{Cursor, Write};

use booth_database::{Connection, OptionalExtension};
use serde_json::{Map, Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{clip, within};
use crate::City;
use crate::store::CityError;

/// The facts of a message, by the names of columns that mean the citizen's message and nobody else's work.
const FACTS: [&str; 24] = [
    "id",
    "kind",
    "source",
    "booth_id",
    "area_id",
    "campaign_id",
    "question_id",
    "choice",
    "lang",
    "said_at",
    "received_at",
    "duration_ms",
    "speech_ratio",
    "rms_dbfs",
    "recovered",
    "may_publish",
    "notice_id",
    "state",
    "reason",
    "decided_at",
    "child",
    "with_voice",
    "published_at",
    "in_burst",
];

/// What the database says of a message.
pub(super) struct Kept {
    pub(super) facts: Map<String, Value>,
    pub(super) transcript: Option<String>,
    pub(super) translation: Option<String>,
    pub(super) draft: Option<String>,
    pub(super) themes: Vec<String>,
    pub(super) place: Option<String>,
}

pub(super) fn kept(db: &Connection, id: &str) -> booth_database::Result<Option<Kept>> {
    let columns = FACTS.join(", ");
    let sql = format!(
        "SELECT {columns}, transcript, translation, (SELECT text FROM draft WHERE message_id = id),
           (SELECT place FROM placement WHERE placement.id = placement) FROM message WHERE id = ?1"
    );
    let kept = db
        .prepare_cached(&sql)?
        .query_row([id], |row| {
            let mut facts = Map::new();
            for (at, name) in FACTS.iter().enumerate() {
                let value = match row.get::<_, booth_database::types::Value>(at)? {
                    booth_database::types::Value::Null => continue,
                    booth_database::types::Value::Integer(number) => json!(number),
                    booth_database::types::Value::Real(number) => json!(number),
                    booth_database::types::Value::Text(text) => json!(text),
                    booth_database::types::Value::Blob(_) => continue,
                };
                facts.insert((*name).to_owned(), value);
            }
            Ok(Kept {
                facts,
                transcript: row.get(FACTS.len())?,
                translation: row.get(FACTS.len() + 1)?,
                draft: row.get(FACTS.len() + 2)?,
                place: row.get(FACTS.len() + 3)?,
                themes: Vec::new(),
            })
        })
        .optional()?;
    let Some(mut kept) = kept else {
        return Ok(None);
    };
    kept.themes = db
        .prepare_cached(
            "SELECT name FROM message_theme JOIN theme ON theme.id = theme_id WHERE message_id = ?1 ORDER BY theme.id",
        )?
        .query_map([id], |row| row.get(0))?
        .collect::<booth_database::Result<_>>()?;
    Ok(Some(kept))
}

/// The ZIP of a message of this case. A message whose sound cannot be opened here has none: half an answer would look like a whole one.
pub(super) fn zip(city: &City, case: i64, id: &str) -> Result<Vec<u8>, CityError> {
    let (_, found) = within(city, case, id)?;
    let kept = city.store.read(|db| kept(db, id))?;
    let Some(kept) = kept else {
        return Err(crate::centre::CentreError::NotThere.into());
    };
    let mut facts = kept.facts;
    if let Some(place) = kept.place {
        facts.insert("place".into(), json!(place));
    }
    facts.insert("themes".into(), json!(kept.themes));
    let facts = serde_json::to_string_pretty(&facts).unwrap_or_default();
    let mut files: Vec<(&str, Vec<u8>)> = vec![
        ("README.txt", README.as_bytes().to_vec()),
        ("facts.json", facts.into_bytes()),
    ];
    match found.kind.as_str() {
        "audio" => files.push(("sound.opus", city.centre.sound(&clip(id))?)),
        "text" => files.push(("written.txt", city.centre.text(&clip(id))?.into_bytes())),
        _ => {}
    }
    for (name, text) in [
        ("transcript.txt", kept.transcript),
        ("translation.txt", kept.translation),
        ("draft-of-a-machine.txt", kept.draft),
    ] {
        if let Some(text) = text.filter(|text| !text.trim().is_empty()) {
            files.push((name, text.into_bytes()));
        }
    }
    packed(&files).map_err(|why| CityError::Failed(format!("it cannot be packed: {why}")))
}

fn packed(files: &[(&str, Vec<u8>)]) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        let method = match name.ends_with(".opus") {
            true => CompressionMethod::Stored,
            false => CompressionMethod::Deflated,
        };
        let options = SimpleFileOptions::default().compression_method(method);
        zip.start_file(*name, options)?;
        zip.write_all(bytes)?;
    }
    Ok(zip.finish()?.into_inner())
}

const README: &str = "\
Det, du sagde, og hvad der er gemt om det.
  facts.json             hvad der vides om beskeden: tid, sted, kampagne, hvad du tillod, hvad der blev besluttet
  sound.opus             optagelsen (kan afspilles i en browser eller med VLC)
  written.txt            din tekst, hvis du skrev
  transcript.txt         hvad et menneske skrev ned
  translation.txt        oversættelsen
  draft-of-a-machine.txt en maskines udkast, som intet menneske har rettet

What you said, and what is kept about it.
  facts.json             what is known of the message: time, place, campaign, what you allowed, what was decided
  sound.opus             the recording (plays in a browser or with VLC)
  written.txt            your text, if you wrote
  transcript.txt         what a person wrote down
  translation.txt        its translation
  draft-of-a-machine.txt a machine's draft, which no person has corrected
";
