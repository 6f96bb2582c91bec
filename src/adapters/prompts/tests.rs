//! Prompts as people make them: every coding, every shape of a file, and what is reported of files that are not used.

use super::*;
use booth_audio::{Band, OggOpus, SpeechEncoder};

fn speech() -> Vec<u8> {
    let mut encoder = SpeechEncoder::new(24_000, 5, Band::Wide).expect("an encoder");
    let mut stream = OggOpus::new(1, encoder.pre_skip(), &[]);
    let tone = tones::samples(&[(500.0, 0.0, 1500)]);
    stream.push(&mut encoder, &tone).expect("encodes");
    let mut bytes = stream.take_page();
    bytes.extend(stream.finish(&mut encoder).expect("ends"));
    bytes
}

fn length(prompts: &Prompts, prompt: &Prompt) -> usize {
    let mut player = prompts.player(prompt);
    std::iter::from_fn(|| player.next_piece())
        .map(|piece| piece.len())
        .sum()
}

#[test]
fn opus_and_wav_play_to_the_sample_and_a_cut_file_becomes_a_tone() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("da");
    std::fs::create_dir(&folder).expect("a folder");
    let whole = speech();
    std::fs::write(folder.join("notice.opus"), &whole).expect("written");
    std::fs::write(folder.join("thanks.opus"), &whole[..whole.len() - 40]).expect("written");
    std::fs::write(folder.join("goodbye.wav"), b"RIFFxxxx").expect("written");
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(folder.join("square.wav"), spec).expect("written");
    for _ in 0..32_000 {
        wav.write_sample(1000i16).expect("written");
    }
    wav.finalize().expect("written");
    let (prompts, broken) = Prompts::load(dir.path(), "da", &["square".into()]);
    assert_eq!(broken.len(), 2, "{broken:?}");
    assert!(
        broken
            .iter()
            .any(|file| file.file.ends_with("thanks.opus") && file.why.contains("cut short")),
        "{broken:?}"
    );
    assert_eq!(length(&prompts, &Prompt::Notice), 72_000);
    assert_eq!(length(&prompts, &Prompt::Question("square".into())), 48_000);
    assert_eq!(
        length(&prompts, &Prompt::Thanks),
        tones::samples(tones::tone_for(&Prompt::Thanks)).len()
    );
    assert_eq!(prompts.notice_id().map(str::len), Some(16));
}

#[test]
fn a_prompt_says_in_letters_what_its_comment_or_the_file_beside_it_has() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("da");
    std::fs::create_dir(&folder).expect("a folder");
    let with = |text: &str| {
        let mut encoder = SpeechEncoder::new(24_000, 5, Band::Wide).expect("an encoder");
        let mut stream = OggOpus::new(1, encoder.pre_skip(), &[("TEXT", text)]);
        let tone = tones::samples(&[(500.0, 0.0, 300)]);
        stream.push(&mut encoder, &tone).expect("encodes");
        let mut bytes = stream.take_page();
        bytes.extend(stream.finish(&mut encoder).expect("ends"));
        bytes
    };
    let write =
        |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).expect("written");
    write("notice.opus", &with("Kommunen optager."));
    write("square.opus", &with("Hvad mangler der?"));
    write(
        "square.txt",
        "\u{feff}Hvad mangler\r\nder på torvet?\r\n".as_bytes(),
    );
    write("bus.opus", &speech());
    write("park.opus", &speech());
    write("park.txt", b" \n");
    let names = ["square", "bus", "park", "none"].map(str::to_owned);
    let (prompts, unused) = Prompts::load(dir.path(), "da", &names);
    assert_eq!(unused, []);
    let question = |name: &str| prompts.text(&Prompt::Question(name.into()), "da");
    assert_eq!(
        prompts.text(&Prompt::Notice, "da"),
        Some("Kommunen optager.")
    );
    assert_eq!(question("square"), Some("Hvad mangler der på torvet?"));
    assert_eq!(question("bus"), None);
    let louder = Prompt::Word(Word::Louder);
    assert_eq!(prompts.text(&louder, "da"), Some("Højere."));
    assert_eq!(prompts.text(&louder, "en"), Some("Louder."));
    let other = Prompt::InLanguage("en".into(), Box::new(louder));
    assert_eq!(prompts.text(&other, "da"), Some("Louder."));
    assert_eq!(prompts.text(&Prompt::Tone, "da"), None);
    assert_eq!(prompts.without_text(), ["bus", "park"]);
}

