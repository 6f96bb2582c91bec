//! A booth's lines through the kernel's GPIO character device, on any kernel.
//!
//! Owns: one request for all inputs, so that one poll sees every edge in the kernel's order; the keypad's columns; the
//! outputs. Edges are read through an edge event buffer, because the crate's single-event read throws queued ones away. A
//! line beside the hook switch that cannot be claimed is left out and named.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gpiocdev::Request;
use gpiocdev::line::{Bias, Drive, EdgeDetection, EdgeKind, Value, Values};
use gpiocdev::request::Config;

use super::handset::{Edges, KEYPAD_SETTLES, Lines};
use crate::config::{Handset, Level, Pull};
use booth_host::clock;
use gateway_core::keypad::Closed;
use gateway_core::panel::{Line, OutLine};

/// Edges fetched at a time: more than a bouncing dial makes while this thread sleeps.
const EDGES: usize = 64;

/// One input line.
#[derive(Clone, Copy)]
struct Input {
    line: Line,
    offset: u32,
    /// The level at which the line is active.
    active: Level,
    pull: Pull,
}

struct CdevLines {
    chip: PathBuf,
    request: Request,
    inputs: Vec<Input>,
    /// Sequence number of the last edge of any line; 0 before the first.
    last_seqno: u32,
    keypad: Option<KeypadLines>,
    outputs: Vec<(OutLine, Request, u32, Level)>,
    refused: Vec<String>,
}

struct KeypadLines {
    columns: Request,
    column_offsets: Vec<u32>,
    row_offsets: Vec<u32>,
}

/// Claims the lines, or says what is missing.
pub fn open(config: &Handset) -> Result<Box<dyn Lines>, String> {
    let chip = match &config.chip {
        Some(chip) => chip.clone(),
        None => find_chip()?,
    };
    let mut refused = Vec::new();
    let contacts = config.contacts();
    let mut inputs: Vec<Input> = contacts
        .into_iter()
        .map(|(line, offset, active, pull)| Input {
            line,
            offset,
            active,
            pull,
        })
        .collect();
    let keypad = config.keypad.as_ref().and_then(|wanted| {
        let columns = request_columns(&chip, &wanted.columns);
        match columns {
            Ok(columns) => Some(KeypadLines {
                columns,
                column_offsets: wanted.columns.to_vec(),
                row_offsets: wanted.rows.to_vec(),
            }),
            Err(why) => {
                refused.push(why);
                None
            }
        }
    });
    inputs.extend(keypad.iter().flat_map(|keypad| {
        keypad.row_offsets.iter().map(|row| Input {
            line: Line::KeypadRow,
            offset: *row,
            active: Level::Low,
            pull: Pull::Up,
        })
    }));
    let request = match request_inputs(&chip, &inputs) {
        Ok(request) => request,
        Err(all) => {
            // If another driver holds one line, the kernel refuses all of them: then each is requested alone.
            let mut why_not = None;
            inputs.retain(
                |input| match request_inputs(&chip, std::slice::from_ref(input)) {
                    Ok(_) => true,
                    Err(error) if input.line == Line::OffHook => {
                        why_not = Some(refusal(&chip, *input, &error));
                        false
                    }
                    Err(error) => {
                        refused.push(refusal(&chip, *input, &error));
                        false
                    }
                },
            );
            if let Some(why) = why_not {
                return Err(why);
            }
            let again = match refused.is_empty() {
                true => Err(all),
                false => request_inputs(&chip, &inputs),
            };
            again.map_err(|error| format!("cdev: the lines cannot be claimed together: {error}"))?
        }
    };
    let mut outputs = Vec::new();
    for (line, output) in config.outputs() {
        let off = value(output.on == Level::Low);
        let claimed = Request::builder()
            .on_chip(&chip)
            .with_consumer(format!("booth-gateway {}", line.key()))
            .with_line(output.line)
            .as_output(off)
            .request();
        match claimed {
            Ok(request) => outputs.push((line, request, output.line, output.on)),
            Err(error) => refused.push(held(&chip, line.key(), output.line, &error)),
        }
    }
    Ok(Box::new(CdevLines {
        chip,
        request,
        inputs,
        last_seqno: 0,
        keypad,
        outputs,
        refused,
    }))
}

