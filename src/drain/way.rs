//! The way of a card's messages to the hub: the booth's own delivery over the booth's own connection.
//!
//! Owns: what each event of the connection means here, and when it is waited no longer. A lost connection comes back by itself as long as there is
//! patience; a login that is refused, and a name that somebody else uses, end it at once.
#![allow(clippy::disallowed_methods)] // waits for what is due

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use booth_contract::time::{Mono, rfc3339};
use booth_contract::{AckStatus, BoothId, BrokerState, ClipId, Presence, Topic, Topics};
use booth_host::link::asked::by_arguments;
use booth_host::{clock, crew};
use gateway_core::delivery::{Confirmation, Delivery, Offer, Puback, Send, Verdict, What};
use gateway_core::inbox::{self, Inbound};
use gateway_core::rival::Loss;
use tokio::sync::mpsc;

use super::outcome::{Ended, Fate};
use super::receipt::{DrainReceipt, SCHEMA, Sent, SentSlip};
use super::{Sender, Wanted};
use crate::adapters::mqtt::{self, Kind, MqttEvent, MqttSettings, Outbound};
use crate::adapters::outbox::{self, Outbox};
use crate::pulled::{Load, NotRead};

/// Reports of the connection that may wait.
const REPORTS: usize = 16;
/// What a message counts beside its body in what is told of the progress, bytes: a manifest is about this long.
const MANIFEST_BYTES: u64 = 1024;
/// A connection that ends sooner than this after it stood, so often in a row, is most likely taken by the booth itself: an older Mosquitto does not say so.
const SHORT: Duration = Duration::from_secs(20);
const SHORT_IN_A_ROW: u32 = 3;
/// So often what the hub asks for counts as going on, for each message.
const MOST_ASKED_AGAIN: u32 = 20;
/// Sentences beside the messages.
const MOST_NOTES: usize = 20;

/// Everything that is under way.
pub(super) struct Way {
    load: Load,
    topics: Topics,
    sender: Sender,
    /// The booth in whose branch withdrawals are sent.
    withdrawals_of: Option<BoothId>,
    delivery: Delivery,
    fates: HashMap<ClipId, Fate>,
    /// How far the part of each message without the broker's answer reaches, by its token.
    on_the_way: HashMap<u64, (ClipId, u64)>,
    /// How far the broker has each body.
    taken: HashMap<ClipId, u64>,
    /// How often the hub has asked for the rest of a message.
    asked_again: HashMap<ClipId, u32>,
    total: u64,
    settled: u64,
    /// When something went on last: a message was settled, or the broker took bytes that it had not taken before.
    moved_at: Mono,
    has_met_hub: bool,
    stood_at: Option<Mono>,
    short: u32,
    /// What was last heard of the broker, if it is away.
    trouble: Option<String>,
    ended: Option<Ended>,
}

impl Way {
    pub(super) fn new(load: Load, topics: Topics, wanted: &Wanted) -> Self {
        let withdrawals_of = withdrawals_of(&load, wanted);
        let total = load
            .parcels
            .values()
            .map(|parcel| cost(parcel.clip.bytes))
            .sum();
        let mut way = Self {
            load,
            topics,
            sender: wanted.sender.clone(),
            withdrawals_of,
            delivery: Delivery::new(Confirmation::Hub),
            fates: HashMap::new(),
            on_the_way: HashMap::new(),
            taken: HashMap::new(),
            asked_again: HashMap::new(),
            total,
            settled: 0,
            moved_at: clock::mono(),
            has_met_hub: false,
            stood_at: None,
            short: 0,
            trouble: None,
            ended: None,
        };
        way.offer_all();
        way
    }

    /// Withdrawals first, as they are small and somebody waits for them; then messages in the order in which they were spoken.
    fn offer_all(&mut self) {
        for (id, slip) in &self.load.slips {
            match self.withdrawals_of {
                Some(_) => self.delivery.keep(offer(id, 0, &slip.sha256, true), false),
                None => {
                    self.fates.insert(id.clone(), Fate::NoBooth);
                }
            }
        }
        let mut clips: Vec<_> = self
            .load
            .parcels
            .values()
            .map(|parcel| &parcel.clip)
            .collect();
        clips.sort_by_key(|clip| (clip.kept_at_ms, clip.clip_no));
        for clip in clips {
            self.delivery
                .keep(offer(&clip.clip_id, clip.bytes, &clip.sha256, false), false);
        }
    }

