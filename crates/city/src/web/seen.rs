//! What a form was drawn from, so that an old form does not erase what somebody else has written meanwhile.
//!
//! Owns: the mark of it in the form. Never does: keep anything. A form without the mark is taken.

use std::fmt::Debug;

use booth_contract::hex;
use maud::{Markup, html};
use sha2::{Digest, Sha256};

use crate::sentence;
use crate::store::CityError;

/// The field's name.
pub(crate) const SEEN: &str = "seen";

fn mark(of: &impl Debug) -> String {
    hex(&Sha256::digest(format!("{of:?}")))
}

/// The field of a form that shows this.
pub(crate) fn seen_field(of: &impl Debug) -> Markup {
    html! { input type="hidden" name=(SEEN) value=(mark(of)); }
}

/// Whether what is there now is what the form has shown.
///
/// # Errors
/// It is not: the sentence for whoever has sent the form.
pub(crate) fn is_as_seen(sent: &str, of: &impl Debug) -> Result<(), CityError> {
    match sent.is_empty() || sent == mark(of) {
        true => Ok(()),
        false => Err(sentence!("form-changed-meanwhile").into()),
    }
}
