//! One reading of everything that the pages say in numbers, from which all of them are drawn, so that no two pages contradict each other.
//!
//! Owns: when the numbers are asked for again, and the pages that were drawn from them. Never does: hold the words of a message. A picture is
//! kept while the database has not changed, and at most ten seconds; one that is a little old is shown while the next one is made, so that nobody
//! waits for it; the hub looks every few seconds, so that the first reader after a quiet hour does not wait either. What is counted is counted anew only
//! where the database has changed. Making pictures takes at most about a tenth of a processor, however many messages there are and however fast they arrive. Words that
//! are withdrawn, or not shown any more, are gone from every page at its next view; numbers follow within half a minute.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use booth_database::{Connection, Row};
use jiff::civil::Date;

use booth_contract::MediaHash;
use booth_contract::time::rfc3339;
use booth_host::{clock, crew};

use super::exposed::Exposed;
use super::known::{self, Area, CampaignNow, Stand, Theme};
use super::tally::{Counted, Standing, Tally, entry, place_of};
use crate::City;
use crate::centre::{Source, Stopped};
use crate::draw::Shape;
use crate::store::CityError;

/// A picture younger than this is shown whatever has changed: under a stream of messages the database changes each second.
const YOUNG_MS: u64 = 2_000;
/// And one that is younger than so many times what it took to make.
const REST: u64 = 10;
/// A picture older than this is made anew although the database has not changed: campaigns and booths are not in it.
const OLD_MS: u64 = 10_000;
/// A picture up to this age is shown while the next one is made.
const USABLE_MS: u64 = 25_000;
/// Ready pages that are kept with a picture; further ones are drawn each time.
const MOST_PAGES: usize = 400;

/// See the module's comment.
#[derive(Debug)]
pub(crate) struct Picture {
    made_ms: u64,
    took_ms: u64,
    changes: i64,
    /// Public campaigns: what goes on first, then the newest first.
    pub(crate) campaigns: Vec<CampaignNow>,
    pub(crate) areas: Vec<Area>,
    /// Where booths stand, and then where they stood.
    pub(crate) stands: Vec<Stand>,
    pub(crate) themes: BTreeMap<i64, Theme>,
    numbers: Arc<Numbers>,
    /// Campaigns that are not shown.
    pub(crate) hidden: BTreeSet<String>,
    /// Questions that are not shown, nor what was said to them.
    pub(crate) stopped: Stopped,
    /// Their prompts, as far as nothing that is shown has the same.
    pub(super) silent: BTreeSet<MediaHash>,
    pages: Mutex<Pages>,
}

/// Everything that is counted. Pictures share it while nothing of it has changed.
#[derive(Debug, Default)]
struct Numbers {
    whole: Tally,
    of_campaigns: BTreeMap<String, Tally>,
    of_questions: BTreeMap<String, BTreeMap<String, Tally>>,
    of_areas: BTreeMap<String, Tally>,
}

/// The pages that were drawn from a picture.
#[derive(Debug, Default)]
struct Pages {
    ready: HashMap<String, Ready>,
    /// How often they were forgotten: a page whose words were read before that is not kept.
    forgotten: u64,
}

/// A page that is ready to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub(crate) plain: Bytes,
    pub(crate) gzip: Bytes,
}

/// A moment between two times at which pages were forgotten.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(u64);

