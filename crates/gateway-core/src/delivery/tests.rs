//! Delivery against a model hub, in virtual time.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;
use booth_contract::AlertId;

fn offer(n: u64, bytes: u64) -> Offer {
    Offer {
        clip_id: format!("clip-{n}").into(),
        bytes,
        sha256: format!("{n:064x}").into(),
        kept_at_ms: n as i64,
        fixed: true,
        is_withdrawal: false,
    }
}

fn ack(n: u64, status: AckStatus) -> Ack {
    Ack {
        clip_id: format!("clip-{n}").into(),
        status,
        sha256: Some(format!("{n:064x}").into()),
        missing: Vec::new(),
        reason: None,
        ts: None,
    }
}

fn ready() -> Delivery {
    let mut delivery = Delivery::new(Confirmation::Hub);
    delivery.connected(None);
    delivery.hub_online(true);
    delivery
}

#[test]
fn a_broker_that_takes_a_few_messages_at_a_time_still_gets_a_long_clip_through() {
    let mut delivery = ready();
    let bytes = 20 * MAX_PART_BYTES as u64;
    delivery.keep(offer(1, bytes), false);
    let mut there = booth_contract::ranges::RangeSet::default();
    let mut now = Mono(0);
    for _ in 0..40 {
        let (mut room, mut asked) = (4, false);
        while let Some(send) = delivery.next(now) {
            let answer = if room > 0 {
                Puback::Success
            } else {
                Puback::Later
            };
            if room > 0 {
                room -= 1;
                match send.what {
                    What::Part { from, to } => there.insert(from, to),
                    What::Manifest | What::Withdrawal => asked = true,
                }
            }
            delivery.puback(now, send.token, answer, "quota exceeded");
            if std::mem::take(&mut asked) {
                let mut partial = ack(1, AckStatus::Partial);
                partial.missing = there
                    .missing(0, bytes, 99)
                    .into_iter()
                    .map(|(from, to)| ByteRange(from, to))
                    .collect();
                delivery.ack(Mono(0), &partial);
            }
        }
        if there.covers(0, bytes) {
            return;
        }
        now = delivery.deadline(now).expect("the end of a pause");
    }
    panic!("after forty pauses the clip is not through: {there:?}");
}

#[test]
fn a_machine_that_may_not_send_wants_no_turn_before_that_can_change() {
    // The hub goes away while an answer is awaited: an overdue answer is then no reason to wake.
    let mut delivery = ready();
    delivery.keep(offer(1, 10), false);
    drain(&mut delivery, Mono(0));
    assert_eq!(delivery.deadline(Mono(0)), Some(Mono(10_000)));
    delivery.hub_online(false);
    assert_eq!(delivery.deadline(Mono(20_000)), None);

    // Nobody subscribes: there is no deadline before the pause is over, and a pause that is over gives no further one.
    let mut delivery = ready();
    delivery.keep(offer(1, 10), false);
    let send = delivery.next(Mono(5)).expect("the manifest");
    delivery.puback(Mono(5), send.token, Puback::NoSubscriber, "");
    assert_eq!(delivery.deadline(Mono(6)), Some(Mono(30_005)));
    assert_eq!(delivery.deadline(Mono(30_005)), None);
    assert!(delivery.next(Mono(30_005)).is_some());
}

/// Sends until nothing more may be sent, every message taken by the broker at once.
fn drain(delivery: &mut Delivery, now: Mono) -> Vec<What> {
    let mut sent = Vec::new();
    while let Some(send) = delivery.next(now) {
        sent.push(send.what);
        assert_eq!(delivery.puback(now, send.token, Puback::Success, ""), []);
    }
    sent
}

#[test]
fn manifest_first_then_parts_in_order_then_only_a_verified_ack_releases() {
    let mut delivery = ready();
    delivery.keep(offer(1, 40_000), false);
    assert_eq!(
        drain(&mut delivery, Mono(0)),
        [
            What::Manifest,
            What::Part {
                from: 0,
                to: 16_384
            },
            What::Part {
                from: 16_384,
                to: 32_768
            },
            What::Part {
                from: 32_768,
                to: 40_000
            },
        ]
    );
    let mut wrong = ack(1, AckStatus::Stored);
    wrong.sha256 = Some("0".repeat(64).into());
    assert!(matches!(
        delivery.ack(Mono(0), &wrong)[..],
        [Verdict::Odd(_)]
    ));
    assert_eq!(delivery.unsent(), 1);
    assert_eq!(
        delivery.ack(Mono(0), &ack(1, AckStatus::Stored)),
        [Verdict::Release(Receipt::for_test(
            "clip-1",
            &format!("{:064x}", 1)
        ))]
    );
    assert!(matches!(
        delivery.ack(Mono(0), &ack(1, AckStatus::Stored))[..],
        [Verdict::Odd(_)]
    ));
}

#[test]
fn nothing_leaves_before_the_citizen_has_gone_or_while_the_hub_is_away() {
    let mut delivery = ready();
    delivery.keep(offer(1, 10), true);
    assert_eq!(delivery.next(Mono(0)), None);
    delivery.session_closed();
    delivery.hub_online(false);
    assert_eq!(delivery.next(Mono(0)), None);
    delivery.hub_online(true);
    assert!(delivery.next(Mono(0)).is_some());
}

