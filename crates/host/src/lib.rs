//! What both programs, the gateway and the hub, need of the machine that they run on.
//!
//! Owns: the clocks ([`clock`]), the log ([`journal`], and [`news`] for its repeated lines), everything that is printed ([`out`], and [`meter`] for progress), what an error was caused by ([`causes`]),
//! every thread and task ([`crew`]), the service manager ([`systemd`]), files that people write ([`plain_file`], [`text`],
//! [`password`], [`config_file`]), whether open files are still where their names lead ([`same_files`]), certificates ([`tls`]), sockets of lines ([`line_server`]), and the one way to the broker
//! ([`link`]). Never does: know what a booth or a hub is.

pub mod causes;
pub mod city_broker;
pub mod clock;
pub mod config_file;
pub mod crew;
pub mod journal;
pub mod line_server;
pub mod link;
pub mod meter;
pub mod news;
pub mod out;
pub mod password;
pub mod plain_file;
pub mod private;
pub mod same_files;
pub mod systemd;
pub mod text;
pub mod tls;
