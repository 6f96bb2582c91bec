//! Sessions: who is logged in, and until when.
//!
//! Owns: the table `session` and the secret of each session: 256 bit, in the browser's cookie alone; the table has its SHA-256. Never does:
//! lengthen a session beyond its end, or keep one of an account that was closed. A session ends 8 hours after it was last used, 7 days after
//! it began, when its person logs out, and when the account's password or roles change.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use booth_contract::hex;
use booth_contract::time::rfc3339;
use booth_database::{Connection, OptionalExtension, Transaction, params};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::{Person, accounts};
use crate::store::CityError;

/// A session that was not used for this long is over.
const IDLE: SignedDuration = SignedDuration::from_hours(8);
/// A session is over this long after it began, however much it was used.
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The use of a session is written down at most this often.
const NOTED_EVERY: SignedDuration = SignedDuration::from_mins(1);
/// Most sessions of one account; the oldest ends when one more begins.
const MOST_OF_ONE: i64 = 20;

/// What a browser shows to be let in. It stands in no log: its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    fn make() -> Result<Self, CityError> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes)
            .map_err(|why| CityError::Failed(format!("the system gives no chance: {why}")))?;
        Ok(Self(BASE64_URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Reads what a browser sent; `None` if it cannot be one.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let is_one = text.len() == 43
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        is_one.then(|| Self(text.to_owned()))
    }

    /// As it stands in the cookie.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    fn hash(&self) -> String {
        hex(&Sha256::digest(self.0.as_bytes()))
    }

    /// What every form of this session carries. Another site cannot know it, and nobody can tell the secret from it.
    pub(crate) fn form_token(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"a form of the booths' hub\0");
        hash.update(self.0.as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(hash.finalize())
    }
}

/// Begins a session of an account, with a secret that nobody has seen before.
pub(crate) fn begin(
    tx: &Transaction<'_>,
    now: Timestamp,
    account: i64,
) -> Result<Secret, CityError> {
    let secret = Secret::make()?;
    tx.prepare_cached("DELETE FROM session WHERE ends_at <= ?1 OR seen_at <= ?2")?
        .execute(params![rfc3339(now), rfc3339(now - IDLE)])?;
    tx.prepare_cached(
        "DELETE FROM session WHERE account = ?1 AND hash NOT IN
           (SELECT hash FROM session WHERE account = ?1 ORDER BY made_at DESC LIMIT ?2)",
    )?
    .execute(params![account, MOST_OF_ONE - 1])?;
    tx.prepare_cached(
        "INSERT INTO session (hash, account, made_at, seen_at, ends_at) VALUES (?1, ?2, ?3, ?3, ?4)",
    )?
    .execute(params![
        secret.hash(),
        account,
        rfc3339(now),
        rfc3339(now + LONGEST)
    ])?;
    Ok(secret)
}

/// Who a session belongs to.
pub(crate) struct Found {
    /// Whose it is.
    pub person: Person,
    /// Its use has to be written down, with [`noted`].
    pub is_due: bool,
}

/// Looks who has this secret; `None` if nobody has, or the session is over.
pub(crate) fn look(
    db: &Connection,
    now: Timestamp,
    today: &str,
    secret: &Secret,
) -> booth_database::Result<Option<Found>> {
    let row = db
        .prepare_cached(
            "SELECT account, seen_at FROM session WHERE hash = ?1 AND ends_at > ?2 AND seen_at > ?3",
        )?
        .query_row(
            params![secret.hash(), rfc3339(now), rfc3339(now - IDLE)],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)),
        )
        .optional()?;
    let Some((account, seen_at)) = row else {
        return Ok(None);
    };
    let person = accounts::person(db, today, account)?;
    Ok(person.map(|person| Found {
        person,
        is_due: seen_at <= rfc3339(now - NOTED_EVERY),
    }))
}

/// Writes down that the session was used.
pub(crate) fn noted(
    tx: &Transaction<'_>,
    now: Timestamp,
    secret: &Secret,
) -> Result<(), CityError> {
    tx.prepare_cached("UPDATE session SET seen_at = ?2 WHERE hash = ?1")?
        .execute(params![secret.hash(), rfc3339(now)])?;
    Ok(())
}

/// Ends a session.
pub(crate) fn end(tx: &Transaction<'_>, secret: &Secret) -> Result<(), CityError> {
    tx.prepare_cached("DELETE FROM session WHERE hash = ?1")?
        .execute([secret.hash()])?;
    Ok(())
}

/// Ends all sessions of an account.
pub(crate) fn end_all(tx: &Transaction<'_>, account: i64) -> Result<(), CityError> {
    tx.prepare_cached("DELETE FROM session WHERE account = ?1")?
        .execute([account])?;
    Ok(())
}
