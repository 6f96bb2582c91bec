//! A receipt that a citizen types on the hub's page.
//!
//! Owns: how many receipts one visitor, and all together, may try, and what becomes of one: a hash, or where this hub has no private
//! key, a text sealed to the city's keys. Never does: look whether there is such a message, or keep a digit. What was answered
//! [`Taken::Noted`] is durable; everything else was not taken, and the page says so.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use booth_contract::time::{Mono, rfc3339};
use booth_contract::{BadReceipt, ClipId, Receipt, hex};
use booth_sealing::{KernelRandom, Random, Recipients};

use crate::pace::{Limit, Pace};
use crate::receipts::{self, ReceiptKey};
use crate::store::OF_PAGE;
use crate::store::StoreError;
use crate::store::private::{Private, Source, Waiting};

/// Tries of one visitor: a person mistypes a few times.
const OF_ONE: Limit = Limit {
    at_once: 10,
    every_ms: 60_000,
};
/// Tries of all visitors: no more than are worked off at once, so that what is noted is gone within a minute and what cannot be is told.
const OF_ALL: Limit = OF_PAGE;
/// Most visitors that are remembered; with more, those that have rested are forgotten, and then nobody new is let in.
const MOST_VISITORS: usize = 10_000;
/// Most withdrawals that wait, whoever brought them, before the page takes no more.
const MOST_WAITING: u64 = 20_000;

/// What becomes of a receipt at this hub.
#[derive(Debug, Clone)]
pub enum How {
    /// It is compared with the receipts of the clips, within a minute.
    Matched(Arc<ReceiptKey>),
    /// It is sealed and waits for the desk where the city's key is.
    Sealed(Recipients),
    /// This hub knows no key at all: receipts are taken at booths alone.
    NotHere,
}

/// What the page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is noted. Whether there is such a message is told to nobody.
    Noted,
    /// What was typed is no receipt.
    Wrong(BadReceipt),
    /// This visitor, or all together, have tried too often.
    TooMany,
    /// This hub takes none.
    NotHere,
    /// It could not be kept.
    Failed,
}

/// See the module's comment.
#[derive(Debug)]
pub struct Withdrawing {
    private: Private,
    how: How,
    visitors: Mutex<Visitors>,
}

#[derive(Debug, Default)]
struct Visitors {
    all: Pace,
    of: HashMap<IpAddr, Pace>,
}

impl Visitors {
    fn may(&mut self, now: Mono, from: IpAddr) -> bool {
        if self.of.len() >= MOST_VISITORS && !self.of.contains_key(&from) {
            self.of.retain(|_, pace| !pace.is_idle(now, OF_ONE));
            if self.of.len() >= MOST_VISITORS {
                return false;
            }
        }
        let own = self.of.entry(from).or_default();
        let may = own.may(now, OF_ONE) && self.all.may(now, OF_ALL);
        if may {
            own.count();
            self.all.count();
        }
        may
    }
}

impl Withdrawing {
    /// For the store in this folder.
    pub fn new(store: &Path, how: How) -> Self {
        Self {
            private: Private::beside(store),
            how,
            visitors: Mutex::default(),
        }
    }

    /// Whether a withdrawal waits for the desk.
    pub fn is_sealed(&self) -> bool {
        matches!(self.how, How::Sealed(_))
    }

    /// Takes what a visitor typed. Blocks until it is durable.
    pub fn take(&self, wall: Timestamp, mono: Mono, from: IpAddr, typed: &str) -> Taken {
        let mut visitors = self.visitors.lock().unwrap_or_else(PoisonError::into_inner);
        let may = visitors.may(mono, one_visitor(from));
        drop(visitors);
        if !may {
            return Taken::TooMany;
        }
        let receipt = match Receipt::parse_text(typed) {
            Ok(receipt) => receipt,
            Err(wrong) => return Taken::Wrong(wrong),
        };
        match self.keep(wall, &receipt) {
            Ok(taken) => taken,
            Err(why) => {
                log::error!(fault = "withdrawal"; "a withdrawal from the page could not be kept: {why}");
                Taken::Failed
            }
        }
    }

