//! `[city.login]`: the city's own login, and which groups have which roles.
//!
//! Owns: the shape of this table and its check. Never does: open a file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use booth_host::config_file::Faults;
use serde::Deserialize;

use crate::people::Role;

/// `[city.login]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoginConfig {
    /// The provider's issuer, e.g. `https://login.city.example`; without it there are passwords alone.
    pub issuer: String,
    /// What the provider calls this hub.
    pub client_id: String,
    /// The secret between the two, alone on one line.
    pub client_secret_file: Option<PathBuf>,
    /// The address under which staff reach the hub's pages; the provider sends them back to `<address>/login/return`.
    pub address: String,
    /// Further scopes beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that names the groups.
    pub groups_claim: String,
    /// The roles of each group. Without any, administrators give roles.
    pub roles: BTreeMap<String, Vec<String>>,
    /// PEM file of an authority that is believed beside the system's roots.
    pub ca_file: Option<PathBuf>,
}

impl Default for LoginConfig {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            client_id: String::new(),
            client_secret_file: None,
            address: String::new(),
            scopes: vec!["profile".into(), "email".into()],
            groups_claim: "groups".into(),
            roles: BTreeMap::new(),
            ca_file: None,
        }
    }
}

impl LoginConfig {
    /// The roles that follow from groups.
    pub(crate) fn roles_of(&self, groups: &[String]) -> BTreeSet<Role> {
        let words = groups.iter().filter_map(|group| self.roles.get(group));
        words.flatten().filter_map(|word| Role::of(word)).collect()
    }

    /// Refuses values that cannot work.
    pub(crate) fn check(&self, faults: &mut Faults) {
        if self.issuer.is_empty() {
            let is_begun = !self.client_id.is_empty() || self.client_secret_file.is_some();
            if is_begun {
                let why =
                    "is missing: name the provider, like issuer = \"https://login.city.example\"";
                faults.that("[city.login] issuer", why);
            }
            return;
        }
        // On this machine alone there is nobody on the way.
        let is_safe = |address: &str| {
            let local = ["http://localhost", "http://127.0.0.1", "http://[::1]"];
            address.starts_with("https://")
                || local.iter().any(|local| {
                    let rest = address.strip_prefix(local);
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
                })
        };
        if !is_safe(&self.issuer) {
            let why = "must begin with https://: whoever is on the way could log in as anybody";
            faults.that("[city.login] issuer", why);
        }
        if !is_safe(&self.address) {
            let why = "must be the https:// address under which staff reach the pages; the provider sends them back to <address>/login/return";
            faults.that("[city.login] address", why);
        }
        if self.client_id.is_empty() {
            let why = "is missing: the provider gives it when the hub is registered there";
            faults.that("[city.login] client_id", why);
        }
        for (group, roles) in &self.roles {
            for word in roles.iter().filter(|word| Role::of(word).is_none()) {
                let why = format!(
                    "\"{group}\" names {word:?}, which is no role; there are moderator, editor, operator, administrator, partner"
                );
                faults.that("[city.login.roles]", why);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<LoginConfig, String> {
        let config: LoginConfig =
            booth_host::config_file::parse(text, "hub.toml").map_err(|e| e.to_string())?;
        let mut faults = Faults::new("hub.toml");
        config.check(&mut faults);
        faults.verdict().map_err(|e| e.to_string())?;
        Ok(config)
    }

    const GOOD: &str =
        "issuer=\"https://login.example\"\nclient_id=\"hub\"\naddress=\"https://hub.example\"\n";

    #[test]
    fn values_that_cannot_work_get_a_sentence() {
        checked("").expect("no login of the city's own");
        checked(GOOD).expect("good");
        for (text, says) in [
            ("client_id=\"hub\"", "issuer = "),
            (
                "issuer=\"http://login.example\"",
                "must begin with https://",
            ),
            (
                "issuer=\"http://localhost.evil.example\"",
                "must begin with https://",
            ),
            (
                "issuer=\"https://login.example\"\nclient_id=\"hub\"",
                "/login/return",
            ),
            (
                "issuer=\"https://login.example\"\naddress=\"https://hub.example\"",
                "client_id",
            ),
            (&format!("{GOOD}[roles]\na=[\"admin\"]"), "no role"),
            (&format!("{GOOD}secret=\"x\""), "secret"),
        ] {
            let fault = checked(text).expect_err(text);
            assert!(fault.contains(says), "{text}: {fault}");
        }
    }

    #[test]
    fn roles_follow_from_the_groups_that_are_named() {
        let text = format!("{GOOD}[roles]\na=[\"moderator\",\"editor\"]\nb=[\"operator\"]");
        let config = checked(&text).expect("good");
        let roles = |groups: &[&str]| {
            let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
            config.roles_of(&groups)
        };
        assert_eq!(roles(&["a"]), [Role::Moderator, Role::Editor].into());
        assert_eq!(roles(&["a", "b", "c"]).len(), 3);
        assert!(roles(&["administrator", "A", ""]).is_empty());
    }
}
