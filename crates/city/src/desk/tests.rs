//! The desk over its database and its pages: what people decide, at once and one after the other.

use std::sync::Arc;

use axum::http::StatusCode;
use booth_audio::{Band, OggOpus, Samples, SpeechEncoder};
use booth_contract::{ClipId, Publish};
use booth_host::clock;
use jiff::SignedDuration;

use super::act::{self, Decision, Outcome};
use super::decide::{Content, Refusal, State, Text, Wish};
use super::queue::{self, Filter, Rank};
use super::{published_sound, rows, themes};
use crate::City;
use crate::alarm;
use crate::centre::{CentreError, Kind, Source};
use crate::config::CityConfig;
use crate::people::{Person, Right, Role};
use crate::store::CityError;
use crate::testing::{FakeCentre, Seat, city, city_with, limit, person, seated, spoken};

/// A hub with these messages, taken over.
fn with(ids: &[&str]) -> (Arc<City>, Arc<FakeCentre>, tempfile::TempDir) {
    let (city, centre, folder) = city();
    for id in ids {
        centre.have().arrived.push(spoken(id));
    }
    city.follow(false).expect("taken over");
    (city, centre, folder)
}

fn moderator(account: i64) -> Person {
    person(account, &[Role::Moderator])
}

fn words(words: &str) -> Content {
    Content {
        transcript: Some(Text {
            words: words.into(),
            lang: "da".into(),
        }),
        ..Content::default()
    }
}

fn decision(id: &str, version: i64, wish: Wish) -> Decision {
    Decision {
        id: id.into(),
        version,
        content: Some(words("Flere bænke")),
        themes: None,
        idea: None,
        wish,
    }
}

/// The beginning of everything that waits, as a moderator sees it.
fn queue_of(city: &City) -> Vec<queue::Entry> {
    let filter = Filter::default();
    let found = city
        .store
        .read(|db| queue::entries(db, clock::wall(), &moderator(1), &filter, None, 100));
    found.expect("a queue")
}

fn message(city: &City, id: &str) -> rows::Message {
    let found = city.store.read(|db| rows::message(db, id));
    found.expect("a database").expect("a message")
}

