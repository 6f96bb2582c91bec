//! The documents say what the code does.
#![allow(clippy::disallowed_methods)]

use std::path::Path;
use std::process::Command;

use booth_contract::{AlertId, Severity};
use booth_gateway::doctor::bundle::harmless::is_decided;
use booth_testkit::comparison::Comparison;
use booth_testkit::hub_program::hub_program;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_page_of_alerts_is_the_table() {
    let page = read("docs/alerts.md");
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    assert_eq!(rows.len(), AlertId::ALL.len());
    for (row, id) in rows.iter().zip(AlertId::ALL) {
        let severity = match id.severity() {
            Severity::CitizenCannotSpeak => "citizen_cannot_speak",
            Severity::NeedsVisit => "needs_visit",
            Severity::Watch => "watch",
        };
        let wanted = format!(
            "| `{}` | `{severity}` | {} | {} |",
            id.as_str(),
            id.meaning(),
            id.remedy()
        );
        assert_eq!(**row, wanted);
    }
}

/// Every source in which a test may stand, one behind the other.
fn all_sources() -> String {
    let mut sources = String::new();
    let mut folders = vec!["crates".to_owned(), "src".to_owned(), "tests".to_owned()];
    while let Some(folder) = folders.pop() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&folder);
        for entry in std::fs::read_dir(path).expect("a folder").flatten() {
            let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                folders.push(name);
            } else if name.ends_with(".rs") {
                sources += &read(&name);
            }
        }
    }
    sources
}

#[test]
fn every_test_that_the_hazards_name_exists() {
    let hazards = read("tests/hazards.md");
    let sources = all_sources();
    let named: Vec<&str> = hazards
        .lines()
        .filter(|line| line.starts_with('|'))
        // The last cell has the tests; the first has words of the contract between backticks, too.
        .filter_map(|line| line.trim_end_matches('|').rsplit('|').next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|name| {
            name.contains('_')
                && name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        })
        .collect();
    assert!(named.len() > 30, "only {} tests are named", named.len());
    for name in named {
        assert!(sources.contains(&format!("fn {name}(")), "no test {name}");
    }
}

#[test]
fn help_teaches_and_wrong_usage_is_2() {
    for (binary, words) in [
        (
            Path::new(env!("CARGO_BIN_EXE_booth-gateway")),
            &[
                "run",
                "provision",
                "check-config",
                "doctor",
                "handset",
                "update",
            ][..],
        ),
        (hub_program(), &["serve", "forget"][..]),
    ] {
        let help = Command::new(binary).arg("--help").output().expect("runs");
        let text = String::from_utf8_lossy(&help.stdout).into_owned();
        assert!(help.status.success() && text.contains("78"), "{text}");
        for word in words {
            assert!(text.contains(word), "{word} missing in {text}");
            let own = Command::new(binary)
                .args([word, "--help"])
                .output()
                .expect("runs");
            assert!(
                own.status.success() && String::from_utf8_lossy(&own.stdout).contains("--config")
            );
        }
        assert_eq!(
            Command::new(binary)
                .arg("no-such-verb")
                .output()
                .expect("runs")
                .status
                .code(),
            Some(2)
        );
    }
}

#[test]
fn a_bad_configuration_is_78_with_a_sentence_and_a_good_one_is_ok() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("booth.toml");
    let check = |text: &str, json: bool| {
        std::fs::write(&file, text).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_booth-gateway"));
        command.arg("check-config").arg("--config").arg(&file);
        if json {
            command.arg("--json");
        }
        let output = command.output().expect("runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), said)
    };
    let good = "[booth]\nid = \"rundhoej-1\"\n[privacy]\nseal = false\n";
    assert_eq!(check(good, false).0, Some(0));
    let (code, said) = check("[booth]\nid = \"rundhoej-1\"\nnam = \"x\"\n", false);
    assert_eq!(code, Some(78));
    assert!(
        said.contains("booth.toml:3") && said.contains("did you mean `name`?"),
        "{said}"
    );
    let (code, said) = check(
        &format!("{good}[mqtt]\nurl = \"mqtt://h\"\npassword_file = \"none\"\n"),
        false,
    );
    assert!(code == Some(78) && said.contains("none"), "{said}");
    let (code, said) = check(
        &format!("{good}[mqtt]\nurl = \"mqtts://h\"\nca_file = \"none.pem\"\n"),
        true,
    );
    assert_eq!(code, Some(78));
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert!(
        said["ok"] == 0
            && said["errors"][0]
                .as_str()
                .is_some_and(|text| text.contains("none.pem"))
    );
    let run = Command::new(env!("CARGO_BIN_EXE_booth-gateway"))
        .args(["run", "--config", "no-such-file.toml"])
        .output()
        .expect("runs");
    assert_eq!(run.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&run.stderr).contains("no-such-file.toml"));
}

