#![allow(clippy::disallowed_methods)] // opens a store in a folder of its own

use serde_json::{Value, json};

use super::*;
use crate::places::placement::{self, Site};
use crate::store::{Act, Actor, Store};

/// A square of half a degree whose lower left corner is there.
fn feature(name: &str, lon: f64, lat: f64) -> Value {
    let (east, north) = (lon + 0.5, lat + 0.5);
    json!({"type": "Feature", "properties": {"navn": name, "nr": 7}, "geometry": {"type": "Polygon",
        "coordinates": [[[lon, lat], [east, lat], [east, north], [lon, north], [lon, lat]]]}})
}

fn collection(features: &[Value]) -> Vec<u8> {
    json!({"type": "FeatureCollection", "features": features})
        .to_string()
        .into_bytes()
}

fn refused(bytes: &[u8]) -> String {
    match read(bytes, None) {
        Err(CityError::Refused(why)) => why.to_string(),
        other => panic!("{other:?}"),
    }
}

fn import(store: &Store, bytes: &[u8]) -> Result<(), CityError> {
    let new = read(bytes, None)?;
    let act = Act::new(Actor::CommandLine, "areas imported", "areas");
    store.change(act, |db| replace(db, &new))
}

fn ids(store: &Store) -> Vec<(String, String)> {
    store.read(names).expect("read")
}

