//! The walls of ARCHITECTURE.md stand: each crate needs of ours what its row says, and no room imports what its row forbids.
#![allow(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of the table under this heading, each cell as it stands.
fn table(heading: &str) -> Vec<Vec<String>> {
    let text = read(&repository().join("ARCHITECTURE.md"));
    let (_, after) = text.split_once(heading).expect("the heading");
    let lines = after.lines().skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    })
    .collect()
}

/// What stands between backticks.
fn words(cell: &str) -> BTreeSet<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

fn manifest(folder: &str) -> toml::Table {
    let path = repository().join(folder).join("Cargo.toml");
    read(&path).parse().expect("a manifest")
}

fn dependencies(manifest: &toml::Table) -> BTreeSet<String> {
    let table = manifest.get("dependencies").and_then(toml::Value::as_table);
    table
        .into_iter()
        .flat_map(toml::Table::keys)
        .cloned()
        .collect()
}

/// The table of crates, by folder: the package's name and what its row says that it needs of ours.
fn crates() -> BTreeMap<String, (String, BTreeSet<String>)> {
    table("## The crates")
        .into_iter()
        .map(|row| {
            let folder = words(&row[0]).pop_first().expect("a folder");
            let name = manifest(&folder)["package"]["name"]
                .as_str()
                .expect("a name")
                .to_owned();
            (folder, (name, words(&row[2])))
        })
        .collect()
}

#[test]
fn every_crate_is_in_the_table_and_needs_of_ours_what_its_row_says() {
    let crates = crates();
    let mut folders: BTreeSet<String> = std::fs::read_dir(repository().join("crates"))
        .expect("a folder")
        .map(|entry| format!("crates/{}", entry.expect("an entry").file_name().display()))
        .collect();
    folders.insert(".".to_owned());
    assert_eq!(crates.keys().cloned().collect::<BTreeSet<_>>(), folders);
    let ours: BTreeSet<String> = crates.values().map(|(name, _)| name.clone()).collect();
    for (folder, (name, needs)) in &crates {
        let has = &dependencies(&manifest(folder)) & &ours;
        assert_eq!(&has, needs, "{name}: its Cargo.toml beside its row");
    }
}

#[test]
fn every_crate_but_those_of_the_tests_is_built_and_tested_by_itself() {
    let members = &manifest(".")["workspace"]["default-members"];
    let members: BTreeSet<&str> = members
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(toml::Value::as_str)
        .collect();
    let crates = crates();
    let folders = crates.keys().map(String::as_str);
    let others = folders.filter(|folder| !["crates/stage", "crates/testkit"].contains(folder));
    assert_eq!(members, others.collect());
}

#[test]
fn every_program_of_tests_is_one_that_make_test_runs() {
    let lanes = Command::new(repository().join("tests/lanes.sh"))
        .arg("--list")
        .output()
        .expect("it runs");
    let run = String::from_utf8(lanes.stdout).expect("text");
    let run: BTreeSet<&str> = run.lines().collect();
    let workspace = &manifest("")["workspace"];
    let members = workspace["default-members"].as_array().expect("members");
    let mut programs = 0;
    for member in members {
        let tests = repository()
            .join(member.as_str().expect("a folder"))
            .join("tests");
        for entry in std::fs::read_dir(tests).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            let is_program =
                path.extension().is_some_and(|end| end == "rs") || path.join("main.rs").is_file();
            let name = path.file_stem().and_then(|name| name.to_str());
            let name = name.expect("a name");
            programs += usize::from(is_program);
            assert!(!is_program || run.contains(name), "nobody runs {name}");
        }
    }
    assert_eq!(programs, run.len(), "{run:?}");
}

/// The folders of the crates that a program's crate in `folder` is made of, with its own.
fn made_of(folder: &str) -> BTreeSet<String> {
    let crates = crates();
    let mut found = BTreeSet::from([folder.to_owned()]);
    loop {
        let needs = found.iter().flat_map(|folder| &crates[folder].1);
        let needs: BTreeSet<&String> = needs.collect();
        let new = crates
            .iter()
            .filter(|(folder, (name, _))| needs.contains(name) && !found.contains(*folder));
        let new: Vec<String> = new.map(|(folder, _)| folder.clone()).collect();
        if new.is_empty() {
            return found;
        }
        found.extend(new);
    }
}

