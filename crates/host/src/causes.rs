//! What an error was caused by.

use std::error::Error;

/// The error itself, what it was caused by, and so on.
pub fn of<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// The error with everything that it was caused by, each said once.
pub fn told(error: &(dyn Error + 'static)) -> String {
    of(error).fold(String::new(), |said, error| match error.to_string() {
        text if said.is_empty() => text,
        text if said.contains(&text) => said,
        text => format!("{said}: {text}"),
    })
}
