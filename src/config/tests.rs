//! Configurations as a whole: what is read, what is refused, what is warned of.

use super::*;

const LEAST: &str = "[booth]\nid = \"rundhoej-1\"\n[privacy]\nseal = false\n";

fn faults(text: &str) -> String {
    match parse::<Config>(text, "booth.toml") {
        Ok(config) => config
            .check("booth.toml")
            .map_or_else(|e| e.to_string(), |()| String::new()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn only_the_id_is_required_beside_the_unsealed_demonstration() {
    assert_eq!(faults(LEAST), "");
    assert_eq!(
        faults(&format!("\u{feff}{}", LEAST.replace('\n', "\r\n"))),
        ""
    );
    assert!(faults("").contains("missing field `booth`"));
}

#[test]
fn an_unknown_key_is_named_with_line_and_suggestion() {
    let text = format!("{LEAST}[audio]\nbitrat = 24000\n");
    assert_eq!(
        faults(&text),
        "booth.toml:6: unknown field `bitrat`, expected one of `input`, `output`, `bitrate`, \
         `complexity`, `bandwidth`, `mixer`, `capture_control`, `capture_db`, `capture_percent`, \
         `playback_control`, `playback_db`, `playback_percent`, `sidetone_control`, `sidetone_db`, \
         `sidetone_percent`; did you mean `bitrate`?"
    );
}

#[test]
fn values_that_cannot_work_are_all_named_at_once() {
    let text = format!(
        "{LEAST}[mqtt]\nurl = \"http://x\"\nkey_file = \"k\"\n[session]\nmax_seconds = 1\n\
         [[question]]\nid = \"a\"\ndigit = 1\nkind = \"speak\"\n\
         [[question]]\nid = \"a\"\ndigit = 1\nkind = \"choose\"\n"
    );
    let all = faults(&text);
    for part in [
        "unknown scheme",
        "belong together",
        "max_seconds",
        "share digit 1",
        "twice",
        "choose",
    ] {
        assert!(all.contains(part), "{part} missing in {all}");
    }
}

#[test]
fn a_recording_that_could_not_be_recovered_is_refused_by_its_bitrate_and_length() {
    let text = |bitrate: u32, seconds: u32, asked: u32| {
        format!(
            "{LEAST}[audio]\nbitrate = {bitrate}\n[session]\nmax_seconds = {seconds}\n\
             [[question]]\nid = \"q\"\ndigit = 1\nkind = \"speak\"\nmax_seconds = {asked}\n"
        )
    };
    for (bitrate, seconds, asked) in [(24_000, 3_600, 3_600), (510_000, 700, 700)] {
        assert_eq!(faults(&text(bitrate, seconds, asked)), "");
    }
    let all = faults(&text(510_000, 800, 180));
    assert!(
        all.contains("[session] max_seconds 800 at [audio] bitrate 510000")
            && all.contains("use at most 789, or a lower bitrate"),
        "{all}"
    );
    let all = faults(&text(200_000, 180, 3_600));
    assert!(
        all.contains("[[question]] \"q\": max_seconds 3600 at"),
        "{all}"
    );
}

#[test]
fn a_screens_page_is_for_this_machine_alone() {
    let screen = |lines: &str| faults(&format!("{LEAST}[screen]\n{lines}"));
    for good in ["127.0.0.1:8088", "127.0.0.2:80", "[::1]:8088"] {
        assert_eq!(
            screen(&format!("enabled = true\nlisten = \"{good}\"\n")),
            ""
        );
    }
    for (bad, why) in [
        ("0.0.0.0:8088", "reached from other machines"),
        ("[::]:8088", "reached from other machines"),
        ("192.0.2.1:8088", "reached from other machines"),
        ("[::ffff:192.0.2.1]:8088", "reached from other machines"),
        ("localhost:8088", "no address with a port"),
        ("127.0.0.1", "no address with a port"),
        ("127.0.0.1:0", "port 0"),
        ("", "no address with a port"),
    ] {
        // Also before the screen is switched on: the card is checked on a desk.
        let all = screen(&format!("listen = \"{bad}\"\n"));
        assert!(
            all.contains("[screen] listen") && all.contains(why),
            "{bad}: {all}"
        );
    }
    let config = parse::<Config>(LEAST, "booth.toml").expect("a configuration");
    assert_eq!(config.screen.address(), Ok(None), "off by default");
}

#[test]
fn a_mixer_control_needs_a_card_by_name_and_one_measure() {
    let audio = |lines: &str| faults(&format!("{LEAST}[audio]\n{lines}"));
    assert_eq!(audio("capture_control = \"Mic\"\ncapture_db = 12.5\n"), "");
    assert_eq!(
        audio("playback_control = \"PCM,1\"\nplayback_percent = 80\nsidetone_control = \"Mic\"\n"),
        ""
    );
    let named = "capture_control = \"Mic\"\n";
    for (lines, part) in [
        ("capture_db = 3.0\n".to_owned(), "capture_control"),
        (
            format!("{named}capture_db = 3.0\ncapture_percent = 3\n"),
            "one of them",
        ),
        (format!("{named}capture_percent = 101\n"), "0 to 100"),
        (format!("{named}capture_db = nan\n"), "-100 to 60"),
        (
            "capture_control = \"a\\u0000b\"\n".into(),
            "control character",
        ),
        (format!("{named}input = \"hw:0\"\n"), "by its index"),
        (format!("{named}input = \"default\"\n"), "set [audio] mixer"),
        ("mixer = \"\"\n".into(), "mixer"),
    ] {
        let all = audio(&lines);
        assert!(all.contains(part), "{lines}: {part} missing in {all:?}");
    }
}

#[test]
fn the_doctor_is_answered_beside_the_handset_unless_told_otherwise() {
    let config = |more: &str| parse::<Config>(&format!("{LEAST}{more}"), "f").expect("fine");
    assert_eq!(
        config("").doctor_socket(),
        Path::new("/run/booth-gateway/doctor.sock")
    );
    assert_eq!(
        config("[doctor]\nsocket = \"/x/d\"\n").doctor_socket(),
        Path::new("/x/d")
    );
}

#[test]
fn a_topic_root_that_no_packet_holds_is_refused() {
    let root = "r/".repeat(40_000) + "r";
    assert!(faults(&format!("{LEAST}[mqtt]\nroot = \"{root}\"\n")).contains("at most 64"));
}

#[test]
fn names_that_the_hub_would_refuse_with_every_clip_are_refused_here() {
    for bad in ["", &"q".repeat(129), "a\\u0001b"] {
        let question =
            format!("[[question]]\nid = \"{bad}\"\ndigit = 1\nkind = \"speak\"\nprompt = \"p\"\n");
        let all = faults(&format!("{LEAST}{question}"));
        assert!(all.contains("1 to 128 bytes"), "{bad:?}: {all}");
    }
    let language = "d".repeat(129);
    let all = faults(&format!("{LEAST}[session]\nlanguage = \"{language}\"\n"));
    assert!(all.contains("language"), "{all}");
}

#[test]
fn each_question_has_one_fault_of_a_kind_however_many_there_are() {
    let question = "[[question]]\nid = \"a\"\ndigit = 1\nkind = \"speak\"\n";
    let all = faults(&format!("{LEAST}{}", question.repeat(500)));
    assert!(all.contains("twice") && all.lines().count() < 1_000);
}

#[test]
#[allow(clippy::disallowed_methods)] // makes a file
fn a_file_that_never_ends_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let long = folder.path().join("booth.toml");
    let file = std::fs::File::create(&long).expect("a file");
    file.set_len(1 << 40).expect("a long file");
    for (path, why) in [
        (&*long, "longer than"),
        (Path::new("/dev/zero"), "no plain file"),
    ] {
        let error = Config::load(path).expect_err("no configuration");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn a_booth_seals_unless_it_is_told_not_to_and_every_key_must_be_one() {
    const CITY: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
    let privacy = |text: &str| {
        let text = format!("[booth]\nid = \"rundhoej-1\"\n{text}");
        parse::<Config>(&text, "booth.toml")
            .expect("a configuration")
            .privacy
    };
    let sealed = privacy(&format!("[privacy]\nrecipients = [\"{CITY}\"]\n"));
    let SealTo::Keys(keys) = sealed.seal_to().expect("a key") else {
        panic!("it does not seal");
    };
    let first = keys.iter().next().map(ToString::to_string);
    assert_eq!(first.as_deref(), Some(CITY));
    // No key: nothing is taken, and nothing is kept unsealed.
    assert_eq!(privacy("").seal_to(), Ok(SealTo::Nobody));
    let open = privacy(&format!(
        "[privacy]\nseal = false\nrecipients = [\"{CITY}\"]\n"
    ));
    assert_eq!(open.seal_to(), Ok(SealTo::Open));

    let secret = "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ";
    let list = format!("recipients = [\"{CITY}\", \"{secret}\", \"age1zvkyg\", \"kage\"]");
    let said = faults(&format!(
        "[booth]\nid = \"rundhoej-1\"\n[privacy]\n{list}\n"
    ));
    assert!(
        said.contains("[privacy] recipients: entry 2: this is a PRIVATE key"),
        "{said}"
    );
    assert!(!said.contains("QQQQ"), "a private key is repeated: {said}");
    assert!(
        said.contains("entry 3: the key has a typing error"),
        "{said}"
    );
    assert!(said.contains("entry 4: this is no key"), "{said}");
    let twice =
        format!("[booth]\nid = \"rundhoej-1\"\n[privacy]\nrecipients = [\"{CITY}\", \"{CITY}\"]\n");
    assert!(faults(&twice).contains("is named twice"));
}

#[test]
fn times_cadences_and_codes_that_cannot_work_are_named() {
    for (text, part) in [
        ("[bell]\ncadence_ms = []\n", "cadence_ms"),
        ("[bell]\ncadence_ms = [5]\n", "cadence_ms"),
        ("[bell]\nrings = 0\n", "rings"),
        ("[bell]\nat = [\"7:00\"]\n", "no time of day"),
        ("[bell]\nat = [\"10:00\"]\n", "no bell"),
        ("[bell]\nquiet = \"nights\"\n", "no span"),
        ("[selftest]\nat = \"noon\"\n", "[selftest] at"),
        ("[handset]\nringer = { line = 17 }\n", "share line 17"),
        (
            "[handset]\nhook_flash = true\nkeypad = { rows = [1, 2, 3, 4], columns = [5, 6, 7] }\n",
            "hook_flash",
        ),
    ] {
        let all = faults(&format!("{LEAST}{text}"));
        assert!(all.contains(part), "{text}: {all}");
    }
    let quiet =
        "[bell]\nat = [\"10:00\", \"15:30\"]\nquiet = \"\"\n[handset]\nringer = { line = 26 }\n";
    assert_eq!(
        faults(&format!("{LEAST}{quiet}[service]\ncode = \"\"\n")),
        ""
    );
}

#[test]
fn a_service_code_has_six_to_eight_digits_after_one_0_and_a_wrong_one_is_told_and_counts_for_none()
{
    let config = |code: &str, more: &str| -> Config {
        let text = format!("{LEAST}[service]\ncode = {code:?}\n{more}");
        let config: Config = parse(&text, "booth.toml").expect("a configuration");
        config.check("booth.toml").expect("a booth runs with it");
        config
    };
    let digits = |config: &Config| config.service.digits(&config.session);
    for code in ["037415", "0374156", "03741569", "090909"] {
        let config = config(code, "");
        assert_eq!(config.warnings(), Vec::<ConfigWarning>::new(), "{code}");
        assert_eq!(digits(&config).len(), code.len());
    }
    let none = config("", "");
    assert!(none.warnings().is_empty() && digits(&none).is_empty());
    assert!(
        Config::clone(&parse(LEAST, "f").expect("least"))
            .service
            .code
            .is_empty()
    );
    for code in [
        "0990",
        "03741",
        "037415692",
        "003741",
        "937415",
        "0374a5",
        "٠٣٧٤١٥",
        "011247",
        "037112",
        "0112374",
        " 037415",
        "-37415",
    ] {
        let config = config(code, "");
        let warnings = config.warnings();
        let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        let warnings = warnings.join("\n");
        assert!(
            warnings.contains("[service] code") && warnings.contains("six to eight digits"),
            "{warnings}"
        );
        assert!(digits(&config).is_empty(), "{code}");
    }
    let other = "[session]\nemergency_numbers = [\"110\", \"374\"]\n";
    assert!(digits(&config("037415", other)).is_empty());
    // No code may contain 112, even where another emergency number is configured.
    assert!(
        digits(&config(
            "051124",
            "[session]\nemergency_numbers = [\"911\"]\n"
        ))
        .is_empty()
    );
}

#[test]
fn a_code_that_opens_a_withdrawal_has_its_form_and_is_in_no_other_numbers_way() {
    let session = |session: &str| format!("{LEAST}[session]\n{session}\n");
    let config = |text: &str| parse::<Config>(text, "booth.toml").expect("a configuration");
    assert_eq!(config(LEAST).session.withdraw_digits(), [0, 0, 0]);
    for (code, digits) in [
        ("", vec![]),
        ("000", vec![0, 0, 0]),
        ("0017", vec![0, 0, 1, 7]),
    ] {
        let text = session(&format!("withdraw_code = {code:?}"));
        assert_eq!(faults(&text), "", "{code}");
        assert_eq!(config(&text).session.withdraw_digits(), digits, "{code}");
    }
    for code in [
        "00",
        "0",
        "123",
        "0123",
        "000000000",
        "00a",
        " 000",
        "٠٠٠",
        "00-1",
    ] {
        let text = session(&format!("withdraw_code = {code:?}"));
        let said = faults(&text);
        assert!(
            said.contains("[session] withdraw_code") && said.contains("begin with 00"),
            "{said}"
        );
    }
    // An emergency number comes first, wherever it stands.
    for (code, numbers) in [
        ("000", "\"000\""),
        ("000", "\"112\", \"0001\""),
        ("00112", "\"999\""),
        ("00999", "\"112\", \"999\""),
    ] {
        let text = session(&format!(
            "withdraw_code = {code:?}\nemergency_numbers = [{numbers}]"
        ));
        let config = config(&text);
        assert!(
            config.session.withdraw_digits().is_empty(),
            "{code} {numbers}"
        );
        let warnings = config.warnings();
        let is_told = |warning: &ConfigWarning| warning.to_string().contains("withdraw_code");
        assert!(warnings.iter().any(is_told), "{warnings:?}");
    }
    // A service code that would open a withdrawal on its way is none.
    let text = format!("{LEAST}[service]\ncode = \"040003\"\n");
    let config = config(&text);
    assert!(config.service.digits(&config.session).is_empty());
    let told = config.warnings();
    assert!(
        told.iter()
            .any(|warning| warning.to_string().contains("withdraw_code"))
    );
}

#[test]
fn a_vote_has_two_to_eight_options_on_the_digits_two_to_nine() {
    let question = |more: &str| {
        format!("{LEAST}[[question]]\nid = \"q\"\ndigit = 1\nkind = \"choose\"\n{more}\n")
    };
    let good =
        "options = [{ digit = 2, id = \"yes\" }, { digit = 9, id = \"no\", prompt = \"nej\" }]";
    assert_eq!(faults(&question(good)), "");
    assert_eq!(faults(&question(&format!("{good}\nmin_pause_s = 30"))), "");
    let config: Config = parse(&question(good), "booth.toml").expect("a configuration");
    let names: Vec<String> = config.questions[0].prompt_names().collect();
    assert_eq!(names, ["q", "yes", "nej"]);
    for (more, why) in [
        ("", "2 to 8 options"),
        ("options = [{ digit = 2, id = \"yes\" }]", "2 to 8 options"),
        (
            "options = [{ digit = 1, id = \"yes\" }, { digit = 2, id = \"no\" }]",
            "outside 2 to 9",
        ),
        (
            "options = [{ digit = 2, id = \"yes\" }, { digit = 2, id = \"no\" }]",
            "there twice",
        ),
        (
            "options = [{ digit = 2, id = \"yes\" }, { digit = 3, id = \"yes\" }]",
            "there twice",
        ),
        (
            "options = [{ digit = 2, id = \"../yes\" }, { digit = 3, id = \"no\" }]",
            "option 2",
        ),
        (
            &format!("{good}\npublish = \"ask_text\""),
            "for kind \"speak\"",
        ),
        (
            &format!("{good}\n[session]\nconsent = \"button\""),
            "of kind",
        ),
    ] {
        let said = faults(&question(more));
        assert!(said.contains(why), "{more}: {said}");
    }
    let speak = format!("{LEAST}[[question]]\nid = \"q\"\ndigit = 1\nkind = \"speak\"\n");
    assert!(faults(&format!("{speak}{good}\n")).contains("for kind \"choose\""));
    assert!(faults(&format!("{speak}max_seconds = 4\n")).contains("5 to 3600"));
    for publish in ["no", "ask_text", "ask_voice"] {
        assert_eq!(
            faults(&format!("{speak}publish = {publish:?}\nmax_seconds = 60\n")),
            ""
        );
    }
}

#[test]
fn a_password_that_crosses_a_network_in_the_clear_is_a_warning_and_one_on_this_machine_is_none() {
    let warned = |mqtt: &str| {
        let config: Config = parse(&format!("{LEAST}[mqtt]\n{mqtt}"), "booth.toml").expect("read");
        config
            .warnings()
            .iter()
            .map(ToString::to_string)
            .any(|why| why.contains("[mqtt] url") && why.contains("mqtts://"))
    };
    let with = "password_file = \"mqtt-password\"\n";
    for host in [
        "broker.example",
        "broker.example:1884",
        "192.168.1.5",
        "[fe80::1]",
        "127.0.0.1.example",
        "localhost.example",
    ] {
        assert!(
            warned(&format!("url = \"mqtt://{host}\"\n{with}")),
            "{host}"
        );
        assert!(
            !warned(&format!("url = \"mqtts://{host}\"\n{with}")),
            "{host}"
        );
        // Without a password there is nothing to give away.
        assert!(!warned(&format!("url = \"mqtt://{host}\"\n")), "{host}");
    }
    for host in [
        "localhost",
        "LOCALHOST:1883",
        "127.0.0.1",
        "127.8.8.8:1883",
        "[::1]:1883",
    ] {
        assert!(
            !warned(&format!("url = \"mqtt://{host}\"\n{with}")),
            "{host}"
        );
    }
}
