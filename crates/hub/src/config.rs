//! `hub.toml`: typed, unknown keys refused, values that cannot work refused with a sentence.
//!
//! Owns: the shape of the hub's configuration, its defaults, and where a secret's file is looked for.
//! Never does: open a connection or create anything. A failure leaves nothing behind; the caller ends
//! with 78.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::enrol::HubEnrol;
use crate::store::{self, BodiesAway, OWN_SENDERS, StoreError};
use booth_city::config::CityConfig;
use booth_contract::BoothId;
use booth_contract::BrokerUrl;
use booth_database::elsewhere::Elsewhere;
use booth_database::postgres::Address;
use booth_host::config_file;
use booth_host::config_file::{ConfigError, ConfigFault, Faults};
use booth_host::password;
use booth_sealing::{KeyError, Recipient, Recipients};

/// `hub.toml` (contract §2).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HubConfig {
    /// The broker.
    pub mqtt: HubMqtt,
    /// Where clips are kept.
    pub store: HubStore,
    /// What opens sealed clips.
    pub privacy: HubPrivacy,
    /// What no receipt and no code contains.
    pub codes: HubCodes,
    /// Where the desk finds the hub whose messages it opens.
    pub desk: HubDesk,
    /// Where the pages listen.
    pub http: HubHttp,
    /// What people make of it: moderation, pages for citizens.
    pub city: CityConfig,
    /// What new booths get.
    pub enrol: HubEnrol,
    /// The files of updates that booths fetch here.
    pub updates: HubUpdates,
    /// The processes that take in what citizens said.
    pub ingest: HubIngest,
    /// The booths that are expected; one that was never heard is shown as never heard.
    #[serde(rename = "booth")]
    pub booths: Vec<ExpectedBooth>,
    /// The folder of the file that was read.
    #[serde(skip)]
    folder: PathBuf,
}

/// `[updates]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HubUpdates {
    /// A folder with files that end with `.update` (docs/updates.md): anybody may fetch them beside the pages for citizens, under `[city] address`
    /// and `/updates/`. Without it the hub sends none.
    pub folder: Option<PathBuf>,
}

/// Most workers.
const MOST_WORKERS: u16 = 64;
/// What stands for a worker's number in the name of its password's file.
const NUMBER: &str = "{worker}";

/// `[ingest]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HubIngest {
    /// How many workers there may be (`booth-hub ingest --worker N`, N from 1 to this): they take in what citizens said at the booths, and `serve`
    /// everything else. 0: `serve` does all of it.
    pub workers: u16,
    /// The files with the workers' passwords at the broker, relative to `hub.toml`, or systemd credentials' names; `{worker}` stands for the number.
    /// Without it each has the hub's.
    pub password_files: Option<String>,
}

impl HubIngest {
    fn check(&self, store: &HubStore, faults: &mut Faults) {
        if self.workers > MOST_WORKERS {
            let why = format!("= {} must lie between 0 and {MOST_WORKERS}", self.workers);
            faults.that("[ingest] workers", why);
        }
        if self.workers > 0 && store.database.is_none() {
            let why = "needs [store] database = \"postgres://…\": several processes write what is known of the clips (booth-hub migrate moves it there)";
            faults.that("[ingest] workers", why);
        }
        if let Some(files) = &self.password_files
            && !files.contains(NUMBER)
        {
            let why = format!("= {files:?} needs {NUMBER} where the worker's number belongs");
            faults.that("[ingest] password_files", why);
        }
    }
}

/// `[mqtt]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HubMqtt {
    /// `mqtt://host[:port]` or `mqtts://host[:port]`; without it `serve` refuses to start.
    pub url: Option<String>,
    /// User name at the broker.
    pub username: Option<String>,
    /// The password's file, relative to `hub.toml`, or a systemd credential's name.
    pub password_file: Option<PathBuf>,
    /// PEM file of the authority that signed the broker's certificate; the system's roots by default.
    pub ca_file: Option<PathBuf>,
    /// PEM file with the hub's client certificate, where the broker wants one.
    pub cert_file: Option<PathBuf>,
    /// Its private key.
    pub key_file: Option<PathBuf>,
    /// Topic root.
    pub root: String,
    /// MQTT client id.
    pub client_id: String,
    /// After the hub has connected, booths introduce themselves within this many seconds; a large fleet needs more.
    pub jitter_s: u32,
}

/// Most seconds of `jitter_s` (contract §3).
const MAX_JITTER_S: u32 = 600;

impl Default for HubMqtt {
    fn default() -> Self {
        Self {
            url: None,
            username: None,
            password_file: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            root: "booth/1".into(),
            client_id: "booth-hub".into(),
            jitter_s: 10,
        }
    }
}

