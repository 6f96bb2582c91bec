//! Where a city listens: what people decide about what arrived, and what citizens see of it.
//!
//! ```text
//! the hub's store ──arrived, gone──▶ follow ──▶ city.sqlite ──▶ pages (citizens), desk (moderators), editor, open (data), rights
//!        ▲                                          ▲ acts          │
//!        └──────submit, withdraw, delete────────────┴── home ◀──────┘
//! ```
//!
//! Owns: `city.sqlite`, all pages but the hub's two internal ones. Never does: keep sound, talk to the broker, or know how a message came
//! here; [`Centre`] is its only way to the hub. Words that were withdrawn are gone from the database within a minute (`follow`).

mod alarm;
pub mod centre;
pub mod config;
mod desk;
mod draw;
mod editor;
mod follow;
mod home;
mod ideas;
mod limits;
#[cfg(any(test, feature = "made-up"))]
pub mod made_up;
mod open;
mod pages;
pub mod people;
pub mod places;
mod reports;
pub mod rights;
mod small_cells;
mod store;
#[cfg(test)]
mod testing;
mod transcribe;
pub mod watch;
pub mod web;
pub mod words;

use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;

use booth_host::crew::{self, Death};
use centre::{Campaign, Centre, Question};
use config::CityConfig;
pub use draw::harmless;
pub use store::CityError;
use store::Store;
use words::Words;

/// A city: its database, its configuration, its languages and the hub.
pub struct City {
    pub(crate) store: Store,
    pub(crate) centre: Arc<dyn Centre>,
    pub(crate) config: CityConfig,
    pub(crate) words: Words,
    pub(crate) zone: TimeZone,
    pub(crate) editing: editor::Editing,
    pub(crate) login_limits: web::LoginLimits,
    pub(crate) elsewhere: Option<people::elsewhere::Elsewhere>,
    has_accounts: std::sync::atomic::AtomicBool,
    pub(crate) pictures: pages::Pictures,
    pub(crate) reports: pages::Reports,
    pub(crate) withheld: follow::Withheld,
    pub(crate) sounds: desk::Sounds,
    pub(crate) watch_words: transcribe::WatchWords,
    pub(crate) recogniser: transcribe::Recogniser,
    pub(crate) retention: rights::Retention,
    pub(crate) looks: watch::Looks,
    pub(crate) unnoted: alarm::Unnoted,
    pub(crate) home: home::Home,
}

impl City {
    /// Opens `city.sqlite` in this folder.
    ///
    /// # Errors
    /// A database or a language that cannot be used.
    pub fn open(
        folder: &Path,
        config: CityConfig,
        centre: Arc<dyn Centre>,
    ) -> Result<Arc<Self>, CityError> {
        let words = Words::read(config.languages.as_deref())
            .map_err(|bad| CityError::Failed(format!("[city] languages: {bad}")))?;
        if let Some(missing) = config.offers.iter().find(|language| !words.has(language)) {
            let why = format!(
                "[city] offers: there is no file {missing}.ftl; put one into the folder of [city] languages, or leave {missing} out"
            );
            return Err(CityError::Failed(why));
        }
        let zone = TimeZone::get(&config.time_zone)
            .map_err(|why| CityError::Failed(format!("[city] time_zone: {why}")))?;
        let watch_words = transcribe::WatchWords::read(config.desk.watch_words.as_deref())
            .map_err(|why| CityError::Failed(format!("[city.desk] watch_words: {why}")))?;
        let elsewhere = people::elsewhere::Elsewhere::of(&config.login)?;
        Ok(Arc::new(Self {
            store: Store::open(folder)?,
            centre,
            config,
            words,
            zone,
            elsewhere,
            login_limits: Default::default(),
            has_accounts: Default::default(),
            pictures: pages::Pictures::default(),
            reports: Default::default(),
            withheld: Default::default(),
            sounds: Default::default(),
            watch_words,
            recogniser: Default::default(),
            editing: editor::Editing::default(),
            retention: Default::default(),
            looks: Default::default(),
            unnoted: Default::default(),
            home: home::Home::default(),
        }))
    }

    /// The day of a moment in the city's time zone, `YYYY-MM-DD`.
    pub(crate) fn day_of(&self, moment: jiff::Timestamp) -> String {
        moment
            .to_zoned_datetime(self.zone.clone())
            .date()
            .to_string()
    }

