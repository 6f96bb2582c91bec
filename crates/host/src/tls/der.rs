//! Structures of ASN.1's distinguished encoding (ITU-T X.690), as far as they are needed for a certificate's dates and a file's
//! kind.
//!
//! Owns: reading these structures. Never does: verify a certificate; rustls does.

use jiff::Timestamp;
use jiff::civil::DateTime;

/// Tags.
mod tag {
    pub(super) const INTEGER: u8 = 0x02;
    pub(super) const OCTETS: u8 = 0x04;
    pub(super) const OID: u8 = 0x06;
    pub(super) const UTC_TIME: u8 = 0x17;
    pub(super) const GENERALIZED_TIME: u8 = 0x18;
    pub(super) const SEQUENCE: u8 = 0x30;
    /// `[0]`, the version of a certificate.
    pub(super) const VERSION: u8 = 0xa0;
    /// `[3]`, the extensions of a certificate.
    pub(super) const EXTENSIONS: u8 = 0xa3;
}

/// Object identifiers.
const SIGNED_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
const BASIC_CONSTRAINTS: &[u8] = b"\x55\x1d\x13";

/// What a binary file contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Certificate,
    /// A request for a certificate (PKCS#10).
    Request,
    /// A private key (PKCS#1, PKCS#8, SEC 1).
    Key,
    /// A private key that a passphrase protects (PKCS#8).
    LockedKey,
    /// An archive of certificates and keys.
    Pkcs12,
    /// A list of certificates.
    Pkcs7,
}

/// What these bytes contain; `None` for anything else.
pub(super) fn shape(der: &[u8]) -> Option<Shape> {
    // Java and browsers write PKCS#12 and PKCS#7 without lengths, which the functions below do not read.
    match der {
        [0x30, 0x80, 0x02, 0x01, 0x03, ..] => return Some(Shape::Pkcs12),
        [0x30, 0x80, 0x06, ..] => return Some(Shape::Pkcs7),
        _ => {}
    }
    let inside = &mut field(&mut { der }, tag::SEQUENCE)?;
    match *inside.first()? {
        tag::INTEGER => match (field(inside, tag::INTEGER)?, inside.first()?) {
            ([3], _) => Some(Shape::Pkcs12),
            (_, &(tag::SEQUENCE | tag::INTEGER | tag::OCTETS)) => Some(Shape::Key),
            _ => None,
        },
        tag::OID => (field(inside, tag::OID)? == SIGNED_DATA).then_some(Shape::Pkcs7),
        tag::SEQUENCE if validity(der).is_some() => Some(Shape::Certificate),
        tag::SEQUENCE => match *field(inside, tag::SEQUENCE)?.first()? {
            tag::OID => Some(Shape::LockedKey),
            tag::INTEGER => Some(Shape::Request),
            _ => None,
        },
        _ => None,
    }
}

/// A certificate's fields from its serial number on (RFC 5280 §4.1), and its version.
fn fields(der: &[u8]) -> Option<(&[u8], u8)> {
    let certificate = &mut { der };
    let to_be_signed = &mut field(&mut field(certificate, tag::SEQUENCE)?, tag::SEQUENCE)?;
    let mut version = 1;
    if to_be_signed.first() == Some(&tag::VERSION) {
        let number = field(&mut field(to_be_signed, tag::VERSION)?, tag::INTEGER)?;
        version = number.last()?.saturating_add(1);
    }
    Some((*to_be_signed, version))
}

/// The version of a certificate: 3 today, 1 for one that was signed without extensions.
pub(super) fn version(der: &[u8]) -> Option<u8> {
    fields(der).map(|(_, version)| version)
}

/// `notBefore` and `notAfter` of one certificate, by the order of fields in RFC 5280 §4.1.
pub fn validity(der: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (fields, _) = &mut fields(der)?;
    field(fields, tag::INTEGER)?; // serialNumber
    field(fields, tag::SEQUENCE)?; // signature
    field(fields, tag::SEQUENCE)?; // issuer
    let validity = &mut field(fields, tag::SEQUENCE)?;
    let not_before = time(validity)?;
    Some((not_before, time(validity)?))
}

