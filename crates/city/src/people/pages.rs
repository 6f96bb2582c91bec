//! `/people`: the accounts and a partner's campaigns, for administrators; `/account`: one's own password and languages.
//!
//! Owns: these pages and their forms. Never does: show a password, or anything that is kept of one.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::accounts::{self, Account, NewAccount};
use super::{Person, Right, Role, changes, passwords};
use crate::City;
use crate::sentence;
use crate::store::CityError;
use crate::web::{Fault, get, post, see_other, staff_page, token_field};
use crate::words::Sentence;

pub(super) fn routes() -> Router<Arc<City>> {
    Router::new()
        .route("/people", get(everybody).merge(post(add)))
        .route("/people/{id}", get(one))
        .route("/people/{id}/roles", post(roles))
        .route("/people/{id}/languages", post(languages))
        .route("/people/{id}/password", post(password))
        .route("/people/{id}/campaign", post(campaign))
        .route("/people/{id}/close", post(close))
        .route("/account", get(own))
        .route("/account/password", post(own_password))
        .route("/account/languages", post(own_languages))
}

type Pairs = Vec<(String, String)>;

fn first<'a>(pairs: &'a Pairs, name: &str) -> &'a str {
    let found = pairs.iter().find(|(key, _)| key == name);
    found.map_or("", |(_, value)| value.as_str())
}

fn all<'a>(pairs: &'a Pairs, name: &str) -> impl Iterator<Item = &'a str> {
    let found = pairs.iter().filter(move |(key, _)| key == name);
    found.map(|(_, value)| value.as_str())
}

fn roles_in(pairs: &Pairs) -> Result<BTreeSet<Role>, CityError> {
    let words: Vec<_> = all(pairs, "role").collect();
    accounts::roles_of(&words.join(","))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Done {
    done: Option<String>,
}

/// What a page says about what was just done: `?done=` names a text, and none but these.
fn told(city: &City, person: &Person, done: &Done) -> Markup {
    let name = match done.done.as_deref() {
        Some("changed") => "people-changed",
        Some("made") => "people-made",
        Some("closed") => "people-closed",
        _ => return html! {},
    };
    html! { p.note role="status" { (city.words.say(&person.here.language, name)) } }
}

/// A form's refusal on the page itself, so that what was typed can be sent again.
fn refused(city: &City, person: &Person, why: &Sentence) -> Markup {
    html! { p.note.bad role="alert" { (city.words.tell(&person.here.language, why)) } }
}

async fn everybody(
    State(city): State<Arc<City>>,
    person: Person,
    Query(done): Query<Done>,
) -> Result<Response, Fault> {
    person.must(Right::Administer, None)?;
    let note = told(&city, &person, &done);
    everybody_page(&city, &person, StatusCode::OK, note, &Vec::new()).await
}

async fn everybody_page(
    city: &Arc<City>,
    person: &Person,
    status: StatusCode,
    note: Markup,
    typed: &Pairs,
) -> Result<Response, Fault> {
    let people = city.aside(|city| city.store.read(accounts::all)).await?;
    let say = |name: &str| city.words.say(&person.here.language, name);
    let was_typed = |role: Role| all(typed, "role").any(|word| word == role.word());
    let body = html! {
        h1 { (say("people-title")) }
        (note)
        div.wide tabindex="0" role="region" aria-label=(say("people-title")) {
            table {
                thead { tr {
                    th scope="col" { (say("people-name")) }
                    th scope="col" { (say("people-shown-name")) }
                    th scope="col" { (say("people-roles")) }
                    th scope="col" { (say("people-languages")) }
                    th scope="col" { (say("people-login")) }
                } }
                tbody {
                    @for account in &people { tr {
                        th scope="row" { a href=(person.to(&format!("people/{}", account.id))) { bdi { (account.name) } } }
                        td { bdi { (account.shown_name) } }
                        td { (roles_said(city, person, &account.roles)) }
                        td { (account.languages.join(", ")) }
                        td { (say(login_said(account))) }
                    } }
                }
            }
        }
        h2 { (say("people-add")) }
        form method="post" action=(person.to("people")) {
            (token_field(person))
            label for="name" { (say("people-name")) }
            input type="text" id="name" name="name" required minlength="2" maxlength="64" autocapitalize="none" spellcheck="false" autocomplete="off" value=(first(typed, "name"));
            label for="shown" { (say("people-shown-name")) }
            input type="text" id="shown" name="shown_name" maxlength="100" autocomplete="off" value=(first(typed, "shown_name"));
            (role_boxes(city, person, &was_typed))
            (language_field(city, person, "da,en"))
            label for="password" { (say("people-first-password")) }
            input type="password" id="password" name="password" maxlength="1024" autocomplete="new-password" aria-describedby="password-rule";
            p.soft id="password-rule" { (say("people-password-rule")) }
            p.actions { button.main { (say("people-add")) } }
        }
        h2 { (say("people-matrix")) }
        (matrix(city, person))
    };
    let page = staff_page(city, person, &say("people-title"), &body);
    Ok((status, Html(page.into_string())).into_response())
}

fn login_said(account: &Account) -> &'static str {
    match (
        &account.closed_at,
        account.has_password,
        account.is_elsewhere,
    ) {
        (Some(_), ..) => "people-is-closed",
        (None, true, true) => "people-by-both",
        (None, true, false) => "people-by-password",
        (None, false, true) => "people-by-elsewhere",
        (None, false, false) => "people-by-nothing",
    }
}

