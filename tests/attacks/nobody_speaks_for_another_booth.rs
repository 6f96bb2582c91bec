//! Whoever has one booth's password and knows another one's id and card: neither can that one speak in its name, nor erase what it
//! said of itself.

use booth_contract::AckStatus;
use serde_json::json;

use booth_testkit::hub::{Booth, Broker, Clip, Home, Hub, booth_hub};
use booth_testkit::wait::until;

const BOOTH: &str = "rundhoej-1";
const THIEF: &str = "rundhoej-2";

fn birth(booth: &Booth, card: &str, session: &str) {
    let payload = json!({"session": session, "card_id": card, "booth_id": booth.id});
    booth.publish("birth", true, payload.to_string());
}

/// The pages look at the store again after a while.
fn comes_to_count(hub: &Hub, total: u64) {
    let sentence = match total {
        1 => "1 answer from".to_owned(),
        n => format!("{n} answers from"),
    };
    hub.shows("", &sentence);
}

#[test]
fn answers_in_another_booths_name_are_kept_and_count_only_after_a_look() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let booth = Booth::connect(broker.port, BOOTH);
    let thief = Booth::connect(broker.port, THIEF);
    booth.hub_becomes("online");
    thief.hub_becomes("online");
    birth(&booth, "card-1", "1-1");
    birth(&thief, "card-2", "1-1");
    booth.deliver(&Clip::new(BOOTH, 1));
    for clip_no in 2..=4 {
        thief.deliver(&Clip::new(BOOTH, clip_no));
    }
    comes_to_count(&hub, 1);
    hub.shows("operations", "stored, and not counted");
    let config = home.config();
    let config = config.to_str().expect("a name");
    let one = Clip::new(BOOTH, 2).id;
    let accepted = booth_hub(&["accept", &one, "--config", config]);
    assert_eq!(accepted.status.code(), Some(0));
    comes_to_count(&hub, 2);
    let accepted = booth_hub(&["accept", "--card", "card-1", "--config", config]);
    assert_eq!(accepted.status.code(), Some(0));
    comes_to_count(&hub, 4);
    assert_eq!(hub.stop().code(), Some(0));
}

#[test]
fn a_card_that_moved_and_says_so_brings_what_was_spoken_at_the_other_booth() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let booth = Booth::connect(broker.port, BOOTH);
    booth.hub_becomes("online");
    birth(&booth, "card-1", "1-1");
    booth.deliver(&Clip::new(BOOTH, 1));
    let other = Booth::connect(broker.port, THIEF);
    other.hub_becomes("online");
    birth(&other, "card-1", "2-1");
    other.deliver(&Clip::new(BOOTH, 2));
    comes_to_count(&hub, 2);
    // The first one is alive with that card after all.
    booth.publish("health", false, r#"{"ready":1}"#);
    hub.shows("operations", "is alive with it");
    birth(&other, "card-1", "2-2");
    let third = Clip::new(BOOTH, 3);
    other.deliver(&third);
    hub.shows("operations", &third.id);
    comes_to_count(&hub, 2);
    assert_eq!(hub.stop().code(), Some(0));
}

#[test]
fn an_emptied_state_erases_neither_the_booth_nor_its_alarm_nor_its_history() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let booth = Booth::connect(broker.port, BOOTH);
    booth.hub_becomes("online");
    birth(&booth, "card-1", "1-1");
    booth.publish("event/tamper", false, "{}");
    let alert = json!({"id": "temperature", "text": "somebody opened it", "session": "1-1", "card_id": "card-1"});
    booth.publish("alert/temperature", true, alert.to_string());
    booth.deliver(&Clip::new(BOOTH, 1));
    for tail in ["state", "birth", "health", "config"] {
        booth.publish(tail, true, "");
    }
    for n in 0..700 {
        booth.publish(&format!("event/noise-{}", n % 70), false, "{}");
    }
    booth.deliver(&Clip::new(BOOTH, 2));
    hub.shows("operations", "somebody opened it");
    booth.publish("alert/temperature", true, "");
    booth.deliver(&Clip::new(BOOTH, 3));
    // A page may show what it showed a moment before.
    until("the page shows that the alarm is over", || {
        (!hub.page("operations").contains("somebody opened it")).then_some(())
    });
    assert_eq!(hub.stop().code(), Some(0));
    let config = home.config();
    let told = booth_hub(&[
        "history",
        BOOTH,
        "--config",
        config.to_str().expect("a name"),
    ]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    for what in [
        " event tamper: ",
        " cleared temperature: ",
        "somebody opened it",
    ] {
        assert!(told.contains(what), "{told}");
    }
    assert_eq!(booth.hub_becomes("lost").len(), 0);
}

#[test]
fn a_rejected_version_costs_its_booth_nothing_that_it_has() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let _hub = Hub::start(&home);
    let booth = Booth::connect(broker.port, BOOTH);
    let thief = Booth::connect(broker.port, THIEF);
    booth.hub_becomes("online");
    thief.hub_becomes("online");
    birth(&booth, "card-1", "1-1");
    let clip = Clip::new(BOOTH, 1);
    // The thief is first, whole, and in the booth's name.
    let mut bad = Clip::new(BOOTH, 9);
    bad.id.clone_from(&clip.id);
    bad.manifest["clip_id"] = json!(clip.id);
    thief.deliver(&bad);
    booth.deliver(&clip);
    let body = std::fs::read(home.clip_file(&clip.id)).expect("there");
    assert!(body == clip.body);
    thief.offer(&bad);
    assert_eq!(thief.ack().status, AckStatus::Reject);
}