#[test]
fn partial_sends_what_is_missing_and_the_manifest_again() {
    let mut delivery = ready();
    delivery.keep(offer(1, 50_000), false);
    drain(&mut delivery, Mono(0));
    let mut partial = ack(1, AckStatus::Partial);
    partial.missing = vec![
        ByteRange(30_000, 99_999),
        ByteRange(0, 5),
        ByteRange(7, 3),
        ByteRange(4, 10),
    ];
    assert_eq!(delivery.ack(Mono(0), &partial), []);
    assert_eq!(
        drain(&mut delivery, Mono(1)),
        [
            What::Part { from: 0, to: 10 },
            What::Part {
                from: 30_000,
                to: 46_384
            },
            What::Part {
                from: 46_384,
                to: 50_000
            },
            What::Manifest,
        ]
    );
}

#[test]
fn an_unanswered_manifest_is_repeated_ever_more_slowly_and_then_all_parts() {
    let mut delivery = ready();
    delivery.keep(offer(1, 10), false);
    drain(&mut delivery, Mono(0));
    assert_eq!(drain(&mut delivery, Mono(9_999)), []);
    assert_eq!(drain(&mut delivery, Mono(10_000)), [What::Manifest]);
    assert_eq!(drain(&mut delivery, Mono(29_999)), []);
    assert_eq!(drain(&mut delivery, Mono(30_000)), [What::Manifest]);
    assert_eq!(
        drain(&mut delivery, Mono(70_000)),
        [What::Manifest, What::Part { from: 0, to: 10 }]
    );
}

#[test]
fn an_unanswered_clip_gives_up_its_place() {
    let mut delivery = ready();
    for n in 0..20 {
        delivery.keep(offer(n, 10), false);
    }
    assert_eq!(drain(&mut delivery, Mono(0)).len(), 2 * WINDOW_CLIPS);
    assert_eq!(drain(&mut delivery, Mono(1)), []);
    let later = drain(&mut delivery, Mono(10_000));
    assert_eq!(
        later.len(),
        WINDOW_CLIPS + 2 * WINDOW_CLIPS,
        "eight asked again, eight new ones"
    );
}

#[test]
fn after_a_reconnect_a_clip_begins_with_its_manifest() {
    let mut delivery = ready();
    delivery.keep(offer(1, 50_000), false);
    for _ in 0..3 {
        delivery.next(Mono(0));
    }
    delivery.disconnected();
    assert_eq!(delivery.next(Mono(1)), None);
    delivery.connected(None);
    assert_eq!(
        drain(&mut delivery, Mono(2)),
        [What::Manifest],
        "the hub says what is missing"
    );
    let parts = drain(&mut delivery, Mono(10_002));
    assert_eq!(
        (parts[0], parts.len()),
        (What::Manifest, 5),
        "unless it does not answer"
    );
}

#[test]
fn a_small_packet_limit_makes_smaller_parts() {
    let mut delivery = ready();
    delivery.connected(Some(1280));
    delivery.keep(offer(1, 2048), false);
    assert_eq!(
        drain(&mut delivery, Mono(0))[1..],
        [
            What::Part { from: 0, to: 1024 },
            What::Part {
                from: 1024,
                to: 2048
            }
        ]
    );
}

#[test]
fn nobody_listening_keeps_the_clip_raises_an_alert_and_tries_again() {
    let mut delivery = ready();
    delivery.keep(offer(1, 10), false);
    let send = delivery.next(Mono(0)).expect("a message");
    delivery.puback(Mono(0), send.token, Puback::NoSubscriber, "");
    assert!(
        delivery
            .alerts(Mono(0))
            .contains_key(&AlertId::HubNotListening)
    );
    assert_eq!(delivery.next(Mono(29_999)), None);
    assert_eq!(drain(&mut delivery, Mono(30_000)).len(), 2);
    assert!(delivery.alerts(Mono(30_000)).is_empty());
}

#[test]
fn a_refused_clip_does_not_hold_up_the_rest() {
    let mut delivery = ready();
    delivery.keep(offer(1, 10), false);
    delivery.keep(offer(2, 10), false);
    let send = delivery.next(Mono(0)).expect("a message");
    delivery.puback(Mono(0), send.token, Puback::Refused, "not authorized");
    assert!(delivery.alerts(Mono(0))[&AlertId::ClipRefusedByBroker].contains("not authorized"));
    assert_eq!(delivery.next(Mono(0)).expect("the other").clip_id, "clip-2");
    delivery.disconnected();
    assert_eq!(delivery.unsent(), 2);
}

#[test]
fn a_refused_clip_is_offered_again_at_once_on_a_new_connection() {
    let mut delivery = ready();
    delivery.keep(offer(1, 10), false);
    let send = delivery.next(Mono(0)).expect("a message");
    delivery.puback(Mono(0), send.token, Puback::Refused, "not authorized");
    assert_eq!(delivery.next(Mono(1)), None);
    delivery.connected(None);
    assert!(delivery.next(Mono(2)).is_some());
}

#[test]
fn a_rejected_clip_is_quarantined_with_the_hubs_reason_and_sent_no_more() {
    let mut delivery = ready();
    delivery.keep(offer(1, 10), false);
    drain(&mut delivery, Mono(0));
    let mut reject = ack(1, AckStatus::Reject);
    reject.reason = Some("hash differs".into());
    assert_eq!(
        delivery.ack(Mono(0), &reject),
        [Verdict::Quarantine {
            clip_id: "clip-1".into(),
            reason: "hash differs".into()
        }]
    );
    assert_eq!((delivery.unsent(), delivery.next(Mono(0))), (0, None));
}