fn roles_said(city: &City, person: &Person, roles: &BTreeSet<Role>) -> String {
    let said = roles.iter().map(|role| {
        let name = format!("role-{}", role.word());
        city.words.say(&person.here.language, &name)
    });
    said.collect::<Vec<_>>().join(", ")
}

fn role_boxes(city: &City, person: &Person, is_checked: &dyn Fn(Role) -> bool) -> Markup {
    let say = |name: &str| city.words.say(&person.here.language, name);
    html! {
        fieldset {
            legend { (say("people-roles")) }
            @for role in Role::ALL {
                label { input type="checkbox" name="role" value=(role.word()) checked[is_checked(role)]; (say(&format!("role-{}", role.word()))) }
            }
        }
    }
}

fn language_field(city: &City, person: &Person, value: &str) -> Markup {
    let say = |name: &str| city.words.say(&person.here.language, name);
    html! {
        label for="languages" { (say("people-languages")) }
        input type="text" id="languages" name="languages" maxlength="200" value=(value) autocapitalize="none" spellcheck="false" aria-describedby="languages-rule";
        p.soft id="languages-rule" { (say("people-languages-rule")) }
    }
}

/// Who may do what, as the program decides it.
fn matrix(city: &City, person: &Person) -> Markup {
    let say = |name: &str| city.words.say(&person.here.language, name);
    html! {
        div.wide tabindex="0" role="region" aria-label=(say("people-matrix")) {
            table {
                thead { tr {
                    th scope="col" { (say("people-right")) }
                    @for role in Role::ALL { th scope="col" { (say(&format!("role-{}", role.word()))) } }
                } }
                tbody {
                    @for right in Right::ALL { tr {
                        th scope="row" { (say(&format!("right-{}", right.word()))) }
                        @for role in Role::ALL { td {
                            @if role.rights().contains(&right) { (say("people-yes")) }
                            @else if role == Role::Partner && right.is_for_partners() { (say("people-by-campaign")) }
                            @else { (say("people-no")) }
                        } }
                    } }
                }
            }
        }
    }
}

