//! A network that is bad, a broker that refuses, a hub that refuses or is away: one case each.
//!
//! Every function may run on several threads at once. An error is a broken promise.
#![allow(clippy::disallowed_methods)]

use std::time::Duration;

use super::backlog::Voice;
use super::centre::Centre;
use super::kills::{Dice, pass, wait_until_empty};
use super::programs::{Booth, BoothHome, HubHome, Mosquitto, Program, Programs, Sound, wait_for};
use super::proxy::{Mode, Proxy};

/// Modes of a bad network, in the order in which a seed picks them.
pub const MODES: [Mode; 4] = [
    Mode::Stall,
    Mode::Reset,
    Mode::Throttle(64_000),
    Mode::BlackHole,
];

/// A booth or the hub reaches the broker through a network that turns bad for `hold` and then good again, twice. All
/// must arrive, nothing twice. The seed says who, which clips, and when; `mode` is how bad.
pub fn bad_network(
    programs: &Programs,
    voice: &Voice,
    mode: Mode,
    hold: Duration,
    seed: u64,
) -> Result<(), String> {
    let mut dice = Dice::new(seed);
    let run = || -> Result<(), String> {
        let broker = Mosquitto::open(false)?;
        let proxy = Proxy::before(broker.port)?;
        let is_hub = dice.below(3) == 0;
        let (to_hub, to_booth) = if is_hub {
            (proxy.port, broker.port)
        } else {
            (broker.port, proxy.port)
        };
        let hub_home = HubHome::new(programs, to_hub, "")?;
        let hub = hub_home.start()?;
        let rate = "upload_kbit_s = 8000";
        let home = BoothHome::new(programs, "far-1", to_booth, &Sound::none(), rate)?;
        let clips = voice.fill(&home.spool(), &home.id, 1, 20 + dice.below(20))?;
        let booth = home.start()?;
        booth.program.says("the hub is online")?;
        for _ in 0..2 {
            pass(dice.ms_below(800));
            proxy.set(mode);
            pass(hold);
            proxy.set(Mode::Pass);
        }
        wait_until_empty(&home, &booth).map_err(|why| format!("{why}; {}", hub.tail()))?;
        let stored = Centre::open(&hub_home.store())?.check(None)?;
        Centre::holds(&stored, &clips)?;
        match stored.len() == clips.len() {
            true => Ok(()),
            false => Err(format!(
                "{} clips at the centre, {} were made",
                stored.len(),
                clips.len()
            )),
        }
    };
    let mut run = run;
    run().map_err(|why| format!("seed {seed}, {mode:?}: {why}"))
}

/// The parts of an ordinary case: one booth with clips, one hub, one broker.
struct Case {
    broker: Mosquitto,
    hub_home: HubHome,
    hub: Program,
    home: BoothHome,
    clips: Vec<booth_spool::KeptClip>,
}

impl Case {
    fn new(
        programs: &Programs,
        voice: &Voice,
        broker: Mosquitto,
        clips: u64,
    ) -> Result<Self, String> {
        let hub_home = HubHome::new(programs, broker.port, "")?;
        let hub = hub_home.start()?;
        let home = BoothHome::new(programs, "refused-1", broker.port, &Sound::none(), "")?;
        let clips = voice.fill(&home.spool(), &home.id, 1, clips)?;
        Ok(Self {
            broker,
            hub_home,
            hub,
            home,
            clips,
        })
    }

    fn all_arrive(&self, booth: &Booth) -> Result<(), String> {
        wait_until_empty(&self.home, booth).map_err(|why| format!("{why}; {}", self.hub.tail()))?;
        let stored = Centre::open(&self.hub_home.store())?.check(None)?;
        Centre::holds(&stored, &self.clips)
    }
}

/// Waits until the booth has this alert.
fn raises(booth: &Booth, alert: &str) -> Result<(), String> {
    wait_for(&format!("{alert} is raised"), || {
        let state = booth.state()?;
        let faults = state["faults"].as_array()?;
        faults.iter().any(|id| id == alert).then_some(())
    })
    .map_err(|why| format!("{why}; {}", booth.program.tail()))
}

/// The broker's access rules forbid parts: nothing leaves the card, operations hear of it, and when the rules are
/// mended (and the gateway started again: it asks again only after minutes) everything arrives.
pub fn denied_by_acl(programs: &Programs, voice: &Voice) -> Result<(), String> {
    let rules = "persistence false\nallow_anonymous true\nacl_file acl\n";
    let hub = "user hub\ntopic readwrite booth/1/#\nuser refused-1\ntopic read booth/1/#\n";
    let mut closed = hub.to_owned();
    for allowed in ["state", "birth", "health", "alert/#", "event/#", "clip/#"] {
        closed += &format!("topic write booth/1/up/refused-1/{allowed}\n");
    }
    let open = format!("{hub}topic write booth/1/up/refused-1/#\n");
    let broker = Mosquitto::start(rules, &[("acl", &closed)])?;
    let path = broker.folder().join("acl");
    let mut case = Case::new(programs, voice, broker, 3)?;
    let mut booth = case.home.start()?;
    raises(&booth, "clip_refused_by_broker")?;
    if case.home.files("clips").len() != case.clips.len() {
        return Err("a clip left the card although the broker refused it".into());
    }
    booth.program.stop()?;
    std::fs::write(path, open).map_err(|error| error.to_string())?;
    case.broker.stop()?;
    case.broker.start_again()?;
    let booth = case.home.start()?;
    case.all_arrive(&booth)
}

