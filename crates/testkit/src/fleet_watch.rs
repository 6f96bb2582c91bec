//! A simulated fleet at a broker, and the terminal of an operator who watches it (docs/fleet.md).
#![allow(clippy::disallowed_methods)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use booth_stage::wait::until;

use super::glass::Glass;
use super::threads::Cpu;

/// A command that plays so many booths at the broker on this port; its standard output is its report.
pub fn simulator(gateway: &Path, port: u16, booths: u32, minutes: f64, lifts: f64) -> Command {
    let mut command = Command::new(gateway);
    let url = format!("mqtt://127.0.0.1:{port}");
    command.args(["simulate", "--json", "--patience", "1", "--url", &url]);
    command.args(["--booths", &booths.to_string()]);
    command.args(["--minutes", &minutes.to_string()]);
    command.args(["--lifts-per-hour", &lifts.to_string()]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// A terminal that shows the fleet at the broker on this port.
pub fn terminal(gateway: &Path, port: u16) -> Glass {
    let mut command = Command::new(gateway);
    command.args(["fleet", "--url", &format!("mqtt://127.0.0.1:{port}")]);
    command.env("TERM", "xterm");
    Glass::around(command, 160, 50)
}

/// What a terminal costs that watches a fleet: its processor, in percent of one, and its resident memory, MiB.
pub fn cost(gateway: &Path, port: u16, booths: u32, seconds: u64) -> (f64, f64) {
    let minutes = 1.0 + (seconds as f64) / 60.0;
    let mut fleet = simulator(gateway, port, booths, minutes, 0.0);
    let _fleet = Ended(fleet.spawn().expect("it starts"));
    let glass = terminal(gateway, port);
    glass.shows(&format!("All {booths} booths can take messages"));
    let (began, before) = (Instant::now(), Cpu::of(glass.pid()));
    until("the fleet was watched", || {
        (began.elapsed() >= Duration::from_secs(seconds)).then_some(())
    });
    let share = 100.0 / began.elapsed().as_secs_f64();
    let used = Cpu::of(glass.pid()).since(&before, share).own();
    (used, resident_mib(glass.pid()))
}

/// Resident memory of a process, MiB; none of one that has ended.
pub fn resident_mib(pid: u32) -> f64 {
    status_mib(pid, "VmRSS:")
}

/// A line of `/proc/PID/status`, MiB; 0 of a process that has ended.
pub fn status_mib(pid: u32, key: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// A process that ends with its value.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
