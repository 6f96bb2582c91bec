//! Names and typography of files that people write with any laptop. Pure.
//!
//! Owns: the names under which such a file may come, and what a word processor does to quotation marks. Never does: decode
//! the bytes; `config::text` does.

use std::fmt::Write;

use booth_host::config_file::ConfigFault;
use booth_spool::disk::Listed;

/// Longest `booth.toml`, bytes.
pub const LONGEST_TEXT: u64 = 1 << 20;

/// Most places that are named; a file with one smart quote has a hundred.
const MOST_NAMED: usize = 8;

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

/// A name in a form that fits into a line of text.
pub fn printable(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// Signs that a word processor has put where TOML needs plain ones, outside of strings and comments: a fault for each line.
pub fn typographic(text: &str, file: &str) -> Vec<ConfigFault> {
    let fault = |line, why: &str| ConfigFault::whole(why).in_file(file).at_line(line);
    let mut faults: Vec<ConfigFault> = Vec::new();
    let mut named = 0;
    let mut line = 1;
    let mut string: Option<&str> = None;
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let mut length = character.len_utf8();
        if character == '\n' {
            line += 1;
            // Only a string in three quotation marks continues on the next line.
            string = string.filter(|ends| ends.len() == 3);
        } else if let Some(ends) = string {
            if character == '\\' && ends.starts_with('"') {
                // A line end is left for the next turn of the loop.
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
        } else if named != line
            && let Some(remedy) = remedy_of(character)
        {
            named = line;
            if faults.len() == MOST_NAMED {
                faults.push(fault(line, "and more of that kind"));
                break;
            }
            faults.push(fault(line, &remedy));
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

/// Signs in a refused value that a word processor may have made: a hint that follows the fault.
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
        let sentences: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let lines: Vec<&str> = sentences
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
        assert!(sentences[0].contains("plain \""));
        assert!(sentences[1].contains("U+00A0"));
        assert!(sentences[2].contains("plain -"));
        assert_eq!(hint_of("rundhoej-1"), "");
        assert!(hint_of("rundhoej–1").contains("long dash"));
    }

    #[test]
    fn a_thousand_smart_quotes_are_told_a_few_times() {
        assert_eq!(typographic(&"“\n".repeat(1000), "f").len(), MOST_NAMED + 1);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_search_for_smart_quotes_panic(text in "[\"'\\\\#\n“”–a=é]{0,60}") {
            let lines = text.split('\n').count();
            proptest::prop_assert!(typographic(&text, "f").len() <= lines);
        }
    }
}
