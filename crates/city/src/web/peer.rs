//! Where a request came from.
//!
//! Owns: the address that limits of rate are counted by. Never does: keep it; whoever counts by it forgets it when the limit has rested.

use std::net::{IpAddr, Ipv4Addr};

use axum::http::{Extensions, HeaderMap};

pub use crate::limits::one_visitor;

/// The address at the other end of the connection; whoever accepts connections puts it into each request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// Where the visitor comes from. A proxy on this machine says it in the last place of `X-Forwarded-For`; nobody else is believed.
pub fn visitor(extensions: &Extensions, headers: &HeaderMap) -> IpAddr {
    let peer = extensions.get::<Peer>();
    let from = peer.map_or(IpAddr::from(Ipv4Addr::LOCALHOST), |Peer(address)| *address);
    if !from.to_canonical().is_loopback() {
        return from;
    }
    let said = headers.get_all("x-forwarded-for");
    let last = said.iter().next_back().and_then(|line| line.to_str().ok());
    let last = last.and_then(|line| line.rsplit(',').next());
    last.and_then(|address| address.trim().parse().ok())
        .unwrap_or(from)
}
