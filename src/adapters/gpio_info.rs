//! What the kernel says about a GPIO line: whether it exists and who holds it.
//!
//! Owns: asking the character device. Never does: request a line, because that would take it from another program; only the
//! program that holds a line can read its level.

use std::path::{Path, PathBuf};

use gpiocdev::chip::Chip;

use super::handset_cdev;
use crate::config::Handset;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineFacts {
    /// The name the chip gives it, e.g. `GPIO17`; may be empty.
    pub name: String,
    /// The program that holds it, if any does; may be empty although the line is held.
    pub held_by: Option<String>,
}

/// The chip that the lines are on: the one configured, or the header's.
pub fn chip_of(config: &Handset) -> Result<PathBuf, String> {
    match &config.chip {
        Some(chip) => Ok(chip.clone()),
        None => handset_cdev::find_chip(),
    }
}

/// How many lines a chip has.
pub fn count(chip: &Path) -> Result<u32, String> {
    let info = Chip::from_path(chip).and_then(|chip| chip.info());
    info.map(|info| info.num_lines)
        .map_err(|error| format!("the GPIO chip {} cannot be opened: {error}", chip.display()))
}

/// What the kernel knows of a line.
pub fn line(chip: &Path, offset: u32) -> Result<LineFacts, String> {
    let info = Chip::from_path(chip).and_then(|chip| chip.line_info(offset));
    let info = info.map_err(|error| {
        format!(
            "GPIO line {offset} of {} is not there: {error}",
            chip.display()
        )
    })?;
    Ok(LineFacts {
        name: info.name,
        held_by: info.used.then_some(info.consumer),
    })
}
