//! Answers from home by their promises: nothing is kept before it is sent, silence means no, floods and bad files are told and cost little.
#![allow(clippy::disallowed_methods)] // reads fixtures

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body as Sent, Bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use booth_contract::Publish;

use super::ticket::is_worked;
use crate::City;
use crate::centre::{Body, Campaign, CentreError, Choice, Question, Source};
use crate::testing::{FakeCentre, ask, city};
use crate::web::for_citizens;
use crate::web::peer::Peer;

const PAGE: &str = "/en/answer/green/square";
const WORDS: &str = "Put a bench by the water & a tree <script>alert(1)</script> 🪑";

fn texts(text: &str) -> BTreeMap<String, String> {
    [("en".to_owned(), text.to_owned())].into()
}

fn question(id: &str, may_publish: Publish, options: Vec<Choice>) -> Question {
    Question {
        id: id.into(),
        digit: 1,
        text: texts("What should become of the square?"),
        prompt: BTreeMap::new(),
        options,
        may_publish,
        max_seconds: Some(10),
        needs_code: false,
        answer: BTreeMap::new(),
        answer_prompt: BTreeMap::new(),
    }
}

fn option(digit: u8, text: &str) -> Choice {
    Choice {
        digit,
        id: format!("o{digit}"),
        text: texts(text),
        prompt: BTreeMap::new(),
    }
}

struct Bench {
    city: Arc<City>,
    centre: Arc<FakeCentre>,
    pages: Router,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let (city, centre, folder) = city();
        centre.have().campaigns.push(Campaign {
            id: "green".into(),
            title: "A green square".into(),
            from: None,
            until: None,
            booths: None,
            languages: vec!["en".into()],
            questions: vec![
                question("square", Publish::Voice, Vec::new()),
                question("quiet", Publish::No, Vec::new()),
                question(
                    "tree",
                    Publish::No,
                    vec![option(2, "A lime"), option(3, "An oak")],
                ),
                Question {
                    needs_code: true,
                    ..question(
                        "bench",
                        Publish::No,
                        vec![option(2, "Wood"), option(3, "Stone")],
                    )
                },
            ],
            notice: BTreeMap::new(),
            children: "text".into(),
        });
        Self {
            pages: for_citizens(&city),
            city,
            centre,
            _folder: folder,
        }
    }

    async fn get(&self, page: &str) -> (StatusCode, String) {
        let request = Request::get(page).body(Sent::empty()).expect("a request");
        let (status, _, text) = ask(&self.pages, request).await;
        (status, text)
    }

    /// A new ticket of a page, and the work for it.
    async fn ticket(&self, page: &str) -> (String, String) {
        let (status, text) = self.get(page).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        let ticket = value_of(&text, "ticket");
        let bits = self.city.config.home.work_bits;
        let mut numbers = (0_u64..).map(|n| n.to_string());
        let work = numbers.find(|n| is_worked(&ticket, n, bits));
        (ticket, work.expect("found"))
    }

    async fn post(&self, page: &str, form: &Form) -> (StatusCode, String) {
        self.post_from(page, form, "192.0.2.7").await
    }

    async fn post_from(&self, page: &str, form: &Form, from: &str) -> (StatusCode, String) {
        let mut request = Request::post(page)
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=xyz")
            .body(Sent::from(form.bytes()))
            .expect("a request");
        let from = from.parse().expect("an address");
        request.extensions_mut().insert(Peer(from));
        let (status, headers, text) = ask(&self.pages, request).await;
        assert!(headers.get(header::SET_COOKIE).is_none());
        assert_strict(&headers, &text);
        (status, text)
    }

    /// The first step with the work done.
    async fn look(
        &self,
        page: &str,
        fields: &[(&str, &str)],
        sound: Option<&[u8]>,
    ) -> (StatusCode, String) {
        let (ticket, work) = self.ticket(page).await;
        let mut form = Form::of(&[
            ("ticket", &ticket),
            ("work", &work),
            ("consent", "yes"),
            ("do", "look"),
        ]);
        form.add(fields);
        form.1 = sound.map(<[u8]>::to_vec);
        self.post(page, &form).await
    }

    /// The last step of a page that was looked at.
    async fn send(&self, page: &str, looked: &str, more: &[(&str, &str)]) -> (StatusCode, String) {
        let mut form = Form::of(&[("do", "send"), ("consent", "yes")]);
        for name in ["ticket", "notice", "draft", "choice", "area"] {
            let value = value_of(looked, name);
            form.add(&[(name, value.as_str())]);
        }
        form.add(more);
        self.post(page, &form).await
    }

    fn number(&self) -> usize {
        self.centre.have().submitted.len()
    }
}

