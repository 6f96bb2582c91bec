//! The tables of `city.sqlite`, and how the database is opened.
//!
//! Owns: the shape of the database and its version. Never does: read or write rows. A failure leaves the file as it was.
//!
//! Times are RFC 3339 UTC with milliseconds, days are `YYYY-MM-DD` of the city's time zone, texts by language are JSON objects.

use std::path::Path;

use booth_database::Connection;

use super::{CityError, PATIENCE};

/// Version of the tables, kept in `PRAGMA user_version`.
pub(super) const VERSION: i64 = 6;

const TABLES: &str = "
-- How far the hub's store has been read: 'arrived', 'gone', 'store', and other single values.
CREATE TABLE mark (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

-- One row for each message that arrived and was not withdrawn. Facts of arrival come from the hub and are never edited here.
CREATE TABLE message (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,              -- audio, text, choice
  source TEXT NOT NULL,            -- booth, web, phone, workshop
  booth_id TEXT,
  placement INTEGER,               -- where the booth stood when it was spoken
  area_id TEXT,                    -- the area of that placement, or the one that was named from home
  campaign_id TEXT, question_id TEXT, choice INTEGER,
  lang TEXT,
  said_at TEXT NOT NULL,           -- when it was spoken; when it arrived, where that is not known
  day TEXT NOT NULL, hour INTEGER NOT NULL, weekday INTEGER NOT NULL, -- of said_at in the city's time zone; Monday is 1
  received_at TEXT NOT NULL,
  duration_ms INTEGER NOT NULL,
  speech_ratio REAL, rms_dbfs REAL,
  recovered INTEGER NOT NULL,
  may_publish TEXT NOT NULL,       -- no, text, voice
  notice_id TEXT,
  in_burst INTEGER NOT NULL DEFAULT 0,
  -- What people decided: waiting, published, heard (counted, not shown), rejected.
  state TEXT NOT NULL DEFAULT 'waiting',
  reason TEXT,                     -- of the city's own list, where it was rejected
  decided_at TEXT, decided_by INTEGER, second_by INTEGER,
  child INTEGER NOT NULL DEFAULT 0,
  transcript TEXT, transcript_lang TEXT, translation TEXT, translation_lang TEXT,
  with_voice INTEGER NOT NULL DEFAULT 0, -- the voice is published, too
  trim_from_ms INTEGER, trim_to_ms INTEGER, silenced TEXT, -- [[from_ms,to_ms],…]
  published_at TEXT,
  version INTEGER NOT NULL DEFAULT 0 -- rises with every decision: two people who decide at once notice
) STRICT;
CREATE INDEX message_queue ON message (said_at) WHERE state = 'waiting' AND kind <> 'choice';
CREATE INDEX message_shown ON message (published_at DESC, id DESC) WHERE state = 'published';
CREATE INDEX message_of_campaign ON message (campaign_id, question_id, state);
CREATE INDEX message_of_area ON message (area_id, state);
CREATE INDEX message_by_day ON message (day);
CREATE INDEX message_of_booth ON message (booth_id, said_at);
-- The lists of citizens' pages, newest first.
CREATE INDEX message_shown_of_campaign ON message (campaign_id, published_at DESC, id DESC) WHERE state = 'published';
CREATE INDEX message_shown_of_area ON message (area_id, published_at DESC, id DESC) WHERE state = 'published';

-- The area that a citizen named from home, until the message itself has come over.
CREATE TABLE named_area (message_id TEXT PRIMARY KEY, area_id TEXT NOT NULL) STRICT;

-- Messages that are gone, without what they were: ids that were published go to withdrawn.csv. why says who let them go: 'withdrawn' is
-- the citizen, 'retention' the end of their time, 'case' somebody who asked for deletion without a receipt.
CREATE TABLE gone (id TEXT PRIMARY KEY, at TEXT NOT NULL, was_published INTEGER NOT NULL,
  campaign_id TEXT, question_id TEXT, source TEXT, area_id TEXT, day TEXT, kind TEXT, why TEXT NOT NULL DEFAULT 'withdrawn') STRICT;

-- A machine's draft of a transcript.
CREATE TABLE draft (
  message_id TEXT PRIMARY KEY REFERENCES message(id) ON DELETE CASCADE,
  text TEXT NOT NULL, lang TEXT, model TEXT, segments TEXT, at TEXT NOT NULL,
  likely_empty INTEGER NOT NULL, flagged TEXT -- the word of the list that was found
) STRICT;
CREATE INDEX draft_flagged ON draft (message_id) WHERE flagged IS NOT NULL;
-- What is still to be looked at by a machine: for a draft, or by the list of words. The row goes when that is done.
CREATE TABLE draft_due (
  message_id TEXT PRIMARY KEY REFERENCES message(id) ON DELETE CASCADE, kind TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
  next_at TEXT NOT NULL, why TEXT -- what went wrong last
) STRICT;
CREATE INDEX draft_due_next ON draft_due (kind, next_at);
CREATE TRIGGER message_wants_a_draft AFTER INSERT ON message WHEN new.kind <> 'choice' BEGIN
  INSERT OR IGNORE INTO draft_due (message_id, kind, next_at) VALUES (new.id, new.kind, new.received_at); END;
CREATE TABLE theme (
  id INTEGER PRIMARY KEY, campaign_id TEXT NOT NULL, name TEXT NOT NULL, -- {\"da\":…,\"en\":…}
  UNIQUE (campaign_id, name)
) STRICT;
CREATE TABLE message_theme (
  message_id TEXT NOT NULL REFERENCES message(id) ON DELETE CASCADE,
  theme_id INTEGER NOT NULL REFERENCES theme(id) ON DELETE CASCADE, PRIMARY KEY (message_id, theme_id)
) STRICT;
CREATE INDEX message_of_theme ON message_theme (theme_id);
-- Messages grouped into an idea, which may become an option of a vote, and what came of it.
CREATE TABLE idea (
  id INTEGER PRIMARY KEY, campaign_id TEXT NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL, -- by language
  made_at TEXT NOT NULL, made_by INTEGER,
  vote_campaign TEXT, vote_question TEXT, vote_digit INTEGER,
  outcome TEXT, outcome_at TEXT -- by language
) STRICT;
CREATE TABLE message_idea (
  message_id TEXT NOT NULL REFERENCES message(id) ON DELETE CASCADE,
  idea_id INTEGER NOT NULL REFERENCES idea(id) ON DELETE CASCADE, PRIMARY KEY (message_id, idea_id)
) STRICT;
CREATE INDEX message_of_idea ON message_idea (idea_id);
-- Who works on a message, until when.
CREATE TABLE claim (
  message_id TEXT PRIMARY KEY REFERENCES message(id) ON DELETE CASCADE, account INTEGER NOT NULL, until TEXT NOT NULL
) STRICT;
-- Someone may be in danger. by is who saw it: an account's name, or the word list.
CREATE TABLE alarm (
  id INTEGER PRIMARY KEY, message_id TEXT NOT NULL, at TEXT NOT NULL, by TEXT NOT NULL, why TEXT NOT NULL,
  second_at TEXT,                  -- when the second contact was called, too
  answered_at TEXT, answered_by TEXT
) STRICT;
CREATE INDEX alarm_open ON alarm (message_id) WHERE answered_at IS NULL;
CREATE TRIGGER alarm_forgets_words AFTER DELETE ON message BEGIN UPDATE alarm SET why = '' WHERE message_id = old.id; END;
-- Each contact by each way.
CREATE TABLE alarm_notice (
  alarm INTEGER NOT NULL REFERENCES alarm(id) ON DELETE CASCADE, contact TEXT NOT NULL, -- first, second
  way TEXT NOT NULL,               -- mail, webhook
  tries INTEGER NOT NULL DEFAULT 0, next_at TEXT NOT NULL, sent_at TEXT, fault TEXT, PRIMARY KEY (alarm, contact, way)
) STRICT;
-- A citizen reported a published message.
CREATE TABLE complaint (
  id INTEGER PRIMARY KEY, message_id TEXT NOT NULL REFERENCES message(id) ON DELETE CASCADE, at TEXT NOT NULL, why TEXT NOT NULL,
  done_at TEXT
) STRICT;

-- Who did what: it only grows.
CREATE TABLE act (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL, about TEXT NOT NULL,
  detail TEXT NOT NULL, hash TEXT NOT NULL
) STRICT;
CREATE INDEX act_about ON act (about, seq);
CREATE TRIGGER act_is_not_changed BEFORE UPDATE ON act BEGIN SELECT RAISE(ABORT, 'the log of acts only grows'); END;
CREATE TRIGGER act_is_not_deleted BEFORE DELETE ON act BEGIN SELECT RAISE(ABORT, 'the log of acts only grows'); END;

CREATE TABLE account (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, shown_name TEXT NOT NULL,
  password TEXT,                   -- Argon2id, PHC string; none for a login elsewhere
  oidc_subject TEXT UNIQUE,
  roles TEXT NOT NULL,             -- moderator,editor,operator,administrator,partner
  languages TEXT NOT NULL,         -- that the person understands: da,en
  made_at TEXT NOT NULL, closed_at TEXT
) STRICT;
-- A partner sees these campaigns alone, until a date.
CREATE TABLE account_campaign (
  account INTEGER NOT NULL REFERENCES account(id) ON DELETE CASCADE, campaign_id TEXT NOT NULL, until TEXT NOT NULL,
  rights TEXT NOT NULL, PRIMARY KEY (account, campaign_id)
) STRICT;
-- SHA-256 of the session's secret.
CREATE TABLE session (
  hash TEXT PRIMARY KEY, account INTEGER NOT NULL REFERENCES account(id) ON DELETE CASCADE, made_at TEXT NOT NULL,
  seen_at TEXT NOT NULL, ends_at TEXT NOT NULL
) STRICT;

-- The city's areas, from its GeoJSON. geometry is a MultiPolygon (RFC 7946) with as few points as a page can carry; fine says in which
-- area a point lies.
CREATE TABLE area (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, place INTEGER NOT NULL, geometry TEXT NOT NULL, fine TEXT NOT NULL
) STRICT;
-- Which booth stood where, from when to when (UTC); until NULL means that it stands there.
CREATE TABLE placement (
  id INTEGER PRIMARY KEY, booth_id TEXT NOT NULL, place TEXT NOT NULL, area_id TEXT, lat REAL, lon REAL,
  since TEXT NOT NULL, until TEXT, campaign_id TEXT
) STRICT;
CREATE INDEX placement_of_booth ON placement (booth_id, since);
-- Minutes in which a booth was ready, and its counters, by day. placement 0 means that nobody said where it stood.
CREATE TABLE exposure (
  booth_id TEXT NOT NULL, placement INTEGER NOT NULL, day TEXT NOT NULL, ready_minutes INTEGER NOT NULL,
  lifts INTEGER NOT NULL DEFAULT 0, clips INTEGER NOT NULL DEFAULT 0, refused INTEGER NOT NULL DEFAULT 0,
  left_early INTEGER NOT NULL DEFAULT 0, discarded INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (booth_id, placement, day)
) STRICT;
-- What exposure is made of: for each hour (UTC) a bit for each minute in which the booth was ready, and what it counted.
CREATE TABLE ready_hour (
  booth_id TEXT NOT NULL, hour TEXT NOT NULL, minutes INTEGER NOT NULL DEFAULT 0,
  lifts INTEGER NOT NULL DEFAULT 0, clips INTEGER NOT NULL DEFAULT 0, refused INTEGER NOT NULL DEFAULT 0,
  left_early INTEGER NOT NULL DEFAULT 0, discarded INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (booth_id, hour)
) STRICT;
-- The counters of a booth as it said them last, by the day that they are of.
CREATE TABLE counted (booth_id TEXT PRIMARY KEY, day TEXT NOT NULL, counters TEXT NOT NULL) STRICT;

-- What editors say of a campaign; texts by language.
CREATE TABLE campaign (
  id TEXT PRIMARY KEY, title TEXT NOT NULL, summary TEXT NOT NULL, reply TEXT, reply_at TEXT, limits TEXT,
  is_public INTEGER NOT NULL DEFAULT 1
) STRICT;
-- open, processing, vote, decided
CREATE TABLE phase (
  campaign_id TEXT NOT NULL, phase TEXT NOT NULL, since TEXT NOT NULL, until TEXT, PRIMARY KEY (campaign_id, phase)
) STRICT;
CREATE TABLE question_reply (
  campaign_id TEXT NOT NULL, question_id TEXT NOT NULL, text TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (campaign_id, question_id)
) STRICT;
-- A campaign's file while an editor works on it. base is the SHA-256 of the published file that it began with.
CREATE TABLE campaign_draft (
  id TEXT PRIMARY KEY, toml TEXT NOT NULL, base TEXT NOT NULL, version INTEGER NOT NULL, changed_at TEXT NOT NULL, changed_by TEXT NOT NULL
) STRICT;
-- Each wording of a question since it was first seen: the question and its options by language, as JSON.
CREATE TABLE question_version (
  campaign_id TEXT NOT NULL, question_id TEXT NOT NULL, since TEXT NOT NULL, wording TEXT NOT NULL,
  PRIMARY KEY (campaign_id, question_id, since)
) STRICT;

-- What retention deleted: counts, not content. class is waiting, rejected, heard or published.
CREATE TABLE retention (at TEXT NOT NULL, class TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (at, class)) STRICT;
-- The warning that a message will be deleted: since when it stands, and on how many days the hub ran and showed it.
CREATE TABLE retention_warning (
  message_id TEXT PRIMARY KEY REFERENCES message(id) ON DELETE CASCADE, class TEXT NOT NULL, since TEXT NOT NULL, due TEXT NOT NULL,
  stood INTEGER NOT NULL
) STRICT;
CREATE INDEX retention_warning_by_due ON retention_warning (class, due);
-- Messages that are to be deleted, and why: written before the hub is asked, so that a failure in between forgets neither.
CREATE TABLE leaving (
  message_id TEXT PRIMARY KEY REFERENCES message(id) ON DELETE CASCADE, why TEXT NOT NULL, class TEXT NOT NULL, at TEXT NOT NULL
) STRICT;
-- A person who asks for a right without a receipt: where and when they spoke, as they remember it. Of a closed case only the kind of
-- right, the days and the outcome stay.
CREATE TABLE rights_case (
  id INTEGER PRIMARY KEY, opened_at TEXT NOT NULL, opened_by INTEGER NOT NULL, due_day TEXT NOT NULL,
  asked TEXT NOT NULL,             -- access, deletion, correction
  place TEXT NOT NULL,             -- booth:ID, place:NAME, home
  day TEXT NOT NULL, about_time TEXT NOT NULL, minutes INTEGER NOT NULL, note TEXT NOT NULL,
  closed_at TEXT, outcome TEXT
) STRICT;
-- What was done to a message for a case: read, heard, exported. While the case is open, retention leaves these messages alone.
CREATE TABLE rights_case_message (
  case_id INTEGER NOT NULL REFERENCES rights_case(id) ON DELETE CASCADE,
  message_id TEXT NOT NULL REFERENCES message(id) ON DELETE CASCADE, PRIMARY KEY (case_id, message_id)
) STRICT;
CREATE INDEX rights_case_of_message ON rights_case_message (message_id);
-- A dated report of a campaign, frozen: JSON.
CREATE TABLE report (
  id INTEGER PRIMARY KEY, campaign_id TEXT NOT NULL, made_at TEXT NOT NULL, made_by INTEGER, body TEXT NOT NULL
) STRICT;
";

/// The changes from each version to the next.
const STEPS: [&str; VERSION as usize - 1] = [
    // 2: indexes for the lists that grow.
    "
-- What was decided, the latest first: the desk's lists of it.
CREATE INDEX message_decided ON message (state, decided_at DESC, id) WHERE decided_at IS NOT NULL;
-- A case looks for what was spoken around a time, wherever that was.
CREATE INDEX message_by_time ON message (said_at);
-- A question has few of its campaign's messages, or, as a vote, none.
CREATE INDEX message_shown_of_question ON message (campaign_id, question_id, published_at DESC, id DESC) WHERE state = 'published';
-- How many messages came from each place.
CREATE INDEX message_of_placement ON message (placement) WHERE placement IS NOT NULL;
DROP INDEX message_by_day;
",
    // 3: what is wrong with the booths and the hub, who was told, and which booths are paused; the list from which ideas are made.
    "
-- Decided messages of a campaign in the order in which they were said: a page of an idea offers the first that are in none.
CREATE INDEX message_to_group ON message (campaign_id, said_at) WHERE state IN ('published', 'heard') AND kind <> 'choice';
-- One row for each time that something is wrong; subject is a booth's id, or empty for the hub itself. It is an alert from raised_at on.
CREATE TABLE watch (
  id INTEGER PRIMARY KEY, subject TEXT NOT NULL, kind TEXT NOT NULL, severity TEXT NOT NULL, text TEXT NOT NULL, since TEXT,
  number INTEGER NOT NULL, first_seen TEXT NOT NULL, raised_at TEXT, unseen_since TEXT, over_at TEXT,
  taken_by TEXT, taken_at TEXT, assigned_to TEXT NOT NULL DEFAULT '', note TEXT NOT NULL DEFAULT '', snoozed_until TEXT
) STRICT;
CREATE UNIQUE INDEX watch_open ON watch (subject, kind) WHERE over_at IS NULL;
CREATE INDEX watch_over ON watch (over_at) WHERE over_at IS NOT NULL;
CREATE TABLE watch_notice (
  watch INTEGER NOT NULL REFERENCES watch(id) ON DELETE CASCADE, is_over INTEGER NOT NULL, duty TEXT NOT NULL, way TEXT NOT NULL,
  made_at TEXT NOT NULL, next_at TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0, sent_at TEXT, fault TEXT,
  PRIMARY KEY (watch, is_over, duty, way)
) STRICT;
CREATE INDEX watch_notice_due ON watch_notice (duty, way, next_at) WHERE sent_at IS NULL;
CREATE TABLE watch_pause (booth_id TEXT PRIMARY KEY, until TEXT NOT NULL, why TEXT NOT NULL, by TEXT NOT NULL) STRICT;
",
    // 4: in which networks a booth was heard where it stands; places by number.
    "
-- A network that is not known came after the first days; one that is doubted ended the placement when it had lasted.
CREATE TABLE placement_network (
  placement INTEGER NOT NULL REFERENCES placement(id) ON DELETE CASCADE, network TEXT NOT NULL, first_seen TEXT NOT NULL,
  is_known INTEGER NOT NULL, is_doubted INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (placement, network)
) STRICT;
-- Places that were prepared at a desk: a technician says the number at the booth.
CREATE TABLE place_number (
  number INTEGER PRIMARY KEY, place TEXT NOT NULL, area_id TEXT, lat REAL, lon REAL, campaign_id TEXT
) STRICT;
-- What a technician said and nobody has prepared yet.
CREATE TABLE placed (booth_id TEXT PRIMARY KEY, number INTEGER NOT NULL, at TEXT NOT NULL) STRICT;
",
    // 5: a booth's day of exposure, and the last days of all booths, are found without their years.
    "
CREATE INDEX exposure_by_day ON exposure (day, booth_id);
",
    // 6: messages that whoever runs the hub has marked as a child's; why a technician's word cannot be carried out; when published words
    // were changed.
    "
-- 1: the hub says so, whatever the desk says; then child is 1, too.
ALTER TABLE message ADD COLUMN child_at_hub INTEGER NOT NULL DEFAULT 0;
CREATE INDEX message_child_at_hub ON message (id) WHERE child_at_hub = 1;
ALTER TABLE placed ADD COLUMN why TEXT;
ALTER TABLE message ADD COLUMN changed_at TEXT;
",
];

/// Opens the database for writing, creating it on the first start and bringing an older one up to date.
pub(super) fn open(path: &Path) -> Result<Connection, CityError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // What a person decided is on the disk when the page says so.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // What is deleted is overwritten: a withdrawn message's transcript is gone from the file.
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    if version_of(&connection)? < VERSION {
        let transaction = connection.transaction()?;
        // Another process may have brought it up to date meanwhile.
        let version = version_of(&transaction)?;
        let steps = [TABLES].into_iter().chain(STEPS);
        let steps: String = steps.skip(version as usize).collect();
        transaction.execute_batch(&steps)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
    }
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// The version of a database that this program can use.
fn version_of(db: &Connection) -> Result<i64, CityError> {
    let found = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match (0..=VERSION).contains(&found) {
        true => Ok(found),
        false => Err(CityError::Version {
            found,
            known: VERSION,
        }),
    }
}

/// Makes a database as the first version of this program left it, with one row.
#[cfg(test)]
pub(super) fn first_version(path: &Path) {
    let db = Connection::open(path).expect("opens");
    let row = "INSERT INTO mark VALUES ('store', 'x'); PRAGMA user_version = 1;";
    db.execute_batch(&format!("{TABLES}{row}")).expect("made");
}
