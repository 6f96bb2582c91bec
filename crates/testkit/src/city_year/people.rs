//! The hub of the demonstration, and the people who work at it: everything through its pages and its command line, as people do it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::hub_program::hub_program;
use crate::staff::{Staff, between};
use booth_stage::program::Program;
use jiff::ToSpan;
use jiff::civil::Date;

use super::booths::{Chance, Kept};
use super::campaigns::CAMPAIGNS;
use super::corpus::Said;
use super::{AREAS, BOOTHS, PLACES, name_of};

/// Both people's password: this hub is for a look, and listens on loopback alone.
pub const PASSWORD: &str = "a year of a city";
/// The themes' names by the words of the table of sentences, in Danish.
const THEMES: [(&str, &str); 21] = [
    ("benches", "Bænke"),
    ("trees", "Grønt"),
    ("light", "Lys"),
    ("play", "Leg"),
    ("cleaning", "Renhold"),
    ("speed", "Fart"),
    ("bikes", "Cykler"),
    ("bus", "Bus"),
    ("crossing", "Fodgængere"),
    ("hours", "Åbningstid"),
    ("quiet", "Ro"),
    ("events", "Arrangementer"),
    ("books", "Bøger"),
    ("swim", "Bad"),
    ("homes", "Boliger"),
    ("culture", "Kultur"),
    ("wind", "Læ"),
    ("together", "Fællesskab"),
    ("noise", "Støj"),
    ("health", "Sundhed"),
    ("school", "Skole"),
];
/// Moderators that work at the same time.
const MODERATORS: usize = 3;

/// A running hub.
pub struct Hub {
    program: Program,
    config: PathBuf,
    /// The address of the citizens' pages.
    pub citizens: String,
    /// The address of the staff's.
    pub staff: String,
}

impl Hub {
    /// Starts it in this folder, with two accounts.
    pub(super) fn start(folder: &Path, broker: u16) -> Result<Self, String> {
        let config = folder.join("hub.toml");
        let booths: String = PLACES
            .lines()
            .skip(1)
            .take(BOOTHS)
            .enumerate()
            .map(|(booth, line)| {
                let place = line.rsplit('\t').next().unwrap_or_default();
                let id = name_of(booth);
                format!(
                    "[[booth]]\nid = {id:?}\nname = \"Booth {}\"\nplace = {place:?}\n",
                    booth + 1
                )
            })
            .collect();
        let text = format!(
            "[store]\ndir = \"store\"\n[http]\nlisten = \"127.0.0.1:0\"\n[city]\nname = \"Aarhus\"\nlisten = \"127.0.0.1:0\"\n\
             contact = \"byens-stemmer@example.org\"\n[mqtt]\nurl = \"mqtt://127.0.0.1:{broker}\"\n{booths}"
        );
        std::fs::write(&config, text).map_err(|error| format!("{}: {error}", config.display()))?;
        run_with(
            &config,
            &[
                "people",
                "add",
                "anna",
                "--role",
                "moderator",
                "--role",
                "editor",
            ],
        )?;
        run_with(
            &config,
            &[
                "people",
                "add",
                "bo",
                "--role",
                "administrator",
                "--role",
                "operator",
            ],
        )?;
        let mut command = Command::new(hub_program());
        command.args(["serve", "--config"]).arg(&config);
        let program = Program::start("booth-hub", &mut command)?;
        program.says("booth-hub is up")?;
        let address = |line: &str| {
            let lines = program.lines();
            let found = lines.iter().rev().find_map(|said| {
                let (_, rest) = said.split_once(line)?;
                rest.split([',', ' ']).next().map(str::to_owned)
            });
            found.ok_or_else(|| format!("booth-hub does not say \"{line}\""))
        };
        let citizens = address("pages for citizens on ")?;
        let staff = address("pages on ")?;
        Ok(Self {
            program,
            config,
            citizens,
            staff,
        })
    }

    /// Runs `booth-hub` with these arguments to its end.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<String, String> {
        run_with(&self.config, arguments)
    }

    /// Waits until the hub ends, which is when somebody ends it.
    pub fn wait(mut self) -> Result<(), String> {
        self.program.ends().map(|_| ())
    }
}

