//! Typed configuration: unknown keys are refused with file, line and a suggestion.
//!
//! Owns: the shape of `booth.toml`, its defaults and the check for values that cannot work. Never does: touch a device or a
//! network, or demand that a prompt file exists.

mod audio;
mod body;
mod codes;
mod handset;
mod network;
pub mod zone;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::trust::keys::Keys;
use crate::trust::whence::Whence;
pub use audio::{Audio, Band, ControlKind, Loudness, MixerControl};
pub use body::{Bell, SelfTest, Service, Tone};
use booth_contract::BrokerUrl;
use booth_contract::{BoothId, ConsentMode};
pub use booth_host::config_file::parse;
use booth_host::config_file::{ConfigError, LONGEST_FILE, parse_bytes, read, unread};
use booth_sealing::{Recipient, Recipients};
use booth_spool::disk::{Disk, read_whole};
use gateway_core::spoken::Language;
pub use handset::{Backend, Contact, Handset, Hook, Keypad, Level, Output, Pull};
pub use network::{Fixed, Modem, Network, SecretKind, Wifi, Wired};

/// The folder of root's on the card's data partition in which the updater keeps its state.
pub const STATE_FOLDER: &str = "/data/booth-update";
/// Longest name that goes into a manifest.
const LONGEST_NAME: usize = 128;
/// Longest topic root: a packet has to hold a topic with all its levels.
const LONGEST_ROOT: usize = 64;

/// `booth.toml`. Relative names need the file's own path to be resolved: see [`Config::load`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // the names are the contract's own (§2)
pub struct Config {
    pub booth: Booth,
    #[serde(default)]
    pub mqtt: Mqtt,
    #[serde(default)]
    pub handset: Handset,
    #[serde(default)]
    pub audio: Audio,
    #[serde(default)]
    pub session: Session,
    #[serde(default, rename = "question")]
    pub questions: Vec<Question>,
    #[serde(default)]
    pub spool: Spool,
    #[serde(default)]
    pub privacy: Privacy,
    #[serde(default)]
    pub health: Health,
    #[serde(default)]
    pub bell: Bell,
    #[serde(default)]
    pub service: Service,
    #[serde(default)]
    pub selftest: SelfTest,
    #[serde(default)]
    pub update: Update,
    #[serde(default)]
    pub doctor: Doctor,
    #[serde(default)]
    pub network: Network,
}

