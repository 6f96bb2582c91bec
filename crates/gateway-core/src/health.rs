//! Can a citizen speak now, and if not, why: a verdict from evidence, never from "the process is up".
//!
//! Owns: which evidence raises which alert, and since when each is raised. Never does: measure anything.

use std::collections::BTreeMap;
use std::time::Duration;

use super::partition::{self, Partition};
use super::power::Power;
use booth_contract::time::{Mono, Timestamp, rfc3339};
use booth_contract::{AlertId, Severity};

/// How long a booth may be without a broker before it is reported to operations. Back-off ends at 15 s, so a broker that can
/// be reached is found well before.
const UNCONNECTED: Duration = Duration::from_secs(60);

/// How long a booth may be without synchronised time before it is reported to operations.
const CLOCK_UNSET: Duration = Duration::from_secs(3600);

/// How long after the start the handset may be off its hook before somebody should look.
const NEVER_ON_HOOK: Duration = Duration::from_secs(15 * 60);

/// A certificate that ends within fewer days is reported: time enough for the next round of visits.
const CERTIFICATE_DAYS: i64 = 21;

/// A city's key whose last day is within as many days is reported: time enough to make another one and name it to every booth.
const KEY_DAYS: i64 = 30;

/// One thing that works, or the sentence that says why not.
pub type Works = Result<(), String>;

/// What is known about the booth at one moment.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// Microphone frames arrive.
    pub capture: Works,
    /// The earpiece can be played to.
    pub playback: Works,
    /// The spool takes another clip.
    pub spool: Result<(), SpoolFault>,
    /// The hook switch can be read.
    pub handset: Works,
    /// The session machine has reported that the handset lies beside its hook, and not yet that it was hung up.
    pub left_off: bool,
    /// The handset was on its hook at least once.
    pub hook_was_on: bool,
    /// How many questions are open.
    pub questions: usize,
    /// Why none is, where that is known.
    pub why_no_question: Option<String>,
    /// The broker: connected, or why not and since when.
    pub broker: Result<(), (Mono, String)>,
    /// Messages must be sealed, and no key is named to seal them to.
    pub no_recipient: bool,
    /// A tone stands in for the notice.
    pub notice_missing: bool,
    /// What was found damaged and moved aside at the start.
    pub damaged: Option<String>,
    /// The wall clock is synchronised.
    pub clock_synced: bool,
    /// When the daemon started.
    pub started: Mono,
    /// The delivery machine's alerts.
    pub delivery: BTreeMap<AlertId, String>,
    /// Why the hub's state message cannot be read; `None` once it can.
    pub hub_unreadable: Option<String>,
    /// The processor is too hot, where the machine knows.
    pub too_hot: bool,
    /// What is known of the supply voltage.
    pub power: Power,
    /// The certificate that ends first, where there is one and the day is known.
    pub certificate: Option<Certificate>,
    /// The city's key to which the booth seals, where the last day of its use is known.
    pub key: Option<KeyLife>,
    /// The card was in another machine before: a sentence.
    pub hardware_changed: Option<String>,
    /// Operations that the card refused since the start, and errors that the kernel has noted about its file system.
    pub disk_errors: u64,
    /// Why somebody should look at the microphone.
    pub microphone_suspect: Option<String>,
    /// Why nobody may be invited to speak into the microphone.
    pub microphone_dead: Option<String>,
    /// A technician has closed the card to take it out.
    pub card_closed: bool,
    /// The centre empties the booth.
    pub draining: bool,
    /// Which contacts beside the hook switch do not work, a sentence each.
    pub controls: Vec<String>,
    /// Which keys nobody presses, and what they do.
    pub stuck_keys: Option<String>,
    /// No digit of the keypad counts: nobody can choose a question.
    pub no_digit_counts: bool,
    /// Which settings of the sound card's mixer could not be made, a sentence each.
    pub mixer: Vec<String>,
    /// The case is open.
    pub case_open: bool,
    /// The card's data partition, where the image says what it found.
    pub partition: Option<Partition>,
    /// Where a card is sent to.
    pub contact: String,
}

