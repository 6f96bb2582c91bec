//! What machines see of a running hub on a real broker.
#![allow(clippy::disallowed_methods)]

use std::io::{Read, Write};
use std::net::TcpStream;

use booth_testkit::hub::{Booth, Broker, Clip, Home, Hub};
use booth_testkit::wait::until;

const TOKEN: &str = "a-token-of-a-test-0123456789";

fn get(address: &str, path: &str, token: &str) -> (u16, String) {
    let host = address.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(host).expect("the pages");
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (status.expect("a status"), body.to_owned())
}

/// Gives the hub of this home a token for its figures; where it lies.
pub(crate) fn with_token(home: &Home) -> std::path::PathBuf {
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    let text = text.replace("[http]\n", "[http]\nmetrics_token_file = \"token\"\n");
    std::fs::write(home.config(), text).expect("written");
    let file = home.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).expect("written");
    file
}

#[test]
fn a_running_hub_is_ready_and_tells_its_booth_and_says_503_when_its_broker_is_gone() {
    let mut broker = Broker::open();
    let home = Home::new(broker.port, "[city]\nlisten = \"127.0.0.1:0\"\n");
    with_token(&home);
    let hub = Hub::start(&home);
    let address = hub.address();
    until("the hub is ready", || {
        (get(&address, "/readyz", "").0 == 200).then_some(())
    });
    assert_eq!(get(&address, "/healthz", ""), (200, "ok\n".into()));

    let booth = Booth::connect(broker.port, "rundhoej-1");
    booth.hub_becomes("online");
    booth.deliver(&Clip::new("rundhoej-1", 1));
    let up = "booth_hub_broker_connected 1";
    let none = [
        "booth_hub_acks_total{status=\"stored\"} 0",
        "booth_hub_messages_total{kind=\"clip\"} 0",
        "booth_hub_clips{state=\"counted\"} 0",
    ];
    until("the figures tell the clip", || {
        let (status, text) = get(&address, "/metrics", TOKEN);
        let is_told =
            status == 200 && text.contains(up) && !none.iter().any(|one| text.contains(one));
        is_told.then_some(())
    });
    assert_eq!(get(&address, "/metrics", "another-token-of-a-test").0, 401);
    assert_eq!(get(&hub.citizens(), "/metrics", TOKEN).0, 404);

    broker.stop();
    until("the hub says that its broker is gone", || {
        let (status, why) = get(&address, "/readyz", "");
        let (_, text) = get(&address, "/metrics", TOKEN);
        let is_told = status == 503
            && why.contains("not connected to its broker")
            && text.contains("booth_hub_broker_connected 0");
        is_told.then_some(())
    });
    broker.start_again();
    until("the hub is ready again", || {
        (get(&address, "/readyz", "").0 == 200).then_some(())
    });
}
