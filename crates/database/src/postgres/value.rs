//! Values on their way to PostgreSQL and back.
//!
//! Owns: the form of each value. A value is sent in the type that PostgreSQL asks for, as text, and bytes as they are; it comes back as SQLite
//! would give it. Never does: round in silence.

use std::error::Error as StdError;

use postgres::Row;
use postgres::types::private::BytesMut;
use postgres::types::{Format, FromSql, IsNull, ToSql, Type};
use rusqlite::types::{Value, ValueRef};

use crate::{Error, Result};

type Fault = Box<dyn StdError + Sync + Send>;

/// A parameter.
#[derive(Debug)]
pub(super) struct Param<'v>(pub(super) &'v Value);

impl ToSql for Param<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> std::result::Result<IsNull, Fault> {
        match self.0 {
            Value::Null => return Ok(IsNull::Yes),
            Value::Integer(number) if *ty == Type::BOOL => {
                out.extend_from_slice(if *number == 0 { b"f" } else { b"t" });
            }
            Value::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Value::Real(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Value::Text(text) if *ty == Type::BYTEA => out.extend_from_slice(text.as_bytes()),
            // PostgreSQL keeps no NUL in a text.
            Value::Text(text) if text.contains('\0') => {
                out.extend_from_slice(text.replace('\0', "\u{fffd}").as_bytes());
            }
            Value::Text(text) => out.extend_from_slice(text.as_bytes()),
            Value::Blob(bytes) => out.extend_from_slice(bytes),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, ty: &Type) -> Format {
        match *ty {
            Type::BYTEA => Format::Binary,
            _ => Format::Text,
        }
    }

    fn to_sql_checked(&self, ty: &Type, out: &mut BytesMut) -> std::result::Result<IsNull, Fault> {
        self.to_sql(ty, out)
    }
}

/// What PostgreSQL sent.
struct Raw<'r> {
    ty: Type,
    bytes: Option<&'r [u8]>,
}

impl<'r> FromSql<'r> for Raw<'r> {
    fn from_sql(ty: &Type, bytes: &'r [u8]) -> std::result::Result<Self, Fault> {
        Ok(Self {
            ty: ty.clone(),
            bytes: Some(bytes),
        })
    }

    fn from_sql_null(ty: &Type) -> std::result::Result<Self, Fault> {
        Ok(Self {
            ty: ty.clone(),
            bytes: None,
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The value of a column, as SQLite would give it.
///
/// # Errors
/// A type that no store here has.
pub(crate) fn cell(row: &Row, at: usize) -> Result<ValueRef<'_>> {
    let raw: Raw<'_> = row
        .try_get(at)
        .map_err(|error| Error::of_postgres(&error))?;
    let Some(bytes) = raw.bytes else {
        return Ok(ValueRef::Null);
    };
    read(&raw.ty, bytes).ok_or_else(|| {
        let why = format!("PostgreSQL's type {} is none that is read here", raw.ty);
        Error::unreadable(at, why)
    })
}

fn read<'r>(ty: &Type, bytes: &'r [u8]) -> Option<ValueRef<'r>> {
    Some(match *ty {
        Type::BOOL => ValueRef::Integer(i64::from(*bytes.first()? != 0)),
        Type::INT2 => ValueRef::Integer(i16::from_be_bytes(bytes.try_into().ok()?).into()),
        Type::INT4 => ValueRef::Integer(i32::from_be_bytes(bytes.try_into().ok()?).into()),
        Type::OID => ValueRef::Integer(u32::from_be_bytes(bytes.try_into().ok()?).into()),
        Type::INT8 => ValueRef::Integer(i64::from_be_bytes(bytes.try_into().ok()?)),
        Type::FLOAT4 => ValueRef::Real(f32::from_be_bytes(bytes.try_into().ok()?).into()),
        Type::FLOAT8 => ValueRef::Real(f64::from_be_bytes(bytes.try_into().ok()?)),
        Type::NUMERIC => numeric(bytes)?,
        Type::BYTEA => ValueRef::Blob(bytes),
        Type::VOID => ValueRef::Null,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::CHAR => {
            ValueRef::Text(bytes)
        }
        _ => return None,
    })
}

/// A number of any length, which PostgreSQL makes of a sum or a mean: groups of four decimal digits. One without a fraction that fits is a whole
/// number.
fn numeric(bytes: &[u8]) -> Option<ValueRef<'static>> {
    let (groups, []) = bytes.as_chunks::<2>() else {
        return None;
    };
    let [count, weight, sign, _scale, digits @ ..] = groups else {
        return None;
    };
    let weight = i32::from(i16::from_be_bytes(*weight));
    if usize::from(u16::from_be_bytes(*count)) != digits.len() {
        return None;
    }
    let is_negative = match u16::from_be_bytes(*sign) {
        0x0000 => false,
        0x4000 => true,
        _ => return Some(ValueRef::Real(f64::NAN)),
    };
    let digits = digits.iter().map(|digit| u16::from_be_bytes(*digit));
    let is_whole = digits.len() as i32 <= weight + 1;
    let mut whole: Option<i64> = Some(0);
    let mut real = 0.0_f64;
    for (at, digit) in digits.enumerate() {
        whole = whole
            .and_then(|sum| sum.checked_mul(10_000))
            .and_then(|sum| sum.checked_add(digit.into()));
        real += f64::from(digit) * 10_000_f64.powi(weight - at as i32);
    }
    let missing = weight + 1 - i32::from(u16::from_be_bytes(*count));
    for _ in 0..missing.max(0) {
        whole = whole.and_then(|sum| sum.checked_mul(10_000));
    }
    Some(match (whole.filter(|_| is_whole), is_negative) {
        (Some(whole), false) => ValueRef::Integer(whole),
        (Some(whole), true) => ValueRef::Integer(-whole),
        (None, false) => ValueRef::Real(real),
        (None, true) => ValueRef::Real(-real),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(count: u16, weight: i16, sign: u16, digits: &[u16]) -> Vec<u8> {
        let head = [count, weight as u16, sign, 0];
        let all = head.iter().chain(digits);
        all.flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn a_sum_is_a_whole_number_and_a_mean_is_not() {
        for (bytes, wanted) in [
            (number(0, 0, 0, &[]), ValueRef::Integer(0)),
            (number(1, 0, 0, &[7]), ValueRef::Integer(7)),
            (number(1, 1, 0, &[3]), ValueRef::Integer(30_000)),
            (number(2, 1, 0x4000, &[1, 2345]), ValueRef::Integer(-12_345)),
            (number(2, 0, 0, &[2, 5000]), ValueRef::Real(2.5)),
            (number(1, -1, 0x4000, &[2500]), ValueRef::Real(-0.25)),
            (number(1, 9, 0, &[1]), ValueRef::Real(1e36)),
        ] {
            assert_eq!(numeric(&bytes), Some(wanted), "{bytes:?}");
        }
        assert_eq!(numeric(&[0, 1, 2]), None);
        assert_eq!(numeric(&number(2, 0, 0, &[2])), None);
    }
}
