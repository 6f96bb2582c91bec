//! The pages of operations at ten, a thousand and ten thousand booths, in a real browser: the fleet with its map, one booth with what is wanted
//! of it, and the questions with one that is stopped.
#![allow(clippy::disallowed_methods)] // writes a city's areas and places as years of work would

use booth_testkit::browser::Browser;
use booth_testkit::hub::{Booth, Broker, Home, Hub, booth_hub, free_port};
use booth_testkit::look::Look;
use booth_testkit::staff::Staff;
use booth_testkit::wait::until;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

const PASSWORD: &str = "korrekt hest batteri";
/// Areas to a side of the city.
const SIDE: usize = 5;
const NAMES: [&str; 5] = ["Havnen", "Midtbyen", "Trøjborg", "Åbyhøj", "Rundhøj"];
const CAMPAIGN: &str = r#"id = "square"
title = "Torvet"
booths = ["booth-0"]
language = "da"

[[question]]
id = "torvet"
digit = 3
kind = "speak"
text.da = "Hvad skal der ske på torvet?"

[[question]]
id = "navne"
digit = 4
kind = "speak"
text.da = "Hvem skal vi takke?"
"#;

/// A city of squares, each an area.
fn areas() -> Value {
    let each = (0..SIDE * SIDE).map(|n| {
        let (x, y) = ((n % SIDE) as f64, (n / SIDE) as f64);
        let (west, south) = (10.10 + x * 0.03, 56.10 + y * 0.02);
        let (east, north) = (west + 0.03, south + 0.02);
        let ring = json!([[west, south], [east, south], [east, north], [west, north], [west, south]]);
        let name = format!("{} {}", NAMES[n % SIDE], n / SIDE + 1);
        json!({"type": "Feature", "properties": {"name": name}, "geometry": {"type": "Polygon", "coordinates": [ring]}})
    });
    json!({"type": "FeatureCollection", "features": each.collect::<Vec<_>>()})
}

/// A hub with so many booths: most are well, some are not, some were never heard, the last two have no place.
struct Fleet {
    home: Home,
    hub: Hub,
    _broker: Broker,
}

impl Fleet {
    fn of(booths: usize) -> Self {
        // Nothing of what ten thousand booths say at once is thrown away while it waits for the hub.
        let broker = Broker::start("allow_anonymous true\nmax_queued_messages 0\n", |_| ());
        let home = Home::new(
            broker.port,
            "[[booth]]\nid = \"booth-new\"\nname = \"Den nye\"\n",
        );
        // The first account makes the store.
        home.has_person("olga", PASSWORD, &["--role", "operator"]);
        let file = home.path().join("areas.geojson");
        std::fs::write(&file, areas().to_string()).expect("written");
        let config = home.config();
        let arguments = [
            "areas",
            "import",
            file.to_str().expect("a path"),
            "--config",
        ];
        let done = booth_hub(&[&arguments[..], &[config.to_str().expect("a path")]].concat());
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{said}");
        let hub = Hub::start(&home);
        place(&home, booths);
        speak(broker.port, booths);
        Self {
            home,
            hub,
            _broker: broker,
        }
    }
}

