//! The hub's pages, over HTTP and in a real browser, also behind a proxy.
#![allow(clippy::disallowed_methods)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex};

use booth_contract::time::Mono;
use booth_hub::http;
use booth_hub::store::{BrokerStatus, Message, Store, StoreRules, StoreViews};
use booth_testkit::browser::Browser;
use booth_testkit::hub::{Booth, Broker, Clip, Home, Hub, free_port};
use booth_testkit::wait::until;

fn get(address: &str, path: &str, range: &str) -> (String, Vec<u8>) {
    let host = address.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(host).expect("the pages");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\n{range}Connection: close\r\n\r\n"
    )
    .expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let split = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a head");
    (
        String::from_utf8_lossy(&answer[..split]).into_owned(),
        answer[split + 4..].to_vec(),
    )
}

#[test]
fn people_and_operations_open_in_a_browser_and_a_clip_plays_to_its_end() {
    let broker = Broker::open();
    let home = Home::new(
        broker.port,
        "[[booth]]\nid = \"skejby-1\"\nname = \"Skejby <b>\"\n",
    );
    let hub = Hub::start(&home);
    let address = hub.address();
    let booth = Booth::connect(broker.port, "rundhoej-1");
    booth.hub_becomes("online");
    let speech = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/speech/en.opus");
    let clip = Clip::with_body("rundhoej-1", 1, std::fs::read(speech).expect("the fixture"));
    booth.deliver(&clip);

    let path = format!("/clips/{}", clip.id);
    let (head, body) = get(&address, &path, "Range: bytes=10-19\r\n");
    assert!(
        head.starts_with("HTTP/1.1 206") && head.contains("audio/ogg"),
        "{head}"
    );
    assert_eq!(body, clip.body[10..20]);
    let (head, _) = get(&address, "/clips/..%2f..%2fhub.toml", "");
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    let (head, page) = get(&address, "/", "");
    assert!(
        head.contains("content-security-policy: default-src 'none'"),
        "{head}"
    );
    assert!(!String::from_utf8_lossy(&page).contains("<script"));

    let browser = Browser::open(free_port());
    browser.go(&address);
    assert_eq!(
        browser.run("return document.querySelector('h1').innerText"),
        "1 answer from 1 booth"
    );
    let played = browser.wait_for(
        "const a = document.querySelector('audio');\
         a.addEventListener('ended', () => done({ time: a.currentTime, length: a.duration }));\
         a.addEventListener('error', () => done({ error: a.error && a.error.message }));\
         a.addEventListener('playing', () => { if (a.currentTime < 1) a.currentTime = a.duration - 1; });\
         a.muted = true; a.play().catch(e => done({ error: String(e) }));",
    );
    let length = played["length"]
        .as_f64()
        .unwrap_or_else(|| panic!("it did not play: {played}"));
    assert!(
        length > 5.0
            && played["time"]
                .as_f64()
                .is_some_and(|time| time >= length - 0.2),
        "{played}"
    );
    browser.go(&format!("{address}operations"));
    let sentence = browser.run("return document.querySelector('h1').innerText");
    assert!(
        sentence
            .as_str()
            .is_some_and(|text| text.contains("1 never heard")),
        "{sentence}"
    );
    assert_eq!(
        browser.run("return document.querySelectorAll('td b').length"),
        0,
        "a name broke out"
    );
    let foreign = browser.run("return performance.getEntriesByType('resource').filter(r => !r.name.startsWith(location.origin) && !r.name.startsWith('data:')).length");
    assert_eq!(foreign, 0);
}

/// The pages over a store of this process.
struct Pages {
    address: String,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    server: Option<std::thread::JoinHandle<()>>,
    store: Store,
    folder: tempfile::TempDir,
}

