//! Statements and what they answer.
//!
//! Owns: how a row is read from either database. Never does: hold a row longer than its closure.

use rusqlite::types::{FromSql, FromSqlError, ValueRef};

use crate::postgres::{Session, cell};
use crate::{Params, Result};

/// A statement that is ready to be run, again and again.
pub struct Statement<'c>(pub(crate) AnyStatement<'c>);

impl std::fmt::Debug for Statement<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a statement")
    }
}

pub(crate) enum AnyStatement<'c> {
    Sqlite(rusqlite::Statement<'c>),
    /// It goes back to its connection when it is dropped.
    Cached(rusqlite::CachedStatement<'c>),
    Postgres {
        session: &'c Session,
        sql: String,
    },
}

impl Statement<'_> {
    /// Runs it; how many rows it changed.
    ///
    /// # Errors
    /// The database's.
    pub fn execute<P: Params>(&mut self, params: P) -> Result<usize> {
        match &mut self.0 {
            AnyStatement::Sqlite(statement) => Ok(statement.execute(params.for_sqlite())?),
            AnyStatement::Cached(statement) => Ok(statement.execute(params.for_sqlite())?),
            AnyStatement::Postgres { session, sql } => session.execute(sql, params.values()?),
        }
    }

    /// Its rows, one after the other.
    ///
    /// # Errors
    /// The database's.
    pub fn query<P: Params>(&mut self, params: P) -> Result<Rows<'_>> {
        Ok(Rows(match &mut self.0 {
            AnyStatement::Sqlite(statement) => {
                AnyRows::Sqlite(statement.query(params.for_sqlite())?)
            }
            AnyStatement::Cached(statement) => {
                AnyRows::Sqlite(statement.query(params.for_sqlite())?)
            }
            AnyStatement::Postgres { session, sql } => {
                AnyRows::of_postgres(session.query(sql, params.values()?)?)
            }
        }))
    }

    /// What the closure makes of each row.
    ///
    /// # Errors
    /// The database's.
    pub fn query_map<T, P, F>(&mut self, params: P, read: F) -> Result<MappedRows<'_, F>>
    where
        P: Params,
        F: FnMut(&Row<'_>) -> Result<T>,
    {
        Ok(MappedRows {
            rows: self.query(params)?,
            read,
        })
    }

    /// What the closure makes of the first row.
    ///
    /// # Errors
    /// The database's; no row is one ([`crate::OptionalExtension`]).
    pub fn query_row<T, P, F>(&mut self, params: P, read: F) -> Result<T>
    where
        P: Params,
        F: FnOnce(&Row<'_>) -> Result<T>,
    {
        let mut rows = self.query(params)?;
        match rows.next()? {
            Some(row) => read(&row),
            None => Err(rusqlite::Error::QueryReturnedNoRows.into()),
        }
    }
}

/// The rows of a question.
#[derive(Debug)]
pub struct Rows<'s>(AnyRows<'s>);

enum AnyRows<'s> {
    Sqlite(rusqlite::Rows<'s>),
    Postgres {
        rows: Vec<::postgres::Row>,
        next: usize,
    },
}

impl std::fmt::Debug for AnyRows<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sqlite(_) => "rows of SQLite",
            Self::Postgres { .. } => "rows of PostgreSQL",
        })
    }
}

impl AnyRows<'_> {
    fn of_postgres(rows: Vec<::postgres::Row>) -> Self {
        Self::Postgres { rows, next: 0 }
    }
}

impl Rows<'_> {
    /// The next row, if there is one.
    ///
    /// # Errors
    /// The database's.
    #[allow(clippy::should_implement_trait)] // a row is borrowed from the rows, which no iterator can say
    pub fn next(&mut self) -> Result<Option<Row<'_>>> {
        Ok(match &mut self.0 {
            AnyRows::Sqlite(rows) => rows.next()?.map(|row| Row(AnyRow::Sqlite(row))),
            AnyRows::Postgres { rows, next } => {
                let row = rows.get(*next);
                *next += 1;
                row.map(|row| Row(AnyRow::Postgres(row)))
            }
        })
    }
}

/// What a closure makes of each row.
#[derive(Debug)]
pub struct MappedRows<'s, F> {
    rows: Rows<'s>,
    read: F,
}

impl<T, F> Iterator for MappedRows<'_, F>
where
    F: FnMut(&Row<'_>) -> Result<T>,
{
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        match self.rows.next() {
            Ok(Some(row)) => Some((self.read)(&row)),
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

/// One row.
pub struct Row<'r>(AnyRow<'r>);

enum AnyRow<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r ::postgres::Row),
}

impl std::fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a row")
    }
}

impl<'r> Row<'r> {
    /// The value of a column.
    ///
    /// # Errors
    /// No such column, or a value that is none of this type.
    pub fn get<I: RowIndex, T: FromSql>(&self, column: I) -> Result<T> {
        match &self.0 {
            AnyRow::Sqlite(row) => Ok(row.get(column)?),
            AnyRow::Postgres(row) => {
                let at = column.in_postgres(row)?;
                T::column_result(cell(row, at)?).map_err(|why| misread(at, why))
            }
        }
    }

    /// The same, borrowed from the row.
    ///
    /// # Errors
    /// No such column.
    pub fn get_ref<I: RowIndex>(&self, column: I) -> Result<ValueRef<'_>> {
        match &self.0 {
            AnyRow::Sqlite(row) => Ok(row.get_ref(column)?),
            AnyRow::Postgres(row) => cell(row, column.in_postgres(row)?),
        }
    }
}

fn misread(column: usize, why: FromSqlError) -> crate::Error {
    crate::Error::unreadable(column, why)
}

/// A column by its place, from 0, or by its name.
pub trait RowIndex: rusqlite::RowIndex + Copy {
    /// Its place in this row.
    ///
    /// # Errors
    /// No such column.
    fn in_postgres(self, row: &::postgres::Row) -> Result<usize>;
}

impl RowIndex for usize {
    fn in_postgres(self, row: &::postgres::Row) -> Result<usize> {
        match self < row.len() {
            true => Ok(self),
            false => Err(rusqlite::Error::InvalidColumnIndex(self).into()),
        }
    }
}

impl RowIndex for &str {
    fn in_postgres(self, row: &::postgres::Row) -> Result<usize> {
        let mut columns = row.columns().iter();
        let at = columns.position(|column| column.name() == self);
        at.ok_or_else(|| rusqlite::Error::InvalidColumnName(self.to_owned()).into())
    }
}