/// `booth-hub` to its end; a password is what it reads.
fn run_with(config: &Path, arguments: &[&str]) -> Result<String, String> {
    let mut child = Command::new(hub_program())
        .args(arguments)
        .arg("--config")
        .arg(config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("booth-hub does not start: {error}"))?;
    if let Some(mut words) = child.stdin.take() {
        // A command that asks for nothing does not read it.
        let _ = std::io::Write::write_all(&mut words, format!("{PASSWORD}\n").as_bytes());
    }
    let output = child
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!(
            "booth-hub {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}

/// Somebody who decides what is published.
pub(super) struct Moderator {
    desks: Vec<Staff>,
}

impl Moderator {
    pub(super) fn log_in(hub: &Hub) -> Result<Self, String> {
        let base = hub.staff.trim_end_matches('/');
        let desks = (0..MODERATORS).map(|_| Staff::log_in(base, "anna", PASSWORD));
        let desks = desks.collect::<Result<_, _>>()?;
        Ok(Self { desks })
    }

    /// Decides about everything that was said but the latest.
    pub(super) fn decide(
        &self,
        delivered: &[Vec<String>],
        year: &[Vec<Kept>],
        said: &[Said],
    ) -> Result<String, String> {
        let each = delivered.iter().zip(year);
        let mut messages: Vec<(&String, &Kept)> = each
            .flat_map(|(ids, kept)| ids.iter().zip(kept))
            .filter(|(_, kept)| kept.said.is_some())
            .collect();
        messages.sort_by_key(|(_, kept)| kept.at);
        // The last ones wait at the desk, for whoever looks at it.
        let waiting = messages.len() / 40;
        messages.truncate(messages.len() - waiting);
        let next = AtomicUsize::new(0);
        let outcomes: Vec<Result<[usize; 3], String>> = std::thread::scope(|scope| {
            let desks = self.desks.iter().map(|desk| {
                let (next, messages) = (&next, &messages);
                scope.spawn(move || {
                    let mut counts = [0; 3];
                    while let Some((id, kept)) = messages.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        counts[decide_one(desk, id, kept, said)?] += 1;
                    }
                    Ok(counts)
                })
            });
            let desks: Vec<_> = desks.collect();
            desks
                .into_iter()
                .map(|desk| desk.join().expect("a desk"))
                .collect()
        });
        let mut counts = [0; 3];
        for outcome in outcomes {
            for (all, own) in counts.iter_mut().zip(outcome?) {
                *all += own;
            }
        }
        let [published, heard, rejected] = counts;
        Ok(format!(
            "{published} messages are published, {heard} heard, {rejected} rejected at the desk; {waiting} wait there"
        ))
    }
}

fn decide_one(desk: &Staff, id: &str, kept: &Kept, said: &[Said]) -> Result<usize, String> {
    let said = &said[kept.said.expect("a spoken one")];
    let seed = id
        .bytes()
        .fold(0_u64, |hash, byte| hash.wrapping_mul(31) + u64::from(byte));
    let mut chance = Chance::new(seed);
    let theme = THEMES.iter().find(|(word, _)| *word == said.theme);
    let theme = theme.map_or(said.theme, |(_, name)| *name);
    let (doing, outcome) = match (chance.below(100), kept.publish) {
        (0..3, _) => ("reject:empty", 2),
        (3..6, _) => ("reject:names-somebody", 2),
        (_, "no") => ("heard", 1),
        (_, "voice") => ("voice", 0),
        _ => ("text", 0),
    };
    desk.post(
        &format!("desk/message/{id}"),
        &[
            ("version", "0"),
            ("transcript", &said.words),
            ("transcript_lang", said.language),
            ("new_theme", theme),
            ("do", doing),
        ],
    )?;
    Ok(outcome)
}

/// Somebody who says where booths stand and what came of what was said.
pub(super) struct Editor {
    desk: Staff,
}

impl Editor {
    pub(super) fn log_in(hub: &Hub) -> Result<Self, String> {
        let base = hub.staff.trim_end_matches('/');
        let desk = Staff::log_in(base, "anna", PASSWORD)?;
        hub.run(&["areas", "import", &write_areas(&hub.config)?])?;
        Ok(Self { desk })
    }
}

fn write_areas(config: &Path) -> Result<String, String> {
    let path = config.with_file_name("areas.geojson");
    std::fs::write(&path, AREAS).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path.display().to_string())
}

