//! `doctor --live` and `--console`: contacts, last key and level meter while somebody works at the booth.
//!
//! Owns: what is shown, a few times a second. Never does: take lines or card from a gateway: while one runs, it is asked.
//! Without one, `--live` opens them itself and gives them back at its end; `--console` waits for a gateway, so that it never
//! hinders one that starts.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::gateway::{self, Running};
use super::own::Own;
use crate::adapters::sensors;
use crate::config::Config;
use crate::status::{Contact, Microphone, Status};
use booth_contract::time::Mono;
use booth_host::{clock, out};

/// Four looks a second.
const EVERY: Duration = Duration::from_millis(250);
/// The highest level stays marked this long.
const HOLD: Duration = Duration::from_secs(2);
/// At this level and above samples reach their limit, dBFS.
const CLIPS_DBFS: f64 = -0.1;
/// The quiet end of the bar, dBFS.
const QUIET_DBFS: f64 = -60.0;
/// Cells of the bar.
const CELLS: usize = 40;
/// A level that moves by this much is a change that gets a line.
const CHANGE_DB: f64 = 6.0;
/// Most faults that fit beside the rest on a small screen.
const MOST_FAULTS: usize = 4;

/// The kind of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// For a technician who works at the booth now.
    Live,
    /// For a screen where nobody is logged in.
    Console,
}

/// One moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moment {
    /// The top of the screen: the booth, its address, ready or not.
    pub head: Vec<String>,
    /// What is wrong and what to do. It comes below the rest, because the screen may be too small for all of it.
    pub faults: Vec<String>,
    pub contacts: Vec<Contact>,
    pub last_key: Option<(String, u64)>,
    pub microphone: Option<Microphone>,
    /// Why something is not shown.
    pub troubles: Vec<String>,
}

