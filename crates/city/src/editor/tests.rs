#![allow(clippy::disallowed_methods)] // waits for a piece of work that goes on beside the pages

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;

use super::drafts;
use super::jobs::Stage;
use super::publish::{self, Ballot};
use super::sheet::Sheet;
use crate::City;
use crate::centre::{CentreError, Remark};
use crate::people::Role;
use crate::sentence;
use crate::testing::{FakeCentre, Seat, city, person, seated};

const FILE: &str = "id = \"torv\"\ntitle = \"Torvet\"\nbooths = \"all\"\nlanguage = \"da\"\nlanguages = { 8 = \"en\" }\n\n[[question]]\nid = \"plads\"\n\
     digit = 1\nkind = \"speak\"\ntext.da = \"Hvad?\" # a remark\ntext.en = \"What?\"\n";

struct Room {
    city: Arc<City>,
    centre: Arc<FakeCentre>,
    seat: Seat,
    _folder: tempfile::TempDir,
}

fn room(roles: &[Role]) -> Room {
    let (city, centre, folder) = city();
    centre.have().files.insert("torv".into(), FILE.into());
    let seat = Seat::of(&city, seated(&city, "eva", roles));
    Room {
        city,
        centre,
        seat,
        _folder: folder,
    }
}

/// The campaign as the booths have it, with one question.
fn asked(text: &str) -> crate::centre::Campaign {
    crate::centre::Campaign {
        id: "torv".into(),
        title: String::new(),
        from: None,
        until: None,
        booths: None,
        languages: vec!["da".into()],
        questions: vec![crate::centre::Question {
            id: "plads".into(),
            digit: 1,
            text: [("da".to_owned(), text.to_owned())].into(),
            prompt: Default::default(),
            options: Vec::new(),
            may_publish: booth_contract::Publish::Text,
            max_seconds: None,
            needs_code: false,
            answer: Default::default(),
            answer_prompt: Default::default(),
        }],
        notice: Default::default(),
        children: "text".into(),
    }
}

impl Room {
    async fn get(&self, path: &str) -> (StatusCode, String) {
        self.seat.get(path).await
    }

    /// A form; where its answer leads, or else the answer.
    async fn post(&self, path: &str, fields: &str) -> (StatusCode, String) {
        let (status, to, text) = self.seat.post(path, fields).await;
        (status, if to.is_empty() { text } else { to })
    }

    /// A form with recordings, as browsers send it.
    async fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> (StatusCode, String) {
        let mut parts = String::new();
        for (name, text) in fields {
            let file = if name.starts_with("file.") {
                "; filename=\"a.wav\"\r\ncontent-type: audio/wav"
            } else {
                ""
            };
            parts.push_str(&format!(
                "--x\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n{text}\r\n"
            ));
        }
        let (status, _, text) = self.seat.post_parts(path, &parts).await;
        (status, text)
    }

    fn draft(&self) -> drafts::Work {
        drafts::open(&self.city, "torv")
            .expect("read")
            .expect("there")
    }

    async fn ended(&self) -> Stage {
        loop {
            match self.city.editing.jobs.of("torv").map(|job| job.stage) {
                Some(Stage::Runs) | None => tokio::time::sleep(Duration::from_millis(5)).await,
                Some(stage) => return stage,
            }
        }
    }
}

#[tokio::test]
async fn a_form_changes_what_it_shows_and_leaves_the_rest_of_the_file() {
    let room = room(&[Role::Editor]);
    let (status, page) = room.get("/editor/torv").await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        page.contains(">\nHvad?</textarea>") && page.contains("name=\"q.0.text.en\""),
        "{page}"
    );
    let fields = [
        ("version", "0"),
        ("turn", "add-question:choose"),
        ("title", "Nyt <b>torv</b>"),
        ("q.0.text.da", "Hvad nu?"),
        ("id", "other"),
        ("q.0.sound.da", ""),
        ("file.q.0.sound.en", "RIFF"),
        ("../x", "1"),
    ];
    let (status, text) = room.post_form("/editor/torv", &fields).await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{text}");
    let work = room.draft();
    assert!(
        work.toml.contains("text.da = \"Hvad nu?\" # a remark")
            && work.toml.contains("id = \"torv\""),
        "{}",
        work.toml
    );
    assert!(
        work.toml.contains(&format!("sound.en = \"{:064x}\"", 4)),
        "{}",
        work.toml
    );
    let sheet = Sheet::read(&work.toml).expect("TOML");
    assert_eq!((sheet.questions(), sheet.options(1)), (2, 2));
    let (_, page) = room.get("/editor/torv").await;
    assert!(!page.contains("<b>torv") && page.contains("&lt;b&gt;torv"));
    // What is published is as it was.
    assert_eq!(room.centre.have().files["torv"], FILE);
}

