//! The way of imported recordings and of a pulled card's clips into a running hub: a socket in the store's private folder, for the hub's own user alone.
//!
//! Owns: the socket's file, what one recording looks like on it, and its limits: one connection at a time, and a time for each step. Never
//! does: keep anything itself: the store's thread does, as it keeps an answer from home. A failure leaves the recordings that were answered
//! kept, and nothing of the one that was not.
#![allow(clippy::disallowed_methods)] // owns a socket file, and waits for the store's thread

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use booth_city::centre::{Body, Source, Submission};
use booth_contract::{BoothId, ClipId, MAX_JSON_BYTES, Publish};
use booth_host::crew;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use crate::door::{Door, Shut};
use crate::store::private::Private;
use crate::store::{Brought, Entry, Kept, Levels, StoreError, Took};

/// Most bytes of a recording's facts.
const MOST_HEAD: usize = 64 << 10;
/// Most bytes of its sound: ten minutes at a booth's bit rate are a quarter of it.
const MOST_SOUND: usize = 8 << 20;
/// Most bytes of a clip's manifest and body: more than any hub's max_clip_bytes lets through from a booth's recorder.
pub(crate) const MOST_CLIP: usize = 64 << 20;
/// Longest recording, seconds; a little more than the command lets through.
const MOST_SECONDS: u64 = 605;
/// So long one recording may take to come in.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// So long it waits for a place at the store's thread, and how often it asks.
const PLACE_WITHIN: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_millis(200);
/// So long the command waits for the answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

/// What is handed over; its bytes follow.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
enum Head {
    Recording(Recording),
    /// A clip or a withdrawal of a pulled card.
    Clip(Clip),
}

/// The facts of a clip or a withdrawal; its JSON follows, then its body.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Clip {
    booth_id: BoothId,
    id: ClipId,
    json_bytes: usize,
    /// `None` for a withdrawal.
    body_bytes: Option<usize>,
}

impl Head {
    /// How many bytes follow; `None` if there are more than are read.
    fn bytes(&self) -> Option<usize> {
        match self {
            Self::Recording(recording) => {
                Some(recording.bytes).filter(|bytes| *bytes <= MOST_SOUND)
            }
            Self::Clip(clip) => {
                let all = clip.json_bytes.checked_add(clip.body_bytes.unwrap_or(0))?;
                Some(all).filter(|all| clip.json_bytes <= 2 * MAX_JSON_BYTES && *all <= MOST_CLIP)
            }
        }
    }
}

/// The facts of a recording; its sound follows.
#[derive(Debug, Serialize, Deserialize)]
struct Recording {
    clip_id: ClipId,
    campaign: String,
    question: String,
    language: String,
    said_at: Option<Timestamp>,
    may_publish: Publish,
    notice_id: String,
    /// Bytes of the sound that follows.
    bytes: usize,
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    New,
    Before,
    Took(Took),
    Failed(String),
}

fn socket_of(store: &Path) -> Result<PathBuf, StoreError> {
    // Makes the folder where there is none.
    let key = Private::beside(store).receipt_key()?;
    Ok(key.with_file_name("import.sock"))
}

/// The open door of a running hub; its file is removed when this is dropped.
pub(crate) struct SideDoor {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for SideDoor {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl SideDoor {
    /// Opens it beside this store, whose lock this process has: a socket that lies there is an earlier hub's.
    ///
    /// # Errors
    /// A folder that cannot be written, a file that is no socket in its place, a path that is too long for a socket.
    pub(crate) fn open(store: &Path) -> Result<Self, StoreError> {
        let path = socket_of(store)?;
        let failed = |doing| {
            let path = path.clone();
            move |error| StoreError::file(doing, &path, error)
        };
        if std::fs::symlink_metadata(&path).is_ok_and(|file| file.file_type().is_socket()) {
            std::fs::remove_file(&path).map_err(failed("removing"))?;
        }
        let listener = UnixListener::bind(&path).map_err(failed("listening on"))?;
        let owners = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, owners).map_err(failed("protecting"))?;
        Ok(Self { listener, path })
    }

