//! A stream of a sound card on a thread of its own, because a call into a sound system may never return.
//!
//! Owns: that thread, which opens the stream, holds it and closes it, and how long each of these may take. Never does: wait
//! for it without a limit. A thread that does not come back is left behind with what the sound system holds; it is counted,
//! and there are never more than [`AT_MOST`].
#![allow(clippy::disallowed_methods)] // measures how long an opening takes

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use cpal::traits::{HostTrait, StreamTrait};
use cpal::{DeviceId, ErrorKind, HostId};

use super::sound_cards::is_kernel_card;
use super::sound_error::{Part, SoundError, ThreadError};
use booth_host::crew;
use gateway_core::liveness::Beat;

/// This many threads of one direction may hang in the sound system; with PulseAudio each keeps two more, 7 descriptors and
/// half a megabyte. One more stream is refused: only a new process gets the sound back then. So the supervisor stops moving,
/// and the watchdog starts a new process (`gateway_core::liveness`).
pub const AT_MOST: usize = 32;
/// How long a sound server may keep an opening waiting. libpulse gives up each question after 30 s, an opening asks several,
/// and cpal lets one direction open at a time. An opening that takes longer never comes back, and blocks every other
/// opening.
const SERVER_OPENS_WITHIN: Duration = Duration::from_secs(300);
/// An opening that takes longer is reported, although it goes on.
pub const REPORTED_AFTER: Duration = Duration::from_secs(10);

/// Whether the supervisor of an opening that has taken this long still counts as moving.
pub(super) fn may_wait(pcm: &str, age: Duration) -> bool {
    !is_kernel_card(pcm) && age < SERVER_OPENS_WITHIN
}

/// How long a stream may take to close before its thread is left behind. A kernel's card cannot be opened again before that;
/// a sound server can.
fn closing(pcm: &str) -> Duration {
    match is_kernel_card(pcm) {
        true => Duration::from_secs(2),
        false => Duration::from_millis(500),
    }
}

/// The streams of one direction; one of them is in use, others may hang.
pub struct StreamThreads {
    name: &'static str,
    /// One more reference for each thread that lives.
    crowd: Arc<()>,
}

/// A stream that is being opened, or is open.
pub struct StreamThread<T> {
    opened: Receiver<Result<T, SoundError>>,
    /// The thread holds the stream until this is dropped.
    hold: SyncSender<Infallible>,
    ended: Receiver<Infallible>,
    since: Instant,
}

/// The state of an opening.
pub enum Opening<T> {
    /// The stream is open; these are its owner's ends.
    Open(T),
    /// It could not be opened, and why.
    Refused(SoundError),
    /// Nothing is known yet.
    Pending,
}

/// The device of this name. On the stream's own thread: ALSA may wait for a sound server.
pub(super) fn device(part: Part, pcm: &str) -> Result<cpal::Device, SoundError> {
    // A new host each time: ALSA forgets a card that went only with the last handle (cpal's own cache).
    let host = cpal::host_from_id(HostId::Alsa).map_err(SoundError::NoAlsa)?;
    let device = host.device_by_id(&DeviceId::new(HostId::Alsa, pcm));
    let pcm = pcm.to_owned();
    device.ok_or(SoundError::NoDevice { part, pcm })
}

/// Starts what `build` makes: with one channel, or with two where one is not supported. `alive` is touched before each step.
pub(super) fn started<T>(
    (part, pcm): (Part, &str),
    alive: &Beat,
    build: impl Fn(u16) -> Result<(cpal::Stream, T), cpal::Error>,
) -> Result<(cpal::Stream, T), SoundError> {
    alive.touch();
    let one = build(1);
    let built = match one {
        // Opening two channels helps where one is not supported, and does not help where the card does not answer.
        Err(error) if error.kind() == ErrorKind::UnsupportedConfig => {
            alive.touch();
            build(2)
        }
        built => built,
    };
    let pcm = pcm.to_owned();
    match built {
        Ok((stream, ends)) => match stream.play() {
            Ok(()) => Ok((stream, ends)),
            Err(error) => Err(SoundError::NotStarted { part, pcm, error }),
        },
        Err(error) => Err(SoundError::Refused { part, pcm, error }),
    }
}

impl StreamThreads {
    /// No streams yet; their threads will have this name.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            crowd: Arc::default(),
        }
    }

    /// How many threads there are, hanging ones and the one in use.
    pub fn living(&self) -> usize {
        Arc::strong_count(&self.crowd) - 1
    }

    /// Whether too many hang for one more stream.
    pub fn are_too_many(&self) -> bool {
        self.living() >= AT_MOST
    }

    /// Opens a stream on a fresh thread by `open`, which returns the stream and its owner's ends.
    pub fn open<S, T: Send + 'static>(
        &self,
        open: impl FnOnce() -> Result<(S, T), SoundError> + Send + 'static,
    ) -> Result<StreamThread<T>, ThreadError> {
        if self.are_too_many() {
            return Err(ThreadError::TooMany(AT_MOST));
        }
        let (ready, opened) = sync_channel(1);
        let (hold, held) = sync_channel::<Infallible>(0);
        let (end, ended) = sync_channel::<Infallible>(0);
        let counted = self.crowd.clone();
        let work = move || {
            match open() {
                Ok((stream, ends)) => {
                    let _ = ready.send(Ok(ends)); // an owner that is gone wants it closed
                    let _ = held.recv();
                    drop(stream);
                }
                Err(why) => drop(ready.send(Err(why))),
            }
            drop(counted);
            drop(end);
        };
        crew::lend(self.name, work)?;
        Ok(StreamThread {
            opened,
            hold,
            ended,
            since: Instant::now(),
        })
    }

    /// Closes a stream of the PCM `pcm`. A thread that hangs is left behind, and logged.
    pub fn close<T>(&self, stream: StreamThread<T>, part: Part, pcm: &str) {
        if !stream.close(closing(pcm)) {
            log::warn!(
                "the sound system has not let go of the {part} {pcm:?}; {} of {AT_MOST} threads are left behind",
                self.living()
            );
        }
    }
}