impl Pages {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("store");
        let rules = StoreRules {
            dir: dir.clone(),
            max_clip_bytes: 16_000_000,
            root: "booth/1".into(),
            database: None,
            bodies: None,
        };
        let store = Store::open(&rules).expect("a store");
        let status = BrokerStatus {
            connected: true,
            detail: "connected".into(),
            rival: None,
        };
        let status = Arc::new(Mutex::new(status));
        let views = Arc::new(StoreViews::open(&dir, Vec::new(), status).expect("views"));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("set");
        let address = format!("http://{}/", listener.local_addr().expect("an address"));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                let stopped = async {
                    let _ = stopped.await;
                };
                let names = http::Names::new([127, 0, 0, 1].into(), &[]);
                http::serve(listener, views, names, stopped).await;
            });
        });
        Self {
            address,
            stop: Some(stop),
            server: Some(server),
            store,
            folder,
        }
    }

    /// Takes a message in, received at this second of a day.
    fn take(&mut self, second: i64, tail: &str, payload: &[u8]) {
        let begin: jiff::Timestamp = "2026-03-01T00:00:00Z".parse().expect("a time");
        let message = Message {
            topic: format!("booth/1/up/rundhoej-1/{tail}"),
            payload: payload.to_vec(),
            retained: false,
            expiry_s: None,
        };
        let wall = begin + jiff::SignedDuration::from_secs(second);
        self.store
            .handle(wall, Mono(1), &message)
            .expect("the store works");
    }

    fn keep(&mut self, second: i64, clip: &Clip) {
        self.take(
            second,
            &format!("clip/{}", clip.id),
            clip.manifest.to_string().as_bytes(),
        );
        for at in (0..clip.body.len()).step_by(16_384) {
            let end = (at + 16_384).min(clip.body.len());
            self.take(
                second,
                &format!("part/{}/{at}", clip.id),
                &clip.body[at..end],
            );
        }
    }

    /// A request with these header lines, and what is answered.
    fn ask(&self, method: &str, path: &str, lines: &[(&str, &str)]) -> Answered {
        let host = self
            .address
            .trim_start_matches("http://")
            .trim_end_matches('/');
        let lines: String = lines
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let mut stream = TcpStream::connect(host).expect("the pages");
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{lines}Connection: close\r\n\r\n"
        )
        .expect("sent");
        Answered::read(&mut stream)
    }

    fn page(&self, path: &str) -> String {
        let answered = self.ask("GET", path, &[]);
        assert_eq!(answered.status, 200, "{path}");
        String::from_utf8(answered.body).expect("text")
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
        let _ = self.folder.path();
    }
}

/// An HTTP answer taken apart.
#[derive(Debug)]
struct Answered {
    status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answered {
    fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("an answer");
        let split = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let split = split.expect("a head");
        let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Self {
            status: status.expect("a status"),
            fields: lines.filter_map(field).collect(),
            body: bytes[split + 4..].to_vec(),
        }
    }

    fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The parts of a multipart/byteranges body: where each says that it lies, and its bytes.
    fn parts(&self) -> Vec<(String, Vec<u8>)> {
        let kind = self.field("content-type").expect("a type");
        let boundary = kind
            .strip_prefix("multipart/byteranges; boundary=")
            .expect("several");
        let (dash, end) = (
            format!("--{boundary}\r\n"),
            format!("\r\n--{boundary}--\r\n"),
        );
        let mut rest = self.body.strip_suffix(end.as_bytes()).expect("its end");
        let mut parts = Vec::new();
        while !rest.is_empty() {
            rest = rest.strip_prefix(b"\r\n").unwrap_or(rest);
            rest = rest.strip_prefix(dash.as_bytes()).expect("a boundary");
            let split = rest
                .windows(4)
                .position(|four| four == b"\r\n\r\n")
                .expect("a head");
            let head = String::from_utf8_lossy(&rest[..split]).into_owned();
            assert!(head.contains("Content-Type: audio/ogg"), "{head}");
            let says = head
                .split("Content-Range: ")
                .nth(1)
                .expect("its place")
                .to_owned();
            rest = &rest[split + 4..];
            let next = format!("\r\n{dash}");
            let length = rest
                .windows(next.len())
                .position(|at| at == next.as_bytes());
            let (bytes, after) = rest.split_at(length.unwrap_or(rest.len()));
            parts.push((says, bytes.to_vec()));
            rest = after;
        }
        parts
    }
}

