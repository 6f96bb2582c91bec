//! How a booth stands, worst first, and which booths of the fleet a reader wants to see in which order.

use std::cmp::{Ordering, Reverse};

use booth_contract::{Presence, Severity};

use crate::view::BoothView;

/// What a booth is, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    CannotSpeak,
    Silent,
    NeverHeard,
    NeedsVisit,
    Watch,
    Fine,
}

pub(super) fn standing(booth: &BoothView) -> Standing {
    if !booth.heard {
        return Standing::NeverHeard;
    }
    // A stale health, or the health of a booth that is gone, says nothing about the present.
    if booth.stale || !matches!(booth.presence, Some(Presence::Online)) {
        return Standing::Silent;
    }
    if booth.ready == Some(false) {
        return Standing::CannotSpeak;
    }
    let worst = booth.alerts.iter().map(|alert| alert.severity).min();
    match worst {
        Some(Severity::CitizenCannotSpeak | Severity::NeedsVisit) => Standing::NeedsVisit,
        Some(Severity::Watch) => Standing::Watch,
        None if booth.two_serials => Standing::NeedsVisit,
        None if booth.ready.is_none() => Standing::Silent,
        None => Standing::Fine,
    }
}

pub(super) fn name(booth: &BoothView) -> &str {
    if booth.name.is_empty() {
        &booth.booth_id
    } else {
        &booth.name
    }
}

impl Standing {
    /// All, worst first.
    pub(super) const ALL: [Self; 6] = [
        Self::CannotSpeak,
        Self::Silent,
        Self::NeverHeard,
        Self::NeedsVisit,
        Self::Watch,
        Self::Fine,
    ];

    /// Its name in an address and in a table for machines.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::CannotSpeak => "cannot",
            Self::Silent => "silent",
            Self::NeverHeard => "never-heard",
            Self::NeedsVisit => "visit",
            Self::Watch => "watch",
            Self::Fine => "fine",
        }
    }

    /// Its name for people.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::CannotSpeak => "cannot take messages",
            Self::Silent => "silent",
            Self::NeverHeard => "never heard",
            Self::NeedsVisit => "needs a visit",
            Self::Watch => "to be watched",
            Self::Fine => "fine",
        }
    }
}

/// The orders in which a fleet is shown: the name in an address, and the one for people.
pub(super) const SORTS: [(&str, &str); 7] = [
    ("worst", "the worst first"),
    ("unsent", "the oldest unsent message first"),
    ("health", "the oldest health first"),
    ("hot", "the hottest first"),
    ("card", "the fullest card first"),
    ("version", "by software"),
    ("name", "by name"),
];

/// What a reader of the fleet's page has chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chosen {
    /// The booths of this standing alone.
    pub(super) show: Option<Standing>,
    /// The place in [`SORTS`].
    pub(super) sort: usize,
    /// Part of a booth's id, name or place, in small letters.
    pub(super) find: String,
    /// How many booths come before the first that is shown.
    pub(super) from: usize,
    /// The page loads itself anew.
    pub reloads: bool,
}

/// Longest text that is looked for, in characters.
const LONGEST: usize = 100;

impl Chosen {
    /// Reads the query of an address. What is not known is ignored.
    pub fn read(query: &[(String, String)]) -> Self {
        let value = |name: &str| {
            let found = query.iter().find(|(key, _)| key == name);
            found.map_or("", |(_, value)| value.as_str())
        };
        let is_shown = |standing: &Standing| standing.key() == value("show");
        Self {
            show: Standing::ALL.into_iter().find(is_shown),
            sort: SORTS
                .iter()
                .position(|(key, _)| *key == value("sort"))
                .unwrap_or(0),
            find: value("find")
                .trim()
                .chars()
                .take(LONGEST)
                .collect::<String>()
                .to_lowercase(),
            from: value("from").parse().unwrap_or(0),
            reloads: query.iter().any(|(key, _)| key == "reload"),
        }
    }

