//! A hub whose rows are in PostgreSQL, with workers that take in what booths send.

use std::process::Command;

use booth_stage::postgres::Server;
use booth_stage::program::Program;

use crate::hub::{Broker, Home};
use crate::hub_program::hub_program;

/// A PostgreSQL of its own; `None`, with a line that says so, where none is installed.
pub fn postgres(what: &str) -> Option<Server> {
    Server::start(what).expect("it starts")
}

/// A hub whose workers may be so many.
pub fn home(broker: &Broker, database: &str, workers: u16) -> Home {
    let ingest = format!("\n[ingest]\nworkers = {workers}\n");
    let home = Home::new(broker.port, &ingest);
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    let with_database = text.replace("[store]\n", &format!("[store]\ndatabase = {database:?}\n"));
    assert_ne!(with_database, text);
    std::fs::write(home.config(), with_database).expect("written");
    home
}

/// One of them.
pub fn worker(home: &Home, number: u16) -> Program {
    let mut command = Command::new(hub_program());
    command
        .args(["ingest", "--worker", &number.to_string(), "--config"])
        .arg(home.config());
    let worker = Program::start("a worker", &mut command).expect("it starts");
    worker.says("is up, clips in").expect("it says so");
    worker
}

/// How many booths each worker has, by PostgreSQL, as "worker booths".
pub fn shares(server: &Server, database: &str) -> Vec<String> {
    let asked = server.psql(
        database,
        "SELECT worker || ' ' || count(*) FROM ingest.lease JOIN ingest.worker ON name = worker
           WHERE until > clock_timestamp() GROUP BY worker ORDER BY worker",
    );
    asked.expect("asked").lines().map(str::to_owned).collect()
}
