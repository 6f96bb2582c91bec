//! The command that makes a draft: started, waited for and ended.
//!
//! Owns: the sound's file in memory (/dev/shm), the command's process group, and what it may write. Never does: use a shell, write sound to a
//! disk, or wait for ever. A failure leaves neither file nor process behind; after a crash of the hub the next start takes the file away.
#![allow(clippy::disallowed_methods)] // the adapter of the command: its file and its process

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use booth_host::{clock, crew};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, setpriority_process,
};

/// Where files lie in memory.
const MEMORY: &str = "/dev/shm";
/// What their names begin with.
const NAME: &str = "booth-hub-draft-";
/// Most bytes of an answer.
const LONGEST_ANSWER: u64 = 4 * 1024 * 1024;
/// Most bytes of what it complains about.
const LONGEST_COMPLAINT: u64 = 4 * 1024;
/// How long a pipe is waited for that a process outside the group may hold.
const PIPE_PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked whether the hub ends, ms: less than a second.
const LOOK_EVERY_MS: u64 = 500;
/// A low priority (setpriority(2)): everything else goes first, and on a busy machine a draft is still made.
const LOW_PRIORITY: i32 = 10;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HookFault {
    /// The machine or the configuration: no message can be tried.
    #[error("{0}")]
    Setup(String),
    /// It did not end in time.
    #[error("it did not end within {0} s and was ended")]
    Hangs(u64),
    /// It ended badly.
    #[error("it ended with {0}")]
    Crashed(String),
    /// What it wrote is no answer.
    #[error("it answered what is no draft: {0}")]
    Rubbish(String),
    /// The hub ends.
    #[error("it was ended with the hub")]
    Stopped,
}

/// A sound's file; gone with the value.
struct InMemory(PathBuf);

impl InMemory {
    fn new(sound: &[u8]) -> Result<Self, HookFault> {
        let bad = |why: &dyn std::fmt::Display| {
            HookFault::Setup(format!("no file can be made in {MEMORY}: {why}"))
        };
        let mut chance = [0; 8];
        getrandom::fill(&mut chance).map_err(|why| bad(&why))?;
        let name = format!(
            "{NAME}{}-{}.opus",
            std::process::id(),
            booth_contract::hex(&chance)
        );
        let file = Self(Path::new(MEMORY).join(name));
        let mut opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file.0)
            .map_err(|why| bad(&why))?;
        opened.write_all(sound).map_err(|why| bad(&why))?;
        Ok(file)
    }
}

impl Drop for InMemory {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Takes away what hubs that are no more left in memory.
pub(crate) fn sweep() {
    let Ok(entries) = std::fs::read_dir(MEMORY) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str());
        let process = name.and_then(|name| name.strip_prefix(NAME)?.split('-').next());
        let Some(process) = process.filter(|id| id.parse::<u32>().is_ok()) else {
            continue;
        };
        if !Path::new("/proc").join(process).exists() {
            let _ = std::fs::remove_file(&path);
        }
    }
}

/// Asks the command about a sound: what it wrote. Blocks until it has ended, at most for `seconds`, or until `stop` is said.
pub(crate) fn ask(
    command: &[String],
    sound: &[u8],
    language: &str,
    seconds: u64,
    stop: &AtomicBool,
) -> Result<String, HookFault> {
    let file = InMemory::new(sound)?;
    let path = file.0.display().to_string();
    let filled = |word: &String| {
        word.replace("{language}", language)
            .replace("{file}", &path)
    };
    let program = command.first().map(String::as_str).unwrap_or_default();
    let mut started = Command::new(program);
    started
        .args(command.iter().skip(1).map(filled))
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "HOME"))
        .env("LANG", "C.UTF-8")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let child = started
        .spawn()
        .map_err(|why| HookFault::Setup(format!("{program:?} cannot be started: {why}")))?;
    let group = Group(child);
    group.watched(seconds, stop)
}

/// A command with its children; ended with the value.
struct Group(Child);

impl Group {
    fn pid(&self) -> Result<Pid, HookFault> {
        let id = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        id.ok_or_else(|| HookFault::Setup("its process has no number".into()))
    }

