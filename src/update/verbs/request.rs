//! `booth-gateway update --requested`: the update that the centre asked for.
//!
//! Owns: the request's file in the gateway's own folder, which an intruder in the gateway can write. Never does: follow a link
//! there, or go on with an update that the centre has taken back.
#![allow(clippy::disallowed_methods)] // waits before the service begins again

use std::cell::Cell;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{LOCK_WITHIN, Source, Updater, VerbError};
use crate::update::boot::BootError;
use crate::update::here::Booth;
use crate::update::http::{Download, NoUrl, check_url};
use crate::update::state::{Phase, Store};
use crate::update::{Hands, REQUEST, UpdateError, note_failure};
use booth_contract::time::Mono;
use booth_host::clock;
use booth_spool::disk::{Disk, read_whole};
use booth_spool::real_disk::RealDisk;

/// After this long a trial is over.
const TRIAL_OVER: Duration = Duration::from_secs(20 * 60);
/// A request that was begun this often without an end is dropped.
pub(super) const MOST_ATTEMPTS: u32 = 3;
const LONGEST_REQUEST: u64 = 16 * 1024;
/// Pause before a request that stays is begun again.
const PAUSE: Duration = Duration::from_secs(60);
/// How long the one-shot flag may take to appear after the start.
const FLAG_WITHIN: Duration = Duration::from_secs(60);
/// How often it is checked whether the update is still wanted.
const WANTED_EVERY: Duration = Duration::from_secs(1);

/// The request that the gateway leaves for the updater.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Distinguishes one request from another.
    pub id: String,
    /// Where the update is.
    pub url: String,
}

/// What is wrong with the request's file.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the sentences say it
pub enum RequestError {
    #[error("the centre's request {}: {why}; send it again", place.display())]
    Bad {
        place: PathBuf,
        #[source]
        why: BadRequest,
    },
    #[error("{}: {error}", place.display())]
    NotRemoved {
        place: PathBuf,
        #[source]
        error: io::Error,
    },
}

/// Why a file is no request.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the sentences say it
pub enum BadRequest {
    #[error(transparent)]
    Unread(#[from] io::Error),
    #[error(transparent)]
    Form(#[from] serde_json::Error),
    #[error(transparent)]
    Url(#[from] NoUrl),
}

/// The centre has taken its request back.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the centre has cancelled the update; nothing was changed")]
pub(super) struct Cancelled;

impl Updater {
    /// Carries out the centre's request.
    pub fn requested(&self) -> Result<(), VerbError> {
        self.places.need_root()?;
        let (done, stays) = match self.config() {
            Err(why) => (Err(why.into()), true),
            Ok(config) => {
                let spool = &config.spool.dir;
                let done = self.follow_request(spool);
                (done, spool.join(REQUEST).exists())
            }
        };
        if stays {
            // The service is started again as long as the request is there; this pause keeps that from happening without a
            // break.
            std::thread::sleep(self.if_real(PAUSE));
        }
        done
    }

    fn follow_request(&self, spool: &Path) -> Result<(), VerbError> {
        if self.is_on_trial_for(TRIAL_OVER) {
            // During a trial the state is the trial's: the request stays for the version that runs afterwards.
            return Err(UpdateError::from(BootError::OnTrial).into());
        }
        let store = self.places.store();
        let before = store.load().unwrap_or_default();
        let done = self.try_request(&store, spool);
        if let Err(why) = &done {
            let why = why.to_string();
            let state = store.load().unwrap_or_default();
            let is_told =
                state.phase == Phase::Failed && state.reason == why && state.at != before.at;
            if !is_told {
                note_failure(&store, clock::wall(), &self.places.boot_id(), &why, "");
            }
        }
        // The result is in the state; a request that stays is begun again.
        remove_request(spool)?;
        done
    }

    fn try_request(&self, store: &Store, spool: &Path) -> Result<(), VerbError> {
        let booth = Booth::find(&self.places)?;
        booth.takes_updates()?;
        let _lock = self.lock_within(store, LOCK_WITHIN)?;
        // A request that outlived a power cut is carried out as soon as the machine starts, so the flag is waited for. If
        // the kernel has no such flag, that is reported when an update needs it.
        self.wait(self.if_real(FLAG_WITHIN), || {
            booth.firmware().flag.is_there()
        });
        let keys = store.keys()?;
        self.with(&booth, store, &keys, |hands| match read_request(spool)? {
            Some(request) => self.follow(hands, &request, spool),
            None => Ok(()),
        })
    }

    fn follow(&self, hands: &Hands, request: &Request, spool: &Path) -> Result<(), VerbError> {
        if !self.begins(hands, request)? {
            return Ok(());
        }
        let whence = hands.noting(hands.store.whence())?;
        let is_wanted = || matches!(read_request(spool), Ok(Some(still)) if still.id == request.id);
        let source = Source::Sent {
            url: &request.url,
            whence,
            is_wanted: &is_wanted,
        };
        let verified = self.write(hands, source)?;
        hands.noting(self.wait_until_empty())?;
        if !is_wanted() {
            hands.noting(Err(Cancelled))?;
        }
        // The request is removed before the trial: afterwards it must not begin again.
        hands.noting(remove_request(spool))?;
        self.start_trial(hands, &verified, true)
    }

    /// Counts the beginning of a request; false if it has come to its end before.
    fn begins(&self, hands: &Hands, request: &Request) -> Result<bool, VerbError> {
        let mut state = hands.store.load().map_err(VerbError::State)?;
        let is_same = state.request == request.id;
        if is_same
            && matches!(
                state.phase,
                Phase::Armed | Phase::Trial | Phase::Unknown | Phase::Committed | Phase::RolledBack
            )
        {
            return Ok(false);
        }
        state.attempts = if is_same { state.attempts + 1 } else { 1 };
        state.request.clone_from(&request.id);
        hands.store.save(&state).map_err(UpdateError::State)?;
        if state.attempts > MOST_ATTEMPTS {
            hands.noting(Err(VerbError::Attempts))?;
        }
        Ok(true)
    }
}

/// The request that the unprivileged gateway has left in `spool`. `None` if there is none; no link is followed.
fn read_request(spool: &Path) -> Result<Option<Request>, RequestError> {
    let place = spool.join(REQUEST);
    let bytes = match read_whole(&RealDisk::guarding(spool), &place, LONGEST_REQUEST) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes,
    };
    let request = bytes.map_err(BadRequest::from).and_then(|bytes| {
        let request: Request = serde_json::from_slice(&bytes)?;
        check_url(&request.url)?;
        Ok(request)
    });
    match request {
        Ok(request) => Ok(Some(request)),
        Err(why) => Err(RequestError::Bad { place, why }),
    }
}

/// Removes the request, even if it is no plain file.
fn remove_request(spool: &Path) -> Result<(), RequestError> {
    let place = spool.join(REQUEST);
    let disk = RealDisk::guarding(spool);
    let removed = match disk.unlink(&place) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => disk.remove_tree(&place),
        removed => removed,
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(RequestError::NotRemoved { place, error })
        }
        _ => Ok(()),
    }
}

