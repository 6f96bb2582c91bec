//! `[city.alarm]` of hub.toml.
//!
//! Owns: its shape, its defaults, its check. Never does: send anything.

use std::path::{Path, PathBuf};

use booth_host::config_file::Faults;
use lettre::message::Mailbox;
use serde::Deserialize;

/// `[city.alarm]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlarmConfig {
    /// Who is told at once.
    pub first: Contact,
    /// Who is told when nobody has answered.
    pub second: Contact,
    /// So long an answer is waited for, minutes.
    pub wait_minutes: i64,
    /// The address of the staff's pages, as the contacts reach them, e.g. `https://desk.example`.
    pub desk: String,
    /// The mail server: `smtp://host:25` (as it is), `smtp://host:587?tls=required` (STARTTLS) or `smtps://host:465`.
    pub smtp: Option<String>,
    /// Whom the mail comes from.
    pub from: String,
    /// The name at the mail server.
    pub username: Option<String>,
    /// The password's file, relative to `hub.toml`.
    pub password_file: Option<PathBuf>,
    /// A file with the key that webhooks are signed with (HMAC-SHA256), relative to `hub.toml`.
    pub webhook_key_file: Option<PathBuf>,
}

/// Somebody who is told.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Contact {
    /// Who it is, for the page.
    pub name: String,
    /// A mail address.
    pub mail: Option<String>,
    /// An address that takes a POST.
    pub webhook: Option<String>,
}

/// Whether it may be asked for over HTTP.
pub(crate) fn is_address(text: &str) -> bool {
    let is_http = text.starts_with("https://") || text.starts_with("http://");
    is_http && !text.contains(char::is_whitespace)
}

impl Default for AlarmConfig {
    fn default() -> Self {
        Self {
            first: Contact::default(),
            second: Contact::default(),
            wait_minutes: 30,
            desk: "http://127.0.0.1:8080".into(),
            smtp: None,
            from: String::new(),
            username: None,
            password_file: None,
            webhook_key_file: None,
        }
    }
}

impl AlarmConfig {
    /// The files with secrets, to be resolved against the folder of `hub.toml`.
    pub fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.password_file, &mut self.webhook_key_file]
            .into_iter()
            .flatten()
    }

    /// The key that webhooks are signed with.
    pub(super) fn webhook_key(&self) -> Option<&Path> {
        self.webhook_key_file.as_deref()
    }

    /// Refuses ways to somebody that cannot work with this mail server and this key.
    pub(crate) fn check_ways(
        &self,
        mail: Option<&str>,
        webhook: Option<&str>,
        key: &str,
        faults: &mut Faults<'_>,
    ) {
        if let Some(mail) = mail {
            if mail.parse::<Mailbox>().is_err() {
                faults.that(key, format!("mail = {mail:?} is no mail address"));
            }
            if self.smtp.is_none() {
                let why = "has a mail address, and there is no mail server; write smtp = \"smtp://localhost:25\" and from into [city.alarm]";
                faults.that(key, why);
            }
        }
        if let Some(webhook) = webhook {
            if !is_address(webhook) {
                let why = format!("webhook = {webhook:?} is no address; write https://…");
                faults.that(key, why);
            }
            if self.webhook_key_file.is_none() {
                let why = "has a webhook, and there is no key to sign it with; write webhook_key_file into [city.alarm]";
                faults.that(key, why);
            }
        }
    }

    /// Refuses values that cannot work.
    pub(crate) fn check(&self, faults: &mut Faults<'_>) {
        let contacts = [("first", &self.first), ("second", &self.second)];
        for (which, contact) in contacts {
            let key = format!("[city.alarm] {which}");
            let (mail, webhook) = (contact.mail.as_deref(), contact.webhook.as_deref());
            self.check_ways(mail, webhook, &key, faults);
        }
        let (first, second) = (&self.first, &self.second);
        if first.mail.is_none() && first.webhook.is_none() {
            let is_second = second.mail.is_some() || second.webhook.is_some();
            if is_second || !first.name.is_empty() {
                let why = "has neither mail nor webhook: nobody would be told at once";
                faults.that("[city.alarm] first", why);
            }
        }
        if let Some(smtp) = &self.smtp {
            if lettre::SmtpTransport::from_url(smtp).is_err() {
                let why = format!(
                    "= {smtp:?} is no mail server; write smtp://host:25, smtp://host:587?tls=required or smtps://host:465"
                );
                faults.that("[city.alarm] smtp", why);
            }
            if self.from.parse::<Mailbox>().is_err() {
                let from = &self.from;
                let why = format!(
                    "= {from:?} is no mail address; write from = \"Telephone booths <booths@city.example>\""
                );
                faults.that("[city.alarm] from", why);
            }
        }
        if !(1..=1_440).contains(&self.wait_minutes) {
            let minutes = self.wait_minutes;
            let why = format!("= {minutes} must lie between 1 and 1440");
            faults.that("[city.alarm] wait_minutes", why);
        }
    }
}
