//! What a request to the screen's page asks for. Pure.
//!
//! Owns: which requests are answered with what, and what every answer says to the browser. Never does: read or write.
//!
//! `httparse` takes the head apart. A body is never read: nothing is sent to the booth here.

use std::net::SocketAddr;

/// Most header lines of a request; Chromium sends some 15.
const MOST_HEADERS: usize = 48;

/// A file of the page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asset {
    /// Its media type.
    pub(super) kind: &'static str,
    /// Its bytes.
    pub(super) bytes: &'static [u8],
}

const INDEX: Asset = Asset {
    kind: "text/html; charset=utf-8",
    bytes: include_bytes!("page/index.html"),
};
const STYLE: Asset = Asset {
    kind: "text/css; charset=utf-8",
    bytes: include_bytes!("page/screen.css"),
};
const SCRIPT: Asset = Asset {
    kind: "text/javascript; charset=utf-8",
    bytes: include_bytes!("page/screen.js"),
};

/// What a request gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A file; its head alone, where only that was asked for.
    File {
        /// Which.
        asset: &'static Asset,
        /// Without its bytes.
        is_head_only: bool,
    },
    /// What is to be seen, as it changes (server-sent events).
    Events,
    /// Nothing, and why: a status line and a sentence.
    Refused(&'static str, &'static str),
}

pub(super) const BAD: Answer =
    Answer::Refused("400 Bad Request", "This is no request for the screen.");

/// As many look as may.
pub(super) const FULL: Answer = Answer::Refused("503 Service Unavailable", "Others look already.");

/// The answer to this head of a request, at a page that listens on `own`; `None` while the head is not whole yet.
pub(super) fn answer(head: &[u8], own: SocketAddr) -> Option<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return None,
        Err(_) => return Some(BAD),
    }
    let all = |name: &'static str| {
        let headers = request.headers.iter();
        headers.filter(move |header| header.name.eq_ignore_ascii_case(name))
    };
    let mut hosts = all("host");
    let is_own = match (hosts.next(), hosts.next()) {
        (Some(host), None) => is_own_host(host.value, own),
        _ => false,
    };
    // A page of somebody else's may make its own name lead here, but it cannot choose the host that the browser names.
    if !is_own {
        let why = "This page answers to this machine alone.";
        return Some(Answer::Refused("421 Misdirected Request", why));
    }
    let is_foreign = |origin: &httparse::Header<'_>| {
        let host = origin.value.strip_prefix(b"http://");
        !host.is_some_and(|host| is_own_host(host, own))
    };
    if all("origin").any(is_foreign) {
        let why = "This page answers no other page.";
        return Some(Answer::Refused("403 Forbidden", why));
    }
    let is_head_only = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => {
            let why = "This page can only be read.";
            return Some(Answer::Refused("405 Method Not Allowed", why));
        }
    };
    let file = |asset| Answer::File {
        asset,
        is_head_only,
    };
    Some(match request.path {
        Some("/") => file(&INDEX),
        Some("/screen.css") => file(&STYLE),
        Some("/screen.js") => file(&SCRIPT),
        Some("/events") if !is_head_only => Answer::Events,
        _ => Answer::Refused("404 Not Found", "There is no such page."),
    })
}

/// Whether a host that a browser names is this page's own: the address that it listens on, or `localhost`, with its port.
fn is_own_host(host: &[u8], own: SocketAddr) -> bool {
    let by_name = format!("localhost:{}", own.port());
    let is = |name: &str| host.eq_ignore_ascii_case(name.as_bytes());
    // A browser leaves the port out where it is HTTP's own.
    let is_plain = || own.port() == 80 && (is(&by_name[..9]) || is(&own.ip().to_string()));
    is(&own.to_string()) || is(&by_name) || is_plain()
}

/// What every answer says besides: nothing is kept, nothing comes from anywhere else, no other page frames or reads it.
const ALWAYS: &str = "Cache-Control: no-store\r\n\
    Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
    X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n";