#[tokio::test]
async fn of_two_editors_at_once_the_second_is_told_and_nothing_is_lost() {
    let room = room(&[Role::Editor]);
    let toml = |text: &str| FILE.replace("Hvad?", text);
    let (one, two) = (person(1, &[Role::Editor]), person(2, &[Role::Editor]));
    assert_eq!(
        drafts::save(&room.city, &one, "torv", 0, &toml("En")).expect("kept"),
        1
    );
    let why = drafts::save(&room.city, &two, "torv", 0, &toml("To"))
        .expect_err("refused")
        .to_string();
    assert!(why.contains("Person 1 has changed this campaign"), "{why}");
    assert_eq!(room.draft().toml, toml("En"));
    assert!(drafts::drop_draft(&room.city, &two, "torv", 7).is_err());
    let (status, page) = room.post("/editor/torv/file", "version=0&toml=x").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{page}");
    // Somebody publishes by the command meanwhile: the draft does not go over it until its editor has seen that.
    room.centre
        .have()
        .files
        .insert("torv".into(), toml("Udefra"));
    let work = room.draft();
    assert!(work.is_overtaken);
    let tell = |_: &str| {};
    assert!(publish::publish(&room.city, &one, &work, &[], &tell, |_| Ok(())).is_err());
    assert_eq!(room.centre.have().files["torv"], toml("Udefra"));
    drafts::rebase(&room.city, &one, &work).expect("seen");
    publish::publish(&room.city, &one, &room.draft(), &[], &tell, |_| Ok(())).expect("published");
    assert_eq!(room.centre.have().files["torv"], toml("En"));
    assert_eq!(room.draft().version, 0, "the draft is what is published");
    // A form that was open all the while is of a draft that is no more.
    assert!(drafts::save(&room.city, &two, "torv", 1, &toml("To")).is_err());
}

#[tokio::test]
async fn what_is_wrong_stands_at_its_field_and_is_not_published() {
    let room = room(&[Role::Editor]);
    let fault = |line: Option<usize>, key: &str| Remark {
        line,
        key: key.into(),
        why: "has a fault".into(),
    };
    room.centre.have().checked.faults = vec![
        fault(Some(10), "question \"plads\" kind"),
        fault(Some(1), "until"),
        fault(None, "whole"),
    ];
    let (_, page) = room.get("/editor/torv").await;
    assert!(
        page.contains("href=\"#q.0.kind\"") && page.contains("id=\"fault-q.0.kind\""),
        "{page}"
    );
    assert!(
        page.contains("href=\"#until\"") && page.contains("aria-invalid=\"true\""),
        "{page}"
    );
    assert!(!page.contains("editor/torv/publish"));
    let (status, to) = room.post("/editor/torv/publish", "version=0").await;
    assert_eq!(
        (status, to.as_str()),
        (StatusCode::SEE_OTHER, "../../editor/torv/progress")
    );
    let Stage::Failed(why) = room.ended().await else {
        panic!("it was published");
    };
    assert!(
        why.to_string()
            .contains("line 10: question \"plads\" kind has a fault"),
        "{why}"
    );
    let (_, page) = room.get("/editor/torv/progress").await;
    assert!(page.contains("has a fault"), "{page}");
}

#[tokio::test]
async fn a_hub_that_cannot_publish_leaves_the_draft_and_says_why() {
    let room = room(&[Role::Editor]);
    let eva = person(1, &[Role::Editor]);
    let changed = FILE.replace("Hvad?", "Nyt");
    drafts::save(&room.city, &eva, "torv", 0, &changed).expect("kept");
    room.centre.have().refuses = Some(CentreError::from(sentence!(
        "hub-says",
        why = "the broker is away"
    )));
    let (status, _) = room.post("/editor/torv/publish", "version=1").await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert_eq!(
        room.ended().await,
        Stage::Failed(sentence!("hub-says", why = "the broker is away"))
    );
    assert_eq!(room.draft().toml, changed);
    room.centre.have().refuses = None;
    let (status, page) = room.post("/editor/torv/publish", "version=0").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{page}");
    room.post("/editor/torv/publish", "version=1").await;
    assert_eq!(room.ended().await, Stage::Done);
    assert_eq!(room.centre.have().files["torv"], changed);
}

