//! The loop's turns, and its end.
//!
//! Owns: in which order it listens, feeding the watchdog, the last words to the broker. Never does: wait for a worker, but for
//! connection and keeper at the end.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::ended::{Ended, RunError, setup};
use super::keeper::KeeperCommand;
use super::workers::MOST_FROM_BROKER;
use super::{Gateway, Happening};
use crate::adapters::mqtt::{Kind, Outbound};
use booth_contract::{Presence, Topic};
use booth_host::crew::Crew;
use booth_host::systemd::Watchdog;
use booth_host::{clock, systemd};
use gateway_core::liveness::Liveness;

/// How long connection and keeper may each take at the end.
pub(super) const CLOSING: Duration = Duration::from_secs(6);

#[allow(clippy::disallowed_methods)] // the loop's own wait, always up to a deadline
pub(super) async fn turn_until_stopped(
    gateway: &mut Gateway,
    mut liveness: Liveness,
    happenings: &mut mpsc::Receiver<Happening>,
    from_broker: &mut mpsc::Receiver<Happening>,
    crew: &mut Crew,
) -> Result<Ended, RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(setup("SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(setup("SIGINT"))?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(setup("SIGHUP"))?;
    let mut watchdog = Watchdog::from_environment();
    systemd::ready("started");
    gateway.show_not_set_up();
    loop {
        // What has gathered meanwhile is worked off before the evidence is weighed again, but only up to a limit: however
        // much the broker sends, a citizen never waits behind a flood.
        for _ in 0..256 {
            let Ok(happening) = happenings.try_recv() else {
                break;
            };
            gateway.happen(clock::mono(), happening);
        }
        for _ in 0..MOST_FROM_BROKER {
            let Ok(happening) = from_broker.try_recv() else {
                break;
            };
            gateway.happen(clock::mono(), happening);
        }
        if gateway.starts_again() {
            return Ok(Ended::StartAgain);
        }
        let now = clock::mono();
        for news in liveness.judge(now) {
            gateway.report_liveness(news);
        }
        if liveness.may_feed() {
            watchdog.feed(now);
        }
        gateway.turn(now);
        let mut wake_at = gateway.wake_at(now);
        if let Some(every) = watchdog.interval() {
            wake_at = wake_at.min(now + every);
        }
        let pause = wake_at.since(now);
        tokio::select! {
            death = crew.death() => {
                log::error!("{death}; the gateway ends");
                return Err(death.into());
            }
            happening = happenings.recv() => {
                let Some(happening) = happening else { return Ok(Ended::Stopped) };
                gateway.happen(clock::mono(), happening);
            }
            // The channel has ended where there is no broker; the end of the connection's task is reported by the crew.
            Some(happening) = from_broker.recv() => gateway.happen(clock::mono(), happening),
            () = tokio::time::sleep(pause) => {}
            _ = terminate.recv() => return Ok(Ended::Stopped),
            _ = interrupt.recv() => return Ok(Ended::Stopped),
            _ = hang_up.recv() => gateway.read_again(),
        }
    }
}

/// Publishes `offline` and waits until the card has what was handed to it.
pub(super) async fn farewell(
    mut gateway: Gateway,
    connection: Option<tokio::task::JoinHandle<()>>,
    kept: oneshot::Receiver<()>,
) {
    if let Some(saved) = gateway.booth.unsaved() {
        gateway.keeper.send(KeeperCommand::Counters(saved));
    }
    let state = Outbound {
        token: u64::MAX,
        topic: gateway
            .topics
            .name(&Topic::State(gateway.config.booth.id.clone())),
        payload: gateway
            .speaker()
            .state(Presence::Offline, gateway.machine.wall()),
        retain: true,
        expiry_s: None,
        correlation: None,
        kind: Kind::Statement,
    };
    if let Some(outbox) = &gateway.mqtt {
        outbox.stop(vec![state]);
    }
    if let Some(connection) = connection {
        let _ = tokio::time::timeout(CLOSING, connection).await;
    }
    // When its commands end, the keeper saves everything and ends.
    drop(gateway);
    let _ = tokio::time::timeout(CLOSING, kept).await;
}
