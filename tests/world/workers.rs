//! A dead worker of any kind ends its program at once, by name. Each real thread and task is killed where it tells the loop
//! something: by a witness whom only a test can bring along.
#![allow(clippy::disallowed_methods)]

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{channel, sync_channel};

use booth_audio::{Band, RATE, SpeechEncoder};
use booth_contract::{BoothId, ClipId, Consent, EndedBy};
use booth_gateway::adapters::capture::Tap;
use booth_gateway::adapters::handset::HandsetReport;
use booth_gateway::adapters::mqtt::MqttEvent;
use booth_gateway::adapters::recorder::{self, RecorderCommand, RecorderEvent};
use booth_gateway::run::{Happening, Machine, RunError, ThisMachine, run_witnessed};
use booth_gateway::status::QUESTION;
use booth_host::crew::{self, Crew, Death};
use booth_host::line_server::ask;
use booth_hub::config::HubConfig;
use booth_hub::serve::{ServeError, serve_witnessed};
use booth_hub::view::Views;
use booth_hub::worker::Outcome;
use booth_hub::{http, view};
use booth_spool::real_disk::RealDisk;
use booth_spool::{NewClip, OpenFacts, OpenReport, Spool, StartFacts};
use booth_testkit::gateway::BoothHome;
use booth_testkit::wait::{PATIENCE, until};
use gateway_core::liveness::Beat;
use gateway_core::session::TakeId;

/// Runs it as a program does, and ends if nothing comes of it.
fn alive<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime
        .block_on(async { tokio::time::timeout(2 * PATIENCE, work).await })
        .expect("the program goes on without its worker")
}

/// The spool, once those who had it have gone.
fn open(folder: &Path) -> (Spool, OpenReport) {
    let facts = || OpenFacts {
        boot_id: "boot-1".into(),
        fresh_card_id: ThisMachine.new_id().into(),
        wall_ms: ThisMachine.wall().as_millisecond(),
        max_bytes: 1 << 30,
        reserve_bytes: 0,
        ledger: true,
        card_cid: None,
        hw_serial: None,
        ballast_bytes: 0,
        failed_before: 0,
    };
    until("nobody has the spool", || {
        Spool::open(Arc::new(RealDisk::new()), folder, facts()).ok()
    })
}

/// One kind of worker: its name, what it tells the loop, and what a test sends so that it has something to tell.
struct Kind {
    name: &'static str,
    tells: fn(&Happening) -> bool,
    prompted_by: Option<(&'static str, &'static str)>,
}

const KINDS: [Kind; 9] = [
    Kind {
        name: "capture",
        tells: |told| matches!(told, Happening::Capture(_)),
        prompted_by: None,
    },
    Kind {
        name: "earpiece",
        tells: |told| matches!(told, Happening::Playback(_)),
        prompted_by: None,
    },
    Kind {
        name: "keeper",
        tells: |told| matches!(told, Happening::Keeper(_)),
        prompted_by: None,
    },
    Kind {
        name: "reader",
        tells: |told| matches!(told, Happening::Reader(_)),
        prompted_by: None,
    },
    Kind {
        name: "mixer",
        tells: |told| matches!(told, Happening::Mixer(_)),
        prompted_by: None,
    },
    Kind {
        name: "update",
        tells: |told| matches!(told, Happening::Update(_)),
        prompted_by: None,
    },
    Kind {
        name: "mqtt",
        tells: |told| matches!(told, Happening::Mqtt(MqttEvent::Disconnected { .. })),
        prompted_by: None,
    },
    Kind {
        name: "control",
        tells: |told| matches!(told, Happening::Handset(HandsetReport::Event { .. })),
        prompted_by: Some(("handset.sock", "lift")),
    },
    Kind {
        name: "doctor",
        tells: |told| matches!(told, Happening::Doctor { .. }),
        prompted_by: Some(("doctor.sock", QUESTION)),
    },
];

#[test]
fn a_dead_worker_of_any_kind_ends_the_gateway_with_its_name_and_leaves_the_card_to_the_next() {
    for kind in KINDS {
        // Nobody listens at that port, and no card has that name.
        let home = BoothHome::new(1, "");
        let text = std::fs::read_to_string(home.config()).expect("a file");
        let text = text.replace(
            "[audio]\n",
            "[audio]\nmixer = \"hw:CARD=none\"\ncapture_control = \"Mic\"\n",
        );
        std::fs::write(home.config(), text).expect("a file");
        let prompting = kind.prompted_by.map(|(socket, line)| {
            let socket = home.path().join(socket);
            std::thread::spawn(move || until("the socket is there", || ask(&socket, line).ok()))
        });
        let tells = kind.tells;
        let ended = alive(run_witnessed(&home.config(), None, false, move |told| {
            assert!(!tells(told), "killed by a test");
        }));
        let Err(RunError::Worker(Death { name, how })) = ended else {
            panic!("{}: {ended:?}", kind.name);
        };
        assert_eq!(name, kind.name);
        assert!(how.contains("killed by a test"), "{how}");
        // Its last words went to whoever had asked: nothing.
        if let Some(prompting) = prompting {
            assert_eq!(prompting.join().expect("an end"), "");
        }
        open(&home.spool());
    }
}

