//! The hub on a real broker, and its pages in a real browser.

mod backup;
mod campaigns;
mod desk;
mod editor;
mod home;
mod hub_delivery;
mod imports;
mod look;
mod look_fleet;
mod monitoring;
mod operations;
mod pages;
mod rows_elsewhere;
mod sealed;
mod sealed_desk;
mod simulated;
mod stop;
mod withdrawals;
mod workers;
