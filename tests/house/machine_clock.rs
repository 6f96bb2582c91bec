//! The rule by which the tests of virtual machines wait: by what the machine does, its end, or its own clock.

use booth_testkit::machine_clock::{Guest, Over, wait};

/// A machine that follows a script: one line of what its clock says and whether it has ended, for each look.
struct Scripted {
    looks: Vec<(f64, bool)>,
    at: usize,
}

impl Scripted {
    fn new(looks: impl IntoIterator<Item = (f64, bool)>) -> Self {
        Self {
            looks: looks.into_iter().collect(),
            at: 0,
        }
    }

    fn now(&self) -> (f64, bool) {
        self.looks[self.at.min(self.looks.len() - 1)]
    }
}

impl Guest for Scripted {
    fn clock_s(&mut self) -> Option<f64> {
        let (clock, has_ended) = self.now();
        (!has_ended).then_some(clock)
    }

    fn has_ended(&mut self) -> bool {
        self.now().1
    }
}

/// Looks once; what it waits for happens at that look.
fn look(machine: &mut Scripted, happens_at: usize) -> Option<usize> {
    let found = (machine.at == happens_at).then_some(happens_at);
    machine.at += 1;
    found
}

#[test]
fn a_machine_whose_clock_hardly_moves_is_waited_for_however_long_it_takes_outside() {
    // A hundred thousand looks of half a second are half a day of a busy host; ten seconds have passed inside.
    let slow = (0..100_000).map(|n| (f64::from(n) / 10_000.0, false));
    let found = wait(&mut Scripted::new(slow), "it speaks", 900.0, |machine| {
        look(machine, 99_999)
    });
    assert_eq!(found, Ok(99_999));
}

#[test]
fn a_machine_whose_own_clock_has_passed_the_limit_is_late_however_fast_it_was() {
    let fast = (0..1_000).map(|n| (f64::from(n) * 300.0, false));
    let mut machine = Scripted::new(fast);
    let late = wait(&mut machine, "it speaks", 900.0, |machine| {
        look(machine, 500)
    });
    assert_eq!(late, Err(Over::TooLate(1_200.0)));
}

#[test]
fn a_machine_that_ends_is_not_waited_for_and_what_it_said_last_is_found() {
    let ends_at_three = || Scripted::new([(0.0, false), (1.0, false), (2.0, true)]);
    let over = wait(&mut ends_at_three(), "it speaks", 900.0, |machine| {
        look(machine, 9)
    });
    assert_eq!(over, Err(Over::Ended));
    let last_words = wait(&mut ends_at_three(), "it speaks", 900.0, |machine| {
        look(machine, 2)
    });
    assert_eq!(last_words, Ok(2));
    let mut over = Scripted::new([(0.0, true)]);
    assert_eq!(
        wait(&mut over, "it ends", 900.0, |machine| machine
            .has_ended()
            .then_some(())),
        Ok(())
    );
}

#[test]
fn a_clock_that_is_set_back_once_ends_no_wait() {
    // Linux sets the HPET to nought.
    let clock = [
        (5.0, false),
        (0.1, false),
        (800.0, false),
        (904.0, false),
        (906.0, false),
    ];
    let found = wait(&mut Scripted::new(clock), "it speaks", 900.0, |machine| {
        look(machine, 3)
    });
    assert_eq!(found, Ok(3));
}
