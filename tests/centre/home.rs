//! Answers from home, in a real browser at a real hub: by voice, by keyboard alone, with and without scripts; and each taken back by its
//! receipt.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};

use booth_audio::{RATE, samples};
use booth_host::plain_file::make_private;
use booth_sealing::{Identity, KernelRandom};
use booth_testkit::alike;
use booth_testkit::browser::Browser;
use booth_testkit::hub::{Broker, Home, Hub, free_port};
use booth_testkit::speech::decode;
use booth_testkit::staff::Staff;
use booth_testkit::wait::until;
use rusqlite::{Connection, OpenFlags};

const PASSWORD: &str = "en rød telefon på torvet";
const CAMPAIGN: &str = r#"id = "square-2026"
title = "Torvet"
booths = "all"
language = "da"
languages = { 9 = "en" }

[[question]]
id = "square"
digit = 1
kind = "speak"
publish = "ask_voice"
text.da = "Hvad skal der ske på torvet?"
text.en = "What should happen on the square?"

[[question]]
id = "colour"
digit = 2
kind = "choose"
text.da = "Hvilken farve skal bænken have?"
text.en = "Which colour should the bench have?"
  [[question.option]]
  digit = 2
  id = "green"
  text.da = "Grøn"
  text.en = "Green"
  [[question.option]]
  digit = 3
  id = "red"
  text.da = "Rød"
  text.en = "Red"
"#;

/// A city whose campaign is published, so that its pages ask something.
struct Town {
    home: Home,
    hub: Hub,
    /// Somebody who hears and reads what arrived.
    staff: Staff,
    _broker: Broker,
    _key: tempfile::TempDir,
}

impl Town {
    fn open() -> Self {
        let broker = Broker::open();
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("city.key");
        let city = Identity::generate(&mut KernelRandom).expect("a key");
        make_private(&key, city.to_text().as_bytes()).expect("a key");
        let more = format!(
            "[privacy]\nidentities = [{key:?}]\n[city]\nlisten = \"127.0.0.1:0\"\n[[booth]]\nid = \"rundhoej-1\"\n"
        );
        let home = Home::new(broker.port, &more);
        let hub = Hub::start(&home);
        let roles = ["--role", "moderator", "--languages", "da,en"];
        home.has_person("anna", PASSWORD, &roles);
        let staff = Staff::log_in(hub.address().trim_end_matches('/'), "anna", PASSWORD);
        home.publishes(CAMPAIGN);
        // Pages for citizens may show what is asked some seconds late.
        until("the city's page asks", || {
            let page = ureq::get(format!("{}en/", hub.citizens())).call().ok()?;
            let page = page.into_body().read_to_string().ok()?;
            page.contains("question/square-2026/square").then_some(())
        });
        Self {
            home,
            hub,
            staff: staff.expect("logged in"),
            _broker: broker,
            _key: folder,
        }
    }

