//! What the loop asks of the machine it runs on: clocks, random ids, what the kernel holds in memory.
//!
//! Owns: the one seam through which they come in, so that a whole booth can be run in virtual time.
//! Never does: decide anything from them, or read the card while the loop turns; the reader does (`run::reader`).

use std::path::Path;

use jiff::Timestamp;

use crate::adapters::restart::{RestartError, RestartHelper};
use crate::adapters::sensors::{self, Sensors, SupplyFiles};
use booth_contract::time::Mono;
use booth_host::{clock, systemd};
use booth_sealing::{KernelRandom, NoRandom, Random};
use gateway_core::partition::Partition;

/// The identity of this machine; what it cannot know is `None`.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// Model of the board.
    pub hw_model: Option<String>,
    /// Serial number of the board.
    pub hw_serial: Option<String>,
    /// The image: SHA-256 of its root file system, hex.
    pub image_id: Option<String>,
    /// Name of the operating system.
    pub os_version: Option<String>,
}

/// The machine under the loop.
pub trait Machine {
    /// The wall clock, right or wrong.
    fn wall(&self) -> Timestamp;
    /// The boot-time clock.
    fn mono(&self) -> Mono;
    /// Whether the wall clock is synchronised.
    fn clock_synced(&self) -> bool;
    /// A random id, UUID v4.
    fn new_id(&self) -> String;
    /// Fills `bytes` with what nobody can foresee: receipts, and the keys to which they are sealed.
    fn random(&self, bytes: &mut [u8]) -> Result<(), NoRandom>;
    /// The files in which the machine reports its supply voltage.
    fn supply_files(&self) -> SupplyFiles {
        SupplyFiles::default()
    }
    /// Whether a watchdog's reset was the reason for this boot.
    fn watchdog_reset(&self) -> Option<bool> {
        None
    }
    /// What the image found of the card's data partition; `note` is what earlier boots noted.
    fn partition(&self, _note: &Path) -> Option<Partition> {
        None
    }
    /// Its identity, for birth; asked once, before the loop turns.
    fn about(&self) -> About;
    /// The address that it would speak from now.
    fn ip(&self) -> Option<String> {
        None
    }
    /// Hardware address of the interface that is up now.
    fn mac(&self) -> Option<String> {
        None
    }
    /// Whether it can be restarted from here, or why not.
    fn may_restart(&self) -> Result<(), RestartError> {
        Err(RestartError::NoHelper)
    }
    /// Asks for a restart of it.
    fn restart(&self) -> Result<(), RestartError> {
        self.may_restart()
    }
    /// Shows one line to people who look at the service.
    fn show(&self, status: &str);
}

/// The machine that this process runs on.
#[derive(Debug, Clone, Copy)]
pub struct ThisMachine;

impl Machine for ThisMachine {
    fn wall(&self) -> Timestamp {
        clock::wall()
    }

    fn mono(&self) -> Mono {
        clock::mono()
    }

    fn clock_synced(&self) -> bool {
        clock::clock_synced()
    }

    #[allow(clippy::disallowed_methods)] // ids are drawn here and nowhere else
    fn new_id(&self) -> String {
        uuid::Uuid::new_v4().to_string()
    }

    fn random(&self, bytes: &mut [u8]) -> Result<(), NoRandom> {
        KernelRandom.fill(bytes)
    }

    fn supply_files(&self) -> SupplyFiles {
        Sensors::default().supply_files()
    }

    fn watchdog_reset(&self) -> Option<bool> {
        Sensors::default().watchdog_reset()
    }

    fn partition(&self, note: &Path) -> Option<Partition> {
        Sensors::default().partition(note)
    }

    fn about(&self) -> About {
        let own = Sensors::default();
        About {
            hw_model: own.hw_model(),
            hw_serial: own.hw_serial(),
            image_id: own.image().map(|image| image.image_id),
            os_version: own.os_version(),
        }
    }

    fn ip(&self) -> Option<String> {
        sensors::ip()
    }

    fn mac(&self) -> Option<String> {
        Sensors::default().mac()
    }

    fn may_restart(&self) -> Result<(), RestartError> {
        RestartHelper::here().is_there()
    }

    fn restart(&self) -> Result<(), RestartError> {
        RestartHelper::here().ask()
    }

    fn show(&self, status: &str) {
        systemd::status(status);
    }
}
