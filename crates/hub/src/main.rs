//! The hub's program: arguments, configuration, run, exit status; the only place that exits.
#![deny(clippy::print_stdout, clippy::print_stderr)]

#[path = "main/arguments.rs"]
mod arguments;
#[path = "main/failure.rs"]
mod failure;
#[path = "main/import.rs"]
mod import;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use arguments::{Arguments, Command, Keys};
use booth_contract::Publish;
use booth_database::elsewhere::Elsewhere;
use booth_host::say;
use booth_host::{clock, crew, journal, out};
use booth_hub::areas;
use booth_hub::backups;
use booth_hub::campaign;
use booth_hub::config::HubConfig;
use booth_hub::desk;
use booth_hub::dpia;
use booth_hub::enrol;
use booth_hub::forget;
use booth_hub::ingest;
use booth_hub::ingest_worker;
use booth_hub::keys;
use booth_hub::people;
use booth_hub::pilot;
use booth_hub::recordings;
use booth_hub::serve;
use booth_hub::store::{self, Accepted, Checked, Happened, Migrated, Progress, Rebuilt};
use booth_hub::unseal;
use failure::Failure;

/// EX_CONFIG of sysexits.h: a bad configuration; systemd does not restart on it.
const EX_CONFIG: u8 = 78;

fn main() -> ExitCode {
    match out::arguments::<Arguments>() {
        Ok(arguments) => out::status(run_command(arguments.command)),
        Err(status) => status,
    }
}

fn run_command(command: Command) -> ExitCode {
    match command {
        Command::Serve { .. } | Command::Ingest { .. } => {
            journal::init_daemon("booth-hub", log::LevelFilter::Info);
            crew::log_panics();
        }
        Command::Check { .. }
        | Command::Rebuild { .. }
        | Command::Migrate { .. }
        | Command::Backup { .. }
        | Command::Restore { .. }
        | Command::Accept { .. }
        | Command::Import { .. }
        | Command::ImportRecordings { .. }
        | Command::Withdraw { .. }
        | Command::Child { .. }
        | Command::History { .. }
        | Command::Campaign { .. }
        | Command::People { .. }
        | Command::Dpia { .. }
        | Command::Areas { .. }
        | Command::Keys { .. }
        | Command::Enrol { .. }
        | Command::Pilot(_)
        | Command::Open { .. }
        | Command::Forget { .. } => journal::init("booth-hub", log::LevelFilter::Info),
    }
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Config(sentence)) => {
            log::error!("{sentence}");
            ExitCode::from(EX_CONFIG)
        }
        Err(Failure::Operation(sentence)) => {
            log::error!("{sentence}");
            ExitCode::FAILURE
        }
        Err(Failure::Reported) => ExitCode::FAILURE,
    }
}

