//! One way to SQLite and to PostgreSQL, in the shape of the crate `rusqlite`, so that a store is written once.
//!
//! Owns: the connection to either database, its transactions, and how a value and a row look in both. Never does: know a table, or change
//! what a statement means. A store's SQL is text that both databases understand; [`shape`] makes a database of PostgreSQL out of the same
//! tables that SQLite has. A failure leaves what was committed: a lost connection is made again by itself, outside of a transaction only.
//!
//! What differs is said here, once:
//! - Parameters are written `?1`, as SQLite counts them; PostgreSQL is given `$1`.
//! - A statement that failed inside of a transaction ends the transaction at PostgreSQL: its commit then fails here, whatever the server says.
//! - There is one writer at a time, as SQLite has it: a writer's transaction takes one advisory lock of its namespace.
//! - A reader's transaction sees one moment in both.
//! - PostgreSQL keeps no NUL in a text; U+FFFD is written in its place.
//! - PostgreSQL's answer to a question is in memory as a whole before its first row is read.

mod connection;
pub mod elsewhere;
mod error;
mod params;
pub mod postgres;
mod rows;
pub mod shape;
mod transaction;

pub use rusqlite::types::{FromSql, ToSql, Value, ValueRef};
pub use rusqlite::{ErrorCode, OpenFlags, TransactionBehavior, params, types};

pub use connection::{Connection, DatabaseName};
pub use error::{Error, OptionalExtension, Result};
pub use params::{Params, ParamsFromIter, params_from_iter};
pub use rows::{MappedRows, Row, RowIndex, Rows, Statement};
pub use transaction::Transaction;