#[test]
fn the_image_takes_along_every_file_that_its_program_has_in_it() {
    let script = read(&repository().join("image/build.sh"));
    let (_, list) = script
        .split_once("\nprogram_is_made_of=\"")
        .expect("a list");
    let (list, _) = list.split_once('"').expect("its end");
    let mut files = Vec::new();
    for folder in made_of(".") {
        sources(&repository().join(folder).join("src"), &mut files);
    }
    let is_of_a_test = |file: &PathBuf| {
        file.components().any(|part| part.as_os_str() == "tests") || file.ends_with("tests.rs")
    };
    files.retain(|file| !is_of_a_test(file));
    assert!(files.len() > 100, "{}", files.len());
    let mut included = 0;
    for file in files {
        let text = read(&file);
        let (program, _) = text
            .split_once("\n#[cfg(test)]\nmod tests {")
            .unwrap_or((&text, ""));
        let names = program
            .split("include_str!(\"")
            .chain(program.split("include_bytes!(\""));
        // Before the first one stands no name.
        for name in names
            .filter_map(|rest| rest.split_once("\")"))
            .map(|(name, _)| name)
        {
            let path = file.parent().expect("a folder").join(name);
            let Ok(path) = std::fs::canonicalize(path) else {
                continue;
            };
            included += 1;
            let path = path.strip_prefix(repository()).expect("a file of ours");
            let is_taken = list.split(' ').any(|taken| path.starts_with(taken));
            assert!(is_taken, "image/build.sh leaves out {}", path.display());
        }
    }
    assert!(included > 0);
}

#[test]
fn what_tests_share_is_compiled_once_in_a_crate() {
    let mut files = Vec::new();
    for folder in ["tests", "benches", "examples", "crates"] {
        sources(&repository().join(folder), &mut files);
    }
    assert!(files.len() > 100, "{files:?}");
    let paths = files.iter().filter_map(|file| {
        let text = read(file);
        let line = text.lines().find(|line| line.starts_with("#[path"))?;
        Some((file.file_name()?.to_owned(), line.to_owned()))
    });
    let known = [
        // The fuzz targets are a package of their own, and their cases are no test's.
        ("fuzz_slice.rs", "../../fuzz/cases/mod.rs"),
        // What a program is told belongs to the program; its man page is made of the same lines.
        ("help_files.rs", "../../examples/help_files/made.rs"),
        ("made.rs", "../../src/main/arguments.rs"),
        // A program's own rooms.
        ("main.rs", "main/arguments.rs"),
    ];
    let known = known.map(|(file, path)| (file.into(), format!("#[path = \"{path}\"]")));
    assert_eq!(
        paths.collect::<Vec<_>>(),
        known,
        "what two programs need is in crates/testkit or crates/stage"
    );
}

#[test]
fn no_test_starts_a_program_beside_tests_that_open_a_card_again() {
    for folder in ["tests/spool", "tests/world"] {
        let mut files = Vec::new();
        sources(&repository().join(folder), &mut files);
        for file in files {
            let text = read(&file);
            for word in ["Command::new", "Gateway::start", "Pulse::", "Broker::"] {
                assert!(!text.contains(word), "{}: {word}", file.display());
            }
        }
    }
}

#[test]
fn what_is_pure_needs_no_library_that_could_reach_the_outside() {
    let lawful: BTreeSet<String> = ["jiff", "serde", "serde_json", "zeroize", "booth-contract"]
        .map(str::to_owned)
        .into();
    for folder in ["crates/contract", "crates/gateway-core"] {
        let needs = dependencies(&manifest(folder));
        assert!(needs.is_subset(&lawful), "{folder}: {needs:?}");
        let mut files = Vec::new();
        sources(&repository().join(folder).join("src"), &mut files);
        for file in files {
            let text = read(&file);
            for word in [
                "std::fs",
                "std::net::Tcp",
                "std::thread",
                "std::process",
                "std::env",
                "Instant",
                "SystemTime",
                "Timestamp::now",
            ] {
                assert!(!text.contains(word), "{}: {word}", file.display());
            }
        }
    }
}

#[test]
fn a_booth_is_built_without_the_hubs_libraries_and_the_hub_without_the_booths() {
    let tree = |package: &str| {
        let told = std::process::Command::new(env!("CARGO"))
            .args([
                "tree",
                "--offline",
                "--edges",
                "normal",
                "--prefix",
                "none",
                "--format",
                "{p}",
                "--package",
                package,
            ])
            .current_dir(repository())
            .output()
            .expect("cargo runs");
        assert!(
            told.status.success(),
            "{}",
            String::from_utf8_lossy(&told.stderr)
        );
        let names = String::from_utf8(told.stdout).expect("text");
        let first = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
        names.lines().map(first).collect::<BTreeSet<String>>()
    };
    let (booth, hub) = (tree("booth-gateway"), tree("booth-hub"));
    let audio = tree("booth-audio");
    for name in [
        "rusqlite",
        "axum",
        "hyper",
        "maud",
        "object_store",
        "reqwest",
        "booth-hub",
    ] {
        assert!(!booth.contains(name) && (hub.contains(name)), "{name}");
    }
    for name in ["alsa", "cpal", "rppal", "gpiocdev", "sled", "booth-spool"] {
        assert!(!hub.contains(name) && booth.contains(name), "{name}");
        assert!(!audio.contains(name), "{name}: sound without a card");
    }
    // The hub has the booth's pure core, so that a preview decides as a booth does; sound has not.
    assert!(!audio.contains("gateway-core"));
}

