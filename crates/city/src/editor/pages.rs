//! The editor's pages: the campaigns, the form of one, its file, and how far its publication is.
//!
//! Owns: what an editor sees and sends. Every page is complete without scripts. Never does: change a campaign by itself; `drafts` and
//! `publish` do, and refuse what somebody else has changed meanwhile.
//!
//! Longer than 500 lines: one form with every key of a campaign's file.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Multipart, Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use booth_contract::MediaHash;
use jiff::Timestamp;
use maud::{Markup, PreEscaped, html};

use super::drafts::{self, Work};
use super::fields::Fields;
use super::jobs::{self, Job, Stage};
use super::sheet::{Sheet, Turn, fields_by_line};
use super::{preview_page, public, publish};
use crate::City;
use crate::centre::{Checked, Remark, Saying};
use crate::people::{Person, Right};
use crate::sentence;
use crate::store::CityError;
use crate::web::{Fault, get, post, sound, staff_page, token_field};
use crate::words::Sentence;

/// Largest form with recordings, bytes.
const LONGEST: usize = 64_000_000;
/// The prompts of a booth that an editor may word anew, beside the questions (docs/configuration.md).
const PROMPTS: [&str; 8] = [
    "notice",
    "thanks",
    "goodbye",
    "menu",
    "ask_text",
    "ask_voice",
    "offer_language",
    "no_question",
];

pub(crate) fn routes() -> Router<Arc<City>> {
    Router::new()
        .route("/editor", get(all).merge(post(new)))
        .route("/editor/{id}", get(form).merge(post(save)))
        .route("/editor/{id}/file", get(file).merge(post(save_file)))
        .route("/editor/{id}/publish", post(publish_now))
        .route("/editor/{id}/prompts", post(make_prompts))
        .route("/editor/{id}/progress", get(progress))
        .route("/editor/{id}/to-sign", get(to_sign))
        .route("/editor/{id}/drop", post(drop_draft))
        .route("/editor/prompt/{hash}", get(prompt))
        .layer(DefaultBodyLimit::max(LONGEST))
        .merge(public::routes())
        .merge(preview_page::routes())
}

/// The words of a page in the language of whoever reads.
pub(super) struct Say<'a>(pub(super) &'a City, pub(super) &'a Person);

impl Say<'_> {
    pub(super) fn say(&self, name: &str) -> String {
        self.0.words.say(&self.1.here.language, name)
    }

    pub(super) fn tell(&self, sentence: &Sentence) -> String {
        self.0.words.tell(&self.1.here.language, sentence)
    }

    pub(super) fn with(&self, name: &str, gap: &str, text: &str) -> String {
        let gaps = [(gap, text.to_owned().into())];
        self.0.words.say_with(&self.1.here.language, name, &gaps)
    }
}

pub(super) fn page(city: &City, person: &Person, title: &str, body: &Markup) -> Response {
    Html(staff_page(city, person, title, body).into_string()).into_response()
}

pub(super) fn see(address: &str) -> Response {
    Redirect::to(address).into_response()
}

/// An id as it stands in an address; what is none is no page.
pub(super) fn id_of(id: &str) -> Result<String, Fault> {
    let is_one = (1..=60).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && !id.starts_with('.');
    match is_one {
        true => Ok(id.to_owned()),
        false => Err(Fault::not_here()),
    }
}

