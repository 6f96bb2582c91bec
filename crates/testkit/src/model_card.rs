//! A card of sectors that loses what was not flushed, and the firmware that starts from it.
//!
//! Owns: the partitions BOOTH (its `autoboot.txt`, one sector), SLOT_A and SLOT_B; the one-shot flag; power cuts. Of each
//! 512-byte sector written since the last flush a power cut leaves any version it has had since then; no sector is torn
//! within itself. The data partition, with the updater's state, is a [`ModelDisk`] that counts by the same clock.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use booth_gateway::update::boot::{AutobootFile, FlagError, OneShot, Slot};
use booth_gateway::update::slot::Device;

use crate::model_disk::{Chance, EIO, Fault, Left, ModelDisk};

const SECTOR: usize = 512;
/// Where `autoboot.txt` and the slots are, in sectors.
const AUTOBOOT: usize = 0;
const SHIPPED: &[u8] = b"[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n";

/// Counts the operations of everything that shares it, and says which of them the power ends at.
#[derive(Clone)]
pub struct Power {
    done: Arc<AtomicU64>,
    ends_at: u64,
}

/// What becomes of an operation.
#[derive(PartialEq)]
pub enum Current {
    Flows,
    Ends,
    IsOff,
}

impl Power {
    pub fn until(ends_at: u64) -> Self {
        let done = Arc::default();
        Self { done, ends_at }
    }

    pub fn operation(&self) -> Current {
        let number = self.done.fetch_add(1, Ordering::Relaxed);
        match number.cmp(&self.ends_at) {
            std::cmp::Ordering::Less => Current::Flows,
            std::cmp::Ordering::Equal => Current::Ends,
            std::cmp::Ordering::Greater => Current::IsOff,
        }
    }

    pub fn is_off(&self) -> bool {
        self.operations() > self.ends_at
    }

    pub fn operations(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Ends the disk's operations by the same clock.
    pub fn watch(&self, disk: &ModelDisk) {
        let power = self.clone();
        disk.set_faults(move |operation| {
            if !operation.verb.is_change() {
                return power.is_off().then_some(Fault {
                    errno: EIO,
                    left: Left::Nothing,
                });
            }
            match power.operation() {
                Current::Flows => None,
                Current::Ends => Some(Fault {
                    errno: EIO,
                    left: Left::Half,
                }),
                Current::IsOff => Some(Fault {
                    errno: EIO,
                    left: Left::Nothing,
                }),
            }
        });
    }
}

fn off() -> io::Error {
    io::Error::other("the power is off")
}

struct Sectors {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Written since the last flush, in order.
    pending: Vec<(usize, Vec<u8>)>,
    power: Power,
    /// A card that only says that it has flushed.
    lies: bool,
}

/// The card. A clone is another handle of the same one.
#[derive(Clone)]
pub struct Card {
    sectors: Rc<RefCell<Sectors>>,
    slot_bytes: usize,
    pub flag: Rc<Cell<bool>>,
}

impl Card {
    /// A card as shipped: this in slot A, nothing in slot B; slots of `slot_bytes`.
    pub fn shipped(slot_a: &[u8], slot_bytes: usize) -> Self {
        let mut live = vec![0; SECTOR + 2 * slot_bytes];
        live[..SHIPPED.len()].copy_from_slice(SHIPPED);
        live[SECTOR..SECTOR + slot_a.len()].copy_from_slice(slot_a);
        let (power, durable) = (Power::until(u64::MAX), live.clone());
        let sectors = Sectors {
            live,
            durable,
            pending: Vec::new(),
            power,
            lies: false,
        };
        let sectors = Rc::new(RefCell::new(sectors));
        Self {
            sectors,
            slot_bytes,
            flag: Rc::default(),
        }
    }

    pub fn powered_by(&self, power: &Power) {
        self.sectors.borrow_mut().power = power.clone();
    }

    pub fn lies_about_flushes(&self) {
        self.sectors.borrow_mut().lies = true;
    }

    /// Another card as a power cut now may leave this one. The flag is as it was.
    pub fn power_cut(&self, seed: u64) -> Card {
        let from = self.sectors.borrow();
        let mut chance = Chance::new(seed);
        let mut left = from.durable.clone();
        // A whole write may be on the card or not; and single sectors of it.
        let share = [0, 20, 50, 80, 100][chance.below(5) as usize];
        for (sector, bytes) in &from.pending {
            if chance.percent(share) {
                let at = sector * SECTOR;
                left[at..at + SECTOR].copy_from_slice(bytes);
            }
        }
        let sectors = Sectors {
            live: left.clone(),
            durable: left,
            pending: Vec::new(),
            power: Power::until(u64::MAX),
            lies: from.lies,
        };
        Card {
            sectors: Rc::new(RefCell::new(sectors)),
            slot_bytes: self.slot_bytes,
            flag: Rc::new(Cell::new(self.flag.get())),
        }
    }

