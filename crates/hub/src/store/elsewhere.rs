//! Rows of a store that are in PostgreSQL and not beside the clips.
//!
//! Owns: that configuration and folder agree: a folder whose rows are in PostgreSQL is never opened as one whose rows are beside its clips, nor
//! with another database; and what is said instead of what is done with a file. Never does: change a database.
#![allow(clippy::disallowed_methods)] // looks whether the database's file is there

use std::path::Path;

use booth_database::elsewhere::{Elsewhere, ElsewhereError, of};
use booth_database::postgres::Role;
use booth_database::shape;

use super::{StoreError, database_in};

/// The namespace of the hub's tables.
pub(super) const NAMESPACE: &str = "hub";
/// What to do instead of making anew.
const FROM_A_BACKUP: &str = "put it back from a backup with booth-hub restore (docs/hub-store.md)";

impl From<ElsewhereError> for StoreError {
    fn from(error: ElsewhereError) -> Self {
        match error {
            ElsewhereError::Note { path, source } => Self::file("reading", &path, source),
            ElsewhereError::Address(why) => Self::Address(why),
            ElsewhereError::Database(error) => Self::Database(error),
        }
    }
}

/// Notes in a new folder what the configuration says; for one that is in use, whether both say the same.
///
/// # Errors
/// [`StoreError::MovedAway`] and [`StoreError::NotMoved`], and every error of the file system.
pub(super) fn bind(dir: &Path, wanted: Option<&Elsewhere>) -> Result<(), StoreError> {
    agrees(dir, wanted)?;
    match wanted {
        Some(wanted) if of(dir)?.as_ref() != Some(wanted) => Ok(wanted.note(dir)?),
        _ => Ok(()),
    }
}

/// Whether the folder's note says that its rows are elsewhere.
///
/// # Errors
/// A note that cannot be read.
pub(super) fn is_noted(dir: &Path) -> Result<bool, StoreError> {
    Ok(of(dir)?.is_some())
}

/// Whether the folder and the configuration say the same, before anything is done by either. A new folder says nothing.
///
/// # Errors
/// [`StoreError::MovedAway`] and [`StoreError::NotMoved`], and every error of the file system.
pub fn agrees(dir: &Path, wanted: Option<&Elsewhere>) -> Result<(), StoreError> {
    match (wanted, of(dir)?) {
        (Some(wanted), Some(noted)) if wanted.database == noted.database => Ok(()),
        (_, Some(noted)) => Err(StoreError::MovedAway {
            dir: dir.to_owned(),
            database: noted.database,
        }),
        (Some(_), None) if database_in(dir).exists() => Err(StoreError::NotMoved(dir.to_owned())),
        (_, None) => Ok(()),
    }
}

/// Refuses to make a database's file anew where there is none.
///
/// # Errors
/// [`StoreError::Elsewhere`].
pub(super) fn refuse(dir: &Path) -> Result<(), StoreError> {
    match of(dir)? {
        None => Ok(()),
        Some(noted) => Err(StoreError::Elsewhere {
            database: noted.database,
            instead: FROM_A_BACKUP,
        }),
    }
}

/// Whether the rows of this folder can be moved there: nobody's are there yet.
///
/// # Errors
/// [`StoreError::Occupied`], and a server that does not answer, or refuses.
pub(super) fn has_room(dir: &Path, there: &Elsewhere) -> Result<(), StoreError> {
    let db = there.open(NAMESPACE, Role::Reader)?;
    match shape::version_of(&db)? {
        None => Ok(()),
        Some(_) => Err(StoreError::Occupied {
            dir: dir.to_owned(),
            database: there.database.clone(),
        }),
    }
}
