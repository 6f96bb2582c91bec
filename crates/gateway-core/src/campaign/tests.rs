use super::fetching::{PATIENCE, WINDOW};
use super::offering::Closed;
use super::*;
use crate::prompt::Prompt;
use crate::session::{Limits, MayPublish, OpenQuestion, QuestionKind};
use booth_contract::wanted::LocalTime;
use serde_json::{Value, json};

const NOW: Mono = Mono(60_000);

fn hash(n: usize) -> MediaHash {
    MediaHash::parse(&format!("{n:064x}")).expect("a hash")
}

fn at(text: &str) -> LocalTime {
    LocalTime::parse(text).expect(text)
}

fn clock(text: &str) -> Clock {
    Clock {
        now: Some(at(text)),
        is_synced: true,
        issued: None,
    }
}

fn noon() -> Clock {
    clock("2026-06-01T12:00")
}

fn own() -> Own {
    Own {
        offer: Offer {
            questions: vec![OpenQuestion {
                id: "square".into(),
                campaign_id: None,
                digit: 1,
                prompt: Prompt::Question("square".into()),
                kind: QuestionKind::Speak,
                publish: MayPublish::No,
                max: None,
            }],
            lang: "da".into(),
            ..Offer::default()
        },
        consent: ConsentMode::Digit,
    }
}

fn question(id: &str, digit: u8, media: usize) -> Value {
    json!({"id": id, "digit": digit, "kind": "speak", "prompt": {"da": hash(media)}})
}

/// A configuration of one campaign whose questions have these prompts.
fn config(version: u64, media: &[usize]) -> Value {
    let questions: Vec<Value> = media
        .iter()
        .zip(1..)
        .map(|(media, digit)| question(&format!("q{media}"), digit, *media))
        .collect();
    json!({"schema": 1, "version": version, "campaigns": [{"id": format!("c{version}"), "questions": questions}]})
}

fn wanted(value: &Value) -> Wanted {
    Wanted::read(value.to_string().as_bytes()).expect("readable")
}

/// A booth with a card of its own: what it was commanded is done at once, unless `card_works` is false.
struct Booth {
    campaigns: Campaigns,
    now: Mono,
    clock: Clock,
    /// What lies on the card.
    kept: Option<Configuration>,
    media: BTreeSet<MediaHash>,
    subscribed: BTreeSet<MediaHash>,
    card_works: bool,
    reports: Vec<Standing>,
    applied: Vec<u64>,
    used: usize,
}

impl Booth {
    fn on(kept: Option<Configuration>, media: BTreeSet<MediaHash>) -> Self {
        let mut booth = Self {
            campaigns: Campaigns::new(own()),
            now: NOW,
            clock: noon(),
            kept: kept.clone(),
            media: media.clone(),
            subscribed: BTreeSet::new(),
            card_works: true,
            reports: Vec::new(),
            applied: Vec::new(),
            used: 0,
        };
        let found = OnCard {
            applied: kept,
            media,
            trouble: None,
        };
        let (now, clock) = (booth.now, booth.clock);
        booth.campaigns.loaded(now, &clock, found, Folder::new());
        booth.follow();
        booth
    }

    fn new() -> Self {
        let mut booth = Self::on(None, BTreeSet::new());
        booth.connect();
        booth
    }

    fn connect(&mut self) {
        self.subscribed.clear();
        self.campaigns.connected(self.now);
        self.follow();
    }

    /// The same booth after its power was cut: what is on the card is all that is left.
    fn cut(self) -> Self {
        Self::on(self.kept, self.media)
    }

