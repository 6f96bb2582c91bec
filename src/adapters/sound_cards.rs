//! Which sound cards there are, and what a PCM can do, asked of ALSA.
//!
//! Owns: looking. Never does: start a stream; `capture` and `playback` do.

use alsa::pcm::{HwParams, PCM};
use alsa::{Ctl, Direction};

use booth_audio::RATE;

/// A PCM that says nothing of itself.
#[derive(Debug, thiserror::Error)]
pub enum PcmError {
    /// No PCM has such a name.
    #[error("its name holds a NUL")]
    Nul,
    /// ALSA refuses.
    #[error(transparent)]
    Alsa(#[from] alsa::Error),
}

/// What a PCM can do by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PcmFacts {
    /// Fewest and most channels.
    pub channels: (u32, u32),
    /// It runs at 48 kHz.
    pub has_rate: bool,
}

/// The ids of all cards, e.g. `handset`: what stands after `CARD=`.
pub fn ids() -> Vec<String> {
    let _quiet = alsa::Output::local_error_handler();
    let id = |card: alsa::Card| {
        let info = Ctl::from_card(&card, true).and_then(|ctl| ctl.card_info());
        info.ok()?.get_id().ok().map(str::to_owned)
    };
    alsa::card::Iter::new().flatten().filter_map(id).collect()
}

/// The card that a PCM's name names, and the same PCM without ALSA's conversions: what the hardware really does.
pub fn hardware_of(pcm: &str) -> Option<(String, String)> {
    let (kind, arguments) = pcm.split_once(':')?;
    if ![
        "hw",
        "plughw",
        "sysdefault",
        "default",
        "front",
        "dsnoop",
        "dmix",
    ]
    .contains(&kind)
    {
        return None;
    }
    let named = |key: &str| {
        arguments
            .split(',')
            .find_map(|argument| argument.trim().strip_prefix(key))
    };
    let place = |index: usize| {
        let found = arguments.split(',').nth(index).map(str::trim);
        found.filter(|text| !text.is_empty() && !text.contains('='))
    };
    let card = named("CARD=").or_else(|| place(0))?;
    let device = named("DEV=").or_else(|| place(1)).unwrap_or("0");
    Some((card.to_owned(), format!("hw:CARD={card},DEV={device}")))
}

/// Whether a name is a sound card of the kernel's: `hw:`, `plughw:` and what ALSA derives of them. `default`, `pulse` and
/// names of an asound.conf may be anything, and are treated as a sound server.
pub fn is_kernel_card(pcm: &str) -> bool {
    pcm.contains("hw:") || pcm.contains(":CARD=")
}

/// The remedy where this PCM does not work.
pub fn remedy(pcm: &str) -> &'static str {
    match is_kernel_card(pcm) {
        true => "check the sound card's plug and its cable",
        false => "check that the sound server behind this name runs (`pactl info`)",
    }
}

/// What a PCM can do; it is open only while it is asked.
pub fn facts(pcm: &str, is_input: bool) -> Result<PcmFacts, PcmError> {
    if pcm.contains('\0') {
        return Err(PcmError::Nul);
    }
    let _quiet = alsa::Output::local_error_handler();
    let direction = match is_input {
        true => Direction::Capture,
        false => Direction::Playback,
    };
    let opened = PCM::new(pcm, direction, true)?;
    let able = HwParams::any(&opened)?;
    let channels = able
        .get_channels_min()
        .and_then(|min| able.get_channels_max().map(|max| (min, max)));
    Ok(PcmFacts {
        channels: channels?,
        has_rate: able.test_rate(RATE).is_ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hardware_behind_a_converting_name_is_found() {
        for name in [
            "plughw:CARD=handset,DEV=1",
            "plughw:handset,1",
            "hw:DEV=1,CARD=handset",
        ] {
            let found = hardware_of(name);
            let wanted = ("handset".to_owned(), "hw:CARD=handset,DEV=1".to_owned());
            assert_eq!(found, Some(wanted), "{name}");
        }
        for name in ["default", "pulse", "booth_mic", "hw:", "file:x"] {
            assert_eq!(hardware_of(name), None, "{name}");
        }
    }

    #[test]
    fn a_kernel_card_is_told_from_a_sound_server() {
        for card in [
            "hw:0",
            "plughw:CARD=handset,DEV=0",
            "sysdefault:CARD=handset",
        ] {
            assert!(is_kernel_card(card), "{card}");
            assert!(remedy(card).contains("plug"), "{card}");
        }
        for server in ["default", "pulse", "pipewire", "booth_mic"] {
            assert!(!is_kernel_card(server), "{server}");
            assert!(remedy(server).contains("server"), "{server}");
        }
    }

    #[test]
    fn a_card_that_is_not_there_is_an_error_and_no_crash() {
        assert!(facts("hw:CARD=nosuchcard,DEV=0", true).is_err());
        assert!(facts("a\0b", false).is_err());
    }
}
