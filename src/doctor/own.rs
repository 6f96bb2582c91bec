//! Lines and microphone opened by the doctor itself, for a live view where no gateway runs.
//!
//! Owns: lines and microphone, until it is dropped. Never does: keep what the microphone hears.

use std::fmt::Display;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::live::Moment;
use super::sound::{Meter, MeterError};
use crate::adapters::handset::{
    self, HandsetCommand, HandsetLinks, HandsetReport, HandsetView, HookFault,
};
use crate::adapters::handset_taught;
use crate::adapters::sound_error::SoundError;
use crate::adapters::wake::Wake;
use crate::config::{Backend, Config, Handset, Level};
use crate::status::{contacts, key_name};
use booth_contract::time::Mono;
use booth_host::crew;
use gateway_core::liveness::Beat;
use gateway_core::session::HandsetEvent;

/// Most reports that wait to be read; further ones are dropped.
const MOST_REPORTS: usize = 64;

/// Lines and microphone opened by the doctor itself.
pub(super) struct Own {
    handset: Handset,
    view: Arc<HandsetView>,
    reports: Option<mpsc::Receiver<HandsetReport>>,
    stop: Arc<AtomicBool>,
    wake: Wake,
    _commands: mpsc::SyncSender<HandsetCommand>,
    meter: Result<Meter, MeterError>,
    /// The latest reports; none before the first.
    mic_works: Option<Result<(), SoundError>>,
    handset_works: Option<Result<(), HookFault>>,
    last_key: Option<(Mono, String)>,
}

impl Drop for Own {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.wake.call();
    }
}

/// What is to be shown of a part that does not work, or of which nothing is known yet.
fn trouble<E: Display>(works: Option<&Result<(), E>>, unknown: &str) -> Option<String> {
    match works {
        Some(Ok(())) => None,
        Some(Err(why)) => Some(why.to_string()),
        None => Some(unknown.to_owned()),
    }
}

impl Own {
    /// Claims the lines and opens the microphone, and looks for both while they are missing.
    pub(super) fn open(config: &Config) -> io::Result<Self> {
        let view = Arc::new(HandsetView::default());
        let stop = Arc::new(AtomicBool::new(false));
        let wake = Wake::new()?;
        let (commands, orders) = mpsc::sync_channel(1);
        let mut handset = config.handset.clone();
        // A hook whose resting level was taught rests at the other level. The live view must not teach: nothing can be
        // stored at a path whose folder does not exist.
        let taught = config.spool.dir.join("hook");
        let is_inverted = handset_taught::is_inverted(&taught, handset.hook.off_hook);
        if is_inverted.map_err(io::Error::other)? {
            handset.hook.off_hook = match handset.hook.off_hook {
                Level::Low => Level::High,
                Level::High => Level::Low,
            };
        }
        let taught = std::path::PathBuf::from("/dev/null/hook");
        let reports = match handset.backend {
            Backend::Sim => None,
            _ => {
                let (told, reports) = mpsc::sync_channel(MOST_REPORTS);
                let links = HandsetLinks {
                    commands: orders,
                    wake: wake.clone(),
                    view: view.clone(),
                    stop: stop.clone(),
                    alive: Beat::default(),
                    taught,
                };
                let watched = handset.clone();
                let watching = move || {
                    let opened = handset::open(&watched, None);
                    handset::watch(&watched, None, opened, &links, |report| {
                        let _ = told.try_send(report);
                    });
                };
                crew::contain("handset", watching)?;
                Some(reports)
            }
        };
        Ok(Self {
            handset,
            view,
            reports,
            stop,
            wake,
            _commands: commands,
            meter: Meter::start(&config.audio),
            mic_works: None,
            handset_works: None,
            last_key: None,
        })
    }

    /// One moment.
    pub(super) fn look(&mut self, now: Mono) -> Moment {
        for report in self.reports.iter().flat_map(mpsc::Receiver::try_iter) {
            match report {
                HandsetReport::Works(works) => self.handset_works = Some(works),
                HandsetReport::Event {
                    at,
                    event: HandsetEvent::Key(key, _),
                    ..
                } => self.last_key = Some((at, key_name(key))),
                _ => {}
            }
        }
        let mut troubles = Vec::new();
        let contacts = match &self.reports {
            None => {
                troubles.push("the handset is simulated: there are no lines to show".to_owned());
                Vec::new()
            }
            Some(_) => {
                let unread = "the contacts have not been read yet";
                troubles.extend(trouble(self.handset_works.as_ref(), unread));
                let is_inverted = self.view.is_inverted.load(Ordering::Relaxed);
                contacts(&self.handset, &self.view.contacts(), is_inverted)
            }
        };
        let microphone = match &self.meter {
            Err(why) => {
                troubles.push(why.to_string());
                None
            }
            Ok(meter) => {
                while let Some(works) = meter.wait(Duration::ZERO) {
                    self.mic_works = Some(works);
                }
                let unheard = "the microphone has not been heard yet";
                troubles.extend(trouble(self.mic_works.as_ref(), unheard));
                matches!(self.mic_works, Some(Ok(()))).then(|| meter.levels())
            }
        };
        Moment {
            head: vec![
                "No gateway runs: lines and microphone are the doctor's until it ends.".into(),
            ],
            faults: Vec::new(),
            contacts,
            last_key: self
                .last_key
                .as_ref()
                .map(|(at, key)| (key.clone(), now.0.saturating_sub(at.0))),
            microphone,
            troubles,
        }
    }
}
