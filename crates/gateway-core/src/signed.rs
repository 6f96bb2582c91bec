//! May a signed message be obeyed? (Contract §3.7.)
//!
//! Owns: the order of the checks, the sentence for each refusal, and the nonces that were taken. Never does: know a key. The
//! signature itself is checked by a function that the loop hands in, before anything that the message says is believed.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use booth_contract::signed::{BadBody, SignedBody};
use booth_contract::time::{Timestamp, rfc3339};
use booth_contract::{BoothId, Signed};
use serde::{Deserialize, Serialize};

/// How far the clock of whoever signs may be ahead.
const AHEAD: Duration = Duration::from_secs(24 * 3600);
/// Most nonces that are kept. Each is forgotten when its text has expired, so that a city signs this many in eight days at most.
pub const MOST_NONCES: usize = 256;

/// Checks a signature: text and signature in, a sentence for a refusal out.
pub type Verify<'a> = dyn Fn(&str, &str) -> Result<(), String> + 'a;

/// What this booth knows of itself and of the time.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// Its id.
    pub booth: &'a BoothId,
    /// The wall clock, right or wrong.
    pub wall: Timestamp,
    /// Whether it is synchronised.
    pub clock_synced: bool,
    /// The latest synchronised time that was seen with this card.
    pub latest: Option<Timestamp>,
    /// When this card was first seen, as far as that can be believed.
    pub first_seen: Option<Timestamp>,
}

impl Standing<'_> {
    /// Whether this card can have been first seen then. Where its clock was ahead at its first start it says a time that neither the
    /// clock nor the latest synchronised time has reached.
    pub fn believes(&self, seen: Timestamp) -> bool {
        !self.clock_synced || Some(seen) <= self.latest.max(Some(self.wall))
    }
}

/// When a message that may be obeyed is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Now.
    Now,
    /// When the clock is synchronised: only then is it known whether it has expired.
    WithTheClock,
}

/// Why a signed message is not obeyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It has no signature.
    Unsigned,
    /// The signature is not believed; a sentence.
    Signature(String),
    /// What was signed is no command.
    Body(BadBody),
    /// It is for other booths.
    OtherBooth,
    /// Another command was signed: this one.
    OtherCommand(String),
    /// It expired at this time.
    Expired(Timestamp),
    /// It expired at the first time, by the second one, which this card has seen; the clock is behind that.
    ExpiredByCard(Timestamp, Timestamp),
    /// It was issued before this card was first seen, at this time.
    BeforeCard(Timestamp),
    /// It was issued more than a day from now.
    Ahead(Timestamp),
    /// Its nonce was taken before.
    Replayed,
    /// Too many nonces are kept.
    NoncesFull,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => f.write_str(
                "it is not signed; send {\"body\": \"…\", \"minisig\": \"…\"} as docs/commands.md says",
            ),
            Self::Signature(why) => f.write_str(why),
            Self::Body(why) => why.fmt(f),
            Self::OtherBooth => f.write_str("it was signed for another booth"),
            Self::OtherCommand(command) => {
                let shown: String = command.chars().take(64).collect();
                write!(f, "it was signed as the command {shown:?}")
            }
            Self::Expired(at) => write!(f, "it expired at {}; sign it anew", rfc3339(*at)),
            Self::ExpiredByCard(at, seen) => write!(
                f,
                "it expired at {}: this card has seen the time {}. If a clock was wrong then, docs/commands.md says the way out",
                rfc3339(*at),
                rfc3339(*seen)
            ),
            Self::BeforeCard(seen) => write!(
                f,
                "it was issued before this card was first seen, at {}; sign it anew",
                rfc3339(*seen)
            ),
            Self::Ahead(at) => write!(
                f,
                "it was issued at {}, more than a day from now; check the clock of whoever signed it",
                rfc3339(*at)
            ),
            Self::Replayed => f.write_str("it came before: its nonce was taken; sign it anew"),
            Self::NoncesFull => write!(
                f,
                "{MOST_NONCES} signed commands that have not expired were taken already; send it again later"
            ),
        }
    }
}

impl std::error::Error for Refusal {}

