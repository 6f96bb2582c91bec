//! The body of a written message, `text/1`: one line that says what it is, and the text.
//!
//! Owns: the form. Never does: judge a text. The line holds 16 random bytes, so that the body's hash, which outlives a withdrawal, tells
//! nobody a short text.

use super::hex;

/// How the body begins.
pub const TEXT_BEGINS: &[u8] = b"booth text 1 ";
/// Digits of the random bytes.
const DIGITS: usize = 32;

/// The body of this text.
pub fn text_body(text: &str, random: [u8; DIGITS / 2]) -> Vec<u8> {
    let mut body = TEXT_BEGINS.to_vec();
    body.extend_from_slice(hex(&random).as_bytes());
    body.push(b'\n');
    body.extend_from_slice(text.as_bytes());
    body
}

/// The text of a body; `None` if it is none.
pub fn text_of_body(body: &[u8]) -> Option<&str> {
    let rest = body.strip_prefix(TEXT_BEGINS)?;
    let (digits, text) = rest.split_at_checked(DIGITS)?;
    let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
    let text = text.strip_prefix(b"\n").filter(|_| is_hex)?;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_out_as_it_went_in_and_nothing_else_is_taken_for_one() {
        for text in ["", "Bænken ved åen 🪑", "1\n2\r\n3", "שלום"] {
            let body = text_body(text, [7; 16]);
            assert_eq!(text_of_body(&body), Some(text));
            assert_ne!(
                text_body(text, [8; 16]),
                body,
                "another hash for the same words"
            );
        }
        let body = text_body("ja", [7; 16]);
        for cut in 0..body.len() - 2 {
            assert_eq!(text_of_body(&body[..cut]), None, "{cut}");
        }
        assert_eq!(text_of_body(b"OggS"), None);
        assert_eq!(text_of_body(&[&body[..], &[0xff]].concat()), None);
    }
}
