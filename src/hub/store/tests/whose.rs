//! Clips in another booth's name, or under another booth's card.

use super::*;

const OTHER: &str = "rundhoej-2";

impl Bench {
    /// All of a clip from this sender.
    fn whole_from(&mut self, sender: &str, clip: &Clip) -> Option<Ack> {
        let manifest = clip.manifest.to_string();
        let mut last = self.send(&format!("{sender}/clip/{}", clip.id), manifest.as_bytes());
        for from in (0..clip.body.len()).step_by(10_000) {
            let topic = format!("{sender}/part/{}/{from}", clip.id);
            last = self.send(&topic, &clip.body[from..from + 10_000]).or(last);
        }
        last
    }

    fn birth_at(&mut self, sender: &str, card: &str, session: &str) {
        let payload = json!({"session": session, "card_id": card});
        self.send(&format!("{sender}/birth"), payload.to_string().as_bytes());
    }

    fn total(&self) -> u64 {
        self.views().answers(9).total
    }

    fn looks(&self) -> Vec<String> {
        let refused = self.fleet().refused;
        refused.into_iter().map(|entry| entry.reason).collect()
    }
}

fn of_other(clip_no: u64, card: &str) -> Clip {
    let mut clip = numbered(clip_no);
    clip.manifest["booth_id"] = json!(OTHER);
    clip.manifest["card_id"] = json!(card);
    clip
}

#[test]
fn a_clip_in_another_booths_name_is_stored_and_counts_for_nothing_before_somebody_has_looked() {
    let mut bench = Bench::new();
    bench.birth("card-1", "1-1", "s1");
    bench.whole(&numbered(1));
    let gaps = bench.fleet().gaps;
    // In its name, under its card; in its name, under a card of one's own; in one's own name, under its card.
    let mut own_name = of_other(77, "card-1");
    own_name.manifest["question_id"] = json!("invented");
    for clip in [numbered(50), of_other(60, "card-9"), own_name] {
        let mut clip = clip;
        if clip.manifest["card_id"] == "card-9" {
            clip.manifest["booth_id"] = json!(BOOTH);
        }
        assert_eq!(
            status(bench.whole_from(OTHER, &clip)),
            Some(AckStatus::Stored)
        );
        assert_eq!(bench.file(&clip).as_ref(), Some(&clip.body), "never lost");
        assert_eq!(bench.views().clip_file(&clip.id), None);
        assert!(
            bench.looks()[0].contains("booth-hub accept"),
            "{:?}",
            bench.looks()
        );
    }
    assert_eq!(bench.total(), 1);
    assert_eq!(bench.fleet().gaps, gaps);
    assert_eq!(
        bench.views().answers(9).by_question,
        [("square".to_owned(), 1)]
    );
    // The booth itself is not disturbed.
    assert_eq!(status(bench.whole(&numbered(2))), Some(AckStatus::Stored));
    assert_eq!(bench.total(), 2);
    // After a look: one clip, then all of the card, and what comes under it.
    let wall = bench.wall;
    let one = Accepted::Clip(numbered(50).id);
    assert_eq!(accept(&bench.dir(), wall, &one).expect("accepts"), 1);
    assert_eq!(accept(&bench.dir(), wall, &one).expect("accepts"), 0);
    assert_eq!(bench.total(), 3);
    let card = Accepted::Card("card-9".into());
    assert_eq!(accept(&bench.dir(), wall, &card).expect("accepts"), 1);
    assert_eq!(bench.total(), 4);
    assert_eq!(bench.looks().len(), 1);
    let mut later = numbered(61);
    later.manifest["card_id"] = json!("card-9");
    bench.whole_from(OTHER, &later);
    assert_eq!(bench.total(), 5);
}

