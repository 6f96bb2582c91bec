//! The work that every store-and-forward gets: clips in four messages each, and what became of them at the centre.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use booth_testkit::programs::wait_for;
use booth_testkit::raw_mqtt::{Message, RawMqtt, Wishes};

/// Bytes of a message, and messages of a clip: 20 s of speech.
pub const MESSAGE_BYTES: usize = 15_000;
pub const MESSAGES_OF_A_CLIP: u32 = 4;
/// Bytes of a clip.
pub const CLIP_BYTES: u64 = MESSAGE_BYTES as u64 * MESSAGES_OF_A_CLIP as u64;
/// Messages that may wait for their answer.
const WINDOW: usize = 20;
const TOPIC: &str = "up/clip";
/// Who collects at the centre.
const COLLECTOR: &str = "collector";

/// Numbers of clips of which a store has confirmed every message.
#[derive(Clone, Default)]
pub struct Accepted(Arc<Mutex<Vec<u32>>>);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Accepted {
    fn take(&self, message: u32) {
        locked(&self.0).push(message);
    }

    /// The clips so far.
    pub fn clips(&self) -> BTreeSet<u32> {
        let messages: BTreeSet<u32> = locked(&self.0).iter().copied().collect();
        let is_whole = |clip: &u32| {
            let first = clip * MESSAGES_OF_A_CLIP;
            (first..first + MESSAGES_OF_A_CLIP).all(|message| messages.contains(&message))
        };
        let clips: BTreeSet<u32> = messages
            .iter()
            .map(|message| message / MESSAGES_OF_A_CLIP)
            .collect();
        clips.into_iter().filter(is_whole).collect()
    }
}

fn payload(message: u32, fill: &mut [u8]) {
    fill[..4].copy_from_slice(&message.to_be_bytes());
}

/// Hands `clips` clips to the broker on this port, one each `pace`; it ends early when the broker is gone. What the broker confirms is in
/// `accepted` at once.
pub fn publish(port: u16, clips: u32, pace: Duration, accepted: &Accepted) -> Result<(), String> {
    let wishes = Wishes {
        client_id: "recorder",
        is_clean: true,
        ..Wishes::default()
    };
    let mut link = connected(port, &wishes)?;
    let mut waiting = VecDeque::new();
    let mut fill = vec![0x5A; MESSAGE_BYTES];
    let began = Instant::now();
    let take = |link: &mut RawMqtt, waiting: &mut VecDeque<(u16, u32)>| -> std::io::Result<()> {
        let (id, is_taken) = link.next_ack()?;
        if let Some(place) = waiting.iter().position(|(known, _)| *known == id) {
            let message = waiting.remove(place).map(|(_, message)| message);
            if let (true, Some(message)) = (is_taken, message) {
                accepted.take(message);
            }
        }
        Ok(())
    };
    for clip in 0..clips {
        for message in clip * MESSAGES_OF_A_CLIP..(clip + 1) * MESSAGES_OF_A_CLIP {
            payload(message, &mut fill);
            let sent = link.send(TOPIC, &fill, false, None);
            let Ok(id) = sent else { return Ok(()) };
            waiting.push_back((id, message));
            if waiting.len() >= WINDOW && take(&mut link, &mut waiting).is_err() {
                return Ok(());
            }
        }
        if !pace.is_zero() || clip + 1 == clips {
            // A clip is over: its answers are waited for before the pause.
            while !waiting.is_empty() {
                if take(&mut link, &mut waiting).is_err() {
                    return Ok(());
                }
            }
        }
        pause_until(began + pace * (clip + 1));
    }
    Ok(())
}

/// Connects as soon as the broker takes anybody: RabbitMQ listens before it does.
fn connected(port: u16, wishes: &Wishes) -> Result<RawMqtt, String> {
    let what = format!("the broker on port {port} takes {}", wishes.client_id);
    wait_for(&what, || RawMqtt::connect(port, wishes).ok())
}

/// Lets time pass until then.
pub fn pause_until(then: Instant) {
    loop {
        let left = then.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::park_timeout(left);
    }
}

