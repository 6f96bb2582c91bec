//! `booth-hub campaign codes`: a list of one-time codes for the votes of a campaign, on paper or as a table.
//!
//! Owns: what is printed. Never does: keep a code: the hub has its hash, durable before the code is shown, and whoever ran the command has
//! the only copy.

use std::path::PathBuf;

use booth_city::config::CityConfig;
use booth_contract::OneTimeCode;
use booth_host::{plain_file, say};
use booth_sealing::{KernelRandom, Random};
use clap::Args;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::json;

use super::CampaignError;
use super::register::{self, State};
use super::verbs::General;
use crate::config::{HubConfig, digits_of_emergency};
use crate::store::VoteCodes;

/// What `codes` takes.
#[derive(Debug, Args)]
pub struct Codes {
    /// The campaign's id
    campaign: String,
    /// How many codes to make; without it, how many there are and how many are used
    #[arg(long, value_name = "N")]
    count: Option<usize>,
    /// Write them into this file as a table (CSV) instead of printing them; no file is overwritten
    #[arg(
        long,
        value_name = "FILE.csv",
        requires = "count",
        conflicts_with = "paper"
    )]
    csv: Option<PathBuf>,
    /// Write a page with a slip for each, to be printed and cut, in Danish and English; no file is overwritten
    #[arg(long, value_name = "FILE.html", requires = "count")]
    paper: Option<PathBuf>,
    /// An emergency number of the booths besides those of [codes] in hub.toml, which no code may contain; may be given several times
    #[arg(long, value_name = "NUMBER")]
    emergency: Vec<String>,
    #[command(flatten)]
    general: General,
}

/// Look of the printed slips: two columns, none cut by a page.
const STYLE: &str = "body{font:12pt sans-serif;margin:1cm;display:grid;grid-template-columns:1fr 1fr;gap:.4cm}\
section{border:1px dashed #555;padding:.5cm;break-inside:avoid}\
p{margin:.2cm 0}.code{font:bold 22pt monospace;letter-spacing:.05em;white-space:nowrap}";

pub(super) fn codes(verb: &Codes) -> Result<(), CampaignError> {
    let hub = HubConfig::load(&verb.general.config)?;
    let state = register::look(&register::folder_in(&hub.store.dir))?;
    let list = VoteCodes::open(&hub.store.dir).map_err(why)?;
    let id = verb.campaign.as_str();
    let Some(count) = verb.count else {
        return counts(&list, id, &verb.general);
    };
    let mut emergency = hub.codes.digits();
    for number in &verb.emergency {
        match digits_of_emergency(number) {
            Some(digits) => emergency.push(digits),
            None => {
                return Err(CampaignError::Refused(format!(
                    "{number:?} is no emergency number: write its digits, as --emergency 911"
                )));
            }
        }
    }
    if count == 0 {
        return Err(CampaignError::refused("--count 0 makes no code"));
    }
    for file in verb.csv.iter().chain(&verb.paper) {
        // Before the codes are made, not after: they could not be shown a second time.
        plain_file::make_private(file, b"").map_err(|error| CampaignError::file(file, error))?;
    }
    let mut failed = None;
    let made = list.make(id, count, &emergency, |bytes| {
        if let Err(error) = KernelRandom.fill(bytes) {
            bytes.fill(u8::MAX);
            failed = Some(error.to_string());
        }
    });
    if let Some(error) = failed {
        return Err(CampaignError::Refused(error));
    }
    let made = made.map_err(why)?;
    let title = title_of(&state, id);
    let written = |file: &PathBuf, text: &str| {
        plain_file::replace_private(file, text.as_bytes())
            .map_err(|error| CampaignError::file(file, error))
    };
    if let Some(file) = &verb.csv {
        written(file, &table(id, &made))?;
    } else if let Some(file) = &verb.paper {
        let city = &hub.city;
        // An address of this machine alone is no use on paper.
        let is_known = city.address != CityConfig::default().address;
        let is_open = city.listen.is_some() && city.home.is_open && is_known;
        let home = is_open.then_some(city.address.as_str());
        written(file, &slips(&title, &made, home).into_string())?;
    } else if verb.general.json {
        let codes: Vec<String> = made.iter().map(|code| code.to_text().to_string()).collect();
        say!("{}", json!({"campaign": id, "codes": codes}));
        return Ok(());
    } else {
        for code in &made {
            say!("{}", *code.for_paper());
        }
        return Ok(());
    }
    if verb.general.json {
        say!("{}", json!({"campaign": id, "made": made.len()}));
    } else {
        say!(
            "{} codes are made. This hub keeps none of them: what was written is the only copy.",
            made.len()
        );
        if !state.asked.contains_key(id) {
            say!(
                "look:  no campaign {id:?} was published yet; write codes = true into its vote before you do"
            );
        }
    }
    Ok(())
}

