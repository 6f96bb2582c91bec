//! A clip's row, and an operator's list of what to look at.
//!
//! Owns: how a manifest becomes a row, from the broker or from a record. Never does: touch a file, begin or commit.

use booth_database::{Connection, OptionalExtension, params};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::clocks;
use super::codes::Verdict;
use super::record::{AtRest, Part, Record};
use super::staging::Offer;
use super::{Store, StoreError};
use crate::receipts::ReceiptMark;
use booth_contract::time::rfc3339;
use booth_contract::{BodyHash, BodyKind, BoothId, ClipId, Manifest};

/// Most entries of one booth for an operator. Entries of the lowest rank are deleted first, so that a flood of rubbish hides
/// nothing that waits for a look. Among plain refusals the newest stay, among entries that wait the oldest.
const MAX_REFUSED_PER_BOOTH: i64 = 200;

/// How much an entry for an operator weighs; nothing that a sender says changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rank {
    /// A clip that was refused; its booth still has it.
    Refused = 0,
    /// Something that the hub keeps and that waits for an operator.
    Waits = 1,
    /// An entry about a whole card.
    Card = 2,
}

/// A clip that has a row.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// Its id.
    pub clip_id: ClipId,
    /// Hash of its body; a void number has none.
    pub sha256: Option<BodyHash>,
    /// Length of its body.
    pub bytes: u64,
    /// The kind, as the manifest calls it.
    kind: String,
    body: Option<BodyKind>,
    /// The booth in whose branch of topics it came.
    pub sender: BoothId,
    received_at: String,
    raw: Vec<u8>,
    receipt: Option<ReceiptMark>,
    /// What its body's file is, where the hub has sealed it.
    at_rest: Option<AtRest>,
    child: bool,
    code: Option<Verdict>,
    /// It is not counted before an operator has looked at it.
    pub is_held: bool,
    /// Its body was missing when it was looked for.
    pub is_lost: bool,
}

impl Known {
    /// Whether it has words, and is not just a number that was given up.
    pub(super) fn has_words(&self) -> bool {
        self.kind != "void"
    }

    /// Which file is its body, if it has one.
    pub(super) fn body(&self) -> Option<Part> {
        let kind = match self.at_rest {
            Some(_) => BodyKind::SealedOggOpus,
            None => self.body.unwrap_or(BodyKind::OggOpus),
        };
        (self.bytes > 0).then_some(Part::Body(kind))
    }

    /// Length and hash of its body's file, with its envelope in its place.
    pub(super) fn file(&self) -> (u64, Option<&BodyHash>) {
        match &self.at_rest {
            Some(at_rest) => (at_rest.bytes, Some(&at_rest.sha256)),
            None => (self.bytes, self.sha256.as_ref()),
        }
    }

    /// Which file is its record.
    pub(super) fn record_part(&self) -> Part {
        match self.has_words() {
            true => Part::Record,
            false => Part::Void,
        }
    }

    /// The content of its record.
    pub(super) fn record(&self) -> Record {
        let mut record = Record::new(&self.sender, self.received_at.clone(), &self.raw);
        record.is_held = self.is_held;
        record.receipt.clone_from(&self.receipt);
        record.at_rest.clone_from(&self.at_rest);
        record.child = self.child;
        record.code = self.code;
        record
    }

    /// The record once the clip was accepted.
    pub(super) fn accepted(&self, wall: Timestamp) -> Record {
        let mut record = self.record();
        record.accepted_at = Some(rfc3339(wall));
        record
    }

    /// Its receipt's hash.
    pub(super) fn receipt(&self) -> Option<&ReceiptMark> {
        self.receipt.as_ref()
    }

    /// Its sealed receipt was opened: what is kept from now on.
    pub(super) fn opened(&mut self, offer: &Offer, code: Option<Verdict>) {
        self.code = code;
        self.raw.clone_from(&offer.raw);
        self.receipt.clone_from(&offer.receipt);
    }

    /// The hub sealed its body anew, or not.
    pub(super) fn rests_as(&mut self, at_rest: Option<AtRest>) {
        self.at_rest = at_rest;
    }

    /// The manifest as it came.
    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }
}

const COLUMNS: &str = "clip_id, sha256, bytes, kind, body, sender, received_at, manifest, held, lost, receipt, rest_bytes, rest_sha256, child, code";

