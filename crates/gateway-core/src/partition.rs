//! The card's data partition, as the SD image found it at this boot. Pure.
//!
//! Owns: what the initrd's report means for the booth, and the sentences for it. Never does: touch a partition.

/// The file in which the initrd reports what it found: a word, and a second line that says why.
pub const TOLD_AT: &str = "run/booth/data";
/// A file beside the effective configuration: what was moved aside on this card, a line each; it stays until the card is
/// swapped.
pub const MOVED_ASIDE: &str = "moved-aside";
/// Longest reason that is reported, characters.
const LONGEST_REASON: usize = 300;

/// What became of the data partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Partition {
    /// It was made, or found whole.
    Sound,
    /// It was damaged, and is repaired.
    Repaired(String),
    /// It was beyond repair; it lies untouched beside a new one.
    MovedAside(String),
    /// There is none: nothing can be kept.
    Missing(String),
}

impl Partition {
    /// Reads what the initrd wrote; `None` for what no version of it writes.
    pub fn read(text: &str) -> Option<Self> {
        let (word, reason) = text.split_once('\n').unwrap_or((text, ""));
        let reason = one_line(reason);
        match word.trim() {
            "made" | "whole" => Some(Self::Sound),
            "repaired" => Some(Self::Repaired(reason)),
            "moved-aside" => Some(Self::MovedAside(reason)),
            "none" => Some(Self::Missing(reason)),
            _ => None,
        }
    }

    /// The same when an earlier boot on this card noted that something was moved aside.
    pub fn with_note(self, note: &str) -> Self {
        match self {
            Self::Sound | Self::Repaired(_) if !note.trim().is_empty() => {
                Self::MovedAside(one_line(note))
            }
            other => other,
        }
    }
}

/// Text of another program as one line; the full stop is left to the sentence around it.
fn one_line(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(LONGEST_REASON).collect()
}

/// Why nothing can be kept, for operations.
pub fn missing(reason: &str) -> String {
    format!(
        "The card's data partition cannot be used: {reason}. Nothing can be kept, so nothing is recorded."
    )
}

/// The sentence for operations about a place where messages may lie that no program reads any more; `contact` is where the
/// card is sent to.
pub fn moved_aside(reason: &str, contact: &str) -> String {
    let place = match sector(reason) {
        Some(sector) => format!("on the card before sector {sector}"),
        None => "on the card beside the new data partition".into(),
    };
    let to = match contact {
        "" => "whoever runs this booth".to_owned(),
        contact => one_line(contact),
    };
    format!(
        "The card's data partition was beyond repair. Messages may lie {place}: do not format it; send it to {to}."
    )
}

/// The sector, of 512 bytes, before which the old partition lies, where the reason names it.
pub fn sector(reason: &str) -> Option<u64> {
    let (_, behind) = reason.rsplit_once("before sector ")?;
    let digits = behind.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_initrds_words_are_understood_and_others_are_not() {
        for (text, meant) in [
            ("made\nas large as the card\n", Some(Partition::Sound)),
            ("whole\nnothing to repair\n", Some(Partition::Sound)),
            (
                "repaired\nit was damaged\n",
                Some(Partition::Repaired("it was damaged".into())),
            ),
            (
                "none\nthe card is too small\n",
                Some(Partition::Missing("the card is too small".into())),
            ),
            ("none", Some(Partition::Missing(String::new()))),
            ("", None),
            ("wholesome\n", None),
        ] {
            assert_eq!(Partition::read(text), meant, "{text:?}");
        }
        let long = format!("moved-aside\n{}\u{1b}[31m", "x".repeat(1_000));
        let Some(Partition::MovedAside(reason)) = Partition::read(&long) else {
            panic!("not understood")
        };
        assert_eq!(reason.chars().count(), LONGEST_REASON);
    }

    #[test]
    fn the_sentence_names_the_sector_and_whom_to_send_the_card_to() {
        let reason = "it cannot be repaired; it lies untouched before sector 1234944 of the card";
        assert_eq!(sector(reason), Some(1_234_944));
        let text = moved_aside(reason, "Borgerservice, tel. 89 40 20 00");
        for part in [
            "before sector 1234944",
            "do not format",
            "send it to Borgerservice, tel.",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(moved_aside("?", "").contains("whoever runs this booth"));
    }

    #[test]
    fn what_an_earlier_boot_moved_aside_is_told_until_the_card_is_swapped() {
        let note = "it lies untouched before sector 8\n";
        let aside = Partition::MovedAside("it lies untouched before sector 8".into());
        assert_eq!(Partition::Sound.with_note(note), aside);
        assert_eq!(Partition::Sound.with_note(" \n"), Partition::Sound);
        let missing = Partition::Missing("x".into());
        assert_eq!(missing.clone().with_note(note), missing);
    }
}
