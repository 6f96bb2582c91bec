//! The booth as its people meet it: the real gateway on a simulated handset, a sound card without hardware and a real broker.

mod doctor;
mod run_loop;
mod sealed;
mod sensors;
mod sound;
mod technician;
mod visit;
mod watchdog;
mod workers;