    /// Takes recordings until it is dropped, one after the other.
    pub(crate) async fn take(self, door: Arc<Door>) {
        loop {
            let mut stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    log::warn!(about = "import"; "the import's socket takes nobody: {error}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            // Several recordings on one connection; whoever sends none is cut off.
            while let Ok(Ok(Some((head, sound)))) =
                tokio::time::timeout(READ_WITHIN, read(&mut stream)).await
            {
                let answer = kept(&door, head, sound).await;
                let mut line = serde_json::to_vec(&answer).unwrap_or_default();
                line.push(b'\n');
                let written = tokio::time::timeout(READ_WITHIN, stream.write_all(&line)).await;
                if !matches!(written, Ok(Ok(()))) {
                    break;
                }
            }
        }
    }
}

/// One recording; `None` at the end of the connection.
async fn read(stream: &mut tokio::net::UnixStream) -> io::Result<Option<(Head, Vec<u8>)>> {
    let length = match stream.read_u32().await {
        Ok(length) => length as usize,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > MOST_HEAD {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut head = vec![0; length];
    stream.read_exact(&mut head).await?;
    let head: Head = serde_json::from_slice(&head)?;
    let bytes = head.bytes().ok_or(io::ErrorKind::InvalidData)?;
    let mut sound = vec![0; bytes];
    stream.read_exact(&mut sound).await?;
    Ok(Some((head, sound)))
}

/// Has the store's thread keep it. Where as many as may be are under way it waits for a place.
async fn kept(door: &Arc<Door>, head: Head, bytes: Vec<u8>) -> Answer {
    let bytes = Arc::new(bytes);
    let head = Arc::new(head);
    let tries = PLACE_WITHIN.as_millis() / ASK_EVERY.as_millis();
    for _ in 0..tries {
        let (door, head, bytes) = (Arc::clone(door), Arc::clone(&head), Arc::clone(&bytes));
        let asked = crew::aside("import", move || handed(&door, &head, &bytes));
        match asked.await {
            Ok(Ok(answer)) => return answer,
            Ok(Err(Shut::Busy)) => tokio::time::sleep(ASK_EVERY).await,
            Ok(Err(Shut::Gone)) => return Answer::Failed("the hub ends".into()),
            Ok(Err(Shut::Failed(why))) => return Answer::Failed(why),
            Err(death) => return Answer::Failed(death.to_string()),
        }
    }
    Answer::Failed("the hub is busy".into())
}

/// Hands it to the store's thread and waits.
fn handed(door: &Door, head: &Head, bytes: &[u8]) -> Result<Answer, Shut> {
    match head {
        Head::Recording(recording) => {
            let entry = entry(recording, bytes).map_err(Shut::Failed)?;
            Ok(match door.keep(entry)? {
                Kept::New(..) => Answer::New,
                Kept::Before(_) | Kept::NotCounted(_) => Answer::Before,
            })
        }
        Head::Clip(clip) => {
            let (json, body) = bytes.split_at(clip.json_bytes.min(bytes.len()));
            door.bring(Brought {
                booth_id: clip.booth_id.clone(),
                id: clip.id.clone(),
                json: json.to_vec(),
                body: clip.body_bytes.map(|_| body.to_vec()),
            })
            .map(Answer::Took)
        }
    }
}

/// What the store's thread is to keep; the hub measures the sound itself.
fn entry(head: &Recording, sound: &[u8]) -> Result<Entry, String> {
    let measured =
        booth_audio::measured(sound, MOST_SECONDS).map_err(|why| format!("the recording {why}"))?;
    Ok(Entry {
        clip_id: Some(head.clip_id.clone()),
        submission: Submission {
            source: Source::Phone,
            campaign_id: head.campaign.clone(),
            question_id: head.question.clone(),
            body: Body::Spoken(sound.to_vec(), measured.length.ms()),
            lang: head.language.clone(),
            said_at: head.said_at,
            may_publish: head.may_publish,
            notice_id: head.notice_id.clone(),
            code: None,
        },
        levels: Levels {
            rms_dbfs: measured.rms_dbfs,
            peak_dbfs: measured.peak_dbfs,
            speech_ratio: Some(measured.speech_ratio),
        },
        code: None,
    })
}

/// A running hub, as the command sees it.
pub struct RunningHub {
    stream: UnixStream,
    path: PathBuf,
}

impl RunningHub {
    /// The hub that has this store.
    ///
    /// # Errors
    /// Nobody answers there.
    pub fn at(store: &Path) -> Result<Self, StoreError> {
        let path = socket_of(store)?;
        let failed = |error| StoreError::file("asking the running hub at", &path, error);
        let stream = UnixStream::connect(&path).map_err(failed)?;
        stream
            .set_read_timeout(Some(ANSWER_WITHIN))
            .map_err(failed)?;
        stream
            .set_write_timeout(Some(ANSWER_WITHIN))
            .map_err(failed)?;
        Ok(Self { stream, path })
    }

    /// Has it keep a recording; whether it is new.
    ///
    /// # Errors
    /// The hub ends, or cannot keep it; nothing of it is kept then.
    pub(crate) fn keep(&mut self, entry: &Entry, clip_id: &ClipId) -> Result<bool, StoreError> {
        let submission = &entry.submission;
        let Body::Spoken(sound, _) = &submission.body else {
            return Err(self.failed(io::ErrorKind::InvalidInput.into()));
        };
        let head = Head::Recording(Recording {
            clip_id: clip_id.clone(),
            campaign: submission.campaign_id.clone(),
            question: submission.question_id.clone(),
            language: submission.lang.clone(),
            said_at: submission.said_at,
            may_publish: submission.may_publish,
            notice_id: submission.notice_id.clone(),
            bytes: sound.len(),
        });
        match self.ask(&head, &[sound])? {
            Answer::New => Ok(true),
            Answer::Before => Ok(false),
            other => Err(self.not_answered(other)),
        }
    }

    /// Has it take in a clip or a withdrawal of a pulled card.
    ///
    /// # Errors
    /// The hub ends, or cannot keep it; nothing of it is promised then.
    pub(crate) fn bring(&mut self, brought: &Brought) -> Result<Took, StoreError> {
        let head = Head::Clip(Clip {
            booth_id: brought.booth_id.clone(),
            id: brought.id.clone(),
            json_bytes: brought.json.len(),
            body_bytes: brought.body.as_ref().map(Vec::len),
        });
        let body = brought.body.as_deref().unwrap_or_default();
        match self.ask(&head, &[&brought.json, body])? {
            Answer::Took(took) => Ok(took),
            other => Err(self.not_answered(other)),
        }
    }

    fn failed(&self, error: io::Error) -> StoreError {
        StoreError::file("handing over to the running hub at", &self.path, error)
    }

    fn not_answered(&self, answer: Answer) -> StoreError {
        self.failed(match answer {
            Answer::Failed(why) => io::Error::other(why),
            _ => io::ErrorKind::InvalidData.into(),
        })
    }

    fn ask(&mut self, head: &Head, pieces: &[&[u8]]) -> Result<Answer, StoreError> {
        self.exchange(head, pieces)
            .map_err(|error| self.failed(error))
    }

    fn exchange(&mut self, head: &Head, pieces: &[&[u8]]) -> io::Result<Answer> {
        let head = serde_json::to_vec(head)?;
        let length = u32::try_from(head.len()).map_err(io::Error::other)?;
        self.stream.write_all(&length.to_be_bytes())?;
        self.stream.write_all(&head)?;
        for piece in pieces {
            self.stream.write_all(piece)?;
        }
        // The hub answers with one line, and with nothing more before it is asked again.
        let mut line = Vec::new();
        BufReader::new(&self.stream)
            .take(MOST_HEAD as u64)
            .read_until(b'\n', &mut line)?;
        match line.is_empty() {
            true => Err(io::ErrorKind::UnexpectedEof.into()),
            false => Ok(serde_json::from_slice(&line)?),
        }
    }
}