/// No page runs or styles anything but files of ours.
fn assert_strict(headers: &HeaderMap, text: &str) {
    let policy = headers
        .get(header::CONTENT_SECURITY_POLICY)
        .expect("a policy");
    assert!(!policy.to_str().expect("text").contains("unsafe"));
    for inline in ["style=\"", "onclick", "<style", "javascript:"] {
        assert!(!text.contains(inline), "{inline}");
    }
}

struct Form(Vec<(String, String)>, Option<Vec<u8>>);

impl Form {
    fn of(fields: &[(&str, &str)]) -> Self {
        let mut form = Self(Vec::new(), None);
        form.add(fields);
        form
    }

    fn add(&mut self, fields: &[(&str, &str)]) {
        let owned = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.0.extend(owned);
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, value) in &self.0 {
            bytes.extend(
                format!(
                    "--xyz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
                )
                .bytes(),
            );
        }
        if let Some(sound) = &self.1 {
            bytes.extend(
                b"--xyz\r\nContent-Disposition: form-data; name=\"sound\"; filename=\"a\"\r\n\r\n",
            );
            bytes.extend(sound);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"--xyz--\r\n");
        bytes
    }
}

/// The value of a page's field.
fn value_of(text: &str, name: &str) -> String {
    let field = format!("name=\"{name}\" value=\"");
    let rest = text.split_once(&field).map(|(_, rest)| rest);
    rest.and_then(|rest| rest.split('"').next())
        .unwrap_or_default()
        .to_owned()
}

