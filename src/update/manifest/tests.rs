//! Manifests that are taken, and those that are not.

use super::*;

fn good() -> serde_json::Value {
    serde_json::json!({
        "format": 1, "board": BOARD, "version": "0.2.0", "image_id": "ab".repeat(32), "released": 2000, "counter": 8,
        "kernel": "7.3.4", "slot_bytes": 65536, "slot_sha256": "cd".repeat(32), "slot_letter_at": [5000],
        "allow_older": false, "a_later_key": [1, 2]
    })
}

fn parse(change: impl FnOnce(&mut serde_json::Value)) -> Result<Manifest, Refusal> {
    let mut value = good();
    change(&mut value);
    Manifest::parse(value.to_string().as_bytes())
}

fn running() -> Image {
    Image {
        image_id: "11".repeat(32),
        version: "0.1.0".into(),
        released: 1000,
        counter: 7,
        board: BOARD.into(),
        kernel: String::new(),
    }
}

/// Whether a booth that runs 7 and has kept `kept` admits it on this day.
fn admitted(
    manifest: &Manifest,
    kept: &Floor,
    today: Option<Date>,
    room: u64,
) -> Result<(), Refusal> {
    let here = Standing {
        running: &running(),
        kept,
        booth: "rundhoej-1",
        today,
        latest_day: None,
    };
    manifest.admit(&here, room)
}

fn day(text: &str) -> Option<Date> {
    Some(text.parse().expect("a day"))
}

