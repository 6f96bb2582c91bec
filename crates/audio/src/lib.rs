//! Sound without a sound card: what people's files hold becomes Opus, and Opus becomes what an earpiece plays.
//!
//! ```text
//! file's bytes ──▶ sound ──▶ wav, ogg, foreign ──▶ mono ──▶ Coded ──▶ Player ──▶ samples
//! microphone's samples ──▶ SpeechEncoder, OggOpus ──▶ pages        ──▶ LevelMeter ──▶ levels, voice
//! file's bytes ──▶ samples ──▶ trimmed, levelled ──▶ MadePrompt
//! message's bytes ──▶ Portrait; ──▶ without what is taken out ──▶ the sound that is published
//! file's bytes ──▶ samples ──▶ a booth's coding ──▶ MadeAnswer
//! ```
//!
//! Owns: encoder and decoder, the reading of sound files, Ogg pages, levels, loudness, prompts for campaigns, answers from home, and [`Samples`], the count of samples. Never does:
//! open a file, touch a device, know a prompt's name.
#![forbid(unsafe_code)]

mod answer;
mod comments;
mod foreign;
mod levels;
mod loudness;
mod message;
mod mono;
mod ogg;
mod opus;
mod page_player;
mod pages;
mod player;
mod prompt;
mod samples;
mod sound;
mod wav;

pub use self::answer::{MadeAnswer, Measured, NoAnswer, made_answer, measured};
pub use self::comments::{LONGEST_TEXT, readable, text};
pub use self::levels::{LevelMeter, Sums, VoiceChange};
pub use self::loudness::loudness;
pub use self::message::{
    Cuts, MOST_MESSAGE_SECONDS, NotPublished, Portrait, at_level, portrait, published,
};
pub use self::opus::{Band, OggOpus, OpusError, PACKET_SAMPLES, PAGE_SAMPLES, SpeechEncoder};
pub use self::page_player::PagePlayer;
pub use self::player::Player;
pub use self::prompt::{MOST_PROMPT_BYTES, MadePrompt, NoPrompt, OWN_VOICE_LUFS, made_prompt};
pub use self::samples::{RATE, Samples, take_off};
pub use self::sound::{
    Coded, MAX_SECONDS, Remedy, Sender, Unplayable, check, check_opus, coded, samples,
};

#[cfg(test)]
mod tests;
