//! The centre's configuration on the card, worked on by the keeper.
//!
//! Owns: what the keeper does for it, and reading the prompts that it brings for the earpiece. Never does: decide; the loop's
//! `campaigns` do.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use booth_contract::MediaHash;
use booth_contract::wanted::Wanted;
use booth_spool::disk::Disk;

use crate::adapters::media::Media;
use crate::adapters::prompts::centre::{Centre, shelf};
use crate::config::Config;
use gateway_core::campaign::{Configuration, Folder, OnCard, Put, Unfit};

/// What the keeper is instructed to do.
pub enum CentreCommand {
    /// Make a prompt durable.
    Keep {
        /// Its hash.
        hash: MediaHash,
        /// What came.
        bytes: Vec<u8>,
    },
    /// Put this into force and drop all prompts but those to keep.
    Put {
        /// The configuration.
        configuration: Box<Configuration>,
        /// The prompts.
        keep: BTreeSet<MediaHash>,
    },
    /// Drop all prompts but these.
    Tidy(BTreeSet<MediaHash>),
    /// Read the prompts of what is in force again.
    Load,
    /// booth.toml was read again: its own prompts lie there.
    Own(OwnPrompts),
}

/// What the keeper reports.
#[allow(clippy::large_enum_variant)] // one at a time, taken apart at once
pub enum CentreEvent {
    /// What the card holds, at the start.
    Read {
        /// The configuration and the prompts.
        found: OnCard,
        /// What the booth's own folder has.
        folder: Folder,
        /// The prompts to play.
        centre: Arc<Centre>,
    },
    /// What became of a prompt.
    Kept(MediaHash, Result<(), Unfit>),
    /// What became of a configuration.
    Put(Put),
    /// Other prompts to play.
    Prompts(Arc<Centre>),
    /// What the booth's own folder has.
    Folder(Folder),
}

/// Where the booth's own prompts lie.
#[derive(Debug, Clone)]
pub struct OwnPrompts {
    dir: PathBuf,
    language: String,
    questions: Vec<String>,
}

impl OwnPrompts {
    /// As a configuration says.
    pub fn of(config: &Config) -> Self {
        let names = config.questions.iter();
        Self {
            dir: config.session.prompts.clone(),
            language: config.session.language.clone(),
            questions: names
                .map(|question| question.prompt_name().to_owned())
                .collect(),
        }
    }
}

/// The keeper's part of it.
pub struct CentreCard {
    media: Media,
    own: OwnPrompts,
    applied: Option<Wanted>,
}

impl CentreCard {
    /// Of a booth with this configuration, on this disk.
    pub fn new(disk: Arc<dyn Disk>, config: &Config) -> Self {
        Self {
            media: Media::new(disk, &config.spool.dir),
            own: OwnPrompts::of(config),
            applied: None,
        }
    }

    /// Reads what the card holds.
    pub fn read(&mut self) -> CentreEvent {
        let found = self.media.read();
        let applied = found.applied.as_ref();
        self.applied = applied.map(|applied| applied.wanted.clone());
        CentreEvent::Read {
            centre: self.load(),
            folder: shelf(&self.own.dir),
            found,
        }
    }

    fn load(&self) -> Arc<Centre> {
        let Some(wanted) = &self.applied else {
            return Arc::default();
        };
        let OwnPrompts {
            dir,
            language,
            questions,
        } = &self.own;
        Arc::new(Centre::load(&self.media, wanted, dir, language, questions))
    }

    /// Carries out a command.
    pub fn work(&mut self, command: CentreCommand, report: impl Fn(CentreEvent)) {
        match command {
            CentreCommand::Keep { hash, bytes } => {
                let kept = self.media.keep(&hash, &bytes);
                report(CentreEvent::Kept(hash, kept));
            }
            CentreCommand::Put {
                configuration,
                keep,
            } => {
                let put = self.media.put(&configuration, &keep);
                if matches!(put, Put::InForce(_)) {
                    self.applied = Some(configuration.wanted);
                    // First the sounds, then the questions that they belong to.
                    report(CentreEvent::Prompts(self.load()));
                }
                report(CentreEvent::Put(put));
            }
            CentreCommand::Tidy(keep) => self.media.tidy(&keep),
            CentreCommand::Load => report(CentreEvent::Prompts(self.load())),
            CentreCommand::Own(own) => {
                self.own = own;
                report(CentreEvent::Folder(shelf(&self.own.dir)));
                report(CentreEvent::Prompts(self.load()));
            }
        }
    }

    /// Says that a command cannot be carried out, because the card is closed.
    pub fn refuse(command: CentreCommand, report: impl Fn(CentreEvent)) {
        let why = || "is closed".to_owned();
        match command {
            CentreCommand::Keep { hash, .. } => {
                report(CentreEvent::Kept(hash, Err(Unfit::Card(why()))));
            }
            CentreCommand::Put { .. } => report(CentreEvent::Put(Put::Refused(why()))),
            CentreCommand::Tidy(_) | CentreCommand::Load | CentreCommand::Own(_) => {}
        }
    }
}
