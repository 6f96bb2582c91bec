//! The columns of each table of the open data: their names, what they hold, and of which kind that is.
//!
//! Owns: this list, from which the heads of the files, README.md and datapackage.json are made, so that they cannot differ.

/// A column.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// A type of the Table Schema (specs.frictionlessdata.io).
    pub(crate) kind: &'static str,
    pub(crate) says: &'static str,
}

/// A table.
pub(crate) struct Table {
    /// The file's name.
    pub(crate) file: &'static str,
    pub(crate) title: &'static str,
    pub(crate) columns: &'static [Column],
    /// The columns that tell its rows apart.
    pub(crate) key: &'static [&'static str],
}

const fn column(name: &'static str, kind: &'static str, says: &'static str) -> Column {
    Column { name, kind, says }
}

/// All tables.
pub(crate) const TABLES: [Table; 6] = [
    Table {
        file: "messages.csv",
        title: "Messages that are published",
        key: &["id"],
        columns: &[
            column(
                "id",
                "string",
                "The message's id; it stays the same in every release.",
            ),
            column("campaign_id", "string", "The campaign."),
            column("question_id", "string", "The question within the campaign."),
            column(
                "area_id",
                "string",
                "The area where it was spoken, by areas.geojson; empty where it was said from home without an area.",
            ),
            column(
                "day",
                "date",
                "The day on which it was said, in the city's time.",
            ),
            column(
                "part_of_day",
                "string",
                "night (0-6), morning (6-12), afternoon (12-18) or evening (18-24).",
            ),
            column("source", "string", "booth, web, phone or workshop."),
            column(
                "language",
                "string",
                "The language that was spoken or written (BCP 47).",
            ),
            column(
                "transcript",
                "string",
                "What was said, as a person wrote it down. A cell that a spreadsheet would take for a formula begins with an apostrophe.",
            ),
            column(
                "translation",
                "string",
                "A translation of it, where there is one.",
            ),
            column(
                "translation_language",
                "string",
                "The translation's language (BCP 47).",
            ),
            column(
                "themes",
                "string",
                "Themes that a person gave it, separated by a semicolon.",
            ),
            column(
                "ideas",
                "string",
                "Numbers of the ideas that it became part of, separated by a semicolon.",
            ),
            column(
                "voice",
                "integer",
                "1: its sound is published, too, at sound_url.",
            ),
            column(
                "sound_url",
                "string",
                "The sound, Ogg Opus; empty without it.",
            ),
            column("url", "string", "Its page."),
        ],
    },
    Table {
        file: "counts_by_area_day.csv",
        title: "Messages that were received, published or not, by area and day",
        key: &["campaign_id", "area_id", "day"],
        columns: &[
            column("campaign_id", "string", "The campaign."),
            column(
                "area_id",
                "string",
                "The area; empty: areas, or no area, with too few messages to be shown apart.",
            ),
            column(
                "day",
                "string",
                "A day (2026-03-14), a month (2026-03) for its days with fewer than five messages each, or empty for the rest.",
            ),
            column(
                "messages",
                "integer",
                "How many were received, rounded down to a multiple of five; what has fewer than five is in a row that merges it.",
            ),
        ],
    },
    Table {
        file: "votes.csv",
        title: "Votes cast: not voters, because one person may vote at several booths",
        key: &["campaign_id", "question_id", "digit"],
        columns: &[
            column("campaign_id", "string", "The campaign."),
            column("question_id", "string", "The question."),
            column("digit", "integer", "The digit of the option."),
            column("option_id", "string", "The option's id."),
            column(
                "votes_cast",
                "integer",
                "Votes cast for it: exact once the vote is over and every option has none or at least five, else rounded down to a multiple of five.",
            ),
            column("is_exact", "integer", "1: exact."),
        ],
    },
    Table {
        file: "exposure.csv",
        title: "Hours in which a booth was ready to listen, by placement and day",
        key: &["placement", "day"],
        columns: &[
            column(
                "placement",
                "integer",
                "The placement, by placements.geojson.",
            ),
            column("area_id", "string", "Its area."),
            column("day", "date", "The day, in the city's time."),
            column(
                "hours_ready",
                "number",
                "Hours in which a citizen could have spoken there.",
            ),
        ],
    },
    Table {
        file: "comments.csv",
        title: "The same messages in the shape of a Polis export, for tools that read it",
        key: &["comment-id"],
        columns: &[
            column(
                "timestamp",
                "integer",
                "Noon of the day, in milliseconds since 1970: the time of day is not published.",
            ),
            column("datetime", "string", "The same in words."),
            column(
                "comment-id",
                "integer",
                "A number made from the message's id; it stays the same in every release.",
            ),
            column(
                "author-id",
                "integer",
                "The same number: nobody knows who said what, so that every message has an author of its own.",
            ),
            column(
                "agrees",
                "integer",
                "Always 0: nobody votes on single messages.",
            ),
            column("disagrees", "integer", "Always 0."),
            column(
                "moderated",
                "integer",
                "Always 1: a person has looked at it.",
            ),
            column("comment-body", "string", "The transcript."),
        ],
    },
    Table {
        file: "withdrawn.csv",
        title: "Messages that were published once and are taken back: delete them from your copies",
        key: &["id"],
        columns: &[
            column("id", "string", "The message's id."),
            column("day", "date", "The day on which it was taken back."),
        ],
    },
];

/// The table in this file.
pub(crate) fn of(file: &str) -> &'static Table {
    let found = TABLES.iter().find(|table| table.file == file);
    found.expect("every CSV file has its columns here")
}
