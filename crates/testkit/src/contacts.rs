//! Contacts as citizens and wear move them: edges, made the same way each time from a number.

/// Edges of a visit, each with the ms since boot, the line's key in a trace and whether it is what its name says.
#[derive(Debug, Clone)]
pub struct Contacts {
    edges: Vec<(u64, &'static str, bool)>,
    /// Now, in ms.
    pub at: u64,
    /// Longest bounce of the hook and of the dial, ms; a contact never bounces through more than half of a phase.
    pub bounce_ms: u64,
    seed: u64,
}

/// How a dial turns.
#[derive(Debug, Clone, Copy)]
pub struct Dial {
    pub pulses_per_s: f64,
    pub break_share: f64,
    /// Each pulse is longer or shorter by up to this share.
    pub uneven: f64,
    /// Its off-normal contact comes back so long after the last pulse, ms; `None`: it has none.
    pub off_normal_ms: Option<u64>,
}

impl Default for Dial {
    fn default() -> Self {
        Self {
            pulses_per_s: 10.0,
            break_share: 0.6,
            uneven: 0.0,
            off_normal_ms: Some(20),
        }
    }
}

impl Contacts {
    /// Nothing has moved yet.
    pub fn new(bounce_ms: u64, seed: u64) -> Self {
        Self {
            edges: Vec::new(),
            at: 1_000,
            bounce_ms,
            seed,
        }
    }

    fn next(&mut self, bound: u64) -> u64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.seed >> 33) % bound.max(1)
    }

    /// A contact moves at `at` into a phase of `phase` ms, and bounces.
    pub fn moves(&mut self, at: u64, phase: u64, line: &'static str, is_active: bool) {
        self.edges.push((at, line, is_active));
        let longest = self.bounce_ms.min(phase / 2);
        if longest == 0 {
            return;
        }
        let mut now = at;
        loop {
            let back = now + 1 + self.next(3);
            let again = back + 1 + self.next(3);
            if again > at + longest {
                return;
            }
            self.edges
                .extend([(back, line, !is_active), (again, line, is_active)]);
            now = again;
        }
    }

    /// Time passes.
    pub fn rest(&mut self, ms: u64) {
        self.at += ms;
    }

    /// The handset is lifted or put back.
    pub fn hook(&mut self, off_hook: bool) {
        self.moves(self.at, 200, "hook", off_hook);
        self.rest(400);
    }

    /// The hook moves for so long, without bouncing.
    pub fn flick(&mut self, ms: u64) {
        self.edges
            .extend([(self.at, "hook", false), (self.at + ms, "hook", true)]);
        self.rest(300);
    }

    /// One digit of so many pulses, and the pause after it.
    pub fn turn(&mut self, dial: Dial, pulses: u64) {
        if dial.off_normal_ms.is_some() {
            self.moves(self.at, 100, "dial_off_normal", true);
        }
        self.rest(120 + 60 * pulses);
        for _ in 0..pulses {
            let share = self.next(2_001) as f64 / 1_000.0 - 1.0;
            let period = 1_000.0 / dial.pulses_per_s * (1.0 + share * dial.uneven);
            let broken = (period * dial.break_share) as u64;
            let made = period as u64 - broken;
            self.moves(self.at, broken, "dial_pulse", true);
            self.moves(self.at + broken, made, "dial_pulse", false);
            self.rest(broken + made);
        }
        if let Some(late) = dial.off_normal_ms {
            self.rest(late);
            self.moves(self.at, 100, "dial_off_normal", false);
        }
        self.rest(250);
    }

    /// The edges as lines of a trace.
    pub fn lines(&self) -> String {
        let mut edges = self.edges.clone();
        edges.sort_by_key(|(at, ..)| *at);
        edges
            .iter()
            .map(|(at, line, is_active)| format!("{at} {line} {}\n", u8::from(*is_active)))
            .collect()
    }
}
