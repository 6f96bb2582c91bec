//! NetworkManager's profiles: one keyfile per connection (nm-settings-keyfile(5)). Pure.
//!
//! Owns: how a value is written so that it is read back byte for byte. Never does: decide which secret is in use.

use std::fmt::Write;
use std::net::IpAddr;

use sha2::{Digest, Sha256};

use crate::config::{Modem, Wifi, Wired};

/// The beginning of the name of every file that provisioning makes; files of others do not begin so.
pub(super) const OURS: &str = "booth-";
/// The end of the name, as NetworkManager demands.
pub(super) const ENDS: &str = ".nmconnection";

/// Metrics of the default route, of which the lowest wins: NetworkManager's own usual values (`ipv4.route-metric`).
const METRIC_WIRED: u32 = 100;
const METRIC_WIFI: u32 = 600;
const METRIC_MODEM: u32 = 700;

/// A connection's profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keyfile {
    /// The file's name, without folder.
    pub name: String,
    /// The profile's UUID, by which NetworkManager names what is connected.
    pub uuid: String,
    /// The file's text, secrets included.
    pub text: String,
}

/// A UUID that is always the same for the same connection with secrets of the same numbers, and reveals nothing of the
/// secrets.
fn uuid_of(what: &str) -> String {
    let hash = Sha256::digest(format!("booth-gateway network {what}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string()
}

/// How often NetworkManager tries a profile before it leaves it alone for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retries {
    /// For ever: a network that is back after a week is used again.
    Endless,
    /// NetworkManager's own small number, so that the profile with the other password has its turn.
    Usual,
    /// Once, for a PIN that may be wrong. After its SIM card has refused a PIN, NetworkManager leaves a modem alone until
    /// the next boot.
    Once,
}

impl Retries {
    /// The tries of one of this many profiles for the same network.
    pub(super) fn among(ranks: usize) -> Self {
        if ranks > 1 {
            Self::Usual
        } else {
            Self::Endless
        }
    }
}

struct Text(String);

impl Text {
    /// `priority` decides between profiles for the same device.
    fn new(id: &str, uuid: &str, kind: &str, priority: i32, retries: Retries) -> Self {
        let mut text = Self(String::from(
            "# Made by `booth-gateway provision` at every boot of booth.toml on the card; what is written here is lost.\n",
        ));
        text.group("connection");
        text.say("id", id);
        text.say("uuid", uuid);
        text.say("type", kind);
        text.say("autoconnect", "true");
        text.say("autoconnect-priority", &priority.to_string());
        match retries {
            Retries::Endless => text.say("autoconnect-retries", "0"),
            Retries::Once => text.say("autoconnect-retries", "1"),
            Retries::Usual => {}
        }
        text
    }

    fn group(&mut self, name: &str) {
        let _ = write!(self.0, "\n[{name}]\n");
    }

    fn say(&mut self, key: &str, value: &str) {
        let _ = writeln!(self.0, "{key}={}", escaped(value));
    }

    /// Writes a list of addresses, which need no escape.
    fn list(&mut self, key: &str, list: &str) {
        if !list.is_empty() {
            let _ = writeln!(self.0, "{key}={list}");
        }
    }

    fn automatic(&mut self, metric: u32) {
        for group in ["ipv4", "ipv6"] {
            self.group(group);
            self.say("method", "auto");
            self.say("route-metric", &metric.to_string());
        }
    }
}

/// GKeyFile's escapes. Some readers cut blanks off at the ends, so those are escaped too.
fn escaped(value: &str) -> String {
    let first = value.len() - value.trim_start_matches(' ').len();
    let last = value.trim_end_matches(' ').len();
    let mut escaped = String::new();
    for (at, character) in value.char_indices() {
        match character {
            ' ' if at < first || at >= last => escaped.push_str("\\s"),
            '\\' => escaped.push_str("\\\\"),
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Bytes as a list of numbers: every name of a network survives that, even `1;2;`, blanks, or bytes that are no text.
fn byte_list(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut list, byte| {
        let _ = write!(list, "{byte};");
        list
    })
}

/// The wired network, by DHCP unless the configuration says otherwise. The values have been checked.
pub(super) fn wired(wired: &Wired) -> Keyfile {
    let uuid = uuid_of("wired");
    let mut text = Text::new("booth-wired", &uuid, "ethernet", 30, Retries::Endless);
    let fixed = wired.fixed().ok().flatten();
    if fixed.is_none() {
        // Each wired card connects by itself, as in NetworkManager without a profile.
        text.say("multi-connect", "3");
    }
    let servers = wired.name_servers().unwrap_or_default();
    let list = |is_wanted: fn(&IpAddr) -> bool| {
        let wanted = servers.iter().filter(|server| is_wanted(server));
        wanted
            .map(|server| format!("{server};"))
            .collect::<String>()
    };
    text.group("ipv4");
    match fixed {
        None => text.say("method", "auto"),
        Some(fixed) => {
            text.say("method", "manual");
            let gateway = fixed.gateway.map(|gateway| format!(",{gateway}"));
            let gateway = gateway.unwrap_or_default();
            text.say(
                "address1",
                &format!("{}/{}{gateway}", fixed.address, fixed.prefix),
            );
        }
    }
    text.say("route-metric", &METRIC_WIRED.to_string());
    text.list("dns", &list(IpAddr::is_ipv4));
    text.group("ipv6");
    text.say("method", "auto");
    text.say("route-metric", &METRIC_WIRED.to_string());
    text.list("dns", &list(IpAddr::is_ipv6));
    Keyfile {
        name: format!("booth-wired{ENDS}"),
        uuid,
        text: text.0,
    }
}

/// A secret with the number that distinguishes it from an earlier one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbered<'a> {
    /// Its number.
    pub number: u64,
    /// The secret itself.
    pub secret: &'a str,
}

/// The network at this place in the list. `rank` 0 is the newest password, 1 the one before, `ranks` how many there are.
pub(super) fn wifi(
    wifi: &Wifi,
    place: usize,
    password: Option<Numbered>,
    rank: usize,
    ranks: usize,
) -> Keyfile {
    let former = if rank == 0 { "" } else { "-former" };
    let id = format!("booth-wifi-{}{former}", place + 1);
    let number = password.map_or(0, |password| password.number);
    let uuid = uuid_of(&format!(
        "wifi {} {number}",
        byte_list(wifi.ssid.as_bytes())
    ));
    let below = i32::try_from(2 * place + rank).unwrap_or(19);
    let mut text = Text::new(&id, &uuid, "wifi", 20 - below, Retries::among(ranks));
    text.group("wifi");
    text.say("mode", "infrastructure");
    text.say("ssid", &byte_list(wifi.ssid.as_bytes()));
    if wifi.hidden {
        text.say("hidden", "true");
    }
    // Power saving is off: parts of a clip leave at their own pace, and a booth has mains.
    text.say("powersave", "2");
    if let Some(password) = password {
        text.group("wifi-security");
        text.say("key-mgmt", "wpa-psk");
        text.say("psk", password.secret);
    }
    text.automatic(METRIC_WIFI);
    Keyfile {
        name: format!("{id}{ENDS}"),
        uuid,
        text: text.0,
    }
}

/// The mobile modem. `rank` as with [`wifi`].
pub(super) fn modem(
    modem: &Modem,
    password: Option<Numbered>,
    pin: Option<Numbered>,
    rank: usize,
    retries: Retries,
) -> Keyfile {
    let former = if rank == 0 { "" } else { "-former" };
    let id = format!("booth-modem{former}");
    let number = |secret: Option<Numbered>| secret.map_or(0, |secret| secret.number);
    let apn = modem.apn.as_deref().unwrap_or_default();
    let uuid = uuid_of(&format!("modem {apn} {} {}", number(password), number(pin)));
    let priority = if rank == 0 { -10 } else { -11 };
    let mut text = Text::new(&id, &uuid, "gsm", priority, retries);
    text.group("gsm");
    match &modem.apn {
        Some(apn) => text.say("apn", apn),
        None => text.say("auto-config", "true"),
    }
    let login = modem.apn.as_ref().and(modem.user.as_deref());
    if let Some(user) = login {
        text.say("username", user);
    }
    if let Some(password) = password.filter(|_| modem.apn.is_some()) {
        text.say("password", password.secret);
    }
    if let Some(pin) = pin {
        text.say("pin", pin.secret);
    }
    text.automatic(METRIC_MODEM);
    Keyfile {
        name: format!("{id}{ENDS}"),
        uuid,
        text: text.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_backslashes_and_line_ends_are_written_as_glib_reads_them() {
        for (value, written) in [
            ("plain; # = [x] é", "plain; # = [x] é"),
            ("  a b  ", "\\s\\sa b\\s\\s"),
            ("   ", "\\s\\s\\s"),
            ("a\\sb\\", "a\\\\sb\\\\"),
            ("\ta\r\n", "\\ta\\r\\n"),
        ] {
            assert_eq!(escaped(value), written);
        }
        assert_eq!(byte_list("ø;".as_bytes()), "195;184;59;");
    }

    #[test]
    fn wired_goes_before_wifi_and_wifi_before_the_modem() {
        let plain = Wifi {
            ssid: "x".into(),
            password_file: None,
            password: None,
            hidden: true,
        };
        let files = [
            wired(&Wired::default()),
            wifi(&plain, 0, None, 0, 1),
            wifi(&plain, 7, None, 1, 2),
            modem(&Modem::default(), None, None, 0, Retries::Endless),
        ];
        let number = |text: &str, key: &str| -> i32 {
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            line.expect("a line").parse().expect("a number")
        };
        let order = |key: &str| {
            files
                .iter()
                .map(|file| number(&file.text, key))
                .collect::<Vec<_>>()
        };
        let priorities = order("autoconnect-priority=");
        assert!(priorities.is_sorted_by(|a, b| a > b), "{priorities:?}");
        assert_eq!(order("route-metric="), [100, 600, 600, 700]);
        let mut uuids: Vec<&str> = files.iter().map(|file| file.uuid.as_str()).collect();
        uuids.dedup();
        assert_eq!(
            uuids.len(),
            3,
            "one network is one profile until its password changes"
        );
    }
}
