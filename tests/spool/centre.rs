//! The centre's configuration on the card: what a power cut at any step, a card that refuses and a card that is damaged leave of it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use booth_contract::MediaHash;
use booth_contract::wanted::{MAX_PROMPT_BYTES, Wanted};
use booth_gateway::adapters::media::Media;
use booth_spool::disk::Disk;
use booth_testkit::centre::hex_sha256;
use booth_testkit::model_disk::{EIO, ENOSPC, Fault, Left, ModelDisk};
use booth_testkit::prompts::{coded, tone};
use gateway_core::campaign::{Configuration, Put, Unfit};
use serde_json::json;

const SPOOL: &str = "/spool";

fn media(disk: &ModelDisk) -> Media {
    Media::new(Arc::new(disk.clone()), Path::new(SPOOL))
}

fn make_spool(disk: &ModelDisk) {
    disk.make_folder(Path::new(SPOOL)).expect("a folder");
    disk.sync_folder(Path::new("/")).expect("durable");
}

fn hash_of(bytes: &[u8]) -> MediaHash {
    MediaHash::parse(&hex_sha256(bytes)).expect("a hash")
}

fn configuration(version: u64, sounds: &[&[u8]]) -> Configuration {
    let questions: Vec<serde_json::Value> = sounds
        .iter()
        .zip(1..)
        .map(|(sound, digit)| {
            json!({"id": format!("q{digit}"), "digit": digit, "kind": "speak", "prompt": {"da": hash_of(sound)}})
        })
        .collect();
    let value = json!({"schema": 1, "version": version, "campaigns": [{"id": "c", "questions": questions}]});
    Configuration {
        wanted: Wanted::read(value.to_string().as_bytes()).expect("readable"),
        is_signed: version.is_multiple_of(2),
        latest_signed: Some("2026-06-01T00:00:00Z".parse().expect("a time")),
    }
}

fn put(media: &Media, configuration: &Configuration) -> Put {
    media.put(configuration, &configuration.wanted.media())
}

/// A card with a configuration of two prompts in force, a prompt for the next one, and that one.
fn before() -> (ModelDisk, Vec<u8>, Configuration, Configuration) {
    let sounds: Vec<Vec<u8>> = [300.0, 400.0, 500.0].map(|pitch| tone(pitch, 300)).into();
    let disk = ModelDisk::new();
    make_spool(&disk);
    let old = configuration(1, &[&sounds[0], &sounds[1]]);
    let new = configuration(2, &[&sounds[1], &sounds[2]]);
    let first = media(&disk);
    for sound in &sounds[..2] {
        first.keep(&hash_of(sound), sound).expect("kept");
    }
    assert!(matches!(put(&first, &old), Put::InForce(_)));
    (disk, sounds[2].clone(), old, new)
}

#[test]
fn a_configuration_replaced_at_every_step_of_a_power_cut_is_the_old_one_or_the_new_one_with_all_its_prompts()
 {
    let (base, sound, old, new) = before();
    let (mut olds, mut news, mut steps) = (0, 0, 0);
    for step in 0.. {
        let disk = base.snapshot();
        disk.cut_power_after(step);
        let card = media(&disk);
        if card.keep(&hash_of(&sound), &sound).is_ok() {
            let _ = put(&card, &new);
        }
        let is_through = !disk.is_off();
        for seed in 0..40 {
            let found = media(&disk.power_cut(seed)).read();
            assert_eq!(found.trouble, None, "step {step}, seed {seed}");
            let applied = found.applied.expect("one of them");
            assert!(
                applied == old || applied == new,
                "step {step}, seed {seed}: {applied:?}"
            );
            assert!(
                applied.wanted.media().is_subset(&found.media),
                "step {step}, seed {seed}: version {} lacks a prompt",
                applied.wanted.version
            );
            olds += u32::from(applied == old);
            news += u32::from(applied == new);
            assert!(
                !is_through || applied == new,
                "what was said to be in force is"
            );
        }
        if is_through {
            steps = step;
            break;
        }
    }
    assert!(
        steps >= 10 && olds > 100 && news > 40,
        "{steps} {olds} {news}"
    );
}

#[test]
fn the_very_first_configuration_is_there_or_not_after_a_power_cut_at_every_step() {
    let (_, sound, _, _) = before();
    let first = configuration(1, &[&sound]);
    let base = ModelDisk::new();
    make_spool(&base);
    for step in 0.. {
        let disk = base.snapshot();
        disk.cut_power_after(step);
        let card = media(&disk);
        if card.keep(&hash_of(&sound), &sound).is_ok() {
            let _ = put(&card, &first);
        }
        let is_through = !disk.is_off();
        for seed in 0..40 {
            let found = media(&disk.power_cut(seed)).read();
            assert_eq!(found.trouble, None, "step {step}, seed {seed}");
            match found.applied {
                Some(applied) => {
                    assert_eq!(applied, first);
                    assert!(
                        found.media.contains(&hash_of(&sound)),
                        "step {step}, seed {seed}"
                    );
                }
                None => assert!(!is_through, "what was said to be in force is"),
            }
        }
        if is_through {
            return;
        }
    }
}

