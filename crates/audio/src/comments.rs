//! The comments of an Ogg Opus file (RFC 7845 §5.2): what a prompt says, in letters.
//!
//! Owns: finding the comment `TEXT=` in bytes from outside. Never does: believe a length that the file names.

use crate::ogg::comment_header;

/// Longest text that is taken, characters: 90 s of fast speech have some 1,500.
pub const LONGEST_TEXT: usize = 2_000;
/// Most comments that are looked at.
const MOST_COMMENTS: u32 = 256;

/// What the sound of this file says, as its comment `TEXT=` has it. `None` without such a comment, and for files of other
/// codings.
pub fn text(bytes: &[u8]) -> Option<String> {
    let header = comment_header(bytes)?;
    let mut rest = header.strip_prefix(b"OpusTags")?;
    let _vendor = counted(&mut rest)?;
    let count = number(&mut rest)?;
    for _ in 0..count.min(MOST_COMMENTS) {
        let comment = counted(&mut rest)?;
        let (name, value) = comment.split_at_checked("TEXT=".len())?;
        if name.eq_ignore_ascii_case(b"TEXT=") {
            return readable(std::str::from_utf8(value).ok()?);
        }
    }
    None
}

/// A text as it can be shown: without signs that are no letters, its white space single, of at most [`LONGEST_TEXT`]
/// characters. `None` if nothing is left.
pub fn readable(text: &str) -> Option<String> {
    let text = text.trim_start_matches('\u{feff}');
    let mut shown = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if !word.is_empty() {
            if !shown.is_empty() {
                shown.push(' ');
            }
            shown.extend(word.chars().filter(|c| !is_invisible(*c)));
        }
    }
    let shown: String = shown.trim().chars().take(LONGEST_TEXT).collect();
    (!shown.is_empty()).then_some(shown)
}

/// Signs that turn the direction of writing or stand for nothing: they could make a sentence read as another one.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A number of the header, and the bytes behind it.
fn number(rest: &mut &[u8]) -> Option<u32> {
    let (own, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u32::from_le_bytes(*own))
}

/// As many bytes as the number before them says.
fn counted<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(rest)?).ok()?;
    let (own, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An Ogg Opus file of two pages: the heads alone, as `text` reads no sound.
    fn file(tags: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        {
            let mut writer = ogg::PacketWriter::new(&mut out);
            let head = b"OpusHead\x01\x01\0\0\x80\xbb\0\0\0\0\0".to_vec();
            let end = ogg::PacketWriteEndInfo::EndPage;
            writer.write_packet(head, 7, end, 0).expect("written");
            writer
                .write_packet(tags.to_vec(), 7, end, 0)
                .expect("written");
        }
        out
    }

    fn tags(comments: &[&[u8]]) -> Vec<u8> {
        let mut packet = b"OpusTags\x03\0\0\0abc".to_vec();
        packet.extend(u32::try_from(comments.len()).expect("few").to_le_bytes());
        for comment in comments {
            packet.extend(u32::try_from(comment.len()).expect("short").to_le_bytes());
            packet.extend(*comment);
        }
        packet
    }

    #[test]
    fn the_text_of_a_prompt_is_found_among_its_comments() {
        let said = "Hvad mangler der på torvet?";
        let text_of = |comment: &str| {
            let packet = tags(&[b"ENCODER=x", comment.as_bytes(), b"TEXT=later"]);
            text(&file(&packet))
        };
        assert_eq!(text_of(&format!("TEXT={said}")).as_deref(), Some(said));
        assert_eq!(text_of(&format!("text= {said}\r\n")).as_deref(), Some(said));
        assert_eq!(text_of("TEXTS=x").as_deref(), Some("later"));
        assert_eq!(text(&file(&tags(&[b"ENCODER=x"]))), None);
        assert_eq!(text(&file(&tags(&[b"TEXT=\xff\xfe"]))), None);
    }

    #[test]
    fn a_header_that_lies_about_its_lengths_is_passed_over() {
        let whole = tags(&[b"TEXT=yes"]);
        for cut in 0..whole.len() {
            assert_eq!(text(&file(&whole[..cut])), None, "{cut}");
        }
        for at in 8..whole.len() - 8 {
            let mut wrong = whole.clone();
            wrong[at] = 0xff;
            let found = text(&file(&wrong));
            assert!(found.is_none_or(|text| text == "yes"), "{at}");
        }
        assert_eq!(text(b"RIFF....WAVE"), None);
        assert_eq!(text(b""), None);
    }

    #[test]
    fn a_text_is_shown_without_signs_that_turn_it_round_and_of_bounded_length() {
        assert_eq!(
            readable("\u{feff} a\tb\n\n c\u{0}\u{202e}d ").as_deref(),
            Some("a b c d")
        );
        assert_eq!(readable("\u{200b} \n"), None);
        let long = "å".repeat(5_000);
        let shown = readable(&long).expect("a text");
        assert_eq!(shown.chars().count(), LONGEST_TEXT);
    }
}