fn run(command: Command) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Operation(format!("the system refuses: {error}")))?;
    match command {
        Command::Serve { sealed, config } => {
            let config = HubConfig::load(&config)?;
            match sealed {
                true => Ok(runtime.block_on(desk::serve(config))?),
                false => Ok(runtime.block_on(serve::serve(config))?),
            }
        }
        Command::Ingest { worker, config } => {
            let config = HubConfig::load(&config)?;
            Ok(runtime.block_on(ingest_worker::work(config, worker))?)
        }
        Command::Withdraw { clip, config } => {
            let config = HubConfig::load(&config)?;
            if !ingest::is_clip_id(&clip) {
                return Err(Failure::Operation(format!("{clip:?} is no clip's id")));
            }
            store::ask_to_withdraw(&config.store.dir, clock::wall(), &clip.into())?;
            say!("The hub deletes it within seconds, or before it serves again.");
            Ok(())
        }
        Command::Child { clip, undo, config } => {
            let config = HubConfig::load(&config)?;
            match store::mark_child(&config.store.dir, &clip.into(), !undo)? {
                true => say!("It is marked."),
                false => return Err(Failure::Operation("there is no such clip".into())),
            }
            Ok(())
        }
        Command::Check { json, config } => {
            let config = HubConfig::load(&config)?;
            let checked = store::check(&config.store.dir, Progress::new("read"))?;
            tell_checked(&checked, json);
            match checked.findings.is_empty() {
                true => Ok(()),
                false => Err(Failure::Reported),
            }
        }
        Command::Rebuild { json, config } => {
            let config = HubConfig::load(&config)?;
            let (dir, zone) = (&config.store.dir, config.city.zone());
            let rebuilt = store::rebuild_in(dir, &zone, Progress::new("read"))?;
            tell_rebuilt(&rebuilt, json);
            Ok(())
        }
        Command::Migrate {
            database,
            password_file,
            ca_file,
            json,
            config,
        } => {
            // The note is read by a hub that runs elsewhere.
            let whole = |file: PathBuf| std::path::absolute(&file).unwrap_or(file);
            let dir = HubConfig::load(&config)?.store.dir;
            let to = Elsewhere {
                database,
                password_file: password_file.map(whole),
                ca_file: ca_file.map(whole),
            };
            let migrated = store::migrate(&dir, &to, Progress::new("moved"))?;
            tell_migrated(&migrated, &to, json);
            Ok(())
        }
        Command::Backup {
            folder,
            keep_days,
            json,
            config,
        } => {
            let rules = serve::store_rules(&HubConfig::load(&config)?);
            let progress = Progress::new("copied");
            let made = store::backup(&rules, &folder, keep_days, clock::wall(), progress)?;
            backups::tell_made(&made, json);
            Ok(())
        }
        Command::Restore {
            folder,
            json,
            config,
        } => {
            let config = HubConfig::load(&config)?;
            let rules = serve::store_rules(&config);
            let restored = store::restore(&folder, &rules, Progress::new)?;
            backups::tell_restored(&restored, json);
            if !json {
                tell_checked(&restored.checked, false);
            }
            match restored.checked.findings.is_empty() {
                true => Ok(()),
                false => Err(Failure::Reported),
            }
        }
        Command::Import {
            folder,
            booth,
            json,
            config,
        } => {
            let config = HubConfig::load(&config)?;
            runtime.block_on(import::run(config, folder, booth, json))
        }
        Command::ImportRecordings {
            folder,
            campaign,
            question,
            language,
            notice,
            publish,
            config,
        } => {
            let config = HubConfig::load(&config)?;
            let asked = campaign::has_question(&config.store.dir, &campaign, &question)?;
            if !asked {
                return Err(Failure::Operation(format!(
                    "There is no question {question:?} in a published campaign {campaign:?}: booth-hub campaign list names them."
                )));
            }
            let import = recordings::Import {
                folder,
                campaign,
                question,
                language,
                notice,
                may_publish: match publish.as_str() {
                    "text" => Publish::Text,
                    "voice" => Publish::Voice,
                    _ => Publish::No,
                },
            };
            let mut store = None;
            let mut keeper = import::keeper(&config, &mut store)?;
            let imported = recordings::import(&mut keeper, &import, |n, of, path, what| {
                say!(
                    "{n}/{of} {}: {what}",
                    drives_no_terminal(&path.display().to_string())
                );
            })?;
            say!(
                "{} new, {} here before, {} left out. They wait for a moderator as source \"phone\".",
                imported.new,
                imported.before,
                imported.left_out.len()
            );
            Ok(())
        }
        Command::Accept { clip, card, config } => {
            let config = HubConfig::load(&config)?;
            let what = match (clip, card) {
                (Some(clip), _) => Accepted::Clip(clip.into()),
                (None, card) => Accepted::Card(card.unwrap_or_default().into()),
            };
            match store::accept(&config.store.dir, clock::wall(), &what)? {
                0 => say!("No such clip is held."),
                1 => say!("One clip counts from now on."),
                n => say!("{n} clips count from now on."),
            }
            Ok(())
        }
        Command::History {
            booth,
            json,
            config,
        } => {
            let config = HubConfig::load(&config)?;
            for happened in store::history(&config.store.dir, &booth)? {
                let Happened { at, what, id, text } = &happened;
                match json {
                    true => say!("{}", serde_json::json!(happened)),
                    false => say!("{at} {what} {id}: {}", drives_no_terminal(text)),
                }
            }
            Ok(())
        }
        Command::Campaign { command } => Ok(runtime.block_on(campaign::run(command))?),
        Command::People { command } => Ok(people::run(command)?),
        Command::Dpia {
            language,
            output,
            config,
        } => {
            let config = HubConfig::load(&config)?;
            for path in dpia::write(&config, &language, &output)? {
                say!("{}", path.display());
            }
            Ok(())
        }
        Command::Areas { command } => Ok(areas::run(command)?),
        Command::Keys { command } => run_keys(command),
        Command::Pilot(asked) => Ok(pilot::run(&asked)?),
        Command::Enrol {
            booth,
            name,
            place,
            output,
            wait,
            config,
        } => {
            let config = HubConfig::load(&config)?;
            let output = output.unwrap_or_else(|| PathBuf::from(format!("card-{booth}")));
            let wanted = enrol::Wanted {
                booth,
                name,
                place,
                output,
            };
            let before = enrol::enrol(&config, &wanted)?;
            match wait {
                0 => Ok(()),
                minutes => Ok(enrol::follow(
                    &config,
                    &wanted.booth,
                    before.as_ref(),
                    Duration::from_secs(minutes.saturating_mul(60)),
                )?),
            }
        }
        Command::Open {
            file,
            identity,
            output,
        } => open(&file, &identity, output),
        Command::Forget { booth, config } => {
            let config = HubConfig::load(&config)?;
            let cleared = runtime.block_on(forget::forget(&config, &booth))?;
            campaign::forget_booth(&config.store.dir, &booth)?;
            say!("{booth} is forgotten: {cleared} topics cleared; its clips stay.");
            if config.booths.iter().any(|expected| expected.id == booth) {
                say!("hub.toml still expects it: remove its [[booth]] entry.");
            }
            Ok(())
        }
    }
}

