//! `booth-hub people …`: the accounts of those who work with what citizens said.
//!
//! Owns: the arguments, and how a password is asked for: on the terminal without showing it, or as one line of standard input. Never does:
//! take a password as an argument, where other users of the machine and the shell's history would see it.
#![allow(clippy::disallowed_methods)] // reads a password from the terminal, and makes the store's folder at the first time

use std::io::{self, BufRead, IsTerminal, Read};
use std::path::PathBuf;

use booth_city::CityError;
use booth_city::people::accounts::{self, Account, NewAccount};
use booth_city::people::{Right, Role, Roll};
use booth_host::config_file::ConfigError;
use booth_host::{complain, plain_file, say};
use clap::{Args, Subcommand};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::config::HubConfig;

/// Longest line that is read as a password, bytes.
const LONGEST: u64 = 2048;

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct Where {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/booth-hub/hub.toml")]
    config: PathBuf,
}

/// The verbs of `booth-hub people`.
#[derive(Debug, Subcommand)]
pub enum People {
    /// Make an account
    ///
    /// The first one should be an administrator's; further ones can be made on the page /people:
    ///
    ///   booth-hub people add anna --role administrator --role moderator --shown "Anna Holm"
    ///
    /// The password is asked for on the terminal, or read as one line from standard input. As soon as there is an account, the hub's
    /// own pages need a login, too.
    #[command(verbatim_doc_comment)]
    Add {
        /// The name to log in with
        name: String,
        /// What the person is here for: moderator, editor, operator, administrator, partner; may be given several times
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<String>,
        /// The name that colleagues see
        #[arg(long, value_name = "NAME", default_value = "")]
        shown: String,
        /// The languages that the person understands, that of the pages first
        #[arg(long, value_name = "LANGUAGES", default_value = "da,en")]
        languages: String,
        /// Without a password: the person logs in with the city's own login ([city.login])
        #[arg(long)]
        elsewhere: bool,
        #[command(flatten)]
        place: Where,
    },
    /// Show all accounts
    List {
        /// One JSON object a line instead of words for people
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Where,
    },
    /// Give an account these roles instead of those that it had
    Roles {
        /// The account's name
        name: String,
        /// moderator, editor, operator, administrator, partner
        #[arg(required = true)]
        roles: Vec<String>,
        #[command(flatten)]
        place: Where,
    },
    /// Give an account another password; its sessions end
    Password {
        /// The account's name
        name: String,
        #[command(flatten)]
        place: Where,
    },
    /// Let a partner see a campaign until the end of a day
    ///
    /// Rights are listen, transcribe, publish and export. Without any the campaign is taken away:
    ///
    ///   booth-hub people campaign mette square --until 2027-06-30 --right listen --right export
    #[command(verbatim_doc_comment)]
    Campaign {
        /// The account's name
        name: String,
        /// The campaign's id
        campaign: String,
        /// The last day, YYYY-MM-DD, in the city's time zone
        #[arg(long, value_name = "DAY", default_value = "")]
        until: String,
        /// What may be done there; may be given several times
        #[arg(long = "right", value_name = "RIGHT")]
        rights: Vec<String>,
        #[command(flatten)]
        place: Where,
    },
    /// Close an account: nobody logs in with it any more, and its sessions end
    Close {
        /// The account's name
        name: String,
        #[command(flatten)]
        place: Where,
    },
    /// Show the newest entries of the log of acts, or check all of it
    ///
    /// Each entry holds the hash of the one before: --check computes all of them anew, and prints the last one. Kept elsewhere, it shows
    /// later that the end of the log was not cut off.
    ///
    /// Exit status: 0 all is as it was written, 1 something was changed.
    #[command(verbatim_doc_comment)]
    Acts {
        /// Compute the chain of hashes anew
        #[arg(long)]
        check: bool,
        /// How many entries
        #[arg(long, default_value_t = 50)]
        last: u32,
        #[command(flatten)]
        place: Where,
    },
}

/// Why a verb was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// The configuration cannot work: exit 78.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What was asked for cannot be done.
    #[error(transparent)]
    City(#[from] CityError),
    /// No password came.
    #[error("the password cannot be read: {0}")]
    Password(io::Error),
    /// The password was typed in two ways.
    #[error("the two passwords differ; nothing was changed")]
    Differs,
    /// The store's folder cannot be made.
    #[error("{0} cannot be made: {1}")]
    Folder(PathBuf, io::Error),
    /// The log of acts is not what it was.
    #[error("entry {0} of the log of acts is not what it was, or one before it is missing")]
    Acts(i64),
}

