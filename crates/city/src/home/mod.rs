//! Taking part without a booth: an answer from home, its withdrawal, a workshop's helper.
//!
//! ```text
//! form ──▶ sound (decoded, coded like a booth's) ──▶ drafts (in memory) ──▶ a second look ──▶ Centre::submit ──▶ receipt
//! ```
//!
//! Owns: the form, what it takes at most, what a citizen reads before, and the second thoughts. Never does: set a cookie, write an address
//! down, keep a word before its citizen has sent it, or publish: everything waits for a moderator as a booth's messages do. A failure
//! leaves the form as it was typed.

mod answer;
mod drafts;
mod draw;
mod form;
mod notice;
mod sound;
mod ticket;
mod withdraw;
mod workshop;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header;
use axum::routing::MethodRouter;
use booth_contract::time::Mono;

use crate::City;
use crate::limits::{Limits, one_visitor};
use crate::web::{get, post};

/// Answers of one visitor whose browser did the work: a family, a class that shares an address, and one more each minute.
const OF_ONE: (u32, u64) = (12, 60_000);
/// The same without the work, so without a script.
const OF_ONE_BARE: (u32, u64) = (4, 300_000);
/// Answers of all visitors together without the work: what a flood can bring in at most.
const OF_ALL_BARE: (u32, u64) = (40, 30_000);
/// Answers of all visitors together: what the hub decodes and a moderator hears.
const OF_ALL: (u32, u64) = (200, 500);
/// One-time codes of one visitor that were not right: a slip on paper that cannot be read, and one more each ten minutes. The most that all
/// visitors together can try is what [`OF_ALL`] lets in.
const OF_ONE_WRONG_CODES: (u32, u64) = (6, 600_000);

/// What the room holds in memory.
pub(crate) struct Home {
    tickets: ticket::Tickets,
    drafts: drafts::Drafts,
    of_one: Limits<IpAddr>,
    of_one_bare: Limits<IpAddr>,
    of_all_bare: Limits<()>,
    of_all: Limits<()>,
    of_one_wrong_codes: Limits<IpAddr>,
}

impl Default for Home {
    fn default() -> Self {
        let of = |(at_once, every_ms)| Limits::new(at_once, every_ms);
        Self {
            tickets: Default::default(),
            drafts: Default::default(),
            of_one: of(OF_ONE),
            of_one_bare: of(OF_ONE_BARE),
            of_all_bare: Limits::new(OF_ALL_BARE.0, OF_ALL_BARE.1),
            of_all: Limits::new(OF_ALL.0, OF_ALL.1),
            of_one_wrong_codes: of(OF_ONE_WRONG_CODES),
        }
    }
}

impl Home {
    /// Whether one more answer may come from here; if so, it counts.
    fn may(&self, now: Mono, from: IpAddr, has_worked: bool) -> bool {
        self.of_one.forget(now);
        self.of_one_bare.forget(now);
        let from = one_visitor(from);
        let own = match has_worked {
            true => self.of_one.take(now, from),
            false => self.of_one_bare.take(now, from) && self.of_all_bare.take(now, ()),
        };
        own && self.of_all.take(now, ())
    }

    /// Whether one more one-time code may be tried from here. It counts, until [`Home::was_a_code`] says that it was no guess.
    fn may_try_a_code(&self, now: Mono, from: IpAddr) -> bool {
        self.of_one_wrong_codes.forget(now);
        self.of_one_wrong_codes.take(now, one_visitor(from))
    }

    /// The code that was tried last from here was right, or was not looked at.
    fn was_a_code(&self, from: IpAddr) {
        self.of_one_wrong_codes.give_back(&one_visitor(from));
    }
}

/// The citizens' addresses.
pub(crate) fn routes() -> Router<Arc<City>> {
    Router::new()
        .route(
            "/{lang}/answer/{campaign}/{question}",
            get(answer::page).merge(post(answer::sent)),
        )
        .route(
            "/{lang}/answer/{campaign}/{question}/draft/{name}",
            get(answer::draft),
        )
        .route(
            "/{lang}/withdraw",
            get(withdraw::page).merge(post(withdraw::typed)),
        )
        .route("/answer.js", file("text/javascript; charset=utf-8", SCRIPT))
        .route("/answer.css", file("text/css; charset=utf-8", STYLE))
        // The form counts its own bytes.
        .layer(DefaultBodyLimit::disable())
}

/// The addresses of staff.
pub(crate) fn staff_routes() -> Router<Arc<City>> {
    Router::new().route("/workshop", get(workshop::list)).route(
        "/workshop/{campaign}/{question}",
        post(workshop::entered).merge(get(workshop::page)),
    )
}

const SCRIPT: &str = include_str!("answer.js");
const STYLE: &str = include_str!("answer.css");

fn file(kind: &'static str, text: &'static str) -> MethodRouter<Arc<City>> {
    get(move || async move {
        let headers = [
            (header::CONTENT_TYPE, kind),
            (header::CACHE_CONTROL, "public, max-age=300"),
        ];
        (headers, text)
    })
}

/// Bytes that nobody can foresee.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel gives random bytes");
    bytes
}

#[cfg(test)]
mod tests;
