//! Sound files as people's programs write them, and Ogg Opus in every lawful shape.
#![allow(clippy::disallowed_methods)] // reads fixtures

use std::io::Cursor;
use std::path::Path;

use super::*;

/// One and a half seconds of a tone, as the recorder writes it.
fn speech() -> Vec<u8> {
    let mut encoder = SpeechEncoder::new(24_000, 5, Band::Wide).expect("an encoder");
    let mut stream = OggOpus::new(1, encoder.pre_skip(), &[]);
    let wave = |at: usize| (at as f64 / 96.0 * std::f64::consts::TAU).sin() * 6_500.0;
    let tone: Vec<i16> = (0..72_000).map(|at| wave(at) as i16).collect();
    stream.push(&mut encoder, &tone).expect("encodes");
    let mut bytes = stream.take_page();
    bytes.extend(stream.finish(&mut encoder).expect("ends"));
    bytes
}

/// A file of tests/fixtures/sounds: half a second of 440 Hz.
fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/sounds");
    std::fs::read(folder.join(name)).expect("a fixture")
}

#[test]
fn a_wav_file_at_a_rate_that_is_no_speech_is_refused() {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 23,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = Cursor::new(Vec::new());
    let mut wav = hound::WavWriter::new(&mut bytes, spec).expect("a header");
    (0..1_900).for_each(|_| wav.write_sample(0i16).expect("written"));
    wav.finalize().expect("written");
    let refused = coded(bytes.get_ref());
    assert!(refused.is_err_and(|why| why.what.contains("4000 to 384000")));
}

/// What is heard of a file: all of its samples.
fn heard(bytes: &[u8]) -> Result<Vec<i16>, String> {
    let mut player = coded(bytes).map_err(|why| why.what)?.into_player();
    let pieces = std::iter::from_fn(|| player.next_piece());
    Ok(pieces.flatten().collect())
}

/// The level of 440 Hz, a full sine being 1 (Goertzel).
fn tone_in(samples: &[i16]) -> f64 {
    let step = 2.0 * std::f64::consts::PI * 440.0 / 48_000.0;
    let (mut re, mut im) = (0.0, 0.0);
    for (i, sample) in samples.iter().enumerate() {
        let angle = step * i as f64;
        re += f64::from(*sample) * angle.cos();
        im += f64::from(*sample) * angle.sin();
    }
    re.hypot(im) * 2.0 / samples.len().max(1) as f64 / 32_768.0
}

#[test]
fn a_file_of_every_coding_that_the_booth_reads_is_heard_whole() {
    for name in [
        "tone.mp3",
        "tone.flac",
        "tone.m4a",
        "tone-alac.m4a",
        "tone.aac",
        "tone.ogg",
        "tone-flac.oga",
        "tone.aiff",
    ] {
        let samples = heard(&fixture(name)).unwrap_or_else(|why| panic!("{name} {why}"));
        // AAC's and MP3's own frames round the length up.
        assert!(
            (23_500..=28_000).contains(&samples.len()),
            "{name}: {}",
            samples.len()
        );
        let level = tone_in(&samples[..23_500]);
        assert!((0.2..0.3).contains(&level), "{name}: {level}");
    }
    // The tone is in the centre of six channels alone.
    let samples = heard(&fixture("surround.opus")).expect("heard");
    assert_eq!(samples.len(), 24_000);
    let level = tone_in(&samples);
    assert!((0.03..0.1).contains(&level), "{level}");
}

#[test]
fn a_tag_before_the_sound_is_passed_over() {
    let tag = [&b"ID3\x04\0\0\0\0\x01\0"[..], &[7; 128], &[0; 100]].concat();
    for name in ["tone.mp3", "tone.flac", "tone.ogg"] {
        let tagged = [&tag[..], &fixture(name)].concat();
        assert_eq!(
            heard(&tagged).map(|samples| samples.len()),
            heard(&fixture(name)).map(|s| s.len()),
            "{name}"
        );
    }
}