fn request_inputs(chip: &Path, inputs: &[Input]) -> gpiocdev::Result<Request> {
    let mut config = Config::default();
    for input in inputs {
        config
            .with_line(input.offset)
            .as_input()
            .with_bias(match input.pull {
                Pull::Up => Bias::PullUp,
                Pull::Down => Bias::PullDown,
                Pull::None => Bias::Disabled,
            })
            .with_edge_detection(EdgeDetection::BothEdges);
    }
    Request::from_config(config)
        .on_chip(chip)
        .with_consumer("booth-gateway")
        .with_kernel_event_buffer_size(1024)
        .request()
}

/// All columns low, so that any key pulls its row low.
fn request_columns(chip: &Path, columns: &[u32]) -> Result<Request, String> {
    let claimed = claim_columns(chip, columns);
    claimed.map_err(|all| {
        // Which column is refused shows only when each is requested alone.
        let alone = columns
            .iter()
            .find_map(|column| Some((*column, claim_columns(chip, &[*column]).err()?)));
        let (column, error) = alone.unwrap_or((columns[0], all));
        held(chip, "keypad.columns", column, &error)
    })
}

fn claim_columns(chip: &Path, columns: &[u32]) -> gpiocdev::Result<Request> {
    Request::builder()
        .on_chip(chip)
        .with_consumer("booth-gateway keypad")
        .with_lines(columns)
        .as_output(Value::Inactive)
        .with_drive(Drive::OpenDrain)
        // A column that is not driven must not pull its rows down, as some pins do from reset on.
        .with_bias(Bias::PullUp)
        .request()
}

fn refusal(chip: &Path, input: Input, error: &gpiocdev::Error) -> String {
    held(chip, input.line.key(), input.offset, error)
}

fn held(chip: &Path, key: &str, offset: u32, error: &gpiocdev::Error) -> String {
    format!(
        "cdev: [handset] {key}: GPIO line {offset} of {} cannot be claimed: {error}; check that the chip and line \
         exist, that no other driver holds the line, and that the user is in the group gpio",
        chip.display()
    )
}

fn value(is_high: bool) -> Value {
    match is_high {
        true => Value::Active,
        false => Value::Inactive,
    }
}

/// The chip of the header, found by its label: pinctrl-bcm2835 (Pi 1 to 3), -bcm2711 (4), -rp1 (5), gpio-sim in tests.
pub(super) fn find_chip() -> Result<PathBuf, String> {
    let chips = gpiocdev::chip::chips().unwrap_or_default();
    let label = |path: &PathBuf| {
        let info = gpiocdev::chip::Chip::from_path(path)
            .and_then(|chip| chip.info())
            .ok()?;
        Some(info.label)
    };
    let known = |path: &&PathBuf| {
        label(path)
            .is_some_and(|label| label.starts_with("pinctrl-") || label.starts_with("gpio-sim"))
    };
    chips.iter().find(known).cloned().ok_or_else(|| {
        let found = chips.len();
        format!(
            "cdev: none of {found} GPIO chips has the label of a Raspberry Pi's header; name one in [handset] chip"
        )
    })
}

impl CdevLines {
    fn broken(&self, doing: &str, error: &gpiocdev::Error) -> String {
        format!(
            "cdev: the lines of {} cannot be {doing}: {error}",
            self.chip.display()
        )
    }

    fn input(&self, offset: u32) -> Option<Input> {
        self.inputs
            .iter()
            .copied()
            .find(|input| input.offset == offset)
    }