/// Tables of one time zone in a folder, as a machine has them: UTC by the form of RFC 9636 §3.1.
fn tables_of(folder: &Path, name: &str) {
    let mut zone = b"TZif".to_vec();
    zone.extend([0; 16]);
    for count in [0u32, 0, 0, 0, 1, 4] {
        zone.extend(count.to_be_bytes());
    }
    zone.extend([0; 6]);
    zone.extend(b"UTC\0");
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, zone).expect("written");
}

#[test]
fn check_config_warns_of_what_keeps_no_booth_from_running() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(at("prompts/da")).expect("made");
    std::fs::write(at("prompts/da/notice.wma"), "asf").expect("written");
    std::fs::write(at("prompts/da/thanks.opus"), "rubbish").expect("written");
    std::fs::write(at("menu.mp3"), "beside").expect("written");
    // The card was in a booth, which has moved its credentials.
    std::fs::write(at("BOOTH-STATUS.TXT"), "BOOTH STATUS").expect("written");
    let check = |zone: &str, tables: Option<&Path>| {
        let text = format!(
            "[booth]\nid = \"rundhoej-1\"\ntimezone = \"{zone}\"\n[network]\ncountry = \"UK\"\n\
             [mqtt]\nurl = \"mqtts://broker.example\"\npassword_file = \"mqtt-password\"\nca_file = \"ca.pem\"\n\
             [privacy]\nseal = false\n"
        );
        std::fs::write(at("booth.toml"), text).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_booth-gateway"));
        command
            .args(["check-config", "--json", "--config"])
            .arg(at("booth.toml"));
        command.envs(tables.map(|tables| ("TZDIR", tables)));
        let output = command.output().expect("runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        (output.status.code(), said)
    };
    tables_of(&at("tables"), "Europe/Copenhagen");
    std::fs::create_dir(at("none")).expect("made");
    let (tables, none) = (at("tables"), at("none"));
    let (missing, known) = (at("no-such-folder"), Some(tables.as_path()));
    // The same file has the same verdict whatever tables a machine has.
    for (zone, tables, part) in [
        ("US/Eastern", known, Some("write \"America/New_York\"")),
        ("Asia/Tashkent", known, Some("tzdata-legacy")),
        ("Europe/Copenhagen", known, None),
        (
            "Europe/Copenhagen",
            Some(none.as_path()),
            Some("no tables of time zones"),
        ),
        (
            "Europe/Copenhagen",
            Some(missing.as_path()),
            Some("no tables of time zones"),
        ),
    ] {
        let (status, said) = check(zone, tables);
        assert_eq!(
            (status, &said["ok"]),
            (Some(0), &1.into()),
            "{zone}: {said}"
        );
        let warnings = said["warnings"].as_array().expect("a list");
        let has = |part: &str| {
            warnings
                .iter()
                .any(|why| why.as_str().is_some_and(|why| why.contains(part)))
        };
        for part in [
            "the United Kingdom is \"GB\"",
            "mqtt-password is not here",
            "ca.pem is not here",
            "ffmpeg -i notice.wma -ac 1 notice.opus",
            "thanks.opus is no sound file",
            "menu.mp3 lies beside booth.toml",
        ] {
            assert!(has(part), "{part} missing in {said}");
        }
        assert_eq!(has("timezone"), part.is_some(), "{zone}: {said}");
        assert!(part.is_none_or(has), "{zone}: {said}");
    }
    for tables in [known, Some(none.as_path()), None] {
        let (status, said) = check("Europe/Copenhagn", tables);
        assert_eq!(status, Some(78), "{said}");
        assert!(
            said["errors"][0]
                .as_str()
                .is_some_and(|why| why.contains("did you mean \"Europe/Copenhagen\"?")),
            "{said}"
        );
    }
}