fn run_keys(command: Keys) -> Result<(), Failure> {
    let recipient = match command {
        Keys::New { identity, paper } => {
            let made = keys::make(&identity, paper.as_deref(), clock::wall())?;
            say!("The private key is in {}.", identity.display());
            if let Some(paper) = paper {
                let paper = paper.display();
                say!("Print {paper}, delete it, and lock the sheet away.");
            }
            made.recipient
        }
        Keys::Show { identity } => keys::read(&identity)?.recipient(),
    };
    say!("Public key, for the booths: {recipient}");
    say!("Its name in reports: {}", recipient.id());
    Ok(())
}

fn open(file: &Path, identities: &[PathBuf], output: Option<PathBuf>) -> Result<(), Failure> {
    let unsealed = unseal::unseal(file, identities, output)
        .map_err(|error| Failure::Operation(error.to_string()))?;
    let what = match unsealed.is_text {
        true => "a written message".to_owned(),
        false => format!("{:.1} s", unsealed.duration_ms as f64 / 1_000.0),
    };
    say!(
        "{}: {what}, in {}",
        unsealed.clip,
        unsealed.output.display()
    );
    let sentence = unseal::sentence(&unsealed.ending);
    if !unsealed.ending.has_all() {
        return Err(Failure::Operation(sentence));
    }
    say!("{sentence}");
    Ok(())
}

fn tell_checked(checked: &Checked, json: bool) {
    if json {
        return say!("{}", serde_json::json!(checked));
    }
    for found in &checked.findings {
        say!(
            "{}: {}: {}. What to do: {}.",
            found.what,
            found.path.display(),
            found.why,
            found.remedy
        );
    }
    let Checked {
        clips,
        bodies,
        bytes,
        ..
    } = checked;
    let found = match checked.findings.len() {
        0 => "all is as it should be".to_owned(),
        1 => "one thing is not as it should be".to_owned(),
        n => format!("{n} things are not as they should be"),
    };
    say!("{clips} clips in the database, {bodies} bodies read ({bytes} bytes): {found}.");
}

fn tell_rebuilt(rebuilt: &Rebuilt, json: bool) {
    if json {
        return say!("{}", serde_json::json!(rebuilt));
    }
    for clip_id in &rebuilt.lost {
        say!(
            "{clip_id}: its body is missing or damaged; if its booth offers it again, it is asked for it."
        );
    }
    for path in &rebuilt.without_manifest {
        say!(
            "{}: a body without its manifest, of which nothing is known; if its booth offers it again, it is taken in.",
            path.display()
        );
    }
    match &rebuilt.before {
        Some(before) => say!("The database before is {}.", before.display()),
        None => say!("There was no database before."),
    }
    if !rebuilt.is_carried_over {
        say!(
            "What only a database knows is lost: births, health, alerts, events and what was to be looked at (the booths say most of it again \
             when the hub comes), and the times of clips that were spoken before their booth's clock was right."
        );
    }
    say!(
        "The database has {} clips, {} of them held, {} without a whole body; {} ids are withdrawn.",
        rebuilt.clips,
        rebuilt.held,
        rebuilt.lost.len(),
        rebuilt.withdrawn
    );
}

fn tell_migrated(migrated: &Migrated, to: &Elsewhere, json: bool) {
    if json {
        return say!("{}", serde_json::json!(migrated));
    }
    say!(
        "{} rows are in {}. Clips stay where they are. Before the hub starts, put this into hub.toml:\n",
        migrated.rows,
        to.database
    );
    say!("  [store]\n  database = \"{}\"", to.database);
    if let Some(file) = &to.password_file {
        say!("  database_password_file = \"{}\"", file.display());
    }
    if let Some(file) = &to.ca_file {
        say!("  database_ca_file = \"{}\"", file.display());
    }
    say!("\n{}", migrated.advice());
}

/// What comes from outside, with its control characters written out.
fn drives_no_terminal(text: &str) -> String {
    let written = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(written).collect()
}
