//! The names of clips, cards and boots, and the hash of a body: texts that cannot be taken for one another.
//!
//! Owns: one type for each. Never does: judge a text. The contract writes UUIDs and hex, and a reader takes any text: what a booth
//! or the hub accepts stands where it decides. Each is written in payloads, files and rows as the text that it is, and a copy of
//! one costs no memory.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! texts {
    ($( $(#[$meaning:meta])* $name:ident; )*) => { $(
        $(#[$meaning])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        /// The empty text: what a reader takes for a field that is absent.
        impl Default for $name {
            fn default() -> Self {
                Self("".into())
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        /// For what takes any text: a file's name, a row, a sentence.
        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, text: &str) -> bool {
                self.as_str() == text
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, text: &&str) -> bool {
                self.as_str() == *text
            }
        }

        impl PartialEq<String> for $name {
            fn eq(&self, text: &String) -> bool {
                self.as_str() == text
            }
        }

        impl PartialEq<$name> for str {
            fn eq(&self, text: &$name) -> bool {
                self == text.as_str()
            }
        }

        impl PartialEq<$name> for &str {
            fn eq(&self, text: &$name) -> bool {
                *self == text.as_str()
            }
        }

        impl PartialEq<$name> for String {
            fn eq(&self, text: &$name) -> bool {
                self == text.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self)
            }
        }

        /// As the text is shown.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(String::deserialize(deserializer)?.into())
            }
        }
    )* };
}

texts! {
    /// The name of a clip: a UUID v4, which a booth gives it when its citizen begins to speak.
    ClipId;
    /// The name of a card: random, made at the card's first start.
    CardId;
    /// The name of one boot of a machine, as its kernel gives it; empty where it is not known.
    BootId;
    /// SHA-256 of a clip's body, as 64 lower-case hex digits. For a `choice` that of the text `<clip_id>:<question_id>:<choice>`;
    /// empty for a void number.
    BodyHash;
}

/// SHA-256 of a prompt of the centre: exactly 64 lower-case hex digits, so that it can be a topic's level and a file's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaHash(Arc<str>);

impl MediaHash {
    /// Takes a text as a hash; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 64 && text.bytes().all(is_hex)).then(|| Self(text.into()))
    }

    /// The hash with these 32 bytes; `None` for another number of bytes.
    pub fn of_digest(digest: &[u8]) -> Option<Self> {
        Self::parse(&super::hex(digest))
    }

    /// The hash as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MediaHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for MediaHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MediaHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("no SHA-256: 64 lower-case hex digits are one"))
    }
}

impl BodyHash {
    /// The hash with these bytes.
    pub fn of_digest(digest: &[u8]) -> Self {
        super::hex(digest).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompts_hash_is_nothing_but_sixty_four_hex_digits() {
        let good = "0123456789abcdef".repeat(4);
        let hash = MediaHash::parse(&good).expect("a hash");
        assert_eq!((hash.as_str(), hash.to_string()), (&*good, good.clone()));
        assert_eq!(
            MediaHash::of_digest(&[0xAB; 32])
                .expect("32 bytes")
                .as_str(),
            "ab".repeat(32)
        );
        assert_eq!(MediaHash::of_digest(&[0; 31]), None);
        for bad in [
            "",
            "../../etc/passwd",
            &good[1..],
            &good.to_uppercase(),
            &format!("{good}0"),
            &"#".repeat(64),
        ] {
            assert_eq!(MediaHash::parse(bad), None, "{bad}");
            let json = serde_json::to_string(bad).expect("a text");
            assert!(serde_json::from_str::<MediaHash>(&json).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_id_is_written_read_and_shown_as_the_text_that_it_is() {
        for text in ["", "c", "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "a\"b"] {
            let id = ClipId::from(text);
            let json = serde_json::to_string(text).expect("a text");
            assert_eq!(serde_json::to_string(&id).expect("a text"), json);
            assert_eq!(serde_json::from_str::<ClipId>(&json).expect(&json), id);
            assert_eq!(id, *text);
            assert_eq!(
                format!("{id} {id:?} {id:>9}"),
                format!("{text} {text:?} {text:>9}")
            );
        }
        assert!(serde_json::from_str::<ClipId>("7").is_err());
        assert_eq!(BodyHash::of_digest(&[0, 0xAB]), "00ab");
    }
}