    /// All edges that wait, raw.
    fn fetch(&mut self) -> Result<Vec<gpiocdev::line::EdgeEvent>, String> {
        let mut told = Vec::new();
        while self
            .request
            .has_edge_event()
            .map_err(|error| self.broken("watched", &error))?
        {
            let mut buffer = self.request.new_edge_event_buffer(EDGES);
            loop {
                let event = buffer.read_event();
                told.push(event.map_err(|error| self.broken("watched", &error))?);
                if buffer.is_empty() {
                    break;
                }
            }
        }
        Ok(told)
    }
}

impl Lines for CdevLines {
    fn wait(&mut self, patience: Duration) -> Result<Edges, String> {
        let mut edges = Vec::new();
        let waited = self.request.wait_edge_event(patience);
        if !waited.map_err(|error| self.broken("watched", &error))? {
            return Ok(edges);
        }
        let mut lost = 0;
        for event in self.fetch()? {
            if self.last_seqno != 0 {
                // Negative where the edges of two lines were queued in another order.
                let missing = event.seqno.wrapping_sub(self.last_seqno).wrapping_sub(1) as i32;
                lost += missing.max(0);
            }
            self.last_seqno = event.seqno;
            let at = clock::from_monotonic(Duration::from_nanos(event.timestamp_ns));
            if let Some(input) = self.input(event.offset) {
                let is_high = event.kind == EdgeKind::Rising;
                edges.push((at, input.line, input.active.is(is_high)));
            }
        }
        if lost > 0 {
            log::warn!("{lost} edges were lost; the levels are read again");
            let now = clock::mono();
            let levels = self.levels()?.into_iter();
            edges.extend(levels.map(|(line, level)| (now, line, level)));
        }
        Ok(edges)
    }

    fn levels(&mut self) -> Result<Vec<(Line, bool)>, String> {
        let contacts = self
            .inputs
            .iter()
            .filter(|input| input.line != Line::KeypadRow);
        let mut values = Values::default();
        self.request
            .values(&mut values)
            .map_err(|error| self.broken("read", &error))?;
        let level = |input: &Input| {
            let is_high = values.get(input.offset)? == Value::Active;
            Some((input.line, input.active.is(is_high)))
        };
        Ok(contacts.filter_map(level).collect())
    }

    fn scan(&mut self) -> Result<Closed, String> {
        let Some(keypad) = &self.keypad else {
            return Ok(Closed::default());
        };
        let mut closed = Closed::default();
        let rows_low = || -> Result<Vec<usize>, String> {
            let mut values = Values::default();
            self.request
                .values(&mut values)
                .map_err(|error| self.broken("read", &error))?;
            let rows = keypad.row_offsets.iter().enumerate();
            let low = rows.filter(|(_, offset)| values.get(**offset) == Some(Value::Inactive));
            Ok(low.map(|(row, _)| row).collect())
        };
        // At rest all columns are low, so any closed key pulls its row down: the columns need not be tried one by one, with
        // a pause each.
        if rows_low()?.is_empty() {
            return Ok(closed);
        }
        let columns = |low: Option<usize>| {
            let mut values = Values::default();
            for (n, offset) in keypad.column_offsets.iter().enumerate() {
                values.set(*offset, value(low.is_some_and(|low| low != n)));
            }
            values
        };
        for column in 0..keypad.column_offsets.len() {
            keypad
                .columns
                .set_values(&columns(Some(column)))
                .map_err(|error| self.broken("driven", &error))?;
            std::thread::park_timeout(KEYPAD_SETTLES);
            for row in rows_low()? {
                closed = closed.with(row, column);
            }
        }
        keypad
            .columns
            .set_values(&columns(None))
            .map_err(|error| self.broken("driven", &error))?;
        Ok(closed)
    }

    fn switch(&mut self, which: OutLine, on: bool) -> Result<(), String> {
        let found = self.outputs.iter().find(|(line, ..)| *line == which);
        let Some((_, request, line, level)) = found else {
            return Ok(());
        };
        request
            .set_value(*line, value(level.is(on)))
            .map(drop)
            .map_err(|error| format!("cdev: the {} cannot be switched: {error}", which.key()))
    }

    fn refused(&self) -> &[String] {
        &self.refused
    }
}