impl<T> StreamThread<T> {
    /// Waits this long for the stream to be open.
    pub fn opened(&self, patience: Duration) -> Opening<T> {
        match self.opened.recv_timeout(patience) {
            Ok(Ok(ends)) => Opening::Open(ends),
            Ok(Err(why)) => Opening::Refused(why),
            Err(RecvTimeoutError::Timeout) => Opening::Pending,
            Err(RecvTimeoutError::Disconnected) => Opening::Refused(SoundError::ThreadEnded),
        }
    }

    /// How long ago the opening began.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Closes the stream. Returns whether that was done within `patience`. A thread that hangs is left behind.
    pub fn close(self, patience: Duration) -> bool {
        let Self { hold, ended, .. } = self;
        drop(hold);
        !matches!(ended.recv_timeout(patience), Err(RecvTimeoutError::Timeout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than anything here takes; never waited for in full where the test passes.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_sound_server_may_keep_an_opening_waiting_for_minutes_and_a_kernel_card_not() {
        assert!(may_wait("pulse", SERVER_OPENS_WITHIN / 2));
        assert!(!may_wait("pulse", SERVER_OPENS_WITHIN));
        assert!(!may_wait("plughw:CARD=handset,DEV=0", Duration::ZERO));
    }

    /// A stream whose closing waits for the test, which has the other end.
    struct Hangs(Receiver<()>);

    impl Drop for Hangs {
        fn drop(&mut self) {
            let _ = self.0.recv();
        }
    }

    fn until(what: &str, is_so: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(start.elapsed() < PATIENCE, "{what}");
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    fn is_open<T>(stream: &StreamThread<T>) -> T {
        match stream.opened(PATIENCE) {
            Opening::Open(ends) => ends,
            Opening::Refused(why) => panic!("{why}"),
            Opening::Pending => panic!("it never opened"),
        }
    }

    #[test]
    fn a_stream_that_opens_and_closes_leaves_no_thread() {
        let threads = StreamThreads::new("test");
        for round in 0..3 * AT_MOST {
            let stream = threads.open(move || Ok(((), round))).expect("a thread");
            assert_eq!(is_open(&stream), round);
            assert_eq!(threads.living(), 1);
            assert!(stream.close(PATIENCE));
            assert_eq!(threads.living(), 0);
        }
    }

    #[test]
    fn an_opening_that_is_refused_or_panics_says_so_and_leaves_no_thread() {
        let threads = StreamThreads::new("test");
        let refused = || Err::<((), ()), _>(SoundError::Closed(Part::Earpiece));
        let stream = threads.open(refused).expect("a thread");
        assert!(matches!(
            stream.opened(PATIENCE),
            Opening::Refused(SoundError::Closed(Part::Earpiece))
        ));
        let panics = || -> Result<((), ()), SoundError> { panic!("on purpose, by a test") };
        let stream = threads.open(panics).expect("a thread");
        assert!(matches!(stream.opened(PATIENCE), Opening::Refused(_)));
        until("both have ended", || threads.living() == 0);
    }

    #[test]
    fn a_thread_that_hangs_is_left_behind_and_a_fresh_one_opens_until_there_are_too_many() {
        let threads = StreamThreads::new("test");
        let mut let_go = Vec::new();
        for hanging in 0..AT_MOST {
            assert_eq!(threads.living(), hanging);
            let (free, waits) = sync_channel::<()>(1);
            let_go.push(free);
            // Half of them hang in the opening, half in the closing.
            let stream = threads.open(move || {
                if hanging % 2 == 0 {
                    let _ = waits.recv();
                    return Ok((None, ()));
                }
                Ok((Some(Hangs(waits)), ()))
            });
            let stream = stream.expect("a fresh thread");
            match hanging % 2 {
                0 => assert!(matches!(stream.opened(Duration::ZERO), Opening::Pending)),
                _ => is_open(&stream),
            }
            assert!(!stream.close(Duration::ZERO));
        }
        assert!(threads.are_too_many());
        let refused = threads.open(|| Ok(((), ())));
        assert!(refused.is_err_and(|why| why.to_string().contains("start the gateway again")));
        // The threads that hung come back late after all: their streams are closed, and there is room again.
        drop(let_go);
        until("all have ended", || threads.living() == 0);
        let stream = threads.open(|| Ok(((), ()))).expect("a thread");
        is_open(&stream);
        assert!(stream.close(PATIENCE));
    }
}
