//! Votes that count with a one-time code alone.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::withdrawals::City;
use super::*;
use crate::store::codes::Codes;
use booth_contract::{OneTimeCode, Receipt};
use booth_sealing::{KernelRandom, Random, envelope};

fn random(bytes: &mut [u8]) {
    KernelRandom.fill(bytes).expect("the kernel's chance");
}

/// A vote of the campaign, with this code sealed beside its receipt.
pub(super) fn vote(n: u64, city: &City, code: Option<&OneTimeCode>) -> Clip {
    let mut vote = choice(n);
    vote.manifest["campaign_id"] = json!("tree");
    let receipt = Receipt::generate(random, &[]).expect("a receipt");
    let code = code.map(OneTimeCode::to_text);
    let text = receipt.text_for_clip(&vote.id, code.as_ref().map(|text| text.as_str()));
    let sealed = envelope::seal(&text, &city.to, &mut KernelRandom).expect("sealed");
    vote.manifest["sealed"] = json!(STANDARD.encode(sealed));
    vote
}

/// The poll of the page: votes that count, and the others by their reason.
fn poll(bench: &Bench) -> (u64, Vec<(String, u64)>) {
    let view = bench.views().answers(9);
    assert_eq!(view.polls.len(), 1);
    let poll = &view.polls[0];
    let of_options: u64 = poll.options.iter().map(|(_, n)| n).sum();
    assert_eq!(
        (of_options, view.total, view.votes),
        (poll.votes, poll.votes, poll.votes)
    );
    (poll.votes, poll.not_counted.clone())
}

/// A hub whose campaign `tree` asks the question `square` with codes, and so many codes.
pub(super) fn with_codes(bench: &Bench, city: &City, count: usize) -> Vec<OneTimeCode> {
    let codes = Codes::beside(&bench.dir());
    codes.ask_for("tree", ["square".to_owned()]).expect("kept");
    city.codes(&bench.dir())
        .make("tree", count, &[], random)
        .expect("made")
}

#[test]
fn a_vote_counts_with_a_valid_unused_code_alone_and_the_first_one_wins() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let codes = with_codes(&bench, &city, 2);
    let stranger = OneTimeCode::generate(random, &[]).expect("a code");
    let first = vote(1, &city, Some(&codes[0]));
    for _ in 0..3 {
        // However often it is offered.
        assert_eq!(status(bench.offer(&first)), Some(AckStatus::Stored));
    }
    bench.offer(&vote(2, &city, Some(&codes[0])));
    bench.offer(&vote(3, &city, Some(&stranger)));
    bench.offer(&vote(4, &city, None));
    let mut without_receipt = choice(5);
    without_receipt.manifest["campaign_id"] = json!("tree");
    bench.offer(&without_receipt);
    bench.offer(&vote(6, &city, Some(&codes[1])));
    let others = || {
        [("missing", 2), ("unknown", 1), ("used", 1)]
            .map(|(why, n)| (why.to_owned(), n))
            .to_vec()
    };
    assert_eq!(poll(&bench), (2, others()));
    let page = crate::pages::answers(&crate::pages::Head::Own, &bench.views().answers(9), None)
        .into_string();
    assert!(
        page.contains("1 vote not counted: their code had been used before"),
        "{page}"
    );
    assert!(page.contains("2 votes not counted: they came without a code"));
    // The files alone say the same.
    let (bench, _) = bench.rebuilt();
    assert_eq!(poll(&bench), (2, others()));
}

#[test]
fn a_code_is_used_by_the_vote_that_was_cut_off_with_its_batch_and_comes_again() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let codes = with_codes(&bench, &city, 1);
    let first = vote(1, &city, Some(&codes[0]));
    bench.send_uncommitted(
        &format!("{BOOTH}/clip/{}", first.id),
        first.manifest.to_string().as_bytes(),
    );
    let mut bench = bench.restart().with_key(&city);
    // Another vote with the same code comes before it is offered again.
    bench.offer(&vote(2, &city, Some(&codes[0])));
    bench.offer(&first);
    assert_eq!(poll(&bench), (1, vec![("used".to_owned(), 1)]));
}

#[test]
fn other_questions_and_campaigns_need_none_and_what_is_sealed_to_another_key_waits_for_it() {
    let city = City::new();
    let mut bench = Bench::new();
    let codes = with_codes(&bench, &city, 1);
    let mut free = choice(9);
    free.manifest["campaign_id"] = json!("square");
    bench.offer(&free);
    // This hub has no private key yet.
    bench.offer(&vote(1, &city, Some(&codes[0])));
    let polls = bench.views().answers(9).polls;
    let of = |campaign: &str| {
        let mut polls = polls.iter();
        let poll = polls.find(|poll| poll.campaign_id.as_deref() == Some(campaign));
        let poll = poll.expect("shown");
        (poll.votes, poll.not_counted.clone())
    };
    assert_eq!(of("square"), (1, Vec::new()));
    assert_eq!(of("tree"), (0, vec![("sealed".to_owned(), 1)]));
    let bench = bench.restart().with_key(&city);
    let view = bench.views().answers(9);
    assert_eq!(view.votes, 2);
    assert!(view.polls.iter().all(|poll| poll.not_counted.is_empty()));
}

#[test]
fn a_burst_is_five_votes_faster_than_the_questions_pause_allows() {
    use crate::view::burst_seconds;
    // Without a pause, or with a short one: five within a minute.
    assert_eq!(
        (burst_seconds(0), burst_seconds(5), burst_seconds(15)),
        (60, 60, 60)
    );
    // Two minutes between two votes: four pauses lie between five of them.
    assert_eq!(burst_seconds(120), 479);
}

