//! What the pages know beside numbers: campaigns with their phases and replies, ideas, themes, areas, and where booths stand.
//!
//! Owns: reading them for a picture. Never does: change them; editors and moderators do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use booth_database::Connection;
use jiff::civil::Date;

use booth_contract::MediaHash;
use booth_contract::time::rfc3339;
use booth_host::clock;

use super::texts::{self, Texts};
use crate::City;
use crate::centre::{BoothNow, Campaign, Question, Stopped};
use crate::draw::Shape;
use crate::store::CityError;

/// A campaign as citizens see it.
#[derive(Debug, Clone)]
pub(crate) struct CampaignNow {
    /// What is asked; without questions where the booths no longer have it.
    pub(crate) asked: Campaign,
    pub(crate) title: Texts,
    pub(crate) summary: Texts,
    /// What came of it.
    pub(crate) reply: Texts,
    pub(crate) reply_day: Option<String>,
    /// What its numbers cannot say.
    pub(crate) limits: Texts,
    pub(crate) phase: Phase,
    /// Whether no booth collects votes for it any more. What editors call its phase changes nothing at a booth.
    pub(crate) are_votes_in: bool,
    /// When each phase begins and ends, by the local day.
    pub(crate) phases: Vec<(Phase, String, Option<String>)>,
    /// Replies to single questions, with their day.
    pub(crate) replies: BTreeMap<String, (Texts, String)>,
    /// The one with the most messages first.
    pub(crate) ideas: Vec<Idea>,
}

/// Where a campaign is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It has not begun.
    Soon,
    Open,
    Processing,
    Vote,
    Decided,
}

impl Phase {
    /// Those that editors set, in their order.
    pub(crate) const SET: [Self; 4] = [Self::Open, Self::Processing, Self::Vote, Self::Decided];

    /// Its word in the database, in the style sheet and in the names of texts.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Soon => "soon",
            Self::Open => "open",
            Self::Processing => "processing",
            Self::Vote => "vote",
            Self::Decided => "decided",
        }
    }

    fn of(word: &str) -> Option<Self> {
        Self::SET.into_iter().find(|phase| phase.word() == word)
    }
}

/// Messages that say the same, and what became of them.
#[derive(Debug, Clone)]
pub(crate) struct Idea {
    pub(crate) id: i64,
    pub(crate) title: Texts,
    pub(crate) body: Texts,
    pub(crate) messages: u64,
    /// The campaign, the question and the digit of the vote in which it is an option.
    pub(crate) vote: Option<(String, String, u8)>,
    pub(crate) outcome: Texts,
    pub(crate) outcome_day: Option<String>,
}

/// One of the city's areas.
#[derive(Debug, Clone)]
pub(crate) struct Area {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) shape: Arc<Shape>,
}

/// Where a booth stands or stood.
#[derive(Debug, Clone)]
pub(crate) struct Stand {
    pub(crate) booth: String,
    pub(crate) number: i64,
    pub(crate) place: String,
    pub(crate) area: Option<String>,
    /// Longitude and latitude.
    pub(crate) at: Option<(f64, f64)>,
    /// The local day.
    pub(crate) since: String,
    /// The local day; `None` where it stands there at this moment.
    pub(crate) until: Option<String>,
    /// Whether a citizen can speak there at this moment; `None` where it is not there any more, or has said nothing.
    pub(crate) is_ready: Option<bool>,
}

/// A theme.
#[derive(Debug, Clone)]
pub(crate) struct Theme {
    pub(crate) campaign: String,
    pub(crate) name: Texts,
}

/// The local day of a moment in the database.
pub(super) fn day_of(city: &City, moment: &str) -> String {
    match moment.parse::<jiff::Timestamp>() {
        Ok(at) => at.to_zoned_datetime(city.zone.clone()).date().to_string(),
        Err(_) => moment.get(..10).unwrap_or(moment).to_owned(),
    }
}

/// The language of texts that do not say theirs.
fn first(city: &City) -> &str {
    city.config.offers.first().map_or("da", String::as_str)
}

pub(super) fn themes(city: &City, db: &Connection) -> booth_database::Result<BTreeMap<i64, Theme>> {
    db.prepare_cached("SELECT id, campaign_id, name FROM theme")?
        .query_map([], |row| {
            let name: String = row.get(2)?;
            let theme = Theme {
                campaign: row.get(1)?,
                name: texts::read(Some(&name), first(city)),
            };
            Ok((row.get(0)?, theme))
        })?
        .collect()
}