#[test]
fn what_an_editor_saves_while_the_campaign_is_published_stays_a_draft() {
    let (city, centre, _folder) = city();
    centre.have().files.insert("torv".into(), FILE.into());
    let [eva, ole] = [1, 2].map(|account| person(account, &[Role::Editor]));
    let [first, second, third] = ["Nyt", "Nyere", "Nyest"].map(|text| FILE.replace("Hvad?", text));
    let draft = || drafts::open(&city, "torv").expect("read").expect("there");
    drafts::save(&city, &eva, "torv", 0, &first).expect("kept");
    let saves = |said: &str| {
        if said == "published" && draft().version == 1 {
            drafts::save(&city, &ole, "torv", 1, &second).expect("kept");
        }
    };
    publish::publish(&city, &eva, &draft(), &[], &saves, |_| Ok(())).expect("published");
    assert_eq!(centre.have().files["torv"], first);
    let kept = draft();
    assert_eq!((kept.version, &kept.toml), (2, &second));
    // It was made of what is published now, and can be published.
    assert!(!kept.is_overtaken);
    publish::publish(&city, &ole, &kept, &[], &saves, |_| Ok(())).expect("published");
    assert_eq!(draft().version, 0);
    assert_eq!(centre.have().files["torv"], second);
    // Begun from the file that is replaced at this moment, it must not bring that one back.
    let begins = |said: &str| {
        if said == "made" {
            drafts::save(&city, &eva, "torv", 0, &third).expect("kept");
        }
    };
    let alone = drafts::Work {
        toml: first.clone(),
        ..draft()
    };
    publish::publish(&city, &ole, &alone, &[], &begins, |_| Ok(())).expect("published");
    let kept = draft();
    assert_eq!((&kept.toml, kept.is_overtaken), (&third, true));
}

#[test]
fn an_idea_becomes_an_option_of_a_vote_and_its_messages_lead_there() {
    let (city, centre, _folder) = city();
    centre.have().files.insert("torv".into(), FILE.into());
    let eva = person(1, &[Role::Editor]);
    city.store
        .change_quietly(|db| {
            db.execute("INSERT INTO idea (id, campaign_id, title, body, made_at) VALUES (7, 'torv', '{\"da\":\"Bænke\"}', '{}', ''), (8, 'torv', '{}', '{}', '')", [])?;
            Ok(())
        })
        .expect("ideas");
    let texts = |da: &str, en: &str| {
        vec![
            ("da".to_owned(), da.to_owned()),
            ("en".to_owned(), en.to_owned()),
            ("uk".to_owned(), "x".to_owned()),
        ]
    };
    let mut ballot = Ballot {
        campaign: "torv".into(),
        question: None,
        asks: texts("Hvad er bedst?", "What is best?"),
        option: texts("Bænke", "Benches"),
    };
    let tell = |_: &str| {};
    // A draft of somebody else does not go out with it.
    drafts::save(&city, &eva, "torv", 0, "id = \"torv\"\n").expect("kept");
    let why = publish::idea_to_vote(&city, &eva, 7, &ballot, &tell)
        .expect_err("a draft")
        .to_string();
    assert!(why.contains("draft"), "{why}");
    drafts::drop_draft(&city, &eva, "torv", 1).expect("dropped");
    publish::idea_to_vote(&city, &eva, 7, &ballot, &tell).expect("published");
    let place = |idea: i64| -> (Option<String>, Option<String>, Option<i64>) {
        city.store
            .read(|db| {
                db.query_row(
                    "SELECT vote_campaign, vote_question, vote_digit FROM idea WHERE id = ?1",
                    [idea],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                )
            })
            .expect("read")
    };
    assert_eq!(
        place(7),
        (Some("torv".into()), Some("vote-1".into()), Some(2))
    );
    let sheet = Sheet::read(&centre.have().files["torv"]).expect("TOML");
    assert_eq!(
        (
            sheet.get("q.1.o.0.text.en").as_str(),
            sheet.get("q.1.o.1.id").as_str()
        ),
        ("Benches", "none")
    );
    assert_eq!(sheet.get("q.1.o.0.text.uk"), "");
    assert!(
        publish::idea_to_vote(&city, &eva, 7, &ballot, &tell).is_err(),
        "it is there already"
    );
    // The next one goes to the same vote, on the next digit that is free.
    ballot.question = Some("vote-1".into());
    publish::idea_to_vote(&city, &eva, 8, &ballot, &tell).expect("published");
    assert_eq!(place(8).2, Some(4));
    ballot.question = Some("plads".into());
    let sheet = Sheet::read(&centre.have().files["torv"]).expect("TOML");
    assert!(
        publish::with_option(sheet, 9, &ballot).is_err(),
        "it is spoken to"
    );
}

