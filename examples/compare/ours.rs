//! The booth's gateway at the same work: clips lie on its card as its recorder keeps them, and it delivers them to a hub.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use booth_gateway::adapters::handset_sim::send_line;
use booth_host::say;
use booth_spool::KeptClip;
use booth_testkit::backlog::Voice;
use booth_testkit::centre::Centre;
use booth_testkit::crash_booth::configure;
use booth_testkit::programs::{HubHome, Mosquitto, Program, Programs, wait_for};
use booth_testkit::session::in_own_session;
use serde_json::Value;

use super::peers::CENTRE_RULES;
use super::work::pause_until;

/// Whose clips they are.
pub const BOOTH: &str = "rundhoej-1";
/// Seconds of speech in a clip: 60 kB.
const SECONDS: usize = 20;

/// The broker and the hub of the centre.
pub struct OurCentre {
    broker: Mosquitto,
    home: HubHome,
    hub: Option<Program>,
}

impl OurCentre {
    /// Both are away.
    pub fn away(programs: &Programs) -> Result<Self, String> {
        let mut broker = Mosquitto::start(CENTRE_RULES, &[])?;
        broker.stop()?;
        Ok(Self {
            home: HubHome::new(programs, broker.port, "")?,
            broker,
            hub: None,
        })
    }

    /// The broker alone: nobody takes clips.
    pub fn broker_comes_back(&mut self) -> Result<(), String> {
        self.broker.start_again()
    }

    /// Both.
    pub fn comes_back(&mut self) -> Result<(), String> {
        self.broker.start_again()?;
        self.hub = Some(self.home.start()?);
        Ok(())
    }

    /// The line of a booth's `[mqtt]` that leads here.
    pub fn mqtt(&self) -> String {
        format!("url = \"mqtt://127.0.0.1:{}\"", self.broker.port)
    }

    /// Ids of the clips that the hub has; every body is looked at, and none may be there twice.
    pub fn clips(&self) -> Result<BTreeSet<String>, String> {
        let stored = Centre::open(&self.home.store())?.check_bodies(Some(BOOTH))?;
        Ok(stored.into_keys().collect())
    }

    /// Waits until it has all of these; how many it lacks if that never happens.
    pub fn gets(&self, clips: &BTreeSet<String>) -> Result<usize, String> {
        let has_all = || {
            let rows = Centre::open(&self.home.store())
                .and_then(|centre| centre.clips(Some(BOOTH)))
                .ok()?;
            let here: BTreeSet<String> = rows.into_iter().map(|clip| clip.clip_id).collect();
            clips.is_subset(&here).then_some(())
        };
        // What never comes is counted below.
        let _ = wait_for("the hub has every clip", has_all);
        Ok(clips.difference(&self.clips()?).count())
    }
}

/// A booth with its card in this folder; its gateway may run.
pub struct OurBooth {
    home: tempfile::TempDir,
    card: PathBuf,
    programs: Programs,
    mqtt: String,
    gateway: Option<Program>,
}

impl OurBooth {
    pub fn new(programs: &Programs, card: &Path, centre: &OurCentre) -> Result<Self, String> {
        Ok(Self {
            home: tempfile::tempdir().map_err(|error| error.to_string())?,
            card: card.to_owned(),
            programs: programs.clone(),
            mqtt: centre.mqtt(),
            gateway: None,
        })
    }

    /// Where its clips are.
    pub fn spool(&self) -> PathBuf {
        self.card.join("spool")
    }

    /// Its card is now here.
    pub fn moves_to(&mut self, card: &Path) {
        self.card = card.to_owned();
    }

    pub fn start(&mut self) -> Result<(), String> {
        configure(self.home.path(), &self.card, &self.mqtt)?;
        let mut command = in_own_session(&self.programs.gateway);
        command
            .args(["run", "--config"])
            .arg(self.home.path().join("booth.toml"));
        self.gateway = Some(Program::start("the gateway", &mut command)?);
        Ok(())
    }

    pub fn kill(&mut self) {
        self.gateway = None;
    }

    fn running(&self) -> Result<&Program, String> {
        self.gateway
            .as_ref()
            .ok_or_else(|| "the gateway does not run".into())
    }

    /// Waits for a line of its log.
    pub fn says(&self, text: &str) -> Result<(), String> {
        self.running()?.says(text).map(|_| ())
    }

