//! Open data: all of it in one ZIP, and each file.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::super::{Table, p99, status_mib};
use super::town::Town;

const FILES: [&str; 6] = [
    "messages.csv",
    "counts_by_area_day.csv",
    "votes.csv",
    "comments.csv",
    "exposure.csv",
    "withdrawn.csv",
];

/// Takes a file as it comes; its bytes, seconds to the first one, and seconds to the last.
fn take(town: &Town, name: &str) -> (usize, f64, f64) {
    let began = Instant::now();
    let said = ureq::get(format!("{}data/{name}", town.citizens)).call();
    let mut said = said.unwrap_or_else(|why| panic!("{name}: {why}"));
    let mut reader = said.body_mut().as_reader();
    let (mut bytes, mut first, mut piece) = (0, None, vec![0; 64 * 1024]);
    loop {
        let read = reader.read(&mut piece).expect("a file");
        first.get_or_insert_with(|| began.elapsed().as_secs_f64());
        if read == 0 {
            return (
                bytes,
                first.unwrap_or_default(),
                began.elapsed().as_secs_f64(),
            );
        }
        bytes += read;
    }
}

/// The rows.
pub(super) fn figures(table: &mut Table, town: &Town, times: usize) {
    let pid = town.hub.pid();
    for name in FILES {
        let (bytes, _, took) = take(town, name);
        table.row(&format!("{name}, s"), took, "", bytes);
    }
    let mut took = Vec::new();
    let before = status_mib(pid, "VmRSS:");
    let is_over = AtomicBool::new(false);
    let most = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut most = before;
            while !is_over.load(Ordering::Relaxed) {
                most = most.max(status_mib(pid, "VmRSS:"));
                std::thread::sleep(Duration::from_millis(5));
            }
            most
        });
        let mut bytes = 0;
        for _ in 0..times {
            let (size, _, s) = take(town, "all.zip");
            bytes = size;
            took.push(s);
        }
        is_over.store(true, Ordering::Relaxed);
        table.row("all.zip, KB", bytes as f64 / 1_000.0, "", 1);
        watching.join().expect("watched")
    });
    let n = took.len();
    table.row("all.zip streams, s, slowest", p99(&mut took), "≤ 5", n);
    table.row("… memory of the hub more, MiB", most - before, "≤ 64", n);
}
