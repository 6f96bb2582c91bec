//! What a reader of Danish is told when something is refused: requests as browsers send them, in each room.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};

use crate::City;
use crate::centre::{CentreError, Remark};
use crate::people::Role;
use crate::sentence;
use crate::testing::{FakeCentre, Seat, ask, city, request, seated_in};
use crate::web::for_citizens;

const FILE: &str = "id = \"torv\"\ntitle = \"Torvet\"\nbooths = \"all\"\nlanguage = \"da\"\n\n[[question]]\nid = \"plads\"\ndigit = 1\nkind = \"speak\"\n\
     text.da = \"Hvad?\"\n";

/// Somebody who may do everything and reads Danish.
struct Dane {
    city: Arc<City>,
    centre: Arc<FakeCentre>,
    seat: Seat,
    _folder: tempfile::TempDir,
}

fn dane() -> Dane {
    let (city, centre, folder) = city();
    centre.have().files.insert("torv".into(), FILE.into());
    let seat = Seat::of(&city, seated_in("da", &city, "dorte", &Role::ALL));
    Dane {
        city,
        centre,
        seat,
        _folder: folder,
    }
}

impl Dane {
    async fn get(&self, path: &str) -> (StatusCode, String) {
        self.seat.get(path).await
    }

    async fn send(&self, path: &str, fields: &str) -> (StatusCode, String) {
        let (status, _, page) = self.seat.post(path, fields).await;
        (status, page)
    }

    async fn send_file(&self, path: &str, file: &str) -> (StatusCode, String) {
        let part = format!(
            "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.geojson\"\r\n\r\n{file}\r\n"
        );
        let (status, _, page) = self.seat.post_parts(path, &part).await;
        (status, page)
    }
}

/// The page is Danish, says this, and not this.
#[track_caller]
fn says(page: &str, danish: &str, english: &str) {
    assert!(page.contains("<html lang=\"da\""), "{page}");
    assert!(page.contains(danish), "{danish:?} is not in {page}");
    assert!(!page.contains(english), "{english:?} is in {page}");
}

#[tokio::test]
async fn what_staff_sent_wrongly_is_refused_in_danish() {
    let dane = dane();
    let cases = [
        (
            "/places/move",
            "booth=torv-1&place=&since=2026-06-01T08:00",
            "Skriv, hvor boksen står",
            "Say where",
        ),
        (
            "/places/move",
            "booth=T!&place=Torvet&since=2026-06-01T08:00",
            "kan ikke være navnet på en boks",
            "no booth id",
        ),
        (
            "/places/move",
            "booth=torv-1&place=Torvet&since=nu",
            "Skriv en dag og et klokkeslæt",
            "Write a day",
        ),
        (
            "/places/move",
            "booth=torv-1&place=Torvet&position=x&since=2026-06-01T08:00",
            "bredden først",
            "latitude",
        ),
        (
            "/editor/torv/public",
            "since.open=2026-06-02T08:00&until.open=2026-06-01T08:00",
            "En fase ville slutte, før den begynder",
            "A phase",
        ),
        (
            "/editor/torv/public",
            "until.open=2026-06-01T08:00",
            "hvornår en fase, der slutter, begynder",
            "Say since",
        ),
        (
            "/editor",
            "id=torv&title=Torvet",
            "Der er allerede en kampagne &quot;torv&quot;",
            "already",
        ),
        (
            "/ideas",
            "campaign=torv&title_da=",
            "En idé skal have en titel",
            "needs a title",
        ),
        (
            "/rights",
            "received=2026-01-01&asked=access",
            "hvilken dag der blev talt",
            "Say on which",
        ),
        (
            "/people",
            "name=bo&role=moderator&languages=da&password=kort",
            "mindst 15 tegn",
            "at least",
        ),
        (
            "/people",
            "name=b&role=moderator&languages=da",
            "kan ikke være navn på en konto",
            "is no name",
        ),
        (
            "/people/1/close",
            "",
            "ingen administrator tilbage",
            "nobody would be left",
        ),
        (
            "/account/password",
            "old=x&password=y",
            "Det er ikke din nuværende adgangskode",
            "present password",
        ),
        (
            "/reports",
            "campaign=nowhere",
            "Der er ingen kampagne &quot;nowhere&quot;",
            "There is no campaign",
        ),
    ];
    for (path, fields, danish, english) in cases {
        let (status, page) = dane.send(path, fields).await;
        assert_eq!(
            status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{path} {fields}: {page}"
        );
        says(&page, danish, english);
    }
}

