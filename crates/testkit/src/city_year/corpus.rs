//! What the citizens of the demonstration say: sentences that people wrote, spoken by espeak-ng in several voices, as a booth would have
//! encoded them.

use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use booth_audio::{Sender, made_answer};

/// The sentences: language, campaign, theme, words.
const SENTENCES: &str = include_str!("sentences.tsv");
/// How people begin; with one of them in front a sentence is another one.
const OPENINGS: [(&str, &[&str]); 2] = [
    ("da", &["", "Hej, jeg bor lige om hjørnet."]),
    ("en", &["", "Hello, I live around the corner."]),
];
/// espeak-ng's voices by language.
const VOICES: [(&str, &[&str]); 2] = [
    ("da", &["da", "da+f2", "da+m3", "da+f4"]),
    ("en", &["en-gb", "en-gb+f3", "en-gb+m5", "en-us+f2"]),
];

/// Longer than anything that is said here, seconds.
const LONGEST_S: u64 = 60;

/// One sentence as somebody said it.
pub(super) struct Said {
    pub(super) language: &'static str,
    pub(super) campaign: &'static str,
    pub(super) theme: &'static str,
    pub(super) words: String,
    /// A complete Ogg Opus file.
    pub(super) sound: Vec<u8>,
    pub(super) duration_ms: u64,
}

struct Line {
    language: &'static str,
    campaign: &'static str,
    theme: &'static str,
    words: String,
    voice: &'static str,
}

fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    let of = |table: &[(&'static str, &'static [&'static str])], language: &str| {
        table
            .iter()
            .find(|(own, _)| *own == language)
            .map_or(&[][..], |(_, list)| *list)
    };
    for (number, line) in SENTENCES.lines().skip(1).enumerate() {
        let mut cells = line.split('\t');
        let (Some(language), Some(campaign), Some(theme), Some(words)) =
            (cells.next(), cells.next(), cells.next(), cells.next())
        else {
            continue;
        };
        for (turn, opening) in of(&OPENINGS, language).iter().enumerate() {
            let voices = of(&VOICES, language);
            lines.push(Line {
                language,
                campaign,
                theme,
                words: format!("{opening} {words}").trim().to_owned(),
                voice: voices[(number + turn) % voices.len()],
            });
        }
    }
    lines
}

/// Speaks so many of them at most, from all campaigns, on both cores.
///
/// # Errors
/// espeak-ng is missing, or said nothing.
pub(super) fn speak(most: usize) -> Result<Vec<Said>, String> {
    let lines = lines();
    let every = lines.len().div_ceil(most.max(1)).max(1);
    let lines: Vec<Line> = lines.into_iter().step_by(every).collect();
    let next = AtomicUsize::new(0);
    let said = Mutex::new(Vec::new());
    let fault = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(line) = lines.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match spoken(line) {
                        Ok(one) => said.lock().expect("whole").push(one),
                        Err(why) => {
                            *fault.lock().expect("whole") = Some(why);
                            return;
                        }
                    }
                }
            });
        }
    });
    match fault.into_inner().expect("whole") {
        Some(why) => Err(why),
        None => {
            let mut said: Vec<Said> = said.into_inner().expect("whole");
            said.sort_by(|one, another| one.words.cmp(&another.words));
            Ok(said)
        }
    }
}

fn spoken(line: &Line) -> Result<Said, String> {
    let output = Command::new("espeak-ng")
        .args(["--stdout", "-s", "165", "-v", line.voice, "--"])
        .arg(&line.words)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            format!("espeak-ng does not start: {error}; it is in Debian's package espeak-ng")
        })?;
    let made = made_answer(&output.stdout, LONGEST_S, Sender::Operator)
        .map_err(|why| format!("\"{}\" {why}", line.words))?;
    Ok(Said {
        language: line.language,
        campaign: line.campaign,
        theme: line.theme,
        words: line.words.clone(),
        duration_ms: made.levels.length.ms(),
        sound: made.bytes,
    })
}