#[test]
fn a_hub_without_a_broker_or_a_file_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("hub.toml");
    let serve = || {
        let output = Command::new(hub_program())
            .args(["serve", "--config"])
            .arg(&file)
            .output()
            .expect("runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    let (code, said) = serve();
    assert!(code == Some(78) && said.contains("hub.toml"), "{said}");
    std::fs::write(&file, "[store]\ndir = \"store\"\n").expect("written");
    let (code, said) = serve();
    assert_eq!(code, Some(78));
    for part in ["[mqtt] url is missing", "mosquitto", "url = \"mqtts://"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert!(
        !folder.path().join("store").exists(),
        "it has begun all the same"
    );
}

#[test]
fn each_list_of_packages_has_its_reasons_and_the_proof_knows_each_target() {
    let makefile = read("Makefile");
    let reasons: Vec<&str> = makefile
        .lines()
        .filter_map(|line| line.strip_prefix("#   "))
        .filter_map(|line| line.split("   ").next())
        .flat_map(str::split_whitespace)
        .collect();
    let proof = read("tests/packages/proof.sh");
    let mut lists = 0;
    for line in makefile.lines() {
        let Some((name, packages)) = line.split_once(" = ") else {
            continue;
        };
        let target = name.strip_suffix("_packages");
        if target.is_none() && name != "build" && name != "sound" {
            continue;
        }
        lists += 1;
        let words = packages.split([' ', ',', '(', ')', '$']);
        let is_package = |word: &&str| {
            !word.is_empty()
                && !["if", "MIC", "FROM", "build", "sound"].contains(word)
                && !word.ends_with("_packages")
        };
        for package in words.filter(is_package) {
            assert!(
                reasons.contains(&package),
                "{name}: no reason for {package}"
            );
        }
        if let Some(target) =
            target.filter(|target| !["fixtures", "voice", "packages-proof"].contains(target))
        {
            assert!(proof.contains(target), "the proof does not know {target}");
        }
    }
    assert!(lists > 10, "only {lists} lists");
}

#[test]
fn every_example_that_the_makefile_or_a_script_builds_is_one_that_cargo_knows() {
    let manifest = read("Cargo.toml");
    let mut named = 0;
    for file in ["Makefile", "tests/packages/proof.sh"] {
        let text = read(file);
        let names = text.split("--example ").skip(1);
        let ends = |c: char| !c.is_ascii_alphanumeric() && c != '_';
        for name in names.filter_map(|rest| rest.split(ends).next()) {
            let entry = format!("[[example]]\nname = \"{name}\"\n");
            assert!(
                manifest.contains(&entry),
                "{file} builds the example {name}"
            );
            named += 1;
        }
    }
    assert!(named >= 8, "{named}");
}

#[test]
fn every_program_prints_through_one_place_that_survives_its_reader() {
    let mut programs = vec!["src/lib.rs".to_owned(), "src/main.rs".into()];
    programs.push("examples/demo/main.rs".into());
    let crates = read("Cargo.toml");
    for lint in ["print_stdout = \"deny\"", "print_stderr = \"deny\""] {
        assert!(crates.contains(lint), "the crates' {lint}");
    }
    for folder in ["examples"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in std::fs::read_dir(path).expect("a folder").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".rs") {
                programs.push(format!("{folder}/{name}"));
            }
        }
    }
    assert!(programs.len() >= 5, "{programs:?}");
    for program in programs {
        let bans = read(&program).contains("#![deny(clippy::print_stdout, clippy::print_stderr)]");
        assert!(
            bans,
            "{program}: ban println!, and print by booth_host::out"
        );
    }
}

