//! Looking at pages in a real browser: axe-core's rules for WCAG 2.1 A and AA, nothing wider than the screen, valid HTML; and a picture of
//! each for people.
//!
//! axe-core and html-validate come from npm into `target/look`, once. Without node, or where npm cannot fetch them, a line says what was NOT
//! LOOKED AT. `BOOTH_PICTURES=folder` keeps the pictures.
#![allow(clippy::print_stderr)] // words of a test, which its harness keeps until it fails

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use serde_json::Value;

use super::browser::Browser;
use super::repository;

const AXE: &str = "axe-core@4.14.1";
/// The newest one for the node of Debian 12.
const VALIDATE: &str = "html-validate@9.7.1";
/// A telephone, a table.
const SCREENS: [(u32, u32); 2] = [(360, 740), (1300, 900)];

/// The folder with the tools.
static TOOLS: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
    let folder = repository().join("target/look");
    let modules = folder.join("node_modules");
    let are_there = modules.join("axe-core/axe.min.js").is_file()
        && modules.join("html-validate/package.json").is_file();
    if are_there {
        return Ok(folder);
    }
    std::fs::create_dir_all(&folder).map_err(|why| why.to_string())?;
    let about = "{\"private\":true,\"type\":\"module\"}";
    std::fs::write(folder.join("package.json"), about).map_err(|why| why.to_string())?;
    let fetched = Command::new("timeout")
        .args([
            "180",
            "npm",
            "install",
            "--no-audit",
            "--no-fund",
            AXE,
            VALIDATE,
        ])
        .current_dir(&folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|why| format!("npm: {why}"))?;
    match fetched.status.success() {
        true => Ok(folder),
        false => Err(format!("npm cannot fetch {AXE} and {VALIDATE}")),
    }
});

/// Somebody who looks, and writes down what is wrong.
pub struct Look {
    axe: Option<String>,
    pictures: Option<PathBuf>,
    sources: tempfile::TempDir,
    faults: RefCell<Vec<String>>,
    pages: RefCell<usize>,
}

impl Look {
    /// Fetches the tools, if they are not there.
    pub fn open() -> Self {
        let axe = TOOLS.as_ref().map_err(Clone::clone).and_then(|folder| {
            let axe = folder.join("node_modules/axe-core/axe.min.js");
            std::fs::read_to_string(axe).map_err(|why| why.to_string())
        });
        if let Err(why) = &axe {
            booth_host::complain!("!! pages by axe-core and html-validate: NOT LOOKED AT: {why}");
        }
        let pictures = std::env::var_os("BOOTH_PICTURES").map(PathBuf::from);
        if let Some(folder) = &pictures {
            std::fs::create_dir_all(folder).expect("a folder for pictures");
        }
        Self {
            axe: axe.ok(),
            pictures,
            sources: tempfile::tempdir().expect("a folder"),
            faults: RefCell::default(),
            pages: RefCell::default(),
        }
    }

    fn fault(&self, name: &str, what: &str) {
        eprintln!("{name}: {what}");
        self.faults.borrow_mut().push(format!("{name}: {what}"));
    }

    /// Looks at the page that is open, on a telephone and on a table.
    pub fn at(&self, browser: &Browser, name: &str) {
        *self.pages.borrow_mut() += 1;
        for (width, height) in SCREENS {
            browser.on_screen((width, height), "light", true);
            let wider = browser
                .run("return document.documentElement.scrollWidth - document.documentElement.clientWidth");
            if wider.as_i64().is_some_and(|wider| wider > 0) {
                let widest = browser.run(
                    "return [...document.body.querySelectorAll('*')].filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
                       .slice(0, 3).map((one) => one.outerHTML.slice(0, 120))",
                );
                self.fault(
                    name,
                    &format!("is {wider} pixels wider than {width}: {widest}"),
                );
            }
            if let Some(axe) = &self.axe {
                self.holds_the_rules(browser, &format!("{name} at {width}"), axe);
            }
            if let Some(folder) = &self.pictures {
                let file: String = name
                    .chars()
                    .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
                    .collect();
                let file = folder.join(format!("{file}-{width}.png"));
                std::fs::write(file, browser.whole_picture()).expect("a picture");
            }
        }
    }

    fn holds_the_rules(&self, browser: &Browser, name: &str, axe: &str) {
        let found = browser.wait_for(&format!(
            "if (!window.axe) {{ {axe} }}
             window.axe.run(document, {{ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }}).then(
               (found) => done(found.violations.map((one) => one.id + ': ' + one.nodes.slice(0, 3)
                 .map((node) => node.target.join(' ') + ' ' + ((node.any[0] || node.all[0] || node.none[0] || {{}}).message || '')).join('; '))),
               (why) => done(['axe: ' + why]))"
        ));
        for one in found.as_array().into_iter().flatten() {
            self.fault(name, one.as_str().unwrap_or_default());
        }
    }

    /// Keeps the text of a page as it came over the wire, for [`Self::ends`].
    pub fn keeps(&self, name: &str, html: &str) {
        let number = std::fs::read_dir(self.sources.path())
            .expect("a folder")
            .count();
        let file = format!("{number}.html");
        let html = html.to_owned();
        std::fs::write(self.sources.path().join(&file), html).expect("written");
        let names = self.sources.path().join(format!("{file}.name"));
        std::fs::write(names, name).expect("written");
    }

    /// Looks at the HTML of all pages, and ends with everything that is wrong.
    pub fn ends(self) {
        if self.axe.is_some() {
            self.is_valid();
        }
        let pages = self.pages.borrow();
        let faults = self.faults.borrow();
        assert!(*pages > 0, "no page was looked at");
        assert!(
            faults.is_empty(),
            "{} faults on {pages} pages:\n{}",
            faults.len(),
            faults.join("\n")
        );
    }

    fn is_valid(&self) {
        let Ok(tools) = TOOLS.as_ref() else { return };
        // The standard's own rules (WHATWG HTML); the others of the tool are taste.
        let rules = self.sources.path().join("rules.json");
        std::fs::write(
            &rules,
            "{\"root\":true,\"extends\":[\"html-validate:standard\"]}",
        )
        .expect("written");
        let said = Command::new("node")
            .arg(tools.join("node_modules/html-validate/bin/html-validate.mjs"))
            .args(["--formatter", "json", "--config"])
            .arg(&rules)
            .arg("*.html")
            .current_dir(self.sources.path())
            .stdin(Stdio::null())
            .output()
            .expect("node runs");
        let said_so = String::from_utf8_lossy(&said.stdout);
        let Ok(Value::Array(files)) = serde_json::from_str(&said_so) else {
            let why = String::from_utf8_lossy(&said.stderr);
            self.fault("html-validate", &format!("{said_so} {why}"));
            return;
        };
        for file in files {
            let path = file["filePath"].as_str().unwrap_or_default().to_owned();
            let name = std::fs::read_to_string(Path::new(&format!("{path}.name")));
            for one in file["messages"].as_array().into_iter().flatten() {
                let what = format!(
                    "line {} column {}: {} ({})",
                    one["line"],
                    one["column"],
                    one["message"].as_str().unwrap_or_default(),
                    one["ruleId"].as_str().unwrap_or_default()
                );
                self.fault(name.as_deref().unwrap_or(&path), &what);
            }
        }
    }
}
