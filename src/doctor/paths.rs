//! The card and the prompts: can the spool be written, is there room, can every prompt be played.
//!
//! Owns: the verdicts. Never does: make a folder or leave a file; the trial write has no name and is gone when it ends.
#![allow(clippy::disallowed_methods)] // looks at files

use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, StatVfs, StatVfsMountFlags};

use crate::adapters::prompts::folder::{Unused, Weight};
use crate::adapters::prompts::{Prompts, file_name};
use crate::adapters::screen::lacking;
use crate::config::{Config, Question, Spool};
use crate::status::Finding;
use gateway_core::prompt::Prompt;

/// How many bytes are written and synced to check that the card takes them: one page.
const TRIAL: usize = 4096;

/// Looks at spool and prompts; if a gateway runs, the trial write is left to it.
pub(super) fn look(config: &Config, is_free: bool) -> Vec<Finding> {
    let mut all = spool(config, is_free);
    all.extend(prompts(config));
    all
}

fn spool(config: &Config, is_free: bool) -> Vec<Finding> {
    let dir = &config.spool.dir;
    let mut all = Vec::new();
    let place = match place_of(dir, &mut all) {
        Ok(place) => place,
        Err(finding) => return vec![finding],
    };
    let system = match file_system(&place) {
        Ok(system) => system,
        Err(finding) => {
            all.push(finding);
            return all;
        }
    };
    if place == *dir && is_free {
        all.push(takes_writes(dir));
    }
    all.push(room(&config.spool, &system));
    all
}

/// The spool's folder, or the nearest one above it where the gateway has not made it yet; then that is a finding.
fn place_of(dir: &Path, all: &mut Vec<Finding>) -> Result<PathBuf, Finding> {
    match std::fs::metadata(dir) {
        Ok(facts) if facts.is_dir() => Ok(dir.to_owned()),
        Ok(_) => {
            let sentence = format!("{} is no folder.", dir.display());
            let remedy = "Move that file away, or set [spool] dir to a folder.";
            Err(Finding::fault("card", "spool.dir", sentence, remedy))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let sentence = format!("{} is not there; the gateway makes it.", dir.display());
            all.push(Finding::ok("card", "spool.dir", sentence));
            Ok(nearest(dir))
        }
        Err(error) => {
            let sentence = format!("{} cannot be looked at: {error}.", dir.display());
            let remedy = "Run the doctor as root or as the user booth-gateway.";
            Err(Finding::fault("card", "spool.dir", sentence, remedy))
        }
    }
}

/// The facts of a file system that can be written.
fn file_system(place: &Path) -> Result<StatVfs, Finding> {
    let system = rustix::fs::statvfs(place).map_err(|error| {
        let sentence = format!(
            "The file system of {} says nothing: {error}.",
            place.display()
        );
        let remedy = "Swap the card; the clips on it can be imported at the centre.";
        Finding::fault("card", "file system", sentence, remedy)
    })?;
    match system.f_flag.contains(StatVfsMountFlags::RDONLY) {
        false => Ok(system),
        true => Err(Finding::fault(
            "card",
            "file system",
            format!("The file system of {} is read-only.", place.display()),
            "If the kernel made it so after errors (`dmesg`), swap the card; else mount it writable.",
        )),
    }
}

fn takes_writes(dir: &Path) -> Finding {
    match try_write(dir) {
        Ok(()) => Finding::ok(
            "card",
            "spool.dir",
            format!("{} takes a write.", dir.display()),
        ),
        Err(error) => Finding::fault(
            "card",
            "spool.dir",
            format!("{} does not take a write: {error}.", dir.display()),
            "Give the folder to the user booth-gateway (chown -R booth-gateway, chmod 0700) and run the doctor as that user or as root; on an input/output error swap the card.",
        ),
    }
}

fn room(spool: &Spool, system: &StatVfs) -> Finding {
    let megabytes = |bytes: u64| bytes / 1_000_000;
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    let whole = system.f_blocks.saturating_mul(system.f_frsize);
    let (max, reserve) = (spool.max_bytes, spool.reserve_bytes);
    let figures = format!(
        "{} MB of {} MB are free, {} MB stay in reserve",
        megabytes(free),
        megabytes(whole),
        megabytes(reserve)
    );
    if free <= reserve {
        Finding::fault(
            "card",
            "room",
            format!("There is no room for a recording: {figures}."),
            "Restore the connection so that clips can leave, swap the card, or lower [spool] reserve_bytes.",
        )
    } else if max.saturating_add(reserve) > whole {
        Finding::warning(
            "card",
            "room",
            format!("[spool] max_bytes and reserve_bytes are more than the card holds; {figures}."),
            format!(
                "Set max_bytes to at most {}.",
                whole.saturating_sub(reserve)
            ),
        )
    } else {
        Finding::ok("card", "room", format!("{figures}."))
    }
}

/// The nearest folder above that exists.
fn nearest(dir: &Path) -> PathBuf {
    let above = dir.ancestors().skip(1);
    let mut there = above.filter(|folder| folder.is_dir());
    there.next().unwrap_or(Path::new(".")).to_owned()
}

