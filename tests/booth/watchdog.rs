//! The service manager's watchdog and the real gateway: fed while every thread moves, and no longer once one hangs.
#![allow(clippy::disallowed_methods)]

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use booth_testkit::gateway::{BoothHome, Gateway};
use booth_testkit::hub::{Booth, Broker};
use booth_testkit::pulse::{MIC, Pulse};
use booth_testkit::wait::until;

/// What the service manager of this test asks for, µs: a feed every 100 ms.
const WATCHDOG_USEC: &str = "300000";
/// It listens this long for what does not come: ten feeds.
const LISTENS: Duration = Duration::from_secs(1);

/// A service manager, as far as its service sees one (sd_notify(3)): a socket that is always read.
struct Manager {
    path: PathBuf,
    messages: Receiver<String>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Manager {
    fn new(home: &BoothHome) -> Self {
        let path = home.path().join("notify.sock");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let (told, messages) = channel();
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let bytes = socket.recv(&mut buffer).expect("a message");
                let text = String::from_utf8_lossy(&buffer[..bytes]).into_owned();
                if bytes == 0 || told.send(text).is_err() {
                    return;
                }
            }
        });
        Self {
            path,
            messages,
            reader: Some(reader),
        }
    }

    /// Waits for so many feeds from now on.
    fn is_fed(&self, times: usize) {
        while self.messages.try_recv().is_ok() {}
        let fed = || {
            let message = self.messages.recv_timeout(LISTENS).ok();
            message.filter(|message| message.contains("WATCHDOG=1"))
        };
        for _ in 0..times {
            until("the watchdog is fed", fed);
        }
    }

    /// Whether nothing comes for as long as ten feeds take, from now on.
    fn hears_nothing(&self) -> bool {
        while self.messages.try_recv().is_ok() {}
        self.messages.recv_timeout(LISTENS).is_err()
    }

    /// Waits until it is told this.
    fn is_told(&self, what: &str) {
        let told = || self.messages.recv_timeout(LISTENS).ok();
        until(what, || told().filter(|message| message.contains(what)));
    }

    fn environment(&self, pulse: &Pulse) -> Vec<(&'static str, PathBuf)> {
        let mut environment = pulse.environment();
        environment.push(("NOTIFY_SOCKET", self.path.clone()));
        environment.push(("WATCHDOG_USEC", WATCHDOG_USEC.into()));
        environment
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // An empty message ends the reader.
        let ended = UnixDatagram::unbound().and_then(|socket| socket.send_to(&[], &self.path));
        if let (Ok(_), Some(reader)) = (ended, self.reader.take()) {
            let _ = reader.join();
        }
    }
}

/// No broker listens there; none is needed.
const NO_BROKER: u16 = 1;

#[test]
fn a_gateway_whose_threads_all_move_feeds_the_watchdog() {
    let pulse = Pulse::start();
    let home = BoothHome::new(NO_BROKER, "");
    let manager = Manager::new(&home);
    let gateway = Gateway::start_in(&home, manager.environment(&pulse));
    gateway.reaches("ready", 1);
    manager.is_fed(20);
    gateway.handset("lift");
    gateway.reaches("session", "question");
    manager.is_fed(20);
    assert!(gateway.stop().success());
    manager.is_told("STOPPING=1");
}

/// A card of the kernel's, by its name, whose opening waits for whoever writes into this pipe.
fn card_that_waits_for(pipe: &std::path::Path, cards: &std::path::Path) -> String {
    format!(
        "<{}>\n\
         pcm.hw {{ @args [ CARD DEV ] @args.CARD {{ type string }} @args.DEV {{ type string }}\n\
         type file slave.pcm null file /dev/null infile {pipe:?} format raw\n\
         hint {{ show on description \"a card that hangs\" }} }}\n\
         pcm.\"{CARD}\" {{ type null hint {{ show on description \"its name in the list\" }} }}\n",
        cards.display()
    )
}