#[test]
fn a_citys_recording_of_a_word_wins_and_a_broken_one_leaves_the_booths_own_voice() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("da");
    std::fs::create_dir(&folder).expect("a folder");
    let own = Prompts::load(dir.path(), "da", &[]).0;
    std::fs::write(folder.join("louder.opus"), speech()).expect("written");
    std::fs::write(folder.join("dot.opus"), b"rubbish").expect("written");
    std::fs::write(folder.join("dash.wav"), b"RIFFxxxx").expect("written");
    std::fs::write(folder.join("booth_name.opus"), speech()).expect("written");
    let (prompts, broken) = Prompts::load(dir.path(), "da", &[]);
    assert_eq!(broken.len(), 2, "{broken:?}");
    assert!(broken.iter().all(|file| file.why.contains("own voice")));
    assert!(prompts.has_booth_name() && !own.has_booth_name());
    let louder = Prompt::Word(Word::Louder);
    let pause = Word::Louder.pause_ms() as usize * 48;
    assert_eq!(length(&prompts, &louder), 72_000 + pause);
    for word in [Word::Dot, Word::Dash, Word::NoFaults] {
        let word = Prompt::Word(word);
        assert_eq!(length(&prompts, &word), length(&own, &word));
    }
    // The card loses the file while the booth is up.
    std::fs::remove_file(folder.join("louder.opus")).expect("removed");
    assert_eq!(length(&prompts, &louder), length(&own, &louder));
}

#[test]
fn a_language_without_a_voice_is_spoken_in_english() {
    let load = |language| Prompts::load(Path::new("no/such/folder"), language, &[]).0;
    let word = Prompt::Word(Word::NotSetUp);
    let pieces = |prompts: &Prompts| -> Vec<i16> {
        let mut player = prompts.player(&word);
        std::iter::from_fn(|| player.next_piece())
            .flatten()
            .collect()
    };
    assert_eq!(pieces(&load("de")), pieces(&load("en")));
    assert_ne!(pieces(&load("da")), pieces(&load("en")));
}

#[test]
fn the_off_hook_tone_is_never_louder_than_the_notice_and_the_test_tone_is_quiet() {
    let dir = tempfile::tempdir().expect("a folder");
    let (tones, _) = Prompts::load(dir.path(), "da", &[]);
    let of = |prompts: &Prompts, prompt| level(prompts.player(&prompt));
    assert!(of(&tones, Prompt::OffHook) <= of(&tones, Prompt::Notice) * 1.01);
    assert!((500.0..1_000.0).contains(&of(&tones, Prompt::TestTone)));
    // A city's own recordings: a soft notice and an off-hook tone at full scale.
    let folder = dir.path().join("da");
    std::fs::create_dir(&folder).expect("a folder");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    for (name, amplitude) in [("notice", 2_000.0), ("off_hook", 30_000.0)] {
        let file = folder.join(format!("{name}.wav"));
        let mut wav = hound::WavWriter::create(file, spec).expect("written");
        for i in 0..48_000 {
            let wave = (f64::from(i) / 48.0).sin() * amplitude;
            wav.write_sample(wave as i16).expect("written");
        }
        wav.finalize().expect("written");
    }
    let (own, broken) = Prompts::load(dir.path(), "da", &[]);
    assert!(broken.is_empty(), "{broken:?}");
    let (notice, off_hook) = (of(&own, Prompt::Notice), of(&own, Prompt::OffHook));
    assert!((1_200.0..1_600.0).contains(&notice), "{notice}");
    assert!(off_hook <= notice * 1.05, "{off_hook} {notice}");
}

