//! A bucket of an S3-compatible store, asked from threads that wait.
//!
//! Owns: the connection (a thread with a runtime of its own), the deadline of every request, what counts as an object that is safe, and
//! the rest after a fault, in which nothing is asked and nobody waits. Never does: decide which clip is stored; the database's row does. A
//! failure may leave an object of a clip whose body is in the folder still: the same body is put there again.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use futures_core::Stream;
use object_store::aws::{AmazonS3Builder, Checksum};
use object_store::path::Path as Key;
use object_store::{
    BackoffConfig, ClientOptions, Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload,
    RetryConfig,
};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::bodies::{self, BodiesAway, BodiesError, folder_of};
use booth_contract::ClipId;
use booth_contract::time::Mono;
use booth_host::{causes, clock, crew, password, tls};

/// How long a thread waits for an answer, and for a whole body of up to 16 MB.
#[cfg(not(test))]
const ASKED: Duration = Duration::from_secs(10);
/// How long a body may take to get there, of all that is under way.
#[cfg(not(test))]
const PUT: Duration = Duration::from_secs(120);
/// How long a list of everything may take: a thousand objects are one request.
const LISTED: Duration = Duration::from_secs(900);
/// For so long after a fault nothing is asked by whoever would wait.
const REST_MS: u64 = if cfg!(test) { 100 } else { 30_000 };
/// How often a request is tried once more when the server failed or did not answer.
const MORE_TRIES: usize = 2;
/// Most objects of one clip; each is another version of it.
const MOST_OF_A_CLIP: usize = 1_000;
/// What is put there and deleted at the start.
const PROBE: &str = ".probe";
/// The object that says whose bucket it is.
pub(super) const MARK: &str = ".hub";
/// Longest body that is carried to a bucket, in bytes: as long as one that a page opens in memory.
pub(crate) const MOST_CARRIED: u64 = 16_500_000;

/// An object, by a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its name below the prefix.
    pub(super) name: String,
    /// How long ago it was put there, by the server's clock and this one's; zero for one of the future.
    pub(super) age: Duration,
}

/// The fault that the bucket had last, until it answers well.
#[derive(Debug, Clone)]
struct Fault {
    at: Mono,
    error: BodiesError,
}

/// See the module's comment.
pub(super) struct Bucket {
    /// Why it cannot be asked anything is said when it is asked.
    store: Result<Arc<dyn ObjectStore>, BodiesError>,
    place: String,
    prefix: Key,
    mark: String,
    handle: Handle,
    /// The thread ends when this is dropped.
    _stop: oneshot::Sender<()>,
    fault: Mutex<Option<Fault>>,
    told_of_versions: AtomicBool,
    deadlines: Deadlines,
}

/// How long is waited.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    pub(super) asked: Duration,
    pub(super) put: Duration,
}

impl Deadlines {
    /// A hub's; a test of a server that never answers waits less, and over a real server, which may be starved, longer.
    fn usual() -> Self {
        #[cfg(not(test))]
        let (asked, put) = (ASKED, PUT);
        #[cfg(test)]
        let (asked, put) = super::tests::away::deadlines();
        Self { asked, put }
    }
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bucket({})", self.place)
    }
}

