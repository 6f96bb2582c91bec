use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::MAX_JSON_BYTES;

fn hash(n: u8) -> String {
    format!("{n:02x}").repeat(32)
}

/// A configuration that has everything, and nothing wrong.
fn good() -> Value {
    json!({
        "schema": 1,
        "version": 7,
        "issued_at": "2026-05-20T10:00:00Z",
        "campaigns": [{
            "id": "square", "from": "2026-06-01T08:00", "until": "2026-06-30",
            "questions": [
                {"id": "benches", "digit": 1, "kind": "speak", "prompt": {"da": hash(1), "en": hash(2)},
                 "max_seconds": 120, "publish": "ask_voice",
                 "answer": {"digit": 4, "prompt": {"da": hash(3), "en": hash(4)}}},
                {"id": "trees", "digit": 2, "kind": "choose", "prompt": {"da": hash(5), "en": hash(6)},
                 "min_pause_s": 20, "options": [
                    {"digit": 2, "id": "lime", "prompt": {"da": hash(7), "en": hash(8)}},
                    {"digit": 3, "id": "oak", "prompt": {"da": hash(9), "en": hash(10)}}]}
            ]
        }],
        "prompts": {"menu": {"da": hash(11)}, "thanks": {"da": hash(12)}},
        "languages": {"8": "en"},
        "hours": [["mo-fr", "07:00", "21:00"], ["sa", "10:00", "02:00"]],
        "quiet": "20:00-09:00",
        "limits": {"max_seconds": 120, "choose_seconds": 20, "silence_seconds": 10}
    })
}

fn read(value: &Value) -> Result<Wanted, BadWanted> {
    Wanted::read(value.to_string().as_bytes())
}

fn at(text: &str) -> LocalTime {
    LocalTime::parse(text).expect(text)
}

/// What a booth in Danish that speaks by itself and has every notice in its folder finds wrong.
fn faults_of(value: &Value) -> Vec<KeyFault> {
    let wanted = read(value).expect("readable");
    let here = Here {
        language: "da",
        is_signed: false,
        now: Some(at("2026-05-20T12:00")),
        issued: Some(at("2026-05-20T12:00")),
        says: &|_, lang| OWN_VOICE.contains(&lang),
    };
    check(&wanted, &here)
}

/// Either what cannot be read, or what does not make sense.
fn wrong(value: &Value) -> Vec<String> {
    let faults = match read(value) {
        Ok(_) => faults_of(value),
        Err(bad) => bad.faults,
    };
    faults.iter().map(KeyFault::to_string).collect()
}

/// The good one with one place changed.
fn with(pointer: &str, value: Value) -> Value {
    let mut changed = good();
    match changed.pointer_mut(pointer) {
        Some(place) => *place = value,
        None => {
            let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
            let parent = changed.pointer_mut(parent).expect(pointer);
            parent
                .as_object_mut()
                .expect("an object")
                .insert(key.into(), value);
        }
    }
    changed
}

#[test]
fn a_good_configuration_is_read_and_written_and_nothing_is_wrong_with_it() {
    let wanted = read(&good()).expect("readable");
    assert_eq!(faults_of(&good()), []);
    assert_eq!(Wanted::read(&wanted.to_json()), Ok(wanted.clone()));
    assert_eq!((wanted.version, wanted.media().len()), (7, 12));
    let campaign = &wanted.campaigns.as_ref().expect("campaigns")[0];
    assert!(campaign.is_open(at("2026-06-01T08:00")) && campaign.is_open(at("2026-06-30T23:59")));
    assert!(!campaign.is_open(at("2026-06-01T07:59")) && !campaign.is_open(at("2026-07-01")));
    assert_eq!(
        wanted.quiet,
        Some(Quiet::In(Span {
            from: 1_200,
            to: 540
        }))
    );
    for never in [json!(""), json!([])] {
        let wanted = read(&with("/quiet", never)).expect("readable");
        assert_eq!(wanted.quiet, Some(Quiet::Never));
        assert_eq!(Wanted::read(&wanted.to_json()), Ok(wanted));
    }
}