fn fixture(name: &str) -> Vec<u8> {
    let path = format!(
        "{}/../../tests/fixtures/home/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read(&path).unwrap_or_else(|why| panic!("{path}: {why}"))
}

#[tokio::test]
async fn a_text_is_looked_over_sent_and_acknowledged_with_a_receipt_and_nothing_is_kept_before() {
    let bench = Bench::new();
    let (status, looked) = bench.look(PAGE, &[("text", WORDS)], None).await;
    assert_eq!(status, StatusCode::OK, "{looked}");
    assert!(looked.contains("&lt;script&gt;") && !looked.contains("<script>alert"));
    assert_eq!(bench.number(), 0, "it is not sent yet");
    let (status, told) = bench.send(PAGE, &looked, &[("text", WORDS)]).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    assert!(told.contains("data-receipt=\"002006673085\""));
    let have = bench.centre.have();
    let submission = &have.submitted[0];
    assert!(matches!(&submission.body, Body::Written(text) if text == WORDS));
    assert_eq!(submission.source, Source::Web);
    assert_eq!(submission.may_publish, Publish::No, "silence means no");
    assert_eq!(submission.notice_id.len(), 16);
}

#[tokio::test]
async fn each_box_allows_what_it_says_and_no_form_more_than_the_question_asks() {
    let bench = Bench::new();
    let quiet = "/en/answer/green/quiet";
    for (page, boxes, allowed) in [
        (PAGE, &["publish_text"][..], Publish::Text),
        // A written answer has no voice.
        (PAGE, &["publish_voice"], Publish::No),
        (quiet, &["publish_text", "publish_voice"], Publish::No),
    ] {
        let (_, looked) = bench.look(page, &[("text", "x")], None).await;
        let mut fields = vec![("text", "x")];
        fields.extend(boxes.iter().map(|name| (*name, "yes")));
        let (status, told) = bench.send(page, &looked, &fields).await;
        assert_eq!(status, StatusCode::OK, "{told}");
        let have = bench.centre.have();
        let submission = have.submitted.last().expect("kept");
        assert_eq!(submission.may_publish, allowed, "{page} {boxes:?}");
    }
}

#[tokio::test]
async fn what_browsers_record_becomes_what_a_booth_records_and_is_heard_before_it_is_sent() {
    let bench = Bench::new();
    for name in [
        "chromium.webm",
        "safari.mp4",
        "plain.m4a",
        "firefox.ogg",
        "opus.mp4",
        "phone.wav",
    ] {
        let (status, looked) = bench.look(PAGE, &[], Some(&fixture(name))).await;
        assert_eq!(status, StatusCode::OK, "{name}: {looked}");
        let draft = value_of(&looked, "draft");
        let request = Request::get(format!("{PAGE}/draft/{draft}"))
            .body(Sent::empty())
            .expect("a request");
        let response = tower_once(&bench.pages, request).await;
        assert!(response.starts_with(b"OggS"), "{name}");
        let heard = booth_audio::measured(&response, 20).expect("it plays");
        assert!(
            (2_700..3_400).contains(&heard.length.ms()),
            "{name}: {} ms",
            heard.length.ms()
        );
        assert!(heard.speech_ratio > 0.5, "{name}: {}", heard.speech_ratio);
        let (status, told) = bench.send(PAGE, &looked, &[("publish_voice", "yes")]).await;
        assert_eq!(status, StatusCode::OK, "{name}: {told}");
        let have = bench.centre.have();
        let submission = have.submitted.last().expect("kept");
        assert_eq!(submission.may_publish, Publish::Voice);
        let Body::Spoken(ogg, ms) = &submission.body else {
            panic!("{name} is no sound");
        };
        assert_eq!((ogg, *ms), (&response.to_vec(), heard.length.ms()));
        // A booth's: one channel, 24 kbit/s and what Ogg adds.
        assert!(ogg.len() < 14_000, "{name}: {} bytes", ogg.len());
    }
    let gone = bench.get(&format!("{PAGE}/draft/guessed")).await;
    assert_eq!(gone.0, StatusCode::NOT_FOUND);
}

async fn tower_once(pages: &Router, request: Request<Sent>) -> Bytes {
    use tower::ServiceExt;
    let response = pages.clone().oneshot(request).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    axum::body::to_bytes(response.into_body(), 1 << 20)
        .await
        .expect("a body")
}

#[tokio::test]
async fn a_recording_that_cannot_be_used_is_told_in_a_sentence_and_nothing_is_kept() {
    let bench = Bench::new();
    let whole = fixture("chromium.webm");
    for (name, sound, says) in [
        ("silent", fixture("silent.webm"), "nothing to hear"),
        ("too long", fixture("long.ogg"), "too long"),
        ("cut in its head", whole[..40].to_vec(), "damaged"),
        (
            "a picture",
            b"\x89PNG\r\n\x1a\n0000000000000000000".to_vec(),
            "no sound file",
        ),
        ("a page", b"<html><body>no sound".to_vec(), "damaged"),
        ("zeros", vec![0; 5_000], "damaged"),
        ("too short", fixture("short.wav"), "too short"),
    ] {
        let (status, told) = bench.look(PAGE, &[], Some(&sound)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{name}");
        assert!(
            told.contains("role=\"alert\"") && told.contains(says),
            "{name}: {told}"
        );
    }
    assert_eq!(bench.number(), 0);
}

#[tokio::test]
async fn two_gigabytes_are_refused_while_they_come_and_never_lie_in_memory() {
    let bench = Bench::new();
    let (ticket, work) = bench.ticket(PAGE).await;
    let form = Form::of(&[("ticket", &ticket), ("work", &work), ("consent", "yes")]);
    let mut head = form.bytes();
    head.truncate(head.len() - b"--xyz--\r\n".len());
    head.extend(b"--xyz\r\nContent-Disposition: form-data; name=\"sound\"; filename=\"a\"\r\n\r\n");
    let taken = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = Arc::clone(&taken);
    let piece = Bytes::from(vec![7; 1 << 16]);
    struct Flood {
        head: Option<Bytes>,
        piece: Bytes,
        left: u64,
        counted: Arc<std::sync::atomic::AtomicU64>,
    }
    impl axum::body::HttpBody for Flood {
        type Data = Bytes;
        type Error = std::io::Error;
        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
            let next = match self.head.take() {
                Some(head) => head,
                None if self.left == 0 => return std::task::Poll::Ready(None),
                None => {
                    self.left -= 1;
                    self.piece.clone()
                }
            };
            let bytes = next.len() as u64;
            self.counted
                .fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
            std::task::Poll::Ready(Some(Ok(http_body::Frame::data(next))))
        }
    }
    let flood = Flood {
        head: Some(head.into()),
        piece,
        left: (2 << 30) / (1 << 16),
        counted,
    };
    let request = Request::post(PAGE)
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=xyz")
        .body(Sent::new(flood))
        .expect("a request");
    let (status, _, told) = ask(&bench.pages, request).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(told.contains("too large"), "{told}");
    let read = taken.load(std::sync::atomic::Ordering::Relaxed);
    // Ten seconds may have a megabyte; four of them are thrown away as they come.
    assert!(read < 6_000_000, "{read} bytes were read of 2 GB");
    assert_eq!(bench.number(), 0);
}

#[tokio::test]
async fn a_vote_is_one_of_its_answers_and_nothing_else() {
    let bench = Bench::new();
    let page = "/en/answer/green/tree";
    let (status, looked) = bench.look(page, &[("choice", "3")], None).await;
    assert_eq!(status, StatusCode::OK);
    assert!(looked.contains("An oak") && !looked.contains("publish_text"));
    let (status, _) = bench.send(page, &looked, &[]).await;
    assert_eq!(status, StatusCode::OK);
    assert!(matches!(
        bench.centre.have().submitted[0].body,
        Body::Vote(3)
    ));
    for wrong in ["", "4", "-1", "lime"] {
        let (status, _) = bench.look(page, &[("choice", wrong)], None).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
    assert_eq!(bench.number(), 1);
}

#[tokio::test]
async fn nothing_is_taken_without_consent_without_words_or_twice() {
    let bench = Bench::new();
    let (ticket, work) = bench.ticket(PAGE).await;
    let form = Form::of(&[
        ("ticket", &ticket),
        ("work", &work),
        ("text", "kept as typed"),
    ]);
    let (status, told) = bench.post(PAGE, &form).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        told.contains("kept as typed"),
        "what was typed is there still"
    );
    let (status, _) = bench.look(PAGE, &[("text", " \n ")], None).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let (_, looked) = bench.look(PAGE, &[("text", "once")], None).await;
    let (first, _) = bench.send(PAGE, &looked, &[("text", "once")]).await;
    let (second, told) = bench.send(PAGE, &looked, &[("text", "once")]).await;
    assert_eq!(
        (first, second),
        (StatusCode::OK, StatusCode::CONFLICT),
        "{told}"
    );
    // A form of its own making is sent without having been looked at.
    let form = Form::of(&[
        ("do", "send"),
        ("ticket", &ticket),
        ("text", "x"),
        ("notice", &value_of(&looked, "notice")),
    ]);
    let (status, _) = bench.post(PAGE, &form).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(bench.number(), 1);
}

#[tokio::test]
async fn a_flood_without_the_work_is_stopped_and_one_with_it_slowed_and_neither_closes_the_door_to_others()
 {
    let bench = Bench::new();
    let mut taken = 0;
    for n in 0..60 {
        let (ticket, _) = bench.ticket_alone(PAGE).await;
        let form = Form::of(&[("ticket", &ticket), ("consent", "yes"), ("text", "flood")]);
        // One household has more addresses than anybody can count.
        let from = format!("2001:db8:1:2:{n:x}::1");
        let (status, told) = bench.post_from(PAGE, &form, &from).await;
        match status {
            StatusCode::OK => taken += 1,
            status => {
                assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
                assert!(told.contains("JavaScript"));
            }
        }
    }
    assert_eq!(taken, 4);
    for n in 0..200 {
        let (ticket, _) = bench.ticket_alone(PAGE).await;
        let form = Form::of(&[("ticket", &ticket), ("consent", "yes"), ("text", "flood")]);
        let (status, _) = bench
            .post_from(PAGE, &form, &format!("198.51.100.{n}"))
            .await;
        taken += u32::from(status == StatusCode::OK);
    }
    assert!(taken <= 45, "{taken} of all visitors without the work");
    // Somebody whose browser works is let in beside all that.
    let (status, _) = bench.look(PAGE, &[("text", "a citizen")], None).await;
    assert_eq!(status, StatusCode::OK);
    let mut taken = 0;
    for _ in 0..20 {
        let (status, _) = bench.look(PAGE, &[("text", "flood")], None).await;
        taken += u32::from(status == StatusCode::OK);
    }
    assert_eq!(taken, 11);
}

impl Bench {
    async fn ticket_alone(&self, page: &str) -> (String, String) {
        let (_, text) = self.get(page).await;
        (value_of(&text, "ticket"), String::new())
    }
}

#[tokio::test]
async fn whoever_fills_the_field_that_no_person_sees_is_thanked_and_nothing_is_kept() {
    let bench = Bench::new();
    let (status, told) = bench
        .look(PAGE, &[("text", "buy"), ("website", "http://x")], None)
        .await;
    assert_eq!(status, StatusCode::OK);
    assert!(value_of(&told, "ticket").is_empty());
    assert_eq!(bench.number(), 0);
}

#[tokio::test]
async fn a_store_that_is_full_or_away_is_told_and_the_same_answer_can_be_sent_again() {
    let bench = Bench::new();
    let (_, looked) = bench.look(PAGE, &[], Some(&fixture("chromium.webm"))).await;
    bench.centre.have().refuses = Some(CentreError::Failed("only 3 MB are free".into()));
    let (status, told) = bench.send(PAGE, &looked, &[]).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        told.contains("nothing is kept") && !told.contains("3 MB"),
        "{told}"
    );
    bench.centre.have().refuses = None;
    let (status, _) = bench.send(PAGE, &told, &[]).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(bench.number(), 1);
}

