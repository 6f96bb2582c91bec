//! Whose updates a booth takes, and from where: what `[update]` of booth.toml says, and what the updater judges by. Pure.

pub mod keys;
pub mod whence;
