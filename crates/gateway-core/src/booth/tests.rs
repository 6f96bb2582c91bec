use super::*;
use crate::bell::Bell;
use crate::delivery::Confirmation;
use crate::microphone::ToneTest;
use crate::prompt::Prompt;
use crate::session::{HandsetEvent, MayPublish, Offer, OpenQuestion, QuestionKind, SessionRules};
use booth_contract::ConsentMode;
use booth_contract::time::Timestamp;

const STARTED: Mono = Mono(20_000);

pub(super) fn around(now: Mono) -> Around {
    Around {
        wall: Timestamp::from_millisecond(1_796_122_800_000 + now.0 as i64).expect("a time"),
        clock_synced: true,
        local_day: 20_788,
        local_minute: 12 * 60,
        microphone_floor_dbfs: None,
        has_spool: true,
        is_all_sent: true,
    }
}

/// A booth with one question and nothing known of its parts.
fn booth() -> Booth {
    let id = booth_contract::BoothId::parse("rundhoej-1").expect("an id");
    let topics = booth_contract::Topics::new("booth/1");
    booth_with(CentreRules::bare(id, topics, "boot".into()))
}

/// The same with these dealings with the centre.
pub(super) fn booth_with(centre: CentreRules) -> Booth {
    let rules = Rules {
        health_every: Duration::from_secs(60),
        tone_test: ToneTest::TellsOnly,
        selftest_at: None,
        bell: Bell::default(),
        scheduled_ringing: None,
        configuration: 1,
        has_lamp: false,
        centre,
    };
    let session = SessionRules {
        consent: ConsentMode::Digit,
        emergency_numbers: Vec::new(),
        service_code: Vec::new(),
        withdraw_code: Vec::new(),
        min: Duration::from_secs(1),
        seals: true,
    };
    let mut evidence = Evidence::at_start(STARTED);
    evidence.questions = 1;
    let mut booth = Booth::new(
        STARTED,
        rules,
        Session::new(session),
        Delivery::new(Confirmation::Hub),
        Quarantine::new("boot".into()),
        evidence,
    );
    let question = OpenQuestion {
        id: "q".into(),
        campaign_id: None,
        digit: 1,
        prompt: Prompt::Question("q".into()),
        kind: QuestionKind::Speak,
        publish: MayPublish::No,
        max: None,
    };
    for input in [
        Input::HandsetAtStart { off_hook: false },
        Input::Offer(Offer {
            questions: vec![question],
            lang: "da".into(),
            ..Offer::default()
        }),
    ] {
        booth.handle(STARTED, &around(STARTED), Event::Visit(input));
    }
    booth
}

/// Everything works from now on.
pub(super) fn works(booth: &mut Booth) {
    let evidence = &mut booth.evidence;
    (evidence.capture, evidence.playback, evidence.handset) = (Ok(()), Ok(()), Ok(()));
    evidence.spool = Ok(());
}

fn turn(booth: &mut Booth, now: Mono) -> Vec<Command> {
    booth.handle(now, &around(now), Event::Turn)
}

#[test]
fn a_booth_whose_parts_work_is_ready_and_says_once_since_when() {
    let mut booth = booth();
    let commands = turn(&mut booth, Mono(25_000));
    assert!(!booth.is_ready());
    assert!(commands.iter().any(|command| matches!(
        command,
        Command::SayAlert {
            is_starting: false,
            ..
        }
    )));
    works(&mut booth);
    let commands = turn(&mut booth, Mono(26_000));
    assert!(booth.is_ready());
    assert!(
        commands
            .iter()
            .any(|command| matches!(command, Command::ShowReady(true)))
    );
    assert_eq!(booth.first_ready(), Some(Mono(26_000)));
    let saved = booth.unsaved().expect("it is to be remembered");
    assert_eq!(saved["ready_at_ms"], 26_000);
    assert_eq!(booth.unsaved(), None);
    let commands = turn(&mut booth, Mono(27_000));
    assert!(!commands.iter().any(|command| matches!(
        command,
        Command::FirstReady(_) | Command::ShowReady(_) | Command::SayAlert { .. }
    )));
}

