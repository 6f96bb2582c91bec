//! `[network]` of booth.toml: how the SD image reaches the network. Provisioning makes NetworkManager's profiles of it; the
//! gateway itself never reads it.

mod wired;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::codes;
use super::warning::ConfigWarning;
use booth_host::config_file::Faults;
pub use wired::{Fixed, Wired};

/// Most Wi-Fi networks of a booth.
const MOST_WIFI: usize = 8;
/// Longest SSID, bytes (IEEE 802.11).
const LONGEST_SSID: usize = 32;
/// Longest access point name: NetworkManager takes 64, where 3GPP TS 23.003 §9.1 allows 100.
const LONGEST_APN: usize = 64;
/// Longest name or password of a mobile network.
const LONGEST_LOGIN: usize = 64;

/// The networks of a booth; without this section, a wired network by DHCP.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// The country of the radio, ISO 3166-1; it decides which Wi-Fi channels are allowed.
    pub country: Option<String>,
    /// The wired network.
    pub wired: Wired,
    /// Wi-Fi networks, the first preferred.
    pub wifi: Vec<Wifi>,
    /// The mobile modem.
    pub modem: Option<Modem>,
}

/// A Wi-Fi network.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wifi {
    /// Its name, exactly.
    pub ssid: String,
    /// A file beside `booth.toml`; without one the network is open.
    pub password_file: Option<String>,
    /// Refused: a password here would stay on the card for every finder to read.
    #[serde(default)]
    pub password: Option<IgnoredAny>,
    /// The network is hidden: it does not send its name.
    #[serde(default)]
    pub hidden: bool,
}

/// A mobile modem.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Modem {
    /// Access point; without one, NetworkManager uses what it knows of the SIM card's network.
    pub apn: Option<String>,
    /// Login of the access point.
    pub user: Option<String>,
    /// A file beside `booth.toml`.
    pub password_file: Option<String>,
    /// Refused, as [`Wifi::password`].
    pub password: Option<IgnoredAny>,
    /// A file beside `booth.toml` with the SIM card's PIN.
    pub pin_file: Option<String>,
    /// Refused, as [`Wifi::password`].
    pub pin: Option<IgnoredAny>,
}

/// The kind of a network's secret, which decides what it has to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// The password of a Wi-Fi network, WPA.
    WifiPassword,
    /// The password of a mobile network's access point.
    ModemPassword,
    /// The PIN of a SIM card.
    Pin,
}

/// What is wrong with a secret, in words that do not reveal it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the sentences say it
pub enum SecretFault {
    #[error(
        "has {0} characters; a WPA password has 8 to 63 (or 64 hexadecimal digits): write it on one line, alone"
    )]
    WifiLength(usize),
    #[error(
        "holds other than plain characters (letters without accents, digits, signs): no WPA password \
         has them; write it on one line, alone"
    )]
    WifiCharacters,
    #[error(
        "is longer than {LONGEST_LOGIN} bytes or has several lines; write the password on one line, alone"
    )]
    ModemPassword,
    #[error("is no PIN; a SIM card's PIN has 4 to 8 digits: write it on one line, alone")]
    Pin,
}

impl SecretKind {
    /// Whether a secret can be one of this kind.
    pub fn check(self, secret: &str) -> Result<(), SecretFault> {
        let length = secret.len();
        match self {
            Self::WifiPassword => {
                let is_key = length == 64 && secret.bytes().all(|byte| byte.is_ascii_hexdigit());
                let is_plain = secret.bytes().all(|byte| (32..127).contains(&byte));
                match (is_plain, (8..=63).contains(&length)) {
                    _ if is_key => Ok(()),
                    (true, true) => Ok(()),
                    (true, false) => Err(SecretFault::WifiLength(length)),
                    (false, _) => Err(SecretFault::WifiCharacters),
                }
            }
            Self::ModemPassword => {
                let is_line = length <= LONGEST_LOGIN && !secret.contains(char::is_control);
                is_line.then_some(()).ok_or(SecretFault::ModemPassword)
            }
            Self::Pin => {
                let is_pin =
                    (4..=8).contains(&length) && secret.bytes().all(|b| b.is_ascii_digit());
                is_pin.then_some(()).ok_or(SecretFault::Pin)
            }
        }
    }

