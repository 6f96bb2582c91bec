//! `booth-hub enrol`: everything that a new booth, or a new card of a booth, needs on its drive `BOOTH`, and its way to the first *ready*.
//!
//! ```text
//! hub.toml [enrol] ─▶ booth.toml, mqtt-password, ca.pem, label.html ─▶ a technician's card
//!                  └▶ the broker's command, password on standard input
//! fleet ─▶ what the card of the booth before still holds; heard ▶ introduced ▶ ready
//! ```
//!
//! Owns: the password, the files, and that nothing is written over. Never does: keep the password; it is in the files and at the broker alone.
#![allow(clippy::disallowed_methods)] // writes the files, makes a password by chance, runs the command

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use booth_contract::{BoothId, BrokerUrl, CardId, Presence};
use booth_host::config_file::Faults;
use booth_host::plain_file::make_private;
use booth_host::{clock, say};
use booth_sealing::KernelRandom;
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Deserialize;

use crate::config::HubConfig;
use crate::keys::{Keyring, KeysError, qr_code};
use crate::store::{BrokerStatus, StoreError, StoreViews};
use crate::view::{BoothView, Views};

/// How long the broker's command may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether the booth has come.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The password's letters and digits: none that are taken for another.
const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Its length: 24 of 56 characters are some 139 bits.
const PASSWORD: usize = 24;
/// Longest name and place, in characters.
const LONGEST: usize = 200;

/// `[enrol]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HubEnrol {
    /// The broker as booths reach it, e.g. `mqtts://broker.example:8883`; without it `[mqtt] url`.
    pub url: Option<String>,
    /// The authority of the broker's certificate, for the booths; without it `[mqtt] ca_file`.
    pub ca_file: Option<PathBuf>,
    /// minisign public keys whose signed commands the booths obey.
    pub control_keys: Vec<String>,
    /// Tells the broker of a booth: `{booth}` is its id, and its password comes on standard input. Without it a person does.
    pub command: Vec<String>,
}

impl HubEnrol {
    /// Refuses values that cannot work.
    pub(crate) fn check(&self, faults: &mut Faults<'_>) {
        if let Some(url) = &self.url
            && let Err(why) = BrokerUrl::parse(url)
        {
            faults.that("[enrol] url", why);
        }
        if self
            .command
            .first()
            .is_some_and(|program| program.trim().is_empty())
        {
            faults.that("[enrol] command", "names no program");
        }
    }
}

/// Why nothing, or not all, was made.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// What was asked for, or what the configuration lacks.
    #[error("{0}")]
    Not(String),
    /// A file. Nothing is written over.
    #[error("{file} cannot be written: {why}; name another folder with --output", file = .0.display(), why = .1)]
    File(PathBuf, io::Error),
    /// The store.
    #[error("the store cannot be opened: {0}")]
    Store(#[from] StoreError),
    /// The city's keys.
    #[error("[privacy] identities: {0}")]
    Keys(#[from] KeysError),
    /// The broker's command.
    #[error("{why}. The files are made; tell the broker by hand, with the password in {file}", why = .0, file = .1.display())]
    Command(String, PathBuf),
}

/// A booth that is to be.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its id.
    pub booth: BoothId,
    /// Its name for people.
    pub name: String,
    /// Where it stands; for the label.
    pub place: String,
    /// The folder for its files.
    pub output: PathBuf,
}

