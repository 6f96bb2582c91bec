//! Whether password, certificates and key can be read, are private enough, and are still valid.
//!
//! Owns: looking at the files. Never does: print the content of a secret one.
#![allow(clippy::disallowed_methods)] // looks at files

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::config::Config;
use crate::status::Finding;
use booth_host::tls;
use booth_host::tls::pem::Wanted;

const AREA: &str = "credentials";
/// A certificate that ends sooner is a warning.
const SOON: Duration = Duration::from_secs(30 * 24 * 3600);

/// Looks at everything that `[mqtt]` names.
pub(super) fn look(config: &Config, now: Timestamp) -> Vec<Finding> {
    let mqtt = &config.mqtt;
    let mut all = Vec::new();
    if let Some(path) = &mqtt.password_file {
        match tls::read_password(path) {
            Ok(_) => all.push(private("password_file", path)),
            Err(why) => {
                // The sentence ends with its remedy.
                let why = why.to_string();
                let (what, remedy) = why.split_once("; ").unwrap_or((&why, ""));
                all.push(Finding::fault(AREA, "password_file", what, remedy));
            }
        }
    } else if mqtt.url.is_some() && mqtt.cert_file.is_none() {
        all.push(Finding::warning(
            AREA,
            "password_file",
            "The booth shows the broker neither a password nor a certificate.",
            "Set [mqtt] password_file, or cert_file and key_file.",
        ));
    }
    for (key, path, wanted) in [
        ("ca_file", &mqtt.ca_file, Wanted::Authority),
        ("cert_file", &mqtt.cert_file, Wanted::Certificate),
    ] {
        let Some(path) = path else { continue };
        match tls::certificates(path, wanted) {
            Ok(certificates) => {
                let dates = certificates.iter().map(|der| tls::validity(der));
                // The one that ends first decides.
                let first = dates.min_by_key(|dates| dates.map(|(_, after)| after));
                all.push(dated(AREA, key, first.flatten(), now));
                if wanted == Wanted::Authority && !tls::has_authority(&certificates) {
                    all.push(Finding::warning(
                        AREA,
                        key,
                        format!("{} holds no authority's certificate (basicConstraints CA:TRUE).", path.display()),
                        "Put the certificate of the authority that signed the broker's there, not the broker's own.",
                    ));
                }
            }
            Err(error) => all.push(fault(key, &error)),
        }
    }
    if let Some(path) = &mqtt.key_file {
        let identity = mqtt.cert_file.as_deref().zip(Some(path.as_path()));
        all.push(
            match tls::client_config(mqtt.ca_file.as_deref(), identity) {
                Ok(_) => private("key_file", path),
                Err(error) => fault("key_file", &error),
            },
        );
    }
    all
}

fn fault(key: &str, error: &tls::TlsError) -> Finding {
    let (what, remedy) = error.what_and_remedy();
    Finding::fault(AREA, key, what, remedy)
}

/// Whether only its owner and its group can read a secret file.
fn private(key: &str, path: &Path) -> Finding {
    // A systemd credential has another name and is private by itself.
    let Ok(facts) = std::fs::metadata(path) else {
        return Finding::ok(AREA, key, "It is a credential of the service manager.");
    };
    let mode = facts.mode() & 0o777;
    match mode & 0o007 {
        0 => Finding::ok(
            AREA,
            key,
            format!("{} can be read, and not by everybody.", path.display()),
        ),
        _ => Finding::warning(
            AREA,
            key,
            format!(
                "Every user of this machine can read {} (mode {mode:04o}).",
                path.display()
            ),
            format!("chmod 0640 {}", path.display()),
        ),
    }
}

/// The verdict on a certificate's dates at this time.
pub(super) fn dated(
    area: &str,
    key: &str,
    dates: Option<(Timestamp, Timestamp)>,
    now: Timestamp,
) -> Finding {
    let Some((before, after)) = dates else {
        return Finding::fault(
            area,
            key,
            "It holds no certificate whose dates can be read.",
            "Put an X.509 certificate there as PEM.",
        );
    };
    let days = after.duration_since(now).as_secs() / (24 * 3600);
    if now < before {
        Finding::fault(
            area,
            key,
            format!("The certificate is valid only from {before} on; here it is {now}."),
            "If the clock is wrong, let the machine reach a time server; else get a certificate that is valid now.",
        )
    } else if now >= after {
        Finding::fault(
            area,
            key,
            format!("The certificate ended at {after}; here it is {now}."),
            "Get a new certificate, or correct the clock.",
        )
    } else if after.duration_since(now) < jiff::SignedDuration::try_from(SOON).unwrap_or_default() {
        Finding::warning(
            area,
            key,
            format!("The certificate ends in {days} days, at {after}."),
            "Get a new certificate before that.",
        )
    } else {
        Finding::ok(
            area,
            key,
            format!("The certificate is valid for {days} more days."),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Verdict;

    #[test]
    fn a_certificate_is_judged_by_its_dates() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let dates = Some((at("2026-01-01T00:00:00Z"), at("2026-12-31T00:00:00Z")));
        for (now, verdict) in [
            ("2025-12-31T00:00:00Z", Verdict::Fault),
            ("2026-06-01T00:00:00Z", Verdict::Ok),
            ("2026-12-15T00:00:00Z", Verdict::Warning),
            ("2027-01-01T00:00:00Z", Verdict::Fault),
        ] {
            let finding = dated("credentials", "cert_file", dates, at(now));
            assert_eq!(finding.verdict, verdict, "{now}: {finding:?}");
        }
        let none = dated("credentials", "ca_file", None, at("2026-06-01T00:00:00Z"));
        assert_eq!(none.verdict, Verdict::Fault);
    }

    #[test]
    fn a_password_that_everybody_can_read_is_worth_an_eye_and_is_never_printed() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("password");
        std::fs::write(&file, "correct horse\n").expect("written");
        let mut config: Config =
            toml::from_str("[booth]\nid = \"rundhoej-1\"\n").expect("a configuration");
        config.mqtt.password_file = Some(file.clone());
        for (mode, verdict) in [(0o644, Verdict::Warning), (0o640, Verdict::Ok)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("set");
            let found = look(&config, Timestamp::UNIX_EPOCH);
            assert_eq!(found[0].verdict, verdict, "{found:?}");
            assert!(!format!("{found:?}").contains("horse"));
        }
    }
}
