//! Accounts: who works here, as what, and a partner's campaigns.
//!
//! Owns: the tables `account` and `account_campaign`. Never does: delete an account (its number stands in the log of acts), show what is
//! kept of a password. Every change that takes something away from a person ends the person's sessions.

use std::collections::BTreeSet;

use booth_contract::time::rfc3339;
use booth_database::{Connection, OptionalExtension, Row, Transaction, params};
use jiff::Timestamp;

use super::{Here, Person, Right, Role, sessions};
use crate::sentence;
use crate::store::CityError;

/// An account, as its administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub id: i64,
    /// The name to log in with.
    pub name: String,
    /// The name that colleagues see.
    pub shown_name: String,
    /// What the person is here for.
    pub roles: BTreeSet<Role>,
    /// The languages that the person understands, the one of the pages first.
    pub languages: Vec<String>,
    /// Whether there is a password.
    pub has_password: bool,
    /// Whether the city's own login knows the person.
    pub is_elsewhere: bool,
    /// When it was closed.
    pub closed_at: Option<String>,
    /// A partner's campaigns: id, last day, rights.
    pub campaigns: Vec<(String, String, BTreeSet<Right>)>,
}

/// What a new account is made of.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// The name to log in with.
    pub name: String,
    /// The name that colleagues see.
    pub shown_name: String,
    /// What the person is here for.
    pub roles: BTreeSet<Role>,
    /// The languages that the person understands, the one of the pages first.
    pub languages: Vec<String>,
    /// What is kept of the password; `None` for a login elsewhere.
    pub kept_password: Option<String>,
    /// Who the person is at the city's own login.
    pub subject: Option<String>,
}

/// A name as it is kept: small letters, no blanks around it.
pub fn plain_name(typed: &str) -> String {
    typed.trim().to_lowercase()
}

/// Whether a name can be one: 2 to 64 letters, digits, dots, hyphens, underscores, or an address of mail.
///
/// # Errors
/// A sentence.
pub fn checked_name(typed: &str) -> Result<String, CityError> {
    let name = plain_name(typed);
    let is_one = (2..=64).contains(&name.chars().count())
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | '+'));
    match is_one {
        true => Ok(name),
        false => Err(sentence!("people-bad-name", name = format!("{typed:?}")).into()),
    }
}

/// Reads roles, as they stand on the command line and in the table: `moderator,editor`.
///
/// # Errors
/// A word that is no role, or none at all.
pub fn roles_of(text: &str) -> Result<BTreeSet<Role>, CityError> {
    let words = text
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty());
    let roles = words.map(|word| {
        Role::of(word).ok_or_else(|| {
            let all: Vec<_> = Role::ALL.into_iter().map(Role::word).collect();
            let all = all.join(", ");
            sentence!("people-no-such-role", word = format!("{word:?}"), all = all)
        })
    });
    let roles: BTreeSet<Role> = roles.collect::<Result<_, _>>()?;
    match roles.is_empty() {
        false => Ok(roles),
        true => Err(sentence!("people-needs-a-role").into()),
    }
}

pub(crate) fn words_of(roles: &BTreeSet<Role>) -> String {
    let words: Vec<_> = roles.iter().map(|role| role.word()).collect();
    words.join(",")
}

pub(crate) fn rights_of(text: &str) -> BTreeSet<Right> {
    text.split(',').filter_map(Right::of).collect()
}

fn rights_text(rights: &BTreeSet<Right>) -> String {
    let words: Vec<_> = rights.iter().map(|right| right.word()).collect();
    words.join(",")
}

/// Reads languages: `da,en`, the one of the pages first.
///
/// # Errors
/// A word that is no language's tag.
pub fn languages_of(text: &str) -> Result<Vec<String>, CityError> {
    let mut languages = Vec::new();
    for word in text
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
    {
        let is_tag =
            word.len() <= 35 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !is_tag {
            return Err(sentence!("people-bad-language", word = format!("{word:?}")).into());
        }
        if !languages.iter().any(|known| known == word) {
            languages.push(word.to_owned());
        }
    }
    Ok(languages)
}

/// Whether there is an account at all, closed ones included.
pub(crate) fn are_there(db: &Connection) -> booth_database::Result<bool> {
    db.prepare_cached("SELECT EXISTS (SELECT 1 FROM account)")?
        .query_row([], |row| row.get(0))
}

const COLUMNS: &str = "id, name, shown_name, roles, languages, password IS NOT NULL, oidc_subject IS NOT NULL, closed_at";

