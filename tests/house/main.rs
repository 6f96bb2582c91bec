//! The repository itself: walls, documents, units, the demonstration, what the programs print.

mod book;
mod demonstration;
mod docs;
mod help_files;
mod machine_clock;
mod output;
mod own_voice;
mod schemas;
mod systemd_units;
mod walls;