fn known_from(row: &booth_database::Row<'_>) -> booth_database::Result<Known> {
    let sender: String = row.get(5)?;
    let sender =
        BoothId::parse(&sender).map_err(|error| booth_database::Error::unreadable(5, error))?;
    let body: Option<String> = row.get(4)?;
    Ok(Known {
        clip_id: row.get::<_, String>(0)?.into(),
        sha256: row.get::<_, Option<String>>(1)?.map(Into::into),
        bytes: row.get(2)?,
        kind: row.get(3)?,
        body: body.and_then(|name| serde_json::from_value(name.into()).ok()),
        sender,
        received_at: row.get(6)?,
        raw: row.get(7)?,
        is_held: row.get(8)?,
        is_lost: row.get(9)?,
        receipt: row
            .get::<_, Option<String>>(10)?
            .and_then(|text| ReceiptMark::read(&text)),
        at_rest: row
            .get::<_, Option<u64>>(11)?
            .zip(row.get::<_, Option<String>>(12)?)
            .map(|(bytes, sha256)| AtRest {
                bytes,
                sha256: sha256.into(),
            }),
        child: row.get(13)?,
        code: row
            .get::<_, Option<String>>(14)?
            .and_then(|text| Verdict::read(&text)),
    })
}

/// The clip of this id.
pub(super) fn known(db: &Connection, clip_id: &ClipId) -> booth_database::Result<Option<Known>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM kept WHERE clip_id = ?1"))?
        .query_row([clip_id.as_str()], known_from)
        .optional()
}

/// At most `limit` clips in the order of their ids, beginning after this id.
pub(super) fn known_after(
    db: &Connection,
    clip_id: &ClipId,
    limit: usize,
) -> booth_database::Result<Vec<Known>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM kept WHERE clip_id > ?1 ORDER BY clip_id LIMIT ?2"
    ))?
    .query_map(params![clip_id.as_str(), limit as i64], known_from)?
    .collect()
}

/// The values of a new row.
pub(super) struct NewRow<'a> {
    /// The manifest, which was believed.
    pub manifest: &'a Manifest,
    /// The booth in whose branch of topics it came.
    pub sender: &'a BoothId,
    /// The manifest as it came.
    pub raw: &'a [u8],
    /// When the clip was whole at the hub.
    pub received_at: Timestamp,
    /// Whether it is held until an operator has looked at it.
    pub is_held: bool,
    /// Whether its body is missing.
    pub is_lost: bool,
    /// The receipt's hash.
    pub receipt: Option<&'a ReceiptMark>,
    /// What its body's file is, where the hub has sealed it.
    pub at_rest: Option<&'a AtRest>,
    /// Somebody who has listened took it for a child's.
    pub child: bool,
    /// What became of a vote that needs a one-time code.
    pub code: Option<Verdict>,
    /// The time zone in which days are counted.
    pub zone: &'a TimeZone,
}

/// Writes a row. Fails if the clip has one: a stored clip is never replaced.
pub(super) fn insert(db: &Connection, new: &NewRow<'_>) -> booth_database::Result<()> {
    let manifest = new.manifest;
    let consent = manifest.consent.as_ref();
    let when = clocks::spoken(db, new.sender, manifest, new.received_at, new.zone)?;
    let word = |value: Option<serde_json::Value>| {
        value
            .and_then(|v| v.as_str().map(str::to_owned))
            .unwrap_or_default()
    };
    db.prepare_cached(
        "INSERT INTO kept (clip_id, card_id, clip_no, booth_id, sender, boot_id,
           kind, test, question_id, choice, lang, started_at, started_mono_ms, clock_synced,
           duration_ms, ended_by, recovered, body, bytes, sha256, received_at, day, manifest, held, lost,
           campaign_id, config_version, publish, notice_id, receipt, has_sealed_receipt, rest_bytes, rest_sha256, child, code)
         VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23,?24,?25,
           ?26,?27,?28,?29,?30,?31,?32,?33,?34,?35)",
    )?
    .execute(params![
        manifest.clip_id.as_str(),
        manifest.card_id.as_str(),
        manifest.clip_no,
        manifest.booth_id.as_str(),
        new.sender.as_str(),
        manifest.boot_id.as_str(),
        word(serde_json::to_value(manifest.kind).ok()),
        manifest.test != 0,
        manifest.question_id,
        manifest.choice,
        manifest.lang,
        when.started_at,
        manifest.started_mono_ms,
        when.is_by_its_clock,
        manifest.duration_ms.unwrap_or(0),
        word(manifest.ended_by.and_then(|by| serde_json::to_value(by).ok())),
        manifest.recovered != 0,
        manifest.body.and_then(|body| serde_json::to_value(body).ok()).map(|v| word(Some(v))),
        manifest.bytes,
        manifest.sha256.as_deref(),
        rfc3339(new.received_at),
        when.day.to_string(),
        new.raw,
        new.is_held,
        new.is_lost,
        manifest.campaign_id,
        manifest.config_version,
        consent.map(|consent| word(serde_json::to_value(consent.publish).ok())),
        consent.and_then(|consent| consent.notice_id.clone()),
        new.receipt.map(ReceiptMark::as_str),
        manifest.sealed.is_some(),
        new.at_rest.map(|at_rest| at_rest.bytes),
        new.at_rest.map(|at_rest| at_rest.sha256.as_str()),
        new.child,
        new.code.map(Verdict::as_str),
    ])?;
    Ok(())
}

