//! Certificates and keys as people make them with openssl: each that cannot be used is told in one sentence, and the command in
//! it makes one that can.
#![allow(clippy::disallowed_methods)]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock};

use booth_host::tls::pem::Wanted;
use booth_host::tls::{self, refusal};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, DistinguishedName, ServerConfig,
    ServerConnection, SignatureScheme,
};

/// What openssl makes, a line each; passphrases are "geheim".
const MADE: &str = "
req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=authority -keyout ca.key -out ca.pem
req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=other -keyout other.key -out other.pem
req -new -newkey rsa:2048 -nodes -subj /CN=rundhoej-1 -keyout booth.key -out booth.csr
x509 -req -in booth.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 365 -extfile client.ext -out booth.pem
x509 -req -in booth.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 365 -out v1.pem
req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=broker.example -keyout broker.key -out broker.csr
x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 365 -extfile broker.ext -out broker.pem
x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 365 -out broker-v1.pem
x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 365 -extfile nameless.ext -out nameless.pem
x509 -req -in broker.csr -CA other.pem -CAkey other.key -CAcreateserial -days 365 -extfile broker.ext -out broker-other.pem
req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj /CN=broker.example -addext subjectAltName=DNS:broker.example -keyout self.key -out self.pem
x509 -in ca.pem -outform DER -out ca.cer
x509 -in booth.pem -outform DER -out booth.crt
x509 -in ca.pem -trustout -out trusted.pem
pkey -in booth.key -outform DER -out booth.der
rsa -in booth.key -traditional -outform DER -out rsa.der
pkey -in ca.key -traditional -outform DER -out ec.der
pkey -in booth.key -aes256 -passout pass:geheim -out locked.pem
rsa -in booth.key -traditional -aes256 -passout pass:geheim -out locked-old.pem
pkcs8 -topk8 -in booth.key -passout pass:geheim -outform DER -out locked.der
pkcs12 -export -in booth.pem -inkey booth.key -certfile ca.pem -passout pass:geheim -out booth.p12
crl2pkcs7 -nocrl -certfile ca.pem -out list.p7b
crl2pkcs7 -nocrl -certfile ca.pem -outform DER -out list-der.p7b
req -in booth.csr -outform DER -out booth-csr.der
pkey -in booth.key -pubout -out public.pem
genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 -out strange.key
";

fn openssl(folder: &Path, arguments: &[&str]) {
    let done = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("openssl is installed (make test installs it)");
    assert!(
        done.status.success(),
        "openssl {arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// Everything that is made once; a test that writes works in a copy.
static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let write =
        |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write(
        "client.ext",
        "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n",
    );
    write("nameless.ext", "basicConstraints=CA:FALSE\n");
    write(
        "broker.ext",
        "basicConstraints=CA:FALSE\nsubjectAltName=DNS:broker.example\nextendedKeyUsage=serverAuth\n",
    );
    for line in MADE.lines().filter(|line| !line.is_empty()) {
        openssl(folder.path(), &line.split(' ').collect::<Vec<_>>());
    }
    folder
});

fn at(name: &str) -> PathBuf {
    FOLDER.path().join(name)
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(at(name)).expect("made")
}

/// Whether a file can be used for what is wanted; the sentence if not.
fn used(path: &Path, wanted: Wanted) -> Result<(), String> {
    let told = |error: tls::TlsError| error.to_string();
    match wanted {
        Wanted::Authority => tls::client_config(Some(path), None).map(drop).map_err(told),
        Wanted::Certificate => {
            let ca = at("ca.pem");
            tls::client_config(Some(&ca), Some((path, &at("booth.key"))))
                .map(drop)
                .map_err(told)
        }
        Wanted::Key => {
            let ca = at("ca.pem");
            tls::client_config(Some(&ca), Some((&at("booth.pem"), path)))
                .map(drop)
                .map_err(told)
        }
    }
}