    fn db(&self) -> Connection {
        let store = self.home.path().join("store").join("city.sqlite");
        until("the city has a database", || {
            Connection::open_with_flags(&store, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()
        })
    }

    /// The one message that the city has, with what it says of itself.
    fn only_message(&self) -> Message {
        let db = self.db();
        until("the city has it", || {
            db.query_row(
                "SELECT id, kind, source, lang, may_publish, duration_ms, choice FROM message",
                [],
                |row| {
                    Ok(Message {
                        id: row.get(0)?,
                        what: [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?],
                        duration_ms: row.get(5)?,
                        choice: row.get(6)?,
                    })
                },
            )
            .ok()
        })
    }

    /// Waits until nothing is left of a message.
    fn has_lost(&self, id: &str) {
        let db = self.db();
        until("it is gone from the city", || {
            let left = "SELECT count(*) FROM message";
            let left: u64 = db.query_row(left, [], |row| row.get(0)).ok()?;
            (left == 0).then_some(())
        });
        let clip = self.staff.bytes(&format!("clips/{id}"));
        assert!(clip.is_err_and(|why| why.ends_with(": 404")));
    }
}

#[derive(Debug)]
struct Message {
    id: String,
    /// Kind, source, language, what may be published.
    what: [String; 4],
    duration_ms: u64,
    choice: Option<u8>,
}

/// Loudness in steps of 20 ms.
fn envelope(samples: &[i16]) -> Vec<f64> {
    let samples = samples.iter().map(|sample| f64::from(*sample));
    alike::envelope(samples, RATE as usize / 50)
}

/// How alike the envelope of what was said and of what was heard are, 0 to 1, second for second: the microphone that Chromium plays loses parts
/// of a second where the machine is busy.
fn likeness(heard: &[f64], said: &[f64]) -> f64 {
    alike::likeness_in_pieces(heard, said, 50)
}

/// Loudness of the steps that are loud at all, dB: what somebody says, without the pauses.
fn loudness(envelope: &[f64]) -> f64 {
    let most = envelope.iter().copied().fold(0.0, f64::max);
    let loud: Vec<f64> = envelope
        .iter()
        .copied()
        .filter(|v| *v > most / 10.0)
        .collect();
    let mean = loud.iter().map(|v| v * v).sum::<f64>() / loud.len().max(1) as f64;
    10.0 * mean.log10()
}

fn text_of(browser: &Browser, selector: &str) -> String {
    let found = browser.run(&format!(
        "const found = document.querySelector({selector:?}); return found ? found.innerText : ''"
    ));
    found.as_str().unwrap_or_default().to_owned()
}

/// The twelve digits that a page shows.
fn receipt_on(browser: &Browser) -> String {
    let shown = text_of(browser, "#receipt");
    let digits: String = shown.chars().filter(char::is_ascii_digit).collect();
    assert_eq!(digits.len(), 12, "{shown:?}");
    digits
}

/// What of a page takes the keyboard, in the page's order: a script's list `open`.
const CONTROLS: &str = "const all = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, audio[controls], [tabindex=\"0\"]')];
    const open = all.filter((one) => !one.disabled && one.tabIndex >= 0 && one.type !== 'hidden' && one.checkVisibility({ visibilityProperty: true }));";

/// What is seen of `on`, which has the keyboard: a script's function `seen`.
const SEEN: &str = "const seen = (on) => {
      const name = on.id || on.getAttribute('href') || on.value || on.tagName;
      const look = getComputedStyle(on);
      // A button inside a player is the browser's own, and so is the ring around it.
      const is_inside = on.matches('audio, video') && !on.matches(':focus');
      const is_ringed = is_inside || (look.outlineStyle !== 'none' && parseFloat(look.outlineWidth) >= 2);
      const box = on.getBoundingClientRect();
      const is_there = box.width > 0 && box.height > 0 && box.top < innerHeight && box.bottom > 0 && box.left < innerWidth && box.right > 0;
      return { name, is_ringed, is_there };
    };";

/// Tab through the whole page: every control is reached once, in the page's order, is seen to be reached, and the last one lets go.
fn walk(browser: &Browser) {
    let controls = browser.run(&format!(
        "{CONTROLS} {SEEN}
         window.walked = [];
         document.addEventListener('focusin', (event) => window.walked.push({{ nth: open.indexOf(event.target), ...seen(event.target) }}));
         document.activeElement.blur();
         return open.map((one) => one.type === 'radio' ? one.name + ':radio' : one.tagName);",
    ));
    let controls = controls.as_array().expect("a list").clone();
    let players = controls.iter().filter(|one| *one == "AUDIO").count();
    // The parts of a player have stops of their own.
    browser.tabs(controls.len() + 8 * players + 1);
    let walked = browser.run("return window.walked");
    let walked = walked.as_array().expect("a list");
    let again = walked.iter().skip(1).position(|on| on["nth"] == 0);
    let walked = &walked[..again.map_or(walked.len(), |at| at + 1)];
    for on in walked {
        assert!(on["nth"] != -1, "{on} has the keyboard and is no control");
        assert!(
            on["is_ringed"] == true,
            "nobody sees that {on} has the keyboard"
        );
        assert!(
            on["is_there"] == true,
            "{on} has the keyboard and is out of sight"
        );
    }
    let mut reached: Vec<u64> = walked.iter().filter_map(|on| on["nth"].as_u64()).collect();
    reached.dedup();
    let one_of_radios = |nth: &u64| {
        let (before, name) = (&controls[..*nth as usize], &controls[*nth as usize]);
        name.as_str().is_some_and(|name| name.ends_with(":radio")) && before.contains(name)
    };
    let wanted: Vec<u64> = (0..controls.len() as u64)
        .filter(|nth| !one_of_radios(nth))
        .collect();
    assert_eq!(
        reached, wanted,
        "Tab goes through the page from its top to its end"
    );
}

