//! The site of docs/ has every page, and what the pages tell a reader to type is understood.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use booth_testkit::hub_program::hub_program;
use booth_testkit::repository;

use super::help_files::made;

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The pages of docs/, and those beside it.
fn pages() -> Vec<PathBuf> {
    let docs = std::fs::read_dir(repository().join("docs")).expect("a folder");
    let docs = docs.map(|entry| entry.expect("an entry").path());
    let mut pages: Vec<PathBuf> = docs
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    pages.extend(
        ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| repository().join(name)),
    );
    pages.sort();
    pages
}

/// A fenced block of a page.
struct Block {
    page: PathBuf,
    /// `sh`, or `sh run` for one that this test runs.
    info: String,
    text: String,
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    for page in pages() {
        let text = read(&page);
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some(info) = line.strip_prefix("```") else {
                continue;
            };
            let inner: Vec<&str> = lines
                .by_ref()
                .take_while(|line| !line.starts_with("```"))
                .collect();
            blocks.push(Block {
                page: page.clone(),
                info: info.trim().to_owned(),
                text: inner.join("\n"),
            });
        }
    }
    blocks
}

#[test]
fn every_page_is_in_the_book_once() {
    let summary = read(&repository().join("docs/SUMMARY.md"));
    let linked: Vec<&str> = summary
        .lines()
        .filter_map(|line| line.split_once("](")?.1.strip_suffix(')'))
        .collect();
    let once: BTreeSet<&str> = linked.iter().copied().collect();
    assert_eq!(once.len(), linked.len(), "a page is there twice");
    let docs = repository().join("docs");
    let there = pages();
    let there: BTreeSet<&str> = there
        .iter()
        .filter(|path| path.parent() == Some(&docs) && !path.ends_with("SUMMARY.md"))
        .filter_map(|path| path.file_name()?.to_str())
        .collect();
    assert_eq!(once, there);
}

/// The words of a command line up to a comment, a pipe or a redirection; quotation marks hold a word together.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for sign in line.chars() {
        match (quote, sign) {
            (Some(end), sign) if sign == end => quote = None,
            (None, '"' | '\'') => quote = Some(sign),
            (None, ' ') => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            (None, '#') if word.is_empty() => break,
            (None, '|' | '<' | '>' | ';' | '&') => break,
            _ => word.push(sign),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[test]
fn every_command_of_ours_in_a_page_is_one_that_the_program_understands() {
    let programs = made::programs();
    let (mut tried, mut wrong) = (0, Vec::new());
    for block in blocks().iter().filter(|block| block.info.starts_with("sh")) {
        for line in block.text.lines().filter(|line| !line.contains('…')) {
            let words = words(line.trim_start_matches("sudo "));
            let named = programs
                .iter()
                .find(|program| words.first().is_some_and(|word| word == program.get_name()));
            let Some(program) = named else {
                continue;
            };
            tried += 1;
            if let Err(error) = program.clone().try_get_matches_from(words) {
                wrong.push(format!("{}: {line}: {error}", block.page.display()));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
    assert!(tried >= 10, "only {tried}");
}

#[test]
fn every_target_that_a_page_names_is_one_of_the_makefile() {
    let makefile = read(&repository().join("Makefile"));
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0))
        .collect();
    let mut tried = 0;
    for page in pages() {
        for part in read(&page).split("`make ").skip(1) {
            let target = part.split(['`', ' ', ';']).next().expect("a word");
            tried += 1;
            assert!(
                targets.contains(target),
                "{}: make {target}",
                page.display()
            );
        }
    }
    for block in blocks().iter().filter(|block| block.info.starts_with("sh")) {
        for line in block.text.lines() {
            let Some(rest) = line.trim_start_matches("sudo ").strip_prefix("make ") else {
                continue;
            };
            let target = rest.split(' ').next().expect("a word");
            tried += 1;
            assert!(
                targets.contains(target),
                "{}: make {target}",
                block.page.display()
            );
        }
    }
    assert!(tried > 20, "only {tried}");
}

#[test]
fn every_block_that_a_page_marks_as_runnable_runs() {
    let gateway = Path::new(env!("CARGO_BIN_EXE_booth-gateway"));
    let programs =
        [gateway, hub_program()].map(|program| program.parent().expect("a folder").to_owned());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(programs.into_iter().chain(std::env::split_paths(&path)))
        .expect("a path");
    let mut tried = 0;
    for block in blocks().iter().filter(|block| block.info == "sh run") {
        tried += 1;
        let folder = tempfile::tempdir().expect("a folder");
        let docs = folder.path().join("docs");
        std::os::unix::fs::symlink(repository().join("docs"), docs).expect("linked");
        let ran = Command::new("sh")
            .args(["-euc", &block.text])
            .current_dir(folder.path())
            .env("PATH", &path)
            .output()
            .expect("sh runs");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned()
            + &String::from_utf8_lossy(&ran.stderr);
        assert!(
            ran.status.success(),
            "{}:\n{}\n{said}",
            block.page.display(),
            block.text
        );
    }
    assert!(tried >= 4, "only {tried}");
}

#[test]
fn the_book_is_built_without_a_complaint() {
    let folder = tempfile::tempdir().expect("a folder");
    let built = Command::new("mdbook")
        .args(["build", "--dest-dir"])
        .arg(folder.path())
        .arg(repository())
        .output();
    let Ok(built) = built else {
        booth_host::complain!("!! NOT RUN: mdbook is not installed; `make book` installs it");
        return;
    };
    let said = String::from_utf8_lossy(&built.stderr).into_owned();
    assert!(
        built.status.success() && !said.contains("WARN") && !said.contains("ERROR"),
        "{said}"
    );
    for name in ["index.html", "interface.html", "alerts.html"] {
        assert!(folder.path().join(name).is_file(), "{name}: {said}");
    }
}