#[test]
fn every_file_that_cannot_be_used_has_a_sentence_whose_command_makes_one_that_can() {
    use Wanted::{Authority, Certificate, Key};
    for (name, wanted, part) in [
        ("ca.cer", Authority, "binary form (DER)"),
        ("booth.crt", Certificate, "binary form (DER)"),
        ("booth.der", Key, "binary form (DER)"),
        ("rsa.der", Key, "binary form (DER)"),
        ("trusted.pem", Authority, "TRUSTED CERTIFICATE"),
        ("list.p7b", Authority, "PKCS#7"),
        ("list-der.p7b", Authority, "PKCS#7"),
        ("booth.p12", Authority, "PKCS#12"),
        ("booth.p12", Certificate, "PKCS#12"),
        ("booth.p12", Key, "PKCS#12"),
        ("locked.pem", Key, "passphrase"),
        ("locked-old.pem", Key, "passphrase"),
        ("locked.der", Key, "passphrase"),
    ] {
        let copy = tempfile::tempdir().expect("a folder");
        let path = copy.path().join(name);
        std::fs::copy(at(name), &path).expect("copied");
        let why = used(&path, wanted).expect_err("not as it is");
        assert!(why.contains(part), "{name} as {wanted:?}: {why}");
        let (_, command) = why
            .split_once("openssl ")
            .unwrap_or_else(|| panic!("no command: {why}"));
        let command = command.split([')', ',']).next().expect("a command");
        let mut arguments: Vec<&str> = command.split(' ').collect();
        if name.starts_with("locked") || name.ends_with("p12") {
            arguments.extend(["-passin", "pass:geheim"]);
        }
        openssl(copy.path(), &arguments);
        let made = arguments
            .iter()
            .position(|word| *word == "-out")
            .expect("a file is made");
        assert_ne!(
            arguments[made + 1],
            name,
            "the command would destroy the file"
        );
        let made = copy.path().join(arguments[made + 1]);
        assert_eq!(used(&made, wanted), Ok(()), "{name} as {wanted:?}: {why}");
    }
}

#[test]
fn what_no_command_mends_is_told_with_what_to_put_there() {
    use Wanted::{Authority, Certificate, Key};
    for (name, wanted, parts) in [
        (
            "booth.key",
            Certificate,
            &["holds a private key", "exchanged"][..],
        ),
        (
            "booth.pem",
            Key,
            &["holds a certificate and no private key", "exchanged"],
        ),
        (
            "booth.key",
            Authority,
            &["holds a private key", "authority"],
        ),
        (
            "booth.csr",
            Certificate,
            &["request for a certificate", "as the authority has made it"],
        ),
        ("booth-csr.der", Certificate, &["request for a certificate"]),
        (
            "booth.csr",
            Key,
            &["request for a certificate", "private key of cert_file"],
        ),
        (
            "booth.der",
            Certificate,
            &["is a private key and no certificate"],
        ),
        (
            "ca.cer",
            Key,
            &["is a certificate in binary form", "belongs to cert_file"],
        ),
        ("public.pem", Key, &["public key"]),
        ("public.pem", Authority, &["public key"]),
        ("v1.pem", Certificate, &["X.509 version 1", "-extfile"]),
        (
            "broker.pem",
            Certificate,
            &["is the certificate of another key than", "booth.key"],
        ),
        (
            "other.key",
            Key,
            &["booth.pem is the certificate of another key"],
        ),
        (
            "strange.key",
            Key,
            &["of a kind that is not used here", "P-256"],
        ),
        (
            "ec.der",
            Certificate,
            &["is a private key and no certificate"],
        ),
    ] {
        let why = used(&at(name), wanted).expect_err("not as it is");
        for part in parts {
            assert!(
                why.contains(part),
                "{name} as {wanted:?}: {part} missing in {why}"
            );
        }
    }
    // The authority before the own one.
    let copy = tempfile::tempdir().expect("a folder");
    let chain = copy.path().join("chain.pem");
    std::fs::write(&chain, [read("ca.pem"), read("booth.pem")].concat()).expect("written");
    let why = used(&chain, Certificate).expect_err("the wrong order");
    assert!(
        why.contains("has another certificate first") && why.contains("before those"),
        "{why}"
    );
}