/// Makes the files, tells the broker, and says what is to be known. Answers which card the booth has had so far.
///
/// # Errors
/// See [`EnrolError`]; what was made stays.
pub fn enrol(config: &HubConfig, wanted: &Wanted) -> Result<Option<CardId>, EnrolError> {
    let now = clock::wall();
    for (what, text) in [("--name", &wanted.name), ("--place", &wanted.place)] {
        if text.chars().count() > LONGEST || text.chars().any(char::is_control) {
            return Err(EnrolError::Not(format!(
                "{what}: at most {LONGEST} characters, on one line"
            )));
        }
    }
    if config.own_names().contains(&wanted.booth.to_string()) {
        return Err(EnrolError::Not(format!(
            "{} is the hub's own name at the broker, and the hub's password there would change: give the booth another id",
            wanted.booth
        )));
    }
    let before = seen(config, &wanted.booth)?;
    if let Some(before) = &before {
        tell_before(before);
    }
    let recipients = recipients(config)?;
    let ca = match config
        .enrol
        .ca_file
        .as_deref()
        .or(config.mqtt.ca_file.as_deref())
    {
        Some(file) => Some(
            fs::read(file).map_err(|why| EnrolError::Not(format!("{}: {why}", file.display())))?,
        ),
        None => None,
    };
    let toml = booth_toml(config, wanted, &recipients, ca.is_some(), now)?;
    let password = password()?;
    let folder = &wanted.output;
    fs::create_dir_all(folder).map_err(|why| EnrolError::File(folder.clone(), why))?;
    let address = format!(
        "{}/booth/{}",
        config.city.alarm.desk.trim_end_matches('/'),
        wanted.booth
    );
    let mut files = vec![
        ("booth.toml", toml.into_bytes()),
        ("mqtt-password", format!("{password}\n").into_bytes()),
        (
            "label.html",
            label(wanted, &address, now).into_string().into_bytes(),
        ),
    ];
    files.extend(ca.map(|ca| ("ca.pem", ca)));
    for (name, _) in &files {
        let path = folder.join(name);
        if path.symlink_metadata().is_ok() {
            return Err(EnrolError::File(path, io::ErrorKind::AlreadyExists.into()));
        }
    }
    for (name, content) in &files {
        let path = folder.join(name);
        make_private(&path, content).map_err(|why| EnrolError::File(path.clone(), why))?;
        say!("{}", path.display());
    }
    let file = folder.join("mqtt-password");
    match config.enrol.command.is_empty() {
        true => say!(
            "The broker does not know the booth yet: give it the user {} with the password in {}.",
            wanted.booth,
            file.display()
        ),
        false => {
            tell_broker(&config.enrol.command, &wanted.booth, &password)
                .map_err(|why| EnrolError::Command(why, file.clone()))?;
            say!("The broker knows the booth.");
        }
    }
    say!(
        "Copy booth.toml, mqtt-password and ca.pem (where it is there) onto the drive BOOTH of the card, print label.html, then delete this folder."
    );
    if !config
        .booths
        .iter()
        .any(|expected| expected.id == wanted.booth)
    {
        say!(
            "So that the hub expects it, put this into hub.toml and start the hub again:\n\n{}",
            expected(wanted)
        );
    }
    Ok(before.and_then(|before| before.card_id))
}

