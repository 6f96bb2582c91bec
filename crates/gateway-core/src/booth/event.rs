//! What a booth is told: once at its start, and at each event.

use std::collections::BTreeMap;
use std::time::Duration;

use booth_contract::time::Timestamp;

use crate::bell::{Bell, Ringing};
use crate::microphone::{Heard, ToneTest};
use crate::power::Supply;
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
    /// The connection is gone.
    Disconnected {
        /// Why.
        why: String,
        /// Another device has taken it over.
        taken_over: bool,
    },
    /// The hub says whether it is there. An introduction to a hub that has come waits for `wait`, by chance.
    HubSays {
        /// It is.
        is_online: bool,
        /// The booth's turn.
        wait: Duration,
    },
    /// Somebody wants an introduction.
    AskedToIntroduce,
    /// Somebody wants a self-test.
    AskedToTest,
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
    /// The supply voltage.
    Supply(Supply),
    /// The spool was opened.
    SpoolOpened {
        /// What the card remembers.
        saved: BTreeMap<String, u64>,
        /// How often the machine has started with this card.
        boot_count: u64,
        /// The card was only closed.
        is_known: bool,
        /// A watchdog's reset was the reason for this boot.
        watchdog_reset: bool,
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
