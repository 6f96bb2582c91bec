//! The parts of the image's test.

use super::{repository, run, text, tried};

pub mod card;
pub mod centre;
pub mod crash;
pub mod machine;
pub mod update;
