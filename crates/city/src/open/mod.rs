//! Open data: what anybody may take and use, at addresses that stay.
//!
//! ```text
//! city.sqlite ──rows──▶ tables (one function a file: rows out, nothing kept) ──▶ /data/<file>, or one after the other into /data/all.zip
//! ```
//!
//! Owns: which files there are, their columns ([`columns`]), and how they leave: row by row, so that a hundred thousand messages need no more
//! memory than one. Never does: give out what is not published, a time of day finer than a quarter of it, or a count that is not from
//! `small_cells`. A message of a question that is stopped is in no file meanwhile. A message that is taken back is in no file from then on;
//! only its id, if it was ever published, is in `withdrawn.csv`.

mod about;
pub(crate) mod columns;
mod leaving;
mod tables;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::City;
use crate::sentence;
use crate::store::CityError;
use crate::web::{Fault, get};

/// One file of the open data.
pub(crate) struct File {
    /// Its name below `/data/`, which stays.
    pub(crate) name: &'static str,
    /// Its media type.
    pub(crate) kind: &'static str,
    pub(crate) write: fn(&City, &mut dyn Write) -> Result<(), CityError>,
}

/// All files, in the order in which they stand in the ZIP.
pub(crate) const FILES: [File; 12] = [
    File {
        name: "README.md",
        kind: "text/markdown; charset=utf-8",
        write: about::readme,
    },
    File {
        name: "CHANGES.md",
        kind: "text/markdown; charset=utf-8",
        write: about::changes,
    },
    File {
        name: "datapackage.json",
        kind: "application/json",
        write: about::datapackage,
    },
    File {
        name: "catalog.jsonld",
        kind: "application/ld+json",
        write: about::catalog,
    },
    File {
        name: "messages.csv",
        kind: CSV,
        write: tables::messages,
    },
    File {
        name: "counts_by_area_day.csv",
        kind: CSV,
        write: tables::counts,
    },
    File {
        name: "votes.csv",
        kind: CSV,
        write: tables::votes,
    },
    File {
        name: "placements.geojson",
        kind: "application/geo+json",
        write: tables::placements,
    },
    File {
        name: "areas.geojson",
        kind: "application/geo+json",
        write: tables::areas,
    },
    File {
        name: "comments.csv",
        kind: CSV,
        write: tables::comments,
    },
    File {
        name: "exposure.csv",
        kind: CSV,
        write: tables::exposure,
    },
    File {
        name: "withdrawn.csv",
        kind: CSV,
        write: tables::withdrawn,
    },
];

const CSV: &str = "text/csv; charset=utf-8";
/// The name of all of them together.
pub(crate) const ALL: &str = "all.zip";

/// The files, for citizens.
pub(crate) fn routes() -> Router<Arc<City>> {
    Router::new().route("/data/{file}", get(file))
}

async fn file(State(city): State<Arc<City>>, Path(name): Path<String>) -> Result<Response, Fault> {
    let (kind, body) = match FILES.iter().position(|file| file.name == name) {
        Some(at) => {
            let write = move |city: &City, out: &mut dyn Write| (FILES[at].write)(city, out);
            (FILES[at].kind, leaving::body(city, write))
        }
        None if name == ALL => ("application/zip", leaving::body(city, whole)),
        None => return Err(Fault::not_here()),
    };
    let Some(body) = body else {
        return Err(Fault::new(
            StatusCode::SERVICE_UNAVAILABLE,
            sentence!("fault-many-files"),
        ));
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    // Anybody's page may use it.
    let anybody = HeaderValue::from_static("*");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, anybody);
    Ok(response)
}

/// Everything in one ZIP, written as it leaves.
fn whole(city: &City, out: &mut dyn Write) -> Result<(), CityError> {
    let failed = |error: &dyn std::fmt::Display| CityError::Failed(error.to_string());
    let mut zip = zip::ZipWriter::new_stream(out);
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated)
        .compression_level(Some(3))
        .large_file(true);
    for file in &FILES {
        zip.start_file(file.name, options)
            .map_err(|error| failed(&error))?;
        (file.write)(city, &mut zip)?;
    }
    zip.finish().map_err(|error| failed(&error))?;
    Ok(())
}
