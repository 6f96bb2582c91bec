//! Recordings of citizens as the sound server plays them.

use std::path::Path;
use std::process::Command;

/// Decodes an Ogg Opus file to a WAV file of 48 kHz.
pub fn decode(recording: &Path, wav: &Path) -> Result<(), String> {
    let status = Command::new("opusdec")
        .args(["--quiet", "--rate", "48000", "--force-wav"])
        .args([recording, wav])
        .status()
        .map_err(|error| {
            format!("opusdec does not start: {error}; it is in Debian's package opus-tools")
        })?;
    if status.success() {
        return Ok(());
    }
    Err(format!(
        "opusdec cannot decode {} ({status})",
        recording.display()
    ))
}