/// Writes the row that belongs to a record.
pub(super) fn from_record(
    db: &Connection,
    zone: &TimeZone,
    record: &Record,
    manifest: &Manifest,
    is_lost: bool,
) -> booth_database::Result<()> {
    let received_at = record.received_at.parse().unwrap_or(Timestamp::UNIX_EPOCH);
    let sender = &record.sender;
    let is_held = record.waits_for_a_look();
    insert(
        db,
        &NewRow {
            manifest,
            sender,
            raw: record.manifest.as_bytes(),
            received_at,
            is_held,
            is_lost,
            receipt: record.receipt.as_ref(),
            at_rest: record.at_rest.as_ref(),
            child: record.child,
            code: record.code,
            zone,
        },
    )
}

/// Notes whether a clip's body is missing; a sender that offers a missing body is asked for it.
pub(super) fn set_lost(
    db: &Connection,
    clip_id: &ClipId,
    is_lost: bool,
) -> booth_database::Result<()> {
    db.prepare_cached("UPDATE kept SET lost = ?2 WHERE clip_id = ?1")?
        .execute(params![clip_id.as_str(), is_lost])?;
    Ok(())
}

/// Notes what a body's file is.
pub(super) fn set_at_rest(
    db: &Connection,
    clip_id: &ClipId,
    at_rest: Option<&AtRest>,
) -> booth_database::Result<()> {
    db.prepare_cached("UPDATE kept SET rest_bytes = ?2, rest_sha256 = ?3 WHERE clip_id = ?1")?
        .execute(params![
            clip_id.as_str(),
            at_rest.map(|at_rest| at_rest.bytes),
            at_rest.map(|at_rest| at_rest.sha256.as_str())
        ])?;
    Ok(())
}

/// Counts a held clip from now on; answers whether there was one.
pub(super) fn accept(db: &Connection, clip_id: &ClipId) -> booth_database::Result<bool> {
    let changed = db
        .prepare_cached("UPDATE kept SET held = 0 WHERE clip_id = ?1 AND held = 1")?
        .execute([clip_id.as_str()])?;
    Ok(changed > 0)
}

/// Removes the row of a clip whose files were moved to `disputed`.
pub(super) fn forget(db: &Connection, clip_id: &ClipId) -> booth_database::Result<()> {
    db.prepare_cached("DELETE FROM kept WHERE clip_id = ?1")?
        .execute([clip_id.as_str()])?;
    Ok(())
}

/// Removes the row of a number that was given up: its words have come.
pub(super) fn forget_void(db: &Connection, clip_id: &ClipId) -> booth_database::Result<()> {
    db.prepare_cached("DELETE FROM kept WHERE clip_id = ?1 AND kind = 'void'")?
        .execute([clip_id.as_str()])?;
    Ok(())
}

/// Another clip that has the same number as this one.
pub(super) fn of_same_number(
    db: &Connection,
    manifest: &Manifest,
) -> booth_database::Result<Option<ClipId>> {
    db.prepare_cached(
        "SELECT clip_id FROM kept WHERE card_id = ?1 AND clip_no = ?2 AND clip_id <> ?3",
    )?
    .query_row(
        params![
            manifest.card_id.as_str(),
            manifest.clip_no,
            manifest.clip_id.as_str()
        ],
        |row| Ok(row.get::<_, String>(0)?.into()),
    )
    .optional()
}

/// Makes an entry for an operator.
pub(crate) fn show_operator(
    db: &Connection,
    wall: Timestamp,
    sender: &BoothId,
    clip_id: &ClipId,
    reason: &str,
    rank: Rank,
) -> booth_database::Result<()> {
    db.prepare_cached(
        "INSERT INTO refused (booth_id, clip_id, reason, at, times, rank) VALUES (?1, ?2, ?3, ?4, 1, ?5)
         ON CONFLICT (booth_id, clip_id, reason) DO UPDATE SET at = excluded.at, times = refused.times + 1, rank = excluded.rank",
    )?
    .execute(params![
        sender.as_str(),
        clip_id.as_str(),
        reason,
        rfc3339(wall),
        rank as u8
    ])?;
    db.prepare_cached(
        "DELETE FROM refused WHERE booth_id = ?1 AND rowid IN (
           SELECT rowid FROM refused WHERE booth_id = ?1
           ORDER BY rank DESC, CASE rank WHEN 0 THEN at END DESC, CASE rank WHEN 0 THEN -rowid ELSE rowid END
           LIMIT -1 OFFSET ?2)",
    )?
    .execute(params![sender.as_str(), MAX_REFUSED_PER_BOOTH])?;
    Ok(())
}

impl Store {
    /// The same, in the store's batch.
    pub(super) fn show_operator(
        &mut self,
        wall: Timestamp,
        sender: &BoothId,
        clip_id: &ClipId,
        reason: &str,
        rank: Rank,
    ) -> Result<(), StoreError> {
        self.begin()?;
        show_operator(&self.db, wall, sender, clip_id, reason, rank).map_err(Into::into)
    }
}
