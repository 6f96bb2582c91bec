//! What a reader sees when something cannot be shown.
//!
//! Owns: the status of each kind of fault. Never does: show a reader what the database said, which goes to the log, or choose a language:
//! each door does, and draws the page anew.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, html};

use crate::centre::CentreError;
use crate::sentence;
use crate::store::CityError;
use crate::words::Sentence;

/// A fault, as a page.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(super) status: StatusCode,
    /// Each door says it in the reader's language.
    pub(super) sentence: Sentence,
}

impl Fault {
    pub(crate) fn new(status: StatusCode, sentence: Sentence) -> Self {
        Self { status, sentence }
    }

    /// What a page says that shows the fault in its place.
    pub(crate) fn into_sentence(self) -> Sentence {
        self.sentence
    }

    pub(crate) fn not_here() -> Self {
        Self::new(StatusCode::NOT_FOUND, sentence!("staff-no-page"))
    }
}

impl From<CityError> for Fault {
    fn from(error: CityError) -> Self {
        let status = match &error {
            CityError::Refused(_) | CityError::Centre(CentreError::Refused(_)) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            CityError::Centre(CentreError::NotThere) => StatusCode::NOT_FOUND,
            // The desk with the key opens what is answered so (booth_hub's `relay`).
            CityError::Centre(CentreError::Sealed) => StatusCode::LOCKED,
            CityError::Centre(CentreError::Busy) => StatusCode::SERVICE_UNAVAILABLE,
            error => {
                log::error!(fault = "city"; "{error}");
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Self::new(status, error.told())
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head { meta charset="utf-8"; title { (self.status) } }
                body { main { h1 { (self.status.canonical_reason().unwrap_or("Not now")) } p { (self.sentence.to_string()) } } }
            }
        };
        let mut response = (self.status, Html(page.into_string())).into_response();
        // Each door draws it anew, in its frame and in the reader's language.
        response.extensions_mut().insert(self);
        response
    }
}
