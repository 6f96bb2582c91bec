//! What the bytes of a file say that people write with any laptop. Pure.
//!
//! Owns: every guise a text comes in (byte order marks, UTF-16, line ends), the names it comes under, and what a
//! word processor does to quotation marks. Never does: guess a character: what cannot be read is named with its remedy.

use std::fmt::Write;

use crate::spool::disk::Listed;

/// Longest `booth.toml`, bytes.
pub const LONGEST_TEXT: u64 = 1 << 20;

/// Most places that are named; who has one smart quote has a hundred.
const MOST_NAMED: usize = 8;

/// How the remedy of every unreadable text begins.
const SAVE_PLAIN: &str = "open it in a plain text editor and save it as plain text, UTF-8";

/// The text in these bytes with `\n` at its line ends and no byte order mark, or a sentence that says why there is none.
pub fn text_of(bytes: &[u8]) -> Result<String, String> {
    let text = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest)?,
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        // The first character of a configuration or a password is not beyond U+00FF: its other half is 0.
        [low, 0, ..] if *low != 0 => utf16(bytes, u16::from_le_bytes)?,
        [0, low, ..] if *low != 0 => utf16(bytes, u16::from_be_bytes)?,
        _ => utf8(bytes)?,
    };
    if text.starts_with("{\\rtf") {
        return Err(format!("is a word processor's file (RTF); {SAVE_PLAIN}"));
    }
    if text.contains('\0') {
        return Err(format!("holds zero bytes and is no text; {SAVE_PLAIN}"));
    }
    Ok(text.replace("\r\n", "\n").replace('\r', "\n"))
}