#[test]
fn a_card_that_refuses_leaves_what_was_in_force_and_says_so() {
    let (base, sound, old, new) = before();
    for errno in [ENOSPC, EIO] {
        let disk = base.snapshot();
        let fault = Fault {
            errno,
            left: Left::Nothing,
        };
        disk.set_faults(move |_| Some(fault));
        let card = media(&disk);
        assert!(matches!(
            card.keep(&hash_of(&sound), &sound),
            Err(Unfit::Card(_))
        ));
        disk.heal();
        card.keep(&hash_of(&sound), &sound).expect("kept");
        disk.set_faults(move |operation| operation.verb.is_change().then_some(fault));
        assert!(matches!(put(&card, &new), Put::Refused(_)));
        disk.heal();
        let found = media(&disk).read();
        assert_eq!(found.applied.as_ref(), Some(&old));
        assert!(old.wanted.media().is_subset(&found.media));
        assert!(matches!(put(&card, &new), Put::InForce(_)));
        assert_eq!(media(&disk).read().applied.as_ref(), Some(&new));
    }
}

#[test]
fn prompts_that_nobody_wants_go_only_after_the_new_configuration_is_durable() {
    let (disk, sound, old, new) = before();
    let card = media(&disk);
    let lacks = put(&card, &new);
    assert_eq!(lacks, Put::Lacks(old.wanted.media()));
    card.keep(&hash_of(&sound), &sound).expect("kept");
    assert_eq!(put(&card, &new), Put::InForce(new.wanted.media()));
    assert_eq!(media(&disk).read().media, new.wanted.media());
    card.tidy(&BTreeSet::new());
    assert_eq!(media(&disk).read().media, BTreeSet::new());
}

#[test]
fn what_is_no_prompt_of_its_hash_is_never_kept() {
    let disk = ModelDisk::new();
    let card = media(&disk);
    let sound = tone(440.0, 300);
    assert_eq!(
        card.keep(&hash_of(b"another"), &sound),
        Err(Unfit::OtherHash)
    );
    // Few bits a second, so that only its length is too much.
    let long = coded(0.0, 91_000, 6_000);
    let wav = b"RIFF\0\0\0\0WAVEfmt ".to_vec();
    for (bytes, part) in [
        (sound[..sound.len() - 9].to_vec(), "cut short"),
        (b"no sound at all".to_vec(), "no Ogg Opus"),
        (Vec::new(), "empty"),
        (wav, "no Ogg Opus"),
        (
            [sound.clone(), vec![0; MAX_PROMPT_BYTES]].concat(),
            "at most 102400",
        ),
        (long, "longer than 90 s"),
    ] {
        let Err(Unfit::NoPrompt(why)) = card.keep(&hash_of(&bytes), &bytes) else {
            panic!("{} bytes were taken", bytes.len())
        };
        assert!(why.contains(part), "{why}");
    }
    assert_eq!(disk.files(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_damaged_prompt_is_dropped_and_a_damaged_configuration_set_aside() {
    let (disk, _, old, _) = before();
    let file = Path::new(SPOOL).join("centre/configuration.json");
    let good = disk.content(&file).expect("a file");
    let lost = old.wanted.media().first().cloned().expect("one");
    let prompt = Path::new(SPOOL).join(format!("centre/media/{lost}"));
    let mut bytes = disk.content(&prompt).expect("a prompt");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    disk.put(&prompt, &bytes);
    let found = media(&disk).read();
    assert_eq!(
        (found.applied.as_ref(), found.media.contains(&lost)),
        (Some(&old), false)
    );
    assert!(disk.content(&prompt).is_none());
    // Each byte in turn: it is what it was, or nothing that counts.
    for at in 0..good.len() {
        let disk = disk.snapshot();
        let mut bytes = good.clone();
        bytes[at] ^= 0x20;
        disk.put(&file, &bytes);
        let found = media(&disk).read();
        match (&found.applied, &found.trouble) {
            (Some(applied), None) => assert_eq!(applied.wanted, old.wanted, "byte {at}"),
            (None, Some(why)) => {
                assert!(why.contains("set aside"), "{why}");
                assert!(disk.content(&file).is_none());
                let aside = Path::new(SPOOL).join("centre/configuration.unreadable");
                assert_eq!(disk.content(&aside), Some(bytes));
            }
            odd => panic!("byte {at}: {odd:?}"),
        }
    }
}