#[test]
fn what_is_being_said_when_the_recorder_dies_is_kept_and_its_death_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let (spool, _) = open(folder.path());
    let (mut feed, tap) = Tap::pair();
    let (taps, tapped) = sync_channel(8);
    taps.send(tap).expect("a recorder");
    let (commands, commanded) = channel();
    let death = alive(async {
        let mut crew = Crew::gather();
        let encoder = SpeechEncoder::new(24_000, 5, Band::default()).expect("an encoder");
        let (told, listens) = channel();
        let report = move |event| {
            if matches!(event, RecorderEvent::Heard(_)) {
                told.send(()).expect("killed by a test");
            }
        };
        let (levels, alive) = (Arc::default(), Beat::default());
        recorder::spawn(encoder, tapped, commanded, levels, alive, report).expect("a thread");
        let take = TakeId(1);
        let armed = StartFacts {
            wall_ms: ThisMachine.wall().as_millisecond(),
            mono: ThisMachine.mono(),
            clock_synced: true,
        };
        let booth = BoothId::parse("rundhoej-1").expect("an id");
        let clip = Box::new(NewClip::speech(
            ThisMachine.new_id().into(),
            booth,
            Consent::by_key("1"),
            armed,
        ));
        let now_us = || i64::try_from(ThisMachine.mono().0 * 1000).expect("a time");
        feed.push(&[0; 960], 1, now_us() - 20_000);
        let from = ThisMachine.mono();
        let speech: Vec<i16> = (0..5 * RATE as usize)
            .map(|at| ((at * 37) % 8_000) as i16)
            .collect();
        for command in [
            RecorderCommand::UseSpool(spool),
            RecorderCommand::Arm {
                take,
                clip,
                seal_to: booth_sealing::SealTo::Open,
            },
            RecorderCommand::Keep { take, from },
            RecorderCommand::Hear,
        ] {
            commands.send(command).expect("a recorder");
        }
        listens
            .recv_timeout(PATIENCE)
            .expect("it keeps from now on");
        feed.push(&speech, 1, now_us());
        drop(listens);
        // It takes in what has been said so far, and then nobody listens to its answer.
        commands.send(RecorderCommand::Hear).expect("a recorder");
        crew.death().await
    });
    assert_eq!(death.name, "recorder");
    let (_, report) = open(folder.path());
    let [clip] = &report.recovered[..] else {
        panic!("{report:?}");
    };
    assert!(clip.duration_ms >= 4_000, "{clip:?}");
    assert_eq!(clip.ended_by, EndedBy::Power);
}

#[test]
fn a_dead_store_ends_the_hub_with_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("hub.toml");
    let text = "[mqtt]\nurl = \"mqtt://127.0.0.1:1\"\n[store]\ndir = \"store\"\n[http]\nlisten = \"127.0.0.1:0\"\n";
    std::fs::write(&file, text).expect("a file");
    let config = HubConfig::load(&file).expect("a configuration");
    let ended = alive(serve_witnessed(config, |told| {
        assert!(!matches!(told, Outcome::Ticked { .. }), "killed by a test");
    }));
    let Err(ServeError::Worker(Death { name, how })) = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(name, "store");
    assert!(how.contains("killed by a test"), "{how}");
}

/// Pages that nobody looks at.
struct NoViews;

impl Views for NoViews {
    fn answers_at(&self, _: usize, _: &view::Place) -> view::AnswersView {
        panic!("nobody asks")
    }

    fn fleet(&self) -> view::FleetView {
        panic!("nobody asks")
    }

    fn booth(&self, _: &str) -> Option<view::BoothPage> {
        panic!("nobody asks")
    }

    fn refused(&self, _: usize, _: &view::Place) -> view::RefusedPage {
        panic!("nobody asks")
    }

    fn clip_file(&self, _: &ClipId) -> Option<view::ClipFile> {
        panic!("nobody asks")
    }
}

#[test]
fn dead_pages_are_told() {
    let death = alive(async {
        let mut crew = Crew::gather();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0");
        let listener = listener.await.expect("a port");
        let names = http::Names::new([127, 0, 0, 1].into(), &[]);
        let showing = http::serve(listener, Arc::new(NoViews), names, async {
            tokio::task::yield_now().await;
            panic!("killed by a test");
        });
        let _pages = crew::task("pages", showing);
        crew.death().await
    });
    assert_eq!(death.name, "pages");
}
