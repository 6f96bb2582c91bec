//! One button stops a question at a booth that is connected and on the citizens' pages, and takes that back: a real broker, a real hub, a real
//! gateway.
#![allow(clippy::disallowed_methods)]

use booth_contract::wanted::Wanted;
use booth_testkit::gateway::{BoothHome, Gateway};
use booth_testkit::hub::{Booth, Broker, Home, Hub, booth_hub};
use booth_testkit::pulse::Pulse;
use booth_testkit::staff::Staff;
use booth_testkit::wait::until;
use serde_json::{Value, json};

const PASSWORD: &str = "korrekt hest batteri";
const BOOTH: &str = "rundhoej-1";
const ASKS: &str = "Hvad skal der ske på torvet?";
const CAMPAIGN: &str = r#"id = "square"
title = "Torvet"
booths = ["rundhoej-1"]
language = "da"

[[question]]
id = "torvet"
digit = 3
kind = "speak"
publish = "ask_text"
text.da = "Hvad skal der ske på torvet?"
"#;
/// Where a citizen meets the question.
const QUESTION: &str = "da/question/square/torvet";
const ANSWER: &str = "da/answer/square/torvet";
/// Where an operator does.
const CHANGE: &str = "questions/change";

/// A hub with pages for citizens, a campaign of one question, and somebody who looks after its booths.
struct Town {
    home: Home,
    hub: Hub,
    olga: Staff,
    broker: Broker,
}

impl Town {
    fn open() -> Self {
        let broker = Broker::open();
        let more =
            "[city]\nlisten = \"127.0.0.1:0\"\n[[booth]]\nid = \"rundhoej-1\"\nname = \"Torv\"\n";
        let home = Home::new(broker.port, more);
        let hub = Hub::start(&home);
        home.has_person("olga", PASSWORD, &["--role", "operator"]);
        let olga = Staff::log_in(hub.address().trim_end_matches('/'), "olga", PASSWORD);
        home.publishes(CAMPAIGN);
        Self {
            home,
            hub,
            olga: olga.expect("logged in"),
            broker,
        }
    }

    /// The status and the text of a citizens' page.
    fn citizen(&self, page: &str) -> (u16, String) {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let asked = agent.get(format!("{}{page}", self.hub.citizens())).call();
        let mut said = asked.expect("an answer");
        let status = said.status().as_u16();
        (status, said.body_mut().read_to_string().expect("text"))
    }

    fn is_shown(&self) {
        until("citizens see the question", || {
            let is_there = self.citizen(QUESTION).0 == 200 && self.citizen(ANSWER).0 == 200;
            (is_there && self.citizen("da/").1.contains(ASKS)).then_some(())
        });
    }

    fn is_hidden(&self) {
        until("citizens do not see the question", || {
            let is_gone = self.citizen(QUESTION).0 == 404 && self.citizen(ANSWER).0 == 410;
            (is_gone && !self.citizen("da/").1.contains(ASKS)).then_some(())
        });
        let (_, said) = self.citizen(ANSWER);
        assert!(said.contains("har stoppet dette spørgsmål"), "{said}");
        assert!(!said.contains(ASKS), "{said}");
    }

    fn press(&self, why: Option<&str>) -> Result<String, String> {
        let does = if why.is_some() { "stop" } else { "resume" };
        let why = why.unwrap_or_default();
        let about = [("campaign", "square"), ("question", "torvet")];
        let fields = [about[0], about[1], ("do", does), ("why", why)];
        self.olga.post(CHANGE, &fields)
    }

    fn command(&self, arguments: &[&str]) -> (bool, String) {
        let config = self.home.config();
        let config = ["--config", config.to_str().expect("a path")];
        let ran = booth_hub(&[arguments, &config].concat());
        let said = [&ran.stdout[..], &ran.stderr[..]].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        (ran.status.success(), said)
    }

    /// The page of questions, when it says this.
    fn says(&self, text: &str) -> String {
        until(&format!("the page says {text:?}"), || {
            let page = self.olga.get("questions").ok()?;
            page.contains(text).then_some(page)
        })
    }
}