/// A certificate that the connection to the broker depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its file.
    pub file: String,
    /// The day on which it ends, RFC 3339 UTC.
    pub ends: String,
    /// Whole days until then; negative once it has ended.
    pub days_left: i64,
}

impl Certificate {
    /// The number of days is not in the sentence: a sentence that changes is a new alert.
    fn sentence(&self) -> String {
        let ends = if self.days_left < 0 { "ended" } else { "ends" };
        format!("The certificate in {} {ends} on {}.", self.file, self.ends)
    }
}

/// How long the city's key is to be in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLife {
    /// Its last day, `YYYY-MM-DD`.
    pub until: String,
    /// Whole days until the end of that day; negative afterwards.
    pub days_left: i64,
}

impl KeyLife {
    /// The number of days is not in the sentence: a sentence that changes is a new alert.
    fn sentence(&self) -> String {
        let is = if self.days_left < 0 { "was" } else { "is" };
        format!("The last day of the city's key {is} {}.", self.until)
    }
}

/// Why the spool does not take another clip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpoolFault {
    /// No room.
    Full(String),
    /// Not writable.
    Unwritable(String),
}

/// The booth's three working parts, as the session machine needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Frames arrive from the microphone.
    pub capture: bool,
    /// The earpiece works.
    pub playback: bool,
    /// The spool takes another clip.
    pub spool: bool,
}

impl Evidence {
    /// What is known at the start: nothing works yet.
    pub fn at_start(started: Mono) -> Self {
        Self {
            capture: Err("the microphone has not been heard yet".into()),
            playback: Err("the earpiece has not been tried yet".into()),
            spool: Err(SpoolFault::Unwritable("the spool is not open".into())),
            handset: Err("the handset has not been read yet".into()),
            left_off: false,
            hook_was_on: false,
            questions: 0,
            why_no_question: None,
            broker: Err((started, "not connected yet".into())),
            no_recipient: false,
            notice_missing: false,
            damaged: None,
            clock_synced: false,
            started,
            delivery: BTreeMap::new(),
            hub_unreadable: None,
            too_hot: false,
            power: Power::default(),
            certificate: None,
            key: None,
            hardware_changed: None,
            disk_errors: 0,
            microphone_suspect: None,
            microphone_dead: None,
            card_closed: false,
            draining: false,
            controls: Vec::new(),
            stuck_keys: None,
            no_digit_counts: false,
            mixer: Vec::new(),
            case_open: false,
            partition: None,
            contact: String::new(),
        }
    }

    /// The parts a session needs.
    pub fn parts(&self) -> Parts {
        Parts {
            capture: self.capture.is_ok() && self.microphone_dead.is_none(),
            playback: self.playback.is_ok(),
            spool: self.spool.is_ok()
                && !self.card_closed
                && !self.draining
                && !self.lacks_partition()
                && !self.no_recipient,
        }
    }

    /// Whether there is no data partition: everything that is then written is only in RAM.
    pub fn lacks_partition(&self) -> bool {
        matches!(self.partition, Some(Partition::Missing(_)))
    }