impl Config {
    /// Reads `booth.toml`, checks every value and makes relative paths absolute, starting from the file's folder.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let (config, checked) = Self::read_unchecked(path)?;
        checked.map(|()| config)
    }

    /// The same for root, which must not trust what an unprivileged gateway can write: it reads through a disk that guards
    /// its folder.
    pub fn load_guarded(disk: &dyn Disk, path: &Path) -> Result<Self, ConfigError> {
        let bytes = read_whole(disk, path, LONGEST_FILE).map_err(|error| unread(path, &error))?;
        let mut config: Self = parse_bytes(&bytes, path)?;
        config.check(&path.display().to_string())?;
        config.resolve(path.parent().unwrap_or(Path::new(".")));
        Ok(config)
    }

    /// The same for a search for faults: returns the configuration, and separately what is wrong with its values.
    pub fn read_unchecked(path: &Path) -> Result<(Self, Result<(), ConfigError>), ConfigError> {
        let mut config: Self = read(path)?;
        let checked = config.check(&path.display().to_string());
        let beside = path.parent().unwrap_or(Path::new("."));
        config.resolve(beside);
        Ok((config, checked))
    }

    /// Where a running gateway answers the doctor: by default beside the handset's control socket.
    pub fn doctor_socket(&self) -> PathBuf {
        let beside = self.handset.control_socket.with_file_name("doctor.sock");
        self.doctor.socket.clone().unwrap_or(beside)
    }

    /// Checks for values that cannot work; the error names every fault at once, a sentence each.
    pub fn check(&self, file: &str) -> Result<(), ConfigError> {
        let mut faults = Vec::new();
        let mut fault = |text: String| faults.push(format!("{file}: {text}"));
        if let Err(why) = zone::check(&self.booth.timezone) {
            fault(format!("[booth] timezone {why}"));
        }
        if let Some(url) = &self.mqtt.url
            && let Err(error) = BrokerUrl::parse(url)
        {
            fault(format!("[mqtt] url: {error}"));
        }
        if self.mqtt.cert_file.is_some() != self.mqtt.key_file.is_some() {
            fault("[mqtt] cert_file and key_file belong together; give both or neither".into());
        }
        let root = &self.mqtt.root;
        if root.is_empty()
            || root.starts_with('/')
            || root.ends_with('/')
            || root.len() > LONGEST_ROOT
            || root.contains(['#', '+', '\0'])
        {
            fault(format!(
                "[mqtt] root {root:?}: use levels such as \"booth/1\", no wildcard, no slash at an end, at \
                 most {LONGEST_ROOT} bytes"
            ));
        }
        if !(0..=10_000_000).contains(&self.mqtt.upload_kbit_s)
            || (1..16).contains(&self.mqtt.upload_kbit_s)
        {
            fault(
                "[mqtt] upload_kbit_s: use 16 to 10000000 kbit/s, or 0 for no limit; below 16 speech comes in faster \
                 than it can leave"
                    .into(),
            );
        }
        self.audio.check(&mut fault);
        self.handset.check(&mut fault);
        self.bell.check(self.handset.ringer.is_some(), &mut fault);
        self.selftest.check(&mut fault);
        let credentials = [
            &self.mqtt.password_file,
            &self.mqtt.ca_file,
            &self.mqtt.cert_file,
            &self.mqtt.key_file,
        ];
        let credentials: Vec<&str> = credentials
            .into_iter()
            .flatten()
            .filter_map(|path| path.to_str())
            .collect();
        self.network.check(&credentials, &mut fault);
        if let Err(error) = Keys::parse(&self.update.keys) {
            fault(error.to_string());
        }
        if let Err(error) = Whence::parse(&self.update.allow) {
            fault(error);
        }
        self.check_session(&mut fault);
        if self.spool.max_bytes < 1_000_000 {
            fault("[spool] max_bytes: less than 1 MB holds no message".into());
        }
        if let Err(faults) = self.privacy.seal_to() {
            faults.into_iter().for_each(&mut fault);
        }
        if !(1..=86_400).contains(&self.health.interval_s) {
            fault("[health] interval_s: use 1 to 86400 seconds".into());
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(ConfigError(faults))
        }
    }

    /// Mistakes that do not keep a booth from running, the same on every machine; a sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let mut all = Vec::new();
        if let Some(country) = &self.network.country
            && !codes::is_country(country)
        {
            let meant = match codes::meant_country(country) {
                Some((code, name)) => format!("{name} is {code:?}"),
                None => "write the country's two letters, as \"DK\"".to_owned(),
            };
            all.push(format!(
                "[network] country {country:?} is no country's code (ISO 3166-1); {meant}. Wi-Fi keeps to the channels that are allowed everywhere"
            ));
        }
        if let Some(why) = self.service_fault() {
            all.push(format!("{why}. The booth takes no service code meanwhile"));
        }
        all.extend(self.mqtt.open_password());
        if let Some(why) = codes::wrong_language(&self.session.language) {
            let voice = match Language::of(&self.session.language) {
                Language::Danish => "Danish",
                Language::English => "English",
            };
            all.push(format!(
                "[session] language {why}. The booth's own voice speaks {voice} meanwhile"
            ));
        }
        all
    }

    /// Why the service code is ignored. Cards in the field have codes that earlier versions accepted, so a bad code does not
    /// keep a booth from running; it is among the warnings, and `check-config` refuses it.
    pub fn service_fault(&self) -> Option<String> {
        self.service.fault(&self.session.emergency_numbers)
    }

    /// The warnings, and those that only this machine can give.
    pub fn warnings_here(&self) -> Vec<String> {
        let mut all = self.warnings();
        all.extend(zone::lacking(&self.booth.timezone));
        all
    }

    fn check_session(&self, fault: &mut impl FnMut(String)) {
        let session = &self.session;
        if !(5..=3600).contains(&session.max_seconds) {
            fault("[session] max_seconds: use 5 to 3600".into());
        }
        if session.min_seconds >= session.max_seconds {
            fault("[session] min_seconds must be less than max_seconds".into());
        }
        if !(2..=600).contains(&session.choose_seconds) {
            fault("[session] choose_seconds: use 2 to 600".into());
        }
        let plain = |name: &str| {
            !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
        };
        if !plain(&session.language)
            || session.language.len() > LONGEST_NAME
            || session.language.chars().any(char::is_control)
        {
            fault(format!(
                "[session] language {:?} is no folder name",
                session.language
            ));
        }
        for number in &session.emergency_numbers {
            if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
                fault(format!(
                    "[session] emergency_numbers: {number:?} is not made of digits"
                ));
            }
        }
        for (index, question) in self.questions.iter().enumerate() {
            let id = &question.id;
            if !(1..=9).contains(&question.digit) {
                fault(format!(
                    "[[question]] {id:?}: digit {} is outside 1 to 9",
                    question.digit
                ));
            }
            // The id goes into every manifest, and the hub takes no longer one.
            if id.is_empty() || id.len() > LONGEST_NAME || id.chars().any(char::is_control) {
                fault(format!(
                    "[[question]] id {:?}: use 1 to {LONGEST_NAME} bytes, no control characters",
                    id.chars().take(40).collect::<String>()
                ));
            }
            if question.kind == QuestionKind::Choose {
                fault(format!(
                    "[[question]] {id:?}: kind \"choose\" is not there yet; use \"speak\""
                ));
            }
            if !plain(question.prompt_name()) {
                fault(format!(
                    "[[question]] {id:?}: prompt {:?} is no file name",
                    question.prompt_name()
                ));
            }
            let earlier = &self.questions[..index];
            if let Some(other) = earlier.iter().find(|other| other.digit == question.digit) {
                fault(format!(
                    "[[question]] {id:?} and {:?} share digit {}",
                    other.id, question.digit
                ));
            }
            if earlier.iter().any(|other| other.id == *id) {
                fault(format!("[[question]] id {id:?} is there twice"));
            }
        }
        if session.consent != ConsentMode::Digit && self.questions.len() != 1 {
            fault(
                "[session] consent: \"button\" and \"implied\" need exactly one [[question]]"
                    .into(),
            );
        }
    }

    fn resolve(&mut self, beside: &Path) {
        let files = [
            &mut self.mqtt.password_file,
            &mut self.mqtt.ca_file,
            &mut self.mqtt.cert_file,
            &mut self.mqtt.key_file,
        ];
        for path in files.into_iter().flatten() {
            *path = beside.join(&*path);
        }
        self.session.prompts = beside.join(&self.session.prompts);
        self.spool.dir = beside.join(&self.spool.dir);
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Booth {
    pub id: BoothId,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub contact: String,
    #[serde(default = "default_timezone")]
    pub timezone: String,
}

fn default_timezone() -> String {
    "Europe/Copenhagen".into()
}

/// Whose confirmation releases a clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirm {
    /// The hub's ack, by hash.
    Hub,
    /// The broker's PUBACK Success for every part and for the manifest.
    Broker,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Mqtt {
    pub url: Option<String>,
    pub password_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    pub root: String,
    pub confirm: Confirm,
    /// How fast clips may leave, kbit/s; 0 is as fast as the link goes.
    pub upload_kbit_s: u64,
}

impl Mqtt {
    /// The same in bytes per second.
    pub fn upload_bytes_per_s(&self) -> Option<u64> {
        (self.upload_kbit_s > 0).then_some(self.upload_kbit_s * 125)
    }

    /// Warns if the password, and what citizens say, cross a network where others can read them.
    fn open_password(&self) -> Option<String> {
        self.password_file.as_ref()?;
        let url = BrokerUrl::parse(self.url.as_deref()?).ok()?;
        let is_open = !url.tls && !url.is_this_machine();
        is_open.then(|| {
            format!(
                "[mqtt] url: the password goes to {} in the clear, and whoever is on the way can take it and be this booth; \
                 write mqtts:// and give ca_file where the broker's authority is the city's own",
                url.host
            )
        })
    }
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            url: None,
            password_file: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            root: "booth/1".into(),
            confirm: Confirm::Hub,
            upload_kbit_s: 0,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Session {
    pub consent: ConsentMode,
    pub language: String,
    pub prompts: PathBuf,
    pub emergency_numbers: Vec<String>,
    pub max_seconds: u64,
    pub min_seconds: u64,
    pub silence_seconds: u64,
    pub choose_seconds: u64,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            consent: ConsentMode::Digit,
            language: "da".into(),
            prompts: "prompts".into(),
            emergency_numbers: vec!["112".into()],
            max_seconds: 180,
            min_seconds: 1,
            silence_seconds: 10,
            choose_seconds: 20,
        }
    }
}

