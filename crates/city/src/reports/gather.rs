//! What a report says, gathered on the day on which it is made.
//!
//! Owns: which numbers and texts those are. All are read in one transaction, so that they are of one moment. Never does: write.

use std::collections::BTreeMap;

use booth_database::{Connection, OptionalExtension, params};
use jiff::Timestamp;

use super::{Asked, Frozen, Place, Themed, Thought};
use crate::City;
use crate::centre::{Campaign, Source};
use crate::pages::at_this_moment;
use crate::pages::texts::{self, Texts};
use crate::places::areas;
use crate::sentence;
use crate::small_cells;
use crate::store::CityError;

/// Quotations of one theme.
const QUOTES: usize = 3;
/// The quotations that a reader takes in: letters of the shortest and of the longest.
const READABLE: (usize, usize) = (15, 400);

/// What must hold of a message whose words are shown, as on the citizens' pages.
pub(super) const SHOWN: &str = "state = 'published' AND kind <> 'choice' AND may_publish <> 'no' AND trim(coalesce(transcript, '')) <> ''";

/// What booths counted where and while they asked this campaign: parameters are the campaign, its booths, its first and last day.
const EXPOSED: &str = "exposure LEFT JOIN placement AS stand ON stand.id = exposure.placement
   WHERE (stand.campaign_id IS NULL OR stand.campaign_id = ?1)
     AND (?2 IS NULL OR exposure.booth_id IN (SELECT value FROM json_each(?2)))
     AND (?3 IS NULL OR day >= ?3) AND (?4 IS NULL OR day <= ?4)";

type Rows<T> = booth_database::Result<Vec<T>>;

/// See the module's comment.
pub(super) fn gather(city: &City, campaign: &str, now: Timestamp) -> Result<Frozen, CityError> {
    let asked = city.campaign(campaign)?;
    let db = city.store.reader_of_its_own()?;
    let db = db.unchecked_transaction()?;
    let gathering = Gathering {
        city,
        db: &db,
        campaign,
        asked: asked.as_ref(),
        now,
    };
    gathering.all()
}

struct Gathering<'a> {
    city: &'a City,
    db: &'a Connection,
    campaign: &'a str,
    asked: Option<&'a Campaign>,
    now: Timestamp,
}

/// What editors wrote of a campaign.
#[derive(Default)]
struct Words {
    title: Texts,
    summary: Texts,
    reply: Texts,
    reply_on: Option<String>,
    limits: Texts,
}

