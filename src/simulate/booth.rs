//! One simulated booth: citizens who lift and speak, a card in memory, and the booth's own delivery and connection.
//!
//! Owns: what this booth says of itself, and its clips until the hub has confirmed them. Never does: decide when a clip is sent, offered again
//! or let go; [`gateway_core::delivery`] does.
#![allow(clippy::disallowed_methods)] // waits for the next lift, and gives clips their ids by chance

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use booth_contract::time::{Mono, rfc3339};
use booth_contract::{
    AlertId, Birth, BodyHash, BodyKind, BoothId, BoothState, CardId, ClipId, ClipKind, Consent,
    ConsentMode, EndedBy, Health, Manifest, Presence, SCHEMA, Session, Topic, Topics,
};
use booth_host::link::login::Login;
use booth_host::{clock, crew};
use gateway_core::delivery::{Confirmation, Delivery, Offer, Send, Verdict, What};
use gateway_core::inbox::{self, Inbound};
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::plan::{Chance, Plan};
use super::tally::Tally;
use crate::adapters::mqtt::{self, Kind, MqttEvent, MqttSettings, Outbound, Will};
use crate::adapters::outbox::{self, Outbox};

/// Reports of the connection that may wait.
const REPORTS: usize = 16;
/// Tokens of what is no message of a clip.
const TELEGRAM: u64 = 1 << 63;

/// The body of every simulated message.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Vec<u8>,
    sha256: BodyHash,
    ms: u64,
}

impl Body {
    pub(super) fn new(bytes: Vec<u8>, ms: u64) -> Self {
        let sha256 = BodyHash::of_digest(&Sha256::digest(&bytes));
        Self { bytes, sha256, ms }
    }
}

/// Who speaks: shared with the connection for its will.
#[derive(Debug, Clone)]
struct Speaker {
    card_id: CardId,
    session: Session,
}

impl Speaker {
    fn state(&self, state: Presence) -> Vec<u8> {
        let now = Some(rfc3339(clock::wall()));
        let is_will = state == Presence::Lost;
        let payload = BoothState {
            state,
            session: self.session,
            card_id: self.card_id.clone(),
            boot_id: Default::default(),
            ts: now.clone().filter(|_| !is_will),
            connected_at: now.filter(|_| is_will),
        };
        serde_json::to_vec(&payload).expect("a state holds only text and numbers")
    }
}

/// A connection and the task that keeps it.
struct Line {
    outbox: Outbox,
    reports: mpsc::Receiver<MqttEvent>,
    task: JoinHandle<()>,
}

/// A clip on the card.
struct Clip {
    manifest: Vec<u8>,
    kept_at: Mono,
}

/// See the module's comment.
pub(super) struct SimulatedBooth {
    id: BoothId,
    login: Login,
    topics: Topics,
    body: Arc<Body>,
    plan: Plan,
    chance: Chance,
    tally: Arc<Tally>,
    speaker: Arc<Mutex<Speaker>>,
    delivery: Delivery,
    clips: HashMap<ClipId, Clip>,
    clip_no: u64,
    telegrams: AtomicU64,
    is_connected: bool,
    started_at: Mono,
}

impl SimulatedBooth {
    pub(super) fn new(
        id: BoothId,
        login: Login,
        topics: Topics,
        body: Arc<Body>,
        plan: Plan,
        chance: Chance,
        tally: Arc<Tally>,
    ) -> Self {
        let speaker = Speaker {
            // A card of its own for each simulation: its numbers begin at 1.
            card_id: CardId::from(Uuid::new_v4().to_string()),
            session: Session {
                boot_count: 1,
                connect_ms: 0,
            },
        };
        Self {
            id,
            login,
            topics,
            body,
            plan,
            chance,
            tally,
            speaker: Arc::new(Mutex::new(speaker)),
            delivery: Delivery::new(Confirmation::Hub).paced(plan.faults.bytes_per_second),
            clips: HashMap::new(),
            clip_no: 0,
            telegrams: AtomicU64::new(0),
            is_connected: false,
            started_at: clock::mono(),
        }
    }

