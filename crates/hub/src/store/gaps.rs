//! The audit of clip numbers: which numbers each card gave that the hub does not have, and where those clips must be.
//!
//! Owns: the kinds of gaps, and how many of them are listed. Never does: write.

use booth_contract::CardId;
use std::collections::HashMap;

use booth_database::Connection;

use crate::view::{GapView, Listed};

/// Most ranges shown of one card and kind.
const MAX_SHOWN_RANGES: usize = 200;
/// Most entries of one booth, of the cards heard last; a sender with many cards hides no other sender's cards.
const MAX_OF_BOOTH: usize = 8;
/// Most entries of all booths.
const MAX_ENTRIES: usize = 300;

/// The kind of numbers that are neither here nor on a card.
pub(crate) const MISSING: &str = "missing_between";

/// What is known of one card's numbers.
#[derive(Default)]
struct CardNumbers {
    card_id: CardId,
    booth_id: String,
    last_seen: String,
    /// Whether this is the booth's card now.
    current: bool,
    /// The highest number given, from health.
    last_clip_no: u64,
    /// The lowest number still on the card, from health; `None` if health never said it.
    oldest_kept: Option<u64>,
    /// Whether the card is empty, from health.
    empty: bool,
    /// The highest number that the hub has.
    highest: u64,
    /// Missing numbers below the lowest one on the card, and from that one on.
    lost: Missing,
    kept: Missing,
}

/// Missing numbers: how many, and the lowest ranges.
#[derive(Default)]
struct Missing {
    numbers: u64,
    ranges: Vec<(u64, u64)>,
}

impl Missing {
    fn add(&mut self, first: u64, last: u64) {
        self.numbers += last - first + 1;
        if self.ranges.len() < MAX_SHOWN_RANGES {
            self.ranges.push((first, last));
        }
    }
}

/// The gaps of every card.
pub(super) fn gaps(db: &Connection) -> booth_database::Result<Listed<GapView>> {
    // A card is audited at the booth where it was heard last. SQLite takes the row that has the greatest one.
    let (newest, greatest, by) = match db.is_sqlite() {
        true => ("card_at_booth", ", max(c.last_seen)", "GROUP BY c.card_id"),
        false => (
            "(SELECT DISTINCT ON (card_id) * FROM card_at_booth ORDER BY card_id, last_seen DESC)",
            "",
            "",
        ),
    };
    let mut cards: Vec<CardNumbers> = db
        .prepare_cached(&format!(
            "SELECT c.card_id, c.booth_id, c.last_seen, booth.card_id IS c.card_id,
               coalesce(c.last_clip_no, 0), c.oldest_clip_no_kept, c.spool_clips IS 0,
               max(coalesce((SELECT max(clip_no) FROM clip WHERE clip.card_id = c.card_id), 0),
                 coalesce((SELECT max(clip_no) FROM withdrawn w WHERE w.card_id = c.card_id), 0)){greatest}
             FROM {newest} AS c LEFT JOIN booth ON booth.booth_id = c.booth_id
             {by} ORDER BY c.booth_id, c.last_seen DESC, c.card_id",
        ))?
        .query_map([], |row| {
            Ok(CardNumbers {
                card_id: row.get::<_, String>(0)?.into(),
                booth_id: row.get(1)?,
                last_seen: row.get(2)?,
                current: row.get(3)?,
                last_clip_no: row.get(4)?,
                oldest_kept: row.get(5)?,
                empty: row.get(6)?,
                highest: row.get(7)?,
                ..CardNumbers::default()
            })
        })?
        .collect::<booth_database::Result<_>>()?;
    let places: HashMap<CardId, usize> = cards
        .iter()
        .enumerate()
        .map(|(at, card)| (card.card_id.clone(), at))
        .collect();
    let mut statement = db.prepare_cached(
        "SELECT card_id, before + 1, clip_no - 1 FROM (
           SELECT card_id, clip_no,
             lag(clip_no, 1, 0) OVER (PARTITION BY card_id ORDER BY clip_no) AS before FROM (
               SELECT card_id, clip_no FROM clip UNION ALL
               SELECT card_id, clip_no FROM withdrawn WHERE clip_no IS NOT NULL) AS number) AS hole
         WHERE clip_no > before + 1",
    )?;
    let mut holes = statement.query([])?;
    while let Some(hole) = holes.next()? {
        let card: String = hole.get(0)?;
        if let Some(card) = places.get(card.as_str()).and_then(|at| cards.get_mut(*at)) {
            card.misses(hole.get(1)?, hole.get(2)?);
        }
    }
    let mut listed = Listed::default();
    // What is lost, and what is elsewhere: the first is listed of every booth before the second.
    let (mut lost, mut elsewhere) = (Vec::new(), Vec::new());
    let mut of_booth = (String::new(), 0);
    for mut card in cards {
        if card.last_clip_no > card.highest {
            card.misses(card.highest + 1, card.last_clip_no);
        }
        if of_booth.0 != card.booth_id {
            of_booth = (card.booth_id.clone(), 0);
        }
        for entry in card.named() {
            listed.total += 1;
            of_booth.1 += 1;
            let list = match entry.kind == MISSING {
                true => &mut lost,
                false => &mut elsewhere,
            };
            if of_booth.1 <= MAX_OF_BOOTH && list.len() < MAX_ENTRIES {
                list.push((listed.total, entry));
            }
        }
    }
    elsewhere.truncate(MAX_ENTRIES - lost.len());
    lost.append(&mut elsewhere);
    lost.sort_by_key(|(place, _)| *place);
    listed.entries = lost.into_iter().map(|(_, entry)| entry).collect();
    Ok(listed)
}

impl CardNumbers {
    /// The booth still has the clips from this number on. If it never said a lowest number, none can be called lost. A card that is
    /// said to be empty still has what it recorded since.
    fn kept_from(&self) -> u64 {
        match (self.oldest_kept, self.empty) {
            // A card that is no longer in the booth is taken to have all of its clips.
            _ if !self.current => 0,
            (_, true) => self.last_clip_no + 1,
            (Some(oldest), false) if oldest > 0 => oldest,
            _ => 1,
        }
    }

    /// Divides missing numbers into lost ones and ones that the card still has.
    fn misses(&mut self, first: u64, last: u64) {
        let kept_from = self.kept_from();
        if first < kept_from {
            self.lost.add(first, last.min(kept_from - 1));
        }
        if last >= kept_from {
            self.kept.add(first.max(kept_from), last);
        }
    }

    fn named(self) -> impl Iterator<Item = GapView> {
        let kept = match self.current {
            true => "still_on_booth",
            false => "card_gone",
        };
        let (card_id, booth_id, last_seen) = (self.card_id, self.booth_id, self.last_seen);
        [(MISSING, self.lost), (kept, self.kept)]
            .into_iter()
            .filter(|(_, missing)| missing.numbers > 0)
            .map(move |(kind, missing)| GapView {
                card_id: card_id.clone(),
                booth_id: booth_id.clone(),
                missing: missing.ranges,
                numbers: missing.numbers,
                kind: kind.to_owned(),
                last_seen: last_seen.clone(),
            })
    }
}
