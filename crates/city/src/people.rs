//! Who may do what: roles, the rights of each, and the person behind a request.
//!
//! Owns: the matrix of rights ([`Role::rights`]), which is a table that a test drives; below it accounts, passwords and sessions. Never does:
//! read a request.

pub mod accounts;
mod acts_page;
mod changes;
pub(crate) mod elsewhere;
mod pages;
pub mod passwords;
pub(crate) mod sessions;

use std::collections::BTreeSet;

use axum::http::StatusCode;

use crate::sentence;
use crate::store::Actor;
pub use crate::store::{CheckedActs, WrittenAct};
use crate::web::Fault;
pub use changes::{QuestionAct, Roll};
pub use elsewhere::config::LoginConfig;

/// The pages of accounts and of the log of acts.
pub(crate) fn routes() -> axum::Router<std::sync::Arc<crate::City>> {
    pages::routes()
        .merge(acts_page::routes())
        .merge(elsewhere::routes())
}

/// Something that a person may or may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Hear a message that is not published.
    Listen,
    /// Write down and tag what was said.
    Transcribe,
    /// Decide what is published or rejected; group messages into ideas.
    Publish,
    /// Take data out that is not public.
    Export,
    /// Campaigns, questions, phases, replies, areas, placements, notices.
    Edit,
    /// The fleet of booths.
    Operate,
    /// Search for the messages of a person who asks for a right.
    Search,
    /// Accounts, and the log of acts.
    Administer,
}

impl Right {
    /// All rights.
    pub const ALL: [Self; 8] = [
        Self::Listen,
        Self::Transcribe,
        Self::Publish,
        Self::Export,
        Self::Edit,
        Self::Operate,
        Self::Search,
        Self::Administer,
    ];

    /// Its word in the database and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Listen => "listen",
            Self::Transcribe => "transcribe",
            Self::Publish => "publish",
            Self::Export => "export",
            Self::Edit => "edit",
            Self::Operate => "operate",
            Self::Search => "search",
            Self::Administer => "administer",
        }
    }

    /// Reads that word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.word() == word)
    }

    /// Whether a partner may have it in a campaign.
    pub fn is_for_partners(self) -> bool {
        matches!(
            self,
            Self::Listen | Self::Transcribe | Self::Publish | Self::Export
        )
    }
}

/// What somebody is here for; a person may have several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // the names say it
pub enum Role {
    Moderator,
    Editor,
    Operator,
    Administrator,
    /// Somebody of a partner: sees campaigns of their own alone, until a date, with the rights that are named there.
    Partner,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] = [
        Self::Moderator,
        Self::Editor,
        Self::Operator,
        Self::Administrator,
        Self::Partner,
    ];

    /// Its word in the database and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Moderator => "moderator",
            Self::Editor => "editor",
            Self::Operator => "operator",
            Self::Administrator => "administrator",
            Self::Partner => "partner",
        }
    }

    /// Reads that word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }

    /// What this role may do in every campaign. A partner's rights stand beside each campaign instead.
    pub fn rights(self) -> &'static [Right] {
        match self {
            Self::Moderator => &[Right::Listen, Right::Transcribe, Right::Publish],
            Self::Editor => &[Right::Edit, Right::Export],
            Self::Operator => &[Right::Operate],
            Self::Administrator => &[Right::Administer, Right::Search],
            Self::Partner => &[],
        }
    }
}

/// The person behind a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The account's number.
    pub account: i64,
    /// The name to log in with.
    pub name: String,
    /// The name that colleagues see.
    pub shown_name: String,
    /// What the person is here for.
    pub roles: BTreeSet<Role>,
    /// The languages that the person understands.
    pub languages: BTreeSet<String>,
    /// A partner's campaigns that are not over yet, with what may be done there.
    pub campaigns: Vec<(String, BTreeSet<Right>)>,
    /// What belongs to this visit.
    pub here: Here,
}

/// What belongs to one visit of a person: language, form token, place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Here {
    /// The language of the pages.
    pub language: String,
    /// What every form of this session carries in its field `form_token`.
    pub form_token: String,
    /// How many levels the page lies below the first one.
    pub depth: usize,
}

impl Here {
    /// A relative address of a page, given without a leading slash.
    pub fn to(&self, page: &str) -> String {
        let up = "../".repeat(self.depth);
        match (up.is_empty(), page.is_empty()) {
            (true, true) => "./".into(),
            _ => format!("{up}{page}"),
        }
    }
}

impl Person {
    /// Lets the person go on only with this right, as [`Person::may`].
    ///
    /// # Errors
    /// The page that says what is missing.
    pub(crate) fn must(&self, right: Right, campaign: Option<&str>) -> Result<(), Fault> {
        match self.may(right, campaign) {
            true => Ok(()),
            false => Err(Self::without(right)),
        }
    }

    /// Lets the person go on only with this right in one campaign at least; which ones, says [`Person::where_may`].
    ///
    /// # Errors
    /// The page that says what is missing.
    pub(crate) fn must_somewhere(&self, right: Right) -> Result<(), Fault> {
        match self.may_somewhere(right) {
            true => Ok(()),
            false => Err(Self::without(right)),
        }
    }

    /// Whether the person may do this in one campaign at least.
    pub fn may_somewhere(&self, right: Right) -> bool {
        self.where_may(right).is_none_or(|own| !own.is_empty())
    }

    fn without(right: Right) -> Fault {
        let sentence = match right {
            Right::Listen => sentence!("staff-without-listen"),
            Right::Transcribe => sentence!("staff-without-transcribe"),
            Right::Publish => sentence!("staff-without-publish"),
            Right::Export => sentence!("staff-without-export"),
            Right::Edit => sentence!("staff-without-edit"),
            Right::Operate => sentence!("staff-without-operate"),
            Right::Search => sentence!("staff-without-search"),
            Right::Administer => sentence!("staff-without-administer"),
        };
        Fault::new(StatusCode::FORBIDDEN, sentence)
    }

