//! A recording from home becomes what a booth would have recorded.
//!
//! Owns: how many recordings are decoded at a time, and the sentence for each that cannot be used. Never does: keep one. What decodes is
//! named in ARCHITECTURE.md (`symphonia`, `opus`).

use booth_audio::{MadeAnswer, NoAnswer, Remedy, Sender, made_answer};
use tokio::sync::Semaphore;

use booth_host::crew;

/// Recordings that are decoded at a time: each takes a core and the memory of its samples.
const AT_A_TIME: usize = 2;
static PLACES: Semaphore = Semaphore::const_new(AT_A_TIME);
/// Shorter is no answer, ms.
const LEAST_MS: u64 = 500;

/// Why a recording cannot be used: the name of the sentence.
pub(super) type Unusable = &'static str;

/// Makes a booth's recording of it. It may last `most_seconds`.
pub(super) async fn made(sound: Vec<u8>, most_seconds: u64) -> Result<MadeAnswer, Unusable> {
    let Ok(_place) = PLACES.acquire().await else {
        return Err("home-busy");
    };
    let decode = move || made_answer(&sound, most_seconds, Sender::Anybody);
    let made = crew::aside("sound", decode).await;
    match made {
        Ok(Ok(made)) if made.levels.length.ms() < LEAST_MS => Err("home-too-short"),
        Ok(Ok(made)) => Ok(made),
        Ok(Err(why)) => Err(sentence(&why)),
        Err(_) => Err("home-broken"),
    }
}

fn sentence(why: &NoAnswer) -> Unusable {
    match why {
        NoAnswer::Silent => "home-silent",
        NoAnswer::Unplayable(why) => match why.remedy {
            Remedy::Shorten => "home-too-long",
            Remedy::Again => "home-broken",
            Remedy::Convert | Remedy::Unpack => "home-no-sound",
        },
        NoAnswer::Encoder(_) => "home-busy",
    }
}