impl HubMqtt {
    fn check(&self, faults: &mut Faults) {
        if let Some(url) = &self.url
            && let Err(error) = BrokerUrl::parse(url)
        {
            faults.of("[mqtt] url", error);
        }
        if self.cert_file.is_some() != self.key_file.is_some() {
            let why = "and key_file belong together; give both or neither";
            faults.that("[mqtt] cert_file", why);
        }
        if self.password_file.is_some() && self.username.is_none() {
            faults.that("[mqtt] password_file", "needs a username");
        }
        let root = &self.root;
        if root.is_empty()
            || root.starts_with('/')
            || root.ends_with('/')
            || root.len() > 64
            || root.contains(['+', '#', '\0', '$'])
        {
            let why =
                format!("{root:?} cannot be a topic root: no wildcard, no slash at either end");
            faults.that("[mqtt] root", why);
        }
        if self.client_id.is_empty() || self.client_id.len() > 64 {
            faults.that("[mqtt] client_id", "must have 1 to 64 characters");
        }
        if self.jitter_s > MAX_JITTER_S {
            let jitter_s = self.jitter_s;
            let why = format!("= {jitter_s} must lie between 0 and {MAX_JITTER_S}");
            faults.that("[mqtt] jitter_s", why);
        }
    }
}

/// Most bytes of `reserve_bytes`: a larger number is taken for a typing error.
const MAX_RESERVE_BYTES: u64 = 1_000_000_000_000;

/// `[store]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HubStore {
    /// One folder for the database and the clips; created with mode 0700.
    pub dir: PathBuf,
    /// A clip whose manifest claims more bytes is refused.
    pub max_clip_bytes: u64,
    /// With less than this free on the disk the hub takes nothing more, and the booths keep their clips.
    pub reserve_bytes: u64,
    /// `postgres://user@host/database`: what is known of the clips is kept in this database of PostgreSQL. Without it, in a file in `dir`.
    pub database: Option<String>,
    /// The file with that user's password, relative to `hub.toml`, or a systemd credential's name.
    pub database_password_file: Option<PathBuf>,
    /// The certificates of the authorities of a server on another machine, relative to `hub.toml`. Without it, the system's.
    pub database_ca_file: Option<PathBuf>,
    /// `s3://bucket/prefix`: clips' bodies are kept in this bucket of an S3-compatible store. Without it, in `dir`.
    pub bodies: Option<String>,
    /// `https://s3.example:9000`, where the bucket is not Amazon's.
    pub bodies_endpoint: Option<String>,
    /// The bucket's region, where that store has regions.
    pub bodies_region: Option<String>,
    /// The name of the access key.
    pub bodies_key_id: Option<String>,
    /// The file with that key's secret, relative to `hub.toml`, or a systemd credential's name.
    pub bodies_secret_file: Option<PathBuf>,
    /// `http://` may lead to another machine.
    pub bodies_in_clear: bool,
    /// Where `booth-hub backup` writes: the hub warns when the last whole backup there is older than 26 hours. Without it nobody is warned.
    pub backup: Option<PathBuf>,
}

impl Default for HubStore {
    fn default() -> Self {
        Self {
            dir: "/var/lib/booth-hub".into(),
            max_clip_bytes: 16_000_000,
            reserve_bytes: 200_000_000,
            database: None,
            database_password_file: None,
            database_ca_file: None,
            bodies: None,
            bodies_endpoint: None,
            bodies_region: None,
            bodies_key_id: None,
            bodies_secret_file: None,
            bodies_in_clear: false,
            backup: None,
        }
    }
}

/// `[privacy]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HubPrivacy {
    /// Files with private keys, relative to `hub.toml`, or systemd credentials' names. With one, the pages play sealed clips; each is opened in
    /// memory, and stays sealed in the store. Without any, this hub keeps what it cannot hear.
    pub identities: Vec<PathBuf>,
    /// The city's public keys (`age1…`): whom booths are to seal to, and whom this hub seals to what comes open and what is typed on
    /// its page. Without them the public halves of `identities` count.
    pub recipients: Vec<String>,
}

impl HubPrivacy {
    fn check(&self, faults: &mut Faults) {
        if let Err(error) = self.seals_to() {
            faults.of("[privacy] recipients", error);
        }
    }

    /// The keys of `recipients`; `None` where none is named.
    ///
    /// # Errors
    /// A text that is no public key, or one twice.
    pub fn seals_to(&self) -> Result<Option<Recipients>, KeyError> {
        if self.recipients.is_empty() {
            return Ok(None);
        }
        let keys = self.recipients.iter().map(|text| Recipient::parse(text));
        Recipients::new(keys.collect::<Result<_, _>>()?).map(Some)
    }
}