#[test]
fn null_is_the_same_as_absent_and_unknown_keys_are_ignored() {
    let bare = json!({"schema": 1, "version": 3, "campaigns": null, "prompts": null, "languages": null, "hours": null,
        "quiet": null, "limits": null, "force": null, "issued_at": null, "colour": "blue", "children": [1]});
    assert_eq!(read(&bare), Ok(Wanted::bare(3)));
    let mut odd = with("/campaigns/0/questions/0/colour", json!(7));
    odd["prompts"]["menu"]["de"] = Value::Null;
    odd["campaigns"][0]["questions"][0]["options"] = Value::Null;
    assert_eq!(read(&odd), read(&good()));
    let only_no_campaign = json!({"schema": 1, "version": 3, "campaigns": []});
    assert_eq!(
        read(&only_no_campaign).expect("readable").campaigns,
        Some(Vec::new())
    );
    assert_eq!(wrong(&only_no_campaign), [""; 0]);
}

#[test]
fn each_value_of_a_wrong_type_or_form_is_named_by_its_path() {
    for (pointer, value) in [
        ("/schema", json!(2)),
        ("/schema", json!("1")),
        ("/version", json!(0)),
        ("/version", json!("7")),
        ("/version", json!(-1)),
        ("/version", json!(1.5)),
        ("/issued_at", json!("yesterday")),
        ("/campaigns", json!({"id": "x"})),
        ("/campaigns/0", json!("x")),
        ("/campaigns/0/id", json!(7)),
        ("/campaigns/0/id", json!("")),
        ("/campaigns/0/id", json!("a\u{7}")),
        ("/campaigns/0/id", json!("x".repeat(129))),
        ("/campaigns/0/from", json!("2026-06-31T08:00")),
        ("/campaigns/0/until", json!("2026-06-30T08:00Z")),
        ("/campaigns/0/questions", json!(7)),
        ("/campaigns/0/questions", Value::Null),
        ("/campaigns/0/questions/0/digit", json!("1")),
        ("/campaigns/0/questions/0/digit", json!(10)),
        ("/campaigns/0/questions/0/kind", json!("sing")),
        ("/campaigns/0/questions/0/kind", Value::Null),
        ("/campaigns/0/questions/0/prompt", json!(hash(1))),
        ("/campaigns/0/questions/0/prompt", Value::Null),
        (
            "/campaigns/0/questions/0/prompt/da",
            json!("../../etc/passwd"),
        ),
        (
            "/campaigns/0/questions/0/prompt/da",
            json!(hash(171).to_uppercase()),
        ),
        ("/campaigns/0/questions/0/max_seconds", json!(4)),
        ("/campaigns/0/questions/0/max_seconds", json!(3_601)),
        ("/campaigns/0/questions/0/publish", json!("voice")),
        ("/campaigns/0/questions/0/answer", json!(4)),
        ("/campaigns/0/questions/1/min_pause_s", json!(-1)),
        ("/campaigns/0/questions/1/options/0/digit", Value::Null),
        ("/campaigns/0/questions/1/options/1/id", Value::Null),
        ("/prompts", json!([])),
        ("/prompts/menu", json!("x")),
        ("/languages", json!(["en"])),
        ("/languages/8", json!("English")),
        ("/languages/8", json!("../x")),
        ("/languages/88", json!("de")),
        ("/hours", json!("mo-fr 07:00-21:00")),
        ("/hours/0", json!(["mo-fr", "07:00"])),
        ("/hours/0", json!(["mon", "07:00", "21:00"])),
        ("/hours/1", json!(["sa", "07:00", "07:00"])),
        ("/quiet", json!("at night")),
        ("/limits", json!(180)),
        ("/limits/max_seconds", json!(0)),
        ("/limits/choose_seconds", json!(1)),
        ("/limits/silence_seconds", json!(-1)),
        ("/force", json!(2)),
    ] {
        let key = pointer[1..]
            .replace("/0", "[0]")
            .replace("/1", "[1]")
            .replace('/', ".");
        let bad = read(&with(pointer, value.clone())).expect_err(pointer);
        assert!(
            bad.faults.iter().any(|fault| fault.key == key),
            "{pointer} {value}: {:?}",
            bad.faults
        );
        assert!(
            pointer.contains("version") || bad.version == Some(7),
            "{pointer}"
        );
    }
}