    fn follow(&mut self) {
        for _ in 0..100 {
            let commands = self.campaigns.take_commands();
            if commands.is_empty() {
                return;
            }
            for command in commands {
                self.carry_out(command);
            }
        }
        panic!("it does not come to rest");
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Fetch(media) => self.subscribed = media,
            Command::Put {
                configuration,
                keep,
            } => {
                let put = match self.card_works {
                    false => Put::Refused("does not".into()),
                    true if !configuration.wanted.media().is_subset(&self.media) => {
                        Put::Lacks(self.media.clone())
                    }
                    true => {
                        self.kept = Some(*configuration);
                        self.media.retain(|hash| keep.contains(hash));
                        Put::InForce(self.media.clone())
                    }
                };
                self.campaigns.put(self.now, put);
            }
            Command::Tidy(keep) => self.media.retain(|hash| keep.contains(hash)),
            Command::UsePrompts => self.used += 1,
            Command::Applied(version) => self.applied.push(version),
            Command::Report => self.reports.push(self.campaigns.standing()),
        }
    }

    fn publish(&mut self, value: &Value) {
        self.publish_with(value, Proof::Nothing);
    }

    fn publish_with(&mut self, value: &Value, proof: Proof) {
        let read = Wanted::read(value.to_string().as_bytes());
        let read = read.map_err(|bad| (bad.version, bad.faults));
        let (now, clock) = (self.now, self.clock);
        self.campaigns.came(now, &clock, read, proof);
        self.follow();
    }

    /// The broker sends a prompt, if it is subscribed to. Returns whether it was taken.
    fn send(&mut self, hash: &MediaHash) -> bool {
        let is_taken = self.campaigns.media_came(self.now, hash);
        if is_taken {
            let kept = match self.card_works {
                true => Ok(()),
                false => Err(Unfit::Card("is full".into())),
            };
            self.settle(hash, kept);
        }
        self.follow();
        is_taken
    }

    fn settle(&mut self, hash: &MediaHash, kept: Result<(), Unfit>) {
        if kept.is_ok() {
            self.media.insert(hash.clone());
        }
        self.campaigns.media_kept(self.now, hash, kept);
        self.follow();
    }

    /// Everything that is subscribed to comes.
    fn send_all(&mut self) {
        while let Some(hash) = self.subscribed.first().cloned() {
            if !self.send(&hash) {
                return;
            }
        }
    }

    fn seconds(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
        self.campaigns.turn(self.now);
        self.follow();
    }

    fn questions(&self) -> Vec<String> {
        let offered = self.campaigns.offered(&self.clock);
        offered
            .offer
            .questions
            .into_iter()
            .map(|open| open.id)
            .collect()
    }

    fn errors(&self) -> Vec<String> {
        let errors = self.campaigns.standing().errors;
        errors.iter().map(ToString::to_string).collect()
    }

    fn in_force(&self) -> Option<u64> {
        self.campaigns.standing().applied
    }
}

#[test]
fn a_configuration_is_in_force_only_when_every_prompt_that_it_names_is_there() {
    let mut booth = Booth::new();
    assert_eq!(booth.questions(), ["square"]);
    booth.publish(&config(3, &[1, 2]));
    assert_eq!(
        (booth.questions(), booth.in_force()),
        (vec!["square".to_owned()], None)
    );
    assert_eq!(booth.campaigns.standing().missing, [hash(1), hash(2)]);
    assert!(booth.send(&hash(1)));
    assert_eq!(
        (booth.questions(), booth.in_force()),
        (vec!["square".to_owned()], None)
    );
    assert!(booth.send(&hash(2)));
    assert_eq!(booth.questions(), ["q1", "q2"]);
    assert_eq!(
        (booth.in_force(), booth.applied.as_slice()),
        (Some(3), &[3][..])
    );
    assert_eq!(booth.subscribed, BTreeSet::new());
    // Every step was reported.
    let mut told: Vec<(Option<u64>, Option<u64>, usize)> = booth
        .reports
        .iter()
        .map(|told| (told.wanted, told.applied, told.missing.len()))
        .collect();
    // The card of this test is done at once.
    told.dedup();
    assert_eq!(
        told,
        [
            (Some(3), None, 2),
            (Some(3), None, 1),
            (Some(3), Some(3), 0)
        ]
    );
}

#[test]
fn what_is_in_force_survives_restarts_without_a_network_and_asks_for_nothing() {
    let mut booth = Booth::new();
    booth.publish(&config(3, &[1, 2]));
    booth.send_all();
    let again = booth.cut();
    assert_eq!(
        (again.questions(), again.in_force()),
        (vec!["q1".to_owned(), "q2".into()], Some(3))
    );
    assert_eq!(again.subscribed, BTreeSet::new());
    // The retained message comes again: it is what is in force, whatever the time.
    let mut again = again;
    again.clock = clock("2030-01-01T00:00");
    again.connect();
    again.publish(&config(3, &[1, 2]));
    assert_eq!(
        (again.errors(), again.in_force(), again.applied.len()),
        (vec![], Some(3), 0)
    );
}