impl HubStore {
    /// The database of PostgreSQL, if one is named.
    pub fn elsewhere(&self) -> Option<Elsewhere> {
        let database = self.database.clone()?;
        Some(Elsewhere {
            database,
            password_file: self.database_password_file.clone(),
            ca_file: self.database_ca_file.clone(),
        })
    }

    /// The bucket for the bodies, if one is named with its key.
    pub fn bodies_away(&self) -> Option<BodiesAway> {
        Some(BodiesAway {
            bodies: self.bodies.clone()?,
            endpoint: self.bodies_endpoint.clone(),
            region: self.bodies_region.clone(),
            key_id: self.bodies_key_id.clone()?,
            secret_file: self.bodies_secret_file.clone()?,
            in_clear: self.bodies_in_clear,
        })
    }

    fn check_bodies(&self, faults: &mut Faults) {
        let needs = |faults: &mut Faults, key, is_there: bool, what| {
            if !is_there {
                faults.that(key, what);
            }
        };
        if self.bodies.is_none() {
            let alone = [
                ("[store] bodies_endpoint", self.bodies_endpoint.is_some()),
                ("[store] bodies_region", self.bodies_region.is_some()),
                ("[store] bodies_key_id", self.bodies_key_id.is_some()),
                (
                    "[store] bodies_secret_file",
                    self.bodies_secret_file.is_some(),
                ),
                ("[store] bodies_in_clear", self.bodies_in_clear),
            ];
            for (key, is_set) in alone {
                needs(
                    faults,
                    key,
                    !is_set,
                    "needs [store] bodies = \"s3://bucket/prefix\"",
                );
            }
            return;
        }
        let missing = "is missing: name the access key of the bucket";
        needs(
            faults,
            "[store] bodies_key_id",
            self.bodies_key_id.is_some(),
            missing,
        );
        let missing = "is missing: name a file with the secret of the access key";
        needs(
            faults,
            "[store] bodies_secret_file",
            self.bodies_secret_file.is_some(),
            missing,
        );
        for (key, why) in self.bodies_away().iter().flat_map(BodiesAway::faults) {
            faults.that(key, why);
        }
    }

    fn check(&self, faults: &mut Faults) {
        self.check_bodies(faults);
        if self.dir.as_os_str().is_empty() {
            faults.that("[store] dir", "is empty");
        }
        if !(65_536..=1_000_000_000).contains(&self.max_clip_bytes) {
            let bytes = self.max_clip_bytes;
            let why = format!("= {bytes} must lie between 65536 and 1000000000");
            faults.that("[store] max_clip_bytes", why);
        }
        if let Some(database) = &self.database
            && let Err(why) = Address::parse(database)
        {
            faults.of("[store] database", why);
        }
        if self.database_password_file.is_some() && self.database.is_none() {
            faults.that("[store] database_password_file", "needs a database");
        }
        if self.database_ca_file.is_some() && self.database.is_none() {
            faults.that("[store] database_ca_file", "needs a database");
        }
        if self.reserve_bytes > MAX_RESERVE_BYTES {
            let bytes = self.reserve_bytes;
            let why = format!("= {bytes} must lie between 0 and {MAX_RESERVE_BYTES}");
            faults.that("[store] reserve_bytes", why);
        }
    }
}

/// `[desk]`, for `booth-hub serve --sealed`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HubDesk {
    /// The address of the hub's own pages, `http://127.0.0.1:18080` (a tunnel) or `https://hub.example`: moderators decide there. Without it
    /// the desk opens clips and takes note of withdrawals, and decides nothing.
    pub hub: Option<String>,
    /// PEM file of the authority that signed the hub's certificate, besides the system's roots.
    pub ca_file: Option<PathBuf>,
}

impl HubDesk {
    fn check(&self, faults: &mut Faults) {
        if let Some(hub) = &self.hub
            && let Err(why) = is_the_address_of_a_hub(hub)
        {
            faults.of("[desk] hub", format!("{hub:?} {why}"));
        }
    }
}

/// Whether passwords and words may go this way.
fn is_the_address_of_a_hub(address: &str) -> Result<(), &'static str> {
    let no_address = "is no address; write it as http://127.0.0.1:18080 or https://hub.example";
    let url: axum::http::Uri = address.parse().map_err(|_| no_address)?;
    let (Some(scheme), Some(host)) = (url.scheme_str(), url.host()) else {
        return Err(no_address);
    };
    if !matches!(url.path(), "" | "/") || url.query().is_some() {
        return Err("has a path; write the address alone");
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_own = host == "localhost"
        || host
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    match (scheme, is_own) {
        ("https", _) | ("http", true) => Ok(()),
        ("http", false) => Err(
            "is reached without TLS, and whoever is on the way could read passwords: use https, or a tunnel to 127.0.0.1 (ssh -L)",
        ),
        _ => Err(no_address),
    }
}

