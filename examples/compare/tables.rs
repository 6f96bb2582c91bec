//! Each part of the comparison as a table.

use booth_host::complain;
use booth_testkit::comparison::{Better, Cell, Row, Table};
use booth_testkit::programs::Programs;

use super::Size;
use super::outages::{self, End, Outcome};
use super::own::{self, median};
use super::peers::{PEERS, Peer};
use super::recording::{self, Cost, Lost, Minute, RIVALS};

const OURS: &str = "booth gateway and hub";

/// What one of them came to, or why there is nothing.
type Came = Result<Vec<Outcome>, String>;

/// Runs a part for ours and for each peer that is there.
fn everybody(
    ours: impl FnOnce() -> Result<Vec<Outcome>, String>,
    theirs: impl Fn(Peer) -> Result<Vec<Outcome>, String>,
) -> Vec<Came> {
    complain!("  {OURS}");
    let mut came = vec![failed(OURS, ours())];
    for peer in PEERS {
        complain!("  {}", peer.name());
        came.push(match peer.why_not() {
            Some(why) => {
                complain!("    not installed: {why}");
                Err("not installed".into())
            }
            None => failed(peer.name(), theirs(peer)),
        });
    }
    came
}

/// Says why somebody failed; the table has room for the word alone.
fn failed(name: &str, came: Came) -> Came {
    came.map_err(|why| match why.as_str() {
        "not run" => why,
        _ => {
            complain!("    {name} failed: {why}");
            "failed".into()
        }
    })
}

fn columns() -> Vec<String> {
    let peers = PEERS.iter().map(|peer| peer.name().to_owned());
    std::iter::once(OURS.to_owned()).chain(peers).collect()
}

/// A row of a figure that is made of all outcomes of one column.
fn row(
    figure: &str,
    better: Better,
    came: &[Came],
    value: impl Fn(&[Outcome]) -> Option<f64>,
) -> Row {
    let cells = came.iter().map(|came| match came {
        Ok(outcomes) => Cell::from(value(outcomes)),
        Err(why) => Cell::Words(why.clone()),
    });
    Row {
        figure: figure.into(),
        better,
        cells: cells.collect(),
    }
}

fn sum(outcomes: &[Outcome], of: impl Fn(&Outcome) -> usize) -> f64 {
    outcomes.iter().map(of).sum::<usize>() as f64
}

/// The middle of what was measured.
fn middle(outcomes: &[Outcome], of: impl Fn(&Outcome) -> Option<f64>) -> Option<f64> {
    median(outcomes.iter().filter_map(of).collect())
}

fn fates(came: &[Came]) -> Vec<Row> {
    let lost = |all: &[Outcome]| {
        let accepted = sum(all, |one| one.accepted);
        (accepted > 0.0).then(|| 100.0 * sum(all, |one| one.lost) / accepted)
    };
    vec![
        row(
            "clips that the store had confirmed",
            Better::Neither,
            came,
            |all| Some(sum(all, |one| one.accepted)),
        ),
        row("of these lost", Better::Lower, came, |all| {
            Some(sum(all, |one| one.lost))
        }),
        row(
            "clips lost that were confirmed, per cent",
            Better::Lower,
            came,
            lost,
        ),
        row(
            "messages or clips that are there twice",
            Better::Lower,
            came,
            |all| Some(sum(all, |one| one.doubled)),
        ),
        row(
            "messages or clips that came behind a later one",
            Better::Lower,
            came,
            |all| Some(sum(all, |one| one.out_of_order)),
        ),
    ]
}

