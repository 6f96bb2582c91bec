//! A city's Mosquitto (`city`), running until the test ends.

use booth_stage::mosquitto::Mosquitto;

pub struct CityBroker {
    broker: Mosquitto,
    pub port: u16,
}

impl CityBroker {
    /// With these users and their passwords; it listens.
    pub fn start(users: &[(&str, &str)]) -> Self {
        let broker = Mosquitto::of_a_city(users).unwrap_or_else(|why| panic!("{why}"));
        Self {
            port: broker.port,
            broker,
        }
    }

    /// In how many lines of its log this stands.
    pub fn said(&self, text: &str) -> usize {
        let lines = self.broker.lines();
        lines.iter().filter(|line| line.contains(text)).count()
    }
}
