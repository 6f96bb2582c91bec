//! How it works, and what rights a citizen has.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use booth_host::clock;
use maud::{Markup, html};

use booth_contract::time::rfc3339;

use super::drawn;
use super::picture::Picture;
use super::voice::{Voice, segment};
use crate::City;
use crate::web::{Citizen, Fault, citizens_page};

/// `/{lang}/about`
pub(super) async fn page(
    State(city): State<Arc<City>>,
    citizen: Citizen,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    drawn(&city, citizen, &headers, draw).await
}

fn draw(city: &City, picture: &Picture, citizen: &Citizen) -> Result<Markup, Fault> {
    let voice = Voice::new(city, citizen);
    let partners = partners(city)?;
    let notices: Vec<_> = picture
        .campaigns
        .iter()
        .filter(|one| !one.asked.notice.is_empty())
        .collect();
    let steps = [
        "about-step-1",
        "about-step-2",
        "about-step-3",
        "about-step-4",
        "about-step-5",
    ];
    let rights = [
        "about-right-know",
        "about-right-withdraw",
        "about-right-without",
        "about-right-children",
        "about-right-complain",
    ];
    let body = html! {
        h1 { (voice.say("nav-about")) }
        p class="lead" { (voice.with("about-lead", &[("city", &city.config.name)])) }
        h2 { (voice.say("about-how")) }
        ol class="text" { @for step in steps { li { (voice.say(step)) } } }
        h2 { (voice.say("about-rights")) }
        ul class="text" { @for right in rights { li { (voice.say(right)) } } }
        p { a class="button quiet" href=(voice.here("withdraw")) { (voice.say("message-withdraw")) } }
        h2 { (voice.say("about-listen")) }
        p class="text" { (voice.with("about-listen-what", &[("city", &city.config.name)])) }
        @if !partners.is_empty() {
            p { (voice.say("about-partners")) }
            ul { @for (name, campaign, until) in &partners {
                li {
                    bdi { (name) } ": "
                    @match picture.campaign(campaign) {
                        Some(one) => { a href=(voice.here(&format!("campaign/{}", segment(campaign)))) { (voice.said(&one.title)) @if one.title.is_empty() { (campaign) } } },
                        None => { (campaign) },
                    }
                    ", " (voice.with("until-day", &[("day", &voice.day(until))]))
                }
            } }
        }
        (retention(&voice, city))
        h2 { (voice.say("about-numbers")) }
        ul class="text" {
            @for line in ["about-numbers-five", "about-numbers-booth-day", "about-numbers-sources", "about-numbers-votes", "about-numbers-machine"] { li { (voice.say(line)) } }
        }
        @if !notices.is_empty() {
            h2 { (voice.say("about-notice")) }
            @for one in notices { h3 { (voice.said(&one.title)) } blockquote class="reply" { (voice.said(&one.asked.notice)) } }
        }
        h2 { (voice.say("about-licence")) }
        p class="text" { (voice.with("foot-licence", &[("licence", &city.config.licence)])) " " a href=(voice.here("data")) { (voice.say("nav-data")) } }
        @if !city.config.contact.is_empty() {
            h2 { (voice.say("about-contact")) }
            p { bdi { (city.config.contact) } }
        }
    };
    Ok(citizens_page(city, citizen, &voice.say("nav-about"), &body))
}

/// Partners that may listen at this moment: name, campaign, until when.
fn partners(city: &City) -> Result<Vec<(String, String, String)>, Fault> {
    let now = rfc3339(clock::wall());
    let partners = city.store.read(|db| {
        db.prepare_cached(
            "SELECT shown_name, campaign_id, until, rights FROM account_campaign JOIN account ON account.id = account
             WHERE until > ?1 AND closed_at IS NULL ORDER BY shown_name, campaign_id",
        )?
        .query_map([&now], |row| {
            let rights: String = row.get(3)?;
            let line = (row.get(0)?, row.get(1)?, super::known::day_of(city, &row.get::<_, String>(2)?));
            Ok(rights.contains("listen").then_some(line))
        })?
        .collect::<booth_database::Result<Vec<_>>>()
    })?;
    Ok(partners.into_iter().flatten().collect())
}

/// How long what is kept.
fn retention(voice: &Voice<'_>, city: &City) -> Markup {
    let retention = &city.config.retention;
    let rows = [
        ("kept-waiting", retention.waiting_days),
        ("kept-rejected", retention.rejected_days),
        ("kept-heard", retention.heard_days),
        ("kept-published", retention.published_days_after_campaign),
    ];
    html! {
        h2 { (voice.say("about-kept")) }
        p class="text" { (voice.say("about-kept-what")) }
        ul class="text" { @for (name, days) in rows { li { (voice.whole(name, days.into())) } } }
    }
}