#[test]
fn a_reply_is_spoken_at_the_booth_and_both_wordings_of_a_question_are_counted() {
    let (city, centre, _folder) = city();
    centre.have().files.insert("torv".into(), FILE.into());
    let eva = person(1, &[Role::Editor]);
    let texts = [
        ("da".to_owned(), "Vi satte bænke op.".to_owned()),
        ("en".to_owned(), "We put up benches.".to_owned()),
    ];
    publish::reply_at_booth(&city, &eva, "torv", "plads", &texts, &|_: &str| {})
        .expect("published");
    let sheet = Sheet::read(&centre.have().files["torv"]).expect("TOML");
    assert_eq!(
        (
            sheet.get("q.0.answer.text.da").as_str(),
            sheet.get("q.0.answer.digit").as_str()
        ),
        ("Vi satte bænke op.", "2")
    );

    for text in ["Hvad?", "Hvad?", "Hvad nu?"] {
        centre.have().campaigns = vec![asked(text)];
        publish::note_wordings(&city).expect("noted");
        std::thread::sleep(Duration::from_millis(3));
    }
    for (id, said_at) in [
        ("a", "2020-01-01T00:00:00.000Z"),
        ("b", "2099-01-01T00:00:00.000Z"),
        ("c", "2099-01-01T00:00:00.000Z"),
    ] {
        city.store
            .change_quietly(|db| {
                db.execute(
                    "INSERT INTO message (id, kind, source, campaign_id, question_id, said_at, day, hour, weekday, received_at, duration_ms, recovered,
                       may_publish) VALUES (?1, 'audio', 'booth', 'torv', 'plads', ?2, '', 0, 1, ?2, 0, 0, 'no')",
                    [id, said_at],
                )?;
                Ok(())
            })
            .expect("noted");
    }
    let wordings = city
        .store
        .read(|db| publish::wordings(db, "torv", "plads"))
        .expect("read");
    let counted: Vec<(&str, u64)> = wordings
        .iter()
        .map(|one| (one.text["da"].as_str(), one.messages))
        .collect();
    assert_eq!(counted, [("Hvad?", 1), ("Hvad nu?", 2)]);
}

#[tokio::test]
async fn an_old_form_erases_nothing_that_was_written_meanwhile() {
    let room = room(&[Role::Editor]);
    room.centre.have().campaigns = vec![asked("Hvad?")];
    let seen = async |path: &str| {
        let (_, page) = room.get(path).await;
        let found = page.split_once("name=\"seen\" value=\"");
        let mark = found.and_then(|(_, rest)| rest.split('"').next());
        mark.expect("what was seen").to_owned()
    };
    for path in ["/editor/torv/public", "/editor/torv/public/plads"] {
        let old = seen(path).await;
        let saved = async |text: &str, seen: &str| {
            let form = format!("is_public=yes&reply.da={text}&seen={seen}");
            room.post(path, &form).await
        };
        let (status, to) = saved("Vi+gjorde+det", &old).await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{to}");
        let (status, page) = saved("", &old).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.contains("Somebody has changed this"), "{page}");
        assert!(room.get(path).await.1.contains("Vi gjorde det"));
        let (status, _) = saved("", &seen(path).await).await;
        assert_eq!(status, StatusCode::SEE_OTHER);
        assert!(!room.get(path).await.1.contains("Vi gjorde det"));
    }
}