#[test]
fn a_clip_is_served_in_every_range_that_http_knows() {
    let mut pages = Pages::new();
    let body: Vec<u8> = (0..300_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let clip = Clip::with_body("rundhoej-1", 1, body);
    pages.keep(0, &clip);
    pages.store.commit().expect("commits");
    let (path, len) = (format!("/clips/{}", clip.id), clip.body.len());
    let whole = pages.ask("GET", &path, &[]);
    let etag = whole.field("etag").expect("a tag").to_owned();
    let date = whole.field("last-modified").expect("a date").to_owned();
    assert!(etag.starts_with('"') && date.ends_with("GMT"), "{whole:?}");
    let size = len.to_string();

    // Each request with what it must come to: the status, and the bytes where there are some.
    type Row<'a> = (&'a [(&'a str, &'a str)], u16, Option<(usize, usize)>);
    let (stale, weak) = ("\"stale\"", format!("W/{etag}"));
    let before = "Sat, 28 Feb 2026 23:59:59 GMT";
    let everything = Some((0, len));
    let table: [Row<'_>; 34] = [
        (&[], 200, everything),
        (&[("Range", "bytes=0-0")], 206, Some((0, 1))),
        (&[("Range", "bytes=10-19")], 206, Some((10, 20))),
        (&[("Range", "bytes=100000-")], 206, Some((100_000, len))),
        (
            &[("Range", "bytes=299999-400000")],
            206,
            Some((len - 1, len)),
        ),
        (&[("Range", "bytes=-10")], 206, Some((len - 10, len))),
        // A suffix longer than the file is the file.
        (&[("Range", "bytes=-300000")], 206, everything),
        (&[("Range", "bytes=-300001")], 206, everything),
        (
            &[("Range", "bytes=-99999999999999999999999999")],
            206,
            everything,
        ),
        (&[("Range", "BYTES=0-0")], 206, Some((0, 1))),
        // One of several that the file has is one.
        (&[("Range", "bytes=5-9, 300000-")], 206, Some((5, 10))),
        // Nothing of it.
        (&[("Range", "bytes=300000-")], 416, None),
        (&[("Range", "bytes=-0")], 416, None),
        (&[("Range", "bytes=300000-300001,400000-")], 416, None),
        // Another unit, or no range: ignored.
        (&[("Range", "seconds=1-2")], 200, everything),
        (&[("Range", "bytes=2-1")], 200, everything),
        (&[("Range", "bytes=a-")], 200, everything),
        (&[("Range", "bytes")], 200, everything),
        (
            &[("Range", "bytes=0-0"), ("Range", "bytes=1-1")],
            200,
            everything,
        ),
        // The same bytes twice.
        (&[("Range", "bytes=0-100,50-150")], 200, everything),
        // Of this file, or of another that it was.
        (
            &[("Range", "bytes=0-9"), ("If-Range", &etag)],
            206,
            Some((0, 10)),
        ),
        (
            &[("Range", "bytes=0-9"), ("If-Range", &date)],
            206,
            Some((0, 10)),
        ),
        (
            &[("Range", "bytes=0-9"), ("If-Range", stale)],
            200,
            everything,
        ),
        (
            &[("Range", "bytes=0-9"), ("If-Range", &weak)],
            200,
            everything,
        ),
        (
            &[("Range", "bytes=0-9"), ("If-Range", before)],
            200,
            everything,
        ),
        (
            &[("Range", "bytes=300000-"), ("If-Range", stale)],
            200,
            everything,
        ),
        (&[("If-Range", stale)], 200, everything),
        // Conditions come before ranges.
        (&[("If-None-Match", &etag)], 304, None),
        (&[("If-None-Match", stale)], 200, everything),
        (
            &[("If-Modified-Since", &date), ("Range", "bytes=0-9")],
            304,
            None,
        ),
        (
            &[("If-Modified-Since", before), ("Range", "bytes=0-9")],
            206,
            Some((0, 10)),
        ),
        (&[("If-Match", stale), ("Range", "bytes=0-9")], 412, None),
        (
            &[("If-Match", &etag), ("Range", "bytes=0-9")],
            206,
            Some((0, 10)),
        ),
        (&[("If-Unmodified-Since", before)], 412, None),
    ];
    for (lines, status, bytes) in table {
        let got = pages.ask("GET", &path, lines);
        assert_eq!(got.status, status, "{lines:?}");
        assert_eq!(got.field("etag"), Some(etag.as_str()), "{lines:?}");
        assert_eq!(got.field("accept-ranges"), Some("bytes"), "{lines:?}");
        let says = match (status, bytes) {
            (206, Some((from, to))) => Some(format!("bytes {from}-{}/{len}", to - 1)),
            (416, _) => Some(format!("bytes */{len}")),
            _ => None,
        };
        assert_eq!(got.field("content-range"), says.as_deref(), "{lines:?}");
        match bytes {
            Some((from, to)) => {
                assert!(got.body == clip.body[from..to], "{lines:?}: other bytes");
                assert_eq!(got.field("content-type"), Some("audio/ogg"), "{lines:?}");
                let size = (to - from).to_string();
                assert_eq!(
                    got.field("content-length"),
                    Some(size.as_str()),
                    "{lines:?}"
                );
            }
            None => assert!(got.body.is_empty(), "{lines:?}"),
        }
        // HEAD says what GET would, knows no ranges, and has no body.
        let head = pages.ask("HEAD", &path, lines);
        let expected = match status {
            206 | 416 => 200,
            other => other,
        };
        assert_eq!(head.status, expected, "HEAD {lines:?}");
        assert!(head.body.is_empty() && head.field("content-range").is_none());
        if expected == 200 {
            assert_eq!(head.field("content-length"), Some(size.as_str()));
            assert_eq!(head.field("accept-ranges"), Some("bytes"));
        }
    }

    // Several, in the order of the request, also across what is read at a time.
    let range = "bytes=-5, 0-4,65530-140000";
    let got = pages.ask("GET", &path, &[("Range", range), ("If-Range", &etag)]);
    assert_eq!(got.status, 206);
    assert_eq!(got.field("content-range"), None);
    let length = got.body.len().to_string();
    assert_eq!(got.field("content-length"), Some(length.as_str()));
    let expected = [(len - 5, len), (0, 5), (65_530, 140_001)];
    let parts = got.parts();
    assert_eq!(parts.len(), expected.len());
    for ((says, bytes), (from, to)) in parts.iter().zip(expected) {
        assert_eq!(*says, format!("bytes {from}-{}/{len}", to - 1));
        assert!(*bytes == clip.body[from..to], "{says}: other bytes");
    }
    for path in [&path, "/"] {
        let refused = pages.ask("POST", path, &[("Content-Length", "0")]);
        assert_eq!(refused.status, 405);
        assert!(
            refused
                .field("allow")
                .is_some_and(|allow| allow.contains("GET") && allow.contains("HEAD"))
        );
    }
    for path in ["/", "/operations", "/look-at", "/nowhere"] {
        let (get, head) = (pages.ask("GET", path, &[]), pages.ask("HEAD", path, &[]));
        assert_eq!((get.status, head.body.len()), (head.status, 0), "{path}");
        assert_eq!(
            get.field("content-length"),
            head.field("content-length"),
            "{path}"
        );
    }
    // A file that is gone is one sentence, and the pages go on.
    let file = pages.folder.path().join("store/clips").join(&clip.id[..2]);
    std::fs::remove_file(file.join(format!("{}.opus", clip.id))).expect("gone");
    assert_eq!(pages.ask("GET", &path, &[]).status, 500);
    assert_eq!(pages.ask("GET", "/", &[]).status, 200);
}

