//! `booth-hub campaign …`: the verbs and their help, which teaches.
//!
//! Owns: the arguments. Never does: exit.

use std::path::PathBuf;
use std::sync::Arc;

use booth_contract::wanted::LocalTime;
use booth_host::{clock, say};
use clap::{Args, Subcommand};
use jiff::tz::TimeZone;

use super::CampaignError;
use super::codes::{self, Codes};
use super::stops::{self, Wish};
use super::{author, change, shown};

/// The verbs of `booth-hub campaign`.
#[derive(Debug, Subcommand)]
pub enum Campaign {
    /// Write a commented example of a campaign's file
    ///
    /// From text to live in four steps:
    ///
    ///   booth-hub campaign new square.toml        # and write your questions into it
    ///   booth-hub campaign check square.toml      # names everything that is wrong, with its line
    ///   booth-hub campaign prompts square.toml    # speaks the texts, and levels recordings
    ///   booth-hub campaign publish square.toml    # to the booths, and shows how far each is
    ///
    /// docs/campaigns.md tells more.
    #[command(verbatim_doc_comment)]
    New {
        /// Where it goes; no file is overwritten
        file: PathBuf,
    },
    /// Name everything that is wrong with a campaign's file, and which prompts are still to be made
    ///
    /// Connects to nothing and changes nothing. Exit status: 0 it can be published, 78 it cannot.
    #[command(verbatim_doc_comment)]
    Check {
        /// The campaign's file
        file: PathBuf,
        #[command(flatten)]
        general: General,
    },
    /// Make the sound of every prompt: text is spoken, recordings are levelled
    ///
    /// Texts are spoken by espeak-ng (Debian's package espeak-ng). Recordings may be Opus, WAV, MP3, FLAC, M4A, Ogg Vorbis or AIFF. Each
    /// becomes as loud as the booth's own voice, without the silence around it, at most 100 KiB. What was made and has not changed is not
    /// made again. Listen to the files that it names before you publish.
    #[command(verbatim_doc_comment)]
    Prompts {
        /// The campaign's file
        file: PathBuf,
        #[command(flatten)]
        general: General,
    },
    /// Publish a campaign to its booths, and show how far each of them is
    ///
    /// A booth may have several campaigns; they are put together, each digit once at any time. What a booth has in force stays so until it
    /// has everything that the new configuration names, so that nothing is ever half there. Publishing again replaces the campaign of
    /// the same id. Without FILE everything that is published is sent again: to a broker that has lost it, to a booth that is new, and
    /// without campaigns that are over.
    ///
    /// Notice and emergency prompts count only with a signature of a key that the booths know ([control] keys in their booth.toml):
    ///
    ///   booth-hub campaign publish square.toml --to-sign square.txt
    ///   minisign -S -s city.key -m square.txt
    ///   booth-hub campaign publish square.toml --signed square.txt.minisig
    ///
    /// Exit status: 0 published, 1 not published or refused by a booth, 78 the file is wrong. A booth that is away takes it when it is back.
    #[command(verbatim_doc_comment)]
    Publish {
        /// The campaign's file; without it, all that is published already
        file: Option<PathBuf>,
        /// Only at this booth of those that the file names; may be given several times
        #[arg(long, value_name = "ID", requires = "file")]
        booth: Vec<String>,
        #[command(flatten)]
        sending: Sending,
        #[command(flatten)]
        general: General,
    },
    /// Make a list of one-time codes, so that each person votes once
    ///
    /// For a campaign in whose file a vote says codes = true: it counts only with a code of this list, each code once a question, the first
    /// vote with it. The hub keeps hashes alone: what this command writes is the only copy. Hand the codes out, one to a person:
    ///
    ///   booth-hub campaign codes square-2026 --count 500 --paper codes.html   # a page to print and cut
    ///   booth-hub campaign codes square-2026 --count 500 --csv codes.csv      # a table, for letters
    ///   booth-hub campaign codes square-2026                                  # how many there are and are used
    ///
    /// Run again, it adds to the list. Name other emergency numbers of the booths than 112 in hub.toml, [codes] emergency_numbers.
    #[command(verbatim_doc_comment)]
    Codes(Codes),
    /// Say what is published, and how far each booth is with it
    List {
        #[command(flatten)]
        general: General,
    },
    /// Show one campaign: its questions, its booths, what each has in force and since when
    Show {
        /// The campaign's id, or a booth's
        id: String,
        #[command(flatten)]
        general: General,
    },
    /// Take a campaign back from its booths
    ///
    /// What was said in it stays at the hub. A booth without any campaign asks what its own booth.toml says.
    #[command(verbatim_doc_comment)]
    Withdraw {
        /// The campaign's id
        id: String,
        #[command(flatten)]
        sending: Sending,
        #[command(flatten)]
        general: General,
    },
    /// Stop one question at all booths, and hide its pages
    ///
    /// It is gone from the booths' menus as soon as each has heard so, and from the citizens' pages and open data within a minute, with what
    /// was said to it. Answers from home are refused. Nothing is deleted: booth-hub campaign resume brings all of it back.
    ///
    ///   booth-hub campaign stop square-2026 colour --why "a name was read out in it"
    ///
    /// Operators do the same with one button on the page /questions.
    #[command(verbatim_doc_comment)]
    Stop {
        /// The campaign's id
        campaign: String,
        /// The question's id
        question: String,
        /// Why, in one sentence; it stays in the log of acts
        #[arg(long, value_name = "SENTENCE")]
        why: String,
        #[command(flatten)]
        sending: Sending,
        #[command(flatten)]
        general: General,
    },
    /// Give a stopped question back to the booths and the pages
    Resume {
        /// The campaign's id
        campaign: String,
        /// The question's id
        question: String,
        #[command(flatten)]
        sending: Sending,
        #[command(flatten)]
        general: General,
    },
    /// Take the latest publish or withdraw back
    ///
    /// The campaigns that were published before come back, as a new version. Run again, it takes back the one before that.
    #[command(verbatim_doc_comment)]
    Undo {
        #[command(flatten)]
        sending: Sending,
        #[command(flatten)]
        general: General,
    },
}

