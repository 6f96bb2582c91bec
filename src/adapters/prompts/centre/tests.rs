//! What is played in which language.
#![allow(clippy::disallowed_methods)] // writes prompt files

use std::sync::Arc;

use super::*;
use booth_audio::{Band, OggOpus, SpeechEncoder};
use booth_contract::hex;
use booth_spool::real_disk::RealDisk;
use gateway_core::campaign::{Configuration, Put};
use gateway_core::prompt::Word;
use serde_json::json;
use sha2::{Digest, Sha256};

/// Opus of so many ms; its length says in a test which one is played.
fn sound(ms: u32) -> Vec<u8> {
    let mut encoder = SpeechEncoder::new(24_000, 5, Band::Wide).expect("an encoder");
    let mut stream = OggOpus::new(1, encoder.pre_skip(), &[]);
    let tone = tones::samples(&[(500.0, 0.0, 100)]).repeat((ms / 100) as usize);
    let mut bytes = Vec::new();
    for piece in tone.chunks(48_000) {
        stream.push(&mut encoder, piece).expect("encodes");
        bytes.extend(stream.take_page());
    }
    bytes.extend(stream.finish(&mut encoder).expect("ends"));
    bytes
}

fn hash_of(bytes: &[u8]) -> MediaHash {
    MediaHash::parse(&hex(&Sha256::digest(bytes))).expect("a hash")
}

struct Rig {
    dir: tempfile::TempDir,
    media: Media,
    own: Prompts,
    centre: Centre,
}

impl Rig {
    /// A booth in Danish whose folder has these files, each of a length in ms, and whose centre has these sounds.
    fn new(
        files: &[(&str, u32)],
        sounds: &[u32],
        wanted: impl Fn(&dyn Fn(u32) -> MediaHash) -> serde_json::Value,
    ) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let prompts = dir.path().join("prompts");
        for (name, ms) in files {
            let file = prompts.join(name);
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            std::fs::write(file, sound(*ms)).expect("written");
        }
        let media = Media::new(Arc::new(RealDisk::new()), dir.path());
        for ms in sounds {
            let bytes = sound(*ms);
            media.keep(&hash_of(&bytes), &bytes).expect("kept");
        }
        let value = wanted(&|ms| hash_of(&sound(ms)));
        let wanted = Wanted::read(value.to_string().as_bytes()).expect("readable");
        let keep = wanted.media();
        let configuration = Configuration {
            wanted,
            is_signed: true,
            latest_signed: None,
        };
        assert!(matches!(media.put(&configuration, &keep), Put::InForce(_)));
        let questions = ["square".to_owned()];
        let (own, _) = Prompts::load(&prompts, "da", &questions);
        let centre = Centre::load(&media, &configuration.wanted, &prompts, "da", &questions);
        Self {
            dir,
            media,
            own,
            centre,
        }
    }

    /// How long a prompt is in a language, ms.
    fn ms(&self, prompt: &Prompt, lang: &str) -> usize {
        let mut player = self.centre.player(&self.own, prompt, lang);
        let pieces = std::iter::from_fn(|| player.next_piece());
        pieces.map(|piece| piece.len()).sum::<usize>() / 48
    }
}

fn spoken(pairs: &[(&str, MediaHash)]) -> Prompt {
    Prompt::Wanted(
        pairs
            .iter()
            .map(|(lang, hash)| ((*lang).to_owned(), hash.clone()))
            .collect(),
    )
}

#[test]
fn a_prompt_is_the_centres_in_the_language_of_the_visit_else_the_folders_else_the_booths_own() {
    let files = [
        ("da/notice.opus", 300),
        ("da/menu.opus", 400),
        ("da/thanks.opus", 500),
        ("da/square.opus", 600),
        ("en/notice.opus", 700),
        ("en/goodbye.opus", 800),
    ];
    let rig = Rig::new(&files, &[900, 1000, 1100], |hash| {
        json!({"schema": 1, "version": 1, "languages": {"8": "en", "9": "de"},
            "prompts": {"menu": {"da": hash(900)}, "notice": {"de": hash(1000)}, "number_1": {"en": hash(1100)}}})
    });
    for (prompt, lang, ms) in [
        (Prompt::Menu, "da", 900),
        (Prompt::Notice, "da", 300),
        (Prompt::Notice, "en", 700),
        (Prompt::Notice, "de", 1000),
        (Prompt::Thanks, "da", 500),
        // Nothing in English: better what the booth says in its own language than a tone.
        (Prompt::Thanks, "en", 500),
        (Prompt::Menu, "en", 400),
        (Prompt::Goodbye, "en", 800),
        (Prompt::Question("square".into()), "en", 600),
        (Prompt::Word(Word::One), "en", 1100),
        (
            Prompt::InLanguage("en".into(), Box::new(Prompt::Notice)),
            "da",
            700,
        ),
        (
            Prompt::InLanguage("da".into(), Box::new(Prompt::Notice)),
            "de",
            300,
        ),
    ] {
        assert_eq!(rig.ms(&prompt, lang), ms, "{prompt:?} {lang}");
    }
    // A tone stands in where nobody has anything, and the booth's own voice speaks both languages.
    let tone = tones::samples(tones::tone_for(&Prompt::TooShort)).len() / 48;
    assert_eq!(rig.ms(&Prompt::TooShort, "en"), tone);
    let two = |lang| rig.ms(&Prompt::Word(Word::Hundred), lang);
    assert_ne!(two("da"), two("en"));
}