#[test]
fn a_file_in_another_projection_is_refused_with_what_to_do() {
    let far = feature("Midtbyen", 574_000.0, 6_223_000.0);
    let why = refused(&collection(&[feature("Trøjborg", 10.0, 56.0), far]));
    assert!(
        why.contains("ogr2ogr -t_srs EPSG:4326") && why.contains("Feature 2"),
        "{why}"
    );
    let named = json!({"type": "FeatureCollection", "features": [feature("A", 10.0, 56.0)],
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::25832"}}});
    let why = refused(named.to_string().as_bytes());
    assert!(
        why.contains("25832") && why.contains("ogr2ogr -t_srs EPSG:4326"),
        "{why}"
    );
    let own = json!({"type": "FeatureCollection", "features": [feature("A", 10.0, 56.0)],
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}});
    assert!(read(own.to_string().as_bytes(), None).is_ok());
}

#[test]
fn rubbish_is_refused_each_with_a_sentence_of_its_own() {
    let shape = |shape: Value| {
        let feature = json!({"type": "Feature", "properties": {"name": "A"}, "geometry": shape});
        collection(&[feature])
    };
    let open =
        json!({"type": "Polygon", "coordinates": [[[10, 56], [11, 56], [11, 57], [10, 57]]]});
    let thin = json!({"type": "Polygon", "coordinates": [[[10, 56], [11, 56], [10, 56]]]});
    let nested = "[".repeat(200_000);
    let deep = format!("{{\"type\":\"FeatureCollection\",\"features\":{nested}");
    let unnamed = json!({"type": "Feature", "properties": {"x": "1"}, "geometry": feature("", 1.0, 1.0)["geometry"]});
    let many: Vec<Value> = (0..501)
        .map(|n| feature(&format!("A {n}"), 10.0, 56.0))
        .collect();
    let cases: [(&str, Vec<u8>, &str); 17] = [
        ("nothing", Vec::new(), "is no GeoJSON"),
        ("no JSON", b"<kml/>".to_vec(), "is no GeoJSON"),
        (
            "not UTF-8",
            b"{\"type\":\"\xff\"}".to_vec(),
            "is no GeoJSON",
        ),
        (
            "half a file",
            collection(&[feature("A", 10.0, 56.0)])[..100].to_vec(),
            "is no GeoJSON",
        ),
        (
            "more behind it",
            [collection(&[feature("A", 10.0, 56.0)]), b"{}".to_vec()].concat(),
            "is no GeoJSON",
        ),
        ("a list", b"[1,2]".to_vec(), "is no GeoJSON"),
        ("endless brackets", deep.into_bytes(), "is no GeoJSON"),
        (
            "a number that is none",
            b"{\"type\":\"FeatureCollection\",\"features\":[1e999]}".to_vec(),
            "is no GeoJSON",
        ),
        (
            "one feature",
            feature("A", 10.0, 56.0).to_string().into_bytes(),
            "no FeatureCollection",
        ),
        (
            "no type",
            b"{\"features\":[]}".to_vec(),
            "no FeatureCollection",
        ),
        ("no feature", collection(&[]), "no area in it"),
        (
            "a point",
            shape(json!({"type": "Point", "coordinates": [10, 56]})),
            "is a Point and no area",
        ),
        ("no shape", shape(Value::Null), "has no shape"),
        (
            "an empty shape",
            shape(json!({"type": "MultiPolygon", "coordinates": []})),
            "empty shape",
        ),
        ("an open ring", shape(open), "not closed"),
        ("a line for a ring", shape(thin), "not closed"),
        (
            "no name",
            collection(&[unnamed]),
            "which property is the name",
        ),
    ];
    for (what, bytes, said) in cases {
        let why = refused(&bytes);
        assert!(why.contains(said), "{what}: {why}");
    }
    assert!(refused(&collection(&many)).contains("501 areas"));
    assert!(refused(&vec![b' '; 20_000_001]).contains("20 MB"));
    let points = format!("{{\"features\":[{}", "[1,2],".repeat(1_000_001));
    assert!(refused(points.as_bytes()).contains("points"));
}

#[test]
fn the_name_is_found_or_asked_for_and_parts_of_one_name_become_one_area() {
    let new = read(
        &collection(&[
            feature("Århus Ø", 10.0, 56.0),
            feature("Aarhus  Ø", 11.0, 56.0),
            feature("Århus Ø", 12.0, 56.0),
        ]),
        None,
    )
    .expect("read");
    let ids: Vec<&str> = new.areas.iter().map(|area| area.id.as_str()).collect();
    assert_eq!(ids, ["aarhus-oe", "aarhus-oe-2"]);
    assert_eq!(new.areas[0].coarse.coordinates.len(), 2);
    assert!(new.came().to_string().contains("Århus Ø"), "{}", new.came());
    let by_number = read(&collection(&[feature("A", 10.0, 56.0)]), Some("nr")).expect("read");
    assert_eq!(by_number.areas[0].name, "7");
    assert!(read(&collection(&[feature("A", 10.0, 56.0)]), Some("x")).is_err());
}

#[test]
fn names_for_addresses_have_plain_letters_only() {
    for (name, id) in [
        ("Trøjborg", "troejborg"),
        ("Åby / Åbyhøj", "aaby-aabyhoej"),
        ("../etc", "etc"),
        ("<script>", "script"),
        ("广场", "area"),
    ] {
        assert_eq!(slug(name), id);
    }
}

#[test]
fn ids_stay_with_their_names_and_an_area_where_a_booth_stands_cannot_be_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("opens");
    let two = [
        feature("Vejlby", 10.0, 56.0),
        feature("Risskov", 10.5, 56.0),
    ];
    import(&store, &collection(&two)).expect("imported");
    let before = ids(&store);
    let point = store.read(|db| at(db, [10.7, 56.2])).expect("read");
    assert_eq!(point.as_deref(), Some("risskov"));
    assert_eq!(store.read(|db| at(db, [12.0, 56.2])).expect("read"), None);
    let zone = jiff::tz::TimeZone::UTC;
    let site = Site {
        place: "Bibliotek".into(),
        area_id: Some("risskov".into()),
        ..Site::default()
    };
    store
        .change_quietly(|db| {
            placement::move_booth(db, &zone, "torv-1", jiff::Timestamp::UNIX_EPOCH, &site)
        })
        .expect("moved");
    // Rubbish, and a file without the area where the booth stands: what was in force stays.
    assert!(import(&store, b"{}").is_err());
    let why = import(&store, &collection(&two[..1]))
        .expect_err("refused")
        .to_string();
    assert!(why.contains("Risskov (booth torv-1)"), "{why}");
    assert_eq!(ids(&store), before);
    // In another order and with another one, each keeps its id.
    let three = [feature("Tilst", 9.0, 56.0), two[1].clone(), two[0].clone()];
    import(&store, &collection(&three)).expect("imported");
    let all: Vec<String> = ids(&store).into_iter().map(|(id, _)| id).collect();
    assert_eq!(all, ["tilst", "risskov", "vejlby"]);
}

#[test]
fn a_fine_map_becomes_small_enough_for_a_page() {
    // 30 columns whose borders have a thousand points each.
    let border = |column: usize| -> Vec<Value> {
        let at = |n: usize| {
            let y = 56.0 + n as f64 / 1_000.0;
            let x = 10.0 + 0.05 * column as f64 + 0.004 * ((n * (column + 3)) as f64 / 9.0).sin();
            json!([x, y])
        };
        (0..=1_000).map(at).collect()
    };
    let column = |n: usize| {
        let mut ring = border(n);
        ring.extend(border(n + 1).into_iter().rev());
        ring.push(ring[0].clone());
        json!({"type": "Feature", "properties": {"name": format!("C {n}")}, "geometry": {"type": "Polygon", "coordinates": [ring]}})
    };
    let features: Vec<Value> = (0..30).map(column).collect();
    let new = read(&collection(&features), None).expect("read");
    assert!(
        new.points > 60_000 && new.kept <= ON_A_PAGE + 60,
        "{} of {}",
        new.kept,
        new.points
    );
    let longest: usize = new.areas.iter().map(|area| area.coarse.text().len()).sum();
    assert!(longest < 90_000, "{longest} bytes");
}
