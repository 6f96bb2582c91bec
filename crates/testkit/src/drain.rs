//! How fast a backlog leaves a booth: real gateway, real Mosquitto, real hub that commits each clip.
#![allow(clippy::disallowed_methods)]

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::backlog::Voice;
use super::centre::Centre;
use super::programs::{BoothHome, HubHome, Mosquitto, Programs, Sound, wait_for};

/// What one drain came to.
#[derive(Debug, Clone, Copy)]
pub struct Drained {
    pub clips: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// From the hub's presence to the last confirmation.
    pub took: Duration,
    /// Highest resident memory of the gateway's life.
    pub gateway_rss_mib: f64,
    /// CPU seconds of gateway and hub.
    pub gateway_cpu_s: f64,
    pub hub_cpu_s: f64,
    /// MB/s of `mosquitto_pub` and `mosquitto_sub` moving as many bytes through the same broker.
    pub mosquitto_mb_s: Option<f64>,
    /// Median of an fdatasync of one page before the run: what a commit costs on this disk at this time.
    pub flush_ms: f64,
}

impl Drained {
    /// MB of clip body per second.
    pub fn mb_s(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.took.as_secs_f64()
    }

    /// Against Mosquitto's own programs, if they ran.
    pub fn ratio(&self) -> Option<f64> {
        self.mosquitto_mb_s.map(|theirs| self.mb_s() / theirs)
    }
}

/// How the broker sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerSends {
    /// As Mosquitto is installed: with Nagle's algorithm.
    AsInstalled,
    /// With `set_tcp_nodelay true`, as a broker of booths should be configured.
    AtOnce,
}

/// Drains `clips` clips of `seconds` each; `against_mosquitto` measures its own programs in the same run, through the
/// same broker.
pub fn drain(
    programs: &Programs,
    clips: u64,
    seconds: usize,
    sends: BrokerSends,
    against_mosquitto: bool,
) -> Result<Drained, String> {
    // Without a limit of the queue: `mosquitto_pub` would lose messages that `mosquitto_sub` then waits for.
    let rules = format!(
        "persistence false\nallow_anonymous true\nmax_queued_messages 0\nlog_type subscribe\nset_tcp_nodelay {}\n",
        sends == BrokerSends::AtOnce
    );
    let broker = Mosquitto::start(&rules, &[])?;
    let flush_ms = flush_ms(broker.folder())?;
    let booth = BoothHome::new(programs, "drain-1", broker.port, &Sound::none(), "")?;
    let kept = Voice::new(seconds)?.fill(&booth.spool(), &booth.id, 1, clips)?;
    let bytes = kept.iter().map(|clip| clip.bytes).sum();
    let mosquitto_mb_s = match against_mosquitto {
        true => Some(mosquitto_mb_s(&broker, bytes)?),
        false => None,
    };

    let gateway = booth.start()?;
    gateway.reaches("connected", 1)?;
    let home = HubHome::new(programs, broker.port, "")?;
    let hub = home.start()?;
    let (began, _) = gateway.program.says("the hub is online")?;
    let confirmed = || {
        gateway.program.log(|lines| {
            let done = lines
                .iter()
                .filter(|(_, line)| line.contains(" confirmed "));
            done.map(|(at, _)| *at).collect::<Vec<Instant>>()
        })
    };
    let mut before = 0;
    let ended = loop {
        // As long as clips are confirmed it goes on, however many there are.
        let now = wait_for("another clip is confirmed", || {
            let now = confirmed();
            (now.len() > before).then_some(now)
        })
        .map_err(|why| format!("{why}; {}; {}", gateway.program.tail(), hub.tail()))?;
        before = now.len();
        if let Some(at) = now.get(clips as usize - 1) {
            break *at;
        }
    };
    let (gateway_cpu_s, hub_cpu_s) = (gateway.program.cpu_s(), hub.cpu_s());
    gateway.reaches("spool_clips", 0)?;
    wait_for("the card is clean", || {
        booth.files("clips").is_empty().then_some(())
    })?;
    let stored = Centre::open(&home.store())?.check(None)?;
    Centre::holds(&stored, &kept)?;
    Ok(Drained {
        clips,
        bytes,
        took: ended.saturating_duration_since(began),
        gateway_rss_mib: gateway.program.memory_kib("VmHWM:")? as f64 / 1024.0,
        gateway_cpu_s,
        hub_cpu_s,
        mosquitto_mb_s,
        flush_ms,
    })
}

fn flush_ms(folder: &Path) -> Result<f64, String> {
    let fault = |error: std::io::Error| error.to_string();
    let file = std::fs::File::create(folder.join("flush")).map_err(fault)?;
    let mut times = Vec::new();
    for page in 0..51u64 {
        let began = Instant::now();
        file.write_all_at(&[page as u8; 4096], page % 8 * 4096)
            .map_err(fault)?;
        file.sync_data().map_err(fault)?;
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// Moves these bytes from `mosquitto_pub` to `mosquitto_sub`, QoS 1, in messages as large as a part.
fn mosquitto_mb_s(broker: &Mosquitto, bytes: u64) -> Result<f64, String> {
    let part = 16_384;
    let messages = bytes.div_ceil(part);
    let lines = broker.folder().join("lines");
    let fault = |error: std::io::Error| format!("mosquitto's own programs: {error}");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&lines).map_err(fault)?);
    let mut line = vec![b'w'; part as usize];
    line.push(b'\n');
    for _ in 0..messages {
        file.write_all(&line).map_err(fault)?;
    }
    drop(file);
    let port = broker.port.to_string();
    let arguments = [
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "-V",
        "5",
        "-q",
        "1",
        "-t",
        "drain",
    ];
    let mut subscriber = Command::new("mosquitto_sub")
        .args(arguments)
        .args(["-N", "-C", &messages.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(fault)?;
    let moved = broker.says(" drain").and_then(|_| {
        let began = Instant::now();
        let published = Command::new("mosquitto_pub")
            .args(arguments)
            .arg("-l")
            .stdin(std::fs::File::open(&lines).map_err(fault)?)
            .status()
            .map_err(fault)?;
        if !published.success() {
            return Err(format!("mosquitto_pub ended with {published}"));
        }
        let status = subscriber.wait().map_err(fault)?;
        if !status.success() {
            return Err(format!("mosquitto_sub ended with {status}"));
        }
        Ok((messages * part) as f64 / 1e6 / began.elapsed().as_secs_f64())
    });
    let _ = subscriber.kill();
    let _ = subscriber.wait();
    let _ = std::fs::remove_file(lines);
    moved
}
