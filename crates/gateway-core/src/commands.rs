//! The centre's commands that wait for their answer (contract §3.7).
//!
//! Owns: how many commands wait, and that a command which several askers send meanwhile is carried out once for all of them.
//! Pure. Never does: carry one out, or write an answer. An asker who finds no place is refused: the command is not carried
//! out for them, and they get a sentence that says so.

/// Most commands that wait at a time (contract §3.7).
pub const MOST_WAITING: usize = 10;
/// Most askers that wait for the answer to one command.
pub const MOST_ASKERS: usize = 10;

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Nobody waits for the same command: it has to be carried out.
    First,
    /// The same command waits already; its answer is this asker's answer too.
    Joined,
}

/// No place is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// Ten other commands wait.
    Commands,
    /// Ten askers wait for this one.
    Askers,
}

impl NoPlace {
    /// The sentence for the asker.
    pub fn sentence(self) -> &'static str {
        match self {
            NoPlace::Commands => "ten commands wait already; ask again later",
            NoPlace::Askers => "ten ask for the same already; it is answered soon, ask again later",
        }
    }
}

/// The commands that wait, distinguished by `C`, and who asked for each.
#[derive(Debug)]
pub struct Waiting<C, A> {
    places: Vec<(C, Vec<A>)>,
}

impl<C, A> Default for Waiting<C, A> {
    fn default() -> Self {
        Self { places: Vec::new() }
    }
}

impl<C: PartialEq, A> Waiting<C, A> {
    /// Lets `asker` wait for `command`; an asker that finds no place is given back.
    pub fn ask(&mut self, command: C, asker: A) -> Result<Place, (NoPlace, A)> {
        if let Some((_, askers)) = self.places.iter_mut().find(|(same, _)| *same == command) {
            if askers.len() >= MOST_ASKERS {
                return Err((NoPlace::Askers, asker));
            }
            askers.push(asker);
            return Ok(Place::Joined);
        }
        if self.places.len() >= MOST_WAITING {
            return Err((NoPlace::Commands, asker));
        }
        self.places.push((command, vec![asker]));
        Ok(Place::First)
    }

    /// The command is done, well or not. Returns those who waited for it, earliest first.
    pub fn done(&mut self, command: &C) -> Vec<A> {
        let at = self.places.iter().position(|(same, _)| same == command);
        at.map(|at| self.places.remove(at).1).unwrap_or_default()
    }

    /// Whether somebody waits for this command.
    pub fn waits(&self, command: &C) -> bool {
        self.places.iter().any(|(same, _)| same == command)
    }

    /// Those who wait for this command, earliest first.
    pub fn askers(&self, command: &C) -> &[A] {
        let place = self.places.iter().find(|(same, _)| same == command);
        place.map_or(&[], |(_, askers)| askers)
    }

    /// The commands that wait, earliest first.
    pub fn commands(&self) -> impl Iterator<Item = &C> {
        self.places.iter().map(|(command, _)| command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_command_is_one_and_everybody_who_asked_is_answered() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.ask("rebirth", 1), Ok(Place::First));
        assert_eq!(waiting.ask("rebirth", 2), Ok(Place::Joined));
        assert_eq!(waiting.ask("selftest", 3), Ok(Place::First));
        assert_eq!(waiting.done(&"rebirth"), [1, 2]);
        assert!(waiting.done(&"rebirth").is_empty());
        assert_eq!(waiting.ask("rebirth", 4), Ok(Place::First));
    }

    #[test]
    fn at_most_ten_commands_and_ten_askers_of_each_wait_and_the_next_are_told() {
        let mut waiting = Waiting::default();
        for command in 0..MOST_WAITING {
            assert_eq!(waiting.ask(command, 0), Ok(Place::First));
        }
        assert_eq!(waiting.ask(99, 7), Err((NoPlace::Commands, 7)));
        for asker in 1..MOST_ASKERS {
            assert_eq!(waiting.ask(3, asker), Ok(Place::Joined));
        }
        assert_eq!(waiting.ask(3, 8), Err((NoPlace::Askers, 8)));
        assert_eq!(waiting.done(&3).len(), MOST_ASKERS);
        assert_eq!(waiting.ask(99, 7), Ok(Place::First));
    }
}
