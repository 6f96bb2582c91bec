//! Lines whose edges are written down: `run --record-trace FILE`.
//!
//! Owns: the trace's file. Never does: hold up the booth; when the file cannot be written any more the trace ends.
#![allow(clippy::disallowed_methods)] // owns a file

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::handset_lines::{Edges, Lines, LinesError};
use super::wake::Wake;
use crate::config::Handset;
use booth_contract::time::Mono;
use booth_host::clock;
use gateway_core::keypad::Closed;
use gateway_core::panel::{Line, OutLine, PanelParts};
use gateway_core::trace;

/// A trace that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the trace {} cannot be written: {error}", path.display())]
pub struct TraceError {
    path: PathBuf,
    error: io::Error,
}

/// Lines whose edges are recorded as they come.
pub struct Traced {
    lines: Box<dyn Lines>,
    file: Option<File>,
    /// Levels as they were last recorded.
    known: Vec<(Line, bool)>,
}

impl Traced {
    /// Wraps these lines; their edges go to `file` if there is one.
    pub fn new(lines: Box<dyn Lines>, file: Option<File>) -> Self {
        Self {
            lines,
            file,
            known: Vec::new(),
        }
    }

    fn note(&mut self, edges: &[(Mono, Line, bool)]) {
        let Some(file) = &mut self.file else { return };
        let contacts = edges.iter().filter(|(_, line, _)| *line != Line::KeypadRow);
        let text: String = contacts
            .map(|(at, line, is_active)| trace::edge_line(*at, *line, *is_active) + "\n")
            .collect();
        if let Err(error) = file.write_all(text.as_bytes()) {
            log::warn!("the trace ends here: {error}");
            self.file = None;
        }
        for (_, line, is_active) in edges {
            self.known.retain(|(known, _)| known != line);
            self.known.push((*line, *is_active));
        }
    }
}

impl Lines for Traced {
    fn wait(&mut self, patience: Duration, wake: &Wake) -> Result<Edges, LinesError> {
        let edges = self.lines.wait(patience, wake)?;
        if !edges.is_empty() {
            self.note(&edges);
        }
        Ok(edges)
    }

    fn levels(&mut self) -> Result<Vec<(Line, bool)>, LinesError> {
        let levels = self.lines.levels()?;
        // A level that changed without an edge is recorded as an edge, because the panel sees it too.
        let now = clock::mono();
        let news = levels.iter().filter(|level| !self.known.contains(level));
        let news: Vec<_> = news
            .map(|(line, is_active)| (now, *line, *is_active))
            .collect();
        self.note(&news);
        Ok(levels)
    }

    fn scan(&mut self) -> Result<Closed, LinesError> {
        self.lines.scan()
    }

    fn switch(&mut self, which: OutLine, on: bool) -> Result<(), LinesError> {
        self.lines.switch(which, on)
    }

    fn recording(&mut self, is_recording: bool) {
        self.lines.recording(is_recording);
    }

    fn refused(&self) -> &[String] {
        self.lines.refused()
    }
}

/// Begins a trace, or continues one.
pub fn open(path: &Path, config: &Handset) -> Result<File, TraceError> {
    let fault = |error| TraceError {
        path: path.to_owned(),
        error,
    };
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .map_err(fault)?;
    if file.metadata().map_err(fault)?.len() == 0 {
        let debounce = Duration::from_millis(config.hook.debounce_ms);
        let lines: Vec<_> = config
            .contacts()
            .iter()
            .map(|(line, ..)| (*line, false))
            .collect();
        let first = trace::first_line(debounce, parts(config, &lines)) + "\n";
        file.write_all(first.as_bytes()).map_err(fault)?;
    }
    Ok(file)
}

/// What the panel has, by the lines that could be claimed: a dial does without its off-normal contact.
pub(super) fn parts(config: &Handset, found: &[(Line, bool)]) -> PanelParts {
    let has_off_normal = found.iter().any(|(line, _)| *line == Line::DialOffNormal);
    PanelParts {
        dial: config
            .dial_pulse
            .as_ref()
            .map(|_| (config.dial_layout, has_off_normal)),
        keypad: config.has_keypad(),
    }
}
