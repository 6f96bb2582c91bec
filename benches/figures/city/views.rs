//! Pages for citizens: one view after the other, and two hundred a second beside booths that send as fast as they can.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use booth_contract::AckStatus;
use booth_testkit::hub::Clip;
use serde_json::json;

use super::super::{Table, median, p99};
use super::town::{Town, booth_on, used_ms};

/// Views between two decisions at the desk: each makes all pages be drawn anew.
const VIEWS_OF_A_DECISION: usize = 100;
/// Views a second beside ingest, and by how many browsers.
const RATE: u64 = 200;
const BROWSERS: u64 = 8;
/// Booths that send at once, what each has on its way, and the bytes of a clip: twenty seconds of speech.
const BOOTHS: usize = 8;
const WINDOW: usize = 8;
const CLIP_BYTES: usize = 60_000;

/// Which page was looked at, and how long it took, ms.
type View = (usize, f64);
/// Clips that a booth offered, and those of them that are stored.
type Sent = (usize, usize);

/// A browser that keeps its connection.
struct Browser<'a> {
    agent: ureq::Agent,
    town: &'a Town,
}

impl<'a> Browser<'a> {
    fn new(town: &'a Town) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build();
        Self {
            agent: config.into(),
            town,
        }
    }

    /// Asks for a page; bytes as they are transferred.
    fn bytes(&self, page: &str) -> usize {
        let asked = self.agent.get(format!("{}{page}", self.town.citizens));
        let said = asked.header("Accept-Encoding", "gzip").call();
        let mut said = said.unwrap_or_else(|why| panic!("/{page}: {why}"));
        assert_eq!(said.status().as_u16(), 200, "/{page}");
        let body = said.body_mut().with_config().limit(u64::MAX).read_to_vec();
        body.expect("a body").len()
    }

    /// How long that takes, ms.
    fn ms(&self, page: &str) -> f64 {
        let began = Instant::now();
        self.bytes(page);
        began.elapsed().as_secs_f64() * 1_000.0
    }
}

/// The pages that are asked for, by name and address.
fn pages(town: &Town) -> Vec<(&'static str, String)> {
    let id = &town.published[0];
    [
        ("City", "da/".to_owned()),
        ("Campaign", "da/campaign/square-2026".to_owned()),
        ("Question", "da/question/square-2026/square".to_owned()),
        ("Area", "da/area/a1".to_owned()),
        ("messages", "da/messages".to_owned()),
        ("messages of an area", "da/messages?area=a1".to_owned()),
        (
            "messages of a theme",
            "da/messages?theme=Butikker".to_owned(),
        ),
        ("one message", format!("da/message/{id}")),
        ("feed", "feed/square-2026.atom".to_owned()),
        ("kiosk", "da/kiosk".to_owned()),
        ("print", "da/print/square-2026".to_owned()),
        ("a graphic", "chart/da/city/map.svg".to_owned()),
        ("about", "da/about".to_owned()),
        ("data", "da/data".to_owned()),
    ]
    .into()
}

/// Each page while somebody decides at the desk every now and then, and what the first page weighs.
pub(super) fn one_after_the_other(table: &mut Table, town: &Town, views: usize) {
    let browser = Browser::new(town);
    let waiting = town.ids(
        "SELECT id FROM message WHERE state = 'waiting' AND kind = 'audio' AND version = 0 ORDER BY id DESC LIMIT 1000",
    );
    let mut waiting = waiting.iter();
    for (name, page) in pages(town) {
        let (mut all, mut first) = (Vec::new(), Vec::new());
        let views = if name == "City" { views } else { views / 10 };
        for view in 0..views {
            if views >= VIEWS_OF_A_DECISION
                && view % VIEWS_OF_A_DECISION == 0
                && let Some(id) = waiting.next()
            {
                super::desk::publish(town, id);
                // The next reading of the numbers is made in the background while the one before is shown.
                std::thread::sleep(Duration::from_millis(2_100));
                all.push(browser.ms(&page));
                std::thread::sleep(Duration::from_millis(1_500));
                let ms = browser.ms(&page);
                first.push(ms);
                all.push(ms);
            }
            all.push(browser.ms(&page));
        }
        let (n, bar) = (all.len(), if name == "City" { "≤ 30" } else { "" });
        table.row(
            &format!("{name}, view at the hub, ms, p99"),
            p99(&mut all),
            bar,
            n,
        );
        if !first.is_empty() {
            let n = first.len();
            table.row("… drawn anew, ms, slowest", p99(&mut first), "", n);
        }
        table.row(
            "… its bytes, KB",
            browser.bytes(&page) as f64 / 1_000.0,
            "",
            1,
        );
    }
    let page = String::from_utf8(
        browser
            .agent
            .get(format!("{}da/", town.citizens))
            .call()
            .expect("a page")
            .body_mut()
            .read_to_vec()
            .expect("a body"),
    )
    .expect("text");
    let style = page
        .split("rel=\"stylesheet\" href=\"../")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a style sheet");
    let all = browser.bytes("da/") + browser.bytes(style);
    table.row(
        "City with everything on it, KB transferred",
        all as f64 / 1_000.0,
        "≤ 100",
        1,
    );
}