/// What every verb takes.
#[derive(Debug, Args)]
pub struct General {
    /// One JSON object instead of lines for people
    #[arg(long)]
    pub(super) json: bool,
    /// The hub's configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/booth-hub/hub.toml")]
    pub(super) config: PathBuf,
    /// Who hears the sentences for people, where it is not whoever gave the command
    #[arg(skip)]
    pub(super) listener: Listener,
}

/// What hears sentences about how far the work is.
type Hears = dyn Fn(&str) + Send + Sync;

/// Where the sentences for people go.
#[derive(Clone, Default)]
pub(super) struct Listener(pub(super) Option<Arc<Hears>>);

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            None => "whoever gave the command",
            Some(_) => "a page",
        })
    }
}

impl General {
    /// Says a sentence for people.
    pub(super) fn tell(&self, sentence: &str) {
        match &self.listener.0 {
            None => say!("{sentence}"),
            Some(listener) => listener(sentence),
        }
    }
}

/// What every verb takes that publishes.
#[derive(Debug, Args)]
pub struct Sending {
    /// Say what would be published, and publish nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// How long to wait for the booths to have it in force, s; 0: not at all
    #[arg(long, value_name = "SECONDS", default_value_t = 90)]
    pub(super) wait: u64,
    /// Write the text that is to be signed into this file, and publish nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "signed"])]
    pub(super) to_sign: Option<PathBuf>,
    /// The signature that minisign has made of that text; may be given several times
    #[arg(long, value_name = "FILE.minisig")]
    pub(super) signed: Vec<PathBuf>,
    /// Texts with their signatures, where they come from no file
    #[arg(skip)]
    pub(super) signed_texts: Vec<(String, String)>,
    /// Let booths take it although they know a higher version; counts only with a signature
    #[arg(long)]
    pub(super) force: bool,
}

/// Does what a verb says.
///
/// # Errors
/// Why it was not done.
pub async fn run(campaign: Campaign) -> Result<(), CampaignError> {
    match campaign {
        Campaign::New { file } => author::new(&file),
        Campaign::Check { file, general } => author::check(&file, &general),
        Campaign::Prompts { file, general } => author::prompts(&file, &general),
        Campaign::Publish {
            file,
            booth,
            sending,
            general,
        } => change::publish(file.as_deref(), booth, &sending, &general).await,
        Campaign::Codes(verb) => codes::codes(&verb),
        Campaign::List { general } => shown::list(&general),
        Campaign::Show { id, general } => shown::show(&id, &general),
        Campaign::Withdraw {
            id,
            sending,
            general,
        } => change::withdraw(&id, &sending, &general).await,
        Campaign::Stop {
            campaign,
            question,
            why,
            sending,
            general,
        } => {
            let wish = on_the_command_line(&campaign, &question, Some(&why));
            stops::command(wish, &sending, &general).await
        }
        Campaign::Resume {
            campaign,
            question,
            sending,
            general,
        } => {
            let wish = on_the_command_line(&campaign, &question, None);
            stops::command(wish, &sending, &general).await
        }
        Campaign::Undo { sending, general } => change::undo(&sending, &general).await,
    }
}

fn on_the_command_line<'a>(campaign: &'a str, question: &'a str, why: Option<&'a str>) -> Wish<'a> {
    Wish {
        campaign,
        question,
        by: "command line",
        why,
    }
}

/// Local time, as the hub's machine has it; a city's booths and its hub are in one zone.
pub(super) fn local_now() -> LocalTime {
    LocalTime::of(
        clock::wall()
            .to_zoned_datetime(TimeZone::system())
            .datetime(),
    )
}
