//! The text of a scrape: OpenMetrics.
//!
//! Owns: the families of the hub and of the booths, their labels, and how much there may be of each. Pure. Never does: take a name from a
//! message: a label is a booth's id, or a word of a table in this program.

use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::Arc;

use booth_contract::{AlertId, Presence, Severity};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType::{self, Counter, Gauge, Histogram, Info};
use prometheus_client::registry::{Registry, Unit};

use super::meters::Meters;
use super::values::VALUES;
use crate::store::measures::{Free, MOST_BOOTHS, Measures};
use crate::view::{BoothView, FleetView};

/// Everything that one scrape tells.
#[derive(Debug)]
pub(super) struct Scrape {
    pub(super) meters: Arc<Meters>,
    pub(super) is_connected: bool,
    pub(super) is_ready: bool,
    pub(super) measures: Measures,
    pub(super) fleet: FleetView,
    pub(super) reserve_bytes: u64,
    /// `None` where the disk does not answer.
    pub(super) free: Option<Free>,
    /// Messages that wait for a decision, and for how many seconds the oldest does; `None` where the city does not answer.
    pub(super) desk: Option<(u64, u64)>,
}

/// The text (OpenMetrics 1.0).
///
/// # Errors
/// Never, in a string.
pub(super) fn text(scrape: Scrape) -> Result<String, Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(scrape));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

/// Families, one after the other.
struct Families<'a>(DescriptorEncoder<'a>);

/// The unit at the end of a family's name.
fn unit_of(family: &str) -> Option<(&str, Unit)> {
    for unit in ["seconds", "bytes", "celsius", "ratio", "dbm", "dbfs"] {
        let name = family
            .strip_suffix(unit)
            .and_then(|name| name.strip_suffix('_'));
        if let Some(name) = name {
            return Some((name, Unit::Other(unit.to_owned())));
        }
    }
    None
}