/// The newest picture.
#[derive(Debug, Default)]
pub(crate) struct Pictures {
    newest: Mutex<Option<Arc<Picture>>>,
    /// Held while one is made, so that only one is.
    making: tokio::sync::Mutex<()>,
    /// The ready minutes of the past, summed up.
    exposed: Mutex<Exposed>,
    /// The shapes of areas, by id, with the GeoJSON that they were made of.
    shapes: Mutex<HashMap<String, (String, Arc<Shape>)>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl City {
    /// The numbers of all pages.
    pub(crate) async fn picture(self: &Arc<Self>) -> Result<Arc<Picture>, CityError> {
        let newest = locked(&self.pictures.newest).clone();
        let Some(picture) = newest else {
            return self.make_picture(0).await;
        };
        let age = clock::mono().0.saturating_sub(picture.made_ms);
        let has_changed = picture.changes != self.store.changes();
        let is_young = age < (picture.took_ms * REST).clamp(YOUNG_MS, OLD_MS);
        if is_young || (age < OLD_MS && !has_changed) {
            return Ok(picture);
        }
        if age >= USABLE_MS {
            return self.make_picture(picture.made_ms).await;
        }
        // Whoever finds it being made goes on with the one that is there.
        if self.pictures.making.try_lock().is_ok() {
            let (city, made_ms) = (Arc::clone(self), picture.made_ms);
            crew::errand("picture", async move {
                if let Err(error) = city.make_picture(made_ms).await {
                    log::warn!(fault = "city"; "the pages' numbers: {error}");
                }
            });
        }
        Ok(picture)
    }

    /// Sees to it that whoever looks next does not wait for the numbers. The hub asks every few seconds.
    pub async fn keep_numbers_fresh(self: &Arc<Self>) {
        if let Err(error) = self.picture().await {
            log::warn!(fault = "city"; "the pages' numbers: {error}");
        }
    }

    /// Makes a picture unless somebody has made one since that one.
    async fn make_picture(self: &Arc<Self>, since_ms: u64) -> Result<Arc<Picture>, CityError> {
        let _making = self.pictures.making.lock().await;
        if let Some(newest) = locked(&self.pictures.newest).clone()
            && newest.made_ms > since_ms
        {
            return Ok(newest);
        }
        let made = self.aside(|city| {
            let before = locked(&city.pictures.newest).clone();
            Picture::of(city, before.as_deref()).map(Arc::new)
        });
        let made = made.await?;
        *locked(&self.pictures.newest) = Some(Arc::clone(&made));
        Ok(made)
    }

    /// Forgets every page that is ready: a message is shown no more, or in other words. Numbers stay until the next picture.
    pub(crate) fn forget_pages(&self) {
        if let Some(newest) = &*locked(&self.pictures.newest) {
            let mut pages = locked(&newest.pages);
            pages.ready.clear();
            pages.forgotten += 1;
        }
    }

    /// Forgets the picture, so that a test sees what it has just changed.
    #[cfg(test)]
    pub(crate) fn look_again(&self) {
        self.pictures.forget();
    }
}

impl Pictures {
    /// Forgets the picture: whoever looks next waits for a new one.
    pub(crate) fn forget(&self) {
        *locked(&self.newest) = None;
    }

    /// The shape of an area, made anew only where its GeoJSON is another one.
    pub(super) fn shape(&self, id: &str, geometry: String) -> Arc<Shape> {
        let mut shapes = locked(&self.shapes);
        match shapes.get(id) {
            Some((known, shape)) if *known == geometry => Arc::clone(shape),
            _ => {
                let shape = Arc::new(crate::draw::shape_of(&geometry));
                shapes.insert(id.to_owned(), (geometry, Arc::clone(&shape)));
                shape
            }
        }
    }
}

impl Picture {
    /// Asks the database and the hub; what is counted is counted anew only where something has changed since `before`. Blocks.
    pub(crate) fn of(city: &City, before: Option<&Self>) -> Result<Self, CityError> {
        let (changes, made_ms) = (city.store.changes(), clock::mono().0);
        let asked = city.centre.campaigns()?;
        let stopped = city.centre.stopped()?;
        let booths = city.centre.booths()?;
        let now = clock::wall();
        city.store.read(|db| {
            // One transaction, so that all numbers are of one moment.
            let db = db.unchecked_transaction()?;
            let (mut campaigns, hidden) = known::campaigns(city, &db, asked, &rfc3339(now))?;
            let silent = known::take_out(&mut campaigns, &stopped);
            let same = before.filter(|before| {
                let asked = |campaigns: &[CampaignNow]| {
                    let asked = campaigns.iter().map(|one| one.asked.clone());
                    asked.collect::<Vec<_>>()
                };
                let is_same = before.changes == changes
                    && before.hidden == hidden
                    && before.stopped == stopped;
                is_same && asked(&before.campaigns) == asked(&campaigns)
            });
            let numbers = match same {
                Some(before) => Arc::clone(&before.numbers),
                None => {
                    let mut numbers = Numbers::counted(&db, &hidden, &stopped)?;
                    let mut exposed = locked(&city.pictures.exposed);
                    numbers.count_ready_minutes(&db, &mut exposed, &campaigns, &hidden)?;
                    Arc::new(numbers)
                }
            };
            Ok(Self {
                made_ms,
                took_ms: clock::mono().0.saturating_sub(made_ms),
                changes,
                areas: known::areas(city, &db)?,
                stands: known::stands(city, &db, &booths, &rfc3339(now))?,
                themes: known::themes(city, &db)?,
                campaigns,
                numbers,
                hidden,
                stopped,
                silent,
                pages: Mutex::default(),
            })
        })
    }

