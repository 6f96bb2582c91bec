//! The way to the broker: one for the booth, its doctor and the hub.
//!
//! Owns: [`route`] (name, addresses, TCP, TLS), [`filter`] and [`wire`] (the broker's packets, made readable for the MQTT library),
//! [`login`] (the library's options), [`asked`] (a login that stands in arguments), [`trouble`] (what went wrong, and what to do about it), [`back_off`] (how long to wait).
//! Never does: keep a message, or decide what is published. No proxy is ever used.

pub mod asked;
pub mod back_off;
pub mod filter;
pub mod login;
mod reason;
pub mod route;
pub mod trouble;
pub mod wire;
