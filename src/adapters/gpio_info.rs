//! What the kernel says about a GPIO line: whether it exists and who holds it.
//!
//! Owns: asking the character device. Never does: request a line, because that would take it from another program; only the
//! program that holds a line can read its level.

use std::path::{Path, PathBuf};

use gpiocdev::chip::Chip;

use crate::config::Handset;

/// What the kernel does not say, or says it does not have.
#[derive(Debug, thiserror::Error)]
pub enum GpioError {
    /// No chip is the header's.
    #[error(
        "cdev: none of {found} GPIO chips has the label of a Raspberry Pi's header; name one in [handset] chip"
    )]
    NoHeader {
        /// How many chips there are.
        found: usize,
    },
    /// A chip cannot be opened.
    #[error("the GPIO chip {} cannot be opened: {error}", chip.display())]
    Chip {
        /// Which.
        chip: PathBuf,
        /// Why.
        error: gpiocdev::Error,
    },
    /// A chip has no such line.
    #[error("GPIO line {offset} of {} is not there: {error}", chip.display())]
    Line {
        /// Which.
        offset: u32,
        /// Of which chip.
        chip: PathBuf,
        /// Why.
        error: gpiocdev::Error,
    },
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineFacts {
    /// The name the chip gives it, e.g. `GPIO17`; may be empty.
    pub name: String,
    /// The program that holds it, if any does; may be empty although the line is held.
    pub held_by: Option<String>,
}

/// The chip that the lines are on: the one configured, or the header's.
pub fn chip_of(config: &Handset) -> Result<PathBuf, GpioError> {
    match &config.chip {
        Some(chip) => Ok(chip.clone()),
        None => find_chip(),
    }
}

/// The chip of the header, found by its label: pinctrl-bcm2835 (Pi 1 to 3), -bcm2711 (4), -rp1 (5), gpio-sim in tests.
fn find_chip() -> Result<PathBuf, GpioError> {
    let chips = gpiocdev::chip::chips().unwrap_or_default();
    let known = |path: &&PathBuf| {
        label(path)
            .is_some_and(|label| label.starts_with("pinctrl-") || label.starts_with("gpio-sim"))
    };
    let found = chips.len();
    let chip = chips.iter().find(known).cloned();
    chip.ok_or(GpioError::NoHeader { found })
}

/// What a chip calls itself.
pub(super) fn label(chip: &Path) -> Option<String> {
    let info = Chip::from_path(chip).and_then(|chip| chip.info());
    Some(info.ok()?.label)
}

/// How many lines a chip has.
pub fn count(chip: &Path) -> Result<u32, GpioError> {
    let info = Chip::from_path(chip).and_then(|chip| chip.info());
    info.map(|info| info.num_lines)
        .map_err(|error| GpioError::Chip {
            chip: chip.to_owned(),
            error,
        })
}

/// What the kernel knows of a line.
pub fn line(chip: &Path, offset: u32) -> Result<LineFacts, GpioError> {
    let info = Chip::from_path(chip).and_then(|chip| chip.line_info(offset));
    let info = info.map_err(|error| GpioError::Line {
        offset,
        chip: chip.to_owned(),
        error,
    })?;
    Ok(LineFacts {
        name: info.name,
        held_by: info.used.then_some(info.consumer),
    })
}
