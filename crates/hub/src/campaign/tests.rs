//! Campaigns' files with everything that can be wrong with them, prompts from sound files, and campaigns put together.
#![allow(clippy::disallowed_methods)] // writes sound files, reads what was made

use std::path::Path;

use booth_audio::{OWN_VOICE_LUFS, loudness, samples};
use booth_contract::wanted::{LocalTime, Wanted};

use super::children::Children;
use super::file::{Booths, Draft};
use super::judge::judge;
use super::merge::{self, merged};
use super::register::{Campaigns, Ready, State};
use super::stops::Stops;
use super::workshop::Workshop;
use crate::config::HubConfig;

const EXAMPLE: &str = include_str!("../../../../docs/campaign.example.toml");

fn at(text: &str) -> LocalTime {
    LocalTime::parse(text).expect("a time")
}

/// What is wrong with a file, a line each.
fn faults(text: &str) -> Vec<String> {
    let (draft, faults) = Draft::of(text, "c.toml", Path::new("."));
    let judged = judge(
        &draft,
        faults,
        &HubConfig::default(),
        at("2026-05-01T10:00"),
    );
    judged.faults.iter().map(ToString::to_string).collect()
}

fn remarks(text: &str) -> Vec<String> {
    let (draft, faults) = Draft::of(text, "c.toml", Path::new("."));
    let judged = judge(
        &draft,
        faults,
        &HubConfig::default(),
        at("2026-05-01T10:00"),
    );
    judged.remarks.iter().map(ToString::to_string).collect()
}

/// A smallest file that is right; `more` goes behind its question.
fn small(more: &str) -> String {
    format!(
        "id = \"a\"\nbooths = \"all\"\n[[question]]\nid = \"q\"\ndigit = 1\nkind = \"speak\"\ntext.da = \"Hvad?\"\n{more}"
    )
}

#[test]
fn the_example_is_right_and_shows_every_key() {
    assert_eq!(faults(EXAMPLE), Vec::<String>::new());
    for key in [
        "id",
        "title",
        "from",
        "until",
        "booths",
        "language",
        "languages",
        "children",
        "hours",
        "quiet",
        "limits",
        "max_seconds",
        "choose_seconds",
        "silence_seconds",
        "question",
        "digit",
        "kind",
        "publish",
        "min_pause_s",
        "codes",
        "text.da",
        "sound.da",
        "question.option",
        "question.answer",
        "prompt.notice",
        "prompt.thanks",
    ] {
        assert!(EXAMPLE.contains(key), "{key}");
    }
    // What stands behind a remark's sign is right, too.
    let open = EXAMPLE
        .replace("# sound.da", "# no")
        .replace("# max_seconds", "max_seconds");
    let open = open.replace(
        "  # [question.answer]\n  # digit   = 5\n  # text",
        "  [question.answer]\n  digit   = 5\n  text",
    );
    let open = open.replace("  # text.en = \"You", "  text.en = \"You");
    let open = open
        .replace("# [prompt.notice]\n# text", "[prompt.notice]\ntext")
        .replace("\n# text.en = \"The city", "\ntext.en = \"The city");
    assert_eq!(faults(&open), Vec::<String>::new());
    let (draft, _) = Draft::of(&open, "c.toml", Path::new("."));
    let said: Vec<&str> = draft
        .sayings
        .iter()
        .map(|saying| saying.what.as_str())
        .collect();
    assert_eq!(
        said.iter()
            .filter(|what| **what == "question \"square\"")
            .count(),
        2
    );
    assert_eq!(
        said.iter().filter(|what| what.ends_with("answer")).count(),
        2,
        "{said:?}"
    );
    assert_eq!(
        said.iter()
            .filter(|what| **what == "prompt \"notice\"")
            .count(),
        2
    );
    assert_eq!(faults(&small("")), Vec::<String>::new());
}