#[test]
fn prompts_that_came_before_a_power_cut_need_not_come_again() {
    let mut booth = Booth::new();
    booth.publish(&config(3, &[1, 2]));
    booth.send(&hash(1));
    let mut again = booth.cut();
    again.connect();
    again.publish(&config(3, &[1, 2]));
    assert_eq!(again.subscribed, BTreeSet::from([hash(2)]));
    again.send_all();
    assert_eq!(again.in_force(), Some(3));
}

#[test]
fn prompts_that_nobody_wants_are_dropped_and_shared_ones_stay() {
    let mut booth = Booth::new();
    booth.publish(&config(3, &[1, 2]));
    booth.send_all();
    booth.publish(&config(4, &[2, 3]));
    assert_eq!(booth.subscribed, BTreeSet::from([hash(3)]));
    // What is in force is kept until the other one is whole.
    assert_eq!(booth.media, BTreeSet::from([hash(1), hash(2)]));
    booth.send_all();
    assert_eq!(
        (booth.in_force(), &booth.media),
        (Some(4), &BTreeSet::from([hash(2), hash(3)]))
    );
    // A configuration that is given up before it was whole leaves nothing behind.
    booth.publish(&config(5, &[7, 8]));
    booth.send(&hash(7));
    booth.publish(&config(6, &[2, 3]));
    assert_eq!(
        (booth.in_force(), &booth.media),
        (Some(6), &BTreeSet::from([hash(2), hash(3)]))
    );
}

#[test]
fn an_older_version_is_refused_and_what_was_in_force_stays() {
    let mut booth = Booth::new();
    booth.publish(&config(5, &[1]));
    booth.send_all();
    for (value, part) in [
        (config(4, &[2]), "version: is 4, older than 5"),
        (config(5, &[2]), "another configuration with this number"),
    ] {
        booth.publish(&value);
        assert!(booth.errors()[0].contains(part), "{:?}", booth.errors());
        assert_eq!(
            (booth.in_force(), booth.questions()),
            (Some(5), vec!["q1".to_owned()])
        );
        assert_eq!(booth.subscribed, BTreeSet::new());
    }
    // Force counts only where it is signed.
    let mut forced = config(4, &[2]);
    forced["force"] = json!(1);
    booth.publish(&forced);
    assert_eq!(
        (booth.in_force(), booth.errors().len()),
        (Some(5), 2),
        "{:?}",
        booth.errors()
    );
    let signed =
        |day: &str| Proof::Signed(format!("2026-05-{day}T00:00:00Z").parse().expect("a time"));
    booth.publish_with(&forced, signed("10"));
    booth.send_all();
    assert_eq!((booth.in_force(), booth.errors()), (Some(4), vec![]));
    // Whoever owns the broker cannot bring back what was signed and replaced, neither now nor after a restart.
    booth.publish(&config(8, &[1]));
    booth.send_all();
    let mut booth = booth.cut();
    booth.connect();
    booth.publish_with(&forced, signed("10"));
    assert!(
        booth.errors()[0].starts_with("issued_at"),
        "{:?}",
        booth.errors()
    );
    assert_eq!(booth.in_force(), Some(8));
    booth.publish_with(&forced, signed("11"));
    booth.send_all();
    assert_eq!((booth.in_force(), booth.errors()), (Some(4), vec![]));
}

