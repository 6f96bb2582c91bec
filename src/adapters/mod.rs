//! Everything that touches the outside, one thing per file.

pub mod clock;
pub mod disk;
pub mod journal;
pub mod sensors;
pub mod systemd;
