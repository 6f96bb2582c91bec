//! A booth's lines through rppal: Raspberry Pi up to 5, with the Raspberry Pi kernel.
//!
//! Owns: the pins' registers: pulls, levels, the keypad's columns, the outputs. Edges are `handset_edges`'s, because rppal's
//! own poll takes no other descriptor, so that no command could end it. A line beside the hook switch that cannot be claimed
//! is left out and named; outputs, which rppal writes to without asking the kernel, are looked up there first.

use std::path::PathBuf;
use std::time::Duration;

use rppal::gpio::{Bias, Error, Gpio, InputPin, IoPin, Mode, OutputPin, Pin};

use super::gpio_info;
use super::handset_edges::{self, EdgeLines, EdgesError, NotClaimed, instead_of_lost};
use super::handset_lines::{Edges, KEYPAD_SETTLES, Lines, LinesError};
use super::wake::Wake;
use crate::config::{Handset, Keypad, Level, Output, Pull};
use gateway_core::keypad::Closed;
use gateway_core::panel::{Line, OutLine};

/// Labels of the header's chip: Pi 1 to 3, 4, and 5.
const LABELS: [&str; 3] = ["pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"];

/// Why lines cannot be used through rppal.
#[derive(Debug, thiserror::Error)]
pub enum RppalError {
    /// It is another machine.
    #[error("rppal: this is no Raspberry Pi that it knows, so there is no GPIO")]
    NoPi,
    /// A device may not be opened.
    #[error("rppal: {0} may not be opened; add the user to the group gpio")]
    Denied(String),
    /// A device cannot be opened.
    #[error("rppal: GPIO cannot be used: {0}; /dev/gpiomem needs the Raspberry Pi kernel")]
    Unusable(Error),
    /// The kernel has no chip with a label of the header's.
    #[error("rppal: the kernel has no GPIO chip of a Raspberry Pi's header")]
    NoChip,
    /// A line has no number that there could be.
    #[error("rppal: [handset] {key}: there is no GPIO line {line}")]
    NoLine {
        /// Its key in booth.toml.
        key: &'static str,
        /// Its number.
        line: u32,
    },
    /// A line cannot be taken.
    #[error("rppal: [handset] {key}: GPIO line {line}: {error}")]
    Line {
        /// Its key in booth.toml.
        key: &'static str,
        /// Its number.
        line: u32,
        /// Why.
        error: Error,
    },
    /// The kernel lends a line to somebody else.
    #[error(
        "rppal: [handset] {key}: GPIO line {line} is held by {holder}; take it from that driver or program"
    )]
    Held {
        /// Its key in booth.toml.
        key: &'static str,
        /// Its number.
        line: u32,
        /// Who.
        holder: String,
    },
    /// The kernel reports no edges of a line.
    #[error(
        "rppal: [handset] {key}: GPIO line {line} gives no interrupts: {error}; another driver may hold it"
    )]
    NoEdges {
        /// Its key in booth.toml.
        key: &'static str,
        /// Its number.
        line: u32,
        /// Why.
        error: gpiocdev::Error,
    },
    /// Each line gives edges, and all of them do not.
    #[error("rppal: the lines cannot be watched together: {0}")]
    Together(gpiocdev::Error),
    /// Edges are no longer seen.
    #[error("rppal: the lines cannot be watched: {0}")]
    Watched(#[from] EdgesError),
}

struct PiLines {
    edges: EdgeLines,
    inputs: Vec<Input>,
    keypad: Option<KeypadPins>,
    outputs: Vec<(OutLine, OutputPin, Level)>,
    refused: Vec<String>,
}

/// The pin of an input line.
struct Input {
    line: Line,
    pin: InputPin,
    /// The level at which the line is active.
    active: Level,
}

struct KeypadPins {
    /// Numbers of the rows' pins, top to bottom; the pins are among the inputs.
    rows: Vec<u8>,
    columns: Vec<IoPin>,
}

