//! What an administrator does with accounts, on a page or on the command line: each is one act in the log.
//!
//! Owns: the words of these acts. Never does: write a password or what is kept of it into the log.

use std::collections::BTreeSet;
use std::path::Path;

use booth_host::clock;
use serde_json::json;

use super::accounts::{self, Account, NewAccount};
use super::{Right, Role, passwords};
use crate::sentence;
use crate::store::{Act, Actor, CheckedActs, CityError, Store, WrittenAct};

/// Makes an account.
pub(crate) fn add(store: &Store, who: Actor, new: &NewAccount) -> Result<i64, CityError> {
    let name = accounts::checked_name(&new.name)?;
    let roles = accounts::words_of(&new.roles);
    let act = Act::new(who, "made an account", format!("account {name}"));
    store.change(act.with(json!({ "roles": roles })), |tx| {
        accounts::add(tx, clock::wall(), new)
    })
}

/// Gives an account these roles.
pub(crate) fn set_roles(
    store: &Store,
    who: Actor,
    account: &Account,
    roles: &BTreeSet<Role>,
) -> Result<(), CityError> {
    let (was, is) = (
        accounts::words_of(&account.roles),
        accounts::words_of(roles),
    );
    let act = Act::new(who, "changed roles", about(account));
    store.change(act.with(json!({ "was": was, "is": is })), |tx| {
        accounts::set_roles(tx, account.id, roles)
    })
}

/// Says which languages a person understands.
pub(crate) fn set_languages(
    store: &Store,
    who: Actor,
    account: &Account,
    languages: &[String],
) -> Result<(), CityError> {
    let act = Act::new(who, "changed languages", about(account));
    let (was, is) = (account.languages.join(","), languages.join(","));
    store.change(act.with(json!({ "was": was, "is": is })), |tx| {
        accounts::set_languages(tx, account.id, languages)
    })
}

/// Gives an account another password. Its sessions end.
pub(crate) fn set_password(
    store: &Store,
    who: Actor,
    account: &Account,
    password: &str,
) -> Result<(), CityError> {
    if account.closed_at.is_some() {
        return Err(sentence!("people-account-closed", name = &account.name).into());
    }
    let kept = passwords::kept_of(password, &account.name)?;
    let act = Act::new(who, "changed a password", about(account));
    store.change(act, |tx| accounts::set_password(tx, account.id, &kept))
}

/// Closes an account.
pub(crate) fn close(store: &Store, who: Actor, account: &Account) -> Result<(), CityError> {
    let act = Act::new(who, "closed an account", about(account));
    store.change(act, |tx| accounts::close(tx, clock::wall(), account.id))
}

/// Lets a partner see a campaign until the end of a day; without rights it is taken away.
pub(crate) fn set_campaign(
    store: &Store,
    who: Actor,
    account: &Account,
    campaign: &str,
    until: &str,
    rights: &BTreeSet<Right>,
) -> Result<(), CityError> {
    let words: Vec<_> = rights.iter().map(|right| right.word()).collect();
    let detail = json!({ "campaign": campaign, "until": until, "rights": words });
    let act = Act::new(who, "changed a partner's campaign", about(account));
    store.change(act.with(detail), |tx| {
        accounts::set_campaign(tx, account.id, campaign, until, rights)
    })
}

/// What somebody did to a question: it goes into the log of acts.
#[derive(Debug, Clone, Copy)]
pub struct QuestionAct<'a> {
    /// The campaign's id.
    pub campaign: &'a str,
    /// The question's.
    pub question: &'a str,
    /// Why it was stopped; `None` where it was given back.
    pub why: Option<&'a str>,
}

impl QuestionAct<'_> {
    pub(crate) fn note(&self, store: &Store, who: Actor) -> Result<(), CityError> {
        let (what, detail) = match self.why {
            Some(why) => ("stopped a question", json!({ "why": why })),
            None => ("gave a question back", json!(null)),
        };
        let about = format!("{}/{}", self.campaign, self.question);
        store.change(Act::new(who, what, about).with(detail), |_| Ok(()))
    }
}

