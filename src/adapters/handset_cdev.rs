//! Hook switch and lamp through the kernel's GPIO character device, on any kernel.
//!
//! Edges are read through an edge event buffer: the crate's single-event read throws queued ones away.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gpiocdev::Request;
use gpiocdev::line::{Bias, EdgeDetection, EdgeKind, Value};

use super::clock;
use super::handset::{Edges, Lines};
use crate::config::{Handset, Hook, Level, Pull};

struct CdevLines {
    hook: Request,
    line: u32,
    off_hook: Level,
    last_seqno: u32,
    lamp: Option<(Request, u32, Level)>,
}

/// Claims the lines, or says what is missing.
pub fn open(config: &Handset) -> Result<Box<dyn Lines>, String> {
    let chip = match &config.chip {
        Some(chip) => chip.clone(),
        None => find_chip()?,
    };
    let Hook {
        line,
        off_hook,
        pull,
        ..
    } = config.hook;
    let bias = match pull {
        Pull::Up => Bias::PullUp,
        Pull::Down => Bias::PullDown,
        Pull::None => Bias::Disabled,
    };
    let hook = Request::builder()
        .on_chip(&chip)
        .with_consumer("booth-gateway hook")
        .with_line(line)
        .as_input()
        .with_bias(bias)
        .with_edge_detection(EdgeDetection::BothEdges)
        .request()
        .map_err(|error| refused(&chip, line, &error))?;
    let lamp = match &config.lamp {
        Some(output) => {
            let request = Request::builder()
                .on_chip(&chip)
                .with_consumer("booth-gateway lamp")
                .with_line(output.line)
                .as_output(if output.on == Level::High {
                    Value::Inactive
                } else {
                    Value::Active
                })
                .request()
                .map_err(|error| refused(&chip, output.line, &error))?;
            Some((request, output.line, output.on))
        }
        None => None,
    };
    Ok(Box::new(CdevLines {
        hook,
        line,
        off_hook,
        last_seqno: 0,
        lamp,
    }))
}

fn refused(chip: &Path, line: u32, error: &gpiocdev::Error) -> String {
    format!(
        "cdev: GPIO line {line} of {} cannot be claimed: {error}; check that the chip and line exist, that no other \
         driver holds the line, and that the user is in the group gpio",
        chip.display()
    )
}

/// The header's chip by its label: pinctrl-bcm2835 (Pi 1 to 3), -bcm2711 (4), -rp1 (5), gpio-sim in tests.
fn find_chip() -> Result<PathBuf, String> {
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
    fn means_off(&self, high: bool) -> bool {
        high == (self.off_hook == Level::High)
    }
}

impl Lines for CdevLines {
    fn wait(&mut self, patience: Duration) -> Result<Edges, String> {
        let broken =
            |error: gpiocdev::Error| format!("cdev: the hook switch cannot be watched: {error}");
        let mut edges = Vec::new();
        if !self.hook.wait_edge_event(patience).map_err(broken)? {
            return Ok(edges);
        }
        let mut told = Vec::new();
        {
            let mut buffer = self.hook.new_edge_event_buffer(16);
            told.push(buffer.read_event().map_err(broken)?);
            while !buffer.is_empty() {
                told.push(buffer.read_event().map_err(broken)?);
            }
        }
        for event in told {
            if self.last_seqno != 0 && event.line_seqno != self.last_seqno + 1 {
                let lost = event.line_seqno.wrapping_sub(self.last_seqno + 1);
                log::warn!("{lost} edges of the hook switch were lost; its level is read again");
                let off = self.is_off_hook()?;
                edges.push((clock::mono(), off));
            }
            self.last_seqno = event.line_seqno;
            let at = clock::from_monotonic(Duration::from_nanos(event.timestamp_ns));
            edges.push((at, self.means_off(event.kind == EdgeKind::Rising)));
        }
        Ok(edges)
    }

    fn is_off_hook(&mut self) -> Result<bool, String> {
        let value = self
            .hook
            .value(self.line)
            .map_err(|error| format!("cdev: the hook switch cannot be read: {error}"))?;
        Ok(self.means_off(value == Value::Active))
    }

    fn lamp(&mut self, on: bool) -> Result<(), String> {
        let Some((request, line, level)) = &self.lamp else {
            return Ok(());
        };
        let high = on == (*level == Level::High);
        request
            .set_value(*line, if high { Value::Active } else { Value::Inactive })
            .map(drop)
            .map_err(|error| format!("cdev: the lamp cannot be switched: {error}"))
    }
}
