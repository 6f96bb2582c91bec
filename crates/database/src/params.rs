//! The values of a statement's parameters.
//!
//! Owns: which shapes a caller may give them in, those of `rusqlite`. Never does: name a parameter.

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, Value};

use crate::{Error, Result};

/// Values for a statement's parameters, in order.
pub trait Params {
    /// The same for SQLite.
    type OfSqlite: rusqlite::Params;

    /// As SQLite takes them, nothing copied.
    fn for_sqlite(self) -> Self::OfSqlite;

    /// As values of their own, for PostgreSQL.
    ///
    /// # Errors
    /// A value that has no form in a database.
    fn values(self) -> Result<Vec<Value>>;
}

/// The value as a database keeps it.
fn value_of<T: ToSql + ?Sized>(given: &T) -> Result<Value> {
    match given.to_sql()? {
        ToSqlOutput::Borrowed(value) => Value::try_from(value)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()).into()),
        ToSqlOutput::Owned(value) => Ok(value),
        _ => Err(Error::NotHere(
            "a value of this kind goes into SQLite alone: write it as a number, a text or bytes",
        )),
    }
}

impl Params for [&(dyn ToSql + Send + Sync); 0] {
    type OfSqlite = Self;

    fn for_sqlite(self) -> Self {
        self
    }

    fn values(self) -> Result<Vec<Value>> {
        Ok(Vec::new())
    }
}

impl Params for &[&dyn ToSql] {
    type OfSqlite = Self;

    fn for_sqlite(self) -> Self {
        self
    }

    fn values(self) -> Result<Vec<Value>> {
        self.iter().map(|value| value_of(*value)).collect()
    }
}

macro_rules! arrays {
    ($($length:literal)+) => {$(
        impl<T: ToSql> Params for [T; $length] {
            type OfSqlite = Self;

            fn for_sqlite(self) -> Self {
                self
            }

            fn values(self) -> Result<Vec<Value>> {
                self.iter().map(value_of).collect()
            }
        }

        impl<T: ToSql + ?Sized> Params for &[&T; $length] {
            type OfSqlite = Self;

            fn for_sqlite(self) -> Self {
                self
            }

            fn values(self) -> Result<Vec<Value>> {
                self.iter().map(|value| value_of(*value)).collect()
            }
        }
    )+};
}
arrays!(1 2 3 4 5 6 7 8);

macro_rules! tuples {
    ($(($($field:ident $at:tt),+))+) => {$(
        impl<$($field: ToSql),+> Params for ($($field,)+) {
            type OfSqlite = Self;

            fn for_sqlite(self) -> Self {
                self
            }

            fn values(self) -> Result<Vec<Value>> {
                Ok(vec![$(value_of(&self.$at)?),+])
            }
        }
    )+};
}
tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
}

/// Any number of values of one kind.
#[derive(Debug, Clone)]
pub struct ParamsFromIter<I>(I);

/// The values of an iterator as parameters.
pub fn params_from_iter<I>(values: I) -> ParamsFromIter<I>
where
    I: IntoIterator,
    I::Item: ToSql,
{
    ParamsFromIter(values)
}

impl<I> Params for ParamsFromIter<I>
where
    I: IntoIterator,
    I::Item: ToSql,
{
    type OfSqlite = rusqlite::ParamsFromIter<I>;

    fn for_sqlite(self) -> Self::OfSqlite {
        rusqlite::params_from_iter(self.0)
    }

    fn values(self) -> Result<Vec<Value>> {
        self.0.into_iter().map(|value| value_of(&value)).collect()
    }
}
