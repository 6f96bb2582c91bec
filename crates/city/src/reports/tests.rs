//! A report keeps its numbers, and lets go of the words that are taken back.

use std::io::Read;

use super::*;
use crate::centre::{Campaign, Choice, Kind, Question};
use crate::people::Role;
use crate::testing::{FakeCentre, ask, city, person, request, seated, spoken};
use crate::web::for_staff;

fn texts(text: &str) -> Texts {
    [("en".to_owned(), text.to_owned())].into()
}

fn question(id: &str, options: &[(u8, &str)]) -> Question {
    Question {
        id: id.into(),
        digit: 1,
        text: texts(&format!("About {id}?")),
        prompt: Default::default(),
        options: options
            .iter()
            .map(|(digit, text)| Choice {
                digit: *digit,
                id: (*text).into(),
                text: texts(text),
                prompt: Default::default(),
            })
            .collect(),
        may_publish: booth_contract::Publish::Text,
        max_seconds: None,
        needs_code: false,
        answer: Default::default(),
        answer_prompt: Default::default(),
    }
}

/// A campaign with 12 published messages of one theme and 3 of another, 7 and 5 votes, and what booths counted.
fn a_campaign(city: &City, centre: &FakeCentre) {
    let mut have = centre.have();
    have.campaigns = vec![Campaign {
        id: "plads".into(),
        title: "The square".into(),
        from: Some("2026-08-01T00:00".into()),
        until: Some("2026-09-01T00:00".into()),
        booths: None,
        languages: vec!["en".into()],
        questions: vec![
            question("torvet", &[]),
            question("vote", &[(2, "Trees"), (3, "Benches")]),
        ],
        notice: Default::default(),
        children: "text".into(),
    }];
    have.arrived = (0..15).map(|n| spoken(&format!("m{n:02}"))).collect();
    for n in 0..12 {
        let mut vote = spoken(&format!("v{n:02}"));
        vote.kind = Kind::Vote;
        vote.question_id = Some("vote".into());
        vote.choice = Some(if n < 7 { 2 } else { 3 });
        have.arrived.push(vote);
    }
    drop(have);
    city.follow(false).expect("followed");
    let done = city.store.change_quietly(|tx| {
        tx.execute_batch(
            r#"UPDATE message SET state = 'published', published_at = '2026-08-05T00:00:0' || substr(id, 3) || 'Z',
                 transcript = 'More trees, said <b>' || id || '</b>', transcript_lang = 'en' WHERE kind = 'audio';
               INSERT INTO theme VALUES (1, 'plads', '{"en":"Trees"}'), (2, 'plads', '{"en":"Traffic"}');
               INSERT INTO message_theme SELECT id, CASE WHEN id < 'm12' THEN 1 ELSE 2 END FROM message WHERE kind = 'audio';
               INSERT INTO campaign (id, title, summary, reply, reply_at, limits)
                 VALUES ('plads', '{"en":"The square"}', '{"en":"What is it to be?"}', '{"en":"We plant trees."}', '2026-09-10T08:00:00Z', '{}');
               INSERT INTO placement VALUES (1, 'rundhoej-1', 'Library', NULL, NULL, NULL, '2026-08-01T00:00:00.000Z', NULL, NULL);
               UPDATE message SET placement = 1;
               INSERT INTO exposure VALUES ('rundhoej-1', 1, '2026-08-03', 2880, 43, 15, 8, 11, 2),
                 ('rundhoej-1', 1, '2026-10-03', 1440, 99, 0, 0, 0, 0);
               INSERT INTO idea (id, campaign_id, title, body, made_at, outcome, outcome_at)
                 VALUES (1, 'plads', '{"en":"Plant"}', '{}', '2026-08-20T00:00:00Z', '{"en":"Planted"}', '2026-09-11T00:00:00Z');
               INSERT INTO message_idea SELECT id, 1 FROM message WHERE kind = 'audio' AND id < 'm06';"#,
        )?;
        Ok(())
    });
    done.expect("a campaign");
}

fn frozen(city: &City) -> Frozen {
    gather::gather(city, "plads", clock::wall()).expect("a report")
}

fn number<'a>(rows: &'a [(String, u64)], name: &str) -> &'a u64 {
    let found = rows.iter().find(|(known, _)| known == name);
    found.map(|(_, number)| number).expect("a row")
}