#[tokio::test]
async fn a_forged_form_a_page_that_is_none_and_a_missing_right_are_told_in_danish() {
    let dane = dane();
    let (status, _, page) = ask(
        &dane.seat.pages,
        request("/places/move", &dane.seat.cookie, Some("form_token=x")),
    )
    .await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    says(
        &page,
        "Formularen hører ikke til din session",
        "not of your session",
    );
    let (status, page) = dane.get("/places/placement/7").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    says(&page, "Den side findes ikke", "There is no such page");
    let (status, page) = dane.get("/desk/message/none").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    says(&page, "Beskeden findes ikke", "There is no such message");
    let (cookie, _) = seated_in("da", &dane.city, "per", &[Role::Operator]);
    let (status, _, page) = ask(&dane.seat.pages, request("/editor", &cookie, None)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    says(&page, "Din konto må ikke ændre kampagner", "Your account");
}

#[tokio::test]
async fn of_two_editors_the_second_is_told_in_danish() {
    let dane = dane();
    let (status, _) = dane
        .send("/editor/torv/file", "version=0&toml=id%3D%22torv%22")
        .await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let (status, page) = dane.send("/editor/torv/file", "version=0&toml=x").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{page}");
    says(
        &page,
        "dorte har ændret kampagnen, siden du åbnede den",
        "has changed this campaign",
    );
}

#[tokio::test]
async fn areas_that_cannot_be_read_are_refused_in_danish_and_those_that_came_are_counted_in_it() {
    let dane = dane();
    let square = "[[[10,56],[11,56],[11,57],[10,57],[10,56]]]";
    let areas = |crs: &str, rings: &str| {
        format!(
            "{{\"type\":\"FeatureCollection\",{crs}\"features\":[{{\"type\":\"Feature\",\"properties\":{{\"navn\":\"Risskov\"}},\
             \"geometry\":{{\"type\":\"Polygon\",\"coordinates\":{rings}}}}}]}}"
        )
    };
    let named =
        "\"crs\":{\"type\":\"name\",\"properties\":{\"name\":\"urn:ogc:def:crs:EPSG::25832\"}},";
    for (file, danish, english) in [
        (
            areas(named, square),
            "Filen er i en anden projektion (urn:ogc:def:crs:EPSG::25832). Omregn",
            "bring the file",
        ),
        (
            areas("", &square.replace("10,", "574000,")),
            "Feature 1 har et punkt ved 574000, 56",
            "has a point",
        ),
        (
            areas("", "[[[10,56],[11,56]]]"),
            "en ring, der ikke er lukket",
            "not closed",
        ),
        ("<kml/>".into(), "Filen er ikke GeoJSON", "is no GeoJSON"),
    ] {
        let (status, page) = dane.send_file("/places/areas", &file).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{page}");
        says(&page, danish, english);
    }
    let (status, page) = dane.send_file("/places/areas", &areas("", square)).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    says(&page, "Et område mellem 56.00 og 57.00 nord", "are drawn");
}

#[tokio::test]
async fn what_the_machine_says_is_for_the_log_and_the_reader_gets_one_danish_sentence() {
    let dane = dane();
    let rename = |from: &'static str, to: &'static str| {
        let changed = dane.city.store.change_quietly(move |db| {
            db.execute(&format!("ALTER TABLE {from} RENAME TO {to}"), [])?;
            Ok(())
        });
        changed.expect("renamed");
    };
    rename("placement", "away");
    let (status, page) = dane.get("/places").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    says(&page, "Lageret svarede ikke", "no such table");
    rename("away", "placement");
    let failed = CentreError::Failed("disk I/O error".into());
    for (refused, danish, english) in [
        (failed, "Lageret svarede ikke", "disk I/O"),
        (CentreError::Busy, "Der er travlt lige nu", "busy"),
        (
            sentence!("hub-says", why = "the broker is away").into(),
            "Hubben siger på engelsk: the broker is away",
            "The broker",
        ),
    ] {
        dane.centre.have().refuses = Some(refused);
        dane.send("/editor/torv/publish", "version=0").await;
        let page = loop {
            let (_, page) = dane.get("/editor/torv/progress").await;
            if !page.contains("er i gang") {
                break page;
            }
            tokio::task::yield_now().await;
        };
        says(&page, danish, english);
    }
}

#[tokio::test]
async fn what_is_wrong_in_a_campaigns_file_has_a_danish_frame() {
    let dane = dane();
    dane.centre.have().checked.faults = vec![Remark {
        line: Some(10),
        key: "question \"plads\" kind".into(),
        why: "is missing".into(),
    }];
    for page in ["/editor/torv", "/editor/torv/file"] {
        let (status, page) = dane.get(page).await;
        assert_eq!(status, StatusCode::OK);
        says(
            &page,
            "Skal rettes, før kampagnen kan udgives: 1",
            "What stands before",
        );
        assert!(
            page.contains("Bemærkningerne selv står på engelsk"),
            "{page}"
        );
        assert!(
            page.contains("<span lang=\"en\">is missing</span>"),
            "{page}"
        );
    }
    let (status, page) = dane.get("/editor/torv/to-sign").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    says(
        &page,
        "Skal rettes i kampagnens fil: linje 10: question &quot;plads&quot; kind is missing",
        "line 10",
    );
}

#[tokio::test]
async fn a_citizen_is_refused_in_the_language_of_the_page() {
    let (city, centre, _folder) = city();
    let pages = for_citizens(&city);
    let take_back = |language: &str, form: &'static str| {
        Request::post(format!("/{language}/withdraw"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form))
            .expect("a request")
    };
    centre.have().refuses = Some(sentence!("withdraw-not-here").into());
    let (status, _, page) = ask(&pages, take_back("da", "receipt=1")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{page}");
    says(
        &page,
        "Tast kvitteringen i en telefonboks",
        "no key of the city",
    );
    let (_, _, page) = ask(&pages, take_back("en", "receipt=1")).await;
    assert!(page.contains("dial the receipt at a booth"), "{page}");
    let (status, _, page) = ask(&pages, take_back("da", "%")).await;
    assert!(status.is_client_error(), "{page}");
    let unread = Request::post("/da/withdraw").body(Body::from("receipt=1"));
    let (status, _, page) = ask(&pages, unread.expect("a request")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{page}");
    says(
        &page,
        "Formularen kom ikke helt frem",
        "did not arrive whole",
    );
    centre.have().refuses = Some(CentreError::Busy);
    let (status, _, page) = ask(&pages, take_back("da", "receipt=1")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{page}");
    says(&page, "Der er travlt lige nu", "busy");
}
