//! The whole fleet as a table for other programs (RFC 4180): one row for each booth, the worst first.

use booth_city::harmless;
use booth_contract::Health;
use booth_contract::fleet::Seen;

use super::standing::Chosen;
use crate::view::FleetView;

/// The columns before those of health, which have the contract's names (§3.2).
const FIRST: [&str; 13] = [
    "booth_id",
    "name",
    "place",
    "expected",
    "standing",
    "presence",
    "health_age_s",
    "alerts",
    "missing_clips",
    "last_clip_at",
    "sw_version",
    "config_version",
    "two_machines",
];

/// The table; an empty cell is a value that the booth did not say.
///
/// # Errors
/// Memory that is not there.
pub fn fleet_csv(view: &FleetView) -> Result<Vec<u8>, csv::Error> {
    let mut csv = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    csv.write_record(FIRST.iter().chain(Health::NAMES))?;
    for booth in Chosen::default().of(&view.booths) {
        let missing: u64 = view
            .gaps
            .iter()
            .filter(|gap| gap.booth_id == booth.booth_id)
            .map(|gap| gap.numbers)
            .sum();
        let alerts: Vec<&str> = booth.alerts.iter().map(|alert| alert.id.as_str()).collect();
        let number =
            |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
        let first = [
            harmless(&booth.booth_id),
            harmless(&booth.name),
            harmless(&booth.place),
            u8::from(booth.expected).to_string(),
            booth.standing().key().to_owned(),
            booth
                .presence
                .map_or("", crate::fleet::presence_name)
                .to_owned(),
            number(booth.health_age_s),
            harmless(&alerts.join(" ")),
            missing.to_string(),
            booth.last_clip_at.clone().unwrap_or_default(),
            harmless(booth.sw_version.as_deref().unwrap_or_default()),
            number(booth.config.as_ref().and_then(|config| config.applied)),
            u8::from(booth.two_serials).to_string(),
        ];
        let health = Health::NAMES.iter().map(|name| {
            let said = booth.health.as_ref().and_then(|health| health.get(name));
            said.map_or_else(String::new, |value| value.to_string())
        });
        csv.write_record(first.into_iter().chain(health))?;
    }
    csv.into_inner()
        .map_err(|error| csv::Error::from(error.into_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::BoothView;

    #[test]
    fn every_booth_is_a_row_and_no_cell_is_a_formula() {
        let health =
            Health::from_json(br#"{"cpu_temp_c":41.5,"wifi_rssi_dbm":-67}"#).expect("health");
        let mut hot = BoothView::never_heard("a-1");
        hot.name = "=SUM(A1), \"hot\"".into();
        hot.health = Some(health.into());
        let view = FleetView {
            booths: vec![hot, BoothView::never_heard("b-2")],
            ..FleetView::empty(jiff::Timestamp::UNIX_EPOCH)
        };
        let table = fleet_csv(&view).expect("a table");
        let mut read = csv::Reader::from_reader(&table[..]);
        let head = read.headers().expect("a head").clone();
        assert_eq!(head.len(), FIRST.len() + Health::NAMES.len());
        let rows: Vec<csv::StringRecord> = read.records().collect::<Result<_, _>>().expect("rows");
        let cell = |row: usize, name: &str| {
            let column = head.iter().position(|column| column == name).expect(name);
            rows[row][column].to_owned()
        };
        assert_eq!(rows.len(), 2);
        assert_eq!(cell(0, "name"), "'=SUM(A1), \"hot\"");
        assert_eq!(cell(0, "standing"), "never-heard");
        assert_eq!(
            (cell(0, "cpu_temp_c"), cell(0, "wifi_rssi_dbm")),
            ("41.5".into(), "-67".into())
        );
        assert_eq!(cell(1, "cpu_temp_c"), "");
    }
}