impl Gathering<'_> {
    fn all(&self) -> Result<Frozen, CityError> {
        let words = self.words()?;
        let standing = self.counted("state")?;
        let known = self.asked.is_some() || words.is_some() || !standing.is_empty();
        if !known {
            let id = format!("{:?}", self.campaign);
            return Err(sentence!("editor-no-such-campaign", id = id).into());
        }
        let mut words = words.unwrap_or_default();
        if let Some(asked) = self.asked.filter(|_| words.title.is_empty()) {
            let language = asked.languages.first().map_or(self.first(), String::as_str);
            words.title = [(language.to_owned(), asked.title.clone())].into();
        }
        let exposure = self.exposure()?;
        let withdrawn = self.withdrawn()?;
        let (themes, other_themes) = self.themes()?;
        Ok(Frozen {
            campaign: self.campaign.to_owned(),
            title: words.title,
            summary: words.summary,
            made_on: self.city.day_of(self.now),
            from: self.asked.and_then(|asked| asked.from.clone()),
            until: self.asked.and_then(|asked| asked.until.clone()),
            phases: self.phases()?,
            places: self.places()?,
            ready_minutes: exposure.ready_minutes,
            funnel: self.funnel(&exposure, &standing, withdrawn)?,
            sources: shown_rows(self.counted("source")?),
            standing: {
                let mut rows = shown_rows(standing);
                rows.push(("withdrawn".into(), small_cells::shown(withdrawn)));
                rows
            },
            questions: self.questions()?,
            themes,
            other_themes,
            ideas: self.ideas()?,
            reply: words.reply,
            reply_on: words.reply_on,
            limits: words.limits,
        })
    }

    fn first(&self) -> &str {
        self.city.config.offers.first().map_or("da", String::as_str)
    }

    fn texts(&self, column: Option<&str>) -> Texts {
        texts::read(column, self.first())
    }

    fn day_of(&self, moment: &str) -> String {
        let at = moment.parse::<Timestamp>();
        at.map_or_else(|_| moment.to_owned(), |at| self.city.day_of(at))
    }

    fn words(&self) -> booth_database::Result<Option<Words>> {
        self.db
            .prepare("SELECT title, summary, reply, reply_at, limits FROM campaign WHERE id = ?1")?
            .query_row([self.campaign], |row| {
                let text = |column| -> booth_database::Result<Texts> {
                    Ok(self.texts(row.get::<_, Option<String>>(column)?.as_deref()))
                };
                let reply_at: Option<String> = row.get(3)?;
                Ok(Words {
                    title: text(0)?,
                    summary: text(1)?,
                    reply: text(2)?,
                    reply_on: reply_at.map(|at| self.day_of(&at)),
                    limits: text(4)?,
                })
            })
            .optional()
    }

    fn phases(&self) -> Rows<(String, String, Option<String>)> {
        self.db
            .prepare("SELECT phase, since, until FROM phase WHERE campaign_id = ?1 ORDER BY since")?
            .query_map([self.campaign], |row| {
                let (since, until): (String, Option<String>) = (row.get(1)?, row.get(2)?);
                let until = until.map(|until| self.day_of(&until));
                Ok((row.get(0)?, self.day_of(&since), until))
            })?
            .collect()
    }

    /// Where a booth was ready for the campaign, also where nobody spoke.
    fn places(&self) -> Rows<Place> {
        let (booths, from, until) = self.asked_where();
        self.db
            .prepare(&format!(
                "SELECT place, area_id, since, until FROM placement
                 WHERE campaign_id = ?1 OR id IN (SELECT placement FROM message WHERE campaign_id = ?1)
                   OR id IN (SELECT exposure.placement FROM {EXPOSED} AND ready_minutes > 0)
                 ORDER BY since, place"
            ))?
            .query_map(params![self.campaign, booths, from, until], |row| {
                let (area, since): (Option<String>, String) = (row.get(1)?, row.get(2)?);
                let until: Option<String> = row.get(3)?;
                let area = match area {
                    Some(id) => areas::name_of(self.db, &id)?,
                    None => None,
                };
                Ok(Place {
                    place: row.get(0)?,
                    area,
                    since: self.day_of(&since),
                    until: until.map(|until| self.day_of(&until)),
                })
            })?
            .collect()
    }

    /// The booths that ask the campaign, as JSON, and its first and last day; what it does not limit is not limited. A campaign that the
    /// booths do not have any more was asked at none.
    fn asked_where(&self) -> (Option<String>, Option<String>, Option<String>) {
        let Some(asked) = self.asked else {
            return (Some("[]".into()), None, None);
        };
        let day = |moment: &Option<String>| {
            let day = moment.as_deref().and_then(|moment| moment.get(..10));
            day.map(str::to_owned)
        };
        let booths = asked.booths.as_ref();
        let booths = booths.map(|booths| serde_json::to_string(booths).unwrap_or_default());
        (booths, day(&asked.from), day(&asked.until))
    }

    /// Messages by the words of this column.
    fn counted(&self, column: &str) -> Rows<(String, u64)> {
        self.db
            .prepare(&format!(
                "SELECT {column}, count(*) FROM message WHERE campaign_id = ?1 AND kind <> 'choice' GROUP BY 1"
            ))?
            .query_map([self.campaign], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    }

    /// Messages that their citizens took back, and such as were deleted when somebody asked without a receipt.
    fn withdrawn(&self) -> booth_database::Result<u64> {
        self.db.query_row(
            "SELECT count(*) FROM gone WHERE campaign_id = ?1 AND kind <> 'choice' AND why <> 'retention'",
            [self.campaign],
            |row| row.get(0),
        )
    }

    /// What the booths counted while they asked this campaign.
    fn exposure(&self) -> booth_database::Result<Exposure> {
        let mut sum = Exposure::default();
        let (booths, from, until) = self.asked_where();
        let mut statement = self.db.prepare(&format!(
            "SELECT sum(ready_minutes), sum(lifts), sum(refused), sum(left_early), sum(discarded) FROM {EXPOSED}"
        ))?;
        let asked_for = params![self.campaign, booths, from, until];
        statement.query_row(asked_for, |row| {
            let number = |column| -> booth_database::Result<u64> {
                Ok(row.get::<_, Option<u64>>(column)?.unwrap_or(0))
            };
            sum = Exposure {
                ready_minutes: number(0)?,
                lifts: number(1)?,
                refused: number(2)?,
                left_early: number(3)?,
                discarded: number(4)?,
            };
            Ok(())
        })?;
        Ok(sum)
    }

    /// The steps of a visit at a booth, each with how many came so far.
    fn funnel(
        &self,
        exposure: &Exposure,
        standing: &[(String, u64)],
        withdrawn: u64,
    ) -> booth_database::Result<Vec<(String, u64)>> {
        let of_booths = |more: &str| -> booth_database::Result<u64> {
            self.db.query_row(
                &format!("SELECT count(*) FROM message WHERE campaign_id = ?1 AND source = 'booth' {more}"),
                [self.campaign],
                |row| row.get(0),
            )
        };
        let gone: u64 = self.db.query_row(
            "SELECT count(*) FROM gone WHERE campaign_id = ?1 AND source = 'booth'",
            [self.campaign],
            |row| row.get(0),
        )?;
        let stayed = exposure.lifts.saturating_sub(exposure.left_early);
        let published = standing.iter().find(|(state, _)| state == "published");
        let steps = [
            ("lifts", exposure.lifts),
            ("stayed", stayed),
            ("chose", stayed.saturating_sub(exposure.refused)),
            ("discarded", exposure.discarded),
            ("kept", of_booths("")? + gone),
            ("published", published.map_or(0, |(_, number)| *number)),
            ("withdrawn", withdrawn),
        ];
        let steps = steps.map(|(name, number)| (name.to_owned(), small_cells::shown(number)));
        Ok(steps.into())
    }

    fn questions(&self) -> booth_database::Result<Vec<Asked>> {
        let Some(asked) = self.asked else {
            return Ok(Vec::new());
        };
        let is_over = at_this_moment(self.city, self.db, asked)?.are_votes_in;
        let mut found = Vec::new();
        for question in &asked.questions {
            let mut cast: BTreeMap<Option<u8>, u64> = BTreeMap::new();
            let mut statement = self.db.prepare(
                "SELECT CASE kind WHEN 'choice' THEN choice END, count(*) FROM message WHERE campaign_id = ?1 AND question_id = ?2 GROUP BY 1",
            )?;
            let mut rows = statement.query([self.campaign, &question.id])?;
            while let Some(row) = rows.next()? {
                cast.insert(row.get(0)?, row.get(1)?);
            }
            let of = |digit| cast.get(&digit).copied().unwrap_or(0);
            let votes: Vec<u64> = question
                .options
                .iter()
                .map(|option| of(Some(option.digit)))
                .collect();
            let votes = small_cells::votes(&votes, is_over);
            let options = question.options.iter().map(|option| option.text.clone());
            let reply: Option<String> = self
                .db
                .prepare(
                    "SELECT text FROM question_reply WHERE campaign_id = ?1 AND question_id = ?2",
                )?
                .query_row([self.campaign, &question.id], |row| row.get(0))
                .optional()?;
            let reply = self.texts(reply.as_deref());
            found.push(Asked {
                id: question.id.clone(),
                text: question.text.clone(),
                messages: match question.options.is_empty() {
                    true => small_cells::shown(of(None)),
                    false => 0,
                },
                votes: options.zip(votes.each).collect(),
                are_exact: votes.are_exact,
                is_over,
                reply: match reply.is_empty() {
                    true => question.answer.clone(),
                    false => reply,
                },
            });
        }
        Ok(found)
    }

    /// The themes with five messages at least, the largest first, each with some quotations; and the messages of all others.
    fn themes(&self) -> booth_database::Result<(Vec<Themed>, u64)> {
        let counted: Vec<((i64, Texts), u64)> = self
            .db
            .prepare(
                "SELECT theme.id, theme.name, count(message.id) FROM theme JOIN message_theme ON theme_id = theme.id
                 JOIN message ON message.id = message_id AND state IN ('published', 'heard')
                 WHERE theme.campaign_id = ?1 GROUP BY 1 ORDER BY 3 DESC, 1",
            )?
            .query_map([self.campaign], |row| {
                let name: String = row.get(1)?;
                Ok(((row.get(0)?, self.texts(Some(&name))), row.get(2)?))
            })?
            .collect::<booth_database::Result<_>>()?;
        let merged = small_cells::merged(counted);
        let mut themes = Vec::new();
        for ((id, name), messages) in merged.rows {
            themes.push(Themed {
                name,
                messages,
                quotes: self.quotes(id)?,
            });
        }
        Ok((themes, merged.other))
    }

    /// The newest published messages of a theme that can be read at a glance; from as many sources as there are.
    fn quotes(&self, theme: i64) -> Rows<String> {
        let found: Vec<(String, String)> = self
            .db
            .prepare(&format!(
                "SELECT id, source FROM message WHERE {SHOWN} AND campaign_id = ?1
                   AND id IN (SELECT message_id FROM message_theme WHERE theme_id = ?2)
                   AND length(transcript) BETWEEN ?3 AND ?4 ORDER BY published_at DESC, id LIMIT 100"
            ))?
            .query_map(
                params![self.campaign, theme, READABLE.0, READABLE.1],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?
            .collect::<booth_database::Result<_>>()?;
        let first_of_each = Source::ALL.iter().filter_map(|source| {
            let mut own = found.iter().filter(|(_, of)| of == source.word());
            own.next().map(|(id, _)| id.clone())
        });
        let mut quotes: Vec<String> = first_of_each.take(QUOTES).collect();
        for (id, _) in &found {
            if quotes.len() < QUOTES && !quotes.contains(id) {
                quotes.push(id.clone());
            }
        }
        Ok(quotes)
    }

    fn ideas(&self) -> Rows<Thought> {
        self.db
            .prepare(
                "SELECT title, body, outcome, outcome_at, (SELECT count(*) FROM message_idea WHERE idea_id = idea.id)
                 FROM idea WHERE campaign_id = ?1 ORDER BY 5 DESC, id",
            )?
            .query_map([self.campaign], |row| {
                let text = |column| -> booth_database::Result<Texts> {
                    Ok(self.texts(row.get::<_, Option<String>>(column)?.as_deref()))
                };
                let outcome_at: Option<String> = row.get(3)?;
                Ok(Thought {
                    title: text(0)?,
                    body: text(1)?,
                    messages: small_cells::shown(row.get(4)?),
                    outcome: text(2)?,
                    outcome_on: outcome_at.map(|at| self.day_of(&at)),
                })
            })?
            .collect()
    }
}

/// What booths counted.
#[derive(Debug, Default)]
struct Exposure {
    ready_minutes: u64,
    lifts: u64,
    refused: u64,
    left_early: u64,
    discarded: u64,
}

fn shown_rows(rows: Vec<(String, u64)>) -> Vec<(String, u64)> {
    let shown = rows.into_iter();
    shown
        .map(|(name, number)| (name, small_cells::shown(number)))
        .collect()
}
