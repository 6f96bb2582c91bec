//! Where the loop leaves messages for a worker.
//!
//! Owns: how many messages may lie there. Never does: wait; otherwise a worker that hangs would stop the loop. A message
//! that may be refused is refused when the worker's queue is full. A message that must arrive is held beside the queue, in
//! its order, and while any is held no other is taken. A worker that takes nothing until even the held ones are too many
//! hangs, and the watchdog ends the process.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use crate::adapters::wake::Wake;

/// Most messages that are held beside a queue.
const MOST_HELD: usize = 4096;

/// One worker's post.
pub struct Post<T> {
    queue: SyncSender<T>,
    held: RefCell<VecDeque<T>>,
    /// Called after each message, for a worker that waits for something else, too.
    wake: Option<Wake>,
}

/// A post with this many places, and the worker's end of it.
pub fn post<T>(places: usize) -> (Post<T>, Receiver<T>) {
    let (queue, taken) = sync_channel(places);
    let held = RefCell::default();
    let wake = None;
    (Post { queue, held, wake }, taken)
}

impl<T> Post<T> {
    /// The same, of a worker that is called by `wake`.
    pub fn waking(self, wake: Wake) -> Self {
        let wake = Some(wake);
        Self { wake, ..self }
    }

    /// Leaves a message that must arrive.
    pub fn send(&self, word: T) {
        if let Err(word) = self.try_leave(word) {
            let mut held = self.held.borrow_mut();
            match held.len() < MOST_HELD {
                true => held.push_back(word),
                false => log::error!(
                    about = "post";
                    "a worker has taken nothing for {MOST_HELD} commands; the next ones are lost"
                ),
            }
        }
    }

    /// Leaves a message that may be refused. Returns whether it was taken.
    pub fn offer(&self, word: T) -> bool {
        self.try_leave(word).is_ok()
    }

    /// Hands on what is held, as far as there is room.
    pub fn pass_on(&self) {
        let mut held = self.held.borrow_mut();
        while let Some(word) = held.pop_front() {
            if let Err(word) = self.hand_over(word) {
                held.push_front(word);
                return;
            }
        }
    }

    fn try_leave(&self, word: T) -> Result<(), T> {
        self.pass_on();
        if !self.held.borrow().is_empty() {
            return Err(word);
        }
        self.hand_over(word)
    }

    fn hand_over(&self, word: T) -> Result<(), T> {
        match self.queue.try_send(word) {
            Err(TrySendError::Full(word)) => return Err(word),
            // If the worker is gone, the daemon ends for that reason anyway.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
        }
        if let Some(wake) = &self.wake {
            wake.call();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_arrive_arrives_in_its_order_and_the_rest_is_refused_meanwhile() {
        let (post, taken) = post(2);
        for word in 0..5 {
            post.send(word);
        }
        assert!(!post.offer(99));
        let mut seen = vec![taken.recv(), taken.recv()];
        post.pass_on();
        seen.extend([taken.recv(), taken.recv()]);
        assert!(post.offer(5));
        seen.extend([taken.recv(), taken.recv()]);
        assert_eq!(seen, Vec::from_iter((0..6).map(Ok)));
        assert!(taken.try_recv().is_err());
    }

    #[test]
    fn a_worker_that_takes_nothing_holds_so_many_words_and_no_more() {
        let (post, taken) = post(8);
        for word in 0..100_000 {
            post.send(word);
        }
        drop(post.held.borrow_mut().drain(..).collect::<Vec<_>>());
        assert_eq!(taken.try_iter().count(), 8);
        for word in 0..100_000 {
            post.send(word);
        }
        assert_eq!(post.held.borrow().len(), MOST_HELD);
    }
}
