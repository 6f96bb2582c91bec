//! Takes over what the hub has stored since the last look, and lets go of what is gone.
//!
//! Owns: the facts of arrival in the table `message`. Never does: touch what people decided, but for a message that is gone: its row, its
//! transcript and everything that hangs on it are deleted, and only its id and where it counted are noted in `gone`. A failure leaves the
//! place as it was; the next look goes on from there, and what is gone is [`Withheld`] until it can be deleted. What the hub has marked as a
//! child's since is taken off the pages and waits at the desk again: what was decided was decided about somebody else.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use booth_database::{Connection, OptionalExtension, Transaction, params};
use jiff::Timestamp;
use serde_json::json;

use booth_contract::Publish;
use booth_contract::time::rfc3339;
use booth_host::clock;

use crate::City;
use crate::centre::{Arrived, Centre, Gone, Source};
use crate::store::{Act, Actor, CityError};

/// Messages that are taken over in one transaction.
const AT_ONCE: usize = 500;

/// See [`City::follow`].
pub(crate) fn follow(city: &City, with_late: bool) -> Result<(), CityError> {
    let centre = &*city.centre;
    // Nobody is shown what is gone while what arrived is taken over, or cannot be.
    let gone = let_go_of_all(city);
    let arrived = start_over(city, centre).and_then(|()| all_of(|| take_over(city, centre)));
    city.store.empty_log();
    gone.and(arrived)?;
    if with_late {
        admit_late(city, centre)?;
    }
    Ok(())
}

/// See [`City::forget_first`].
pub(crate) fn let_go_of_all(city: &City) -> Result<(), CityError> {
    let centre = &*city.centre;
    know_the_store(city, centre)?;
    let gone = all_of(|| let_go(city, centre));
    gone.and(note_children(city, centre))
}

/// In another store, or one that was made anew from its files, all places are others, and so are those of what is gone in one that an older database
/// was put into. What is known already stays as it is.
fn know_the_store(city: &City, centre: &dyn Centre) -> Result<(), CityError> {
    let name = centre.store_name()?;
    let newest_gone = centre.newest_gone()?;
    let (known, gone) = city
        .store
        .read(|db| Ok((mark(db, "store")?, number(db, "gone")?)))?;
    let is_another = known.as_deref() != Some(&name);
    if !is_another && gone <= newest_gone {
        return Ok(());
    }
    let begun_anew = city.store.change_quietly(|db| {
        set(db, "gone", "0")?;
        if is_another {
            set(db, "store", &name)?;
            set(db, "arrived", "0")?;
        }
        Ok(())
    });
    match begun_anew {
        Ok(()) => Ok(()),
        Err(error) => withhold(city, centre, 0).and(Err(error)),
    }
}

/// A store may give the place of its newest message to the next one, once that one is gone.
fn start_over(city: &City, centre: &dyn Centre) -> Result<(), CityError> {
    let newest = centre.newest()?;
    let read = city.store.read(|db| number(db, "arrived"))?;
    match newest < read {
        true => city
            .store
            .change_quietly(|db| Ok(set(db, "arrived", &newest.to_string())?)),
        false => Ok(()),
    }
}

fn all_of(mut some: impl FnMut() -> Result<bool, CityError>) -> Result<(), CityError> {
    while some()? {}
    Ok(())
}

/// Messages that are gone, or were marked as a child's, and that a database which takes nothing still has as they were: nobody is shown their words.
#[derive(Debug, Default)]
pub(crate) struct Withheld(RwLock<Ids>);

#[derive(Debug, Default)]
struct Ids {
    gone: BTreeSet<String>,
    children: BTreeSet<String>,
}

impl Withheld {
    /// Whether this message is one of them.
    pub(crate) fn has(&self, id: &str) -> bool {
        let ids = self.0.read().unwrap_or_else(PoisonError::into_inner);
        ids.gone.contains(id) || ids.children.contains(id)
    }