async fn all(State(city): State<Arc<City>>, person: Person) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let (published, drafts) = city
        .aside(|city| Ok((city.centre.campaigns()?, city.store.read(drafts::all)?)))
        .await?;
    let words = Say(&city, &person);
    let mut rows: BTreeMap<String, (String, bool, bool)> = BTreeMap::new();
    for campaign in published {
        rows.insert(campaign.id.clone(), (campaign.title, true, false));
    }
    for id in drafts {
        rows.entry(id).or_default().2 = true;
    }
    let body = html! {
        h1 { (words.say("editor-title")) }
        p { (words.say("editor-intro")) }
        @if rows.is_empty() { p.note { (words.say("editor-none")) } }
        @else {
            div.wide { table {
                thead { tr {
                    th scope="col" { (words.say("editor-campaign")) } th scope="col" { (words.say("editor-state")) }
                    th scope="col" { (words.say("editor-do")) }
                } }
                tbody { @for (id, (title, is_published, is_draft)) in &rows {
                    tr {
                        td { a href=(person.here.to(&format!("editor/{id}"))) { @if title.is_empty() { (id) } @else { (title) } } br; code { (id) } }
                        td {
                            @if *is_published { (words.say("editor-published")) }
                            @if *is_draft { @if *is_published { br; } strong { (words.say("editor-has-draft")) } }
                        }
                        td {
                            a href=(person.here.to(&format!("editor/{id}/public"))) { (words.say("editor-public")) } br;
                            a href=(person.here.to(&format!("editor/{id}/preview"))) { (words.say("editor-preview")) }
                        }
                    }
                } }
            } }
        }
        h2 { (words.say("editor-new")) }
        form method="post" action=(person.here.to("editor")) {
            (token_field(&person))
            label for="id" { (words.say("editor-new-id")) }
            p.soft id="id-hint" { (words.say("editor-new-id-hint")) }
            input type="text" name="id" id="id" required maxlength="60" pattern="[a-z0-9][a-z0-9\\-]*" aria-describedby="id-hint";
            label for="title" { (words.say("editor-field-title")) }
            input type="text" name="title" id="title" required maxlength="200";
            label for="language" { (words.say("editor-field-language")) }
            select name="language" id="language" { @for language in &city.config.offers { option { (language) } } }
            div.actions { button.main { (words.say("editor-make")) } }
        }
    };
    Ok(page(&city, &person, &words.say("editor-title"), &body))
}

async fn new(
    State(city): State<Arc<City>>,
    person: Person,
    fields: Fields,
) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let id = id_of(fields.get("id"))?;
    let language = match city
        .config
        .offers
        .iter()
        .find(|own| *own == fields.get("language"))
    {
        Some(language) => language.clone(),
        None => city
            .config
            .offers
            .first()
            .cloned()
            .unwrap_or_else(|| "da".into()),
    };
    let title = fields.get("title").to_owned();
    let first = city.words.say(&language, "editor-first-question");
    let toml = Sheet::new(&id, &title, &language, &first).text();
    let (own, who) = (id.clone(), person.clone());
    city.aside(move |city| {
        if drafts::open(city, &own)?.is_some() {
            return Err(sentence!("editor-id-taken", id = format!("{own:?}")).into());
        }
        drafts::save(city, &who, &own, 0, &toml)
    })
    .await?;
    Ok(see(&person.here.to(&format!("editor/{id}"))))
}

/// A campaign with what the check says of it.
pub(super) struct Opened {
    pub(super) work: Work,
    pub(super) checked: Checked,
    job: Option<Job>,
}

pub(super) async fn opened(city: &Arc<City>, id: &str) -> Result<Opened, Fault> {
    let id = id_of(id)?;
    let found = city
        .aside(move |city| {
            let Some(work) = drafts::open(city, &id)? else {
                return Ok(None);
            };
            let checked = city.centre.check_campaign(&work.toml)?;
            let job = city.editing.jobs.of(&id);
            Ok(Some(Opened { work, checked, job }))
        })
        .await?;
    found.ok_or_else(Fault::not_here)
}

async fn form(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let opened = opened(&city, &id).await?;
    let words = Say(&city, &person);
    let body = match Sheet::read(&opened.work.toml) {
        Ok(sheet) => Drawn::new(&words, &opened, &sheet).whole(),
        // The form cannot show what is no TOML: the file can be mended as a text.
        Err(why) => html! {
            h1 { (id) }
            p.note.bad { (words.say("editor-no-toml")) }
            pre lang="en" { (why) }
            p { a href=(person.here.to(&format!("editor/{id}/file"))) { (words.say("editor-file")) } }
        },
    };
    Ok(page(&city, &person, &id, &body))
}