#[test]
fn what_is_no_configuration_at_all_is_refused_with_a_reason() {
    for (payload, part) in [
        (&b"null"[..], "no JSON object"),
        (b"[]", "no JSON object"),
        (b"{", "no JSON object"),
        (b"\xFF", "no JSON object"),
        (b"{}", "schema: is missing"),
        (b"{\"schema\":1}", "version: is missing"),
    ] {
        let bad = Wanted::read(payload).expect_err(part);
        assert!(
            bad.faults
                .iter()
                .any(|fault| fault.to_string().contains(part)),
            "{bad:?}"
        );
    }
    let mut big = good().to_string();
    big.push_str(&" ".repeat(MAX_JSON_BYTES + 1 - big.len()));
    let bad = Wanted::read(big.as_bytes()).expect_err("too large");
    assert!(bad.faults[0].to_string().contains("16385 bytes"), "{bad:?}");
    assert!(Wanted::read(&big.as_bytes()[..MAX_JSON_BYTES]).is_ok());
}

#[test]
fn sixty_five_thousand_campaigns_are_one_fault_and_the_faults_of_thousands_stay_few() {
    let campaigns: Vec<Value> = vec![json!({}); 65_535];
    let fields = json!({"schema": 1, "version": 7, "campaigns": campaigns});
    let bad = Wanted::of_fields(fields.as_object().expect("an object")).expect_err("too many");
    assert_eq!(bad.faults.len(), 1, "{:?}", bad.faults);
    assert!(
        bad.faults[0].to_string().contains("65535 entries"),
        "{:?}",
        bad.faults
    );
    let campaigns: Vec<Value> = vec![json!({}); MOST_CAMPAIGNS];
    let bad = read(&with("/campaigns", campaigns.into())).expect_err("empty ones");
    assert_eq!(bad.faults.len(), MOST_FAULTS);
}

