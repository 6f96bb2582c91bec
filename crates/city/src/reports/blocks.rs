//! A report as a row of blocks in one language: the one text that becomes a page, a document and a table.
//!
//! Owns: what a report says and in which order. The words of citizens are read here, when the report is shown.

use std::collections::BTreeMap;

use booth_database::OptionalExtension;

use super::gather::SHOWN;
use super::{Frozen, Themed};
use crate::City;
use crate::pages::texts::{self, Texts};
use crate::places::exposure::BOOTH_DAY;
use crate::small_cells::LEAST;
use crate::store::CityError;

/// A piece of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Block {
    Title(String),
    Heading(String),
    Smaller(String),
    Text(String),
    /// What a citizen said, or that it was taken back.
    Quote {
        words: Option<String>,
        about: String,
    },
    Table {
        name: String,
        head: Vec<String>,
        rows: Vec<Vec<String>>,
    },
}

/// The words of a citizen, with the day and the source.
struct Words {
    text: String,
    day: String,
    source: String,
}

/// The quotations of a report that are still published.
fn words_of(city: &City, frozen: &Frozen) -> Result<BTreeMap<String, Words>, CityError> {
    city.store.read(|db| {
        let mut found = BTreeMap::new();
        let mut statement = db.prepare_cached(&format!(
            "SELECT transcript, day, source FROM message WHERE id = ?1 AND {SHOWN}
               AND id NOT IN (SELECT message_id FROM leaving)"
        ))?;
        let quotes = frozen.themes.iter().flat_map(|theme| &theme.quotes);
        for id in quotes.filter(|id| !city.withheld.has(id)) {
            let words = statement.query_row([id], |row| {
                Ok(Words {
                    text: row.get(0)?,
                    day: row.get(1)?,
                    source: row.get(2)?,
                })
            });
            if let Some(words) = words.optional()? {
                found.insert(id.clone(), words);
            }
        }
        Ok(found)
    })
}

/// The report in this language.
pub(super) fn of(city: &City, frozen: &Frozen, language: &str) -> Result<Vec<Block>, CityError> {
    let telling = Telling {
        city,
        frozen,
        language,
        words: words_of(city, frozen)?,
    };
    Ok(telling.all())
}

/// The title of a report in this language.
pub(super) fn title(city: &City, frozen: &Frozen, language: &str) -> String {
    let name = texts::text_or(
        &frozen.title,
        language,
        &city.config.offers,
        &frozen.campaign,
    );
    let gaps = [("campaign", name.into())];
    city.words.say_with(language, "reports-of", &gaps)
}

struct Telling<'a> {
    city: &'a City,
    frozen: &'a Frozen,
    language: &'a str,
    words: BTreeMap<String, Words>,
}

