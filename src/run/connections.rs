//! Which credentials are tried, and which have connected.
//!
//! Owns: turning the sets of the vault (`provision::vault`) into choices for the connection, and the note of the choice that
//! the broker took. Never does: judge a refusal; the connection goes on to the next choice.

use std::path::{Path, PathBuf};

use crate::adapters::mqtt::MqttSettings;
use crate::config::Config;
use crate::provision::vault::{self, Vault};
use crate::settings::mqtt_settings;
use booth_host::config_file::ConfigError;
use booth_host::crew;
use booth_spool::real_disk::RealDisk;

/// One way to connect.
pub(super) struct Choice {
    settings: MqttSettings,
    /// The vault's folder and the set's number, where the credentials come from a set.
    set: Option<(PathBuf, u64)>,
}

/// Every way to connect, the configured one first; none without a broker.
pub(super) fn choices(config: &Config) -> Result<Vec<Choice>, ConfigError> {
    let Some(settings) = mqtt_settings(config)? else {
        return Ok(Vec::new());
    };
    let Some((folder, number)) = paths(&mut config.clone())
        .into_iter()
        .find_map(|path| vault::set_of(path.as_deref()?).map(|(folder, n)| (folder.to_owned(), n)))
    else {
        return Ok(vec![Choice {
            settings,
            set: None,
        }]);
    };
    let mut choices = vec![Choice {
        settings,
        set: Some((folder.clone(), number)),
    }];
    let disk = RealDisk::new();
    let vault = Vault {
        disk: &disk,
        folder: &folder,
    };
    let numbers = vault.numbers().unwrap_or_default();
    let others = vault::order(&numbers, vault.confirmed());
    for other in others.into_iter().filter(|other| *other != number) {
        let mut with = config.clone();
        for path in paths(&mut with) {
            move_to(path, &folder, number, other);
        }
        if let Ok(Some(settings)) = mqtt_settings(&with) {
            choices.push(Choice {
                settings,
                set: Some((folder.clone(), other)),
            });
        }
    }
    Ok(choices)
}

/// The same file in another set, or none where that set has no such file.
#[allow(clippy::disallowed_methods)] // looks for the other set's file
fn move_to(path: &mut Option<PathBuf>, folder: &Path, from: u64, to: u64) {
    let Some(file) = path
        .as_deref()
        .filter(|path| vault::set_of(path) == Some((folder, from)))
    else {
        return;
    };
    let name = file.file_name().unwrap_or_default();
    let other = folder.join(vault::folder_name(to)).join(name);
    *path = other.is_file().then_some(other);
}

fn paths(config: &mut Config) -> [&mut Option<PathBuf>; 4] {
    let mqtt = &mut config.mqtt;
    [
        &mut mqtt.password_file,
        &mut mqtt.ca_file,
        &mut mqtt.cert_file,
        &mut mqtt.key_file,
    ]
}

/// The settings in their order, and the function to call when the broker has taken one of them.
pub(super) fn settings(choices: Vec<Choice>) -> (Vec<MqttSettings>, impl Fn(usize)) {
    let (settings, sets): (Vec<_>, Vec<_>) = choices
        .into_iter()
        .map(|choice| (choice.settings, choice.set))
        .unzip();
    let accepted = move |index: usize| {
        if index > 0 {
            log::warn!("connected with the former credentials; the new ones did not connect");
        }
        let Some((folder, number)) = sets.get(index).cloned().flatten() else {
            return;
        };
        // The card may be slow, and the loop must not wait for it.
        let noting = crew::lend("credentials", move || {
            let disk = RealDisk::new();
            let vault = Vault {
                disk: &disk,
                folder: &folder,
            };
            if let Err(error) = vault.confirm(number) {
                log::error!("that credentials {number} have connected cannot be noted: {error}");
            }
        });
        if let Err(error) = noting {
            log::error!("that credentials {number} have connected cannot be noted: {error}");
        }
    };
    (settings, accepted)
}
