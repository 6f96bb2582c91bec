//! Whose updates a booth takes, and from where: the settings `[update]` of booth.toml, by which the updater decides. Pure.

pub mod keys;
pub mod whence;
