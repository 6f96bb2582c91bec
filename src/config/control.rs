//! `[control]` and the end of a key in `[privacy]`: what the centre may do by a signed command.

use serde::Deserialize;

use crate::trust::control::ControlKeys;
use booth_host::config_file::Faults;

/// Whose signed commands this booth obeys.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Control {
    /// minisign's public keys; without any, no signed command is obeyed.
    pub keys: Vec<String>,
}

impl Control {
    /// The keys; none if an entry is no key.
    pub fn keys(&self) -> ControlKeys {
        ControlKeys::parse(&self.keys).unwrap_or_default()
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        if let Err(fault) = ControlKeys::parse(&self.keys) {
            faults.of(fault.key(), fault.why());
        }
    }
}

/// Takes a text as a day of the calendar, `YYYY-MM-DD`.
pub fn day(text: &str) -> Option<jiff::civil::Date> {
    let is_shaped = text.len() == 10 && text.is_ascii();
    is_shaped.then(|| text.parse().ok()).flatten()
}

/// What is written for a day that is none.
pub const NO_DAY: &str = "is no day; write one like \"2027-03-31\"";