#[tokio::test]
async fn what_is_thrown_away_or_said_again_is_gone_from_memory() {
    let bench = Bench::new();
    for what in ["discard", "change"] {
        let (_, looked) = bench.look(PAGE, &[], Some(&fixture("chromium.webm"))).await;
        let draft = value_of(&looked, "draft");
        let heard = format!("{PAGE}/draft/{draft}");
        assert_eq!(bench.get(&heard).await.0, StatusCode::OK);
        let form = Form::of(&[("do", what), ("draft", &draft)]);
        assert_eq!(bench.post(PAGE, &form).await.0, StatusCode::OK);
        assert_eq!(bench.get(&heard).await.0, StatusCode::NOT_FOUND, "{what}");
    }
    assert_eq!(bench.number(), 0);
}

#[tokio::test]
async fn a_campaign_that_is_over_or_not_there_takes_nothing() {
    let bench = Bench::new();
    let (_, looked) = bench.look(PAGE, &[("text", "x")], None).await;
    bench.centre.have().campaigns[0].until = Some("2020-01-01T00:00".into());
    let (status, page) = bench.get(PAGE).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("cannot be answered now") && value_of(&page, "ticket").is_empty());
    let (status, _) = bench.send(PAGE, &looked, &[("text", "x")]).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    for page in [
        "/en/answer/green/no",
        "/en/answer/no/square",
        "/xx/answer/green/square",
    ] {
        assert_eq!(bench.get(page).await.0, StatusCode::NOT_FOUND, "{page}");
    }
    assert_eq!(bench.number(), 0);
}