#[test]
fn what_is_wrong_is_reported_with_its_key_and_changes_nothing_else() {
    let mut booth = Booth::new();
    booth.publish(&config(5, &[1]));
    booth.send_all();
    let mut kind = config(6, &[1]);
    kind["campaigns"][0]["questions"][0]["kind"] = json!("sing");
    let mut digit = config(7, &[1, 2]);
    digit["campaigns"][0]["questions"][1]["digit"] = json!(1);
    let mut past = config(8, &[1]);
    past["campaigns"][0]["until"] = json!("2026-05-31T00:00");
    let mut swapped = config(9, &[1]);
    swapped["campaigns"][0]["from"] = json!("2026-08-01T00:00");
    swapped["campaigns"][0]["until"] = json!("2026-07-01T00:00");
    let mut notice = config(10, &[1]);
    notice["prompts"] = json!({"notice": {"da": hash(9)}});
    let mut lacking = config(11, &[1]);
    lacking["languages"] = json!({"8": "de"});
    for (value, version, part) in [
        (kind, Some(6), "campaigns[0].questions[0].kind"),
        (digit, Some(7), "campaigns[0].questions[1].digit"),
        (past, Some(8), "in the past"),
        (swapped, Some(9), "not after"),
        (notice, Some(10), "signed"),
        (lacking, Some(11), "prompts.notice.de"),
        (json!({"schema": 7, "version": 12}), Some(12), "schema"),
        (json!([]), None, "payload"),
        (json!({}), None, "version"),
    ] {
        booth.publish(&value);
        assert_eq!(booth.campaigns.standing().wanted, version, "{value}");
        assert!(
            booth.errors().iter().any(|error| error.contains(part)),
            "{:?}",
            booth.errors()
        );
        assert_eq!(
            (booth.in_force(), booth.questions()),
            (Some(5), vec!["q1".to_owned()])
        );
        assert_eq!(booth.media, BTreeSet::from([hash(1)]));
        let told = booth.reports.last().expect("a report");
        assert_eq!((told.applied, told.errors.is_empty()), (Some(5), false));
    }
    booth.publish(&config(13, &[1]));
    assert_eq!((booth.in_force(), booth.errors()), (Some(13), vec![]));
}

#[test]
fn a_language_needs_what_a_citizen_must_hear_and_the_booths_folder_and_voice_count() {
    let mut value = config(3, &[1]);
    value["languages"] = json!({"8": "de"});
    value["campaigns"][0]["questions"][0]["prompt"]["de"] = json!(hash(2));
    value["prompts"] = json!({"offer_language": {"de": hash(3)}});
    let mut booth = Booth::new();
    booth.publish(&value);
    assert_eq!(booth.errors().len(), 1, "{:?}", booth.errors());
    assert!(
        booth.errors()[0].starts_with("prompts.notice.de"),
        "{:?}",
        booth.errors()
    );
    booth.campaigns.folder_has(Folder::from([(
        "de".to_owned(),
        BTreeSet::from(["notice".to_owned()]),
    )]));
    booth.publish(&value);
    booth.send_all();
    assert_eq!((booth.in_force(), booth.errors()), (Some(3), vec![]));
    let offer = booth.campaigns.offered(&booth.clock).offer;
    assert_eq!(
        (offer.languages[0].digit, offer.languages[0].lang.as_str()),
        (8, "de")
    );
}

#[test]
fn a_booth_that_asks_without_digits_takes_one_question_at_a_time_and_no_vote() {
    let mut booth = Booth::new();
    booth.campaigns.own_is(Own {
        consent: ConsentMode::Button,
        ..own()
    });
    booth.publish(&config(3, &[1, 2]));
    assert!(
        booth.errors()[0].contains("exactly one question"),
        "{:?}",
        booth.errors()
    );
    let mut two = config(4, &[1]);
    let mut later = config(5, &[2])["campaigns"][0].clone();
    two["campaigns"][0]["until"] = json!("2026-07-01");
    later["from"] = json!("2026-06-30");
    two["campaigns"]
        .as_array_mut()
        .expect("a list")
        .push(later.clone());
    booth.publish(&two);
    assert!(
        booth.errors()[0].contains("campaigns[1].questions"),
        "{:?}",
        booth.errors()
    );
    two["campaigns"][1]["from"] = json!("2026-07-02");
    booth.publish(&two);
    booth.send_all();
    assert_eq!(booth.in_force(), Some(4));
}

