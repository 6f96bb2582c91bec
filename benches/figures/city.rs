//! A city of a hundred thousand messages: its pages, its desk and its open data, asked of the real hub over HTTP.
//!
//! The year is made up and written into `city.sqlite` before the hub starts; the campaigns are published, the account is made and the sealed
//! clip is delivered as people and booths do it. The hub runs on one processor of its own, everything that asks it on another.

mod desk;
mod files;
mod town;
mod views;

use super::Table;
use town::Town;

/// How large the city is, and how often it is asked.
pub(super) struct Asked {
    /// The figures are somebody's.
    is_measured: bool,
    /// Messages and votes of the year.
    messages: u64,
    /// Views of the first page, one after the other.
    views: usize,
    /// How long pages are asked for beside ingest, seconds.
    seconds: u64,
    /// How often a page of the desk is asked for.
    desk: usize,
    /// How often all open data is taken.
    zips: usize,
}

/// For the figures.
pub(super) const WHOLE: Asked = Asked {
    is_measured: true,
    messages: 100_000,
    views: 2_000,
    seconds: 60,
    desk: 100,
    zips: 3,
};
/// For `cargo test`.
pub(super) const LOOK: Asked = Asked {
    is_measured: false,
    messages: 1_000,
    views: 20,
    seconds: 2,
    desk: 3,
    zips: 1,
};

/// The rows of the city.
pub(super) fn figures(table: &mut Table, asked: &Asked) {
    let has_two = std::thread::available_parallelism().is_ok_and(|number| number.get() >= 2);
    if asked.is_measured && !has_two {
        return eprintln!("NOT MEASURED: the city; the hub needs a processor of its own");
    }
    eprintln!("a city of {} messages …", asked.messages);
    let town = Town::of(asked.messages, asked.is_measured);
    views::one_after_the_other(table, &town, asked.views);
    desk::figures(table, &town, asked.desk);
    files::figures(table, &town, asked.zips);
    views::beside_ingest(table, &town, asked.seconds);
    town.end();
}
