//! Campaigns as the editor's page has them: a text instead of a file, and recordings that were sent in.
//!
//! Owns: the folder `campaigns/sounds` with what was sent in, each under a name made of its content, and the way from a text to what the
//! commands do with a file. Never does: read any other file for a text: whoever writes one in a browser must not reach what else lies on
//! this machine. A failure leaves what was published.
#![allow(clippy::disallowed_methods)] // reads and keeps recordings

use std::path::{Path, PathBuf};
use std::sync::Arc;

use booth_city::centre::{CentreError, Checked, Remark, Saying, Tell};
use booth_city::sentence;
use booth_contract::hex;
use booth_contract::time::rfc3339;
use booth_host::config_file::{self, ConfigFault};
use booth_host::{clock, plain_file};
use sha2::{Digest, Sha256};

use super::CampaignError;
use super::author;
use super::change;
use super::file::Draft;
use super::judge::{self, Judged};
use super::register::{self, Ready};
use super::verbs::{General, Listener, Sending, local_now};
use super::workshop::{self, Workshop};
use crate::config::HubConfig;

/// The file's name in sentences.
const NAME: &str = "the campaign";
/// Longest text of a campaign, bytes.
const LONGEST: usize = config_file::LONGEST_FILE as usize;
/// Largest recording that is kept, bytes, and the most recordings.
const MOST_BYTES: usize = 30_000_000;
const MOST_SOUNDS: usize = 2_000;
/// How long booths are waited for, s: as long as the command waits.
const WAIT_S: u64 = 90;

impl From<CampaignError> for CentreError {
    fn from(error: CampaignError) -> Self {
        match error {
            CampaignError::Told(sentence) => sentence.into(),
            CampaignError::Config(why) => sentence!("hub-says", why = why.to_string()).into(),
            CampaignError::Refused(why) => sentence!("hub-says", why = why).into(),
            error @ (CampaignError::File { .. } | CampaignError::Store(_)) => {
                Self::Failed(error.to_string())
            }
        }
    }
}

fn sounds_in(hub: &HubConfig) -> PathBuf {
    register::folder_in(&hub.store.dir).join("sounds")
}

