//! Votes: how they were cast, by question, which of them came in bursts, and which are not counted because their code is not right.
//!
//! Owns: what a burst is, as a question to the database. Never does: write, or leave a vote out of sight. A vote is a clip like any
//! other, so that it counts once however often it is sent.

use booth_database::{Connection, params};

use crate::view::{BURST_VOTES, MOST_BARS, PollView, burst_seconds};

/// Votes, without tests, and without those that are held.
const VOTES: &str = "FROM clip WHERE test = 0 AND kind = 'choice'";
/// Clips that are counted, votes and others: all but votes that came without the one-time code that they need.
pub(super) const COUNTS: &str = "coalesce(code, 'counted') = 'counted'";

/// All votes, and the questions that are voted on, the ones with the most votes first.
pub(super) struct Polls {
    pub votes: u64,
    pub polls: Vec<PollView>,
    pub total: u64,
}

/// Counts the votes. `min_pause` says how many seconds lie between two votes on a question of a campaign at one booth.
pub(super) fn polls(
    db: &Connection,
    min_pause: &dyn Fn(&str, &str) -> u32,
) -> booth_database::Result<Polls> {
    let (votes, total) = db
        .prepare_cached(&format!(
            "SELECT coalesce(sum(n), 0), count(*) FROM (
               SELECT count(*) FILTER (WHERE {COUNTS}) AS n {VOTES} GROUP BY campaign_id, question_id) AS polls"
        ))?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut polls: Vec<PollView> = db
        .prepare_cached(&format!(
            "SELECT campaign_id, question_id, count(*) FILTER (WHERE {COUNTS}) AS n {VOTES} GROUP BY campaign_id, question_id
             ORDER BY n DESC, question_id, campaign_id NULLS FIRST LIMIT ?1"
        ))?
        .query_map([MOST_BARS], |row| {
            let (campaign_id, question_id): (Option<String>, String) = (row.get(0)?, row.get(1)?);
            let pause = min_pause(campaign_id.as_deref().unwrap_or_default(), &question_id);
            Ok(PollView {
                burst_seconds: burst_seconds(pause),
                campaign_id,
                question_id,
                options: Vec::new(),
                votes: row.get(2)?,
                in_bursts: 0,
                not_counted: Vec::new(),
            })
        })?
        .collect::<booth_database::Result<_>>()?;
    let mut options = db.prepare_cached(&format!(
        "SELECT choice, count(*) {VOTES} AND {COUNTS} AND campaign_id IS ?1 AND question_id = ?2 GROUP BY choice ORDER BY choice"
    ))?;
    let mut not_counted = db.prepare_cached(&format!(
        "SELECT code, count(*) {VOTES} AND NOT {COUNTS} AND campaign_id IS ?1 AND question_id = ?2 GROUP BY code ORDER BY code"
    ))?;
    // A vote is in a burst if it is one of so many that follow each other within the time.
    let mut bursts = db.prepare_cached(&format!(
        "SELECT coalesce(sum(is_in_one), 0) FROM (
           SELECT max(begins_one) OVER (PARTITION BY booth_id ORDER BY at, clip_id
             ROWS BETWEEN {before} PRECEDING AND CURRENT ROW) AS is_in_one FROM (
             SELECT booth_id, clip_id, at, CASE WHEN
               lead(at, {before}) OVER (PARTITION BY booth_id ORDER BY at, clip_id) - at <= ?3 THEN 1 ELSE 0 END AS begins_one FROM (
               SELECT booth_id, clip_id, coalesce(unixepoch(started_at), unixepoch(received_at)) AS at
               {VOTES} AND {COUNTS} AND campaign_id IS ?1 AND question_id = ?2) AS vote) AS begun) AS told",
        before = BURST_VOTES - 1
    ))?;
    for poll in &mut polls {
        let of = params![poll.campaign_id, poll.question_id];
        poll.options = options
            .query_map(of, |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<booth_database::Result<_>>()?;
        poll.not_counted = not_counted
            .query_map(of, |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<booth_database::Result<_>>()?;
        let of = params![poll.campaign_id, poll.question_id, poll.burst_seconds];
        poll.in_bursts = bursts.query_row(of, |row| row.get(0))?;
    }
    Ok(Polls {
        votes,
        polls,
        total,
    })
}
