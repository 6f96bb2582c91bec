//! The city asks something: a campaign of one question and one vote goes from its file to the booth.

use std::path::Path;

use booth_stage::stage::{Fault, Stage};

use super::{BOOTH, booth_hub, shown, write};

/// What is asked: the question of the booth's own recordings, and a vote whose words espeak-ng speaks. In both languages of the
/// demonstration.
fn file(prompts: &Path, language: &str) -> String {
    let recording = prompts.join(language).join("square.opus");
    let square = square(language);
    let [which, green, red] = match language {
        "da" => ["Hvilken farve skal bænken have?", "grøn", "rød"],
        _ => ["Which colour should the bench have?", "green", "red"],
    };
    format!(
        "id = \"square-2026\"\ntitle = \"The square at Rundhøj\"\nbooths = [{BOOTH:?}]\nlanguage = {language:?}\n\n\
         [[question]]\nid = \"square\"\ndigit = 1\nkind = \"speak\"\npublish = \"ask_text\"\ntext.{language} = {square:?}\n\
         sound.{language} = {recording:?}\n\n\
         [[question]]\nid = \"bench\"\ndigit = 2\nkind = \"choose\"\ntext.{language} = {which:?}\n\
         [[question.option]]\ndigit = 2\nid = \"green\"\ntext.{language} = {green:?}\n\
         [[question.option]]\ndigit = 3\nid = \"red\"\ntext.{language} = {red:?}\n"
    )
}

/// The question of the booth's own recordings.
pub(super) fn square(language: &str) -> &'static str {
    match language {
        "da" => "Hvad skal der ske på torvet?",
        _ => "What should happen on the square?",
    }
}

/// Publishes it as a person at the city does, and waits until the booth asks it.
pub(super) fn ask(
    stage: &Stage,
    programs: &Path,
    prompts: &Path,
    language: &str,
) -> Result<(), Fault> {
    let path = write(stage, "square.toml", &file(prompts, language))?;
    let config = stage.folder.join("hub.toml");
    for verb in ["check", "prompts", "publish"] {
        let arguments = [
            "campaign".as_ref(),
            verb.as_ref(),
            path.as_os_str(),
            "--config".as_ref(),
            config.as_os_str(),
        ];
        let said = booth_hub(programs, &arguments)?;
        let last = said.trim().lines().last().unwrap_or_default();
        stage.steps.done(&format!(
            "booth-hub campaign {verb} {}: {last}",
            shown(&path)
        ));
    }
    Ok(())
}