#[test]
fn an_absent_folder_is_all_tones_and_claims_no_notice() {
    let (prompts, broken) = Prompts::load(Path::new("no/such/folder"), "da", &[]);
    assert!(broken.is_empty());
    assert_eq!(prompts.notice_id(), None);
    assert!(length(&prompts, &Prompt::Notice) > 0);
}

// ----- As other people's programs write them -----

/// A file of tests/fixtures/sounds: half a second of 440 Hz.
fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sounds");
    std::fs::read(folder.join(name)).expect("a fixture")
}

#[test]
fn what_is_in_a_file_counts_and_not_its_ending() {
    let dir = tempfile::tempdir().expect("a folder");
    for (file, bytes) in [
        ("notice.opus", fixture("tone.mp3")),
        ("thanks.wav", fixture("tone.ogg")),
        ("goodbye.mp3", speech()),
    ] {
        std::fs::write(dir.path().join(file), bytes).expect("written");
    }
    let (prompts, unused) = Prompts::load(dir.path(), "da", &[]);
    assert_eq!(unused, []);
    for prompt in [Prompt::Notice, Prompt::Thanks, Prompt::Goodbye] {
        assert!(prompts.has(&prompt), "{prompt:?}");
    }
}

#[test]
fn what_is_no_sound_or_is_not_read_is_named_with_the_command_that_converts_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("da");
    std::fs::create_dir(&folder).expect("a folder");
    let whole = fixture("tone.flac");
    let zeros = vec![0; 4_000];
    let files: [(&str, &[u8], &str, &str); 9] = [
        (
            "notice.ogg",
            &fixture("tone.spx"),
            "Speex",
            "ffmpeg -i notice.ogg -ac 1 notice.opus",
        ),
        (
            "menu.mp3",
            &fixture("tone.wma"),
            "Windows Media",
            "ffmpeg -i menu.mp3 -ac 1 menu.opus",
        ),
        ("thanks.opus", b"<!DOCTYPE html>", "web page", "copy it"),
        ("goodbye.wav", b"", "is empty", "copy it"),
        ("repeat.wav", &zeros, "zeros", "copy it"),
        (
            "off_hook.flac",
            &whole[..whole.len() / 2],
            "cut short",
            "copy it",
        ),
        ("too_short.m4a", b"PK\x03\x04", "ZIP", "unpack it"),
        (
            "emergency.opus",
            &fixture("tone.spx"),
            "Speex",
            "ffmpeg -i emergency.opus -ac 1 emergency.wav",
        ),
        (
            "tone.wma",
            &fixture("tone.wma"),
            ".wma",
            "ffmpeg -i tone.wma -ac 1 tone.opus",
        ),
    ];
    for (file, bytes, ..) in &files {
        std::fs::write(folder.join(file), bytes).expect("written");
    }
    let (_, unused) = Prompts::load(dir.path(), "da", &[]);
    assert_eq!(unused.len(), files.len(), "{unused:#?}");
    for (file, _, why, remedy) in files {
        let named = unused.iter().find(|named| named.file.ends_with(file));
        let named = named.unwrap_or_else(|| panic!("{file}: {unused:#?}"));
        assert!(
            named.why.contains(why) && named.remedy.contains(remedy),
            "{named:?}"
        );
    }
}

