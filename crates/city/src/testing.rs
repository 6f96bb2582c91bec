//! A hub in memory, for the tests of this crate.
//!
//! Owns: what a test puts into it. Never does: reach a disk or a network.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use booth_contract::{ClipId, MediaHash, Publish};
use jiff::Timestamp;

use crate::City;
use crate::centre::{
    Arrived, BoothNow, Campaign, Centre, CentreError, Checked, Deletion, Gone, Kind, Placed,
    Source, Stopped, Submission, Taken, Tell, Withdrawal,
};
use crate::config::CityConfig;
use crate::people::accounts::{self, NewAccount};
use crate::people::{Here, Person, Role, sessions};

/// What the hub has. A test changes it through [`FakeCentre::have`].
#[derive(Default)]
pub(crate) struct Holdings {
    pub(crate) arrived: Vec<Arrived>,
    pub(crate) gone: Vec<ClipId>,
    pub(crate) sounds: BTreeMap<String, Vec<u8>>,
    pub(crate) texts: BTreeMap<String, String>,
    /// Messages that are sealed to a key which is not here.
    pub(crate) sealed: BTreeSet<String>,
    pub(crate) campaigns: Vec<Campaign>,
    pub(crate) stopped: Stopped,
    pub(crate) prompts: BTreeMap<String, Vec<u8>>,
    pub(crate) booths: Vec<BoothNow>,
    /// What technicians said by handset, and the newest event's place where that is another.
    pub(crate) placed: Vec<Option<Placed>>,
    pub(crate) newest_word: Option<i64>,
    pub(crate) sightings: Vec<crate::watch::Sighting>,
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) deleted: Vec<ClipId>,
    /// What came from home.
    pub(crate) submitted: Vec<Submission>,
    /// What is said of every campaign's file, besides its id and title.
    pub(crate) checked: Checked,
    pub(crate) to_sign: Vec<String>,
    /// What is answered about every sound, text and deletion instead.
    pub(crate) refuses: Option<CentreError>,
}

/// See the module's comment.
#[derive(Default)]
pub(crate) struct FakeCentre(Mutex<Holdings>);

impl FakeCentre {
    /// What the hub has.
    pub(crate) fn have(&self) -> MutexGuard<'_, Holdings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A spoken message of a booth, in Danish, whose citizen allowed the voice; a test changes what it is about.
pub(crate) fn spoken(id: &str) -> Arrived {
    let at: Timestamp = "2026-08-03T10:00:00Z".parse().expect("a time");
    Arrived {
        id: ClipId::from(id.to_owned()),
        kind: Kind::Spoken,
        source: Source::Booth,
        booth_id: Some("rundhoej-1".into()),
        campaign_id: Some("plads".into()),
        question_id: Some("torvet".into()),
        choice: None,
        lang: Some("da".into()),
        spoken_at: Some(at),
        received_at: at,
        duration_ms: 20_000,
        speech_ratio: Some(0.8),
        rms_dbfs: Some(-24.0),
        recovered: false,
        may_publish: Publish::Voice,
        notice_id: Some("notice".into()),
        is_child: false,
    }
}

/// A person with these roles, who understands Danish and English.
pub(crate) fn person(account: i64, roles: &[Role]) -> Person {
    Person {
        account,
        name: format!("person-{account}"),
        shown_name: format!("Person {account}"),
        roles: roles.iter().copied().collect(),
        languages: ["da", "en"].map(str::to_owned).into(),
        campaigns: Vec::new(),
        here: Here {
            language: "en".into(),
            form_token: "token".into(),
            depth: 0,
        },
    }
}

/// An account with these roles and a session of it: the cookie and the form token of a browser that is logged in.
pub(crate) fn seated(city: &City, name: &str, roles: &[Role]) -> (String, String) {
    seated_in("en", city, name, roles)
}

/// The same of somebody who reads this language.
pub(crate) fn seated_in(
    language: &str,
    city: &City,
    name: &str,
    roles: &[Role],
) -> (String, String) {
    let new = NewAccount {
        name: name.into(),
        shown_name: String::new(),
        roles: roles.iter().copied().collect(),
        languages: vec![language.into()],
        kept_password: None,
        subject: None,
    };
    let now = booth_host::clock::wall();
    let secret = city.store.change_quietly(|tx| {
        let account = accounts::add(tx, now, &new)?;
        sessions::begin(tx, now, account)
    });
    let secret = secret.expect("a session");
    (format!("booth-hub={}", secret.text()), secret.form_token())
}

/// What a browser sends from a page of ours: with a form it is a POST.
pub(crate) fn request(path: &str, cookie: &str, form: Option<&str>) -> Request<Body> {
    let request = Request::builder()
        .uri(path)
        .header("host", "localhost")
        .header("cookie", cookie);
    let built = match form {
        None => request.body(Body::empty()),
        Some(form) => request
            .method("POST")
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form.to_owned())),
    };
    built.expect("a request")
}

