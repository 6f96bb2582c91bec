//! Logins through a provider that nobody here wrote (npm's oidc-provider), and what strangers do with the address of the way back.
//!
//! Where there is no node or npm, or npm cannot fetch the provider, a line says that the tests with it were NOT RUN.
#![allow(clippy::disallowed_methods)] // starts a provider

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};

use axum::http::{HeaderMap, StatusCode};
use ureq::Agent;

use super::config::LoginConfig;
use crate::City;
use crate::config::CityConfig;
use crate::people::accounts::{self, Account};
use crate::people::{Role, changes};
use crate::store::Actor;
use crate::testing::{ask, city_with, request, seated};
use crate::web::for_staff;

/// Where people are sent back to; nothing listens there, because the test carries the browser's requests.
const ADDRESS: &str = "http://localhost/hub";

/// The folder with the provider, fetched once and kept below target/.
static PROVIDER: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/oidc-provider");
    if folder
        .join("node_modules/oidc-provider/package.json")
        .is_file()
    {
        return Ok(folder);
    }
    std::fs::create_dir_all(&folder).map_err(|why| why.to_string())?;
    std::fs::write(
        folder.join("package.json"),
        "{\"private\":true,\"type\":\"module\"}",
    )
    .map_err(|why| why.to_string())?;
    let fetched = Command::new("timeout")
        .args(["120", "npm", "install", "--no-audit", "--no-fund"])
        .arg("oidc-provider@9.13.3")
        .current_dir(&folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|why| format!("npm: {why}"))?;
    match fetched.status.success() {
        true => Ok(folder),
        false => Err("npm cannot fetch oidc-provider".into()),
    }
});

