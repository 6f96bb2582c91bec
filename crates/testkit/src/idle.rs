//! Workers that nobody works for: the loop in a test's hands, and the other ends of what it tells them.
#![allow(dead_code)] // each test reads some of them

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use booth_gateway::adapters::capture::CaptureFigures;
use booth_gateway::adapters::outbox::{self, Outlet};
use booth_gateway::adapters::playback::PlaybackCommand;
use booth_gateway::adapters::prompts::Prompts;
use booth_gateway::adapters::recorder::RecorderCommand;
use booth_gateway::run::{KeeperCommand, Speaker, Workers, post};

/// Words that a worker has not taken.
const PLACES: usize = 256;

/// What the loop tells each of them.
pub struct Told {
    pub recorder: Receiver<RecorderCommand>,
    pub earpiece: Receiver<PlaybackCommand>,
    pub keeper: Receiver<KeeperCommand>,
    pub mqtt: Outlet,
}

/// A booth with a broker and without mixer or updates.
pub fn workers(prompts: Arc<Prompts>, speaker: Arc<Mutex<Speaker>>) -> (Workers, Told) {
    let (recorder, to_recorder) = post(PLACES);
    let (earpiece, to_earpiece) = post(PLACES);
    let (keeper, to_keeper) = post(PLACES);
    let (mqtt, published) = outbox::pair();
    let workers = Workers {
        recorder,
        earpiece,
        keeper,
        handset: None,
        view: Default::default(),
        mic_levels: Default::default(),
        mqtt: Some(mqtt),
        speaker,
        capture_figures: Arc::new(CaptureFigures::default()),
        mixer: None,
        update: None,
        prompts,
        backend: "sim",
    };
    let told = Told {
        recorder: to_recorder,
        earpiece: to_earpiece,
        keeper: to_keeper,
        mqtt: published,
    };
    (workers, told)
}
