//! The page on which a citizen takes a message back, in Danish and in English. It works without scripts.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::STYLE;
use crate::withdrawing::Taken;
use booth_contract::BadReceipt;

/// The language of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Danish.
    Danish,
    /// English.
    English,
}

impl Language {
    /// By the address's `lang`, else by what the browser prefers (RFC 9110 §12.5.4, its first language that the page has), else Danish.
    pub fn of(asked: Option<&str>, accepted: Option<&str>) -> Self {
        let known = |text: &str| match text.trim().get(..2) {
            Some(text) if text.eq_ignore_ascii_case("da") => Some(Self::Danish),
            Some(text) if text.eq_ignore_ascii_case("en") => Some(Self::English),
            _ => None,
        };
        let accepted = accepted.unwrap_or_default();
        let asked = asked.and_then(known);
        asked
            .or_else(|| accepted.split(',').find_map(known))
            .unwrap_or(Self::Danish)
    }

    /// Its code in addresses.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Danish => "da",
            Self::English => "en",
        }
    }
}

/// The sentences of the page.
struct Words {
    title: &'static str,
    how: &'static str,
    when: &'static str,
    when_sealed: &'static str,
    label: &'static str,
    hint: &'static str,
    button: &'static str,
    other: &'static str,
    noted: &'static str,
    length: &'static str,
    no_digit: &'static str,
    check: &'static str,
    too_many: &'static str,
    not_here: &'static str,
    failed: &'static str,
    privacy: &'static str,
}

const DANISH: Words = Words {
    title: "Træk en besked tilbage",
    how: "Skriv de 12 cifre, som telefonboksen sagde til dig efter din besked eller stemme. Så bliver den slettet.",
    when: "Den bliver slettet inden for et minut. Ligger den stadig i telefonboksen, bliver den slettet, når boksen næste gang har forbindelse.",
    when_sealed: "Vi modtager dit ønske med det samme. Beskeden bliver slettet, næste gang medarbejderen, der har kommunens nøgle, arbejder med beskederne.",
    label: "Din kvittering, 12 cifre",
    hint: "Mellemrum betyder ikke noget.",
    button: "Slet beskeden",
    other: "In English",
    noted: "Vi har noteret det. Findes der en besked med denne kvittering, bliver den slettet. Af hensyn til andres beskeder siger vi ikke, om den findes.",
    length: "En kvittering har 12 cifre. Tjek det, du har skrevet ned, og prøv igen.",
    no_digit: "En kvittering består kun af cifre. Prøv igen.",
    check: "Et af cifrene er forkert, eller to er byttet om. Sammenlign med det, du har skrevet ned, og prøv igen.",
    too_many: "Der er prøvet for mange gange, og denne kvittering er ikke modtaget. Vent et par minutter og prøv igen, eller brug en telefonboks.",
    not_here: "Her kan beskeder ikke trækkes tilbage. Løft røret i en telefonboks, drej 000 og derefter din kvittering.",
    failed: "Det lykkedes ikke, og kvitteringen er ikke modtaget. Prøv igen om et par minutter, eller brug en telefonboks.",
    privacy: "Siden gemmer ikke, hvem du er. Du kan gøre det samme i enhver telefonboks: drej 000 og derefter kvitteringen.",
};

const ENGLISH: Words = Words {
    title: "Take a message back",
    how: "Type the 12 digits that the telephone booth told you after your message or vote. It is then deleted.",
    when: "It is deleted within a minute. If it is still in the booth, it is deleted when the booth is next connected.",
    when_sealed: "We take your wish at once. The message is deleted the next time the person who has the city's key works on the messages.",
    label: "Your receipt, 12 digits",
    hint: "Spaces do not matter.",
    button: "Delete the message",
    other: "På dansk",
    noted: "We have taken note. If there is a message with this receipt, it will be deleted. To protect the messages of others we do not say whether there is one.",
    length: "A receipt has 12 digits. Compare it with what you wrote down, and try again.",
    no_digit: "A receipt is made of digits alone. Try again.",
    check: "One of the digits is wrong, or two were swapped. Compare it with what you wrote down, and try again.",
    too_many: "There were too many tries, and this receipt was not taken. Wait a few minutes and try again, or use a booth.",
    not_here: "Messages cannot be taken back here. Lift the handset of a booth, dial 000 and then your receipt.",
    failed: "It did not work, and the receipt was not taken. Try again in a few minutes, or use a booth.",
    privacy: "This page does not keep who you are. You can do the same at every booth: dial 000 and then the receipt.",
};

