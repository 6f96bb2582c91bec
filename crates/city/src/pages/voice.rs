//! How a page speaks to its reader: words, numbers, days and addresses in one language.

use fluent_bundle::FluentValue;
use jiff::civil::Date;

use super::texts::{self, Texts};
use crate::City;
use crate::centre::Source;
use crate::draw::{Amount, Tongue};
use crate::web::Citizen;

/// The voice of a page.
pub(crate) struct Voice<'a> {
    pub(crate) city: &'a City,
    pub(crate) citizen: &'a Citizen,
    pub(crate) tongue: Tongue,
}

impl<'a> Voice<'a> {
    pub(crate) fn new(city: &'a City, citizen: &'a Citizen) -> Self {
        let say = |name: &str| city.words.say(&citizen.language, name);
        // A sign that is a space stands in braces in the file.
        let tongue = Tongue {
            language: citizen.language.clone(),
            is_rtl: say("direction") == "rtl",
            thousands: say("thousands"),
            decimal: say("decimal"),
            few: say("few"),
        };
        Self {
            city,
            citizen,
            tongue,
        }
    }

    pub(crate) fn language(&self) -> &str {
        &self.citizen.language
    }

    /// A text without gaps.
    pub(crate) fn say(&self, name: &str) -> String {
        self.city.words.say(self.language(), name)
    }

    /// A text with gaps for texts.
    pub(crate) fn with(&self, name: &str, gaps: &[(&str, &str)]) -> String {
        let gaps: Vec<(&str, FluentValue<'_>)> = gaps
            .iter()
            .map(|(gap, text)| (*gap, FluentValue::from(*text)))
            .collect();
        self.city.words.say_with(self.language(), name, &gaps)
    }

    /// A text about a number: the gap `n` chooses the plural, the gap `shown` is how it is written.
    pub(crate) fn counted(&self, name: &str, amount: Amount) -> String {
        let number = match amount {
            Amount::Number(number) => number,
            Amount::Few => 4,
        };
        let gaps = [
            ("n", FluentValue::from(number)),
            ("shown", FluentValue::from(self.tongue.amount(amount))),
        ];
        self.city.words.say_with(self.language(), name, &gaps)
    }

    /// A number of something that is no message and no vote.
    pub(crate) fn whole(&self, name: &str, number: u64) -> String {
        self.counted(name, Amount::Number(number))
    }

    /// A local day, `YYYY-MM-DD`, as people say it.
    pub(crate) fn day(&self, day: &str) -> String {
        match day.parse::<Date>() {
            Ok(date) => {
                let month = self.say(&format!("month-{}", date.month()));
                let (day, year) = (date.day().to_string(), date.year().to_string());
                self.with("date", &[("day", &day), ("month", &month), ("year", &year)])
            }
            Err(_) => day.to_owned(),
        }
    }

    /// A month and its year, short.
    pub(crate) fn month(&self, date: Date) -> String {
        let month = self.say(&format!("short-month-{}", date.month()));
        format!("{month} {}", date.year())
    }

    /// The name of a source.
    pub(crate) fn source(&self, source: Source) -> String {
        self.say(&format!("source-{}", source.word()))
    }

    /// A text of editors in the reader's language, or in another one.
    pub(crate) fn text<'t>(&self, texts: &'t Texts, otherwise: &'t str) -> &'t str {
        texts::text_or(texts, self.language(), &self.city.config.offers, otherwise)
    }

    /// The same as markup, with its language where that is another one.
    pub(crate) fn said(&self, texts: &Texts) -> maud::Markup {
        texts::said(texts, self.language(), &self.city.config.offers)
    }

    /// The address of a page in the reader's language.
    pub(crate) fn here(&self, page: &str) -> String {
        self.citizen.here(page)
    }

    /// The whole address of a page, for paper and files.
    pub(crate) fn whole_address(&self, page: &str) -> String {
        whole_address(self.city, &format!("{}/{page}", self.language()))
    }
}

/// The whole address of something below the pages' root.
pub(crate) fn whole_address(city: &City, page: &str) -> String {
    format!("{}/{page}", city.config.address.trim_end_matches('/'))
}

/// A text as one segment of an address (RFC 3986 §3.3).
pub(crate) fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The first words of a message, by which a link to it is told from others.
pub(crate) fn start_of(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().take(6).collect();
    words.join(" ")
}
