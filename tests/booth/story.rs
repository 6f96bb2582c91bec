//! What becomes of a word: spoken at a booth, written down and published, grouped into an idea, voted on, answered on the page and in the
//! earpiece, and taken back. Every step is a real program's: gateway, broker, hub, and the pages of its staff and of citizens.
#![allow(clippy::disallowed_methods)]

use std::io::{Cursor, Read};
use std::time::Instant;

use booth_audio::{RATE, samples};
use booth_host::plain_file::make_private;
use booth_sealing::{Identity, KernelRandom};
use booth_testkit::gateway::{BoothHome, Gateway, fixtures};
use booth_testkit::hub::{Booth, Broker, Clip, Home, Hub, free_port};
use booth_testkit::pulse::Pulse;
use booth_testkit::screen::Screen;
use booth_testkit::speech::decode;
use booth_testkit::staff::{Staff, between};
use booth_testkit::wait::until;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use super::visit::{correlation, envelope};

const PASSWORD: &str = "en rød telefon på torvet";
const WORDS: &str = "Der mangler bænke på torvet, siger jeg jer.";
const REPLY: &str = "I sagde bænke. Vi har sat fire bænke op på torvet.";
const CAMPAIGN: &str = r#"id = "square-2026"
title = "Torvet"
booths = ["rundhoej-1"]
language = "da"

[[question]]
id = "square"
digit = 1
kind = "speak"
publish = "ask_voice"
text.da = "Hvad skal der ske på torvet?"
"#;

/// A hub with the city's key, its citizens' pages, and somebody who moderates and edits.
struct Town {
    broker: Broker,
    home: Home,
    hub: Hub,
    staff: Staff,
    agent: ureq::Agent,
    key: Identity,
    _folder: tempfile::TempDir,
}

impl Town {
    fn open() -> Self {
        let broker = Broker::open();
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("city.key");
        let key = Identity::generate(&mut KernelRandom).expect("a key");
        make_private(&file, key.to_text().as_bytes()).expect("a key");
        let more = format!(
            "[privacy]\nidentities = [{file:?}]\n[city]\nlisten = \"127.0.0.1:0\"\n[[booth]]\nid = \"rundhoej-1\"\n[[booth]]\nid = \"trojborg-2\"\n"
        );
        let home = Home::new(broker.port, &more);
        let hub = Hub::start(&home);
        let roles = ["--role", "moderator", "--role", "editor"];
        let languages = ["--languages", "da,en"];
        home.has_person("anna", PASSWORD, &[&roles[..], &languages].concat());
        let staff = Staff::log_in(hub.address().trim_end_matches('/'), "anna", PASSWORD);
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        Self {
            staff: staff.expect("logged in"),
            agent: config.build().into(),
            broker,
            home,
            hub,
            key,
            _folder: folder,
        }
    }

    /// A page or a file for citizens: its status and its bytes.
    fn asks(&self, page: &str) -> (u16, Vec<u8>) {
        let asked = self.agent.get(format!("{}{page}", self.hub.citizens()));
        let mut said = asked.call().expect("an answer");
        let bytes = said
            .body_mut()
            .with_config()
            .limit(50_000_000)
            .read_to_vec();
        (said.status().as_u16(), bytes.expect("whole"))
    }

    fn text(&self, page: &str) -> String {
        let (status, bytes) = self.asks(page);
        assert_eq!(status, 200, "{page}");
        String::from_utf8(bytes).expect("text")
    }

    /// Waits until a page shows this.
    fn shows(&self, page: &str, text: &str) {
        until(&format!("{page} shows {text:?}"), || {
            let (_, bytes) = self.asks(page);
            String::from_utf8_lossy(&bytes).contains(text).then_some(())
        });
    }

    /// Somebody of the staff does this.
    fn does(&self, page: &str, fields: &[(&str, &str)]) -> String {
        let done = self.staff.post(page, fields);
        done.unwrap_or_else(|why| panic!("{why}"))
    }

    fn sees(&self, page: &str) -> String {
        let page = self.staff.get(page);
        page.unwrap_or_else(|why| panic!("{why}"))
    }

    /// Waits until what an editor has begun is done.
    fn is_published(&self) {
        until("it is published", || {
            let page = self.sees("editor/square-2026/progress");
            assert!(!page.contains("note bad"), "{page}");
            page.contains("færdig").then_some(())
        });
    }