    /// Asks the database and the hub on a thread of its own: both may block.
    pub(crate) async fn aside<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Self) -> Result<T, CityError> + Send + 'static,
    ) -> Result<T, CityError> {
        let city = Arc::clone(self);
        crew::aside("city", move || question(&city))
            .await
            .unwrap_or_else(|death: Death| Err(CityError::Failed(death.to_string())))
    }

    /// Where citizens reach this page, given without a leading slash, in this language or the city's first one; `None` where the citizens'
    /// pages do not run, or on a port that nobody was told.
    pub fn citizens_page(&self, language: &str, page: &str) -> Option<String> {
        let is_there = self.config.listen.is_some_and(|listen| listen.port() != 0);
        let offers = &self.config.offers;
        let offered = offers.iter().find(|offer| *offer == language);
        let language = offered.or(offers.first()).filter(|_| is_there)?;
        let address = self.config.address.trim_end_matches('/');
        Some(format!("{address}/{language}/{page}"))
    }

    /// The published campaign of this id.
    pub(crate) fn campaign(&self, id: &str) -> Result<Option<Campaign>, CityError> {
        let campaigns = self.centre.campaigns()?;
        Ok(campaigns.into_iter().find(|campaign| campaign.id == id))
    }

    /// The same with its question of this id.
    pub(crate) fn question(
        &self,
        campaign: &str,
        id: &str,
    ) -> Result<Option<(Campaign, Question)>, CityError> {
        Ok(self.campaign(campaign)?.and_then(|campaign| {
            let question = campaign.questions.iter().find(|one| one.id == id)?.clone();
            Some((campaign, question))
        }))
    }

    /// Whether citizens may not see this question at the moment, nor answer it.
    pub(crate) fn is_stopped(&self, campaign: &str, question: &str) -> Result<bool, CityError> {
        Ok(self.centre.stopped()?.has(campaign, question))
    }

    /// Notes in the log of acts that somebody has stopped a question or given it back, and sees to it that no page shows what it showed.
    ///
    /// # Errors
    /// A database that does not answer.
    pub fn note_stop(
        &self,
        person: &people::Person,
        stop: people::QuestionAct<'_>,
    ) -> Result<(), CityError> {
        let noted = stop.note(&self.store, person.actor());
        self.pictures.forget();
        noted
    }

    /// Takes over what arrived and what is gone; `with_late` also what an operator admitted after later ones. The hub asks every second, and
    /// every minute with the late ones.
    ///
    /// # Errors
    /// A database or a hub that does not answer; the next look goes on from there.
    pub fn follow(&self, with_late: bool) -> Result<(), CityError> {
        let followed = follow::follow(self, with_late);
        self.looks
            .worked("follow", booth_host::clock::wall(), followed)
    }

    /// Lets go of what is gone and of nothing else: before anybody is shown anything, what citizens took back is not shown any more, also where
    /// this database is an older one than the hub's. What cannot be written down is withheld.
    ///
    /// # Errors
    /// A database or a hub that does not answer; [`City::follow`] goes on from there.
    pub fn forget_first(&self) -> Result<(), CityError> {
        follow::let_go_of_all(self)
    }

    /// Takes over what arrived, notes which booths are ready, and looks at what is wrong. What is wrong is looked for also where the rest fails.
    /// The hub asks every 20 s.
    ///
    /// # Errors
    /// The first of them that failed; the next look goes on from there.
    pub fn look_around(&self, now: jiff::Timestamp, with_late: bool) -> Result<(), CityError> {
        let followed = self.follow(with_late).and_then(|()| self.observe());
        let watched = self.watch(now);
        followed.and(watched)
    }

    /// How many messages wait for a decision, and since when the oldest of them does.
    ///
    /// # Errors
    /// A database that does not answer.
    pub fn waiting_for_a_decision(&self) -> Result<(u64, Option<jiff::Timestamp>), CityError> {
        let (messages, oldest): (u64, Option<String>) = self.store.read(|db| {
            db.prepare_cached(
                "SELECT count(*), min(received_at) FROM message WHERE state = 'waiting' AND kind <> 'choice'",
            )?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        })?;
        Ok((messages, oldest.and_then(|at| at.parse().ok())))
    }

    /// Makes drafts of transcripts with the command of `[city.transcribe]`, and looks through what arrives for somebody in danger, until it is
    /// dropped.
    pub async fn make_drafts(self: Arc<Self>) {
        transcribe::work(self).await;
    }

    /// Tells the contacts of `[city.alarm]` that somebody may be in danger, until it is dropped.
    pub async fn tell_alarms(self: Arc<Self>) {
        alarm::work(self).await;
    }

    /// Notes in the log of acts that somebody has sent a command, e.g. `ring to rundhoej-1`.
    ///
    /// # Errors
    /// A database that does not answer.
    pub fn note_order(&self, person: &people::Person, about: &str) -> Result<(), CityError> {
        let act = store::Act::new(person.actor(), "sent a command", about);
        self.store.change(act, |_| Ok(()))
    }

    /// Tells whoever is on duty in `[city.watch]` what is wrong, and lets the heart beat, until it is dropped.
    pub async fn tell_duty(self: Arc<Self>) {
        watch::work(self).await;
    }
}
