//! What of booth.toml a bundle shows. Pure.
//!
//! Owns: the list of the keys that are shown. Never does: show a key that is not on it, so that a secret in an unforeseen place stays at
//! the booth.

use toml::{Table, Value};

use crate::trust::keys::Keys;
use booth_contract::BrokerUrl;
use booth_sealing::Recipient;

/// What stands in place of a value that is not shown.
pub(super) const REMOVED: &str = "(removed)";

/// What is shown of a key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// All of it.
    Whole,
    /// Only what is what it should be: an address of a broker, a public key.
    IfRight,
    /// Nothing.
    Never,
}

/// The keys of each table, and what is shown of them. A table within a table has its own name, as `network.wifi`.
const KEYS: &[(&str, Shown, &[&str])] = {
    use Shown::{IfRight, Never, Whole};
    &[
        ("booth", Whole, &["id", "name", "contact", "timezone"]),
        ("mqtt", IfRight, &["url"]),
        (
            "mqtt",
            Whole,
            &[
                "password_file",
                "ca_file",
                "cert_file",
                "key_file",
                "root",
                "confirm",
                "upload_kbit_s",
                "home_assistant",
            ],
        ),
        (
            "handset",
            Whole,
            &[
                "backend",
                "chip",
                "dial_layout",
                "hook_flash",
                "control_socket",
            ],
        ),
        (
            "handset.usb",
            Whole,
            &["device", "hook", "hook_is", "hang_up_after_s"],
        ),
        (
            "audio",
            Whole,
            &[
                "input",
                "output",
                "bitrate",
                "complexity",
                "bandwidth",
                "mixer",
                "capture_control",
                "capture_db",
                "capture_percent",
                "playback_control",
                "playback_db",
                "playback_percent",
                "sidetone_control",
                "sidetone_db",
                "sidetone_percent",
            ],
        ),
        (
            "session",
            Whole,
            &[
                "consent",
                "language",
                "prompts",
                "emergency_numbers",
                "withdraw_code",
                "max_seconds",
                "min_seconds",
                "silence_seconds",
                "choose_seconds",
            ],
        ),
        (
            "question",
            Whole,
            &[
                "id",
                "digit",
                "kind",
                "prompt",
                "publish",
                "max_seconds",
                "min_pause_s",
            ],
        ),
        ("question.options", Whole, &["digit", "id", "prompt"]),
        ("spool", Whole, &["dir", "max_bytes", "reserve_bytes"]),
        ("privacy", IfRight, &["recipients"]),
        ("privacy", Whole, &["seal", "key_until"]),
        ("control", IfRight, &["keys"]),
        ("health", Whole, &["interval_s"]),
        ("bell", Whole, &["cadence_ms", "rings", "at", "quiet"]),
        ("service", Never, &["code"]),
        ("service", Whole, &["usb_disks", "usb_stick"]),
        ("selftest", Whole, &["tone", "at"]),
        ("update", IfRight, &["keys"]),
        ("update", Whole, &["allow", "state"]),
        ("doctor", Whole, &["socket"]),
        ("network", Whole, &["country"]),
        ("network.wired", Whole, &["address", "gateway", "dns"]),
        ("network.wifi", Whole, &["ssid", "password_file", "hidden"]),
        ("network.wifi", Never, &["password"]),
        (
            "network.modem",
            Whole,
            &["apn", "password_file", "pin_file"],
        ),
        ("network.modem", Never, &["user", "password", "pin"]),
        ("screen", Whole, &["enabled", "listen"]),
    ]
};

/// Tables of the handset's lines, which hold nothing but numbers and levels.
const LINES: &[&str] = &[
    "hook",
    "dial_pulse",
    "dial_off_normal",
    "keypad",
    "button",
    "service_button",
    "tamper",
    "lamp",
    "ringer",
];
const LINE_KEYS: &[&str] = &[
    "line",
    "off_hook",
    "pull",
    "debounce_ms",
    "on",
    "active",
    "rows",
    "columns",
];

/// What is shown of this key; none for a key that nobody has decided about, which is not shown either.
fn shown(table: &str, key: &str) -> Option<Shown> {
    let is_line = table
        .strip_prefix("handset.")
        .is_some_and(|line| LINES.contains(&line));
    if is_line && LINE_KEYS.contains(&key) {
        return Some(Shown::Whole);
    }
    let of_table = KEYS.iter().filter(|(name, ..)| *name == table);
    let mut of_key = of_table.filter(|(_, _, keys)| keys.contains(&key));
    of_key.next().map(|(_, shown, _)| *shown)
}

