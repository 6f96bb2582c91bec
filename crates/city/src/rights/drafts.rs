//! Drafts of what a city has to write about its processing: the impact assessment (GDPR Art. 35) and the record of processing (Art. 30).
//!
//! Owns: which facts of the configuration in force stand where. Pure: the texts are templates in Danish and English, and every gap that a
//! person has to fill is marked. Never does: judge a risk, or name a legal basis: people do, and sign.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::centre::Campaign;
use crate::config::{CityConfig, Contact};
use crate::people::Role;
use crate::people::accounts::Account;
use crate::words::Words;

/// Who can open what citizens said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// The hub has the city's private key.
    Here,
    /// It seals to public keys, and the private ones are elsewhere.
    Elsewhere,
    /// There are no keys: what arrives open stays open.
    None,
}

/// How the pages are protected on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A proxy with TLS is in front.
    Proxy,
    /// The hub has its own certificate.
    OwnCertificate,
    /// The pages are reached from the hub's own machine alone.
    SameMachine,
}

/// What is in force.
#[derive(Debug, Clone)]
pub struct Processing<'a> {
    /// `[city]`.
    pub city: &'a CityConfig,
    /// The keys.
    pub keys: Keys,
    /// The city's public keys, `age1…`.
    pub recipients: usize,
    /// How the pages are reached.
    pub way: Way,
    /// The booths that are expected: id, name, place.
    pub booths: &'a [(String, String, String)],
    /// The campaigns that are published to booths.
    pub campaigns: &'a [Campaign],
    /// The accounts, closed ones too.
    pub accounts: &'a [Account],
    /// The day, `YYYY-MM-DD`.
    pub day: &'a str,
}

/// Both drafts, in Markdown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drafts {
    /// The impact assessment.
    pub impact: String,
    /// The record of processing.
    pub record: String,
}

const IMPACT: [(&str, &str); 2] = [
    ("da", include_str!("drafts/impact.da.md")),
    ("en", include_str!("drafts/impact.en.md")),
];
const RECORD: [(&str, &str); 2] = [
    ("da", include_str!("drafts/record.da.md")),
    ("en", include_str!("drafts/record.en.md")),
];

/// The languages in which there are drafts.
pub const LANGUAGES: [&str; 2] = ["da", "en"];

fn in_language(texts: [(&'static str, &'static str); 2], language: &str) -> &'static str {
    let found = texts.iter().find(|(known, _)| *known == language);
    found.map_or(texts[1].1, |(_, text)| text)
}

/// The drafts in this language; in English where there are none.
pub fn drafts(of: &Processing<'_>, words: &Words, language: &str) -> Drafts {
    let telling = Telling {
        of,
        words,
        language,
    };
    let gaps = telling.gaps();
    let filled = |template: &str| {
        let mut text = template.to_owned();
        for (gap, value) in &gaps {
            text = text.replace(&format!("{{{{{gap}}}}}"), value);
        }
        text
    };
    Drafts {
        impact: filled(in_language(IMPACT, language)),
        record: filled(in_language(RECORD, language)),
    }
}

/// A text of the configuration within Markdown: on one line, and with nothing that Markdown would take for its own.
fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
    {
        // A gap's marks cannot come from a value, so that no value is filled a second time.
        if matches!(
            c,
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '#' | '|'
        ) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

struct Telling<'a> {
    of: &'a Processing<'a>,
    words: &'a Words,
    language: &'a str,
}