#[test]
fn everything_that_is_wrong_is_named_at_once_with_its_line() {
    let text = "id = \"a\"\ntitel = \"x\"\nfrom = 2026-06-30\nuntil = \"2026-06-01\"\nbooths = [\"rundhoej-1\", \"NO\"]\nlanguages = { 8 = \"en\" }\n\
                hours = [[\"monday\", \"07:00\", \"21:00\"]]\n\
                [limits]\nmax_secs = 5\nchoose_seconds = 1\n\
                [[question]]\nid = \"bus\"\ndigit = 8\nkind = \"speek\"\nmax_second = 7\ntext.da = \"Bus?\"\n\
                [[question]]\nid = \"tree\"\ndigit = 0\nkind = \"choose\"\ntext.da = \"\"\n\
                [[question.option]]\ndigit = 1\nid = \"x\"\ntext = \"Ja\"\n";
    let found = faults(text);
    for (line, says) in [
        (2, "titel: is no key here; did you mean `title`?"),
        (5, "\"NO\" is no booth id"),
        (7, "hours[0]"),
        (
            9,
            "limits.max_secs: is no key here; did you mean `max_seconds`?",
        ),
        (10, "choose_seconds"),
        (14, "question \"bus\" kind"),
        (
            15,
            "question \"bus\" max_second: is no key here; did you mean `max_seconds`?",
        ),
        (21, "question \"tree\" text.da: is empty"),
        (25, "option \"x\" text: write the language"),
    ] {
        let is_said = |fault: &&String| {
            fault.starts_with(&format!("c.toml:{line}: ")) && fault.contains(says)
        };
        assert!(
            found.iter().any(|fault| is_said(&fault)),
            "{line} {says} in {found:#?}"
        );
    }
}

#[test]
fn what_the_booths_own_check_refuses_is_told_in_the_words_of_the_file() {
    for (text, line, says) in [
        (
            small("[[question]]\nid = \"r\"\ndigit = 1\nkind = \"speak\"\ntext.da = \"Og?\"\n"),
            10,
            "question \"r\" digit: is 1, which question \"q\" digit has at the same time",
        ),
        (
            small("[[question]]\nid = \"q\"\ndigit = 2\nkind = \"speak\"\ntext.da = \"Og?\"\n"),
            9,
            "\"q\" is there twice",
        ),
        (
            small("[[question]]\nid = \"r\"\ndigit = 2\nkind = \"choose\"\ntext.da = \"Og?\"\n"),
            8,
            "a vote has 2 to 8",
        ),
        (
            small("").replace("booths", "until = 2026-04-30\nbooths"),
            2,
            "in the past",
        ),
        (
            small("").replace("booths", "from = 2026-06-01\nuntil = 2026-05-30\nbooths"),
            3,
            "not after from",
        ),
        (
            small("").replace("booths", "languages = { 7 = \"en\" }\nbooths"),
            4,
            "question \"q\" text.en: is missing",
        ),
        (
            small("").replace("text.da", "text.en"),
            3,
            "question \"q\" text.da: is missing",
        ),
        (
            small("")
                .replace("booths", "languages = { 1 = \"en\" }\nbooths")
                .replace("= \"Hvad?\"", "= \"Hvad?\"\ntext.en = \"What?\""),
            2,
            "is 1, which question \"q\" digit has",
        ),
        (
            small("").replace("digit = 1", "digit = 10"),
            5,
            "question \"q\" digit",
        ),
        (
            small("").replace("\"Hvad?\"", "\"Hvad?\"\nsound.da = \"none.wav\""),
            8,
            "none.wav, which cannot be read",
        ),
        ("booths = \"all\"\n".into(), 1, "id: is missing"),
        (
            "id = \"a\"\nbooths = \"all\"\n".into(),
            1,
            "[[question]]: is missing",
        ),
        (
            "id = \"a\"\n[question]\nid = \"q\"\n".into(),
            2,
            "with two brackets",
        ),
        (
            small("").replace("\"all\"", "\"every\""),
            2,
            "write \"all\", or",
        ),
    ] {
        let found = faults(&text);
        let is_said = |fault: &&String| {
            fault.starts_with(&format!("c.toml:{line}: ")) && fault.contains(says)
        };
        assert!(
            found.iter().any(|fault| is_said(&fault)),
            "{line} {says} in {found:#?}"
        );
        assert!(
            !found.iter().any(|fault| fault.contains("campaigns[")),
            "{found:#?}"
        );
    }
}