/// The keys that the reader of booth.toml knows in a table, as it lists them when it refuses another one.
fn known_keys(text: &str) -> Vec<String> {
    let refused = booth_gateway::config::parse::<booth_gateway::config::Config>(text, "f");
    let why = refused.expect_err("an unknown key").to_string();
    let (_, known) = why
        .split_once("expected")
        .unwrap_or_else(|| panic!("{text}: {why}"));
    let known = known.split_once(';').map_or(known, |(known, _)| known);
    known
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_key_of_booth_toml_is_in_the_page_about_it() {
    let page = read("docs/configuration.md");
    let tables = known_keys("no_such_key = 1\n");
    assert!(tables.len() > 10, "{tables:?}");
    let mut missing = Vec::new();
    for table in tables {
        let head = match table.as_str() {
            "question" => "[[question]]".to_owned(),
            table => format!("[{table}]"),
        };
        if !page.contains(&head) {
            missing.push(head.clone());
        }
        for key in known_keys(
            &format!("[booth]\nid = \"a-1\"\n{head}\nno_such_key = 1\n").replacen(
                "[booth]\nid = \"a-1\"\n[booth]",
                "[booth]",
                1,
            ),
        ) {
            let is_there = page
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .any(|word| word == key);
            if !is_there {
                missing.push(format!("{head} {key}"));
            }
        }
    }
    assert_eq!(
        missing, [""; 0],
        "keys that docs/configuration.md does not name"
    );
}

#[test]
fn of_every_key_of_booth_toml_somebody_has_decided_whether_a_support_bundle_shows_it() {
    let booth = "[booth]\nid = \"a-1\"\n";
    let mut tables = known_keys("no_such_key = 1\n");
    let below = ["network.wired", "network.wifi", "network.modem"];
    tables.extend(below.map(str::to_owned));
    let mut open = Vec::new();
    for table in tables {
        let text = match table.as_str() {
            "booth" => format!("{booth}no_such_key = 1\n"),
            "question" | "network.wifi" => format!("{booth}[[{table}]]\nno_such_key = 1\n"),
            _ => format!("{booth}[{table}]\nno_such_key = 1\n"),
        };
        for key in known_keys(&text) {
            if !is_decided(&table, &key) {
                open.push(format!("[{table}] {key}"));
            }
        }
    }
    assert_eq!(
        open, [""; 0],
        "is it a secret? Say so in src/doctor/bundle/harmless.rs"
    );
}

/// The names of the tests in these sources that `cargo test` does not run by itself.
fn ignored(sources: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for (_, after) in sources
        .match_indices("#[ignore")
        .map(|(at, _)| sources.split_at(at))
    {
        let declared = after.split_once("fn ").map(|(_, declared)| declared);
        names.extend(declared.and_then(|declared| declared.split('(').next()));
    }
    names
}

#[test]
fn an_ignored_test_covers_a_hazard_only_where_the_page_says_which_command_runs_it() {
    let sources = all_sources();
    let ignored = ignored(&sources);
    assert!(ignored.len() > 5, "{ignored:?}");
    let hazards = read("tests/hazards.md");
    let mut says = String::new();
    for line in hazards.lines() {
        if line.starts_with("## ") {
            says.clear();
        }
        if !line.starts_with('|') {
            says += line;
            continue;
        }
        for name in &ignored {
            let is_named = line.contains(&format!("`{name}`"));
            let is_said = line.contains("`make ") || says.contains("`make ");
            assert!(!is_named || is_said, "{name}: which command runs it?");
        }
    }
}

/// The tests in these sources that do nothing on a machine where they are not root's.
fn needing_root(sources: &str) -> Vec<&str> {
    let bodies = sources.split("#[test]\n").skip(1);
    let named = bodies.filter_map(|body| {
        let (body, _) = body.split_once("\n}\n")?;
        let asks = ["is_possible(", "can_run()", "is_root()"];
        let asks = asks.iter().any(|word| body.contains(word));
        let (_, declared) = body.split_once("fn ")?;
        asks.then(|| declared.split('(').next()).flatten()
    });
    named.collect()
}

#[test]
fn a_test_that_needs_root_covers_a_hazard_only_where_the_page_says_so() {
    let sources = all_sources();
    let needing = needing_root(&sources);
    assert!(needing.len() > 5, "{needing:?}");
    let hazards = read("tests/hazards.md");
    for name in needing {
        let quoted = format!("`{name}`");
        for (at, _) in hazards.match_indices(&quoted) {
            let after = &hazards[at + quoted.len()..];
            assert!(
                after.starts_with(" (as root)"),
                "{name}: say that it needs root"
            );
        }
    }
}

#[test]
fn the_comparison_is_the_run_and_every_lost_row_has_its_reason() {
    let run = read("docs/compare/run.json");
    let run: Comparison = serde_json::from_str(&run).expect("a run");
    assert!(run.tables.len() > 3, "the run is whole");
    assert!(
        read("docs/comparison.md").contains(&run.markdown()),
        "docs/comparison.md has other tables: make compare PUBLISH=1"
    );
    assert_eq!(
        read("docs/comparison.svg"),
        run.picture(),
        "the picture shows another run"
    );
    assert_eq!(run.unreasoned(), Vec::<&str>::new());
}