/// Tab until this has the keyboard.
fn tab_to(browser: &Browser, selector: &str) {
    let far = browser.run(&format!(
        "{CONTROLS} return open.findIndex((one) => one.matches({selector:?})) - open.indexOf(document.activeElement)"
    ));
    let far = far.as_i64().and_then(|far| usize::try_from(far).ok());
    browser.tabs(far.unwrap_or_else(|| panic!("{selector} is not ahead")));
    // The parts of a player have stops of their own.
    for _ in 0..40 {
        let on = browser.run(&format!(
            "{SEEN} const on = document.activeElement; return {{ is_it: on.matches({selector:?}), ...seen(on) }}"
        ));
        if on["is_it"] == true {
            assert!(on["is_ringed"] == true && on["is_there"] == true, "{on}");
            return;
        }
        browser.press("Tab");
    }
    panic!("the keyboard does not reach {selector}");
}

/// From the question's page to a receipt, on the keyboard; answers the receipt.
fn answers(
    browser: &Browser,
    town: &Town,
    question: &str,
    walks: bool,
    act: impl Fn(&Browser),
) -> String {
    let page = format!("{}en/question/square-2026/{question}", town.hub.citizens());
    browser.go(&page);
    // Where no script runs, nobody could write down what Tab reaches.
    let walk = |browser: &Browser| {
        if walks {
            walk(browser);
        }
    };
    walk(browser);
    tab_to(
        browser,
        &format!("a[href$='answer/square-2026/{question}']"),
    );
    browser.leads_on(|browser| browser.press("Enter"));
    walk(browser);
    tab_to(browser, "#consent");
    browser.press("Space");
    act(browser);
    tab_to(browser, "button[value=look]");
    browser.leads_on(|browser| browser.press("Enter"));
    walk(browser);
    if question == "square" {
        tab_to(browser, "#publish_text");
        browser.press("Space");
    }
    tab_to(browser, "button[value=send]");
    browser.leads_on(|browser| browser.press("Enter"));
    walk(browser);
    receipt_on(browser)
}

/// From the page with the receipt to the word that it is noted, on the keyboard.
fn takes_back(browser: &Browser, receipt: &str) {
    tab_to(browser, "main a[href$='/withdraw']");
    browser.leads_on(|browser| browser.press("Enter"));
    tab_to(browser, "#receipt");
    browser.types(receipt);
    browser.leads_on(|browser| browser.press("Enter"));
    let told = text_of(browser, ".told.good");
    assert!(!told.is_empty(), "{}", text_of(browser, "main"));
}

/// A browser whose microphone hears this file once.
fn browser_that_hears(wav: &Path) -> Browser {
    let microphone = format!("--use-file-for-fake-audio-capture={}%noloop", wav.display());
    let switches = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        microphone.as_str(),
    ];
    Browser::open_with(free_port(), &switches.map(str::to_owned))
}

fn speech() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/speech/da.opus")
}

#[test]
fn citizens_answer_from_home_by_voice_and_by_keyboard_with_and_without_scripts_and_take_it_back() {
    let town = Town::open();
    let wav = town.home.path().join("speech.wav");
    decode(&speech(), &wav).expect("decoded");
    // The microphone that Chromium plays loses parts of a second now and then: then it is said again.
    let hears_well = |visit: u32| {
        let browser = browser_that_hears(&wav);
        // Nothing glides: what is clicked on lies still.
        browser.on_screen((1200, 900), "light", true);
        println!("visit {visit}");
        speaks_and_takes_it_back(&town, &browser).then_some(browser)
    };
    let browser = (1..=3).find_map(hears_well);
    let browser = browser.expect("what arrived is not what was said, three times");

    for has_scripts in [true, false] {
        browser.allow_scripts(has_scripts);
        println!("by keyboard, scripts: {has_scripts}");
        let receipt = answers(&browser, &town, "square", has_scripts, |browser| {
            tab_to(browser, "#text");
            browser.types("More benches, please.\nAnd a tree.");
        });
        let message = town.only_message();
        assert_eq!(message.what, ["text", "web", "en", "text"]);
        let desk = town.staff.get(&format!("desk/message/{}", message.id));
        let desk = desk.expect("it is at the desk");
        assert!(
            desk.contains("More benches, please.\nAnd a tree."),
            "{desk}"
        );
        println!("taking it back");
        takes_back(&browser, &receipt);
        town.has_lost(&message.id);

        println!("a vote");
        let receipt = answers(&browser, &town, "colour", has_scripts, |browser| {
            tab_to(browser, "[name=choice]");
            browser.press("Space");
            browser.press("ArrowDown");
        });
        let message = town.only_message();
        assert_eq!(message.what, ["choice", "web", "en", "no"]);
        assert_eq!(message.choice, Some(3));
        takes_back(&browser, &receipt);
        town.has_lost(&message.id);
    }
    // Without scripts a recording is a file that was chosen.
    browser.go(&format!(
        "{}en/answer/square-2026/square",
        town.hub.citizens()
    ));
    assert_eq!(
        browser.run("return document.querySelector('#recorder').checkVisibility()"),
        false
    );
    browser.click("#consent");
    browser.choose_file("#sound", &wav);
    browser.leads_on(|browser| browser.click("button[value=look]"));
    browser.leads_on(|browser| browser.click("button[value=send]"));
    assert_eq!(town.only_message().what, ["audio", "web", "en", "no"]);
    takes_back(&browser, &receipt_on(&browser));
}