/// The broker takes small packets only: parts are cut smaller.
pub fn small_packets(programs: &Programs, voice: &Voice) -> Result<(), String> {
    let rules = "persistence false\nallow_anonymous true\nmax_packet_size 4096\n";
    let case = Case::new(programs, voice, Mosquitto::start(rules, &[])?, 4)?;
    let booth = case.home.start()?;
    case.all_arrive(&booth)
}

/// The broker drops what it cannot queue for the hub: a queue of a few messages, and three booths at once. It is made
/// good by `partial`.
pub fn small_queue(programs: &Programs, voice: &Voice) -> Result<(), String> {
    let rules =
        "persistence false\nallow_anonymous true\nmax_inflight_messages 4\nmax_queued_messages 8\n";
    let broker = Mosquitto::start(rules, &[])?;
    several_arrive(programs, voice, &broker)
}

/// The broker has little memory, and ends connections when it is used up.
pub fn little_memory(programs: &Programs, voice: &Voice) -> Result<(), String> {
    let rules = "persistence false\nallow_anonymous true\nmemory_limit 400000\n";
    let broker = Mosquitto::start(rules, &[])?;
    several_arrive(programs, voice, &broker)
}

fn several_arrive(programs: &Programs, voice: &Voice, broker: &Mosquitto) -> Result<(), String> {
    let hub_home = HubHome::new(programs, broker.port, "")?;
    let hub = hub_home.start()?;
    let mut homes = Vec::new();
    for number in 0..3 {
        let id = format!("queue-{number}");
        let home = BoothHome::new(programs, &id, broker.port, &Sound::none(), "")?;
        let clips = voice.fill(&home.spool(), &id, 1, 10)?;
        homes.push((home, clips));
    }
    let booths = homes
        .iter()
        .map(|(home, _)| home.start())
        .collect::<Result<Vec<_>, _>>()?;
    for ((home, _), booth) in homes.iter().zip(&booths) {
        wait_until_empty(home, booth).map_err(|why| format!("{why}; {}", hub.tail()))?;
    }
    let stored = Centre::open(&hub_home.store())?.check(None)?;
    for (_, clips) in &homes {
        Centre::holds(&stored, clips)?;
    }
    Ok(())
}

/// A clip that the hub rejects goes to quarantine, is shown to an operator on both sides, and holds nobody up.
pub fn poison(programs: &Programs, voice: &Voice) -> Result<(), String> {
    let mut case = Case::new(programs, voice, Mosquitto::open(false)?, 3)?;
    let poisoned = voice.fill_as(&case.home.spool(), &case.home.id, 24_000 * 400, 4, 1)?;
    let later = voice.fill(&case.home.spool(), &case.home.id, 5, 3)?;
    case.clips.extend(later);
    let booth = case.home.start()?;
    wait_until_empty(&case.home, &booth)?;
    raises(&booth, "clip_rejected")?;
    let centre = Centre::open(&case.hub_home.store())?;
    let stored = centre.check_bodies(None)?;
    Centre::holds(&stored, &case.clips)?;
    let id = &poisoned[0].clip_id;
    if stored.contains_key(id.as_str()) {
        return Err("the hub took the clip that it should refuse".into());
    }
    if case.home.files("quarantine") != [format!("{id}.clip")] {
        return Err(format!(
            "quarantine holds {:?}",
            case.home.files("quarantine")
        ));
    }
    wait_for("an operator sees the refused clip", || {
        let refused = centre.refused().ok()?;
        refused.iter().any(|(of, _)| of == id).then_some(())
    })
}

/// The hub is away while clips pile up and the gateway is started twice; then it comes, and everything arrives.
pub fn hub_away(programs: &Programs, voice: &Voice, clips: u64) -> Result<(), String> {
    let broker = Mosquitto::open(false)?;
    let home = BoothHome::new(programs, "patient-1", broker.port, &Sound::none(), "")?;
    let mut made = voice.fill(&home.spool(), &home.id, 1, clips / 2)?;
    let mut booth = home.start()?;
    booth.reaches("connected", 1)?;
    booth.reaches("spool_clips", clips / 2)?;
    booth.program.kill();
    made.extend(voice.fill(&home.spool(), &home.id, clips / 2 + 1, clips - clips / 2)?);
    let booth = home.start()?;
    booth.reaches("connected", 1)?;
    booth.reaches("spool_clips", clips)?;
    let hub_home = HubHome::new(programs, broker.port, "")?;
    let hub = hub_home.start()?;
    wait_until_empty(&home, &booth).map_err(|why| format!("{why}; {}", hub.tail()))?;
    let stored = Centre::open(&hub_home.store())?.check(None)?;
    Centre::holds(&stored, &made)
}
