use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::small_cells::LEAST;
use crate::testing::{self, spoken};

fn text_of(city: &City, name: &str) -> String {
    let file = FILES.iter().find(|file| file.name == name).expect("a file");
    let mut bytes = Vec::new();
    (file.write)(city, &mut bytes).expect("written");
    String::from_utf8(bytes).expect("UTF-8")
}

/// The rows of a table, each by the names of its columns.
fn rows(city: &City, name: &str) -> Vec<BTreeMap<String, String>> {
    let text = text_of(city, name);
    let mut csv = csv::Reader::from_reader(text.as_bytes());
    csv.deserialize().map(|row| row.expect("a row")).collect()
}

fn publish(city: &City, id: &str, transcript: &str) {
    let done = city.store.change_quietly(|db| {
        Ok(db.execute(
            "UPDATE message SET state = 'published', transcript = ?2, transcript_lang = 'da', with_voice = 1,
               published_at = '2026-08-04T10:00:00.000Z' WHERE id = ?1",
            [id, transcript],
        )?)
    });
    assert_eq!(done.expect("published"), 1);
}

#[test]
fn what_is_published_is_there_and_nothing_else_and_what_is_taken_back_is_gone_but_for_its_id() {
    let (city, centre, _folder) = testing::city();
    for id in ["a", "b", "c"] {
        let mut message = spoken(id);
        message.spoken_at = Some("2026-08-03T11:17:00Z".parse().expect("a time"));
        centre.have().arrived.push(message);
    }
    city.follow(true).expect("followed");
    publish(&city, "a", "=SUM(A1) er \"farligt\",\nog torvet er godt");
    publish(&city, "b", "Flere bænke");
    let messages = rows(&city, "messages.csv");
    assert_eq!(messages.len(), 2);
    assert_eq!(
        messages[0]["transcript"],
        "'=SUM(A1) er \"farligt\",\nog torvet er godt"
    );
    assert_eq!(messages[0]["day"], "2026-08-03");
    assert_eq!(messages[0]["part_of_day"], "afternoon");
    assert_eq!(
        messages[0]["sound_url"],
        "http://127.0.0.1:8081/sound/a.opus"
    );
    let everything: String = FILES.iter().map(|file| text_of(&city, file.name)).collect();
    assert!(
        !everything.contains("11:17") && !everything.contains("13:17"),
        "no time of day"
    );
    centre.have().gone.push("b".into());
    centre.have().gone.push("c".into());
    city.follow(false).expect("followed");
    let everything: String = FILES.iter().map(|file| text_of(&city, file.name)).collect();
    assert!(!everything.contains("Flere bænke"));
    let withdrawn = rows(&city, "withdrawn.csv");
    assert_eq!(withdrawn.len(), 1, "c was never published");
    assert_eq!(withdrawn[0]["id"], "b");
    let comments = rows(&city, "comments.csv");
    assert_eq!(comments.len(), 1);
    assert_eq!(
        comments[0]["comment-id"],
        tables::number_of("a").to_string()
    );
}

#[test]
fn what_editors_do_not_show_is_in_no_file() {
    let (city, centre, _folder) = testing::city();
    for n in 0..12 {
        let mut message = spoken(&format!("m{n}"));
        message.campaign_id = Some("secret".into());
        centre.have().arrived.push(message);
    }
    city.follow(true).expect("followed");
    for n in 0..12 {
        publish(&city, &format!("m{n}"), "HEMMELIGT");
    }
    let everything =
        |city: &City| -> String { FILES.iter().map(|file| text_of(city, file.name)).collect() };
    let shown = everything(&city);
    assert!(
        shown.contains("HEMMELIGT") && shown.contains("secret,"),
        "{shown}"
    );
    let hides = |db: &booth_database::Transaction<'_>| {
        let hidden =
            "INSERT INTO campaign (id, title, summary, is_public) VALUES ('secret', '{}', '{}', 0)";
        Ok(db.execute(hidden, [])?)
    };
    city.store.change_quietly(hides).expect("hidden");
    let shown = everything(&city);
    assert!(
        !shown.contains("HEMMELIGT") && !shown.contains("secret"),
        "{shown}"
    );
}

#[test]
fn every_day_of_the_files_is_one_of_the_citys_time_zone() {
    let (city, _centre, _folder) = testing::city();
    assert_eq!(city.config.time_zone, "Europe/Copenhagen");
    let rows_of = |db: &booth_database::Transaction<'_>| {
        db.execute_batch(
            "INSERT INTO placement (booth_id, place, since, until) VALUES ('torv-1', 'Torvet', '2026-08-03T22:30:00.000Z', '2026-08-31T23:00:00.000Z');
             INSERT INTO gone (id, at, was_published) VALUES ('x', '2026-12-31T23:30:00.000Z', 1);",
        )?;
        Ok(())
    };
    city.store.change_quietly(rows_of).expect("written");
    let placements: serde_json::Value =
        serde_json::from_str(&text_of(&city, "placements.geojson")).expect("JSON");
    let of = &placements["features"][0]["properties"];
    assert_eq!(
        (&of["since"], &of["until"]),
        (&"2026-08-04".into(), &"2026-09-01".into())
    );
    assert!(text_of(&city, "withdrawn.csv").contains("x,2027-01-01"));
}

