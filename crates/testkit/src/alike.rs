//! How alike two sounds are by their loudness over time, whatever a codec, an earpiece or a microphone has made of their samples.
//!
//! Owns: the loudness in steps, where one lies in the other best, and the same piece by piece where a busy machine has lost some of it. Never
//! does: judge.

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

/// As [`likeness`], piece by piece: each whole piece of `piece` steps of `said` is looked for where the piece before it was found, up to one piece
/// earlier or later. Answers the likeness that half of the pieces reach. A recorder without a real time clock of its own loses a part of a second
/// where the machine is busy: it moves all that follows, and costs the piece that it is missing in.
pub fn likeness_in_pieces(heard: &[f64], said: &[f64], piece: usize) -> f64 {
    let mut lag = likeness(heard, said, said.len() / 2).1 as isize;
    let pieces = said.chunks_exact(piece).enumerate();
    let mut found: Vec<f64> = pieces
        .map(|(nth, wanted)| {
            let due = lag + (nth * piece) as isize;
            let first = (due - piece as isize).clamp(0, heard.len() as isize) as usize;
            let last = (due + 2 * piece as isize).clamp(0, heard.len() as isize) as usize;
            let (alike, at) = likeness(&heard[first..last], wanted, piece - 1);
            if alike > 0.8 {
                lag = (first + at) as isize - (nth * piece) as isize;
            }
            alike
        })
        .collect();
    found.sort_by(f64::total_cmp);
    found.get(found.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_disk::Chance;

    /// Loudness as of somebody who speaks, 20 ms a step: syllables of uneven length with pauses between them.
    fn speech(seed: u64, steps: usize) -> Vec<f64> {
        let mut chance = Chance::new(seed);
        let mut envelope = Vec::new();
        while envelope.len() < steps {
            let (length, pause) = (5 + chance.below(15), chance.below(12) as usize);
            let loud = 200 + chance.below(800);
            let syllable = (0..length).map(|at| {
                let turn = std::f64::consts::PI * at as f64 / length as f64;
                loud as f64 * turn.sin() + 10.0
            });
            envelope.extend(syllable);
            envelope.extend(std::iter::repeat_n(10.0, pause));
        }
        envelope.truncate(steps);
        envelope
    }

    #[test]
    fn a_sentence_that_lost_parts_of_a_second_is_still_that_sentence_and_another_one_is_not() {
        let said = speech(1, 500);
        let mut heard = vec![5.0; 30];
        heard.extend(&said[..120]);
        heard.extend(&said[135..300]);
        heard.extend(&said[320..]);
        heard.extend(vec![5.0; 60]);
        let whole = likeness(&heard, &said, 450).0;
        let pieces = likeness_in_pieces(&heard, &said, 50);
        assert!(whole < 0.8, "{whole}");
        assert!(pieces > 0.95, "{pieces}");
        for seed in 2..30 {
            let other = likeness_in_pieces(&heard, &speech(seed, 500), 50);
            assert!(other < pieces - 0.1, "{seed}: {other}");
        }
        assert!(likeness_in_pieces(&[5.0; 700], &said, 50) < 0.9);
        assert_eq!(likeness_in_pieces(&heard, &said[..20], 50), 0.0);
    }
}