    fn db(&self) -> Connection {
        let store = self.home.path().join("store").join("city.sqlite");
        Connection::open_with_flags(&store, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a database")
    }

    /// Every file of the open data, as one text.
    fn open_data(&self) -> String {
        let (status, bytes) = self.asks("data/all.zip");
        assert_eq!(status, 200);
        let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).expect("a ZIP");
        let mut all = String::new();
        for at in 0..zip.len() {
            let mut file = zip.by_index(at).expect("a file");
            file.read_to_string(&mut all).expect("text");
        }
        all
    }
}

/// The real booth, with somebody who looks at its screen.
struct Street {
    pulse: Pulse,
    home: BoothHome,
    gateway: Gateway,
    screen: Screen,
}

impl Street {
    fn open(town: &Town) -> Self {
        let pulse = Pulse::start();
        let port = free_port();
        let more = format!("[screen]\nenabled = true\nlisten = \"127.0.0.1:{port}\"\n");
        let key = town.key.recipient().to_string();
        let home = BoothHome::sealed(town.broker.port, Some(&key), &more);
        let gateway = Gateway::start(&home, &pulse);
        gateway.reaches("ready", 1);
        let screen = until("the screen is there", || Screen::watch(port).ok());
        Self {
            pulse,
            home,
            gateway,
            screen,
        }
    }

    /// The version of what the booth asks.
    fn version(&self) -> u64 {
        let state = self.gateway.state();
        state.map_or(0, |state| state["config_version"].as_u64().unwrap_or(0))
    }

    fn asks_something_newer_than(&self, version: u64) {
        until("the booth asks what was published", || {
            (self.version() > version).then_some(())
        });
    }

    fn lifts(&self) {
        self.gateway.handset("lift");
        self.gateway.reaches("session", "question");
    }

    fn hangs_up(&self) {
        self.gateway.handset("hang-up");
        self.gateway.reaches("session", "idle");
    }

    /// A citizen speaks, allows text and voice, and writes the receipt down.
    fn speaks(&self) -> String {
        let wav = self.home.path().join("speech.wav");
        decode(&fixtures().join("speech/da.opus"), &wav).expect("decoded");
        self.lifts();
        self.gateway.handset("dial 1");
        self.gateway.reaches("session", "recording");
        self.pulse.speak(&wav);
        self.gateway.handset("dial #");
        self.gateway.reaches("session", "after");
        until("the booth asks for more", || {
            (self.screen.offers("6") && self.screen.offers("9")).then_some(())
        });
        self.gateway.handset("dial 9");
        self.gateway.handset("dial 6");
        let receipt = until("the screen shows the receipt", || self.screen.receipt());
        self.hangs_up();
        receipt.chars().filter(char::is_ascii_digit).collect()
    }

    /// A citizen votes: the question's digit, the option's; answers what the screen says was chosen.
    fn votes(&self, question: &str, option: u8) -> String {
        self.lifts();
        self.gateway.handset(&format!("dial {question}"));
        until("the options are offered", || {
            self.screen.offers(&option.to_string()).then_some(())
        });
        self.gateway.handset(&format!("dial {option}"));
        let chosen = until("it is chosen", || self.screen.chosen());
        self.hangs_up();
        chosen
    }

    /// A citizen listens until what came of it was heard, and asks for it again where the machine's sound was torn.
    fn hears(&self, digit: &str, spoken: &[f64]) {
        let ear = self.home.path().join("ear.raw");
        let heard = || std::fs::metadata(&ear).map_or(0, |about| about.len()) as usize / 2;
        self.lifts();
        let _listener = self.pulse.listen(&ear);
        until("somebody listens", || (heard() > 0).then_some(()));
        let wanted = envelope(spoken);
        let (mut looked, mut ask_again) = (0, 0);
        until("the earpiece has played the reply", || {
            let now = heard();
            if now >= ask_again {
                self.gateway.handset(&format!("dial {digit}"));
                ask_again = now + spoken.len() + 10 * RATE as usize;
            }
            if now < looked + RATE as usize {
                return None;
            }
            looked = now;
            let bytes = std::fs::read(&ear).ok()?;
            let pairs = bytes.chunks_exact(2);
            let played = pairs.map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]])));
            let played = envelope(&played.collect::<Vec<_>>());
            let (alike, at) = correlation(&played, &wanted);
            println!("the reply in the earpiece: alike {alike:.3}, {at} steps of 10 ms in");
            let is_whole = at + wanted.len() <= played.len();
            (is_whole && alike > 0.9).then_some(())
        });
        self.hangs_up();
    }
}

