//! Whatever a stranger writes on a connection to the hub's pages, which show one stored clip.
//!
//! Nothing of an answer may be larger than a page or the clip, no file but the clip's is ever told, and the store stays as it is.

use std::sync::{Arc, Mutex, OnceLock};

use booth_contract::hex;
use booth_contract::time::Mono;
use booth_hub::http::{self, Names};
use booth_hub::store::{BrokerStatus, Message, Store, StoreRules, StoreViews};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CLIP: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
const BOOTH: &str = "rundhoej-1";
/// Largest page, bytes; a clip's body has fewer.
const LARGEST: usize = 256 * 1024;
/// Longest input that is sent.
const LONGEST: usize = 64 * 1024;

struct Rig {
    views: Arc<StoreViews>,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

fn body() -> Vec<u8> {
    (0..3_000u32).map(|at| (at / 7) as u8).collect()
}

/// Made once: nothing that is asked changes it.
fn rig() -> &'static Rig {
    static RIG: OnceLock<Rig> = OnceLock::new();
    RIG.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("store");
        let mut store = Store::open(&StoreRules {
            dir: dir.clone(),
            max_clip_bytes: 1_000_000,
            root: "booth/1".into(),
            database: None,
            bodies: None,
        })
        .expect("a store");
        let body = body();
        let manifest = serde_json::json!({"schema":1,"clip_id":CLIP,"clip_no":1,"card_id":"c1","booth_id":BOOTH,"boot_id":"b",
            "kind":"audio","source":"booth","test":0,"question_id":"<q>&\"","lang":"da","started_at":"2026-03-01T10:00:00.000Z",
            "started_mono_ms":5,"clock_synced":1,"duration_ms":1000,"ended_by":"hang_up","recovered":0,"body":"ogg-opus",
            "bytes":body.len(),"sha256":hex(&Sha256::digest(&body)),"key_ids":[]});
        let wall: Timestamp = "2026-03-01T10:00:00Z".parse().expect("a time");
        let mut say = |tail: &str, payload: Vec<u8>| {
            let message = Message {
                topic: format!("booth/1/up/{BOOTH}/{tail}"),
                payload,
                retained: false,
                expiry_s: None,
            };
            store.handle(wall, Mono(1), &message).expect("handled");
        };
        say(&format!("clip/{CLIP}"), manifest.to_string().into_bytes());
        say(&format!("part/{CLIP}/0"), body);
        store.commit().expect("committed");
        drop(store);
        let status = Arc::new(Mutex::new(BrokerStatus {
            connected: true,
            detail: "connected".into(),
            rival: None,
        }));
        Rig {
            views: Arc::new(StoreViews::open(&dir, Vec::new(), status).expect("views")),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime"),
            _folder: folder,
        }
    })
}

/// What comes back for these bytes.
fn answered(asked: &[u8]) -> Vec<u8> {
    let rig = rig();
    rig.runtime.block_on(async {
        let (mut guest, host) = tokio::io::duplex(LONGEST);
        let names = Names::new([127, 0, 0, 1].into(), &["hub.example".into()]);
        let hub = http::converse(host, rig.views.clone(), names);
        let asks = async {
            guest.write_all(asked).await.expect("it fits");
            guest.shutdown().await.expect("ended");
            let mut answer = Vec::new();
            // Pages of several requests come one after the other.
            let most = (LARGEST * 64) as u64;
            (&mut guest)
                .take(most)
                .read_to_end(&mut answer)
                .await
                .expect("read");
            answer
        };
        tokio::join!(hub, asks).1
    })
}

pub fn run(data: &[u8]) {
    let asked = &data[..data.len().min(LONGEST - 1)];
    let answer = answered(asked);
    if answer.is_empty() {
        return; // nothing whole was asked
    }
    assert!(
        answer.starts_with(b"HTTP/1."),
        "{:?}",
        String::from_utf8_lossy(&answer[..60.min(answer.len())])
    );
    let status: u16 = answer
        .get(9..12)
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
        .expect("a status");
    let known = [
        100, 200, 206, 304, 400, 404, 405, 411, 412, 413, 414, 416, 417, 421, 431, 500, 501, 505,
    ];
    assert!(known.contains(&status), "{status}");
    assert_ne!(status, 500, "the store answers");
    let requests = asked.windows(4).filter(|end| end == b"\r\n\r\n").count()
        + asked.windows(2).filter(|end| end == b"\n\n").count();
    assert!(
        answer.len() <= (requests + 1) * LARGEST,
        "{} bytes for {requests} requests",
        answer.len()
    );
    if status == 200 || status == 206 {
        let text = String::from_utf8_lossy(asked).to_ascii_lowercase();
        assert!(
            ["localhost", "127.", "hub.example", "::1"]
                .iter()
                .any(|name| text.contains(name)),
            "nobody is answered under a stranger's name"
        );
        let told = String::from_utf8_lossy(&answer).into_owned();
        assert!(!told.contains("<q>"), "what booths say is never markup");
        assert!(
            !told.contains("SQLite format"),
            "no file but a clip's is told"
        );
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let get = |path: &str, more: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: localhost:8080\r\n{more}Connection: close\r\n\r\n")
            .into_bytes()
    };
    let cursor = format!("2026-03-01T10:00:00.000Z~{CLIP}");
    vec![
        get("/", ""),
        get("/operations", ""),
        get("/look-at?per_page=20", ""),
        get(&format!("/?older={cursor}&per_page=2"), ""),
        get(&format!("/clips/{CLIP}"), ""),
        get(&format!("/clips/{CLIP}.opus"), "Range: bytes=0-99\r\n"),
        get(&format!("/clips/{CLIP}"), "Range: bytes=-5, 7-9\r\nIf-Range: \"x\"\r\nIf-None-Match: *\r\n"),
        get("/clips/..%2f..%2fhub.sqlite", ""),
        get("/../hub.sqlite", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
        b"HEAD http://hub.example/ HTTP/1.1\r\nHost: hub.example\r\n\r\nGET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n".to_vec(),
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_vec(),
        b"GET / HTTP/1.0\r\n\r\n".to_vec(),
    ]
}