#[test]
fn what_is_not_wrong_and_worth_a_look_is_told() {
    let text = small("sound.en = \"x.wav\"\n[prompt.notice]\ntext.da = \"Vi optager.\"\n[prompt.thank]\ntext.da = \"Tak.\"\n")
        .replace("\"all\"", "[\"nowhere-1\"]\nlanguages = { 7 = \"en\" }");
    let found = remarks(&text);
    for says in [
        "question \"q\" text.en: is missing: the booth's screen",
        "prompt \"notice\": counts only when the campaign is published with a signature",
        "did you mean \"thanks\"",
        "each booth needs the notice in it",
        "\"nowhere-1\", which is no [[booth]]",
    ] {
        assert!(
            found.iter().any(|remark| remark.contains(says)),
            "{says} in {found:#?}"
        );
    }
    assert_eq!(remarks(&small("")), Vec::<String>::new());
}

#[test]
fn the_notice_has_to_say_what_becomes_of_childrens_messages() {
    let with = |children: &str, notice: &str| {
        let text = small(notice).replace("booths = ", &format!("{children}\nbooths = "));
        assert_eq!(faults(&text), Vec::<String>::new());
        let found = remarks(&text).into_iter();
        let about: Vec<String> = found.filter(|remark| remark.contains("child")).collect();
        about
    };
    let silent = "[prompt.notice]\ntext.da = \"Vi optager.\"\n";
    let telling =
        "[prompt.notice]\ntext.da = \"Vi optager. Børns stemmer offentliggøres aldrig.\"\n";
    assert_eq!(with("", ""), Vec::<String>::new());
    assert!(with("", silent)[0].contains("says nothing about children"));
    assert_eq!(with("", telling), Vec::<String>::new());
    let elsewhere = with("children = \"not_published\"", "");
    assert!(
        elsewhere[0].contains("line 2") || elsewhere[0].contains(":2"),
        "{elsewhere:?}"
    );
    assert!(elsewhere[0].contains("nothing of what a child says is published"));
    assert_eq!(with("children = \"voice\"", telling), Vec::<String>::new());
    let wrong = small("").replace("booths = ", "children = \"some\"\nbooths = ");
    assert!(
        faults(&wrong)[0].contains("\"not_published\""),
        "{:?}",
        faults(&wrong)
    );
    // An edition keeps it, for whoever asks later.
    let state = published("q", Booths::All);
    assert_eq!(state.asked["c0"].children, Children::Text);
}

#[test]
fn codes_belong_to_votes() {
    let wrong = faults(&small("codes = true\n"));
    assert!(
        wrong[0].contains("belongs to a question of the kind choose"),
        "{wrong:?}"
    );
    let vote = small("codes = true\nmin_pause_s = 40\n[[question.option]]\ndigit = 2\nid = \"y\"\ntext.da = \"Ja\"\n[[question.option]]\ndigit = 3\nid = \"n\"\ntext.da = \"Nej\"\n")
        .replace("\"speak\"", "\"choose\"");
    assert_eq!(faults(&vote), Vec::<String>::new());
    let mut state = State::default();
    let campaigns = campaigns(&[vote]);
    state.begin("then", "publish".into(), campaigns.clone(), None);
    assert_eq!(state.asked["c0"].min_pause_s["q"], 40);
    let question = &merge::campaign_of(&campaigns["c0"]).expect("one").questions[0];
    assert!(question.codes);
}