enum Source {
    Gateway(PathBuf),
    Own(Box<Own>),
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the sentences say it
pub enum LiveError {
    /// A gateway runs, or may run, and says nothing of itself.
    #[error("{why} {remedy}")]
    Silent { why: String, remedy: &'static str },
    /// The doctor's own look at lines and microphone could not begin.
    #[error(transparent)]
    Own(#[from] io::Error),
}

/// Shows the view until the end, or for this many seconds.
pub fn live(config: &Config, show: Show, seconds: Option<u64>) -> Result<(), LiveError> {
    let socket = config.doctor_socket();
    let mut source = match (show, gateway::find(config)) {
        (Show::Console, _) | (_, Running::Answers(_)) => Source::Gateway(socket),
        (Show::Live, Running::Silent(why, remedy)) => {
            return Err(LiveError::Silent { why, remedy });
        }
        (Show::Live, Running::Stopped) => Source::Own(Box::new(Own::open(config)?)),
    };
    let end = seconds.map(|seconds| clock::mono() + Duration::from_secs(seconds));
    let mut peak = Peak::default();
    let mut shown: Option<Moment> = None;
    loop {
        let now = clock::mono();
        let moment = source.look(now);
        peak.take(now, moment.microphone.as_ref());
        let text = match out::screen() {
            Some(size) => Some(screen(&moment, &peak, size)),
            None => change(shown.as_ref(), &moment),
        };
        if let Some(text) = text {
            out::print(text);
            if out::is_over() {
                return Ok(()); // whoever looked has gone
            }
            shown = Some(moment);
        }
        if end.is_some_and(|end| clock::mono() >= end) {
            return Ok(());
        }
        let next = now + EVERY;
        while clock::mono() < next {
            std::thread::park_timeout(next.since(clock::mono()));
        }
    }
}

impl Source {
    fn look(&mut self, now: Mono) -> Moment {
        match self {
            Source::Own(own) => own.look(now),
            Source::Gateway(socket) => match gateway::ask(socket) {
                Ok(status) => of_status(status, sensors::ip()),
                Err((_, why)) => Moment {
                    head: vec!["The gateway is not running, or does not answer.".into()],
                    faults: Vec::new(),
                    contacts: Vec::new(),
                    last_key: None,
                    microphone: None,
                    troubles: vec![
                        why,
                        "It starts by itself; else: systemctl status booth-gateway".into(),
                    ],
                },
            },
        }
    }
}

fn of_status(status: Status, ip: Option<String>) -> Moment {
    let head = vec![
        format!(
            "{} {}   {}   {}",
            status.booth_id,
            status.name,
            ip.map_or("no network address".to_owned(), |ip| format!(
                "address {ip}"
            )),
            if status.ready == 1 {
                "READY"
            } else {
                "OUT OF ORDER"
            }
        ),
        format!(
            "broker {}   hub {}   clock {}   {} messages only on this card   {}",
            word(status.connected, "connected", "NOT CONNECTED"),
            word(status.hub_online, "online", "NOT ONLINE"),
            word(status.clock_synced, "right", "NOT SYNCHRONISED"),
            status.spool_clips,
            status.session,
        ),
    ];
    let mut faults = Vec::new();
    for fault in status.faults.iter().take(MOST_FAULTS) {
        faults.push(format!("FAULT {}: {}", fault.id, fault.text));
        faults.push(format!("      do: {}", fault.remedy));
    }
    if status.faults.len() > MOST_FAULTS {
        faults.push(format!(
            "… and {} more: booth-gateway doctor",
            status.faults.len() - MOST_FAULTS
        ));
    }
    Moment {
        head,
        faults,
        contacts: status.contacts,
        last_key: status.last_key.map(|key| (key.key, key.age_ms)),
        microphone: (status.capture_ok == 1).then_some(status.microphone),
        troubles: match status.capture_ok {
            1 => Vec::new(),
            _ => vec!["no frames come from the microphone".into()],
        },
    }
}

fn word(flag: u8, yes: &'static str, no: &'static str) -> &'static str {
    if flag == 1 { yes } else { no }
}

/// The highest level of the last seconds.
#[derive(Debug, Default)]
struct Peak {
    held: Option<(Mono, f64)>,
    clipped: Option<Mono>,
}

impl Peak {
    fn take(&mut self, now: Mono, microphone: Option<&Microphone>) {
        let Some(level) = microphone.map(|m| m.peak_dbfs) else {
            *self = Self::default();
            return;
        };
        if level >= CLIPS_DBFS {
            self.clipped = Some(now);
        }
        let is_over = |at: Mono| now.since(at) >= HOLD;
        if self
            .held
            .is_none_or(|(at, held)| level >= held || is_over(at))
        {
            self.held = Some((now, level));
        }
        self.clipped = self.clipped.filter(|at| !is_over(*at));
    }
}

fn cell(dbfs: f64) -> usize {
    let share = (dbfs - QUIET_DBFS) / -QUIET_DBFS;
    (share.clamp(0.0, 1.0) * CELLS as f64).round() as usize
}

fn bar(microphone: &Microphone, peak: &Peak) -> String {
    let mut cells = [' '; CELLS + 1];
    cells[..cell(microphone.rms_dbfs)].fill('#');
    if let Some((_, held)) = peak.held {
        cells[cell(held)] = '|';
    }
    let clip = if peak.clipped.is_some() {
        "  CLIPS"
    } else {
        ""
    };
    let constant = if microphone.constant_ms >= 1_000 {
        "  DIGITAL SILENCE"
    } else {
        ""
    };
    format!(
        "[{}] {:6.1} dBFS  peak {:6.1}  floor {:6.1}{clip}{constant}",
        cells.iter().collect::<String>(),
        microphone.rms_dbfs,
        peak.held.map_or(microphone.peak_dbfs, |(_, held)| held),
        microphone.floor_dbfs,
    )
}

fn contact(contact: &Contact) -> String {
    let line = contact
        .line
        .map_or("      ".to_owned(), |line| format!("line {line:2}"));
    let level = contact.level.as_deref().unwrap_or("");
    let active = match contact.active {
        Some(1) => "ACTIVE",
        Some(_) => "at rest",
        None => "not read",
    };
    format!("{:<16} {line}  {level:<4}  {active}", contact.name)
}

fn age(ms: u64) -> String {
    match ms {
        0..60_000 => format!("{} s ago", ms / 1000),
        _ => format!("{} min ago", ms / 60_000),
    }
}

/// The whole screen, overwritten in place: moving values are above long texts.
fn screen(moment: &Moment, peak: &Peak, (columns, rows): (usize, usize)) -> String {
    let mut lines = moment.head.clone();
    lines.push(String::new());
    if let Some(microphone) = &moment.microphone {
        lines.push(bar(microphone, peak));
    }
    lines.extend(moment.troubles.iter().map(|why| format!("! {why}")));
    lines.push(String::new());
    lines.extend(moment.contacts.iter().map(contact));
    if let Some((key, ms)) = &moment.last_key {
        lines.push(format!("last key         {key}   {}", age(*ms)));
    }
    lines.push(String::new());
    lines.extend(moment.faults.iter().cloned());
    let rows_of_text = lines.iter().flat_map(|line| folded(line, columns));
    let mut text = "\u{1b}[H".to_owned();
    for row in rows_of_text.take(rows.saturating_sub(1)) {
        text += &row;
        text += "\u{1b}[K\n";
    }
    text + "\u{1b}[J"
}

/// A line as rows of the screen; continued rows are indented. Control characters are removed, so that no text of a broker or
/// a card can drive the terminal.
fn folded(line: &str, columns: usize) -> Vec<String> {
    const INDENT: usize = 6;
    let plain: Vec<char> = line
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let (first, rest) = plain.split_at(plain.len().min(columns));
    let mut rows = vec![first.iter().collect::<String>()];
    if columns > INDENT {
        let more = rest.chunks(columns - INDENT);
        rows.extend(more.map(|row| " ".repeat(INDENT) + &row.iter().collect::<String>()));
    }
    rows
}

/// One line for what has changed, where the output is no screen; `None` if nothing has.
fn change(shown: Option<&Moment>, moment: &Moment) -> Option<String> {
    let mut news = Vec::new();
    let before =
        |name: &str| shown.and_then(|shown| shown.contacts.iter().find(|c| c.name == name));
    for now in &moment.contacts {
        if before(&now.name).is_none_or(|before| before != now) {
            let words = contact(now);
            news.push(words.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    let key = |moment: &Moment| moment.last_key.clone();
    if let Some((name, ms)) = key(moment) {
        let is_new = match shown.and_then(key) {
            Some((before, before_ms)) => before != name || ms < before_ms,
            None => true,
        };
        if is_new {
            news.push(format!("key {name}"));
        }
    }
    let level = |moment: &Moment| moment.microphone;
    match (shown.and_then(level), level(moment)) {
        (before, Some(now))
            if before.is_none_or(|before| {
                (before.rms_dbfs - now.rms_dbfs).abs() >= CHANGE_DB
                    || (before.peak_dbfs >= CLIPS_DBFS) != (now.peak_dbfs >= CLIPS_DBFS)
            }) =>
        {
            let clip = if now.peak_dbfs >= CLIPS_DBFS {
                " CLIPS"
            } else {
                ""
            };
            news.push(format!(
                "microphone {:.1} dBFS peak {:.1}{clip}",
                now.rms_dbfs, now.peak_dbfs
            ));
        }
        _ => {}
    }
    let is_new = |text: &&String| shown.is_none_or(|shown| !shown.head.contains(text));
    news.extend(moment.head.iter().filter(is_new).cloned());
    let is_new = |text: &&String| shown.is_none_or(|shown| !shown.faults.contains(text));
    news.extend(moment.faults.iter().filter(is_new).cloned());
    let is_new = |text: &&String| shown.is_none_or(|shown| !shown.troubles.contains(text));
    news.extend(moment.troubles.iter().filter(is_new).cloned());
    let line = news.join("; ");
    let plain = line.chars().map(|c| if c.is_control() { ' ' } else { c });
    (!news.is_empty()).then(|| plain.collect::<String>() + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(rms_dbfs: f64, peak_dbfs: f64, active: u8) -> Moment {
        Moment {
            head: vec!["rundhoej-1".into()],
            faults: Vec::new(),
            contacts: vec![Contact {
                name: "hook".into(),
                line: Some(17),
                level: Some("low".into()),
                active: Some(active),
            }],
            last_key: None,
            microphone: Some(Microphone {
                rms_dbfs,
                peak_dbfs,
                floor_dbfs: -60.0,
                constant_ms: 0,
                samples: 1,
            }),
            troubles: Vec::new(),
        }
    }

    #[test]
    fn only_what_changes_is_a_line() {
        let quiet = moment(-50.0, -40.0, 0);
        let first = change(None, &quiet).expect("everything is new");
        assert_eq!(
            first,
            "hook line 17 low at rest; microphone -50.0 dBFS peak -40.0; rundhoej-1\n"
        );
        assert_eq!(change(Some(&quiet), &quiet), None);
        assert_eq!(change(Some(&quiet), &moment(-47.0, -38.0, 0)), None);
        let lifted = change(Some(&quiet), &moment(-20.0, 0.0, 1)).expect("a change");
        assert_eq!(
            lifted,
            "hook line 17 low ACTIVE; microphone -20.0 dBFS peak 0.0 CLIPS\n"
        );
        let mut dialled = quiet.clone();
        dialled.last_key = Some(("5".into(), 100));
        assert_eq!(change(Some(&quiet), &dialled).as_deref(), Some("key 5\n"));
        let mut later = dialled.clone();
        later.last_key = Some(("5".into(), 4_000));
        assert_eq!(change(Some(&dialled), &later), None);
        assert_eq!(change(Some(&later), &dialled).as_deref(), Some("key 5\n"));
    }

    #[test]
    fn the_peak_is_held_and_a_clip_marked_for_a_while() {
        let mut peak = Peak::default();
        let at = |ms: u64| Mono(10_000 + ms);
        let loud = moment(-10.0, 0.0, 0).microphone;
        let quiet = moment(-50.0, -40.0, 0).microphone;
        peak.take(at(0), loud.as_ref());
        peak.take(at(1_000), quiet.as_ref());
        let bar_now = bar(quiet.as_ref().expect("a level"), &peak);
        assert!(
            bar_now.contains("CLIPS") && bar_now.contains("peak    0.0"),
            "{bar_now}"
        );
        peak.take(at(3_000), quiet.as_ref());
        let bar_now = bar(quiet.as_ref().expect("a level"), &peak);
        assert!(
            !bar_now.contains("CLIPS") && bar_now.contains("peak  -40.0"),
            "{bar_now}"
        );
        assert_eq!(
            (cell(-60.0), cell(0.0), cell(-500.0), cell(3.0)),
            (0, CELLS, 0, CELLS)
        );
    }

    #[test]
    fn a_screen_is_never_wider_or_longer_than_the_terminal_and_no_text_drives_it() {
        let mut moment = moment(-50.0, -40.0, 0);
        moment.faults = vec!["x\u{1b}[31m".repeat(100); 50];
        for (columns, rows) in [(40, 30), (3, 2), (1, 1), (500, 100)] {
            let text = screen(&moment, &Peak::default(), (columns, rows));
            let lines: Vec<&str> = text.split_terminator('\n').collect();
            assert!(lines.len() <= rows, "{columns} × {rows}");
            for line in lines.iter().filter(|line| line.ends_with("\u{1b}[K")) {
                let shown = line
                    .trim_start_matches("\u{1b}[H")
                    .trim_end_matches("\u{1b}[K");
                assert!(
                    shown.chars().count() <= columns,
                    "{columns} × {rows}: {shown:?}"
                );
            }
            assert!(!text.contains("\u{1b}[31m"));
        }
        // However long the faults are, contacts and meter stay.
        let text = screen(&moment, &Peak::default(), (80, 12));
        assert!(text.contains("hook") && text.contains("dBFS"), "{text}");
    }

    #[test]
    fn a_long_fault_goes_on_in_the_next_row() {
        assert_eq!(folded("abcdefghij", 8), ["abcdefgh", "      ij"]);
        assert_eq!(folded("", 8), [""]);
    }
}
