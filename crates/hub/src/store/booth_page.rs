//! What the page of one booth shows, read from the store and from the course of its values.
//!
//! Owns: the questions about one booth that the fleet's page does not ask. Never does: write.

use booth_database::Connection;
use jiff::Timestamp;

use super::history;
use super::views::{StoreViews, locked};
use crate::course::{Point, Span};
use crate::pages;
use crate::view::{BoothPage, CardView, MachineView};

/// Most entries of what happened that are shown.
const SHOWN_HAPPENED: usize = 100;
/// Most cards and machines that are shown.
const SHOWN_CARDS: i64 = 20;

impl StoreViews {
    /// The page of one booth; `None` for a booth that is neither expected nor heard.
    ///
    /// # Errors
    /// A database that does not answer. Without the course the page has no pictures, and the log says why.
    pub(super) fn read_booth(
        &self,
        now: Timestamp,
        booth_id: &str,
    ) -> booth_database::Result<Option<BoothPage>> {
        let fleet = self.read_fleet(now)?;
        let is_it = |id: &str| id == booth_id;
        let found = fleet
            .booths
            .into_iter()
            .find(|booth| is_it(&booth.booth_id));
        let Some(booth) = found else {
            return Ok(None);
        };
        let courses = Span::ALL.map(|span| self.course_of(now, booth_id, span));
        let db = locked(&self.db);
        Ok(Some(BoothPage {
            generated_at: now,
            courses,
            unreadable: fleet
                .unreadable
                .entries
                .into_iter()
                .filter(|said| is_it(&said.sender))
                .collect(),
            happened: history::latest(&db, booth_id, SHOWN_HAPPENED)?,
            gaps: fleet
                .gaps
                .into_iter()
                .filter(|gap| is_it(&gap.booth_id))
                .collect(),
            cards: cards(&db, booth_id)?,
            machines: machines(&db, booth_id)?,
            booth,
        }))
    }

    fn course_of(&self, now: Timestamp, booth_id: &str, span: Span) -> Vec<Point> {
        let points = self.course.points(now, booth_id, &pages::names(), span);
        points.unwrap_or_else(|error| {
            log::error!(about = "course"; "the pictures of the past cannot be read: {error}");
            Vec::new()
        })
    }
}

fn cards(db: &Connection, booth_id: &str) -> booth_database::Result<Vec<CardView>> {
    let mut statement = db.prepare_cached(
        "SELECT card_id, first_seen, last_seen, last_clip_no, announced > 0,
           card_id IS (SELECT card_id FROM booth WHERE booth.booth_id = card_at_booth.booth_id)
         FROM card_at_booth WHERE booth_id = ?1 ORDER BY last_seen DESC LIMIT ?2",
    )?;
    let cards = statement.query_map((booth_id, SHOWN_CARDS), |row| {
        Ok(CardView {
            card_id: row.get::<_, String>(0)?.into(),
            first_seen: row.get(1)?,
            last_seen: row.get(2)?,
            last_clip_no: row.get(3)?,
            is_announced: row.get(4)?,
            is_current: row.get(5)?,
        })
    })?;
    cards.collect()
}

fn machines(db: &Connection, booth_id: &str) -> booth_database::Result<Vec<MachineView>> {
    let mut statement = db.prepare_cached(
        "SELECT hw_serial, last_birth FROM machine_at_booth WHERE booth_id = ?1 ORDER BY last_birth DESC LIMIT ?2",
    )?;
    let machines = statement.query_map((booth_id, SHOWN_CARDS), |row| {
        Ok(MachineView {
            hw_serial: row.get(0)?,
            last_birth: row.get(1)?,
        })
    })?;
    machines.collect()
}
