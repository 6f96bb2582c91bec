//! A whole message at the centre: how it looks and how loud it is, and the sound that is published of it.
//!
//! Owns: the picture of a message ([`portrait`]), a level for the ears of whoever works through many ([`at_level`]), and the sound with
//! passages taken out ([`published`]). Never does: open a file, or decide what is taken out.
//!
//! What is silenced is made zero before it is encoded again: nothing of it is in the file.

use booth_contract::ogg_page::checksum;

use crate::levels::Sums;
use crate::ogg::{self, Layout, Link};
use crate::opus::{Band, OggOpus, OpusError, PACKET_SAMPLES, SpeechEncoder, headers};
use crate::pages::{After, Pages};
use crate::player::Player;
use crate::samples::{RATE, Samples};
use crate::sound::{Coded, Unplayable};

/// Longest message that is read, seconds: an hour, which is the most that a booth can be told to record, and a little.
pub const MOST_MESSAGE_SECONDS: u64 = 3_660;
/// Speech is measured in parts of this length.
const PART: usize = PACKET_SAMPLES;
/// What is so far below the level of speech is a pause, dB.
const PAUSE_BELOW_DB: f64 = 25.0;
/// Nothing softer than this is speech, dBFS.
const LEAST_DBFS: f64 = -60.0;
/// Shortest pause that is passed over, ms.
const SHORTEST_PAUSE_MS: u64 = 700;
/// What stays of a pause at either end, ms.
const KEPT_OF_A_PAUSE_MS: u64 = 200;
/// The level of speech to work by, dBFS: the mean square of what is no pause.
const WORKING_DBFS: f64 = -20.0;
/// The most that a message is made louder or softer, dB.
const MOST_GAIN_DB: f64 = 24.0;
/// How far a single peak may be pushed beyond full scale, dB: a click must not keep the words soft.
const PEAK_ROOM_DB: f64 = 6.0;
/// Around what is silenced the sound fades over this time.
const FADE: u64 = Samples::in_ms(5).count();
/// What is published is encoded anew at this rate, bit/s; a booth records at 24 000.
const BITRATE: u32 = 32_000;
/// The effort of encoding, as a booth's.
const COMPLEXITY: u8 = 5;
/// Packets of a page: half a second.
const PACKETS_PER_PAGE: usize = 25;

/// What a message looks like.
#[derive(Debug, Clone, PartialEq)]
pub struct Portrait {
    /// How long it plays.
    pub length: Samples,
    /// The largest sample of each of equally long parts, 0 to 1.
    pub bars: Vec<f32>,
    /// Pauses that a listener may pass over, from and to in ms.
    pub pauses: Vec<(u64, u64)>,
    /// The level of what is no pause, dBFS; `None` where nothing is heard.
    pub speech_dbfs: Option<f64>,
    /// What brings it to a level to work by, dB.
    pub gain_db: f64,
}

/// What is taken out of a message before it is published; times in ms of the whole message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cuts {
    /// What lies before is left out.
    pub from_ms: Option<u64>,
    /// What lies behind is left out.
    pub to_ms: Option<u64>,
    /// Passages that are silent, from and to.
    pub silenced: Vec<(u64, u64)>,
}

impl Cuts {
    /// Whether nothing is taken out.
    pub fn is_nothing(&self) -> bool {
        self.from_ms.is_none() && self.to_ms.is_none() && self.silenced.is_empty()
    }

    /// The share of the sample at this place that is heard, 0 to 1.
    fn share(&self, at: u64) -> f32 {
        let mut share = 1.0f32;
        for (from, to) in &self.silenced {
            let (from, to) = (Samples::in_ms(*from).count(), Samples::in_ms(*to).count());
            let away = match at {
                at if at < from => from - at,
                at if at >= to => at - to + 1,
                _ => return 0.0,
            };
            share = share.min(away as f32 / FADE as f32);
        }
        share
    }
}

