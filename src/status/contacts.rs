//! The contacts as a technician sees them: by the names of booth.toml, with line and level. Pure.

use serde::{Deserialize, Serialize};

use crate::config::{Backend, Handset, Level};
use gateway_core::panel::Line;

/// One contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Its key under `[handset]`.
    pub name: String,
    /// Its GPIO line; none at a simulated handset.
    pub line: Option<u32>,
    /// `high` or `low`; none while the level is not known.
    pub level: Option<String>,
    /// 1 while it is active (off-hook, pressed, open …), else 0; none while that is not known.
    pub active: Option<u8>,
}

/// Every contact that the configuration names, in its present state. A taught hook rests at the other level (`is_inverted`).
pub fn contacts(config: &Handset, levels: &[(Line, bool)], is_inverted: bool) -> Vec<Contact> {
    if config.backend == Backend::Usb {
        // Keys of a device have neither line nor level.
        let one = |(line, is_active): &(Line, bool)| Contact {
            name: line.key().into(),
            line: None,
            level: None,
            active: Some(u8::from(*is_active)),
        };
        return levels.iter().map(one).collect();
    }
    let one = |(line, number, active_at, _): (Line, u32, Level, _)| {
        let found = levels.iter().find(|(known, _)| *known == line);
        let is_active = found.map(|(_, is_active)| *is_active);
        let is_turned = is_inverted && line == Line::OffHook;
        let is_high = is_active.map(|is_active| active_at.is(is_active) != is_turned);
        Contact {
            name: line.key().into(),
            line: Some(number),
            level: is_high.map(|is_high| if is_high { "high" } else { "low" }.into()),
            active: is_active.map(u8::from),
        }
    };
    config.contacts().into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_has_its_level_by_its_polarity_and_none_before_it_is_read() {
        let config = Handset::default();
        let hook = |levels: &[(Line, bool)], taught| {
            let hook = contacts(&config, levels, taught).remove(0);
            (hook.name, hook.line, hook.level, hook.active)
        };
        let (name, line) = ("hook".to_owned(), Some(17));
        assert_eq!(hook(&[], false), (name.clone(), line, None, None));
        // Without a configured level, off-hook is low.
        let off = [(Line::OffHook, true)];
        assert_eq!(
            hook(&off, false),
            (name.clone(), line, Some("low".into()), Some(1))
        );
        assert_eq!(hook(&off, true), (name, line, Some("high".into()), Some(1)));
    }
}
