//! Clips in another booth's name, or under another booth's card.

use super::*;

const OTHER: &str = "rundhoej-2";

impl Bench {
    /// Sends the whole clip as this sender.
    pub(super) fn whole_from(&mut self, sender: &str, clip: &Clip) -> Option<Ack> {
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
    // In the booth's name and under its card; in the booth's name under the sender's card; in the sender's name under the booth's
    // card.
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
        assert!(bench.views().clip_file(&clip.id).is_none());
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
    // An operator accepts one clip, then all of the card, which includes later ones under it.
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
    // A copied card says which card it was copied from. Once the booths that had that card have others, the copy may bring its
    // clips, too.
    bench.birth("card-11", "1-1", "s1");
    bench.birth_at(OTHER, "card-12", "1-1");
    let cloned = json!({"card_id": "card-3", "previous_card_id": "card-1"}).to_string();
    bench.send("rundhoej-3/event/card_cloned", cloned.as_bytes());
    bench.whole_from("rundhoej-3", &numbered(2));
    assert_eq!(bench.total(), 2);
    assert_eq!(bench.looks(), [] as [&str; 0]);
    // This holds for no third booth, and not for clips of a booth where the card never was.
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
    // The rightful booth is not held back by it: the booth that had the card first counts.
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
    false_one.manifest["sha256"] = json!(booth_contract::hex(&Sha256::digest(&false_one.body)));
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
    // The same bytes from the booth itself are the booth's own clip.
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
    // Rubbish from the same sender does not hide what the operator should look at.
    for n in 0..400 {
        let topic = format!("{OTHER}/clip/{}", numbered(100 + n).id);
        bench.send_uncommitted(&topic, b"{}");
    }
    bench.store.commit().expect("commits");
    let all = bench.views().refused(500, &crate::view::Place::Newest);
    assert_eq!(all.total, 200);
    let says = |what: &str| all.entries.iter().any(|entry| entry.reason.contains(what));
    assert!(says("is alive with it") && says("stored, and not counted"));
}

impl Bench {
    /// Sends the whole clip as this sender, in a batch that is not committed yet.
    fn brings(&mut self, sender: &str, clip: &Clip) -> Option<Ack> {
        let manifest = clip.manifest.to_string();
        let topic = format!("{sender}/clip/{}", clip.id);
        let mut last = self.send_uncommitted(&topic, manifest.as_bytes());
        for from in (0..clip.body.len()).step_by(10_000) {
            let topic = format!("{sender}/part/{}/{from}", clip.id);
            last = self
                .send_uncommitted(&topic, &clip.body[from..from + 10_000])
                .or(last);
        }
        last
    }