/// `[codes]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HubCodes {
    /// The emergency numbers of the city's booths, as in `[session] emergency_numbers` of their booth.toml. No receipt and no one-time code
    /// that this hub makes contains one, nor `112`.
    pub emergency_numbers: Vec<String>,
}

impl Default for HubCodes {
    fn default() -> Self {
        Self {
            emergency_numbers: vec!["112".into()],
        }
    }
}

impl HubCodes {
    fn check(&self, faults: &mut Faults) {
        for number in &self.emergency_numbers {
            if digits_of_emergency(number).is_none() {
                let why = format!(
                    "{number:?} is no emergency number; write its {EMERGENCY_DIGITS_MIN} to {EMERGENCY_DIGITS_MAX} digits"
                );
                faults.of("[codes] emergency_numbers", why);
            }
        }
        if self.emergency_numbers.len() > MOST_EMERGENCY_NUMBERS {
            let why = format!("names more than {MOST_EMERGENCY_NUMBERS} numbers");
            faults.that("[codes] emergency_numbers", why);
        }
    }

    /// The numbers as digits 0 to 9.
    pub fn digits(&self) -> Vec<Vec<u8>> {
        let numbers = self.emergency_numbers.iter();
        numbers
            .filter_map(|number| digits_of_emergency(number))
            .collect()
    }
}

const EMERGENCY_DIGITS_MIN: usize = 2;
const EMERGENCY_DIGITS_MAX: usize = 8;
/// With more numbers too few codes would be left.
const MOST_EMERGENCY_NUMBERS: usize = 16;

/// The digits of an emergency number; `None` where it is none.
pub(crate) fn digits_of_emergency(number: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| byte - b'0');
    let digits: Option<Vec<u8>> = number.bytes().map(digit).collect();
    digits.filter(|digits| (EMERGENCY_DIGITS_MIN..=EMERGENCY_DIGITS_MAX).contains(&digits.len()))
}

/// `[http]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HubHttp {
    /// Address of the pages: of this machine's own, unless there is TLS.
    pub listen: SocketAddr,
    /// Further names under which the pages are asked for, if a reverse proxy passes its own name on; the machine's own names are
    /// known.
    pub names: Vec<String>,
    /// A proxy with TLS is in front of all pages, those of `[city] listen` too, and nobody reaches them past it.
    pub behind_proxy: bool,
    /// PEM file with the pages' own certificate and its chain, for `[city] listen`, too; without a proxy.
    pub cert_file: Option<PathBuf>,
    /// Its private key.
    pub key_file: Option<PathBuf>,
    /// File with the token that whoever scrapes `/metrics` shows, relative to `hub.toml`, or a systemd credential's name. Without it there are no
    /// figures.
    pub metrics_token_file: Option<PathBuf>,
    /// Once let pages without a login listen to the network; `true` is refused with what to write instead.
    pub public: bool,
}

impl Default for HubHttp {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            names: Vec::new(),
            behind_proxy: false,
            cert_file: None,
            key_file: None,
            metrics_token_file: None,
            public: false,
        }
    }
}

/// What to do about pages that would be heard by whoever is on the way.
const TLS_FIRST: &str = "can be reached from other machines, and whoever is on the way could read passwords and what citizens said: listen on \
     127.0.0.1 behind a reverse proxy with TLS, or name the pages' own certificate in [http] cert_file and key_file, or write [http] \
     behind_proxy = true if a proxy with TLS on another machine is the only one that reaches this address";

impl HubHttp {
    /// Whether browsers reach the pages over TLS alone.
    pub fn is_behind_tls(&self) -> bool {
        self.behind_proxy || self.cert_file.is_some()
    }

    fn check(&self, faults: &mut Faults) {
        let listen = self.listen;
        if !listen.ip().to_canonical().is_loopback() && !self.is_behind_tls() {
            faults.that("[http] listen", format!("= \"{listen}\" {TLS_FIRST}"));
        }
        if self.public {
            let why = "= true let everybody hear what citizens said, without a login; take it out. The pages have logins (booth-hub people add), \
                       and listen to the network with behind_proxy = true or cert_file and key_file";
            faults.that("[http] public", why);
        }
        if self.cert_file.is_some() != self.key_file.is_some() {
            let why = "and key_file belong together; give both or neither";
            faults.that("[http] cert_file", why);
        }
        if self.behind_proxy && self.cert_file.is_some() {
            let why =
                "and cert_file say two things: either a proxy has the certificate, or the hub";
            faults.that("[http] behind_proxy", why);
        }
        for name in &self.names {
            let is_name = !name.is_empty()
                && name.len() <= 253
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
            if !is_name {
                let why = format!(
                    "{name:?} is no host's name; write it as it stands in the address, without scheme, port and path"
                );
                faults.of("[http] names", why);
            }
        }
    }
}

