//! The way to the broker: real brokers, scripted ones, certificates.

mod broker_facts;
mod brokers;
mod credentials;
mod fleet;
mod link;
mod scripted_broker;
