//! A made-up year of a city: for tests of the pages, and for measuring them at a hundred thousand messages.
//!
//! Owns: nothing that is shipped; it is built for tests and with the feature `made-up`. The same number of messages makes the same year, apart
//! from its dates, which end today. It writes rows directly, so it says nothing about how messages arrive.

use std::path::Path;

use booth_database::params;
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan};

use booth_contract::time::rfc3339;
use booth_host::clock;

use crate::store::{CityError, Store};

/// The campaigns of the year: id, Danish and English title.
pub const CAMPAIGNS: [(&str, &str, &str); 3] = [
    ("square-2026", "Torvet ved Rundhøj", "The square at Rundhøj"),
    (
        "harbour-2026",
        "Havnen om aftenen",
        "The harbour in the evening",
    ),
    ("school-2025", "Vejen til skole", "The way to school"),
];

/// What each of them asks: the id of its question that is answered in words, and of its vote, whose options are the digits 2 and 3.
pub const QUESTIONS: [(&str, &str); 3] = [
    ("square", "colour"),
    ("harbour", "harbour-hours"),
    ("school", "school-crossing"),
];

const AREAS: [(&str, f64, f64); 12] = [
    ("Rundhøj", 10.18, 56.11),
    ("Trøjborg", 10.21, 56.17),
    ("Midtbyen", 10.20, 56.15),
    ("Åbyhøj", 10.16, 56.15),
    ("Gellerup", 10.13, 56.16),
    ("Viby", 10.16, 56.13),
    ("Risskov", 10.23, 56.19),
    ("Skejby", 10.17, 56.19),
    ("Havnen", 10.23, 56.16),
    ("Højbjerg", 10.20, 56.11),
    ("Tilst", 10.10, 56.18),
    ("Hasle", 10.15, 56.18),
];

const THEMES: [(&str, &str); 9] = [
    ("Træer og grønt", "Trees and green"),
    ("Bænke og ophold", "Benches and staying"),
    ("Trafik", "Traffic"),
    ("Tryghed", "Safety"),
    ("Leg og børn", "Play and children"),
    ("Butikker", "Shops"),
    ("Belysning", "Lighting"),
    ("Cykler", "Bicycles"),
    ("Musik og fester", "Music and parties"),
];

const SAYINGS: [(&str, &str); 12] = [
    (
        "da",
        "Jeg kunne godt tænke mig flere bænke med ryglæn, for min mor kan ikke stå så længe ad gangen, når vi går over torvet.",
    ),
    (
        "da",
        "Der mangler lys bag ved kiosken. Jeg går en omvej, når det er mørkt.",
    ),
    (
        "en",
        "Please plant some trees on the square. In summer there is no shade at all, and nobody stays.",
    ),
    (
        "da",
        "Lad nu børnene få et sted at spille bold, hvor der ikke er nogen, der skælder ud.",
    ),
    (
        "da",
        "Bilerne kører alt for stærkt forbi skolen om morgenen. Sæt nogle bump.",
    ),
    (
        "en",
        "I love the music evenings. Could we have them every month, also when it is cold?",
    ),
    (
        "da",
        "Et springvand ville være dejligt. Eller bare en vandpost, så man kan fylde sin flaske.",
    ),
    (
        "ar",
        "أتمنى أن يكون هناك مكان للجلوس معًا في المساء، حيث يمكن للأطفال اللعب بأمان.",
    ),
    (
        "da",
        "Cykelstativerne er altid fulde ved stationen, og så står cyklerne på fortovet, hvor barnevognene skal frem.",
    ),
    (
        "uk",
        "Мені подобається ця площа, але взимку тут дуже темно.",
    ),
    (
        "da",
        "Kan I ikke åbne butikkerne i stueetagen igen? Her er så stille efter klokken fem.",
    ),
    ("en", "More <b>benches</b> & fewer cars, please \u{1F642}"),
];

/// A small generator of chance (xorshift), so that each year is the same.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// More often a small number than a large one.
    fn small(&mut self, limit: u64) -> u64 {
        self.below(limit)
            .min(self.below(limit))
            .min(self.below(limit))
    }
}

/// Fills the `city.sqlite` of a hub that is stopped and has nothing yet with a year of so many messages and votes.
///
/// # Errors
/// The database's own; a time zone that does not exist.
pub fn fill_folder(folder: &Path, time_zone: &str, messages: u64) -> Result<(), CityError> {
    let zone = TimeZone::get(time_zone).map_err(|why| CityError::Failed(why.to_string()))?;
    fill(&Store::open(folder)?, &zone, messages)
}