pub(super) fn areas(city: &City, db: &Connection) -> booth_database::Result<Vec<Area>> {
    db.prepare_cached("SELECT id, name, geometry FROM area ORDER BY place, name, id")?
        .query_map([], |row| {
            let id: String = row.get(0)?;
            Ok(Area {
                shape: city.pictures.shape(&id, row.get(2)?),
                name: row.get(1)?,
                id,
            })
        })?
        .collect()
}

pub(super) fn stands(
    city: &City,
    db: &Connection,
    booths: &[BoothNow],
    now: &str,
) -> booth_database::Result<Vec<Stand>> {
    let mut statement = db.prepare_cached(
        "SELECT id, booth_id, place, area_id, lat, lon, since, until FROM placement
         WHERE since <= ?1 ORDER BY until IS NOT NULL AND until <= ?1, place, since DESC",
    )?;
    let rows = statement.query_map([now], |row| {
        let booth: String = row.get(1)?;
        let (lat, lon): (Option<f64>, Option<f64>) = (row.get(4)?, row.get(5)?);
        let (since, until): (String, Option<String>) = (row.get(6)?, row.get(7)?);
        let until = until.filter(|until| until.as_str() <= now);
        let known = booths.iter().find(|one| one.id == booth);
        Ok(Stand {
            number: row.get(0)?,
            place: row.get(2)?,
            area: row.get(3)?,
            at: lon.zip(lat),
            since: day_of(city, &since),
            is_ready: known
                .filter(|_| until.is_none())
                .map(|booth| booth.is_ready),
            until: until.map(|until| day_of(city, &until)),
            booth,
        })
    })?;
    rows.collect()
}

/// Public campaigns, and the ids of those that are not.
pub(super) fn campaigns(
    city: &City,
    db: &Connection,
    asked: Vec<Campaign>,
    now: &str,
) -> booth_database::Result<(Vec<CampaignNow>, BTreeSet<String>)> {
    let mut all: BTreeMap<String, CampaignNow> = BTreeMap::new();
    for campaign in asked {
        let language = campaign
            .languages
            .first()
            .map_or(first(city), String::as_str);
        let title = Texts::from([(language.to_owned(), campaign.title.clone())]);
        all.insert(campaign.id.clone(), CampaignNow::new(campaign, title));
    }
    let hidden = read_words(city, db, &mut all)?;
    read_phases(db, &mut all)?;
    read_replies(city, db, &mut all)?;
    read_ideas(city, db, &mut all)?;
    let local = clock::wall()
        .to_zoned_datetime(city.zone.clone())
        .datetime();
    let local = local.to_string();
    for one in all.values_mut() {
        one.settle_phase(city, now, &local);
    }
    let mut campaigns: Vec<CampaignNow> = all.into_values().collect();
    let rank = |phase: Phase| match phase {
        Phase::Open | Phase::Vote => 0,
        Phase::Processing => 1,
        Phase::Soon => 2,
        Phase::Decided => 3,
    };
    campaigns.sort_by(|a, b| {
        let by_phase = rank(a.phase).cmp(&rank(b.phase));
        let by_date = b.asked.from.cmp(&a.asked.from);
        by_phase.then(by_date).then(a.asked.id.cmp(&b.asked.id))
    });
    Ok((campaigns, hidden))
}

/// What the public is given nothing of, neither on pages nor as data nor to answer from home: campaigns that editors do not show, and questions
/// that are stopped.
#[derive(Debug)]
pub(crate) struct LeftOut {
    hidden: BTreeSet<String>,
    stopped: Stopped,
}

impl LeftOut {
    /// At this moment.
    pub(crate) fn of(city: &City) -> Result<Self, CityError> {
        let stopped = city.centre.stopped()?;
        let hidden = city.store.read(|db| {
            db.prepare_cached("SELECT id FROM campaign WHERE is_public = 0")?
                .query_map([], |row| row.get(0))?
                .collect()
        })?;
        Ok(Self { hidden, stopped })
    }

    /// Whether this campaign is.
    pub(crate) fn has_campaign(&self, campaign: &str) -> bool {
        self.hidden.contains(campaign)
    }

    /// Whether this question is.
    pub(crate) fn has(&self, campaign: &str, question: &str) -> bool {
        self.has_campaign(campaign) || self.stopped.has(campaign, question)
    }
}

