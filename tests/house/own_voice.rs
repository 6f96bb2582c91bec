//! Campaigns' prompts are made as loud as the booth's own voice is.

use std::path::Path;

use booth_audio::{OWN_VOICE_LUFS, loudness};
use booth_gateway::adapters::prompts::Prompts;
use gateway_core::prompt::{Prompt, Word};

#[test]
fn the_own_voice_is_as_loud_as_campaigns_prompts_are_made() {
    for language in ["da", "en"] {
        let (prompts, _) = Prompts::load(Path::new("no/such/folder"), language, &[]);
        let mut all = Vec::new();
        for word in Word::ALL {
            let mut player = prompts.player(&Prompt::Word(*word));
            all.extend(std::iter::from_fn(|| player.next_piece()).flatten());
        }
        let found = loudness(&all).expect("it speaks");
        // Hardly anybody hears a difference of one LU.
        assert!(
            (found - OWN_VOICE_LUFS).abs() < 1.0,
            "{language}: {found} LUFS"
        );
    }
}