/// Waits until a citizen can speak at the booth, with another card than the one `before`, and says how far it is.
///
/// # Errors
/// A store that does not open, or a booth that has not come in this time.
pub fn follow(
    config: &HubConfig,
    booth: &BoothId,
    before: Option<&CardId>,
    patience: Duration,
) -> Result<(), EnrolError> {
    let began = clock::mono();
    let wall = clock::wall();
    let mut told = "";
    loop {
        let view = seen(config, booth)?;
        let step = view.map_or("it has not been heard", |view| step(&view, before, wall));
        if step != told {
            say!("{booth}: {step}");
            told = step;
        }
        if step == READY {
            return Ok(());
        }
        if clock::mono().since(began) >= patience {
            return Err(EnrolError::Not(format!(
                "{booth} is not ready after {} min: {step}",
                patience.as_secs() / 60
            )));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

const READY: &str = "ready: a citizen can speak";

/// How far a booth is; what it said before this began says nothing, and neither does what the card of before still says: a new password ends no
/// connection that stands.
fn step(view: &BoothView, before: Option<&CardId>, since: Timestamp) -> &'static str {
    if before.is_some() && view.card_id.as_ref() == before {
        return "the card of before is still in it";
    }
    let age = view.health_age_s.and_then(|age| i64::try_from(age).ok());
    let is_new = age.is_some_and(|age| clock::wall().as_second() - age >= since.as_second());
    match (view.presence, is_new, view.ready) {
        (_, false, _) => "it has not been heard since",
        (Some(Presence::Online), true, Some(true)) => READY,
        (Some(Presence::Online), true, _) => "connected, and not ready; its page says why",
        (_, true, _) => "heard, and not connected now",
    }
}

/// What the hub knows of a booth that was there before.
fn seen(config: &HubConfig, booth: &BoothId) -> Result<Option<BoothView>, EnrolError> {
    let dir = &config.store.dir;
    if !crate::store::is_there(dir)? {
        return Ok(None);
    }
    let status = BrokerStatus {
        connected: false,
        detail: String::new(),
        rival: None,
    };
    let views = StoreViews::open(
        dir,
        config.booths.clone(),
        std::sync::Arc::new(std::sync::Mutex::new(status)),
    )?;
    let fleet = views.fleet();
    if fleet.is_unknown {
        return Err(EnrolError::Not(fleet.broker_detail));
    }
    let found = fleet
        .booths
        .into_iter()
        .find(|one| one.booth_id == booth.as_str());
    Ok(found.filter(|one| one.heard))
}

fn tell_before(before: &BoothView) {
    let id = &before.booth_id;
    say!(
        "{id} is known: this is a new card for it. Its password changes, so the old card connects no more."
    );
    match (before.spool_clips, before.health_age_s) {
        (Some(0), Some(age)) => say!(
            "The card that is there now held no message {} min ago.",
            age / 60
        ),
        (Some(clips), Some(age)) => say!(
            "!! The card that is there now held {clips} messages {} min ago. Empty it first: the command `drain` on its page, or send the card in; messages on it are never lost, only late.",
            age / 60
        ),
        _ => say!(
            "What the card that is there now holds is not known. Send it in; messages may lie on it."
        ),
    }
}

fn recipients(config: &HubConfig) -> Result<Vec<String>, EnrolError> {
    let named = config.privacy.recipients.clone();
    if !named.is_empty() {
        return Ok(named);
    }
    let own = Keyring::read(&config.privacy.identities)?.recipients();
    if own.is_empty() {
        let why = "No key of the city is known, and a booth that cannot seal takes no messages. Name it in [privacy] recipients of hub.toml; `booth-hub keys new` makes one.";
        return Err(EnrolError::Not(why.into()));
    }
    Ok(own.iter().map(ToString::to_string).collect())
}

/// A password by chance, of letters and digits that nobody takes for another.
///
/// # Errors
/// A kernel that gives no chance.
pub(crate) fn password() -> Result<String, EnrolError> {
    let mut password = String::new();
    while password.len() < PASSWORD {
        let mut byte = [0; 1];
        booth_sealing::Random::fill(&mut KernelRandom, &mut byte)
            .map_err(|why| EnrolError::Not(format!("the kernel gives no chance: {why}")))?;
        // Each letter is as likely as the others: what is left over is thrown again.
        let limit = 256 - 256 % LETTERS.len();
        if usize::from(byte[0]) < limit {
            password.push(char::from(LETTERS[usize::from(byte[0]) % LETTERS.len()]));
        }
    }
    Ok(password)
}

fn booth_toml(
    config: &HubConfig,
    wanted: &Wanted,
    recipients: &[String],
    has_ca: bool,
    now: Timestamp,
) -> Result<String, EnrolError> {
    let Some(url) = config.enrol.url.as_ref().or(config.mqtt.url.as_ref()) else {
        return Err(EnrolError::Not(
            "Neither [enrol] url nor [mqtt] url of hub.toml names the broker.".into(),
        ));
    };
    let broker =
        BrokerUrl::parse(url).map_err(|why| EnrolError::Not(format!("[mqtt] url: {why}")))?;
    if broker.is_this_machine() {
        let why = format!(
            "{url} is this machine, which no booth reaches. Write [enrol] url of hub.toml: the broker's address as booths reach it."
        );
        return Err(EnrolError::Not(why));
    }
    let text = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let list = |texts: &[String]| {
        toml::Value::Array(
            texts
                .iter()
                .map(|one| toml::Value::String(one.clone()))
                .collect(),
        )
        .to_string()
    };
    let mut lines = vec![
        format!(
            "# {} of {}. Questions come from the centre.",
            wanted.booth,
            now.strftime("%Y-%m-%d")
        ),
        "[booth]".into(),
        format!("id = {}", text(wanted.booth.as_str())),
    ];
    if !wanted.name.is_empty() {
        lines.push(format!("name = {}", text(&wanted.name)));
    }
    lines.extend([
        format!("timezone = {}", text(&config.city.time_zone)),
        "".into(),
        "[mqtt]".into(),
        format!("url = {}", text(url)),
        "password_file = \"mqtt-password\"".into(),
    ]);
    if config.mqtt.root != "booth/1" {
        lines.push(format!("root = {}", text(&config.mqtt.root)));
    }
    if has_ca {
        lines.push("ca_file = \"ca.pem\"".into());
    }
    lines.extend([
        "".into(),
        "[privacy]".into(),
        format!("recipients = {}", list(recipients)),
    ]);
    if !config.enrol.control_keys.is_empty() {
        lines.extend([
            "".into(),
            "[control]".into(),
            format!("keys = {}", list(&config.enrol.control_keys)),
        ]);
    }
    lines.push(String::new());
    Ok(lines.join("\n"))
}

fn expected(wanted: &Wanted) -> String {
    let text = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut lines = vec![
        "[[booth]]".to_owned(),
        format!("id = {}", text(wanted.booth.as_str())),
    ];
    for (key, value) in [("name", &wanted.name), ("place", &wanted.place)] {
        if !value.is_empty() {
            lines.push(format!("{key} = {}", text(value)));
        }
    }
    lines.join("\n")
}

/// Tells the broker's command; whatever hangs is ended.
fn tell_broker(command: &[String], booth: &BoothId, password: &str) -> Result<(), String> {
    let filled: Vec<String> = command
        .iter()
        .map(|word| word.replace("{booth}", booth.as_str()))
        .collect();
    let Some((program, arguments)) = filled.split_first() else {
        return Err("[enrol] command names no program".into());
    };
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn();
    let mut child =
        child.map_err(|why| format!("[enrol] command {program:?} cannot be started: {why}"))?;
    if let Some(mut input) = child.stdin.take()
        && let Err(why) = writeln!(input, "{password}")
        && why.kind() != io::ErrorKind::BrokenPipe
    {
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!(
            "[enrol] command {program:?} does not take the password: {why}"
        ));
    }
    ended(&mut child).and_then(|status| match status.success() {
        true => Ok(()),
        false => Err(format!("[enrol] command {program:?} ended with {status}")),
    })
}

fn ended(child: &mut Child) -> Result<std::process::ExitStatus, String> {
    let began = clock::mono();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if clock::mono().since(began) < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20))
            }
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!(
                    "[enrol] command did not end within {} s",
                    PATIENCE.as_secs()
                ));
            }
            Err(why) => return Err(format!("[enrol] command: {why}")),
        }
    }
}