    /// The same as a query; nothing that needs no word is in it.
    pub(super) fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(show) = self.show {
            query.append_pair("show", show.key());
        }
        if self.sort > 0 {
            query.append_pair("sort", SORTS[self.sort].0);
        }
        if !self.find.is_empty() {
            query.append_pair("find", &self.find);
        }
        if self.from > 0 {
            query.append_pair("from", &self.from.to_string());
        }
        if self.reloads {
            query.append_key_only("reload");
        }
        query.finish()
    }

    /// The booths that are wanted, in the order that is wanted, from the first to the last page.
    pub(super) fn of<'a>(&self, booths: &'a [BoothView]) -> Vec<&'a BoothView> {
        let holds = |text: &str| text.to_lowercase().contains(&self.find);
        let is_wanted = |booth: &&BoothView| {
            self.show.is_none_or(|show| standing(booth) == show)
                && (self.find.is_empty()
                    || [&booth.booth_id, &booth.name, &booth.place]
                        .iter()
                        .any(|text| holds(text)))
        };
        let mut wanted: Vec<&BoothView> = booths.iter().filter(is_wanted).collect();
        wanted.sort_by(|a, b| self.order(a, b).then_with(|| a.booth_id.cmp(&b.booth_id)));
        wanted
    }

    fn order(&self, a: &BoothView, b: &BoothView) -> Ordering {
        let worst = |booth: &BoothView| (standing(booth), Reverse(booth.oldest_unsent_s));
        let most = |value: &str| {
            let of = |booth: &BoothView| booth.health.as_ref().and_then(|health| health.get(value));
            let (a, b) = (of(a).unwrap_or(f64::MIN), of(b).unwrap_or(f64::MIN));
            b.total_cmp(&a)
        };
        match SORTS[self.sort].0 {
            "unsent" => b.oldest_unsent_s.cmp(&a.oldest_unsent_s),
            // A booth that never said health comes first.
            "health" => b
                .health_age_s
                .unwrap_or(u64::MAX)
                .cmp(&a.health_age_s.unwrap_or(u64::MAX)),
            "hot" => most("cpu_temp_c"),
            "card" => most("data_used_pct"),
            "version" => a.sw_version.cmp(&b.sw_version),
            "name" => name(a).cmp(name(b)),
            _ => worst(a).cmp(&worst(b)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn booth(id: &str, unsent: u64, temperature: f64) -> BoothView {
        let health = format!("{{\"cpu_temp_c\":{temperature}}}");
        BoothView {
            heard: true,
            presence: Some(Presence::Online),
            ready: Some(true),
            oldest_unsent_s: Some(unsent),
            place: format!("Square of {id}"),
            health: booth_contract::Health::from_json(health.as_bytes())
                .ok()
                .map(Into::into),
            ..BoothView::never_heard(id)
        }
    }

    fn chosen(query: &str) -> Chosen {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        Chosen::read(&pairs)
    }

    #[test]
    fn a_reader_gets_the_booths_that_were_chosen_in_the_order_that_was_chosen() {
        let mut fleet = vec![
            booth("a", 5, 40.0),
            booth("b", 9, 70.0),
            booth("c", 7, 50.0),
        ];
        fleet[0].ready = Some(false);
        fleet.push(BoothView::never_heard("d"));
        let ids = |query: &str| -> String {
            let wanted = chosen(query).of(&fleet);
            wanted.iter().map(|booth| booth.booth_id.as_str()).collect()
        };
        assert_eq!(ids(""), "adbc");
        assert_eq!(ids("sort=unsent"), "bcad");
        assert_eq!(ids("sort=hot"), "bcad");
        assert_eq!(ids("sort=name"), "abcd");
        assert_eq!(ids("sort=health"), "abcd");
        assert_eq!(ids("show=cannot"), "a");
        assert_eq!(ids("show=fine&sort=hot"), "bc");
        assert_eq!(ids("find=SQUARE%20OF%20b"), "b");
        assert_eq!(ids("show=unheard-of&sort=none"), "adbc");
    }

    #[test]
    fn what_was_chosen_survives_an_address() {
        for query in [
            "",
            "show=silent",
            "sort=hot&find=a%26b+c&from=200",
            "show=fine&reload",
        ] {
            assert_eq!(chosen(query).query(), query);
        }
        assert_eq!(
            chosen(&format!("find={}", "x".repeat(500))).find.len(),
            LONGEST
        );
        assert_eq!(chosen("from=-1&sort=&show=").query(), "");
    }
}
