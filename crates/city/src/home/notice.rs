//! What a citizen reads before an answer is taken: who asks, who listens, how long it is kept, how it is taken back.
//!
//! Owns: the text of the notice, and the name of that very text. Never does: shorten it: what is shown is what the name stands for.

use booth_contract::hex;
use sha2::{Digest, Sha256};

use crate::City;
use crate::centre::Campaign;
use crate::store::CityError;

/// The notice of a campaign in a language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    /// Its paragraphs.
    pub(super) paragraphs: Vec<String>,
    /// The first 16 hex digits of its SHA-256 (contract §3.3, `notice_id`).
    pub(super) id: String,
}

/// The notice as it stands now.
pub(super) fn of(city: &City, campaign: &Campaign, language: &str) -> Result<Notice, CityError> {
    let listeners = listeners(city, &campaign.id)?;
    let name = city.config.name.clone();
    let say = |text: &str| {
        let gaps = [
            ("city", name.clone().into()),
            ("contact", city.config.contact.clone().into()),
            ("kept", city.config.home.kept.clone().into()),
            ("listeners", listeners.join(", ").into()),
        ];
        city.words.say_with(language, text, &gaps)
    };
    let own = campaign.notice.get(language).cloned();
    let mut paragraphs = vec![own.unwrap_or_else(|| say("home-notice-what"))];
    paragraphs.push(match listeners.is_empty() {
        true => say("home-notice-who"),
        false => say("home-notice-who-partners"),
    });
    paragraphs.push(match city.config.home.kept.is_empty() {
        true => say("home-notice-kept-ask"),
        false => say("home-notice-kept"),
    });
    paragraphs.push(say("home-notice-back"));
    paragraphs.push(say("home-notice-no-trace"));
    if !city.config.contact.is_empty() {
        paragraphs.push(say("home-notice-contact"));
    }
    let id = hex(&Sha256::digest(paragraphs.join("\n")))
        .chars()
        .take(16)
        .collect();
    Ok(Notice { paragraphs, id })
}

/// Partners who may listen to this campaign's messages today.
fn listeners(city: &City, campaign: &str) -> Result<Vec<String>, CityError> {
    let today = city.day_of(booth_host::clock::wall());
    city.store.read(|db| {
        db.prepare_cached(
            "SELECT DISTINCT account.shown_name FROM account_campaign JOIN account ON account.id = account_campaign.account
             WHERE campaign_id = ?1 AND until >= ?2 AND closed_at IS NULL ORDER BY 1",
        )?
        .query_map([campaign, &today], |row| row.get(0))?
        .collect()
    })
}
