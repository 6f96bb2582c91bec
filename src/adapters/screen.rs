//! The page of the booth's screen, served to a browser on this machine.
//!
//! Owns: one thread, at most [`MOST_GUESTS`] connections, the newest scene for each of them, the microphone's level while
//! somebody is recorded. Never does: hold up the loop, keep a scene that was replaced, answer another machine. A failure leaves
//! the booth without its screen and nothing else.
//!
//! HTTP is spoken by hand over `httparse` (ARCHITECTURE.md): four answers, no body, no connection that is used twice.
#![allow(clippy::disallowed_methods)] // its clocks are time-outs; it writes its address into a file

mod request;
mod sentences;
mod view;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout, timeout_at};
use zeroize::Zeroizing;

use super::ear::MicLevels;
use super::prompts::Prompts;
use super::prompts::centre::Centre;
use booth_host::{clock, crew};
use gateway_core::prompt::Prompt;
use gateway_core::session::{Phase, Scene};
use request::{Answer, answer};
use view::View;

/// Connections at a time: a browser has six at most.
const MOST_GUESTS: usize = 8;
/// Of these, those that get each change: the screen, and a technician who looks.
const MOST_WATCHERS: usize = 4;
/// Largest head of a request, bytes.
const MOST_HEAD: usize = 8 * 1024;
/// Time within which a request's head has to be whole, and within which its answer has to be taken.
const PATIENCE: Duration = Duration::from_secs(3);
/// The page hears from a gateway that is well at least this often.
const BEAT: Duration = Duration::from_secs(5);
/// The microphone's level is shown at most this often.
const LEVEL_EVERY: Duration = Duration::from_millis(100);
/// Pause before a port that is taken is asked for again.
const AGAIN: Duration = Duration::from_secs(10);
/// The level of a room, and of a loud voice, dBFS: the ends of the scale.
const QUIET_DBFS: f64 = -60.0;
const LOUD_DBFS: f64 = -12.0;
/// Room for a view as it is sent, so that none is copied while it is made.
const VIEW_BYTES: usize = 32 * 1024;

/// What a citizen presses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// A keypad, with `*` and `#`.
    Pad,
    /// A dial: its 0 is what `*` is elsewhere, and any digit ends a recording.
    Dial,
    /// Taps of the hook, which end no recording.
    Hook,
    /// A button at most.
    None,
}

/// The sentence about prompts, by their names, that came without their text; `None` where there are none.
pub fn lacking(names: &[&str]) -> Option<String> {
    let first = names.first()?;
    Some(format!(
        "The screen cannot show what these prompts say: {}. Put the text beside the sound ({first}.txt), or into its comment TEXT=.",
        names.join(", ")
    ))
}

/// What the screen keeps of what is said.
pub fn kept(said: &[Prompt]) -> Vec<Prompt> {
    view::kept(said)
}

/// What is to be seen, with all that its words are made of.
pub struct Show {
    /// The visit.
    pub scene: Scene,
    /// What is being said, or was said last in this visit.
    pub said: Vec<Prompt>,
    /// The booth's own prompts, with their texts.
    pub prompts: Arc<Prompts>,
    /// Those of the centre and of other languages, which come first.
    pub centre: Arc<Centre>,
    /// Whether a citizen can speak.
    pub is_ready: bool,
}

/// The loop's end of the screen. Dropped, it ends the screen's thread.
pub struct Screen(watch::Sender<Option<Arc<Show>>>);

impl Screen {
    /// Starts to serve the page. `note` is the file that its address is written into once it is served; `keys` are what the
    /// booth has.
    ///
    /// # Errors
    /// The system gives no thread or no runtime.
    pub fn start(
        listen: SocketAddr,
        note: PathBuf,
        levels: Arc<MicLevels>,
        keys: Keys,
    ) -> io::Result<Self> {
        let (shows, seen) = watch::channel(None);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let screen = Arc::new(Served {
            own: listen,
            note,
            levels,
            keys,
            seen,
            watchers: Arc::new(Semaphore::new(MOST_WATCHERS)),
        });
        crew::start("screen", move || runtime.block_on(screen.serve()))?;
        Ok(Self(shows))
    }

    /// Shows this from now on, in place of what was shown. Never waits.
    pub fn show(&self, show: Show) {
        self.0.send_replace(Some(Arc::new(show)));
    }
}

/// What all connections have in common.
struct Served {
    own: SocketAddr,
    note: PathBuf,
    levels: Arc<MicLevels>,
    keys: Keys,
    seen: watch::Receiver<Option<Arc<Show>>>,
    watchers: Arc<Semaphore>,
}

impl Served {
    /// Serves until the loop has let go of its end.
    async fn serve(self: Arc<Self>) {
        let mut seen = self.seen.clone();
        let gone = async { while seen.changed().await.is_ok() {} };
        tokio::select! {
            () = gone => {}
            () = self.receive() => {}
        }
    }

