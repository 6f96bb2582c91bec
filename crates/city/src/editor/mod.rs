//! The editor's room: campaigns and questions in the browser, through the campaign file that booths get.
//!
//! Owns: the tables `campaign_draft`, `question_version`, `campaign`, `phase`, `question_reply`. Never does: publish by a way of its own; the
//! hub does with a text what its command does with a file.

pub(crate) mod drafts;
pub(crate) mod fields;
pub(crate) mod jobs;
mod pages;
mod preview;
mod preview_page;
mod public;
pub(crate) mod publish;
pub(crate) mod sheet;
#[cfg(test)]
mod tests;
mod voice;

pub(crate) use pages::routes;
pub(crate) use publish::{Asked, asked_as, note_wordings};

/// What is being edited at this moment, in memory.
#[derive(Debug, Default)]
pub(crate) struct Editing {
    pub(crate) jobs: jobs::Jobs,
    pub(crate) visits: preview::Visits,
}