#[test]
fn prompts_that_nobody_wants_any_more_are_deleted_after_a_month_and_no_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut workshop = Workshop::open(folder.path()).expect("opens");
    let mut made = Vec::new();
    for (n, name) in ["wanted", "old", "new"].into_iter().enumerate() {
        let path = folder.path().join(format!("{name}.wav"));
        voice(&path, 0.2, 1.0 + n as f64);
        let text = small(&format!("sound.da = {:?}\n", path.display().to_string()));
        let (draft, _) = Draft::of(&text, "c.toml", folder.path());
        made.push((
            draft.sayings[0].clone(),
            workshop.make(&draft.sayings[0]).expect("made").hash,
        ));
    }
    let now = jiff::Timestamp::now();
    let month_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(31 * 24 * 3600);
    for (_, hash) in &made[..2] {
        let file = std::fs::File::options()
            .write(true)
            .open(workshop.path(hash));
        file.expect("opens").set_modified(month_ago).expect("set");
    }
    let wanted = std::collections::BTreeSet::from([made[0].1.clone()]);
    assert_eq!(workshop.sweep(&wanted, now).expect("swept"), 1);
    let again = Workshop::open(folder.path()).expect("opens");
    let is_there: Vec<bool> = made
        .iter()
        .map(|(saying, _)| again.made(saying).is_some())
        .collect();
    assert_eq!(is_there, [true, false, true]);
    assert!(!workshop.path(&made[1].1).exists());
    assert_eq!(workshop.sweep(&wanted, now).expect("swept"), 0);
}

#[test]
fn rubbish_in_every_place_is_a_fault_and_never_a_panic() {
    let whole = small("[limits]\nmax_seconds = 60\n[prompt.menu]\ntext.da = \"Menu\"\n[[question]]\nid=\"v\"\ndigit=2\nkind=\"choose\"\ntext.da=\"V\"\n[question.answer]\ndigit=5\ntext.da=\"S\"\n[[question.option]]\nid=\"o\"\ndigit=2\ntext.da=\"O\"\n[[question.option]]\nid=\"p\"\ndigit=3\ntext.da=\"P\"\n")
        .replace("booths", "from = \"2026-06-01\"\nuntil = \"2026-07-01\"\nhours = [[\"mo\", \"07:00\", \"21:00\"]]\nquiet = \"20:00-09:00\"\nlanguages = { 7 = \"da\" }\nbooths");
    let mut told = 0;
    let lines: Vec<&str> = whole.lines().collect();
    for (n, line) in lines.iter().enumerate() {
        let Some((key, _)) = line.split_once('=') else {
            continue;
        };
        for rubbish in [
            "-1",
            "1.5",
            "true",
            "\"\"",
            "[]",
            "{}",
            "[[1]]",
            "{ da = 7 }",
            "2026-01-01T00:00:00Z",
            "99999999999999999999",
            "\"\\u0000\"",
        ] {
            let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            lines[n] = format!("{key}= {rubbish}");
            let text = lines.join("\n");
            if toml::from_str::<toml::Table>(&text).is_ok() {
                told += usize::from(!faults(&text).is_empty());
            }
        }
    }
    assert!(told > 200, "{told}");
}

fn voice(path: &Path, amplitude: f64, seconds: f64) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(path, spec).expect("a file");
    for at in 0..(seconds * 16_000.0) as usize {
        let time = at as f64 / 16_000.0 * std::f64::consts::TAU;
        let sound: f64 = (1..9)
            .map(|n| (150.0 * time * f64::from(n)).sin() / f64::from(n))
            .sum();
        let sample = sound * (0.6 + 0.4 * (3.0 * time).sin()) * amplitude * 10_000.0;
        wav.write_sample(sample as i16).expect("written");
    }
    wav.finalize().expect("written");
}