fn account_from(row: &Row<'_>) -> booth_database::Result<Account> {
    let roles: String = row.get(3)?;
    let languages: String = row.get(4)?;
    let languages = languages.split(',').filter(|l| !l.is_empty());
    Ok(Account {
        id: row.get(0)?,
        name: row.get(1)?,
        shown_name: row.get(2)?,
        roles: roles.split(',').filter_map(Role::of).collect(),
        languages: languages.map(str::to_owned).collect(),
        has_password: row.get(5)?,
        is_elsewhere: row.get(6)?,
        closed_at: row.get(7)?,
        campaigns: Vec::new(),
    })
}

fn with_campaigns(db: &Connection, mut account: Account) -> booth_database::Result<Account> {
    let mut statement = db.prepare_cached(
        "SELECT campaign_id, until, rights FROM account_campaign WHERE account = ?1 ORDER BY campaign_id",
    )?;
    let rows = statement.query_map([account.id], |row| {
        let rights: String = row.get(2)?;
        Ok((row.get(0)?, row.get(1)?, rights_of(&rights)))
    })?;
    account.campaigns = rows.collect::<booth_database::Result<_>>()?;
    Ok(account)
}

/// All accounts, the closed ones last.
pub(crate) fn all(db: &Connection) -> booth_database::Result<Vec<Account>> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM account ORDER BY closed_at IS NOT NULL, name"
    ))?;
    let rows = statement.query_map([], account_from)?;
    let accounts = rows.collect::<booth_database::Result<Vec<_>>>()?;
    accounts
        .into_iter()
        .map(|account| with_campaigns(db, account))
        .collect()
}

/// One account by its number.
pub(crate) fn by_id(db: &Connection, id: i64) -> booth_database::Result<Option<Account>> {
    let account = db
        .prepare_cached(&format!("SELECT {COLUMNS} FROM account WHERE id = ?1"))?
        .query_row([id], account_from)
        .optional()?;
    account
        .map(|account| with_campaigns(db, account))
        .transpose()
}

/// One account by its name.
pub(crate) fn by_name(db: &Connection, name: &str) -> booth_database::Result<Option<Account>> {
    let id: Option<i64> = db
        .prepare_cached("SELECT id FROM account WHERE name = ?1")?
        .query_row([plain_name(name)], |row| row.get(0))
        .optional()?;
    id.map_or(Ok(None), |id| by_id(db, id))
}

