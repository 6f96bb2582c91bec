//! A statement's text as PostgreSQL reads it.
//!
//! Owns: what SQLite writes in its own way and PostgreSQL in another, where the one follows from the other by the text alone:
//!
//! | SQLite | PostgreSQL |
//! | --- | --- |
//! | `?1`, and a bare `?` for the next number | `$1` |
//! | `a IS b`, `a IS NOT b` | `a IS NOT DISTINCT FROM b`, `a IS DISTINCT FROM b` |
//! | `LIMIT -1` | `LIMIT ALL` |
//! | `INSERT OR IGNORE INTO t …` | `INSERT INTO t … ON CONFLICT DO NOTHING` |
//!
//! Never does: look into quotes and remarks, or change anything else.

/// What follows `IS` in both.
const OF_BOTH: [&str; 5] = ["NULL", "TRUE", "FALSE", "DISTINCT", "UNKNOWN"];
/// The end of a statement that leaves what is there.
const LEAVE: &str = " ON CONFLICT DO NOTHING";

/// The same statement for PostgreSQL.
pub(crate) fn for_postgres(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 16);
    let mut highest = 0_u32;
    let mut leaves_what_is_there = false;
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let bytes = rest.as_bytes();
        let taken = match bytes {
            [quote @ (b'\'' | b'"'), ..] => after(rest, 1, char::from(*quote)),
            [b'-', b'-', ..] => after(rest, 2, '\n'),
            [b'?', digits @ ..] => {
                let length = count(digits, u8::is_ascii_digit);
                let number = rest[1..=length].parse().unwrap_or(highest + 1);
                highest = highest.max(number);
                out.push_str(&format!("${number}"));
                rest = &rest[1 + length..];
                continue;
            }
            [letter, ..] if letter.is_ascii_alphabetic() || *letter == b'_' => {
                let length = count(bytes, |byte| byte.is_ascii_alphanumeric() || *byte == b'_');
                let (word, follows) = rest.split_at(length);
                if let Some((written, length)) = word_for_postgres(word, follows) {
                    leaves_what_is_there |= word == "OR";
                    out.push_str(written);
                    rest = &follows[length..];
                    continue;
                }
                length
            }
            _ => first.len_utf8(),
        };
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    if leaves_what_is_there {
        out.truncate(out.trim_end().len());
        out.push_str(LEAVE);
    }
    out
}

/// What is written for a word, and how much of what follows it goes with it.
fn word_for_postgres(word: &str, follows: &str) -> Option<(&'static str, usize)> {
    let next = |text: &str| {
        let spaces = count(text.as_bytes(), u8::is_ascii_whitespace);
        let letters = count(&text.as_bytes()[spaces..], u8::is_ascii_alphabetic);
        (spaces, spaces + letters)
    };
    let (spaces, end) = next(follows);
    let second = &follows[spaces..end];
    match word {
        "IS" if second == "NOT" => {
            let after_not = &follows[end..];
            let (spaces, end_of_third) = next(after_not);
            let is_of_both = OF_BOTH.contains(&&after_not[spaces..end_of_third]);
            (!is_of_both).then_some(("IS DISTINCT FROM", end))
        }
        "IS" if OF_BOTH.contains(&second) => None,
        "IS" => Some(("IS NOT DISTINCT FROM", 0)),
        "LIMIT" if follows.trim_start().starts_with("-1") => {
            let at = follows.find("-1")?;
            Some(("LIMIT ALL", at + 2))
        }
        "OR" if second == "IGNORE" => Some(("", end)),
        _ => None,
    }
}

fn count(bytes: &[u8], is_part: impl Fn(&u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| is_part(byte)).count()
}

/// How long the piece is that begins here and ends with the next of these. A doubled quote ends one piece and begins the next.
fn after(text: &str, from: usize, end: char) -> usize {
    text[from..]
        .find(end)
        .map_or(text.len(), |at| from + at + end.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_have_the_numbers_that_sqlite_gives_them() {
        for (given, wanted) in [
            ("SELECT ?2, ?1", "SELECT $2, $1"),
            ("SELECT ?, ?", "SELECT $1, $2"),
            ("SELECT ?3, ?, ?12", "SELECT $3, $4, $12"),
            (
                "SELECT '?1', 'it''s ?', \"a?b\", ?1",
                "SELECT '?1', 'it''s ?', \"a?b\", $1",
            ),
            ("SELECT 1 -- why?\n, ?1 - ?2", "SELECT 1 -- why?\n, $1 - $2"),
            ("SELECT 'æ?' || ?1", "SELECT 'æ?' || $1"),
            ("SELECT 'open ?1", "SELECT 'open ?1"),
        ] {
            assert_eq!(for_postgres(given), wanted);
        }
    }

    #[test]
    fn what_only_sqlite_writes_so_is_written_as_postgresql_does() {
        for (given, wanted) in [
            (
                "a IS ?1 AND b IS NOT NULL",
                "a IS NOT DISTINCT FROM $1 AND b IS NOT NULL",
            ),
            (
                "a IS NOT (SELECT 'a IS b')",
                "a IS DISTINCT FROM (SELECT 'a IS b')",
            ),
            (
                "a IS NULL OR b IS\n  c",
                "a IS NULL OR b IS NOT DISTINCT FROM\n  c",
            ),
            (
                "a IS NOT DISTINCT FROM b, this_IS x",
                "a IS NOT DISTINCT FROM b, this_IS x",
            ),
            (
                "ORDER BY a LIMIT -1 OFFSET ?2",
                "ORDER BY a LIMIT ALL OFFSET $2",
            ),
            ("LIMIT ?1", "LIMIT $1"),
            (
                "INSERT OR IGNORE INTO t VALUES (1) ",
                "INSERT  INTO t VALUES (1) ON CONFLICT DO NOTHING",
            ),
            ("WHERE a OR b", "WHERE a OR b"),
        ] {
            assert_eq!(for_postgres(given), wanted);
        }
    }
}
