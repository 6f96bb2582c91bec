//! What people have a right to: that messages go when their time is over, and that somebody without a receipt is helped, too.
//!
//! Owns: retention with its warnings, the cases of people who ask for a right, and drafts of what a city writes about its processing.
//! Never does: tell the log of acts what somebody said. [`leaving`] is the one way in which this room deletes a message.

mod cases;
pub mod drafts;
mod leaving;
mod retention;

use std::sync::Arc;

use axum::Router;

use crate::City;

pub(crate) use retention::Retention;

/// The pages below `/rights`.
pub(crate) fn routes() -> Router<Arc<City>> {
    cases::routes().merge(retention::routes())
}

impl City {
    /// Warns of what is to be deleted, deletes what was warned of for long enough, and ends what was begun. The hub asks every minute; most
    /// of the work is done once a day.
    ///
    /// # Errors
    /// A database or a hub that does not answer. Nothing is half deleted; the next look goes on from there.
    pub fn keep_retention(&self) -> Result<(), crate::CityError> {
        use booth_host::clock;
        let now = clock::wall();
        let looked = retention::look(self, now, clock::mono());
        self.looks.worked("retention", now, looked)
    }
}