    /// Whether nothing was counted anew since that one.
    #[cfg(test)]
    pub(super) fn has_the_numbers_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.numbers, &other.numbers)
    }

    /// All of the city.
    pub(crate) fn whole(&self) -> &Tally {
        &self.numbers.whole
    }

    pub(crate) fn campaign(&self, id: &str) -> Option<&CampaignNow> {
        self.campaigns.iter().find(|one| one.asked.id == id)
    }

    pub(crate) fn area(&self, id: &str) -> Option<&Area> {
        self.areas.iter().find(|area| area.id == id)
    }

    pub(crate) fn of_campaign(&self, id: &str) -> Tally {
        self.numbers
            .of_campaigns
            .get(id)
            .cloned()
            .unwrap_or_default()
    }

    pub(crate) fn of_question(&self, campaign: &str, question: &str) -> Tally {
        let questions = self.numbers.of_questions.get(campaign);
        let tally = questions.and_then(|questions| questions.get(question));
        tally.cloned().unwrap_or_default()
    }

    pub(crate) fn of_area(&self, id: &str) -> Tally {
        self.numbers.of_areas.get(id).cloned().unwrap_or_default()
    }

    /// A page that was drawn from this picture before; else what [`Picture::keep`] wants to know of the moment before it is drawn.
    pub(super) fn ready(&self, key: &str) -> Result<Ready, Moment> {
        let pages = locked(&self.pages);
        pages.ready.get(key).cloned().ok_or(Moment(pages.forgotten))
    }

    /// Keeps a page that was drawn since that moment, unless pages were forgotten meanwhile.
    pub(super) fn keep(&self, since: Moment, key: String, page: Ready) {
        let mut pages = locked(&self.pages);
        if pages.ready.len() < MOST_PAGES && pages.forgotten == since.0 {
            pages.ready.insert(key, page);
        }
    }
}

/// What is counted of one campaign, question and area, before it is added up.
struct Group {
    campaign: Option<String>,
    question: Option<String>,
    area: Option<String>,
    tally: Tally,
}

/// All of them: a message is found once, and counts for the city, its campaign, its question and its area in the end.
struct Groups<'a> {
    hidden: &'a BTreeSet<String>,
    stopped: &'a Stopped,
    groups: HashMap<String, Group>,
    /// The name of a group, kept so that it is not made anew for each message.
    name: String,
}

