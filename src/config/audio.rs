//! `[audio]` of booth.toml: which sound card, and how its mixer is set.

use booth_audio::Band;
use serde::Deserialize;

use booth_host::config_file::Faults;
use booth_spool::LONGEST_FILE;

/// Longest name of a control: ALSA's own limit is 44 (`SNDRV_CTL_ELEM_ID_NAME_MAXLEN`).
const LONGEST_CONTROL: usize = 44;
/// Longest name of a card's mixer.
const LONGEST_MIXER: usize = 128;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Audio {
    pub input: String,
    pub output: String,
    /// Bits per second.
    pub bitrate: u32,
    /// 0 to 10.
    pub complexity: u8,
    /// The codec's upper limit of frequency.
    pub bandwidth: Band,
    /// ALSA's name of the mixer that has the controls; by default that of the card in `input` for the microphone, in
    /// `output` for the rest.
    pub mixer: Option<String>,
    /// Simple mixer control of the microphone, as `amixer scontrols` lists it; `"Mic,1"` is the second of that name.
    pub capture_control: Option<String>,
    /// Its gain in dB. Without gain in dB or percent the control is only switched on.
    pub capture_db: Option<f64>,
    /// Its gain in percent of its range, for a control without a scale in dB.
    pub capture_percent: Option<u8>,
    /// Simple mixer control of the earpiece.
    pub playback_control: Option<String>,
    /// Its volume in dB.
    pub playback_db: Option<f64>,
    /// Its volume in percent of its range.
    pub playback_percent: Option<u8>,
    /// Simple mixer control by which speakers hear themselves in the earpiece. Without a volume it is muted.
    pub sidetone_control: Option<String>,
    /// Its volume in dB.
    pub sidetone_db: Option<f64>,
    /// Its volume in percent of its range.
    pub sidetone_percent: Option<u8>,
}

impl Default for Audio {
    fn default() -> Self {
        Self {
            input: "plughw:CARD=handset,DEV=0".into(),
            output: "plughw:CARD=handset,DEV=0".into(),
            bitrate: 24_000,
            complexity: 5,
            bandwidth: Band::Wide,
            mixer: None,
            capture_control: None,
            capture_db: None,
            capture_percent: None,
            playback_control: None,
            playback_db: None,
            playback_percent: None,
            sidetone_control: None,
            sidetone_db: None,
            sidetone_percent: None,
        }
    }
}

/// What a mixer control is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlKind {
    /// The microphone's gain.
    Capture,
    /// The earpiece's volume.
    Playback,
    /// How loud speakers hear themselves.
    Sidetone,
}

impl ControlKind {
    /// The beginning of its keys under `[audio]`.
    pub fn key(self) -> &'static str {
        match self {
            ControlKind::Capture => "capture",
            ControlKind::Playback => "playback",
            ControlKind::Sidetone => "sidetone",
        }
    }
}

/// The state that a control should have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loudness {
    /// Its switch on, its level unchanged.
    On,
    /// Muted.
    Off,
    /// On, at this many dB.
    Decibels(f64),
    /// On, at this many percent of its range.
    Percent(u8),
}

/// One control that has to be set.
#[derive(Debug, Clone, PartialEq)]
pub struct MixerControl {
    /// Its purpose.
    pub kind: ControlKind,
    /// Its name, as the configuration has it.
    pub name: String,
    /// The state that it should have.
    pub loudness: Loudness,
    /// ALSA's name of the mixer that has it, or why that is not known.
    pub mixer: Result<String, NoMixer>,
}

/// Why the mixer of a sound card is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("[audio] {key} {}", self.why())]
pub struct NoMixer {
    /// The key that names the sound card.
    key: &'static str,
    pcm: String,
    card: NoCard,
}

impl NoMixer {
    fn why(&self) -> String {
        let (pcm, card) = (&self.pcm, self.card);
        format!("{pcm:?} {card}, so its mixer is not known; set [audio] mixer")
    }
}

/// Why the name of a PCM says nothing about its card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum NoCard {
    #[error("names no card")]
    Unnamed,
    /// The order of USB cards changes from one boot to the next.
    #[error("names its card by its index")]
    ByIndex,
}

/// The keys of one kind: control, dB, per cent.
type Keys<'a> = (ControlKind, &'a Option<String>, Option<f64>, Option<u8>);

impl Audio {
    /// Every control that the configuration names.
    pub fn mixer_controls(&self) -> Vec<MixerControl> {
        use ControlKind::{Capture, Playback, Sidetone};
        let mut all = Vec::new();
        for (kind, name, db, percent) in self.by_kind() {
            let Some(name) = name else { continue };
            let loudness = match (db, percent, kind) {
                (Some(db), ..) => Loudness::Decibels(db),
                (None, Some(percent), _) => Loudness::Percent(percent),
                (None, None, Sidetone) => Loudness::Off,
                (None, None, Capture | Playback) => Loudness::On,
            };
            let (key, pcm) = match kind {
                Capture => ("input", &self.input),
                Playback | Sidetone => ("output", &self.output),
            };
            let mixer = match &self.mixer {
                Some(mixer) => Ok(mixer.clone()),
                None => mixer_of(pcm).map_err(|card| NoMixer {
                    key,
                    pcm: pcm.clone(),
                    card,
                }),
            };
            all.push(MixerControl {
                kind,
                name: name.clone(),
                loudness,
                mixer,
            });
        }
        all
    }