/// Reads what was signed, after its signature was found good, and judges everything but the nonce.
///
/// # Errors
/// Why it is not obeyed.
pub fn judge(
    command: &str,
    payload: &[u8],
    verify: &Verify<'_>,
    standing: &Standing<'_>,
) -> Result<(Signed, SignedBody, Due), Refusal> {
    let signed = Signed::read(payload).ok_or(Refusal::Unsigned)?;
    let (body, due) = judge_again(command, &signed, verify, standing)?;
    Ok((signed, body, due))
}

/// The same for a message that was read before.
///
/// # Errors
/// Why it is not obeyed.
pub fn judge_again(
    command: &str,
    signed: &Signed,
    verify: &Verify<'_>,
    standing: &Standing<'_>,
) -> Result<(SignedBody, Due), Refusal> {
    verify(&signed.body, &signed.minisig).map_err(Refusal::Signature)?;
    let body = SignedBody::read(&signed.body).map_err(Refusal::Body)?;
    if !body.names(standing.booth.as_str()) {
        return Err(Refusal::OtherBooth);
    }
    if body.command != command {
        return Err(Refusal::OtherCommand(body.command));
    }
    if standing.clock_synced && body.expires_at <= standing.wall {
        return Err(Refusal::Expired(body.expires_at));
    }
    if let Some(seen) = standing.latest
        && body.expires_at <= seen
    {
        return Err(Refusal::ExpiredByCard(body.expires_at, seen));
    }
    if let Some(seen) = standing.first_seen.filter(|seen| standing.believes(*seen))
        && body.issued_at < seen
    {
        return Err(Refusal::BeforeCard(seen));
    }
    if !standing.clock_synced {
        return Ok((body, Due::WithTheClock));
    }
    let latest = standing.wall.saturating_add(AHEAD);
    if latest.is_ok_and(|latest| body.issued_at > latest) {
        return Err(Refusal::Ahead(body.issued_at));
    }
    Ok((body, Due::Now))
}

/// The nonces that were taken, each until its text has expired.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nonces(BTreeMap<String, Timestamp>);

impl Nonces {
    /// Whether this one may still be taken.
    ///
    /// # Errors
    /// It was taken, or no more are kept.
    pub fn is_free(&self, nonce: &str) -> Result<(), Refusal> {
        if self.0.contains_key(nonce) {
            return Err(Refusal::Replayed);
        }
        if self.0.len() >= MOST_NONCES {
            return Err(Refusal::NoncesFull);
        }
        Ok(())
    }

    /// Takes one, whose text expires then.
    pub fn take(&mut self, nonce: &str, expires_at: Timestamp) {
        self.0.insert(nonce.to_owned(), expires_at);
    }

