//! What a booth is told: once at its start, and at each event.

use std::collections::BTreeMap;
use std::time::Duration;

use booth_contract::time::Timestamp;
use booth_contract::{CardId, ClipId};

use super::centre::CentreRules;
use super::resend::Back;
use super::updates::UpdateStage;
use crate::bell::{Bell, Ringing};
use crate::delivery::Offer;
use crate::microphone::{Heard, ToneTest};
use crate::orders::Remembered;
use crate::power::Supply;
use crate::rival::Loss;
use crate::session::{Input, PlayId};

/// What a booth is told once, by its configuration and its machine.
#[derive(Debug)]
pub struct Rules {
    /// How often health is said.
    pub health_every: Duration,
    /// How far the test of the microphone may close the booth.
    pub tone_test: ToneTest,
    /// The local minute of the nightly self-test.
    pub selftest_at: Option<u16>,
    /// When the bell may ring and when it rings by itself.
    pub bell: Bell,
    /// How it rings by its schedule, where it has one.
    pub scheduled_ringing: Option<Ringing>,
    /// A different number for each configuration.
    pub configuration: u64,
    /// The handset has a lamp and perhaps a bell; a simulated one has neither.
    pub has_lamp: bool,
    /// How it deals with the centre.
    pub centre: CentreRules,
}

/// What is true around the booth when something happens.
#[derive(Debug, Clone)]
pub struct Around {
    /// The wall clock, right or wrong.
    pub wall: Timestamp,
    /// Whether it is synchronised.
    pub clock_synced: bool,
    /// The local day by the wall clock, days since 1970-01-01.
    pub local_day: i64,
    /// The local minute of the day by the wall clock.
    pub local_minute: u16,
    /// How loud it is when nobody speaks, dB below full scale, where the microphone was heard.
    pub microphone_floor_dbfs: Option<f64>,
    /// The spool is open.
    pub has_spool: bool,
    /// Nothing that was said still waits for the broker.
    pub is_all_sent: bool,
}

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// Time has gone by: what is due is done.
    Turn,
    /// Somebody looks: the evidence is to be fresh.
    Weigh,
    /// For the visit.
    Visit(Input),
    /// A play ended in the earpiece.
    PlayEnded(PlayId),
    /// The connection stands; the broker takes packets of at most this many bytes.
    Connected {
        /// MQTT 5 §3.2.2.3.6.
        max_packet: Option<u32>,
    },
    /// The connection is gone, or an attempt has failed: [`Command::ConnectAgain`](super::Command::ConnectAgain).
    Disconnected {
        /// Why.
        why: String,
        /// How, as far as it says something of another device in this booth's name.
        loss: Loss,
    },
    /// The broker brings a message: of the centre, or what stands in this booth's own state.
    Incoming {
        /// On this topic.
        topic: String,
        /// This.
        payload: Vec<u8>,
        /// Correlation Data (MQTT 5 §3.3.2.3.6).
        correlation: Option<Vec<u8>>,
    },
    /// The findings of a self-test, as the answer to whoever asked for one.
    Tested(serde_json::Value),
    /// The configuration was read again, or why it stays as it was.
    Reloaded(Result<(), String>),
    /// An update has moved on.
    UpdateIs(UpdateStage),
    /// Nobody works on the update any longer (true), or somebody does again.
    UpdateLeft(bool),
    /// A request for an update was left for the updater, or why not.
    UpdateRequested(Result<(), String>),
    /// What became of clips that were to leave quarantine.
    BroughtBack(Vec<(ClipId, Back)>),
    /// The card has the memory of the centre's commands, or why not.
    Remembered(Result<Box<Remembered>, String>),
    /// A clip was given up: its number, and what declares it void; or why not.
    Purged {
        /// The clip.
        clip_id: ClipId,
        /// How that ended.
        result: Result<(u64, Offer), String>,
    },
    /// The machine was asked to restart, or cannot be.
    RestartAsked(Result<(), String>),
    /// The recorder says what the microphone heard.
    Heard(Heard),
    /// The recorder has no room for that question.
    NotHeard,
    /// The card took a write, or why not.
    Probed(Result<(), String>),
    /// The keeper has no room for that question.
    NotProbed,
    /// A citizen's message was kept; somebody speaks in it, or not.
    Recorded {
        /// Somebody does.
        has_speech: bool,
    },
    /// A citizen's message that a failed write had left unfinished was kept after all.
    KeptLate,
    /// The supply voltage.
    Supply(Supply),
    /// The spool was opened.
    SpoolOpened {
        /// What the card remembers.
        saved: BTreeMap<String, u64>,
        /// The card's id.
        card_id: CardId,
        /// How often the machine has started with this card.
        boot_count: u64,
        /// The card was only closed.
        is_known: bool,
        /// A watchdog's reset was the reason for this boot.
        watchdog_reset: bool,
        /// When the card was first seen, where that is a time.
        first_seen: Option<Timestamp>,
        /// What it remembers of the centre's commands.
        memory: Box<Remembered>,
    },
    /// The configuration was read again.
    Configured {
        /// How often health is said.
        health_every: Duration,
        /// How many questions are open.
        questions: usize,
        /// A tone stands in for the notice.
        notice_missing: bool,
    },
}
