//! The main job end to end: real gateway, real sound card stand-in, real broker, real hub.
#![allow(clippy::disallowed_methods)]

use std::path::Path;
use std::process::Command;

use booth_host::line_server;
use booth_testkit::alike;
use booth_testkit::gateway::{BoothHome, Gateway, fixtures};
use booth_testkit::hub::{Broker, Home, Hub};
use booth_testkit::pulse::Pulse;
use booth_testkit::speech::decode;
use booth_testkit::wait::until;

fn clips_of(home: &Home) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![home.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "opus")
            {
                found.push(path);
            }
        }
    }
    found
}

/// Raw samples at 48 kHz of an Ogg Opus file, and no fault in it.
pub(super) fn decoded(file: &Path, into: &Path) -> Vec<f64> {
    let info = Command::new("opusinfo")
        .arg(file)
        .output()
        .expect("opusinfo runs");
    let text =
        String::from_utf8_lossy(&info.stdout).into_owned() + &String::from_utf8_lossy(&info.stderr);
    assert!(
        info.status.success() && !text.contains("WARNING") && !text.contains("ERROR"),
        "{text}"
    );
    decode(file, into).expect("decoded");
    let mut wav = hound::WavReader::open(into).expect("a wav");
    wav.samples::<i16>()
        .map(|sample| f64::from(sample.expect("a sample")))
        .collect()
}

/// Loudness in steps of 10 ms.
pub(super) fn envelope(samples: &[f64]) -> Vec<f64> {
    alike::envelope(samples.iter().copied(), 480)
}

/// Best normalised correlation of `source` inside `heard`, and where.
pub(super) fn correlation(heard: &[f64], source: &[f64]) -> (f64, usize) {
    alike::likeness(heard, source, source.len() / 2)
}

#[test]
fn what_a_citizen_says_arrives_at_the_centre_whole_and_leaves_the_card() {
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let booth = BoothHome::new(
        broker.port,
        "[[question]]\nid = \"bus\"\ndigit = 2\nkind = \"speak\"\n",
    );
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("ready", 1);
    gateway.reaches("hub_online", 1);
    let ear = booth.path().join("ear.raw");
    let listener = pulse.listen(&ear);
    gateway.handset("lift");
    gateway.reaches("session", "question");
    gateway.handset("dial 2");
    gateway.reaches("session", "recording");
    let speech = fixtures().join("speech/da.opus");
    let wav = booth.path().join("speech.wav");
    let spoken = decoded(&speech, &wav);
    pulse.speak(&wav);
    gateway.handset("hang-up");
    gateway.reaches("session", "idle");
    let clip = until("the clip is at the hub", || {
        clips_of(&home).into_iter().next()
    });
    gateway.reaches("spool_clips", 0);
    until("the card is clean", || {
        booth.files("clips").is_empty().then_some(())
    });
    drop(listener);

    let heard = decoded(&clip, &booth.path().join("heard.wav"));
    let (match_, lag) = correlation(&envelope(&heard), &envelope(&spoken));
    assert!(
        match_ > 0.9,
        "what arrived is not what was said: {match_} at {lag}"
    );
    let comments = Command::new("opusinfo")
        .arg(&clip)
        .output()
        .expect("opusinfo runs");
    let comments = String::from_utf8_lossy(&comments.stdout).into_owned();
    assert!(
        comments.contains("BOOTH_ID=rundhoej-1") && comments.contains("QUESTION_ID=bus"),
        "{comments}"
    );
    let said: Vec<f64> = std::fs::read(&ear)
        .expect("the ear")
        .chunks_exact(2)
        .map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]])))
        .collect();
    assert!(
        said.iter().any(|sample| sample.abs() > 2000.0),
        "the earpiece was silent"
    );
    assert!(gateway.stop().success());
    hub.kill();
}

#[test]
fn a_sound_card_that_goes_while_nobody_is_there_or_under_a_prompt_is_told_and_used_again() {
    let (broker, mut pulse) = (Broker::open(), Pulse::start());
    let booth = BoothHome::new(broker.port, "");
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("ready", 1);
    for under_a_prompt in [false, true] {
        if under_a_prompt {
            gateway.handset("lift");
            gateway.reaches("session", "notice");
        }
        pulse.unplug();
        gateway.reaches("ready", 0);
        if under_a_prompt {
            gateway.reaches("session", "out_of_order");
            gateway.handset("hang-up");
        }
        gateway.reaches("session", "idle");
        pulse.plug();
        gateway.reaches("ready", 1);
    }
    assert!(gateway.stop().success());
}

