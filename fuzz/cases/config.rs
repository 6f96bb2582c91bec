//! `booth.toml` and `hub.toml`: parsed, checked, and what passes is lived through.
//!
//! The first byte chooses: even is `booth.toml`, odd `hub.toml`.

use booth_audio::SpeechEncoder;
use booth_contract::BrokerUrl;
use booth_contract::time::Mono;
use booth_contract::{Topic, Topics};
use booth_gateway::config::{self, Config};
use booth_gateway::provision::{judge, salvage};
use booth_gateway::settings::{offer, session_rules};
use booth_host::config_file::ConfigFault;
use booth_host::text;
use booth_hub::config::HubConfig;
use gateway_core::health::Parts;
use gateway_core::session::{Command, HandsetEvent, Input, Key, KeySource, RecorderNews, Session};

/// Most steps of one visit.
const STEPS: usize = 100;

pub fn run(data: &[u8]) {
    let Some((which, rest)) = data.split_first() else {
        return;
    };
    if which % 2 == 0 {
        from_fat(rest);
    }
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    if which % 2 == 0 {
        booth(text);
    } else {
        hub(text);
    }
}

/// What provisioning makes of the file: it takes nothing that `run` refuses, and refuses nothing that `run` takes.
fn from_fat(bytes: &[u8]) {
    let Ok(text) = text::text_of(bytes) else {
        return;
    };
    let judged = judge::judge(&text, "booth.toml");
    let checked =
        config::parse::<Config>(&text, "booth.toml").and_then(|config| config.check("booth.toml"));
    match checked {
        // More keys than provisioning looks at are more than this many lines.
        Ok(()) if text.len() < 4_000 => assert!(judged.config.is_some(), "{:?}", judged.faults),
        Ok(()) => {}
        Err(error) => assert!(judged.config.is_none(), "{error}"),
    }
    if judged.config.is_none() {
        sentences(&judged.faults, "booth.toml");
    }
    let _ = salvage(&judged.table);
}

fn booth(text: &str) {
    let checked = config::parse::<Config>(text, "booth.toml")
        .and_then(|config| config.check("booth.toml").map(|()| config));
    match checked {
        Ok(config) => lived(&config),
        Err(error) => sentences(&error.0, "booth.toml"),
    }
}

fn sentences(faults: &[ConfigFault], file: &str) {
    assert!(!faults.is_empty());
    for fault in faults.iter().map(ToString::to_string) {
        assert!(fault.starts_with(file) && !fault.contains('\n'), "{fault}");
    }
}

/// What passed the check works.
fn lived(config: &Config) {
    if let Some(url) = &config.mqtt.url {
        BrokerUrl::parse(url).expect("a checked address");
    }
    let audio = &config.audio;
    SpeechEncoder::new(audio.bitrate, audio.complexity, audio.bandwidth)
        .expect("a checked encoder");
    // What passed the check is a zone here and everywhere, and what is told of it is one line.
    let _ = config::zone::zone(&config.booth.timezone);
    for why in config.warnings_here().iter().map(ToString::to_string) {
        assert!(!why.is_empty() && !why.contains('\n'), "{why}");
    }
    let topics = Topics::new(&config.mqtt.root);
    let state = Topic::State(config.booth.id.clone());
    let name = topics.name(&state);
    assert_eq!(topics.parse(&name), Some(state));
    assert!(name.len() < 1_000, "a topic of {} bytes", name.len());

    let mut session = Session::new(session_rules(config));
    let parts = Parts {
        capture: true,
        playback: true,
        spool: true,
    };
    let mut now = Mono(1_000);
    let mut waiting = vec![
        Input::Parts(parts),
        Input::Offer(offer(config)),
        Input::HandsetAtStart { off_hook: false },
        Input::Handset(HandsetEvent::Lifted),
        Input::Handset(HandsetEvent::Key(Key::Digit(1), KeySource::Dial)),
    ];
    waiting.reverse();
    for step in 0..STEPS {
        let input = waiting.pop().unwrap_or(Input::Tick);
        if input == Input::Tick {
            let Some(due) = session.deadline() else { break };
            assert!(due >= now || step > 0, "a deadline in the past");
            now = now.max(due);
        }
        for command in session.handle(now, input) {
            match command {
                Command::Play { id, .. } | Command::PlayBack { id, .. } => {
                    waiting.push(Input::PlayEnded(id))
                }
                Command::Keep { take, .. } => {
                    waiting.push(Input::Recorder(RecorderNews::Started(take)))
                }
                Command::Finish { take, .. } => {
                    waiting.push(Input::Recorder(RecorderNews::Held(take)))
                }
                Command::Close { take, .. } | Command::Cast { take, .. } => {
                    waiting.push(Input::Recorder(RecorderNews::Kept(take)))
                }
                _ => {}
            }
        }
    }
    session.handle(now, Input::Handset(HandsetEvent::HungUp));
}

