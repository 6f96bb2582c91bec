//! A real HTTP server on loopback for one file, which can cut its connections.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// How the server behaves.
#[derive(Clone)]
pub struct Manners {
    /// Ends each connection after so many bytes of the body.
    pub cut_after: Option<usize>,
    /// Understands `Range`.
    pub ranges: bool,
    /// Tells the length.
    pub length: bool,
    /// Answers this at first, so many times.
    pub first: Option<(u16, usize)>,
    pub etag: Option<&'static str>,
    /// Answers this page at first with 200, so many times: its `Content-Type`, empty for none, and its text.
    pub page: Option<(&'static str, &'static str, usize)>,
    /// Sends on to this address.
    pub location: Option<String>,
    /// Brings some bytes fifty times a second, and no end.
    pub drips: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            cut_after: None,
            ranges: true,
            length: true,
            first: None,
            etag: Some("\"1\""),
            page: None,
            location: None,
            drips: false,
        }
    }
}

pub struct Server {
    pub url: String,
    manners: Arc<Mutex<Manners>>,
    file: Arc<Mutex<Vec<u8>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Serves until the process ends.
    pub fn start(file: Vec<u8>, manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!(
            "http://{}/x.update",
            listener.local_addr().expect("an address")
        );
        let server = Self {
            url,
            manners: Arc::new(Mutex::new(manners)),
            file: Arc::new(Mutex::new(file)),
            requests: Arc::default(),
        };
        let (manners, file, requests) = (
            server.manners.clone(),
            server.file.clone(),
            server.requests.clone(),
        );
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever is served may go away.
                let _ = answer(
                    &stream,
                    &manners,
                    &file.lock().expect("the file"),
                    &requests,
                );
            }
        });
        server
    }

    /// The Range headers of the requests so far, empty for none.
    pub fn ranges(&self) -> Vec<String> {
        self.requests.lock().expect("requests").clone()
    }

    pub fn behave(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut self.manners.lock().expect("manners"));
    }

    pub fn serve(&self, file: Vec<u8>) {
        *self.file.lock().expect("the file") = file;
    }
}

fn answer(
    stream: &TcpStream,
    manners: &Mutex<Manners>,
    file: &[u8],
    requests: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut out = stream;
    let (mut range, mut condition) = (String::new(), String::new());
    for line in BufReader::new(stream).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ").unwrap_or((&line, ""));
        match name.to_ascii_lowercase().as_str() {
            "range" => range = value.to_owned(),
            "if-range" => condition = value.to_owned(),
            _ => {}
        }
    }
    requests.lock().expect("requests").push(range.clone());
    let manners = {
        let mut manners = manners.lock().expect("manners");
        let now = manners.clone();
        manners.first = match manners.first {
            Some((status, times)) if times > 1 => Some((status, times - 1)),
            _ => None,
        };
        manners.page = match manners.page {
            Some((kind, text, times)) if times > 1 => Some((kind, text, times - 1)),
            _ => None,
        };
        now
    };
    if let Some((kind, text, _)) = manners.page {
        let length = text.len();
        write!(
            out,
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n"
        )?;
        if !kind.is_empty() {
            write!(out, "Content-Type: {kind}\r\n")?;
        }
        return write!(out, "\r\n{text}");
    }
    if let Some((status, _)) = manners.first {
        write!(
            out,
            "HTTP/1.1 {status} Not Now\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )?;
        return Ok(());
    }
    if let Some(location) = &manners.location {
        return write!(
            out,
            "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    let is_current = condition.is_empty() || manners.etag == Some(condition.as_str());
    let from = match range
        .strip_prefix("bytes=")
        .and_then(|range| range.strip_suffix('-'))
    {
        Some(from) if manners.ranges && is_current => from.parse().expect("a number"),
        _ => 0,
    };
    let part: &[u8] = &file[from..];
    let status = if from > 0 {
        "206 Partial Content"
    } else {
        "200 OK"
    };
    write!(out, "HTTP/1.1 {status}\r\nConnection: close\r\n")?;
    if from > 0 {
        write!(
            out,
            "Content-Range: bytes {from}-{}/{}\r\n",
            file.len() - 1,
            file.len()
        )?;
    }
    if manners.length {
        write!(out, "Content-Length: {}\r\n", part.len())?;
    }
    if let Some(etag) = manners.etag {
        write!(out, "ETag: {etag}\r\n")?;
    }
    write!(out, "\r\n")?;
    if manners.drips {
        // Until nobody listens any more.
        for some in part.chunks(64) {
            out.write_all(some)?;
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        return Ok(());
    }
    let end = manners
        .cut_after
        .map_or(part.len(), |most| most.min(part.len()));
    out.write_all(&part[..end])
}
