//! What a failed handshake means for a person.
//!
//! Owns: one sentence and its remedy for each way in which certificates fail in practice; daemon, doctor and hub use the same ones.
//! Pure.

use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// A clock that shows a time before this moment was never set, because the program was made later (2025-01-01, Unix seconds).
const NO_EARLIER: u64 = 1_735_689_600;

/// What is wrong, to follow the broker's name and "; "; and what to do about it.
pub fn what_and_remedy(error: &Error) -> (String, &'static str) {
    match error {
        Error::InvalidCertificate(why) => certificate(why, error),
        Error::AlertReceived(alert) => alert_of(*alert, error),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => (
            format!("what answers speaks no TLS ({error})"),
            "check that the port in [mqtt] url is the one with TLS (8883 as a rule), or write mqtt:// for one without",
        ),
        Error::PeerIncompatible(_) => (
            format!("no common version of TLS or encryption was found ({error})"),
            "let the broker speak TLS 1.2 or 1.3",
        ),
        _ => (
            error.to_string(),
            "check ca_file, cert_file and key_file, and the host name in [mqtt] url",
        ),
    }
}

fn certificate(why: &CertificateError, error: &Error) -> (String, &'static str) {
    let (what, remedy) = untrusted(why, error);
    (
        format!("it shows a certificate that cannot be trusted: {what}"),
        remedy,
    )
}

fn untrusted(why: &CertificateError, error: &Error) -> (String, &'static str) {
    if let Some(said) = out_of_date(why) {
        return said;
    }
    // rustls has no variants for two of these failures.
    let other = format!("{why:?}");
    match why {
        CertificateError::NotValidForNameContext { expected, presented } => (
            format!(
                "it is for another name than {}: {}",
                expected.to_str(),
                match presented.as_slice() {
                    [] => "for none at all (no subjectAltName)".to_owned(),
                    names => names.join(", "),
                }
            ),
            "write a name of the certificate into [mqtt] url, or have the broker's certificate made with subjectAltName for that name",
        ),
        CertificateError::UnknownIssuer => (
            "it is signed by nobody whom this machine trusts".to_owned(),
            "check ca_file: it must hold the certificate of the authority that signed the broker's; if the broker's is signed by itself, make an authority and sign it with that",
        ),
        CertificateError::BadSignature => (
            "it is signed by another key than that of the authority in ca_file, though by the same name".to_owned(),
            "check ca_file: put the authority's certificate of today there, it was made anew",
        ),
        _ if other.contains("CaUsedAsEndEntity") => (
            "it is an authority's own, signed by itself, and such a one may not be a server's".to_owned(),
            "make an authority, sign a certificate for the broker with it (basicConstraints=CA:FALSE and subjectAltName), and put the authority's into ca_file",
        ),
        _ if other.contains("UnsupportedCertVersion") => (
            "it is X.509 version 1, which is not taken any more".to_owned(),
            "sign the broker's certificate again as version 3: openssl x509 -req … with -extfile and a file that says subjectAltName=DNS:<the broker's name>",
        ),
        CertificateError::InvalidPurposeContext { .. } | CertificateError::InvalidPurpose => (
            format!("it is made for something else than a server ({error})"),
            "have the broker's certificate made with extendedKeyUsage=serverAuth",
        ),
        _ => (
            error.to_string(),
            "check ca_file: it must hold the certificate of the authority that signed the broker's; and check the host name in [mqtt] url",
        ),
    }
}

/// A certificate whose time has not come or is over, or a clock that is wrong; `None` for every other failure.
fn out_of_date(why: &CertificateError) -> Option<(String, &'static str)> {
    Some(match why {
        CertificateError::NotValidYetContext { time, .. }
        | CertificateError::ExpiredContext { time, .. }
            if time.as_secs() < NO_EARLIER =>
        {
            (
                format!(
                    "this machine's clock was never set, it stands at {}",
                    day(*time)
                ),
                "let the machine reach a time server (NTP, UDP port 123); the connection comes by itself once the clock is right",
            )
        }
        CertificateError::NotValidYetContext { time, not_before } => (
            format!(
                "it is not valid yet, but from {} on, and here it is {}",
                day(*not_before),
                day(*time)
            ),
            "check this machine's clock, then the broker's certificate",
        ),
        CertificateError::NotValidYet => (
            "it is not valid yet".to_owned(),
            "check this machine's clock, then the broker's certificate",
        ),
        CertificateError::ExpiredContext { time, not_after } => (
            format!(
                "it ended on {}, and here it is {}",
                day(*not_after),
                day(*time)
            ),
            "renew the broker's certificate, or check this machine's clock",
        ),
        CertificateError::Expired => (
            "it has ended".to_owned(),
            "renew the broker's certificate, or check this machine's clock",
        ),
        _ => return None,
    })
}

fn alert_of(alert: AlertDescription, error: &Error) -> (String, &'static str) {
    use AlertDescription as A;
    match alert {
        A::CertificateRequired | A::NoCertificate | A::HandshakeFailure => (
            format!("it wants a client certificate, or no common encryption was found ({error})"),
            "set cert_file and key_file",
        ),
        A::CertificateExpired => (
            format!("it says that the client certificate has ended ({error})"),
            "get a new one into cert_file, or check both machines' clocks",
        ),
        A::UnknownCA => (
            format!("it does not know the authority of the client certificate ({error})"),
            "have cert_file signed by an authority that the broker trusts, or let it trust that one",
        ),
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateUnknown
        | A::AccessDenied
        | A::DecryptError => (
            format!("it does not take the client certificate ({error})"),
            "check cert_file and key_file against what the broker trusts, and their dates",
        ),
        A::ProtocolVersion => (
            format!("no common version of TLS was found ({error})"),
            "let the broker speak TLS 1.2 or 1.3",
        ),
        A::UnrecognisedName => (
            format!("it knows no server of the name in [mqtt] url ({error})"),
            "correct the host name in [mqtt] url",
        ),
        _ => (
            format!("it ended the handshake ({error})"),
            "see the broker's log, and check ca_file, cert_file and key_file",
        ),
    }
}

fn day(time: UnixTime) -> String {
    let at = i64::try_from(time.as_secs()).ok();
    let at = at.and_then(|at| Timestamp::from_second(at).ok());
    at.map_or_else(
        || "a time beyond the calendar".to_owned(),
        |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}