#[test]
fn a_report_counts_as_the_public_may_see_it() {
    let (city, centre, _folder) = city();
    a_campaign(&city, &centre);
    let report = frozen(&city);
    // 43 lifts, 11 hung up, 8 chose nothing; the booth counted 99 more when the campaign was over.
    for (step, wanted) in [
        ("lifts", 40),
        ("stayed", 30),
        ("chose", 20),
        ("discarded", 0),
        ("kept", 25),
        ("published", 15),
        ("withdrawn", 0),
    ] {
        assert_eq!(*number(&report.funnel, step), wanted, "{step}");
    }
    assert_eq!(report.ready_minutes, 2880);
    assert_eq!(
        report.themes.len(),
        1,
        "three messages are no theme of their own"
    );
    assert_eq!(report.themes[0].messages, 10);
    assert_eq!(report.themes[0].quotes.len(), 3);
    assert_eq!(report.other_themes, 0);
    assert_eq!(report.ideas[0].messages, 5);
    let votes: Vec<u64> = report.questions[1]
        .votes
        .iter()
        .map(|(_, votes)| *votes)
        .collect();
    let is_over = report.questions[1].is_over;
    assert_eq!(votes, if is_over { [7, 5] } else { [5, 5] });
    assert_eq!(report.places[0].place, "Library");
    assert_eq!(report.reply_on.as_deref(), Some("2026-09-10"));
}

#[test]
fn an_option_with_a_few_votes_is_said_in_words_as_on_the_page() {
    let (city, centre, _folder) = city();
    a_campaign(&city, &centre);
    let fewer = city
        .store
        .change_quietly(|tx| Ok(tx.execute("DELETE FROM message WHERE id >= 'v10'", [])?));
    assert_eq!(fewer.expect("changed"), 2);
    let report = frozen(&city);
    assert!(!report.questions[1].are_exact);
    let told = blocks::of(&city, &report, "en").expect("told");
    let rows = told.iter().find_map(|block| match block {
        blocks::Block::Table { rows, .. } if rows[0][0] == "Trees" => Some(rows),
        _ => None,
    });
    assert_eq!(
        rows.expect("the votes"),
        &[["Trees", "5"], ["Benches", "fewer than 5"]]
    );
    // And where nobody chose an option, the end of the vote says so.
    let none = city.store.change_quietly(|tx| {
        Ok(tx.execute("UPDATE message SET choice = 2 WHERE kind = 'choice'", [])?)
    });
    none.expect("changed");
    let report = frozen(&city);
    let votes: Vec<u64> = report.questions[1]
        .votes
        .iter()
        .map(|vote| vote.1)
        .collect();
    assert_eq!(votes, [10, 0]);
    assert_eq!(report.questions[1].are_exact, report.questions[1].is_over);
}

#[test]
fn a_report_of_nothing_is_refused() {
    let (city, centre, _folder) = city();
    a_campaign(&city, &centre);
    let refused = gather::gather(&city, "none", clock::wall());
    assert!(matches!(refused, Err(CityError::Refused(_))));
}

#[test]
fn no_word_of_a_citizen_is_frozen() {
    let (city, centre, _folder) = city();
    a_campaign(&city, &centre);
    let who = person(1, &[Role::Editor]);
    freeze(&city, &who, "plads").expect("frozen");
    let body: String = city
        .store
        .read(|db| db.query_row("SELECT body FROM report", [], |row| row.get(0)))
        .expect("a report");
    assert!(body.contains("We plant trees"), "editors' texts are");
    assert!(!body.contains("More trees"));
}

