//! What sealing costs: instructions while recording, bytes of a clip, bytes on the card, and the time to open.

use std::path::Path;
use std::sync::Arc;

use rustix::time::{ClockId, clock_gettime};

use booth_sealing::{Ending, Identity, KernelRandom, Recipients, SealTo, open};

use super::{Table, encoders};

/// How many clips are opened for the figure, and for a look.
const OPENED: usize = 1_000;
const LOOKED_AT: usize = 20;

/// A city with two keys, as one that is about to change them.
pub fn city() -> (Identity, SealTo) {
    let key = || Identity::generate(&mut KernelRandom).expect("a key");
    let (city, next) = (key(), key());
    let keys = Recipients::new(vec![city.recipient(), next.recipient()]);
    (city, SealTo::Keys(Arc::new(keys.expect("two keys"))))
}

/// Records this speech sealed, as fast as the machine can, and opens it again and again.
pub fn figures(table: &mut Table, wav: &Path, is_look: bool) {
    let (city, seal_to) = city();
    let folder = wav.parent().expect("a folder");
    let file = folder.join("sealed");
    let written = encoders::record(wav, &file, &seal_to);
    let body = std::fs::read(&file).expect("a body");
    let opened = open(&body, std::slice::from_ref(&city)).expect("the city opens it");
    assert_eq!(opened.ending, Ending::Whole);
    table.row(
        "bytes of a sealed minute / of what it opens to",
        body.len() as f64 / opened.ogg.len() as f64,
        "≤ 1.03",
        1,
    );
    table.row(
        "bytes to disk per byte of a sealed 60 s clip, released",
        written as f64 / body.len() as f64,
        "≤ 4.5",
        1,
    );
    let count = if is_look { LOOKED_AT } else { OPENED };
    let began = used_s();
    for _ in 0..count {
        open(&body, std::slice::from_ref(&city)).expect("the city opens it");
    }
    table.row(
        "opening 1,000 sealed minutes, CPU s",
        (used_s() - began) * OPENED as f64 / count as f64,
        "≤ 10",
        count,
    );
}

/// CPU seconds of this program so far: the same on a busy machine.
pub(super) fn used_s() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}
