//! Sound without a sound card: what people's files hold becomes Opus, and Opus becomes what an earpiece plays.
//!
//! ```text
//! file's bytes ──▶ sound ──▶ wav, ogg, foreign ──▶ mono ──▶ Coded ──▶ Player ──▶ samples
//! microphone's samples ──▶ SpeechEncoder, OggOpus ──▶ pages        ──▶ LevelMeter ──▶ levels, voice
//! ```
//!
//! Owns: encoder and decoder, the reading of sound files, Ogg pages, levels, and [`Samples`], the count of samples. Never does:
//! open a file, touch a device, know a prompt's name.
#![forbid(unsafe_code)]

mod foreign;
mod levels;
mod mono;
mod ogg;
mod opus;
mod player;
mod samples;
mod sound;
mod wav;

pub use self::levels::{LevelMeter, Sums, VoiceChange};
pub use self::opus::{Band, OggOpus, OpusError, PACKET_SAMPLES, PAGE_SAMPLES, SpeechEncoder};
pub use self::player::Player;
pub use self::samples::{RATE, Samples, take_off};
pub use self::sound::{Coded, MAX_SECONDS, Remedy, Unplayable, check, coded};

#[cfg(test)]
mod tests;
