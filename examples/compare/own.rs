//! Figures that nobody else has, with their bars: a full tank, a pulled card verified, a fleet watched.

use std::process::{Command, Stdio};

use booth_testkit::backlog::Voice;
use booth_testkit::blockdev::scratch;
use booth_testkit::comparison::{Better, Cell, Row};
use booth_testkit::fleet_watch;
use booth_testkit::programs::{Mosquitto, Programs};

use super::ours::{BOOTH, OurBooth, OurCentre};

/// A figure with its bar, and whether it is kept.
pub fn row(figure: &str, bar: &str, measured: f64, is_kept: bool) -> Row {
    let kept = if is_kept { "kept" } else { "**missed**" };
    Row {
        figure: figure.into(),
        better: Better::Neither,
        cells: vec![
            Cell::Words(bar.into()),
            Cell::Number(measured),
            Cell::Words(kept.into()),
        ],
    }
}

/// Memory of a gateway whose card is full of clips, with the broker and without a hub.
pub fn full_tank(programs: &Programs, clips: u64) -> Result<Row, String> {
    let (mut centre, card) = (OurCentre::away(programs)?, scratch());
    let mut booth = OurBooth::new(programs, card.path(), &centre)?;
    // A second each: it is their number that counts.
    Voice::new(1)?.fill(&booth.spool(), BOOTH, 1, clips)?;
    centre.broker_comes_back()?;
    booth.start()?;
    booth.says("connected to the broker")?;
    booth.has_found(clips)?;
    let mib = booth.memory_mib()?;
    Ok(row(
        &format!("memory of a gateway with {clips} clips waiting, MiB, most"),
        "≤ 64",
        mib,
        mib <= 64.0,
    ))
}

/// CPU seconds of the processes that this one has waited for.
fn children_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_whitespace()
        .collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|text| text.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (ticks(13) + ticks(14)) / 100.0
}

/// How fast `spool verify` reads a folder of clips, MB for each second of CPU.
pub fn verify(programs: &Programs, clips: u64) -> Result<Row, String> {
    let card = scratch();
    let kept = Voice::new(60)?.fill(card.path(), BOOTH, 1, clips)?;
    let bytes: u64 = kept.iter().map(|clip| clip.bytes).sum();
    let before = children_s();
    let status = Command::new(&programs.gateway)
        .args(["spool", "verify", "--json"])
        .arg(card.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(format!("spool verify ended with {status}"));
    }
    let speed = bytes as f64 / 1e6 / (children_s() - before).max(0.01);
    Ok(row(
        "spool verify of a folder, MB for a second of CPU",
        "≥ 200",
        speed,
        speed >= 200.0,
    ))
}

/// A fleet in a terminal.
pub fn fleet(programs: &Programs, booths: u32, seconds: u64) -> Result<Row, String> {
    let broker = Mosquitto::start(
        "persistence false\nallow_anonymous true\nmax_connections -1\n",
        &[],
    )?;
    let cost = || fleet_watch::cost(&programs.gateway, broker.port, booths, seconds);
    let (percent, _) = std::panic::catch_unwind(cost).map_err(|_| "the fleet was not shown")?;
    Ok(row(
        &format!("a terminal that watches {booths} booths, % of a processor"),
        "≤ 5",
        percent,
        percent <= 5.0,
    ))
}

/// The middle of some numbers.
pub fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied()
}