async fn add(
    State(city): State<Arc<City>>,
    person: Person,
    Form(mut typed): Form<Pairs>,
) -> Result<Response, Fault> {
    person.must(Right::Administer, None)?;
    let password = Zeroizing::new(first(&typed, "password").to_owned());
    typed.retain(|(name, _)| name != "password");
    let (who, form) = (person.actor(), typed.clone());
    let made = city.aside(move |city| {
        let name = first(&form, "name").to_owned();
        let kept = match password.is_empty() {
            true => None,
            false => Some(passwords::kept_of(&password, &name)?),
        };
        let new = NewAccount {
            shown_name: first(&form, "shown_name").to_owned(),
            roles: roles_in(&form)?,
            languages: accounts::languages_of(first(&form, "languages"))?,
            kept_password: kept,
            subject: None,
            name,
        };
        changes::add(&city.store, who, &new)
    });
    match made.await {
        Ok(_) => Ok(see_other("people?done=made")),
        Err(CityError::Refused(why)) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            let note = refused(&city, &person, &why);
            everybody_page(&city, &person, status, note, &typed).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn account_of(city: &Arc<City>, id: i64) -> Result<Account, Fault> {
    let found = city
        .aside(move |city| city.store.read(|db| accounts::by_id(db, id)))
        .await?;
    found.ok_or_else(Fault::not_here)
}

async fn one(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
    Query(done): Query<Done>,
) -> Result<Response, Fault> {
    person.must(Right::Administer, None)?;
    let note = told(&city, &person, &done);
    one_page(&city, &person, id, StatusCode::OK, note).await
}

async fn one_page(
    city: &Arc<City>,
    person: &Person,
    id: i64,
    status: StatusCode,
    note: Markup,
) -> Result<Response, Fault> {
    let account = account_of(city, id).await?;
    let campaigns = city
        .aside(|city| Ok(city.centre.campaigns()?))
        .await
        .unwrap_or_default();
    let say = |name: &str| city.words.say(&person.here.language, name);
    let to = |what: &str| person.to(&format!("people/{id}/{what}"));
    let body = html! {
        p { a href=(person.to("people")) { (say("people-title")) } }
        h1 { bdi { (account.shown_name) } }
        (note)
        p { bdi { (account.name) } " · " (say(login_said(&account))) }
        @if let Some(closed) = &account.closed_at { p.soft { (closed) } } @else {
            form method="post" action=(to("roles")) {
                (token_field(person))
                (role_boxes(city, person, &|role| account.roles.contains(&role)))
                p.actions { button { (say("people-save")) } }
            }
            form method="post" action=(to("languages")) {
                (token_field(person))
                (language_field(city, person, &account.languages.join(",")))
                p.actions { button { (say("people-save")) } }
            }
            h2 { (say("people-campaigns")) }
            p.soft { (say("people-campaigns-about")) }
            @if !account.campaigns.is_empty() {
                ul {
                    @for (campaign, until, rights) in &account.campaigns { li {
                        strong { bdi { (campaign) } } ", " (say("people-until")) " " (until) ": "
                        @for (n, right) in rights.iter().enumerate() { @if n > 0 { ", " } (say(&format!("right-{}", right.word()))) }
                    } }
                }
            }
            form method="post" action=(to("campaign")) {
                (token_field(person))
                label for="campaign" { (say("people-campaign")) }
                input type="text" id="campaign" name="campaign" list="campaigns" required maxlength="64" autocapitalize="none" spellcheck="false";
                datalist id="campaigns" { @for campaign in &campaigns { option value=(campaign.id) { (campaign.title) } } }
                label for="until" { (say("people-until-day")) }
                input type="date" id="until" name="until" required;
                fieldset {
                    legend { (say("people-campaign-rights")) }
                    @for right in Right::ALL { @if right.is_for_partners() {
                        label { input type="checkbox" name="right" value=(right.word()); (say(&format!("right-{}", right.word()))) }
                    } }
                }
                p.actions { button { (say("people-save")) } }
            }
            h2 { (say("people-password")) }
            form method="post" action=(to("password")) {
                (token_field(person))
                label for="password" { (say("people-new-password")) }
                input type="password" id="password" name="password" required maxlength="1024" autocomplete="new-password" aria-describedby="password-rule";
                p.soft id="password-rule" { (say("people-password-rule")) }
                p.actions { button { (say("people-save")) } }
            }
            h2 { (say("people-close")) }
            p.soft { (say("people-close-about")) }
            form method="post" action=(to("close")) {
                (token_field(person))
                p.actions { button.danger { (say("people-close")) } }
            }
        }
    };
    let page = staff_page(city, person, &account.shown_name, &body);
    Ok((status, Html(page.into_string())).into_response())
}

/// Carries out a change of one account, and shows the account again.
async fn changed(
    city: &Arc<City>,
    person: &Person,
    id: i64,
    done: &'static str,
    change: impl FnOnce(&City, &Account) -> Result<(), CityError> + Send + 'static,
) -> Result<Response, Fault> {
    person.must(Right::Administer, None)?;
    let account = account_of(city, id).await?;
    match city.aside(move |city| change(city, &account)).await {
        Ok(()) => Ok(see_other(&format!("../{id}?done={done}"))),
        Err(CityError::Refused(why)) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            one_page(city, person, id, status, refused(city, person, &why)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn roles(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
    Form(typed): Form<Pairs>,
) -> Result<Response, Fault> {
    let who = person.actor();
    changed(&city, &person, id, "changed", move |city, account| {
        changes::set_roles(&city.store, who, account, &roles_in(&typed)?)
    })
    .await
}

async fn languages(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
    Form(typed): Form<Pairs>,
) -> Result<Response, Fault> {
    let who = person.actor();
    changed(&city, &person, id, "changed", move |city, account| {
        let languages = accounts::languages_of(first(&typed, "languages"))?;
        changes::set_languages(&city.store, who, account, &languages)
    })
    .await
}

async fn password(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
    Form(typed): Form<Pairs>,
) -> Result<Response, Fault> {
    let who = person.actor();
    let password = Zeroizing::new(first(&typed, "password").to_owned());
    changed(&city, &person, id, "changed", move |city, account| {
        changes::set_password(&city.store, who, account, &password)
    })
    .await
}

async fn campaign(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
    Form(typed): Form<Pairs>,
) -> Result<Response, Fault> {
    let who = person.actor();
    changed(&city, &person, id, "changed", move |city, account| {
        let rights = all(&typed, "right").filter_map(Right::of).collect();
        let campaign = first(&typed, "campaign").trim();
        let until = first(&typed, "until").trim();
        changes::set_campaign(&city.store, who, account, campaign, until, &rights)
    })
    .await
}

async fn close(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
) -> Result<Response, Fault> {
    let who = person.actor();
    changed(&city, &person, id, "closed", move |city, account| {
        changes::close(&city.store, who, account)
    })
    .await
}

async fn own(
    State(city): State<Arc<City>>,
    person: Person,
    Query(done): Query<Done>,
) -> Result<Response, Fault> {
    let note = told(&city, &person, &done);
    own_page(&city, &person, StatusCode::OK, note).await
}

async fn own_page(
    city: &Arc<City>,
    person: &Person,
    status: StatusCode,
    note: Markup,
) -> Result<Response, Fault> {
    let account = account_of(city, person.account).await?;
    let say = |name: &str| city.words.say(&person.here.language, name);
    let body = html! {
        h1 { (say("people-own")) }
        (note)
        p { bdi { (account.name) } " · " (roles_said(city, person, &account.roles)) }
        form method="post" action=(person.to("account/languages")) {
            (token_field(person))
            (language_field(city, person, &account.languages.join(",")))
            p.actions { button { (say("people-save")) } }
        }
        @if account.has_password {
            h2 { (say("people-password")) }
            form method="post" action=(person.to("account/password")) {
                (token_field(person))
                label for="old" { (say("people-old-password")) }
                input type="password" id="old" name="old" required maxlength="1024" autocomplete="current-password";
                label for="password" { (say("people-new-password")) }
                input type="password" id="password" name="password" required maxlength="1024" autocomplete="new-password" aria-describedby="password-rule";
                p.soft id="password-rule" { (say("people-own-password-rule")) }
                p.actions { button { (say("people-save")) } }
            }
        }
    };
    let page = staff_page(city, person, &say("people-own"), &body);
    Ok((status, Html(page.into_string())).into_response())
}

async fn own_password(
    State(city): State<Arc<City>>,
    person: Person,
    Form(typed): Form<Pairs>,
) -> Result<Response, Fault> {
    let old = Zeroizing::new(first(&typed, "old").to_owned());
    let new = Zeroizing::new(first(&typed, "password").to_owned());
    let account = account_of(&city, person.account).await?;
    let who = person.actor();
    let changed = city.aside(move |city| {
        city.password_tries(&account.name)?;
        let kept = city.store.read(|db| accounts::login(db, &account.name))?;
        let kept = kept.and_then(|(_, kept)| kept);
        if !passwords::fits(&old, kept.as_deref()) {
            return Err(sentence!("people-old-password-wrong").into());
        }
        changes::set_password(&city.store, who, &account, &new)
    });
    match changed.await {
        // All sessions are over, this one too.
        Ok(()) => Ok(see_other("../login")),
        Err(CityError::Refused(why)) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            own_page(&city, &person, status, refused(&city, &person, &why)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn own_languages(
    State(city): State<Arc<City>>,
    person: Person,
    Form(typed): Form<Pairs>,
) -> Result<Response, Fault> {
    let account = account_of(&city, person.account).await?;
    let who = person.actor();
    let changed = city.aside(move |city| {
        let languages = accounts::languages_of(first(&typed, "languages"))?;
        changes::set_languages(&city.store, who, &account, &languages)
    });
    match changed.await {
        Ok(()) => Ok(see_other("../account?done=changed")),
        Err(CityError::Refused(why)) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            own_page(&city, &person, status, refused(&city, &person, &why)).await
        }
        Err(error) => Err(error.into()),
    }
}