#[test]
fn a_withdrawal_removes_the_quotation_visibly_and_no_number() {
    let (city, centre, _folder) = city();
    a_campaign(&city, &centre);
    let who = person(1, &[Role::Editor]);
    let id = freeze(&city, &who, "plads").expect("frozen");
    let before = one(&city, &who, id).expect("it is there");
    let blocks_before = blocks::of(&city, &before, "en").expect("told");
    let quoted = before.themes[0].quotes[0].clone();
    let clip = booth_contract::ClipId::from(quoted.clone());
    centre.have().gone.push(clip);
    city.follow(false).expect("followed");
    let after = one(&city, &who, id).expect("it is there");
    assert_eq!(before, after, "what is frozen stays so");
    let blocks_after = blocks::of(&city, &after, "en").expect("told");
    let changed: Vec<_> = blocks_before
        .iter()
        .zip(&blocks_after)
        .filter(|(before, after)| before != after)
        .collect();
    assert_eq!(changed.len(), 1);
    assert_eq!(
        *changed[0].1,
        blocks::Block::Quote {
            words: None,
            about: "A quotation was taken back.".into()
        }
    );
    let everything = [
        written::html_of(&blocks_after).into_string().into_bytes(),
        written::csv_of(&blocks_after).expect("CSV"),
        part(
            &odt::of(&blocks_after, "t", "2026-11-29", "en").expect("ODT"),
            "content.xml",
        ),
    ];
    for file in everything {
        let text = String::from_utf8(file).expect("UTF-8");
        assert!(!text.contains(&quoted));
        assert!(text.contains("A quotation was taken back."));
    }
}

#[test]
fn a_quotation_that_is_no_longer_published_is_not_shown() {
    for change in [
        "state = 'rejected'",
        "may_publish = 'no'",
        "transcript = ' '",
    ] {
        let (city, centre, _folder) = city();
        a_campaign(&city, &centre);
        let report = frozen(&city);
        let quotes = || {
            let blocks = blocks::of(&city, &report, "en").expect("told");
            let is_quote = |block: &&blocks::Block| {
                matches!(block, blocks::Block::Quote { words: Some(_), .. })
            };
            blocks.iter().filter(is_quote).count()
        };
        assert!(quotes() > 0, "there is one to begin with");
        let changed = city
            .store
            .change_quietly(|tx| Ok(tx.execute(&format!("UPDATE message SET {change}"), [])?));
        changed.expect("changed");
        assert_eq!(quotes(), 0, "{change}");
    }
}

fn part(file: &[u8], name: &str) -> Vec<u8> {
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(file)).expect("a ZIP");
    let mut bytes = Vec::new();
    let mut part = zip.by_name(name).expect("it is there");
    part.read_to_end(&mut bytes).expect("it is whole");
    bytes
}

/// What OpenDocument 1.3 part 2 asks of a package, and that each part is well-formed with every style that it names.
#[test]
fn the_document_is_an_open_document_text() {
    let (city, centre, _folder) = city();
    a_campaign(&city, &centre);
    let mut report = frozen(&city);
    report.reply = texts("First line\nsecond & <last>\u{0}\u{b}");
    let told = blocks::of(&city, &report, "en").expect("told");
    let file = odt::of(&told, "A & B", "2026-11-29", "en").expect("a document");
    assert_eq!(&file[..4], b"PK\x03\x04");
    assert_eq!(&file[8..10], &[0, 0], "stored");
    assert_eq!(
        &file[26..30],
        &[8, 0, 0, 0],
        "a name of eight letters and no extra field"
    );
    assert_eq!(
        &file[30..77],
        b"mimetypeapplication/vnd.oasis.opendocument.text"
    );
    let mut names = std::collections::BTreeSet::new();
    let mut used = std::collections::BTreeSet::new();
    for name in [
        "content.xml",
        "styles.xml",
        "meta.xml",
        "META-INF/manifest.xml",
    ] {
        let text = String::from_utf8(part(&file, name)).expect("UTF-8");
        let mut reader = quick_xml::Reader::from_str(&text);
        reader.config_mut().check_end_names = true;
        let mut depth = 0;
        loop {
            use quick_xml::events::Event;
            let event = reader
                .read_event()
                .unwrap_or_else(|why| panic!("{name}: {why}"));
            let (element, opens) = match event {
                Event::Eof => break,
                Event::Start(element) => (element, 1),
                Event::Empty(element) => (element, 0),
                Event::End(_) => {
                    depth -= 1;
                    continue;
                }
                _ => continue,
            };
            depth += opens;
            for attribute in element.attributes() {
                let attribute = attribute.expect("well-formed");
                let value = attribute.value.to_string();
                match attribute.key.as_ref() {
                    "style:name" => names.insert(value),
                    "text:style-name" | "table:style-name" => used.insert(value),
                    _ => false,
                };
            }
        }
        assert_eq!(depth, 0, "{name}");
    }
    assert!(used.is_subset(&names), "{used:?} {names:?}");
    let content = String::from_utf8(part(&file, "content.xml")).expect("UTF-8");
    assert!(content.contains("First line<text:line-break/>second &amp; &lt;last&gt;</text:p>"));
    let manifest = String::from_utf8(part(&file, "META-INF/manifest.xml")).expect("UTF-8");
    for part in ["content.xml", "styles.xml", "meta.xml"] {
        assert!(manifest.contains(&format!("full-path=\"{part}\"")));
    }
}