/// Four more people say the same elsewhere, so that there are numbers to show: below five nothing is counted in public.
fn four_others(town: &Town) {
    let acks = ["booth/1/dn/trojborg-2/ack/+".to_owned()];
    let booth = Booth::listening(town.broker.port, "trojborg-2", &acks);
    let body = std::fs::read(fixtures().join("speech/da.opus")).expect("a fixture");
    for number in 1..=4 {
        let mut clip = Clip::with_body("trojborg-2", number, body.clone());
        clip.manifest["campaign_id"] = json!("square-2026");
        clip.manifest["consent"] =
            json!({"mode": "digit", "key": "1", "notice_id": null, "publish": "text"});
        booth.deliver(&clip);
    }
}

fn waiting(town: &Town, number: u64) -> Vec<String> {
    let db = town.db();
    until("the messages are at the desk", || {
        let wanted = "SELECT id FROM message WHERE kind = 'audio' ORDER BY booth_id";
        let mut rows = db.prepare(wanted).ok()?;
        let ids = rows.query_map([], |row| row.get(0)).ok()?;
        let ids: Vec<String> = ids.map_while(Result::ok).collect();
        (ids.len() as u64 == number).then_some(ids)
    })
}

#[test]
fn a_word_at_a_booth_becomes_an_idea_a_vote_and_an_answer_and_is_gone_when_it_is_taken_back() {
    let begun = Instant::now();
    let step = |what: &str| println!("{:6.1} s  {what}", begun.elapsed().as_secs_f64());
    let town = Town::open();
    town.home.publishes(CAMPAIGN);
    let street = Street::open(&town);
    street.asks_something_newer_than(0);

    step("the booth asks");

    // Spoken at the booth, and four more of the same.
    let receipt = street.speaks();
    street.gateway.reaches("spool_clips", 0);
    four_others(&town);
    let ids = waiting(&town, 5);
    let id = &ids[0];

    step("spoken, and at the desk");

    // Written down, published, with a theme.
    for (nth, id) in ids.iter().enumerate() {
        let words = if nth == 0 { WORDS } else { "Flere bænke." };
        let (theme, doing) = ("Bænke", if nth == 0 { "voice" } else { "text" });
        town.does(
            &format!("desk/message/{id}"),
            &[
                ("version", "0"),
                ("transcript", words),
                ("transcript_lang", "da"),
                ("new_theme", theme),
                ("do", doing),
            ],
        );
    }
    town.shows("da/question/square-2026/square", WORDS);
    town.shows("chart/da/campaign.square-2026/themes.csv", "Bænke,5");
    let sound = format!("sound/{id}.opus");
    assert_eq!(town.asks(&sound).0, 200);

    step("written down and published");

    // Grouped into an idea, which becomes an option of a vote.
    let made = town.does(
        "ideas",
        &[
            ("campaign", "square-2026"),
            ("title_da", "Fire bænke på torvet"),
            ("body_da", "Til alle, der bliver trætte."),
        ],
    );
    let idea = made.rsplit('/').next().expect("its number");
    let all: Vec<(&str, &str)> = ids.iter().map(|id| ("message", id.as_str())).collect();
    town.does(&format!("ideas/{idea}/messages"), &all);
    let before = street.version();
    town.does(
        &format!("editor/idea/{idea}"),
        &[
            ("where", "square-2026/"),
            ("option.da", "Fire bænke på torvet"),
            ("asks.da", "Hvad skal vi gøre på torvet?"),
        ],
    );
    town.is_published();
    street.asks_something_newer_than(before);
    town.shows(&format!("da/message/{id}"), "Fire bænke på torvet");

    step("an option of a vote at the booth");

    // Voted at the booth.
    let (question, option): (String, u8) = town
        .db()
        .query_row("SELECT vote_question, vote_digit FROM idea", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("a vote");
    let file = town.sees("editor/square-2026/file");
    let vote = file
        .split("[[question]]")
        .find(|one| one.contains(&question));
    let vote = vote.and_then(|vote| between(vote, "digit = ", "\n"));
    let chosen = street.votes(vote.expect("its digit").trim(), option);
    assert_eq!(chosen, "Fire bænke på torvet");
    let db = town.db();
    until("the vote is counted", || {
        let cast = "SELECT count(*) FROM message WHERE kind = 'choice' AND choice = ?1";
        let cast: u64 = db.query_row(cast, [option], |row| row.get(0)).ok()?;
        (cast == 1).then_some(())
    });

    step("voted");

    // Decided, with a reply: on the page, and in the earpiece.
    let day = format!("{}T00:00", jiff::ZonedDateTime::now().date());
    town.does(
        "editor/square-2026/public",
        &[
            ("title.da", "Torvet"),
            ("is_public", "yes"),
            ("since.decided", &day),
            ("reply.da", REPLY),
        ],
    );
    let before = street.version();
    town.does(
        "editor/square-2026/public/square",
        &[("reply.da", REPLY), ("speak", "yes")],
    );
    town.is_published();
    street.asks_something_newer_than(before);
    town.shows("da/campaign/square-2026", REPLY);
    town.shows("da/", REPLY);
    let page = "da/question/square-2026/square";
    let spoken = until("the page plays the reply", || {
        let page = town.text(page);
        let came = page.split("id=\"came\"").nth(1)?;
        Some(between(came, "prompt/", ".opus")?.to_owned())
    });
    let spoken = town.asks(&format!("prompt/{spoken}.opus")).1;
    let spoken: Vec<f64> = samples(&spoken)
        .expect("it plays")
        .into_iter()
        .map(f64::from)
        .collect();
    let file = town.sees("editor/square-2026/file");
    let answer = file.split("answer").find_map(|part| {
        let digit = part.strip_prefix(".digit = ")?;
        digit.lines().next().map(str::to_owned)
    });
    let answer = answer.or_else(|| {
        let (_, part) = file.split_once("answer]")?;
        between(part, "digit = ", "\n").map(str::to_owned)
    });
    let answer = answer.unwrap_or_else(|| panic!("no answer in {file}"));
    street.hears(answer.trim(), &spoken);

    step("answered on the page and in the earpiece");

    // Reported to the council.
    let report = town.does("reports", &[("campaign", "square-2026")]);
    let report = format!("reports/{}", report.rsplit('/').next().expect("its number"));
    assert!(town.sees(&report).contains(WORDS));
    let places = [
        page.to_owned(),
        format!("da/message/{id}"),
        "feed/square-2026.atom".to_owned(),
        "data/messages.csv".to_owned(),
    ];
    for place in &places {
        town.shows(place, WORDS);
    }
    assert!(town.open_data().contains(WORDS));

    step("in feed, open data and report");

    // Taken back by its receipt.
    let asked = Instant::now();
    let taking = town
        .agent
        .post(format!("{}da/withdraw", town.hub.citizens()));
    let taken = taking.send_form([("receipt", receipt.as_str())]);
    assert_eq!(taken.expect("an answer").status(), 200);
    for place in &places {
        until(&format!("it is gone from {place}"), || {
            let (_, bytes) = town.asks(place);
            let is_gone = !String::from_utf8_lossy(&bytes).contains(WORDS);
            is_gone.then_some(())
        });
    }
    assert_eq!(town.asks(&format!("da/message/{id}")).0, 404);
    assert_eq!(town.asks(&sound).0, 404);
    let data = town.open_data();
    assert!(!data.contains(WORDS));
    let withdrawn = town.text("data/withdrawn.csv");
    assert!(withdrawn.contains(id.as_str()), "{withdrawn}");
    until("the graphic counts it no more", || {
        let (_, themes) = town.asks("chart/da/campaign.square-2026/themes.csv");
        let themes = String::from_utf8_lossy(&themes).into_owned();
        (!themes.contains("Bænke,5")).then_some(())
    });
    let report = town.sees(&report);
    assert!(
        !report.contains(WORDS) && report.contains("citat blev trukket tilbage"),
        "{report}"
    );
    println!(
        "gone everywhere after {:.1} s",
        asked.elapsed().as_secs_f64()
    );
    assert!(street.gateway.stop().success());
}
