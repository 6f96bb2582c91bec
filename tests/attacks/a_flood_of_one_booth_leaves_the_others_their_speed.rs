//! Whoever has one booth's password sends as fast as a socket takes it, on every topic of that booth: the other booths' clips are stored as
//! before, and the hub stays connected.
//!
//! How fast is measured against the same flood on topics that nobody reads: the broker refuses those, at the same cost for the machine, so that what
//! remains is the hub's part.

use std::time::{Duration, Instant};

use crate::flood::{CALM, City, Flood, LOUD, publish};
use crate::support::hub::Clip;

/// Clips of a block, and how many blocks of each kind take turns.
const CLIPS: u64 = 12;
const BLOCKS: u64 = 4;

/// What is sent again and again: 64 rounds over every kind of message, in QoS 0 and QoS 1. `branch` is whose topics they are.
fn every_kind(branch: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut id = 0_u16;
    for round in 0..64 {
        let clip = format!("6f9619ff-8b86-4d01-b42d-{round:012x}");
        let void = format!(
            "{{\"schema\":1,\"clip_id\":\"{clip}\",\"clip_no\":{},\"card_id\":\"c\",\"booth_id\":\"{LOUD}\",\"kind\":\"void\",\"bytes\":0}}",
            round + 1
        );
        let messages: [(String, Vec<u8>); 7] = [
            ("state".into(), b"{\"schema\":1}".to_vec()),
            ("health".into(), b"{\"ready\":1}".to_vec()),
            (format!("event/invented-{round}"), b"{}".to_vec()),
            (
                format!("alert/invented-{round}"),
                b"{\"id\":\"x\"}".to_vec(),
            ),
            (format!("clip/{clip}"), void.into_bytes()),
            (format!("part/{clip}/{}", 512 * round), vec![7; 512]),
            ("no/topic/of/the/hub".into(), b"rubbish".to_vec()),
        ];
        for (tail, payload) in messages {
            let topic = format!("booth/1/up/{branch}/{tail}");
            for qos in [0, 1] {
                id = id % 60_000 + 1;
                bytes.extend(publish(&topic, (qos == 1).then_some(id), &payload));
            }
        }
    }
    bytes
}

/// How long each clip of the booth takes, in turns beside a flood that nobody reads and beside one that the hub gets.
fn timed(city: &City, booth: &crate::support::hub::Booth) -> [Vec<Duration>; 2] {
    let mut times = [Vec::new(), Vec::new()];
    let (mut clip_no, mut repeats) = (0, 0);
    for _ in 0..BLOCKS {
        for (kind, branch) in [(0, "somebody-else"), (1, LOUD)] {
            let flood = Flood::start(city.broker.port, every_kind(branch));
            for _ in 0..CLIPS {
                clip_no += 1;
                let clip = Clip::new(CALM, clip_no);
                let since = Instant::now();
                repeats += booth.deliver_patiently(&clip, Duration::from_secs(10));
                times[kind].push(since.elapsed());
            }
            let messages = 64 * 14 * flood.stop();
            println!("{branch}: {messages} messages, {repeats} repeats so far");
            assert!(messages > 0, "it flooded");
        }
    }
    for times in &mut times {
        times.sort();
    }
    times
}

#[test]
fn every_clip_of_another_booth_is_stored_beside_a_flood_and_the_hub_stays_connected() {
    let city = City::start();
    let (home, hub, booth) = city.with_hub();
    let [aside, flooded] = timed(&city, &booth);
    // The exact figure is the ignored test's: here the machine may be busy with anything.
    let (aside, flooded) = (aside[aside.len() / 2], flooded[flooded.len() / 2]);
    assert!(flooded < 8 * aside, "{flooded:?} beside {aside:?}");
    for clip_no in 1..=2 * BLOCKS * CLIPS {
        let clip = Clip::new(CALM, clip_no);
        let kept = std::fs::read(home.clip_file(&clip.id)).expect("on disk");
        assert_eq!(kept, clip.body);
    }
    let told = hub.says("look at this sender");
    assert!(told.contains(LOUD), "{told}");
    let page = hub.page("operations");
    assert!(page.contains("Look at these senders"), "{page}");
    assert!(
        !page.contains(&format!("<code>{CALM}</code>")),
        "the honest one is not accused"
    );
    let lines = hub.lines();
    let count = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(count("connected to"), 1, "{lines:#?}");
    assert!(count("look at this sender") < 5, "news once: {lines:#?}");
    assert_eq!(hub.stop().code(), Some(0));
}

#[test]
#[ignore = "a figure: run it alone on a quiet machine with four cores, in release"]
fn beside_a_flood_of_another_a_booth_keeps_nine_tenths_of_its_speed() {
    let city = City::start();
    let (_home, _hub, booth) = city.with_hub();
    let [aside, flooded] = timed(&city, &booth);
    let sum = |times: &[Duration]| times.iter().sum::<Duration>().as_secs_f64();
    let share = sum(&aside) / sum(&flooded);
    println!("aside {aside:?}\nflooded {flooded:?}\nspeed that is left: {share:.3}");
    assert!(share >= 0.9, "{share}");
}
