//! The words of the file, in both languages.

use std::path::PathBuf;

use super::*;
use crate::provision::judge::KeyVerdict;
use crate::provision::network::NetworkSecret;
use crate::provision::network::{ConnectionNews, Way};
use crate::provision::vault::Role;
use crate::provision::{SecretNews, Source};

fn connection(way: Way, name: &str, uuids: &[&str], secret: Option<&str>) -> ConnectionNews {
    ConnectionNews {
        way,
        name: name.into(),
        profiles: uuids.iter().map(|uuid| (*uuid).to_owned()).collect(),
        secrets: secret
            .map(|fault| NetworkSecret {
                slot: "wifi-0".into(),
                name: "wifi-password".into(),
                since: Some("2026-11-20T10:00:00Z".into()),
                number: 2,
                is_new: false,
                fault: Some(fault.into()),
            })
            .into_iter()
            .collect(),
    }
}

fn facts() -> Facts {
    let outcome = Outcome {
        schema: 1,
        at: "2026-11-25T10:00:00Z".into(),
        source: Source::Kept {
            since: "2026-11-01T08:30:00Z".into(),
        },
        booth_id: "rundhoej-1".into(),
        name: "Rundhøj Torv".into(),
        contact: "Borgerservice, tel. 89 40 20 00".into(),
        language: "da".into(),
        timezone: "Europe/Copenhagen".into(),
        spool: PathBuf::from("/var/lib/booth-gateway"),
        socket: PathBuf::from("/run/x"),
        broker: Some("mqtts://broker.example".into()),
        file: Some("BOOTH.TOML".into()),
        hash: String::new(),
        keys: vec![
            KeyVerdict {
                key: "[booth] id".into(),
                line: 2,
                fault: None,
                is_unknown: false,
            },
            KeyVerdict {
                key: "[booth] naem".into(),
                line: 3,
                fault: Some("unknown field `naem`".into()),
                is_unknown: true,
            },
        ],
        faults: vec![
            "BOOTH.TOML:3: [booth] naem: unknown field `naem`; did you mean `name`?".into(),
        ],
        secrets: vec![SecretNews {
            role: Role::Password,
            name: "mqtt-password".into(),
            since: Some("2026-11-01T08:30:00Z".into()),
            is_new: false,
            fault: None,
        }],
        candidate: Some(3),
        refused: None,
        networks: vec![
            connection(Way::Wired, "", &["u-0"], None),
            connection(Way::Wifi, "Gæst", &["u-1", "u-2"], Some("kept")),
            connection(Way::Modem, "internet", &[], None),
        ],
        notes: Vec::new(),
    };
    let answer = r#"{"ready":1,"connected":0,"spool_clips":3,"oldest_unsent_s":3600,"pid":7,
        "faults":[{"id":"not_connected","text":"No broker.","remedy":"Look at the network."}],
        "unused_prompts":["prompts/da/notice.wma is not used; convert it"],
        "findings":[{"area":"broker","verdict":"fault","sentence":"The broker refused the password.","remedy":"Correct it."}]}"#;
    Facts {
        outcome,
        gateway: serde_json::from_str(answer).ok(),
        ip: Some("10.0.0.7".into()),
        connected: Some(vec![("u-2".into(), "wlan0".into())]),
        sw_version: "0.1.0".into(),
        image: None,
        partition: None,
        card_id: Some("c0ffee".into()),
        clips: 0,
        oldest: None,
        clock_synced: true,
        now: "2026-11-25T16:00:30Z".parse().expect("a time"),
    }
}

#[test]
fn the_status_says_everything_in_danish_and_english_as_any_laptop_shows_it() {
    let text = render(&facts());
    assert!(text.starts_with("\u{feff}BOOTH STATUS 2026-11-25 17:00\r\n"));
    assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
    for part in [
        "FORMATÉR IKKE DETTE KORT. Beskeder fra borgere, der kun findes på kortet: 3, den ældste siden 2026-11-25 16:00.",
        "DO NOT FORMAT THIS CARD.",
        "Send it to: Borgerservice, tel. 89 40 20 00",
        "Boks: rundhoej-1 (Rundhøj Torv). Kortets booth.toml bruges IKKE. Boksen fortsætter med den fra 2026-11-01 09:30.",
        "BOOTH.TOML:3: [booth] naem: unknown field `naem`; did you mean `name`?",
        "[booth] naem (linje 3): UKENDT NØGLE",
        "[booth] id (line 2): right, but not used",
        "Password (mqtt-password): kept since 2026-11-01 09:30",
        "The new credentials have not connected yet",
        "Broker: NOT connected (mqtts://broker.example).",
        "The broker refused the password. Correct it.",
        "Indtalinger, der ikke bruges:\r\n  - prompts/da/notice.wma is not used; convert it",
        "Netværk:\r\n  - Kablet, DHCP: ikke forbundet",
        "Wi-Fi \"Gæst\": connected with the FORMER password, the new one has not connected (wlan0)",
        "wifi-password: kept since 2026-11-20 11:00; kept",
        "Mobilmodem (internet): BRUGES IKKE",
        "Address: 10.0.0.7",
        "Card: c0ffee",
    ] {
        assert!(text.contains(part), "{part} missing in\n{text}");
    }
    assert!(text.find("Dansk") < text.find("English"));
}

#[test]
fn messages_that_no_program_reads_any_more_are_told_first() {
    let mut facts = facts();
    let why = "it lies untouched before sector 1234944 of the card";
    facts.partition = Some(Partition::MovedAside(why.into()));
    facts.gateway = None;
    facts.clips = 0;
    let text = render(&facts);
    for part in [
        "FORMATÉR IKKE DETTE KORT. Dets tidligere datapartition kunne ikke repareres og ligger urørt før sektor 1234944",
        "DO NOT FORMAT THIS CARD. Its former data partition was beyond repair and lies untouched before sector 1234944",
        "Send it to: Borgerservice, tel. 89 40 20 00",
    ] {
        assert!(text.contains(part), "{part} missing in\n{text}");
    }
    assert!(!text.contains("No message is only on this card"));
    facts.partition = Some(Partition::Missing("the card is too small".into()));
    let text = render(&facts);
    assert!(text.contains("OF THIS CARD (the card is too small). DO NOT FORMAT IT"));
    facts.partition = Some(Partition::Sound);
    assert!(render(&facts).contains("No message is only on this card"));
}

#[test]
fn time_alone_is_no_news() {
    let before = render(&facts());
    let mut later = facts();
    later.now = "2026-11-25T16:10:30Z".parse().expect("a time");
    if let Some(gateway) = &mut later.gateway {
        gateway.oldest_unsent_s += 600;
    }
    assert!(is_same(&before, &render(&later)));
    assert_ne!(before, render(&later));
    later.ip = None;
    assert!(!is_same(&before, &render(&later)));
    assert!(!is_same("", ""));
}

#[test]
fn a_booth_that_is_not_set_up_says_so_and_control_characters_stay_out() {
    let mut facts = facts();
    facts.outcome.source = Source::NotSetUp;
    facts.outcome.language = "en".into();
    facts.outcome.contact = "a\u{7}\nb".into();
    facts.gateway = None;
    facts.clips = 2;
    facts.oldest = "2026-11-24T16:00:30Z".parse().ok();
    let text = render(&facts);
    assert!(text.contains("NOT SET UP") && !text.contains("Dansk"));
    assert!(text.contains("Send it to: a  b"), "{text}");
    assert!(text.contains("only on it: 2, the oldest since 2026-11-24 17:00"));
}
