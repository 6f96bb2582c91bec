//! A booth's lines through the kernel's GPIO character device, on any kernel.
//!
//! Owns: the levels of the inputs, the keypad's columns, the outputs; edges are `handset_edges`'s. A line beside the hook
//! switch that cannot be claimed is left out and named.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gpiocdev::Request;
use gpiocdev::line::{Bias, Drive, Value, Values};

use super::gpio_info::{self, GpioError};
use super::handset_edges::{EdgeLines, EdgesError, Input, NotClaimed, instead_of_lost};
use super::handset_lines::{Edges, KEYPAD_SETTLES, Lines, LinesError};
use super::wake::Wake;
use crate::config::{Handset, Keypad, Level, Pull};
use gateway_core::keypad::Closed;
use gateway_core::panel::{Line, OutLine};

/// Why lines of the character device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CdevError {
    /// There is no such chip.
    #[error(transparent)]
    Chip(#[from] GpioError),
    /// A line cannot be claimed.
    #[error(
        "cdev: [handset] {key}: GPIO line {offset} of {} cannot be claimed: {error}; check that the chip and line \
         exist, that no other driver holds the line, and that the user is in the group gpio",
        chip.display()
    )]
    Held {
        /// Its key in booth.toml.
        key: &'static str,
        /// Its number.
        offset: u32,
        /// Its chip.
        chip: PathBuf,
        /// Why.
        error: gpiocdev::Error,
    },
    /// Each line can be claimed, and all of them cannot.
    #[error("cdev: the lines cannot be claimed together: {0}")]
    Together(gpiocdev::Error),
    /// Edges are no longer seen.
    #[error("cdev: the lines of {} cannot be watched: {error}", chip.display())]
    Watched {
        /// The chip.
        chip: PathBuf,
        /// Why.
        error: EdgesError,
    },
    /// Levels cannot be read, or columns not be driven.
    #[error("cdev: the lines of {} cannot be {doing}: {error}", chip.display())]
    Broken {
        /// The chip.
        chip: PathBuf,
        /// `read` or `driven`.
        doing: &'static str,
        /// Why.
        error: gpiocdev::Error,
    },
    /// An output stays as it was.
    #[error("cdev: the {} cannot be switched: {error}", which.key())]
    Switch {
        /// Which.
        which: OutLine,
        /// Why.
        error: gpiocdev::Error,
    },
}