#[test]
fn a_manifest_of_a_later_tool_is_understood_and_another_format_is_not() {
    let manifest = parse(|_| {}).expect("good");
    assert_eq!(admitted(&manifest, &Floor::default(), None, 65536), Ok(()));
    assert_eq!(parse(|m| m["format"] = 2.into()), Err(Refusal::Format(2)));
    // The other keys of another format may be anything.
    let other = Manifest::parse(br#"{"format":7,"parts":[]}"#);
    assert_eq!(other, Err(Refusal::Format(7)));
    for rubbish in [
        "",
        "[]",
        "{}",
        "{\"format\":1}",
        "{\"format\":\"1\"}",
        "\u{feff}{",
    ] {
        let said = Manifest::parse(rubbish.as_bytes());
        assert!(
            matches!(said, Err(Refusal::Unreadable(_))),
            "{rubbish:?}: {said:?}"
        );
    }
}

#[test]
fn a_manifest_that_contradicts_itself_is_refused() {
    type Change = fn(&mut serde_json::Value);
    let changes: [Change; 10] = [
        |m| m["version"] = "".into(),
        |m| m["version"] = "a\nb".into(),
        |m| m["image_id"] = "AB".repeat(32).into(),
        |m| m["slot_sha256"] = "ab".into(),
        |m| m["slot_bytes"] = 0.into(),
        |m| m["slot_bytes"] = 65537.into(),
        |m| m["slot_letter_at"] = serde_json::json!([65536]),
        |m| m["slot_letter_at"] = serde_json::json!([4096]),
        |m| m["slot_letter_at"] = serde_json::json!([6000, 5000]),
        |m| m["slot_letter_at"] = (5000..5017).collect::<Vec<_>>().into(),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let said = parse(change);
        assert!(
            matches!(said, Err(Refusal::Wrong(_))),
            "change {number}: {said:?}"
        );
    }
}

#[test]
fn each_reason_to_refuse_says_what_to_do() {
    let admit = |change: fn(&mut Manifest), room| {
        let mut manifest = parse(|_| {}).expect("good");
        change(&mut manifest);
        let refusal = admitted(&manifest, &Floor::default(), None, room).expect_err("refused");
        refusal.to_string()
    };
    for (said, remedy) in [
        (
            admit(|m| m.board = "pc".into(), 65536),
            "take the update file for this board",
        ),
        (
            admit(|m| m.image_id = "11".repeat(32), 65536),
            "nothing to do",
        ),
        (admit(|m| m.counter = 7, 65536), "allow_older"),
        (admit(|_| {}, 65535), "write a new card"),
    ] {
        assert!(said.contains(remedy), "{said}");
    }
}

#[test]
fn only_a_higher_counter_is_an_update_whatever_day_its_packages_are_of() {
    let of = |counter: u64| parse(|m| m["counter"] = counter.into()).expect("good");
    let kept = Floor {
        counter: 9,
        image_id: "ab".repeat(32),
    };
    let none = Floor::default();
    for (counter, floor, is_taken) in [
        (8, &none, true),
        (7, &none, false),
        (0, &none, false),
        (10, &kept, true),
        (8, &kept, false),
    ] {
        let said = admitted(&of(counter), floor, day("2026-01-01"), 65536);
        assert_eq!(said.is_ok(), is_taken, "{counter} over {floor:?}: {said:?}");
    }
    // The image that was kept may come again: its slot may be damaged.
    assert_eq!(admitted(&of(9), &kept, None, 65536), Ok(()));
    let other = Floor {
        image_id: "cd".repeat(32),
        ..kept
    };
    assert!(admitted(&of(9), &other, None, 65536).is_err());
}

#[test]
fn a_step_back_that_is_over_stays_over_whatever_day_the_clock_says() {
    let manifest = parse(|m| {
        m["counter"] = 1.into();
        m["allow_older"] = serde_json::json!({"booths": ["rundhoej-1"], "until": "2026-12-31"});
    })
    .expect("good");
    let says = |today, latest_day, released| {
        let here = Standing {
            running: &Image {
                released,
                ..running()
            },
            kept: &Floor::default(),
            booth: "rundhoej-1",
            today,
            latest_day,
        };
        manifest.admit(&here, 65536)
    };
    let (before, over) = (day("2026-01-01"), day("2027-01-01"));
    // 2027-01-02.
    let made_later = 1_798_848_000;
    assert_eq!(says(before, None, 1000), Ok(()));
    assert_eq!(says(before, day("2026-12-31"), 1000), Ok(()));
    for (today, latest_day, released) in [
        (before, over, 1000),
        (before, None, made_later),
        (over, before, 1000),
        // A day that was seen once is no synchronised clock.
        (None, before, 1000),
    ] {
        let said = says(today, latest_day, released);
        assert!(matches!(said, Err(Refusal::Over(..))), "{said:?}");
    }
    // A day too late, in the image or seen once, refuses no newer release.
    let newer = parse(|_| {}).expect("good");
    let here = Standing {
        running: &Image {
            released: i64::MAX,
            ..running()
        },
        kept: &Floor::default(),
        booth: "rundhoej-1",
        today: before,
        latest_day: day("9999-12-30"),
    };
    assert_eq!(newer.admit(&here, 65536), Ok(()));
}

#[test]
fn a_step_back_is_for_named_booths_and_until_a_day() {
    let back = |allow: serde_json::Value| {
        parse(|m| {
            m["counter"] = 1.into();
            m["allow_older"] = allow;
        })
        .expect("good")
    };
    let none = Floor::default();
    let named = back(serde_json::json!({"booths": ["other", "rundhoej-1"], "until": "2026-12-31"}));
    assert_eq!(admitted(&named, &none, day("2026-12-31"), 65536), Ok(()));
    for (manifest, today, says) in [
        (&named, day("2027-01-01"), "a later day"),
        (&named, None, "set the clock"),
        (
            &back(serde_json::json!({"booths": ["other"], "until": "2026-12-31"})),
            day("2026-01-01"),
            "rundhoej-1",
        ),
        (&back(true.into()), day("2026-01-01"), "until"),
    ] {
        let said = admitted(manifest, &none, today, 65536)
            .expect_err("refused")
            .to_string();
        assert!(said.contains(says), "{said}");
    }
    for bad in [
        serde_json::json!({"booths": ["x"]}),
        serde_json::json!({"booths": ["x"], "until": "soon"}),
        serde_json::json!("yes"),
    ] {
        assert!(parse(|m| m["allow_older"] = bad.clone()).is_err(), "{bad}");
    }
}
