//! One booth at one moment, as the judgement of [`booth_contract::fleet`] wants to see it.

use booth_contract::fleet::{self, Seen};
use booth_contract::time::Timestamp;
use booth_contract::{Presence, Severity};
use jiff::SignedDuration;

use super::book::{Booth, Raised, TWO_MACHINES_HOURS};

/// One booth at one moment.
#[derive(Debug, Clone)]
pub(super) struct Row<'a> {
    pub(super) booth: &'a Booth,
    age_s: Option<u64>,
    is_stale: bool,
    /// Its alerts, worst first.
    alerts: Vec<(&'a str, &'a Raised)>,
    has_two_machines: bool,
}

impl<'a> Row<'a> {
    pub(super) fn new(booth: &'a Booth, now: Timestamp) -> Self {
        let age = |at: Timestamp| u64::try_from(now.duration_since(at).as_secs()).unwrap_or(0);
        let age_s = booth.health_at.map(age);
        let interval = fleet::interval_s(booth.health.as_ref(), booth.birth.as_ref());
        let mut alerts: Vec<(&str, &Raised)> = booth
            .alerts
            .iter()
            .map(|(id, raised)| (id.as_str(), raised))
            .collect();
        alerts.sort_by_key(|(_, raised)| raised.severity);
        let recent = booth
            .machines
            .values()
            .filter(|at| now.duration_since(**at) < SignedDuration::from_hours(TWO_MACHINES_HOURS));
        Self {
            booth,
            age_s,
            is_stale: fleet::is_stale(age_s, interval),
            alerts,
            has_two_machines: recent.count() > 1,
        }
    }

    /// Its alerts, worst first.
    pub(super) fn alerts(&self) -> &[(&'a str, &'a Raised)] {
        &self.alerts
    }
}

impl Seen for Row<'_> {
    fn booth_id(&self) -> &str {
        &self.booth.id
    }

    fn name(&self) -> &str {
        let birth = self.booth.birth.as_ref();
        birth.map_or("", |birth| birth.name.as_str())
    }

    fn place(&self) -> &str {
        ""
    }

    fn is_heard(&self) -> bool {
        true
    }

    fn presence(&self) -> Option<Presence> {
        let card = self.booth.card.as_ref();
        let said = card.and_then(|card| self.booth.states.get(card));
        // A booth that sends health is there, even if the broker kept no state of it.
        let is_heard = self.booth.is_live && !self.is_stale;
        said.map(|(_, state)| *state)
            .or(is_heard.then_some(Presence::Online))
    }

    fn ready(&self) -> Option<bool> {
        self.booth.ready()
    }

    fn is_stale(&self) -> bool {
        self.is_stale
    }

    fn has_two_machines(&self) -> bool {
        self.has_two_machines
    }

    fn raised(&self) -> impl Iterator<Item = (&str, Severity)> {
        self.alerts
            .iter()
            .map(|(id, raised)| (*id, raised.severity))
    }

    fn health_age_s(&self) -> Option<u64> {
        self.age_s
    }

    fn oldest_unsent_s(&self) -> Option<u64> {
        fleet::whole(self.booth.health.as_ref()?, "oldest_unsent_s")
    }

    fn sw_version(&self) -> Option<&str> {
        let birth = self.booth.birth.as_ref()?;
        Some(birth.sw_version.as_str()).filter(|version| !version.is_empty())
    }

    fn value(&self, name: &str) -> Option<f64> {
        self.booth.health.as_ref()?.get(name)
    }
}