fn hub(text: &str) {
    let checked = config::parse::<HubConfig>(text, "hub.toml")
        .and_then(|config| config.check("hub.toml").map(|()| config));
    match checked {
        Ok(config) => {
            if config.mqtt.url.is_some() {
                config.broker().expect("a checked address");
            }
            let filter = Topics::new(&config.mqtt.root).sender_filter("+");
            assert!(filter.len() < 1_000 && filter.ends_with("/up/+/#"));
        }
        Err(error) => sentences(&error.0, "hub.toml"),
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let booth = "[booth]\nid = \"rundhoej-1\"\nname = \"Rundhøj\"\ntimezone = \"Europe/Copenhagen\"\n\
        [mqtt]\nurl = \"mqtts://broker.example:8883\"\nroot = \"booth/1\"\nconfirm = \"broker\"\n\
        [handset]\nbackend = \"auto\"\nhook = { line = 17, off_hook = \"low\", pull = \"up\", debounce_ms = 20 }\n\
        lamp = { line = 4 }\n[audio]\nbitrate = 24000\ncomplexity = 5\nbandwidth = \"full\"\n\
        [session]\nconsent = \"digit\"\nlanguage = \"da\"\nemergency_numbers = [\"112\"]\nmax_seconds = 180\n\
        min_seconds = 1\nsilence_seconds = 10\nchoose_seconds = 20\n\
        [[question]]\nid = \"square\"\ndigit = 1\nkind = \"speak\"\n[[question]]\nid = \"tram\"\ndigit = 2\nkind = \"speak\"\n\
        [spool]\ndir = \"spool\"\nmax_bytes = 4_000_000_000\nreserve_bytes = 200_000_000\n\
        [privacy]\nrecipients = []\nseal = false\n[health]\ninterval_s = 60\n";
    let least = "[booth]\nid = \"rundhoej-1\"\n[privacy]\nseal = false\n";
    let hub = "[mqtt]\nurl = \"mqtt://[::1]:1884\"\nusername = \"hub\"\npassword_file = \"p\"\nroot = \"b/2\"\n\
        client_id = \"hub\"\n[store]\ndir = \"s\"\nmax_clip_bytes = 1_000_000\n[http]\nlisten = \"127.0.0.1:80\"\n\
        [[booth]]\nid = \"rundhoej-1\"\nname = \"R\"\nplace = \"T\"\n";
    let seed = |which: &str, text: &str| [which.as_bytes(), text.as_bytes()].concat();
    vec![
        seed("0", booth),
        seed("0", least),
        seed("0", &format!("\u{feff}{}", least.replace('\n', "\r\n"))),
        seed("0", &format!("{least}[audio]\nbitrat = 24000\n")),
        seed(
            "0",
            &format!(
                "{least}[session]\nconsent = \"button\"\n[[question]]\nid=\"a\"\ndigit=9\nkind=\"speak\"\n"
            ),
        ),
        seed("1", hub),
        seed("1", ""),
        seed("1", "[mqtt]\nusrname = \"x\"\n"),
    ]
}