fn utf8(bytes: &[u8]) -> Result<String, String> {
    if bytes.starts_with(b"PK\x03\x04") {
        return Err(format!("is a word processor's file; {SAVE_PLAIN}"));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            let line = bytes[..error.valid_up_to()]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count();
            Err(format!(
                "line {}: a character is not UTF-8; {SAVE_PLAIN}",
                line + 1
            ))
        }
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, String> {
    let pairs = bytes.chunks_exact(2);
    let is_cut = !pairs.remainder().is_empty();
    let units = pairs.map(|pair| unit([pair[0], pair[1]]));
    let text: Result<String, _> = char::decode_utf16(units).collect();
    match text {
        Ok(text) if !is_cut => Ok(text),
        _ => Err(format!("is damaged UTF-16; {SAVE_PLAIN}")),
    }
}

/// The entries of a folder that go by this name in any letter case, with or without a `.txt` that an editor has added.
/// A Mac's `._` files, backups and the like go by other names.
pub fn named<'a>(listed: &'a [Listed], name: &str) -> Vec<&'a Listed> {
    let name = name.to_lowercase();
    let mut found: Vec<&Listed> = listed
        .iter()
        .filter(|entry| {
            let own = entry.name.to_lowercase();
            own == name || own.strip_suffix(".txt") == Some(&name)
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Names that somebody may have meant to be `booth.toml`.
pub fn near_misses(listed: &[Listed]) -> Vec<String> {
    let mut near: Vec<String> = listed
        .iter()
        .filter(|entry| !entry.name.starts_with('.') && !entry.is_folder)
        .filter(|entry| {
            let name = entry.name.to_lowercase();
            name.contains("toml") || (name.contains("booth") && !name.contains("status"))
        })
        .map(|entry| printable(&entry.name))
        .collect();
    near.sort();
    near.truncate(MOST_NAMED);
    near
}

/// A name as it can stand in a line of text.
pub fn printable(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// What a word processor has put where TOML wants plain signs: a sentence for each line, outside of strings and comments.
pub fn typographic(text: &str, file: &str) -> Vec<String> {
    let mut faults: Vec<String> = Vec::new();
    let mut told = 0;
    let mut line = 1;
    let mut string: Option<&str> = None;
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let mut length = character.len_utf8();
        if character == '\n' {
            line += 1;
            // Only a string in three quotation marks goes on.
            string = string.filter(|ends| ends.len() == 3);
        } else if let Some(ends) = string {
            if character == '\\' && ends.starts_with('"') {
                // A line end is left for the next turn.
                let escaped = rest[length..].chars().next().filter(|next| *next != '\n');
                length += escaped.map_or(0, char::len_utf8);
            } else if rest.starts_with(ends) {
                length = ends.len();
                string = None;
            }
        } else if character == '#' {
            length = rest.find('\n').unwrap_or(rest.len());
        } else if let Some(begins) = ["\"\"\"", "'''", "\"", "'"]
            .into_iter()
            .find(|mark| rest.starts_with(mark))
        {
            length = begins.len();
            string = Some(begins);
        } else if told != line
            && let Some(remedy) = remedy_of(character)
        {
            told = line;
            if faults.len() == MOST_NAMED {
                faults.push(format!("{file}:{line}: and more of that kind"));
                break;
            }
            faults.push(format!("{file}:{line}: {remedy}"));
        }
        rest = &rest[length..];
    }
    faults
}

fn remedy_of(character: char) -> Option<String> {
    Some(match character {
        '“' | '”' | '„' | '‟' | '«' | '»' | '″' | '‘' | '’' | '‚' | '‛' | '‹' | '›' | '′' | '´'
        | '`' => {
            format!(
                "{character} is a typographic quotation mark; replace it by the plain \" and switch \"smart quotes\" off"
            )
        }
        '–' | '—' | '−' | '‐' | '‑' | '‒' => format!(
            "{character} is a long dash; replace it by the plain - and switch \"smart dashes\" off"
        ),
        '\u{a0}' | '\u{200b}'..='\u{200f}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{feff}' => {
            format!(
                "an invisible character (U+{:04X}) stands there; delete it and write a plain space",
                u32::from(character)
            )
        }
        _ => return None,
    })
}

/// What a refused value may have from a word processor: a hint that follows the fault.
pub fn hint_of(value: &str) -> String {
    let mut hint = String::new();
    if let Some(remedy) = value.chars().find_map(remedy_of) {
        let _ = write!(hint, "; {remedy}");
    }
    hint
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
            let why = text_of(bytes).expect_err("no text");
            assert!(why.contains(part) && why.contains("plain text"), "{why}");
        }
    }

    fn entry(name: &str) -> Listed {
        Listed {
            name: name.into(),
            bytes: 1,
            is_folder: false,
        }
    }

    #[test]
    fn a_file_goes_by_its_name_in_any_case_and_debris_does_not() {
        let names = [
            "._booth.toml",
            "._BOOTH.TOML",
            ".DS_Store",
            "booth.toml~",
            "booth.toml.bak",
            "System Volume Information",
            "BOOTH-STATUS.TXT",
        ];
        let mut listed: Vec<Listed> = names.iter().map(|name| entry(name)).collect();
        assert!(named(&listed, "booth.toml").is_empty());
        for name in [
            "booth.toml",
            "BOOTH.TOML",
            "Booth.toml.txt",
            "BOOTH.TOML.TXT",
        ] {
            listed.push(entry(name));
            assert_eq!(named(&listed, "booth.toml"), [&entry(name)]);
            listed.pop();
        }
        listed.extend([entry("booth.toml"), entry("Booth.toml.TXT")]);
        assert_eq!(named(&listed, "booth.toml").len(), 2);
        let near = [
            entry("booth (1).toml"),
            entry("booth.rtf"),
            entry("BOOTH-STATUS.TXT"),
        ];
        assert_eq!(near_misses(&near), ["booth (1).toml", "booth.rtf"]);
    }

    #[test]
    fn typographic_signs_are_named_by_line_where_toml_wants_plain_ones() {
        let text = "# “comment”\n[booth]\nid = “rundhoej-1”\nname = \"“Torvet” – \\\"x\"\n\
                    contact = '’'\na = \"\"\"\n“in” it\n\"\"\"\nb\u{a0}= 1\nc = –1\nd = ‘x’\n";
        let faults = typographic(text, "booth.toml");
        let lines: Vec<&str> = faults
            .iter()
            .filter_map(|fault| fault.split(": ").next())
            .collect();
        assert_eq!(
            lines,
            [
                "booth.toml:3",
                "booth.toml:9",
                "booth.toml:10",
                "booth.toml:11"
            ],
            "{faults:#?}"
        );
        assert!(faults[0].contains("plain \""));
        assert!(faults[1].contains("U+00A0"));
        assert!(faults[2].contains("plain -"));
        assert_eq!(hint_of("rundhoej-1"), "");
        assert!(hint_of("rundhoej–1").contains("long dash"));
    }

    #[test]
    fn a_thousand_smart_quotes_are_told_a_few_times() {
        assert_eq!(typographic(&"“\n".repeat(1000), "f").len(), MOST_NAMED + 1);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>, bom in 0_usize..4) {
            let marks: [&[u8]; 4] = [b"", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf"];
            let all = [marks[bom], &bytes].concat();
            if let Ok(text) = text_of(&all) {
                proptest::prop_assert!(!text.contains(['\r', '\0']));
                typographic(&text, "booth.toml");
            }
        }

        #[test]
        fn no_text_makes_the_search_for_smart_quotes_panic(text in "[\"'\\\\#\n“”–a=é]{0,60}") {
            let lines = text.split('\n').count();
            proptest::prop_assert!(typographic(&text, "f").len() <= lines);
        }
    }
}
