//! Traces of a booth's contacts: every edge with the kernel's stamp, as text, to be looked at and replayed. Pure.
//!
//! Owns: the format. `booth-gateway run --record-trace FILE` writes it; tests replay it. Never does: touch a file.
//!
//! The first line describes the panel: `booth-gateway trace 1 hook_debounce_ms=20 dial=one_first off_normal=1`. Each further
//! line is an edge, `<ms since boot> <key of the line under [handset]> <1 or 0>`: 1 means that the name is true (off hook,
//! pulse contact open, dial not at rest). Lines that begin with `#` are for people; in the tests' traces, a line that begins
//! with `> ` names an event, a fault or an opened case that the edges must produce, in order.

use std::fmt;
use std::time::Duration;

use super::dial::DialLayout;
use super::panel::{Line, Panel, PanelNews, PanelParts};
use super::session::HandsetEvent;
use booth_contract::time::Mono;

const NAME: &str = "booth-gateway trace 1";
const LINES: [Line; 7] = [
    Line::OffHook,
    Line::DialPulse,
    Line::DialOffNormal,
    Line::Button,
    Line::ServiceButton,
    Line::Tamper,
    Line::KeypadRow,
];

/// The first line of a trace.
pub fn first_line(hook_debounce: Duration, parts: PanelParts) -> String {
    let dial = match parts.dial {
        None => "none",
        Some((DialLayout::OneFirst, _)) => "one_first",
        Some((DialLayout::ZeroFirst, _)) => "zero_first",
    };
    let off_normal = u8::from(parts.dial.is_some_and(|(_, off_normal)| off_normal));
    format!(
        "{NAME} hook_debounce_ms={} dial={dial} off_normal={off_normal}",
        hook_debounce.as_millis()
    )
}

/// One edge as a line.
pub fn edge_line(at: Mono, line: Line, is_active: bool) -> String {
    format!("{} {} {}", at.0, line.key(), u8::from(is_active))
}

/// A trace that was read.
#[derive(Debug, Clone)]
pub struct Trace {
    parts: PanelParts,
    hook_debounce: Duration,
    edges: Vec<(Mono, Line, bool)>,
    /// What the edges must produce, as noted by the person who wrote the trace.
    pub wanted: Vec<String>,
}

/// Why a text is no trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadTrace {
    /// It has no line.
    Empty,
    /// Its first line is none of a trace.
    NoName,
    /// The first line lacks this fact.
    Missing(&'static str),
    /// The first line names a dial of another layout.
    UnknownDial(String),
    /// The debounce time of the hook is no number.
    NoDebounce,
    /// This line, from 1, is no edge.
    NoEdge(usize),
}

impl fmt::Display for BadTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an empty trace"),
            Self::NoName => write!(f, "line 1: it does not begin with {NAME:?}"),
            Self::Missing(name) => write!(f, "line 1: {name} is missing"),
            Self::UnknownDial(dial) => write!(f, "line 1: dial={dial} is unknown"),
            Self::NoDebounce => f.write_str("line 1: hook_debounce_ms is no number"),
            Self::NoEdge(line) => write!(f, "line {line}: no edge"),
        }
    }
}

impl std::error::Error for BadTrace {}

