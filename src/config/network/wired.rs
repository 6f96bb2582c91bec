//! `[network] wired` of booth.toml: DHCP, or an address that can be one.

use std::net::{IpAddr, Ipv4Addr};

use serde::Deserialize;

/// The wired network: without an address, DHCP.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wired {
    /// For example `192.0.2.10/24`.
    pub address: Option<String>,
    /// For example `192.0.2.1`.
    pub gateway: Option<String>,
    /// Name servers.
    pub dns: Vec<String>,
}

/// A fixed address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed {
    /// The booth's address.
    pub address: Ipv4Addr,
    /// Length of the network's prefix, bits.
    pub prefix: u8,
    /// The router to all other networks.
    pub gateway: Option<Ipv4Addr>,
}

/// What is wrong with the wired network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the sentences say it
pub enum WiredFault {
    #[error("gateway stands without address; give both, or neither for DHCP")]
    GatewayAlone,
    #[error("address {0:?} {1}; write it as \"192.0.2.10/24\"")]
    Address(String, NoAddress),
    #[error("gateway {0:?} is no IPv4 address; write it as \"192.0.2.1\"")]
    Gateway(String),
    #[error("gateway {gateway} is not in the network of {address}/{prefix}; correct one of them")]
    GatewayElsewhere {
        gateway: Ipv4Addr,
        address: Ipv4Addr,
        prefix: u8,
    },
    #[error("gateway {0} is the booth's own address; it is the router's")]
    GatewayIsBooth(Ipv4Addr),
    #[error("dns {0:?} is no address; write it as \"192.0.2.53\"")]
    NameServer(String),
}

/// Why a text is no booth's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the sentences say it
pub enum NoAddress {
    #[error("has no /")]
    NoPrefix,
    #[error("is no IPv4 address")]
    NoIpv4,
    #[error("has no network of 1 to 31 bits behind the /")]
    Prefix,
    #[error("is the network itself, not a place in it")]
    Network,
    #[error("is none that a machine can have")]
    Unusable,
}

impl Wired {
    /// The fixed address, `None` with DHCP; or what is wrong.
    pub fn fixed(&self) -> Result<Option<Fixed>, WiredFault> {
        let Some(text) = &self.address else {
            return match &self.gateway {
                None => Ok(None),
                Some(_) => Err(WiredFault::GatewayAlone),
            };
        };
        let (address, prefix) =
            address_of(text).map_err(|why| WiredFault::Address(text.clone(), why))?;
        let gateway = self.gateway.as_deref();
        let gateway = gateway.map(|text| gateway_of(text, address, prefix));
        Ok(Some(Fixed {
            address,
            prefix,
            gateway: gateway.transpose()?,
        }))
    }

    /// The name servers, or what is wrong with one.
    pub fn name_servers(&self) -> Result<Vec<IpAddr>, WiredFault> {
        let read = |text: &String| {
            text.parse()
                .map_err(|_| WiredFault::NameServer(text.clone()))
        };
        self.dns.iter().map(read).collect()
    }
}

/// The address and the length of the prefix in `192.0.2.10/24`.
fn address_of(text: &str) -> Result<(Ipv4Addr, u8), NoAddress> {
    let (address, prefix) = text.split_once('/').ok_or(NoAddress::NoPrefix)?;
    let address: Ipv4Addr = address.parse().map_err(|_| NoAddress::NoIpv4)?;
    let prefix = prefix.parse().ok().filter(|bits| (1..=31).contains(bits));
    let prefix: u8 = prefix.ok_or(NoAddress::Prefix)?;
    let mask = mask_of(prefix);
    let host = u32::from(address) & !mask;
    if prefix < 31 && (host == 0 || host == !mask) {
        return Err(NoAddress::Network);
    }
    if address.is_loopback() || address.is_multicast() || address.is_unspecified() {
        return Err(NoAddress::Unusable);
    }
    Ok((address, prefix))
}

fn gateway_of(text: &str, address: Ipv4Addr, prefix: u8) -> Result<Ipv4Addr, WiredFault> {
    let gateway: Ipv4Addr = text
        .parse()
        .map_err(|_| WiredFault::Gateway(text.to_owned()))?;
    if (u32::from(gateway) ^ u32::from(address)) & mask_of(prefix) != 0 {
        return Err(WiredFault::GatewayElsewhere {
            gateway,
            address,
            prefix,
        });
    }
    match gateway == address {
        true => Err(WiredFault::GatewayIsBooth(gateway)),
        false => Ok(gateway),
    }
}

fn mask_of(prefix: u8) -> u32 {
    u32::MAX << (32 - u32::from(prefix))
}