impl Bucket {
    /// The bucket of a configuration, which bears this mark. Nothing is asked of it yet: what is wrong with the configuration is said when it is
    /// asked.
    ///
    /// # Errors
    /// A system that gives no thread.
    pub(super) fn open(away: &BodiesAway, mark: &str) -> Result<Arc<Self>, BodiesError> {
        let deadlines = Deadlines::usual();
        let place = away.bodies.trim_end_matches('/').to_owned();
        let prefix = away.bucket_and_prefix().map(|(_, prefix)| prefix);
        let system = |why: std::io::Error| BodiesError::Away {
            place: place.clone(),
            why: why.to_string(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(system)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        crew::lend("bodies", move || {
            // It is over when the sender is dropped.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })
        .map_err(system)?;
        Ok(Arc::new(Self {
            store: Self::client(away, deadlines),
            prefix: Key::from(prefix.unwrap_or_default()),
            mark: mark.to_owned(),
            place,
            handle,
            _stop: stop,
            fault: Mutex::new(None),
            told_of_versions: AtomicBool::new(false),
            deadlines,
        }))
    }

    /// # Errors
    /// [`BodiesError::Setting`].
    fn client(
        away: &BodiesAway,
        deadlines: Deadlines,
    ) -> Result<Arc<dyn ObjectStore>, BodiesError> {
        let setting = |what: &str, why: String| BodiesError::Setting(format!("{what} {why}"));
        if let Some((_, why)) = away.faults().into_iter().next() {
            return Err(setting("bodies", why));
        }
        let (bucket, _) = away
            .bucket_and_prefix()
            .map_err(|why| setting("bodies", why))?;
        let secret = password::read(&away.secret_file)
            .map_err(|why| setting("bodies_secret_file", why.to_string()))?;
        tls::is_everybodys();
        let mut client = ClientOptions::new()
            .with_timeout(deadlines.put)
            .with_connect_timeout(deadlines.asked / 2);
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(away.region())
            .with_access_key_id(&away.key_id)
            .with_secret_access_key(secret)
            .with_checksum_algorithm(Checksum::SHA256)
            // Many servers want the whole list to be signed in a way of their own.
            .with_disable_bulk_delete(true)
            .with_retry(RetryConfig {
                backoff: BackoffConfig {
                    init_backoff: Duration::from_millis(100),
                    max_backoff: Duration::from_secs(2),
                    base: 2.0,
                },
                max_retries: MORE_TRIES,
                retry_timeout: deadlines.asked,
            });
        if let Some(endpoint) = &away.endpoint {
            builder = builder.with_endpoint(endpoint);
            client = client.with_allow_http(endpoint.starts_with("http://"));
        }
        let store = builder
            .with_client_options(client)
            .build()
            .map_err(|why| setting("bodies", why.to_string()))?;
        Ok(Arc::new(store))
    }

    /// The bucket and the prefix, for sentences.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// An object, for sentences.
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("{}/{name}", self.place))
    }

    fn store(&self) -> Result<Arc<dyn ObjectStore>, BodiesError> {
        self.store.clone()
    }

    fn key(&self, name: &str) -> Key {
        name.split('/')
            .fold(self.prefix.clone(), |key, level| key.join(level))
    }

    fn note(&self, fault: Option<BodiesError>) {
        let fault = fault.map(|error| Fault {
            at: clock::mono(),
            error,
        });
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// What an error of the crate means.
    fn meant(&self, error: &Error) -> BodiesError {
        let place = self.place.clone();
        let why = in_one_line(error);
        match error {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                BodiesError::Refused { place, why }
            }
            // An object that is missing never comes here.
            Error::NotFound { .. } => BodiesError::NoBucket { place },
            _ if why.contains("NoSuchBucket") => BodiesError::NoBucket { place },
            _ if [
                "SignatureDoesNotMatch",
                "InvalidAccessKeyId",
                "AccessDenied",
            ]
            .iter()
            .any(|code| why.contains(code)) =>
            {
                BodiesError::Refused { place, why }
            }
            _ => BodiesError::Away { place, why },
        }
    }

    fn late(&self, deadline: Duration) -> BodiesError {
        BodiesError::Away {
            place: self.place.clone(),
            why: format!("no answer within {} s", deadline.as_secs_f32()),
        }
    }

    /// Asks, and waits for the answer until the deadline.
    fn ask_within<T: Send + 'static>(
        &self,
        deadline: Duration,
        request: impl Future<Output = Result<T, Asked>> + Send + 'static,
    ) -> Result<T, BodiesError> {
        let (done, answer) = sync_channel(1);
        self.handle.spawn(async move {
            let _ = done.send(tokio::time::timeout(deadline, request).await);
        });
        let asked = match answer.recv() {
            Ok(Ok(Ok(found))) => Ok(found),
            Ok(Ok(Err(Asked::Store(error)))) => Err(self.meant(&error)),
            Ok(Ok(Err(Asked::Known(error)))) => Err(error),
            Ok(Err(_)) => Err(self.late(deadline)),
            Err(_) => Err(BodiesError::Away {
                place: self.place.clone(),
                why: "the thread that asks it has ended".into(),
            }),
        };
        self.note(asked.as_ref().err().cloned());
        asked
    }

    fn rests(&self) -> Option<BodiesError> {
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = fault.as_ref()?;
        let since = clock::mono().0.saturating_sub(fault.at.0);
        let is_away = matches!(fault.error, BodiesError::Away { .. });
        (is_away && since < REST_MS).then(|| fault.error.clone())
    }

    /// Whether it can be listed, written and deleted in, and is this store's: it is marked as that where nothing was carried to it from `clips`
    /// yet. Warns when it keeps versions.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn prove(&self, clips: &Path) -> Result<(), BodiesError> {
        self.can_be_used()?;
        match self.whose()? {
            Whose::Own => Ok(()),
            Whose::Others => Err(BodiesError::Setting(format!(
                "bodies: {} is the bucket of another hub's store (its object {MARK} says so): name a prefix of this hub's own; or, where the store's folder \
                 was restored without its bodies.toml, put that back",
                self.place
            ))),
            Whose::Nobodys if bodies::are_any_away(clips) => Err(BodiesError::Setting(format!(
                "bodies: {} is not where this store's bodies are (its object {MARK} is not there): correct bodies_endpoint; or, where a copy of \
                 the bucket was restored without it, put an object {MARK} there with the mark that bodies.toml in the store's folder has",
                self.place
            ))),
            Whose::Nobodys => self.put_mark(),
        }
    }