    fn write(&self, at: usize, bytes: &[u8]) -> io::Result<()> {
        let mut card = self.sectors.borrow_mut();
        let current = card.power.operation();
        if current == Current::IsOff {
            return Err(off());
        }
        assert!(at.is_multiple_of(SECTOR) && bytes.len().is_multiple_of(SECTOR));
        card.live[at..at + bytes.len()].copy_from_slice(bytes);
        for (number, sector) in bytes.chunks(SECTOR).enumerate() {
            card.pending.push((at / SECTOR + number, sector.to_vec()));
        }
        if current == Current::Ends {
            Err(off())
        } else {
            Ok(())
        }
    }

    fn flush(&self) -> io::Result<()> {
        let mut card = self.sectors.borrow_mut();
        if card.power.operation() != Current::Flows {
            return Err(off());
        }
        if !card.lies {
            card.durable = card.live.clone();
            card.pending.clear();
        }
        Ok(())
    }

    fn place(&self, slot: Slot) -> usize {
        match slot {
            Slot::A => SECTOR,
            Slot::B => SECTOR + self.slot_bytes,
        }
    }

    /// What a slot's partition begins with.
    pub fn slot(&self, slot: Slot, bytes: usize) -> Vec<u8> {
        let place = self.place(slot);
        self.sectors.borrow().live[place..place + bytes].to_vec()
    }

    /// Which partition the firmware starts: `[tryboot]` with the flag, which it forgets, else `[all]`. Written after the
    /// Raspberry Pi documentation of autoboot.txt, and not after the code that edits it.
    pub fn firmware(&self) -> Slot {
        let text = self.sectors.borrow().live[AUTOBOOT..SECTOR].to_vec();
        let text = String::from_utf8(text).expect("text");
        let section = if self.flag.take() {
            "[tryboot]"
        } else {
            "[all]"
        };
        let mut is_here = false;
        for line in text.trim_end_matches('\0').lines() {
            if line.starts_with('[') {
                is_here = line == section;
            } else if let Some(number) = line.strip_prefix("boot_partition=").filter(|_| is_here) {
                return match number {
                    "2" => Slot::A,
                    "3" => Slot::B,
                    other => panic!("boot_partition={other}"),
                };
            }
        }
        panic!("no boot_partition in {section}: {text:?}")
    }
}

/// A slot's partition of the card.
pub struct Partition {
    card: Card,
    slot: Slot,
    /// A bit that this card cannot keep.
    pub bad_byte: Option<u64>,
}

impl Partition {
    pub fn of(card: &Card, slot: Slot) -> Self {
        Self {
            card: card.clone(),
            slot,
            bad_byte: None,
        }
    }
}

impl Device for Partition {
    fn bytes(&self) -> u64 {
        self.card.slot_bytes as u64
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.card
            .write(self.card.place(self.slot) + offset as usize, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.card.flush()
    }

    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let card = self.card.sectors.borrow();
        if card.power.is_off() {
            return Err(off());
        }
        let at = self.card.place(self.slot) + offset as usize;
        buffer.copy_from_slice(&card.live[at..at + buffer.len()]);
        if let Some(bad) = self.bad_byte
            && (offset..offset + buffer.len() as u64).contains(&bad)
        {
            buffer[(bad - offset) as usize] ^= 4;
        }
        Ok(())
    }
}

impl AutobootFile for Card {
    fn read(&self) -> io::Result<Vec<u8>> {
        let card = self.sectors.borrow();
        if card.power.is_off() {
            return Err(off());
        }
        Ok(card.live[AUTOBOOT..SHIPPED.len()].to_vec())
    }

    fn rewrite(&self, bytes: &[u8]) -> io::Result<()> {
        assert_eq!(bytes.len(), SHIPPED.len());
        let mut sector = bytes.to_vec();
        sector.resize(SECTOR, 0);
        self.write(AUTOBOOT * SECTOR, &sector)?;
        self.flush()
    }
}

impl OneShot for Card {
    fn set(&self) -> Result<(), FlagError> {
        self.flip(true)
    }

    fn clear(&self) -> Result<(), FlagError> {
        self.flip(false)
    }
}

impl Card {
    fn flip(&self, is_set: bool) -> Result<(), FlagError> {
        let is_off = || FlagError::File {
            path: "flag".into(),
            error: io::Error::other("the power is off"),
        };
        let card = self.sectors.borrow();
        match card.power.operation() {
            Current::IsOff => Err(is_off()),
            // It may just have got there.
            Current::Ends => {
                self.flag.set(is_set);
                Err(is_off())
            }
            Current::Flows => {
                self.flag.set(is_set);
                Ok(())
            }
        }
    }
}
