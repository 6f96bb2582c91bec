//! Recordings that their citizens have not sent yet: heard, said again or thrown away before anything is kept.
//!
//! Owns: a few recordings in memory, each under a name that nobody can guess. Never does: write one to a disk. What is neither sent nor
//! thrown away is gone after a while, and at the hub's end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use booth_audio::MadeAnswer;
use booth_contract::time::Mono;

/// How long a recording waits.
const WAITS_MS: u64 = 30 * 60_000;
/// Most bytes that wait, of all citizens. At a booth's bit rate these are six hours.
const MOST_BYTES: usize = 64 << 20;

/// See the module's comment.
#[derive(Default)]
pub(super) struct Drafts(Mutex<HashMap<String, Draft>>);

struct Draft {
    about: String,
    made_at: Mono,
    sound: Arc<MadeAnswer>,
}

impl Drafts {
    /// Keeps a recording for a while and names it; `None` where too many wait.
    pub(super) fn keep(&self, now: Mono, about: &str, sound: MadeAnswer) -> Option<String> {
        let mut drafts = self.all(now);
        let bytes: usize = drafts.values().map(|draft| draft.sound.bytes.len()).sum();
        if bytes + sound.bytes.len() > MOST_BYTES {
            return None;
        }
        let name = URL_SAFE_NO_PAD.encode(super::random::<24>());
        let draft = Draft {
            about: about.to_owned(),
            made_at: now,
            sound: Arc::new(sound),
        };
        drafts.insert(name.clone(), draft);
        Some(name)
    }

    /// The recording of this name, if it answers this question and still waits.
    pub(super) fn get(&self, now: Mono, about: &str, name: &str) -> Option<Arc<MadeAnswer>> {
        let drafts = self.all(now);
        let draft = drafts.get(name).filter(|draft| draft.about == about)?;
        Some(Arc::clone(&draft.sound))
    }

    /// It was sent, or thrown away.
    pub(super) fn forget(&self, name: &str) {
        let mut drafts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drafts.remove(name);
    }

    /// Those that still wait.
    fn all(&self, now: Mono) -> MutexGuard<'_, HashMap<String, Draft>> {
        let mut drafts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drafts.retain(|_, draft| now.0.saturating_sub(draft.made_at.0) <= WAITS_MS);
        drafts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use booth_audio::{Measured, Samples};

    fn sound(bytes: usize) -> MadeAnswer {
        MadeAnswer {
            bytes: vec![1; bytes],
            levels: Measured {
                length: Samples::in_s(1),
                rms_dbfs: None,
                peak_dbfs: None,
                speech_ratio: 0.0,
            },
        }
    }

    #[test]
    fn a_recording_waits_for_its_own_question_half_an_hour_and_no_longer() {
        let drafts = Drafts::default();
        let name = drafts.keep(Mono(0), "a/q", sound(10)).expect("kept");
        assert!(drafts.get(Mono(1), "a/q", &name).is_some());
        assert!(drafts.get(Mono(1), "a/other", &name).is_none());
        assert!(drafts.get(Mono(1), "a/q", "guessed").is_none());
        assert!(drafts.get(Mono(WAITS_MS + 1), "a/q", &name).is_none());
        let name = drafts.keep(Mono(0), "a/q", sound(10)).expect("kept");
        drafts.forget(&name);
        assert!(drafts.get(Mono(1), "a/q", &name).is_none());
    }

    #[test]
    fn a_flood_of_recordings_fills_no_memory_and_ends() {
        let drafts = Drafts::default();
        let mut kept = 0;
        while drafts.keep(Mono(0), "a/q", sound(1 << 20)).is_some() {
            kept += 1;
            assert!(kept <= 64);
        }
        assert_eq!(kept, 64);
        assert!(drafts.keep(Mono(WAITS_MS + 1), "a/q", sound(1)).is_some());
    }
}
