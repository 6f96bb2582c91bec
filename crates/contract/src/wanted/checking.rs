//! The one check of a configuration's meaning, for the hub before it publishes and for the booth before it believes.
//!
//! Owns: what follows from several keys together, and from where the configuration is to count.

use std::collections::{BTreeMap, BTreeSet};

use super::reading::Faults;
use super::*;

/// What is true where a configuration is to count.
pub struct Here<'a> {
    /// The booth's own language.
    pub language: &'a str,
    /// Whether it came signed by a key of `[control] keys`.
    pub is_signed: bool,
    /// Local time there; `None` for a configuration that is in force already, whose campaigns may be over.
    pub now: Option<LocalTime>,
    /// Local time there when it was made; `None` if that is not known.
    pub issued: Option<LocalTime>,
    /// Whether the booth itself can say a prompt of this name in this language: from its folder, or in its own voice.
    pub says: &'a dyn Fn(&str, &str) -> bool,
}

/// Everything that is wrong with a configuration that could be read, at most [`MOST_FAULTS`] of it; nothing if it can count.
pub fn check(wanted: &Wanted, here: &Here<'_>) -> Vec<KeyFault> {
    let mut faults = Faults::default();
    let media = wanted.media().len();
    if media > MOST_PROMPTS {
        faults.add(
            "payload",
            format!("names {media} prompts; at most {MOST_PROMPTS} are kept"),
        );
    }
    if !here.is_signed {
        check_unsigned(wanted, &mut faults);
    }
    if wanted.hours.as_ref().is_some_and(Vec::is_empty) {
        faults.add(
            "hours",
            "is empty, so that the booth would never invite; leave the key out for always",
        );
    }
    check_languages(wanted, &mut faults);
    for (n, campaign) in wanted.campaigns.iter().flatten().enumerate() {
        let path = format!("campaigns[{n}]");
        if campaign.questions.is_empty() {
            faults.add(
                format!("{path}.questions"),
                "is empty; a campaign has at least one question",
            );
        }
        for (q, question) in campaign.questions.iter().enumerate() {
            check_question(question, &format!("{path}.questions[{q}]"), &mut faults);
        }
    }
    check_dates(wanted, here, &mut faults);
    check_names(wanted, &mut faults);
    check_digits(wanted, &mut faults);
    check_spoken(wanted, here, &mut faults);
    faults.0
}

fn check_unsigned(wanted: &Wanted, faults: &mut Faults) {
    let why =
        "counts only in a configuration that is signed by a key of the booth's [control] keys";
    if wanted.force {
        faults.add("force", why);
    }
    for name in SIGNED_PROMPTS {
        let prompts = wanted.prompts.iter();
        if prompts.flatten().any(|(own, _)| own == name) {
            faults.add(format!("prompts.{name}"), why);
        }
    }
}

fn check_languages(wanted: &Wanted, faults: &mut Faults) {
    let mut seen: BTreeMap<&str, u8> = BTreeMap::new();
    for (digit, lang) in wanted.other_languages() {
        if let Some(earlier) = seen.insert(lang, digit) {
            let why = format!("is {lang:?}, and so is {earlier}; give a language one digit");
            faults.add(format!("languages.{digit}"), why);
        }
    }
}

fn check_question(question: &Question, path: &str, faults: &mut Faults) {
    let options = &question.options;
    let key = format!("{path}.options");
    match question.kind {
        Kind::Speak if !options.is_empty() => {
            faults.add(
                key,
                "belong to a question of the kind choose; this one is speak",
            );
        }
        Kind::Speak => {}
        Kind::Choose if !(2..=8).contains(&options.len()) => {
            faults.add(key, format!("are {}; a vote has 2 to 8", options.len()));
        }
        Kind::Choose => {}
    }
    if question.codes && question.kind == Kind::Speak {
        faults.add(
            format!("{path}.codes"),
            "belongs to a question of the kind choose; this one is speak",
        );
    }
    let mut digits = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for (n, option) in options.iter().enumerate() {
        let path = format!("{path}.options[{n}]");
        if !(2..=9).contains(&option.digit) {
            let why = format!(
                "is {}; options are on 2 to 9, because 1 casts the vote and 0 repeats",
                option.digit
            );
            faults.add(format!("{path}.digit"), why);
        } else if let Some(earlier) = digits.insert(option.digit, n) {
            let why = format!("is {} like that of options[{earlier}]", option.digit);
            faults.add(format!("{path}.digit"), why);
        }
        if !ids.insert(&option.id) {
            let why = format!("{:?} is there twice", option.id);
            faults.add(format!("{path}.id"), why);
        }
    }
}

fn check_dates(wanted: &Wanted, here: &Here<'_>, faults: &mut Faults) {
    let campaigns = wanted.campaigns.as_deref().unwrap_or_default();
    for (n, campaign) in campaigns.iter().enumerate() {
        let key = format!("campaigns[{n}].until");
        let Some(until) = campaign.until else {
            continue;
        };
        if let Some(from) = campaign.from.filter(|from| *from >= until) {
            faults.add(key, format!("is {until}, which is not after from, {from}"));
        } else if let Some(now) = here.now
            && here.issued.is_none_or(|issued| until <= issued)
            && until <= now
        {
            let why = format!("is {until}, which is in the past (it is {now}); take it out");
            faults.add(key, why);
        }
    }
    let is_over = |campaign: &Campaign| {
        here.now
            .zip(campaign.until)
            .is_some_and(|(now, until)| until <= now)
    };
    if faults.0.is_empty() && !campaigns.is_empty() && campaigns.iter().all(is_over) {
        faults.add(
            "campaigns",
            "are over, all of them; publish one that is still to be asked",
        );
    }
}

