//! What came of it, for a technician.

use std::collections::BTreeMap;
use std::fmt::Write;

use booth_contract::BoothId;

use super::outcome::Fate;
use super::receipt::DrainReceipt;
use crate::pulled::counted;

/// The sums of one booth.
#[derive(Default)]
struct Sums {
    all: usize,
    stored: usize,
    taken_back: usize,
    unanswered: usize,
}

/// By booth what arrived, then each thing that did not, then whether the card may be used for something else.
pub fn sentences(receipt: &DrainReceipt) -> String {
    let mut text = String::new();
    let mut line = |words: &str| {
        let _ = writeln!(text, "{words}");
    };
    for note in &receipt.notes {
        line(&format!("note: {note}"));
    }
    for (booth, sums) in booths(receipt) {
        line(&format!("booth {booth}: {}", told(&sums)));
    }
    let stored = |fate: &Fate| fate.is_settled();
    if !receipt.withdrawals.is_empty() {
        let there = receipt.withdrawals.iter().filter(|slip| stored(&slip.fate));
        let all = counted(receipt.withdrawals.len(), "withdrawal");
        line(&format!("{} of {all} are at the hub.", there.count()));
    }
    for clip in &receipt.clips {
        let number = format!("number {} of booth {}", clip.clip_no, clip.booth_id);
        if let Some(why) = failed(&clip.fate) {
            line(&format!("NOT SENT: {number}: {why}"));
        }
    }
    for slip in &receipt.withdrawals {
        if let Some(why) = failed(&slip.fate) {
            line(&format!("NOT SENT: withdrawal {}: {why}", slip.id));
        }
    }
    for left in &receipt.left {
        line(&format!("left: {}: {}", left.path, left.why));
    }
    if let Some(why) = &receipt.why {
        line(why);
    }
    line(match receipt.is_all_there() {
        true => "Everything of this card is at the hub; the card may be used for something else.",
        false => {
            "Not everything of this card is at the hub: keep the card. Nothing on it has changed."
        }
    });
    text
}

fn booths(receipt: &DrainReceipt) -> BTreeMap<BoothId, Sums> {
    let mut booths: BTreeMap<BoothId, Sums> = BTreeMap::new();
    for clip in &receipt.clips {
        let sums = booths.entry(clip.booth_id.clone()).or_default();
        sums.all += 1;
        sums.stored += usize::from(clip.fate == Fate::Stored);
        sums.taken_back += usize::from(clip.fate == Fate::TakenBack);
        sums.unanswered += usize::from(clip.fate == Fate::Unanswered);
    }
    booths
}

/// E.g. `3 of 4 messages and votes are at the hub, 1 has no answer yet`.
fn told(sums: &Sums) -> String {
    let mut said = format!(
        "{} of {} messages and votes are at the hub",
        sums.stored, sums.all
    );
    if sums.taken_back > 0 {
        let _ = write!(
            said,
            ", {} were taken back by their citizens",
            sums.taken_back
        );
    }
    if sums.unanswered > 0 {
        let _ = write!(said, ", {} have no answer yet", sums.unanswered);
    }
    said
}

/// Why somebody has to look at it; without an answer the same line is only run again.
fn failed(fate: &Fate) -> Option<String> {
    match fate {
        Fate::Stored | Fate::TakenBack | Fate::Unanswered => None,
        Fate::Rejected(why) => Some(format!("the hub does not take it: {why}")),
        Fate::NotLetThrough(why) => Some(format!(
            "the broker does not let it through ({why}): give this user the rules of docs/mosquitto.acl, or log in as the booth itself"
        )),
        Fate::NotRead(why) => Some(why.clone()),
        Fate::NoBooth => Some(
            "the card does not say at which booth it was dialled: name it with --booth".to_owned(),
        ),
    }
}
