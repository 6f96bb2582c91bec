//! Clips on their way to the broker: read, published, answered.
//!
//! Owns: that one message is read at a time, and what a verdict does. Never does: decide what is sent when;
//! `gateway_core::delivery` does.

use super::keeper::KeeperCommand;
use super::reader::{ReadCommand, ReadEvent};
use super::{Gateway, log_odd};
use crate::adapters::mqtt::{Kind, Outbound};
use crate::adapters::outbox::GaveWay;
use booth_contract::Topic;
use booth_contract::time::Mono;
use booth_spool::SpoolError;
use gateway_core::delivery::{Puback, Send, Verdict, What};
use gateway_core::quarantine::Note;

impl Gateway {
    /// Publishes what delivery has to send, as far as the windows allow.
    pub(super) fn deliver(&mut self, now: Mono) {
        if self.spool.is_some() {
            let unfixed = self.booth.delivery.to_fix(now);
            if !unfixed.is_empty() {
                self.keeper.send(KeeperCommand::Fix(unfixed));
            }
        }
        self.read_next(now);
    }

    /// Asks the reader for the next message that delivery wants to send, unless it still reads one. A card that is closed for
    /// a technician is not read.
    pub(super) fn read_next(&mut self, now: Mono) {
        if self.reading.is_none()
            && let Some(spool) = &self.spool
            && let Some(send) = self.booth.delivery.next(now)
        {
            self.reading = Some(send.token);
            let spool = spool.clone();
            self.reader.send(ReadCommand::Message { spool, send });
        }
    }

    pub(super) fn read(&mut self, now: Mono, event: ReadEvent) {
        match event {
            ReadEvent::Message { send, read } => {
                self.reading = None;
                // The clip was given up, or the connection was lost, while the card was read.
                if self.booth.delivery.awaits(send.token) {
                    self.message_read(now, &send, read);
                }
                self.read_next(now);
            }
            ReadEvent::Configuration(Ok(read_again)) => self.configured(now, *read_again),
            ReadEvent::Configuration(Err(not_good)) => self.not_configured(now, not_good),
            ReadEvent::Measured(measured) => self.measured(*measured),
        }
    }

    /// Publishes a message of a clip, or notes why the card does not give it.
    pub(super) fn message_read(
        &mut self,
        now: Mono,
        send: &Send,
        read: Result<Vec<u8>, SpoolError>,
    ) {
        match read {
            Ok(payload) => self.publish_of_clip(now, send, payload),
            // Its file is set aside when the spool is opened the next time.
            Err(error) if error.is_damage() && send.what == What::Withdrawal => {
                log::error!("{error}");
                self.booth.evidence.damaged = Some(error.to_string());
                self.booth.delivery.give_up(&send.clip_id);
            }
            Err(error) if error.is_damage() => self.damaged(&send.clip_id, &error),
            // The clip is not on this card: another card was put in.
            Err(error @ SpoolError::UnknownClip { .. }) => {
                log_odd(&error.to_string());
                self.booth.delivery.give_up(&send.clip_id);
            }
            Err(error) => {
                log::warn!(about = "spool-read"; "a clip cannot be read now, and is tried again: {error}");
                self.booth
                    .delivery
                    .unreadable(now, send.token, &error.to_string());
            }
        }
    }

    pub(super) fn publish_of_clip(&mut self, now: Mono, send: &Send, payload: Vec<u8>) {
        let (booth, clip_id) = (self.config.booth.id.clone(), send.clip_id.clone());
        let topic = match send.what {
            What::Manifest => Topic::Clip(booth, clip_id),
            What::Withdrawal => Topic::Withdraw(booth, clip_id),
            What::Part { from, .. } => Topic::Part(booth, clip_id, from),
        };
        self.booth.delivery.sized(send.token, payload.len());
        let topic = self.topics.name(&topic);
        self.count_sent(&topic, &payload);
        let message = Outbound {
            token: send.token,
            topic,
            payload,
            retain: false,
            expiry_s: None,
            correlation: None,
            kind: Kind::Clip,
        };
        let lost = self.mqtt.as_ref().and_then(|outbox| outbox.put(message));
        if let Some(GaveWay::Lost(lost)) = lost {
            // Delivery's window is smaller than the outbox, so this should never happen.
            log_odd("the outbox has no room for a clip");
            let verdicts =
                self.booth
                    .delivery
                    .puback(now, lost.token, Puback::Later, "the outbox is full");
            self.settle(now, verdicts);
        }
    }

    pub(super) fn settle(&mut self, now: Mono, verdicts: Vec<Verdict>) {
        for verdict in verdicts {
            match verdict {
                Verdict::Release(receipt) => {
                    log::info!(clip_id = receipt.clip_id().as_str(); "confirmed");
                    self.confirmed(now, receipt.clip_id());
                    self.keeper.send(KeeperCommand::Release(receipt));
                }
                Verdict::Delete(receipt) => {
                    log::info!(clip_id = receipt.clip_id().as_str(); "withdrawn");
                    self.booth.quarantine.came_back(receipt.clip_id());
                    self.keeper.send(KeeperCommand::Release(receipt));
                }
                Verdict::Quarantine { clip_id, reason } => {
                    log::error!(about = "refused", clip_id = clip_id.as_str(); "the hub refused a clip: {reason}");
                    let note = Note::refused(&reason, self.booth.quarantine.hub().cloned());
                    self.set_aside(&clip_id, note);
                }
                Verdict::Odd(what) => log_odd(&what),
            }
        }
    }
}