/// The same for a database that is open.
pub(crate) fn fill(store: &Store, zone: &TimeZone, messages: u64) -> Result<(), CityError> {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let now = clock::wall();
    let moment = |ago: Span| {
        rfc3339(
            now.to_zoned_datetime(zone.clone())
                .saturating_sub(ago)
                .timestamp(),
        )
    };
    store.change_quietly(|db| {
        for (at, (name, lon, lat)) in AREAS.iter().enumerate() {
            let ring: Vec<String> = (0..=40)
                .map(|step| {
                    let turn = f64::from(step % 40) / 40.0 * std::f64::consts::TAU;
                    let wobble = 1.0 + 0.12 * (turn * 3.0 + at as f64).sin();
                    format!("[{:.5},{:.5}]", lon + 0.021 * wobble * turn.cos(), lat + 0.011 * wobble * turn.sin())
                })
                .collect();
            let geometry = format!("{{\"type\":\"Polygon\",\"coordinates\":[[{}]]}}", ring.join(","));
            db.execute("INSERT INTO area (id, name, place, geometry, fine) VALUES (?1, ?2, ?3, ?4, ?4)", params![format!("a{at}"), name, at, geometry])?;
        }
        // Twelve booths, each moved once; the last two areas never have one.
        for booth in 0..12i64 {
            for (half, since, until) in [(0i64, moment(364.days()), Some(moment(180.days()))), (1, moment(180.days()), None)] {
                let at = ((booth + half) % 10) as usize;
                let (name, lon, lat) = AREAS[at];
                db.execute(
                    "INSERT INTO placement (booth_id, place, area_id, lat, lon, since, until) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![format!("booth-{booth}"), format!("{name} Torv {booth}"), format!("a{at}"), lat, lon + 0.004 * booth as f64 % 0.01, since, until],
                )?;
                let placement = db.last_insert_rowid()?;
                for day in 0..182i64 {
                    let ago = (if half == 0 { 363 - day } else { 179 - day }).max(0);
                    let day = moment(ago.days())[..10].to_owned();
                    db.execute(
                        "INSERT OR IGNORE INTO exposure (booth_id, placement, day, ready_minutes, lifts) VALUES (?1, ?2, ?3, ?4, 9)",
                        params![format!("booth-{booth}"), placement, day, 700 + chance.below(200)],
                    )?;
                }
            }
        }
        for (at, (id, da, en)) in CAMPAIGNS.iter().enumerate() {
            let title = serde_json::json!({"da": da, "en": en}).to_string();
            let summary = serde_json::json!({"da": "Hvad skal der ske her, og for hvem? Svarene går til byrådet.", "en": "What should happen here, and for whom? The answers go to the council."}).to_string();
            let reply = serde_json::json!({"da": "I sagde: flere bænke og mere lys. Vi har sat fire bænke op og lys ved stien.", "en": "You said: more benches and more light. We put up four benches and lights along the path."}).to_string();
            let is_over = at == 2;
            db.execute(
                "INSERT INTO campaign (id, title, summary, reply, reply_at) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![id, title, summary, is_over.then_some(reply), is_over.then(|| moment(20.days()))],
            )?;
            let phases: &[(&str, i64)] = match at {
                0 => &[("open", 120)],
                1 => &[("open", 240), ("processing", 90), ("vote", 30)],
                _ => &[("open", 364), ("processing", 200), ("vote", 120), ("decided", 20)],
            };
            for (phase, ago) in phases {
                db.execute("INSERT INTO phase (campaign_id, phase, since) VALUES (?1, ?2, ?3)", params![id, phase, moment((*ago).days())])?;
            }
            for (da, en) in THEMES {
                let name = serde_json::json!({"da": da, "en": en}).to_string();
                db.execute("INSERT INTO theme (campaign_id, name) VALUES (?1, ?2)", params![id, name])?;
            }
            for (da, en) in [("Fire bænke med ryglæn", "Four benches with backs"), ("Lys ved stien", "Light along the path")] {
                let title = serde_json::json!({"da": da, "en": en}).to_string();
                let outcome = serde_json::json!({"da": "De er sat op.", "en": "They are up."}).to_string();
                db.execute(
                    "INSERT INTO idea (campaign_id, title, body, made_at, vote_campaign, vote_question, vote_digit, outcome, outcome_at)
                     VALUES (?1, ?2, '{}', ?3, ?1, ?6, 2, ?4, ?5)",
                    params![id, title, moment(60.days()), is_over.then_some(outcome), is_over.then(|| moment(20.days())), QUESTIONS[at].1],
                )?;
            }
        }
        let mut insert = db.prepare(
            "INSERT INTO message (id, kind, source, booth_id, placement, area_id, campaign_id, question_id, choice, lang, said_at, day, hour, weekday,
               received_at, duration_ms, recovered, may_publish, state, transcript, transcript_lang, translation, translation_lang, with_voice, published_at, decided_at, decided_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?11, ?15, 0, ?16, ?17, ?18, ?10, ?19, ?20, ?21, ?22, ?23, ?24)",
        )?;
        let mut tag = db.prepare("INSERT OR IGNORE INTO message_theme (message_id, theme_id) VALUES (?1, ?2)")?;
        let mut draft = db.prepare(
            "INSERT INTO draft (message_id, text, lang, at, likely_empty, flagged) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        let mut group = db.prepare("INSERT OR IGNORE INTO message_idea (message_id, idea_id) VALUES (?1, ?2)")?;
        for number in 0..messages {
            let id = format!("{:08x}-0000-4000-8000-{number:012x}", number.wrapping_mul(0x9e37_79b9) & 0xffff_ffff);
            let is_vote = chance.below(4) == 0;
            let campaign = chance.small(3) as usize;
            let source = match chance.below(20) {
                0..=14 => "booth",
                15..=17 => "web",
                18 => "phone",
                _ => "workshop",
            };
            let ago = match campaign {
                0 => chance.below(120),
                1 => 90 + chance.below(150),
                _ => 200 + chance.below(160),
            };
            let hour = (8 + chance.below(8) + chance.below(7)) as i64;
            let local = now.to_zoned_datetime(zone.clone()).saturating_sub((ago as i64).days());
            let local = local.with().hour(hour as i8).minute(chance.below(60) as i8).build().unwrap_or(local);
            let (area, placement) = match source {
                "booth" => {
                    let booth = chance.small(12) as i64;
                    let half = i64::from(ago < 180);
                    (Some(format!("a{}", (booth + half) % 10)), Some(booth * 2 + half + 1))
                }
                "web" => (Some(format!("a{}", chance.below(12))), None),
                _ => (None, None),
            };
            let (lang, text) = SAYINGS[chance.below(SAYINGS.len() as u64) as usize];
            let state = match chance.below(20) {
                _ if is_vote => "waiting",
                0..=13 => "published",
                14..=15 => "heard",
                16 => "rejected",
                _ => "waiting",
            };
            let is_public = state == "published";
            let voice = chance.below(2) == 0;
            let translation = (is_public && lang == "ar").then_some("Jeg ønsker mig et sted at sidde sammen om aftenen, hvor børnene kan lege trygt.");
            insert.execute(params![
                id,
                if is_vote { "choice" } else if source == "booth" { "audio" } else { "text" },
                source,
                placement.map(|placement| format!("booth-{}", (placement - 1) / 2)),
                placement,
                area,
                CAMPAIGNS[campaign].0,
                if is_vote { QUESTIONS[campaign].1 } else { QUESTIONS[campaign].0 },
                is_vote.then(|| 2 + chance.small(2)),
                lang,
                rfc3339(local.timestamp()),
                local.date().to_string(),
                hour,
                local.weekday().to_monday_one_offset(),
                8_000 + chance.below(40_000),
                if voice { "voice" } else { "text" },
                state,
                (is_public || state == "heard").then_some(text),
                translation,
                translation.map(|_| "da"),
                is_public && voice,
                is_public.then(|| rfc3339(local.timestamp())),
                (state != "waiting").then(|| rfc3339(local.timestamp())),
                (state != "waiting").then_some(1),
            ])?;
            if state == "waiting" && !is_vote {
                let is_empty = chance.below(10) == 0;
                draft.execute(params![
                    id,
                    if is_empty { "" } else { text },
                    lang,
                    rfc3339(local.timestamp()),
                    is_empty,
                    (chance.below(500) == 0).then_some("farlig"),
                ])?;
            }
            if matches!(state, "published" | "heard") {
                for _ in 0..=chance.below(2) {
                    tag.execute(params![id, 1 + campaign as u64 * THEMES.len() as u64 + chance.small(THEMES.len() as u64)])?;
                }
                if chance.below(3) == 0 {
                    group.execute(params![id, 1 + campaign as u64 * 2 + chance.below(2)])?;
                }
            }
        }
        // Every message was looked at by a machine when it came.
        db.execute("DELETE FROM draft_due", [])?;
        db.execute(
            "INSERT INTO gone (id, at, was_published, campaign_id, question_id, source, area_id, day, kind)
             SELECT 'gone-' || id, said_at, 1, campaign_id, question_id, source, area_id, day, kind FROM message WHERE rowid % 40 = 0",
            [],
        )?;
        Ok(())
    })
}