/// Whether what arrived is what was said.
fn speaks_and_takes_it_back(town: &Town, browser: &Browser) -> bool {
    let said = samples(&std::fs::read(speech()).expect("a fixture")).expect("it plays");
    let seconds = said.len() as u64 / u64::from(RATE);
    browser.go(&format!("{}en/", town.hub.citizens()));
    browser.leads_on(|browser| browser.click("a[href$='question/square-2026/square']"));
    browser.leads_on(|browser| browser.click("a[href$='answer/square-2026/square']"));
    let notice = text_of(browser, "section.notice");
    assert!(notice.lines().count() > 4, "{notice}");
    browser.click("#consent");
    browser.click("#record");
    until("everything was said", || {
        let clock = text_of(browser, "#clock");
        let shown = clock.split(" / ").next().unwrap_or_default();
        let (minutes, rest) = shown.trim().split_once(':')?;
        let shown = minutes.parse::<u64>().ok()? * 60 + rest.parse::<u64>().ok()?;
        (shown > seconds).then_some(())
    });
    browser.click("#stop");
    until("it can be heard again", || {
        let is_there = browser.run(
            "const own = document.querySelector('#own'); return !own.hidden && own.readyState >= 1 && document.querySelector('#sound').files.length === 1",
        );
        (is_there == true).then_some(())
    });
    browser.leads_on(|browser| browser.click("button[value=look]"));
    let length = until("the second look can be heard", || {
        let length = browser.run("return document.querySelector('main audio').duration || 0");
        length.as_f64().filter(|length| *length > 0.0)
    });
    assert!(length >= seconds as f64, "{length}");
    let count = "SELECT count(*) FROM message";
    let kept: u64 = town
        .db()
        .query_row(count, [], |row| row.get(0))
        .expect("rows");
    assert_eq!(kept, 0, "nothing is kept before it is sent");
    browser.click("#publish_text");
    browser.click("#publish_voice");
    browser.leads_on(|browser| browser.click("button[value=send]"));
    let receipt = receipt_on(browser);

    let message = town.only_message();
    assert_eq!(message.what, ["audio", "web", "en", "voice"]);
    let off = message.duration_ms.abs_diff((length * 1_000.0) as u64);
    assert!(off < 100, "{message:?}, {length} s at the second look");
    let clip = town.staff.bytes(&format!("clips/{}", message.id));
    let clip = clip.expect("it can be heard");
    let heard = samples(&clip).expect("it plays");
    let (heard, said) = (envelope(&heard), envelope(&said));
    let alike = likeness(&heard, &said);
    let louder = loudness(&heard) - loudness(&said);
    let other = std::fs::read(speech().with_file_name("en.opus")).expect("a fixture");
    let unlike = likeness(&heard, &envelope(&samples(&other).expect("it plays")));
    println!("alike {alike:.3} (another sentence {unlike:.3}), {louder:+.1} dB");
    // The browser takes noise away and sets the loudness by itself.
    let is_alike = alike > 0.8 && alike > unlike + 0.1;
    assert!(louder.abs() < 15.0, "{louder} dB louder than it was said");
    assert!(
        heard.len() >= said.len(),
        "{} of {} steps",
        heard.len(),
        said.len()
    );

    browser.leads_on(|browser| browser.click("main a[href$='/withdraw']"));
    browser.click("#receipt");
    browser.types(&receipt);
    browser.leads_on(|browser| browser.press("Enter"));
    assert!(!text_of(browser, ".told.good").is_empty());
    town.has_lost(&message.id);
    is_alike
}
