//! The service manager: readiness, watchdog, stopping (sd_notify(3)).
//!
//! Owns: the messages to the service manager. Never does: feed the watchdog on its own; the loop that does the work calls
//! [`Watchdog::feed`], and only while every thread works (`gateway_core::liveness`). Without a service manager every call does
//! nothing.

use std::time::Duration;

use sd_notify::NotifyState;

use booth_contract::time::Mono;

/// The service manager's watchdog, if it asked for one.
#[derive(Debug)]
pub struct Watchdog {
    every: Option<Duration>,
    fed: Option<Mono>,
}

impl Watchdog {
    /// Reads from the environment how often the service manager wants a message.
    pub fn from_environment() -> Self {
        Self {
            every: sd_notify::watchdog_enabled().map(|limit| limit / 3),
            fed: None,
        }
    }

    /// How long the loop may wait at most.
    pub fn interval(&self) -> Option<Duration> {
        self.every
    }

    /// Reports to the service manager that the program works, at most three times per limit.
    pub fn feed(&mut self, now: Mono) {
        let Some(every) = self.every else { return };
        if self.fed.is_none_or(|fed| now.since(fed) >= every) {
            self.fed = Some(now);
            notify(&[NotifyState::Watchdog]);
        }
    }
}

/// Reports that everything is running, with one line for `systemctl status`.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Sets the line for `systemctl status`.
pub fn status(status: &str) {
    notify(&[NotifyState::Status(status)]);
}

/// Reports that a start goes on, and has this much time from now on to the next word of it: what is looked through may be much.
pub fn still_starting(within: Duration) {
    let within = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
    notify(&[NotifyState::ExtendTimeoutUsec(within)]);
}

/// Reports that a clean stop has begun.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("the service manager cannot be told: {error}");
    }
}
