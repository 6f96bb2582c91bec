//! All or nothing.
//!
//! Owns: that a transaction which is not committed is rolled back. Never does: nest.

use std::ops::Deref;

use rusqlite::TransactionBehavior;

use crate::{Connection, Result};

/// A transaction: without [`Self::commit`] nothing of it is kept.
#[derive(Debug)]
pub struct Transaction<'c> {
    db: &'c Connection,
}

impl<'c> Transaction<'c> {
    pub(crate) fn begin(db: &'c Connection, behavior: TransactionBehavior) -> Result<Self> {
        db.begin(behavior)?;
        Ok(Self { db })
    }

    /// Keeps what was done. It is durable when this returns.
    ///
    /// # Errors
    /// The database's: then nothing of it is kept, or, where the connection was lost just now, all of it may be.
    pub fn commit(self) -> Result<()> {
        self.db.commit()
    }
}

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.db
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.db.is_autocommit()
            && let Err(error) = self.db.roll_back()
        {
            log::warn!("a transaction could not be rolled back: {error}");
        }
    }
}
