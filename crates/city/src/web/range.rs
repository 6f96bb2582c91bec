//! Which bytes of a file a request asks for (RFC 9110 §14).
//!
//! Owns: the reading of `Range`. Pure. Never does: decide whether the header counts (`validators` does), or read the file.

use axum::http::{HeaderMap, header};

/// Most parts of one answer. A request for more parts, or for the same bytes twice, gets the whole file, as §14.2 lets a server
/// choose: no player asks that way, and the parts' headers would outweigh the sound.
const MAX_PARTS: usize = 8;

/// Bytes of a file, both ends inclusive, the last within the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub first: u64,
    /// Last byte.
    pub last: u64,
}

impl Span {
    /// How many bytes it has.
    pub fn bytes(self) -> u64 {
        self.last - self.first + 1
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// The whole file: the request has no `Range` that counts.
    Whole,
    /// One range.
    One(Span),
    /// Several, in the order of the request, none overlapping.
    Several(Vec<Span>),
    /// Only bytes that the file does not have: 416.
    Nothing,
}

/// What the fields of a request ask for of a file of `len` bytes. `Range` is no list header: several lines of it are not joined.
pub fn asked_by(headers: &HeaderMap, len: u64) -> Asked {
    let mut lines = headers.get_all(header::RANGE).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => asked(line.to_str().unwrap_or_default(), len),
        _ => Asked::Whole,
    }
}

/// Reads the value of `Range` for a file of `len` bytes. A unit that is not `bytes`, or what is no range, is ignored (§14.2).
pub fn asked(value: &str, len: u64) -> Asked {
    let Some((unit, set)) = value.split_once('=') else {
        return Asked::Whole;
    };
    // Names of units are case-insensitive (§14.1).
    if !unit.eq_ignore_ascii_case("bytes") {
        return Asked::Whole;
    }
    let (mut specs, mut spans) = (0, Vec::new());
    // A list may have empty elements (§5.6.1).
    for spec in set.split(',').map(|spec| spec.trim_matches([' ', '\t'])) {
        if spec.is_empty() {
            continue;
        }
        specs += 1;
        match within(spec, len) {
            None => return Asked::Whole,
            Some(span) => spans.extend(span),
        }
    }
    match spans.as_slice() {
        _ if specs == 0 || len == 0 => Asked::Whole,
        [] => Asked::Nothing,
        [span] => Asked::One(*span),
        _ if spans.len() > MAX_PARTS || do_overlap(&spans) => Asked::Whole,
        _ => Asked::Several(spans),
    }
}

/// One element of the list: `None` if it is none, `Some(None)` if the file has no byte of it.
fn within(spec: &str, len: u64) -> Option<Option<Span>> {
    let (first, last) = spec.split_once('-')?;
    if first.is_empty() {
        let suffix = number(last)?;
        // The last bytes; the whole file if it has fewer.
        let first = len.saturating_sub(suffix);
        return Some((suffix > 0 && len > 0).then(|| Span {
            first,
            last: len - 1,
        }));
    }
    let first = number(first)?;
    let last = match last {
        "" => u64::MAX,
        last => number(last)?,
    };
    if last < first {
        return None;
    }
    Some((first < len).then(|| Span {
        first,
        last: last.min(len - 1),
    }))
}

/// A number of any length; a number beyond every file's end is read as the largest possible one.
fn number(text: &str) -> Option<u64> {
    let are_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    are_digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn do_overlap(spans: &[Span]) -> bool {
    let mut sorted = spans.to_vec();
    sorted.sort_by_key(|span| span.first);
    sorted.windows(2).any(|pair| pair[1].first <= pair[0].last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(first: u64, last: u64) -> Asked {
        Asked::One(Span { first, last })
    }

    #[test]
    fn every_lawful_range_is_read_and_what_is_none_is_ignored() {
        let several = |spans: &[(u64, u64)]| {
            Asked::Several(
                spans
                    .iter()
                    .map(|&(first, last)| Span { first, last })
                    .collect(),
            )
        };
        let many = format!("bytes={}", vec!["1-1"; 2_000].join(","));
        let digits = "9".repeat(400);
        let table = [
            // One range within a file of 1000 bytes.
            ("bytes=0-0", one(0, 0)),
            ("bytes=0-", one(0, 999)),
            ("bytes=10-19", one(10, 19)),
            ("bytes=999-", one(999, 999)),
            ("bytes=999-999", one(999, 999)),
            ("bytes=990-5000", one(990, 999)),
            ("bytes=0-18446744073709551615", one(0, 999)),
            (&*format!("bytes=0-{digits}"), one(0, 999)),
            ("Bytes=0-1", one(0, 1)),
            ("BYTES=0-1", one(0, 1)),
            ("bytes= 0-1", one(0, 1)),
            ("bytes=\t0-1 ", one(0, 1)),
            ("bytes=,,0-1,", one(0, 1)),
            ("bytes=00000-00001", one(0, 1)),
            // Suffix ranges, also one that is longer than the file.
            ("bytes=-1", one(999, 999)),
            ("bytes=-1000", one(0, 999)),
            ("bytes=-1001", one(0, 999)),
            ("bytes=-18446744073709551616", one(0, 999)),
            (&*format!("bytes=-{digits}"), one(0, 999)),
            // Ranges of which the file has no byte.
            ("bytes=1000-", Asked::Nothing),
            ("bytes=1000-2000", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            (&*format!("bytes={digits}-"), Asked::Nothing),
            ("bytes=1000-,2000-3000,-0", Asked::Nothing),
            // Several ranges; those of which the file has no byte are left out.
            ("bytes=0-1,10-11", several(&[(0, 1), (10, 11)])),
            ("bytes=10-11, 0-1", several(&[(10, 11), (0, 1)])),
            ("bytes=0-0,-1", several(&[(0, 0), (999, 999)])),
            ("bytes=0-0,5000-6000", one(0, 0)),
            ("bytes=0-0,5000-,7-8", several(&[(0, 0), (7, 8)])),
            ("bytes=0-4,5-9", several(&[(0, 4), (5, 9)])),
            // The same bytes twice, and many small ranges.
            ("bytes=0-9,5-14", Asked::Whole),
            ("bytes=0-,0-", Asked::Whole),
            ("bytes=-5,990-", Asked::Whole),
            (
                "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16",
                Asked::Whole,
            ),
            (&many, Asked::Whole),
            // Another unit, and values that are no range.
            ("", Asked::Whole),
            ("bytes", Asked::Whole),
            ("bytes=", Asked::Whole),
            ("bytes=,", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=--5", Asked::Whole),
            ("bytes=5", Asked::Whole),
            ("bytes=9-5", Asked::Whole),
            ("bytes=0-1,9-5", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("bytes=0-1;2-3", Asked::Whole),
            ("bytes=0 - 1", Asked::Whole),
            ("bytes=+0-1", Asked::Whole),
            ("bytes=0-1.5", Asked::Whole),
            ("bytes=0x1-2", Asked::Whole),
            ("bytes =0-1", Asked::Whole),
            ("bytes:0-1", Asked::Whole),
            ("seconds=0-1", Asked::Whole),
            ("items=0-4", Asked::Whole),
            ("=0-1", Asked::Whole),
        ];
        for (value, expected) in table {
            let short: String = value.chars().take(80).collect();
            assert_eq!(asked(value, 1000), expected, "{short}");
        }
    }

    #[test]
    fn an_empty_file_has_no_range() {
        for value in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
            assert_eq!(asked(value, 0), Asked::Whole, "{value}");
        }
    }
}