/// The addresses of a page's links that say this in their `rel`.
fn link(page: &str, rel: &str) -> Option<String> {
    let tag = page
        .split("<a ")
        .find(|tag| tag.starts_with(&format!("rel=\"{rel}\"")))?;
    let address = tag.split("href=\"").nth(1)?.split('"').next()?;
    Some(format!("/{}", address.replace("&amp;", "&")))
}

/// The clips on a page, in its order.
fn clips_on(page: &str) -> Vec<String> {
    let clips = page.split("src=\"clips/").skip(1);
    clips.map(|rest| rest[..36].to_owned()).collect()
}

#[test]
fn every_answer_can_be_reached_page_by_page_there_and_back() {
    let mut pages = Pages::new();
    let all = 1_060_u64;
    let mut expected = Vec::new();
    for number in 1..=all {
        let mut clip = Clip::with_body("rundhoej-1", number, vec![7; 600]);
        clip.manifest["duration_ms"] = 1_000.into();
        // Several in one millisecond, as after an outage.
        pages.keep(number as i64 / 7, &clip);
        expected.push((number / 7, clip.id));
    }
    pages.store.commit().expect("commits");
    expected.sort();
    expected.reverse();
    let expected: Vec<String> = expected.into_iter().map(|(_, id)| id).collect();
    for size in ["", "?clips=400", "?clips=1000"] {
        let (mut seen, mut addresses) = (Vec::new(), Vec::new());
        let mut address = format!("/{size}");
        loop {
            let page = pages.page(&address);
            assert!(page.contains("of 1,060 spoken answers"), "{address}");
            seen.extend(clips_on(&page));
            addresses.push((address, clips_on(&page)));
            match link(&page, "next") {
                Some(next) => address = next,
                None => break,
            }
            assert!(addresses.len() < 30, "it has no end");
        }
        assert!(
            seen == expected,
            "{size}: {} of 1060 in their order",
            seen.len()
        );
        // And back: each page is the one that it was, but for the first, which is always full.
        for pair in addresses.windows(2).rev() {
            let page = pages.page(&pair[1].0);
            let back = link(&page, "prev").expect("a way back");
            assert_eq!(clips_on(&pages.page(&back)), pair[0].1);
        }
        assert_eq!(link(&pages.page(&addresses[0].0), "prev"), None);
    }
    // A page holds its place when new answers come.
    let second = link(&pages.page("/"), "next").expect("a second page");
    let before = clips_on(&pages.page(&second));
    let mut late = Clip::with_body("rundhoej-1", all + 1, vec![7; 600]);
    late.manifest["duration_ms"] = 1_000.into();
    pages.keep(80_000, &late);
    pages.store.commit().expect("commits");
    let page = pages.page(&second);
    assert_eq!(clips_on(&page), before);
    assert!(
        page.contains("52 to 101 of 1,061 spoken answers"),
        "counted anew"
    );
    // Limits, and what is no place.
    assert_eq!(clips_on(&pages.page("/?clips=0")).len(), 1);
    assert_eq!(clips_on(&pages.page("/?clips=100000")).len(), 1_000);
    assert_eq!(clips_on(&pages.page("/?clips=3&clips=9&x=y")).len(), 3);
    let beyond = pages.page("/?older=2000-01-01T00:00:00.000Z~x");
    assert!(beyond.contains("nothing older") && clips_on(&beyond).is_empty());
    for bad in [
        "?older=",
        "?newer=1",
        "?older=2026~'",
        "?clips=many",
        "?clips=-1",
        "?older=%ff~%00",
    ] {
        let answered = pages.ask("GET", &format!("/{bad}"), &[]);
        assert_eq!(answered.status, 400, "{bad}");
        let page = String::from_utf8_lossy(&answered.body).into_owned();
        assert!(
            page.contains("this address") || page.contains("This address"),
            "{page}"
        );
    }
}