/// The number and what is kept of the password of an account that is not closed.
pub(crate) fn login(
    db: &Connection,
    name: &str,
) -> booth_database::Result<Option<(i64, Option<String>)>> {
    db.prepare_cached("SELECT id, password FROM account WHERE name = ?1 AND closed_at IS NULL")?
        .query_row([plain_name(name)], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// The person of an account that is not closed, with the campaigns that are not over on this day.
pub(crate) fn person(
    db: &Connection,
    today: &str,
    id: i64,
) -> booth_database::Result<Option<Person>> {
    let Some(account) = by_id(db, id)?.filter(|account| account.closed_at.is_none()) else {
        return Ok(None);
    };
    let open = account
        .campaigns
        .into_iter()
        .filter(|(_, until, _)| until.as_str() >= today);
    Ok(Some(Person {
        account: account.id,
        name: account.name,
        shown_name: account.shown_name,
        roles: account.roles,
        campaigns: open.map(|(id, _, rights)| (id, rights)).collect(),
        here: Here {
            language: account.languages.first().cloned().unwrap_or_default(),
            ..Here::default()
        },
        languages: account.languages.into_iter().collect(),
    }))
}

/// Makes an account.
pub(crate) fn add(
    tx: &Transaction<'_>,
    now: Timestamp,
    new: &NewAccount,
) -> Result<i64, CityError> {
    let name = checked_name(&new.name)?;
    if by_name(tx, &name)?.is_some() {
        return Err(sentence!("people-name-taken", name = name).into());
    }
    let shown_name = match new.shown_name.trim() {
        "" => name.as_str(),
        shown => shown,
    };
    let shown_name: String = shown_name
        .chars()
        .filter(|c| !c.is_control())
        .take(100)
        .collect();
    tx.prepare_cached(
        "INSERT INTO account (name, shown_name, password, oidc_subject, roles, languages, made_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        name,
        shown_name,
        new.kept_password,
        new.subject,
        words_of(&new.roles),
        new.languages.join(","),
        rfc3339(now)
    ])?;
    Ok(tx.last_insert_rowid()?)
}

/// Refuses what would leave nobody who can change accounts.
fn some_administrator_stays(tx: &Transaction<'_>) -> Result<(), CityError> {
    let are_left = all(tx)?
        .iter()
        .any(|account| account.closed_at.is_none() && account.roles.contains(&Role::Administrator));
    match are_left {
        true => Ok(()),
        false => Err(sentence!("people-last-administrator").into()),
    }
}

/// Gives an account these roles instead of those that it had.
pub(crate) fn set_roles(
    tx: &Transaction<'_>,
    id: i64,
    roles: &BTreeSet<Role>,
) -> Result<(), CityError> {
    let was = by_id(tx, id)?
        .map(|account| account.roles)
        .unwrap_or_default();
    tx.prepare_cached("UPDATE account SET roles = ?2 WHERE id = ?1")?
        .execute(params![id, words_of(roles)])?;
    if was.contains(&Role::Administrator) {
        some_administrator_stays(tx)?;
    }
    if !was.is_subset(roles) {
        sessions::end_all(tx, id)?;
    }
    Ok(())
}

/// The account of somebody at the city's own login, also a closed one.
pub(crate) fn by_subject(
    db: &Connection,
    subject: &str,
) -> booth_database::Result<Option<Account>> {
    let id: Option<i64> = db
        .prepare_cached("SELECT id FROM account WHERE oidc_subject = ?1")?
        .query_row([subject], |row| row.get(0))
        .optional()?;
    id.map_or(Ok(None), |id| by_id(db, id))
}

/// Binds an account to somebody at the city's own login.
pub(crate) fn bind(tx: &Transaction<'_>, id: i64, subject: &str) -> Result<(), CityError> {
    tx.prepare_cached("UPDATE account SET oidc_subject = ?2 WHERE id = ?1")?
        .execute(params![id, subject])?;
    Ok(())
}

/// Gives an account the roles that follow from its groups: the city's directory decides, even if no administrator stays.
pub(crate) fn set_roles_by_groups(
    tx: &Transaction<'_>,
    id: i64,
    roles: &BTreeSet<Role>,
) -> Result<(), CityError> {
    tx.prepare_cached("UPDATE account SET roles = ?2 WHERE id = ?1")?
        .execute(params![id, words_of(roles)])?;
    sessions::end_all(tx, id)
}

/// Says which languages a person understands, the one of the pages first.
pub(crate) fn set_languages(
    tx: &Transaction<'_>,
    id: i64,
    languages: &[String],
) -> Result<(), CityError> {
    tx.prepare_cached("UPDATE account SET languages = ?2 WHERE id = ?1")?
        .execute(params![id, languages.join(",")])?;
    Ok(())
}

/// Gives an account another password, and ends its sessions.
pub(crate) fn set_password(tx: &Transaction<'_>, id: i64, kept: &str) -> Result<(), CityError> {
    tx.prepare_cached("UPDATE account SET password = ?2 WHERE id = ?1")?
        .execute(params![id, kept])?;
    sessions::end_all(tx, id)
}

/// Closes an account: nobody logs in with it any more, and its sessions end. It stays in the table for the log of acts.
pub(crate) fn close(tx: &Transaction<'_>, now: Timestamp, id: i64) -> Result<(), CityError> {
    tx.prepare_cached(
        "UPDATE account SET closed_at = ?2, password = NULL WHERE id = ?1 AND closed_at IS NULL",
    )?
    .execute(params![id, rfc3339(now)])?;
    some_administrator_stays(tx)?;
    sessions::end_all(tx, id)
}

/// Lets a partner see a campaign until the end of a day, with these rights; without rights it is taken away.
pub(crate) fn set_campaign(
    tx: &Transaction<'_>,
    id: i64,
    campaign: &str,
    until: &str,
    rights: &BTreeSet<Right>,
) -> Result<(), CityError> {
    if rights.is_empty() {
        tx.prepare_cached("DELETE FROM account_campaign WHERE account = ?1 AND campaign_id = ?2")?
            .execute(params![id, campaign])?;
        return sessions::end_all(tx, id);
    }
    if let Some(right) = rights.iter().find(|right| !right.is_for_partners()) {
        return Err(sentence!("people-not-for-partners", right = right.word()).into());
    }
    // Days are compared as texts.
    let day = until.parse::<jiff::civil::Date>();
    let day = day.map_err(|_| sentence!("people-bad-day", day = format!("{until:?}")))?;
    let until = day.to_string();
    tx.prepare_cached(
        "INSERT INTO account_campaign (account, campaign_id, until, rights) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (account, campaign_id) DO UPDATE SET until = excluded.until, rights = excluded.rights",
    )?
    .execute(params![id, campaign, until, rights_text(rights)])?;
    Ok(())
}