fn answer(words: &Words, taken: Taken) -> &'static str {
    match taken {
        Taken::Noted => words.noted,
        Taken::Wrong(BadReceipt::Length(_)) => words.length,
        Taken::Wrong(BadReceipt::NoDigit) => words.no_digit,
        Taken::Wrong(BadReceipt::Check) => words.check,
        Taken::TooMany => words.too_many,
        Taken::NotHere => words.not_here,
        Taken::Failed => words.failed,
    }
}

/// The page, with what became of the receipt that was typed. It never repeats a digit.
pub fn withdraw(language: Language, is_sealed: bool, taken: Option<Taken>) -> Markup {
    let (words, other) = match language {
        Language::Danish => (&DANISH, Language::English),
        Language::English => (&ENGLISH, Language::Danish),
    };
    let is_over = matches!(taken, Some(Taken::Noted | Taken::NotHere));
    html! {
        (DOCTYPE)
        html lang=(language.code()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                link rel="icon" href="data:,";
                title { (words.title) }
                style { (PreEscaped(STYLE)) (PreEscaped(FORM)) }
            }
            body {
                header { nav { a href={ "withdraw?lang=" (other.code()) } lang=(other.code()) hreflang=(other.code()) { (words.other) } } }
                main {
                    h1 { (words.title) }
                    @if let Some(taken) = taken {
                        @let role = if taken == Taken::Noted { "status" } else { "alert" };
                        p.note role=(role) #answer { (answer(words, taken)) }
                    }
                    @if !is_over {
                        p { (words.how) }
                        form method="post" action={ "withdraw?lang=" (language.code()) } autocomplete="off" {
                            label for="receipt" { (words.label) }
                            input #receipt name="receipt" type="text" inputmode="numeric" required maxlength="40" spellcheck="false"
                                aria-describedby="hint" aria-invalid=[matches!(taken, Some(Taken::Wrong(_))).then_some("true")];
                            p.soft #hint { (words.hint) }
                            button type="submit" { (words.button) }
                        }
                    }
                    p { (if is_sealed { words.when_sealed } else { words.when }) }
                    p.soft { (words.privacy) }
                }
            }
        }
    }
}

/// The style of the form, which stands behind that of all pages.
pub(crate) const FORM: &str = "form{margin:1.2rem 0}label{display:block;font-weight:600}input{font:1.4rem/1.4 ui-monospace,monospace;letter-spacing:.08em;width:100%;max-width:22rem;\
padding:.5rem .6rem;color:var(--ink);background:var(--card);border:2px solid var(--soft);border-radius:6px}\
button{font:inherit;font-weight:600;padding:.7rem 1.2rem;color:var(--paper);background:var(--bar);border:0;border-radius:6px;cursor:pointer}\
input:focus-visible,button:focus-visible{outline:3px solid var(--bar);outline-offset:2px}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_asked_one_else_the_browsers_else_danish() {
        for (asked, accepted, language) in [
            (None, None, Language::Danish),
            (Some("en"), Some("da"), Language::English),
            (None, Some("de-DE,en-GB;q=0.8,da;q=0.5"), Language::English),
            (None, Some("da-DK"), Language::Danish),
            (Some("xx"), Some("EN"), Language::English),
            (Some("ø"), Some("æ"), Language::Danish),
        ] {
            assert_eq!(Language::of(asked, accepted), language);
        }
    }

    #[test]
    fn every_answer_is_said_in_both_languages_and_never_whether_there_was_a_message() {
        let all = [
            Taken::Noted,
            Taken::Wrong(BadReceipt::Length(3)),
            Taken::Wrong(BadReceipt::NoDigit),
            Taken::Wrong(BadReceipt::Check),
            Taken::TooMany,
            Taken::NotHere,
            Taken::Failed,
        ];
        for language in [Language::Danish, Language::English] {
            for taken in all {
                let page = withdraw(language, false, Some(taken)).into_string();
                assert!(page.contains(&format!("<html lang=\"{}\">", language.code())));
                let asks = page.contains("<form") && page.contains("for=\"receipt\"");
                assert_eq!(asks, !matches!(taken, Taken::Noted | Taken::NotHere));
                assert!(!page.contains("<script") && !page.contains("href=\"/"));
            }
        }
        let page = withdraw(Language::English, true, None).into_string();
        assert!(
            page.contains("the person who has the city's key") && !page.contains("within a minute")
        );
    }
}