/// What the pages answer: status, headers, text.
pub(crate) async fn ask(
    pages: &axum::Router,
    request: Request<Body>,
) -> (StatusCode, HeaderMap, String) {
    let answered = tower::ServiceExt::oneshot(pages.clone(), request).await;
    let (parts, body) = answered.expect("never fails").into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("whole");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (parts.status, parts.headers, text)
}

/// Somebody of the staff who is logged in and at the pages.
pub(crate) struct Seat {
    pub(crate) pages: axum::Router,
    pub(crate) cookie: String,
    pub(crate) token: String,
}

impl Seat {
    /// Of whoever [`seated`] or [`seated_in`] has let in.
    pub(crate) fn of(city: &Arc<City>, (cookie, token): (String, String)) -> Self {
        Self {
            pages: crate::web::for_staff(city),
            cookie,
            token,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, String) {
        let (status, _, text) = ask(&self.pages, request(path, &self.cookie, None)).await;
        (status, text)
    }

    /// A form; where its answer leads, or nothing, and the answer.
    pub(crate) async fn post(&self, path: &str, fields: &str) -> (StatusCode, String, String) {
        let form = format!("form_token={}&{fields}", self.token);
        self.sends(request(path, &self.cookie, Some(&form))).await
    }

    /// A form of several parts (RFC 7578), whose boundary is `x`; `parts` begin behind the form's token.
    pub(crate) async fn post_parts(&self, path: &str, parts: &str) -> (StatusCode, String, String) {
        let body = format!(
            "--x\r\ncontent-disposition: form-data; name=\"form_token\"\r\n\r\n{}\r\n{parts}--x--\r\n",
            self.token
        );
        let mut request = request(path, &self.cookie, Some(&body));
        let kind = "multipart/form-data; boundary=x".parse().expect("a value");
        request.headers_mut().insert("content-type", kind);
        self.sends(request).await
    }

    async fn sends(&self, request: Request<Body>) -> (StatusCode, String, String) {
        let (status, headers, text) = ask(&self.pages, request).await;
        let to = headers.get("location").and_then(|to| to.to_str().ok());
        (status, to.unwrap_or_default().to_owned(), text)
    }
}

/// A city in a folder of its own with such a hub.
pub(crate) fn city_with(config: CityConfig) -> (Arc<City>, Arc<FakeCentre>, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let centre = Arc::new(FakeCentre::default());
    let city = City::open(folder.path(), config, centre.clone()).expect("a city");
    (city, centre, folder)
}

/// The same with the configuration that an empty file means.
pub(crate) fn city() -> (Arc<City>, Arc<FakeCentre>, tempfile::TempDir) {
    city_with(CityConfig::default())
}

impl Centre for FakeCentre {
    fn arrived(&self, after: i64, limit: usize) -> Result<Vec<(i64, Arrived)>, CentreError> {
        let have = self.have();
        let placed = (1..).zip(&have.arrived);
        let later = placed.filter(|(place, _)| *place > after).take(limit);
        Ok(later
            .map(|(place, message)| (place, message.clone()))
            .collect())
    }

    fn newest(&self) -> Result<i64, CentreError> {
        Ok(self.have().arrived.len() as i64)
    }

    fn number(&self) -> Result<u64, CentreError> {
        Ok(self.have().arrived.len() as u64)
    }

    fn store_name(&self) -> Result<String, CentreError> {
        Ok("memory".into())
    }

    fn gone(&self, after: i64, limit: usize) -> Result<Vec<Gone>, CentreError> {
        let have = self.have();
        let placed = (1..).zip(&have.gone);
        let later = placed.filter(|(place, _)| *place > after).take(limit);
        Ok(later
            .map(|(place, id)| Gone {
                place,
                id: id.clone(),
            })
            .collect())
    }

    fn newest_gone(&self) -> Result<i64, CentreError> {
        Ok(self.have().gone.len() as i64)
    }

    fn children(&self) -> Result<Vec<ClipId>, CentreError> {
        let have = self.have();
        let marked = have.arrived.iter().filter(|message| message.is_child);
        Ok(marked.map(|message| message.id.clone()).collect())
    }

    fn sound(&self, id: &ClipId) -> Result<Vec<u8>, CentreError> {
        let have = self.have();
        if let Some(refused) = &have.refuses {
            return Err(refused.clone());
        }
        if have.sealed.contains(id.as_str()) {
            return Err(CentreError::Sealed);
        }
        let sound = have.sounds.get(id.as_str());
        sound.cloned().ok_or(CentreError::NotThere)
    }