#[test]
fn a_card_that_was_moved_and_announced_brings_what_was_spoken_elsewhere() {
    let mut bench = Bench::new();
    bench.birth("card-1", "1-1", "s1");
    bench.state("card-1", "1-1", "online");
    bench.state("card-1", "1-1", "lost");
    bench.birth_at(OTHER, "card-1", "2-1");
    assert_eq!(
        status(bench.whole_from(OTHER, &numbered(1))),
        Some(AckStatus::Stored)
    );
    assert_eq!(bench.total(), 1);
    assert_eq!(bench.looks(), [] as [&str; 0]);
    // A copied card says which one it was; it brings that one's clips, too.
    let cloned = json!({"card_id": "card-3", "previous_card_id": "card-1"}).to_string();
    bench.send("rundhoej-3/event/card_cloned", cloned.as_bytes());
    bench.whole_from("rundhoej-3", &numbered(2));
    assert_eq!(bench.total(), 2);
    // Not for a third one, and not for a booth where the card never was.
    bench.whole_from("rundhoej-4", &numbered(3));
    let mut nowhere = numbered(4);
    nowhere.manifest["booth_id"] = json!("rundhoej-9");
    bench.whole_from(OTHER, &nowhere);
    assert_eq!(bench.total(), 2);
    assert_eq!(bench.looks().len(), 2);
}

#[test]
fn who_announces_a_card_that_is_alive_elsewhere_is_told_to_the_operator_and_held() {
    let mut bench = Bench::new();
    bench.birth("card-1", "1-1", "s1");
    bench.birth_at(OTHER, "card-1", "9-9");
    bench.health(json!({"ready": 1}));
    assert!(bench.looks()[0].contains("alive"), "{:?}", bench.looks());
    for n in 1..=3 {
        bench.birth_at(OTHER, "card-1", &format!("10-{n}"));
        bench.whole_from(OTHER, &numbered(n));
    }
    bench.whole_from(OTHER, &of_other(4, "card-1"));
    assert_eq!(bench.total(), 0);
    // It is the other way round for nobody: the booth that had it first counts.
    bench.send(&format!("{OTHER}/health"), br#"{"ready":1}"#);
    bench.whole(&numbered(5));
    assert_eq!(bench.total(), 1);
}

#[test]
fn a_clip_in_another_booths_name_never_stands_in_the_way_of_the_true_one() {
    let mut bench = Bench::new();
    bench.birth("card-1", "1-1", "s1");
    let mut false_one = numbered(1);
    false_one.body[7] ^= 1;
    false_one.manifest["sha256"] = json!(ingest::hex(&Sha256::digest(&false_one.body)));
    assert_eq!(
        status(bench.whole_from(OTHER, &false_one)),
        Some(AckStatus::Stored)
    );
    let true_one = numbered(1);
    assert_eq!(status(bench.whole(&true_one)), Some(AckStatus::Stored));
    assert_eq!(bench.file(&true_one).as_ref(), Some(&true_one.body));
    assert_eq!(bench.total(), 1);
    let apart: Vec<Vec<u8>> = fs::read_dir(bench.dir().join("disputed"))
        .expect("reads")
        .map(|entry| fs::read(entry.expect("a file").path()).expect("reads"))
        .collect();
    assert!(apart.contains(&false_one.body), "and is not lost");
    // The very same bytes from the booth itself are its own words.
    let copied = numbered(2);
    bench.whole_from(OTHER, &copied);
    assert_eq!(bench.total(), 1);
    assert_eq!(status(bench.offer(&copied)), Some(AckStatus::Stored));
    assert_eq!(bench.total(), 2);
}

#[test]
fn who_announces_the_card_of_a_booth_that_has_just_spoken_gains_not_even_a_minute() {
    let mut bench = Bench::new();
    bench.birth("card-1", "1-1", "s1");
    bench.state("card-1", "1-1", "online");
    bench.health(json!({"ready": 1}));
    bench.birth_at(OTHER, "card-1", "9-9");
    bench.whole_from(OTHER, &numbered(1));
    assert_eq!(bench.total(), 0);
    // What the operator should look at is not hidden by rubbish from the same sender.
    for n in 0..400 {
        let topic = format!("{OTHER}/clip/{}", numbered(100 + n).id);
        bench.send_uncommitted(&topic, b"{}");
    }
    bench.store.commit().expect("commits");
    let all = bench.views().refused(500, &crate::hub::view::Place::Newest);
    assert_eq!(all.total, 200);
    let says = |what: &str| all.entries.iter().any(|entry| entry.reason.contains(what));
    assert!(says("is alive with it") && says("stored, and not counted"));
}