#[test]
fn recordings_become_prompts_of_one_loudness_that_say_what_they_say_and_are_made_once() {
    let folder = tempfile::tempdir().expect("a folder");
    voice(&folder.path().join("loud.wav"), 1.5, 3.0);
    voice(&folder.path().join("quiet.wav"), 0.02, 3.0);
    voice(&folder.path().join("long.wav"), 0.5, 600.0);
    let text = small("sound.da = \"loud.wav\"\ntext.en = \"What?\"\nsound.en = \"quiet.wav\"\n");
    let (draft, faults) = Draft::of(&text, "c.toml", folder.path());
    assert!(faults.is_empty(), "{faults:?}");
    let mut workshop = Workshop::open(folder.path()).expect("opens");
    for saying in &draft.sayings {
        assert_eq!(workshop.made(saying), None);
        let made = workshop.make(saying).unwrap_or_else(|why| panic!("{why}"));
        let bytes = workshop.bytes(&made.hash).expect("kept");
        assert!(bytes.len() == made.bytes && made.bytes <= 100 * 1024);
        let lufs = loudness(&samples(&bytes).expect("plays")).expect("heard");
        assert!((lufs - OWN_VOICE_LUFS).abs() < 1.0, "{lufs}");
        assert_eq!(booth_audio::text(&bytes), saying.text);
    }
    let again = Workshop::open(folder.path()).expect("opens again");
    assert!(
        draft
            .sayings
            .iter()
            .all(|saying| again.made(saying).is_some())
    );
    // What is said, or how, has changed: the prompt is another.
    voice(&folder.path().join("quiet.wav"), 0.02, 2.0);
    let changed: Vec<bool> = draft
        .sayings
        .iter()
        .map(|saying| again.made(saying).is_none())
        .collect();
    assert_eq!(changed, [false, true]);
    let (long, _) = Draft::of(&small("sound.da = \"long.wav\"\n"), "c.toml", folder.path());
    let refused = workshop.make(&long.sayings[0]).expect_err("ten minutes");
    assert!(
        refused.contains("longer than 90 s") && refused.contains("room for about"),
        "{refused}"
    );
    let hash = workshop.made(&draft.sayings[0]).expect("made").hash.clone();
    std::fs::write(workshop.path(&hash), "damaged").expect("written");
    assert!(
        workshop
            .bytes(&hash)
            .is_err_and(|why| why.to_string().contains("is damaged"))
    );
}

/// A campaign of this file, with stand-ins for its prompts.
pub(super) fn ready(text: &str) -> Ready {
    let (draft, faults) = Draft::of(text, "c.toml", Path::new("."));
    assert!(faults.is_empty(), "{faults:?}");
    Ready {
        title: draft.title.clone(),
        booths: draft.booths.clone(),
        language: draft.language.clone(),
        children: draft.children,
        fields: draft.stand_in(),
        source: String::new(),
        at: String::new(),
    }
}

/// What is published once a campaign of this id is at these booths.
pub(super) fn published(id: &str, booths: Booths) -> State {
    let mut state = State::default();
    let mut campaigns = campaigns(&[asking(id, 1)]);
    for ready in campaigns.values_mut() {
        ready.booths = booths.clone();
    }
    state.begin("then", format!("publish {id}"), campaigns, None);
    state
}

fn campaigns(files: &[String]) -> Campaigns {
    let each = files.iter().enumerate();
    each.map(|(n, text)| {
        let text = text.replacen("id = \"a\"", &format!("id = \"c{n}\""), 1);
        (format!("c{n}"), ready(&text))
    })
    .collect()
}

/// The same question at this digit under this id.
fn asking(id: &str, digit: u8) -> String {
    small("")
        .replace("\"q\"", &format!("{id:?}"))
        .replace("digit = 1", &format!("digit = {digit}"))
}