/// A provider that runs until it is dropped.
struct Running {
    child: Child,
    /// It writes warnings here, too, and ends when nobody takes them.
    _out: BufReader<std::process::ChildStdout>,
    issuer: String,
    _turn: std::sync::MutexGuard<'static, ()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One provider at a time, so that the folder is fetched once.
static TURN: Mutex<()> = Mutex::new(());

fn provider() -> Option<Running> {
    let turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let started = PROVIDER.as_ref().map_err(Clone::clone).and_then(|folder| {
        // Beside node_modules, where node looks for the package.
        let script = folder.join("provider.mjs");
        std::fs::write(&script, include_str!("provider.mjs")).map_err(|why| why.to_string())?;
        Command::new("node")
            .arg(&script)
            .arg(format!("{ADDRESS}/login/return"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|why| format!("node: {why}"))
    });
    let mut child = match started {
        Ok(child) => child,
        Err(why) => {
            booth_host::complain!("!! OpenID Connect against a real provider: NOT RUN: {why}");
            return None;
        }
    };
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    out.read_line(&mut line).expect("a line");
    let issuer = line.trim().to_owned();
    assert!(
        issuer.starts_with("http://127.0.0.1:"),
        "the provider did not start: {line:?}"
    );
    Some(Running {
        child,
        _out: out,
        issuer,
        _turn: turn,
    })
}

fn config(issuer: &str, folder: &Path, roles: &[(&str, &[&str])]) -> CityConfig {
    let secret = folder.join("secret");
    std::fs::write(&secret, "between us two\n").expect("written");
    let roles = roles.iter().map(|(group, roles)| {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        ((*group).to_owned(), roles)
    });
    CityConfig {
        login: LoginConfig {
            issuer: issuer.into(),
            client_id: "hub".into(),
            client_secret_file: Some(secret),
            address: ADDRESS.into(),
            roles: roles.collect::<BTreeMap<_, _>>(),
            ..LoginConfig::default()
        },
        ..CityConfig::default()
    }
}

fn value(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// The browser at the provider: follows redirects there, keeps its cookies, types the name, agrees. Ends with the address of the way back.
fn at_the_provider(begin: &str, issuer: &str, name: &str) -> String {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .build();
    let agent: Agent = config.into();
    let mut cookies = BTreeMap::<String, String>::new();
    let mut address = begin.to_owned();
    let mut form: Option<String> = None;
    for _ in 0..20 {
        let jar: Vec<_> = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut answer = match form.take() {
            None => agent.get(&address).header("cookie", jar.join("; ")).call(),
            Some(form) => agent
                .post(&address)
                .header("cookie", jar.join("; "))
                .header("content-type", "application/x-www-form-urlencoded")
                .send(form),
        }
        .expect("the provider answers");
        for set in answer.headers().get_all("set-cookie") {
            let pair = set
                .to_str()
                .expect("text")
                .split(';')
                .next()
                .expect("a pair");
            let (name, value) = pair.split_once('=').expect("a pair");
            match value.is_empty() {
                true => cookies.remove(name),
                false => cookies.insert(name.into(), value.into()),
            };
        }
        if let Some(next) = answer.headers().get("location") {
            let next = next.to_str().expect("text");
            address = match next.starts_with('/') {
                true => format!("{issuer}{next}"),
                false => next.to_owned(),
            };
            if address.starts_with(ADDRESS) {
                return address;
            }
            continue;
        }
        let page = answer.body_mut().read_to_string().expect("a page");
        let prompt = match page.contains("value=\"login\"") {
            true => format!("prompt=login&login={name}&password=x"),
            false => "prompt=consent".to_owned(),
        };
        let action = page
            .split("action=\"")
            .nth(1)
            .unwrap_or_else(|| panic!("no form: {page}"));
        address = action.split('"').next().expect("an address").to_owned();
        form = Some(prompt);
    }
    panic!("the provider leads nowhere")
}

/// A whole login: its status, where it leads, the cookies that the hub set, and the text.
async fn log_in(
    city: &Arc<City>,
    issuer: &str,
    name: &str,
) -> (StatusCode, String, String, String) {
    let pages = for_staff(city);
    let begun = ask(&pages, request("/login/elsewhere?next=account", "", None)).await;
    assert_eq!(begun.0, StatusCode::SEE_OTHER, "{}", begun.2);
    let (address, cookie) = (value(&begun.1, "location"), value(&begun.1, "set-cookie"));
    assert!(
        address.contains("code_challenge_method=S256") && address.contains("nonce="),
        "{address}"
    );
    assert!(
        cookie.contains("HttpOnly; SameSite=Lax; Max-Age=600"),
        "{cookie}"
    );
    let (issuer, name) = (issuer.to_owned(), name.to_owned());
    let back = tokio::task::spawn_blocking(move || at_the_provider(&address, &issuer, &name));
    let back = back.await.expect("came back");
    let back = back.strip_prefix(ADDRESS).expect("ours").to_owned();
    let browser = cookie.split(';').next().expect("a pair").to_owned();
    let (status, headers, text) = ask(&pages, request(&back, &browser, None)).await;
    // The same way back leads in once.
    let (again, ..) = ask(&pages, request(&back, &browser, None)).await;
    assert_eq!(again, StatusCode::BAD_REQUEST);
    (
        status,
        value(&headers, "location"),
        value(&headers, "set-cookie"),
        text,
    )
}

fn account(city: &City, name: &str) -> Option<Account> {
    let found = city.store.read(|db| accounts::by_name(db, name));
    found.expect("reads")
}

#[tokio::test]
async fn a_login_through_a_real_provider_gives_the_roles_of_its_groups() {
    let Some(running) = provider() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let roles: [(&str, &[&str]); 2] = [("listeners", &["moderator"]), ("bosses", &["editor"])];
    let (city, _, _folder) = city_with(config(&running.issuer, folder.path(), &roles));
    let (status, location, cookie, text) = log_in(&city, &running.issuer, "anna").await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{text}");
    assert_eq!(location, "../account");
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    let (status, _, page) = ask(&for_staff(&city), request("/account", &cookie, None)).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("anna æøå"), "{page}");
    let anna = account(&city, "anna").expect("made");
    assert_eq!(anna.roles, [Role::Moderator].into());
    assert!(anna.is_elsewhere && !anna.has_password);
    // Somebody of no group that has a role is known there and let in nowhere.
    let (status, _, cookie, text) = log_in(&city, &running.issuer, "bo").await;
    assert_eq!((status, cookie.as_str()), (StatusCode::FORBIDDEN, ""));
    assert!(
        text.contains("administrator") && account(&city, "bo").is_none(),
        "{text}"
    );
    // What the groups say counts each time; a role that was given here does not outlive it.
    let (status, ..) = log_in(&city, &running.issuer, "carla").await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let carla = account(&city, "carla").expect("made");
    assert_eq!(carla.roles, [Role::Moderator, Role::Editor].into());
    let more = [Role::Administrator, Role::Moderator].into();
    changes::set_roles(&city.store, Actor::CommandLine, &carla, &more).expect("changed");
    log_in(&city, &running.issuer, "carla").await;
    assert_eq!(account(&city, "carla").expect("there").roles, carla.roles);
    // A closed account stays closed, and no other one is made in its place.
    seated(&city, "chief", &[Role::Administrator]);
    changes::close(&city.store, Actor::CommandLine, &carla).expect("closed");
    let (status, ..) = log_in(&city, &running.issuer, "carla").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn nobody_gets_the_account_of_another_person_of_the_same_name() {
    let Some(running) = provider() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (city, _, _folder) = city_with(config(&running.issuer, folder.path(), &[]));
    // Without groups only those come in whom an administrator has made an account for.
    let (status, ..) = log_in(&city, &running.issuer, "bo").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    seated(&city, "anna", &[Role::Editor]);
    let (status, ..) = log_in(&city, &running.issuer, "anna").await;
    assert_eq!(status, StatusCode::SEE_OTHER, "made for a login elsewhere");
    assert_eq!(
        account(&city, "anna").expect("there").roles,
        [Role::Editor].into()
    );
    seated(&city, "carla", &[Role::Administrator]);
    let carla = account(&city, "carla").expect("there");
    let password = "carlas own long password";
    changes::set_password(&city.store, Actor::CommandLine, &carla, password).expect("set");
    let (status, _, cookie, text) = log_in(&city, &running.issuer, "carla").await;
    assert_eq!((status, cookie.as_str()), (StatusCode::FORBIDDEN, ""));
    assert!(text.contains("en anden konto carla"), "{text}");
    assert!(!account(&city, "carla").expect("there").is_elsewhere);
}

#[tokio::test]
async fn the_way_back_is_for_the_browser_that_began_and_a_forged_code_is_no_login() {
    let Some(running) = provider() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let roles: [(&str, &[&str]); 1] = [("listeners", &["moderator"])];
    let (city, _, _folder) = city_with(config(&running.issuer, folder.path(), &roles));
    let pages = for_staff(&city);
    let begun = ask(&pages, request("/login/elsewhere", "", None)).await;
    let (address, cookie) = (value(&begun.1, "location"), value(&begun.1, "set-cookie"));
    let browser = cookie.split(';').next().expect("a pair").to_owned();
    let state = address.split("state=").nth(1).expect("a state");
    let state = state.split('&').next().expect("a state");
    let back = format!("/login/return?code=forged&state={state}");
    for (path, cookie) in [
        ("/login/return", browser.as_str()),
        ("/login/return?code=x&state=x", &browser),
        (&back, ""),
        (
            &back,
            "booth-hub-login=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ),
    ] {
        let (status, headers, _) = ask(&pages, request(path, cookie, None)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert!(!headers.contains_key("set-cookie"), "{path}");
    }
    // The right browser with a code that the provider never gave.
    let (status, headers, text) = ask(&pages, request(&back, &browser, None)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(
        !headers.contains_key("set-cookie") && text.contains("svarede ikke, som det skal"),
        "{text}"
    );
}

#[tokio::test]
async fn a_provider_that_is_away_leaves_the_login_with_passwords() {
    let folder = tempfile::tempdir().expect("a folder");
    // Nothing listens on the port of discard (RFC 863).
    let (city, _, _folder) = city_with(config("http://127.0.0.1:9", folder.path(), &[]));
    let pages = for_staff(&city);
    let (status, _, text) = ask(&pages, request("/login", "", None)).await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("action=\"login/elsewhere\"") && text.contains("name=\"password\""));
    let (status, _, text) = ask(&pages, request("/login/elsewhere", "", None)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(text.contains("log ind med en adgangskode"), "{text}");
}
