//! What lies sealed, what the city's key opens, and what is left of a message that was taken back.

use std::path::{Path, PathBuf};
use std::process::Command;

use booth_stage::stage::{Fault, Stage};

use super::{KEY, booth_hub, shown};

/// Shows that the clip lies sealed at the hub, and opens it as whoever has the key does.
pub(super) fn open(stage: &Stage, programs: &Path, clip: &str) -> Result<(), Fault> {
    let (sealed, opened) = (body_of(stage, clip), stage.folder.join("opened.opus"));
    let body = std::fs::read(&sealed).map_err(|error| format!("{}: {error}", sealed.display()))?;
    if body.windows(4).any(|bytes| bytes == b"OggS") {
        return Err("what was said lies open at the hub".to_owned().into());
    }
    stage.steps.done(&format!(
        "the card had it sealed, and the hub keeps it so: {} bytes in {}",
        body.len(),
        shown(&sealed)
    ));
    let key = stage.folder.join(KEY);
    let arguments = [
        "open".as_ref(),
        sealed.as_os_str(),
        "--identity".as_ref(),
        key.as_ref(),
        "--output".as_ref(),
        opened.as_ref(),
    ];
    let said = booth_hub(programs, &arguments)?;
    let last = said.trim().lines().last().unwrap_or_default().to_owned();
    let length = playback_length(&opened)?;
    stage.steps.done(&format!(
        "with the city's key booth-hub opens it into {} ({length}): {last}",
        shown(&opened)
    ));
    Ok(())
}

/// How long a conformant Ogg Opus file plays, as opusinfo says.
fn playback_length(file: &Path) -> Result<String, Fault> {
    let info = Command::new("opusinfo")
        .arg(file)
        .output()
        .map_err(|error| {
            format!("opusinfo does not start: {error}; it is in Debian's package opus-tools")
        })?;
    let info = String::from_utf8_lossy(&info.stdout).into_owned();
    let mut lines = info.lines();
    let length = lines.find_map(|line| line.trim().strip_prefix("Playback length: "));
    length.map(str::to_owned).ok_or_else(|| {
        format!(
            "opusinfo finds no clip in {}: {}",
            file.display(),
            info.trim()
        )
        .into()
    })
}

/// The folder of the centre's prompts on a booth's card, which are there to be heard.
const PROMPTS: &str = "centre";

/// Where the hub keeps the body of a sealed clip (docs/hub-store.md).
fn body_of(stage: &Stage, clip: &str) -> PathBuf {
    let folder = stage.folder.join("store/clips").join(&clip[..2]);
    folder.join(format!("{clip}.sealed"))
}

/// Where the hub keeps its envelope, without which no key opens it.
fn envelope_of(stage: &Stage, clip: &str) -> PathBuf {
    let folder = stage.folder.join("store-private/envelopes");
    folder.join(&clip[..2]).join(clip)
}

/// Waits until the hub has nothing left of a clip that was taken back.
pub(super) fn is_gone(stage: &Stage, clip: &str) -> Result<(), Fault> {
    let left = [body_of(stage, clip), envelope_of(stage, clip)];
    stage.wait_for("the hub has deleted the message", "hub", || {
        Ok(left.iter().all(|file| !file.exists()).then_some(()))
    })?;
    stage
        .steps
        .done("the hub has deleted the message: body, envelope and row are gone");
    Ok(())
}

/// Looks through everything on the booth's card for sound and for the receipt.
pub(super) fn card_tells_nothing(stage: &Stage, receipt: &str) -> Result<(), Fault> {
    let digits: String = receipt.chars().filter(char::is_ascii_digit).collect();
    let mut folders = vec![stage.folder.join("spool")];
    let (mut files, mut bytes) = (0, 0);
    while let Some(folder) = folders.pop() {
        let entries =
            std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            // A file of the running booth may have gone meanwhile.
            let Ok(content) = std::fs::read(&path) else {
                continue;
            };
            let is_prompt = path.components().any(|part| part.as_os_str() == PROMPTS);
            let holds = |what: &[u8]| content.windows(what.len()).any(|part| part == what);
            if holds(digits.as_bytes()) || (holds(b"OggS") && !is_prompt) {
                return Err(format!("the card tells something: {}", shown(&path)).into());
            }
            files += 1;
            bytes += content.len();
        }
    }
    stage.steps.done(&format!(
        "the booth's card, {files} files of {bytes} bytes in {}, has no word that was said and no receipt",
        shown(&stage.folder.join("spool"))
    ));
    Ok(())
}
