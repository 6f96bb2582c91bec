//! Is what arrived what was said? Opus files of the hub against the samples that were spoken.
#![allow(clippy::print_stderr)] // words of a test, which its harness keeps until it fails

use std::path::{Path, PathBuf};

use super::hub::Home;

const RATE: usize = 48_000;

pub fn samples(wav: &Path) -> Vec<f32> {
    let mut reader = hound::WavReader::open(wav).expect("a WAV file");
    let spec = reader.spec();
    assert_eq!((spec.sample_rate, spec.channels), (48_000, 1));
    reader
        .samples::<i16>()
        .map(|sample| f32::from(sample.expect("a sample")))
        .collect()
}

/// Every `by` samples as their mean.
fn thinned(samples: &[f32], by: usize) -> Vec<f32> {
    samples
        .chunks_exact(by)
        .map(|chunk| chunk.iter().sum::<f32>() / by as f32)
        .collect()
}

/// Normalised correlation of `a` with as much of `b` from `at` on.
fn correlation(a: &[f32], b: &[f32], at: usize) -> f32 {
    let b = &b[at..at + a.len()];
    let (mut ab, mut aa, mut bb) = (0.0f64, 0.0f64, 0.0f64);
    for (x, y) in a.iter().zip(b) {
        ab += f64::from(x * y);
        aa += f64::from(x * x);
        bb += f64::from(y * y);
    }
    (ab / (aa * bb).sqrt().max(1e-9)) as f32
}

/// Where `a` lies in `b` best, and how well.
fn best(a: &[f32], b: &[f32], places: std::ops::Range<usize>) -> (usize, f32) {
    let last = (b.len() + 1).saturating_sub(a.len());
    let places = places.start..places.end.min(last);
    places
        .map(|at| (at, correlation(a, b, at)))
        .fold(
            (0, f32::MIN),
            |best, next| if next.1 > best.1 { next } else { best },
        )
}

/// What arrived holds what was said: as a whole, and second for second without a gap over 20 ms.
fn holds(said: &[f32], arrived: &[f32]) {
    const COARSE: usize = 48;
    let (thin_said, thin_arrived) = (thinned(said, COARSE), thinned(arrived, COARSE));
    assert!(
        thin_arrived.len() > thin_said.len(),
        "it is shorter than what was said"
    );
    let (at, _) = best(&thin_said, &thin_arrived, 0..usize::MAX);
    let near = (at * COARSE).saturating_sub(2 * COARSE);
    let (at, whole) = best(said, arrived, near..near + 4 * COARSE);
    let shifts = shifts(said, arrived, at);
    eprintln!("correlation {whole:.3} from sample {at} on; second for second, ms off: {shifts:?}");
    assert!(whole >= 0.9, "correlation {whole}");
    assert!(shifts.iter().all(|ms| ms.abs() <= 20), "a gap");
}

/// By how many ms each loud second of `said` lies elsewhere in `arrived` than the first sample at `at` says.
fn shifts(said: &[f32], arrived: &[f32], at: usize) -> Vec<i64> {
    const THIN: usize = 16;
    let (said, arrived) = (thinned(said, THIN), thinned(arrived, THIN));
    let (at, second) = (at / THIN, RATE / THIN);
    let loud = said.chunks_exact(second).enumerate().filter(|(_, chunk)| {
        // Too quiet a second is not found again.
        chunk.iter().map(|s| s * s).sum::<f32>() / second as f32 > 100.0 * 100.0
    });
    loud.map(|(n, chunk)| {
        let there = at + n * second;
        let from = there.saturating_sub(second / 2);
        let (found, _) = best(chunk, &arrived, from..from + second);
        (found as i64 - there as i64) * THIN as i64 * 1_000 / RATE as i64
    })
    .collect()
}

/// What the hub has stored.
pub fn clips(home: &Home) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(home.path().join("store/clips"));
    folders
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|folder| std::fs::read_dir(folder.path()).ok())
        .flat_map(|files| files.flatten().map(|file| file.path()))
        .filter(|file| file.extension().is_some_and(|kind| kind == "opus"))
        .collect()
}

pub fn check(clip: &Path, said: &[f32]) {
    let wav = clip.with_extension("wav");
    decode(clip, &wav);
    let arrived = samples(&wav);
    std::fs::remove_file(&wav).expect("removed");
    holds(said, &arrived);
}

/// An Ogg Opus file as a WAV file of 48 kHz.
pub fn decode(opus: &Path, wav: &Path) {
    booth_stage::speech::decode(opus, wav).unwrap_or_else(|why| panic!("{why}"));
}
