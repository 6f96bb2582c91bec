//! The desk and what else staff asks for: the queue, a message, a decision, the log, a case, a report; and a clip of three minutes.

use std::time::Instant;

use jiff::ToSpan;

use super::super::{Table, median, p99};
use super::town::{LONG_S, Town};

/// Publishes a message as text, as a moderator does.
pub(super) fn publish(town: &Town, id: &str) {
    let done = town.staff.post(
        &format!("desk/message/{id}"),
        &[
            ("version", "0"),
            ("transcript", "Flere bænke, tak."),
            ("transcript_lang", "da"),
            ("do", "text"),
        ],
    );
    done.unwrap_or_else(|why| panic!("{why}"));
}

fn timed<T>(what: impl FnOnce() -> T) -> (f64, T) {
    let began = Instant::now();
    let done = what();
    (began.elapsed().as_secs_f64() * 1_000.0, done)
}

/// The rows.
pub(super) fn figures(table: &mut Table, town: &Town, times: usize) {
    let staff = &town.staff;
    let waiting = town.ids(
        "SELECT id FROM message WHERE state = 'waiting' AND kind = 'audio' AND version = 0 ORDER BY said_at LIMIT 400",
    );
    let page = |page: &str| {
        let (ms, answer) = timed(|| staff.answer(page, &[]));
        let (status, _) = answer.unwrap_or_else(|why| panic!("{why}"));
        assert!(matches!(status, 200 | 303), "/{page}: {status}");
        ms
    };
    let mut row = |what: &str, bar, mut values: Vec<f64>| {
        let n = values.len();
        table.row(&format!("{what}, ms, median"), median(&mut values), "", n);
        table.row("… p99", p99(&mut values), bar, n);
    };
    let again = |address: &str| (0..times).map(|_| page(address)).collect::<Vec<f64>>();
    row("desk: the queue", "", again("desk"));
    row(
        "desk: the queue of a campaign",
        "",
        again("desk?campaign=square-2026"),
    );
    row("desk: what is published", "", again("desk?state=published"));
    row("desk: what is rejected", "", again("desk?state=rejected"));
    let each = waiting.iter().take(times);
    row("desk: the next message", "", again("desk/next"));
    row(
        "desk: a message",
        "",
        each.clone()
            .map(|id| page(&format!("desk/message/{id}")))
            .collect(),
    );
    row(
        "desk: a decision",
        "",
        each.map(|id| timed(|| publish(town, id)).0).collect(),
    );
    row("ideas", "", again("ideas"));
    row("an idea", "", again("ideas/1"));
    row("log of acts", "", again("acts"));
    row("places", "", again("places"));
    row("retention", "", again("rights/retention"));
    row("cases", "", again("rights"));
    let opened: Vec<f64> = (0..times.min(20))
        .map(|_| {
            let day = jiff::ZonedDateTime::now()
                .date()
                .saturating_sub(30.days())
                .to_string();
            timed(|| {
                staff
                    .post(
                        "rights",
                        &[
                            ("received", &day),
                            ("asked", "access"),
                            ("place", "booth:booth-1"),
                            ("day", &day),
                            ("time", "14:00"),
                            ("minutes", "180"),
                            ("note", ""),
                        ],
                    )
                    .unwrap_or_else(|why| panic!("{why}"))
            })
            .0
        })
        .collect();
    row("a case is opened", "", opened);
    row(
        "search of a case",
        "",
        (0..times).map(|_| page("rights/1")).collect(),
    );
    let reports: Vec<f64> = (0..times.min(5))
        .map(|_| {
            timed(|| {
                staff
                    .post("reports", &[("campaign", "square-2026")])
                    .unwrap_or_else(|why| panic!("{why}"))
            })
            .0
        })
        .collect();
    row("a report is frozen", "", reports);
    row("a report", "", again("reports/1"));
    let (ms, taken) = timed(|| staff.answer("reports/1/report.odt", &[]));
    assert_eq!(taken.expect("a report").0, 200);
    row("a report as ODT", "", vec![ms]);
    long(table, town, times);
}

/// A sealed clip of three minutes: its page with the waveform, and a place in it.
fn long(table: &mut Table, town: &Town, times: usize) {
    let address = format!("desk/message/{}", town.long);
    let (mut shown, mut sought) = (Vec::new(), Vec::new());
    let sound = format!("{address}/sound.opus");
    let (_, whole) = town
        .staff
        .answer(&sound, &[])
        .unwrap_or_else(|why| panic!("{why}"));
    for turn in 0..times {
        let (ms, page) = timed(|| town.staff.get(&address));
        assert!(page.expect("a page").contains("<svg"), "a waveform");
        shown.push(ms);
        let from = whole.len() * (turn * 37 % 100) / 100;
        let range = format!("bytes={from}-");
        let (ms, part) = timed(|| town.staff.answer(&sound, &[("Range", &range)]));
        let (status, part) = part.unwrap_or_else(|why| panic!("{why}"));
        assert_eq!((status, part.as_slice()), (206, &whole[from..]));
        sought.push(ms);
    }
    let n = shown.len();
    table.row(
        &format!("desk: a sealed clip of {LONG_S} s with its waveform, ms, p99"),
        p99(&mut shown),
        "≤ 200",
        n,
    );
    table.row(
        "… a place in it is sought, ms, p99",
        p99(&mut sought),
        "≤ 200",
        n,
    );
}