/// `[[booth]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedBooth {
    /// Its id.
    pub id: BoothId,
    /// Its name for people.
    #[serde(default)]
    pub name: String,
    /// Where it stands.
    #[serde(default)]
    pub place: String,
}

/// A name at the broker of the worker of this number: `hub-1` besides `hub`.
fn of_worker(name: &str, number: u16) -> String {
    format!("{name}-{number}")
}

impl HubConfig {
    /// Reads, checks, and resolves relative file names against the file's own folder.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let mut read: Self = config_file::read(path)?;
        read.check(&path.display().to_string())?;
        let folder = path.parent().unwrap_or(Path::new("."));
        read.folder = folder.to_owned();
        let mqtt = &mut read.mqtt;
        let files = [
            &mut mqtt.password_file,
            &mut mqtt.ca_file,
            &mut mqtt.cert_file,
            &mut mqtt.key_file,
        ];
        for file in files.into_iter().flatten() {
            *file = find_beside(folder, file);
        }
        let (http, login) = (&mut read.http, &mut read.city.login);
        let files = [
            &mut http.cert_file,
            &mut http.key_file,
            &mut http.metrics_token_file,
            &mut login.client_secret_file,
            &mut login.ca_file,
            &mut read.desk.ca_file,
        ];
        for file in files.into_iter().flatten() {
            *file = find_beside(folder, file);
        }
        read.city.is_behind_tls = read.http.is_behind_tls();
        for file in &mut read.privacy.identities {
            *file = find_beside(folder, file);
        }
        if let Some(languages) = &mut read.city.languages {
            *languages = folder.join(&*languages);
        }
        if let Some(words) = &mut read.city.desk.watch_words {
            *words = folder.join(&*words);
        }
        for file in read.city.alarm.files() {
            *file = find_beside(folder, file);
        }
        if let Some(ca) = &mut read.enrol.ca_file {
            *ca = find_beside(folder, ca);
        }
        if let Some(file) = &mut read.store.database_password_file {
            *file = find_beside(folder, file);
        }
        if let Some(file) = &mut read.store.bodies_secret_file {
            *file = find_beside(folder, file);
        }
        if let Some(ca) = &mut read.store.database_ca_file {
            *ca = find_beside(folder, ca);
        }
        if let Some(backup) = &mut read.store.backup {
            *backup = folder.join(&*backup);
        }
        if let Some(updates) = &mut read.updates.folder {
            *updates = folder.join(&*updates);
        }
        if read.store.dir.is_relative() {
            read.store.dir = folder.join(&read.store.dir);
        }
        // A folder that this user may not read says so where it is needed.
        let wanted = read.store.elsewhere();
        if let Err(why @ (StoreError::MovedAway { .. } | StoreError::NotMoved(_))) =
            store::agrees(&read.store.dir, wanted.as_ref())
        {
            let fault = ConfigFault::of("[store] database", why);
            return Err(fault.in_file(path.display()).into());
        }
        let wanted = read.store.bodies_away();
        if let Err(why @ StoreError::BodiesMoved { .. }) =
            store::bodies_agree(&read.store.dir, wanted.as_ref())
        {
            let fault = ConfigFault::of("[store] bodies", why);
            return Err(fault.in_file(path.display()).into());
        }
        let store = &read.store.dir;
        let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let within = read
            .privacy
            .identities
            .iter()
            .find(|file| real(file).starts_with(real(store)));
        if let Some(file) = within {
            let (file, store) = (file.display(), store.display());
            let why = format!(
                "{file} lies in the store, so that whoever has {store} or a backup of it has the key, too; put it elsewhere"
            );
            let fault = ConfigFault::of("[privacy] identities", why);
            return Err(fault.in_file(path.display()).into());
        }
        Ok(read)
    }

    /// Refuses values that cannot work; `file` names the source.
    pub fn check(&self, file: &str) -> Result<(), ConfigError> {
        let mut faults = Faults::new(file);
        self.mqtt.check(&mut faults);
        self.store.check(&mut faults);
        self.http.check(&mut faults);
        self.privacy.check(&mut faults);
        self.codes.check(&mut faults);
        self.desk.check(&mut faults);
        self.city.check(&mut faults);
        self.enrol.check(&mut faults);
        self.ingest.check(&self.store, &mut faults);
        if let Some(listen) = self.city.listen
            && !listen.ip().to_canonical().is_loopback()
            && !self.http.is_behind_tls()
        {
            faults.that("[city] listen", format!("= \"{listen}\" {TLS_FIRST}"));
        }
        if self.updates.folder.is_some() && self.city.listen.is_none() {
            let why = "needs [city] listen: booths fetch updates beside the pages for citizens";
            faults.that("[updates] folder", why);
        }
        let mut seen = HashSet::new();
        for booth in &self.booths {
            let id = booth.id.as_str();
            if !seen.insert(id) {
                faults.that("[[booth]]", format!("id {id:?} appears twice"));
            }
            if OWN_SENDERS.iter().any(|(_, name)| *name == id) {
                let why = format!(
                    "id {id:?} stands for answers that come from no booth: choose another one"
                );
                faults.that("[[booth]]", why);
            }
            if self.own_names().iter().any(|name| name == id) {
                let why = format!(
                    "id {id:?} is the hub's own name at the broker: choose another username or client_id"
                );
                faults.that("[[booth]]", why);
            }
        }
        faults.verdict()
    }

    /// The names under which the hub itself logs in at the broker: a message that comes from one of them is not a booth's.
    pub fn own_names(&self) -> Vec<String> {
        let client_id = self.mqtt.client_id.clone();
        let names = self.mqtt.username.clone().into_iter().chain([client_id]);
        let names: Vec<String> = names.collect();
        let workers = (1..=self.ingest.workers)
            .flat_map(|number| names.iter().map(move |name| of_worker(name, number)));
        let workers: Vec<String> = workers.collect();
        [names, workers].concat()
    }

    /// The same configuration for the worker of this number: its names at the broker, and its password.
    ///
    /// # Errors
    /// A number that `[ingest] workers` does not allow.
    pub fn of_worker(&self, number: u16) -> Result<Self, ConfigError> {
        let most = self.ingest.workers;
        if !(1..=most).contains(&number) {
            let why = match most {
                0 => "is 0: booth-hub serve does all the work. Set it to the number of workers, and start booth-hub serve again".to_owned(),
                _ => format!("= {most}: there is no worker {number}, only 1 to {most}"),
            };
            return Err(ConfigFault::that("[ingest] workers", why).into());
        }
        let mut worker = self.clone();
        let mqtt = &mut worker.mqtt;
        mqtt.client_id = of_worker(&mqtt.client_id, number);
        mqtt.username = mqtt.username.as_ref().map(|name| of_worker(name, number));
        if let Some(files) = &self.ingest.password_files {
            let file = files.replace(NUMBER, &number.to_string());
            mqtt.password_file = Some(find_beside(&self.folder, Path::new(&file)));
        }
        Ok(worker)
    }

    /// The broker of `[mqtt] url`; if there is none, a sentence that says what to do about it.
    pub fn broker(&self) -> Result<BrokerUrl, ConfigError> {
        let url = self.mqtt.url.as_deref().ok_or_else(|| {
            let why = "is missing: the hub needs an MQTT 5 broker that booths and hub can reach. Install one (apt install mosquitto; \
                 docs/mosquitto.acl has its settings and access rules) and name it, for example url = \"mqtts://broker.example:8883\""
                    ;
            ConfigFault::that("[mqtt] url", why)
        })?;
        Ok(BrokerUrl::parse(url).map_err(|why| ConfigFault::of("[mqtt] url", why))?)
    }

    /// Reads the password, without its line end; `None` when none is configured.
    pub fn password(&self) -> Result<Option<String>, ConfigError> {
        let Some(path) = &self.mqtt.password_file else {
            return Ok(None);
        };
        let password =
            password::read(path).map_err(|why| ConfigFault::that("[mqtt] password_file", why))?;
        Ok(Some(password))
    }
}