#[test]
fn all_campaigns_of_a_booth_become_one_configuration_that_the_booth_reads() {
    let now = at("2026-05-01T10:00");
    let elsewhere = asking("e", 1).replace("\"all\"", "[\"other-1\"]");
    let over = asking("o", 1).replace("booths", "until = 2026-04-30\nbooths");
    let later = asking("l", 1).replace("booths", "from = 2026-07-01\nbooths");
    let limited = asking("m", 2).replace("booths", "until = 2026-06-30\nbooths")
        + "[limits]\nmax_seconds = 60\n[prompt.menu]\ntext.da = \"Menu\"\n";
    let first = asking("q", 1).replace("booths", "until = 2026-06-30\nbooths");
    let all = campaigns(&[first, elsewhere, over, later, limited]);
    let whole = merged(&all, &Stops::new(), "rundhoej-1", now).expect("they fit");
    assert_eq!(whole.campaigns, ["c0", "c3", "c4"]);
    assert!(!whole.needs_signature());
    let read = Wanted::read(&whole.wanted.to_json()).expect("a booth reads it");
    assert_eq!(read, whole.wanted);
    let asked: Vec<Vec<&str>> = read
        .campaigns
        .iter()
        .flatten()
        .map(|campaign| {
            campaign
                .questions
                .iter()
                .map(|question| question.id.as_str())
                .collect()
        })
        .collect();
    assert_eq!(asked, [["q"], ["l"], ["m"]]);
    assert_eq!(read.limits.and_then(|limits| limits.max_seconds), Some(60));
    assert_eq!(read.prompts.as_ref().map(|prompts| prompts.len()), Some(1));
    let other = merged(&all, &Stops::new(), "other-1", now);
    let refused = other.expect_err("digit 1 twice").join("\n");
    assert!(
        refused.contains("at other-1")
            && refused.contains("campaign \"c0\"")
            && refused.contains("campaign \"c1\""),
        "{refused}"
    );
    assert_eq!(
        merged(&Campaigns::new(), &Stops::new(), "rundhoej-1", now)
            .expect("nothing")
            .wanted,
        Wanted::bare(1)
    );
}

#[test]
fn campaigns_that_contradict_each_other_are_both_named() {
    let now = at("2026-05-01T10:00");
    for (one, other, says) in [
        (
            "[limits]\nmax_seconds = 60\n",
            "[limits]\nmax_seconds = 61\n",
            "the limit max_seconds",
        ),
        (
            "[prompt.menu]\ntext.da = \"A\"\n",
            "[prompt.menu]\ntext.da = \"B\"\n",
            "",
        ),
    ] {
        let all = campaigns(&[asking("q", 1) + one, asking("r", 2) + other]);
        match says {
            // Stand-ins go by their place, so that two prompts of one name are the same here.
            "" => assert!(merged(&all, &Stops::new(), "b-1", now).is_ok()),
            says => {
                let refused = merged(&all, &Stops::new(), "b-1", now)
                    .expect_err(says)
                    .join("\n");
                assert!(
                    refused.contains(says) && refused.contains("\"c0\" and \"c1\""),
                    "{refused}"
                );
            }
        }
    }
    for key in [
        "hours = [[\"mo\", \"07:00\", \"21:00\"]]",
        "quiet = \"20:00-09:00\"",
        "languages = { 8 = \"en\" }",
        "language = \"en\"",
    ] {
        let with = |text: String, key: &str| {
            text.replace("booths", &format!("{key}\nbooths"))
                .replace("\"Hvad?\"", "\"Hvad?\"\ntext.en = \"What?\"")
        };
        let same = campaigns(&[with(asking("q", 1), key), with(asking("r", 2), key)]);
        assert!(merged(&same, &Stops::new(), "b-1", now).is_ok(), "{key}");
        let key_of_other = key
            .replace("\"mo\"", "\"tu\"")
            .replace("20:00", "21:00")
            .replace("8 = \"en\"", "8 = \"de\"")
            .replace("language = \"en\"", "language = \"da\"");
        let other = with(asking("r", 2), &key_of_other).replace("text.en", "text.de");
        let differing = campaigns(&[with(asking("q", 1), key), other]);
        let refused = merged(&differing, &Stops::new(), "b-1", now)
            .expect_err(key)
            .join("\n");
        assert!(refused.contains("differ in"), "{key}: {refused}");
    }
}

#[test]
fn a_notice_of_the_centre_needs_a_signature() {
    let now = at("2026-05-01T10:00");
    let all = campaigns(&[small("[prompt.notice]\ntext.da = \"Vi optager.\"\n")]);
    assert!(
        merged(&all, &Stops::new(), "b-1", now)
            .expect("right")
            .needs_signature()
    );
    assert!(matches!(all["c0"].booths, Booths::All));
}
