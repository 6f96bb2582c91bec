//! An alarm by mail (RFC 5321), in the city's first language.
//!
//! Owns: the mail's text and the connection. Never does: say what the message says.

use std::time::Duration;

use booth_host::password;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{Message, SmtpTransport, Transport};

use super::Telling;
use crate::City;

/// How long the server is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends it; returns when the server has taken it.
///
/// # Errors
/// A sentence for the log and the page.
pub(super) fn send(city: &City, to: &str, telling: &Telling) -> Result<(), String> {
    let (subject, text) = written(city, telling);
    send_text(city, to, &subject, &text)
}

/// Sends any text by the mail server of `[city.alarm]`.
///
/// # Errors
/// A sentence for the log and the page.
pub(crate) fn send_text(city: &City, to: &str, subject: &str, text: &str) -> Result<(), String> {
    let config = &city.config.alarm;
    let server = config
        .smtp
        .as_deref()
        .ok_or("there is no [city.alarm] smtp")?;
    let mut transport = SmtpTransport::from_url(server)
        .map_err(|why| why.to_string())?
        .timeout(Some(PATIENCE));
    if let (Some(name), Some(file)) = (&config.username, &config.password_file) {
        let password = password::read(file).map_err(|why| why.to_string())?;
        transport = transport.credentials(Credentials::new(name.clone(), password));
    }
    let mailbox = |text: &str| text.parse::<Mailbox>().map_err(|why| why.to_string());
    let mail = Message::builder()
        .from(mailbox(&config.from)?)
        .to(mailbox(to)?)
        .subject(subject)
        .header(ContentType::TEXT_PLAIN)
        .body(text.to_owned())
        .map_err(|why| why.to_string())?;
    let sent = transport.build().send(&mail);
    sent.map(drop)
        .map_err(|why| match std::error::Error::source(&why) {
            Some(deeper) => format!("{why}: {deeper}"),
            None => why.to_string(),
        })
}

/// The subject and the text.
fn written(city: &City, telling: &Telling) -> (String, String) {
    let config = &city.config.alarm;
    let language = city.config.offers.first().map_or("en", String::as_str);
    let place = telling.place.as_deref().unwrap_or("–");
    let when = telling.said_at.as_deref().and_then(|at| at.parse().ok());
    let when = when.map_or_else(
        || "–".to_owned(),
        |at: jiff::Timestamp| {
            let local = at.to_zoned_datetime(city.zone.clone());
            local.strftime("%Y-%m-%d %H:%M").to_string()
        },
    );
    let desk = config.desk.trim_end_matches('/');
    let address = format!("{desk}/desk/alarm/{}", telling.alarm);
    let gaps = [
        ("place", place.into()),
        ("when", when.as_str().into()),
        ("by", telling.by.as_str().into()),
        ("address", address.as_str().into()),
        ("minutes", config.wait_minutes.into()),
    ];
    let say = |name: &str| city.words.say_with(language, name, &gaps);
    let mut text = say("alarm-mail-body");
    if !telling.why.is_empty() {
        text = format!("{text}\n\n{}", telling.why);
    }
    (say("alarm-mail-subject"), text)
}
