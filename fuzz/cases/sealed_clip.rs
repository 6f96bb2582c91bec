//! A sealed clip from anybody: opened as far as it is whole, or refused, by a hub that has the key.

use booth_contract::FrameFacts;
use std::sync::OnceLock;

use booth_contract::ogg_page;
use booth_sealing::{
    DataKey, Identity, KernelRandom, Recipients, Sealer, envelope, open, open_with,
};

use super::spool_state::pages;

fn city() -> &'static Identity {
    static CITY: OnceLock<Identity> = OnceLock::new();
    CITY.get_or_init(|| Identity::generate(&mut KernelRandom).expect("a key"))
}

fn key() -> &'static DataKey {
    static KEY: OnceLock<DataKey> = OnceLock::new();
    KEY.get_or_init(|| DataKey::generate(&mut KernelRandom).expect("a key"))
}

pub fn run(data: &[u8]) {
    let identities = std::slice::from_ref(city());
    let _ = envelope::open(data, identities);
    // Once as the hub opens it, and once with the key in hand, so that a changed head does not end every try.
    for opened in [open(data, identities), open_with(data, key())] {
        let Ok(opened) = opened else { continue };
        assert!(opened.ogg.len() < data.len() + 1_024, "it grew");
        if !opened.ogg.is_empty() {
            let end = ogg_page::walk(&opened.ogg, None).expect("whole pages");
            assert!(end.has_ended, "a player waits for more");
        }
    }
    let _ = Identity::parse(&String::from_utf8_lossy(data));
}

pub fn seeds() -> Vec<Vec<u8>> {
    let clip = uuid::Uuid::from_u128(7);
    let recipients = Recipients::new(vec![city().recipient()]).expect("one key");
    let facts = FrameFacts {
        samples: 24_000,
        mean_square: 0.1,
        peak: 3_000,
        speech: true,
    };
    let begun = Sealer::begin(clip, key(), &recipients, &mut KernelRandom);
    let (mut sealer, head) = begun.expect("it begins");
    let [first, second, last] = pages() else {
        unreachable!("three pages");
    };
    let said = [sealer.seal(facts, first), sealer.seal(facts, second)].concat();
    let cut = [head.clone(), said].concat();
    let whole = [cut.clone(), sealer.seal_last(facts, last)].concat();
    let envelope = envelope::seal(b"words", &recipients, &mut KernelRandom).expect("sealed");
    let text = city().to_text().as_bytes().to_vec();
    vec![whole, cut, head, envelope, text]
}