    /// The key of booth.toml that names a file with such a secret.
    fn key(self) -> &'static str {
        match self {
            Self::WifiPassword => "[network] wifi",
            Self::ModemPassword | Self::Pin => "[network] modem",
        }
    }
}

impl Network {
    /// The country that is set for the kernel, if the code is a country's.
    pub fn known_country(&self) -> Option<&str> {
        let country = self.country.as_deref();
        country.filter(|code| codes::is_country(code))
    }

    /// Every file with a secret, and what it has to hold.
    pub fn secrets(&self) -> Vec<(&str, SecretKind)> {
        let wifi = self
            .wifi
            .iter()
            .filter_map(|wifi| Some((wifi.password_file.as_deref()?, SecretKind::WifiPassword)));
        let modem = self.modem.iter().flat_map(|modem| {
            let password = modem
                .password_file
                .as_deref()
                .map(|name| (name, SecretKind::ModemPassword));
            let pin = modem
                .pin_file
                .as_deref()
                .map(|name| (name, SecretKind::Pin));
            password.into_iter().chain(pin)
        });
        wifi.chain(modem).collect()
    }

    /// Warns of a country that no table has.
    pub(super) fn wrong_country(&self) -> Option<ConfigWarning> {
        let country = self.country.as_deref()?;
        if codes::is_country(country) {
            return None;
        }
        let capitals = country.to_ascii_uppercase();
        let meant = match codes::meant_country(&capitals) {
            Some((code, name)) => format!("{name} is {code:?}"),
            None if codes::is_country(&capitals) => format!("write {capitals:?}"),
            None => "write the country's two letters, as \"DK\"".to_owned(),
        };
        Some(ConfigWarning::new(
            format!("[network] country {country:?} is no country's code (ISO 3166-1)"),
            format!("{meant}. Wi-Fi keeps to the channels that are allowed everywhere"),
        ))
    }

    /// Checks the section. `others`: files that other sections name.
    pub(super) fn check(&self, others: &[&str], faults: &mut Faults) {
        for why in [self.wired.fixed().err(), self.wired.name_servers().err()]
            .into_iter()
            .flatten()
        {
            faults.of("[network] wired", why);
        }
        if self.wifi.len() > MOST_WIFI {
            let why =
                format!("more than {MOST_WIFI} networks; leave those that the booth can meet");
            faults.of("[network] wifi", why);
        }
        for (index, wifi) in self.wifi.iter().enumerate() {
            wifi.check(&self.wifi[..index], faults);
        }
        if let Some(modem) = &self.modem {
            modem.check(faults);
        }
        self.check_files(others, faults);
    }

    /// Whether each secret has a file of its own beside booth.toml.
    fn check_files(&self, others: &[&str], faults: &mut Faults) {
        let secrets = self.secrets();
        for (index, (name, kind)) in secrets.iter().enumerate() {
            let is_plain =
                !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
            if !is_plain {
                let why = format!(
                    "{name:?} is no plain file name; put the file beside booth.toml and write its name alone"
                );
                faults.of(kind.key(), why);
            }
            let same = |other: &&str| other.eq_ignore_ascii_case(name);
            let earlier = secrets[..index].iter().map(|(name, _)| name);
            if earlier.chain(others).any(same) {
                let why = format!(
                    "the file {name:?} is named twice in booth.toml; give each secret a file of its own"
                );
                faults.of(kind.key(), why);
            }
        }
    }
}

