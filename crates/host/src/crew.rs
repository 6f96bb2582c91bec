//! Every thread and task of both programs is started here, under a name, and its death is reported at once.
//!
//! Owns: the names, and the report that a worker has panicked or has ended although it was not dismissed. Never does: mend a worker
//! or start it again; the program ends when it hears of a death, and the service manager starts it anew. `clippy.toml` bans every
//! other way to start a thread or a task.
//!
//! A program gathers a crew on its main thread ([`Crew::gather`]) and hears of its dead workers. A worker that is started by a
//! worker belongs to the same crew, as a task belongs to its runtime. Without a crew (in a test, in the doctor) a death is reported
//! to nobody.
#![allow(clippy::disallowed_methods)] // starts threads and tasks

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread::{Builder, JoinHandle};

use tokio::sync::mpsc::{Receiver, Sender, channel};

/// A worker that has ended although it was not dismissed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// The worker's name.
    pub name: String,
    /// How it ended.
    pub how: String,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, how } = self;
        write!(f, "the worker {name} has died: {how}")
    }
}

impl std::error::Error for Death {}

/// Most deaths that wait to be reported.
const MOST_DEATHS: usize = 32;

/// The crew that a worker belongs to.
#[derive(Debug, Clone)]
struct Ties {
    reports: Sender<Death>,
    is_dismissed: Arc<AtomicBool>,
}

thread_local! {
    /// The crew of this thread.
    static CREW: RefCell<Option<Ties>> = const { RefCell::new(None) };
    /// The message of this thread's latest panic, and its place in the program.
    static LAST_WORDS: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The crew of this thread, and of all workers that are started from it, until this value is dropped.
pub struct Crew {
    ties: Ties,
    deaths: Receiver<Death>,
}

impl Crew {
    /// Gathers a crew: every worker that this thread starts from now on belongs to it.
    pub fn gather() -> Self {
        let (reports, deaths) = channel(MOST_DEATHS);
        let is_dismissed = Arc::default();
        let ties = Ties {
            reports,
            is_dismissed,
        };
        CREW.set(Some(ties.clone()));
        Self { ties, deaths }
    }

    /// Waits for the next death. The future may be dropped while it waits.
    pub async fn death(&mut self) -> Death {
        match self.deaths.recv().await {
            Some(death) => death,
            // This never happens: the crew itself holds a sender.
            None => std::future::pending().await,
        }
    }

    /// Dismisses the crew: a worker that ends from now on is no death. A panic is still reported.
    pub fn dismiss(&self) {
        self.ties.is_dismissed.store(true, Ordering::Release);
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.dismiss();
        CREW.set(None);
    }
}

/// One worker's place in its crew.
struct Place {
    name: String,
    crew: Option<Ties>,
    /// The worker has to work until it is dismissed.
    is_for_good: bool,
}

impl Place {
    fn new(name: &str, is_for_good: bool) -> Self {
        let crew = CREW.with_borrow(Clone::clone);
        let name = name.to_owned();
        Self {
            name,
            crew,
            is_for_good,
        }
    }

    fn tell(&self, how: String) {
        if let Some(crew) = &self.crew {
            let name = self.name.clone();
            // The receiver may be gone or full; neither matters, because the first death ends the process.
            let _ = crew.reports.try_send(Death { name, how });
        }
    }

    /// Runs the work on this thread, which belongs to the crew from now on; a panic is reported and goes no further.
    fn fill(self, work: impl FnOnce()) {
        CREW.set(self.crew.clone());
        let done = catch_unwind(AssertUnwindSafe(work));
        self.left(done);
    }

    fn left(self, done: Result<(), Box<dyn Any + Send>>) {
        match done {
            Err(panic) => self.tell(words_of(&*panic)),
            Ok(()) => {
                let is_dismissed = |crew: &Ties| crew.is_dismissed.load(Ordering::Acquire);
                if self.is_for_good && !self.crew.as_ref().is_some_and(is_dismissed) {
                    self.tell("it ended by itself".into());
                }
            }
        }
    }
}

/// Starts a thread that works until its crew is dismissed. If it ends before that, or panics, that is a death.
pub fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let place = Place::new(name, true);
    let thread = Builder::new().name(name.into());
    thread.spawn(move || place.fill(work))
}

/// Starts a thread that does one thing and ends. Only its panic is a death.
pub fn lend(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let place = Place::new(name, false);
    let thread = Builder::new().name(name.into());
    thread.spawn(move || place.fill(work))
}

/// Starts a thread for work that may be expected to panic: a panic concerns only the caller that waits for the answer.
pub fn contain<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name.into()).spawn(work)
}

/// Starts a task on this thread's runtime that works until its crew is dismissed. If it ends before that, or panics, that is a
/// death.
pub fn task(
    name: &str,
    work: impl Future<Output = ()> + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    spawn(Place::new(name, true), work)
}

/// Starts a task on this thread's runtime that does one thing and ends. Only its panic is a death.
pub fn errand(
    name: &str,
    work: impl Future<Output = ()> + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    spawn(Place::new(name, false), work)
}

fn spawn(
    place: Place,
    work: impl Future<Output = ()> + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    // Each future that it is moved through would hold room for it, three times what it takes.
    let work = Box::pin(work);
    tokio::spawn(async move { place.left(unwound(work).await) })
}

/// Does blocking work beside this task. A panic is returned for the caller to judge.
///
/// There are more than a hundred kinds of such work. What the runtime needs to carry one of them out is compiled once, for a box.
pub async fn aside<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Death> {
    let answer = boxed_aside(name, Box::new(move || Box::new(work()))).await?;
    Ok(*answer.downcast().expect("the work answers with a T"))
}

