//! Health: one flat JSON object of numbers (contract §3.2).

use std::collections::BTreeMap;

use super::reading::fields;

/// Whether a citizen can speak now.
const READY: &str = "ready";

/// A health message: a number for each name of the contract. A value that a machine cannot know is left out.
///
/// Serialises as one flat object; whole numbers are written without a fraction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health(BTreeMap<String, f64>);

impl Health {
    /// A health message without values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one value; one that is not finite is left out.
    pub fn set(&mut self, name: &str, value: f64) {
        if value.is_finite() {
            self.0.insert(name.to_owned(), value);
        }
    }

    /// Sets a flag as 0 or 1.
    pub fn set_flag(&mut self, name: &str, value: bool) {
        self.set(name, f64::from(u8::from(value)));
    }

    /// Sets a count.
    pub fn set_count(&mut self, name: &str, value: u64) {
        self.set(name, value as f64);
    }

    /// Sets a value if it is known.
    pub fn set_known(&mut self, name: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// One value.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// All values in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// Reads a payload. A value that is no number counts as absent; only `ready`, which every reader needs, makes the payload
    /// unreadable if it is no number.
    ///
    /// # Errors
    /// Where the payload is no JSON object, or `ready` is no number.
    pub fn from_json(payload: &[u8]) -> Result<Self, serde_json::Error> {
        let mut health = Self::new();
        for (name, value) in fields(payload)? {
            match value.as_f64() {
                Some(number) => health.set(&name, number),
                None if name == READY && !value.is_null() => {
                    return Err(serde::de::Error::custom("ready is no number"));
                }
                None => {}
            }
        }
        Ok(health)
    }

    /// The payload.
    pub fn to_json(&self) -> Vec<u8> {
        let mut object = serde_json::Map::new();
        for (name, value) in &self.0 {
            let whole = value.fract() == 0.0 && value.abs() < 9.0e15;
            let number = if whole {
                serde_json::Value::from(*value as i64)
            } else {
                serde_json::Value::from(*value)
            };
            object.insert(name.clone(), number);
        }
        serde_json::Value::Object(object).to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_flat_numbers_and_leaves_out_the_unknown() {
        let mut health = Health::new();
        health.set_flag("ready", true);
        health.set("load1", 0.25);
        health.set_known("cpu_temp_c", None);
        health.set("mic_rms_dbfs", f64::NEG_INFINITY);
        assert_eq!(health.to_json(), br#"{"load1":0.25,"ready":1}"#);
        assert_eq!(
            Health::from_json(&health.to_json()).expect("own payload"),
            health
        );
    }

    #[test]
    fn what_is_no_number_counts_as_absent_but_for_the_one_that_everybody_needs() {
        let mut known = Health::new();
        known.set_flag("ready", true);
        let said = br#"{"ready":1,"load1":null,"note":"x","ts":"2026-01-01T00:00:00Z","a":[1],"b":{},"root_ro":false}"#;
        assert_eq!(Health::from_json(said).expect("read"), known);
        assert_eq!(
            Health::from_json(br#"{"ready":null}"#).expect("read"),
            Health::new()
        );
        for refused in [
            &br#"{"ready":true}"#[..],
            br#"{"ready":"1"}"#,
            b"[1]",
            b"1",
            b"",
            b"{",
        ] {
            assert!(Health::from_json(refused).is_err());
        }
    }
}