/// The stream of an update, which ends when the update is not wanted any more.
pub(super) struct Wanted<'a> {
    download: Download,
    is_wanted: &'a dyn Fn() -> bool,
    asked: Mono,
    has_failed: &'a Cell<bool>,
}

impl<'a> Wanted<'a> {
    /// `has_failed` is set while the latest read has failed.
    pub(super) fn new(
        download: Download,
        is_wanted: &'a dyn Fn() -> bool,
        has_failed: &'a Cell<bool>,
    ) -> Self {
        Self {
            download,
            is_wanted,
            asked: clock::mono(),
            has_failed,
        }
    }
}

impl Read for Wanted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let now = clock::mono();
        if now.since(self.asked) >= WANTED_EVERY {
            self.asked = now;
            if !(self.is_wanted)() {
                return Err(io::Error::other(Cancelled));
            }
        }
        let read = self.download.read(buffer);
        self.has_failed.set(read.is_err());
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_is_no_file_of_the_gateways_is_refused_at_once_and_taken_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = folder.path();
        let place = spool.join(REQUEST);
        std::fs::create_dir(spool.join("update")).expect("a folder");
        assert_eq!(read_request(spool).expect("none"), None);
        let request = Request {
            id: "1".into(),
            url: "http://x/y".into(),
        };
        let text = serde_json::to_string(&request).expect("JSON");
        std::fs::write(&place, &text).expect("written");
        assert_eq!(read_request(spool).expect("one"), Some(request));
        for bad in ["", "{}", r#"{"id":"1","url":"file:///etc/shadow"}"#] {
            std::fs::write(&place, bad).expect("written");
            assert!(read_request(spool).is_err(), "{bad}");
        }
        std::fs::remove_file(&place).expect("removed");
        let other = spool.join("other");
        std::fs::write(&other, &text).expect("written");
        let puts: [(&str, &dyn Fn()); 5] = [
            ("a link", &|| {
                std::os::unix::fs::symlink(&other, &place).expect("a link");
            }),
            ("a second name", &|| {
                std::fs::hard_link(&other, &place).expect("a name");
            }),
            ("a pipe", &|| pipe(&place)),
            ("a folder", &|| {
                std::fs::create_dir_all(place.join("in it")).expect("a folder");
            }),
            ("more than a request has", &|| {
                let long = "x".repeat(LONGEST_REQUEST as usize + 1);
                std::fs::write(&place, long).expect("written");
            }),
        ];
        for (what, put) in puts {
            put();
            assert!(read_request(spool).is_err(), "{what}");
            remove_request(spool).expect(what);
            assert_eq!(read_request(spool).expect(what), None, "{what}");
            assert!(other.exists(), "{what}");
        }
        // The folder itself is a link to another place.
        let elsewhere = spool.join("elsewhere");
        std::fs::rename(spool.join("update"), &elsewhere).expect("moved");
        std::fs::write(elsewhere.join("request.json"), &text).expect("written");
        std::os::unix::fs::symlink(&elsewhere, spool.join("update")).expect("a link");
        assert!(read_request(spool).is_err() && remove_request(spool).is_err());
        assert!(elsewhere.join("request.json").exists());
    }

    fn pipe(place: &Path) {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let pipe = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, place, pipe, mode, 0).expect("a pipe");
    }
}
