//! Passwords: what is kept of one, and whether one is right.
//!
//! Owns: the hash (Argon2id, RFC 9106, in the PHC string format) and the rules for a new password. Never does: keep a password, or take less
//! time for a name that does not exist.

use std::sync::{LazyLock, Mutex, PoisonError};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use zeroize::Zeroizing;

use crate::sentence;
use crate::store::CityError;

/// The shortest password, characters (NIST SP 800-63B-4 asks for 15 where it is the only factor; no rules about kinds of characters).
pub const SHORTEST: usize = 15;
/// The longest one, bytes: beyond it hashing would cost an attacker nothing and the hub much.
pub const LONGEST: usize = 1024;

/// Hashes that are computed at a time: each takes 19 MiB and a core.
static HASHING: Mutex<()> = Mutex::new(());

/// What is compared with where there is no such name or no password: it takes as long, and nothing fits.
static DUMMY: LazyLock<Option<String>> = LazyLock::new(|| {
    let mut nobody_knows = Zeroizing::new([0_u8; 32]);
    getrandom::fill(&mut *nobody_knows).ok()?;
    hashed(&*nobody_knows).ok()
});

fn hashed(password: &[u8]) -> Result<String, CityError> {
    let hash: Result<PasswordHash, _> = Argon2::default().hash_password(password);
    match hash {
        Ok(hash) => Ok(hash.to_string()),
        Err(why) => Err(CityError::Failed(format!(
            "the password could not be hashed: {why}"
        ))),
    }
}

/// What is kept of a new password. Takes about 50 ms: call it on a thread that may block.
///
/// # Errors
/// A password that is too short, too long, or the account's own name.
pub fn kept_of(password: &str, name: &str) -> Result<String, CityError> {
    if password.chars().count() < SHORTEST {
        return Err(sentence!("people-password-short", n = SHORTEST).into());
    }
    if password.len() > LONGEST {
        return Err(sentence!("people-password-long", n = LONGEST).into());
    }
    let plain = password.to_lowercase();
    let mut characters = plain.chars();
    let first = characters.next();
    if characters.all(|c| Some(c) == first) || plain.replace(&name.to_lowercase(), "").len() < 8 {
        return Err(sentence!("people-password-guessed").into());
    }
    hashed(password.as_bytes())
}

/// Whether the password is the one of which this was kept; without one, nothing fits. Takes the same time whatever the answer.
pub(crate) fn fits(password: &str, kept: Option<&str>) -> bool {
    let _turn = HASHING.lock().unwrap_or_else(PoisonError::into_inner);
    if password.len() > LONGEST {
        return false;
    }
    let compared = kept.or(DUMMY.as_deref());
    let Some(Ok(hash)) = compared.map(PasswordHash::new) else {
        return false;
    };
    let is_right = Argon2::default()
        .verify_password(password.as_bytes(), &hash)
        .is_ok();
    is_right && kept.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "en rød telefon på torvet";

    #[test]
    fn a_password_fits_what_was_kept_of_it_and_nothing_else_does() {
        let kept = kept_of(GOOD, "anna").expect("good");
        assert!(
            kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{kept}"
        );
        assert!(!kept.contains(GOOD));
        assert!(fits(GOOD, Some(&kept)));
        assert!(!fits("en rød telefon på torvet ", Some(&kept)));
        assert!(!fits(GOOD, None) && !fits(GOOD, Some("")) && !fits(GOOD, Some("plain")));
        assert!(!fits("", None) && !fits(&"x".repeat(10_000_000), Some(&kept)));
        let again = kept_of(GOOD, "anna").expect("good");
        assert_ne!(kept, again, "each has a salt of its own");
    }

    #[test]
    fn a_password_that_can_be_guessed_is_refused_with_the_remedy() {
        for (password, says) in [
            ("short", "15 characters"),
            ("aaaaaaaaaaaaaaaaaaaaa", "guessed"),
            ("anna-sofieanna-sofie1", "guessed"),
            (&"æ".repeat(600), "at most 1024 bytes"),
        ] {
            let why = kept_of(password, "anna-sofie").expect_err(password);
            assert!(why.to_string().contains(says), "{password}: {why}");
        }
    }
}