    /// Waits until it knows of so many clips on its card.
    pub fn has_found(&self, clips: u64) -> Result<(), String> {
        let socket = self.home.path().join("handset.sock");
        wait_for("the gateway knows its clips", || {
            let state: Value = serde_json::from_str(&send_line(&socket, "state").ok()?).ok()?;
            (state["spool_clips"] == clips).then_some(())
        })
    }

    /// When each clip was confirmed, in the order of its confirmations.
    pub fn confirmed(&self) -> Vec<(String, Instant)> {
        let of_line = |(at, line): &(Instant, String)| {
            let (_, rest) = line.split_once(" confirmed ")?;
            let (_, id) = rest.split_once("clip_id=")?;
            Some((id.split(' ').next()?.to_owned(), *at))
        };
        self.gateway.as_ref().map_or_else(Vec::new, |gateway| {
            gateway.log(|lines| lines.iter().filter_map(of_line).collect())
        })
    }

    /// The most resident memory it had, MiB.
    pub fn memory_mib(&self) -> Result<f64, String> {
        Ok(self.running()?.memory_kib("VmHWM:")? as f64 / 1024.0)
    }

    /// Clips on a card that nothing is cut from.
    pub fn fill(&self, clips: u64) -> Result<Vec<KeptClip>, String> {
        Voice::new(SECONDS)?.fill(&self.spool(), BOOTH, 1, clips)
    }
}

/// Confirmations that came behind one of a later clip.
pub fn out_of_order(kept: &[KeptClip], confirmed: &[(String, Instant)]) -> usize {
    let numbers: BTreeMap<&str, u64> = kept
        .iter()
        .map(|clip| (clip.clip_id.as_str(), clip.clip_no))
        .collect();
    let (mut last, mut behind) = (0, 0);
    for number in confirmed
        .iter()
        .filter_map(|(id, _)| numbers.get(id.as_str()))
    {
        behind += usize::from(*number < last);
        last = last.max(*number);
    }
    behind
}

/// What a process that keeps clips has said.
#[derive(Clone, Default)]
pub struct Kept(Arc<Mutex<(BTreeSet<String>, u64)>>);

impl Kept {
    /// Ids of the clips that are safe on the card, as it said.
    pub fn clips(&self) -> BTreeSet<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .clone()
    }

    /// Bytes that it had written to the disk with the last of them.
    pub fn bytes_written(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    fn hears(&self, line: &str) {
        let mut words = line.split(' ').skip(1);
        let (id, bytes) = (
            words.next(),
            words.next().and_then(|bytes| bytes.parse().ok()),
        );
        if let (Some(id), Some(bytes)) = (id, bytes) {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.0.insert(id.to_owned());
            known.1 = bytes;
        }
    }
}

/// A process that keeps clips on a card as the recorder does, with every sync, and can be killed.
pub struct Keeping {
    child: Child,
    reader: Option<JoinHandle<()>>,
}

impl Keeping {
    /// Starts it: so many clips, one each `pace`.
    pub fn start(spool: &Path, clips: u32, pace: Duration, kept: &Kept) -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut child = Command::new(own)
            .arg("--keep")
            .arg(spool)
            .args(["--clips", &clips.to_string()])
            .args(["--pace-ms", &pace.as_millis().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let said = child.stdout.take().ok_or("no standard output")?;
        let kept = kept.clone();
        let mut lines = BufReader::new(said).lines().map_while(Result::ok);
        // It speaks before: what is cut off are its clips.
        lines
            .next()
            .ok_or("the process that keeps clips has ended")?;
        let reader = std::thread::spawn(move || lines.for_each(|line| kept.hears(&line)));
        Ok(Self {
            child,
            reader: Some(reader),
        })
    }

    /// `kill -9`; afterwards everything that it said is known.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What that process does.
pub fn keep(spool: &Path, clips: u32, pace: Duration) -> Result<(), String> {
    let voice = Voice::new(SECONDS)?;
    say!("begins");
    let (began, mut number) = (Instant::now(), 0);
    voice.keep(spool, BOOTH, |clip| {
        say!(
            "kept {} {}",
            clip.clip_id,
            super::bytes_written(std::process::id())
        );
        number += 1;
        pause_until(began + pace * number);
        number < clips
    })
}