#[test]
fn the_zip_holds_every_file_and_its_heads_are_those_of_the_datapackage() {
    let (city, centre, _folder) = testing::city();
    centre.have().arrived.push(spoken("a"));
    city.follow(true).expect("followed");
    publish(&city, "a", "Godt");
    let mut bytes = Vec::new();
    whole(&city, &mut bytes).expect("written");
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).expect("a ZIP");
    assert_eq!(zip.len(), FILES.len());
    let package: serde_json::Value =
        serde_json::from_str(&text_of(&city, "datapackage.json")).expect("JSON");
    let resources = package["resources"].as_array().expect("a list");
    assert_eq!(resources.len(), columns::TABLES.len());
    for resource in resources {
        let path = resource["path"].as_str().expect("a path");
        let mut text = String::new();
        let mut file = zip.by_name(path).expect("in the ZIP");
        std::io::Read::read_to_string(&mut file, &mut text).expect("reads");
        drop(file);
        let mut csv = csv::Reader::from_reader(text.as_bytes());
        let fields = resource["schema"]["fields"].as_array().expect("fields");
        let names: Vec<&str> = fields
            .iter()
            .filter_map(|field| field["name"].as_str())
            .collect();
        assert_eq!(csv.headers().expect("a head"), names, "{path}");
    }
    let _: serde_json::Value =
        serde_json::from_str(&text_of(&city, "catalog.jsonld")).expect("JSON");
    for name in ["placements.geojson", "areas.geojson"] {
        let _: geojson::FeatureCollection = text_of(&city, name).parse().expect("GeoJSON");
    }
}

#[tokio::test]
async fn whoever_takes_a_file_gets_it_whole_and_ends_nothing_else() {
    let mut crew = booth_host::crew::Crew::gather();
    let (city, centre, _folder) = testing::city();
    centre.have().arrived.push(spoken("a"));
    city.follow(true).expect("followed");
    publish(&city, "a", "Godt");
    for _ in 0..3 {
        let taken = file(State(city.clone()), Path(ALL.to_owned())).await;
        let body = taken.expect("a file").into_body();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.expect("whole");
        let zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).expect("a ZIP");
        assert_eq!(zip.len(), FILES.len());
    }
    tokio::select! {
        biased;
        death = crew.death() => panic!("{death}"),
        () = std::future::ready(()) => {}
    }
}

#[tokio::test]
async fn a_file_that_is_not_written_to_its_end_is_no_file() {
    let (city, _centre, _folder) = testing::city();
    let body = leaving::body(city.clone(), |_, out| {
        out.write_all(b"half").expect("taken");
        Err(CityError::Failed("the database is away".into()))
    });
    assert!(
        axum::body::to_bytes(body.expect("a place"), 1 << 20)
            .await
            .is_err()
    );
    let body = leaving::body(city, |_, _| panic!("a bug"));
    assert!(
        axum::body::to_bytes(body.expect("a place"), 1 << 20)
            .await
            .is_err()
    );
}

proptest! {
    /// Somebody has yesterday's and today's table of counts and the totals of each level, and subtracts whatever is there.
    #[test]
    fn no_small_count_can_be_had_from_two_days_of_files(
        yesterday in prop::collection::vec((0u8..3, 0u8..4, 1u8..40), 0..80),
        more in prop::collection::vec((0u8..3, 0u8..4, 1u8..40), 0..12),
    ) {
        let table = |messages: &[(u8, u8, u8)]| {
            let mut cells = BTreeMap::new();
            for (campaign, area, day) in messages {
                let day = format!("2026-{:02}-{:02}", 1 + day / 28, 1 + day % 28);
                *cells.entry((format!("c{campaign}"), format!("a{area}"), day)).or_insert(0) += 1;
            }
            tables::merged_counts(cells.into_iter().collect())
        };
        let today: Vec<_> = yesterday.iter().chain(&more).copied().collect();
        let mut numbers = vec![0];
        for rows in [table(&yesterday), table(&today)] {
            let mut sums = BTreeMap::<(String, String), u64>::new();
            for ((campaign, area, day), count) in rows {
                prop_assert!(count >= LEAST, "{campaign} {area} {day}: {count}");
                for key in [(campaign.clone(), area), (campaign, "all".into()), ("all".into(), "all".into())] {
                    *sums.entry(key).or_default() += count;
                }
                numbers.push(count);
            }
            numbers.extend(sums.into_values());
        }
        for one in &numbers {
            for another in &numbers {
                prop_assert!(!(1..LEAST).contains(&one.abs_diff(*another)));
            }
        }
    }
}
