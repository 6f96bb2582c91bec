//! `booth-hub areas …`: the city's areas from a file.
//!
//! Owns: the arguments. Never does: judge a file; the city does, and what was in force stays when it refuses one.

use std::path::PathBuf;

use booth_city::CityError;
use booth_host::config_file::ConfigError;
use booth_host::{plain_file, say};
use clap::Subcommand;

use crate::config::HubConfig;

/// Largest file that is read, bytes: a little more than the city takes, so that it is the city that says so.
const MOST_BYTES: u64 = 21_000_000;

/// The verbs of `booth-hub areas`.
#[derive(Debug, Subcommand)]
pub enum Areas {
    /// Put the areas of a GeoJSON file in the place of those that there are
    ///
    /// The file is in longitude and latitude (RFC 7946); another projection is refused with the command that brings it there. An area
    /// keeps its id for as long as it keeps its name. A file that lacks an area where a booth stands or stood is refused.
    #[command(verbatim_doc_comment)]
    Import {
        /// The GeoJSON file
        file: PathBuf,
        /// The property that is an area's name, if it is not called name or navn
        #[arg(long, value_name = "PROPERTY")]
        name: Option<String>,
        /// The hub's configuration
        #[arg(long, value_name = "FILE", default_value = "/etc/booth-hub/hub.toml")]
        config: PathBuf,
    },
}

/// Why areas were not taken over.
#[derive(Debug, thiserror::Error)]
pub enum AreasError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The file cannot be read.
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    File(PathBuf, std::io::Error),
    /// The city refuses it.
    #[error(transparent)]
    City(#[from] CityError),
}

/// Does what a verb says.
///
/// # Errors
/// Why it was not done; what was in force stays.
pub fn run(areas: Areas) -> Result<(), AreasError> {
    let Areas::Import { file, name, config } = areas;
    let hub = HubConfig::load(&config)?;
    let bytes = plain_file::read_at_most(&file, MOST_BYTES)
        .map_err(|error| AreasError::File(file.clone(), error))?;
    let sentence = booth_city::places::import_areas(&hub.store.dir, &bytes, name.as_deref())?;
    say!("{sentence}");
    Ok(())
}
