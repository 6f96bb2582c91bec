//! A booth's lines through rppal: Raspberry Pi up to 5, with the Raspberry Pi kernel.
//!
//! Owns: the pins. One poll over all inputs: polling pins from several threads starves some of them. A line beside the
//! hook switch that cannot be claimed is left out and named.

use std::time::Duration;

use rppal::gpio::{Bias, Error, Gpio, InputPin, IoPin, Mode, OutputPin, Trigger};

use super::clock;
use super::handset::{Edges, KEYPAD_SETTLES, Lines};
use crate::config::{Handset, Keypad, Level, Output, Pull};
use crate::gateway::keypad::Closed;
use crate::gateway::panel::{Line, OutLine};

struct PiLines {
    gpio: Gpio,
    inputs: Vec<Input>,
    keypad: Option<KeypadPins>,
    outputs: Vec<(OutLine, OutputPin, Level)>,
    refused: Vec<String>,
}

struct Input {
    line: Line,
    pin: InputPin,
    /// The level at which it is what its name says.
    active: Level,
}

impl Input {
    fn is_active(&self, is_high: bool) -> bool {
        is_high == (self.active == Level::High)
    }
}

struct KeypadPins {
    /// Numbers of the rows' pins, top to bottom; the pins are among the inputs.
    rows: Vec<u8>,
    columns: Vec<IoPin>,
}

/// Claims the lines, or says what is missing.
pub fn open(config: &Handset) -> Result<Box<dyn Lines>, String> {
    let gpio = Gpio::new().map_err(|error| match error {
        Error::UnknownModel => {
            "rppal: this is no Raspberry Pi that it knows, so there is no GPIO".into()
        }
        Error::PermissionDenied(path) => {
            format!("rppal: {path} may not be opened; add the user to the group gpio")
        }
        error => format!(
            "rppal: GPIO cannot be used: {error}; /dev/gpiomem needs the Raspberry Pi kernel"
        ),
    })?;
    let mut lines = PiLines {
        gpio,
        inputs: Vec::new(),
        keypad: None,
        outputs: Vec::new(),
        refused: Vec::new(),
    };
    for (line, number, active, pull) in config.contacts() {
        match lines.input(line.key(), number, pull) {
            Ok(pin) => lines.inputs.push(Input { line, pin, active }),
            Err(why) if line == Line::OffHook => return Err(why),
            Err(why) => lines.refused.push(why),
        }
    }
    if let Some(keypad) = &config.keypad
        && let Err(why) = lines.claim_keypad(keypad)
    {
        lines.refused.push(why);
    }
    for (which, Output { line, on }) in config.outputs() {
        match lines.pin(which.key(), *line) {
            Ok(pin) => {
                let pin = match on {
                    Level::High => pin.into_output_low(),
                    Level::Low => pin.into_output_high(),
                };
                lines.outputs.push((which, pin, *on));
            }
            Err(why) => lines.refused.push(why),
        }
    }
    Ok(Box::new(lines))
}

impl PiLines {
    fn pin(&self, key: &str, line: u32) -> Result<rppal::gpio::Pin, String> {
        let number = u8::try_from(line)
            .map_err(|_| format!("rppal: [handset] {key}: there is no GPIO line {line}"))?;
        self.gpio
            .get(number)
            .map_err(|error| format!("rppal: [handset] {key}: GPIO line {line}: {error}"))
    }

    fn input(&self, key: &str, line: u32, pull: Pull) -> Result<InputPin, String> {
        let pin = self.pin(key, line)?;
        let mut pin = match pull {
            Pull::Up => pin.into_input_pullup(),
            Pull::Down => pin.into_input_pulldown(),
            Pull::None => pin.into_input(),
        };
        // Bounces are the core's business: the kernel tells every edge.
        pin.set_interrupt(Trigger::Both, None).map_err(|error| {
            format!("rppal: [handset] {key}: GPIO line {line} gives no interrupts: {error}; another driver may hold it")
        })?;
        Ok(pin)
    }

    fn claim_keypad(&mut self, keypad: &Keypad) -> Result<(), String> {
        let mut rows = Vec::new();
        for line in keypad.rows {
            rows.push(self.input("keypad.rows", line, Pull::Up)?);
        }
        let mut columns = Vec::new();
        for line in keypad.columns {
            let mut column = self.pin("keypad.columns", line)?.into_io(Mode::Output);
            // A column that is not driven must not pull its rows down; some pins do from reset on.
            column.set_bias(Bias::PullUp);
            column.set_low();
            columns.push(column);
        }
        self.keypad = Some(KeypadPins {
            rows: rows.iter().map(InputPin::pin).collect(),
            columns,
        });
        self.inputs.extend(rows.into_iter().map(|pin| Input {
            line: Line::KeypadRow,
            pin,
            active: Level::Low,
        }));
        Ok(())
    }
}

impl Lines for PiLines {
    fn wait(&mut self, patience: Duration) -> Result<Edges, String> {
        let pins: Vec<&InputPin> = self.inputs.iter().map(|input| &input.pin).collect();
        let mut edges = Vec::new();
        let mut patience = patience;
        // One call tells one edge; what waits behind it is fetched without waiting.
        while let Some((pin, event)) = self
            .gpio
            .poll_interrupts(&pins, false, Some(patience))
            .map_err(|error| format!("rppal: the lines cannot be watched: {error}"))?
        {
            patience = Duration::ZERO;
            let at = clock::from_monotonic(event.timestamp);
            let input = self
                .inputs
                .iter()
                .find(|input| input.pin.pin() == pin.pin());
            edges.extend(input.map(|input| {
                let is_high = event.trigger == Trigger::RisingEdge;
                let edge = (at, input.line, input.is_active(is_high));
                (event.timestamp, edge)
            }));
        }
        // Each pin has its own queue. The kernel's stamps, for the conversion may round two of one millisecond apart.
        edges.sort_by_key(|(stamp, _)| *stamp);
        Ok(edges.into_iter().map(|(_, edge)| edge).collect())
    }

    fn levels(&mut self) -> Result<Vec<(Line, bool)>, String> {
        let contacts = self
            .inputs
            .iter()
            .filter(|input| input.line != Line::KeypadRow);
        Ok(contacts
            .map(|input| (input.line, input.is_active(input.pin.is_high())))
            .collect())
    }

    fn scan(&mut self) -> Result<Closed, String> {
        let Some(keypad) = &mut self.keypad else {
            return Ok(Closed::default());
        };
        let mut closed = Closed::default();
        // Open drain by hand: a column that is not asked floats, and its rows pull it up.
        for column in &mut keypad.columns {
            column.set_mode(Mode::Input);
        }
        for (n, column) in keypad.columns.iter_mut().enumerate() {
            column.set_mode(Mode::Output);
            column.set_low();
            std::thread::park_timeout(KEYPAD_SETTLES);
            for (row, number) in keypad.rows.iter().enumerate() {
                let input = self.inputs.iter().find(|input| input.pin.pin() == *number);
                if input.is_some_and(|input| input.pin.is_low()) {
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

    fn switch(&mut self, which: OutLine, on: bool) -> Result<(), String> {
        let found = self.outputs.iter_mut().find(|(line, ..)| *line == which);
        if let Some((_, pin, level)) = found {
            if on == (*level == Level::High) {
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