/// The refusal of a secret in booth.toml itself: `what` it is, and the `key` for its file.
fn written_open(what: &str, key: &str) -> String {
    format!(
        "{what} in booth.toml would stay on the card for whoever finds it; write it alone into a file \
         beside booth.toml, and that file's name as {key}"
    )
}

impl Wifi {
    /// Checks a network beside those that stand before it in the file.
    fn check(&self, earlier: &[Wifi], faults: &mut Faults) {
        let ssid = &self.ssid;
        let mut wrong = |why: &str| faults.that("[network] wifi", format!("{ssid:?}: {why}"));
        if !(1..=LONGEST_SSID).contains(&ssid.len()) || ssid.contains('\0') {
            wrong("ssid: use the network's name of 1 to 32 bytes");
        }
        if earlier.iter().any(|other| other.ssid == *ssid) {
            wrong("is there twice; leave one");
        }
        if self.password.is_some() {
            wrong(&written_open("password", "password_file"));
        }
    }
}

impl Modem {
    fn check(&self, faults: &mut Faults) {
        let mut wrong = |why: &str| faults.of("[network] modem", why);
        if let Some(apn) = &self.apn
            && (!(1..=LONGEST_APN).contains(&apn.len())
                || !apn
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)))
        {
            wrong("apn: use 1 to 64 letters, digits, dots and dashes, as the operator gives it");
        }
        if let Some(user) = &self.user
            && (user.is_empty() || user.len() > LONGEST_LOGIN || user.contains(char::is_control))
        {
            wrong("user: use 1 to 64 bytes without control characters, or leave it out");
        }
        if self.password.is_some() {
            wrong(&written_open("password", "password_file"));
        }
        if self.pin.is_some() {
            wrong(&written_open("pin", "pin_file"));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, parse};

    fn faults(network: &str) -> String {
        let text = format!(
            "[booth]\nid = \"rundhoej-1\"\n[privacy]\nseal = false\n[mqtt]\npassword_file = \"mqtt-password\"\n{network}"
        );
        match parse::<Config>(&text, "booth.toml") {
            Ok(config) => config
                .check("booth.toml")
                .map_or_else(|e| e.to_string(), |()| String::new()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn networks_that_can_be_made_are_taken() {
        for good in [
            "",
            "[network]\ncountry = \"DK\"\n",
            "[network]\ncountry = \"Danmark\"\n",
            "[network]\nwired = { address = \"192.0.2.10/24\", gateway = \"192.0.2.1\", dns = [\"192.0.2.53\", \"2001:db8::1\"] }\n",
            "[network.wired]\naddress = \"10.0.0.0/31\"\n",
            "[[network.wifi]]\nssid = \"Kommune Gæst; nr. 2\"\npassword_file = \"wifi\"\n[[network.wifi]]\nssid = \"open\"\nhidden = true\n",
            "[network.modem]\napn = \"internet.example\"\nuser = \"u\"\npassword_file = \"p\"\npin_file = \"pin\"\n",
            "[network.modem]\n",
        ] {
            assert_eq!(faults(good), "", "{good}");
        }
    }

    #[test]
    fn a_country_that_is_no_code_closes_no_booth_and_is_told_with_the_right_one() {
        for (country, remedy) in [
            ("dk", "write \"DK\""),
            ("uk", "the United Kingdom is \"GB\""),
            ("DNK", "two letters"),
            ("Danmark", "two letters"),
            ("", "two letters"),
        ] {
            let network = super::Network {
                country: Some(country.into()),
                ..super::Network::default()
            };
            assert_eq!(network.known_country(), None, "{country:?}");
            let told = network.wrong_country().expect("a warning").to_string();
            assert!(told.contains(remedy), "{country:?}: {told}");
        }
    }

    #[test]
    fn networks_that_cannot_work_are_named_with_their_remedy_and_no_secret_is_repeated() {
        let wifi = |rest: &str| format!("[[network.wifi]]\nssid = \"x\"\n{rest}\n");
        let wired = |rest: &str| format!("[network.wired]\n{rest}\n");
        let modem = |rest: &str| format!("[network.modem]\n{rest}\n");
        for (network, part) in [
            (wired("address = \"192.0.2.10\""), "has no /"),
            (wired("address = \"192.0.2.300/24\""), "is no IPv4 address"),
            (wired("address = \"192.0.2.10/33\""), "1 to 31 bits"),
            (wired("address = \"192.0.2.0/24\""), "the network itself"),
            (wired("address = \"192.0.2.255/24\""), "the network itself"),
            (
                wired("address = \"127.0.0.1/8\""),
                "none that a machine can have",
            ),
            (wired("gateway = \"192.0.2.1\""), "without address"),
            (
                wired("address = \"192.0.2.10/24\"\ngateway = \"192.0.3.1\""),
                "not in the network of 192.0.2.10/24",
            ),
            (
                wired("address = \"192.0.2.10/24\"\ngateway = \"192.0.2.10\""),
                "the booth's own address",
            ),
            (
                wired("dns = [\"one.one\"]"),
                "dns \"one.one\" is no address",
            ),
            ("[[network.wifi]]\nssid = \"\"\n".into(), "1 to 32 bytes"),
            (
                format!("[[network.wifi]]\nssid = \"{}\"\n", "ø".repeat(17)),
                "1 to 32 bytes",
            ),
            (wifi("").repeat(2), "is there twice"),
            (
                wifi("password = \"hemmeligt\""),
                "file's name as password_file",
            ),
            (wifi("password = 12345678"), "file's name as password_file"),
            (wifi("password_file = \"../x\""), "no plain file name"),
            (wifi("password_file = \"MQTT-Password\""), "named twice"),
            (modem("apn = \"a b\""), "apn: use"),
            (modem("user = \"\""), "user: use"),
            (modem("pin = \"1234\""), "file's name as pin_file"),
            (
                modem("password = \"hemmeligt\""),
                "file's name as password_file",
            ),
            (
                modem("pin_file = \"s\"\npassword_file = \"s\""),
                "named twice",
            ),
            (wifi("pasword_file = \"x\""), "did you mean `password_file`"),
        ] {
            let all = faults(&network);
            assert!(all.contains(part), "{network}: {part} missing in {all:?}");
            assert!(!all.contains("hemmeligt") && !all.contains("1234"), "{all}");
        }
        let many: String = (0..9)
            .map(|n| format!("[[network.wifi]]\nssid = \"{n}\"\n"))
            .collect();
        assert!(faults(&many).contains("more than 8"));
    }

    #[test]
    fn secrets_are_judged_by_what_they_are_for() {
        use super::SecretKind::{ModemPassword, Pin, WifiPassword};
        for (kind, good) in [
            (WifiPassword, "12345678".to_owned()),
            (WifiPassword, " a\\b;c #d ".into()),
            (WifiPassword, "x".repeat(63)),
            (WifiPassword, "0aF9".repeat(16)),
            (ModemPassword, "é".into()),
            (Pin, "0000".into()),
            (Pin, "12345678".into()),
        ] {
            assert_eq!(kind.check(&good), Ok(()), "{good}");
        }
        for (kind, bad, part) in [
            (WifiPassword, "1234567".to_owned(), "has 7 characters"),
            (WifiPassword, "x".repeat(64), "64 hexadecimal"),
            (WifiPassword, "rødgrødmedfløde".into(), "other than plain"),
            (
                WifiPassword,
                "password: x\nother".into(),
                "other than plain",
            ),
            (ModemPassword, "x".repeat(65), "longer than"),
            (Pin, "123".into(), "4 to 8 digits"),
            (Pin, "12a4".into(), "4 to 8 digits"),
        ] {
            let why = kind.check(&bad).expect_err("bad").to_string();
            assert!(why.contains(part) && !why.contains(&bad), "{why}");
        }
    }
}
