//! What is asked, what is refused, and that nothing is assumed or written over.
#![allow(clippy::disallowed_methods)] // looks at the files

use super::*;

fn asked(folder: &Path) -> Pilot {
    let text = |text: &str| Some(text.to_owned());
    Pilot {
        folder: folder.to_owned(),
        city: text("Dún Laoghaire"),
        language: text("en"),
        timezone: text("Europe/Dublin"),
        emergency: vec!["112".into(), "999".into()],
        licence: text("CC0-1.0"),
        retention_days: Some(60),
        contact: text("tel. 01 234"),
        notice: text("The city records what you say now. We delete it after sixty days."),
        question: text("What should happen on the pier?"),
        handset: text("sim"),
        sound: text("default"),
        booth: "pier-1".into(),
        port: 18_830,
        pages: 8_080,
        ..Pilot::default()
    }
}

/// What each country does in its own way, with its flag.
type Taken = (&'static str, fn(&mut Pilot));

const TAKEN: [Taken; 5] = [
    ("--language", |asked| asked.language = None),
    ("--timezone", |asked| asked.timezone = None),
    ("--emergency", |asked| asked.emergency = Vec::new()),
    ("--licence", |asked| asked.licence = None),
    ("--retention-days", |asked| asked.retention_days = None),
];

#[test]
fn nothing_that_countries_do_in_their_own_way_is_assumed() {
    let folder = tempfile::tempdir().expect("a folder");
    let new = folder.path().join("pilot");
    for (flag, without) in TAKEN {
        let mut asked = asked(&new);
        without(&mut asked);
        let why = answers::complete(&asked, None, false)
            .expect_err(flag)
            .to_string();
        assert!(
            why.contains(&format!("is missing: {flag}.")),
            "{flag}: {why}"
        );
    }
    let all = answers::complete(&asked(&new), None, false).expect("all answers");
    let texts = [
        files::hub(&all),
        files::booth(&all, "age1x", &new),
        files::campaign(&all),
    ];
    for text in texts {
        let text = String::from_utf8(text).expect("text");
        for danish in ["Copenhagen", "\"da\"", "Aarhus", "CC-BY"] {
            assert!(!text.contains(danish), "{danish}: {text}");
        }
    }
}

#[test]
fn what_cannot_be_an_answer_is_refused_with_what_can() {
    let folder = Path::new("/nowhere");
    type Change = fn(&mut Pilot);
    let wrong: [(Change, &str); 8] = [
        (
            |asked| asked.language = Some("English".into()),
            "two or three small letters",
        ),
        (
            |asked| asked.timezone = Some("Dublin".into()),
            "Europe/Dublin",
        ),
        (
            |asked| asked.emergency = vec!["help".into()],
            "two to six digits",
        ),
        (|asked| asked.licence = Some("free for all".into()), "SPDX"),
        (|asked| asked.retention_days = Some(0), "1 to 3650"),
        (|asked| asked.booth = "courier".into(), "--booth"),
        (
            |asked| asked.handset = Some("usb".into()),
            "--device, --hook, --hook-is",
        ),
        (|asked| asked.question = Some("a\nb".into()), "one line"),
    ];
    for (change, words) in wrong {
        let mut asked = asked(folder);
        change(&mut asked);
        let why = answers::complete(&asked, None, false)
            .expect_err(words)
            .to_string();
        assert!(why.contains(words), "{words}: {why}");
    }
}

#[test]
fn another_answer_than_before_and_a_folder_of_somebody_else_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = answers::complete(&asked(folder.path()), None, false).expect("all answers");
    let nothing = Pilot {
        folder: folder.path().to_owned(),
        booth: "pier-1".into(),
        ..Pilot::default()
    };
    // A second run needs no flags.
    assert_eq!(
        answers::complete(&nothing, Some(&all), false).expect("the same"),
        all
    );
    let other = Pilot {
        language: Some("de".into()),
        ..nothing.clone()
    };
    let why = answers::complete(&other, Some(&all), false)
        .expect_err("another language")
        .to_string();
    assert!(
        why.contains("--language") && why.contains("begun with \"en\""),
        "{why}"
    );
    std::fs::write(folder.path().join("thesis.txt"), "words").expect("written");
    let why = run(&asked(folder.path()))
        .expect_err("it is somebody's")
        .to_string();
    assert!(why.contains("name a new folder"), "{why}");
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("a folder").count(),
        1
    );
}