    /// Whose bucket it is, by its mark.
    ///
    /// # Errors
    /// A bucket that does not do its work.
    pub(super) fn whose(&self) -> Result<Whose, BodiesError> {
        let there = self.ask_within(self.deadlines.asked, self.fetch(MARK)?)?;
        Ok(match there {
            None => Whose::Nobodys,
            Some(there) if there.trim_ascii() == self.mark.as_bytes() => Whose::Own,
            Some(_) => Whose::Others,
        })
    }

    /// Marks a bucket that nobody has marked; of two that do this at once one is told that it is the other's.
    fn put_mark(&self) -> Result<(), BodiesError> {
        let (store, key) = (self.store()?, self.key(MARK));
        let mark = PutPayload::from(self.mark.clone());
        self.ask_within(self.deadlines.asked, async move {
            match store
                .put_opts(&key, mark.clone(), PutMode::Create.into())
                .await
            {
                Err(error) if knows_no_conditions(&error) => store.put(&key, mark).await?,
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => return Ok(()),
                put => put?,
            };
            Ok(())
        })?;
        match self.whose()? {
            Whose::Own => Ok(()),
            Whose::Others | Whose::Nobodys => Err(BodiesError::Altered {
                object: self.path_of(MARK).display().to_string(),
            }),
        }
    }

    /// Whether the configuration can be used at all; nothing is asked of the bucket.
    ///
    /// # Errors
    /// [`BodiesError::Setting`].
    pub(super) fn is_set_up(&self) -> Result<(), BodiesError> {
        self.store().map(drop)
    }

    fn can_be_used(&self) -> Result<(), BodiesError> {
        let (store, key) = (self.store()?, self.key(PROBE));
        let prefix = self.prefix.clone();
        let has_versions = self.ask_within(self.deadlines.asked, async move {
            first_of(&*store, &prefix).await?;
            let put = store
                .put(&key, PutPayload::from_static(b"booth-hub"))
                .await?;
            store.delete(&key).await?;
            Ok(keeps_versions(put.version.as_deref()))
        })?;
        if has_versions {
            self.tell_of_versions();
        }
        Ok(())
    }

    fn tell_of_versions(&self) {
        if !self.told_of_versions.swap(true, Relaxed) {
            log::error!(fault = "bodies";
                "{} keeps versions: what a citizen takes back stays there as an old version. Turn versioning off, and delete the old versions",
                self.place);
        }
    }

    /// Whether it has been seen to keep old versions.
    #[cfg(test)]
    pub(super) fn keeps_versions(&self) -> bool {
        self.told_of_versions.load(Relaxed)
    }

    /// The object as it lies there; `None` where there is none. After a fault this fails at once for a while: somebody waits.
    ///
    /// # Errors
    /// A bucket that does not do its work.
    pub(super) fn get(&self, name: &str) -> Result<Option<Bytes>, BodiesError> {
        match self.rests() {
            Some(fault) => Err(fault),
            None => self.ask_within(self.deadlines.asked, self.fetch(name)?),
        }
    }