    /// Every alert that the evidence raises, with its sentence.
    pub fn faults(&self, now: Mono) -> BTreeMap<AlertId, String> {
        let mut faults = self.delivery.clone();
        let mut raise = |id: AlertId, text: String| {
            faults.insert(id, text);
        };
        if let Err(why) = &self.capture {
            raise(AlertId::CaptureLost, why.clone());
        }
        if let Err(why) = &self.playback {
            raise(AlertId::PlaybackLost, why.clone());
        }
        match &self.spool {
            Ok(()) => {}
            // The alert for the closed card or the missing partition says it already, with its remedy.
            Err(_) if self.card_closed || self.lacks_partition() => {}
            Err(SpoolFault::Full(why)) => raise(AlertId::SpoolFull, why.clone()),
            Err(SpoolFault::Unwritable(why)) => raise(AlertId::SpoolUnwritable, why.clone()),
        }
        match &self.partition {
            Some(Partition::Missing(why)) => {
                raise(AlertId::DataPartitionMissing, partition::missing(why));
            }
            Some(Partition::MovedAside(why)) => {
                let text = partition::moved_aside(why, &self.contact);
                raise(AlertId::DataPartitionMovedAside, text);
            }
            Some(Partition::Sound | Partition::Repaired(_)) | None => {}
        }
        if let Err(why) = &self.handset {
            raise(AlertId::HandsetFailed, why.clone());
        }
        if !self.controls.is_empty() {
            raise(AlertId::ControlsFaulty, self.controls.join("; "));
        }
        if let Some(why) = &self.stuck_keys {
            raise(AlertId::KeyStuck, why.clone());
        }
        if self.no_digit_counts && self.handset.is_ok() {
            let why = "no digit of the keypad counts; dry and clean it, or swap it";
            raise(AlertId::HandsetFailed, why.into());
        }
        if !self.mixer.is_empty() {
            raise(AlertId::MixerFaulty, self.mixer.join("; "));
        }
        if self.case_open {
            raise(AlertId::CaseOpen, AlertId::CaseOpen.meaning().into());
        }
        if self.left_off {
            raise(
                AlertId::HandsetLeftOff,
                AlertId::HandsetLeftOff.meaning().into(),
            );
        }
        if !self.hook_was_on && now.since(self.started) >= NEVER_ON_HOOK {
            raise(AlertId::HookNeverOn, AlertId::HookNeverOn.meaning().into());
        }
        if self.questions == 0 {
            let why = self.why_no_question.as_deref();
            let why = why.unwrap_or(AlertId::NoQuestion.meaning());
            raise(AlertId::NoQuestion, why.into());
        }
        if let Err((since, why)) = &self.broker
            && now.since(*since) >= UNCONNECTED
        {
            raise(AlertId::NotConnected, why.clone());
        }
        if self.no_recipient {
            raise(AlertId::NoRecipient, AlertId::NoRecipient.meaning().into());
        }
        if let Some(why) = &self.hub_unreadable {
            let meaning = AlertId::HubUnreadable.meaning().trim_end_matches('.');
            raise(AlertId::HubUnreadable, format!("{meaning}: {why}."));
        }
        if self.notice_missing {
            raise(
                AlertId::PromptMissing,
                AlertId::PromptMissing.meaning().into(),
            );
        }
        if let Some(what) = &self.damaged {
            raise(AlertId::SpoolDamaged, what.clone());
        }
        if !self.clock_synced && now.since(self.started) >= CLOCK_UNSET {
            raise(AlertId::ClockUnset, AlertId::ClockUnset.meaning().into());
        }
        if self.too_hot {
            // No number in the sentence: a sentence that changes is a new alert.
            raise(AlertId::Temperature, AlertId::Temperature.meaning().into());
        }
        if let Some(text) = &self.hardware_changed {
            raise(AlertId::HardwareChanged, text.clone());
        }
        if let Some(why) = &self.microphone_suspect {
            raise(AlertId::MicrophoneSilent, why.clone());
        }
        if let Some(why) = &self.microphone_dead {
            raise(AlertId::MicrophoneDead, why.clone());
        }
        if self.card_closed {
            raise(AlertId::CardClosed, AlertId::CardClosed.meaning().into());
        }
        if self.draining {
            raise(AlertId::Draining, AlertId::Draining.meaning().into());
        }
        if self.disk_errors > 0 && !self.delivery.contains_key(&AlertId::DiskErrors) {
            // No count in the sentence: a sentence that changes is a new alert.
            raise(AlertId::DiskErrors, AlertId::DiskErrors.meaning().into());
        }
        if let Some(why) = self.power.fault(now) {
            raise(AlertId::Power, why);
        }
        if let Some(certificate) = &self.certificate
            && certificate.days_left < CERTIFICATE_DAYS
        {
            raise(AlertId::CertExpiring, certificate.sentence());
        }
        if let Some(key) = &self.key
            && key.days_left < KEY_DAYS
        {
            raise(AlertId::KeyExpiring, key.sentence());
        }
        faults
    }
}

