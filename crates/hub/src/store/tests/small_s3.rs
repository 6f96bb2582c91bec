//! A bucket on a loopback port, as small as the hub's questions, which does what a test wants: answers, fails, hangs, cuts, refuses.
//!
//! Never does: look at a signature, or speak for a real server; `away` runs the same store over one.
#![allow(clippy::disallowed_methods)] // a server of its own, on loopback

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// What it does with every request, or with those that put something there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    /// Answers 500.
    Fails,
    /// Answers nothing, until the mood is another one.
    Hangs,
    /// Ends the connection in the middle of an answer.
    Cuts,
    /// Answers 403.
    Refuses,
    /// Answers 404: there is no such bucket.
    IsGone,
    /// Keeps half of what is put there, and says that all is well.
    KeepsHalf,
    /// Keeps old versions.
    KeepsVersions,
    /// Takes nothing whose name has this in it.
    TakesNot(&'static str),
    /// Deletes nothing whose name has this in it.
    DeletesNot(&'static str),
    /// Answers conditional requests with 501.
    KnowsNoConditions,
}

#[derive(Debug)]
struct Inside {
    mood: Mood,
    objects: BTreeMap<String, Vec<u8>>,
    puts: u32,
}

/// See the module's comment.
#[derive(Debug, Clone)]
pub(super) struct SmallS3 {
    inside: Arc<(Mutex<Inside>, Condvar)>,
    port: u16,
}

struct Request {
    method: String,
    path: String,
    query: String,
    is_conditional: bool,
    body: Vec<u8>,
}

impl SmallS3 {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let inside = Inside {
            mood: Mood::Well,
            objects: BTreeMap::new(),
            puts: 0,
        };
        let this = Self {
            inside: Arc::new((Mutex::new(inside), Condvar::new())),
            port,
        };
        let server = this.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let server = server.clone();
                std::thread::spawn(move || server.serve(connection));
            }
        });
        this
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn inside<T>(&self, look: impl FnOnce(&mut Inside) -> T) -> T {
        let mut inside = self.inside.0.lock().unwrap_or_else(PoisonError::into_inner);
        look(&mut inside)
    }

    pub(super) fn is(&self, mood: Mood) {
        self.inside(|inside| inside.mood = mood);
        self.inside.1.notify_all();
    }

    /// The objects' names and contents; without those of the start.
    pub(super) fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        let mut objects = self.inside(|inside| inside.objects.clone());
        objects.retain(|name, _| !name.ends_with("/.hub"));
        objects
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) {
        self.inside(|inside| change(&mut inside.objects));
    }

    /// How many requests have put something there, whatever came of them.
    pub(super) fn puts(&self) -> u32 {
        self.inside(|inside| inside.puts)
    }

    fn serve(&self, connection: TcpStream) {
        let mut reader = BufReader::new(connection.try_clone().expect("the same connection"));
        while let Some(request) = read(&mut reader) {
            if request.method == "PUT" {
                self.inside(|inside| inside.puts += 1);
            }
            let mut inside = self.inside.0.lock().unwrap_or_else(PoisonError::into_inner);
            while inside.mood == Mood::Hangs {
                inside = self
                    .inside
                    .1
                    .wait(inside)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            let mut answer = inside.answer(&request);
            if inside.mood == Mood::Cuts {
                answer.truncate(20);
            }
            drop(inside);
            if (&connection).write_all(&answer).is_err() || answer.len() == 20 {
                return;
            }
        }
    }
}

impl Inside {
    fn answer(&mut self, request: &Request) -> Vec<u8> {
        match self.mood {
            Mood::Fails => return said("500 Internal Server Error", "", b"out of order"),
            Mood::Refuses => {
                let why = b"<Error><Code>AccessDenied</Code></Error>";
                return said("403 Forbidden", "", why);
            }
            Mood::IsGone => {
                let why = b"<Error><Code>NoSuchBucket</Code></Error>";
                return said("404 Not Found", "", why);
            }
            Mood::TakesNot(one) if request.method == "PUT" && request.path.contains(one) => {
                return said("413 Content Too Large", "", b"");
            }
            Mood::DeletesNot(one) if request.method == "DELETE" && request.path.contains(one) => {
                let why = b"<Error><Code>AccessDenied</Code></Error>";
                return said("403 Forbidden", "", why);
            }
            Mood::KnowsNoConditions if request.is_conditional => {
                return said("501 Not Implemented", "", b"");
            }
            _ => {}
        }
        let name = request.path.trim_start_matches("/bucket").trim_matches('/');
        let found = self.objects.get(name);
        match (request.method.as_str(), name) {
            ("GET", "") => said("200 OK", "", self.list(&request.query).as_bytes()),
            ("GET" | "HEAD", _) => match found {
                Some(content) if request.method == "HEAD" => headed(content, b""),
                Some(content) => headed(content, content),
                None => said("404 Not Found", "", b""),
            },
            ("PUT", _) if request.is_conditional && found.is_some() => {
                said("412 Precondition Failed", "", b"")
            }
            ("PUT", _) => {
                let all = request.body.len();
                let kept = match self.mood {
                    Mood::KeepsHalf => all / 2,
                    _ => all,
                };
                let version = match self.mood {
                    Mood::KeepsVersions => "x-amz-version-id: 7\r\n",
                    _ => "",
                };
                self.objects
                    .insert(name.to_owned(), request.body[..kept].to_vec());
                said("200 OK", &format!("{version}ETag: \"{all}\"\r\n"), b"")
            }
            ("DELETE", _) => {
                self.objects.remove(name);
                said("204 No Content", "", b"")
            }
            (other, _) => panic!("nobody asks {other}"),
        }
    }

    fn list(&self, query: &str) -> String {
        let prefix = query
            .split('&')
            .find_map(|part| part.strip_prefix("prefix="))
            .unwrap_or_default()
            .replace("%2F", "/");
        let all = self.objects.iter();
        let contents: String = all
            .filter(|(name, _)| name.starts_with(&prefix))
            .map(|(name, content)| {
                format!(
                    "<Contents><Key>{name}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>{}</Size></Contents>",
                    content.len()
                )
            })
            .collect();
        format!("<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>")
    }
}

/// An object's answer: its length is that of the object, also where the content does not follow.
fn headed(object: &[u8], content: &[u8]) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nETag: \"{0}\"\r\nContent-Length: {0}\r\n\r\n",
        object.len()
    )
    .into_bytes();
    answer.extend_from_slice(content);
    answer
}

fn said(status: &str, headers: &str, content: &[u8]) -> Vec<u8> {
    let length = match status.starts_with("204") {
        true => String::new(),
        false => format!("Content-Length: {}\r\n", content.len()),
    };
    let mut answer = format!("HTTP/1.1 {status}\r\n{headers}{length}\r\n").into_bytes();
    answer.extend_from_slice(content);
    answer
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (mut length, mut is_conditional) = (0, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(bytes) = line.strip_prefix("content-length:") {
            length = bytes.trim().parse().ok()?;
        }
        is_conditional |= line.starts_with("if-none-match:");
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        is_conditional,
        body,
    })
}
