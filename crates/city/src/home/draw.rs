//! The pages of an answer from home.
//!
//! Owns: the form, the second look, the receipt. Never does: decide. Every control has a label, the order of the page is the order of the
//! keyboard, and nothing needs a script: the script adds recording, and only shows what it can do.

use maud::{Markup, html};

use super::form::Form;
use super::notice::Notice;
use crate::City;
use crate::centre::{Campaign, Question};
use crate::web::{Citizen, citizens_page};
use booth_contract::Publish;

/// Most letters of a written answer.
pub(super) const MOST_LETTERS: usize = 5_000;

/// What a page is about.
pub(super) struct Scene {
    pub(super) citizen: Citizen,
    pub(super) campaign: Campaign,
    pub(super) question: Question,
    pub(super) notice: Notice,
    pub(super) areas: Vec<(String, String)>,
    pub(super) most_seconds: u64,
    pub(super) is_open: bool,
}

impl Scene {
    /// What tickets and recordings belong to.
    pub(super) fn about(&self) -> String {
        format!("{}/{}", self.campaign.id, self.question.id)
    }

    fn is_vote(&self) -> bool {
        !self.question.options.is_empty()
    }
}

/// What was filled in before.
#[derive(Default)]
pub(super) struct Filled {
    text: String,
    choice: String,
    code: String,
    area: String,
    has_consented: bool,
}

impl Filled {
    pub(super) fn of(form: &Form) -> Self {
        Self {
            text: form.get("text").to_owned(),
            choice: form.get("choice").to_owned(),
            code: form.get("code").to_owned(),
            area: form.get("area").to_owned(),
            has_consented: form.get("consent") == "yes",
        }
    }
}

/// What was said.
pub(super) enum Said {
    Text(String),
    Sound { name: String, seconds: u64 },
    Vote(u8),
}

/// What a citizen looks at before it is sent.
pub(super) struct Looked {
    pub(super) ticket: String,
    pub(super) said: Said,
    pub(super) area: String,
    /// The one-time code of a vote that needs one.
    pub(super) code: Option<String>,
}

struct Voice<'a> {
    city: &'a City,
    scene: &'a Scene,
}

impl Voice<'_> {
    fn say(&self, name: &str) -> String {
        let most = i64::try_from(self.scene.most_seconds).unwrap_or(i64::MAX);
        let gaps = [
            ("seconds", most.into()),
            ("letters", (MOST_LETTERS as i64).into()),
            ("contact", self.city.config.contact.clone().into()),
            (
                "megabytes",
                (self.scene.most_seconds / 10).cast_signed().into(),
            ),
        ];
        self.city
            .words
            .say_with(&self.scene.citizen.language, name, &gaps)
    }

    /// A text of the campaign: in the reader's language, else in the first one that there is.
    fn text(&self, texts: &std::collections::BTreeMap<String, String>, otherwise: &str) -> Markup {
        let language = &self.scene.citizen.language;
        let found = texts.get_key_value(language).or_else(|| {
            let mut asked = self.scene.campaign.languages.iter();
            asked.find_map(|language| texts.get_key_value(language))
        });
        match found.or_else(|| texts.first_key_value()) {
            Some((of, text)) if of == language => html! { (text) },
            Some((of, text)) => {
                html! { span lang=(of) dir=(self.city.words.say(of, "direction")) { (text) } }
            }
            None => html! { (otherwise) },
        }
    }

    fn question(&self) -> Markup {
        self.text(&self.scene.question.text, &self.scene.question.id)
    }

    fn page(&self, title: &str, body: &Markup) -> Markup {
        let citizen = &self.scene.citizen;
        let body = html! {
            link rel="stylesheet" href=(citizen.to("answer.css"));
            (body)
        };
        citizens_page(self.city, citizen, title, &body)
    }

    fn back(&self) -> String {
        let (campaign, question) = (&self.scene.campaign.id, &self.scene.question.id);
        let (campaign, question) = (segment(campaign), segment(question));
        self.scene
            .citizen
            .here(&format!("question/{campaign}/{question}"))
    }
}

use crate::pages::segment;

