//! The real programs are killed, cut off and refused: a short seeded slice of the campaign.
#![allow(clippy::disallowed_methods)]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use booth_testkit::backlog::Voice;
use booth_testkit::drain::{BrokerSends, drain};
use booth_testkit::kills::{Street, broker_or_hub_kill};
use booth_testkit::programs::{PATIENCE, Programs};
use booth_testkit::proxy::{Mode, Proxy};
use booth_testkit::refusals;

fn programs() -> Programs {
    let gateway = Path::new(env!("CARGO_BIN_EXE_booth-gateway"));
    Programs::in_folder(gateway.parent().expect("a folder"))
}

fn short_voice() -> Voice {
    Voice::new(10).expect("a voice")
}

#[test]
fn a_gateway_killed_at_any_moment_loses_no_kept_clip_and_at_most_a_second_of_speech() {
    let street = Street::open(&programs(), 2).expect("a street");
    std::thread::scope(|scope| {
        for booth in 0..2 {
            let street = &street;
            scope.spawn(move || {
                for seed in 0..4 {
                    let seed = 100 * booth as u64 + seed;
                    if let Err(why) = street.gateway_kill(booth, seed) {
                        panic!("{why}");
                    }
                }
            });
        }
    });
    assert!(street.check().expect("a sound centre") >= 4);
}

#[test]
fn a_broker_or_hub_killed_under_load_loses_nothing_and_stores_nothing_twice() {
    let (programs, voice) = (programs(), short_voice());
    for seed in 0..3 {
        if let Err(why) = broker_or_hub_kill(&programs, &voice, seed) {
            panic!("{why}");
        }
    }
}

#[test]
fn a_network_that_stalls_resets_throttles_or_swallows_costs_only_time() {
    let (programs, voice) = (programs(), short_voice());
    std::thread::scope(|scope| {
        for (seed, mode) in (0..).zip(refusals::MODES) {
            let (programs, voice) = (&programs, &voice);
            scope.spawn(move || {
                let hold = Duration::from_secs(1);
                if let Err(why) = refusals::bad_network(programs, voice, mode, hold, seed) {
                    panic!("{why}");
                }
            });
        }
    });
}

#[test]
fn a_broker_that_denies_parts_is_reported_and_nothing_leaves_the_card_until_it_allows_them() {
    refusals::denied_by_acl(&programs(), &short_voice()).unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn a_broker_of_small_packets_gets_smaller_parts() {
    refusals::small_packets(&programs(), &short_voice()).unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn what_a_broker_drops_from_its_queue_is_asked_for_again() {
    refusals::small_queue(&programs(), &short_voice()).unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn a_broker_out_of_memory_loses_nothing() {
    refusals::little_memory(&programs(), &short_voice()).unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn a_poisoned_clip_goes_to_quarantine_and_holds_nobody_up() {
    refusals::poison(&programs(), &short_voice()).unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn a_hub_that_was_away_gets_the_whole_backlog() {
    refusals::hub_away(&programs(), &short_voice(), 60).unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn a_backlog_of_minutes_drains_to_the_last_clip() {
    let drained = drain(&programs(), 20, 60, BrokerSends::AsInstalled, true)
        .unwrap_or_else(|why| panic!("{why}"));
    // The figures are the campaign's; here they only have to be ones.
    assert!(drained.bytes > 20 * 170_000 && drained.mb_s() > 0.0 && drained.ratio() > Some(0.0));
}

/// Two ends with the proxy between them.
fn through_a_proxy(mode: Mode) -> (Proxy, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let proxy = Proxy::before(listener.local_addr().expect("an address").port()).expect("a proxy");
    proxy.set(mode);
    let near = TcpStream::connect(("127.0.0.1", proxy.port)).expect("connected");
    let (far, _) = listener.accept().expect("accepted");
    for end in [&near, &far] {
        end.set_read_timeout(Some(PATIENCE)).expect("set");
    }
    (proxy, near, far)
}

fn hears(end: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut heard = vec![0; bytes];
    end.read_exact(&mut heard).expect("heard");
    heard
}

#[test]
fn the_proxy_passes_stalls_and_goes_on_without_losing_a_byte() {
    let (proxy, mut near, mut far) = through_a_proxy(Mode::Pass);
    near.write_all(b"one").expect("sent");
    assert_eq!(hears(&mut far, 3), b"one");
    far.write_all(b"two").expect("sent");
    assert_eq!(hears(&mut near, 3), b"two");
    proxy.set(Mode::Stall);
    // A read that had begun before may still pass something.
    let passed = proxy.passed();
    near.write_all(&[7; 100_000]).expect("sent");
    far.set_read_timeout(Some(Duration::from_millis(300)))
        .expect("set");
    let mut first = [0; 1];
    let stalled = far.read(&mut first);
    let most = if stalled.is_ok() { 16 * 1024 } else { 0 };
    assert!(proxy.passed() - passed <= most, "it does not stall");
    proxy.set(Mode::Pass);
    far.set_read_timeout(Some(PATIENCE)).expect("set");
    let left = 100_000 - stalled.unwrap_or(0);
    assert_eq!(hears(&mut far, left), vec![7; left]);
}

#[test]
fn the_proxy_resets_and_throttles() {
    let (proxy, mut near, mut far) = through_a_proxy(Mode::Throttle(64_000));
    near.write_all(&[7; 4_000]).expect("sent");
    assert_eq!(hears(&mut far, 4_000), vec![7; 4_000]);
    // 4,000 bytes are half a second at 64 kbit/s, in pieces.
    assert!(proxy.held() >= Duration::from_millis(499));
    assert!(proxy.held() <= Duration::from_millis(501));
    proxy.set(Mode::Reset);
    let gone = near.read(&mut [0; 1]).expect_err("it is reset");
    assert_eq!(gone.kind(), ErrorKind::ConnectionReset);
    let mut new = TcpStream::connect(("127.0.0.1", proxy.port)).expect("accepted, then reset");
    new.set_read_timeout(Some(PATIENCE)).expect("set");
    let gone = new.read(&mut [0; 1]);
    assert!(!matches!(gone, Ok(1..)), "{gone:?}");
}

#[test]
fn the_proxy_swallows_and_then_ends_what_has_lost_bytes() {
    let (proxy, mut near, mut far) = through_a_proxy(Mode::Pass);
    proxy.set(Mode::BlackHole);
    booth_testkit::programs::wait_for("a byte is swallowed", || {
        near.write_all(b"x").expect("it is taken");
        std::thread::park_timeout(Duration::from_millis(5));
        (proxy.swallowed() > 0).then_some(())
    })
    .expect("it swallows");
    proxy.set(Mode::Pass);
    let end = std::io::copy(&mut near, &mut std::io::sink());
    assert!(end.is_ok() || end.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset));
    let _ = std::io::copy(&mut far, &mut std::io::sink());
}