fn acts(city: &City, about: &str) -> Vec<(String, String)> {
    let found = city.store.read(|db| {
        let mut statement =
            db.prepare("SELECT who, what FROM act WHERE about = ?1 ORDER BY seq")?;
        let rows = statement.query_map([about], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    });
    found.expect("a log")
}

/// A tone of so many seconds as a booth records it.
fn tone(seconds: u64) -> Vec<u8> {
    let samples: Vec<i16> = (0..Samples::in_s(seconds).count())
        .map(|at| ((at as f64 * 440.0 / 48_000.0 * std::f64::consts::TAU).sin() * 9_000.0) as i16)
        .collect();
    let mut encoder = SpeechEncoder::new(24_000, 5, Band::Wide).expect("an encoder");
    let mut stream = OggOpus::new(7, encoder.pre_skip(), &[("BOOTH_ID", "rundhoej-1")]);
    stream.push(&mut encoder, &samples).expect("encodes");
    let mut bytes = stream.take_page();
    bytes.extend(stream.finish(&mut encoder).expect("ends"));
    bytes
}

#[test]
fn a_decision_is_in_the_row_and_in_the_log_with_who_did_it() {
    let (city, _, _folder) = with(&["a"]);
    let done = act::decide(&city, &moderator(1), &decision("a", 0, Wish::PublishVoice));
    let wanted = Outcome::Done {
        state: State::Published,
        was_shown: false,
        waits_for_a_second: false,
        version: 1,
    };
    assert_eq!(done.expect("a store"), wanted);
    let message = message(&city, "a");
    assert!(message.standing.with_voice && message.published_at.is_some());
    assert_eq!(message.content, words("Flere bænke"));
    let log = acts(&city, "a");
    assert_eq!(
        log,
        [("account 1 person-1".to_owned(), "published".to_owned())]
    );
    // Words of a citizen are not in the log.
    let detail: String = city
        .store
        .read(|db| db.query_row("SELECT group_concat(detail) FROM act", [], |row| row.get(0)))
        .expect("a log");
    assert!(!detail.contains("bænke"), "{detail}");
}

#[test]
fn of_two_who_decide_at_once_the_second_is_told_what_the_first_decided_and_nothing_is_changed() {
    let (city, _, _folder) = with(&["a"]);
    city.store
        .change_quietly(|tx| {
            tx.execute(
                "INSERT INTO account (id, name, shown_name, roles, languages, made_at) VALUES (1, 'anna', 'Anna', 'moderator', 'da', '')",
                [],
            )?;
            Ok(())
        })
        .expect("an account");
    let both: Vec<Outcome> = std::thread::scope(|scope| {
        let decide = |account: i64, wish: Wish| {
            let city = &city;
            scope.spawn(move || act::decide(city, &moderator(account), &decision("a", 0, wish)))
        };
        let threads = [
            decide(1, Wish::PublishText),
            decide(2, Wish::Reject("insult".into())),
        ];
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic").expect("a store"))
            .collect()
    });
    let done = both
        .iter()
        .filter(|one| matches!(one, Outcome::Done { .. }))
        .count();
    assert_eq!(done, 1, "{both:?}");
    let told = both.iter().find_map(|one| match one {
        Outcome::Overtaken(overtaken) => Some(overtaken),
        _ => None,
    });
    let told = told.expect("the second is told");
    assert_eq!(told.message, message(&city, "a"));
    if told.message.standing.state == State::Published {
        assert_eq!(told.by.as_deref(), Some("Anna"));
    }
    assert_eq!(acts(&city, "a").len(), 1);
}

#[test]
fn a_refusal_changes_nothing_and_leaves_no_act() {
    let (city, centre, _folder) = with(&["a"]);
    let mut silent = spoken("b");
    silent.may_publish = Publish::No;
    centre.have().arrived.push(silent);
    city.follow(false).expect("taken over");
    let refused = act::decide(&city, &moderator(1), &decision("b", 0, Wish::PublishText));
    assert_eq!(
        refused.expect("a store"),
        Outcome::Refused(Refusal::CitizenSaidNo)
    );
    let empty = Decision {
        content: None,
        ..decision("a", 0, Wish::PublishText)
    };
    let refused = act::decide(&city, &moderator(1), &empty);
    assert_eq!(
        refused.expect("a store"),
        Outcome::Refused(Refusal::NoTranscript)
    );
    for id in ["a", "b"] {
        assert_eq!(message(&city, id).version, 0);
        assert_eq!(acts(&city, id), []);
    }
}

#[test]
fn where_two_have_to_listen_the_second_agrees_and_undo_takes_it_back_from_everybody() {
    let mut config = CityConfig::default();
    config.desk.second_listener = true;
    let (city, centre, _folder) = city_with(config);
    centre.have().arrived.push(spoken("a"));
    city.follow(false).expect("taken over");
    let says = |account: i64, version: i64, wish: Wish| {
        act::decide(&city, &moderator(account), &decision("a", version, wish)).expect("a store")
    };
    let proposed = says(1, 0, Wish::PublishVoice);
    assert!(matches!(
        proposed,
        Outcome::Done {
            waits_for_a_second: true,
            ..
        }
    ));
    assert_eq!(message(&city, "a").published_at, None);
    says(2, 1, Wish::PublishVoice);
    let published = message(&city, "a");
    assert_eq!(published.standing.second_by, Some(2));
    says(3, 2, Wish::Undo);
    let waiting = message(&city, "a");
    assert_eq!(waiting.standing, super::decide::Standing::OPEN);
    assert_eq!((waiting.published_at, waiting.version), (None, 3));
    assert_eq!(waiting.content, published.content);
    let log: Vec<String> = acts(&city, "a").into_iter().map(|(_, what)| what).collect();
    assert_eq!(log, ["proposed", "published", "undone"]);
}

#[test]
fn many_are_rejected_at_once_each_with_its_own_act_and_what_changed_meanwhile_stays() {
    let (city, _, _folder) = with(&["a", "b", "c"]);
    let first = decision("b", 0, Wish::PublishText);
    act::decide(&city, &moderator(2), &first).expect("a store");
    let many = ["a", "b", "c", "gone"].map(|id| Decision {
        content: None,
        ..decision(id, 0, Wish::Reject("empty".into()))
    });
    let outcomes = act::decide_all(&city, &moderator(1), &many).expect("a store");
    assert!(matches!(
        outcomes[0],
        Outcome::Done {
            state: State::Rejected,
            ..
        }
    ));
    assert!(matches!(outcomes[1], Outcome::Overtaken(_)));
    assert_eq!(outcomes[3], Outcome::Gone);
    assert_eq!(message(&city, "b").standing.state, State::Published);
    assert_eq!(
        message(&city, "c").standing.reason.as_deref(),
        Some("empty")
    );
    assert_eq!(acts(&city, "c").len(), 1);
    let too_many = vec![many[0].clone(); act::MOST_AT_ONCE + 1];
    let refused = act::decide_all(&city, &moderator(1), &too_many);
    assert!(matches!(refused, Err(CityError::Refused(_))));
}

#[test]
fn a_partner_decides_and_sees_nothing_of_another_campaign() {
    let (city, centre, _folder) = with(&["a"]);
    let mut other = spoken("b");
    other.campaign_id = Some("havn".into());
    centre.have().arrived.push(other);
    city.follow(false).expect("taken over");
    let mut partner = person(5, &[Role::Partner]);
    let rights = [Right::Listen, Right::Transcribe, Right::Publish].into();
    partner.campaigns = vec![("plads".into(), rights)];
    let done = act::decide(&city, &partner, &decision("a", 0, Wish::PublishText));
    assert!(matches!(done, Ok(Outcome::Done { .. })));
    let hidden = act::decide(&city, &partner, &decision("b", 0, Wish::PublishText));
    assert_eq!(hidden.expect("a store"), Outcome::Gone);
    let seen = city.store.read(|db| {
        let filter = Filter::default();
        queue::entries(db, clock::wall(), &partner, &filter, None, 100)
    });
    assert_eq!(seen.expect("a queue"), []);
    assert_eq!(
        city.store
            .read(|db| queue::number(db, &partner))
            .expect("a number"),
        0
    );
}

#[test]
fn what_waits_for_a_decision_is_counted_with_when_the_oldest_arrived() {
    let (city, _centre, _folder) = with(&["one", "two"]);
    let waiting = city.waiting_for_a_decision().expect("a database");
    assert_eq!(waiting, (2, Some(spoken("one").received_at)));
    city.store
        .change_quietly(|tx| {
            tx.execute("UPDATE message SET state = 'rejected'", [])?;
            Ok(())
        })
        .expect("written");
    let waiting = city.waiting_for_a_decision().expect("a database");
    assert_eq!(waiting, (0, None));
}

#[test]
fn who_may_be_in_danger_comes_first_then_the_oldest_and_what_is_likely_empty_last() {
    let (city, centre, _folder) = city();
    let at = spoken("x").received_at;
    for (id, minutes, ratio) in [
        ("old", 0, 0.8),
        ("empty", 1, 0.01),
        ("new", 20, 0.8),
        ("alarm", 30, 0.9),
        ("word", 40, 0.0),
    ] {
        let mut one = spoken(id);
        one.spoken_at = Some(at + SignedDuration::from_mins(minutes));
        one.speech_ratio = Some(ratio);
        centre.have().arrived.push(one);
    }
    city.follow(false).expect("taken over");
    city.store
        .change_quietly(|tx| {
            alarm::raise(tx, at, "alarm", "Anna", "")?;
            tx.execute(
                "INSERT INTO draft (message_id, text, at, likely_empty, flagged) VALUES ('word', 'x', '', 0, 'hjælp mig'), ('new', 'x', '', 1, NULL)",
                [],
            )?;
            Ok(())
        })
        .expect("written");
    let found = queue_of(&city);
    let order: Vec<(String, Rank)> = found
        .into_iter()
        .map(|entry| (entry.id, entry.rank))
        .collect();
    let wanted = [
        ("alarm", Rank::Danger),
        ("word", Rank::Danger),
        ("old", Rank::Usual),
        ("empty", Rank::LikelyEmpty),
        ("new", Rank::LikelyEmpty),
    ];
    assert_eq!(order, wanted.map(|(id, rank)| (id.to_owned(), rank)));
}

#[test]
fn a_long_queue_is_read_page_by_page_and_each_message_stands_on_one_page_alone() {
    let (city, centre, _folder) = city();
    let at = spoken("x").received_at;
    for number in 0..60_i64 {
        let mut one = spoken(&format!("m-{number:02}"));
        // Several of one moment, some of them likely empty, some with an alarm.
        one.spoken_at = Some(at + SignedDuration::from_mins(number / 7));
        one.speech_ratio = Some(if number % 5 == 0 { 0.0 } else { 0.9 });
        centre.have().arrived.push(one);
    }
    city.follow(false).expect("taken over");
    let raised = city.store.change_quietly(|tx| {
        alarm::raise(tx, at, "m-40", "Anna", "")?;
        alarm::raise(tx, at, "m-03", "Anna", "")?;
        Ok(())
    });
    raised.expect("raised");
    let decided = city.store.change_quietly(|tx| {
        Ok(tx.execute(
            "UPDATE message SET state = 'rejected', decided_by = 1, decided_at = said_at WHERE substr(id, 3) >= '50'",
            [],
        )?)
    });
    assert_eq!(decided.expect("decided"), 10);
    for (state, number) in [(None, 50), (Some(State::Rejected), 10)] {
        let filter = Filter {
            state,
            ..Filter::default()
        };
        let page = |behind: Option<&queue::Place>, most: usize| {
            let read = city
                .store
                .read(|db| queue::entries(db, clock::wall(), &moderator(1), &filter, behind, most));
            read.expect("a queue")
        };
        let whole: Vec<String> = page(None, 100).into_iter().map(|one| one.id).collect();
        assert_eq!(whole.len(), number);
        for size in [1, 3, 7] {
            let (mut seen, mut behind) = (Vec::new(), None);
            loop {
                let entries = page(behind.as_ref(), size);
                let Some(last) = entries.last() else { break };
                // As it goes through an address.
                behind = queue::Place::of(&last.place.text());
                assert_eq!(behind.as_ref(), Some(&last.place));
                seen.extend(entries.into_iter().map(|one| one.id));
            }
            assert_eq!(seen, whole, "{size}");
        }
    }
    for bad in ["", "x", "1_2026", "9_2026_x", "-1_2026_x"] {
        assert_eq!(queue::Place::of(bad), None, "{bad}");
    }
}

#[test]
fn the_next_message_is_found_behind_hundreds_that_are_not_for_this_person() {
    let (city, centre, _folder) = city();
    let at = spoken("x").received_at;
    for number in 0..300_i64 {
        let mut one = spoken(&format!("m-{number:03}"));
        one.spoken_at = Some(at + SignedDuration::from_secs(number));
        one.lang = Some(if number == 290 { "da" } else { "uk" }.into());
        centre.have().arrived.push(one);
    }
    city.follow(false).expect("taken over");
    let next = |filter: &Filter, behind: Option<&str>| {
        let person = moderator(1);
        let next = city
            .store
            .read(|db| queue::next(db, clock::wall(), &person, filter, behind));
        next.expect("a queue").map(|entry| entry.id)
    };
    assert_eq!(next(&Filter::default(), None).as_deref(), Some("m-290"));
    assert_eq!(next(&Filter::default(), Some("m-290")), None);
    let asked_for = Filter {
        lang: Some("uk".into()),
        ..Filter::default()
    };
    let behind = next(&asked_for, Some("m-250"));
    assert_eq!(behind.as_deref(), Some("m-251"));
    assert_eq!(
        next(&asked_for, Some("m-299")).as_deref(),
        Some("m-000"),
        "skipped ones come again"
    );
}

#[test]
fn messages_of_one_booth_within_five_minutes_are_one_group_and_those_of_no_booth_are_alone() {
    let (city, centre, _folder) = city();
    let at = spoken("x").received_at;
    for (id, seconds, booth) in [
        ("a", 0, Some("x-1")),
        ("b", 60, Some("y-1")),
        ("c", 200, Some("x-1")),
        ("d", 400, Some("x-1")),
        ("e", 10, None),
        ("f", 20, None),
    ] {
        let mut one = spoken(id);
        one.spoken_at = Some(at + SignedDuration::from_secs(seconds));
        one.booth_id = booth.map(str::to_owned);
        one.source = if booth.is_some() {
            Source::Booth
        } else {
            Source::Web
        };
        centre.have().arrived.push(one);
    }
    city.follow(false).expect("taken over");
    let found = queue_of(&city);
    let groups = queue::grouped(found);
    let ids: Vec<String> = groups
        .iter()
        .map(|group| {
            group
                .entries
                .iter()
                .map(|entry| entry.id.as_str())
                .collect()
        })
        .collect();
    assert_eq!(ids, ["ac", "e", "f", "b", "d"]);
}

#[test]
fn a_claim_keeps_others_from_being_sent_there_and_ends_by_itself() {
    let (city, _, _folder) = with(&["a", "b"]);
    let (one, two) = (moderator(1), moderator(2));
    let now = clock::wall();
    let filter = Filter::default();
    let next = |at: jiff::Timestamp, person: &Person, behind: Option<&str>| {
        let next = city
            .store
            .read(|db| queue::next(db, at, person, &filter, behind));
        next.expect("a queue").map(|entry| entry.id)
    };
    let claim = |at, account, id: &str| {
        let other = city
            .store
            .change_quietly(|tx| Ok(queue::claim(tx, at, 10, account, id)?));
        other.expect("a store").is_some()
    };
    assert!(!claim(now, 1, "a"));
    assert!(claim(now, 2, "a"), "the second is told");
    assert_eq!(next(now, &one, None).as_deref(), Some("a"));
    assert_eq!(next(now, &two, None).as_deref(), Some("b"));
    // Skipped ones come again at the end, and nobody is led in a circle.
    assert_eq!(next(now, &one, Some("a")).as_deref(), Some("b"));
    assert_eq!(next(now, &one, Some("b")).as_deref(), Some("a"));
    let later = now + SignedDuration::from_mins(11);
    assert_eq!(next(later, &two, None).as_deref(), Some("a"));
    assert!(!claim(later, 2, "a"));
    // A claim hinders no decision, and ends with one.
    let done = act::decide(&city, &one, &decision("a", 0, Wish::Heard));
    assert!(matches!(done, Ok(Outcome::Done { .. })));
    let claims: i64 = city
        .store
        .read(|db| db.query_row("SELECT count(*) FROM claim", [], |row| row.get(0)))
        .expect("a number");
    assert_eq!(claims, 0);
}

#[test]
fn nobody_is_sent_to_what_they_do_not_understand_or_proposed_themselves() {
    let (city, centre, _folder) = city();
    let mut foreign = spoken("a");
    foreign.lang = Some("uk".into());
    centre.have().arrived.extend([foreign, spoken("b")]);
    city.follow(false).expect("taken over");
    city.store
        .change_quietly(|tx| {
            tx.execute("UPDATE message SET decided_by = 1 WHERE id = 'b'", [])?;
            Ok(())
        })
        .expect("written");
    let next = |person: &Person, filter: &Filter| {
        let next = city
            .store
            .read(|db| queue::next(db, clock::wall(), person, filter, None));
        next.expect("a queue").map(|entry| entry.id)
    };
    assert_eq!(next(&moderator(1), &Filter::default()), None);
    assert_eq!(
        next(&moderator(2), &Filter::default()).as_deref(),
        Some("b")
    );
    let ukrainian = Filter {
        lang: Some("uk".into()),
        ..Filter::default()
    };
    assert_eq!(next(&moderator(2), &ukrainian).as_deref(), Some("a"));
}

#[test]
fn themes_are_made_where_they_are_needed_and_once() {
    let (city, _, _folder) = with(&["a", "b"]);
    let choose = |id: &str, version, ids: Vec<i64>, new: &[&str]| {
        let chosen = themes::Chosen {
            ids,
            new: new.iter().map(|name| (*name).to_owned()).collect(),
            language: "da".into(),
        };
        let decision = Decision {
            themes: Some(chosen),
            ..decision(id, version, Wish::Keep)
        };
        act::decide(&city, &moderator(1), &decision).expect("a store")
    };
    choose("a", 0, vec![], &["Trafik", "trafik", " <b>Støj</b> ", ""]);
    let all = city.store.read(|db| themes::of_campaign(db, Some("plads")));
    let all = all.expect("themes");
    let names: Vec<&str> = all.iter().map(|theme| theme.in_language("da")).collect();
    assert_eq!(names, ["Trafik", "<b>Støj</b>"]);
    choose("b", 0, vec![all[1].id, 4_711], &["TRAFIK"]);
    let of = |id: &str| {
        city.store
            .read(|db| themes::of_message(db, id))
            .expect("themes")
    };
    assert_eq!(of("b"), [all[0].id, all[1].id]);
    choose("b", 1, vec![all[1].id], &[]);
    assert_eq!(of("b"), [all[1].id]);
    assert_eq!(of("a").len(), 2);
}

#[test]
fn the_published_sound_is_had_only_while_the_voice_is_published_and_without_what_was_cut() {
    let (city, centre, _folder) = with(&["a"]);
    centre.have().sounds.insert("a".into(), tone(4));
    let id = ClipId::from("a".to_owned());
    let not_there = |sound: Result<Vec<u8>, CityError>| {
        matches!(sound, Err(CityError::Centre(CentreError::NotThere)))
    };
    assert!(not_there(published_sound(&city, &id)));
    let says = |version, content: Content, wish| {
        let decision = Decision {
            content: Some(content),
            ..decision("a", version, wish)
        };
        act::decide(&city, &moderator(1), &decision).expect("a store");
    };
    says(0, words("x"), Wish::PublishText);
    assert!(not_there(published_sound(&city, &id)));
    says(1, words("x"), Wish::PublishVoice);
    let whole = published_sound(&city, &id).expect("a sound");
    assert!(!whole.windows(8).any(|word| word == b"rundhoej"));
    assert_eq!(whole, published_sound(&city, &id).expect("the same"));
    let cut = Content {
        trim_to_ms: Some(2_000),
        silenced: vec![(500, 1_000)],
        ..words("x")
    };
    says(2, cut, Wish::PublishVoice);
    let shorter = published_sound(&city, &id).expect("a sound");
    let seen = booth_audio::portrait(&shorter, 40).expect("it plays");
    assert_eq!(seen.length.ms(), 2_000);
    assert!(seen.bars[15] < 0.02 && seen.bars[30] > 0.1, "{seen:?}");
    let child = Content {
        is_child: true,
        ..words("x")
    };
    says(3, child, Wish::Keep);
    assert!(not_there(published_sound(&city, &id)));
    says(4, words("x"), Wish::PublishVoice);
    assert!(published_sound(&city, &id).is_ok());
    // Withdrawn: nothing is left, not even in memory.
    centre.have().gone.push(id.clone());
    city.follow(false).expect("taken over");
    assert!(not_there(published_sound(&city, &id)));
}

/// A browser at the desk, of somebody who understands both languages.
fn seat_for(city: &Arc<City>, name: &str, roles: &[Role]) -> Seat {
    let seat = Seat::of(city, seated(city, name, roles));
    let understands = "UPDATE account SET languages = 'en,da'";
    city.store
        .change_quietly(|tx| Ok(tx.execute(understands, []).map(drop)?))
        .expect("written");
    seat
}

#[tokio::test]
async fn the_desk_works_by_plain_forms_from_the_queue_to_the_undo() {
    let (city, centre, _folder) = with(&["a", "b"]);
    for id in ["a", "b"] {
        centre.have().sounds.insert(id.into(), tone(1));
    }
    let seat = seat_for(&city, "anna", &[Role::Moderator]);
    let (status, page) = seat.get("/desk").await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        page.contains("2 messages wait") && page.contains("desk/next"),
        "{page}"
    );
    let (_, _, _) = seat.post("/desk/undo", "item=x:0").await;
    let (status, page) = seat.get("/desk/message/a").await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert!(
        page.contains("<svg")
            && page.contains("value=\"text\"")
            && page.contains("value=\"voice\"")
    );
    for inline in ["style=\"", " onclick", " onload", "<style", "javascript:"] {
        assert!(!page.contains(inline), "{inline}");
    }
    let form = "version=0&transcript=Flere+b%C3%A6nke&transcript_lang=en&new_theme=Torvet&do=text";
    let (status, location, _) = seat.post("/desk/message/a?lang=", form).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert_eq!(location, "../../desk/next?done=a%3A1%3Apublished");
    let (status, _) = seat.get("/desk/next?done=a%3A1%3Apublished").await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let (_, page) = seat.get("/desk/message/b?done=a%3A1%3Apublished").await;
    assert!(
        page.contains("value=\"a:1\"") && page.contains("Torvet"),
        "{page}"
    );
    let (status, location, _) = seat.post("/desk/undo", "item=a:1").await;
    assert_eq!(
        (status, location.as_str()),
        (StatusCode::SEE_OTHER, "../desk/message/a")
    );
    assert_eq!(message(&city, "a").standing.state, State::Waiting);
}