    /// The names of the files in `disputed`.
    fn disputed(&self) -> Vec<String> {
        let folder = fs::read_dir(self.dir().join("disputed"));
        let names = folder.into_iter().flatten().map(|entry| {
            let name = entry.expect("a file").file_name();
            name.to_string_lossy().into_owned()
        });
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

#[test]
fn a_clip_that_gives_way_in_the_very_batch_that_brought_it_costs_that_batch_nothing() {
    let sealed = |n| {
        let mut clip = in_other_words(&numbered(n), 3);
        // A sealed body begins with its clip's name.
        let named = uuid::Uuid::parse_str(&clip.id).expect("an id");
        clip.body
            .splice(..24, [&b"BOOTHSC\x01"[..], named.as_bytes()].concat());
        clip.manifest["sha256"] = json!(booth_contract::hex(&Sha256::digest(&clip.body)));
        clip.manifest["body"] = json!("sealed-ogg-opus/1");
        clip
    };
    for (n, true_one) in [(1, choice(1)), (2, sealed(2))] {
        let mut bench = Bench::new();
        bench.birth("card-1", "1-1", "s1");
        let false_one = numbered(n);
        let stored = Some(AckStatus::Stored);
        assert_eq!(status(bench.brings(OTHER, &false_one)), stored);
        assert_eq!(status(bench.brings(BOOTH, &true_one)), stored);
        bench.store.commit().expect("commits");
        assert_eq!(bench.total(), 1);
        let clips = bench.dir().join("clips");
        let kept = record::read(&record::path(&clips, &true_one.id, Part::Record));
        let kept = kept.expect("reads").expect("is there");
        assert_eq!(kept.manifest, true_one.manifest.to_string());
        let id = &true_one.id;
        let apart = ["json", "opus"].map(|part| format!("replaced.{OTHER}.{id}.{part}"));
        assert_eq!(bench.disputed(), apart);
        let found = check(&bench.dir(), Progress::new("read")).expect("checks");
        assert_eq!(found.findings, []);
    }
}

#[test]
fn who_contradicts_what_he_sent_in_another_name_is_refused_and_fills_no_folder() {
    let mut bench = Bench::new();
    bench.birth_at(OTHER, "card-2", "1-1");
    for n in 1..=40 {
        let mut strange = numbered(n);
        strange.manifest["booth_id"] = json!("rundhoej-9");
        strange.manifest["card_id"] = json!("card-9");
        let mut own = in_other_words(&of_other(n, "card-2"), 1);
        own.manifest["clip_id"] = json!(strange.id);
        bench.whole_from(OTHER, &strange);
        let last = bench.whole_from(OTHER, &own);
        assert_eq!(status(last), Some(AckStatus::Reject));
        assert_eq!(bench.file(&strange).as_ref(), Some(&strange.body));
    }
    assert_eq!(bench.disputed().len(), 32);
}

#[test]
fn what_gives_way_takes_only_the_room_of_whoever_sent_it() {
    let mut bench = Bench::new();
    bench.birth("card-1", "1-1", "s1");
    let mut last = None;
    for n in 1..=17 {
        bench.whole_from(OTHER, &numbered(n));
        last = bench.whole_from(BOOTH, &in_other_words(&numbered(n), 1));
    }
    assert_eq!(status(last), Some(AckStatus::Reject), "the booth keeps it");
    let of_other = |bench: &Bench| {
        let names = bench.disputed().into_iter();
        names.filter(|name| name.contains(OTHER)).count()
    };
    assert_eq!((bench.total(), of_other(&bench)), (16, 32));
    // A clip of another sender, and after a restart.
    let mut bench = bench.restart();
    bench.whole_from("rundhoej-3", &numbered(20));
    bench.whole_from(BOOTH, &in_other_words(&numbered(20), 1));
    assert_eq!(bench.total(), 17);
    bench.whole_from(OTHER, &numbered(21));
    let true_one = in_other_words(&numbered(21), 1);
    let last = bench.whole_from(BOOTH, &true_one);
    assert_eq!(status(last), Some(AckStatus::Reject));
    // An operator has looked and made room: no restart is needed.
    for name in bench.disputed() {
        fs::remove_file(bench.dir().join("disputed").join(name)).expect("removed");
    }
    bench.whole_from(BOOTH, &true_one);
    assert_eq!(bench.total(), 18);
}

#[test]
fn a_look_waits_for_the_batch_in_which_its_clip_makes_room_for_the_true_one() {
    let mut bench = Bench::new();
    bench.birth("card-1", "1-1", "s1");
    bench.whole_from(OTHER, &numbered(1));
    let true_one = in_other_words(&numbered(1), 1);
    bench.brings(BOOTH, &true_one);
    let dir = bench.dir();
    let clips = dir.join("clips");
    let beside = schema::open(&database_in(&dir)).expect("opens");
    beside
        .busy_timeout(std::time::Duration::ZERO)
        .expect("does not wait");
    let what = Accepted::Clip(true_one.id.clone());
    let look = || accept::accept_in(&beside, &clips, bench.wall, &what);
    assert!(matches!(look(), Err(StoreError::Database(_))));
    let kept = || {
        let kept = record::read(&record::path(&clips, &true_one.id, Part::Record));
        kept.expect("reads").expect("is there").manifest
    };
    assert_eq!(kept(), true_one.manifest.to_string());
    bench.store.commit().expect("commits");
    assert_eq!(look().expect("accepts"), 0, "it is the booth's own");
    assert_eq!(kept(), true_one.manifest.to_string());
    // The hub decides about a held clip only in a batch that an operator's `accept` waits for.
    bench.whole_from(OTHER, &numbered(2));
    let manifest = numbered(2).manifest.to_string();
    let topic = format!("rundhoej-3/clip/{}", numbered(2).id);
    bench.send_uncommitted(&topic, manifest.as_bytes());
    assert!(bench.store.in_transaction);
}

#[test]
fn a_card_that_another_booth_has_still_brings_nothing_by_being_named() {
    let mut bench = Bench::new();
    bench.birth("card-1", "1-1", "s1");
    bench.state("card-1", "1-1", "lost");
    let cloned = json!({"card_id": "card-3", "previous_card_id": "card-1"}).to_string();
    for kind in ["card_cloned", "hardware_changed"] {
        bench.send(&format!("{OTHER}/event/{kind}"), cloned.as_bytes());
    }
    assert_eq!(bench.looks().len(), 1, "{:?}", bench.looks());
    assert!(bench.looks()[0].contains("booth-hub accept --card card-1"));
    let mut own_name = of_other(2, "card-1");
    own_name.manifest["clip_no"] = json!(2);
    for clip in [numbered(1), own_name] {
        assert_eq!(
            status(bench.whole_from(OTHER, &clip)),
            Some(AckStatus::Stored)
        );
    }
    assert_eq!(bench.total(), 0);
    // The sender's own card is in order.
    bench.whole_from(OTHER, &of_other(3, "card-3"));
    assert_eq!(bench.total(), 1);
    // An operator has looked, and accepts the card.
    let card = Accepted::Card("card-1".into());
    assert_eq!(accept(&bench.dir(), bench.wall, &card).expect("accepts"), 2);
    bench.whole_from(OTHER, &numbered(4));
    assert_eq!(bench.total(), 4);
    // Or the booth has a new card: any booth that has the old card, or a copy, may bring its clips.
    bench.send("rundhoej-3/event/card_cloned", cloned.as_bytes());
    bench.whole_from("rundhoej-3", &numbered(5));
    assert_eq!(bench.total(), 4);
    bench.birth("card-11", "1-1", "s1");
    bench.whole_from("rundhoej-3", &numbered(6));
    assert_eq!(bench.total(), 5);
}

#[test]
fn what_waits_for_a_look_is_pushed_out_neither_by_what_its_sender_says_nor_by_more_of_it() {
    let mut bench = Bench::new();
    bench.birth("card-1", "1-1", "s1");
    bench.brings(OTHER, &choice(1));
    for n in 0..400 {
        bench.wall += jiff::SignedDuration::from_secs(1);
        let mut bad = choice(1_000 + n);
        bad.manifest["kind"] = json!(format!("disputed/{n}"));
        assert_eq!(status(bench.brings(OTHER, &bad)), Some(AckStatus::Reject));
    }
    let all = |bench: &mut Bench| {
        bench.store.commit().expect("commits");
        let all = bench.views().refused(500, &crate::view::Place::Newest);
        assert_eq!(all.total, 200);
        all.entries
    };
    let entries = all(&mut bench);
    assert_eq!(
        entries
            .iter()
            .filter(|entry| entry.clip_id == choice(1).id)
            .count(),
        1
    );
    // Of the refused clips the newest can be seen.
    assert_eq!(entries[0].clip_id, choice(1_399).id);
    for n in 2..=250 {
        bench.wall += jiff::SignedDuration::from_secs(1);
        bench.brings(OTHER, &choice(n));
    }
    let entries = all(&mut bench);
    assert!(entries.iter().any(|entry| entry.clip_id == choice(1).id));
    assert!(entries.iter().all(|entry| entry.clip_id != choice(250).id));
}