/// A code with a right check digit, and what people make of it.
fn a_code() -> String {
    let code = booth_contract::OneTimeCode::generate(|bytes| bytes.fill(35), &[]);
    code.expect("a code").for_paper().to_string()
}

#[tokio::test]
async fn a_vote_with_a_code_is_cast_from_home_with_the_code_and_with_nothing_less() {
    let bench = Bench::new();
    let page = "/en/answer/green/bench";
    let (status, form) = bench.get(page).await;
    assert_eq!(status, StatusCode::OK);
    assert!(form.contains("name=\"code\"") && form.contains("autocomplete=\"off\""));
    assert!(
        !bench
            .get("/en/answer/green/tree")
            .await
            .1
            .contains("name=\"code\"")
    );
    let code = a_code();
    let wrong = code.replacen(&code[..1], if code.starts_with('0') { "1" } else { "0" }, 1);
    for (typed, says) in [
        ("", "Type the ten digits"),
        ("123", "Type the ten digits"),
        ("letters", "Type the ten digits"),
        (&*wrong, "One of the digits of the code is wrong"),
    ] {
        let (status, told) = bench
            .look(page, &[("choice", "2"), ("code", typed)], None)
            .await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{typed}");
        assert!(told.contains(says), "{typed}: {told}");
        // What was chosen stays.
        assert!(told.contains("value=\"2\" required checked"), "{told}");
    }
    let (status, looked) = bench
        .look(page, &[("choice", "2"), ("code", &code)], None)
        .await;
    assert_eq!(status, StatusCode::OK, "{looked}");
    let digits = value_of(&looked, "code");
    assert_eq!(digits, code.replace(' ', ""));
    // Whoever takes the code out of the last form casts nothing, either.
    let (status, told) = bench.send(page, &looked, &[]).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{told}");
    assert_eq!(bench.number(), 0);
    let (status, told) = bench.send(page, &looked, &[("code", &digits)]).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    let have = bench.centre.have();
    assert_eq!(have.submitted[0].code.as_deref(), Some(&*digits));
    assert!(matches!(have.submitted[0].body, Body::Vote(2)));
}

