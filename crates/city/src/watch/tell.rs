//! Tells whoever is on duty, by mail and webhook, and lets the heart beat.
//!
//! Owns: the rows of `watch_notice`. What is due for one person by one way goes in one message. Each alert is told once, and to the same
//! people once that it is over. What fails is tried again with growing pauses. Never does: decide what is wrong.

use std::sync::Arc;
use std::time::Duration;

use booth_contract::Severity;
use booth_contract::time::{Mono, rfc3339};
use booth_database::{Connection, Transaction, params};
use booth_host::{clock, tls};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use ureq::Agent;

use super::WatchConfig;
use super::keep::word;
use crate::City;
use crate::alarm::{Way, by_each_way, mail, pause, webhook};
use crate::store::CityError;

/// How often it is looked for what is due.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often the heart beats.
const BEAT_EVERY: Duration = Duration::from_secs(60);
/// After so long without a look that went well the heart stands still: whoever is behind the heartbeat hears of nothing else.
const BLIND_AFTER: Duration = Duration::from_secs(300);
/// How long the other side of the heartbeat is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most alerts in one message.
const MOST_IN_ONE: usize = 50;
/// Most of a sentence in a mail, in characters.
const LONGEST: usize = 600;
/// What could not be sent for so long is given up.
const GIVEN_UP_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// An alert as it is told.
#[derive(Debug, Clone)]
struct Told {
    id: i64,
    is_over: bool,
    tries: usize,
    subject: String,
    kind: String,
    severity: String,
    text: String,
    since: Option<Timestamp>,
    number: i64,
    raised_at: String,
    over_at: Option<String>,
}

/// Each of those who are to be told now gets a row; whoever was told of what is over now, too.
pub(super) fn call_up(
    tx: &Transaction<'_>,
    now: Timestamp,
    zone: &TimeZone,
    config: &WatchConfig,
) -> booth_database::Result<()> {
    let mut statement = tx.prepare_cached(
        "SELECT id, severity, snoozed_until, (SELECT min(made_at) FROM watch_notice WHERE watch = watch.id AND is_over = 0) FROM watch
         WHERE over_at IS NULL AND raised_at IS NOT NULL AND taken_at IS NULL AND (snoozed_until IS NULL OR snoozed_until <= ?1)",
    )?;
    let at = |text: Option<String>| text.and_then(|text| text.parse::<Timestamp>().ok());
    type Waits = (i64, String, Option<Timestamp>, Option<Timestamp>);
    let open: Vec<Waits> = statement
        .query_map([rfc3339(now)], |row| {
            Ok((row.get(0)?, row.get(1)?, at(row.get(2)?), at(row.get(3)?)))
        })?
        .collect::<booth_database::Result<_>>()?;
    for (id, severity, snoozed_until, first_told) in open {
        // The first one has his time also where the alert waited before: in the quiet hours, while nobody was on duty, or put off.
        let since = first_told.map_or(now, |told| told.max(snoozed_until.unwrap_or(told)));
        for duty in config.called(zone, now, severity_of(&severity), since) {
            let ways = [("mail", &duty.mail), ("webhook", &duty.webhook)];
            for (way, _) in ways.into_iter().filter(|(_, to)| to.is_some()) {
                tx.prepare_cached(
                    "INSERT OR IGNORE INTO watch_notice (watch, is_over, duty, way, made_at, next_at) VALUES (?1, 0, ?2, ?3, ?4, ?4)",
                )?
                .execute(params![id, duty.name, way, rfc3339(now)])?;
            }
        }
    }
    tell_of_ends(tx, now)?;
    tx.prepare_cached("DELETE FROM watch_notice WHERE sent_at IS NULL AND made_at < ?1")?
        .execute([rfc3339(now - GIVEN_UP_AFTER)])?;
    Ok(())
}

/// What is over before it was told is told to nobody; whoever was told of the rest is told that it is over, or that is given up, too.
fn tell_of_ends(tx: &Transaction<'_>, now: Timestamp) -> booth_database::Result<()> {
    tx.prepare_cached(
        "DELETE FROM watch_notice WHERE is_over = 0 AND sent_at IS NULL
           AND watch IN (SELECT id FROM watch WHERE over_at IS NOT NULL)",
    )?
    .execute([])?;
    tx.prepare_cached(
        "INSERT OR IGNORE INTO watch_notice (watch, is_over, duty, way, made_at, next_at)
         SELECT watch, 1, duty, way, ?1, ?1 FROM watch_notice JOIN watch ON watch.id = watch
         WHERE is_over = 0 AND sent_at IS NOT NULL AND over_at >= ?2",
    )?
    .execute([rfc3339(now), rfc3339(now - GIVEN_UP_AFTER)])?;
    Ok(())
}

