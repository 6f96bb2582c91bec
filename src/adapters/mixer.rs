//! The sound card's mixer: gain, volume and sidetone, through ALSA's simple mixer controls.
//!
//! Owns: setting the controls that the configuration names, at the start and each time a card comes back (a USB card wakes
//! with its own defaults), and looking at them. Never does: touch a control that is not named, or stop the booth; for a
//! control that cannot be set there is a sentence. It has its own thread, because a dying USB card makes ALSA wait for
//! seconds.

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use alsa::Round;
use alsa::mixer::{MilliBel, Mixer, Selem, SelemChannelId, SelemId};

use crate::config::{Audio, ControlKind, Loudness, MixerControl, NoMixer};

/// How often a control that could not be set is tried again.
const RETRY: Duration = Duration::from_secs(30);
/// Most controls that a sentence names.
const MOST_NAMED: usize = 24;

/// Why a control cannot be set or looked at, with its remedy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MixerError {
    /// The configuration does not say which mixer has it.
    #[error("{0}")]
    Unknown(NoMixer),
    /// The mixer's name is none.
    #[error("[audio] mixer holds a NUL")]
    Nul,
    /// The mixer is not there.
    #[error(
        "the mixer {name:?} cannot be opened: {error}; plug the sound card in, or set [audio] mixer to a card's \
         name, such as \"hw:CARD=handset\" (`aplay -l` lists them)"
    )]
    Open {
        /// Its name.
        name: String,
        /// Why.
        error: alsa::Error,
    },
    /// The mixer has no such control.
    #[error("[audio] {key}_control: the control {name:?} {why} on this card; {others}")]
    NoControl {
        /// What it is for.
        key: &'static str,
        /// Its name.
        name: String,
        /// What it lacks.
        why: &'static str,
        /// Those that would do.
        others: String,
    },
    /// A level is asked of a mere switch.
    #[error(
        "[audio] {key}_control: {name:?} has a switch and no level; take {key}_db and {key}_percent out"
    )]
    NoLevel {
        /// What it is for.
        key: &'static str,
        /// Its name.
        name: String,
    },
    /// Decibels are asked of a control without them.
    #[error("[audio] {key}_db: the control {name:?} has no scale in dB; use {key}_percent")]
    NoScale {
        /// What it is for.
        key: &'static str,
        /// Its name.
        name: String,
    },
    /// The card refuses.
    #[error(
        "[audio] {key}_control: the card does not let {name:?} be set or read: {error}; unplug the card and plug it in again"
    )]
    Refused {
        /// What it is for.
        key: &'static str,
        /// Its name.
        name: String,
        /// Why.
        error: alsa::Error,
    },
}

/// A level beyond what its control can do: the control stands at the nearest that it can.
#[derive(Debug, Clone, PartialEq)]
pub struct OutOfRange {
    /// What the control is for.
    key: &'static str,
    /// Its name.
    name: String,
    /// The level that was asked for, dB.
    asked_db: f64,
    /// The lowest and the highest that it can do, dB.
    range_db: (f64, f64),
    /// Where it stands, dB.
    stands_db: f64,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, name, .. } = self;
        let (asked, (low, high), stands) = (self.asked_db, self.range_db, self.stands_db);
        write!(
            f,
            "[audio] {key}_db = {asked} is outside of what {name:?} can do, {low} to {high} dB; it stands at {stands}"
        )
    }
}

/// What came of setting the controls.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Applied {
    /// Why controls could not be set.
    pub faults: Vec<MixerError>,
    /// Controls that were set to another level than asked.
    pub notes: Vec<OutOfRange>,
}

/// How a control stands now.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The control that was asked for.
    pub control: MixerControl,
    /// Its level in dB, where it has such a scale.
    pub decibels: Option<f64>,
    /// Its level in percent of its range, where it has one.
    pub percent: Option<u8>,
    /// Whether it lets sound through; `true` without a switch.
    pub is_on: bool,
    /// Whether this is what the configuration wants.
    pub is_as_wanted: bool,
}