/// The pages of a file, each with its place.
fn pages(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut pages = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let segments = usize::from(bytes[at + 26]);
        let table = &bytes[at + 27..at + 27 + segments];
        let body: usize = table.iter().map(|length| usize::from(*length)).sum();
        let end = at + 27 + segments + body;
        pages.push(at..end);
        at = end;
    }
    pages
}

/// The same file with each page changed and its checksum made right.
fn changed(bytes: &[u8], change: impl Fn(usize, &mut [u8])) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (number, page) in pages(&bytes).into_iter().enumerate() {
        let page = &mut bytes[page];
        change(number, page);
        page[22..26].fill(0);
        let sum = booth_contract::ogg_page::checksum(page);
        page[22..26].copy_from_slice(&sum.to_le_bytes());
    }
    bytes
}

/// Adds to the granule position of every page with sound.
fn late_by(bytes: &[u8], samples: u64) -> Vec<u8> {
    changed(bytes, |number, page| {
        if number >= 2 {
            let granule = u64::from_le_bytes(page[6..14].try_into().expect("eight"));
            page[6..14].copy_from_slice(&(granule + samples).to_le_bytes());
        }
    })
}

#[test]
fn an_opus_file_without_its_end_flag_or_from_the_middle_of_a_stream_is_heard_whole() {
    let whole = speech();
    let plain = heard(&whole).expect("heard");
    assert_eq!(plain.len(), 72_000);
    let unmarked = changed(&whole, |_, page| page[5] &= !4);
    let others = [
        unmarked.clone(),
        late_by(&whole, 600 * 48_000),
        late_by(&unmarked, 7),
        // A file in which the pages between header and sound were left out.
        changed(&late_by(&whole, 3_600 * 48_000), |number, page| {
            if number >= 2 {
                page[18..22].copy_from_slice(&(number as u32 + 999).to_le_bytes());
            }
        }),
        // A file whose last page names no position, and the leftovers of a tagging program.
        [&whole[..], b"TAG and zeros \0\0\0"].concat(),
    ];
    for (number, other) in others.iter().enumerate() {
        assert_eq!(heard(other).as_ref(), Ok(&plain), "{number}");
    }
}

#[test]
fn a_single_page_that_ends_the_stream_is_trimmed_at_its_end() {
    let mut encoder = SpeechEncoder::new(24_000, 5, Band::Wide).expect("an encoder");
    let mut stream = OggOpus::new(1, encoder.pre_skip(), &[]);
    stream.push(&mut encoder, &[100; 1_000]).expect("encodes");
    let mut bytes = stream.take_page();
    bytes.extend(stream.finish(&mut encoder).expect("ends"));
    assert_eq!(pages(&bytes).len(), 3);
    assert_eq!(heard(&bytes).map(|samples| samples.len()), Ok(1_000));
    assert_eq!(heard(&late_by(&bytes, 960_000)).map(|s| s.len()), Ok(1_608));
}

#[test]
fn streams_one_behind_the_other_are_heard_one_behind_the_other() {
    let one = speech();
    let other = changed(&one, |_, page| page[14] ^= 0xff);
    let plain = heard(&one).expect("heard");
    // With another serial number, and with the same.
    for second in [&other, &one] {
        let chained = heard(&[&one[..], second].concat()).expect("heard");
        assert_eq!(chained, [&plain[..], &plain].concat());
    }
    // The same of Vorbis.
    let vorbis = fixture("tone.ogg");
    let alone = heard(&vorbis).expect("heard").len();
    let chained = heard(&[&vorbis[..], &vorbis].concat()).expect("heard");
    assert!(
        chained.len().abs_diff(2 * alone) < 500,
        "{} {alone}",
        chained.len()
    );
    // Side by side with a stream of something else, whose pages are in between.
    let head = pages(&one)[0].clone();
    let foreign = changed(&one, |number, page| {
        page[14] ^= 0x0f;
        if number == 0 {
            page[28..36].copy_from_slice(b"fishead\0");
        }
    });
    let mut beside = foreign[head.clone()].to_vec();
    beside.extend(&one[head.clone()]);
    for (own, foreign) in pages(&one)[1..].iter().zip(
        pages(&foreign)[1..]
            .iter()
            .map(|page| &foreign[page.clone()]),
    ) {
        beside.extend(foreign);
        beside.extend(&one[own.clone()]);
    }
    assert_eq!(heard(&beside).as_ref(), Ok(&plain));
}

