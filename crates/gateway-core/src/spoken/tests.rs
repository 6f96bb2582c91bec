use proptest::prelude::*;

use super::*;

/// A booth in order.
fn sound() -> ServiceFacts {
    ServiceFacts {
        booth_id: "rundhoej-1".into(),
        has_name_recording: false,
        ip: Some("192.168.1.20".into()),
        broker: BrokerState::Connected,
        hub_online: true,
        unsent: 0,
        oldest_unsent: None,
        faults: Vec::new(),
        card_moved: false,
        clock_synced: true,
    }
}

fn english(facts: &ServiceFacts) -> String {
    text(&report(facts, Language::English), Language::English)
}

fn danish(facts: &ServiceFacts) -> String {
    text(&report(facts, Language::Danish), Language::Danish)
}

#[test]
fn a_booth_in_order_says_its_name_address_broker_hub_messages_and_no_faults() {
    assert_eq!(
        english(&sound()),
        "Service. This booth is called: r u n d h o e j dash one … Network address: one nine two dot \
         one six eight dot one dot two zero … The broker is connected. The centre is listening. \
         No message is waiting on this card. No faults."
    );
    assert_eq!(
        danish(&sound()),
        "Service. Denne boks hedder: r u n d h o e j bindestreg et … Netværksadresse: et ni to punktum \
         et seks otte punktum et punktum to nul … Der er forbindelse til serveren. Centralen lytter. \
         Ingen beskeder venter på dette kort. Ingen fejl."
    );
}

#[test]
fn a_booth_in_trouble_says_everything_worst_fault_first_and_nothing_twice() {
    let facts = ServiceFacts {
        has_name_recording: true,
        ip: None,
        broker: BrokerState::LoginRefused,
        hub_online: false,
        unsent: 21,
        oldest_unsent: Some(Duration::from_secs(50 * 3600)),
        faults: vec![
            AlertId::Temperature,
            AlertId::Power,
            AlertId::NotConnected,
            AlertId::ClockUnset,
            AlertId::HardwareChanged,
            AlertId::HubNotListening,
            AlertId::SpoolFull,
            AlertId::Power,
        ],
        card_moved: true,
        clock_synced: false,
        ..sound()
    };
    assert_eq!(
        english(&facts),
        "Service. This booth is called: [name] … No network address. Check the network cable or the \
         wireless network. … The broker refuses the login. Check the password of this booth. \
         twenty one messages are only on this card. The oldest has been waiting for more than two days. \
         This card was in another machine before. The clock has not been set since the start. \
         Check the network. four faults. The first three: \
         The card is full. Restore the connection, or swap the card. \
         The supply voltage is too low. Check the power supply and its cable. \
         The centre does not listen to this booth. Ask the centre to check its hub."
    );
    assert!(danish(&facts).contains(
        "en og tyve beskeder findes kun på dette kort. Den ældste har ventet i mere end to dage."
    ));
}

#[test]
fn a_fault_that_is_left_when_the_rest_was_told_is_no_further_fault() {
    let facts = ServiceFacts {
        broker: BrokerState::NotReached,
        faults: vec![AlertId::NotConnected],
        ..sound()
    };
    assert!(
        english(&facts)
            .ends_with("Check the network. No message is waiting on this card. No further faults.")
    );
    let facts = ServiceFacts {
        faults: vec![AlertId::Power],
        ..sound()
    };
    let said = danish(&facts);
    assert!(
        said.ends_with("en fejl. Spændingen er for lav. Kontrollér strømforsyningen og kablet."),
        "{said}"
    );
}

#[test]
fn one_message_is_singular_and_ages_have_their_largest_unit() {
    let said = |unsent, seconds, language| {
        let facts = ServiceFacts {
            unsent,
            oldest_unsent: Some(Duration::from_secs(seconds)),
            ..sound()
        };
        text(&report(&facts, language), language)
    };
    for (seconds, en, da) in [
        (59, "less than one minute.", "mindre end et minut."),
        (60, "more than one minute.", "mere end et minut."),
        (
            3_599,
            "more than fifty nine minutes.",
            "mere end ni og halvtreds minutter.",
        ),
        (3_600, "more than one hour.", "mere end en time."),
        (
            86_399,
            "more than twenty three hours.",
            "mere end tre og tyve timer.",
        ),
        (86_400, "more than one day.", "mere end en dag."),
        (
            8_726_400,
            "more than one hundred and one days.",
            "mere end et hundrede og en dage.",
        ),
    ] {
        let message = said(1, seconds, Language::English);
        assert!(
            message.contains("one message is only on this card. The oldest has been waiting for")
        );
        assert!(message.contains(en), "{message}");
        let message = said(1, seconds, Language::Danish);
        assert!(
            message.contains("en besked findes kun på dette kort."),
            "{message}"
        );
        assert!(message.contains(da), "{message}");
    }
}

#[test]
fn addresses_are_read_digit_by_digit_and_what_is_none_is_said_to_be_missing() {
    let said = |ip: &str| {
        let facts = ServiceFacts {
            ip: Some(ip.into()),
            ..sound()
        };
        english(&facts)
    };
    let v6 = said("FE80:0:0::2a%wlan0");
    assert!(
        v6.contains("Network address: f e eight zero colon colon two a … The broker"),
        "{v6}"
    );
    assert!(said("10.0.0.7/24").contains("one zero dot zero dot zero dot seven … The"));
    for none in ["", "booth", "1.2.3", "0.0.0.0", "::", "１.２.３.４"] {
        assert!(said(none).contains("No network address."), "{none}");
    }
}

