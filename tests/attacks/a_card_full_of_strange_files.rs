//! Whoever had the card in a laptop left 12,000 things among its messages: garbage, nothing, foreign names, folders, links, pipes,
//! sockets, names that are no text. The booth comes up, a citizen speaks, and the card is tidied beside him.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use booth_testkit::gateway::{BoothHome, Gateway, fixtures};
use booth_testkit::hub::Broker;
use booth_testkit::pulse::Pulse;
use booth_testkit::speech::decode;
use booth_testkit::wait::until;

const OF_EACH: usize = 2_000;
/// Of those that are slow to make.
const FEW: usize = 20;

fn fill(clips: &Path) {
    let name = |kind: usize, n: usize| {
        clips.join(format!("{kind:08x}-{n:04x}-4000-8000-000000000000.clip"))
    };
    for n in 0..OF_EACH {
        std::fs::write(name(1, n), format!("garbage {n}")).expect("written");
        std::fs::write(name(2, n), b"").expect("written");
        std::fs::write(name(3, n), b"BOOTHCL\x01cut").expect("written");
        std::fs::write(clips.join(format!("IMG_{n}.JPG")), b"a holiday").expect("written");
        std::fs::create_dir(name(4, n)).expect("made");
        std::os::unix::fs::symlink("/dev/zero", name(5, n)).expect("made");
    }
    for n in 0..FEW {
        let mode = rustix::fs::Mode::RWXU;
        rustix::fs::mkfifoat(rustix::fs::CWD, name(6, n), mode).expect("made");
        drop(UnixListener::bind(name(7, n)).expect("made"));
        let mut odd = format!("odd {n} ").into_bytes();
        odd.push(0xff);
        std::fs::write(clips.join(OsString::from_vec(odd)), b"odd").expect("written");
    }
}

#[test]
fn a_card_full_of_strange_files_keeps_no_citizen_waiting() {
    let broker = Broker::open();
    let pulse = Pulse::start();
    let home = BoothHome::new(broker.port, "");
    let clips = home.spool().join("clips");
    std::fs::create_dir_all(&clips).expect("a folder");
    fill(&clips);
    // A pipe in the place of the card's identity: whoever opens it waits for ever.
    let mode = rustix::fs::Mode::RWXU;
    let identity = home.spool().join("card.json");
    rustix::fs::mkfifoat(rustix::fs::CWD, identity, mode).expect("made");
    let before = home.files("clips").len();
    assert!(before > 12_000, "{before}");
    let gateway = Gateway::start(&home, &pulse);
    gateway.says("a citizen can speak");
    gateway.says("tidied up little by little beside the running booth");
    // Nobody waited for it.
    let left = home.files("clips").len();
    assert!(left > before / 2, "{left} of {before} are left");
    gateway.handset("lift");
    let is = |wanted: &str| {
        let state = gateway.state()?;
        (state["session"] == wanted).then_some(())
    };
    until("the question", || is("question"));
    gateway.handset("dial 1");
    until("the recording", || is("recording"));
    until("the card becomes tidier", || {
        (home.files("aside").len() > 200).then_some(())
    });
    // Long enough to be a message, however soon that was.
    let wav = home.path().join("speech.wav");
    decode(&fixtures().join("speech/da.opus"), &wav).expect("decoded");
    pulse.speak(&wav);
    gateway.handset("hang-up");
    until("the message is kept", || {
        let state = gateway.state()?;
        (state["spool_clips"].as_u64()? > 0 && state["ready"] == 1).then_some(())
    });
}
