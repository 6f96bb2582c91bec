//! What stands around a booth on a machine without one: a broker with a city's rules, a sound card without hardware, and
//! programs on a leash. The demonstration and the tests start them from here.
//!
//! Owns: starting real programs, waiting for what they say, ending them with their value. Never does: know the gateway's or the
//! hub's code, or bring a crate that the demonstration does not have anyway.

pub mod files;
pub mod mosquitto;
pub mod postgres;
pub mod program;
pub mod pulse;
pub mod s3;
pub mod screen;
pub mod session;
pub mod speech;
pub mod stage;
pub mod visit;
pub mod wait;

pub use booth_host::city_broker as city;
