//! The gateway's loop in a test's hands: what it tells its workers, one happening at a time.
#![allow(clippy::disallowed_methods)]

#[path = "support/spool_rig.rs"]
mod rig;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

use booth_gateway::adapters::capture::{CaptureFigures, CaptureState};
use booth_gateway::adapters::handset::HandsetReport;
use booth_gateway::adapters::mqtt::{MqttCommand, MqttEvent};
use booth_gateway::adapters::playback::PlaybackEvent;
use booth_gateway::adapters::prompts::Prompts;
use booth_gateway::config::{self, Config};
use booth_gateway::gateway::session::HandsetEvent;
use booth_gateway::gateway::time::Mono;
use booth_gateway::run::{Gateway, Happening, KeeperEvent, Machine, Speaker, ThisMachine, Workers};
use rig::*;
use tokio::sync::mpsc::UnboundedSender;

const BOOTH: &str = "[booth]\nid = \"rundhoej-1\"\n[mqtt]\nurl = \"mqtt://broker:1883\"\n\
    [privacy]\nseal = false\n[[question]]\nid = \"q\"\ndigit = 1\nkind = \"speak\"\n";

/// Workers that nobody works for, with prompts from `dir`; their other ends have to be kept.
fn workers(dir: &Path, mqtt: UnboundedSender<MqttCommand>) -> (Workers, impl Sized) {
    let (recorder, to_recorder) = channel();
    let (earpiece, to_earpiece) = channel();
    let (keeper, to_keeper) = channel();
    let workers = Workers {
        recorder,
        earpiece,
        keeper,
        handset: None,
        view: Default::default(),
        mic_levels: Default::default(),
        mqtt: Some(mqtt),
        speaker: Arc::new(std::sync::Mutex::new(Speaker::default())),
        capture_figures: Arc::new(CaptureFigures::default()),
        mixer: None,
        update: None,
        prompts: Arc::new(Prompts::load(dir, "da", &[]).0),
        backend: "sim",
    };
    (workers, (to_recorder, to_earpiece, to_keeper))
}

#[test]
fn a_clip_finished_late_stays_home_while_a_citizen_is_at_the_booth() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, report) = open(dir.path());
    let config: Config = config::parse(BOOTH, "booth.toml").unwrap();
    let (mqtt, mut published) = tokio::sync::mpsc::unbounded_channel();
    let (workers, _ends) = workers(dir.path(), mqtt);
    let mut gateway = Gateway::new(config, Path::new("none"), Box::new(ThisMachine), workers);
    gateway.begin(Some((spool.clone(), report)));
    let now = ThisMachine.mono();
    let lift = |event| HandsetReport::Event {
        at: now,
        event,
        done: None,
    };
    let hub = MqttEvent::Incoming {
        topic: "booth/1/hub/state".into(),
        payload: b"{\"state\":\"online\",\"ts\":null}".to_vec(),
        correlation: None,
    };
    for happening in [
        Happening::Capture(CaptureState { works: Ok(()) }),
        Happening::Playback(PlaybackEvent::State { works: Ok(()) }),
        Happening::Handset(HandsetReport::Works(Ok(()))),
        Happening::Handset(HandsetReport::AtStart { off_hook: false }),
        Happening::Mqtt(MqttEvent::Connected { max_packet: None }),
        Happening::Mqtt(hub),
        Happening::Handset(lift(HandsetEvent::Lifted)),
    ] {
        gateway.happen(now, happening);
    }
    // As after a failed write: the spool hands the clip out late.
    let clip = record(&spool, 2);
    let topic = format!("booth/1/up/rundhoej-1/clip/{}", clip.clip_id);
    let mut leaves = |gateway: &mut Gateway, at: Mono| {
        gateway.turn(at);
        std::iter::from_fn(|| published.try_recv().ok()).any(
            |command| matches!(command, MqttCommand::Publish(message) if message.topic == topic),
        )
    };
    gateway.happen(now, Happening::Keeper(KeeperEvent::Mended(vec![clip])));
    assert!(!leaves(&mut gateway, now));
    gateway.happen(now, Happening::Handset(lift(HandsetEvent::HungUp)));
    assert!(leaves(&mut gateway, now));
}

#[test]
fn a_clip_that_was_spoken_at_another_booth_leaves_under_that_booths_name() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let clip = record(&spool, 2);
    drop(spool);
    // The card is another booth's now.
    let (spool, report) = open(dir.path());
    let text = BOOTH.replace("rundhoej-1", "torvet-2");
    let config: Config = config::parse(&text, "booth.toml").unwrap();
    let (mqtt, mut published) = tokio::sync::mpsc::unbounded_channel();
    let (workers, _ends) = workers(dir.path(), mqtt);
    let mut gateway = Gateway::new(config, Path::new("none"), Box::new(ThisMachine), workers);
    gateway.begin(Some((spool, report)));
    let now = ThisMachine.mono();
    gateway.happen(
        now,
        Happening::Mqtt(MqttEvent::Connected { max_packet: None }),
    );
    gateway.happen(
        now,
        Happening::Mqtt(MqttEvent::Incoming {
            topic: "booth/1/hub/state".into(),
            payload: b"{\"state\":\"online\",\"ts\":null}".to_vec(),
            correlation: None,
        }),
    );
    gateway.turn(now);
    let topic = format!("booth/1/up/torvet-2/clip/{}", clip.clip_id);
    let manifest =
        std::iter::from_fn(|| published.try_recv().ok()).find_map(|command| match command {
            MqttCommand::Publish(message) if message.topic == topic => Some(message.payload),
            _ => None,
        });
    let manifest: serde_json::Value = serde_json::from_slice(&manifest.expect("offered")).unwrap();
    assert_eq!(manifest["booth_id"], "rundhoej-1");
}
