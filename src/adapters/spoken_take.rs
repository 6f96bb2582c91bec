//! What was just said, for its citizen to hear: the pages of the take that is open.
//!
//! Owns: the pages, in memory that is overwritten when the take is closed or deleted, whoever still holds them. Never does: decode,
//! or put a page on the card.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

/// Most bytes that are held: some eight minutes at a booth's bit rate. What is said after them cannot be heard, and is kept.
const MOST_BYTES: usize = 3 << 19;

/// The pages of one take. Copies are the same pages.
#[derive(Clone, Default)]
pub struct SpokenTake(Arc<Mutex<Groups>>);

#[derive(Default)]
struct Groups {
    /// Whole pages, as they were made.
    groups: Vec<Zeroizing<Vec<u8>>>,
    bytes: usize,
}

impl SpokenTake {
    fn locked(&self) -> MutexGuard<'_, Groups> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds whole pages.
    pub(super) fn push(&self, pages: &[u8]) {
        let mut held = self.locked();
        if !pages.is_empty() && held.bytes + pages.len() <= MOST_BYTES {
            held.bytes += pages.len();
            held.groups.push(Zeroizing::new(pages.to_vec()));
        } else if !pages.is_empty() {
            // Nothing that follows a gap is heard.
            held.bytes = MOST_BYTES;
        }
    }

    /// The group of pages with this number.
    pub(super) fn group(&self, number: usize) -> Option<Zeroizing<Vec<u8>>> {
        self.locked().groups.get(number).cloned()
    }

    /// Overwrites all of it.
    pub(super) fn wipe(&self) {
        *self.locked() = Groups::default();
    }
}

/// Without a word of it.
impl fmt::Debug for SpokenTake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpokenTake({} bytes)", self.locked().bytes)
    }
}

/// Whether these are the same pages.
impl PartialEq for SpokenTake {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_held_up_to_a_limit_and_gone_for_everybody_once_it_is_wiped() {
        let take = SpokenTake::default();
        let other = take.clone();
        take.push(b"first");
        take.push(&[]);
        take.push(&vec![7; MOST_BYTES - 5]);
        take.push(b"too much");
        take.push(b"x");
        assert_eq!(
            other.group(0).as_deref().map(Vec::as_slice),
            Some(&b"first"[..])
        );
        assert_eq!(
            other.group(1).map(|group| group.len()),
            Some(MOST_BYTES - 5)
        );
        assert!(other.group(2).is_none());
        assert_eq!(
            format!("{other:?}"),
            format!("SpokenTake({MOST_BYTES} bytes)")
        );
        take.wipe();
        assert!(other.group(0).is_none());
    }
}
