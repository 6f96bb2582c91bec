//! How much a hub takes in: alone with SQLite, and by one and by two workers with PostgreSQL, broker and booths on the same machine.

use std::time::{Duration, Instant};

use booth_testkit::hub::{Booth, Broker, Clip, Home, Hub};
use booth_testkit::threads::Cpu;
use booth_testkit::wait::until;
use booth_testkit::workers::{self, worker};
use serde_json::json;

use super::Table;

/// How many booths send, and how many clips each.
pub(super) struct Asked {
    booths: u16,
    clips: u64,
}

/// For the figures.
pub(super) const WHOLE: Asked = Asked {
    booths: 24,
    clips: 16,
};
/// For `cargo test`.
pub(super) const LOOK: Asked = Asked {
    booths: 2,
    clips: 1,
};
/// Bytes of a part (contract §3.4).
const PART: usize = 16 << 10;
/// A booth without an answer offers its clip again.
const PATIENCE: Duration = Duration::from_secs(5);

/// The rows of taking in.
pub(super) fn figures(table: &mut Table, asked: &Asked) {
    eprintln!("{} booths send …", asked.booths);
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let booths = connect(&broker, asked);
    let before = Cpu::of(hub.pid());
    let (alone, seconds) = rate(booths, asked);
    let used = Cpu::of(hub.pid()).since(&before, 1.0 / seconds).own();
    let n = usize::from(asked.booths) * asked.clips as usize;
    table.row(
        "parts of 16 KiB that a hub commits, a second, SQLite",
        alone,
        "",
        n,
    );
    table.row("… its processor, cores", used, "", n);
    hub.kill();
    let Some(server) = workers::postgres("workers that are measured") else {
        return eprintln!("NOT MEASURED: workers; install PostgreSQL");
    };
    let [one, two] = [1, 2].map(|number: u16| {
        let broker = Broker::open();
        let name = format!("by_{number}");
        let database = server.database(&name).expect("a database");
        let home = workers::home(&broker, &database, number);
        let hub = Hub::start(&home);
        let booths = connect(&broker, asked);
        let all: Vec<_> = (1..=number).map(|n| worker(&home, n)).collect();
        until("each booth is some worker's", || {
            let shares = workers::shares(&server, &name);
            let of = |share: &String| share.split_once(' ')?.1.parse::<u16>().ok();
            let booths: u16 = shares.iter().filter_map(of).sum();
            (shares.len() == all.len() && booths == asked.booths).then_some(())
        });
        let (rate, _) = rate(booths, asked);
        drop(all);
        hub.kill();
        rate
    });
    table.row("… by one worker with PostgreSQL", one, "", n);
    table.row("… two workers / one", two / one, "≥ 1.4", n);
}

/// Booths that the hub knows.
fn connect(broker: &Broker, asked: &Asked) -> Vec<Booth> {
    let booths = (1..=asked.booths).map(|n| {
        let booth = Booth::connect(broker.port, &format!("booth-{n}"));
        booth.hub_becomes("online");
        let state =
            json!({"state": "online", "session": "1-1", "card_id": booth.id, "boot_id": "b"});
        booth.publish("state", true, state.to_string());
        booth
    });
    booths.collect()
}

/// How many parts are stored in a second while all of them send, each one clip after the other, and for how many seconds they did.
fn rate(booths: Vec<Booth>, asked: &Asked) -> (f64, f64) {
    let loads: Vec<(Booth, Vec<Clip>)> = (1_u64..)
        .zip(booths)
        .map(|(n, booth)| {
            let clip = |k| {
                let mut clip = Clip::new(&booth.id, 1_000 * n + k);
                clip.manifest["card_id"] = json!(booth.id);
                clip
            };
            let clips = (1..=asked.clips).map(clip).collect();
            (booth, clips)
        })
        .collect();
    let clips = loads.iter().flat_map(|(_, clips)| clips);
    let parts: usize = clips.map(|clip| clip.body.len().div_ceil(PART)).sum();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for (booth, clips) in loads {
            scope.spawn(move || {
                for clip in &clips {
                    booth.deliver_patiently(clip, PATIENCE);
                }
            });
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    (parts as f64 / seconds, seconds)
}