/// The form; `told` is the sentence that says why it is shown again.
pub(super) fn form(
    city: &City,
    scene: &Scene,
    ticket: &str,
    filled: &Filled,
    told: Option<&str>,
) -> Markup {
    let voice = Voice { city, scene };
    let say = |name: &str| voice.say(name);
    let title = say(if scene.is_vote() {
        "home-title-vote"
    } else {
        "home-title"
    });
    let prompt = scene.question.prompt.get(&scene.citizen.language);
    let prompt = prompt.or_else(|| scene.question.prompt.values().next());
    let body = html! {
        p class="crumbs" { a href=(voice.back()) { (say("home-back")) } }
        h1 { (voice.question()) }
        @if let Some(hash) = prompt {
            p { audio controls preload="none" src=(scene.citizen.to(&format!("prompt/{hash}.opus"))) aria-label=(say("home-hear-question")) {} }
        }
        @if let Some(told) = told {
            div class="told bad" role="alert" tabindex="-1" id="told" { p { (say(told)) } }
        }
        @if !scene.is_open {
            p class="told bad" { (say("home-closed")) }
        } @else {
            section class="notice" aria-labelledby="notice" {
                h2 id="notice" { (say("home-notice-title")) }
                @for paragraph in &scene.notice.paragraphs { p { (paragraph) } }
            }
            form id="answer" method="post" action=(segment(&scene.question.id)) enctype="multipart/form-data"
                data-ticket=(ticket) data-bits=(city.config.home.work_bits) data-seconds=(scene.most_seconds)
                data-wait=(say("home-js-wait")) {
                input type="hidden" name="ticket" value=(ticket);
                input type="hidden" name="work" value="";
                div class="trap" aria-hidden="true" {
                    label for="website" { "Website" }
                    input id="website" name="website" tabindex="-1" autocomplete="off";
                }
                div class="tick" {
                    input type="checkbox" id="consent" name="consent" value="yes" required checked[filled.has_consented];
                    label for="consent" { (say("home-consent")) }
                }
                @if scene.is_vote() {
                    (options(&voice, filled))
                    @if scene.question.needs_code { (code_field(&voice, filled)) }
                } @else {
                    (words(&voice, filled))
                }
                @if !scene.areas.is_empty() {
                    label for="area" { (say("home-area")) }
                    select id="area" name="area" aria-describedby="area-how" {
                        option value="" { (say("home-area-none")) }
                        @for (id, name) in &scene.areas { option value=(id) selected[*id == filled.area] { (name) } }
                    }
                    p id="area-how" class="soft" { (say("home-area-how")) }
                }
                p { button name="do" value="look" { (say("home-look")) } }
                p class="soft" { (say("home-look-how")) }
                p class="soft" id="state" role="status" {}
            }
            script src=(scene.citizen.to("answer.js")) defer {}
        }
    };
    voice.page(&title, &body)
}

fn options(voice: &Voice<'_>, filled: &Filled) -> Markup {
    html! {
        fieldset class="options" {
            legend { (voice.say("home-choose")) }
            @for option in &voice.scene.question.options {
                @let id = format!("option-{}", option.digit);
                @let digit = option.digit.to_string();
                div class="tick" {
                    input type="radio" id=(id) name="choice" value=(digit) required checked[digit == filled.choice];
                    label for=(id) { (voice.text(&option.text, &option.id)) }
                }
            }
        }
    }
}

/// A number that nobody's browser should keep, and that people type from paper in groups.
fn code_field(voice: &Voice<'_>, filled: &Filled) -> Markup {
    html! {
        label for="code" { (voice.say("home-code")) }
        input id="code" name="code" value=(filled.code) required inputmode="numeric" maxlength="20" autocomplete="off" spellcheck="false"
            dir="ltr" aria-describedby="code-how";
        p id="code-how" class="soft" { (voice.say("home-code-how")) }
    }
}

fn words(voice: &Voice<'_>, filled: &Filled) -> Markup {
    let say = |name: &str| voice.say(name);
    html! {
        label for="text" { (say("home-write")) }
        textarea id="text" name="text" rows="6" maxlength=(MOST_LETTERS) dir="auto" aria-describedby="text-how" { (filled.text) }
        p id="text-how" class="soft" { (say("home-write-how")) }
        fieldset class="speak" {
            legend { (say("home-speak")) }
            div id="recorder" hidden
                data-recording=(say("home-js-recording")) data-recorded=(say("home-js-recorded")) data-denied=(say("home-js-denied"))
                data-none=(say("home-js-none")) data-again=(say("home-js-again")) data-limit=(say("home-js-limit")) data-deleted=(say("home-js-deleted")) {
                p { (say("home-speak-how")) }
                p class="buttons" {
                    button type="button" id="record" { (say("home-js-record")) }
                    button type="button" id="stop" disabled { (say("home-js-stop")) }
                    button type="button" id="delete" class="quiet" disabled { (say("home-js-delete")) }
                }
                p id="clock" class="clock" aria-hidden="true" { "0:00" }
                p { audio id="own" controls hidden aria-label=(say("home-own")) {} }
            }
            label for="sound" { (say("home-file")) }
            input type="file" id="sound" name="sound" accept="audio/*,video/webm,video/mp4,.ogg,.opus,.webm,.m4a,.mp3,.wav" aria-describedby="file-how";
            p id="file-how" class="soft" { (say("home-file-how")) }
        }
    }
}

