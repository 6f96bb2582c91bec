//! The booth as its people meet it: the real gateway on a simulated handset, a sound card without hardware and a real broker.

mod bundle;
mod campaigns;
mod codes;
mod doctor;
mod home_assistant;
mod new_version;
mod pilot;
mod schemas;
mod screen;
mod sealed;
mod sound;
mod story;
mod technician;
mod visit;
mod watchdog;
