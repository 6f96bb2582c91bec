//! From when until when a certificate is valid (RFC 5280 §4.1.2.5). Pure.
//!
//! Owns: walking the few DER fields up to the dates. Never does: trust anything; rustls does that.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Not before and not after; `None` for bytes that are no X.509 certificate.
pub fn validity(der: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (certificate, _) = field(der, SEQUENCE)?;
    let (mut rest, _) = field(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = field(rest, VERSION)?.1;
    }
    // Serial number, signature algorithm, issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        rest = field(rest, tag)?.1;
    }
    let (validity, _) = field(rest, SEQUENCE)?;
    let (not_before, rest) = time(validity)?;
    let (not_after, _) = time(rest)?;
    Some((not_before, not_after))
}

/// The content of a field with this tag, and what comes after it.
fn field(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    (found == tag).then(|| rest.split_at_checked(length))?
}

fn time(der: &[u8]) -> Option<(Timestamp, &[u8])> {
    let tag = *der.first()?;
    let (content, rest) = field(der, tag)?;
    let text = std::str::from_utf8(content).ok()?;
    let digits = text.strip_suffix('Z')?;
    let year_digits = match tag {
        UTC_TIME => 2,
        GENERALIZED_TIME => 4,
        _ => return None,
    };
    if digits.len() != year_digits + 10 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, clock) = digits.split_at(year_digits);
    let year: i16 = year.parse().ok()?;
    // Two digits from 50 on are of the last century.
    let year = match (tag, year) {
        (UTC_TIME, 50..) => 1900 + year,
        (UTC_TIME, _) => 2000 + year,
        _ => year,
    };
    let part = |at: usize| clock.get(at..at + 2)?.parse::<i8>().ok();
    let at = DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
    let at = TimeZone::UTC.to_timestamp(at).ok()?;
    Some((at, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> Vec<u8> {
        let mut parameters =
            rcgen::CertificateParams::new(vec!["broker".into()]).expect("parameters");
        parameters.not_before = rcgen::date_time_ymd(2024, 2, 3);
        parameters.not_after = rcgen::date_time_ymd(2061, 12, 31);
        let key = rcgen::KeyPair::generate().expect("a key");
        let made = parameters.self_signed(&key).expect("a certificate");
        made.der().to_vec()
    }

    #[test]
    fn both_dates_of_a_certificate_are_found() {
        let (before, after) = validity(&certificate()).expect("dates");
        assert_eq!(before.to_string(), "2024-02-03T00:00:00Z");
        assert_eq!(after.to_string(), "2061-12-31T00:00:00Z");
    }

    #[test]
    fn what_is_cut_or_is_none_has_no_dates() {
        let whole = certificate();
        for end in 0..whole.len() - 1 {
            assert_eq!(validity(&whole[..end]), None, "cut at {end}");
        }
        assert_eq!(validity(&[0x30, 0x83, 0xff, 0xff, 0xff]), None);
        assert_eq!(validity(b"-----BEGIN CERTIFICATE-----"), None);
    }
}
