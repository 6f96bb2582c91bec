//! What says what the tables are: README.md, CHANGES.md, datapackage.json, catalog.jsonld.
//!
//! Owns: their words. The columns come from [`super::columns`]. Never does: read a message.

use std::fmt::Write as _;
use std::io::Write;

use serde_json::{Value, json};

use super::columns::{TABLES, Table};
use super::{ALL, FILES};
use crate::City;
use crate::store::CityError;

/// The version of the columns; it rises when one changes, and CHANGES.md says how.
const VERSION: &str = "1.0.0";

fn write(out: &mut dyn Write, text: &str) -> Result<(), CityError> {
    out.write_all(text.as_bytes())
        .map_err(|error| CityError::Failed(format!("it cannot be written: {error}")))
}

pub(super) fn readme(city: &City, out: &mut dyn Write) -> Result<(), CityError> {
    let name = &city.config.name;
    let licence = &city.config.licence;
    let mut text = format!(
        "# What citizens said in {name}'s telephone booths\n\n\
         Version {VERSION} of the columns. Licence: {licence}. Text in UTF-8, CSV as RFC 4180 says, days in the time zone {}.\n\n\
         What is here: messages that their citizens allowed to be published and that a person has looked at; counts of all messages; votes \
         cast; where booths stood and how long they were ready. What is not: messages whose citizens did not allow it, that were rejected, or \
         that were taken back.\n\n\
         Counts are rounded down to a multiple of five, and what has fewer than five is merged, so that nobody can be found in them: not by \
         subtracting one table from another, nor yesterday's file from today's.\n\n\
         If you keep a copy: read `withdrawn.csv` at each release and delete what it names.\n",
        city.config.time_zone
    );
    for Table {
        file,
        title,
        columns,
        ..
    } in &TABLES
    {
        // A text in memory takes everything.
        let _ = write!(
            text,
            "\n## {file}\n\n{title}.\n\n| column | type | meaning |\n| --- | --- | --- |\n"
        );
        for column in *columns {
            let _ = writeln!(
                text,
                "| `{}` | {} | {} |",
                column.name, column.kind, column.says
            );
        }
    }
    text.push_str(
        "\n## placements.geojson, areas.geojson\n\nGeoJSON (RFC 7946). A placement is a booth at a place from one day to another; without `until` it \
         stands there.\n",
    );
    if !city.config.contact.is_empty() {
        let _ = write!(text, "\nQuestions: {}\n", city.config.contact);
    }
    write(out, &text)
}

pub(super) fn changes(_: &City, out: &mut dyn Write) -> Result<(), CityError> {
    write(
        out,
        "# Changes of the columns\n\n## 1.0.0\n\nThe first version.\n",
    )
}

fn resource(table: &Table) -> Value {
    let fields = table.columns.iter().map(
        |column| json!({"name": column.name, "type": column.kind, "description": column.says}),
    );
    json!({
        "name": table.file.trim_end_matches(".csv").replace('_', "-"),
        "path": table.file,
        "title": table.title,
        "profile": "tabular-data-resource",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "dialect": {"delimiter": ",", "lineTerminator": "\r\n"},
        "schema": {"fields": fields.collect::<Vec<_>>(), "primaryKey": table.key, "missingValues": [""]},
    })
}

pub(super) fn datapackage(city: &City, out: &mut dyn Write) -> Result<(), CityError> {
    let licence = &city.config.licence;
    let package = json!({
        "profile": "tabular-data-package",
        "name": "telephone-booths",
        "title": format!("What citizens said in {}'s telephone booths", city.config.name),
        "version": VERSION,
        "homepage": city.config.address,
        "licenses": [{"name": licence, "path": format!("https://spdx.org/licenses/{licence}.html")}],
        "resources": TABLES.iter().map(resource).collect::<Vec<_>>(),
    });
    serde_json::to_writer_pretty(out, &package)
        .map_err(|error| CityError::Failed(format!("it cannot be written: {error}")))
}

/// A DCAT-AP catalogue in JSON-LD.
pub(super) fn catalog(city: &City, out: &mut dyn Write) -> Result<(), CityError> {
    let address = city.config.address.trim_end_matches('/');
    let data = format!("{address}/data");
    let licence = format!("https://spdx.org/licenses/{}", city.config.licence);
    let title = format!(
        "What citizens said in {}'s telephone booths",
        city.config.name
    );
    let distribution = |name: &str, kind: &str| {
        let kind = kind.split(';').next().unwrap_or(kind);
        json!({
            "@id": format!("{data}/{name}#distribution"),
            "@type": "dcat:Distribution",
            "dct:title": name,
            "dcat:accessURL": {"@id": format!("{data}/{name}")},
            "dcat:downloadURL": {"@id": format!("{data}/{name}")},
            "dcat:mediaType": {"@id": format!("https://www.iana.org/assignments/media-types/{kind}")},
            "dct:license": {"@id": licence},
        })
    };
    let files = FILES.iter().map(|file| distribution(file.name, file.kind));
    let files: Vec<Value> = files
        .chain([distribution(ALL, "application/zip")])
        .collect();
    let catalogue = json!({
        "@context": {
            "dcat": "http://www.w3.org/ns/dcat#", "dct": "http://purl.org/dc/terms/", "foaf": "http://xmlns.com/foaf/0.1/",
            "vcard": "http://www.w3.org/2006/vcard/ns#",
        },
        "@id": format!("{data}/catalog.jsonld"),
        "@type": "dcat:Catalog",
        "dct:title": title,
        "dct:description": "Open data of the city's telephone booths.",
        "dct:publisher": {"@type": "foaf:Agent", "foaf:name": city.config.name},
        "dcat:dataset": {
            "@id": format!("{data}/#dataset"),
            "@type": "dcat:Dataset",
            "dct:title": title,
            "dct:description": "Messages that citizens spoke in telephone booths and allowed to be published, votes cast, and where booths stood.",
            "dct:publisher": {"@type": "foaf:Agent", "foaf:name": city.config.name},
            "dct:accrualPeriodicity": {"@id": "http://publications.europa.eu/resource/authority/frequency/CONT"},
            "dcat:theme": {"@id": "http://publications.europa.eu/resource/authority/data-theme/GOVE"},
            "dcat:contactPoint": {"@type": "vcard:Organization", "vcard:fn": city.config.name, "vcard:note": city.config.contact},
            "dcat:distribution": files,
        },
    });
    serde_json::to_writer_pretty(out, &catalogue)
        .map_err(|error| CityError::Failed(format!("it cannot be written: {error}")))
}