#[test]
fn no_room_of_the_gateway_imports_what_its_row_forbids() {
    let rooms = table("## The rooms of the gateway");
    assert!(rooms.len() >= 6, "{rooms:?}");
    for row in rooms {
        let room = words(&row[0]).pop_first().expect("a room");
        let forbidden = words(&row[2]);
        let mut files = Vec::new();
        let folder = repository().join("src").join(&room);
        if folder.is_dir() {
            sources(&folder, &mut files);
        }
        let single = repository().join("src").join(format!("{room}.rs"));
        files.extend(single.exists().then_some(single));
        assert!(!files.is_empty(), "{room} is nowhere");
        for file in files {
            let text = read(&file);
            for other in &forbidden {
                let is_import = |line: &&str| {
                    line.contains(&format!("crate::{other}::"))
                        || line.contains(&format!("crate::{other};"))
                };
                let found = text.lines().find(is_import);
                assert_eq!(found, None, "{} imports {other}", file.display());
            }
        }
    }
}

/// The modules that a module imports by `crate::`, or by `super::` from the folder's own files. What its tests import does not
/// count.
fn imports(text: &str, roots: &[&str]) -> BTreeSet<String> {
    let code = text.split("\nmod tests {").next().unwrap_or_default();
    let mut found = BTreeSet::new();
    for root in roots {
        for (at, _) in code.match_indices(root) {
            let after = &code[at + root.len()..];
            let group = after.strip_prefix('{').and_then(|all| all.split_once('}'));
            let names = group.map_or(vec![after], |(inside, _)| inside.split(',').collect());
            let name = |path: &str| -> String {
                let letters = path.trim_start().chars();
                letters
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .collect()
            };
            found.extend(names.into_iter().map(name));
        }
    }
    found
}

/// A way from a module back to itself, if there is one.
fn circle(imports: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    for start in imports.keys() {
        let mut ways = vec![vec![start.clone()]];
        let mut seen = BTreeSet::new();
        while let Some(way) = ways.pop() {
            for next in &imports[&way[way.len() - 1]] {
                let longer = [&way[..], std::slice::from_ref(next)].concat();
                if next == start {
                    return Some(longer);
                }
                if imports.contains_key(next) && seen.insert(next.clone()) {
                    ways.push(longer);
                }
            }
        }
    }
    None
}

#[test]
fn no_module_of_the_core_imports_itself_by_a_circle() {
    assert_eq!(circle_in("crates/gateway-core/src", "crate::"), None);
}

/// A circle among the modules of this folder, whose files name each other after `root`.
fn circle_in(folder: &str, root: &str) -> Option<Vec<String>> {
    let folder = repository().join(folder);
    let mut files = Vec::new();
    sources(&folder, &mut files);
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let inside = file.strip_prefix(&folder).expect("a file of the folder");
        let first = inside.iter().next().expect("a name").to_string_lossy();
        let module = first.trim_end_matches(".rs").to_owned();
        if inside.ends_with("tests.rs") || ["lib", "mod"].contains(&module.as_str()) {
            continue;
        }
        let is_top = inside.iter().count() == 1;
        let roots = if is_top {
            vec![root, "super::"]
        } else {
            vec![root]
        };
        let mut found = imports(&read(&file), &roots);
        found.remove(&module);
        all.entry(module).or_default().extend(found);
    }
    assert!(all.len() > 10, "{all:?}");
    circle(&all)
}

#[test]
fn no_adapter_imports_itself_by_a_circle() {
    assert_eq!(circle_in("src/adapters", "crate::adapters::"), None);
}

#[test]
fn no_part_of_the_loop_imports_itself_by_a_circle() {
    assert_eq!(circle_in("src/run", "crate::run::"), None);
}

#[test]
fn no_page_starts_a_task_whose_end_would_end_the_hub() {
    let mut files = Vec::new();
    sources(&repository().join("crates/city/src"), &mut files);
    assert!(files.len() > 50, "{}", files.len());
    for file in files {
        let text = read(&file);
        let starts = ["crew::task(", "crew::start("]
            .into_iter()
            .find(|start| text.contains(start));
        assert_eq!(
            starts,
            None,
            "{}: use crew::errand, aside or contain",
            file.display()
        );
    }
}