    async fn receive(self: &Arc<Self>) {
        let mut is_logged = false;
        let listener = loop {
            match TcpListener::bind(self.own).await {
                Ok(listener) => break listener,
                Err(error) if is_logged => log::debug!("{}: {error}", self.own),
                Err(error) => {
                    is_logged = true;
                    log::warn!(about = "screen"; "the screen's page cannot be served at {}: {error}; it is tried again every {} s", self.own, AGAIN.as_secs());
                }
            }
            sleep(AGAIN).await;
        };
        log::info!("the screen's page is served at http://{}/", self.own);
        if let Err(error) = self.leave_note() {
            log::warn!(
                "{}: {error}; whoever starts the browser has to know the address",
                self.note.display()
            );
        }
        let places = Arc::new(Semaphore::new(MOST_GUESTS));
        // Its end ends all connections.
        let mut guests = JoinSet::new();
        loop {
            // While there is no place, nobody is let in: they wait in the system's queue, a few seconds at most.
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            while guests.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((stream, _)) => {
                    let screen = self.clone();
                    guests.spawn(async move {
                        let _place = place;
                        screen.meet(stream).await;
                    });
                }
                Err(error) => {
                    log::warn!(about = "screen"; "the system gives the screen's page no connection: {error}");
                    sleep(PATIENCE).await;
                }
            }
        }
    }

    /// Writes down where the page is. Nothing else depends on it, and it lies in memory (/run), so it need not be durable.
    fn leave_note(&self) -> io::Result<()> {
        let half = self.note.with_extension("new");
        std::fs::write(&half, format!("http://{}/\n", self.own))?;
        std::fs::rename(&half, &self.note)
    }

    /// One connection: one request, one answer. Whoever is slow or leaves costs only this connection.
    async fn meet(&self, mut stream: TcpStream) {
        let until = Instant::now() + PATIENCE;
        let Ok(Ok(answer)) = timeout_at(until, self.request(&mut stream)).await else {
            return;
        };
        let (answer, watcher) = match (answer, self.watchers.try_acquire()) {
            (Answer::Events, Ok(watcher)) => (Answer::Events, Some(watcher)),
            (Answer::Events, Err(_)) => (request::FULL, None),
            (answer, _) => (answer, None),
        };
        let head = answer.head();
        if write(&mut stream, head.as_bytes()).await.is_err()
            || write(&mut stream, answer.body()).await.is_err()
        {
            return;
        }
        if watcher.is_some() {
            // Its end is that of the connection, or of this screen.
            let _ = self.show(stream).await;
        } else {
            let _ = stream.shutdown().await;
        }
    }

    async fn request(&self, stream: &mut TcpStream) -> io::Result<Answer> {
        let mut head = Vec::with_capacity(1024);
        loop {
            let read = stream.read_buf(&mut head).await?;
            if let Some(answer) = answer(&head, self.own) {
                return Ok(answer);
            }
            if read == 0 || head.len() >= MOST_HEAD {
                return Ok(request::BAD);
            }
        }
    }

    /// Sends what is to be seen, at each change, until the reader is gone. Whoever reads slowly misses what was replaced
    /// meanwhile; nothing waits for him.
    async fn show(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut seen = self.seen.clone();
        seen.mark_changed();
        let (mut beat, mut measure) = (interval(BEAT), interval(LEVEL_EVERY));
        measure.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut is_live, mut level) = (false, 0);
        let mut word = [0; 64];
        loop {
            tokio::select! {
                changed = seen.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let show = seen.borrow_and_update().clone();
                    let Some(show) = show else { continue };
                    is_live = show.scene.phase == Phase::Recording;
                    level = 0;
                    write(&mut stream, &event(&show, self.keys)).await?;
                }
                _ = measure.tick(), if is_live => {
                    let now = percent(self.levels.get().rms_dbfs);
                    if now != level {
                        level = now;
                        write(&mut stream, format!("event: level\ndata: {level}\n\n").as_bytes()).await?;
                    }
                }
                _ = beat.tick() => write(&mut stream, b"event: beat\ndata: 0\n\n").await?,
                // A browser says nothing more; what it does send is dropped, and its end ends this.
                read = stream.read(&mut word) => if read? == 0 { return Ok(()) },
            }
        }
    }
}

/// Writes all of it, or gives the reader up.
async fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    timeout(PATIENCE, stream.write_all(bytes)).await?
}

/// A view as an event. It may hold a receipt, so it is overwritten when it has been sent.
fn event(show: &Show, keys: Keys) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(VIEW_BYTES));
    bytes.extend_from_slice(b"event: view\ndata: ");
    let view = View::of(show, clock::mono(), keys);
    serde_json::to_writer(&mut *bytes, &view).expect("a view holds only text and numbers");
    bytes.extend_from_slice(b"\n\n");
    bytes
}

/// A level as a share of the scale.
fn percent(dbfs: f64) -> u8 {
    let share = (dbfs - QUIET_DBFS) / (LOUD_DBFS - QUIET_DBFS);
    (share.clamp(0.0, 1.0) * 100.0).round() as u8
}
