//! Work that takes longer than a page: making prompts and publishing, told line by line to whoever looks.
//!
//! Owns: what is being done, one thing a campaign at a time, and what was done last. It is in memory: a hub that starts again has forgotten
//! what it said, and what was published is in the hub's register. Never does: the work itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use booth_host::crew;

use crate::City;
use crate::sentence;
use crate::store::CityError;
use crate::web::Fault;
use crate::words::Sentence;

/// Most lines that are kept of one piece of work.
const MOST_LINES: usize = 200;
/// Most campaigns of which the last work is remembered.
const MOST: usize = 100;

/// How far a piece of work is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It goes on.
    Runs,
    /// It is done.
    Done,
    /// It was not done, and why.
    Failed(Sentence),
}

/// A piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    /// The word for what is done.
    pub(crate) what: &'static str,
    pub(crate) lines: Vec<String>,
    pub(crate) stage: Stage,
}

/// See the module's comment.
#[derive(Debug, Default)]
pub(crate) struct Jobs(Mutex<HashMap<String, Job>>);

impl Jobs {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Job>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is being done with a campaign, or was done last.
    pub(crate) fn of(&self, id: &str) -> Option<Job> {
        self.all().get(id).cloned()
    }

    fn begin(&self, id: &str, what: &'static str) -> Result<(), CityError> {
        let mut all = self.all();
        if all.get(id).is_some_and(|job| job.stage == Stage::Runs) {
            return Err(sentence!("editor-at-work").into());
        }
        if all.len() >= MOST {
            all.retain(|_, job| job.stage == Stage::Runs);
        }
        let job = Job {
            what,
            lines: Vec::new(),
            stage: Stage::Runs,
        };
        all.insert(id.to_owned(), job);
        Ok(())
    }

    fn tell(&self, id: &str, line: &str) {
        if let Some(job) = self.all().get_mut(id)
            && job.lines.len() < MOST_LINES
        {
            job.lines.push(line.to_owned());
        }
    }

    fn end(&self, id: &str, stage: Stage) {
        if let Some(job) = self.all().get_mut(id) {
            job.stage = stage;
        }
    }
}

/// Does a piece of work beside the pages.
///
/// # Errors
/// The campaign is being worked on already.
pub(crate) fn start(
    city: &Arc<City>,
    id: &str,
    what: &'static str,
    work: impl FnOnce(&City, crate::centre::Tell<'_>) -> Result<(), CityError> + Send + 'static,
) -> Result<(), CityError> {
    city.editing.jobs.begin(id, what)?;
    let (city, id) = (Arc::clone(city), id.to_owned());
    // Nobody waits for its end: whoever looks asks for it.
    drop(crew::errand("editor", async move {
        let (own, of) = (Arc::clone(&city), id.clone());
        let done = crew::aside("editor", move || {
            work(&own, &|line: &str| own.editing.jobs.tell(&of, line))
        })
        .await;
        let stage = match done {
            Ok(Ok(())) => Stage::Done,
            Ok(Err(why)) => Stage::Failed(Fault::from(why).into_sentence()),
            Err(death) => {
                let why = CityError::Failed(death.to_string());
                Stage::Failed(Fault::from(why).into_sentence())
            }
        };
        city.editing.jobs.end(&id, stage);
    }));
    Ok(())
}