/// Claims the lines, or says what is missing.
pub fn open(config: &Handset) -> Result<Box<dyn Lines>, RppalError> {
    let gpio = Gpio::new().map_err(|error| match error {
        Error::UnknownModel => RppalError::NoPi,
        Error::PermissionDenied(path) => RppalError::Denied(path),
        error => RppalError::Unusable(error),
    })?;
    let mut refused = Vec::new();
    let mut inputs = Vec::new();
    for (line, number, active, pull) in config.contacts() {
        match input(&gpio, line, number, active, pull) {
            Ok(input) => inputs.push(input),
            Err(why) if line == Line::OffHook => return Err(why),
            Err(why) => refused.push(why.to_string()),
        }
    }
    let mut keypad = None;
    if let Some(wanted) = &config.keypad {
        match claim_keypad(&gpio, wanted) {
            Ok((rows, pins)) => {
                inputs.extend(rows);
                keypad = Some(pins);
            }
            Err(why) => refused.push(why.to_string()),
        }
    }
    let edges = claim_edges(&inputs, &mut refused)?;
    let sees = |input: &Input| edges.inputs.iter().any(|seen| input.is(seen.offset));
    // A keypad with a row whose edges nobody sees is none.
    let is_row = |input: &Input| input.line == Line::KeypadRow;
    if inputs.iter().any(|input| is_row(input) && !sees(input)) {
        keypad = None;
        inputs.retain(|input| !is_row(input));
    }
    inputs.retain(sees);
    let mut outputs = Vec::new();
    for (which, Output { line, on }) in config.outputs() {
        match output(&gpio, which.key(), *line) {
            Ok(pin) => {
                let pin = match on {
                    Level::High => pin.into_output_low(),
                    Level::Low => pin.into_output_high(),
                };
                outputs.push((which, pin, *on));
            }
            Err(why) => refused.push(why.to_string()),
        }
    }
    Ok(Box::new(PiLines {
        edges,
        inputs,
        keypad,
        outputs,
        refused,
    }))
}

/// Asks the kernel for the edges of these pins; their pulls stay as rppal has set them.
fn claim_edges(inputs: &[Input], refused: &mut Vec<String>) -> Result<EdgeLines, RppalError> {
    let chip = header_chip().ok_or(RppalError::NoChip)?;
    let wanted = inputs.iter().map(|input| handset_edges::Input {
        line: input.line,
        offset: u32::from(input.pin.pin()),
        active: input.active,
        bias: None,
    });
    let no_edges = |input: handset_edges::Input, error| RppalError::NoEdges {
        key: input.line.key(),
        line: input.offset,
        error,
    };
    let refuse = |input, error| refused.push(no_edges(input, error).to_string());
    EdgeLines::claim(&chip, wanted.collect(), refuse).map_err(|why| match why {
        NotClaimed::Hook(input, error) => no_edges(input, error),
        NotClaimed::Together(error) => RppalError::Together(error),
    })
}

/// The chip of the header: the first with a label of the header's, as rppal looks for it.
fn header_chip() -> Option<PathBuf> {
    let mut chips = (0..=u8::MAX).map_while(|n| {
        let path = PathBuf::from(format!("/dev/gpiochip{n}"));
        let label = gpio_info::label(&path)?;
        Some((path, label))
    });
    let (chip, _) = chips.find(|(_, label)| LABELS.contains(&label.as_str()))?;
    Some(chip)
}

/// The program that holds this line of the header, as the kernel reports it; none if the kernel cannot be asked.
fn holder(line: u32) -> Option<String> {
    let holder = gpio_info::line(&header_chip()?, line).ok()?.held_by?;
    Some(match holder.is_empty() {
        true => "the kernel".to_owned(),
        false => format!("{holder:?}"),
    })
}

fn pin(gpio: &Gpio, key: &'static str, line: u32) -> Result<Pin, RppalError> {
    let number = u8::try_from(line).map_err(|_| RppalError::NoLine { key, line })?;
    let pin = gpio.get(number);
    pin.map_err(|error| RppalError::Line { key, line, error })
}