#[test]
fn a_table_runs_no_formula_and_has_each_number_once() {
    let blocks = [
        blocks::Block::Heading("Reply".into()),
        blocks::Block::Text("=cmd|' /C calc'!A0".into()),
        blocks::Block::Table {
            name: "Themes".into(),
            head: vec!["Theme".into(), "Messages".into()],
            rows: vec![vec!["Trees".into(), "10".into()]],
        },
    ];
    let csv = written::csv_of(&blocks).expect("CSV");
    let text = String::from_utf8(csv).expect("UTF-8");
    assert_eq!(
        text,
        "section,row,column,value\r\nReply,,,'=cmd|' /C calc'!A0\r\nThemes,Trees,Messages,10\r\n"
    );
}

#[tokio::test]
async fn a_report_is_made_read_and_taken_out_by_who_may_and_by_nobody_else() {
    let (city, centre, _folder) = city();
    a_campaign(&city, &centre);
    let pages = for_staff(&city);
    let (cookie, token) = seated(&city, "eva", &[Role::Editor]);
    let form = format!("form_token={token}&campaign=plads");
    let (status, headers, text) = ask(&pages, request("/reports", &cookie, Some(&form))).await;
    assert_eq!(status, 303, "{text}");
    assert_eq!(headers["location"], "reports/1");
    for (page, kind, wanted) in [
        ("/reports", "text/html; charset=utf-8", "reports/1"),
        (
            "/reports/1",
            "text/html; charset=utf-8",
            "&lt;b&gt;m09&lt;/b&gt;",
        ),
        (
            "/reports/1/print",
            "text/html; charset=utf-8",
            "reports/print.css",
        ),
        ("/reports/print.css", "text/css; charset=utf-8", "@page"),
        (
            "/reports/1/report.csv",
            "text/csv; charset=utf-8",
            "section,row,column,value",
        ),
        (
            "/reports/1/report.odt",
            "application/vnd.oasis.opendocument.text",
            "mimetype",
        ),
    ] {
        let (status, headers, text) = ask(&pages, request(page, &cookie, None)).await;
        assert_eq!(status, 200, "{page}");
        assert_eq!(headers["content-type"], kind, "{page}");
        assert!(text.contains(wanted), "{page}: {text}");
        assert!(
            !kind.starts_with("text/html") || !text.contains("<b>m"),
            "{page}"
        );
    }
    let none = format!("form_token={token}&campaign=none");
    let (status, ..) = ask(&pages, request("/reports", &cookie, Some(&none))).await;
    assert_eq!(status, 422);
    for (name, role, status) in [("ole", Role::Operator, 403), ("pia", Role::Partner, 403)] {
        let (cookie, token) = seated(&city, name, &[role]);
        let form = format!("form_token={token}&campaign=plads");
        for page in [
            "/reports",
            "/reports/1",
            "/reports/1/print",
            "/reports/1/report.odt",
            "/reports/1/report.csv",
        ] {
            let (answered, ..) = ask(&pages, request(page, &cookie, None)).await;
            assert_eq!(answered, status, "{name} {page}");
        }
        let (answered, ..) = ask(&pages, request("/reports", &cookie, Some(&form))).await;
        assert_eq!(answered, status, "{name}");
    }
    // A partner of another campaign sees its own reports alone.
    let mut partner = person(9, &[Role::Partner]);
    partner.campaigns = vec![("other".into(), [Right::Export].into())];
    assert!(one(&city, &partner, 1).is_err());
    partner.campaigns = vec![("plads".into(), [Right::Export].into())];
    assert!(one(&city, &partner, 1).is_ok());
}