/// Carries out a verb.
///
/// # Errors
/// A sentence for whoever typed it.
pub fn run(command: People) -> Result<(), PeopleError> {
    match command {
        People::Add {
            name,
            roles,
            shown,
            languages,
            elsewhere,
            place,
        } => {
            let roll = roll(&place)?;
            let new = NewAccount {
                name: accounts::checked_name(&name)?,
                shown_name: shown,
                roles: accounts::roles_of(&roles.join(","))?,
                languages: accounts::languages_of(&languages)?,
                kept_password: None,
                subject: None,
            };
            let password = (!elsewhere).then(ask_password).transpose()?;
            let name = new.name.clone();
            roll.add(new, password.as_ref().map(|password| password.as_str()))?;
            say!("The account {name} is made.");
        }
        People::List { json, place } => {
            for account in roll(&place)?.all()? {
                match json {
                    true => say!("{}", as_json(&account)),
                    false => say!("{}", as_words(&account)),
                }
            }
        }
        People::Roles { name, roles, place } => {
            let roll = roll(&place)?;
            let account = roll.named(&name)?;
            roll.set_roles(&account, &accounts::roles_of(&roles.join(","))?)?;
            say!("It is changed.");
        }
        People::Password { name, place } => {
            let roll = roll(&place)?;
            let account = roll.named(&name)?;
            roll.set_password(&account, &ask_password()?)?;
            say!("It is changed; who was logged in with it has to log in again.");
        }
        People::Campaign {
            name,
            campaign,
            until,
            rights,
            place,
        } => {
            let roll = roll(&place)?;
            let account = roll.named(&name)?;
            let rights = rights.iter().map(|word| {
                Right::of(word).ok_or_else(|| {
                    let why = format!(
                        "{word:?} is no right; there are listen, transcribe, publish and export"
                    );
                    CityError::Failed(why)
                })
            });
            let rights = rights.collect::<Result<_, _>>()?;
            roll.set_campaign(&account, &campaign, &until, &rights)?;
            say!("It is changed.");
        }
        People::Close { name, place } => {
            let roll = roll(&place)?;
            roll.close(&roll.named(&name)?)?;
            say!("The account is closed. Its name stays in the log of acts.");
        }
        People::Acts { check, last, place } => {
            let roll = roll(&place)?;
            if check {
                let checked = roll.check_acts()?;
                if let Some(seq) = checked.first_bad {
                    return Err(PeopleError::Acts(seq));
                }
                let (number, hash) = (checked.number, checked.last_hash);
                say!("All {number} entries are as they were written. The last hash: {hash}");
                return Ok(());
            }
            for act in roll.acts(last)? {
                let line = format!(
                    "{} {} {} {} {} {}",
                    act.seq, act.at, act.who, act.what, act.about, act.detail
                );
                say!("{}", printable(line.trim_end()));
            }
        }
    }
    Ok(())
}

fn roll(place: &Where) -> Result<Roll, PeopleError> {
    let folder = HubConfig::load(&place.config)?.store.dir;
    let made = plain_file::make_private_folder(&folder);
    made.map_err(|why| PeopleError::Folder(folder.clone(), why))?;
    Ok(Roll::open(&folder)?)
}

fn words_of(roles: impl IntoIterator<Item = Role>) -> Vec<&'static str> {
    roles.into_iter().map(Role::word).collect()
}

fn as_json(account: &Account) -> serde_json::Value {
    let campaigns = account.campaigns.iter().map(|(id, until, rights)| {
        let rights: Vec<_> = rights.iter().map(|right| right.word()).collect();
        serde_json::json!({ "campaign": id, "until": until, "rights": rights })
    });
    serde_json::json!({
        "id": account.id,
        "name": account.name,
        "shown_name": account.shown_name,
        "roles": words_of(account.roles.iter().copied()),
        "languages": account.languages,
        "password": account.has_password,
        "elsewhere": account.is_elsewhere,
        "closed_at": account.closed_at,
        "campaigns": campaigns.collect::<Vec<_>>(),
    })
}

fn as_words(account: &Account) -> String {
    let mut line = format!(
        "{} ({}): {}",
        account.name,
        account.shown_name,
        words_of(account.roles.iter().copied()).join(", ")
    );
    for (id, until, rights) in &account.campaigns {
        let rights: Vec<_> = rights.iter().map(|right| right.word()).collect();
        line.push_str(&format!("; {id} until {until}: {}", rights.join(", ")));
    }
    match (
        &account.closed_at,
        account.has_password,
        account.is_elsewhere,
    ) {
        (Some(at), ..) => line.push_str(&format!("; closed {at}")),
        (None, false, false) => line.push_str("; has no password"),
        _ => {}
    }
    printable(&line)
}

/// What comes from outside, with its control characters written out.
fn printable(text: &str) -> String {
    let written = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(written).collect()
}

/// Asks for a new password, twice on a terminal.
fn ask_password() -> Result<Zeroizing<String>, PeopleError> {
    let input = io::stdin();
    if !input.is_terminal() {
        return read_line(&mut input.lock()).map_err(PeopleError::Password);
    }
    let ask = |what: &str| {
        complain!("{what}");
        let shown = tcgetattr(&input)?;
        let mut hidden = shown.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&input, OptionalActions::Flush, &hidden)?;
        let line = read_line(&mut input.lock());
        tcsetattr(&input, OptionalActions::Now, &shown)?;
        line
    };
    let first = ask("New password (it is not shown):").map_err(PeopleError::Password)?;
    let again = ask("The same once more:").map_err(PeopleError::Password)?;
    match first == again {
        true => Ok(first),
        false => Err(PeopleError::Differs),
    }
}

fn read_line(input: &mut impl BufRead) -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::with_capacity(LONGEST as usize));
    input.take(LONGEST).read_line(&mut line)?;
    while line.ends_with(['\n', '\r']) {
        line.pop();
    }
    match line.is_empty() {
        false => Ok(line),
        true => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is empty")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_the_password_without_its_end() {
        let read = |mut text: &[u8]| read_line(&mut text).map(|line| line.to_string());
        assert_eq!(
            read(b"en r\xc3\xb8d telefon \r\nmore").expect("a line"),
            "en rød telefon "
        );
        assert!(read(b"").is_err() && read(b"\n").is_err() && read(b"\xff\n").is_err());
        assert_eq!(read(&[b'x'; 5_000]).expect("a line").len() as u64, LONGEST);
    }

    #[test]
    fn what_comes_from_outside_drives_no_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
    }
}