#[tokio::test]
async fn a_refused_or_overtaken_decision_keeps_what_was_typed_on_the_page() {
    let (city, centre, _folder) = with(&["a"]);
    centre.have().sounds.insert("a".into(), tone(1));
    let seat = seat_for(&city, "anna", &[Role::Moderator]);
    let foreign = "version=0&transcript=Min+tekst&transcript_lang=uk&do=text";
    let (status, _, page) = seat.post("/desk/message/a", foreign).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.contains("Min tekst") && page.contains("understand this language"));
    act::decide(&city, &moderator(9), &decision("a", 0, Wish::PublishText)).expect("a store");
    let mine = "version=0&transcript=Min+tekst&transcript_lang=en&do=heard";
    let (status, _, page) = seat.post("/desk/message/a", mine).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(
        page.contains("Min tekst") && page.contains("Flere bænke"),
        "{page}"
    );
    assert!(
        page.contains("name=\"version\" value=\"1\""),
        "the next try counts: {page}"
    );
    let again = "version=1&transcript=Min+tekst&transcript_lang=en&do=heard";
    let (status, ..) = seat.post("/desk/message/a", again).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert_eq!(message(&city, "a").standing.state, State::Heard);
}

#[tokio::test]
async fn hearing_is_written_down_once_and_only_for_those_who_may() {
    let (city, centre, _folder) = with(&["a"]);
    centre.have().sounds.insert("a".into(), tone(1));
    let seat = seat_for(&city, "anna", &[Role::Moderator]);
    let sound = "/desk/message/a/sound.opus";
    for _ in 0..3 {
        assert_eq!(seat.get(sound).await.0, StatusCode::OK);
    }
    let listened = acts(&city, "a")
        .into_iter()
        .filter(|(_, what)| what == "listened");
    assert_eq!(listened.count(), 1);
    let editor = seat_for(&city, "erik", &[Role::Editor]);
    for path in [
        "/desk",
        "/desk/next",
        "/desk/message/a",
        sound,
        "/desk/alarms",
    ] {
        let (status, _) = editor.get(path).await;
        assert!(
            status == StatusCode::FORBIDDEN || status == StatusCode::NOT_FOUND,
            "{path} {status}"
        );
    }
    let (status, ..) = editor.post("/desk/message/a", "version=0&do=heard").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, ..) = editor.post("/desk/reject", "item=a:0&reason=empty").await;
    let version = message(&city, "a").version;
    assert_eq!((status, version), (StatusCode::FORBIDDEN, 0));
}