impl Telling<'_> {
    fn say(&self, name: &str) -> String {
        self.city.words.say(self.language, name)
    }

    fn with(&self, name: &str, gap: &str, value: &str) -> String {
        let gaps = [(gap, value.into())];
        self.city.words.say_with(self.language, name, &gaps)
    }

    fn text(&self, texts: &Texts) -> Option<String> {
        let found = texts::chosen(texts, self.language, &self.city.config.offers);
        found.map(|(_, text)| text.to_owned())
    }

    /// A number as the public sees it: what is below the least that is shown is said in words.
    fn number(&self, number: u64) -> String {
        match number {
            0 => self.with("reports-few", "n", &LEAST.to_string()),
            number => number.to_string(),
        }
    }

    fn decimal(&self, number: f64) -> String {
        let text = format!("{number:.1}");
        match self.language {
            "en" => text,
            _ => text.replace('.', ","),
        }
    }

    fn period(&self, since: &str, until: Option<&str>) -> String {
        match until {
            Some(until) => format!("{since} – {until}"),
            None => self.with("reports-since", "day", since),
        }
    }

    fn table(&self, name: &str, head: &[&str], rows: Vec<Vec<String>>) -> Option<Block> {
        (!rows.is_empty()).then(|| Block::Table {
            name: self.say(name),
            head: head.iter().map(|name| self.say(name)).collect(),
            rows,
        })
    }

    fn all(&self) -> Vec<Block> {
        let frozen = self.frozen;
        let mut blocks = vec![
            Block::Title(title(self.city, frozen, self.language)),
            Block::Text(self.with("reports-frozen-on", "day", &frozen.made_on)),
        ];
        blocks.extend(self.text(&frozen.summary).map(Block::Text));
        self.reply(&mut blocks);
        self.votes(&mut blocks);
        self.themes(&mut blocks);
        self.ideas(&mut blocks);
        self.numbers(&mut blocks);
        self.places(&mut blocks);
        self.method(&mut blocks);
        blocks
    }

    fn reply(&self, blocks: &mut Vec<Block>) {
        blocks.push(Block::Heading(self.say("reports-reply")));
        match self.text(&self.frozen.reply) {
            Some(reply) => {
                blocks.push(Block::Text(reply));
                let day = self.frozen.reply_on.as_deref();
                blocks
                    .extend(day.map(|day| Block::Text(self.with("reports-reply-on", "day", day))));
            }
            None => blocks.push(Block::Text(self.say("reports-no-reply"))),
        }
        for question in &self.frozen.questions {
            if let Some(reply) = self.text(&question.reply) {
                let asked = self.text(&question.text);
                blocks.push(Block::Smaller(asked.unwrap_or_else(|| question.id.clone())));
                blocks.push(Block::Text(reply));
            }
        }
    }

    fn votes(&self, blocks: &mut Vec<Block>) {
        let voted = self.frozen.questions.iter();
        for (at, question) in voted.filter(|one| !one.votes.is_empty()).enumerate() {
            if at == 0 {
                blocks.push(Block::Heading(self.say("reports-votes")));
                blocks.push(Block::Text(self.say("reports-votes-about")));
            }
            let asked = self.text(&question.text);
            let asked = asked.unwrap_or_else(|| question.id.clone());
            let rows = question.votes.iter().map(|(option, votes)| {
                let option = self.text(option).unwrap_or_default();
                let votes = match question.are_exact {
                    true => votes.to_string(),
                    false => self.number(*votes),
                };
                vec![option, votes]
            });
            blocks.push(Block::Table {
                name: asked,
                head: vec![self.say("reports-option"), self.say("reports-votes-cast")],
                rows: rows.collect(),
            });
            match (question.is_over, question.are_exact) {
                (false, _) => blocks.push(Block::Text(self.say("reports-vote-goes-on"))),
                (true, false) => blocks.push(Block::Text(self.say("reports-vote-rounded"))),
                (true, true) => {}
            }
        }
    }

    fn themes(&self, blocks: &mut Vec<Block>) {
        blocks.push(Block::Heading(self.say("reports-themes")));
        if self.frozen.themes.is_empty() {
            blocks.push(Block::Text(self.say("reports-no-themes")));
            return;
        }
        blocks.push(Block::Text(self.say("reports-themes-about")));
        let name = |theme: &Themed| self.text(&theme.name).unwrap_or_default();
        let mut rows: Vec<Vec<String>> = Vec::new();
        for theme in &self.frozen.themes {
            rows.push(vec![name(theme), self.number(theme.messages)]);
        }
        if self.frozen.other_themes > 0 {
            rows.push(vec![
                self.say("reports-other-themes"),
                self.number(self.frozen.other_themes),
            ]);
        }
        blocks.extend(self.table(
            "reports-themes",
            &["reports-theme", "reports-messages"],
            rows,
        ));
        for theme in self
            .frozen
            .themes
            .iter()
            .filter(|one| !one.quotes.is_empty())
        {
            blocks.push(Block::Smaller(name(theme)));
            for id in &theme.quotes {
                blocks.push(match self.words.get(id) {
                    Some(words) => Block::Quote {
                        words: Some(words.text.clone()),
                        about: format!(
                            "{}, {}",
                            self.say(&format!("reports-source-{}", words.source)),
                            words.day
                        ),
                    },
                    None => Block::Quote {
                        words: None,
                        about: self.say("reports-taken-back"),
                    },
                });
            }
        }
    }

    fn ideas(&self, blocks: &mut Vec<Block>) {
        if self.frozen.ideas.is_empty() {
            return;
        }
        blocks.push(Block::Heading(self.say("reports-ideas")));
        let rows = self.frozen.ideas.iter().map(|idea| {
            let outcome = match (self.text(&idea.outcome), &idea.outcome_on) {
                (Some(outcome), Some(day)) => format!("{outcome} ({day})"),
                (Some(outcome), None) => outcome,
                (None, _) => self.say("reports-no-outcome"),
            };
            let title = self.text(&idea.title).unwrap_or_default();
            let title = match self.text(&idea.body) {
                Some(body) => format!("{title}: {body}"),
                None => title,
            };
            vec![title, self.number(idea.messages), outcome]
        });
        let rows = rows.collect();
        blocks.extend(self.table(
            "reports-ideas",
            &["reports-idea", "reports-messages", "reports-outcome"],
            rows,
        ));
    }

    fn numbers(&self, blocks: &mut Vec<Block>) {
        blocks.push(Block::Heading(self.say("reports-numbers")));
        let rows = |prefix: &str, rows: &[(String, u64)]| {
            let rows = rows.iter().map(|(name, number)| {
                let name = self.say(&format!("reports-{prefix}-{name}"));
                vec![name, self.number(*number)]
            });
            rows.collect::<Vec<_>>()
        };
        blocks.push(Block::Text(self.say("reports-funnel-about")));
        blocks.extend(self.table(
            "reports-funnel",
            &["reports-step", "reports-number"],
            rows("step", &self.frozen.funnel),
        ));
        blocks.extend(self.table(
            "reports-sources",
            &["reports-source", "reports-messages"],
            rows("source", &self.frozen.sources),
        ));
        blocks.extend(self.table(
            "reports-standing",
            &["reports-became", "reports-messages"],
            rows("state", &self.frozen.standing),
        ));
        let asked = self.frozen.questions.iter();
        let asked = asked
            .filter(|question| question.votes.is_empty())
            .map(|question| {
                let text = self.text(&question.text);
                vec![
                    text.unwrap_or_else(|| question.id.clone()),
                    self.number(question.messages),
                ]
            });
        let asked = asked.collect();
        blocks.extend(self.table(
            "reports-questions",
            &["reports-question", "reports-messages"],
            asked,
        ));
    }

    fn places(&self, blocks: &mut Vec<Block>) {
        blocks.push(Block::Heading(self.say("reports-places")));
        let days = self.frozen.ready_minutes as f64 / BOOTH_DAY as f64;
        blocks.push(Block::Text(self.with(
            "reports-booth-days",
            "days",
            &self.decimal(days),
        )));
        let rows = self.frozen.places.iter().map(|one| {
            vec![
                one.place.clone(),
                one.area.clone().unwrap_or_default(),
                self.period(&one.since, one.until.as_deref()),
            ]
        });
        let rows = rows.collect();
        blocks.extend(self.table(
            "reports-places",
            &["reports-place", "reports-area", "reports-period"],
            rows,
        ));
        let phases = self.frozen.phases.iter().map(|(phase, since, until)| {
            vec![
                self.say(&format!("reports-phase-{phase}")),
                self.period(since, until.as_deref()),
            ]
        });
        let phases = phases.collect();
        blocks.extend(self.table(
            "reports-phases",
            &["reports-phase", "reports-period"],
            phases,
        ));
        if let Some(from) = &self.frozen.from {
            let period = self.period(from, self.frozen.until.as_deref());
            blocks.push(Block::Text(self.with("reports-asked", "period", &period)));
        }
    }

    fn method(&self, blocks: &mut Vec<Block>) {
        blocks.push(Block::Heading(self.say("reports-method")));
        for name in [
            "reports-method-how",
            "reports-method-moderation",
            "reports-method-counts",
            "reports-method-quotes",
        ] {
            blocks.push(Block::Text(self.with(name, "n", &LEAST.to_string())));
        }
        blocks.push(Block::Heading(self.say("reports-limits")));
        blocks.push(Block::Text(self.say("reports-limits-always")));
        blocks.extend(self.text(&self.frozen.limits).map(Block::Text));
    }
}
