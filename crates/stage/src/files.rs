//! The configuration files of a booth with a simulated handset, and of a hub on loopback.

use std::path::Path;

/// What differs between one simulated booth and another.
#[derive(Debug, Clone, Copy)]
pub struct BoothFile<'a> {
    pub id: &'a str,
    /// Its name for people; empty for none.
    pub name: &'a str,
    /// The lines of `[mqtt]`.
    pub mqtt: &'a str,
    /// The lines of `[privacy]`.
    pub privacy: &'a str,
    /// Where its handset listens.
    pub socket: &'a Path,
    /// ALSA names of the microphone and the earpiece.
    pub sound: (&'a str, &'a str),
    pub spool: &'a Path,
    pub prompts: &'a Path,
    pub language: &'a str,
    /// Between two reports of its health, s.
    pub health_s: u32,
    /// Tables behind its first question.
    pub more: &'a str,
}

impl BoothFile<'_> {
    /// `booth.toml`, with one question, `square`, on digit 1.
    pub fn text(&self) -> String {
        let Self {
            id,
            name,
            mqtt,
            privacy,
            socket,
            sound: (input, output),
            spool,
            prompts,
            language,
            health_s,
            more,
        } = self;
        let name = match *name {
            "" => String::new(),
            name => format!("name = {name:?}\n"),
        };
        format!(
            "[booth]\nid = {id:?}\n{name}[mqtt]\n{mqtt}\n\
             [handset]\nbackend = \"sim\"\ncontrol_socket = {socket:?}\n\
             [audio]\ninput = {input:?}\noutput = {output:?}\n\
             [spool]\ndir = {spool:?}\nreserve_bytes = 1_000_000\n\
             [privacy]\n{privacy}\n[health]\ninterval_s = {health_s}\n\
             [session]\nprompts = {prompts:?}\nlanguage = {language:?}\n\
             [[question]]\nid = \"square\"\ndigit = 1\nkind = \"speak\"\n{more}"
        )
    }
}

/// `hub.toml` of a hub whose pages are on a free port of loopback; `more` goes behind the broker's address.
pub fn hub_file(url: &str, more: &str) -> String {
    format!(
        "[store]\ndir = \"store\"\n[http]\nlisten = \"127.0.0.1:0\"\n[mqtt]\nurl = \"{url}\"\n{more}"
    )
}
