//! The test vectors of docs/sealed-clip.md, and two programs that are not ours: Python's `cryptography` with the `age` command.
//!
//! `BLESS=1 cargo test -p booth-sealing --test vectors` writes the vectors anew; a change of them is a change of the format.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use booth_contract::{FrameFacts, hex, ogg_page};
use booth_sealing::{
    DataKey, Ending, Identity, KernelRandom, NoRandom, Opened, Random, Recipients, Sealer,
    envelope, open,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The same bytes each time: SHA-256 of a name and a count.
struct Fixed(&'static str, u64);

impl Random for Fixed {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandom> {
        for chunk in bytes.chunks_mut(32) {
            let block = Sha256::digest(format!("{} {}", self.0, self.1));
            chunk.copy_from_slice(&block[..chunk.len()]);
            self.1 += 1;
        }
        Ok(())
    }
}

const CLIP: Uuid = Uuid::from_u128(0x1b4e_28ba_2fa1_4d13_a3ae_6f1f_2c1d_9e01);

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("vectors")
        .join(name)
}

fn identity(name: &'static str) -> Identity {
    Identity::generate(&mut Fixed(name, 0)).unwrap()
}

/// The pages of an Ogg file.
fn pages(mut ogg: &[u8]) -> Vec<&[u8]> {
    let mut pages = Vec::new();
    while let Some(length) = ogg_page::length(ogg) {
        let (page, rest) = ogg.split_at(length);
        pages.push(page);
        ogg = rest;
    }
    pages
}

/// Two seconds of speech, sealed: its data key, its head and its frames.
fn sealed(ogg: &[u8]) -> (DataKey, Vec<u8>, Vec<Vec<u8>>) {
    let recipients = Recipients::new(vec![
        identity("city").recipient(),
        identity("archive").recipient(),
    ])
    .unwrap();
    let mut random = Fixed("clip", 0);
    let key = DataKey::generate(&mut random).unwrap();
    let (mut sealer, head) = Sealer::begin(CLIP, &key, &recipients, &mut random).unwrap();
    let pages = pages(ogg);
    // The two pages of headers travel with the first half second.
    let mut texts = vec![pages[..3].concat()];
    texts.extend(pages[3..].iter().map(|page| page.to_vec()));
    let (last, before) = texts.split_last().unwrap();
    let facts = |samples| FrameFacts {
        samples,
        mean_square: 0.0625,
        peak: 12_345,
        speech: true,
    };
    let mut frames: Vec<Vec<u8>> = before
        .iter()
        .map(|text| sealer.seal(facts(24_000), text))
        .collect();
    let spoken = 96_000 - 24_000 * frames.len() as u32;
    frames.push(sealer.seal_last(facts(spoken), last));
    (key, head, frames)
}

fn ending(ending: &Ending) -> (&'static str, Option<u64>) {
    match *ending {
        Ending::Whole => ("whole", None),
        Ending::Cut => ("cut", None),
        Ending::CutWithin(at) => ("cut_within", Some(at)),
        Ending::Damaged(at) => ("damaged", Some(at)),
        Ending::Followed(at) => ("followed", Some(at)),
    }
}

#[allow(clippy::disallowed_methods)] // the vectors are files
fn read(name: &str) -> Vec<u8> {
    std::fs::read(here(name)).unwrap()
}

fn made() -> Value {
    let ogg = read("clip.opus");
    let (_, head, frames) = sealed(&ogg);
    let whole = [head.clone(), frames.concat()].concat();
    let at = |n: usize| head.len() + frames[..n].iter().map(Vec::len).sum::<usize>();
    let mut flipped = whole.clone();
    flipped[at(2) + 40] ^= 0x10;
    let swapped = [&head, &frames[0], &frames[2], &frames[1]]
        .into_iter()
        .flatten()
        .copied()
        .collect();
    let cases = [
        ("whole", whole.clone()),
        (
            "cut after two frames, as a power cut does",
            whole[..at(2)].to_vec(),
        ),
        ("cut within the third frame", whole[..at(2) + 100].to_vec()),
        ("one bit of the third frame is changed", flipped),
        ("the second and the third frame are swapped", swapped),
        (
            "something follows the last frame",
            [&whole[..], b"more"].concat(),
        ),
    ];
    let cases = cases.map(|(name, body)| {
        let opened = open(&body, &[identity("city")]).unwrap();
        let (ending, place) = ending(&opened.ending);
        json!({
            "name": name,
            "body": STANDARD.encode(&body),
            "ending": ending,
            "at": place,
            "frames": opened.facts.len(),
            "samples": opened.samples(),
            "ogg_sha256": hex(&Sha256::digest(&*opened.ogg)),
        })
    });
    let (city, archive) = (identity("city"), identity("archive"));
    json!({
        "format": "sealed-ogg-opus/1",
        "identities": [*city.to_text(), *archive.to_text()],
        "recipients": [city.recipient().to_string(), archive.recipient().to_string()],
        "key_ids": [city.recipient().id(), archive.recipient().id()],
        "clip_id": CLIP.to_string(),
        "ogg": "clip.opus",
        "cases": cases,
    })
}

#[test]
#[allow(clippy::disallowed_methods)] // the vectors are files
fn the_vectors_are_what_this_program_makes() {
    let made = serde_json::to_string_pretty(&made()).unwrap() + "\n";
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(here("vectors.json"), &made).unwrap();
    }
    assert_eq!(String::from_utf8(read("vectors.json")).unwrap(), made);
}

