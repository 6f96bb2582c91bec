//! Whoever walks past a booth dials, lifts, hangs up, presses and leaves the handset lying. The next citizen speaks.
//!
//! What chance makes of it, state by state, is tested beside the session (`gateway_core::session::visitors`); here it is the real gateway.

use booth_testkit::gateway::{BoothHome, Gateway};
use booth_testkit::hub::Broker;
use booth_testkit::pulse::Pulse;
use booth_testkit::wait::until;

/// The booth's code, overheard.
const CODE: &str = "037415";

fn dial(gateway: &Gateway, digits: &str) {
    for digit in digits.chars() {
        gateway.handset(&format!("dial {digit}"));
    }
}

fn session(gateway: &Gateway) -> String {
    let state = gateway.state().expect("a state");
    state["session"].as_str().expect("a session").to_owned()
}

/// Lifts, chooses the first question and is recorded.
fn a_citizen_is_recorded(gateway: &Gateway) {
    gateway.handset("lift");
    assert_eq!(session(gateway), "notice", "{}", gateway.log());
    until("the question", || {
        (session(gateway) == "question").then_some(())
    });
    gateway.handset("dial 1");
    until("the recording", || {
        (session(gateway) == "recording").then_some(())
    });
    gateway.handset("hang-up");
}

#[test]
fn a_passer_by_who_dials_the_default_or_the_overheard_code_and_nines_closes_no_booth() {
    let broker = Broker::open();
    let pulse = Pulse::start();
    let home = BoothHome::new(broker.port, &format!("[service]\ncode = \"{CODE}\"\n"));
    let gateway = Gateway::start(&home, &pulse);
    gateway.says("a citizen can speak");
    for dialled in [
        // The code that earlier versions published.
        "099099".to_owned(),
        format!("{CODE}9999"),
        format!("1{CODE}99"),
        "112".to_owned(),
        "0000000000".to_owned(),
        // Codes that are tried.
        (1..20).map(|n| format!("0{:05}", n * 4_691)).collect(),
    ] {
        gateway.handset("lift");
        dial(&gateway, &dialled);
        gateway.handset("button");
        gateway.handset("dial *");
        gateway.handset("dial #");
        gateway.handset("dial 9");
        gateway.handset("hang-up");
        let state = gateway.state().expect("a state");
        assert_eq!(
            (&state["session"], &state["ready"]),
            (&"idle".into(), &1.into()),
            "{dialled}: {state}"
        );
    }
    // The technician's own service is there, and says what closing the card takes.
    gateway.says("a wrong service code");
    gateway.clear_log();
    until("the code counts again", || {
        gateway.handset("lift");
        dial(&gateway, CODE);
        let is_understood = session(&gateway) == "service";
        if !is_understood {
            gateway.handset("hang-up");
            std::thread::park_timeout(std::time::Duration::from_millis(500));
        }
        is_understood.then_some(())
    });
    dial(&gateway, "99");
    gateway.says("skal kabinettet åbnes");
    gateway.handset("hang-up");
    assert!(
        !gateway.log().contains("the card is closed"),
        "{}",
        gateway.log()
    );
    a_citizen_is_recorded(&gateway);
}