/// Ids, each of them once at any time.
fn check_names(wanted: &Wanted, faults: &mut Faults) {
    let campaigns = wanted.campaigns.as_deref().unwrap_or_default();
    for (n, campaign) in campaigns.iter().enumerate() {
        let earlier = &campaigns[..n];
        if earlier.iter().any(|other| other.id == campaign.id) {
            let why = format!("{:?} is there twice", campaign.id);
            faults.add(format!("campaigns[{n}].id"), why);
        }
        for (q, question) in campaign.questions.iter().enumerate() {
            let beside = campaign.questions[..q].iter();
            let others = earlier.iter().filter(|other| other.meets(campaign));
            let mut all = others.flat_map(|other| &other.questions).chain(beside);
            if all.any(|other| other.id == question.id) {
                let why = format!("{:?} is there twice at the same time", question.id);
                faults.add(format!("campaigns[{n}].questions[{q}].id"), why);
            }
        }
    }
}

/// Questions, answers and languages share 1 to 9, each digit once at any time (contract §2).
fn check_digits(wanted: &Wanted, faults: &mut Faults) {
    let campaigns = wanted.campaigns.as_deref().unwrap_or_default();
    // Each digit with its path and its campaign; a language's counts at all times.
    let mut all: Vec<(u8, String, Option<&Campaign>)> = Vec::new();
    for (n, campaign) in campaigns.iter().enumerate() {
        for (q, question) in campaign.questions.iter().enumerate() {
            let path = format!("campaigns[{n}].questions[{q}]");
            all.push((question.digit, format!("{path}.digit"), Some(campaign)));
            if let Some(answer) = &question.answer {
                let path = format!("{path}.answer.digit");
                all.push((answer.digit, path, Some(campaign)));
            }
        }
    }
    for (digit, _) in wanted.other_languages() {
        all.push((digit, format!("languages.{digit}"), None));
    }
    for (n, (digit, path, campaign)) in all.iter().enumerate() {
        if !(1..=9).contains(digit) {
            let why = format!("is {digit}; use 1 to 9, because 0 repeats and begins codes");
            faults.add(path, why);
            continue;
        }
        let meets = |other: &Option<&Campaign>| match (campaign, other) {
            (Some(own), Some(other)) => std::ptr::eq(*own, *other) || own.meets(other),
            _ => true,
        };
        let mut earlier = all[..n].iter();
        if let Some((_, other, _)) = earlier.find(|(taken, _, of)| taken == digit && meets(of)) {
            faults.add(
                path,
                format!("is {digit}, which {other} has at the same time"),
            );
        }
    }
}

/// What a citizen must hear in every language that is offered: its offer, the notice, the questions with their options and answers,
/// and what is asked about publication. The own language's notice is booth.toml's affair, with an alert of its own.
fn check_spoken(wanted: &Wanted, here: &Here<'_>, faults: &mut Faults) {
    let campaigns = wanted.campaigns.as_deref().unwrap_or_default();
    let others: BTreeSet<&str> = wanted.other_languages().map(|(_, lang)| lang).collect();
    let has = |name: &str, lang: &str| {
        let prompts = wanted.prompts.as_ref();
        let named = prompts.and_then(|prompts| prompts.get(name));
        named.is_some_and(|spoken| spoken.contains_key(lang)) || (here.says)(name, lang)
    };
    let mut lacks = |path: String, lang: &str| {
        let why = format!("is missing, and {lang:?} is a language that the booth offers");
        faults.add(format!("{path}.{lang}"), why);
    };
    for lang in others.iter().filter(|lang| **lang != here.language) {
        for name in ["notice", "offer_language"] {
            if !has(name, lang) {
                lacks(format!("prompts.{name}"), lang);
            }
        }
    }
    let all: BTreeSet<&str> = others.iter().copied().chain([here.language]).collect();
    for (n, campaign) in campaigns.iter().enumerate() {
        for (q, question) in campaign.questions.iter().enumerate() {
            let path = format!("campaigns[{n}].questions[{q}]");
            let options = question.options.iter().enumerate();
            let options =
                options.map(|(n, option)| (format!("{path}.options[{n}].prompt"), &option.prompt));
            let answer = question.answer.iter();
            let answer = answer.map(|answer| (format!("{path}.answer.prompt"), &answer.prompt));
            let own = [(format!("{path}.prompt"), &question.prompt)];
            for (path, spoken) in own.into_iter().chain(options).chain(answer) {
                for lang in all.iter().filter(|lang| !spoken.contains_key(**lang)) {
                    lacks(path.clone(), lang);
                }
            }
        }
    }
    let asks = campaigns.iter().flat_map(|campaign| &campaign.questions);
    let asks: BTreeSet<&'static str> = asks
        .flat_map(|question| question.publish.prompts())
        .copied()
        .collect();
    for name in asks {
        for lang in all.iter().filter(|lang| !has(name, lang)) {
            lacks(format!("prompts.{name}"), lang);
        }
    }
}