/// Whether a certificate may sign others (RFC 5280 §4.2.1.9). A certificate of version 1 has no field for it, and may.
pub(super) fn is_authority(der: &[u8]) -> Option<bool> {
    let (fields, version) = &mut fields(der)?;
    if *version < 3 {
        return Some(true);
    }
    let is_extensions = |fields: &&[u8]| fields.first() == Some(&tag::EXTENSIONS);
    while !fields.is_empty() && !is_extensions(fields) {
        any_field(fields)?;
    }
    if fields.is_empty() {
        return Some(false);
    }
    let extensions = &mut field(&mut field(fields, tag::EXTENSIONS)?, tag::SEQUENCE)?;
    while !extensions.is_empty() {
        let extension = &mut field(extensions, tag::SEQUENCE)?;
        if field(extension, tag::OID)? != BASIC_CONSTRAINTS {
            continue;
        }
        while extension.first().is_some_and(|tag| *tag != tag::OCTETS) {
            any_field(extension)?;
        }
        let constraints = field(&mut field(extension, tag::OCTETS)?, tag::SEQUENCE)?;
        // The first field of the extension is `cA`, which is absent if it is false.
        return Some(constraints.starts_with(&[0x01, 0x01]) && constraints.get(2) != Some(&0));
    }
    Some(false)
}

/// Takes one field off the front; returns its content if it has this tag.
fn field<'a>(der: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (found, inside, rest) = any(der)?;
    *der = rest;
    (found == tag).then_some(inside)
}

/// Takes any field off the front.
fn any_field(der: &mut &[u8]) -> Option<()> {
    let (_, _, rest) = any(der)?;
    *der = rest;
    Some(())
}

/// The first field's tag, its content, and what follows it.
fn any(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (length, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            let length = bytes
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    let (inside, rest) = rest.split_at_checked(length)?;
    Some((found, inside, rest))
}

/// A time of RFC 5280 §4.1.2.5: to the second, in UTC.
fn time(der: &mut &[u8]) -> Option<Timestamp> {
    let text = match *der.first()? {
        tag::UTC_TIME => {
            let text = std::str::from_utf8(field(der, tag::UTC_TIME)?).ok()?;
            let century = if text >= "50" { "19" } else { "20" };
            format!("{century}{text}")
        }
        tag::GENERALIZED_TIME => {
            let text = std::str::from_utf8(field(der, tag::GENERALIZED_TIME)?).ok()?;
            text.to_owned()
        }
        _ => return None,
    };
    let at = DateTime::strptime("%Y%m%d%H%M%SZ", &text).ok()?;
    // The last second of the year 9999 means that there is no end; it lies one day beyond this program's calendar.
    Some(
        jiff::tz::TimeZone::UTC
            .to_timestamp(at)
            .unwrap_or(Timestamp::MAX),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(change: impl FnOnce(&mut rcgen::CertificateParams)) -> Vec<u8> {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut wanted = rcgen::CertificateParams::new(vec!["broker".into()]).expect("a name");
        change(&mut wanted);
        wanted
            .self_signed(&key)
            .expect("a certificate")
            .der()
            .to_vec()
    }

    #[test]
    fn a_certificate_tells_from_when_on_it_is_valid() {
        let made = certificate(|wanted| {
            wanted.not_before = rcgen::date_time_ymd(2024, 2, 3);
            wanted.not_after = rcgen::date_time_ymd(2061, 12, 31);
        });
        let (before, after) = validity(&made).expect("dates");
        assert_eq!(before.to_string(), "2024-02-03T00:00:00Z");
        assert_eq!(after.to_string(), "2061-12-31T00:00:00Z");
    }

    #[test]
    fn a_certificate_tells_whether_it_is_an_authoritys() {
        use rcgen::{BasicConstraints, IsCa};
        for (is_ca, is) in [
            (IsCa::NoCa, false),
            (IsCa::ExplicitNoCa, false),
            (IsCa::Ca(BasicConstraints::Unconstrained), true),
            (IsCa::Ca(BasicConstraints::Constrained(1)), true),
        ] {
            let made = certificate(|wanted| wanted.is_ca = is_ca);
            assert_eq!((is_authority(&made), version(&made)), (Some(is), Some(3)));
        }
    }

    #[test]
    fn a_certificate_without_an_end_ends_after_everything() {
        let mut der = &b"\x18\x0f99991231235959Z"[..];
        assert_eq!(time(&mut der), Some(Timestamp::MAX));
    }

    #[test]
    fn a_certificate_that_is_cut_has_no_dates_and_a_changed_one_never_panics() {
        let whole = certificate(|wanted| wanted.is_ca = rcgen::IsCa::ExplicitNoCa);
        for length in 0..whole.len() {
            // The outermost length no longer matches.
            assert_eq!(validity(&whole[..length]), None, "{length}");
            assert_eq!(shape(&whole[..length]), None, "{length}");
        }
        for at in 0..whole.len() {
            for value in [0x00, 0x30, 0x7f, 0x80, 0x84, 0x88, 0xff] {
                let mut changed = whole.clone();
                changed[at] = value;
                let _ = (validity(&changed), is_authority(&changed), shape(&changed));
            }
        }
    }
}