/// An output pin that no other driver holds: rppal would write to the register even if one did.
fn output(gpio: &Gpio, key: &'static str, line: u32) -> Result<Pin, RppalError> {
    match holder(line) {
        Some(holder) => Err(RppalError::Held { key, line, holder }),
        None => pin(gpio, key, line),
    }
}

fn input(
    gpio: &Gpio,
    line: Line,
    number: u32,
    active: Level,
    pull: Pull,
) -> Result<Input, RppalError> {
    let pin = pin(gpio, line.key(), number)?;
    let pin = match pull {
        Pull::Up => pin.into_input_pullup(),
        Pull::Down => pin.into_input_pulldown(),
        Pull::None => pin.into_input(),
    };
    Ok(Input { line, pin, active })
}

/// The rows, and the keypad that they belong to.
fn claim_keypad(gpio: &Gpio, keypad: &Keypad) -> Result<(Vec<Input>, KeypadPins), RppalError> {
    let mut rows = Vec::new();
    for line in keypad.rows {
        rows.push(input(gpio, Line::KeypadRow, line, Level::Low, Pull::Up)?);
    }
    let mut columns = Vec::new();
    for line in keypad.columns {
        let mut column = output(gpio, "keypad.columns", line)?.into_io(Mode::Output);
        // A column that is not driven must not pull its rows down, as some pins do from reset on.
        column.set_bias(Bias::PullUp);
        column.set_low();
        columns.push(column);
    }
    let pins = KeypadPins {
        rows: rows.iter().map(|row| row.pin.pin()).collect(),
        columns,
    };
    Ok((rows, pins))
}

impl Input {
    fn is(&self, offset: u32) -> bool {
        u32::from(self.pin.pin()) == offset
    }
}

impl Lines for PiLines {
    fn wait(&mut self, patience: Duration, wake: &Wake) -> Result<Edges, LinesError> {
        let waited = self.edges.wait(patience, wake);
        let (mut edges, lost) = waited.map_err(RppalError::Watched)?;
        if lost > 0 {
            edges.extend(instead_of_lost(lost, self.levels()?));
        }
        Ok(edges)
    }

    fn levels(&mut self) -> Result<Vec<(Line, bool)>, LinesError> {
        let contacts = self
            .inputs
            .iter()
            .filter(|input| input.line != Line::KeypadRow);
        Ok(contacts
            .map(|input| (input.line, input.active.is(input.pin.is_high())))
            .collect())
    }

    fn scan(&mut self) -> Result<Closed, LinesError> {
        let Some(keypad) = &mut self.keypad else {
            return Ok(Closed::default());
        };
        let mut closed = Closed::default();
        let is_low = |inputs: &[Input], number: u8| {
            let input = inputs.iter().find(|input| input.pin.pin() == number);
            input.is_some_and(|input| input.pin.is_low())
        };
        // At rest all columns are low, so any closed key pulls its row down: the columns need not be tried one by one, with
        // a pause each.
        if !keypad.rows.iter().any(|row| is_low(&self.inputs, *row)) {
            return Ok(closed);
        }
        // The columns work as open drain: a column that is not being tried floats, and its rows pull it up.
        for column in &mut keypad.columns {
            column.set_mode(Mode::Input);
        }
        for (n, column) in keypad.columns.iter_mut().enumerate() {
            column.set_mode(Mode::Output);
            column.set_low();
            std::thread::park_timeout(KEYPAD_SETTLES);
            for (row, number) in keypad.rows.iter().enumerate() {
                if is_low(&self.inputs, *number) {
                    closed = closed.with(row, n);
                }
            }
            column.set_mode(Mode::Input);
        }
        for column in &mut keypad.columns {
            column.set_mode(Mode::Output);
            column.set_low();
        }
        Ok(closed)
    }

    fn switch(&mut self, which: OutLine, on: bool) -> Result<(), LinesError> {
        let found = self.outputs.iter_mut().find(|(line, ..)| *line == which);
        if let Some((_, pin, level)) = found {
            if level.is(on) {
                pin.set_high()
            } else {
                pin.set_low()
            }
        }
        Ok(())
    }

    fn refused(&self) -> &[String] {
        &self.refused
    }
}
