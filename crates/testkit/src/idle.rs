//! Workers that nobody works for: the loop in a test's hands, and the other ends of what it tells them.
#![allow(dead_code)] // each test reads some of them

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use booth_contract::time::Mono;
use booth_gateway::adapters::capture::CaptureFigures;
use booth_gateway::adapters::outbox::{self, Outlet};
use booth_gateway::adapters::playback::PlaybackCommand;
use booth_gateway::adapters::prompts::Prompts;
use booth_gateway::adapters::recorder::RecorderCommand;
use booth_gateway::run::{
    Gateway, Happening, KeeperCommand, ReadCommand, ReadEvent, Speaker, Workers, post, read_message,
};

/// Words that a worker has not taken.
const PLACES: usize = 256;

/// What the loop tells each of them.
pub struct Told {
    pub recorder: Receiver<RecorderCommand>,
    pub earpiece: Receiver<PlaybackCommand>,
    pub keeper: Receiver<KeeperCommand>,
    pub reader: Receiver<ReadCommand>,
    pub mqtt: Outlet,
}

/// A booth with a broker and without mixer or updates.
pub fn workers(prompts: Arc<Prompts>, speaker: Arc<Mutex<Speaker>>) -> (Workers, Told) {
    let (recorder, to_recorder) = post(PLACES);
    let (earpiece, to_earpiece) = post(PLACES);
    let (keeper, to_keeper) = post(PLACES);
    let (reader, to_reader) = post(PLACES);
    let (mqtt, published) = outbox::pair();
    let workers = Workers {
        recorder,
        earpiece,
        keeper,
        reader,
        old_cards: None,
        sticks: None,
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
        reader: to_reader,
        mqtt: published,
    };
    (workers, told)
}

/// Reads what the loop has asked for, and tells it, until it asks for nothing more. True if it asked at all.
pub fn reads(told: &Told, gateway: &mut Gateway, now: Mono) -> bool {
    let mut has_asked = false;
    while let Ok(command) = told.reader.try_recv() {
        has_asked = true;
        gateway.happen(now, Happening::Reader(read(command)));
    }
    has_asked
}

/// What the reader answers.
pub fn read(command: ReadCommand) -> ReadEvent {
    match command {
        ReadCommand::Message { spool, send } => read_message(&spool, send),
        ReadCommand::Configuration => unreachable!("no SIGHUP"),
    }
}