/// Sets the controls at once and at each command, until the commands end; a control that failed is tried again at intervals.
pub fn run(audio: &Audio, commands: &Receiver<()>, report: impl Fn(Applied)) {
    let controls = audio.mixer_controls();
    let mut last = None;
    loop {
        let applied = apply(&controls);
        let has_faults = !applied.faults.is_empty();
        if last.as_ref() != Some(&applied) {
            last = Some(applied.clone());
            report(applied);
        }
        loop {
            match commands.recv_timeout(RETRY) {
                Ok(()) => break,
                Err(RecvTimeoutError::Timeout) if has_faults => break,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        // Microphone and earpiece come back together: one setting is enough.
        while commands.try_recv().is_ok() {}
    }
}

/// Sets every control.
pub fn apply(controls: &[MixerControl]) -> Applied {
    let mut applied = Applied::default();
    for control in controls {
        match set(control) {
            Ok(notes) => applied.notes.extend(notes),
            Err(why) => applied.faults.push(why),
        }
    }
    applied
}

/// Looks at every control and changes none.
pub fn look(controls: &[MixerControl]) -> Vec<(MixerControl, Result<Standing, MixerError>)> {
    let look = |control: &MixerControl| (control.clone(), standing(control));
    controls.iter().map(look).collect()
}

/// Opens a mixer quietly: ALSA would write to standard error what the returned sentence says.
fn open(wanted: &MixerControl) -> Result<Mixer, MixerError> {
    let name = wanted.mixer.clone().map_err(MixerError::Unknown)?;
    if name.contains('\0') {
        return Err(MixerError::Nul);
    }
    let _quiet = alsa::Output::local_error_handler();
    Mixer::new(&name, true).map_err(|error| MixerError::Open { name, error })
}

/// What one control can do in one direction, capture or playback.
struct Control<'a> {
    selem: Selem<'a>,
    is_capture: bool,
    has_volume: bool,
    has_switch: bool,
}

fn find<'a>(mixer: &'a Mixer, wanted: &MixerControl) -> Result<Control<'a>, MixerError> {
    let (name, index) = match wanted.name.rsplit_once(',') {
        Some((name, index)) => match index.trim().parse() {
            Ok(index) => (name, index),
            Err(_) => (wanted.name.as_str(), 0),
        },
        None => (wanted.name.as_str(), 0),
    };
    let is_capture = wanted.kind == ControlKind::Capture;
    let can = |selem: &Selem<'_>| match is_capture {
        true => (selem.has_capture_volume(), selem.has_capture_switch()),
        false => (selem.has_playback_volume(), selem.has_playback_switch()),
    };
    let found = match name.contains('\0') {
        true => None,
        false => mixer.find_selem(&SelemId::new(name, index)),
    };
    match found {
        Some(selem) if can(&selem) != (false, false) => {
            let (has_volume, has_switch) = can(&selem);
            Ok(Control {
                selem,
                is_capture,
                has_volume,
                has_switch,
            })
        }
        found => {
            let why = match found {
                Some(_) if is_capture => "has nothing to capture with",
                Some(_) => "has nothing to play with",
                None => "is not there",
            };
            let others = names(mixer, |selem| can(selem) != (false, false));
            Err(MixerError::NoControl {
                key: wanted.kind.key(),
                name: wanted.name.clone(),
                why,
                others,
            })
        }
    }
}

/// The names of the controls that could be used instead, for a remedy.
fn names(mixer: &Mixer, would_do: impl Fn(&Selem<'_>) -> bool) -> String {
    let name = |selem: Selem<'_>| {
        let id = selem.get_id();
        let name = id.get_name().ok()?.to_owned();
        Some(match id.get_index() {
            0 => format!("{name:?}"),
            index => format!("{:?}", format!("{name},{index}")),
        })
    };
    let all: Vec<String> = mixer
        .iter()
        .filter_map(Selem::new)
        .filter(would_do)
        .filter_map(name)
        .take(MOST_NAMED)
        .collect();
    match all.is_empty() {
        true => "it has no such control at all; take the key out".into(),
        false => format!("use one of {}", all.join(", ")),
    }
}