    pub(super) async fn go(
        mut self,
        wanted: &Wanted,
        tell: &mut dyn FnMut(&'static str, u64, u64),
        stop: impl Future<Output = ()>,
    ) -> DrainReceipt {
        let settings = MqttSettings {
            login: wanted.login.clone(),
            filters: self.topics.courier_filters(self.sender.booth()),
            topics: self.topics.clone(),
        };
        let (outbox, outlet) = outbox::pair();
        let (reports_in, mut reports) = mpsc::channel(REPORTS);
        let link = mqtt::run(
            vec![settings],
            || None,
            outlet,
            reports_in,
            |event| event,
            |_| {},
        );
        let link = crew::errand("drain's link", link);
        let mut stop = pin!(stop);
        self.moved_at = clock::mono();
        let ended = loop {
            let now = clock::mono();
            self.send_all(now, &outbox);
            tell("sending", self.done(), self.total);
            if let Some(ended) = self.ended(now, wanted.patience) {
                break ended;
            }
            let give_up = self.moved_at + wanted.patience;
            let due = self
                .delivery
                .deadline(now)
                .map_or(give_up, |due| due.min(give_up));
            tokio::select! {
                report = reports.recv() => match report {
                    Some(report) => self.reported(&outbox, report),
                    None => break Ended::NoBroker,
                },
                () = tokio::time::sleep(due.since(now)) => {}
                () = &mut stop => break Ended::Stopped,
            }
        };
        // Nothing is left to be said, and there is no will: the connection may end at once.
        drop(outbox);
        drop(reports);
        let _ = link.await;
        self.receipt(wanted, ended)
    }

    /// Whether it is waited no longer, and why.
    fn ended(&mut self, now: Mono, patience: Duration) -> Option<Ended> {
        if self.delivery.unsent() + self.delivery.unsent_withdrawals() == 0 {
            return Some(Ended::Done);
        }
        if self.ended.is_some() {
            return self.ended.take();
        }
        (now.since(self.moved_at) >= patience).then_some(match self.stood_at {
            None => Ended::NoBroker,
            Some(_) if !self.delivery.is_hub_online() => Ended::HubAway,
            Some(_) => Ended::HubSilent,
        })
    }

    fn done(&self) -> u64 {
        self.settled + self.taken.values().sum::<u64>()
    }

    fn reported(&mut self, outbox: &Outbox, event: MqttEvent) {
        let now = clock::mono();
        match event {
            MqttEvent::Connected { max_packet } => {
                self.stood_at = Some(now);
                self.trouble = None;
                self.delivery.connected(max_packet);
            }
            MqttEvent::Disconnected { why, state, loss } => {
                self.lost(now, &why, state, loss);
                outbox.connect_again(false);
            }
            MqttEvent::Answered { token, answer, why } => self.answered(now, token, answer, &why),
            MqttEvent::Incoming { topic, payload, .. } => {
                match inbox::read(&self.topics, &topic, &payload) {
                    Inbound::Hub(hub) => {
                        let is_online = hub.state == Presence::Online;
                        if is_online && !std::mem::replace(&mut self.has_met_hub, true) {
                            self.moved_at = now;
                        }
                        self.delivery.hub_online(is_online);
                    }
                    Inbound::Ack(ack) => self.acked(now, &ack),
                    Inbound::HubUnreadable(why) => {
                        self.unreadable(format!(
                            "what the hub says of itself cannot be read: {why}"
                        ));
                    }
                    Inbound::AckUnreadable(why) => {
                        self.unreadable(format!("an answer of the hub cannot be read: {why}"));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Somebody has to see why nothing goes on; each sentence once.
    fn unreadable(&mut self, why: String) {
        let notes = &mut self.load.notes;
        if notes.len() < MOST_NOTES && !notes.contains(&why) {
            notes.push(why);
        }
    }

    fn lost(&mut self, now: Mono, why: &str, state: BrokerState, loss: Loss) {
        let stood = self.stood_at.take().map(|at| now.since(at));
        self.short = match stood {
            Some(stood) if stood < SHORT => self.short + 1,
            Some(_) => 0,
            None => self.short,
        };
        self.trouble = Some(by_arguments(why));
        self.on_the_way.clear();
        self.delivery.disconnected();
        self.delivery.hub_online(false);
        let is_booth = self.sender.booth().is_some();
        self.ended = match (loss, state) {
            (Loss::TakenOver | Loss::SteppedBack, _) => Some(Ended::NameInUse),
            (_, BrokerState::LoginRefused | BrokerState::TlsFailed) => Some(Ended::LoginRefused),
            _ if is_booth && self.short >= SHORT_IN_A_ROW => Some(Ended::NameInUse),
            _ => None,
        };
    }

    fn answered(&mut self, now: Mono, token: u64, answer: Puback, why: &str) {
        let on_the_way = self.on_the_way.remove(&token);
        if let (Puback::Refused, Some((clip_id, _))) = (answer, &on_the_way) {
            let fate = Fate::NotLetThrough(why.to_owned());
            return self.settle(now, clip_id, fate);
        }
        if let (Puback::Success, Some((clip_id, reaches))) = (answer, on_the_way) {
            let taken = self.taken.entry(clip_id).or_default();
            if reaches > *taken {
                *taken = reaches;
                self.moved_at = now;
            }
        }
        let verdicts = self.delivery.puback(now, token, answer, why);
        self.take(now, verdicts);
    }

    fn acked(&mut self, now: Mono, ack: &booth_contract::Ack) {
        let is_slip = self.load.slips.contains_key(&ack.clip_id);
        if is_slip && ack.status != AckStatus::Stored {
            let why = ack
                .reason
                .clone()
                .unwrap_or_else(|| "no reason is given".into());
            return self.settle(now, &ack.clip_id, Fate::Rejected(why));
        }
        if ack.status == AckStatus::Partial && self.load.parcels.contains_key(&ack.clip_id) {
            // What is asked for is sent again, which goes on; not for ever.
            let times = self.asked_again.entry(ack.clip_id.clone()).or_default();
            *times += 1;
            if *times <= MOST_ASKED_AGAIN {
                self.taken.remove(&ack.clip_id);
            }
        }
        let verdicts = self.delivery.ack(now, ack);
        self.take(now, verdicts);
    }

    fn take(&mut self, now: Mono, verdicts: Vec<Verdict>) {
        for verdict in verdicts {
            match verdict {
                Verdict::Release(receipt) => self.settle(now, receipt.clip_id(), Fate::Stored),
                Verdict::Delete(receipt) => self.settle(now, receipt.clip_id(), Fate::TakenBack),
                Verdict::Quarantine { clip_id, reason } => {
                    self.settle(now, &clip_id, Fate::Rejected(reason));
                }
                // An answer that comes twice, as after a lost connection.
                Verdict::Odd(_) => {}
            }
        }
    }

    /// There is a last word about a message; it is sent no more.
    fn settle(&mut self, now: Mono, clip_id: &ClipId, fate: Fate) {
        self.delivery.give_up(clip_id);
        self.load.let_go(clip_id);
        self.taken.remove(clip_id);
        let first = self.fates.insert(clip_id.clone(), fate).is_none();
        if let Some(parcel) = self.load.parcels.get(clip_id).filter(|_| first) {
            self.settled += cost(parcel.clip.bytes);
        }
        self.moved_at = now;
        self.short = 0;
    }

    fn send_all(&mut self, now: Mono, outbox: &Outbox) {
        while let Some(send) = self.delivery.next(now) {
            match self.payload(&send) {
                Ok(payload) => self.put(outbox, &send, payload),
                Err(NotRead::Now(why)) => self.delivery.unreadable(now, send.token, &why),
                Err(NotRead::Changed(why)) => self.settle(now, &send.clip_id, Fate::NotRead(why)),
            }
        }
    }

    fn payload(&mut self, send: &Send) -> Result<Vec<u8>, NotRead> {
        match send.what {
            What::Manifest => self.load.manifest(&send.clip_id),
            What::Part { from, to } => self.load.part(&send.clip_id, from, to),
            What::Withdrawal => {
                let slip = self.load.slips.get(&send.clip_id);
                let payload = slip.map(|slip| slip.payload.clone());
                payload.ok_or_else(|| NotRead::Changed("it is gone".into()))
            }
        }
    }

    fn put(&mut self, outbox: &Outbox, send: &Send, payload: Vec<u8>) {
        let Some(booth) = self.branch_of(&send.clip_id) else {
            return self.delivery.give_up(&send.clip_id);
        };
        let clip_id = send.clip_id.clone();
        let (topic, reaches) = match send.what {
            What::Manifest => (Topic::Clip(booth, clip_id.clone()), 0),
            What::Withdrawal => (Topic::Withdraw(booth, clip_id.clone()), 0),
            What::Part { from, to } => (Topic::Part(booth, clip_id.clone(), from), to),
        };
        self.delivery.sized(send.token, payload.len());
        self.on_the_way.insert(send.token, (clip_id, reaches));
        // Delivery's window is smaller than the outbox.
        let _ = outbox.put(Outbound {
            token: send.token,
            topic: self.topics.name(&topic),
            payload,
            retain: false,
            expiry_s: None,
            correlation: None,
            kind: Kind::Clip,
        });
    }

    fn branch_of(&self, clip_id: &ClipId) -> Option<BoothId> {
        let own = |parcel: &crate::pulled::Parcel| match &self.sender {
            Sender::Booth(booth) => booth.clone(),
            Sender::Courier => parcel.clip.booth_id.clone(),
        };
        let parcel = self.load.parcels.get(clip_id).map(own);
        parcel.or_else(|| self.withdrawals_of.clone())
    }

    fn receipt(self, wanted: &Wanted, ended: Ended) -> DrainReceipt {
        let fate = |id: &ClipId| self.fates.get(id).cloned().unwrap_or(Fate::Unanswered);
        let mut clips: Vec<_> = self
            .load
            .parcels
            .values()
            .map(|parcel| &parcel.clip)
            .collect();
        clips.sort_by_key(|clip| (clip.kept_at_ms, clip.clip_no));
        let clips: Vec<Sent> = clips
            .into_iter()
            .map(|clip| Sent {
                clip_id: clip.clip_id.clone(),
                booth_id: clip.booth_id.clone(),
                card_id: clip.card_id.clone(),
                clip_no: clip.clip_no,
                kind: clip.kind,
                bytes: clip.bytes,
                sha256: clip.sha256.clone(),
                fate: fate(&clip.clip_id),
            })
            .collect();
        let mut withdrawals: Vec<SentSlip> = self
            .load
            .slips
            .keys()
            .map(|id| SentSlip {
                id: id.clone(),
                booth_id: self.withdrawals_of.clone(),
                fate: fate(id),
            })
            .collect();
        withdrawals.sort_by(|one, other| one.id.as_str().cmp(other.id.as_str()));
        let is_settled = clips.iter().all(|clip| clip.fate.is_settled())
            && withdrawals.iter().all(|slip| slip.fate.is_settled());
        let is_all_there = is_settled && self.load.left.is_empty() && ended == Ended::Done;
        DrainReceipt {
            schema: SCHEMA,
            made_by: concat!("booth-gateway ", env!("CARGO_PKG_VERSION")).to_owned(),
            made_at: rfc3339(clock::wall()),
            source: wanted.source.display().to_string(),
            broker: wanted.login.broker.to_string(),
            user: wanted.login.client_id.clone(),
            why: why(&ended, wanted, self.trouble.as_deref()),
            may_succeed_later: u8::from(ended.is_for_now()),
            ended,
            is_all_there: u8::from(is_all_there),
            clips,
            withdrawals,
            left: self.load.left.clone(),
            notes: self.load.notes.clone(),
        }
    }
}

/// The sentence about an end, with what to do.
fn why(ended: &Ended, wanted: &Wanted, trouble: Option<&str>) -> Option<String> {
    let seconds = wanted.patience.as_secs();
    let again = "Run the same line again later: what the hub has by then is confirmed at once";
    Some(match ended {
        Ended::Done => return None,
        Ended::NoBroker => format!(
            "{}. It was waited {seconds} s (--patience). {again}.",
            trouble.unwrap_or("the broker does not answer")
        ),
        Ended::LoginRefused => format!("{}.", trouble.unwrap_or("the broker refuses the login")),
        Ended::NameInUse => match &wanted.sender {
            Sender::Booth(booth) => format!(
                "The booth {booth} itself is most likely on line: both use the same name, and each throws the other off. Wait until it is off, or log in as \
                 {:?} (docs/mosquitto.acl), which is in nobody's way. What was sent so far counts.",
                booth_contract::COURIER
            ),
            Sender::Courier => format!(
                "Another laptop sends as {:?} at the same time, and each throws the other off: one after the other. What was sent so far counts.",
                booth_contract::COURIER
            ),
        },
        Ended::HubAway => format!(
            "The hub is not there: the broker answers, and nobody says on hub/state that the hub listens. It was waited {seconds} s (--patience). Start the hub \
             (booth-hub serve). {again}."
        ),
        Ended::HubSilent => format!(
            "The hub is there and does not answer: nothing went on for {seconds} s (--patience). Look at its log and its disk. {again}."
        ),
        Ended::Stopped => format!("It was ended by hand. {again}."),
    })
}

/// The booth in whose branch withdrawals are sent: that of the login, else the one that is named, else the only one that has messages on the card.
fn withdrawals_of(load: &Load, wanted: &Wanted) -> Option<BoothId> {
    let named = wanted.sender.booth().or(wanted.withdrawals_of.as_ref());
    if let Some(booth) = named {
        return Some(booth.clone());
    }
    let mut booths = load.parcels.values().map(|parcel| &parcel.clip.booth_id);
    let first = booths.next()?;
    booths.all(|booth| booth == first).then(|| first.clone())
}

fn cost(bytes: u64) -> u64 {
    bytes + MANIFEST_BYTES
}

fn offer(id: &ClipId, bytes: u64, sha256: &booth_contract::BodyHash, is_withdrawal: bool) -> Offer {
    Offer {
        clip_id: id.clone(),
        bytes,
        sha256: sha256.clone(),
        // Its age is told to nobody.
        kept_at_ms: 0,
        // A manifest that a card has is fixed.
        fixed: true,
        is_withdrawal,
    }
}