type Answer = Box<dyn Any + Send>;

async fn boxed_aside(
    name: &str,
    work: Box<dyn FnOnce() -> Answer + Send>,
) -> Result<Answer, Death> {
    let name = name.to_owned();
    let done = tokio::task::spawn_blocking(move || catch_unwind(AssertUnwindSafe(work)));
    match done.await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(panic)) => Err(Death {
            name,
            how: words_of(&*panic),
        }),
        Err(error) => Err(Death {
            name,
            how: error.to_string(),
        }),
    }
}

/// Runs the main thread's own work: its panic is a death, too.
pub async fn watched<T>(name: &str, work: impl Future<Output = T>) -> Result<T, Death> {
    unwound(work).await.map_err(|panic| Death {
        name: name.to_owned(),
        how: words_of(&*panic),
    })
}

/// Runs a future, and returns its panic as an error.
async fn unwound<T>(work: impl Future<Output = T>) -> Result<T, Box<dyn Any + Send>> {
    let mut work = pin!(work);
    std::future::poll_fn(move |context| {
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(answer)) => Poll::Ready(Ok(answer)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}

/// Belongs to code of this program that a library runs on a thread of its own, such as a sound card's callback. If a panic drops
/// it, it reports the death to the crew of the thread that made it.
pub struct Callback(Place);

impl Callback {
    /// A callback of this thread's crew.
    pub fn new(name: &str) -> Self {
        Self(Place::new(name, false))
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let how = LAST_WORDS.take().unwrap_or_else(|| "it panicked".into());
            self.0.tell(how);
        }
    }
}

/// From now on a panic is a line of the log, with its place in the program, and one sentence for the receiver of the death.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        let place = panic
            .location()
            .map_or("somewhere".to_owned(), ToString::to_string);
        let how = format!("it panicked at {place}: {}", message_of(panic.payload()));
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("without a name");
        log::error!(about = format!("panic at {place}"); "the thread {name}: {how}");
        LAST_WORDS.set(Some(how));
    }));
}

/// How a thread died, as its panic says.
fn words_of(panic: &(dyn Any + Send)) -> String {
    let last_words = LAST_WORDS.take();
    last_words.unwrap_or_else(|| format!("it panicked: {}", message_of(panic)))
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a word")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Runs the work as a program would, with a time limit.
    fn run<T>(work: impl AsyncFnOnce(Crew) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let patience = Duration::from_secs(60);
        runtime.block_on(async {
            tokio::time::timeout(patience, work(Crew::gather()))
                .await
                .expect("nobody tells")
        })
    }

    fn died(name: &str, how: &str) -> Death {
        Death {
            name: name.into(),
            how: how.into(),
        }
    }

    #[test]
    fn a_panic_and_an_end_of_every_kind_of_worker_are_told_by_name() {
        run(async |mut crew| {
            start("recorder", || panic!("no frame")).expect("a thread");
            assert_eq!(
                crew.death().await,
                died("recorder", "it panicked: no frame")
            );
            start("keeper", || {}).expect("a thread");
            assert_eq!(crew.death().await, died("keeper", "it ended by itself"));
            lend("doctor", || panic!("line {}", 7)).expect("a thread");
            assert_eq!(crew.death().await, died("doctor", "it panicked: line 7"));
            let _task = task("mqtt", async { panic!("a packet") });
            assert_eq!(crew.death().await, died("mqtt", "it panicked: a packet"));
            let _task = task("mqtt", async {});
            assert_eq!(crew.death().await, died("mqtt", "it ended by itself"));
            let loops = watched("loop", async { panic!("a state") });
            assert_eq!(loops.await, Err(died("loop", "it panicked: a state")));
            let asked = aside("pages", || panic!("a row"));
            assert_eq!(asked.await, Err(died("pages", "it panicked: a row")));
        });
    }

    #[test]
    fn a_worker_of_a_worker_and_code_that_a_library_runs_are_of_the_same_crew() {
        run(async |mut crew| {
            let _started = lend("capture", || {
                let callback = Callback::new("microphone");
                let nested = start("opening", || panic!("a card"));
                nested.expect("a thread").join().expect("it is caught");
                // As a sound library does: a thread that this module has not started.
                let library = std::thread::spawn(move || {
                    let _callback = callback;
                    panic!("a frame");
                });
                assert!(library.join().is_err());
            });
            assert_eq!(crew.death().await.name, "opening");
            assert_eq!(crew.death().await.name, "microphone");
        });
    }

    #[test]
    fn whoever_ends_after_the_crew_was_dismissed_or_was_only_lent_is_not_dead() {
        run(async |mut crew| {
            lend("resolver", || {})
                .expect("a thread")
                .join()
                .expect("ends");
            drop(Callback::new("microphone"));
            let (go, gone) = std::sync::mpsc::sync_channel::<()>(1);
            let keeper = start("keeper", move || assert!(gone.recv().is_err())).expect("a thread");
            crew.dismiss();
            drop(go);
            keeper.join().expect("ends");
            assert!(crew.deaths.try_recv().is_err());
            let contained = contain("ledger", || panic!("a damaged file")).expect("a thread");
            assert!(contained.join().is_err());
            assert!(crew.deaths.try_recv().is_err());
            // But a panic is a death, even after the dismissal.
            start("keeper", || panic!("a sync")).expect("a thread");
            assert_eq!(crew.death().await.name, "keeper");
        });
    }

    #[test]
    fn without_a_crew_nobody_is_told() {
        let alone = start("alone", || panic!("here")).expect("a thread");
        alone.join().expect("it is caught");
    }
}