    /// Lives until it is aborted. From `closed` on nobody comes any more, and what is on the card still leaves.
    pub(super) async fn live(mut self, mut closed: watch::Receiver<bool>) {
        tokio::time::sleep(self.plan.ramp.mul_f64(self.chance.share())).await;
        let mut line = self.connect();
        let mut lift = self.next(self.plan.lifts_per_hour);
        let mut parting = self.next(self.plan.faults.disconnects_per_hour);
        let mut cut = self.next(self.plan.faults.power_cuts_per_hour);
        let mut health = clock::mono() + self.plan.health.mul_f64(self.chance.share());
        let mut is_closed = false;
        loop {
            let now = clock::mono();
            let due = [lift, parting, cut, self.delivery.deadline(now)];
            let due = due
                .into_iter()
                .flatten()
                .chain([health])
                .min()
                .unwrap_or(health);
            tokio::select! {
                report = line.reports.recv() => match report {
                    Some(report) => self.reported(&line.outbox, report),
                    None => return,
                },
                () = tokio::time::sleep(due.since(now)) => {}
                changed = closed.changed(), if !is_closed => {
                    is_closed = changed.is_err() || *closed.borrow();
                }
            }
            let now = clock::mono();
            let is_due = |at: Option<Mono>| at.is_some_and(|at| at <= now);
            if is_closed {
                (lift, parting, cut) = (None, None, None);
            }
            if is_due(lift) {
                self.speak(now);
                lift = self.next(self.plan.lifts_per_hour);
            }
            if is_due(cut) {
                cut = self.next(self.plan.faults.power_cuts_per_hour);
                line = self.power_cut(line).await;
            } else if is_due(parting) {
                parting = self.next(self.plan.faults.disconnects_per_hour);
                Tally::add(&self.tally.faults);
                line = self.cut_off(line).await;
            }
            if health <= now {
                health = now + self.plan.health;
                self.say_health(&line.outbox);
            }
            self.deliver(&line.outbox);
        }
    }

    fn next(&mut self, per_hour: f64) -> Option<Mono> {
        self.chance.until(per_hour).map(|wait| clock::mono() + wait)
    }

