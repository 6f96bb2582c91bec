//! How well the words of a clip are understood.

use std::path::{Path, PathBuf};
use std::process::Command;

use booth_testkit::speech::decode;

use super::Table;

/// STOI and PESQ of what was `spoken`: of the clips that went the whole way, and of what the encoder alone made of it.
pub fn judge(table: &mut Table, spoken: &Path, clips: &[PathBuf], plain: &Path) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = here.join("target/quality/bin/python");
    let ran = |heard: &[PathBuf]| {
        let mut judge = Command::new(&python);
        judge.arg(here.join("benches/figures/quality.py"));
        judge.arg(spoken).args(heard).output()
    };
    let folder = spoken.parent().expect("a folder");
    let decoded = |(at, clip): (usize, &PathBuf)| {
        let into = folder.join(format!("heard-{at}.wav"));
        decode(clip, &into).expect("decoded");
        into
    };
    let heard: Vec<PathBuf> = clips.iter().enumerate().map(decoded).collect();
    let alone = folder.join("plain.wav");
    decode(plain, &alone).expect("decoded");
    for (whose, heard) in [
        ("that went the whole way", &heard[..]),
        ("of the encoder alone", &[alone]),
    ] {
        let Ok(output) = ran(heard) else {
            return eprintln!(
                "NOT MEASURED: STOI and PESQ; benches/figures/quality.sh target/quality says why"
            );
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        for line in text.lines() {
            let [name, median, lowest, n] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("quality.py said {line:?}");
            };
            let bar = match name {
                "stoi" => "≥ 0.98",
                _ => "≥ 4.2",
            };
            let name = name.to_uppercase();
            let n = n.parse().expect("a count");
            for (which, value, bar) in [("median", median, bar), ("lowest", lowest, "")] {
                let value = value.parse().expect("a figure");
                table.row(
                    &format!("{name} of 10 s of a clip {whose}, {which}"),
                    value,
                    bar,
                    n,
                );
            }
        }
    }
}
