//! `[mqtt]` of booth.toml: the broker, how the booth logs in there, and what confirms a clip.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::warning::ConfigWarning;
use booth_contract::BrokerUrl;
use booth_host::config_file::Faults;

/// Longest topic root: a packet has to hold a topic with all its levels.
const LONGEST_ROOT: usize = 64;

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
    /// Whether the booth describes itself to a Home Assistant at the same broker.
    pub home_assistant: bool,
}

impl Mqtt {
    /// The same in bytes per second.
    pub fn upload_bytes_per_s(&self) -> Option<u64> {
        (self.upload_kbit_s > 0).then_some(self.upload_kbit_s * 125)
    }

    /// Every file with a credential.
    fn files(&self) -> [&Option<PathBuf>; 4] {
        [
            &self.password_file,
            &self.ca_file,
            &self.cert_file,
            &self.key_file,
        ]
    }

    /// The names of those files as they are written.
    pub(super) fn file_names(&self) -> Vec<&str> {
        let named = self.files().into_iter().flatten();
        named.filter_map(|path| path.to_str()).collect()
    }

    /// Lets relative names of files begin in this folder.
    pub(super) fn resolve(&mut self, beside: &Path) {
        let files = [
            &mut self.password_file,
            &mut self.ca_file,
            &mut self.cert_file,
            &mut self.key_file,
        ];
        for path in files.into_iter().flatten() {
            *path = beside.join(&*path);
        }
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        if let Some(url) = &self.url
            && let Err(error) = BrokerUrl::parse(url)
        {
            faults.of("[mqtt] url", error);
        }
        if self.cert_file.is_some() != self.key_file.is_some() {
            let why = "and key_file belong together; give both or neither";
            faults.that("[mqtt] cert_file", why);
        }
        let root = &self.root;
        if root.is_empty()
            || root.starts_with('/')
            || root.ends_with('/')
            || root.len() > LONGEST_ROOT
            || root.contains(['#', '+', '\0'])
        {
            let why = format!(
                "{root:?}: use levels such as \"booth/1\", no wildcard, no slash at an end, at \
                 most {LONGEST_ROOT} bytes"
            );
            faults.that("[mqtt] root", why);
        }
        if !(0..=10_000_000).contains(&self.upload_kbit_s) || (1..16).contains(&self.upload_kbit_s)
        {
            let why = "use 16 to 10000000 kbit/s, or 0 for no limit; below 16 speech comes in faster \
                       than it can leave";
            faults.of("[mqtt] upload_kbit_s", why);
        }
    }

    /// Warns if the password, and what citizens say, cross a network where others can read them.
    pub(super) fn open_password(&self) -> Option<ConfigWarning> {
        self.password_file.as_ref()?;
        let url = BrokerUrl::parse(self.url.as_deref()?).ok()?;
        let is_open = !url.tls && !url.is_this_machine();
        is_open.then(|| {
            let what = format!(
                "[mqtt] url: the password goes to {} in the clear, and whoever is on the way can take it and be this booth",
                url.host
            );
            ConfigWarning::new(
                what,
                "write mqtts:// and give ca_file where the broker's authority is the city's own",
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
            home_assistant: false,
        }
    }
}