fn counts(list: &VoteCodes, id: &str, general: &General) -> Result<(), CampaignError> {
    let counts = list.counts(id).map_err(why)?;
    if general.json {
        say!(
            "{}",
            json!({"campaign": id, "codes": counts.codes, "used": counts.used})
        );
        return Ok(());
    }
    say!("{id}: {} codes", counts.codes);
    for (question, used) in &counts.used {
        say!("  {question}: {used} used");
    }
    if counts.used.is_empty() {
        say!("No question of it needs codes: write codes = true into a vote and publish it.");
    }
    Ok(())
}

fn why(error: crate::store::CodesError) -> CampaignError {
    CampaignError::Refused(error.to_string())
}

fn title_of(state: &State, id: &str) -> String {
    let campaigns = state.campaigns();
    let title = campaigns.get(id).map(|ready| ready.title.clone());
    title
        .filter(|title| !title.is_empty())
        .unwrap_or_else(|| id.to_owned())
}

/// A row for each code, in groups, so that a table does not take it for a number and its first 0 away.
fn table(id: &str, codes: &[OneTimeCode]) -> String {
    let quoted = id.replace('"', "\"\"");
    let rows = codes
        .iter()
        .map(|code| format!("\"{quoted}\",{}\r\n", *code.for_paper()));
    std::iter::once("campaign,code\r\n".to_owned())
        .chain(rows)
        .collect()
}

/// The page that is printed and cut; `home` is where citizens can vote from home.
fn slips(title: &str, codes: &[OneTimeCode], home: Option<&str>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="da" {
            head {
                meta charset="utf-8";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                @for code in codes {
                    section {
                        p { strong { (title) } }
                        p.code { (*code.for_paper()) }
                        p lang="da" { "Din stemmekode: vælg først ved boksen, og tast så de ti tal. Den tæller én gang." @if let Some(home) = home { " Du kan også stemme hjemmefra: " (home) } }
                        p lang="en" { "Your code for the vote: choose at the booth first, then dial the ten digits. It counts once." @if let Some(home) = home { " Or vote from home: " (home) } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code() -> OneTimeCode {
        OneTimeCode::generate(|bytes| bytes.fill(35), &[]).expect("a code")
    }

    #[test]
    fn a_table_keeps_the_first_zero_and_paper_has_a_slip_for_each_code_in_two_languages() {
        let table = table("a\"b", &[code(), code()]);
        assert_eq!(table.lines().count(), 3);
        assert!(table.contains(&format!("\"a\"\"b\",{}", *code().for_paper())));
        let codes = [code(), code()];
        assert!(!slips("x", &codes, None).into_string().contains("http"));
        let page = slips("Træet <på> torvet", &codes, Some("https://booths.example")).into_string();
        assert_eq!(page.matches("https://booths.example").count(), 4);
        assert_eq!(page.matches(&**code().for_paper()).count(), 2);
        assert!(page.contains("Træet &lt;på&gt; torvet"));
        assert!(page.contains("lang=\"en\"") && page.contains("Din stemmekode"));
    }
}