/// Whether a citizen can speak now: nothing is raised that prevents it.
pub fn is_ready(faults: &BTreeMap<AlertId, String>) -> bool {
    faults
        .keys()
        .all(|id| id.severity() != Severity::CitizenCannotSpeak)
}

/// One change that operations must see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertChange {
    /// Publish it, or publish its new text.
    Raise(AlertId),
    /// Publish the empty payload.
    Clear(AlertId),
}

/// One raised alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    /// RFC 3339 UTC, when it was raised.
    pub since: String,
    /// Whether that time can be believed.
    pub clock_synced: bool,
    /// The sentence for operations.
    pub text: String,
}

/// What is raised now, and since when.
#[derive(Debug, Clone, Default)]
pub struct AlertBook {
    raised: BTreeMap<AlertId, Raised>,
}

impl AlertBook {
    /// Takes over the faults found now, at `wall`, and returns what changed.
    pub fn take(
        &mut self,
        faults: &BTreeMap<AlertId, String>,
        wall: Timestamp,
        clock_synced: bool,
    ) -> Vec<AlertChange> {
        let mut changes = Vec::new();
        self.raised.retain(|id, _| {
            let stays = faults.contains_key(id);
            if !stays {
                changes.push(AlertChange::Clear(*id));
            }
            stays
        });
        for (id, text) in faults {
            match self.raised.get_mut(id) {
                Some(raised) if raised.text == *text => {}
                Some(raised) => {
                    raised.text = text.clone();
                    changes.push(AlertChange::Raise(*id));
                }
                None => {
                    self.raised.insert(
                        *id,
                        Raised {
                            since: rfc3339(wall),
                            clock_synced,
                            text: text.clone(),
                        },
                    );
                    changes.push(AlertChange::Raise(*id));
                }
            }
        }
        changes
    }

    /// One raised alert.
    pub fn get(&self, id: AlertId) -> Option<&Raised> {
        self.raised.get(&id)
    }

    /// How many are raised.
    pub fn len(&self) -> usize {
        self.raised.len()
    }

