//! An Atom feed (RFC 4287) of a campaign's published messages.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::picture::Picture;
use super::shown::{self, Wanted};
use super::voice::{Voice, segment, start_of, whole_address};
use crate::City;
use crate::web::{Citizen, Fault, liked};

const MOST: usize = 50;

/// `/feed/{campaign}.atom`, in the language that the reader likes.
pub(super) async fn feed(
    State(city): State<Arc<City>>,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let id = file
        .strip_suffix(".atom")
        .ok_or_else(Fault::not_here)?
        .to_owned();
    let picture = city.picture().await?;
    let citizen = Citizen {
        language: liked(&city, &headers),
        depth: 1,
        rest: String::new(),
    };
    let made = city
        .aside(move |city| Ok(atom(city, &picture, &citizen, &id)))
        .await??;
    let headers = [
        (header::CONTENT_TYPE, "application/atom+xml; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, "accept-language"),
    ];
    Ok((headers, made).into_response())
}

fn atom(city: &City, picture: &Picture, citizen: &Citizen, id: &str) -> Result<Vec<u8>, Fault> {
    let voice = Voice::new(city, citizen);
    let one = picture.campaign(id).ok_or_else(Fault::not_here)?;
    let wanted = Wanted {
        campaign: Some(id),
        ..Wanted::default()
    };
    let messages = city
        .store
        .read(|db| shown::list(city, db, picture, &wanted, MOST))?;
    let mut xml = Xml(Writer::new(Vec::new()));
    let page = voice.whole_address(&format!("campaign/{}", segment(id)));
    let own = whole_address(city, &format!("feed/{}.atom", segment(id)));
    let newest = messages.iter().map(|message| &message.updated_at).max();
    let written = (|| {
        xml.0
            .write_event(Event::Decl(BytesDecl::new("1.0", Some("utf-8"), None)))?;
        xml.open(
            "feed",
            &[
                ("xmlns", "http://www.w3.org/2005/Atom"),
                ("xml:lang", voice.language()),
            ],
        )?;
        xml.text("id", &own)?;
        xml.text("title", voice.text(&one.title, id))?;
        xml.text(
            "updated",
            newest.map_or("1970-01-01T00:00:00Z", String::as_str),
        )?;
        xml.empty("link", &[("rel", "self"), ("href", &own)])?;
        xml.empty(
            "link",
            &[("rel", "alternate"), ("type", "text/html"), ("href", &page)],
        )?;
        xml.open("author", &[])?;
        xml.text("name", &city.config.name)?;
        xml.close("author")?;
        xml.text("rights", &city.config.licence)?;
        for message in &messages {
            let address = voice.whole_address(&format!("message/{}", segment(&message.id)));
            xml.open("entry", &[])?;
            xml.text("id", &format!("urn:uuid:{}", message.id))?;
            xml.text("title", &start_of(&message.transcript))?;
            xml.text("published", &message.published_at)?;
            xml.text("updated", &message.updated_at)?;
            xml.empty(
                "link",
                &[
                    ("rel", "alternate"),
                    ("type", "text/html"),
                    ("href", &address),
                ],
            )?;
            for theme in message
                .themes
                .iter()
                .filter_map(|id| picture.themes.get(id))
            {
                xml.empty("category", &[("term", voice.text(&theme.name, "?"))])?;
            }
            let lang = message
                .transcript_lang
                .as_deref()
                .unwrap_or(voice.language());
            xml.open("content", &[("type", "text"), ("xml:lang", lang)])?;
            xml.words(&message.transcript)?;
            xml.close("content")?;
            xml.close("entry")?;
        }
        xml.close("feed")
    })();
    written.map_err(|error: std::io::Error| {
        log::error!(fault = "city"; "a feed: {error}");
        Fault::not_here()
    })?;
    Ok(xml.0.into_inner())
}

struct Xml(Writer<Vec<u8>>);

impl Xml {
    fn start<'a>(name: &'a str, attributes: &[(&'a str, &'a str)]) -> BytesStart<'a> {
        let mut start = BytesStart::new(name);
        for attribute in attributes {
            start.push_attribute(*attribute);
        }
        start
    }

    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) -> std::io::Result<()> {
        self.0
            .write_event(Event::Start(Self::start(name, attributes)))
    }

    fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) -> std::io::Result<()> {
        self.0
            .write_event(Event::Empty(Self::start(name, attributes)))
    }

    fn close(&mut self, name: &str) -> std::io::Result<()> {
        self.0.write_event(Event::End(BytesEnd::new(name)))
    }

    /// Text, without what XML cannot say (XML 1.0 §2.2).
    fn words(&mut self, text: &str) -> std::io::Result<()> {
        let allowed = |letter: &char| {
            matches!(letter, '\t' | '\n' | '\r')
                || (!letter.is_control() && !matches!(letter, '\u{fffe}' | '\u{ffff}'))
        };
        let text: String = text.chars().filter(allowed).collect();
        self.0.write_event(Event::Text(BytesText::new(&text)))
    }

    fn text(&mut self, name: &str, text: &str) -> std::io::Result<()> {
        self.open(name, &[])?;
        self.words(text)?;
        self.close(name)
    }
}