impl Control<'_> {
    fn range(&self) -> (i64, i64) {
        match self.is_capture {
            true => self.selem.get_capture_volume_range(),
            false => self.selem.get_playback_volume_range(),
        }
    }

    fn db_range(&self) -> Option<(f64, f64)> {
        let (min, max) = match self.is_capture {
            true => self.selem.get_capture_db_range(),
            false => self.selem.get_playback_db_range(),
        };
        (self.has_volume && min.0 < max.0).then(|| (min.0 as f64 / 100.0, max.0 as f64 / 100.0))
    }

    /// The channels it has; the first alone if it is mono.
    fn channels(&self) -> Vec<SelemChannelId> {
        let has = |channel: &SelemChannelId| match self.is_capture {
            true => self.selem.has_capture_channel(*channel),
            false => self.selem.has_playback_channel(*channel),
        };
        let known = SelemChannelId::all().iter().copied();
        known
            .filter(|channel| *channel != SelemChannelId::Unknown && has(channel))
            .collect()
    }

    fn volumes(&self) -> alsa::Result<Vec<i64>> {
        let volume = |channel| match self.is_capture {
            true => self.selem.get_capture_volume(channel),
            false => self.selem.get_playback_volume(channel),
        };
        self.channels().into_iter().map(volume).collect()
    }

    fn are_switches_on(&self) -> alsa::Result<bool> {
        if !self.has_switch {
            return Ok(true);
        }
        for channel in self.channels() {
            let on = match self.is_capture {
                true => self.selem.get_capture_switch(channel)?,
                false => self.selem.get_playback_switch(channel)?,
            };
            if on == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn switch(&self, on: bool) -> alsa::Result<()> {
        match (self.has_switch, self.is_capture) {
            (false, _) => Ok(()),
            (true, true) => self.selem.set_capture_switch_all(i32::from(on)),
            (true, false) => self.selem.set_playback_switch_all(i32::from(on)),
        }
    }

    fn set_volume(&self, volume: i64) -> alsa::Result<()> {
        match self.is_capture {
            true => self.selem.set_capture_volume_all(volume),
            false => self.selem.set_playback_volume_all(volume),
        }
    }

    /// The configured level in the control's own steps, and a note if it had to be clamped; `None` if the level is left
    /// alone.
    fn wanted_volume(
        &self,
        wanted: &MixerControl,
    ) -> Result<Option<(i64, Option<OutOfRange>)>, MixerError> {
        let key = wanted.kind.key();
        let name = || wanted.name.clone();
        let (min, max) = self.range();
        match wanted.loudness {
            Loudness::On => Ok(None),
            Loudness::Off if self.has_switch => Ok(None),
            _ if !self.has_volume => Err(MixerError::NoLevel { key, name: name() }),
            Loudness::Off => Ok(Some((min, None))),
            Loudness::Percent(percent) => Ok(Some((raw_of_percent(percent, min, max), None))),
            Loudness::Decibels(db) => {
                let Some((low, high)) = self.db_range() else {
                    return Err(MixerError::NoScale { key, name: name() });
                };
                let clamped = db.clamp(low, high);
                let note = (clamped != db).then(|| OutOfRange {
                    key,
                    name: name(),
                    asked_db: db,
                    range_db: (low, high),
                    stands_db: clamped,
                });
                let asked = MilliBel((clamped * 100.0).round() as i64);
                let raw = match self.is_capture {
                    true => self.selem.ask_capture_db_vol(asked, Round::Floor),
                    false => self.selem.ask_playback_db_vol(asked, Round::Floor),
                };
                let raw = raw.map_err(|error| refused(wanted, error))?;
                Ok(Some((raw.clamp(min, max), note)))
            }
        }
    }
}

fn raw_of_percent(percent: u8, min: i64, max: i64) -> i64 {
    min + ((max - min) * i64::from(percent.min(100)) + 50) / 100
}

fn refused(control: &MixerControl, error: alsa::Error) -> MixerError {
    MixerError::Refused {
        key: control.kind.key(),
        name: control.name.clone(),
        error,
    }
}

fn set(wanted: &MixerControl) -> Result<Option<OutOfRange>, MixerError> {
    let mixer = open(wanted)?;
    let control = find(&mixer, wanted)?;
    let failed = |error| refused(wanted, error);
    let mut note = None;
    if let Some((volume, clamped)) = control.wanted_volume(wanted)? {
        note = clamped;
        control.set_volume(volume).map_err(failed)?;
    }
    control
        .switch(wanted.loudness != Loudness::Off)
        .map_err(failed)?;
    Ok(note)
}

fn standing(wanted: &MixerControl) -> Result<Standing, MixerError> {
    let mixer = open(wanted)?;
    let control = find(&mixer, wanted)?;
    let failed = |error| refused(wanted, error);
    let is_on = control.are_switches_on().map_err(failed)?;
    let volumes = match control.has_volume {
        true => control.volumes().map_err(failed)?,
        false => Vec::new(),
    };
    let (min, max) = control.range();
    let first = volumes.first().copied();
    let percent = first.filter(|_| max > min).map(|raw| {
        let share = ((raw - min) * 100 + (max - min) / 2) / (max - min);
        u8::try_from(share.clamp(0, 100)).unwrap_or(100)
    });
    let decibels = first
        .filter(|_| control.db_range().is_some())
        .and_then(|raw| {
            let db = match control.is_capture {
                true => control.selem.ask_capture_vol_db(raw),
                false => control.selem.ask_playback_vol_db(raw),
            };
            db.ok().map(|db| db.0 as f64 / 100.0)
        });
    let is_level_right = match control.wanted_volume(wanted)? {
        Some((raw, _)) => volumes.iter().all(|volume| *volume == raw),
        None => true,
    };
    let is_switch_right = match wanted.loudness {
        Loudness::Off => !control.has_switch || !is_on,
        _ => is_on,
    };
    Ok(Standing {
        control: wanted.clone(),
        decibels,
        percent,
        is_on,
        is_as_wanted: is_level_right && is_switch_right,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_reach_both_ends_of_a_range() {
        assert_eq!(raw_of_percent(0, -10, 53), -10);
        assert_eq!(raw_of_percent(100, -10, 53), 53);
        assert_eq!(raw_of_percent(50, 0, 65_536), 32_768);
        assert_eq!(raw_of_percent(255, 0, 10), 10);
    }

    #[test]
    fn a_missing_card_is_a_sentence_with_a_remedy() {
        let control = MixerControl {
            kind: ControlKind::Capture,
            name: "Mic".into(),
            loudness: Loudness::Percent(50),
            mixer: Ok("hw:CARD=nosuchcard".into()),
        };
        let applied = apply(&[control]);
        assert_eq!(applied.faults.len(), 1);
        let sentence = applied.faults[0].to_string();
        assert!(
            sentence.contains("nosuchcard") && sentence.contains("aplay -l"),
            "{applied:?}"
        );
    }
}
