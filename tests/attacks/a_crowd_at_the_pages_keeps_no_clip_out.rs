//! Whoever reaches the pages opens connections without end and sends half of a request on each, asks under a stranger's name, or takes an
//! answer and does not read it: clips are stored meanwhile, and the pages come back by themselves.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

use crate::flood::{CALM, City};
use booth_testkit::hub::{Clip, Hub};
use booth_testkit::wait::{PATIENCE, until};

/// As many descriptors as systems give by themselves.
const USUAL: u64 = 1_024;

fn half_request(host: &str) -> TcpStream {
    let mut stream = TcpStream::connect(host).expect("the system takes it");
    write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\nX-Half: ").expect("sent");
    stream
}

fn host(hub: &Hub) -> String {
    let address = hub.address();
    address
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .to_owned()
}

/// Descriptors that the hub has open.
fn open(hub: &Hub) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", hub.pid()))
        .expect("it runs")
        .count()
}

#[test]
fn a_thousand_half_requests_take_no_descriptor_from_broker_and_store() {
    let own = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: own.maximum,
            ..own
        },
    )
    .expect("more for the test");
    let city = City::start();
    let (home, hub, booth) = city.with_hub();
    let usual = Rlimit {
        current: Some(USUAL),
        maximum: Some(USUAL),
    };
    let pid = Pid::from_raw(hub.pid() as i32);
    prlimit(pid, Resource::Nofile, usual).expect("the hub's limit");
    let host = host(&hub);
    let crowd: Vec<TcpStream> = (0..1_010).map(|_| half_request(&host)).collect();
    until("the crowd is in", || (open(&hub) > 250).then_some(()));
    for clip_no in 1..=5 {
        let clip = Clip::new(CALM, clip_no);
        booth.deliver(&clip);
        assert!(home.clip_file(&clip.id).exists());
    }
    // What the hub opens for itself is few.
    assert!(open(&hub) < 256 + 64, "{} descriptors", open(&hub));
    // Nobody has finished a request, and nobody has gone: they are shown out.
    let mut first = &crowd[0];
    first.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut answer = Vec::new();
    let _ = first.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    drop(crowd);
    hub.shows("operations", "can take messages");
    let lines = hub.lines();
    assert!(
        !lines.iter().any(|line| line.contains("trying again")),
        "{lines:#?}"
    );
}

#[test]
fn a_page_of_somebody_elses_name_is_none_of_the_hubs() {
    let city = City::start();
    let (_home, hub, _booth) = city.with_hub();
    let host = host(&hub);
    let ask = |head: &str| {
        let mut stream = TcpStream::connect(&host).expect("the pages");
        write!(stream, "{head}Connection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    let port = host.rsplit(':').next().expect("a port");
    for path in ["/", "/operations", "/look-at", "/clips/x", "/nothing"] {
        for stranger in [
            format!("Host: evil.example:{port}\r\n"),
            "Host: 192.0.2.1\r\n".to_owned(),
            format!("Host: {host}\r\nHost: evil.example\r\n"),
            String::new(),
        ] {
            let answer = ask(&format!("GET {path} HTTP/1.1\r\n{stranger}"));
            let is_refused =
                answer.starts_with("HTTP/1.1 421") || answer.starts_with("HTTP/1.1 400");
            assert!(is_refused, "{path} {stranger}: {answer}");
            assert!(!answer.contains("can take messages"));
        }
    }
    let answer = ask(&format!(
        "GET http://evil.example/operations HTTP/1.1\r\nHost: {host}\r\n"
    ));
    assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");
    assert!(
        answer.contains("[http] names"),
        "it says what to do: {answer}"
    );
    let answer = ask(&format!(
        "GET /operations HTTP/1.1\r\nHost: localhost:{port}\r\n"
    ));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