#[test]
fn what_contradicts_itself_is_named_with_its_key() {
    let question = |id: &str, digit: u8| json!({"id": id, "digit": digit, "kind": "speak", "prompt": {"da": hash(1), "en": hash(2)}});
    let option = |digit: u8| json!({"digit": digit, "id": format!("o{digit}"), "prompt": {"da": hash(1), "en": hash(2)}});
    let options = |from: u8, to: u8| -> Value { (from..=to).map(option).collect() };
    let q = "/campaigns/0/questions";
    let many: Vec<Value> = (0..=MOST_PROMPTS)
        .map(|n| json!({"da": format!("{n:064x}")}))
        .collect();
    let many: serde_json::Map<String, Value> = many
        .into_iter()
        .enumerate()
        .map(|(n, spoken)| (format!("p{n}"), spoken))
        .collect();
    for (pointer, value, key, part) in [
        (
            q,
            json!([question("a", 1), question("b", 1)]),
            "campaigns[0].questions[1].digit",
            "campaigns[0].questions[0].digit",
        ),
        (
            q,
            json!([question("a", 8)]),
            "languages.8",
            "at the same time",
        ),
        (
            q,
            json!([question("a", 0)]),
            "campaigns[0].questions[0].digit",
            "1 to 9",
        ),
        (
            q,
            json!([question("a", 1), question("a", 2)]),
            "campaigns[0].questions[1].id",
            "twice",
        ),
        (q, json!([]), "campaigns[0].questions", "empty"),
        (
            "/campaigns/0/questions/0/answer/digit",
            json!(2),
            "campaigns[0].questions[1].digit",
            "questions[0].answer",
        ),
        (
            "/campaigns/0/questions/0/answer/digit",
            json!(1),
            "campaigns[0].questions[0].answer.digit",
            "questions[0].digit",
        ),
        (
            "/campaigns/0/questions/0/answer/digit",
            json!(0),
            "campaigns[0].questions[0].answer.digit",
            "1 to 9",
        ),
        ("/languages/0", json!("de"), "languages.0", "1 to 9"),
        ("/languages/4", json!("de"), "languages.4", "answer.digit"),
        ("/languages/7", json!("en"), "languages.8", "one digit"),
        (
            "/campaigns/0/questions/0/options",
            options(2, 3),
            "campaigns[0].questions[0].options",
            "choose",
        ),
        (
            "/campaigns/0/questions/1/options",
            options(2, 2),
            "campaigns[0].questions[1].options",
            "2 to 8",
        ),
        (
            "/campaigns/0/questions/1/options",
            json!([]),
            "campaigns[0].questions[1].options",
            "2 to 8",
        ),
        (
            "/campaigns/0/questions/1/options",
            json!([option(1), option(2)]),
            "campaigns[0].questions[1].options[0].digit",
            "2 to 9",
        ),
        (
            "/campaigns/0/questions/1/options",
            json!([option(0), option(2)]),
            "campaigns[0].questions[1].options[0].digit",
            "2 to 9",
        ),
        (
            "/campaigns/0/questions/1/options",
            json!([option(2), option(2)]),
            "campaigns[0].questions[1].options[1].digit",
            "options[0]",
        ),
        (
            "/campaigns/0/questions/1/options/1/id",
            json!("lime"),
            "campaigns[0].questions[1].options[1].id",
            "twice",
        ),
        (
            "/campaigns/0/from",
            json!("2026-07-01T00:00"),
            "campaigns[0].until",
            "not after",
        ),
        (
            "/campaigns/0/from",
            json!("2026-07-02T00:00"),
            "campaigns[0].until",
            "not after",
        ),
        (
            "/campaigns/0/until",
            json!("2026-05-19T00:00"),
            "campaigns[0].until",
            "not after",
        ),
        (
            "/campaigns/0",
            json!({"id": "old", "until": "2026-05-20T11:59", "questions": [question("a", 1)]}),
            "campaigns[0].until",
            "past",
        ),
        ("/hours", json!([]), "hours", "empty"),
        ("/prompts", many.into(), "payload", "at most 64"),
        (
            "/prompts/notice",
            json!({"da": hash(1)}),
            "prompts.notice",
            "signed",
        ),
        (
            "/prompts/emergency",
            json!({"da": hash(1)}),
            "prompts.emergency",
            "signed",
        ),
        ("/force", json!(1), "force", "signed"),
        // What an offered language lacks is named, in the own language as well.
        (
            "/campaigns/0/questions/0/prompt",
            json!({"da": hash(1)}),
            "campaigns[0].questions[0].prompt.en",
            "missing",
        ),
        (
            "/campaigns/0/questions/0/prompt",
            json!({"en": hash(1)}),
            "campaigns[0].questions[0].prompt.da",
            "missing",
        ),
        (
            "/campaigns/0/questions/1/options/1/prompt",
            json!({"da": hash(1)}),
            "campaigns[0].questions[1].options[1].prompt.en",
            "missing",
        ),
        (
            "/campaigns/0/questions/0/answer/prompt",
            json!({"da": hash(1)}),
            "campaigns[0].questions[0].answer.prompt.en",
            "missing",
        ),
        ("/languages/9", json!("de"), "prompts.notice.de", "offers"),
        ("/languages/9", json!("de"), "prompts.ask_text.de", "offers"),
        (
            "/languages/9",
            json!("de"),
            "prompts.ask_voice.de",
            "offers",
        ),
        (
            "/languages/9",
            json!("de"),
            "campaigns[0].questions[1].options[0].prompt.de",
            "offers",
        ),
    ] {
        let changed = with(pointer, value.clone());
        let faults = faults_of(&changed);
        assert!(
            faults
                .iter()
                .any(|fault| fault.key == key && fault.error.contains(part)),
            "{pointer} {value}: {faults:?}"
        );
    }
    let options = with("/campaigns/0/questions/1/options", options(2, 9));
    assert_eq!(faults_of(&options), [], "eight options are allowed");
}

