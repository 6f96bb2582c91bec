//! The edges of a booth's inputs, by the kernel's GPIO character device.
//!
//! Owns: one request for all inputs, so that one poll sees every edge in the kernel's order, and a command's wake beside
//! them. Edges are read through an edge event buffer, because the crate's single-event read throws queued ones away. Never
//! does: read a level; each backend has its own way.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gpiocdev::Request;
use gpiocdev::line::{Bias, EdgeDetection, EdgeEvent, EdgeKind};
use gpiocdev::request::Config;

use super::handset_lines::Edges;
use super::wake::Wake;
use crate::config::Level;
use booth_host::clock;
use gateway_core::panel::Line;

/// Edges fetched at a time: more than a bouncing dial makes while this thread sleeps.
const EDGES: usize = 64;

/// One input line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input {
    pub line: Line,
    pub offset: u32,
    /// The level at which the line is active.
    pub active: Level,
    /// The resistor that the kernel switches on; `None` leaves it as it is.
    pub bias: Option<Bias>,
}

/// Why the inputs could not be claimed.
pub(super) enum NotClaimed {
    /// Nobody hears a lift without this one.
    Hook(Input, gpiocdev::Error),
    /// Each could be claimed alone.
    Together(gpiocdev::Error),
}

/// Why edges are no longer seen.
#[derive(Debug, thiserror::Error)]
pub enum EdgesError {
    /// The kernel does not give them.
    #[error(transparent)]
    Kernel(#[from] gpiocdev::Error),
    /// They cannot be waited for.
    #[error(transparent)]
    Poll(#[from] io::Error),
}

/// The inputs that are watched.
pub(super) struct EdgeLines {
    pub request: Request,
    pub inputs: Vec<Input>,
    pub chip: PathBuf,
    /// Sequence number of the last edge of any line; 0 before the first.
    last_seqno: u32,
}

impl EdgeLines {
    /// Claims these lines of the chip. One beside the hook switch that is refused is left out and given to `refused`.
    pub(super) fn claim(
        chip: &Path,
        mut inputs: Vec<Input>,
        mut refused: impl FnMut(Input, gpiocdev::Error),
    ) -> Result<Self, NotClaimed> {
        let request = match request(chip, &inputs) {
            Ok(request) => request,
            Err(all) => {
                // If another driver holds one line, the kernel refuses all of them: then each is requested alone.
                let (mut hook, wanted) = (None, inputs.len());
                inputs.retain(|input| match request(chip, std::slice::from_ref(input)) {
                    Ok(_) => true,
                    Err(error) => {
                        match input.line {
                            Line::OffHook => hook = Some((*input, error)),
                            _ => refused(*input, error),
                        }
                        false
                    }
                });
                if let Some((input, error)) = hook {
                    return Err(NotClaimed::Hook(input, error));
                }
                let again = match inputs.len() == wanted {
                    true => Err(all),
                    false => request(chip, &inputs),
                };
                again.map_err(NotClaimed::Together)?
            }
        };
        Ok(Self {
            request,
            inputs,
            chip: chip.to_owned(),
            last_seqno: 0,
        })
    }

    /// Waits for edges, and returns them with the number of those that were lost before them.
    pub(super) fn wait(
        &mut self,
        patience: Duration,
        wake: &Wake,
    ) -> Result<(Edges, u32), EdgesError> {
        let (mut edges, mut lost) = (Edges::new(), 0);
        if !wake.wait(&self.request, patience)? {
            return Ok((edges, lost));
        }
        for event in self.fetch()? {
            if self.last_seqno != 0 {
                // Negative where the edges of two lines were queued in another order.
                let missing = event.seqno.wrapping_sub(self.last_seqno).wrapping_sub(1) as i32;
                lost += missing.max(0).cast_unsigned();
            }
            self.last_seqno = event.seqno;
            let at = clock::from_monotonic(Duration::from_nanos(event.timestamp_ns));
            let input = self
                .inputs
                .iter()
                .find(|input| input.offset == event.offset);
            edges.extend(input.map(|input| {
                let is_high = event.kind == EdgeKind::Rising;
                (at, input.line, input.active.is(is_high))
            }));
        }
        Ok((edges, lost))
    }

    /// All edges that wait, raw.
    fn fetch(&mut self) -> gpiocdev::Result<Vec<EdgeEvent>> {
        let mut events = Vec::new();
        while self.request.has_edge_event()? {
            let mut buffer = self.request.new_edge_event_buffer(EDGES);
            loop {
                events.push(buffer.read_event()?);
                if buffer.is_empty() {
                    break;
                }
            }
        }
        Ok(events)
    }
}

/// After edges were lost the levels take their place.
pub(super) fn instead_of_lost(lost: u32, levels: Vec<(Line, bool)>) -> Edges {
    log::warn!("{lost} edges were lost; the levels are read again");
    let now = clock::mono();
    let levels = levels.into_iter();
    levels.map(|(line, level)| (now, line, level)).collect()
}

fn request(chip: &Path, inputs: &[Input]) -> gpiocdev::Result<Request> {
    let mut config = Config::default();
    for input in inputs {
        config
            .with_line(input.offset)
            .as_input()
            .with_bias(input.bias)
            .with_edge_detection(EdgeDetection::BothEdges);
    }
    Request::from_config(config)
        .on_chip(chip)
        .with_consumer("booth-gateway")
        .with_kernel_event_buffer_size(1024)
        .request()
}
