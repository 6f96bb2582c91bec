//! Hook switch and lamp through rppal: Raspberry Pi up to 5, with the Raspberry Pi kernel.

use std::time::Duration;

use rppal::gpio::{Error, Gpio, InputPin, OutputPin, Trigger};

use super::clock;
use super::handset::{Edges, Lines};
use crate::config::{Handset, Level, Output, Pull};

struct PiLines {
    gpio: Gpio,
    hook: InputPin,
    off_hook: Level,
    lamp: Option<(OutputPin, Level)>,
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
    let pin = |line: u32| {
        let number =
            u8::try_from(line).map_err(|_| format!("rppal: there is no GPIO line {line}"))?;
        gpio.get(number)
            .map_err(|error| format!("rppal: GPIO line {line}: {error}"))
    };
    let hook = pin(config.hook.line)?;
    let mut hook = match config.hook.pull {
        Pull::Up => hook.into_input_pullup(),
        Pull::Down => hook.into_input_pulldown(),
        Pull::None => hook.into_input(),
    };
    // Bounces are the core's business: the kernel tells every edge.
    hook.set_interrupt(Trigger::Both, None).map_err(|error| {
        format!(
            "rppal: GPIO line {} gives no interrupts: {error}",
            config.hook.line
        )
    })?;
    let lamp = match &config.lamp {
        Some(Output { line, on }) => Some((pin(*line)?.into_output_low(), *on)),
        None => None,
    };
    Ok(Box::new(PiLines {
        gpio,
        hook,
        off_hook: config.hook.off_hook,
        lamp,
    }))
}

impl Lines for PiLines {
    fn wait(&mut self, patience: Duration) -> Result<Edges, String> {
        let told = self
            .gpio
            .poll_interrupts(&[&self.hook], false, Some(patience))
            .map_err(|error| format!("rppal: the hook switch cannot be watched: {error}"))?;
        Ok(told
            .map(|(_, event)| {
                let high = event.trigger == Trigger::RisingEdge;
                (
                    clock::from_monotonic(event.timestamp),
                    high == (self.off_hook == Level::High),
                )
            })
            .into_iter()
            .collect())
    }

    fn is_off_hook(&mut self) -> Result<bool, String> {
        Ok(self.hook.is_high() == (self.off_hook == Level::High))
    }

    fn lamp(&mut self, on: bool) -> Result<(), String> {
        if let Some((pin, level)) = &mut self.lamp {
            if on == (*level == Level::High) {
                pin.set_high()
            } else {
                pin.set_low()
            }
        }
        Ok(())
    }
}
