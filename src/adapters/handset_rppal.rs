//! A booth's lines through rppal: Raspberry Pi up to 5, with the Raspberry Pi kernel.
//!
//! Owns: the pins. One poll over all inputs: polling pins from several threads starves some of them. A line beside the
//! hook switch that cannot be claimed is left out and named; outputs, which rppal writes to without asking the kernel, are
//! looked up there first.

use std::path::PathBuf;
use std::time::Duration;

use gpiocdev::chip::Chip;
use rppal::gpio::{Bias, Error, Gpio, InputPin, IoPin, Mode, OutputPin, Trigger};

use super::gpio_info;
use super::handset::{Edges, KEYPAD_SETTLES, Lines};
use crate::config::{Handset, Keypad, Level, Output, Pull};
use booth_host::clock;
use gateway_core::keypad::Closed;
use gateway_core::panel::{Line, OutLine};

/// Labels of the header's chip: Pi 1 to 3, 4, and 5.
const LABELS: [&str; 3] = ["pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"];

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
    /// The level at which the line is active.
    active: Level,
    /// Number of its last edge, from 1 on.
    last_seqno: u32,
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
            Ok(pin) => lines.inputs.push(Input {
                line,
                pin,
                active,
                last_seqno: 0,
            }),
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
        match lines.output(which.key(), *line) {
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

/// The program that holds this line of the header, as the kernel reports it; none if the kernel cannot be asked.
fn holder(line: u32) -> Option<String> {
    // rppal looks for the chip in the same way: it takes the first with a label of the header's.
    let mut chips = (0..=u8::MAX).map_while(|n| {
        let path = PathBuf::from(format!("/dev/gpiochip{n}"));
        let label = Chip::from_path(&path).ok()?.info().ok()?.label;
        Some((path, label))
    });
    let (chip, _) = chips.find(|(_, label)| LABELS.contains(&label.as_str()))?;
    let holder = gpio_info::line(&chip, line).ok()?.held_by?;
    Some(match holder.is_empty() {
        true => "the kernel".to_owned(),
        false => format!("{holder:?}"),
    })
}

impl PiLines {
    fn pin(&self, key: &str, line: u32) -> Result<rppal::gpio::Pin, String> {
        let number = u8::try_from(line)
            .map_err(|_| format!("rppal: [handset] {key}: there is no GPIO line {line}"))?;
        self.gpio
            .get(number)
            .map_err(|error| format!("rppal: [handset] {key}: GPIO line {line}: {error}"))
    }

    /// An output pin that no other driver holds: rppal would write to the register even if one did.
    fn output(&self, key: &str, line: u32) -> Result<rppal::gpio::Pin, String> {
        match holder(line) {
            Some(holder) => Err(format!(
                "rppal: [handset] {key}: GPIO line {line} is held by {holder}; take it from that driver or program"
            )),
            None => self.pin(key, line),
        }
    }

    fn input(&self, key: &str, line: u32, pull: Pull) -> Result<InputPin, String> {
        let pin = self.pin(key, line)?;
        let mut pin = match pull {
            Pull::Up => pin.into_input_pullup(),
            Pull::Down => pin.into_input_pulldown(),
            Pull::None => pin.into_input(),
        };
        // The core handles bounces, so the kernel has to deliver every edge.
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
            let mut column = self.output("keypad.columns", line)?.into_io(Mode::Output);
            // A column that is not driven must not pull its rows down, as some pins do from reset on.
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
            last_seqno: 0,
        }));
        Ok(())
    }
}

impl Lines for PiLines {
    fn wait(&mut self, patience: Duration) -> Result<Edges, String> {
        let pins: Vec<&InputPin> = self.inputs.iter().map(|input| &input.pin).collect();
        let mut events = Vec::new();
        let mut patience = patience;
        // One call returns one edge; further edges in the queue are fetched without waiting.
        while let Some((pin, event)) = self
            .gpio
            .poll_interrupts(&pins, false, Some(patience))
            .map_err(|error| format!("rppal: the lines cannot be watched: {error}"))?
        {
            patience = Duration::ZERO;
            events.push((pin.pin(), event));
        }
        // Each pin has its own queue. The kernel's stamps decide the order, because the conversion may round two stamps that
        // are one millisecond apart.
        events.sort_by_key(|(_, event)| event.timestamp);
        let (mut edges, mut lost) = (Vec::new(), 0);
        for (pin, event) in events {
            let input = self.inputs.iter_mut().find(|input| input.pin.pin() == pin);
            let Some(input) = input else { continue };
            lost += event
                .seqno
                .saturating_sub(input.last_seqno)
                .saturating_sub(1);
            input.last_seqno = event.seqno;
            let is_high = event.trigger == Trigger::RisingEdge;
            let at = clock::from_monotonic(event.timestamp);
            edges.push((at, input.line, input.active.is(is_high)));
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
        Ok(contacts
            .map(|input| (input.line, input.active.is(input.pin.is_high())))
            .collect())
    }

    fn scan(&mut self) -> Result<Closed, String> {
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

    fn switch(&mut self, which: OutLine, on: bool) -> Result<(), String> {
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
