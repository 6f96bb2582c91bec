//! The screen's own sentences, in Danish and English.
//!
//! Owns: the one table of what is read on the screen and is no city's prompt. Never does: choose a sentence; `view` does.

use gateway_core::prompt::{Language, Prompt};

macro_rules! sentences {
    ($( $variant:ident = $english:literal, $danish:literal; )*) => {
        /// A sentence or a word of the screen.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Say {
            $( #[doc = $english] $variant, )*
        }

        impl Say {
            /// All of them.
            #[cfg(test)]
            pub(super) const ALL: &'static [Say] = &[ $( Say::$variant, )* ];

            /// In this language.
            pub(super) fn text(self, language: Language) -> &'static str {
                match (language, self) {
                    $(
                        (Language::English, Say::$variant) => $english,
                        (Language::Danish, Say::$variant) => $danish,
                    )*
                }
            }
        }
    };
}

sentences! {
    // Nobody is there.
    LiftHandset = "Lift the handset", "Løft røret";
    AnswerAQuestion = "and answer a question from your city.", "og svar på et spørgsmål fra din kommune.";
    OutOfOrder = "Out of order", "Ude af drift";
    NothingAsked = "Nothing is asked here at the moment", "Der bliver ikke spurgt om noget lige nu";
    TryLater = "Please try again later.", "Prøv igen senere.";
    Service = "A technician is at work here.", "En tekniker arbejder her.";
    // Before the recording.
    BeforeYouSpeak = "Before you speak", "Før du taler";
    NoticeHasNoText = "The handset says who records and why. Its text is missing on this screen.", "Røret fortæller, hvem der optager, og hvorfor. Teksten mangler på skærmen.";
    ReadFirst = "Read this first. Then press a key, or hang up.", "Læs dette først. Tryk så på en tast, eller læg røret på.";
    ChooseQuestion = "Choose a question", "Vælg et spørgsmål";
    PressDigit = "Press its digit. Hang up if you do not want to.", "Tryk på tallet. Læg røret på, hvis du ikke vil.";
    PressToAnswer = "Press the key to answer. Hang up if you do not want to.", "Tryk på tasten for at svare. Læg røret på, hvis du ikke vil.";
    AnswerIt = "Answer", "Svar";
    WhatCameOfIt = "You said, we did", "Du sagde, vi gjorde";
    SpeakAfterTone = "Speak after the tone.", "Tal efter tonen.";
    // A vote.
    Casting = "Your vote is being kept.", "Din stemme bliver gemt.";
    DialCode = "Dial your code", "Tryk din kode";
    // The recording.
    Recording = "Recording", "Optager";
    SpeakNow = "Speak now. Hang up when you have finished.", "Tal nu. Læg røret på, når du er færdig.";
    YourVoice = "Your voice", "Din stemme";
    TimeLeft = "left", "tilbage";
    LimitSoon = "The recording ends soon.", "Optagelsen slutter snart.";
    Saving = "Your message is being kept.", "Din besked bliver gemt.";
    // After it.
    ThankYou = "Thank you!", "Tak!";
    HangUp = "Please hang up.", "Læg venligst røret på.";
    YourReceipt = "Your receipt", "Din kvittering";
    YourWords = "This is your message", "Dette er din besked";
    // A message is taken back.
    DialReceipt = "Dial your receipt", "Tryk din kvittering";
    // What stands for a prompt of the city that came without its text.
    Menu = "Choose a question.", "Vælg et spørgsmål.";
    OnceMore = "Once more.", "En gang til.";
    NoSuchQuestion = "No question has that digit.", "Det tal har intet spørgsmål.";
    Goodbye = "Goodbye.", "Farvel.";
    TooShort = "That was too short to keep.", "Det var for kort til at blive gemt.";
    OffHook = "The handset is off its hook.", "Røret er ikke lagt på.";
    Emergency = "This telephone cannot call for help. Use another telephone.", "Denne telefon kan ikke ringe efter hjælp. Brug en anden telefon.";
    // What keys do.
    Louder = "Again, louder", "Igen, højere";
    BeginAgain = "Begin again", "Begynd forfra";
    Slower = "Again, slower", "Igen, langsommere";
    Start = "Start recording", "Begynd optagelsen";
    Finish = "Finish", "Afslut";
    HearIt = "Hear it", "Hør den";
    SpeakAgain = "Say it again", "Sig det om";
    Delete = "Delete it", "Slet den";
    Another = "Another question", "Et andet spørgsmål";
    PublishText = "Its text may be published", "Teksten må offentliggøres";
    PublishVoice = "My voice may be published", "Min stemme må offentliggøres";
    Cast = "Cast it now", "Stem nu";
    AnyDigit = "any digit", "et tal";
    Button = "the button", "knappen";
}

/// What stands for a prompt whose text the city has not given; `None` for tones and pauses, which say nothing, and for what
/// only the city knows.
pub(super) fn instead_of(prompt: &Prompt) -> Option<Say> {
    match prompt {
        Prompt::Notice => Some(Say::NoticeHasNoText),
        Prompt::Menu => Some(Say::Menu),
        Prompt::Repeat => Some(Say::OnceMore),
        Prompt::NoSuchQuestion => Some(Say::NoSuchQuestion),
        Prompt::LimitSoon => Some(Say::LimitSoon),
        Prompt::Thanks => Some(Say::ThankYou),
        Prompt::Goodbye => Some(Say::Goodbye),
        Prompt::TooShort => Some(Say::TooShort),
        Prompt::OffHook => Some(Say::OffHook),
        Prompt::OutOfOrder => Some(Say::TryLater),
        Prompt::Emergency => Some(Say::Emergency),
        Prompt::InLanguage(_, prompt) => instead_of(prompt),
        Prompt::Tone
        | Prompt::TestTone
        | Prompt::Wanted(_)
        | Prompt::Question(_)
        | Prompt::BoothName
        | Prompt::Pause
        | Prompt::Word(_) => None,
    }
}

/// A language by its own name; `None` for one that is not listed.
pub(super) fn language_name(tag: &str) -> Option<&'static str> {
    let primary = tag.split(['-', '_']).next().unwrap_or(tag);
    Some(match primary.to_ascii_lowercase().as_str() {
        "da" => "Dansk",
        "en" => "English",
        "de" => "Deutsch",
        "sv" => "Svenska",
        "no" | "nb" => "Norsk",
        "kl" => "Kalaallisut",
        "pl" => "Polski",
        "ro" => "Română",
        "tr" => "Türkçe",
        "uk" => "Українська",
        "ar" => "العربية",
        "so" => "Soomaali",
        "fa" => "فارسی",
        "fr" => "Français",
        "es" => "Español",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sentence_is_there_in_both_languages_and_is_another_one_in_each() {
        for say in Say::ALL {
            let (english, danish) = (say.text(Language::English), say.text(Language::Danish));
            assert!(!english.is_empty() && !danish.is_empty(), "{say:?}");
            assert_ne!(english, danish, "{say:?}");
        }
    }
}