#[test]
fn a_pem_file_is_the_same_from_every_editor_and_no_certificate_of_it_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let both = String::from_utf8([read("ca.pem"), read("other.pem")].concat()).expect("text");
    let utf16 = |unit: fn(u16) -> [u8; 2]| {
        format!("\u{feff}{both}")
            .encode_utf16()
            .flat_map(unit)
            .collect()
    };
    let indented: String = both.lines().map(|line| format!("    {line}  \n")).collect();
    let old = both.replace("CERTIFICATE", "X509 CERTIFICATE");
    let guises: [Vec<u8>; 8] = [
        both.clone().into_bytes(),
        format!("\u{feff}{both}").into_bytes(),
        both.replace('\n', "\r\n").into_bytes(),
        both.replace('\n', "\r").into_bytes(),
        utf16(u16::to_le_bytes),
        utf16(u16::to_be_bytes),
        indented.into_bytes(),
        old.into_bytes(),
    ];
    for (number, guise) in guises.iter().enumerate() {
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, guise).expect("written");
        let found = tls::certificates(&path, Wanted::Authority);
        let found = found.unwrap_or_else(|why| panic!("guise {number}: {why}"));
        assert_eq!(found.len(), 2, "guise {number}");
        assert_eq!(found[0].as_ref(), read("ca.cer"), "guise {number}");
    }
    // Words between the blocks may be in any coding.
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, [b"# Br\xf8nd\n", both.as_bytes()].concat()).expect("written");
    assert_eq!(
        tls::certificates(&path, Wanted::Authority)
            .map(|all| all.len())
            .ok(),
        Some(2)
    );
    let mut key = b"\xef\xbb\xbf".to_vec();
    key.extend(read("booth.key"));
    let path = folder.path().join("booth.key");
    std::fs::write(&path, key).expect("written");
    assert_eq!(used(&path, Wanted::Key), Ok(()));
}

#[test]
fn a_file_that_was_damaged_by_an_editor_or_on_its_way_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ca.pem");
    let both = String::from_utf8([read("ca.pem"), read("other.pem")].concat()).expect("text");
    let at_second = both.rfind("-----BEGIN").expect("two");
    let body: String = both.lines().filter(|line| !line.starts_with('-')).collect();
    for (text, part) in [
        (
            both.replacen("-----BEGIN", "—–BEGIN", 1),
            "five plain dashes",
        ),
        (both[..both.len() - 30].to_owned(), "not whole"),
        (both[..at_second + 200].to_owned(), "not whole"),
        (
            both.replacen("\nMII", "\n*II", 1),
            "certificate number 1 in it is not whole",
        ),
        (body, "has lost its first and last line"),
        ("ask the city for it".to_owned(), "no block of PEM"),
        (String::new(), "is empty"),
        ("\u{feff}\r\n".to_owned(), "is empty"),
    ] {
        std::fs::write(&path, &text).expect("written");
        let why = used(&path, Wanted::Authority).expect_err("damaged");
        assert!(why.contains(part) && why.contains("; "), "{part}: {why}");
    }
    for (bytes, part) in [
        (read("ca.cer")[..200].to_vec(), "damaged"),
        (b"\xfe\xed\xfe\xed\0\0\0\x02".to_vec(), "keytool"),
        (vec![0; 500], "no text"),
    ] {
        std::fs::write(&path, bytes).expect("written");
        let why = used(&path, Wanted::Authority).expect_err("damaged");
        assert!(why.contains(part), "{part}: {why}");
    }
    let long = folder.path().join("long.pem");
    let file = std::fs::File::create(&long).expect("a file");
    file.set_len(1 << 40).expect("a long file");
    for (path, part) in [
        (Path::new("/no/such.pem"), "cannot be read"),
        (folder.path(), "a file of that name is needed"),
        (Path::new("/dev/zero"), "no plain file"),
        (&long, "longer than"),
    ] {
        let why = used(path, Wanted::Authority).expect_err("no file");
        assert!(why.contains(part), "{part}: {why}");
    }
}