#[test]
fn a_broken_file_gives_way_to_a_good_one_of_the_same_prompt_and_the_third_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("da");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("notice.opus"), b"rubbish").expect("written");
    std::fs::write(folder.join("notice.wav"), fixture("tone.mp3")).expect("written");
    std::fs::write(dir.path().join("Notice.FLAC"), fixture("tone.flac")).expect("written");
    let (prompts, unused) = Prompts::load(dir.path(), "da", &[]);
    assert!(prompts.notice_id().is_some());
    let named: Vec<(&str, Weight)> = unused
        .iter()
        .map(|file| (file.why.as_str(), file.weight))
        .collect();
    assert_eq!(
        named,
        [
            ("is not used: da/notice.wav is played", Weight::Spare),
            (
                "is no sound file that the booth knows; da/notice.wav is played",
                Weight::Spare
            ),
        ]
    );
}

#[test]
fn a_flat_folder_is_played_and_another_languages_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(dir.path().join("en")).expect("a folder");
    std::fs::write(dir.path().join("en/notice.opus"), speech()).expect("written");
    let (prompts, unused) = Prompts::load(dir.path(), "da", &[]);
    assert_eq!(prompts.notice_id(), None);
    assert!(
        unused
            .iter()
            .any(|file| file.remedy.contains("call the folder da")),
        "{unused:?}"
    );
    std::fs::write(dir.path().join("NOTICE.opus"), speech()).expect("written");
    let (prompts, unused) = Prompts::load(dir.path(), "da", &[]);
    assert!(prompts.notice_id().is_some());
    assert_eq!(unused[0].weight, Weight::Elsewhere);
}

#[test]
fn a_prompt_that_is_too_long_or_too_large_is_told_and_a_device_is_never_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let large = std::fs::File::create(dir.path().join("notice.opus")).expect("a file");
    large.set_len(MAX_FILE + 1).expect("grown");
    std::os::unix::fs::symlink("/dev/zero", dir.path().join("menu.wav")).expect("a link");
    std::os::unix::fs::symlink("nowhere", dir.path().join("thanks.wav")).expect("a link");
    let mut wav = hound::WavWriter::create(
        dir.path().join("goodbye.wav"),
        hound::WavSpec {
            channels: 1,
            sample_rate: 8_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        },
    )
    .expect("a file");
    (0..8_000 * 91).for_each(|_| wav.write_sample(0i16).expect("written"));
    wav.finalize().expect("written");
    let (_, unused) = Prompts::load(dir.path(), "da", &[]);
    for (file, part) in [
        ("notice.opus", "is larger than 8000000 bytes"),
        ("menu.wav", "is no file"),
        ("thanks.wav", "cannot be read"),
        ("goodbye.wav", "is longer than 90 s"),
    ] {
        let named = unused
            .iter()
            .find(|named| named.file.ends_with(file))
            .expect(file);
        assert!(
            named.why.contains(part) && named.weight == Weight::Lacking,
            "{named:?}"
        );
    }
}

#[test]
fn a_text_beside_a_prompt_is_read_from_any_editor_and_one_that_is_none_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("da");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("notice.opus"), speech()).expect("written");
    let text = |bytes: &[u8]| {
        std::fs::write(folder.join("notice.txt"), bytes).expect("written");
        let (prompts, unused) = Prompts::load(dir.path(), "da", &[]);
        let text = prompts.text(&Prompt::Notice, "da").map(str::to_owned);
        (text, unused)
    };
    let said = "Vælg en å";
    let utf16: Vec<u8> = "\u{feff}Vælg en å"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for bytes in [said.as_bytes(), &utf16] {
        assert_eq!(text(bytes), (Some(said.to_owned()), Vec::new()));
    }
    let (shown, unused) = text(b"V\xe6lg en \xe5");
    assert!(shown.is_some_and(|shown| shown.starts_with('V')));
    assert!(
        unused[0].why.contains("UTF-8") && unused[0].file.ends_with("notice.txt"),
        "{unused:?}"
    );
    // The limit of a text's length cuts a letter in two, which is no fault of the file.
    let (_, unused) = text(format!("x{}", "å".repeat(MAX_TEXT_FILE as usize)).as_bytes());
    assert_eq!(unused, []);
}
