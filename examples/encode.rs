//! Speech to Ogg Opus with a booth's settings and nothing around it: what the gateway's CPU is compared with.
//!
//! `cargo run --release --example encode -- speech.wav speech.opus`. Application, band, bit rate, complexity and packets are
//! those of a booth whose file says nothing else. The CPU time that it has used is printed.
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![allow(clippy::disallowed_methods)] // files, and the pace of a microphone

use std::fs::File;
use std::io::{BufWriter, Read};
use std::time::{Duration, Instant};

use booth_audio::Band;
use booth_gateway::config::Audio;
use clap::Parser;
use ogg::{PacketWriteEndInfo, PacketWriter};
use opus::{Application, Bandwidth, Bitrate, Channels, Encoder, Signal};
use rustix::time::{ClockId, clock_gettime};

/// 20 ms at 48 kHz.
const PACKET: usize = 960;
/// Half a second, as a booth's pages.
const PACKETS_PER_PAGE: u64 = 25;
const SERIAL: u32 = 1;

/// The next packet's samples; fewer at the end.
type Source = Box<dyn FnMut(&mut Vec<i16>) -> Result<(), Box<dyn std::error::Error>>>;

#[derive(Parser)]
struct Arguments {
    /// 48 kHz, mono, 16-bit; `-` reads raw samples from standard input, as `arecord -t raw` gives them.
    from: String,
    /// The Ogg Opus file.
    to: String,
    /// Take 20 ms every 20 ms, as they come from a microphone.
    #[arg(long)]
    paced: bool,
    /// `wide`, `superwide` or `full`, instead of a booth's.
    #[arg(long, value_parser = ["wide", "superwide", "full"])]
    bandwidth: Option<String>,
    /// Bit/s, instead of a booth's.
    #[arg(long)]
    bitrate: Option<u32>,
    /// Each packet has the same length, instead of the length that its sound needs.
    #[arg(long)]
    constant: bool,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let mut source = source(&arguments.from)?;
    let settings = Audio::default();
    let band = match arguments.bandwidth.as_deref() {
        Some("wide") => Band::Wide,
        Some("superwide") => Band::Superwide,
        Some("full") => Band::Full,
        _ => settings.bandwidth,
    };
    let bitrate = arguments.bitrate.unwrap_or(settings.bitrate);
    let mut encoder = Encoder::new(48_000, Channels::Mono, Application::Voip)?;
    encoder.set_bitrate(Bitrate::Bits(i32::try_from(bitrate)?))?;
    encoder.set_complexity(i32::from(settings.complexity))?;
    encoder.set_vbr(!arguments.constant)?;
    encoder.set_signal(Signal::Voice)?;
    encoder.set_max_bandwidth(match band {
        Band::Wide => Bandwidth::Wideband,
        Band::Superwide => Bandwidth::Superwideband,
        Band::Full => Bandwidth::Fullband,
    })?;
    let pre_skip = u16::try_from(encoder.get_lookahead()?)?;
    let mut out = PacketWriter::new(BufWriter::new(File::create(&arguments.to)?));
    let mut head = b"OpusHead\x01\x01".to_vec();
    head.extend(pre_skip.to_le_bytes());
    head.extend(48_000u32.to_le_bytes());
    head.extend([0, 0, 0]);
    out.write_packet(head, SERIAL, PacketWriteEndInfo::EndPage, 0)?;
    let tags = b"OpusTags\0\0\0\0\0\0\0\0".to_vec();
    out.write_packet(tags, SERIAL, PacketWriteEndInfo::EndPage, 0)?;

    let (mut samples, mut packets, mut spoken) = (Vec::with_capacity(PACKET), 0u64, 0u64);
    let began = Instant::now();
    loop {
        if arguments.paced {
            let due = began + Duration::from_millis(20 * (packets + 1));
            while let Some(left) = due.checked_duration_since(Instant::now()) {
                std::thread::sleep(left);
            }
        }
        source(&mut samples)?;
        spoken += samples.len() as u64;
        samples.resize(PACKET, 0);
        let mut packet = vec![0; 1275];
        let bytes = encoder.encode(&samples, &mut packet)?;
        packet.truncate(bytes);
        packets += 1;
        // The codec's delay is played out, and the last packet trimmed to what was spoken (RFC 7845 §4.4).
        let (encoded, end) = (packets * PACKET as u64, spoken + u64::from(pre_skip));
        let (info, granule) = match encoded >= end {
            true => (PacketWriteEndInfo::EndStream, end),
            false if packets.is_multiple_of(PACKETS_PER_PAGE) => {
                (PacketWriteEndInfo::EndPage, encoded)
            }
            false => (PacketWriteEndInfo::NormalPacket, encoded),
        };
        out.write_packet(packet, SERIAL, info, granule)?;
        if encoded >= end {
            break;
        }
    }
    out.into_inner().into_inner()?.sync_all()?;
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let used_s = used.tv_sec as f64 + used.tv_nsec as f64 / 1e9;
    booth_host::say!("cpu_s={used_s:.6} speech_s={:.3}", spoken as f64 / 48_000.0);
    Ok(())
}

fn source(from: &str) -> Result<Source, Box<dyn std::error::Error>> {
    if from == "-" {
        let mut input = std::io::stdin().lock();
        return Ok(Box::new(move |samples| {
            let mut bytes = Vec::with_capacity(2 * PACKET);
            (&mut input)
                .take(2 * PACKET as u64)
                .read_to_end(&mut bytes)?;
            samples.clear();
            samples.extend(
                bytes
                    .chunks_exact(2)
                    .map(|pair| i16::from_le_bytes([pair[0], pair[1]])),
            );
            Ok(())
        }));
    }
    let reader = hound::WavReader::open(from)?;
    let spec = reader.spec();
    if (spec.sample_rate, spec.channels, spec.bits_per_sample) != (48_000, 1, 16) {
        return Err(format!("{from} is not 48 kHz, mono, 16-bit: convert it with `sox {from} -r 48000 -c 1 -b 16 out.wav`").into());
    }
    let mut all = reader.into_samples::<i16>();
    Ok(Box::new(move |samples| {
        samples.clear();
        for sample in all.by_ref().take(PACKET) {
            samples.push(sample?);
        }
        Ok(())
    }))
}