#[test]
fn one_button_stops_a_question_at_the_booth_and_on_the_pages_and_gives_it_back() {
    let town = Town::open();
    let pulse = Pulse::start();
    let booth = BoothHome::new(town.broker.port, "");
    let gateway = Gateway::start(&booth, &pulse);
    let asked_with = |state: &Value| state["config_version"].as_u64();
    let begun = until("the campaign is in force", || asked_with(&gateway.state()?));
    gateway.reaches("ready", 1);
    town.is_shown();
    town.says("The question is asked.");
    let confirm = town
        .olga
        .get(&format!("{CHANGE}?campaign=square&question=torvet"));
    let confirm = confirm.expect("a page");
    assert!(
        confirm.contains("Stop this question?") && confirm.contains(ASKS),
        "{confirm}"
    );
    let refused = town.press(Some("  ")).expect_err("no reason");
    assert!(refused.contains("422"), "{refused}");
    town.is_shown();

    let led = town
        .press(Some("a name was read out in it"))
        .expect("stopped");
    assert!(led.ends_with("questions?done"), "{led}");
    town.is_hidden();
    // The only question is gone: the booth does not invite, and says why.
    gateway.reaches("ready", 0);
    let stopped = until("a later version is in force", || {
        asked_with(&gateway.state()?).filter(|version| *version > begun)
    });
    let page = town.says("In force at the one connected booth.");
    assert!(
        page.contains("by olga: a name was read out in it"),
        "{page}"
    );
    until("the booth says that no question is open", || {
        let page = town.olga.get(&format!("booth/{BOOTH}")).ok()?;
        let parts = ["no_question", "square/torvet is stopped", "✓ the same"];
        parts.iter().all(|part| page.contains(part)).then_some(())
    });
    // A second press of the same button, by somebody else or twice, does not give it back.
    let again = town.press(Some("once more")).expect_err("it is stopped");
    assert!(again.contains("422"), "{again}");
    town.is_hidden();

    let led = town.press(None).expect("given back");
    assert!(led.ends_with("questions?done"), "{led}");
    gateway.reaches("ready", 1);
    until("a later version is in force", || {
        asked_with(&gateway.state()?).filter(|version| *version > stopped)
    });
    town.is_shown();
    let (is_done, acts) = town.command(&["people", "acts"]);
    assert!(is_done, "{acts}");
    for act in [
        "stopped a question square/torvet",
        "gave a question back square/torvet",
    ] {
        assert!(acts.contains(act), "{acts}");
    }
    assert!(gateway.stop().success());
}

/// The questions of the next configuration that the booth gets, and its version.
fn next(booth: &Booth) -> (Vec<String>, u64) {
    let publish = booth.hear("/config");
    let wanted = Wanted::read(&publish.payload).expect("a configuration");
    let campaigns = wanted.campaigns.expect("a list, though it may be empty");
    let questions = campaigns.into_iter().flat_map(|one| one.questions);
    (questions.map(|one| one.id).collect(), wanted.version)
}

