//! `booth-gateway fleet`: an operator watches the health topics in a terminal, or a script asks once.
//!
//! ```text
//! broker ─▶ link (comes back by itself) ─▶ book (what was heard) ─▶ screen (ratatui) ◀── choice ◀── keys
//!                                               └─▶ table (--once, --json)
//! ```
//!
//! Owns: the three ways to watch, and when a script has heard enough. Never does: publish, or judge how a booth stands; that is
//! [`booth_contract::fleet`]'s, the hub's judgement, too.
#![allow(clippy::disallowed_methods)] // waits for news

mod book;
mod choice;
mod link;
mod row;
mod screen;
mod table;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use booth_contract::Topics;
use booth_host::link::asked::{Asked, AskedError};
use booth_host::link::trouble::What;
use booth_host::{clock, crew, out, say};
use ratatui::crossterm::event::{self, Event};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use self::book::Book;
pub use self::choice::Choice;
use self::choice::Done;
use self::link::{Filters, News};

/// News of the connection that may wait.
const NEWS: usize = 256;
/// Keys that may wait.
const KEYS: usize = 16;
/// After this long without another retained message a script has heard them all.
const QUIET: Duration = Duration::from_secs(1);
/// The screen is drawn anew this often, because ages grow.
const EVERY: Duration = Duration::from_secs(1);

/// Whom to watch, and as whom.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The broker, and the operator's login.
    pub asked: Asked,
    /// The city's root topic.
    pub root: String,
    /// What to show at first.
    pub choice: Choice,
    /// How long a script waits for the fleet at most.
    pub patience: Duration,
}

/// Why there is nothing to watch.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The arguments.
    #[error(transparent)]
    Asked(#[from] AskedError),
    /// The broker, in a sentence with the remedy.
    #[error("{0}")]
    Broker(String),
    /// Its thread is no more; the log says why.
    #[error("the connection's own work has ended: that is a fault of this program")]
    NoLink,
    /// Standard output is no terminal.
    #[error("standard output is no terminal: use --once for a table, or --json for a program")]
    NoTerminal,
    /// The terminal or the system.
    #[error("the terminal cannot be used: {0}")]
    System(#[from] io::Error),
}

impl Wanted {
    fn topics(&self) -> Topics {
        Topics::new(self.root.trim_matches('/'))
    }

    fn filters(&self) -> Filters {
        let topics = self.topics();
        Filters {
            needed: topics.watcher_filters(),
            wished: topics.versions_filter(),
        }
    }
}

/// The connection's news.
fn listen(wanted: &Wanted) -> Result<(Book, mpsc::Receiver<News>), FleetError> {
    let nameless = format!("fleet-{}", std::process::id());
    let login = wanted.asked.login(&nameless)?;
    let (news_in, news) = mpsc::channel(NEWS);
    crew::errand("fleet's link", link::run(login, wanted.filters(), news_in));
    Ok((Book::new(wanted.topics()), news))
}

impl Book {
    fn take(&mut self, news: &News) {
        let now = clock::wall();
        match news {
            News::Connected => self.connected(now),
            News::Lost(trouble) => self.lost(now, &link::sentence(trouble)),
            News::Message(message) => self.hear(now, message),
        }
        self.settle(now);
    }
}

/// Listens until the broker has said what it keeps of the fleet, and says how the fleet stands; whether all are ready.
///
/// # Errors
/// A broker that cannot be reached, or lets nobody watch.
pub async fn once(wanted: &Wanted, as_json: bool) -> Result<bool, FleetError> {
    let (mut book, mut news) = listen(wanted)?;
    let until = Instant::now() + wanted.patience;
    let mut quiet = until;
    while let Some(news) = tokio::select! {
        news = news.recv() => news,
        () = sleep_until(quiet.min(until)) => None,
    } {
        match &news {
            News::Message(message) if message.is_retained => quiet = Instant::now() + QUIET,
            News::Lost(trouble)
                if trouble.what.is_final()
                    || matches!(trouble.what, What::NotSubscribed { .. }) =>
            {
                return Err(FleetError::Broker(link::sentence(trouble)));
            }
            News::Lost(_) => quiet = until,
            News::Message(_) | News::Connected => {}
        }
        book.take(&news);
    }
    if let Err(why) = &book.broker {
        return Err(FleetError::Broker(why.clone()));
    }
    let now = clock::wall();
    match as_json {
        true => say!("{:#}", table::json(&book, &wanted.choice, now)),
        false => out::print(table::text(&book, &wanted.choice, now)),
    }
    Ok(table::is_ready(&book.rows(now)))
}

/// Prints one JSON line for each thing that happens, until SIGTERM, Ctrl-C, or until nobody reads.
///
/// # Errors
/// What keeps it from beginning.
pub async fn stream(wanted: &Wanted) -> Result<(), FleetError> {
    let (mut book, mut news) = listen(wanted)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    while let Some(news) = tokio::select! {
        news = news.recv() => Some(news.ok_or(FleetError::NoLink)?),
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
    } {
        book.take(&news);
        for entry in book.log.drain(..) {
            say!("{}", table::of_entry(&entry));
        }
        if out::is_over() {
            return Ok(());
        }
    }
    Ok(())
}

/// Shows the fleet until its viewer has seen enough.
///
/// # Errors
/// What keeps it from beginning, or a terminal that has gone.
pub async fn watch(wanted: &Wanted) -> Result<(), FleetError> {
    if out::screen().is_none() {
        return Err(FleetError::NoTerminal);
    }
    let (mut book, mut news) = listen(wanted)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut keys = keyboard()?;
    let mut terminal = ratatui::try_init()?;
    let _restored = Restored;
    let mut choice = wanted.choice.clone();
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        book.settle(clock::wall());
        terminal.draw(|frame| screen::draw(frame, &book, &choice, clock::wall()))?;
        // What is heard is shown at the next tick: a city that introduces itself costs one drawing.
        loop {
            tokio::select! {
                news = news.recv() => book.take(&news.ok_or(FleetError::NoLink)?),
                _ = tick.tick() => break,
                _ = terminate.recv() => return Ok(()),
                event = keys.recv() => match event {
                    None => return Ok(()),
                    Some(Event::Key(key)) if key.is_press() => {
                        let rows = book.rows(clock::wall());
                        match choice.key(key, &choice.of(&rows), book.log.len()) {
                            Done::Ends => return Ok(()),
                            Done::Changed => break,
                            Done::Nothing => {}
                        }
                    }
                    Some(Event::Resize(..)) => break,
                    Some(_) => {}
                },
            }
        }
    }
}

/// Gives the terminal back, however the watching ends.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// What is typed. Its thread waits for the keyboard and ends with the program, or with the terminal.
fn keyboard() -> io::Result<mpsc::Receiver<Event>> {
    let (typed, keys) = mpsc::channel(KEYS);
    crew::lend("keyboard", move || {
        while let Ok(event) = event::read() {
            if typed.blocking_send(event).is_err() {
                return;
            }
        }
    })?;
    Ok(keys)
}
