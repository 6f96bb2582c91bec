//! Everything of the booth that touches the outside world, one subject per file; what the hub needs too is in `booth_host`.

pub mod capture;
pub mod ear;
pub mod gpio_info;
pub mod handset;
pub mod handset_cdev;
mod handset_edges;
pub mod handset_lines;
pub mod handset_rppal;
pub mod handset_sim;
pub mod handset_taught;
pub mod handset_trace;
pub mod mixer;
pub mod mqtt;
pub mod outbox;
mod packing;
pub mod playback;
pub mod prompts;
pub mod recorder;
pub mod sensors;
pub mod sound_cards;
pub mod sound_error;
pub mod sound_faults;
pub mod sound_pace;
pub mod sound_stream;
pub mod tones;
pub mod voice;
pub mod wake;