#[test]
fn the_broker_confirms_only_when_it_took_everything() {
    let mut delivery = Delivery::new(Confirmation::Broker);
    delivery.connected(None);
    delivery.keep(offer(1, 20_000), false);
    let sent: Vec<Send> = std::iter::from_fn(|| delivery.next(Mono(0))).collect();
    assert_eq!(sent.len(), 3);
    for send in &sent[..2] {
        assert_eq!(
            delivery.puback(Mono(0), send.token, Puback::Success, ""),
            []
        );
    }
    assert!(matches!(
        delivery.puback(Mono(0), sent[2].token, Puback::Success, "")[..],
        [Verdict::Release(_)]
    ));
}

#[test]
fn a_hub_that_is_away_is_no_alert_for_a_day() {
    let mut delivery = ready();
    delivery.hub_online(false);
    delivery.keep(offer(0, 10), false);
    assert!(delivery.alerts(Mono(86_399_999)).is_empty());
    assert!(!delivery.alerts(Mono(86_400_000)).is_empty());
}

/// A hub that follows the contract: it takes parts in any order, answers repeats at once, and stores whole bodies only.
#[derive(Default)]
struct Hub {
    parts: BTreeMap<ClipId, Vec<bool>>,
    asked: BTreeMap<ClipId, (u64, u64)>,
    stored: BTreeMap<ClipId, u32>,
}

