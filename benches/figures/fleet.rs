//! A fleet of ten thousand simulated booths at a real broker and a real hub, and an operator who watches a thousand in a terminal.

use std::time::{Duration, Instant};

use booth_testkit::fleet_watch::{self, resident_mib, simulator};
use booth_testkit::hub::{Broker, Home, Hub};
use booth_testkit::threads::Cpu;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;

use super::{Table, memory, ms, own_memory, p99};

/// The gateway that plays the fleet and shows it.
const GATEWAY: &str = env!("CARGO_BIN_EXE_booth-gateway");

/// How large the fleet is, and how often its page is asked for.
pub(super) struct Asked {
    booths: u32,
    minutes: f64,
    watched: u32,
    /// For how long the terminal is measured, seconds.
    seconds: u64,
    views: usize,
}

/// For the figures.
pub(super) const WHOLE: Asked = Asked {
    booths: 10_000,
    minutes: 2.5,
    watched: 1_000,
    seconds: 60,
    views: 20,
};
/// For `cargo test`.
pub(super) const LOOK: Asked = Asked {
    booths: 20,
    minutes: 0.1,
    watched: 20,
    seconds: 2,
    views: 2,
};

/// The rows of the fleet.
pub(super) fn figures(table: &mut Table, asked: &Asked) {
    if !has_files(asked.booths) {
        return eprintln!(
            "NOT MEASURED: a fleet; {} open files are needed, and the system allows fewer (ulimit -n)",
            asked.booths + 1_000
        );
    }
    watched(table, asked);
    let broker = Broker::start("allow_anonymous true\nmax_connections -1\n", |_| ());
    let home = Home::new(broker.port, "jitter_s = 120\n");
    let hub = Hub::start(&home);
    hub.address();
    table.row("memory of an idle hub, MiB", memory(hub.pid()), "≤ 40", 1);
    eprintln!("a fleet of {} booths …", asked.booths);
    let before = Cpu::of(hub.pid());
    let (report, simulator, used_s) = play(&broker, asked.booths, asked.minutes, 6.0);
    let seconds = report["seconds"].as_f64().expect("a time");
    let booths = f64::from(asked.booths);
    let lost = ["late", "rejected"].map(|what| report[what].as_f64().unwrap_or(1.0));
    let hubs = Cpu::of(hub.pid()).since(&before, 1.0 / seconds).own();
    for (what, value, bar) in [
        (
            "memory of the simulator, KB a booth",
            simulator * 1_048.576 / booths,
            "≤ 107",
        ),
        ("… processor, cores", used_s / seconds, "≤ 1"),
        ("hub at that fleet: processor, cores", hubs, "≤ 1"),
        ("… its own memory, MiB", own_memory(hub.pid()), "≤ 300"),
        (
            "… ack, s, p99",
            report["wait_ms"][1].as_f64().expect("ms") / 1_000.0,
            "≤ 1",
        ),
        ("… messages late or refused", lost.iter().sum(), "0"),
    ] {
        table.row(what, value, bar, asked.booths as usize);
    }
    let mut views: Vec<f64> = (0..asked.views)
        .map(|_| {
            let began = Instant::now();
            hub.page("operations");
            ms(began, Instant::now())
        })
        .collect();
    table.row(
        "the fleet's page of all these booths, ms, p99",
        p99(&mut views),
        "≤ 150",
        views.len(),
    );
    hub.kill();
}

/// A terminal that shows a fleet.
fn watched(table: &mut Table, asked: &Asked) {
    eprintln!("a terminal that watches {} booths …", asked.watched);
    let broker = Broker::start("allow_anonymous true\nmax_connections -1\n", |_| ());
    let (used, memory) =
        fleet_watch::cost(GATEWAY.as_ref(), broker.port, asked.watched, asked.seconds);
    for (what, value, bar) in [
        ("a terminal that watches a fleet: processor, %", used, "≤ 5"),
        ("… its memory, MiB", memory, ""),
    ] {
        table.row(what, value, bar, asked.watched as usize);
    }
}

/// Room for so many connections, here and in every program that is started from here.
fn has_files(booths: u32) -> bool {
    let wanted = u64::from(booths) + 1_000;
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: Some(wanted),
        maximum: limit.maximum,
    };
    limit.current.is_none_or(|current| current >= wanted)
        || setrlimit(Resource::Nofile, raised).is_ok()
}

/// Plays a fleet: its report, the most memory that it had in MiB, and its processor time in seconds.
fn play(broker: &Broker, booths: u32, minutes: f64, lifts: f64) -> (Value, f64, f64) {
    let mut fleet = simulator(GATEWAY.as_ref(), broker.port, booths, minutes, lifts)
        .spawn()
        .expect("it starts");
    let (mut most, mut used) = (0.0_f64, 0.0_f64);
    while fleet.try_wait().expect("asked").is_none() {
        // It may end in between, and is then a process without memory until it is asked for again.
        most = most.max(resident_mib(fleet.id()));
        used = used.max(Cpu::of(fleet.id()).own());
        std::thread::park_timeout(Duration::from_millis(200));
    }
    let said = fleet.wait_with_output().expect("its report");
    let report = serde_json::from_slice(&said.stdout).expect("JSON");
    (report, most, used)
}
