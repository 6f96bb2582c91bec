//! A citizen who speaks for longer than any visit lasts.
#![allow(clippy::disallowed_methods)] // it writes a recording

use std::path::Path;

use booth_stage::pulse::{Citizen, Pulse};
use booth_stage::speech;

use super::repository;

/// Somebody who speaks for two minutes and a half.
pub fn speak(pulse: &Pulse, folder: &Path) -> Result<Citizen, String> {
    let recording = repository().join("tests/fixtures/speech/da.opus");
    let (once, long) = (folder.join("once.wav"), folder.join("long.wav"));
    speech::decode(&recording, &once)?;
    let wav = |error: hound::Error| format!("a recording: {error}");
    let mut reader = hound::WavReader::open(&once).map_err(wav)?;
    let spec = reader.spec();
    let samples: Vec<i16> = reader.samples().collect::<Result<_, _>>().map_err(wav)?;
    let mut writer = hound::WavWriter::create(&long, spec).map_err(wav)?;
    for _ in 0..24 {
        for sample in &samples {
            writer.write_sample(*sample).map_err(wav)?;
        }
    }
    writer.finalize().map_err(wav)?;
    Ok(pulse.citizen(0, &long))
}
