//! The sound card: found by its name, opened at 48 kHz, mono or stereo, its frames, its mixer.
//!
//! Owns: the verdicts. Never does: open a card that a gateway holds, or set a control.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::adapters::capture::{self, CaptureFigures};
use crate::adapters::ear::MicLevels;
use crate::adapters::handset::HandsetView;
use crate::adapters::mixer::MixerError;
use crate::adapters::playback::{Earpiece, PlaybackEvent};
use crate::adapters::prompts::Prompts;
use crate::adapters::sound_error::SoundError;
use crate::adapters::{mixer, recorder, sound_cards};
use crate::config::{Audio, Config, Loudness, MixerControl};
use crate::status::{Finding, Microphone};
use booth_audio::{OpusError, SpeechEncoder};
use booth_host::crew;
use gateway_core::liveness::Beat;

const AREA: &str = "sound";
/// A card that has delivered no frame, or taken no sample, after this time is given up; its supervisor reports the reason
/// earlier.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the microphone is listened to.
const LISTENING: Duration = Duration::from_millis(600);
/// Most states of a card that wait to be read; further ones are dropped.
const MOST_STATES: usize = 8;

/// Checks what can be checked while a gateway holds the cards: whether they are there.
pub(super) fn look_from_outside(audio: &Audio) -> Vec<Finding> {
    let known = sound_cards::ids();
    let mut all = Vec::new();
    for (key, pcm) in [("input", &audio.input), ("output", &audio.output)] {
        if let Some((card, _)) = sound_cards::hardware_of(pcm) {
            all.push(is_there(key, &card, &known));
        }
    }
    all
}

fn is_there(key: &str, card: &str, known: &[String]) -> Finding {
    if card.bytes().all(|byte| byte.is_ascii_digit()) {
        return Finding::warning(
            AREA,
            key,
            format!(
                "[audio] {key} names card {card} by its index, which changes with the order of plugging."
            ),
            format!(
                "Use the card's name: plughw:CARD=<name>,DEV=0. There are: {}.",
                list(known)
            ),
        );
    }
    match known.iter().any(|id| id == card) {
        true => Finding::ok(AREA, key, format!("The sound card {card:?} is there.")),
        false => Finding::fault(
            AREA,
            key,
            format!(
                "There is no sound card {card:?}; there are: {}.",
                list(known)
            ),
            format!("Plug it in, or set [audio] {key} to a card that is there."),
        ),
    }
}

fn list(known: &[String]) -> String {
    match known {
        [] => "none at all".into(),
        some => some.join(", "),
    }
}

/// Opens both directions as the gateway would, and listens for a moment.
pub(super) fn look(audio: &Audio) -> Vec<Finding> {
    let mut all = look_from_outside(audio);
    for (key, pcm, is_input) in [
        ("input", &audio.input, true),
        ("output", &audio.output, false),
    ] {
        let Some((card, hardware)) = sound_cards::hardware_of(pcm) else {
            continue;
        };
        // A missing card is reported already.
        if let Ok(facts) = sound_cards::facts(&hardware, is_input) {
            all.push(able(key, &card, pcm, facts));
        }
    }
    all.push(earpiece(audio));
    all.extend(microphone(audio));
    all
}

fn able(key: &str, card: &str, pcm: &str, facts: sound_cards::PcmFacts) -> Finding {
    let channels = match facts.channels {
        (1, 1) => "mono".to_owned(),
        (1, most) => format!("mono up to {most} channels"),
        (2, 2) => "stereo only; the left channel counts".to_owned(),
        (least, most) => format!("{least} to {most} channels"),
    };
    let subject = format!("{key} hardware");
    match (facts.has_rate, pcm.starts_with("hw:")) {
        (true, _) => Finding::ok(
            AREA,
            &subject,
            format!("{card} runs at 48 kHz, {channels}."),
        ),
        (false, false) => Finding::warning(
            AREA,
            &subject,
            format!("{card} does not run at 48 kHz ({channels}); ALSA converts."),
            "It works; a card with 48 kHz sounds better and needs less power.",
        ),
        (false, true) => Finding::fault(
            AREA,
            &subject,
            format!("{card} does not run at 48 kHz ({channels})."),
            format!("Write plug{pcm} instead of {pcm}: then ALSA converts."),
        ),
    }
}