#[tokio::test]
async fn pages_of_the_editor_are_for_editors() {
    let room = room(&[Role::Moderator]);
    for path in [
        "/editor",
        "/editor/torv",
        "/editor/torv/file",
        "/editor/torv/public",
        "/editor/torv/preview",
        "/editor/idea/7",
        "/places",
        "/places/placement/1",
        "/editor/voice/da/one.opus",
        "/editor/torv/to-sign",
    ] {
        let (status, _) = room.get(path).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
    }
    for path in [
        "/editor",
        "/editor/torv/publish",
        "/editor/torv/drop",
        "/editor/torv/public",
        "/editor/idea/7",
        "/places/move",
        "/places/placement/1/remove",
    ] {
        let (status, _) = room.post(path, "id=x").await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
    }
    let editor = self::room(&[Role::Editor]);
    for path in [
        "/editor/..%2f..%2fetc",
        "/editor/none",
        "/editor/prompt/x.opus",
        "/editor/voice/da/..%2fone.opus",
    ] {
        let (status, _) = editor.get(path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn citizens_pages_and_places_take_what_their_forms_send_and_refuse_what_cannot_be() {
    let room = room(&[Role::Editor]);
    let (status, to) = room.post("/editor/torv/public", "title.da=Torvet&summary.da=Kort&reply.da=Vi+gjorde+det&is_public=yes&since.open=2026-06-01T08:00&until.open=2026-07-01T00:00").await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{to}");
    let phase: (String, String) = room
        .city
        .store
        .read(|db| {
            db.query_row(
                "SELECT since, until FROM phase WHERE phase = 'open'",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
        })
        .expect("read");
    assert_eq!(
        phase,
        (
            "2026-06-01T06:00:00.000Z".into(),
            "2026-06-30T22:00:00.000Z".into()
        )
    );
    let (status, _) = room
        .post(
            "/editor/torv/public",
            "since.open=2026-06-01T08:00&until.open=2026-05-01T00:00",
        )
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let (_, page) = room.get("/editor/torv/public").await;
    assert!(
        page.contains("Vi gjorde det") && page.contains("2026-06-01T08:00"),
        "{page}"
    );

    let square = |lon: f64| {
        format!(
            "[[[{lon},56],[{},56],[{},57],[{lon},57],[{lon},56]]]",
            lon + 1.0,
            lon + 1.0
        )
    };
    let feature = |name: &str, lon: f64| {
        format!(
            "{{\"type\":\"Feature\",\"properties\":{{\"name\":\"{name}\"}},\"geometry\":{{\"type\":\"Polygon\",\"coordinates\":{}}}}}",
            square(lon)
        )
    };
    let file = format!(
        "{{\"type\":\"FeatureCollection\",\"features\":[{},{}]}}",
        feature("Vest", 9.0),
        feature("Øst", 10.0)
    );
    let (status, page) = room.post_form("/places/areas", &[("file", &file)]).await;
    assert!(
        status == StatusCode::OK && page.contains("2 areas"),
        "{page}"
    );
    let (status, page) = room
        .post_form("/places/areas", &[("file", &file.replace("56", "6256000"))])
        .await;
    assert!(
        status == StatusCode::UNPROCESSABLE_ENTITY && page.contains("ogr2ogr"),
        "{page}"
    );
    let go = "booth=torv-1&place=Havnen&position=56.5,+10.5&area=auto&since=2026-06-01T08:00";
    let (status, to) = room.post("/places/move", go).await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{to}");
    let (_, page) = room.get("/places").await;
    assert!(
        page.contains("Havnen")
            && page.contains("<td>Øst</td>")
            && page.contains("2026-06-01 08:00"),
        "{page}"
    );
    for bad in [
        "booth=T&place=a&since=2026-06-02T08:00",
        "booth=torv-1&place=&since=2026-06-02T08:00",
        "booth=torv-1&place=a&since=x",
        "booth=torv-1&place=a&position=95,10&since=2026-06-02T08:00",
        "booth=torv-1&place=a&area=no&since=2026-06-02T08:00",
        go,
    ] {
        let (status, _) = room.post("/places/move", bad).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}");
    }
    let (status, page) = room.get("/places/placement/1").await;
    assert!(
        status == StatusCode::OK && page.contains("value=\"56.5, 10.5\""),
        "{page}"
    );
    let (status, _) = room.post("/places/placement/1/remove", "").await;
    assert_eq!(status, StatusCode::SEE_OTHER);
}