#[test]
fn a_killed_gateway_starts_by_itself_and_sends_what_was_fsynced() {
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let booth = BoothHome::new(broker.port, "");
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("ready", 1);
    gateway.records();
    let wav = booth.path().join("speech.wav");
    decoded(&fixtures().join("speech/da.opus"), &wav);
    pulse.speak(&wav);
    gateway.kill();
    assert_eq!(booth.files("clips").len(), 1);
    let gateway = Gateway::start(&booth, &pulse);
    gateway.says("finished what a power cut had left");
    let clip = until("the clip is at the hub", || {
        clips_of(&home).into_iter().next()
    });
    let heard = decoded(&clip, &booth.path().join("heard.wav"));
    assert!(heard.len() > 5 * 48_000, "only {} samples", heard.len());
    gateway.reaches("spool_clips", 0);
    assert!(gateway.stop().success());
    hub.kill();
}

#[test]
fn a_vanished_sound_card_ends_the_recording_and_recovers_when_it_returns() {
    let (broker, mut pulse) = (Broker::open(), Pulse::start());
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let booth = BoothHome::new(broker.port, "");
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("ready", 1);
    gateway.records();
    let wav = booth.path().join("speech.wav");
    decoded(&fixtures().join("speech/en.opus"), &wav);
    pulse.speak(&wav);
    pulse.unplug();
    gateway.reaches("session", "out_of_order");
    gateway.reaches("ready", 0);
    gateway.handset("hang-up");
    until("what was said is at the hub", || {
        clips_of(&home).into_iter().next()
    });
    pulse.plug();
    gateway.reaches("ready", 1);
    gateway.handset("lift");
    gateway.reaches("session", "question");
    gateway.handset("hang-up");
    drop(gateway);
    hub.kill();
}

#[test]
fn a_second_gateway_on_the_same_spool_says_so_and_fails() {
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let booth = BoothHome::new(broker.port, "");
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("ready", 1);
    let (status, log) = Gateway::start(&booth, &pulse).ends();
    assert_eq!(status.code(), Some(1));
    assert!(
        log.contains("another gateway is already using the spool"),
        "{log}"
    );
    assert_eq!(gateway.state().expect("still there")["ready"], 1);
}

/// An ext4 of its own over a folder, until the value is dropped. Mounting needs root, as the power cuts do.
struct Ext4 {
    folder: std::path::PathBuf,
    device: String,
}

impl Ext4 {
    fn over(folder: &Path, image: &Path) -> Self {
        let file = std::fs::File::create(image).expect("a file");
        file.set_len(64 << 20).expect("its length");
        std::fs::create_dir_all(folder).expect("a folder");
        run(Command::new("mke2fs").args(["-q", "-t", "ext4"]).arg(image));
        let options = ["-o", "loop,errors=remount-ro"];
        run(Command::new("mount").args(options).args([image, folder]));
        let source = ["-n", "-o", "SOURCE"];
        let source = run(Command::new("findmnt").args(source).arg(folder));
        let device = source.trim().rsplit('/').next().expect("a device");
        Self {
            folder: folder.to_owned(),
            device: device.to_owned(),
        }
    }

    /// The kernel comes upon an error of the file system.
    fn fails(&self) {
        let trigger = format!("/sys/fs/ext4/{}/trigger_fs_error", self.device);
        std::fs::write(trigger, "a test").expect("told");
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_card_that_the_kernel_makes_read_only_invites_nobody_though_nobody_was_writing() {
    let has_loop = Path::new("/dev/loop-control").exists();
    if !booth_testkit::mounting::is_possible("a card that the kernel makes read-only") || !has_loop
    {
        return;
    }
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let booth = BoothHome::new(broker.port, "");
    let card = Ext4::over(&booth.spool(), &booth.path().join("card.img"));
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("ready", 1);
    // What is missing in the first second is no news in the log.
    let doctor = booth.socket().with_file_name("doctor.sock");
    until("the start is over", || {
        let answer = line_server::ask(&doctor, booth_gateway::status::QUESTION).ok()?;
        let status: serde_json::Value = serde_json::from_str(&answer).ok()?;
        (status["up_s"].as_u64()? >= 2).then_some(())
    });
    card.fails();
    gateway.reaches("ready", 0);
    gateway.says("the file system of the spool is read-only");
    gateway.reaches(
        "faults",
        serde_json::json!(["spool_unwritable", "disk_errors"]),
    );
    gateway.handset("lift");
    gateway.reaches("session", "out_of_order");
    assert!(gateway.stop().success());
}

#[test]
fn prompts_that_are_read_again_cut_no_play_off() {
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let booth = BoothHome::new(broker.port, "");
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("ready", 1);
    for _ in 0..2 {
        let lifted = std::time::Instant::now();
        gateway.handset("lift");
        // The notice goes on to its end, and the end is told: without that the booth waits two minutes for it.
        gateway.hang_up_signal();
        gateway.reaches("session", "question");
        let took = lifted.elapsed();
        assert!(took.as_secs() < 60, "{took:?}");
        gateway.handset("hang-up");
        gateway.reaches("session", "idle");
    }
    assert!(gateway.stop().success());
}