    /// Whether none is raised.
    pub fn is_empty(&self) -> bool {
        self.raised.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Evidence {
        Evidence {
            capture: Ok(()),
            playback: Ok(()),
            spool: Ok(()),
            handset: Ok(()),
            hook_was_on: true,
            questions: 1,
            broker: Ok(()),
            clock_synced: true,
            ..Evidence::at_start(Mono(0))
        }
    }

    #[test]
    fn a_key_whose_last_day_is_near_is_told_in_time_and_keeps_nobody_from_speaking() {
        let with = |days_left: i64| {
            let key = KeyLife {
                until: "2027-03-31".into(),
                days_left,
            };
            let evidence = Evidence {
                key: Some(key),
                ..sound()
            };
            evidence.faults(Mono(10_000_000))
        };
        assert!(with(30).is_empty());
        for (days_left, says) in [(29, "is 2027-03-31"), (0, "is"), (-1, "was"), (-400, "was")] {
            let faults = with(days_left);
            assert!(
                faults[&AlertId::KeyExpiring].contains(says),
                "{days_left}: {faults:?}"
            );
            assert!(is_ready(&faults));
        }
        // A text that changes every day would be a new alert every day.
        assert_eq!(with(29), with(3));
    }

    #[test]
    fn a_sound_booth_raises_nothing_and_is_ready() {
        let faults = sound().faults(Mono(10_000_000));
        assert!(faults.is_empty(), "{faults:?}");
        assert!(is_ready(&faults));
    }

    #[test]
    fn whatever_makes_a_booth_unready_is_named_by_an_alert() {
        let broken: [fn(&mut Evidence); 11] = [
            |e| {
                // Even if the spool works: without a partition it writes to RAM.
                e.partition = Some(Partition::Missing("the card is too small".into()));
            },
            |e| e.microphone_dead = Some("no tone".into()),
            |e| e.card_closed = true,
            |e| e.draining = true,
            |e| e.capture = Err("no frames".into()),
            |e| e.playback = Err("no card".into()),
            |e| e.spool = Err(SpoolFault::Full("no room".into())),
            |e| e.spool = Err(SpoolFault::Unwritable("read-only".into())),
            |e| e.handset = Err("no line".into()),
            |e| e.no_digit_counts = true,
            |e| e.left_off = true,
        ];
        for breaks in broken {
            let mut evidence = sound();
            breaks(&mut evidence);
            let faults = evidence.faults(Mono(1));
            assert!(!is_ready(&faults));
            assert_eq!(faults.len(), 1);
            // A spool that cannot be opened either gives no second sentence.
            if evidence.lacks_partition() {
                evidence.spool = Err(SpoolFault::Unwritable("read-only".into()));
                assert_eq!(evidence.faults(Mono(1)).len(), 1);
                assert!(!evidence.parts().spool);
            }
        }
    }

    #[test]
    fn what_wants_a_visit_is_told_and_citizens_can_speak() {
        type Change = fn(&mut Evidence);
        let wants: [(Change, AlertId); 8] = [
            (
                |e| e.hub_unreadable = Some("no state".into()),
                AlertId::HubUnreadable,
            ),
            (
                |e| e.partition = Some(Partition::MovedAside("before sector 8".into())),
                AlertId::DataPartitionMovedAside,
            ),
            (|e| e.case_open = true, AlertId::CaseOpen),
            (
                |e| e.controls = vec!["the dial stands in mid-turn".into()],
                AlertId::ControlsFaulty,
            ),
            (
                |e| e.stuck_keys = Some("key 5 stays pressed".into()),
                AlertId::KeyStuck,
            ),
            (
                |e| e.microphone_suspect = Some("no speech".into()),
                AlertId::MicrophoneSilent,
            ),
            (|e| e.disk_errors = 1, AlertId::DiskErrors),
            (
                |e| e.hardware_changed = Some("another machine".into()),
                AlertId::HardwareChanged,
            ),
        ];
        for (change, id) in wants {
            let mut evidence = sound();
            change(&mut evidence);
            let faults = evidence.faults(Mono(1));
            assert!(is_ready(&faults));
            assert_eq!(faults.keys().collect::<Vec<_>>(), [&id]);
        }
    }

    #[test]
    fn a_lost_broker_is_told_but_citizens_can_speak() {
        let mut evidence = sound();
        evidence.broker = Err((Mono(0), "connection refused".into()));
        assert!(evidence.faults(Mono(59_999)).is_empty());
        let faults = evidence.faults(Mono(60_000));
        assert_eq!(faults[&AlertId::NotConnected], "connection refused");
        assert!(is_ready(&faults));
    }

    #[test]
    fn alerts_keep_their_first_time_and_are_told_once() {
        let mut book = AlertBook::default();
        let faults = BTreeMap::from([(AlertId::SpoolFull, "full".to_owned())]);
        let at = |second| Timestamp::from_second(second).expect("a time");
        assert_eq!(
            book.take(&faults, at(1_800_000_000), true),
            [AlertChange::Raise(AlertId::SpoolFull)]
        );
        assert_eq!(book.take(&faults, at(1_800_000_001), true), []);
        assert_eq!(
            book.get(AlertId::SpoolFull).expect("raised").since,
            "2027-01-15T08:00:00.000Z"
        );
        assert_eq!(
            book.take(&BTreeMap::new(), at(1_800_000_002), true),
            [AlertChange::Clear(AlertId::SpoolFull)]
        );
        assert!(book.is_empty());
    }
}