impl Groups<'_> {
    /// The tally of what this is about; `None` where its campaign or its question is not shown.
    fn of(&mut self, (campaign, question, area): About<'_>) -> Option<&mut Tally> {
        if campaign.is_some_and(|id| self.hidden.contains(id))
            || self.stopped.has_some(campaign, question)
        {
            return None;
        }
        self.name.clear();
        for part in [campaign, question, area] {
            match part {
                Some(part) => self.name.extend(["+", part, "\0"]),
                None => self.name.push('-'),
            }
        }
        if !self.groups.contains_key(&self.name) {
            let own = |part: Option<&str>| part.map(str::to_owned);
            let group = Group {
                campaign: own(campaign),
                question: own(question),
                area: own(area),
                tally: Tally::default(),
            };
            self.groups.insert(self.name.clone(), group);
        }
        self.groups
            .get_mut(&self.name)
            .map(|group| &mut group.tally)
    }

    fn count_messages(&mut self, db: &Connection) -> booth_database::Result<()> {
        let mut statement = db.prepare_cached(
            "SELECT campaign_id, question_id, area_id, source, kind, state, choice, day, hour, weekday FROM message",
        )?;
        let mut rows = statement.query([])?;
        let mut weeks = Weeks::default();
        while let Some(row) = rows.next()? {
            let about = about_of(&row)?;
            let Some(tally) = self.of(about) else {
                continue;
            };
            tally.add(&Counted {
                source: source_of(text(&row, 3)?),
                is_vote: text(&row, 4)? == Some("choice"),
                standing: Standing::of(text(&row, 5)?.unwrap_or("")),
                choice: row.get(6)?,
                area: about.2,
                week: weeks.of(text(&row, 7)?),
                hour: row.get(8)?,
                weekday: row.get(9)?,
            });
        }
        Ok(())
    }

    fn count_gone(&mut self, db: &Connection) -> booth_database::Result<()> {
        let mut statement = db.prepare_cached(
            "SELECT campaign_id, question_id, area_id, source, kind, why FROM gone WHERE source IS NOT NULL",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let about = about_of(&row)?;
            let Some(tally) = self.of(about) else {
                continue;
            };
            tally.add(&Counted {
                source: source_of(text(&row, 3)?),
                is_vote: text(&row, 4)? == Some("choice"),
                standing: match text(&row, 5)? {
                    Some("retention") => Standing::Expired,
                    _ => Standing::Withdrawn,
                },
                choice: None,
                area: None,
                week: None,
                hour: 0,
                weekday: 1,
            });
        }
        Ok(())
    }

    fn count_themes(&mut self, db: &Connection) -> booth_database::Result<()> {
        let mut statement = db.prepare_cached(
            "SELECT campaign_id, question_id, area_id, source, day, theme_id FROM message_theme
             JOIN message ON message.id = message_id WHERE state IN ('published', 'heard')",
        )?;
        let mut rows = statement.query([])?;
        let mut weeks = Weeks::default();
        while let Some(row) = rows.next()? {
            let about = about_of(&row)?;
            let Some(tally) = self.of(about) else {
                continue;
            };
            let theme = tally.themes.entry(row.get(5)?).or_default();
            theme.messages[place_of(source_of(text(&row, 3)?))] += 1;
            if let Some(week) = weeks.of(text(&row, 4)?) {
                *theme.weeks.entry(week).or_default() += 1;
            }
            if let Some(area) = about.2 {
                *entry(&mut theme.areas, area) += 1;
            }
        }
        Ok(())
    }

    fn count_grouped(&mut self, db: &Connection) -> booth_database::Result<()> {
        let mut statement = db.prepare_cached(
            "SELECT campaign_id, question_id, area_id, count(*) FROM message
             WHERE id IN (SELECT message_id FROM message_idea) GROUP BY 1, 2, 3",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let number: u64 = row.get(3)?;
            if let Some(tally) = self.of(about_of(&row)?) {
                tally.grouped += number;
            }
        }
        Ok(())
    }
}

impl Numbers {
    fn counted(
        db: &Connection,
        hidden: &BTreeSet<String>,
        stopped: &Stopped,
    ) -> booth_database::Result<Self> {
        let mut groups = Groups {
            hidden,
            stopped,
            groups: HashMap::new(),
            name: String::new(),
        };
        groups.count_messages(db)?;
        groups.count_gone(db)?;
        groups.count_themes(db)?;
        groups.count_grouped(db)?;
        let mut numbers = Self::default();
        for group in groups.groups.values() {
            let about = (
                group.campaign.as_deref(),
                group.question.as_deref(),
                group.area.as_deref(),
            );
            numbers.each(about, |tally| tally.take_in(&group.tally));
        }
        Ok(numbers)
    }

    /// All tallies to which something of this campaign, question and area belongs.
    fn each(&mut self, (campaign, question, area): About<'_>, mut change: impl FnMut(&mut Tally)) {
        change(&mut self.whole);
        if let Some(campaign) = campaign {
            change(entry(&mut self.of_campaigns, campaign));
            if let Some(question) = question {
                change(entry(entry(&mut self.of_questions, campaign), question));
            }
        }
        if let Some(area) = area {
            change(entry(&mut self.of_areas, area));
        }
    }

