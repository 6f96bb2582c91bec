//! Every page of citizens and of staff over a plausible year, in a real browser: on a telephone and on a table, by axe-core's rules, as
//! valid HTML. And what needs a browser besides: the preview of a visit, the desk without scripts.
#![allow(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use booth_testkit::browser::Browser;
use booth_testkit::city_year::{CityYear, PASSWORD};
use booth_testkit::hub::free_port;
use booth_testkit::look::Look;
use booth_testkit::staff::{Staff, between};
use booth_testkit::wait::until;

/// So many messages in the year: enough for every kind of page, and for counts that may be shown.
const MESSAGES: usize = 160;

/// What makes a page another kind than others: its room and its place in it, not what it is about.
fn kind_of(address: &str) -> String {
    let path = address.split('?').next().unwrap_or_default();
    let steps: Vec<&str> = path.split('/').collect();
    const ROOMS: [&str; 13] = [
        "idea",
        "alarms",
        "alarm",
        "message",
        "retention",
        "placement",
        "public",
        "preview",
        "file",
        "print",
        "progress",
        "to-sign",
        "next",
    ];
    let first = steps.first().copied().unwrap_or_default();
    // A language, and the room behind it.
    let named = match first.len() {
        2 => 2,
        _ => 1,
    };
    let rest = steps
        .iter()
        .skip(named)
        .map(|step| match ROOMS.contains(step) {
            true => *step,
            false => "*",
        });
    let named = steps.iter().copied().take(named);
    named.chain(rest).collect::<Vec<_>>().join("/")
}

/// Whether a link leads to a page, not to a file, a sound or a picture.
fn is_page(address: &str) -> bool {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    !name.contains('.') && !path.starts_with("prompt/") && !path.starts_with("sound/")
}

/// The addresses below `base` that a page leads to, without a leading slash.
fn links(browser: &Browser, base: &str) -> Vec<String> {
    let found =
        browser.run("return [...document.querySelectorAll('a[href]')].map((one) => one.href)");
    let found = found.as_array().cloned().unwrap_or_default();
    let below = found.iter().filter_map(|link| {
        let link = link.as_str()?.strip_prefix(base)?;
        let page = link.split('#').next()?.to_owned();
        is_page(&page).then_some(page)
    });
    below.collect()
}

/// Looks at some pages of each kind that links lead to, from these on; answers the kinds.
fn looks_at_all(
    look: &Look,
    browser: &Browser,
    base: &str,
    begin: &[&str],
    source: impl Fn(&str) -> Result<String, String>,
    most: impl Fn(&str) -> u32,
) -> BTreeSet<String> {
    let mut seen: BTreeSet<String> = begin.iter().map(|page| (*page).to_owned()).collect();
    let mut waiting: VecDeque<String> = seen.iter().cloned().collect();
    let mut of_kind: BTreeMap<String, u32> = BTreeMap::new();
    while let Some(page) = waiting.pop_front() {
        let number = of_kind.entry(kind_of(&page)).or_default();
        *number += 1;
        if *number > most(&page) {
            continue;
        }
        let html = match source(&page) {
            Ok(html) => html,
            // An address that leads on: the page behind it has links of its own.
            Err(why) if why.ends_with(": 303") => continue,
            Err(why) => panic!("{page}: {why}"),
        };
        look.keeps(&page, &html);
        browser.go(&format!("{base}{page}"));
        look.at(browser, if page.is_empty() { "first" } else { &page });
        for link in links(browser, base) {
            if seen.insert(link.clone()) {
                waiting.push_back(link);
            }
        }
    }
    of_kind.into_keys().collect()
}

fn logs_in(browser: &Browser, staff: &str, name: &str) {
    browser.go(&format!("{staff}login"));
    browser.click("[name=name]");
    browser.types(name);
    browser.click("[name=password]");
    browser.types(PASSWORD);
    browser.leads_on(|browser| browser.press("Enter"));
}

/// What a year does not bring by itself: a report of a reader, an alarm, a case, a frozen report.
fn more_happens(year: &CityYear, anna: &Staff, bo: &Staff) {
    let queue = anna.get("desk").expect("the queue");
    let message = between(&queue, "desk/message/", "\"").expect("a message waits");
    let message = message.split('?').next().expect("its id");
    let raised = anna.post(
        &format!("desk/message/{message}"),
        &[
            ("version", "0"),
            ("transcript", ""),
            ("transcript_lang", "da"),
            ("do", "danger"),
        ],
    );
    raised.expect("an alarm");
    anna.post("reports", &[("campaign", "square")])
        .expect("a report");
    let day = jiff::ZonedDateTime::now().date().to_string();
    let opened = bo.post(
        "rights",
        &[
            ("received", day.as_str()),
            ("asked", "access"),
            ("place", "home"),
            ("day", &day),
            ("time", "12:00"),
            ("minutes", "720"),
            ("note", "by letter"),
        ],
    );
    opened.expect("a case");
    let agent = ureq::Agent::new_with_defaults();
    let list = agent
        .get(format!("{}da/messages", year.hub.citizens))
        .call();
    let list = list.expect("the list").body_mut().read_to_string();
    let list = list.expect("text");
    let shown = between(&list, "message/", "\"").expect("a message is shown");
    let sent = agent
        .post(format!("{}da/message/{shown}/report", year.hub.citizens))
        .send_form([("why", "Den nævner min nabo.")]);
    sent.expect("a reader's report");
}