#[test]
fn the_notice_that_is_named_is_the_one_that_is_heard() {
    let files = [("da/notice.opus", 300), ("en/notice.opus", 700)];
    let rig = Rig::new(&files, &[1000], |hash| {
        json!({"schema": 1, "version": 1, "languages": {"7": "sv", "8": "en", "9": "de"},
            "prompts": {"notice": {"de": hash(1000)}}})
    });
    let id = |ms| Some(hash_of(&sound(ms)).as_str()[..16].to_owned());
    let of = |lang: &str| rig.centre.notice_id(&rig.own, lang);
    assert_eq!([of("da"), of("en"), of("de")], [id(300), id(700), id(1000)]);
    // Nobody has it in Swedish: the Danish one is heard.
    assert_eq!((rig.ms(&Prompt::Notice, "sv"), of("sv")), (300, id(300)));
    let none = Rig::new(
        &[],
        &[],
        |_| json!({"schema": 1, "version": 1, "languages": {"8": "en"}}),
    );
    assert_eq!(none.centre.notice_id(&none.own, "en"), None);
    assert_eq!(Centre::default().notice_id(&rig.own, "da"), id(300));
}

#[test]
fn a_prompt_by_hash_is_played_in_its_language_and_a_tone_where_the_card_has_lost_it() {
    let rig = Rig::new(
        &[],
        &[900, 1000],
        |hash| json!({"schema": 1, "version": 1, "languages": {"8": "en"}, "prompts": {"x": {"da": hash(900), "en": hash(1000)}}}),
    );
    let (danish, english) = (hash_of(&sound(900)), hash_of(&sound(1000)));
    let both = spoken(&[("da", danish.clone()), ("en", english.clone())]);
    assert_eq!((rig.ms(&both, "da"), rig.ms(&both, "en")), (900, 1000));
    assert_eq!(
        rig.ms(&both, "de"),
        900,
        "in the booth's own language where the asked one is missing"
    );
    assert_eq!(rig.ms(&spoken(&[("en", english)]), "da"), 1000);
    // Without memory of it, each play reads it from the card, and proves it.
    let cold = Centre {
        media: Some(rig.media.clone()),
        ..Centre::default()
    };
    let ms = |centre: &Centre| {
        let mut player = centre.player(&rig.own, &both, "da");
        std::iter::from_fn(|| player.next_piece())
            .map(|piece| piece.len())
            .sum::<usize>()
            / 48
    };
    assert_eq!(ms(&cold), 900);
    let file = rig.dir.path().join("centre/media").join(danish.as_str());
    std::fs::write(&file, b"rubbish").expect("written");
    let tone = tones::samples(tones::tone_for(&both)).len() / 48;
    assert_eq!(ms(&cold), tone);
    assert_eq!(ms(&Centre::default()), tone);
}

#[test]
fn a_shelf_names_the_sounds_of_each_language() {
    let files = [
        ("da/notice.opus", 300),
        ("en/Notice.OPUS", 300),
        ("en/menu.opus", 300),
    ];
    let rig = Rig::new(&files, &[], |_| json!({"schema": 1, "version": 1}));
    let prompts = rig.dir.path().join("prompts");
    std::fs::write(prompts.join("en/readme.txt"), b"x").expect("written");
    let folder = shelf(&prompts);
    let names = |lang: &str| {
        folder
            .get(lang)
            .map(|names| names.iter().cloned().collect::<Vec<_>>())
    };
    assert_eq!(names("da"), Some(vec!["notice".into()]));
    assert_eq!(names("en"), Some(vec!["menu".into(), "notice".into()]));
    assert_eq!(shelf(&prompts.join("none")).len(), 0);
}