fn severity_of(text: &str) -> Severity {
    let all = [Severity::CitizenCannotSpeak, Severity::NeedsVisit];
    all.into_iter()
        .find(|severity| word(*severity) == text)
        .unwrap_or(Severity::Watch)
}

/// Tells who is on duty, and lets the heart beat, until it is dropped. Webhooks go out and the heart beats on while a mail server keeps everybody
/// waiting.
pub(crate) async fn work(city: Arc<City>) {
    let failed = |error| log::error!(about = "watch"; "an alert waits: {error}");
    tokio::join!(
        by_each_way(&city, LOOK_EVERY, tell_due, failed),
        live(&city)
    );
}

async fn live(city: &Arc<City>) {
    if city.config.watch.heartbeat.is_none() {
        return;
    }
    let began = clock::mono();
    let mut due = tokio::time::interval(BEAT_EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let beaten = city.aside(move |city| Ok(beat(city, began))).await;
        if let Ok(Err(why)) = beaten {
            log::warn!(about = "heartbeat"; "no heartbeat was heard: {why}");
        }
    }
}

/// Whether nobody would be told of anything: no look went well for long.
fn is_blind(now: Mono, began: Mono, well_at: Mono) -> bool {
    now.since(well_at.max(began)) > BLIND_AFTER
}