    fn fetch(
        &self,
        name: &str,
    ) -> Result<impl Future<Output = Result<Option<Bytes>, Asked>> + Send + use<>, BodiesError>
    {
        let (store, key) = (self.store()?, self.key(name));
        let altered = BodiesError::Altered {
            object: self.path_of(name).display().to_string(),
        };
        Ok(async move {
            match store.get(&key).await {
                Ok(found) if found.meta.size > MOST_CARRIED => Err(Asked::Known(altered)),
                Ok(found) => Ok(Some(found.bytes().await?)),
                Err(Error::NotFound { .. }) => is_there_at_all(&*store, &key).await.map(|()| None),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// Puts a body there, and waits until it is safe.
    ///
    /// # Errors
    /// A bucket that does not do its work: the body stays where it is.
    pub(super) fn put(&self, name: &str, bytes: Bytes) -> Result<(), BodiesError> {
        let put = put_safely(self.store()?, self.key(name), self.path_of(name), bytes);
        if self.ask_within(self.deadlines.put, put)? {
            self.tell_of_versions();
        }
        Ok(())
    }

    /// Deletes everything that is there of a clip. Only when it is gone this returns without an error.
    ///
    /// # Errors
    /// A bucket that does not do its work.
    pub(super) fn delete_all_of(&self, clip_id: &ClipId) -> Result<(), BodiesError> {
        let (store, folder) = (self.store()?, self.key(&folder_of(clip_id)));
        let path = self.path_of(&folder_of(clip_id));
        self.ask_within(self.deadlines.put, async move {
            for key in keys_below(&*store, &folder).await? {
                match store.delete(&key).await {
                    Ok(()) | Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            match keys_below(&*store, &folder).await?.is_empty() {
                true => Ok(()),
                false => Err(Asked::Known(BodiesError::Altered {
                    object: path.display().to_string(),
                })),
            }
        })
    }

    /// Every object, in no order.
    ///
    /// # Errors
    /// A bucket that does not do its work.
    pub(super) fn all(&self) -> Result<Vec<Listed>, BodiesError> {
        let now = clock::wall();
        let (store, prefix) = (self.store()?, self.prefix.clone());
        self.ask_within(LISTED, async move {
            let mut found = Vec::new();
            let mut objects = store.list(Some(&prefix));
            while let Some(object) = next(&mut objects).await {
                let object = object?;
                let name = match prefix.as_ref() {
                    "" => Some(object.location.as_ref()),
                    prefix => object
                        .location
                        .as_ref()
                        .strip_prefix(prefix)
                        .and_then(|rest| rest.strip_prefix('/')),
                };
                let put_at = object.last_modified.timestamp();
                let age = now.as_second().saturating_sub(put_at);
                found.push(Listed {
                    name: name.unwrap_or_default().to_owned(),
                    age: Duration::from_secs(u64::try_from(age).unwrap_or(0)),
                });
            }
            Ok(found)
        })
    }
}

/// Whose bucket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// This store's.
    Own,
    /// Another store's.
    Others,
    /// It is not marked.
    Nobodys,
}

/// Why a request failed.
enum Asked {
    Store(Error),
    Known(BodiesError),
}

impl From<Error> for Asked {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// An error of the crate with its causes, without line ends.
fn in_one_line(error: &Error) -> String {
    let told = causes::told(error);
    let line = told.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(400).collect()
}

/// Whether a server answers so to a condition that it does not know.
fn knows_no_conditions(error: &Error) -> bool {
    in_one_line(error).contains("501 Not Implemented")
}

fn keeps_versions(version: Option<&str>) -> bool {
    version.is_some_and(|version| version != "null")
}

/// Puts a body under a name that nobody else uses, and looks whether it is there as a whole; answers whether versions are kept.
async fn put_safely(
    store: Arc<dyn ObjectStore>,
    key: Key,
    path: PathBuf,
    bytes: Bytes,
) -> Result<bool, Asked> {
    let payload = || PutPayload::from_bytes(bytes.clone());
    let put = match store
        .put_opts(&key, payload(), PutMode::Create.into())
        .await
    {
        Ok(put) => put,
        Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {
            let there = store.get(&key).await?;
            if there.meta.size == bytes.len() as u64 && there.bytes().await? == bytes {
                return Ok(false);
            }
            // The name says which bytes belong there, and no row would have these.
            store.put(&key, payload()).await?
        }
        Err(error) if knows_no_conditions(&error) => store.put(&key, payload()).await?,
        Err(error) => return Err(error.into()),
    };
    let there = store.head(&key).await?;
    let is_same = match (&put.e_tag, &there.e_tag) {
        (Some(put), Some(there)) => put == there,
        _ => true,
    };
    match there.size == bytes.len() as u64 && is_same {
        true => Ok(keeps_versions(put.version.as_deref())),
        false => Err(Asked::Known(BodiesError::Altered {
            object: path.display().to_string(),
        })),
    }
}

/// The next object of a list.
async fn next<S: Stream + ?Sized>(objects: &mut Pin<Box<S>>) -> Option<S::Item> {
    std::future::poll_fn(|context| objects.as_mut().poll_next(context)).await
}

/// Lists the first object alone: a bucket that is not there, or may not be listed, says so.
async fn first_of(store: &dyn ObjectStore, prefix: &Key) -> object_store::Result<()> {
    let mut objects = store.list(Some(prefix));
    next(&mut objects).await.transpose().map(|_| ())
}

/// An object is missing: whether its bucket is there.
async fn is_there_at_all(store: &dyn ObjectStore, key: &Key) -> Result<(), Asked> {
    Ok(first_of(store, key).await?)
}

/// The names of the objects below this one.
async fn keys_below(store: &dyn ObjectStore, folder: &Key) -> object_store::Result<Vec<Key>> {
    let mut objects = store.list(Some(folder));
    let mut keys = Vec::new();
    while let Some(object) = next(&mut objects).await {
        keys.push(object?.location);
        if keys.len() >= MOST_OF_A_CLIP {
            break;
        }
    }
    Ok(keys)
}
