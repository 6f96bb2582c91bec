//! In which network a booth says it is.
//!
//! Owns: what a birth's address says of a place. Pure. Never does: fail because of what a booth says; what cannot be read says nothing.

use std::net::{IpAddr, Ipv6Addr};

use serde_json::Value;

/// The network of the address in a birth (contract §3.1).
pub(super) fn network_in(birth: &str) -> Option<String> {
    let birth: Value = serde_json::from_str(birth).ok()?;
    network_of(birth.get("ip")?.as_str()?)
}

/// The network of an address: the first 24 bits of IPv4, the first 64 of IPv6. An address that says nothing of a place has none.
fn network_of(ip: &str) -> Option<String> {
    match ip.parse::<IpAddr>().ok()?.to_canonical() {
        IpAddr::V4(v4) if v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() => None,
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            Some(format!("{a}.{b}.{c}.0/24"))
        }
        IpAddr::V6(v6) if v6.is_loopback() || v6.is_unspecified() => None,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => None,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            let network = Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0);
            Some(format!("{network}/64"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_its_network_and_whatever_else_a_booth_says_names_none() {
        for (ip, network) in [
            ("10.1.2.3", Some("10.1.2.0/24")),
            ("::ffff:10.1.2.3", Some("10.1.2.0/24")),
            ("2001:db8:1:2:3:4:5:6", Some("2001:db8:1:2::/64")),
            ("127.0.0.1", None),
            ("169.254.1.1", None),
            ("fe80::1", None),
            ("::1", None),
            ("here", None),
        ] {
            let birth = serde_json::json!({ "ip": ip }).to_string();
            assert_eq!(network_in(&birth).as_deref(), network, "{ip}");
        }
        for birth in [
            "",
            "[]",
            "{}",
            r#"{"ip":5}"#,
            r#"{"ip":["10.1.2.3"]}"#,
            r#"{"ip":null}"#,
        ] {
            assert_eq!(network_in(birth), None, "{birth}");
        }
    }
}