impl Answer {
    /// The answer's head, with its last empty line.
    pub(super) fn head(&self) -> String {
        match self {
            Answer::File { asset, .. } => format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n{ALWAYS}\r\n",
                asset.kind,
                asset.bytes.len()
            ),
            Answer::Events => format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n{ALWAYS}\r\n"
            ),
            Answer::Refused(status, why) => {
                let allow = match *status {
                    "405 Method Not Allowed" => "Allow: GET, HEAD\r\n",
                    _ => "",
                };
                format!(
                    "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n{allow}{ALWAYS}\r\n",
                    why.len()
                )
            }
        }
    }

    /// What follows the head at once.
    pub(super) fn body(&self) -> &'static [u8] {
        match self {
            Answer::File {
                asset,
                is_head_only: false,
            } => asset.bytes,
            Answer::Refused(_, why) => why.as_bytes(),
            Answer::File { .. } | Answer::Events => b"",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> SocketAddr {
        "127.0.0.1:8088".parse().expect("an address")
    }

    fn status(head: &str) -> String {
        let answer = answer(head.as_bytes(), own()).expect("a whole head");
        let head = answer.head();
        let (_, status) = head
            .lines()
            .next()
            .expect("a line")
            .split_once(' ')
            .expect("a status");
        status.to_owned()
    }

    fn get(target: &str, lines: &str) -> String {
        status(&format!("GET {target} HTTP/1.1\r\n{lines}\r\n"))
    }

    #[test]
    fn the_page_answers_to_its_own_address_alone() {
        for host in ["127.0.0.1:8088", "localhost:8088", "LOCALHOST:8088"] {
            assert_eq!(get("/", &format!("Host: {host}\r\n")), "200 OK", "{host}");
        }
        for hosts in [
            "",
            "Host: 127.0.0.1\r\n",
            "Host: localhost\r\n",
            "Host: 127.0.0.1:80\r\n",
            "Host: evil.example\r\n",
            "Host: evil.example:8088\r\n",
            "Host: localhost.evil.example:8088\r\n",
            "Host: 127.0.0.2:8088\r\n",
            "Host: 127.0.0.1:8088\r\nHost: 127.0.0.1:8088\r\n",
        ] {
            assert_eq!(
                get("/events", hosts),
                "421 Misdirected Request",
                "{hosts:?}"
            );
        }
        let at_http = "127.0.0.1:80".parse().expect("an address");
        assert!(is_own_host(b"127.0.0.1", at_http) && is_own_host(b"localhost", at_http));
        let at_six = "[::1]:8088".parse().expect("an address");
        assert!(is_own_host(b"[::1]:8088", at_six) && !is_own_host(b"[::1]", at_six));
    }

    #[test]
    fn another_page_is_answered_nothing() {
        let own = "Host: localhost:8088\r\nOrigin: http://localhost:8088\r\n";
        assert_eq!(get("/events", own), "200 OK");
        for origin in ["http://evil.example", "https://localhost:8088", "null", ""] {
            let lines = format!("Host: localhost:8088\r\nOrigin: {origin}\r\n");
            assert_eq!(get("/events", &lines), "403 Forbidden", "{origin}");
        }
    }

    #[test]
    fn only_what_the_page_is_made_of_can_be_read_and_nothing_is_taken() {
        let host = "Host: localhost:8088\r\n";
        for target in ["/", "/screen.css", "/screen.js", "/events"] {
            assert_eq!(get(target, host), "200 OK", "{target}");
        }
        for target in [
            "/favicon.ico",
            "//",
            "/../etc/passwd",
            "/?x",
            "/events/",
            "*",
        ] {
            assert_eq!(get(target, host), "404 Not Found", "{target}");
        }
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "X"] {
            let head = format!("{method} / HTTP/1.1\r\n{host}\r\n");
            assert_eq!(status(&head), "405 Method Not Allowed", "{method}");
        }
        let head =
            answer(b"HEAD / HTTP/1.1\r\nHost: localhost:8088\r\n\r\n", own()).expect("whole");
        assert!(head.head().starts_with("HTTP/1.1 200") && head.body().is_empty());
    }

    #[test]
    fn half_a_head_waits_and_nonsense_is_refused() {
        let whole = "GET / HTTP/1.1\r\nHost: localhost:8088\r\n\r\n";
        for end in 0..whole.len() {
            assert_eq!(answer(&whole.as_bytes()[..end], own()), None, "{end}");
        }
        for nonsense in [
            "\u{0}\u{1}\r\n\r\n",
            "GET / HTTP/9\r\n\r\n",
            "GET / HTTP/1.1\r\n: x\r\n\r\n",
        ] {
            assert_eq!(status(nonsense), "400 Bad Request", "{nonsense:?}");
        }
        let many = "A: b\r\n".repeat(MOST_HEADERS + 1);
        assert_eq!(get("/", &many), "400 Bad Request");
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_answered_or_waited_for(bytes: Vec<u8>, line in "[ -~]{0,40}", host in "[ -~]{0,30}") {
            let text = format!("{line}\r\nHost: {host}\r\n\r\n");
            for head in [bytes.as_slice(), text.as_bytes()] {
                if let Some(answer) = answer(head, own()) {
                    let is_open = matches!(answer, Answer::File { .. } | Answer::Events);
                    let is_own = ["127.0.0.1:8088", "localhost:8088"].iter().any(|own| host.trim().eq_ignore_ascii_case(own));
                    assert!(!is_open || is_own, "{text:?}");
                    assert!(answer.head().ends_with("\r\n\r\n"));
                }
            }
        }
    }

    #[test]
    fn every_answer_forbids_keeping_it_and_every_foreign_source() {
        for target in ["/", "/screen.css", "/screen.js", "/events", "/none"] {
            let head = format!("GET {target} HTTP/1.1\r\nHost: localhost:8088\r\n\r\n");
            let head = answer(head.as_bytes(), own()).expect("whole").head();
            assert!(head.contains("\r\nCache-Control: no-store\r\n"), "{head}");
            assert!(
                head.contains("default-src 'none'; script-src 'self'"),
                "{head}"
            );
            assert!(
                head.ends_with("\r\n\r\n") && !head.contains("unsafe-"),
                "{head}"
            );
        }
        for asset in [&INDEX, &STYLE, &SCRIPT] {
            let text = std::str::from_utf8(asset.bytes).expect("text");
            for foreign in [
                "http:",
                "https:",
                "//",
                "url(",
                "@import",
                "@font-face",
                "style=",
                "localStorage",
                "console.",
            ] {
                let is_comment = |line: &&str| line.trim_start().starts_with("//");
                let code = text.lines().filter(|line| !is_comment(line));
                assert_eq!(
                    code.clone().find(|line| line.contains(foreign)),
                    None,
                    "{foreign}"
                );
            }
        }
    }
}
