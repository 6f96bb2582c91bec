//! The pages: one for people, one for operations, and what belongs to them. Pure: a view in, HTML out.
//!
//! Every address in them is relative: a reverse proxy may put them under a prefix. They work without scripts and load nothing.
//! Every chart has its numbers beside it, and colour is never the only sign.

mod answers;
mod booth;
mod campaigns;
mod fleet_csv;
mod look_at;
mod map;
mod operations;
mod paging;
mod questions;
mod spark;
mod standing;
mod updates;
mod wanted;
mod withdraw;

pub use answers::answers;
pub(crate) use booth::names;
pub use booth::{Asking, booth};
pub use fleet_csv::fleet_csv;
pub use look_at::look_at;
pub use operations::{RELOAD_S, operations, sentence};
pub(crate) use questions::{change, questions};
pub use standing::Chosen;
pub use updates::updates;
pub use wanted::Wants;
pub(crate) use withdraw::FORM as WITHDRAW_FORM;
pub use withdraw::{Language, withdraw};

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The style of every page, which stands in it.
pub(crate) const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1a1c1e;--soft:#5a6168;--paper:#fdfdfb;--card:#fff;--line:#dcdfe2;--bar:#2b6cb0;--bad:#a61b1b;--good:#1c6b3a;--warn:#8a5a00;--note:#eef3f8}
@media(prefers-color-scheme:dark){:root{--ink:#e8eaec;--soft:#a2abb3;--paper:#15181b;--card:#1d2125;--line:#363c42;--bar:#6ba6e0;--bad:#ff8f8f;--good:#7fd6a0;--warn:#f0c060;--note:#20303f}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main,header,footer{max-width:72rem;margin:0 auto;padding:0 1rem}header{padding-top:1rem;display:flex;gap:1.5rem;align-items:baseline;flex-wrap:wrap}
header strong{font-size:1.1rem}nav a{margin-right:1rem}header ul{list-style:none;display:flex;flex-wrap:wrap;margin:0;padding:0}a{color:var(--bar)}a:focus-visible{outline:3px solid var(--bar);outline-offset:2px}
h1{font-size:1.6rem;line-height:1.25;margin:1rem 0 .5rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}
.note{background:var(--note);border-left:4px solid var(--bar);padding:.5rem .8rem;border-radius:4px}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(18rem,1fr));gap:1rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.8rem 1rem}
.card h2{margin-top:0}figure{margin:0}svg{width:100%;height:auto;display:block}svg text{fill:var(--ink);font:13px system-ui,sans-serif}svg rect{fill:var(--bar)}
ol.clips{list-style:none;padding:0;margin:0}ol.clips li{display:grid;grid-template-columns:1fr minmax(15rem,24rem);gap:.3rem 1rem;align-items:center;padding:.6rem 0;border-top:1px solid var(--line)}
@media(max-width:44rem){ol.clips li{grid-template-columns:1fr}}audio{width:100%;height:2.4rem}
.soft{color:var(--soft);font-size:.9rem}.tag{display:inline-block;border:1px solid var(--line);border-radius:1rem;padding:0 .6rem;font-size:.85rem;margin-right:.3rem}
.bad{color:var(--bad);font-weight:600}.good{color:var(--good);font-weight:600}.warn{color:var(--warn);font-weight:600}
.scroll{overflow-x:auto;position:relative}table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.45rem .7rem .45rem 0;border-top:1px solid var(--line)}thead th{border-top:0;color:var(--soft);font-weight:600;white-space:nowrap}
nav.pages{display:flex;gap:1.2rem;flex-wrap:wrap;margin:1rem 0}
.spark{height:2.2rem;min-width:8rem}.spark .band{fill:var(--line)}.spark .mean{fill:none;stroke:var(--bar);stroke-width:1.5}
input,select,textarea{max-width:100%}.choice{display:flex;flex-wrap:wrap;gap:.6rem 1rem;align-items:end;margin:1rem 0}
.beside{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));gap:1rem 2rem;align-items:start}
.map{max-width:34rem}.map .area{fill:var(--note);stroke:var(--soft);stroke-width:.8}.map text.in{fill:var(--paper);font:700 10px system-ui,sans-serif}
.map .m-bad{fill:var(--bad)}.map .m-warn{fill:var(--warn)}.map .m-good{fill:var(--good)}.map .m-soft{fill:var(--soft)}.map g path{stroke:var(--paper);stroke-width:1}
.legend{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.2rem 1rem}.legend svg{width:1.4rem;display:inline-block;vertical-align:middle;margin-right:.3rem}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}blockquote{margin:1rem 0;font-size:1.15rem}
td ul{margin:.2rem 0 0;padding-left:1.1rem}footer{color:var(--soft);font-size:.9rem;padding-bottom:2rem;margin-top:2rem}
";

