//! Codes of countries and languages, which people mix up.
//!
//! Owns: which letters are a code, and which code was probably meant where they are none. Pure, so that every machine gives
//! the same answer; it does not ask what the kernel knows of a country's Wi-Fi.

use super::warning::ConfigWarning;

/// ISO 3166-1, two letters each.
const COUNTRIES: &str = "ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCOCRCUCVCWCXCYCZ\
    DEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUIDIEILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKNKPKR\
    KWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARE\
    RORSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUMUSUYUZVAVCVEVGVIVNVUWFWSYEYTZAZMZW";

/// ISO 639-1, two letters each.
const LANGUAGES: &str = "aaabaeafakamanarasavayazbabebgbhbibmbnbobrbscacechcocrcscucvcydadedvdzeeeleneoeseteufafffifjfofrfygagdglgngugvhahehihohrhthuhyhzia\
    idieigiiikioisitiujajvkakgkikjkkklkmknkokrkskukvkwkylalblglilnloltlulvmgmhmimkmlmnmrmsmtmynanbndnengnlnnnonrnvnyocojomorospapiplps\
    ptqurmrnrorurwsascsdsesgsiskslsmsnsosqsrssstsusvswtatetgthtitktltntotrtstttwtyugukuruzvevivowawoxhyiyozazhzu";

/// Whether two letters are the code of a country.
pub(super) fn is_country(code: &str) -> bool {
    is_among(COUNTRIES, code)
}

/// The country that was probably meant by these letters.
pub(super) fn meant_country(code: &str) -> Option<(&'static str, &'static str)> {
    let meant = match code {
        "UK" | "EN" => ("GB", "the United Kingdom"),
        "EL" => ("GR", "Greece"),
        "DA" => ("DK", "Denmark"),
        "JA" => ("JP", "Japan"),
        "CS" => ("CZ", "Czechia"),
        "YU" => ("RS", "Serbia"),
        _ => return None,
    };
    Some(meant)
}

/// A tag that is no language's (RFC 5646).
#[derive(Debug, PartialEq)]
pub(super) struct WrongLanguage<'a> {
    tag: &'a str,
    /// The code that was probably meant, and its language.
    meant: Option<(&'static str, &'static str)>,
}

impl WrongLanguage<'_> {
    /// The warning for `[session] language`, with what the booth does `meanwhile`.
    pub(super) fn warning(&self, meanwhile: &str) -> ConfigWarning {
        let what = format!("[session] language {:?} is no code of a language", self.tag);
        match self.meant {
            Some((right, name)) => {
                ConfigWarning::new(what, format!("{name} is {right:?}. {meanwhile}"))
            }
            None => ConfigWarning::without_remedy(format!(
                "{what} (ISO 639), as \"da\" or \"en\". {meanwhile}"
            )),
        }
    }
}

/// What is wrong with the tag of a language (RFC 5646), or nothing.
pub(super) fn wrong_language(tag: &str) -> Option<WrongLanguage<'_>> {
    let primary = tag.split(['-', '_']).next().unwrap_or(tag).trim();
    let code = primary.to_lowercase();
    let meant = match code.as_str() {
        "dk" | "dan" | "dansk" | "danish" => Some(("da", "Danish")),
        "gb" | "us" | "eng" | "english" | "engelsk" => Some(("en", "English")),
        "ger" | "deu" | "german" | "deutsch" | "tysk" => Some(("de", "German")),
        "swe" | "swedish" | "svenska" | "svensk" => Some(("sv", "Swedish")),
        "nor" | "norwegian" | "norsk" => Some(("nb", "Norwegian")),
        "cz" => Some(("cs", "Czech")),
        "gr" => Some(("el", "Greek")),
        "jp" => Some(("ja", "Japanese")),
        _ => None,
    };
    // Codes of three letters are of ISO 639-2 or 639-3, for languages that have no code of two.
    let is_code = is_among(LANGUAGES, &code)
        || code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_lowercase());
    (meant.is_some() || !is_code).then_some(WrongLanguage { tag, meant })
}

fn is_among(all: &str, code: &str) -> bool {
    code.len() == 2 && all.as_bytes().chunks(2).any(|own| own == code.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_whole_and_in_order() {
        for (all, count) in [(COUNTRIES, 249), (LANGUAGES, 184)] {
            let codes: Vec<&[u8]> = all.as_bytes().chunks(2).collect();
            assert_eq!(codes.len(), count);
            assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "{all}");
        }
    }

    #[test]
    fn codes_that_people_mix_up_are_told_with_the_right_one() {
        assert!(is_country("DK") && is_country("GB") && !is_country("UK") && !is_country("D"));
        assert_eq!(meant_country("UK").map(|(code, _)| code), Some("GB"));
        for right in ["da", "DA", "da-DK", "en_GB", "uk", "kl", "fil"] {
            assert_eq!(wrong_language(right), None);
        }
        for (wrong, part) in [
            ("dk", "\"da\""),
            ("English", "\"en\""),
            ("xx", "ISO 639"),
            ("plattdüütsch", "ISO 639"),
        ] {
            let why = wrong_language(wrong)
                .expect("wrong")
                .warning("")
                .to_string();
            assert!(why.contains(part), "{wrong}: {why}");
        }
    }
}
