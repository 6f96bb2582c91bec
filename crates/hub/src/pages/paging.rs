//! The way through a list that does not fit on one page.
//!
//! Owns: the sentence that says which part of it is shown, and the links to what is newer and older. Never does: read the list.

use maud::{Markup, html};

use super::grouped;
use crate::view::Cursor;

/// Which part of a list a page shows.
pub(super) struct Part<'a> {
    /// What is listed, for the sentence: `spoken answers`.
    pub what: &'a str,
    /// How many entries are newer than the first of the page.
    pub newer: u64,
    /// How many entries are on the page.
    pub shown: u64,
    /// How many entries the whole list has.
    pub total: u64,
    /// The places of the page's first and last entry.
    pub ends: Option<(Cursor, Cursor)>,
    /// How many entries a page has, if the address gives it.
    pub size: Option<usize>,
    /// The address of the first page, without its size.
    pub newest: &'a str,
}

impl Part<'_> {
    /// `51 to 100 of 1,060 spoken answers, the newest first.`
    pub(super) fn sentence(&self) -> String {
        let (total, what) = (grouped(self.total), self.what);
        if self.shown == 0 {
            return format!("There is nothing older: all {total} {what} come before this place.");
        }
        let (first, last) = (grouped(self.newer + 1), grouped(self.newer + self.shown));
        format!("{first} to {last} of {total} {what}, the newest first.")
    }

    /// The links; nothing where everything is on the page.
    pub(super) fn links(&self) -> Markup {
        let has_older = self.newer + self.shown < self.total;
        let size = self.size.map(|size| format!("clips={size}"));
        let newest = match &size {
            Some(size) => format!("?{size}"),
            None => self.newest.to_owned(),
        };
        let to = |way: &str, cursor: &Cursor| {
            let place = format!("?{way}={}", cursor.text());
            size.iter()
                .fold(place, |place, size| format!("{place}&{size}"))
        };
        html! {
            @if self.newer > 0 || has_older {
                nav.pages aria-label={ "Pages of " (self.what) } {
                    @if self.newer > 0 {
                        a href=(newest) { "Newest" }
                    }
                    @if let Some((first, last)) = &self.ends {
                        @if self.newer > 0 { a rel="prev" href=(to("newer", first)) { "← Newer" } }
                        @if has_older { a rel="next" href=(to("older", last)) { "Older →" } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(id: &str) -> Cursor {
        Cursor {
            at: "2026-03-01T10:00:00.000Z".into(),
            id: id.into(),
        }
    }

    fn part(newer: u64, shown: u64, size: Option<usize>) -> Part<'static> {
        Part {
            what: "spoken answers",
            newer,
            shown,
            total: 1_060,
            ends: (shown > 0).then(|| (cursor("first"), cursor("last"))),
            size,
            newest: "./",
        }
    }

    #[test]
    fn there_is_a_way_to_both_sides_and_back_to_the_newest() {
        let said = |part: Part<'_>| (part.sentence(), part.links().into_string());
        let (sentence, links) = said(part(0, 50, None));
        assert_eq!(
            sentence,
            "1 to 50 of 1,060 spoken answers, the newest first."
        );
        assert!(
            links.contains("href=\"?older=2026-03-01T10:00:00.000Z~last\""),
            "{links}"
        );
        assert!(
            !links.contains("newer=") && !links.contains("Newest"),
            "{links}"
        );
        let (sentence, links) = said(part(50, 50, None));
        assert_eq!(
            sentence,
            "51 to 100 of 1,060 spoken answers, the newest first."
        );
        for address in ["\"./\"", "?newer=2026-03-01T10:00:00.000Z~first", "~last\""] {
            assert!(links.contains(address), "{address} in {links}");
        }
        let (_, links) = said(part(1_010, 50, Some(50)));
        assert!(
            !links.contains("older=") && links.contains("~first&amp;clips=50"),
            "{links}"
        );
        assert!(links.contains("href=\"?clips=50\""), "{links}");
        let (sentence, links) = said(part(1_060, 0, None));
        assert!(sentence.contains("nothing older"), "{sentence}");
        assert!(
            links.contains("\"./\"") && !links.contains("newer="),
            "{links}"
        );
        let whole = Part {
            total: 50,
            ..part(0, 50, None)
        };
        assert_eq!(whole.links().into_string(), "");
    }
}