/// One campaign at this moment, with its phase and nothing else that editors say of it.
pub(crate) fn at_this_moment(
    city: &City,
    db: &Connection,
    asked: &Campaign,
) -> booth_database::Result<CampaignNow> {
    let one = CampaignNow::new(asked.clone(), Texts::new());
    let mut all = BTreeMap::from([(asked.id.clone(), one)]);
    read_phases(db, &mut all)?;
    let now = clock::wall();
    let local = now.to_zoned_datetime(city.zone.clone()).datetime();
    let mut one = all
        .remove(&asked.id)
        .unwrap_or_else(|| CampaignNow::new(asked.clone(), Texts::new()));
    one.settle_phase(city, &rfc3339(now), &local.to_string());
    Ok(one)
}

/// Takes the stopped questions out of what is shown; answers the prompts that nothing else has.
pub(super) fn take_out(campaigns: &mut [CampaignNow], stopped: &Stopped) -> BTreeSet<MediaHash> {
    let (mut silent, mut heard) = (BTreeSet::new(), BTreeSet::new());
    for one in campaigns {
        let id = one.asked.id.clone();
        for question in &one.asked.questions {
            let options = question.options.iter().map(|option| &option.prompt);
            let all = options.chain([&question.prompt, &question.answer_prompt]);
            let prompts = all.flat_map(BTreeMap::values).cloned();
            match stopped.has(&id, &question.id) {
                true => silent.extend(prompts),
                false => heard.extend(prompts),
            }
        }
        let is_shown = |question: &Question| !stopped.has(&id, &question.id);
        one.asked.questions.retain(is_shown);
        for idea in &mut one.ideas {
            let vote = idea.vote.as_ref();
            if vote.is_some_and(|(campaign, question, _)| stopped.has(campaign, question)) {
                idea.vote = None;
            }
        }
    }
    silent.difference(&heard).cloned().collect()
}

/// What editors say of campaigns.
fn read_words(
    city: &City,
    db: &Connection,
    all: &mut BTreeMap<String, CampaignNow>,
) -> booth_database::Result<BTreeSet<String>> {
    let mut hidden = BTreeSet::new();
    let mut statement = db.prepare_cached(
        "SELECT id, title, summary, reply, limits, reply_at, is_public FROM campaign",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        if !row.get::<_, bool>(6)? {
            all.remove(&id);
            hidden.insert(id);
            continue;
        }
        let text = |column| -> booth_database::Result<Texts> {
            let text: Option<String> = row.get(column)?;
            Ok(texts::read(text.as_deref(), first(city)))
        };
        let (title, reply_at): (Texts, Option<String>) = (text(1)?, row.get(5)?);
        let one = all
            .entry(id.clone())
            .or_insert_with(|| CampaignNow::new(unasked(&id), Texts::new()));
        if !title.is_empty() {
            one.title = title;
        }
        one.summary = text(2)?;
        one.reply = text(3)?;
        one.limits = text(4)?;
        one.reply_day = reply_at.map(|at| day_of(city, &at));
    }
    Ok(hidden)
}

fn read_phases(
    db: &Connection,
    all: &mut BTreeMap<String, CampaignNow>,
) -> booth_database::Result<()> {
    let mut statement =
        db.prepare_cached("SELECT campaign_id, phase, since, until FROM phase ORDER BY since")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, word): (String, String) = (row.get(0)?, row.get(1)?);
        if let (Some(one), Some(phase)) = (all.get_mut(&id), Phase::of(&word)) {
            one.phases.push((phase, row.get(2)?, row.get(3)?));
        }
    }
    Ok(())
}

fn read_replies(
    city: &City,
    db: &Connection,
    all: &mut BTreeMap<String, CampaignNow>,
) -> booth_database::Result<()> {
    let mut statement =
        db.prepare_cached("SELECT campaign_id, question_id, text, at FROM question_reply")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        if let Some(one) = all.get_mut(&id) {
            let (text, at): (String, String) = (row.get(2)?, row.get(3)?);
            let reply = texts::read(Some(&text), first(city));
            one.replies.insert(row.get(1)?, (reply, day_of(city, &at)));
        }
    }
    Ok(())
}