#[test]
fn a_restart_in_the_same_boot_remembers_since_when_and_another_boot_does_not() {
    let mut before = booth();
    works(&mut before);
    before.boot_count = 7;
    turn(&mut before, Mono(26_000));
    let saved = before.unsaved().expect("it is to be remembered");
    for (boot_count, first_ready) in [(7, Mono(26_000)), (8, Mono(90_000))] {
        let mut booth = booth();
        let now = Mono(90_000);
        let opened = Event::SpoolOpened {
            saved: saved.clone(),
            card_id: "card-1".into(),
            boot_count,
            is_known: false,
            watchdog_reset: false,
            first_seen: None,
            memory: Box::default(),
        };
        booth.handle(now, &around(now), opened);
        works(&mut booth);
        turn(&mut booth, now);
        assert_eq!(booth.first_ready(), Some(first_ready));
    }
}

#[test]
fn the_next_turn_is_never_in_the_past_and_never_later_than_the_next_weighing() {
    let mut booth = booth();
    works(&mut booth);
    for ms in (20_000..120_000).step_by(777) {
        let now = Mono(ms);
        if ms > 60_000 && !booth.session().is_off_hook() {
            let lifted = Event::Visit(Input::Handset(HandsetEvent::Lifted));
            booth.handle(now, &around(now), lifted);
        }
        turn(&mut booth, now);
        let due = booth.deadline(now, &around(now));
        assert!(due >= now && due <= now + weigh::EVERY, "{now:?} {due:?}");
    }
}

#[test]
fn a_hub_that_has_come_gets_one_introduction_and_the_clock_that_it_missed() {
    let mut booth = booth();
    let now = Mono(30_000);
    booth.handle(now, &around(now), Event::Connected { max_packet: None });
    let wait = Duration::from_secs(5);
    booth.hub_says(now, true, wait);
    // A repetition changes nothing.
    booth.hub_says(Mono(31_000), true, wait);
    let introduces = |commands: &[Command]| {
        let is_one = |command: &&Command| matches!(command, Command::Introduce);
        commands.iter().filter(is_one).count()
    };
    assert_eq!(introduces(&turn(&mut booth, Mono(34_999))), 0);
    // The former one still waits for the broker.
    let mut waits = around(Mono(35_000));
    waits.is_all_sent = false;
    assert_eq!(
        introduces(&booth.handle(Mono(35_000), &waits, Event::Turn)),
        0
    );
    let commands = turn(&mut booth, Mono(35_001));
    assert_eq!(introduces(&commands), 1);
    let says_clock = |command: &Command| matches!(command, Command::SayClock { .. });
    assert!(commands.iter().any(says_clock), "nobody heard it before");
    assert_eq!(introduces(&turn(&mut booth, Mono(60_000))), 0);
}

#[test]
fn whoever_asks_for_a_self_test_while_somebody_is_there_is_answered_at_once_and_no_more_often_than_the_pace()
 {
    let mut booth = booth();
    works(&mut booth);
    let now = Mono(30_000);
    turn(&mut booth, now);
    let lifted = Event::Visit(Input::Handset(HandsetEvent::Lifted));
    booth.handle(now, &around(now), lifted);
    let tested = |commands: Vec<Command>| {
        let is_answer = |command: &Command| matches!(command, Command::SelfTested { .. });
        commands.iter().any(is_answer)
    };
    let asks = || Event::Incoming {
        topic: "booth/1/dn/rundhoej-1/cmd/selftest".into(),
        payload: b"{}".to_vec(),
        correlation: None,
    };
    booth.handle(now, &around(now), asks());
    assert!(tested(turn(&mut booth, now)));
    booth.handle(now, &around(now), Event::Tested(serde_json::json!({})));
    booth.handle(now, &around(now), asks());
    assert!(!tested(turn(&mut booth, Mono(31_999))));
    assert!(tested(turn(&mut booth, Mono(32_000))));
}

/// What a booth wants of its connection.
fn of_the_link(commands: &[Command]) -> Vec<String> {
    let of_one = |command: &Command| match command {
        Command::StepBack(evidence) => Some(format!("steps back: {evidence}")),
        Command::ConnectAgain { steps_back: true } => Some("again after the long pause".into()),
        Command::ConnectAgain { steps_back: false } => Some("again".into()),
        _ => None,
    };
    commands.iter().filter_map(of_one).collect()
}

