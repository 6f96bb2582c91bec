//! The booth's screen: a real gateway, its page in a real browser, nobody who listens.
#![allow(clippy::disallowed_methods)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use booth_sealing::{Identity, KernelRandom};
use booth_testkit::browser::Browser;
use booth_testkit::gateway::{BoothHome, Gateway, fixtures};
use booth_testkit::hub::free_port;
use booth_testkit::pulse::Pulse;
use booth_testkit::temporary;
use booth_testkit::wait::until;

/// A booth with a screen and two questions, which speaks to no broker.
struct Booth {
    home: BoothHome,
    port: u16,
}

impl Booth {
    fn new(more: &str) -> Self {
        let port = free_port();
        let screen = format!("[screen]\nenabled = true\nlisten = \"127.0.0.1:{port}\"\n");
        let bus = "[[question]]\nid = \"bus\"\ndigit = 2\nkind = \"speak\"\n";
        let home = BoothHome::with_mqtt("", &format!("{bus}{screen}{more}"));
        Self { home, port }
    }

    fn address(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    fn connect(&self) -> TcpStream {
        until("the page", || {
            TcpStream::connect(("127.0.0.1", self.port)).ok()
        })
    }

    /// The answer's head and body.
    fn get(&self, target: &str, host: &str) -> (String, String) {
        let mut stream = self.connect();
        write!(stream, "GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.to_owned(), body.to_owned())
    }
}

/// What can be read on the page.
fn seen(browser: &Browser) -> String {
    let text = browser.run("return document.body.innerText");
    text.as_str().unwrap_or_default().to_owned()
}

/// Waits until all of this can be read on the page.
fn reads(browser: &Browser, words: &[&str]) -> String {
    let mut last = String::new();
    let wanted = format!("{words:?} on the screen");
    let found = booth_testkit::wait::wait_for(&wanted, || {
        last = seen(browser);
        let flat = last.split_whitespace().collect::<Vec<_>>().join(" ");
        words.iter().all(|word| flat.contains(word)).then_some(flat)
    });
    found.unwrap_or_else(|why| panic!("{why}; last:\n{last}"))
}

/// The lowest contrast of any text that can be seen with what lies behind it, and whose it is (WCAG 2.2, 1.4.3), and of the level
/// and the light with what is beside them (1.4.11); the smallest letters, and whether all of the page is on the screen.
const LOOK: &str = r"
    const channel = v => (v /= 255, v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const colour = text => { const c = text.match(/[\d.]+/g).map(Number); return { rgb: c.slice(0, 3), a: c.length > 3 ? c[3] : 1 }; };
    const ratio = (one, other) => { const [a, b] = [light(one), light(other)].sort((x, y) => y - x); return (a + 0.05) / (b + 0.05); };
    const behind = node => { for (let at = node; at; at = at.parentElement) { const c = colour(getComputedStyle(at).backgroundColor); if (c.a === 1) return c.rgb; } return [255, 255, 255]; };
    let lowest = 99, whose = '', smallest = 999, texts = 0;
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode.parentElement;
        if (!walker.currentNode.textContent.trim() || !node.checkVisibility()) continue;
        texts += 1;
        const style = getComputedStyle(node), own = colour(style.color);
        const found = own.a === 1 ? ratio(own.rgb, behind(node)) : 0;
        if (found < lowest) { lowest = found; whose = node.id || node.tagName; }
        smallest = Math.min(smallest, parseFloat(style.fontSize));
    }
    let figures = 99;
    const bar = document.getElementById('bar'), level = document.getElementById('level');
    if (!level.hidden) {
        figures = Math.min(figures, ratio(colour(getComputedStyle(bar).backgroundColor).rgb, behind(level)));
        figures = Math.min(figures, ratio(colour(getComputedStyle(level).borderTopColor).rgb, behind(level)));
        const lamp = document.getElementById('light');
        figures = Math.min(figures, ratio(colour(getComputedStyle(lamp).backgroundColor).rgb, behind(lamp.parentElement)));
    }
    const scene = document.getElementById('scene');
    return { lowest, whose, smallest, texts, figures, headline: parseFloat(getComputedStyle(document.getElementById('headline')).fontSize),
        fits: scene.scrollHeight <= innerHeight && scene.scrollWidth <= innerWidth };";

const SCREENS: [(u32, u32); 2] = [(1024, 600), (1920, 1080)];

/// Looks at the page on each screen, in light and dark, keeps the pictures, and holds it against WCAG AA and a distance of 3 m.
fn look(browser: &Browser, name: &str) {
    for size in SCREENS {
        for scheme in ["light", "dark"] {
            browser.on_screen(size, scheme, false);
            let fitted = browser
                .wait_for("requestAnimationFrame(() => requestAnimationFrame(() => done(true)))");
            assert_eq!(fitted, true);
            let found = browser.run(LOOK);
            let told = format!("{name}, {size:?}, {scheme}: {found}");
            std::fs::write(
                picture(&format!("{name}-{}-{scheme}.png", size.0)),
                browser.picture(),
            )
            .expect("written");
            let figure = |key: &str| {
                found[key]
                    .as_f64()
                    .unwrap_or_else(|| panic!("{key}: {told}"))
            };
            assert!(figure("texts") >= 1.0, "{told}");
            assert!(figure("lowest") >= 4.5, "{told}");
            assert!(figure("figures") >= 3.0, "{told}");
            assert_eq!(found["fits"], true, "{told}");
            // docs/screen.md says how large that is on which screen.
            let share = |pixels: f64| pixels / f64::from(size.0);
            assert!(share(figure("smallest")) >= 0.024, "{told}");
            assert!(share(figure("headline")) >= 0.045, "{told}");
        }
    }
    browser.on_screen(SCREENS[0], "light", false);
}

fn picture(name: &str) -> PathBuf {
    let folder = temporary().join("screen");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder.join(name)
}

/// Only the gateway was asked for anything.
fn asked_only_the_gateway(browser: &Browser, booth: &Booth) {
    let asked = browser.run("return performance.getEntriesByType('resource').map(r => r.name)");
    let asked = asked.as_array().expect("a list");
    assert!(asked.len() >= 2, "{asked:?}");
    let own = booth.address();
    let is_own =
        |name: &serde_json::Value| name.as_str().is_some_and(|name| name.starts_with(&own));
    assert!(asked.iter().all(is_own), "{asked:?}");
}

#[test]
fn whoever_hears_nothing_completes_a_visit_by_screen_and_keys_and_leaves_nothing_on_it() {
    let pulse = Pulse::start();
    let booth = Booth::new("");
    let gateway = Gateway::start(&booth.home, &pulse);
    gateway.reaches("ready", 1);
    let browser = Browser::open(free_port());
    browser.go(&booth.address());
    reads(&browser, &["Løft røret"]);
    look(&browser, "1-ready");

    gateway.handset("lift");
    let notice = "Aarhus Kommune optager dit svar, når du trykker et tal. Et menneske lytter. Læg røret på, hvis du ikke vil.";
    let all = reads(&browser, &["Før du taler", notice, "1", "2"]);
    assert!(
        all.contains("hvad mangler der på torvet?") && all.contains("Igen, højere"),
        "{all}"
    );
    look(&browser, "2-notice");
    reads(
        &browser,
        &[
            "Vælg et spørgsmål",
            "Tryk to, og fortæl: hvordan kører bussen?",
        ],
    );
    look(&browser, "3-asking");

    gateway.handset("dial 2");
    let all = reads(
        &browser,
        &[
            "Optager",
            "hvordan kører bussen?",
            "Tal nu. Læg røret på, når du er færdig.",
            "tilbage",
        ],
    );
    assert!(!all.contains("torvet"), "only what was chosen: {all}");
    let wav = booth.home.path().join("speech.wav");
    booth_testkit::speech::decode(&fixtures().join("speech/da.opus"), &wav).expect("decoded");
    let level = || {
        browser
            .run("return Number(document.getElementById('level').getAttribute('aria-valuenow'))")
            .as_f64()
    };
    std::thread::scope(|scope| {
        scope.spawn(|| pulse.speak(&wav));
        until("the level rises with the voice", || {
            level().filter(|level| *level > 20.0)
        });
    });
    look(&browser, "4-recording");
    let meter = browser.run("const l = document.getElementById('level'); return [l.getAttribute('role'), l.getAttribute('aria-label'), document.getElementById('live').getAttribute('aria-live'), document.documentElement.lang]");
    assert_eq!(
        meter,
        serde_json::json!(["meter", "Din stemme", "polite", "da"])
    );
    let moves =
        || browser.run("return getComputedStyle(document.getElementById('light')).animationName");
    assert_eq!(moves(), "beat");
    browser.on_screen(SCREENS[0], "light", true);
    assert_eq!(moves(), "none", "for people who want nothing to move");

    gateway.handset("dial #");
    let all = reads(
        &browser,
        &[
            "Tak",
            "Hør den",
            "Slet den",
            "Din besked gemmes, når du lægger på.",
        ],
    );
    assert!(
        !all.contains("Optager") && !all.contains("tilbage"),
        "{all}"
    );
    look(&browser, "5-after");
    gateway.handset("dial 3");
    reads(&browser, &["Dette er din besked"]);
    gateway.handset("hang-up");
    reads(&browser, &["Løft røret"]);
    let left = browser.run("return document.documentElement.outerHTML + JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + document.cookie");
    let left = left.as_str().expect("text").to_owned();
    for word in ["torvet", "bussen", "Kommune", "Tak", "Optager", "tilbage"] {
        assert!(!left.contains(word), "{word} is still there: {left}");
    }
    asked_only_the_gateway(&browser, &booth);
    gateway.reaches("spool_clips", 1);
}

/// A booth that seals to a city's key: only such a one gives receipts.
fn sealing(more: &str) -> Booth {
    let key = Identity::generate(&mut KernelRandom)
        .expect("a key")
        .recipient();
    let port = free_port();
    let screen = format!("[screen]\nenabled = true\nlisten = \"127.0.0.1:{port}\"\n");
    // Nothing listens on this port: the booth keeps what it has.
    let home = BoothHome::sealed(
        free_port(),
        Some(&key.to_string()),
        &format!("{more}{screen}"),
    );
    Booth { home, port }
}

#[test]
fn a_receipt_is_read_in_groups_and_gone_with_the_next_key_and_a_message_is_taken_back_by_it() {
    let pulse = Pulse::start();
    let booth = sealing("");
    let gateway = Gateway::start(&booth.home, &pulse);
    gateway.reaches("ready", 1);
    let browser = Browser::open(free_port());
    browser.go(&booth.address());
    gateway.records();
    let speech = booth.home.path().join("speech.wav");
    booth_testkit::speech::decode(&fixtures().join("speech/da.opus"), &speech).expect("decoded");
    pulse.speak(&speech);
    gateway.handset("dial #");
    let all = reads(&browser, &["Tak", "Din kvittering"]);
    let has_receipt = |text: &str| {
        text.split_whitespace()
            .filter(|word| word.len() == 3 && word.bytes().all(|b| b.is_ascii_digit()))
            .count()
            >= 4
    };
    assert!(!has_receipt(&all), "nobody asked for it: {all}");
    gateway.handset("dial 6");
    let receipt = until("the receipt", || {
        let text = browser.run("return document.getElementById('receipt').textContent");
        text.as_str()
            .filter(|text| has_receipt(text))
            .map(str::to_owned)
    });
    look(&browser, "7-receipt");
    let digits: String = receipt.split_whitespace().collect();
    assert_eq!(digits.len(), 12, "{receipt}");
    let all = reads(
        &browser,
        &["Din kvittering", "Skriv det ned:", "tast: 0 0 0"],
    );
    assert_eq!(
        all.matches(&receipt[..7]).count(),
        1,
        "once, and in no sentence: {all}"
    );
    gateway.handset("dial 8");
    gateway.handset("dial 6");
    until("the receipt again", || {
        seen(&browser).contains(&receipt).then_some(())
    });
    gateway.handset("hang-up");
    reads(&browser, &["Løft røret"]);
    let left = browser.run("return document.documentElement.outerHTML");
    let left = left.as_str().expect("text");
    assert!(
        !left.contains(&receipt) && !left.contains(&digits),
        "{left}"
    );

    // It is taken back: the screen counts the digits, and shows none.
    gateway.handset("lift");
    reads(&browser, &["Før du taler"]);
    for _ in 0..3 {
        gateway.handset("dial 0");
    }
    reads(
        &browser,
        &[
            "Tryk din kvittering",
            "Tast de tolv tal på din kvittering.",
            "○○○○○○○○○○○○",
        ],
    );
    for digit in digits[..5].chars() {
        gateway.handset(&format!("dial {digit}"));
    }
    let all = reads(&browser, &["●●●●●○○○○○○○"]);
    assert!(!all.contains(&receipt[..7]), "{all}");
    look(&browser, "8-withdrawing");
    for digit in digits[5..].chars() {
        gateway.handset(&format!("dial {digit}"));
    }
    reads(&browser, &["Det er noteret."]);
    gateway.handset("hang-up");
    reads(&browser, &["Løft røret"]);
}

#[test]
fn a_vote_is_cast_by_screen_and_keys_alone() {
    let pulse = Pulse::start();
    let vote = "[[question]]\nid = \"trees\"\ndigit = 3\nkind = \"choose\"\noptions = [{ digit = 2, id = \"limes\" }, { digit = 3, id = \"maples\" }, { digit = 4, id = \"no more trees\" }]\n";
    let booth = Booth::new(vote);
    let gateway = Gateway::start(&booth.home, &pulse);
    gateway.reaches("ready", 1);
    let browser = Browser::open(free_port());
    browser.go(&booth.address());
    gateway.handset("lift");
    reads(&browser, &["Vælg et spørgsmål", "3 trees"]);
    gateway.handset("dial 3");
    reads(
        &browser,
        &["trees", "2 limes", "3 maples", "4 no more trees"],
    );
    gateway.handset("dial 4");
    reads(
        &browser,
        &["Du valgte: 4", "Læg på for at afgive din stemme"],
    );
    let chosen = || {
        browser.run("return [...document.querySelectorAll('li[data-chosen]')].map(row => row.innerText.trim().replace(/\\s+/g, ' '))")
    };
    assert_eq!(chosen(), serde_json::json!(["4 no more trees"]));
    look(&browser, "9-chosen");
    gateway.handset("dial 3");
    until("another choice", || {
        (chosen() == serde_json::json!(["3 maples"])).then_some(())
    });
    gateway.handset("dial 1");
    reads(&browser, &["Din stemme er afgivet."]);
    look(&browser, "10-voted");
    gateway.handset("hang-up");
    reads(&browser, &["Løft røret"]);
    gateway.reaches("spool_clips", 1);
}

#[test]
fn while_the_gateway_is_away_the_page_says_out_of_order_and_comes_back_by_itself() {
    let pulse = Pulse::start();
    let booth = Booth::new("");
    let gateway = Gateway::start(&booth.home, &pulse);
    gateway.reaches("ready", 1);
    let browser = Browser::open(free_port());
    browser.go(&booth.address());
    reads(&browser, &["Løft røret"]);
    gateway.records();
    reads(&browser, &["Optager"]);
    gateway.kill();
    let all = reads(&browser, &["Ude af drift", "Out of order"]);
    assert!(!all.contains("torvet") && !all.contains("Optager"), "{all}");
    look(&browser, "6-away");
    let gateway = Gateway::start(&booth.home, &pulse);
    gateway.reaches("ready", 1);
    let all = reads(&browser, &["Løft røret"]);
    assert!(!all.contains("Out of order"), "{all}");
}

#[test]
fn english_booths_have_english_screens_and_a_question_without_a_text_is_shown_by_its_id() {
    let pulse = Pulse::start();
    let booth = Booth::new("");
    let text = std::fs::read_to_string(booth.home.config()).expect("the file");
    // Another place for the prompts, where one of them has no text.
    let prompts = booth.home.path().join("prompts/en");
    std::fs::create_dir_all(&prompts).expect("a folder");
    for name in [
        "notice.opus",
        "notice.txt",
        "square.opus",
        "bus.opus",
        "bus.txt",
    ] {
        std::fs::copy(fixtures().join("prompts/en").join(name), prompts.join(name))
            .expect("copied");
    }
    let text = text.replace("language = \"da\"", "language = \"en\"");
    let there = format!("prompts = {:?}", fixtures().join("prompts"));
    let text = text.replace(&there, "prompts = \"prompts\"");
    std::fs::write(booth.home.config(), text).expect("written");
    let gateway = Gateway::start(&booth.home, &pulse);
    gateway.says("The screen cannot show what these prompts say: square");
    gateway.reaches("ready", 1);
    let browser = Browser::open(free_port());
    browser.go(&booth.address());
    reads(&browser, &["Lift the handset"]);
    gateway.handset("lift");
    let all = reads(
        &browser,
        &["Choose a question", "square", "how does the bus run?"],
    );
    assert!(!all.contains("Vælg"), "{all}");
    gateway.handset("dial 1");
    reads(&browser, &["Recording", "square", "Speak now"]);
    assert_eq!(browser.run("return document.documentElement.lang"), "en");
    gateway.handset("hang-up");
    reads(&browser, &["Lift the handset"]);
}

#[test]
fn a_crowd_of_slow_and_half_requests_disturbs_neither_the_visit_nor_the_screen_for_long() {
    let pulse = Pulse::start();
    let booth = Booth::new("");
    let gateway = Gateway::start(&booth.home, &pulse);
    gateway.reaches("ready", 1);
    let host = format!("127.0.0.1:{}", booth.port);
    let descriptors = || {
        let folder = format!("/proc/{}/fd", gateway.pid());
        std::fs::read_dir(folder).expect("the gateway").count()
    };
    let before = descriptors();
    let mut crowd: Vec<TcpStream> = (0..100).map(|_| booth.connect()).collect();
    for (number, stream) in crowd.iter_mut().enumerate() {
        let half = format!("GET /events HTTP/1.1\r\nHost: {host}\r\nX: ");
        let words = match number % 4 {
            0 => half.as_str(),
            1 => "G",
            2 => "\u{0}\u{1}\u{2}\r\n\r\n",
            _ => "",
        };
        // Whoever was refused already has closed.
        let _ = stream.write_all(words.as_bytes());
    }
    for (number, line) in ["lift", "dial 1"].into_iter().enumerate() {
        gateway.handset(line);
        gateway.reaches("session", ["question", "recording"][number]);
    }
    let during = descriptors();
    assert!(
        during <= before + 24,
        "{before} descriptors became {during}"
    );
    // The half ones are given up after a few seconds each, and the page is there again beside those that still wait.
    let (head, body) = booth.get("/", &host);
    assert!(
        head.starts_with("HTTP/1.1 200") && body.contains("<main"),
        "{head}"
    );
    gateway.reaches("session", "recording");
    gateway.handset("hang-up");
    gateway.reaches("session", "idle");
    gateway.reaches("spool_clips", 1);
    drop(crowd);
    for (target, foreign, status) in [
        ("/", "evil.example", "421"),
        ("/events", "evil.example:80", "421"),
        ("/favicon.ico", &host, "404"),
    ] {
        let (head, _) = booth.get(target, foreign);
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status}")),
            "{target}: {head}"
        );
        assert!(head.contains("Cache-Control: no-store"), "{head}");
    }
    // Four may look; a fifth is told so and does not wait.
    let mut watchers: Vec<TcpStream> = Vec::new();
    for _ in 0..4 {
        let mut stream = booth.connect();
        write!(stream, "GET /events HTTP/1.1\r\nHost: {host}\r\n\r\n").expect("sent");
        let mut first = [0; 12];
        stream.read_exact(&mut first).expect("an answer");
        assert_eq!(&first, b"HTTP/1.1 200");
        watchers.push(stream);
    }
    assert!(booth.get("/events", &host).0.starts_with("HTTP/1.1 503"));
    assert!(booth.get("/", &host).0.starts_with("HTTP/1.1 200"));
}