/// What a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum QuestionKind {
    Speak,
    Choose,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Question {
    pub id: String,
    pub digit: u8,
    pub kind: QuestionKind,
    /// File name of the prompt without extension; the id by default.
    pub prompt: Option<String>,
}

impl Question {
    /// The prompt's file name without extension.
    pub fn prompt_name(&self) -> &str {
        self.prompt.as_deref().unwrap_or(&self.id)
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Spool {
    pub dir: PathBuf,
    pub max_bytes: u64,
    pub reserve_bytes: u64,
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            dir: "/var/lib/booth-gateway".into(),
            max_bytes: 4_000_000_000,
            reserve_bytes: 200_000_000,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Privacy {
    pub recipients: Vec<String>,
    pub seal: bool,
}

impl Privacy {
    /// The keys that messages are sealed to; `None` where this booth does not seal, and where no key is named.
    ///
    /// # Errors
    /// A sentence for each entry that is no public key. What stands there is not repeated: it may be a private key.
    pub fn seal_to(&self) -> Result<Option<Recipients>, Vec<String>> {
        let (mut keys, mut faults) = (Vec::new(), Vec::new());
        for (n, text) in (1..).zip(&self.recipients) {
            match Recipient::parse(text) {
                Ok(key) => keys.push(key),
                Err(error) => faults.push(format!("[privacy] recipients, entry {n}: {error}")),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        if !self.seal || keys.is_empty() {
            return Ok(None);
        }
        let keys = Recipients::new(keys);
        keys.map(Some)
            .map_err(|error| vec![format!("[privacy] recipients: {error}")])
    }

    /// Whether messages must be sealed and no key is named, so that none is taken.
    pub fn lacks_recipient(&self) -> bool {
        self.seal && self.recipients.is_empty()
    }
}

impl Default for Privacy {
    fn default() -> Self {
        Self {
            recipients: Vec::new(),
            seal: true,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Health {
    pub interval_s: u64,
}

impl Default for Health {
    fn default() -> Self {
        Self { interval_s: 60 }
    }
}

/// Whose updates this booth takes, and from where.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Update {
    /// minisign's public keys; without any, no update is taken.
    pub keys: Vec<String>,
    /// Hosts, addresses and networks that an update may come from although they are not public, or by `http://`.
    pub allow: Vec<String>,
    /// The folder in which the updater, which runs as root, keeps its state.
    pub state: PathBuf,
}

impl Default for Update {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            allow: Vec::new(),
            state: STATE_FOLDER.into(),
        }
    }
}

/// Settings of `booth-gateway doctor`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Doctor {
    /// Where a running gateway answers the doctor; by default `doctor.sock` beside `[handset] control_socket`.
    pub socket: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "[booth]\nid = \"rundhoej-1\"\n[privacy]\nseal = false\n";

    fn faults(text: &str) -> String {
        match parse::<Config>(text, "booth.toml") {
            Ok(config) => config
                .check("booth.toml")
                .map_or_else(|e| e.to_string(), |()| String::new()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn only_the_id_is_required_beside_the_unsealed_demonstration() {
        assert_eq!(faults(LEAST), "");
        assert_eq!(
            faults(&format!("\u{feff}{}", LEAST.replace('\n', "\r\n"))),
            ""
        );
        assert!(faults("").contains("missing field `booth`"));
    }

    #[test]
    fn an_unknown_key_is_named_with_line_and_suggestion() {
        let text = format!("{LEAST}[audio]\nbitrat = 24000\n");
        assert_eq!(
            faults(&text),
            "booth.toml:6: unknown field `bitrat`, expected one of `input`, `output`, `bitrate`, \
             `complexity`, `bandwidth`, `mixer`, `capture_control`, `capture_db`, `capture_percent`, \
             `playback_control`, `playback_db`, `playback_percent`, `sidetone_control`, `sidetone_db`, \
             `sidetone_percent`; did you mean `bitrate`?"
        );
    }

    #[test]
    fn values_that_cannot_work_are_all_named_at_once() {
        let text = format!(
            "{LEAST}[mqtt]\nurl = \"http://x\"\nkey_file = \"k\"\n[session]\nmax_seconds = 1\n\
             [[question]]\nid = \"a\"\ndigit = 1\nkind = \"speak\"\n\
             [[question]]\nid = \"a\"\ndigit = 1\nkind = \"choose\"\n"
        );
        let all = faults(&text);
        for part in [
            "unknown scheme",
            "belong together",
            "max_seconds",
            "share digit 1",
            "twice",
            "choose",
        ] {
            assert!(all.contains(part), "{part} missing in {all}");
        }
    }

    #[test]
    fn a_mixer_control_needs_a_card_by_name_and_one_measure() {
        let audio = |lines: &str| faults(&format!("{LEAST}[audio]\n{lines}"));
        assert_eq!(audio("capture_control = \"Mic\"\ncapture_db = 12.5\n"), "");
        assert_eq!(
            audio(
                "playback_control = \"PCM,1\"\nplayback_percent = 80\nsidetone_control = \"Mic\"\n"
            ),
            ""
        );
        let named = "capture_control = \"Mic\"\n";
        for (lines, part) in [
            ("capture_db = 3.0\n".to_owned(), "capture_control"),
            (
                format!("{named}capture_db = 3.0\ncapture_percent = 3\n"),
                "one of them",
            ),
            (format!("{named}capture_percent = 101\n"), "0 to 100"),
            (format!("{named}capture_db = nan\n"), "-100 to 60"),
            (
                "capture_control = \"a\\u0000b\"\n".into(),
                "control character",
            ),
            (format!("{named}input = \"hw:0\"\n"), "by its index"),
            (format!("{named}input = \"default\"\n"), "set [audio] mixer"),
            ("mixer = \"\"\n".into(), "mixer"),
        ] {
            let all = audio(&lines);
            assert!(all.contains(part), "{lines}: {part} missing in {all:?}");
        }
    }

    #[test]
    fn the_doctor_is_answered_beside_the_handset_unless_told_otherwise() {
        let config = |more: &str| parse::<Config>(&format!("{LEAST}{more}"), "f").expect("fine");
        assert_eq!(
            config("").doctor_socket(),
            Path::new("/run/booth-gateway/doctor.sock")
        );
        assert_eq!(
            config("[doctor]\nsocket = \"/x/d\"\n").doctor_socket(),
            Path::new("/x/d")
        );
    }

    #[test]
    fn a_topic_root_that_no_packet_holds_is_refused() {
        let root = "r/".repeat(40_000) + "r";
        assert!(faults(&format!("{LEAST}[mqtt]\nroot = \"{root}\"\n")).contains("at most 64"));
    }

    #[test]
    fn names_that_the_hub_would_refuse_with_every_clip_are_refused_here() {
        for bad in ["", &"q".repeat(129), "a\\u0001b"] {
            let question = format!(
                "[[question]]\nid = \"{bad}\"\ndigit = 1\nkind = \"speak\"\nprompt = \"p\"\n"
            );
            let all = faults(&format!("{LEAST}{question}"));
            assert!(all.contains("1 to 128 bytes"), "{bad:?}: {all}");
        }
        let language = "d".repeat(129);
        let all = faults(&format!("{LEAST}[session]\nlanguage = \"{language}\"\n"));
        assert!(all.contains("language"), "{all}");
    }

    #[test]
    fn each_question_has_one_fault_of_a_kind_however_many_there_are() {
        let question = "[[question]]\nid = \"a\"\ndigit = 1\nkind = \"speak\"\n";
        let all = faults(&format!("{LEAST}{}", question.repeat(500)));
        assert!(all.contains("twice") && all.lines().count() < 1_000);
    }

    #[test]
    #[allow(clippy::disallowed_methods)] // makes a file
    fn a_file_that_never_ends_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let long = folder.path().join("booth.toml");
        let file = std::fs::File::create(&long).expect("a file");
        file.set_len(1 << 40).expect("a long file");
        for (path, why) in [
            (&*long, "longer than"),
            (Path::new("/dev/zero"), "no plain file"),
        ] {
            let error = Config::load(path).expect_err("no configuration");
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn a_booth_seals_unless_it_is_told_not_to_and_every_key_must_be_one() {
        const CITY: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
        let privacy = |text: &str| {
            let text = format!("[booth]\nid = \"rundhoej-1\"\n{text}");
            parse::<Config>(&text, "booth.toml")
                .expect("a configuration")
                .privacy
        };
        let sealed = privacy(&format!("[privacy]\nrecipients = [\"{CITY}\"]\n"));
        let keys = sealed.seal_to().expect("a key").expect("it seals");
        assert_eq!(
            keys.iter().next().map(ToString::to_string).as_deref(),
            Some(CITY)
        );
        assert!(!sealed.lacks_recipient());
        assert!(
            privacy("").lacks_recipient(),
            "no key: nothing is taken, and nothing is kept unsealed"
        );
        let open = privacy("[privacy]\nseal = false\n");
        assert!(!open.lacks_recipient() && open.seal_to() == Ok(None));

        let secret = "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ";
        let list = format!("recipients = [\"{CITY}\", \"{secret}\", \"age1zvkyg\", \"kage\"]");
        let said = faults(&format!(
            "[booth]\nid = \"rundhoej-1\"\n[privacy]\n{list}\n"
        ));
        assert!(said.contains("entry 2: this is a PRIVATE key"), "{said}");
        assert!(!said.contains("QQQQ"), "a private key is repeated: {said}");
        assert!(
            said.contains("entry 3: the key has a typing error"),
            "{said}"
        );
        assert!(said.contains("entry 4: this is no key"), "{said}");
        let twice = format!(
            "[booth]\nid = \"rundhoej-1\"\n[privacy]\nrecipients = [\"{CITY}\", \"{CITY}\"]\n"
        );
        assert!(faults(&twice).contains("is named twice"));
    }

    #[test]
    fn times_cadences_and_codes_that_cannot_work_are_named() {
        for (text, part) in [
            ("[bell]\ncadence_ms = []\n", "cadence_ms"),
            ("[bell]\ncadence_ms = [5]\n", "cadence_ms"),
            ("[bell]\nrings = 0\n", "rings"),
            ("[bell]\nat = [\"7:00\"]\n", "no time of day"),
            ("[bell]\nat = [\"10:00\"]\n", "no bell"),
            ("[bell]\nquiet = \"nights\"\n", "no span"),
            ("[selftest]\nat = \"noon\"\n", "[selftest] at"),
            ("[handset]\nringer = { line = 17 }\n", "share line 17"),
            (
                "[handset]\nhook_flash = true\nkeypad = { rows = [1, 2, 3, 4], columns = [5, 6, 7] }\n",
                "hook_flash",
            ),
        ] {
            let all = faults(&format!("{LEAST}{text}"));
            assert!(all.contains(part), "{text}: {all}");
        }
        let quiet = "[bell]\nat = [\"10:00\", \"15:30\"]\nquiet = \"\"\n[handset]\nringer = { line = 26 }\n";
        assert_eq!(
            faults(&format!("{LEAST}{quiet}[service]\ncode = \"\"\n")),
            ""
        );
    }

    #[test]
    fn a_service_code_has_six_to_eight_digits_after_one_0_and_a_wrong_one_is_told_and_counts_for_none()
     {
        let config = |code: &str, more: &str| -> Config {
            let text = format!("{LEAST}[service]\ncode = {code:?}\n{more}");
            let config: Config = parse(&text, "booth.toml").expect("a configuration");
            config.check("booth.toml").expect("a booth runs with it");
            config
        };
        let digits = |config: &Config| config.service.digits(&config.session.emergency_numbers);
        for code in ["037415", "0374156", "03741569", "090909"] {
            let config = config(code, "");
            assert_eq!(config.warnings(), Vec::<String>::new(), "{code}");
            assert_eq!(digits(&config).len(), code.len());
        }
        let none = config("", "");
        assert!(none.warnings().is_empty() && digits(&none).is_empty());
        assert!(
            Config::clone(&parse(LEAST, "f").expect("least"))
                .service
                .code
                .is_empty()
        );
        for code in [
            "0990",
            "03741",
            "037415692",
            "003741",
            "937415",
            "0374a5",
            "٠٣٧٤١٥",
            "011247",
            "037112",
            "0112374",
            " 037415",
            "-37415",
        ] {
            let config = config(code, "");
            let warnings = config.warnings().join("\n");
            assert!(
                warnings.contains("[service] code") && warnings.contains("six to eight digits"),
                "{warnings}"
            );
            assert!(digits(&config).is_empty(), "{code}");
        }
        let other = "[session]\nemergency_numbers = [\"110\", \"374\"]\n";
        assert!(digits(&config("037415", other)).is_empty());
        // No code may contain 112, even where another emergency number is configured.
        assert!(
            digits(&config(
                "051124",
                "[session]\nemergency_numbers = [\"911\"]\n"
            ))
            .is_empty()
        );
    }

    #[test]
    fn a_password_that_crosses_a_network_in_the_clear_is_a_warning_and_one_on_this_machine_is_none()
    {
        let warned = |mqtt: &str| {
            let config: Config =
                parse(&format!("{LEAST}[mqtt]\n{mqtt}"), "booth.toml").expect("read");
            config
                .warnings()
                .iter()
                .any(|why| why.contains("[mqtt] url") && why.contains("mqtts://"))
        };
        let with = "password_file = \"mqtt-password\"\n";
        for host in [
            "broker.example",
            "broker.example:1884",
            "192.168.1.5",
            "[fe80::1]",
            "127.0.0.1.example",
            "localhost.example",
        ] {
            assert!(
                warned(&format!("url = \"mqtt://{host}\"\n{with}")),
                "{host}"
            );
            assert!(
                !warned(&format!("url = \"mqtts://{host}\"\n{with}")),
                "{host}"
            );
            // Without a password there is nothing to give away.
            assert!(!warned(&format!("url = \"mqtt://{host}\"\n")), "{host}");
        }
        for host in [
            "localhost",
            "LOCALHOST:1883",
            "127.0.0.1",
            "127.8.8.8:1883",
            "[::1]:1883",
        ] {
            assert!(
                !warned(&format!("url = \"mqtt://{host}\"\n{with}")),
                "{host}"
            );
        }
    }
}