/// How long a booth stands at one place, days.
const STAY: i64 = 170;

impl Editor {
    /// Moves the booths through the year: each stands at two places, two of them at three.
    pub(super) fn places(&self, first: Date) -> Result<(), String> {
        for (number, line) in PLACES.lines().skip(1).enumerate() {
            let mut cells = line.split('\t');
            let (Some(_), Some(lat), Some(lon), Some(place)) =
                (cells.next(), cells.next(), cells.next(), cells.next())
            else {
                continue;
            };
            let (booth, turn) = (number % BOOTHS, (number / BOOTHS) as i64);
            let since = first.saturating_add((turn * STAY).days());
            self.desk.post(
                "places/move",
                &[
                    ("booth", &name_of(booth)),
                    ("since", &format!("{since}T00:00")),
                    ("place", place),
                    ("position", &format!("{lat}, {lon}")),
                    ("area", "auto"),
                    ("campaign", ""),
                ],
            )?;
        }
        Ok(())
    }

    /// Each campaign's page, its phases, and what came of it; ideas with the messages that they came from.
    pub(super) fn tells_what_came_of_it(&self, first: Date) -> Result<(), String> {
        for campaign in &CAMPAIGNS {
            let [da, en] = campaign.title;
            let (from, to) = campaign.days;
            let day = |day: i64| format!("{}T00:00", first.saturating_add(day.days()));
            let [asks, _] = campaign.asks;
            let (is_decided, has_vote) = (to < 300, campaign.vote.is_some());
            let after = if has_vote { to + 31 } else { to };
            let mut fields = vec![
                ("title.da", da.to_owned()),
                ("title.en", en.to_owned()),
                (
                    "summary.da",
                    format!(
                        "Vi spurgte i telefonboksene: {asks} Alle svar er hørt af et menneske."
                    ),
                ),
                (
                    "summary.en",
                    format!(
                        "We asked in the telephone booths: {} A person has listened to every answer.",
                        campaign.asks[1]
                    ),
                ),
                ("is_public", "yes".to_owned()),
                ("since.open", day(from)),
            ];
            if is_decided {
                fields.push(("until.open", day(to)));
                if has_vote {
                    fields.push(("since.vote", day(to)));
                    fields.push(("until.vote", day(after)));
                }
                fields.push(("since.decided", day(after + 14)));
                fields.push(("reply.da", "I sagde det tydeligt, og vi har gjort noget ved det: de første forslag er i gang.".into()));
                fields.push((
                    "reply.en",
                    "You said it clearly and we acted: the first proposals are under way.".into(),
                ));
            }
            let fields: Vec<(&str, &str)> = fields
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            self.desk
                .post(&format!("editor/{}/public", campaign.id), &fields)?;
            self.desk.post(
                &format!("editor/{}/public/{}", campaign.id, campaign.question),
                &[
                    ("reply.da", "Tak. Vi har læst alle svar."),
                    ("reply.en", "Thank you. We have read every answer."),
                ],
            )?;
        }
        let made = self.desk.post(
            "ideas",
            &[
                ("campaign", "square"),
                ("title_da", "En bænk for hver lygte"),
                ("title_en", "A bench for every lamp"),
                ("body_da", "Mange vil kunne sidde, og mange vil kunne se."),
                ("body_en", "Many want to sit, and many want to see."),
            ],
        )?;
        let number = made.rsplit('/').next().unwrap_or_default().to_owned();
        let page = self.desk.get(&format!("ideas/{number}"))?;
        let messages: Vec<&str> = page
            .split("name=\"message\" value=\"")
            .skip(1)
            .filter_map(|rest| between(rest, "", "\""))
            .take(12)
            .collect();
        let fields: Vec<(&str, &str)> = messages.iter().map(|id| ("message", *id)).collect();
        if !fields.is_empty() {
            self.desk
                .post(&format!("ideas/{number}/messages"), &fields)?;
        }
        Ok(())
    }
}