/// Why there is nothing to publish.
#[derive(Debug, thiserror::Error)]
pub enum NotPublished {
    /// It cannot be read as sound.
    #[error("the sound {0}")]
    Unplayable(#[from] Unplayable),
    /// Everything was taken out.
    #[error("nothing is left of the sound: the trimming leaves no part of it")]
    NothingLeft,
    /// The encoder.
    #[error("{0}")]
    Encoder(#[from] OpusError),
}

fn opened(bytes: &[u8]) -> Result<Coded, Unplayable> {
    ogg::from_ogg_within(bytes, MOST_MESSAGE_SECONDS)
}

/// Looks at a message; it gets so many bars.
///
/// # Errors
/// What is no Ogg Opus that plays.
pub fn portrait(bytes: &[u8], bars: usize) -> Result<Portrait, Unplayable> {
    let coded = opened(bytes)?;
    let mut parts = Vec::new();
    let mut waiting: Vec<i16> = Vec::with_capacity(PART * 8);
    let mut player = coded.player();
    while let Some(piece) = player.next_piece() {
        waiting.extend_from_slice(&piece);
        let whole = waiting.len() / PART * PART;
        parts.extend(waiting[..whole].chunks_exact(PART).map(Sums::of));
        waiting.drain(..whole);
    }
    let length = Samples::new((parts.len() * PART + waiting.len()) as u64);
    if !waiting.is_empty() {
        parts.push(Sums::of(&waiting));
    }
    let levels: Vec<f64> = parts
        .iter()
        .map(|part| 10.0 * part.power().max(1e-12).log10())
        .collect();
    let speech_dbfs = speech_level(&levels);
    let peak = parts.iter().map(|part| part.peak).max().unwrap_or(0);
    Ok(Portrait {
        length,
        bars: bars_of(&parts, bars),
        pauses: pauses(&levels, speech_dbfs, length),
        speech_dbfs,
        gain_db: gain(speech_dbfs, peak),
    })
}

fn mean_db(levels: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0u32);
    for level in levels {
        sum += 10f64.powf(level / 10.0);
        count += 1;
    }
    (count > 0).then(|| 10.0 * (sum / f64::from(count)).log10())
}

/// The level of what is no pause: the mean of the parts that are at most 10 dB below the mean of all that is heard.
fn speech_level(levels: &[f64]) -> Option<f64> {
    let heard = || levels.iter().copied().filter(|level| *level > LEAST_DBFS);
    let all = mean_db(heard())?;
    mean_db(heard().filter(|level| *level > all - 10.0))
}

fn gain(speech_dbfs: Option<f64>, peak: u16) -> f64 {
    let Some(speech) = speech_dbfs else {
        return 0.0;
    };
    let peak_dbfs = 20.0 * (f64::from(peak.max(1)) / 32_768.0).log10();
    let wanted = (WORKING_DBFS - speech).min(PEAK_ROOM_DB - peak_dbfs);
    wanted.clamp(-MOST_GAIN_DB, MOST_GAIN_DB)
}

fn bars_of(parts: &[Sums], bars: usize) -> Vec<f32> {
    let peaks = |from: usize, to: usize| {
        let peak = parts[from..to].iter().map(|part| part.peak).max();
        f32::from(peak.unwrap_or(0)) / 32_768.0
    };
    let bars = bars.min(parts.len());
    (0..bars)
        .map(|bar| peaks(bar * parts.len() / bars, (bar + 1) * parts.len() / bars))
        .collect()
}

fn pauses(levels: &[f64], speech_dbfs: Option<f64>, length: Samples) -> Vec<(u64, u64)> {
    let loud = speech_dbfs.map_or(f64::INFINITY, |speech| {
        (speech - PAUSE_BELOW_DB).max(LEAST_DBFS)
    });
    let part_ms = Samples::new(PART as u64).ms();
    let mut pauses = Vec::new();
    let mut began = None;
    let ends = levels.iter().map(|level| *level < loud).chain([false]);
    for (place, is_quiet) in ends.enumerate() {
        let at = place as u64 * part_ms;
        match (is_quiet, began) {
            (true, None) => began = Some(at),
            (false, Some(from)) => {
                began = None;
                if at - from >= SHORTEST_PAUSE_MS {
                    let to = at.min(length.ms());
                    pauses.push((from + KEPT_OF_A_PAUSE_MS, to - KEPT_OF_A_PAUSE_MS));
                }
            }
            _ => {}
        }
    }
    pauses
}

/// The same file, played louder or softer by so many dB: the header says it (RFC 7845 §5.1, output gain), and no packet is touched.
pub fn at_level(mut bytes: Vec<u8>, gain_db: f64) -> Vec<u8> {
    let segments = bytes.get(26).copied().map_or(0, usize::from);
    let body = 27 + segments;
    let length: usize = bytes
        .get(27..body)
        .map_or(0, |lengths| lengths.iter().map(|l| usize::from(*l)).sum());
    let end = body + length;
    let is_head = bytes.starts_with(b"OggS")
        && length >= 19
        && bytes
            .get(body..end)
            .is_some_and(|head| head.starts_with(b"OpusHead"));
    if !is_head {
        return bytes;
    }
    let at = body + 16;
    let own = i16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let gain = (f64::from(own) + gain_db * 256.0).clamp(-32_768.0, 32_767.0) as i16;
    bytes[at..at + 2].copy_from_slice(&gain.to_le_bytes());
    bytes[22..26].fill(0);
    let sum = checksum(&bytes[..end]);
    bytes[22..26].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// The sound that is published of a message: without what is taken out, and without the comments that name its booth. Where nothing is
/// taken out, the packets stay as they are. The same message and cuts make the same bytes.
///
/// # Errors
/// What does not play, or a trimming that leaves nothing.
pub fn published(bytes: &[u8], cuts: &Cuts) -> Result<Vec<u8>, NotPublished> {
    let coded = opened(bytes)?;
    let serial = checksum(bytes);
    if cuts.is_nothing()
        && let [link] = coded.links.as_slice()
        && link.gain == 0
        && matches!(link.layout, Layout::Plain)
    {
        return Ok(wrapped(link, serial));
    }
    let first = Samples::in_ms(cuts.from_ms.unwrap_or(0)).count();
    let end = cuts.to_ms.map_or(u64::MAX, |ms| Samples::in_ms(ms).count());
    let mut encoder = SpeechEncoder::new(BITRATE, COMPLEXITY, Band::Full)?;
    let mut stream = OggOpus::new(serial, encoder.pre_skip(), &[]);
    let mut made = stream.take_page();
    let mut at = 0u64;
    let mut kept = 0usize;
    let mut player: Player<'_> = coded.player();
    while let Some(mut piece) = player.next_piece() {
        let place = at;
        at += piece.len() as u64;
        if at <= first || place >= end {
            continue;
        }
        if !cuts.silenced.is_empty() {
            for (number, sample) in (place..).zip(&mut piece) {
                *sample = (f32::from(*sample) * cuts.share(number)) as i16;
            }
        }
        let from = first.saturating_sub(place) as usize;
        let to = piece.len().min((end - place) as usize);
        let part = &piece[from..to.max(from)];
        kept += part.len();
        stream.push(&mut encoder, part)?;
        made.extend(stream.take_page());
    }
    if kept == 0 {
        return Err(NotPublished::NothingLeft);
    }
    made.extend(stream.finish(&mut encoder)?);
    Ok(made)
}

/// The packets of a stream in new pages, with headers that say nothing.
fn wrapped(link: &Link, serial: u32) -> Vec<u8> {
    let mut pages = Pages::new(serial);
    for header in headers(link.skip, &[]) {
        pages.push(&header, 0, After::PageEnd);
    }
    let end = (link.skip + link.samples).count();
    let mut made = Vec::new();
    let mut at = 0u64;
    for (number, packet) in (1..).zip(&link.packets) {
        let samples = opus::packet::get_nb_samples(packet, RATE).unwrap_or(0);
        at += samples as u64;
        let is_last = at >= end || number == link.packets.len();
        let after = match (is_last, number % PACKETS_PER_PAGE) {
            (true, _) => After::StreamEnd,
            (_, 0) => After::PageEnd,
            _ => After::Packet,
        };
        pages.push(packet, at.min(end), after);
        made.extend(pages.take());
        if is_last {
            break;
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tone and silence, each of so many ms.
    fn sound(parts: &[(u64, f64)]) -> Vec<i16> {
        let mut samples = Vec::new();
        for (ms, amplitude) in parts {
            for at in 0..Samples::in_ms(*ms).count() {
                let angle = at as f64 * 440.0 / 48_000.0 * std::f64::consts::TAU;
                samples.push((angle.sin() * amplitude * 32_767.0) as i16);
            }
        }
        samples
    }

    fn coded(samples: &[i16]) -> Vec<u8> {
        let mut encoder = SpeechEncoder::new(24_000, 5, Band::Wide).expect("an encoder");
        let comments = [("BOOTH_ID", "rundhoej-1")];
        let mut stream = OggOpus::new(7, encoder.pre_skip(), &comments);
        stream.push(&mut encoder, samples).expect("encodes");
        let mut bytes = stream.take_page();
        bytes.extend(stream.finish(&mut encoder).expect("ends"));
        bytes
    }

    fn decoded(bytes: &[u8]) -> Vec<i16> {
        let coded = opened(bytes).expect("it plays");
        let mut player = coded.player();
        std::iter::from_fn(|| player.next_piece())
            .flatten()
            .collect()
    }

    /// The largest sample between two times.
    fn peak(samples: &[i16], from_ms: u64, to_ms: u64) -> u16 {
        let part = &samples[Samples::in_ms(from_ms).as_len()..Samples::in_ms(to_ms).as_len()];
        part.iter().map(|s| s.unsigned_abs()).max().expect("some")
    }

    #[test]
    fn what_is_silenced_is_not_in_the_file_and_the_rest_is_heard() {
        let bytes = coded(&sound(&[(4_000, 0.5)]));
        let cuts = Cuts {
            silenced: vec![(1_000, 2_000), (3_000, 3_100)],
            ..Cuts::default()
        };
        let heard = decoded(&published(&bytes, &cuts).expect("a sound"));
        assert_eq!(heard.len(), 4 * 48_000);
        // The codec rings for some ms around an edge.
        for (from, to) in [(1_040, 1_980), (3_040, 3_080)] {
            assert!(peak(&heard, from, to) < 100, "{}", peak(&heard, from, to));
        }
        for (from, to) in [(100, 900), (2_100, 2_900), (3_200, 3_900)] {
            assert!(peak(&heard, from, to) > 10_000);
        }
    }

    #[test]
    fn trimming_is_exact_and_what_leaves_nothing_is_refused() {
        let bytes = coded(&sound(&[(1_000, 0.0), (1_000, 0.5), (1_000, 0.0)]));
        let cuts = |from, to| Cuts {
            from_ms: from,
            to_ms: to,
            silenced: Vec::new(),
        };
        let trimmed = published(&bytes, &cuts(Some(1_000), Some(2_000))).expect("a sound");
        let heard = decoded(&trimmed);
        assert_eq!(heard.len(), 48_000);
        assert!(peak(&heard, 0, 100) > 8_000 && peak(&heard, 900, 1_000) > 8_000);
        assert_eq!(
            decoded(&published(&bytes, &cuts(Some(2_900), None)).expect("a sound")).len(),
            4_800
        );
        for (from, to) in [
            (Some(3_000), None),
            (None, Some(0)),
            (Some(2_000), Some(1_000)),
        ] {
            let nothing = published(&bytes, &cuts(from, to));
            assert!(matches!(nothing, Err(NotPublished::NothingLeft)));
        }
    }

    #[test]
    fn where_nothing_is_taken_out_the_packets_stay_and_the_booths_name_goes() {
        let samples = sound(&[(2_345, 0.3)]);
        let bytes = coded(&samples);
        let made = published(&bytes, &Cuts::default()).expect("a sound");
        assert!(!made.windows(8).any(|word| word == b"rundhoej"));
        assert!(bytes.windows(8).any(|word| word == b"rundhoej"));
        assert_eq!(decoded(&made), decoded(&bytes));
        assert_eq!(decoded(&made).len(), samples.len());
        let again = published(&bytes, &Cuts::default()).expect("a sound");
        assert_eq!(made, again);
        let mut reader = ::ogg::PacketReader::new(std::io::Cursor::new(&made));
        let mut packets = 0;
        while let Some(packet) = reader.read_packet().expect("valid pages") {
            packets += 1;
            assert!(packets > 2 || packet.data.starts_with(b"Opus"));
        }
        assert_eq!(packets, 2 + (samples.len() + 312).div_ceil(960));
    }

    #[test]
    fn the_portrait_shows_where_somebody_speaks_and_how_loud() {
        let bytes = coded(&sound(&[
            (2_000, 0.0),
            (2_000, 0.05),
            (400, 0.0),
            (1_600, 0.05),
            (2_000, 0.0),
        ]));
        let seen = portrait(&bytes, 80).expect("a portrait");
        assert_eq!(seen.length, Samples::in_s(8));
        assert_eq!(seen.bars.len(), 80);
        assert!(seen.bars[10] < 0.01 && seen.bars[30] > 0.04, "{seen:?}");
        // A short pause stays; the long ones are passed over but for their ends.
        let [first, last] = seen.pauses.as_slice() else {
            panic!("{seen:?}");
        };
        assert!(
            first.0 == 200 && (1_700..1_850).contains(&first.1),
            "{first:?}"
        );
        assert!(
            (6_150..6_350).contains(&last.0) && last.1 == 7_800,
            "{last:?}"
        );
        let speech = seen.speech_dbfs.expect("speech");
        assert!((-31.0..-27.0).contains(&speech), "{speech}");
        assert!((7.0..11.0).contains(&seen.gain_db), "{seen:?}");
    }

    #[test]
    fn silence_has_no_level_and_a_click_does_not_keep_the_words_soft() {
        let silent = portrait(&coded(&sound(&[(3_000, 0.0)])), 10).expect("a portrait");
        assert_eq!((silent.speech_dbfs, silent.gain_db), (None, 0.0));
        assert_eq!(silent.pauses, [(200, 2_800)]);
        assert!((gain(Some(-40.0), 32_767) - 6.0).abs() < 0.01);
        assert_eq!(gain(Some(-60.0), 100), MOST_GAIN_DB);
        assert_eq!(gain(Some(-2.0), 32_767), -18.0);
    }

    #[test]
    fn a_level_is_said_in_the_header_and_heard() {
        let bytes = coded(&sound(&[(1_000, 0.1)]));
        let louder = at_level(bytes.clone(), 12.0);
        assert_eq!(louder.len(), bytes.len());
        let (before, after) = (decoded(&bytes), decoded(&louder));
        let ratio = f64::from(peak(&after, 100, 900)) / f64::from(peak(&before, 100, 900));
        assert!((3.8..4.2).contains(&ratio), "{ratio}");
        for other in [&b""[..], b"OggS", b"RIFF....WAVE"] {
            assert_eq!(at_level(other.to_vec(), 6.0), other);
        }
    }

    #[test]
    fn no_bytes_of_a_stranger_bring_it_down() {
        let good = coded(&sound(&[(700, 0.2)]));
        for at in (0..good.len()).step_by(7) {
            let mut bad = good.clone();
            bad[at] ^= 0x55;
            let _ = portrait(&bad, 40);
            let _ = published(&bad[..at], &Cuts::default());
            let _ = at_level(bad, 3.0);
        }
    }
}
