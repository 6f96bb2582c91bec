//! What the booth's screen shows, for a citizen who reads it (docs/screen.md).
//!
//! Owns: the latest view. Never does: keep an earlier one.
#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

/// A screen that somebody looks at.
pub struct Screen {
    view: Arc<Mutex<Value>>,
}

impl Screen {
    /// Looks at the screen that a booth shows on this port of loopback, until the booth ends.
    pub fn watch(port: u16) -> std::io::Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        write!(
            stream,
            "GET /events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
        )?;
        let view = Arc::new(Mutex::new(Value::Null));
        let shown = Arc::clone(&view);
        std::thread::Builder::new()
            .name("screen".into())
            .spawn(move || {
                let mut is_view = false;
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if let Some(kind) = line.strip_prefix("event: ") {
                        is_view = kind == "view";
                    } else if let Some(data) = line.strip_prefix("data: ")
                        && is_view
                    {
                        *shown.lock().unwrap_or_else(PoisonError::into_inner) =
                            serde_json::from_str(data).unwrap_or_default();
                    }
                }
            })?;
        Ok(Self { view })
    }

    fn of(&self, name: &str) -> Value {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)[name].clone()
    }

    /// The text in large type.
    pub fn headline(&self) -> String {
        self.of("headline").as_str().unwrap_or_default().to_owned()
    }

    /// Whether this key is offered.
    pub fn offers(&self, key: &str) -> bool {
        ["options", "hints"]
            .iter()
            .filter_map(|rows| self.of(rows).as_array().cloned())
            .flatten()
            .any(|row| row["key"] == key)
    }

    /// What is marked as chosen.
    pub fn chosen(&self) -> Option<String> {
        let rows = self.of("options").as_array().cloned()?;
        let chosen = rows.into_iter().find(|row| row["chosen"] == true)?;
        Some(chosen["text"].as_str()?.to_owned())
    }

    /// The receipt, in its groups, while it is shown.
    pub fn receipt(&self) -> Option<String> {
        let receipt = self.of("receipt").as_str()?.to_owned();
        (!receipt.is_empty()).then_some(receipt)
    }
}