/// One beat, if the hub takes messages and sees what is wrong.
fn beat(city: &City, began: Mono) -> Result<(), String> {
    let Some(address) = city.config.watch.heartbeat.as_deref() else {
        return Ok(());
    };
    if is_blind(clock::mono(), began, city.looks.well_at()) {
        return Err("none was sent, because no look at what is wrong goes well".into());
    }
    if !city.centre.takes_messages() {
        return Ok(());
    }
    let tls = tls::for_http(None).map_err(|why| why.to_string())?;
    let agent: Agent = Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(PATIENCE))
        .user_agent(concat!("booth-hub/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    agent
        .get(address)
        .call()
        .map(drop)
        .map_err(|why| why.to_string())
}

/// Sends everything that is due at this time by this way.
pub(super) fn tell_due(city: &City, now: Timestamp, way: Way) -> Result<(), CityError> {
    for duty in &city.config.watch.duty {
        let to = match way {
            Way::Mail => &duty.mail,
            Way::Webhook => &duty.webhook,
        };
        let Some(to) = to else { continue };
        let word = way.word();
        let what = format!("watch {} {word}", duty.name);
        if !city.unnoted.may_tell(clock::mono(), &what) {
            continue;
        }
        let due = city.store.read(|db| due(db, now, &duty.name, word))?;
        if due.is_empty() {
            continue;
        }
        let sent = match way {
            Way::Mail => mail::send_text(city, to, &subject(city, &due), &body(city, &due)),
            Way::Webhook => webhook::post(&city.config.alarm, to, &hooked(city, &due, now)),
        };
        if let Err(fault) = &sent {
            log::error!(about = "watch"; "{word} to {}: {fault}", duty.name);
        }
        let noted = city
            .store
            .change_quietly(|tx| Ok(note(tx, now, &duty.name, word, &due, &sent)?));
        city.unnoted
            .noted(clock::mono(), &what, sent.is_ok(), noted)?;
    }
    Ok(())
}

fn due(
    db: &Connection,
    now: Timestamp,
    duty: &str,
    way: &str,
) -> booth_database::Result<Vec<Told>> {
    let mut statement = db.prepare_cached(
        "SELECT w.id, n.is_over, n.tries, w.subject, w.kind, w.severity, w.text, w.since, w.number, w.raised_at, w.over_at
         FROM watch_notice n JOIN watch w ON w.id = n.watch
         WHERE n.duty = ?1 AND n.way = ?2 AND n.sent_at IS NULL AND n.next_at <= ?3 ORDER BY n.is_over, w.severity, w.id LIMIT ?4",
    )?;
    let rows = statement.query_map(
        params![duty, way, rfc3339(now), MOST_IN_ONE as i64],
        |row| {
            let since: Option<String> = row.get(7)?;
            Ok(Told {
                id: row.get(0)?,
                is_over: row.get(1)?,
                tries: row.get(2)?,
                subject: row.get(3)?,
                kind: row.get(4)?,
                severity: row.get(5)?,
                text: row.get(6)?,
                since: since.and_then(|at| at.parse().ok()),
                number: row.get(8)?,
                raised_at: row.get::<_, Option<String>>(9)?.unwrap_or_default(),
                over_at: row.get(10)?,
            })
        },
    )?;
    rows.collect()
}

fn note(
    tx: &Transaction<'_>,
    now: Timestamp,
    duty: &str,
    way: &str,
    due: &[Told],
    sent: &Result<(), String>,
) -> booth_database::Result<()> {
    for told in due {
        let (sent_at, fault) = match sent {
            Ok(()) => (Some(rfc3339(now)), None),
            Err(fault) => (None, Some(fault)),
        };
        // An alert that was over while it was being told has lost its row: it was told all the same.
        tx.prepare_cached(
            "INSERT INTO watch_notice (watch, is_over, duty, way, made_at, next_at, tries, sent_at, fault)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8 FROM watch WHERE id = ?1
             ON CONFLICT DO UPDATE SET next_at = excluded.next_at, tries = tries + 1, sent_at = excluded.sent_at, fault = excluded.fault",
        )?
        .execute(params![
            told.id,
            told.is_over,
            duty,
            way,
            rfc3339(now),
            rfc3339(now + pause(told.tries)),
            sent_at,
            fault
        ])?;
    }
    tell_of_ends(tx, now)
}

fn subject(city: &City, due: &[Told]) -> String {
    let language = city.config.offers.first().map_or("en", String::as_str);
    let new = due.iter().filter(|told| !told.is_over).count();
    let gaps = [
        ("new", new.into()),
        ("over", (due.len() - new).into()),
        ("city", city.config.name.as_str().into()),
    ];
    city.words.say_with(language, "watch-mail-subject", &gaps)
}

fn body(city: &City, due: &[Told]) -> String {
    let language = city.config.offers.first().map_or("en", String::as_str);
    let mut lines = Vec::new();
    for told in due {
        let begins = match told.is_over {
            true => "watch-mail-over",
            false => "watch-mail-new",
        };
        let begins = city.words.say(language, begins);
        lines.push(format!(
            "{begins}: {}",
            super::pages::headline(city, language, &told.subject, &told.kind)
        ));
        let says = super::pages::sentence(
            city,
            language,
            &told.kind,
            &told.text,
            told.since,
            told.number,
        );
        lines.push(format!("  {}", on_one_line(&says)));
        if !told.is_over {
            lines.push(format!(
                "  → {}",
                super::pages::remedy(city, language, &told.kind)
            ));
        }
        lines.push(String::new());
    }
    let desk = city.config.alarm.desk.trim_end_matches('/');
    lines.push(format!(
        "{}: {desk}/watch",
        city.words.say(language, "watch-mail-page")
    ));
    lines.join("\n")
}

/// What a booth says stays on its line: no booth writes another alert into a mail.
fn on_one_line(said: &str) -> String {
    crate::desk::plain(said, LONGEST).replace('\n', " ")
}

fn hooked(city: &City, due: &[Told], now: Timestamp) -> serde_json::Value {
    let alerts: Vec<_> = due
        .iter()
        .map(|told| {
            json!({
                "id": told.id, "state": if told.is_over { "over" } else { "raised" }, "booth": told.subject, "kind": told.kind,
                "severity": told.severity.split_once(' ').map_or("", |(_, word)| word), "number": told.number,
                "text": super::pages::sentence(city, "en", &told.kind, &told.text, told.since, told.number),
                "remedy": super::pages::remedy(city, "en", &told.kind), "since": told.since.map(rfc3339),
                "raised_at": told.raised_at, "over_at": told.over_at,
            })
        })
        .collect();
    let desk = city.config.alarm.desk.trim_end_matches('/');
    json!({ "kind": "watch", "sent_at": rfc3339(now), "page": format!("{desk}/watch"), "alerts": alerts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_booth_writes_another_alert_into_a_mail() {
        let said = "4.6 V\r\n\nOVER: b-2: says nothing\u{202e}";
        assert_eq!(on_one_line(said), "4.6 V  OVER: b-2: says nothing");
        assert_eq!(on_one_line(&"x".repeat(5_000)).len(), LONGEST);
    }

    #[test]
    fn a_hub_that_sees_nothing_lets_the_heart_stand_still() {
        let began = Mono(1_000);
        let later = began + BLIND_AFTER + Duration::from_secs(1);
        assert!(!is_blind(began, began, Mono(0)), "it has just begun");
        assert!(is_blind(later, began, Mono(0)), "no look ever went well");
        assert!(!is_blind(later, began, began + Duration::from_secs(60)));
    }
}
