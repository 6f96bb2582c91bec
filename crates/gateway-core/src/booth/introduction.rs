//! When the booth introduces itself to a hub that has come, or to those who asked.
//!
//! Owns: the pace of introductions. Never does: say anything.

use booth_contract::time::Mono;

use super::paced;

/// The introduction that is due next.
#[derive(Debug, Default)]
pub(super) struct Introduction {
    due: Option<Mono>,
    /// When the booth last introduced itself because somebody asked or because the hub had come.
    latest: Option<Mono>,
}

impl Introduction {
    /// The hub has come, and this booth's turn comes at `at`. A hub that comes and goes all the time does not get introductions
    /// more often than the pace allows.
    pub(super) fn hub_came(&mut self, now: Mono, at: Mono) {
        self.due = Some(paced(now, self.latest).max(at));
    }

    /// Somebody asks.
    pub(super) fn asked(&mut self, now: Mono) {
        let due = paced(now, self.latest);
        self.due = Some(self.due.map_or(due, |at| at.min(due)));
    }

    /// There is nobody to hear it.
    pub(super) fn nobody_listens(&mut self) {
        self.due = None;
    }

    /// When it begins. Never while the former introduction still waits for the broker (`is_all_sent` is false), or a booth on a slow
    /// link would begin one introduction after the other and finish none; the broker's next answer makes the loop turn.
    pub(super) fn deadline(&self, is_all_sent: bool) -> Option<Mono> {
        self.due.filter(|_| is_all_sent)
    }

    /// Whether it begins now.
    pub(super) fn begins(&mut self, now: Mono, is_all_sent: bool) -> bool {
        let begins = self.deadline(is_all_sent).is_some_and(|due| due <= now);
        if begins {
            self.due = None;
            self.latest = Some(now);
        }
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_ask_are_answered_together_and_no_more_often_than_the_pace_allows() {
        let mut introduction = Introduction::default();
        assert!(!introduction.begins(Mono(0), true));
        introduction.asked(Mono(1_000));
        introduction.asked(Mono(1_000));
        assert!(
            !introduction.begins(Mono(1_000), false),
            "the former one waits"
        );
        assert!(introduction.begins(Mono(1_000), true));
        assert!(!introduction.begins(Mono(1_000), true));
        introduction.asked(Mono(1_500));
        assert_eq!(introduction.deadline(true), Some(Mono(3_000)));
        introduction.hub_came(Mono(1_500), Mono(9_000));
        introduction.asked(Mono(1_600));
        assert_eq!(introduction.deadline(true), Some(Mono(3_000)));
        introduction.nobody_listens();
        assert_eq!(introduction.deadline(true), None);
    }
}