/// One campaign's form while it is drawn.
struct Drawn<'a> {
    words: &'a Say<'a>,
    opened: &'a Opened,
    sheet: &'a Sheet,
    /// The faults and remarks of each field.
    said: BTreeMap<String, Vec<(&'a Remark, bool)>>,
    /// Those that belong to no field of the form.
    others: Vec<(&'a Remark, bool)>,
    /// What is said by each pair of fields `….text.da` and `….sound.da`.
    sayings: BTreeMap<String, &'a Saying>,
    languages: Vec<String>,
}

/// `q.0.text.da` and `q.0.sound.da` are both `q.0|da`.
fn saying_key(field: &str) -> Option<String> {
    for kind in [".text.", ".sound."] {
        if let Some((above, language)) = field.rsplit_once(kind) {
            return Some(format!("{above}|{language}"));
        }
    }
    None
}

impl<'a> Drawn<'a> {
    fn new(words: &'a Say<'a>, opened: &'a Opened, sheet: &'a Sheet) -> Self {
        let by_line = fields_by_line(&opened.work.toml);
        let languages = sheet.languages();
        let mut drawn = Self {
            words,
            opened,
            sheet,
            said: BTreeMap::new(),
            others: Vec::new(),
            sayings: BTreeMap::new(),
            languages,
        };
        let checked = &opened.checked;
        let faults = checked.faults.iter().map(|fault| (fault, true));
        let remarks = checked.remarks.iter().map(|remark| (remark, false));
        for (remark, is_fault) in faults.chain(remarks) {
            // A key that is missing has the line of what it is missing from, or the first one; its last word may still be a field.
            let by_key = drawn.top_field(&remark.key);
            let by_line = remark.line.and_then(|line| by_line.get(&line)).cloned();
            match by_key.or(by_line) {
                Some(field) => drawn
                    .said
                    .entry(field)
                    .or_default()
                    .push((remark, is_fault)),
                None => drawn.others.push((remark, is_fault)),
            }
        }
        for saying in &checked.sayings {
            if let Some(key) = by_line
                .get(&saying.line)
                .and_then(|field| saying_key(field))
            {
                drawn.sayings.insert(key, saying);
            }
        }
        drawn
    }

    fn top_field(&self, key: &str) -> Option<String> {
        const TOP: [&str; 8] = [
            "id",
            "title",
            "from",
            "until",
            "booths",
            "language",
            "languages",
            "quiet",
        ];
        TOP.contains(&key).then(|| key.to_owned())
    }

    fn say(&self, name: &str) -> String {
        self.words.say(name)
    }

    fn to(&self, what: &str) -> String {
        let id = &self.opened.work.id;
        self.words.1.here.to(&format!("editor/{id}{what}"))
    }

    /// What the check says at a place of the form.
    fn faults_at(&self, field: &str) -> Markup {
        html! {
            @for (remark, is_fault) in self.said.get(field).into_iter().flatten() {
                p.bad[*is_fault].soft[!*is_fault] id=[is_fault.then(|| format!("fault-{field}"))] { (remark.key) " " (said_of(remark)) }
            }
        }
    }

    fn has_fault(&self, field: &str) -> bool {
        let said = self.said.get(field);
        said.is_some_and(|said| said.iter().any(|(_, is_fault)| *is_fault))
    }

    /// A line of the form.
    fn line(&self, field: &str, label: &str, hint: Option<&str>) -> Markup {
        let value = self.sheet.get(field);
        let hint_id = format!("hint-{field}");
        let described = match (hint.is_some(), self.has_fault(field)) {
            (true, true) => Some(format!("{hint_id} fault-{field}")),
            (true, false) => Some(hint_id.clone()),
            (false, true) => Some(format!("fault-{field}")),
            (false, false) => None,
        };
        html! {
            label for=(field) { (self.say(label)) }
            @if let Some(hint) = hint { p.soft id=(hint_id) { (self.say(hint)) } }
            input type="text" name=(field) id=(field) value=(value) aria-describedby=[described]
                aria-invalid=[self.has_fault(field).then_some("true")];
            (self.faults_at(field))
        }
    }

    fn choice(&self, field: &str, label: &str, choices: &[(&str, &str)]) -> Markup {
        let value = self.sheet.get(field);
        html! {
            label for=(field) { (self.say(label)) }
            select name=(field) id=(field) {
                @if !choices.iter().any(|(own, _)| *own == value) { option value=(value) selected { (value) } }
                @for (own, word) in choices { option value=(own) selected[*own == value] { (self.say(word)) } }
            }
            (self.faults_at(field))
        }
    }

    /// What is said of one thing, in each language: the text, the recording, and what the booth plays.
    fn sayings(&self, above: &str) -> Markup {
        html! {
            @for language in &self.languages {
                @let text = format!("{above}.text.{language}");
                @let sound = format!("{above}.sound.{language}");
                @let saying = self.sayings.get(&format!("{above}|{language}"));
                @let recording = self.sheet.get(&sound);
                label for=(text) { (self.words.with("editor-text-in", "language", language)) }
                textarea name=(text) id=(text) rows="2" lang=(language) dir="auto" maxlength="1000" { (PreEscaped("\n")) (self.sheet.get(&text)) }
                (self.faults_at(&text))
                div.actions {
                    span {
                        label for=(format!("file.{sound}")) { (self.say("editor-recording")) }
                        input type="file" name=(format!("file.{sound}")) id=(format!("file.{sound}")) accept="audio/*,.wav,.ogg,.opus,.mp3,.flac,.m4a,.aiff";
                    }
                    @if !recording.is_empty() {
                        input type="hidden" name=(sound) value=(recording);
                        label { input type="checkbox" name=(format!("drop.{sound}")) value="yes"; (self.say("editor-recording-drop")) }
                    }
                    @match saying.and_then(|saying| saying.made.as_ref()) {
                        Some((hash, ms)) => {
                            audio controls preload="none" src=(self.words.1.here.to(&format!("editor/prompt/{hash}.opus")))
                                title=(self.words.with("editor-hear", "seconds", &format!("{:.1}", *ms as f64 / 1_000.0))) {}
                        }
                        None if saying.is_some() => { span.soft { (self.say("editor-not-made")) } }
                        None => {}
                    }
                }
                (self.faults_at(&sound))
            }
        }
    }

    fn button(&self, turn: &str, label: &str) -> Markup {
        html! { button name="turn" value=(turn) { (self.say(label)) } }
    }

    fn question(&self, n: usize) -> Markup {
        let q = format!("q.{n}");
        let field = |key: &str| format!("{q}.{key}");
        let is_vote = self.sheet.get(&field("kind")) == "choose";
        let id = self.sheet.get(&field("id"));
        html! {
            fieldset id=(q) {
                legend { strong { (self.words.with("editor-question-n", "n", &(n + 1).to_string())) } " " code { (id) } }
                (self.faults_at(&q))
                (self.sayings(&q))
                (self.faults_at(&format!("{q}.text")))
                (self.line(&field("digit"), "editor-digit", Some("editor-digit-hint")))
                (self.line(&field("id"), "editor-question-id", Some("editor-question-id-hint")))
                (self.choice(&field("kind"), "editor-kind", &[("speak", "editor-speak"), ("choose", "editor-choose")]))
                @if is_vote {
                    (self.line(&field("min_pause_s"), "editor-min-pause", None))
                    (self.choice(&field("codes"), "editor-codes", &[("", "editor-codes-no"), ("true", "editor-codes-yes")]))
                    h3 { (self.say("editor-options")) }
                    @for o in 0..self.sheet.options(n) {
                        @let option = format!("{q}.o.{o}");
                        fieldset id=(option) {
                            legend { (self.words.with("editor-option-n", "n", &(o + 1).to_string())) }
                            (self.faults_at(&option))
                            (self.line(&format!("{option}.digit"), "editor-digit", None))
                            (self.line(&format!("{option}.id"), "editor-option-id", None))
                            (self.sayings(&option))
                            (self.button(&format!("remove-option:{n}:{o}"), "editor-option-remove"))
                        }
                    }
                    (self.button(&format!("add-option:{n}"), "editor-option-add"))
                } @else {
                    (self.choice(&field("publish"), "editor-publish-what",
                        &[("no", "editor-publish-no"), ("ask_text", "editor-publish-text"), ("ask_voice", "editor-publish-voice")]))
                    (self.line(&field("max_seconds"), "editor-max-seconds", None))
                }
                @if self.sheet.has_answer(n) {
                    fieldset id=(field("answer")) {
                        legend { (self.say("editor-answer")) }
                        (self.faults_at(&field("answer")))
                        (self.line(&field("answer.digit"), "editor-digit", None))
                        (self.sayings(&field("answer")))
                        (self.button(&format!("remove-answer:{n}"), "editor-answer-remove"))
                    }
                }
                div.actions {
                    @if !self.sheet.has_answer(n) { (self.button(&format!("add-answer:{n}"), "editor-answer-add")) }
                    @if n > 0 { (self.button(&format!("raise-question:{n}"), "editor-question-raise")) }
                    (self.button(&format!("remove-question:{n}"), "editor-question-remove"))
                }
            }
        }
    }

    fn prompts(&self) -> Markup {
        let own = self.sheet.prompts();
        let free = PROMPTS
            .iter()
            .filter(|name| !own.iter().any(|own| own == *name));
        html! {
            h2 { (self.say("editor-prompts")) }
            p.soft { (self.say("editor-prompts-hint")) }
            @for name in &own {
                @let prompt = format!("prompt.{name}");
                fieldset id=(prompt) {
                    legend { (self.say(&format!("editor-prompt-{}", name.replace('_', "-")))) " " code { (name) } }
                    (self.faults_at(&prompt))
                    (self.sayings(&prompt))
                    (self.button(&format!("remove-prompt:{name}"), "editor-prompt-remove"))
                }
            }
            div.actions { @for name in free {
                button name="turn" value=(format!("add-prompt:{name}")) { "+ " (self.say(&format!("editor-prompt-{}", name.replace('_', "-")))) }
            } }
        }
    }

    fn whole(&self) -> Markup {
        let Opened { work, checked, job } = self.opened;
        let person = self.words.1;
        let to_make = checked
            .sayings
            .iter()
            .filter(|saying| saying.made.is_none())
            .count();
        html! {
            p { a href=(person.here.to("editor")) { (self.say("editor-title")) } }
            h1 { @if checked.title.is_empty() { (work.id) } @else { (checked.title) } }
            (self.standing(job.as_ref(), to_make))
            form method="post" action=(self.to("")) enctype="multipart/form-data" {
                (token_field(person))
                input type="hidden" name="version" value=(work.version);
                // The first button is what the return key presses.
                div.actions { button.main name="turn" value="" { (self.say("editor-save")) } }
                (self.line("title", "editor-field-title", Some("editor-field-title-hint")))
                p { (self.say("editor-field-id")) " " code { (work.id) } }
                (self.faults_at("id"))
                (self.line("from", "editor-field-from", Some("editor-field-from-hint")))
                (self.line("until", "editor-field-until", Some("editor-field-until-hint")))
                (self.line("booths", "editor-field-booths", Some("editor-field-booths-hint")))
                (self.line("language", "editor-field-language", None))
                (self.line("languages", "editor-field-languages", Some("editor-field-languages-hint")))
                (self.choice("children", "editor-children", &[("", "editor-children-text"), ("voice", "editor-children-voice"),
                    ("not_published", "editor-children-none")]))
                h2 { (self.say("editor-questions")) }
                (self.faults_at("question"))
                @for n in 0..self.sheet.questions() { (self.question(n)) }
                div.actions {
                    (self.button("add-question:speak", "editor-question-add"))
                    (self.button("add-question:choose", "editor-vote-add"))
                }
                (self.prompts())
                h2 { (self.say("editor-hours")) }
                label for="hours" { (self.say("editor-field-hours")) }
                p.soft id="hint-hours" { (self.say("editor-field-hours-hint")) }
                textarea name="hours" id="hours" rows="3" aria-describedby="hint-hours" { (PreEscaped("\n")) (self.sheet.get("hours")) }
                (self.faults_at("hours"))
                (self.line("quiet", "editor-field-quiet", Some("editor-field-quiet-hint")))
                (self.line("limits.max_seconds", "editor-max-seconds", None))
                (self.line("limits.choose_seconds", "editor-choose-seconds", None))
                (self.line("limits.silence_seconds", "editor-silence-seconds", None))
                div.actions { button.main name="turn" value="" { (self.say("editor-save")) } }
            }
        }
    }

    /// What is to be known and done before the form: the state, what is wrong, and the next steps.
    fn standing(&self, job: Option<&Job>, to_make: usize) -> Markup {
        let Opened { work, checked, .. } = self.opened;
        let person = self.words.1;
        let is_draft = work.version > 0;
        html! {
            @match &work.changed {
                Some((at, by)) => { p.note { (self.say("editor-is-draft")) " " (by) ", " (crate::places::placement::shown(&self.words.0.zone, at)) "." } }
                None => { p.note { (self.say("editor-is-published")) } }
            }
            @if work.is_overtaken {
                div.note.bad {
                    p { (self.say("editor-overtaken")) }
                    form method="post" action=(self.to("/drop")) {
                        (token_field(person))
                        input type="hidden" name="version" value=(work.version);
                        button name="keep" value="yes" { (self.say("editor-overtaken-keep")) }
                    }
                }
            }
            @if let Some(job) = job { (job_lines(self.words, job, &self.to("/progress"))) }
            @if !checked.faults.is_empty() {
                div.note.bad role="alert" {
                    p { strong { (self.words.with("editor-faults", "n", &checked.faults.len().to_string())) } }
                    p { (self.say("editor-remarks-how")) }
                    ul {
                        @for (field, said) in &self.said { @for (remark, _) in said.iter().filter(|(_, is_fault)| *is_fault) {
                            li { a href=(format!("#{field}")) { (remark.key) } " " (said_of(remark)) }
                        } }
                        @for (remark, _) in self.others.iter().filter(|(_, is_fault)| *is_fault) { li { (remark.key) " " (said_of(remark)) } }
                    }
                }
            }
            @for (remark, _) in self.others.iter().filter(|(_, is_fault)| !*is_fault) { p.soft { (remark.key) " " (said_of(remark)) } }
            @if work.is_published && is_draft { p.soft { (self.say("editor-while-answering")) } }
            div.actions {
                a.button href=(self.to("/preview")) { (self.say("editor-preview")) }
                a href=(self.to("/public")) { (self.say("editor-public")) }
                a href=(self.to("/file")) { (self.say("editor-file")) }
            }
            @if checked.faults.is_empty() {
                div.actions {
                    @if to_make > 0 {
                        form method="post" action=(self.to("/prompts")) {
                            (token_field(person))
                            button { (self.words.with("editor-make-prompts", "n", &to_make.to_string())) }
                        }
                    }
                    form method="post" action=(self.to("/publish")) {
                        (token_field(person))
                        input type="hidden" name="version" value=(work.version);
                        button.main[is_draft] { (self.say(if is_draft { "editor-publish" } else { "editor-publish-again" })) }
                    }
                    a href=(self.to("/to-sign")) { (self.say("editor-sign")) }
                }
            }
            @if is_draft {
                details {
                    summary { (self.say("editor-drop")) }
                    form method="post" action=(self.to("/drop")) {
                        (token_field(person))
                        input type="hidden" name="version" value=(work.version);
                        button.danger { (self.say("editor-drop-sure")) }
                    }
                }
            }
        }
    }
}

/// What the check of the file says: in English, as the command says it.
fn said_of(remark: &Remark) -> Markup {
    html! { span lang="en" { (remark.why) } }
}

fn job_lines(words: &Say<'_>, job: &Job, address: &str) -> Markup {
    html! {
        div.note.bad[matches!(job.stage, Stage::Failed(_))] role="status" {
            p {
                strong { (words.say(job.what)) ": " }
                @match &job.stage {
                    Stage::Runs => { (words.say("editor-job-runs")) " " a href=(address) { (words.say("editor-job-look")) } }
                    Stage::Done => { (words.say("editor-job-done")) }
                    Stage::Failed(why) => { (words.tell(why)) }
                }
            }
            @if !job.lines.is_empty() { details open[job.stage == Stage::Runs] {
                summary { (words.say("editor-job-lines")) }
                ol lang="en" { @for line in &job.lines { li { (line) } } }
            } }
        }
    }
}

/// What a form with recordings has sent.
struct Sent {
    fields: Fields,
    /// The fields to which a recording was sent, and the recording.
    sounds: Vec<(String, Vec<u8>)>,
}

async fn sent(mut parts: Multipart) -> Result<Sent, Fault> {
    let broken = |error: axum::extract::multipart::MultipartError| {
        let status = error.status();
        let sentence = match status {
            StatusCode::PAYLOAD_TOO_LARGE => sentence!("staff-too-large"),
            _ => sentence!("staff-too-slow"),
        };
        Fault::new(status, sentence)
    };
    let mut sent = Sent {
        fields: Fields::default(),
        sounds: Vec::new(),
    };
    while let Some(part) = parts.next_field().await.map_err(broken)? {
        let name = part.name().unwrap_or_default().to_owned();
        match name.strip_prefix("file.") {
            Some(field) => {
                let field = field.to_owned();
                let bytes = part.bytes().await.map_err(broken)?;
                if !bytes.is_empty() {
                    sent.sounds.push((field, bytes.to_vec()));
                }
            }
            None => {
                let text = part.text().await.map_err(broken)?;
                sent.fields.0.push((name, text));
            }
        }
    }
    Ok(sent)
}

async fn save(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<String>,
    parts: Multipart,
) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let id = id_of(&id)?;
    let Sent { fields, sounds } = sent(parts).await?;
    let version = fields.version();
    let turn = Turn::of(fields.get("turn"));
    let (own, who) = (id.clone(), person.clone());
    let anchor = anchor_of(turn.as_ref());
    city.aside(move |city| {
        let work = drafts::open(city, &own)?.ok_or_else(|| sentence!("editor-campaign-gone"))?;
        let mut sheet = Sheet::opened(&work.toml)?;
        for (field, text) in &fields.0 {
            let is_drop = fields.get(&format!("drop.{field}")) == "yes";
            if is_key(field) {
                sheet.set(field, if is_drop { "" } else { text });
            }
        }
        for (field, sound) in &sounds {
            if is_key(field) {
                let name = city.centre.keep_sound(sound)?;
                sheet.set(field, &name);
            }
        }
        if let Some(turn) = &turn {
            sheet.turn(turn);
        }
        let toml = sheet.text();
        match toml == work.toml && version == work.version {
            true => Ok(version),
            false => drafts::save(city, &who, &own, version, &toml),
        }
    })
    .await?;
    Ok(see(&person.here.to(&format!("editor/{id}{anchor}"))))
}