// ----- Handshakes -----

/// A clock that stands.
#[derive(Debug)]
struct Standing(u64);

impl TimeProvider for Standing {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            self.0,
        )))
    }
}

/// A broker that takes no client certificate.
#[derive(Debug)]
struct Refusing;

impl ClientCertVerifier for Refusing {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Err(rustls::CertificateError::Expired.into())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::ECDSA_NISTP256_SHA256,
        ]
    }
}

fn server(certificate: &str, key: &str, refuses_clients: bool) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(Arc::new(tls::provider()))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match refuses_clients {
        true => builder.with_client_cert_verifier(Arc::new(Refusing)),
        false => builder.with_no_client_auth(),
    };
    let certificate = CertificateDer::from_pem_file(at(certificate)).expect("made");
    let key = PrivateKeyDer::from_pem_file(at(key)).expect("made");
    // A broker shows whatever it was given: rustls looks no closer at its own.
    let key = rustls::crypto::ring::sign::any_supported_type(&key).expect("a key");
    let own = Arc::new(rustls::sign::CertifiedKey::new(vec![certificate], key));
    builder.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(own)))
}

/// Shakes hands without a network; the client's error.
fn handshake(client: Arc<ClientConfig>, server: ServerConfig, host: &str) -> Option<rustls::Error> {
    let name = ServerName::try_from(host.to_owned()).expect("a name");
    let mut client = ClientConnection::new(client, name).expect("a client");
    let mut server = ServerConnection::new(Arc::new(server)).expect("a server");
    for _ in 0..10 {
        let mut sent = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut sent).expect("written");
        }
        let mut sent = sent.as_slice();
        while !sent.is_empty() && server.read_tls(&mut sent).is_ok_and(|count| count > 0) {
            let _ = server.process_new_packets();
        }
        let mut sent = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut sent).expect("written");
        }
        let mut sent = sent.as_slice();
        while !sent.is_empty() && client.read_tls(&mut sent).is_ok_and(|count| count > 0) {
            if let Err(error) = client.process_new_packets() {
                return Some(error);
            }
        }
    }
    assert!(!client.is_handshaking());
    None
}

fn trusting(ca: &str, at_second: Option<u64>) -> Arc<ClientConfig> {
    let config = tls::client_config(Some(&at(ca)), None).expect("a client");
    let mut config = Arc::unwrap_or_clone(config);
    if let Some(second) = at_second {
        config.time_provider = Arc::new(Standing(second));
    }
    Arc::new(config)
}

