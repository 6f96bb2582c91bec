//! A city's Mosquitto (`city`), running until the test ends.

use booth_stage::mosquitto::Mosquitto;

pub struct CityBroker {
    _broker: Mosquitto,
    pub port: u16,
}

impl CityBroker {
    /// With these users and their passwords; it listens.
    pub fn start(users: &[(&str, &str)]) -> Self {
        let broker = Mosquitto::of_a_city(users).unwrap_or_else(|why| panic!("{why}"));
        Self {
            port: broker.port,
            _broker: broker,
        }
    }
}
