//! Everything that touches the outside, one thing per file.

pub mod capture;
pub mod clock;
pub mod disk;
pub mod ear;
pub mod handset;
pub mod handset_cdev;
pub mod handset_rppal;
pub mod handset_sim;
pub mod handset_taught;
pub mod handset_trace;
pub mod journal;
pub mod levels;
pub mod line_server;
pub mod mixer;
pub mod mqtt;
pub mod opus;
pub mod playback;
pub mod prompts;
pub mod recorder;
pub mod sensors;
pub mod sound_faults;
pub mod systemd;
pub mod tls;
pub mod tones;
pub mod voice;