    fn change(&self, change: impl FnOnce(&mut Ids)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Withholds everything that is gone beyond this place.
fn withhold(city: &City, centre: &dyn Centre, mut after: i64) -> Result<(), CityError> {
    loop {
        let gone = centre.gone(after, AT_ONCE)?;
        let Some(last) = gone.last() else {
            city.forget_pages();
            return Ok(());
        };
        after = last.place;
        city.withheld.change(|ids| {
            let gone = gone.iter().map(|gone| gone.id.as_str().to_owned());
            ids.gone.extend(gone);
        });
    }
}

/// The next messages; whether there may be more.
fn take_over(city: &City, centre: &dyn Centre) -> Result<bool, CityError> {
    let after = city.store.read(|db| number(db, "arrived"))?;
    let arrived = centre.arrived(after, AT_ONCE)?;
    let Some((last, _)) = arrived.last() else {
        return Ok(false);
    };
    let last = last.to_string();
    city.store.change_quietly(|db| {
        for (_, message) in &arrived {
            insert(city, db, message)?;
        }
        set(db, "arrived", &last)?;
        Ok(())
    })?;
    Ok(arrived.len() == AT_ONCE)
}

/// A message that an operator admitted after others that came later: its place lies before those that were read.
fn admit_late(city: &City, centre: &dyn Centre) -> Result<(), CityError> {
    let there = centre.number()?;
    let here: u64 = city
        .store
        .read(|db| db.query_row("SELECT count(*) FROM message", [], |row| row.get(0)))?;
    if here >= there {
        return Ok(());
    }
    let mut after = 0;
    loop {
        let arrived = centre.arrived(after, AT_ONCE)?;
        let Some((last, _)) = arrived.last() else {
            return Ok(());
        };
        after = *last;
        city.store.change_quietly(|db| {
            for (_, message) in &arrived {
                insert(city, db, message)?;
            }
            Ok(())
        })?;
    }
}

fn let_go(city: &City, centre: &dyn Centre) -> Result<bool, CityError> {
    let after = city.store.read(|db| number(db, "gone"))?;
    let gone = centre.gone(after, AT_ONCE)?;
    let Some(last) = gone.last() else {
        return Ok(false);
    };
    let last = last.place.to_string();
    city.sounds
        .forget_gone(|kept| !gone.iter().any(|gone| gone.id.as_str() == kept));
    let deleted = city.store.change_forgetting(|db| {
        let mut words_went = false;
        for Gone { id, .. } in &gone {
            words_went |= forget(db, id)?;
        }
        set(db, "gone", &last)?;
        Ok(words_went)
    });
    if let Err(error) = deleted {
        withhold(city, centre, after)?;
        return Err(error);
    }
    city.forget_pages();
    city.withheld.change(|ids| {
        for gone in &gone {
            ids.gone.remove(gone.id.as_str());
        }
    });
    Ok(gone.len() == AT_ONCE)
}

/// Takes over which messages the hub has marked as a child's, and which marks were taken back.
fn note_children(city: &City, centre: &dyn Centre) -> Result<(), CityError> {
    let marked = centre.children()?;
    let marked: BTreeSet<String> = marked.iter().map(|id| id.as_str().to_owned()).collect();
    let (new, taken_back) = city.store.read(|db| {
        let known: BTreeSet<String> = db
            .prepare_cached("SELECT id FROM message WHERE child_at_hub = 1")?
            .query_map([], |row| row.get(0))?
            .collect::<booth_database::Result<_>>()?;
        let mut is_here =
            db.prepare_cached("SELECT EXISTS (SELECT 1 FROM message WHERE id = ?1)")?;
        let mut new = BTreeSet::new();
        for id in marked.difference(&known) {
            if is_here.query_row([id], |row| row.get(0))? {
                new.insert(id.clone());
            }
        }
        let taken_back: Vec<String> = known.difference(&marked).cloned().collect();
        Ok((new, taken_back))
    })?;
    if new.is_empty() && taken_back.is_empty() {
        return Ok(());
    }
    let noted = city.store.change_telling(|db| {
        let mut acts = Vec::new();
        for id in &new {
            let before = mark_child(db, id)?;
            let act = Act::new(Actor::CommandLine, MARKED_AS_A_CHILDS, id.as_str());
            acts.push(act.with(json!({ "before": before })));
        }
        for id in &taken_back {
            db.prepare_cached("UPDATE message SET child_at_hub = 0 WHERE id = ?1")?
                .execute([id])?;
        }
        Ok(((), acts))
    });
    let is_noted = noted.is_ok();
    city.withheld.change(|ids| {
        ids.children = if is_noted { BTreeSet::new() } else { new };
    });
    city.forget_pages();
    noted
}

/// In the log of acts: the hub's mark came over after the message.
pub(crate) const MARKED_AS_A_CHILDS: &str = "marked as a child's";

/// Marks a message as a child's. What was decided, or proposed, before anybody said so waits for a decision again; what the desk has decided about
/// a child stays. Returns what the message was.
fn mark_child(db: &Transaction<'_>, id: &str) -> booth_database::Result<String> {
    let before = db
        .prepare_cached("SELECT state FROM message WHERE id = ?1")?
        .query_row([id], |row| row.get(0))?;
    db.prepare_cached(
        "UPDATE message SET state = 'waiting', with_voice = 0, decided_at = NULL, decided_by = NULL, second_by = NULL, published_at = NULL
         WHERE id = ?1 AND child = 0 AND state IN ('waiting', 'published')",
    )?
    .execute([id])?;
    db.prepare_cached(
        "UPDATE message SET child_at_hub = 1, child = 1, version = version + 1 WHERE id = ?1",
    )?
    .execute([id])?;
    Ok(before)
}

/// Deletes everything that is known of a message but where it counted, and why it is gone. What retention deletes is counted in the same
/// transaction, so that each message counts once. Whether there was something to delete.
pub(crate) fn forget(db: &Transaction<'_>, id: &str) -> booth_database::Result<bool> {
    let at = rfc3339(clock::wall());
    db.prepare_cached(
        "INSERT INTO retention (at, class, number) SELECT at, class, 1 FROM leaving WHERE message_id = ?1 AND why = 'retention'
         ON CONFLICT (at, class) DO UPDATE SET number = number + 1",
    )?
    .execute([id])?;
    db.prepare_cached(
        "INSERT OR IGNORE INTO gone SELECT id, ?2, state = 'published', campaign_id, question_id, source, area_id, day, kind,
           coalesce((SELECT why FROM leaving WHERE message_id = ?1), 'withdrawn')
         FROM message WHERE id = ?1",
    )?
    .execute(params![id, at])?;
    db.prepare_cached("DELETE FROM named_area WHERE message_id = ?1")?
        .execute([id])?;
    let deleted = db
        .prepare_cached("DELETE FROM message WHERE id = ?1")?
        .execute([id])?;
    Ok(deleted > 0)
}

fn insert(city: &City, db: &Transaction<'_>, message: &Arrived) -> booth_database::Result<()> {
    let said_at: Timestamp = message.spoken_at.unwrap_or(message.received_at);
    let local = said_at.to_zoned_datetime(city.zone.clone());
    let placement: Option<(i64, Option<String>)> = match &message.booth_id {
        Some(booth) => placement_at(db, booth, &rfc3339(said_at))?,
        None => None,
    };
    let (placement, area) = placement.map_or((None, None), |(number, area)| (Some(number), area));
    let area = match message.source {
        Source::Booth => area,
        _ => named_area(db, &message.id)?,
    };
    // A second time the same message: the clock may have been corrected.
    db.prepare_cached(
        "INSERT INTO message (id, kind, source, booth_id, placement, area_id, campaign_id, question_id, choice, lang, said_at, day, hour,
           weekday, received_at, duration_ms, speech_ratio, rms_dbfs, recovered, may_publish, notice_id, child, child_at_hub)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?22
         WHERE NOT EXISTS (SELECT 1 FROM gone WHERE gone.id = ?1)
         ON CONFLICT (id) DO UPDATE SET said_at = excluded.said_at, day = excluded.day, hour = excluded.hour,
           weekday = excluded.weekday, placement = excluded.placement,
           area_id = CASE WHEN source = 'booth' THEN excluded.area_id ELSE coalesce(excluded.area_id, area_id) END",
    )?
    .execute(params![
        message.id.as_str(),
        message.kind.word(),
        message.source.word(),
        message.booth_id.as_deref().filter(|_| message.source == Source::Booth),
        placement,
        area,
        message.campaign_id,
        message.question_id,
        message.choice,
        message.lang,
        rfc3339(said_at),
        local.date().to_string(),
        local.hour(),
        local.weekday().to_monday_one_offset(),
        rfc3339(message.received_at),
        message.duration_ms,
        message.speech_ratio,
        message.rms_dbfs,
        message.recovered,
        match message.may_publish {
            Publish::No => "no",
            Publish::Text => "text",
            Publish::Voice => "voice",
        },
        message.notice_id,
        message.is_child,
    ])?;
    Ok(())
}

/// The area that a citizen named from home, as far as nobody has taken it over.
fn named_area(db: &Transaction<'_>, id: &str) -> booth_database::Result<Option<String>> {
    db.prepare_cached("DELETE FROM named_area WHERE message_id = ?1 RETURNING area_id")?
        .query_row([id], |row| row.get(0))
        .optional()
}

/// Where a booth stood at this time: the placement's number and its area.
pub(crate) fn placement_at(
    db: &Connection,
    booth: &str,
    at: &str,
) -> booth_database::Result<Option<(i64, Option<String>)>> {
    db.prepare_cached(
        "SELECT id, area_id FROM placement WHERE booth_id = ?1 AND since <= ?2 AND (until IS NULL OR until > ?2)
         ORDER BY since DESC LIMIT 1",
    )?
    .query_row(params![booth, at], |row| Ok((row.get(0)?, row.get(1)?)))
    .optional()
}

fn mark(db: &Connection, name: &str) -> booth_database::Result<Option<String>> {
    db.prepare_cached("SELECT value FROM mark WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

pub(crate) fn number(db: &Connection, name: &str) -> booth_database::Result<i64> {
    Ok(mark(db, name)?
        .and_then(|text| text.parse().ok())
        .unwrap_or(0))
}

pub(crate) fn set(db: &Transaction<'_>, name: &str, value: &str) -> booth_database::Result<()> {
    db.prepare_cached(
        "INSERT INTO mark VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
    )?
    .execute([name, value])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{city, spoken};

    #[test]
    fn a_message_that_gets_the_place_of_one_that_was_taken_back_is_taken_over_at_once() {
        let (city, centre, _folder) = city();
        let [first, second] = ["1", "2"].map(|n| format!("0190b6b1-0000-7000-8000-00000000000{n}"));
        centre.have().arrived.push(spoken(&first));
        city.follow(false).expect("followed");
        let gone = centre.have().arrived.remove(0);
        centre.have().gone.push(gone.id);
        city.follow(false).expect("followed");
        centre.have().arrived.push(spoken(&second));
        city.follow(false).expect("followed");
        let there: String = city
            .store
            .read(|db| db.query_row("SELECT group_concat(id) FROM message", [], |row| row.get(0)))
            .expect("one");
        assert_eq!(there, second);
    }

    #[test]
    fn a_city_with_an_older_hub_or_from_a_backup_shows_nothing_that_was_taken_back_since() {
        let (city, centre, _folder) = city();
        let ids = ["1", "2", "3"].map(|n| format!("0190b6b1-0000-7000-8000-00000000000{n}"));
        for id in &ids {
            centre.have().arrived.push(spoken(id));
        }
        city.follow(false).expect("followed");
        let there = || -> u64 {
            let count = "SELECT count(*) FROM message";
            city.store
                .read(|db| db.query_row(count, [], |row| row.get(0)))
                .expect("a number")
        };
        // Before anything is shown what is gone goes, whatever else waits to be taken over.
        centre.have().gone.push(ids[0].clone().into());
        city.forget_first().expect("forgotten");
        assert_eq!(there(), 2);
        // The hub's database is an older one, in which less was gone; then something else is taken back, at a place that was read before.
        centre.have().gone.clear();
        city.follow(false).expect("followed");
        assert_eq!(there(), 2);
        centre.have().gone.push(ids[1].clone().into());
        city.follow(false).expect("followed");
        assert_eq!(there(), 1);
    }
}