/// Where the page goes on after a press on a button.
fn anchor_of(turn: Option<&Turn>) -> String {
    match turn {
        Some(Turn::RaiseQuestion(n)) => format!("#q.{}", n.saturating_sub(1)),
        Some(
            Turn::AddOption(n)
            | Turn::RemoveOption(n, _)
            | Turn::AddAnswer(n)
            | Turn::RemoveAnswer(n),
        ) => format!("#q.{n}"),
        Some(Turn::AddPrompt(name)) => format!("#prompt.{name}"),
        _ => String::new(),
    }
}

/// Whether a field of a form is a key of the file.
fn is_key(field: &str) -> bool {
    const TOP: [&str; 9] = [
        "title",
        "from",
        "until",
        "booths",
        "language",
        "languages",
        "hours",
        "quiet",
        "children",
    ];
    let is_plain = field.len() <= 100
        && field
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    is_plain
        && (TOP.contains(&field)
            || ["q.", "prompt.", "limits."]
                .iter()
                .any(|above| field.starts_with(above)))
}

async fn file(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let Opened { work, checked, .. } = opened(&city, &id).await?;
    let words = Say(&city, &person);
    let body = html! {
        p { a href=(person.here.to(&format!("editor/{id}"))) { (words.say("editor-back-to-form")) } }
        h1 { (words.say("editor-file")) ": " (id) }
        p.soft { (words.say("editor-file-hint")) }
        @if !checked.faults.is_empty() { div.note.bad {
            p { strong { (words.with("editor-faults", "n", &checked.faults.len().to_string())) } }
            p { (words.say("editor-remarks-how")) }
            ul { @for fault in &checked.faults {
                li { @if let Some(line) = fault.line { (words.with("editor-line", "n", &line.to_string())) " " } (fault.key) " " (said_of(fault)) }
            } }
        } }
        form method="post" action=(person.here.to(&format!("editor/{id}/file"))) {
            (token_field(&person))
            input type="hidden" name="version" value=(work.version);
            label for="toml" { (words.say("editor-file")) }
            textarea.file name="toml" id="toml" rows="40" spellcheck="false" { (PreEscaped("\n")) (work.toml) }
            div.actions { button.main { (words.say("editor-save")) } }
        }
    };
    Ok(page(&city, &person, &id, &body))
}