/// Writes and syncs a file without a name (open(2), O_TMPFILE).
fn try_write(dir: &Path) -> std::io::Result<()> {
    use std::io::Write;
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(dir, flags, Mode::RUSR | Mode::WUSR);
    let mut file = match opened {
        Ok(file) => std::fs::File::from(file),
        // On a file system without nameless files the permissions have to do.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR) => {
            return Ok(rustix::fs::access(dir, rustix::fs::Access::WRITE_OK)?);
        }
        Err(error) => return Err(error.into()),
    };
    file.write_all(&[0; TRIAL])?;
    file.sync_data()
}

fn prompts(config: &Config) -> Vec<Finding> {
    let session = &config.session;
    let names: Vec<String> = config
        .questions
        .iter()
        .flat_map(Question::prompt_names)
        .collect();
    let (loaded, unused) = Prompts::load(&session.prompts, &session.language, &names);
    let folder = session.prompts.join(&session.language);
    let mut all: Vec<Finding> = unused.iter().map(told).collect();
    let is_told = |name: &str| {
        unused
            .iter()
            .any(|file| file.prompt.as_deref() == Some(name))
    };
    if loaded.notice_id().is_some() {
        let sentence = "The notice that citizens must hear is there.";
        all.push(Finding::ok("prompts", "notice", sentence));
    } else if !is_told(file_name(&Prompt::Notice)) {
        all.push(Finding::fault(
            "prompts",
            "notice",
            format!(
                "There is no notice in {}; a tone stands in for it.",
                folder.display()
            ),
            "Put notice.opus or notice.wav there.",
        ));
    }
    let is_missing =
        |name: &&String| !loaded.has(&Prompt::Question((*name).clone())) && !is_told(name);
    for name in names.iter().filter(is_missing) {
        all.push(Finding::fault(
            "prompts",
            name,
            format!(
                "The question or option {name:?} has no prompt in {}; a tone stands in for it.",
                folder.display()
            ),
            format!("Put {name}.opus or {name}.wav there."),
        ));
    }
    if config.screen.enabled
        && let Some(sentence) = lacking(&loaded.without_text())
    {
        let remedy = "A deaf person reads them on the screen and nowhere else.";
        all.push(Finding::warning("prompts", "texts", sentence, remedy));
    }
    if config.questions.is_empty() {
        all.push(Finding::warning(
            "prompts",
            "questions",
            "No question is configured; without one from the centre nobody can speak.",
            "Add a [[question]] to booth.toml, or publish one from the centre.",
        ));
    }
    all
}

/// A file that is not used: a fault where a prompt is missing because of it.
fn told(file: &Unused) -> Finding {
    let sentence = format!("{} {}.", file.file, file.why);
    match file.weight {
        Weight::Lacking => Finding::fault("prompts", "broken", sentence, &file.remedy),
        Weight::Spare => Finding::warning("prompts", "unused", sentence, &file.remedy),
        Weight::Elsewhere => Finding::ok("prompts", "languages", sentence),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Verdict;

    fn config(dir: &Path) -> Config {
        let mut config: Config = toml::from_str(
            "[booth]\nid = \"rundhoej-1\"\n[[question]]\nid = \"bus\"\ndigit = 1\nkind = \"speak\"\n",
        )
        .expect("a configuration");
        config.spool.dir = dir.join("spool");
        config.spool.max_bytes = 1_000_000;
        config.spool.reserve_bytes = 0;
        config.session.prompts = dir.join("prompts");
        config
    }

    fn verdicts(all: &[Finding]) -> Vec<(&str, Verdict)> {
        let verdicts = all.iter();
        verdicts.map(|f| (f.subject.as_str(), f.verdict)).collect()
    }

    #[test]
    fn a_spool_is_written_to_and_nothing_stays_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path());
        let before = spool(&config, true);
        assert!(before[0].sentence.contains("makes it"), "{before:?}");
        std::fs::create_dir(&config.spool.dir).expect("made");
        let found = spool(&config, true);
        assert_eq!(
            verdicts(&found),
            [("spool.dir", Verdict::Ok), ("room", Verdict::Ok)],
            "{found:?}"
        );
        let left = std::fs::read_dir(&config.spool.dir).expect("a folder");
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn too_little_room_is_a_fault_and_too_large_a_limit_worth_an_eye() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = config(folder.path());
        config.spool.max_bytes = u64::MAX;
        assert_eq!(spool(&config, true)[1].verdict, Verdict::Warning);
        config.spool.reserve_bytes = u64::MAX;
        assert_eq!(spool(&config, true)[1].verdict, Verdict::Fault);
        std::fs::write(&config.spool.dir, "a file").expect("written");
        assert!(spool(&config, true)[0].sentence.contains("no folder"));
    }

    #[test]
    fn a_missing_notice_and_a_broken_prompt_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path());
        let danish = folder.path().join("prompts/da");
        std::fs::create_dir_all(&danish).expect("made");
        std::fs::write(danish.join("bus.opus"), "no sound").expect("written");
        let found = prompts(&config);
        assert_eq!(
            verdicts(&found),
            [("broken", Verdict::Fault), ("notice", Verdict::Fault)],
            "{found:?}"
        );
        assert!(found[0].sentence.contains("bus.opus"), "{found:?}");
    }
}
