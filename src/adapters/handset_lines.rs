//! What the handset's thread needs of a booth's lines, whatever is below them.
//!
//! Owns: the trait that each backend implements. Backends know this file, and it knows none of them; `handset` chooses one.

use std::time::Duration;

use super::wake::Wake;
use booth_contract::time::Mono;
use gateway_core::keypad::Closed;
use gateway_core::panel::{Line, OutLine};

/// How long a row of the keypad takes to follow its column, through a weak pull-up and some metres of cable.
pub(super) const KEYPAD_SETTLES: Duration = Duration::from_micros(100);

/// Edges since the last call: time, line, and whether the line is active.
pub type Edges = Vec<(Mono, Line, bool)>;

/// Why lines cannot be served: the backend's own error. Nobody distinguishes them; all of them are reported and tried again.
pub type LinesError = Box<dyn std::error::Error + Send + Sync>;

/// The lines of one backend.
pub trait Lines: Send {
    /// Waits for edges, at most `patience`, and no longer than until somebody calls `wake`.
    fn wait(&mut self, patience: Duration, wake: &Wake) -> Result<Edges, LinesError>;
    /// Reads every line but the keypad's.
    fn levels(&mut self) -> Result<Vec<(Line, bool)>, LinesError>;
    /// Scans the keypad.
    fn scan(&mut self) -> Result<Closed, LinesError> {
        Ok(Closed::default())
    }
    /// Switches an output; if there is no such output, that is no error.
    fn switch(&mut self, which: OutLine, on: bool) -> Result<(), LinesError>;
    /// Somebody is being recorded, or not any more: for lines that know by time alone when somebody has gone.
    fn recording(&mut self, _is_recording: bool) {}
    /// Lines beside the hook switch that could not be claimed, a sentence each.
    fn refused(&self) -> &[String] {
        &[]
    }
}