    fn speaker(&self) -> std::sync::MutexGuard<'_, Speaker> {
        self.speaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self) -> Line {
        let (outbox, outlet) = outbox::pair();
        let (reports_in, reports) = mpsc::channel(REPORTS);
        let down = self.topics.name(&Topic::Ack(self.id.clone(), "".into()));
        let down = down.trim_end_matches("ack/");
        let settings = MqttSettings {
            login: self.login.clone(),
            filters: vec![format!("{down}#"), self.topics.name(&Topic::HubState)],
            topics: self.topics.clone(),
        };
        let (speaker, started_at) = (Arc::clone(&self.speaker), self.started_at);
        let topic = self.topics.name(&Topic::State(self.id.clone()));
        let will = move || {
            let mut speaker = speaker.lock().unwrap_or_else(PoisonError::into_inner);
            let ms = clock::mono().since(started_at).as_millis();
            // Two connections never have the same session.
            let ms = u64::try_from(ms).unwrap_or(u64::MAX);
            speaker.session.connect_ms = ms.max(speaker.session.connect_ms + 1);
            Some(Will {
                topic: topic.clone(),
                payload: speaker.state(Presence::Lost),
            })
        };
        let link = mqtt::run(
            vec![settings],
            will,
            outlet,
            reports_in,
            |event| event,
            |_| {},
        );
        Line {
            outbox,
            reports,
            task: crew::errand("booth's link", link),
        }
    }

    /// The network is gone without a word, and comes back.
    async fn cut_off(&mut self, line: Line) -> Line {
        line.task.abort();
        let _ = line.task.await;
        self.gone();
        self.connect()
    }

    /// The power fails: what was on the card is offered again under another session.
    async fn power_cut(&mut self, line: Line) -> Line {
        Tally::add(&self.tally.faults);
        {
            let mut speaker = self.speaker();
            speaker.session.boot_count += 1;
            speaker.session.connect_ms = 0;
        }
        self.gone_with_the_power();
        self.cut_off(line).await
    }

    fn gone_with_the_power(&mut self) {
        self.delivery = Delivery::new(Confirmation::Hub).paced(self.plan.faults.bytes_per_second);
        let mut on_card: Vec<(ClipId, Mono)> = self
            .clips
            .iter()
            .map(|(id, clip)| (id.clone(), clip.kept_at))
            .collect();
        on_card.sort_by_key(|(_, at)| *at);
        for (id, kept_at) in on_card {
            let offer = self.offer(&id, kept_at);
            self.delivery.keep(offer, false);
        }
    }

    fn gone(&mut self) {
        if std::mem::replace(&mut self.is_connected, false) {
            self.tally.connected.fetch_sub(1, Ordering::Relaxed);
        }
        self.delivery.disconnected();
    }

    fn offer(&self, id: &ClipId, kept_at: Mono) -> Offer {
        Offer {
            clip_id: id.clone(),
            bytes: self.body.bytes.len() as u64,
            sha256: self.body.sha256.clone(),
            kept_at_ms: i64::try_from(kept_at.0).unwrap_or(i64::MAX),
            fixed: true,
            is_withdrawal: false,
        }
    }

    /// A citizen lifts, speaks and hangs up; the message is on the card.
    fn speak(&mut self, now: Mono) {
        self.clip_no += 1;
        let id = ClipId::from(Uuid::new_v4().to_string());
        let (card_id, boots) = {
            let speaker = self.speaker();
            (speaker.card_id.clone(), speaker.session.boot_count)
        };
        let manifest = Manifest {
            schema: SCHEMA,
            clip_id: id.clone(),
            clip_no: self.clip_no,
            card_id,
            booth_id: self.id.clone(),
            boot_id: format!("simulated-{boots}").into(),
            kind: ClipKind::Audio,
            source: "booth".into(),
            test: 0,
            campaign_id: None,
            question_id: Some("simulated".into()),
            choice: None,
            lang: Some("da".into()),
            started_at: Some(rfc3339(clock::wall())),
            started_mono_ms: Some(now.0),
            clock_synced: Some(1),
            duration_ms: Some(self.body.ms),
            ended_by: Some(EndedBy::HangUp),
            recovered: 0,
            body: Some(BodyKind::OggOpus),
            bytes: self.body.bytes.len() as u64,
            sha256: Some(self.body.sha256.clone()),
            bitrate: Some(super::BITRATE),
            sample_rate: Some(48_000),
            channels: Some(1),
            consent: Some(Consent::by_key("1")),
            key_ids: Vec::new(),
            sealed: None,
            rms_dbfs: Some(-24.0),
            peak_dbfs: Some(-9.0),
            speech_ratio: Some(0.8),
            config_version: None,
            reason: None,
        };
        let clip = Clip {
            manifest: manifest.to_json(),
            kept_at: now,
        };
        self.clips.insert(id.clone(), clip);
        self.delivery.keep(self.offer(&id, now), false);
        Tally::add(&self.tally.lifts);
        Tally::add(&self.tally.kept);
    }

    fn reported(&mut self, outbox: &Outbox, event: MqttEvent) {
        let now = clock::mono();
        match event {
            MqttEvent::Connected { max_packet } => {
                self.is_connected = true;
                Tally::add(&self.tally.connected);
                Tally::add(&self.tally.connections);
                self.delivery.connected(max_packet);
                self.introduce(outbox);
            }
            MqttEvent::Disconnected { why, .. } => {
                self.tally.failed(why);
                self.gone();
                outbox.connect_again(false);
            }
            MqttEvent::Answered { token, answer, why } if token & TELEGRAM == 0 => {
                let verdicts = self.delivery.puback(now, token, answer, &why);
                self.settle(now, verdicts);
            }
            MqttEvent::Answered { .. } => {}
            MqttEvent::Incoming { topic, payload, .. } => {
                match inbox::read(&self.topics, &topic, &payload) {
                    Inbound::Ack(ack) => {
                        let verdicts = self.delivery.ack(now, &ack);
                        self.settle(now, verdicts);
                    }
                    Inbound::Hub(hub) => self.delivery.hub_online(hub.state == Presence::Online),
                    Inbound::Rebirth(_) => self.introduce(outbox),
                    _ => {}
                }
            }
        }
    }

    fn settle(&mut self, now: Mono, verdicts: Vec<Verdict>) {
        for verdict in verdicts {
            match verdict {
                Verdict::Release(receipt) => {
                    if let Some(clip) = self.clips.remove(receipt.clip_id()) {
                        self.tally.waited(now.since(clip.kept_at));
                        Tally::add(&self.tally.confirmed);
                    }
                }
                Verdict::Delete(receipt) => {
                    if self.clips.remove(receipt.clip_id()).is_some() {
                        Tally::add(&self.tally.discarded);
                    }
                }
                Verdict::Quarantine { clip_id, reason } => {
                    self.clips.remove(&clip_id);
                    Tally::add(&self.tally.rejected);
                    self.tally
                        .failed(format!("the hub refused a message: {reason}"));
                }
                Verdict::Odd(what) => self.tally.failed(what),
            }
        }
    }

    /// Publishes what delivery has to send.
    fn deliver(&mut self, outbox: &Outbox) {
        let now = clock::mono();
        while let Some(Send {
            token,
            clip_id,
            what,
        }) = self.delivery.next(now)
        {
            let Some(clip) = self.clips.get(&clip_id) else {
                self.delivery.give_up(&clip_id);
                continue;
            };
            let (topic, payload) = match what {
                What::Part { from, to } => {
                    let (from_at, to_at) = (from as usize, to as usize);
                    Tally::add(&self.tally.parts);
                    let part = self
                        .body
                        .bytes
                        .get(from_at..to_at)
                        .unwrap_or_default()
                        .to_vec();
                    (Topic::Part(self.id.clone(), clip_id.clone(), from), part)
                }
                What::Manifest | What::Withdrawal => (
                    Topic::Clip(self.id.clone(), clip_id.clone()),
                    clip.manifest.clone(),
                ),
            };
            self.delivery.sized(token, payload.len());
            self.put(outbox, token, &topic, payload, Kind::Clip, None);
        }
    }

    fn put(
        &self,
        outbox: &Outbox,
        token: u64,
        topic: &Topic,
        payload: Vec<u8>,
        kind: Kind,
        expiry_s: Option<u32>,
    ) {
        // Delivery's window is smaller than the outbox, and of statements the latest counts.
        let _ = outbox.put(Outbound {
            token,
            topic: self.topics.name(topic),
            payload,
            retain: kind == Kind::Statement,
            expiry_s,
            correlation: None,
            kind,
        });
    }

    fn say(&self, outbox: &Outbox, topic: &Topic, payload: Vec<u8>, expiry_s: Option<u32>) {
        let token = TELEGRAM | self.telegrams.fetch_add(1, Ordering::Relaxed);
        self.put(outbox, token, topic, payload, Kind::Statement, expiry_s);
    }

    /// Everything that a booth says when it has connected: state, birth, every alert of the table, health.
    fn introduce(&self, outbox: &Outbox) {
        let booth = self.id.clone();
        let speaker = self.speaker().clone();
        self.say(
            outbox,
            &Topic::State(booth.clone()),
            speaker.state(Presence::Online),
            None,
        );
        let birth = Birth {
            schema: SCHEMA,
            booth_id: Some(booth.clone()),
            name: format!("simulated {booth}"),
            session: speaker.session,
            boot_id: Default::default(),
            boot_count: speaker.session.boot_count,
            card_id: speaker.card_id.clone(),
            previous_card_id: None,
            card_first_seen: rfc3339(clock::wall()),
            hw_model: Some("simulated".into()),
            hw_serial: None,
            image_id: None,
            os_version: None,
            sw_version: env!("CARGO_PKG_VERSION").into(),
            sw_commit: None,
            config_hash: String::new(),
            recipient_key_ids: Vec::new(),
            sealed: Some(false),
            consent_mode: Some(ConsentMode::Digit),
            audio_in: "simulated".into(),
            audio_out: "simulated".into(),
            handset_backend: "sim".into(),
            ip: None,
            mac: None,
            started_at: rfc3339(clock::wall()),
            health_interval_s: self.plan.health.as_secs(),
        };
        let birth = serde_json::to_vec(&birth).expect("a birth holds only text and numbers");
        self.say(outbox, &Topic::Birth(booth.clone()), birth, None);
        for id in AlertId::ALL {
            self.say(
                outbox,
                &Topic::Alert(booth.clone(), id.as_str().into()),
                Vec::new(),
                None,
            );
        }
        self.say_health(outbox);
    }

    fn say_health(&self, outbox: &Outbox) {
        if !self.is_connected {
            return;
        }
        let now = clock::mono();
        let oldest = self.delivery.oldest_unsent(now).unwrap_or(Duration::ZERO);
        let boots = self.speaker().session.boot_count;
        let health = Health {
            ready: Some(true),
            ts: Some(clock::wall().as_second() as f64),
            health_interval_s: Some(self.plan.health.as_secs()),
            up_s: Some(now.since(self.started_at).as_secs()),
            boot_count: Some(boots),
            clock_synced: Some(true),
            cpu_temp_c: Some(48.5),
            load1: Some(0.12),
            mem_free_mb: Some(310.0),
            rss_mb: Some(18.0),
            data_used_pct: Some(4.0),
            sd_io_errors: Some(0),
            spool_clips: Some(self.clips.len() as u64),
            spool_bytes: Some((self.clips.len() * self.body.bytes.len()) as u64),
            oldest_unsent_s: Some(oldest.as_secs()),
            last_clip_no: Some(self.clip_no),
            capture_ok: Some(true),
            playback_ok: Some(true),
            link_up: Some(true),
            faults: Some(0),
            lifts_total: Some(self.clip_no),
            lifts_today: Some(self.clip_no),
            clips_total: Some(self.clip_no),
            clips_today: Some(self.clip_no),
            ..Health::default()
        };
        Tally::add(&self.tally.healths);
        self.say(
            outbox,
            &Topic::Health(self.id.clone()),
            health.to_json(),
            Some(Health::EXPIRY_S),
        );
    }
}