#[test]
fn every_alert_has_a_sentence_of_its_own_and_every_such_sentence_an_alert() {
    for id in AlertId::ALL {
        assert_ne!(
            alert(*id),
            Word::AlertUnknown,
            "{} needs a row in prompt/table.rs and a recording (adapters/voice/make.sh)",
            id.as_str()
        );
    }
    for word in Word::ALL {
        if let Some(name) = word.name().strip_prefix("alert_") {
            assert!(
                AlertId::parse(name).is_some() || name == "unknown",
                "{name}"
            );
        }
    }
}

#[test]
fn every_word_of_the_table_can_be_said() {
    // These words are said by the service session, not by the report.
    let session = Word::ALL
        .iter()
        .skip_while(|word| **word != Word::SpeakTest);
    let mut said: Vec<Word> = session.copied().collect();
    let mut facts = sound();
    for broker in [
        BrokerState::NotConfigured,
        BrokerState::NotReached,
        BrokerState::LoginRefused,
        BrokerState::NameNotFound,
        BrokerState::TlsFailed,
        BrokerState::Connected,
    ] {
        facts.broker = broker;
        said.extend(words_of(&facts));
    }
    facts.hub_online = false;
    facts.faults = vec![AlertId::Power];
    for seconds in [0, 60, 120, 3_600, 7_200, 86_400, 172_800] {
        facts.unsent = 1;
        facts.oldest_unsent = Some(Duration::from_secs(seconds));
        said.extend(words_of(&facts));
    }
    facts.faults = AlertId::ALL.to_vec();
    facts.card_moved = true;
    facts.ip = Some("::1".into());
    for unsent in (2..130).chain([1_000_000]) {
        facts.unsent = unsent;
        said.extend(words_of(&facts));
    }
    facts.ip = None;
    facts.faults.clear();
    said.extend(words_of(&facts));
    said.extend(AlertId::ALL.iter().map(|id| alert(*id)));
    said.extend(spelled("abcdefghijklmnopqrstuvwxyz-"));
    said.push(Word::AlertUnknown);
    for word in Word::ALL {
        assert!(said.contains(word), "{word:?} is never said");
    }
}

fn words_of(facts: &ServiceFacts) -> Vec<Word> {
    let prompts = report(facts, Language::Danish);
    let word = |prompt| match prompt {
        Prompt::Word(word) => Some(word),
        _ => None,
    };
    prompts.into_iter().filter_map(word).collect()
}

fn any_facts() -> impl Strategy<Value = ServiceFacts> {
    let broker = prop_oneof![
        Just(BrokerState::Connected),
        Just(BrokerState::NotConfigured),
        Just(BrokerState::NotReached),
        Just(BrokerState::LoginRefused),
        Just(BrokerState::NameNotFound),
        Just(BrokerState::TlsFailed),
    ];
    let ip = prop_oneof![
        any::<std::net::Ipv6Addr>().prop_map(|ip| ip.to_string()),
        any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
        any::<String>(),
        "[0-9a-fA-F:.%/]{0,60}",
    ];
    let count = prop_oneof![any::<u64>(), 0..1_100_000u64];
    let age = prop_oneof![any::<u64>(), 0..10_000_000u64].prop_map(Duration::from_secs);
    let id = prop_oneof![any::<String>(), "[a-z0-9-]{3,32}", "[a-z]{40,60}"];
    let faults = prop::collection::vec(prop::sample::select(AlertId::ALL), 0..40);
    (
        (
            id,
            any::<bool>(),
            prop::option::of(ip),
            broker,
            any::<bool>(),
        ),
        (
            count,
            prop::option::of(age),
            faults,
            any::<bool>(),
            any::<bool>(),
        ),
    )
        .prop_map(
            |(
                (booth_id, has_name_recording, ip, broker, hub_online),
                (unsent, oldest_unsent, faults, card_moved, clock_synced),
            )| ServiceFacts {
                booth_id,
                has_name_recording,
                ip,
                broker,
                hub_online,
                unsent,
                oldest_unsent,
                faults,
                card_moved,
                clock_synced,
            },
        )
}

proptest! {
    #[test]
    fn whatever_the_facts_are_the_report_is_bounded_and_made_of_words(
        facts in any_facts(),
        danish in any::<bool>(),
    ) {
        let language = if danish { Language::Danish } else { Language::English };
        let said = report(&facts, language);
        prop_assert!(said.len() <= MAX_PROMPTS, "{} prompts", said.len());
        prop_assert_eq!(said.first(), Some(&Prompt::Word(Word::ServiceIntro)));
        let names = said.iter().filter(|prompt| **prompt == Prompt::BoothName).count();
        prop_assert_eq!(names, usize::from(facts.has_name_recording));
        let words = said.iter().filter(|prompt| matches!(prompt, Prompt::Word(_))).count();
        prop_assert_eq!(words + names + 2, said.len());
        let remedies = said.iter().filter(|prompt| matches!(prompt,
            Prompt::Word(word) if word.name().starts_with("alert_"))).count();
        prop_assert!(remedies <= MAX_FAULTS + 1);
        let faultless = said.contains(&Prompt::Word(Word::NoFaults));
        prop_assert!(!faultless || facts.faults.is_empty());
    }
}