    fn watched(mut self, seconds: u64, stop: &AtomicBool) -> Result<String, HookFault> {
        let pid = self.pid()?;
        // Where it may not be said (a unit without setpriority), the command works at the hub's own priority.
        let _ = setpriority_process(Some(pid), LOW_PRIORITY);
        let answer = listen("draft answer", self.0.stdout.take(), LONGEST_ANSWER)?;
        let complaint = listen("draft complaint", self.0.stderr.take(), LONGEST_COMPLAINT)?;
        has_ended(pid, seconds, stop)?;
        let status = self.0.wait();
        let status = status.map_err(|why| HookFault::Setup(why.to_string()))?;
        // A child of its that goes on writing is ended, too.
        let _ = kill_process_group(pid, Signal::KILL);
        let answer = answer.recv_timeout(PIPE_PATIENCE);
        if !status.success() {
            let how = match (status.code(), status.signal()) {
                (Some(code), _) => format!("exit status {code}"),
                (_, Some(signal)) => format!("signal {signal}"),
                _ => "no status".into(),
            };
            let complaint = complaint.recv_timeout(PIPE_PATIENCE).unwrap_or_default();
            return Err(HookFault::Crashed(match last_line(&complaint) {
                Some(line) => format!("{how}: {line}"),
                None => how,
            }));
        }
        let answer = answer.map_err(|_| HookFault::Rubbish("its output does not end".into()))?;
        if answer.len() as u64 > LONGEST_ANSWER {
            let what = format!("it is longer than {LONGEST_ANSWER} bytes");
            return Err(HookFault::Rubbish(what));
        }
        String::from_utf8(answer).map_err(|_| HookFault::Rubbish("it is no UTF-8".into()))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Ok(pid) = self.pid()
            && !matches!(self.0.try_wait(), Ok(Some(_)))
        {
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = self.0.wait();
        }
    }
}

/// Waits for the end of a process.
fn has_ended(pid: Pid, seconds: u64, stop: &AtomicBool) -> Result<(), HookFault> {
    let refused =
        |why: rustix::io::Errno| HookFault::Setup(format!("its end cannot be seen: {why}"));
    let handle = pidfd_open(pid, PidfdFlags::empty()).map_err(refused)?;
    let until = clock::mono()
        .0
        .saturating_add(seconds.saturating_mul(1_000));
    loop {
        let left = until.saturating_sub(clock::mono().0).min(LOOK_EVERY_MS);
        let left = Timespec {
            tv_sec: 0,
            tv_nsec: (left * 1_000_000) as _,
        };
        match poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&left)) {
            Ok(0) if stop.load(Ordering::Acquire) => return Err(HookFault::Stopped),
            Ok(0) if clock::mono().0 >= until => return Err(HookFault::Hangs(seconds)),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(why) => return Err(refused(why)),
        }
    }
}

/// Reads a pipe on a thread of its own, at most one byte more than `most`; what lies beyond is thrown away, so that its writer can end.
fn listen(
    name: &str,
    pipe: Option<impl Read + Send + 'static>,
    most: u64,
) -> Result<Receiver<Vec<u8>>, HookFault> {
    let (heard_in, heard) = sync_channel(1);
    let work = move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            let mut pipe = pipe.take(most + 1);
            let _ = pipe.read_to_end(&mut bytes);
            let _ = std::io::copy(&mut pipe.into_inner(), &mut std::io::sink());
        }
        let _ = heard_in.send(bytes);
    };
    crew::contain(name, work).map_err(|why| HookFault::Setup(why.to_string()))?;
    Ok(heard)
}