fn earpiece(audio: &Audio) -> Finding {
    let (told, states) = mpsc::sync_channel(MOST_STATES);
    let (commands, orders) = mpsc::sync_channel(1);
    let output = audio.output.clone();
    let playing = crew::contain("earpiece", move || {
        let report = move |event| {
            if let PlaybackEvent::State { works } = event {
                let _ = told.try_send(works);
            }
        };
        let (prompts, _) = Prompts::load(std::path::Path::new(""), "", &[]);
        let view = Arc::new(HandsetView::default());
        let alive = Beat::default();
        Earpiece::new(&output, Arc::new(prompts), view, orders, alive, report).run();
    });
    let works = match playing {
        Ok(_) => match states.recv_timeout(PATIENCE) {
            Ok(works) => works.map_err(|why| why.to_string()),
            Err(_) => Err(silent("the earpiece", &audio.output)),
        },
        Err(error) => Err(error.to_string()),
    };
    drop(commands);
    match works {
        Ok(()) => Finding::ok(
            AREA,
            "earpiece",
            "The earpiece opens at 48 kHz and takes samples.",
        ),
        Err(why) => Finding::fault(
            AREA,
            "earpiece",
            why,
            "Plug the sound card in, end who holds it (`fuser -v /dev/snd/*`), or set [audio] output to a name that `aplay -L` lists.",
        ),
    }
}

fn silent(what: &str, pcm: &str) -> String {
    format!(
        "{what} {pcm:?} does not answer within {} s",
        PATIENCE.as_secs()
    )
}

fn microphone(audio: &Audio) -> Vec<Finding> {
    let meter = match Meter::start(audio) {
        Ok(meter) => meter,
        Err(why) => {
            return vec![Finding::fault(
                AREA,
                "microphone",
                why.to_string(),
                "Start the machine again.",
            )];
        }
    };
    let works = match meter.wait(PATIENCE) {
        Some(works) => works.map_err(|why| why.to_string()),
        None => Err(silent("the microphone", &audio.input)),
    };
    if let Err(why) = works {
        return vec![Finding::fault(
            AREA,
            "microphone",
            why,
            "Plug the sound card in, end who holds it (`fuser -v /dev/snd/*`), or set [audio] input to a name that `arecord -L` lists.",
        )];
    }
    // The wait is long enough for a level; a state that comes meanwhile means that the card has gone.
    if let Some(Err(why)) = meter.wait(LISTENING) {
        return vec![Finding::fault(
            AREA,
            "microphone",
            why.to_string(),
            "Check the sound card's plug.",
        )];
    }
    vec![
        Finding::ok(
            AREA,
            "microphone",
            "The microphone opens at 48 kHz and frames arrive.",
        ),
        heard(&meter.levels()),
    ]
}

/// The verdict on a microphone's level.
pub(super) fn heard(levels: &Microphone) -> Finding {
    let (rms, peak, floor) = (levels.rms_dbfs, levels.peak_dbfs, levels.floor_dbfs);
    let figures = format!("{rms:.0} dBFS, peak {peak:.0}, noise floor {floor:.0}");
    if levels.constant_ms >= 400 {
        Finding::warning(
            AREA,
            "level",
            "Every sample of the microphone is the same: digital silence.",
            "Check the microphone's capsule and cable, and that its mixer control is not muted; then speak into it with `doctor --live`.",
        )
    } else if peak >= -0.1 {
        Finding::warning(
            AREA,
            "level",
            format!("The microphone clips: {figures}."),
            "Lower [audio] capture_db, and look again with `doctor --live`.",
        )
    } else {
        Finding::ok(AREA, "level", format!("The microphone hears {figures}."))
    }
}

/// A microphone that is listened to and whose sound is never kept: the doctor's level meter where no gateway runs.
pub(super) struct Meter {
    levels: Arc<MicLevels>,
    states: mpsc::Receiver<Result<(), SoundError>>,
    stop: Arc<AtomicBool>,
    /// Held because the recorder ends with its commands.
    _commands: mpsc::SyncSender<recorder::RecorderCommand>,
}

