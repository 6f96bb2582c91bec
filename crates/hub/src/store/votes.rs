//! Votes: how they were cast, by question, and which of them came in bursts.
//!
//! Owns: what a burst is, as a question to the database. Never does: write, or leave a vote out of a count. A vote is a clip like any
//! other, so that it counts once however often it is sent.

use rusqlite::{Connection, params};

use crate::view::{BURST_SECONDS, BURST_VOTES, MOST_BARS, PollView};

/// Votes that are counted: without tests, and without those that are held.
const VOTES: &str = "FROM clip WHERE test = 0 AND kind = 'choice'";

/// All votes, and the questions that are voted on, the ones with the most votes first.
pub(super) struct Polls {
    pub votes: u64,
    pub polls: Vec<PollView>,
    pub total: u64,
}

/// Counts the votes.
pub(super) fn polls(db: &Connection) -> rusqlite::Result<Polls> {
    let (votes, total) = db
        .prepare_cached(&format!(
            "SELECT coalesce(sum(n), 0), count(*) FROM (
               SELECT count(*) AS n {VOTES} GROUP BY campaign_id, question_id)"
        ))?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut polls: Vec<PollView> = db
        .prepare_cached(&format!(
            "SELECT campaign_id, question_id, count(*) AS n {VOTES} GROUP BY campaign_id, question_id
             ORDER BY n DESC, question_id, campaign_id LIMIT ?1"
        ))?
        .query_map([MOST_BARS], |row| {
            Ok(PollView {
                campaign_id: row.get(0)?,
                question_id: row.get(1)?,
                options: Vec::new(),
                votes: row.get(2)?,
                in_bursts: 0,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut options = db.prepare_cached(&format!(
        "SELECT choice, count(*) {VOTES} AND campaign_id IS ?1 AND question_id = ?2 GROUP BY choice ORDER BY choice"
    ))?;
    // A vote is in a burst if it is one of so many that follow each other within the time.
    let mut bursts = db.prepare_cached(&format!(
        "SELECT coalesce(sum(is_in_one), 0) FROM (
           SELECT max(begins_one) OVER (PARTITION BY booth_id ORDER BY at, clip_id
             ROWS BETWEEN {before} PRECEDING AND CURRENT ROW) AS is_in_one FROM (
             SELECT booth_id, clip_id, at, coalesce(
               lead(at, {before}) OVER (PARTITION BY booth_id ORDER BY at, clip_id) - at <= ?3, 0) AS begins_one FROM (
               SELECT booth_id, clip_id, coalesce(unixepoch(started_at), unixepoch(received_at)) AS at
               {VOTES} AND campaign_id IS ?1 AND question_id = ?2)))",
        before = BURST_VOTES - 1
    ))?;
    for poll in &mut polls {
        let of = params![poll.campaign_id, poll.question_id];
        poll.options = options
            .query_map(of, |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let of = params![poll.campaign_id, poll.question_id, BURST_SECONDS];
        poll.in_bursts = bursts.query_row(of, |row| row.get(0))?;
    }
    Ok(Polls {
        votes,
        polls,
        total,
    })
}
