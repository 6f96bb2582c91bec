//! The documents say what the code does.
#![allow(clippy::disallowed_methods)]

use std::path::Path;
use std::process::Command;

use booth_gateway::contract::{AlertId, Severity};

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

#[test]
fn every_test_that_the_hazards_name_exists() {
    let hazards = read("tests/hazards.md");
    let mut sources = String::new();
    let mut folders = vec!["src".to_owned(), "tests".to_owned()];
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
            env!("CARGO_BIN_EXE_booth-gateway"),
            &[
                "run",
                "provision",
                "check-config",
                "doctor",
                "handset",
                "update",
            ][..],
        ),
        (env!("CARGO_BIN_EXE_booth-hub"), &["serve", "forget"][..]),
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