#[test]
fn a_prompt_that_is_none_is_named_by_its_key_and_never_asked_for_again() {
    let mut booth = Booth::new();
    booth.publish(&config(3, &[1, 2]));
    assert!(booth.campaigns.media_came(booth.now, &hash(1)));
    booth.settle(&hash(1), Err(Unfit::NoPrompt("is no sound".into())));
    booth.send_all();
    assert_eq!(
        (booth.in_force(), booth.questions()),
        (None, vec!["square".to_owned()])
    );
    assert_eq!(
        booth.errors(),
        ["campaigns[0].questions[0].prompt.da: is no sound"]
    );
    assert_eq!(booth.subscribed, BTreeSet::new());
    // Another hash in its place is another prompt.
    booth.publish(&config(4, &[2, 3]));
    booth.send_all();
    assert_eq!((booth.in_force(), booth.errors()), (Some(4), vec![]));
}

#[test]
fn a_prompt_with_another_hash_is_dropped_counted_and_the_right_one_may_still_come() {
    let mut booth = Booth::new();
    booth.publish(&config(3, &[1]));
    for n in 1..=3 {
        assert!(booth.campaigns.media_came(booth.now, &hash(1)));
        booth.settle(&hash(1), Err(Unfit::OtherHash));
        assert_eq!(booth.campaigns.dropped(), n);
        // It stays subscribed to, so that the broker does not send the wrong one again and again.
        assert_eq!(booth.subscribed, BTreeSet::from([hash(1)]));
    }
    assert!(
        booth.errors()[0].contains("another SHA-256"),
        "{:?}",
        booth.errors()
    );
    assert!(booth.send(&hash(1)));
    assert_eq!((booth.in_force(), booth.errors()), (Some(3), vec![]));
}

#[test]
fn what_nobody_asked_for_is_dropped_and_counted() {
    let mut booth = Booth::new();
    assert!(!booth.send(&hash(1)));
    booth.publish(&config(3, &[1]));
    assert!(!booth.send(&hash(2)));
    assert!(booth.send(&hash(1)));
    assert!(!booth.send(&hash(1)));
    assert_eq!((booth.campaigns.dropped(), booth.media.len()), (3, 1));
}

#[test]
fn few_prompts_are_on_their_way_at_a_time_and_one_that_does_not_come_holds_up_no_other() {
    let all: Vec<usize> = (1..=9).collect();
    let mut booth = Booth::new();
    booth.publish(&config(3, &all));
    assert_eq!(booth.subscribed.len(), WINDOW);
    // The first is not published yet.
    let never = booth.subscribed.first().cloned().expect("one");
    for _ in 0..8 {
        let next = booth
            .subscribed
            .iter()
            .find(|hash| **hash != never)
            .cloned();
        let Some(next) = next else { break };
        assert!(booth.subscribed.len() <= WINDOW);
        booth.send(&next);
    }
    assert_eq!(
        booth.campaigns.standing().missing,
        std::slice::from_ref(&never)
    );
    // Four of which nothing comes give way after their patience.
    let mut booth = Booth::new();
    booth.publish(&config(3, &all));
    booth.seconds(PATIENCE.as_secs() - 1);
    assert_eq!(booth.subscribed.len(), WINDOW);
    let due = booth.campaigns.deadline().expect("a deadline");
    assert_eq!(due, booth.now + Duration::from_secs(1));
    booth.seconds(1);
    assert_eq!(booth.subscribed.len(), 2 * WINDOW);
    booth.seconds(PATIENCE.as_secs());
    assert_eq!(booth.subscribed.len(), 9);
    // After a lost connection they are asked for again.
    booth.campaigns.disconnected();
    booth.connect();
    assert_eq!(booth.subscribed.len(), WINDOW);
    booth.send_all();
    assert_eq!(booth.in_force(), Some(3));
}

#[test]
fn what_the_card_refuses_is_tried_again_later_and_what_was_in_force_stays() {
    let mut booth = Booth::new();
    booth.publish(&config(3, &[1]));
    booth.send_all();
    booth.card_works = false;
    booth.publish(&config(4, &[1, 2]));
    booth.send(&hash(2));
    assert!(
        booth.errors()[0].contains("the card does not take it: is full"),
        "{:?}",
        booth.errors()
    );
    assert_eq!((booth.in_force(), booth.subscribed.len()), (Some(3), 0));
    booth.card_works = true;
    booth.seconds(9);
    assert_eq!(booth.subscribed.len(), 0);
    booth.seconds(1);
    booth.card_works = false;
    assert_eq!(booth.subscribed, BTreeSet::from([hash(2)]));
    // The prompt is kept, and the configuration is refused.
    assert!(booth.campaigns.media_came(booth.now, &hash(2)));
    booth.settle(&hash(2), Ok(()));
    assert_eq!(
        (booth.in_force(), booth.errors()),
        (Some(3), vec!["card: does not".to_owned()])
    );
    booth.card_works = true;
    booth.seconds(600);
    assert_eq!((booth.in_force(), booth.errors()), (Some(4), vec![]));
}

