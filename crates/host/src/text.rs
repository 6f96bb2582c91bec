//! The text in the bytes of a file, saved with any editor. Pure.
//!
//! Owns: every form that a text comes in (byte order marks, UTF-16, line ends). Never does: guess a character: a text that cannot
//! be read is reported with a remedy.

/// Why bytes are no text. The sentence is to follow the file's name, and has a remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoText {
    /// Rich Text Format.
    #[error("is a word processor's file (RTF); {SAVE_PLAIN}")]
    Rtf,
    /// A packed document.
    #[error("is a word processor's file; {SAVE_PLAIN}")]
    Document,
    /// Bytes that are 0.
    #[error("holds zero bytes and is no text; {SAVE_PLAIN}")]
    ZeroBytes,
    /// A character of another encoding.
    #[error("line {line}: a character is not UTF-8; {SAVE_PLAIN}")]
    NotUtf8 {
        /// The line of the first such character, from 1.
        line: usize,
    },
    /// UTF-16 that is cut off or holds half characters.
    #[error("is damaged UTF-16; {SAVE_PLAIN}")]
    DamagedUtf16,
}

/// The beginning of the remedy for every unreadable text.
const SAVE_PLAIN: &str = "open it in a plain text editor and save it as plain text, UTF-8";

/// The text in these bytes with `\n` as its line ends and no byte order mark.
///
/// # Errors
/// Why they are no text.
pub fn text_of(bytes: &[u8]) -> Result<String, NoText> {
    let text = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest)?,
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        // UTF-16 without a mark: the first character of a configuration or a password is not beyond U+00FF, so that one of its
        // bytes is 0.
        [low, 0, ..] if *low != 0 => utf16(bytes, u16::from_le_bytes)?,
        [0, low, ..] if *low != 0 => utf16(bytes, u16::from_be_bytes)?,
        _ => utf8(bytes)?,
    };
    if text.starts_with("{\\rtf") {
        return Err(NoText::Rtf);
    }
    if text.contains('\0') {
        return Err(NoText::ZeroBytes);
    }
    Ok(text.replace("\r\n", "\n").replace('\r', "\n"))
}

fn utf8(bytes: &[u8]) -> Result<String, NoText> {
    if bytes.starts_with(b"PK\x03\x04") {
        return Err(NoText::Document);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            let line = bytes[..error.valid_up_to()]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count();
            Err(NoText::NotUtf8 { line: line + 1 })
        }
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, NoText> {
    let pairs = bytes.chunks_exact(2);
    let is_cut = !pairs.remainder().is_empty();
    let units = pairs.map(|pair| unit([pair[0], pair[1]]));
    let text: Result<String, _> = char::decode_utf16(units).collect();
    match text {
        Ok(text) if !is_cut => Ok(text),
        _ => Err(NoText::DamagedUtf16),
    }
}

/// A text as one line without control characters, and not too long: texts of brokers, booths and kernels must not drive a terminal.
pub fn one_line(text: &str, longest: usize) -> String {
    let plain: String = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(longest)
        .collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A file's name, quoted for a command of a shell.
pub fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match name.chars().all(is_plain) && !name.starts_with('-') {
        true => name.to_owned(),
        false => format!("'./{}'", name.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[booth]\nid = \"rundhoej-1\"\nname = \"Rundhøj €\"\n";

    fn utf16_of(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn a_text_is_the_same_in_every_guise_of_every_laptop() {
        let crlf = TEXT.replace('\n', "\r\n");
        let with_bom = format!("\u{feff}{crlf}");
        for bytes in [
            TEXT.as_bytes().to_vec(),
            crlf.clone().into_bytes(),
            TEXT.replace('\n', "\r").into_bytes(),
            with_bom.clone().into_bytes(),
            utf16_of(&with_bom, u16::to_le_bytes),
            utf16_of(&with_bom, u16::to_be_bytes),
            utf16_of(&crlf, u16::to_le_bytes),
            utf16_of(TEXT, u16::to_be_bytes),
        ] {
            assert_eq!(text_of(&bytes).as_deref(), Ok(TEXT), "{bytes:x?}");
        }
    }

    #[test]
    fn what_is_no_text_is_named_with_a_remedy() {
        for (bytes, part) in [
            (&b"{\\rtf1\\ansi [booth]"[..], "RTF"),
            (b"PK\x03\x04word", "word processor"),
            (b"[booth]\nname = \"Rundh\xf8j\"\n", "line 2"),
            (b"\xff\xfe[\0b", "UTF-16"),
            (b"\xff\xfe\x00\xd8\x00\xd8", "UTF-16"),
            (b"[booth]\n\0", "zero bytes"),
        ] {
            let why = text_of(bytes).expect_err("no text").to_string();
            assert!(why.contains(part) && why.contains("plain text"), "{why}");
        }
    }

    #[test]
    fn a_name_is_one_word_for_a_shell() {
        assert_eq!(quoted("ca.cer"), "ca.cer");
        assert_eq!(quoted("-x y"), "'./-x y'");
        assert_eq!(quoted("it's.cer"), "'./it'\\''s.cer'");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>, bom in 0_usize..4) {
            let marks: [&[u8]; 4] = [b"", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf"];
            let all = [marks[bom], &bytes].concat();
            if let Ok(text) = text_of(&all) {
                proptest::prop_assert!(!text.contains(['\r', '\0']));
            }
        }
    }
}