    fn by_kind(&self) -> [Keys<'_>; 3] {
        [
            (
                ControlKind::Capture,
                &self.capture_control,
                self.capture_db,
                self.capture_percent,
            ),
            (
                ControlKind::Playback,
                &self.playback_control,
                self.playback_db,
                self.playback_percent,
            ),
            (
                ControlKind::Sidetone,
                &self.sidetone_control,
                self.sidetone_db,
                self.sidetone_percent,
            ),
        ]
    }

    /// The longest recording that recovery can read again after a power cut, seconds. A quarter of the file is left for what Opus may
    /// need above its bitrate, and for pages and seals.
    pub(crate) fn longest_take_s(&self) -> u64 {
        LONGEST_FILE * 8 / 4 * 3 / u64::from(self.bitrate.max(1))
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        if !(6_000..=510_000).contains(&self.bitrate) {
            let why = format!(
                "{} is outside 6000 to 510000 bit/s (RFC 6716)",
                self.bitrate
            );
            faults.that("[audio] bitrate", why);
        }
        if self.complexity > 10 {
            let why = format!("{} is outside 0 to 10", self.complexity);
            faults.that("[audio] complexity", why);
        }
        if let Some(mixer) = &self.mixer
            && !is_name(mixer, LONGEST_MIXER)
        {
            let why = format!(
                "use a name such as \"hw:CARD=handset\", 1 to {LONGEST_MIXER} bytes, no control character"
            );
            faults.of("[audio] mixer", why);
        }
        for (kind, name, db, percent) in self.by_kind() {
            let kind = kind.key();
            let key = |end: &str| format!("[audio] {kind}_{end}");
            if name.is_none() && (db.is_some() || percent.is_some()) {
                let why = format!(
                    "and {kind}_percent need {kind}_control; `amixer scontrols` lists the names"
                );
                faults.that(key("db"), why);
            }
            if db.is_some() && percent.is_some() {
                let why = format!("and {kind}_percent: give one of them");
                faults.that(key("db"), why);
            }
            if db.is_some_and(|db| !(-100.0..=60.0).contains(&db)) {
                faults.of(key("db"), "use -100 to 60");
            }
            if percent.is_some_and(|percent| percent > 100) {
                faults.of(key("percent"), "use 0 to 100");
            }
            if let Some(name) = name
                && !is_name(name, LONGEST_CONTROL)
            {
                let why = format!("use 1 to {LONGEST_CONTROL} bytes, no control character");
                faults.of(key("control"), why);
            }
        }
        for control in self.mixer_controls() {
            if let Err(unknown) = control.mixer {
                faults.that(format!("[audio] {}", unknown.key), unknown.why());
            }
        }
    }
}

fn is_name(name: &str, longest: usize) -> bool {
    !name.is_empty() && name.len() <= longest && !name.chars().any(char::is_control)
}

/// The mixer of the card in a PCM's name: `hw:CARD=x` for `plughw:CARD=x,DEV=0` and for `plughw:x,0`.
fn mixer_of(pcm: &str) -> Result<String, NoCard> {
    let Some((_, arguments)) = pcm.split_once(':') else {
        return Err(NoCard::Unnamed);
    };
    let mut arguments = arguments.split(',').map(str::trim);
    let card = arguments
        .clone()
        .find_map(|argument| argument.strip_prefix("CARD="))
        .or_else(|| arguments.next().filter(|first| !first.contains('=')));
    match card {
        None | Some("") => Err(NoCard::Unnamed),
        Some(index) if index.bytes().all(|byte| byte.is_ascii_digit()) => Err(NoCard::ByIndex),
        Some(card) => Ok(format!("hw:CARD={card}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mixer_is_found_by_the_cards_name_and_never_by_an_index() {
        for pcm in [
            "plughw:CARD=handset,DEV=0",
            "hw:handset",
            "sysdefault:CARD=handset",
            "plughw:DEV=0,CARD=handset",
            "plughw:handset,0",
        ] {
            assert_eq!(mixer_of(pcm).as_deref(), Ok("hw:CARD=handset"), "{pcm}");
        }
        for pcm in [
            "hw:0",
            "plughw:1,0",
            "hw:CARD=0",
            "default",
            "pulse",
            "hw:",
            "hw:DEV=0",
        ] {
            assert!(mixer_of(pcm).is_err(), "{pcm}");
        }
    }

    #[test]
    fn the_band_is_wide_unless_the_file_says_otherwise_and_another_word_is_refused() {
        let band = |text: &str| toml::from_str::<Audio>(text).map(|audio| audio.bandwidth);
        assert_eq!(band(""), Ok(Band::Wide));
        assert_eq!(band("bandwidth = \"wide\""), Ok(Band::Wide));
        assert_eq!(band("bandwidth = \"superwide\""), Ok(Band::Superwide));
        assert_eq!(band("bandwidth = \"full\""), Ok(Band::Full));
        for other in ["\"narrow\"", "\"Wide\"", "\"\"", "8000", "true"] {
            assert!(band(&format!("bandwidth = {other}")).is_err(), "{other}");
        }
    }

    #[test]
    fn an_unmeasured_sidetone_is_muted_and_any_other_control_only_switched_on() {
        let audio = Audio {
            capture_control: Some("Mic".into()),
            playback_control: Some("Headphone".into()),
            playback_db: Some(-3.0),
            sidetone_control: Some("Mic".into()),
            ..Audio::default()
        };
        let found: Vec<Loudness> = audio
            .mixer_controls()
            .into_iter()
            .map(|control| control.loudness)
            .collect();
        assert_eq!(
            found,
            [Loudness::On, Loudness::Decibels(-3.0), Loudness::Off]
        );
    }
}
