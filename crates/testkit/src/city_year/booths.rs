//! Twelve booths that have a year behind them: they deliver it to the hub over the broker, each message as a booth would.

use std::time::Duration;

use crate::hub::{Booth, Clip};
use booth_contract::AckStatus;
use booth_contract::manifest::text_of_choice;
use jiff::civil::Date;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::corpus::Said;

/// Messages that one booth has on their way; the hub grants a sender more.
const WINDOW: usize = 8;
/// Without an answer for so long a booth asks again (contract §3.4).
const PATIENCE: Duration = Duration::from_secs(10);

/// A message that a booth still has.
pub(super) struct Kept {
    pub(super) said: Option<usize>,
    pub(super) campaign: &'static str,
    pub(super) question: &'static str,
    pub(super) choice: Option<u8>,
    pub(super) at: jiff::Timestamp,
    pub(super) publish: &'static str,
}

/// A source of choices that is the same in every run (SplitMix64).
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `most`.
    pub(super) fn below(&mut self, most: usize) -> usize {
        (self.next() % most as u64) as usize
    }

    /// Whether something happens that happens so often in a hundred times.
    pub(super) fn often(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// When people speak: rarely at night, most in the afternoon, more at weekends.
pub(super) fn moment(chance: &mut Chance, day: Date) -> jiff::Timestamp {
    let hours = [
        0, 0, 0, 0, 0, 0, 1, 3, 5, 5, 6, 7, 8, 8, 9, 10, 11, 10, 8, 6, 4, 3, 2, 1,
    ];
    let total: usize = hours.iter().sum();
    let mut at = chance.below(total);
    let mut hour = 0;
    for (candidate, weight) in hours.iter().enumerate() {
        if at < *weight {
            hour = candidate;
            break;
        }
        at -= weight;
    }
    let (minute, second) = (chance.below(60) as i8, chance.below(60) as i8);
    let local = day.at(hour as i8, minute, second, 0);
    let zone = jiff::tz::TimeZone::get("Europe/Copenhagen").expect("bundled");
    let zoned = local.to_zoned_datetime(zone).expect("a day of this year");
    zoned.timestamp()
}

/// Delivers everything, in order, until the hub has all of it. Answers the ids.
pub(super) fn deliver(port: u16, booth: &str, kept: &[Kept], said: &[Said]) -> Vec<String> {
    let client = Booth::connect(port, booth);
    client.publish(
        "birth",
        true,
        json!({"schema": 1, "booth_id": booth, "name": booth, "session": "1-5", "boot_id": "b", "boot_count": 1, "card_id": card(booth),
            "sw_version": "demo", "health_interval_s": 60})
        .to_string(),
    );
    client.publish(
        "state",
        true,
        json!({"state": "online", "session": "1-5", "boot_id": "b", "card_id": card(booth)})
            .to_string(),
    );
    let mut ids = Vec::new();
    let clips = (1..)
        .zip(kept)
        .map(|(number, kept)| clip(booth, number, kept, said));
    let mut waiting: Vec<Clip> = Vec::new();
    for clip in clips {
        ids.push(clip.id.clone());
        client.offer(&clip);
        client.send_parts(&clip, 0, clip.body.len());
        waiting.push(clip);
        while waiting.len() >= WINDOW {
            settle(&client, &mut waiting);
        }
    }
    while !waiting.is_empty() {
        settle(&client, &mut waiting);
    }
    client.is_judged();
    ids
}

/// Takes the next answer of the hub.
fn settle(client: &Booth, waiting: &mut Vec<Clip>) {
    match client.ack_within(PATIENCE) {
        Some(ack) if ack.status == AckStatus::Partial => {
            if let Some(clip) = waiting.iter().find(|clip| clip.id == ack.clip_id.as_str()) {
                for range in ack.missing {
                    client.send_parts(clip, range.0 as usize, range.1 as usize);
                }
            }
        }
        Some(ack) => waiting.retain(|clip| clip.id != ack.clip_id.as_str()),
        None => waiting.iter().for_each(|clip| client.offer(clip)),
    }
}

fn card(booth: &str) -> String {
    id(&format!("card of {booth}"))
}

/// A UUID made from a text.
fn id(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    let bytes = *hash.first_chunk::<16>().expect("32 bytes");
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string()
}

fn clip(booth: &str, number: u64, kept: &Kept, said: &[Said]) -> Clip {
    let said = kept.said.map(|at| &said[at]);
    let body = said.map(|said| said.sound.clone()).unwrap_or_default();
    let mut clip = Clip::with_body(booth, number, body);
    clip.id = id(&format!("{booth} {number}"));
    let manifest = &mut clip.manifest;
    manifest["clip_id"] = json!(clip.id);
    manifest["card_id"] = json!(card(booth));
    manifest["campaign_id"] = json!(kept.campaign);
    manifest["question_id"] = json!(kept.question);
    manifest["started_at"] = json!(booth_contract::time::rfc3339(kept.at));
    manifest["lang"] = json!(said.map_or("da", |said| said.language));
    manifest["duration_ms"] = json!(said.map_or(0, |said| said.duration_ms));
    manifest["speech_ratio"] = json!(said.map(|_| 0.9));
    manifest["rms_dbfs"] = json!(said.map(|_| -21.0));
    manifest["consent"] = json!({"mode": "digit", "key": "1", "notice_id": "0123456789abcdef", "publish": kept.publish});
    if let Some(choice) = kept.choice {
        manifest["kind"] = json!("choice");
        manifest["choice"] = json!(choice);
        manifest["body"] = json!(null);
        let text = text_of_choice(&clip.id, kept.question, choice);
        let hash = Sha256::digest(text.as_bytes());
        manifest["sha256"] = json!(booth_contract::hex(&hash));
    }
    clip
}