#[test]
fn the_gain_in_the_header_is_applied_and_never_overflows() {
    let with_gain = |decibels: i16| {
        let gained = changed(&speech(), |number, page| {
            if number == 0 {
                page[44..46].copy_from_slice(&(decibels * 256).to_le_bytes());
            }
        });
        heard(&gained).expect("heard")
    };
    let power = |samples: &[i16]| {
        let squares: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
        (squares / samples.len() as f64).sqrt()
    };
    let plain = power(&with_gain(0));
    let soft = power(&with_gain(-20)) / plain;
    assert!((0.095..0.105).contains(&soft), "{soft}");
    let loud = with_gain(100);
    assert!(power(&loud) > plain && loud.len() == 72_000);
}

#[test]
fn a_page_that_is_damaged_or_cut_is_told_and_no_part_of_a_prompt_is_played() {
    let whole = speech();
    let last = pages(&whole).pop().expect("a page");
    for (bytes, part) in [
        (whole[..whole.len() - 40].to_vec(), "cut short"),
        (whole[..last.start + 10].to_vec(), "cut short"),
        (whole[..pages(&whole)[1].end].to_vec(), "no sound"),
        (
            {
                let mut flipped = whole.clone();
                flipped[last.start + 30] ^= 1;
                flipped
            },
            "wrong checksum",
        ),
    ] {
        let why = heard(&bytes).expect_err("not heard");
        assert!(why.contains(part), "{part}: {why}");
    }
}

#[test]
fn the_inputs_that_failed_are_heard() {
    // A pipe's size, a form of 20 bytes, an odd chunk with its pad byte: half a second of sound each.
    let form = |length: usize| {
        let mut form = vec![1, 0, 1, 0];
        form.extend(16_000u32.to_le_bytes());
        form.extend(32_000u32.to_le_bytes());
        form.extend([2, 0, 16, 0, 2, 0, 0, 0]);
        form.truncate(length);
        let mut chunk = b"fmt ".to_vec();
        chunk.extend((length as u32).to_le_bytes());
        chunk.extend(form);
        chunk
    };
    let sound = [0x11; 16_000];
    let data = |size: u32| [&b"data"[..], &size.to_le_bytes(), &sound].concat();
    let odd = [&b"bext\x5b\x02\0\0"[..], &[0; 604]].concat();
    for chunks in [
        [form(16), data(0x7fff_f000)].concat(),
        [form(20), data(16_000)].concat(),
        [odd, form(16), data(16_000)].concat(),
    ] {
        let bytes = [&b"RIFF\0\0\0\0WAVE"[..], &chunks].concat();
        assert_eq!(heard(&bytes).map(|samples| samples.len()), Ok(24_000));
    }
}

