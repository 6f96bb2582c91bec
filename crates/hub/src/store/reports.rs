//! What each booth has said of the centre's configuration, for commands beside the running hub.
//!
//! Owns: these questions. Never does: write.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{StoreError, schema};
use booth_contract::{BoothId, ConfigReport, reading};

/// Every booth that was heard and not forgotten, with its last report. None where there is no database yet.
///
/// # Errors
/// A database that cannot be read.
pub fn config_reports(dir: &Path) -> Result<BTreeMap<BoothId, Option<ConfigReport>>, StoreError> {
    if !schema::is_there(dir)? {
        return Ok(BTreeMap::new());
    }
    let db = schema::open_in_for_reading(dir)?;
    let mut asked = db.prepare("SELECT booth_id, config FROM booth")?;
    let rows = asked.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut reports = BTreeMap::new();
    for row in rows {
        let (booth, config): (String, Option<String>) = row?;
        let report = config.and_then(|text| reading::object(text.as_bytes()).ok());
        if let Ok(booth) = BoothId::parse(&booth) {
            reports.insert(booth, report);
        }
    }
    Ok(reports)
}

/// Every booth that has introduced itself and was not forgotten. None where there is no database yet.
///
/// # Errors
/// A database that cannot be read.
pub fn introduced(dir: &Path) -> Result<BTreeSet<BoothId>, StoreError> {
    if !schema::is_there(dir)? {
        return Ok(BTreeSet::new());
    }
    let db = schema::open_in_for_reading(dir)?;
    let mut asked = db.prepare("SELECT booth_id FROM booth WHERE birth IS NOT NULL")?;
    let rows = asked.query_map([], |row| row.get::<_, String>(0))?;
    let names: Vec<String> = rows.collect::<Result<_, _>>()?;
    Ok(names
        .iter()
        .filter_map(|booth| BoothId::parse(booth).ok())
        .collect())
}