#[tokio::test]
async fn a_sealed_hub_says_so_on_the_page_and_the_rest_goes_on() {
    let (city, centre, _folder) = with(&["a"]);
    let mut written = spoken("b");
    written.kind = Kind::Written;
    centre.have().arrived.push(written);
    city.follow(false).expect("taken over");
    centre.have().refuses = Some(CentreError::Sealed);
    let seat = seat_for(&city, "anna", &[Role::Moderator]);
    for id in ["a", "b"] {
        let (status, page) = seat.get(&format!("/desk/message/{id}")).await;
        assert_eq!(status, StatusCode::OK);
        assert!(page.contains("This hub has no key of the city"), "{page}");
        assert_eq!(page.contains("written.txt"), id == "b");
    }
    // What is opened where the key is was heard or read all the same; whoever may not hear it is not even told that it is sealed.
    let editor = seat_for(&city, "erik", &[Role::Editor]);
    for (path, id, what) in [
        ("/desk/message/a/sound.opus", "a", "listened"),
        ("/desk/message/b/written.txt", "b", "read"),
    ] {
        assert_ne!(editor.get(path).await.0, StatusCode::LOCKED);
        assert_eq!(acts(&city, id), []);
        assert_eq!(seat.get(path).await.0, StatusCode::LOCKED);
        let noted: Vec<String> = acts(&city, id).into_iter().map(|(_, what)| what).collect();
        assert_eq!(noted, [what]);
    }
    // A voice that this hub could let nobody hear is not published.
    let form = "version=0&transcript=hej&transcript_lang=da&do=voice";
    let (status, _, page) = seat.post("/desk/message/a", form).await;
    assert_ne!(status, StatusCode::SEE_OTHER);
    assert!(page.contains("nobody could hear the voice"), "{page}");
    assert_eq!(message(&city, "a").version, 0);
}

