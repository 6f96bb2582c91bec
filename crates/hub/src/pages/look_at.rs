//! What an operator should look at: clips that were refused, and stored ones that were flagged.

use maud::{Markup, html};

use super::paging::Part;
use super::{Base, Head, moment, page};
use crate::view::{RefusedPage, RefusedView};

/// The whole list of what an operator should look at, page by page; `size` is the number of entries on one page, if the address
/// gives it.
pub fn look_at(head: &Head, view: &RefusedPage, size: Option<usize>) -> Markup {
    let part = Part {
        what: "entries",
        newer: view.newer,
        shown: view.entries.len() as u64,
        total: view.total,
        ends: view
            .entries
            .first()
            .zip(view.entries.last())
            .map(|(first, last)| (first.cursor.clone(), last.cursor.clone())),
        size,
        newest: "look-at",
    };
    let body = html! {
        h1 { "Clips to look at" }
        @if view.total == 0 {
            p { "Nothing: no clip was refused, and none that is stored needs a look." }
        } @else {
            p.soft { (part.sentence()) }
            (list(&view.entries))
            (part.links())
        }
        p { a href="operations" { "To the fleet" } }
    };
    page(head, "Clips to look at", Base::BESIDE, &body)
}

/// The table.
pub(super) fn list(entries: &[RefusedView]) -> Markup {
    html! {
        div.scroll tabindex="0" { table {
            thead { tr { th { "When" } th { "Booth" } th { "Clip" } th { "Why" } } }
            tbody { @for entry in entries { tr {
                td { (moment(&entry.at)) } td { (entry.booth_id) }
                td { code { (entry.clip_id) } } td { (entry.reason) }
            } } }
        } }
    }
}