/// The centre is away, and comes back.
pub fn outage(programs: &Programs, size: &Size) -> Result<Table, String> {
    let came = everybody(
        || Ok(vec![outages::our_outage(programs, size.waiting)?]),
        |peer| match peer {
            Peer::BridgeSavesEach => Err("not run".into()),
            _ => Ok(vec![outages::outage(peer, size.waiting)?]),
        },
    );
    let mut rows = fates(&came);
    rows.extend([
        row(
            "from the centre's return to the first clip or message, s",
            Better::Lower,
            &came,
            |all| middle(all, |one| one.first_s),
        ),
        row(
            "from the first to the last, s",
            Better::Lower,
            &came,
            |all| middle(all, |one| one.drain_s),
        ),
        row("drain, MB/s", Better::Higher, &came, |all| {
            middle(all, |one| one.mb_s)
        }),
        row("most resident memory, MiB", Better::Lower, &came, |all| {
            middle(all, |one| one.memory_mib)
        }),
    ]);
    Ok(Table {
        id: "outage".into(),
        heading: format!(
            "The centre is away while {} clips come in, and comes back",
            size.waiting
        ),
        columns: columns(),
        rows,
    })
}

/// The store is killed, or its card loses its power, while clips come in.
pub fn ended(programs: &Programs, end: End, size: &Size) -> Table {
    let came = everybody(
        || {
            (1..=size.seeds)
                .map(|seed| outages::our_end(programs, end, size.pace, seed))
                .collect()
        },
        |peer| {
            (1..=size.seeds)
                .map(|seed| outages::ended(peer, end, size.pace, seed))
                .collect()
        },
    );
    let mut rows = fates(&came);
    rows.push(match end {
        End::Kill => row(
            "bytes written for each byte of a clip, as the kernel counts",
            Better::Lower,
            &came,
            |all| middle(all, |one| one.written),
        ),
        End::PowerCut => {
            let figure =
                "bytes written to the card for each byte of a clip, with the file system's own";
            row(figure, Better::Lower, &came, |all| {
                middle(all, |one| one.on_card)
            })
        }
    });
    let (id, what) = match end {
        End::Kill => ("kill", "`kill -9` while clips come in"),
        End::PowerCut => (
            "power-cut",
            "The power of the card is cut while clips come in",
        ),
    };
    Table {
        id: id.into(),
        heading: format!("{what}, the centre away (runs: {})", size.seeds),
        columns: columns(),
        rows,
    }
}

/// The store is killed in the drain.
pub fn kill_in_drain(programs: &Programs, size: &Size) -> Table {
    let came = everybody(
        || Ok(vec![outages::our_kill_in_drain(programs, size.drained)?]),
        |peer| match peer {
            Peer::BridgeSavesEach => Err("not run".into()),
            _ => Ok(vec![outages::kill_in_drain(peer, size.drained)?]),
        },
    );
    Table {
        id: "kill-in-drain".into(),
        heading: format!("`kill -9` when a third of {} clips has left", size.drained),
        columns: columns(),
        rows: fates(&came),
    }
}

fn most(numbers: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let known = numbers.flatten();
    known.fold(None, |most: Option<f64>, number| {
        Some(most.map_or(number, |most| most.max(number)))
    })
}

/// Ours and the rivals at the microphone.
pub fn recording(programs: &Programs, size: &Size) -> Result<Table, String> {
    for rival in RIVALS {
        complain!("  {}", rival.command_line());
    }
    let mut minutes = Vec::new();
    for number in 1..=size.minutes {
        complain!("  minute {number} of {}", size.minutes);
        minutes.push(recording::minute(programs, size.seconds)?);
    }
    let mut cuts = Vec::new();
    match booth_testkit::blockdev::obstacle() {
        Some(why) => complain!("  NOT MEASURED: what is left of a recording: {why}"),
        None => {
            for seed in 1..=size.cuts {
                complain!("  cut off, {seed} of {}", size.cuts);
                match recording::cut_off(programs, seed) {
                    Ok(lost) => cuts.push(lost),
                    Err(why) => complain!("    it came to nothing: {why}"),
                }
            }
        }
    }
    Ok(Table {
        id: "recording".into(),
        heading: "The same words recorded at the same time".into(),
        columns: std::iter::once("booth gateway".to_owned())
            .chain(RIVALS.map(|rival| rival.name().to_owned()))
            .collect(),
        rows: recording_rows(&minutes, &cuts),
    })
}

