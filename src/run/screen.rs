//! What the booth's screen shows.
//!
//! Owns: when it is shown something else, and what is being said. Never does: wait for the screen, or cost anything in a booth
//! without one.

use std::sync::Arc;

use super::Gateway;
use crate::adapters::prompts::Prompts;
use crate::adapters::prompts::centre::Centre;
use crate::adapters::screen::{Keys, Screen, Show, kept, lacking};
use crate::config::{Backend, Handset};
use gateway_core::prompt::Prompt;
use gateway_core::session::Scene;

/// The screen, and what it shows now.
pub(super) struct Desk {
    screen: Screen,
    /// What is being said, or was said last in this visit.
    said: Vec<Prompt>,
    /// It was said since the screen was shown something.
    is_news: bool,
    shown: Option<(Scene, bool, Texts)>,
}

/// Where the words of prompts come from.
type Texts = (Arc<Prompts>, Arc<Centre>);

impl Gateway {
    /// Serves the screen's page, where the configuration says that there is a screen. A booth works without it, too.
    pub(super) fn open_screen(&mut self) {
        let Ok(Some(listen)) = self.config.screen.address() else {
            return;
        };
        let keys = keys_of(&self.config.handset);
        match Screen::start(
            listen,
            self.config.screen_note(),
            self.mic_levels.clone(),
            keys,
        ) {
            Ok(screen) => {
                if let Some(lacking) = lacking(&self.prompts.without_text()) {
                    log::warn!("{lacking}");
                }
                self.screen = Some(Desk {
                    screen,
                    said: Vec::new(),
                    is_news: false,
                    shown: None,
                });
            }
            Err(error) => log::warn!("the booth is without its screen: {error}"),
        }
    }

    /// Notes what is said from now on.
    pub(super) fn say_on_screen(&mut self, prompts: &[Prompt]) {
        if let Some(desk) = &mut self.screen {
            desk.said = kept(prompts);
            desk.is_news = true;
        }
    }

    /// Shows what there is to be seen, if it is another thing than before.
    pub(super) fn show(&mut self) {
        let Some(desk) = &mut self.screen else {
            return;
        };
        let session = self.booth.session();
        let (scene, is_ready) = (session.scene(), self.booth.is_ready());
        // Nothing of a visit outlives it.
        if !session.is_off_hook() {
            desk.said = Vec::new();
        }
        let (prompts, centre) = (&self.prompts, &self.centre.prompts);
        let is_same = |(shown, was_ready, texts): &(Scene, bool, Texts)| {
            let same_texts = Arc::ptr_eq(&texts.0, prompts) && Arc::ptr_eq(&texts.1, centre);
            *shown == scene && *was_ready == is_ready && same_texts
        };
        if !desk.is_news && desk.shown.as_ref().is_some_and(is_same) {
            return;
        }
        desk.is_news = false;
        desk.shown = Some((scene.clone(), is_ready, (prompts.clone(), centre.clone())));
        desk.screen.show(Show {
            scene,
            said: desk.said.clone(),
            prompts: prompts.clone(),
            centre: centre.clone(),
            is_ready,
        });
    }
}

/// What a citizen of this booth presses.
fn keys_of(handset: &Handset) -> Keys {
    if handset.backend == Backend::Sim || handset.has_keypad() {
        Keys::Pad
    } else if handset.dial_pulse.is_some() {
        Keys::Dial
    } else if handset.hook_flash {
        Keys::Hook
    } else {
        Keys::None
    }
}
