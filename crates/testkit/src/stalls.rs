//! How long this machine held up somebody who wrote to its disk.
//!
//! A recorder that waits for a sync, or for a processor, keeps no more words meanwhile: what a test says of the last
//! second of speech has to know how long such a wait was, and asks it here of a thread that does as the recorder does.
#![allow(clippy::disallowed_methods)]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two writes.
const REST: Duration = Duration::from_millis(20);
/// A shorter wait is what every disk asks for.
const IS_NONE: Duration = Duration::from_millis(50);

/// Writes a page and syncs it, again and again, in a file without a name.
#[derive(Debug)]
pub struct Stalls {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Duration>>,
}

impl Stalls {
    /// Watches the disk of this folder from now on.
    ///
    /// # Errors
    ///
    /// In words, where no file can be made there.
    pub fn watch(folder: &Path) -> Result<Self, String> {
        let file = tempfile::tempfile_in(folder).map_err(|error| format!("a file: {error}"))?;
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let thread = std::thread::spawn(move || total(file, &over));
        Ok(Self {
            is_over,
            thread: Some(thread),
        })
    }

    /// How long it was held up since then, all waits of more than 50 ms together, in ms. One that writes several times waits several times.
    pub fn total_ms(mut self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        let total = self.thread.take().and_then(|thread| thread.join().ok());
        total.map_or(0, |total| total.as_millis() as u64)
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn total(mut file: File, is_over: &AtomicBool) -> Duration {
    let mut total = Duration::ZERO;
    while !is_over.load(Ordering::Relaxed) {
        let began = Instant::now();
        std::thread::park_timeout(REST);
        if file.write_all(&[0; 4096]).is_err() || file.sync_data().is_err() {
            break;
        }
        let waited = began.elapsed().saturating_sub(REST);
        if waited > IS_NONE {
            total += waited;
        }
    }
    total
}