fn recording_rows(minutes: &[Minute], cuts: &[Lost]) -> Vec<Row> {
    let cost = |figure: &str, of: &dyn Fn(&Cost) -> f64| {
        let ours = median(minutes.iter().map(|minute| of(&minute.ours)).collect());
        let rivals = (0..RIVALS.len()).map(|place| {
            let costs = minutes
                .iter()
                .filter_map(|minute| minute.rivals.get(place)?.as_ref());
            installed(place, median(costs.map(of).collect()))
        });
        lower(figure, std::iter::once(Cell::from(ours)).chain(rivals))
    };
    let lost = |figure: &str, of: &dyn Fn(&Lost) -> &[Option<f64>]| {
        let ours = Cell::from(most(
            cuts.iter().map(|lost| of(lost).first().copied().flatten()),
        ));
        let rivals = (0..RIVALS.len()).map(|place| {
            installed(
                place,
                most(
                    cuts.iter()
                        .map(|lost| of(lost).get(place + 1).copied().flatten()),
                ),
            )
        });
        lower(figure, std::iter::once(ours).chain(rivals))
    };
    let ours = median(minutes.iter().map(|minute| minute.ours.own_s).collect());
    let ratio = |theirs: Option<f64>| Some(ours? / theirs?);
    let opusenc = median(
        minutes
            .iter()
            .filter_map(|minute| minute.opusenc_s)
            .collect(),
    );
    let pipe = median(
        minutes
            .iter()
            .filter_map(|minute| Some(minute.rivals.first()?.as_ref()?.own_s))
            .collect(),
    );
    let words = || Cell::Words("–".into());
    let told = |figure: &str, value: Option<f64>| Row {
        figure: figure.into(),
        better: Better::Neither,
        cells: vec![Cell::from(value), words(), words()],
    };
    vec![
        cost("CPU, s a minute, threads of the recorder", &|cost| {
            cost.own_s
        }),
        cost(
            "CPU, s a minute, everything, the sound card's stand-in included",
            &|cost| cost.all_s,
        ),
        told("ratio to `arecord \\| opusenc`, bar < 1.0", ratio(pipe)),
        told("ratio to opusenc alone, bar < 1.1", ratio(opusenc)),
        cost("resident memory, MiB", &|cost| cost.memory_mib),
        lost("speech lost at kill -9, s, most", &|lost| &lost.kill),
        lost("speech lost at a power cut, s, most", &|lost| {
            &lost.power_cut
        }),
        told(
            "hang-up → the hub's answer, ms, longest, bar ≤ 60",
            most(minutes.iter().map(|minute| Some(minute.ack_ms))),
        ),
    ]
}

fn installed(place: usize, number: Option<f64>) -> Cell {
    match (RIVALS[place].why_not(), number) {
        (Some(_), None) => Cell::Words("not installed".into()),
        (_, number) => Cell::from(number),
    }
}

fn lower(figure: &str, cells: impl Iterator<Item = Cell>) -> Row {
    Row {
        figure: figure.into(),
        better: Better::Lower,
        cells: cells.collect(),
    }
}

/// Figures that nobody else has.
pub fn own(programs: &Programs, size: &Size) -> Table {
    let rows = [
        own::full_tank(programs, size.tank),
        own::verify(programs, size.verified),
        own::fleet(programs, size.booths, size.watched_s),
    ];
    let rows = rows
        .into_iter()
        .filter_map(|row| row.map_err(|why| complain!("  NOT MEASURED: {why}")).ok());
    Table {
        id: "own".into(),
        heading: "Figures that nobody else has".into(),
        columns: vec!["bar".into(), "measured".into(), "".into()],
        rows: rows.collect(),
    }
}