impl Trace {
    /// Reads a trace.
    ///
    /// # Errors
    /// The first line that is none of a trace.
    pub fn parse(text: &str) -> Result<Self, BadTrace> {
        let mut lines = text.lines().enumerate();
        let (_, first) = lines.next().ok_or(BadTrace::Empty)?;
        let facts = first.strip_prefix(NAME).ok_or(BadTrace::NoName)?;
        let fact = |name: &'static str| {
            let found = facts.split_whitespace().find_map(|fact| {
                let (key, value) = fact.split_once('=')?;
                (key == name).then_some(value)
            });
            found.ok_or(BadTrace::Missing(name))
        };
        let layout = match fact("dial")? {
            "one_first" => Some(DialLayout::OneFirst),
            "zero_first" => Some(DialLayout::ZeroFirst),
            "none" => None,
            other => return Err(BadTrace::UnknownDial(other.to_owned())),
        };
        let off_normal = fact("off_normal")? == "1";
        let hook_debounce_ms = fact("hook_debounce_ms")?
            .parse()
            .map_err(|_| BadTrace::NoDebounce)?;
        let mut trace = Self {
            parts: PanelParts {
                dial: layout.map(|layout| (layout, off_normal)),
                keypad: false,
            },
            hook_debounce: Duration::from_millis(hook_debounce_ms),
            edges: Vec::new(),
            wanted: Vec::new(),
        };
        for (n, text) in lines {
            if let Some(event) = text.strip_prefix("> ") {
                trace.wanted.push(event.trim().to_owned());
            } else if !text.starts_with('#') && !text.trim().is_empty() {
                let edge = edge(text).ok_or(BadTrace::NoEdge(n + 1))?;
                trace.edges.push(edge);
            }
        }
        Ok(trace)
    }

    /// The citizens' acts that a panel sees in the trace if it begins with the handset on its hook.
    pub fn replay(&self) -> Vec<HandsetEvent> {
        let events = self
            .played(false)
            .into_iter()
            .filter_map(|news| match news {
                PanelNews::Handset(_, event) => Some(event),
                _ => None,
            });
        events.collect()
    }

    /// All that such a panel reports, each in the form of [`Trace::wanted`]. With `is_prompt` the panel is asked at every
    /// deadline that it set itself, otherwise only when there are edges.
    pub fn told(&self, is_prompt: bool) -> Vec<String> {
        let told = self.played(is_prompt).into_iter().map(|news| match news {
            PanelNews::Handset(_, event) => format!("{event:?}"),
            PanelNews::Stuck(stuck) => format!("{stuck:?}"),
            other => format!("{other:?}"),
        });
        told.collect()
    }

    fn played(&self, is_prompt: bool) -> Vec<PanelNews> {
        let mut panel = Panel::new(self.parts, self.hook_debounce, false);
        let mut news = Vec::new();
        let pass = |panel: &mut Panel, news: &mut Vec<_>, until: Mono| {
            let mut asked = Mono(0);
            while let Some(due) = panel.deadline().filter(|due| is_prompt && *due <= until) {
                // A deadline that has passed is asked about once.
                if due <= asked {
                    break;
                }
                asked = due;
                news.extend(panel.tick(due));
            }
        };
        for (at, line, is_active) in &self.edges {
            pass(&mut panel, &mut news, *at);
            news.extend(panel.level(*at, *line, *is_active));
        }
        let last = self.edges.last().map_or(Mono(0), |(at, ..)| *at);
        let end = last + Duration::from_secs(1);
        pass(&mut panel, &mut news, end);
        news.extend(panel.tick(end));
        news
    }
}

fn edge(text: &str) -> Option<(Mono, Line, bool)> {
    let mut words = text.split_whitespace();
    let at = Mono(words.next()?.parse().ok()?);
    let key = words.next()?;
    let line = LINES.into_iter().find(|line| line.key() == key)?;
    let is_active = match words.next()? {
        "1" => true,
        "0" => false,
        _ => return None,
    };
    words.next().is_none().then_some((at, line, is_active))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_read_as_it_was_written_and_rubbish_is_named() {
        let parts = PanelParts {
            dial: Some((DialLayout::ZeroFirst, true)),
            keypad: false,
        };
        let edges = [
            (Mono(5), Line::OffHook, true),
            (Mono(900), Line::DialPulse, false),
            (Mono(2_000), Line::OffHook, false),
        ];
        let mut text = first_line(Duration::from_millis(30), parts) + "\n# a comment\n> Lifted\n";
        for (at, line, is_active) in edges {
            text += &(edge_line(at, line, is_active) + "\n");
        }
        let trace = Trace::parse(&text).expect("a trace");
        assert_eq!((trace.parts, trace.hook_debounce.as_millis()), (parts, 30));
        assert_eq!(
            (&trace.edges[..], &trace.wanted[..]),
            (&edges[..], &["Lifted".to_owned()][..])
        );
        assert_eq!(trace.replay(), [HandsetEvent::Lifted, HandsetEvent::HungUp]);
        for (bad, why) in [
            ("", "empty"),
            ("another file", "line 1"),
            ("booth-gateway trace 1 dial=none", "off_normal is missing"),
            (
                "booth-gateway trace 1 hook_debounce_ms=20 dial=none off_normal=0\n7 hook 2",
                "line 2",
            ),
            (
                "booth-gateway trace 1 hook_debounce_ms=20 dial=none off_normal=0\n\n7 nose 1",
                "line 3",
            ),
        ] {
            let error = Trace::parse(bad).expect_err("refused").to_string();
            assert!(error.contains(why), "{bad:?}: {error}");
        }
    }
}