    /// What numbers of messages are seen beside: the minutes in which booths were ready, and where.
    fn count_ready_minutes(
        &mut self,
        db: &Connection,
        exposed: &mut Exposed,
        campaigns: &[CampaignNow],
        hidden: &BTreeSet<String>,
    ) -> booth_database::Result<()> {
        type Place = (Option<String>, Option<String>);
        let places: HashMap<i64, Place> = db
            .prepare_cached("SELECT id, area_id, campaign_id FROM placement")?
            .query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?
            .collect::<booth_database::Result<_>>()?;
        for (area, campaign) in places.values() {
            let campaign = campaign.as_deref().filter(|id| !hidden.contains(*id));
            if let Some(area) = area {
                self.each((campaign, None, Some(area)), |tally| {
                    tally.areas_with_booth.insert(area.clone());
                });
            }
        }
        let named: Vec<Option<HashSet<&str>>> = campaigns
            .iter()
            .map(|one| {
                Some(
                    one.asked
                        .booths
                        .as_ref()?
                        .iter()
                        .map(String::as_str)
                        .collect(),
                )
            })
            .collect();
        let bounds = campaigns.iter().flat_map(CampaignNow::bounds).collect();
        let nowhere = Place::default();
        exposed.each(db, bounds, |booth, number, day, minutes| {
            let (area, campaign) = places.get(&number).unwrap_or(&nowhere);
            let add = |tally: &mut Tally| {
                tally.ready_minutes += minutes;
                if let Some(area) = area {
                    *entry(&mut tally.ready_minutes_of_areas, area) += minutes;
                    tally.areas_with_booth.insert(area.clone());
                }
            };
            add(&mut self.whole);
            if let Some(area) = area {
                add(entry(&mut self.of_areas, area));
            }
            for (one, named) in campaigns.iter().zip(&named) {
                let is_its = campaign.as_ref().is_none_or(|of| *of == one.asked.id);
                let has_booth = named.as_ref().is_none_or(|named| named.contains(booth));
                if is_its && has_booth && one.asks_on(day) {
                    add(entry(&mut self.of_campaigns, &one.asked.id));
                }
            }
        })?;
        // A question is asked where and when its campaign is.
        for (campaign, questions) in &mut self.of_questions {
            let Some(whole) = self.of_campaigns.get(campaign) else {
                continue;
            };
            for tally in questions.values_mut() {
                tally.ready_minutes = whole.ready_minutes;
                tally.ready_minutes_of_areas = whole.ready_minutes_of_areas.clone();
                tally.areas_with_booth = whole.areas_with_booth.clone();
            }
        }
        Ok(())
    }
}

/// Campaign, question and area, where there are any.
type About<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>);

/// What a row is about: campaign, question, area, as its first three columns.
fn about_of<'r>(row: &'r Row<'_>) -> booth_database::Result<About<'r>> {
    Ok((text(row, 0)?, text(row, 1)?, text(row, 2)?))
}

/// A column's text; `None` where there is none.
fn text<'r>(row: &'r Row<'_>, column: usize) -> booth_database::Result<Option<&'r str>> {
    Ok(row.get_ref(column)?.as_str_or_null().ok().flatten())
}

fn source_of(word: Option<&str>) -> Source {
    word.and_then(Source::of).unwrap_or(Source::Booth)
}

/// The Monday of a day's week; the same few hundred days are asked for again and again.
#[derive(Default)]
struct Weeks {
    known: HashMap<String, Option<Date>>,
}

impl Weeks {
    fn of(&mut self, day: Option<&str>) -> Option<Date> {
        let day = day?;
        if let Some(week) = self.known.get(day) {
            return *week;
        }
        let week = day.parse::<Date>().ok().map(|date| {
            let back = i64::from(date.weekday().to_monday_zero_offset());
            date.saturating_sub(jiff::Span::new().days(back))
        });
        self.known.insert(day.to_owned(), week);
        week
    }
}