/// A page to be printed and put on the card's bag: what it is, and the way to its page. No secret is on it.
fn label(wanted: &Wanted, address: &str, now: Timestamp) -> Markup {
    let title = if wanted.name.is_empty() {
        wanted.booth.as_str()
    } else {
        wanted.name.as_str()
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "Card of " (wanted.booth) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                div.label {
                    div {
                        h1 { (title) }
                        p.id { (wanted.booth) }
                        @if !wanted.place.is_empty() { p { (wanted.place) } }
                        p { "Card made " (now.strftime("%Y-%m-%d").to_string()) }
                        p.small { "Found this card? It belongs to a telephone booth. What is on it cannot be heard; send it to whoever runs the booths." }
                    }
                    div.code { (qr_code(address, "The booth's page at the hub")) }
                }
            }
        }
    }
}

const STYLE: &str = "body{font:11pt/1.35 sans-serif;margin:1cm;color:#000;background:#fff}.label{border:1px solid #000;width:10cm;padding:.4cm;display:flex;gap:.4cm}\
h1{font-size:15pt;margin:0}p{margin:.15cm 0}.id{font:bold 12pt monospace}.small{font-size:8pt}.code svg{width:3cm;height:3cm}@page{margin:1cm}";

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_booth_is_ready_with_its_new_card_and_not_with_the_one_that_still_speaks() {
        let since = clock::wall();
        let mut view = BoothView::never_heard("torvet-2");
        view.heard = true;
        view.presence = Some(Presence::Online);
        view.ready = Some(true);
        view.health_age_s = Some(0);
        view.card_id = Some("old".into());
        assert_eq!(step(&view, None, since), READY);
        let before = CardId::from("old");
        assert_ne!(step(&view, Some(&before), since), READY);
        view.card_id = Some("new".into());
        assert_eq!(step(&view, Some(&before), since), READY);
    }

    fn scene() -> (tempfile::TempDir, HubConfig, Wanted) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = HubConfig::default();
        config.store.dir = folder.path().join("store");
        config.mqtt.url = Some("mqtts://broker.example".into());
        let key = booth_sealing::Identity::generate(&mut KernelRandom).expect("a key");
        config.privacy.recipients = vec![key.recipient().to_string()];
        let wanted = Wanted {
            booth: BoothId::parse("torvet-2").expect("an id"),
            name: "Torvet \"2\"".into(),
            place: "At the <well>".into(),
            output: folder.path().join("card"),
        };
        (folder, config, wanted)
    }

    fn read(wanted: &Wanted, name: &str) -> String {
        fs::read_to_string(wanted.output.join(name)).expect(name)
    }

    #[test]
    fn a_new_booth_gets_its_files_and_nothing_is_written_over() {
        let (folder, mut config, wanted) = scene();
        let ca = folder.path().join("broker-ca.pem");
        fs::write(&ca, "a certificate").expect("written");
        config.enrol.ca_file = Some(ca);
        config.enrol.control_keys = vec!["RWQ".into()];
        config.city.time_zone = "Europe/Dublin".into();
        enrol(&config, &wanted).expect("enrolled");
        let toml: toml::Table = read(&wanted, "booth.toml").parse().expect("TOML");
        assert_eq!(toml["booth"]["name"].as_str(), Some("Torvet \"2\""));
        assert_eq!(toml["booth"]["timezone"].as_str(), Some("Europe/Dublin"));
        assert_eq!(toml["mqtt"]["url"].as_str(), Some("mqtts://broker.example"));
        assert_eq!(toml["mqtt"]["ca_file"].as_str(), Some("ca.pem"));
        assert_eq!(
            toml["privacy"]["recipients"][0].as_str(),
            Some(config.privacy.recipients[0].as_str())
        );
        assert_eq!(toml["control"]["keys"][0].as_str(), Some("RWQ"));
        let password = read(&wanted, "mqtt-password");
        assert!(
            password.trim().len() == PASSWORD
                && password.trim().bytes().all(|byte| LETTERS.contains(&byte))
        );
        let label = read(&wanted, "label.html");
        assert!(
            label.contains("At the &lt;well&gt;") && label.contains("<svg"),
            "{label}"
        );
        assert!(!label.contains(password.trim()));
        for name in ["booth.toml", "mqtt-password", "ca.pem", "label.html"] {
            let mode = fs::metadata(wanted.output.join(name))
                .expect(name)
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let again = enrol(&config, &wanted).expect_err("they are there");
        assert!(again.to_string().contains("booth.toml"), "{again}");
        assert_eq!(read(&wanted, "mqtt-password"), password);
    }

    #[test]
    fn the_brokers_command_gets_id_and_password_and_its_failure_is_told_with_the_way_out() {
        let (folder, mut config, wanted) = scene();
        let got = folder.path().join("got");
        let script = format!("cat >{}; echo {{booth}} >>{}", got.display(), got.display());
        config.enrol.command = vec!["sh".into(), "-c".into(), script];
        enrol(&config, &wanted).expect("enrolled");
        let said = fs::read_to_string(&got).expect("said");
        assert_eq!(
            said,
            format!("{}torvet-2\n", read(&wanted, "mqtt-password"))
        );
        for command in [&["false"][..], &["/nowhere/at-all"]] {
            fs::remove_dir_all(&wanted.output).expect("gone");
            config.enrol.command = command.iter().map(|word| (*word).to_owned()).collect();
            let why = enrol(&config, &wanted).expect_err("it fails").to_string();
            assert!(
                why.contains("by hand") && why.contains("mqtt-password"),
                "{why}"
            );
            assert!(wanted.output.join("booth.toml").exists());
        }
    }

    #[test]
    fn what_a_booth_could_not_use_is_refused_before_anything_is_made() {
        let (_folder, config, wanted) = scene();
        let refused = |config: &HubConfig, wanted: &Wanted| {
            enrol(config, wanted).expect_err("refused").to_string()
        };
        let mut own = config.clone();
        own.mqtt.url = Some("mqtt://127.0.0.1".into());
        assert!(refused(&own, &wanted).contains("[enrol] url"));
        let mut keyless = config.clone();
        keyless.privacy.recipients.clear();
        assert!(refused(&keyless, &wanted).contains("booth-hub keys new"));
        let mut nowhere = config.clone();
        nowhere.mqtt.url = None;
        assert!(refused(&nowhere, &wanted).contains("[mqtt] url"));
        let mut own = config.clone();
        own.mqtt.username = Some(wanted.booth.to_string());
        assert!(refused(&own, &wanted).contains("own name"));
        let mut long = wanted.clone();
        long.name = "x\ny".into();
        assert!(refused(&config, &long).contains("--name"));
        assert!(!wanted.output.exists());
    }
}