    fn text(&self, id: &ClipId) -> Result<String, CentreError> {
        let have = self.have();
        if let Some(refused) = &have.refuses {
            return Err(refused.clone());
        }
        let text = have.texts.get(id.as_str());
        text.cloned().ok_or(CentreError::NotThere)
    }

    fn submit(&self, submission: Submission) -> Result<Taken, CentreError> {
        let mut have = self.have();
        if let Some(refused) = &have.refuses {
            return Err(refused.clone());
        }
        have.submitted.push(submission);
        let number = have.submitted.len();
        Ok(Taken {
            id: format!("0a0a0a0a-8b86-4d01-b42d-{number:012x}").into(),
            receipt: Some("002006673085".into()),
        })
    }

    fn withdraw(&self, _from: IpAddr, _receipt: &str) -> Result<Withdrawal, CentreError> {
        if let Some(refused) = &self.have().refuses {
            return Err(refused.clone());
        }
        Ok(Withdrawal::Noted)
    }

    fn delete(&self, id: &ClipId, _why: Deletion) -> Result<(), CentreError> {
        let mut have = self.have();
        if let Some(refused) = &have.refuses {
            return Err(refused.clone());
        }
        have.deleted.push(id.clone());
        have.gone.push(id.clone());
        Ok(())
    }

    fn campaigns(&self) -> Result<Vec<Campaign>, CentreError> {
        Ok(self.have().campaigns.clone())
    }

    fn stopped(&self) -> Result<Stopped, CentreError> {
        Ok(self.have().stopped.clone())
    }

    fn prompt(&self, hash: &MediaHash) -> Result<Vec<u8>, CentreError> {
        let have = self.have();
        let prompt = have.prompts.get(hash.as_str());
        prompt.cloned().ok_or(CentreError::NotThere)
    }

    fn sightings(
        &self,
        _now: jiff::Timestamp,
        _paused: &BTreeSet<String>,
    ) -> Result<Vec<crate::watch::Sighting>, CentreError> {
        Ok(self.have().sightings.clone())
    }

    fn takes_messages(&self) -> bool {
        self.have().refuses.is_none()
    }

    fn booths(&self) -> Result<Vec<BoothNow>, CentreError> {
        Ok(self.have().booths.clone())
    }

    fn networks(&self) -> Result<Vec<(String, String)>, CentreError> {
        Ok(Vec::new())
    }

    fn placed(&self, after: i64, limit: usize) -> Result<Vec<(i64, Option<Placed>)>, CentreError> {
        let said = self.have().placed.clone();
        let places = (1..).zip(said).filter(|(place, _)| *place > after);
        Ok(places.take(limit).collect())
    }

    fn newest_word(&self) -> Result<i64, CentreError> {
        let have = self.have();
        Ok(have.newest_word.unwrap_or(have.placed.len() as i64))
    }

    fn campaign_file(&self, id: &str) -> Result<String, CentreError> {
        let have = self.have();
        have.files.get(id).cloned().ok_or(CentreError::NotThere)
    }

    fn check_campaign(&self, toml: &str) -> Result<Checked, CentreError> {
        let table: toml::Table = toml.parse().unwrap_or_default();
        let word = |key: &str| {
            table
                .get(key)
                .and_then(toml::Value::as_str)
                .unwrap_or_default()
        };
        Ok(Checked {
            id: word("id").to_owned(),
            title: word("title").to_owned(),
            ..self.have().checked.clone()
        })
    }

    fn keep_sound(&self, sound: &[u8]) -> Result<String, CentreError> {
        Ok(format!("{:064x}", sound.len()))
    }

    fn make_prompts(&self, toml: &str, tell: Tell<'_>) -> Result<Checked, CentreError> {
        tell("made");
        self.check_campaign(toml)
    }

    fn texts_to_sign(&self, _toml: &str) -> Result<Vec<String>, CentreError> {
        Ok(self.have().to_sign.clone())
    }

    fn publish_campaign(
        &self,
        toml: &str,
        _signed: &[(String, String)],
        tell: Tell<'_>,
    ) -> Result<(), CentreError> {
        if let Some(refused) = &self.have().refuses {
            return Err(refused.clone());
        }
        let id = self.check_campaign(toml)?.id;
        self.have().files.insert(id, toml.to_owned());
        tell("published");
        Ok(())
    }
}

/// Sets how many pages the city's database may have; `None` is as many as it has, so that it is full.
pub(crate) fn limit(city: &City, pages: Option<i64>) {
    let set = city.store.change_quietly(|tx| {
        let now: i64 = tx.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        let most = pages.unwrap_or(now);
        tx.query_row(&format!("PRAGMA max_page_count = {most}"), [], |_| Ok(()))?;
        Ok(())
    });
    set.expect("set");
}