    fn keep(&self, wall: Timestamp, receipt: &Receipt) -> Result<Taken, String> {
        if matches!(self.how, How::NotHere) {
            return Ok(Taken::NotHere);
        }
        if self.private.waiting_number() >= MOST_WAITING {
            return Ok(Taken::TooMany);
        }
        let mut bytes = [0; 16];
        KernelRandom.fill(&mut bytes).map_err(|e| e.to_string())?;
        let id = ClipId::from(
            uuid::Builder::from_random_bytes(bytes)
                .into_uuid()
                .to_string(),
        );
        let mut waiting = Waiting {
            id: id.clone(),
            at: rfc3339(wall),
            ..Waiting::default()
        };
        match &self.how {
            How::Matched(key) => waiting.mark = Some(key.mark(receipt)),
            How::Sealed(to) => {
                let sealed = receipts::seal(&id, receipt, to).map_err(|e| e.to_string())?;
                waiting.sealed = Some(sealed);
            }
            How::NotHere => {}
        }
        let apart = hex(&Sha256::digest(id.as_bytes()))[..16].to_owned();
        let kept = self.private.keep_waiting(&Source::Page, &apart, &waiting);
        kept.map_err(|error: StoreError| error.to_string())?;
        Ok(Taken::Noted)
    }
}

/// Addresses that one visitor has at will count as one: a network of IPv6 that is given to one household.
fn one_visitor(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> IpAddr {
        std::net::Ipv4Addr::from(0x0A00_0000 + n).into()
    }

    #[test]
    fn ten_thousand_tries_meet_the_limit_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = Arc::new(ReceiptKey::make().expect("a key"));
        let page = Withdrawing::new(&folder.path().join("store"), How::Matched(key));
        let wall = Timestamp::UNIX_EPOCH;
        let (mut told, mut held) = (0, 0);
        for n in 0..10_000_u64 {
            match page.take(wall, Mono(n * 10), address(1), "002006673084") {
                Taken::Wrong(BadReceipt::Check) => told += 1,
                Taken::TooMany => held += 1,
                other => panic!("{other:?}"),
            }
        }
        // 100 seconds: ten at once, and one more a minute.
        assert_eq!((told, held), (11, 9_989));
        assert_eq!(page.private.waiting_number(), 0);
        // Another visitor is let in, one with a network of addresses counts as one.
        assert_eq!(
            page.take(wall, Mono(100_000), address(2), "1"),
            Taken::Wrong(BadReceipt::Length(1))
        );
        let v6 = |n: u16| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, n, 0, 0, 1));
        let let_in =
            (0..100).filter(|n| page.take(wall, Mono(100_000), v6(*n), "1") != Taken::TooMany);
        assert_eq!(let_in.count(), 10);
        // All together.
        let let_in = (10..3_000)
            .filter(|n| page.take(wall, Mono(100_000), address(*n), "1") != Taken::TooMany);
        assert!(let_in.count() < OF_ALL.at_once as usize);
    }

    #[test]
    fn a_receipt_is_kept_as_a_hash_or_sealed_and_no_file_has_its_digits() {
        let folder = tempfile::tempdir().expect("a folder");
        let city = booth_sealing::Identity::generate(&mut KernelRandom).expect("a key");
        let to = Recipients::new(vec![city.recipient()]).expect("one");
        let key = Arc::new(ReceiptKey::make().expect("a key"));
        for (name, how) in [
            ("standard", How::Matched(key.clone())),
            ("sealed", How::Sealed(to)),
        ] {
            let store = folder.path().join(name);
            let page = Withdrawing::new(&store, how);
            let taken = page.take(Timestamp::UNIX_EPOCH, Mono(0), address(1), "0020 0667 3085");
            assert_eq!(taken, Taken::Noted);
            let waiting = page.private.waiting().expect("reads");
            assert_eq!(waiting.len(), 1);
            let (path, source) = &waiting[0];
            assert_eq!(*source, Source::Page);
            let kept = Private::read_waiting(path).expect("reads").expect("is one");
            let text = serde_json::to_string(&kept).expect("text");
            assert!(!text.contains("002006673085"), "{text}");
            let receipt = Receipt::parse_text("002006673085").expect("a receipt");
            match page.is_sealed() {
                false => assert_eq!(kept.mark, Some(key.mark(&receipt))),
                true => {
                    let keys = Arc::new(crate::keys::Keyring::of(vec![city.clone()]));
                    let opener = receipts::Opener::new(keys, key.clone());
                    let sealed = kept.sealed.expect("sealed");
                    assert_eq!(
                        opener.of_withdrawal(&kept.id, &sealed),
                        Ok(key.mark(&receipt))
                    );
                }
            }
        }
        let nowhere = Withdrawing::new(&folder.path().join("no"), How::NotHere);
        let taken = nowhere.take(Timestamp::UNIX_EPOCH, Mono(0), address(1), "002006673085");
        assert_eq!(taken, Taken::NotHere);
    }
}
