//! How many clips the hub holds, by its own figures (`/metrics`).
#![allow(clippy::disallowed_methods)] // waits until the hub looks anew

use std::path::Path;
use std::time::Duration;

use booth_host::{password, tls};
use ureq::Agent;

/// How long the hub is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// The hub tells the same figures again for a while after a look that took long.
const FRESH_AFTER: Duration = Duration::from_secs(2);
/// Longest answer, in bytes: the figures of ten thousand booths take some 50 MB.
const LONGEST: u64 = 256 << 20;
/// The figure that is read; the number of held ones is another line of it.
const FAMILY: &str = "booth_hub_clips{";

/// The figures cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct HeldError(String);

/// The hub's figures.
pub(super) struct Held {
    url: String,
    token: String,
    agent: Agent,
}

impl Held {
    pub(super) fn at(url: &str, token: &Path) -> Result<Self, HeldError> {
        let no = |why: String| HeldError(why);
        let token = password::read(token).map_err(|why| no(why.to_string()))?;
        let tls = tls::for_http(None).map_err(|why| no(why.to_string()))?;
        let agent = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(PATIENCE))
            .build()
            .into();
        Ok(Self {
            url: url.to_owned(),
            token,
            agent,
        })
    }

    /// How many clips are kept, counted or held.
    pub(super) fn ask(&self) -> Result<u64, HeldError> {
        // What was confirmed just now is in the figures of a look that begins now.
        std::thread::sleep(FRESH_AFTER);
        let answer = self
            .agent
            .get(&self.url)
            .header("Authorization", format!("Bearer {}", self.token))
            .call();
        let text = answer
            .and_then(|mut answer| {
                let body = answer.body_mut().with_config();
                body.limit(LONGEST).read_to_string()
            })
            .map_err(|why| HeldError(format!("{}: {why}", self.url)))?;
        clips_in(&text).ok_or_else(|| {
            HeldError(format!(
                "{} tells no {FAMILY}…}}: it is no hub of this version",
                self.url
            ))
        })
    }
}

/// The sum of the family's lines.
fn clips_in(text: &str) -> Option<u64> {
    let values = text
        .lines()
        .filter(|line| line.starts_with(FAMILY))
        .map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    let values: Option<Vec<f64>> = values.collect();
    values
        .filter(|values| !values.is_empty())
        .map(|values| values.iter().sum::<f64>() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_counted_and_held_is_read_and_nothing_else() {
        let text = "# TYPE booth_hub_clips gauge\nbooth_hub_clips{state=\"counted\"} 41\nbooth_hub_clips{state=\"held\"} 1\nbooth_hub_clips_bytes 9\n";
        assert_eq!(clips_in(text), Some(42));
        assert_eq!(clips_in("booth_hub_clips_bytes 9\n"), None);
        assert_eq!(clips_in("booth_hub_clips{state=\"counted\"} x\n"), None);
    }
}