struct CdevLines {
    edges: EdgeLines,
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
pub fn open(config: &Handset) -> Result<Box<dyn Lines>, CdevError> {
    let chip = gpio_info::chip_of(config)?;
    let mut refused = Vec::new();
    let contacts = config.contacts().into_iter();
    let mut inputs: Vec<Input> = contacts
        .map(|(line, offset, active, pull)| input(line, offset, active, pull))
        .collect();
    let keypad = config.keypad.as_ref().and_then(|wanted| {
        let claimed = KeypadLines::claim(&chip, wanted);
        claimed
            .map_err(|error| refused.push(error.to_string()))
            .ok()
    });
    let rows = keypad.iter().flat_map(|keypad| &keypad.row_offsets);
    inputs.extend(rows.map(|row| input(Line::KeypadRow, *row, Level::Low, Pull::Up)));
    let refuse = |input: Input, error| refused.push(held(&chip, input, error).to_string());
    let edges = EdgeLines::claim(&chip, inputs, refuse).map_err(|why| match why {
        NotClaimed::Hook(input, error) => held(&chip, input, error),
        NotClaimed::Together(error) => CdevError::Together(error),
    })?;
    let mut outputs = Vec::new();
    for (line, output) in config.outputs() {
        match claim_output(&chip, line, output.line, output.on) {
            Ok(request) => outputs.push((line, request, output.line, output.on)),
            Err(error) => refused.push(error.to_string()),
        }
    }
    Ok(Box::new(CdevLines {
        edges,
        keypad,
        outputs,
        refused,
    }))
}

fn input(line: Line, offset: u32, active: Level, pull: Pull) -> Input {
    Input {
        line,
        offset,
        active,
        bias: Some(match pull {
            Pull::Up => Bias::PullUp,
            Pull::Down => Bias::PullDown,
            Pull::None => Bias::Disabled,
        }),
    }
}

/// An output, off.
fn claim_output(chip: &Path, which: OutLine, offset: u32, on: Level) -> Result<Request, CdevError> {
    let claimed = Request::builder()
        .on_chip(chip)
        .with_consumer(format!("booth-gateway {}", which.key()))
        .with_line(offset)
        .as_output(value(on == Level::Low))
        .request();
    claimed.map_err(|error| CdevError::Held {
        key: which.key(),
        offset,
        chip: chip.to_owned(),
        error,
    })
}

impl KeypadLines {
    /// All columns low, so that any key pulls its row down.
    fn claim(chip: &Path, wanted: &Keypad) -> Result<Self, CdevError> {
        let columns = claim_columns(chip, &wanted.columns).map_err(|all| {
            // Which column is refused shows only when each is requested alone.
            let alone = wanted
                .columns
                .iter()
                .find_map(|column| Some((*column, claim_columns(chip, &[*column]).err()?)));
            let (offset, error) = alone.unwrap_or((wanted.columns[0], all));
            CdevError::Held {
                key: "keypad.columns",
                offset,
                chip: chip.to_owned(),
                error,
            }
        })?;
        Ok(Self {
            columns,
            column_offsets: wanted.columns.to_vec(),
            row_offsets: wanted.rows.to_vec(),
        })
    }
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

fn held(chip: &Path, input: Input, error: gpiocdev::Error) -> CdevError {
    CdevError::Held {
        key: input.line.key(),
        offset: input.offset,
        chip: chip.to_owned(),
        error,
    }
}

fn value(is_high: bool) -> Value {
    match is_high {
        true => Value::Active,
        false => Value::Inactive,
    }
}

impl CdevLines {
    fn broken(&self, doing: &'static str, error: gpiocdev::Error) -> CdevError {
        let chip = self.edges.chip.clone();
        CdevError::Broken { chip, doing, error }
    }

    /// The levels of all inputs.
    fn values(&self) -> Result<Values, CdevError> {
        let mut values = Values::default();
        let read = self.edges.request.values(&mut values);
        read.map_err(|error| self.broken("read", error))?;
        Ok(values)
    }
}

impl Lines for CdevLines {
    fn wait(&mut self, patience: Duration, wake: &Wake) -> Result<Edges, LinesError> {
        let waited = self.edges.wait(patience, wake);
        let (mut edges, lost) = waited.map_err(|error| CdevError::Watched {
            chip: self.edges.chip.clone(),
            error,
        })?;
        if lost > 0 {
            edges.extend(instead_of_lost(lost, self.levels()?));
        }
        Ok(edges)
    }

    fn levels(&mut self) -> Result<Vec<(Line, bool)>, LinesError> {
        let contacts = self.edges.inputs.iter();
        let contacts = contacts.filter(|input| input.line != Line::KeypadRow);
        let values = self.values()?;
        let level = |input: &Input| {
            let is_high = values.get(input.offset)? == Value::Active;
            Some((input.line, input.active.is(is_high)))
        };
        Ok(contacts.filter_map(level).collect())
    }

    fn scan(&mut self) -> Result<Closed, LinesError> {
        let Some(keypad) = &self.keypad else {
            return Ok(Closed::default());
        };
        let mut closed = Closed::default();
        let rows_low = || -> Result<Vec<usize>, CdevError> {
            let values = self.values()?;
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
                .map_err(|error| self.broken("driven", error))?;
            std::thread::park_timeout(KEYPAD_SETTLES);
            for row in rows_low()? {
                closed = closed.with(row, column);
            }
        }
        keypad
            .columns
            .set_values(&columns(None))
            .map_err(|error| self.broken("driven", error))?;
        Ok(closed)
    }

    fn switch(&mut self, which: OutLine, on: bool) -> Result<(), LinesError> {
        let found = self.outputs.iter().find(|(line, ..)| *line == which);
        let Some((_, request, line, level)) = found else {
            return Ok(());
        };
        request
            .set_value(*line, value(level.is(on)))
            .map_err(|error| CdevError::Switch { which, error })?;
        Ok(())
    }

    fn refused(&self) -> &[String] {
        &self.refused
    }
}