/// The last line of a complaint, short enough for a line of the log, and without what steers a terminal.
fn last_line(complaint: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(complaint);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(line.chars().filter(|c| !c.is_control()).take(200).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    static NEVER: AtomicBool = AtomicBool::new(false);

    fn shell(script: &str) -> Vec<String> {
        ["/bin/sh", "-c", script, "hook", "{file}", "{language}"]
            .map(str::to_owned)
            .into()
    }

    /// Files of this process in memory whose content is this.
    fn left(content: &[u8]) -> usize {
        let own = format!("{NAME}{}-", std::process::id());
        let entries = std::fs::read_dir(MEMORY)
            .expect("a folder in memory")
            .flatten();
        let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&own));
        named
            .filter(|entry| std::fs::read(entry.path()).is_ok_and(|bytes| bytes == content))
            .count()
    }

    #[test]
    fn the_command_gets_the_sound_in_memory_and_the_language_and_nothing_is_left() {
        let sound = b"sound of the first test";
        let script = "ls -l \"$1\" | cut -c1-10; cat \"$1\"; printf '|%s|' \"$2\"; echo \"$CARGO_MANIFEST_DIR\"; \
                      ps -o ni= -p $$ 2>/dev/null || nice; echo \"$1\"";
        let answer = ask(&shell(script), sound, "da", 60, &NEVER).expect("an answer");
        assert!(
            answer.starts_with("-rw-------\nsound of the first test|da|\n"),
            "{answer}"
        );
        assert!(answer.contains("10"), "{answer}");
        assert!(answer.trim_end().ends_with(".opus") && answer.contains("/dev/shm/"));
        assert_eq!(left(sound), 0);
    }

    #[test]
    fn no_shell_looks_at_what_a_language_says() {
        let command = ["/bin/echo", "{language}", "{file}"].map(str::to_owned);
        let answer = ask(&command, b"x", "$(id); rm {file}", 60, &NEVER).expect("an answer");
        assert!(answer.starts_with("$(id); rm /dev/shm/"), "{answer}");
    }

    #[test]
    fn a_hook_that_hangs_is_ended_with_its_children_and_nothing_is_left() {
        let sound = b"sound of a hook that hangs";
        let folder = tempfile::tempdir().expect("a folder");
        let pids = folder.path().join("pids");
        let script = format!(
            "sleep 1000 & echo $! > {0}; echo $$ >> {0}; wait",
            pids.display()
        );
        let fault = ask(&shell(&script), sound, "da", 1, &NEVER).expect_err("it hangs");
        assert_eq!(fault, HookFault::Hangs(1));
        assert_eq!(left(sound), 0);
        let pids = std::fs::read_to_string(pids).expect("written");
        assert_eq!(pids.lines().count(), 2);
        for pid in pids.lines() {
            let pid = pid.parse().ok().and_then(Pid::from_raw).expect("a number");
            // Either it is gone already, or its end is seen within the time.
            if pidfd_open(pid, PidfdFlags::empty()).is_ok() {
                has_ended(pid, 60, &NEVER).expect("it ends");
            }
        }
    }

    #[test]
    fn a_hook_ends_with_the_hub() {
        let stop = AtomicBool::new(true);
        let fault = ask(&shell("sleep 1000"), b"x", "da", 900, &stop);
        assert_eq!(fault, Err(HookFault::Stopped));
    }

    #[test]
    fn a_hook_that_crashes_or_is_missing_says_why() {
        let crashed =
            |script: &str| ask(&shell(script), b"x", "da", 60, &NEVER).expect_err("no answer");
        let fault = crashed("echo 'model\x1b[1m not found' >&2; exit 3").to_string();
        assert_eq!(fault, "it ended with exit status 3: model[1m not found");
        assert!(crashed("kill -SEGV $$").to_string().contains("signal 11"));
        let missing = ["/no/such/hook".to_owned(), "{file}".to_owned()];
        let fault = ask(&missing, b"x", "da", 60, &NEVER).expect_err("nothing to start");
        assert!(matches!(&fault, HookFault::Setup(why) if why.contains("/no/such/hook")));
    }

    #[test]
    fn an_answer_without_end_or_a_pipe_that_stays_open_blocks_nobody() {
        let endless = ask(&shell("yes | head -c 9000000"), b"x", "da", 60, &NEVER);
        assert!(matches!(endless, Err(HookFault::Rubbish(_))), "{endless:?}");
        let binary = ask(&shell("printf '\\377\\376'"), b"x", "da", 60, &NEVER);
        assert!(matches!(binary, Err(HookFault::Rubbish(_))), "{binary:?}");
        // A child that is surely outside the group holds the pipe.
        let folder = tempfile::tempdir().expect("a folder");
        let fifo = folder.path().join("fifo").display().to_string();
        let script = format!(
            "mkfifo {fifo}; setsid sh -c 'echo x > {fifo}; exec sleep 30' & read x < {fifo}; echo {{}}"
        );
        let held = ask(&shell(&script), b"x", "da", 60, &NEVER);
        assert!(matches!(held, Err(HookFault::Rubbish(_))), "{held:?}");
    }

    #[test]
    fn what_a_dead_hub_left_in_memory_is_taken_away_and_what_a_living_one_uses_stays() {
        let dead = Path::new(MEMORY).join(format!("{NAME}4194399-{}.opus", std::process::id()));
        std::fs::write(&dead, b"words").expect("written");
        let own = InMemory::new(b"own words").expect("a file");
        sweep();
        assert!(!dead.exists() && own.0.exists());
    }
}