/// The second look: to hear or read it, to say it anew, to throw it away, and what may be published.
pub(super) fn review(city: &City, scene: &Scene, looked: &Looked, told: Option<&str>) -> Markup {
    let voice = Voice { city, scene };
    let say = |name: &str| voice.say(name);
    let action = segment(&scene.question.id);
    let (is_sound, is_vote) = match looked.said {
        Said::Sound { .. } => (true, false),
        Said::Vote(_) => (false, true),
        Said::Text(_) => (false, false),
    };
    let asks_text = !is_vote && scene.question.may_publish != Publish::No;
    let asks_voice = is_sound && scene.question.may_publish == Publish::Voice;
    let body = html! {
        h1 { (say("home-review")) }
        @if let Some(told) = told {
            div class="told bad" role="alert" { p { (say(told)) } }
        }
        p class="text" { (voice.question()) }
        @match &looked.said {
            Said::Text(text) => { blockquote class="own" dir="auto" { (text) } }
            Said::Vote(digit) => {
                @for option in scene.question.options.iter().filter(|option| option.digit == *digit) {
                    blockquote class="own" { (voice.text(&option.text, &option.id)) }
                }
            }
            Said::Sound { name, seconds } => {
                p { audio controls preload="auto" src=(format!("{action}/draft/{name}")) aria-label=(say("home-own")) {} }
                @if *seconds > 0 {
                    p class="soft" { (city.words.say_with(&scene.citizen.language, "home-length", &[("n", seconds.cast_signed().into())])) }
                }
            }
        }
        p class="text" { (say("home-review-how")) }
        form method="post" action=(action) enctype="multipart/form-data" id="review" {
            input type="hidden" name="ticket" value=(looked.ticket);
            input type="hidden" name="notice" value=(scene.notice.id);
            input type="hidden" name="consent" value="yes";
            input type="hidden" name="area" value=(looked.area);
            @if let Some(code) = &looked.code { input type="hidden" name="code" value=(code); }
            @match &looked.said {
                // A text area keeps line ends that a hidden input loses.
                Said::Text(text) => { textarea name="text" hidden { "\n" (text) } }
                Said::Vote(digit) => { input type="hidden" name="choice" value=(digit); }
                Said::Sound { name, .. } => { input type="hidden" name="draft" value=(name); }
            }
            @if asks_text || asks_voice {
                fieldset {
                    legend { (say("home-publish")) }
                    p class="soft" { (say("home-publish-how")) }
                    @if asks_text {
                        div class="tick" {
                            input type="checkbox" id="publish_text" name="publish_text" value="yes";
                            label for="publish_text" { (say(if is_sound { "home-publish-spoken-text" } else { "home-publish-text" })) }
                        }
                    }
                    @if asks_voice {
                        div class="tick" {
                            input type="checkbox" id="publish_voice" name="publish_voice" value="yes";
                            label for="publish_voice" { (say("home-publish-voice")) }
                        }
                    }
                }
            }
            p class="buttons" {
                button name="do" value="send" { (say("home-send")) }
                button name="do" value="change" class="quiet" { (say(if is_sound { "home-again" } else { "home-change" })) }
                button name="do" value="discard" class="quiet" { (say("home-discard")) }
            }
        }
    };
    voice.page(&say("home-review"), &body)
}

/// It is kept: the receipt, once.
pub(super) fn receipt(city: &City, scene: &Scene, receipt: Option<&str>) -> Markup {
    let voice = Voice { city, scene };
    let say = |name: &str| voice.say(name);
    let body = html! {
        h1 { (say("home-thanks")) }
        p class="text" { (say(if scene.is_vote() { "home-thanks-vote" } else { "home-thanks-what" })) }
        @if let Some(receipt) = receipt {
            section class="receipt" aria-labelledby="receipt-title" {
                h2 id="receipt-title" { (say("home-receipt")) }
                p class="number" id="receipt" dir="ltr" data-receipt=(receipt) {
                    @for four in four_by_four(receipt) { span { (four) } " " }
                }
                p { (say("home-receipt-how")) }
                p class="buttons" id="receipt-do" hidden {
                    button type="button" id="copy" data-done=(say("home-copied")) { (say("home-copy")) }
                    button type="button" id="print" class="quiet" { (say("home-print")) }
                }
                p role="status" id="state" {}
            }
            p { a href=(scene.citizen.here("withdraw")) { (say("withdraw-title")) } }
        } @else {
            p class="told bad" { (say("home-no-receipt")) }
        }
        p { a href=(voice.back()) { (say("home-back")) } }
        script src=(scene.citizen.to("answer.js")) defer {}
    };
    voice.page(&say("home-thanks"), &body)
}

fn four_by_four(receipt: &str) -> Vec<&str> {
    (0..receipt.len())
        .step_by(4)
        .filter_map(|at| receipt.get(at..(at + 4).min(receipt.len())))
        .collect()
}

/// It is thrown away.
pub(super) fn discarded(city: &City, scene: &Scene) -> Markup {
    let voice = Voice { city, scene };
    let body = html! {
        h1 { (voice.say("home-discarded")) }
        p class="text" { (voice.say("home-discarded-what")) }
        p { a class="button" href=(segment(&scene.question.id)) { (voice.say("home-anew")) } }
        p { a href=(voice.back()) { (voice.say("home-back")) } }
    };
    voice.page(&voice.say("home-discarded"), &body)
}
