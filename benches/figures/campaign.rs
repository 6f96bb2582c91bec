//! How soon a campaign of the centre is live at a booth.

use std::time::Instant;

use booth_testkit::centre::hex_sha256;
use booth_testkit::gateway::{BoothHome, Gateway};
use booth_testkit::hub::{Booth as Client, Broker};
use booth_testkit::prompts::coded;
use serde_json::{Value, json};

use super::Table;

/// Questions of the campaign, and how long the prompt of each is, ms.
const QUESTIONS: u8 = 8;
const PROMPT_MS: usize = 20_000;
/// Bits per second of the prompts: what `booth-hub campaign` makes of 20 s.
const BITRATE: i32 = 24_000;

/// From publishing to the event `config_applied`, and how long its bytes take on a slow line.
pub(super) fn figures(table: &mut Table, times: usize) {
    eprintln!("{times} campaigns …");
    let broker = Broker::open();
    let home = BoothHome::new(broker.port, "");
    let gateway = Gateway::start_deaf(&home);
    gateway.reaches("connected", 1);
    let events = ["booth/1/up/rundhoej-1/event/config_applied".to_owned()];
    let city = Client::listening(broker.port, "city", &events);
    let (mut took, mut sent) = (Vec::new(), 0usize);
    for n in 0..times {
        // Other sounds each time: none of them is on the card yet.
        let pitch = |digit: u8| 200.0 + 100.0 * f64::from(digit) + n as f64;
        let sounds: Vec<Vec<u8>> = (1..=QUESTIONS)
            .map(|digit| coded(pitch(digit), PROMPT_MS, BITRATE))
            .collect();
        let questions: Vec<Value> = sounds
            .iter()
            .zip(1..)
            .map(|(sound, digit)| {
                let hash = hex_sha256(sound);
                json!({"id": format!("q{digit}"), "digit": digit, "kind": "speak", "prompt": {"da": hash}})
            })
            .collect();
        let text = json!({"schema": 1, "version": n + 1, "campaigns": [{"id": "c", "questions": questions}]});
        let text = text.to_string();
        let began = Instant::now();
        for sound in &sounds {
            let topic = format!("booth/1/media/{}", hex_sha256(sound));
            city.publish_at(&topic, true, sound.clone());
        }
        city.publish_at("booth/1/dn/rundhoej-1/config", true, text.clone());
        city.hear("config_applied");
        took.push(began.elapsed().as_secs_f64());
        // Besides its payload each message has a topic of some 80 bytes and, with its subscription and its end, some 300 more.
        sent = sounds.iter().map(|sound| sound.len() + 380).sum::<usize>() + text.len() + 100;
    }
    took.sort_by(f64::total_cmp);
    let slowest = took.last().copied().unwrap_or_default();
    table.row(
        "a campaign of 8 questions with prompts of 20 s is live, s, slowest",
        slowest,
        "≤ 3",
        times,
    );
    table.row(
        "its bytes at 64 kbit/s, s",
        sent as f64 * 8.0 / 64_000.0,
        "≤ 75",
        1,
    );
    gateway.kill();
}