#[test]
fn what_is_signed_may_bring_the_notice_and_go_back() {
    let mut value = with("/prompts/notice", json!({"da": hash(1), "de": hash(2)}));
    value["prompts"]["emergency"] = json!({"da": hash(3)});
    value["force"] = json!(true);
    let wanted = read(&value).expect("readable");
    assert!(wanted.force);
    assert_eq!(Wanted::read(&wanted.to_json()), Ok(wanted.clone()));
    let here = |is_signed| Here {
        language: "da",
        is_signed,
        now: Some(at("2026-05-20T12:00")),
        issued: None,
        says: &|name, lang| name != "notice" && OWN_VOICE.contains(&lang),
    };
    let keys = |faults: Vec<KeyFault>| {
        faults
            .into_iter()
            .map(|fault| fault.key)
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(check(&wanted, &here(true))), ["prompts.notice.en"]);
    assert_eq!(
        keys(check(&wanted, &here(false))),
        [
            "force",
            "prompts.notice",
            "prompts.emergency",
            "prompts.notice.en"
        ]
    );
}

#[test]
fn campaigns_that_never_meet_may_share_digits_and_ids_and_one_that_is_over_stays_believed() {
    let campaign = |id: &str, from: &str, until: &str| {
        json!({"id": id, "from": from, "until": until, "questions": [
            {"id": "same", "digit": 1, "kind": "speak", "prompt": {"da": hash(1)}}]})
    };
    let two = |from: &str| {
        json!({"schema": 1, "version": 1, "campaigns": [
            campaign("june", "2026-06-01", "2026-06-30"), campaign("july", from, "2026-07-31")]})
    };
    assert_eq!(wrong(&two("2026-07-01")), [""; 0]);
    let faults = wrong(&two("2026-06-30T23:59"));
    assert!(
        faults
            .iter()
            .any(|fault| fault.starts_with("campaigns[1].questions[0].digit")),
        "{faults:?}"
    );
    assert!(
        faults
            .iter()
            .any(|fault| fault.starts_with("campaigns[1].questions[0].id")),
        "{faults:?}"
    );
    let check_at = |now: Option<&str>, issued: Option<&str>| {
        let wanted = read(&two("2026-07-01")).expect("readable");
        let here = Here {
            language: "da",
            is_signed: false,
            now: now.map(at),
            issued: issued.map(at),
            says: &|_, _| true,
        };
        let faults = check(&wanted, &here);
        faults
            .into_iter()
            .map(|fault| fault.key)
            .collect::<Vec<_>>()
    };
    // A new card in July takes what was published in May.
    assert_eq!(check_at(Some("2026-07-10"), Some("2026-05-01")), [""; 0]);
    // What was over when it was made, or cannot have been made before, is a mistake of its maker.
    assert_eq!(
        check_at(Some("2026-07-10"), Some("2026-07-09")),
        ["campaigns[0].until"]
    );
    assert_eq!(check_at(Some("2026-07-10"), None), ["campaigns[0].until"]);
    assert_eq!(
        check_at(Some("2026-08-10"), Some("2026-05-01")),
        ["campaigns"]
    );
    assert_eq!(check_at(None, None), [""; 0]);
}

proptest! {
    #[test]
    fn no_payload_is_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Wanted::read(&bytes);
    }

    /// Any value in any place of a good configuration is read, or named; and what is read is written and read again.
    #[test]
    fn no_value_in_any_place_is_a_panic(place in 0usize..60, kind in 0usize..10) {
        let mut value = good();
        let mut pointers = Vec::new();
        places(&value, String::new(), &mut pointers);
        let odd = [json!(null), json!(0), json!(-1), json!(1.5), json!(""), json!("x"), json!([]), json!([null]), json!({}), json!({"": null})];
        *value.pointer_mut(&pointers[place % pointers.len()]).expect("a place") = odd[kind].clone();
        match read(&value) {
            Ok(wanted) => {
                prop_assert_eq!(Wanted::read(&wanted.to_json()), Ok(wanted));
                let _ = faults_of(&value);
            }
            Err(bad) => prop_assert!(!bad.faults.is_empty() && bad.faults.len() <= MOST_FAULTS),
        }
    }
}

fn places(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => object
            .iter()
            .for_each(|(key, value)| places(value, format!("{at}/{key}"), found)),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .for_each(|(n, value)| places(value, format!("{at}/{n}"), found)),
        _ => {}
    }
    if !at.is_empty() {
        found.push(at);
    }
}