#[test]
fn each_way_in_which_a_brokers_certificate_fails_has_its_own_sentence_and_remedy() {
    let (year_1970, year_2090) = (Some(86_400), Some(3_786_912_000));
    let good = ("ca.pem", "broker.pem", "broker.key", "broker.example");
    for ((ca, certificate, key, host), second, parts) in [
        (
            good,
            year_1970,
            &["clock was never set", "1970-01-02", "time server"][..],
        ),
        (
            good,
            Some(1_750_000_000),
            &["not valid yet", "check this machine's clock"],
        ),
        (good, year_2090, &["ended on", "2090", "renew"]),
        (
            ("ca.pem", "broker.pem", "broker.key", "other.example"),
            None,
            &["another name than other.example", "broker.example"],
        ),
        (
            ("other.pem", "broker.pem", "broker.key", "broker.example"),
            None,
            &["signed by nobody whom this machine trusts", "ca_file"],
        ),
        (
            ("self.pem", "self.pem", "self.key", "broker.example"),
            None,
            &["an authority's own", "make an authority"],
        ),
        (
            ("ca.pem", "broker-v1.pem", "broker.key", "broker.example"),
            None,
            &["X.509 version 1", "-extfile", "subjectAltName"],
        ),
        (
            ("ca.pem", "broker-other.pem", "broker.key", "broker.example"),
            None,
            &["signed by nobody"],
        ),
        (
            ("ca.pem", "nameless.pem", "broker.key", "broker.example"),
            None,
            &["another name", "no subjectAltName"],
        ),
        (
            ("ca.pem", "booth.pem", "booth.key", "broker.example"),
            None,
            &["something else than a server", "serverAuth"],
        ),
    ] {
        let error = handshake(trusting(ca, second), server(certificate, key, false), host);
        let error = error.unwrap_or_else(|| panic!("{certificate}: it was taken"));
        let (what, remedy) = refusal::what_and_remedy(&error);
        for part in parts {
            let all = format!("{what}; {remedy}");
            assert!(
                all.contains(part),
                "{certificate}: {part} missing in {all} ({error:?})"
            );
        }
    }
    let none = handshake(
        trusting("ca.pem", None),
        server("broker.pem", "broker.key", false),
        "broker.example",
    );
    assert!(none.is_none(), "{none:?}");
}

#[test]
fn a_broker_that_refuses_our_certificate_or_speaks_no_tls_is_told() {
    let identity = (at("booth.pem"), at("booth.key"));
    let client = tls::client_config(Some(&at("ca.pem")), Some((&identity.0, &identity.1)))
        .expect("a client");
    let error = handshake(
        client,
        server("broker.pem", "broker.key", true),
        "broker.example",
    );
    let (what, remedy) = refusal::what_and_remedy(&error.expect("refused"));
    assert!(
        what.contains("has ended") && remedy.contains("cert_file"),
        "{what}; {remedy}"
    );
    let name = ServerName::try_from("broker.example").expect("a name");
    let mut client = ClientConnection::new(trusting("ca.pem", None), name).expect("a client");
    client.write_tls(&mut Vec::new()).expect("written");
    // CONNACK of MQTT.
    client
        .read_tls(&mut &b"\x20\x03\x00\x87\x00"[..])
        .expect("read");
    let error = client.process_new_packets().expect_err("no TLS");
    let (what, remedy) = refusal::what_and_remedy(&error);
    assert!(
        what.contains("speaks no TLS") && remedy.contains("8883"),
        "{what}; {remedy}"
    );
}

#[test]
fn check_config_tells_a_binary_certificate_with_the_command_and_takes_what_it_makes() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("booth.toml");
    let text = |ca: &str| {
        format!(
            "[booth]\nid = \"rundhoej-1\"\n[privacy]\nseal = false\n[mqtt]\nurl = \"mqtts://broker.example\"\nca_file = \"{ca}\"\n"
        )
    };
    std::fs::copy(at("ca.cer"), folder.path().join("ca.cer")).expect("copied");
    let check = |ca: &str| {
        std::fs::write(&config, text(ca)).expect("written");
        let done = Command::new(env!("CARGO_BIN_EXE_booth-gateway"))
            .args(["check-config", "--config"])
            .arg(&config)
            .output()
            .expect("runs");
        let mut said = String::from_utf8_lossy(&done.stderr).into_owned();
        done.stdout
            .as_slice()
            .read_to_string(&mut said)
            .expect("text");
        (done.status.code(), said)
    };
    let (status, said) = check("ca.cer");
    assert_eq!(status, Some(78), "{said}");
    assert!(
        said.contains("openssl x509 -inform DER -in ca.cer -out ca.pem"),
        "{said}"
    );
    openssl(
        folder.path(),
        &["x509", "-inform", "DER", "-in", "ca.cer", "-out", "ca.pem"],
    );
    let (status, said) = check("ca.pem");
    assert_eq!(status, Some(0), "{said}");
    std::io::stdout().flush().expect("flushed");
}