    /// Forgets what expired before this time, which is certain.
    pub fn forget(&mut self, certain: Timestamp) {
        self.0.retain(|_, expires_at| *expires_at > certain);
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn body() -> Value {
        json!({
            "booth": ["rundhoej-1", "b-2"],
            "command": "reboot",
            "issued_at": "2026-11-29T00:00:00Z",
            "expires_at": "2026-11-30T00:00:00Z",
            "nonce": "n-1",
        })
    }

    /// A signature in these tests is the length of what it signs.
    fn verify(body: &str, minisig: &str) -> Result<(), String> {
        match minisig == body.len().to_string() {
            true => Ok(()),
            false => Err("the signature is wrong".into()),
        }
    }

    fn judged(
        change: impl Fn(&mut Value),
        stand: impl Fn(&mut Standing<'_>),
    ) -> Result<Due, Refusal> {
        let booth = BoothId::parse("rundhoej-1").expect("an id");
        let mut standing = Standing {
            booth: &booth,
            wall: at("2026-11-29T12:00:00Z"),
            clock_synced: true,
            latest: Some(at("2026-11-29T11:00:00Z")),
            first_seen: Some(at("2026-01-01T00:00:00Z")),
        };
        stand(&mut standing);
        let mut body = body();
        change(&mut body);
        let body = body.to_string();
        let minisig = body.len().to_string();
        let payload = Signed { body, minisig }.to_json();
        judge("reboot", &payload, &verify, &standing).map(|(_, _, due)| due)
    }

    #[test]
    fn each_reason_to_refuse_is_found_and_named() {
        let same = |_: &mut Standing<'_>| {};
        assert_eq!(judged(|_| {}, same), Ok(Due::Now));
        assert_eq!(
            judged(|body| body["booth"] = json!("rundhoej-2"), same),
            Err(Refusal::OtherBooth)
        );
        assert_eq!(
            judged(|body| body["command"] = json!("purge"), same),
            Err(Refusal::OtherCommand("purge".into()))
        );
        assert_eq!(
            judged(|body| body["nonce"] = json!(""), same)
                .map_err(|why| why.to_string().contains("nonce")),
            Err(true)
        );
        // It expired by the clock, and by the latest time that was kept although the clock was set back.
        let over = at("2026-11-30T00:00:00Z");
        let expired = Err(Refusal::Expired(over));
        let by_card = |seen: &str| Err(Refusal::ExpiredByCard(over, at(seen)));
        assert_eq!(
            judged(|_| {}, |here| here.wall = at("2026-11-30T00:00:00Z")),
            expired
        );
        assert_eq!(
            judged(
                |_| {},
                |here| here.latest = Some(at("2026-11-30T00:00:01Z"))
            ),
            by_card("2026-11-30T00:00:01Z")
        );
        assert_eq!(
            judged(
                |_| {},
                |here| {
                    here.clock_synced = false;
                    here.latest = Some(at("2026-12-30T00:00:01Z"));
                }
            ),
            by_card("2026-12-30T00:00:01Z")
        );
        let seen = at("2026-11-29T00:00:01Z");
        assert_eq!(
            judged(|_| {}, |here| here.first_seen = Some(seen)),
            Err(Refusal::BeforeCard(seen))
        );
        // A first start under a clock that was ahead.
        let ahead = at("2099-01-01T00:00:00Z");
        assert_eq!(
            judged(|_| {}, |here| here.first_seen = Some(ahead)),
            Ok(Due::Now)
        );
        assert_eq!(
            judged(|_| {}, |here| here.wall = at("2026-11-27T00:00:00Z")),
            Err(Refusal::Ahead(at("2026-11-29T00:00:00Z")))
        );
    }

    #[test]
    fn without_a_synchronised_clock_it_waits_whatever_the_clock_says() {
        for wall in [
            "1970-01-01T00:00:00Z",
            "2026-11-29T12:00:00Z",
            "2099-01-01T00:00:00Z",
        ] {
            let due = judged(
                |_| {},
                |here| {
                    here.wall = at(wall);
                    here.clock_synced = false;
                },
            );
            assert_eq!(due, Ok(Due::WithTheClock), "{wall}");
        }
    }

    #[test]
    fn nothing_is_believed_before_the_signature_is() {
        let booth = BoothId::parse("rundhoej-1").expect("an id");
        let standing = Standing {
            booth: &booth,
            wall: at("2026-11-29T12:00:00Z"),
            clock_synced: true,
            latest: None,
            first_seen: None,
        };
        let unsigned = judge("reboot", body().to_string().as_bytes(), &verify, &standing);
        assert_eq!(unsigned.err(), Some(Refusal::Unsigned));
        for body in ["", "no JSON", "{}", &body().to_string()] {
            let payload = Signed {
                body: body.to_owned(),
                minisig: "wrong".into(),
            };
            let judged = judge("reboot", &payload.to_json(), &verify, &standing);
            assert!(matches!(judged, Err(Refusal::Signature(_))), "{body}");
        }
    }

    #[test]
    fn a_nonce_is_taken_once_kept_until_it_expires_and_never_more_than_the_limit() {
        let mut nonces = Nonces::default();
        let soon = at("2026-11-30T00:00:00Z");
        nonces.take("a", soon);
        assert_eq!(nonces.is_free("a"), Err(Refusal::Replayed));
        assert_eq!(nonces.is_free("b"), Ok(()));
        nonces.forget(at("2026-11-29T23:59:59Z"));
        assert_eq!(nonces.len(), 1);
        for n in 1..MOST_NONCES {
            nonces.take(&n.to_string(), soon);
        }
        assert_eq!(nonces.is_free("b"), Err(Refusal::NoncesFull));
        nonces.forget(soon);
        assert!(nonces.is_empty());
        assert_eq!(nonces.is_free("a"), Ok(()));
    }
}