#[test]
fn a_configuration_that_comes_while_another_is_written_is_judged_against_it() {
    for (later, in_force, has_error) in [(config(6, &[1]), 6, false), (config(4, &[1]), 5, true)] {
        let mut booth = Booth::new();
        booth.publish(&config(3, &[1]));
        booth.send_all();
        booth.publish(&config(5, &[2]));
        assert!(booth.campaigns.media_came(booth.now, &hash(2)));
        booth.media.insert(hash(2));
        booth.campaigns.media_kept(booth.now, &hash(2), Ok(()));
        let commands = booth.campaigns.take_commands();
        assert!(
            commands
                .iter()
                .any(|command| matches!(command, Command::Put { .. }))
        );
        // The card is still writing.
        let read = Ok(wanted(&later));
        let clock = booth.clock;
        booth
            .campaigns
            .came(booth.now, &clock, read, Proof::Nothing);
        for command in commands {
            booth.carry_out(command);
        }
        booth.follow();
        booth.send_all();
        assert_eq!(
            (booth.in_force(), !booth.errors().is_empty()),
            (Some(in_force), has_error)
        );
        assert_eq!(
            booth.kept.as_ref().map(|kept| kept.wanted.version),
            Some(in_force)
        );
        assert!(
            booth
                .kept
                .as_ref()
                .is_some_and(|kept| kept.wanted.media().is_subset(&booth.media))
        );
    }
}

#[test]
fn a_prompt_in_force_that_the_card_has_lost_is_fetched_again_and_the_questions_stay() {
    let mut booth = Booth::new();
    booth.publish(&config(3, &[1, 2]));
    booth.send_all();
    booth.media.remove(&hash(2));
    let mut again = booth.cut();
    assert_eq!(
        (again.questions().len(), again.campaigns.standing().missing),
        (2, vec![hash(2)])
    );
    again.connect();
    again.send_all();
    assert_eq!(
        (again.used, again.campaigns.standing().missing),
        (1, vec![])
    );
}

#[test]
fn a_configuration_that_comes_before_the_card_was_read_waits_for_it() {
    let mut campaigns = Campaigns::new(own());
    campaigns.came(NOW, &noon(), Ok(wanted(&config(2, &[1]))), Proof::Nothing);
    assert_eq!(campaigns.take_commands(), []);
    let found = OnCard {
        applied: Some(Configuration {
            wanted: wanted(&config(3, &[1])),
            is_signed: false,
            latest_signed: None,
        }),
        media: BTreeSet::from([hash(1)]),
        trouble: None,
    };
    campaigns.loaded(NOW, &noon(), found, Folder::new());
    let standing = campaigns.standing();
    assert_eq!((standing.wanted, standing.applied), (Some(2), Some(3)));
    assert!(standing.errors[0].to_string().contains("older than 3"));
}

#[test]
fn absent_keys_fall_back_to_booth_toml_and_given_ones_replace_it() {
    let own = own().offer;
    let value =
        json!({"schema": 1, "version": 3, "limits": {"max_seconds": 60, "silence_seconds": 0}});
    let offered = offering::offered(&own, Some(&wanted(&value)), &noon());
    assert_eq!(offered.closed, None);
    assert_eq!(offered.offer.questions, own.questions);
    assert_eq!(offered.offer.config_version, Some(3));
    assert_eq!(
        offered.offer.limits,
        Limits {
            max: Duration::from_secs(60),
            silence: Duration::ZERO,
            ..own.limits
        }
    );
    assert_eq!(offering::quiet(Some(&wanted(&value))), None);
    let quiet = |quiet: &str| {
        let value = json!({"schema": 1, "version": 3, "quiet": quiet});
        offering::quiet(Some(&wanted(&value)))
    };
    assert_eq!(quiet("22:00-07:30"), Some(Some((1_320, 450))));
    assert_eq!(quiet("22:00-24:00"), Some(Some((1_320, 0))));
    assert_eq!(quiet(""), Some(None));
    let none = json!({"schema": 1, "version": 3, "campaigns": []});
    let offered = offering::offered(&own, Some(&wanted(&none)), &noon());
    assert_eq!(
        (offered.offer.questions.len(), offered.closed),
        (0, Some(Closed::Nothing))
    );
    let untouched = offering::offered(&own, None, &noon());
    assert_eq!((untouched.offer, untouched.closed), (own, None));
}