impl Hub {
    fn take(&mut self, send: &Send, sizes: &BTreeMap<ClipId, u64>) -> Option<Ack> {
        let size = sizes[&send.clip_id] as usize;
        let number: u64 = send.clip_id["clip-".len()..].parse().expect("a number");
        let parts = self
            .parts
            .entry(send.clip_id.clone())
            .or_insert_with(|| vec![false; size]);
        let mut repeated = false;
        match send.what {
            What::Part { from, to } => parts[from as usize..to as usize].fill(true),
            What::Manifest | What::Withdrawal => {
                let asked = self
                    .asked
                    .entry(send.clip_id.clone())
                    .or_insert((number, 0));
                asked.1 += 1;
                repeated = asked.1 > 1;
            }
        }
        if !self.asked.contains_key(&send.clip_id) {
            return None;
        }
        if parts.iter().all(|there| *there) {
            let first = !self.stored.contains_key(&send.clip_id);
            if first || repeated {
                *self.stored.entry(send.clip_id.clone()).or_default() = 1;
                return Some(ack(number, AckStatus::Stored));
            }
            return None;
        }
        repeated.then(|| {
            let gap = parts.iter().position(|there| !there).unwrap_or(0) as u64;
            let mut answer = ack(number, AckStatus::Partial);
            answer.missing = vec![ByteRange(gap, size as u64)];
            answer
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn every_clip_is_released_once_whatever_the_network_does(seed in any::<u64>(), clips in 1u64..25, loss in 0u64..40) {
        let mut lots = seed | 1;
        let mut lot = move |of: u64| { lots ^= lots << 13; lots ^= lots >> 7; lots ^= lots << 17; lots % of };
        let mut delivery = ready();
        let mut hub = Hub::default();
        let sizes: BTreeMap<ClipId, u64> = (0..clips).map(|n| (format!("clip-{n}").into(), 1 + lot(60_000))).collect();
        for n in 0..clips {
            delivery.keep(offer(n, sizes[format!("clip-{n}").as_str()]), false);
        }
        let mut now = Mono(0);
        let mut answers: VecDeque<Ack> = VecDeque::new();
        let mut released = BTreeMap::new();
        for _ in 0..200_000 {
            if delivery.unsent() == 0 { break }
            if lot(200) == 0 {
                delivery.disconnected();
                answers.clear();
                delivery.connected(None);
            }
            match delivery.next(now) {
                Some(send) => {
                    let lost = lot(100) < loss;
                    if !lost {
                        let copies = 1 + u64::from(lot(10) == 0);
                        for _ in 0..copies { answers.extend(hub.take(&send, &sizes)); }
                    }
                    // The broker took it; whether it reaches the hub is decided elsewhere.
                    delivery.puback(now, send.token, Puback::Success, "");
                }
                None => now = delivery.deadline(now).unwrap_or(now).max(now + Duration::from_millis(1)),
            }
            if lot(3) > 0 && let Some(answer) = answers.pop_front() {
                if lot(100) < loss { continue }
                if lot(8) == 0 { answers.push_back(answer); continue }
                for verdict in delivery.ack(now, &answer) {
                    if let Verdict::Release(receipt) = verdict {
                        prop_assert!(hub.stored.contains_key(receipt.clip_id()), "released before it was stored");
                        prop_assert!(released.insert(receipt.clip_id().to_owned(), ()).is_none());
                    }
                }
            }
            let in_window = delivery.active.iter().filter(|number| {
                delivery.items[number].active.as_ref().is_some_and(|active| active.unanswered == 0)
            }).count();
            prop_assert!(in_window <= WINDOW_CLIPS);
        }
        prop_assert_eq!(delivery.unsent(), 0, "clips stuck");
        prop_assert_eq!(released.len() as u64, clips);
    }
}

/// The clips whose manifests are sent when the window of clips is emptied again and again.
fn order(delivery: &mut Delivery, clips: usize) -> Vec<ClipId> {
    let mut order = Vec::new();
    while order.len() < clips {
        let send = delivery.next(Mono(0)).expect("something waits");
        if send.what == What::Manifest {
            order.push(send.clip_id.clone());
        } else {
            let n = send.clip_id["clip-".len()..].parse().expect("a number");
            delivery.puback(Mono(0), send.token, Puback::Success, "");
            delivery.ack(Mono(0), &ack(n, AckStatus::Stored));
            continue;
        }
        delivery.puback(Mono(0), send.token, Puback::Success, "");
    }
    order
}

#[test]
fn a_few_clips_leave_oldest_first_and_of_a_backlog_every_second_is_the_newest() {
    let mut few = ready();
    for n in 0..5 {
        few.keep(offer(n, 10), false);
    }
    assert_eq!(
        order(&mut few, 5),
        ["clip-0", "clip-1", "clip-2", "clip-3", "clip-4"]
    );
    let mut backlog = ready();
    for n in 0..100 {
        backlog.keep(offer(n, 10), false);
    }
    assert_eq!(
        order(&mut backlog, 4),
        ["clip-0", "clip-99", "clip-1", "clip-98"]
    );
    // A message spoken now is sent second, however many wait.
    backlog.keep(offer(200, 10), false);
    assert_eq!(order(&mut backlog, 2), ["clip-2", "clip-200"]);
}

#[test]
fn a_configured_rate_holds_and_nothing_is_saved_up_in_a_pause() {
    let rate = 8_000;
    let mut delivery = Delivery::new(Confirmation::Hub).paced(Some(rate));
    delivery.connected(None);
    delivery.hub_online(true);
    delivery.keep(offer(1, 4_000_000), false);
    let start = Mono(3_600_000);
    let (mut now, mut bytes) = (start, 0);
    while now < start + Duration::from_secs(100) {
        while let Some(send) = delivery.next(now) {
            if let What::Part { from, to } = send.what {
                bytes += to - from;
            }
            delivery.puback(now, send.token, Puback::Success, "");
        }
        let due = delivery.deadline(now).expect("it goes on");
        assert!(due > now, "the loop would spin");
        now = due;
    }
    let most = 100 * rate + 2 * MAX_PART_BYTES as u64;
    assert!((90 * rate..=most).contains(&bytes), "{bytes}");
}

#[test]
fn on_a_slow_link_one_message_at_a_time_is_under_way_and_on_a_quick_one_six() {
    let mut delivery = ready();
    delivery.keep(offer(1, 4_000_000), false);
    let mut now = Mono(0);
    let mut under_way: VecDeque<u64> = VecDeque::new();
    let mut turn = |delivery: &mut Delivery, takes_ms: u64| {
        while let Some(send) = delivery.next(now) {
            under_way.push_back(send.token);
        }
        let most = under_way.len();
        now = now + Duration::from_millis(takes_ms);
        let token = under_way.pop_front().expect("something is under way");
        delivery.puback(now, token, Puback::Success, "");
        most
    };
    assert_eq!(turn(&mut delivery, 2_000), WINDOW_MESSAGES);
    for _ in 0..20 {
        turn(&mut delivery, 2_000);
    }
    assert_eq!(turn(&mut delivery, 2_000), 1);
    for _ in 0..20 {
        turn(&mut delivery, 20);
    }
    assert_eq!(turn(&mut delivery, 20), WINDOW_MESSAGES);
}

fn unfixed(n: u64) -> Offer {
    Offer {
        fixed: false,
        ..offer(n, 10)
    }
}

#[test]
fn a_manifest_that_may_still_get_a_better_time_is_fixed_once_before_its_first_offer() {
    let mut delivery = ready();
    delivery.keep(unfixed(1), false);
    delivery.keep(offer(2, 10), false);
    // The other clip goes on meanwhile.
    assert_eq!(drain(&mut delivery, Mono(0)).len(), 2);
    assert_eq!(delivery.to_fix(Mono(0)), ["clip-1"]);
    assert!(delivery.to_fix(Mono(0)).is_empty());
    delivery.fixed(&"clip-1".into());
    assert!(delivery.to_fix(Mono(0)).is_empty());
    assert_eq!(drain(&mut delivery, Mono(0)).len(), 2);
}

#[test]
fn a_manifest_that_the_card_refuses_is_asked_for_again_after_a_pause_that_grows_and_is_told() {
    let mut delivery = ready();
    delivery.keep(unfixed(1), false);
    let (mut now, mut tries) = (Mono(0), Vec::new());
    while now < Mono(3_600_000) {
        if delivery.to_fix(now) == ["clip-1"] {
            tries.push(now.0 / 1_000);
            delivery.not_fixed(
                now,
                &"clip-1".into(),
                "the spool is on a read-only file system",
            );
        }
        assert!(delivery.to_fix(now).is_empty());
        assert_eq!(delivery.next(now), None);
        let due = delivery.deadline(now).expect("another try");
        assert!(due > now, "the loop would spin");
        now = due;
    }
    assert_eq!(tries, [0, 30, 90, 210, 450, 930, 1_890]);
    assert!(delivery.alerts(now)[&AlertId::DiskErrors].contains("read-only"));
    // The card takes it in the end.
    assert_eq!(delivery.to_fix(now), ["clip-1"]);
    delivery.fixed(&"clip-1".into());
    assert!(delivery.alerts(now).is_empty());
    assert_eq!(drain(&mut delivery, now).len(), 2);
}

#[test]
fn a_card_that_refuses_is_asked_for_one_manifest_at_a_time_however_many_wait() {
    let mut delivery = ready();
    for n in 0..1_000 {
        delivery.keep(unfixed(n), false);
    }
    let (mut now, mut asked) = (Mono(0), 0);
    while now < Mono(3_600_000) {
        let clips = delivery.to_fix(now);
        if let Some((first, rest)) = clips.split_first() {
            asked += 1;
            // The keeper does the same: after one refusal of the card, the other manifests are not tried.
            delivery.not_fixed(now, first, "read-only");
            for clip_id in rest {
                delivery.not_tried(clip_id);
            }
        }
        now = delivery.deadline(now).expect("another try");
    }
    assert!((5..=12).contains(&asked), "{asked}");
}

#[test]
fn clips_whose_manifest_is_refused_do_not_keep_the_others_from_being_fixed() {
    let mut delivery = ready();
    for n in 0..40 {
        delivery.keep(unfixed(n), false);
    }
    let (mut now, mut fixed) = (Mono(0), 0);
    while now < Mono(7_200_000) && fixed < 30 {
        for clip_id in delivery.to_fix(now) {
            let n: u64 = clip_id["clip-".len()..].parse().expect("a number");
            // More than a look at both ends shows.
            if n < 10 {
                delivery.not_fixed(now, &clip_id, "its file refuses");
            } else {
                delivery.fixed(&clip_id);
                delivery.give_up(&clip_id);
                fixed += 1;
            }
        }
        now = delivery
            .deadline(now)
            .unwrap_or(now + Duration::from_secs(2));
    }
    assert_eq!(fixed, 30);
}

#[test]
fn a_clip_that_cannot_be_read_is_tried_ever_more_slowly_is_told_and_leaves_in_the_end() {
    let mut delivery = ready();
    delivery.keep(offer(1, 10), false);
    delivery.keep(offer(2, 10), false);
    let (mut now, mut tries) = (Mono(0), Vec::new());
    let mut others = 0;
    while now < Mono(6 * 3_600_000) {
        while let Some(send) = delivery.next(now) {
            if send.clip_id == "clip-1" {
                tries.push(now.0 / 1_000);
                delivery.unreadable(now, send.token, "Input/output error (os error 5)");
            } else {
                others += 1;
                delivery.puback(now, send.token, Puback::Success, "");
                delivery.ack(now, &ack(2, AckStatus::Stored));
            }
        }
        // A new connection does not make the card readable.
        delivery.connected(None);
        let due = delivery.deadline(now).expect("another try");
        assert!(due > now, "the loop would spin");
        now = due;
    }
    assert_eq!(tries[..7], [0, 30, 90, 210, 450, 930, 1_890]);
    assert!(tries.len() < 20, "{tries:?}");
    assert!(others > 0, "the other leaves meanwhile");
    assert!(delivery.alerts(now)[&AlertId::DiskErrors].contains("clip-1"));
    while let Some(send) = delivery.next(now) {
        delivery.puback(now, send.token, Puback::Success, "");
    }
    delivery.ack(now, &ack(1, AckStatus::Stored));
    assert!(delivery.alerts(now).is_empty());
}

#[test]
fn a_card_that_gives_nothing_back_is_asked_for_one_clip_at_a_time_however_many_wait() {
    let mut delivery = ready();
    for n in 0..1_000 {
        delivery.keep(offer(n, 10), false);
    }
    let (mut now, mut tries) = (Mono(0), 0);
    while now < Mono(3_600_000) {
        while let Some(send) = delivery.next(now) {
            tries += 1;
            delivery.unreadable(now, send.token, "Input/output error");
        }
        now = delivery.deadline(now).expect("another try");
    }
    assert!((50..80).contains(&tries), "{tries}");
}

/// Sends until nothing more may be sent to a broker that takes messages of at most `most` bytes; sizes of the refused.
fn drain_small(delivery: &mut Delivery, now: Mono, most: usize, manifest: usize) -> Vec<usize> {
    let mut refused = Vec::new();
    let mut under_way = VecDeque::new();
    loop {
        // As many as may be under way are sent, so that several of one size are refused together.
        while let Some(send) = delivery.next(now) {
            let bytes = match send.what {
                What::Manifest | What::Withdrawal => manifest,
                What::Part { from, to } => (to - from) as usize,
            };
            delivery.sized(send.token, bytes);
            under_way.push_back((send, bytes));
        }
        let Some((send, bytes)) = under_way.pop_front() else {
            return refused;
        };
        let answer = match bytes > most {
            true => Puback::TooLarge,
            false => Puback::Success,
        };
        if answer == Puback::TooLarge {
            refused.push(bytes);
        }
        delivery.puback(now, send.token, answer, "packet too large");
    }
}

#[test]
fn parts_that_are_too_large_for_the_broker_are_sent_again_half_as_large() {
    let mut delivery = Delivery::new(Confirmation::Broker);
    delivery.connected(None);
    delivery.keep(offer(1, 200_000), false);
    let refused = drain_small(&mut delivery, Mono(0), 5_000, 900);
    assert_eq!(delivery.unsent(), 0, "every byte was taken");
    // All messages under way with that size are refused; the size is halved once for all of them.
    let sizes: BTreeSet<usize> = refused.iter().copied().collect();
    assert_eq!(sizes, BTreeSet::from([16_384, 8_192]));
    assert!(refused.len() <= 2 * WINDOW_MESSAGES, "{refused:?}");
    assert!(delivery.alerts(Mono(0)).is_empty());
    // For the rest of this connection the limit is known.
    delivery.keep(offer(2, 200_000), false);
    assert_eq!(drain_small(&mut delivery, Mono(0), 5_000, 900), [0; 0]);
    // On the next connection twice as much is tried, and nothing larger is refused.
    delivery.connected(None);
    delivery.keep(offer(3, 200_000), false);
    let refused = drain_small(&mut delivery, Mono(0), 5_000, 900);
    assert!(refused.iter().all(|size| *size == 8_192) && !refused.is_empty());
    // Once the broker's limit is gone, that is found out within a few connections.
    for n in 4..8 {
        delivery.connected(None);
        delivery.keep(offer(n, 200_000), false);
        assert_eq!(drain_small(&mut delivery, Mono(0), 50_000, 900), [0; 0]);
    }
    assert_eq!(delivery.max_part, MAX_PART_BYTES as u64);
    assert_eq!(delivery.unsent(), 0);
}

#[test]
fn what_cannot_be_made_smaller_is_refused_with_its_size_and_offered_again_later() {
    let mut delivery = ready();
    delivery.keep(offer(1, 4_000), false);
    drain_small(&mut delivery, Mono(0), 800, 912);
    let alert = delivery.alerts(Mono(0))[&AlertId::ClipRefusedByBroker].clone();
    assert!(
        alert.contains("its manifest of 912 bytes is larger"),
        "{alert}"
    );
    assert_eq!(delivery.deadline(Mono(0)), Some(Mono(600_000)));
    // The broker's limit was raised a little: the manifest passes, and so do the parts in the end.
    drain_small(&mut delivery, Mono(600_000), 1_000, 912);
    assert!(delivery.alerts(Mono(600_000)).is_empty());
    let mut tiny = ready();
    tiny.keep(offer(1, 4_000), false);
    drain_small(&mut tiny, Mono(0), 100, 90);
    let alert = tiny.alerts(Mono(0))[&AlertId::ClipRefusedByBroker].clone();
    assert!(alert.contains("even a part of 256 bytes"), "{alert}");
}

#[test]
fn a_broker_that_takes_nothing_is_asked_ever_more_slowly_and_told_after_ten_minutes() {
    for answer in [Puback::Quota, Puback::Later] {
        let mut delivery = ready();
        for n in 0..20 {
            delivery.keep(offer(n, 10), false);
        }
        let (mut now, mut tries) = (Mono(0), Vec::new());
        while now < Mono(2 * 3_600_000) {
            while let Some(send) = delivery.next(now) {
                tries.push(now.0 / 1_000);
                delivery.puback(now, send.token, answer, "the quota is used up");
            }
            let is_told = delivery
                .alerts(now)
                .contains_key(&AlertId::ClipRefusedByBroker);
            assert_eq!(is_told, now >= Mono(600_000), "{now:?}");
            // The hub says every minute that it is there; that says nothing about the broker.
            delivery.hub_online(true);
            now = delivery.deadline(now).expect("another try");
        }
        assert_eq!(tries[..6], [0, 30, 90, 210, 450, 930]);
        assert!(tries.len() < 20, "{tries:?}");
        assert!(delivery.alerts(now)[&AlertId::ClipRefusedByBroker].contains("used up"));
        assert_eq!(delivery.unsent(), 20);
        // It takes clips again.
        for n in 0..20 {
            drain(&mut delivery, now);
            delivery.ack(now, &ack(n, AckStatus::Stored));
        }
        assert_eq!((delivery.unsent(), delivery.alerts(now).len()), (0, 0));
    }
}

#[test]
fn a_broker_that_lets_some_clips_through_between_its_refusals_is_no_alert() {
    let mut delivery = ready();
    for n in 0..200 {
        delivery.keep(offer(n, 10), false);
    }
    let (mut now, mut next) = (Mono(0), 0);
    while now < Mono(2 * 3_600_000) {
        let mut room = 4;
        while let Some(send) = delivery.next(now) {
            let answer = match room {
                0 => Puback::Quota,
                _ => Puback::Success,
            };
            room = u64::saturating_sub(room, 1);
            delivery.puback(now, send.token, answer, "");
        }
        delivery.ack(now, &ack(next, AckStatus::Stored));
        next += 1;
        assert!(delivery.alerts(now).is_empty(), "{now:?}");
        now = delivery
            .deadline(now)
            .expect("another try")
            .max(now + Duration::from_secs(60));
    }
}

#[test]
fn a_clip_that_somebody_asks_for_is_offered_at_once_whatever_pause_it_had() {
    let mut delivery = ready();
    delivery.keep(offer(1, 10), false);
    delivery.keep(offer(2, 10), false);
    for _ in 0..2 {
        let send = delivery.next(Mono(0)).expect("a message");
        delivery.puback(Mono(0), send.token, Puback::Refused, "not authorized");
    }
    assert_eq!(delivery.next(Mono(1)), None);
    assert!(delivery.offer_now(&"clip-2".into()) && !delivery.offer_now(&"clip-3".into()));
    assert_eq!(
        delivery.next(Mono(1)).map(|send| send.clip_id),
        Some("clip-2".into())
    );
    assert_eq!(delivery.offer_refused(), 2);
    let mut offered = BTreeSet::new();
    while let Some(send) = delivery.next(Mono(2)) {
        offered.insert(send.clip_id);
    }
    assert_eq!(offered.len(), 2);
}

#[test]
fn nothing_is_fixed_while_the_hub_is_away_so_that_a_late_clock_still_counts() {
    let mut delivery = ready();
    delivery.hub_online(false);
    delivery.keep(
        Offer {
            fixed: false,
            ..offer(1, 10)
        },
        false,
    );
    assert!(delivery.to_fix(Mono(0)).is_empty());
}

#[test]
fn an_answer_without_a_hash_releases_a_void_number_and_nothing_else() {
    let mut delivery = ready();
    delivery.keep(
        Offer {
            sha256: BodyHash::default(),
            ..offer(1, 0)
        },
        false,
    );
    delivery.keep(offer(2, 10), false);
    drain(&mut delivery, Mono(0));
    let no_hash = |n| Ack {
        sha256: None,
        ..ack(n, AckStatus::Stored)
    };
    assert!(matches!(
        delivery.ack(Mono(0), &no_hash(2))[..],
        [Verdict::Odd(_)]
    ));
    assert!(matches!(
        delivery.ack(Mono(0), &no_hash(1))[..],
        [Verdict::Release(_)]
    ));
}

#[test]
fn what_is_overdue_while_the_hub_is_away_wakes_nobody() {
    let mut delivery = ready();
    delivery.keep(offer(1, 100), false);
    delivery.keep(offer(2, 100), false);
    drain(&mut delivery, Mono(0));
    delivery.hub_online(false);
    let late = Mono(60_000);
    assert_eq!(delivery.next(late), None);
    assert_eq!(delivery.deadline(late), None);
}

#[test]
fn a_refused_clip_whose_pause_is_over_does_not_hide_when_the_next_may_leave() {
    let mut delivery = ready().paced(Some(1000));
    delivery.keep(offer(1, 40_000), false);
    let first = Mono(60_000);
    let send = delivery.next(first).expect("the manifest");
    delivery.puback(first, send.token, Puback::Refused, "no");
    let late = Mono(1_000_000);
    for n in 2..12 {
        delivery.keep(offer(n, 40_000), false);
    }
    drain(&mut delivery, late);
    let due = delivery.deadline(late).expect("it is paced");
    assert!(
        due > late && due <= late + Duration::from_secs(20),
        "{due:?}"
    );
}

#[test]
fn a_hub_that_returns_is_sent_to_at_once() {
    let mut delivery = ready();
    delivery.keep(offer(1, 100), false);
    let send = delivery.next(Mono(0)).expect("the manifest");
    delivery.puback(Mono(0), send.token, Puback::NoSubscriber, "");
    assert_eq!(delivery.next(Mono(1)), None, "nobody listens");
    delivery.hub_online(true);
    assert!(delivery.next(Mono(2)).is_some());
}

#[test]
fn sizes_at_the_end_of_what_can_be_counted_do_not_overflow() {
    let mut delivery = ready();
    for n in 1..=3 {
        delivery.keep(offer(n, u64::MAX), false);
    }
    assert_eq!(
        delivery.next(Mono(0)).map(|send| send.what),
        Some(What::Manifest)
    );
    let mut delivery = ready();
    delivery.keep(offer(1, u64::MAX), false);
    delivery.disconnected();
    delivery.connected(None);
    let first = delivery.next(Mono(0)).expect("the manifest");
    delivery.disconnected();
    delivery.connected(None);
    let again = delivery.next(Mono(0)).expect("the manifest alone");
    assert_eq!((first.what, again.what), (What::Manifest, What::Manifest));
    let mut partial = ack(1, AckStatus::Partial);
    partial.missing = vec![ByteRange(u64::MAX - 5, u64::MAX)];
    assert_eq!(delivery.ack(Mono(0), &partial), []);
    assert_eq!(
        delivery.next(Mono(0)).map(|send| send.what),
        Some(What::Part {
            from: u64::MAX - 5,
            to: u64::MAX
        })
    );
}

fn withdrawal(n: u64) -> Offer {
    Offer {
        is_withdrawal: true,
        ..offer(n, 0)
    }
}

#[test]
fn a_withdrawal_is_one_message_that_is_repeated_until_the_hub_has_it_and_counts_as_no_clip() {
    let mut delivery = ready();
    delivery.keep(withdrawal(1), false);
    delivery.keep(offer(2, 10), false);
    assert_eq!((delivery.unsent(), delivery.unsent_withdrawals()), (1, 1));
    assert_eq!(
        delivery.oldest_unsent(Mono(9)),
        Some(Duration::from_millis(7))
    );
    assert_eq!(
        drain(&mut delivery, Mono(0)),
        [
            What::Withdrawal,
            What::Manifest,
            What::Part { from: 0, to: 10 }
        ]
    );
    let settled = delivery.ack(Mono(0), &ack(2, AckStatus::Stored));
    assert!(matches!(settled[..], [Verdict::Release(_)]));
    assert_eq!(drain(&mut delivery, Mono(10_000)), [What::Withdrawal]);
    assert_eq!(drain(&mut delivery, Mono(30_000)), [What::Withdrawal]);
    // Whatever else the hub says, and whatever hash it names, it is kept and sent again later.
    let mut now = Mono(30_000);
    for status in [AckStatus::Reject, AckStatus::Discard, AckStatus::Partial] {
        assert!(matches!(
            delivery.ack(now, &ack(1, status))[..],
            [Verdict::Odd(_)]
        ));
        assert_eq!(drain(&mut delivery, now), []);
        now = Mono(now.0 + 3_600_000);
        assert_eq!(drain(&mut delivery, now), [What::Withdrawal]);
    }
    let wrong = Ack {
        sha256: Some("0".repeat(64).into()),
        ..ack(1, AckStatus::Stored)
    };
    assert!(matches!(delivery.ack(now, &wrong)[..], [Verdict::Odd(_)]));
    assert_eq!(delivery.unsent_withdrawals(), 1);
    let settled = delivery.ack(now, &ack(1, AckStatus::Stored));
    assert!(matches!(settled[..], [Verdict::Release(_)]));
    assert_eq!((delivery.unsent(), delivery.unsent_withdrawals()), (0, 0));
    // After a new connection too, it begins with itself.
    delivery.keep(withdrawal(3), false);
    drain(&mut delivery, now);
    delivery.disconnected();
    delivery.connected(None);
    assert_eq!(drain(&mut delivery, now), [What::Withdrawal]);
}

#[test]
fn a_clip_that_was_withdrawn_is_deleted_also_while_it_is_sent_and_in_quarantine_by_its_own_hash_alone()
 {
    let mut delivery = ready();
    delivery.keep(offer(1, 40_000), false);
    let sent = delivery.next(Mono(0)).expect("a manifest");
    let under_way = delivery.next(Mono(0)).expect("a part");
    let deleted = delivery.ack(Mono(0), &ack(1, AckStatus::Discard));
    assert!(matches!(&deleted[..], [Verdict::Delete(receipt)] if receipt.clip_id() == "clip-1"));
    // What is under way belongs to nobody any more.
    assert!(!delivery.awaits(sent.token) && !delivery.awaits(under_way.token));
    assert_eq!(
        delivery.puback(Mono(0), under_way.token, Puback::Success, ""),
        []
    );
    assert_eq!(drain(&mut delivery, Mono(0)), []);

    delivery.keep(offer(2, 10), false);
    drain(&mut delivery, Mono(0));
    delivery.ack(Mono(0), &ack(2, AckStatus::Reject));
    // Another one was found in quarantine at the start.
    delivery.lies_aside("clip-3".into(), format!("{:064x}", 3).into());
    for n in [2, 3] {
        for status in [AckStatus::Stored, AckStatus::Partial, AckStatus::Reject] {
            let odd = delivery.ack(Mono(0), &ack(n, status));
            assert!(
                matches!(odd[..], [Verdict::Odd(_)]),
                "only discard takes it"
            );
        }
        let wrong = Ack {
            sha256: None,
            ..ack(n, AckStatus::Discard)
        };
        assert!(matches!(
            delivery.ack(Mono(0), &wrong)[..],
            [Verdict::Odd(_)]
        ));
        let deleted = delivery.ack(Mono(0), &ack(n, AckStatus::Discard));
        assert!(matches!(deleted[..], [Verdict::Delete(_)]));
        let again = delivery.ack(Mono(0), &ack(n, AckStatus::Discard));
        assert!(matches!(again[..], [Verdict::Odd(_)]));
    }
    // A clip that came back is delivery's again, and is deleted once.
    delivery.lies_aside("clip-4".into(), format!("{:064x}", 4).into());
    delivery.keep(offer(4, 10), false);
    let deleted = delivery.ack(Mono(0), &ack(4, AckStatus::Discard));
    assert!(matches!(deleted[..], [Verdict::Delete(_)]));
    let again = delivery.ack(Mono(0), &ack(4, AckStatus::Discard));
    assert!(matches!(again[..], [Verdict::Odd(_)]));
}

#[test]
fn a_withdrawal_ends_by_the_hubs_word_alone_also_where_the_broker_confirms_clips() {
    let mut delivery = Delivery::new(Confirmation::Broker);
    delivery.connected(None);
    delivery.keep(withdrawal(1), false);
    let sent = delivery.next(Mono(0)).expect("a withdrawal");
    assert_eq!(
        delivery.puback(Mono(0), sent.token, Puback::Success, ""),
        []
    );
    assert_eq!(delivery.unsent_withdrawals(), 1);
    let again = delivery.next(Mono(10_000)).expect("it is repeated");
    assert_eq!(again.what, What::Withdrawal);
    delivery.puback(Mono(10_000), again.token, Puback::Success, "");
    let settled = delivery.ack(Mono(10_000), &ack(1, AckStatus::Stored));
    assert!(matches!(settled[..], [Verdict::Release(_)]));
}

#[test]
fn a_clip_that_its_citizen_deletes_is_not_sent_however_late_the_card_gives_it_and_its_number_is() {
    let mut delivery = ready();
    // Taken up before it is deleted, and found again after it.
    delivery.keep(offer(1, 10), true);
    delivery.take_back(&"clip-1".into());
    delivery.session_closed();
    delivery.keep(offer(1, 10), false);
    delivery.keep(offer(2, 10), false);
    assert!(delivery.is_taken_back(&"clip-1".into()) && delivery.unsent() == 1);
    let sent = delivery.next(Mono(0)).expect("the other one");
    assert_eq!(sent.clip_id.as_str(), "clip-2");
    // Nothing of it is left but the word that its number is void.
    delivery.let_go(&"clip-1".into());
    delivery.keep(
        Offer {
            bytes: 0,
            sha256: String::new().into(),
            ..offer(1, 0)
        },
        false,
    );
    assert!(delivery.being_taken_back().is_empty() && delivery.unsent() == 2);
}