/// Where each of them stands; half of them only by area.
fn place(home: &Home, booths: usize) {
    let db = Connection::open(home.path().join("store/city.sqlite")).expect("the city");
    db.execute_batch("BEGIN").expect("begun");
    let areas: Vec<String> = {
        let mut asked = db
            .prepare("SELECT id FROM area ORDER BY place")
            .expect("areas");
        let rows = asked.query_map([], |row| row.get(0)).expect("areas");
        rows.collect::<rusqlite::Result<_>>().expect("areas")
    };
    for n in 0..booths.saturating_sub(2) {
        // Spread as if by chance, and the same each time.
        let (a, b) = (
            (n * 7_919 % 1_000) as f64 / 1_000.0,
            (n * 104_729 % 997) as f64 / 997.0,
        );
        let (lon, lat) = (10.10 + a * 0.15, 56.10 + b * 0.10);
        let column = ((a * SIDE as f64) as usize).min(SIDE - 1);
        let row = ((b * SIDE as f64) as usize).min(SIDE - 1);
        let position = (n % 2 == 0).then_some((lat, lon));
        db.execute(
            "INSERT INTO placement (booth_id, place, area_id, lat, lon, since) VALUES (?1, ?2, ?3, ?4, ?5, '2026-01-01T00:00:00.000Z')",
            params![
                format!("booth-{n}"),
                format!("Plads {n}"),
                areas[row * SIDE + column],
                position.map(|at| at.0),
                position.map(|at| at.1)
            ],
        )
        .expect("placed");
    }
    db.execute_batch("COMMIT").expect("placed");
}

/// Each says its state and its health.
fn speak(port: u16, booths: usize) {
    let speaker = Booth::connect(port, "everybody");
    speaker.hub_becomes("online");
    let now = jiff::Timestamp::now().as_second();
    for n in 0..booths {
        let up = format!("booth/1/up/booth-{n}");
        let state = if n % 23 == 5 { "lost" } else { "online" };
        let session = format!("1-{n}");
        let birth = json!({"session": session, "card_id": format!("card-{n}"), "boot_id": "b", "sw_version": "0.1.0", "health_interval_s": 600});
        speaker.publish_at(&format!("{up}/birth"), true, birth.to_string());
        let state = json!({"state": state, "session": session, "card_id": format!("card-{n}")});
        speaker.publish_at(&format!("{up}/state"), true, state.to_string());
        let health = json!({"ready": u8::from(n % 17 != 3), "ts": now, "health_interval_s": 600, "cpu_temp_c": 41});
        speaker.publish_at(&format!("{up}/health"), true, health.to_string());
        if n % 250 == 0 {
            speaker.is_judged();
        }
    }
    speaker.is_judged();
}

fn looks(look: &Look, browser: &Browser, booths: usize) {
    let fleet = Fleet::of(booths);
    let base = fleet.hub.address();
    let olga = Staff::log_in(base.trim_end_matches('/'), "olga", PASSWORD).expect("logged in");
    until("every booth was heard", || {
        let page = olga.get("operations").ok()?;
        let last = olga.get(&format!("booth/booth-{}", booths - 1)).ok()?;
        (page.contains("Where they stand") && last.contains("software 0.1.0")).then_some(())
    });
    browser.go(&format!("{base}login"));
    browser.click("[name=name]");
    browser.types("olga");
    browser.click("[name=password]");
    browser.types(PASSWORD);
    browser.leads_on(|browser| browser.press("Enter"));
    let sees = |page: &str| {
        look.keeps(page, &olga.get(page).expect("a page"));
        browser.go(&format!("{base}{page}"));
        look.at(browser, &format!("{page} of {booths}"));
    };
    sees("operations?show=cannot");
    sees("operations");
    if booths == 10 {
        fleet.home.publishes(CAMPAIGN);
        let stopped = olga.post(
            "questions/change",
            &[
                ("campaign", "square"),
                ("question", "navne"),
                ("do", "stop"),
                ("why", "a name was read out in it"),
            ],
        );
        stopped.expect("stopped");
        sees("questions");
        sees("questions/change?campaign=square&question=torvet");
        sees("questions/change?campaign=square&question=navne");
        sees("booth/booth-0");
    }
}

#[test]
#[ignore = "looks at pages of ten thousand booths for minutes; docs/testing.md has the command"]
fn the_pages_of_operations_hold_at_ten_a_thousand_and_ten_thousand_booths() {
    let look = Look::open();
    let browser = Browser::open(free_port());
    for booths in [10, 1_000, 10_000] {
        looks(&look, &browser, booths);
        browser.go("about:blank");
    }
    look.ends();
}
