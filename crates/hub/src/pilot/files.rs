//! The texts of a pilot's files. Pure.

use std::path::Path;

use toml::Value;

use super::answers::Answers;

fn text(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let texts = texts.into_iter().map(|one| Value::String(one.to_owned()));
    Value::Array(texts.collect()).to_string()
}

/// `hub.toml`.
pub(super) fn hub(answers: &Answers) -> Vec<u8> {
    let Answers {
        city,
        timezone,
        licence,
        contact,
        retention_days: days,
        booth,
        port,
        pages_port,
        ..
    } = answers;
    let citizens = pages_port + 1;
    format!(
        "# Made by `booth-hub pilot`; docs/configuration.md tells the keys.\n\
         [mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\nusername = \"hub\"\npassword_file = \"hub-password\"\n\n\
         [store]\ndir = \"store\"\n\n\
         [http]\nlisten = \"127.0.0.1:{pages_port}\"\n\n\
         [privacy]\nidentities = [\"city.key\"]\n\n\
         [codes]\nemergency_numbers = {emergency}\n\n\
         [city]\nname = {city}\nlisten = \"127.0.0.1:{citizens}\"\naddress = \"http://127.0.0.1:{citizens}\"\noffers = {offers}\n\
         time_zone = {timezone}\ncontact = {contact}\nlicence = {licence}\n\n\
         [city.retention]\nwaiting_days = {days}\nrejected_days = {days}\nheard_days = {days}\npublished_days_after_campaign = {days}\nwarn_days = {warn}\n\n\
         [[booth]]\nid = {booth}\n",
        emergency = list(answers.emergency.iter().map(String::as_str)),
        city = text(city),
        offers = list(answers.pages()),
        timezone = text(timezone),
        contact = text(contact),
        licence = text(licence),
        warn = (*days).min(14),
        booth = text(booth),
    )
    .into_bytes()
}

/// `booth.toml`.
pub(super) fn booth(answers: &Answers, recipient: &str, folder: &Path) -> Vec<u8> {
    let Answers {
        booth,
        city,
        contact,
        timezone,
        port,
        language,
        sound,
        earpiece,
        ..
    } = answers;
    let path = |name: &str| text(&folder.join(name).display().to_string());
    let usb = match answers.handset.as_str() {
        "usb" => format!(
            "usb = {{ device = {}, hook = {}, hook_is = {} }}\n",
            text(&answers.device),
            text(&answers.hook),
            text(&answers.hook_is)
        ),
        _ => String::new(),
    };
    format!(
        "# Made by `booth-hub pilot`; docs/configuration.md tells the keys.\n\
         [booth]\nid = {booth}\nname = {name}\ncontact = {contact}\ntimezone = {timezone}\n\n\
         [mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\npassword_file = {password}\n\n\
         [handset]\nbackend = {backend}\n{usb}control_socket = {socket}\n\n\
         [audio]\ninput = {input}\noutput = {output}\n\n\
         [session]\nlanguage = {language}\nprompts = {prompts}\nemergency_numbers = {emergency}\n\n\
         [spool]\ndir = {spool}\n\n\
         [privacy]\nrecipients = {recipients}\n",
        booth = text(booth),
        name = text(city),
        contact = text(contact),
        timezone = text(timezone),
        password = path(&format!("{booth}-password")),
        backend = text(&answers.handset),
        socket = path("run/handset.sock"),
        input = text(sound),
        output = text(earpiece),
        language = text(language),
        prompts = path("prompts"),
        emergency = list(answers.emergency.iter().map(String::as_str)),
        spool = path("spool"),
        recipients = list([recipient]),
    )
    .into_bytes()
}

/// `campaign.toml`: one question, on digit 1.
pub(super) fn campaign(answers: &Answers) -> Vec<u8> {
    let Answers {
        language,
        booth,
        question,
        city,
        ..
    } = answers;
    // In other languages the booth has no words of its own for that question.
    let publish = match language.as_str() {
        "en" | "da" => "ask_text",
        _ => "no",
    };
    format!(
        "# What the booth asks; docs/campaigns.md tells the rest.\n\
         id = \"pilot\"\ntitle = {title}\nbooths = {booths}\nlanguage = {language}\nchildren = \"not_published\"\n\n\
         [[question]]\nid = \"first\"\ndigit = 1\nkind = \"speak\"\npublish = \"{publish}\"\ntext.{language_key} = {question}\n",
        title = text(city),
        booths = list([booth.as_str()]),
        language = text(language),
        language_key = language,
        question = text(question),
    )
    .into_bytes()
}

/// Units for systemd, by their names: broker, hub and booth, under the user who made the folder.
pub(super) fn units(folder: &Path) -> [(&'static str, String); 3] {
    let user = rustix::process::geteuid().as_raw();
    let shown = folder.display();
    let unit = |what: &str, after: &str, groups: &str, command: String| {
        format!(
            "[Unit]\nDescription=Pilot: {what}\nAfter=network.target {after}\n\n\
             [Service]\nUser={user}\n{groups}ExecStart={command}\nRestart=always\nRestartSec=2\nRestartPreventExitStatus=78\nNoNewPrivileges=yes\n\n\
             [Install]\nWantedBy=multi-user.target\n"
        )
    };
    [
        (
            "booth-pilot-broker.service",
            unit(
                "the broker",
                "",
                "",
                format!("/usr/sbin/mosquitto -c {shown}/broker/mosquitto.conf"),
            ),
        ),
        (
            "booth-pilot-hub.service",
            unit(
                "the hub",
                "booth-pilot-broker.service",
                "",
                format!("/usr/bin/booth-hub serve --config {shown}/hub.toml"),
            ),
        ),
        (
            "booth-pilot-booth.service",
            unit(
                "the booth",
                "booth-pilot-broker.service sound.target",
                "SupplementaryGroups=audio input\n",
                format!("/usr/bin/booth-gateway run --config {shown}/booth.toml"),
            ),
        ),
    ]
}

/// What comes next, as it is typed.
pub(super) fn next(answers: &Answers, folder: &Path) -> String {
    let (shown, port) = (folder.display(), answers.pages_port);
    format!(
        "Next, each in a terminal of its own (or as services: see {shown}/systemd):\n  \
         mosquitto -c {shown}/broker/mosquitto.conf\n  \
         booth-hub serve --config {shown}/hub.toml\n  \
         booth-gateway run --config {shown}/booth.toml\n\
         Then what the booth asks:\n  \
         booth-hub campaign prompts {shown}/campaign.toml --config {shown}/hub.toml\n  \
         booth-hub campaign publish {shown}/campaign.toml --config {shown}/hub.toml\n\
         The desk: http://127.0.0.1:{port}/desk"
    )
}