fn cases() -> Value {
    serde_json::from_slice(&read("vectors.json")).unwrap()
}

#[test]
fn a_whole_vector_opens_to_the_very_file_and_a_cut_one_to_a_file_that_ends() {
    let (vectors, ogg) = (cases(), read("clip.opus"));
    for case in vectors["cases"].as_array().unwrap() {
        let body = STANDARD.decode(case["body"].as_str().unwrap()).unwrap();
        let opened: Opened = open(&body, &[identity("archive")]).unwrap();
        let end = ogg_page::walk(&opened.ogg, None).unwrap();
        assert!(end.has_ended, "{}", case["name"]);
        assert_eq!(
            end.granule,
            u64::from(end.pre_skip) + opened.samples(),
            "{}",
            case["name"]
        );
        if opened.ending.has_all() {
            assert_eq!(*opened.ogg, ogg);
        }
    }
}

/// Runs a program with this input. Fails if it does not start: the package list names it.
fn run(program: &str, arguments: &[&str], input: &[u8]) -> Output {
    use std::io::Write;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{program}: {error}; `make packages-of of=test` names its package")
        });
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    #[allow(clippy::disallowed_methods)] // a program that reads and writes at once
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join();
    output
}

#[test]
#[allow(clippy::disallowed_methods)] // keys go to age in a file
fn a_program_in_python_opens_each_vector_with_the_age_command() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/open_sealed_clip.py");
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("city.key");
    std::fs::write(&key, identity("city").to_text().as_bytes()).unwrap();
    for case in cases()["cases"].as_array().unwrap() {
        let body = STANDARD.decode(case["body"].as_str().unwrap()).unwrap();
        let arguments = [program.to_str().unwrap(), key.to_str().unwrap()];
        let output = run("/usr/bin/python3", &arguments, &body);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let name = case["name"].as_str().unwrap();
        let told = match case["at"].as_u64() {
            Some(at) => format!("{} at {at}", case["ending"].as_str().unwrap()),
            None => case["ending"].as_str().unwrap().to_owned(),
        };
        let frames = &case["frames"];
        let line = format!(
            "clip {CLIP}: {frames} frames, {} samples, {told}\n",
            case["samples"]
        );
        assert_eq!(said, line, "{name}");
        assert_eq!(
            hex(&Sha256::digest(&output.stdout)),
            case["ogg_sha256"].as_str().unwrap(),
            "{name}"
        );
        let is_whole = case["ending"] == "whole";
        assert_eq!(output.status.success(), is_whole, "{name}");
    }
}

#[test]
#[allow(clippy::disallowed_methods)] // keys go to age in a file
fn the_age_command_opens_our_envelopes_and_we_open_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("city.key");
    let city = Identity::generate(&mut KernelRandom).unwrap();
    std::fs::write(&key, city.to_text().as_bytes()).unwrap();
    let recipients =
        Recipients::new(vec![identity("archive").recipient(), city.recipient()]).unwrap();
    for length in [0, 1, 48, 300, 4_096] {
        let content: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        let ours = envelope::seal(&content, &recipients, &mut KernelRandom).unwrap();
        let opened = run("age", &["-d", "-i", key.to_str().unwrap()], &ours);
        assert!(
            opened.status.success(),
            "{}",
            String::from_utf8_lossy(&opened.stderr)
        );
        assert_eq!(opened.stdout, content);

        let (archive, public) = (
            identity("archive").recipient().to_string(),
            city.recipient().to_string(),
        );
        let theirs = run("age", &["-r", &archive, "-r", &public], &content);
        assert!(
            theirs.status.success(),
            "{}",
            String::from_utf8_lossy(&theirs.stderr)
        );
        assert_eq!(
            *envelope::open(&theirs.stdout, std::slice::from_ref(&city)).unwrap(),
            content
        );
    }
    // Keys that age made are keys for us, and the other way round.
    let made = run("age-keygen", &[], b"");
    let made = String::from_utf8(made.stdout).unwrap();
    let secret = made
        .lines()
        .find(|line| line.starts_with("AGE-SECRET-KEY-"))
        .unwrap();
    let public = made
        .lines()
        .find_map(|line| line.strip_prefix("# public key: "))
        .unwrap();
    assert_eq!(
        Identity::parse(secret).unwrap().recipient().to_string(),
        public
    );
    let asked = run("age-keygen", &["-y", key.to_str().unwrap()], b"");
    assert_eq!(
        String::from_utf8(asked.stdout).unwrap().trim(),
        city.recipient().to_string()
    );
}
