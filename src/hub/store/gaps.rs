//! The audit of clip numbers: what each card gave and is not here, by where it must be.
//!
//! Owns: the names of the gaps. Never does: write.

use rusqlite::Connection;

use crate::hub::view::GapView;

/// Most ranges shown of one card and kind.
const MAX_SHOWN_RANGES: usize = 200;

/// What is known of one card's numbers.
struct CardNumbers {
    card_id: String,
    booth_id: String,
    last_seen: String,
    /// Whether this is the booth's card now.
    current: bool,
    /// From health: the highest number given.
    last_clip_no: u64,
    /// From health: the lowest number still on the card; `None` if it was never said.
    oldest_kept: Option<u64>,
    /// From health: nothing is on the card any more.
    empty: bool,
    /// The highest number that is here.
    highest: u64,
}

/// Every card's.
pub(super) fn gaps(db: &Connection) -> rusqlite::Result<Vec<GapView>> {
    // A card is audited at the booth where it was heard last.
    let cards: Vec<CardNumbers> = db
        .prepare_cached(
            "SELECT c.card_id, c.booth_id, c.last_seen, booth.card_id IS c.card_id,
               coalesce(c.last_clip_no, 0), c.oldest_clip_no_kept, c.spool_clips IS 0,
               coalesce((SELECT max(clip_no) FROM clip WHERE clip.card_id = c.card_id), 0),
               max(c.last_seen)
             FROM card_at_booth c LEFT JOIN booth ON booth.booth_id = c.booth_id
             GROUP BY c.card_id ORDER BY c.booth_id, c.card_id",
        )?
        .query_map([], |row| {
            Ok(CardNumbers {
                card_id: row.get(0)?,
                booth_id: row.get(1)?,
                last_seen: row.get(2)?,
                current: row.get(3)?,
                last_clip_no: row.get(4)?,
                oldest_kept: row.get(5)?,
                empty: row.get(6)?,
                highest: row.get(7)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut between: std::collections::HashMap<String, Vec<(u64, u64)>> = Default::default();
    let mut statement = db.prepare_cached(
        "SELECT card_id, before + 1, clip_no - 1 FROM (
           SELECT card_id, clip_no,
             lag(clip_no, 1, 0) OVER (PARTITION BY card_id ORDER BY clip_no) AS before FROM clip)
         WHERE clip_no > before + 1 LIMIT 10000",
    )?;
    let holes = statement.query_map([], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, u64>(1)?,
            row.get::<_, u64>(2)?,
        ))
    })?;
    for hole in holes {
        let (card, first, last) = hole?;
        between.entry(card).or_default().push((first, last));
    }
    let mut found = Vec::new();
    for card in cards {
        let mut missing = between.remove(&card.card_id).unwrap_or_default();
        if card.last_clip_no > card.highest {
            missing.push((card.highest + 1, card.last_clip_no));
        }
        found.extend(named(&card, &missing));
    }
    Ok(found)
}

/// Splits a card's missing numbers by where they must be.
fn named(card: &CardNumbers, missing: &[(u64, u64)]) -> Vec<GapView> {
    let gap = |kind: &str, mut missing: Vec<(u64, u64)>| {
        let numbers = missing.iter().map(|(first, last)| last - first + 1).sum();
        missing.truncate(MAX_SHOWN_RANGES);
        (!missing.is_empty()).then(|| GapView {
            numbers,
            card_id: card.card_id.clone(),
            booth_id: card.booth_id.clone(),
            missing,
            kind: kind.to_owned(),
            last_seen: card.last_seen.clone(),
        })
    };
    if !card.current {
        return gap("card_gone", missing.to_vec()).into_iter().collect();
    }
    // From this number on the booth has them; what it never said cannot be called lost. A card that
    // says it is empty still has what it recorded since.
    let kept_from = match (card.oldest_kept, card.empty) {
        (_, true) => card.last_clip_no + 1,
        (Some(oldest), false) if oldest > 0 => oldest,
        _ => 1,
    };
    let lost: Vec<(u64, u64)> = missing
        .iter()
        .filter(|(first, _)| *first < kept_from)
        .map(|&(first, last)| (first, last.min(kept_from - 1)))
        .collect();
    let kept: Vec<(u64, u64)> = missing
        .iter()
        .filter(|(_, last)| *last >= kept_from)
        .map(|&(first, last)| (first.max(kept_from), last))
        .collect();
    [gap("missing_between", lost), gap("still_on_booth", kept)]
        .into_iter()
        .flatten()
        .collect()
}
