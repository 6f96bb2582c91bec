//! The table of alerts (contract §3.5). `docs/alerts.md` is written from it.

use serde::{Deserialize, Serialize};

use super::reading::lenient;
use super::{CardId, Session};

/// Longest sentence of an alert that is read, in characters.
const LONGEST_TEXT: usize = 500;

/// How bad an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The booth cannot take messages.
    CitizenCannotSpeak,
    /// Somebody has to go there.
    NeedsVisit,
    /// Worth watching.
    Watch,
}

macro_rules! alerts {
    ($( $variant:ident = $id:literal, $severity:ident, $meaning:literal, $remedy:literal; )*) => {
        /// One alert of the fixed table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum AlertId {
            $( #[doc = $meaning] $variant, )*
        }

        impl AlertId {
            /// The whole table, in its order.
            pub const ALL: &'static [AlertId] = &[ $( AlertId::$variant, )* ];

            /// The id in the topic.
            pub fn as_str(self) -> &'static str {
                match self { $( AlertId::$variant => $id, )* }
            }

            /// How bad it is.
            pub fn severity(self) -> Severity {
                match self { $( AlertId::$variant => Severity::$severity, )* }
            }

            /// What it means, one sentence.
            pub fn meaning(self) -> &'static str {
                match self { $( AlertId::$variant => $meaning, )* }
            }

            /// What to do about it, one sentence.
            pub fn remedy(self) -> &'static str {
                match self { $( AlertId::$variant => $remedy, )* }
            }
        }
    };
}

alerts! {
    CaptureLost = "capture_lost", CitizenCannotSpeak,
        "No sound arrives from the microphone's sound card.",
        "Check the sound card's plug, or the sound server (`pactl info`) where `[audio] input` names no card; the booth looks for it again by itself every few seconds.";
    PlaybackLost = "playback_lost", CitizenCannotSpeak,
        "The earpiece cannot be played to.",
        "Check the sound card's plug, or the sound server, and `[audio] output` in booth.toml.";
    MicrophoneDead = "microphone_dead", CitizenCannotSpeak,
        "The self-test says that the microphone hears nothing.",
        "Check the microphone capsule, its cable and the sound card; the booth tests itself every 10 minutes and opens again by itself.";
    SpoolFull = "spool_full", CitizenCannotSpeak,
        "The card has no room for another message.",
        "Restore the connection so that clips can leave, or swap the card; unsent clips are never overwritten.";
    SpoolUnwritable = "spool_unwritable", CitizenCannotSpeak,
        "The spool cannot be written: the file system is read-only, or writing fails.",
        "Swap the card; the clips on it can be imported at the centre.";
    DataPartitionMissing = "data_partition_missing", CitizenCannotSpeak,
        "The card's data partition cannot be used, so that nothing can be kept.",
        "Swap the card; do not format it, messages may lie on it: send it to whoever runs the booth.";
    CardClosed = "card_closed", CitizenCannotSpeak,
        "A technician has closed the card to take it out.",
        "Take the card out with the power off; left in, the booth opens it again after 10 minutes.";
    Draining = "draining", CitizenCannotSpeak,
        "The centre empties this booth, so that its card can be changed; nobody is invited to speak.",
        "Nothing: the booth takes messages again by itself when the minutes of `cmd/drain` are over; `cmd/drain` with 0 minutes ends it at once.";
    HandsetFailed = "handset_failed", CitizenCannotSpeak,
        "The hook switch cannot be read.",
        "Check `[handset]` in booth.toml, the wiring, and that no other program holds the line.";
    ControlsFaulty = "controls_faulty", NeedsVisit,
        "The dial, the keypad, a button or the lamp does not work.",
        "Free the dial; else check its lines in `[handset]` of booth.toml and the wiring.";
    KeyStuck = "key_stuck", NeedsVisit,
        "A key stays pressed, or repeats by itself; its presses do not count, and the other keys do.",
        "Dry and clean the keypad, and check its seal, its cable and whether something lies on it; the key counts again by itself once it has been open for 10 seconds.";
    MixerFaulty = "mixer_faulty", NeedsVisit,
        "A control of the sound card's mixer could not be set as booth.toml wants it.",
        "Run `booth-gateway doctor`: it names the controls that this card has; correct `[audio]` in booth.toml.";
    CaseOpen = "case_open", NeedsVisit,
        "The booth's case is open.",
        "Close it; if nobody is working there, somebody has broken in.";
    HandsetLeftOff = "handset_left_off", CitizenCannotSpeak,
        "The handset has been off its hook for more than 15 minutes.",
        "Somebody nearby can hang it up; the booth recovers by itself.";
    NoQuestion = "no_question", CitizenCannotSpeak,
        "No question is open at this booth.",
        "Publish a campaign (`booth-hub campaign`) or add a [[question]] to booth.toml, unless the text says when the booth invites again.";
    NoRecipient = "no_recipient", CitizenCannotSpeak,
        "No key of the city is known, so that nothing can be sealed; the booth takes no messages.",
        "Put the city's public key (age1…, from `booth-hub keys new`) into `[privacy] recipients` of booth.toml, and start the booth again.";
    NotConnected = "not_connected", NeedsVisit,
        "The booth records and keeps, but reaches no broker.",
        "Check `[mqtt] url`, the network, the password and the certificates; the text says what failed.";
    HubNotListening = "hub_not_listening", Watch,
        "The broker has no subscriber for this booth's clips; they are kept on the card.",
        "Start booth-hub, or check its broker login and its root topic.";
    HubUnreadable = "hub_unreadable", Watch,
        "What the hub says of itself cannot be read; until it can, the hub counts as it did before.",
        "Update the booth or the hub, so that each understands the other; see what else publishes on hub/state. The text says what cannot be read.";
    PromptMissing = "prompt_missing", NeedsVisit,
        "The notice that citizens must hear is missing; a tone stands in for it.",
        "Put notice.opus or notice.wav into the folder prompts/<language>.";
    MicrophoneSilent = "microphone_silent", NeedsVisit,
        "Recordings hold no speech, or the self-test does not hear its tone.",
        "Call the booth's handset service, check the microphone capsule and its wiring; where the microphone cannot hear the earpiece set `[selftest] tone = \"off\"`.";
    HookNeverOn = "hook_never_on", NeedsVisit,
        "The handset has not been on its hook since the start.",
        "Hang it up, or check `hook.off_hook` and the hook switch's wiring.";
    SpoolDamaged = "spool_damaged", NeedsVisit,
        "Something in the spool could not be read and was moved aside.",
        "Swap the card soon and import the old one at the centre.";
    DataPartitionMovedAside = "data_partition_moved_aside", NeedsVisit,
        "The card's data partition was beyond repair; it lies untouched on the card, and a new one beside it.",
        "Swap the card; do not format it: send it to whoever runs the booth, who can look for messages where the text says.";
    ClipRejected = "clip_rejected", NeedsVisit,
        "The hub refused a clip; it is kept in quarantine on the card.",
        "See the hub's log for the reason; the booth offers it again by itself to a hub of another version or limits, or at once after cmd/resend.";
    ClipRefusedByBroker = "clip_refused_by_broker", NeedsVisit,
        "The broker refuses this booth's clips; they are kept on the card.",
        "Check the broker's access rules and limits; the text says which reason it gave.";
    ClockUnset = "clock_unset", Watch,
        "The clock has not been synchronised since the start.",
        "Check that time synchronisation is reachable; clips are kept in order without it.";
    CertExpiring = "cert_expiring", NeedsVisit,
        "The certificate that the connection to the broker stands on ends soon, or has ended.",
        "Put a new certificate into the file that the text names, before the booth can no longer connect.";
    KeyExpiring = "key_expiring", Watch,
        "The last day of the city's key to which this booth seals is near, or over; messages are sealed to it all the same.",
        "Make a new key (`booth-hub keys new`) and name it to the booths by the signed command `recipients`, or in `[privacy]` of booth.toml with its `key_until`.";
    DuplicateIdentity = "duplicate_identity", NeedsVisit,
        "Another device uses this booth's id at the broker.",
        "Find the second card with this booth's id and give it its own.";
    HardwareChanged = "hardware_changed", Watch,
        "This card runs in another machine than before.",
        "Nothing, if the machine was swapped on purpose.";
    DiskErrors = "disk_errors", NeedsVisit,
        "The card reports errors.",
        "Swap the card.";
    Power = "power", NeedsVisit,
        "The supply voltage is too low.",
        "Check the power supply and its cable.";
    Temperature = "temperature", Watch,
        "The processor is too hot.",
        "Check the booth's ventilation.";
}

