//! Whether a file is the one that a request means (RFC 9110 §8.8 and §13).
//!
//! Owns: a file's entity tag and date, and what the conditions of a request come to, in the order of §13.2.2. Pure. Never does:
//! read a range or the file.

use axum::http::{HeaderMap, HeaderName, header};
use jiff::Timestamp;
use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};
use jiff::fmt::strtime;

/// The file's entity tag and date. The file never changes, so that both are strong validators (§8.8.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validators {
    /// The entity tag, without its quotes.
    tag: String,
    /// The date, to the second.
    modified: Timestamp,
}

/// The outcome of a request's conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send the file, or a range of it if the request asks for one.
    Serve {
        /// `Range` counts.
        with_range: bool,
    },
    /// 304: the client has the file already.
    NotModified,
    /// 412: the request wants a different file.
    Failed,
}

impl Validators {
    /// A file with this content (its SHA-256 in hex, say), unchanged since then.
    pub fn new(sha256: &str, modified: Timestamp) -> Self {
        let seconds = modified.as_second();
        Self {
            tag: format!("\"{sha256}\""),
            modified: Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }

    /// The value of `ETag`.
    pub fn etag(&self) -> &str {
        &self.tag
    }

    /// The value of `Last-Modified`; `None` for a time that HTTP cannot say.
    pub fn last_modified(&self) -> Option<String> {
        DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&self.modified)
            .ok()
    }

    /// Judges the conditions of a GET or HEAD. `Range`, and with it `If-Range`, is for GET alone (§14.2).
    pub fn judge(&self, headers: &HeaderMap, is_get: bool) -> Verdict {
        if headers.contains_key(header::IF_MATCH) {
            if !self.is_named(headers, &header::IF_MATCH, false) {
                return Verdict::Failed;
            }
        } else if let Some(since) = date(headers, &header::IF_UNMODIFIED_SINCE)
            && self.modified > since
        {
            return Verdict::Failed;
        }
        if headers.contains_key(header::IF_NONE_MATCH) {
            if self.is_named(headers, &header::IF_NONE_MATCH, true) {
                return Verdict::NotModified;
            }
        } else if let Some(since) = date(headers, &header::IF_MODIFIED_SINCE)
            && self.modified <= since
        {
            return Verdict::NotModified;
        }
        Verdict::Serve {
            with_range: is_get && self.is_range_meant(headers),
        }
    }

    /// Whether `Range` counts: without `If-Range` it does, with it only where it names this very file (§13.1.5), because the parts
    /// of two different files do not fit together.
    fn is_range_meant(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::IF_RANGE).iter();
        let value = match (values.next(), values.next()) {
            (None, _) => return true,
            (Some(value), None) => value.to_str().unwrap_or_default().trim(),
            (Some(_), Some(_)) => return false,
        };
        // A weak tag never matches.
        value == self.tag || parse_date(value) == Some(self.modified)
    }

    /// Whether a list of tags has this file's, or is `*`.
    fn is_named(&self, headers: &HeaderMap, name: &HeaderName, weak_counts: bool) -> bool {
        headers.get_all(name).iter().any(|value| {
            let mut rest = value.to_str().unwrap_or_default();
            if rest.trim() == "*" {
                return true;
            }
            loop {
                rest = rest.trim_start_matches([' ', '\t', ',']);
                let (is_weak, quoted) = match rest.strip_prefix("W/") {
                    Some(quoted) => (true, quoted),
                    None => (false, rest),
                };
                // A tag may hold commas, and ends at its quote.
                let Some(end) = quoted.strip_prefix('"').and_then(|tag| tag.find('"')) else {
                    return false;
                };
                let (tag, after) = quoted.split_at(end + 2);
                if tag == self.tag && (weak_counts || !is_weak) {
                    return true;
                }
                rest = after;
            }
        })
    }
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<Timestamp> {
    parse_date(headers.get(name)?.to_str().ok()?)
}

/// A date in any of the three forms of HTTP (§5.6.7).
fn parse_date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(at) = DateTimeParser::new().parse_timestamp(text) {
        return Some(at);
    }
    let old = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    old.iter().find_map(|form| {
        let read = strtime::parse(form, text).ok()?;
        let civil = read.to_datetime().ok()?;
        jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "\"abc\"";

    fn file() -> Validators {
        let at = "1994-11-06T08:49:37.123Z".parse().expect("a time");
        Validators::new("abc", at)
    }

    #[test]
    fn the_date_is_said_and_read_in_http_s_own_forms() {
        let said = file().last_modified().expect("a date");
        assert_eq!(said, "Sun, 06 Nov 1994 08:49:37 GMT");
        for form in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse_date(form), Some(file().modified), "{form}");
        }
        for none in ["", "yesterday", "0", "1994-11-06T08:49:37Z"] {
            assert_eq!(parse_date(none), None, "{none}");
        }
    }

    #[test]
    fn conditions_are_judged_in_their_order() {
        const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
        const AFTER: &str = "Sun Nov  6 08:49:38 1994";
        let whole = Verdict::Serve { with_range: false };
        let range = Verdict::Serve { with_range: true };
        type Row<'a> = (&'a [(&'a str, &'a str)], Verdict);
        let table: [Row<'_>; 31] = [
            (&[], range),
            (&[("if-match", TAG)], range),
            (&[("if-match", "*")], range),
            (&[("if-match", "\"x,y\", \"abc\"")], range),
            (&[("if-match", "\"x\""), ("if-match", TAG)], range),
            (&[("if-match", "W/\"abc\"")], Verdict::Failed),
            (&[("if-match", "\"x\"")], Verdict::Failed),
            (&[("if-match", "abc")], Verdict::Failed),
            (&[("if-match", "")], Verdict::Failed),
            (&[("if-unmodified-since", SAME)], range),
            (&[("if-unmodified-since", AFTER)], range),
            (&[("if-unmodified-since", BEFORE)], Verdict::Failed),
            (&[("if-unmodified-since", "whenever")], range),
            (&[("if-match", TAG), ("if-unmodified-since", BEFORE)], range),
            (&[("if-none-match", TAG)], Verdict::NotModified),
            (&[("if-none-match", "W/\"abc\"")], Verdict::NotModified),
            (&[("if-none-match", "*")], Verdict::NotModified),
            (&[("if-none-match", "\"x\"")], range),
            (&[("if-modified-since", SAME)], Verdict::NotModified),
            (&[("if-modified-since", BEFORE)], range),
            (&[("if-modified-since", "whenever")], range),
            (
                &[("if-none-match", "\"x\""), ("if-modified-since", AFTER)],
                range,
            ),
            (
                &[("if-match", "\"x\""), ("if-none-match", TAG)],
                Verdict::Failed,
            ),
            (&[("if-range", TAG)], range),
            (&[("if-range", SAME)], range),
            (&[("if-range", "W/\"abc\"")], whole),
            (&[("if-range", "\"stale\"")], whole),
            (&[("if-range", BEFORE)], whole),
            (&[("if-range", AFTER)], whole),
            (&[("if-range", "rubbish")], whole),
            (&[("if-range", TAG), ("if-range", TAG)], whole),
        ];
        for (fields, expected) in table {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                let name: HeaderName = name.parse().expect("a name");
                headers.append(name, value.parse().expect("a value"));
            }
            assert_eq!(file().judge(&headers, true), expected, "{fields:?}");
            let for_head = match expected {
                Verdict::Serve { .. } => whole,
                other => other,
            };
            assert_eq!(file().judge(&headers, false), for_head, "HEAD {fields:?}");
        }
    }
}