impl Families<'_> {
    /// A family, written by `write`.
    fn family(
        &mut self,
        family: &str,
        kind: MetricType,
        help: &str,
        write: impl FnOnce(MetricEncoder<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let unit = unit_of(family);
        let (name, unit) = match &unit {
            Some((name, unit)) => (*name, Some(unit)),
            None => (family, None),
        };
        write(self.0.encode_descriptor(name, help, unit, kind)?)
    }

    fn gauge(&mut self, family: &str, help: &str, value: f64) -> Result<(), Error> {
        self.family(family, Gauge, help, |mut encoder| {
            number(&mut encoder, Gauge, value)
        })
    }

    fn counter(&mut self, family: &str, help: &str, value: u64) -> Result<(), Error> {
        self.family(family, Counter, help, |mut encoder| {
            number(&mut encoder, Counter, value as f64)
        })
    }

    /// A value for each word.
    fn each(
        &mut self,
        (family, kind, help): (&str, MetricType, &str),
        label: &str,
        values: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> Result<(), Error> {
        self.family(family, kind, help, |mut encoder| {
            for (word, value) in values {
                labelled(&mut encoder, &[(label, word)], kind, value as f64)?;
            }
            Ok(())
        })
    }
}

fn labelled<const N: usize>(
    encoder: &mut MetricEncoder<'_>,
    labels: &[(&str, &str); N],
    kind: MetricType,
    value: f64,
) -> Result<(), Error> {
    number(&mut encoder.encode_family(labels)?, kind, value)
}

/// Whole numbers are written without a fraction.
fn number(encoder: &mut MetricEncoder<'_>, kind: MetricType, value: f64) -> Result<(), Error> {
    let is_whole = value.fract() == 0.0 && value.abs() < 9.0e15;
    match (kind, is_whole && value >= 0.0) {
        (Counter, true) => encoder.encode_counter::<NoLabelSet, _, f64>(&(value as u64), None),
        (Counter, false) => encoder.encode_counter::<NoLabelSet, _, f64>(&value, None),
        _ if is_whole => encoder.encode_gauge(&(value as i64)),
        _ => encoder.encode_gauge(&value),
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut families = Families(encoder);
        self.hub(&mut families)?;
        self.store(&mut families)?;
        self.booths(&mut families)?;
        self.alerts(&mut families)?;
        self.gaps(&mut families)
    }
}

impl Scrape {
    fn hub(&self, families: &mut Families<'_>) -> Result<(), Error> {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        families.family(
            "booth_hub_build",
            Info,
            "The hub's version.",
            |mut encoder| encoder.encode_info(&version),
        )?;
        families.gauge(
            "booth_hub_broker_connected",
            "Whether the hub is connected to its broker and subscribed: 1 or 0.",
            f64::from(self.is_connected),
        )?;
        families.gauge(
            "booth_hub_ready",
            "Whether the hub takes messages, as /readyz says it: 1 or 0.",
            f64::from(self.is_ready),
        )?;
        let meters = &self.meters;
        families.each(
            (
                "booth_hub_messages",
                Counter,
                "Messages that came, by their kind.",
            ),
            "kind",
            meters.received(),
        )?;
        families.counter(
            "booth_hub_messages_refused",
            "Messages that were dropped, because their sender's budget was used up or too much waited.",
            meters.refused(),
        )?;
        families.counter(
            "booth_hub_received_bytes",
            "Bytes of topics and payloads of the messages that came.",
            meters.received_bytes(),
        )?;
        families.each(
            (
                "booth_hub_acks",
                Counter,
                "Answers to booths about their clips, by what they say.",
            ),
            "status",
            meters.acks(),
        )?;
        families.each(
            (
                "booth_hub_queue_messages",
                Gauge,
                "Messages that wait, at the last second.",
            ),
            "queue",
            meters.queues(),
        )?;
        families.family(
            "booth_hub_batch_jobs",
            Histogram,
            "Messages and answers from home that shared a commit.",
            |encoder| meters.batches.encode(encoder),
        )?;
        families.family(
            "booth_hub_commit_seconds",
            Histogram,
            "How long a batch took, from its first message until it was durable.",
            |encoder| meters.commits.encode(encoder),
        )?;
        families.counter(
            "booth_hub_store_failures",
            "Batches that the store could not keep; their booths send them again.",
            meters.failures(),
        )
    }

    fn store(&self, families: &mut Families<'_>) -> Result<(), Error> {
        let measures = &self.measures;
        families.each(
            (
                "booth_hub_clips",
                Gauge,
                "Clips that are kept: counted, or held until an operator has looked at them.",
            ),
            "state",
            [("counted", measures.counted), ("held", measures.held)],
        )?;
        families.gauge(
            "booth_hub_clip_bytes",
            "Bytes of all clips that are kept.",
            measures.clip_bytes as f64,
        )?;
        families.each(
            (
                "booth_hub_operator_entries",
                Gauge,
                "What an operator should look at: clips that were refused and are with their booths, and what is kept and flagged.",
            ),
            "what",
            [("refused", measures.refused), ("kept", measures.to_look_at)],
        )?;
        families.gauge(
            "booth_hub_disputed_files",
            "Files of second versions of clips, and of what lay in a clip's place.",
            measures.disputed_files as f64,
        )?;
        families.gauge(
            "booth_hub_withdrawals_waiting",
            "Withdrawals that wait for their turn, for the desk or for an operator.",
            measures.withdrawals_waiting as f64,
        )?;
        families.each(
            (
                "booth_hub_database_bytes",
                Gauge,
                "The databases with SQLite's logs.",
            ),
            "database",
            measures.databases,
        )?;
        families.gauge(
            "booth_hub_disk_reserve_bytes",
            "With less free the hub takes nothing more ([store] reserve_bytes).",
            self.reserve_bytes as f64,
        )?;
        if let Some(free) = self.free {
            families.gauge(
                "booth_hub_disk_free_bytes",
                "Free on the disk of the store.",
                free.bytes as f64,
            )?;
            if free.files < 1 << 53 {
                families.gauge(
                    "booth_hub_disk_free_files",
                    "Files that can still be made on the disk of the store; absent where there is no limit.",
                    free.files as f64,
                )?;
            }
        }
        if let Some((messages, oldest_s)) = self.desk {
            families.gauge(
                "booth_hub_desk_messages",
                "Messages that wait for a moderator's decision.",
                messages as f64,
            )?;
            families.gauge(
                "booth_hub_desk_oldest_seconds",
                "For how long the oldest of them has waited since it arrived; 0 where none waits.",
                oldest_s as f64,
            )?;
        }
        Ok(())
    }

    /// The booths that are told.
    fn told(&self) -> Vec<&BoothView> {
        told(&self.fleet.booths, MOST_BOOTHS)
    }

    fn booths(&self, families: &mut Families<'_>) -> Result<(), Error> {
        let told = self.told();
        families.family(
            "booth_up",
            Gauge,
            "Whether the booth is there: connected by its own word, and with a health that is not older than three of its intervals: 1 or 0.",
            |mut encoder| {
                for booth in &told {
                    let is_up = booth.presence == Some(Presence::Online) && !booth.stale;
                    let labels = [("booth", booth.booth_id.as_str())];
                    labelled(&mut encoder, &labels, Gauge, f64::from(is_up))?;
                }
                Ok(())
            },
        )?;
        families.family(
            "booth_state",
            Gauge,
            "1 with the state that the booth is in: online, offline, lost, unknown or never_heard.",
            |mut encoder| {
                for booth in &told {
                    let labels = [
                        ("booth", booth.booth_id.as_str()),
                        ("state", state_of(booth)),
                    ];
                    labelled(&mut encoder, &labels, Gauge, 1.0)?;
                }
                Ok(())
            },
        )?;
        families.family(
            "booth_health_age_seconds",
            Gauge,
            "Time since the last health, by the hub's clock.",
            |mut encoder| {
                for (booth, age) in told
                    .iter()
                    .filter_map(|booth| Some((booth, booth.health_age_s?)))
                {
                    let labels = [("booth", booth.booth_id.as_str())];
                    labelled(&mut encoder, &labels, Gauge, age as f64)?;
                }
                Ok(())
            },
        )?;
        let healths: BTreeMap<&str, _> = self
            .measures
            .healths
            .iter()
            .map(|(booth, health)| (booth.as_str(), health))
            .collect();
        for value in VALUES {
            families.family(value.family, value.kind, value.help, |mut encoder| {
                for booth in &told {
                    let said = healths.get(booth.booth_id.as_str());
                    let said = said.and_then(|health| health.get(value.said));
                    let said = said.map(|said| in_base_unit(said, value.factor));
                    // A counter that falls below zero is none.
                    let is_one =
                        |said: &f64| said.is_finite() && (value.kind == Gauge || *said >= 0.0);
                    if let Some(said) = said.filter(is_one) {
                        let labels = [("booth", booth.booth_id.as_str())];
                        labelled(&mut encoder, &labels, value.kind, said)?;
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn alerts(&self, families: &mut Families<'_>) -> Result<(), Error> {
        let told = self.told();
        families.family(
            "booth_alert_raised",
            Gauge,
            "Alerts that a booth has raised, by docs/alerts.md; those outside that table count together as other.",
            |mut encoder| {
                for booth in told {
                    let mut raised: BTreeMap<(&str, &str), u64> = BTreeMap::new();
                    for alert in &booth.alerts {
                        let name = AlertId::parse(&alert.id).map_or("other", AlertId::as_str);
                        *raised.entry((name, severity_of(alert.severity))).or_default() += 1;
                    }
                    for ((alert, severity), times) in raised {
                        let labels = [
                            ("booth", booth.booth_id.as_str()),
                            ("alert", alert),
                            ("severity", severity),
                        ];
                        labelled(&mut encoder, &labels, Gauge, times as f64)?;
                    }
                }
                Ok(())
            },
        )
    }

    fn gaps(&self, families: &mut Families<'_>) -> Result<(), Error> {
        let mut missing: BTreeMap<(&str, &'static str), u64> = BTreeMap::new();
        for gap in &self.fleet.gaps {
            *missing
                .entry((&gap.booth_id, gap_of(&gap.kind)))
                .or_default() += gap.numbers;
        }
        families.family(
            "booth_missing_clips",
            Gauge,
            "Clip numbers that the hub does not have, by where the clip must be; of the cards that the operations page lists.",
            |mut encoder| {
                for ((booth, place), numbers) in missing {
                    let labels = [("booth", booth), ("place", place)];
                    labelled(&mut encoder, &labels, Gauge, numbers as f64)?;
                }
                Ok(())
            },
        )?;
        families.gauge(
            "booth_hub_gaps",
            "Cards whose clip numbers have gaps, by each place where a clip must be.",
            self.fleet.gaps_total as f64,
        )
    }
}

/// At most so many booths: those of `hub.toml` before those that were only heard.
fn told(booths: &[BoothView], most: usize) -> Vec<&BoothView> {
    let mut told: Vec<&BoothView> = booths.iter().collect();
    told.sort_by(|a, b| (!a.expected, &a.booth_id).cmp(&(!b.expected, &b.booth_id)));
    told.truncate(most);
    told
}

/// A float in a decimal unit shows its own digits again: 55 per cent are 0.55.
fn in_base_unit(said: f64, factor: f64) -> f64 {
    match factor < 1.0 {
        true => said / (1.0 / factor).round(),
        false => said * factor,
    }
}

fn state_of(booth: &BoothView) -> &'static str {
    match booth.presence {
        _ if !booth.heard => "never_heard",
        Some(presence) => crate::fleet::presence_name(presence),
        None => "unknown",
    }
}

fn severity_of(severity: Severity) -> &'static str {
    match severity {
        Severity::CitizenCannotSpeak => "citizen_cannot_speak",
        Severity::NeedsVisit => "needs_visit",
        Severity::Watch => "watch",
    }
}

fn gap_of(kind: &str) -> &'static str {
    match kind {
        "missing_between" => "missing_between",
        "still_on_booth" => "still_on_booth",
        _ => "card_gone",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn booth(id: &str, expected: bool) -> BoothView {
        BoothView {
            expected,
            heard: true,
            ..BoothView::never_heard(id)
        }
    }

    #[test]
    fn more_booths_than_are_told_leave_those_of_the_configuration() {
        let booths = [
            booth("a-liar", false),
            booth("b-liar", false),
            booth("ours-1", true),
        ];
        let ids: Vec<&str> = told(&booths, 2)
            .iter()
            .map(|booth| booth.booth_id.as_str())
            .collect();
        assert_eq!(ids, ["ours-1", "a-liar"]);
    }

    #[test]
    fn a_unit_stands_at_the_end_of_a_familys_name_alone() {
        let unit = |family| unit_of(family).map(|(name, unit)| (name, unit.as_str().to_owned()));
        assert_eq!(
            unit("booth_spool_bytes"),
            Some(("booth_spool", "bytes".into()))
        );
        assert_eq!(unit("booth_spool_clips"), None);
    }

    #[test]
    fn a_number_keeps_its_own_digits_in_another_unit() {
        assert_eq!(in_base_unit(55.0, 0.01), 0.55);
        assert_eq!(in_base_unit(7.0, 0.001), 0.007);
        assert_eq!(in_base_unit(1.5, 1_000_000.0), 1_500_000.0);
    }
}
