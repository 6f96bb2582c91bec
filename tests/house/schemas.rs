//! docs/schema and docs/asyncapi.yaml say what the types of crates/contract say, no more and no less.
#![allow(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use booth_contract::reading::object;
use booth_contract::wanted::{
    Answer, Campaign, Choice, Days, Hours, KeyFault, Kind, Limits, LocalTime, MayPublish, Question,
    Quiet, Span, Wanted,
};
use booth_contract::{
    Ack, AckStatus, Alert, AlertId, Birth, BodyKind, BoothId, BoothState, ByteRange, COMMANDS,
    ClipKind, ConfigReport, Consent, ConsentMode, EVENT_KINDS, EndedBy, Health, HubState, Manifest,
    MediaHash, Presence, Publish, Severity, Signed, Topic, Topics, Withdrawal,
};
use booth_testkit::repository;
use booth_testkit::schemas::{asyncapi, faults_by, misfits, refused, schema};
use serde_json::{Map, Value, json};

const TIME: &str = "2026-11-29T10:00:00.000Z";

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn hash() -> MediaHash {
    MediaHash::parse(&"0a".repeat(32)).expect("a hash")
}

fn booth() -> BoothId {
    BoothId::parse("rundhoej-1").expect("an id")
}

/// A payload with every key that its type can write, and whether a reader takes a payload.
type Known = (&'static str, Value, fn(&[u8]) -> bool);

fn of<T: serde::Serialize>(name: &'static str, full: &T, reads: fn(&[u8]) -> bool) -> Known {
    (name, serde_json::to_value(full).expect("JSON"), reads)
}

fn presence() -> Vec<Known> {
    let session = "7-4711".parse().expect("a session");
    let state = BoothState {
        state: Presence::Lost,
        session,
        card_id: "card".into(),
        boot_id: "boot".into(),
        ts: some(TIME),
        connected_at: some(TIME),
    };
    let birth = Birth {
        schema: 1,
        booth_id: Some(booth()),
        name: "Rundhøj Torv".into(),
        session,
        boot_id: "boot".into(),
        boot_count: 7,
        card_id: "card".into(),
        previous_card_id: Some("before".into()),
        card_first_seen: TIME.into(),
        hw_model: some("Raspberry Pi 4"),
        hw_serial: some("0001"),
        image_id: some("image"),
        os_version: some("Debian 13"),
        sw_version: "0.1.0".into(),
        sw_commit: some("c0ffee"),
        config_hash: "00".into(),
        recipient_key_ids: vec!["key".into()],
        sealed: Some(true),
        consent_mode: Some(ConsentMode::Digit),
        audio_in: "plughw:0".into(),
        audio_out: "plughw:0".into(),
        handset_backend: "rppal".into(),
        ip: some("192.0.2.1"),
        mac: some("02:00:00:00:00:01"),
        started_at: TIME.into(),
        health_interval_s: 60,
    };
    let hub = HubState {
        state: Presence::Online,
        ts: some(TIME),
        version: some("booth-hub 0.1.0"),
        max_clip_bytes: Some(4_000_000),
        schemas: Some(vec![1]),
        jitter_s: Some(10),
        instance: some("i"),
    };
    vec![
        of("booth-state", &state, |text| {
            object::<BoothState>(text).is_ok()
        }),
        of("birth", &birth, |text| object::<Birth>(text).is_ok()),
        of("hub-state", &hub, |text| object::<HubState>(text).is_ok()),
    ]
}

fn statements() -> Vec<Known> {
    let numbers = Health::NAMES
        .iter()
        .map(|name| ((*name).to_owned(), Value::from(1)));
    let numbers: Map<String, Value> = numbers.collect();
    let health = Health::from_json(Value::from(numbers).to_string().as_bytes()).expect("health");
    let alert = Alert {
        id: AlertId::Power.as_str().into(),
        severity: Some(Severity::NeedsVisit),
        since: TIME.into(),
        clock_synced: 1,
        text: "The supply is weak.".into(),
        session: "7-4711".parse().ok(),
        card_id: "card".into(),
    };
    let report = ConfigReport {
        wanted: Some(2),
        applied: Some(1),
        missing: vec![hash()],
        errors: vec![KeyFault::new("campaigns[0].id", "is missing")],
        ts: some(TIME),
    };
    vec![
        of("health", &health, |text| Health::from_json(text).is_ok()),
        of("alert", &alert, |text| object::<Alert>(text).is_ok()),
        of("config-report", &report, |text| {
            object::<ConfigReport>(text).is_ok()
        }),
    ]
}

fn clips() -> Vec<Known> {
    let manifest = Manifest {
        schema: 1,
        clip_id: "c".into(),
        clip_no: 1,
        card_id: "card".into(),
        booth_id: booth(),
        boot_id: "boot".into(),
        kind: ClipKind::Audio,
        source: "booth".into(),
        test: 0,
        campaign_id: some("square"),
        question_id: some("q"),
        choice: Some(2),
        lang: some("da"),
        started_at: some(TIME),
        started_mono_ms: Some(1),
        clock_synced: Some(1),
        duration_ms: Some(1000),
        ended_by: Some(EndedBy::HangUp),
        recovered: 0,
        body: Some(BodyKind::SealedOggOpus),
        bytes: 3,
        sha256: Some("0a".repeat(32).into()),
        bitrate: Some(24_000),
        sample_rate: Some(48_000),
        channels: Some(1),
        consent: Some(Consent {
            mode: ConsentMode::Digit,
            key: some("1"),
            notice_id: some("00"),
            publish: Publish::Voice,
        }),
        key_ids: vec!["key".into()],
        sealed: some("YWdl"),
        rms_dbfs: Some(-20.5),
        peak_dbfs: Some(-3.0),
        speech_ratio: Some(0.5),
        config_version: Some(3),
        reason: some("unreadable"),
    };
    let withdrawal = Withdrawal {
        id: "w".into(),
        sealed: "YWdl".into(),
        ts: TIME.into(),
    };
    let ack = Ack {
        clip_id: "c".into(),
        status: AckStatus::Partial,
        sha256: Some("0a".repeat(32).into()),
        missing: vec![ByteRange(0, 10)],
        reason: some("x"),
        ts: some(TIME),
    };
    vec![
        of("manifest", &manifest, |text| {
            object::<Manifest>(text).is_ok()
        }),
        of("withdrawal", &withdrawal, |text| {
            object::<Withdrawal>(text).is_ok()
        }),
        of("ack", &ack, |text| object::<Ack>(text).is_ok()),
    ]
}

fn wanted() -> Wanted {
    let spoken = || BTreeMap::from([("da".to_owned(), hash())]);
    let question = Question {
        id: "q".into(),
        digit: 1,
        kind: Kind::Choose,
        prompt: spoken(),
        max_seconds: Some(60),
        min_pause_s: Some(30),
        codes: true,
        publish: MayPublish::AskVoice,
        options: vec![Choice {
            digit: 2,
            id: "yes".into(),
            prompt: spoken(),
        }],
        answer: Some(Answer {
            digit: 4,
            prompt: spoken(),
        }),
    };
    let span = Span::parse("07:00", "21:00").expect("a span");
    Wanted {
        schema: 1,
        version: 3,
        issued_at: some(TIME),
        campaigns: Some(vec![Campaign {
            id: "square".into(),
            from: LocalTime::parse("2026-06-01T08:00"),
            until: LocalTime::parse("2026-07-01T08:00"),
            questions: vec![question],
        }]),
        prompts: Some(BTreeMap::from([("menu".to_owned(), spoken())])),
        languages: Some(BTreeMap::from([(8, "en".to_owned())])),
        hours: Some(vec![Hours {
            days: Days::parse("mo-fr").expect("days"),
            span,
        }]),
        quiet: Some(Quiet::In(span)),
        limits: Some(Limits {
            max_seconds: Some(180),
            choose_seconds: Some(20),
            silence_seconds: Some(10),
        }),
        force: true,
    }
}

fn all() -> Vec<Known> {
    let signed = json!({ "body": "{}", "minisig": "x" });
    let from_the_centre: Vec<Known> = vec![
        of("config-wanted", &wanted(), |text| {
            Wanted::read(text).is_ok()
        }),
        of("signed", &signed, |text| Signed::read(text).is_some()),
    ];
    [presence(), statements(), clips(), from_the_centre].concat()
}

/// The keys that a schema and a value have at the same places, where they differ.
fn differences(whole: &Value, schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let schema = match schema["$ref"].as_str() {
        Some(place) => whole.pointer(place.trim_start_matches('#')).expect(place),
        None => schema,
    };
    match value {
        Value::Object(map) => {
            let Some(properties) = schema["properties"].as_object() else {
                return;
            };
            let said: BTreeSet<&String> = properties.keys().collect();
            let written: BTreeSet<&String> = map.keys().collect();
            for key in said.symmetric_difference(&written) {
                found.push(format!("{path}.{key}"));
            }
            for (key, value) in map {
                differences(
                    whole,
                    &schema["properties"][key],
                    value,
                    &format!("{path}.{key}"),
                    found,
                );
            }
        }
        Value::Array(list) => {
            for value in list {
                differences(whole, &schema["items"], value, &format!("{path}[]"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn every_payload_has_the_keys_of_its_schema_and_no_other() {
    let mut found = Vec::new();
    for (name, full, _) in all() {
        let schema = schema(name);
        differences(&schema, &schema, &full, name, &mut found);
    }
    assert_eq!(
        found, [""; 0],
        "in docs/schema or in crates/contract, not in both"
    );
}

#[test]
fn a_schema_requires_what_the_reader_needs_and_allows_what_it_does_not_judge() {
    let mut fit = Vec::new();
    for (name, full, reads) in all() {
        assert!(reads(full.to_string().as_bytes()), "{name}: {full}");
        let schema = schema(name);
        let required: BTreeSet<&str> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let keys: Vec<String> = full
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect();
        for key in keys {
            let without = |value: Option<Value>| {
                let mut other = full.clone();
                let map = other.as_object_mut().expect("an object");
                match value {
                    Some(value) => map.insert(key.clone(), value),
                    None => map.remove(&key),
                };
                other
            };
            let (absent, null) = (without(None), without(Some(Value::Null)));
            for (payload, what) in [(&absent, "absent"), (&null, "null")] {
                let is_read = reads(payload.to_string().as_bytes());
                let is_needed = required.contains(key.as_str());
                assert_eq!(
                    is_read, !is_needed,
                    "{name}: {key} {what}: required in docs/schema?"
                );
            }
            if !required.contains(key.as_str()) {
                fit.extend([(name, absent), (name, null)]);
            }
        }
        let mut newer = full.clone();
        newer["new_in_version_2"] = json!({ "any": ["thing"] });
        assert!(reads(newer.to_string().as_bytes()), "{name}: {newer}");
        fit.extend([(name, newer), (name, full)]);
    }
    assert!(fit.len() > 300, "{}", fit.len());
    assert_eq!(misfits(&fit), [""; 0]);
}

#[test]
fn a_schema_refuses_what_no_reader_takes() {
    let mut wrong = vec![
        ("health", json!({ "ready": "yes" })),
        ("health", json!({ "load1": "much" })),
        ("ack", json!({ "clip_id": "c", "status": "perhaps" })),
        ("config-wanted", json!({ "schema": 2, "version": 1 })),
        ("reply", json!({ "ok": true })),
    ];
    for (name, full, reads) in all() {
        for key in schema(name)["required"].as_array().into_iter().flatten() {
            let mut other = full.clone();
            let map = other.as_object_mut().expect("an object");
            map.remove(key.as_str().expect("a key"));
            assert!(!reads(other.to_string().as_bytes()));
            wrong.push((name, other));
        }
        wrong.push((name, json!([1])));
    }
    let refused = refused(&wrong);
    let taken: Vec<usize> = (0..wrong.len())
        .filter(|at| !refused.contains(at))
        .collect();
    assert_eq!(taken, [0; 0], "{wrong:?}");
}

/// The channel of docs/asyncapi.yaml that is this topic. A new topic does not compile until it has one.
fn channel(topic: &Topic) -> &'static str {
    match topic {
        Topic::State(_) => "state",
        Topic::Birth(_) => "birth",
        Topic::Health(_) => "health",
        Topic::Alert(..) => "alert",
        Topic::Event(..) => "event",
        Topic::Clip(..) => "clip",
        Topic::Part(..) => "part",
        Topic::Withdraw(..) => "withdraw",
        Topic::Reply(..) => "reply",
        Topic::ConfigReport(_) => "configApplied",
        Topic::Ack(..) => "ack",
        Topic::ConfigWanted(_) => "configWanted",
        Topic::Cmd(..) => "command",
        Topic::Media(_) => "media",
        Topic::HubState => "hubState",
    }
}

#[test]
fn asyncapi_has_every_topic_as_the_programs_spell_it() {
    let document = asyncapi();
    let every = [
        Topic::State(booth()),
        Topic::Birth(booth()),
        Topic::Health(booth()),
        Topic::Alert(booth(), "{alert}".into()),
        Topic::Event(booth(), "{kind}".into()),
        Topic::Clip(booth(), "{clip}".into()),
        Topic::Part(booth(), "{clip}".into(), 4711),
        Topic::Withdraw(booth(), "{withdrawal}".into()),
        Topic::Reply(booth(), "{command}".into()),
        Topic::ConfigReport(booth()),
        Topic::Ack(booth(), "{clip}".into()),
        Topic::ConfigWanted(booth()),
        Topic::Cmd(booth(), "{command}".into()),
        Topic::Media(hash()),
        Topic::HubState,
    ];
    let channels = document["channels"].as_object().expect("channels");
    assert_eq!(channels.len(), every.len());
    let topics = Topics::new("{root}");
    for topic in every {
        let name = topics.name(&topic).replace("rundhoej-1", "{booth}");
        let name = name
            .replace("4711", "{offset}")
            .replace(hash().as_str(), "{sha256}");
        let channel = &document["channels"][channel(&topic)];
        assert_eq!(channel["address"], name);
        let asked: BTreeSet<&str> = name.split(['{', '}']).skip(1).step_by(2).collect();
        let known = channel["parameters"]
            .as_object()
            .expect("parameters")
            .keys();
        assert_eq!(asked, known.map(String::as_str).collect(), "{name}");
    }
    for (parameter, table) in [
        ("command", COMMANDS.to_vec()),
        ("kind", EVENT_KINDS.to_vec()),
        ("alert", AlertId::ALL.iter().map(|id| id.as_str()).collect()),
    ] {
        let listed = &document["components"]["parameters"][parameter]["enum"];
        assert_eq!(listed, &json!(table), "{parameter}");
    }
}

#[test]
fn asyncapi_has_an_operation_for_each_channel_and_a_schema_for_each_payload() {
    let document = asyncapi();
    let mut used = BTreeSet::new();
    for operation in document["operations"]
        .as_object()
        .expect("operations")
        .values()
    {
        let place = operation["channel"]["$ref"].as_str().expect("a channel");
        let channel = document.pointer(&place[1..]).expect(place);
        let address = channel["address"].as_str().expect("an address");
        let wanted = if address.starts_with("{root}/up/") {
            "send"
        } else {
            "receive"
        };
        assert_eq!(operation["action"], wanted, "{address}");
        assert_eq!(operation["bindings"]["mqtt"]["qos"], 1, "{address}");
        used.insert(place);
    }
    assert_eq!(
        used.len(),
        document["channels"].as_object().expect("channels").len()
    );
    let messages = document["components"]["messages"]
        .as_object()
        .expect("messages");
    let mut schemas: Vec<String> = messages
        .values()
        .filter_map(|message| Some(message["payload"]["schema"]["$ref"].as_str()?.to_owned()))
        .collect();
    schemas.sort();
    let mut files: Vec<String> = std::fs::read_dir(repository().join("docs/schema"))
        .expect("a folder")
        .map(|entry| format!("schema/{}", entry.expect("an entry").file_name().display()))
        .collect();
    files.sort();
    assert_eq!(schemas, files);
}

#[test]
fn asyncapi_is_what_its_authors_call_valid() {
    let Some(official) = std::env::var_os("ASYNCAPI_SCHEMA") else {
        booth_host::complain!(
            "!! NOT RUN: without ASYNCAPI_SCHEMA. `npm pack @asyncapi/specs` fetches it: package/schemas/3.0.0.json"
        );
        return;
    };
    let faults = faults_by(Path::new(&official), &asyncapi());
    assert_eq!(faults, [""; 0]);
}