/// Why there is no meter; a sound card that is missing is no reason.
#[derive(Debug, thiserror::Error)]
pub(super) enum MeterError {
    #[error(transparent)]
    Encoder(#[from] OpusError),
    #[error(transparent)]
    Thread(#[from] io::Error),
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Meter {
    /// Opens the microphone, and looks for it while it is missing.
    pub(super) fn start(audio: &Audio) -> Result<Self, MeterError> {
        let bitrate = audio.bitrate.clamp(6_000, 510_000);
        let encoder = SpeechEncoder::new(bitrate, 0, audio.bandwidth)?;
        let (tap_sender, taps) = mpsc::sync_channel(MOST_STATES);
        let (commands, orders) = mpsc::sync_channel(1);
        let levels = Arc::new(MicLevels::default());
        // Without a spool the recorder keeps nothing.
        recorder::spawn(
            encoder,
            taps,
            orders,
            levels.clone(),
            Beat::default(),
            |_| {},
        )?;
        let (told, states) = mpsc::sync_channel(MOST_STATES);
        let stop = Arc::new(AtomicBool::new(false));
        let (input, halt) = (audio.input.clone(), stop.clone());
        let listening = move || {
            let figures = Arc::new(CaptureFigures::default());
            let alive = Beat::default();
            capture::supervise(&input, &tap_sender, &figures, &halt, &alive, |state| {
                let _ = told.try_send(state.works);
            });
        };
        crew::contain("capture", listening)?;
        Ok(Self {
            levels,
            states,
            stop,
            _commands: commands,
        })
    }

    /// The next state of the card within `patience`: frames arrive, or why not.
    pub(super) fn wait(&self, patience: Duration) -> Option<Result<(), SoundError>> {
        self.states.recv_timeout(patience).ok()
    }

    /// The latest levels.
    pub(super) fn levels(&self) -> Microphone {
        self.levels.get().into()
    }
}

/// The present level of each named mixer control.
pub(super) fn look_at_mixer(config: &Config) -> Vec<Finding> {
    let controls = config.audio.mixer_controls();
    if controls.is_empty() {
        let sentence = "No mixer control is named in [audio]: gain and volume are the card's own.";
        return vec![Finding::ok("mixer", "controls", sentence)];
    }
    let finding = |(control, looked): (MixerControl, Result<_, MixerError>)| match looked {
        Err(why) => {
            let subject = format!("{}_control", control.kind.key());
            let remedy =
                "Correct [audio] in booth.toml; `amixer -D <mixer> scontrols` lists the names.";
            Finding::fault("mixer", &subject, why.to_string(), remedy)
        }
        Ok(standing) => stands(&standing),
    };
    mixer::look(&controls).into_iter().map(finding).collect()
}

fn stands(standing: &mixer::Standing) -> Finding {
    let control = &standing.control;
    let subject = format!("{}_control", control.kind.key());
    let level = match (standing.decibels, standing.percent) {
        (Some(db), Some(percent)) => format!(" at {db} dB ({percent} %)"),
        (None, Some(percent)) => format!(" at {percent} %"),
        _ => String::new(),
    };
    let state = if standing.is_on { "on" } else { "muted" };
    let wanted = match control.loudness {
        Loudness::On => "on".to_owned(),
        Loudness::Off => "muted".to_owned(),
        Loudness::Decibels(db) => format!("{db} dB"),
        Loudness::Percent(percent) => format!("{percent} %"),
    };
    let name = &control.name;
    match standing.is_as_wanted {
        true => Finding::ok(
            "mixer",
            &subject,
            format!("{name:?} is {state}{level}, as wanted."),
        ),
        false => Finding::warning(
            "mixer",
            &subject,
            format!("{name:?} is {state}{level}; booth.toml wants {wanted}."),
            "The gateway sets it when it starts and whenever the card comes back; if it runs, somebody has changed it since: plug the card in again.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Verdict;

    #[test]
    fn a_level_says_silence_clipping_or_well() {
        let level = |peak_dbfs, constant_ms| Microphone {
            rms_dbfs: -30.0,
            peak_dbfs,
            floor_dbfs: -60.0,
            constant_ms,
            samples: 9_600,
        };
        assert_eq!(heard(&level(-12.0, 0)).verdict, Verdict::Ok);
        assert!(heard(&level(0.0, 0)).sentence.contains("clips"));
        assert!(
            heard(&level(-120.0, 500))
                .sentence
                .contains("digital silence")
        );
    }

    #[test]
    fn a_card_is_known_by_its_name_and_an_index_is_worth_an_eye() {
        let known = ["handset".to_owned(), "vc4hdmi".to_owned()];
        assert_eq!(is_there("input", "handset", &known).verdict, Verdict::Ok);
        assert_eq!(is_there("input", "0", &known).verdict, Verdict::Warning);
        let missing = is_there("input", "other", &known);
        assert_eq!(missing.verdict, Verdict::Fault);
        assert!(missing.sentence.contains("handset, vc4hdmi"), "{missing:?}");
    }

    #[test]
    fn a_card_without_48_khz_is_a_fault_only_where_nothing_converts() {
        let facts = sound_cards::PcmFacts {
            channels: (2, 2),
            has_rate: false,
        };
        let plain = able("input", "x", "hw:CARD=x,DEV=0", facts);
        assert!(plain.verdict == Verdict::Fault && plain.sentence.contains("stereo only"));
        let converted = able("input", "x", "plughw:CARD=x,DEV=0", facts);
        assert_eq!(converted.verdict, Verdict::Warning);
    }
}
