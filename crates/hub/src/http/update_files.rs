//! The files of updates, for booths: whole or from where a fetch broke off.
//!
//! Owns: `/updates/{name}` beside the pages for citizens, and the list for the form of a rollout. Anybody may fetch them: what a booth believes
//! is the signature in the file. Never does: write into the folder, or look into a file.
#![allow(clippy::disallowed_methods)] // lists the folder and opens a file of it

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{Extensions, HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use booth_city::web::peer::visitor;
use booth_city::web::sound::bare;
use booth_city::web::validators::{Validators, Verdict};
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::guests::Guests;
use super::ranged::{self, Source, Whole};

/// How an update's file ends.
const ENDING: &str = ".update";
/// Longest name of a file, bytes.
const LONGEST_NAME: usize = 128;
/// Fetches at a time: a rollout tells twenty booths at once, and citizens' pages need the other connections.
const AT_ONCE: usize = 40;
static PLACES: Semaphore = Semaphore::const_new(AT_ONCE);
/// Of these, fetches of one visitor: whoever takes files slowly keeps no update from the booths.
const OF_ONE: usize = 8;

/// The folder with the updates' files, and where booths find them.
#[derive(Debug, Clone)]
pub struct UpdateFiles {
    folder: PathBuf,
    address: String,
}

impl UpdateFiles {
    /// Of the files in this folder, under this address of the pages for citizens.
    pub fn new(folder: PathBuf, address: &str) -> Self {
        Self {
            folder,
            address: address.trim_end_matches('/').to_owned(),
        }
    }

    /// The address of each file, the last name first.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn addresses(&self) -> io::Result<Vec<String>> {
        let mut names: Vec<String> = fs::read_dir(&self.folder)?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| is_a_name(name))
            .collect();
        names.sort_by(|one, other| other.cmp(one));
        let address = |name| format!("{}/updates/{name}", self.address);
        Ok(names.into_iter().map(address).collect())
    }

    /// Beside the pages for citizens.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/updates/{name}", get(file))
            .with_state(Arc::new((self, Guests::at_most(OF_ONE))))
    }
}

/// Letters, digits, dots, dashes and underscores, and the right ending: no other file of the folder, and no other folder.
fn is_a_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_+~".contains(&byte);
    name.len() <= LONGEST_NAME
        && name.ends_with(ENDING)
        && !name.starts_with('.')
        && name.bytes().all(is_plain)
}