async fn save_file(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let id = id_of(&id)?;
    let version = fields.version();
    let found = fields.0.iter().find(|(name, _)| name == "toml");
    // Browsers send their own ends of lines.
    let toml = found
        .map(|(_, text)| text.replace("\r\n", "\n"))
        .unwrap_or_default();
    let (own, who) = (id.clone(), person.clone());
    city.aside(move |city| drafts::save(city, &who, &own, version, &toml))
        .await?;
    Ok(see(&person.here.to(&format!("editor/{id}/file"))))
}

async fn make_prompts(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let Opened { work, .. } = opened(&city, &id).await?;
    jobs::start(&city, &work.id, "editor-job-prompts", move |city, tell| {
        let checked = city.centre.make_prompts(&work.toml, tell)?;
        match checked.faults.is_empty() {
            true => Ok(()),
            false => Err(publish::to_mend(&checked.faults).into()),
        }
    })?;
    Ok(see(&person.here.to(&format!("editor/{id}/progress"))))
}

async fn publish_now(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let Opened { work, .. } = opened(&city, &id).await?;
    if fields.get("version").parse() != Ok(work.version) {
        return Err(CityError::from(sentence!("editor-changed-meanwhile")).into());
    }
    let texts = fields
        .0
        .iter()
        .filter(|(name, _)| name == "text")
        .map(|(_, text)| text);
    let signatures = fields
        .0
        .iter()
        .filter(|(name, _)| name == "signature")
        .map(|(_, text)| text);
    let signed: Vec<(String, String)> = texts
        .zip(signatures)
        .filter(|(_, signature)| !signature.trim().is_empty())
        .map(|(text, signature)| (text.replace("\r\n", "\n"), signature.replace("\r\n", "\n")))
        .collect();
    let who = person.clone();
    jobs::start(
        &city,
        &work.id.clone(),
        "editor-job-publish",
        move |city, tell| publish::publish(city, &who, &work, &signed, tell, |_| Ok(())),
    )?;
    Ok(see(&person.here.to(&format!("editor/{id}/progress"))))
}

