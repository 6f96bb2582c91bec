//! The hub on a real broker, and its pages in a real browser.

mod campaigns;
mod desk;
mod editor;
mod hub_delivery;
mod imports;
mod pages;
mod sealed;
mod sealed_desk;
mod withdrawals;