fn about(account: &Account) -> String {
    format!("account {} {}", account.id, account.name)
}

/// The accounts of a hub's store, for the command line. It works beside a running hub.
#[derive(Debug)]
pub struct Roll(Store);

impl Roll {
    /// Notes in the log of acts what was done to a question on the command line.
    ///
    /// # Errors
    /// A database that does not answer.
    pub fn note_stop(&self, stop: QuestionAct<'_>) -> Result<(), CityError> {
        stop.note(&self.0, Actor::CommandLine)
    }

    /// Opens `city.sqlite` in the folder of the hub's store, and makes it at the first time.
    ///
    /// # Errors
    /// A folder or a database that cannot be used.
    pub fn open(folder: &Path) -> Result<Self, CityError> {
        Store::open(folder).map(Self)
    }

    /// All accounts, the closed ones last.
    ///
    /// # Errors
    /// A database that does not answer.
    pub fn all(&self) -> Result<Vec<Account>, CityError> {
        self.0.read(accounts::all)
    }

    /// One account.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn named(&self, name: &str) -> Result<Account, CityError> {
        let found = self.0.read(|db| accounts::by_name(db, name))?;
        found.ok_or_else(|| {
            CityError::Failed(format!(
                "there is no account {name:?}; booth-hub people list shows all"
            ))
        })
    }

    /// Makes an account; `password` is hashed here.
    ///
    /// # Errors
    /// A name that is taken, a password that can be guessed.
    pub fn add(&self, mut new: NewAccount, password: Option<&str>) -> Result<i64, CityError> {
        let kept = password.map(|password| passwords::kept_of(password, &new.name));
        new.kept_password = kept.transpose()?;
        add(&self.0, Actor::CommandLine, &new)
    }

    /// Gives an account these roles instead of those that it had.
    ///
    /// # Errors
    /// Nobody would be left who is administrator.
    pub fn set_roles(&self, account: &Account, roles: &BTreeSet<Role>) -> Result<(), CityError> {
        set_roles(&self.0, Actor::CommandLine, account, roles)
    }

    /// Gives an account another password, and ends its sessions.
    ///
    /// # Errors
    /// A password that can be guessed; a closed account.
    pub fn set_password(&self, account: &Account, password: &str) -> Result<(), CityError> {
        set_password(&self.0, Actor::CommandLine, account, password)
    }

    /// Lets a partner see a campaign until the end of a day; without rights it is taken away.
    ///
    /// # Errors
    /// A right that no partner has; a day that is none.
    pub fn set_campaign(
        &self,
        account: &Account,
        campaign: &str,
        until: &str,
        rights: &BTreeSet<Right>,
    ) -> Result<(), CityError> {
        set_campaign(
            &self.0,
            Actor::CommandLine,
            account,
            campaign,
            until,
            rights,
        )
    }

    /// Closes an account, and ends its sessions.
    ///
    /// # Errors
    /// Nobody would be left who is administrator.
    pub fn close(&self, account: &Account) -> Result<(), CityError> {
        close(&self.0, Actor::CommandLine, account)
    }

    /// The newest acts, the oldest of them first.
    ///
    /// # Errors
    /// A database that does not answer.
    pub fn acts(&self, most: u32) -> Result<Vec<WrittenAct>, CityError> {
        let newest = self
            .0
            .read(|db| crate::store::acts_before(db, None, "", most))?;
        Ok(newest.into_iter().rev().collect())
    }

    /// Computes the chain of hashes of the log of acts anew.
    ///
    /// # Errors
    /// A database that does not answer.
    pub fn check_acts(&self) -> Result<CheckedActs, CityError> {
        self.0.read(crate::store::check_acts)
    }
}