/// Half a second of plain samples in MP4, whose header says how many of them are in a packet (QuickTime's sound description 2).
fn plain_mp4(frames_of_a_packet: u32) -> Vec<u8> {
    let atom = |name: &[u8; 4], inside: &[&[u8]]| {
        let inside = inside.concat();
        let size = u32::try_from(8 + inside.len()).expect("small");
        [&size.to_be_bytes()[..], name, &inside].concat()
    };
    let numbers = |all: &[u32]| {
        all.iter()
            .flat_map(|n| n.to_be_bytes())
            .collect::<Vec<u8>>()
    };
    let samples = 24_000;
    let description = atom(
        b"lpcm",
        &[
            &[0, 0, 0, 0, 0, 0, 0, 1],
            &[0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 16, 0xff, 0xfe, 0, 0],
            &numbers(&[0x1_0000, 72]),
            &48_000f64.to_be_bytes(),
            &numbers(&[1, 0x7f00_0000, 16, 4, 2, frames_of_a_packet]),
        ],
    );
    let table = atom(
        b"stbl",
        &[
            &atom(b"stsd", &[&numbers(&[0, 1]), &description]),
            &atom(b"stts", &[&numbers(&[0, 1, samples, 1])]),
            &atom(b"stsc", &[&numbers(&[0, 1, 1, samples, 1])]),
            &atom(b"stsz", &[&numbers(&[0, 2, samples])]),
            // The sound follows the first atom and its own head.
            &atom(b"stco", &[&numbers(&[0, 1, 24])]),
        ],
    );
    let handler = [&numbers(&[0, 0])[..], b"soun", &[0; 13]].concat();
    let media = atom(
        b"mdia",
        &[
            &atom(b"mdhd", &[&numbers(&[0, 0, 0, 48_000, samples, 0])]),
            &atom(b"hdlr", &[&handler]),
            &atom(b"minf", &[&table]),
        ],
    );
    let track = [numbers(&[0, 0, 0, 1, 0, samples]), vec![0; 60]].concat();
    let movie = [numbers(&[0, 0, 0, 48_000, samples]), vec![0; 80]].concat();
    let tables = [
        atom(b"mvhd", &[&movie]),
        atom(b"trak", &[&atom(b"tkhd", &[&track]), &media]),
    ];
    [
        atom(b"ftyp", &[b"qt  \0\0\0\0"]),
        atom(b"mdat", &[&[0x11; 48_000]]),
        atom(b"moov", &[&tables.concat()]),
    ]
    .concat()
}

#[test]
fn packets_of_impossible_size_are_refused_before_memory_is_taken_for_them() {
    assert_eq!(
        heard(&plain_mp4(1)).map(|samples| samples.len()),
        Ok(24_000)
    );
    let why = heard(&plain_mp4(u32::MAX)).expect_err("refused");
    assert!(why.contains("packets of 4294967295 samples"), "{why}");
}

#[test]
fn vorbis_is_read_from_operators_only() {
    let vorbis = fixture("tone.ogg");
    made_answer(&vorbis, 10, Sender::Operator).expect("read");
    let refused = made_answer(&vorbis, 10, Sender::Anybody).map(drop);
    let why = refused.expect_err("refused").to_string();
    assert!(why.contains("Vorbis"), "{why}");
    // Also behind other bytes, where the library looks for it.
    let behind = [&[0xff, 0xfb, 0, 0, 0, 0][..], &vorbis].concat();
    assert!(made_answer(&behind, 10, Sender::Anybody).is_err());
}

#[test]
fn a_file_in_which_more_than_a_hundred_streams_begin_is_refused() {
    let opus = speech();
    let vorbis = fixture("tone.ogg");
    for first in [&opus, &vorbis] {
        let head = &first[pages(first)[0].clone()];
        let whole = |streams: usize| [&head.repeat(streams - 1), &first[..]].concat();
        let fits = heard(&whole(100));
        assert!(!fits.is_err_and(|why| why.contains("streams")));
        let why = heard(&whole(101)).expect_err("refused");
        assert!(why.contains("more than 100 streams"), "{why}");
    }
}

#[test]
fn a_prompt_of_the_centre_is_ogg_opus_and_nothing_else_is_looked_into() {
    check_opus(&speech()).expect("it is");
    for other in [
        fixture("tone.ogg"),
        fixture("tone.m4a"),
        plain_mp4(u32::MAX),
    ] {
        let why = check_opus(&other).expect_err("refused").what;
        assert_eq!(why, "is no Ogg Opus");
    }
}
