use super::*;

/// A campaign with a question to speak to and a vote, in Danish, each sound another hash.
fn wanted() -> Wanted {
    let hash = |n: usize| format!("{n:064x}");
    let json = serde_json::json!({"schema": 1, "version": 1, "prompts": {"notice": {"da": hash(9)}}, "campaigns": [{"id": "torv", "questions": [
        {"id": "plads", "digit": 1, "kind": "speak", "publish": "ask_text", "prompt": {"da": hash(1)}},
        {"id": "farve", "digit": 2, "kind": "choose", "prompt": {"da": hash(2)}, "options": [
            {"digit": 2, "id": "groen", "prompt": {"da": hash(3)}}, {"digit": 3, "id": "roed", "prompt": {"da": hash(4)}}]}]}]});
    Wanted::read(json.to_string().as_bytes()).expect("a configuration")
}

struct Played {
    visits: Visits,
    now: Mono,
}

impl Played {
    fn new() -> Self {
        let played = Self {
            visits: Visits::default(),
            now: Mono(1_000_000),
        };
        played.visits.begin("one", wanted(), "da", played.now);
        played
    }

    /// Does it a moment later; what is heard then, what happened, and whether anything plays.
    fn go(&mut self, deed: Deed) -> (Vec<Sound>, Vec<News>, Option<PlayId>) {
        self.now = self.now + Duration::from_millis(2_000);
        let look = |visit: &Visit| {
            let heard = visit.playing.iter().flat_map(|(_, heard)| heard);
            let heard = heard.map(|one| one.sound.clone()).collect();
            let play = visit.playing.as_ref().map(|(play, _)| *play);
            (heard, visit.news.iter().copied().collect(), play)
        };
        self.visits
            .with("one", deed, self.now, look)
            .expect("a visit")
    }

    fn hear_out(&mut self) -> (Vec<Sound>, Vec<News>, Option<PlayId>) {
        let (_, _, play) = self.go(Deed::Wait);
        self.go(Deed::HeardOut(play.expect("something plays")))
    }
}

fn prompt(n: usize) -> Sound {
    Sound::Prompt(MediaHash::parse(&format!("{n:064x}")).expect("a hash"))
}

fn words(heard: &[Sound]) -> Vec<&str> {
    heard
        .iter()
        .filter_map(|sound| match sound {
            Sound::Word(name, ..) => Some(*name),
            _ => None,
        })
        .collect()
}

#[test]
fn a_message_is_spoken_heard_again_and_kept_in_the_order_of_a_booth() {
    let mut played = Played::new();
    let (heard, news, _) = played.go(Deed::Lift);
    assert_eq!((heard, news), (vec![prompt(9)], vec![News::Begins]));
    let (heard, ..) = played.hear_out();
    assert!(
        heard.contains(&prompt(1)) && heard.contains(&prompt(2)),
        "{heard:?}"
    );
    let (heard, ..) = played.go(Deed::Press(Key::Digit(1)));
    assert_eq!(heard, [Sound::Own("tone".into())]);
    let (_, news, _) = played.hear_out();
    assert_eq!(news.last(), Some(&News::Records));
    let (heard, news, _) = played.go(Deed::Press(Key::Hash));
    assert_eq!(news.last(), Some(&News::Ends));
    // The booth's own voice says what can be done now, with its recordings.
    assert!(words(&heard).contains(&"menu_hear"), "{heard:?}");
    assert!(
        words(&heard)
            .iter()
            .all(|name| super::super::voice::word(name).is_some())
    );
    let (heard, ..) = played.go(Deed::Press(Key::Digit(3)));
    assert_eq!(heard, [Sound::OwnWords]);
    let (_, news, _) = played.go(Deed::HangUp);
    assert_eq!(news[news.len() - 2..], [News::Kept, News::Over]);
}

#[test]
fn a_vote_is_cast_when_its_citizen_hangs_up_and_a_short_word_is_not_kept() {
    let mut played = Played::new();
    played.go(Deed::Lift);
    played.hear_out();
    let (heard, ..) = played.go(Deed::Press(Key::Digit(2)));
    assert!(
        heard.contains(&prompt(3)) && heard.contains(&prompt(4)),
        "{heard:?}"
    );
    played.go(Deed::Press(Key::Digit(3)));
    let (_, news, _) = played.go(Deed::HangUp);
    assert!(
        news.contains(&News::Cast(3)) && news.last() == Some(&News::Over),
        "{news:?}"
    );
}

#[test]
fn whoever_waits_is_asked_again_and_then_said_goodbye_to() {
    let mut played = Played::new();
    played.go(Deed::Lift);
    played.hear_out();
    played.hear_out();
    played.now = played.now + Duration::from_secs(10);
    let (heard, _, play) = played.go(Deed::Wait);
    assert!(
        heard[0] == Sound::Own("repeat".into()) && heard.contains(&prompt(1)),
        "{heard:?}"
    );
    played.go(Deed::HeardOut(play.expect("plays")));
    played.now = played.now + Duration::from_secs(20);
    let (heard, ..) = played.go(Deed::Wait);
    assert!(heard.contains(&Sound::Own("goodbye".into())), "{heard:?}");
}

#[test]
fn visits_are_few_and_end_when_nobody_touches_them() {
    let mut played = Played::new();
    let now = played.now;
    for n in 0..MOST {
        played.visits.begin(
            &format!("other {n}"),
            wanted(),
            "da",
            now + Duration::from_secs(1),
        );
    }
    assert!(
        played.visits.with("one", Deed::Wait, now, |_| ()).is_none(),
        "the oldest made room"
    );
    played.now = now + IDLE + Duration::from_secs(2);
    assert!(
        played
            .visits
            .with("other 3", Deed::Wait, played.now, |_| ())
            .is_none()
    );
    for bad in ["", "key:", "key:10", "key:a", "heard:", "lift:1x", "fly"] {
        assert_eq!(Deed::of(bad), None, "{bad}");
    }
}