/// Whether somebody has decided about this key, or about the keys of the table that it is.
pub fn is_decided(table: &str, key: &str) -> bool {
    let inner = format!("{table}.{key}");
    let is_table = KEYS.iter().any(|(name, ..)| *name == inner);
    let is_line = table == "handset" && LINES.contains(&key);
    is_table || is_line || shown(table, key).is_some()
}

/// A configuration without its secrets, and the texts that were taken out.
#[derive(Debug, Default)]
pub(super) struct Purged {
    /// What may be shown.
    pub(super) table: Table,
    /// What may not, to be looked for elsewhere.
    pub(super) removed: Vec<String>,
}

impl Purged {
    /// Of a whole configuration.
    pub(super) fn of(whole: &Table) -> Self {
        let mut removed = Vec::new();
        let table = table("", whole, &mut removed);
        Self { table, removed }
    }
}

fn table(name: &str, whole: &Table, removed: &mut Vec<String>) -> Table {
    let shown = |(key, value): (&String, &Value)| (key.clone(), entry(name, key, value, removed));
    whole.iter().map(shown).collect()
}

fn entry(name: &str, key: &str, value: &Value, removed: &mut Vec<String>) -> Value {
    let below = match name {
        "" => key.to_owned(),
        name => format!("{name}.{key}"),
    };
    let is_tables = |list: &[Value]| !list.is_empty() && list.iter().all(Value::is_table);
    match (value, shown(name, key)) {
        (Value::Table(inner), _) => Value::Table(table(&below, inner, removed)),
        (Value::Array(list), _) if is_tables(list) => {
            let tables = list.iter().filter_map(Value::as_table);
            Value::Array(
                tables
                    .map(|inner| Value::Table(table(&below, inner, removed)))
                    .collect(),
            )
        }
        (value, Some(Shown::Whole)) => value.clone(),
        (Value::Array(list), Some(Shown::IfRight)) => {
            let each = list.iter().map(|value| if_right(&below, value, removed));
            Value::Array(each.collect())
        }
        (value, Some(Shown::IfRight)) => if_right(&below, value, removed),
        (value, Some(Shown::Never) | None) => take_out(value, removed),
    }
}

/// A value that is shown only if it is what it should be.
fn if_right(key: &str, value: &Value, removed: &mut Vec<String>) -> Value {
    let text = value.as_str().unwrap_or_default();
    let is_right = match key {
        "mqtt.url" => BrokerUrl::parse(text).is_ok() && !text.contains('@'),
        "privacy.recipients" => Recipient::parse(text).is_ok(),
        _ => Keys::parse(&[text]).is_ok(),
    };
    match is_right {
        true => value.clone(),
        false => take_out(value, removed),
    }
}

fn take_out(value: &Value, removed: &mut Vec<String>) -> Value {
    match value {
        Value::String(text) if text.is_empty() => return value.clone(),
        Value::String(text) => removed.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|value| drop(take_out(value, removed))),
        other => removed.push(other.to_string()),
    }
    Value::String(REMOVED.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_decided_about_is_not_shown() {
        let text = "\
            [booth]\nid = \"a-1\"\npassword = \"sentinel-1\"\n\
            [mqtt]\nurl = \"mqtt://user:sentinel-2@host\"\n\
            [service]\ncode = \"01234567\"\n\
            [privacy]\nrecipients = [\"AGE-SECRET-KEY-1SENTINEL\"]\nseal = true\n\
            [control]\nkeys = [\"sentinel-3\"]\n\
            [handset]\nhook = { line = 17, note = \"sentinel-4\" }\n\
            [[network.wifi]]\nssid = \"x\"\npassword = \"sentinel-5\"\n\
            [network.modem]\npin = 98765\n\
            [no_such_table]\nx = [\"sentinel-6\", [\"sentinel-7\"]]\n";
        let purged = Purged::of(&text.parse().expect("TOML"));
        let shown = toml::to_string(&purged.table).expect("TOML");
        for secret in ["sentinel", "01234567", "SENTINEL", "98765"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        for kept in ["id = \"a-1\"", "line = 17", "ssid = \"x\"", "seal = true"] {
            assert!(shown.contains(kept), "{kept} is not in {shown}");
        }
        assert_eq!(purged.removed.len(), 10, "{:?}", purged.removed);
    }

    #[test]
    fn what_is_right_is_shown() {
        let text = "[mqtt]\nurl = \"mqtts://broker.example:8883\"\n[service]\ncode = \"\"\n";
        let purged = Purged::of(&text.parse().expect("TOML"));
        let shown = toml::to_string(&purged.table).expect("TOML");
        assert!(shown.contains("mqtts://broker.example:8883"), "{shown}");
        assert!(!shown.contains(REMOVED), "no code is no secret: {shown}");
    }
}
