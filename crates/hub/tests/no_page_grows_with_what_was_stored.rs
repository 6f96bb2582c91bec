//! Strangers have stored whatever the hub takes, in numbers that no budget allows: no page grows with it, and what is honest is still shown.

use std::sync::{Arc, Mutex};

use booth_hub::pages;
use booth_hub::store::{BrokerStatus, Store, StoreRules, StoreViews};
use booth_hub::view::{Place, Views};
use rusqlite::{Connection, params};

/// The worst that fits where a text of at most so many characters may stand: each becomes six bytes of HTML.
fn quotes(most: usize) -> String {
    "\"".repeat(most)
}

fn fill(db: &mut Connection) {
    let all = db.transaction().expect("begins");
    let mut clip = all
        .prepare(
            "INSERT INTO kept (clip_id, card_id, clip_no, booth_id, sender, boot_id, kind, test, question_id, choice, lang,
               started_at, clock_synced, duration_ms, ended_by, recovered, body, bytes, sha256, received_at, day, manifest)
             VALUES (printf('6f9619ff-8b86-4d01-b42d-%012x', ?1), ?2, ?3, ?4, ?4, 'b', ?5, 0, ?6, 1, ?7, ?8, 0, 1, 'hang_up', 1,
               'ogg-opus', 1, 'x', '2026-03-01T10:00:00.000Z', ?9, x'7b7d')",
        )
        .expect("a statement");
    for n in 0..60_000_i64 {
        let kind = if n % 3 == 0 { "audio" } else { "choice" };
        let question = format!("{n}{}", quotes(120));
        let day = format!("9999-{:02}-{:02}", 1 + n % 12, 1 + n % 28);
        clip.execute(params![
            n,
            format!("card-{}", n % 3_000),
            1 + 2 * (n / 3_000),
            format!("booth-{}", n % 10_000),
            kind,
            question,
            quotes(128),
            "2026-03-01T10:00:00.000Z",
            day
        ])
        .expect("a clip");
    }
    // What the city itself has.
    for n in 0..100 {
        clip.execute(params![
            1_000_000 + n,
            "honest",
            n + 1,
            "rundhoej-1",
            "choice",
            "square",
            "da",
            "2026-03-01T10:00:00.000Z",
            format!("2026-03-{:02}", 1 + n % 20)
        ])
        .expect("a clip");
    }
    drop(clip);
    for n in 0..10_000 {
        let booth = format!("booth-{n}");
        let birth = format!(
            "{{\"schema\":1,\"name\":{0:?},\"sw_version\":{0:?}}}",
            quotes(6_000)
        );
        all.execute(
            "INSERT INTO booth (booth_id, first_heard, birth, card_id) VALUES (?1, 'then', ?2, ?3)",
            params![booth, birth, format!("card-{}", n % 3_000)],
        )
        .expect("a booth");
        for alert in 0..if n % 40 == 0 { 64 } else { 1 } {
            all.execute(
                "INSERT INTO alert (booth_id, id, severity, text, since, said_at) VALUES (?1, ?2, 'citizen_cannot_speak', ?3, ?4, '')",
                params![booth, format!("invented-{alert}"), quotes(500), quotes(64)],
            )
            .expect("an alert");
        }
    }
    for n in 0..30_000 {
        all.execute(
            "INSERT OR IGNORE INTO card_at_booth (booth_id, card_id, first_seen, last_seen, last_clip_no) VALUES (?1, ?2, 'a', 'b', 900)",
            params![format!("booth-{}", n % 10_000), format!("card-{}", n % 3_000)],
        )
        .expect("a card");
        all.execute(
            "INSERT INTO refused (booth_id, clip_id, reason, at, times) VALUES (?1, ?2, ?3, '2026-03-01T10:00:00.000Z', 1)",
            params![
                format!("booth-{}", n % 10_000),
                format!("{n:036}"),
                quotes(300)
            ],
        )
        .expect("a refusal");
    }
    for n in 0..2_000 {
        all.execute(
            "INSERT INTO unreadable VALUES (?1, ?2, 9, '2026', ?3, ?4)",
            params![
                format!("{n}{}", quotes(58)),
                if n % 2 == 0 { "budget" } else { "health" },
                "9999-01-01T00:00:00.000Z",
                quotes(300)
            ],
        )
        .expect("an entry");
    }
    all.commit().expect("stored");
}

#[test]
fn pages_stay_small_whatever_is_stored_and_show_the_citys_own_days() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("store");
    let rules = StoreRules {
        dir: dir.clone(),
        max_clip_bytes: 1_000_000,
        root: "booth/1".into(),
        database: None,
        bodies: None,
    };
    drop(Store::open(&rules).expect("made"));
    let mut db = Connection::open(dir.join("hub.sqlite")).expect("opens");
    fill(&mut db);
    let status = BrokerStatus {
        connected: true,
        detail: String::new(),
        rival: None,
    };
    let views = StoreViews::open(&dir, Vec::new(), Arc::new(Mutex::new(status))).expect("opens");
    let usual = pages::answers(&pages::Head::Own, &views.answers(50), None).into_string();
    let longest =
        pages::answers(&pages::Head::Own, &views.answers(1_000), Some(1_000)).into_string();
    let operations = pages::operations(
        &pages::Head::Own,
        &views.fleet(),
        None,
        &pages::Chosen::default(),
    )
    .into_string();
    let refused = pages::look_at(
        &pages::Head::Own,
        &views.refused(1_000, &Place::Newest),
        Some(1_000),
    )
    .into_string();
    println!(
        "{} {} {} {} bytes",
        usual.len(),
        longest.len(),
        operations.len(),
        refused.len()
    );
    assert!(usual.len() < 160_000, "{} bytes", usual.len());
    assert!(longest.len() < 2_500_000, "{} bytes", longest.len());
    assert!(operations.len() < 2_500_000, "{} bytes", operations.len());
    assert!(refused.len() < 2_500_000, "{} bytes", refused.len());
    for day in ["2026-03-07", "2026-03-20"] {
        assert!(
            usual.contains(day),
            "the chart has the days that have been: {day}"
        );
    }
    assert!(!usual.contains("9999-") && usual.contains("60,030 answers of other days"));
    assert!(usual.contains("and 59,971 more questions"));
    for said in [
        "Booths 1 to 200 of 10,000",
        "more entries",
        "and 800 more senders",
    ] {
        assert!(operations.contains(said), "{said}");
    }
}
