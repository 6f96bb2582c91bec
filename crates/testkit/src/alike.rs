//! How alike two sounds are by their loudness over time, whatever a codec, an earpiece or a microphone has made of their samples.
//!
//! Owns: the loudness in steps, and where one lies in the other best. Never does: judge.

/// Loudness (root of the mean square) in steps of so many samples.
pub fn envelope(samples: impl IntoIterator<Item = f64>, step: usize) -> Vec<f64> {
    let samples: Vec<f64> = samples.into_iter().collect();
    let steps = samples.chunks(step);
    steps
        .map(|step| (step.iter().map(|s| s * s).sum::<f64>() / step.len() as f64).sqrt())
        .collect()
}

/// Best normalised correlation of `said` with a part of `heard`, 0 to 1, and where that part begins, in steps. The part may be cut off at the
/// end of `heard`, but has more than `least` steps.
pub fn likeness(heard: &[f64], said: &[f64], least: usize) -> (f64, usize) {
    let norm = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>().sqrt();
    let found = (0..heard.len().saturating_sub(least)).map(|lag| {
        let part = &heard[lag..heard.len().min(lag + said.len())];
        let dot: f64 = part.iter().zip(said).map(|(a, b)| a * b).sum();
        (dot / (norm(part) * norm(&said[..part.len()]) + 1e-9), lag)
    });
    found.fold(
        (0.0, 0),
        |best, next| if next.0 > best.0 { next } else { best },
    )
}