/// A booth with an open card, connected.
fn connected_with_card() -> Booth {
    let mut booth = booth();
    works(&mut booth);
    let now = Mono(30_000);
    let opened = Event::SpoolOpened {
        saved: BTreeMap::new(),
        card_id: "card-1".into(),
        boot_count: 7,
        is_known: false,
        watchdog_reset: false,
        first_seen: None,
        memory: Box::default(),
    };
    booth.handle(now, &around(now), opened);
    booth.handle(now, &around(now), Event::Connected { max_packet: None });
    booth
}

fn state_comes(booth: &mut Booth, of: &str, payload: &str) -> Vec<String> {
    let now = Mono(40_000);
    let event = Event::Incoming {
        topic: format!("booth/1/up/{of}/state"),
        payload: payload.into(),
        correlation: None,
    };
    of_the_link(&booth.handle(now, &around(now), event))
}

fn lost(booth: &mut Booth, loss: Loss, why: &str) -> Vec<String> {
    let (now, why) = (Mono(41_000), why.to_owned());
    let event = Event::Disconnected { why, loss };
    let wants = of_the_link(&booth.handle(now, &around(now), event));
    turn(booth, Mono(42_000));
    wants
}

fn duplicate(booth: &Booth) -> Option<&String> {
    booth.faults().get(&AlertId::DuplicateIdentity)
}

const ANOTHER: &str =
    r#"{"state":"online","session":"3-77","card_id":"card-2","boot_id":"another-boot"}"#;

#[test]
fn a_lost_connection_is_made_again_and_is_no_other_device() {
    let mut booth = connected_with_card();
    for _ in 0..5 {
        assert_eq!(lost(&mut booth, Loss::Other, "it closed"), ["again"]);
    }
    assert_eq!(duplicate(&booth), None);
}

#[test]
fn the_brokers_word_that_another_device_came_raises_the_alert_and_the_booth_steps_back() {
    let mut booth = connected_with_card();
    let wants = lost(&mut booth, Loss::TakenOver, "session taken over");
    assert_eq!(wants, ["again after the long pause"]);
    let text = duplicate(&booth).expect("raised");
    assert!(text.ends_with("session taken over"), "{text}");
    // A connection that lasts ends the alert; the next loss is one like any other.
    let now = Mono(300_000);
    booth.handle(now, &around(now), Event::Connected { max_packet: None });
    turn(&mut booth, Mono(359_999));
    assert!(duplicate(&booth).is_some());
    turn(&mut booth, Mono(360_000));
    assert_eq!(duplicate(&booth), None);
    assert_eq!(lost(&mut booth, Loss::Other, "it closed"), ["again"]);
    assert_eq!(duplicate(&booth), None);
}

#[test]
fn another_devices_state_in_the_booths_topic_makes_it_leave_once_and_step_back() {
    let mut booth = connected_with_card();
    let own = r#"{"state":"online","session":"7-30000","card_id":"card-1","boot_id":"boot"}"#;
    assert!(state_comes(&mut booth, "rundhoej-1", own).is_empty());
    assert!(state_comes(&mut booth, "torvet-2", ANOTHER).is_empty());
    let wants = state_comes(&mut booth, "rundhoej-1", ANOTHER);
    assert_eq!(wants.len(), 1);
    assert!(wants[0].starts_with("steps back") && wants[0].contains("card-2"));
    assert!(state_comes(&mut booth, "rundhoej-1", ANOTHER).is_empty());
    let wants = lost(&mut booth, Loss::SteppedBack, "it left because of card-2");
    assert_eq!(wants, ["again after the long pause"]);
    let text = duplicate(&booth).expect("raised");
    assert!(text.ends_with("it left because of card-2"), "{text}");
}

#[test]
fn evidence_counts_although_the_connection_ended_before_the_booth_could_leave() {
    let mut booth = connected_with_card();
    state_comes(&mut booth, "rundhoej-1", ANOTHER);
    let wants = lost(&mut booth, Loss::Other, "reset by peer");
    assert_eq!(wants, ["again after the long pause"]);
    let text = duplicate(&booth).expect("raised");
    assert!(text.contains("card-2") && !text.contains("reset"), "{text}");
    // It was that connection's.
    assert_eq!(lost(&mut booth, Loss::Other, "reset by peer"), ["again"]);
}

#[test]
fn a_message_that_was_finished_late_is_counted() {
    let mut booth = booth();
    let now = STARTED + Duration::from_secs(1);
    booth.handle(now, &around(now), Event::KeptLate);
    assert_eq!(booth.counters.saved().get("clips_total"), Some(&1));
}
