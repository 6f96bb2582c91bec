//! Why there is no sound, in sentences for operations: the same for microphone and earpiece.
//!
//! Owns: the sentences with their remedies. Never does: look at a card.

use std::fmt;
use std::io;
use std::time::Duration;

use super::sound_cards::{is_kernel_card, remedy};
use super::sound_faults::Dead;

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Capture.
    Microphone,
    /// Playback.
    Earpiece,
}

impl Part {
    /// Its key in `[audio]`, and the program that lists what may stand there.
    fn key_and_list(self) -> (&'static str, &'static str) {
        match self {
            Part::Microphone => ("input", "arecord"),
            Part::Earpiece => ("output", "aplay"),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Microphone => "microphone",
            Part::Earpiece => "earpiece",
        })
    }
}

/// Why there is no stream, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum SoundError {
    /// There is no ALSA.
    #[error("ALSA: {0}")]
    NoAlsa(cpal::Error),
    /// No PCM has this name.
    #[error(
        "no {part} {pcm:?}; {}, or set [audio] {} to a name that `{} -L` lists",
        remedy(pcm), part.key_and_list().0, part.key_and_list().1
    )]
    NoDevice {
        /// Which.
        part: Part,
        /// The name.
        pcm: String,
    },
    /// It opens and does not run.
    #[error("the {part} {pcm:?} does not start: {error}")]
    NotStarted {
        /// Which.
        part: Part,
        /// Its name.
        pcm: String,
        /// Why.
        error: cpal::Error,
    },
    /// It exists and does not open.
    #[error(
        "the {part} {pcm:?} cannot be opened at 48 kHz: {error}; {}",
        if is_kernel_card(pcm) { "use a plughw: name" } else { remedy(pcm) }
    )]
    Refused {
        /// Which.
        part: Part,
        /// Its name.
        pcm: String,
        /// Why.
        error: cpal::Error,
    },
    /// Its opening goes on, and on.
    #[error("the {part} {pcm:?} has not opened for {} s; {}", after.as_secs(), remedy(pcm))]
    Slow {
        /// Which.
        part: Part,
        /// Its name.
        pcm: String,
        /// For how long it has gone on at least.
        after: Duration,
    },
    /// Nobody waits for its opening any longer.
    #[error("the {part} {pcm:?} does not open; {}", remedy(pcm))]
    GivenUp {
        /// Which.
        part: Part,
        /// Its name.
        pcm: String,
    },
    /// There is no thread for it.
    #[error("the {part} {pcm:?} is not opened: {error}")]
    NotOpened {
        /// Which.
        part: Part,
        /// Its name.
        pcm: String,
        /// Why.
        error: ThreadError,
    },
    /// It ran, and is dead.
    #[error("the {part} {pcm:?} has gone: {why}; {}", remedy(pcm))]
    Gone {
        /// Which.
        part: Part,
        /// Its name.
        pcm: String,
        /// What its judge saw.
        why: Dead,
    },
    /// It was closed while something played.
    #[error("the {0} is closed")]
    Closed(Part),
    /// Its thread is gone without a word.
    #[error("the thread that was to open it has ended")]
    ThreadEnded,
}

/// Why there is no thread for one more stream.
#[derive(Debug, thiserror::Error)]
pub enum ThreadError {
    /// Too many hang.
    #[error(
        "{0} threads hang in the sound system; start the gateway again, and look for why its sound server dies or stalls"
    )]
    TooMany(usize),
    /// The machine has none.
    #[error(
        "a thread for the sound card cannot be started ({0}); the machine is out of memory or of threads"
    )]
    NotStarted(#[from] io::Error),
}
