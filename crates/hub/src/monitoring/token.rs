//! Who may scrape: whoever has the token of `[http] metrics_token_file`.
//!
//! Owns: reading the token and comparing with it. Never does: keep or show it; its hash is kept.

use std::path::Path;

use axum::http::{HeaderMap, header};
use booth_host::password::{self, PasswordError};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A shorter token could be tried out.
const SHORTEST: usize = 16;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file holds none.
    #[error(transparent)]
    File(#[from] PasswordError),
    /// It could be guessed.
    #[error("{0} holds fewer than {SHORTEST} characters; make a token with: openssl rand -hex 32")]
    Short(String),
    /// It does not fit into a header.
    #[error(
        "{0} holds something else than visible ASCII characters; make a token with: openssl rand -hex 32"
    )]
    NoToken(String),
}

/// See the module's comment.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// The token in this file, alone on one line.
    ///
    /// # Errors
    /// A file that holds none.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        Self::of(&password::read(path)?, &path.display().to_string())
    }

    fn of(text: &str, file: &str) -> Result<Self, TokenError> {
        if text.len() < SHORTEST {
            return Err(TokenError::Short(file.to_owned()));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::NoToken(file.to_owned()));
        }
        Ok(Self(Sha256::digest(text.as_bytes()).into()))
    }

    /// Whether a request shows it (RFC 6750 §2.1). Hashes are compared, so that the time tells nothing of the token.
    pub(super) fn is_shown(&self, headers: &HeaderMap) -> bool {
        let mut shown = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(shown), None) = (shown.next(), shown.next()) else {
            return false;
        };
        let Some((scheme, token)) = shown.to_str().ok().and_then(|text| text.split_once(' '))
        else {
            return false;
        };
        let hash: [u8; 32] = Sha256::digest(token.trim().as_bytes()).into();
        scheme.eq_ignore_ascii_case("bearer") && bool::from(hash.ct_eq(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "0123456789abcdef";

    fn shows(values: &[&str]) -> bool {
        let token = Token::of(GOOD, "token").expect("a token");
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().expect("a value"));
        }
        token.is_shown(&headers)
    }

    #[test]
    fn only_the_whole_token_opens_the_figures() {
        assert!(shows(&["Bearer 0123456789abcdef"]));
        assert!(shows(&["bearer 0123456789abcdef"]));
        for bad in [
            &[][..],
            &[""],
            &["Bearer"],
            &["Bearer "],
            &["Bearer 0123456789abcde"],
            &["Bearer 0123456789abcdef0"],
            &["Bearer 0123456789ABCDEF"],
            &["Basic 0123456789abcdef"],
            &["0123456789abcdef"],
            &["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"],
        ] {
            assert!(!shows(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_token_that_could_be_guessed_or_sent_by_nobody_is_refused_with_a_remedy() {
        for bad in ["short", "", "with a space in it!", "løngenoughbutnotascii"] {
            let fault = Token::of(bad, "the-file").expect_err(bad).to_string();
            assert!(
                fault.contains("the-file") && fault.contains("openssl"),
                "{fault}"
            );
        }
    }

    #[test]
    fn a_token_does_not_show_itself() {
        let token = Token::of(GOOD, "token").expect("a token");
        assert_eq!(format!("{token:?}"), "Token");
    }
}