#[test]
fn every_clip_that_an_operator_should_look_at_can_be_reached() {
    let mut pages = Pages::new();
    for number in 1..=130_u64 {
        let mut clip = Clip::new("rundhoej-1", number);
        clip.manifest["schema"] = 2.into();
        pages.take(
            number as i64,
            &format!("clip/{}", clip.id),
            clip.manifest.to_string().as_bytes(),
        );
    }
    pages.store.commit().expect("commits");
    let operations = pages.page("/operations");
    assert!(operations.contains("href=\"look-at\"") && operations.contains("All 130 entries"));
    let (mut seen, mut address) = (0, "/look-at".to_owned());
    let mut pages_seen = 0;
    loop {
        let page = pages.page(&address);
        seen += page.matches("<code>").count();
        pages_seen += 1;
        match link(&page, "next") {
            Some(next) => address = next.replacen('/', "/look-at", 1),
            None => break,
        }
        assert!(pages_seen < 9, "it has no end");
    }
    assert_eq!((seen, pages_seen), (130, 3));
}

#[test]
fn the_page_of_operations_loads_itself_anew_only_for_whoever_asked_for_that() {
    let pages = Pages::new();
    let stands = pages.ask("GET", "/operations", &[]);
    let page = String::from_utf8_lossy(&stands.body).into_owned();
    assert_eq!(stands.field("refresh"), None);
    assert!(!page.contains("http-equiv"), "{page}");
    assert!(page.contains("href=\"operations?reload\""), "{page}");
    let runs = pages.ask("GET", "/operations?reload", &[]);
    let page = String::from_utf8_lossy(&runs.body).into_owned();
    assert_eq!(runs.field("refresh"), Some("15"));
    assert!(
        page.contains("every 15 s") && page.contains("href=\"operations\">Let it stand"),
        "{page}"
    );
}

/// A reverse proxy that has the pages under `/booths/hub/` and takes that away, as `proxy_pass http://…/;` of nginx does. What
/// is asked of it outside of that place is noted.
struct Proxy {
    port: u16,
    astray: Arc<Mutex<Vec<String>>>,
}

const PREFIX: &str = "/booths/hub/";

