//! Which of a sound card's errors end its stream.
//!
//! Owns: the judgement shared by microphone and earpiece. Never does: touch a stream; its owner ends it.
#![allow(clippy::disallowed_methods)] // measures how often errors come

use std::time::{Duration, Instant};

use cpal::ErrorKind;

/// More passing errors than this in one second are a storm: cpal's worker goes round without a pause.
const STORM: u32 = 20;

/// What an error means for its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Frames were lost or late; the stream goes on.
    Xrun,
    /// Of no consequence by itself; a stream that no longer moves is noticed by its silence.
    Passing,
    /// The stream is dead.
    Fatal,
}

/// Judges one stream's errors.
#[derive(Debug, Default)]
pub struct FaultJudge {
    storm: Option<(Instant, u32)>,
}

impl FaultJudge {
    /// What this error means, after those before it.
    pub fn judge(&mut self, kind: ErrorKind) -> Fault {
        match kind {
            ErrorKind::Xrun => Fault::Xrun,
            ErrorKind::RealtimeDenied | ErrorKind::DeviceChanged => Fault::Passing,
            ErrorKind::DeviceNotAvailable
            | ErrorKind::StreamInvalidated
            | ErrorKind::HostUnavailable => Fault::Fatal,
            _ => {
                let now = Instant::now();
                let (since, count) = match self.storm {
                    Some((since, count)) if now - since <= Duration::from_secs(1) => {
                        (since, count + 1)
                    }
                    _ => (now, 1),
                };
                self.storm = Some((since, count));
                if count > STORM {
                    Fault::Fatal
                } else {
                    Fault::Passing
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passing_error_does_not_end_a_stream_but_a_storm_or_a_lost_card_does() {
        let mut judge = FaultJudge::default();
        assert_eq!(judge.judge(ErrorKind::Xrun), Fault::Xrun);
        assert_eq!(judge.judge(ErrorKind::BackendError), Fault::Passing);
        assert_eq!(judge.judge(ErrorKind::DeviceNotAvailable), Fault::Fatal);
        let storm = (0..10_000).any(|_| judge.judge(ErrorKind::BackendError) == Fault::Fatal);
        assert!(storm);
    }
}