#[tokio::test]
async fn a_code_that_is_used_or_unknown_is_told_so_and_few_can_be_guessed_from_one_place() {
    let bench = Bench::new();
    let page = "/en/answer/green/bench";
    let code = a_code();
    let digits = code.replace(' ', "");
    let looks = std::cell::Cell::new(0);
    let vote = async |from: &str| {
        // The limit of answers is another one: each is looked over somewhere else.
        looks.set(looks.get() + 1);
        let (ticket, work) = bench.ticket(page).await;
        let mut form = Form::of(&[
            ("ticket", &ticket),
            ("work", &work),
            ("consent", "yes"),
            ("do", "look"),
        ]);
        form.add(&[("choice", "2"), ("code", &code)]);
        let elsewhere = format!("203.0.113.{}", looks.get());
        let (_, looked) = bench.post_from(page, &form, &elsewhere).await;
        let mut form = Form::of(&[
            ("do", "send"),
            ("consent", "yes"),
            ("choice", "2"),
            ("code", &digits),
        ]);
        for name in ["ticket", "notice"] {
            form.add(&[(name, value_of(&looked, name).as_str())]);
        }
        bench.post_from(page, &form, from).await
    };
    // Votes that count, and a hub that is busy, are no guesses.
    for refuses in [None, Some(CentreError::Busy)] {
        bench.centre.have().refuses = refuses;
        for _ in 0..5 {
            let (status, told) = vote("192.0.2.9").await;
            assert!(
                matches!(status, StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE),
                "{told}"
            );
        }
    }
    let kept = bench.number();
    for n in 0..8 {
        bench.centre.have().refuses = Some(match n % 2 {
            0 => CentreError::CodeUnknown,
            _ => CentreError::CodeUsed,
        });
        let (status, told) = vote("192.0.2.9").await;
        let (wanted, says) = match n {
            6.. => (
                StatusCode::TOO_MANY_REQUESTS,
                "Several codes that are not right",
            ),
            n if n % 2 == 0 => (StatusCode::UNPROCESSABLE_ENTITY, "There is no such code"),
            _ => (StatusCode::CONFLICT, "was used before"),
        };
        assert_eq!(status, wanted, "{n}: {told}");
        assert!(told.contains(says), "{n}: {told}");
    }
    assert_eq!(bench.number(), kept);
    // Somebody else votes meanwhile.
    bench.centre.have().refuses = None;
    assert_eq!(vote("198.51.100.1").await.0, StatusCode::OK);
}
