//! A sound server that is slow, dies or stalls costs a visit at most, never the booth: the real gateway and a real
//! PulseAudio that is killed, stopped and started again.
#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use booth_testkit::gateway::{BoothHome, Gateway, fixtures};
use booth_testkit::pulse::Pulse;
use booth_testkit::session::{Leash, in_own_session};
use booth_testkit::speech::decode;
use booth_testkit::wait::until;

/// No broker listens there; none is needed.
const NO_BROKER: u16 = 1;

fn speech(booth: &BoothHome) -> PathBuf {
    let wav = booth.path().join("speech.wav");
    let speech = fixtures().join("speech/da.opus");
    decode(&speech, &wav).expect("decoded");
    wav
}

/// A citizen who lifts, chooses and speaks; still off the hook at the end.
fn speaks(gateway: &Gateway, pulse: &Pulse, wav: &std::path::Path) {
    gateway.records();
    pulse.speak(wav);
}

/// Somebody who comes later is asked, heard and kept.
fn serves(gateway: &Gateway, pulse: &Pulse, wav: &std::path::Path, clips: u64) {
    gateway.reaches("ready", 1);
    speaks(gateway, pulse, wav);
    gateway.handset("hang-up");
    gateway.reaches("session", "idle");
    gateway.reaches("spool_clips", clips);
}

#[test]
fn a_server_that_stalls_while_nobody_is_there_leaves_a_booth_that_says_so_and_works_again() {
    let pulse = Pulse::start();
    let booth = BoothHome::new(NO_BROKER, "");
    let wav = speech(&booth);
    let gateway = Gateway::start(&booth, &pulse);
    serves(&gateway, &pulse, &wav, 1);
    pulse.stall();
    gateway.reaches("ready", 0);
    // Whoever comes meanwhile is not invited, and nothing waits for the server.
    gateway.handset("lift");
    gateway.reaches("session", "out_of_order");
    gateway.handset("hang-up");
    gateway.reaches("session", "idle");
    pulse.resume();
    serves(&gateway, &pulse, &wav, 2);
    assert!(gateway.stop().success());
}

#[test]
fn a_server_that_stalls_while_somebody_speaks_costs_that_visit_and_nothing_of_what_was_said() {
    let pulse = Pulse::start();
    let booth = BoothHome::new(NO_BROKER, "");
    let wav = speech(&booth);
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("ready", 1);
    speaks(&gateway, &pulse, &wav);
    pulse.stall();
    gateway.reaches("session", "out_of_order");
    gateway.reaches("ready", 0);
    gateway.handset("hang-up");
    gateway.reaches("session", "idle");
    gateway.reaches("spool_clips", 1);
    pulse.resume();
    serves(&gateway, &pulse, &wav, 2);
    assert!(gateway.stop().success());
}

#[test]
fn a_server_that_is_started_again_in_the_middle_of_a_visit_costs_at_most_that_visit() {
    let mut pulse = Pulse::start();
    let booth = BoothHome::new(NO_BROKER, "");
    let wav = speech(&booth);
    let gateway = Gateway::start(&booth, &pulse);
    let mut clips = 0;
    for during in ["notice", "question", "recording"] {
        gateway.reaches("ready", 1);
        gateway.handset("lift");
        gateway.reaches("session", "notice");
        if during != "notice" {
            gateway.reaches("session", "question");
        }
        if during == "recording" {
            gateway.handset("dial 1");
            gateway.reaches("session", "recording");
            pulse.speak(&wav);
            clips += 1;
        }
        pulse.unplug();
        pulse.plug();
        // However it goes on: the handset is laid down, and the next one is served.
        gateway.reaches("ready", 0);
        gateway.handset("hang-up");
        gateway.reaches("session", "idle");
        gateway.reaches("spool_clips", clips);
        clips += 1;
        serves(&gateway, &pulse, &wav, clips);
    }
    assert!(gateway.stop().success());
}

#[test]
fn a_server_with_shared_memory_may_die_again_and_again_and_the_booth_has_its_sound_back_each_time()
{
    let mut pulse = Pulse::with_shared_memory();
    let booth = BoothHome::new(NO_BROKER, "");
    let wav = speech(&booth);
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("ready", 1);
    // Three in four of these deaths leave libpulse blocked with a block of the server's in its hand.
    for _ in 0..6 {
        pulse.unplug();
        gateway.reaches("ready", 0);
        pulse.plug();
        gateway.reaches("ready", 1);
    }
    serves(&gateway, &pulse, &wav, 1);
    // What hangs in the sound system keeps nobody from stopping the gateway.
    assert!(gateway.stop().success());
}

/// Not a test by itself: what the next one starts and kills.
#[test]
#[ignore = "started by a_program_in_a_session_of_its_own_ends_when_its_starter_is_killed"]
fn holds_a_program_on_a_leash() {
    let mut program = in_own_session("sleep").arg("600").spawn().expect("sleep");
    let _leash = Leash::on(program.id());
    println!("\nprogram {}", program.id());
    program.wait().expect("it ends");
}

#[test]
fn a_program_in_a_session_of_its_own_ends_when_its_starter_is_killed() {
    let mut starter = Command::new(std::env::current_exe().expect("this test"))
        .args([
            "--ignored",
            "--exact",
            "sound::holds_a_program_on_a_leash",
            "--nocapture",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test again");
    let said = BufReader::new(starter.stdout.take().expect("a pipe"));
    let pid = said
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("program ").map(str::to_owned))
        .expect("it says whom it holds");
    let lives = || {
        // An orphan that nobody collects is a zombie (proc_pid_stat(5)).
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        (!stat.contains(") Z ")).then_some(())
    };
    assert!(lives().is_some());
    starter.kill().expect("killed");
    starter.wait().expect("gone");
    until("the program has ended, too", || {
        lives().is_none().then_some(())
    });
}
