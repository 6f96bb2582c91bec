//! An alarm by a webhook: a POST of JSON, signed with a key that both sides have.
//!
//! Owns: the JSON, its signature and the connection. Never does: follow a redirect, or say what the message says.

use std::time::Duration;

use booth_contract::hex;
use booth_contract::time::rfc3339;
use booth_host::{password, tls};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::json;
use sha2::Sha256;
use ureq::Agent;

use super::{AlarmConfig, Telling};

/// How long the other side is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends it; returns when the other side has said 2xx.
///
/// # Errors
/// A sentence for the log and the page.
pub(super) fn send(
    config: &AlarmConfig,
    to: &str,
    telling: &Telling,
    now: Timestamp,
) -> Result<(), String> {
    let desk = config.desk.trim_end_matches('/');
    let body = json!({
        "kind": "danger", "alarm": telling.alarm, "message": telling.message, "contact": telling.contact, "raised_at": telling.at,
        "raised_by": telling.by, "remark": telling.why, "place": telling.place, "said_at": telling.said_at, "sent_at": rfc3339(now),
        "answer_at": format!("{desk}/desk/alarm/{}", telling.alarm),
    });
    post(config, to, &body)
}

/// Posts any JSON, signed with the key of `[city.alarm]`; returns when the other side has said 2xx.
///
/// # Errors
/// A sentence for the log and the page.
pub(crate) fn post(config: &AlarmConfig, to: &str, body: &serde_json::Value) -> Result<(), String> {
    let key = config
        .webhook_key()
        .ok_or("there is no [city.alarm] webhook_key_file")?;
    let key = password::read(key).map_err(|why| why.to_string())?;
    let body = body.to_string();
    let signature = format!("sha256={}", signature(&key, body.as_bytes()));
    let tls = tls::for_http(None).map_err(|why| why.to_string())?;
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .tls_config(tls)
        .timeout_global(Some(PATIENCE))
        .user_agent(concat!("booth-hub/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let answered = agent
        .post(to)
        .header("Content-Type", "application/json")
        .header("X-Booth-Signature", signature)
        .send(body.as_bytes())
        .map_err(|why| why.to_string())?;
    match answered.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("the other side answered {status}")),
    }
}

/// HMAC-SHA256 of a body (RFC 2104), in hex.
fn signature(key: &str, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes());
    let mut mac = mac.expect("HMAC takes a key of any length");
    mac.update(body);
    hex(&mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_rfc_4231() {
        // Test case 2.
        let made = signature("Jefe", b"what do ya want for nothing?");
        let wanted = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(made, wanted);
    }
}
