//! Renders what a booth says of itself to a WAV file, so that a person can listen to it:
//! `cargo run --example voice -- da report.wav [prompt folder]`. Prints the text.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use booth_contract::AlertId;
use booth_contract::BrokerState;
use booth_gateway::adapters::prompts::Prompts;
use booth_host::out;
use booth_host::{complain, say};
use gateway_core::prompt::Language;
use gateway_core::spoken::{self, ServiceFacts};

fn main() -> ExitCode {
    out::status(match render() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            complain!("{why}");
            ExitCode::FAILURE
        }
    })
}

fn render() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [tag, file, folder @ ..] = arguments.as_slice() else {
        return Err("usage: voice LANGUAGE FILE.wav [PROMPT FOLDER]".into());
    };
    let folder = folder.first().map_or("no-such-folder", String::as_str);
    let (prompts, broken) = Prompts::load(Path::new(folder), tag, &[]);
    for why in broken {
        complain!("{why}");
    }
    let facts = ServiceFacts {
        booth_id: "rundhoej-1".into(),
        has_name_recording: prompts.has_booth_name(),
        ip: Some("192.168.1.20".into()),
        broker: BrokerState::Connected,
        hub_online: false,
        unsent: 1_234,
        oldest_unsent: Some(Duration::from_secs(21 * 3_600)),
        faults: vec![AlertId::Power, AlertId::MicrophoneSilent],
        card_moved: false,
        clock_synced: true,
    };
    let language = Language::of(tag);
    let report = spoken::report(&facts, language);
    say!("{}", spoken::text(&report, language));
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(file, spec)?;
    for prompt in &report {
        let mut player = prompts.player(prompt);
        while let Some(piece) = player.next_piece() {
            for sample in piece {
                wav.write_sample(sample)?;
            }
        }
    }
    let seconds = f64::from(wav.duration()) / 48_000.0;
    wav.finalize()?;
    say!("{seconds:.1} s in {file}");
    Ok(())
}
