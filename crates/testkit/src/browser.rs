//! Debian's headless Chromium through chromedriver: WebDriver (W3C) in as few words as the tests need.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use booth_stage::wait::until;

/// A browser; ended with the value.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Opens one on this free port.
    pub fn open(port: u16) -> Self {
        Self::open_with(port, &[])
    }

    /// The same with more of Chromium's own switches.
    pub fn open_with(port: u16, more: &[String]) -> Self {
        let profile = tempfile::tempdir().expect("a folder");
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver runs: is the package chromium-driver installed?");
        let mut browser = Self {
            driver,
            port,
            session: String::new(),
            _profile: profile,
        };
        until("chromedriver listens", || {
            TcpStream::connect(("127.0.0.1", port)).ok().map(drop)
        });
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--autoplay-policy=no-user-gesture-required",
            "--window-size=1200,900",
        ];
        let mut arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        arguments.extend_from_slice(more);
        arguments.push(format!(
            "--user-data-dir={}",
            browser._profile.path().display()
        ));
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome", "timeouts": { "script": 60_000 },
            "goog:chromeOptions": { "args": arguments } } } });
        let answer = browser.call("POST", "/session", &wanted);
        browser.session = answer["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let value = self.ask(method, path, body).expect("chromedriver answers");
        assert!(value["error"].is_null(), "{method} {path}: {value}");
        value
    }

    /// What chromedriver answers, which may be an error.
    fn ask(&self, method: &str, path: &str, body: &Value) -> io::Result<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        let body = body.to_string();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        let mut line = String::new();
        while reader.read_line(&mut line)? > 2 {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            line.clear();
        }
        let mut text = vec![0; length];
        reader.read_exact(&mut text)?;
        let answer: Value = serde_json::from_slice(&text)?;
        Ok(answer["value"].clone())
    }

    fn in_session(&self, path: &str, body: &Value) -> Value {
        self.call("POST", &format!("/session/{}{path}", self.session), body)
    }

    /// Goes to a page.
    pub fn go(&self, url: &str) {
        self.in_session("/url", &json!({ "url": url }));
    }

    /// Runs a script in the page and answers what it returns.
    pub fn run(&self, script: &str) -> Value {
        self.in_session("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Runs a script that answers by calling `done(value)`.
    pub fn wait_for(&self, script: &str) -> Value {
        let script = format!("const done = arguments[arguments.length - 1];{script}");
        self.in_session("/execute/async", &json!({ "script": script, "args": [] }))
    }
}

impl Browser {
    /// Presses one key, or one with others held: `p`, `Enter`, `Control+Enter` (WebDriver §17.4.2 has the names of keys).
    pub fn press(&self, key: &str) {
        let code = |name: &str| match name {
            "Control" => '\u{e009}',
            "Shift" => '\u{e008}',
            "Enter" => '\u{e007}',
            "Escape" => '\u{e00c}',
            "Tab" => '\u{e004}',
            "ArrowDown" => '\u{e015}',
            "ArrowLeft" => '\u{e012}',
            "ArrowRight" => '\u{e014}',
            "Space" => ' ',
            one => one.chars().next().expect("a key"),
        };
        let keys: Vec<char> = key.split('+').map(code).collect();
        let down = keys
            .iter()
            .map(|key| json!({ "type": "keyDown", "value": key.to_string() }));
        let up = keys.iter().rev();
        let up = up.map(|key| json!({ "type": "keyUp", "value": key.to_string() }));
        self.keyboard(down.chain(up).collect());
    }

    /// Presses Tab so many times.
    pub fn tabs(&self, times: usize) {
        let press = ["keyDown", "keyUp"].map(|what| json!({ "type": what, "value": "\u{e004}" }));
        self.keyboard(press.into_iter().cycle().take(2 * times).collect());
    }

    /// Types a text, key by key.
    pub fn types(&self, text: &str) {
        let keys = text.chars().flat_map(|key| {
            ["keyDown", "keyUp"].map(|what| json!({ "type": what, "value": key.to_string() }))
        });
        self.keyboard(keys.collect());
    }

    fn keyboard(&self, actions: Vec<Value>) {
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.in_session("/actions", &json!({ "actions": [keyboard] }));
    }
}

impl Browser {
    /// Clicks on the one element that this CSS selector finds first.
    pub fn click(&self, selector: &str) {
        let path = format!("/element/{}/click", self.element(selector));
        self.in_session(&path, &json!({}));
    }

    /// Chooses a file of this machine in a form's field, as a person does in the dialogue that no test can reach.
    pub fn choose_file(&self, selector: &str, file: &Path) {
        let path = format!("/element/{}/value", self.element(selector));
        self.in_session(&path, &json!({ "text": file.display().to_string() }));
    }

    fn element(&self, selector: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = self.in_session("/element", &wanted);
        let id = found
            .as_object()
            .and_then(|found| found.values().next()?.as_str());
        id.expect("an element").to_owned()
    }

    /// Whether pages may run their own scripts, from the next page on. [`Self::run`] runs all the same.
    pub fn allow_scripts(&self, may: bool) {
        let value = json!({ "value": !may });
        self.devtools("Emulation.setScriptExecutionDisabled", &value);
    }

    /// Does what leads to another page, and waits until that is there and its files are loaded.
    pub fn leads_on(&self, act: impl FnOnce(&Self)) {
        self.run("document.documentElement.dataset.left = '1'");
        act(self);
        until("another page is there", || {
            let is_there = self.run(
                "return document.readyState === 'complete' && !document.documentElement.dataset.left",
            );
            (is_there == true).then_some(())
        });
    }
}

impl Browser {
    /// A screen of this many pixels, with light or dark colours, for people who want things to move or not.
    pub fn on_screen(&self, (width, height): (u32, u32), scheme: &str, is_calm: bool) {
        // A telephone's bar takes no room, and a picture without the bar's room would cut the page's edge off.
        self.devtools("Emulation.setScrollbarsHidden", &json!({ "hidden": true }));
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        let motion = if is_calm { "reduce" } else { "no-preference" };
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": motion },
        ]);
        self.devtools(
            "Emulation.setEmulatedMedia",
            &json!({ "features": features }),
        );
    }

    /// A command of Chromium's own protocol.
    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.in_session("/goog/cdp/execute", &body)
    }

    /// What the whole page looks like, beyond the window, too, as PNG.
    pub fn whole_picture(&self) -> Vec<u8> {
        let taken = self.devtools(
            "Page.captureScreenshot",
            &json!({ "format": "png", "captureBeyondViewport": true }),
        );
        let text = taken["data"].as_str().expect("a picture");
        STANDARD.decode(text).expect("base64")
    }

    /// What the page looks like, as PNG.
    pub fn picture(&self) -> Vec<u8> {
        let path = format!("/session/{}/screenshot", self.session);
        let picture = self.call("GET", &path, &json!({}));
        let text = picture.as_str().expect("a picture");
        STANDARD.decode(text).expect("base64")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium is chromedriver's child, and outlives one that is killed: it is asked to end also where the test has failed.
        if !self.session.is_empty() {
            let _ = self.ask("DELETE", &format!("/session/{}", self.session), &json!({}));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
