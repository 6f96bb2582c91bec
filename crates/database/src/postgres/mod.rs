//! PostgreSQL as a store sees it.
//!
//! Owns: the address, the session with its transaction, and how values and statements are written for PostgreSQL. Never does: log a
//! password.

mod address;
mod remote;
mod session;
mod statement;
mod value;

pub use address::{Address, AddressError};
pub use session::Role;
pub(crate) use session::Session;
pub(crate) use statement::for_postgres;
pub(crate) use value::cell;
