//! Everything that touches the outside, one thing per file.

pub mod clock;
pub mod journal;
pub mod tls;
