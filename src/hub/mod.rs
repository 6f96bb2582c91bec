//! The centre: receives clips and health, keeps them, shows them.

pub mod view;
