//! What root's updater reads before it knows who signed it: the file's members, the manifest, and the address that it is fetched from.
//!
//! The first byte chooses: a manifest, a whole file, or an address with the entries that allow it, a line each.

use booth_gateway::trust::keys::Keys;
use booth_gateway::trust::whence::Whence;
use booth_gateway::update::describe;
use booth_gateway::update::http::{check_url, check_whence};
use booth_gateway::update::manifest::{Floor, Image, Manifest, Standing};

const BOARD: &str = "raspberry-pi-arm64";

pub fn run(data: &[u8]) {
    let Some((how, bytes)) = data.split_first() else {
        return;
    };
    match how % 3 {
        0 => manifest(bytes),
        1 => {
            let said = describe(bytes, &Keys::default());
            if let Err(error) = said {
                assert!(error.to_string().len() < 2_000);
            }
        }
        _ => address(&String::from_utf8_lossy(bytes)),
    }
}

/// No manifest takes a booth back, whatever else stands in it.
fn manifest(bytes: &[u8]) {
    let Ok(manifest) = Manifest::parse(bytes) else {
        return;
    };
    let running = Image {
        image_id: "11".repeat(32),
        version: "0.1.0".into(),
        released: 0,
        counter: 5,
        board: BOARD.into(),
        kernel: String::new(),
    };
    let kept = Floor {
        counter: 9,
        image_id: "22".repeat(32),
    };
    let here = Standing {
        running: &running,
        kept: &kept,
        booth: "rundhoej-1",
        today: None,
        latest_day: None,
    };
    let is_taken = manifest.admit(&here, 1 << 30).is_ok();
    let is_the_kept_one = manifest.counter == 9 && manifest.image_id == kept.image_id;
    assert!(
        !is_taken || manifest.counter > 9 || is_the_kept_one,
        "{manifest:?}"
    );
    assert!(!is_taken || manifest.board == BOARD);
    assert!(
        manifest
            .slot_letter_at
            .iter()
            .all(|at| *at < manifest.slot_bytes)
    );
}

/// Nothing that is not allowed is inside.
fn address(text: &str) {
    let (url, allow) = text.split_once('\n').unwrap_or((text, ""));
    let entries: Vec<&str> = allow.lines().collect();
    let whence = Whence::parse(&entries).unwrap_or_default();
    let is_taken = check_url(url).is_ok() && check_whence(url, &whence).is_ok();
    let is_inside = ["127.0.0.1", "10.0.0.1", "[::1]", "192.168.0.1"]
        .iter()
        .any(|host| url == format!("https://{host}/") || url == format!("http://{host}/"));
    assert!(
        !(is_taken && is_inside && whence == Whence::default()),
        "{url}"
    );
    if let Err(why) = check_url(url).map_err(|why| why.to_string()) {
        assert!(why.len() < 400 && !why.contains('\n'), "{why}");
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let manifest = serde_json::json!({
        "format": 1, "board": BOARD, "version": "0.2.0", "image_id": "22".repeat(32), "released": 2000, "counter": 9,
        "slot_bytes": 65536, "slot_sha256": "cd".repeat(32), "slot_letter_at": [5000],
        "allow_older": {"booths": ["rundhoej-1"], "until": "2026-12-31"}
    })
    .to_string();
    let file = booth_gateway::update::container::pack(&[
        (
            booth_gateway::update::container::MANIFEST,
            manifest.as_bytes(),
        ),
        (
            booth_gateway::update::container::SIGNATURE,
            b"untrusted comment: x\n",
        ),
        (booth_gateway::update::container::PAYLOAD, &[7; 1024]),
    ]);
    let seed = |how: u8, bytes: &[u8]| [&[how], bytes].concat();
    vec![
        seed(0, manifest.as_bytes()),
        seed(1, &file),
        seed(2, b"https://updates.example/x?y=z"),
        seed(2, b"http://10.0.2.2:8000/a\n10.0.2.0/24\nupdates.example"),
        seed(2, b"https://[::1]/\nfd00::/8"),
        seed(2, b"https://127.0.0.1/"),
    ]
}