fn read_ideas(
    city: &City,
    db: &Connection,
    all: &mut BTreeMap<String, CampaignNow>,
) -> booth_database::Result<()> {
    let mut statement = db.prepare_cached(
        "SELECT id, campaign_id, title, body, outcome, outcome_at, vote_campaign, vote_question, vote_digit,
           (SELECT count(*) FROM message_idea WHERE idea_id = idea.id) FROM idea ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let campaign: String = row.get(1)?;
        let Some(one) = all.get_mut(&campaign) else {
            continue;
        };
        let text = |column| -> booth_database::Result<Texts> {
            let text: Option<String> = row.get(column)?;
            Ok(texts::read(text.as_deref(), first(city)))
        };
        let outcome_at: Option<String> = row.get(5)?;
        let vote = (row.get(6)?, row.get(7)?, row.get(8)?);
        one.ideas.push(Idea {
            id: row.get(0)?,
            title: text(2)?,
            body: text(3)?,
            outcome: text(4)?,
            outcome_day: outcome_at.map(|at| day_of(city, &at)),
            vote: match vote {
                (Some(campaign), Some(question), Some(digit)) => Some((campaign, question, digit)),
                _ => None,
            },
            messages: row.get(9)?,
        });
    }
    for one in all.values_mut() {
        one.ideas
            .sort_by_key(|idea| std::cmp::Reverse(idea.messages));
    }
    Ok(())
}

/// A campaign that editors know and the booths do not have.
fn unasked(id: &str) -> Campaign {
    Campaign {
        id: id.to_owned(),
        title: id.to_owned(),
        from: None,
        until: None,
        booths: Some(Vec::new()),
        languages: Vec::new(),
        questions: Vec::new(),
        notice: BTreeMap::new(),
        children: "text".into(),
    }
}

impl CampaignNow {
    fn new(asked: Campaign, title: Texts) -> Self {
        Self {
            asked,
            title,
            summary: Texts::new(),
            reply: Texts::new(),
            reply_day: None,
            limits: Texts::new(),
            phase: Phase::Open,
            are_votes_in: false,
            phases: Vec::new(),
            replies: BTreeMap::new(),
            ideas: Vec::new(),
        }
    }

    /// The phase of this moment: what editors wrote down, else what the campaign's own dates say.
    fn settle_phase(&mut self, city: &City, now: &str, local: &str) {
        // Between two phases the earlier one goes on.
        let begun = |(_, since, _): &&(Phase, String, Option<String>)| since.as_str() <= now;
        let is_over = |until: &Option<String>| until.as_deref().is_some_and(|day| day <= local);
        self.phase = match self.phases.iter().rev().find(begun) {
            Some((phase, ..)) => *phase,
            None if !self.phases.is_empty() => Phase::Soon,
            None if self.asked.from.as_deref() > Some(local) => Phase::Soon,
            None if is_over(&self.asked.until) || self.asked.questions.is_empty() => {
                match self.reply.is_empty() {
                    true => Phase::Processing,
                    false => Phase::Decided,
                }
            }
            None => Phase::Open,
        };
        self.are_votes_in = is_over(&self.asked.until) && !self.is_open();
        for (_, since, until) in &mut self.phases {
            *since = day_of(city, since);
            *until = until.as_deref().map(|until| day_of(city, until));
        }
    }

    /// Whether its questions can be answered at this moment.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Vote)
    }

    /// The days from which on its booths begin to ask, or ask no more.
    pub(super) fn bounds(&self) -> Vec<String> {
        let day = |time: &Option<String>| {
            time.as_deref()
                .and_then(|time| Some(time.get(..10)?.to_owned()))
        };
        let last = day(&self.asked.until);
        let after = last
            .as_ref()
            .and_then(|day| day.parse::<Date>().ok()?.tomorrow().ok());
        let bounds = [
            day(&self.asked.from),
            last,
            after.map(|day| day.to_string()),
        ];
        bounds.into_iter().flatten().collect()
    }

    /// Whether its booths asked it on this local day.
    pub(super) fn asks_on(&self, day: &str) -> bool {
        let asked = &self.asked;
        let begins = asked.from.as_deref().and_then(|from| from.get(..10));
        // A campaign that ends at midnight does not ask on the day that begins then.
        let noon = format!("{day}T12:00");
        begins.is_none_or(|from| from <= day)
            && asked
                .until
                .as_deref()
                .is_none_or(|until| noon.as_str() < until)
    }

    pub(crate) fn question(&self, id: &str) -> Option<&Question> {
        self.asked.questions.iter().find(|one| one.id == id)
    }
}
