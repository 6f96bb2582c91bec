//! A message's sound at the desk, and the one that is published of it.
//!
//! Owns: the portraits and published sounds of the last messages, in memory and within a limit; whoever asks for one is checked against the
//! row first, so that what was withdrawn is not had from here, and [`Sounds::forget_gone`] takes it out of memory. Never does: write sound to a disk.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use booth_audio::{Cuts, NotPublished, Portrait, at_level, portrait, published};
use booth_contract::ClipId;

use super::decide::{Content, State};
use super::rows;
use crate::City;
use crate::centre::{CentreError, Kind};
use crate::sentence;
use crate::store::CityError;

/// Bars of a waveform.
const BARS: usize = 600;
/// Portraits that are kept.
const MOST_PORTRAITS: usize = 64;
/// Bytes of published sounds that are kept.
const MOST_PUBLISHED_BYTES: usize = 16 * 1024 * 1024;

/// A published sound: whose, of which version, and its bytes.
type Rendered = (String, i64, Arc<Vec<u8>>);

/// What is kept of the last sounds.
#[derive(Debug, Default)]
pub(crate) struct Sounds {
    portraits: Mutex<VecDeque<(String, Arc<Portrait>)>>,
    published: Mutex<VecDeque<Rendered>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sounds {
    /// Lets go of what belongs to no message any more; `is_there` says which do.
    pub(crate) fn forget_gone(&self, mut is_there: impl FnMut(&str) -> bool) {
        locked(&self.portraits).retain(|(id, _)| is_there(id));
        locked(&self.published).retain(|(id, _, _)| is_there(id));
    }

    fn portrait(&self, id: &str) -> Option<Arc<Portrait>> {
        let kept = locked(&self.portraits);
        let found = kept.iter().find(|(own, _)| own == id);
        found.map(|(_, portrait)| Arc::clone(portrait))
    }

    fn keep_portrait(&self, id: &str, portrait: &Arc<Portrait>) {
        let mut kept = locked(&self.portraits);
        kept.retain(|(own, _)| own != id);
        kept.push_back((id.to_owned(), Arc::clone(portrait)));
        while kept.len() > MOST_PORTRAITS {
            kept.pop_front();
        }
    }

    fn published(&self, id: &str, version: i64) -> Option<Arc<Vec<u8>>> {
        let kept = locked(&self.published);
        let found = kept.iter().find(|(own, of, _)| own == id && *of == version);
        found.map(|(_, _, sound)| Arc::clone(sound))
    }

    fn keep_published(&self, id: &str, version: i64, sound: &Arc<Vec<u8>>) {
        let mut kept = locked(&self.published);
        kept.retain(|(own, _, _)| own != id);
        kept.push_back((id.to_owned(), version, Arc::clone(sound)));
        let mut bytes: usize = kept.iter().map(|(_, _, sound)| sound.len()).sum();
        while bytes > MOST_PUBLISHED_BYTES
            && let Some((_, _, oldest)) = kept.pop_front()
        {
            bytes -= oldest.len();
        }
    }
}

/// What a spoken message looks like.
pub(crate) fn portrait_of(city: &City, id: &str) -> Result<Arc<Portrait>, CityError> {
    if let Some(known) = city.sounds.portrait(id) {
        return Ok(known);
    }
    let sound = city.centre.sound(&ClipId::from(id.to_owned()))?;
    let seen = portrait(&sound, BARS);
    let seen = seen.map_err(|why| sentence!("desk-bad-sound", why = why.what))?;
    let seen = Arc::new(seen);
    city.sounds.keep_portrait(id, &seen);
    Ok(seen)
}

/// A spoken message for a moderator's ears: all of it, at a level to work by.
pub(crate) fn for_desk(city: &City, id: &str) -> Result<Vec<u8>, CityError> {
    let gain_db = portrait_of(city, id).map_or(0.0, |seen| seen.gain_db);
    let sound = city.centre.sound(&ClipId::from(id.to_owned()))?;
    Ok(at_level(sound, gain_db))
}

/// The sound of a message as everybody may hear it: without what was cut, silent where somebody is named. The same bytes each time until
/// somebody decides anew.
///
/// # Errors
/// [`CentreError::NotThere`] unless the message is published with its voice at this moment.
pub(crate) fn published_sound(city: &City, id: &ClipId) -> Result<Vec<u8>, CityError> {
    let message = city.store.read(|db| rows::message(db, id.as_str()))?;
    let shown = message.filter(|message| {
        let standing = &message.standing;
        let is_shown = standing.state == State::Published && standing.with_voice;
        let is_voice = message.kind == Kind::Spoken && !message.content.is_child;
        is_shown && is_voice && message.may_publish == booth_contract::Publish::Voice
    });
    let message = shown.ok_or(CentreError::NotThere)?;
    if let Some(known) = city.sounds.published(&message.id, message.version) {
        return Ok(known.to_vec());
    }
    let sound = city.centre.sound(id)?;
    let made = published(&sound, &cuts(&message.content));
    let made = made.map_err(|why| match why {
        NotPublished::NothingLeft => sentence!("fault-nothing-left"),
        why => sentence!("fault-no-sound", why = why.to_string()),
    })?;
    let made = Arc::new(made);
    city.sounds
        .keep_published(&message.id, message.version, &made);
    Ok(made.to_vec())
}

/// What is taken out of the sound.
pub(crate) fn cuts(content: &Content) -> Cuts {
    Cuts {
        from_ms: content.trim_from_ms,
        to_ms: content.trim_to_ms,
        silenced: content.silenced.clone(),
    }
}
