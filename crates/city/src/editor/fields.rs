//! What a form has sent: its fields in their order.
//!
//! Owns: reading them out. Never does: judge them.

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Form, response::IntoResponse};

use crate::sentence;
use crate::web::Fault;

/// The fields of a form without files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(pub(crate) Vec<(String, String)>);

impl Fields {
    /// A field's text without what stands around it; empty where it is missing.
    pub(crate) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(own, _)| own == name);
        found.map_or("", |(_, text)| text.trim())
    }

    /// The same where something is written.
    pub(crate) fn some(&self, name: &str) -> Option<&str> {
        Some(self.get(name)).filter(|text| !text.is_empty())
    }

    /// The version that the form was opened at; 0, which no draft has, where it says none.
    pub(crate) fn version(&self) -> u64 {
        self.get("version").parse().unwrap_or(0)
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        match Form::<Vec<(String, String)>>::from_request(request, state).await {
            Ok(Form(fields)) => Ok(Self(fields)),
            Err(_) => Err(Fault::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                sentence!("staff-not-whole"),
            )
            .into_response()),
        }
    }
}
