//! Where booths stand: the city's areas, which booth stood where from when to when, and how long each was ready there.
//!
//! Owns: the tables `area`, `placement`, `placement_network`, `place_number`, `placed`, `exposure`, `ready_hour`, `counted`. A message counts for the placement that was in force when it
//! was spoken ([`placement`]). Never does: ask a booth anything; what a booth says comes by the hub.

pub(crate) mod areas;
pub(crate) mod exposure;
pub(crate) mod network;
pub(crate) mod numbers;
mod pages;
pub(crate) mod placement;
mod read;
pub(crate) mod shape;
mod simplify;
mod whereabouts;

pub(crate) use pages::routes;
pub use whereabouts::{Spot, Whereabouts};

use std::path::Path;

use crate::City;
use crate::store::{Act, Actor, CityError, Store};

/// Puts the areas of a GeoJSON file in the place of those that there are, for the command line. The sentence says what came in.
///
/// # Errors
/// A file that cannot be used; what was in force stays.
pub fn import_areas(
    store: &Path,
    geojson: &[u8],
    name_property: Option<&str>,
) -> Result<String, CityError> {
    let store = Store::open(store)?;
    let new = areas::read(geojson, name_property)?;
    let act = Act::new(Actor::CommandLine, "areas imported", "areas");
    store.change(act, |db| areas::replace(db, &new))?;
    Ok(new.came().to_string())
}

impl City {
    /// This minute as a form has it, in the city's own time.
    pub(crate) fn local_now(&self) -> String {
        let now = booth_host::clock::wall().to_zoned_datetime(self.zone.clone());
        now.strftime("%Y-%m-%dT%H:%M").to_string()
    }

    /// Adds this minute to what is known of each booth, and notes how each question is worded. The hub asks several times a minute; a minute
    /// in which nobody asked is not counted.
    ///
    /// # Errors
    /// A database or a hub that does not answer.
    pub fn observe(&self) -> Result<(), CityError> {
        let booths = self.centre.booths()?;
        let networks = self.centre.networks()?;
        let now = booth_host::clock::wall();
        self.store.change_quietly(|db| {
            exposure::observe(db, &self.zone, &booths, now)?;
            network::observe(db, &self.zone, &networks, now)
        })?;
        numbers::look(self)?;
        crate::editor::note_wordings(self)
    }
}
