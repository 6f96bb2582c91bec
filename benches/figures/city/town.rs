//! The city that is asked: a hub with a year in its database, its campaigns, somebody of its staff, and one sealed clip of three minutes.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use booth_city::made_up::{self, CAMPAIGNS, QUESTIONS};
use booth_host::plain_file::make_private;
use booth_testkit::hub::{Booth, Broker, Clip, Home, Hub};
use booth_testkit::hub_program::hub_program;
use booth_testkit::repository;
use booth_testkit::staff::Staff;
use booth_testkit::wait;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use super::super::{encoders, make_speech, sealing};

const PASSWORD: &str = "a year of a city";
const NAME: &str = "anna";
/// Length of the clip that the desk shows and plays.
pub(super) const LONG_S: usize = 180;

/// See the module's comment.
pub(super) struct Town {
    pub(super) broker: Broker,
    pub(super) hub: Hub,
    pub(super) home: Home,
    /// The address of the citizens' pages, with a slash at its end.
    pub(super) citizens: String,
    pub(super) staff: Staff,
    /// Ids of published messages.
    pub(super) published: Vec<String>,
    /// The sealed clip of three minutes.
    pub(super) long: String,
    /// Given back at the end.
    _apart: Option<Apart>,
}

impl Town {
    /// A year of so many messages; where it `is_measured`, the hub has one processor, and nothing else of this program is on it.
    pub(super) fn of(messages: u64, is_measured: bool) -> Self {
        // Before anything is started: children stay where their parent is.
        let apart = is_measured.then(Apart::begin);
        let broker = Broker::open();
        let folder = tempfile::tempdir().expect("a folder");
        let (city, seal_to) = sealing::city();
        let key = folder.path().join("city.key");
        make_private(&key, city.to_text().as_bytes()).expect("a key");
        let home = Home::new(
            broker.port,
            &format!(
                "[privacy]\nidentities = [{key:?}]\n[city]\nname = \"Aarhus\"\nlisten = \"127.0.0.1:0\"\n\
                 contact = \"Borgerservice, tlf. 89 40 00 00\"\n[[booth]]\nid = \"rundhoej-1\"\nname = \"Torv\"\n"
            ),
        );
        let store = home.path().join("store");
        std::fs::create_dir_all(&store).expect("a folder");
        made_up::fill_folder(&store, "Europe/Copenhagen", messages).expect("a year");
        let roles = ["moderator", "editor", "administrator"];
        let roles: Vec<&str> = roles.iter().flat_map(|role| ["--role", role]).collect();
        run(&home, &[&["people", "add", NAME], &roles[..]].concat());
        for (number, (id, title, _)) in CAMPAIGNS.iter().enumerate() {
            let file = campaign(&home, number, id, title);
            run(&home, &["campaign", "prompts", &file]);
            run(&home, &["campaign", "publish", &file, "--wait", "0"]);
        }
        let hub = Hub::start_with(&home, |command| {
            if apart.is_some() {
                *command = Command::new("taskset");
                command.args(["-c", HUBS]).arg(hub_program());
            }
        });
        let address = |line: &str| {
            let said = hub.says(line);
            let rest = said.split(line).nth(1).unwrap_or_default();
            let address = rest.split([',', ' ', '\n']).next().unwrap_or_default();
            address.to_owned()
        };
        let citizens = address("pages for citizens on ");
        let base = hub.address();
        let staff = Staff::log_in(base.trim_end_matches('/'), NAME, PASSWORD)
            .unwrap_or_else(|why| panic!("{why}"));
        let long = deliver_long(&broker, folder.path(), &seal_to);
        let town = Self {
            published: ids(
                &home,
                "SELECT id FROM message WHERE state = 'published' ORDER BY id LIMIT 1000",
            ),
            broker,
            hub,
            home,
            citizens,
            staff,
            long,
            _apart: apart,
        };
        wait::until("the city has the long clip", || {
            town.staff
                .get(&format!("desk/message/{}", town.long))
                .ok()
                .map(drop)
        });
        town.rests();
        town
    }

    /// Waits until the hub has nothing to do: what it does once when it starts is not what is measured.
    pub(super) fn rests(&self) {
        let used = || used_ms(self.hub.pid());
        let mut last = (Instant::now(), used());
        wait::until("the hub rests", || {
            let (since, before) = last;
            if since.elapsed() < Duration::from_secs(2) {
                return None;
            }
            let now = used();
            last = (Instant::now(), now);
            (now - before < 200).then_some(())
        });
    }

    /// Ids of messages of which this asks.
    pub(super) fn ids(&self, sql: &str) -> Vec<String> {
        ids(&self.home, sql)
    }

    pub(super) fn end(self) {
        self.hub.kill();
    }
}

/// The processor that is the hub's alone, and the one of everything that asks it.
const HUBS: &str = "1";
const OTHERS: &str = "0";