impl AlertId {
    /// The alert of this name, if the table has it.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|id| id.as_str() == text)
    }
}

/// Payload of `{root}/up/{booth}/alert/{id}`; an empty payload clears the alert. The reader needs no field of it: the topic says
/// which alert is raised, and the table says the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names are the contract's own
pub struct Alert {
    #[serde(default, deserialize_with = "lenient")]
    pub id: String,
    #[serde(default, deserialize_with = "lenient")]
    pub severity: Option<Severity>,
    #[serde(default, deserialize_with = "lenient")]
    pub since: String,
    #[serde(default, deserialize_with = "lenient")]
    pub clock_synced: u8,
    #[serde(default, deserialize_with = "lenient")]
    pub text: String,
    #[serde(default, deserialize_with = "lenient")]
    pub session: Option<Session>,
    #[serde(default, deserialize_with = "lenient")]
    pub card_id: CardId,
}

impl Alert {
    /// How bad it is: as the booth says, else as the table says of this id; the mildest where neither does.
    pub fn severity_of(&self, id: &str) -> Severity {
        let of_the_table = AlertId::parse(id).map(AlertId::severity);
        self.severity.or(of_the_table).unwrap_or(Severity::Watch)
    }

    /// Its sentence: as the booth says, else as the table says of this id.
    pub fn sentence(&self, id: &str) -> String {
        match (self.text.is_empty(), AlertId::parse(id)) {
            (false, _) => self.text.chars().take(LONGEST_TEXT).collect(),
            (true, Some(id)) => id.meaning().to_owned(),
            (true, None) => id.to_owned(),
        }
    }
}