#[test]
fn a_vote_and_an_answer_are_offered_as_the_centre_says() {
    let value = json!({"schema": 1, "version": 3, "campaigns": [{"id": "c", "questions": [
        {"id": "trees", "digit": 2, "kind": "choose", "prompt": {"da": hash(1)}, "min_pause_s": 20, "max_seconds": 30,
         "publish": "ask_voice", "answer": {"digit": 5, "prompt": {"da": hash(4)}},
         "options": [{"digit": 2, "id": "lime", "prompt": {"da": hash(2)}}, {"digit": 3, "id": "oak", "prompt": {"da": hash(3)}}]}]}]});
    let offer = offering::offered(&own().offer, Some(&wanted(&value)), &noon()).offer;
    let question = &offer.questions[0];
    assert_eq!(
        (question.campaign_id.as_deref(), question.digit),
        (Some("c"), 2)
    );
    assert_eq!(
        (question.publish, question.max),
        (MayPublish::AskVoice, Some(Duration::from_secs(30)))
    );
    let QuestionKind::Choose {
        options,
        min_pause,
        codes: false,
    } = &question.kind
    else {
        panic!("{question:?}")
    };
    assert_eq!(
        (options.len(), options[1].id.as_str(), *min_pause),
        (2, "oak", Duration::from_secs(20))
    );
    assert_eq!(
        (
            offer.answers[0].question_id.as_str(),
            offer.answers[0].digit
        ),
        ("trees", 5)
    );
    let spoken = Prompt::Wanted(BTreeMap::from([("da".to_owned(), hash(4))]));
    assert_eq!(offer.answers[0].prompt, spoken);
}

#[test]
fn campaigns_open_and_close_at_their_minute_and_the_sentence_says_when() {
    let campaign = |id: &str, from: &str, until: &str| json!({"id": id, "from": from, "until": until, "questions": [question(id, 1, 1)]});
    let value = json!({"schema": 1, "version": 3, "campaigns": [
        campaign("june", "2026-06-01T08:00", "2026-06-30"), campaign("july", "2026-07-02T08:00", "2026-07-31T20:00")]});
    let wanted = wanted(&value);
    let open = |text: &str| {
        let offered = offering::offered(&own().offer, Some(&wanted), &clock(text));
        let open: Vec<String> = offered
            .offer
            .questions
            .into_iter()
            .map(|open| open.id)
            .collect();
        (open, offered.closed)
    };
    let is = |id: &str| (vec![id.to_owned()], None);
    assert_eq!(
        open("2026-06-01T07:59"),
        (vec![], Some(Closed::Until(at("2026-06-01T08:00"))))
    );
    assert_eq!(open("2026-06-01T08:00"), is("june"));
    assert_eq!(open("2026-06-30T23:59"), is("june"));
    assert_eq!(
        open("2026-07-01T00:00"),
        (vec![], Some(Closed::Until(at("2026-07-02T08:00"))))
    );
    assert_eq!(open("2026-07-31T19:59"), is("july"));
    assert_eq!(open("2026-07-31T20:00"), (vec![], Some(Closed::Over)));
    // Dates go by the last time that was kept while the clock is not synchronised.
    let kept = Clock {
        is_synced: false,
        ..clock("2026-06-10T12:00")
    };
    assert_eq!(
        offering::offered(&own().offer, Some(&wanted), &kept).closed,
        None
    );
    let nothing_known = Clock::default();
    assert_eq!(
        offering::offered(&own().offer, Some(&wanted), &nothing_known)
            .offer
            .questions
            .len(),
        2
    );
}