impl Proxy {
    fn before(pages: &str) -> Self {
        let upstream = pages
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let astray = Arc::new(Mutex::new(Vec::new()));
        let noted = astray.clone();
        // Ends with the process: nobody connects any more once the browser is gone.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (upstream, noted) = (upstream.clone(), noted.clone());
                std::thread::spawn(move || pass_on(client, &upstream, &noted));
            }
        });
        Self { port, astray }
    }
}

/// One request and its answer; `None` when the browser has thought better of it.
fn pass_on(mut client: TcpStream, upstream: &str, noted: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = std::io::BufReader::new(client.try_clone().ok()?);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut reader, &mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let first = lines.first()?.clone();
    let path = first.split(' ').nth(1)?;
    let Some(rest) = path.strip_prefix(PREFIX) else {
        noted.lock().ok()?.push(path.to_owned());
        let _ = client
            .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return None;
    };
    let mut server = TcpStream::connect(upstream).ok()?;
    let method = first.split(' ').next()?;
    let mut request = format!("{method} /{rest} HTTP/1.1\r\n");
    for line in &lines[1..] {
        if !line.to_ascii_lowercase().starts_with("connection:") {
            request += &format!("{line}\r\n");
        }
    }
    server
        .write_all(format!("{request}Connection: close\r\n\r\n").as_bytes())
        .ok()?;
    std::io::copy(&mut server, &mut client).ok()?;
    Some(())
}

#[test]
fn behind_a_proxy_with_a_prefix_every_link_and_every_player_stays_below_it() {
    let mut pages = Pages::new();
    let speech = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/speech/en.opus");
    let speech = std::fs::read(speech).expect("the fixture");
    for number in 1..=120 {
        pages.keep(
            number,
            &Clip::with_body("rundhoej-1", number as u64, speech.clone()),
        );
    }
    for number in 201..=230_u64 {
        let mut clip = Clip::new("rundhoej-1", number);
        clip.manifest["schema"] = 2.into();
        pages.take(
            9,
            &format!("clip/{}", clip.id),
            clip.manifest.to_string().as_bytes(),
        );
    }
    pages.take(9, "health", br#"{"ready":1,"health_interval_s":60}"#);
    pages.store.commit().expect("commits");
    let proxy = Proxy::before(&pages.address);
    let start = format!("http://127.0.0.1:{}{PREFIX}", proxy.port);

    let browser = Browser::open(free_port());
    let at = |browser: &Browser| {
        browser
            .run("return location.pathname + location.search")
            .as_str()
            .expect("text")
            .to_owned()
    };
    let click = |browser: &Browser, text: &str| {
        let found = browser.run(&format!(
            "const a = [...document.querySelectorAll('a')].find(a => a.innerText.trim() === '{text}');\
             if (!a) return document.body.innerText; a.click(); return null;"
        ));
        assert!(found.is_null(), "no link {text:?} in: {found}");
        until("the page is there", || {
            (browser.run("return document.readyState") == "complete").then_some(())
        });
    };
    browser.go(&start);
    let played = browser.wait_for(
        "const a = document.querySelector('audio');\
         a.addEventListener('playing', () => done({ length: a.duration }));\
         a.addEventListener('error', () => done({ error: a.error && a.error.message }));\
         a.muted = true; a.play().catch(e => done({ error: String(e) }));",
    );
    assert!(
        played["length"].as_f64().is_some_and(|length| length > 5.0),
        "{played}"
    );
    let mut been = vec![at(&browser)];
    for text in [
        "Older →",
        "Older →",
        "← Newer",
        "Newest",
        "Operations",
        "All 30 entries",
        "To the fleet",
        "Answers",
    ] {
        let before = at(&browser);
        click(&browser, text);
        until("the browser has gone on", || {
            (at(&browser) != before).then_some(())
        });
        been.push(at(&browser));
    }
    assert!(been.iter().all(|path| path.starts_with(PREFIX)), "{been:?}");
    assert_eq!(been.first(), been.last(), "{been:?}");
    assert!(been[2].starts_with(&format!("{PREFIX}?older=")), "{been:?}");
    // A page that is not there, on whatever level, leads back.
    for nowhere in ["nowhere", "clips/no-such-clip", "a/b/c/d"] {
        browser.go(&format!("{start}{nowhere}"));
        click(&browser, "To the answers");
        until("the browser is back", || {
            (at(&browser) == PREFIX).then_some(())
        });
    }
    let astray = proxy.astray.lock().expect("unpoisoned").clone();
    assert_eq!(astray, Vec::<String>::new(), "asked for beside the prefix");
}
