//! Texts by language, as editors write them, and which of them a reader gets.

use std::collections::BTreeMap;

use maud::{Markup, html};

/// A text by language.
pub(crate) type Texts = BTreeMap<String, String>;

/// Reads a column of texts: a JSON object by language. Anything else is one text in the language that is first at hand.
pub(crate) fn read(column: Option<&str>, first: &str) -> Texts {
    let Some(column) = column.filter(|column| !column.trim().is_empty()) else {
        return Texts::new();
    };
    let texts: Texts = serde_json::from_str(column)
        .unwrap_or_else(|_| [(first.to_owned(), column.to_owned())].into());
    texts
        .into_iter()
        .filter(|(_, text)| !text.trim().is_empty())
        .collect()
}

/// The text in the reader's language, or in the first of these that it is there in, or in any: with its language.
pub(crate) fn chosen<'a>(
    texts: &'a Texts,
    wanted: &str,
    then: &[String],
) -> Option<(&'a str, &'a str)> {
    let wishes = [wanted].into_iter().chain(then.iter().map(String::as_str));
    wishes
        .filter_map(|language| texts.get_key_value(language))
        .chain(texts.first_key_value())
        .map(|(language, text)| (language.as_str(), text.as_str()))
        .next()
}

/// The text alone, or this where there is none.
pub(crate) fn text_or<'a>(
    texts: &'a Texts,
    wanted: &str,
    then: &[String],
    otherwise: &'a str,
) -> &'a str {
    chosen(texts, wanted, then).map_or(otherwise, |(_, text)| text)
}

/// The text with its language where that is not the page's.
pub(crate) fn said(texts: &Texts, wanted: &str, then: &[String]) -> Markup {
    html! {
        @if let Some((language, text)) = chosen(texts, wanted, then) {
            @if language == wanted { (text) } @else { span lang=(language) dir="auto" { (text) } }
        }
    }
}

/// The sound of a text in the reader's language, or in another one of these, with its language.
pub(crate) fn prompt_of<'a>(
    prompts: &'a BTreeMap<String, booth_contract::MediaHash>,
    wanted: &str,
    then: &[String],
) -> Option<(&'a str, &'a booth_contract::MediaHash)> {
    let wishes = [wanted].into_iter().chain(then.iter().map(String::as_str));
    wishes
        .filter_map(|language| prompts.get_key_value(language))
        .chain(prompts.first_key_value())
        .map(|(language, hash)| (language.as_str(), hash))
        .next()
}