#[test]
fn hours_close_the_booth_over_midnight_and_count_only_by_a_synchronised_clock() {
    let mut value = config(3, &[1]);
    // 2026-06-01 is a Monday.
    value["hours"] = json!([["mo-fr", "07:00", "21:00"], ["sa", "10:00", "02:00"]]);
    let wanted = wanted(&value);
    let closed = |text: &str| offering::offered(&own().offer, Some(&wanted), &clock(text)).closed;
    for open in [
        "2026-06-01T07:00",
        "2026-06-05T20:59",
        "2026-06-06T10:00",
        "2026-06-07T01:59",
    ] {
        assert_eq!(closed(open), None, "{open}");
    }
    for (shut, minute, days) in [
        ("2026-06-01T06:59", 420, 0),
        ("2026-06-01T21:00", 420, 1),
        ("2026-06-05T21:00", 600, 1),
        ("2026-06-07T02:00", 420, 1),
        ("2026-06-06T02:00", 600, 0),
    ] {
        assert_eq!(closed(shut), Some(Closed::Hours { minute, days }), "{shut}");
        let unsynced = Clock {
            is_synced: false,
            ..clock(shut)
        };
        assert_eq!(
            offering::offered(&own().offer, Some(&wanted), &unsynced).closed,
            None
        );
    }
    let said = Closed::Hours {
        minute: 425,
        days: 1,
    }
    .sentence();
    assert!(
        said.ends_with("it invites again tomorrow at 07:05."),
        "{said}"
    );
    // Minute by minute for a week: when the booth begins and ceases to invite.
    let mut shown = jiff_minutes("2026-06-01T00:00");
    let mut invited = false;
    let mut changes = Vec::new();
    for _ in 0..7 * 24 * 60 {
        let now = shown().to_string();
        let invites = closed(&now).is_none();
        if invites != invited {
            changes.push(now);
        }
        invited = invites;
    }
    let weekdays = (1..=5).flat_map(|day| [7, 21].map(|hour| (day, hour)));
    let expected = weekdays.chain([(6, 10), (7, 2)]);
    let expected = expected.map(|(day, hour)| format!("2026-06-{day:02}T{hour:02}:00"));
    assert_eq!(changes, expected.collect::<Vec<_>>());
}

/// The minutes from a time on, each one when it is asked.
fn jiff_minutes(first: &str) -> impl FnMut() -> LocalTime {
    let (day, _) = first.split_once('T').expect("a time");
    let month = day.get(..8).expect("a month").to_owned();
    let mut minute = 0u32;
    move || {
        let (day, of_day) = (1 + minute / 1_440, minute % 1_440);
        minute += 1;
        at(&format!(
            "{month}{day:02}T{:02}:{:02}",
            of_day / 60,
            of_day % 60
        ))
    }
}

#[test]
fn what_a_visit_may_still_play_stays_on_the_card_until_it_is_over() {
    let mut booth = Booth::new();
    booth.publish(&config(1, &[1, 2]));
    booth.send_all();
    let first = booth.media.clone();
    assert!(
        !booth.campaigns.visited(true),
        "nothing lies there for nothing"
    );
    let media = |version: usize| [1_000 + 2 * version, 1_001 + 2 * version];
    let publish = |booth: &mut Booth, version: usize| {
        booth.publish(&config(version as u64, &media(version)));
        booth.send_all();
    };
    for version in [2, 3] {
        publish(&mut booth, version);
        assert_eq!(booth.in_force(), Some(version as u64));
        assert!(first.is_subset(&booth.media), "configuration {version}");
    }
    // Whoever never hangs up fills no card.
    for version in 4..200 {
        publish(&mut booth, version);
    }
    assert_eq!(booth.in_force(), Some(199));
    assert!(first.is_subset(&booth.media));
    let wanted = booth.kept.clone().expect("in force").wanted.media();
    assert!(booth.media.len() <= MOST_FOR_A_VISIT + wanted.len());
    assert!(booth.campaigns.visited(false));
    booth.follow();
    assert_eq!(booth.media, wanted);
    assert!(!booth.campaigns.visited(false));
    // Between two visits nothing waits.
    booth.publish(&config(200, &[1, 2]));
    booth.send_all();
    assert_eq!(booth.media, first);
}