#[tokio::test]
async fn what_a_citizen_wrote_or_a_machine_heard_is_text_on_the_page_whatever_it_holds() {
    let (city, centre, _folder) = with(&["a"]);
    let mut written = spoken("b");
    written.kind = Kind::Written;
    centre.have().arrived.push(written);
    centre.have().sounds.insert("a".into(), tone(1));
    let nasty = "</textarea><script>alert(1)</script> \u{202e}مرحبا 👍🏽";
    centre.have().texts.insert("b".into(), nasty.into());
    city.follow(false).expect("taken over");
    city.store
        .change_quietly(|tx| {
            tx.execute(
                "INSERT INTO draft (message_id, text, model, at, likely_empty, flagged) VALUES ('a', ?1, '<i>', '', 0, '\"><b>')",
                [nasty],
            )?;
            tx.execute("INSERT INTO theme (campaign_id, name) VALUES ('plads', '{\"en\":\"<img src=x>\"}')", [])?;
            Ok(())
        })
        .expect("written");
    let seat = seat_for(&city, "anna", &[Role::Moderator]);
    for id in ["a", "b"] {
        let (status, page) = seat.get(&format!("/desk/message/{id}")).await;
        assert_eq!(status, StatusCode::OK);
        assert!(page.contains("&lt;/textarea&gt;&lt;script&gt;") && page.contains("مرحبا 👍🏽"));
        for bad in ["<script>alert", "<img src=x", "\"><b>", "<i>"] {
            assert!(!page.contains(bad), "{id} {bad}");
        }
    }
    // Reading is written down as hearing is.
    assert_eq!(
        acts(&city, "b")
            .first()
            .map(|(_, what)| what.clone())
            .as_deref(),
        Some("read")
    );
    for path in [
        "/desk/message/..%2f..%2fx",
        "/desk/message/%00",
        "/desk/message/none",
    ] {
        assert_eq!(seat.get(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_message_that_the_hub_marks_as_a_childs_later_is_taken_off_and_its_voice_stays_so() {
    let (city, centre, _folder) = with(&["a", "b"]);
    centre.have().sounds.insert("a".into(), tone(1));
    let voice = |version| {
        let done = act::decide(
            &city,
            &moderator(1),
            &decision("a", version, Wish::PublishVoice),
        );
        done.expect("a store")
    };
    voice(0);
    let id = ClipId::from("a".to_owned());
    assert!(published_sound(&city, &id).is_ok());
    let pages = crate::web::for_citizens(&city);
    let seen = async || {
        let request = crate::testing::request("/da/messages", "", None);
        crate::testing::ask(&pages, request).await.2
    };
    assert!(seen().await.contains("Flere bænke"));

    centre.have().arrived[0].is_child = true;
    city.follow(false).expect("taken over");
    assert!(!seen().await.contains("Flere bænke"));
    let not_there = |sound| {
        matches!(
            sound,
            Err::<Vec<u8>, _>(CityError::Centre(CentreError::NotThere))
        )
    };
    assert!(not_there(published_sound(&city, &id)));
    let marked = message(&city, "a");
    assert_eq!(marked.standing, super::decide::Standing::OPEN);
    assert!(marked.content.is_child && marked.published_at.is_none());
    let last = acts(&city, "a").pop();
    assert_eq!(
        last,
        Some(("command line".into(), "marked as a child's".into()))
    );
    // A page that was drawn before is told so, and one that leaves the mark out does not take it back.
    let Outcome::Overtaken(overtaken) = voice(1) else {
        panic!("nobody was told");
    };
    assert_eq!(overtaken.by, None);
    assert_eq!(voice(2), Outcome::Refused(Refusal::ChildsVoice));
    let seat = seat_for(&city, "anna", &[Role::Moderator]);
    let (_, page) = seat.get("/desk/message/a").await;
    assert!(page.contains("That cannot be taken back here"), "{page}");
    let text = |account, version| {
        let decided = act::decide(
            &city,
            &moderator(account),
            &decision("a", version, Wish::PublishText),
        );
        decided.expect("a store")
    };
    text(1, 2);
    assert_eq!(message(&city, "a").standing.state, State::Waiting);
    text(2, 3);
    assert_eq!(message(&city, "a").standing.state, State::Published);
    // A look that finds nothing new changes nothing.
    let before = acts(&city, "a").len();
    city.follow(true).expect("taken over");
    assert_eq!(message(&city, "a").standing.state, State::Published);
    // The mark is taken back: the desk may say otherwise now.
    centre.have().arrived[0].is_child = false;
    city.follow(false).expect("taken over");
    voice(4);
    assert!(published_sound(&city, &id).is_ok());
    assert_eq!(acts(&city, "a").len(), before + 1);
    // One that arrives with its mark.
    let mut late = spoken("c");
    late.is_child = true;
    centre.have().arrived.push(late);
    city.follow(false).expect("taken over");
    let decided = act::decide(&city, &moderator(1), &decision("c", 0, Wish::PublishVoice));
    assert_eq!(
        decided.expect("a store"),
        Outcome::Refused(Refusal::ChildsVoice)
    );
    assert_eq!(message(&city, "b").content, Content::default());
}

#[tokio::test]
async fn what_citizens_report_is_seen_at_the_desk_until_somebody_has_looked_at_it() {
    let (city, centre, _folder) = with(&["a"]);
    centre.have().sounds.insert("a".into(), tone(1));
    act::decide(&city, &moderator(1), &decision("a", 0, Wish::PublishText)).expect("a store");
    city.store
        .change_quietly(|tx| {
            tx.execute("INSERT INTO complaint (message_id, at, why) VALUES ('a', '2026-08-04T00:00:00.000Z', 'Det er <min> nabo')", [])?;
            Ok(())
        })
        .expect("reported");
    let seat = seat_for(&city, "anna", &[Role::Moderator]);
    let (_, page) = seat.get("/desk").await;
    assert!(page.contains("Det er &lt;min&gt; nabo"), "{page}");
    let (_, page) = seat.get("/desk/message/a").await;
    assert!(page.contains("Det er &lt;min&gt; nabo"));
    let shown = page.split_once("name=\"newest_report\" value=\"");
    let newest = shown.and_then(|(_, rest)| rest.split('"').next());
    let newest = newest.expect("the report that is shown");
    // Another one comes while the page is read.
    city.store
        .change_quietly(|tx| {
            tx.execute("INSERT INTO complaint (message_id, at, why) VALUES ('a', '2026-08-04T00:00:00.000Z', 'Forkert gade')", [])?;
            Ok(())
        })
        .expect("reported");
    let form = format!("version=1&do=looked&newest_report={newest}");
    let (status, ..) = seat.post("/desk/message/a", &form).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let (_, page) = seat.get("/desk").await;
    assert!(!page.contains("nabo"));
    assert!(page.contains("Forkert gade"), "nobody has seen it yet");
    let last = acts(&city, "a").pop().map(|(_, what)| what);
    assert_eq!(last.as_deref(), Some("looked at a report"));
}

#[tokio::test]
async fn a_correction_is_new_in_the_feed_and_an_untouched_message_is_not() {
    let (city, _, _folder) = with(&["a", "b"]);
    for id in ["a", "b"] {
        act::decide(&city, &moderator(1), &decision(id, 0, Wish::PublishText)).expect("a store");
    }
    city.store
        .change_quietly(|tx| {
            let early = "UPDATE message SET published_at = '2026-08-04T00:00:00.000Z'";
            Ok(tx.execute(early, [])?)
        })
        .expect("written");
    let corrected = Decision {
        content: Some(words("Flere grønne bænke")),
        ..decision("a", 1, Wish::Keep)
    };
    for decision in [corrected, decision("b", 1, Wish::Keep)] {
        act::decide(&city, &moderator(1), &decision).expect("a store");
    }
    let changed = |id: &str| -> (String, Option<String>) {
        let asked = "SELECT published_at, changed_at FROM message WHERE id = ?1";
        let found = city
            .store
            .read(|db| db.query_row(asked, [id], |row| Ok((row.get(0)?, row.get(1)?))));
        found.expect("a row")
    };
    let (published, at) = changed("a");
    assert!(at.is_some_and(|at| at > published));
    assert_eq!(changed("b").1, None);
    // What is published anew later begins anew.
    act::decide(&city, &moderator(1), &decision("a", 2, Wish::Undo)).expect("a store");
    assert_eq!(message(&city, "a").published_at, None);
    act::decide(&city, &moderator(1), &decision("a", 3, Wish::PublishText)).expect("a store");
    assert_eq!(changed("a").1, None);
}

#[tokio::test]
async fn a_full_database_takes_no_half_decision_and_what_was_typed_stays() {
    let (city, centre, _folder) = with(&["a"]);
    centre.have().sounds.insert("a".into(), tone(1));
    let seat = seat_for(&city, "anna", &[Role::Moderator]);
    limit(&city, None);
    let long = "ord+".repeat(10_000);
    let form = format!("version=0&transcript={long}&transcript_lang=en&do=text");
    let (status, _, page) = seat.post("/desk/message/a", &form).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.contains("ord ord ord") && page.contains("Nothing was changed"));
    assert_eq!(message(&city, "a").version, 0);
    assert_eq!(acts(&city, "a"), []);
    limit(&city, Some(1_000_000));
    let (status, ..) = seat.post("/desk/message/a", &form).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
}
