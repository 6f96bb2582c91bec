//! Which booths of the fleet a reader wants to see, in which order; how they stand is [`booth_contract::fleet`]'s.

use booth_contract::fleet::{self, SORTS, Seen, Standing};
use booth_contract::{Presence, Severity};

use crate::view::BoothView;

impl Seen for BoothView {
    fn booth_id(&self) -> &str {
        &self.booth_id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn place(&self) -> &str {
        &self.place
    }

    fn is_heard(&self) -> bool {
        self.heard
    }

    fn presence(&self) -> Option<Presence> {
        self.presence
    }

    fn ready(&self) -> Option<bool> {
        self.ready
    }

    fn is_stale(&self) -> bool {
        self.stale
    }

    fn has_two_machines(&self) -> bool {
        self.two_serials
    }

    fn raised(&self) -> impl Iterator<Item = (&str, Severity)> {
        let alerts = self.alerts.iter();
        alerts.map(|alert| (alert.id.as_str(), alert.severity))
    }

    fn health_age_s(&self) -> Option<u64> {
        self.health_age_s
    }

    fn oldest_unsent_s(&self) -> Option<u64> {
        self.oldest_unsent_s
    }

    fn sw_version(&self) -> Option<&str> {
        self.sw_version.as_deref()
    }

    fn value(&self, name: &str) -> Option<f64> {
        self.health.as_ref()?.get(name)
    }
}

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
        let is_wanted = |booth: &&BoothView| {
            self.show.is_none_or(|show| booth.standing() == show) && booth.has(&self.find)
        };
        let mut wanted: Vec<&BoothView> = booths.iter().filter(is_wanted).collect();
        wanted.sort_by(|a, b| fleet::order(self.sort, *a, *b));
        wanted
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