#[test]
#[ignore = "looks at a hundred pages for minutes; docs/testing.md has the command"]
fn every_page_of_citizens_and_of_staff_holds_on_a_telephone_and_on_a_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let year = CityYear::live(folder.path(), MESSAGES, |what| println!("{what}"));
    let year = year.unwrap_or_else(|why| panic!("{why}"));
    let (citizens, staff) = (year.hub.citizens.clone(), year.hub.staff.clone());
    let log_in = |name| Staff::log_in(staff.trim_end_matches('/'), name, PASSWORD);
    let (anna, bo) = (log_in("anna").expect("anna"), log_in("bo").expect("bo"));
    more_happens(&year, &anna, &bo);
    let look = Look::open();
    let browser = Browser::open(free_port());

    let agent = ureq::Agent::new_with_defaults();
    let public = |page: &str| {
        let asked = agent.get(format!("{citizens}{page}")).call();
        let said = asked.and_then(|mut said| said.body_mut().read_to_string());
        said.map_err(|why| why.to_string())
    };
    // Two of some kinds: a question to speak to and a vote, a campaign that is open and one that is decided. English pages are the same
    // ones: a few are looked at for their longer words.
    let most = |page: &str| match (page.split('/').nth(1), page.starts_with("da/")) {
        (Some("question" | "answer" | "campaign"), true) => 3,
        (Some("kiosk"), true) => 6,
        (Some("" | "campaign" | "about"), false) => 1,
        (_, is_danish) => u32::from(is_danish),
    };
    let kinds = looks_at_all(&look, &browser, &citizens, &["da/", "en/"], public, most);
    for wanted in [
        "da/about",
        "da/answer/*/*",
        "da/area/*",
        "da/campaign/*",
        "da/data",
        "da/kiosk",
        "da/message/*",
        "da/messages",
        "da/print/*",
        "da/question/*/*",
        "da/withdraw",
        "en/",
    ] {
        let is_there = kinds.iter().any(|kind| kind_of(wanted) == *kind);
        assert!(is_there, "no link leads to {wanted}: {kinds:?}");
    }

    logs_in(&browser, &staff, "anna");
    let own = |page: &str| anna.get(page);
    let begin = ["desk", "workshop", "account"];
    let one = |_: &str| 1;
    let kinds = looks_at_all(&look, &browser, &staff, &begin, own, one);
    for wanted in [
        "desk/message/*",
        "desk/alarms",
        "ideas",
        "ideas/*",
        "editor",
        "editor/*",
        "editor/*/public",
        "editor/*/public/*",
        "editor/*/preview",
        "editor/*/file",
        "editor/idea/*",
        "places",
        "places/placement/*",
        "reports",
        "reports/*",
        "reports/*/print",
        "workshop",
        "workshop/*/*",
    ] {
        assert!(
            kinds.contains(wanted),
            "no link leads to {wanted}: {kinds:?}"
        );
    }
    plays_a_visit(&browser, &staff);
    decides_without_scripts(&browser, &staff, &anna);

    browser.go(&format!("{staff}account"));
    browser.leads_on(|browser| browser.click("form.out button"));
    look.at(&browser, "login");
    logs_in(&browser, &staff, "bo");
    let own = |page: &str| bo.get(page);
    let begin = ["operations", "people", "rights", "acts"];
    let kinds = looks_at_all(&look, &browser, &staff, &begin, own, one);
    for wanted in [
        "rights/*",
        "rights/retention",
        "people/*",
        "questions",
        "questions/*",
    ] {
        assert!(
            kinds.contains(wanted),
            "no link leads to {wanted}: {kinds:?}"
        );
    }
    look.ends();
}

/// An editor lifts the handset of the preview, hears everything that a booth plays to its end, dials a question, speaks, and hangs up.
fn plays_a_visit(browser: &Browser, staff: &str) {
    browser.go(&format!("{staff}editor/square/preview"));
    let says = |text: &str| {
        until(&format!("the preview says {text:?}"), || {
            let shown = browser.run("return document.querySelector('#visit').innerText");
            shown.as_str()?.contains(text).then_some(())
        });
    };
    // The sounds themselves, sixteen times as fast.
    browser.run(
        "window.heard = []; window.unheard = [];
         const play = HTMLMediaElement.prototype.play;
         HTMLMediaElement.prototype.play = function () {
           this.playbackRate = 16;
           this.addEventListener('ended', () => window.heard.push(this.src));
           this.addEventListener('error', () => window.unheard.push(this.src));
           return play.call(this);
         };",
    );
    browser.click("button[value=lift]");
    says("Et besøg begynder.");
    says("Spørgsmålene høres");
    let has_heard = |kind: &str| {
        until(&format!("{kind} was heard to its end"), || {
            let heard = browser.run("return window.heard").to_string();
            heard.contains(kind).then_some(())
        });
    };
    has_heard("/editor/prompt/");
    has_heard("/editor/voice/da/");
    browser.press("1");
    says("Der optages");
    // A word that is shorter than a second is not kept.
    std::thread::sleep(Duration::from_secs(2));
    browser.press("#");
    says("Beskeden er der");
    browser.click("button[value=hang-up]");
    says("Det er gemt.");
    says("Klar: løft røret");
    let unheard = browser.run("return window.unheard");
    assert_eq!(unheard, serde_json::json!([]));
}

/// A moderator decides about a message in a browser that runs no script.
fn decides_without_scripts(browser: &Browser, staff: &str, anna: &Staff) {
    browser.allow_scripts(false);
    browser.go(&format!("{staff}desk"));
    browser.leads_on(|browser| browser.click("#next"));
    let message = browser
        .run("return location.pathname")
        .as_str()
        .map(str::to_owned);
    let message = message.expect("a message is open");
    browser.click("#transcript");
    browser.types("Uden skript.");
    browser.leads_on(|browser| browser.click("#heard"));
    browser.allow_scripts(true);
    let page = anna
        .get(message.trim_start_matches('/'))
        .expect("the message");
    assert!(page.contains("Uden skript."), "{page}");
}