async fn progress(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let id = id_of(&id)?;
    let Some(job) = city.editing.jobs.of(&id) else {
        return Ok(see(&person.here.to(&format!("editor/{id}"))));
    };
    let words = Say(&city, &person);
    let here = person.here.to(&format!("editor/{id}/progress"));
    let body = html! {
        h1 { (words.say(job.what)) ": " (id) }
        (job_lines(&words, &job, &here))
        p { a href=(person.here.to(&format!("editor/{id}"))) { (words.say("editor-back-to-form")) } }
    };
    let mut response = page(&city, &person, &id, &body);
    if job.stage == Stage::Runs {
        // Browsers load the page again by this header; it needs no script.
        let again = axum::http::HeaderValue::from_static("2");
        response.headers_mut().insert(header::REFRESH, again);
    }
    Ok(response)
}

async fn to_sign(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let Opened { work, .. } = opened(&city, &id).await?;
    let toml = work.toml.clone();
    let texts = city
        .aside(move |city| {
            let made = city.centre.make_prompts(&toml, &|_: &str| {})?;
            match made.faults.is_empty() {
                true => Ok(city.centre.texts_to_sign(&toml)?),
                false => Err(publish::to_mend(&made.faults).into()),
            }
        })
        .await?;
    let words = Say(&city, &person);
    let body = html! {
        p { a href=(person.here.to(&format!("editor/{id}"))) { (words.say("editor-back-to-form")) } }
        h1 { (words.say("editor-sign")) ": " (id) }
        @if texts.is_empty() { p.note { (words.say("editor-sign-none")) } }
        @else {
            p { (words.say("editor-sign-how")) }
            pre { code { "minisign -S -s city.key -m text.txt" } }
            form method="post" action=(person.here.to(&format!("editor/{id}/publish"))) {
                (token_field(&person))
                input type="hidden" name="version" value=(work.version);
                @for (n, text) in texts.iter().enumerate() {
                    label for=(format!("text-{n}")) { (words.say("editor-sign-text")) }
                    textarea.file name="text" id=(format!("text-{n}")) rows="6" readonly { (PreEscaped("\n")) (text) }
                    label for=(format!("signature-{n}")) { (words.say("editor-sign-signature")) }
                    textarea.file name="signature" id=(format!("signature-{n}")) rows="4" {}
                }
                div.actions { button.main { (words.say("editor-publish")) } }
            }
        }
    };
    Ok(page(&city, &person, &id, &body))
}

async fn drop_draft(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let id = id_of(&id)?;
    let version = fields.version();
    let keeps = fields.get("keep") == "yes";
    let (own, who) = (id.clone(), person.clone());
    let is_left = city
        .aside(move |city| {
            if keeps {
                if let Some(work) = drafts::open(city, &own)?.filter(|work| work.version == version)
                {
                    drafts::rebase(city, &who, &work)?;
                }
                return Ok(true);
            }
            drafts::drop_draft(city, &who, &own, version)?;
            Ok(drafts::open(city, &own)?.is_some())
        })
        .await?;
    Ok(see(&person.here.to(&match is_left {
        true => format!("editor/{id}"),
        false => "editor".to_owned(),
    })))
}

async fn prompt(
    State(city): State<Arc<City>>,
    person: Person,
    Path(name): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let hash = name
        .strip_suffix(".opus")
        .and_then(MediaHash::parse)
        .ok_or_else(Fault::not_here)?;
    let ogg = city
        .aside(move |city| Ok(city.centre.prompt(&hash)?))
        .await?;
    Ok(sound::answer(ogg, Timestamp::UNIX_EPOCH, &method, &headers))
}