/// A vote from home with this code, as the hub's pages hand it to the store.
fn votes_from_home(bench: &mut Bench, city: &City, digit: u8, code: &OneTimeCode) -> Kept {
    let codes = city.codes(&bench.dir());
    let (clip_id, code) = codes.vote_from_home("tree", "square", code.clone());
    let submission = booth_city::centre::Submission {
        source: booth_city::centre::Source::Web,
        campaign_id: "tree".into(),
        question_id: "square".into(),
        body: booth_city::centre::Body::Vote(digit),
        lang: "da".into(),
        said_at: None,
        may_publish: booth_contract::Publish::No,
        notice_id: "0123456789abcdef".into(),
        code: None,
    };
    let entry = Entry {
        clip_id: Some(clip_id.clone()),
        submission,
        levels: crate::store::Levels::default(),
        code: Some(code),
    };
    let kept = bench.store.submit(bench.wall, bench.mono, &entry, &clip_id);
    kept.expect("answered")
}

#[test]
fn a_code_counts_once_whether_it_is_used_at_a_booth_or_from_home() {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let codes = with_codes(&bench, &city, 2);
    let stranger = OneTimeCode::generate(random, &[]).expect("a code");
    // Home first, then the booth; and the other way round.
    let kept = votes_from_home(&mut bench, &city, 2, &codes[0]);
    assert!(matches!(kept, Kept::New(_, Some(_))), "{kept:?}");
    bench.store.commit().expect("commits");
    bench.offer(&vote(1, &city, Some(&codes[0])));
    bench.offer(&vote(2, &city, Some(&codes[1])));
    for (code, why) in [
        (&codes[1], Some(Taken::Used)),
        (&stranger, Some(Taken::Unknown)),
        // The same once more, with another answer.
        (&codes[0], None),
    ] {
        let kept = votes_from_home(&mut bench, &city, 3, code);
        bench.store.commit().expect("commits");
        let told = match kept {
            Kept::NotCounted(taken) => Some(taken),
            Kept::Before(_) => None,
            Kept::New(..) => panic!("it is kept"),
        };
        assert_eq!(told, why);
    }
    // Of the votes from home that do not count nothing is kept; the one at the booth is shown.
    assert_eq!(poll(&bench), (2, vec![("used".to_owned(), 1)]));
    let (bench, _) = bench.rebuilt();
    assert_eq!(poll(&bench), (2, vec![("used".to_owned(), 1)]));
}

#[test]
fn a_vote_from_home_that_a_power_cut_took_keeps_its_code_and_one_that_was_taken_back_does_not_free_it()
 {
    let city = City::new();
    let mut bench = Bench::standard(&city);
    let codes = with_codes(&bench, &city, 1);
    let kept = votes_from_home(&mut bench, &city, 2, &codes[0]);
    assert!(matches!(kept, Kept::New(..)));
    // Before the commit: nobody was told that it is kept.
    let mut bench = bench.restart().with_key(&city);
    assert_eq!(bench.number("SELECT count(*) FROM kept"), 0);
    bench.offer(&vote(1, &city, Some(&codes[0])));
    let Kept::New(id, _) = votes_from_home(&mut bench, &city, 3, &codes[0]) else {
        panic!("its citizen can send it again");
    };
    bench.store.commit().expect("commits");
    assert_eq!(poll(&bench), (1, vec![("used".to_owned(), 1)]));
    bench.store.withdraw(bench.wall, &id).expect("withdrawn");
    let again = votes_from_home(&mut bench, &city, 2, &codes[0]);
    assert!(matches!(again, Kept::Before(_)), "{again:?}");
}

#[test]
fn a_vote_from_home_counts_at_a_hub_without_the_key_and_still_does_when_the_key_has_come() {
    let city = City::new();
    let mut bench = Bench::new();
    bench.store = bench.store.sealing_to(Some(city.to.clone()));
    let codes = with_codes(&bench, &city, 1);
    let kept = votes_from_home(&mut bench, &city, 2, &codes[0]);
    assert!(matches!(kept, Kept::New(_, Some(_))), "{kept:?}");
    bench.store.commit().expect("commits");
    assert_eq!(poll(&bench), (1, Vec::new()));
    let digits = codes[0].to_text();
    assert_eq!(
        bench.files_with(digits.as_bytes()),
        super::withdrawals::NOWHERE
    );
    let bench = bench.restart().with_key(&city);
    assert_eq!(poll(&bench), (1, Vec::new()));
}

#[test]
fn a_vote_that_does_not_count_reaches_no_page_of_the_city_and_one_that_counts_later_does() {
    use crate::centre::{Centre, HubCentre};
    let city = City::new();
    let mut bench = Bench::new();
    let codes = with_codes(&bench, &city, 1);
    let seen = |bench: &Bench| {
        let mut config = crate::config::HubConfig::default();
        config.store.dir = bench.dir();
        let centre = HubCentre::open(config, Arc::new(bench.views())).expect("opens");
        let arrived = centre.arrived(0, 100).expect("asked");
        assert_eq!(centre.number(), Ok(arrived.len() as u64));
        arrived.len()
    };
    // This hub cannot read the code yet.
    bench.offer(&vote(1, &city, Some(&codes[0])));
    bench.offer(&vote(2, &city, None));
    assert_eq!(seen(&bench), 0);
    let mut bench = bench.restart().with_key(&city);
    assert_eq!(seen(&bench), 1);
    bench.offer(&vote(3, &city, Some(&codes[0])));
    assert_eq!(seen(&bench), 1);
}