/// A relative name means the systemd credential of that name if there is one, else a file in `folder`.
#[allow(clippy::disallowed_methods)] // looks for the credential
fn find_beside(folder: &Path, file: &Path) -> PathBuf {
    if file.is_absolute() {
        return file.to_owned();
    }
    std::env::var_os("CREDENTIALS_DIRECTORY")
        .map(|credentials| Path::new(&credentials).join(file))
        .filter(|path| path.is_file())
        .unwrap_or_else(|| folder.join(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<HubConfig, String> {
        let config: HubConfig =
            config_file::parse(text, "hub.toml").map_err(|error| error.to_string())?;
        config
            .check("hub.toml")
            .map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn an_empty_file_is_a_configuration_but_names_no_broker() {
        let config = checked("").expect("all keys have defaults");
        assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
        let fault = config.broker().expect_err("no broker").to_string();
        assert!(
            fault.contains("mosquitto") && fault.contains("url ="),
            "{fault}"
        );
    }

    #[test]
    fn the_whole_file_is_understood() {
        let config = checked(
            "[mqtt]\r\nurl=\"mqtts://broker.example\"\r\nusername=\"hub\"\r\npassword_file=\"p\"\r\n\
             ca_file=\"ca.pem\"\ncert_file=\"c.pem\"\nkey_file=\"c.key\"\nroot=\"b/2\"\nclient_id=\"hub\"\njitter_s=600\n[store]\ndir=\"s\"\n\
             max_clip_bytes=1_000_000\nreserve_bytes=0\n[http]\nlisten=\"0.0.0.0:443\"\nnames=[\"centre.example\"]\ncert_file=\"p.pem\"\nkey_file=\"p.key\"\n[[booth]]\nid=\"rundhoej-1\"\nname=\"Rundhøj\"\nplace=\"Torv\"\n",
        )
        .expect("good");
        let broker = config.broker().expect("named");
        assert_eq!(
            broker,
            BrokerUrl {
                tls: true,
                host: "broker.example".into(),
                port: 8883
            }
        );
        assert_eq!(config.booths[0].place, "Torv");
        assert_eq!(config.mqtt.jitter_s, 600);
        assert_eq!(config.store.reserve_bytes, 0);
    }

    #[test]
    fn workers_have_names_of_their_own_which_no_booth_has() {
        const MOST: &str = "[mqtt]\nusername=\"hub\"\nclient_id=\"centre\"\npassword_file=\"p\"\n[store]\ndatabase=\"postgres://hub@localhost/booth\"\n";
        let with = |ingest: &str| checked(&format!("{MOST}[ingest]\n{ingest}\n"));
        let config = with("workers=2\npassword_files=\"p-{worker}\"").expect("good");
        let names = ["hub", "centre", "hub-1", "centre-1", "hub-2", "centre-2"];
        assert_eq!(config.own_names(), names);
        let second = config.of_worker(2).expect("there is one");
        let mqtt = &second.mqtt;
        assert_eq!(
            (mqtt.username.as_deref(), mqtt.client_id.as_str()),
            (Some("hub-2"), "centre-2")
        );
        assert_eq!(mqtt.password_file.as_deref(), Some(Path::new("p-2")));
        let same = with("workers=1").and_then(|config| {
            let worker = config.of_worker(1).map_err(|error| error.to_string())?;
            Ok(worker.mqtt.password_file)
        });
        assert_eq!(same, Ok(Some("p".into())), "without a file it is the hub's");
        for (number, says) in [(0, "no worker 0"), (3, "no worker 3, only 1 to 2")] {
            let refused = config.of_worker(number).expect_err("none").to_string();
            assert!(refused.contains(says), "{refused}");
        }
        let none = with("workers=0").expect("good").of_worker(1);
        let none = none.expect_err("none").to_string();
        assert!(none.contains("[ingest] workers is 0"), "{none}");
        let booth = format!("{MOST}[ingest]\nworkers=1\n[[booth]]\nid=\"hub-1\"\n");
        for (text, says) in [
            ("[ingest]\nworkers=1\n".to_owned(), "needs [store] database"),
            (format!("{MOST}[ingest]\nworkers=65\n"), "between 0 and 64"),
            (
                format!("{MOST}[ingest]\nworkers=1\npassword_files=\"p\"\n"),
                "needs {worker}",
            ),
            (booth, "the hub's own name at the broker"),
        ] {
            let refused = checked(&text).expect_err("refused");
            assert!(refused.contains(says), "{refused}");
        }
    }

    #[test]
    fn every_key_of_the_hubs_pages_is_in_the_page_about_the_configuration() {
        let refused = checked("[http]\nno_such_key=1").expect_err("an unknown key");
        let (_, known) = refused.split_once("expected").expect("what is known");
        let known = known.split(';').next().unwrap_or_default();
        let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        assert!(known.contains(&"metrics_token_file"), "{refused}");
        let page = include_str!("../../../docs/configuration.md");
        for key in known {
            assert!(
                page.contains(&format!("`{key}`")) || page.contains(&format!("[http] {key}")),
                "{key}"
            );
        }
    }

    #[test]
    fn pages_listen_to_the_network_with_tls_alone() {
        for text in [
            "[http]\nlisten=\"0.0.0.0:80\"\nbehind_proxy=true\n[city]\nlisten=\"0.0.0.0:81\"",
            "[http]\nlisten=\"[::]:443\"\ncert_file=\"x\"\nkey_file=\"y\"\n[city]\nlisten=\"192.0.2.1:444\"",
            "[http]\nlisten=\"[::ffff:127.0.0.1]:80\"\n[city]\nlisten=\"[::1]:81\"",
        ] {
            checked(text).expect(text);
        }
    }

    #[test]
    fn every_bad_value_gets_its_own_sentence() {
        for (text, says) in [
            ("[mqtt]\nurl=\"http://x\"", "mqtt://"),
            ("[mqtt]\nurl=\"mqtt://\"", "nothing more"),
            ("[mqtt]\nurl=\"mqtt://a:b\"", "port"),
            ("[mqtt]\nurl=\"mqtt://u:p@a\"", "password_file"),
            ("[mqtt]\nkey_file=\"x\"", "cert_file and key_file"),
            ("[mqtt]\nroot=\"a/#\"", "topic root"),
            ("[mqtt]\nroot=\"/a\"", "topic root"),
            ("[mqtt]\npassword_file=\"x\"", "username"),
            ("[mqtt]\njitter_s=601", "between 0 and 600"),
            ("[mqtt]\njitter_s=-1", "hub.toml:2"),
            (
                "[mqtt]\nusername=\"centre\"\n[[booth]]\nid=\"centre\"",
                "own name",
            ),
            (
                "[mqtt]\nclient_id=\"abc\"\n[[booth]]\nid=\"abc\"",
                "own name",
            ),
            ("[[booth]]\nid=\"operations\"", "log in under it"),
            ("[privacy]\nrecipients=[\"city\"]", "this is no key"),
            (
                "[privacy]\nrecipients=[\"AGE-SECRET-KEY-1QQQQ\"]",
                "PRIVATE key",
            ),
            ("[store]\nmax_clip_bytes=5", "max_clip_bytes"),
            (
                "[store]\ndatabase=\"postgres://hub:geheim@127.0.0.1/booth\"",
                "database_password_file",
            ),
            ("[store]\ndatabase=\"hub.sqlite\"", "postgres://"),
            (
                "[store]\nbodies_region=\"eu\"",
                "needs [store] bodies = \"s3://",
            ),
            ("[store]\nbodies=\"s3://clips\"", "bodies_secret_file"),
            (
                "[store]\nbodies=\"clips\"\nbodies_key_id=\"a\"\nbodies_secret_file=\"b\"",
                "s3://bucket/prefix",
            ),
            (
                "[store]\nbodies=\"s3://clips\"\nbodies_key_id=\"a\"\nbodies_secret_file=\"b\"\nbodies_endpoint=\"http://s3.example\"",
                "bodies_in_clear",
            ),
            (
                "[store]\ndatabase=\"postgres://hub@%2Frun/booth?sslmode=require\"",
                "leave sslmode away",
            ),
            ("[store]\ndatabase_ca_file=\"x\"", "needs a database"),
            ("[store]\ndatabase_password_file=\"x\"", "needs a database"),
            ("[store]\nreserve_bytes=2_000_000_000_000", "reserve_bytes"),
            ("[[booth]]\nid=\"abc\"\n[[booth]]\nid=\"abc\"", "twice"),
            ("[[booth]]\nid=\"A\"", "booth id"),
            ("[http]\nlisten=\"here\"", "hub.toml:2"),
            (
                "[http]\nlisten=\"0.0.0.0:80\"",
                "[http] behind_proxy = true",
            ),
            ("[http]\nlisten=\"[::]:80\"", "reverse proxy with TLS"),
            ("[http]\nlisten=\"192.0.2.1:80\"", "own certificate"),
            ("[city]\nlisten=\"0.0.0.0:80\"", "[city] listen"),
            ("[updates]\nfolder=\"updates\"", "needs [city] listen"),
            ("[http]\npublic=true", "booth-hub people add"),
            (
                "[http]\nlisten=\"0.0.0.0:80\"\npublic=true",
                "reverse proxy with TLS",
            ),
            ("[http]\ncert_file=\"x\"", "key_file belong together"),
            (
                "[http]\nbehind_proxy=true\ncert_file=\"x\"\nkey_file=\"y\"",
                "either a proxy",
            ),
            ("[http]\nnames=[\"http://a\"]", "without scheme"),
            ("[http]\nnames=[\"\"]", "no host's name"),
            ("[mqtt]\nusrname=\"x\"", "did you mean `username`"),
        ] {
            let fault = checked(text).expect_err(text);
            assert!(fault.contains(says), "{text}: {fault}");
        }
    }
}
