//! Lists that do not fit on one page: spoken answers, and what an operator should look at; the newest first.
//!
//! Owns: the lists' order, and one page of each from a place on. Never does: write.

use booth_contract::reading;
use booth_database::{Connection, Row, params};
use serde::Deserialize;

use crate::view::{ClipView, Cursor, Place, RefusedView};

/// A list: where its entries come from, and by what they are ordered.
pub(super) struct List<T> {
    columns: &'static str,
    /// The query from `FROM` on, with a condition.
    rows: &'static str,
    /// The columns that a cursor's time and id are compared with.
    order: (&'static str, &'static str),
    entry: fn(&Row<'_>) -> booth_database::Result<T>,
}

/// Spoken answers.
pub(super) const SPOKEN: List<ClipView> = List {
    columns: "clip_id, booth_id, question_id, lang, started_at, clock_synced, duration_ms, ended_by, \
              recovered, bytes, received_at, body, manifest, campaign_id, config_version, publish, \
              notice_id, child, rest_sha256 IS NOT NULL",
    rows: "FROM clip WHERE test = 0 AND kind = 'audio'",
    order: ("received_at", "clip_id"),
    entry: clip_from,
};

/// What an operator should look at.
pub(super) const REFUSED: List<RefusedView> = List {
    columns: "at, booth_id, clip_id, reason, times, rowid",
    rows: "FROM refused WHERE true",
    order: ("at", "printf('%020d', rowid)"),
    entry: refused_from,
};

impl<T> List<T> {
    /// One page, the newest first. If a page of newer entries would not be full, it is the first page.
    pub(super) fn page(
        &self,
        db: &Connection,
        limit: usize,
        place: &Place,
    ) -> booth_database::Result<Vec<T>> {
        let (cursor, way, compared) = match place {
            Place::Newest => (None, "DESC", ""),
            Place::OlderThan(cursor) => (Some(cursor), "DESC", "<"),
            Place::NewerThan(cursor) => (Some(cursor), "ASC", ">"),
        };
        let (columns, rows, (at, id)) = (self.columns, self.rows, self.order);
        let from = match cursor {
            None => String::new(),
            Some(_) => format!("AND ({at}, {id}) {compared} (?2, ?3)"),
        };
        let mut statement = db.prepare_cached(&format!(
            "SELECT {columns} {rows} {from} ORDER BY {at} {way}, {id} {way} LIMIT ?1"
        ))?;
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = match cursor {
            None => statement.query_map([most], self.entry)?,
            Some(cursor) => statement.query_map(params![most, cursor.at, cursor.id], self.entry)?,
        };
        let mut page: Vec<T> = found.collect::<booth_database::Result<_>>()?;
        if matches!(place, Place::NewerThan(_)) {
            if page.len() < limit {
                return self.page(db, limit, &Place::Newest);
            }
            page.reverse();
        }
        Ok(page)
    }

    /// How many entries there are.
    pub(super) fn total(&self, db: &Connection) -> booth_database::Result<u64> {
        db.prepare_cached(&format!("SELECT count(*) {}", self.rows))?
            .query_row([], |row| row.get(0))
    }

    /// How many entries are newer than this one.
    pub(super) fn newer_than(
        &self,
        db: &Connection,
        cursor: &Cursor,
    ) -> booth_database::Result<u64> {
        let (rows, (at, id)) = (self.rows, self.order);
        db.prepare_cached(&format!(
            "SELECT count(*) {rows} AND ({at}, {id}) > (?1, ?2)"
        ))?
        .query_row([&cursor.at, &cursor.id], |row| row.get(0))
    }
}

fn refused_from(row: &Row<'_>) -> booth_database::Result<RefusedView> {
    let (at, reason, times): (String, String, u64) = (row.get(0)?, row.get(3)?, row.get(4)?);
    let id: i64 = row.get(5)?;
    Ok(RefusedView {
        cursor: Cursor {
            at: at.clone(),
            id: format!("{id:020}"),
        },
        at,
        booth_id: row.get(1)?,
        clip_id: row.get::<_, String>(2)?.into(),
        reason: if times > 1 {
            format!("{reason} ({times} times)")
        } else {
            reason
        },
    })
}

/// What a manifest says of its keys. SQLite reads JSON otherwise than the store that believed it, and one odd manifest would cost the page.
#[derive(Default, Deserialize)]
struct Keys {
    #[serde(default, deserialize_with = "reading::lenient")]
    key_ids: Vec<String>,
}

fn clip_from(row: &Row<'_>) -> booth_database::Result<ClipView> {
    Ok(ClipView {
        clip_id: row.get::<_, String>(0)?.into(),
        booth_id: row.get(1)?,
        booth_name: String::new(),
        question_id: row.get(2)?,
        lang: row.get(3)?,
        started_at: row.get(4)?,
        clock_synced: row.get(5)?,
        duration_ms: row.get(6)?,
        ended_by: row.get(7)?,
        recovered: row.get(8)?,
        bytes: row.get(9)?,
        received_at: row.get(10)?,
        can_be_heard: row.get::<_, Option<String>>(11)?.as_deref() == Some("ogg-opus")
            && !row.get::<_, bool>(18)?,
        is_sealed_here: row.get(18)?,
        key_ids: reading::object::<Keys>(&row.get::<_, Vec<u8>>(12)?)
            .unwrap_or_default()
            .key_ids,
        campaign_id: row.get(13)?,
        config_version: row.get(14)?,
        publish: row.get(15)?,
        notice_id: row.get(16)?,
        child: row.get(17)?,
    })
}