    /// A relative address of a staff page, given without a leading slash.
    pub fn to(&self, page: &str) -> String {
        self.here.to(page)
    }

    /// Whether the person may do this in a campaign; `None` is for what belongs to no campaign, or to all of them.
    pub fn may(&self, right: Right, campaign: Option<&str>) -> bool {
        let by_role = self.roles.iter().any(|role| role.rights().contains(&right));
        let by_campaign = campaign.is_some_and(|wanted| {
            self.campaigns
                .iter()
                .any(|(id, rights)| id == wanted && rights.contains(&right))
        });
        by_role || by_campaign
    }

    /// The campaigns that the person may do this in; `None` means all.
    pub fn where_may(&self, right: Right) -> Option<Vec<&str>> {
        if self.may(right, None) {
            return None;
        }
        let own = self.campaigns.iter();
        let own = own.filter(|(_, rights)| rights.contains(&right));
        Some(own.map(|(id, _)| id.as_str()).collect())
    }

    /// The person in the log of acts.
    pub(crate) fn actor(&self) -> Actor {
        Actor::Account(self.account, self.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::accounts::{self, NewAccount};
    use super::*;
    use crate::CityError;
    use crate::testing::{city, seated};

    #[test]
    fn the_matrix_of_rights_is_the_one_of_the_page() {
        let page = include_str!("../../../docs/people.md");
        let mut rows = page
            .lines()
            .skip_while(|line| !line.starts_with("| right |"));
        let cells = |line: &str| -> Vec<String> {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().to_owned()).collect()
        };
        let roles = cells(rows.next().expect("a head"));
        let roles: Vec<Role> = roles[1..]
            .iter()
            .map(|word| Role::of(word).expect("a role"))
            .collect();
        assert_eq!(roles, Role::ALL);
        let rows: Vec<_> = rows
            .skip(1)
            .take_while(|line| line.starts_with('|'))
            .collect();
        assert_eq!(rows.len(), Right::ALL.len());
        for (line, right) in rows.iter().zip(Right::ALL) {
            let said = cells(line);
            assert_eq!(said[0], right.word());
            for (role, said) in roles.iter().zip(&said[1..]) {
                let is = match (role.rights().contains(&right), role) {
                    (true, _) => "yes",
                    (false, Role::Partner) if right.is_for_partners() => "by campaign",
                    (false, _) => "no",
                };
                assert_eq!(said, is, "{right:?} {role:?}");
            }
        }
    }

    #[test]
    fn a_partners_campaign_is_shut_the_day_after_its_last() {
        let (city, _, _folder) = city();
        let now = booth_host::clock::wall();
        let account = city.store.change_quietly(|tx| {
            let new = NewAccount {
                name: "mette".into(),
                shown_name: String::new(),
                roles: [Role::Partner].into(),
                languages: Vec::new(),
                kept_password: None,
                subject: None,
            };
            let id = accounts::add(tx, now, &new)?;
            let rights = [Right::Listen, Right::Export].into();
            accounts::set_campaign(tx, id, "square", "2026-06-30", &rights)?;
            Ok(id)
        });
        let account = account.expect("made");
        let on = |day: &str| {
            let person = city.store.read(|db| accounts::person(db, day, account));
            person.expect("reads").expect("open")
        };
        let last = on("2026-06-30");
        assert!(last.may(Right::Listen, Some("square")));
        assert!(!last.may(Right::Publish, Some("square")));
        assert!(!last.may(Right::Listen, Some("other")) && !last.may(Right::Listen, None));
        assert_eq!(last.where_may(Right::Export), Some(vec!["square"]));
        let after = on("2026-07-01");
        assert!(!after.may(Right::Listen, Some("square")));
        assert!(!after.may_somewhere(Right::Listen));
        // However the day is written.
        city.store
            .change_quietly(|tx| {
                let rights = [Right::Listen].into();
                accounts::set_campaign(tx, account, "square", "20260630", &rights)
            })
            .expect("a day");
        assert!(on("2026-06-30").may(Right::Listen, Some("square")));
        assert!(!on("2026-07-01").may(Right::Listen, Some("square")));
        for (right, until) in [(Right::Edit, "2026-06-30"), (Right::Listen, "30/6/2026")] {
            let refused = city.store.change_quietly(|tx| {
                accounts::set_campaign(tx, account, "square", until, &[right].into())
            });
            assert!(
                matches!(refused, Err(CityError::Refused(_))),
                "{right:?} {until}"
            );
        }
    }

    #[test]
    fn somebody_always_stays_who_is_administrator() {
        let (city, _, _folder) = city();
        seated(&city, "anna", &[Role::Administrator]);
        seated(&city, "bo", &[Role::Moderator]);
        let named = |name: &str| {
            let found = city.store.read(|db| accounts::by_name(db, name));
            found.expect("reads").expect("there")
        };
        let anna = named("anna");
        let moderator = [Role::Moderator].into();
        let closed = changes::close(&city.store, Actor::CommandLine, &anna);
        let lowered = changes::set_roles(&city.store, Actor::CommandLine, &anna, &moderator);
        assert!(closed.is_err() && lowered.is_err());
        assert_eq!(named("anna"), anna, "nothing was half done");
        let bo = named("bo");
        let administrator = [Role::Administrator].into();
        changes::set_roles(&city.store, Actor::CommandLine, &bo, &administrator).expect("given");
        changes::close(&city.store, Actor::CommandLine, &anna).expect("closed");
        assert!(named("anna").closed_at.is_some());
    }
}