#[test]
fn the_command_does_the_same_and_what_the_broker_did_not_take_leaves_when_it_is_back() {
    let mut town = Town::open();
    let listening = |town: &Town| {
        let filters = ["booth/1/dn/rundhoej-1/#".to_owned()];
        Booth::listening(town.broker.port, BOOTH, &filters)
    };
    let booth = listening(&town);
    let (questions, first) = next(&booth);
    assert_eq!(questions, ["torvet"]);
    let stop = [
        "campaign",
        "stop",
        "square",
        "torvet",
        "--why",
        "a name in it",
        "--wait",
        "0",
    ];
    let resume = ["campaign", "resume", "square", "torvet", "--wait", "0"];
    let (_, said) = town.command(&[&stop[..4], &["--why", "x", "--dry-run"]].concat());
    assert!(said.contains("Nothing was published"), "{said}");
    let (is_done, said) = town.command(&stop);
    assert!(is_done && said.contains("is stopped since"), "{said}");
    let (questions, second) = next(&booth);
    assert!(
        questions.is_empty() && second > first,
        "{questions:?} {second}"
    );
    town.is_hidden();
    // Published anew, it stays stopped, and whoever publishes is told.
    town.home.publishes(CAMPAIGN);
    let (questions, third) = next(&booth);
    assert!(
        questions.is_empty() && third > second,
        "{questions:?} {third}"
    );
    let (_, said) = town.command(&["campaign", "list"]);
    assert!(said.contains("by command line: a name in it"), "{said}");
    // An undo takes the publication back, and not the stop.
    assert!(town.command(&["campaign", "undo", "--wait", "0"]).0);
    assert!(next(&booth).0.is_empty());
    let (is_done, said) = town.command(&resume);
    assert!(is_done, "{said}");
    assert_eq!(next(&booth).0, ["torvet"]);
    town.is_shown();

    drop(booth);
    town.broker.stop();
    town.press(Some("the broker is away"))
        .expect("it is stopped all the same");
    town.is_hidden();
    town.says("The broker has not taken it yet for 1 booth");
    town.broker.start_again();
    let booth = listening(&town);
    let mut heard = next(&booth);
    // The broker may have kept what was there before.
    if !heard.0.is_empty() {
        heard = next(&booth);
    }
    assert!(heard.0.is_empty(), "{heard:?}");
    let report = json!({"wanted": heard.1, "applied": heard.1, "missing": [], "errors": []});
    booth.publish("config", true, report.to_string());
    until("nothing is owed any more", || {
        let page = town.olga.get("questions").ok()?;
        (!page.contains("has not taken it")).then_some(())
    });
    let (_, acts) = town.command(&["people", "acts"]);
    assert!(
        acts.contains("command line stopped a question square/torvet"),
        "{acts}"
    );
}

#[test]
fn where_a_stop_takes_a_signature_it_hides_the_question_and_names_the_booth_and_only_operators_have_the_button()
 {
    let town = Town::open();
    town.home
        .has_person("mona", PASSWORD, &["--role", "moderator"]);
    let base = town.hub.address();
    let mona = Staff::log_in(base.trim_end_matches('/'), "mona", PASSWORD).expect("logged in");
    for page in [
        "questions",
        "questions/change?campaign=square&question=torvet",
    ] {
        let why = mona.get(page).expect_err("refused");
        assert!(why.contains("403"), "{why}");
    }
    // With a notice of its own the campaign is signed; here its text is written to be signed, and never sent.
    let register = town.home.path().join("store/campaigns/state.json");
    let state = std::fs::read_to_string(&register).expect("the register");
    let mut state: Value = serde_json::from_str(&state).expect("JSON");
    let edition = state["editions"]
        .as_array_mut()
        .expect("a list")
        .last_mut()
        .expect("one");
    let fields = &mut edition["campaigns"]["square"]["fields"];
    let hash = fields["campaigns"][0]["questions"][0]["prompt"]["da"].clone();
    fields["prompts"]["notice"] = json!({"da": hash});
    let mut second = fields["campaigns"][0]["questions"][0].clone();
    second["id"] = json!("second");
    second["digit"] = json!(4);
    fields["campaigns"][0]["questions"]
        .as_array_mut()
        .expect("a list")
        .push(second);
    std::fs::write(&register, state.to_string()).expect("written");
    let told = town.press(Some("a name")).expect("stopped");
    assert!(
        told.contains("not yet at") && told.contains("campaign publish --to-sign"),
        "{told}"
    );
    town.is_hidden();
}

#[test]
fn a_question_is_stopped_while_somebody_publishes_or_makes_prompts() {
    let town = Town::open();
    // Whoever has the turn may have it for minutes.
    let turn = town.home.path().join("store/campaigns/publishing");
    let turn = std::fs::File::create(turn).expect("a file");
    turn.lock().expect("locked");
    let (is_done, said) = town.command(&["campaign", "publish"]);
    assert!(!is_done && said.contains("at work"), "{said}");
    town.press(Some("a name was said")).expect("stopped");
    town.is_hidden();
    town.press(None).expect("given back");
    town.is_shown();
}