/// Whether this is a name that [`keep_sound`] gave.
fn is_kept_name(path: &Path, folder: &Path) -> bool {
    let name = path.strip_prefix(folder).ok().and_then(Path::to_str);
    name.is_some_and(|name| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A draft of a text, and what is wrong with it.
fn read(hub: &HubConfig, text: &str) -> Result<(Draft, Judged), CampaignError> {
    if text.len() > LONGEST {
        let bytes = text.len();
        let refused = sentence!("hub-campaign-too-long", bytes = bytes, most = LONGEST);
        return Err(CampaignError::Told(refused));
    }
    let folder = sounds_in(hub);
    if let Err(error) = toml::from_str::<toml::Table>(text) {
        let line = error.span().map(|span| line_of(text, span.start));
        let fault = ConfigFault::whole(error.message().to_owned()).in_file(NAME);
        let fault = match line {
            Some(line) => fault.at_line(line),
            None => fault,
        };
        let (draft, _) = Draft::of("", NAME, &folder);
        let judged = Judged {
            faults: vec![fault],
            remarks: Vec::new(),
        };
        return Ok((draft, judged));
    }
    let (mut draft, mut faults) = Draft::of(text, NAME, &folder);
    // No file but one of ours is looked at.
    let strangers: Vec<ConfigFault> = draft
        .sayings
        .iter()
        .filter(|saying| {
            let sound = saying.sound.as_deref();
            sound.is_some_and(|sound| !is_kept_name(sound, &folder))
        })
        .map(|saying| {
            let key = format!("{} sound.{}", saying.what, saying.lang);
            let why = "names a file that was not sent in here: choose the recording on the editor's page, and it is written here";
            draft.fault(saying.line, &key, why)
        })
        .collect();
    if !strangers.is_empty() {
        faults.extend(strangers);
        for saying in &mut draft.sayings {
            saying.sound = saying
                .sound
                .take()
                .filter(|sound| is_kept_name(sound, &folder));
        }
    }
    let judged = judge::judge(&draft, faults, hub, local_now());
    Ok((draft, judged))
}

fn line_of(text: &str, at: usize) -> usize {
    let before = &text.as_bytes()[..at.min(text.len())];
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

fn remark(fault: &ConfigFault) -> Remark {
    Remark {
        line: fault.line,
        key: fault.key.clone().unwrap_or_default(),
        why: fault.sentence.clone(),
    }
}

fn checked(draft: &Draft, judged: &Judged, workshop: &Workshop) -> Checked {
    let mut fields = draft.stand_in();
    let sayings: Vec<Saying> = draft
        .sayings
        .iter()
        .enumerate()
        .map(|(n, saying)| {
            let made = workshop.made(saying);
            if let Some(made) = made {
                draft.put_hash(&mut fields, n, &made.hash);
            }
            let sound = saying.sound.as_deref().and_then(Path::file_name);
            Saying {
                what: saying.what.clone(),
                lang: saying.lang.clone(),
                text: saying.text.clone(),
                sound: sound.map(|name| name.to_string_lossy().into_owned()),
                line: saying.line,
                made: made.map(|made| (made.hash.clone(), made.ms)),
            }
        })
        .collect();
    let is_right = judged.faults.is_empty();
    Checked {
        id: draft.id.clone(),
        title: draft.title.clone(),
        language: draft.language.clone(),
        faults: judged.faults.iter().map(remark).collect(),
        remarks: judged.remarks.iter().map(remark).collect(),
        sayings,
        wanted: is_right
            .then(|| judge::checked(&mut fields, &draft.language, true, Some(local_now())).ok())
            .flatten(),
    }
}

/// What is known of a text.
pub(crate) fn check(hub: &HubConfig, text: &str) -> Result<Checked, CampaignError> {
    let (draft, judged) = read(hub, text)?;
    let workshop = Workshop::open(&register::folder_in(&hub.store.dir))?;
    Ok(checked(&draft, &judged, &workshop))
}

/// Keeps a recording that can be a prompt, and returns its name.
pub(crate) fn keep_sound(hub: &HubConfig, sound: &[u8]) -> Result<String, CampaignError> {
    if sound.len() > MOST_BYTES {
        let bytes = sound.len();
        let refused = sentence!("hub-recording-too-large", bytes = bytes, most = MOST_BYTES);
        return Err(CampaignError::Told(refused));
    }
    booth_audio::check(sound).map_err(|why| {
        let remedy = workshop::remedy(why.remedy);
        CampaignError::Told(sentence!(
            "hub-bad-recording",
            what = why.what,
            remedy = remedy
        ))
    })?;
    let folder = sounds_in(hub);
    plain_file::make_private_folder(&folder)
        .map_err(|error| CampaignError::file(&folder, error))?;
    let name = hex(&Sha256::digest(sound));
    let path = folder.join(&name);
    if path.is_file() {
        return Ok(name);
    }
    let kept = std::fs::read_dir(&folder).map_err(|error| CampaignError::file(&folder, error))?;
    if kept.count() >= MOST_SOUNDS {
        let folder = folder.display().to_string();
        let refused = sentence!("hub-too-many-recordings", n = MOST_SOUNDS, folder = folder);
        return Err(CampaignError::Told(refused));
    }
    plain_file::replace_private(&path, sound).map_err(|error| CampaignError::file(&path, error))?;
    Ok(name)
}

/// Makes the prompts that are not made yet.
pub(crate) fn make(hub: &HubConfig, text: &str, tell: Tell<'_>) -> Result<Checked, CampaignError> {
    let (draft, mut judged) = read(hub, text)?;
    // One at a time makes prompts.
    let _turn = register::turn_to_publish(&hub.store.dir)?;
    let mut workshop = Workshop::open(&register::folder_in(&hub.store.dir))?;
    let all = draft.sayings.len();
    for (n, saying) in draft.sayings.iter().enumerate() {
        if workshop.made(saying).is_some() || (saying.text.is_none() && saying.sound.is_none()) {
            continue;
        }
        tell(&format!(
            "{} in {:?}: prompt {} of {all}",
            saying.what,
            saying.lang,
            n + 1
        ));
        if let Err(why) = workshop.make(saying) {
            let key = format!("{} in {:?}", saying.what, saying.lang);
            judged.faults.push(draft.fault(saying.line, &key, &why));
        }
    }
    Ok(checked(&draft, &judged, &workshop))
}

/// What makes a text ready; refused unless it is right and its prompts are made.
fn making<'a>(
    draft: &'a Draft,
    text: &'a str,
) -> impl FnOnce(&Workshop) -> Result<Ready, CampaignError> + 'a {
    move |workshop| {
        let at = rfc3339(clock::wall());
        let make = sentence!("hub-on-the-page").into();
        author::ready(draft, text, make, workshop, &at)
    }
}

fn right(hub: &HubConfig, text: &str) -> Result<Draft, CampaignError> {
    let (draft, judged) = read(hub, text)?;
    match judged.faults.is_empty() {
        true => Ok(draft),
        false => Err(CampaignError::Config(config_file::ConfigError(
            judged.faults,
        ))),
    }
}

/// The texts that are to be signed.
pub(crate) fn to_sign(hub: &HubConfig, text: &str) -> Result<Vec<String>, CampaignError> {
    let draft = right(hub, text)?;
    change::to_be_signed(hub.clone(), &draft.id, making(&draft, text))
}

/// Publishes a text whose prompts are made.
pub(crate) fn publish(
    hub: &HubConfig,
    text: &str,
    signed: &[(String, String)],
    tell: Tell<'_>,
) -> Result<(), CampaignError> {
    let draft = right(hub, text)?;
    let (to, said) = std::sync::mpsc::sync_channel::<String>(MOST_SAID);
    let sending = Sending {
        dry_run: false,
        wait: WAIT_S,
        to_sign: None,
        signed: Vec::new(),
        signed_texts: signed.to_vec(),
        force: false,
    };
    // A sentence that finds no place is left out: the booths' reports say the same later.
    let listener = move |sentence: &str| drop(to.try_send(sentence.to_owned()));
    let general = General {
        json: false,
        config: PathBuf::new(),
        listener: Listener(Some(Arc::new(listener))),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CampaignError::Refused(format!("the system refuses: {error}")))?;
    std::thread::scope(|scope| {
        let teller = scope.spawn(move || {
            for sentence in said {
                tell(&sentence);
            }
        });
        let done = runtime.block_on(change::publish_ready(
            hub.clone(),
            &draft.id,
            making(&draft, text),
            &sending,
            &general,
        ));
        drop(general);
        // It ends when nobody can say anything more.
        let _ = teller.join();
        done
    })
}

/// Most sentences that wait to be told.
const MOST_SAID: usize = 1_000;
