//! A campaign on paper, for a workshop: each question with its code to answer from a telephone, what others said, and room to write.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, PreEscaped, html};
use qrcodegen::{QrCode, QrCodeEcc};

use super::charts::{Scope, figure};
use super::drawn;
use super::picture::Picture;
use super::shown::{self, Wanted};
use super::voice::{Voice, segment};
use crate::City;
use crate::web::{Citizen, Extra, Fault, citizens_page_with, site_name};

const QUOTATIONS: usize = 3;
const LINES: usize = 5;

/// `/{lang}/print/{campaign}`
pub(super) async fn page(
    State(city): State<Arc<City>>,
    citizen: Citizen,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    drawn(&city, citizen, &headers, move |city, picture, citizen| {
        draw(city, picture, citizen, &id)
    })
    .await
}

fn draw(city: &City, picture: &Picture, citizen: &Citizen, id: &str) -> Result<Markup, Fault> {
    let voice = Voice::new(city, citizen);
    let one = picture.campaign(id).ok_or_else(Fault::not_here)?;
    let title = voice.text(&one.title, id).to_owned();
    let sections: Vec<Markup> = one
        .asked
        .questions
        .iter()
        .map(|question| {
            let wanted = Wanted {
                campaign: Some(id),
                question: Some(&question.id),
                ..Wanted::default()
            };
            let messages = city.store.read(|db| shown::list(city, db, picture, &wanted, QUOTATIONS))?;
            let address = voice.whole_address(&format!("question/{}/{}", segment(id), segment(&question.id)));
            let scope = Scope::Question(id.to_owned(), question.id.clone());
            Ok(html! {
                section class="question" {
                    h2 { (voice.said(&question.text)) @if question.text.is_empty() { (question.id) } }
                    div class="pair" {
                        div {
                            (code(&voice, &address))
                            p { (voice.say("print-scan")) br; bdi { (address) } }
                        }
                        div {
                            @if question.options.is_empty() {
                                @for message in &messages { blockquote class="reply" lang=[message.transcript_lang.clone()] dir="auto" { (message.transcript) } }
                                (figure("themes", &scope, picture, &voice, false))
                            } @else {
                                ul class="plain" { @for option in &question.options { li { "☐ " (voice.said(&option.text)) @if option.text.is_empty() { (option.id) } } } }
                            }
                        }
                    }
                    @if question.options.is_empty() {
                        p { (voice.say("print-write")) }
                        ul class="lines" aria-hidden="true" { @for _ in 0..LINES { li {} } }
                    }
                }
            })
        })
        .collect::<Result<_, Fault>>()?;
    let body = html! {
        p class="noprint" { a href=(voice.here(&format!("campaign/{}", segment(id)))) { (voice.say("print-back")) } }
        p class="meta" { (site_name(city, voice.language())) }
        h1 { (voice.said(&one.title)) @if one.title.is_empty() { (id) } }
        @if !one.summary.is_empty() { p class="lead" { (voice.said(&one.summary)) } }
        @for section in &sections { (section) }
    };
    let extra = Extra {
        feed: None,
        bare: Some("sheet"),
    };
    Ok(citizens_page_with(city, citizen, &title, &body, &extra))
}

/// An address as a code for a telephone's camera. An address too long for any code has none; it stands below in letters.
pub(super) fn code(voice: &Voice<'_>, address: &str) -> Markup {
    let Ok(code) = QrCode::encode_text(address, QrCodeEcc::Medium) else {
        return html! {};
    };
    let size = code.size();
    let mut d = String::new();
    for y in 0..size {
        for x in 0..size {
            if code.get_module(x, y) {
                d.push_str(&format!("M{x} {y}h1v1h-1z"));
            }
        }
    }
    let view = format!("-4 -4 {} {}", size + 8, size + 8);
    html! {
        div class="qr" {
            svg viewBox=(view) role="img" aria-label=(voice.say("print-code")) shape-rendering="crispEdges" {
                (PreEscaped(format!("<path fill=\"#fff\" d=\"M-4 -4h{0}v{0}h-{0}z\"/><path fill=\"#000\" d=\"{d}\"/>", size + 8)))
            }
        }
    }
}
