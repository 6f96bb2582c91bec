//! What operations are shown of deliveries that do not go through.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{BUSY_STALE, Confirmation, Delivery};
use booth_contract::AlertId;
use booth_contract::time::Mono;

/// A broker that takes nothing, and lets no clip through for this long, is reported.
const BUSY_PATIENCE: Duration = Duration::from_secs(600);
/// While the hub is away, waiting clips are reported to operations only after this.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

impl Delivery {
    /// The alerts for operations.
    pub fn alerts(&self, now: Mono) -> BTreeMap<AlertId, String> {
        let mut alerts = BTreeMap::new();
        if self.nobody_listens {
            alerts.insert(
                AlertId::HubNotListening,
                AlertId::HubNotListening.meaning().to_owned(),
            );
        }
        let overdue = self.oldest_unsent(now).is_some_and(|age| age >= PATIENCE);
        if self.confirmation == Confirmation::Hub && !self.hub_online && overdue {
            let text = format!(
                "The hub has been away; {} clips wait, the oldest for over 24 h.",
                self.unsent()
            );
            alerts.insert(AlertId::HubNotListening, text);
        }
        let id_of = |number: &u64| {
            self.items
                .get(number)
                .map_or("", |item| item.offer.clip_id.as_str())
        };
        if let Some((number, why)) = self.refused.iter().next() {
            let text = format!(
                "The broker refuses {} clips, the first {}: {why}.",
                self.refused.len(),
                id_of(number)
            );
            alerts.insert(AlertId::ClipRefusedByBroker, text);
        } else if let Some(busy) = self.busy.as_ref().filter(|_| !self.items.is_empty())
            && now.since(busy.since) >= BUSY_PATIENCE
            && now.since(busy.last) < BUSY_STALE
        {
            let text = format!(
                "For over {} minutes the broker has let no clip through: {}. They are kept on the card and offered again.",
                BUSY_PATIENCE.as_secs() / 60,
                busy.why
            );
            alerts.insert(AlertId::ClipRefusedByBroker, text);
        }
        let mut troubled = self.items.values();
        if let Some((item, why)) = troubled.find_map(|item| Some((item, item.trouble.as_ref()?))) {
            let text = format!(
                "The card fails for clip {}: {why}. It is tried again, with growing pauses.",
                item.offer.clip_id
            );
            alerts.insert(AlertId::DiskErrors, text);
        }
        alerts
    }
}
