//! What is worth a word in a configuration that a booth can run with.

use std::fmt;

/// A mistake that does not keep a booth from running; `Display` writes both parts as one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigWarning {
    /// What was found, and what the booth does meanwhile.
    pub what: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl ConfigWarning {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: Some(remedy.into()),
        }
    }

    pub(super) fn without_remedy(what: String) -> Self {
        Self { what, remedy: None }
    }
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}