/// Two hundred views a second on one processor beside booths that send as fast as they can: is an answer lost?
pub(super) fn beside_ingest(table: &mut Table, town: &Town, seconds: u64) {
    eprintln!("{seconds} s of {RATE} views a second beside ingest …");
    let pages: Vec<String> = pages(town).into_iter().map(|(_, page)| page).collect();
    let is_over = AtomicBool::new(false);
    let seen = AtomicU64::new(0);
    let began = Instant::now();
    let before = used_ms(town.hub.pid());
    let (mut views, sent): (Vec<View>, Vec<Sent>) = std::thread::scope(|scope| {
        let booths: Vec<_> = (0..BOOTHS)
            .map(|booth| {
                let is_over = &is_over;
                scope.spawn(move || send(town, booth, is_over))
            })
            .collect();
        let browsers: Vec<_> = (0..BROWSERS)
            .map(|_| {
                let (seen, pages) = (&seen, &pages);
                scope.spawn(move || look(town, pages, seen, began, seconds))
            })
            .collect();
        let views = browsers
            .into_iter()
            .flat_map(|one| one.join().expect("views"));
        let views = views.collect();
        is_over.store(true, Ordering::Relaxed);
        let sent = booths.into_iter().map(|one| one.join().expect("a booth"));
        (views, sent.collect())
    });
    let took = began.elapsed().as_secs_f64();
    let cpu = (used_ms(town.hub.pid()) - before) as f64 / 1_000.0 / took;
    let offered: usize = sent.iter().map(|(offered, _)| offered).sum();
    let stored: usize = sent.iter().map(|(_, stored)| stored).sum();
    let n = views.len();
    let mut city: Vec<f64> = views
        .iter()
        .filter(|(page, _)| *page == 0)
        .map(|(_, ms)| *ms)
        .collect();
    let mut all: Vec<f64> = views.drain(..).map(|(_, ms)| ms).collect();
    table.row(
        "views a second beside ingest, hub on one core",
        n as f64 / seconds as f64,
        "≥ 200",
        n,
    );
    table.row(
        "… ms from the moment a view was due, median",
        median(&mut all),
        "",
        n,
    );
    table.row("… p99", p99(&mut all), "", n);
    let cities = city.len();
    table.row("… City, p99", p99(&mut city), "≤ 30", cities);
    table.row(
        "… clips of 20 s stored meanwhile, a second",
        stored as f64 / took,
        "",
        stored,
    );
    table.row(
        "… acks that were lost",
        (offered - stored) as f64,
        "≤ 0",
        offered,
    );
    table.row("… cores that the hub used", cpu, "≤ 1", 1);
}

/// Looks at one page after another, each when it is due; which page, and ms from then until it was there.
fn look(
    town: &Town,
    pages: &[String],
    seen: &AtomicU64,
    began: Instant,
    seconds: u64,
) -> Vec<View> {
    let browser = Browser::new(town);
    let mut views = Vec::new();
    loop {
        let view = seen.fetch_add(1, Ordering::Relaxed);
        if view >= seconds * RATE {
            return views;
        }
        let due = began + Duration::from_micros(view * 1_000_000 / RATE);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        // Every other view is of the first page, and a quarter of one message each.
        let which = match view % 4 {
            0 | 2 => 0,
            1 => pages.len(),
            _ => (view / 4) as usize % pages.len(),
        };
        let one = format!(
            "da/message/{}",
            town.published[view as usize % town.published.len()]
        );
        browser.bytes(pages.get(which).unwrap_or(&one));
        views.push((which, due.elapsed().as_secs_f64() * 1_000.0));
    }
}

/// Sends clips until it is over, and then waits for all answers; how many were offered, and how many are stored.
fn send(town: &Town, booth: usize, is_over: &AtomicBool) -> Sent {
    let id = format!("sender-{booth}");
    let client = booth_on(&town.broker, &id);
    let (mut offered, mut stored, mut waiting) = (0, 0, Vec::<Clip>::new());
    loop {
        while waiting.len() < WINDOW && !is_over.load(Ordering::Relaxed) {
            let number = (booth + 1) as u64 * 1_000_000 + offered as u64;
            let body = (0..CLIP_BYTES).map(|n| ((n as u64 * (31 + number)) >> 3) as u8);
            let mut clip = Clip::with_body(&id, number, body.collect());
            clip.manifest["campaign_id"] = json!("square-2026");
            clip.manifest["duration_ms"] = json!(20_000);
            clip.manifest["card_id"] = json!(id);
            client.offer(&clip);
            client.send_parts(&clip, 0, clip.body.len());
            offered += 1;
            waiting.push(clip);
        }
        if waiting.is_empty() {
            return (offered, stored);
        }
        match client.ack_within(Duration::from_secs(30)) {
            None => return (offered, stored),
            Some(ack) if ack.status == AckStatus::Stored => {
                waiting.retain(|clip| clip.id != ack.clip_id.as_str());
                stored += 1;
            }
            Some(ack) => panic!("{}: {:?}", ack.clip_id, ack.status),
        }
    }
}