/// The way from a page to the first one, relative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// How many levels below the first page the page lies.
    depth: usize,
}

impl Base {
    /// Deepest page whose links are right; none of the hub's pages is deeper than two.
    const DEEPEST: usize = 64;
    /// The base of the pages that lie beside the first one.
    const BESIDE: Self = Self { depth: 0 };

    /// The base of the page with this path, as the request has it.
    pub fn of(path: &str) -> Self {
        let levels = path.matches('/').count().saturating_sub(1);
        Self {
            depth: levels.min(Self::DEEPEST),
        }
    }

    /// The relative address of `page`; an empty name means the first page.
    fn to(self, page: &str) -> String {
        match (self.depth, page) {
            (0, "") => "./".into(),
            (depth, page) => "../".repeat(depth) + page,
        }
    }
}

/// The head of a page: where else its reader may go.
#[derive(Debug, Clone, Default)]
pub enum Head {
    /// The hub's own two pages.
    #[default]
    Own,
    /// The navigation of whoever is logged in.
    Staff(Markup),
}

fn page(head: &Head, title: &str, base: Base, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    strong { "Booth hub" }
                    @match head {
                        Head::Own => { nav aria-label="Pages" { a href=(base.to("")) { "Answers" } a href=(base.to("operations")) { "Operations" } } }
                        Head::Staff(staff) => { (staff) }
                    }
                }
                main { (body) }
                footer { p { "Internal pages: recordings are not moderated. Do not publish or forward them." } }
            }
        }
    }
}

/// A page of one sentence.
pub fn plain(base: Base, title: &str, text: &str) -> Markup {
    let body =
        html! { h1 { (title) } p { (text) } p { a href=(base.to("")) { "To the answers" } } };
    page(&Head::Own, title, base, &body)
}

/// `1 clip`, `2 clips`, `1,060 clips`.
fn count(number: u64, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        grouped(number),
        if number == 1 { one } else { many }
    )
}

/// The sentence that says how much of a list is not shown.
fn more(number: u64, what: &str) -> Markup {
    html! { @if number > 0 { p.soft { "and " (grouped(number)) " more " (what) } } }
}

/// A number with a comma before each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Date and time to the minute, from RFC 3339; any other text unchanged.
fn moment(text: &str) -> String {
    match text.parse::<jiff::Timestamp>() {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        Err(_) => text.to_owned(),
    }
}

/// Horizontal bars with their names and numbers.
fn bars(title: &str, rows: &[(String, u64)]) -> Markup {
    let most = rows
        .iter()
        .map(|(_, number)| *number)
        .max()
        .unwrap_or(0)
        .max(1);
    let height = rows.len() * 30 + 4;
    let width =
        |number: u64| (number as f64 / most as f64 * 240.0).max(if number > 0 { 2.0 } else { 0.0 });
    html! {
        figure {
            svg viewBox={ "0 0 290 " (height) } role="img" aria-label=(title) {
                @for (index, (name, number)) in rows.iter().enumerate() {
                    @let y = index * 30;
                    text x="0" y=(y + 12) { (name) }
                    rect x="0" y=(y + 16) width=(format!("{:.1}", width(*number))) height="9" rx="2" {}
                    text x=(format!("{:.1}", width(*number) + 8.0)) y=(y + 25) { (number) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_finds_the_others_from_whatever_level_it_lies_on() {
        for (path, first, operations) in [
            ("/", "./", "operations"),
            ("/operations", "./", "operations"),
            ("/clips/x", "../", "../operations"),
            ("/a/b/", "../../", "../../operations"),
            ("//", "../", "../operations"),
            ("", "./", "operations"),
            ("*", "./", "operations"),
        ] {
            let base = Base::of(path);
            assert_eq!(base.to(""), first, "{path}");
            assert_eq!(base.to("operations"), operations, "{path}");
        }
        let deep = Base::of(&"/a".repeat(60_000)).to("");
        assert!(
            deep.len() < 1_000,
            "a page stays small whatever is asked for"
        );
    }

    #[test]
    fn no_page_has_an_absolute_address() {
        let page = plain(Base::of("/clips/x"), "Not here", "no such clip").into_string();
        assert!(
            !page.contains("href=\"/") && !page.contains("src=\"/"),
            "{page}"
        );
    }

    #[test]
    fn long_numbers_can_be_read() {
        let shown = [0, 7, 999, 1_000, 1_060, 12_345, 1_234_567].map(grouped);
        assert_eq!(
            shown,
            ["0", "7", "999", "1,000", "1,060", "12,345", "1,234,567"]
        );
    }
}