/// This program with everything that it starts on [`OTHERS`], until this value is dropped.
struct Apart {
    /// The processors that it had.
    before: String,
}

impl Apart {
    fn begin() -> Self {
        let asked = Command::new("taskset").args(["-c", "-p", &own()]).output();
        let said = String::from_utf8(asked.expect("taskset").stdout).expect("text");
        let before = said
            .rsplit(' ')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned();
        put_on(OTHERS);
        Self { before }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        put_on(&self.before);
    }
}

fn own() -> String {
    std::process::id().to_string()
}

/// Puts this program's threads on these processors.
fn put_on(processors: &str) {
    let moved = Command::new("taskset")
        .args(["-a", "-c", "-p", processors, &own()])
        .stdout(Stdio::null())
        .status();
    assert!(
        moved.is_ok_and(|status| status.success()),
        "taskset -c {processors}"
    );
}

/// CPU time of a process so far, ms.
pub(super) fn used_ms(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks = |at: usize| -> u64 {
        let field = fields.split_whitespace().nth(at).expect("a field");
        field.parse().expect("ticks")
    };
    (ticks(11) + ticks(12)) * 10
}

/// `booth-hub` to its end; a password is what it reads.
fn run(home: &Home, arguments: &[&str]) {
    let mut child = Command::new(hub_program())
        .args(arguments)
        .arg("--config")
        .arg(home.config())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("booth-hub starts");
    if let Some(mut words) = child.stdin.take() {
        // A command that asks for nothing does not read it.
        let _ = words.write_all(format!("{PASSWORD}\n").as_bytes());
    }
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
}

/// The file of one of the year's campaigns: a question and a vote.
fn campaign(home: &Home, number: usize, id: &str, title: &str) -> String {
    let sounds = repository().join("tests/fixtures/sounds");
    let sound = sounds.join("tone.ogg").display().to_string();
    let (asks, votes) = QUESTIONS[number];
    let digit = 2 * number + 2;
    let text = format!(
        "id = {id:?}\ntitle = {title:?}\nbooths = \"all\"\nlanguage = \"da\"\n\n\
         [[question]]\nid = {asks:?}\ndigit = {digit}\nkind = \"speak\"\npublish = \"ask_voice\"\ntext.da = \"Hvad skal der ske her?\"\nsound.da = {sound:?}\n\
         [[question]]\nid = {votes:?}\ndigit = {}\nkind = \"choose\"\ntext.da = \"Hvilken farve?\"\nsound.da = {sound:?}\n\
         [[question.option]]\nid = \"green\"\ndigit = 2\ntext.da = \"Grøn\"\nsound.da = {sound:?}\n\
         [[question.option]]\nid = \"red\"\ndigit = 3\ntext.da = \"Rød\"\nsound.da = {sound:?}\n",
        digit + 1
    );
    let path = home.path().join(format!("{id}.toml"));
    std::fs::write(&path, text).expect("written");
    path.display().to_string()
}

/// Three minutes of speech, recorded and sealed by a booth's own recorder and delivered as a booth does; its id.
fn deliver_long(broker: &Broker, folder: &Path, seal_to: &booth_sealing::SealTo) -> String {
    let (wav, sealed) = (folder.join("long.wav"), folder.join("long.sealed"));
    make_speech(&wav, LONG_S);
    encoders::record(&wav, &sealed, seal_to);
    let body = std::fs::read(&sealed).expect("a body");
    let mut clip = Clip::with_body("rundhoej-1", 7, body);
    clip.id = encoders::RECORDED.to_string();
    let (id, consent) = (
        clip.id.clone(),
        json!({"mode": "digit", "key": "1", "notice_id": "0123456789abcdef", "publish": "voice"}),
    );
    for (name, value) in [
        ("clip_id", json!(id)),
        ("body", json!("sealed-ogg-opus/1")),
        ("campaign_id", json!(CAMPAIGNS[0].0)),
        ("duration_ms", json!(LONG_S * 1_000)),
        (
            "started_at",
            json!(booth_contract::time::rfc3339(jiff::Timestamp::now())),
        ),
        ("consent", consent),
        ("speech_ratio", json!(0.8)),
    ] {
        clip.manifest[name] = value;
    }
    let booth = booth_on(broker, "rundhoej-1");
    booth.deliver(&clip);
    clip.id
}

/// A booth that hears what becomes of its clips, and not what it is to ask.
pub(super) fn booth_on(broker: &Broker, id: &str) -> Booth {
    let filters = [format!("booth/1/dn/{id}/ack/#"), "booth/1/hub/state".into()];
    let booth = Booth::listening(broker.port, id, &filters);
    booth.hub_becomes("online");
    booth
}

fn ids(home: &Home, sql: &str) -> Vec<String> {
    let path = home.path().join("store/city.sqlite");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).expect("city.sqlite");
    let mut statement = db.prepare(sql).expect("a question");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.collect::<rusqlite::Result<_>>().expect("ids")
}
