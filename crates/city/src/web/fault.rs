//! What a reader sees when something cannot be shown.
//!
//! Owns: the status and the sentence of each kind of fault. Never does: show a reader what the database said; that goes to the log.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, html};

use crate::centre::CentreError;
use crate::store::CityError;

/// A fault, as a page.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(super) status: StatusCode,
    pub(super) sentence: String,
    /// The name of the sentence in the files of languages, where it has one.
    pub(super) name: Option<&'static str>,
}

impl Fault {
    pub(crate) fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self {
            status,
            sentence: sentence.into(),
            name: None,
        }
    }

    /// The same, said in the reader's language by this text of the files of languages.
    pub(crate) fn said_as(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    pub(crate) fn not_here() -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is no such page.")
    }
}

impl From<CityError> for Fault {
    fn from(error: CityError) -> Self {
        match error {
            CityError::Refused(sentence) | CityError::Centre(CentreError::Refused(sentence)) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, sentence)
            }
            CityError::Centre(CentreError::NotThere) => Self::new(
                StatusCode::NOT_FOUND,
                "There is no such message, or it was taken back.",
            ),
            // The desk with the key opens what is answered so (booth_hub's `relay`).
            CityError::Centre(error @ CentreError::Sealed) => {
                Self::new(StatusCode::LOCKED, error.to_string())
            }
            CityError::Centre(error @ CentreError::Busy) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            }
            error => {
                log::error!(fault = "city"; "{error}");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "The store did not answer. Try again in a moment. Nothing was half done.",
                )
            }
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head { meta charset="utf-8"; title { (self.status) } }
                body { main { h1 { (self.status.canonical_reason().unwrap_or("Not now")) } p { (self.sentence) } } }
            }
        };
        let mut response = (self.status, Html(page.into_string())).into_response();
        // Each door draws it anew, in its frame and in the reader's language.
        response.extensions_mut().insert(self);
        response
    }
}