/// Its name.
const CARD: &str = "hw:CARD=hangs,DEV=0";

#[test]
fn a_sound_card_that_hangs_the_capture_thread_stops_the_feeding_and_is_named() {
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let home = BoothHome::new(broker.port, "");
    let hangs = "booth/1/up/rundhoej-1/event/thread_hangs";
    let operations = Booth::listening(broker.port, "operations", &[hangs.to_owned()]);
    let manager = Manager::new(&home);
    // (And with it cpal lets nobody else open a card: the earpiece waits, too.)
    let pipe = home.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0)
        .expect("a pipe");
    let mut environment = manager.environment(&pulse);
    let asound = home.path().join("asound.conf");
    let (_, cards) = environment
        .iter_mut()
        .find(|(name, _)| *name == "ALSA_CONFIG_PATH")
        .expect("the cards of PulseAudio");
    std::fs::write(&asound, card_that_waits_for(&pipe, cards)).expect("a file");
    *cards = asound;
    let text = std::fs::read_to_string(home.config()).expect("booth.toml");
    let text = text.replace(&format!("input = {MIC:?}"), &format!("input = {CARD:?}"));
    assert!(text.contains(CARD));
    std::fs::write(home.config(), text).expect("a file");
    let gateway = Gateway::start_in(&home, environment);
    // It is fed at first: the card may still answer.
    manager.is_fed(20);
    gateway.says("the thread capture has not moved for 30 s");
    // Nobody logs in to a booth: the centre hears it before the gateway is ended.
    let event = operations.hear("event/thread_hangs");
    let event: serde_json::Value = serde_json::from_slice(&event.payload).expect("JSON");
    assert_eq!(event["thread"], "capture");
    // The loop itself turns; it does not feed.
    for _ in 0..3 {
        assert!(manager.hears_nothing());
        assert_eq!(gateway.state().expect("the loop answers")["ready"], 0);
    }
    // It was this hang and nothing else: it ends, and the feeding goes on.
    let _speaks = std::fs::OpenOptions::new()
        .write(true)
        .open(&pipe)
        .expect("whom the card waits for");
    gateway.says("the thread capture moves again");
    manager.is_fed(3);
    gateway.kill();
}

/// A gateway whose sound server does this for longer than a thread may be silent.
fn is_fed_through(
    trouble: impl Fn(&mut Pulse),
    until_it_says: &str,
    the_end_of_it: impl Fn(&mut Pulse),
) {
    // Shared memory, as on a laptop: a server that dies then may leave libpulse blocked for ever.
    let mut pulse = Pulse::with_shared_memory();
    let home = BoothHome::new(NO_BROKER, "");
    let manager = Manager::new(&home);
    let gateway = Gateway::start_in(&home, manager.environment(&pulse));
    gateway.reaches("ready", 1);
    trouble(&mut pulse);
    gateway.reaches("ready", 0);
    gateway.says(until_it_says);
    manager.is_fed(20);
    let log = gateway.log();
    assert!(!log.contains("has not moved"), "{log}");
    assert_eq!(gateway.state().expect("the loop answers")["ready"], 0);
    the_end_of_it(&mut pulse);
    gateway.reaches("ready", 1);
    manager.is_fed(20);
    assert!(gateway.stop().success());
}

#[test]
fn a_sound_server_that_stalls_costs_the_sound_and_never_the_process() {
    // libpulse waits 30 s for an answer, as long as the thread may be silent.
    let refused = "the microphone \"booth_mic\" cannot be opened";
    is_fed_through(|pulse| pulse.stall(), refused, |pulse| pulse.resume());
}

#[test]
fn a_sound_server_that_dies_costs_the_sound_and_never_the_process() {
    // The closed earpiece is looked at every 30 s.
    let refused = "the earpiece \"booth_ear\" cannot be opened";
    is_fed_through(Pulse::unplug, refused, Pulse::plug);
}
