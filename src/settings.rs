//! Values derived from a configuration: the settings of the link, and the rules of a visit.
//!
//! Owns: turning booth.toml and the files that it names into values for the link and the core. Never does: connect, or watch
//! for changes. A file that cannot be read makes the configuration a bad one.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use booth_contract::{BrokerUrl, Topics};
use booth_host::config_file::{ConfigError, ConfigFault};
use booth_host::link::login::Login;
use booth_host::tls;
use gateway_core::prompt::Prompt;
use gateway_core::session::{Choice, Limits, Offer, OpenQuestion, QuestionKind, SessionRules};

use crate::adapters::mqtt::MqttSettings;
use crate::config::{self, Config};

/// Everything that the connection needs; an error if a named file cannot be read.
pub(crate) fn mqtt_settings(config: &Config) -> Result<Option<MqttSettings>, ConfigError> {
    let Some(url) = &config.mqtt.url else {
        return Ok(None);
    };
    let broker = BrokerUrl::parse(url).map_err(bad)?;
    let password = match &config.mqtt.password_file {
        Some(path) => Some(tls::read_password(path).map_err(bad)?),
        None => None,
    };
    let tls = if broker.tls {
        let identity = config
            .mqtt
            .cert_file
            .as_deref()
            .zip(config.mqtt.key_file.as_deref());
        let settings = tls::client_config(config.mqtt.ca_file.as_deref(), identity);
        Some(settings.map_err(bad)?)
    } else {
        None
    };
    let client_id = config.booth.id.to_string();
    let topics = Topics::new(&config.mqtt.root);
    let user = Some((client_id.clone(), password.unwrap_or_default()));
    Ok(Some(MqttSettings {
        login: Login {
            broker,
            tls,
            client_id,
            user,
            check: "check the password file",
        },
        filters: topics.booth_filters(&config.booth.id),
        topics,
    }))
}

fn bad(why: impl fmt::Display) -> ConfigFault {
    ConfigFault::that("[mqtt]", why)
}

/// Checks a configuration as `run` would, without touching a device or the network.
pub fn check(path: &Path) -> Result<Config, ConfigError> {
    let config = Config::load(path)?;
    mqtt_settings(&config)?;
    Ok(config)
}

/// Whether the connection can be set up, as far as that shows without a network: whether its files hold what they should.
pub fn check_connection(config: &Config) -> Result<(), ConfigError> {
    mqtt_settings(config).map(drop)
}

/// The rules of a visit.
#[doc(hidden)] // public for the fuzz targets
pub fn session_rules(config: &Config) -> SessionRules {
    let session = &config.session;
    let digits = |number: &String| number.bytes().map(|byte| byte - b'0').collect();
    SessionRules {
        consent: session.consent,
        emergency_numbers: session.emergency_numbers.iter().map(digits).collect(),
        service_code: config.service.digits(session),
        withdraw_code: session.withdraw_digits(),
        min: Duration::from_secs(session.min_seconds),
        seals: config.privacy.seal,
    }
}

fn kind(question: &config::Question) -> QuestionKind {
    let choice = |option: &config::VoteOption| Choice {
        digit: option.digit,
        id: option.id.clone(),
        prompt: Prompt::Question(option.prompt_name().to_owned()),
    };
    match question.kind {
        config::QuestionKind::Speak => QuestionKind::Speak,
        config::QuestionKind::Choose => QuestionKind::Choose {
            options: question.options.iter().map(choice).collect(),
            min_pause: Duration::from_secs(question.min_pause_s),
            // The list of codes is the centre's.
            codes: false,
        },
    }
}

/// What booth.toml offers a citizen; the centre's configuration may replace it.
#[doc(hidden)] // public for the fuzz targets
pub fn offer(config: &Config) -> Offer {
    let open = |question: &config::Question| OpenQuestion {
        id: question.id.clone(),
        campaign_id: None,
        digit: question.digit,
        prompt: Prompt::Question(question.prompt_name().to_owned()),
        kind: kind(question),
        publish: question.publish.into(),
        max: question.max_seconds.map(Duration::from_secs),
    };
    let session = &config.session;
    Offer {
        questions: config.questions.iter().map(open).collect(),
        answers: Vec::new(),
        languages: Vec::new(),
        lang: session.language.clone(),
        config_version: None,
        limits: Limits {
            max: Duration::from_secs(session.max_seconds),
            choose: Duration::from_secs(session.choose_seconds),
            silence: Duration::from_secs(session.silence_seconds),
        },
    }
}