/// What has come in, in its order.
#[derive(Debug, Clone, Default)]
pub struct Arrivals(Vec<(u32, Instant)>);

impl Arrivals {
    /// Clips of these that did not come in whole.
    pub fn lost(&self, accepted: &BTreeSet<u32>) -> usize {
        let seen: BTreeSet<u32> = self.0.iter().map(|(message, _)| *message).collect();
        let is_lost = |clip: &&u32| {
            let first = **clip * MESSAGES_OF_A_CLIP;
            !(first..first + MESSAGES_OF_A_CLIP).all(|message| seen.contains(&message))
        };
        accepted.iter().filter(is_lost).count()
    }

    /// Messages that came once more.
    pub fn doubled(&self) -> usize {
        let seen: BTreeSet<u32> = self.0.iter().map(|(message, _)| *message).collect();
        self.0.len() - seen.len()
    }

    /// Messages that came for the first time behind a later one.
    pub fn out_of_order(&self) -> usize {
        let (mut seen, mut last, mut behind) = (BTreeSet::new(), None, 0);
        for (message, _) in &self.0 {
            if seen.insert(*message) {
                behind += usize::from(last.is_some_and(|last| *message < last));
                last = last.max(Some(*message));
            }
        }
        behind
    }

    /// Bytes that came, and when the first and the last of them did.
    pub fn span(&self) -> Option<(u64, Instant, Instant)> {
        let (first, last) = (self.0.first()?.1, self.0.last()?.1);
        Some(((self.0.len() * MESSAGE_BYTES) as u64, first, last))
    }

    /// How many messages.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Who collects at the centre, with a session that outlives its connection.
pub struct Collector {
    port: u16,
    link: RawMqtt,
    arrivals: Arrivals,
    /// Connections that broke and were made again.
    broken: u32,
}

/// So many broken connections are the centre's own affair: RabbitMQ closes some just after its start.
const MOST_BROKEN: u32 = 5;

impl Collector {
    /// Connects to the broker on this port of loopback; the first time it subscribes, too.
    pub fn connect(port: u16) -> Result<Self, String> {
        let fault = |error: std::io::Error| format!("the collector: {error}");
        let wishes = Wishes {
            client_id: COLLECTOR,
            session_s: u32::MAX,
            ..Wishes::default()
        };
        let mut link = connected(port, &wishes)?;
        if !link.announced.has_session {
            let reason = link.subscribe("up/#").map_err(fault)?;
            if reason > 2 {
                return Err(format!(
                    "the centre refuses the collector's subscription with {reason:#04x}"
                ));
            }
        }
        Ok(Self {
            port,
            link,
            arrivals: Arrivals::default(),
            broken: 0,
        })
    }

    /// The next message; a connection that breaks is made again, and its session goes on.
    fn next(&mut self, patience: Duration) -> Result<Option<Message>, String> {
        loop {
            match self.link.next_message(patience) {
                Ok(message) => return Ok(message),
                Err(error) if self.broken == MOST_BROKEN => {
                    return Err(format!("the collector: {error}"));
                }
                Err(_) => self.broken += 1,
            }
            pause_until(Instant::now() + Duration::from_millis(500));
            self.link = Self::connect(self.port)?.link;
        }
    }

    /// Collects until `is_enough`; at the latest when nothing came for `first` at the beginning or for `quiet` later.
    pub fn collect(
        &mut self,
        first: Duration,
        quiet: Duration,
        mut is_enough: impl FnMut(&Arrivals) -> bool,
    ) -> Result<(), String> {
        while !is_enough(&self.arrivals) {
            let patience = if self.arrivals.0.is_empty() {
                first
            } else {
                quiet
            };
            let Some(message) = self.next(patience)? else {
                break;
            };
            let Some(number) = message.payload.first_chunk::<4>() else {
                return Err("a message came in without its number".into());
            };
            if message.payload.len() != MESSAGE_BYTES {
                return Err(format!(
                    "a message came in with {} bytes",
                    message.payload.len()
                ));
            }
            self.arrivals
                .0
                .push((u32::from_be_bytes(*number), Instant::now()));
        }
        Ok(())
    }

    /// What has come in.
    pub fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }
}