impl Telling<'_> {
    fn say(&self, name: &str) -> String {
        self.words.say(self.language, name)
    }

    fn with(&self, name: &str, gaps: &[(&str, String)]) -> String {
        let gaps: Vec<_> = gaps
            .iter()
            .map(|(gap, value)| (*gap, value.clone().into()))
            .collect();
        self.words.say_with(self.language, name, &gaps)
    }

    fn gaps(&self) -> Vec<(&'static str, String)> {
        let city = self.of.city;
        let to_fill = self.say("drafts-fill-in");
        let contact = match city.contact.trim() {
            "" => to_fill.clone(),
            contact => plain(contact),
        };
        vec![
            ("city", plain(&city.name)),
            ("contact", contact),
            ("day", self.of.day.to_owned()),
            ("fill", to_fill),
            ("address", plain(&city.address)),
            ("licence", plain(&city.licence)),
            ("home", self.home()),
            ("retention", self.retention()),
            ("keys", self.keys()),
            ("way", self.way()),
            ("login", self.login()),
            ("listeners", self.listeners()),
            ("partners", self.partners()),
            ("languages", city.offers.join(", ")),
            ("drafts", self.transcription()),
            ("decision", self.decision()),
            ("alarm", self.alarm()),
            ("booths", self.booths()),
            ("campaigns", self.campaigns()),
        ]
    }

    fn home(&self) -> String {
        self.say(match self.of.city.listen {
            Some(_) => "drafts-home",
            None => "drafts-no-home",
        })
    }

    fn retention(&self) -> String {
        let rules = &self.of.city.retention;
        let rows = [
            ("drafts-keep-waiting", rules.waiting_days),
            ("drafts-keep-rejected", rules.rejected_days),
            ("drafts-keep-heard", rules.heard_days),
            ("drafts-keep-published", rules.published_days_after_campaign),
            ("drafts-keep-warning", rules.warn_days),
        ];
        let rows = rows.map(|(name, days)| format!("| {} | {days} |", self.say(name)));
        format!(
            "| {} | {} |\n| --- | --- |\n{}",
            self.say("drafts-what"),
            self.say("drafts-days"),
            rows.join("\n")
        )
    }

    fn keys(&self) -> String {
        let n = self.of.recipients.to_string();
        match self.of.keys {
            Keys::Here => self.with("drafts-keys-here", &[("n", n)]),
            Keys::Elsewhere => self.with("drafts-keys-elsewhere", &[("n", n)]),
            Keys::None => self.say("drafts-keys-none"),
        }
    }

    fn way(&self) -> String {
        self.say(match self.of.way {
            Way::Proxy => "drafts-way-proxy",
            Way::OwnCertificate => "drafts-way-certificate",
            Way::SameMachine => "drafts-way-machine",
        })
    }

    fn open_accounts(&self) -> impl Iterator<Item = &Account> {
        let accounts = self.of.accounts.iter();
        accounts.filter(|account| account.closed_at.is_none())
    }

    fn login(&self) -> String {
        let has = |is: fn(&Account) -> bool| self.open_accounts().any(is);
        let password = has(|account| account.has_password);
        let elsewhere =
            has(|account| account.is_elsewhere) || !self.of.city.login.issuer.is_empty();
        self.say(match (password, elsewhere) {
            (true, true) => "drafts-login-both",
            (true, false) => "drafts-login-password",
            (false, true) => "drafts-login-elsewhere",
            (false, false) => "drafts-login-none",
        })
    }

    /// How many have each role: names belong into no document that is passed on.
    fn listeners(&self) -> String {
        let rows = Role::ALL.into_iter().map(|role| {
            let number = self.open_accounts().filter(|one| one.roles.contains(&role));
            let rights: Vec<String> = role
                .rights()
                .iter()
                .map(|right| self.say(&format!("right-{}", right.word())))
                .collect();
            let rights = match role {
                Role::Partner => self.say("drafts-partner-rights"),
                _ => rights.join(", "),
            };
            let name = self.say(&format!("role-{}", role.word()));
            format!("| {name} | {} | {rights} |", number.count())
        });
        format!(
            "| {} | {} | {} |\n| --- | --- | --- |\n{}",
            self.say("drafts-role"),
            self.say("drafts-people"),
            self.say("drafts-rights"),
            rows.collect::<Vec<_>>().join("\n")
        )
    }

    fn partners(&self) -> String {
        let mut rows = BTreeSet::new();
        for account in self.open_accounts() {
            for (campaign, until, rights) in &account.campaigns {
                let rights: Vec<String> = rights
                    .iter()
                    .map(|right| self.say(&format!("right-{}", right.word())))
                    .collect();
                rows.insert(format!(
                    "- {} ({}): {}, {}",
                    plain(&account.shown_name),
                    plain(campaign),
                    rights.join(", "),
                    self.with("drafts-until", &[("day", plain(until))])
                ));
            }
        }
        match rows.is_empty() {
            true => self.say("drafts-no-partners"),
            false => rows.into_iter().collect::<Vec<_>>().join("\n"),
        }
    }

    fn transcription(&self) -> String {
        match self.of.city.transcribe.command.first() {
            Some(command) => self.with("drafts-machine", &[("command", plain(command))]),
            None => self.say("drafts-no-machine"),
        }
    }

    fn decision(&self) -> String {
        self.say(match self.of.city.desk.second_listener {
            true => "drafts-two-decide",
            false => "drafts-one-decides",
        })
    }

    fn alarm(&self) -> String {
        let is_told = |contact: &Contact| contact.mail.is_some() || contact.webhook.is_some();
        let alarm = &self.of.city.alarm;
        match is_told(&alarm.first) {
            true => self.with(
                "drafts-alarm",
                &[
                    ("first", plain(&alarm.first.name)),
                    ("second", plain(&alarm.second.name)),
                ],
            ),
            false => self.say("drafts-no-alarm"),
        }
    }

    fn booths(&self) -> String {
        let rows = self.of.booths.iter().map(|(id, name, place)| {
            let shown: Vec<String> = [id, name, place]
                .into_iter()
                .filter(|text| !text.is_empty())
                .map(|text| plain(text))
                .collect();
            format!("- {}", shown.join(", "))
        });
        let rows: Vec<String> = rows.collect();
        match rows.is_empty() {
            true => self.say("drafts-no-booths"),
            false => rows.join("\n"),
        }
    }

    fn campaigns(&self) -> String {
        let told = self.of.campaigns.iter().map(|campaign| {
            let mut text = format!("### {} (`{}`)\n", plain(&campaign.title), campaign.id);
            let period = [&campaign.from, &campaign.until]
                .map(|day| day.clone().unwrap_or_else(|| "–".into()));
            text += &format!(
                "\n- {}\n- {}\n",
                self.with(
                    "drafts-period",
                    &[("from", period[0].clone()), ("until", period[1].clone())]
                ),
                self.say(match campaign.children.as_str() {
                    "voice" => "drafts-children-voice",
                    "not_published" => "drafts-children-nothing",
                    _ => "drafts-children-text",
                })
            );
            for (language, notice) in &campaign.notice {
                text += &format!(
                    "- {}\n\n  > {}\n",
                    self.with("drafts-notice", &[("language", language.clone())]),
                    plain(notice)
                );
            }
            if campaign.notice.is_empty() {
                text += &format!("- {}\n", self.say("drafts-usual-notice"));
            }
            text
        });
        let told: Vec<String> = told.collect();
        match told.is_empty() {
            true => self.say("drafts-no-campaigns"),
            false => told.join("\n"),
        }
    }
}