async fn file(
    State(shared): State<Arc<(UpdateFiles, Guests)>>,
    Path(name): Path<String>,
    method: Method,
    extensions: Extensions,
    headers: HeaderMap,
) -> Response {
    let (files, guests) = &*shared;
    if !is_a_name(&name) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let guest = guests.let_in(visitor(&extensions, &headers));
    let Some(place) = PLACES.try_acquire().ok().zip(guest) else {
        let again = [(header::RETRY_AFTER, "60")];
        return (StatusCode::SERVICE_UNAVAILABLE, again).into_response();
    };
    let file = files.folder.join(&name);
    let opened = tokio::task::spawn_blocking(move || open(&file)).await;
    let (file, len, changed, tag) = match opened.map_err(io::Error::other).flatten() {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return StatusCode::NOT_FOUND.into_response();
        }
        Err(error) => {
            log::error!(about = "updates"; "{name} cannot be sent to booths: {error}");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let validators = Validators::new(&tag, changed);
    let with_range = match validators.judge(&headers, method == Method::GET) {
        Verdict::Failed => return bare(StatusCode::PRECONDITION_FAILED, &validators),
        Verdict::NotModified => return bare(StatusCode::NOT_MODIFIED, &validators),
        Verdict::Serve { with_range } => with_range,
    };
    let whole = Whole {
        kind: "application/octet-stream",
        len,
        boundary: &tag,
    };
    let headers = with_range.then_some(&headers);
    ranged::answer(Source::of(file, Some(place)), &whole, &validators, headers)
}

/// The file, its length, when it was changed, and a tag that another file under its name does not have.
fn open(file: &std::path::Path) -> io::Result<(File, u64, Timestamp, String)> {
    let file = File::open(file)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let changed = Timestamp::new(about.mtime(), about.mtime_nsec() as i32);
    let tag = format!(
        "{:x}-{:x}-{:x}-{:x}",
        about.ino(),
        about.len(),
        about.mtime(),
        about.mtime_nsec()
    );
    let changed = changed.unwrap_or(Timestamp::UNIX_EPOCH);
    Ok((file, about.len(), changed, tag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use booth_city::web::peer::Peer;
    use hyper_util::service::TowerToHyperService;

    async fn asked(
        files: &UpdateFiles,
        name: &str,
        range: Option<&str>,
    ) -> (StatusCode, Vec<u8>, Option<String>) {
        let mut request = Request::get(format!("/updates/{name}"));
        if let Some(range) = range {
            request = request.header(header::RANGE, range);
        }
        let request = request.body(Body::empty()).expect("a request");
        let router = TowerToHyperService::new(files.clone().router());
        let response = hyper::service::Service::call(&router, request).await;
        let response = response.expect("it answers");
        let etag = response.headers().get(header::ETAG);
        let etag = etag.map(|tag| tag.to_str().expect("text").to_owned());
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20)
            .await
            .expect("a body");
        (status, body.to_vec(), etag)
    }

    #[tokio::test]
    async fn booths_get_an_update_whole_or_its_rest_a_few_at_a_time_and_nothing_else_of_the_folder()
    {
        let folder = tempfile::tempdir().expect("a folder");
        let content: Vec<u8> = (0..200_000_u32).map(|at| at as u8).collect();
        fs::write(folder.path().join("b-0.2.0.update"), &content).expect("written");
        fs::write(folder.path().join("b-0.1.0.update"), b"old").expect("written");
        fs::write(folder.path().join("city.key"), b"secret").expect("written");
        fs::create_dir(folder.path().join("x.update")).expect("a folder");
        let files = UpdateFiles::new(folder.path().to_owned(), "https://booths.example/");
        let addresses = files.addresses().expect("a list");
        assert!(addresses.contains(&"https://booths.example/updates/b-0.2.0.update".to_owned()));
        assert!(
            !addresses.iter().any(|address| address.contains("key")),
            "{addresses:?}"
        );

        let (status, body, etag) = asked(&files, "b-0.2.0.update", None).await;
        assert_eq!((status, body.len()), (StatusCode::OK, content.len()));
        assert_eq!(body, content);
        let (status, body, _) = asked(&files, "b-0.2.0.update", Some("bytes=150000-")).await;
        assert_eq!(status, StatusCode::PARTIAL_CONTENT);
        assert_eq!(body, content[150_000..]);
        let (status, ..) = asked(&files, "b-0.2.0.update", Some("bytes=200000-")).await;
        assert_eq!(status, StatusCode::RANGE_NOT_SATISFIABLE);
        for none in [
            "city.key",
            "..%2Fcity.key",
            ".update",
            "x.update",
            "b-0.3.0.update",
            "%00.update",
        ] {
            let (status, body, _) = asked(&files, none, None).await;
            assert_eq!((status, body.len()), (StatusCode::NOT_FOUND, 0), "{none}");
        }
        // Another file under the same name has another tag, so that no booth puts parts of two together.
        fs::remove_file(folder.path().join("b-0.2.0.update")).expect("removed");
        fs::write(folder.path().join("b-0.2.0.update"), &content).expect("written");
        let (_, _, other) = asked(&files, "b-0.2.0.update", None).await;
        assert_ne!(etag, other);
        // Whoever takes files slowly has a few places, and the booths have the others.
        let router = TowerToHyperService::new(files.clone().router());
        let slowly = async |from: &str| {
            let mut request = Request::get("/updates/b-0.2.0.update");
            let peer = Peer(from.parse().expect("an address"));
            request.extensions_mut().expect("extensions").insert(peer);
            let request = request.body(Body::empty()).expect("a request");
            let answered = hyper::service::Service::call(&router, request).await;
            answered.expect("it answers")
        };
        let mut held = Vec::new();
        for _ in 0..OF_ONE {
            held.push(slowly("192.0.2.1").await);
        }
        assert!(held.iter().all(|answer| answer.status() == StatusCode::OK));
        let refused = slowly("192.0.2.1").await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(slowly("192.0.2.2").await.status(), StatusCode::OK);
        drop(held);
        assert_eq!(slowly("192.0.2.1").await.status(), StatusCode::OK);
        // More booths than there are places are told to come again.
        let taken: Vec<_> = std::iter::from_fn(|| PLACES.try_acquire().ok()).collect();
        assert_eq!(
            taken.len(),
            AT_ONCE,
            "an answer that is over holds no place"
        );
        let (status, ..) = asked(&files, "b-0.2.0.update", None).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
